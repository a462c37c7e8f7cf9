//! The rows of `find`.

use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::report::{FileType, FindEntry, FindState, units};

/// Writes rows one at a time: there may be millions, so the widths of columns do not depend on them.
pub(crate) struct FindRows<'o> {
    out: &'o mut dyn Write,
    /// How wide a layer's number is.
    digits: usize,
    begun: bool,
}

impl<'o> FindRows<'o> {
    /// Rows for an image with so many layers.
    pub(crate) fn new(out: &'o mut dyn Write, layers: usize) -> Self {
        let digits = layers.saturating_sub(1).to_string().len();
        Self {
            out,
            digits,
            begun: false,
        }
    }

    /// Writes a row, and the heading before the first.
    pub(crate) fn row(&mut self, entry: &FindEntry) -> io::Result<()> {
        let layer = self.digits.max("LAYER".len());
        let state = "replaced by ".len() + self.digits;
        if !self.begun {
            self.begun = true;
            writeln!(
                self.out,
                "{:<layer$}  {:<state$}  {:>7}  PATH",
                "LAYER", "STATE", "SIZE"
            )?;
        }
        let became = match (entry.state, entry.by_layer) {
            (FindState::Live, _) | (_, None) => entry.state.word().to_owned(),
            (state, Some(by)) => format!("{} by {by}", state.word()),
        };
        let size = match entry.kind {
            FileType::File | FileType::Hardlink => units::size(entry.size),
            _ => "-".to_owned(),
        };
        write!(
            self.out,
            "{:<layer$}  {became:<state$}  {size:>7}  ",
            entry.layer
        )?;
        if entry.path.0.is_empty() {
            self.out.write_all(b".")?;
        }
        escape::name(&entry.path.0).write_to(self.out)?;
        if entry.kind == FileType::Dir {
            self.out.write_all(b"/")?;
        }
        if let Some(target) = &entry.target {
            let arrow = if entry.kind == FileType::Hardlink {
                " link to "
            } else {
                " -> "
            };
            self.out.write_all(arrow.as_bytes())?;
            escape::name(&target.0).write_to(self.out)?;
        }
        self.out.write_all(b"\n")
    }
}
