//! Progress on standard error: one line for the current step, with a bar for all work of that step.
//!
//! Work that is done at the same time or in pieces (layers, files) is one step, and its bytes are added up in one
//! bar. Workers only add to a number; one thread draws, and nothing is drawn for a step that ends at once.

mod step;
mod terminal;

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use imgtar::base::progress::{Progress, Silent, Stage, Task};
use indicatif::ProgressBar;

use step::{ShownStep, Steps};

/// How long a step takes before a bar is worth it.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often the bar is drawn.
const FRAME: Duration = Duration::from_millis(80);

/// The bar that is on the terminal, so that whoever else writes there can take it away. Nothing is drawn without
/// the lock.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);
/// Whether the process ends, and nothing is drawn any more.
static ENDS: AtomicBool = AtomicBool::new(false);

/// Writes to standard error without a bar in between.
pub(crate) fn without_bar<T>(write: impl FnOnce() -> T) -> T {
    match &*locked(&SHOWN) {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Takes the bar away for good: the process ends. Who draws is waited for, but not for long: a terminal may have
/// been stopped.
pub(crate) fn clear() {
    ENDS.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        if let Ok(shown) = SHOWN.try_lock() {
            if let Some(bar) = &*shown {
                bar.finish_and_clear();
            }
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Progress on a terminal, or nowhere.
#[derive(Debug)]
pub(crate) struct Bars(Option<Arc<Line>>);

impl Bars {
    /// A bar, if standard error is a terminal and it is not turned off.
    pub(crate) fn new(wanted: bool) -> Self {
        let shown = wanted && stderr().is_terminal();
        Self(shown.then(Arc::default))
    }

    /// Says which steps are to come, by the names of [`imgtar::base::progress::steps`]. Those that do not come
    /// after all are passed over, so it does no harm to name one that may be needless.
    pub(crate) fn plan(&self, steps: &[&'static str]) {
        if let Some(line) = &self.0 {
            locked(&line.state).steps.planned = steps.to_vec();
        }
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task> {
        let Some(line) = &self.0 else {
            return Box::new(Silent);
        };
        line.draw_from_now_on();
        line.open(what, total, None);
        Box::new(Open::new(line))
    }

    fn stage(&self, stage: Stage<'_>) -> Box<dyn Progress + '_> {
        let Some(line) = &self.0 else {
            return Box::new(Silent);
        };
        line.draw_from_now_on();
        let parts = (stage.unit, stage.parts);
        line.open(stage.what, Some(stage.total), Some(parts));
        Box::new(Parts(Open::new(line)))
    }
}

/// The one line.
#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
    /// How many bytes the step under way has done. Kept apart: whoever works waits for nobody.
    done: AtomicU64,
    drawing: OnceLock<()>,
}

#[derive(Debug, Default)]
struct State {
    steps: Steps,
    step: Option<ShownStep>,
    /// The step before, and when it ended.
    before: Option<(ShownStep, Instant)>,
}

impl Line {
    /// Begins to draw what is under way. Without a thread nothing is drawn.
    fn draw_from_now_on(self: &Arc<Self>) {
        self.drawing.get_or_init(|| {
            let line = Arc::downgrade(self);
            let draw = move || {
                while let Some(line) = line.upgrade() {
                    line.draw();
                    drop(line);
                    thread::sleep(FRAME);
                }
            };
            let drawing = thread::Builder::new().name("progress".to_owned());
            drop(drawing.spawn(draw));
        });
    }

    fn draw(&self) {
        let mut state = locked(&self.state);
        let State { steps, step, .. } = &mut *state;
        if let Some(step) = step {
            let place = steps.place(&step.what);
            step.draw(self.done.load(Ordering::Relaxed), place);
        }
    }

    /// Work begins that passes `total` bytes: a task, or a stage of so many parts.
    fn open(&self, what: &str, total: Option<u64>, parts: Option<(&str, usize)>) {
        let mut state = locked(&self.state);
        let State {
            steps,
            step,
            before,
        } = &mut *state;
        if step.is_none() {
            // Pieces that follow each other without a stage are one step all the same.
            match before.take() {
                Some((last, ended)) if last.what == what && ended.elapsed() < PATIENCE => {
                    *step = Some(last);
                }
                last => {
                    if let Some((last, _)) = last {
                        steps.end(&last.what, last.was_shown);
                    }
                    self.done.store(0, Ordering::Relaxed);
                }
            }
        }
        let step = step.get_or_insert_with(|| ShownStep::new(what, parts.is_some()));
        if step.is_stage && parts.is_none() {
            what.clone_into(&mut step.what);
            step.is_stage = false;
        }
        step.open += 1;
        step.is_known &= total.is_some();
        step.total = step.total.saturating_add(total.unwrap_or(0));
        if let Some((unit, parts)) = parts {
            unit.clone_into(&mut step.unit);
            step.parts += parts;
        }
    }

    fn close(&self) {
        let mut state = locked(&self.state);
        let Some(step) = &mut state.step else { return };
        step.open -= 1;
        if step.open > 0 {
            return;
        }
        step.hide();
        let over = state.step.take();
        state.before = over.map(|step| (step, Instant::now()));
    }

    fn begin_part(&self) {
        if let Some(step) = &mut locked(&self.state).step {
            step.begun = step.parts.min(step.begun + 1);
        }
    }
}

/// Something under way; when it is dropped it is over.
#[derive(Debug)]
struct Open(Arc<Line>);

impl Open {
    fn new(line: &Arc<Line>) -> Self {
        Self(Arc::clone(line))
    }
}

impl Task for Open {
    fn advance(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A stage under way.
#[derive(Debug)]
struct Parts(Open);

impl Progress for Parts {
    fn begin(&self, _what: &str, _total: Option<u64>) -> Box<dyn Task> {
        self.0.0.begin_part();
        Box::new(Part(Arc::clone(&self.0.0)))
    }

    /// A stage within a stage: its parts are those of the outer one.
    fn stage(&self, _stage: Stage<'_>) -> Box<dyn Progress + '_> {
        Box::new(Within(&self.0.0))
    }
}

/// What is begun in a stage within a stage.
#[derive(Debug)]
struct Within<'l>(&'l Arc<Line>);

impl Progress for Within<'_> {
    fn begin(&self, _what: &str, _total: Option<u64>) -> Box<dyn Task> {
        self.0.begin_part();
        Box::new(Part(Arc::clone(self.0)))
    }

    fn stage(&self, _stage: Stage<'_>) -> Box<dyn Progress + '_> {
        Box::new(Self(self.0))
    }
}

/// One of several pieces, which its stage has counted.
#[derive(Debug)]
struct Part(Arc<Line>);

impl Task for Part {
    fn advance(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars() -> (Bars, Arc<Line>) {
        let line = Arc::new(Line::default());
        (Bars(Some(Arc::clone(&line))), line)
    }

    fn shown(line: &Line) -> String {
        let state = locked(&line.state);
        let step = state.step.as_ref().expect("a step");
        step.name(state.steps.place(&step.what))
    }

    #[test]
    fn what_is_done_at_once_is_one_step() {
        let (bars, line) = bars();
        bars.plan(&["reading", "writing"]);
        drop(bars.begin("reading", None));
        let writing = bars.begin("writing", Some(100));
        let verifying = bars.stage(Stage {
            what: "verifying layers",
            unit: "layer",
            parts: 3,
            total: 50,
        });
        let first = verifying.begin("verifying layers", Some(20));
        first.advance(20);
        drop(first);
        writing.advance(5);
        let _second = verifying.begin("verifying layers", Some(30));
        assert_eq!(shown(&line), "[2/2] writing, layer 2 of 3");
        {
            let state = locked(&line.state);
            let step = state.step.as_ref().expect("a step");
            assert_eq!((step.total, step.is_known), (150, true));
            assert_eq!(line.done.load(Ordering::Relaxed), 25);
        }
        drop(writing);
        assert!(locked(&line.state).step.is_some());
        drop(verifying);
        assert!(locked(&line.state).step.is_none());
    }

    #[test]
    fn steps_that_do_not_come_are_passed_over() {
        let (bars, line) = bars();
        bars.plan(&["a", "b", "c", "d"]);
        let a = bars.begin("a", None);
        assert_eq!(shown(&line), "[1/4] a");
        drop(a);
        let between = bars.begin("between", None);
        assert_eq!(shown(&line), "[2/5] between");
        drop(between);
        let c = bars.begin("c", None);
        assert_eq!(shown(&line), "[2/3] c");
        drop(c);
        let d = bars.begin("d", None);
        assert_eq!(shown(&line), "[3/3] d");
        drop(d);
    }

    #[test]
    fn pieces_that_follow_each_other_are_one_step() {
        let (bars, line) = bars();
        for _ in 0..3 {
            bars.begin("hashing layers", Some(7)).advance(7);
        }
        let _last = bars.begin("hashing layers", Some(7));
        let state = locked(&line.state);
        let step = state.step.as_ref().expect("a step");
        assert_eq!(step.total, 28);
        assert_eq!(line.done.load(Ordering::Relaxed), 21);
    }
}
