//! Small pieces that all parts of the page have.

use imgtar::base::escape;
use imgtar::report::{ArchiveHead, Text, units};
use maud::{Markup, html};

/// A size: `1.23 MB`.
pub(super) fn size(bytes: u64) -> Markup {
    html! { span title={ (grouped(bytes)) " bytes" } { (units::size_spaced(bytes)) } }
}

/// A number of things: `1 layer`, `1,234 layers`.
pub(super) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n as u64), if n == 1 { one } else { many })
}

/// A number with commas between thousands.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part in thousandths of the whole, without floating point.
pub(super) fn per_mille(part: u64, of: u64) -> u64 {
    let parts = u128::from(part) * 1000 / u128::from(of.max(1));
    u64::try_from(parts).unwrap_or(1000).min(1000)
}

/// A part in percent of the whole: `12.3 %`.
pub(super) fn percent(part: u64, of: u64) -> String {
    let parts = per_mille(part, of);
    if parts == 0 && part > 0 {
        return "below 0.1 %".to_owned();
    }
    format!("{}.{} %", parts / 10, parts % 10)
}

/// The same as a length in CSS.
pub(super) fn css_percent(part: u64, of: u64) -> String {
    let parts = per_mille(part, of);
    format!("{}.{}%", parts / 10, parts % 10)
}

/// How much of one text stands on the page, in characters: enough for what people write, and no more of what an archive
/// can have.
const LONGEST: usize = 2000;

/// A path, without a slash at its beginning.
pub(super) fn path(path: &Text) -> Markup {
    html! { code { "/" (name(path)) } }
}

/// A name, with everything in it visible.
pub(super) fn name(name: &Text) -> String {
    shortened(&escape::name(&name.0).to_string(), LONGEST)
}

/// The beginning and the end of a text that is longer than this, in characters.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    // Most are short in bytes already.
    if text.len() <= longest {
        return text.to_owned();
    }
    let number = text.chars().count();
    let Some(left_out) = number.checked_sub(longest + 1) else {
        return text.to_owned();
    };
    let end = longest / 4;
    let beginning: String = text.chars().take(longest - end).collect();
    let end: String = text.chars().skip(number - end).collect();
    let left_out = grouped(left_out as u64 + 1);
    format!("{beginning} … {left_out} characters … {end}")
}

/// Says how many more there are than stand on the page, and which command has them.
pub(super) fn more(all: usize, shown: usize, things: &str, command: &str) -> Markup {
    html! {
        @if let Some(more) = all.checked_sub(shown + 1) {
            p.muted { "… and " (grouped(more as u64 + 1)) " more " (things) ": " code { "imgtar " (command) } }
        }
    }
}

/// A digest: its first twelve digits, the rest on pointing at it and when it is printed.
pub(super) fn digest(text: &str) -> Markup {
    let short: String = match text.split_once(':') {
        Some((_, hex)) => hex.chars().take(12).collect(),
        None => text.chars().take(12).collect(),
    };
    html! { code title=(text) { (short) } }
}

/// A time as it stands in a config, in a form for people if it is one.
pub(super) fn time(text: &str) -> String {
    let Ok(time) = text.parse::<jiff::Timestamp>() else {
        return text.to_owned();
    };
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// What kind of archive it is.
pub(super) fn layout(archive: &ArchiveHead) -> String {
    use imgtar::archive::Layout;
    use imgtar::source::Compression;
    let layout = match archive.layout {
        Layout::Docker => "docker save (before Docker 25)",
        Layout::DockerOci => "docker save (Docker 25 and later)",
        Layout::Oci => "OCI image layout",
        Layout::DockerV1 => "docker save (before Docker 1.10)",
    };
    match archive.compression {
        Compression::None => layout.to_owned(),
        other => format!("{layout}, compressed with {other}"),
    }
}

/// A command line as one would type it, in the form that Dockerfiles have.
pub(super) fn arguments(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(percent(1, 8), "12.5 %");
        assert_eq!(percent(1, 100_000), "below 0.1 %");
        assert_eq!(percent(0, 0), "0.0 %");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.0 %");
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(
            time("2024-01-05T12:00:03.123456789Z"),
            "2024-01-05 12:00:03 UTC"
        );
        assert_eq!(time("yesterday"), "yesterday");
    }

    #[test]
    fn long_texts_are_cut_in_the_middle() {
        assert_eq!(shortened("ääää", 4), "ääää");
        assert_eq!(shortened("abcdefghij", 8), "abcdef … 2 characters … ij");
    }
}
