//! JSON as Go reads it.
//!
//! Every engine decodes manifests and configs with Go's `encoding/json` into structs. What differs
//! from an ordinary JSON reader, and is mirrored here:
//!
//! - keys match without regard to case (`repoTags`, `rootfS`), and of several matching keys the last
//!   one counts;
//! - `null` leaves a field at its zero value, as if it were absent;
//! - bytes that are not UTF-8 inside strings become U+FFFD;
//! - `manifest.json` is read by a stream decoder, which stops behind the first value.
//!
//! Threats: what is nested deeper than 128 is read without recursion (`go_scan`), as far as Go goes, and not
//! kept (engines' JSON is not ten deep); size and number
//! of values by [`Limit::Json`](crate::Limit::Json) and its like, before anything is parsed; a value
//! of the wrong type is an error that says where.
//!
//! Long: one reader, in the order of Go's.

use std::fmt;

use super::go_scan;
use crate::base::limits::Exceeded;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value that keeps every member of an object, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON, or nested too deep.
    #[error("{0}")]
    Syntax(String),
    /// It is text in another encoding than UTF-8, or UTF-8 with a mark that JSON does not have.
    #[error("{0}")]
    Encoding(JsonEncoding),
    /// Larger than a limit allows, alone or with those before it.
    #[error("it has too much JSON, {size} bytes: {exceeded}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
        /// The limit that it exceeds.
        exceeded: Exceeded,
    },
    /// A value has another type than its format requires.
    #[error("`{at}` should be {wanted}, but is {found}")]
    Type {
        /// Which value, as a path through the document.
        at: String,
        /// What the format requires.
        wanted: &'static str,
        /// What is there.
        found: String,
    },
    /// A document is `null`: Go reads nothing from it, and each engine treats that differently.
    #[error("`{at}` is null, not {wanted}")]
    Null {
        /// Which value, as a path through the document.
        at: String,
        /// What the format requires.
        wanted: &'static str,
    },
    /// A value has the right type but breaks its own grammar.
    #[error("`{at}`: {why}")]
    Value {
        /// Which value, as a path through the document.
        at: String,
        /// What is wrong with it.
        why: String,
    },
}

/// An encoding of text that no engine reads JSON in. Editors and pipes of Windows write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonEncoding {
    /// UTF-8 behind a byte order mark.
    Utf8Mark,
    /// UTF-16, low byte first, with or without a byte order mark.
    Utf16Le,
    /// UTF-16, high byte first, with or without a byte order mark.
    Utf16Be,
    /// UTF-32, with or without a byte order mark.
    Utf32,
}

impl JsonEncoding {
    /// Recognises an encoding by the first bytes of a document: by its mark, or by the zeros around
    /// the first character, which JSON always has below U+0080 (RFC 4627, section 3).
    fn of(bytes: &[u8]) -> Option<Self> {
        let encoding = match bytes {
            [0xff, 0xfe, 0, 0, ..]
            | [0, 0, 0xfe, 0xff, ..]
            | [1..=255, 0, 0, 0, ..]
            | [0, 0, 0, 1..=255, ..] => Self::Utf32,
            [0xef, 0xbb, 0xbf, ..] => Self::Utf8Mark,
            [0xff, 0xfe, ..] | [1..=255, 0, ..] => Self::Utf16Le,
            [0xfe, 0xff, ..] | [0, 1..=255, ..] => Self::Utf16Be,
            _ => return None,
        };
        Some(encoding)
    }
}

impl fmt::Display for JsonEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Utf8Mark => {
                return f.write_str(
                    "it begins with a byte order mark (BOM, bytes EF BB BF), which JSON must not have and no engine reads: save it as UTF-8 without BOM",
                );
            }
            Self::Utf16Le => "UTF-16 (little-endian)",
            Self::Utf16Be => "UTF-16 (big-endian)",
            Self::Utf32 => "UTF-32",
        };
        write!(
            f,
            "it is encoded in {what}, and no engine reads JSON in anything but UTF-8: save it as UTF-8 without BOM"
        )
    }
}

impl Json {
    /// Reads a whole document.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        let (value, trailing) = Self::parse_first(bytes)?;
        match trailing {
            None => Ok(value),
            Some(at) => Err(JsonError::Syntax(format!(
                "something follows the JSON value at byte {at}"
            ))),
        }
    }

    /// Reads the first value of a document, and says where something other than white space
    /// follows it.
    pub(crate) fn parse_first(bytes: &[u8]) -> Result<(Self, Option<usize>), JsonError> {
        if let Some(encoding) = JsonEncoding::of(bytes) {
            return Err(JsonError::Encoding(encoding));
        }
        let text = String::from_utf8_lossy(bytes);
        let mut stream = serde_json::Deserializer::from_str(&text).into_iter::<Self>();
        let value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                let (value, end) = go_scan::first_value(&text)
                    .ok_or_else(|| JsonError::Syntax(error.to_string()))?;
                return Ok((value, rest_of(&text, end)));
            }
            None => return Err(JsonError::Syntax("no JSON value, only white space".into())),
        };
        let end = stream.byte_offset();
        Ok((value, rest_of(&text, end)))
    }

    fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Bool(_) => "a boolean".into(),
            Self::Number(n) => format!("the number {n}"),
            Self::String(_) => "a string".into(),
            Self::Array(_) => "an array".into(),
            Self::Object(_) => "an object".into(),
        }
    }
}

