//! The text of `dockerfile`.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use imgtar::base::escape;
use imgtar::report::DockerfileReport;

use crate::cli::output::Stop;

const COMMENT: Style = Style::new().dimmed();
const LOSSY: Style = AnsiColor::Yellow.on_default();
const NAME: Style = Style::new().bold();

/// A Dockerfile. On a terminal nothing in it acts on that, and comments stand back; elsewhere it is exactly what
/// engines should read.
pub(crate) fn dockerfile(
    out: &mut dyn Write,
    report: &DockerfileReport,
    terminal: bool,
) -> Result<(), Stop> {
    let text = report.dockerfile();
    if !terminal {
        out.write_all(text.as_bytes())?;
        return Ok(());
    }
    let mut continued = false;
    for line in text.lines() {
        let shown = escape::text_but(line, "\t");
        let is_comment = line.starts_with('#') && !continued;
        match shown.split_once(' ') {
            _ if is_comment => {
                let is_lossy = ["# lossy:", "# guess:"]
                    .iter()
                    .any(|begin| line.starts_with(begin));
                let style = if is_lossy { LOSSY } else { COMMENT };
                writeln!(out, "{style}{shown}{style:#}")?;
            }
            Some((name, rest)) if !continued => writeln!(out, "{NAME}{name}{NAME:#} {rest}")?,
            _ => writeln!(out, "{shown}")?,
        }
        continued = !is_comment && line.ends_with('\\');
    }
    Ok(())
}
