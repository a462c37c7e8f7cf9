//! One pass over the headers of the outer tar.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use super::early_end::EarlyEnd;
use super::error::ArchiveError;
use super::foreign::{Foreign, not_tar, refuse_zeros};
use super::lookup::Led;
use super::member::{Member, MemberKind, MemberName, leaves_root};
use crate::base::limits::Limit;
use crate::source::{Compression, Input, Source, Span};
use crate::tar::{Entry, Kind, Positioned, RefusedAttribute, TarError, TarFault, Walker};

/// An opened archive whose members are all there: the walk over its headers came to an end of the tar.
///
/// It gives everything that [`Contents`] gives. What is damaged or cut short never becomes an
/// `Archive`; see [`Contents::index`] for what is left of it.
#[derive(Debug)]
pub struct Archive(Contents);

impl Archive {
    /// Indexes the members of `input`.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: [`NotTar`](ArchiveError::NotTar), [`Damaged`](ArchiveError::Damaged) or
    /// [`TooManyMembers`](ArchiveError::TooManyMembers).
    pub fn open(input: Input) -> Result<Self, ArchiveError> {
        Contents::index(input)?.whole()
    }

    /// An archive that is stored nowhere as a tar: its members are stretches of `input`.
    pub(crate) fn assembled(
        input: Input,
        files: impl IntoIterator<Item = (MemberName, Span)>,
    ) -> Self {
        let mut contents = Contents::empty(input);
        contents.ending = Ending::Marked(contents.source().len());
        for (name, span) in files {
            contents.add(Member {
                name,
                kind: MemberKind::File(span),
                typeflag: b'0',
                left_root: false,
                absolute: false,
                refused_attribute: None,
                offset: span.offset,
            });
        }
        Self(contents)
    }
}

impl Deref for Archive {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.0
    }
}

/// How the walk over an archive's headers ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// At the end-of-archive blocks, which end at this byte of the (uncompressed) archive.
    Marked(u64),
    /// Where the file ends, without end-of-archive blocks. Engines do not mind, but a tar that was cut
    /// between two members looks like that.
    Unmarked,
    /// At a header or body that is damaged or cut short; what followed is lost.
    Damaged(Arc<EarlyEnd>),
}

/// What can be read of an archive, whole or not, and the index of its members.
#[derive(Debug)]
pub struct Contents {
    input: Input,
    pub(super) members: Vec<Member>,
    /// The last member of each name.
    pub(super) by_name: HashMap<MemberName, usize>,
    /// What each hard link is another name of: the last member before it that has the name of its
    /// target, links to links followed. A hard link without such a member is not in here.
    pub(super) linked: HashMap<usize, usize>,
    /// Members that a later one of the same name hides, with the one that hides them.
    duplicates: Vec<(usize, usize)>,
    /// Where names with links on the way lead, so that a chain of links is followed once and not
    /// once for each name that leads into it.
    pub(super) known: Mutex<HashMap<MemberName, Led>>,
    pub(super) has_symlinks: bool,
    ending: Ending,
}

impl Contents {
    /// Indexes the members of `input`, as far as they can be read: for `verify`, which reports what is
    /// left of a damaged archive. Everything else uses [`Archive::open`].
    ///
    /// # Errors
    ///
    /// [`ArchiveError::NotTar`] or [`ArchiveError::Foreign`] if not even the first header can be read;
    /// [`ArchiveError::TooManyMembers`]. Damage further on is not an error here, see [`Self::ending`].
    pub fn index(input: Input) -> Result<Self, ArchiveError> {
        let path = input.source().label();
        let mut contents = Self::empty(input);
        let mut walker = Walker::new(Positioned::new(contents.source().whole()));
        let mut names = 0;
        loop {
            match walker.next_entry() {
                Ok(Some(entry)) if entry.kind == Kind::Global => {}
                Ok(Some(entry)) => {
                    names += entry.path.len() + entry.link.len();
                    contents.add(member(entry));
                }
                Ok(None) => {
                    if contents.members.is_empty() {
                        refuse_zeros(&contents.input)?;
                    }
                    if walker.end_is_marked() {
                        contents.ending = Ending::Marked(walker.position());
                    }
                    return Ok(contents);
                }
                Err(source) if source.is_environment() => {
                    return Err(ArchiveError::Read { path, source });
                }
                Err(fault) => {
                    let fault = if contents.members.is_empty() {
                        contents.first_fault(fault)?
                    } else {
                        fault
                    };
                    let end = EarlyEnd::fault(&contents, fault);
                    contents.ending = Ending::Damaged(Arc::new(end));
                    return Ok(contents);
                }
            }
            let limits = contents.source().limits();
            let counted = limits.check_count(Limit::Members, contents.members.len());
            let within = counted.and_then(|()| limits.check_count(Limit::MemberNames, names));
            if let Err(exceeded) = within {
                return Err(ArchiveError::TooManyMembers { path, exceeded });
            }
        }
    }

