//! Tables as Docker's command line lays them out.
//!
//! Docker prints through an elastic-tabstop writer (cells at least 10 wide, 3 between them, the
//! last cell of a line free). A column is a run of lines that have a cell in it, so a line break
//! inside a cell ends the columns to its right, and `docker history` does print line breaks inside
//! cells. Scripts compare such output, so it is reproduced to the character.
//!
//! How wide a column is can be known only at its end, and there may be more rows than should be in
//! memory. So they are made twice: once to be measured, once to be written.

use std::io::{self, Write};

use imgtar::base::limits::{Exceeded, Limit, Limits};
use unicode_width::UnicodeWidthStr;

use crate::cli::error::Failure;
use crate::cli::output::Stop;

const MIN_WIDTH: usize = 10;
const PADDING: usize = 3;

/// What takes the cells of a row; tabs and line breaks inside a cell count as such.
pub(crate) type Row<'r> = &'r mut dyn FnMut(&[&str]) -> io::Result<()>;

/// Writes a table. `rows` makes its rows, twice the same.
///
/// One cell of a megabyte makes twenty thousand rows as wide, so the spaces that are needed beyond the
/// narrowest table are counted against [`Limit::RepeatedText`] before any is written.
pub(crate) fn table(
    out: &mut dyn Write,
    limits: &Limits,
    rows: impl Fn(Row<'_>) -> io::Result<()>,
) -> Result<(), Stop> {
    let mut measured = Measured::default();
    rows(&mut |cells| {
        tokens(cells, &mut |cell, end| {
            measured.cell(cell, end);
            Ok(())
        })
    })?;
    let (widths, padding) = measured.finish();
    limits
        .check(Limit::RepeatedText, padding)
        .map_err(|exceeded| too_wide(padding, exceeded))?;
    let mut written = Written {
        widths: widths.into_iter(),
        open: Vec::new(),
        column: 0,
    };
    rows(&mut |cells| tokens(cells, &mut |cell, end| written.cell(out, cell, end)))?;
    Ok(())
}

/// A table that would be mostly white space.
pub(super) fn too_wide(padding: u64, exceeded: Exceeded) -> Failure {
    let limit = exceeded.limit;
    Failure::input(format!(
        "one cell of the table is so wide that {padding} spaces would pad the others: {exceeded}"
    ))
    .hint(format!(
        "--json needs no padding; --limit {limit}=VALUE allows more"
    ))
}

/// Writes spaces.
pub(super) fn spaces(out: &mut dyn Write, count: usize) -> io::Result<()> {
    const SPACES: [u8; 256] = [b' '; 256];
    let mut left = count;
    while left > 0 {
        let n = left.min(SPACES.len());
        out.write_all(&SPACES[..n])?;
        left -= n;
    }
    Ok(())
}

/// What ends a cell.
#[derive(Clone, Copy)]
enum CellEnd {
    Tab,
    Line,
}

/// The cells of a row as they count: split at tabs and line breaks. Only `\n` breaks a line, a carriage
/// return is a character like any other here.
fn tokens(cells: &[&str], see: &mut dyn FnMut(&str, CellEnd) -> io::Result<()>) -> io::Result<()> {
    for (i, text) in cells.iter().enumerate() {
        let mut rest = *text;
        while let Some(at) = rest.find(['\t', '\n']) {
            let end = if rest.as_bytes()[at] == b'\t' {
                CellEnd::Tab
            } else {
                CellEnd::Line
            };
            see(&rest[..at], end)?;
            rest = &rest[at + 1..];
        }
        let end = if i + 1 == cells.len() {
            CellEnd::Line
        } else {
            CellEnd::Tab
        };
        see(rest, end)?;
    }
    Ok(())
}

/// A column while it is measured.
struct Column {
    /// The place of its width in the list.
    number: usize,
    widest: usize,
    cells: u64,
    /// The widths of all its cells.
    sum: u64,
}

/// How wide columns become. They nest: a column begins and ends within the one to its left.
#[derive(Default)]
struct Measured {
    /// In the order in which the columns begin; 0 for those that have not ended.
    widths: Vec<u32>,
    open: Vec<Column>,
    column: usize,
    padding: u64,
}

impl Measured {
    fn cell(&mut self, cell: &str, end: CellEnd) {
        match end {
            CellEnd::Tab => {
                if self.column == self.open.len() {
                    self.open.push(Column {
                        number: self.widths.len(),
                        widest: 0,
                        cells: 0,
                        sum: 0,
                    });
                    self.widths.push(0);
                }
                let column = &mut self.open[self.column];
                let width = cell.width();
                column.widest = column.widest.max(width);
                column.cells += 1;
                column.sum = column.sum.saturating_add(width as u64);
                self.column += 1;
            }
            CellEnd::Line => {
                self.close(self.column);
                self.column = 0;
            }
        }
    }

    /// Ends the columns from `from` on.
    fn close(&mut self, from: usize) {
        for column in self.open.drain(from..) {
            let width = column.widest.saturating_add(PADDING).max(MIN_WIDTH);
            self.widths[column.number] = u32::try_from(width).unwrap_or(u32::MAX);
            let all = column.cells.saturating_mul(width as u64);
            let narrowest = column.cells.saturating_mul(MIN_WIDTH as u64);
            let padding = all.saturating_sub(column.sum).saturating_sub(narrowest);
            self.padding = self.padding.saturating_add(padding);
        }
    }

    fn finish(mut self) -> (Vec<u32>, u64) {
        self.close(0);
        (self.widths, self.padding)
    }
}

/// The same walk once more, with every width known.
struct Written {
    widths: std::vec::IntoIter<u32>,
    open: Vec<u32>,
    column: usize,
}

impl Written {
    fn cell(&mut self, out: &mut dyn Write, cell: &str, end: CellEnd) -> io::Result<()> {
        out.write_all(cell.as_bytes())?;
        match end {
            CellEnd::Tab => {
                if self.column == self.open.len() {
                    self.open.extend(self.widths.next());
                }
                let width = self
                    .open
                    .get(self.column)
                    .map_or(0, |width| *width as usize);
                self.column += 1;
                spaces(out, width.saturating_sub(cell.width()))
            }
            CellEnd::Line => {
                self.open.truncate(self.column);
                self.column = 0;
                out.write_all(b"\n")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(rows: &[&[&str]]) -> String {
        let mut out = Vec::new();
        table(&mut out, &Limits::default(), |row| {
            rows.iter().try_for_each(|cells| row(cells))
        })
        .expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn cells_are_padded_but_the_last() {
        assert_eq!(
            rendered(&[&["A", "LONG HEADER", "C"], &["a longer cell", "b", ""]]),
            "A               LONG HEADER   C\na longer cell   b             \n"
        );
    }

    #[test]
    fn a_line_break_in_a_cell_ends_the_columns_to_its_right() {
        let rows: [&[&str]; 3] = [
            &["ID", "BY", "SIZE", "X"],
            &["1", "one\ntwo", "0", "x"],
            &["2", "some wide cell", "0", "x"],
        ];
        let want = "ID        BY        SIZE      X
1         one
two       0                x
2         some wide cell   0         x
";
        assert_eq!(rendered(&rows), want);
    }

    #[test]
    fn columns_begin_and_end_where_cells_do() {
        let rows: [&[&str]; 4] = [
            &["a very long first cell", "b\tc\td"],
            &["a\n"],
            &["a", "a very long second cell", "c"],
            &["a", "b"],
        ];
        let want = "a very long first cell   b         c         d
a

a         a very long second cell   c
a         b
";
        assert_eq!(rendered(&rows), want);
        assert_eq!(rendered(&[]), "");
    }

    #[test]
    fn wide_characters_take_two_cells() {
        assert_eq!(
            rendered(&[&["漢字漢字漢字", "x"], &["abc", "x"]]),
            "漢字漢字漢字   x\nabc            x\n"
        );
    }

    #[test]
    fn white_space_is_counted_before_it_is_written() {
        let wide = "w".repeat(1000);
        let limits = Limits::default().with(Limit::RepeatedText, 10_000);
        let print = |rows: usize| {
            let mut out = Vec::new();
            let done = table(&mut out, &limits, |row| {
                row(&[&wide, "x"])?;
                (1..rows).try_for_each(|_| row(&["a", "x"]))
            });
            (done.is_ok(), out.len())
        };
        assert_eq!(print(10), (true, 10 * 1005));
        assert_eq!(print(12), (false, 0));
    }
}
