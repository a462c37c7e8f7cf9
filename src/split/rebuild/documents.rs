//! Documents that refer to something with a new digest: only these places change; they are never written anew.
//!
//! A digest is 64 hex digits wherever it occurs (a descriptor, a diff ID, a path in `manifest.json`,
//! the name of a member), so it can be replaced in the text; the size beside it in a descriptor is
//! found by reading the text as JSON.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::base::digest::Digest;

/// Digests that changed, in hex, and the new sizes.
#[derive(Debug, Default)]
pub(super) struct Renames {
    new: HashMap<String, String>,
    /// The size of everything that has a new digest, by that.
    sizes: HashMap<String, u64>,
}

/// Documents that refer to each other in a circle, which no real digests can do.
#[derive(Debug)]
pub(super) struct Circle;

impl Renames {
    pub(super) fn add(&mut self, old: &str, new: &str, size: u64) {
        if old != new {
            self.new.insert(old.to_owned(), new.to_owned());
            self.sizes.insert(new.to_owned(), size);
        }
    }

    pub(super) fn get(&self, old: &str) -> Option<&str> {
        self.new.get(old).map(|new| &**new)
    }

    /// A text with every changed digest replaced.
    pub(super) fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut out = text.to_vec();
        for at in digests(text) {
            if let Ok(old) = std::str::from_utf8(&text[at..at + HEX])
                && let Some(new) = self.new.get(old)
                && new.len() == HEX
            {
                out[at..at + HEX].copy_from_slice(new.as_bytes());
            }
        }
        out
    }

    /// What becomes of `documents` where nothing refers to an old digest any more; `None` for those that
    /// stay as they are. Each is changed once, after all that it refers to.
    pub(super) fn follow(&mut self, documents: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Circle> {
        let sums: Vec<Digest> = documents
            .iter()
            .map(|text| Digest::sha256_of(text))
            .collect();
        let order = order(documents, &sums)?;
        let mut changed = vec![None; documents.len()];
        for n in order {
            let text = &documents[n];
            let refers = |at: usize| {
                let hex = std::str::from_utf8(&text[at..at + HEX]);
                hex.is_ok_and(|hex| self.new.contains_key(hex))
            };
            if !digests(text).any(refers) {
                continue;
            }
            let new = self.sized(&self.apply(text));
            if new != *text {
                let sum = Digest::sha256_of(&new);
                self.add(sums[n].encoded(), sum.encoded(), new.len() as u64);
                changed[n] = Some(new);
            }
        }
        Ok(changed)
    }

    /// The text with the size in every descriptor of something new.
    fn sized(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 16);
        let mut from = 0;
        for edit in size_edits(text, &self.sizes) {
            out.extend_from_slice(&text[from..edit.from]);
            out.extend_from_slice(edit.size.to_string().as_bytes());
            from = edit.to;
        }
        out.extend_from_slice(&text[from..]);
        out
    }
}

fn is_hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

/// How many hex digits a digest has.
const HEX: usize = 64;

/// Where digests are in a text: hex digits, exactly as many as a digest has.
fn digests(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        while from < text.len() {
            let at = from;
            let len = text[at..].iter().take_while(|b| is_hex(**b)).count();
            from += len.max(1);
            if len == HEX {
                return Some(at);
            }
        }
        None
    })
}

/// The documents in an order in which each comes after all that it refers to.
fn order(documents: &[Vec<u8>], sums: &[Digest]) -> Result<Vec<usize>, Circle> {
    let mut by_sum: HashMap<&[u8], usize> = HashMap::new();
    for (n, sum) in sums.iter().enumerate() {
        by_sum.entry(sum.encoded().as_bytes()).or_insert(n);
    }
    // What is referred to, and what refers to it.
    let mut edges: Vec<(usize, usize)> = Vec::new();
    let mut open = vec![0_usize; documents.len()];
    for (n, text) in documents.iter().enumerate() {
        for at in digests(text) {
            if let Some(&to) = by_sum.get(&text[at..at + HEX]) {
                edges.push((to, n));
                open[n] += 1;
            }
        }
    }
    edges.sort_unstable();
    let mut order: Vec<usize> = (0..documents.len()).filter(|&n| open[n] == 0).collect();
    let mut next = 0;
    while let Some(&done) = order.get(next) {
        next += 1;
        let from = edges.partition_point(|edge| edge.0 < done);
        for &(_, n) in edges[from..].iter().take_while(|edge| edge.0 == done) {
            open[n] -= 1;
            if open[n] == 0 {
                order.push(n);
            }
        }
    }
    if order.len() < documents.len() {
        return Err(Circle);
    }
    Ok(order)
}

/// Whether a document describes images: a config, a manifest, an index, `manifest.json`,
/// `repositories`. Nothing of it is kept, so that its values take no memory.
pub(super) fn is_description(text: &[u8]) -> bool {
    const KEYS: [&str; 4] = ["rootfs", "layers", "manifests", "schemaVersion"];
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    if text.starts_with('[') {
        return serde_json::from_str::<IgnoredAny>(text).is_ok();
    }
    let (mut known, mut tags, mut any) = (false, true, false);
    let sound = each_member(text, |key, value| {
        known |= KEYS.contains(&key);
        tags &= is_tags(value);
        any = true;
    });
    sound && (known || (tags && any))
}

