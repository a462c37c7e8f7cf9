//! From an archive to its images, one file a layout.

mod consistency;
mod index;
mod keys;
mod legacy;
mod manifest_json;
mod merge;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(super) use keys::unknown_keys;

use super::config::Config;
use super::json::{self, JsonError};
use super::model::{ConfigBlob, Identity, ImageSet, Layer, LayerSource, RefusedTag};
use crate::archive::{Archive, ArchiveError, Evidence, Layout, Looks, LookupError};
use crate::digest::{BlobDigest, ChainId, DiffId, Digest, Hasher, ImageId};
use crate::limits::{Exceeded, Limit, Limits};
use crate::problem::{Code, Problem};
use crate::source::{Slice, SourceError, Span, sniff};

/// Why no images can be had from an archive.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is no image archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The bytes could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The only description of its images cannot be read.
    #[error("{member} in {path} is invalid")]
    Description {
        /// The archive.
        path: String,
        /// The member that should describe the images.
        member: String,
        /// What is wrong with it.
        source: Unreadable,
    },
    /// It describes more images, layers, build steps or manifests than an archive can have reason to.
    #[error("{path} describes more than any archive needs")]
    TooMuch {
        /// The archive.
        path: String,
        /// The limit that it runs into.
        #[source]
        exceeded: Exceeded,
    },
}

