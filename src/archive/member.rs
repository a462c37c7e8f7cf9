//! Members of the outer tar and their names.

use std::borrow::Borrow;
use std::fmt;

use bstr::ByteSlice;

use crate::base::escape;
use crate::source::Span;
use crate::tar::RefusedAttribute;

/// The name of a member, below the archive's root: no leading `/` or `./`, no `.`, no `..`, no
/// empty component. Any bytes, not only UTF-8. The empty name is the root.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberName(Box<[u8]>);

impl MemberName {
    /// Brings a name as written below the root. `..` goes up lexically and stops at the root, as
    /// Docker's `safePath` does, so `../../x` is `x`.
    pub fn new(raw: &[u8]) -> Self {
        Self::normal(raw.split(|&b| b == b'/'))
    }

    fn normal<'a>(components: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut kept: Vec<&[u8]> = Vec::new();
        for component in components {
            match component {
                b"" | b"." => {}
                b".." => drop(kept.pop()),
                _ => kept.push(component),
            }
        }
        Self(kept.join(&b'/').into())
    }

    /// The name that `target` has when it stands in a link called `self`: relative to the link's
    /// directory, or to the archive's root if it is absolute.
    #[must_use]
    pub fn linked(&self, target: &[u8]) -> Self {
        if target.starts_with(b"/") {
            return Self::new(target);
        }
        Self::normal(
            self.parent_bytes()
                .split(|&b| b == b'/')
                .chain(target.split(|&b| b == b'/')),
        )
    }

    /// The name with more components appended.
    #[must_use]
    pub fn join(&self, more: &[u8]) -> Self {
        Self::normal(
            self.0
                .split(|&b| b == b'/')
                .chain(more.split(|&b| b == b'/')),
        )
    }

    /// The directory that holds it; the root holds itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.parent_bytes().into())
    }

    fn parent_bytes(&self) -> &[u8] {
        self.0
            .rfind_byte(b'/')
            .map_or(b"", |slash| &self.0[..slash])
    }

    /// The last component.
    pub fn base(&self) -> &[u8] {
        self.0
            .rfind_byte(b'/')
            .map_or(&self.0, |slash| &self.0[slash + 1..])
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as text, with what is not UTF-8 replaced, as engines print names. For everything else
    /// it is displayed.
    pub fn to_lossy(&self) -> String {
        self.0.to_str_lossy().into_owned()
    }
}

/// A name is looked up by bytes that are normal already.
impl Borrow<[u8]> for MemberName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape::name(&self.0).fmt(f)
    }
}

impl fmt::Debug for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberName({:?})", self.0.as_bstr())
    }
}

/// Whether a name as written goes above the root on its way.
pub(super) fn leaves_root(raw: &[u8]) -> bool {
    let mut depth = 0_usize;
    raw.split(|&b| b == b'/').any(|component| {
        match component {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
        false
    })
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file; its body lies at this stretch of the archive.
    File(Span),
    /// A directory.
    Directory,
    /// A symbolic link with its target as written.
    Symlink(Box<[u8]>),
    /// A hard link with its target as written.
    Hardlink(Box<[u8]>),
    /// A device, fifo or unknown type: nothing an image archive has use for.
    Special,
}

/// One member of the outer tar.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name below the archive's root.
    pub name: MemberName,
    /// What it is.
    pub kind: MemberKind,
    /// The typeflag as written.
    pub typeflag: u8,
    /// Whether its name as written leads out of the archive's root.
    pub left_root: bool,
    /// Whether its name as written begins with `/`. Readers that look up names do not find it then.
    pub absolute: bool,
    /// The first of its extended attributes, name and value, that a kernel refuses to set.
    pub refused_attribute: Option<Box<RefusedAttribute>>,
    /// Where its first header begins, in bytes from the beginning of the (uncompressed) archive.
    pub offset: u64,
}

impl Member {
    /// How long its body is, in bytes.
    pub fn len(&self) -> u64 {
        match &self.kind {
            MemberKind::File(span) => span.len,
            _ => 0,
        }
    }

    /// Whether it has no body, or one without bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(raw: &str) -> String {
        MemberName::new(raw.as_bytes()).to_lossy()
    }

    #[test]
    fn every_spelling_is_one_name() {
        for raw in [
            "a/b",
            "./a/b",
            "/a/b",
            "a//b",
            "a/./b/",
            "x/../a/b",
            "../../a/b",
            "/../a/c/../b",
        ] {
            assert_eq!(name(raw), "a/b", "{raw}");
        }
        for raw in ["", ".", "./", "/", "..", "a/.."] {
            assert_eq!(name(raw), "", "{raw}");
        }
    }

    #[test]
    fn link_targets_start_at_the_directory_of_the_link() {
        let link = MemberName::new(b"id/layer.tar");
        assert_eq!(
            link.linked(b"../other/layer.tar").to_lossy(),
            "other/layer.tar"
        );
        assert_eq!(
            link.linked(b"/other/layer.tar").to_lossy(),
            "other/layer.tar"
        );
        assert_eq!(link.linked(b"x").to_lossy(), "id/x");
        assert_eq!(
            link.linked(b"../../../../etc/passwd").to_lossy(),
            "etc/passwd"
        );
    }
}
