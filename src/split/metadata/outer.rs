//! The outer tar: its bodies, and the bytes around them.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::blobs::KeptBlob;
use super::error::MetadataError;
use super::split::{Stretch, each_raw, take_apart};
use crate::archive::{Archive, ArchiveError, EarlyEnd};
use crate::source::{SourceError, Span};
use crate::tar::TarError;

/// The bodies of the archive's members.
pub(super) struct Outer {
    pub(super) bodies: Vec<OuterBody>,
    pub(super) raw: Vec<Span>,
}

pub(super) struct OuterBody {
    pub(super) name: Vec<u8>,
    pub(super) span: Span,
    /// Which blob of the image it is.
    pub(super) blob: Option<usize>,
}

impl Outer {
    pub(super) fn read(archive: &Archive, blobs: &[KeptBlob]) -> Result<Self, MetadataError> {
        let by_span: HashMap<Span, usize> = blobs
            .iter()
            .enumerate()
            .map(|(n, blob)| (blob.stored.span(), n))
            .collect();
        let mut outer = Self {
            bodies: Vec::new(),
            raw: Vec::new(),
        };
        take_apart(&archive.source().whole(), |place| {
            match place {
                Stretch::Raw(span) => outer.raw.push(span),
                Stretch::File { name, body } if body.len > 0 => outer.bodies.push(OuterBody {
                    name,
                    span: body,
                    blob: by_span.get(&body).copied(),
                }),
                Stretch::File { .. } => {}
            }
            Ok(())
        })
        .map_err(|source: TarError| ArchiveError::Damaged {
            path: archive.source().label(),
            end: EarlyEnd::fault(archive, source).into(),
        })?;
        Ok(outer)
    }

    pub(super) fn outside_sha256(&self, archive: &Archive) -> Result<String, SourceError> {
        let mut sha256 = Sha256::new();
        let whole = archive.source().whole();
        for &span in &self.raw {
            each_raw(&whole, span, |bytes| {
                sha256.update(bytes);
                Ok::<_, SourceError>(())
            })?;
        }
        Ok(const_hex::encode(sha256.finalize()))
    }
}
