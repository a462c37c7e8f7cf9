//! The outer tar: members in the order of a directory walk, owners 0.

use std::collections::BTreeMap;
use std::io::Write;

use crate::base::progress::Progress;
use crate::output::WriteError;
use crate::output::header::HeaderFields;
use crate::output::tar::TarWriter;
use crate::source::Slice;
use crate::tar::Mtime;

/// What a member holds.
#[derive(Debug)]
enum MemberContent {
    Directory,
    Bytes(Vec<u8>),
    Blob(Slice),
    Symlink(String),
}

#[derive(Debug)]
struct Member {
    path: String,
    content: MemberContent,
    /// Seconds since 1970.
    mtime: i64,
}

/// The members of an archive.
///
/// A path that was added before stays as it is: its name is the digest of its content, so both are the same.
#[derive(Debug, Default)]
pub(super) struct ArchiveMembers(BTreeMap<Vec<u8>, Member>);

impl ArchiveMembers {
    fn add(&mut self, path: &str, content: MemberContent, mtime: i64) -> bool {
        // A directory, then what is in it, then its next sibling: slashes sort before everything.
        let key = path
            .bytes()
            .map(|b| if b == b'/' { 0 } else { b })
            .collect();
        let mut added = false;
        self.0.entry(key).or_insert_with(|| {
            added = true;
            Member {
                path: path.to_owned(),
                content,
                mtime,
            }
        });
        added
    }

    pub(super) fn directory(&mut self, path: &str, mtime: i64) -> bool {
        self.add(path, MemberContent::Directory, mtime)
    }

    pub(super) fn bytes(&mut self, path: &str, bytes: Vec<u8>, mtime: i64) -> bool {
        self.add(path, MemberContent::Bytes(bytes), mtime)
    }

    pub(super) fn blob(&mut self, path: &str, blob: &Slice, mtime: i64) -> bool {
        self.add(path, MemberContent::Blob(blob.clone()), mtime)
    }

    pub(super) fn symlink(&mut self, path: &str, target: String, mtime: i64) -> bool {
        self.add(path, MemberContent::Symlink(target), mtime)
    }

    /// Writes the tar and returns its length in bytes. It ends with two blocks of zeros and is not
    /// padded to a record, as Docker leaves it.
    pub(super) fn write<W: Write>(
        &self,
        mut out: W,
        progress: &dyn Progress,
    ) -> Result<u64, WriteError> {
        let total = self.0.values().map(|member| match &member.content {
            MemberContent::Blob(blob) => blob.len(),
            _ => 0,
        });
        let task = progress.begin("writing the archive", Some(total.sum()));
        let mut writer = TarWriter::new(&mut out);
        for member in self.0.values() {
            let mut path = member.path.clone();
            if matches!(member.content, MemberContent::Directory) {
                path.push('/');
            }
            writer.header(&fields(member, &path))?;
            match &member.content {
                MemberContent::Bytes(bytes) => writer.bytes_body(bytes)?,
                MemberContent::Blob(blob) => writer.slice_body(blob, |n| task.advance(n))?,
                MemberContent::Directory | MemberContent::Symlink(_) => {}
            }
        }
        Ok(writer.finish()?.1)
    }
}

/// The header of a member.
fn fields<'m>(member: &'m Member, path: &'m str) -> HeaderFields<'m> {
    let (typeflag, mode, size, link) = match &member.content {
        MemberContent::Directory => (b'5', 0o755, 0, ""),
        MemberContent::Bytes(bytes) => (b'0', 0o644, bytes.len() as u64, ""),
        MemberContent::Blob(blob) => (b'0', 0o644, blob.len(), ""),
        MemberContent::Symlink(target) => (b'2', 0o777, 0, target.as_str()),
    };
    HeaderFields {
        path: path.as_bytes(),
        typeflag,
        link: link.as_bytes(),
        mode,
        uid: 0,
        gid: 0,
        size,
        mtime: Mtime {
            seconds: member.mtime,
            nanoseconds: 0,
        },
        device: (0, 0),
        xattrs: &[],
    }
}
