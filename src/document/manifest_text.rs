//! A manifest edited as text: its layers are stored as other blobs, everything else stays as it was written.

use serde_json::value::RawValue;

use super::index_text::{Pointed, pointing_at};
use super::json::{Json, JsonError};
use super::json_object::{ObjectMembers, array, string};
use super::media_type::{DOCKER_CONFIG, OCI_CONFIG, OCI_MANIFEST};
use crate::base::digest::Digest;

/// Annotations of a layer's descriptor that are about its stored bytes, which other tools have put there: the
/// tables of contents of estargz and zstd:chunked (containerd/stargz-snapshotter `estargz/types.go`,
/// containers/storage `pkg/chunked/internal/minimal/compression.go`). A wrong one makes those tools fail.
const ABOUT_THE_BLOB: [&str; 4] = [
    "containerd.io/snapshot/stargz/",
    "io.containers.estargz.",
    "io.github.containers.zstd-chunked.",
    "io.github.containers.pmtrees.",
];

/// A manifest whose `layers` are stored as `to`, base first. It becomes an OCI manifest, whose types of layers
/// all readers know; annotations, `subject`, `artifactType` and what is not understood stay. A layer whose digest
/// is the old one keeps its descriptor.
///
/// # Errors
///
/// [`JsonError`] if it is not an object, or does not have as many layers.
pub(crate) fn with_layers(manifest: &[u8], to: &[Pointed<'_>]) -> Result<Vec<u8>, JsonError> {
    let syntax = |why: String| JsonError::Syntax(why);
    let mut members = members_of(manifest)?;
    let was_oci = members.get("mediaType") == Some(&string(OCI_MANIFEST));
    let layers = members.get("layers").unwrap_or("[]");
    let layers: Vec<Box<RawValue>> =
        serde_json::from_str(layers).map_err(|e| syntax(e.to_string()))?;
    if layers.len() != to.len() {
        return Err(syntax("its layers cannot be told apart".to_owned()));
    }
    let mut edited = Vec::with_capacity(to.len());
    for (layer, to) in layers.iter().zip(to) {
        edited.push(layer_at(layer.get(), to, was_oci)?);
    }
    members.set(
        "mediaType",
        string(OCI_MANIFEST),
        &["schemaVersion", "mediaType"],
    );
    members.set(
        "layers",
        array(&edited),
        &["schemaVersion", "mediaType", "config", "layers"],
    );
    if let Some(config) = members.get("config") {
        let mut config = ObjectMembers::parse(config)?;
        if config.get("mediaType") == Some(&string(DOCKER_CONFIG)) {
            config.set("mediaType", string(OCI_CONFIG), &[]);
            members.set("config", config.to_text(), &[]);
        }
    }
    Ok(members.to_text().into_bytes())
}

/// A manifest whose `subject` is `to`; `None` if it has none. Everything else stays as it was written.
///
/// # Errors
///
/// [`JsonError`] if it is not an object, or its subject is not one.
pub(crate) fn with_subject(
    manifest: &[u8],
    to: &Pointed<'_>,
) -> Result<Option<Vec<u8>>, JsonError> {
    let mut members = members_of(manifest)?;
    let subject = match members.get("subject") {
        None | Some("null") => return Ok(None),
        Some(subject) => pointing_at(subject, to)?,
    };
    members.set("subject", subject, &[]);
    Ok(Some(members.to_text().into_bytes()))
}

/// The members of a manifest. What follows its first JSON value is not read by anybody.
fn members_of(manifest: &[u8]) -> Result<ObjectMembers, JsonError> {
    let manifest = match Json::parse_first(manifest)? {
        (_, Some(at)) => manifest.get(..at).unwrap_or(manifest),
        (_, None) => manifest,
    };
    let text = std::str::from_utf8(manifest).map_err(|e| JsonError::Syntax(e.to_string()))?;
    ObjectMembers::parse(text)
}

/// The descriptor of a layer that is stored as `to`.
fn layer_at(text: &str, to: &Pointed<'_>, was_oci: bool) -> Result<String, JsonError> {
    let mut members = ObjectMembers::parse(text)?;
    let digest: Option<String> = members
        .get("digest")
        .and_then(|digest| serde_json::from_str(digest).ok());
    let digest: Option<Digest> = digest.and_then(|digest| digest.parse().ok());
    if digest.as_ref() == Some(to.digest) {
        if was_oci {
            return Ok(members.to_text());
        }
        members.set("mediaType", string(to.media_type), &[]);
        return Ok(members.to_text());
    }
    // Where the old blob could be fetched.
    members.remove("urls");
    if let Some(annotations) = members.get("annotations") {
        let mut annotations = ObjectMembers::parse(annotations)?;
        annotations.retain(|name| !ABOUT_THE_BLOB.iter().any(|about| name.starts_with(about)));
        if annotations.is_empty() {
            members.remove("annotations");
        } else {
            members.set("annotations", annotations.to_text(), &[]);
        }
    }
    pointing_at(&members.to_text(), to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_about_the_blob_stays() {
        let (old, new) = (Digest::sha256_of(b"old"), Digest::sha256_of(b"new"));
        let same = Digest::sha256_of(b"same");
        let manifest = format!(
            r#"{{"schemaVersion":2, "config":{{"mediaType":"{DOCKER_CONFIG}","size":1}},"layers":[
            {{"mediaType":"x","digest":"{same}","size":4,"y":1.0}},
            {{"mediaType":"x","digest":"{old}","size":3,"urls":["u"],"data":"b2xk","annotations":
            {{"a":"1","io.github.containers.zstd-chunked.manifest-position":"5"}}}}],
            "artifactType":"t","subject":{{"digest":"{same}"}},"annotations":{{"k":"v"}}}} "#
        );
        let to = [(&same, 4, "x"), (&new, 9, "m")];
        let to = to.map(|(digest, size, media_type)| Pointed {
            media_type,
            digest,
            size,
        });
        let edited = with_layers(manifest.as_bytes(), &to).expect("a manifest");
        let wanted = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"{OCI_CONFIG}","size":1}},"layers":[{{"mediaType":"x","digest":"{same}","size":4,"y":1.0}},{{"mediaType":"m","digest":"{new}","size":9,"annotations":{{"a":"1"}}}}],"artifactType":"t","subject":{{"digest":"{same}"}},"annotations":{{"k":"v"}}}}"#
        );
        assert_eq!(String::from_utf8(edited).expect("text"), wanted);
        assert!(with_layers(manifest.as_bytes(), &to[..1]).is_err());
        let moved = with_subject(manifest.as_bytes(), &to[1]).expect("a manifest");
        let moved = String::from_utf8(moved.expect("a subject")).expect("text");
        let subject = format!(r#""subject":{{"digest":"{new}","mediaType":"m","size":9}}"#);
        assert!(moved.contains(&subject), "{moved}");
        assert_eq!(with_subject(b"{}", &to[1]).expect("a manifest"), None);
    }
}
