//! Archives with two descriptions: `manifest.json` and `index.json`, and `repositories` beside them.
//!
//! Docker's graph-driver store, skopeo and crane go by `manifest.json`, containerd and Docker's
//! containerd store by `index.json`, so one archive can be two different images to two readers.

use super::super::docker::read_repositories;
use super::super::model::{Identity, Image, ImageSet};
use super::super::reference::{Name, Reference};
use super::index::IndexWalk;
use super::{LoadError, Loader};
use crate::archive::Layout;
use crate::problem::{Code, Problem};

impl Loader<'_> {
    /// Lays both descriptions over each other. What both describe is one image; the images that
    /// only the index has (other platforms) follow.
    pub(super) fn merge(&mut self, mut images: Vec<Image>, walk: IndexWalk) -> ImageSet {
        let mut matched = vec![false; images.len()];
        let mut only_in_index = Vec::new();
        let index_has_images = !walk.images.is_empty();
        let first_index_image = images.len();
        for mut other in walk.images {
            if let Some(i) = images.iter().position(|image| is_same(image, &other)) {
                matched[i] = true;
                self.renumber(&other, i);
                self.join(&mut images[i], other, i);
            } else {
                let position = first_index_image + only_in_index.len();
                self.renumber(&other, position);
                other.position = position;
                self.check_index_only(&images, &other);
                only_in_index.push(other);
            }
        }
        for (i, image) in images.iter().enumerate() {
            // Docker leaves an untagged image out of index.json if another image is in it.
            if index_has_images && !matched[i] && !image.names.is_empty() {
                let message = format!(
                    "manifest.json describes the image {}, index.json does not: containerd and Docker's containerd store will not load it",
                    image.display_name()
                );
                self.disagree(message, "index.json", Some(i));
            }
        }
        images.extend(only_in_index);
        let mut set = Self::set(Layout::DockerOci, images);
        set.artifacts = walk.artifacts;
        set.absent = walk.absent;
        set
    }

    /// Problems found while an image of the index was read speak of its place there.
    fn renumber(&mut self, image: &Image, position: usize) {
        let members: Vec<&[u8]> = image
            .layers
            .iter()
            .map(|layer| layer.member.as_slice())
            .chain(image.config.iter().map(|config| config.member.as_slice()))
            .collect();
        for problem in &mut self.problems {
            let about = problem
                .member
                .as_deref()
                .is_some_and(|member| members.contains(&member));
            if about && problem.image == Some(image.position) {
                problem.image = Some(position);
            }
        }
    }

    fn join(&mut self, image: &mut Image, other: Image, position: usize) {
        let extra: Vec<Name> = other
            .names
            .iter()
            .filter(|name| !image.names.contains(name))
            .cloned()
            .collect();
        let missing: Vec<&Name> = image
            .names
            .iter()
            .filter(|name| !other.names.contains(name))
            .collect();
        let differ = !(extra.is_empty() && missing.is_empty());
        if differ && !other.names.is_empty() {
            let list = |names: Vec<String>| {
                if names.is_empty() {
                    "nothing".into()
                } else {
                    names.join(", ")
                }
            };
            let by_manifest = list(image.names.iter().map(ToString::to_string).collect());
            let by_index = list(other.names.iter().map(ToString::to_string).collect());
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
        image.names.extend(extra);
        image.manifest = other.manifest;
    }

    /// An image that only the index has: another platform of a name that manifest.json knows, or
    /// something that half of the readers never see.
    fn check_index_only(&mut self, images: &[Image], other: &Image) {
        let namesake = images
            .iter()
            .find(|image| image.names.iter().any(|name| other.names.contains(name)));
        match namesake {
            Some(image) if image.platform != other.platform => {}
            Some(image) => {
                let names = other
                    .names
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
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
        let mut problem =
            Problem::warning(Code::DescriptionsDisagree, message).in_member(member.as_bytes());
        problem.image = image;
        self.problems.push(problem);
    }

    /// Holds `repositories` against the images. Nothing reads it any more where there is a
    /// `manifest.json`, so what it says otherwise is a warning.
    pub(super) fn check_repositories(&mut self, set: &ImageSet) -> Result<(), LoadError> {
        let Ok(document) = self.document(b"repositories")? else {
            return Ok(());
        };
        let tags = match read_repositories(&document.bytes) {
            Ok(tags) => tags,
            Err(why) => {
                let problem = Problem::warning(Code::ManifestInvalid, why.to_string());
                self.problems.push(problem.in_member(b"repositories"));
                return Ok(());
            }
        };
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
            let image = set.images.iter().find(|image| {
                image
                    .names
                    .iter()
                    .any(|name| name.reference() == Some(&reference))
            });
            match image {
                None => self.disagree(
                    format!("repositories has the tag {reference}, which no image has"),
                    "repositories",
                    None,
                ),
                Some(image) if !self.is_top_of(&tag.id, image) => {
                    let position = set
                        .images
                        .iter()
                        .position(|other| std::ptr::eq(other, image));
                    self.disagree(
                        format!("repositories lets the tag {reference} mean {}, which is not the image's top layer", tag.id),
                        "repositories",
                        position,
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

/// Whether two descriptions mean one image: the same config.
fn is_same(a: &Image, b: &Image) -> bool {
    match (&a.identity, &b.identity) {
        (Identity::Config(a), Identity::Config(b)) => a == b,
        _ => false,
    }
}
