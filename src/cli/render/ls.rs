//! The lines of `ls`.

use std::fmt::Write as _;

use imgtar::report::{FileType, LsEntry, Text, units};

use super::problems::lossy;

/// One path a line, directories with a slash behind.
pub(crate) fn names(entries: &[LsEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        _ = writeln!(text, "{}", name(entry));
    }
    text
}

/// Mode, owner, size, time, layer, path and link target.
pub(crate) fn long(entries: &[LsEntry]) -> String {
    let owner = |entry: &LsEntry| format!("{}:{}", entry.uid, entry.gid);
    let size = |entry: &LsEntry| match entry.device {
        Some((major, minor)) => format!("{major},{minor}"),
        None => entry.size.to_string(),
    };
    let width = |cell: &dyn Fn(&LsEntry) -> String| {
        entries
            .iter()
            .map(|entry| cell(entry).len())
            .max()
            .unwrap_or(0)
    };
    let owners = width(&owner);
    let sizes = width(&size);
    let layers = entries
        .iter()
        .map(|entry| entry.layer.to_string().len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for entry in entries {
        let time = entry.mtime.as_deref().unwrap_or("-");
        // Whole seconds are enough for people; RFC 3339 is in the JSON.
        let time = time
            .split(['.', 'Z'])
            .next()
            .unwrap_or(time)
            .replace('T', " ");
        let arrow = match (entry.kind, &entry.target) {
            (FileType::Hardlink, Some(target)) => format!(" link to {}", lossy(target)),
            (_, Some(target)) => format!(" -> {}", lossy(target)),
            _ => String::new(),
        };
        _ = writeln!(
            text,
            "{} {:<owners$} {:>sizes$} {time:<19} {:>layers$} {}{arrow}",
            mode(entry),
            owner(entry),
            size(entry),
            entry.layer,
            name(entry),
        );
    }
    text
}

/// A drawing; the depth of each path is the number of its slashes below the common root.
pub(crate) fn drawn(entries: &[LsEntry]) -> String {
    let depths: Vec<usize> = entries
        .iter()
        .map(|e| e.path.0.split(|&b| b == b'/').count())
        .collect();
    let top = depths.iter().copied().min().unwrap_or(0);
    // Whether something of the same depth follows before the branch ends: looked at from behind.
    let mut last = vec![true; entries.len()];
    let mut open: Vec<bool> = Vec::new();
    for (i, depth) in depths.iter().enumerate().rev() {
        let depth = depth - top;
        open.resize(depth + 1, false);
        last[i] = !std::mem::replace(&mut open[depth], true);
    }
    let mut text = String::new();
    let mut ended: Vec<bool> = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let depth = depths[i] - top;
        ended.resize(depth + 1, false);
        for above in &ended[..depth] {
            text.push_str(if *above { "  " } else { "│ " });
        }
        ended[depth] = last[i];
        text.push_str(if last[i] { "└─" } else { "├─" });
        let base = entry
            .path
            .0
            .rsplit(|&b| b == b'/')
            .next()
            .unwrap_or_default();
        let base = Text(base.to_vec());
        let slash = if entry.kind == FileType::Dir { "/" } else { "" };
        let arrow = entry
            .target
            .as_ref()
            .map_or_else(String::new, |target| format!(" -> {}", lossy(target)));
        _ = writeln!(
            text,
            "{}{slash}{arrow} {}",
            lossy(&base),
            units::size(entry.size)
        );
    }
    text
}

fn name(entry: &LsEntry) -> String {
    shown(&entry.path, entry.kind == FileType::Dir)
}

/// The line of one path of the merged tree.
pub(crate) fn name_line(path: &[u8], directory: bool) -> String {
    shown(&Text(path.to_vec()), directory) + "\n"
}

fn shown(path: &Text, directory: bool) -> String {
    let name = lossy(path);
    if directory && !name.ends_with('/') {
        name + "/"
    } else {
        name
    }
}

fn mode(entry: &LsEntry) -> String {
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
