//! One layer unpacked into a directory of its own, as engines with overlay file systems do it.
//!
//! Docker (moby/go-archive `archive.go` `Unpack`, `archive_linux.go` `overlayWhiteoutConverter`) and
//! containerd (`pkg/archive/tar.go` `applyNaive`) differ in how they find the directory of an
//! entry: Docker lets the kernel follow symbolic links, so one that leads nowhere in the layer's own
//! directory is an error; containerd resolves them itself and makes what is missing.
//!
//! Long: one directory is filled here, and four engines differ in single steps of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;

use super::{Outcome, Refusal, because, entries, says, unpredicted};
use crate::base::limits::{Exceeded, LONGEST_PATH, Limit, Limits};
use crate::layer::Whiteout;
use crate::tar::Kind;
use crate::tree::{LINK_LIMIT, LayerPath};

/// Who unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unpacker {
    /// Docker up to 29.6.
    Docker,
    /// Docker with go-archive 0.3 (29.7, Debian's 28.5): it goes no higher than the root, and says so.
    GoArchive,
    /// containerd.
    Containerd,
    /// podman on overlay (containers/storage `pkg/archive`, an older Docker's).
    Storage,
}

impl Unpacker {
    fn shown<'s>(self, names: &'s [&'s [u8]]) -> Shown<'s> {
        let root = match self {
            Self::Docker | Self::Storage => "/",
            Self::GoArchive => "",
            Self::Containerd => "…/",
        };
        Shown { names, root }
    }

    /// The name of a system call in its messages.
    fn verb(self, call: &'static str) -> &'static str {
        match (self, call) {
            (Self::GoArchive, "open") => "openat",
            (Self::GoArchive, "link") => "linkat",
            (Self::GoArchive, "symlink") => "symlinkat",
            _ => call,
        }
    }
}

/// One thing to unpack.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnpackedEntry<'p> {
    pub(super) kind: Kind,
    pub(super) typeflag: u8,
    pub(super) path: &'p [u8],
    pub(super) link: &'p [u8],
    /// The name of its first extended attribute; empty if it has none, or if that does not matter.
    pub(super) xattr: &'p [u8],
}

/// How it is unpacked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'l> {
    pub(super) engine: Unpacker,
    /// Whether names that begin with `.wh.` are whiteouts, and a path may not come twice: in layers,
    /// not in the outer tar.
    pub(super) is_layer: bool,
    /// How much is done to predict it.
    pub(super) limits: &'l Limits,
}

/// The layers below one.
#[derive(Clone, Copy)]
pub(super) struct LowerLayers<'t> {
    /// Their trees, base first; those that are not known are left out.
    pub(super) trees: &'t [&'t UnpackedTree<'t>],
    /// Why there are more that were not kept.
    pub(super) more: Option<Exceeded>,
}

impl LowerLayers<'_> {
    const NONE: Self = Self {
        trees: &[],
        more: None,
    };
}

/// The longest name that Linux takes.
const NAME_LIMIT: usize = 255;

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errno {
    NoSuchFile,
    NotADirectory,
    TooManyLinks,
    Exists,
    NotPermitted,
    NameTooLong,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchFile => "no such file or directory",
            Self::NotADirectory => "not a directory",
            Self::TooManyLinks => "too many levels of symbolic links",
            Self::Exists => "file exists",
            Self::NotPermitted => "operation not permitted",
            Self::NameTooLong => "file name too long",
        })
    }
}

enum Node<'p> {
    Directory,
    Symlink(&'p [u8]),
    Other,
}

/// A path for an error, put together only if there is one. Docker unpacks in a root of its own, containerd
/// names the directory that it unpacks into.
#[derive(Clone, Copy, Debug)]
struct Shown<'s> {
    names: &'s [&'s [u8]],
    root: &'static str,
}

impl Shown<'_> {
    /// Its length in bytes.
    fn len(self) -> usize {
        self.names.iter().map(|name| name.len() + 1).sum()
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.root, super::shown(&self.names.join(&b'/')))
    }
}

