//! What the engines would make of an archive: taken or refused, and in which words.
//!
//! Each engine has a file of rules, in the order in which the engine comes to them, so that the reason
//! given is the one that a user would see. The rules are those of Docker 26.1 (its own store, overlay2),
//! of Docker 26.1 with the containerd store, and of podman 5.4; they were read in the engines' sources
//! and held against what the engines did with real and crafted archives (`tests/loaders.rs`,
//! `docs/verify.md`). Nothing is read for them that `verify` has not read.
//!
//! What a host has already is not known here: Docker does not read a layer that it has, so a damaged
//! archive may load where its layers are.

mod containerd;
mod docker;
mod overlay;
mod podman;

use super::blobs::{Blob, Blobs};
use crate::archive::{Archive, MemberKind};
use crate::digest::{DiffId, Digest};
use crate::image::{Image, ImageSet, Layer};
use crate::layer::LayerError;
use crate::parallel::{self, Jobs};
use crate::problem::{Code, Problem, Severity};
use crate::record::{TarError, TarFault};
use crate::rootfs::Survey;
use crate::source::Compression;

/// Whether an engine takes an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why it refuses, as nearly in its words as can be foretold; `None` if it takes the archive.
    pub refusal: Option<String>,
}

impl Verdict {
    /// Whether it takes it.
    pub fn accepts(&self) -> bool {
        self.refusal.is_none()
    }
}

impl From<Result<(), String>> for Verdict {
    fn from(result: Result<(), String>) -> Self {
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
    /// What every engine says in the same words.
    pub fn all_refuse(reason: &str) -> Self {
        let verdict = Verdict {
            refusal: Some(reason.to_owned()),
        };
        Self {
            docker: verdict.clone(),
            containerd: verdict.clone(),
            podman: verdict,
        }
    }

    /// What the engines make of a file that is no tar, or of one whose images cannot be read.
    pub fn of_unreadable(archive: &Archive, why: &str) -> Self {
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
    pub(super) archive: &'f Archive,
    /// The images, or why there are none.
    pub(super) set: Result<&'f ImageSet, &'f str>,
    pub(super) blobs: &'f Blobs,
    /// What becomes of the layers of each image; absent where they could not be applied.
    pub(super) surveys: &'f [Option<Survey>],
}

type Outcome = Result<(), String>;

impl Facts<'_> {
    /// Asks every engine's rules, several at once: the first two go through all entries.
    pub(super) fn loaders(&self, jobs: Jobs) -> Loaders {
        let rules: [fn(&Facts<'_>) -> Outcome; 3] = [docker::load, containerd::load, podman::load];
        let mut outcomes = parallel::map(jobs, &rules, |_| 1, |load| load(self)).into_iter();
        let mut next = || outcomes.next().unwrap_or(Ok(())).into();
        Loaders {
            docker: next(),
            containerd: next(),
            podman: next(),
        }
    }

    fn blob(&self, layer: &Layer) -> Option<&Blob> {
        self.blobs.get(layer.span()?)
    }

    /// The damage of the outer tar, which every engine meets.
    fn outer(&self) -> Outcome {
        self.archive
            .fault()
            .map_or(Ok(()), |error| Err(tar_message(error)))
    }

    /// The first problem of a kind that was found in a member while the images were read.
    fn problem(&self, code: Code, member: &[u8]) -> Option<&Problem> {
        let mut problems = self.set.ok()?.problems.iter();
        problems.find(|p| p.code == code && p.member.as_deref() == Some(member))
    }

    /// Why a description cannot be read at all.
    fn unreadable(&self, member: &[u8]) -> Option<&str> {
        let mut problems = self.set.ok()?.problems.iter();
        let found = problems.find(|problem| {
            problem.code == Code::ManifestInvalid
                && problem.severity == Severity::Error
                && problem.member.as_deref() == Some(member)
        });
        found.map(|problem| problem.message.as_str())
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

/// The words of Go's tar reader for a fault.
fn tar_message(error: &TarError) -> String {
    match &error.fault {
        TarFault::TruncatedHeader | TarFault::TruncatedBody { .. } => "unexpected EOF".to_owned(),
        TarFault::MetaTooLong { .. } => "archive/tar: header field too long".to_owned(),
        TarFault::Read(why) => why.to_string(),
        _ => "archive/tar: invalid tar header".to_owned(),
    }
}

/// The words for a layer that cannot be read.
fn layer_message(error: &LayerError) -> String {
    match error {
        LayerError::Tar(error) => tar_message(error),
        LayerError::Decode {
            compression: Compression::Gzip,
            source,
            ..
        } => match source.kind() {
            std::io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
            _ => "gzip: invalid checksum".to_owned(),
        },
        LayerError::Decode { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// Whether a layer's bytes are what its diff ID says; the claim and the truth if they are not.
fn wrong_diff_id<'c>(layer: &'c Layer, tar: &Digest) -> Option<(&'c DiffId, DiffId)> {
    let claimed = layer.diff_id.as_ref()?;
    let computed = DiffId::from(tar.clone());
    let comparable = claimed.digest().algorithm() == tar.algorithm();
    (comparable && *claimed != computed).then_some((claimed, computed))
}

/// The name of a member as text.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
