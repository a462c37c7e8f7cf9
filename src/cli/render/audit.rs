//! The lines of `verify --audit`.

use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::report::{ImageAudit, units};

/// What to know before running an image.
pub(super) fn audit(out: &mut dyn Write, audit: &ImageAudit) -> io::Result<()> {
    let id = audit.id.as_deref().unwrap_or("<unknown>");
    let name = audit.references.first().map_or(id, String::as_str);
    if let Some(why) = &audit.unread {
        writeln!(
            out,
            "  audit {}: files not examined: {}",
            escape::text(name),
            escape::text(why)
        )?;
    }
    for file in &audit.unexamined {
        writeln!(
            out,
            "  audit {}: not examined: /{}: {}",
            escape::text(name),
            escape::name(&file.path.0),
            escape::text(&file.why)
        )?;
    }
    if audit.counts.is_empty() && audit.unread.is_none() && audit.unexamined.is_empty() {
        writeln!(out, "  audit {}: nothing found", escape::text(name))?;
    }
    let mut shown = None;
    for row in &audit.findings {
        let kind = row.kind.name();
        if shown != Some(kind) {
            shown = Some(kind);
            let count = audit.counts.get(kind).copied().unwrap_or(0);
            writeln!(out, "  audit {}: {kind} ({count})", escape::text(name))?;
        }
        let path = row
            .path
            .as_ref()
            .map(|path| format!("/{}: ", escape::name(&path.0)));
        let layer = row.layer.map(|layer| format!(" (layer {layer})"));
        writeln!(
            out,
            "    {}{}{}",
            path.unwrap_or_default(),
            escape::text(&row.detail),
            layer.unwrap_or_default()
        )?;
    }
    if audit.samples > 0 {
        let samples = units::count(
            audit.samples,
            "secret in the documentation and tests of packages is not counted",
            "secrets in the documentation and tests of packages are not counted",
        );
        writeln!(out, "    {samples}")?;
    }
    let kept = audit.findings.len();
    let all: usize = audit.counts.values().sum();
    if all > kept {
        writeln!(out, "    and {} more", all - kept)?;
    }
    Ok(())
}
