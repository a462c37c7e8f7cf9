//! The user that processes run as.

use super::{AuditError, AuditKind, Collected, Finding};
use crate::base::options::Options;
use crate::check::secrets::TABLE_LIMIT;
use crate::image::Image;
use crate::layer::LayerOutline;
use crate::source::Span;
use crate::tree::{Body, Tree};

const PASSWD: &str = "etc/passwd";
const GROUP: &str = "etc/group";

/// Where the files are.
pub(super) struct UserFiles<'a> {
    pub(super) image: &'a Image,
    pub(super) tree: &'a Tree,
    /// The layers of the tree, which have the bodies of files with the usual names.
    pub(super) outlines: &'a [LayerOutline],
    pub(super) options: &'a Options<'a>,
}

/// Looks at `User` of the config, against `/etc/passwd` and `/etc/group` where the files could be read.
///
/// # Errors
///
/// [`AuditError`] if the operating system fails.
pub(super) fn check(
    image: &Image,
    files: Option<&UserFiles<'_>>,
    found: &mut Collected,
) -> Result<(), AuditError> {
    let Some(view) = image.view() else {
        return Ok(());
    };
    // `user`, `uid`, `user:group` and so on; nothing means root.
    let user = view.run.user.as_str();
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    self::user(user, name, files, found)?;
    self::group(user, group, files, found)
}

fn user(
    user: &str,
    name: &str,
    files: Option<&UserFiles<'_>>,
    found: &mut Collected,
) -> Result<(), AuditError> {
    let root = |said: String| Finding::of_image(AuditKind::RootUser, said);
    if name.is_empty() {
        let said = "the config names no user, so processes run as root".to_owned();
        found.add(root(said));
        return Ok(());
    }
    if let Ok(number) = name.parse::<i64>() {
        if number == 0 {
            let said = format!("the config says user `{user}`, so processes run as root");
            found.add(root(said));
        }
        return Ok(());
    }
    let Some(files) = files else {
        if name == "root" {
            found.add(root("the config says user `root`".to_owned()));
        }
        return Ok(());
    };
    match table(files, PASSWD)? {
        UserTable::Absent => found.add(missing(&format!(
            "the config says user `{user}`, and the image has no /etc/passwd that could have it"
        ))),
        UserTable::Unexamined(why) => {
            if name == "root" {
                found.add(root("the config says user `root`".to_owned()));
            }
            found.unexamined(PASSWD, &format!("whether it has the user `{name}`"), &why);
        }
        UserTable::Read(passwd) => match number_of(&passwd, name) {
            Some(0) => found.add(root(format!(
                "the config says user `{user}`, whose number is 0"
            ))),
            Some(_) => {}
            None => found.add(missing(&format!(
                "the config says user `{user}`, which /etc/passwd of the image does not have"
            ))),
        },
    }
    Ok(())
}

fn group(
    user: &str,
    name: &str,
    files: Option<&UserFiles<'_>>,
    found: &mut Collected,
) -> Result<(), AuditError> {
    let Some(files) = files else { return Ok(()) };
    if name.is_empty() || name.parse::<i64>().is_ok() {
        return Ok(());
    }
    match table(files, GROUP)? {
        UserTable::Absent => found.add(missing(&format!(
            "the config says user `{user}`, and the image has no /etc/group that could have the group `{name}`"
        ))),
        UserTable::Unexamined(why) => {
            found.unexamined(GROUP, &format!("whether it has the group `{name}`"), &why);
        }
        UserTable::Read(groups) => {
            if number_of(&groups, name).is_none() {
                found.add(missing(&format!(
                    "the config says user `{user}`, and /etc/group of the image does not have the group `{name}`"
                )));
            }
        }
    }
    Ok(())
}

fn missing(what: &str) -> Finding {
    let detail = format!("{what}: engines cannot start a container of it");
    Finding::of_image(AuditKind::MissingUser, detail)
}

