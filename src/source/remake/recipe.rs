//! What is written down of an encoder.

use serde::{Deserialize, Serialize};

use super::go::GoLevel;
use super::gzip;
use super::klauspost::{Heads, KlauspostLevel};
use super::zlib::ZlibKind;
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
    /// Which version of a library made the stream, if its bytes may change from one to the next.
    pub(super) version: Option<String>,
}

/// An encoder, and how it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EncoderName {
    /// The one in `source/encode`, which cuts the content into chunks.
    Own(Method),
    /// A deflate stream of Go's `compress/flate`.
    Go(GoLevel),
    /// A deflate stream of zlib or GNU gzip, at a level.
    Zlib(ZlibKind, u8),
    /// A deflate stream of klauspost's encoder for Go, in one piece.
    Klauspost(KlauspostLevel, Heads),
    /// The same in blocks, as pgzip writes it.
    Pgzip(KlauspostLevel, Heads),
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

/// The version of zlib-rs that is linked; a test compares it with `Cargo.lock`.
pub(super) const ZLIB_RS: &str = "0.6.8";

/// The highest level of imgtar's own zstd that a recipe may have: those above take half a gigabyte of memory, which a
/// stranger's file could ask for on every thread.
pub(super) const MOST_OWN_ZSTD: u32 = 16;

impl EncoderName {
    /// The version of the library that compresses, if one does whose bytes may change.
    fn library(self) -> Option<&'static str> {
        let compression = match self {
            Self::Own(method) => method.compression(),
            Self::Libzstd(_) => Compression::Zstd,
            Self::Go(_) | Self::Zlib(..) | Self::Klauspost(..) | Self::Pgzip(..) => return None,
        };
        match compression {
            Compression::Gzip => Some(ZLIB_RS),
            Compression::Zstd => Some(zstd::zstd_safe::version_string()),
            Compression::None | Compression::Bzip2 | Compression::Xz => None,
        }
    }
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
    /// Which heads blocks have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heads: Option<HeadsText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HeadsText {
    Whole,
    Short,
}

const OWN: &str = "imgtar";
const GO: &str = "go";
const KLAUSPOST: &str = "klauspost";
const PGZIP: &str = "pgzip";
const ZLIB: &str = "zlib";
const GNU_GZIP: &str = "gnu-gzip";
const ZSTD: &str = "libzstd";

impl Recipe {
    pub(super) fn new(encoder: EncoderName, header: &[u8]) -> Self {
        Self {
            encoder,
            header: header.to_vec(),
            version: encoder.library().map(str::to_owned),
        }
    }

    /// Whether the encoder is as it was when the recipe was found, so that it gives the same bytes. Where a library
    /// compresses, that is only so with the same version of it.
    pub fn is_current(&self) -> bool {
        self.version.as_deref() == self.encoder.library()
    }

    /// The name of the encoder, for people.
    pub fn encoder(&self) -> &'static str {
        match self.encoder {
            EncoderName::Own(_) => OWN,
            EncoderName::Go(_) => GO,
            EncoderName::Klauspost(..) => KLAUSPOST,
            EncoderName::Pgzip(..) => PGZIP,
            EncoderName::Zlib(ZlibKind::Zlib, _) => ZLIB,
            EncoderName::Zlib(ZlibKind::Gnu, _) => GNU_GZIP,
            EncoderName::Libzstd(_) => ZSTD,
        }
    }

    /// The level that the encoder is set to.
    pub fn level(&self) -> Option<i32> {
        match self.encoder {
            EncoderName::Own(method) => i32::try_from(method.level()).ok(),
            EncoderName::Go(level) => Some(level.number().into()),
            EncoderName::Zlib(_, level) => Some(level.into()),
            EncoderName::Klauspost(level, _) | EncoderName::Pgzip(level, _) => Some(match level {
                KlauspostLevel::Five => 5,
                KlauspostLevel::Six => 6,
            }),
            EncoderName::Libzstd(settings) => Some(settings.level),
        }
    }
}

