//! `report`: all that is known of an archive, in an amount that people can take in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::rc::Rc;

use serde::Serialize;

use super::audit::ImageAudit;
use super::each::Each;
use super::file_map::FileMap;
use super::history::{HistoryImage, HistoryStep, Parents};
use super::images::{ArchiveHead, ImageFacts};
use super::inspect::{InspectAbsent, InspectArtifact};
use super::layers::{LayerRow, LayersImage};
use super::run_facts::RunFacts;
use super::verdict::Demands;
use super::verify::{VerifyArchive, VerifyImage};
use super::waste::{WasteGroup, WasteLayer, WasteReport};
use crate::archive::Contents;
use crate::base::limits::Limit;
use crate::base::options::Options;
use crate::check::secrets::{mask_text, mask_value};
use crate::check::{Examination, ExaminedLayers, Verification};
use crate::image::{Image, ImageSet};
use crate::layer::Measures;
use crate::tree::{Fates, TreeError};

/// How many files of all images together stand in the maps by name.
const LEAVES: u32 = 12_000;

/// How many files of one image do at most.
const LEAVES_OF_ONE: u32 = 1_200;

/// How many of the places that waste the most are shown.
const WASTE_ROWS: usize = 50;

/// The answer of `report`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ArchiveReport<'a> {
    /// `imgtar/report/1`
    pub schema: &'static str,
    /// The archive; `null` if it is so damaged that its layout is not known.
    pub archive: Option<ArchiveHead>,
    /// How many images the archive holds, whether they were asked for or not.
    pub images_in_archive: usize,
    /// What `verify` says about the whole archive. `audit` is `null` here, because each image has its own.
    pub verify: VerifyArchive,
    /// The images that you asked for.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<ReportImage>"))]
    pub images: Each<'a, ReportImage>,
    /// Manifests that do not describe an image: signatures, attestations and others.
    pub artifacts: Vec<InspectArtifact>,
    /// Manifests that an index names and the archive does not hold.
    pub absent: Vec<InspectAbsent>,
    /// What kept an image from being described because the operating system failed.
    #[serde(skip)]
    failure: Rc<RefCell<Option<TreeError>>>,
}

/// All that is known of one image. What looks like a secret is masked in all of it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportImage {
    /// What `images` says, but for the number of layers, which are listed.
    #[serde(flatten)]
    pub facts: ImageFacts,
    /// The digest of its manifest, in archives that have one.
    pub manifest_digest: Option<String>,
    /// The digest of the index that lists its manifest, if that is not `index.json` itself.
    pub index_digest: Option<String>,
    /// Annotations of its manifest and its descriptor.
    pub annotations: BTreeMap<String, String>,
    /// How containers of it run; `null` if the config is missing or cannot be read.
    pub run: Option<RunFacts>,
    /// Its layers, base first.
    pub layers: Vec<ReportLayer>,
    /// What `history` says: the build steps, newest first.
    pub history: Vec<HistoryStep>,
    /// Where the bytes of its files are; `null` if its layers cannot be applied.
    pub files: Option<FileMap>,
    /// What `waste` says, in short; `null` if its layers cannot be applied.
    pub waste: Option<ReportWaste>,
    /// What `verify --audit` says.
    pub audit: Option<ImageAudit>,
    /// Why its files could not be examined, if they could not.
    pub unread: Option<String>,
}

/// One layer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportLayer {
    /// What `layers` says.
    #[serde(flatten)]
    pub row: LayerRow,
    /// Whether it is there and its bytes are as claimed.
    pub ok: bool,
    /// The bytes of files that it stores; `null`, like the hidden bytes, if the layers cannot be applied.
    pub content: Option<u64>,
}

