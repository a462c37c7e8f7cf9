//! One step: what is done at once, and how its line reads.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use imgtar::base::escape;
use imgtar::report::units;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::terminal::{NarrowTerminal, room};
use super::{ENDS, PATIENCE, SHOWN, locked};
use crate::cli::locale::ellipsis;
use crate::cli::render::{Page, cut};
use crate::cli::signals;

/// The rate is that of so many frames before now.
const RATE_FRAMES: usize = 60;
/// A bar with fewer columns says nothing.
const LEAST_BAR: usize = 6;

/// Where a step stands among all that are to come.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) planned: Vec<&'static str>,
    over: usize,
}

impl Steps {
    /// The number of a step from 1 and how many there are, as far as that is known; `None` if there is only this
    /// one. What was not planned comes before what was.
    pub(super) fn place(&self, what: &str) -> Option<(usize, usize)> {
        if self.planned.is_empty() {
            return None;
        }
        let at = self.planned.iter().position(|planned| *planned == what);
        let after = self.planned.len() - at.map_or(0, |at| at + 1);
        let all = self.over + 1 + after;
        (all > 1).then_some((self.over + 1, all))
    }

    /// A step is over. One that nobody saw and that was not planned does not count.
    pub(super) fn end(&mut self, what: &str, was_shown: bool) {
        match self.planned.iter().position(|planned| *planned == what) {
            Some(at) => {
                self.planned.drain(..=at);
                self.over += 1;
            }
            None => self.over += usize::from(was_shown),
        }
    }
}

/// What is done at once.
#[derive(Debug)]
pub(super) struct ShownStep {
    pub(super) what: String,
    /// Whether that is the name of a stage, which gives way to that of other work.
    pub(super) is_stage: bool,
    /// How many tasks and stages are under way.
    pub(super) open: usize,
    /// How many bytes there are, and whether that is known of all that is under way.
    pub(super) total: u64,
    pub(super) is_known: bool,
    /// What the pieces are, how many have begun, and of how many.
    pub(super) unit: String,
    pub(super) begun: usize,
    pub(super) parts: usize,
    since: Instant,
    pub(super) was_shown: bool,
    bar: Option<ProgressBar>,
    /// How much was done at the last frames.
    frames: VecDeque<(Instant, u64)>,
}

impl ShownStep {
    pub(super) fn new(what: &str, is_stage: bool) -> Self {
        Self {
            what: escape::text(what).into_owned(),
            is_stage,
            open: 0,
            total: 0,
            is_known: true,
            unit: String::new(),
            begun: 0,
            parts: 0,
            since: Instant::now(),
            was_shown: false,
            bar: None,
            frames: VecDeque::new(),
        }
    }

    /// How many bytes a second are done, if that can be told.
    fn rate(&self) -> Option<f64> {
        let (first, last) = (self.frames.front()?, self.frames.back()?);
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let bytes = last.1.saturating_sub(first.1) as f64;
        (seconds > 0.2 && bytes > 0.0).then(|| bytes / seconds)
    }

    /// What is being done.
    pub(super) fn name(&self, place: Option<(usize, usize)>) -> String {
        let step = place.map_or_else(String::new, |(at, all)| format!("[{at}/{all}] "));
        let Self {
            what,
            unit,
            begun,
            parts,
            ..
        } = self;
        match parts {
            0 | 1 => format!("{step}{what}"),
            _ if what.contains(unit.as_str()) => format!("{step}{what}, {begun} of {parts}"),
            _ => format!("{step}{what}, {unit} {begun} of {parts}"),
        }
    }

    /// How far it is.
    fn numbers(&self, done: u64, is_narrow: bool) -> String {
        let rate = self.rate();
        let shown_rate = rate.map_or_else(String::new, |rate| {
            format!("{}/s", units::size(rounded(rate)))
        });
        let passed = time(self.since.elapsed());
        if self.total == 0 || !self.is_known {
            return match done {
                0 => passed,
                _ if is_narrow => format!("{} {passed}", units::size(done)),
                _ => format!("{:>7} {shown_rate:>9} {passed}", units::size(done)),
            };
        }
        let left = self.total.saturating_sub(done);
        #[expect(clippy::cast_precision_loss, reason = "a time for people")]
        let left = rate.map(|rate| Duration::from_secs_f64((left as f64 / rate).min(1e9)));
        let left = left.map_or_else(String::new, |left| format!("{} left", time(left)));
        let (done, total) = (units::size(done), units::size(self.total));
        if is_narrow {
            return format!("{done}/{total} {left:>8}");
        }
        format!("{done:>7}/{total} {shown_rate:>9} {left:>10}")
    }

