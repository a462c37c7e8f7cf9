//! Quotes and variables (BuildKit's `shell/lex.go`).
//!
//! Long: one lexer, in the order of BuildKit's `shell/lex.go`.

use std::cell::Cell;

use super::go::quote;
use super::pattern::{replace, trim_prefix, trim_suffix};

/// How deep `${…}` may be nested.
const DEPTH_LIMIT: usize = 100;

/// How many bytes the words of one set of changes may have once variables are expanded.
const EXPANSION_LIMIT: usize = 16 << 20;

/// The variables that can be expanded, and how much of the limit is used up.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// `NAME=value`; of several of one name the last one counts.
    pub(super) env: Vec<String>,
    expanded: Cell<usize>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self
            .env
            .iter()
            .rev()
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Counts what was expanded.
    fn spend(&self, bytes: usize) -> Result<(), String> {
        let sum = self.expanded.get().saturating_add(bytes);
        self.expanded.set(sum);
        if sum > EXPANSION_LIMIT {
            return Err(format!(
                "variables expand to more than {} MiB",
                EXPANSION_LIMIT >> 20
            ));
        }
        Ok(())
    }

    /// How much may still be expanded, in bytes.
    fn left(&self) -> usize {
        EXPANSION_LIMIT.saturating_sub(self.expanded.get())
    }
}

/// Removes quotes and expands variables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'v> {
    escape: char,
    variables: &'v Variables,
    raw_quotes: bool,
    raw_escapes: bool,
    skip_unset: bool,
}

impl<'v> Lexer<'v> {
    pub(super) fn new(escape: char, variables: &'v Variables) -> Self {
        Self {
            escape,
            variables,
            raw_quotes: false,
            raw_escapes: false,
            skip_unset: false,
        }
    }

    /// Keeps quotes.
    pub(super) fn raw_quotes(mut self) -> Self {
        self.raw_quotes = true;
        self
    }

    /// Keeps escape characters.
    pub(super) fn raw_escapes(mut self) -> Self {
        self.raw_escapes = true;
        self
    }

    /// Leaves variables alone that are not set.
    pub(super) fn skip_unset(mut self) -> Self {
        self.skip_unset = true;
        self
    }

    /// The text with quotes removed and variables expanded.
    pub(super) fn word(self, text: &str) -> Result<String, String> {
        Ok(self.run(text)?.0)
    }

    /// The same, split where white space is neither quoted nor escaped; that from variables counts.
    pub(super) fn words(self, text: &str) -> Result<Vec<String>, String> {
        Ok(self.run(text)?.1)
    }

    fn run(self, text: &str) -> Result<(String, Vec<String>), String> {
        let raw_escapes = self.raw_escapes;
        let mut run = Run {
            lexer: self,
            // Go's scanner drops a byte order mark at the beginning.
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            raw_escapes,
            depth: 0,
        };
        let done = run
            .until(None)
            .and_then(|done| self.variables.spend(done.0.len()).map(|()| done));
        done.map_err(|why| format!("failed to process {}: {why}", quote(text)))
    }
}

/// A lexer at work.
struct Run<'t, 'v> {
    lexer: Lexer<'v>,
    rest: &'t str,
    raw_escapes: bool,
    depth: usize,
}

/// Words as they grow.
#[derive(Default)]
struct Words {
    word: String,
    words: Vec<String>,
}

