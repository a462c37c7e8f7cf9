//! `tree`: the layers of all images as one tree.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::images::{containerd_id, id};
use crate::image::{Image, ImageSet};
use crate::layer::Measures;

/// The answer of `tree`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageTree {
    /// `imgtar/tree/1`
    pub schema: &'static str,
    /// The bottom layers, each once, in the order of their first use.
    pub roots: Vec<TreeNode>,
}

/// A stack of layers: those of its parents and one more.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TreeNode {
    /// The chain ID of the stack; `null` in archives from before Docker 1.10, for a layer without a claimed diff ID,
    /// and for an image without layers.
    pub chain_id: Option<String>,
    /// The ID of the layer in an archive from before Docker 1.10.
    pub legacy_id: Option<String>,
    /// The size of the top layer as `docker history` counts it; `null` if it is missing or damaged.
    pub size: Option<u64>,
    /// The size of the whole stack; `null` if a layer of it is missing or damaged.
    pub virtual_size: Option<u64>,
    /// The names of the images that end here.
    pub references: Vec<String>,
    /// The IDs of the images that end here.
    pub images: Vec<String>,
    /// The IDs of the images that end here in a containerd store, as `containerd_id` in `images`.
    pub containerd_ids: Vec<String>,
    /// The platforms of the images that end here, each once; images without a platform are left out.
    pub platforms: Vec<String>,
    /// The stacks with one layer more.
    pub children: Vec<Self>,
}

/// How a node is found: layers are shared by chain ID, or by name where there are no digests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Chain(String),
    Legacy(String),
    /// A layer without any identity is shared with nothing.
    Alone(usize),
}

#[derive(Debug)]
struct Entry {
    key: Key,
    size: Option<u64>,
    virtual_size: Option<u64>,
    references: Vec<String>,
    images: Vec<String>,
    containerd_ids: Vec<String>,
    platforms: Vec<String>,
    children: Vec<usize>,
    /// What the lists hold.
    known: HashSet<String>,
}

/// Collects the images of several archives.
#[derive(Debug, Default)]
pub struct TreeBuilder {
    entries: Vec<Entry>,
    by_key: HashMap<Key, usize>,
    roots: Vec<usize>,
}

impl TreeBuilder {
    /// Adds an image of `set`.
    pub fn add(&mut self, set: &ImageSet, image: &Image, measures: &Measures) {
        let mut parent: Option<usize> = None;
        for layer in &image.layers {
            let key = match (&layer.chain_id, &layer.legacy_id) {
                (Some(chain_id), _) => Key::Chain(chain_id.to_string()),
                (None, Some(id)) => Key::Legacy(id.to_string()),
                (None, None) => Key::Alone(self.entries.len()),
            };
            let size = measures.of(layer).map(|measure| measure.engine_size);
            parent = Some(self.node(parent, key, size));
        }
        let end = parent.unwrap_or_else(|| {
            let key = Key::Alone(self.entries.len());
            self.node(None, key, Some(0))
        });
        let entry = &mut self.entries[end];
        for name in &image.names {
            let name = name.to_string();
            if entry.known.insert(name.clone()) {
                entry.references.push(name);
            }
        }
        if let Some(id) = id(image)
            && entry.known.insert(id.clone())
        {
            entry.images.push(id);
        }
        if let Some(id) = containerd_id(set, image)
            && entry.known.insert(format!("containerd {id}"))
        {
            entry.containerd_ids.push(id);
        }
        if !image.platform.is_unknown() {
            let platform = image.platform.to_string();
            if entry.known.insert(format!("platform {platform}")) {
                entry.platforms.push(platform);
            }
        }
    }

    fn node(&mut self, parent: Option<usize>, key: Key, size: Option<u64>) -> usize {
        if let Some(&known) = self.by_key.get(&key) {
            return known;
        }
        let below = parent.map_or(Some(0), |parent| self.entries[parent].virtual_size);
        let virtual_size = below
            .zip(size)
            .map(|(below, size)| below.saturating_add(size));
        let index = self.entries.len();
        self.entries.push(Entry {
            key: key.clone(),
            size,
            virtual_size,
            references: Vec::new(),
            images: Vec::new(),
            containerd_ids: Vec::new(),
            platforms: Vec::new(),
            children: Vec::new(),
            known: HashSet::new(),
        });
        self.by_key.insert(key, index);
        match parent {
            Some(parent) => self.entries[parent].children.push(index),
            None => self.roots.push(index),
        }
        index
    }

    /// The tree.
    pub fn build(self) -> ImageTree {
        // Children come after their parents, so going backwards every child is ready in time; no
        // recursion, since a stack may be ten thousand layers high.
        let mut built: Vec<Option<TreeNode>> = self.entries.iter().map(|_| None).collect();
        for (index, entry) in self.entries.into_iter().enumerate().rev() {
            let children = entry
                .children
                .iter()
                .filter_map(|&child| built[child].take())
                .collect();
            let (chain_id, legacy_id) = match entry.key {
                Key::Chain(id) => (Some(id), None),
                Key::Legacy(id) => (None, Some(id)),
                Key::Alone(_) => (None, None),
            };
            built[index] = Some(TreeNode {
                chain_id,
                legacy_id,
                size: entry.size,
                virtual_size: entry.virtual_size,
                references: entry.references,
                images: entry.images,
                containerd_ids: entry.containerd_ids,
                platforms: entry.platforms,
                children,
            });
        }
        let roots = self
            .roots
            .iter()
            .filter_map(|&root| built[root].take())
            .collect();
        ImageTree {
            schema: "imgtar/tree/1",
            roots,
        }
    }
}
