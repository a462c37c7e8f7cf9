//! `ctr images import` (containerd `cmd/ctr/commands/images/import.go`, `core/transfer/local/import.go`): what
//! kind, k3s and others load with. Measured with containerd 1.7.24 and 2.1.9.
//!
//! It reads an archive as Docker's containerd store does ([`super::containerd`]) and is stricter: what is to
//! be unpacked has to be there, what is not for this machine is left out, and a nameless image is not made.
//! From 2.0 on it goes another way than before, which is `--local` since.

use super::containerd::{
    DescribedBy, FILTERED, described, docker_images, is_exactly_for_host, is_there, listed,
};
use super::state::{UnpackState, platform_given, state};
use super::target::{Named, Sheet};
use super::{Facts, Outcome, Refusal, because, names, says};
use crate::base::digest::Digest;
use crate::document::Descriptor;
use crate::image::{Image, Leads, Listed};
use crate::source::Compression;

/// How it is started.
#[derive(Clone, Copy, Debug)]
pub(super) struct CtrWay {
    /// As containerd 1.7 does it.
    pub(super) local: bool,
    /// With `--all-platforms`.
    pub(super) all: bool,
}

impl CtrWay {
    /// Whether a descriptor is passed over. One that says no platform never is.
    fn filters(self, descriptor: &Descriptor) -> bool {
        let platform = descriptor.platform.as_ref();
        !self.all && platform.is_some_and(|platform| !is_exactly_for_host(platform))
    }
}

pub(super) fn import(facts: &Facts<'_>, way: CtrWay, sheet: &mut Sheet) -> Outcome {
    match facts.archive.compression() {
        Compression::None => {}
        Compression::Gzip | Compression::Zstd if !way.local => {}
        _ => return Err(says("archive/tar: invalid tar header")),
    }
    match described(facts, way.local)? {
        DescribedBy::Layout => layout(facts, way, sheet)?,
        DescribedBy::Docker => docker(facts, way, sheet)?,
    }
    sheet.one_name_each(true);
    Ok(())
}

fn docker(facts: &Facts<'_>, way: CtrWay, sheet: &mut Sheet) -> Outcome {
    let mut kept = 0;
    for image in docker_images(facts, way.local)? {
        // containerd gives the manifest that it makes the platform of the config.
        if !way.all && !is_exactly_for_host(&platform_given(facts, image)) {
            sheet.passed_over(image.position, "it is for another platform");
            continue;
        }
        kept += 1;
        unpacked(facts, image, way)?;
        note(sheet, image.position, names::ctr_of_manifest_json(image));
    }
    if kept == 0 {
        return Err(says(FILTERED));
    }
    Ok(())
}

fn layout(facts: &Facts<'_>, way: CtrWay, sheet: &mut Sheet) -> Outcome {
    let mut kept = 0;
    for entry in listed(facts)? {
        if way.filters(&entry.descriptor) {
            pass_over(entry, sheet);
            continue;
        }
        kept += 1;
        let known = &entry.descriptor.media_type;
        if !known.is_manifest() && !known.is_index() {
            // Later versions ignore it.
            if !way.local {
                continue;
            }
            return Err(because(format!(
                "index.json lists something of the type `{known}`, which is not an image"
            )));
        }
        let name = names::ctr(&entry.descriptor, way.local);
        self::entry(facts, way, entry, name.as_ref(), sheet)?;
    }
    if kept == 0 {
        return Err(says(FILTERED));
    }
    for image in facts.of_manifest_json() {
        if image.manifest.is_none() {
            sheet.passed_over(image.position, "index.json does not describe it");
        }
    }
    Ok(())
}

fn entry(
    facts: &Facts<'_>,
    way: CtrWay,
    entry: &Listed,
    name: Option<&Named>,
    sheet: &mut Sheet,
) -> Outcome {
    let descriptor = &entry.descriptor;
    if !matches!(entry.leads, Leads::Again) && !is_there(facts, &descriptor.digest) {
        return Err(not_found(&descriptor.digest));
    }
    match &entry.leads {
        Leads::Index(below) => {
            let kept = below.iter().filter(|entry| !way.filters(&entry.descriptor));
            // Measured: later versions accept an index that is not filtered itself.
            if way.local && !way.all && kept.clone().next().is_none() {
                return Err(says(FILTERED));
            }
            for entry in kept {
                self::entry(facts, way, entry, name, sheet)?;
            }
            for left_out in below.iter().filter(|entry| way.filters(&entry.descriptor)) {
                pass_over(left_out, sheet);
            }
            if name.is_some() {
                sheet.other();
            }
            Ok(())
        }
        Leads::Image(position) => {
            let Some(image) = facts.set.ok().and_then(|set| set.images.get(*position)) else {
                return Ok(());
            };
            // Of other platforms 1.7 wants the manifest alone.
            let other = CtrWay { all: false, ..way };
            if !(way.local && other.filters(descriptor)) {
                unpacked(facts, image, way)?;
            }
            note(sheet, *position, name.cloned());
            Ok(())
        }
        Leads::Artifact(position) => {
            let artifact = facts.set.ok().and_then(|set| set.artifacts.get(*position));
            let blobs = artifact.map_or(&[][..], |artifact| &artifact.blobs);
            for blob in blobs {
                if blob.slice.is_none() && !is_there(facts, &blob.descriptor.digest) {
                    return Err(not_found(&blob.descriptor.digest));
                }
            }
            if name.is_some() {
                sheet.other();
            }
            Ok(())
        }
        Leads::Absent => Err(not_found(&descriptor.digest)),
        Leads::Unreadable(why) => Err(because(why.clone())),
        Leads::Again => Ok(()),
    }
}

fn not_found(digest: &Digest) -> Refusal {
    says(format!("…content digest {digest}: not found"))
}

/// Fails where anything of an image is missing or cannot be unpacked.
fn unpacked(facts: &Facts<'_>, image: &Image, way: CtrWay) -> Outcome {
    match state(facts, image, way.local) {
        UnpackState::Sound | UnpackState::OnlyUnpacked(_) => Ok(()),
        UnpackState::NoConfig => {
            let config = image.manifest.as_ref().map(|manifest| &manifest.config);
            Err(config.map_or_else(
                || because("its config cannot be found"),
                |config| not_found(&config.digest),
            ))
        }
        UnpackState::NoLayers(why) => Err(why.within("…")),
        UnpackState::Stuck(why) if way.local => Err(why.in_library().within("…")),
        UnpackState::Stuck(why) => Err(why.in_transfer()),
    }
}

/// Notes an image under its name; without one there is none.
fn note(sheet: &mut Sheet, position: usize, name: Option<Named>) {
    match name {
        Some(name) => sheet.loaded(position, name),
        None => sheet.passed_over(position, "it has no name, so no image is made of it"),
    }
}

fn pass_over(entry: &Listed, sheet: &mut Sheet) {
    match &entry.leads {
        Leads::Image(position) => sheet.passed_over(*position, "it is for another platform"),
        Leads::Index(below) => below.iter().for_each(|entry| pass_over(entry, sheet)),
        Leads::Artifact(_) | Leads::Absent | Leads::Again | Leads::Unreadable(_) => {}
    }
}
