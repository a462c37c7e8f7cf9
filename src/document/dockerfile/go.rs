//! What Go's library does with text, where Docker's words show it.

use std::fmt::Write as _;

/// `strconv.Quote`.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            ' ' => out.push(' '),
            c if c.is_ascii_control() => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c if c.is_control() || c.is_whitespace() || c == '\u{feff}' => {
                _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `time.ParseDuration`, in nanoseconds.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    const LIMIT: u64 = 1 << 63;
    let invalid = || format!("time: invalid duration {}", quote_time(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, after) = rest.split_at(digits);
        let mut value = if whole.is_empty() {
            0
        } else {
            let value: u64 = whole.parse().map_err(|_| invalid())?;
            if value > LIMIT {
                return Err(invalid());
            }
            value
        };
        rest = after;
        let (mut fraction, mut scale, mut fraction_digits) = (0, 1.0, 0);
        if let Some(after) = rest.strip_prefix('.') {
            fraction_digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, after) = after.split_at(fraction_digits);
            (fraction, scale) = leading_fraction(digits);
            rest = after;
        }
        if digits == 0 && fraction_digits == 0 {
            return Err(invalid());
        }
        let end = rest
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        let unit: u64 = match name {
            "" => {
                return Err(format!(
                    "time: missing unit in duration {}",
                    quote_time(text)
                ));
            }
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => {
                return Err(format!(
                    "time: unknown unit {} in duration {}",
                    quote_time(name),
                    quote_time(text)
                ));
            }
        };
        if value > LIMIT / unit {
            return Err(invalid());
        }
        value *= unit;
        value += part_of(fraction, scale, unit);
        sum = sum
            .checked_add(value)
            .filter(|sum| value <= LIMIT && *sum <= LIMIT)
            .ok_or_else(invalid)?;
    }
    if negative {
        // Down to the smallest number there is.
        return Ok(0_i64.wrapping_sub_unsigned(sum));
    }
    i64::try_from(sum).map_err(|_| invalid())
}

/// The digits behind a point as a number, and what it is to be divided by; digits that do not fit
/// are dropped.
fn leading_fraction(digits: &str) -> (u64, f64) {
    let (mut value, mut scale): (u64, f64) = (0, 1.0);
    for digit in digits.bytes() {
        if value > (i64::MAX as u64) / 10 {
            break;
        }
        value = value * 10 + u64::from(digit - b'0');
        scale *= 10.0;
    }
    (value, scale)
}

/// A fraction of a unit, rounded as Go does: through floating point.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Go computes it so, and the result is below the unit"
)]
fn part_of(fraction: u64, scale: f64, unit: u64) -> u64 {
    (fraction as f64 * (unit as f64 / scale)) as u64
}

/// How `time` quotes what it refuses: bytes that are not printable ASCII in hex.
fn quote_time(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        if (' '..'\u{80}').contains(&c) {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// `strconv.ParseInt(text, 10, 32)`.
pub(super) fn parse_int32(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let failed = |why: &str| format!("strconv.ParseInt: parsing {}: {why}", quote(text));
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(failed("invalid syntax"));
    }
    let value: i32 = text.parse().map_err(|_| failed("value out of range"))?;
    Ok(i64::from(value))
}

/// `strconv.ParseUint(text, 10, 16)`.
pub(super) fn parse_uint16(text: &str) -> Option<u16> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// `path.Clean`.
pub(super) fn clean_path(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if rooted {
        format!("/{joined}")
    } else if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

/// Decodes a JSON string whose form is sound, quotes included: half of a surrogate pair becomes
/// U+FFFD, as in Go.
pub(super) fn unquote_json(token: &str) -> String {
    let inner = token
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .unwrap_or(token);
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else { break };
        rest = &rest[c.len_utf8()..];
        match c {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let unit = |text: &str| u16::from_str_radix(text.get(..4)?, 16).ok();
                let first = unit(rest).unwrap_or(0xfffd);
                rest = rest.get(4..).unwrap_or_default();
                let second = rest.strip_prefix("\\u").and_then(unit);
                let pair = [first, second.unwrap_or(0)];
                match char::from_u32(u32::from(first)) {
                    Some(c) => out.push(c),
                    None => match String::from_utf16(&pair) {
                        Ok(c) if second.is_some() => {
                            out.push_str(&c);
                            rest = rest.get(6..).unwrap_or_default();
                        }
                        _ => out.push('\u{fffd}'),
                    },
                }
            }
            c => out.push(c),
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        for (path, clean) in [
            ("/a/../b", "/b"),
            ("/../a", "/a"),
            ("//a//b/", "/a/b"),
            ("", "."),
            ("../a/..", ".."),
            ("a/b/../../..", ".."),
            ("/.", "/"),
        ] {
            assert_eq!(clean_path(path), clean, "{path}");
        }
    }

    #[test]
    fn json_strings_are_decoded() {
        for (token, text) in [
            (r#""a\"\\\/b""#, "a\"\\/b"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        ] {
            assert_eq!(unquote_json(token), text, "{token}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration("1h2m3.5s"), Ok(3_723_500_000_000));
        assert_eq!(duration("-1.5ms"), Ok(-1_500_000));
        assert_eq!(duration("-9223372036854775808ns"), Ok(i64::MIN));
        assert_eq!(duration("3\u{b5}s"), Ok(3_000));
        for bad in ["", "-", ".s", "9223372036854775808ns", "5124096h"] {
            let words = format!("time: invalid duration \"{bad}\"");
            assert_eq!(duration(bad), Err(words), "{bad}");
        }
    }
}
