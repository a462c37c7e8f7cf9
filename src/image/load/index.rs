//! Images of `index.json`: OCI image layouts, alone or beside `manifest.json`.
//!
//! Long: one walk over nested indexes, with what it notes on the way.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::super::model::{
    Absent, Artifact, Image, ImageSet, Layer, LayerSource, Leads, Listed, Manifest,
};
use super::super::reference::Name;
use super::artifacts::artifact_kind;
use super::{LoadError, Loader, Read, assign_diff_ids};
use super::{Unreadable, blob_digest_in_name};
use crate::archive::{Layout, LookupError};
use crate::base::digest::{BlobDigest, Digest};
use crate::base::limits::Limit;
use crate::base::problem::{Code, Problem};
use crate::document::descriptor::{Descriptor, Document, IMAGE_NAME, ManifestDocument, REF_NAME};
use crate::document::json::{Json, JsonNode};
use crate::document::{InlineData, Platform};

/// What a walk over all indexes found.
#[derive(Default)]
pub(super) struct IndexWalk {
    pub(super) images: Vec<Image>,
    pub(super) artifacts: Vec<Artifact>,
    pub(super) absent: Vec<Absent>,
    /// The position of its first image.
    pub(super) first: usize,
    /// What `index.json` itself lists; images are counted from the first of the walk.
    pub(super) listed: Vec<Listed>,
    descriptors: usize,
    /// Names that were given to something already.
    named: HashSet<(MetContent, Name)>,
    /// Where a manifest that was met before went.
    met: HashMap<Digest, MetContent>,
    /// What each index lists that was read.
    inside: HashMap<Digest, Arc<[Digest]>>,
    /// Names that were given to all that an index lists.
    named_inside: HashSet<(Digest, Name)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum MetContent {
    Image(usize),
    Artifact(usize),
    Absent(usize),
    /// An index, or something that could not be read.
    Other,
}

/// How a descriptor was reached.
#[derive(Clone, Default)]
struct Way {
    depth: usize,
    names: Vec<Name>,
    index: Option<Digest>,
}

impl Loader<'_> {
    /// Walks `index.json`. Its images are counted from `first` on in problems.
    pub(super) fn index_json(&mut self, first: usize) -> Read<IndexWalk> {
        let document = match self.document(b"index.json")? {
            Ok(document) => document,
            Err(fault) => return Ok(Err(fault)),
        };
        let whole = match Json::parse_first(&document.bytes) {
            Ok((_, Some(at))) => {
                let message = "something follows the first JSON value of index.json: containerd refuses it, podman and skopeo read the first value";
                let offset = document.slice.span().offset + at as u64;
                let problem = Problem::error(Code::TrailingData, message);
                self.problems
                    .push(problem.in_member(b"index.json").at(offset));
                document.bytes.get(..at).unwrap_or(&document.bytes)
            }
            Ok((_, None)) | Err(_) => &document.bytes[..],
        };
        let descriptors = match Document::read(whole, "index.json") {
            Ok(Document::Index(descriptors)) => descriptors,
            Ok(Document::Manifest(_)) => {
                let json = Json::Null;
                let why =
                    JsonNode::root(&json, "index.json").invalid("it is a manifest, not an index");
                return Ok(Err(why.into()));
            }
            Err(fault) => return Ok(Err(fault.into())),
        };
        self.check_index(&document.bytes);
        let mut walk = IndexWalk {
            first,
            ..IndexWalk::default()
        };
        walk.listed = self.visit_all(&mut walk, descriptors, &Way::default())?;
        Ok(Ok(walk))
    }

    pub(super) fn oci_set(walk: IndexWalk) -> ImageSet {
        let mut set = Self::set(Layout::Oci, walk.images);
        set.listed = walk.listed;
        set.artifacts = walk.artifacts;
        set.absent = walk.absent;
        set
    }

    /// The `oci-layout` file: readers go by its presence and version.
    pub(super) fn check_oci_layout(&mut self) -> Result<(), LoadError> {
        let (code, fault) = match self.document(b"oci-layout")? {
            Ok(document) => {
                let version = Json::parse(&document.bytes).and_then(|json| {
                    JsonNode::root(&json, "oci-layout")
                        .field("imageLayoutVersion")?
                        .string()
                });
                let fault = match version {
                    Ok(version) if version == "1.0.0" => return Ok(()),
                    Ok(version) => format!("its version is `{version}`; only 1.0.0 is known"),
                    Err(why) => why.to_string(),
                };
                (Code::ManifestInvalid, fault)
            }
            Err(Unreadable::Json(why)) => (Code::ManifestInvalid, why.to_string()),
            Err(Unreadable::Lookup(why)) if self.lose(b"oci-layout", &why) => return Ok(()),
            Err(Unreadable::Lookup(LookupError::Absent { .. })) => {
                (Code::MemberMissing, "the archive has none".to_owned())
            }
            Err(Unreadable::Lookup(why)) => (Code::MemberMissing, why.to_string()),
        };
        let message = format!(
            "the file oci-layout marks an OCI image layout, and containerd reads no layout without it: {fault}"
        );
        self.problems
            .push(Problem::warning(code, message).in_member(b"oci-layout"));
        Ok(())
    }

