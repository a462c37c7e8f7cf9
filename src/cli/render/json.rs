//! Reports as JSON, written as they are serialised.

use std::io::{self, Write};

use imgtar::base::escape::is_dangerous;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::cli::output::Stop;

/// How deep JSON is indented: a tree of layers may be a thousand steps high, and white space would grow
/// with the square of that.
const DEEPEST: usize = 64;

/// Writes pretty JSON with a line end, nothing in it that acts on a terminal.
///
/// serde escapes the control characters of ASCII; what is left can only stand inside strings, where
/// an escape means the same.
pub(crate) fn json<T: Serialize + ?Sized>(out: &mut dyn Write, report: &T) -> Result<(), Stop> {
    write(out, report, true)
}

/// Writes pretty JSON with a line end, documents of the archive verbatim.
pub(crate) fn verbatim_json<T: Serialize + ?Sized>(
    out: &mut dyn Write,
    report: &T,
) -> Result<(), Stop> {
    write(out, report, false)
}

fn write<T: Serialize + ?Sized>(
    out: &mut dyn Write,
    report: &T,
    escaping: bool,
) -> Result<(), Stop> {
    let form = Pretty {
        escaping,
        depth: 0,
        filled: false,
    };
    report
        .serialize(&mut Serializer::with_formatter(&mut *out, form))
        .map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// The form of `serde_json`'s own pretty printer, but for depth and escapes.
struct Pretty {
    escaping: bool,
    depth: usize,
    /// Whether something stands in the innermost array or object.
    filled: bool,
}

impl Pretty {
    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.depth.min(DEEPEST)).try_for_each(|_| out.write_all(b"  "))
    }

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, bracket: u8) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(&[bracket])
    }

    fn end<W: ?Sized + Write>(&mut self, out: &mut W, bracket: u8) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(out)?;
        }
        self.filled = true;
        out.write_all(&[bracket])
    }

    fn item<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        self.line(out)
    }

    fn text<W: ?Sized + Write>(&self, out: &mut W, text: &str) -> io::Result<()> {
        let acts = |c: char| !matches!(c, '\n' | '\t') && is_dangerous(c);
        if !self.escaping {
            return out.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| acts(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

impl Formatter for Pretty {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b'[')
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b']')
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _out: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b'{')
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b'}')
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _out: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.text(out, fragment)
    }

    fn write_raw_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Control characters of ASCII stand between tokens alone here, and mean nothing.
        if self.escaping && fragment.contains('\r') {
            return self.text(out, &fragment.replace('\r', " "));
        }
        self.text(out, fragment)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    fn written<T: serde::Serialize>(report: &T) -> String {
        let mut out = Vec::new();
        super::json(&mut out, report).expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped_in_json() {
        assert_eq!(
            written(&["a\u{202e}b\u{9b}\x7f\n文\u{e0041}"]),
            "[\n  \"a\\u202eb\\u009b\\u007f\\n文\\udb40\\udc41\"\n]\n"
        );
        let raw = RawValue::from_string("{\r\n\t\"a\": \"\u{ad}\"}".to_owned()).expect("JSON");
        assert_eq!(written(&raw), "{ \n\t\"a\": \"\\u00ad\"}\n");
    }

    #[test]
    fn the_form_is_that_of_serde() {
        let value = serde_json::json!({"a": [], "b": {}, "c": [1, [2, {"d": null}]], "e": "x\ty"});
        let pretty = serde_json::to_string_pretty(&value).expect("JSON");
        assert_eq!(written(&value), pretty + "\n");
    }

    #[test]
    fn white_space_does_not_grow_with_the_square() {
        let mut value = serde_json::json!(1);
        for _ in 0..120 {
            value = serde_json::json!([value]);
        }
        let text = written(&value);
        let longest = text.lines().map(str::len).max();
        assert_eq!(longest, Some(2 * super::DEEPEST + 1));
    }
}
