//! Work that takes a while: done on a thread of its own without the interpreter's lock, while the calling thread
//! answers to signals and reports progress.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use imgtar::{Progress, Stopper, Task};
use pyo3::prelude::*;

use crate::errors::Failure;

/// How often signals are answered and progress is reported.
const TICK: Duration = Duration::from_millis(50);

/// What is under way, for a callback.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Step>);

/// All work that is called the same.
#[derive(Debug, Default)]
struct Step {
    what: String,
    done: Arc<AtomicU64>,
    /// None if that of one piece is not known.
    total: Option<u64>,
}

impl Meter {
    /// Calls `callback` with the name of the step, and how many bytes are done of how many.
    fn report(&self, py: Python<'_>, callback: &Py<PyAny>) -> PyResult<()> {
        let (what, done, total) = {
            let step = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let done = step.done.load(Ordering::Relaxed);
            (step.what.clone(), done, step.total)
        };
        if !what.is_empty() {
            callback.call1(py, (what, done, total))?;
        }
        Ok(())
    }
}

impl Progress for Meter {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task> {
        let mut step = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if step.what == what {
            step.total = step
                .total
                .zip(total)
                .map(|(all, more)| all.saturating_add(more));
        } else {
            *step = Step {
                what: what.to_owned(),
                done: Arc::default(),
                total,
            };
        }
        Box::new(Piece(Arc::clone(&step.done)))
    }
}

/// One piece of the work.
#[derive(Debug)]
struct Piece(Arc<AtomicU64>);

impl Task for Piece {
    fn advance(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Does `work`, which reads archives that `stoppers` stop. A signal whose handler raises, or a callback that raises,
/// ends it, and is what this returns.
#[expect(
    clippy::disallowed_methods,
    reason = "where no thread starts this one does the work, without answering to signals"
)]
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    stoppers: &[Stopper],
    callback: Option<&Py<PyAny>>,
    work: impl FnOnce(&Meter) -> Result<T, Failure> + Send,
) -> PyResult<T> {
    let meter = Meter::default();
    let answer = || {
        Python::attach(|py| {
            py.check_signals()?;
            callback.map_or(Ok(()), |callback| meter.report(py, callback))
        })
    };
    // A closure that was given to a thread that did not start would be lost.
    let work = Mutex::new(Some(work));
    let take = || {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        work.map(|work| work(&meter))
    };
    let (outcome, raised) = py.detach(|| {
        thread::scope(|scope| {
            let (ended, has_ended) = mpsc::channel::<()>();
            let worker = thread::Builder::new().spawn_scoped(scope, || {
                let outcome = take();
                drop(ended);
                outcome
            });
            let Ok(worker) = worker else {
                return (take(), None);
            };
            let mut raised = None;
            while has_ended.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                if raised.is_some() {
                    continue;
                }
                if let Err(error) = answer() {
                    raised = Some(error);
                    stoppers.iter().for_each(Stopper::ask);
                }
            }
            let outcome = worker.join();
            (
                outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                raised,
            )
        })
    });
    if let Some(raised) = raised {
        stoppers.iter().for_each(Stopper::withdraw);
        return Err(raised);
    }
    let value = outcome
        .unwrap_or_else(|| Err(Failure::usage("the work was not begun")))
        .map_err(|failure| failure.into_py(py))?;
    if let Some(callback) = callback {
        meter.report(py, callback)?;
    }
    // A signal that came at the very end counts too.
    py.check_signals()?;
    Ok(value)
}