/// A file of lines with names and numbers.
enum UserTable {
    /// Its bytes.
    Read(Vec<u8>),
    /// There is none.
    Absent,
    /// It was not looked at, and why.
    Unexamined(String),
}

fn table(files: &UserFiles<'_>, path: &str) -> Result<UserTable, AuditError> {
    let tree = files.tree;
    let node = match tree.lookup(path.as_bytes(), true) {
        Ok(Some(node)) => node,
        Ok(None) => return Ok(UserTable::Absent),
        Err(fault) => return Ok(UserTable::Unexamined(format!("it {fault}"))),
    };
    let inode = tree.inode(tree.inode_id(node));
    let body = match tree.file_body(inode) {
        Ok(body) => body,
        // A limit: of sparse files whose holes are too large.
        Err(why) => return Ok(UserTable::Unexamined(why.to_string())),
    };
    let Some(mut body) = body else {
        let what = match inode.body {
            Body::Directory => "a directory",
            Body::Fifo => "a named pipe",
            Body::Char(..) | Body::Block(..) => "a device",
            Body::Symlink(_) | Body::File { .. } => "something else",
        };
        let why = format!("it is not a regular file, but {what}");
        return Ok(UserTable::Unexamined(why));
    };
    if body.size > TABLE_LIMIT {
        let why = format!(
            "it has {} bytes, and at most {TABLE_LIMIT} are read",
            body.size
        );
        return Ok(UserTable::Unexamined(why));
    }
    if let Body::File { layer, offset, .. } = inode.body {
        let layer = layer as usize;
        let outline = files.outlines.get(layer);
        // It has another name, so nobody kept it: a link leads there.
        if !outline.is_none_or(|outline| outline.has_body(offset))
            && let Some(layer) = files.image.layers.get(layer)
        {
            let len = body.stored.len();
            body.stored = layer.open(files.options)?.slice(Span { offset, len });
        }
    }
    let stored = body.stored.read_all()?;
    let Some(sparse) = body.sparse else {
        return Ok(UserTable::Read(stored));
    };
    // Holes are zeros. A map that does not fit its file was refused when the layer was read.
    let mut bytes = vec![0; usize::try_from(body.size).unwrap_or(0)];
    let mut from = usize::try_from(sparse.map_len).unwrap_or(usize::MAX);
    for span in &sparse.spans {
        let place = usize::try_from(span.offset).ok();
        let len = usize::try_from(span.len).unwrap_or(usize::MAX);
        let source = from.checked_add(len).and_then(|end| stored.get(from..end));
        let target = place.and_then(|at| bytes.get_mut(at..at.checked_add(len)?));
        let (Some(source), Some(target)) = (source, target) else {
            return Ok(UserTable::Unexamined(
                "its sparse map is invalid".to_owned(),
            ));
        };
        target.copy_from_slice(source);
        from += len;
    }
    Ok(UserTable::Read(bytes))
}

/// The number in the third field of the first line with this name. What is not a number counts as 0,
/// and so does one that is not there, as the engines have it (moby/sys `user`, `parseParts`).
fn number_of(table: &[u8], name: &str) -> Option<i64> {
    table.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.trim_ascii().split(|&b| b == b':');
        if name.is_empty() || fields.next()? != name.as_bytes() {
            return None;
        }
        let number = fields.nth(1).map(std::str::from_utf8);
        let number = number.and_then(|text| text.ok()?.parse().ok());
        Some(number.unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_a_number() {
        let passwd =
            b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/:/bin/false\nodd:x\nbad:x:many:1\n\n";
        assert_eq!(number_of(passwd, "root"), Some(0));
        assert_eq!(number_of(passwd, "web"), Some(33));
        for name in ["odd", "bad"] {
            assert_eq!(number_of(passwd, name), Some(0), "{name}");
        }
        for name in ["we", "", "x"] {
            assert_eq!(number_of(passwd, name), None, "{name}");
        }
    }
}
