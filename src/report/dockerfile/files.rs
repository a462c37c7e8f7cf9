//! What each layer holds, in a few names.

use std::fmt::Write as _;

use crate::base::escape;
use crate::report::text::Text;
use crate::tree::{Body, Fate, Fates, HiddenBy};

/// How many names of a layer are kept.
const KEPT: usize = 100;

/// How long the names are that are kept of all layers, in bytes.
const KEPT_BYTES: usize = 8 << 20;

/// How many names a comment has.
const SHOWN: usize = 4;

/// What a layer holds.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerFiles {
    /// How many entries it has.
    pub(super) entries: u64,
    /// How many of them are not directories.
    pub(super) count: u64,
    /// The first of those.
    pub(super) files: Vec<Vec<u8>>,
    /// How many of its names are in the merged tree.
    pub(super) live: u64,
    /// How many names of layers below it deletes, and nothing takes their place.
    pub(super) deletes: usize,
}

impl LayerFiles {
    /// What each of `layers` layers holds.
    pub(super) fn of_all(fates: &Fates, layers: usize) -> Vec<Self> {
        let mut all = vec![Self::default(); layers];
        let mut room = KEPT_BYTES;
        for record in fates.iter() {
            if let Fate::Hidden {
                layer,
                by: HiddenBy::Whiteout | HiddenBy::Opaque,
            } = record.fate
                && layer > record.layer
                && let Some(by) = all.get_mut(layer as usize)
            {
                by.deletes += 1;
            }
            let Some(own) = all.get_mut(record.layer as usize) else {
                continue;
            };
            // Builders do not unpack the root itself, and of an entry that is there twice the last one counts.
            let is_replaced =
                matches!(record.fate, Fate::Hidden { layer, .. } if layer == record.layer);
            if record.node == fates.tree().root() || is_replaced {
                continue;
            }
            own.live += u64::from(record.fate == Fate::Live);
            if !record.is_entry {
                continue;
            }
            own.entries += 1;
            let is_directory = matches!(fates.tree().inode(record.inode).body, Body::Directory);
            own.count += u64::from(!is_directory);
            if !is_directory && own.files.len() < KEPT && room > 0 {
                let path = fates.path(record.node);
                room = room.saturating_sub(path.len());
                own.files.push(path);
            }
        }
        all
    }

    /// The names for a report.
    pub(super) fn texts(&self) -> Vec<Text> {
        self.files.iter().cloned().map(Text).collect()
    }
}

/// Appends the names of a layer's files to a comment.
pub(super) fn list(out: &mut String, count: u64, files: &[Text]) {
    let unit = match count {
        0 => ": no files",
        1 => ": 1 file",
        _ => "",
    };
    out.push_str(unit);
    if count > 1 {
        _ = write!(out, ": {count} files");
    }
    let names = files.iter().take(SHOWN);
    for (at, name) in names.enumerate() {
        let comma = if at == 0 { ": " } else { ", " };
        _ = write!(out, "{comma}{}", escape::name(&name.0));
    }
    if count > SHOWN as u64 {
        out.push_str(", ...");
    }
}
