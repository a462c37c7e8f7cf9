//! podman and skopeo (containers/image `oci/archive`, `docker/internal/tarfile`, `storage`;
//! containers/common `libimage/load.go`).
//!
//! `podman load` tries an archive as an OCI image layout first and then as a docker archive; it takes
//! what either reader takes, and the reason given is that of the reader that fits. On overlay, its usual
//! driver, layers are unpacked as Docker does it (measured with 5.4 and 5.8); on vfs they are applied to the
//! tree of those below them, as [`crate::tree`] does it. skopeo reads archives with the same code and
//! unpacks nothing.
//!
//! Long: one engine's rules, in the order in which it comes to them.

use super::docker::{ConfigFault, config_fault, grammar, no_such_file, piece};
use super::docker_archive::docker;
use super::overlay::{Rules, Unpacker, unpack};
use super::target::{Named, Sheet};
use super::{
    Facts, Outcome, Refusal, attributes, because, layer_message, names, says, shown, wrong_diff_id,
};
use crate::archive::LookupError;
use crate::base::digest::Digest;
use crate::base::problem::Code;
use crate::document::{Descriptor, InlineData, MediaType, Platform};
use crate::image::{Artifact, Image, Layer, LayerSource, Leads, Listed, Name, ReferenceError};
use crate::layer::Whiteout;
use crate::layer::digest::LayerReading;
use crate::source::{Compression, Slice, sniff};
use crate::tree::{LayerPath, Survey, WarningKind};

/// What is done with layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// podman on overlay.
    Overlay,
    /// podman on vfs.
    Vfs,
    /// skopeo: they are copied.
    Copies,
}

pub(super) fn load(facts: &Facts<'_>, driver: Driver, sheet: &mut Sheet) -> Outcome {
    // The member that was needed comes first.
    facts.outer().map_err(|refusal| refusal.within("…"))?;
    if facts.archive.has_trailing_data() {
        return Err(says(
            "copying contents to temporary file …: gzip: invalid header",
        ));
    }
    let index = facts.archive.find(b"index.json").is_ok();
    let manifest = facts.archive.find(b"manifest.json").is_ok();
    match (index, manifest) {
        (true, false) => oci(facts, driver, sheet),
        (true, true) => oci(facts, driver, sheet).or_else(|_| docker(facts, driver, sheet)),
        (false, true) => docker(facts, driver, sheet),
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
        engine: Unpacker::Docker,
        is_layer: false,
        limits: facts.limits(),
    };
    unpack(facts.archive.members().iter().map(piece), rules)
        .map_err(|refusal| refusal.within("creating temp directory: untarring file …: "))
}

fn oci(facts: &Facts<'_>, driver: Driver, sheet: &mut Sheet) -> Outcome {
    untarred(facts)?;
    facts.readable("index.json")?;
    let set = facts.set()?;
    let entry = match set.listed.as_slice() {
        [entry] => entry,
        [] => return Err(says("loading index: no image in oci")),
        // skopeo is told which of them.
        several if driver == Driver::Copies => {
            return several
                .iter()
                .try_for_each(|entry| oci_entry(facts, entry, driver, sheet));
        }
        _ => {
            return Err(says(
                "loading index: more than one image in oci, choose an image",
            ));
        }
    };
    oci_entry(facts, entry, driver, sheet)?;
    for image in &set.images {
        sheet.passed_over(
            image.position,
            "podman goes by index.json and takes one image for this machine",
        );
    }
    Ok(())
}