    fn visit_all(
        &mut self,
        walk: &mut IndexWalk,
        descriptors: Vec<Descriptor>,
        way: &Way,
    ) -> Result<Vec<Listed>, LoadError> {
        walk.descriptors += descriptors.len();
        let within = self.limits().check_count(Limit::IndexDepth, way.depth);
        within
            .and_then(|()| {
                self.limits()
                    .check_count(Limit::Descriptors, walk.descriptors)
            })
            .map_err(|exceeded| self.too_much(exceeded))?;
        let mut listed = Vec::with_capacity(descriptors.len());
        for descriptor in descriptors {
            self.repeat(way.names.iter().map(Name::text_len).sum())?;
            let mut way = way.clone();
            if way.depth == 0 {
                way.names = names_of(&descriptor);
            }
            self.repeat(descriptor.text_len())?;
            listed.push(Listed {
                leads: self.visit(walk, descriptor.clone(), way)?,
                descriptor,
            });
        }
        Ok(listed)
    }

    fn visit(
        &mut self,
        walk: &mut IndexWalk,
        descriptor: Descriptor,
        way: Way,
    ) -> Result<Leads, LoadError> {
        self.check_data(&descriptor, b"index.json");
        if let Some(met) = walk.met.get(&descriptor.digest).copied() {
            match met {
                MetContent::Other => self.name_inside(walk, &descriptor.digest, &way.names)?,
                _ => walk.add_names(met, descriptor.platform.as_ref(), &way.names),
            }
            return Ok(match met {
                MetContent::Image(position) => Leads::Image(position),
                MetContent::Artifact(position) => Leads::Artifact(position),
                MetContent::Absent(_) => Leads::Absent,
                MetContent::Other => Leads::Again,
            });
        }
        let digest = descriptor.digest.clone();
        let names = way.names.clone();
        let (met, leads) = self.first_visit(walk, descriptor, way)?;
        walk.named.extend(names.into_iter().map(|name| (met, name)));
        walk.met.insert(digest, met);
        Ok(leads)
    }

    /// An index may be listed under several names: so is all that it lists.
    fn name_inside(
        &mut self,
        walk: &mut IndexWalk,
        index: &Digest,
        names: &[Name],
    ) -> Result<(), LoadError> {
        // Of an index that is being read it is not known; it cannot contain itself.
        let Some(inside) = walk.inside.get(index).cloned() else {
            return Ok(());
        };
        let mut new = Vec::new();
        for name in names {
            self.repeat(name.text_len())?;
            // Once each: indexes that list indexes several times over would multiply it.
            if walk.named_inside.insert((index.clone(), name.clone())) {
                new.push(name.clone());
            }
        }
        let cost: usize = new.iter().map(Name::text_len).sum();
        if cost == 0 {
            return Ok(());
        }
        for digest in inside.iter() {
            self.repeat(cost)?;
            match walk.met.get(digest).copied() {
                Some(MetContent::Other) => self.name_inside(walk, digest, &new)?,
                Some(met) => walk.add_names(met, None, &new),
                None => {}
            }
        }
        Ok(())
    }

