//! Tables as Docker's command line lays them out.
//!
//! Docker prints through an elastic-tabstop writer (cells at least 10 wide, 3 between them, the
//! last cell of a line free). A column is a run of lines that have a cell in it, so a line break
//! inside a cell ends the columns to its right, and `docker history` does print line breaks inside
//! cells. Scripts compare such output, so it is reproduced to the character.

use unicode_width::UnicodeWidthStr;

const MIN_WIDTH: usize = 10;
const PADDING: usize = 3;

/// Lines of cells under construction.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    text: String,
}

impl Columns {
    /// Adds a line of cells; tabs and line breaks inside a cell count as such.
    pub(crate) fn row(&mut self, cells: &[&str]) {
        for (i, cell) in cells.iter().enumerate() {
            if i > 0 {
                self.text.push('\t');
            }
            self.text.push_str(cell);
        }
        self.text.push('\n');
    }

    /// The lines with their columns aligned.
    pub(crate) fn render(&self) -> String {
        let lines: Vec<Vec<&str>> = self
            .text
            .lines_inclusive()
            .map(|line| line.split('\t').collect())
            .collect();
        let widths = widths(&lines);
        let mut out = String::with_capacity(self.text.len() * 2);
        for (line, widths) in lines.iter().zip(widths) {
            for (i, cell) in line.iter().enumerate() {
                out.push_str(cell);
                if let Some(width) = widths.get(i) {
                    out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width())));
                }
            }
            out.push('\n');
        }
        out
    }
}

/// Splits at `\n` alone: a carriage return is a character like any other here.
trait LinesInclusive {
    fn lines_inclusive(&self) -> impl Iterator<Item = &str>;
}

impl LinesInclusive for String {
    fn lines_inclusive(&self) -> impl Iterator<Item = &str> {
        self.strip_suffix('\n')
            .into_iter()
            .flat_map(|text| text.split('\n'))
    }
}

/// The width of every cell but the last of each line.
fn widths(lines: &[Vec<&str>]) -> Vec<Vec<usize>> {
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|_| Vec::new()).collect();
    // Runs of lines to look at, and the column to look for. A list instead of recursion: a comment
    // may hold any number of tabs.
    let mut runs = vec![(0..lines.len(), 0_usize)];
    while let Some((run, column)) = runs.pop() {
        let has_cell = |line: &usize| lines[*line].len() > column + 1;
        let mut start = run.start;
        while start < run.end {
            let len = (start..run.end).take_while(has_cell).count();
            if len == 0 {
                start += 1;
                continue;
            }
            let block = start..start + len;
            let widest = block
                .clone()
                .map(|line| lines[line][column].width())
                .max()
                .unwrap_or(0);
            for line in block.clone() {
                widths[line].push((widest + PADDING).max(MIN_WIDTH));
            }
            start = block.end;
            runs.push((block, column + 1));
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_padded_but_the_last() {
        let mut columns = Columns::default();
        columns.row(&["A", "LONG HEADER", "C"]);
        columns.row(&["a longer cell", "b", ""]);
        assert_eq!(
            columns.render(),
            "A               LONG HEADER   C\na longer cell   b             \n"
        );
    }

    #[test]
    fn a_line_break_in_a_cell_ends_the_columns_to_its_right() {
        let mut columns = Columns::default();
        columns.row(&["ID", "BY", "SIZE", "X"]);
        columns.row(&["1", "one\ntwo", "0", "x"]);
        columns.row(&["2", "some wide cell", "0", "x"]);
        let want = "ID        BY        SIZE      X
1         one
two       0                x
2         some wide cell   0         x
";
        assert_eq!(columns.render(), want);
    }

    #[test]
    fn wide_characters_take_two_cells() {
        let mut columns = Columns::default();
        columns.row(&["漢字漢字漢字", "x"]);
        columns.row(&["abc", "x"]);
        assert_eq!(columns.render(), "漢字漢字漢字   x\nabc            x\n");
    }
}
