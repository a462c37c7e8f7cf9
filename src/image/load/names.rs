//! Digests that members have for names.

use crate::base::digest::{BlobDigest, Digest};

/// The digest that a member's name claims: `blobs/sha256/<hex>` in a layout, `<hex>.json`,
/// `sha256:<hex>` (crane) or `<hex>` elsewhere.
pub(super) fn digest_in_name(name: &[u8]) -> Option<Digest> {
    let name = std::str::from_utf8(name).ok()?;
    let mut parts = name.rsplit('/');
    let base = parts.next()?;
    if let (Some(algorithm), Some("blobs")) = (parts.next(), parts.next()) {
        return format!("{algorithm}:{base}").parse().ok();
    }
    let hex = base.strip_suffix(".json").unwrap_or(base);
    let hex = hex.strip_prefix("sha256:").unwrap_or(hex);
    Digest::from_sha256_hex(hex).ok()
}

/// The digest that names a blob: only `blobs/` members are named by the digest of what they hold.
pub(crate) fn blob_digest_in_name(name: &[u8]) -> Option<BlobDigest> {
    let normal = name.strip_prefix(b"./").unwrap_or(name);
    if normal.starts_with(b"blobs/") {
        digest_in_name(normal).map(BlobDigest::from)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_from_the_names_that_writers_use() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for name in [
            format!("{hex}.json"),
            format!("sha256:{hex}"),
            format!("blobs/sha256/{hex}"),
            format!("./blobs/sha256/{hex}"),
            hex.to_owned(),
        ] {
            let digest = digest_in_name(name.as_bytes()).unwrap_or_else(|| panic!("{name}"));
            assert_eq!(digest.encoded(), hex);
        }
        for name in ["config.json", "blobs/sha256/short", "x.json", ""] {
            assert_eq!(digest_in_name(name.as_bytes()), None, "{name}");
        }
        assert!(blob_digest_in_name(format!("{hex}.tar").as_bytes()).is_none());
    }
}
