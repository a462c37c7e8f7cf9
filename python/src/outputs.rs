//! Files that are written: each appears whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgtar::base::escape;
use imgtar::output::{
    ArchiveGraph, ArchiveLayout, ArchiveOptions, FlattenOptions, GraphChange, KeepWish,
    LayerCompression, MergedImage, WrittenArchive, write_graph_to_file,
};
use imgtar::report::{Written, WrittenFacts, WrittenHead, WrittenLayers, WrittenLeftOut};
use imgtar::source::{Compression, Method};
use imgtar::{Code, Image, Progress, Severity, Stopper};
use pyo3::prelude::*;
use tempfile::NamedTempFile;

use crate::archive::{NativeArchive, Opened, json, platform};
use crate::errors::Failure;
use crate::work::run;

/// A file that is written and has not got its name yet. Dropping it leaves nothing.
#[derive(Debug)]
struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
    force: bool,
}

impl NewFile {
    /// Makes it beside `path`, which is none of `inputs`.
    fn beside(path: &Path, force: bool, inputs: &[&Opened]) -> Result<Self, Failure> {
        let shown = path.to_string_lossy().into_owned();
        let failed = |error| Failure::system(format!("cannot write {shown}"), error).of(&shown);
        let packed = ["gz", "tgz", "bz2", "xz", "zst"];
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy());
        if extension.is_some_and(|extension| packed.contains(&&*extension)) {
            return Err(Failure::usage(format!(
                "{shown} would be written uncompressed: name it .tar, or use the program, which compresses by name"
            )));
        }
        let known = path.canonicalize().ok();
        for input in inputs {
            let read = Path::new(input.archive.path()).canonicalize().ok();
            if known.is_some() && known == read {
                return Err(Failure::usage(format!(
                    "the output would destroy the input: {shown} is read"
                )));
            }
        }
        if !force && path.symlink_metadata().is_ok() {
            return Err(failed(io::Error::from_raw_os_error(FILE_EXISTS)));
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".imgtar-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Less what the process masks, as for every new file.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let made = builder.make_in(directory, |path| {
            let mut options = std::fs::File::options();
            options.read(true).write(true).create_new(true);
            options.open(path)
        });
        let made = made.map_err(|error| {
            // What comes back has the name of the temporary file in it, which helps nobody.
            failed(error.raw_os_error().map_or_else(
                || io::Error::from(error.kind()),
                io::Error::from_raw_os_error,
            ))
        })?;
        Ok(Self {
            file: made,
            path: path.to_owned(),
            force,
        })
    }

    /// Gives it its name.
    fn place(self) -> Result<(), Failure> {
        let placed = if self.force {
            self.file.persist(&self.path)
        } else {
            self.file.persist_noclobber(&self.path)
        };
        let shown = self.path.to_string_lossy().into_owned();
        placed.map(drop).map_err(|error| {
            Failure::system(format!("cannot write {shown}"), error.error).of(&shown)
        })
    }
}

/// `EEXIST` of `errno.h`, the same on all systems that Python runs on.
const FILE_EXISTS: i32 = 17;

/// Has `write` write a file, which gets its name afterwards.
fn write_new<T: Send>(
    py: Python<'_>,
    (to, force): (&Path, bool),
    inputs: &[&Opened],
    callback: Option<&Py<PyAny>>,
    write: impl FnOnce(&std::fs::File, &dyn Progress) -> Result<T, Failure> + Send,
) -> PyResult<T> {
    let new = NewFile::beside(to, force, inputs).map_err(|failure| failure.into_py(py))?;
    let stoppers: Vec<Stopper> = inputs.iter().map(|input| input.stop.clone()).collect();
    let file = new.file.as_file();
    let value = run(py, &stoppers, callback, |meter| write(file, meter))?;
    py.detach(|| new.place())
        .map_err(|failure| failure.into_py(py))?;
    Ok(value)
}

/// Refuses an archive that describes one image in two ways: engines read different images out of it.
fn require_one_description(opened: &Opened) -> Result<(), Failure> {
    let twice = opened.set.problems.iter().find(|problem| {
        problem.code == Code::MemberDuplicate
            && problem.severity == Severity::Error
            && problem.layer.is_none()
    });
    let path = opened.archive.path();
    match twice {
        Some(problem) => Err(Failure::input(format!(
            "it is unclear which image of {path} is meant: {}",
            problem.message
        ))
        .of(path)),
        None if opened.set.images.is_empty() => {
            Err(Failure::input(format!("{path} holds no image")).of(path))
        }
        None => Ok(()),
    }
}

