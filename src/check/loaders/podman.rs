//! podman and skopeo (containers/image `oci/archive`, `docker/internal/tarfile`, `storage`;
//! containers/common `libimage/load.go`).
//!
//! `podman load` tries an archive as an OCI image layout first and then as a docker archive; it takes
//! what either reader takes, and the reason given is that of the reader that fits. Layers are applied
//! to the tree of those below them, as [`crate::tree`] does it.

use super::docker::{ConfigFault, config_fault, grammar, no_such_file, piece};
use super::overlay::{Engine, Rules, unpack};
use super::{Facts, Outcome, Refusal, because, layer_message, says, shown, wrong_diff_id};
use crate::archive::{LookupError, MemberKind, MemberName};
use crate::base::digest::Digest;
use crate::base::problem::Code;
use crate::document::{Descriptor, MediaType, Platform};
use crate::image::{
    Artifact, Image, ImageSet, Layer, LayerSource, Name, ReferenceError, RefusedTag, TagFault,
};
use crate::tree::{Survey, WarningKind};

pub(super) fn load(facts: &Facts<'_>) -> Outcome {
    // Which member was wanted is said first.
    facts.outer().map_err(|refusal| refusal.within("…"))?;
    if facts.archive.has_trailing_data() {
        return Err(says(
            "copying contents to temporary file …: gzip: invalid header",
        ));
    }
    let index = facts.archive.find(b"index.json").is_ok();
    let manifest = facts.archive.find(b"manifest.json").is_ok();
    match (index, manifest) {
        (true, false) => oci(facts),
        (true, true) => oci(facts).or_else(|_| docker(facts)),
        (false, true) => docker(facts),
        (false, false) => {
            untarred(facts)?;
            Err(match facts.archive.find(b"index.json") {
                Err(LookupError::NotAFile { .. }) => {
                    says("loading index: read …/index.json: is a directory")
                }
                _ => no_index(),
            })
        }
    }
}

// --- as an OCI image layout -----------------------------------------------------------------------

/// The archive is unpacked before anything is looked at.
fn untarred(facts: &Facts<'_>) -> Outcome {
    for member in facts.archive.members() {
        if member.left_root {
            let name = member.name.to_lossy();
            return Err(says(format!(
                "creating temp directory: untarring file …: \"../{name}\" is outside of …"
            )));
        }
    }
    let rules = Rules {
        engine: Engine::Docker,
        is_layer: false,
    };
    unpack(facts.archive.members().iter().map(piece), rules)
        .map_err(|refusal| refusal.within("creating temp directory: untarring file …: "))
}

fn oci(facts: &Facts<'_>) -> Outcome {
    untarred(facts)?;
    facts.readable("index.json")?;
    let set = facts.set()?;
    match set.in_index_json {
        1 => {}
        0 => return Err(says("loading index: no image in oci")),
        _ => {
            return Err(says(
                "loading index: more than one image in oci, choose an image",
            ));
        }
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
        (None, Some(artifact), _) => Err(artifact_refused(artifact)),
        (None, None, Some(absent)) => Err(no_blob(&absent.descriptor)),
        (None, None, None) => Err(because(
            set.problems
                .iter()
                .find(|problem| problem.code == Code::ManifestInvalid)
                .map_or("the index names no image", |problem| &problem.message),
        )),
    }
}

/// What is said where there is neither description.
pub(super) fn no_index() -> Refusal {
    says("loading index: open …/index.json: no such file or directory")
}

/// What is said of a blob that an index names and the archive lacks. What it was wanted for comes first.
fn no_blob(descriptor: &Descriptor) -> Refusal {
    let blob = descriptor.digest.to_string().replace(':', "/");
    says(format!("…open …/blobs/{blob}: no such file or directory"))
}

fn no_platform(set: &ImageSet) -> Refusal {
    let named = set
        .absent
        .iter()
        .find(|absent| absent.descriptor.platform.as_ref().is_some_and(is_for_host));
    match named {
        Some(absent) => no_blob(&absent.descriptor),
        None => says(format!(
            "…no image found in image index for architecture {:?}, variant …, OS \"linux\"",
            Platform::host().architecture
        )),
    }
}

/// Whether an image is for this machine; containers are Linux wherever they run.
fn is_for_host(platform: &Platform) -> bool {
    platform.os == "linux" && platform.architecture == Platform::host().architecture
}