/// A directory being filled. Nodes are numbered; what is removed is no longer found, nor what was
/// below it.
pub(super) struct UnpackedTree<'p> {
    nodes: Vec<Node<'p>>,
    children: HashMap<(usize, &'p [u8]), usize>,
    steps: Cell<usize>,
    limits: Limits,
    /// Whether anything was looked for in the layers below.
    looked_below: bool,
}

const ROOT: usize = 0;

/// Unpacks everything; the first error, in the engine's words.
pub(super) fn unpack<'p>(
    pieces: impl IntoIterator<Item = UnpackedEntry<'p>>,
    rules: Rules<'_>,
) -> Outcome {
    unpack_onto(pieces, rules, LowerLayers::NONE).map(drop)
}

/// Unpacks everything and gives the tree that came of it. `lowers` are the trees of the layers below, base
/// first: containerd looks there for the directories that a layer uses without an entry.
pub(super) fn unpack_onto<'p>(
    pieces: impl IntoIterator<Item = UnpackedEntry<'p>>,
    rules: Rules<'_>,
    lowers: LowerLayers<'_>,
) -> Result<UnpackedTree<'p>, Refusal> {
    let mut tree = UnpackedTree {
        nodes: vec![Node::Directory],
        children: HashMap::new(),
        steps: Cell::new(0),
        limits: *rules.limits,
        looked_below: false,
    };
    let mut seen = std::collections::HashSet::new();
    let unique = rules.is_layer && rules.engine != Unpacker::Containerd;
    for piece in pieces {
        // tar-split records every header and refuses a path that it has met, spelled in any way
        // (tar-split `storage/packer.go`).
        if unique && !seen.insert(LayerPath::new(piece.path).components().join(&b'/')) {
            return Err(says("duplicates of file paths not supported"));
        }
        if piece.kind != Kind::Global {
            let put = tree.put(piece, rules, lowers);
            // Whatever came of it: it was given up on the way.
            if let Some(limit) = tree.spent() {
                return Err(unpredicted(limit));
            }
            put?;
        }
    }
    Ok(tree)
}

