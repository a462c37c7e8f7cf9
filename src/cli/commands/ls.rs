//! `ls`: the files of the merged tree, or the entries of one layer.

use std::ffi::OsString;
use std::io::Write;
use std::ops::ControlFlow;

use clap::ValueEnum;
use imgtar::base::escape;
use imgtar::base::limits::{Exceeded, Limit, Limits};
use imgtar::image::{Image, Layer};
use imgtar::layer::LayerError;
use imgtar::report::{
    LayerListing, Listing, ListingPlace, Ls, LsEntry, PathPattern, See, TreeListing,
};
use imgtar::tree::{NodeId, Tree};

use super::{Context, Exit, Failure, Loaded};
use crate::cli::args::{ArchiveArg, ImageOptionArg, JsonArg, bytes_of, shown};
use crate::cli::error::warn;
use crate::cli::layer_paths::{Below, GivenPath};
use crate::cli::render::{self, LsLook, Paint};

/// List the files of an image as a container would see them
///
/// Merges the layers as `flatten` does. Of uncompressed layers only the headers are read, so they are
/// not checked against their diff IDs. Names are printed so that they can be given to other commands:
/// \xe4 is a byte that is not UTF-8, \u{202e} an invisible character, \\ a backslash.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar ls app.tar
  imgtar ls -l app.tar etc/passwd usr/bin
  imgtar ls -l app.tar '*.so'
  imgtar ls app.tar --tree -d 2 --sort size
  imgtar ls app.tar --layer 3 -i app:1.2")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    /// List only these files and what is below them [default: all]
    ///
    /// Paths may also be given as `ls` prints them, with escapes such as \xe4, and as globs ('*.so', '**/passwd') as in
    /// `find`; a path that exists exactly as written wins.
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,

    #[command(flatten)]
    image: ImageOptionArg,

    #[command(flatten)]
    json: JsonArg,

    /// Show mode, owner, size, time, the layer that supplied the file, and link targets
    #[arg(short, long)]
    long: bool,

    /// Draw a tree, with sizes added up
    #[arg(long, conflicts_with_all = ["long", "json", "layer"])]
    tree: bool,

    /// Print sizes in bytes, with --long and --tree
    #[arg(long)]
    bytes: bool,

    /// Descend at most this many directories
    #[arg(short, long, value_name = "N")]
    depth: Option<usize>,

    /// Sort the files, the largest first; with --tree those of each directory
    #[arg(long, value_name = "KEY")]
    sort: Option<Sort>,

    /// Show one layer as it is stored, including whiteouts and what later layers hide; 0 is the base layer
    #[arg(long, value_name = "N")]
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
        let image = loaded.pick_to_read(&self.image.one(), context)?;
        if let Some(index) = self.layer {
            self.one_layer(layer(image, index)?, &loaded, context)?;
        } else {
            self.merged(image, &loaded, context)?;
        }
        Ok(Exit::Done)
    }

    fn one_layer(&self, layer: &Layer, loaded: &Loaded, context: &Context) -> Result<(), Failure> {
        let paths = self.paths.iter().map(GivenPath::new);
        let listing = Below {
            all: LayerListing(layer),
            paths: paths.collect(),
        };
        if self.sort.is_some() {
            if listing.has_globs() {
                listing.each(&mut |_, _| ControlFlow::Continue(()))?;
            }
            let sorted = Sorted::of(layer, &listing, &context.limits)?;
            listing.require_all()?;
            context.warn_of_problems(loaded);
            return self.print(&sorted, context);
        }
        // Nothing is printed of a layer that has damage further on.
        listing.each(&mut |_, _| ControlFlow::Continue(()))?;
        listing.require_all()?;
        context.warn_of_problems(loaded);
        self.print(&listing, context)
    }

    fn merged(&self, image: &Image, loaded: &Loaded, context: &Context) -> Result<(), Failure> {
        let tree = Tree::merge_names(image, &context.options())?;
        let starts = self.starts(&tree, context)?;
        let starts = starts.iter().map(|(node, path)| (*node, &path[..]));
        let merged = TreeListing::new(&tree, starts, self.depth.unwrap_or(usize::MAX));
        context.warn_of_problems(loaded);
        match self.sort {
            Some(Sort::Size) if self.tree => self.print(&merged.drawn_by_size(), context),
            Some(Sort::Size) => self.print(&merged.by_size(), context),
            None if self.json.json || self.long || self.tree || context.output.is_coloured() => {
                self.print(&merged, context)
            }
            None => context
                .output
                .answer(|out| render::merged_names(out, &merged)),
        }
    }

    /// Where the listings begin.
    fn starts(&self, tree: &Tree, context: &Context) -> Result<Vec<(NodeId, Vec<u8>)>, Failure> {
        if self.paths.is_empty() {
            return Ok(vec![(tree.root(), Vec::new())]);
        }
        let mut starts = Vec::new();
        for path in &self.paths {
            match (find(tree, path, false, context), glob_of(path)) {
                (Ok(start), _) => starts.push(start),
                (Err(failure), None) => return Err(failure),
                (Err(_), Some(glob)) => {
                    let text = starts
                        .iter()
                        .map(|(_, path): &(NodeId, Vec<u8>)| path.len());
                    matching(tree, path, &glob, text.sum(), &context.limits, &mut starts)?;
                }
            }
        }
        Ok(starts)
    }

    fn print(&self, files: &dyn Listing, context: &Context) -> Result<(), Failure> {
        if self.json.json {
            let output = context.output;
            return output.answer(|out| render::json(out, &Ls::new(files)));
        }
        let coloured = context.output.is_coloured();
        let look = LsLook {
            paint: if coloured {
                Paint::of_environment()
            } else {
                Paint::default()
            },
            bytes: self.bytes,
        };
        let print = |out: &mut dyn Write| {
            if self.long {
                render::long(out, files, &look)
            } else if self.tree {
                render::drawn(out, files, &look)
            } else {
                render::names(out, files, &look)
            }
        };
        // Millions of names without a style need not be searched for styles.
        if coloured {
            context.output.styled_answer(print)
        } else {
            context.output.answer(print)
        }
    }
}

