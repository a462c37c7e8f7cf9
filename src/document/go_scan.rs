//! JSON that Go takes and `serde_json` does not.
//!
//! Go nests 10,000 deep (`encoding/json` `maxNestingDepth`), reads numbers of any size where nothing
//! needs them as numbers, and takes half of a surrogate pair for U+FFFD. This reader is asked only where
//! the other has failed, so what both refuse has the other's message.
//!
//! Threats: nothing here recurses. What lies deeper than [`KEPT`] is checked and not kept, since no engine
//! looks there: a document of brackets alone takes no more memory than a byte for each open one.

use super::json::Json;

/// How deep Go reads.
const DEPTH: usize = 10_000;
/// How deep values are kept: deeper than any field that is read.
const KEPT: usize = 100;

/// Reads the first value of `text`, as Go does, and says where it ends; nothing if Go takes it for a
/// fault too.
pub(super) fn first_value(text: &str) -> Option<(Json, usize)> {
    let mut scan = Scan { text, at: 0 };
    let value = scan.value()?;
    Some((value, scan.at))
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
}

/// A list or object that is not closed yet.
enum OpenValue {
    List(Vec<Json>),
    Object(Vec<(String, Json)>, String),
    /// One that is too deep to be kept.
    Deep {
        object: bool,
    },
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn white(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<Json> {
        let mut open: Vec<OpenValue> = Vec::new();
        loop {
            self.white();
            // A value begins here.
            let mut done = match self.peek()? {
                bracket @ (b'[' | b'{') => {
                    self.at += 1;
                    self.white();
                    let object = bracket == b'{';
                    let close = if object { b'}' } else { b']' };
                    if self.take(close).is_some() {
                        if open.len() >= DEPTH {
                            return None;
                        }
                        if object {
                            Json::Object(Vec::new())
                        } else {
                            Json::Array(Vec::new())
                        }
                    } else {
                        if open.len() >= DEPTH {
                            return None;
                        }
                        let key = if object { self.key()? } else { String::new() };
                        open.push(match object {
                            _ if open.len() >= KEPT => OpenValue::Deep { object },
                            true => OpenValue::Object(Vec::new(), key),
                            false => OpenValue::List(Vec::new()),
                        });
                        continue;
                    }
                }
                b'"' => Json::String(self.string()?),
                b't' => self.word("true", Json::Bool(true))?,
                b'f' => self.word("false", Json::Bool(false))?,
                b'n' => self.word("null", Json::Null)?,
                _ => self.number()?,
            };
            // And ends here; what it is in may end with it.
            loop {
                let Some(within) = open.last_mut() else {
                    return Some(done);
                };
                let object = match within {
                    OpenValue::List(items) => {
                        items.push(done);
                        false
                    }
                    OpenValue::Object(members, key) => {
                        members.push((std::mem::take(key), done));
                        true
                    }
                    OpenValue::Deep { object } => *object,
                };
                self.white();
                if self.take(b',').is_some() {
                    if object {
                        self.white();
                        let next = self.key()?;
                        if let Some(OpenValue::Object(_, key)) = open.last_mut() {
                            *key = next;
                        }
                    }
                    break;
                }
                self.take(if object { b'}' } else { b']' })?;
                done = match open.pop()? {
                    OpenValue::List(items) => Json::Array(items),
                    OpenValue::Object(members, _) => Json::Object(members),
                    OpenValue::Deep { object: true } => Json::Object(Vec::new()),
                    OpenValue::Deep { object: false } => Json::Array(Vec::new()),
                };
            }
        }
    }

    fn key(&mut self) -> Option<String> {
        let key = self.string()?;
        self.white();
        self.take(b':')?;
        Some(key)
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn digits(&mut self) -> Option<()> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        (self.at > begin).then_some(())
    }

    /// A number. One that is too large for anything becomes the largest there is, which no reader of
    /// whole numbers takes.
    fn number(&mut self) -> Option<Json> {
        let begin = self.at;
        let _sign = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let number: Option<serde_json::Number> = self.text[begin..self.at].parse().ok();
        Some(Json::Number(
            number.or_else(|| serde_json::Number::from_f64(f64::MAX))?,
        ))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c| matches!(c, '"' | '\\') || c < ' ')?;
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(out);
                }
                b'\\' => self.at += 1,
                _ => return None,
            }
            let escape = self.peek()?;
            self.at += 1;
            out.push(match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.surrogates()?,
                _ => return None,
            });
        }
    }

    /// What stands behind `\u`; a half of a pair without the other is U+FFFD.
    fn surrogates(&mut self) -> Option<char> {
        let first = self.hex()?;
        if let Some(c) = char::from_u32(first) {
            return Some(c);
        }
        let behind = self.at;
        if first < 0xdc00 && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let pair = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return char::from_u32(pair);
            }
            // The second is a character of its own.
            self.at = behind;
        }
        Some(char::REPLACEMENT_CHARACTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Json> {
        first_value(text).map(|(value, _)| value)
    }

    #[test]
    fn sound_json_is_read_as_by_serde() {
        for text in [
            r#"{"a":[1,2.5,-3e2,true,false,null,"x\n\u00e9\ud83d\ude00"],"b":{},"c":[[],{"d":{}}]}"#,
            " [ ] ",
            "0",
            r#""""#,
        ] {
            let want: Json = serde_json::from_str(text).expect("sound");
            assert_eq!(read(text), Some(want), "{text}");
        }
        assert_eq!(first_value("[1] x").map(|(_, end)| end), Some(3));
    }

    #[test]
    fn what_go_takes_beside_it() {
        let deep = format!("{}{}", "[".repeat(9_000), "]".repeat(9_000));
        assert!(read(&deep).is_some());
        let deeper = format!("{}{}", "[".repeat(10_001), "]".repeat(10_001));
        assert!(read(&deeper).is_none());
        assert_eq!(
            read(r#""a\ud800b""#),
            Some(Json::String("a\u{fffd}b".into()))
        );
        assert_eq!(
            read(r#""\ud800\u0041""#),
            Some(Json::String("\u{fffd}A".into()))
        );
        assert!(matches!(read("1e999"), Some(Json::Number(n)) if n.as_i64().is_none()));
    }

    #[test]
    fn what_go_refuses() {
        for text in [
            "",
            "[",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "01x",
            "tru",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u12\"",
            "{1:2}",
            "-",
            "1.",
            "1e",
            "[1 2]",
            "\"é",
        ] {
            let whole = first_value(text).is_some_and(|(_, end)| end == text.len());
            assert!(!whole, "{text}");
        }
    }
}
