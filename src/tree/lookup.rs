//! Finding a file by its path, as a process inside the image would.

use super::error::TreeFault;
use super::inode::Body;
use super::nodes::{NodeId, Tree};
use super::resolve::Way;

impl Tree {
    /// The name that `path` leads to, symbolic links on the way followed inside the root (L9), and
    /// the last one too if `follow` says so. `None` if there is nothing.
    ///
    /// # Errors
    ///
    /// [`TreeFault::Loop`] if symbolic links go round in circles.
    pub fn lookup(&self, path: &[u8], follow: bool) -> Result<Option<NodeId>, TreeFault> {
        let components: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
        // `link/` means what the link leads to.
        let follow = follow || path.ends_with(b"/");
        let mut way = Way::new(&components);
        while let Some(name) = way.next(self) {
            let Some(child) = self.child(way.here(), &name) else {
                return Ok(None);
            };
            match &self.inode_of(child).body {
                Body::Directory => way.enter(child, name.len()),
                Body::Symlink(target) if follow || !way.is_at_end() => {
                    way.follow(self, target, child)?;
                }
                _ if way.is_at_end() => return Ok(Some(child)),
                _ => return Ok(None),
            }
        }
        Ok(Some(way.found().directory))
    }
}
