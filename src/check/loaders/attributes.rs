//! Extended attributes that an engine fails to set: measured with attributes of every kind, in the outer tar
//! and in layers, on Docker 26.1 (both stores), containerd and podman 5.4.

use super::{Outcome, because, says};
use crate::archive::Member;
use crate::layer::Inventory;
use crate::tar::{AttributeFault, RefusedAttribute};

/// Who reads a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// Docker's own store fails at everything but `EPERM` (moby `pkg/archive` `createTarFile`).
    Docker,
    /// containerd passes over what the file system does not have (`pkg/archive/tar.go`).
    Containerd,
    /// podman too, and fails at attributes of users on links.
    Podman,
}

/// The outer tar: Docker's own store unpacks it, attributes included; nobody else does.
pub(super) fn outer(members: &[Member]) -> Outcome {
    for member in members {
        let Some(refused) = &member.refused_attribute else {
            continue;
        };
        let name = super::shown(&refused.name);
        match refused.fault {
            AttributeFault::NotSupported => {
                return Err(says(format!(
                    "lsetxattr {name} /{}: operation not supported",
                    member.name.to_lossy()
                )));
            }
            AttributeFault::Invalid => {
                return Err(because(format!(
                    "the kernel refuses the attribute `{name}` of the member `{}`",
                    member.name.to_lossy()
                )));
            }
            AttributeFault::OnLink => {}
        }
    }
    Ok(())
}

/// A layer.
pub(super) fn layer(inventory: &Inventory, reader: Reader) -> Outcome {
    for (item, xattrs) in inventory.attributes() {
        let Some(refused) = RefusedAttribute::first(xattrs, item.kind) else {
            continue;
        };
        let fails = match refused.fault {
            AttributeFault::NotSupported => reader == Reader::Docker,
            AttributeFault::Invalid => true,
            AttributeFault::OnLink => reader == Reader::Podman,
        };
        if fails {
            return Err(because(format!(
                "the kernel refuses the attribute `{}` of `{}`",
                super::shown(&refused.name),
                super::shown(item.path)
            )));
        }
    }
    Ok(())
}
