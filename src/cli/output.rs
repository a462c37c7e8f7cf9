//! Standard output and standard error: colour and width decided once.

use std::io::{self, BufWriter, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::args::Color;
use super::error::Failure;
use super::progress;

/// How much of an answer is written at once, in bytes.
const BLOCK: usize = 64 << 10;

/// Why an answer is not printed to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It could not be written.
    Write(io::Error),
    /// It could not be made.
    Failure(Box<Failure>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(Box::new(failure))
    }
}

/// Where answers and complaints go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    color: ColorChoice,
}

impl Output {
    pub(crate) fn new(color: Color) -> Self {
        let color = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self { color }
    }

    /// Prints the answer as `print` makes it, so that the whole of it is never in memory. A closed
    /// pipe is not a failure.
    #[expect(clippy::unused_self, reason = "only who was given an output prints")]
    pub(crate) fn answer(
        self,
        print: impl FnOnce(&mut dyn Write) -> Result<(), Stop>,
    ) -> Result<(), Failure> {
        Self::print(io::stdout().lock(), print)
    }

    /// The same for an answer with styles, which are left out where they are turned off.
    pub(crate) fn styled_answer(
        self,
        print: impl FnOnce(&mut dyn Write) -> Result<(), Stop>,
    ) -> Result<(), Failure> {
        Self::print(AutoStream::new(io::stdout().lock(), self.color), print)
    }

    fn print(
        stdout: impl Write,
        print: impl FnOnce(&mut dyn Write) -> Result<(), Stop>,
    ) -> Result<(), Failure> {
        let mut out = BufWriter::with_capacity(BLOCK, stdout);
        let printed = print(&mut out).and_then(|()| Ok(out.flush()?));
        match printed {
            Err(Stop::Write(error)) if is_closed(&error) => Ok(()),
            Err(Stop::Write(error)) => Err(Failure::environment(
                "cannot write to standard output",
                &error,
            )),
            Err(Stop::Failure(failure)) => Err(*failure),
            Ok(()) => Ok(()),
        }
    }

    /// Whether the answer goes to a person: a terminal, or somebody who asks for colour.
    pub(crate) fn is_for_people(self) -> bool {
        stdout_is_terminal() || self.color == ColorChoice::Always
    }

    /// Whether answers have colours.
    pub(crate) fn is_coloured(self) -> bool {
        match self.color {
            ColorChoice::Auto => AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            choice => choice != ColorChoice::Never,
        }
    }

    /// Prints something other than the answer. If that fails it cannot be reported.
    pub(crate) fn complain(self, text: &str) {
        progress::without_bar(|| {
            let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
            drop(stderr.write_all(text.as_bytes()));
        });
    }

    /// How wide the terminal is, in cells; `None` if the answer goes elsewhere, where nothing is
    /// wrapped or cut.
    pub(crate) fn width() -> Option<u16> {
        if !io::stdout().is_terminal() {
            return None;
        }
        terminal_size::terminal_size().map(|(width, _)| width.0)
    }
}

pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

pub(crate) fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

/// What there is to read on standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdin {
    /// A pipe or a file with something in it, or a pipe that may still get something.
    Something,
    /// A pipe or a file without a byte.
    Empty,
    /// Neither a pipe nor a file: a terminal, or nothing.
    Other,
}

/// Looks at standard input and reads nothing of it.
#[cfg(unix)]
pub(crate) fn stdin() -> Stdin {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    let file = io::stdin().as_fd().try_clone_to_owned();
    let Ok(file) = file.map(std::fs::File::from) else {
        return Stdin::Other;
    };
    match file.metadata() {
        Ok(it) if it.is_file() && it.len() == 0 => Stdin::Empty,
        Ok(it) if it.is_file() => Stdin::Something,
        Ok(it) if it.file_type().is_fifo() && is_ended(&file) => Stdin::Empty,
        Ok(it) if it.file_type().is_fifo() => Stdin::Something,
        Ok(_) | Err(_) => Stdin::Other,
    }
}

/// Standard input is not looked at here.
#[cfg(not(unix))]
pub(crate) fn stdin() -> Stdin {
    Stdin::Other
}

/// Whether a pipe is empty and nobody writes to it any more. The program at its other end has a moment to begin
/// or to fail.
#[cfg(target_os = "linux")]
fn is_ended(pipe: &std::fs::File) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    const MOMENT: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 200_000_000,
    };
    let mut asked = [PollFd::new(pipe, PollFlags::IN)];
    let answered = poll(&mut asked, Some(&MOMENT)).is_ok();
    let answer = asked[0].revents();
    answered && answer.contains(PollFlags::HUP) && !answer.contains(PollFlags::IN)
}

/// Whether a pipe is empty and nobody writes to it any more: not known here.
#[cfg(all(unix, not(target_os = "linux")))]
fn is_ended(_pipe: &std::fs::File) -> bool {
    false
}

/// Whether the reader of an output has closed it: that is not a failure.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
