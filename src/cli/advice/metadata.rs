//! On metadata that cannot be used, and on archives that cannot be rebuilt from it.

use imgtar::base::limits::Exceeded;
use imgtar::split::metadata::{MetadataError, StreamFault};
use imgtar::split::rebuild::RebuildError;

use super::foreign::WantedFile;
use super::{Advice, VERIFY, archive, image, layer, no_room_for, on_output, write};

const DAMAGED: &str = "the metadata was damaged or changed; flatten the archive again";

pub(super) fn on_metadata(error: &MetadataError) -> Advice {
    match error {
        MetadataError::Source(error) => archive::on_source(error, WantedFile::Images),
        // It is metadata that should have been a tar, and not an image archive.
        MetadataError::Archive(_) | MetadataError::NotMetadata { .. } => {
            Advice::hint("`imgtar flatten app.tar -o rootfs.tar --metadata FILE` writes metadata")
        }
        MetadataError::Version { .. } | MetadataError::Unknown { .. } => Advice::hint(
            "it was written by another version of imgtar; docs/metadata.md describes the format of this one",
        ),
        // The hint of the limit follows; the file may be sound, and only large.
        MetadataError::Member {
            fault: StreamFault::Limit(_),
            ..
        } => Advice::none(),
        MetadataError::Member {
            fault: StreamFault::Read(error),
            ..
        } if Exceeded::behind(error).is_some() => Advice::none(),
        MetadataError::Missing { .. } | MetadataError::Member { .. } => Advice::hint(
            "the file was damaged or changed; compare its checksum with the sender's, or flatten the archive again",
        ),
        MetadataError::Layer { source, .. } => layer::on_layer(source),
        MetadataError::Changed { .. } => Advice::hint(
            "something else writes to the archive; wait until it is complete, then try again",
        ),
        MetadataError::Tar(_) => Advice::hint(VERIFY),
        MetadataError::Write(error) => on_output(error),
        MetadataError::Spool(_) => no_room_for("what the metadata holds, decompressed"),
    }
}

pub(super) fn on_rebuild(error: &RebuildError) -> Advice {
    match error {
        RebuildError::Metadata(error) => on_metadata(error),
        RebuildError::Source(error) => archive::on_source(error, WantedFile::Images),
        RebuildError::Flat { .. } => {
            Advice::hint("the flat tar comes first: imgtar rebuild ROOTFS.tar --metadata FILE")
        }
        RebuildError::Tree(error) if Exceeded::behind(error).is_some() => Advice::none(),
        RebuildError::Tree(_) | RebuildError::Mismatch(_) => Advice::hint(DAMAGED),
        RebuildError::Changed { changes, count, .. } => Advice::below(
            further(changes, *count),
            "give the flat tar as `flatten` wrote it, with the metadata that was written beside it; --accept-changes makes one more layer of what was changed",
        ),
        RebuildError::Lost { bodies, count, .. } => Advice::below(
            further(bodies, *count),
            "the metadata does not repeat what the flat tar holds; `imgtar commit ARCHIVE ROOTFS.tar` makes the same layer from the original archive",
        ),
        RebuildError::Expansion { .. } | RebuildError::FlatLimit { .. } => Advice::none(),
        RebuildError::Spool(_) => no_room_for("the compressed layers"),
        RebuildError::SpoolArchive(_) => no_room_for("the archive"),
        RebuildError::Archive(error) => archive::on_archive(error, WantedFile::Images),
        RebuildError::Load(error) => image::on_load(error),
        RebuildError::Layer(error) => write::on_write(error),
        RebuildError::Write(error) => on_output(error),
    }
}

/// Those that the message does not name; it has the first of `count`.
fn further<T: ToString>(named: &[T], count: u64) -> impl Iterator<Item = String> {
    let left = count.saturating_sub(named.len() as u64);
    let left = (left > 0).then(|| format!("and {left} more"));
    named.iter().skip(1).map(T::to_string).chain(left)
}