fn oci_entry(facts: &Facts<'_>, entry: &Listed, driver: Driver, sheet: &mut Sheet) -> Outcome {
    if entry.descriptor.data == InlineData::NotBase64 {
        return Err(says("loading index: …illegal base64 data at input byte …"));
    }
    let chosen = match &entry.leads {
        Leads::Index(below) => for_host(below)?,
        _ => entry,
    };
    let set = facts.set()?;
    match &chosen.leads {
        Leads::Image(position) => {
            let Some(image) = set.images.get(*position) else {
                return Ok(());
            };
            let known = &chosen.descriptor.media_type;
            if !known.is_manifest() && !known.as_str().is_empty() {
                return Err(because(format!(
                    "index.json lists a manifest under the media type `{known}`, which podman does not know"
                )));
            }
            oci_image(facts, image, driver)?;
            let name = match driver {
                Driver::Copies => Named::default(),
                Driver::Overlay | Driver::Vfs => {
                    let written = names::annotated(&entry.descriptor);
                    names::podman(written.map(|(text, _)| text), image)
                }
            };
            sheet.loaded(*position, name);
            Ok(())
        }
        Leads::Artifact(position) => {
            let Some(artifact) = set.artifacts.get(*position) else {
                return Ok(());
            };
            oci_artifact(artifact, driver)?;
            sheet.other();
            Ok(())
        }
        Leads::Absent => Err(no_blob(&chosen.descriptor)),
        Leads::Index(_) => Err(says(
            "…Unexpectedly received a manifest list instead of a manifest for a single image",
        )),
        Leads::Unreadable(why) => Err(because(why.clone())),
        Leads::Again => Err(because("the index names no image")),
    }
}

/// The entry of an index for this machine: the platform of the descriptor counts, letter by letter
/// (containers/image `internal/manifest/oci_index.go`); one that says none is taken if no other fits.
fn for_host(below: &[Listed]) -> Result<&Listed, Refusal> {
    let fits = |entry: &&Listed| entry.descriptor.platform.as_ref().is_some_and(is_for_host);
    let silent = |entry: &&Listed| entry.descriptor.platform.is_none();
    let chosen = below
        .iter()
        .find(fits)
        .or_else(|| below.iter().find(silent));
    chosen.ok_or_else(|| {
        says(format!(
            "…no image found in image index for architecture {:?}, variant …, OS \"linux\"",
            Platform::host().architecture
        ))
    })
}

/// The message where there is neither description.
pub(super) fn no_index() -> Refusal {
    says("loading index: open …/index.json: no such file or directory")
}

/// The message for a blob that an index names and the archive lacks. What it was needed for comes first.
fn no_blob(descriptor: &Descriptor) -> Refusal {
    if !descriptor.urls.is_empty() {
        return because("a layer is to be fetched from elsewhere");
    }
    let blob = descriptor.digest.to_string().replace(':', "/");
    says(format!("…open …/blobs/{blob}: no such file or directory"))
}

/// Whether an image is for this machine; containers are Linux wherever they run.
fn is_for_host(platform: &Platform) -> bool {
    platform.os == "linux" && platform.architecture == Platform::host().architecture
}

/// A manifest of something else is refused for its type. One with the config of an image and layers of a
/// type that is unknown is taken for an image.
fn oci_artifact(artifact: &Artifact, driver: Driver) -> Outcome {
    if driver == Driver::Copies {
        let missing = artifact.blobs.iter().find(|blob| blob.slice.is_none());
        return missing.map_or(Ok(()), |blob| Err(no_blob(&blob.descriptor)));
    }
    let config = artifact.blobs.first();
    if config.is_some_and(|config| !config.descriptor.media_type.is_config()) {
        return Err(says(format!(
            "parsing image configuration: unsupported image-specific operation on artifact with type {:?}",
            artifact.kind
        )));
    }
    for layer in artifact.blobs.iter().skip(1) {
        let Some(slice) = &layer.slice else {
            return Err(no_blob(&layer.descriptor));
        };
        if !begins_as_tar(slice) {
            return Err(because(format!(
                "a layer of the artifact `{}` is not a tar",
                artifact.kind
            )));
        }
    }
    Ok(())
}

/// Whether bytes that were not read as a layer begin with the header of a tar, or are compressed.
fn begins_as_tar(slice: &Slice) -> bool {
    let mut head = [0; 512];
    let read = slice.read_at(&mut head, 0).unwrap_or_default();
    let head = &head[..read];
    sniff(head) != Compression::None || head.get(257..262) == Some(b"ustar")
}

