//! Requests: bytes to be read once, from the first to the last.

use std::convert::Infallible;
use std::io;

use super::lanes::{self, Begun, Pass};
use super::proof::{Proof, Wanted};
use crate::base::digest::{Digest, Hasher};
use crate::base::jobs::{Cost, Jobs};
use crate::base::progress::{Progress, Stage};
use crate::layer::LayerError;
use crate::layer::decoded::{Decoded, Told};
use crate::source::{Compression, Slice, SourceError};

/// What else is done with the uncompressed bytes of a request while they are read for their digest.
pub(crate) trait Alongside: Sync {
    /// What it remembers from one piece to the next.
    type State;
    /// Its result.
    type Made: Send;
    /// Why it cannot be done, or why the bytes cannot be read.
    type Error: Send;

    /// What a request becomes whose bytes cannot be read.
    fn unread(&self, error: LayerError) -> Self::Error;

    /// The bytes are about to be read.
    fn begin(&self) -> Result<Self::State, Self::Error>;

    /// The next bytes.
    fn take(&self, state: &mut Self::State, bytes: &[u8]) -> Result<(), Self::Error>;

    /// There are no more.
    fn end(&self, state: Self::State, proof: &Proof) -> Result<Self::Made, Self::Error>;
}

/// Nothing else is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nothing;

impl Alongside for Nothing {
    type State = ();
    type Made = ();
    type Error = LayerError;

    fn unread(&self, error: LayerError) -> LayerError {
        error
    }

    fn begin(&self) -> Result<(), LayerError> {
        Ok(())
    }

    fn take(&self, (): &mut (), _bytes: &[u8]) -> Result<(), LayerError> {
        Ok(())
    }

    fn end(&self, (): (), _proof: &Proof) -> Result<(), LayerError> {
        Ok(())
    }
}

/// Bytes to be read once for their digests.
#[derive(Debug)]
pub(crate) struct Request<'r, A = Nothing> {
    /// The stored bytes.
    pub(crate) bytes: &'r Slice,
    /// How they are compressed.
    pub(crate) compression: Compression,
    /// Which digests to compute.
    pub(crate) wanted: Wanted,
    /// What progress calls it; none if it is not reported.
    pub(crate) task: Option<String>,
    /// What else is done with the uncompressed bytes.
    pub(crate) alongside: A,
}

impl<A: Alongside> Request<'_, A> {
    /// Answers it in this thread.
    pub(crate) fn answer(&self, progress: &dyn Progress) -> Answer<A> {
        let mut stream = Stream::new(self, progress)?;
        let mut hasher = self.wanted.tar_hasher();
        let mut buf = vec![0; lanes::BUFFER];
        loop {
            match stream.read(&mut buf)? {
                0 => return stream.finish(hasher.finish()),
                n => {
                    hasher.update(&buf[..n]);
                    stream.hashed(&buf[..n])?;
                }
            }
        }
    }
}

/// The answer to a request: a proof and what was made alongside.
pub(crate) type Answer<A> = Result<(Proof, <A as Alongside>::Made), <A as Alongside>::Error>;

/// Work for some threads: requests, and what else they have to do.
pub(crate) enum Work<'r, A, O> {
    /// Bytes to be read.
    Read(Request<'r, A>),
    /// Something else.
    Other(O),
}

/// The result of a piece of [`Work`].
pub(crate) enum Outcome<A: Alongside, D> {
    /// Bytes were read.
    Read(Answer<A>),
    /// Something else was done.
    Other(D),
}

/// Answers requests on several threads, the one with the most stored bytes first; the answers have the
/// requests' order.
pub(crate) fn prove<'r, A: Alongside + 'r>(
    jobs: Jobs,
    requests: impl IntoIterator<Item = Request<'r, A>>,
    progress: &dyn Progress,
) -> Vec<Answer<A>> {
    let work: Vec<Work<'r, A, Infallible>> = requests.into_iter().map(Work::Read).collect();
    let cost = |work: &Work<'r, A, Infallible>| match work {
        Work::Read(request) => request.bytes.len(),
        Work::Other(never) => match *never {},
    };
    let other = |never: &Infallible| -> Infallible { match *never {} };
    let answers = run(jobs, &work, cost, 1, &other, progress);
    let answers = answers.into_iter().map(|outcome| match outcome {
        Outcome::Read(answer) => answer,
        Outcome::Other(never) => match never {},
    });
    answers.collect()
}

/// Does `work` on several threads, the costliest first, and returns what came of each piece in their
/// order; `other` does what is not a request, and reading and hashing a byte costs `byte`.
pub(crate) fn run<'t, 'r: 't, A, O, D, C>(
    jobs: Jobs,
    work: &'t [Work<'r, A, O>],
    cost: impl Fn(&Work<'r, A, O>) -> C,
    byte: u64,
    other: &(dyn Fn(&'t O) -> D + Sync),
    progress: &dyn Progress,
) -> Vec<Outcome<A, D>>
where
    A: Alongside,
    O: Sync,
    D: Send,
    C: Into<Cost>,
{
    // Only what is reported is part of it.
    let read = work.iter().filter_map(|work| match work {
        Work::Read(request) => Some((request.task.as_deref()?, request.bytes.len())),
        Work::Other(_) => None,
    });
    let first = read.clone().next();
    let stage = first.map(|(what, _)| {
        progress.stage(Stage {
            what,
            unit: "layer",
            parts: read.clone().count(),
            total: read.fold(0, |total, (_, len)| total.saturating_add(len)),
        })
    });
    let queue = Queue {
        byte,
        other,
        progress: stage.as_deref().unwrap_or(progress),
    };
    lanes::map(jobs, work, cost, &queue)
}

/// How a queue of [`Work`] is processed.
struct Queue<'q, 't, O, D> {
    byte: u64,
    other: &'q (dyn Fn(&'t O) -> D + Sync),
    progress: &'q dyn Progress,
}

