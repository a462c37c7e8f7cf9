//! Threads that last, for streams of work whose pieces come one after the other.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::Jobs;

/// Threads that do pieces of work for one [`Pipeline`] or for several.
///
/// With one job, and where the system starts no threads, whoever asks for a result does the work.
pub struct Pool<I, O> {
    shared: Arc<PoolState<I, O>>,
    threads: Mutex<Threads>,
    /// How many pieces were handed over and not taken back, by all pipelines.
    under_way: AtomicUsize,
}

/// The threads of a pool.
struct Threads {
    started: Vec<thread::JoinHandle<()>>,
    /// How many there may be; those that there are, once no more could be started.
    most: usize,
}

/// A stream of pieces of work: each is handed over as soon as it is known, is done by any thread of a pool, and
/// comes back in the order in which it was handed over.
pub struct Pipeline<I, O> {
    pool: Arc<Pool<I, O>>,
    /// Where the results will come from, the oldest first.
    pending: VecDeque<Receiver<O>>,
    /// What the calling thread does with pieces, if it had to.
    own: Option<Worker<I, O>>,
}

/// What a thread does with each piece; made once for each thread, because it may keep buffers.
pub type Worker<I, O> = Box<dyn FnMut(I) -> O + Send>;

struct PoolState<I, O> {
    worker: Box<dyn Fn() -> Worker<I, O> + Send + Sync>,
    waiting: Mutex<Pieces<I, O>>,
    more: Condvar,
}

struct Pieces<I, O> {
    pieces: VecDeque<(I, SyncSender<O>)>,
    is_closed: bool,
}

impl<I: Send + 'static, O: Send + 'static> Pool<I, O> {
    /// `worker` makes what each of the threads does with its pieces. None is started before there are any.
    pub fn new(jobs: Jobs, worker: impl Fn() -> Worker<I, O> + Send + Sync + 'static) -> Self {
        let waiting = Mutex::new(Pieces {
            pieces: VecDeque::new(),
            is_closed: false,
        });
        Self {
            shared: Arc::new(PoolState {
                worker: Box::new(worker),
                waiting,
                more: Condvar::new(),
            }),
            threads: Mutex::new(Threads {
                started: Vec::new(),
                // One thread has the caller at its side, who would wait for it.
                most: Some(jobs.count()).filter(|&jobs| jobs > 1).unwrap_or(0),
            }),
            under_way: AtomicUsize::new(0),
        }
    }

    /// Starts another thread, if there may be more: little work starts few.
    fn grow(&self) {
        let mut threads = self.threads();
        if threads.started.len() < threads.most {
            let shared = Arc::clone(&self.shared);
            match thread::Builder::new().spawn(move || shared.work()) {
                Ok(thread) => threads.started.push(thread),
                // There will be no more than there are.
                Err(_) => threads.most = threads.started.len(),
            }
        }
    }

    /// Passes on the panic of the thread that had a piece whose result will not come: that is a bug.
    fn pass_on_panic(&self) -> ! {
        self.close();
        let started = std::mem::take(&mut self.threads().started);
        for thread in started {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        panic!("a thread that works for several streams panicked, and another stream has told why");
    }
}

impl<I, O> Pool<I, O> {
    fn threads(&self) -> std::sync::MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is begun any more.
    fn close(&self) {
        let mut waiting = self.shared.lock();
        waiting.is_closed = true;
        waiting.pieces.clear();
        drop(waiting);
        self.shared.more.notify_all();
    }
}

impl<I, O> Drop for Pool<I, O> {
    /// Waits for what the threads are doing; nothing else is begun.
    fn drop(&mut self) {
        self.close();
        let started = std::mem::take(&mut self.threads().started);
        for thread in started {
            drop(thread.join());
        }
    }
}

impl<I, O> fmt::Debug for Pool<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} threads at most)", self.threads().most)
    }
}

impl<I: Send + 'static, O: Send + 'static> Pipeline<I, O> {
    /// A stream whose pieces the threads of `pool` do, in turn with those of other streams.
    pub fn new(pool: Arc<Pool<I, O>>) -> Self {
        Self {
            pool,
            pending: VecDeque::new(),
            own: None,
        }
    }

    /// How many of its pieces were handed over and not taken back.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The same of all pipelines that share its pool.
    pub fn pending_in_pool(&self) -> usize {
        self.pool.under_way.load(Ordering::Relaxed)
    }

    /// Hands over a piece.
    pub fn put(&mut self, piece: I) {
        // There is room for the result, so no thread waits for it to be taken.
        let (sender, receiver) = mpsc::sync_channel(1);
        self.pending.push_back(receiver);
        self.pool.under_way.fetch_add(1, Ordering::Relaxed);
        let shared = &self.pool.shared;
        shared.lock().pieces.push_back((piece, sender));
        shared.more.notify_one();
        self.pool.grow();
    }

