//! A graph without the layers that other archives hold.
//!
//! A layer is left out if one of the others has a layer of the same diff ID on top of the same layers: the same chain
//! ID. Docker's own store looks layers up by their chain IDs before it opens their files (moby
//! `image/tarexport/load.go`), so it loads the rest where it has such an image. A layer of the same content on top of
//! others would be looked for in the archive, so it stays; so does one that has another place in another image of the
//! archive, because both would be one file. Digests of blobs play no part: an engine that keeps layers by those
//! opens all files first.

use std::collections::{HashMap, HashSet};

use super::store::LayerStore;
use super::{ArchiveGraph, ImageSource};
use crate::base::digest::{ChainId, DiffId};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::document::ThinBase;
use crate::image::{Identity, Image, ImageSet};
use crate::layer::digest::{Claim, Claims, LayerName};
use crate::output::WriteError;
use crate::output::layout::OutputImage;

/// Which layers a graph is written without, and where they are.
#[derive(Clone, Debug, Default)]
pub struct ThinPlan {
    left_out: HashSet<DiffId>,
    /// Which bases have each of them, by their positions.
    holders: HashMap<ChainId, Vec<usize>>,
    bases: Vec<ThinBase>,
    /// How many layers stay.
    kept: usize,
    /// Which of the archives hold none of the layers, by their positions.
    idle: Vec<usize>,
    /// How many of the layers that are left out none of the archives holds.
    lacked: usize,
}

/// Why an archive cannot be made thin.
#[derive(Debug, thiserror::Error)]
pub enum ThinError {
    /// The other archives hold none of its layers in their places.
    #[error("the bases hold none of the layers, so nothing can be left out")]
    NothingShared {
        /// How many of the layers they have on top of other layers.
        elsewhere: usize,
    },
    /// A layer of a base is not what its diff ID says, or cannot be read.
    #[error(transparent)]
    Base(#[from] WriteError),
}

/// A layer of a base at its place in an image.
struct Held<'s> {
    archive: usize,
    image: &'s Image,
    layer: usize,
    diff_id: &'s DiffId,
}

impl ThinPlan {
    /// How many layers stay, each once.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// How many layers are left out, each once, because the archive lacked them already: no base holds them.
    pub fn lacked(&self) -> usize {
        self.lacked
    }

    /// Which of the archives that were given as bases hold none of the layers, by their positions.
    pub fn idle(&self) -> &[usize] {
        &self.idle
    }

    /// The images that have the layers that are left out.
    pub fn bases(&self) -> &[ThinBase] {
        &self.bases
    }

    /// Which bases have the layer of this chain ID, by their positions.
    pub(in crate::output) fn holders(&self, chain_id: &ChainId) -> &[usize] {
        self.holders.get(chain_id).map_or(&[], Vec::as_slice)
    }

    /// Marks the layers of an image that are left out.
    pub(in crate::output) fn leave_out(&self, image: &mut OutputImage) {
        for layer in &mut image.layers {
            if self.left_out.contains(layer.diff_id()) {
                layer.leave_out();
            }
        }
    }

    /// The position of a base, which is added if it is new.
    fn base(&mut self, base: ThinBase, known: &mut HashMap<ThinBase, usize>) -> usize {
        *known.entry(base.clone()).or_insert_with(|| {
            self.bases.push(base);
            self.bases.len() - 1
        })
    }
}

