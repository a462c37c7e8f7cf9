//! Sizes and ages in the words that Docker uses (docker/go-units).

/// A size in decimal units with `digits` significant digits, `sep` before the unit.
///
/// The rounding is that of Go's `%g`, odd corner included: 999,600 bytes are `1e+03kB` with three
/// digits.
fn decimal_size(bytes: u64, digits: usize, sep: &str) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    // Go computes in f64 too, so what is lost beyond 2^53 is lost there as well.
    #[expect(clippy::cast_precision_loss, reason = "Docker rounds in the same way")]
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    format!("{}{sep}{}", general(size, digits), UNITS[unit])
}

/// A size as `docker history` and `docker images` print it: `1.23MB`.
pub fn size(bytes: u64) -> String {
    decimal_size(bytes, 3, "")
}

/// A size as `docker images --tree` printed it: `228.1 MB`.
pub fn size_spaced(bytes: u64) -> String {
    decimal_size(bytes, 4, " ")
}

/// Go's `%.<digits>g` for numbers that are not negative.
fn general(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < digits => trim(&format!("{value:.*}", digits - 1 - exponent)),
        _ => format!(
            "{}e{}{:02}",
            trim(mantissa),
            if exponent < 0 { '-' } else { '+' },
            exponent.abs()
        ),
    }
}

/// How long ago something was, in words: `2 weeks`. Seconds; the future is `Less than a second`.
pub fn age(seconds: i64) -> String {
    const HOUR: i64 = 3600;
    let minutes = seconds / 60;
    // Go adds half an hour to a float before cutting, which for whole seconds is this.
    let hours = (seconds + HOUR / 2) / HOUR;
    if seconds < 1 {
        "Less than a second".to_owned()
    } else if seconds == 1 {
        "1 second".to_owned()
    } else if seconds < 60 {
        format!("{seconds} seconds")
    } else if minutes == 1 {
        "About a minute".to_owned()
    } else if minutes < 60 {
        format!("{minutes} minutes")
    } else if hours == 1 {
        "About an hour".to_owned()
    } else if hours < 48 {
        format!("{hours} hours")
    } else if hours < 24 * 7 * 2 {
        format!("{} days", hours / 24)
    } else if hours < 24 * 30 * 2 {
        format!("{} weeks", hours / 24 / 7)
    } else if hours < 24 * 365 * 2 {
        format!("{} months", hours / 24 / 30)
    } else {
        format!("{} years", seconds / HOUR / 24 / 365)
    }
}

/// Reads a number of bytes: `1000`, `20MB`, `1.5 GiB`, `64k`. As dive and Docker read them (`go-humanize`): units in
/// any case, with or without the `B`, `k` decimal and `Ki` binary; fractions are rounded down.
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim().replace(',', "");
    let at = digits.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = digits.split_at(at.unwrap_or(digits.len()));
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, base) = match unit.strip_suffix('i') {
        Some(prefix) => (prefix, 1024_u64),
        None => (unit, 1000),
    };
    let power = match prefix {
        "" if base == 1000 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    let factor = base.pow(power);
    if let Ok(number) = number.parse::<u64>() {
        return number.checked_mul(factor);
    }
    let number: f64 = number.parse().ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a fraction is not exact to begin with"
    )]
    let bytes = number * factor as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is neither negative nor too large"
    )]
    (bytes < 1e19).then_some(bytes as u64)
}

/// `1 layer`, `2 layers`.
pub fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 {
        format!("1 {one}")
    } else {
        format!("{n} {many}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_as_docker_rounds_them() {
        for (bytes, want) in [
            (0, "0B"),
            (1, "1B"),
            (999, "999B"),
            (1000, "1kB"),
            (1005, "1kB"),
            (10_303, "10.3kB"),
            (122_187, "122kB"),
            (999_499, "999kB"),
            (999_500, "1e+03kB"),
            (999_999, "1e+03kB"),
            (1_234_567, "1.23MB"),
            (7_050_000, "7.05MB"),
            (100_000_000, "100MB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size(bytes), want, "{bytes}");
        }
        assert_eq!(size_spaced(228_123_456), "228.1 MB");
        assert_eq!(size_spaced(0), "0 B");
        assert_eq!(size_spaced(2_433_303), "2.433 MB");
    }

    #[test]
    fn sizes_are_read_as_dive_reads_them() {
        for (text, want) in [
            ("0", Some(0)),
            ("20MB", Some(20_000_000)),
            ("19Mb", Some(19_000_000)),
            ("50kB", Some(50_000)),
            ("64k", Some(64_000)),
            ("4KiB", Some(4096)),
            ("1.5 GiB", Some(1_610_612_736)),
            ("1,000", Some(1000)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999GB", None),
            ("", None),
            ("MB", None),
            ("1XB", None),
            ("1iB", None),
            ("-1", None),
            (".", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
    }

    #[test]
    fn ages_change_words_where_docker_changes_them() {
        const H: i64 = 3600;
        for (seconds, want) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (59 * 60 + 59, "59 minutes"),
            (H, "About an hour"),
            (H + 1799, "About an hour"),
            (H + 1800, "2 hours"),
            (47 * H, "47 hours"),
            (48 * H, "2 days"),
            (13 * 24 * H, "13 days"),
            (14 * 24 * H, "2 weeks"),
            (59 * 24 * H, "8 weeks"),
            (60 * 24 * H, "2 months"),
            (729 * 24 * H, "24 months"),
            (730 * 24 * H, "2 years"),
            (800 * 24 * H, "2 years"),
        ] {
            assert_eq!(age(seconds), want, "{seconds} s");
        }
    }
}
