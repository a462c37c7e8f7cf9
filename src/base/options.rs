//! What every entry point of the library takes: how much an archive may use, how many threads work, and
//! where progress is reported.

use super::jobs::Jobs;
use super::limits::Limits;
use super::progress::{Progress, Silent};
use super::stop::Stopper;

/// How to open an archive and how to work on it.
///
/// The defaults are the limits of `docs/security.md`, one thread for each core, no report of
/// progress and nothing that ends the work early. Limits count when an archive is opened: they travel with it, so that whatever is read
/// from it later is bound by the limits that it was opened with.
///
/// ```
/// use std::num::NonZeroUsize;
/// use imgtar::{Jobs, Limit, Options};
///
/// let mut options = Options::default();
/// options.jobs = Jobs::new(NonZeroUsize::MIN);
/// options.limits = options.limits.with(Limit::Members, 10_000);
/// let archive = imgtar::open("testdata/engines/docker26-one.tar".as_ref(), &options)?;
/// assert!(archive.members().len() < 10_000);
/// # Ok::<(), imgtar::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Options<'p> {
    /// How much the archive may use.
    pub limits: Limits,
    /// How many threads work at once. No result depends on it.
    pub jobs: Jobs,
    /// Where the progress of long work is reported.
    pub progress: &'p dyn Progress,
    /// What ends the work early, if anything does. It travels with the opened archive, as the limits do.
    pub stop: Option<&'p Stopper>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            jobs: Jobs::all_cores(),
            progress: &Silent,
            stop: None,
        }
    }
}
