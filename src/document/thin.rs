//! The listing of a thin archive: the layers that were left out of it on purpose, and which images have them.
//!
//! It is a member of the archive, [`MEMBER`]. Where there is an `index.json`, the annotation [`ANNOTATION`] of that
//! index has the listing's digest, so that a listing which was left behind by some other program counts for nothing.
//! `docs/thin.md` describes the form.
//!
//! Threats: a listing says whatever its writer likes. What a layer is, is never taken from it, but from the config;
//! an entry counts only where a config has a layer of this diff ID on top of the layers that make this chain ID, and
//! the archive does not hold it. Its sizes are shown and added up without overflow, and nothing else is done with
//! them.

use serde::{Deserialize, Serialize};

use super::go_json::encode;
use super::json::JsonError;
use crate::base::digest::{BlobDigest, ChainId, DiffId, Digest, ImageId};

/// The member that holds the listing.
pub(crate) const MEMBER: &str = "imgtar-thin.json";
/// The annotation of `index.json` with the digest of the listing.
pub(crate) const ANNOTATION: &str = "io.github.imgtar.thin";
/// The form of the listing.
const SCHEMA: &str = "imgtar/thin-archive/1";

/// An image that has some of the layers that a thin archive lacks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ThinBase {
    /// Its image ID.
    pub id: ImageId,
    /// What it was called when the archive was made thin. Nothing verifies that.
    pub references: Vec<String>,
}

impl ThinBase {
    /// An image that has layers.
    pub fn new(id: ImageId, references: Vec<String>) -> Self {
        Self { id, references }
    }

    /// Its first name, else its short ID.
    pub fn display_name(&self) -> &str {
        let first = self.references.first();
        first.map_or_else(|| self.id.short(), String::as_str)
    }
}

/// A layer that was left out, as the listing describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThinLayer {
    pub(crate) diff_id: DiffId,
    pub(crate) chain_id: ChainId,
    /// Of the blob that would be stored.
    pub(crate) digest: BlobDigest,
    pub(crate) media_type: String,
    pub(crate) size: u64,
    /// Which of the bases have it, by their positions.
    pub(crate) bases: Vec<usize>,
}

/// What a thin archive lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ThinListing {
    pub(crate) bases: Vec<ThinBase>,
    pub(crate) layers: Vec<ThinLayer>,
}

#[derive(Serialize, Deserialize)]
struct ListingText {
    schema: String,
    bases: Vec<BaseText>,
    layers: Vec<LayerText>,
}

#[derive(Serialize, Deserialize)]
struct BaseText {
    id: String,
    #[serde(default)]
    references: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct LayerText {
    diff_id: String,
    chain_id: String,
    digest: String,
    media_type: String,
    size: u64,
    #[serde(default)]
    bases: Vec<usize>,
}

impl ThinListing {
    /// Reads a listing; the caller has counted its bytes and values.
    ///
    /// # Errors
    ///
    /// [`JsonError`] if it does not have its form, or has another version of it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, JsonError> {
        let text: ListingText =
            serde_json::from_slice(bytes).map_err(|e| JsonError::Syntax(e.to_string()))?;
        if text.schema != SCHEMA {
            return Err(JsonError::Value {
                at: "schema".to_owned(),
                why: format!("it is `{}`; only `{SCHEMA}` is known", text.schema),
            });
        }
        let digest = |text: &str| -> Result<Digest, JsonError> {
            text.parse().map_err(|e| JsonError::Value {
                at: "layers".to_owned(),
                why: format!("`{text}` is not a digest: {e}"),
            })
        };
        let bases = text.bases.into_iter().map(|base| {
            Ok(ThinBase {
                id: ImageId::from(digest(&base.id)?),
                references: base.references,
            })
        });
        let bases = bases.collect::<Result<Vec<_>, JsonError>>()?;
        let layers = text.layers.into_iter().map(|layer| {
            if layer.bases.iter().any(|&base| base >= bases.len()) {
                return Err(JsonError::Value {
                    at: "layers".to_owned(),
                    why: "a layer is said to be in a base that is not listed".to_owned(),
                });
            }
            Ok(ThinLayer {
                diff_id: DiffId::from(digest(&layer.diff_id)?),
                chain_id: ChainId::from(digest(&layer.chain_id)?),
                digest: BlobDigest::from(digest(&layer.digest)?),
                media_type: layer.media_type,
                size: layer.size,
                bases: layer.bases,
            })
        });
        let layers = layers.collect::<Result<Vec<_>, JsonError>>()?;
        Ok(Self { bases, layers })
    }

    /// The listing as it is written.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let bases = self.bases.iter().map(|base| BaseText {
            id: base.id.to_string(),
            references: base.references.clone(),
        });
        let layers = self.layers.iter().map(|layer| LayerText {
            diff_id: layer.diff_id.to_string(),
            chain_id: layer.chain_id.to_string(),
            digest: layer.digest.to_string(),
            media_type: layer.media_type.clone(),
            size: layer.size,
            bases: layer.bases.clone(),
        });
        let mut bytes = encode(&ListingText {
            schema: SCHEMA.to_owned(),
            bases: bases.collect(),
            layers: layers.collect(),
        });
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let digest = Digest::sha256_of(b"x");
        let listing = ThinListing {
            bases: vec![ThinBase::new(
                ImageId::from(digest.clone()),
                vec!["app:1".to_owned()],
            )],
            layers: vec![ThinLayer {
                diff_id: DiffId::from(digest.clone()),
                chain_id: ChainId::base(&DiffId::from(digest.clone())),
                digest: BlobDigest::from(digest),
                media_type: "m".to_owned(),
                size: u64::MAX,
                bases: vec![0],
            }],
        };
        assert_eq!(ThinListing::read(&listing.to_bytes()), Ok(listing));
    }

    #[test]
    fn lies_about_the_form_are_refused() {
        for text in [
            "{}",
            r#"{"schema":"imgtar/thin-archive/2","bases":[],"layers":[]}"#,
            r#"{"schema":"imgtar/thin-archive/1","bases":[],"layers":[{"diff_id":"x","chain_id":"x","digest":"x","media_type":"","size":1}]}"#,
            r#"{"schema":"imgtar/thin-archive/1","bases":[],"layers":[{"diff_id":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","chain_id":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","digest":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","media_type":"","size":99999999999999999999}]}"#,
            r#"{"schema":"imgtar/thin-archive/1","bases":[],"layers":[{"diff_id":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","chain_id":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","digest":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","media_type":"","size":9,"bases":[0]}]}"#,
        ] {
            assert!(ThinListing::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
