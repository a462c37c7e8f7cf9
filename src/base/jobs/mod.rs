//! Independent pieces of work on a few threads.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where threads are started"
)]

mod aside;
mod pool;

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub use aside::Aside;
pub use pool::{Pipeline, Pool, Worker};

/// How many threads work at once where more are asked for: each has buffers and perhaps a decoder of
/// its own, and what is done here is bound by cores and disks. A machine with more cores than this may
/// use one thread for each.
const MOST: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not zero");

/// How many threads work at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jobs(NonZeroUsize);

impl Jobs {
    /// As many as are asked for, but not more than are useful: 64, or one for each core where there are
    /// more cores. What a thread does never depends on their number.
    pub fn new(count: NonZeroUsize) -> Self {
        Self(count.min(MOST.max(Self::all_cores().0)))
    }

    /// The number.
    pub fn count(self) -> usize {
        self.0.get()
    }

    /// One for each core that this process may use.
    pub fn all_cores() -> Self {
        Self(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }
}

/// Applies `work` to every item and returns the results in the items' order, whatever the number
/// of threads.
///
/// Items with the greatest `cost` are begun first, so that one big item does not start last and
/// keep all other threads waiting; a single thread takes them in their own order.
pub fn map<T: Sync, R: Send>(
    jobs: Jobs,
    items: &[T],
    cost: impl Fn(&T) -> u64,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    share(jobs, items, cost, |queue| {
        let each = std::iter::from_fn(|| queue.take());
        each.map(|(i, item)| (i, work(item))).collect()
    })
}

/// As [`map`], but each thread takes items from the queue by itself, and may work at several
/// at once: `work` is called once by each thread, goes on until the queue is empty, and
/// returns each result with the number that the queue gave its item.
///
/// The calling thread is one of them. Where the system starts no more threads, the existing ones do
/// all the work.
pub fn share<'t, T: Sync, R: Send, C: Into<Cost>>(
    jobs: Jobs,
    items: &'t [T],
    cost: impl Fn(&T) -> C,
    work: impl Fn(&Queue<'t, T>) -> Vec<(usize, R)> + Sync,
) -> Vec<R> {
    let threads = jobs.0.get().min(items.len());
    let queue = Queue::new(items, |item| cost(item).into(), threads);
    let mut done = Vec::with_capacity(items.len());
    if threads <= 1 {
        done = work(&queue);
    } else {
        thread::scope(|scope| {
            let mut others = Vec::with_capacity(threads - 1);
            for started in 1..threads {
                let Ok(other) = thread::Builder::new().spawn_scoped(scope, || work(&queue)) else {
                    queue.threads.store(started, Ordering::Relaxed);
                    break;
                };
                others.push(other);
            }
            done.extend(work(&queue));
            for other in others {
                done.extend(joined(other));
            }
        });
    }
    done.sort_unstable_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Does `aside` on a thread of its own while this one does `here`. Where the system starts no more
/// threads, this one does both, `aside` first.
pub fn both<A: Send, B>(aside: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    // A closure that was given to a thread that did not start would be lost.
    let aside = Mutex::new(Some(aside));
    let take = || {
        let aside = aside.lock().ok().and_then(|mut aside| aside.take());
        aside.map(|aside| aside())
    };
    thread::scope(|scope| {
        let other = thread::Builder::new().spawn_scoped(scope, take);
        let first = if other.is_err() { take() } else { None };
        let here = here();
        let aside = match other {
            Ok(other) => joined(other),
            Err(_) => first,
        };
        (aside.expect("it is taken once, by one of the two"), here)
    })
}

/// What a thread returns. A panic there is a bug and passed on.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    let result = thread.join();
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What an item costs, in a unit of the caller's, and how early it is begun: the greatest rank first.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Its rank.
    pub rank: u64,
    /// Its cost.
    pub cost: u64,
}

impl From<u64> for Cost {
    /// The costliest first.
    fn from(cost: u64) -> Self {
        Self { rank: cost, cost }
    }
}

/// Items that wait for a thread, by rank; for a single thread in their own order.
#[derive(Debug)]
pub struct Queue<'t, T> {
    items: &'t [T],
    /// Fewer than were wanted, if the system does not start as many.
    threads: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Numbers and costs of the items, the next one last.
    items: Vec<(usize, u64)>,
    /// What all of them cost together.
    cost: u64,
}

impl<'t, T> Queue<'t, T> {
    fn new(items: &'t [T], cost: impl Fn(&T) -> Cost, threads: usize) -> Self {
        let mut order: Vec<(usize, Cost)> = items.iter().map(cost).enumerate().collect();
        // Of equal ones the first comes first.
        if threads > 1 {
            order.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.rank));
        }
        let order = order.into_iter().rev();
        let order: Vec<(usize, u64)> = order.map(|(i, cost)| (i, cost.cost)).collect();
        let cost = order
            .iter()
            .fold(0_u64, |all, (_, cost)| all.saturating_add(*cost));
        Self {
            items,
            threads: AtomicUsize::new(threads),
            waiting: Mutex::new(Waiting { items: order, cost }),
        }
    }

    /// How many threads take from it.
    pub fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }

    /// The next item, with its number.
    pub fn take(&self) -> Option<(usize, &'t T)> {
        self.take_if(|_, _| true)
    }

    /// The next item if it is `wanted`, which is asked with the item and the cost of all that wait.
    pub fn take_if(&self, wanted: impl FnOnce(&T, u64) -> bool) -> Option<(usize, &'t T)> {
        // A poisoned lock means that another thread panicked, which is passed on by `share`.
        let mut waiting = self.waiting.lock().ok()?;
        let (i, cost) = *waiting.items.last()?;
        let item = &self.items[i];
        if !wanted(item, waiting.cost) {
            return None;
        }
        waiting.items.pop();
        waiting.cost = waiting.cost.saturating_sub(cost);
        Some((i, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u64> = (0..100).collect();
        for threads in [1, 2, 7, 200] {
            let jobs = Jobs::new(NonZeroUsize::new(threads).expect("not zero"));
            let squares = map(jobs, &items, |i| i % 13, |i| i * i);
            assert_eq!(squares, items.iter().map(|i| i * i).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_more_threads_than_are_of_use() {
        let many = Jobs::new(NonZeroUsize::MAX);
        assert_eq!(many.count(), Jobs::all_cores().count().max(64));
        assert_eq!(Jobs::new(NonZeroUsize::MIN).count(), 1);
    }

    #[test]
    fn both_are_done() {
        let (aside, here) = both(|| thread::current().id(), || thread::current().id());
        assert_eq!(here, thread::current().id());
        assert_ne!(aside, here);
    }

    #[test]
    fn the_costliest_item_comes_first_and_is_left_if_it_is_not_wanted() {
        let items = [3_u64, 9, 9, 1];
        let queue = Queue::new(&items, |i| Cost::from(*i), 2);
        assert_eq!(queue.take(), Some((1, &9)));
        assert_eq!(queue.take_if(|item, left| *item == 9 && left < 13), None);
        assert_eq!(
            queue.take_if(|item, left| *item == 9 && left == 13),
            Some((2, &9))
        );
        assert_eq!(queue.take(), Some((0, &3)));
        assert_eq!(queue.take(), Some((3, &1)));
        assert_eq!(queue.take(), None);
    }
}
