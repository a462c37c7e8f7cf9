//! What hashing the layers of a store says of them.

use std::collections::{HashMap, HashSet};

use super::store::{EngineStore, Kept, RescuedArchive};
use super::{LayerState, RescueError};
use crate::base::digest::{DiffId, LegacyId};
use crate::base::jobs;
use crate::base::options::Options;
use crate::base::progress::steps;
use crate::image::{Image, Layer};
use crate::layer::digest::{Nothing, Request, Wanted};
use crate::source::Slice;

impl EngineStore {
    /// Hashes the layers of the images at these positions and notes what came of it: a layer whose bytes are not
    /// those of its digests does not come back from then on. Returns the images that are whole.
    pub(super) fn prove(
        &mut self,
        wanted: &[usize],
        options: &Options<'_>,
    ) -> Result<Vec<usize>, RescueError> {
        let Some(set) = self.images() else {
            return Ok(Vec::new());
        };
        let images = wanted.iter().filter_map(|at| set.images.get(*at));
        let images: Vec<&Image> = images.filter(|image| self.is_whole(image)).collect();
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let layers = images.iter().flat_map(|image| &image.layers);
        let ids: HashSet<LegacyId> = layers.filter_map(|layer| layer.legacy_id.clone()).collect();
        // A graph has no digests.
        let states = match self.kept {
            Kept::Graph(_) => Vec::new(),
            Kept::Classic(_) | Kept::Content { .. } => {
                let rescued = self.assemble(&images)?;
                self.states(&rescued, options)?
            }
        };
        match &mut self.kept {
            Kept::Classic(classic) => {
                for (diff_id, state) in states {
                    if let Some(layer) = classic.layers.get_mut(&diff_id) {
                        layer.state = state;
                    }
                }
            }
            Kept::Graph(graph) => graph.check(&self.files, &ids, options.jobs)?,
            Kept::Content { hashed, .. } => hashed.extend(states),
        }
        let set = self.images();
        let image = |at: &usize| set.and_then(|set| set.images.get(*at));
        let whole = |at: &&usize| image(at).is_some_and(|image| self.is_whole(image));
        Ok(wanted.iter().filter(whole).copied().collect())
    }

    /// Those of the images at these positions that are whole as far as is known without hashing; of Docker before
    /// 1.10, whose layers have no digests, those that are whole.
    pub(super) fn expected(
        &mut self,
        wanted: &[usize],
        options: &Options<'_>,
    ) -> Result<Vec<usize>, RescueError> {
        if matches!(self.kept, Kept::Graph(_)) {
            return self.prove(wanted, options);
        }
        let set = self.images();
        let image = |at: &usize| set.and_then(|set| set.images.get(*at));
        let whole = |at: &&usize| image(at).is_some_and(|image| self.is_whole(image));
        Ok(wanted.iter().filter(whole).copied().collect())
    }

    /// Notes that the layers of the images at these positions were hashed and are those of their digests.
    pub(super) fn verified(&mut self, images: &[usize]) {
        let set = self.images();
        let images = images.iter().filter_map(|at| set?.images.get(*at));
        let layers = images.flat_map(|image| &image.layers);
        let diff_ids: HashSet<DiffId> = layers.filter_map(|layer| layer.diff_id.clone()).collect();
        for diff_id in diff_ids {
            match &mut self.kept {
                Kept::Classic(classic) => {
                    let layer = classic.layers.get_mut(&diff_id);
                    if let Some(layer) = layer.filter(|layer| layer.state == LayerState::Expected) {
                        layer.state = LayerState::Exact;
                    }
                }
                Kept::Content { hashed, .. } => {
                    hashed.entry(diff_id).or_insert(LayerState::Exact);
                }
                Kept::Graph(_) => {}
            }
        }
    }

    /// Hashes each layer of the wanted images once.
    fn states(
        &self,
        rescued: &RescuedArchive,
        options: &Options<'_>,
    ) -> Result<Vec<(DiffId, LayerState)>, RescueError> {
        let mut layers: HashMap<DiffId, &Layer> = HashMap::new();
        let images = rescued.wanted.iter();
        let images = images.filter_map(|at| rescued.images.images.get(*at));
        for layer in images.flat_map(|image| &image.layers) {
            if let (Some(diff_id), Some(_)) = (&layer.diff_id, layer.present()) {
                layers.entry(diff_id.clone()).or_insert(layer);
            }
        }
        let mut layers: Vec<(DiffId, &Layer)> = layers.into_iter().collect();
        layers.sort_by_key(|(diff_id, _)| diff_id.to_string());
        let cost = |(_, layer): &(DiffId, &Layer)| stored(layer).map_or(0, Slice::len);
        let states = jobs::map(options.jobs, &layers, cost, |(diff_id, layer)| {
            self.state(diff_id, layer, options)
        });
        let states = layers.into_iter().zip(states);
        states
            .map(|((diff_id, _), state)| Ok((diff_id, state?)))
            .collect()
    }

    /// What hashing a layer says of it.
    fn state(
        &self,
        diff_id: &DiffId,
        layer: &Layer,
        options: &Options<'_>,
    ) -> Result<LayerState, RescueError> {
        let Some((bytes, compression)) = layer.present() else {
            return Ok(LayerState::Lost("it is not there".to_owned()));
        };
        let request = Request {
            bytes,
            compression,
            wanted: Wanted::both(),
            task: Some(steps::HASHING.to_owned()),
            alongside: Nothing,
        };
        let proof = match request.answer(options.progress) {
            Ok((proof, ())) => proof,
            Err(error) => return Ok(LayerState::Lost(format!("it cannot be read: {error}"))),
        };
        // A layer that was put together has no blob of its own.
        let is_blob = matches!(self.kept, Kept::Content { .. });
        let claimed = layer.digest.as_ref().filter(|_| is_blob);
        let claimed = claimed.zip(proof.stored());
        if let Some((claimed, computed)) = claimed.filter(|(claimed, found)| claimed != found) {
            return Ok(LayerState::Lost(format!(
                "its blob was changed: claimed {claimed}, computed {computed}"
            )));
        }
        if proof.diff_id() == diff_id {
            return Ok(LayerState::Exact);
        }
        if let Kept::Classic(classic) = &self.kept {
            let lost = classic.changed(&self.files, diff_id)?;
            if lost.count > 0 {
                return Ok(LayerState::Damaged(lost));
            }
        }
        Ok(LayerState::Lost(format!(
            "it does not match its diff ID: claimed {diff_id}, computed {}",
            proof.diff_id()
        )))
    }
}

fn stored(layer: &Layer) -> Option<&Slice> {
    layer.present().map(|(slice, _)| slice)
}
