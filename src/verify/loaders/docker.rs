//! Docker with its own store (moby 26.1 `image/tarexport/load.go`, `layer/layer_store.go`).
//!
//! The outer tar is unpacked first. Then `manifest.json` alone counts; without one, every directory
//! should be a v1 image.

use std::collections::{BTreeSet, HashSet};

use super::overlay::{Engine, Piece, Rules, unpack};
use super::{Facts, Outcome, layer_message, shown, wrong_diff_id};
use crate::archive::{LookupError, Member, MemberKind};
use crate::digest::ChainId;
use crate::image::{Image, Layer, LayerSource};
use crate::problem::{Code, Severity};
use crate::record::Kind;

/// How many layers are stacked (`layer/layer_store.go`, `maxLayerDepth`).
const DEPTH: usize = 125;

pub(super) fn load(facts: &Facts<'_>) -> Outcome {
    facts.outer()?;
    let rules = Rules {
        engine: Engine::Docker,
        is_layer: false,
    };
    unpack(facts.archive.members().iter().map(piece), rules)?;
    match facts.archive.find(b"manifest.json") {
        Ok(_) => {}
        Err(LookupError::Absent { .. } | LookupError::Dangling { .. }) => return legacy(facts),
        Err(why) => return Err(why.to_string()),
    }
    let set = facts.set.map_err(str::to_owned)?;
    if let Some(why) = facts.unreadable(b"manifest.json") {
        return Err(why.to_owned());
    }
    // A layer that was loaded is not read again, whatever file is named for it.
    let mut loaded: HashSet<&ChainId> = HashSet::new();
    for image in &set.images[..set.from_manifest_json] {
        self::image(facts, image, &mut loaded)?;
        let name = set.problems.iter().find(|problem| {
            problem.code == Code::ReferenceInvalid
                && problem.image == Some(image.position)
                && problem.member.as_deref() == Some(b"manifest.json")
        });
        if let Some(problem) = name {
            return Err(problem.message.clone());
        }
    }
    Ok(())
}

/// A member as something to unpack.
pub(super) fn piece(member: &Member) -> Piece<'_> {
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
    Piece {
        kind,
        typeflag: member.typeflag,
        path: member.name.as_bytes(),
        link,
    }
}

fn image<'f>(facts: &Facts<'f>, image: &'f Image, loaded: &mut HashSet<&'f ChainId>) -> Outcome {
    let Some(view) = image.view() else {
        return Err(config_message(facts, image));
    };
    if view.platform.os == "windows" {
        return Err("cannot load windows image on linux".to_owned());
    }
    let Some(rootfs) = &view.rootfs else {
        return Err("invalid image JSON, no RootFS key".to_owned());
    };
    let (wanted, given) = (image.layers.len(), rootfs.diff_ids.len());
    if wanted != given {
        return Err(format!(
            "invalid manifest, layers length mismatch: expected {wanted}, got {given}"
        ));
    }
    for layer in &image.layers {
        if layer
            .chain_id
            .as_ref()
            .is_some_and(|chain| loaded.contains(chain))
        {
            continue;
        }
        self::layer(facts, layer)?;
        loaded.extend(layer.chain_id.as_ref());
    }
    if image.pairing().missing_layers > 0 {
        return Err("too many non-empty layers in History section".to_owned());
    }
    Ok(())
}

/// Why an image has no config.
pub(super) fn config_message(facts: &Facts<'_>, image: &Image) -> String {
    let problems = facts.set.map_or(&[][..], |set| &set.problems);
    let found = problems.iter().find(|problem| {
        problem.image == Some(image.position)
            && problem.severity == Severity::Error
            && matches!(problem.code, Code::MemberMissing | Code::ConfigInvalid)
    });
    match found {
        Some(problem) if problem.code == Code::MemberMissing => {
            let name = problem.member.as_deref().map(shown).unwrap_or_default();
            format!("open {name}: no such file or directory")
        }
        Some(problem) => problem.message.clone(),
        None => "the config cannot be read".to_owned(),
    }
}

fn layer(facts: &Facts<'_>, layer: &Layer) -> Outcome {
    if let LayerSource::Missing { why, .. } = &layer.source {
        let name = shown(&layer.member);
        return Err(match why {
            LookupError::TooManyLinks { .. } => {
                format!("evalSymlinksInScope: too many links in {name}")
            }
            LookupError::NotAFile { .. } => format!("read {name}: is a directory"),
            _ => format!("open {name}: no such file or directory"),
        });
    }
    if layer.index >= DEPTH {
        return Err("max depth exceeded".to_owned());
    }
    let Some(blob) = facts.blob(layer) else {
        return Ok(());
    };
    let sum = match &blob.sum {
        // What the compression says behind the end of the tar is not heard.
        Err(error) => return Err(layer_message(error)),
        Ok(sum) => sum,
    };
    let pieces = sum.inventory.items().map(|item| Piece {
        kind: item.kind,
        typeflag: item.typeflag,
        path: item.path,
        link: item.link,
    });
    let rules = Rules {
        engine: Engine::Docker,
        is_layer: true,
    };
    unpack(pieces, rules)?;
    if let Some(error) = &sum.tar_fault {
        return Err(layer_message(error));
    }
    if let Some((claimed, computed)) = wrong_diff_id(layer, &sum.tar) {
        return Err(format!(
            "invalid diffID for layer {}: expected \"{claimed}\", got \"{computed}\"",
            layer.index
        ));
    }
    Ok(())
}

/// Archives from before Docker 1.10, read up to Docker 28.
fn legacy(facts: &Facts<'_>) -> Outcome {
    for directory in directories(facts) {
        let json = [directory, b"/json"].concat();
        if facts.archive.find(&json).is_err() {
            let json = shown(&json);
            return Err(format!("open {json}: no such file or directory"));
        }
    }
    if facts.archive.find(b"repositories").is_err() {
        return Err("open repositories: no such file or directory".to_owned());
    }
    let set = facts.set.map_err(str::to_owned)?;
    let broken = set.problems.iter().find(|problem| {
        problem.severity == Severity::Error
            && matches!(
                problem.code,
                Code::ConfigInvalid | Code::MemberMissing | Code::ManifestInvalid
            )
    });
    if let Some(problem) = broken {
        return Err(problem.message.clone());
    }
    for layer in set.images.iter().flat_map(|image| &image.layers) {
        self::layer(facts, layer)?;
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
    members.filter_map(first).collect()
}