/// The glob that a path may be.
fn glob_of(path: &OsString) -> Option<PathPattern> {
    PathPattern::of_glob_like(path.to_str()?)
}

/// Adds the files that match a glob, but for those in a directory that does. Their paths have to be in memory, so
/// they are counted; `text` bytes of others are there already.
fn matching(
    tree: &Tree,
    given: &OsString,
    glob: &PathPattern,
    mut text: usize,
    limits: &Limits,
    starts: &mut Vec<(NodeId, Vec<u8>)>,
) -> Result<(), Failure> {
    let before = starts.len();
    let mut walk = tree.walk(tree.root());
    while let Some((entry, path)) = walk.next_entry() {
        let is_below = starts.get(before..).and_then(<[_]>::last).is_some_and(
            |(_, above): &(NodeId, Vec<u8>)| {
                let rest = path.strip_prefix(above.as_slice());
                rest.is_some_and(|rest| rest.starts_with(b"/"))
            },
        );
        if is_below || !glob.matches(path) {
            continue;
        }
        text += path.len();
        limits
            .check_count(Limit::RepeatedText, text)
            .map_err(|exceeded| {
                let shown = shown(&bytes_of(given)).into_owned();
                Failure::input(format!("too many files match `{shown}`: {exceeded}"))
                    .hint("`imgtar find` lists any number of entries")
            })?;
        starts.push((entry.node, path.to_vec()));
    }
    if starts.len() == before {
        let shown = shown(&bytes_of(given)).into_owned();
        return Err(
            Failure::input(format!("no file of the image matches `{shown}`"))
                .hint("`imgtar find ARCHIVE PATTERN` looks in all layers, even for deleted files"),
        );
    }
    Ok(())
}

