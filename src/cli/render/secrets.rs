//! The rows of `find --secrets`.

use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::report::{FindState, SecretPlace, SecretRow};

/// Writes secrets, a row each, and the heading before the first. Every row says which build step brought the
/// secret, what it looks like, and as much of it as may be shown.
pub(crate) fn secrets<'r>(
    out: &mut dyn Write,
    layers: usize,
    rows: impl Iterator<Item = &'r SecretRow>,
) -> io::Result<()> {
    let digits = layers.saturating_sub(1).to_string().len();
    let state = "replaced by ".len() + digits;
    let mut begun = false;
    for row in rows {
        if !begun {
            begun = true;
            writeln!(out, "LAYER  {:<state$}  STEP  WHERE", "STATE")?;
        }
        let layer = row.layer.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let step = row.step.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let became = match (row.place, row.state, row.by_layer) {
            (SecretPlace::File, Some(state), Some(by)) => format!("{} by {by}", state.word()),
            (SecretPlace::File, Some(FindState::Live), _) => "live".to_owned(),
            (SecretPlace::File, _, _) => "no file".to_owned(),
            _ => "config".to_owned(),
        };
        write!(out, "{layer:<5}  {became:<state$}  {step:<4}  ")?;
        let name = row.name.as_deref().unwrap_or_default();
        let name = escape::text(name);
        match row.place {
            SecretPlace::File => {
                let path = row.path.as_ref().map_or(&b""[..], |path| &path.0);
                escape::name(path).write_to(out)?;
            }
            SecretPlace::Env => write!(out, "environment variable {name}")?,
            SecretPlace::Label => write!(out, "label {name}")?,
            SecretPlace::Command => write!(out, "{name}")?,
            SecretPlace::OnBuild => write!(out, "ONBUILD instruction {name}")?,
            SecretPlace::Text => write!(out, "{name} of the image")?,
            SecretPlace::History => write!(out, "the build step or its arguments")?,
        }
        writeln!(out, ": {} ({})", row.detail, escape::text(&row.masked))?;
    }
    Ok(())
}
