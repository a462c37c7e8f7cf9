//! JSON objects whose members stay the text they were, but for Go's form of it.
//!
//! What is not understood is carried along as text, never decoded and encoded again: numbers would
//! lose digits, strings their escapes.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::go_json::compact;
use super::json::{JsonError, go_equal_fold};

/// A JSON object: names and the text of their values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectMembers(Vec<(String, String)>);

impl ObjectMembers {
    /// Reads the text of an object; `null` has no members. White space between tokens is dropped.
    pub(super) fn parse(text: &str) -> Result<Self, JsonError> {
        if compact(text) == "null" {
            return Ok(Self::default());
        }
        let Raw(members) =
            serde_json::from_str(text).map_err(|error| JsonError::Syntax(error.to_string()))?;
        Ok(Self(
            members
                .into_iter()
                .map(|(name, value)| (name, compact(value.get())))
                .collect(),
        ))
    }

    /// The text of a value; of several names that Go takes for the same one the last one counts.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut same = self.0.iter().rev().filter(|(n, _)| go_equal_fold(n, name));
        same.next().map(|(_, value)| value.as_str())
    }

    /// The object at `name` of a config that [`Config::read`](super::Config::read) has read; empty if
    /// there is none.
    pub(super) fn object(&self, name: &str) -> Self {
        self.get(name).map_or_else(Self::default, Self::of_read)
    }

    /// The members of an object, or of `null`, which has none, inside a config that
    /// [`Config::read`](super::Config::read) has read: it refuses what is something else there.
    pub(super) fn of_read(text: &str) -> Self {
        Self::parse(text).expect("the config was read, and this is an object in it")
    }

    /// Puts a value where the name stands, or else at its place in `order`: behind the last member
    /// that stands before it there, at the end if the name is in no order.
    pub(super) fn set(&mut self, name: &str, value: String, order: &[&str]) {
        if let Some(at) = self.0.iter().rposition(|(n, _)| go_equal_fold(n, name)) {
            self.0[at] = (name.to_owned(), value);
            let mut index = 0;
            self.0.retain(|(n, _)| {
                index += 1;
                index - 1 == at || !go_equal_fold(n, name)
            });
            return;
        }
        let rank = |name: &str| order.iter().position(|n| go_equal_fold(n, name));
        let at = match rank(name) {
            None => self.0.len(),
            Some(own) => self
                .0
                .iter()
                .rposition(|(n, _)| rank(n).is_some_and(|other| other < own))
                .map_or(0, |before| before + 1),
        };
        self.0.insert(at, (name.to_owned(), value));
    }

    /// Keeps the members whose names are wanted.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        self.0.retain(|(name, _)| wanted(name));
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a member out, whatever case its name has.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !go_equal_fold(n, name));
    }

    /// Names and the text of values, in order; of several equal names all.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let members = self.0.iter();
        members.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The object as text.
    pub(super) fn to_text(&self) -> String {
        let members = self
            .0
            .iter()
            .map(|(name, value)| format!("{}:{value}", string(name)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// The members of an object, each value as it was written.
struct Raw(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawVisitor;

        impl<'de> Visitor<'de> for RawVisitor {
            type Value = Raw;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Raw(members))
            }
        }

        deserializer.deserialize_map(RawVisitor)
    }
}

/// The items of an array, or of `null`, which has none, as text, inside a config that
/// [`Config::read`](super::Config::read) has read: it refuses what is something else there.
pub(super) fn items(text: &str) -> Vec<String> {
    let items: Option<Vec<Box<RawValue>>> =
        serde_json::from_str(text).expect("the config was read, and this is an array in it");
    let items = items.unwrap_or_default();
    items.iter().map(|item| compact(item.get())).collect()
}

/// A string as Go writes it.
pub(super) fn string(text: &str) -> String {
    compact(&serde_json::to_string(text).expect("a string can always be written as JSON"))
}

/// An array.
pub(super) fn array<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let mut out = String::from("[");
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(item.as_ref());
    }
    out.push(']');
    out
}

/// An array of strings.
pub(super) fn strings(items: &[String]) -> String {
    array(items.iter().map(|item| string(item)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_go_does() {
        assert_eq!(
            string("a<b>&\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}\u{2028}\u{2029}é"),
            "\"a\\u003cb\\u003e\\u0026\\\"\\\\\\n\\r\\t\\b\\f\\u0001\u{7f}\\u2028\\u2029é\""
        );
    }

    #[test]
    fn members_keep_order_and_text() {
        let text = "{\"z\": 1.50, \"Created\":\"\\u003c\", \"created\" : { \"a\" : \" b\\\" \" }}";
        let mut members = ObjectMembers::parse(text).expect("an object");
        assert_eq!(members.get("CREATED"), Some("{\"a\":\" b\\\" \"}"));
        members.set("created", "1".into(), &[]);
        assert_eq!(members.to_text(), "{\"z\":1.50,\"created\":1}");
        members.set("b", "2".into(), &["a", "b", "z"]);
        members.set("y", "3".into(), &[]);
        assert_eq!(
            members.to_text(),
            "{\"b\":2,\"z\":1.50,\"created\":1,\"y\":3}"
        );
        members.remove("Z");
        assert_eq!(members.to_text(), "{\"b\":2,\"created\":1,\"y\":3}");
        assert!(ObjectMembers::parse("[]").is_err());
        assert_eq!(
            ObjectMembers::parse(" null ").map(|m| m.to_text()),
            Ok("{}".into())
        );
    }
}
