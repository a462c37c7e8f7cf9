//! Taking turns at work that must not be done by many threads at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

/// A turn that one thread has at a time. The thread that has it may take it again, so it never waits for
/// itself.
#[derive(Debug, Default)]
pub(super) struct Turns {
    holder: Mutex<Option<(ThreadId, usize)>>,
    free: Condvar,
}

impl Turns {
    /// Waits until no other thread has the turn, and takes it.
    pub(super) fn take(turns: &Arc<Self>) -> Turn {
        let me = thread::current().id();
        let mut holder = turns.holder.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &mut *holder {
                None => *holder = Some((me, 1)),
                Some((thread, count)) if *thread == me => *count += 1,
                Some(_) => {
                    let waited = turns.free.wait(holder);
                    holder = waited.unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
            }
            return Turn(Arc::clone(turns));
        }
    }
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        let holder = self.0.holder.lock();
        let mut holder = holder.unwrap_or_else(PoisonError::into_inner);
        *holder = match *holder {
            Some((thread, count)) if count > 1 => Some((thread, count - 1)),
            _ => None,
        };
        if holder.is_none() {
            self.0.free.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::base::jobs::{Jobs, map};

    #[test]
    fn one_thread_at_a_time_has_the_turn() {
        let turns = Arc::new(Turns::default());
        let inside = AtomicUsize::new(0);
        let jobs = Jobs::new(NonZeroUsize::new(4).expect("not zero"));
        let work = |_: &usize| {
            for _ in 0..100 {
                let turn = Turns::take(&turns);
                let again = Turns::take(&turns);
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                drop(turn);
                thread::yield_now();
                assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                drop(again);
            }
        };
        map(jobs, &[0, 1, 2, 3], |_| 1, work);
    }
}
