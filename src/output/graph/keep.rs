//! A part of a graph: some images, some platforms, or what is really there.

use std::collections::HashSet;

use super::{ArchiveGraph, GraphChange, GraphIndex, ImageSource, IndexEntry, Node, Root};
use crate::base::digest::Digest;
use crate::document::{Fit, WantedPlatform};
use crate::image::{Image, SelectError, candidates};

/// What is wanted of a graph.
#[derive(Clone, Copy, Debug)]
pub struct KeepWish<'w> {
    /// The images; other images are left out.
    pub images: &'w [&'w Image],
    /// Whether everything is left out that is not in the archive in full, and what names it.
    pub present: bool,
    /// Whether an index may go on naming what the archive does not hold.
    pub absent: bool,
    /// Whether an index is replaced by the one image that is wanted of it.
    pub flat: bool,
}

/// A part of a graph while it is chosen.
struct Keeper<'w> {
    wish: KeepWish<'w>,
    wanted: HashSet<*const Image>,
    changes: Vec<GraphChange>,
}

impl ArchiveGraph<'_> {
    /// What is wanted of it. An index that has lost something gets other bytes; one of which a single image is
    /// left gives its place and its names to that image. Attestations and signatures stay with what they are
    /// about, and go with it.
    pub fn keep(mut self, wish: KeepWish<'_>) -> (Self, Vec<GraphChange>) {
        let mut keeper = Keeper {
            wanted: wish
                .images
                .iter()
                .map(|image| std::ptr::from_ref(*image))
                .collect(),
            wish,
            changes: Vec::new(),
        };
        let mut roots = Vec::new();
        let mut others = Vec::new();
        let mut lost_some = false;
        for root in std::mem::take(&mut self.roots) {
            if matches!(root.node, Node::Artifact(_)) {
                others.push(root);
                continue;
            }
            match keeper.root(root) {
                Some(root) => roots.push(root),
                None => lost_some = true,
            }
        }
        let mut kept = HashSet::new();
        for root in &roots {
            digests(&root.node, &mut kept);
        }
        for root in others {
            let Node::Artifact(artifact) = &root.node else {
                continue;
            };
            let why = match &artifact.subject {
                Some(subject) if !kept.contains(subject) => Some("what it is about is not kept"),
                None if lost_some => Some("it is about nothing that was asked for"),
                _ if keeper.wish.present && artifact.lacks_a_blob => {
                    Some("the archive does not hold all of it")
                }
                _ => None,
            };
            match why {
                None => roots.push(root),
                Some(why) => keeper.changes.push(GraphChange::ArtifactLeftOut {
                    kind: artifact.kind.clone(),
                    digest: artifact.digest.clone(),
                    why,
                }),
            }
        }
        (Self { roots, ..self }, keeper.changes)
    }
}

impl<'s> ArchiveGraph<'s> {
    /// One image of each root, for layouts that have no indexes: that for `wanted`, else the only one that the
    /// archive holds in full.
    ///
    /// # Errors
    ///
    /// [`SelectError`] if a root has several, or if nothing is for `wanted`.
    pub fn one_platform_each(
        &self,
        wanted: Option<&WantedPlatform>,
    ) -> Result<Vec<&'s Image>, SelectError> {
        let mut chosen = Vec::new();
        let mut others = Vec::new();
        for root in &self.roots {
            let mut below: Vec<&'s Image> = Vec::new();
            let mut met = HashSet::new();
            root.node.each_image(&mut |image| {
                if let ImageSource::Archived(image) = image.source
                    && met.insert(std::ptr::from_ref(image))
                {
                    below.push(image);
                }
            });
            if let Some(wanted) = wanted {
                let fit = |image: &&&Image| wanted.fit(&image.platform);
                let best = below
                    .iter()
                    .max_by_key(fit)
                    .map(|image| wanted.fit(&image.platform));
                let fits = below.iter().filter(|image| {
                    let fit = wanted.fit(&image.platform);
                    fit != Fit::No && Some(fit) == best
                });
                let fits: Vec<&'s Image> = fits.copied().collect();
                others.extend(below.iter().copied());
                below = fits;
            } else if below.len() > 1 {
                let complete = |image: &&&Image| {
                    let mut layers = image.layers.iter();
                    image.config.is_some() && layers.all(|layer| layer.present().is_some())
                };
                if let [one] = below.iter().filter(complete).collect::<Vec<_>>()[..] {
                    below = vec![*one];
                }
            }
            if below.len() > 1 {
                return Err(SelectError::Platforms {
                    what: root
                        .names
                        .first()
                        .map_or_else(|| "an image".to_owned(), |name| format!("`{name}`")),
                    platforms: below.iter().map(|image| image.platform.clone()).collect(),
                    candidates: candidates(below),
                });
            }
            chosen.extend(below);
        }
        match (wanted, chosen.is_empty()) {
            (Some(wanted), true) => Err(SelectError::NoPlatform {
                wanted: wanted.clone(),
                candidates: candidates(others),
            }),
            _ => Ok(chosen),
        }
    }
}

