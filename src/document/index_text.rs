//! Indexes and descriptors edited as text: what is not understood (a platform's features, annotations of other
//! tools, `data`) stays as it was written.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::descriptor::annotation;
use super::json::{Json, JsonError, JsonNode};
use super::json_object::{ObjectMembers, array, string};
use crate::base::digest::Digest;

/// An index, taken apart into its entries.
#[derive(Clone, Debug)]
pub(crate) struct IndexText {
    members: ObjectMembers,
    /// The text of each descriptor, in order.
    pub(crate) manifests: Vec<String>,
}

impl IndexText {
    /// Takes an index apart. What follows its first JSON value is left out.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if it is not an object, or what it lists is not a list.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        let bytes = match Json::parse_first(bytes)? {
            (_, Some(at)) => bytes.get(..at).unwrap_or(bytes),
            (_, None) => bytes,
        };
        let syntax = |why: String| JsonError::Syntax(why);
        let text = std::str::from_utf8(bytes).map_err(|e| syntax(e.to_string()))?;
        let members = ObjectMembers::parse(text)?;
        let listed: Option<Vec<Box<RawValue>>> = match members.get("manifests") {
            Some(listed) => serde_json::from_str(listed).map_err(|e| syntax(e.to_string()))?,
            None => None,
        };
        let listed = listed.unwrap_or_default();
        Ok(Self {
            members,
            manifests: listed.iter().map(|one| one.get().to_owned()).collect(),
        })
    }

    /// The index with these entries in place of its own; all other members stay.
    pub(crate) fn with(&self, manifests: &[String]) -> Vec<u8> {
        let mut members = self.members.clone();
        members.set("manifests", array(manifests), &[]);
        members.to_text().into_bytes()
    }
}

/// What a descriptor points at instead.
#[derive(Clone, Debug)]
pub(crate) struct Pointed<'p> {
    pub(crate) media_type: &'p str,
    pub(crate) digest: &'p Digest,
    pub(crate) size: u64,
}

/// A descriptor that points at something else; `data`, a copy of what it pointed at, goes.
///
/// # Errors
///
/// [`JsonError`] if it is not an object.
pub(crate) fn pointing_at(descriptor: &str, to: &Pointed<'_>) -> Result<String, JsonError> {
    let mut members = ObjectMembers::parse(descriptor)?;
    members.set("mediaType", string(to.media_type), &[]);
    members.set("digest", string(&to.digest.to_string()), &["mediaType"]);
    members.set("size", to.size.to_string(), &["mediaType", "digest"]);
    members.remove("data");
    Ok(members.to_text())
}

/// A descriptor with `set` among its annotations, and without those in `removed`.
///
/// # Errors
///
/// [`JsonError`] if it is not an object, or has annotations that are not strings.
pub(crate) fn annotated(
    descriptor: &str,
    removed: &[&str],
    set: &BTreeMap<&str, String>,
) -> Result<String, JsonError> {
    let json = Json::parse(descriptor.as_bytes())?;
    let known = JsonNode::root(&json, "a descriptor");
    let known = known.field("annotations")?.string_map()?;
    let mut all: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, _) in &known {
        if !removed.contains(&key.as_str())
            && let Some(value) = annotation(&known, key)
        {
            all.insert(key, value);
        }
    }
    all.extend(set.iter().map(|(key, value)| (*key, value.as_str())));
    let mut members = ObjectMembers::parse(descriptor)?;
    if all.is_empty() {
        members.remove("annotations");
        return Ok(members.to_text());
    }
    let text = all
        .iter()
        .map(|(key, value)| format!("{}:{}", string(key), string(value)));
    let text = format!("{{{}}}", text.collect::<Vec<_>>().join(","));
    members.set("annotations", text, &["mediaType", "digest", "size"]);
    Ok(members.to_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_stays() {
        let text = r#"{"x":1.50, "manifests":[{"digest":"a","platform":{"os.features":["f"]}},{"b":2}],"y":null}"#;
        let index = IndexText::read(text.as_bytes()).expect("an index");
        assert_eq!(index.manifests.len(), 2);
        let less = index.with(&index.manifests[..1]);
        assert_eq!(
            String::from_utf8(less).expect("text"),
            r#"{"x":1.50,"manifests":[{"digest":"a","platform":{"os.features":["f"]}}],"y":null}"#
        );
    }

    #[test]
    fn a_name_is_replaced_and_other_annotations_stay() {
        let text = r#"{"mediaType":"m","annotations":{"b":"<","a":"1"}}"#;
        let set = BTreeMap::from([("n", "new".to_owned())]);
        assert_eq!(
            annotated(text, &["a"], &set).expect("a descriptor"),
            r#"{"mediaType":"m","annotations":{"b":"\u003c","n":"new"}}"#
        );
        assert_eq!(
            annotated(text, &["a", "b"], &BTreeMap::new()).expect("a descriptor"),
            r#"{"mediaType":"m"}"#
        );
    }
}
