//! What the engines would make of an archive: taken or refused, and why.
//!
//! Each engine has a file of rules, in the order in which the engine comes to them, so that the reason
//! given is the one that a user would see. The rules are those of Docker 26.1 (its own store, overlay2),
//! of Docker 26.1 with the containerd store, and of podman 5.4; they were read in the engines' sources
//! and compared with what the engines did and said with real and crafted archives (`tests/it/loaders.rs`,
//! `docs/verify.md`). Nothing is read for them that `verify` has not read.
//!
//! A [`Refusal`] keeps apart what the engine says and what only we say about it.
//!
//! What a host has already is not known here: Docker does not read a layer that it has, so a damaged
//! archive may load where its layers are.

mod containerd;
mod docker;
mod overlay;
mod podman;

use std::io;

use super::blobs::{Blobs, ReadBlob};
use crate::archive::{Contents, MemberKind};
use crate::base::digest::DiffId;
use crate::base::jobs::{self, Jobs};
use crate::base::problem::{Code, Problem};
use crate::document::JsonError;
use crate::image::{Image, ImageSet, Layer, LoadError, RefusedTag, Unreadable};
use crate::layer::LayerError;
use crate::source::Compression;
use crate::tar::{TarError, TarFault};
use crate::tree::Survey;

/// Why an engine refuses an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What the engine says. `…` stands for what the archive does not decide, such as the name of a
    /// temporary directory, or for nothing.
    Says(String),
    /// Why it refuses, in our words: its own cannot be predicted.
    Because(String),
}

impl Refusal {
    /// The text, whosever it is.
    pub fn text(&self) -> &str {
        match self {
            Self::Says(text) | Self::Because(text) => text,
        }
    }

    /// Puts what the engine says first before what it says then; our words stay as they are.
    fn within(self, first: &str) -> Self {
        match self {
            Self::Says(then) => Self::Says(format!("{first}{then}")),
            because @ Self::Because(_) => because,
        }
    }

    /// The same at the end.
    fn then(self, last: &str) -> Self {
        match self {
            Self::Says(text) => Self::Says(format!("{text}{last}")),
            because @ Self::Because(_) => because,
        }
    }
}

fn says(text: impl Into<String>) -> Refusal {
    Refusal::Says(text.into())
}

fn because(why: impl Into<String>) -> Refusal {
    Refusal::Because(why.into())
}

/// Whether an engine takes an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why it refuses; `None` if it takes the archive.
    pub refusal: Option<Refusal>,
}

impl Verdict {
    /// Whether it takes it.
    pub fn accepts(&self) -> bool {
        self.refusal.is_none()
    }
}

impl From<Outcome> for Verdict {
    fn from(result: Outcome) -> Self {
        Self {
            refusal: result.err(),
        }
    }
}

/// What each engine makes of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaders {
    /// Docker with its own store (overlay2).
    pub docker: Verdict,
    /// Docker with the containerd store, and containerd itself.
    pub containerd: Verdict,
    /// podman and skopeo.
    pub podman: Verdict,
}

impl Loaders {
    fn all_refuse(refusal: &Refusal) -> Self {
        let [docker, containerd, podman] = [(); 3].map(|()| Err(refusal.clone()).into());
        Self {
            docker,
            containerd,
            podman,
        }
    }

    /// What the engines make of a file that is not a tar.
    pub fn of_no_tar(why: &TarError) -> Self {
        let why = tar_message(why);
        Self {
            podman: Err(why
                .clone()
                .within("loading tar component \"manifest.json\": "))
            .into(),
            ..Self::all_refuse(&why)
        }
    }

    /// What the engines make of a file without a byte.
    pub fn of_nothing() -> Self {
        Self {
            docker: Err(docker::no_such_file("repositories")).into(),
            containerd: Err(says(containerd::UNRECOGNIZED)).into(),
            podman: Err(podman::no_index()).into(),
        }
    }

    /// What the engines make of a file whose compression is damaged at its beginning.
    pub fn of_damaged_compression(why: &io::Error) -> Self {
        Self::all_refuse(&because(why.to_string()))
    }

    /// What the engines make of an archive whose images cannot be read.
    pub fn of_unreadable(archive: &Contents, why: &LoadError) -> Self {
        Facts {
            archive,
            set: Err(why),
            blobs: &Blobs::none(),
            surveys: &[],
        }
        .loaders(Jobs::all_cores())
    }
}

/// What is known of an archive.
pub(super) struct Facts<'f> {
    pub(super) archive: &'f Contents,
    /// The images, or why there are none.
    pub(super) set: Result<&'f ImageSet, &'f LoadError>,
    pub(super) blobs: &'f Blobs,
    /// What becomes of the layers of each image; absent where they could not be applied.
    pub(super) surveys: &'f [Option<Survey>],
}

type Outcome = Result<(), Refusal>;

impl Facts<'_> {
    /// Asks every engine's rules, several at once: the first two go through all entries.
    pub(super) fn loaders(&self, jobs: Jobs) -> Loaders {
        let rules: [fn(&Facts<'_>) -> Outcome; 3] = [docker::load, containerd::load, podman::load];
        let mut outcomes = jobs::map(jobs, &rules, |_| 1, |load| load(self)).into_iter();
        let mut next = || outcomes.next().unwrap_or(Ok(())).into();
        Loaders {
            docker: next(),
            containerd: next(),
            podman: next(),
        }
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

    /// Whether `manifest.json` is `null`, which every engine takes in another way.
    fn manifest_is_null(&self) -> bool {
        let why = self.unreadable("manifest.json");
        matches!(why, Some(Unreadable::Json(JsonError::Null { .. })))
    }

    /// The tags of an image of `manifest.json` that engines refuse.
    fn refused_tags(&self, image: &Image) -> impl Iterator<Item = &RefusedTag> {
        let tags = self.set.map_or(&[][..], |set| &set.refused_tags);
        tags.iter().filter(|tag| tag.image == image.position)
    }

    /// Whether a member of this name is a regular file itself: not every reader follows links.
    fn is_file(&self, name: &[u8]) -> bool {
        let name = crate::archive::MemberName::new(name);
        let member = self.archive.member(&name);
        member.is_some_and(|member| matches!(member.kind, MemberKind::File(_)))
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
