//! Which encoder made a stream.
//!
//! All candidates compress the content side by side and are dropped at the first byte that is not that of the stream.
//! Nearly all of them are gone once the first block is written, so the rest of the content is compressed once.

use std::io;
use std::sync::{Mutex, PoisonError};

use super::engine::{StreamEncoder, engine, memory};
use super::go::GoLevel;
use super::gzip;
use super::klauspost::{Heads, KlauspostLevel};
use super::recipe::{EncoderName, MOST_OWN_ZSTD, Recipe, ZstdSettings};
use super::zlib::ZlibKind;
use crate::base::jobs::{self, Jobs};
use crate::source::encode::{Encoders, Method};
use crate::source::{Compression, MAGIC_LEN, Slice, Span, sniff};

/// How much of the content the candidates are given at a time, in bytes, while there are several: one or two pieces are
/// enough for the first block of most encoders.
const FIRST: usize = 64 << 10;

/// How much a single one is given at a time.
const PIECE: usize = 1 << 20;

/// How much memory all candidates may take together that run side by side, in bytes; a single one may always.
const MEMORY: usize = 128 << 20;

/// How many candidates run side by side at most.
const AT_ONCE: usize = 12;

/// A recipe, and what it needs besides the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remade {
    /// How the stream is made.
    pub recipe: Recipe,
    /// Where the stream is not what the encoder would make by itself. Empty: none of today's encoders needs any.
    pub corrections: Vec<u8>,
}

/// How to look for a recipe.
#[derive(Clone, Copy, Debug)]
pub struct FindOptions {
    /// How many threads work at once.
    pub jobs: Jobs,
}

/// Finds out how `blob` is made from `content`, which is what it expands to. `None` if no encoder gives these bytes.
///
/// What is found has made all bytes of the blob once. The limits of the blob's archive apply, and what ends the work on
/// it. The caller decides whether recipe and corrections are worth their size.
///
/// # Errors
///
/// If the blob or the content cannot be read, or memory is short.
pub fn find(blob: &Slice, content: &Slice, options: &FindOptions) -> io::Result<Option<Remade>> {
    let mut head = vec![0; gzip::MOST_HEADER];
    let len = blob.read_at(&mut head, 0).map_err(io::Error::other)?;
    head.truncate(len);
    let recipes = match sniff(&head[..len.min(MAGIC_LEN)]) {
        Compression::Gzip => gzip_recipes(&head),
        Compression::Zstd => zstd_recipes(&head, content.len()),
        Compression::None | Compression::Bzip2 | Compression::Xz => Vec::new(),
    };
    let mut waiting = recipes.into_iter().peekable();
    while waiting.peek().is_some() {
        let mut taken = 0;
        let mut some = Vec::new();
        while let Some(recipe) = waiting.next_if(|recipe| {
            taken += memory(recipe);
            some.is_empty() || taken <= MEMORY && some.len() < AT_ONCE
        }) {
            some.push(recipe);
        }
        if let Some(recipe) = race(some, blob, content, options.jobs)? {
            return Ok(Some(Remade {
                recipe,
                corrections: Vec::new(),
            }));
        }
    }
    Ok(None)
}

