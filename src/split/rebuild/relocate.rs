//! Bodies that are not where the metadata says: found by their sums, wherever they are in the flat tar.

use std::collections::{HashMap, HashSet};

use super::error::{LostBody, RebuildError};
use super::flat::{PathKey, digests};
use super::layers::{LayerStep, Parts};
use crate::base::jobs::Jobs;
use crate::base::progress::Progress;
use crate::source::Slice;
use crate::split::metadata::Where;

/// How many lost bodies are named.
const NAMED: usize = 10;

/// The outcome for the bodies that are not where the metadata says.
#[derive(Debug, Default)]
pub(super) struct Moved {
    found: HashMap<[u8; 32], Slice>,
    gone: HashSet<[u8; 32]>,
    /// The first of those that layers need.
    named: Vec<LostBody>,
    count: u64,
}

/// A body that should be in the flat tar.
struct Wanted {
    path: PathKey,
    sha256: [u8; 32],
    size: u64,
    /// The first layer that is put together with it; `None` where all that have it are kept whole.
    layer: Option<usize>,
}

impl Moved {
    /// Compares every body that should be in the flat tar with its sum, and looks for those that are not
    /// where they should be. Only what is as long as one of these is read for that.
    pub(super) fn find(
        parts: &Parts<'_>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, RebuildError> {
        let mut wanted = wanted(parts)?;
        let mut there = Vec::new();
        let mut at = Vec::new();
        for (n, wanted) in wanted.iter().enumerate() {
            let body = parts.flat.body_at(wanted.path);
            if let Some(body) = body.filter(|body| body.len() == wanted.size) {
                there.push(body);
                at.push(n);
            }
        }
        let mut in_place = vec![false; wanted.len()];
        for (n, sha256) in at.into_iter().zip(digests(&there, jobs, progress)?) {
            in_place[n] = wanted[n].sha256 == sha256;
        }
        let mut in_place = in_place.into_iter();
        wanted.retain(|_| {
            !in_place
                .next()
                .expect("there is one for each that is wanted")
        });

        let lengths = wanted.iter().map(|wanted| wanted.size).collect();
        let candidates = parts.flat.of_lengths(&lengths);
        let sums = digests(&candidates, jobs, progress)?;
        let by_sum: HashMap<[u8; 32], Slice> = sums.into_iter().zip(candidates).collect();
        let mut moved = Self::default();
        let mut to_name = HashMap::new();
        for wanted in wanted {
            if let Some(body) = by_sum.get(&wanted.sha256) {
                moved.found.insert(wanted.sha256, body.clone());
                continue;
            }
            moved.gone.insert(wanted.sha256);
            if let Some(layer) = wanted.layer {
                moved.count += 1;
                if to_name.len() < NAMED {
                    to_name.insert((wanted.path, wanted.sha256), layer);
                }
            }
        }
        moved.named = named(parts, to_name)?;
        Ok(moved)
    }

    /// Whether every body is where it should be.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.gone.is_empty()
    }

    pub(super) fn found(&self, sha256: &[u8; 32]) -> Option<&Slice> {
        self.found.get(sha256)
    }

    pub(super) fn is_gone(&self, sha256: &[u8; 32]) -> bool {
        self.gone.contains(sha256)
    }

    /// Whether a body was not where it should be, wherever it is now.
    pub(super) fn knows(&self, sha256: &[u8; 32]) -> bool {
        self.found.contains_key(sha256) || self.is_gone(sha256)
    }

    /// An error, if layers need what is gone.
    pub(super) fn refuse(&self, parts: &Parts<'_>) -> Result<(), RebuildError> {
        if self.count == 0 {
            return Ok(());
        }
        Err(RebuildError::Lost {
            path: parts.flat.label(),
            bodies: self.named.clone(),
            count: self.count,
        })
    }
}

/// The paths of lost bodies, of which only the keys were kept, in the order of the layers.
fn named(
    parts: &Parts<'_>,
    mut to_name: HashMap<(PathKey, [u8; 32]), usize>,
) -> Result<Vec<LostBody>, RebuildError> {
    let mut named = Vec::new();
    let mut folders = HashSet::new();
    for layer in &parts.container.description().layers {
        if to_name.is_empty() {
            break;
        }
        if !folders.insert(layer.folder) {
            continue;
        }
        parts.layer_stream(layer)?.each(|step| {
            if let LayerStep::Entry(Some(body)) = step
                && let Where::Flat(path) = body.place
                && let Some(layer) = to_name.remove(&(PathKey::of(&path), body.sha256))
            {
                named.push(LostBody { layer, path });
            }
            Ok(())
        })?;
    }
    Ok(named)
}

/// The bodies that should be in the flat tar, in the order of the layers, each content once at each path.
fn wanted(parts: &Parts<'_>) -> Result<Vec<Wanted>, RebuildError> {
    let mut all: Vec<Wanted> = Vec::new();
    let mut known: HashMap<(PathKey, [u8; 32]), usize> = HashMap::new();
    let mut folders = HashSet::new();
    let layers = parts.container.description().layers.iter();
    for (index, layer) in layers.enumerate() {
        if !folders.insert(layer.folder) {
            continue;
        }
        let needs = (!layer.kept).then_some(index);
        parts.layer_stream(layer)?.each(|step| {
            if let LayerStep::Entry(Some(body)) = step
                && let Where::Flat(path) = body.place
            {
                let path = PathKey::of(&path);
                let next = all.len();
                let n = *known.entry((path, body.sha256)).or_insert(next);
                if n == next {
                    all.push(Wanted {
                        path,
                        sha256: body.sha256,
                        size: body.size,
                        layer: needs,
                    });
                } else {
                    all[n].layer = all[n].layer.or(needs);
                }
            }
            Ok(())
        })?;
    }
    Ok(all)
}
