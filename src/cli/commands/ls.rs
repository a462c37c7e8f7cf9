//! `ls`: the files of the merged tree, or the entries of one layer.

use std::collections::HashMap;

use clap::ValueEnum;
use imgtar::Jobs;
use imgtar::image::{Image, Selector, WantedPlatform};
use imgtar::layer::walk_layer;
use imgtar::report::{FileType, Ls, LsEntry};
use imgtar::rootfs::{Body, InodeId, Rootfs};

use super::{Context, Exit, Failure};
use crate::cli::args::{ArchiveArg, JsonArg, OneImageArg};
use crate::cli::render;

/// List the files of an image as a container of it would see them
///
/// The layers are merged as `flatten` merges them. Uncompressed layers are read by their headers
/// alone; nothing is held against a diff ID here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar ls app.tar
  imgtar ls -l app.tar etc/passwd usr/bin
  imgtar ls app.tar --tree -d 2
  imgtar ls app.tar --layer 3 -i app:1.2")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    /// Only these files and what is below them [default: all]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,

    /// Which image: a reference, an image ID or a prefix of one, or @N for the Nth from 0
    #[arg(short, long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    image: Option<Selector>,

    /// Which platform: os/architecture or architecture, such as linux/arm64, arm64 or arm/v7
    /// [default: that of this machine, if the image is for several]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<WantedPlatform>,

    #[command(flatten)]
    json: JsonArg,

    /// Show mode, owner, size, time, the layer that supplied the file, and link targets
    #[arg(short, long)]
    long: bool,

    /// Draw a tree, with sizes added up
    #[arg(long, conflicts_with_all = ["long", "json", "sort", "layer"])]
    tree: bool,

    /// Go so many directories deep
    #[arg(short, long, value_name = "N")]
    depth: Option<usize>,

    /// Order the files, the largest first
    #[arg(long, value_name = "KEY")]
    sort: Option<Sort>,

    /// Show one layer as it is stored, whiteouts and all, counted from 0 at the base
    #[arg(long, value_name = "N", conflicts_with = "paths")]
    layer: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    /// By size
    Size,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let arg = OneImageArg {
            image: self.image.clone(),
            platform: self.platform.clone(),
        };
        let image = loaded.pick_to_read(&arg, context.output)?;
        if self.is_plain() {
            let answer = self.plain(image, context)?;
            context.warn_of_problems(&loaded);
            context.output.answer(&answer)?;
            return Ok(Exit::Done);
        }
        let mut entries = match self.layer {
            Some(layer) => one_layer(image, layer)?,
            None => self.merged(image, context)?,
        };
        if let Some(Sort::Size) = self.sort {
            entries.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.0.cmp(&b.path.0)));
        }
        let answer = if self.json.json {
            render::json(&Ls::new(entries))
        } else if self.long {
            render::long(&entries)
        } else if self.tree {
            render::drawn(&entries)
        } else {
            render::names(&entries)
        };
        context.warn_of_problems(&loaded);
        context.output.answer(&answer)?;
        Ok(Exit::Done)
    }

    /// Whether names are all that is wanted, in their order.
    fn is_plain(&self) -> bool {
        !(self.json.json || self.long || self.tree || self.sort.is_some() || self.layer.is_some())
    }

    /// The names alone: nothing is gathered but the text, since an image may have a million of them.
    fn plain(&self, image: &Image, context: &Context) -> Result<String, Failure> {
        let tree = build(image, context.jobs, context)?;
        let mut text = String::new();
        let all = [String::new()];
        let paths = if self.paths.is_empty() {
            &all
        } else {
            &self.paths[..]
        };
        for path in paths {
            let node = find(&tree, path.as_bytes(), false)?;
            let mut full = clean(path.as_bytes());
            let base = usize::from(node != tree.root());
            if base > 0 {
                let inode = tree.inode(tree.inode_id(node));
                let directory = matches!(inode.body, Body::Directory);
                text.push_str(&render::name_line(&full, directory));
                full.push(b'/');
            }
            let len = full.len();
            let limit = self.depth.unwrap_or(usize::MAX);
            let mut walk = tree.walk(node);
            while let Some((entry, at)) = walk.next_entry() {
                if entry.depth >= limit {
                    continue;
                }
                full.truncate(len);
                full.extend_from_slice(at);
                let directory = matches!(entry.inode.body, Body::Directory);
                text.push_str(&render::name_line(&full, directory));
            }
        }
        Ok(text)
    }

    fn merged(&self, image: &Image, context: &Context) -> Result<Vec<LsEntry>, Failure> {
        let tree = build(image, context.jobs, context)?;
        let mut entries = Vec::new();
        if self.paths.is_empty() {
            self.below(&tree, b"", &mut entries)?;
        }
        for path in &self.paths {
            self.below(&tree, path.as_bytes(), &mut entries)?;
        }
        Ok(entries)
    }

    /// Lists what `path` leads to and what is below it.
    fn below(&self, tree: &Rootfs, path: &[u8], entries: &mut Vec<LsEntry>) -> Result<(), Failure> {
        let node = find(tree, path, false)?;
        let id = tree.inode_id(node);
        let clean = clean(path);
        let limit = self.depth.unwrap_or(usize::MAX);
        let start = entries.len();
        if node != tree.root() {
            entries.push(LsEntry::of_inode(
                &clean,
                tree.inode(id),
                None,
                tree.layer_of(node),
            ));
        }
        // Directories that are open: where they stand, and how deep; sizes are added up on the way.
        let mut open: Vec<(Option<usize>, usize)> = Vec::new();
        if node != tree.root() {
            open.push((Some(start), 0));
        }
        let mut first: HashMap<InodeId, Vec<u8>> = HashMap::new();
        let base = usize::from(node != tree.root());
        let mut walk = tree.walk(node);
        while let Some((entry, at)) = walk.next_entry() {
            let depth = entry.depth + base;
            open.truncate(depth);
            let full = if clean.is_empty() {
                at.to_vec()
            } else {
                [&clean, &b"/"[..], at].concat()
            };
            let directory = matches!(entry.inode.body, Body::Directory);
            let other = if directory {
                None
            } else {
                first.get(&entry.id).cloned()
            };
            let listed = LsEntry::of_inode(
                &full,
                entry.inode,
                other.as_deref(),
                tree.layer_of(entry.node),
            );
            if listed.kind != FileType::Hardlink {
                for above in open.iter().filter_map(|(index, _)| *index) {
                    entries[above].size = entries[above].size.saturating_add(listed.size);
                }
            }
            let shown = depth < limit.saturating_add(base);
            if directory {
                open.push((shown.then_some(entries.len()), depth));
            } else if other.is_none() {
                first.insert(entry.id, full);
            }
            if shown {
                entries.push(listed);
            }
        }
        Ok(())
    }
}

