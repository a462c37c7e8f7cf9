//! What an engine has added to the tree of a container, recognised.
//!
//! Engines make mount points in a container's file system, and exports show them. Docker keeps them in
//! a layer of their own and does not commit them (moby `daemon/initlayer/setup_unix.go`).

use std::collections::HashSet;

use super::container::{DIRECTORIES, FILES, MTAB, MTAB_TARGET};
use crate::tree::inode::Body;
use crate::tree::nodes::{NodeId, Tree};

/// What podman mounts over beside what Docker does.
const PODMAN_FILES: [&[&[u8]]; 1] = [&[b"run", b".containerenv"]];
const PODMAN_DIRECTORIES: [&[&[u8]]; 1] = [&[b"run", b"secrets"]];

/// Names of a container's tree that the engine made and that were not changed.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    names: HashSet<NodeId>,
    /// The directories that they lie in.
    parents: HashSet<NodeId>,
}

impl Additions {
    /// Nothing was added.
    pub fn none() -> Self {
        Self::default()
    }

    /// Finds what an engine added to `base` when it made `container` of it: empty files where it
    /// mounts files, `etc/mtab`, and directories that `base` lacks, with nothing of their own in
    /// them, where it mounts directories and at `working_dir`.
    ///
    /// Whatever looks different is the container's own. So are mount points of volumes: a
    /// container has them only once it was started, and Docker commits them.
    pub fn find(container: &Tree, base: &Tree, working_dir: &[u8]) -> Self {
        let mut found = Self::default();
        let mut directories: Vec<Vec<&[u8]>> = Vec::new();
        for path in FILES.iter().chain(&PODMAN_FILES) {
            found.take_if(container, path, |node| container.is_mounted_file(node));
            directories.push(parents(path).to_vec());
        }
        found.take_if(container, MTAB, |node| {
            matches!(&container.inode_of(node).body, Body::Symlink(target) if **target == *MTAB_TARGET)
        });
        directories.extend(DIRECTORIES.iter().map(|path| path.to_vec()));
        directories.extend(PODMAN_DIRECTORIES.iter().map(|path| path.to_vec()));
        let names = working_dir.split(|&b| b == b'/');
        directories.push(names.filter(|name| !name.is_empty()).collect());
        // The deepest first, as a directory may hold nothing but what is found. A config can name a
        // working directory of any length, so no path is followed further than the container has it.
        let mut made: Vec<(usize, NodeId, NodeId)> = Vec::new();
        for path in &directories {
            let mut below = Some(base.root());
            let mut parent = container.root();
            for (depth, name) in path.iter().enumerate() {
                let Some(node) = container.child(parent, name) else {
                    break;
                };
                below = below.and_then(|node| base.child(node, name));
                if !below.is_some_and(|node| base.is_directory(node)) {
                    made.push((depth, node, parent));
                }
                parent = node;
            }
        }
        made.sort_by_key(|(depth, ..)| std::cmp::Reverse(*depth));
        for (_, node, parent) in made {
            if found.is_made_directory(container, node) {
                found.names.insert(node);
                found.parents.insert(parent);
            }
        }
        found
    }

    fn take_if(&mut self, tree: &Tree, path: &[&[u8]], is_made: impl Fn(NodeId) -> bool) {
        let node = tree.at_names(path).filter(|&node| is_made(node));
        self.take(tree, path, node);
    }

    fn take(&mut self, tree: &Tree, path: &[&[u8]], node: Option<NodeId>) {
        if let Some(node) = node {
            self.names.insert(node);
            self.parents.extend(tree.at_names(parents(path)));
        }
    }

    /// A directory as engines make them: 0755, of root, with nothing in it that is not made too.
    fn is_made_directory(&self, tree: &Tree, node: NodeId) -> bool {
        let inode = tree.inode_of(node);
        let mut children = tree.children(node);
        matches!(inode.body, Body::Directory)
            && (inode.mode, inode.uid, inode.gid) == (0o755, 0, 0)
            && inode.xattrs.is_empty()
            && children.all(|child| self.names.contains(&child))
    }

    pub(in crate::tree) fn contains(&self, name: NodeId) -> bool {
        self.names.contains(&name)
    }

    pub(in crate::tree) fn is_parent(&self, directory: NodeId) -> bool {
        self.parents.contains(&directory)
    }

    /// How many names were found.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl Tree {
    /// A file as engines make them to mount over: empty, of root, 0755 by Docker, 0644 by podman.
    fn is_mounted_file(&self, node: NodeId) -> bool {
        let inode = self.inode_of(node);
        matches!(inode.body, Body::File { size: 0, .. })
            && matches!((inode.mode, inode.uid, inode.gid), (0o755 | 0o644, 0, 0))
            && inode.xattrs.is_empty()
    }
}

fn parents<'p, 'n>(path: &'p [&'n [u8]]) -> &'p [&'n [u8]] {
    path.split_last().map_or(&[], |(_, parents)| parents)
}
