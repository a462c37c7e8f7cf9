//! Other names, and another config, for one image of a graph.

use std::collections::HashSet;
use std::sync::Arc;

use super::merge::called;
use super::{ArchiveGraph, GraphChange, GraphImage, ImageSource, Node, Root};
use crate::base::digest::Digest;
use crate::image::{Image, Name};
use crate::output::layout::OutputImage;

/// Why a graph cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenameError {
    /// A name is to be removed that nothing has.
    #[error("nothing in the archive is called `{0}`")]
    NoSuchName(Name),
    /// The config of one platform is to be changed where an index lists several.
    #[error("{0} is an image for several platforms")]
    SeveralPlatforms(String),
}

impl<'s> ArchiveGraph<'s> {
    /// Gives an image, or the index that lists it, more names; `only` takes the others from it. What had one of
    /// the names loses it.
    pub fn add_names(
        mut self,
        image: &Image,
        names: &[Name],
        only: bool,
    ) -> (Self, Vec<GraphChange>) {
        let mut changes = Vec::new();
        let Some(at) = self.root_of(image) else {
            return (self, changes);
        };
        let now = self.roots[at].display_name();
        if only {
            self.roots[at].names.clear();
        }
        for name in names {
            let wanted = called(name);
            for (other, root) in self.roots.iter_mut().enumerate() {
                let before = root.names.len();
                if other != at {
                    root.names.retain(|known| called(known) != wanted);
                }
                if root.names.len() < before {
                    changes.push(GraphChange::NameTaken {
                        name: wanted.to_string(),
                        now: now.clone(),
                        lost: root.display_name(),
                    });
                }
            }
            let mine = &mut self.roots[at].names;
            if !mine.iter().any(|known| called(known) == wanted) {
                mine.push(wanted);
            }
        }
        (self, changes)
    }

    /// Takes names away, whatever has them.
    ///
    /// # Errors
    ///
    /// [`RenameError::NoSuchName`] if nothing has one of them.
    pub fn remove_names(mut self, names: &[Name]) -> Result<Self, RenameError> {
        for name in names {
            let wanted = called(name);
            let mut found = false;
            for root in &mut self.roots {
                let before = root.names.len();
                root.names.retain(|known| called(known) != wanted);
                found |= root.names.len() < before;
            }
            if !found {
                return Err(RenameError::NoSuchName(name.clone()));
            }
        }
        Ok(self)
    }

    /// Puts an image that was made of `image` in its place, with its names. What was about the image as it was
    /// (attestations, signatures) is left out, and an index that lists nothing else is replaced.
    ///
    /// # Errors
    ///
    /// [`RenameError::SeveralPlatforms`] if an index lists other images too.
    pub fn replace(
        mut self,
        image: &Image,
        made: &'s OutputImage,
    ) -> Result<(Self, Vec<GraphChange>), RenameError> {
        let mut changes = Vec::new();
        let mut gone: HashSet<Digest> = HashSet::new();
        for root in &mut self.roots {
            if !holds(&root.node, image) {
                continue;
            }
            let mut images = HashSet::new();
            root.node.each_image(&mut |image| {
                images.insert(Arc::as_ptr(image));
            });
            if images.len() > 1 {
                return Err(RenameError::SeveralPlatforms(image.display_name()));
            }
            about(&root.node, &mut gone, &mut changes);
            *root = Root {
                names: std::mem::take(&mut root.names),
                descriptor: None,
                points_at: None,
                node: Node::Image(Arc::new(GraphImage {
                    source: ImageSource::Made(made),
                    manifest: None,
                })),
            };
        }
        self.roots.retain(|root| {
            let Node::Artifact(artifact) = &root.node else {
                return true;
            };
            let is_gone = artifact.subject.as_ref().is_some_and(|s| gone.contains(s));
            if is_gone {
                changes.push(GraphChange::ArtifactLeftOut {
                    kind: artifact.kind.clone(),
                    digest: artifact.digest.clone(),
                    why: "it is about the image as it was",
                });
            }
            !is_gone
        });
        Ok((self, changes))
    }

    /// The root that an image is asked for by: its own, else the index that lists it.
    fn root_of(&self, image: &Image) -> Option<usize> {
        let own = |root: &Root<'s>| matches!(root.node, Node::Image(_)) && holds(&root.node, image);
        let own = self.roots.iter().position(own);
        own.or_else(|| self.roots.iter().position(|root| holds(&root.node, image)))
    }
}

fn holds(node: &Node<'_>, wanted: &Image) -> bool {
    let mut found = false;
    node.each_image(&mut |image| {
        found |= image
            .archived()
            .is_some_and(|image| std::ptr::eq(image, wanted));
    });
    found
}

/// The digests that are gone with a node, and the artifacts in it.
fn about(node: &Node<'_>, gone: &mut HashSet<Digest>, changes: &mut Vec<GraphChange>) {
    match node {
        Node::Image(image) => gone.extend(image.digest().cloned()),
        Node::Index(index) => {
            gone.insert(index.digest.clone());
            for entry in &index.entries {
                about(&entry.node, gone, changes);
            }
        }
        Node::Artifact(artifact) => changes.push(GraphChange::ArtifactLeftOut {
            kind: artifact.kind.clone(),
            digest: artifact.digest.clone(),
            why: "it is about the image as it was",
        }),
        Node::Absent => {}
    }
}