/// A manifest of something else is refused for its type, or for a layer's.
fn artifact_refused(artifact: &Artifact) -> Refusal {
    let config = artifact.blobs.first();
    if config.is_none_or(|config| config.descriptor.media_type.is_config()) {
        return because(format!(
            "it does not know the media type of a layer of the artifact `{}`",
            artifact.kind
        ));
    }
    says(format!(
        "parsing image configuration: unsupported image-specific operation on artifact with type {:?}",
        artifact.kind
    ))
}

fn oci_image(facts: &Facts<'_>, image: &Image) -> Outcome {
    for name in &image.names {
        if let Name::Bare(text) = name
            && let Err(why) = text.parse::<crate::image::Reference>()
        {
            let why = match why {
                // podman's parser is older, and does not repeat the name.
                ReferenceError::Uppercase(_) => "…repository name must be lowercase".to_owned(),
                why => grammar(&why),
            };
            return Err(says(format!("normalizing name {text:?}: {why}")));
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
            return Err(says(format!(
                "unsupported docker v2s2 media type: {:?}",
                media_type.as_str()
            )));
        }
    }
    let problems = facts.set.map_or(&[][..], |set| &set.problems);
    let member_of = |digest: &Digest| digest.blob_path().into_bytes();
    if let Some(manifest) = manifest {
        let member = member_of(&manifest.descriptor.digest);
        let lies = problems.iter().any(|p| {
            p.code == Code::BlobDigestMismatch && p.member.as_deref() == Some(member.as_slice())
        });
        if lies {
            return Err(because("its manifest does not match its digest"));
        }
    }
    if image.config.is_none() {
        return Err(match config_fault(facts, image) {
            ConfigFault::Missing(name) => {
                no_such_file(&name).within("parsing image configuration: ")
            }
            ConfigFault::Unreadable(why) => because(why),
        });
    }
    apply(facts, image, false)?;
    let config = image.config.as_ref().map(|config| config.member.as_slice());
    let of_config = |code: Code| {
        problems
            .iter()
            .any(|p| p.code == code && p.member.as_deref() == config)
    };
    if of_config(Code::BlobSizeMismatch) {
        return Err(says("writing blob: blob size mismatch"));
    }
    if of_config(Code::ConfigDigestMismatch) {
        return Err(says("writing blob: …Digest did not match…"));
    }
    Ok(())
}

// --- as a docker archive --------------------------------------------------------------------------

fn docker(facts: &Facts<'_>) -> Outcome {
    // No image is no fault.
    if facts.manifest_is_null() {
        return Ok(());
    }
    facts.readable("manifest.json")?;
    let set = facts.set()?;
    if facts
        .problem(Code::TrailingData, b"manifest.json")
        .is_some()
    {
        return Err(says(
            "decoding tar manifest.json: invalid character … after top-level value",
        ));
    }
    for image in &set.images[..set.from_manifest_json] {
        if let Some(tag) = facts.refused_tags(image).next() {
            return Err(invalid_tag(tag));
        }
        let Some(view) = image.view() else {
            return Err(match config_fault(facts, image) {
                ConfigFault::Missing(name) => says(format!(
                    "…loading tar component {name:?}: file does not exist"
                )),
                ConfigFault::Unreadable(why) => because(why),
            });
        };
        let Some(rootfs) = &view.rootfs else {
            return Err(says("…Invalid image config (rootFS is not set): …"));
        };
        let (listed, claimed) = (image.layers.len(), rootfs.diff_ids.len());
        if listed != claimed {
            return Err(says(format!(
                "…Inconsistent layer count: {listed} in manifest, {claimed} in config"
            )));
        }
        for layer in &image.layers {
            reachable(facts, layer)?;
        }
        apply(facts, image, true)?;
    }
    Ok(())
}

fn invalid_tag(tag: &RefusedTag) -> Refusal {
    says(match &tag.why {
        TagFault::NoTag(reference) => format!(
            "Invalid tag {:?} ({}/{}): does not contain a tag",
            tag.text,
            reference.domain(),
            reference.path()
        ),
        // Which one, and which fault of it, is for its parser to say, and it is an older one.
        TagFault::Grammar(_) => {
            "Invalid tag … in manifest item …: invalid reference format…".to_owned()
        }
    })
}

