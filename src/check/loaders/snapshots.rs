//! containerd's layers on overlay: each unpacked into a directory of its own, above those of the layers below
//! (containerd `pkg/archive/tar.go` `applyNaive`, `core/diff/apply`).

use std::collections::HashMap;
use std::rc::Rc;

use super::containerd::lies_elsewhere;
use super::overlay::{LowerLayers, Rules, UnpackedTree, Unpacker, unpack_onto};
use super::state::MISMATCHED;
use super::{Facts, Refusal, attributes, because, layer_message, pieces, says, wrong_diff_id};
use crate::base::digest::{BlobDigest, ChainId, DiffId};
use crate::base::limits::{Exceeded, Limit};
use crate::base::problem::{Code, Severity};
use crate::document::MediaType;
use crate::image::{Image, Layer, oci_layout_version};
use crate::source::{Compression, Span};
use crate::tree::TreeFault;

/// Trees that were made already.
#[derive(Default)]
struct Known<'f> {
    by_chain: HashMap<&'f ChainId, Lower<'f>>,
    /// Of layers that are the same above any others.
    alone: HashMap<SameLayer<'f>, Rc<UnpackedTree<'f>>>,
}

/// A layer below others.
#[derive(Clone)]
enum Lower<'f> {
    Tree(Rc<UnpackedTree<'f>>),
    /// Nothing is known of what is in it.
    Unread,
    /// There was no room to keep it.
    NotKept(Exceeded),
}

/// What a layer is and all that is claimed of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SameLayer<'f> {
    span: Span,
    diff_id: Option<&'f DiffId>,
    digest: Option<&'f BlobDigest>,
    media_type: Option<&'f MediaType>,
}

impl<'f> SameLayer<'f> {
    fn of(layer: &'f Layer) -> Option<Self> {
        Some(Self {
            span: layer.present()?.0.span(),
            diff_id: layer.diff_id.as_ref(),
            digest: layer.digest.as_ref(),
            media_type: layer.media_type.as_ref(),
        })
    }
}

/// Why an image cannot be unpacked. containerd 2's transfer service has other words for it than the library that
/// Docker and `ctr` 1.7 use.
#[derive(Clone, Debug)]
pub(super) enum Stuck {
    /// Config and manifest have different numbers of layers.
    Mismatched,
    /// The layer with this diff ID cannot be extracted, for this reason.
    Layer(String, Refusal),
    /// Anything else, for which both have the same words.
    Other(Refusal),
}

impl From<Refusal> for Stuck {
    fn from(why: Refusal) -> Self {
        Self::Other(why)
    }
}

impl Stuck {
    /// The words of the library.
    pub(super) fn in_library(self) -> Refusal {
        match self {
            Self::Mismatched => says(MISMATCHED),
            Self::Layer(diff_id, why) => {
                why.within(&format!("failed to extract layer {diff_id}: …"))
            }
            Self::Other(why) => why,
        }
    }

    /// The words of the transfer service.
    pub(super) fn in_transfer(self) -> Refusal {
        match self {
            Self::Mismatched => says("number of layers and diffIDs don't match: …"),
            Self::Layer(diff_id, why) => why.within(&format!(
                "failed to extract layer (… {diff_id}) to overlayfs as \"extract-…\": …"
            )),
            Self::Other(why) => why.within("…"),
        }
    }
}

/// What becomes of the layers of every image when they are unpacked.
pub(super) fn stacks(facts: &Facts<'_>) -> Vec<Result<(), Stuck>> {
    let by_digest = facts.is_file(b"oci-layout")
        && oci_layout_version(facts.archive).is_ok_and(|version| !version.is_empty());
    let mut unpacked = Known::default();
    let mut kept = 0;
    let images = facts.set.map_or(&[][..], |set| &set.images);
    let stack = |image| unpack_image(facts, image, by_digest, &mut unpacked, &mut kept);
    images.iter().map(stack).collect()
}

fn unpack_image<'f>(
    facts: &'f Facts<'_>,
    image: &'f Image,
    by_digest: bool,
    unpacked: &mut Known<'f>,
    kept: &mut usize,
) -> Result<(), Stuck> {
    let diff_ids = image.view().map_or(0, |view| view.diff_ids().len());
    if diff_ids != image.layers.len() {
        if by_digest && layers_disagree(facts, image) {
            let why = "manifest.json and index.json give the image different layers";
            return Err(because(why).into());
        }
        return Err(Stuck::Mismatched);
    }
    let mut lowers: Vec<Lower<'_>> = Vec::new();
    for layer in &image.layers {
        let chain = layer.chain_id.as_ref();
        let known = chain.and_then(|chain| unpacked.by_chain.get(chain).cloned());
        let key = SameLayer::of(layer);
        let alone = key.and_then(|key| unpacked.alone.get(&key));
        let lower = if let Some(lower) = known {
            lower
        } else if let Some(tree) = alone {
            Lower::Tree(Rc::clone(tree))
        } else {
            let tree = self::layer(facts, layer, by_digest, &lowers)?;
            let lower = tree.map_or(Lower::Unread, |tree| {
                *kept += tree.cost();
                match facts.limits().check_count(Limit::LowerEntries, *kept) {
                    Ok(()) => Lower::Tree(Rc::new(tree)),
                    Err(limit) => Lower::NotKept(limit),
                }
            });
            if let Some(chain) = chain {
                unpacked.by_chain.insert(chain, lower.clone());
            }
            if let (Some(key), Lower::Tree(tree)) = (key, &lower)
                && tree.stands_alone()
            {
                unpacked.alone.insert(key, Rc::clone(tree));
            }
            lower
        };
        lowers.push(lower);
    }
    // Where a link in a lower layer goes round in circles, the attributes of an implied directory
    // cannot be looked up.
    let survey = facts.surveys.get(image.position).and_then(Option::as_ref);
    let circle = survey.is_some_and(|survey| {
        survey
            .refused
            .iter()
            .any(|refused| refused.fault == TreeFault::Loop)
    });
    if circle {
        return Err(says("… too many links…").into());
    }
    Ok(())
}