    fn first_visit(
        &mut self,
        walk: &mut IndexWalk,
        descriptor: Descriptor,
        way: Way,
    ) -> Result<(MetContent, Leads), LoadError> {
        let member = blob_member(&descriptor.digest);
        let document = match self.document(&member)? {
            Ok(document) => document,
            Err(Unreadable::Lookup(why)) => {
                self.report_absent(&descriptor, &member, way.depth, &why);
                walk.absent.push(Absent {
                    descriptor,
                    names: way.names,
                });
                return Ok((MetContent::Absent(walk.absent.len() - 1), Leads::Absent));
            }
            Err(Unreadable::Json(why)) => {
                self.problems.push(
                    Problem::error(Code::ManifestInvalid, why.to_string()).in_member(&member),
                );
                return Ok((MetContent::Other, Leads::Unreadable(why.to_string())));
            }
        };
        if let Some((claimed, computed)) = self.differs(Some(&descriptor.digest), &document) {
            let message = "the manifest's bytes do not match its digest";
            let problem =
                Problem::error(Code::BlobDigestMismatch, message).compared(claimed, computed);
            self.problems.push(problem.in_member(&member));
        }
        self.check_size(&descriptor, document.slice.len(), &member, None);
        let parsed = Document::read(&document.bytes, "the manifest").and_then(|read| {
            let declared = &descriptor.media_type;
            match &read {
                Document::Index(_) if declared.is_manifest() => {
                    Err(confused("manifest", "an index"))
                }
                Document::Manifest(_) if declared.is_index() => {
                    Err(confused("index", "a manifest"))
                }
                _ => Ok(read),
            }
        });
        match parsed {
            Ok(Document::Index(descriptors)) => {
                let index = Some(way.index.unwrap_or_else(|| descriptor.digest.clone()));
                // Noted before its content is read, so that no index can contain itself.
                let digest = descriptor.digest;
                walk.met.insert(digest.clone(), MetContent::Other);
                let way = Way {
                    depth: way.depth + 1,
                    names: way.names,
                    index,
                };
                let listed = self.visit_all(walk, descriptors, &way)?;
                let inside = listed.iter().map(|entry| entry.descriptor.digest.clone());
                walk.inside.insert(digest, inside.collect());
                Ok((MetContent::Other, Leads::Index(listed)))
            }
            Ok(Document::Manifest(manifest)) => {
                let met = self.take_manifest(walk, descriptor, *manifest, way)?;
                let leads = match met {
                    MetContent::Image(position) => Leads::Image(position),
                    MetContent::Artifact(position) => Leads::Artifact(position),
                    MetContent::Absent(_) | MetContent::Other => Leads::Again,
                };
                Ok((met, leads))
            }
            Err(why) => {
                let message = format!("engines cannot read the manifest: {why}");
                self.problems.push(
                    Problem::error(Code::ManifestInvalid, message.clone()).in_member(&member),
                );
                Ok((MetContent::Other, Leads::Unreadable(message)))
            }
        }
    }

    fn take_manifest(
        &mut self,
        walk: &mut IndexWalk,
        descriptor: Descriptor,
        manifest: ManifestDocument,
        way: Way,
    ) -> Result<MetContent, LoadError> {
        if let Some(kind) = artifact_kind(&descriptor, &manifest) {
            let artifact = self.artifact(kind, descriptor, manifest, way.names)?;
            walk.artifacts.push(artifact);
            return Ok(MetContent::Artifact(walk.artifacts.len() - 1));
        }
        self.count(manifest.layers.len())?;
        let position = walk.first + walk.images.len();
        let image = self.oci_image(descriptor, manifest, way, position)?;
        walk.images.push(image);
        Ok(MetContent::Image(walk.images.len() - 1))
    }

    fn oci_image(
        &mut self,
        descriptor: Descriptor,
        manifest: ManifestDocument,
        way: Way,
        position: usize,
    ) -> Result<Image, LoadError> {
        let config_member = blob_member(&manifest.config.digest);
        let (identity, config) =
            self.config(&config_member, Some(&manifest.config.digest), position)?;
        if let Ok((_, slice)) = self.archive.find(&config_member) {
            self.check_size(&manifest.config, slice.len(), &config_member, None);
        }
        let member = blob_member(&descriptor.digest);
        self.check_data(&manifest.config, &member);
        for layer in &manifest.layers {
            self.check_data(layer, &member);
        }
        let broken = |descriptor: &Descriptor| descriptor.data == InlineData::NotBase64;
        let data_is_broken = broken(&manifest.config) || manifest.layers.iter().any(broken);
        let mut layers = Vec::with_capacity(manifest.layers.len());
        for (index, layer) in manifest.layers.into_iter().enumerate() {
            let member = blob_member(&layer.digest);
            let source = self.layer_source(&member, layer.urls.clone())?;
            if let LayerSource::Present { slice, .. } = &source {
                self.check_size(&layer, slice.len(), &member, Some((position, index)));
            }
            layers.push(Layer {
                index,
                diff_id: None,
                chain_id: None,
                legacy_id: None,
                v1_json: None,
                digest: Some(BlobDigest::from(layer.digest)),
                media_type: Some(layer.media_type),
                claimed_size: layer.size,
                member,
                source,
            });
        }
        let view = config.as_ref().map(|blob| &blob.view);
        assign_diff_ids(&mut layers, view.map_or(&[], |view| view.diff_ids()));
        let mut platform = view.map_or_else(Platform::default, |view| view.platform.clone());
        if platform.is_unknown() {
            platform = descriptor.platform.clone().unwrap_or_default();
        }
        Ok(Image {
            position,
            identity,
            names: way.names,
            platform,
            config,
            manifest: Some(Manifest {
                descriptor,
                index: way.index,
                annotations: manifest.annotations,
                config: manifest.config,
                data_is_broken,
            }),
            parent: None,
            layers,
            upgraded: OnceLock::new(),
        })
    }

