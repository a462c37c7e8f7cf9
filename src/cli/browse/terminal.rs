//! The terminal: taken when the browser begins, and given back however it ends.

use std::io::{self, BufWriter, Stdout, Write as _};
use std::mem;
use std::ops::ControlFlow;
use std::panic;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossterm::event::{
    self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{cursor, execute, queue};
use imgtar::WantedPlatform;
use imgtar::base::escape;
use imgtar::image::Selector;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::background::Background;
use super::model::{Ask, Browser};
use super::view::{self, Theme};
use super::work::{self, Meter, News};
use crate::cli::commands::Context;
use crate::cli::error::Failure;
use crate::cli::exit::Exit;
use crate::cli::locale;
use crate::cli::signals;

/// How long a key is waited for while the background works: as often its news are looked at.
const SOON: Duration = Duration::from_millis(8);
/// The same while nothing is done.
const LATER: Duration = Duration::from_secs(60);
/// How long rows are waited for before the next key counts.
const ROWS: Duration = Duration::from_millis(40);
/// The same for what lies on top then, whose keys are others.
const ANSWER: Duration = Duration::from_millis(300);
/// How much is written to the terminal at once, in bytes.
const BLOCK: usize = 64 << 10;

/// What is browsed.
#[derive(Debug)]
pub(crate) struct BrowseWish {
    pub(crate) path: PathBuf,
    pub(crate) image: Option<Selector>,
    pub(crate) platform: Option<WantedPlatform>,
}

/// Whether the terminal is taken.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the terminal. Panics and signals give it back from now on.
fn take() -> io::Result<()> {
    static PREPARED: Once = Once::new();
    PREPARED.call_once(|| {
        signals::before_the_end(give_back);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
    });
    terminal::enable_raw_mode()?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    let mut stdout = io::stdout();
    execute!(
        stdout,
        EnterAlternateScreen,
        EnableMouseCapture,
        EnableBracketedPaste,
        cursor::Hide
    )
}

/// Gives the terminal back, once.
fn give_back() {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut stdout = io::stdout();
    // Whatever fails here cannot be told.
    _ = execute!(
        stdout,
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        cursor::Show
    );
    _ = terminal::disable_raw_mode();
}

/// The terminal while it is taken.
struct Taken(Terminal<CrosstermBackend<BufWriter<Stdout>>>);

impl Taken {
    fn new() -> io::Result<Self> {
        take()?;
        let stdout = BufWriter::with_capacity(BLOCK, io::stdout());
        let terminal = Terminal::new(CrosstermBackend::new(stdout));
        terminal.map(Self).inspect_err(|_| give_back())
    }

    /// Draws what has changed since the last time, in one go.
    fn draw(&mut self, browser: &Browser, theme: Theme) -> io::Result<()> {
        queue!(self.0.backend_mut(), BeginSynchronizedUpdate)?;
        self.0.draw(|frame| view::draw(browser, theme, frame))?;
        execute!(self.0.backend_mut(), EndSynchronizedUpdate)
    }

    /// Puts a text into the clipboard of the terminal (OSC 52), also from another machine.
    fn copy(&mut self, text: &str) -> io::Result<()> {
        let out = self.0.backend_mut();
        write!(out, "\x1b]52;c;{}\x07", STANDARD.encode(text))?;
        out.flush()
    }

    /// Stops the process as Ctrl-Z does elsewhere, and takes the terminal again afterwards.
    fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signals::stop();
        take()?;
        self.0.clear()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// The browser at work.
struct Session {
    browser: Browser,
    theme: Theme,
    background: Background,
    news: Receiver<News>,
    meter: Meter,
    context: Arc<Context>,
    /// How many pieces of work the background has.
    pending: usize,
    /// How long to wait for what was asked last.
    patience: Duration,
    is_bug: bool,
}

/// Shows an archive until the user leaves.
pub(crate) fn run(
    wanted: BrowseWish,
    context: Context,
    is_coloured: bool,
) -> Result<Exit, Failure> {
    let failed = |error: io::Error| {
        Failure::environment("the terminal cannot be used", &error)
            .hint("`imgtar ls --tree` and `imgtar waste` print the same information")
    };
    let (sender, news) = mpsc::channel();
    let size = terminal::size().map_err(failed)?;
    let mut session = Session {
        browser: Browser::new(escape::path(&wanted.path), size),
        theme: Theme {
            is_coloured,
            is_ascii: locale::is_ascii(),
        },
        background: Background::new(sender),
        news,
        meter: Meter::default(),
        context: Arc::new(context),
        pending: 1,
        patience: Duration::ZERO,
        is_bug: false,
    };
    session.open(wanted);
    let ended = Taken::new().and_then(|mut taken| session.run(&mut taken));
    // The terminal is given back by now, so that what follows is seen.
    let is_bug = ended.map_err(failed)?;
    assert!(!is_bug, "a thread of the browser has panicked");
    if let Some(failure) = session.browser.failure.take() {
        return Err(failure);
    }
    let image = session.browser.image_mut();
    match image.and_then(|image| image.failure.take()) {
        Some(failure) => Err(failure),
        None => Ok(Exit::Done),
    }
}

impl Session {
    fn open(&self, wanted: BrowseWish) {
        let (context, meter) = (Arc::clone(&self.context), self.meter.clone());
        self.background.start(move || {
            let (image, platform) = (wanted.image.as_ref(), wanted.platform.as_ref());
            News::Opened(work::open(&context, &wanted.path, image, platform, &meter))
        });
    }

    /// Whether a bug ended it.
    fn run(&mut self, taken: &mut Taken) -> io::Result<bool> {
        loop {
            self.browser.progress = self.meter.read();
            taken.draw(&self.browser, self.theme)?;
            let is_busy = self.pending > 0;
            let mut asks = Vec::new();
            if event::poll(if is_busy { SOON } else { LATER })? {
                // All keys that are there by now count before anything is drawn.
                loop {
                    asks.extend(self.browser.event(&event::read()?));
                    if !asks.is_empty() || !event::poll(Duration::ZERO)? {
                        break;
                    }
                }
            }
            for ask in asks {
                if self.does(taken, ask)? {
                    return Ok(false);
                }
            }
            if self.hear(taken)?.is_break() {
                return Ok(self.is_bug);
            }
        }
    }

    /// Does what the browser asks for; whether that is to leave.
    fn does(&mut self, taken: &mut Taken, ask: Ask) -> io::Result<bool> {
        match ask {
            Ask::Quit => return Ok(true),
            Ask::Suspend => taken.suspend()?,
            Ask::Redraw => taken.0.clear()?,
            Ask::Copy(text) => taken.copy(&text)?,
            other => {
                self.pending += 1;
                let soon = match other {
                    Ask::Rows(..) => ROWS,
                    Ask::Blame(..) | Ask::View(..) => ANSWER,
                    _ => Duration::ZERO,
                };
                self.patience = self.patience.max(soon);
                ask_background(&self.background, &self.context, &self.meter, other);
            }
        }
        Ok(false)
    }

    /// Takes the news. The next key is meant for what the last one leads to, so that is waited for, as long as nobody
    /// notices.
    fn hear(&mut self, taken: &mut Taken) -> io::Result<ControlFlow<()>> {
        let until = Instant::now() + mem::take(&mut self.patience);
        let mut is_awaited = until > Instant::now();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let news = if is_awaited {
                self.news.recv_timeout(left).ok()
            } else {
                self.news.try_recv().ok()
            };
            let Some(news) = news else {
                return Ok(ControlFlow::Continue(()));
            };
            if matches!(news, News::Bug) {
                self.is_bug = true;
                return Ok(ControlFlow::Break(()));
            }
            // Others are the end of a piece of work.
            self.pending -= usize::from(!matches!(news, News::Measured(..)));
            is_awaited &= !matches!(news, News::Rows(..) | News::Blamed(..) | News::Viewed(..));
            for ask in self.browser.news(news) {
                is_awaited |= matches!(ask, Ask::Rows(..));
                if self.does(taken, ask)? {
                    return Ok(ControlFlow::Break(()));
                }
            }
            // What is asked for by now is part of the same waiting.
            self.patience = Duration::ZERO;
        }
    }
}

/// Has the background do what the browser asks for.
pub(super) fn ask_background(
    background: &Background,
    context: &Arc<Context>,
    meter: &Meter,
    ask: Ask,
) {
    let (context, meter) = (Arc::clone(context), meter.clone());
    match ask {
        Ask::Merge(number, image) => {
            meter.begin_anew();
            let sender = background.sender();
            background.start(move || {
                let measured = |sizes| _ = sender.send(News::Measured(number, sizes));
                News::Merged(number, work::merge(&context, &image, &meter, measured))
            });
        }
        Ask::Hidden(number, timeline) => {
            background.start(move || News::Hidden(number, work::hidden(&timeline)));
        }
        Ask::Rows(number, query) => background.start(move || News::Rows(number, query.answer())),
        Ask::Blame(number, timeline, image, path) => {
            background.start(move || News::Blamed(number, work::blame(&timeline, &image, &path)));
        }
        Ask::Waste(number, timeline, image) => {
            meter.begin_anew();
            background.start(move || {
                News::Wasted(number, work::waste(&context, &timeline, &image, &meter))
            });
        }
        Ask::View(number, timeline, record, path) => {
            background.start(move || News::Viewed(number, work::view(&timeline, &record, path)));
        }
        Ask::Extract(timeline, extraction) => {
            meter.begin_anew();
            background.start(move || {
                News::Written(work::extract(&context, &timeline, &extraction, &meter))
            });
        }
        // These are for whoever has the terminal.
        Ask::Copy(_) | Ask::Suspend | Ask::Redraw | Ask::Quit => {}
    }
}
