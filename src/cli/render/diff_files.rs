//! Files that differ: what they are called, and in what they differ.

use std::borrow::Cow;

use imgtar::base::escape;
use imgtar::report::{DiffFile, DiffFileFacts, FileType, units};
use imgtar::tree::Aspect;

/// A path; that of the root has no name.
pub(super) fn shown(path: &[u8]) -> Cow<'_, str> {
    match path {
        b"" => Cow::Borrowed("."),
        path => Cow::Owned(escape::name(path).to_string()),
    }
}

/// In what a file differs, with what it was and is.
pub(super) fn details(file: &DiffFile) -> String {
    let (Some(old), Some(new)) = (&file.old, &file.new) else {
        let facts = file.old.as_ref().or(file.new.as_ref());
        let size = file.size_old.or(file.size_new).unwrap_or(0);
        return match facts {
            Some(DiffFileFacts {
                kind: FileType::File,
                ..
            }) => units::size(size),
            Some(DiffFileFacts {
                target: Some(target),
                ..
            }) => format!("-> {}", escape::name(&target.0)),
            Some(facts) => kind(facts.kind).to_owned(),
            None => String::new(),
        };
    };
    let size = |size: Option<u64>| units::size(size.unwrap_or(0));
    let target = |facts: &DiffFileFacts| {
        let target = facts
            .target
            .as_ref()
            .map(|target| escape::name(&target.0).to_string());
        target.unwrap_or_default()
    };
    let words = file.what.iter().filter_map(|aspect| {
        Some(match aspect {
            // The sizes say it.
            Aspect::Content if file.what.contains(&Aspect::Size) => return None,
            Aspect::Size => {
                let (old, new) = (size(file.size_old), size(file.size_new));
                if old == new {
                    let bytes = |size: Option<u64>| size.unwrap_or(0);
                    format!(
                        "content {} -> {} bytes",
                        bytes(file.size_old),
                        bytes(file.size_new)
                    )
                } else {
                    format!("content {old} -> {new}")
                }
            }
            Aspect::Type => format!("{} -> {}", kind(old.kind), kind(new.kind)),
            Aspect::Mode => format!("mode {:04o} -> {:04o}", old.mode, new.mode),
            Aspect::Owner => {
                format!("owner {}:{} -> {}:{}", old.uid, old.gid, new.uid, new.gid)
            }
            Aspect::Target => format!("{} -> {}", target(old), target(new)),
            Aspect::Links => "hard links".to_owned(),
            aspect => aspect.word().to_owned(),
        })
    });
    words.collect::<Vec<_>>().join(", ")
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        FileType::File => "file",
        FileType::Dir => "directory",
        FileType::Symlink => "symbolic link",
        FileType::Hardlink => "hard link",
        FileType::Char => "character device",
        FileType::Block => "block device",
        FileType::Fifo => "named pipe",
        FileType::Unknown => "unknown",
    }
}
