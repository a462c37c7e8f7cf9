//! Signals: what ends the process takes its unfinished files with it, and a limit on the size of files is
//! an error.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use super::progress;

/// The temporary files that a signal must not leave behind.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// What else is done before a signal ends the process.
static LAST: Mutex<Option<fn()>> = Mutex::new(None);

/// The signals that end the process are caught from now on.
pub(crate) fn catch() {
    static CAUGHT: Once = Once::new();
    CAUGHT.call_once(system::clean_up_on_signals);
}

/// Does not come back if a signal is about to end the process. What then goes wrong may go wrong because of it: the
/// other end of a pipe has ended, too.
pub(crate) fn wait_for_the_end() {
    while system::is_ending() {
        std::thread::park();
    }
}

/// Has something done before a signal ends the process: whoever has the terminal gives it back.
pub(crate) fn before_the_end(last: fn()) {
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    catch();
}

/// Does it.
fn do_the_last() {
    if let Some(last) = *LAST.lock().unwrap_or_else(PoisonError::into_inner) {
        last();
    }
}

/// Stops the process until a shell goes on with it, as Ctrl-Z does; nothing where the system cannot.
pub(crate) fn stop() {
    system::stop();
}

/// Makes a temporary file, which goes if a signal ends the process. No signal comes between the two.
pub(crate) fn remembered<F>(
    path: &Path,
    make: impl FnOnce(&Path) -> io::Result<F>,
) -> io::Result<F> {
    catch();
    // What deletes the files waits for this.
    let mut unfinished = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
    let file = make(path)?;
    unfinished.push(path.to_owned());
    Ok(file)
}

/// Forgets a temporary file, because it has its place or is gone.
pub(crate) fn forget(path: &Path) {
    if let Ok(mut unfinished) = UNFINISHED.lock() {
        unfinished.retain(|other| other != path);
    }
}

/// Makes a write beyond `ulimit -f` fail as any write can fail, instead of ending the process
/// silently.
pub(crate) fn survive_size_limits() {
    system::survive_size_limits();
}

#[cfg(unix)]
#[expect(
    clippy::disallowed_methods,
    reason = "temporary files are removed before the process ends"
)]
mod system {
    use std::io::{self, Write};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, OnceLock, mpsc};
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGXFSZ};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use super::UNFINISHED;
    use crate::cli::interrupted;

    /// Whether a signal is about to end the process: known as soon as it arrives.
    static ENDING: OnceLock<Arc<AtomicBool>> = OnceLock::new();

    pub(super) fn is_ending() -> bool {
        let ending = ENDING.get();
        ending.is_some_and(|ending| ending.load(Ordering::Relaxed))
    }

    pub(super) fn survive_size_limits() {
        // Any handler will do: the write then returns `EFBIG` (setrlimit(2), `RLIMIT_FSIZE`). Without
        // one the process ends as it did before.
        _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    }

    pub(super) fn stop() {
        _ = emulate_default_handler(SIGTSTP);
    }

    /// On SIGINT, SIGTERM and SIGHUP unfinished files go before the process does. Those that the process
    /// was started to ignore, as `nohup` and shells do for it, it goes on to ignore.
    pub(super) fn clean_up_on_signals() {
        let ignored = ignored();
        let mut caught = vec![SIGINT, SIGTERM, SIGHUP];
        caught.retain(|signal| ignored & (1 << (signal - 1)) == 0);
        if caught.is_empty() {
            return;
        }
        let (ready, is_ready) = mpsc::channel::<()>();
        // Without a thread no signal is caught, and each does what it does by default.
        let started = thread::Builder::new().spawn(move || {
            let Ok(mut signals) = Signals::new(&caught) else {
                return;
            };
            let ending = ENDING.get_or_init(Arc::default);
            for signal in &caught {
                _ = signal_hook::flag::register(*signal, Arc::clone(ending));
            }
            drop(ready);
            let Some(signal) = signals.forever().next() else {
                return;
            };
            // Held until the process is gone, so that no other file begins.
            let unfinished = UNFINISHED.lock();
            for path in unfinished.iter().flat_map(|paths| paths.iter()) {
                _ = std::fs::remove_file(path);
            }
            super::progress::clear();
            super::do_the_last();
            if signal == SIGINT {
                _ = writeln!(io::stderr(), "{}", interrupted::message());
            }
            // The parent process sees which signal has ended it.
            _ = emulate_default_handler(signal);
            std::process::exit(128 + signal);
        });
        if started.is_ok() {
            // An error says that the other side has been dropped: the signals are caught.
            _ = is_ready.recv();
        }
    }

    /// The signals that this process ignores, the lowest bit for signal 1.
    #[cfg(target_os = "linux")]
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    }

    /// Only unsafe code could tell, so all signals are taken as not ignored.
    #[cfg(not(target_os = "linux"))]
    fn ignored() -> u64 {
        0
    }

    #[cfg(test)]
    mod tests {
        use signal_hook::consts::{SIGKILL, SIGPIPE};

        #[test]
        #[cfg(target_os = "linux")]
        fn what_is_ignored_is_known() {
            // Every program in Rust ignores the one; the other cannot be ignored.
            assert_ne!(super::ignored() & (1 << (SIGPIPE - 1)), 0);
            assert_eq!(super::ignored() & (1 << (SIGKILL - 1)), 0);
        }
    }
}

#[cfg(not(unix))]
#[expect(
    clippy::disallowed_methods,
    reason = "temporary files are removed before the process ends"
)]
mod system {
    use super::UNFINISHED;

    /// Other systems have no such signal.
    pub(super) fn survive_size_limits() {}

    /// The handler of the only signal ends the process at once.
    pub(super) fn is_ending() -> bool {
        false
    }

    /// Other systems stop no process.
    pub(super) fn stop() {}

    pub(super) fn clean_up_on_signals() {
        // Only the first call can succeed, and one handler is enough.
        _ = ctrlc::set_handler(|| {
            if let Ok(unfinished) = UNFINISHED.lock() {
                for path in &*unfinished {
                    _ = std::fs::remove_file(path);
                }
            }
            super::do_the_last();
            std::process::exit(130);
        });
    }
}
