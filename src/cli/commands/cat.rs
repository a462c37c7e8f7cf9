//! `cat`: the bytes of files of the merged tree.

use std::ffi::OsString;

use imgtar::base::escape;
use imgtar::output::{WriteError, write_file};
use imgtar::tree::{Body, Fates, Inode, Tree};

use super::ls::find;
use super::{Context, Exit, Failure};
use crate::cli::args::{ArchiveArg, ImageOptionArg, bytes_of, shown};
use crate::cli::blocks;
use crate::cli::output::is_closed;

/// Print files of an image
///
/// Writes the bytes to standard output unchanged. Follows symbolic links, but only inside the image.
/// Does not check the layers against their diff IDs; `verify` does that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar cat app.tar etc/os-release
  imgtar cat app.tar -i app:1.2 usr/bin/tool > tool
  imgtar cat app.tar --layer 3 root/.netrc")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    /// The files
    ///
    /// Paths may also be given as `ls` prints them, with escapes such as \xe4.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<OsString>,

    #[command(flatten)]
    image: ImageOptionArg,

    /// Print the files as this layer has them, even if later layers replaced or deleted them; 0 is the base layer
    ///
    /// Symbolic links are not followed then, because they lead into the merged image.
    #[arg(long, value_name = "N")]
    layer: Option<usize>,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let image = loaded.pick_to_read(&self.image.one(), context)?;
        if let Some(index) = self.layer {
            super::ls::layer(image, index)?;
            // What later layers do is not asked for.
            let mut lower = image.clone();
            lower.layers.truncate(index + 1);
            let fates = Fates::merge(&lower, &context.options())?;
            let files = self.of_layer(index, &fates)?;
            context.warn_of_image(&loaded, image);
            return print(fates.tree(), files);
        }
        let tree = Tree::merge(image, &context.options())?;
        // All paths are looked up before anything is printed, so that a mistake prints nothing.
        let mut files = Vec::with_capacity(self.paths.len());
        for path in &self.paths {
            let (node, path) = find(&tree, path, true, context)?;
            let inode = tree.inode(tree.inode_id(node));
            let path = shown(&path);
            match inode.body {
                Body::File { .. } => files.push(inode),
                Body::Directory => {
                    return Err(Failure::input(format!("`{path}` is a directory"))
                        .hint("`imgtar ls` lists what is in it"));
                }
                _ => {
                    return Err(Failure::input(format!("`{path}` is not a regular file"))
                        .hint("`imgtar ls --long` shows what it is"));
                }
            }
        }
        context.warn_of_image(&loaded, image);
        print(&tree, files)
    }

    /// The files that a layer has under the paths.
    fn of_layer<'f>(&self, index: usize, fates: &'f Fates) -> Result<Vec<&'f Inode>, Failure> {
        let of_path = |given: &OsString| {
            let given = bytes_of(given);
            let mut readings = escape::readings(&given);
            let found = readings.find_map(|path| {
                let numbers = fates.of_path(&path).into_iter();
                let records = numbers.filter_map(|number| fates.get(number));
                // Of several entries with one path the last counts.
                records
                    .filter(|record| record.is_entry && record.layer as usize == index)
                    .last()
            });
            let shown = shown(&given);
            let Some(record) = found else {
                return Err(
                    Failure::input(format!("layer {index} has no entry `{shown}`"))
                        .hint("`imgtar find ARCHIVE PATTERN` shows which layers have one"),
                );
            };
            let inode = fates.tree().inode(record.inode);
            match inode.body {
                Body::File { .. } => Ok(inode),
                Body::Directory => Err(Failure::input(format!("`{shown}` is a directory")).hint(
                    format!("`imgtar ls --layer {index}` lists what the layer has in it"),
                )),
                _ => Err(
                    Failure::input(format!("`{shown}` is not a regular file")).hint(format!(
                        "`imgtar ls --long --layer {index}` shows what it is"
                    )),
                ),
            }
        };
        self.paths.iter().map(of_path).collect()
    }
}

/// Prints files.
fn print<'f>(tree: &Tree, files: impl IntoIterator<Item = &'f Inode>) -> Result<Exit, Failure> {
    let failed = |e| Failure::environment("cannot write to standard output", &e);
    let mut stdout = blocks::stdout().map_err(failed)?;
    for inode in files {
        match write_file(tree, inode, &mut stdout) {
            Ok(()) => {}
            Err(WriteError::Write(error)) if is_closed(&error) => {
                return Ok(Exit::Done);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Exit::Done)
}