/// The layouts by their names on the command line.
fn layout(name: &str) -> Result<ArchiveLayout, Failure> {
    match name {
        "docker" => Ok(ArchiveLayout::Docker),
        "docker-legacy" => Ok(ArchiveLayout::DockerLegacy),
        "oci" => Ok(ArchiveLayout::Oci),
        other => Err(Failure::usage(format!(
            "`{other}` is none of the layouts docker, docker-legacy, oci"
        ))),
    }
}

/// How layers are compressed, by the names on the command line.
fn compression(
    how: &str,
    level: Option<u32>,
    layout: ArchiveLayout,
) -> Result<LayerCompression, Failure> {
    let compression = match how {
        "keep" => None,
        "none" => Some(Compression::None),
        "gzip" => Some(Compression::Gzip),
        "zstd" => Some(Compression::Zstd),
        other => {
            return Err(Failure::usage(format!(
                "`{other}` is none of keep, none, gzip, zstd"
            )));
        }
    };
    let is_packed = matches!(compression, Some(Compression::Gzip | Compression::Zstd));
    if level.is_some() && !is_packed {
        return Err(Failure::usage("a level needs compress='gzip' or 'zstd'"));
    }
    if how == "zstd" && layout == ArchiveLayout::DockerLegacy {
        return Err(Failure::usage(
            "programs that need docker-legacy cannot read zstd layers",
        ));
    }
    let Some(compression) = compression else {
        return Ok(LayerCompression::Keep);
    };
    let method = Method::new(compression, level);
    let method = method.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(match level {
        Some(_) => LayerCompression::Anew(method),
        None => LayerCompression::As(method),
    })
}

/// What was written, as the program's `--json` has it.
fn report(
    command: &str,
    to: &Path,
    layout: ArchiveLayout,
    written: &WrittenArchive,
    changes: &[GraphChange],
) -> Result<String, Failure> {
    json(&Written {
        schema: format!("imgtar/{command}/1"),
        archive: WrittenHead {
            path: Some(to.to_string_lossy().into_owned()),
            layout: layout.name().to_owned(),
            bytes: Some(written.bytes),
            expected_bytes: None,
            input_bytes: None,
            stored_twice: None,
        },
        images: written.images.iter().map(WrittenFacts::new).collect(),
        layers: Some(WrittenLayers::new(&written.recoded)),
        changes: changes.iter().map(ToString::to_string).collect(),
        left_out: written.left_out.iter().map(WrittenLeftOut::new).collect(),
    })
}

fn archive_options(
    layout: ArchiveLayout,
    compress: LayerCompression,
    opened: &Opened,
) -> ArchiveOptions {
    ArchiveOptions {
        layout,
        verify: true,
        compress,
        jobs: opened.jobs,
    }
}

/// Writes an image as one rootfs tar; how many entries and bytes it has, and what engines disagree about.
#[pyfunction]
#[pyo3(signature = (archive, index, to, force=false, only=vec![], verify=true, progress=None))]
#[expect(
    clippy::too_many_arguments,
    reason = "each is an argument of `Image.flatten`, by name"
)]
pub(crate) fn flatten(
    py: Python<'_>,
    archive: &NativeArchive,
    index: usize,
    to: PathBuf,
    force: bool,
    only: Vec<Vec<u8>>,
    verify: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<(u64, u64, Vec<String>)> {
    let opened = &*archive.0;
    let to = (&*to, force);
    write_new(py, to, &[opened], progress.as_ref(), |file, progress| {
        let write = || -> Result<_, Failure> {
            if verify {
                require_one_description(opened)?;
            }
            let options = FlattenOptions {
                as_container: None,
                verify,
                jobs: opened.jobs,
            };
            let mut merged = MergedImage::for_file(opened.image(index)?, options, progress)?;
            if !only.is_empty() {
                for path in &only {
                    if !matches!(merged.tree().lookup(path, false), Ok(Some(_))) {
                        let path = escape::name(path);
                        return Err(Failure::absent(format!("the image has no `{path}`")));
                    }
                }
                merged.keep_only(&only);
            }
            let flattened = merged.write_to_file(file, progress)?;
            let warnings = flattened.warnings.iter().map(|warning| {
                let (path, what) = (escape::name(&warning.path), warning.kind.describe());
                format!("layer {}: `{path}` {what}", warning.layer)
            });
            Ok((flattened.entries, flattened.bytes, warnings.collect()))
        };
        write().map_err(|failure| failure.of(opened.archive.path()))
    })
}

/// The same images in another layout.
#[pyfunction]
#[pyo3(signature = (
    archive, to, layout_name, compress="keep", level=None, wanted_platform=None, force=false, progress=None
))]
#[expect(
    clippy::too_many_arguments,
    reason = "each is an argument of `Archive.convert`, by name"
)]
pub(crate) fn convert(
    py: Python<'_>,
    archive: &NativeArchive,
    to: PathBuf,
    layout_name: &str,
    compress: &str,
    level: Option<u32>,
    wanted_platform: Option<&str>,
    force: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let opened = &*archive.0;
    let asked = || -> Result<_, Failure> {
        let layout = layout(layout_name)?;
        let layers = compression(compress, level, layout)?;
        require_one_description(opened)?;
        Ok((layout, layers, platform(wanted_platform)?))
    };
    let (layout, layers, wanted) = asked().map_err(|failure| failure.into_py(py))?;
    let place = (&*to, force);
    write_new(py, place, &[opened], progress.as_ref(), |file, progress| {
        let write = || -> Result<_, Failure> {
            let (graph, mut changes) = ArchiveGraph::of(&opened.archive, &opened.set)?;
            let flat = layout != ArchiveLayout::Oci;
            let images = if flat {
                graph.one_platform_each(wanted.as_ref())?
            } else {
                opened.set.pick_all(None, wanted.as_ref())?
            };
            let (graph, more) = graph.keep(KeepWish {
                images: &images,
                present: false,
                absent: wanted.is_none(),
                flat,
            });
            changes.extend(more);
            let options = archive_options(layout, layers, opened);
            let written = write_graph_to_file(&graph, file, options, progress)?;
            report("convert", &to, layout, &written, &changes)
        };
        write().map_err(|failure| failure.of(opened.archive.path()))
    })
}

