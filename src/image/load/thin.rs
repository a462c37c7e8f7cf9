//! Thin archives: which of the layers that are missing were left out on purpose.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::super::model::{Image, ImageSet, Layer, LayerSource, LeftOut, Thin};
use super::{LoadError, Loader, Unreadable};
use crate::archive::LookupError;
use crate::base::digest::{ChainId, DiffId, Digest};
use crate::base::limits::Limit;
use crate::base::problem::{Code, Problem};
use crate::document::ThinBase;
use crate::document::descriptor::annotation;
use crate::document::json::{Json, JsonNode};
use crate::document::thin::{ANNOTATION, MEMBER, ThinLayer, ThinListing};

/// How many layers, and names of images that have them, a message spells out.
const SHOWN: usize = 3;

impl Loader<'_> {
    /// Reads the listing of a thin archive, and marks the layers that it says were left out.
    pub(super) fn thin(&mut self, set: &mut ImageSet) -> Result<(), LoadError> {
        let Some(listing) = self.listing()? else {
            return Ok(());
        };
        let entries = listing.layers.len();
        let within = self.limits().check_count(Limit::Layers, entries);
        within.map_err(|exceeded| self.too_much(exceeded))?;
        let bases: Vec<Arc<ThinBase>> = listing.bases.into_iter().map(Arc::new).collect();
        let mut by_place: HashMap<(&DiffId, &ChainId), &ThinLayer> = HashMap::new();
        for layer in &listing.layers {
            by_place.insert((&layer.diff_id, &layer.chain_id), layer);
        }
        let mut used: HashMap<&DiffId, &ThinLayer> = HashMap::new();
        let archive: Arc<str> = self.archive.path().into();
        let mut using: HashSet<usize> = HashSet::new();
        for image in &mut set.images {
            let found: Vec<Option<&ThinLayer>> = image
                .layers
                .iter()
                .map(|layer| left_out(layer, &by_place))
                .collect();
            let named = found.iter().flatten().map(|layer| layer.bases.len());
            // Every layer has a list of its own.
            self.repeat(
                named
                    .sum::<usize>()
                    .saturating_mul(size_of::<Arc<ThinBase>>()),
            )?;
            let Some(text) = of_image(image, &found, &bases) else {
                continue;
            };
            for (layer, found) in image.layers.iter_mut().zip(found) {
                let (LayerSource::Missing { left_out, .. }, Some(found)) =
                    (&mut layer.source, found)
                else {
                    continue;
                };
                used.insert(&found.diff_id, found);
                using.extend(&found.bases);
                let bases = found.bases.iter().map(|&base| Arc::clone(&bases[base]));
                *left_out = Some(Arc::new(LeftOut {
                    digest: found.digest.clone(),
                    media_type: found.media_type.clone(),
                    size: found.size,
                    bases: bases.collect(),
                    archive: Arc::clone(&archive),
                    of_image: Arc::clone(&text),
                }));
            }
        }
        let unused = by_place.len()
            - by_place
                .values()
                .filter(|l| used.contains_key(&l.diff_id))
                .count();
        if unused > 0 {
            let message = format!(
                "the listing of the thin archive names {unused} layers that the archive does not lack: nothing goes by them"
            );
            let problem = Problem::warning(Code::ManifestInvalid, message);
            self.problems.push(problem.in_member(MEMBER.as_bytes()));
        }
        if used.is_empty() {
            return Ok(());
        }
        let thin = Thin {
            layers: used.len(),
            bytes: used.values().fold(0, |sum, l| sum.saturating_add(l.size)),
            bases: (0..bases.len())
                .filter(|base| using.contains(base))
                .map(|base| Arc::clone(&bases[base]))
                .collect(),
        };
        self.problems.push(problem(&thin));
        set.thin = Some(thin);
        Ok(())
    }

    /// The listing; `None` if there is none, or none that counts.
    fn listing(&mut self) -> Result<Option<ThinListing>, LoadError> {
        let document = match self.document(MEMBER.as_bytes())? {
            Ok(document) => document,
            Err(Unreadable::Lookup(LookupError::Absent { .. } | LookupError::Lost { .. })) => {
                return Ok(None);
            }
            Err(why) => {
                self.no_listing(&format!("it cannot be read: {why}"));
                return Ok(None);
            }
        };
        if let Err(why) = self.is_named(&document.bytes)? {
            self.no_listing(&why);
            return Ok(None);
        }
        match ThinListing::read(&document.bytes) {
            Ok(listing) => Ok(Some(listing)),
            Err(why) => {
                self.no_listing(&format!("it cannot be read: {why}"));
                Ok(None)
            }
        }
    }

    /// Whether the annotation of `index.json`, where there is one, is the digest of the listing.
    fn is_named(&mut self, listing: &[u8]) -> Result<Result<(), String>, LoadError> {
        let document = match self.document(b"index.json")? {
            Ok(document) => document,
            Err(Unreadable::Lookup(_)) => return Ok(Ok(())),
            Err(why) => return Ok(Err(format!("index.json cannot be read: {why}"))),
        };
        let named = Json::parse_first(&document.bytes).and_then(|(json, _)| {
            let root = JsonNode::root(&json, "index.json");
            let known = root.field("annotations")?.string_map()?;
            Ok(annotation(&known, ANNOTATION).map(str::to_owned))
        });
        let computed = Digest::sha256_of(listing).to_string();
        Ok(match named {
            Ok(Some(named)) if named == computed => Ok(()),
            Ok(Some(named)) => Err(format!(
                "index.json names another one in its annotation {ANNOTATION}: {named}, not {computed}"
            )),
            Ok(None) => Err(format!(
                "index.json does not name it in an annotation {ANNOTATION}"
            )),
            Err(why) => Err(format!("index.json cannot be read: {why}")),
        })
    }

    fn no_listing(&mut self, why: &str) {
        let message = format!(
            "the listing of what a thin archive lacks counts for nothing, so layers that are not there are missing: {why}"
        );
        let problem = Problem::warning(Code::ManifestInvalid, message);
        self.problems.push(problem.in_member(MEMBER.as_bytes()));
    }
}

