//! Where a name leads: to a member, through links, or nowhere.

use std::sync::PoisonError;

use super::error::LookupError;
use super::index::Contents;
use super::member::{Member, MemberKind, MemberName};
use crate::base::limits::LONGEST_PATH;
use crate::source::Slice;

/// How many links are followed for one name: what Docker's `safePath` allows (moby/sys `symlink`).
pub const LINK_LIMIT: usize = 255;

/// How many directories deep a name is followed through links to directories. Deeper ones are looked
/// up as they are: no writer nests so deep, and each level costs another look.
const DEPTH_LIMIT: usize = 64;

impl Contents {
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
            LinkEnd::Member(index) => {
                let member = &self.members[index];
                match &member.kind {
                    MemberKind::File(_) if self.is_cut(member) => {
                        Err(LookupError::Lost { name: wanted() })
                    }
                    MemberKind::File(span) => Ok((member, self.source().slice(*span))),
                    _ => Err(LookupError::NotAFile { name: wanted() }),
                }
            }
            LinkEnd::Nowhere(_) if self.early_end().is_some() => {
                Err(LookupError::Lost { name: wanted() })
            }
            LinkEnd::Nowhere(_) if led.links == 0 => Err(LookupError::Absent { name: wanted() }),
            LinkEnd::Nowhere(target) => Err(LookupError::Dangling {
                name: wanted(),
                target: target.as_bytes().to_vec(),
            }),
            LinkEnd::Further => Err(too_many()),
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
                    end: LinkEnd::Further,
                    links,
                }) if way.len() + links <= LINK_LIMIT => {}
                Some(led) => break led.clone(),
                None => {}
            }
            let next = match self.by_name.get(&current).copied() {
                Some(index) => match self.other_name(index, &current) {
                    Ok(next) => next,
                    Err(end) => break end,
                },
                None => match self.through_linked_directory(&current) {
                    Some(next) => next,
                    None => break Led::nowhere(current.clone()),
                },
            };
            way.push(current);
            // Twice as far as is allowed, so that as many names on the way are known to lead too far.
            let links = match way.len() {
                _ if is_too_long(&next) => Some(LINK_LIMIT),
                steps if steps > 2 * LINK_LIMIT => Some(0),
                _ => None,
            };
            if let Some(links) = links {
                break Led {
                    end: LinkEnd::Further,
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

    /// The name that the member of this index, called `name`, leads to; or where it ends.
    fn other_name(&self, index: usize, name: &MemberName) -> Result<MemberName, Led> {
        match &self.members[index].kind {
            MemberKind::Symlink(target) => Ok(name.linked(target)),
            MemberKind::Hardlink(target) => {
                let Some(&linked) = self.linked.get(&index) else {
                    // No earlier member has the name, and a later one cannot be its target.
                    let target = MemberName::new(target);
                    let through = self.through_linked_directory(&target);
                    return through.ok_or(Led {
                        end: LinkEnd::Nowhere(target),
                        links: 1,
                    });
                };
                match &self.members[linked].kind {
                    // Another name of a symbolic link is one itself, and is followed from where it stands.
                    MemberKind::Symlink(target) => Ok(name.linked(target)),
                    _ => Err(Led {
                        end: LinkEnd::Member(linked),
                        links: 1,
                    }),
                }
            }
            MemberKind::File(_) | MemberKind::Directory | MemberKind::Special => {
                Err(Led::to(index))
            }
        }
    }
}

/// Where a name leads, and through how many links.
#[derive(Clone, Debug)]
pub(super) struct Led {
    end: LinkEnd,
    links: usize,
}

#[derive(Clone, Debug)]
enum LinkEnd {
    /// To the member of this index, which is not a link.
    Member(usize),
    /// To a name that no member has.
    Nowhere(MemberName),
    /// Through at least so many links, and then on.
    Further,
}

impl Led {
    fn to(index: usize) -> Self {
        Self {
            end: LinkEnd::Member(index),
            links: 0,
        }
    }

    fn nowhere(name: MemberName) -> Self {
        Self {
            end: LinkEnd::Nowhere(name),
            links: 0,
        }
    }
}

/// Whether no file system that engines unpack to can hold the name, so that links that spell it lead
/// nowhere.
fn is_too_long(name: &MemberName) -> bool {
    name.as_bytes().len() as u64 > LONGEST_PATH
}
