//! What the benches of `flatten` share beside what all do: images made for them, and timing that says
//! how far to trust it.
//!
//! Machines are shared and differ, so no figure stands alone: what is compared is timed in one run,
//! in turns, after a warm-up, and the median of five is taken. Beside it stand the fastest and the
//! slowest round, and the time on processors: where rounds differ much, the machine had other work.
#![allow(dead_code, reason = "every bench uses its own part of this")]

use std::collections::HashSet;
use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::support::Outcome;

/// How often each contender runs; the median counts.
const ROUNDS: usize = 5;

// --- places ---------------------------------------------------------------------------------------

/// Where files are made: `IMGTAR_BENCH_DIR`, or memory where the system has it as a directory.
pub fn directory() -> PathBuf {
    if let Some(directory) = env::var_os("IMGTAR_BENCH_DIR") {
        return directory.into();
    }
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.into()
    } else {
        env::temp_dir()
    }
}

// --- images ---------------------------------------------------------------------------------------

/// What an image is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The number of regular files in all layers together.
    pub files: u64,
    /// How many layers they are spread over, evenly.
    pub layers: u64,
    /// How many of them, of a hundred, replace a file of the layer below.
    pub replaced: u64,
    /// The mean size of those that are not empty, in bytes.
    pub size: u64,
    /// How many of a hundred are empty.
    pub empty: u64,
    /// Whether all files are in the topmost layer, and the others have one each.
    pub on_top: bool,
}

/// An image of 300 MB: 12,000 files in 6 layers, some of which replace one of the layer below.
pub const USUAL: Plan = Plan {
    files: 12_000,
    layers: 6,
    replaced: 12,
    size: 26_000,
    empty: 4,
    on_top: false,
};

/// An image with uncompressed layers, as Docker 20.10 writes it. Made once and kept in `directory`.
pub fn image(directory: &Path, plan: Plan) -> Result<PathBuf, Box<dyn Error>> {
    // The plan is part of the name, so that another plan is another file.
    let hash = hex(Sha256::new_with_prefix(format!("2 {plan:?}")));
    let path = directory.join(format!("imgtar-bench-{}.tar", &hash[..12]));
    if path.exists() {
        return Ok(path);
    }
    let file = tempfile::NamedTempFile::new_in(directory)?;
    write_image(file.as_file(), plan)?;
    file.persist(&path)?;
    Ok(path)
}

fn write_image(file: &File, plan: Plan) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut names = Vec::new();
    let mut diff_ids = Vec::new();
    for layer in 0..plan.layers {
        let name = format!("{layer:064x}/layer.tar");
        // The length is known only at the end, and the header is written again then.
        let at = out.stream_position()?;
        out.write_all(header(&name, 0, b'0').as_bytes())?;
        let mut hashing = Hashing {
            inner: &mut out,
            hash: Sha256::new(),
            count: 0,
        };
        write_layer(&mut hashing, plan, layer)?;
        let Hashing { hash, count, .. } = hashing;
        let end = out.stream_position()?;
        out.seek(SeekFrom::Start(at))?;
        out.write_all(header(&name, count, b'0').as_bytes())?;
        out.seek(SeekFrom::Start(end))?;
        names.push(name);
        diff_ids.push(format!("sha256:{}", hex(hash)));
    }
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string();
    let config_name = format!("{}.json", hex(Sha256::new_with_prefix(&config)));
    let manifest = serde_json::json!([{
        "Config": config_name,
        "RepoTags": ["imgtar-bench/flatten:1"],
        "Layers": names,
    }])
    .to_string();
    for (name, text) in [(config_name.as_str(), config), ("manifest.json", manifest)] {
        out.write_all(header(name, text.len() as u64, b'0').as_bytes())?;
        out.write_all(text.as_bytes())?;
        pad(&mut out, text.len() as u64)?;
    }
    out.write_all(&[0; 1024])?;
    out.flush()
}