    /// What is said in so many columns: what is done, the numbers, and whether there is room for a bar between
    /// them. Nothing is wider than that, whatever the terminal.
    fn parts_for(
        &self,
        room: usize,
        done: u64,
        place: Option<(usize, usize)>,
    ) -> (String, String, bool) {
        let name = self.name(place);
        let numbers = self.numbers(done, false);
        let taken = name.chars().count() + numbers.chars().count();
        if self.is_known && self.total > 0 && taken + LEAST_BAR + 2 <= room {
            return (name, numbers, true);
        }
        if taken < room {
            return (name, numbers, false);
        }
        let numbers = cut(&self.numbers(done, true), room, "");
        let left = room.saturating_sub(numbers.chars().count() + 1);
        let ellipsis = Some(ellipsis()).filter(|ellipsis| ellipsis.chars().count() <= left);
        let ellipsis = ellipsis.unwrap_or_default();
        (cut(&name, left, ellipsis), numbers, false)
    }

    /// Draws it, if it has lasted long enough.
    pub(super) fn draw(&mut self, done: u64, place: Option<(usize, usize)>) {
        if self.frames.len() > RATE_FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back((Instant::now(), done));
        if self.since.elapsed() < PATIENCE {
            return;
        }
        let has_total = self.is_known && self.total > 0;
        let done = if has_total {
            done.min(self.total)
        } else {
            done
        };
        let (name, numbers, has_bar) = self.parts_for(room().into(), done, place);
        if self.bar.is_none() {
            signals::catch();
        }
        let mut shown = locked(&SHOWN);
        if ENDS.load(Ordering::Relaxed) {
            return;
        }
        self.was_shown = true;
        let bar = self.bar.get_or_insert_with(|| {
            let target =
                ProgressDrawTarget::term_like_with_hz(Box::<NarrowTerminal>::default(), u8::MAX);
            ProgressBar::with_draw_target(None, target)
        });
        *shown = Some(bar.clone());
        bar.set_style(style(&name, &numbers, has_bar));
        // The one call that draws.
        bar.update(|state| {
            state.set_len(if has_total { self.total } else { u64::MAX });
            state.set_pos(done);
        });
    }

    pub(super) fn hide(&mut self) {
        if let Some(bar) = self.bar.take() {
            let mut shown = locked(&SHOWN);
            bar.finish_and_clear();
            *shown = None;
        }
    }
}

/// What the line says as a style, so that it is all new at once: each text of a bar that is set draws it.
fn style(name: &str, numbers: &str, has_bar: bool) -> ProgressStyle {
    let is_ascii = Page::new(None, false).is_ascii();
    let literal = |text: &str| text.replace('{', "{{").replace('}', "}}");
    let (name, numbers) = (literal(name), literal(numbers));
    let template = if has_bar {
        format!("{name} {{wide_bar}} {numbers}")
    } else {
        format!("{name} {numbers}")
    };
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars(if is_ascii { "=> " } else { "━╸ " })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rounded(rate: f64) -> u64 {
    rate as u64
}

/// A time in its two largest units.
fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_say_how_far_and_how_long() {
        let mut step = ShownStep::new("writing", false);
        step.total = 2_070_000_000;
        let now = Instant::now();
        step.frames.push_back((now, 0));
        let later = now + Duration::from_secs(2);
        step.frames.push_back((later, 600_000_000));
        let numbers = step.numbers(1_170_000_000, false);
        assert_eq!(numbers, " 1.17GB/2.07GB   300MB/s    3s left");
        assert_eq!(step.numbers(1_170_000_000, true), "1.17GB/2.07GB  3s left");
        step.is_known = false;
        assert_eq!(step.numbers(1_170_000_000, false), " 1.17GB   300MB/s 0s");
        let times = [5, 65, 3725].map(|seconds| time(Duration::from_secs(seconds)));
        assert_eq!(times, ["5s", "1m05s", "1h02m"]);
    }

    #[test]
    fn a_line_fits_any_terminal() {
        let mut step = ShownStep::new("decompressing layers", true);
        (step.total, step.parts, step.begun) = (2_000_000_000, 12, 10);
        "layer".clone_into(&mut step.unit);
        for room in 0..120 {
            let (name, numbers, has_bar) = step.parts_for(room, 1_000_000_000, Some((2, 3)));
            let used = name.chars().count() + numbers.chars().count();
            let least = if has_bar { LEAST_BAR + 2 } else { 1 };
            assert!(
                used == 0 || used + least <= room + 1,
                "{room}: {name:?} {numbers:?}"
            );
        }
        let (name, numbers, has_bar) = step.parts_for(77, 1_000_000_000, Some((2, 3)));
        assert_eq!(name, "[2/3] decompressing layers, 10 of 12");
        assert_eq!((numbers.trim(), has_bar), ("1GB/2GB", true));
    }
}
