//! One file per command: its arguments and what it does with them.
//!
//! Long: the list of commands, and what all of them use.

pub(super) mod apply;
pub(super) mod blame;
pub(super) mod browse;
pub(super) mod cat;
pub(super) mod commit;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod convert;
pub(super) mod delta;
mod delta_exact;
pub(super) mod diff;
pub(super) mod dockerfile;
pub(super) mod find;
pub(super) mod flatten;
pub(super) mod history;
pub(super) mod images;
pub(super) mod import;
pub(super) mod inspect;
pub(super) mod layers;
pub(super) mod ls;
pub(super) mod man;
pub(super) mod merge;
pub(super) mod rebuild;
pub(super) mod report;
pub(super) mod rescue;
mod rescue_files;
pub(super) mod select;
pub(super) mod squash;
pub(super) mod tag;
pub(super) mod thin;
pub(super) mod tree;
pub(super) mod verify;
pub(super) mod waste;

use std::path::Path;

use imgtar::base::escape;
use imgtar::base::progress::steps;
use imgtar::image::{Layer, Unasked};
use imgtar::layer::{Measures, hash_members};
use imgtar::report::units;
use imgtar::source::{Compression, Input};
use imgtar::tree::Warning;
use imgtar::{
    Archive, Code, Contents, Image, ImageSet, Jobs, Limits, Options, Platform, Problem, Selector,
    Severity,
};

use super::args::{self, ArchiveArg, Global, ImageArg, OneImageArg};
use super::error::{Failure, causes, note, warn};
use super::exit::Exit;
use super::files::Files;
use super::locale::ellipsis;
use super::output::Output;
use super::progress::Bars;
use super::thin_note::say_thin;

/// How many warnings are printed beside an answer; `verify` prints them all.
const WARNINGS_SHOWN: usize = 3;

/// What every command works with.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) output: Output,
    pub(super) progress: Bars,
    pub(super) jobs: Jobs,
    pub(super) limits: Limits,
    pub(super) files: Files,
}

impl Context {
    pub(super) fn new(global: &Global, output: Output) -> Self {
        Self {
            output,
            progress: Bars::new(!global.no_progress),
            jobs: global.jobs.map_or_else(Jobs::all_cores, Jobs::new),
            limits: global.limits(),
            files: Files::default(),
        }
    }

    /// The same for work that must not draw on the terminal, and that has files of its own.
    fn silent(&self) -> Self {
        Self {
            output: self.output,
            progress: Bars::new(false),
            jobs: self.jobs,
            limits: self.limits,
            files: Files::default(),
        }
    }