/// Why a document of an archive cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not there.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// It is not what its format asks for.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl ImageSet {
    /// Reads every description that `archive` holds.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if nothing describes images, or nothing that does can be read. An image whose
    /// parts are missing or wrong is no error: it is in the set, and so are its problems.
    pub fn load(archive: &Archive) -> Result<Self, LoadError> {
        // A member that is named as a description may have nothing to do with images.
        let despite_names = || Looks::despite_names(archive, Self::is_readable);
        let looks = match Self::described(archive) {
            Ok(Some(set)) if !set.shows_nothing() => return Ok(set),
            Ok(Some(set)) => match despite_names() {
                Some(looks) => looks,
                None => return Ok(set),
            },
            Ok(None) => Self::looks(archive),
            Err(error @ LoadError::Description { .. }) => match despite_names() {
                Some(looks) => looks,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let path = archive.source().label();
        Err(ArchiveError::NotAnImage { path, looks }.into())
    }

    /// What `archive` is, which describes no images.
    pub fn looks(archive: &Archive) -> Looks {
        Looks::of(archive, Self::is_readable)
    }

    /// Whether an archive describes anything that is there.
    fn is_readable(archive: &Archive) -> bool {
        matches!(Self::described(archive), Ok(Some(set)) if !set.shows_nothing())
    }

    /// Whether nothing of what it describes is there.
    fn shows_nothing(&self) -> bool {
        let is_there = |image: &super::model::Image| {
            let present = |layer: &Layer| matches!(layer.source, LayerSource::Present { .. });
            image.config.is_some() || image.layers.iter().any(present)
        };
        let blobs = self.artifacts.iter().flat_map(|artifact| &artifact.blobs);
        !self.images.iter().any(is_there) && blobs.into_iter().all(|blob| blob.slice.is_none())
    }

    /// The images, or `None` if nothing describes any.
    fn described(archive: &Archive) -> Result<Option<Self>, LoadError> {
        let evidence = Evidence::gather(archive);
        let mut loader = Loader {
            archive,
            problems: Vec::new(),
            unreadable: Vec::new(),
            refused_tags: Vec::new(),
            checked: HashSet::new(),
            configs: HashMap::new(),
            images: 0,
            layers: 0,
            steps: 0,
            repeated: 0,
            json: 0,
            values: 0,
        };
        let manifest = evidence
            .manifest_json
            .then(|| loader.manifest_json())
            .transpose()?;
        let first = match &manifest {
            Some(Ok(images)) => images.len(),
            _ => 0,
        };
        let index = evidence
            .index_json
            .then(|| loader.index_json(first))
            .transpose()?;
        let mut set = match (manifest, index) {
            (Some(Ok(manifest)), Some(Ok(index))) => {
                loader.check_oci_layout();
                let in_index_json = index.listed;
                let mut set = loader.merge(manifest, index);
                set.in_index_json = in_index_json;
                set
            }
            (Some(Ok(manifest)), Some(Err(fault))) => {
                loader.report_invalid("index.json", fault);
                Loader::set(Layout::DockerOci, manifest)
            }
            (Some(Ok(manifest)), None) => Loader::set(Layout::Docker, manifest),
            (manifest, Some(Ok(index))) => {
                if let Some(Err(fault)) = manifest {
                    loader.report_invalid("manifest.json", fault);
                }
                loader.check_oci_layout();
                Loader::oci_set(index)
            }
            (Some(Err(fault)), _) => return Err(loader.description("manifest.json", fault)),
            (None, Some(Err(fault))) => return Err(loader.description("index.json", fault)),
            (None, None) if !evidence.v1.is_empty() => loader.legacy(&evidence.v1)?,
            (None, None) => return Ok(None),
        };
        set.from_manifest_json = first;
        if set.layout != Layout::DockerV1 {
            loader.check_repositories(&set)?;
        }
        set.problems = std::mem::take(&mut loader.problems);
        set.unreadable = std::mem::take(&mut loader.unreadable);
        set.refused_tags = std::mem::take(&mut loader.refused_tags);
        for (position, image) in set.images.iter_mut().enumerate() {
            image.position = position;
        }
        for image in &set.images {
            consistency::check(image, &mut set.problems);
        }
        if set.images.is_empty() && set.artifacts.is_empty() && !set.absent.is_empty() {
            let message =
                "the archive names images and holds none of them; no engine can load anything";
            set.problems
                .push(Problem::error(Code::MemberMissing, message));
        }
        // What two descriptions say of one image is found twice.
        let mut told = HashSet::new();
        set.problems.retain(|problem| told.insert(problem.clone()));
        set.checked = loader.checked;
        Ok(Some(set))
    }
}

/// Reads documents and collects what is wrong with them.
struct Loader<'a> {
    archive: &'a Archive,
    problems: Vec<Problem>,
    /// Descriptions that cannot be read, where another can, and tags that engines refuse.
    unreadable: Vec<(&'static str, Unreadable)>,
    refused_tags: Vec<RefusedTag>,
    /// Blobs whose digest was computed here already.
    checked: HashSet<Span>,
    /// Configs by where they lie: images may share one, and it is read once.
    configs: HashMap<Span, ReadConfig>,
    /// How many images and layers were met, build steps counted like layers.
    images: usize,
    layers: usize,
    steps: usize,
    /// How many bytes of text are there more than once.
    repeated: usize,
    /// How many bytes and values of JSON were read.
    json: u64,
    values: u64,
}

/// A config that was read.
#[derive(Clone)]
struct ReadConfig {
    span: Span,
    computed: Digest,
    config: Result<Arc<ConfigBlob>, String>,
}

/// A document of the archive: the name it was found under and its bytes.
struct Document {
    slice: Slice,
    bytes: Vec<u8>,
}

/// What reading may come to: a document, or the reason why not. Only the operating system's
/// failures end the whole load.
type Read<T> = Result<Result<T, Unreadable>, LoadError>;

impl Loader<'_> {
    fn set(layout: Layout, images: Vec<super::model::Image>) -> ImageSet {
        ImageSet {
            layout,
            images,
            artifacts: Vec::new(),
            absent: Vec::new(),
            problems: Vec::new(),
            unreadable: Vec::new(),
            refused_tags: Vec::new(),
            from_manifest_json: 0,
            in_index_json: 0,
            checked: HashSet::new(),
        }
    }

    fn description(&self, member: &str, source: Unreadable) -> LoadError {
        LoadError::Description {
            path: self.archive.source().label(),
            member: member.to_owned(),
            source,
        }
    }

    fn report_invalid(&mut self, member: &'static str, fault: Unreadable) {
        let message =
            format!("{member} cannot be read, so readers that go by it find no image: {fault}");
        self.problems
            .push(Problem::error(Code::ManifestInvalid, message).in_member(member.as_bytes()));
        self.unreadable.push((member, fault));
    }

    /// The bytes of a JSON member.
    fn document(&mut self, name: &[u8]) -> Read<Document> {
        let slice = match self.archive.find(name) {
            Ok((_, slice)) => slice,
            Err(why) => return Ok(Err(why.into())),
        };
        let size = slice.len();
        let too_large = |exceeded| Ok(Err(JsonError::TooLarge { size, exceeded }.into()));
        let limits = *self.limits();
        let total = self.json.saturating_add(size);
        let within = limits.check(Limit::Json, size);
        if let Err(exceeded) = within.and_then(|()| limits.check(Limit::JsonTotal, total)) {
            return too_large(exceeded);
        }
        let bytes = slice.read_all()?;
        let values = self.values.saturating_add(json::count_values(&bytes));
        if let Err(exceeded) = limits.check(Limit::JsonValues, values) {
            return too_large(exceeded);
        }
        (self.json, self.values) = (total, values);
        Ok(Ok(Document { slice, bytes }))
    }

    fn limits(&self) -> &Limits {
        self.archive.source().limits()
    }

    fn too_much(&self, exceeded: Exceeded) -> LoadError {
        let path = self.archive.source().label();
        LoadError::TooMuch { path, exceeded }
    }

    /// Counts an image with so many layers.
    fn count(&mut self, layers: usize) -> Result<(), LoadError> {
        self.images += 1;
        self.layers = self.layers.saturating_add(layers);
        let within = self.limits().check_count(Limit::Images, self.images);
        within
            .and_then(|()| self.limits().check_count(Limit::Layers, self.layers))
            .map_err(|exceeded| self.too_much(exceeded))
    }

    /// Counts build steps.
    fn count_steps(&mut self, steps: usize) -> Result<(), LoadError> {
        self.steps = self.steps.saturating_add(steps);
        let within = self.limits().check_count(Limit::Layers, self.steps);
        within.map_err(|exceeded| self.too_much(exceeded))
    }

    /// Counts bytes of text that are held or shown once more: of a config that images share, a
    /// descriptor that layers share, a step that v1 images inherit. A name of ten megabytes is one
    /// thing, a name of ten megabytes for each of ten thousand images another.
    fn repeat(&mut self, bytes: usize) -> Result<(), LoadError> {
        self.repeated = self.repeated.saturating_add(bytes);
        let within = self
            .limits()
            .check_count(Limit::RepeatedText, self.repeated);
        within.map_err(|exceeded| self.too_much(exceeded))
    }

    /// Reads a config and compares its digest with `claimed`.
    ///
    /// Returns the identity, which is always that of the bytes where there are any, and the config
    /// if it can be read.
    fn config(
        &mut self,
        name: &[u8],
        claimed: Option<&Digest>,
        image: usize,
    ) -> Result<(Identity, Option<Arc<ConfigBlob>>), LoadError> {
        let read = match self.read_config(name)? {
            Ok(read) => read,
            Err(why) => {
                let problem = match why {
                    Unreadable::Lookup(why) => {
                        let message = format!("the image has no config: {why}");
                        Problem::error(Code::MemberMissing, message)
                    }
                    Unreadable::Json(why) => Problem::error(Code::ConfigInvalid, why.to_string()),
                };
                self.problem(problem, name, image);
                let claimed = claimed.cloned().map(ImageId::from);
                return Ok((claimed.map_or(Identity::Unknown, Identity::Config), None));
            }
        };
        // A name by another algorithm is left to `verify`, which reads the blob for it.
        if let Some(claimed) = claimed
            && claimed.algorithm() == read.computed.algorithm()
        {
            self.checked.insert(read.span);
            if *claimed != read.computed {
                let message = "the config's bytes are not those that its digest names, so the image is another one than is claimed";
                let problem = Problem::error(Code::ConfigDigestMismatch, message);
                self.problem(problem.compared(claimed, &read.computed), name, image);
            }
        }
        let identity = Identity::Config(ImageId::from(read.computed));
        match read.config {
            Ok(config) => {
                self.count_steps(config.view.history.len())?;
                Ok((identity, Some(config)))
            }
            Err(why) => {
                let message = format!("engines cannot read the config: {why}");
                self.problem(Problem::error(Code::ConfigInvalid, message), name, image);
                Ok((identity, None))
            }
        }
    }

    fn read_config(&mut self, name: &[u8]) -> Read<ReadConfig> {
        let span = match self.archive.find(name) {
            Ok((_, slice)) => slice.span(),
            Err(why) => return Ok(Err(why.into())),
        };
        if let Some(read) = self.configs.get(&span).cloned() {
            let size = read.config.as_ref().map_or(0, |config| config.raw.len());
            self.repeat(size)?;
            return Ok(Ok(read));
        }
        let Document { bytes, .. } = match self.document(name)? {
            Ok(document) => document,
            Err(fault) => return Ok(Err(fault)),
        };
        let computed = Digest::sha256_of(&bytes);
        let config = match Config::read(&bytes) {
            Ok(view) => {
                let member = name.to_vec();
                Ok(Arc::new(ConfigBlob {
                    member,
                    raw: bytes,
                    view,
                }))
            }
            Err(why) => Err(why.to_string()),
        };
        let read = ReadConfig {
            span,
            computed,
            config,
        };
        self.configs.insert(span, read.clone());
        Ok(Ok(read))
    }

    /// Computes a document's digest and returns both if `claimed` is another one.
    fn differs(
        &mut self,
        claimed: Option<&Digest>,
        document: &Document,
    ) -> Option<(Digest, Digest)> {
        let claimed = claimed?;
        let mut hasher = Hasher::for_algorithm(claimed.algorithm())?;
        hasher.update(&document.bytes);
        let computed = hasher.finish();
        self.checked.insert(document.slice.span());
        (computed != *claimed).then(|| (claimed.clone(), computed))
    }

    fn problem(&mut self, problem: Problem, member: &[u8], image: usize) {
        self.problems
            .push(problem.in_member(member).of_image(image));
    }

    /// Finds the bytes of a layer.
    fn layer_source(&mut self, member: &[u8], urls: Vec<String>) -> Result<LayerSource, LoadError> {
        match self.archive.find(member) {
            Ok((_, slice)) => {
                let mut head = [0; crate::source::MAGIC_LEN];
                let n = slice.read_at(&mut head, 0)?;
                Ok(LayerSource::Present {
                    slice,
                    compression: sniff(&head[..n]),
                })
            }
            Err(why) => Ok(LayerSource::Missing { why, urls }),
        }
    }
}

