//! An archive that is stored nowhere: its members are stretches of the tar of a data root, with what tar-split has kept
//! between them.

use std::fs::File;
use std::io::{BufWriter, Write};

use super::RescueError;
use super::files::{FileNode, FileStretch, RootFiles};
use super::layer::{self, SplitParts, TakePiece};
use super::made_layer::{self, FileSet, Made};
use crate::archive::{Archive, MemberName};
use crate::base::digest::Digest;
use crate::base::limits::Limit;
use crate::source::{Input, Rope, Slice, Source, Span, since};

/// The tar of the data root, among the parts of the rope.
const OUTER: u32 = 0;
/// What is in no file of it.
const MADE: u32 = 1;
/// The first of those that were put together elsewhere.
const OTHERS: usize = 2;

/// An archive while it is put together.
pub(crate) struct RopeArchive<'f> {
    files: &'f RootFiles,
    rope: Rope,
    /// What is in no file of the data root, such as headers.
    made: BufWriter<File>,
    made_len: u64,
    /// What was put together elsewhere.
    others: Vec<Source>,
    members: Vec<(MemberName, Span)>,
}

impl<'f> RopeArchive<'f> {
    /// An empty one.
    pub(crate) fn new(files: &'f RootFiles) -> Result<Self, RescueError> {
        let file = tempfile::tempfile().map_err(RescueError::Spool)?;
        Ok(Self {
            files,
            rope: Rope::default(),
            made: BufWriter::with_capacity(256 << 10, file),
            made_len: 0,
            others: Vec::new(),
            members: Vec::new(),
        })
    }

    /// Adds bytes that no file of the data root has.
    pub(crate) fn made(&mut self, bytes: &[u8]) -> Result<(), RescueError> {
        self.made.write_all(bytes).map_err(RescueError::Spool)?;
        self.rope.push(MADE, self.made_len, bytes.len() as u64);
        self.made_len += bytes.len() as u64;
        self.check_len()
    }

    /// Adds a member that was put together elsewhere.
    pub(crate) fn bytes(&mut self, name: &[u8], bytes: &Slice) -> Result<(), RescueError> {
        let (from, span) = (self.rope.len(), bytes.span());
        let part = u32::try_from(OTHERS + self.others.len()).unwrap_or(u32::MAX);
        self.others.push(bytes.source().clone());
        self.rope.push(part, span.offset, span.len);
        self.member(name, from);
        self.check_len()
    }

    /// Adds so many zeros.
    pub(crate) fn zeros(&mut self, len: u64) {
        self.rope.push_zeros(len);
    }

    /// Adds what a file has.
    ///
    /// # Errors
    ///
    /// [`RescueError`] if that is more than a limit allows.
    pub(crate) fn content(&mut self, file: FileNode) -> Result<(), RescueError> {
        for stretch in self.files.content(file)? {
            match stretch {
                FileStretch::Stored(span) => self.rope.push(OUTER, span.offset, span.len),
                FileStretch::Zeros(len) => self.rope.push_zeros(len),
            }
        }
        self.check_len()
    }

    fn check_len(&self) -> Result<(), RescueError> {
        let source = self.files.source();
        let allowed = source.limits().expansion_of(source.len());
        if self.rope.len() > allowed {
            return Err(RescueError::TooMuch {
                path: source.label(),
                exceeded: source.limits().exceeded(Limit::Expanded),
            });
        }
        Ok(())
    }

    /// Adds a file of the data root as a blob.
    pub(crate) fn file(&mut self, digest: &Digest, file: FileNode) -> Result<(), RescueError> {
        self.file_as(digest.blob_path().as_bytes(), file)
    }

    /// Adds a file of the data root under a name.
    pub(crate) fn file_as(&mut self, name: &[u8], file: FileNode) -> Result<(), RescueError> {
        let from = self.rope.len();
        self.content(file)?;
        self.member(name, from);
        Ok(())
    }

    /// Adds a member that no file of the data root is.
    pub(crate) fn text(&mut self, name: &[u8], text: &[u8]) -> Result<(), RescueError> {
        let from = self.rope.len();
        self.made(text)?;
        self.member(name, from);
        Ok(())
    }

    /// Adds a layer as a blob, if all its files are there.
    pub(crate) fn layer(&mut self, digest: &Digest, parts: SplitParts) -> Result<(), RescueError> {
        self.layer_as(digest.blob_path().as_bytes(), parts)?;
        Ok(())
    }

    /// Adds a layer under a name, if all its files are there. Returns whether they are.
    pub(crate) fn layer_as(&mut self, name: &[u8], parts: SplitParts) -> Result<bool, RescueError> {
        let from = self.rope.len();
        let files = self.files;
        // Its files were looked for already.
        let looked = layer::read(files, parts, self)?;
        let is_whole = looked.is_ok_and(|looked| looked.faults.count == 0);
        if is_whole {
            self.member(name, from);
        }
        Ok(is_whole)
    }

    /// Adds a layer that is made of files, if it can be.
    pub(crate) fn files(&mut self, name: &[u8], set: FileSet) -> Result<Made, RescueError> {
        let from = self.rope.len();
        let files = self.files;
        let made = made_layer::append(self, files, set)?;
        if made.is_ok() {
            self.member(name, from);
        }
        Ok(made)
    }

    fn member(&mut self, name: &[u8], from: u64) {
        self.members
            .push((MemberName::new(name), since(&self.rope, from)));
    }

    /// The archive.
    pub(crate) fn finish(self) -> Result<Archive, RescueError> {
        let (source, members) = self.source()?;
        Ok(Archive::assembled(Input::temporary(source), members))
    }

    /// All bytes that were added.
    pub(crate) fn finish_bytes(self) -> Result<Slice, RescueError> {
        Ok(self.source()?.0.whole())
    }

    fn source(self) -> Result<(Source, Vec<(MemberName, Span)>), RescueError> {
        let file = self.made.into_inner();
        let file = file.map_err(|error| RescueError::Spool(error.into_error()))?;
        let outer = self.files.source().clone();
        let made = outer.derived(file, self.made_len);
        let mut parts: Vec<Source> = vec![outer.clone(), made];
        parts.extend(self.others);
        let source = self.rope.into_source(parts).unwrap_or(outer);
        Ok((source, self.members))
    }
}

impl TakePiece for RopeArchive<'_> {
    fn raw(&mut self, bytes: &[u8]) -> Result<(), RescueError> {
        self.made(bytes)
    }

    fn body(
        &mut self,
        _: &RootFiles,
        file: FileNode,
        _: Option<u64>,
    ) -> Result<Option<(u64, u64)>, RescueError> {
        self.content(file)?;
        Ok(None)
    }
}
