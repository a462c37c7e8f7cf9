//! Documents that refer to what got another digest: changed in these places alone, never written anew.
//!
//! A digest is 64 hex digits wherever it stands (a descriptor, a diff ID, a path in `manifest.json`,
//! the name of a member), so it can be exchanged in the text; the size beside it in a descriptor is
//! found by reading the text as JSON.

use std::collections::HashMap;

use crate::digest::Digest;

/// How many times documents are gone through. What refers to what is not as deep as this: a config, a
/// manifest, an index or two.
const ROUNDS: usize = 16;

/// Digests that became others, in hex, and the new sizes.
#[derive(Debug, Default)]
pub(super) struct Renames(HashMap<String, (String, u64)>);

impl Renames {
    pub(super) fn add(&mut self, old: &str, new: &str, size: u64) {
        if old != new {
            self.0.insert(old.to_owned(), (new.to_owned(), size));
        }
    }

    pub(super) fn get(&self, old: &str) -> Option<&str> {
        self.0.get(old).map(|(new, _)| &**new)
    }

    /// A text with every digest exchanged that became another.
    pub(super) fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut out = text.to_vec();
        let mut from = 0;
        while from < out.len() {
            if !is_hex(out[from]) {
                from += 1;
                continue;
            }
            let len = out[from..].iter().take_while(|b| is_hex(**b)).count();
            if len == 64
                && let Ok(old) = std::str::from_utf8(&out[from..from + 64])
                && let Some((new, _)) = self.0.get(old)
                && new.len() == 64
            {
                let new = new.clone();
                out[from..from + 64].copy_from_slice(new.as_bytes());
            }
            from += len;
        }
        out
    }

    /// Changes `documents` until nothing refers to an old digest; they are given and come back in the
    /// same order. What is no JSON, and what is a statement about an image rather than a part of its
    /// description, stays as it is.
    pub(super) fn follow(&mut self, documents: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let follows: Vec<bool> = documents.iter().map(|text| is_description(text)).collect();
        let mut current = documents.to_vec();
        for _ in 0..ROUNDS {
            let mut changed = false;
            for ((original, current), _) in documents
                .iter()
                .zip(&mut current)
                .zip(&follows)
                .filter(|(_, follows)| **follows)
            {
                let text = self.sized(&self.apply(original));
                if text != *current {
                    changed = true;
                    let old = Digest::sha256_of(original);
                    let new = Digest::sha256_of(&text);
                    self.add(old.encoded(), new.encoded(), text.len() as u64);
                    *current = text;
                }
            }
            if !changed {
                break;
            }
        }
        current
    }

    /// The text with the size in every descriptor of something new.
    fn sized(&self, text: &[u8]) -> Vec<u8> {
        let sizes: HashMap<&str, u64> = self
            .0
            .values()
            .map(|(new, size)| (new.as_str(), *size))
            .collect();
        let mut out = Vec::with_capacity(text.len() + 16);
        let mut from = 0;
        for edit in size_edits(text, &sizes) {
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

/// Whether a document describes images: a config, a manifest, an index, `manifest.json`,
/// `repositories`.
pub(super) fn is_description(text: &[u8]) -> bool {
    match serde_json::from_slice::<serde_json::Value>(text) {
        Ok(serde_json::Value::Array(_)) => true,
        Ok(serde_json::Value::Object(object)) => {
            let keys = ["rootfs", "layers", "manifests", "schemaVersion"];
            keys.iter().any(|key| object.contains_key(*key)) || is_repositories(&object)
        }
        _ => false,
    }
}

/// Whether every value is an object of tags, each with the hex digits of what it stands for: since Docker
/// 25 that is the diff ID of the image's top layer.
fn is_repositories(object: &serde_json::Map<String, serde_json::Value>) -> bool {
    let is_id = |id: &serde_json::Value| {
        let hex = id.as_str().map(str::as_bytes);
        hex.is_some_and(|hex| hex.len() == 64 && hex.iter().all(|&b| is_hex(b)))
    };
    let is_tags = |tags: &serde_json::Value| {
        let tags = tags.as_object();
        tags.is_some_and(|tags| !tags.is_empty() && tags.values().all(is_id))
    };
    !object.is_empty() && object.values().all(is_tags)
}

/// A number that becomes another.
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
fn size_edits(text: &[u8], sizes: &HashMap<&str, u64>) -> Vec<Edit> {
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
        let changed = renames.follow(&[
            index.clone(),
            manifest,
            statement.clone(),
            repositories.clone().into_bytes(),
        ]);
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
        assert_eq!(changed[2], statement);
        let wanted = repositories.replace(old.encoded(), new.encoded());
        assert_eq!(changed[3], wanted.into_bytes());
        let name = format!("blobs/sha256/{}", old.encoded());
        let wanted = format!("blobs/sha256/{}", new.encoded());
        assert_eq!(renames.apply(name.as_bytes()), wanted.as_bytes());
        let longer = format!("{}0", old.encoded());
        assert_eq!(renames.apply(longer.as_bytes()), longer.as_bytes());
    }
}