/// The digest that a member's name claims: `blobs/sha256/<hex>` in a layout, `<hex>.json`,
/// `sha256:<hex>` (crane) or `<hex>` elsewhere.
fn digest_in_name(name: &[u8]) -> Option<Digest> {
    let name = std::str::from_utf8(name).ok()?;
    let mut parts = name.rsplit('/');
    let base = parts.next()?;
    if let (Some(algorithm), Some("blobs")) = (parts.next(), parts.next()) {
        return format!("{algorithm}:{base}").parse().ok();
    }
    let hex = base.strip_suffix(".json").unwrap_or(base);
    let hex = hex.strip_prefix("sha256:").unwrap_or(hex);
    Digest::from_sha256_hex(hex).ok()
}

/// The digest that names a blob: only `blobs/` members are named by the digest of what they hold.
pub(crate) fn blob_digest_in_name(name: &[u8]) -> Option<BlobDigest> {
    let normal = name.strip_prefix(b"./").unwrap_or(name);
    if normal.starts_with(b"blobs/") {
        digest_in_name(normal).map(BlobDigest::from)
    } else {
        None
    }
}

/// Gives the layers the diff IDs of the config, in order, and the chain IDs that follow.
fn assign_diff_ids(layers: &mut [Layer], diff_ids: &[DiffId]) {
    let chain = ChainId::of_layers(diff_ids.iter().take(layers.len()));
    for ((layer, diff_id), chain_id) in layers.iter_mut().zip(diff_ids).zip(chain) {
        layer.diff_id = Some(diff_id.clone());
        layer.chain_id = Some(chain_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_from_the_names_that_writers_use() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for name in [
            format!("{hex}.json"),
            format!("sha256:{hex}"),
            format!("blobs/sha256/{hex}"),
            format!("./blobs/sha256/{hex}"),
            hex.to_owned(),
        ] {
            let digest = digest_in_name(name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(digest.encoded(), hex);
        }
        for name in ["config.json", "blobs/sha256/short", "x.json", ""] {
            assert_eq!(digest_in_name(name.as_bytes()), None, "{name}");
        }
        assert!(blob_digest_in_name(format!("{hex}.tar").as_bytes()).is_none());
    }
}
