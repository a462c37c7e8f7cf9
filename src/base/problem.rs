//! Problems: claims of an archive that are not true.
//!
//! A problem is data, not an error: an archive with problems still opens, `verify` lists them all,
//! and the reading commands show those that concern what they print. An error means that something
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
    /// Readers disagree about it, or it is unusual; every claim is still true.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kind of problem. The names are part of the JSON contract.
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
    /// A layer's content does not match its diff ID.
    DiffIdMismatch = "diff-id-mismatch",
    /// A config's bytes do not match its name or descriptor.
    ConfigDigestMismatch = "config-digest-mismatch",
    /// A blob's bytes do not match its name or descriptor.
    BlobDigestMismatch = "blob-digest-mismatch",
    /// A blob's length is not the one in its descriptor.
    BlobSizeMismatch = "blob-size-mismatch",
    /// There are more or fewer layers than diff IDs.
    LayerCountMismatch = "layer-count-mismatch",
    /// There are more or fewer history entries with a layer than layers.
    HistoryMismatch = "history-mismatch",
    /// A member that is named but missing.
    MemberMissing = "member-missing",
    /// Layers were left out of a thin archive on purpose.
    LayersLeftOut = "layers-left-out",
    /// Two members have one name.
    MemberDuplicate = "member-duplicate",
    /// The file cannot be opened, or is not an image archive.
    ArchiveUnreadable = "archive-unreadable",
    /// A delta is damaged or cut short.
    DeltaInvalid = "delta-invalid",
    /// The outer tar is damaged or cut short.
    ArchiveTruncated = "archive-truncated",
    /// A layer is cut short.
    LayerTruncated = "layer-truncated",
    /// A layer's compression or tar is damaged.
    LayerCorrupt = "layer-corrupt",
    /// Bytes follow what should be the end.
    TrailingData = "trailing-data",
    /// `manifest.json`, `index.json`, a manifest, `repositories` or `oci-layout` does not have its
    /// format.
    ManifestInvalid = "manifest-invalid",
    /// A config does not have its format.
    ConfigInvalid = "config-invalid",
    /// `manifest.json`, `index.json` and `repositories` describe different images.
    DescriptionsDisagree = "descriptions-disagree",
    /// A name breaks the grammar of references.
    ReferenceInvalid = "reference-invalid",
    /// A layer has one path twice.
    DuplicatePath = "duplicate-path",
    /// A name that leads out of the root.
    UnsafePath = "unsafe-path",
    /// A whiteout of nothing, of its own directory or of the one above.
    WhiteoutInvalid = "whiteout-invalid",
    /// A whiteout that engines apply in different ways.
    WhiteoutAmbiguous = "whiteout-ambiguous",
    /// A hard link to nothing, or to a directory.
    LinkTargetMissing = "link-target-missing",
    /// A hard link to a file that only a lower layer has.
    LinkToLower = "link-to-lower",
    /// An entry or whiteout below a symbolic link.
    EntryBelowSymlink = "entry-below-symlink",
    /// An entry below something that is not a directory.
    EntryBelowFile = "entry-below-file",
    /// An entry of a type that engines refuse.
    EntryTypeUnknown = "entry-type-unknown",
    /// An entry that no file system can hold.
    EntryInvalid = "entry-invalid",
    /// A character device 0:0, which overlay file systems take for a whiteout.
    DeviceZero = "device-zero",
    /// Extended attributes that engines drop, or that affect overlay file systems.
    XattrDiffers = "xattr-differs",
    /// Extended attributes that a kernel refuses to set.
    XattrRefused = "xattr-refused",
    /// Two images have one name.
    ReferenceAmbiguous = "reference-ambiguous",
    /// The entries of layers were not checked, because there are too many.
    EntriesUnchecked = "entries-unchecked",
    /// A member that nothing describes.
    MemberUnreferenced = "member-unreferenced",
    /// A tar without its end-of-archive blocks.
    EndMissing = "end-missing",
    /// A descriptor's platform is not that of the config.
    PlatformMismatch = "platform-mismatch",
    /// A config without operating system or architecture.
    PlatformMissing = "platform-missing",
    /// The file does not match its checksum in a checksum file.
    ChecksumMismatch = "checksum-mismatch",
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

/// One claim that is not true, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Its kind.
    pub code: Code,
    /// What it is and its consequences, for people; a sentence without a full stop.
    pub message: String,
    /// The position of the image in the archive that it is about.
    pub image: Option<usize>,
    /// The index of the layer, base first.
    pub layer: Option<usize>,
    /// The member of the outer tar.
    pub member: Option<Vec<u8>>,
    /// The path inside a layer; the first, if there are several.
    pub path: Option<Vec<u8>>,
    /// A few more paths.
    pub more: Vec<Vec<u8>>,
    /// How many times it was found: problems of one kind in one layer are reported as one.
    pub count: usize,
    /// Where in the uncompressed archive (or in the layer, if one is named), in bytes.
    pub offset: Option<u64>,
    /// What the archive claims.
    pub claimed: Option<String>,
    /// The value that the bytes have.
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
            more: Vec::new(),
            count: 1,
            offset: None,
            claimed: None,
            computed: None,
        }
    }

    /// Whether it makes an archive fail: an error does, a warning only where warnings count.
    pub fn fails(&self, strict: bool) -> bool {
        self.severity == Severity::Error || strict
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

    /// Says which path inside the layer it is about, which others, and how many there are.
    #[must_use]
    pub fn on_path(self, path: &[u8], more: &[Vec<u8>], count: usize) -> Self {
        Self {
            path: Some(path.to_vec()),
            more: more.to_vec(),
            count,
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
