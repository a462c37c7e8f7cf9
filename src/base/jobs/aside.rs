//! Work on bytes in their order, on a thread beside the one that makes them.

use std::mem;
use std::panic;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use super::Jobs;

/// How many pieces are in use at most: one is filled, one is worked on, and two wait.
const PIECES: usize = 4;

/// Does something with pieces of bytes, one after the other: hashes them, for example, while the next ones are made.
///
/// That is done on a thread of its own if more than one may be used and the system starts it, and at once otherwise.
#[derive(Debug)]
pub struct Aside<S> {
    work: fn(&mut S, &[u8]),
    place: Place<S>,
}

#[derive(Debug)]
enum Place<S> {
    Here(S),
    Thread {
        full: SyncSender<Vec<u8>>,
        /// Those that are done, to be filled again.
        empty: Receiver<Vec<u8>>,
        thread: JoinHandle<S>,
    },
}

impl<S: Send + Clone + 'static> Aside<S> {
    /// Gets ready to do `work` with each piece, which changes `state`.
    pub fn new(jobs: Jobs, state: S, work: fn(&mut S, &[u8])) -> Self {
        let place = match jobs.count() {
            1 => Place::Here(state),
            _ => Place::thread(state, work),
        };
        Self { work, place }
    }

    /// Takes the bytes of a piece, and leaves an empty one with room to be filled again. It waits if the thread is
    /// some pieces behind.
    pub fn put(&mut self, piece: &mut Vec<u8>) {
        match &mut self.place {
            Place::Here(state) => {
                (self.work)(state, piece);
                piece.clear();
            }
            Place::Thread { full, empty, .. } => {
                // Without an answer the thread has panicked, which `finish` passes on.
                let next = empty.recv().unwrap_or_default();
                drop(full.send(mem::replace(piece, next)));
            }
        }
    }

    /// Waits until all pieces are done and returns what was made of them. A panic of the thread is a bug and passed on.
    pub fn finish(self) -> S {
        match self.place {
            Place::Here(state) => state,
            Place::Thread { full, thread, .. } => {
                drop(full);
                let state = thread.join();
                state.unwrap_or_else(|panicked| panic::resume_unwind(panicked))
            }
        }
    }
}

impl<S: Send + Clone + 'static> Place<S> {
    fn thread(state: S, work: fn(&mut S, &[u8])) -> Self {
        let (full, pieces) = mpsc::sync_channel::<Vec<u8>>(PIECES);
        let (done, empty) = mpsc::sync_channel(PIECES);
        // One is with whoever fills it.
        for _ in 1..PIECES {
            drop(done.send(Vec::new()));
        }
        let mut its = state.clone();
        let started = thread::Builder::new().spawn(move || {
            for mut piece in pieces {
                work(&mut its, &piece);
                piece.clear();
                // An error means that no more pieces will come.
                drop(done.send(piece));
            }
            its
        });
        match started {
            Ok(thread) => Self::Thread {
                full,
                empty,
                thread,
            },
            Err(_) => Self::Here(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    /// The order is kept, whatever the number of threads.
    #[test]
    fn pieces_are_done_in_their_order() {
        for jobs in 1..4 {
            let jobs = Jobs::new(NonZeroUsize::new(jobs).expect("not 0"));
            let mut aside = Aside::new(jobs, Vec::new(), Vec::extend_from_slice);
            let mut piece = Vec::new();
            let mut all = Vec::new();
            for number in 0..100_u8 {
                piece.extend(vec![number; usize::from(number)]);
                all.extend_from_slice(&piece);
                aside.put(&mut piece);
                assert!(piece.is_empty());
            }
            assert_eq!(aside.finish(), all);
        }
    }

    #[test]
    fn a_panic_is_passed_on() {
        let two = Jobs::new(NonZeroUsize::new(2).expect("not 0"));
        let mut aside = Aside::new(two, (), |(), _| panic!("on purpose"));
        for _ in 0..20 {
            aside.put(&mut vec![1]);
        }
        let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| aside.finish()));
        assert!(outcome.is_err());
    }
}
