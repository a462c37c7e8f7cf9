//! Progress bars on standard error.

use std::io::IsTerminal;

use imgtar::base::escape;
use imgtar::base::progress::{Progress, Silent, Task};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often bars are drawn a second: enough to look alive.
const REFRESH: u8 = 15;
/// Work below this many bytes is over before a bar could be read.
const WORTH_A_BAR: u64 = 64 << 20;
/// How much of a name is shown, in characters.
const NAME_WIDTH: usize = 28;

/// One bar for each piece of work under way.
#[derive(Debug)]
pub(crate) struct Bars(Option<MultiProgress>);

impl Bars {
    /// Bars, if standard error is a terminal and they are not turned off.
    pub(crate) fn new(wanted: bool) -> Self {
        let shown = wanted && std::io::stderr().is_terminal();
        Self(
            shown.then(|| {
                MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REFRESH))
            }),
        )
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn Task> {
        let Some(bars) = &self.0 else {
            return Box::new(Silent);
        };
        if total.is_some_and(|total| total < WORTH_A_BAR) {
            return Box::new(Silent);
        }
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{msg:28} {wide_bar} {bytes:>10}/{total_bytes:10} {bytes_per_sec:12}",
            ),
            None => (
                ProgressBar::new_spinner(),
                "{msg:28} {spinner} {bytes:>10} {bytes_per_sec}",
            ),
        };
        // No steady tick: it takes a thread for each bar, and panics where the system has none to give.
        let bar = bars.add(bar);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(short_name(what));
        Box::new(Bar(bar))
    }
}

/// The end of a name tells more than its beginning: digests differ there, directories do not.
fn short_name(what: &str) -> String {
    let name = escape::text(what.strip_prefix("blobs/").unwrap_or(what));
    if name.chars().count() <= NAME_WIDTH {
        return name.into_owned();
    }
    name.chars().take(NAME_WIDTH - 1).chain(['…']).collect()
}

#[derive(Debug)]
struct Bar(ProgressBar);

impl Task for Bar {
    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
