//! The user that processes run as.

use super::{AuditKind, Collected, Finding};
use crate::image::Image;
use crate::rootfs::Rootfs;

/// How much of `/etc/passwd` is read, in bytes.
const PASSWD_LIMIT: u64 = 4 << 20;

/// Looks at `User` of the config, against `/etc/passwd` where the files could be had.
pub(super) fn check(image: &Image, tree: Option<&Rootfs>, found: &mut Collected) {
    let Some(view) = image.view() else { return };
    let user = view.run.user.as_str();
    // `user`, `uid`, `user:group` and so on; nothing means root.
    let name = user.split(':').next().unwrap_or(user);
    let mut add = |kind: AuditKind, detail: String| {
        found.add(Finding {
            kind,
            path: None,
            layer: None,
            detail,
        });
    };
    let is_number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    if name.is_empty() || (is_number && name.trim_start_matches('0').is_empty()) {
        let said = if name.is_empty() {
            "the config names no user".to_owned()
        } else {
            format!("the config says user `{user}`")
        };
        add(
            AuditKind::RootUser,
            format!("{said}, so processes run as root"),
        );
        return;
    }
    if is_number {
        return;
    }
    match tree.map(passwd) {
        None if name == "root" => add(
            AuditKind::RootUser,
            "the config says user `root`".to_owned(),
        ),
        None => {}
        Some(passwd) => match uid_of(&passwd, name) {
            Some(0) => add(
                AuditKind::RootUser,
                format!("the config says user `{user}`, whose number is 0"),
            ),
            Some(_) => {}
            None => add(
                AuditKind::MissingUser,
                format!(
                    "the config says user `{user}`, which /etc/passwd of the image does not have: engines start no container of it"
                ),
            ),
        },
    }
}

/// The bytes of `/etc/passwd`; none if it is missing, no file, or larger than any.
fn passwd(tree: &Rootfs) -> Vec<u8> {
    let body = tree
        .lookup(b"etc/passwd", true)
        .ok()
        .flatten()
        .and_then(|node| tree.file_body(tree.inode(tree.inode_id(node))).ok()?);
    body.filter(|body| body.sparse.is_none() && body.stored.len() <= PASSWD_LIMIT)
        .and_then(|body| body.stored.read_all().ok())
        .unwrap_or_default()
}

fn uid_of(passwd: &[u8], name: &str) -> Option<u64> {
    passwd.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        if fields.next()? != name.as_bytes() {
            return None;
        }
        let uid = std::str::from_utf8(fields.nth(1)?).ok()?;
        uid.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_a_number() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/:/bin/false\nodd:x\n\n";
        assert_eq!(uid_of(passwd, "root"), Some(0));
        assert_eq!(uid_of(passwd, "web"), Some(33));
        for name in ["we", "odd", "", "x"] {
            assert_eq!(uid_of(passwd, name), None, "{name}");
        }
    }
}
