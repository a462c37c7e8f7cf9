//! The table of `docker images` since Docker 29 (docker/cli `cli/command/image/tree.go`). Into a pipe it has no
//! colours, no legend and no limit, and every row ends in blanks; a terminal gets what fits.

use std::io::Write;

use anstyle::{Ansi256Color, AnsiColor, Color, Style};
use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::report::{EngineImage, units};

use super::columns::{spaces, too_wide};
use crate::cli::output::Stop;

/// What an image without a tag is called.
const UNTAGGED: &str = "<untagged>";
const TITLE: &str = "IMAGE";
/// The columns behind the first, with their widths.
const TITLES: [(&str, usize); 4] = [
    ("ID", 12),
    ("DISK USAGE", 10),
    ("CONTENT SIZE", 12),
    ("EXTRA", 5),
];
/// What stands between two columns.
const GAP: usize = 3;
/// The branch before a platform. Docker counts its seven bytes, which are three cells.
const LAST: &str = "└─ ";
const OTHER: &str = "├─ ";
/// No terminal is narrower for Docker, and the first column is not narrower while there are others.
const NARROWEST: u16 = 20;
const NARROWEST_NAME: usize = 12;

const HEAD: Style = Style::new().bold();
const NAME: Style = Style::new()
    .bold()
    .fg_color(Some(Color::Ansi(AnsiColor::Blue)));
const PLAIN: Style = Style::new();
const FAINT: Style = Style::new().dimmed();
const INFO: Style = Style::new()
    .bold()
    .fg_color(Some(Color::Ansi(AnsiColor::BrightCyan)));
const CHIP: Style = Style::new()
    .fg_color(Some(Color::Ansi256(Ansi256Color(0))))
    .bg_color(Some(Color::Ansi256(Ansi256Color(14))));
/// How many cells the legend takes.
const LEGEND: usize = 20;

/// One row for each tag, by name. `terminal` is the width of the terminal, in cells, if that is where the table goes.
pub(crate) fn list(
    out: &mut dyn Write,
    images: &[EngineImage],
    terminal: Option<u16>,
    limits: &Limits,
) -> Result<(), Stop> {
    let mut rows: Vec<(&str, &EngineImage)> = Vec::new();
    for image in images {
        rows.extend(image.names.iter().map(|name| (name.as_str(), image)));
        if image.names.is_empty() {
            rows.push((UNTAGGED, image));
        }
    }
    rows.sort_by_key(|(name, image)| (image.names.is_empty(), *name));
    let widest = widest(rows.iter().map(|(name, _)| name.len()));
    let mut table = Table::new(out, widest, terminal);
    table.fits(rows.len(), limits)?;
    table.head()?;
    for (name, image) in rows {
        table.name(name, image)?;
        table.details(PLAIN, &image.id, image.disk_usage, image.content_size)?;
    }
    Ok(())
}

/// One block for each image: its names on lines of their own, then its platforms.
pub(crate) fn tree(
    out: &mut dyn Write,
    images: &[EngineImage],
    terminal: Option<u16>,
    limits: &Limits,
) -> Result<(), Stop> {
    let names = images.iter().flat_map(|image| {
        let untagged = image.names.is_empty().then_some(UNTAGGED.len());
        image.names.iter().map(String::len).chain(untagged)
    });
    let platforms = images.iter().flat_map(|image| &image.platforms);
    // What is escaped is longer than what Docker would print.
    let platforms = platforms.map(|one| escape::text(&one.platform).len() + LAST.len());
    let mut table = Table::new(out, widest(names.chain(platforms)), terminal);
    let lines = images
        .iter()
        .map(|image| image.names.len() + image.platforms.len() + 1);
    table.fits(lines.sum(), limits)?;
    table.head()?;
    let spaced = images.iter().any(|image| !image.platforms.is_empty());
    for image in images {
        let (last, others) = match image.names.split_last() {
            Some((last, others)) => (last.as_str(), others),
            None => (UNTAGGED, &[][..]),
        };
        for name in others {
            table.cell(NAME, name)?;
            writeln!(table.out)?;
        }
        table.name(last, image)?;
        table.details(PLAIN, &image.id, image.disk_usage, image.content_size)?;
        let count = image.platforms.len();
        for (i, one) in image.platforms.iter().enumerate() {
            let branch = if i + 1 == count { LAST } else { OTHER };
            let style = if one.available { PLAIN } else { FAINT };
            table.cell(style, &format!("{branch}{}", one.platform))?;
            table.details(style, &one.id, one.disk_usage, one.content_size)?;
        }
        if spaced {
            writeln!(table.out)?;
        }
    }
    Ok(())
}

