//! On layers that cannot be read or applied.

use imgtar::image::LeftOut;
use imgtar::layer::LayerError;
use imgtar::tar::{TarError, TarFault};
use imgtar::tree::TreeError;

use super::foreign::WantedFile;
use super::{Advice, EXPORTS, READ_FAILED, VERIFY, archive, no_room_for};

pub(super) fn on_layer(error: &LayerError) -> Advice {
    match error {
        LayerError::Missing(_) | LayerError::Tar(_) | LayerError::Decode { .. } => {
            Advice::hint(VERIFY)
        }
        LayerError::LeftOut(left_out) => Advice::hint(merge(left_out)),
        // The limit's own hint follows.
        LayerError::Limit(_) => Advice::none(),
        LayerError::Spool(_) => no_room_for("the uncompressed layer"),
        LayerError::Read(_) => Advice::hint(READ_FAILED),
    }
}

/// How a thin archive gets its layers back.
fn merge(left_out: &LeftOut) -> String {
    let thin = match &*left_out.archive {
        "-" => "THIN",
        path => path,
    };
    let base = match left_out.bases.first() {
        Some(base) => format!("BASE is an archive that holds {}", base.display_name()),
        None => "BASE is an archive that has them".to_owned(),
    };
    format!("`imgtar merge {thin} BASE -o FULL` puts the layers back; {base}")
}

pub(super) fn on_rootfs(error: &TreeError) -> Advice {
    match error {
        TreeError::Entry { .. } => Advice::hint(
            "no engine can apply this layer either; `imgtar ls --layer` shows its entries",
        ),
        TreeError::NotRootfs { .. } => Advice::hint(EXPORTS),
        TreeError::Flat(error) => on_flat(error),
        TreeError::FlatEntry { .. } => {
            Advice::hint("no container can have such a file; leave it out of the tar")
        }
        TreeError::Image { .. } => Advice::hint(
            "`imgtar verify` reports everything that is wrong with the archive; --no-verify flattens what is there",
        ),
        TreeError::Layer { source, .. } => on_layer(source),
        // The limit's own hint follows; more entries than can be counted have no limit to raise.
        TreeError::Limit { .. }
        | TreeError::Expansion { .. }
        | TreeError::TooManyEntries { .. } => Advice::none(),
        TreeError::Compare { source, .. } => archive::on_source(source, WantedFile::Images),
        TreeError::File { .. } => Advice::hint("`imgtar ls` lists what the image holds"),
        TreeError::WorkingDirectory { .. } => {
            Advice::hint("no engine can start this image; give it a shorter WORKDIR")
        }
    }
}

/// On a tar that should have been that of a container's files.
fn on_flat(error: &TarError) -> Advice {
    match &error.fault {
        TarFault::Read(_) => Advice::hint(READ_FAILED),
        TarFault::TruncatedHeader
        | TarFault::TruncatedBody { .. }
        | TarFault::Checksum { .. }
        | TarFault::StrayZeroBlock
        | TarFault::Number { .. }
        | TarFault::NegativeSize { .. }
        | TarFault::PaxRecord { .. }
        | TarFault::PaxValue { .. }
        | TarFault::MetaTooLong(..)
        | TarFault::SparseTooLong(_)
        | TarFault::Sparse => Advice::hint(EXPORTS),
    }
}
