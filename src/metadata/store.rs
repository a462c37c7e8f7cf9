//! The bytes that the flat tar lacks: one long string, cut into members of [`PACK`] bytes, each
//! compressed by zstd. `cat bytes/*.zst | zstd -d` gives the string.
//!
//! Threats: a member may expand to [`PACK`] bytes and not to one more.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use super::container::{Container, ContainerWriter};
use super::description::{PACK, names};
use super::error::{MetadataError, StreamFault};
use crate::parallel::{self, Jobs};
use crate::progress::Progress;
use crate::source::{Slice, Span};

/// What zstd is asked for: most of what it can do is done at its default.
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
            let made = parallel::map(jobs, &batch, |_| 1, |pack| compress(pack));
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
        bytes.resize(from + usize::try_from(slice.len()).unwrap_or(0), 0);
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

/// A store that is read. The members that were used last are held.
#[derive(Debug)]
pub(crate) struct StoreReader<'m> {
    container: &'m Container,
    len: u64,
    held: Mutex<VecDeque<(u64, Arc<[u8]>)>>,
}

impl<'m> StoreReader<'m> {
    pub(crate) fn new(container: &'m Container, len: u64) -> Self {
        Self {
            container,
            len,
            held: Mutex::default(),
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
            let pack = self.pack(number)?;
            // Below PACK, so it fits.
            let from = usize::try_from(offset % PACK).unwrap_or(usize::MAX);
            let there = pack.get(from..).unwrap_or_default();
            let n = there.len().min(buf.len());
            if n == 0 {
                let why = "it holds fewer bytes than the description says".to_owned();
                return Err(StreamFault::Wrong(why).of(names::pack(number)));
            }
            buf[..n].copy_from_slice(&there[..n]);
            buf = &mut buf[n..];
            offset += n as u64;
        }
        Ok(())
    }

    fn pack(&self, number: u64) -> Result<Arc<[u8]>, MetadataError> {
        let held = |held: &VecDeque<(u64, Arc<[u8]>)>| {
            let found = held.iter().find(|(n, _)| *n == number);
            found.map(|(_, pack)| Arc::clone(pack))
        };
        if let Ok(packs) = self.held.lock()
            && let Some(pack) = held(&packs)
        {
            return Ok(pack);
        }
        // Two threads may decode the same member; that costs time and nothing else.
        let name = names::pack(number);
        let slice = self.container.slice(&name)?;
        let mut bytes = Vec::new();
        let fault = |why| StreamFault::Read(why).of(&name);
        let reader = io::BufReader::with_capacity(256 << 10, slice.reader());
        let decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(fault)?;
        decoder
            .take(PACK + 1)
            .read_to_end(&mut bytes)
            .map_err(fault)?;
        if bytes.len() as u64 > PACK {
            let why = format!("it expands to more than {PACK} bytes");
            return Err(StreamFault::Wrong(why).of(name));
        }
        let pack: Arc<[u8]> = bytes.into();
        if let Ok(mut packs) = self.held.lock() {
            if packs.len() >= HELD {
                packs.pop_front();
            }
            packs.push_back((number, Arc::clone(&pack)));
        }
        Ok(pack)
    }
}
