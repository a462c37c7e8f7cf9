//! One line of a Dockerfile, taken apart: name, flags, arguments (BuildKit's `split_command.go` and
//! `line_parsers.go`). Quotes and variables stay for later, except in flags.

use serde_json::value::RawValue;

use super::go::{quote, unquote_json};

/// The refusal of `[1]` and the like.
const NOT_STRINGS: &str = "when using JSON array syntax, arrays must be comprised of strings only";

/// What separates a name from its arguments, and arguments from each other.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// What people write who mean a JSON array, and how it is read.
const NO_ARRAY: &str = "begins like a JSON array but is not one, so it is taken as plain text";
const BEHIND: &str = "has something after its JSON array, which is ignored";

/// A line's parts.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) name: String,
    pub(super) flags: Vec<String>,
    pub(super) rest: String,
}

/// An instruction's arguments.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) words: Vec<String>,
    /// Whether they were a JSON array.
    pub(super) json: bool,
    /// What was hardly intended.
    pub(super) doubt: Option<&'static str>,
    /// For `ONBUILD`: whether here-documents of the inner instruction follow.
    pub(super) here_documents: bool,
}

impl Arguments {
    fn of(words: Vec<String>) -> Self {
        Self {
            words,
            ..Self::default()
        }
    }
}

/// Takes a line apart.
pub(super) fn split(line: &str, escape: char) -> Split {
    let line = line.trim();
    let Some(end) = line.find(is_blank) else {
        return Split {
            name: line.to_owned(),
            ..Split::default()
        };
    };
    let (flags, rest) = flags(line[end..].trim_start_matches(is_blank), escape);
    Split {
        name: line[..end].to_owned(),
        flags,
        rest: rest.trim().to_owned(),
    }
}

/// Takes the words that begin with `--` off the front, up to `--` alone. Quotes in them are removed.
///
/// BuildKit goes through bytes here and takes each for a character of Latin-1; so does this.
fn flags(line: &str, escape: char) -> (Vec<String>, &str) {
    #[derive(PartialEq)]
    enum Phase {
        Spaces,
        Word,
        Quote(char),
    }
    let bytes = line.as_bytes();
    let mut flags = Vec::new();
    let mut phase = Phase::Spaces;
    let mut word = String::new();
    let mut at = 0;
    // What is left of the line from a byte on; cut at a character it is the line's own text.
    let rest = |at: usize| line.get(at..).unwrap_or_default();
    while at < bytes.len() {
        let mut c = char::from(bytes[at]);
        match phase {
            Phase::Spaces => {
                if !c.is_whitespace() {
                    if !line.as_bytes()[at..].starts_with(b"--") {
                        return (flags, rest(at));
                    }
                    phase = Phase::Word;
                    continue;
                }
            }
            Phase::Word if c.is_whitespace() => {
                if word == "--" {
                    return (flags, rest(at));
                }
                flags.push(std::mem::take(&mut word));
                phase = Phase::Spaces;
            }
            Phase::Word if matches!(c, '\'' | '"') => phase = Phase::Quote(c),
            Phase::Quote(quote) if c == quote => phase = Phase::Word,
            Phase::Word | Phase::Quote(_) => {
                if c == escape {
                    at += 1;
                    let Some(next) = bytes.get(at) else { break };
                    c = char::from(*next);
                }
                word.push(c);
            }
        }
        at += 1;
    }
    if phase != Phase::Spaces && word != "--" {
        flags.push(word);
    }
    (flags, "")
}

/// The arguments of the instruction `name`, by its own rules; none if there is no such instruction.
pub(super) fn arguments(name: &str, rest: &str, escape: char) -> Result<Arguments, String> {
    let words = match name.to_lowercase().as_str() {
        "cmd" | "entrypoint" | "run" | "shell" => return maybe_json(rest, one),
        "volume" | "add" | "copy" => return maybe_json(rest, list),
        "env" => names_and_values(rest, "ENV", escape)?,
        "label" => names_and_values(rest, "LABEL", escape)?,
        "expose" => list(rest),
        "user" | "workdir" | "stopsignal" => one(rest),
        "healthcheck" => return health(rest),
        "onbuild" => return sub_command(rest, escape),
        _ => Vec::new(),
    };
    Ok(Arguments::of(words))
}

/// The whole text as one argument.
fn one(rest: &str) -> Vec<String> {
    if rest.is_empty() {
        Vec::new()
    } else {
        vec![rest.to_owned()]
    }
}

/// Arguments between blanks.
fn list(rest: &str) -> Vec<String> {
    if rest.is_empty() {
        return Vec::new();
    }
    let mut words = Vec::new();
    let mut rest = rest;
    while let Some(end) = rest.find(is_blank) {
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start_matches(is_blank);
    }
    words.push(rest.to_owned());
    words
}

