//! Keys of descriptions that no engine reads, and their spelling.
//!
//! Nothing protects `manifest.json` and `index.json` by a digest, so a damaged key looks like
//! an invented one: engines ignore it and load something else than was intended, for example an image without
//! its name.

use super::super::reference::Reference;
use super::Loader;
use crate::base::problem::{Code, Problem};
use crate::document::MediaType;
use crate::document::descriptor::Descriptor;
use crate::document::descriptor::{IMAGE_NAME, REF_NAME};
use crate::document::json::{Json, JsonNode};

/// The keys of an index and of its descriptors (image-spec `image-index.md`, `descriptor.md`).
const INDEX: [&str; 6] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "manifests",
    "subject",
    "annotations",
];
const DESCRIPTOR: [&str; 8] = [
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "artifactType",
    "platform",
];

/// The keys of an object that are not in `known`, in any case.
pub(in crate::image) fn unknown_keys(node: &JsonNode<'_>, known: &[&str]) -> Vec<String> {
    let entries = node.entries().unwrap_or_default();
    let keys = entries.into_iter().map(|(key, _)| key);
    let unknown = keys.filter(|key| !known.iter().any(|known| known.eq_ignore_ascii_case(key)));
    unknown.map(str::to_owned).collect()
}

impl Loader<'_> {
    /// Warns of a description.
    pub(super) fn odd(&mut self, member: &str, message: String) {
        let problem = Problem::warning(Code::ManifestInvalid, message);
        self.problems.push(problem.in_member(member.as_bytes()));
    }

    /// Engines read a replacement character where bytes are not UTF-8.
    pub(super) fn check_text(&mut self, member: &str, bytes: &[u8]) {
        if std::str::from_utf8(bytes).is_err() {
            let message = format!(
                "{member} holds bytes that are not UTF-8: engines replace them by other characters"
            );
            self.odd(member, message);
        }
    }

    /// What stands in `index.json` itself; indexes below it are protected by their digests.
    pub(super) fn check_index(&mut self, bytes: &[u8]) {
        self.check_text("index.json", bytes);
        let Ok(json) = Json::parse(bytes) else { return };
        let root = JsonNode::root(&json, "index.json");
        let mut unknown = unknown_keys(&root, &INDEX);
        let version = root.field("schemaVersion").and_then(|node| node.integer());
        if !matches!(version, Ok(Some(2))) {
            let message = "index.json is not of schema version 2, the only one";
            self.odd("index.json", message.to_owned());
        }
        let media_type = root.field("mediaType").and_then(|node| node.parsed());
        if let Ok(Some(media_type)) = media_type
            && !MediaType::is_index(&media_type)
        {
            let message = format!("index.json calls itself `{media_type}`, which is not an index");
            self.odd("index.json", message);
        }
        let manifests = root.field("manifests").and_then(|node| node.items());
        for node in manifests.ok().flatten().unwrap_or_default() {
            unknown.extend(unknown_keys(&node, &DESCRIPTOR));
            let Ok(descriptor) = Descriptor::read(&node) else {
                continue;
            };
            let media_type = &descriptor.media_type;
            if !media_type.is_manifest() && !media_type.is_index() {
                let message = format!(
                    "index.json lists a manifest under the media type `{media_type}`, which engines do not know"
                );
                self.odd("index.json", message);
            }
            self.check_names(&descriptor);
        }
        if !unknown.is_empty() {
            unknown.sort();
            unknown.dedup();
            unknown.truncate(8);
            let message = format!(
                "index.json has keys that no engine knows: {}",
                unknown.join(", ")
            );
            self.odd("index.json", message);
        }
    }

    /// Docker and containerd write the reference twice: whole, and its tag alone. skopeo looks for the
    /// whole one in the second place too, there as people write it.
    fn check_names(&mut self, descriptor: &Descriptor) {
        let (Some(whole), Some(tag)) = (
            descriptor.annotation(IMAGE_NAME),
            descriptor.annotation(REF_NAME),
        ) else {
            return;
        };
        let reference = |text: &str| text.parse().ok().map(Reference::or_latest);
        let same = reference(whole).is_some_and(|name| reference(tag) == Some(name));
        if !same && !whole.ends_with(&format!(":{tag}")) {
            let message = "the annotations of a manifest in index.json give it two names: containerd goes by the first, others by the second";
            let problem = Problem::warning(Code::DescriptionsDisagree, message);
            let problem = problem.compared(whole, tag).in_member(b"index.json");
            self.problems.push(problem);
        }
    }
}
