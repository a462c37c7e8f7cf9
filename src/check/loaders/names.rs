//! What an image is called in an engine, by what the archive calls it: measured with Docker 26.1, 28.5 and
//! 29.7, containerd 2.1 and podman 5.8 and names of every form.

use super::target::Named;
use crate::document::Descriptor;
use crate::document::descriptor::{IMAGE_NAME, REF_NAME};
use crate::image::{Image, Name, Reference};

/// The name of a top-level descriptor, as written, and whether it is containerd's own annotation.
pub(super) fn annotated(descriptor: &Descriptor) -> Option<(&str, bool)> {
    let of = |key, own| Some((descriptor.annotation(key)?, own));
    of(IMAGE_NAME, true).or_else(|| of(REF_NAME, false))
}

/// Docker's own store: names are normalised.
pub(super) fn familiar(image: &Image) -> Named {
    let reference = image.names.iter().find_map(Name::reference);
    reference.map_or_else(Named::default, |reference| {
        reference.clone().or_latest().to_string().into()
    })
}

/// Docker's containerd store where `manifest.json` counts: beside a digest the tag goes.
pub(super) fn containerd_of_manifest_json(image: &Image) -> Named {
    let reference = image.names.iter().find_map(Name::reference);
    reference.map_or_else(Named::default, |reference| {
        without_tag(&reference.clone().or_latest().to_string()).into()
    })
}

/// A name without its tag where it has a digest too.
fn without_tag(text: &str) -> String {
    match text.split_once('@') {
        Some((name, digest)) => format!("{}@{digest}", split_tag(name).0),
        None => text.to_owned(),
    }
}

/// Docker's containerd store with an `index.json`: names are kept as they are, and looked up in full.
pub(super) fn containerd_store(descriptor: &Descriptor) -> Named {
    let Some((text, _)) = annotated(descriptor) else {
        return Named::default();
    };
    let only_the_id = |name: String| Named {
        name: Some(name),
        but: Some("the name is printed and no command finds it, only the ID works".to_owned()),
    };
    match text.parse::<Reference>() {
        Err(_) => only_the_id(text.to_owned()),
        Ok(reference) => {
            let full = full(&reference.clone().or_latest());
            let printed = reference.or_latest().to_string();
            if text == full {
                printed.into()
            } else {
                only_the_id(printed)
            }
        }
    }
}

/// `ctr`: `None` if no image is made. `local` is the way of containerd 1.7.
pub(super) fn ctr(descriptor: &Descriptor, local: bool) -> Option<Named> {
    let (text, own) = annotated(descriptor)?;
    let whole = text.contains(['/', ':', '@']);
    match (whole, own) {
        (true, _) => Some(text.to_owned().into()),
        (false, true) => local.then(|| text.to_owned().into()),
        // The day is that of the import.
        (false, false) => Some(format!("import-…:{text}").into()),
    }
}

/// `ctr` where `manifest.json` counts.
pub(super) fn ctr_of_manifest_json(image: &Image) -> Option<Named> {
    let reference = image.names.iter().find_map(Name::reference)?;
    Some(without_tag(&full(&reference.clone().or_latest())).into())
}

/// `podman load`, of a name as written.
pub(super) fn podman(text: Option<&str>, image: &Image) -> Named {
    let Some(text) = text else {
        return match &image.identity {
            crate::image::Identity::Config(id) => id.to_string().into(),
            crate::image::Identity::Legacy(_) | crate::image::Identity::Unknown => Named::default(),
        };
    };
    let text = match text.contains('@') {
        true => without_tag(text),
        false if split_tag(text).1.is_none() => format!("{text}:latest"),
        false => text.to_owned(),
    };
    if has_domain(&text) {
        text.into()
    } else {
        format!("localhost/{text}").into()
    }
}

/// Whether a name says its registry.
fn has_domain(text: &str) -> bool {
    let Some((domain, _)) = text.split_once('/') else {
        return false;
    };
    domain.contains(['.', ':']) || domain == "localhost"
}

fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

/// A reference in full.
fn full(reference: &Reference) -> String {
    let mut text = format!("{}/{}", reference.domain(), reference.path());
    if let Some(tag) = reference.tag() {
        text = format!("{text}:{tag}");
    }
    if let Some(digest) = reference.digest() {
        text = format!("{text}@{digest}");
    }
    text
}
