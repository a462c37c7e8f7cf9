//! What of a graph a layout has room for, and what is to be said of that.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::describe::Described;
use super::listing::MovedDocument;
use super::{ArchiveLayout, ArchiveWarning, Detached};
use crate::base::constants::DOCKER_LAYERS;
use crate::base::digest::{Digest, ImageId};
use crate::image::{Name, Reference};
use crate::output::WriteError;
use crate::output::graph::{ArchiveGraph, GraphArtifact, GraphImage, Node, Root};

/// The images of a graph that a layout has room for.
pub(super) struct Chosen<'g, 's> {
    pub(super) images: Vec<Arc<GraphImage<'s>>>,
    /// The number of each by where it is in memory.
    pub(super) numbers: HashMap<usize, usize>,
    /// What readers of `manifest.json` call each; nothing for further platforms.
    pub(super) names: Vec<Cow<'g, [Name]>>,
    /// The images of `manifest.json`, each once.
    pub(super) named: Vec<usize>,
}

impl<'g, 's> Chosen<'g, 's> {
    pub(super) fn of(graph: &'g ArchiveGraph<'s>, layout: ArchiveLayout) -> Self {
        let mut images = graph.images();
        let primaries: Vec<_> = graph.roots.iter().map(Root::primary).collect();
        if layout == ArchiveLayout::DockerLegacy {
            let primary: HashSet<_> = primaries.iter().flatten().map(Arc::as_ptr).collect();
            images.retain(|image| primary.contains(&Arc::as_ptr(image)));
        }
        let place = |image: &Arc<GraphImage<'s>>| Arc::as_ptr(image).addr();
        let numbers: HashMap<usize, usize> = images.iter().map(place).zip(0..).collect();
        let mut names: Vec<Cow<'g, [Name]>> = vec![Cow::default(); images.len()];
        let mut primary_numbers = Vec::new();
        let mut met = HashSet::new();
        for (root, primary) in graph.roots.iter().zip(&primaries) {
            let number = primary
                .as_ref()
                .and_then(|image| numbers.get(&place(image)));
            if let Some(&number) = number {
                let known = &mut names[number];
                if known.is_empty() {
                    // There may be many; mostly these are all.
                    *known = Cow::Borrowed(&root.names);
                } else {
                    known.to_mut().extend(root.names.iter().cloned());
                }
                if met.insert(number) {
                    primary_numbers.push(number);
                }
            }
        }
        Self {
            images,
            numbers,
            names,
            named: primary_numbers,
        }
    }
}

/// All artifacts of a graph, each once.
pub(super) fn artifacts<'g>(graph: &'g ArchiveGraph<'_>) -> Vec<&'g GraphArtifact> {
    fn gather<'g>(node: &'g Node<'_>, met: &mut HashSet<usize>, all: &mut Vec<&'g GraphArtifact>) {
        match node {
            Node::Artifact(artifact) => {
                if met.insert(Arc::as_ptr(artifact).addr()) {
                    all.push(artifact);
                }
            }
            Node::Index(index) => {
                for entry in &index.entries {
                    gather(&entry.node, met, all);
                }
            }
            Node::Image(_) | Node::Absent => {}
        }
    }
    let mut all = Vec::new();
    let mut met = HashSet::new();
    for root in &graph.roots {
        gather(&root.node, &mut met, &mut all);
    }
    all
}

/// The artifacts that are about what has moved to another digest.
pub(super) fn detached(
    artifacts: &[&GraphArtifact],
    moved: &HashMap<Digest, MovedDocument>,
) -> Vec<Detached> {
    let about = |artifact: &&GraphArtifact| {
        let before = artifact.subject.clone()?;
        Some(Detached {
            kind: artifact.kind.clone(),
            digest: artifact.digest.clone(),
            digest_now: moved.get(&artifact.digest).map(|now| now.digest.clone()),
            now: moved.get(&before)?.digest.clone(),
            before,
        })
    };
    artifacts.iter().filter_map(about).collect()
}

/// What not every engine accepts of the images; refuses what none does.
pub(super) fn warnings(
    images: &[Described<'_>],
    chosen: &Chosen<'_, '_>,
    layout: ArchiveLayout,
) -> Result<Vec<ArchiveWarning>, WriteError> {
    let mut warnings = Vec::new();
    let mut taken: HashMap<&Reference, &ImageId> = HashMap::new();
    for (image, names) in images.iter().zip(&chosen.names) {
        for tag in &image.tags {
            if taken
                .insert(tag, &image.id)
                .is_some_and(|id| *id != image.id)
            {
                return Err(WriteError::Image {
                    image: image.image.display_name(),
                    why: format!("another image would be called `{tag}` as well"),
                });
            }
        }
        if image.layers.len() > DOCKER_LAYERS {
            warnings.push(ArchiveWarning::TooManyLayers {
                image: image.image.display_name(),
                layers: image.layers.len(),
            });
        }
        for name in names.iter() {
            match name {
                Name::Reference(reference) if reference.digest().is_some() => {
                    warnings.push(ArchiveWarning::DigestDropped { name: name.clone() });
                }
                Name::Bare(_) if layout != ArchiveLayout::Oci => {
                    warnings.push(ArchiveWarning::NameDropped { name: name.clone() });
                }
                _ => {}
            }
        }
    }
    if layout != ArchiveLayout::Oci && images.iter().any(Described::has_zstd) {
        warnings.push(ArchiveWarning::ZstdForDocker);
    }
    Ok(warnings)
}
