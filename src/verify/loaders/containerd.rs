//! Docker with the containerd store, and containerd (`core/images/archive/importer.go`; moby 26.1
//! `daemon/containerd/image_exporter.go`, `LoadImage`).
//!
//! Every file goes into the content store under the digest that its bytes have, so a blob whose name
//! lies is simply not there. `oci-layout` decides which description counts. What was stored is then
//! unpacked, every platform that is whole.

use std::collections::HashSet;

use super::docker::config_message;
use super::overlay::{Engine, Piece, Rules, unpack};
use super::{Facts, Outcome, layer_message, shown, wrong_diff_id};
use crate::archive::{MemberKind, MemberName};
use crate::digest::{ChainId, Digest};
use crate::image::{Image, Layer};
use crate::problem::Code;
use crate::rootfs::RootfsFault;
use crate::source::Compression;

pub(super) fn load(facts: &Facts<'_>) -> Outcome {
    facts.outer()?;
    for member in facts.archive.members() {
        let name = member.name.as_bytes();
        if matches!(member.kind, MemberKind::File(_)) && std::str::from_utf8(name).is_err() {
            return Err(format!(
                "failed to ingest {:?}: failed to open writer: grpc: error while marshaling: string field contains invalid UTF-8",
                shown(name)
            ));
        }
    }
    let manifest_json = facts.is_file(b"manifest.json");
    if manifest_json {
        // Parsed as soon as it is met, whichever description counts.
        if let Some(why) = facts.unreadable(b"manifest.json")
            && !why.contains("is null")
        {
            return Err(format!("untar manifest \"manifest.json\": {why}"));
        }
    }
    if facts.is_file(b"oci-layout") {
        return layout(facts);
    }
    if !manifest_json {
        return Err("unrecognized image format".to_owned());
    }
    match facts.set {
        Err(why) if why.contains("null") => Err("unrecognized image format".to_owned()),
        Err(why) => Err(format!("untar manifest \"manifest.json\": {why}")),
        Ok(_) => docker(facts),
    }
}

/// An OCI image layout.
fn layout(facts: &Facts<'_>) -> Outcome {
    if let Some(problem) = facts.problem(Code::ManifestInvalid, b"oci-layout") {
        return Err(format!("unsupported OCI version: {}", problem.message));
    }
    if !facts.is_file(b"index.json") {
        return Err("missing index.json in OCI layout 1.0.0".to_owned());
    }
    let set = facts.set.map_err(str::to_owned)?;
    if let Some(why) = facts.unreadable(b"index.json") {
        return Err(why.to_owned());
    }
    if set.in_index_json == 0 {
        return Err("image might be filtered out".to_owned());
    }
    let mut unpacked = HashSet::new();
    for image in &set.images {
        let Some(manifest) = &image.manifest else {
            continue;
        };
        // Without its manifest or config there is nothing to unpack, and nothing is said.
        let manifest_is_there = is_there(facts, &manifest.descriptor.digest);
        if !manifest_is_there || !config_is_there(facts, image) {
            continue;
        }
        unpack_image(facts, image, true, &mut unpacked)?;
    }
    Ok(())
}

/// Whether the archive holds these bytes, not only a member of that name.
fn is_there(facts: &Facts<'_>, digest: &Digest) -> bool {
    let name = format!("blobs/{}/{}", digest.algorithm().name(), digest.encoded());
    let Ok((_, slice)) = facts.archive.find(name.as_bytes()) else {
        return false;
    };
    let blob = facts.blobs.get(slice.span());
    blob.is_none_or(|blob| {
        blob.stored_digest(digest.algorithm())
            .is_none_or(|d| d == *digest)
    })
}

fn config_is_there(facts: &Facts<'_>, image: &Image) -> bool {
    let lies = facts.set.is_ok_and(|set| {
        set.problems.iter().any(|problem| {
            problem.code == Code::ConfigDigestMismatch && problem.image == Some(image.position)
        })
    });
    image.config.is_some() && !lies
}

