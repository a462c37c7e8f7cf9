//! podman and skopeo (containers/image `oci/archive`, `docker/internal/tarfile`, `storage`;
//! containers/common `libimage/load.go`).
//!
//! `podman load` tries an archive as an OCI image layout first and then as a docker archive; it takes
//! what either reader takes, and the reason given is that of the reader that fits. Layers are applied
//! to the tree of those below them, as [`crate::rootfs`] does it.

use super::docker::{config_message, piece};
use super::overlay::{Engine, Rules, unpack};
use super::{Facts, Outcome, layer_message, shown, wrong_diff_id};
use crate::archive::{LookupError, MemberKind, MemberName};
use crate::image::{Image, ImageSet, Layer, MediaType, Name, Platform};
use crate::problem::Code;
use crate::rootfs::{Survey, WarningKind};

pub(super) fn load(facts: &Facts<'_>) -> Outcome {
    facts.outer()?;
    if facts.archive.has_trailing_data() {
        return Err("copying contents to temporary file: gzip: invalid header".to_owned());
    }
    let index = facts.archive.find(b"index.json").is_ok();
    let manifest = facts.archive.find(b"manifest.json").is_ok();
    match (index, manifest) {
        (true, false) => oci(facts),
        (true, true) => oci(facts).or_else(|_| docker(facts)),
        (false, true) => docker(facts),
        (false, false) => {
            Err("loading index: open index.json: no such file or directory".to_owned())
        }
    }
}

// --- as an OCI image layout -----------------------------------------------------------------------

fn oci(facts: &Facts<'_>) -> Outcome {
    for member in facts.archive.members() {
        if member.left_root {
            let name = member.name.to_lossy();
            return Err(format!("untarring file: \"../{name}\" is outside of it"));
        }
    }
    let rules = Rules {
        engine: Engine::Docker,
        is_layer: false,
    };
    unpack(facts.archive.members().iter().map(piece), rules)?;
    let set = facts.set.map_err(str::to_owned)?;
    if let Some(why) = facts.unreadable(b"index.json") {
        return Err(format!("loading index: {why}"));
    }
    match set.in_index_json {
        1 => {}
        0 => return Err("loading index: no image in oci".to_owned()),
        _ => return Err("loading index: more than one image in oci, choose an image".to_owned()),
    }
    let listed = || set.images.iter().filter(|image| image.manifest.is_some());
    let nested = listed().any(|image| {
        image
            .manifest
            .as_ref()
            .is_some_and(|manifest| manifest.index.is_some())
    });
    let absent_in_index = listed().next().is_none() && set.absent.len() > 1;
    let chosen = if nested || absent_in_index {
        let image = listed().find(|image| is_for_host(&image.platform));
        if image.is_none() {
            return Err(no_platform(set));
        }
        image
    } else {
        listed().next()
    };
    match (chosen, set.artifacts.first(), set.absent.first()) {
        (Some(image), ..) => oci_image(facts, image),
        (None, Some(artifact), _) => artifact_refused(facts, artifact),
        (None, None, Some(absent)) => Err(format!(
            "determining manifest MIME type: open blobs/{}: no such file or directory",
            absent.descriptor.digest.to_string().replace(':', "/")
        )),
        (None, None, None) => Err(set
            .problems
            .iter()
            .find(|problem| problem.code == Code::ManifestInvalid)
            .map_or_else(
                || "no image found in the index".to_owned(),
                |problem| problem.message.clone(),
            )),
    }
}

fn no_platform(set: &ImageSet) -> String {
    let named = set
        .absent
        .iter()
        .find(|absent| absent.descriptor.platform.as_ref().is_some_and(is_for_host));
    match named {
        Some(absent) => format!(
            "open blobs/{}: no such file or directory",
            absent.descriptor.digest.to_string().replace(':', "/")
        ),
        None => format!(
            "no image found in image index for architecture {:?}, variant \"\", OS \"linux\"",
            Platform::host().architecture
        ),
    }
}

/// Whether an image is for this machine; containers are Linux wherever they run.
fn is_for_host(platform: &Platform) -> bool {
    platform.os == "linux" && platform.architecture == Platform::host().architecture
}