/// Files 3 to 6 deep, about sixteen in a directory, with an entry for every directory.
fn write_layer(mut out: impl Write, plan: Plan, layer: u64) -> io::Result<()> {
    let (first, count) = if plan.on_top {
        let top = layer + 1 == plan.layers;
        (layer, if top { plan.files + 1 - plan.layers } else { 1 })
    } else {
        (
            layer * plan.files / plan.layers,
            (layer + 1) * plan.files / plan.layers - layer * plan.files / plan.layers,
        )
    };
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15 ^ (layer + 1));
    let mut body = vec![0; usize::try_from(plan.size * 2).unwrap_or(0)];
    let mut made = HashSet::new();
    let before = first.saturating_sub(plan.files / plan.layers);
    for number in first..first + count {
        // A file of the layer below stands for one of this layer's own.
        let replaces = layer > 0 && !plan.on_top && number % 100 < plan.replaced;
        let number = if replaces {
            before + (number - first)
        } else {
            number
        };
        let (directories, name) = place(number);
        enter(&mut out, &mut made, &directories)?;
        let path = format!("{}/{name}", directories.join("/"));
        let size = if number % 100 < plan.empty {
            0
        } else {
            // Half to one and a half of the mean, in steps that no block size divides.
            plan.size / 2 + number * 7919 % plan.size.max(1)
        };
        out.write_all(header(&path, size, b'0').as_bytes())?;
        let bytes = &mut body[..usize::try_from(size).unwrap_or(0)];
        noise.fill(bytes);
        out.write_all(bytes)?;
        pad(&mut out, size)?;
    }
    out.write_all(&[0; 1024])
}

/// Where a file lies: trees of packages, as package managers of languages make them.
fn place(number: u64) -> (Vec<String>, String) {
    const TOPS: [&str; 4] = [
        "usr/share/doc",
        "usr/lib/python3/dist-packages",
        "opt/app",
        "var/lib",
    ];
    const SUBS: [&str; 5] = ["src", "test/data", "locale", "include", "dist"];
    let directory = number / 16;
    let pick = |of: &[&str], n: u64| of[usize::try_from(n).unwrap_or(0) % of.len()].to_owned();
    let mut path: Vec<String> = pick(&TOPS, directory / 64)
        .split('/')
        .map(str::to_owned)
        .collect();
    path.push(format!("package-{}", directory / 8));
    // One directory of eight is the package's own.
    if !directory.is_multiple_of(8) {
        path.extend(pick(&SUBS, directory % 8 - 1).split('/').map(str::to_owned));
        if directory % 8 > 5 {
            path.push("more".to_owned());
        }
    }
    (path, format!("module_{number:07}.py"))
}

/// Writes entries for those directories of a path that the layer has none for yet.
fn enter(out: &mut impl Write, made: &mut HashSet<String>, path: &[String]) -> io::Result<()> {
    for depth in 1..=path.len() {
        let directory = format!("{}/", path[..depth].join("/"));
        if !made.contains(&directory) {
            out.write_all(header(&directory, 0, b'5').as_bytes())?;
            made.insert(directory);
        }
    }
    Ok(())
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let padding = usize::try_from(size.wrapping_neg() % 512).unwrap_or(0);
    out.write_all(&[0; 512][..padding])
}

fn header(name: &str, size: u64, flag: u8) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header
        .set_path(name)
        .expect("the names of benches fit into a header");
    header.set_entry_type(tar::EntryType::new(flag));
    header.set_size(size);
    header.set_mode(if flag == b'5' { 0o755 } else { 0o644 });
    header.set_mtime(1_700_000_000);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    header
}

/// Bytes without a pattern, quickly (xorshift, Marsaglia 2003).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&self.0.to_le_bytes()[..chunk.len()]);
        }
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

/// Something that is timed.
pub struct Contender<'c> {
    /// What it is called.
    pub name: &'c str,
    /// Does it.
    pub run: Box<dyn FnMut() -> Outcome + 'c>,
    /// Tidies up after it, untimed.
    pub after: Box<dyn FnMut() -> Outcome + 'c>,
}

