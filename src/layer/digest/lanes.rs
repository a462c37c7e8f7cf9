//! Bytes that are digested while they are read, two streams at a time on each core.

pub(super) use crate::base::constants::BUFFER;
use crate::base::digest::{Digest, Hasher};
use crate::base::jobs::{self, Cost, Jobs, Queue};

/// One stream, from its first byte to its last.
pub(super) trait Pass {
    /// Why it cannot be read, or what was read cannot be used.
    type Error;

    /// How many bytes are to come.
    fn left(&self) -> u64;

    /// Reads the next bytes; returns 0 only at the end.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error>;

    /// Whether it takes so much memory by now that no other stream may run beside it in this thread
    /// until it has ended.
    fn is_alone(&self) -> bool {
        false
    }

    /// Is shown what was read, which is in the digest by now.
    fn hashed(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// How work on an item begins.
pub(super) enum Begun<P, R> {
    /// It is a stream to be digested.
    Pass(P, Hasher),
    /// It was something else, and is done.
    Done(R),
}

/// A stream that came to its end, and its digest; or why it did not.
pub(super) type Read<P> = Result<(P, Digest), <P as Pass>::Error>;

/// What is done with the items of a queue.
pub(super) trait LaneWork<'t, T> {
    /// What is made of an item that is a stream.
    type Pass: Pass;
    /// What comes of an item.
    type Done;

    /// Whether an item is a stream to be digested.
    fn is_pass(&self, item: &T) -> bool;

    /// What reading and hashing so many bytes costs, in the unit of the queue.
    fn cost(&self, bytes: u64) -> u64;

    /// Begins an item, or does it if it is not a stream.
    fn begin(&self, item: &'t T) -> Begun<Self::Pass, Self::Done>;

    /// Ends a stream.
    fn end(&self, item: &'t T, read: Read<Self::Pass>) -> Self::Done;
}

/// A stream under way.
struct Lane<'t, T, P> {
    number: usize,
    item: &'t T,
    pass: P,
    hasher: Hasher,
}

impl<'t, T, P: Pass> Lane<'t, T, P> {
    /// Ends it, at its end or because of an error.
    fn end<W: LaneWork<'t, T, Pass = P>>(self, work: &W, error: Option<P::Error>) -> W::Done {
        let read = match error {
            None => Ok((self.pass, self.hasher.finish())),
            Some(error) => Err(error),
        };
        work.end(self.item, read)
    }
}

/// Does `work` with every item on some threads and returns the results in the items' order. Items with
/// the greatest `cost` are begun first.
///
/// A thread works on two streams at a time, whose bytes are hashed together, which is faster than one
/// after the other.
pub(super) fn map<'t, T: Sync, W, C: Into<Cost>>(
    jobs: Jobs,
    items: &'t [T],
    cost: impl Fn(&T) -> C,
    work: &W,
) -> Vec<W::Done>
where
    W: LaneWork<'t, T> + Sync,
    W::Done: Send,
{
    jobs::share(jobs, items, cost, |queue| run(queue, work))
}

/// Works until nothing is left, as one of the threads.
fn run<'t, T, W: LaneWork<'t, T>>(queue: &Queue<'t, T>, work: &W) -> Vec<(usize, W::Done)> {
    let mut done = Vec::new();
    let mut buffers = [vec![0; BUFFER], vec![0; BUFFER]];
    let mut lanes: Vec<Lane<'t, T, W::Pass>> = Vec::with_capacity(2);
    loop {
        while lanes.len() < 2 {
            let next = match lanes.first() {
                None => queue.take(),
                Some(lane) if lane.pass.is_alone() => None,
                Some(lane) => {
                    let mine = work.cost(lane.pass.left());
                    queue.take_if(|item, waiting| {
                        work.is_pass(item) && leaves_time(mine, waiting, queue.threads())
                    })
                }
            };
            let Some((number, item)) = next else { break };
            match work.begin(item) {
                Begun::Done(result) => done.push((number, result)),
                Begun::Pass(pass, hasher) => lanes.push(Lane {
                    number,
                    item,
                    pass,
                    hasher,
                }),
            }
        }
        if lanes.is_empty() {
            return done;
        }
        step(&mut lanes, &mut buffers, work, &mut done);
    }
}

/// Reads, hashes and uses the next bytes of one stream or of two.
fn step<'t, T, W: LaneWork<'t, T>>(
    lanes: &mut Vec<Lane<'t, T, W::Pass>>,
    buffers: &mut [Vec<u8>; 2],
    work: &W,
    done: &mut Vec<(usize, W::Done)>,
) {
    let mut filled = [0; 2];
    let mut alone = lanes.iter().position(|lane| lane.pass.is_alone());
    let mut i = 0;
    while let Some(lane) = lanes.get_mut(i) {
        if alone.is_some_and(|alone| alone != i) {
            i += 1;
            continue;
        }
        let (lane, error) = match lane.pass.read(&mut buffers[i]) {
            Ok(0) => (lanes.remove(i), None),
            Ok(n) => {
                if lane.pass.is_alone() {
                    alone = Some(i);
                }
                filled[i] = n;
                i += 1;
                continue;
            }
            Err(error) => (lanes.remove(i), Some(error)),
        };
        alone = None;
        done.push((lane.number, lane.end(work, error)));
    }
    let [left, right] = [0, 1].map(|i| &buffers[i][..filled[i]]);
    match lanes.as_mut_slice() {
        [one, other] => {
            Hasher::update_both(&mut one.hasher, left, &mut other.hasher, right);
        }
        [one] => one.hasher.update(left),
        _ => {}
    }
    for (i, bytes) in [left, right].into_iter().enumerate().rev() {
        let Some(lane) = lanes.get_mut(i).filter(|_| !bytes.is_empty()) else {
            continue;
        };
        if let Err(error) = lane.pass.hashed(bytes) {
            let lane = lanes.remove(i);
            done.push((lane.number, lane.end(work, Some(error))));
        }
    }
}

