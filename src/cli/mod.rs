//! Arguments in, answers out. The only folder that knows of terminals.

mod advice;
mod archive_output;
mod args;
mod blocks;
mod browse;
mod carried;
mod checksum_file;
mod commands;
mod compared;
mod compress;
mod delta_note;
mod destination;
mod dive_ci;
mod error;
mod exit;
mod files;
mod finished;
mod help;
mod html;
mod interrupted;
mod layer_paths;
mod locale;
mod output;
mod progress;
mod render;
mod signals;
mod slips;
mod thin_note;
mod unfinished;
mod wrap;
mod xattrs;

use std::ffi::OsString;
use std::panic;

use clap::{CommandFactory, Parser, Subcommand};
use imgtar::base::progress::steps;

use args::Global;
use commands::{
    Context, apply, blame, cat, commit, completions, config, convert, delta, diff, dockerfile,
    find, flatten, history, images, import, inspect, layers, ls, man, merge, rebuild, report,
    rescue, select, squash, tag, thin, tree, verify, waste,
};
use error::Failure;
use exit::Exit;
use output::Output;

/// Look inside container image archives; check, flatten and make them. Works on tar files alone: no
/// daemon, no registry, no root
#[derive(Debug, Parser)]
#[command(
    name = "imgtar",
    version = env!("IMGTAR_VERSION"),
    propagate_version = true,
    max_term_width = help::WIDTH
)]
#[command(after_help = "Examples:
  imgtar images app.tar
  docker save app:1.2 | imgtar verify -
  imgtar history app.tar.gz app:1.2 --no-trunc
  imgtar flatten app.tar -o rootfs.tar
  imgtar import rootfs.tar -o app.tar -t app:2 -c 'CMD [\"app\"]'

An ARCHIVE is a path, or - for standard input. Layouts and compressions are recognised by content:
what any version of docker save wrote, OCI image layouts, and both compressed with gzip, bzip2, xz
or zstd.

Exit codes: 0 done, 1 the answer is no, 2 usage, 3 the archive is invalid or unsupported, or
lacks what was asked for, 4 the environment failed, 70 a bug in imgtar.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Images(images::Args),
    Inspect(inspect::Args),
    Layers(layers::Args),
    History(history::Args),
    Tree(tree::Args),
    Browse(commands::browse::Args),
    Ls(ls::Args),
    Cat(cat::Args),
    Find(find::Args),
    Blame(blame::Args),
    Waste(waste::Args),
    Diff(diff::Args),
    Dockerfile(dockerfile::Args),
    Verify(verify::Args),
    Report(report::Args),
    #[command(visible_alias = "export")]
    Flatten(flatten::Args),
    Rebuild(rebuild::Args),
    Import(import::Args),
    Commit(commit::Args),
    Squash(squash::Args),
    Convert(convert::Args),
    Select(select::Args),
    Merge(merge::Args),
    Thin(thin::Args),
    Delta(delta::Args),
    Apply(apply::Args),
    Rescue(rescue::Args),
    Tag(tag::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Whether it writes something else than its answer, whatever its options are.
    fn writes(&self) -> bool {
        matches!(
            self,
            Self::Report(_)
                | Self::Flatten(_)
                | Self::Rebuild(_)
                | Self::Import(_)
                | Self::Commit(_)
                | Self::Squash(_)
                | Self::Convert(_)
                | Self::Select(_)
                | Self::Merge(_)
                | Self::Thin(_)
                | Self::Delta(_)
                | Self::Apply(_)
                | Self::Tag(_)
                | Self::Config(_)
        )
    }

    fn run(&self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Images(args) => args.run(context),
            Self::Inspect(args) => args.run(context),
            Self::Layers(args) => args.run(context),
            Self::History(args) => args.run(context),
            Self::Tree(args) => args.run(context),
            Self::Browse(args) => args.run(context),
            Self::Ls(args) => args.run(context),
            Self::Cat(args) => args.run(context),
            Self::Find(args) => args.run(context),
            Self::Blame(args) => args.run(context),
            Self::Waste(args) => args.run(context),
            Self::Diff(args) => args.run(context),
            Self::Dockerfile(args) => args.run(context),
            Self::Verify(args) => args.run(context),
            Self::Report(args) => args.run(context),
            Self::Flatten(args) => args.run(context),
            Self::Rebuild(args) => args.run(context),
            Self::Import(args) => args.run(context),
            Self::Commit(args) => args.run(context),
            Self::Squash(args) => args.run(context),
            Self::Convert(args) => args.run(context),
            Self::Select(args) => args.run(context),
            Self::Merge(args) => args.run(context),
            Self::Thin(args) => args.run(context),
            Self::Delta(args) => args.run(context),
            Self::Apply(args) => args.run(context),
            Self::Rescue(args) => args.run(context),
            Self::Tag(args) => args.run(context),
            Self::Config(args) => args.run(context),
            Self::Completions(args) => args.run(context),
            Self::Man(args) => args.run(context),
        }
    }
}

/// The environment variable that makes a debug build panic, so that the tests see how a bug ends.
const TEST_PANIC: &str = "IMGTAR_TEST_PANIC";

/// Runs the program with these arguments, the program's name first; says what to exit with.
pub(crate) fn run(arguments: &[OsString]) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return help::say(error, &parser(), arguments),
    };
    let output = Output::new(cli.global.color);
    signals::survive_size_limits();
    if cli.command.writes() {
        interrupted::will_write();
    }
    // A panic is a bug whatever the input; its message goes to stderr as usual, its exit code says
    // what it is.
    let exit = panic::catch_unwind(|| {
        let is_test = cfg!(debug_assertions) && std::env::var_os(TEST_PANIC).is_some();
        assert!(!is_test, "{TEST_PANIC} is set");
        let context = Context::new(&cli.global, output);
        if cli.command.writes() {
            context.progress.plan(&[steps::WRITING]);
        }
        match cli.command.run(&context) {
            Ok(exit) => exit,
            Err(failure) => {
                signals::wait_for_the_end();
                failure.report(output)
            }
        }
    });
    exit.unwrap_or_else(|_| {
        output.complain(
            "error: this is a bug in imgtar; please report it with the archive or the command that shows it\n",
        );
        Exit::Bug
    })
    .code()
}

/// What the program would advise on an error of the library, for the Python module, which is built of these sources.
#[allow(dead_code, reason = "the program prints advice by itself")]
pub(crate) fn hints(error: &imgtar::Error) -> Vec<String> {
    advice::Advice::on(error).hints
}

/// The argument parser as data, for completions and manual pages.
fn parser() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_parser_is_consistent() {
        super::parser().debug_assert();
    }
}