/// A manifest of something else is refused for its config's type, or for a layer's.
fn artifact_refused(_facts: &Facts<'_>, artifact: &crate::image::Artifact) -> Outcome {
    let config = artifact
        .blobs
        .first()
        .map(|blob| &blob.descriptor.media_type);
    match config {
        Some(config) if !config.is_config() => Err(format!(
            "parsing image configuration: unsupported image-specific operation on artifact with type {:?}",
            config.as_str()
        )),
        _ => Err(format!(
            "unsupported media type of a layer: {:?}",
            artifact.kind
        )),
    }
}

fn oci_image(facts: &Facts<'_>, image: &Image) -> Outcome {
    for name in &image.names {
        if let Name::Bare(text) = name
            && text.parse::<crate::image::Reference>().is_err()
        {
            return Err(format!(
                "normalizing name {text:?}: invalid reference format"
            ));
        }
    }
    let manifest = image.manifest.as_ref();
    let docker_manifest =
        manifest.is_some_and(|m| m.descriptor.media_type == MediaType::DockerManifest);
    for layer in &image.layers {
        if let Some(media_type) = &layer.media_type
            && docker_manifest
            && media_type.as_str().starts_with("application/vnd.oci.")
        {
            return Err(format!(
                "unsupported docker v2s2 media type: {:?}",
                media_type.as_str()
            ));
        }
    }
    let problems = facts.set.map_or(&[][..], |set| &set.problems);
    let member_of = |digest: &crate::digest::Digest| {
        format!("blobs/{}", digest.to_string().replace(':', "/")).into_bytes()
    };
    if let Some(manifest) = manifest {
        let member = member_of(&manifest.descriptor.digest);
        let lies = problems.iter().any(|p| {
            p.code == Code::BlobDigestMismatch && p.member.as_deref() == Some(member.as_slice())
        });
        if lies {
            return Err("manifest does not match its digest".to_owned());
        }
    }
    if image.config.is_none() {
        return Err(format!(
            "parsing image configuration: {}",
            config_message(facts, image)
        ));
    }
    apply(facts, image, false)?;
    let config = image.config.as_ref().map(|config| config.member.as_slice());
    let of_config = |code: Code| {
        problems
            .iter()
            .any(|p| p.code == code && p.member.as_deref() == config)
    };
    if of_config(Code::BlobSizeMismatch) {
        return Err("writing blob: blob size mismatch".to_owned());
    }
    if of_config(Code::ConfigDigestMismatch) {
        return Err("writing blob: Digest did not match".to_owned());
    }
    Ok(())
}

// --- as a docker archive --------------------------------------------------------------------------

fn docker(facts: &Facts<'_>) -> Outcome {
    let set = match facts.set {
        Ok(set) => set,
        // No image is no fault.
        Err(why) if why.contains("null") => return Ok(()),
        Err(why) => return Err(format!("decoding tar manifest.json: {why}")),
    };
    let trailing = facts.problem(Code::TrailingData, b"manifest.json");
    let trailing = trailing.map(|problem| problem.message.as_str());
    if let Some(why) = facts.unreadable(b"manifest.json").or(trailing) {
        return Err(format!("decoding tar manifest.json: {why}"));
    }
    for image in &set.images[..set.from_manifest_json] {
        if let Some(problem) = set.problems.iter().find(|problem| {
            problem.code == Code::ReferenceInvalid
                && problem.image == Some(image.position)
                && problem.member.as_deref() == Some(b"manifest.json")
        }) {
            return Err(format!("Invalid tag in manifest item: {}", problem.message));
        }
        let Some(view) = image.view() else {
            return Err(config_message(facts, image));
        };
        let Some(rootfs) = &view.rootfs else {
            return Err("Invalid image config (rootFS is not set)".to_owned());
        };
        let (listed, claimed) = (image.layers.len(), rootfs.diff_ids.len());
        if listed != claimed {
            return Err(format!(
                "Inconsistent layer count: {listed} in manifest, {claimed} in config"
            ));
        }
        for layer in &image.layers {
            reachable(facts, layer)?;
        }
        apply(facts, image, true)?;
    }
    Ok(())
}

