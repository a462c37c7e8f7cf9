//! An opened archive and the images in it.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use imgtar::base::escape;
use imgtar::base::limits::Limit;
use imgtar::check::audit::AuditKind;
use imgtar::check::{
    LoaderTarget, Loaders, unreadable, verify_and_audit, verify_damaged, verify_file,
};
use imgtar::document::WantedPlatform;
use imgtar::image::Unasked;
use imgtar::layer::{Measures, hash_members};
use imgtar::report::{
    ArchiveHead, Demands, Diff, DiffHead, DiffIgnored, History, ImageAudit, ImageFacts, Images,
    Layers, VerifyArchive, WasteReport, WasteRule, measure_layers,
};
use imgtar::tree::{Comparison, Tree};
use imgtar::{
    Archive, Class, Contents, Image, ImageSet, Jobs, Limits, Options, Progress, Selector, Stopper,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;

use crate::errors::Failure;
use crate::files::{NativeEntries, NativeFile};
use crate::work::run;

/// An archive that was opened, with what it holds.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) archive: Archive,
    pub(crate) set: ImageSet,
    pub(crate) stop: Stopper,
    pub(crate) jobs: Jobs,
    limits: Limits,
    /// The merged tree of each image, once it was asked for.
    trees: Vec<Mutex<Trees>>,
}

/// The merged tree of one image.
#[derive(Debug, Default)]
struct Trees {
    /// With the bytes of files.
    whole: Option<Arc<Tree>>,
    /// Names alone, for which compressed layers need not be kept.
    names: Option<Arc<Tree>>,
}

/// How to open an archive.
fn settings(
    jobs: Option<usize>,
    limits: Option<HashMap<String, u64>>,
) -> Result<(Jobs, Limits), Failure> {
    let jobs = match jobs {
        None => Jobs::all_cores(),
        Some(jobs) => Jobs::new(
            NonZeroUsize::new(jobs).ok_or_else(|| Failure::usage("jobs must be at least 1"))?,
        ),
    };
    let mut all = Limits::default();
    for (name, value) in limits.into_iter().flatten() {
        let limit: Limit = name
            .parse()
            .map_err(|_| Failure::usage(format!("there is no limit called `{name}`")))?;
        all = all.with(limit, value);
    }
    Ok((jobs, all))
}

/// The JSON of a report.
pub(crate) fn json(report: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(report)
        .map_err(|error| Failure::input(format!("the answer cannot be written as JSON: {error}")))
}

/// The selector that a text means.
fn selector(text: Option<&str>) -> Result<Option<Selector>, Failure> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|error| Failure::usage(format!("{error}")))
    };
    text.map(parse).transpose()
}

/// The platform that a text means.
pub(crate) fn platform(text: Option<&str>) -> Result<Option<WantedPlatform>, Failure> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|error| Failure::usage(format!("{error}")))
    };
    text.map(parse).transpose()
}

impl Opened {
    /// How the library works on it.
    pub(crate) fn options<'o>(&'o self, progress: &'o dyn Progress) -> Options<'o> {
        Options {
            limits: self.limits,
            jobs: self.jobs,
            progress,
            stop: Some(&self.stop),
        }
    }

    pub(crate) fn image(&self, index: usize) -> Result<&Image, Failure> {
        let images = &self.set.images;
        images
            .get(index)
            .ok_or_else(|| Failure::absent(format!("the archive has no image {index}")))
    }

    /// Finds out the IDs of images from before Docker 1.10, which Docker computes.
    fn upgrade(&self, progress: &dyn Progress) -> Result<(), Failure> {
        if self.set.images.iter().any(Image::is_legacy) {
            self.hash_members(progress)?;
        }
        Ok(())
    }

    pub(crate) fn hash_members(&self, progress: &dyn Progress) -> Result<(), Failure> {
        let images: Vec<&Image> = self.set.images.iter().collect();
        Ok(hash_members(&self.set, &images, self.jobs, progress)?)
    }