/// The merged tree of an image.
pub(super) fn build(image: &Image, jobs: Jobs, context: &Context) -> Result<Rootfs, Failure> {
    let (tree, _) = Rootfs::build(image, false, jobs, &context.progress)?;
    Ok(tree)
}

/// What a path of the merged tree leads to.
pub(super) fn find(
    tree: &Rootfs,
    path: &[u8],
    follow: bool,
) -> Result<imgtar::rootfs::NodeId, Failure> {
    let shown = String::from_utf8_lossy(path);
    match tree.lookup(path, follow) {
        Ok(Some(node)) => Ok(node),
        Ok(None) => Err(Failure::input(format!("the image has no file `{shown}`"))
            .hint("`imgtar ls ARCHIVE` lists what there is")),
        Err(_) => Err(Failure::input(format!(
            "`{shown}` leads through a loop of symbolic links"
        ))),
    }
}

/// The path without slashes around it and what means nothing in it.
fn clean(path: &[u8]) -> Vec<u8> {
    imgtar::rootfs::LayerPath::new(path)
        .components()
        .join(&b'/')
}

fn one_layer(image: &Image, index: usize) -> Result<Vec<LsEntry>, Failure> {
    let count = image.layers.len();
    let Some(layer) = image.layers.get(index) else {
        return Err(Failure::input(format!(
            "the image has no layer {index}: it has {count}, counted from 0"
        )));
    };
    let mut entries = Vec::new();
    walk_layer(layer, |entry| entries.push(LsEntry::of_entry(entry, index)))?;
    Ok(entries)
}
