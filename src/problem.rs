//! Problems: claims of an archive that do not hold.
//!
//! A problem is data, not an error: an archive with problems still opens, `verify` lists them all,
//! and the reading commands show those that touch what they print. An error means that something
//! could not be done at all.

use std::fmt;

use serde::Serialize;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Severity {
    /// Something is not what the archive claims, or is missing.
    Error,
    /// Readers disagree about it, or it is odd; what is claimed still holds.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of problem it is. The names are part of the JSON contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in messages and JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// A layer's content is not what its diff ID says.
    DiffIdMismatch = "diff-id-mismatch",
    /// A config's bytes are not what its name or descriptor says.
    ConfigDigestMismatch = "config-digest-mismatch",
    /// A blob's bytes are not what its name or descriptor says.
    BlobDigestMismatch = "blob-digest-mismatch",
    /// A blob's length is not what its descriptor says.
    BlobSizeMismatch = "blob-size-mismatch",
    /// There are more or fewer layers than diff IDs.
    LayerCountMismatch = "layer-count-mismatch",
    /// There are more or fewer history entries with a layer than layers.
    HistoryMismatch = "history-mismatch",
    /// A member that is named is not there.
    MemberMissing = "member-missing",
    /// Two members have one name.
    MemberDuplicate = "member-duplicate",
    /// The file cannot be opened, or is no image archive.
    ArchiveUnreadable = "archive-unreadable",
    /// The outer tar is damaged or cut short.
    ArchiveTruncated = "archive-truncated",
    /// A layer is cut short.
    LayerTruncated = "layer-truncated",
    /// A layer's compression or tar is damaged.
    LayerCorrupt = "layer-corrupt",
    /// Bytes follow what should be the end.
    TrailingData = "trailing-data",
    /// `manifest.json`, `index.json`, a manifest, `repositories` or `oci-layout` is not what its
    /// format asks for.
    ManifestInvalid = "manifest-invalid",
    /// A config is not what its format asks for.
    ConfigInvalid = "config-invalid",
    /// `manifest.json`, `index.json` and `repositories` describe different images.
    DescriptionsDisagree = "descriptions-disagree",
    /// A name breaks the grammar of references.
    ReferenceInvalid = "reference-invalid",
    /// An image has more layers than some engines load.
    LayerLimit = "layer-limit",
    /// A digest uses an algorithm that imgtar cannot compute.
    DigestUnsupported = "digest-unsupported",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One claim that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub code: Code,
    /// What it is and what follows from it, for people; a sentence without a full stop.
    pub message: String,
    /// The position of the image in the archive that it is about.
    pub image: Option<usize>,
    /// The index of the layer, base first.
    pub layer: Option<usize>,
    /// The member of the outer tar.
    pub member: Option<Vec<u8>>,
    /// The path inside a layer.
    pub path: Option<Vec<u8>>,
    /// Where in the uncompressed archive (or in the layer, if one is named), in bytes.
    pub offset: Option<u64>,
    /// What the archive claims.
    pub claimed: Option<String>,
    /// What the bytes say.
    pub computed: Option<String>,
}

impl Problem {
    /// A problem that makes a claim false.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message)
    }

    /// A problem that readers disagree about.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    fn new(severity: Severity, code: Code, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            image: None,
            layer: None,
            member: None,
            path: None,
            offset: None,
            claimed: None,
            computed: None,
        }
    }

    /// Says which image it is about.
    #[must_use]
    pub fn of_image(self, position: usize) -> Self {
        Self {
            image: Some(position),
            ..self
        }
    }

    /// Says which layer it is about.
    #[must_use]
    pub fn of_layer(self, index: usize) -> Self {
        Self {
            layer: Some(index),
            ..self
        }
    }

    /// Says which member it is about.
    #[must_use]
    pub fn in_member(self, name: &[u8]) -> Self {
        Self {
            member: Some(name.to_vec()),
            ..self
        }
    }

    /// Says where it lies, in bytes.
    #[must_use]
    pub fn at(self, offset: u64) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }

    /// Says what is claimed and what was computed.
    #[must_use]
    pub fn compared(self, claimed: impl fmt::Display, computed: impl fmt::Display) -> Self {
        Self {
            claimed: Some(claimed.to_string()),
            computed: Some(computed.to_string()),
            ..self
        }
    }
}
