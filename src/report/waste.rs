//! `waste`: bytes that an image stores and never shows.
//!
//! Long: the rows of all three lists are made here.

use std::collections::HashMap;

use serde::Serialize;

use super::dive::{DiveFigures, ratio};
use super::images::{id, references};
use super::text::Text;
use super::waste_rules::{WasteRule, WasteVerdict};
use crate::base::jobs;
use crate::base::options::Options;
use crate::base::progress::steps;
use crate::image::Image;
use crate::layer::{LayerTar, OpenLayers};
use crate::tree::{Fates, HiddenFile, NodeId, TreeError, Waste, WasteCause};

/// How many files with the same cause are shown one by one; more are shown as their directory.
const FEW: usize = 3;

/// The answer of `waste`. Bytes are those of the content of regular files, as stored: holes of sparse files do not
/// count.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WasteReport {
    /// `imgtar/waste/1`
    pub schema: &'static str,
    /// The image ID.
    pub image: Option<String>,
    /// The names of the image.
    pub references: Vec<String>,
    /// What the layers store.
    pub stored: u64,
    /// The part of it that is visible in the merged tree.
    pub visible: u64,
    /// The part of it that is not visible: `stored` minus `visible`.
    pub wasted: u64,
    /// `visible` divided by `stored`; 1 if nothing is stored.
    pub efficiency: f64,
    /// Bytes that are visible and the same as those of another visible file; not part of `wasted`.
    pub duplicated: u64,
    /// Where it is, most bytes first.
    pub by_path: Vec<WastePath>,
    /// By the layers, base first.
    pub by_layer: Vec<WasteLayer>,
    /// The figures of dive 0.13 for the image; `null` if computing them would take too long.
    pub dive: Option<DiveFigures>,
    /// The rules that you gave.
    pub rules: Vec<WasteVerdict>,
    /// For people: what belongs together in one row.
    #[serde(skip)]
    pub groups: Vec<WasteGroup>,
}

/// Why stored bytes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum WasteKind {
    /// Another file took the place of the file.
    Replaced,
    /// The file was deleted.
    Deleted,
    /// The same bytes were stored again under the same name, because something else about the file changed, or for no
    /// reason.
    Attributes,
    /// Another visible file has the same bytes.
    Duplicate,
}

impl WasteKind {
    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::Deleted => "deleted",
            Self::Attributes => "attributes",
            Self::Duplicate => "duplicate",
        }
    }
}

impl From<WasteCause> for WasteKind {
    fn from(cause: WasteCause) -> Self {
        match cause {
            WasteCause::Replaced => Self::Replaced,
            WasteCause::Deleted => Self::Deleted,
            WasteCause::Attributes => Self::Attributes,
        }
    }
}

/// One path, with one cause.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WastePath {
    /// The path, without a slash at either end.
    pub path: Text,
    /// The bytes of all these copies.
    pub bytes: u64,
    /// How many copies there are, without the visible one.
    pub copies: usize,
    /// Why they count.
    pub cause: WasteKind,
    /// The layers that store them, base first.
    pub layers: Vec<u32>,
    /// The layers that hide them; none for duplicates.
    pub by_layers: Vec<u32>,
    /// The first visible file with the same bytes, for duplicates.
    pub of: Option<Text>,
}

/// What a layer stores and hides.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WasteLayer {
    /// The layer's index, base first.
    pub layer: usize,
    /// Its diff ID, as claimed.
    pub diff_id: Option<String>,
    /// What it stores.
    pub stored: u64,
    /// The part of it that is wasted.
    pub bytes: u64,
    /// What it hides, of lower layers or of itself.
    pub hides: u64,
    /// The build step that made it.
    pub created_by: Option<String>,
}

/// Files that one step wasted in one go.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WasteGroup {
    /// The file, or the directory that the files are in.
    pub path: Text,
    /// How many stored files this row stands for; more than one if `path` is a directory.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Why they count.
    pub cause: WasteKind,
    /// The layer that stores them, base first.
    pub layer: u32,
    /// The layer that hides them; `null` for duplicates.
    pub by_layer: Option<u32>,
    /// The first visible file with the same bytes, for duplicates.
    pub of: Option<Text>,
}

