//! Text into instructions: directives, comments, continued lines, here-documents (BuildKit's
//! `parser.go` and `directives.go`).

use super::Fault;
use super::shell::{Lexer, Variables};
use super::words::{Arguments, arguments, split};

/// How long a line may be, in bytes, as BuildKit's reader has it.
const LINE_LIMIT: usize = 65_535;

/// An instruction as written in the text.
#[derive(Debug)]
pub(super) struct ParsedLine {
    /// Its name as written.
    pub(super) name: String,
    pub(super) flags: Vec<String>,
    pub(super) arguments: Arguments,
    /// The whole line, continued lines joined.
    pub(super) original: String,
    /// The here-documents behind it.
    pub(super) here_documents: Vec<HereDocument>,
    /// The line it begins in, from 1.
    pub(super) line: usize,
}

/// A here-document of an inner instruction.
#[derive(Debug)]
pub(super) struct HereDocument {
    pub(super) name: String,
    pub(super) content: String,
    /// Whether leading tabs do not count.
    chomp: bool,
}

/// The lines of a text, with their line breaks, up to one that is too long.
struct Lines<'t> {
    rest: &'t str,
    /// How many were read.
    number: usize,
    too_long: bool,
}

impl<'t> Iterator for Lines<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() || self.too_long {
            return None;
        }
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        if line.trim_end_matches('\n').len() > LINE_LIMIT {
            self.too_long = true;
            return None;
        }
        self.rest = rest;
        self.number += 1;
        Some(line)
    }
}

/// Directives at the top of the text: comments of the form `# name=value`.
struct Directives {
    escape: char,
    seen: Vec<String>,
    done: bool,
}

impl Directives {
    /// Looks at a line. The first that holds no directive ends them.
    fn read(&mut self, line: &str) -> Result<(), String> {
        if self.done {
            return Ok(());
        }
        let Some((name, value)) = directive(line) else {
            self.done = true;
            return Ok(());
        };
        let name = name.to_ascii_lowercase();
        if !["escape", "syntax"].contains(&name.as_str()) {
            self.done = true;
            return Ok(());
        }
        if self.seen.contains(&name) {
            return Err(format!("only one {name} parser directive can be used"));
        }
        if name == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                other => {
                    return Err(format!(
                        "invalid escape token '{other}' does not match ` or \\"
                    ));
                }
            };
        }
        self.seen.push(name);
        Ok(())
    }
}

/// Name and value of a directive.
fn directive(line: &str) -> Option<(&str, &str)> {
    // What `\s` means to Go.
    let blank = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | '\r' | ' ');
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim_matches(blank), value.trim_matches(blank));
    let sound = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric());
    (sound && !value.is_empty()).then_some((name, value))
}

/// Takes a text apart into its instructions; also gives the escape character.
pub(super) fn parse(text: &str) -> Result<(Vec<ParsedLine>, char), Fault> {
    let mut directives = Directives {
        escape: '\\',
        seen: Vec::new(),
        done: false,
    };
    let mut lines = Lines {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        number: 0,
        too_long: false,
    };
    let mut nodes = Vec::new();
    while let Some(line) = lines.next() {
        let start = lines.number;
        let failed = |words| Fault { line: start, words };
        let line = trim_line_break(line).trim_start();
        directives.read(line).map_err(failed)?;
        let escape = directives.escape;
        if line.is_empty() || is_comment(line) {
            continue;
        }
        let (first, mut continued) = without_continuation(line, escape);
        let mut whole = first.to_owned();
        while continued {
            let Some(next) = lines.next() else { break };
            let next = trim_line_break(next);
            if is_comment(next) || next.trim_start().is_empty() {
                continue;
            }
            let (part, more) = without_continuation(next, escape);
            whole.push_str(part);
            continued = more;
        }
        let parts = split(&whole, escape);
        let arguments = arguments(&parts.name, &parts.rest, escape).map_err(failed)?;
        let takes = ["add", "copy", "run"].contains(&parts.name.to_lowercase().as_str());
        let mut here_documents = Vec::new();
        if whole.contains("<<") && (takes && !arguments.json || arguments.here_documents) {
            here_documents = here_documents_of(&whole).map_err(failed)?;
            for document in &mut here_documents {
                document.fill(&mut lines).map_err(failed)?;
            }
        }
        nodes.push(ParsedLine {
            name: parts.name,
            flags: parts.flags,
            arguments,
            original: whole,
            here_documents,
            line: start,
        });
    }
    if nodes.is_empty() {
        return Err(Fault {
            line: lines.number,
            words: "file with no instructions".to_owned(),
        });
    }
    if lines.too_long {
        return Err(Fault {
            line: lines.number + 1,
            words: format!("dockerfile line greater than max allowed size of {LINE_LIMIT}"),
        });
    }
    Ok((nodes, directives.escape))
}

fn trim_line_break(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// The line without an escape character at its end, and whether there was one. Two of them are an
/// escaped one, which continues nothing.
fn without_continuation(line: &str, escape: char) -> (&str, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

impl HereDocument {
    /// Reads the lines up to the one that is its name.
    fn fill(&mut self, lines: &mut Lines<'_>) -> Result<(), String> {
        for line in lines {
            let mut end = trim_line_break(line);
            if self.chomp {
                end = end.trim_start_matches('\t');
            }
            if end == self.name {
                return Ok(());
            }
            self.content.push_str(line);
        }
        Err("unterminated heredoc".to_owned())
    }
}

/// The here-documents that a line announces, without content.
fn here_documents_of(line: &str) -> Result<Vec<HereDocument>, String> {
    let nothing = Variables::default();
    // The escape character is always `\` here, whatever the directive says.
    let lexer = Lexer::new('\\', &nothing).raw_quotes().skip_unset();
    let words = lexer.raw_escapes().words(line).unwrap_or_default();
    let mut documents = Vec::new();
    for word in &words {
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(rest) = digits.strip_prefix("<<") else {
            continue;
        };
        let (chomp, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.is_empty() || rest.contains('<') {
            continue;
        }
        let names = Lexer::new('\\', &nothing).skip_unset().words(rest)?;
        if let [name] = &names[..] {
            documents.push(HereDocument {
                name: name.clone(),
                content: String::new(),
                chomp,
            });
        }
    }
    Ok(documents)
}
