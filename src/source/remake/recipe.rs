//! What is written down of an encoder.

use serde::{Deserialize, Serialize};

use super::go::GoLevel;
use super::gzip;
use crate::source::Compression;
use crate::source::encode::Method;

/// How a compressed stream is made again from what it expands to.
///
/// It is a small object in JSON, with the name of an encoder and what that encoder was set to:
///
/// ```json
/// {"encoder":"go","level":6,"header":"1f8b08000000000000ff"}
/// ```
///
/// Reading one fails if the encoder, or a setting of it, is not known. What a recipe says is not verified before it is
/// used: compare what a [`Remaker`](super::Remaker) makes with a digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RecipeText", into = "RecipeText")]
pub struct Recipe {
    pub(super) encoder: EncoderName,
    /// The bytes before the deflate stream, if the encoder makes a raw one.
    pub(super) header: Vec<u8>,
}

/// An encoder, and how it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EncoderName {
    /// The one in `source/encode`, which cuts the content into chunks.
    Own(Method),
    /// A deflate stream of Go's `compress/flate`.
    Go(GoLevel),
    /// A frame of libzstd.
    Libzstd(ZstdSettings),
}

/// How libzstd is called, as far as it changes what comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ZstdSettings {
    pub(super) level: i32,
    /// Whether the frame ends with a checksum.
    pub(super) has_checksum: bool,
    /// The size of the content that the frame begins with, if it does.
    pub(super) size: Option<u64>,
}

/// Why a recipe cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// An encoder that this version does not have.
    #[error("the encoder `{0}` is not known: a newer imgtar made this")]
    Unknown(String),
    /// A setting that the encoder does not have.
    #[error("the encoder `{encoder}` cannot be set to this: {what}")]
    Setting {
        /// The encoder.
        encoder: String,
        /// Which setting it is.
        what: &'static str,
    },
}

/// A recipe as it is in JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeText {
    encoder: String,
    /// The version of a program or library whose bytes may change from one to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compression: Option<Compression>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    level: Option<i32>,
    /// In hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

const OWN: &str = "imgtar";
const GO: &str = "go";
const ZSTD: &str = "libzstd";

impl Recipe {
    /// The name of the encoder, for people.
    pub fn encoder(&self) -> &'static str {
        match self.encoder {
            EncoderName::Own(_) => OWN,
            EncoderName::Go(_) => GO,
            EncoderName::Libzstd(_) => ZSTD,
        }
    }

    /// The level that the encoder is set to.
    pub fn level(&self) -> Option<i32> {
        match self.encoder {
            EncoderName::Own(method) => i32::try_from(method.level()).ok(),
            EncoderName::Go(level) => Some(level.number().into()),
            EncoderName::Libzstd(settings) => Some(settings.level),
        }
    }
}

impl From<Recipe> for RecipeText {
    fn from(recipe: Recipe) -> Self {
        let text = Self {
            encoder: recipe.encoder().to_owned(),
            level: recipe.level(),
            ..Self::default()
        };
        let header = Some(const_hex::encode(&recipe.header)).filter(|hex| !hex.is_empty());
        match recipe.encoder {
            EncoderName::Own(method) => Self {
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
                compression: Some(method.compression()),
                ..text
            },
            EncoderName::Go(_) => Self { header, ..text },
            EncoderName::Libzstd(settings) => Self {
                version: Some(zstd::zstd_safe::version_string().to_owned()),
                checksum: Some(settings.has_checksum),
                size: settings.size,
                ..text
            },
        }
    }
}

impl TryFrom<RecipeText> for Recipe {
    type Error = RecipeError;

    fn try_from(text: RecipeText) -> Result<Self, RecipeError> {
        let wrong = |what| RecipeError::Setting {
            encoder: text.encoder.clone(),
            what,
        };
        let level = || text.level.ok_or_else(|| wrong("it has no level"));
        let header = || {
            let hex = text.header.as_deref().unwrap_or_default();
            if hex.len() > 2 * gzip::MOST_HEADER {
                return Err(wrong("the header is too long"));
            }
            let header = const_hex::decode(hex).map_err(|_| wrong("the header is not hex"))?;
            match gzip::header_len(&header) {
                Some(len) if len == header.len() => Ok(header),
                _ => Err(wrong("the header is not that of a gzip stream")),
            }
        };
        match text.encoder.as_str() {
            OWN => {
                let compression = text
                    .compression
                    .ok_or_else(|| wrong("it has no compression"))?;
                let level = u32::try_from(level()?).map_err(|_| wrong("the level"))?;
                let method = Method::new(compression, Some(level));
                let method = method.map_err(|_| wrong("the level"))?;
                Ok(Self {
                    encoder: EncoderName::Own(method),
                    header: Vec::new(),
                })
            }
            GO => {
                let level = u8::try_from(level()?).ok().and_then(GoLevel::new);
                Ok(Self {
                    encoder: EncoderName::Go(level.ok_or_else(|| wrong("the level"))?),
                    header: header()?,
                })
            }
            ZSTD => {
                let level = level()?;
                if !(1..=19).contains(&level) {
                    return Err(wrong("the level"));
                }
                Ok(Self {
                    encoder: EncoderName::Libzstd(ZstdSettings {
                        level,
                        has_checksum: text.checksum.unwrap_or_default(),
                        size: text.size,
                    }),
                    header: Vec::new(),
                })
            }
            _ => Err(RecipeError::Unknown(text.encoder)),
        }
    }
}