/// How many entries an image may have for both merges to be in memory at the same time.
const AT_ONCE: usize = 200_000;

impl WasteReport {
    /// Looks for what an image wastes, and judges it. Compressed layers are decoded once, headers are read twice
    /// (dive's rules are not those of the merge), at the same time where there are two threads.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if the layers cannot be merged or files not be compared.
    pub fn of(
        image: &Image,
        rules: &[WasteRule],
        options: &Options<'_>,
    ) -> Result<Self, TreeError> {
        let layers = OpenLayers::of(image, false, options.jobs, options.progress)?;
        let merging = options.progress.begin(steps::MERGING, None);
        // What the limits refuse is refused by the merge, before dive's trees are made of it.
        let fates = Fates::of_layers(layers.tars())?;
        drop(merging);
        Self::of_opened(image, layers.tars(), fates, rules, options)
    }

    /// The same of layers that were opened and merged before.
    pub(super) fn of_opened(
        image: &Image,
        tars: &[LayerTar],
        fates: Fates,
        rules: &[WasteRule],
        options: &Options<'_>,
    ) -> Result<Self, TreeError> {
        let dive = || DiveFigures::of(tars, &options.limits);
        let waste = || Waste::of(&fates, image.layers.len(), options);
        let (mut report, dive) = if options.jobs.count() > 1 && fates.len() <= AT_ONCE {
            let (dive, waste) = jobs::both(dive, waste);
            (Self::new(image, &fates, &waste?), dive)
        } else {
            let report = Self::new(image, &fates, &waste()?);
            // The memory for one is free when the other begins.
            drop(fates);
            (report, dive())
        };
        report.dive = dive;
        report.rules = rules.iter().map(|rule| rule.judge(&report)).collect();
        Ok(report)
    }

    /// The same of layers that were merged before, without dive's figures, which need another merge.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if files cannot be compared.
    pub fn of_merged(
        image: &Image,
        fates: &Fates,
        options: &Options<'_>,
    ) -> Result<Self, TreeError> {
        let waste = Waste::of(fates, image.layers.len(), options)?;
        Ok(Self::new(image, fates, &waste))
    }

    /// Describes what was found in an image.
    fn new(image: &Image, fates: &Fates, waste: &Waste) -> Self {
        let pairing = image.pairing();
        let of_layer = |(index, layer): (usize, &crate::tree::LayerWaste)| WasteLayer {
            layer: index,
            diff_id: (image.layers.get(index))
                .and_then(|l| l.diff_id.as_ref().map(ToString::to_string)),
            stored: layer.stored,
            bytes: layer.wasted,
            hides: layer.hides,
            created_by: pairing
                .maker_of(index)
                .map(|entry| entry.created_by.clone()),
        };
        Self {
            schema: "imgtar/waste/1",
            image: id(image),
            references: references(image),
            stored: waste.stored,
            visible: waste.visible,
            wasted: waste.wasted(),
            efficiency: if waste.stored == 0 {
                1.0
            } else {
                ratio(waste.visible, waste.stored)
            },
            duplicated: waste.duplicated(),
            by_path: paths(fates, waste),
            by_layer: waste.layers.iter().enumerate().map(of_layer).collect(),
            dive: None,
            rules: Vec::new(),
            groups: groups(fates, waste),
        }
    }

    /// Whether it obeys all rules that were asked for.
    pub fn passes(&self) -> bool {
        self.rules.iter().all(|rule| rule.ok)
    }

    /// `wasted` in percent of `stored`; 0 if nothing is stored.
    pub fn percent(&self) -> f64 {
        if self.stored == 0 {
            0.0
        } else {
            ratio(self.wasted, self.stored) * 100.0
        }
    }
}

