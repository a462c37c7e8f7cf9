//! From an archive to its images, one file per layout.
//!
//! Long: what the readers of all layouts use.

mod artifacts;
mod consistency;
mod documents;
mod duplicates;
mod index;
mod legacy;
mod lint;
mod manifest_json;
mod merge;
mod names;
mod thin;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use documents::ReadConfig;
pub(crate) use index::names_of;
pub(super) use lint::unknown_keys;
pub(crate) use names::blob_digest_in_name;
use names::digest_in_name;

use super::containerd::ContainerdReads;
use super::model::{ImageSet, Layer, LayerSource, RefusedTag};
use crate::archive::{
    Archive, ArchiveError, Contents, EarlyEnd, Ending, Evidence, InnerContent, Layout, Looks,
    LookupError,
};
use crate::base::digest::{ChainId, DiffId, Digest, ImageId};
use crate::base::limits::{Exceeded, Limit, Limits};
use crate::base::problem::{Code, Problem};
use crate::document::json::JsonError;
use crate::source::{SourceError, Span};

/// Why no images can be read from an archive.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not an image archive.
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
    /// It describes more images, layers, build steps or manifests than a limit allows.
    #[error("{path} describes more than any archive needs")]
    TooMuch {
        /// The archive.
        path: String,
        /// The limit that it exceeds.
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
    /// It does not have its format.
    #[error(transparent)]
    Json(#[from] JsonError),
}

impl Archive {
    /// Reads every description of images that the archive holds; no layer is read.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if nothing describes images, or nothing that does can be read; and if the archive
    /// was cut between two members, so that something is missing to which its descriptions lead. An
    /// image whose parts are missing or wrong is otherwise not an error: it is in the set, and so are its
    /// problems.
    pub fn images(&self) -> Result<ImageSet, LoadError> {
        let (set, end) = ImageSet::read(self)?;
        match end {
            None => Ok(set),
            Some(end) => Err(damaged(self, end).into()),
        }
    }
}

impl Contents {
    /// Reads the descriptions that are left of an archive, for `verify`: that it is cut or damaged is
    /// one of the problems of the set. What is missing because of that is not a problem of its own.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if nothing describes images, or nothing that does can be read.
    pub fn images(&self) -> Result<ImageSet, LoadError> {
        let (mut set, end) = ImageSet::read(self)?;
        set.problems.extend(end.map(|end| end.problem()));
        Ok(set)
    }
}

impl ImageSet {
    fn read(contents: &Contents) -> Result<(Self, Option<Arc<EarlyEnd>>), LoadError> {
        // A member that is named as a description may have nothing to do with images.
        let despite_names = || match contents.early_end() {
            None => Looks::despite_names(contents, Self::is_readable),
            Some(_) => None,
        };
        let looks = match Loader::run(contents) {
            Ok(Some((set, end))) if !set.shows_nothing() => return Ok((set, end)),
            Ok(Some(read)) => match despite_names() {
                Some(looks) => looks,
                None => return Ok(read),
            },
            Ok(None) => return Err(without_description(contents).into()),
            Err(error @ LoadError::Description { .. }) => match despite_names() {
                Some(looks) => looks,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let path = contents.source().label();
        Err(ArchiveError::NotAnImage { path, looks }.into())
    }

    /// What `archive` is, which describes no images.
    pub fn looks(archive: &Contents) -> Looks {
        Looks::of(archive, Self::is_readable)
    }

    /// Whether an archive describes anything that is there.
    fn is_readable(archive: &Contents) -> bool {
        matches!(Loader::run(archive), Ok(Some((set, _))) if !set.shows_nothing())
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
}

fn damaged(contents: &Contents, end: Arc<EarlyEnd>) -> ArchiveError {
    ArchiveError::Damaged {
        path: contents.source().label(),
        end,
    }
}

/// Why an archive has no description of images at all.
fn without_description(contents: &Contents) -> ArchiveError {
    if let Some(end) = contents.early_end() {
        return damaged(contents, Arc::clone(end));
    }
    let looks = ImageSet::looks(contents);
    if matches!(contents.ending(), Ending::Unmarked) && may_be_cut(contents, &looks) {
        return damaged(contents, Arc::new(EarlyEnd::without_description(contents)));
    }
    ArchiveError::NotAnImage {
        path: contents.source().label(),
        looks,
    }
}

/// Whether a tar without an end may have been an image archive. Nearly every writer puts its descriptions
/// behind the blobs, so a cut takes them first; layers then look like archives that somebody bundled. What
/// is recognised as something else counts as that.
fn may_be_cut(contents: &Contents, looks: &Looks) -> bool {
    match looks {
        Looks::Nothing | Looks::OciWithoutIndex | Looks::BlobsAlone | Looks::Other { .. } => true,
        Looks::Delta => false,
        Looks::Bundle { archives } => archives
            .iter()
            .all(|inner| inner.content != InnerContent::Images),
        Looks::Tree
        | Looks::Platforms { .. }
        | Looks::Layer
        | Looks::Wrapped { .. }
        | Looks::SkopeoDir { .. } => !Evidence::gather(contents).v1.is_empty(),
    }
}

/// What was read, and whether the archive ends before its end.
type Loaded = (ImageSet, Option<Arc<EarlyEnd>>);

/// Reads documents and collects what is wrong with them.
struct Loader<'a> {
    archive: &'a Contents,
    problems: Vec<Problem>,
    /// Descriptions that cannot be read, where another can, and tags that engines refuse.
    unreadable: Vec<(&'static str, Unreadable)>,
    refused_tags: Vec<RefusedTag>,
    unfit_parents: Vec<(usize, ImageId)>,
    first_tags: Vec<Option<String>>,
    /// Configs of which containerd reads all that it needs although others cannot read them, by the image's position.
    unread_configs: HashMap<usize, (Digest, u64)>,
    /// Members that descriptions lead to, and that were lost with the end of the archive.
    lost: Vec<Vec<u8>>,
    /// Blobs whose digest was computed here already.
    checked: HashSet<Span>,
    /// Where the bodies begin of all documents that were asked for and are there.
    reached: HashSet<u64>,
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

/// The outcome of reading: a document, or the reason why not. Only the operating system's
/// failures end the whole load.
type Read<T> = Result<Result<T, Unreadable>, LoadError>;

impl<'a> Loader<'a> {
    /// Reads every description, and says whether the archive ends before its end.
    fn run(archive: &'a Contents) -> Result<Option<Loaded>, LoadError> {
        let mut loader = Self {
            archive,
            problems: Vec::new(),
            unreadable: Vec::new(),
            refused_tags: Vec::new(),
            unfit_parents: Vec::new(),
            first_tags: Vec::new(),
            unread_configs: HashMap::new(),
            lost: Vec::new(),
            checked: HashSet::new(),
            reached: HashSet::new(),
            configs: HashMap::new(),
            images: 0,
            layers: 0,
            steps: 0,
            repeated: 0,
            json: 0,
            values: 0,
        };
        let Some(mut set) = loader.descriptions()? else {
            return Ok(None);
        };
        if set.layout != Layout::DockerV1 {
            loader.check_repositories(&set)?;
        }
        for (position, image) in set.images.iter_mut().enumerate() {
            image.position = position;
        }
        loader.thin(&mut set)?;
        for image in &set.images {
            loader.missing_layers(image);
        }
        loader.duplicates(&set)?;
        set.problems = std::mem::take(&mut loader.problems);
        set.unreadable = std::mem::take(&mut loader.unreadable);
        set.refused_tags = std::mem::take(&mut loader.refused_tags);
        set.unfit_parents = std::mem::take(&mut loader.unfit_parents);
        set.first_tags = std::mem::take(&mut loader.first_tags);
        set.unread_configs = std::mem::take(&mut loader.unread_configs);
        for image in &set.images {
            consistency::check(image, &mut set.problems);
        }
        let whole = archive.early_end().is_none() && loader.lost.is_empty();
        if whole && set.images.is_empty() && set.artifacts.is_empty() && !set.absent.is_empty() {
            let message =
                "the archive names images and holds none of them; no engine can load anything";
            set.problems
                .push(Problem::error(Code::MemberMissing, message));
        }
        // A problem that two descriptions share is found twice.
        let mut told = HashSet::new();
        set.problems.retain(|problem| told.insert(problem.clone()));
        set.containerd_reads = ContainerdReads::of(archive);
        set.hashed = set.images.iter().map(|_| OnceLock::new()).collect();
        set.checked = loader.checked;
        set.reached = loader.reached;
        let end = match archive.early_end() {
            Some(end) => Some(Arc::clone(end)),
            None if loader.lost.is_empty() => None,
            None => Some(Arc::new(EarlyEnd::without_members(archive, &loader.lost))),
        };
        Ok(Some((set, end)))
    }

    fn descriptions(&mut self) -> Result<Option<ImageSet>, LoadError> {
        let evidence = Evidence::gather(self.archive);
        let manifest = evidence
            .manifest_json
            .then(|| self.manifest_json())
            .transpose()?;
        let manifest = self.unless_lost(manifest);
        let first = match &manifest {
            Some(Ok(images)) => images.len(),
            _ => 0,
        };
        let index = evidence
            .index_json
            .then(|| self.index_json(first))
            .transpose()?;
        let index = self.unless_lost(index);
        let mut set = match (manifest, index) {
            (Some(Ok(manifest)), Some(Ok(index))) => {
                self.check_oci_layout()?;
                self.merge(manifest, index)
            }
            (Some(Ok(manifest)), Some(Err(fault))) => {
                self.report_invalid("index.json", fault);
                Loader::set(Layout::DockerOci, manifest)
            }
            (Some(Ok(manifest)), None) => Loader::set(Layout::Docker, manifest),
            (manifest, Some(Ok(index))) => {
                if let Some(Err(fault)) = manifest {
                    self.report_invalid("manifest.json", fault);
                }
                self.check_oci_layout()?;
                Loader::oci_set(index)
            }
            (Some(Err(fault)), _) => return Err(self.description("manifest.json", fault)),
            (None, Some(Err(fault))) => return Err(self.description("index.json", fault)),
            (None, None) if self.has_legacy(&evidence.v1) => self.legacy(&evidence.v1)?,
            (None, None) => return Ok(None),
        };
        set.from_manifest_json = first;
        Ok(Some(set))
    }

    /// Whether the member is missing because the archive ends before its end, and not because the writer left
    /// it out.
    fn is_lost(&self, why: &LookupError) -> bool {
        match why {
            LookupError::Lost { .. } => true,
            LookupError::Absent { .. } | LookupError::Dangling { .. } => {
                matches!(self.archive.ending(), Ending::Unmarked)
            }
            LookupError::TooManyLinks { .. } | LookupError::NotAFile { .. } => false,
        }
    }

    /// Notes that a member which a description leads to was lost, if it was: then the end of the archive
    /// is the problem, and the member is not reported.
    fn lose(&mut self, member: &[u8], why: &LookupError) -> bool {
        let lost = self.is_lost(why);
        if lost && self.lost.last().is_none_or(|last| last != member) {
            self.lost.push(member.to_vec());
        }
        lost
    }

    /// Whether anything of the archive is lost, so that descriptions cannot be
    /// compared with each other.
    fn is_incomplete(&self) -> bool {
        self.archive.early_end().is_some() || !self.lost.is_empty()
    }

    /// A description that was lost with the end of the archive counts as absent.
    fn unless_lost<T>(&self, read: Option<Result<T, Unreadable>>) -> Option<Result<T, Unreadable>> {
        read.filter(|read| match read {
            Err(Unreadable::Lookup(why)) => !self.is_lost(why),
            Err(Unreadable::Json(_)) | Ok(_) => true,
        })
    }

    fn set(layout: Layout, images: Vec<super::model::Image>) -> ImageSet {
        ImageSet {
            layout,
            images,
            artifacts: Vec::new(),
            absent: Vec::new(),
            thin: None,
            problems: Vec::new(),
            unreadable: Vec::new(),
            refused_tags: Vec::new(),
            from_manifest_json: 0,
            listed: Vec::new(),
            unfit_parents: Vec::new(),
            first_tags: Vec::new(),
            unread_configs: HashMap::new(),
            containerd_reads: ContainerdReads::Nothing,
            hashed: Vec::new(),
            checked: HashSet::new(),
            reached: HashSet::new(),
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

    fn problem(&mut self, problem: Problem, member: &[u8], image: usize) {
        self.problems
            .push(problem.in_member(member).of_image(image));
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
