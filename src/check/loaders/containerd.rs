//! Docker with the containerd store (containerd `core/images/archive/importer.go`; moby
//! `daemon/containerd/image_exporter.go`, `LoadImage`), and what `ctr` has in common with it.
//!
//! Every file goes into the content store under the digest that its bytes have, so a blob is found
//! whatever its member is called, and one with a false name is not found by it. `oci-layout` decides which
//! description counts. What was stored is then unpacked. Docker 26.1 fails if that fails; from 27.2 on it
//! says so, ends with success, and keeps an image that cannot be run.
//!
//! Long: one engine's rules, in the order in which it comes to them.

use super::docker::grammar;
use super::state::{UnpackState, Unread, state, unread_config};
use super::target::{Named, Sheet};
use super::{Facts, Outcome, Refusal, because, names, says, shown};
use crate::archive::{MemberKind, MemberName};
use crate::base::digest::Digest;
use crate::base::problem::Code;
use crate::document::{Descriptor, InlineData, Platform};
use crate::image::{Image, Leads, Listed, TagFault, oci_layout_version};

/// The message where no description is found.
pub(super) const UNRECOGNIZED: &str = "unrecognized image format";
/// The message where nothing is left to import.
pub(super) const FILTERED: &str = "image might be filtered out";

/// Which Docker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreVersion {
    /// 26.1.
    V26,
    /// 27.2 and later.
    V29,
}

/// Which description counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DescribedBy {
    /// `index.json`.
    Layout,
    /// `manifest.json`, of which containerd makes manifests.
    Docker,
}

pub(super) fn load(facts: &Facts<'_>, version: StoreVersion, sheet: &mut Sheet) -> Outcome {
    match described(facts, true)? {
        DescribedBy::Layout => layout(facts, version, sheet)?,
        DescribedBy::Docker => docker(facts, version, sheet)?,
    }
    sheet.one_name_each(true);
    Ok(())
}

/// Reads the tar to its end, as the importer does, and says which description counts.
///
/// `remote` is whether the content goes through a connection to containerd, which takes names in UTF-8 alone; the
/// transfer service of containerd 2 is within it.
pub(super) fn described(facts: &Facts<'_>, remote: bool) -> Result<DescribedBy, Refusal> {
    // The member that is cut short is named first.
    facts.outer().map_err(|refusal| refusal.within("…"))?;
    for member in facts.archive.members() {
        let name = member.name.as_bytes();
        let is_file = matches!(member.kind, MemberKind::File(_));
        if remote && is_file && std::str::from_utf8(name).is_err() {
            return Err(says(
                "failed to ingest …: failed to open writer: grpc: error while marshaling: string field contains invalid UTF-8…",
            ));
        }
    }
    let manifest_json = facts.is_file(b"manifest.json");
    // Parsed as soon as it is met, each of them, whichever description counts.
    if manifest_json && !facts.manifest_is_null() {
        if let Some(Err(why)) = facts.hidden_manifests().iter().find(|one| one.is_err()) {
            return Err(because(format!(
                "the first manifest.json cannot be read: {why}"
            )));
        }
        facts.readable("manifest.json")?;
    }
    if facts.is_file(b"oci-layout") {
        match oci_layout_version(facts.archive) {
            Err(why) => return Err(because(format!("oci-layout cannot be read: {why}"))),
            Ok(version) if version == "1.0.0" => return Ok(DescribedBy::Layout),
            // As if there were none.
            Ok(version) if version.is_empty() => {}
            Ok(version) => return Err(says(format!("unsupported OCI version {version}"))),
        }
    }
    if !manifest_json || facts.manifest_is_null() {
        return Err(says(UNRECOGNIZED));
    }
    Ok(DescribedBy::Docker)
}

