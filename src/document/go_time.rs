//! Times as Go's `encoding/json` reads them into a `time.Time`.
//!
//! `UnmarshalJSON` says RFC 3339 and parses by the layout `2006-01-02T15:04:05Z07:00` (Go 1.20 and
//! later, `time/format.go` `parse`, `time/format_rfc3339.go` `parseStrictRFC3339`, whose strictness is
//! switched off). That takes an hour of one digit, a comma before the fraction and any number of digits
//! behind it, and offsets up to 24:60; it does not take the second 60, small letters, a blank for `T`, an
//! offset without a colon, or nothing at all. Measured with Docker 20.10 and 26.1 and podman 5.4.

use jiff::Timestamp;
use jiff::civil::Date;

/// The point in time that Go reads, or why it reads none. Times outside of what [`Timestamp`] can hold
/// (the last hours of the year 9999) become its ends.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let mut rest = Rest(text.as_bytes());
    read(&mut rest).ok_or_else(|| {
        format!("{text:?} is not a time as Go reads it (such as 2006-01-02T15:04:05Z)")
    })
}

fn read(rest: &mut Rest<'_>) -> Option<Timestamp> {
    let year = rest.number(4)?;
    rest.literal(b'-')?;
    let month = rest.number(2).filter(|month| (1..=12).contains(month))?;
    rest.literal(b'-')?;
    let day = rest.number(2)?;
    rest.literal(b'T')?;
    // One digit is enough, two are taken.
    let hour = match rest.0 {
        [_, b'0'..=b'9', ..] => rest.number(2)?,
        _ => rest.number(1)?,
    };
    let hour = Some(hour).filter(|hour| *hour < 24)?;
    rest.literal(b':')?;
    let minute = rest.number(2).filter(|minute| *minute < 60)?;
    rest.literal(b':')?;
    let second = rest.number(2).filter(|second| *second < 60)?;
    let nanosecond = rest.fraction();
    let offset = rest.offset()?;
    if !rest.0.is_empty() {
        return None;
    }
    let date = Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()?;
    let epoch = Date::constant(1970, 1, 1);
    let days = i64::from(date.since(epoch).ok()?.get_days());
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    let clamped = if seconds > 0 {
        Timestamp::MAX
    } else {
        Timestamp::MIN
    };
    Some(Timestamp::new(seconds, nanosecond).unwrap_or(clamped))
}

/// What is still to be read.
struct Rest<'t>(&'t [u8]);

impl Rest<'_> {
    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.0 = rest;
        let value = number
            .iter()
            .fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
        Some(value)
    }

    fn literal(&mut self, wanted: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[wanted])?;
        Some(())
    }

    /// The fraction of a second in nanoseconds, if there is one; more digits are cut off.
    fn fraction(&mut self) -> i32 {
        let [b'.' | b',', digits @ ..] = self.0 else {
            return 0;
        };
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return 0;
        }
        self.0 = &digits[count..];
        let nine = digits[..count]
            .iter()
            .copied()
            .chain(std::iter::repeat(b'0'));
        nine.take(9)
            .fold(0, |n, digit| n * 10 + i32::from(digit - b'0'))
    }

    /// The offset from UTC in seconds.
    fn offset(&mut self) -> Option<i64> {
        let (&sign, rest) = self.0.split_first()?;
        self.0 = rest;
        let sign = match sign {
            b'Z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.number(2).filter(|hours| *hours <= 24)?;
        self.literal(b':')?;
        let minutes = self.number(2).filter(|minutes| *minutes <= 60)?;
        Some(sign * (hours * 3_600 + minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_takes_is_taken() {
        for (text, want) in [
            ("2020-02-02T20:20:20Z", "2020-02-02T20:20:20Z"),
            ("2020-02-02T20:20:20+02:00", "2020-02-02T18:20:20Z"),
            ("2020-02-02T2:20:20Z", "2020-02-02T02:20:20Z"),
            ("2020-02-02T20:20:20,5Z", "2020-02-02T20:20:20.5Z"),
            (
                "2020-02-02T20:20:20.1234567890123Z",
                "2020-02-02T20:20:20.123456789Z",
            ),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"),
            ("2020-02-02T20:20:20-24:00", "2020-02-03T20:20:20Z"),
        ] {
            let want: Timestamp = want.parse().expect("a time");
            assert_eq!(parse(text), Ok(want), "{text}");
        }
        assert_eq!(parse("9999-12-31T23:59:59Z"), Ok(Timestamp::MAX));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "",
            "2020-02-02",
            "2020-02-02 20:20:20Z",
            "2020-02-02t20:20:20z",
            "2020-02-02T20:20:20z",
            "2020-02-02T20:20:20+0000",
            "2020-02-02T20:20:20+02",
            "2020-02-02T20:20Z",
            "20200202T202020Z",
            "2020-02-02T20:20:60Z",
            "2020-02-02T24:00:00Z",
            "2020-02-30T20:20:20Z",
            "2020-02-02T20:20:20Z[UTC]",
            "2020-02-02T20:20:20",
            "2020-02-02T20:20:20.Z",
            "12020-02-02T20:20:20Z",
            "2020-13-02T20:20:20Z",
            "2020-02-02T20:20:20+25:00",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
