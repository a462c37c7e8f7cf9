//! Paths of one layer, as `ls --layer` takes them.

use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::OsString;
use std::ops::ControlFlow;

use imgtar::base::escape;
use imgtar::layer::LayerError;
use imgtar::report::{LayerListing, Listing, PathPattern, See};
use imgtar::tree::LayerPath;

use super::args::{bytes_of, shown};
use super::error::Failure;

/// The entries of one layer that some paths lead to, and what is below them; all if there are no paths.
pub(crate) struct Below<'l> {
    pub(crate) all: LayerListing<'l>,
    pub(crate) paths: Vec<GivenPath>,
}

/// A path of one layer, and whether an entry was found for it.
pub(crate) struct GivenPath {
    given: Vec<u8>,
    /// What it may mean: itself, or what `ls` would print so.
    readings: Vec<Vec<u8>>,
    /// What else it may be, unless the layer has what it says.
    glob: Option<PathPattern>,
    /// Whether an entry was found that it says, and one that matches the glob.
    found: Cell<bool>,
    globbed: Cell<bool>,
}

impl GivenPath {
    pub(crate) fn new(given: &OsString) -> Self {
        let given = bytes_of(given);
        let plain = |path: Cow<'_, [u8]>| LayerPath::new(&path).components().join(&b'/');
        Self {
            readings: escape::readings(&given).map(plain).collect(),
            glob: PathPattern::of_glob_like(&String::from_utf8_lossy(&given)),
            given,
            found: Cell::new(false),
            globbed: Cell::new(false),
        }
    }

    fn has(&self, path: &[u8]) -> bool {
        let is_below = |wanted: &Vec<u8>| {
            let rest = path.strip_prefix(wanted.as_slice());
            rest.is_some_and(|rest| wanted.is_empty() || rest.is_empty() || rest[0] == b'/')
        };
        let has = self.readings.iter().any(is_below);
        self.found.set(self.found.get() || has);
        // Whether the layer has what it says is known when the layer was gone through once.
        has || !self.found.get() && self.matches(path)
    }

    /// Whether a path, or a directory that it lies in, matches the glob.
    fn matches(&self, path: &[u8]) -> bool {
        let Some(glob) = &self.glob else { return false };
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
        let mut ends = slashes.map(|(at, _)| at).chain([path.len()]);
        let has = ends.any(|end| glob.matches(&path[..end]));
        self.globbed.set(self.globbed.get() || has);
        has
    }
}

impl Below<'_> {
    /// Whether a path may be a glob, so that the entries have to be gone through before they are listed.
    pub(crate) fn has_globs(&self) -> bool {
        self.paths.iter().any(|path| path.glob.is_some())
    }

    /// Refuses paths for which nothing was found when the entries were gone through.
    pub(crate) fn require_all(&self) -> Result<(), Failure> {
        let Some(path) = self
            .paths
            .iter()
            .find(|path| !path.found.get() && !path.globbed.get())
        else {
            return Ok(());
        };
        let (index, shown) = (self.all.0.index, shown(&path.given));
        Err(
            Failure::input(format!("layer {index} has no entry `{shown}`"))
                .hint("`imgtar find ARCHIVE PATTERN` shows which layers have one"),
        )
    }
}

impl Listing for Below<'_> {
    fn each(&self, see: See<'_>) -> Result<(), LayerError> {
        if self.paths.is_empty() {
            return self.all.each(see);
        }
        self.all.each(&mut |entry, place| {
            let path = LayerPath::new(&entry.path.0).components().join(&b'/');
            // Every path has to hear of every entry.
            let wanted = self.paths.iter().filter(|wanted| wanted.has(&path)).count();
            if wanted > 0 {
                see(entry, place)
            } else {
                ControlFlow::Continue(())
            }
        })
    }
}
