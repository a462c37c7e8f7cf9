//! One pass over the headers of the outer tar.

use std::collections::HashMap;

use super::error::{ArchiveError, LookupError};
use super::member::{Member, MemberKind, MemberName, leaves_root};
use crate::record::{Entry, Kind, Positioned, TarError, Walker};
use crate::source::{Compression, Input, Slice, Source, Span};

/// How many members an archive may have. An image has a few members a layer and engines stop at
/// some hundred layers; a million leaves room for an archive of thousands of images.
pub const MEMBER_LIMIT: usize = 1_000_000;

/// How many bytes the names and link targets of all members may have together. A million names of
/// blobs have 72 MB.
pub const NAMES_LIMIT: usize = 128 << 20;

/// How many links are followed for one name: what Docker's `safePath` allows (moby/sys `symlink`).
pub const LINK_LIMIT: usize = 255;

/// A name longer than this cannot exist on the file systems that engines unpack to (`PATH_MAX`), so
/// links that spell one lead nowhere.
const NAME_LIMIT: usize = 4096;

/// An opened archive and the index of its members.
#[derive(Debug)]
pub struct Archive {
    input: Input,
    members: Vec<Member>,
    /// The last member of each name.
    by_name: HashMap<MemberName, usize>,
    /// Members that a later one of the same name hides, with the one that hides them.
    duplicates: Vec<(usize, usize)>,
    fault: Option<TarError>,
    has_end: bool,
    /// Where the tar ends, its end-of-archive blocks included.
    end: u64,
}

impl Archive {
    /// Indexes the members of `input`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotTar`] if not even the first header can be read;
    /// [`ArchiveError::TooManyMembers`]. Damage further on is no error here, see [`Self::fault`].
    pub fn index(input: Input) -> Result<Self, ArchiveError> {
        let path = input.source().label();
        let mut archive = Self {
            members: Vec::new(),
            by_name: HashMap::new(),
            duplicates: Vec::new(),
            fault: None,
            has_end: false,
            end: 0,
            input,
        };
        let mut walker = Walker::new(Positioned::new(archive.source().whole()));
        let mut names = 0;
        loop {
            match walker.next_entry() {
                Ok(Some(entry)) if entry.kind == Kind::Global => {}
                Ok(Some(entry)) => {
                    names += entry.path.len() + entry.link.len();
                    archive.add(member(entry));
                }
                Ok(None) => {
                    archive.has_end = walker.end_is_marked();
                    archive.end = walker.position();
                    return Ok(archive);
                }
                Err(source) if archive.members.is_empty() => {
                    return Err(ArchiveError::NotTar { path, source });
                }
                Err(fault) => {
                    archive.fault = Some(fault);
                    return Ok(archive);
                }
            }
            if archive.members.len() > MEMBER_LIMIT || names > NAMES_LIMIT {
                return Err(ArchiveError::TooManyMembers {
                    path,
                    limit: MEMBER_LIMIT,
                });
            }
        }
    }

    fn add(&mut self, member: Member) {
        let index = self.members.len();
        if let Some(hidden) = self.by_name.insert(member.name.clone(), index) {
            // Directories are repeated by many writers and mean nothing.
            let harmless = |m: &Member| m.kind == MemberKind::Directory;
            if !(harmless(&member) && harmless(&self.members[hidden])) {
                self.duplicates.push((hidden, index));
            }
        }
        self.members.push(member);
    }

    /// The path as it was given, `-` for standard input.
    pub fn path(&self) -> &str {
        self.source().path()
    }

    /// The compression around the whole archive.
    pub fn compression(&self) -> Compression {
        self.input.compression()
    }

    /// The size of the file as it was given, in bytes.
    pub fn stored_size(&self) -> u64 {
        self.input.stored_size()
    }

    /// The uncompressed bytes of the archive.
    pub fn source(&self) -> &Source {
        self.input.source()
    }

    /// All members in the order of the archive, duplicates included.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Pairs of members of one name: the hidden one and the one that counts.
    pub fn duplicates(&self) -> impl Iterator<Item = (&Member, &Member)> {
        self.duplicates
            .iter()
            .map(|&(hidden, counts)| (&self.members[hidden], &self.members[counts]))
    }