/// One symbolic link is followed; a hard link has no bytes of its own.
fn reachable(facts: &Facts<'_>, layer: &Layer) -> Outcome {
    let name = MemberName::new(&layer.member);
    let missing = || Err(says("…Some layer tarfiles are missing in the tarball"));
    let Some(member) = facts.archive.member(&name) else {
        return missing();
    };
    match &member.kind {
        MemberKind::File(_) => Ok(()),
        MemberKind::Hardlink(_) => Err(says("reading blob …: Digest did not match…")),
        MemberKind::Symlink(target) => {
            let target = name.linked(target);
            match facts.archive.member(&target).map(|member| &member.kind) {
                Some(MemberKind::File(_)) => Ok(()),
                Some(_) => Err(says(format!(
                    "reading blob …: Error reading tar archive component {:?}: not a regular file",
                    target.to_lossy()
                ))),
                None => Err(says("reading blob …: file does not exist")),
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
    match refused(survey) {
        Some(why) => Err(why.within(APPLYING).then("…")),
        None => Ok(()),
    }
}

/// What is said before the words of the process that applies a layer.
const APPLYING: &str = "writing blob: adding layer with blob …: ApplyLayer stdout: … stderr: ";

/// A layer that the archive lacks.
fn missing(layer: &Layer) -> Refusal {
    let absent = matches!(
        &layer.source,
        LayerSource::Missing {
            why: LookupError::Absent { .. },
            ..
        }
    );
    says(if absent {
        let name = shown(&layer.member);
        format!("reading blob …: open …/{name}: no such file or directory")
    } else {
        "reading blob …: file does not exist".to_owned()
    })
}

fn digest_differs(claimed: &Digest, computed: &Digest) -> Refusal {
    says(format!(
        "writing blob: …: happened during read: Digest did not match, expected {claimed}, got {computed}"
    ))
}

fn layer(facts: &Facts<'_>, layer: &Layer, is_docker: bool) -> Outcome {
    if layer.present().is_none() {
        return Err(missing(layer));
    }
    let Some(blob) = facts.blob(layer) else {
        return Ok(());
    };
    if let (false, Some(claimed)) = (is_docker, &layer.digest) {
        let claimed = claimed.digest();
        let computed = blob.stored_digest(claimed.algorithm());
        if let Some(computed) = computed.filter(|computed| computed != claimed) {
            return Err(digest_differs(claimed, &computed));
        }
    }
    // containers/image knows zstd by its frame alone.
    if blob.begins_with_skippable_frame() {
        return Err(says(
            "writing blob: …happened during read: Digest did not match…",
        ));
    }
    let reading = match blob.layer() {
        None => return Ok(()),
        Some(Err(error)) => return Err(layer_message(error).within("…")),
        Some(Ok(reading)) => reading,
    };
    if let Some(error) = reading.tail_fault() {
        return Err(layer_message(error).within("…"));
    }
    if reading.trailing {
        return Err(says("…gzip: invalid header…"));
    }
    if let Some((claimed, computed)) = wrong_diff_id(layer, reading.diff_id()) {
        // A layer of a layout is named by its blob, and its diff ID is looked at before it is applied.
        return Err(if is_docker {
            digest_differs(claimed.digest(), computed.digest())
        } else {
            says(format!(
                "writing blob: layer {} … does not match config's DiffID \"{claimed}\"",
                layer.index
            ))
        });
    }
    if let Some(error) = reading.tar_fault() {
        return Err(layer_message(error).within(APPLYING).then("…"));
    }
    Ok(())
}

/// Why the layers cannot be applied to each other, if they cannot.
fn refused(survey: &Survey) -> Option<Refusal> {
    let fault = survey
        .refused
        .first()
        .map(|refused| because(format!("`{}` {}", shown(&refused.path), refused.fault)));
    fault.or_else(|| {
        survey.warnings.iter().find_map(|warning| {
            Some(says(match warning.kind {
                WarningKind::DuplicatePath => "duplicates of file paths not supported",
                WarningKind::OldSparse => "unhandled tar header type 83",
                WarningKind::ContiguousFile => "unhandled tar header type 55",
                _ => return None,
            }))
        })
    })
}
