//! The rules: what secrets in files look like.
//!
//! Each rule has literal texts that such a secret cannot do without. They are searched all at once, and only
//! where one stands is the rule's expression tried, anchored there and within [`WINDOW`] bytes. Expressions are
//! matched by `regex`, in time linear in those bytes, whatever an archive holds; so a file costs time
//! linear in its length.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::{Regex, RegexBuilder};

use super::kind::SecretKind;
use super::table::{Also, DOTENV, NAMED, NamedFile, RULES, Rule};
use super::values::{
    has_login, is_argument, is_jwt_of_a_manual, is_login, is_option, is_placeholder, is_random,
    is_url, is_word, label_of, masked,
};

/// How many bytes from its first literal on a secret is looked at, in bytes.
pub(super) const WINDOW: usize = 4096;

/// How many bytes before the literal belong to it, at most.
pub(super) const BEFORE: usize = 64;

/// What looks like a secret in a piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) kind: SecretKind,
    /// Where it begins and ends in the piece.
    pub(super) begin: usize,
    pub(super) end: usize,
    /// The part of it that may be shown.
    pub(super) masked: String,
}

/// All rules, ready to search.
pub(super) struct SecretRules {
    literals: AhoCorasick,
    /// The rule of each literal.
    of_literal: Vec<usize>,
    expressions: Vec<OnceLock<Regex>>,
    named: Vec<OnceLock<Regex>>,
}

/// Makes an expression of a table; all of them are tested.
fn expression(text: &str) -> Regex {
    let regex = RegexBuilder::new(text)
        .unicode(false)
        .multi_line(true)
        .build();
    regex.expect("the expressions of the tables are valid")
}

impl SecretRules {
    /// They are made once.
    pub(super) fn get() -> &'static Self {
        static ALL: OnceLock<SecretRules> = OnceLock::new();
        ALL.get_or_init(|| {
            let mut literals: Vec<&str> = Vec::new();
            let mut of_literal = Vec::new();
            for (number, rule) in RULES.iter().enumerate() {
                literals.extend(rule.1);
                of_literal.extend(rule.1.iter().map(|_| number));
            }
            let built = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .kind(Some(aho_corasick::AhoCorasickKind::DFA))
                .build(literals);
            Self {
                literals: built.expect("a few dozen short literals"),
                of_literal,
                expressions: RULES.iter().map(|_| OnceLock::new()).collect(),
                named: NAMED.iter().map(|_| OnceLock::new()).collect(),
            }
        })
    }

    /// Shows all hits whose literals begin in `from..until` of `piece` to `see`, which may end the search.
    /// Returns how far the last hit reaches, or 0.
    pub(super) fn search(
        &self,
        piece: &[u8],
        from: usize,
        until: usize,
        see: &mut dyn FnMut(Hit) -> std::ops::ControlFlow<()>,
    ) -> usize {
        let (mut from, mut reached) = (from, 0);
        while let Some(found) = self
            .literals
            .find(aho_corasick::Input::new(piece).span(from..piece.len()))
        {
            if found.start() >= until {
                break;
            }
            from = found.end();
            let number = self.of_literal[found.pattern().as_usize()];
            if let Some(hit) = self.try_rule(number, piece, found.start()) {
                from = from.max(hit.end);
                reached = hit.end;
                if see(hit).is_break() {
                    break;
                }
            }
        }
        reached
    }

    fn try_rule(&self, number: usize, piece: &[u8], at: usize) -> Option<Hit> {
        let Rule(kind, _, text, shown, also) = &RULES[number];
        let before = &piece[at.saturating_sub(BEFORE)..at];
        let last = before.last().copied();
        if *also == Also::Token && last.is_some_and(is_word) {
            return None;
        }
        let window = &piece[at..piece.len().min(at + WINDOW)];
        // Most of what these two find is ruled out without an expression.
        if *also == Also::Url && !has_login(window) || *also == Also::Argument && !is_option(before)
        {
            return None;
        }
        let anchored = || expression(&format!(r"\A(?:{text})"));
        let found = self.expressions[number]
            .get_or_init(anchored)
            .captures(window)?;
        let whole = found.get(0)?;
        let value = found
            .get(1)
            .map_or(whole.as_bytes(), |value| value.as_bytes());
        let next = window.get(whole.end()).copied();
        let holds = match also {
            Also::Nothing => true,
            Also::Token => !next.is_some_and(is_word) && is_random(whole.as_bytes(), *shown),
            Also::Value => !is_placeholder(value),
            Also::Argument => is_argument(value),
            Also::Login => is_login(value),
            Also::Jwt => !last.is_some_and(is_word) && !is_jwt_of_a_manual(value),
            Also::Url => is_url(before, value, &found),
        };
        holds.then(|| Hit {
            kind: *kind,
            begin: at,
            end: at + whole.end(),
            masked: match (kind, found.get(1)) {
                (SecretKind::PrivateKey, Some(label)) => {
                    label_of(label.as_bytes(), whole.as_bytes())
                }
                (SecretKind::Jwt, _) | (_, None) => masked(whole.as_bytes(), *shown),
                (_, Some(value)) => masked(value.as_bytes(), 0),
            },
        })
    }

    /// The number of the rule for a file of this path, and whether it holds `NAME=VALUE` lines.
    pub(super) fn named(path: &[u8]) -> Option<NamedRule> {
        let is = |names: &[&str]| {
            names
                .iter()
                .any(|name| path.ends_with(name.as_bytes()) || path == &name.as_bytes()[1..])
        };
        if is(DOTENV) {
            return Some(NamedRule::Dotenv);
        }
        let number = NAMED.iter().position(|NamedFile(_, names, _)| is(names))?;
        Some(NamedRule::Number(number))
    }

    /// Shows what a file that is made to hold secrets has.
    pub(super) fn in_named(&self, rule: NamedRule, file: &[u8], see: &mut dyn FnMut(Hit)) {
        let number = match rule {
            NamedRule::Dotenv => return in_dotenv(file, see),
            NamedRule::Number(number) => number,
        };
        let NamedFile(kind, _, text) = &NAMED[number];
        let regex = self.named[number].get_or_init(|| expression(text));
        for found in regex.captures_iter(file) {
            let Some(value) = found.get(1) else { continue };
            if *kind == SecretKind::PasswordHash || !is_placeholder(value.as_bytes()) {
                see(Hit {
                    kind: *kind,
                    begin: value.start(),
                    end: value.end(),
                    masked: masked(value.as_bytes(), 0),
                });
            }
        }
    }
}

/// The rule for a file that is made to hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedRule {
    /// It has `NAME=VALUE` lines.
    Dotenv,
    /// The rule of this number.
    Number(usize),
}

fn in_dotenv(file: &[u8], see: &mut dyn FnMut(Hit)) {
    let mut begin = 0;
    for line in file.split_inclusive(|&b| b == b'\n') {
        let at = begin;
        begin += line.len();
        let Ok(text) = std::str::from_utf8(line.trim_ascii()) else {
            continue;
        };
        let text = text.strip_prefix("export ").unwrap_or(text);
        let Some((name, value)) = text.split_once('=').filter(|_| !text.starts_with('#')) else {
            continue;
        };
        let value = value.trim().trim_matches(['"', '\'']);
        if super::config::is_named_secret(name.trim(), value) && !is_placeholder(value.as_bytes()) {
            see(Hit {
                kind: SecretKind::StoredPassword,
                begin: at,
                end: begin,
                masked: format!("{} = {}", name.trim(), masked(value.as_bytes(), 0)),
            });
        }
    }
}
