//! Docker archives as podman and skopeo read them (containers/image `docker/internal/tarfile`): each member is
//! looked up by going through the tar from its beginning.

use std::collections::HashSet;

use super::docker::{ConfigFault, config_fault};
use super::podman::{Driver, apply, digest_differs};
use super::target::{Named, Sheet};
use super::{Facts, Outcome, Refusal, because, names, says, shown};
use crate::archive::{Member, MemberKind, MemberName};
use crate::base::digest::DiffId;
use crate::base::problem::Code;
use crate::image::{Image, Layer, Name, RefusedTag, TagFault};

pub(super) fn docker(facts: &Facts<'_>, driver: Driver, sheet: &mut Sheet) -> Outcome {
    // The first of two counts, and a hard link has no bytes.
    match component(facts, b"manifest.json") {
        Ok(_) => {}
        Err(Unfound::Nothing) => {
            return Err(says(
                "loading tar component \"manifest.json\": file does not exist",
            ));
        }
        Err(Unfound::Empty) => return Err(says("decoding tar manifest.json: EOF")),
        Err(Unfound::NotAFile) => return Err(because("manifest.json is not a regular file")),
    }
    match facts.hidden_manifests().first() {
        Some(Err(why)) => {
            return Err(because(format!("decoding tar manifest.json: {why}")));
        }
        // What it says is not known here; that it can be read is.
        Some(Ok(())) if facts.unreadable("manifest.json").is_some() => {
            sheet.other();
            return Ok(());
        }
        Some(Ok(())) | None => {}
    }
    // An archive without images is accepted.
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
    // A layer that was loaded is not read again. skopeo copies one image at a time.
    let mut met: HashSet<&DiffId> = HashSet::new();
    for image in &set.images[..set.from_manifest_json] {
        if driver == Driver::Copies {
            met.clear();
        }
        docker_image(facts, image, driver, &mut met)?;
        let written = set
            .first_tags
            .get(image.position)
            .and_then(Option::as_deref);
        let name = match driver {
            Driver::Copies => Named::default(),
            Driver::Overlay | Driver::Vfs => names::podman(written, image),
        };
        sheet.loaded(image.position, name);
    }
    for image in &set.images[set.from_manifest_json..] {
        sheet.passed_over(image.position, "manifest.json does not describe it");
    }
    sheet.one_name_each(false);
    Ok(())
}

fn docker_image<'f>(
    facts: &Facts<'_>,
    image: &'f Image,
    driver: Driver,
    met: &mut HashSet<&'f DiffId>,
) -> Outcome {
    if let Some(tag) = facts.refused_tags(image).next() {
        return Err(invalid_tag(tag));
    }
    let both = |name: &&Name| {
        let reference = name.reference();
        reference.is_some_and(|reference| reference.tag().is_some() && reference.digest().is_some())
    };
    if let Some(name) = image.names.iter().find(both) {
        return Err(because(format!(
            "the name `{name}` has both a tag and a digest, which is not supported"
        )));
    }
    let Some(view) = image.view() else {
        return Err(match config_fault(facts, image) {
            ConfigFault::Missing(name) => says(format!(
                "…loading tar component {name:?}: file does not exist"
            )),
            ConfigFault::Unreadable(why) => because(why),
        });
    };
    if let Some(config) = &image.config {
        let name = shown(&config.member);
        match component(facts, &config.member) {
            Ok(_) => {}
            Err(Unfound::Nothing) => {
                return Err(says(format!(
                    "…loading tar component {name:?}: file does not exist"
                )));
            }
            Err(Unfound::Empty) => {
                return Err(says(format!(
                    "…decoding tar config {name:?}: unexpected end of JSON input"
                )));
            }
            Err(Unfound::NotAFile) => {
                return Err(because(format!(
                    "the config {name:?} is not a regular file"
                )));
            }
        }
    }
    let refused = view
        .refused_as_oci
        .as_ref()
        .or(view.refused_as_docker.as_ref());
    if let Some(why) = refused {
        return Err(because(format!("engines cannot read the config: {why}")));
    }
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
        if layer
            .diff_id
            .as_ref()
            .is_none_or(|diff_id| met.insert(diff_id))
        {
            reachable(facts, layer)?;
        }
    }
    apply(facts, image, true, driver)
}

/// Why a reader that searches the tar from its beginning finds no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfound {
    /// No member is called so.
    Nothing,
    /// A hard link, whose header has no bytes.
    Empty,
    /// A directory or a device.
    NotAFile,
}

/// The first member that has a name, one symbolic link followed. Names are cleaned on both sides, and an
/// absolute one stays absolute (`docker/internal/tarfile/reader.go` `openTarComponent`).
fn component<'f>(facts: &'f Facts<'_>, written: &[u8]) -> Result<&'f Member, Unfound> {
    let is_absolute = written.starts_with(b"/");
    let exact = |member: &&Member| member.absolute == is_absolute && !member.left_root;
    let first = |name: &MemberName| facts.first(name).filter(exact).ok_or(Unfound::Nothing);
    let name = MemberName::new(written);
    let mut member = first(&name)?;
    if let MemberKind::Symlink(target) = &member.kind {
        member = first(&name.linked(target))?;
    }
    match &member.kind {
        MemberKind::File(_) => Ok(member),
        MemberKind::Hardlink(_) => Err(Unfound::Empty),
        MemberKind::Directory | MemberKind::Symlink(_) | MemberKind::Special => {
            Err(Unfound::NotAFile)
        }
    }
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

/// One symbolic link is followed, but its size is that of the link, which is none; a hard link has no bytes
/// of its own. Of two members of one name the first is read.
fn reachable(facts: &Facts<'_>, layer: &Layer) -> Outcome {
    let name = MemberName::new(&layer.member);
    let missing = || Err(says("…Some layer tarfiles are missing in the tarball"));
    let is_absolute = layer.member.starts_with(b"/");
    let exact = |member: &&Member| member.absolute == is_absolute && !member.left_root;
    let Some(member) = facts.first(&name).filter(exact) else {
        return missing();
    };
    match &member.kind {
        MemberKind::File(span) => match (layer.span(), &layer.diff_id) {
            // Another one of the name came later, and is what was checked.
            (Some(last), Some(diff_id)) if last != *span => {
                let computed = facts.digest_of(*span, diff_id.digest().algorithm());
                match computed {
                    Some(computed) if computed != *diff_id.digest() => {
                        Err(digest_differs(diff_id.digest(), &computed))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        },
        MemberKind::Hardlink(_) => Err(says("reading blob …: Digest did not match…")),
        MemberKind::Symlink(target) => {
            let target = name.linked(target);
            match facts.archive.member(&target).map(|member| &member.kind) {
                Some(MemberKind::File(_)) => Err(says("writing blob: blob size mismatch")),
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