/// Paths and causes, the most bytes first.
fn paths(fates: &Fates, waste: &Waste) -> Vec<WastePath> {
    let mut rows: HashMap<(Vec<u8>, WasteKind), WastePath> = HashMap::new();
    let mut add = |path: Vec<u8>, cause, bytes: u64, layer, by_layer, of: Option<NodeId>| {
        let row = rows
            .entry((path, cause))
            .or_insert_with_key(|(path, _)| WastePath {
                path: Text(path.clone()),
                bytes: 0,
                copies: 0,
                cause,
                layers: Vec::new(),
                by_layers: Vec::new(),
                of: of.map(|node| Text(fates.path(node))),
            });
        row.bytes = row.bytes.saturating_add(bytes);
        row.copies += 1;
        row.layers.push(layer);
        row.by_layers.extend(by_layer);
    };
    for file in &waste.hidden {
        let path = fates.path(file.node);
        add(
            path,
            file.cause.into(),
            file.bytes,
            file.layer,
            Some(file.by_layer),
            None,
        );
    }
    for file in &waste.duplicates {
        let path = fates.path(file.node);
        add(
            path,
            WasteKind::Duplicate,
            file.bytes,
            file.layer,
            None,
            Some(file.of),
        );
    }
    let mut rows: Vec<WastePath> = rows.into_values().collect();
    rows.sort_unstable_by(|a, b| (b.bytes, &a.path.0, a.cause).cmp(&(a.bytes, &b.path.0, b.cause)));
    rows
}

/// What belongs together, the most bytes first: what was deleted with one directory, what one step copied up
/// for its attributes. Replaced files and duplicates stand alone.
fn groups(fates: &Fates, waste: &Waste) -> Vec<WasteGroup> {
    let mut groups = Vec::new();
    let mut together: HashMap<(WasteKind, u32, u32, NodeId), Vec<&HiddenFile>> = HashMap::new();
    for file in &waste.hidden {
        let top = waste.deleted_with(fates, file);
        let key = match file.cause {
            // Deleted with a directory, or by itself and perhaps together with what lies beside it.
            WasteCause::Deleted if top != file.node => top,
            WasteCause::Deleted => fates.tree().parent(file.node),
            WasteCause::Attributes => fates.tree().root(),
            WasteCause::Replaced => file.node,
        };
        let key = (file.cause.into(), file.layer, file.by_layer, key);
        together.entry(key).or_default().push(file);
    }
    for ((cause, layer, by_layer, directory), files) in together {
        let group = |path: Vec<u8>, files: usize, bytes| WasteGroup {
            path: Text(path),
            files,
            bytes,
            cause,
            layer,
            by_layer: Some(by_layer),
            of: None,
        };
        if files.len() <= FEW {
            groups.extend(
                files
                    .iter()
                    .map(|file| group(fates.path(file.node), 1, file.bytes)),
            );
            continue;
        }
        let bytes = files
            .iter()
            .map(|file| file.bytes)
            .fold(0, u64::saturating_add);
        let path = if cause == WasteKind::Attributes {
            common_directory(fates, &files)
        } else {
            fates.path(directory)
        };
        groups.push(group(path, files.len(), bytes));
    }
    groups.extend(waste.duplicates.iter().map(|file| WasteGroup {
        path: Text(fates.path(file.node)),
        files: 1,
        bytes: file.bytes,
        cause: WasteKind::Duplicate,
        layer: file.layer,
        by_layer: None,
        of: Some(Text(fates.path(file.of))),
    }));
    groups.sort_unstable_by(|a, b| {
        let key = |group: &WasteGroup| (group.cause, group.layer, group.by_layer);
        (b.bytes, &a.path.0, key(a)).cmp(&(a.bytes, &b.path.0, key(b)))
    });
    groups
}

/// The deepest directory that all these files are in; nothing for the root.
fn common_directory(fates: &Fates, files: &[&HiddenFile]) -> Vec<u8> {
    let mut paths = files.iter().map(|file| fates.path(file.node));
    let mut common = paths.next().unwrap_or_default();
    // Cut at a slash, so that `ab` and `ac` have nothing in common.
    let cut = |path: &mut Vec<u8>, at: usize| {
        let slash = path[..at].iter().rposition(|&b| b == b'/');
        path.truncate(slash.unwrap_or(0));
    };
    let whole = common.len();
    cut(&mut common, whole);
    for path in paths {
        while !(common.is_empty()
            || path.starts_with(&common) && path.get(common.len()) == Some(&b'/'))
        {
            let whole = common.len();
            cut(&mut common, whole);
        }
    }
    common
}
