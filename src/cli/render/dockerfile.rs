//! The text of `dockerfile`.

use std::io::Write;

use imgtar::base::escape;
use imgtar::report::DockerfileReport;

use crate::cli::output::Stop;

/// A Dockerfile. On a terminal nothing in it acts on that; elsewhere it is exactly what engines should read.
pub(crate) fn dockerfile(
    out: &mut dyn Write,
    report: &DockerfileReport,
    terminal: bool,
) -> Result<(), Stop> {
    let text = report.dockerfile();
    if terminal {
        out.write_all(escape::text_but(&text, "\n\t").as_bytes())?;
    } else {
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}
