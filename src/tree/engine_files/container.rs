//! What an engine adds to the tree of an image when it makes a container of it
//! (moby `daemon/initlayer/setup_unix.go`, `daemon/create_unix.go`).

use crate::base::limits::LONGEST_PATH;
use crate::layer::LayerTar;
use crate::tar::Mtime;
use crate::tree::error::TreeError;
use crate::tree::inode::{Body, Inode};
use crate::tree::nodes::{NodeId, ROOT, Tree};

/// Files that are mounted over: empty, 0755, owned by root.
pub(super) const FILES: [&[&[u8]]; 5] = [
    &[b".dockerenv"],
    &[b"dev", b"console"],
    &[b"etc", b"hostname"],
    &[b"etc", b"hosts"],
    &[b"etc", b"resolv.conf"],
];
/// Directories that are mounted on; existing ones stay as they are.
pub(super) const DIRECTORIES: [&[&[u8]]; 4] =
    [&[b"dev", b"pts"], &[b"dev", b"shm"], &[b"proc"], &[b"sys"]];
/// The table of mounts, a link.
pub(super) const MTAB: &[&[u8]] = &[b"etc", b"mtab"];
pub(super) const MTAB_TARGET: &[u8] = b"/proc/mounts";

impl Tree {
    /// Adds what a created, never started container has: the files and directories that Docker
    /// mounts over, `/etc/mtab`, and the working directory if the image lacks it. Everything new is
    /// of `time`, and so are the directories that got something new.
    ///
    /// # Errors
    ///
    /// [`TreeError::WorkingDirectory`] if the path of the working directory is longer than Linux
    /// takes: no engine can make a container of such an image.
    pub fn add_container_files(
        &mut self,
        working_dir: &[u8],
        time: Mtime,
    ) -> Result<(), TreeError> {
        let len = working_dir.len() as u64;
        if len > LONGEST_PATH {
            let limit = LONGEST_PATH;
            return Err(TreeError::WorkingDirectory { len, limit });
        }
        let layer = u32::try_from(self.layers.len()).unwrap_or(u32::MAX);
        let mut add = Additions {
            tree: self,
            layer,
            time,
        };
        for path in DIRECTORIES {
            add.directory(path);
        }
        for path in FILES {
            add.put(
                path,
                Body::File {
                    layer,
                    offset: 0,
                    size: 0,
                    sparse: None,
                },
                0o755,
            );
        }
        add.put(MTAB, Body::Symlink(MTAB_TARGET.into()), 0o777);
        add.working_directory(working_dir);
        // The empty files need a layer to point at, even one without bytes.
        if let Some(none) = self
            .layers
            .first()
            .map(|layer| layer.slice(crate::source::Span { offset: 0, len: 0 }))
        {
            self.layers.push(LayerTar::plain(none));
        }
        Ok(())
    }
}

struct Additions<'t> {
    tree: &'t mut Tree,
    layer: u32,
    time: Mtime,
}

impl Additions<'_> {
    /// A name in a directory, made anew if something else than a directory has it.
    fn child_directory(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        let existing = self.tree.child(parent, name);
        if let Some(child) = existing.filter(|&child| self.tree.is_directory(child)) {
            return child;
        }
        self.new_child(parent, name, Body::Directory, 0o755)
    }

    fn new_child(&mut self, parent: NodeId, name: &[u8], body: Body, mode: u16) -> NodeId {
        let inode = Inode::of_root(body, mode, self.time);
        let inode = self.tree.add_inode(inode);
        self.tree.remove_child(parent, name);
        let node = self.tree.add_node(parent, name, inode, self.layer);
        if parent != ROOT {
            let id = self.tree.inode_id(parent);
            self.tree.inode_mut(id).set_mtime(self.time);
        }
        node
    }

    fn directory(&mut self, path: &[&[u8]]) -> NodeId {
        path.iter()
            .fold(ROOT, |parent, name| self.child_directory(parent, name))
    }

    fn put(&mut self, path: &[&[u8]], body: Body, mode: u16) {
        let Some((name, parents)) = path.split_last() else {
            return;
        };
        let parent = self.directory(parents);
        self.new_child(parent, name, body, mode);
    }

    /// Made below the deepest directory that is there, links followed.
    fn working_directory(&mut self, path: &[u8]) {
        let names: Vec<&[u8]> = path
            .split(|&b| b == b'/')
            .filter(|name| !name.is_empty())
            .collect();
        for len in (0..=names.len()).rev() {
            let found = self.tree.lookup(&names[..len].join(&b'/'), true);
            let Ok(Some(node)) = found else { continue };
            if self.tree.is_directory(node) {
                names[len..]
                    .iter()
                    .fold(node, |parent, name| self.child_directory(parent, name));
            }
            return;
        }
    }
}