    /// The merged tree of an image, made when it is first asked for.
    fn tree(
        &self,
        index: usize,
        with_bytes: bool,
        progress: &dyn Progress,
    ) -> Result<Arc<Tree>, Failure> {
        let image = self.image(index)?;
        let mut trees = self.trees[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let options = self.options(progress);
        if let Some(tree) = &trees.whole {
            return Ok(Arc::clone(tree));
        }
        if with_bytes {
            let tree = Arc::new(Tree::merge(image, &options)?);
            trees.whole = Some(Arc::clone(&tree));
            return Ok(tree);
        }
        if let Some(tree) = &trees.names {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(Tree::merge_names(image, &options)?);
        trees.names = Some(Arc::clone(&tree));
        Ok(tree)
    }
}

/// ID, names, platform and time of an image.
type ImageTuple = (Option<String>, Vec<String>, Option<String>, Option<String>);

/// An opened archive. Answers are the JSON of the library's reports.
#[pyclass(module = "imgtar._imgtar", name = "Archive", frozen)]
#[derive(Debug)]
pub(crate) struct NativeArchive(pub(crate) Arc<Opened>);

impl NativeArchive {
    /// Does work that takes a while.
    fn work<T: Send>(
        &self,
        py: Python<'_>,
        progress: Option<&Py<PyAny>>,
        work: impl FnOnce(&Opened, &dyn Progress) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        let opened = &*self.0;
        run(py, std::slice::from_ref(&opened.stop), progress, |meter| {
            work(opened, meter).map_err(|failure| failure.of(opened.archive.path()))
        })
    }
}

#[pymethods]
impl NativeArchive {
    #[staticmethod]
    #[pyo3(signature = (path, jobs=None, limits=None, progress=None))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        jobs: Option<usize>,
        limits: Option<HashMap<String, u64>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let (jobs, limits) = settings(jobs, limits).map_err(|failure| failure.into_py(py))?;
        let stop = Stopper::default();
        let stoppers = [stop.clone()];
        let opened = run(py, &stoppers, progress.as_ref(), |meter| {
            let options = Options {
                limits,
                jobs,
                progress: meter,
                stop: Some(&stop),
            };
            let open = || -> Result<_, Failure> {
                let archive = imgtar::open(&path, &options)?;
                let set = archive.images()?;
                Ok((archive, set))
            };
            open().map_err(|failure| failure.of(&path.to_string_lossy()))
        })?;
        let (archive, set) = opened;
        let trees = set.images.iter().map(|_| Mutex::default()).collect();
        Ok(Self(Arc::new(Opened {
            archive,
            set,
            stop: stoppers[0].clone(),
            jobs,
            limits,
            trees,
        })))
    }

    /// `ArchiveHead` as JSON.
    fn head(&self, py: Python<'_>) -> PyResult<String> {
        let head = ArchiveHead::new(&self.0.archive, &self.0.set);
        json(&head).map_err(|failure| failure.into_py(py))
    }

    /// How many images there are.
    fn count(&self) -> usize {
        self.0.set.images.len()
    }

    /// The place of the image that is meant.
    #[pyo3(signature = (image=None, wanted_platform=None, progress=None))]
    fn pick(
        &self,
        py: Python<'_>,
        image: Option<&str>,
        wanted_platform: Option<&str>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<usize> {
        self.work(py, progress.as_ref(), |opened, progress| {
            let (wanted, platform) = (selector(image)?, platform(wanted_platform)?);
            let is_id = |wanted: &Selector| opened.set.is_asked_for_id(wanted);
            if wanted.as_ref().is_some_and(is_id) {
                opened.hash_members(progress)?;
            }
            let set = &opened.set;
            let (image, _) = set.pick_one(wanted.as_ref(), platform.as_ref(), Unasked::Host)?;
            Ok(image.position)
        })
    }

    /// ID, names, platform and time of each image. Layers are read for images from before Docker 1.10 alone.
    #[pyo3(signature = (progress=None))]
    fn images(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<Vec<ImageTuple>> {
        self.work(py, progress.as_ref(), |opened, progress| {
            opened.upgrade(progress)?;
            let described = |image: &Image| {
                let facts = ImageFacts::new(&opened.set, image, &Measures::default());
                (facts.id, facts.references, facts.platform, facts.created)
            };
            Ok(opened.set.images.iter().map(described).collect())
        })
    }

    /// The answer of `imgtar images` as JSON: with sizes and the IDs in containerd stores, for which members are
    /// hashed.
    #[pyo3(signature = (progress=None))]
    fn facts(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<String> {
        self.work(py, progress.as_ref(), |opened, progress| {
            opened.hash_members(progress)?;
            let images: Vec<&Image> = opened.set.images.iter().collect();
            let measures = Measures::take(images.iter().copied(), opened.jobs, progress)?;
            json(&Images::new(
                &opened.archive,
                &opened.set,
                &images,
                &measures,
            ))
        })
    }

    /// `Layers` of one image as JSON.
    #[pyo3(signature = (index, progress=None))]
    fn layers(
        &self,
        py: Python<'_>,
        index: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<String> {
        self.work(py, progress.as_ref(), |opened, progress| {
            let images = [opened.image(index)?];
            let (measures, hidden) = measure_layers(&images, &opened.options(progress))?;
            json(&Layers::new(&images, (&measures, &hidden), &[], None))
        })
    }

    /// `History` of one image as JSON.
    #[pyo3(signature = (index, progress=None))]
    fn history(
        &self,
        py: Python<'_>,
        index: usize,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<String> {
        self.work(py, progress.as_ref(), |opened, progress| {
            let images = [opened.image(index)?];
            let measures = Measures::take(images, opened.jobs, progress)?;
            json(&History::new(&opened.set, &images, &measures))
        })
    }

    /// The bytes of an image's config, if the archive has it.
    fn config<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let image = self.0.image(index).map_err(|failure| failure.into_py(py))?;
        let config = image.config.as_ref();
        Ok(config.map(|config| PyBytes::new(py, &config.raw)))
    }

    /// The entries of the merged tree, with the digests of regular files if they are asked for.
    #[pyo3(signature = (index, digests=false, progress=None))]
    fn entries(
        &self,
        py: Python<'_>,
        index: usize,
        digests: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<NativeEntries> {
        let tree = self.work(py, progress.as_ref(), |opened, progress| {
            opened.tree(index, digests, progress)
        })?;
        Ok(NativeEntries::new(tree, digests, &self.0))
    }

    /// A regular file of the merged tree.
    #[pyo3(signature = (index, path, progress=None))]
    fn file(
        &self,
        py: Python<'_>,
        index: usize,
        path: &[u8],
        progress: Option<Py<PyAny>>,
    ) -> PyResult<NativeFile> {
        self.work(py, progress.as_ref(), |opened, progress| {
            let tree = opened.tree(index, true, progress)?;
            NativeFile::open(&tree, path, opened.archive.path())
        })
    }

    /// The bytes of a regular file of the merged tree.
    #[pyo3(signature = (index, path, progress=None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        index: usize,
        path: &[u8],
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.work(py, progress.as_ref(), |opened, progress| {
            let tree = opened.tree(index, true, progress)?;
            NativeFile::open(&tree, path, opened.archive.path())?.all()
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// `Diff` of two images as JSON.
    #[pyo3(signature = (index, other, other_index, semantic=false, progress=None))]
    fn diff(
        &self,
        py: Python<'_>,
        index: usize,
        other: &Self,
        other_index: usize,
        semantic: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<String> {
        let (old, new) = (&*self.0, &*other.0);
        let stoppers = [old.stop.clone(), new.stop.clone()];
        run(py, &stoppers, progress.as_ref(), |meter| {
            let compare = || -> Result<String, Failure> {
                old.upgrade(meter)?;
                new.upgrade(meter)?;
                let images = (old.image(index)?, new.image(other_index)?);
                for image in [images.0, images.1] {
                    if image.config.is_none() {
                        let name = image.display_name();
                        return Err(Failure::input(format!(
                            "the config of {name} is missing or cannot be read"
                        )));
                    }
                }
                let mut ignored = DiffIgnored::default();
                if semantic {
                    ignored = ignored.and_semantic();
                }
                let options = old.options(meter);
                let comparison = Comparison::of(images.0, images.1, ignored.aspects, &options)
                    .map_err(imgtar::Error::from)?;
                let heads = (
                    DiffHead::of_image(old.archive.path(), images.0),
                    DiffHead::of_image(new.archive.path(), images.1),
                );
                json(&Diff::of_images(
                    heads,
                    images.0,
                    images.1,
                    &comparison,
                    ignored,
                ))
            };
            compare().map_err(|failure| failure.of(old.archive.path()))
        })
    }

    /// `VerifyArchive` as JSON.
    #[pyo3(signature = (strict=false, loads=vec![], fail_on=vec![], audit=false, digest=false, progress=None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of `Archive.verify`, by name"
    )]
    fn verify(
        &self,
        py: Python<'_>,
        strict: bool,
        loads: Vec<String>,
        fail_on: Vec<String>,
        audit: bool,
        digest: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<String> {
        let asked = Asked::new(strict, loads, fail_on, audit, digest);
        let asked = asked.map_err(|failure| failure.into_py(py))?;
        self.work(py, progress.as_ref(), |opened, progress| {
            let options = opened.options(progress);
            json(&asked.verify_images(&opened.archive, &opened.set, &options)?)
        })
    }

    /// `WasteReport` of one image as JSON.
    #[pyo3(signature = (index, max=None, max_percent=None, progress=None))]
    fn waste(
        &self,
        py: Python<'_>,
        index: usize,
        max: Option<u64>,
        max_percent: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<String> {
        self.work(py, progress.as_ref(), |opened, progress| {
            let mut rules: Vec<WasteRule> = max.map(WasteRule::Max).into_iter().collect();
            rules.extend(max_percent.map(WasteRule::MaxPercent));
            let image = opened.image(index)?;
            json(&WasteReport::of(image, &rules, &opened.options(progress))?)
        })
    }
}

/// What is asked of an archive.
struct Asked {
    demands: Demands,
    audit: bool,
    digest: bool,
}

impl Asked {
    fn new(
        strict: bool,
        loads: Vec<String>,
        fail_on: Vec<String>,
        audit: bool,
        digest: bool,
    ) -> Result<Self, Failure> {
        let engine = |name: String| {
            let mut names = LoaderTarget::NAMES.into_iter();
            names.find(|known| *known == name).ok_or_else(|| {
                let known = LoaderTarget::NAMES.join(", ");
                Failure::usage(format!("`{name}` is none of the engines {known}"))
            })
        };
        let kind = |name: String| {
            let known = AuditKind::ALL.iter().find(|kind| kind.name() == name);
            known
                .copied()
                .ok_or_else(|| Failure::usage(format!("the audit finds nothing called `{name}`")))
        };
        Ok(Self {
            audit: audit || !fail_on.is_empty(),
            digest,
            demands: Demands {
                strict,
                loads: loads.into_iter().map(engine).collect::<Result<_, _>>()?,
                fail_on: fail_on.into_iter().map(kind).collect::<Result<_, _>>()?,
            },
        })
    }

    /// Verifies the archive at `path`, whole or not. What cannot be read at all is an answer too, unless the system
    /// failed.
    fn verify(&self, path: &Path, options: &Options<'_>) -> Result<VerifyArchive, Failure> {
        let archive = match imgtar::open_damaged(path, options) {
            Ok(archive) => archive,
            Err(error) => {
                let loaders = match &error {
                    imgtar::Error::Archive(error) => Loaders::of_unopened(error),
                    imgtar::Error::Source(error) => Loaders::of_unread(error),
                    _ => None,
                };
                return unread(&escape::path(path), error, loaders);
            }
        };
        let set = match archive.images() {
            Ok(set) => set,
            Err(error) => {
                let damaged = verify_damaged(&archive, &error, self.digest, options.progress)?;
                let Some(damaged) = damaged else {
                    let loaders = Loaders::of_unreadable(&archive, &error);
                    return unread(archive.path(), error.into(), Some(loaders));
                };
                let (problems, loaders) = (&damaged.problems, Some(&damaged.loaders));
                let mut report = VerifyArchive::unreadable(archive.path(), problems, loaders);
                report.sha256 = damaged.file.map(|digest| digest.to_string());
                return Ok(report);
            }
        };
        self.verify_images(&archive, &set, options)
    }

    fn verify_images(
        &self,
        archive: &Contents,
        set: &ImageSet,
        options: &Options<'_>,
    ) -> Result<VerifyArchive, Failure> {
        let (jobs, progress) = (options.jobs, options.progress);
        let (result, audits) = if self.audit {
            let (result, audits) = verify_and_audit(archive, set, self.digest, jobs, progress)?;
            let audits = set.images.iter().zip(&audits);
            let audits = audits.map(|(image, audit)| ImageAudit::new(image, audit));
            (result, Some(audits.collect()))
        } else if self.digest {
            (verify_file(archive, set, jobs, progress)?, None)
        } else {
            (imgtar::verify(archive, set, options)?, None)
        };
        Ok(VerifyArchive::new(
            archive,
            set,
            &result,
            audits,
            &self.demands,
        ))
    }
}

/// What is said of an archive that could not be opened.
fn unread(
    path: &str,
    error: imgtar::Error,
    loaders: Option<Loaders>,
) -> Result<VerifyArchive, Failure> {
    if error.class() == Class::Environment {
        return Err(error.into());
    }
    let mut message = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        next = cause.source();
    }
    let problems = [unreadable(&message)];
    Ok(VerifyArchive::unreadable(path, &problems, loaders.as_ref()))
}

/// `VerifyArchive` of the archive at `path` as JSON.
#[pyfunction]
#[pyo3(signature = (
    path, strict=false, loads=vec![], fail_on=vec![], audit=false, digest=false, jobs=None, limits=None, progress=None
))]
#[expect(
    clippy::too_many_arguments,
    reason = "each is an argument of `imgtar.verify`, by name"
)]
pub(crate) fn verify_path(
    py: Python<'_>,
    path: PathBuf,
    strict: bool,
    loads: Vec<String>,
    fail_on: Vec<String>,
    audit: bool,
    digest: bool,
    jobs: Option<usize>,
    limits: Option<HashMap<String, u64>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let (jobs, limits) = settings(jobs, limits).map_err(|failure| failure.into_py(py))?;
    let asked = Asked::new(strict, loads, fail_on, audit, digest);
    let asked = asked.map_err(|failure| failure.into_py(py))?;
    let stop = Stopper::default();
    run(
        py,
        std::slice::from_ref(&stop),
        progress.as_ref(),
        |meter| {
            let options = Options {
                limits,
                jobs,
                progress: meter,
                stop: Some(&stop),
            };
            let report = asked.verify(&path, &options);
            let report = report.and_then(|report| json(&report));
            report.map_err(|failure| failure.of(&path.to_string_lossy()))
        },
    )
}
