//! What differs in the text of a file, as `diff -u` prints it.

use std::io::{self, Read, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use imgtar::base::escape;
use imgtar::tree::{FileReader, Tree};
use similar::{ChangeTag, DiffableStr, TextDiff};

use crate::cli::error::Failure;
use crate::cli::output::Stop;

/// How long a file may be of which the text is compared, in bytes and in lines: both are held in memory.
const LONGEST: u64 = 8 << 20;
const MOST_LINES: usize = 200_000;
/// How much of a file is looked at to see whether it is text, in bytes, as git does.
const LOOKED_AT: usize = 8000;
/// How long the shortest difference is looked for. After that a longer one is good enough.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many lines are shown around what differs.
const CONTEXT: usize = 3;

const HEAD: Style = Style::new().bold();
const HUNK: Style = AnsiColor::Cyan.on_default();
const OLD: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();

/// A file of one of the trees.
pub(crate) struct PatchFile<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) path: Vec<u8>,
}

impl<'t> PatchFile<'t> {
    fn open(&self) -> Result<FileReader<'t>, Failure> {
        Ok(self.tree.file(&self.path)?)
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let path = escape::name(&self.path);
        Failure::environment(format!("`{path}` cannot be read"), error)
    }
}

/// Prints what differs between two files; whether they are the same. For `people` it has styles, and what would act
/// on a terminal is made visible; otherwise the bytes of both files are as they are.
pub(crate) fn patch(
    out: &mut dyn Write,
    old: Option<&PatchFile<'_>>,
    new: Option<&PatchFile<'_>>,
    people: bool,
) -> Result<bool, Stop> {
    let name = |file: Option<&PatchFile<'_>>, letter: &str| match file {
        Some(file) => format!("{letter}/{}", escape::name(&file.path)),
        None => "/dev/null".to_owned(),
    };
    let (old_name, new_name) = (name(old, "a"), name(new, "b"));
    let size = |file: Option<&PatchFile<'_>>| -> Result<u64, Failure> {
        file.map_or(Ok(0), |file| Ok(file.open()?.size()))
    };
    if size(old)?.max(size(new)?) > LONGEST {
        let same = are_same(old, new)?;
        if !same {
            too_long(out, &old_name, &new_name)?;
        }
        return Ok(same);
    }
    let (one, other) = (content(old)?, content(new)?);
    if one == other && old.is_some() == new.is_some() {
        return Ok(true);
    }
    if is_binary(&one) || is_binary(&other) {
        writeln!(out, "Binary files {old_name} and {new_name} differ")?;
        return Ok(false);
    }
    let lines = |text: &[u8]| text.split(|b| *b == b'\n').count();
    if lines(&one).max(lines(&other)) > MOST_LINES {
        too_long(out, &old_name, &new_name)?;
        return Ok(false);
    }
    let head = styled(HEAD, people);
    writeln!(out, "{head}--- {old_name}{head:#}")?;
    writeln!(out, "{head}+++ {new_name}{head:#}")?;
    hunks(out, &one, &other, people)?;
    Ok(false)
}

fn too_long(out: &mut dyn Write, old: &str, new: &str) -> io::Result<()> {
    writeln!(
        out,
        "Files {old} and {new} differ; they are too long to show how"
    )
}

/// Whether two files have the same bytes, without holding them.
fn are_same(old: Option<&PatchFile<'_>>, new: Option<&PatchFile<'_>>) -> Result<bool, Failure> {
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(false);
    };
    let (mut one, mut other) = (old.open()?, new.open()?);
    if one.size() != other.size() {
        return Ok(false);
    }
    let mut buffers = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let n = one.read(&mut buffers.0).map_err(|e| old.failed(&e))?;
        let read = other.read_exact(&mut buffers.1[..n]);
        read.map_err(|e| new.failed(&e))?;
        if buffers.0[..n] != buffers.1[..n] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn content(file: Option<&PatchFile<'_>>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if let Some(file) = file {
        let mut reader = file.open()?;
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| file.failed(&error))?;
    }
    Ok(bytes)
}

fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(LOOKED_AT)].contains(&0)
}

fn styled(style: Style, people: bool) -> Style {
    if people { style } else { Style::new() }
}

/// Only line feeds end lines, as for `diff` and `patch`.
fn hunks(out: &mut dyn Write, old: &[u8], new: &[u8], people: bool) -> io::Result<()> {
    let old: Vec<&[u8]> = old.split_inclusive(|&b| b == b'\n').collect();
    let new: Vec<&[u8]> = new.split_inclusive(|&b| b == b'\n').collect();
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_slices(&old, &new);
    let mut unified = diff.unified_diff();
    for hunk in unified.context_radius(CONTEXT).iter_hunks() {
        let head = styled(HUNK, people);
        writeln!(out, "{head}{}{head:#}", hunk.header())?;
        for change in hunk.iter_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Equal => (' ', Style::new()),
                ChangeTag::Delete => ('-', OLD),
                ChangeTag::Insert => ('+', NEW),
            };
            let style = styled(style, people);
            let line: &[u8] = change.value();
            let (text, end) = match line.strip_suffix(b"\n") {
                Some(text) => (text, "\n"),
                None => (line, "\n\\ No newline at end of file\n"),
            };
            write!(out, "{style}{sign}")?;
            if people {
                let text = String::from_utf8_lossy(text);
                write!(out, "{}", escape::text_but(&text, "\t"))?;
            } else {
                out.write_all(text.as_bytes())?;
            }
            write!(out, "{style:#}{end}")?;
        }
    }
    Ok(())
}
