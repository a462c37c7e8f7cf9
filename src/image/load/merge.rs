//! Archives with two descriptions: `manifest.json` and `index.json`, and `repositories` beside them.
//!
//! Docker's graph-driver store, skopeo and crane read `manifest.json`, containerd and Docker's
//! containerd store `index.json`, so one archive can be two different images to two readers.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::super::docker::read_repositories;
use super::super::model::{Identity, Image, ImageSet, Leads, Listed};
use super::super::reference::{Name, Reference};
use super::index::IndexWalk;
use super::{LoadError, Loader, Unreadable};
use crate::archive::{Layout, LookupError};
use crate::base::problem::{Code, Problem};

impl Loader<'_> {
    /// Merges both descriptions. What both describe is one image; the images that
    /// only the index has (other platforms) follow.
    pub(super) fn merge(&mut self, mut images: Vec<Image>, walk: IndexWalk) -> ImageSet {
        let mut matched = vec![false; images.len()];
        let mut only_in_index = Vec::new();
        let index_has_images = !walk.images.is_empty();
        let by_identity: HashMap<Identity, usize> = images
            .iter()
            .enumerate()
            .map(|(i, image)| (image.identity.clone(), i))
            .collect();
        let by_name: HashMap<Name, usize> = images
            .iter()
            .enumerate()
            .flat_map(|(i, image)| image.names.iter().map(move |name| (name.clone(), i)))
            .collect();
        // What the images are called, looked at anew only where an image of the index is one of them.
        let mut names: HashMap<usize, HashSet<Name>> = HashMap::new();
        // Where the images of the index stand in the end.
        let mut moved = Vec::with_capacity(walk.images.len());
        for mut other in walk.images {
            let same = by_identity.get(&other.identity).copied();
            if let Some(i) = same.filter(|_| other.identity != Identity::Unknown) {
                matched[i] = true;
                moved.push(i);
                let own = names
                    .entry(i)
                    .or_insert_with(|| images[i].names.iter().cloned().collect());
                self.join(&mut images[i], other, own);
            } else {
                other.position = images.len() + only_in_index.len();
                moved.push(other.position);
                let namesake = other.names.iter().find_map(|name| by_name.get(name));
                self.check_index_only(namesake.map(|&i| &images[i]), &other);
                only_in_index.push(other);
            }
        }
        self.renumber(walk.first, &moved);
        for (i, image) in images.iter().enumerate() {
            // Docker leaves an untagged image out of index.json if another image is in it (moby#51389).
            if index_has_images && !matched[i] {
                let message = format!(
                    "manifest.json describes the image {}, index.json does not: containerd, Docker's containerd store and podman do not load it, and say nothing",
                    image.display_name()
                );
                self.disagree(message, "index.json", Some(i));
            }
        }
        images.extend(only_in_index);
        let mut set = Self::set(Layout::DockerOci, images);
        set.artifacts = walk.artifacts;
        set.absent = walk.absent;
        set.listed = walk.listed;
        move_images(&mut set.listed, &moved);
        set
    }

    /// Problems found while an image of the index was read speak of its place there.
    fn renumber(&mut self, first: usize, moved: &[usize]) {
        for problem in &mut self.problems {
            let in_index = problem
                .image
                .and_then(|position| position.checked_sub(first));
            if let Some(position) = in_index.and_then(|i| moved.get(i)) {
                problem.image = Some(*position);
            }
        }
    }

    fn join(&mut self, image: &mut Image, other: Image, own: &mut HashSet<Name>) {
        let position = image.position;
        let described: HashSet<&Name> = other.names.iter().collect();
        let extra: Vec<Name> = other
            .names
            .iter()
            .filter(|name| !own.contains(name))
            .cloned()
            .collect();
        // Counted, not compared: an image may have very many names, and be in the index as often.
        let missing = described.len() - described_only(&described, own) < own.len();
        let differ = missing || !extra.is_empty();
        if differ && !other.names.is_empty() {
            let (by_manifest, by_index) = (list(&image.names), list(&other.names));
            let message = "manifest.json and index.json call the image by different names";
            let problem = Problem::warning(Code::DescriptionsDisagree, message).compared(
                format!("manifest.json: {by_manifest}"),
                format!("index.json: {by_index}"),
            );
            self.problems
                .push(problem.of_image(position).in_member(b"index.json"));
        }
        if image.layers.len() != other.layers.len()
            || image
                .layers
                .iter()
                .zip(&other.layers)
                .any(|(a, b)| a.span() != b.span())
        {
            let message = format!(
                "manifest.json and index.json give the image {} different layers: what is loaded depends on the reader",
                image.display_name()
            );
            let problem = Problem::error(Code::DescriptionsDisagree, message);
            self.problems
                .push(problem.of_image(position).in_member(b"index.json"));
        }
        for (layer, described) in image.layers.iter_mut().zip(other.layers) {
            if layer.span() == described.span() {
                layer.media_type = described.media_type.or(layer.media_type.take());
                layer.claimed_size = described.claimed_size.or(layer.claimed_size);
                layer.digest = layer.digest.take().or(described.digest);
            }
        }
        if image.platform.is_unknown() {
            image.platform = other.platform;
        }
        own.extend(extra.iter().cloned());
        image.names.extend(extra);
        image.manifest = other.manifest;
    }

    /// An image that only the index has: another platform of a name that manifest.json knows, or
    /// something that half of the readers never see.
    fn check_index_only(&mut self, namesake: Option<&Image>, other: &Image) {
        match namesake {
            Some(image) if image.platform != other.platform => {}
            Some(image) => {
                let names = list(&other.names);
                let message = format!(
                    "manifest.json and index.json mean different images by {names}: what is loaded depends on the reader"
                );
                let problem = Problem::error(Code::DescriptionsDisagree, message).compared(
                    format!("manifest.json: {}", image.identity),
                    format!("index.json: {}", other.identity),
                );
                self.problems
                    .push(problem.of_image(other.position).in_member(b"index.json"));
            }
            None => {
                let message = format!(
                    "index.json describes the image {}, manifest.json does not: Docker's graph-driver store, skopeo and crane do not see it",
                    other.display_name()
                );
                self.disagree(message, "manifest.json", Some(other.position));
            }
        }
    }

    fn disagree(&mut self, message: String, member: &str, image: Option<usize>) {
        // What one of them lacks may have been lost with the end of the archive.
        if self.is_incomplete() {
            return;
        }
        let mut problem =
            Problem::warning(Code::DescriptionsDisagree, message).in_member(member.as_bytes());
        problem.image = image;
        self.problems.push(problem);
    }

    /// Compares `repositories` with the images. Nothing reads it any more where there is a
    /// `manifest.json`, so a disagreement is a warning.
    pub(super) fn check_repositories(&mut self, set: &ImageSet) -> Result<(), LoadError> {
        let document = match self.document(b"repositories")? {
            Ok(document) => document,
            Err(Unreadable::Lookup(LookupError::Absent { .. } | LookupError::Lost { .. })) => {
                return Ok(());
            }
            Err(why) => {
                let problem = Problem::warning(Code::ManifestInvalid, why.to_string());
                self.problems.push(problem.in_member(b"repositories"));
                return Ok(());
            }
        };
        self.check_text("repositories", &document.bytes);
        let tags = match read_repositories(&document.bytes) {
            Ok(tags) => tags,
            Err(why) => {
                let problem = Problem::warning(Code::ManifestInvalid, why.to_string());
                self.problems.push(problem.in_member(b"repositories"));
                return Ok(());
            }
        };
        let by_reference: HashMap<&Reference, usize> = set
            .images
            .iter()
            .enumerate()
            .flat_map(|(i, image)| {
                image
                    .names
                    .iter()
                    .filter_map(Name::reference)
                    .map(move |name| (name, i))
            })
            .collect();
        for tag in tags {
            let Ok(reference) = Reference::from_parts(&tag.repository, &tag.tag) else {
                let message = format!(
                    "repositories has an invalid name: `{}:{}`",
                    tag.repository, tag.tag
                );
                let problem = Problem::warning(Code::ReferenceInvalid, message);
                self.problems.push(problem.in_member(b"repositories"));
                continue;
            };
            match by_reference.get(&reference).copied() {
                None => self.disagree(
                    format!("repositories has the tag {reference}, which no image has"),
                    "repositories",
                    None,
                ),
                Some(position) if !self.is_top_of(&tag.id, &set.images[position]) => {
                    self.disagree(
                        format!("repositories points the tag {reference} at {}, which is not the image's top layer", tag.id),
                        "repositories",
                        Some(position),
                    );
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether `id` names the top layer of `image`: its directory in archives up to Docker 24, the
    /// hex of its diff ID since Docker 25.
    fn is_top_of(&self, id: &str, image: &Image) -> bool {
        let Some(top) = image.layers.last() else {
            return true;
        };
        let by_diff_id = top
            .diff_id
            .as_ref()
            .is_some_and(|diff_id| diff_id.digest().encoded() == id);
        let by_directory = top.member == format!("{id}/layer.tar").into_bytes();
        let by_content = || {
            let found = self.archive.find(format!("{id}/layer.tar").as_bytes()).ok();
            found.map(|(_, slice)| slice.span()) == top.span() && top.span().is_some()
        };
        by_diff_id || by_directory || by_content()
    }
}

/// Puts the images where they stand in the end; indexes nest no deeper than a limit allows.
fn move_images(listed: &mut [Listed], moved: &[usize]) {
    for entry in listed {
        match &mut entry.leads {
            Leads::Image(position) => {
                *position = moved.get(*position).copied().unwrap_or(*position);
            }
            Leads::Index(listed) => move_images(listed, moved),
            Leads::Artifact(_) | Leads::Absent | Leads::Again | Leads::Unreadable(_) => {}
        }
    }
}

/// How many of some names are new.
fn described_only(described: &HashSet<&Name>, own: &HashSet<Name>) -> usize {
    described
        .iter()
        .filter(|name| !own.contains(**name))
        .count()
}

/// Names for a message, not all of them if they are many.
fn list(names: &[Name]) -> String {
    const SHOWN: usize = 10;
    if names.is_empty() {
        return "nothing".into();
    }
    let shown: Vec<String> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    let mut text = shown.join(", ");
    if names.len() > SHOWN {
        _ = write!(text, " and {} more", names.len() - SHOWN);
    }
    text
}
