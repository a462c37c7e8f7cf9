//! What Docker says of single entries of a layer.

use super::overlay::{Errno, Rules, UnpackedEntry, Unpacker};
use super::{Outcome, Refusal, because, says, shown};
use crate::tar::Kind;
use crate::tree::LayerPath;

/// go-archive 0.3 (`archive.go` `Unpack`) refuses names and targets that leave the root, where older ones
/// bring them back into it. Its words, of Docker 29.7.2.
pub(super) fn refuse_escape(piece: UnpackedEntry<'_>) -> Outcome {
    if escapes(piece.path) {
        let name = shown(piece.path);
        return Err(says(format!("invalid entry name {name:?}")));
    }
    let target = piece.link.strip_prefix(b"/").unwrap_or(piece.link);
    if piece.kind == Kind::Hardlink && escapes(target) {
        let target = shown(piece.link);
        return Err(says(format!("invalid hardlink target {target:?}")));
    }
    Ok(())
}

/// An entry for the root. Older Dockers and containers/storage remove whatever stands where something that is not a
/// directory goes, but for the name `.`, and the root cannot be removed (moby `pkg/archive` `UnpackLayer`; measured
/// with every type). containerd and go-archive 0.3 pass over it.
pub(super) fn of_root(piece: UnpackedEntry<'_>, path: &LayerPath<'_>, rules: Rules<'_>) -> Outcome {
    let minds = matches!(rules.engine, Unpacker::Docker | Unpacker::Storage) && rules.is_layer;
    if !minds || piece.kind == Kind::Directory {
        return Ok(());
    }
    // A name that goes above the root is not that of the root either.
    if path.left_root() {
        return Err(because("an entry makes something else of the root"));
    }
    if piece.path.starts_with(b"/") {
        return Err(says("unlinkat .//: device or resource busy"));
    }
    Ok(())
}

/// What Docker says of a whiteout below a file that its layer adds.
pub(super) fn no_device(engine: Unpacker, parents: &[&[u8]], hidden: &[u8]) -> Refusal {
    let path = shown(&[parents, &[hidden]].concat().join(&b'/'));
    let path = if engine == Unpacker::GoArchive {
        format!("'{path}'")
    } else {
        format!("{:?}", format!("/{path}"))
    };
    says(format!(
        "failed to mknod({path}, S_IFCHR, 0): {}",
        Errno::NotADirectory
    ))
}

/// go-archive 0.3 sets the attributes of a link on what it leads to in the layer's own directory (measured with
/// Docker 28.5 of Debian; older ones set them on the link). `why` is why that was not found.
pub(super) fn set_through_link(why: Option<Errno>, xattr: &[u8]) -> Outcome {
    match why {
        // A file is no directory to go on from, and can have attributes.
        None | Some(Errno::NotADirectory) => Ok(()),
        Some(Errno::TooManyLinks) => Err(says("too many links")),
        Some(why) => {
            let name = shown(xattr);
            Err(says(format!("lsetxattr …: xattr {name:?}: {why}")))
        }
    }
}

/// Whether a name as written goes above the directory that it is in.
fn escapes(name: &[u8]) -> bool {
    let mut depth = 0_i64;
    name.split(|&b| b == b'/').any(|part| {
        depth += match part {
            b"" | b"." => 0,
            b".." => -1,
            _ => 1,
        };
        depth < 0
    })
}
