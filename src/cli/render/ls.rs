//! The lines of `ls`.

use std::io::{self, Write};
use std::ops::ControlFlow;

use imgtar::base::escape;
use imgtar::report::{FileType, Listing, ListingPlace, LsEntry, TreeListing, units};

use super::marks::Page;
use super::paint::Paint;
use crate::cli::error::Failure;
use crate::cli::output::Stop;

/// How files are listed.
#[derive(Debug)]
pub(crate) struct LsLook {
    /// The colours of names.
    pub(crate) paint: Paint,
    /// Sizes are whole numbers of bytes.
    pub(crate) bytes: bool,
}

impl LsLook {
    fn size(&self, bytes: u64) -> String {
        if self.bytes {
            bytes.to_string()
        } else {
            units::size(bytes)
        }
    }

    /// How wide the sizes of these files are at the most.
    fn widest_size(&self, files: &dyn Listing) -> Result<usize, Stop> {
        let mut widest = WIDEST_SIZE;
        if self.bytes {
            each(files, &mut |entry, _| {
                widest = widest.max(digits(entry.size));
                Ok(())
            })?;
        }
        Ok(widest)
    }
}

/// The most that a size for people takes: `1e+03kB`.
const WIDEST_SIZE: usize = 7;

/// One path on each line, directories with a slash behind.
pub(crate) fn names(out: &mut dyn Write, files: &dyn Listing, look: &LsLook) -> Result<(), Stop> {
    each(files, &mut |entry, _| {
        look.paint.name(out, entry, 0)?;
        out.write_all(b"\n")
    })
}

/// The same for files of the merged tree, of which nothing but the names is looked at: without colours.
pub(crate) fn merged_names(out: &mut dyn Write, files: &TreeListing<'_>) -> Result<(), Stop> {
    let mut written = Ok(());
    files.names(&mut |path, directory| {
        let line = name(out, path, directory).and_then(|()| out.write_all(b"\n"));
        go_on(line, &mut written)
    });
    Ok(written?)
}

/// Mode, owner, size, time, layer, path and link target, below a heading.
pub(crate) fn long(out: &mut dyn Write, files: &dyn Listing, look: &LsLook) -> Result<(), Stop> {
    let (mut owners, mut layers) = ("OWNER".len(), "LAYER".len());
    let mut sizes = look.widest_size(files)?;
    let mut none = true;
    each(files, &mut |entry, _| {
        none = false;
        owners = owners.max(digits(entry.uid) + 1 + digits(entry.gid));
        if let Some((major, minor)) = entry.device {
            sizes = sizes.max(digits(major) + 1 + digits(minor));
        }
        layers = layers.max(digits(entry.layer));
        Ok(())
    })?;
    if none {
        return Ok(());
    }
    writeln!(
        out,
        "{:<10}  {:<owners$}  {:>sizes$}  {:<19}  {:>layers$}  PATH",
        "MODE", "OWNER", "SIZE", "MODIFIED", "LAYER"
    )?;
    each(files, &mut |entry, _| {
        let owner = format!("{}:{}", entry.uid, entry.gid);
        let size = match entry.device {
            Some((major, minor)) => format!("{major},{minor}"),
            None => look.size(entry.size),
        };
        // Whole seconds are enough for people; RFC 3339 is in the JSON.
        let time = entry.mtime.map_or_else(
            || "-".to_owned(),
            |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        );
        write!(
            out,
            "{}  {owner:<owners$}  {size:>sizes$}  {time:<19}  {:>layers$}  ",
            mode(entry),
            entry.layer,
        )?;
        look.paint.name(out, entry, 0)?;
        target(out, entry)?;
        out.write_all(b"\n")
    })
}

/// A drawing of the tree, sizes to the left of it.
pub(crate) fn drawn(out: &mut dyn Write, files: &dyn Listing, look: &LsLook) -> Result<(), Stop> {
    let sizes = look.widest_size(files)?;
    let page = Page::new(None, true);
    // What stands before a branch, and where the part for each depth ends.
    let mut above = String::new();
    let mut ends: Vec<usize> = vec![0];
    each(files, &mut |entry, place| {
        let ListingPlace { depth, last } = place;
        write!(out, "{:>sizes$}  ", look.size(entry.size))?;
        ends.truncate(depth + 1);
        above.truncate(ends.last().copied().unwrap_or(0));
        out.write_all(above.as_bytes())?;
        out.write_all(page.branch(last).as_bytes())?;
        above.push_str(page.stem(last));
        ends.push(above.len());
        let path = &entry.path.0;
        let base = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
        look.paint.name(out, entry, base)?;
        target(out, entry)?;
        out.write_all(b"\n")
    })
}

/// Goes through a listing until something cannot be written.
fn each(
    files: &dyn Listing,
    write: &mut dyn FnMut(&LsEntry, ListingPlace) -> io::Result<()>,
) -> Result<(), Stop> {
    let mut written = Ok(());
    files
        .each(&mut |entry, place| go_on(write(entry, place), &mut written))
        .map_err(Failure::from)?;
    Ok(written?)
}

/// Keeps the error of a line, which breaks the listing off.
fn go_on(line: io::Result<()>, written: &mut io::Result<()>) -> ControlFlow<()> {
    match line {
        Ok(()) => ControlFlow::Continue(()),
        error => {
            *written = error;
            ControlFlow::Break(())
        }
    }
}

fn name(out: &mut dyn Write, path: &[u8], directory: bool) -> io::Result<()> {
    escape::name(path).write_to(out)?;
    if directory && !path.ends_with(b"/") {
        out.write_all(b"/")?;
    }
    Ok(())
}

/// Where a link points; that a hard link is one.
fn target(out: &mut dyn Write, entry: &LsEntry) -> io::Result<()> {
    let Some(target) = &entry.target else {
        return Ok(());
    };
    let arrow = if entry.kind == FileType::Hardlink {
        " link to "
    } else {
        " -> "
    };
    out.write_all(arrow.as_bytes())?;
    escape::name(&target.0).write_to(out)
}

/// How many characters a number takes.
fn digits(number: impl TryInto<i128>) -> usize {
    let number = number.try_into().unwrap_or(0);
    let sign = usize::from(number < 0);
    let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0);
    sign + 1 + digits as usize
}

/// What `ls -l` shows of a file's type and mode.
pub(crate) fn mode(entry: &LsEntry) -> String {
    let kind = match entry.kind {
        FileType::File => '-',
        FileType::Dir => 'd',
        FileType::Symlink => 'l',
        FileType::Hardlink => 'h',
        FileType::Char => 'c',
        FileType::Block => 'b',
        FileType::Fifo => 'p',
        FileType::Unknown => '?',
    };
    let bit = |mask: u16, c: char| if entry.mode & mask == 0 { '-' } else { c };
    let execute = |execute: u16, special: u16, both: char, alone: char| match (
        entry.mode & execute != 0,
        entry.mode & special != 0,
    ) {
        (true, true) => both,
        (false, true) => alone,
        (true, false) => 'x',
        (false, false) => '-',
    };
    [
        kind,
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        execute(0o100, 0o4000, 's', 'S'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        execute(0o010, 0o2000, 's', 'S'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        execute(0o001, 0o1000, 't', 'T'),
    ]
    .iter()
    .collect()
}
