//! What an entry says about its file, as far as Linux accepts it.

use super::apply::Fallible;
use super::error::TreeFault;
use super::inode::Xattr;
use crate::base::limits::{Limit, Limits};
use crate::tar::Entry;

/// Both lists, sorted, the new value where both have one. A file may be linked to very often, with one
/// attribute more each time, so the old ones stay where they are.
pub(super) fn merged(mut old: Vec<Xattr>, new: Vec<Xattr>) -> Vec<Xattr> {
    for (name, value) in new {
        match old.binary_search_by(|(other, _)| other.cmp(&name)) {
            Ok(at) => old[at].1 = value,
            Err(at) => old.insert(at, (name, value)),
        }
    }
    old
}

/// The kernel lists the names of a file's attributes in 64 KiB (`XATTR_LIST_MAX`), a NUL behind each,
/// and knows none that are shorter than a prefix and a dot.
pub(super) fn check_xattrs(limits: &Limits, xattrs: &[Xattr]) -> Fallible<()> {
    let len = |(name, _): &Xattr| name.len().max(6) + 1;
    let listed: usize = xattrs.iter().map(len).sum();
    Ok(limits.check_count(Limit::Xattrs, listed)?)
}

/// Permissions, setuid, setgid and sticky; what else the field holds is the type once more.
pub(super) fn mode(entry: &Entry) -> u16 {
    u16::try_from(entry.mode & 0o7777).unwrap_or(0)
}

/// Owners are 32 bits wide; engines that took more ended with root (CVE-2024-40635).
pub(super) fn owner(id: i64) -> Fallible<u32> {
    u32::try_from(id).map_err(|_| TreeFault::Number("owner"))
}

pub(super) fn device(entry: &Entry) -> Fallible<(u32, u32)> {
    let number = |n| u32::try_from(n).map_err(|_| TreeFault::Number("device number"));
    Ok((number(entry.device.0)?, number(entry.device.1)?))
}