/// How long something took, over all rounds.
#[derive(Clone, Debug)]
pub struct Times {
    sorted: Vec<Duration>,
    /// The median time on processors, user and system, of this process and its children; `None`
    /// where `/proc` does not tell.
    pub cpu: Option<Duration>,
}

impl Times {
    /// The one that counts.
    pub fn median(&self) -> Duration {
        self.sorted[self.sorted.len() / 2]
    }

    /// The fastest round.
    pub fn best(&self) -> Duration {
        self.sorted[0]
    }

    /// The slowest round.
    pub fn worst(&self) -> Duration {
        self.sorted[self.sorted.len() - 1]
    }

    /// Median by median, and fastest by fastest.
    pub fn ratio(&self, of: &Self) -> (f64, f64) {
        (
            self.median().as_secs_f64() / of.median().as_secs_f64(),
            self.best().as_secs_f64() / of.best().as_secs_f64(),
        )
    }
}

/// Runs each contender once to warm up, then all in turns.
pub fn race(contenders: &mut [Contender<'_>]) -> Result<Vec<Times>, Box<dyn Error>> {
    let mut times = vec![(Vec::new(), Vec::new()); contenders.len()];
    for round in 0..=ROUNDS {
        for (contender, (walls, cpus)) in contenders.iter_mut().zip(&mut times) {
            let (start, cpu) = (Instant::now(), cpu_time());
            (contender.run)()?;
            let wall = start.elapsed();
            if round > 0 {
                walls.push(wall);
                cpus.extend(
                    cpu_time()
                        .zip(cpu)
                        .map(|(after, before)| after.saturating_sub(before)),
                );
            }
            (contender.after)()?;
        }
    }
    Ok(times
        .into_iter()
        .map(|(mut sorted, mut cpus)| {
            sorted.sort_unstable();
            cpus.sort_unstable();
            Times {
                cpu: cpus.get(cpus.len() / 2).copied(),
                sorted,
            }
        })
        .collect())
}

/// What this process and its children have had of the processors; to a hundredth of a second, the
/// tick that Linux shows to programs everywhere.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Some(Duration::from_millis(ticks * 10))
}

// --- limits ---------------------------------------------------------------------------------------

/// What a thread takes at a time when SHA-256 is measured, in bytes.
pub const PIECE: u64 = 8 << 20;
/// What is read at a time where nothing else says how much, in bytes.
pub const BUFFER: usize = 256 << 10;

/// Does all work; the threads take it from one queue.
pub fn each<T: Sync>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> io::Result<()> + Sync,
) -> Outcome {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let worker = || -> io::Result<()> {
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                work(item)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            worker.join().map_err(|_| "a worker panicked")??;
        }
        Ok(())
    })
}

// --- processes ------------------------------------------------------------------------------------

/// Runs a program without its output; `directory` is where it puts temporary files.
pub fn run(program: &str, args: &[&str], directory: &Path) -> Outcome {
    let status = quiet(program, args, directory).status()?;
    if !status.success() {
        return Err(format!("{program} {}: {status}", args.join(" ")).into());
    }
    Ok(())
}

/// The most memory that a program held at any time, in KiB; `None` where `/proc` does not tell.
///
/// The mark is read again and again until the program ends, so it misses only what was taken in the
/// last millisecond.
pub fn peak_memory(
    program: &str,
    args: &[&str],
    directory: &Path,
) -> Result<Option<u64>, Box<dyn Error>> {
    let mut child = quiet(program, args, directory).spawn()?;
    let file = format!("/proc/{}/status", child.id());
    let mut peak = None;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let mark = fs::read_to_string(&file).ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
        });
        peak = mark.or(peak);
        thread::sleep(Duration::from_millis(1));
    };
    if !status.success() {
        return Err(format!("{program} {}: {status}", args.join(" ")).into());
    }
    Ok(peak)
}

fn quiet(program: &str, args: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("TMPDIR", directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