/// What `index.json` lists, once every descriptor makes sense and every document can be read.
pub(super) fn listed<'f>(facts: &Facts<'f>) -> Result<&'f [Listed], Refusal> {
    if !facts.is_file(b"index.json") {
        return Err(says("missing index.json in OCI layout 1.0.0"));
    }
    facts.readable("index.json")?;
    if facts.problem(Code::TrailingData, b"index.json").is_some() {
        return Err(says("invalid character … after top-level value"));
    }
    let listed = facts
        .set
        .map_err(|_| because("index.json cannot be read"))?;
    let listed = listed.listed.as_slice();
    if listed.is_empty() {
        return Err(says(FILTERED));
    }
    documents(facts, listed)?;
    for Listed { descriptor, .. } in listed {
        if descriptor.media_type.as_str().is_empty() {
            return Err(says("…arget.MediaType must be set: invalid argument"));
        }
        if descriptor.size.is_none_or(|size| size == 0) {
            return Err(says(
                "…arget.Size must be greater than zero: invalid argument",
            ));
        }
    }
    Ok(listed)
}

/// Refuses documents that containerd's walk over all indexes cannot read.
fn documents(facts: &Facts<'_>, listed: &[Listed]) -> Outcome {
    for Listed { descriptor, leads } in listed {
        if descriptor.data == InlineData::NotBase64 {
            return Err(says("…illegal base64 data at input byte …"));
        }
        let is_read = descriptor.media_type.is_manifest() || descriptor.media_type.is_index();
        if !is_read || !is_there(facts, &descriptor.digest) {
            continue;
        }
        match leads {
            Leads::Unreadable(why) => {
                let digest = &descriptor.digest;
                return Err(because(format!("invalid desc {digest}: {why}")));
            }
            Leads::Index(below) => documents(facts, below)?,
            Leads::Image(position) => {
                let image = facts.set.ok().and_then(|set| set.images.get(*position));
                let manifest = image.and_then(|image| image.manifest.as_ref());
                if manifest.is_some_and(|manifest| manifest.data_is_broken) {
                    return Err(says("…illegal base64 data at input byte …"));
                }
            }
            Leads::Artifact(_) | Leads::Absent | Leads::Again => {}
        }
    }
    Ok(())
}

/// An OCI image layout in Docker's store.
fn layout(facts: &Facts<'_>, version: StoreVersion, sheet: &mut Sheet) -> Outcome {
    let listed = listed(facts)?;
    for entry in listed {
        let known = &entry.descriptor.media_type;
        if !known.is_manifest() && !known.is_index() {
            let why = says(format!(
                "error walking manifest for …@{}: descriptor is neither a manifest or index",
                entry.descriptor.digest
            ));
            failed(version, sheet, None, &Named::default(), why)?;
            continue;
        }
        let named = names::containerd_store(&entry.descriptor);
        entry_of_layout(facts, version, entry, &named, sheet)?;
    }
    for image in facts.of_manifest_json() {
        if image.manifest.is_none() {
            sheet.passed_over(image.position, "index.json does not describe it");
        }
    }
    Ok(())
}