    /// The options for the library.
    pub(super) fn options(&self) -> Options<'_> {
        Options {
            limits: self.limits,
            jobs: self.jobs,
            progress: &self.progress,
            stop: None,
        }
    }

    /// Tells progress which steps are to come, after decoding the layers of an image if any are compressed.
    pub(super) fn plan(&self, image: &Image, then: &[&'static str]) {
        let mut all = Vec::from(then);
        let is_compressed = |layer: &Layer| {
            let stored = layer.present();
            stored.is_some_and(|(_, compression)| compression != Compression::None)
        };
        if image.layers.iter().any(is_compressed) {
            all.insert(0, steps::DECOMPRESSING);
        }
        self.progress.plan(&all);
    }

    /// Opens an archive that must be whole, or standard input for `-`.
    pub(super) fn open(&self, path: &Path) -> Result<Archive, Failure> {
        Ok(self.files.archive(path, &self.options())??)
    }

    /// Opens what can be read of an archive, for a caller that handles the library's error itself.
    pub(super) fn open_damaged(
        &self,
        path: &Path,
    ) -> Result<Result<Contents, imgtar::Error>, Failure> {
        let input = self.files.any_archive(path, &self.options())?;
        Ok(input
            .map_err(Into::into)
            .and_then(|input| Ok(Contents::index(input)?)))
    }

    /// Opens a rootfs tar, compressed or not, or standard input for `-`; `what` is expected there, such as
    /// "the flat tar".
    pub(super) fn open_rootfs(&self, path: &Path, what: &str) -> Result<Input, Failure> {
        let files = &self.files;
        args::rootfs(files.input(path, what, &self.options())?)
    }

    /// Opens the metadata of a flat tar, or standard input for `-`.
    pub(super) fn open_metadata(&self, path: &Path) -> Result<Input, Failure> {
        let files = &self.files;
        let input = files.input(path, "the metadata", &self.options())?;
        Ok(input.map_err(imgtar::Error::from)?)
    }

    /// Opens an archive that must be whole, and reads its descriptions.
    pub(super) fn load(&self, archive: &ArchiveArg) -> Result<Loaded, Failure> {
        Self::read(archive.open(self)?)
    }

    /// Reads the descriptions of an opened archive.
    pub(super) fn read(archive: Archive) -> Result<Loaded, Failure> {
        let set = archive.images()?;
        Ok(Loaded { archive, set })
    }

    /// Measures the layers of some images.
    pub(super) fn measure(&self, images: &[&Image]) -> Result<Measures, Failure> {
        Ok(Measures::take(
            images.iter().copied(),
            self.jobs,
            &self.progress,
        )?)
    }

    /// Hashes what is needed to say what a containerd store calls some images.
    pub(super) fn hash_members(&self, set: &ImageSet, images: &[&Image]) -> Result<(), Failure> {
        Ok(hash_members(set, images, self.jobs, &self.progress)?)
    }

    /// Computes the IDs that Docker gives to images from before Docker 1.10, for commands that print IDs; their
    /// layers are hashed for it. Others have theirs.
    pub(super) fn upgrade(&self, set: &ImageSet, images: &[&Image]) -> Result<(), Failure> {
        if images.iter().any(|image| image.is_legacy()) {
            self.hash_members(set, images)?;
        }
        Ok(())
    }

    /// Warns of problems with an answer, in a few lines at most.
    pub(super) fn warn_of_problems(&self, loaded: &Loaded) {
        if let Some(thin) = &loaded.set.thin {
            say_thin(self.output, loaded.archive.path(), thin);
        }
        self.warn_of(loaded, |_| true);
    }

    /// Warns of problems with the image that was worked on, or with the archive as a whole.
    pub(super) fn warn_of_image(&self, loaded: &Loaded, image: &Image) {
        let of_image = |problem: &Problem| problem.image.is_none_or(|i| i == image.position);
        self.warn_of(loaded, of_image);
    }

    fn warn_of(&self, loaded: &Loaded, concerns: impl Fn(&Problem) -> bool) {
        let errors: Vec<_> = loaded
            .set
            .problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error && concerns(problem))
            .collect();
        for problem in errors.iter().take(WARNINGS_SHOWN) {
            warn(
                self.output,
                &format!("{}: {}", problem.code, problem.message),
            );
        }
        if errors.len() > WARNINGS_SHOWN {
            let more = units::count(
                errors.len() - WARNINGS_SHOWN,
                "more problem",
                "more problems",
            );
            warn(
                self.output,
                &format!("{more}: run `imgtar verify {}`", loaded.archive.path()),
            );
        }
    }

    /// Warns of what engines would show differently in a merged tree.
    pub(super) fn warn_of_tree(&self, warnings: &[Warning]) {
        for warning in warnings {
            let path = escape::name(&warning.path);
            let what = warning.kind.describe();
            let more = match warning.count - 1 {
                0 => String::new(),
                n => format!(" ({n} more like it in the layer)"),
            };
            let message = format!("layer {}: `{path}` {what}{more}", warning.layer);
            warn(self.output, &message);
        }
    }

    /// Says which layers could not be measured.
    pub(super) fn warn_of_layers(&self, images: &[&Image], measures: &Measures) {
        self.warn_of_faults(images, |layer| measures.fault(layer));
    }

    /// Says which layers have a fault.
    pub(super) fn warn_of_faults<'f>(
        &self,
        images: &[&Image],
        fault_of: impl Fn(&Layer) -> Option<&'f imgtar::layer::LayerError>,
    ) {
        let layers = images
            .iter()
            .flat_map(|image| image.layers.iter().map(move |layer| (image, layer)));
        // What is left out on purpose is told once for the archive.
        let layers = layers.filter(|(_, layer)| layer.left_out().is_none());
        let faults = layers.filter_map(|(image, layer)| Some((image, layer, fault_of(layer)?)));
        let mut shown = 0;
        for (image, layer, fault) in faults {
            shown += 1;
            if shown > WARNINGS_SHOWN {
                continue;
            }
            let mut message = format!("layer {} of {}: {fault}", layer.index, image.display_name());
            for cause in causes(fault) {
                message.push_str(": ");
                message.push_str(&cause);
            }
            warn(self.output, &message);
        }
        if shown > WARNINGS_SHOWN {
            let more = units::count(shown - WARNINGS_SHOWN, "more layer", "more layers");
            warn(self.output, &format!("{more} could not be read either"));
        }
    }
}

/// An archive and what it describes.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) archive: Archive,
    pub(super) set: ImageSet,
}

impl Loaded {
    /// The images to show. Of one image for several platforms that of this machine is shown; `output`
    /// says so.
    pub(super) fn pick(
        &self,
        arg: &ImageArg,
        output: Option<Output>,
        context: &Context,
    ) -> Result<Vec<&Image>, Failure> {
        self.require_images()?;
        self.know_ids(arg.image(), context)?;
        let picked = self.set.pick(arg.image(), arg.platform.as_ref())?;
        if let (Some(output), [image]) = (output, &picked.images[..]) {
            say_platform(output, image, &picked.by_host_from);
        }
        Ok(picked.images)
    }

