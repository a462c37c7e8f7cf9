//! One pass over the headers of the outer tar.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::error::{ArchiveError, LookupError};
use super::foreign::{not_tar, refuse_zeros};
use super::member::{Member, MemberKind, MemberName, leaves_root};
use crate::limits::{LONGEST_PATH, Limit};
use crate::record::{Entry, Kind, Positioned, TarError, Walker};
use crate::source::{Compression, Input, Slice, Source, Span};

/// How many links are followed for one name: what Docker's `safePath` allows (moby/sys `symlink`).
pub const LINK_LIMIT: usize = 255;

/// How many directories deep a name is followed through links to directories. Deeper ones are looked
/// up as they are: no writer nests so deep, and each level costs another look.
const DEPTH_LIMIT: usize = 64;

/// An opened archive and the index of its members.
#[derive(Debug)]
pub struct Archive {
    input: Input,
    members: Vec<Member>,
    /// The last member of each name.
    by_name: HashMap<MemberName, usize>,
    /// Members that a later one of the same name hides, with the one that hides them.
    duplicates: Vec<(usize, usize)>,
    /// Where names with links on the way lead, so that a chain of links is followed once and not
    /// once for each name that leads into it.
    known: Mutex<HashMap<MemberName, Led>>,
    has_symlinks: bool,
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
    /// [`ArchiveError::NotTar`] or [`ArchiveError::Foreign`] if not even the first header can be read;
    /// [`ArchiveError::TooManyMembers`]. Damage further on is no error here, see [`Self::fault`].
    pub fn index(input: Input) -> Result<Self, ArchiveError> {
        let path = input.source().label();
        let mut archive = Self {
            members: Vec::new(),
            by_name: HashMap::new(),
            duplicates: Vec::new(),
            known: Mutex::default(),
            has_symlinks: false,
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
                    if archive.members.is_empty() {
                        refuse_zeros(&archive.input)?;
                    }
                    archive.has_end = walker.end_is_marked();
                    archive.end = walker.position();
                    return Ok(archive);
                }
                Err(source) if archive.members.is_empty() => {
                    return Err(not_tar(&archive.input, source));
                }
                Err(fault) => {
                    archive.fault = Some(fault);
                    return Ok(archive);
                }
            }
            let limits = archive.source().limits();
            let counted = limits.check_count(Limit::Members, archive.members.len());
            let within = counted.and_then(|()| limits.check_count(Limit::MemberNames, names));
            if let Err(exceeded) = within {
                return Err(ArchiveError::TooManyMembers { path, exceeded });
            }
        }
    }

    /// The archive that would be packed of what lies below `directory`. Its members lie where they lie
    /// in this one; hard links lose the directory, as they do when it is unpacked and packed again.
    pub(crate) fn below(&self, directory: &MemberName) -> Self {
        let below = |name: &MemberName| {
            let rest = name.as_bytes().strip_prefix(directory.as_bytes())?;
            Some(MemberName::new(rest.strip_prefix(b"/")?))
        };
        let mut archive = Self {
            members: Vec::new(),
            by_name: HashMap::new(),
            duplicates: Vec::new(),
            known: Mutex::default(),
            has_symlinks: false,
            fault: None,
            has_end: self.has_end,
            end: self.end,
            input: self.input.clone(),
        };
        for member in &self.members {
            let Some(name) = below(&member.name) else {
                continue;
            };
            let kind = match &member.kind {
                MemberKind::Hardlink(target) => match below(&MemberName::new(target)) {
                    Some(target) => MemberKind::Hardlink(target.as_bytes().into()),
                    None => continue,
                },
                kind => kind.clone(),
            };
            archive.add(Member {
                name,
                kind,
                ..member.clone()
            });
        }
        archive
    }

    fn add(&mut self, member: Member) {
        let index = self.members.len();
        self.has_symlinks |= matches!(member.kind, MemberKind::Symlink(_));
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
        let too_many = || LookupError::TooManyLinks {
            name: wanted(),
            limit: LINK_LIMIT,
        };
        let start = MemberName::new(name);
        if is_too_long(&start) {
            return Err(LookupError::Absent { name: wanted() });
        }
        let led = match self.member(&start) {
            // Nearly every name is this simple, and nothing has to be remembered.
            Some(Member {
                kind: MemberKind::File(_),
                ..
            }) => {
                let member = self.by_name.get(&start).copied();
                member.map_or(Led::nowhere(start), Led::to)
            }
            _ => self.follow(start),
        };
        match led.end {
            _ if led.links > LINK_LIMIT => Err(too_many()),
            End::Member(index) => {
                let member = &self.members[index];
                match &member.kind {
                    MemberKind::File(span) => Ok((member, self.source().slice(*span))),
                    _ => Err(LookupError::NotAFile { name: wanted() }),
                }
            }
            End::Nowhere(_) if led.links == 0 => Err(LookupError::Absent { name: wanted() }),
            End::Nowhere(target) => Err(LookupError::Dangling {
                name: wanted(),
                target: target.as_bytes().to_vec(),
            }),
            End::Further => Err(too_many()),
        }
    }

    /// Follows the links that `start` leads through, to their end or until they are too many.
    fn follow(&self, start: MemberName) -> Led {
        // A poisoned lock would mean that a thread panicked over this map, which nothing here does.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut way = Vec::new();
        let mut current = start;
        let end = loop {
            match known.get(&current) {
                Some(Led {
                    end: End::Further,
                    links,
                }) if way.len() + links <= LINK_LIMIT => {}
                Some(led) => break led.clone(),
                None => {}
            }
            let next = match self.by_name.get(&current).copied() {
                Some(index) => match &self.members[index].kind {
                    MemberKind::Symlink(target) => current.linked(target),
                    MemberKind::Hardlink(target) => MemberName::new(target),
                    MemberKind::File(_) | MemberKind::Directory | MemberKind::Special => {
                        break Led::to(index);
                    }
                },
                None => match self.through_linked_directory(&current) {
                    Some(next) => next,
                    None => break Led::nowhere(current.clone()),
                },
            };
            way.push(current);
            // Twice as far as is allowed, so that as many names on the way are known to lead too far.
            let links = match () {
                () if is_too_long(&next) => Some(LINK_LIMIT),
                () if way.len() > 2 * LINK_LIMIT => Some(0),
                () => None,
            };
            if let Some(links) = links {
                break Led {
                    end: End::Further,
                    links,
                };
            }
            current = next;
        };
        let mut led = end;
        for name in way.into_iter().rev() {
            led.links += 1;
            known.insert(name, led.clone());
        }
        led
    }

    /// Follows the first directory of `name` that is a symbolic link.
    fn through_linked_directory(&self, name: &MemberName) -> Option<MemberName> {
        if !self.has_symlinks {
            return None;
        }
        let bytes = name.as_bytes();
        let slashes = bytes
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'/')
            .map(|(i, _)| i);
        slashes.take(DEPTH_LIMIT).find_map(|slash| {
            let &index = self.by_name.get(&bytes[..slash])?;
            let directory = &self.members[index];
            match &directory.kind {
                MemberKind::Symlink(target) => {
                    Some(directory.name.linked(target).join(&bytes[slash + 1..]))
                }
                _ => None,
            }
        })
    }
}

/// Where a name leads, and through how many links.
#[derive(Clone, Debug)]
struct Led {
    end: End,
    links: usize,
}

#[derive(Clone, Debug)]
enum End {
    /// To the member of this index, which is no link.
    Member(usize),
    /// To a name that no member has.
    Nowhere(MemberName),
    /// Through at least so many links, and then on.
    Further,
}

impl Led {
    fn to(index: usize) -> Self {
        Self {
            end: End::Member(index),
            links: 0,
        }
    }

    fn nowhere(name: MemberName) -> Self {
        Self {
            end: End::Nowhere(name),
            links: 0,
        }
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

/// Whether no file system that engines unpack to can hold the name, so that links that spell it lead
/// nowhere.
fn is_too_long(name: &MemberName) -> bool {
    name.as_bytes().len() as u64 > LONGEST_PATH
}