/// What an image stores and never shows.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportWaste {
    /// What the layers store, in bytes of file content.
    pub stored: u64,
    /// The part of it that is visible.
    pub visible: u64,
    /// The part of it that is not visible.
    pub wasted: u64,
    /// `visible` divided by `stored`; 1 if nothing is stored.
    pub efficiency: f64,
    /// Bytes that are visible and the same as those of another visible file; not part of `wasted`.
    pub duplicated: u64,
    /// Where most of it is.
    pub places: Vec<WasteGroup>,
    /// How many more places there are.
    pub more_places: usize,
    /// The bytes of those.
    pub more_bytes: u64,
}

impl ReportWaste {
    fn new(waste: WasteReport) -> (Self, Vec<WasteLayer>) {
        let mut places = waste.groups;
        let rest = places.split_off(places.len().min(WASTE_ROWS));
        let short = Self {
            stored: waste.stored,
            visible: waste.visible,
            wasted: waste.wasted,
            efficiency: waste.efficiency,
            duplicated: waste.duplicated,
            places,
            more_places: rest.len(),
            more_bytes: rest
                .iter()
                .map(|place| place.bytes)
                .fold(0, u64::saturating_add),
        };
        (short, waste.by_layer)
    }
}

/// What all images are described with.
struct Describing<'a> {
    set: &'a ImageSet,
    parents: Parents<'a>,
    measures: &'a Measures,
    examined: &'a ExaminedLayers,
    options: Options<'a>,
    /// How many files stand in a map by name; none if the images are too many for maps.
    leaves: Option<u32>,
}

impl<'a> ArchiveReport<'a> {
    /// Describes the images in `picked`, which were examined with `examination`, and what else the archive holds.
    /// Each is described when it is its turn: its layers are applied then. `measures` are those of their layers.
    pub fn new(
        archive: &Contents,
        set: &'a ImageSet,
        picked: &'a [&'a Image],
        examination: &'a Examination,
        measures: &'a Measures,
        options: Options<'a>,
    ) -> Self {
        let verification = &examination.verification;
        let verify = VerifyArchive::new(archive, set, verification, None, &Demands::default());
        let checked: Vec<VerifyImage> = picked
            .iter()
            .filter_map(|image| verify.images.get(image.position).cloned())
            .collect();
        let each = LEAVES / u32::try_from(picked.len()).unwrap_or(u32::MAX).max(1);
        let describing = Describing {
            set,
            parents: Parents::of(set),
            measures,
            examined: &examination.layers,
            options,
            leaves: (each > 0).then(|| each.min(LEAVES_OF_ONE)),
        };
        let failure = Rc::new(RefCell::new(None));
        let failed = Rc::clone(&failure);
        let affordable = affordable(picked, measures, &options);
        let images = Each::new(picked, move |i, image| {
            let audit = examination.audits.get(i);
            let mut described = describing.image(image, verification);
            described.audit = audit.map(|audit| ImageAudit::new(image, audit));
            described.fill_checked(checked.get(i));
            if i >= affordable {
                let exceeded = options.limits.exceeded(Limit::SurveyedEntries);
                described.unread = Some(format!("its files would be too many: {exceeded}"));
                return described;
            }
            match describing.files(image, &mut described) {
                Ok(()) => {}
                Err(error) if error.is_environment() => {
                    failed.borrow_mut().get_or_insert(error);
                }
                Err(error) => described.unread = Some(words(&error)),
            }
            described
        });
        Self {
            schema: "imgtar/report/1",
            archive: Some(ArchiveHead::new(archive, set)),
            images_in_archive: set.images.len(),
            verify,
            images,
            artifacts: InspectArtifact::all(set),
            absent: InspectAbsent::all(set),
            failure,
        }
    }

    /// Describes an archive whose images cannot be read.
    pub fn unreadable(verify: VerifyArchive) -> Self {
        Self {
            schema: "imgtar/report/1",
            archive: None,
            images_in_archive: 0,
            verify,
            images: Each::new(&[], |_, _| unreachable!("there is no image")),
            artifacts: Vec::new(),
            absent: Vec::new(),
            failure: Rc::default(),
        }
    }

    /// What kept an image from being described because the operating system failed; known once the images were
    /// gone through. The report is worthless then.
    pub fn take_failure(&self) -> Option<TreeError> {
        self.failure.borrow_mut().take()
    }
}

