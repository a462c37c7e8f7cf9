//! `blame`: a path through all layers.

use serde::Serialize;

use super::find::{HowHidden, target};
use super::text::Text;
use crate::document::Pairing;
use crate::image::Image;
use crate::tree::{Aspect, Body, Fate, FateRecord, Fates, HiddenBy, TreeError};

/// The answer of `blame`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Blame {
    /// `imgtar/blame/1`
    pub schema: &'static str,
    /// The paths in the order in which they were given.
    pub paths: Vec<BlamePath>,
}

impl Blame {
    /// Puts paths together.
    pub fn new(paths: Vec<BlamePath>) -> Self {
        Self {
            schema: "imgtar/blame/1",
            paths,
        }
    }
}

/// What layers did to one path.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlamePath {
    /// The path, without a slash at either end.
    pub path: Text,
    /// The path that led here through symbolic links, if that is another one.
    pub via: Option<Text>,
    /// Whether the image has it in the end.
    pub live: bool,
    /// What the layers did to it, base first.
    pub steps: Vec<BlameStep>,
}

/// What a layer does to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum BlameAction {
    /// It was not there before.
    Added,
    /// It was there before.
    Changed,
    /// It is another name of a file.
    Linked,
    /// It was deleted.
    Deleted,
}

/// What one layer does to a path.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlameStep {
    /// The layer's index, base first.
    pub layer: usize,
    /// Its diff ID, as claimed.
    pub diff_id: Option<String>,
    /// What it does.
    pub action: BlameAction,
    /// How the file differs from the one before; empty if the same file was written again.
    pub what: Vec<Aspect>,
    /// The size in bytes of a regular file.
    pub size: Option<u64>,
    /// The target of a link.
    pub target: Option<Text>,
    /// How it was deleted.
    pub by: Option<HowHidden>,
    /// Whether the layer has no entry for this directory, so that engines create it for its content.
    pub implied: bool,
    /// The build step that made the layer.
    pub created_by: Option<String>,
}

impl BlamePath {
    /// What the layers of `image` did to a path; no steps if no layer has it. Directories that a layer lists
    /// without a change are left out.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if contents have to be compared and cannot be read.
    pub fn of(fates: &Fates, image: &Image, path: &[u8]) -> Result<Self, TreeError> {
        let mut steps = Vec::new();
        let mut live = false;
        let maker = Maker {
            fates,
            image,
            pairing: image.pairing(),
        };
        for number in fates.of_path(path) {
            let Some(record) = fates.get(number) else {
                continue;
            };
            steps.extend(maker.step(&record, path)?);
            live = record.fate == Fate::Live;
            if let Fate::Hidden { layer, by } = record.fate
                && by != HiddenBy::Entry
            {
                steps.push(BlameStep {
                    by: Some(by.into()),
                    ..maker.blank(layer, BlameAction::Deleted)
                });
            }
        }
        Ok(Self {
            path: Text(path.to_vec()),
            via: None,
            live,
            steps,
        })
    }
}

/// Makes steps.
struct Maker<'a> {
    fates: &'a Fates,
    image: &'a Image,
    pairing: Pairing<'a>,
}

impl Maker<'_> {
    fn blank(&self, layer: u32, action: BlameAction) -> BlameStep {
        let index = layer as usize;
        let diff_id = self
            .image
            .layers
            .get(index)
            .and_then(|l| l.diff_id.as_ref());
        let maker = self.pairing.maker_of(index);
        BlameStep {
            layer: index,
            diff_id: diff_id.map(ToString::to_string),
            action,
            what: Vec::new(),
            size: None,
            target: None,
            by: None,
            implied: false,
            created_by: maker.map(|entry| entry.created_by.clone()),
        }
    }

    /// What an entry does; nothing if it lists a directory that is as it was.
    fn step(&self, record: &FateRecord, path: &[u8]) -> Result<Option<BlameStep>, TreeError> {
        let tree = self.fates.tree();
        let inode = tree.inode(record.inode);
        let before = record.before.and_then(|before| self.fates.get(before));
        let what = match &before {
            Some(before) => tree.aspects(path, tree.inode(before.inode), inode)?,
            None => Vec::new(),
        };
        let is_directory = matches!(inode.body, Body::Directory);
        if is_directory && before.is_some() && what.is_empty() {
            return Ok(None);
        }
        let action = match (record.link, &before) {
            (Some(_), _) => BlameAction::Linked,
            (None, Some(_)) => BlameAction::Changed,
            (None, None) => BlameAction::Added,
        };
        Ok(Some(BlameStep {
            what,
            size: matches!(inode.body, Body::File { .. }).then(|| inode.size()),
            target: target(self.fates, record),
            implied: !record.is_entry,
            ..self.blank(record.layer, action)
        }))
    }
}
