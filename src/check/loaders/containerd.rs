//! Docker with the containerd store, and containerd (`core/images/archive/importer.go`; moby 26.1
//! `daemon/containerd/image_exporter.go`, `LoadImage`).
//!
//! Every file goes into the content store under the digest that its bytes have, so a blob whose name
//! lies is simply not there. `oci-layout` decides which description counts. What was stored is then
//! unpacked, every platform that is whole.

use std::collections::HashSet;

use super::docker::{ConfigFault, config_fault, grammar};
use super::overlay::{Engine, Rules, UnpackedEntry, unpack};
use super::{Facts, Outcome, Refusal, because, layer_message, says, shown, wrong_diff_id};
use crate::archive::{MemberKind, MemberName};
use crate::base::digest::{ChainId, Digest};
use crate::base::problem::{Code, Severity};
use crate::image::{Image, Layer, TagFault};
use crate::source::Compression;
use crate::tree::TreeFault;

/// What is said where no description is found.
pub(super) const UNRECOGNIZED: &str = "unrecognized image format";

pub(super) fn load(facts: &Facts<'_>) -> Outcome {
    // The member that is cut short is named first.
    facts.outer().map_err(|refusal| refusal.within("…"))?;
    for member in facts.archive.members() {
        let name = member.name.as_bytes();
        if matches!(member.kind, MemberKind::File(_)) && std::str::from_utf8(name).is_err() {
            return Err(says(
                "failed to ingest …: failed to open writer: grpc: error while marshaling: string field contains invalid UTF-8…",
            ));
        }
    }
    let manifest_json = facts.is_file(b"manifest.json");
    // Parsed as soon as it is met, whichever description counts.
    if manifest_json && !facts.manifest_is_null() {
        facts.readable("manifest.json")?;
    }
    if facts.is_file(b"oci-layout") {
        return layout(facts);
    }
    if !manifest_json || facts.manifest_is_null() {
        return Err(says(UNRECOGNIZED));
    }
    docker(facts)
}

/// An OCI image layout.
fn layout(facts: &Facts<'_>) -> Outcome {
    if let Some(problem) = facts.problem(Code::ManifestInvalid, b"oci-layout") {
        return Err(because(problem.message.clone()));
    }
    if !facts.is_file(b"index.json") {
        return Err(says("missing index.json in OCI layout 1.0.0"));
    }
    facts.readable("index.json")?;
    let set = facts.set()?;
    if set.in_index_json == 0 {
        return Err(says("image might be filtered out"));
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
    let name = digest.blob_path();
    let Ok((_, slice)) = facts.archive.find(name.as_bytes()) else {
        return false;
    };
    let blob = facts.blobs.get(&slice);
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
                return Err(says(format!(
                    "no target for symlink layer from {:?} to {:?}",
                    member.name.to_lossy(),
                    joined(&member.name.to_lossy(), &shown(target))
                )));
            }
        }
    }
    let images = facts.of_manifest_json();
    for image in images {
        let config = image.config.as_ref().map(|config| &config.member);
        let found = config.is_none_or(|name| stored(facts, name));
        if image.config.is_none() || !found {
            return Err(match (config, config_fault(facts, image)) {
                // A link that other readers follow.
                (Some(name), _) => says(format!("image config {:?} not found", shown(name))),
                (None, ConfigFault::Missing(name)) => {
                    says(format!("image config {name:?} not found"))
                }
                (None, ConfigFault::Unreadable(why)) => because(why),
            });
        }
        for layer in &image.layers {
            if !stored(facts, &layer.member) {
                return Err(says(format!(
                    "failed to resolve layers: layer {:?} not found",
                    shown(&layer.member)
                )));
            }
        }
    }
    facts.set()?;
    for tag in images.iter().flat_map(|image| facts.refused_tags(image)) {
        // A name without a tag gets one.
        if let TagFault::Grammar(why) = &tag.why {
            let why = grammar(why);
            return Err(says(format!("normalize image ref {:?}: {why}", tag.text)));
        }
    }
    let mut unpacked = HashSet::new();
    // A docker archive names files, not digests.
    for image in images {
        unpack_image(facts, image, false, &mut unpacked)?;
    }
    Ok(())
}

/// Where a link leads, as Go's `path.Join` puts it: it may leave the root.
fn joined(name: &str, target: &str) -> String {
    let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut path: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." if path.last().is_some_and(|last| *last != "..") => {
                path.pop();
            }
            part => path.push(part),
        }
    }
    if path.is_empty() {
        ".".to_owned()
    } else {
        path.join("/")
    }
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
    let failed = |why: Refusal| Err(why.within("failed to unpack loaded image: "));
    let diff_ids = image.view().map_or(0, |view| view.diff_ids().len());
    if diff_ids != image.layers.len() {
        if by_digest && layers_disagree(facts, image) {
            return Err(because(
                "manifest.json and index.json give the image different layers",
            ));
        }
        return failed(says("mismatched image rootfs and manifest layers"));
    }
    for layer in &image.layers {
        let chain = layer.chain_id.as_ref();
        if chain.is_some_and(|chain| unpacked.contains(chain)) {
            continue;
        }
        if let Err(why) = self::layer(facts, layer, by_digest) {
            return failed(why);
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
            .any(|refused| refused.fault == TreeFault::Loop)
    });
    if circle {
        return failed(says("… too many links…"));
    }
    Ok(())
}

/// Whether the layers of an image are those of `manifest.json` and not of the manifest that counts here.
fn layers_disagree(facts: &Facts<'_>, image: &Image) -> bool {
    let problems = facts.set.map_or(&[][..], |set| &set.problems);
    problems.iter().any(|problem| {
        problem.code == Code::DescriptionsDisagree
            && problem.severity == Severity::Error
            && problem.image == Some(image.position)
    })
}

fn layer(facts: &Facts<'_>, layer: &Layer, by_digest: bool) -> Outcome {
    let diff_id = layer.diff_id.as_ref().map(ToString::to_string);
    let extracting = format!(
        "failed to extract layer {}: …",
        diff_id.as_deref().unwrap_or("…")
    );
    // The container that runs the snapshotter puts its own words around some.
    let failed = |why: Refusal| Err(why.within(&extracting).then("…"));
    let not_found = || {
        let name = layer
            .digest
            .as_ref()
            .map_or_else(|| "…".to_owned(), ToString::to_string);
        let why =
            format!("failed to get reader from content store: content digest {name}: not found");
        Err(says(why).within(&extracting))
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
    if matches!(compression, Compression::Bzip2 | Compression::Xz) {
        return failed(says("archive/tar: invalid tar header"));
    }
    let reading = match blob.layer() {
        None => return Ok(()),
        Some(Err(error)) => return failed(layer_message(error)),
        Some(Ok(reading)) => reading,
    };
    let pieces = reading.inventory.items().map(|item| UnpackedEntry {
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
        return failed(why);
    }
    if let Some(error) = reading.tar_fault().or(reading.tail_fault()) {
        return failed(layer_message(error));
    }
    if reading.trailing {
        return failed(says("gzip: invalid header"));
    }
    if let Some((_, computed)) = wrong_diff_id(layer, reading.diff_id()) {
        return Err(says(format!(
            "wrong diff id calculated on extraction \"{computed}\""
        )));
    }
    Ok(())
}
