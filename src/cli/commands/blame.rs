//! `blame`: what each layer did to a path.

use std::ffi::OsString;

use imgtar::base::escape;
use imgtar::image::Image;
use imgtar::report::{Blame, BlamePath, Text};
use imgtar::tree::{Fates, LayerPath};

use super::{Context, Exit, Failure};
use crate::cli::args::{ArchiveArg, ImageOptionArg, JsonArg, bytes_of, shown};
use crate::cli::render;

/// Show what each layer did to a path
///
/// Prints one row for each layer that added, changed, linked or deleted the path, base first, with the build step that
/// made the layer. Contents are compared byte for byte, so a file that was written again without a change is shown as
/// such.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar blame app.tar etc/passwd
  imgtar blame app.tar -i app:1.2 bin/sh --follow")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    /// The paths, including those of files that are no longer in the image
    ///
    /// Paths may also be given as `ls` prints them, with escapes such as \xe4.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,

    #[command(flatten)]
    image: ImageOptionArg,

    #[command(flatten)]
    json: JsonArg,

    /// Follow the path if it is a symbolic link, and show what it leads to as well
    #[arg(long)]
    follow: bool,

    /// Print whole build steps
    #[arg(long)]
    no_trunc: bool,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let image = loaded.pick_to_read(&self.image.one(), context)?;
        let fates = Fates::merge(image, &context.options())?;
        let mut paths = Vec::new();
        for path in &self.paths {
            paths.extend(self.of(&bytes_of(path), &fates, image)?);
        }
        context.warn_of_image(&loaded, image);
        let blame = Blame::new(paths);
        context.output.answer(|out| {
            if self.json.json {
                render::json(out, &blame)
            } else {
                render::blame(out, &blame, self.no_trunc, &context.limits)
            }
        })?;
        Ok(Exit::Done)
    }

    /// What was done to a path as it was given, and to what it leads to.
    fn of(&self, given: &[u8], fates: &Fates, image: &Image) -> Result<Vec<BlamePath>, Failure> {
        let mut found = None;
        for path in escape::readings(given) {
            let plain = LayerPath::new(&path).components().join(&b'/');
            let blamed = BlamePath::of(fates, image, &plain)?;
            if !blamed.steps.is_empty() {
                found = Some(blamed);
                break;
            }
            // Directories on the way may be symbolic links.
            let Some(there) = behind_links(fates, &plain) else {
                continue;
            };
            let blamed = BlamePath::of(fates, image, &there)?;
            if !blamed.steps.is_empty() {
                let via = Some(Text(plain));
                found = Some(BlamePath { via, ..blamed });
                break;
            }
        }
        let Some(found) = found else {
            let shown = shown(given);
            return Err(Failure::input(format!("no layer has `{shown}`"))
                .hint("`imgtar find ARCHIVE PATTERN` looks in all layers"));
        };
        let tree = fates.tree();
        let target = if self.follow && found.live {
            let path = &found.path.0;
            let node = tree.lookup(path, true);
            let node = node.map_err(|_| {
                let shown = shown(path);
                Failure::input(format!("`{shown}` leads through a loop of symbolic links"))
                    .hint("without --follow the link itself is shown")
            })?;
            node.map(|node| fates.path(node))
                .filter(|there| there != path)
        } else {
            None
        };
        let mut all = vec![found];
        if let Some(there) = target {
            let via = Some(all[0].path.clone());
            let blamed = BlamePath::of(fates, image, &there)?;
            all.push(BlamePath { via, ..blamed });
        }
        Ok(all)
    }
}

/// The same path with the symbolic links of the merged tree followed that lie on the way to its last name;
/// `None` if they lead nowhere, or if there are none.
fn behind_links(fates: &Fates, path: &[u8]) -> Option<Vec<u8>> {
    let at = path.iter().rposition(|&b| b == b'/')?;
    let (directory, name) = (&path[..at], &path[at + 1..]);
    let node = fates.tree().lookup(directory, true).ok()??;
    let there = fates.path(node);
    let there = if there.is_empty() {
        name.to_vec()
    } else {
        [&there[..], name].join(&b'/')
    };
    (there != path).then_some(there)
}