    /// Finds out what a containerd store calls the images, if one is asked for by an ID.
    pub(super) fn know_ids(
        &self,
        selector: Option<&Selector>,
        context: &Context,
    ) -> Result<(), Failure> {
        if selector.is_some_and(|selector| self.set.is_asked_for_id(selector)) {
            let images: Vec<&Image> = self.set.images.iter().collect();
            context.hash_members(&self.set, &images)?;
        }
        Ok(())
    }

    /// The image to look into: the one that was asked for, or the only one; as in [`Self::pick`] if it is
    /// for several platforms.
    pub(super) fn pick_to_read(
        &self,
        arg: &OneImageArg,
        context: &Context,
    ) -> Result<&Image, Failure> {
        self.require_images()?;
        self.know_ids(arg.image(), context)?;
        let (image, platforms) =
            self.set
                .pick_one(arg.image(), arg.platform.as_ref(), Unasked::Host)?;
        say_platform(context.output, image, &platforms);
        Ok(image)
    }

    /// The image to write something of: the one that was asked for, or the only one. What is written does
    /// not depend on the machine, so of an image for several platforms one must be asked for.
    pub(super) fn pick_to_write(
        &self,
        arg: &OneImageArg,
        context: &Context,
    ) -> Result<&Image, Failure> {
        self.require_images()?;
        self.know_ids(arg.image(), context)?;
        let (image, _) = self
            .set
            .pick_one(arg.image(), arg.platform.as_ref(), Unasked::Refuse)?;
        Ok(image)
    }

    /// Refuses to write something new of an archive that holds two different descriptions of one name:
    /// engines read different images out of it, and what is written would hide that. Of a layer that is
    /// there twice the diff ID says which is meant.
    pub(super) fn require_one_description(&self) -> Result<(), Failure> {
        let mut problems = self.set.problems.iter();
        let twice = problems.find(|problem| {
            problem.code == Code::MemberDuplicate
                && problem.severity == Severity::Error
                && problem.layer.is_none()
        });
        let Some(problem) = twice else { return Ok(()) };
        let path = self.archive.path();
        let (code, message) = (problem.code, &problem.message);
        Err(
            Failure::input(format!("it is unclear which image of {path} is meant"))
                .detail(format!("{code}: {message}"))
                .hint("save the image again, with the engine that has it; `imgtar images` shows the one that Docker would load"),
        )
    }

    /// Refuses to print what a Docker would that finds no image in the archive.
    fn require_store(&self, classic: bool) -> Result<(), Failure> {
        let own = self.set.is_read_by_docker();
        let containerd = self.set.is_read_by_containerd();
        let (is_read, store) = if classic {
            (own, "its own store")
        } else {
            (containerd, "the containerd store")
        };
        if is_read {
            return Ok(());
        }
        let path = self.archive.path();
        let failure = Failure::input(format!("Docker 29 with {store} finds no image in {path}"));
        Err(failure.hint(match (own, containerd) {
            (true, _) => "--engine docker29-classic shows what its own store makes of it",
            (_, true) => "--engine docker29 shows what the containerd store makes of it",
            _ => "leave out --engine to see what older versions of Docker make of it",
        }))
    }

    /// Refuses an archive that describes something, but no image.
    pub(super) fn require_images(&self) -> Result<(), Failure> {
        if !self.set.images.is_empty() {
            return Ok(());
        }
        let path = self.archive.path();
        let mut failure = Failure::input(format!("{path} holds no image"));
        for artifact in &self.set.artifacts {
            failure = failure.detail(format!(
                "an artifact: {} {}",
                artifact.kind, artifact.descriptor.digest
            ));
        }
        for absent in &self.set.absent {
            let platform = absent
                .descriptor
                .platform
                .as_ref()
                .map_or_else(String::new, |p| format!(" for {p}"));
            failure = failure.detail(format!(
                "named but missing: a manifest{platform}, {}",
                absent.descriptor.digest
            ));
        }
        for problem in self
            .set
            .problems
            .iter()
            .filter(|p| p.severity == Severity::Error)
        {
            failure = failure.detail(format!("{}: {}", problem.code, problem.message));
        }
        Err(failure.hint(if self.set.absent.is_empty() {
            "this command needs an image; `imgtar verify` checks whatever an archive holds"
        } else {
            "save the image again; `imgtar verify` reports what is missing"
        }))
    }
}

/// Says which platform was taken of several because this machine has it.
fn say_platform(output: Output, image: &Image, from: &[Platform]) {
    const SHOWN: usize = 8;
    if from.is_empty() {
        return;
    }
    let all: Vec<String> = from.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = if from.len() > SHOWN {
        format!(", {}", ellipsis())
    } else {
        String::new()
    };
    let message = format!(
        "this is the image for {}, the platform of this machine; --platform chooses another of {}{more}",
        image.platform,
        all.join(", ")
    );
    note(output, &message);
}

/// Whether images could be shown as they should be: an image without a readable config is shown
/// with what is left of it, and the exit code says so.
pub(super) fn exit_for(images: &[&Image]) -> Exit {
    if images.iter().all(|image| image.config.is_some()) {
        Exit::Done
    } else {
        Exit::Input
    }
}