/// Where something other than white space stands behind `end`.
fn rest_of(text: &str, end: usize) -> Option<usize> {
    let white = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let rest = text[end..].bytes().position(|b| !white(&b));
    rest.map(|n| end + n)
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct JsonVisitor;

        impl<'de> Visitor<'de> for JsonVisitor {
            type Value = Json;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::String(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Json, E> {
                Ok(Json::String(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::Array(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Json::Object(members))
            }
        }

        deserializer.deserialize_any(JsonVisitor)
    }
}

/// At most so many values are in a document: one for each mark that stands before a value. Counted
/// before it is parsed, because a value of two bytes takes sixteen times as many in memory.
pub(crate) fn count_values(bytes: &[u8]) -> u64 {
    let (mut count, mut quoted, mut escaped) = (1, false, false);
    for &byte in bytes {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => quoted = true,
                b',' | b':' | b'[' | b'{' => count += 1,
                _ => {}
            }
        }
    }
    count
}

/// A value and the way to it, for reading fields with messages that say where.
///
/// An absent field and `null` are the same, as for a Go struct: readers return `None` or nothing.
#[derive(Clone, Debug)]
pub(crate) struct JsonNode<'j> {
    value: Option<&'j Json>,
    at: String,
}

impl<'j> JsonNode<'j> {
    /// The root of a document, called `name` in messages.
    pub(crate) fn root(value: &'j Json, name: &str) -> Self {
        Self {
            value: Some(value).filter(|v| **v != Json::Null),
            at: name.to_owned(),
        }
    }

    fn child(value: Option<&'j Json>, at: String) -> Self {
        Self {
            value: value.filter(|v| **v != Json::Null),
            at,
        }
    }

    /// Whether the field is there and not `null`.
    pub(crate) fn is_present(&self) -> bool {
        self.value.is_some()
    }

    fn wrong(&self, wanted: &'static str) -> JsonError {
        let found = self.value.map_or_else(|| "absent".into(), Json::describe);
        JsonError::Type {
            at: self.at.clone(),
            wanted,
            found,
        }
    }

    /// An error about this value's content.
    pub(crate) fn invalid(&self, why: impl fmt::Display) -> JsonError {
        JsonError::Value {
            at: self.at.clone(),
            why: why.to_string(),
        }
    }

    /// An error about a value that is `null` or absent and may not be.
    pub(crate) fn null(&self, wanted: &'static str) -> JsonError {
        JsonError::Null {
            at: self.at.clone(),
            wanted,
        }
    }

    /// The field `key`, found without regard to case.
    pub(crate) fn field(&self, key: &str) -> Result<Self, JsonError> {
        let members = self.members("an object")?;
        let found = members
            .iter()
            .rev()
            .find(|(name, _)| go_equal_fold(name, key));
        Ok(Self::child(
            found.map(|(_, value)| value),
            format!("{}.{key}", self.at),
        ))
    }

