//! Predicts whether engines would load or refuse an archive, and why.
//!
//! [`TABLE`] has the engines and versions. Each engine has a file of rules, in the order in which the engine applies
//! them, so that the reason given is the one that a user would see. The rules come from the engines' sources and were
//! compared with what the engines did and said with real and crafted archives (`tests/it/loaders.rs`,
//! `docs/verify.md`). They need nothing that `verify` has not read anyway, except members that a reader finds by
//! their content, or by an earlier entry of the same name.
//!
//! A [`Refusal`] keeps the engine's own words and ours apart.
//!
//! What a host already has is not known here: Docker does not read a layer that it has, so a damaged archive may load
//! on a host that has its layers.
//!
//! Long: the table of engines, and what all their rules use.

mod attributes;
mod containerd;
mod ctr;
mod docker;
mod docker_archive;
mod entries;
mod names;
mod overlay;
mod podman;
mod snapshots;
mod state;
mod target;

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::blobs::{Blobs, ReadBlob};
use crate::archive::{Contents, Member, MemberKind, MemberName};
use crate::base::digest::{Algorithm, DiffId, Digest, Hasher};
use crate::base::jobs::{self, Jobs};
use crate::base::limits::{Exceeded, Limit, Limits};
use crate::base::problem::{Code, Problem};
use crate::document::JsonError;
use crate::image::{Image, ImageSet, Layer, LoadError, RefusedTag, Unreadable};
use crate::layer::digest::LayerReading;
use crate::layer::{Item, LayerError};
use crate::source::{Compression, Span};
use crate::tar::{TarError, TarFault};
use crate::tree::Survey;
use overlay::{UnpackedEntry, Unpacker};
use target::Sheet;
pub use target::{ImageFate, Loader, LoaderEngine, LoaderStore, LoaderTarget, Verdict};

/// Why an engine refuses an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What the engine says. `…` replaces what does not depend on the archive, such as the name of a
    /// temporary directory, or nothing.
    Says(String),
    /// Why it refuses, in our words: its own cannot be predicted.
    Because(String),
    /// Nothing is predicted: it would take more than this limit allows.
    Unpredicted(String),
}

impl Refusal {
    /// The text, whosever it is.
    pub fn text(&self) -> &str {
        match self {
            Self::Says(text) | Self::Because(text) | Self::Unpredicted(text) => text,
        }
    }

    /// Puts what the engine says first before what it says then; our words stay as they are.
    fn within(self, first: &str) -> Self {
        match self {
            Self::Says(then) => Self::Says(format!("{first}{then}")),
            ours @ (Self::Because(_) | Self::Unpredicted(_)) => ours,
        }
    }

    /// The same at the end.
    fn then(self, last: &str) -> Self {
        match self {
            Self::Says(text) => Self::Says(format!("{text}{last}")),
            ours @ (Self::Because(_) | Self::Unpredicted(_)) => ours,
        }
    }
}

fn says(text: impl Into<String>) -> Refusal {
    Refusal::Says(text.into())
}

fn because(why: impl Into<String>) -> Refusal {
    Refusal::Because(why.into())
}

fn unpredicted(limit: Exceeded) -> Refusal {
    Refusal::Unpredicted(limit.to_string())
}

/// What each engine makes of an archive, in the order of `TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaders(Vec<Loader>);

