//! On archives that cannot be written.

use imgtar::document::{ChangeError, RefusedChange};
use imgtar::layer::digest::StoredPart;
use imgtar::output::WriteError;

use super::foreign::WantedFile;
use super::{Advice, archive, layer, no_room_for, on_output};

pub(super) fn on_write(error: &WriteError) -> Advice {
    match error {
        WriteError::Tree(error) => layer::on_rootfs(error),
        WriteError::Read(error) => archive::on_source(error, WantedFile::Images),
        WriteError::Change(error) => on_change(error),
        WriteError::WhiteoutName { .. } => {
            Advice::hint("rename the file or leave it out; no image can hold a file of that name")
        }
        WriteError::Write(error) => on_output(error),
        WriteError::Spool { .. } => no_room_for("the new layer, uncompressed"),
        WriteError::Layer { source, .. } => layer::on_layer(source),
        WriteError::Blob { .. } => Advice::hint(super::READ_FAILED),
        WriteError::Mismatch(mismatch) if mismatch.name.image.is_none() => Advice::hint(
            "the layer was changed or damaged; `imgtar verify` reports what else is wrong, --no-verify flattens it anyway",
        ),
        WriteError::Mismatch(mismatch) if mismatch.name.part == StoredPart::Blob => Advice::hint(
            "it was changed or damaged, and the new archive would not show that; `imgtar verify` reports what else is wrong",
        ),
        WriteError::Mismatch(_) => Advice::hint(
            "the layer was changed or damaged, and the new archive would not show that; `imgtar verify` reports what else is wrong",
        ),
        WriteError::NoLayer { .. } => Advice::hint("`imgtar layers` lists the layers"),
        // The limit's own hint follows.
        WriteError::TooMuch { .. } => Advice::none(),
        WriteError::Image { .. } => Advice::hint(super::VERIFY),
    }
}

fn on_change(error: &ChangeError) -> Advice {
    match error.refused() {
        RefusedChange::Instruction => Advice::hint(
            "CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR can change a config",
        ),
        // Docker's message says what it expects instead.
        RefusedChange::Syntax | RefusedChange::Value => Advice::none(),
    }
}
