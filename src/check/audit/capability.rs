//! File capabilities (`struct vfs_cap_data`, `include/uapi/linux/capability.h`).

use std::fmt;

/// The names by number, as `capabilities(7)` has them.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The value of `security.capability`, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What a process may have, a bit each.
    pub permitted: u64,
    /// What it may inherit.
    pub inheritable: u64,
    /// Whether what is permitted is in effect from the start.
    pub effective: bool,
    /// The user that is root where the capabilities count, since version 3.
    pub root: Option<u32>,
}

impl Capabilities {
    /// Reads the attribute; `None` if it has another form.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let word = |i: usize| {
            let bytes = bytes.get(4 * i..4 * i + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let magic = word(0)?;
        let (words, has_root) = match (magic & 0xff00_0000, bytes.len()) {
            (0x0100_0000, 12) => (1, false),
            (0x0200_0000, 20) => (2, false),
            (0x0300_0000, 24) => (2, true),
            _ => return None,
        };
        let mut sets = [0_u64; 2];
        for half in 0..words {
            for (set, bits) in sets.iter_mut().enumerate() {
                *bits |= u64::from(word(1 + 2 * half + set)?) << (32 * half);
            }
        }
        Some(Self {
            permitted: sets[0],
            inheritable: sets[1],
            effective: magic & 1 != 0,
            root: if has_root { Some(word(5)?) } else { None },
        })
    }
}

impl fmt::Display for Capabilities {
    /// As `getcap` prints it: `cap_net_raw,cap_net_admin=ep`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.permitted | self.inheritable;
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for bit in (0..64).filter(|bit| all >> bit & 1 != 0) {
            let mut flags = String::new();
            if self.effective {
                flags.push('e');
            }
            if self.inheritable >> bit & 1 != 0 {
                flags.push('i');
            }
            if self.permitted >> bit & 1 != 0 {
                flags.push('p');
            }
            let name = NAMES
                .get(bit)
                .map_or_else(|| bit.to_string(), |name| format!("cap_{name}"));
            match groups.iter_mut().find(|(known, _)| *known == flags) {
                Some((_, names)) => names.push(name),
                None => groups.push((flags, vec![name])),
            }
        }
        if groups.is_empty() {
            f.write_str("no capability")?;
        }
        for (i, (flags, names)) in groups.iter().enumerate() {
            let blank = if i == 0 { "" } else { " " };
            write!(f, "{blank}{}={flags}", names.join(","))?;
        }
        match self.root {
            Some(root) if root != 0 => write!(f, " [rootid={root}]"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn sets_are_printed_as_getcap_does() {
        for (words, text) in [
            (
                &[0x0200_0001, 1 << 13 | 1 << 12, 0, 0, 0][..],
                "cap_net_admin,cap_net_raw=ep",
            ),
            (
                &[0x0200_0000, 1 << 10, 1 << 10, 0, 0],
                "cap_net_bind_service=ip",
            ),
            (
                &[0x0200_0001, 1, 2, 0, 0],
                "cap_chown=ep cap_dac_override=ei",
            ),
            (&[0x0200_0000, 0, 0, 1 << 7, 0], "cap_bpf=p"),
            (
                &[0x0300_0000, 1 << 21, 0, 0, 0, 1000],
                "cap_sys_admin=p [rootid=1000]",
            ),
            (&[0x0300_0000, 1 << 21, 0, 0, 0, 0], "cap_sys_admin=p"),
            (&[0x0100_0000, 1 << 21, 0], "cap_sys_admin=p"),
            (&[0x0200_0000, 0, 0, 1 << 31, 0], "63=p"),
            (&[0x0200_0000, 0, 0, 0, 0], "no capability"),
        ] {
            let read = Capabilities::read(&bytes(words)).expect("a set");
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn other_forms_are_none() {
        for words in [
            &[][..],
            &[0x0200_0000],
            &[0x0200_0000, 0, 0, 0, 0, 0],
            &[0x0400_0000, 0, 0, 0, 0],
        ] {
            assert_eq!(Capabilities::read(&bytes(words)), None, "{words:?}");
        }
    }
}