/// How wide the first column is if there is room.
fn widest(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.max().unwrap_or(0).max(TITLE.len())
}

struct Table<'o> {
    out: &'o mut dyn Write,
    /// The width of the first column, in cells.
    first: usize,
    /// How many columns there are behind it.
    others: usize,
    /// The width of the terminal, if it is one.
    terminal: Option<usize>,
}

impl<'o> Table<'o> {
    /// Columns are dropped from the right as long as there is too little room for names.
    fn new(out: &'o mut dyn Write, widest: usize, terminal: Option<u16>) -> Self {
        let terminal = terminal.map(|width| usize::from(width.max(NARROWEST)));
        let Some(mut room) = terminal else {
            return Self {
                out,
                first: widest,
                others: TITLES.len(),
                terminal,
            };
        };
        let mut others = 0;
        for (_, width) in TITLES {
            match room.checked_sub(width + GAP) {
                Some(left) if left >= NARROWEST_NAME => room = left,
                _ => break,
            }
            others += 1;
        }
        Self {
            out,
            first: room.min(widest),
            others,
            terminal,
        }
    }

    /// Refuses a table that would be mostly white space, because of one long name.
    fn fits(&self, rows: usize, limits: &Limits) -> Result<(), Stop> {
        let padding = self.first as u64 * rows as u64;
        let within = limits.check(Limit::RepeatedText, padding);
        Ok(within.map_err(|exceeded| too_wide(padding, exceeded))?)
    }

    /// Writes text in a style, which only a terminal gets.
    fn styled(&mut self, style: Style, text: &str) -> Result<(), Stop> {
        if self.terminal.is_some() {
            write!(self.out, "{style}{text}{style:#}")?;
        } else {
            write!(self.out, "{text}")?;
        }
        Ok(())
    }

    fn head(&mut self) -> Result<(), Stop> {
        if let Some(width) = self.terminal {
            spaces(self.out, width.saturating_sub(LEGEND))?;
            self.styled(INFO, "i Info → ")?;
            write!(self.out, " ")?;
            self.styled(CHIP, " U ")?;
            writeln!(self.out, " In Use")?;
        }
        self.styled(HEAD, TITLE)?;
        spaces(self.out, self.first.saturating_sub(TITLE.len()))?;
        for (title, width) in &TITLES[..self.others] {
            spaces(self.out, GAP)?;
            self.styled(HEAD, title)?;
            spaces(self.out, width - title.len())?;
        }
        writeln!(self.out)?;
        Ok(())
    }

    /// The first cell of a row with details. A name that is longer than the column stands above them.
    fn name(&mut self, name: &str, image: &EngineImage) -> Result<(), Stop> {
        let style = if image.names.is_empty() { FAINT } else { NAME };
        let len = self.cell(style, name)?;
        if len > self.first {
            writeln!(self.out)?;
            spaces(self.out, self.first)?;
        }
        Ok(())
    }

    /// A text in the first column; its length in characters.
    fn cell(&mut self, style: Style, text: &str) -> Result<usize, Stop> {
        let text = escape::text(text);
        self.styled(style, &text)?;
        let len = text.chars().count();
        spaces(self.out, self.first.saturating_sub(len))?;
        Ok(len)
    }