    /// The result of the oldest piece, once it is there; `None` if none was handed over.
    pub fn take(&mut self) -> Option<O> {
        let receiver = self.pending.pop_front()?;
        self.pool.under_way.fetch_sub(1, Ordering::Relaxed);
        // Without threads it is among the pieces that wait, unless another stream's caller has it.
        while self.pool.threads().started.is_empty() {
            if let Ok(result) = receiver.try_recv() {
                return Some(result);
            }
            let Some((piece, sender)) = self.pool.shared.lock().pieces.pop_front() else {
                break;
            };
            let own = self.own.get_or_insert_with(&self.pool.shared.worker);
            // An error means that nobody wants the result any more.
            drop(sender.send(own(piece)));
        }
        match receiver.recv() {
            Ok(result) => Some(result),
            Err(_) => self.pool.pass_on_panic(),
        }
    }

    /// The result of the oldest piece if it is there already.
    pub fn take_done(&mut self) -> Option<O> {
        // An error is told by the next `take`.
        let result = self.pending.front()?.try_recv().ok()?;
        self.pending.pop_front();
        self.pool.under_way.fetch_sub(1, Ordering::Relaxed);
        Some(result)
    }
}

impl<I, O> PoolState<I, O> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Pieces<I, O>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut worker = (self.worker)();
        loop {
            let mut waiting = self.lock();
            let (piece, sender) = loop {
                if let Some(next) = waiting.pieces.pop_front() {
                    break next;
                }
                if waiting.is_closed {
                    return;
                }
                let woken = self.more.wait(waiting);
                waiting = woken.unwrap_or_else(PoisonError::into_inner);
            };
            drop(waiting);
            // An error means that nobody wants the result any more.
            drop(sender.send(worker(piece)));
        }
    }
}

impl<I, O> Drop for Pipeline<I, O> {
    /// Its results are not wanted any more; they are not waited for.
    fn drop(&mut self) {
        let left = self.pending.len();
        self.pool.under_way.fetch_sub(left, Ordering::Relaxed);
    }
}

impl<I, O> fmt::Debug for Pipeline<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.pending.len();
        write!(f, "Pipeline({:?}, {pending} pending)", self.pool)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn squaring(jobs: Jobs) -> Pipeline<u64, u64> {
        Pipeline::new(Arc::new(Pool::new(jobs, || Box::new(|i| i * i))))
    }

    #[test]
    fn streams_that_share_threads_get_their_own_results() {
        for threads in [1, 2, 5] {
            let jobs = Jobs::new(NonZeroUsize::new(threads).expect("not zero"));
            let first = squaring(jobs);
            let pool = Arc::clone(&first.pool);
            let streams = [0, 1000, 2000];
            thread::scope(|scope| {
                for base in streams {
                    let pool = Arc::clone(&pool);
                    scope.spawn(move || {
                        let mut pipeline = Pipeline::new(pool);
                        let mut squares = Vec::new();
                        for i in base..base + 100 {
                            pipeline.put(i);
                            squares.extend(pipeline.take_done());
                            if pipeline.pending() > 3 {
                                squares.extend(pipeline.take());
                            }
                        }
                        squares.extend(std::iter::from_fn(|| pipeline.take()));
                        let wanted = (base..base + 100).map(|i| i * i);
                        assert_eq!(squares, wanted.collect::<Vec<_>>());
                    });
                }
            });
            assert_eq!(first.pending_in_pool(), 0);
        }
    }

    #[test]
    fn a_pipeline_gives_results_in_the_order_of_its_pieces() {
        for threads in [1, 2, 7] {
            let jobs = Jobs::new(NonZeroUsize::new(threads).expect("not zero"));
            let mut pipeline = squaring(jobs);
            let mut squares = Vec::new();
            for i in 0..100 {
                if pipeline.pending() == threads + 1 {
                    squares.extend(pipeline.take());
                }
                pipeline.put(i);
            }
            squares.extend(std::iter::from_fn(|| pipeline.take()));
            assert_eq!(squares, (0..100).map(|i| i * i).collect::<Vec<_>>());
            // What is left is not waited for.
            pipeline.put(3);
        }
    }

    #[test]
    fn a_panic_in_a_pipeline_is_passed_on() {
        let jobs = Jobs::new(NonZeroUsize::new(2).expect("not zero"));
        let pool: Pool<u8, u8> = Pool::new(jobs, || {
            Box::new(|i| {
                assert!(i < 3, "a bug");
                i
            })
        });
        let mut pipeline = Pipeline::new(Arc::new(pool));
        (0..5).for_each(|i| pipeline.put(i));
        let taken = std::panic::AssertUnwindSafe(|| while pipeline.take().is_some() {});
        assert!(std::panic::catch_unwind(taken).is_err());
    }
}