impl<'p> UnpackedTree<'p> {
    fn put(
        &mut self,
        piece: UnpackedEntry<'p>,
        rules: Rules<'_>,
        lowers: LowerLayers<'_>,
    ) -> Outcome {
        let path = LayerPath::new(piece.path);
        if rules.engine == Unpacker::GoArchive && rules.is_layer {
            entries::refuse_escape(piece)?;
        }
        let Some((name, parents)) = path.components().split_last() else {
            // The root stays the directory that it is, whatever an entry makes of it.
            return entries::of_root(piece, &path, rules);
        };
        let shown = rules.engine.shown(path.components());
        let whiteout = Whiteout::of_path(name).filter(|_| rules.is_layer);
        let parent = self.parent(parents, whiteout, shown, rules.engine, lowers)?;
        let Some(parent) = parent else {
            return Ok(());
        };
        if let Some(whiteout) = whiteout {
            return self.whiteout(parent, whiteout, shown, rules.engine);
        }
        let failed = |call: &'static str, why: Errno| {
            let verb = rules.engine.verb(call);
            Err(says(format!("{verb} {shown}: {why}")))
        };
        if name.len() > NAME_LIMIT || shown.len() as u64 > LONGEST_PATH {
            return failed("open", Errno::NameTooLong);
        }
        let existing = self.children.get(&(parent, *name)).copied();
        let node = match piece.kind {
            Kind::Directory => {
                if existing.is_some_and(|node| matches!(self.nodes[node], Node::Directory)) {
                    return Ok(());
                }
                Node::Directory
            }
            // The words have the target first, which is empty.
            Kind::Symlink if piece.link.is_empty() && rules.engine == Unpacker::GoArchive => {
                return Err(says(format!("symlinkat  {shown}: {}", Errno::NoSuchFile)));
            }
            Kind::Symlink if piece.link.is_empty() => return failed("symlink", Errno::NoSuchFile),
            Kind::Symlink => Node::Symlink(piece.link),
            Kind::Hardlink => {
                self.children.remove(&(parent, *name));
                return self.hard_link(parent, name, piece, shown, rules.engine);
            }
            Kind::File if piece.typeflag == b'S' => {
                return Err(says("unhandled tar header type 83"));
            }
            Kind::File | Kind::Char | Kind::Block | Kind::Fifo => Node::Other,
            Kind::Other(flag) => return Err(says(format!("unhandled tar header type {flag}"))),
            Kind::Global => return Ok(()),
        };
        self.add(parent, name, node);
        let follows = rules.engine == Unpacker::GoArchive && rules.is_layer;
        if piece.kind == Kind::Symlink && follows && !piece.xattr.is_empty() {
            let target = self.resolve(path.components());
            return entries::set_through_link(target.err(), piece.xattr);
        }
        Ok(())
    }

    /// The directory that an entry is put into; none if the entry is passed over.
    fn parent(
        &mut self,
        parents: &[&'p [u8]],
        whiteout: Option<Whiteout<'_>>,
        shown: Shown<'_>,
        engine: Unpacker,
        lowers: LowerLayers<'_>,
    ) -> Result<Option<usize>, Refusal> {
        if engine == Unpacker::Containerd {
            return self.made(parents, shown, lowers).map(Some);
        }
        let parent = self.implied(parents, shown, engine);
        let hidden = match whiteout {
            Some(Whiteout::Path(name)) if parent.is_err() && self.is_below_file(parents) => name,
            _ => return parent.map(Some),
        };
        // What is hidden below something that the layer hides is hidden already, and containers/storage accepts
        // it (`overlayWhiteoutConverter`, `isENOTDIR`). Docker makes the device without looking at the directory.
        match engine {
            Unpacker::Storage => Ok(None),
            _ => Err(entries::no_device(engine, parents, hidden)),
        }
    }

    /// Whether the same layer gives the same tree above any others.
    pub(super) fn stands_alone(&self) -> bool {
        !self.looked_below
    }

    /// The limit that it has gone beyond.
    fn spent(&self) -> Option<Exceeded> {
        let nodes = (Limit::UnpackedEntries, self.nodes.len());
        let steps = (Limit::UnpackedSteps, self.steps.get());
        let check = |(limit, count)| self.limits.check_count(limit, count).err();
        check(nodes).or_else(|| check(steps))
    }

    fn add(&mut self, parent: usize, name: &'p [u8], node: Node<'p>) -> usize {
        self.nodes.push(node);
        let id = self.nodes.len() - 1;
        self.children.insert((parent, name), id);
        id
    }

    fn whiteout(
        &mut self,
        parent: usize,
        whiteout: Whiteout<'p>,
        shown: Shown<'_>,
        engine: Unpacker,
    ) -> Outcome {
        let Whiteout::Path(name) = whiteout else {
            return Ok(());
        };
        let invalid = matches!(name, b"" | b"." | b"..");
        if !invalid && !self.children.contains_key(&(parent, name)) {
            self.add(parent, name, Node::Other);
            return Ok(());
        }
        let shown = shown.to_string();
        let (directory, base) = shown.rsplit_once('/').unwrap_or(("", &shown));
        if invalid && engine == Unpacker::GoArchive {
            return Err(says(format!("invalid whiteout entry {shown:?}")));
        }
        if invalid && engine == Unpacker::Containerd {
            return Err(says(format!(
                "invalid whiteout name: {base}: invalid archive"
            )));
        }
        let hidden = super::shown(name);
        Err(says(match engine {
            // `.wh.` would make a device of its own directory.
            Unpacker::Docker if invalid => {
                format!("failed to mknod({directory:?}, S_IFCHR, 0): file exists")
            }
            Unpacker::Docker => format!(
                "failed to mknod({:?}, S_IFCHR, 0): file exists",
                format!("{directory}/{hidden}")
            ),
            Unpacker::GoArchive => {
                let path = if directory.is_empty() {
                    hidden
                } else {
                    format!("{directory}/{hidden}")
                };
                format!("failed to mknod('{path}', S_IFCHR, 0): file exists")
            }
            Unpacker::Storage if invalid => format!("mknod {directory}: file exists"),
            Unpacker::Storage => format!("mknod {directory}/{hidden}: file exists"),
            Unpacker::Containerd => {
                format!("failed to convert whiteout file {base:?}: file exists")
            }
        }))
    }

    fn hard_link(
        &mut self,
        parent: usize,
        name: &'p [u8],
        piece: UnpackedEntry<'p>,
        shown: Shown<'_>,
        engine: Unpacker,
    ) -> Outcome {
        let target = LayerPath::new(piece.link);
        let shown_target = Shown {
            names: target.components(),
            ..shown
        };
        let verb = engine.verb("link");
        let failed = |why: Errno| Err(says(format!("{verb} {shown_target} {shown}: {why}")));
        let Some((last, parents)) = target.components().split_last() else {
            return failed(Errno::NotPermitted);
        };
        let found = self
            .resolve(parents)
            .ok()
            .and_then(|directory| self.children.get(&(directory, *last)).copied());
        let Some(found) = found else {
            return failed(Errno::NoSuchFile);
        };
        if matches!(self.nodes[found], Node::Directory) {
            return failed(Errno::NotPermitted);
        }
        // One more name of the same node.
        self.children.insert((parent, name), found);
        Ok(())
    }

    /// Where names lead, links followed inside the root.
    fn resolve(&self, names: &[&[u8]]) -> Result<usize, Errno> {
        self.follow(names).and_then(|(node, missing)| {
            if missing.is_empty() {
                Ok(node)
            } else {
                Err(Errno::NoSuchFile)
            }
        })
    }

    /// Follows `names` as far as they exist; returns where that is, and the names that are missing.
    fn follow(&self, names: &[&[u8]]) -> Result<(usize, Vec<Vec<u8>>), Errno> {
        let mut ahead: Vec<Vec<u8>> = names.iter().rev().map(|name| name.to_vec()).collect();
        let mut stack = vec![ROOT];
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            self.steps.set(self.steps.get() + 1);
            if self.spent().is_some() {
                // The caller checks whether it was given up.
                return Err(Errno::NoSuchFile);
            }
            let here = *stack.last().unwrap_or(&ROOT);
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if stack.len() > 1 {
                        stack.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let Some(&child) = self.children.get(&(here, name.as_slice())) else {
                ahead.push(name);
                ahead.reverse();
                return Ok((here, ahead));
            };
            match &self.nodes[child] {
                Node::Directory => stack.push(child),
                Node::Symlink(target) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(Errno::TooManyLinks);
                    }
                    if target.starts_with(b"/") {
                        stack.truncate(1);
                    }
                    ahead.extend(target.rsplit(|&b| b == b'/').map(<[u8]>::to_vec));
                }
                Node::Other => return Err(Errno::NotADirectory),
            }
        }
        Ok((*stack.last().unwrap_or(&ROOT), Vec::new()))
    }

    /// Docker: the parents are made if the last of them is not there, by its own name; then the kernel
    /// goes there.
    fn implied(
        &mut self,
        parents: &[&'p [u8]],
        shown: Shown<'_>,
        engine: Unpacker,
    ) -> Result<usize, Refusal> {
        let Some((last, above)) = parents.split_last() else {
            return Ok(ROOT);
        };
        // The usual case: every parent is there, and a directory.
        let directory = |here, name: &&'p [u8]| {
            let child = *self.children.get(&(here, *name))?;
            matches!(self.nodes[child], Node::Directory).then_some(child)
        };
        if let Some(here) = parents.iter().try_fold(ROOT, directory) {
            return Ok(here);
        }
        let verb = engine.verb("open");
        let failed = |why: Errno| says(format!("{verb} {shown}: {why}"));
        let there = self
            .resolve(above)
            .ok()
            .is_some_and(|directory| self.children.contains_key(&(directory, *last)));
        if there {
            return self.resolve(parents).map_err(failed);
        }
        // Each missing one is made where its parent leads; a dangling link on the way is an obstacle.
        let mut here = ROOT;
        for (depth, name) in parents.iter().enumerate() {
            here = match self.children.get(&(here, *name)) {
                None => self.add(here, name, Node::Directory),
                Some(_) => self.resolve(&parents[..=depth]).map_err(|why| {
                    failed(if why == Errno::NoSuchFile {
                        Errno::Exists
                    } else {
                        why
                    })
                })?,
            };
        }
        Ok(here)
    }

    /// Whether one of the names leads to something that is not a directory.
    fn is_below_file(&self, names: &[&[u8]]) -> bool {
        self.resolve(names) == Err(Errno::NotADirectory)
    }

    /// containerd asks the layers below, the uppermost first, for a directory that it makes, to give it the
    /// same owner and mode (`pkg/archive/tar.go` `mkparent`). Where one of them has something else on the
    /// way, which a whiteout is too, it fails.
    fn look_below(parents: &[&[u8]], lowers: &[&UnpackedTree<'_>]) -> Result<bool, Refusal> {
        let Some((last, above)) = parents.split_last() else {
            return Ok(true);
        };
        for lower in lowers.iter().rev() {
            match lower.resolve(above) {
                Ok(directory) if lower.children.contains_key(&(directory, *last)) => {
                    return Ok(true);
                }
                Err(Errno::NotADirectory) => {
                    let shown = Unpacker::Containerd.shown(parents);
                    return Err(says(format!("lstat {shown}: {}", Errno::NotADirectory)));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(false)
    }

    /// What it cost to make: nodes, and names that were looked up.
    pub(super) fn cost(&self) -> usize {
        self.nodes.len() + self.steps.get()
    }

    /// containerd: links are resolved first, then what is missing is made.
    fn made(
        &mut self,
        parents: &[&'p [u8]],
        shown: Shown<'_>,
        lowers: LowerLayers<'_>,
    ) -> Result<usize, Refusal> {
        // The usual case: every parent is a directory here, or missing below one that is.
        let mut here = ROOT;
        // A directory that no lower layer has is empty in all of them.
        let mut below = !lowers.trees.is_empty() || lowers.more.is_some();
        for (depth, name) in parents.iter().enumerate() {
            here = match self.children.get(&(here, *name)) {
                None => {
                    self.looked_below = true;
                    if below {
                        if let Some(limit) = lowers.more {
                            return Err(unpredicted(limit));
                        }
                        // From the root each time: a deep path above many layers is work, and counts.
                        let steps = lowers.trees.len().saturating_mul(depth + 1);
                        self.steps.set(self.steps.get().saturating_add(steps));
                        if self.spent().is_some() {
                            return Ok(here);
                        }
                        below = Self::look_below(&parents[..=depth], lowers.trees)?;
                    }
                    self.add(here, name, Node::Directory)
                }
                Some(&child) if matches!(self.nodes[child], Node::Directory) => child,
                Some(_) => return self.made_through_links(parents, shown),
            };
        }
        Ok(here)
    }

    fn made_through_links(
        &mut self,
        parents: &[&[u8]],
        shown: Shown<'_>,
    ) -> Result<usize, Refusal> {
        let (node, missing) = self.follow(parents).map_err(|why| match why {
            Errno::NotADirectory => because(format!(
                "{shown} lies below something that is not a directory"
            )),
            Errno::NoSuchFile
            | Errno::TooManyLinks
            | Errno::Exists
            | Errno::NotPermitted
            | Errno::NameTooLong => says("too many links"),
        })?;
        if missing.is_empty() {
            return Ok(node);
        }
        // What containerd makes where a link leads nowhere has no name here: nothing in the layer can
        // go there but through the same link.
        self.nodes.push(Node::Directory);
        Ok(self.nodes.len() - 1)
    }
}
