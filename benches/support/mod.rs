//! What the benches share: an archive to measure on, and how to measure.
//!
//! Machines are shared and differ, so no figure stands alone: what is compared is timed in one run,
//! in turns, on warm files, and the median of five is taken.
#![allow(dead_code, reason = "every bench uses its own part of this")]

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// What a bench ends with.
pub type Outcome = Result<(), Box<dyn Error>>;

/// How often each contender runs; the median counts.
const ROUNDS: usize = 5;

// --- archives -------------------------------------------------------------------------------------

/// One layer of a synthetic archive: how many files it has, and how long they are together.
#[derive(Clone, Copy)]
pub struct LayerPlan {
    /// The number of files.
    pub files: u64,
    /// Their content, in bytes; the files are of unequal length.
    pub bytes: u64,
}

/// The layers of the usual archive: the proportions of a real image (one layer of dependencies, some
/// of programs, some of next to nothing), 400 MB together.
const USUAL: [LayerPlan; 7] = [
    plan(3_000, 30_000_000),
    plan(14_000, 160_000_000),
    plan(2_000, 70_000_000),
    plan(800, 65_000_000),
    plan(6_000, 40_000_000),
    plan(4_000, 400_000),
    plan(3, 34_600_000),
];

/// Shorthand for a [`LayerPlan`].
pub const fn plan(files: u64, bytes: u64) -> LayerPlan {
    LayerPlan { files, bytes }
}

/// The archive to measure on: that of `IMGTAR_BENCH_ARCHIVE`, or a synthetic one.
pub fn archive() -> io::Result<PathBuf> {
    match env::var_os("IMGTAR_BENCH_ARCHIVE") {
        Some(path) => Ok(path.into()),
        None => synthetic("usual", &USUAL),
    }
}

/// An archive as Docker 20.10 writes them, with uncompressed layers. Made once and kept under
/// `target/tmp`.
pub fn synthetic(name: &str, layers: &[LayerPlan]) -> io::Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // The plan is part of the name, so that another plan is another file.
    let mut hash = Sha256::new();
    for layer in layers {
        hash.update(format!("1 {} {}\n", layer.files, layer.bytes));
    }
    let key = &hex(hash)[..12];
    let path = directory.join(format!("bench-{name}-{key}.tar"));
    if path.exists() {
        return Ok(path);
    }
    fs::create_dir_all(directory)?;
    let file = tempfile::NamedTempFile::new_in(directory)?;
    write_archive(file.as_file(), layers)?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

fn write_archive(file: &File, layers: &[LayerPlan]) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut names = Vec::new();
    let mut diff_ids = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let name = format!("{index:064x}/layer.tar");
        // The length is known only at the end, and the header is written again then.
        let at = out.stream_position()?;
        out.write_all(header(&name, 0)?.as_bytes())?;
        let mut hashing = Hashing {
            inner: &mut out,
            hash: Sha256::new(),
            count: 0,
        };
        write_layer(&mut hashing, *layer)?;
        let Hashing { hash, count, .. } = hashing;
        let end = out.stream_position()?;
        out.seek(SeekFrom::Start(at))?;
        out.write_all(header(&name, count)?.as_bytes())?;
        out.seek(SeekFrom::Start(end))?;
        names.push(name);
        diff_ids.push(format!("sha256:{}", hex(hash)));
    }
    let history: Vec<_> = (0..layers.len())
        .map(|i| serde_json::json!({"created": "2026-01-01T00:00:00Z", "created_by": format!("RUN make step-{i}")}))
        .collect();
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    })
    .to_string();
    let config_name = format!("{}.json", hex(Sha256::new_with_prefix(&config)));
    let manifest = serde_json::json!([{
        "Config": config_name,
        "RepoTags": ["imgtar-bench/synthetic:1"],
        "Layers": names,
    }])
    .to_string();
    let mut outer = tar::Builder::new(out);
    for (name, text) in [(config_name.as_str(), config), ("manifest.json", manifest)] {
        outer.append(&header(name, text.len() as u64)?, text.as_bytes())?;
    }
    outer.into_inner()?.flush()
}

/// Files of three quarters, once and one and a quarter of the average length, a directory for every
/// hundred.
fn write_layer(out: impl Write, layer: LayerPlan) -> io::Result<()> {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut builder = tar::Builder::new(out);
    let mean = layer.bytes / layer.files.max(1);
    for index in 0..layer.files {
        let directory = format!("usr/share/directory-{}/", index / 100);
        if index % 100 == 0 {
            let mut header = header(&directory, 0)?;
            header.set_entry_type(tar::EntryType::Directory);
            header.set_cksum();
            builder.append(&header, io::empty())?;
        }
        let len = mean * (3 + index % 3) / 4;
        let name = format!("{directory}file-{index}");
        builder.append(&header(&name, len)?, (&mut noise).take(len))?;
    }
    builder.into_inner().map(drop)
}

fn header(name: &str, size: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(header)
}

/// Bytes without a pattern, quickly (xorshift, Marsaglia 2003).
struct Noise(u64);

impl Read for Noise {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        for chunk in buf.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
        Ok(buf.len())
    }
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
    count: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hash.update(&buf[..n]);
        self.count += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn hex(hash: Sha256) -> String {
    const_hex::encode(hash.finalize())
}

// --- time -----------------------------------------------------------------------------------------

/// Something that is timed; what it returns is kept from being optimised away.
pub type Contender<'c> = (
    &'c str,
    Box<dyn FnMut() -> Result<u64, Box<dyn Error>> + 'c>,
);

/// Runs each contender once to warm up, then all in turns; returns their medians in order.
pub fn race(contenders: &mut [Contender<'_>]) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut times = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for round in 0..=ROUNDS {
        for ((_, run), times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            std::hint::black_box(run()?);
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    Ok(times.into_iter().map(median).collect())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Time against time.
pub fn ratio(time: Duration, of: Duration) -> f64 {
    time.as_secs_f64() / of.as_secs_f64()
}

/// Milliseconds.
pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A count in thousands of thousands of thousands.
#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
pub fn billions(count: u64) -> f64 {
    count as f64 / 1e9
}

/// A time for each of so many.
#[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
pub fn us_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

// --- processes ------------------------------------------------------------------------------------

/// The program, built as the bench is.
pub const IMGTAR: &str = env!("CARGO_BIN_EXE_imgtar");

/// Runs a program without its output.
pub fn run(program: &str, args: &[&str]) -> Result<u64, Box<dyn Error>> {
    let status = quiet(program, args).status()?;
    if !status.success() {
        return Err(format!("{program} {}: {status}", args.join(" ")).into());
    }
    Ok(0)
}

/// Whether a program can be run at all.
pub fn is_installed(program: &str) -> bool {
    quiet(program, &["--version"])
        .status()
        .is_ok_and(|status| status.success())
}

/// The most memory that a program held at any time, in KiB; `None` where `/proc` does not tell.
///
/// The mark is read again and again until the program ends, so it misses only what was taken in the
/// last millisecond.
pub fn peak_memory(program: &str, args: &[&str]) -> io::Result<Option<u64>> {
    let mut child = quiet(program, args).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = None;
    while child.try_wait()?.is_none() {
        let mark = fs::read_to_string(&status).ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
        });
        peak = mark.or(peak);
        thread::sleep(Duration::from_millis(1));
    }
    Ok(peak)
}

fn quiet(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
