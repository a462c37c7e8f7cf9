//! The first member of metadata: what it is, and what it belongs to.

use serde::{Deserialize, Serialize};

use crate::base::digest::{BlobDigest, DiffId};
use crate::source::Compression;
use crate::source::remake::Recipe;
use crate::tar::Mtime;

/// The form that is written if no layer has a recipe. Readers refuse forms that they do not know, and keys likewise.
pub const SCHEMA: &str = "imgtar/metadata/1";

/// The form that is written if a layer has a recipe; everything else in it is as in [`SCHEMA`].
pub const SCHEMA_WITH_RECIPES: &str = "imgtar/metadata/2";

/// How many bytes of the store each of its members has, uncompressed; the last one may have fewer.
pub(crate) const PACK: u64 = 4 << 20;

/// The description of the metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// [`SCHEMA`] or [`SCHEMA_WITH_RECIPES`].
    pub schema: String,
    /// Which program wrote it, for people.
    pub created_by: String,
    /// The image that was flattened.
    pub image: ImageDescription,
    /// The archive that it was taken from.
    pub archive: ArchiveDescription,
    /// The flat tar.
    pub flat: FlatDescription,
    /// The layers of the image, base first.
    pub layers: Vec<LayerDescription>,
    /// The store of bytes that the flat tar lacks.
    pub bytes: BytesDescription,
    /// Whether the bytes of shadowed files were left out.
    pub lean: bool,
}

/// The image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDescription {
    /// Its ID, as engines show it.
    pub id: String,
    /// Its name in the archive.
    pub references: Vec<String>,
}

/// The archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveDescription {
    /// Its uncompressed size in bytes.
    pub size: u64,
    /// What the whole archive was compressed with; it comes back uncompressed.
    pub compression: Compression,
    /// How many images it describes.
    pub images: usize,
    /// The SHA-256 of all its bytes that are in no member's body, one after the other.
    pub outside_sha256: String,
}

/// The flat tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlatDescription {
    /// What was added to it of a container, if anything.
    pub as_container: Option<ContainerDescription>,
}

/// What `--as-container` added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerDescription {
    /// The time of what was added, in seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds to be added.
    pub nanoseconds: i32,
    /// The working directory.
    pub working_dir: String,
}

impl ContainerDescription {
    /// The time of what was added.
    pub fn time(&self) -> Mtime {
        Mtime {
            seconds: self.seconds,
            nanoseconds: self.nanoseconds,
        }
    }
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerDescription {
    /// The SHA-256 of its uncompressed bytes.
    pub diff_id: DiffId,
    /// How many uncompressed bytes it has.
    pub size: u64,
    /// Which of the folders below `layers/` describes it; layers that share a blob share one.
    pub folder: usize,
    /// What the blob in the archive was compressed with.
    pub compression: Compression,
    /// The SHA-256 of the blob in the archive.
    pub blob: BlobDigest,
    /// The size of the blob in bytes.
    pub blob_size: u64,
    /// Whether the blob is kept as it was (`--keep-blobs`).
    pub kept: bool,
    /// How the blob is made from the uncompressed layer; only if that gives the blob byte for byte and it is not
    /// kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
}

impl LayerDescription {
    /// How the blob is made byte for byte from the whole layer, if that is known and still so.
    pub(crate) fn recipe(&self) -> Option<&Recipe> {
        self.recipe.as_ref().filter(|recipe| recipe.is_current())
    }

    /// Whether the blob can be had byte for byte if nothing of the layer is lost.
    pub(crate) fn comes_back(&self) -> bool {
        self.kept || self.compression == Compression::None || self.recipe().is_some()
    }

    /// How many bytes the blob has that is made without compressing it in another way.
    pub(crate) fn made_size(&self) -> u64 {
        self.recipe().map_or(self.size, |_| self.blob_size)
    }
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BytesDescription {
    /// How many bytes it holds, uncompressed.
    pub size: u64,
    /// How many uncompressed bytes each of its members has.
    pub pack: u64,
}

/// The names of members.
pub(crate) mod names {
    pub(crate) const DESCRIPTION: &str = "imgtar-metadata.json";
    pub(crate) const ARCHIVE_SPLIT: &str = "archive/tar-split.json.gz";
    pub(crate) const ARCHIVE_BODIES: &str = "archive/bodies.json.gz";

    pub(crate) fn layer_split(folder: usize) -> String {
        format!("layers/{folder:03}/tar-split.json.gz")
    }

    pub(crate) fn layer_bodies(folder: usize) -> String {
        format!("layers/{folder:03}/bodies.json.gz")
    }

    pub(crate) fn pack(number: u64) -> String {
        format!("bytes/{number:08}.zst")
    }

    /// The name of a document of the archive: its place, and the harmless part of its own name.
    pub(crate) fn document(number: usize, name: &[u8]) -> String {
        let base = name.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let base: String = base
            .iter()
            .filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
            .take(80)
            .map(|&b| char::from(b))
            .collect();
        format!("archive/{number:04}-{base}")
    }

    /// Whether this version gives the name a meaning.
    pub(crate) fn is_known(name: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match name.split('/').collect::<Vec<_>>()[..] {
            [DESCRIPTION] | ["archive", "tar-split.json.gz" | "bodies.json.gz"] => true,
            ["archive", document] => document.split_once('-').is_some_and(|(n, _)| digits(n)),
            ["layers", folder, "tar-split.json.gz" | "bodies.json.gz"] => digits(folder),
            ["bytes", pack] => pack.strip_suffix(".zst").is_some_and(digits),
            ["blobs", "sha256", hex] => crate::base::digest::Digest::from_sha256_hex(hex).is_ok(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::names;
    use crate::base::digest::Digest;

    #[test]
    fn names_are_known_and_harmless() {
        for name in [
            names::DESCRIPTION.to_owned(),
            names::ARCHIVE_SPLIT.to_owned(),
            names::layer_split(0),
            names::layer_bodies(1234),
            names::pack(7),
            names::document(3, b"../a/manifest.json"),
            names::document(4, b"\x1b[31m\xff/"),
            Digest::sha256_of(b"").blob_path(),
        ] {
            assert!(names::is_known(&name), "{name}");
        }
        assert_eq!(
            names::document(3, b"../a/mani/fest\n.json"),
            "archive/0003-fest.json"
        );
        for name in [
            "x",
            "archive/x",
            "layers/x/bodies.json.gz",
            "bytes/1.gz",
            "blobs/sha256/0",
        ] {
            assert!(!names::is_known(name), "{name}");
        }
    }
}