fn entry_of_layout(
    facts: &Facts<'_>,
    version: StoreVersion,
    entry: &Listed,
    named: &Named,
    sheet: &mut Sheet,
) -> Outcome {
    let descriptor = &entry.descriptor;
    match &entry.leads {
        Leads::Index(below) => {
            for entry in below {
                // Most archives leave out other platforms, which engines accept.
                if !matches!(entry.leads, Leads::Absent) {
                    entry_of_layout(facts, version, entry, named, sheet)?;
                }
            }
            sheet.other();
            Ok(())
        }
        Leads::Artifact(_) | Leads::Again | Leads::Unreadable(_) => {
            sheet.other();
            Ok(())
        }
        Leads::Absent => {
            // Read from the descriptor, and not found when it is to be unpacked.
            if descriptor.data == InlineData::Fits {
                failed(version, sheet, None, named, not_found(&descriptor.digest))
            } else {
                sheet.broken(None, named, no_manifest(descriptor));
                Ok(())
            }
        }
        Leads::Image(position) => {
            let Some(image) = facts.set.ok().and_then(|set| set.images.get(*position)) else {
                return Ok(());
            };
            if !is_there(facts, &descriptor.digest) {
                sheet.broken(Some(*position), named, no_manifest(descriptor));
                return Ok(());
            }
            match state(facts, image, version == StoreVersion::V26) {
                UnpackState::Sound => sheet.loaded(*position, named.clone()),
                UnpackState::NoConfig => {
                    let why = because(
                        "the archive lacks its config: nothing is said, and no container can be made",
                    );
                    if is_for_another(descriptor) {
                        sheet.lost(*position, named, why);
                    } else {
                        sheet.broken(Some(*position), named, why);
                    }
                }
                UnpackState::NoLayers(why) => sheet.broken(Some(*position), named, why),
                UnpackState::OnlyUnpacked(why) => not_created(*position, named, &why, sheet),
                // Only what is for this machine is unpacked (28.5, 29.7).
                UnpackState::Stuck(_)
                    if version == StoreVersion::V29 && is_for_another(descriptor) =>
                {
                    sheet.loaded(*position, named.clone());
                }
                UnpackState::Stuck(why) => {
                    failed(version, sheet, Some(*position), named, why.in_library())?;
                }
            }
            Ok(())
        }
    }
}

fn no_manifest(descriptor: &Descriptor) -> Refusal {
    because(format!(
        "the archive lacks its manifest {}: nothing is said, and no container can be made",
        descriptor.digest
    ))
}

/// Whether a descriptor says that it is for another platform than this machine's.
pub(super) fn is_for_another(descriptor: &Descriptor) -> bool {
    let platform = descriptor.platform.as_ref();
    platform.is_some_and(|platform| !is_for_host(platform))
}

/// Whether a platform is this machine's, whatever its variant.
fn is_for_host(platform: &Platform) -> bool {
    platform.os == "linux" && architecture(platform) == Platform::host().architecture
}

/// The same, as strictly as `ctr` has it: another variant is another platform.
pub(super) fn is_exactly_for_host(platform: &Platform) -> bool {
    let usual = match architecture(platform) {
        "amd64" => "v1",
        "arm64" => "v8",
        _ => "",
    };
    is_for_host(platform) && (platform.variant.is_empty() || platform.variant == usual)
}

