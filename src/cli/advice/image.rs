//! On images that cannot be read or picked.

use std::path::Path;

use imgtar::archive::LookupError;
use imgtar::document::{JsonError, Platform};
use imgtar::image::{LoadError, SelectError, Unreadable};

use super::super::slips::is_archive_name;
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
        SelectError::Unknown {
            wanted,
            candidates,
            tags,
        } => Advice::below(candidates.iter().cloned(), meant_by(wanted, tags)),
        SelectError::Several { candidates } => Advice::below(candidates.iter().cloned(), NAME_ONE),
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

/// For images that can be named.
const NAME_ONE: &str = "name one of these, by reference, ID or position";

/// What was meant by the name of an image that is not there.
fn meant_by(wanted: &str, tags: &[String]) -> String {
    const SHOWN: usize = 8;
    let is_bare = !wanted
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .contains([':', '@']);
    let latest = if is_bare {
        format!("{wanted} means {wanted}:latest; ")
    } else {
        String::new()
    };
    match tags {
        [] if Path::new(wanted).is_file() => format!(
            "{wanted} is a file, and an image was expected: a command takes one archive; `imgtar diff OLD NEW` compares two, `imgtar merge` makes one of several, -o names an output"
        ),
        [] if is_archive_name(wanted) => {
            format!("an image was expected here; an output is named with -o {wanted}")
        }
        [] => NAME_ONE.to_owned(),
        [one] => format!("{latest}the archive holds {one}"),
        tags => {
            let shown = tags.iter().take(SHOWN).map(String::as_str);
            let shown: Vec<&str> = shown.collect();
            let more = if tags.len() > SHOWN {
                format!(", {}", ellipsis())
            } else {
                String::new()
            };
            format!(
                "{latest}the archive holds {}{more}: name one",
                shown.join(", ")
            )
        }
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
