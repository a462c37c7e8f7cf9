//! Extended attributes that a Linux kernel refuses to set (`setxattr(2)`; `fs/xattr.c`), and so an engine
//! that unpacks them. Measured with ext4 below overlay.

use super::walk::Kind;

/// The longest name, in bytes (`XATTR_NAME_MAX`).
const NAME_LIMIT: usize = 255;
/// The longest value, in bytes (`XATTR_SIZE_MAX`).
const VALUE_LIMIT: usize = 64 << 10;

/// Why an attribute is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeFault {
    /// The file system has no such kind of attribute: `EOPNOTSUPP`.
    NotSupported,
    /// No attribute can have this name or value: `EINVAL`, `ERANGE`, `E2BIG`.
    Invalid,
    /// Attributes of users belong to files and directories: `EPERM`.
    OnLink,
}

impl AttributeFault {
    /// Why an attribute of a file of this kind is refused; `None` if it is not.
    pub fn of(name: &[u8], value: &[u8], kind: Kind) -> Option<Self> {
        fault(name, value, kind)
    }

    /// Which engines do what with a layer that has it, and why, for people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::NotSupported => {
                "Linux has no such attribute: Docker refuses the layer, containerd and podman leave the attribute out"
            }
            Self::Invalid => {
                "the kernel refuses its name or value: Docker, containerd and podman refuse the layer"
            }
            Self::OnLink => {
                "the kernel refuses attributes of users on links and devices: podman refuses the layer, Docker 29.7 sets it on what a link leads to and refuses the layer if nothing is there, older ones and containerd leave the attribute out"
            }
        }
    }
}

/// An attribute that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAttribute {
    /// Its name.
    pub name: Vec<u8>,
    /// Why.
    pub fault: AttributeFault,
}

impl RefusedAttribute {
    /// The first of an entry's attributes that is refused.
    pub fn first(xattrs: &[(Vec<u8>, Vec<u8>)], kind: Kind) -> Option<Self> {
        xattrs.iter().find_map(|(name, value)| {
            Some(Self {
                fault: fault(name, value, kind)?,
                name: name.clone(),
            })
        })
    }
}

fn fault(name: &[u8], value: &[u8], kind: Kind) -> Option<AttributeFault> {
    if name.is_empty() || name.len() > NAME_LIMIT || value.len() > VALUE_LIMIT {
        return Some(AttributeFault::Invalid);
    }
    let namespace = name.split(|&b| b == b'.').next().unwrap_or_default();
    let named = name.len() > namespace.len() + 1;
    match namespace {
        b"user" if named => {
            let on_link = !matches!(kind, Kind::File | Kind::Directory | Kind::Hardlink);
            on_link.then_some(AttributeFault::OnLink)
        }
        b"user" | b"trusted" | b"security" if name.contains(&b'.') && !named => {
            Some(AttributeFault::Invalid)
        }
        b"trusted" if named => None,
        b"security" if named => {
            let broken = name == b"security.capability" && !is_capability(value);
            broken.then_some(AttributeFault::Invalid)
        }
        b"system"
            if matches!(
                name,
                b"system.posix_acl_access" | b"system.posix_acl_default"
            ) =>
        {
            (!is_acl(value)).then_some(AttributeFault::NotSupported)
        }
        _ => Some(AttributeFault::NotSupported),
    }
}

/// Whether a value is one of `security.capability`: its revision and the length that goes with it
/// (`linux/capability.h`, `security/commoncap.c` `cap_convert_nscap`).
fn is_capability(value: &[u8]) -> bool {
    let Some((magic, _)) = value.split_first_chunk() else {
        return false;
    };
    let revision = u32::from_le_bytes(*magic) >> 24;
    matches!((revision, value.len()), (1, 12) | (2, 20) | (3, 24))
}

/// Whether a value has the form of an access control list: version 2 and entries of eight bytes
/// (`linux/posix_acl_xattr.h`).
fn is_acl(value: &[u8]) -> bool {
    let Some((version, entries)) = value.split_first_chunk() else {
        return false;
    };
    u32::from_le_bytes(*version) == 2 && entries.len() % 8 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: &[u8], kind: Kind) -> Option<AttributeFault> {
        fault(name.as_bytes(), value, kind)
    }

    #[test]
    fn attributes_are_judged_as_the_kernel_does() {
        use AttributeFault::{Invalid, NotSupported, OnLink};
        let file = |name: &str, value: &[u8]| of(name, value, Kind::File);
        for name in ["user.foo", "trusted.x", "security.selinux", "security.ima"] {
            assert_eq!(file(name, b"x"), None, "{name}");
        }
        for name in [
            "com.apple.provenance",
            "nodot",
            "system.nfs4_acl",
            "system.ntfs_acl",
        ] {
            assert_eq!(file(name, b"x"), Some(NotSupported), "{name}");
        }
        assert_eq!(file("system.posix_acl_access", b"junk"), Some(NotSupported));
        let long = format!("user.{}", "x".repeat(251));
        for name in ["", "user.", &long] {
            assert_eq!(file(name, b"x"), Some(Invalid), "{name}");
        }
        assert_eq!(file("user.x", &vec![0; 70_000]), Some(Invalid));
        assert_eq!(file("security.capability", b"junk"), Some(Invalid));
        let capability = [&[1, 0, 0, 2][..], &[0; 16]].concat();
        assert_eq!(file("security.capability", &capability), None);
        assert_eq!(of("user.x", b"x", Kind::Symlink), Some(OnLink));
    }
}