    /// The other columns. What uses an image is not in an archive, so that the last one is blank.
    fn details(
        &mut self,
        style: Style,
        id: &str,
        usage: Option<u64>,
        content: u64,
    ) -> Result<(), Stop> {
        let id = id.split_once(':').map_or(id, |(_, encoded)| encoded);
        let id = escape::text(id.get(..12).unwrap_or(id));
        let usage = usage.map_or_else(|| "N/A".to_owned(), units::size);
        let content = units::size(content);
        let cells = [
            format!("{id:<12}"),
            format!("{usage:>10}"),
            format!("{content:>12}"),
            " ".repeat(5),
        ];
        for cell in &cells[..self.others] {
            spaces(self.out, GAP)?;
            self.styled(style, cell)?;
        }
        writeln!(self.out)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use imgtar::base::limits::Limits;
    use imgtar::report::EngineImage;

    use super::{list, tree};

    fn image(names: &[&str]) -> EngineImage {
        EngineImage {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            id: format!("sha256:{}", "0123456789ab".repeat(6)),
            disk_usage: Some(4_530_000),
            content_size: 1_640_000,
            platforms: Vec::new(),
        }
    }

    /// What is printed, with and without styles.
    fn printed(images: &[EngineImage], terminal: Option<u16>, as_tree: bool) -> (String, String) {
        let mut out = Vec::new();
        let limits = Limits::default();
        let done = if as_tree {
            tree(&mut out, images, terminal, &limits)
        } else {
            list(&mut out, images, terminal, &limits)
        };
        assert!(done.is_ok());
        let styled = String::from_utf8(out).expect("text");
        let plain = anstream::adapter::strip_str(&styled).to_string();
        (styled, plain)
    }

    #[test]
    fn a_terminal_has_a_legend_and_colours() {
        let images = [image(&["quirks:1"]), image(&[])];
        let (styled, plain) = printed(&images, Some(80), false);
        let want = "                                                            i Info →   U  In Use\n\
                    IMAGE        ID             DISK USAGE   CONTENT SIZE   EXTRA\n\
                    quirks:1     0123456789ab       4.53MB         1.64MB        \n\
                    <untagged>   0123456789ab       4.53MB         1.64MB        \n";
        assert_eq!(plain, want);
        assert!(
            styled.contains("\u{1b}[1m\u{1b}[34mquirks:1\u{1b}[0m"),
            "{styled:?}"
        );
        assert!(
            styled.contains("\u{1b}[2m<untagged>\u{1b}[0m"),
            "{styled:?}"
        );
        assert!(
            styled.contains("\u{1b}[38;5;0m\u{1b}[48;5;14m U \u{1b}[0m"),
            "{styled:?}"
        );
        // A pipe has neither.
        let (styled, plain) = printed(&images, None, false);
        assert_eq!(styled, plain);
        assert_eq!(plain, want.split_once('\n').expect("a legend").1);
    }

    #[test]
    fn columns_are_dropped_while_names_have_no_room() {
        let images = [image(&["app:1"])];
        for (width, columns) in [
            (
                63,
                vec!["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"],
            ),
            (62, vec!["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE"]),
            (55, vec!["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE"]),
            (54, vec!["IMAGE", "ID", "DISK USAGE"]),
            (40, vec!["IMAGE", "ID", "DISK USAGE"]),
            (39, vec!["IMAGE", "ID"]),
            (27, vec!["IMAGE", "ID"]),
            (26, vec!["IMAGE"]),
            (1, vec!["IMAGE"]),
        ] {
            let (_, plain) = printed(&images, Some(width), false);
            let head = plain.lines().nth(1).expect("a head");
            let found: Vec<&str> = head
                .split("   ")
                .map(str::trim)
                .filter(|t| !t.is_empty())
                .collect();
            assert_eq!(found, columns, "{width}");
        }
    }

    #[test]
    fn a_long_name_has_a_line_of_its_own() {
        let long = "registry.example.com/a/rather/long/name:1";
        let images = [image(&[long]), image(&["app:1"])];
        let (_, plain) = printed(&images, Some(63), false);
        let lines: Vec<&str> = plain.lines().collect();
        assert_eq!(
            lines[2],
            "app:1          0123456789ab       4.53MB         1.64MB        "
        );
        assert_eq!(lines[3], long);
        assert_eq!(
            lines[4],
            "               0123456789ab       4.53MB         1.64MB        "
        );
        // The names before the last have lines of their own anyway.
        let (_, plain) = printed(&[image(&["a:1", long])], Some(63), true);
        let lines: Vec<&str> = plain.lines().collect();
        assert_eq!((lines[2].trim_end(), lines[3]), ("a:1", long));
        assert!(
            lines[4].starts_with("               0123456789ab"),
            "{plain}"
        );
    }
}