/// The rules of one engine: what becomes of the images goes onto the sheet.
type Rules = fn(&Facts<'_>, &mut Sheet) -> Outcome;

const fn target(
    engine: LoaderEngine,
    store: Option<LoaderStore>,
    version: &'static str,
    options: Option<&'static str>,
) -> LoaderTarget {
    LoaderTarget {
        engine,
        store,
        version,
        options,
    }
}

/// Who is asked, by which rules.
const TABLE: [(LoaderTarget, Rules); 11] = {
    use LoaderEngine::{Ctr, Docker, Podman, Skopeo};
    use LoaderStore::{Classic, Containerd, Overlay, Vfs};
    use containerd::StoreVersion as Store;
    use docker::ClassicVersion as Version;
    use podman::Driver;
    const ALL: Option<&str> = Some("--all-platforms");
    [
        (
            target(Docker, Some(Classic), "26.1", None),
            |facts, sheet| docker::load(facts, Version::V26, sheet),
        ),
        (
            target(Docker, Some(Classic), "29.7", None),
            |facts, sheet| docker::load(facts, Version::V29, sheet),
        ),
        (
            target(Docker, Some(Containerd), "26.1", None),
            |facts, sheet| containerd::load(facts, Store::V26, sheet),
        ),
        (
            target(Docker, Some(Containerd), "29.7", None),
            |facts, sheet| containerd::load(facts, Store::V29, sheet),
        ),
        (target(Ctr, None, "1.7", None), |facts, sheet| {
            let (local, all) = (true, false);
            ctr::import(facts, ctr::CtrWay { local, all }, sheet)
        }),
        (target(Ctr, None, "2.1", None), |facts, sheet| {
            let (local, all) = (false, false);
            ctr::import(facts, ctr::CtrWay { local, all }, sheet)
        }),
        (target(Ctr, None, "1.7", ALL), |facts, sheet| {
            let (local, all) = (true, true);
            ctr::import(facts, ctr::CtrWay { local, all }, sheet)
        }),
        (target(Ctr, None, "2.1", ALL), |facts, sheet| {
            let (local, all) = (false, true);
            ctr::import(facts, ctr::CtrWay { local, all }, sheet)
        }),
        (
            target(Podman, Some(Overlay), "5.8", None),
            |facts, sheet| podman::load(facts, Driver::Overlay, sheet),
        ),
        (target(Podman, Some(Vfs), "5.8", None), |facts, sheet| {
            podman::load(facts, Driver::Vfs, sheet)
        }),
        (target(Skopeo, None, "1.22", None), |facts, sheet| {
            podman::load(facts, Driver::Copies, sheet)
        }),
    ]
};

impl Loaders {
    /// The predictions.
    pub fn iter(&self) -> impl Iterator<Item = &Loader> {
        self.0.iter()
    }

    fn refused(why: impl Fn(LoaderTarget) -> Refusal) -> Self {
        let refused =
            |&(target, _): &(LoaderTarget, Rules)| Sheet::new(0).close(target, Err(why(target)));
        Self(TABLE.iter().map(refused).collect())
    }

    /// What the engines make of a file that is not a tar.
    pub fn of_no_tar(why: &TarError) -> Self {
        let why = tar_message(why);
        Self::refused(|target| match target.engine {
            LoaderEngine::Podman | LoaderEngine::Skopeo => why
                .clone()
                .within("loading tar component \"manifest.json\": "),
            LoaderEngine::Docker | LoaderEngine::Ctr => why.clone(),
        })
    }

    /// What the engines make of a file without a byte.
    pub fn of_nothing() -> Self {
        Self::refused(|target| match (target.engine, target.store) {
            (LoaderEngine::Docker, Some(LoaderStore::Classic)) => {
                if target.version == "26.1" {
                    docker::no_such_file("repositories")
                } else {
                    says(docker::NO_MANIFEST)
                }
            }
            (LoaderEngine::Docker | LoaderEngine::Ctr, _) => says(containerd::UNRECOGNIZED),
            (LoaderEngine::Podman | LoaderEngine::Skopeo, _) => podman::no_index(),
        })
    }

    /// What the engines make of a file whose compression is damaged at its beginning.
    pub fn of_damaged_compression(why: &io::Error) -> Self {
        Self::refused(|_| because(why.to_string()))
    }

    /// What the engines make of an archive whose images cannot be read.
    pub fn of_unreadable(archive: &Contents, why: &LoadError) -> Self {
        Facts::new(archive, Err(why), &Blobs::none(), &[]).loaders(Jobs::all_cores())
    }
}

/// The entries of a layer, to be unpacked.
fn pieces(reading: &LayerReading) -> impl Iterator<Item = UnpackedEntry<'_>> {
    let mut attributes = reading.inventory.attributes().peekable();
    reading.inventory.items().map(move |item| {
        let own = |(with, _): &(Item<'_>, _)| with.header_offset == item.header_offset;
        let first = attributes.next_if(own).and_then(|(_, all)| all.first());
        UnpackedEntry {
            kind: item.kind,
            typeflag: item.typeflag,
            path: item.path,
            link: item.link,
            xattr: first.map_or(&[], |(name, _)| name),
        }
    })
}

/// What is known of an archive.
pub(super) struct Facts<'f> {
    pub(super) archive: &'f Contents,
    /// The images, or why there are none.
    pub(super) set: Result<&'f ImageSet, &'f LoadError>,
    pub(super) blobs: &'f Blobs,
    /// What becomes of the layers of each image; absent where they could not be applied.
    pub(super) surveys: &'f [Option<Survey>],
    /// What containerd makes of the layers of each image, once that was asked for.
    stacks: OnceLock<Vec<Result<(), snapshots::Stuck>>>,
    /// What [`Self::hidden_manifests`] found, once that was asked for.
    hidden: OnceLock<Vec<Result<(), String>>>,
    /// What becomes of a layer that is unpacked on its own, by its bytes and who unpacks them: an image may
    /// have one layer hundreds of times, and images share layers.
    unpacked: Mutex<HashMap<(Span, Unpacker), Outcome>>,
}

