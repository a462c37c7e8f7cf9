//! Text from archives, which need not be UTF-8.

use base64::Engine as _;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A name as bytes: a string in JSON if it is UTF-8, else `{"bytes": "<base64>"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(
            "bytes",
            &base64::engine::general_purpose::STANDARD.encode(&self.0),
        )?;
        map.end()
    }
}

/// A JSON document from an archive, printed verbatim.
#[derive(Clone, Debug)]
pub struct Raw(Box<RawValue>);

impl Raw {
    /// Takes a document; `None` if its bytes are not JSON in UTF-8.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        RawValue::from_string(text.to_owned()).ok().map(Self)
    }
}

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(feature = "schema")]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    impl JsonSchema for super::Text {
        fn schema_name() -> Cow<'static, str> {
            "Text".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "description": "A name: a string if it is UTF-8, otherwise its bytes in base64.",
                "oneOf": [
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": {"bytes": {"type": "string", "contentEncoding": "base64"}},
                        "required": ["bytes"],
                    },
                ],
            })
        }
    }

    impl JsonSchema for super::Raw {
        fn schema_name() -> Cow<'static, str> {
            "Raw".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"description": "A JSON document of the archive, verbatim."})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        let json = |bytes: &[u8]| serde_json::to_string(&Text(bytes.to_vec())).expect("serialises");
        assert_eq!(json("aé\"".as_bytes()), "\"aé\\\"\"");
        assert_eq!(json(b"\xff\x00"), "{\"bytes\":\"/wA=\"}");
    }

    #[test]
    fn documents_are_printed_as_they_stand() {
        let text = "{ \"b\" : 1.0 , \"a\":[ ] }";
        let raw = Raw::new(text.as_bytes()).expect("JSON");
        assert_eq!(serde_json::to_string(&raw).expect("serialises"), text);
        assert!(Raw::new(b"{").is_none() && Raw::new(b"\"\xff\"").is_none());
    }
}
