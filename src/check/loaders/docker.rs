//! Docker with its own store (moby 26.1 and 29.7 `image/tarexport/load.go`, `layer/layer_store.go`).
//!
//! The outer tar is unpacked first. Then `manifest.json` alone counts; without one, every directory
//! should be a v1 image, up to Docker 28.

use std::collections::{BTreeSet, HashSet};

use super::overlay::{Rules, UnpackedEntry, Unpacker, unpack};
use super::target::Sheet;
use super::{
    Facts, Outcome, Refusal, attributes, because, layer_message, names, says, shown, wrong_diff_id,
};
use crate::archive::{LookupError, Member, MemberKind, MemberName};
use crate::base::constants::DOCKER_LAYERS;
use crate::base::digest::ChainId;
use crate::base::problem::{Code, Severity};
use crate::image::{Image, Layer, LayerSource, ReferenceError, TagFault};
use crate::tar::Kind;

/// The message of Docker 29 where there is no `manifest.json`.
pub(super) const NO_MANIFEST: &str = "invalid archive: does not contain a manifest.json";

/// Which Docker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClassicVersion {
    V26,
    /// 29.7.2. Debian's 28.5 unpacks as it does.
    V29,
}

impl ClassicVersion {
    fn unpacker(self) -> Unpacker {
        match self {
            Self::V26 => Unpacker::Docker,
            Self::V29 => Unpacker::GoArchive,
        }
    }
}

pub(super) fn load(facts: &Facts<'_>, version: ClassicVersion, sheet: &mut Sheet) -> Outcome {
    facts.outer()?;
    let rules = Rules {
        engine: version.unpacker(),
        is_layer: false,
        limits: facts.limits(),
    };
    attributes::outer(facts.archive.members())?;
    unpack(facts.archive.members().iter().map(piece), rules)?;
    match facts.archive.find(b"manifest.json") {
        Ok(_) => {}
        Err(
            LookupError::Absent { .. } | LookupError::Dangling { .. } | LookupError::Lost { .. },
        ) => {
            return match version {
                ClassicVersion::V26 => legacy(facts, sheet),
                ClassicVersion::V29 => Err(says(NO_MANIFEST)),
            };
        }
        Err(why @ (LookupError::TooManyLinks { .. } | LookupError::NotAFile { .. })) => {
            return Err(because(why.to_string()));
        }
    }
    if facts.manifest_is_null() {
        return Err(says(
            "invalid manifest, manifest cannot be null (but can be [])",
        ));
    }
    facts.readable("manifest.json")?;
    let set = facts.set()?;
    // A layer that was loaded is not read again, whatever file is named for it.
    let mut loaded: HashSet<&ChainId> = HashSet::new();
    for image in &set.images[..set.from_manifest_json] {
        self::image(facts, image, version, &mut loaded, sheet)?;
        sheet.loaded(image.position, names::familiar(image));
        if let Some(tag) = facts.refused_tags(image).next() {
            return Err(says(match &tag.why {
                TagFault::NoTag(_) => format!("invalid tag {:?}", tag.text),
                TagFault::Grammar(why) => grammar(why),
            }));
        }
    }
    for image in &set.images[set.from_manifest_json..] {
        sheet.passed_over(image.position, "manifest.json does not describe it");
    }
    sheet.one_name_each(true);
    // Parents are set at the end, when everything is loaded (`setParentID`, `checkValidParent`).
    if let Some((child, parent)) = set.unfit_parents.first() {
        let child = &set.images[*child].identity;
        return Err(says(format!(
            "image {parent} is not a valid parent for {child}"
        )));
    }
    Ok(())
}

/// What the reference parser says.
pub(super) fn grammar(why: &ReferenceError) -> String {
    match why {
        ReferenceError::Format(_) => "invalid reference format".to_owned(),
        other => other.to_string(),
    }
}

/// The message for a file that should be below the directory that the archive is unpacked into.
pub(super) fn no_such_file(name: &str) -> Refusal {
    says(format!("open …/{name}: no such file or directory"))
}

/// A member as something to unpack.
pub(super) fn piece(member: &Member) -> UnpackedEntry<'_> {
    let (kind, link): (Kind, &[u8]) = match &member.kind {
        MemberKind::File(_) => (Kind::File, b""),
        MemberKind::Directory => (Kind::Directory, b""),
        MemberKind::Symlink(target) => (Kind::Symlink, target),
        MemberKind::Hardlink(target) => (Kind::Hardlink, target),
        MemberKind::Special => match member.typeflag {
            b'3' | b'4' | b'6' => (Kind::Fifo, b""),
            other => (Kind::Other(other), b""),
        },
    };
    UnpackedEntry {
        kind,
        typeflag: member.typeflag,
        path: member.name.as_bytes(),
        link,
        xattr: b"",
    }
}