/// The finding of a thin archive.
fn problem(thin: &Thin) -> Problem {
    let verb = if thin.layers == 1 { "is" } else { "are" };
    let message = format!(
        "the archive is thin: {} of its layers {verb} left out on purpose, {}; Docker's classic store loads it where that is loaded, a containerd store where it has the very blobs, podman and skopeo refuse it",
        thin.layers,
        where_they_are(thin.bases.iter().map(|base| &**base)),
    );
    Problem::warning(Code::LayersLeftOut, message)
}

/// What the listing says of a layer that the archive does not hold: by what the config says it is.
fn left_out<'l>(
    layer: &Layer,
    listed: &HashMap<(&DiffId, &ChainId), &'l ThinLayer>,
) -> Option<&'l ThinLayer> {
    let LayerSource::Missing { .. } = layer.source else {
        return None;
    };
    let place = (layer.diff_id.as_ref()?, layer.chain_id.as_ref()?);
    listed.get(&place).copied()
}

/// What is left out of an image, for people; `None` if nothing is.
fn of_image(
    image: &Image,
    found: &[Option<&ThinLayer>],
    bases: &[Arc<ThinBase>],
) -> Option<Arc<str>> {
    let count = found.iter().flatten().count();
    let mut text = match count {
        0 => return None,
        1 => "1 layer of ".to_owned(),
        n => format!("{n} layers of "),
    };
    text.push_str(&short(&image.display_name()));
    text.push_str(if count == 1 { " is" } else { " are" });
    text.push_str(" left out on purpose (");
    let missing = found.iter().flatten().take(SHOWN);
    for (number, layer) in missing.enumerate() {
        if number > 0 {
            text.push_str(", ");
        }
        text.push_str(&layer.diff_id.to_string());
    }
    if count > SHOWN {
        _ = write!(text, " and {} more", count - SHOWN);
    }
    text.push_str("), ");
    let mut known = HashSet::new();
    let named = found.iter().flatten().flat_map(|layer| &layer.bases);
    let named = named.filter(|base| known.insert(**base));
    let named: Vec<&ThinBase> = named.take(SHOWN + 1).map(|&base| &*bases[base]).collect();
    text.push_str(&where_they_are(named.into_iter()));
    Some(text.into())
}

/// Which images have the layers; not all if they are many.
fn where_they_are<'b>(bases: impl Iterator<Item = &'b ThinBase>) -> String {
    let names: Vec<String> = bases.map(|base| short(base.display_name())).collect();
    if names.is_empty() {
        return "and nothing says where they are".to_owned();
    }
    let more = if names.len() > SHOWN {
        " and others"
    } else {
        ""
    };
    let shown = names[..names.len().min(SHOWN)].join(", ");
    format!("for a receiver that has {shown}{more}")
}

/// A name that is not too long to be held once for each image.
fn short(name: &str) -> String {
    const MOST: usize = 120;
    match name.char_indices().nth(MOST) {
        None => name.to_owned(),
        Some((at, _)) => format!("{}…", &name[..at]),
    }
}