/// The first of `recipes` that makes all of `blob`.
fn race(
    recipes: Vec<Recipe>,
    blob: &Slice,
    content: &Slice,
    jobs: Jobs,
) -> io::Result<Option<Recipe>> {
    let one = Jobs::new(std::num::NonZeroUsize::MIN);
    let candidates = recipes.into_iter();
    let candidates = candidates.map(|recipe| Candidate::new(recipe, blob, one));
    let mut candidates: Vec<_> = candidates.collect::<io::Result<_>>()?;
    let mut at = 0;
    let mut bytes = vec![0; FIRST];
    while !candidates.is_empty() {
        let n = content.read_at(&mut bytes, at).map_err(io::Error::other)?;
        at += n as u64;
        let piece = (n > 0).then(|| &bytes[..n]);
        let states = jobs::map(
            jobs,
            &candidates,
            |_| 1,
            |candidate| {
                let mut candidate = candidate.lock().unwrap_or_else(PoisonError::into_inner);
                candidate.step(piece)
            },
        );
        let mut states = states
            .into_iter()
            .collect::<io::Result<Vec<_>>>()?
            .into_iter();
        candidates.retain(|_| states.next().unwrap_or_default());
        if piece.is_none() {
            break;
        }
        if candidates.len() == 1 {
            bytes.resize(PIECE, 0);
        }
    }
    let first = candidates.into_iter().next();
    let first = first.map(|first| first.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(first.map(|candidate| candidate.recipe))
}

/// An encoder that has made what the stream begins with.
struct Candidate {
    recipe: Recipe,
    engine: Box<dyn StreamEncoder>,
    /// What is left of the stream.
    rest: Slice,
    made: Vec<u8>,
    wanted: Vec<u8>,
}

impl Candidate {
    fn new(recipe: Recipe, blob: &Slice, jobs: Jobs) -> io::Result<Mutex<Self>> {
        Ok(Mutex::new(Self {
            engine: engine(&recipe, jobs)?,
            recipe,
            rest: blob.clone(),
            made: Vec::new(),
            wanted: Vec::new(),
        }))
    }

    /// Compresses more of the content, or ends the stream; says whether all bytes are those of the stream.
    fn step(&mut self, piece: Option<&[u8]>) -> io::Result<bool> {
        self.made.clear();
        match piece {
            Some(piece) => self.engine.write(piece, &mut self.made)?,
            None => self.engine.finish(&mut self.made)?,
        }
        self.wanted.resize(self.made.len(), 0);
        let n = self.rest.read_at(&mut self.wanted, 0);
        let n = n.map_err(io::Error::other)?;
        self.rest = self.rest.slice(Span {
            offset: n as u64,
            len: u64::MAX,
        });
        let is_same = self.made == self.wanted[..n];
        Ok(is_same && (piece.is_some() || self.rest.is_empty()))
    }
}

/// What may have made a gzip stream that begins with `head`.
fn gzip_recipes(head: &[u8]) -> Vec<Recipe> {
    let Some(len) = gzip::header_len(head) else {
        return Vec::new();
    };
    let [whole, short] = [Heads::Whole, Heads::Short];
    let [five, six] = [KlauspostLevel::Five, KlauspostLevel::Six];
    let go = |level| Some(EncoderName::Go(GoLevel::new(level)?));
    let zlib = |level| Some(EncoderName::Zlib(ZlibKind::Zlib, level));
    let gnu = |level| Some(EncoderName::Zlib(ZlibKind::Gnu, level));
    // Those that write layers by default come first. Several may give the same for little content.
    let mut encoders = vec![
        go(6),
        Some(EncoderName::Pgzip(five, whole)),
        Some(EncoderName::Pgzip(five, short)),
        Some(EncoderName::Klauspost(six, whole)),
        Some(EncoderName::Klauspost(six, short)),
        go(1),
        go(9),
        zlib(6),
        zlib(9),
        gnu(6),
        gnu(9),
        Some(EncoderName::Klauspost(five, whole)),
    ];
    for level in [1, 2, 3, 4, 5, 7, 8, 6, 9] {
        encoders.extend([go(level), zlib(level), gnu(level)]);
    }
    for heads in [whole, short] {
        encoders.push(Some(EncoderName::Klauspost(five, heads)));
        encoders.push(Some(EncoderName::Pgzip(six, heads)));
    }
    let mut recipes: Vec<Recipe> = Vec::new();
    for encoder in encoders.into_iter().flatten() {
        let recipe = Recipe::new(encoder, &head[..len]);
        if !recipes.contains(&recipe) {
            recipes.push(recipe);
        }
    }
    let levels = Method::levels(Compression::Gzip).into_iter().flatten();
    let methods = levels.filter_map(|level| Method::new(Compression::Gzip, Some(level)).ok());
    let own = methods.filter(|&method| Encoders::gzip_header(method) == head[..len]);
    recipes.extend(own.map(|method| Recipe::new(EncoderName::Own(method), &[])));
    recipes
}

/// What may have made a zstd stream that begins with `head`.
fn zstd_recipes(head: &[u8], len: u64) -> Vec<Recipe> {
    /// Where the descriptor of a frame says that it has a checksum (RFC 8878, section 3.1.1.1.1).
    const CHECKSUM: u8 = 1 << 2;
    let size = zstd::zstd_safe::get_frame_content_size(head).ok().flatten();
    let has_checksum = head.get(4).is_some_and(|byte| byte & CHECKSUM != 0);
    let of = |encoder| Recipe::new(encoder, &[]);
    let methods =
        (1..=MOST_OWN_ZSTD).filter_map(|level| Method::new(Compression::Zstd, Some(level)).ok());
    // Its frames begin with their sizes.
    let own = methods.filter(|&method| size == Some(len.min(Encoders::chunk_size(method) as u64)));
    let own = own.map(|method| of(EncoderName::Own(method)));
    // A size that is not the content's is that of the first frame of several.
    let levels = [1, 3, 19]
        .into_iter()
        .filter(|_| size.is_none_or(|size| size == len));
    let plain = levels.map(|level| {
        of(EncoderName::Libzstd(ZstdSettings {
            level,
            has_checksum,
            size,
        }))
    });
    own.chain(plain).collect()
}
