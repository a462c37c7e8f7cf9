//! What is inside the layers: names, links, whiteouts, types.
//!
//! The entries were noted while the layers were hashed. Applying them to each other, as
//! [`crate::tree`] does it, finds what a lower layer decides: whether a hard link has a target,
//! whether a directory on the way is a link. Problems of one kind in one layer are one problem with a
//! count.

use crate::base::problem::{Code, Problem};
use crate::image::{Image, Layer};
use crate::tree::{RefusedEntries, Survey, TreeFault, Warning, WarningKind};

/// The problems of one image's layers.
pub(super) fn problems(image: &Image, survey: &Survey) -> Vec<Problem> {
    let refused = survey.refused.iter().map(|refused| {
        let layer = image.layers.get(refused.layer);
        place(of_refused(refused), image, layer, refused.layer)
    });
    let warnings = survey.warnings.iter().filter_map(|warning| {
        let layer = image.layers.get(warning.layer);
        Some(place(of_warning(warning)?, image, layer, warning.layer))
    });
    refused.chain(warnings).collect()
}

fn place(problem: Problem, image: &Image, layer: Option<&Layer>, index: usize) -> Problem {
    let problem = problem.of_image(image.position).of_layer(index);
    match layer {
        Some(layer) => problem.in_member(&layer.member),
        None => problem,
    }
}

fn of_refused(refused: &RefusedEntries) -> Problem {
    let code = match &refused.fault {
        TreeFault::InvalidWhiteout => Code::WhiteoutInvalid,
        TreeFault::LinkTargetMissing(_) | TreeFault::LinkToDirectory(_) => Code::LinkTargetMissing,
        TreeFault::NotADirectory(_) => Code::EntryBelowFile,
        TreeFault::Loop => Code::EntryBelowSymlink,
        TreeFault::UnknownType(_) => Code::EntryTypeUnknown,
        _ => Code::EntryInvalid,
    };
    let consequence = match &refused.fault {
        TreeFault::NotADirectory(_) | TreeFault::Loop => {
            "podman refuses the layer, Docker and containerd with overlay make a directory in its place or refuse it"
        }
        TreeFault::InvalidWhiteout => "Docker, containerd and podman refuse the layer",
        _ => "no engine can apply the layer",
    };
    Problem::error(code, format!("an entry {}: {consequence}", refused.fault))
        .on_path(&refused.path, &refused.more, refused.count)
        .at(refused.offset)
}

fn of_warning(warning: &Warning) -> Option<Problem> {
    let code = match warning.kind {
        WarningKind::DuplicatePath => Code::DuplicatePath,
        WarningKind::LeftRoot => Code::UnsafePath,
        WarningKind::BelowSymlink | WarningKind::WhiteoutBelowSymlink => Code::EntryBelowSymlink,
        WarningKind::LinkToLower => Code::LinkToLower,
        WarningKind::OverlayWhiteoutDevice => Code::DeviceZero,
        WarningKind::ContiguousFile | WarningKind::OldSparse => Code::EntryTypeUnknown,
        WarningKind::WhiteoutInMissing
        | WarningKind::WhiteoutBelowFile
        | WarningKind::WhiteoutAndDirectory
        | WarningKind::WhiteoutAndAdded
        | WarningKind::OpaqueRoot => Code::WhiteoutAmbiguous,
        WarningKind::RootNotDirectory => Code::EntryInvalid,
        WarningKind::OverlayXattr | WarningKind::LinkWithoutXattrs => Code::XattrDiffers,
        // Attributes alone, in most images that were not built by Docker.
        WarningKind::ImpliedParent | WarningKind::TimeOutOfRange => return None,
    };
    let message = format!("an entry {}", warning.kind.describe());
    let problem = match warning.kind {
        WarningKind::ContiguousFile | WarningKind::OldSparse => Problem::error(code, message),
        _ => Problem::warning(code, message),
    };
    Some(problem.on_path(&warning.path, &warning.more, warning.count))
}
