//! The file that an entry makes, whatever its name. Each branch cites its rule in `docs/layers.md`.

use super::apply::{Apply, Fallible};
use super::attributes::{check_xattrs, device, mode, owner};
use super::budget::xattrs_len;
use super::error::TreeFault;
use super::inode::{Body, Inode, Xattr, Xattrs};
use super::warning::WarningKind;
use crate::tar::{Entry, Kind};

/// Attributes that act on overlay file systems.
const OVERLAY: &[u8] = b"trusted.overlay.";

impl Apply<'_> {
    /// A new inode for an entry that is not a hard link.
    pub(super) fn inode(&mut self, entry: &Entry) -> Fallible<Inode> {
        let body = match entry.kind {
            Kind::Directory => Body::Directory,
            Kind::Symlink if entry.link.is_empty() => return Err(TreeFault::EmptySymlink),
            // L7: targets are kept as they are written, wherever they lead.
            Kind::Symlink => {
                self.tree.budget.path(entry.link.len())?;
                Body::Symlink(entry.link.as_slice().into())
            }
            Kind::Char => {
                let (major, minor) = device(entry)?;
                if (major, minor) == (0, 0) {
                    self.warn(WarningKind::OverlayWhiteoutDevice, &entry.path);
                }
                Body::Char(major, minor)
            }
            Kind::Block => {
                let (major, minor) = device(entry)?;
                Body::Block(major, minor)
            }
            Kind::Fifo => Body::Fifo,
            Kind::File | Kind::Other(b'7') => self.file(entry),
            Kind::Other(flag) => return Err(TreeFault::UnknownType(flag)),
            // Handled by the caller.
            Kind::Hardlink | Kind::Global => return Err(TreeFault::UnknownType(entry.typeflag)),
        };
        let mode = if matches!(body, Body::Symlink(_)) {
            0o777
        } else {
            mode(entry)
        };
        Ok(Inode {
            uid: owner(entry.uid)?,
            gid: owner(entry.gid)?,
            xattrs: self.xattrs(entry)?,
            ..Inode::of_root(body, mode, entry.mtime)
        })
    }

    fn file(&mut self, entry: &Entry) -> Body {
        match entry.typeflag {
            b'7' => self.warn(WarningKind::ContiguousFile, &entry.path),
            b'S' => self.warn(WarningKind::OldSparse, &entry.path),
            _ => {}
        }
        Body::File {
            layer: self.layer,
            offset: entry.data_offset,
            size: entry.size,
            sparse: entry
                .sparse
                .as_ref()
                .map(|map| Box::new((map.clone(), entry.stored_size))),
        }
    }

    /// L16: extended attributes, but those that act on overlay file systems.
    pub(super) fn xattrs(&mut self, entry: &Entry) -> Fallible<Xattrs> {
        if entry.xattrs.is_empty() {
            return Ok(Xattrs::default());
        }
        let mut kept: Vec<Xattr> = Vec::with_capacity(entry.xattrs.len());
        for (name, value) in &entry.xattrs {
            if name.starts_with(OVERLAY) {
                self.warn(WarningKind::OverlayXattr, &entry.path);
            } else {
                kept.push((name.as_slice().into(), value.as_slice().into()));
            }
        }
        kept.sort();
        check_xattrs(self.tree.budget.limits(), &kept)?;
        if self.last_xattrs.as_slice() != kept {
            self.tree.budget.attributes(xattrs_len(&kept))?;
            self.last_xattrs = Xattrs::new(kept);
        }
        Ok(self.last_xattrs.clone())
    }
}