fn image<'f>(
    facts: &Facts<'f>,
    image: &'f Image,
    version: ClassicVersion,
    loaded: &mut HashSet<&'f ChainId>,
    sheet: &mut Sheet,
) -> Outcome {
    let Some(view) = image.view() else {
        return Err(match config_fault(facts, image) {
            ConfigFault::Missing(name) => no_such_file(&name),
            ConfigFault::Unreadable(why) => because(why),
        });
    };
    if let Some(why) = &view.refused_as_docker {
        return Err(because(format!("engines cannot read the config: {why}")));
    }
    match view.platform.os.as_str() {
        // Nothing is taken for the host's (`checkCompatibleOS`).
        "" | "linux" => {}
        "windows" => return Err(says("cannot load windows image on linux")),
        other => {
            return Err(because(format!(
                "the image is for the operating system `{other}`"
            )));
        }
    }
    let Some(rootfs) = &view.rootfs else {
        return Err(says("invalid image JSON, no RootFS key"));
    };
    let (wanted, given) = (image.layers.len(), rootfs.diff_ids.len());
    if wanted != given {
        return Err(says(format!(
            "invalid manifest, layers length mismatch: expected {wanted}, got {given}"
        )));
    }
    for layer in &image.layers {
        if layer
            .chain_id
            .as_ref()
            .is_some_and(|chain| loaded.contains(chain))
        {
            continue;
        }
        // One that the store has is not read either: that is what thin archives are for.
        match self::layer(facts, layer, version) {
            Err(why) if layer.left_out().is_some() => sheet.needs_base(why),
            outcome => outcome?,
        }
        loaded.extend(layer.chain_id.as_ref());
    }
    if image.pairing().missing_layers > 0 {
        return Err(says("too many non-empty layers in History section"));
    }
    Ok(())
}

/// Why an image has no config.
pub(super) enum ConfigFault {
    /// The archive has no such member.
    Missing(String),
    /// What is wrong with it, in our words.
    Unreadable(String),
}

/// Why `image` has no config.
pub(super) fn config_fault(facts: &Facts<'_>, image: &Image) -> ConfigFault {
    let problems = facts.set.map_or(&[][..], |set| &set.problems);
    let found = problems.iter().find(|problem| {
        problem.image == Some(image.position)
            && problem.severity == Severity::Error
            && matches!(problem.code, Code::MemberMissing | Code::ConfigInvalid)
    });
    match found {
        Some(problem) if problem.code == Code::MemberMissing => {
            ConfigFault::Missing(problem.member.as_deref().map(shown).unwrap_or_default())
        }
        Some(problem) => ConfigFault::Unreadable(problem.message.clone()),
        None => ConfigFault::Unreadable("the config cannot be read".to_owned()),
    }
}

fn layer(facts: &Facts<'_>, layer: &Layer, version: ClassicVersion) -> Outcome {
    if let LayerSource::Missing { why, .. } = &layer.source {
        let name = shown(&layer.member);
        return Err(match why {
            LookupError::TooManyLinks { .. } => {
                says(format!("evalSymlinksInScope: too many links in …/{name}"))
            }
            LookupError::NotAFile { .. } => says(format!("read …/{name}: is a directory")),
            LookupError::Absent { .. } | LookupError::Lost { .. } => no_such_file(&name),
            // Where the link leads is what cannot be opened.
            LookupError::Dangling { target, .. } => no_such_file(&shown(target)),
        });
    }
    if layer.index >= DOCKER_LAYERS {
        return Err(says("max depth exceeded"));
    }
    let Some(blob) = facts.blob(layer) else {
        return Ok(());
    };
    let reading = match blob.layer() {
        None => return Ok(()),
        // Errors of the compression behind the end of the tar go unnoticed.
        Some(Err(error)) => return Err(layer_message(error)),
        Some(Ok(reading)) => reading,
    };
    facts.unpacked(layer, reading, version.unpacker())?;
    attributes::layer(&reading.inventory, attributes::Reader::Docker)?;
    if let Some(error) = reading.tar_fault() {
        return Err(layer_message(error));
    }
    // Docker notices errors of the compression behind the tar from 29.5 on.
    if let (ClassicVersion::V29, Some(error)) = (version, reading.tail_fault()) {
        return Err(layer_message(error));
    }
    if let Some((claimed, computed)) = wrong_diff_id(layer, reading.diff_id()) {
        return Err(says(format!(
            "invalid diffID for layer {}: expected \"{claimed}\", got \"{computed}\"",
            layer.index
        )));
    }
    Ok(())
}

/// Archives from before Docker 1.10, read up to Docker 28.
fn legacy(facts: &Facts<'_>, sheet: &mut Sheet) -> Outcome {
    for directory in directories(facts) {
        let json = [directory, b"/json"].concat();
        if facts.archive.find(&json).is_err() {
            return Err(no_such_file(&shown(&json)));
        }
    }
    if facts.archive.find(b"repositories").is_err() {
        return Err(no_such_file("repositories"));
    }
    let set = facts.set()?;
    let broken = set.problems.iter().find(|problem| {
        problem.severity == Severity::Error
            && matches!(
                problem.code,
                Code::ConfigInvalid | Code::MemberMissing | Code::ManifestInvalid
            )
    });
    if let Some(problem) = broken {
        return Err(because(problem.message.clone()));
    }
    for layer in set.images.iter().flat_map(|image| &image.layers) {
        self::layer(facts, layer, ClassicVersion::V26)?;
    }
    for image in &set.images {
        sheet.loaded(image.position, names::familiar(image));
    }
    Ok(())
}

/// The directories in the root of the archive, sorted; a name may bring its directory with it.
fn directories<'f>(facts: &'f Facts<'_>) -> BTreeSet<&'f [u8]> {
    let members = facts.archive.members().iter();
    let first = |member: &'f Member| {
        let name = member.name.as_bytes();
        match name.iter().position(|&b| b == b'/') {
            Some(slash) => Some(&name[..slash]),
            None if member.kind == MemberKind::Directory && !name.is_empty() => Some(name),
            None => None,
        }
    };
    // What came later may have replaced it.
    let is_directory = |name: &&[u8]| {
        let member = facts.archive.member(&MemberName::new(name));
        member.is_none_or(|member| member.kind == MemberKind::Directory)
    };
    members.filter_map(first).filter(is_directory).collect()
}
