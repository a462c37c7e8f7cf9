//! Paths inside a layer.

use crate::base::constants::WHITEOUT;

/// The longest name of one file that Linux file systems take, in bytes.
pub(super) const NAME_LIMIT: usize = 255;

/// Whether a layer gives this name another meaning, so that no file of a layer can have it.
pub(crate) fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(WHITEOUT)
}

/// A path below the root: components without `.`, `..` and empty ones. Any bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerPath<'p> {
    components: Vec<&'p [u8]>,
    left_root: bool,
}

impl<'p> LayerPath<'p> {
    /// Reads a path as written: `./a`, `/a`, `a/`, `a//b` and `d/../a` are spellings of one path, and
    /// what would leave the root stays in it (L8).
    pub fn new(raw: &'p [u8]) -> Self {
        let mut path = Self::default();
        for component in raw.split(|&b| b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => path.left_root |= path.components.pop().is_none(),
                _ => path.components.push(component),
            }
        }
        path
    }

    /// The components, outermost first; none for the root itself.
    pub fn components(&self) -> &[&'p [u8]] {
        &self.components
    }

    /// Whether it went above the root on the way.
    pub fn left_root(&self) -> bool {
        self.left_root
    }

    /// The directory and the last component; `None` for the root.
    pub(super) fn split(&self) -> Option<(&[&'p [u8]], &'p [u8])> {
        let (last, parents) = self.components.split_last()?;
        Some((parents, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path() {
        for raw in ["a/b", "./a/b", "/a/b/", "a//b", "a/./b", "x/../a/b"] {
            let path = LayerPath::new(raw.as_bytes());
            assert_eq!(path.components(), [b"a", b"b"], "{raw}");
            assert!(!path.left_root(), "{raw}");
        }
        let path = LayerPath::new(b"../../evil");
        assert_eq!(path.components(), [b"evil"]);
        assert!(path.left_root());
        assert!(LayerPath::new(b"./").components().is_empty());
    }
}