    /// The whole archive.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Damaged`] if it is not whole.
    pub fn whole(self) -> Result<Archive, ArchiveError> {
        match &self.ending {
            Ending::Damaged(end) => Err(ArchiveError::Damaged {
                path: self.source().label(),
                end: Arc::clone(end),
            }),
            Ending::Marked(_) | Ending::Unmarked => Ok(Archive(self)),
        }
    }

    /// The fault of a file whose first member cannot be read, if it is a tar all the same: something
    /// before the fault was a header, or the file ends inside what has the mark of one.
    fn first_fault(&self, fault: TarError) -> Result<TarError, ArchiveError> {
        let begins_as_tar = match fault.fault {
            _ if fault.offset > 0 => true,
            TarFault::TruncatedBody { .. } => true,
            TarFault::TruncatedHeader => self.has_mark(),
            _ => false,
        };
        match not_tar(&self.input, fault) {
            ArchiveError::NotTar {
                mangled: None,
                source,
                ..
            } if begins_as_tar => Ok(source),
            ArchiveError::Foreign {
                ref foreign,
                fault: Some(fault),
                ..
            } if begins_as_tar && matches!(**foreign, Foreign::Short { .. }) => Ok(fault),
            error => Err(error),
        }
    }

    /// Whether the mark of tar headers stands where it should (POSIX `ustar`).
    fn has_mark(&self) -> bool {
        const MARK_AT: u64 = 257;
        const MARK: [u8; 5] = *b"ustar";
        let mut found = [0; MARK.len()];
        // A read that fails says nothing of the file; the fault is reported either way.
        let read = self.source().read_at(&mut found, MARK_AT);
        read.is_ok_and(|n| n == MARK.len()) && found == MARK
    }

    /// The archive that would be packed of what lies below `directory`. Its members lie where they lie
    /// in this one; hard links lose the directory, as they do when it is unpacked and packed again.
    pub(crate) fn below(&self, directory: &MemberName) -> Self {
        let below = |name: &MemberName| {
            let rest = name.as_bytes().strip_prefix(directory.as_bytes())?;
            Some(MemberName::new(rest.strip_prefix(b"/")?))
        };
        let mut contents = Self::empty(self.input.clone());
        contents.ending = self.ending.clone();
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
            contents.add(Member {
                name,
                kind,
                ..member.clone()
            });
        }
        contents
    }

    fn empty(input: Input) -> Self {
        Self {
            members: Vec::new(),
            by_name: HashMap::new(),
            linked: HashMap::new(),
            duplicates: Vec::new(),
            known: Mutex::default(),
            has_symlinks: false,
            ending: Ending::Unmarked,
            input,
        }
    }

    fn add(&mut self, member: Member) {
        let index = self.members.len();
        match &member.kind {
            MemberKind::Symlink(_) => self.has_symlinks = true,
            // A hard link is another name of what has the name now; what comes later under the same
            // name is another file, to tar and to the engines.
            MemberKind::Hardlink(target) => {
                if let Some(&target) = self.by_name.get(&MemberName::new(target)) {
                    let target = match self.members[target].kind {
                        MemberKind::Hardlink(_) => self.linked.get(&target).copied(),
                        _ => Some(target),
                    };
                    self.linked.extend(target.map(|target| (index, target)));
                }
            }
            MemberKind::File(_) | MemberKind::Directory | MemberKind::Special => {}
        }
        if let Some(hidden) = self.by_name.insert(member.name.clone(), index) {
            // Many writers repeat directories, which does not matter.
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

    /// All members in the order of the archive, duplicates included. Of a damaged archive these are
    /// the ones before the damage; the last of them may be cut, see [`EarlyEnd::cut`].
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Pairs of members of one name: the hidden one and the one that counts.
    pub fn duplicates(&self) -> impl Iterator<Item = (&Member, &Member)> {
        self.duplicates
            .iter()
            .map(|&(hidden, counts)| (&self.members[hidden], &self.members[counts]))
    }

    /// How the walk over the headers ended.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// What is wrong with the archive, if it is damaged.
    pub fn early_end(&self) -> Option<&Arc<EarlyEnd>> {
        match &self.ending {
            Ending::Damaged(end) => Some(end),
            Ending::Marked(_) | Ending::Unmarked => None,
        }
    }

    /// Whether the member was cut: its header is there, and a part of its body at the most.
    pub fn is_cut(&self, member: &Member) -> bool {
        let cut = self.early_end().and_then(|end| end.cut());
        cut == Some(member.offset)
    }

    /// The bytes of the file as it was given: compressed, if it is.
    pub fn stored(&self) -> &Source {
        self.input.stored()
    }

    /// Whether bytes that are not part of the outer gzip data follow it.
    pub fn has_trailing_data(&self) -> bool {
        self.input.has_trailing_data()
    }

    /// The member of exactly this name, links not followed.
    pub fn member(&self, name: &MemberName) -> Option<&Member> {
        self.by_name.get(name).map(|&i| &self.members[i])
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
        absolute: entry.path.starts_with(b"/"),
        refused_attribute: RefusedAttribute::first(&entry.xattrs, entry.kind).map(Box::new),
        name: MemberName::new(&entry.path),
        kind,
        typeflag: entry.typeflag,
        left_root: leaves_root(&entry.path),
        offset: entry.header_offset,
    }
}
