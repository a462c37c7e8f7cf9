//! Several graphs as one: everything once, and one thing for each name.

use std::collections::HashMap;

use super::{ArchiveGraph, GraphChange, Node, Root};
use crate::image::Name;

impl<'s> ArchiveGraph<'s> {
    /// All of several graphs, in their order. What two of them have is there once, with the names of both; of
    /// two things with one name the last one has it, as when the archives are loaded one after the other.
    pub fn merge(graphs: impl IntoIterator<Item = Self>) -> (Self, Vec<GraphChange>) {
        Self::settled(graphs.into_iter().flat_map(|graph| graph.roots))
    }

    /// The graph of these roots: each once, those with images first, and no name twice.
    pub(super) fn settled(roots: impl IntoIterator<Item = Root<'s>>) -> (Self, Vec<GraphChange>) {
        let mut once: Vec<Root<'s>> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut owner: HashMap<Name, usize> = HashMap::new();
        let mut changes = Vec::new();
        for root in roots {
            let at = *known.entry(root.key()).or_insert(once.len());
            for name in &root.names {
                let name = called(name);
                match owner.insert(name.clone(), at) {
                    Some(before) if before != at => changes.push(GraphChange::NameMoved {
                        name: name.to_string(),
                        kept: root.display_name(),
                        lost: once[before].display_name(),
                    }),
                    _ => {}
                }
            }
            match once.get_mut(at) {
                // What is there twice goes below.
                Some(first) => first.names.extend(root.names),
                None => once.push(root),
            }
        }
        for (at, root) in once.iter_mut().enumerate() {
            // The first of equal names stays, and has it from then on.
            root.names.retain(|name| {
                let name = called(name);
                let is_its = owner.get(&name) == Some(&at);
                if is_its {
                    owner.remove(&name);
                }
                is_its
            });
        }
        let has_images = |root: &Root<'s>| {
            let mut any = false;
            root.node.each_image(&mut |_| any = true);
            any || matches!(root.node, Node::Index(_))
        };
        let (mut roots, others): (Vec<_>, Vec<_>) = once.into_iter().partition(has_images);
        roots.extend(others);
        let graph = Self {
            roots,
            ..Self::default()
        };
        (graph, changes)
    }
}

/// A name as it is compared: `app` and `app:latest` are one.
pub(super) fn called(name: &Name) -> Name {
    match name {
        Name::Reference(reference) => Name::Reference(reference.clone().or_latest()),
        Name::Bare(_) => name.clone(),
    }
}