impl From<Recipe> for RecipeText {
    fn from(recipe: Recipe) -> Self {
        let text = Self {
            encoder: recipe.encoder().to_owned(),
            level: recipe.level(),
            version: recipe.version,
            ..Self::default()
        };
        let header = Some(const_hex::encode(&recipe.header)).filter(|hex| !hex.is_empty());
        match recipe.encoder {
            EncoderName::Own(method) => Self {
                compression: Some(method.compression()),
                ..text
            },
            EncoderName::Go(_) | EncoderName::Zlib(..) => Self { header, ..text },
            EncoderName::Klauspost(_, heads) | EncoderName::Pgzip(_, heads) => Self {
                heads: Some(match heads {
                    Heads::Whole => HeadsText::Whole,
                    Heads::Short => HeadsText::Short,
                }),
                header,
                ..text
            },
            EncoderName::Libzstd(settings) => Self {
                checksum: Some(settings.has_checksum),
                size: settings.size,
                ..text
            },
        }
    }
}

impl RecipeText {
    fn wrong(&self, what: &'static str) -> RecipeError {
        RecipeError::Setting {
            encoder: self.encoder.clone(),
            what,
        }
    }

    /// The level, if it is one of the encoder's.
    fn level<T: TryFrom<i32>>(&self, is_known: impl FnOnce(&T) -> bool) -> Result<T, RecipeError> {
        let level = self.level.and_then(|level| T::try_from(level).ok());
        let level = level.filter(is_known);
        level.ok_or_else(|| self.wrong("the level"))
    }

    fn header(&self) -> Result<Vec<u8>, RecipeError> {
        let hex = self.header.as_deref().unwrap_or_default();
        if hex.len() > 2 * gzip::MOST_HEADER {
            return Err(self.wrong("the header is too long"));
        }
        let header = const_hex::decode(hex).map_err(|_| self.wrong("the header is not hex"))?;
        match gzip::header_len(&header) {
            Some(len) if len == header.len() => Ok(header),
            _ => Err(self.wrong("the header is not that of a gzip stream")),
        }
    }

    fn own(&self) -> Result<EncoderName, RecipeError> {
        let compression = self.compression;
        let compression = compression.ok_or_else(|| self.wrong("it has no compression"))?;
        let most = match compression {
            Compression::Gzip => 9,
            Compression::Zstd => MOST_OWN_ZSTD,
            Compression::None | Compression::Bzip2 | Compression::Xz => 0,
        };
        let level = self.level(|level| *level <= most)?;
        let method = Method::new(compression, Some(level));
        Ok(EncoderName::Own(
            method.map_err(|_| self.wrong("the level"))?,
        ))
    }

    fn klauspost(&self) -> Result<(KlauspostLevel, Heads), RecipeError> {
        let level = match self.level(|_| true)? {
            5 => KlauspostLevel::Five,
            6 => KlauspostLevel::Six,
            _ => return Err(self.wrong("the level")),
        };
        let heads = match self.heads {
            Some(HeadsText::Whole) => Heads::Whole,
            Some(HeadsText::Short) => Heads::Short,
            None => return Err(self.wrong("the heads of blocks")),
        };
        Ok((level, heads))
    }

    fn libzstd(&self) -> Result<EncoderName, RecipeError> {
        Ok(EncoderName::Libzstd(ZstdSettings {
            level: self.level(|level| (1..=19).contains(level))?,
            has_checksum: self.checksum.unwrap_or_default(),
            size: self.size,
        }))
    }
}

impl TryFrom<RecipeText> for Recipe {
    type Error = RecipeError;

    fn try_from(text: RecipeText) -> Result<Self, RecipeError> {
        let one_to_nine = |level: &u8| (1..=9).contains(level);
        let (encoder, is_deflate) = match text.encoder.as_str() {
            OWN => (text.own()?, false),
            ZSTD => (text.libzstd()?, false),
            GO => {
                let level = GoLevel::new(text.level(one_to_nine)?);
                let level = level.ok_or_else(|| text.wrong("the level"))?;
                (EncoderName::Go(level), true)
            }
            KLAUSPOST => {
                let (level, heads) = text.klauspost()?;
                (EncoderName::Klauspost(level, heads), true)
            }
            PGZIP => {
                let (level, heads) = text.klauspost()?;
                (EncoderName::Pgzip(level, heads), true)
            }
            ZLIB => {
                let level = text.level(one_to_nine)?;
                (EncoderName::Zlib(ZlibKind::Zlib, level), true)
            }
            GNU_GZIP => {
                let level = text.level(one_to_nine)?;
                (EncoderName::Zlib(ZlibKind::Gnu, level), true)
            }
            _ => return Err(RecipeError::Unknown(text.encoder)),
        };
        let header = if is_deflate {
            text.header()?
        } else {
            Vec::new()
        };
        Ok(Self {
            encoder,
            header,
            version: text.version,
        })
    }
}