type Outcome = Result<(), Refusal>;

impl<'f> Facts<'f> {
    pub(super) fn new(
        archive: &'f Contents,
        set: Result<&'f ImageSet, &'f LoadError>,
        blobs: &'f Blobs,
        surveys: &'f [Option<Survey>],
    ) -> Self {
        Self {
            archive,
            set,
            blobs,
            surveys,
            stacks: OnceLock::new(),
            hidden: OnceLock::new(),
            unpacked: Mutex::default(),
        }
    }

    /// Asks every engine's rules, several at once: most go through all entries.
    pub(super) fn loaders(&self, jobs: Jobs) -> Loaders {
        let images = self.set.map_or(0, |set| set.images.len());
        let all = jobs::map(
            jobs,
            &TABLE,
            |_| 1,
            |(target, rules)| {
                let mut sheet = Sheet::new(images);
                let outcome = rules(self, &mut sheet);
                sheet.close(*target, outcome)
            },
        );
        Loaders(all)
    }

    /// What an engine says that unpacks a layer into a directory of its own.
    fn unpacked(&self, layer: &Layer, reading: &LayerReading, engine: Unpacker) -> Outcome {
        let key = layer.present().map(|(slice, _)| (slice.span(), engine));
        let memory = || self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = key.and_then(|key| memory().get(&key).cloned()) {
            return known;
        }
        let rules = overlay::Rules {
            engine,
            is_layer: true,
            limits: self.limits(),
        };
        let outcome = overlay::unpack(pieces(reading), rules);
        if let Some(key) = key {
            memory().insert(key, outcome.clone());
        }
        outcome
    }

    fn limits(&self) -> &Limits {
        self.archive.source().limits()
    }

    fn blob(&self, layer: &Layer) -> Option<&ReadBlob> {
        self.blobs.of(layer)
    }

    /// The damage of the outer tar, which every engine meets.
    fn outer(&self) -> Outcome {
        let damage = self.archive.early_end();
        let error = damage.and_then(|damage| damage.tar_error());
        error.map_or(Ok(()), |error| Err(tar_message(error)))
    }

    /// The images; where there are none, no engine's words are known for it.
    fn set(&self) -> Result<&ImageSet, Refusal> {
        self.set.map_err(|error| {
            because(match error {
                LoadError::Description { member, source, .. } => unread(member, source),
                LoadError::Archive(_) | LoadError::Source(_) | LoadError::TooMuch { .. } => {
                    super::describe(error)
                }
            })
        })
    }

    /// Refuses a description that cannot be read; the engines' words for what is wrong with JSON are
    /// Go's, and not known here.
    fn readable(&self, member: &str) -> Outcome {
        self.unreadable(member)
            .map_or(Ok(()), |why| Err(because(unread(member, why))))
    }

    /// The first problem of a kind that was found in a member while the images were read.
    fn problem(&self, code: Code, member: &[u8]) -> Option<&Problem> {
        let mut problems = self.set.ok()?.problems.iter();
        problems.find(|p| p.code == code && p.member.as_deref() == Some(member))
    }

    /// Why a description cannot be read at all.
    fn unreadable(&self, member: &str) -> Option<&Unreadable> {
        match self.set {
            Ok(set) => {
                let mut unreadable = set.unreadable.iter();
                unreadable
                    .find(|(name, _)| *name == member)
                    .map(|(_, why)| why)
            }
            Err(LoadError::Description {
                member: name,
                source,
                ..
            }) => (name == member).then_some(source),
            Err(LoadError::Archive(_) | LoadError::Source(_) | LoadError::TooMuch { .. }) => None,
        }
    }

    /// Whether `manifest.json` is `null`, which every engine treats differently.
    fn manifest_is_null(&self) -> bool {
        let why = self.unreadable("manifest.json");
        matches!(why, Some(Unreadable::Json(JsonError::Null { .. })))
    }

    /// The tags of an image of `manifest.json` that engines refuse.
    fn refused_tags(&self, image: &Image) -> impl Iterator<Item = &RefusedTag> {
        let tags = self.set.map_or(&[][..], |set| &set.refused_tags);
        tags.iter().filter(|tag| tag.image == image.position)
    }

