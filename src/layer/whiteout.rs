//! Whiteouts: entries that hide entries of lower layers (image-spec `layer.md#whiteouts`).

use crate::base::constants::{OPAQUE, WHITEOUT};

/// A whiteout, recognised by its name alone: aufs made them hard links, and engines do not look at
/// the type either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteout<'p> {
    /// Hides the sibling of this name. The name is empty for the invalid entry `.wh.`.
    Path(&'p [u8]),
    /// Hides what lower layers have in the same directory.
    Opaque,
}

impl<'p> Whiteout<'p> {
    /// Reads the last component of an entry's path.
    pub fn of_path(path: &'p [u8]) -> Option<Self> {
        let end = path
            .iter()
            .rposition(|&b| b != b'/')
            .map_or(0, |last| last + 1);
        let path = &path[..end];
        let start = path
            .iter()
            .rposition(|&b| b == b'/')
            .map_or(0, |slash| slash + 1);
        match &path[start..] {
            OPAQUE => Some(Self::Opaque),
            base => base.strip_prefix(WHITEOUT).map(Self::Path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_component_makes_a_whiteout() {
        let table: &[(&[u8], Option<Whiteout<'_>>)] = &[
            (b"etc/.wh.passwd", Some(Whiteout::Path(b"passwd"))),
            (b".wh.d/", Some(Whiteout::Path(b"d"))),
            (b"d/.wh..wh..opq", Some(Whiteout::Opaque)),
            (b"./.wh..wh..opq", Some(Whiteout::Opaque)),
            (b".wh.", Some(Whiteout::Path(b""))),
            (b".wh.d/x", None),
            (b"foo.wh.bar", None),
            (b"", None),
            (b"/", None),
        ];
        for (path, want) in table {
            assert_eq!(Whiteout::of_path(path), *want, "{}", path.escape_ascii());
        }
    }
}
