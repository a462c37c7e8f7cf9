//! The lines of `verify` on what engines make of an archive.

use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::report::{EngineLine, Reason, VerifyArchive, VerifyLoader};

use super::layers::short;
use super::marks::Page;

/// Which engines take the archive, and why the others do not; which images an engine that takes it leaves out.
/// With `quiet`, only those that do not.
pub(super) fn loaders(
    out: &mut dyn Write,
    archive: &VerifyArchive,
    loaders: &[VerifyLoader],
    quiet: bool,
    page: Page,
) -> io::Result<()> {
    for line in EngineLine::all(loaders, page.whole) {
        let loader = line.loader;
        if quiet && loader.verdict == "loads" {
            continue;
        }
        let counts = archive.failed.iter().any(|reason| match reason {
            Reason::Loads(name) => loader.target.is_called(name),
            Reason::Error(_) => true,
            _ => false,
        });
        let bad = if counts { page.bad() } else { page.other() };
        let reason = loader.reason.as_deref().map(escape::text);
        let reason = reason.as_deref().unwrap_or_default();
        let reason = page.cut_already(reason);
        let reason = page.short(&reason);
        // Quotation marks enclose what the engine itself says, and nothing else.
        let (open, close) = if loader.quoted {
            page.quotes()
        } else {
            ("", "")
        };
        let (mark, what) = match loader.verdict {
            "loads" => (page.good(), String::new()),
            "refuses" => (bad, format!(": {open}{reason}{close}")),
            "loads-broken" => (
                bad,
                format!(": takes it and cannot run it: {open}{reason}{close}"),
            ),
            "loads-with-base" => (
                page.open(),
                format!(" where the base is loaded; elsewhere: {open}{reason}{close}"),
            ),
            "makes-nothing" => (bad, ": takes it and makes no image".to_owned()),
            _ => (page.open(), format!(": not predicted: {reason}")),
        };
        write!(out, "  {mark} ")?;
        let begun = 3 + page.mark_width();
        page.wrapped(out, &format!("{}{what}", line.label()), begun, begun + 2)?;
        if loader.verdict == "loads" {
            left_out(out, loader, page)?;
        }
    }
    Ok(())
}

/// The images that an engine leaves out although it takes the archive.
fn left_out(out: &mut dyn Write, loader: &VerifyLoader, page: Page) -> io::Result<()> {
    const MOST: usize = 3;
    // Engines keep one platform of an image: the others are not missing.
    let told = loader.images.iter();
    let told = told.filter(|fate| !fate.loaded && fate.reason.is_some());
    for fate in told.take(MOST) {
        let id = fate.id.as_deref().map_or("an image", short);
        let reason = escape::text(fate.reason.as_deref().unwrap_or_default());
        let begun = 5 + page.mark_width();
        write!(out, "{:begun$}", "")?;
        let reason = page.cut_already(&reason);
        let text = format!("leaves out {id}: {}", page.short(&reason));
        page.wrapped(out, &text, begun, begun + 2)?;
    }
    Ok(())
}