impl<'s> ArchiveGraph<'s> {
    /// The graph without the layers that `bases` hold: archives with their paths. Layers of theirs by which some are
    /// left out are verified against their diff IDs, since a receiver cannot have loaded them otherwise. What the
    /// archive lacks already stays left out. Of images from before Docker 1.10 the diff IDs have to be computed
    /// before ([`crate::layer::hash_members`]).
    ///
    /// # Errors
    ///
    /// [`ThinError`].
    pub fn thin(
        mut self,
        bases: &[(&'s str, &'s ImageSet)],
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<(Self, ThinPlan), ThinError> {
        let (held, contents) = gathered(bases);
        // Whether each layer is held at all of its places.
        let mut layers: HashMap<&'s DiffId, bool> = HashMap::new();
        let mut places: Vec<(&'s Image, usize, ChainId, &'s DiffId)> = Vec::new();
        for image in self.images() {
            let ImageSource::Archived(image) = image.source else {
                continue;
            };
            let Some(diff_ids) = image.known_diff_ids() else {
                continue;
            };
            let chain = ChainId::of_layers(diff_ids.iter().copied());
            for ((layer, diff_id), chain_id) in image.layers.iter().zip(diff_ids).zip(chain) {
                let is_held = layer.left_out().is_some() || held.contains_key(&chain_id);
                *layers.entry(diff_id).or_insert(true) &= is_held;
                places.push((image, layer.index, chain_id, diff_id));
            }
        }
        let left_out: HashSet<DiffId> = layers
            .iter()
            .filter(|(_, is_held)| **is_held)
            .map(|(diff_id, _)| (*diff_id).clone())
            .collect();
        let mut plan = ThinPlan {
            kept: layers.len() - left_out.len(),
            ..ThinPlan::default()
        };
        let mut claims = Claims::none();
        let mut known = HashMap::new();
        let mut used = HashSet::new();
        let mut lacked = HashSet::new();
        for (image, layer, chain_id, diff_id) in places {
            if !left_out.contains(diff_id) || plan.holders.contains_key(&chain_id) {
                continue;
            }
            if !held.contains_key(&chain_id) {
                lacked.insert(diff_id);
            }
            let mut holders = Vec::new();
            for one in held.get(&chain_id).into_iter().flatten() {
                used.insert(one.archive);
                claim(one, bases[one.archive].0, &mut claims);
                if let Some(base) = base_of(one.image) {
                    holders.push(plan.base(base, &mut known));
                }
            }
            if let Some(listed) = image.layers[layer]
                .left_out()
                .filter(|_| holders.is_empty())
            {
                for base in &listed.bases {
                    holders.push(plan.base((**base).clone(), &mut known));
                }
            }
            holders.sort_unstable();
            holders.dedup();
            plan.holders.insert(chain_id, holders);
        }
        if used.is_empty() {
            let elsewhere = layers.keys().filter(|id| contents.contains(**id)).count();
            return Err(ThinError::NothingShared { elsewhere });
        }
        claims.check(jobs, progress).map_err(WriteError::from)?;
        plan.idle = (0..bases.len()).filter(|n| !used.contains(n)).collect();
        plan.lacked = lacked.len();
        plan.left_out = left_out;
        self.thin = plan.clone();
        self.layers = LayerStore::keeping_absent();
        Ok((self, plan))
    }
}

/// The layers of the bases that are really there, by their chain IDs, and their diff IDs.
fn gathered<'s>(
    bases: &[(&'s str, &'s ImageSet)],
) -> (HashMap<ChainId, Vec<Held<'s>>>, HashSet<&'s DiffId>) {
    let (mut held, mut contents) = (HashMap::new(), HashSet::new());
    for (archive, (_, set)) in bases.iter().enumerate() {
        for image in &set.images {
            gather(archive, image, &mut held, &mut contents);
        }
    }
    (held, contents)
}

/// Notes the layers of an image of a base that are really there.
fn gather<'s>(
    archive: usize,
    image: &'s Image,
    held: &mut HashMap<ChainId, Vec<Held<'s>>>,
    contents: &mut HashSet<&'s DiffId>,
) {
    let Some(diff_ids) = image.known_diff_ids() else {
        return;
    };
    let chain = ChainId::of_layers(diff_ids.iter().copied());
    for ((layer, diff_id), chain_id) in image.layers.iter().zip(diff_ids).zip(chain) {
        if layer.present().is_some() && !layer.is_placeholder() {
            contents.insert(diff_id);
            held.entry(chain_id).or_default().push(Held {
                archive,
                image,
                layer: layer.index,
                diff_id,
            });
        }
    }
}

/// Claims that a layer of a base is what its diff ID says.
fn claim<'s>(held: &Held<'s>, path: &str, claims: &mut Claims<'s>) {
    if let Some((bytes, compression)) = held.image.layers[held.layer].present() {
        let claim = Claim {
            name: LayerName {
                image: Some(format!("{} in {path}", held.image.display_name())),
                ..LayerName::of(held.layer)
            },
            bytes,
            compression,
            content: held.diff_id.digest(),
            stored: None,
        };
        claims.add(claim, None);
    }
}

/// An image of a base as the listing names it; `None` if nothing tells its ID.
fn base_of(image: &Image) -> Option<ThinBase> {
    match image.loaded_identity() {
        Identity::Config(id) => {
            let names = image.names.iter().map(ToString::to_string);
            Some(ThinBase::new(id, names.collect()))
        }
        Identity::Legacy(_) | Identity::Unknown => None,
    }
}