/// Whether a value is an object of tags, each with the hex digits of what it names: since Docker 25
/// that is the diff ID of the image's top layer. `repositories` has such values alone.
fn is_tags(value: &str) -> bool {
    let (mut ids, mut any) = (true, false);
    let is_object = each_member(value, |_, value| {
        let hex = value
            .strip_prefix('"')
            .and_then(|hex| hex.strip_suffix('"'));
        ids &= hex.is_some_and(|hex| hex.len() == HEX && hex.bytes().all(is_hex));
        any = true;
    });
    is_object && ids && any
}

/// Shows the members of an object, their values as they are written; false if `text` is something else.
fn each_member<'t>(text: &'t str, see: impl FnMut(&str, &'t str)) -> bool {
    struct Members<F>(F);

    impl<'t, F: FnMut(&str, &'t str)> Visitor<'t> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((key, value)) = map.next_entry::<Cow<'t, str>, &'t RawValue>()? {
                (self.0)(&key, value.get());
            }
            Ok(())
        }
    }

    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Members(see)).is_ok() && json.end().is_ok()
}

/// A number to be replaced.
struct Edit {
    from: usize,
    to: usize,
    size: u64,
}

/// What is known of an object that is open.
#[derive(Default)]
struct Open {
    key: Option<(usize, usize)>,
    digest: Option<(usize, usize)>,
    size: Option<(usize, usize)>,
}

/// Finds the sizes beside digests that are in `sizes`. The text is JSON.
fn size_edits(text: &[u8], sizes: &HashMap<String, u64>) -> Vec<Edit> {
    let mut edits = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let b = text[at];
        match b {
            b'{' | b'[' => open.push(Open::default()),
            b'}' | b']' => {
                if let Some(Open {
                    digest: Some((from, to)),
                    size: Some(size),
                    ..
                }) = open.pop()
                    && let Ok(digest) = std::str::from_utf8(&text[from..to])
                    && let Some(new) = digest.strip_prefix("sha256:").and_then(|d| sizes.get(d))
                {
                    edits.push(Edit {
                        from: size.0,
                        to: size.1,
                        size: *new,
                    });
                }
            }
            b',' => {
                if let Some(open) = open.last_mut() {
                    open.key = None;
                }
            }
            b'"' => {
                let from = at + 1;
                at = from;
                while at < text.len() && text[at] != b'"' {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                let to = at.min(text.len());
                if let Some(open) = open.last_mut() {
                    match open.key {
                        None => open.key = Some((from, to)),
                        Some((f, t)) if &text[f..t] == b"digest" => open.digest = Some((from, to)),
                        Some(_) => {}
                    }
                }
            }
            b'0'..=b'9' => {
                let from = at;
                while at + 1 < text.len() && text[at + 1].is_ascii_digit() {
                    at += 1;
                }
                if let Some(open) = open.last_mut()
                    && open.key.is_some_and(|(f, t)| &text[f..t] == b"size")
                {
                    open.size = Some((from, at + 1));
                }
            }
            _ => {}
        }
        at += 1;
    }
    edits.sort_by_key(|edit| edit.from);
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_refers_to_what_changed_changes_with_it() {
        let old = Digest::sha256_of(b"old");
        let new = Digest::sha256_of(b"new layer");
        let mut renames = Renames::default();
        renames.add(old.encoded(), new.encoded(), 9);
        let manifest = format!(
            "{{\"schemaVersion\": 2, \"layers\" : [ {{ \"digest\":\"{old}\",\n \"size\" : 3, \"x\":{{\"size\":1}} }} ]}}"
        )
        .into_bytes();
        let index = format!(
            "{{\"manifests\":[{{\"size\":{},\"digest\":\"{}\",\"a\":[\"size\",5]}}]}}",
            manifest.len(),
            Digest::sha256_of(&manifest)
        )
        .into_bytes();
        let statement = format!("{{\"_type\":\"x\",\"subject\":\"{old}\"}}").into_bytes();
        let repositories = format!("{{\"a/b\":{{\"1\":\"{}\"}}}}\n", old.encoded());
        let documents = [index.clone(), manifest, repositories.clone().into_bytes()];
        assert!(documents.iter().all(|text| is_description(text)));
        assert!(!is_description(&statement));
        let changed = renames.follow(&documents).expect("no circle");
        let changed: Vec<Vec<u8>> = changed
            .into_iter()
            .map(|text| text.expect("changed"))
            .collect();
        let wanted = format!(
            "{{\"schemaVersion\": 2, \"layers\" : [ {{ \"digest\":\"{new}\",\n \"size\" : 9, \"x\":{{\"size\":1}} }} ]}}"
        )
        .into_bytes();
        assert_eq!(changed[1], wanted);
        let wanted = format!(
            "{{\"manifests\":[{{\"size\":{},\"digest\":\"{}\",\"a\":[\"size\",5]}}]}}",
            changed[1].len(),
            Digest::sha256_of(&changed[1])
        )
        .into_bytes();
        assert_eq!(changed[0], wanted);
        let wanted = repositories.replace(old.encoded(), new.encoded());
        assert_eq!(changed[2], wanted.into_bytes());
        let name = format!("blobs/sha256/{}", old.encoded());
        let wanted = format!("blobs/sha256/{}", new.encoded());
        assert_eq!(renames.apply(name.as_bytes()), wanted.as_bytes());
        let longer = format!("{}0", old.encoded());
        assert_eq!(renames.apply(longer.as_bytes()), longer.as_bytes());
    }
}
