//! Ending work on an archive early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Asks the work on an archive to end: whatever reads the archive that was opened with it then fails with
/// [`SourceError::Stopped`](crate::source::SourceError::Stopped) at its next read, on whichever thread.
///
/// All clones are one and the same. A program that must answer to something else while it works, such as a key or a
/// signal, keeps one clone and has the work done on another thread.
///
/// ```
/// use imgtar::{Options, Stopper};
///
/// let stop = Stopper::default();
/// let mut options = Options::default();
/// options.stop = Some(&stop);
/// let archive = imgtar::open("testdata/engines/docker26-one.tar".as_ref(), &options)?;
/// let images = archive.images()?;
/// stop.ask();
/// assert!(imgtar::verify(&archive, &images, &options).is_err());
/// stop.withdraw();
/// assert!(imgtar::verify(&archive, &images, &options)?.is_ok(false));
/// # Ok::<(), imgtar::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stopper(Arc<AtomicBool>);

impl Stopper {
    /// Asks for the end of all work on the archives that were opened with it.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Lets them be read again.
    pub fn withdraw(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether the end is asked for.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