impl<'t, 'r: 't, A: Alongside + 't, O, D> lanes::LaneWork<'t, Work<'r, A, O>>
    for Queue<'_, 't, O, D>
{
    type Pass = Stream<'t, A>;
    type Done = Outcome<A, D>;

    fn is_pass(&self, work: &Work<'r, A, O>) -> bool {
        matches!(work, Work::Read(_))
    }

    fn cost(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(self.byte)
    }

    fn begin(&self, work: &'t Work<'r, A, O>) -> Begun<Stream<'t, A>, Outcome<A, D>> {
        match work {
            Work::Read(request) => match Stream::new(request, self.progress) {
                Ok(stream) => Begun::Pass(stream, request.wanted.tar_hasher()),
                Err(error) => Begun::Done(Outcome::Read(Err(error))),
            },
            Work::Other(other) => Begun::Done(Outcome::Other((self.other)(other))),
        }
    }

    fn end(&self, _: &'t Work<'r, A, O>, read: lanes::Read<Stream<'t, A>>) -> Self::Done {
        Outcome::Read(read.and_then(|(stream, tar)| stream.finish(tar)))
    }
}

/// The bytes of a request under way.
struct Stream<'r, A: Alongside> {
    from: Bytes<'r>,
    /// How many uncompressed bytes were read.
    size: u64,
    /// Digests bytes that are stored as they are once more, by another algorithm.
    second: Option<Hasher>,
    wanted: &'r Wanted,
    alongside: &'r A,
    state: A::State,
}

/// Where bytes come from.
enum Bytes<'r> {
    Plain(&'r Slice, Told<'static>),
    Compressed(Box<Decoded<'static>>),
}

impl<'r, A: Alongside> Stream<'r, A> {
    fn new(request: &'r Request<'_, A>, progress: &dyn Progress) -> Result<Self, A::Error> {
        let (bytes, wanted) = (request.bytes, &request.wanted);
        let told = match &request.task {
            Some(name) => Told::Own(progress.begin(name, Some(bytes.len()))),
            None => Told::Nobody,
        };
        let stored = wanted.stored_hasher();
        let (from, second) = if request.compression == Compression::None {
            // One digest serves for both if one algorithm is wanted.
            let is_other = wanted.stored.as_ref() != Some(&wanted.tar);
            (Bytes::Plain(bytes, told), stored.filter(|_| is_other))
        } else {
            let decoded = Decoded::new(bytes, request.compression, stored, told);
            let decoded = decoded.map_err(|error| request.alongside.unread(error))?;
            (Bytes::Compressed(Box::new(decoded)), None)
        };
        Ok(Self {
            from,
            size: 0,
            second,
            wanted,
            alongside: &request.alongside,
            state: request.alongside.begin()?,
        })
    }

    /// All was read, and this is the digest of the uncompressed bytes.
    fn finish(self, tar: Digest) -> Answer<A> {
        let stored = match self.from {
            Bytes::Plain(..) => match (self.second, &self.wanted.stored) {
                (Some(second), _) => Some(second.finish()),
                (None, Some(algorithm)) => {
                    Some(tar.clone()).filter(|tar| tar.algorithm() == algorithm)
                }
                (None, None) => None,
            },
            Bytes::Compressed(decoded) => {
                let rest = decoded.finish();
                rest.map_err(|error| self.alongside.unread(error))?.stored
            }
        };
        let proof = Proof::new(tar, stored, self.size);
        let made = self.alongside.end(self.state, &proof)?;
        Ok((proof, made))
    }
}

impl<A: Alongside> Pass for Stream<'_, A> {
    type Error = A::Error;

    /// What is left to be read; how much comes out of what is compressed is not known.
    fn left(&self) -> u64 {
        match &self.from {
            Bytes::Plain(bytes, _) => bytes.len() - self.size,
            Bytes::Compressed(decoded) => decoded.left(),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize, A::Error> {
        let read = match &mut self.from {
            Bytes::Plain(bytes, _) => bytes.read_at(buf, self.size).map_err(unreadable),
            Bytes::Compressed(decoded) => decoded.next(buf),
        };
        read.map_err(|error| self.alongside.unread(error))
    }

    fn is_alone(&self) -> bool {
        match &self.from {
            Bytes::Plain(..) => false,
            Bytes::Compressed(decoded) => decoded.is_alone(),
        }
    }

    fn hashed(&mut self, bytes: &[u8]) -> Result<(), A::Error> {
        if let Some(second) = &mut self.second {
            second.update(bytes);
        }
        self.alongside.take(&mut self.state, bytes)?;
        self.size += bytes.len() as u64;
        if let Bytes::Plain(_, told) = &self.from {
            told.advance(bytes.len() as u64);
        }
        Ok(())
    }
}

/// Bytes that are stored as they are cannot be read: the system failed.
pub(crate) fn unreadable(error: SourceError) -> LayerError {
    LayerError::Read(io::Error::other(error))
}
