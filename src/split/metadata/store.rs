//! The bytes that the flat tar lacks: one long string, cut into members of [`PACK`] bytes, each
//! compressed by zstd. `cat bytes/*.zst | zstd -d` gives the string.
//!
//! Threats: a member may expand to [`PACK`] bytes and no more.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::account::{Account, DecodedMember};
use super::container::{Container, ContainerWriter};
use super::description::{PACK, names};
use super::error::{MetadataError, StreamFault};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::Progress;
use crate::source::{Compression, Scratch, Slice, Span};

/// The level of zstd: its default achieves most of what is possible.
const LEVEL: i32 = 3;

/// How many members are made before they are written.
const BATCH: usize = 16;

/// How many members are held uncompressed while a store is read.
const HELD: usize = 8;

/// A store under construction.
#[derive(Debug, Default)]
pub(super) struct Store {
    bodies: Vec<Slice>,
    len: u64,
}

impl Store {
    /// Adds bytes and says where they are. They are read when the store is written.
    pub(super) fn add(&mut self, bytes: Slice) -> u64 {
        let at = self.len;
        self.len += bytes.len();
        self.bodies.push(bytes);
        at
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// What each member is made of.
    fn packs(&self) -> impl Iterator<Item = Vec<Slice>> {
        let mut bodies = self.bodies.iter().cloned();
        let mut rest: Option<Slice> = None;
        std::iter::from_fn(move || {
            let mut pack = Vec::new();
            let mut room = PACK;
            while room > 0 {
                let Some(body) = rest.take().or_else(|| bodies.next()) else {
                    break;
                };
                let len = body.len().min(room);
                pack.push(body.slice(Span { offset: 0, len }));
                room -= len;
                if len < body.len() {
                    rest = Some(body.slice(Span {
                        offset: len,
                        len: body.len() - len,
                    }));
                }
            }
            (!pack.is_empty()).then_some(pack)
        })
    }

    pub(super) fn write<W: Write>(
        &self,
        container: &mut ContainerWriter<W>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<(), MetadataError> {
        let task = progress.begin("storing shadowed files", Some(self.len));
        let mut packs = self.packs();
        let mut number = 0;
        loop {
            let batch: Vec<Vec<Slice>> = packs.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let made = jobs::map(jobs, &batch, |_| 1, |pack| compress(pack));
            for (made, pack) in made.into_iter().zip(&batch) {
                container.member(&names::pack(number), &made?)?;
                task.advance(pack.iter().map(Slice::len).sum());
                number += 1;
            }
        }
    }
}

fn compress(pack: &[Slice]) -> Result<Vec<u8>, MetadataError> {
    let mut bytes = Vec::new();
    for slice in pack {
        let from = bytes.len();
        let len = usize::try_from(slice.len()).expect("a pack has 4 MiB");
        bytes.resize(from + len, 0);
        slice.read_at(&mut bytes[from..], 0)?;
    }
    let compressed = || -> io::Result<Vec<u8>> {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
        encoder.write_all(&bytes)?;
        encoder.finish()
    };
    compressed().map_err(MetadataError::Write)
}

/// How much memory a decoder of a member may take: twice what the member may expand to. Anything that
/// was written by [`Store::write`] takes less.
const DECODER: u64 = 2 * PACK;

/// A store that is read.
///
/// A member is decoded when it is first needed. Those that were used last are kept; one that is needed
/// again after it was dropped goes to a temporary file, so that no member is decoded more than twice,
/// in whichever order its bytes are asked for.
pub(crate) struct StoreReader<'m> {
    container: &'m Container,
    account: &'m Account,
    len: u64,
    state: Mutex<StoreState>,
    /// Held while a member is decoded, by its number: two threads that need the same member must not both
    /// decode it, and two that need different ones seldom wait for each other.
    decoding: [Mutex<()>; 16],
}

/// A member, decoded.
type Pack = Arc<[u8]>;

#[derive(Default)]
struct StoreState {
    held: VecDeque<(u64, Pack)>,
    /// Members that were decoded before.
    known: HashSet<u64>,
    /// Where the members that were decoded twice are, each at the place that it has in the store, and how
    /// long they are.
    spilled: Option<(Arc<Scratch>, HashMap<u64, usize>)>,
}

/// Where the bytes of a member are.
enum There {
    Held(Pack),
    Spilled(Arc<Scratch>, usize),
}

impl<'m> StoreReader<'m> {
    pub(crate) fn new(container: &'m Container, account: &'m Account) -> Self {
        Self {
            container,
            account,
            len: container.description().bytes.size,
            state: Mutex::default(),
            decoding: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Whether the store has so many bytes there.
    pub(crate) fn holds(&self, offset: u64, len: u64) -> bool {
        offset.checked_add(len).is_some_and(|end| end <= self.len)
    }

    /// Fills `buf` from `offset` on; the caller has asked [`Self::holds`].
    pub(crate) fn read_at(&self, mut buf: &mut [u8], mut offset: u64) -> Result<(), MetadataError> {
        while !buf.is_empty() {
            let number = offset / PACK;
            let from = usize::try_from(offset % PACK).expect("it is less than PACK");
            let there = self.pack(number)?;
            let len = match &there {
                There::Held(pack) => pack.len(),
                There::Spilled(_, len) => *len,
            };
            let n = len.saturating_sub(from).min(buf.len());
            if n == 0 {
                let why = format!(
                    "it holds {len} bytes, the description says that it has more than {from}"
                );
                return Err(StreamFault::Wrong(why).of(names::pack(number)));
            }
            let (now, later) = buf.split_at_mut(n);
            match there {
                There::Held(pack) => now.copy_from_slice(&pack[from..from + n]),
                There::Spilled(file, _) => {
                    file.read_at(now, offset).map_err(MetadataError::Spool)?;
                }
            }
            buf = later;
            offset += n as u64;
        }
        Ok(())
    }

    fn pack(&self, number: u64) -> Result<There, MetadataError> {
        if let Some(there) = self.state().find(number) {
            return Ok(there);
        }
        let shard = usize::try_from(number % self.decoding.len() as u64).expect("it is below 16");
        let _decoding = self.decoding[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = self.state().find(number) {
            return Ok(there);
        }
        let is_again = self.state().known.contains(&number);
        let pack = self.decode(number, is_again)?;
        let mut state = self.state();
        if !state.known.insert(number) {
            state.spill(number, &pack).map_err(MetadataError::Spool)?;
        }
        if state.held.len() >= HELD {
            state.held.pop_front();
        }
        state.held.push_back((number, Arc::clone(&pack)));
        Ok(There::Held(pack))
    }

    fn state(&self) -> MutexGuard<'_, StoreState> {
        // It is consistent at any time, so it does not matter if a thread panicked while it held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decode(&self, number: u64, is_again: bool) -> Result<Pack, MetadataError> {
        let name = names::pack(number);
        let slice = self.container.slice(&name)?;
        let fault = |why| StreamFault::Read(why).of(&name);
        let decoded = DecodedMember::new(&slice, Compression::Zstd, DECODER, self.account);
        let decoded = decoded.map_err(fault)?;
        let decoded = if is_again { decoded.again() } else { decoded };
        let mut bytes = Vec::new();
        decoded
            .take(PACK + 1)
            .read_to_end(&mut bytes)
            .map_err(fault)?;
        if bytes.len() as u64 > PACK {
            let why = format!("it expands to more than {PACK} bytes");
            return Err(StreamFault::Wrong(why).of(name));
        }
        Ok(bytes.into())
    }
}

impl StoreState {
    fn find(&self, number: u64) -> Option<There> {
        if let Some((_, pack)) = self.held.iter().find(|(n, _)| *n == number) {
            return Some(There::Held(Arc::clone(pack)));
        }
        let (file, lens) = self.spilled.as_ref()?;
        let len = lens.get(&number)?;
        Some(There::Spilled(Arc::clone(file), *len))
    }

    fn spill(&mut self, number: u64, pack: &[u8]) -> io::Result<()> {
        let (file, lens) = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert((Arc::new(Scratch::new()?), HashMap::new())),
        };
        file.write_at(pack, number * PACK)?;
        lens.insert(number, pack.len());
        Ok(())
    }
}
