//! Why bytes are not a tar.

use std::error::Error;
use std::{fmt, io};

use crate::base::limits::Exceeded;
use crate::source::is_environment;

/// A fault of a tar stream, and where it lies.
#[derive(Debug)]
pub struct TarError {
    /// Where the faulty header or body begins, in bytes from the beginning of the (uncompressed) tar.
    pub offset: u64,
    /// What is wrong there.
    pub fault: TarFault,
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.fault)
    }
}

impl Error for TarError {
    /// What caused the fault: the fault's own words are in the message already.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.fault.source()
    }
}

impl TarError {
    /// Whether the operating system failed, rather than the tar's own bytes.
    pub fn is_environment(&self) -> bool {
        matches!(&self.fault, TarFault::Read(error) if is_environment(error))
    }
}

/// The ways in which a tar stream can be faulty.
#[derive(Debug, thiserror::Error)]
pub enum TarFault {
    /// The stream ends inside a header.
    #[error("the tar ends inside a header")]
    TruncatedHeader,
    /// The stream ends inside a body.
    #[error("the tar ends inside a body: {claimed} bytes are claimed, {present} are there")]
    TruncatedBody {
        /// How long the body claims to be, in bytes.
        claimed: u64,
        /// How much of it is there, in bytes.
        present: u64,
    },
    /// The header's checksum is neither the unsigned nor the signed sum of its bytes.
    #[error(
        "not a tar header: its checksum field says `{claimed}`, its bytes sum up to {computed}"
    )]
    Checksum {
        /// What the field holds, as text.
        claimed: String,
        /// The unsigned sum.
        computed: u32,
    },
    /// One block of zeros with something else behind it: neither the end nor a header.
    #[error("there is a single block of zeros between headers")]
    StrayZeroBlock,
    /// A numeric field does not hold a number, or one that is too large.
    #[error("the {field} field is not a usable number")]
    Number {
        /// The field.
        field: &'static str,
    },
    /// A size below zero.
    #[error("the size is negative: {size}")]
    NegativeSize {
        /// The size, in bytes.
        size: i64,
    },
    /// A PAX record whose form is wrong.
    #[error("the PAX record at byte {at} of the extended header is malformed")]
    PaxRecord {
        /// Where the record begins inside the extended header, in bytes.
        at: usize,
    },
    /// A PAX record whose value is not a number or time although its key requires one.
    #[error("the PAX record `{key}` has an unusable value: `{value}`")]
    PaxValue {
        /// The key.
        key: String,
        /// The value, cut and made printable.
        value: String,
    },
    /// An extended header or long name of more bytes than engines read.
    #[error("an extended header of {0} bytes is longer than engines read")]
    MetaTooLong(u64, #[source] Exceeded),
    /// A sparse map of too many spans.
    #[error("the sparse map has too many spans")]
    SparseTooLong(#[source] Exceeded),
    /// A sparse map that overlaps, leaves the file or is malformed.
    #[error("the sparse map is invalid")]
    Sparse,
    /// The bytes below could not be read: the disk failed, or the layer's compression is damaged.
    #[error("cannot read further")]
    Read(#[source] io::Error),
}

impl TarFault {
    /// Whether the tar ends where more of it should follow.
    pub fn is_truncation(&self) -> bool {
        matches!(self, Self::TruncatedHeader | Self::TruncatedBody { .. })
    }
}