/// One symbolic link is followed; a hard link has no bytes of its own.
fn reachable(facts: &Facts<'_>, layer: &Layer) -> Outcome {
    let name = MemberName::new(&layer.member);
    let missing = || Err("Some layer tarfiles are missing in the tarball".to_owned());
    let Some(member) = facts.archive.member(&name) else {
        return missing();
    };
    match &member.kind {
        MemberKind::File(_) => Ok(()),
        MemberKind::Hardlink(_) => Err("reading blob: Digest did not match".to_owned()),
        MemberKind::Symlink(target) => {
            let target = name.linked(target);
            match facts.archive.member(&target).map(|member| &member.kind) {
                Some(MemberKind::File(_)) => Ok(()),
                Some(_) => Err(format!(
                    "Error reading tar archive component {:?}: not a regular file",
                    target.to_lossy()
                )),
                None => Err("reading blob: file does not exist".to_owned()),
            }
        }
        MemberKind::Directory | MemberKind::Special => missing(),
    }
}

// --- layers ---------------------------------------------------------------------------------------

fn apply(facts: &Facts<'_>, image: &Image, is_docker: bool) -> Outcome {
    for layer in &image.layers {
        self::layer(facts, layer, is_docker)?;
    }
    let position = image.position;
    let Some(Some(survey)) = facts.surveys.get(position) else {
        return Ok(());
    };
    if let Some(why) = refused(survey) {
        return Err(format!("writing blob: adding layer: ApplyLayer: {why}"));
    }
    let mut layers = image.layers.iter();
    layers.try_for_each(|layer| differs(facts, layer, is_docker))
}

fn layer(facts: &Facts<'_>, layer: &Layer, is_docker: bool) -> Outcome {
    if layer.present().is_none() {
        let missing = matches!(
            &layer.source,
            crate::image::LayerSource::Missing {
                why: LookupError::Absent { .. },
                ..
            }
        );
        let name = shown(&layer.member);
        return Err(if missing {
            format!("reading blob: open {name}: no such file or directory")
        } else {
            format!("reading blob: {name}: file does not exist")
        });
    }
    let Some(blob) = facts.blob(layer) else {
        return Ok(());
    };
    if let (false, Some(claimed)) = (is_docker, &layer.digest) {
        let claimed = claimed.digest();
        let computed = blob.stored_digest(claimed.algorithm());
        if let Some(computed) = computed.filter(|computed| computed != claimed) {
            return Err(format!(
                "writing blob: happened during read: Digest did not match, expected {claimed}, got {computed}"
            ));
        }
    }
    // containers/image knows zstd by its frame alone.
    if blob.begins_with_skippable_frame() {
        return Err("writing blob: happened during read: Digest did not match".to_owned());
    }
    let sum = match &blob.sum {
        Err(error) => return Err(format!("writing blob: {}", layer_message(error))),
        Ok(sum) => sum,
    };
    if let Some(error) = &sum.tail_fault {
        return Err(format!("writing blob: {}", layer_message(error)));
    }
    if sum.trailing {
        return Err("writing blob: gzip: invalid header".to_owned());
    }
    if let (true, Some((claimed, computed))) = (is_docker, wrong_diff_id(layer, &sum.tar)) {
        return Err(format!(
            "writing blob: happened during read: Digest did not match, expected {claimed}, got {computed}"
        ));
    }
    if let Some(error) = &sum.tar_fault {
        return Err(format!(
            "writing blob: adding layer: ApplyLayer: {}",
            layer_message(error)
        ));
    }
    Ok(())
}

/// Layers of a layout are held against the config once they are stored.
fn differs(facts: &Facts<'_>, layer: &Layer, is_docker: bool) -> Outcome {
    let sum = facts.blob(layer).and_then(|blob| blob.sum.as_ref().ok());
    match sum.and_then(|sum| wrong_diff_id(layer, &sum.tar)) {
        Some((claimed, _)) if !is_docker => Err(format!(
            "writing blob: layer {} does not match config's DiffID \"{claimed}\"",
            layer.index
        )),
        _ => Ok(()),
    }
}

/// Why the layers cannot be applied to each other, if they cannot.
fn refused(survey: &Survey) -> Option<String> {
    let fault = survey
        .refused
        .first()
        .map(|refused| format!("{} {}", shown(&refused.path), refused.fault));
    fault.or_else(|| {
        survey.warnings.iter().find_map(|warning| {
            Some(match warning.kind {
                WarningKind::DuplicatePath => "duplicates of file paths not supported".to_owned(),
                WarningKind::OldSparse => "unhandled tar header type 83".to_owned(),
                WarningKind::ContiguousFile => "unhandled tar header type 55".to_owned(),
                _ => return None,
            })
        })
    })
}