/// What a path of the merged tree leads to, and the path. It may be given as it is or as `ls` prints it.
pub(super) fn find(
    tree: &Tree,
    given: &OsString,
    follow: bool,
    context: &Context,
) -> Result<(NodeId, Vec<u8>), Failure> {
    let given = bytes_of(given);
    let mut found: Option<(NodeId, Vec<u8>)> = None;
    for path in escape::readings(&given) {
        let here = tree.lookup(&path, follow);
        match (here, &found) {
            (Ok(Some(node)), None) => found = Some((node, path.into_owned())),
            (Ok(Some(node)), Some((other, meant))) => {
                if node != *other && path == given {
                    warn_of_namesake(&path, meant, context);
                }
            }
            (Ok(None), _) | (Err(_), Some(_)) => {}
            (Err(_), None) => {
                let shown = shown(&given);
                return Err(Failure::input(format!(
                    "`{shown}` leads through a loop of symbolic links"
                ))
                .hint("`imgtar ls --long` shows where each link points"));
            }
        }
    }
    found.ok_or_else(|| {
        let shown = shown(&given);
        let failure = Failure::input(format!("the image has no file `{shown}`"));
        let near = tree.near(&given);
        let near: Vec<String> = near
            .iter()
            .map(|path| format!("`{}`", escape::name(path)))
            .collect();
        match &near[..] {
            [] => failure.hint("`imgtar ls ARCHIVE` lists what there is"),
            near => failure.hint(format!("there is {}", near.join(", "))),
        }
    })
}

/// A path that names one file in the spelling of `ls` and another one byte for byte means the former.
fn warn_of_namesake(path: &[u8], meant: &[u8], context: &Context) {
    let (path, meant) = (escape::name(path), escape::name(meant));
    let message = format!(
        "`{meant}` is read as `ls` prints it; the image also has a file whose name has these backslashes, which is `{path}`"
    );
    warn(context.output, &message);
}

/// A layer by its index.
pub(super) fn layer(image: &Image, index: usize) -> Result<&Layer, Failure> {
    image.layers.get(index).ok_or_else(|| {
        let count = image.layers.len();
        Failure::input(format!(
            "the image has no layer {index}: it has {count}, counted from 0"
        ))
        .hint("`imgtar layers` lists them")
    })
}

/// The entries of a layer, the largest first. They have to be in memory for that, so they are counted.
struct Sorted(Vec<LsEntry>);

impl Sorted {
    fn of(layer: &Layer, listing: &dyn Listing, limits: &Limits) -> Result<Self, Failure> {
        let mut entries = Vec::new();
        let mut text = 0;
        let mut exceeded = None;
        listing.each(&mut |entry, _| {
            text += entry.path.0.len() + entry.target.as_ref().map_or(0, |target| target.0.len());
            let within = limits.check_count(Limit::RepeatedText, text);
            let within =
                within.and_then(|()| limits.check_count(Limit::Entries, entries.len() + 1));
            match within {
                Ok(()) => {
                    entries.push(entry.clone());
                    ControlFlow::Continue(())
                }
                Err(limit) => {
                    exceeded = Some(limit);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(exceeded) = exceeded {
            return Err(too_many(layer, exceeded));
        }
        let order =
            |a: &LsEntry, b: &LsEntry| b.size.cmp(&a.size).then_with(|| a.path.0.cmp(&b.path.0));
        entries.sort_by(order);
        Ok(Self(entries))
    }
}

fn too_many(layer: &Layer, exceeded: Exceeded) -> Failure {
    let (index, limit) = (layer.index, exceeded.limit);
    Failure::input(format!(
        "layer {index} has too many entries to be sorted: {exceeded}"
    ))
    .hint(format!(
        "without --sort they are listed; --limit {limit}=VALUE allows more to be sorted"
    ))
}

impl Listing for Sorted {
    fn each(&self, see: See<'_>) -> Result<(), LayerError> {
        for entry in &self.0 {
            if see(entry, ListingPlace::default()).is_break() {
                break;
            }
        }
        Ok(())
    }
}
