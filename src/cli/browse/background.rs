//! Work that takes longer than a key may take, on threads of its own.
//!
//! Nothing waits for these threads: whoever leaves the browser leaves them behind, and the end of the process ends
//! them. What they write has no name until it is complete.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::work::News;

/// Where work is done.
#[derive(Clone, Debug)]
pub(crate) struct Background {
    news: Sender<News>,
    is_inline: bool,
}

impl Background {
    /// On threads.
    pub(super) fn new(news: Sender<News>) -> Self {
        Self {
            news,
            is_inline: false,
        }
    }

    /// On the thread that asks, for tests.
    #[cfg(test)]
    pub(super) fn inline(news: Sender<News>) -> Self {
        Self {
            news,
            is_inline: true,
        }
    }

    /// Where news go.
    pub(super) fn sender(&self) -> Sender<News> {
        self.news.clone()
    }

    /// Does some work, whose result is news. Where the system starts no more threads it is done here. A panic is
    /// news too.
    pub(super) fn start(&self, work: impl FnOnce() -> News + Send + 'static) {
        let sender = self.news.clone();
        let work = move || {
            let news = panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(News::Bug);
            // Whoever has left does not want it.
            _ = sender.send(news);
        };
        if self.is_inline {
            return work();
        }
        // A closure that was given to a thread that did not start would be lost.
        let work = Arc::new(Mutex::new(Some(work)));
        let take =
            |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
        let theirs = Arc::clone(&work);
        let started = thread::Builder::new().spawn(move || {
            if let Some(work) = take(&theirs) {
                work();
            }
        });
        if started.is_err()
            && let Some(work) = take(&work)
        {
            work();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn work_comes_back_as_news_and_so_does_a_panic() {
        let (sender, news) = mpsc::channel();
        let threads = Background::new(sender.clone());
        threads.start(|| News::Hidden(7, Vec::new()));
        assert!(matches!(news.recv(), Ok(News::Hidden(7, _))));
        Background::inline(sender).start(|| panic!("this is a test"));
        assert!(matches!(news.try_recv(), Ok(News::Bug)));
    }
}