/// For how many of the images the layers may be applied.
fn affordable(picked: &[&Image], measures: &Measures, options: &Options<'_>) -> usize {
    let mut left = options.limits.of(Limit::SurveyedEntries);
    let entries = |image: &Image| {
        let layers = image.layers.iter();
        let entries = layers
            .filter_map(|layer| measures.of(layer))
            .map(|of| of.entries);
        entries.fold(0, u64::saturating_add)
    };
    let fits = picked.iter().take_while(|image| {
        let rest = left.checked_sub(entries(image));
        left = rest.unwrap_or(0);
        rest.is_some()
    });
    fits.count()
}

/// An error and its causes.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        next = cause.source();
    }
    words
}

/// A build step with what looks like a secret masked.
fn masked(step: HistoryStep) -> HistoryStep {
    HistoryStep {
        created_by: mask_text(&step.created_by),
        author: mask_text(&step.author),
        comment: mask_text(&step.comment),
        ..step
    }
}

impl Describing<'_> {
    /// Describes what is known without applying layers.
    fn image(&self, image: &Image, verification: &Verification) -> ReportImage {
        let manifest = image.manifest.as_ref();
        let annotations = manifest
            .into_iter()
            .flat_map(|m| m.descriptor.annotations.iter().chain(&m.annotations));
        let mut layers = LayersImage::new(image, self.measures, None);
        if let Some(checked) = verification.images.get(image.position) {
            let computed = checked.layers.iter().map(|layer| layer.computed.clone());
            layers.fill_diff_ids(&computed.collect::<Vec<_>>());
        }
        let layers = layers.layers.into_iter().map(|row| ReportLayer {
            row: LayerRow {
                created_by: row.created_by.as_deref().map(mask_text),
                step: row.step.as_deref().map(mask_text),
                ..row
            },
            ok: false,
            content: None,
        });
        ReportImage {
            facts: ImageFacts::new(self.set, image, self.measures),
            manifest_digest: manifest.map(|m| m.descriptor.digest.to_string()),
            index_digest: manifest
                .and_then(|m| m.index.as_ref())
                .map(ToString::to_string),
            annotations: annotations
                .map(|(key, value)| (key.clone(), mask_value(key, value)))
                .collect(),
            run: image.view().map(RunFacts::new),
            layers: layers.collect(),
            history: HistoryImage::new(&self.parents, image, self.measures)
                .history
                .into_iter()
                .map(masked)
                .collect(),
            files: None,
            waste: None,
            audit: None,
            unread: None,
        }
    }

    /// Adds what the merged tree tells.
    fn files(&self, image: &Image, described: &mut ReportImage) -> Result<(), TreeError> {
        let tars = self.examined.open(image, &self.options)?;
        let fates = Fates::of_layers(&tars)?;
        described.files = (self.leaves).map(|leaves| FileMap::of(fates.tree(), leaves));
        let waste = WasteReport::of_opened(image, &tars, fates, &[], &self.options)?;
        let (waste, by_layer) = ReportWaste::new(waste);
        described.waste = Some(waste);
        for (layer, of) in described.layers.iter_mut().zip(by_layer) {
            layer.content = Some(of.stored);
            layer.row.hidden = Some(of.bytes);
        }
        Ok(())
    }
}

impl ReportImage {
    /// Adds what the check of the bytes told.
    fn fill_checked(&mut self, checked: Option<&VerifyImage>) {
        let Some(checked) = checked else { return };
        self.facts.containerd_id.clone_from(&checked.containerd_id);
        for (layer, of) in self.layers.iter_mut().zip(&checked.layers) {
            layer.ok = of.ok;
        }
    }
}
