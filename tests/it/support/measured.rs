//! Runs of the program whose processor time and memory are measured.

use std::fs::{self, File};
use std::thread;
use std::time::{Duration, Instant};

use super::program;

/// How much processor time a run may take, in seconds.
const SECONDS: f64 = if cfg!(debug_assertions) { 50.0 } else { 5.0 };

/// How much memory it may take, in kilobytes.
pub const MEMORY: u64 = 256 * 1024;

/// When a run is given up: the machine may be busy with other things.
const GIVEN_UP: Duration = Duration::from_secs(300);

pub struct Ended {
    pub what: String,
    pub code: i32,
    pub out: String,
    pub err: String,
    pub seconds: f64,
    pub peak: u64,
}

/// Runs imgtar; what it writes to standard output is thrown away but for its beginning.
pub fn run(arguments: &[&str]) -> Ended {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let create = |name: &str| File::create(path(name)).expect("a file");
    let mut child = program()
        .args(arguments)
        .stdout(create("out"))
        .stderr(create("err"))
        .spawn()
        .expect("imgtar starts");
    let begun = Instant::now();
    let (mut seconds, mut peak) = (0.0, 0);
    let what = arguments.join(" ");
    let status = loop {
        if let Some(status) = child.try_wait().expect("imgtar is our child") {
            break status;
        }
        (seconds, peak) = spent(child.id()).unwrap_or((seconds, peak));
        if begun.elapsed() > GIVEN_UP {
            child.kill().expect("imgtar is our child");
            child.wait().expect("imgtar is our child");
            panic!("{what} does not end: {seconds} s, {peak} kB");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let text = |name| {
        let mut bytes = fs::read(path(name)).expect("a file");
        bytes.truncate(1 << 20);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    Ended {
        code: status
            .code()
            .unwrap_or_else(|| panic!("{what} was ended by a signal: {status}")),
        out: text("out"),
        err: text("err"),
        what,
        seconds,
        peak,
    }
}

/// Processor time in seconds and peak memory in kilobytes of a running process, where the system tells.
fn spent(process: u32) -> Option<(f64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before may hold anything but a closing parenthesis at its end.
    let (_, fields) = stat.rsplit_once(')')?;
    let field = |n: usize| fields.split_whitespace().nth(n)?.parse::<u32>().ok();
    // utime and stime, in hundredths of a second on every Linux that Rust runs on.
    let seconds = f64::from(field(11)? + field(12)?) / 100.0;
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let peak = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((seconds, peak))
}

impl Ended {
    #[track_caller]
    pub fn check(&self) -> &Self {
        let Self {
            what,
            code,
            err,
            seconds,
            peak,
            ..
        } = self;
        assert!((0..=3).contains(code), "{what} exits with {code}: {err}");
        // An image whose config cannot be read is shown as far as it can be, and a warning says so.
        let told = ["error: ", "warning: "]
            .iter()
            .any(|word| err.starts_with(word));
        let shown = what.starts_with("inspect") && self.out.contains("Problems");
        assert!(*code != 3 || told || shown, "{what}: {err}");
        assert!(!err.contains("panicked"), "{what}: {err}");
        // A message may name what is long, it may not be flooded.
        assert!(err.len() < 100_000, "{what}: {} bytes", err.len());
        assert!(!err.contains('\u{1b}'), "{what}: {err}");
        assert!(*seconds <= SECONDS, "{what} takes {seconds} s");
        assert!(*peak <= MEMORY, "{what} takes {peak} kB");
        self
    }

    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}: {}", self.what, self.err);
        self
    }

    pub fn says(&self, words: &str) -> bool {
        self.err.contains(words) || self.out.contains(words)
    }
}
