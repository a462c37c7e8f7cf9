//! The colours of file names: those of `LS_COLORS`, as `ls` takes them.

use std::io::{self, Write};

use anstyle::{Ansi256Color, AnsiColor, Color, Effects, RgbColor, Style};
use imgtar::base::escape;
use imgtar::report::{FileType, LsEntry};
use lscolors::{Color as LsColor, Indicator, LsColors};

/// How names are coloured; not at all where colour is off.
#[derive(Debug, Default)]
pub(crate) struct Paint(Option<LsColors>);

impl Paint {
    /// The colours of the environment, and where it names none those of `ls`.
    pub(crate) fn of_environment() -> Self {
        Self(Some(LsColors::from_env().unwrap_or_default()))
    }

    /// Writes the end of the path of a file that begins at `from`, with a slash behind a directory.
    pub(super) fn name(&self, out: &mut dyn Write, entry: &LsEntry, from: usize) -> io::Result<()> {
        let style = self.style(entry);
        write!(out, "{style}")?;
        let name = &entry.path.0[from..];
        escape::name(name).write_to(out)?;
        write!(out, "{style:#}")?;
        if entry.kind == FileType::Dir && !name.ends_with(b"/") {
            out.write_all(b"/")?;
        }
        Ok(())
    }

    fn style(&self, entry: &LsEntry) -> Style {
        let Some(colors) = &self.0 else {
            return Style::new();
        };
        let of = |indicator| colors.style_for_indicator(indicator).map(style);
        let is = |mask: u16| entry.mode & mask != 0;
        let style = match entry.kind {
            FileType::Dir => of(match (is(0o1000), is(0o002)) {
                (true, true) => Indicator::StickyAndOtherWritable,
                (true, false) => Indicator::Sticky,
                (false, true) => Indicator::OtherWritable,
                (false, false) => Indicator::Directory,
            }),
            FileType::Symlink => of(Indicator::SymbolicLink),
            FileType::Char => of(Indicator::CharacterDevice),
            FileType::Block => of(Indicator::BlockDevice),
            FileType::Fifo => of(Indicator::FIFO),
            FileType::File | FileType::Hardlink if is(0o4000) => of(Indicator::Setuid),
            FileType::File | FileType::Hardlink if is(0o2000) => of(Indicator::Setgid),
            FileType::File | FileType::Hardlink if is(0o111) => of(Indicator::ExecutableFile),
            FileType::File | FileType::Hardlink => {
                let name = String::from_utf8_lossy(&entry.path.0);
                let by_name = colors.style_for_str(&name).map(style);
                by_name.or_else(|| of(Indicator::RegularFile))
            }
            FileType::Unknown => of(Indicator::OrphanedSymbolicLink),
        };
        let style = style.unwrap_or_default();
        if entry.kind == FileType::Hardlink {
            style.dimmed()
        } else {
            style
        }
    }
}

/// A style of `LS_COLORS` as the rest of the program has them.
fn style(of: &lscolors::Style) -> Style {
    let font = of.font_style;
    let effects = [
        (font.bold, Effects::BOLD),
        (font.dimmed, Effects::DIMMED),
        (font.italic, Effects::ITALIC),
        (font.underline, Effects::UNDERLINE),
        (font.slow_blink || font.rapid_blink, Effects::BLINK),
        (font.reverse, Effects::INVERT),
        (font.hidden, Effects::HIDDEN),
        (font.strikethrough, Effects::STRIKETHROUGH),
    ];
    let effects = effects.iter().filter(|(on, _)| *on);
    let effects = effects.fold(Effects::new(), |all, (_, effect)| all | *effect);
    Style::new()
        .fg_color(of.foreground.map(color))
        .bg_color(of.background.map(color))
        .effects(effects)
}

fn color(of: LsColor) -> Color {
    match of {
        LsColor::Black => AnsiColor::Black.into(),
        LsColor::Red => AnsiColor::Red.into(),
        LsColor::Green => AnsiColor::Green.into(),
        LsColor::Yellow => AnsiColor::Yellow.into(),
        LsColor::Blue => AnsiColor::Blue.into(),
        LsColor::Magenta => AnsiColor::Magenta.into(),
        LsColor::Cyan => AnsiColor::Cyan.into(),
        LsColor::White => AnsiColor::White.into(),
        LsColor::BrightBlack => AnsiColor::BrightBlack.into(),
        LsColor::BrightRed => AnsiColor::BrightRed.into(),
        LsColor::BrightGreen => AnsiColor::BrightGreen.into(),
        LsColor::BrightYellow => AnsiColor::BrightYellow.into(),
        LsColor::BrightBlue => AnsiColor::BrightBlue.into(),
        LsColor::BrightMagenta => AnsiColor::BrightMagenta.into(),
        LsColor::BrightCyan => AnsiColor::BrightCyan.into(),
        LsColor::BrightWhite => AnsiColor::BrightWhite.into(),
        LsColor::Fixed(number) => Ansi256Color(number).into(),
        LsColor::RGB(red, green, blue) => RgbColor(red, green, blue).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imgtar::report::Text;

    fn painted(colors: &str, kind: FileType, mode: u16, path: &str) -> String {
        let entry = LsEntry {
            path: Text(path.into()),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: None,
            target: None,
            layer: 0,
            device: None,
        };
        let mut out = Vec::new();
        let paint = Paint(Some(LsColors::from_string(colors)));
        paint.name(&mut out, &entry, 0).expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn names_have_the_colours_of_ls() {
        let file = FileType::File;
        // Without a word in LS_COLORS, setuid is white on red, as in ls.
        assert_eq!(
            painted("", file, 0o4755, "su"),
            "\u{1b}[37m\u{1b}[41msu\u{1b}[0m"
        );
        assert_eq!(painted("", file, 0o644, "plain"), "plain");
        let of = "*.tar=01;31:di=34:ex=38;5;70";
        assert_eq!(
            painted(of, file, 0o644, "a/b.tar"),
            "\u{1b}[1m\u{1b}[31ma/b.tar\u{1b}[0m"
        );
        assert_eq!(
            painted(of, FileType::Dir, 0o755, "d"),
            "\u{1b}[34md\u{1b}[0m/"
        );
        assert_eq!(
            painted(of, FileType::Hardlink, 0o755, "h"),
            "\u{1b}[2m\u{1b}[38;5;70mh\u{1b}[0m"
        );
    }

    #[test]
    fn a_name_cannot_bring_colours_of_its_own() {
        assert_eq!(
            painted("", FileType::File, 0o644, "\u{1b}[31m"),
            "\\x1b[31m"
        );
    }
}