/// A docker archive.
fn docker(facts: &Facts<'_>) -> Outcome {
    // Every symbolic link is taken for one to a layer; one step, by name.
    for member in facts.archive.members() {
        if let MemberKind::Symlink(target) = &member.kind {
            let found = member.name.linked(target);
            if target.starts_with(b"/") || !is_blob(facts, &found) {
                return Err(format!(
                    "no target for symlink layer from {:?} to {:?}",
                    member.name.to_lossy(),
                    shown(target)
                ));
            }
        }
    }
    let images = facts.of_manifest_json();
    for image in images {
        let config = image.config.as_ref().map(|config| &config.member);
        let found = config.is_none_or(|name| stored(facts, name));
        if image.config.is_none() || !found {
            let why = config_message(facts, image);
            return Err(match why.strip_prefix("open ") {
                Some(rest) => {
                    let name = rest.split(": ").next().unwrap_or(rest);
                    format!("image config {name:?} not found")
                }
                None => format!("unable to resolve platform: {why}"),
            });
        }
        for layer in &image.layers {
            if !stored(facts, &layer.member) {
                return Err(format!(
                    "failed to resolve layers: layer {:?} not found",
                    shown(&layer.member)
                ));
            }
        }
    }
    let set = facts.set.map_err(str::to_owned)?;
    let name = set.problems.iter().find(|problem| {
        problem.code == Code::ReferenceInvalid
            && problem.member.as_deref() == Some(b"manifest.json")
            && !problem.message.contains("it has no tag")
    });
    if let Some(problem) = name {
        return Err(format!("normalize image ref: {}", problem.message));
    }
    let mut unpacked = HashSet::new();
    // A docker archive names files, not digests.
    for image in images {
        unpack_image(facts, image, false, &mut unpacked)?;
    }
    Ok(())
}

/// Whether a name leads to a file: itself, or a symbolic link to one.
fn stored(facts: &Facts<'_>, name: &[u8]) -> bool {
    let name = MemberName::new(name);
    let linked = facts
        .archive
        .member(&name)
        .is_some_and(|member| matches!(member.kind, MemberKind::Symlink(_)));
    linked || is_blob(facts, &name)
}

fn is_blob(facts: &Facts<'_>, name: &MemberName) -> bool {
    facts.is_file(name.as_bytes()) && !matches!(name.as_bytes(), b"manifest.json" | b"oci-layout")
}

fn unpack_image<'f>(
    facts: &Facts<'f>,
    image: &'f Image,
    by_digest: bool,
    unpacked: &mut HashSet<&'f ChainId>,
) -> Outcome {
    let failed = |why: &str| Err(format!("failed to unpack loaded image: {why}"));
    let diff_ids = image.view().map_or(0, |view| view.diff_ids().len());
    if diff_ids != image.layers.len() {
        return failed("mismatched image rootfs and manifest layers");
    }
    for layer in &image.layers {
        let chain = layer.chain_id.as_ref();
        if chain.is_some_and(|chain| unpacked.contains(chain)) {
            continue;
        }
        if let Err(why) = self::layer(facts, layer, by_digest) {
            return failed(&why);
        }
        unpacked.extend(chain);
    }
    // Where a link in a lower layer goes round in circles, the attributes of an implied directory
    // cannot be looked up.
    let survey = facts.surveys.get(image.position).and_then(Option::as_ref);
    let circle = survey.is_some_and(|survey| {
        survey
            .refused
            .iter()
            .any(|refused| refused.fault == RootfsFault::Loop)
    });
    if circle {
        return failed("too many links");
    }
    Ok(())
}

fn layer(facts: &Facts<'_>, layer: &Layer, by_digest: bool) -> Outcome {
    let name = layer
        .digest
        .as_ref()
        .map_or_else(|| shown(&layer.member), ToString::to_string);
    let not_found = || {
        Err(format!(
            "failed to extract layer: failed to get reader from content store: content digest {name}: not found"
        ))
    };
    let Some((_, compression)) = layer.present() else {
        return not_found();
    };
    let Some(blob) = facts.blob(layer) else {
        return Ok(());
    };
    if let (true, Some(claimed)) = (by_digest, &layer.digest) {
        let claimed = claimed.digest();
        let computed = blob.stored_digest(claimed.algorithm());
        if computed.is_some_and(|computed| computed != *claimed) {
            return not_found();
        }
    }
    let failed = |why: &str| Err(format!("failed to extract layer: {why}"));
    if matches!(compression, Compression::Bzip2 | Compression::Xz) {
        return failed("archive/tar: invalid tar header");
    }
    let sum = match &blob.sum {
        Err(error) => return failed(&layer_message(error)),
        Ok(sum) => sum,
    };
    let pieces = sum.inventory.items().map(|item| Piece {
        kind: item.kind,
        typeflag: item.typeflag,
        path: item.path,
        link: item.link,
    });
    let rules = Rules {
        engine: Engine::Containerd,
        is_layer: true,
    };
    if let Err(why) = unpack(pieces, rules) {
        return failed(&why);
    }
    if let Some(error) = &sum.tar_fault {
        return failed(&layer_message(error));
    }
    if let Some(error) = &sum.tail_fault {
        return failed(&layer_message(error));
    }
    if sum.trailing {
        return failed("gzip: invalid header");
    }
    if let Some((_, computed)) = wrong_diff_id(layer, &sum.tar) {
        return Err(format!(
            "wrong diff id calculated on extraction \"{computed}\""
        ));
    }
    Ok(())
}
