//! `man`: manual pages.

use std::io::{self, Write};
use std::path::PathBuf;

use clap_mangen::Man;

use super::{Context, Exit, Failure};
use crate::cli::destination::Destination;

/// Write manual pages into a directory
///
/// Writes one page for imgtar and one for each command. Creates the directory if it is missing, and
/// replaces pages of the same names.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let failed = |e| {
            Failure::environment(
                format!("cannot write manual pages to {}", self.directory.display()),
                &e,
            )
        };
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        let program = program();
        let commands = program.get_subcommands().cloned();
        for command in commands.chain([program.clone()]) {
            let (name, text) = page(command).map_err(failed)?;
            let path = self.directory.join(name);
            let mut page = Destination::open(&path, true, &context.files)?;
            page.write_all(text.as_bytes()).map_err(failed)?;
            page.finish()?;
        }
        Ok(Exit::Done)
    }
}

/// The program as the pages describe it.
fn program() -> clap::Command {
    // Pages do not depend on the commit, and `help` is an option of each command, too.
    let mut program = crate::cli::parser()
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true);
    program.build();
    program
}

/// The name of a manual page and its text.
fn page(mut command: clap::Command) -> io::Result<(String, String)> {
    // With every option in it a synopsis says nothing.
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let version = format!("imgtar {}", command.get_version().unwrap_or_default());
    let man = Man::new(command.override_usage(usage));
    let man = man.source(version).manual("imgtar manual");
    let mut text = Vec::new();
    man.render(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    // The generator knows no better name for what stands at the end.
    let text = text.replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n");
    let text = text.replace(".SH EXTRA\nExample:\n", ".SH EXAMPLES\n");
    Ok((man.get_filename(), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_name_the_program_and_what_options_can_be() {
        let program = program();
        let flatten = program.find_subcommand("flatten").expect("a command");
        let (name, text) = page(flatten.clone()).expect("a page");
        assert_eq!(name, "imgtar-flatten.1");
        let title = text.lines().find(|line| line.starts_with(".TH"));
        let title = title.expect("a title");
        assert!(title.contains("imgtar-flatten 1"), "{title}");
        assert!(
            title.contains("imgtar 0.") && !title.contains("flatten 0."),
            "{title}"
        );
        assert!(
            text.contains("imgtar flatten\\fR [OPTIONS] <ARCHIVE> [IMAGE]"),
            "{text}"
        );
        assert!(text.contains("zstd: As zstd compresses"), "{text}");
        assert!(
            text.contains(".SH EXAMPLES\n") && !text.contains("EXTRA"),
            "{text}"
        );
        let (name, text) = page(program).expect("a page");
        assert_eq!(name, "imgtar.1");
        assert!(text.contains("imgtar\\-flatten(1)"), "{text}");
    }
}
