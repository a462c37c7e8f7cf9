//! Which layer of one image is which of another.

use std::collections::HashMap;

use super::{CompareError, Side};
use crate::base::align::{common, gaps};
use crate::base::digest::DiffId;
use crate::base::jobs;
use crate::base::options::Options;
use crate::image::{Image, Layer};
use crate::layer::LayerTar;
use crate::source::{Compression, Place};
use crate::tree::error::TreeError;

/// How two layers are related.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerRelation {
    /// They have one diff ID, and are stored alike as far as the archives tell.
    Same,
    /// They have one diff ID, and are stored in different compressions.
    Recompressed,
    /// Their tars have the same entries with the same content; only modification times differ, and perhaps what
    /// [`Order`](Self::Order) allows.
    Times,
    /// Their tars have the same entries with the same content, in another order or another form of the headers.
    Order,
    /// Their entries or contents differ.
    Different,
    /// Only the new image has it.
    Added,
    /// Only the old image has it.
    Removed,
}

/// In what the entries of two layers differ that are [different](LayerRelation::Different).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LayerDifference {
    /// How many entries only the new one has.
    pub added: u64,
    /// How many entries only the old one has.
    pub removed: u64,
    /// How many entries of one path differ in their headers, other than in times.
    pub changed: u64,
    /// Whether contents differ of which the sizes are equal. They are compared only if nothing else differs.
    pub content: bool,
    /// Whether nothing differs but what is ignored.
    pub is_ignored: bool,
}

/// A layer of each image, or of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerPair {
    /// The index in the old image, base first.
    pub old: Option<usize>,
    /// The index in the new image.
    pub new: Option<usize>,
    /// How they are related.
    pub relation: LayerRelation,
    /// In what they differ.
    pub difference: Option<LayerDifference>,
}

/// What tells a layer apart from others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum LayerKey {
    /// Its diff ID, claimed or computed.
    DiffId(DiffId),
    /// Its stored bytes, where nothing gives it a diff ID.
    Stored(Place, Compression),
    /// Its place in an image that does not have it.
    Missing(bool, usize),
}

/// The layers of two images.
pub(super) struct Stacks<'i> {
    old: &'i Image,
    new: &'i Image,
    old_keys: Vec<LayerKey>,
    new_keys: Vec<LayerKey>,
}

fn keys(image: &Image, is_new: bool) -> Vec<LayerKey> {
    let computed = image.upgraded_ids().map_or(&[][..], |ids| &ids.diff_ids);
    let key = |layer: &Layer| {
        let diff_id = layer.diff_id.as_ref().or(computed.get(layer.index));
        match (diff_id, layer.present()) {
            (Some(id), _) => LayerKey::DiffId(id.clone()),
            (None, Some((slice, compression))) => LayerKey::Stored(slice.place(), compression),
            (None, None) => LayerKey::Missing(is_new, layer.index),
        }
    };
    image.layers.iter().map(key).collect()
}

impl<'i> Stacks<'i> {
    pub(super) fn of(old: &'i Image, new: &'i Image) -> Self {
        Self {
            old,
            new,
            old_keys: keys(old, false),
            new_keys: keys(new, true),
        }
    }

    /// Whether both images have the same layers in the same order.
    pub(super) fn are_equal(&self) -> bool {
        self.old_keys == self.new_keys
    }

    /// The layers in pairs; those that may be equal but for times or order are called different until they are
    /// [compared](super::compare_layers).
    pub(super) fn pairs(&self) -> Vec<LayerPair> {
        let lens = (self.old_keys.len(), self.new_keys.len());
        let mut pairs = common(&self.old_keys, &self.new_keys);
        let moved = self.moved(&pairs);
        let mut partner: Vec<Option<usize>> = vec![None; lens.1];
        let mut taken = vec![false; lens.0];
        for &(i, j) in pairs.iter().chain(&moved) {
            partner[j] = Some(i);
            taken[i] = true;
        }
        let steps = (steps_of(self.old), steps_of(self.new));
        // What is left between two pairs: layers of one build step first, then whatever stands there, one after
        // the other.
        for by_step in [true, false] {
            for (old, new) in gaps(&pairs, lens) {
                let old: Vec<usize> = old.filter(|i| !taken[*i]).collect();
                let new: Vec<usize> = new.filter(|j| partner[*j].is_none()).collect();
                let found: Vec<(usize, usize)> = if by_step {
                    let olds: Vec<_> = old.iter().map(|&i| steps.0[i]).collect();
                    let news: Vec<_> = new.iter().map(|&j| steps.1[j]).collect();
                    let both = common(&olds, &news).into_iter();
                    both.map(|(i, j)| (old[i], new[j])).collect()
                } else {
                    old.into_iter().zip(new).collect()
                };
                for (i, j) in found {
                    partner[j] = Some(i);
                    taken[i] = true;
                    pairs.push((i, j));
                }
            }
            pairs.sort_unstable();
        }
        self.in_order(&partner, &taken)
    }

