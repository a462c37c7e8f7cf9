//! Part of a tree, and what a mistyped path may have meant.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::inode::Body;
use super::nodes::{NodeId, ROOT, Tree};

/// How many of the names in one directory, and of the paths of a tree, are compared with a mistyped one: a
/// directory may have millions.
const COMPARED: usize = 100_000;

/// How many other paths are named.
const NAMED: usize = 3;

/// How many letters may differ.
const FAR: usize = 3;

/// How long a name may be that is compared letter by letter, in bytes.
const SHORT: usize = 64;

impl Tree {
    /// Leaves out everything but what `paths` lead to, what is below that, and the directories above it. Of a
    /// file with several names those that are left stay names of one file, with its bytes.
    ///
    /// Symbolic links are not followed, but those that a path goes through stay too, so that it leads on.
    /// A path that leads nowhere counts for nothing. Warnings that are only about what is left out go with
    /// it.
    pub fn keep_only(&mut self, paths: &[Vec<u8>]) {
        let mut whole = HashSet::new();
        for path in paths {
            whole.extend(self.passed(path));
        }
        // Of each directory on the way, which of its names stay.
        let mut ways: HashMap<NodeId, BTreeSet<u32>> = HashMap::from([(ROOT, BTreeSet::new())]);
        for &node in &whole {
            let mut at = node;
            while at != ROOT {
                let parent = self.parent(at);
                ways.entry(parent).or_default().insert(at.number());
                at = parent;
            }
        }
        ways.retain(|directory, _| !self.is_within(*directory, &whole));
        for (directory, kept) in &ways {
            self.clear_children(*directory);
            for number in kept {
                self.hang(*directory, NodeId::from_number(*number));
            }
        }
        let kept: Vec<Vec<u8>> = whole.iter().map(|node| self.path(*node)).collect();
        self.warnings.retain(|path| {
            let path = path.strip_prefix(b"./").unwrap_or(path);
            let path = path.strip_prefix(b"/").unwrap_or(path);
            kept.iter().any(|kept| {
                kept.is_empty()
                    || path
                        .strip_prefix(&kept[..])
                        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            })
        });
    }

    /// What a path leads to, and the symbolic links that it goes through.
    fn passed(&self, path: &[u8]) -> Vec<NodeId> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let links = ends.filter_map(|(end, _)| {
            let node = self.lookup(&path[..end], false).ok().flatten()?;
            matches!(self.inode_of(node).body, Body::Symlink(_)).then_some(node)
        });
        links
            .chain(self.lookup(path, false).ok().flatten())
            .collect()
    }

    /// Whether a name is one of `whole` or below one.
    fn is_within(&self, node: NodeId, whole: &HashSet<NodeId>) -> bool {
        let mut at = node;
        loop {
            if whole.contains(&at) {
                return true;
            }
            if at == ROOT {
                return false;
            }
            at = self.parent(at);
        }
    }

    /// Paths that `path`, which leads nowhere, may have been meant to be: names in the directory that it gets
    /// to which differ by a letter or two, else the same name in other directories. A few at most.
    pub fn near(&self, path: &[u8]) -> Vec<Vec<u8>> {
        let names: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
        let names: Vec<&[u8]> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let mut directory = ROOT;
        let mut near = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let before = names[..=i].join(&b'/');
            match self.lookup(&before, true).ok().flatten() {
                Some(node) if self.is_directory(node) => directory = node,
                _ => {
                    near = self.near_names(directory, name);
                    break;
                }
            }
        }
        if near.is_empty()
            && let Some(last) = names.last()
        {
            near = self.namesakes(last);
        }
        near
    }

    fn near_names(&self, directory: NodeId, name: &[u8]) -> Vec<Vec<u8>> {
        let Ok(name) = std::str::from_utf8(name) else {
            return Vec::new();
        };
        if name.len() > SHORT {
            return Vec::new();
        }
        let children = self.children(directory).take(COMPARED);
        let mut near: Vec<(usize, NodeId)> = children
            .filter_map(|child| {
                let other = std::str::from_utf8(self.name(child)).ok()?;
                if other.len().abs_diff(name.len()) > FAR {
                    return None;
                }
                let distance = strsim::osa_distance(&name.to_lowercase(), &other.to_lowercase());
                // What differs in half of its letters is another word.
                (distance <= FAR && 2 * distance < name.len().max(2)).then_some((distance, child))
            })
            .collect();
        near.sort_by_key(|(distance, _)| *distance);
        near.truncate(NAMED);
        near.into_iter().map(|(_, node)| self.path(node)).collect()
    }

    fn namesakes(&self, name: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let mut walk = self.walk(ROOT);
        for _ in 0..COMPARED {
            let Some((entry, path)) = walk.next_entry() else {
                break;
            };
            if entry.name == name {
                found.push(path.to_vec());
                if found.len() == NAMED {
                    break;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::Limits;
    use crate::tree::inode::Inode;

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::empty(Limits::default());
        for path in paths {
            let mut at = ROOT;
            for name in path.split('/') {
                at = tree.child(at, name.as_bytes()).unwrap_or_else(|| {
                    let inode =
                        Inode::of_root(Body::Directory, 0o755, crate::tar::Mtime::default());
                    let id = tree.add_inode(inode);
                    tree.add_node(at, name.as_bytes(), id, 0)
                });
            }
        }
        tree
    }

    fn paths(tree: &Tree) -> Vec<String> {
        let mut walk = tree.walk(ROOT);
        let mut paths = Vec::new();
        while let Some((_, path)) = walk.next_entry() {
            paths.push(String::from_utf8_lossy(path).into_owned());
        }
        paths
    }

    fn kept(only: &[&str]) -> Vec<String> {
        let mut tree = tree(&["a/b/c", "a/b/d", "a/e/f", "g/h", "i"]);
        let only: Vec<Vec<u8>> = only.iter().map(|path| path.as_bytes().to_vec()).collect();
        tree.keep_only(&only);
        paths(&tree)
    }

    #[test]
    fn what_is_below_and_above_is_kept() {
        assert_eq!(kept(&["a/b"]), ["a", "a/b", "a/b/c", "a/b/d"]);
        assert_eq!(kept(&["/a/b/d/", "i"]), ["a", "a/b", "a/b/d", "i"]);
        assert_eq!(kept(&["a/b/d", "a"]).len(), 6);
        assert_eq!(kept(&["a/e/f", "a/b"]).len(), 6);
        assert_eq!(kept(&["/"]).len(), 9);
        assert_eq!(kept(&["."]).len(), 9);
        assert_eq!(kept(&["nowhere"]).len(), 0);
    }

    #[test]
    fn a_mistyped_path_has_a_near_one() {
        let tree = tree(&["etc/passwd", "etc/group", "usr/share/doc"]);
        let near = |path: &str| tree.near(path.as_bytes());
        assert_eq!(near("etc/pasword"), [b"etc/passwd"]);
        assert_eq!(near("ect/passwd"), [b"etc"]);
        assert_eq!(near("doc"), [b"usr/share/doc"]);
        assert_eq!(near("something/else"), Vec::<Vec<u8>>::new());
    }
}
