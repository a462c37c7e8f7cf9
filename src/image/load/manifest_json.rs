//! Images of `manifest.json`: Docker 1.10 and later, and every other writer of docker archives.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::super::docker::{ManifestItem, ManifestJson};
use super::super::model::{Identity, Image, Layer, RefusedTag, TagFault};
use super::super::reference::{Name, Reference};
use super::{LoadError, Loader, Read, assign_diff_ids, blob_digest_in_name, digest_in_name};
use crate::base::digest::{BlobDigest, DiffId, ImageId};
use crate::base::problem::{Code, Problem};
use crate::document::Platform;
use crate::document::descriptor::Descriptor;
use crate::document::{Created, HistoryEntry};

impl Loader<'_> {
    pub(super) fn manifest_json(&mut self) -> Read<Vec<Image>> {
        let document = match self.document(b"manifest.json")? {
            Ok(document) => document,
            Err(fault) => return Ok(Err(fault)),
        };
        let manifest = match ManifestJson::read(&document.bytes) {
            Ok(manifest) => manifest,
            Err(fault) => return Ok(Err(fault.into())),
        };
        self.check_text("manifest.json", &document.bytes);
        if let Some(at) = manifest.trailing {
            let message = "something follows the first JSON value of manifest.json; engines read the first value only";
            let offset = document.slice.span().offset + at as u64;
            let problem = Problem::warning(Code::TrailingData, message);
            self.problems
                .push(problem.in_member(b"manifest.json").at(offset));
        }
        let mut images = Vec::with_capacity(manifest.items.len());
        for item in manifest.items {
            images.push(self.docker_image(item, images.len())?);
        }
        self.names_of_two(&images);
        self.unfit_parents = keep_known_parents(&mut images);
        for (child, parent) in &self.unfit_parents {
            let message = format!(
                "`Parent` names an image whose history is not that of the image without its last step: Docker loads both and then fails, \"image {parent} is not a valid parent\""
            );
            self.problems.push(
                Problem::warning(Code::DescriptionsDisagree, message)
                    .of_image(*child)
                    .in_member(b"manifest.json"),
            );
        }
        Ok(Ok(images))
    }

    /// A name that two images have: each engine gives it to one of them.
    fn names_of_two(&mut self, images: &[Image]) {
        let mut first: HashMap<&Name, usize> = HashMap::new();
        let mut told = HashSet::new();
        for image in images {
            for name in &image.names {
                let other = *first.entry(name).or_insert(image.position);
                let same = images[other].identity == image.identity;
                if other != image.position && !same && told.insert(name) {
                    let message = format!(
                        "the name `{name}` is that of two images: Docker gives it to the last of them, podman to the first"
                    );
                    let problem = Problem::warning(Code::ReferenceAmbiguous, message);
                    self.problem(problem, b"manifest.json", image.position);
                }
            }
        }
    }

    fn docker_image(&mut self, item: ManifestItem, position: usize) -> Result<Image, LoadError> {
        self.count(item.layers.len())?;
        let config_name = item.config.as_bytes();
        let claimed = digest_in_name(config_name);
        let (identity, config) = self.config(config_name, claimed.as_ref(), position)?;
        let view = config.as_ref().map(|blob| &blob.view);
        let diff_ids = view.map_or(&[][..], |view| view.diff_ids());
        self.check_item(&item, diff_ids, position);
        let mut layers = Vec::with_capacity(item.layers.len());
        for (index, name) in item.layers.iter().enumerate() {
            let described = diff_ids
                .get(index)
                .and_then(|diff_id| item.layer_sources.get(diff_id));
            self.repeat(described.map_or(0, Descriptor::text_len))?;
            let urls = described.map(|d| d.urls.clone()).unwrap_or_default();
            layers.push(Layer {
                index,
                diff_id: None,
                chain_id: None,
                legacy_id: None,
                v1_json: None,
                digest: blob_digest_in_name(name.as_bytes())
                    .or_else(|| described.map(|d| BlobDigest::from(d.digest.clone()))),
                media_type: described.map(|d| d.media_type.clone()),
                claimed_size: described.and_then(|d| d.size),
                member: name.clone().into_bytes(),
                source: self.layer_source(name.as_bytes(), urls)?,
            });
        }
        assign_diff_ids(&mut layers, diff_ids);
        let platform = view.map_or_else(Platform::default, |view| view.platform.clone());
        let first_tag = item.repo_tags.first().cloned();
        self.repeat(first_tag.as_ref().map_or(0, String::len))?;
        self.first_tags.push(first_tag);
        let names = item
            .repo_tags
            .iter()
            .map(|tag| self.repo_tag(tag, position))
            .collect();
        Ok(Image {
            position,
            identity,
            names,
            platform,
            config,
            manifest: None,
            parent: item.parent,
            layers,
            upgraded: OnceLock::new(),
        })
    }

    /// What an item says beside config, tags and layers.
    fn check_item(&mut self, item: &ManifestItem, diff_ids: &[DiffId], position: usize) {
        if !item.unknown.is_empty() {
            let message = format!(
                "manifest.json has keys that no engine knows: {}",
                item.unknown.join(", ")
            );
            self.odd("manifest.json", message);
        }
        let mut sources: Vec<_> = item.layer_sources.iter().collect();
        sources.sort_by_key(|(diff_id, _)| diff_id.to_string());
        // Where a diff ID stands first; both lists may be very long.
        let mut first: HashMap<&DiffId, usize> = HashMap::new();
        if !sources.is_empty() {
            for (index, diff_id) in diff_ids.iter().enumerate() {
                first.entry(diff_id).or_insert(index);
            }
        }
        for (diff_id, source) in sources {
            let Some(&index) = first.get(diff_id) else {
                let message =
                    "LayerSources of manifest.json describes a layer that the image does not have";
                let problem = Problem::warning(Code::DescriptionsDisagree, message);
                self.problem(
                    problem.compared(diff_id, "absent"),
                    b"manifest.json",
                    position,
                );
                continue;
            };
            let Some(name) = item.layers.get(index) else {
                continue;
            };
            if let Some(named) = blob_digest_in_name(name.as_bytes())
                && *named.digest() != source.digest
            {
                let message = "LayerSources of manifest.json gives the layer a digest other than the name of its file";
                let problem = Problem::error(Code::DescriptionsDisagree, message)
                    .compared(&source.digest, named)
                    .of_layer(index);
                self.problem(problem, b"manifest.json", position);
            }
            if !source.media_type.is_layer() {
                let message = format!(
                    "LayerSources of manifest.json calls a layer `{}`, which engines do not know",
                    source.media_type
                );
                self.odd("manifest.json", message);
            }
            let found = self.archive.find(name.as_bytes());
            if let (Ok((_, slice)), true) = (found, source.urls.is_empty())
                && source.size != Some(slice.len())
            {
                let claimed = source.size.map_or("no size".to_owned(), |n| n.to_string());
                let message = "the layer's length is not what LayerSources of manifest.json says";
                let problem = Problem::error(Code::BlobSizeMismatch, message)
                    .compared(claimed, slice.len())
                    .of_layer(index);
                self.problem(problem, b"manifest.json", position);
            }
        }
    }

    /// A tag of `RepoTags`. Measured with a name that has no tag: Docker 20.10 and 26.1 load the image,
    /// then say `invalid tag "foo"` and leave it without a name; Docker 26.1 with the containerd store
    /// calls it `foo:latest`; podman 5.4 refuses the archive.
    fn repo_tag(&mut self, text: &str, image: usize) -> Name {
        let (name, message) = match text.parse::<Reference>() {
            Ok(reference) if reference.tag().is_some() => return Name::Reference(reference),
            Ok(reference) => {
                let latest = reference.clone().or_latest();
                let message = format!(
                    "the name `{text}` has no tag: Docker leaves the image without a name, its containerd store calls it `{latest}`, podman refuses it"
                );
                self.refused_tag(image, text, TagFault::NoTag(reference.clone()));
                (Name::Reference(reference), message)
            }
            Err(why) => {
                let message = format!("engines refuse the name `{text}`: {why}");
                self.refused_tag(image, text, TagFault::Grammar(why));
                (Name::Bare(text.to_owned()), message)
            }
        };
        self.problem(
            Problem::error(Code::ReferenceInvalid, message),
            b"manifest.json",
            image,
        );
        name
    }

    /// Keeps the first of each kind for an image: an engine stops at it.
    fn refused_tag(&mut self, image: usize, text: &str, why: TagFault) {
        let kind = std::mem::discriminant(&why);
        let of_image = self.refused_tags.iter().rev();
        let mut of_image = of_image.take_while(|known| known.image == image);
        if !of_image.any(|known| std::mem::discriminant(&known.why) == kind) {
            self.refused_tags.push(RefusedTag {
                image,
                text: text.to_owned(),
                why,
            });
        }
    }
}

