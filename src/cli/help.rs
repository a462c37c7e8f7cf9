//! What `imgtar --help` lists, in groups: clap has one list of commands only.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::error::ContextKind;

use super::args::Color;
use super::error::hint;
use super::output::{Output, stdin};
use super::slips;
use super::wrap;

/// The commands by what people want to do. A test checks that every command is in one of them.
const GROUPS: [(&str, &[&str]); 5] = [
    (
        "Look",
        &[
            "images", "inspect", "layers", "history", "tree", "browse", "ls", "cat", "report",
        ],
    ),
    ("Check", &["verify"]),
    (
        "Compare and explain",
        &["diff", "blame", "find", "waste", "dockerfile"],
    ),
    (
        "Make",
        &[
            "flatten", "rebuild", "import", "commit", "squash", "convert", "select", "merge",
            "thin", "delta", "apply", "tag", "config", "rescue",
        ],
    ),
    ("Other", &["completions", "man", "help"]),
];

/// How far to the right the descriptions begin, in columns.
const INDENT: usize = 15;

/// How wide help is at most, in columns, as for the help of each command.
pub(super) const WIDTH: usize = 100;

/// What clap says instead of going on: where that is the help that lists the commands, with the commands in
/// groups. `arguments` are those of the process, its name first. Says what to exit with.
pub(super) fn say(mut error: clap::Error, command: &clap::Command, arguments: &[OsString]) -> u8 {
    let Some(help) = grouped(&error.render().ansi().to_string(), command) else {
        let slips = slips(&error, command, arguments);
        if !slips.is_empty() {
            // What only looks alike is not what was meant.
            error.remove(ContextKind::Suggested);
            error.remove(ContextKind::SuggestedSubcommand);
        }
        // A program that is printed to may have ended.
        _ = error.print();
        for meant in slips {
            hint(Output::new(Color::Auto), &meant);
        }
        return code_of(&error);
    };
    if error.use_stderr() {
        anstream::eprint!("{help}");
    } else {
        anstream::print!("{help}");
    }
    code_of(&error)
}

fn code_of(error: &clap::Error) -> u8 {
    u8::try_from(error.exit_code()).unwrap_or(u8::MAX)
}

/// What was meant, if that can be told.
fn slips(error: &clap::Error, command: &clap::Command, arguments: &[OsString]) -> Vec<String> {
    if !error.use_stderr() {
        return Vec::new();
    }
    let mut command = command.clone();
    command.build();
    let arguments = arguments.iter().skip(1);
    let arguments: Vec<String> = arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    slips::hints(error, &command, &arguments, stdin)
}

/// Help with its list of commands in groups; `None` if it has no such list.
fn grouped(help: &str, command: &clap::Command) -> Option<String> {
    let width = Output::width().map_or(WIDTH, |width| WIDTH.min(usize::from(width)));
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let (before, rest) = help.split_once(&format!("{header}Commands:{header:#}\n"))?;
    let (_, after) = rest.split_once("\n\n")?;
    let mut list = String::new();
    for (group, names) in GROUPS {
        _ = writeln!(list, "{header}{group}:{header:#}");
        for name in names {
            let Some(about) = about(command, name) else {
                continue;
            };
            _ = write!(list, "  {literal}{name:<12}{literal:#} ");
            let lines = wrap::lines(&about, width.saturating_sub(INDENT));
            _ = writeln!(list, "{}", lines.join(&format!("\n{:INDENT$}", "")));
        }
        list.push('\n');
    }
    Some(format!("{before}{list}{after}"))
}

/// What a command is for, with its other names.
fn about(command: &clap::Command, name: &str) -> Option<String> {
    if name == "help" {
        return Some("Print this message, or the help of a command".to_owned());
    }
    let found = command.find_subcommand(name)?;
    let mut about = found.get_about()?.to_string();
    let aliases: Vec<&str> = found.get_visible_aliases().collect();
    if !aliases.is_empty() {
        _ = write!(about, " [alias: {}]", aliases.join(", "));
    }
    Some(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let mut listed: Vec<&str> = GROUPS
            .iter()
            .flat_map(|(_, names)| names.iter().copied())
            .filter(|name| *name != "help")
            .collect();
        let command = super::super::parser();
        let mut known: Vec<&str> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .filter(|name| *name != "help")
            .collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