    fn report_absent(
        &mut self,
        descriptor: &Descriptor,
        member: &[u8],
        depth: usize,
        why: &LookupError,
    ) {
        let what = descriptor
            .platform
            .as_ref()
            .map_or_else(String::new, |p| format!(" for {p}"));
        // A nested index names every platform of an image; engines save the one they have.
        let is_absent = matches!(why, LookupError::Absent { .. } | LookupError::Lost { .. });
        let problem = if !is_absent {
            let message = format!("an index names a manifest{what} that cannot be read: {why}");
            Problem::error(Code::MemberMissing, message)
        } else if depth == 0 {
            if self.lose(member, why) {
                return;
            }
            let message =
                format!("index.json names a manifest{what} that the archive does not hold");
            Problem::error(Code::MemberMissing, message)
        } else if matches!(why, LookupError::Lost { .. }) {
            return;
        } else {
            let message = format!(
                "an image index names a manifest{what} that the archive does not hold; loading that platform fails"
            );
            Problem::warning(Code::MemberMissing, message)
        };
        self.problems.push(problem.in_member(member));
    }

    /// The content once more, in a descriptor: it has to be what the descriptor says (image-spec
    /// `descriptor.md`).
    fn check_data(&mut self, descriptor: &Descriptor, member: &[u8]) {
        let problem = match descriptor.data {
            InlineData::Absent | InlineData::Fits => return,
            InlineData::NotBase64 => Problem::error(
                Code::ManifestInvalid,
                "the `data` of a descriptor is not base64: containerd and podman cannot read the document",
            ),
            InlineData::Differs => Problem::error(
                Code::DescriptionsDisagree,
                "the `data` of a descriptor is not what its digest and size say",
            ),
        };
        let mut problem = problem.in_member(member);
        problem.claimed = Some(descriptor.digest.to_string());
        self.problems.push(problem);
    }

    /// Compares a blob's length with what its descriptor says.
    pub(super) fn check_size(
        &mut self,
        descriptor: &Descriptor,
        computed: u64,
        member: &[u8],
        layer: Option<(usize, usize)>,
    ) {
        if descriptor.size == Some(computed) {
            return;
        }
        let claimed = descriptor
            .size
            .map_or_else(|| "no size".to_owned(), |n| n.to_string());
        let message = "the blob's length is not what its descriptor says; containerd, skopeo and podman refuse it";
        let mut problem =
            Problem::error(Code::BlobSizeMismatch, message).compared(claimed, computed);
        if let Some((image, index)) = layer {
            problem = problem.of_image(image).of_layer(index);
        }
        self.problems.push(problem.in_member(member));
    }
}

impl IndexWalk {
    /// One manifest may be listed under several names, and with more detail the second time.
    fn add_names(&mut self, met: MetContent, platform: Option<&Platform>, names: &[Name]) {
        let known = match met {
            MetContent::Image(i) => {
                let image = &mut self.images[i];
                if image.platform.is_unknown()
                    && let Some(platform) = platform
                {
                    image.platform = platform.clone();
                }
                &mut image.names
            }
            MetContent::Artifact(i) => &mut self.artifacts[i].names,
            MetContent::Absent(i) => &mut self.absent[i].names,
            MetContent::Other => return,
        };
        for name in names {
            if self.named.insert((met, name.clone())) {
                known.push(name.clone());
            }
        }
    }
}

fn confused(said: &str, found: &str) -> super::JsonError {
    super::JsonError::Value {
        at: "mediaType".into(),
        why: format!("the descriptor says {said}, the bytes are {found} (containerd refuses that)"),
    }
}

/// Where an image layout keeps the blob (image-spec `image-layout.md#blobs`).
pub(super) fn blob_member(digest: &Digest) -> Vec<u8> {
    let member = digest.blob_path().into_bytes();
    debug_assert!(blob_digest_in_name(&member).is_some_and(|d| d.digest() == digest));
    member
}

/// What an entry of `index.json` is called by its annotations.
pub(crate) fn names_of(descriptor: &Descriptor) -> Vec<Name> {
    if let Some(text) = descriptor.annotation(IMAGE_NAME) {
        return vec![
            text.parse()
                .map_or_else(|_| Name::Bare(text.to_owned()), Name::Reference),
        ];
    }
    descriptor
        .annotation(REF_NAME)
        .map(Name::from_annotation)
        .into_iter()
        .collect()
}