/// Go's name of an architecture (containerd `platforms` `normalizeArch`).
fn architecture(platform: &Platform) -> &str {
    match platform.architecture.as_str() {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An image that cannot be unpacked.
fn failed(
    version: StoreVersion,
    sheet: &mut Sheet,
    position: Option<usize>,
    named: &Named,
    why: Refusal,
) -> Outcome {
    match version {
        StoreVersion::V26 => Err(why.within("failed to unpack loaded image: ")),
        StoreVersion::V29 => {
            sheet.broken(position, named, why.within("Error unpacking image …: …"));
            Ok(())
        }
    }
}

/// An image that is loaded and unpacked in silence; only making a container fails.
fn not_created(position: usize, named: &Named, why: &str, sheet: &mut Sheet) {
    let why = because(format!("no container can be made: {why}"));
    sheet.broken(Some(position), named, why);
}

/// Whether the archive holds these bytes, whatever their member is called.
pub(super) fn is_there(facts: &Facts<'_>, digest: &Digest) -> bool {
    let name = format!("blobs/{}/{}", digest.algorithm().name(), digest.encoded());
    let found = facts.archive.find(name.as_bytes()).is_ok_and(|(_, slice)| {
        let blob = facts.blobs.get(&slice);
        let computed = blob.and_then(|blob| blob.stored_digest(digest.algorithm()));
        computed.is_none_or(|computed| computed == *digest)
    });
    found
        || facts
            .blobs
            .iter()
            .any(|blob| blob.stored_digest(digest.algorithm()).as_ref() == Some(digest))
}

/// Whether a member that nothing leads to has this size and digest.
pub(super) fn lies_elsewhere(facts: &Facts<'_>, digest: &Digest, size: Option<u64>) -> bool {
    const MOST: usize = 16;
    let files = facts
        .archive
        .members()
        .iter()
        .filter_map(|member| match member.kind {
            MemberKind::File(span) if Some(span.len) == size => Some(span),
            _ => None,
        });
    let mut digests = files
        .take(MOST)
        .filter_map(|span| facts.digest_of(span, digest.algorithm()));
    digests.any(|computed| computed == *digest)
}

/// The message for content that is not there.
pub(super) fn not_found(digest: &Digest) -> Refusal {
    says(format!("content digest {digest}: not found"))
}

/// A docker archive in Docker's store.
fn docker(facts: &Facts<'_>, version: StoreVersion, sheet: &mut Sheet) -> Outcome {
    let old = version == StoreVersion::V26;
    for image in docker_images(facts, old)? {
        let named = names::containerd_of_manifest_json(image);
        match state(facts, image, old) {
            UnpackState::Sound => sheet.loaded(image.position, named),
            UnpackState::NoConfig => {}
            UnpackState::OnlyUnpacked(why) => not_created(image.position, &named, &why, sheet),
            UnpackState::NoLayers(why) => {
                failed(version, sheet, Some(image.position), &named, why)?;
            }
            UnpackState::Stuck(why) => {
                failed(
                    version,
                    sheet,
                    Some(image.position),
                    &named,
                    why.in_library(),
                )?;
            }
        }
    }
    Ok(())
}

/// The images of a docker archive, once their parts are found. `old` is containerd 1.7.
pub(super) fn docker_images<'f>(facts: &Facts<'f>, old: bool) -> Result<&'f [Image], Refusal> {
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
    let set = facts
        .set
        .map_err(|_| because("manifest.json cannot be read"))?;
    let images = &set.images[..set.from_manifest_json];
    for image in images {
        let config = image.config.as_ref().map(|config| &config.member);
        let found = config.is_none_or(|name| stored(facts, name));
        let not_found = |name: &str| Err(says(format!("image config {name:?} not found")));
        if let Some(name) = config.filter(|_| !found) {
            // A link that other readers follow, or a name that they clean.
            return not_found(&shown(name));
        }
        match unread_config(facts, image, old) {
            None | Some(Unread::Beyond(_)) => {}
            Some(Unread::Missing(name)) => return not_found(&name),
            Some(Unread::AtAll(why)) if config.is_some() => {
                return Err(because(format!("unable to resolve platform: {why}")));
            }
            Some(Unread::AtAll(why)) => return Err(because(why)),
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
    for tag in images.iter().flat_map(|image| facts.refused_tags(image)) {
        // A name without a tag gets one.
        if let TagFault::Grammar(why) = &tag.why {
            let why = grammar(why);
            return Err(says(format!("normalize image ref {:?}: {why}", tag.text)));
        }
    }
    if images.is_empty() {
        return Err(says(FILTERED));
    }
    Ok(images)
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

/// Whether a name in `manifest.json` leads to a file: itself, or a symbolic link to one. Names of members
/// are cleaned, those in `manifest.json` are not.
fn stored(facts: &Facts<'_>, written: &[u8]) -> bool {
    let name = MemberName::new(written);
    let Some(member) = facts.archive.member(&name) else {
        return false;
    };
    let cleaned = match written.strip_prefix(b"/") {
        Some(rest) => member.absolute && rest == name.as_bytes(),
        None => !member.absolute && written == name.as_bytes(),
    };
    let linked = matches!(member.kind, MemberKind::Symlink(_));
    let is_file = matches!(member.kind, MemberKind::File(_));
    cleaned && !member.left_root && (linked || is_file && !is_description(&name))
}

fn is_description(name: &MemberName) -> bool {
    matches!(name.as_bytes(), b"manifest.json" | b"oci-layout")
}

fn is_blob(facts: &Facts<'_>, name: &MemberName) -> bool {
    facts.is_file(name.as_bytes()) && !is_description(name)
}