/// A JSON array of strings, or `other`. What follows the array is not looked at.
fn maybe_json(rest: &str, other: impl Fn(&str) -> Vec<String>) -> Result<Arguments, String> {
    match json_array(rest)? {
        Some((words, end)) => Ok(Arguments {
            words,
            json: true,
            doubt: (!end).then_some(BEHIND),
            here_documents: false,
        }),
        None => Ok(Arguments {
            doubt: rest.starts_with('[').then_some(NO_ARRAY),
            ..Arguments::of(other(rest))
        }),
    }
}

/// The strings of the JSON array that `rest` begins with, and whether that is all of it; `None` if it
/// is none.
fn json_array(rest: &str) -> Result<Option<(Vec<String>, bool)>, String> {
    let rest = rest.trim_start();
    if !rest.starts_with('[') {
        return Ok(None);
    }
    // Values as text: Go reads deeper nesting and halves of surrogate pairs too.
    let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Vec<Box<RawValue>>>();
    let Some(Ok(items)) = stream.next() else {
        return Ok(None);
    };
    let is_huge = |text: &str| text.parse::<f64>().is_ok_and(f64::is_infinite);
    if items.iter().any(|item| is_huge(item.get())) {
        return Ok(None);
    }
    let strings = items.iter().map(|item| {
        let text = item.get();
        text.starts_with('"').then(|| unquote_json(text))
    });
    let is_all = rest[stream.byte_offset()..].trim().is_empty();
    match strings.collect() {
        Some(strings) => Ok(Some((strings, is_all))),
        None => Err(NOT_STRINGS.to_owned()),
    }
}

/// `HEALTHCHECK`: its kind, then what `CMD` takes.
fn health(rest: &str) -> Result<Arguments, String> {
    // By bytes, as BuildKit does: U+00A0 and U+0085 count within other characters too.
    let is_space = |byte: &u8| char::from(*byte).is_whitespace();
    let kind = rest.bytes().take_while(|b| !is_space(b)).count();
    if kind == 0 {
        return Ok(Arguments::default());
    }
    let blanks = rest.bytes().skip(kind).take_while(is_space).count();
    // Cut within a character, what is left of it becomes U+FFFD, as in Go.
    let bytes = rest.as_bytes();
    let name = String::from_utf8_lossy(&bytes[..kind]);
    let command = String::from_utf8_lossy(&bytes[kind + blanks..]);
    let mut arguments = maybe_json(&command, one)?;
    arguments.words.insert(0, name.into_owned());
    Ok(arguments)
}

/// `ONBUILD`: the name of the inner instruction, whose own arguments must be sound too.
fn sub_command(rest: &str, escape: char) -> Result<Arguments, String> {
    if rest.is_empty() {
        return Ok(Arguments::default());
    }
    let first = split(rest, escape);
    let is_nested = |name: &str| name.eq_ignore_ascii_case("onbuild");
    let nested = is_nested(&first.name);
    let (mut name, mut inner) = (first.name.clone(), first.rest);
    while is_nested(&name) && !inner.is_empty() {
        let next = split(&inner, escape);
        (name, inner) = (next.name, next.rest);
    }
    let mut json = false;
    if !is_nested(&name) {
        json = arguments(&name, &inner, escape)?.json;
    }
    let takes = ["add", "copy", "run"].contains(&first.name.to_lowercase().as_str());
    Ok(Arguments {
        words: vec![first.name],
        json: false,
        doubt: None,
        here_documents: takes && !nested && !json,
    })
}

/// `ENV` and `LABEL`: names and values in turn.
fn names_and_values(rest: &str, key: &str, escape: char) -> Result<Vec<String>, String> {
    let words = quoted_words(rest, escape);
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if !first.contains('=') {
        // The old form: one name, and all that follows is its value.
        let Some(end) = rest.find(is_blank) else {
            return Err(format!("{key} must have two arguments"));
        };
        let value = rest[end..].trim_start_matches(is_blank);
        return Ok(vec![rest[..end].to_owned(), value.to_owned()]);
    }
    let mut pairs = Vec::with_capacity(words.len() * 2);
    for word in &words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(format!(
                "Syntax error - can't find = in {}. Must be of the form: name=value",
                quote(word)
            ));
        };
        pairs.push(name.to_owned());
        pairs.push(value.to_owned());
    }
    Ok(pairs)
}

/// Words between white space that is not quoted; the quotes stay.
fn quoted_words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut inside = false;
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        if !inside {
            if c.is_whitespace() {
                continue;
            }
            inside = true;
        }
        let mut escaped = false;
        match quote {
            None => {
                if c.is_whitespace() {
                    inside = false;
                    words.push(std::mem::take(&mut word));
                    continue;
                }
                if matches!(c, '\'' | '"') {
                    quote = Some(c);
                }
                escaped = c == escape;
            }
            Some(open) if c == open => quote = None,
            // Nothing can be escaped between single quotes.
            Some(open) => escaped = c == escape && open != '\'',
        }
        if escaped {
            // An escape at the very end is dropped.
            let Some(next) = chars.next() else { break };
            word.push(c);
            word.push(next);
        } else {
            word.push(c);
        }
    }
    if inside && !word.is_empty() {
        words.push(word);
    }
    words
}
