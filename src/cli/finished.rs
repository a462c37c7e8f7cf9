//! What became of an output, and the line that says so when a command that writes is done.

use clap::Args;
use imgtar::report::units;
use imgtar::source::Compression;

use super::output::{Output, stderr_is_terminal};

/// Whether the closing line is wanted.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct QuietArg {
    /// Do not say what was written
    #[arg(short, long)]
    quiet: bool,
}

impl QuietArg {
    /// Whether nothing is to be said of what was written.
    pub(crate) fn is_given(self) -> bool {
        self.quiet
    }
}

/// An output that is complete.
#[derive(Debug)]
pub(crate) struct FinishedOutput {
    /// Its name, escaped for people.
    pub(crate) name: String,
    /// Whether it is standard output.
    pub(crate) is_stdout: bool,
    /// How many bytes it has.
    pub(crate) bytes: u64,
    /// How it is compressed as a whole, if it is, and how many bytes there were before.
    pub(crate) compressed: Option<(Compression, u64)>,
}

impl FinishedOutput {
    /// Its name and size, and the facts that matter about it.
    pub(crate) fn line(&self, facts: &[String]) -> String {
        let mut line = format!("{}: {}", self.name, units::size_spaced(self.bytes));
        if let Some((compression, before)) = self.compressed {
            let before = units::size_spaced(before);
            line = format!("{line} instead of {before}, compressed with {compression}");
        }
        for fact in facts {
            line.push_str(", ");
            line.push_str(fact);
        }
        line
    }

    /// Says so on standard error: the last line of a command. An output that went down a pipe
    /// unchanged is mentioned only on a terminal, since programs at both ends expect silence.
    pub(crate) fn say(&self, facts: &[String], quiet: QuietArg, output: Output) {
        let is_told = !self.is_stdout || self.compressed.is_some() || stderr_is_terminal();
        if is_told && !quiet.is_given() {
            output.complain(&format!("{}\n", self.line(facts)));
        }
    }
}

/// How many layers there are, and whether they were verified.
pub(crate) fn layers(count: usize, verified: bool) -> String {
    let layers = units::count(count, "layer", "layers");
    match (count, verified) {
        (0, _) => "no layers".to_owned(),
        (_, true) => format!("{layers} verified"),
        (_, false) => format!("{layers}, not verified"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_name_size_and_facts() {
        let mut placed = FinishedOutput {
            name: "rootfs.tar".to_owned(),
            is_stdout: false,
            bytes: 2_067_692_544,
            compressed: None,
        };
        let facts = ["46168 entries".to_owned(), layers(9, true)];
        assert_eq!(
            placed.line(&facts),
            "rootfs.tar: 2.068 GB, 46168 entries, 9 layers verified"
        );
        placed.compressed = Some((Compression::Zstd, 4_000_000_000));
        assert_eq!(
            placed.line(&[layers(1, false)]),
            "rootfs.tar: 2.068 GB instead of 4 GB, compressed with zstd, 1 layer, not verified"
        );
    }
}
