//! `import`: a root file system as an image of one layer.

use std::path::{Path, PathBuf};

use imgtar::archive::{ArchiveError, Contents};
use imgtar::base::escape;
use imgtar::base::progress::steps;
use imgtar::document::{ConfigChanges, Platform};
use imgtar::image::{ImageSet, LoadError};
use imgtar::output::{IMPORT_MESSAGE, ImportOptions, WriteError, import};
use imgtar::report::units;
use imgtar::source::Input;
use imgtar::tree::{Warning, WarningKind};

use super::{Context, Exit, Failure};
use crate::cli::archive_output::{ArchiveOutputArg, CreatedArg, TagArg};
use crate::cli::error::warn;
use crate::cli::xattrs::{WITHOUT_XATTRS, warn_of_xattrs};

/// Make an image from a root file system
///
/// Makes the image that `docker import` makes of a tar, as an archive. It has one layer, which is the
/// tar byte for byte, so that its diff ID is the SHA-256 of the tar, and the config that Docker would
/// write. The tar may be compressed (gzip, bzip2, xz, zstd); the layer is stored uncompressed.
///
/// The new image's ID is printed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  docker export web | imgtar import - -o web.tar -t web:flat
  imgtar import rootfs.tar.xz -o app.tar -t app:1 -c 'ENTRYPOINT [\"/app\"]' -c 'ENV LANG=C'
  imgtar import rootfs.tar -o arm.tar --platform linux/arm64 -m 'built elsewhere'")]
pub(crate) struct Args {
    /// The tar of all files, compressed or not: a path, or - for standard input
    #[arg(value_name = "ROOTFS.tar")]
    rootfs: PathBuf,

    #[command(flatten)]
    output: ArchiveOutputArg,

    #[command(flatten)]
    tags: TagArg,

    /// Set something in the config with a Dockerfile instruction, such as ENV A=b; can be given several
    /// times
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,

    /// The comment in config and history
    #[arg(short, long, value_name = "TEXT", default_value = IMPORT_MESSAGE)]
    message: String,

    /// Platform of the image, such as linux/arm64 [default: Linux on this machine's architecture]
    #[arg(long, value_name = "PLATFORM", value_parser = platform)]
    platform: Option<Platform>,

    #[command(flatten)]
    created: CreatedArg,
}

/// A platform that an image can be made for out of a root file system.
fn platform(text: &str) -> Result<Platform, String> {
    let platform = Platform::for_new_image(text).map_err(|e| e.to_string())?;
    if platform.os == "windows" {
        return Err("layers of Windows images are not root file systems".to_owned());
    }
    Ok(platform)
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let changes = ConfigChanges::parse(&self.changes).map_err(WriteError::from)?;
        for doubt in changes.doubts() {
            warn(context.output, &doubt.to_string());
        }
        // What is refused when it is applied is refused before anything is read.
        changes
            .apply(&mut imgtar::document::RunConfig::default())
            .map_err(WriteError::from)?;
        let platform = self
            .platform
            .clone()
            .unwrap_or_else(Platform::of_new_images);
        let names = self.tags.names(&[]);
        let options = ImportOptions {
            platform: &platform,
            created: self.created.time()?,
            // As with Docker, no message is asked for by an empty one.
            message: Some(self.message.as_str())
                .filter(|message| !message.is_empty())
                .unwrap_or(IMPORT_MESSAGE),
            changes: &changes,
            names: &names,
        };
        context.files.reads(&self.rootfs)?;
        let destination = self.output.open(context)?;
        let input = context.open_rootfs(&self.rootfs, "a rootfs tar")?;
        refuse_images(&input, &self.rootfs, context)?;
        let rootfs = input.source().whole();
        context
            .progress
            .plan(&[steps::READING_ROOTFS, steps::WRITING]);
        let imported = import(&rootfs, options, &context.progress)?;
        if imported.files == 0 {
            warn(context.output, "the rootfs tar holds no files");
        }
        if let Some((path, count)) = &imported.whiteouts {
            let path = escape::name(path);
            let more = more(*count);
            warn(
                context.output,
                &format!(
                    "`{path}` is a whiteout, which has nothing to hide here and will not be a file of the image{more}: is this a layer?"
                ),
            );
        }
        if let Some(offset) = imported.after_tar {
            warn(
                context.output,
                &format!(
                    "something follows the end of the tar at byte {offset}: it is part of the diff ID, but holds no files"
                ),
            );
        }
        // Another warning reports whiteouts already, wherever they are.
        let is_whiteout = |warning: &&Warning| {
            use WarningKind::{WhiteoutBelowFile, WhiteoutInMissing};
            matches!(warning.kind, WhiteoutBelowFile | WhiteoutInMissing)
        };
        for warning in imported.warnings.iter().filter(|w| !is_whiteout(w)) {
            let path = escape::name(&warning.path);
            let what = warning.kind.describe();
            let more = more(warning.count);
            warn(context.output, &format!("`{path}` {what}{more}"));
        }
        warn_of_xattrs(&imported.refused_xattrs, WITHOUT_XATTRS, context.output);
        destination.write(&[imported.image], true, context)
    }
}

/// How many more there are than the one that is shown.
fn more(count: usize) -> String {
    match count - 1 {
        0 => String::new(),
        n => format!(" ({n} more like it)"),
    }
}

/// Refuses an image archive: as a layer it would be a directory of blobs, which is of no use. A tar that
/// contains image archives may be meant as a layer, so that is a warning.
fn refuse_images(input: &Input, path: &Path, context: &Context) -> Result<(), Failure> {
    // What has more members than any archive is left to the import itself.
    let Ok(archive) = Contents::index(input.clone()) else {
        return Ok(());
    };
    let set = match archive.images() {
        Ok(set) => set,
        Err(LoadError::Archive(ArchiveError::NotAnImage { .. } | ArchiveError::Damaged { .. })) => {
            let path = archive.source().label();
            let looks = ImageSet::looks(&archive);
            if looks.is_no_rootfs() {
                Failure::input(format!(
                    "{path} does not look like a root file system, and becomes a layer as it is: {looks}"
                ))
                .looking_like(&path, &looks)
                .warn(context.output);
            }
            return Ok(());
        }
        Err(_) => return Ok(()),
    };
    if set.images.is_empty() {
        return Ok(());
    }
    let count = units::count(set.images.len(), "image", "images");
    let mut failure = Failure::usage(format!(
        "{} is not a root file system but an image archive: it holds {count}",
        archive.source().label()
    ));
    for image in set.images.iter().take(5) {
        failure = failure.detail(image.display_name());
    }
    let path = path.display();
    let load = if path.to_string() == "-" {
        "`docker load` loads it".to_owned()
    } else {
        format!("`docker load -i {path}` loads it")
    };
    Err(failure
        .hint(format!(
            "{load} as it is; `imgtar flatten {path} -o rootfs.tar` makes a root file system of an image in it"
        ))
        .hint("`imgtar squash` makes an image of one layer and keeps its config"))
}