/// Everything that something may be about.
fn digests(node: &Node<'_>, into: &mut HashSet<Digest>) {
    match node {
        Node::Image(image) => into.extend(image.digest().cloned()),
        Node::Index(index) => {
            if index.bytes.is_some() {
                into.insert(index.digest.clone());
            }
            index
                .entries
                .iter()
                .for_each(|entry| digests(&entry.node, into));
        }
        Node::Artifact(artifact) => {
            into.insert(artifact.digest.clone());
        }
        Node::Absent => {}
    }
}

impl Keeper<'_> {
    fn root<'s>(&mut self, root: Root<'s>) -> Option<Root<'s>> {
        match root.node {
            Node::Image(ref image) => self.keeps(image).then_some(root),
            Node::Index(index) => {
                let before = index.digest.clone();
                let mut index = self.index(index)?;
                let images = index
                    .entries
                    .iter()
                    .filter(|e| matches!(e.node, Node::Image(_)));
                let is_one = images.count() == 1;
                let alone = index.entries.len() == 1 && (index.bytes.is_none() || self.wish.flat);
                if is_one && (alone || self.wish.flat) {
                    let at = index
                        .entries
                        .iter()
                        .position(|e| matches!(e.node, Node::Image(_)));
                    let entry = index.entries.swap_remove(at.unwrap_or_default());
                    for left in index.entries {
                        self.left_out(&left, "the layout has no index");
                    }
                    self.changes.push(GraphChange::Lifted {
                        index: before,
                        manifest: entry.descriptor.digest.clone(),
                    });
                    return Some(Root {
                        names: root.names,
                        descriptor: Some(entry.text),
                        points_at: Some(entry.descriptor),
                        node: entry.node,
                    });
                }
                Some(Root {
                    node: Node::Index(index),
                    ..root
                })
            }
            Node::Artifact(_) => Some(root),
            Node::Absent => {
                let descriptor = root.points_at.as_ref()?;
                if !self.wish.present && !self.wish.flat && self.wish.absent {
                    return Some(root);
                }
                self.changes.push(GraphChange::AbsentDropped {
                    digest: descriptor.digest.clone(),
                    platform: descriptor.platform.clone(),
                });
                None
            }
        }
    }

    fn keeps(&mut self, image: &super::GraphImage<'_>) -> bool {
        let wanted = |image: &Image| self.wanted.contains(&std::ptr::from_ref(image));
        if image.archived().is_some_and(|image| !wanted(image)) {
            return false;
        }
        if self.wish.present && !image.is_complete() {
            self.changes.push(GraphChange::ImageLeftOut {
                image: image.display_name(),
                why: "the archive does not hold all of it",
            });
            return false;
        }
        true
    }

    /// What is left of an index; `None` if no image is.
    fn index<'s>(&mut self, mut index: GraphIndex<'s>) -> Option<GraphIndex<'s>> {
        let before = index.entries.len();
        let mut is_whole = true;
        let mut changed = false;
        let mut first: Vec<IndexEntry<'s>> = Vec::with_capacity(before);
        for mut entry in index.entries {
            let keeps = match entry.node {
                Node::Image(ref image) => {
                    let keeps = self.keeps(image);
                    is_whole &= keeps;
                    keeps
                }
                Node::Index(nested) => {
                    if let Some(nested) = self.index(nested) {
                        changed |= nested.bytes.is_none();
                        is_whole &= nested.bytes.is_some();
                        entry.node = Node::Index(nested);
                        true
                    } else {
                        is_whole = false;
                        entry.node = Node::Absent;
                        false
                    }
                }
                Node::Artifact(_) | Node::Absent => true,
            };
            if keeps {
                first.push(entry);
            }
        }
        let mut kept = HashSet::new();
        let mut any = false;
        for entry in &first {
            digests(&entry.node, &mut kept);
            entry.node.each_image(&mut |_| any = true);
        }
        if !any {
            return None;
        }
        let present = self.wish.present || self.wish.flat;
        let mut entries = Vec::with_capacity(first.len());
        for entry in first {
            let why = match &entry.node {
                Node::Artifact(artifact) => match &artifact.subject {
                    Some(subject) if !kept.contains(subject) => {
                        Some("what it is about is not kept")
                    }
                    None if !is_whole => Some("it is about nothing that was asked for"),
                    _ if present && artifact.lacks_a_blob => {
                        Some("the archive does not hold all of it")
                    }
                    _ => None,
                },
                Node::Absent if present || !is_whole || !self.wish.absent => {
                    Some("it is not in the archive")
                }
                _ => None,
            };
            match why {
                None => entries.push(entry),
                Some(why) => self.left_out(&entry, why),
            }
        }
        if changed || entries.len() < before {
            index.bytes = None;
            if entries.len() > 1 {
                self.changes.push(GraphChange::IndexShrunk {
                    index: index.digest.clone(),
                    before,
                    now: entries.len(),
                });
            }
        }
        Some(GraphIndex { entries, ..index })
    }

    fn left_out(&mut self, entry: &IndexEntry<'_>, why: &'static str) {
        let digest = entry.descriptor.digest.clone();
        self.changes.push(match &entry.node {
            Node::Artifact(artifact) => GraphChange::ArtifactLeftOut {
                kind: artifact.kind.clone(),
                digest,
                why,
            },
            _ => GraphChange::AbsentDropped {
                digest,
                platform: entry.descriptor.platform.clone(),
            },
        });
    }
}