    /// Whether a member of this name is a regular file itself: not every reader follows links, or finds a
    /// name that is written as `/name` or `../name`.
    fn is_file(&self, name: &[u8]) -> bool {
        let name = MemberName::new(name);
        let member = self.archive.member(&name);
        member.is_some_and(|member| {
            matches!(member.kind, MemberKind::File(_)) && !member.absolute && !member.left_root
        })
    }

    /// The first member of this name: what readers find that look through the tar from its beginning.
    fn first(&self, name: &MemberName) -> Option<&Member> {
        let hidden = self.archive.duplicates().map(|(hidden, _)| hidden);
        let first = hidden
            .filter(|hidden| hidden.name == *name)
            .min_by_key(|hidden| hidden.offset);
        first.or_else(|| self.archive.member(name))
    }

    /// The digest of a member's bytes, which nothing else has read.
    fn digest_of(&self, span: Span, algorithm: &Algorithm) -> Option<Digest> {
        let mut hasher = Hasher::for_algorithm(algorithm)?;
        let mut reader = self.archive.source().slice(span).reader();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer).ok()? {
                0 => return Some(hasher.finish()),
                n => hasher.update(&buffer[..n]),
            }
        }
    }

    /// The members of this name that are files and are hidden by a later one, and what they hold as
    /// `manifest.json`: the first few, none of them large. They are read once for all engines.
    fn hidden_manifests(&self) -> &[Result<(), String>] {
        self.hidden.get_or_init(|| self.read_hidden().collect())
    }

    fn read_hidden(&self) -> impl Iterator<Item = Result<(), String>> {
        const MOST: usize = 16;
        let limit = self.limits().of(Limit::Json);
        let hidden = self.archive.duplicates().map(|(hidden, _)| hidden);
        let files = hidden.filter_map(move |member| match member.kind {
            MemberKind::File(span)
                if member.name.as_bytes() == b"manifest.json" && span.len <= limit =>
            {
                Some(span)
            }
            _ => None,
        });
        files.take(MOST).map(|span| {
            let bytes = self.archive.source().slice(span).read_all();
            let bytes = bytes.map_err(|why| why.to_string())?;
            crate::image::check_manifest_json(&bytes).map_err(|why| why.to_string())
        })
    }

    /// The images that `manifest.json` describes.
    fn of_manifest_json(&self) -> &[Image] {
        self.set
            .map_or(&[], |set| &set.images[..set.from_manifest_json])
    }
}

/// A description that cannot be read, in our words.
fn unread(member: &str, why: &Unreadable) -> String {
    format!("{member} cannot be read: {why}")
}

/// What Go's tar reader says of a fault.
fn tar_message(error: &TarError) -> Refusal {
    match &error.fault {
        TarFault::TruncatedHeader | TarFault::TruncatedBody { .. } => says("unexpected EOF"),
        TarFault::MetaTooLong(..) => says("archive/tar: header field too long"),
        TarFault::Read(why) => because(why.to_string()),
        TarFault::Checksum { .. }
        | TarFault::StrayZeroBlock
        | TarFault::Number { .. }
        | TarFault::NegativeSize { .. }
        | TarFault::PaxRecord { .. }
        | TarFault::PaxValue { .. }
        | TarFault::SparseTooLong(_)
        | TarFault::Sparse => says("archive/tar: invalid tar header"),
    }
}

/// What the engines say of a layer that cannot be read.
fn layer_message(error: &LayerError) -> Refusal {
    match error {
        LayerError::Tar(error) => tar_message(error),
        LayerError::Decode {
            compression: Compression::Gzip,
            source,
            ..
        } if source.kind() == io::ErrorKind::UnexpectedEof => says("unexpected EOF"),
        LayerError::Decode { .. }
        | LayerError::Missing(_)
        | LayerError::LeftOut(_)
        | LayerError::Limit(_)
        | LayerError::Spool(_)
        | LayerError::Read(_) => because(super::describe(error)),
    }
}

/// Whether a layer's bytes are what its diff ID says; the claim and the truth if they are not.
fn wrong_diff_id<'c>(layer: &'c Layer, computed: &'c DiffId) -> Option<(&'c DiffId, &'c DiffId)> {
    let claimed = layer.diff_id.as_ref()?;
    let comparable = claimed.digest().algorithm() == computed.digest().algorithm();
    (comparable && claimed != computed).then_some((claimed, computed))
}

/// The name of a member as engines print it.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