/// Whether a stream that costs `mine` on its own can be slowed down by a second one: it is done first
/// and alone if it takes one thread as long as everything that waits takes the others.
fn leaves_time(mine: u64, waiting: u64, threads: usize) -> bool {
    let others = threads.saturating_sub(1) as u64;
    // Hashed in pairs, what waits takes about two thirds of what it costs.
    others == 0 || u128::from(mine) * u128::from(others) * 3 < u128::from(waiting) * 2
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    /// Bytes, how many of them a read gives, and after how many of them reading or using fails.
    struct Stream {
        bytes: Vec<u8>,
        step: usize,
        read_fails: usize,
        use_fails: usize,
        /// After how many bytes no other stream may run beside it.
        alone_from: usize,
    }

    impl Stream {
        fn new(len: usize, step: usize) -> Self {
            let salt = u8::try_from(step % 251).expect("small");
            let bytes = (0..len).map(|i| (i % 253).to_le_bytes()[0] ^ salt);
            Self {
                bytes: bytes.collect(),
                step,
                read_fails: usize::MAX,
                use_fails: usize::MAX,
                alone_from: usize::MAX,
            }
        }
    }

    thread_local! {
        /// The stream that is alone in this thread.
        static ALONE: std::cell::Cell<Option<*const Stream>> = const { std::cell::Cell::new(None) };
    }

    struct Reader<'t> {
        from: &'t Stream,
        offset: usize,
    }

    impl Pass for Reader<'_> {
        type Error = &'static str;

        fn left(&self) -> u64 {
            (self.from.bytes.len() - self.offset) as u64
        }

        fn read(&mut self, buf: &mut [u8]) -> Result<usize, Self::Error> {
            if self.offset >= self.from.read_fails {
                return Err("read");
            }
            // Only this one goes on, if it has to be alone.
            let now = ALONE.get();
            assert!(now.is_none_or(|from| std::ptr::eq(from, self.from)));
            if self.is_alone() {
                ALONE.set(Some(self.from));
            }
            if self.offset == self.from.bytes.len() {
                ALONE.set(None);
            }
            let left = &self.from.bytes[self.offset..];
            let n = left.len().min(self.from.step).min(buf.len());
            buf[..n].copy_from_slice(&left[..n]);
            Ok(n)
        }

        fn is_alone(&self) -> bool {
            self.offset >= self.from.alone_from
        }

        fn hashed(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            assert_eq!(bytes, &self.from.bytes[self.offset..][..bytes.len()]);
            self.offset += bytes.len();
            if self.offset >= self.from.use_fails {
                return Err("use");
            }
            Ok(())
        }
    }

    struct Hashing;

    impl<'t> LaneWork<'t, Stream> for Hashing {
        type Pass = Reader<'t>;
        type Done = Result<Digest, &'static str>;

        fn is_pass(&self, item: &Stream) -> bool {
            item.step != 1
        }

        fn cost(&self, bytes: u64) -> u64 {
            bytes
        }

        fn begin(&self, item: &'t Stream) -> Begun<Reader<'t>, Self::Done> {
            if item.step == 1 {
                return Begun::Done(Err("no stream"));
            }
            let reader = Reader {
                from: item,
                offset: 0,
            };
            Begun::Pass(reader, Hasher::sha256())
        }

        fn end(&self, item: &'t Stream, read: Read<Reader<'t>>) -> Self::Done {
            let (reader, digest) = read?;
            assert_eq!(reader.offset, item.bytes.len());
            Ok(digest)
        }
    }

    #[test]
    fn every_stream_has_its_own_digest_and_its_own_error() {
        let mut items: Vec<Stream> = (0..23)
            .map(|i| Stream::new(i * 4_999, 2 + i * 997))
            .collect();
        items.push(Stream::new(1_000_003, usize::MAX));
        items.push(Stream::new(50_000, 1));
        items[20].read_fails = 30_000;
        items[21].use_fails = 30_000;
        items[22].read_fails = 0;
        for (i, item) in items.iter_mut().take(20).enumerate() {
            item.alone_from = if i % 3 == 0 { i * 2_000 } else { usize::MAX };
        }
        for threads in [1, 2, 3, 40] {
            let jobs = Jobs::new(NonZeroUsize::new(threads).expect("not zero"));
            let cost = |item: &Stream| item.bytes.len() as u64;
            let digests = map(jobs, &items, cost, &Hashing);
            assert_eq!(digests.len(), items.len());
            for (i, (digest, item)) in digests.iter().zip(&items).enumerate() {
                let expected = match i {
                    20 | 22 => Err("read"),
                    21 => Err("use"),
                    24 => Err("no stream"),
                    _ => Ok(Digest::sha256_of(&item.bytes)),
                };
                assert_eq!(*digest, expected, "{i}");
            }
        }
    }

    #[test]
    fn nothing_to_do_is_done_at_once() {
        let jobs = Jobs::new(NonZeroUsize::new(2).expect("not zero"));
        assert!(map(jobs, &[], |_| 0_u64, &Hashing).is_empty());
    }

    #[test]
    fn one_thread_always_takes_two_streams_and_several_leave_the_longest_alone() {
        assert!(leaves_time(100, 0, 1));
        assert!(leaves_time(100, 151, 2));
        assert!(!leaves_time(100, 150, 2));
        assert!(!leaves_time(100, 300, 3));
        assert!(!leaves_time(u64::MAX, u64::MAX, 2));
    }
}
