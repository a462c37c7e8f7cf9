//! Metadata as a tar: its members, written and read.

use std::io::{self, Read, Write};
use std::path::Path;

use super::account::{Account, DecodedMember};
use super::description::{Description, PACK, SCHEMA, SCHEMA_WITH_RECIPES, names};
use super::error::{MetadataError, StreamFault};
use crate::archive::{Archive, ArchiveError, Contents, MemberKind, MemberName};
use crate::base::constants::BUFFER;
use crate::base::limits::{Limit, Limits};
use crate::document::count_values;
use crate::source::{Compression, Input, Slice};

/// Writes the members.
pub(super) struct ContainerWriter<W: Write>(tar::Builder<W>);

impl<W: Write> ContainerWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self(tar::Builder::new(out))
    }

    pub(super) fn description(&mut self, description: &Description) -> Result<(), MetadataError> {
        let mut bytes = serde_json::to_vec_pretty(description)
            .map_err(|why| MetadataError::Write(why.into()))?;
        bytes.push(b'\n');
        self.member(names::DESCRIPTION, &bytes)
    }

    pub(super) fn member(&mut self, name: &str, bytes: &[u8]) -> Result<(), MetadataError> {
        self.append(name, bytes.len() as u64, bytes)
    }

    pub(super) fn slice(&mut self, name: &str, slice: &Slice) -> Result<(), MetadataError> {
        let reader = io::BufReader::with_capacity(BUFFER, slice.reader());
        self.append(name, slice.len(), reader)
    }

    /// Adds a member of `len` bytes.
    pub(super) fn stream(
        &mut self,
        name: &str,
        (bytes, len): (impl Read, u64),
    ) -> Result<(), MetadataError> {
        self.append(name, len, bytes)
    }

    fn append(&mut self, name: &str, size: u64, body: impl Read) -> Result<(), MetadataError> {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.0
            .append_data(&mut header, Path::new(name), body)
            .map_err(MetadataError::Write)
    }

    pub(super) fn finish(self) -> Result<(), MetadataError> {
        let mut inner = self.0.into_inner().map_err(MetadataError::Write)?;
        inner.flush().map_err(MetadataError::Write)
    }
}

/// Metadata that was opened: known members, and a description that was read.
#[derive(Debug)]
pub struct Container {
    archive: Archive,
    description: Description,
}

impl Container {
    /// Reads the description and refuses members that are not known.
    ///
    /// # Errors
    ///
    /// [`MetadataError`] if it is not metadata, of another version, or damaged.
    pub fn open(input: Input) -> Result<Self, MetadataError> {
        let path = input.source().label();
        Self::read(input, &path).map_err(|error| error.in_file(&path))
    }

    fn read(input: Input, path: &str) -> Result<Self, MetadataError> {
        let not_metadata = || MetadataError::NotMetadata {
            path: path.to_owned(),
            wanted: names::DESCRIPTION,
        };
        let archive = match Contents::index(input) {
            Err(ArchiveError::NotTar { .. } | ArchiveError::Foreign { .. }) => {
                return Err(not_metadata());
            }
            archive => archive?,
        };
        let first = archive.members().first();
        if first.is_none_or(|first| first.name.as_bytes() != names::DESCRIPTION.as_bytes()) {
            return Err(not_metadata());
        }
        let description = describe(&archive, path)?;
        let archive = archive.whole()?;
        for member in archive.members() {
            let name = std::str::from_utf8(member.name.as_bytes());
            let known = name.is_ok_and(names::is_known);
            if !known || !matches!(member.kind, MemberKind::File(_)) {
                return Err(MetadataError::Unknown {
                    member: member.name.to_string(),
                });
            }
        }
        if let Some((twice, _)) = archive.duplicates().next() {
            let why = "it is present twice".to_owned();
            return Err(StreamFault::Wrong(why).of(twice.name.to_string()));
        }
        Ok(Self {
            archive,
            description,
        })
    }

    /// Its description.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The size of the file as it is stored, in bytes.
    pub(crate) fn stored_size(&self) -> u64 {
        self.archive.stored_size()
    }

    /// What messages call the file.
    pub(crate) fn label(&self) -> String {
        self.archive.source().label()
    }

    /// The limits of what it may ask for.
    pub(crate) fn limits(&self) -> &Limits {
        self.archive.source().limits()
    }

    /// The bytes of a member.
    pub(crate) fn slice(&self, name: &str) -> Result<Slice, MetadataError> {
        slice(&self.archive, name)
    }

    /// Decodes a member that is compressed by gzip, and counts what comes out.
    pub(crate) fn decoded<'a>(
        &self,
        name: &str,
        account: &'a Account,
    ) -> Result<DecodedMember<'a>, MetadataError> {
        decoded(&self.slice(name)?, name, account)
    }
}

/// Decodes `slice`, the member `name`, which is compressed by gzip, and counts what comes out.
pub(crate) fn decoded<'a>(
    slice: &Slice,
    name: &str,
    account: &'a Account,
) -> Result<DecodedMember<'a>, MetadataError> {
    // A gzip decoder takes the same little memory for everything.
    DecodedMember::new(slice, Compression::Gzip, u64::MAX, account)
        .map_err(|why| StreamFault::Read(why).of(name))
}

fn slice(archive: &Contents, name: &str) -> Result<Slice, MetadataError> {
    let member = archive.member(&MemberName::new(name.as_bytes()));
    match member.map(|member| &member.kind) {
        Some(MemberKind::File(span)) => Ok(archive.source().slice(*span)),
        _ => Err(MetadataError::Missing {
            member: name.to_owned(),
        }),
    }
}

fn describe(archive: &Contents, path: &str) -> Result<Description, MetadataError> {
    let wrong = |why: String| StreamFault::Wrong(why).of(names::DESCRIPTION);
    let slice = slice(archive, names::DESCRIPTION)?;
    let limits = archive.source().limits();
    let limit = |exceeded| StreamFault::Limit(exceeded).of(names::DESCRIPTION);
    limits.check(Limit::Json, slice.len()).map_err(limit)?;
    let bytes = slice.read_all()?;
    // Counted before anything is parsed: a value of two bytes takes thirty in memory.
    limits
        .check(Limit::JsonValues, count_values(&bytes))
        .map_err(limit)?;
    // The version first: a later one may have any form.
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|why| wrong(why.to_string()))?;
    match value.get("schema").and_then(serde_json::Value::as_str) {
        Some(SCHEMA | SCHEMA_WITH_RECIPES) => {}
        found => {
            return Err(MetadataError::Version {
                path: path.to_owned(),
                found: found.unwrap_or("unknown").to_owned(),
                wanted: SCHEMA_WITH_RECIPES,
            });
        }
    }
    let description: Description =
        serde_json::from_value(value).map_err(|why| wrong(why.to_string()))?;
    limits
        .check_count(Limit::Layers, description.layers.len())
        .map_err(limit)?;
    if description.bytes.pack != PACK {
        let pack = description.bytes.pack;
        return Err(wrong(format!(
            "the store is cut at {pack} bytes, {PACK} are known"
        )));
    }
    Ok(description)
}