/// Whether the layers of an image are those of `manifest.json` and not of the manifest that counts here.
fn layers_disagree(facts: &Facts<'_>, image: &Image) -> bool {
    let problems = facts.set.map_or(&[][..], |set| &set.problems);
    problems.iter().any(|problem| {
        problem.code == Code::DescriptionsDisagree
            && problem.severity == Severity::Error
            && problem.image == Some(image.position)
    })
}

fn layer<'f>(
    facts: &'f Facts<'_>,
    layer: &'f Layer,
    by_digest: bool,
    lowers: &[Lower<'_>],
) -> Result<Option<UnpackedTree<'f>>, Stuck> {
    let diff_id = || {
        let diff_id = layer.diff_id.as_ref();
        diff_id.map_or_else(|| "…".to_owned(), ToString::to_string)
    };
    // The container that runs the snapshotter puts its own words around some.
    let failed = |why: Refusal| Err(Stuck::Layer(diff_id(), why.then("…")));
    let by_name = layer.present().and_then(|_| facts.blob(layer));
    let blob = match find_blob(facts, layer, by_digest) {
        Ok(blob) => blob,
        Err(why) => return Err(Stuck::Layer(diff_id(), why)),
    };
    let Some(blob) = blob else {
        return Ok(None);
    };
    if let Some((slice, compression)) = layer.present().filter(|_| by_name.is_some()) {
        if matches!(compression, Compression::Bzip2 | Compression::Xz) {
            return failed(says("archive/tar: invalid tar header"));
        }
        if by_digest && is_never_sniffed(layer) && compression != Compression::None {
            let short = slice.len() < 512;
            return failed(says(if short {
                "unexpected EOF"
            } else {
                "archive/tar: invalid tar header"
            }));
        }
    }
    let reading = match blob.layer() {
        None => return Ok(None),
        Some(Err(error)) => return failed(layer_message(error)),
        Some(Ok(reading)) => reading,
    };
    let rules = Rules {
        engine: Unpacker::Containerd,
        is_layer: true,
        limits: facts.limits(),
    };
    let trees: Vec<&UnpackedTree<'_>> = lowers
        .iter()
        .filter_map(|lower| match lower {
            Lower::Tree(tree) => Some(&**tree),
            Lower::Unread | Lower::NotKept(_) => None,
        })
        .collect();
    let more = lowers.iter().find_map(|lower| match lower {
        Lower::NotKept(limit) => Some(*limit),
        Lower::Tree(_) | Lower::Unread => None,
    });
    let lowers = LowerLayers {
        trees: &trees,
        more,
    };
    let tree = match unpack_onto(pieces(reading), rules, lowers) {
        Err(why) => return failed(why),
        Ok(tree) => tree,
    };
    if let Err(why) = attributes::layer(&reading.inventory, attributes::Reader::Containerd) {
        return failed(why);
    }
    if let Some(error) = reading.tar_fault().or(reading.tail_fault()) {
        return failed(layer_message(error));
    }
    if reading.trailing {
        return failed(says("gzip: invalid header"));
    }
    if let Some((_, computed)) = wrong_diff_id(layer, reading.diff_id()) {
        let why = format!("wrong diff id calculated on extraction \"{computed}\"…");
        return Err(says(why).into());
    }
    Ok(Some(tree))
}

/// The blob that containerd unpacks as a layer: by its digest from its store, or the one that the layer's name
/// leads to; `None` if nothing is known of it.
fn find_blob<'f>(
    facts: &'f Facts<'_>,
    layer: &Layer,
    by_digest: bool,
) -> Result<Option<&'f super::ReadBlob>, Refusal> {
    let claimed = layer.digest.as_ref().map(BlobDigest::digest);
    let not_found = || {
        let name = claimed.map_or_else(|| "…".to_owned(), ToString::to_string);
        Err(says(format!(
            "failed to get reader from content store: content digest {name}: not found"
        )))
    };
    let by_name = layer.present().and_then(|_| facts.blob(layer));
    let Some(claimed) = claimed.filter(|_| by_digest) else {
        return match layer.present() {
            Some(_) => Ok(by_name),
            None => not_found(),
        };
    };
    let computed = |blob: &super::ReadBlob| blob.stored_digest(claimed.algorithm());
    // A digest that cannot be computed is taken to be right.
    let named = by_name.filter(|blob| computed(blob).is_none_or(|computed| computed == *claimed));
    let exactly = |blob: &&super::ReadBlob| computed(blob).as_ref() == Some(claimed);
    match named.or_else(|| facts.blobs.iter().find(exactly)) {
        Some(blob) => Ok(Some(blob)),
        None if layer.present().is_some() && by_name.is_none() => Ok(None),
        // What nothing leads to was not read; what it holds is what the digest says.
        None if lies_elsewhere(facts, claimed, layer.claimed_size) => Ok(None),
        None => not_found(),
    }
}

/// Whether a layer's media type says that it is not compressed: then its first bytes are not looked at
/// (`core/images/diffid.go`, `core/diff/stream.go`). Docker's own type is sniffed.
fn is_never_sniffed(layer: &Layer) -> bool {
    let media_type = layer.media_type.as_ref();
    media_type.is_some_and(MediaType::is_plain_oci_layer)
}