fn oci_image(facts: &Facts<'_>, image: &Image, driver: Driver) -> Outcome {
    for name in image.names.iter().filter(|_| driver != Driver::Copies) {
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
        if manifest.data_is_broken {
            return Err(says("…illegal base64 data at input byte …"));
        }
        config_type(manifest)?;
    }
    // What `index.json` itself names is not hashed.
    if let Some(manifest) = manifest.filter(|manifest| manifest.index.is_some()) {
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
    if let Some(why) = image.view().and_then(|view| view.refused_as_oci.as_ref()) {
        return Err(because(format!("engines cannot read the config: {why}")));
    }
    let (layers, claimed) = (
        image.layers.len(),
        image.view().map_or(0, |view| view.diff_ids().len()),
    );
    if layers > claimed && driver != Driver::Copies {
        return Err(because(format!(
            "the config has {claimed} diff IDs and the manifest {layers} layers"
        )));
    }
    apply(facts, image, false, driver)?;
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

/// The config's media type decides what a manifest is taken for (containers/image `manifest/oci.go`).
fn config_type(manifest: &crate::image::Manifest) -> Outcome {
    let is_oci = manifest.descriptor.media_type == MediaType::OciManifest;
    match &manifest.config.media_type {
        MediaType::DockerConfig if is_oci => {
            Err(says("…invalid mixed OCI image with Docker v2s2 config…"))
        }
        MediaType::Other(kind) if is_oci && kind.is_empty() => Err(says(
            "parsing image configuration: unsupported image-specific operation on artifact with type \"\"",
        )),
        _ => Ok(()),
    }
}

// --- layers ---------------------------------------------------------------------------------------

pub(super) fn apply(facts: &Facts<'_>, image: &Image, is_docker: bool, driver: Driver) -> Outcome {
    for layer in &image.layers {
        self::layer(facts, layer, is_docker, driver)?;
    }
    if driver != Driver::Vfs {
        return Ok(());
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

/// What comes before the words of the process that applies a layer, on vfs.
const APPLYING: &str = "writing blob: adding layer with blob …: ApplyLayer stdout: … stderr: ";
/// The same on overlay.
const UNPACKING: &str =
    "writing blob: adding layer with blob …: unpacking failed (error: exit status 1; output: ";

/// A layer unpacked.
fn unpacked(facts: &Facts<'_>, layer: &Layer, reading: &LayerReading, driver: Driver) -> Outcome {
    let words = match driver {
        Driver::Overlay => UNPACKING,
        Driver::Vfs => APPLYING,
        Driver::Copies => return Ok(()),
    };
    let applied = match driver {
        Driver::Overlay => facts.unpacked(layer, reading, Unpacker::Storage),
        Driver::Vfs | Driver::Copies => Ok(()),
    };
    let fault = reading
        .tar_fault()
        .map_or(Ok(()), |error| Err(layer_message(error)));
    applied
        .and_then(|()| attributes::layer(&reading.inventory, attributes::Reader::Podman))
        .and(fault)
        .map_err(|why| why.within(words).then("…"))
}

/// A layer that the archive lacks.
fn missing(layer: &Layer) -> Refusal {
    if let LayerSource::Missing { urls, .. } = &layer.source
        && !urls.is_empty()
    {
        return because("a layer is to be fetched from elsewhere");
    }
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

pub(super) fn digest_differs(claimed: &Digest, computed: &Digest) -> Refusal {
    says(format!(
        "writing blob: …: happened during read: Digest did not match, expected {claimed}, got {computed}"
    ))
}

fn layer(facts: &Facts<'_>, layer: &Layer, is_docker: bool, driver: Driver) -> Outcome {
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
    unpacked(facts, layer, reading, driver)
}

/// Why the layers cannot be applied to each other, if they cannot.
fn refused(survey: &Survey) -> Option<Refusal> {
    let fault = survey
        .refused
        .first()
        .map(|refused| because(format!("`{}` {}", shown(&refused.path), refused.fault)));
    let unremovable = || {
        let path = LayerPath::new(survey.below_file.as_ref()?);
        let (last, parents) = path.components().split_last()?;
        let Some(Whiteout::Path(name)) = Whiteout::of_path(last) else {
            return None;
        };
        let path = [parents, &[name]].concat().join(&b'/');
        let why = format!("unlinkat /{}: not a directory", shown(&path));
        Some(says(why))
    };
    fault.or_else(unremovable).or_else(|| {
        survey.warnings.iter().find_map(|warning| {
            Some(says(match warning.kind {
                WarningKind::DuplicatePath => "duplicates of file paths not supported",
                WarningKind::RootNotDirectory => "unlinkat .//: device or resource busy",
                WarningKind::OldSparse => "unhandled tar header type 83",
                WarningKind::ContiguousFile => "unhandled tar header type 55",
                _ => return None,
            }))
        })
    })
}