    /// What ended the index before the end of the archive, if anything did.
    pub fn fault(&self) -> Option<&TarError> {
        self.fault.as_ref()
    }

    /// Whether the tar ends with its end-of-archive blocks. Engines do not mind if it does not, but a
    /// tar that was cut between two members looks like that.
    pub fn has_end(&self) -> bool {
        self.has_end
    }

    /// Where the tar ends, its end-of-archive blocks included, in bytes; 0 if it is damaged.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The bytes of the file as it was given: compressed, if it is.
    pub fn stored(&self) -> &Source {
        self.input.stored()
    }

    /// Whether bytes that are not part of the outer gzip data follow it.
    pub fn has_trailing_data(&self) -> bool {
        self.input.has_trailing_data()
    }

    /// Refuses an archive whose index is not whole.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Damaged`] with what [`Self::fault`] holds.
    pub fn require_whole(&mut self) -> Result<(), ArchiveError> {
        match self.fault.take() {
            None => Ok(()),
            Some(source) => Err(ArchiveError::Damaged {
                path: self.source().label(),
                members: self.members.len(),
                source,
            }),
        }
    }

    /// The member of exactly this name, links not followed.
    pub fn member(&self, name: &MemberName) -> Option<&Member> {
        self.by_name.get(name).map(|&i| &self.members[i])
    }

    /// The file that `name` leads to: itself, or what links lead to inside the archive.
    ///
    /// # Errors
    ///
    /// [`LookupError`], with the name as it was asked for.
    pub fn find(&self, name: &[u8]) -> Result<(&Member, Slice), LookupError> {
        let wanted = || name.to_vec();
        let mut current = MemberName::new(name);
        if current.as_bytes().len() > NAME_LIMIT {
            return Err(LookupError::Absent { name: wanted() });
        }
        let mut links = 0;
        loop {
            let next = match self.member(&current) {
                Some(member) => match &member.kind {
                    MemberKind::File(span) => return Ok((member, self.source().slice(*span))),
                    MemberKind::Symlink(target) => current.linked(target),
                    MemberKind::Hardlink(target) => MemberName::new(target),
                    MemberKind::Directory | MemberKind::Special => {
                        return Err(LookupError::NotAFile { name: wanted() });
                    }
                },
                None => match self.through_linked_directory(&current) {
                    Some(next) => next,
                    None if links == 0 => return Err(LookupError::Absent { name: wanted() }),
                    None => {
                        let target = current.as_bytes().to_vec();
                        return Err(LookupError::Dangling {
                            name: wanted(),
                            target,
                        });
                    }
                },
            };
            links += 1;
            if links > LINK_LIMIT || next.as_bytes().len() > NAME_LIMIT {
                return Err(LookupError::TooManyLinks {
                    name: wanted(),
                    limit: LINK_LIMIT,
                });
            }
            current = next;
        }
    }

    /// Follows the first directory of `name` that is a symbolic link.
    fn through_linked_directory(&self, name: &MemberName) -> Option<MemberName> {
        let bytes = name.as_bytes();
        let slashes = bytes
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'/')
            .map(|(i, _)| i);
        slashes.into_iter().find_map(|slash| {
            let directory = MemberName::new(&bytes[..slash]);
            match &self.member(&directory)?.kind {
                MemberKind::Symlink(target) => {
                    Some(directory.linked(target).join(&bytes[slash + 1..]))
                }
                _ => None,
            }
        })
    }
}

fn member(entry: Entry) -> Member {
    let kind = match entry.kind {
        Kind::File => MemberKind::File(Span {
            offset: entry.data_offset,
            len: entry.stored_size,
        }),
        Kind::Directory => MemberKind::Directory,
        Kind::Symlink => MemberKind::Symlink(entry.link.into()),
        Kind::Hardlink => MemberKind::Hardlink(entry.link.into()),
        Kind::Char | Kind::Block | Kind::Fifo | Kind::Global | Kind::Other(_) => {
            MemberKind::Special
        }
    };
    Member {
        name: MemberName::new(&entry.path),
        kind,
        typeflag: entry.typeflag,
        left_root: leaves_root(&entry.path),
        offset: entry.header_offset,
    }
}
