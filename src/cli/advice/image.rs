//! On images that cannot be read or picked.

use imgtar::archive::LookupError;
use imgtar::document::{JsonError, Platform};
use imgtar::image::{LoadError, SelectError, Unreadable};

use super::foreign::WantedFile;
use super::{Advice, VERIFY, allow, archive};
use crate::cli::locale::ellipsis;

pub(super) fn on_load(error: &LoadError) -> Advice {
    match error {
        LoadError::Archive(error) => archive::on_archive(error, WantedFile::Images),
        LoadError::Source(error) => archive::on_source(error, WantedFile::Images),
        LoadError::Description { source, .. } => on_unreadable(source),
        // The limit's own hint follows.
        LoadError::TooMuch { .. } => Advice::none(),
    }
}

fn on_unreadable(error: &Unreadable) -> Advice {
    match error {
        Unreadable::Lookup(
            LookupError::Absent { .. }
            | LookupError::Lost { .. }
            | LookupError::Dangling { .. }
            | LookupError::TooManyLinks { .. }
            | LookupError::NotAFile { .. },
        )
        | Unreadable::Json(
            JsonError::Syntax(_)
            | JsonError::Encoding(_)
            | JsonError::Type { .. }
            | JsonError::Null { .. }
            | JsonError::Value { .. },
        ) => Advice::hint(VERIFY),
        Unreadable::Json(JsonError::TooLarge { exceeded, .. }) => Advice::hint(allow(exceeded)),
    }
}

pub(super) fn on_select(error: &SelectError) -> Advice {
    match error {
        SelectError::Unknown { candidates, .. } | SelectError::Several { candidates } => {
            Advice::below(
                candidates.iter().cloned(),
                "name one of these, by reference, ID or position",
            )
        }
        SelectError::Ambiguous { candidates, .. } => Advice::below(
            candidates.iter().cloned(),
            "write more of the ID, or pick one with --platform or by position",
        ),
        SelectError::Platforms {
            platforms,
            candidates,
            ..
        } => Advice::below(candidates.iter().cloned(), add_one_of(platforms)),
        SelectError::NoPlatform { candidates, .. } => Advice::below(
            candidates.iter().cloned(),
            "pick one of these with --platform, or leave the option out to see all",
        ),
        SelectError::NoImage => Advice::hint(VERIFY),
        SelectError::OutOfRange { .. } => {
            Advice::hint("`imgtar images ARCHIVE` lists the images with their positions")
        }
        SelectError::Position(_) => Advice::hint(
            "write @0, @1 and so on for a position, or a reference or an ID without the @",
        ),
    }
}

/// The options to add for these platforms, or the first few of them.
fn add_one_of(platforms: &[Platform]) -> String {
    const SHOWN: usize = 8;
    let options = platforms.iter().take(SHOWN);
    let options: Vec<String> = options.map(|one| format!("--platform {one}")).collect();
    let more = if platforms.len() > SHOWN {
        format!(", {}", ellipsis())
    } else {
        String::new()
    };
    format!("add one of: {}{more}", options.join(", "))
}