impl Words {
    fn add(&mut self, c: char) {
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

impl Run<'_, '_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// Reads up to and including `stop`, or to the end without one.
    fn until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), String> {
        let mut result = String::new();
        let mut words = Words::default();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.next();
                return Ok((result, words.finish()));
            }
            match c {
                '\'' => {
                    let text = self.single_quote()?;
                    result.push_str(&text);
                    words.word.push_str(&text);
                }
                '"' => {
                    let text = self.double_quote()?;
                    result.push_str(&text);
                    words.word.push_str(&text);
                }
                '$' => {
                    let text = self.dollar()?;
                    result.push_str(&text);
                    text.chars().for_each(|c| words.add(c));
                }
                c if c == self.lexer.escape => {
                    self.next();
                    if self.raw_escapes {
                        words.word.push(c);
                        result.push(c);
                    }
                    // At the very end it escapes nothing.
                    let Some(next) = self.next() else { break };
                    words.word.push(next);
                    result.push(next);
                }
                c => {
                    self.next();
                    words.add(c);
                    result.push(c);
                }
            }
        }
        match stop {
            Some(stop) => Err(format!(
                "unexpected end of statement while looking for matching {stop}"
            )),
            None => Ok((result, words.finish())),
        }
    }

    fn single_quote(&mut self) -> Result<String, String> {
        const OPEN: &str = "unexpected end of statement while looking for matching single-quote";
        let mut result = String::new();
        self.next();
        if self.lexer.raw_quotes {
            result.push('\'');
        }
        loop {
            match self.next() {
                None => return Err(OPEN.to_owned()),
                Some('\'') => break,
                Some(c) => result.push(c),
            }
        }
        if self.lexer.raw_quotes {
            result.push('\'');
        }
        Ok(result)
    }

    fn double_quote(&mut self) -> Result<String, String> {
        const OPEN: &str = "unexpected end of statement while looking for matching double-quote";
        let mut result = String::new();
        self.next();
        if self.lexer.raw_quotes {
            result.push('"');
        }
        loop {
            match self.peek() {
                None => return Err(OPEN.to_owned()),
                Some('"') => {
                    self.next();
                    break;
                }
                Some('$') => result.push_str(&self.dollar()?),
                Some(c) => {
                    self.next();
                    if c != self.lexer.escape {
                        result.push(c);
                        continue;
                    }
                    if self.raw_escapes {
                        result.push(c);
                    }
                    match self.peek() {
                        None => {}
                        // These can be escaped; before anything else the escape character means itself.
                        Some(next) if matches!(next, '"' | '$') || next == c => {
                            self.next();
                            result.push(next);
                        }
                        Some(_) => result.push(c),
                    }
                }
            }
        }
        if self.lexer.raw_quotes {
            result.push('"');
        }
        Ok(result)
    }

    /// `$NAME` and `${NAME…}`.
    fn dollar(&mut self) -> Result<String, String> {
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return match self.lexer.variables.get(&name) {
                Some(value) => self.taken(value),
                None if self.lexer.skip_unset => Ok(format!("${name}")),
                None => Ok(String::new()),
            };
        }
        self.next();
        match self.peek() {
            None => return Err(missing_brace()),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".to_owned()),
            Some(_) => {}
        }
        if self.depth == DEPTH_LIMIT {
            return Err(format!(
                "more than {DEPTH_LIMIT} substitutions in each other"
            ));
        }
        self.depth += 1;
        let value = self.substitution();
        self.depth -= 1;
        value
    }

    /// A variable's value, counted.
    fn taken(&self, value: &str) -> Result<String, String> {
        self.lexer.variables.spend(value.len())?;
        Ok(value.to_owned())
    }

    /// What stands between the braces.
    fn substitution(&mut self) -> Result<String, String> {
        let name = self.name();
        // Go shows the end of the text as a character that does not exist.
        let end = '\u{fffd}';
        let mut operator = self.next().unwrap_or(end);
        let mut written = operator.to_string();
        let mut null_is_unset = false;
        match operator {
            '}' => {
                return match self.lexer.variables.get(&name) {
                    Some(value) => self.taken(value),
                    None if self.lexer.skip_unset => Ok(format!("${{{name}}}")),
                    None => Ok(String::new()),
                };
            }
            ':' => {
                null_is_unset = true;
                operator = self.next().unwrap_or(end);
                written.push(operator);
            }
            '+' | '-' | '?' | '#' | '%' => {}
            '/' => return self.replacement(&name),
            _ => return Err(unsupported(&written)),
        }
        let raw = matches!(operator, '#' | '%');
        let word = self.inner('}', raw, missing_brace)?;
        let value = self.lexer.variables.get(&name);
        if self.lexer.skip_unset && value.is_none() {
            return Ok(format!("${{{name}{written}{word}}}"));
        }
        // A value that counts as one.
        let set = value.filter(|value| !(null_is_unset && value.is_empty()));
        match operator {
            '-' => set.map_or(Ok(word), |value| self.taken(value)),
            '+' => Ok(set.map_or_else(String::new, |_| word)),
            '?' => match (set, value) {
                (Some(value), _) => self.taken(value),
                (None, _) if !word.is_empty() => Err(format!("{name}: {word}")),
                (None, None) => Err(format!("{name}: is not allowed to be unset")),
                (None, Some(_)) => Err(format!("{name}: is not allowed to be empty")),
            },
            '#' | '%' => {
                let (pattern, greedy) = match word.strip_prefix(operator) {
                    Some(pattern) => (pattern, true),
                    None => (word.as_str(), false),
                };
                let value = self.taken(value.unwrap_or_default())?;
                if operator == '#' {
                    trim_prefix(pattern, &value, greedy)
                } else {
                    trim_suffix(pattern, &value, greedy)
                }
            }
            _ => Err(unsupported(&written)),
        }
    }

    /// `${NAME/pattern/replacement}`, with `//` for all that match.
    fn replacement(&mut self, name: &str) -> Result<String, String> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.inner('/', true, || "syntax error: missing '/' in ${}".to_owned())?;
        let replacement = self.inner('}', true, missing_brace)?;
        let value = self.lexer.variables.get(name);
        if self.lexer.skip_unset && value.is_none() {
            return Ok(format!("${{{name}/{pattern}/{replacement}}}"));
        }
        let value = value.unwrap_or_default();
        let room = self.lexer.variables.left();
        let replaced = replace(&pattern, value, &replacement, all, room)?;
        self.lexer.variables.spend(replaced.len())?;
        Ok(replaced)
    }

    /// Reads up to `stop` inside of braces.
    fn inner(
        &mut self,
        stop: char,
        raw_escapes: bool,
        at_end: impl Fn() -> String,
    ) -> Result<String, String> {
        let before = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let read = self.until(Some(stop));
        self.raw_escapes = before;
        match read {
            Ok((word, _)) => Ok(word),
            Err(_) if self.peek().is_none() => Err(at_end()),
            Err(why) => Err(why),
        }
    }

    /// A variable's name: letters, digits and `_`; or a number; or one of the shell's own.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if name.is_empty() && c.is_ascii_digit() {
                while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
                    self.next();
                    name.push(digit);
                }
                return name;
            }
            if name.is_empty() && matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!') {
                self.next();
                return c.to_string();
            }
            if !c.is_alphanumeric() && c != '_' {
                break;
            }
            self.next();
            name.push(c);
        }
        name
    }
}

fn missing_brace() -> String {
    "syntax error: missing '}'".to_owned()
}

fn unsupported(operator: &str) -> String {
    format!("unsupported modifier ({operator}) in substitution")
}
