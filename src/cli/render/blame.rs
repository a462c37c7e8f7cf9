//! The rows of `blame`.

use std::io::Write;

use imgtar::base::escape;
use imgtar::base::limits::Limits;
use imgtar::report::{Blame, BlameAction, BlamePath, BlameStep, HowHidden, units};

use super::columns::table;
use crate::cli::locale::ellipsis;
use crate::cli::output::Stop;

/// How many characters of a build step are shown, as `docker history` cuts it.
const STEP: usize = 45;

/// A block of rows for each path.
pub(crate) fn blame(
    out: &mut dyn Write,
    blame: &Blame,
    whole: bool,
    limits: &Limits,
) -> Result<(), Stop> {
    for (i, path) in blame.paths.iter().enumerate() {
        if i > 0 {
            out.write_all(b"\n")?;
        }
        one(out, path, whole, limits)?;
    }
    Ok(())
}

fn one(out: &mut dyn Write, path: &BlamePath, whole: bool, limits: &Limits) -> Result<(), Stop> {
    let shown = |path: &[u8]| match path {
        b"" => ".".to_owned(),
        path => escape::name(path).to_string(),
    };
    out.write_all(shown(&path.path.0).as_bytes())?;
    if let Some(via) = &path.via {
        write!(out, " (through {})", shown(&via.0))?;
    }
    if !path.live {
        out.write_all(b" (no longer in the image)")?;
    }
    out.write_all(b"\n")?;
    table(out, limits, |cells| {
        cells(&["LAYER", "ACTION", "SIZE", "CREATED BY"])?;
        for step in &path.steps {
            let row = row(step, whole);
            cells(&row.each_ref().map(String::as_str))?;
        }
        Ok(())
    })
}

/// What a step did, in words.
pub(crate) fn action(step: &BlameStep) -> String {
    let words: Vec<&str> = step.what.iter().map(|aspect| aspect.word()).collect();
    let mut action = match step.action {
        BlameAction::Added if step.implied => "added without an entry".to_owned(),
        BlameAction::Added => "added".to_owned(),
        BlameAction::Changed if words.is_empty() => "written again, the same".to_owned(),
        BlameAction::Changed => format!("changed: {}", words.join(", ")),
        BlameAction::Linked => "linked".to_owned(),
        BlameAction::Deleted => format!(
            "deleted by {}",
            match step.by {
                Some(HowHidden::Opaque) => "an opaque whiteout",
                Some(HowHidden::Parent) => "what replaced its directory",
                Some(HowHidden::Whiteout | HowHidden::Entry) | None => "a whiteout",
            }
        ),
    };
    if let Some(target) = &step.target {
        let arrow = if step.action == BlameAction::Linked {
            " to "
        } else {
            " -> "
        };
        action.push_str(arrow);
        action.push_str(&escape::name(&target.0).to_string());
    }
    action
}

fn row(step: &BlameStep, whole: bool) -> [String; 4] {
    let action = action(step);
    let size = step.size.map_or_else(|| "-".to_owned(), units::size);
    let maker = step
        .created_by
        .as_deref()
        .filter(|step| !step.is_empty())
        .unwrap_or("-");
    let maker = if whole {
        escape::text(maker).to_string()
    } else {
        cut(maker)
    };
    [step.layer.to_string(), action, size, maker]
}

/// A build step in one line that is not too long.
pub(super) fn cut(step: &str) -> String {
    let line = step.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = escape::text(&line).to_string();
    if line.chars().count() <= STEP {
        return line;
    }
    let mut short: String = line.chars().take(STEP - 1).collect();
    short.push_str(ellipsis());
    short
}
