//! The merged tree as a user of the library sees it: its entries, and the bytes of a file by its path.

use super::content::FileReader;
use super::error::{FileFault, TreeError, TreeFault};
use super::inode::{Body, Inode};
use super::nodes::Tree;
use super::walk::WalkEntry;
use crate::base::options::Options;
use crate::image::Image;

impl Tree {
    /// Applies the layers of `image` to each other: what a container of it would see.
    ///
    /// Uncompressed layers are read by their headers alone, compressed ones are decoded once into unnamed
    /// temporary files. No layer is compared with its diff ID: `verify` and `flatten` do that. The limits
    /// are those that the archive was opened with.
    ///
    /// # Errors
    ///
    /// [`TreeError`] if a layer is missing, damaged, or holds what no engine can apply.
    pub fn merge(image: &Image, options: &Options<'_>) -> Result<Self, TreeError> {
        Self::build(image, options.jobs, options.progress)
    }

    /// All files and directories but the root, each with its path without a slash at either end: a
    /// directory before what is in it, and names in the order of their bytes.
    ///
    /// ```
    /// use imgtar::{Options, Tree};
    ///
    /// let options = Options::default();
    /// let archive = imgtar::open("testdata/engines/docker26-one.tar".as_ref(), &options)?;
    /// let images = archive.images()?;
    /// let tree = Tree::merge(images.only(None)?, &options)?;
    /// let setuid = tree.entries().filter(|(_, entry)| entry.inode.mode & 0o4000 != 0);
    /// let paths: Vec<_> = setuid.map(|(path, _)| path).collect();
    /// assert_eq!(paths, [b"bin/tool"]);
    /// # Ok::<(), imgtar::Error>(())
    /// ```
    pub fn entries(&self) -> impl Iterator<Item = (Vec<u8>, WalkEntry<'_>)> {
        let mut walk = self.walk(self.root());
        std::iter::from_fn(move || {
            let (entry, path) = walk.next_entry()?;
            Some((path.to_vec(), entry))
        })
    }

    /// Reads a regular file. Symbolic links are followed as a process in a container would follow them,
    /// never out of the image.
    ///
    /// ```
    /// use std::io::Read;
    /// use imgtar::{Options, Tree};
    ///
    /// let options = Options::default();
    /// let archive = imgtar::open("testdata/engines/docker26-one.tar".as_ref(), &options)?;
    /// let images = archive.images()?;
    /// let tree = Tree::merge(images.only(None)?, &options)?;
    /// let mut text = String::new();
    /// tree.file("/etc/os-release")?.read_to_string(&mut text)?;
    /// assert!(text.contains("NAME="));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TreeError::File`] if the path leads to nothing or to something else, and
    /// [`TreeError::Expansion`] if the holes of the files that were opened come to more than the limits
    /// allow.
    pub fn file(&self, path: impl AsRef<[u8]>) -> Result<FileReader<'_>, TreeError> {
        let path = path.as_ref();
        let refuse = |fault| TreeError::File {
            path: path.to_vec(),
            fault,
        };
        let found = self.lookup(path, true).map_err(|fault| {
            refuse(match fault {
                TreeFault::Loop => FileFault::Loop,
                _ => FileFault::Missing,
            })
        })?;
        let inode = self.inode_of(found.ok_or_else(|| refuse(FileFault::Missing))?);
        match self.file_body(inode)? {
            Some(body) => Ok(FileReader::new(&body)),
            None if matches!(inode.body, Body::Directory) => Err(refuse(FileFault::Directory)),
            None => Err(refuse(FileFault::NotRegular)),
        }
    }

    /// Reads a regular file of the tree, also one that is hidden; `None` for anything else, and in a tree of
    /// headers alone.
    ///
    /// # Errors
    ///
    /// [`TreeError::Expansion`] if the holes of the files that were opened come to more than the limits allow.
    pub fn reader<'f>(&self, inode: &'f Inode) -> Result<Option<FileReader<'f>>, TreeError> {
        Ok(self.file_body(inode)?.map(|body| FileReader::new(&body)))
    }
}