    /// Pairs of what both images have, but at another place among what is in these pairs.
    fn moved(&self, pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let mut left: HashMap<&LayerKey, Vec<usize>> = HashMap::new();
        let mut next = pairs.iter().map(|(old, _)| *old).peekable();
        for (i, key) in self.old_keys.iter().enumerate() {
            if next.next_if_eq(&i).is_none() {
                left.entry(key).or_default().push(i);
            }
        }
        let mut moved = Vec::new();
        let mut next = pairs.iter().map(|(_, new)| *new).peekable();
        for (j, key) in self.new_keys.iter().enumerate() {
            if next.next_if_eq(&j).is_none()
                && let Some(i) = left.get_mut(key).and_then(Vec::pop)
            {
                moved.push((i, j));
            }
        }
        moved
    }

    /// All pairs and single layers, as a person would read them.
    fn in_order(&self, partner: &[Option<usize>], taken: &[bool]) -> Vec<LayerPair> {
        let mut pairs = Vec::with_capacity(partner.len());
        let mut old = 0;
        let removed = |i| LayerPair {
            old: Some(i),
            new: None,
            relation: LayerRelation::Removed,
            difference: None,
        };
        for (j, partner) in partner.iter().enumerate() {
            if let Some(i) = *partner {
                while old < i {
                    pairs.extend((!taken[old]).then(|| removed(old)));
                    old += 1;
                }
                old = old.max(i + 1);
            }
            pairs.push(LayerPair {
                old: *partner,
                new: Some(j),
                relation: partner.map_or(LayerRelation::Added, |i| self.relation(i, j)),
                difference: None,
            });
        }
        let rest = (old..taken.len()).filter(|i| !taken[*i]);
        pairs.extend(rest.map(removed));
        pairs
    }

    fn relation(&self, i: usize, j: usize) -> LayerRelation {
        if self.old_keys[i] != self.new_keys[j] {
            return LayerRelation::Different;
        }
        let (old, new) = (&self.old.layers[i], &self.new.layers[j]);
        let (Some((old_bytes, old_form)), Some((new_bytes, new_form))) =
            (old.present(), new.present())
        else {
            return LayerRelation::Same;
        };
        let is_stored_alike = old_form == new_form
            && (old_form == Compression::None
                || match (&old.digest, &new.digest) {
                    (Some(one), Some(other)) => one == other,
                    _ => old_bytes.len() == new_bytes.len(),
                });
        if is_stored_alike {
            LayerRelation::Same
        } else {
            LayerRelation::Recompressed
        }
    }

    /// The tars of all layers of both images, each opened once. One that an image lacks is taken from the other.
    ///
    /// # Errors
    ///
    /// [`CompareError`] if a layer is missing or damaged.
    pub(super) fn open(
        &self,
        options: &Options<'_>,
    ) -> Result<(Vec<LayerTar>, Vec<LayerTar>), CompareError> {
        let mut numbers: HashMap<&LayerKey, usize> = HashMap::new();
        let mut chosen: Vec<(Side, &Layer)> = Vec::new();
        let mut number = |side, (key, layer)| {
            let at = *numbers.entry(key).or_insert_with(|| {
                chosen.push((side, layer));
                chosen.len() - 1
            });
            if effort(layer) < effort(chosen[at].1) {
                chosen[at] = (side, layer);
            }
            at
        };
        let old = self.old_keys.iter().zip(&self.old.layers);
        let old: Vec<usize> = old.map(|layer| number(Side::Old, layer)).collect();
        let new = self.new_keys.iter().zip(&self.new.layers);
        let new: Vec<usize> = new.map(|layer| number(Side::New, layer)).collect();
        let cost = |(_, layer): &(Side, &Layer)| effort(layer);
        let opened = jobs::map(options.jobs, &chosen, cost, |(side, layer)| {
            layer.open(options).map_err(|source| CompareError {
                side: *side,
                source: TreeError::Layer {
                    layer: layer.index,
                    source,
                },
            })
        });
        let tars: Vec<LayerTar> = opened.into_iter().collect::<Result<_, _>>()?;
        let of = |numbers: Vec<usize>| numbers.into_iter().map(|at| tars[at].clone()).collect();
        Ok((of(old), of(new)))
    }
}

/// The build step that made each layer.
fn steps_of(image: &Image) -> Vec<Option<&str>> {
    let pairing = image.pairing();
    let step = |i| pairing.maker_of(i).map(|entry| entry.created_by.as_str());
    (0..image.layers.len()).map(step).collect()
}

/// How many bytes have to be decoded to read a layer; most of all if it is not there, or an empty file stands for it.
fn effort(layer: &Layer) -> u64 {
    match layer.present() {
        _ if layer.is_placeholder() => u64::MAX - 1,
        Some((_, Compression::None)) => 0,
        Some((slice, _)) => slice.len(),
        None => u64::MAX,
    }
}