/// Keeps `Parent` only where Docker would: if the parent is loaded with the image (moby
/// `image/tarexport/load.go`, `validatedParentLinks`) and its history is the image's without the
/// last entry (`checkValidParent`). Gives the images whose parent is loaded and does not fit, with it:
/// loading fails there.
fn keep_known_parents(images: &mut [Image]) -> Vec<(usize, ImageId)> {
    let mut unfit = Vec::new();
    let known: HashMap<&Identity, &Image> = images
        .iter()
        .map(|image| (&image.identity, image))
        .collect();
    let valid: Vec<bool> = images
        .iter()
        .map(|image| {
            let parent = image.parent.clone().map(Identity::Config);
            let parent = parent.and_then(|parent| known.get(&parent).copied());
            let valid = parent.map(|parent| is_history_of_parent(image, parent));
            if let (Some(false), Some(parent)) = (valid, &image.parent) {
                unfit.push((image.position, parent.clone()));
            }
            valid == Some(true)
        })
        .collect();
    for (image, valid) in images.iter_mut().zip(valid) {
        if !valid {
            image.parent = None;
        }
    }
    unfit
}

fn is_history_of_parent(image: &Image, parent: &Image) -> bool {
    let (Some(child), Some(parent)) = (image.view(), parent.view()) else {
        return false;
    };
    let (child, parent) = (&child.history, &parent.history);
    if child.is_empty() && parent.is_empty() {
        return true;
    }
    child.len() == parent.len() + 1
        && child.iter().zip(parent).all(|(c, p)| {
            let time = |entry: &HistoryEntry| entry.created.as_ref().map(Created::timestamp);
            time(c) == time(p)
                && c.created_by == p.created_by
                && c.author == p.author
                && c.comment == p.comment
                && c.empty_layer == p.empty_layer
        })
}