    /// The name and value of every member of an object, as written.
    pub(crate) fn entries(&self) -> Result<Vec<(&'j str, Self)>, JsonError> {
        let members = self.members("an object")?;
        Ok(members
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str(),
                    Self::child(Some(value), format!("{}.{name}", self.at)),
                )
            })
            .collect())
    }

    fn members(&self, wanted: &'static str) -> Result<&'j [(String, Json)], JsonError> {
        match self.value {
            None => Ok(&[]),
            Some(Json::Object(members)) => Ok(members),
            Some(_) => Err(self.wrong(wanted)),
        }
    }

    /// The items of an array; `None` if it is absent.
    pub(crate) fn items(&self) -> Result<Option<Vec<Self>>, JsonError> {
        match self.value {
            None => Ok(None),
            Some(Json::Array(items)) => Ok(Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| Self::child(Some(item), format!("{}[{i}]", self.at)))
                    .collect(),
            )),
            Some(_) => Err(self.wrong("an array")),
        }
    }

    /// A string; empty if absent.
    pub(crate) fn string(&self) -> Result<String, JsonError> {
        match self.value {
            None => Ok(String::new()),
            Some(Json::String(text)) => Ok(text.clone()),
            Some(_) => Err(self.wrong("a string")),
        }
    }

    /// A string, or `None` if it is absent or empty, which Go cannot tell apart.
    pub(crate) fn non_empty(&self) -> Result<Option<String>, JsonError> {
        self.string()
            .map(|text| Some(text).filter(|t| !t.is_empty()))
    }

    /// An array of strings; `None` if it is absent. A `null` inside is an empty string, as in Go.
    pub(crate) fn strings(&self) -> Result<Option<Vec<String>>, JsonError> {
        self.items()?
            .map(|items| items.iter().map(Self::string).collect())
            .transpose()
    }

    /// The names of an object's members (Go's `map[string]struct{}`), sorted.
    pub(crate) fn keys(&self) -> Result<Vec<String>, JsonError> {
        let mut keys: Vec<String> = self
            .members("an object")?
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// An object of strings, sorted by key; of several equal keys the last one counts.
    pub(crate) fn string_map(&self) -> Result<Vec<(String, String)>, JsonError> {
        let mut map = std::collections::BTreeMap::new();
        for (name, value) in self.entries()? {
            map.insert(name.to_owned(), value.string()?);
        }
        Ok(map.into_iter().collect())
    }

    /// A whole number; `None` if it is absent.
    pub(crate) fn integer(&self) -> Result<Option<i64>, JsonError> {
        match self.value {
            None => Ok(None),
            Some(Json::Number(n)) => n
                .as_i64()
                .map(Some)
                .ok_or_else(|| self.wrong("a whole number")),
            Some(_) => Err(self.wrong("a whole number")),
        }
    }

    /// A boolean; false if absent.
    pub(crate) fn boolean(&self) -> Result<bool, JsonError> {
        match self.value {
            None => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong("a boolean")),
        }
    }

    /// A value with a grammar of its own; `None` if it is absent or empty.
    pub(crate) fn parsed<T>(&self) -> Result<Option<T>, JsonError>
    where
        T: std::str::FromStr<Err: fmt::Display>,
    {
        match self.non_empty()? {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|why: T::Err| self.invalid(why)),
        }
    }
}

/// Go's simple case folding over the names that occur in these formats: ASCII, and the two other
/// letters that fold into it (long s and the Kelvin sign).
pub(super) fn go_equal_fold(a: &str, b: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    a.chars().map(fold).eq(b.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Json {
        Json::parse(text.as_bytes()).expect("sound JSON")
    }

    #[test]
    fn keys_match_in_any_case_and_the_last_one_counts() {
        let json =
            parse(r#"{"rootfS":{"A":1},"RootFS":null,"repoTags":["a"],"REPOTAGS":["b","c"]}"#);
        let root = JsonNode::root(&json, "x");
        assert!(!root.field("rootfs").expect("object").is_present());
        let tags = root
            .field("RepoTags")
            .and_then(|n| n.strings())
            .expect("strings");
        assert_eq!(tags, Some(vec!["b".to_owned(), "c".to_owned()]));
        assert!(go_equal_fold("hi\u{17f}tory", "HISTORY"));
    }

    #[test]
    fn a_wrong_type_says_where() {
        let json = parse(r#"{"config":{"Env":["A=1",2]}}"#);
        let error = JsonNode::root(&json, "config.json")
            .field("config")
            .and_then(|n| n.field("Env"))
            .and_then(|n| n.strings())
            .expect_err("2 is no string");
        assert_eq!(
            error.to_string(),
            "`config.json.config.Env[1]` should be a string, but is the number 2"
        );
    }

    #[test]
    fn what_follows_the_first_value_is_found() {
        assert_eq!(Json::parse_first(b"[] \n").map(|(_, rest)| rest), Ok(None));
        assert_eq!(
            Json::parse_first(b"[] \n{}").map(|(_, rest)| rest),
            Ok(Some(4))
        );
        assert!(Json::parse(b"[] x").is_err());
        assert!(Json::parse(b"").is_err());
    }

    #[test]
    fn values_are_never_more_than_counted() {
        fn values(json: &Json) -> u64 {
            1 + match json {
                Json::Array(items) => items.iter().map(values).sum(),
                Json::Object(members) => members.iter().map(|(_, value)| values(value) + 1).sum(),
                _ => 0,
            }
        }
        for text in [
            r#"{"a":[1,2,{"b":"x,[{:\"\\"}],"c":null}"#,
            "[]",
            "0",
            "[[],[]]",
        ] {
            assert!(
                count_values(text.as_bytes()) >= values(&parse(text)),
                "{text}"
            );
        }
        assert_eq!(count_values(br#""a,b:c[{\",""#), 1);
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_crash() {
        let deep = "[".repeat(100_000);
        assert!(Json::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn bad_utf8_is_replaced_as_go_does() {
        assert_eq!(
            Json::parse(b"\"a\xffb\""),
            Ok(Json::String("a\u{fffd}b".into()))
        );
    }
}