/// Some of the images, with everything that they need.
#[pyfunction]
#[pyo3(signature = (archive, to, indexes, present=false, force=false, progress=None))]
pub(crate) fn select(
    py: Python<'_>,
    archive: &NativeArchive,
    to: PathBuf,
    indexes: Vec<usize>,
    present: bool,
    force: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let opened = &*archive.0;
    require_one_description(opened).map_err(|failure| failure.into_py(py))?;
    let place = (&*to, force);
    write_new(py, place, &[opened], progress.as_ref(), |file, progress| {
        let write = || -> Result<_, Failure> {
            let images = indexes.iter().map(|index| opened.image(*index));
            let images: Vec<&Image> = images.collect::<Result<_, _>>()?;
            let layout = ArchiveLayout::of(opened.set.layout);
            let (graph, mut changes) = ArchiveGraph::of(&opened.archive, &opened.set)?;
            // As `imgtar select` does without --platform.
            let absent = !present;
            let (graph, more) = graph.keep(KeepWish {
                images: &images,
                present,
                absent,
                flat: false,
            });
            changes.extend(more);
            if graph.is_empty() {
                return Err(Failure::input(
                    "the archive holds none of these images in full",
                ));
            }
            let options = archive_options(layout, LayerCompression::Keep, opened);
            let written = write_graph_to_file(&graph, file, options, progress)?;
            report("select", &to, layout, &written, &changes)
        };
        write().map_err(|failure| failure.of(opened.archive.path()))
    })
}

/// Several archives as one, in which every layer is stored once.
#[pyfunction]
#[pyo3(signature = (archives, to, layout_name="docker", force=false, progress=None))]
pub(crate) fn merge(
    py: Python<'_>,
    archives: Vec<Bound<'_, NativeArchive>>,
    to: PathBuf,
    layout_name: &str,
    force: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let all: Vec<Arc<Opened>> = archives
        .iter()
        .map(|archive| Arc::clone(&archive.get().0))
        .collect();
    let all: Vec<&Opened> = all.iter().map(|opened| &**opened).collect();
    let asked = || -> Result<_, Failure> {
        if all.is_empty() {
            return Err(Failure::usage("there is no archive to merge"));
        }
        for opened in &all {
            require_one_description(opened)?;
            if opened.set.thin.is_some() {
                let path = opened.archive.path();
                return Err(Failure::usage(format!(
                    "{path} is a thin archive: only the program's `merge` gives it back its layers"
                )));
            }
        }
        layout(layout_name)
    };
    let layout = asked().map_err(|failure| failure.into_py(py))?;
    write_new(
        py,
        (&to, force),
        &all,
        progress.as_ref(),
        |file, progress| {
            let mut graphs = Vec::with_capacity(all.len());
            let mut changes = Vec::new();
            for opened in &all {
                let read = ArchiveGraph::of(&opened.archive, &opened.set);
                let (graph, more) =
                    read.map_err(|error| Failure::from(error).of(opened.archive.path()))?;
                graphs.push(graph);
                changes.extend(more);
            }
            let (graph, more) = ArchiveGraph::merge(graphs);
            changes.extend(more);
            let options = archive_options(layout, LayerCompression::Keep, all[0]);
            let written = write_graph_to_file(&graph, file, options, progress)?;
            report("merge", &to, layout, &written, &changes)
        },
    )
}
