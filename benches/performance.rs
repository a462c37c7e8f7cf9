//! `docs/performance.md`, measured: every command against its limit and against the peers that are installed,
//! with memory, and how time and memory grow with entries, layers and bytes.
//!
//! ```console
//! $ cargo bench --bench performance > docs/performance.md
//! $ python3 packaging/measure.py >> docs/performance.md
//! ```
//!
//! The second line is about the packages, after `packaging/make.sh`.
//!
//! The page goes to standard output, what is going on to standard error. Files are made in
//! `IMGTAR_BENCH_DIR` (memory, where the system has it as a directory). `IMGTAR_BENCH_ARCHIVE` and
//! `IMGTAR_BENCH_GZIP` name other archives than the synthetic ones, with one image each, the latter with
//! gzip layers. Docker is asked where `D26` or `DOCKER_HOST` names its socket. `IMGTAR_BENCH_BEFORE` names
//! another build of imgtar, which is timed in the same rounds, for a column of its own.
//!
//! A limit is what the work costs without imgtar: the processor time of copying, of SHA-256 and of inflating
//! the same bytes in the same run, summed up and divided by the cores.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench prints its figures"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a bench starts programs, starts threads and writes files"
)]

#[path = "support/many.rs"]
mod many;
mod support;

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use many::{BUFFER, Contender, PIECE, Plan, Times, USUAL, each, peak_memory, race, run};
use support::{IMGTAR, Outcome, billions, is_installed};

/// Everything that is measured with.
struct Bench {
    /// Where files are made.
    directory: PathBuf,
    /// Where outputs go; it vanishes at the end.
    scratch: tempfile::TempDir,
    threads: usize,
    plain: PathBuf,
    gzip: PathBuf,
}

/// One row of the page.
struct Row {
    what: String,
    times: Times,
    /// The same by the other build.
    before: Option<Times>,
    kib: Option<u64>,
    limit: Option<Limit>,
}

/// What the work costs without imgtar.
#[derive(Clone, Copy)]
struct Limit {
    /// Processor time, which all cores share.
    shared: Duration,
    /// How long one file takes to write, which no number of cores makes faster.
    alone: Duration,
    /// What it is made of.
    parts: &'static str,
}

fn main() -> Outcome {
    let bench = Bench::new()?;
    let costs = bench.costs()?;
    println!("# Performance\n");
    println!(
        "This page is the output of `cargo bench --bench performance`, apart from its last three sections. Programs that are\n\
         compared were run in turns, in one run, on files in the cache; each figure is the median of five rounds.\n\
         Machines differ: compare ratios, not seconds.\n"
    );
    bench.introduce()?;
    costs.print();
    println!("\n## Commands against their limits\n");
    println!(
        "The limit is the processor time that the work costs without imgtar, divided by the cores: copying the\n\
         output, SHA-256 of everything that is hashed, inflating everything that is compressed. It is never less than what `cp` takes to\n\
         write the output, since systems let only one thread at a time write to a file.\n"
    );
    let has_before = env::var_os("IMGTAR_BENCH_BEFORE").is_some();
    let [before, rule] = if has_before {
        [" before |", "---|"]
    } else {
        ["", ""]
    };
    println!("| command |{before} seconds | processor s | MB | limit s | ratio | limit is |");
    println!("|---|{rule}---|---|---|---|---|---|");
    bench.looks()?;
    bench.writes(&costs)?;
    println!("\n## Against other programs\n");
    println!(
        "Seconds of imgtar and of another program that does nearly the same work; where the ratio is below 1, imgtar is\n\
         faster.\n"
    );
    println!("| imgtar | seconds | other program | seconds | ratio |");
    println!("|---|---|---|---|---|");
    bench.peers()?;
    println!("\n## Growth\n");
    println!("| what grows | command | seconds | MB | seconds | MB | time grows | memory grows |");
    println!("|---|---|---|---|---|---|---|---|");
    bench.growth()
}

impl Bench {
    fn new() -> Result<Self, Box<dyn Error>> {
        let directory = many::directory();
        let scratch = tempfile::Builder::new()
            .prefix("imgtar-bench-")
            .tempdir_in(&directory)?;
        let plain = match env::var_os("IMGTAR_BENCH_ARCHIVE") {
            Some(path) => path.into(),
            None => many::image(&directory, USUAL)?,
        };
        let gzip = match env::var_os("IMGTAR_BENCH_GZIP") {
            Some(path) => path.into(),
            None => gzipped(&plain, scratch.path())?,
        };
        Ok(Self {
            directory,
            scratch,
            threads: thread::available_parallelism()?.get(),
            plain,
            gzip,
        })
    }

    fn introduce(&self) -> Outcome {
        println!(
            "{} cores, files in {}. The archive with plain layers has {:.2} GB, the one with gzip layers {:.2} GB.\n",
            self.threads,
            if self.directory == Path::new("/dev/shm") {
                "memory"
            } else {
                "a directory of the disk"
            },
            billions(fs::metadata(&self.plain)?.len()),
            billions(fs::metadata(&self.gzip)?.len()),
        );
        Ok(())
    }

    fn at(&self, name: &str) -> Result<String, Box<dyn Error>> {
        text(&self.scratch.path().join(name))
    }

    /// What the parts of the work cost: on the archives, and on the flat tar.
    fn costs(&self) -> Result<Costs, Box<dyn Error>> {
        eprintln!("performance: the limits");
        let [flat, copy] = [self.at("flat.tar")?, self.at("copy.tar")?];
        let plain = text(&self.plain)?;
        run(
            IMGTAR,
            &["flatten", &plain, "-o", &flat, "--no-verify"],
            &self.directory,
        )?;
        let layers = gzip_members(&self.gzip)?;
        let remove = || -> Outcome { Ok(fs::remove_file(&copy)?) };
        let nothing = || -> Outcome { Ok(()) };
        let times = race(&mut [
            Contender {
                name: "cp of the flat tar",
                run: Box::new(|| run("cp", &[&flat, &copy], &self.directory)),
                after: Box::new(remove),
            },
            Contender {
                name: "cp of the archive",
                run: Box::new(|| run("cp", &[&plain, &copy], &self.directory)),
                after: Box::new(remove),
            },
            Contender {
                name: "SHA-256 of the flat tar",
                run: Box::new(|| hash(Path::new(&flat), self.threads)),
                after: Box::new(nothing),
            },
            Contender {
                name: "SHA-256 of the archive",
                run: Box::new(|| hash(&self.plain, self.threads)),
                after: Box::new(nothing),
            },
            Contender {
                name: "inflate",
                run: Box::new(|| inflate(&self.gzip, &layers, self.threads)),
                after: Box::new(nothing),
            },
        ])?;
        let [cp_flat, cp_archive, sha_flat, sha_archive, inflate] =
            times.try_into().map_err(|_| "a contender is missing")?;
        Ok(Costs {
            threads: self.threads,
            cp_flat,
            cp_archive,
            sha_flat,
            sha_archive,
            inflate,
        })
    }

    /// What only reads headers.
    fn looks(&self) -> Outcome {
        let plain = text(&self.plain)?;
        for command in ["images", "inspect", "layers", "history", "tree", "ls"] {
            self.row(command, &[command, &plain], None)?
                .print(self.threads);
        }
        Ok(())
    }

    /// What reads, digests or writes every byte.
    #[expect(clippy::too_many_lines, reason = "one table, row by row")]
    fn writes(&self, costs: &Costs) -> Outcome {
        let [plain, gzip] = [text(&self.plain)?, text(&self.gzip)?];
        let names = [
            "flat.tar",
            "new.tar",
            "new.metadata",
            "flat.metadata",
            "sums",
        ];
        let paths = names.map(|name| self.scratch.path().join(name));
        let [flat, new, new_metadata, metadata, sums] = [0, 1, 2, 3, 4].map(|i| text(&paths[i]));
        let (flat, new, new_metadata, metadata, sums) =
            (flat?, new?, new_metadata?, metadata?, sums?);
        let lean = self.at("lean.tar")?;
        run(
            IMGTAR,
            &["flatten", &plain, "-o", &lean, "--metadata", &metadata],
            &self.directory,
        )?;
        let sum = |parts: &[&Times]| parts.iter().filter_map(|times| times.cpu).sum::<Duration>();
        let sha_in = &costs.sha_archive;
        let nothing = Duration::ZERO;
        let (cp_flat, cp_archive) = (costs.cp_flat.median(), costs.cp_archive.median());
        let rows: Vec<(&str, Vec<&str>, Duration, Duration, &'static str)> = vec![
            (
                "verify",
                vec!["verify", &plain],
                sum(&[sha_in]),
                nothing,
                "SHA-256",
            ),
            (
                "verify --checksum",
                vec!["verify", &plain, "--checksum", &sums, "--force"],
                sum(&[sha_in, sha_in]),
                nothing,
                "SHA-256 of layers and of the file",
            ),
            (
                "flatten --no-verify",
                vec!["flatten", &plain, "-o", &new, "--force", "--no-verify"],
                sum(&[&costs.cp_flat]),
                cp_flat,
                "cp",
            ),
            (
                "flatten",
                vec!["flatten", &plain, "-o", &new, "--force"],
                sum(&[sha_in, &costs.cp_flat]),
                cp_flat,
                "SHA-256, cp",
            ),
            (
                "flatten --metadata",
                vec![
                    "flatten",
                    &plain,
                    "-o",
                    &new,
                    "--force",
                    "--metadata",
                    &new_metadata,
                ],
                sum(&[sha_in, &costs.cp_flat]),
                cp_flat,
                "SHA-256, cp",
            ),
            (
                "rebuild",
                vec![
                    "rebuild",
                    &lean,
                    "--metadata",
                    &metadata,
                    "-o",
                    &new,
                    "--force",
                ],
                sum(&[sha_in, &costs.cp_archive]),
                cp_archive,
                "SHA-256, cp",
            ),
            (
                "squash",
                vec!["squash", &plain, "-o", &new, "--force"],
                sum(&[sha_in, &costs.sha_flat, &costs.cp_flat]),
                cp_flat,
                "SHA-256 of both, cp",
            ),
            (
                "import",
                vec!["import", &flat, "-o", &new, "--force"],
                sum(&[&costs.sha_flat, &costs.cp_flat]),
                cp_flat,
                "SHA-256, cp",
            ),
            (
                "commit",
                vec!["commit", &plain, &flat, "-o", &new, "--force"],
                sum(&[sha_in, &costs.cp_archive]),
                cp_archive,
                "SHA-256, cp",
            ),
            (
                "ls, gzip layers",
                vec!["ls", &gzip],
                sum(&[&costs.inflate]),
                nothing,
                "inflate",
            ),
            (
                "verify, gzip layers",
                vec!["verify", &gzip],
                sum(&[&costs.inflate, sha_in]),
                nothing,
                "inflate, SHA-256",
            ),
            (
                "flatten, gzip layers",
                vec!["flatten", &gzip, "-o", &new, "--force"],
                sum(&[&costs.inflate, sha_in, &costs.cp_flat]),
                cp_flat,
                "inflate, SHA-256, cp",
            ),
        ];
        for (what, args, shared, alone, parts) in rows {
            let limit = Limit {
                shared,
                alone,
                parts,
            };
            self.row(what, &args, Some(limit))?.print(self.threads);
        }
        Ok(())
    }

    fn row(&self, what: &str, args: &[&str], limit: Option<Limit>) -> Result<Row, Box<dyn Error>> {
        eprintln!("performance: {what}");
        let before = env::var("IMGTAR_BENCH_BEFORE").ok();
        let programs = [Some(IMGTAR), before.as_deref()];
        let mut contenders: Vec<Contender<'_>> = programs
            .into_iter()
            .flatten()
            .map(|program| Contender {
                name: program,
                run: Box::new(move || run(program, args, &self.directory)),
                after: Box::new(|| Ok(())),
            })
            .collect();
        let mut times = race(&mut contenders)?.into_iter();
        Ok(Row {
            what: what.to_owned(),
            times: times.next().ok_or("nothing was timed")?,
            before: times.next(),
            kib: peak_memory(IMGTAR, args, &self.directory)?,
            limit,
        })
    }

    fn peers(&self) -> Outcome {
        let plain = text(&self.plain)?;
        let [flat, new, other] = [self.at("flat.tar")?, self.at("new.tar")?, self.at("other")?];
        let docker_archive = format!("docker-archive:{plain}");
        let directory = format!("dir:{other}");
        let quoted = |line: &str| vec!["-c".to_owned(), line.to_owned()];
        let flatten = ["flatten", &plain, "-o", &new, "--force"];
        let as_is = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let mut pairs = vec![
            (
                as_is(&["inspect", &plain]),
                "skopeo",
                "skopeo inspect",
                as_is(&["inspect", &docker_archive]),
            ),
            (
                as_is(&["images", &plain]),
                "tar",
                "tar -tf",
                as_is(&["-tf", &plain]),
            ),
            (
                as_is(&["verify", &plain]),
                "sha256sum",
                "sha256sum",
                as_is(&[&plain]),
            ),
            (
                as_is(&["verify", &plain]),
                "skopeo",
                "skopeo copy to a directory",
                as_is(&[
                    "copy",
                    "-q",
                    "--insecure-policy",
                    &docker_archive,
                    &directory,
                ]),
            ),
            (
                as_is(&flatten),
                "crane",
                "crane export",
                as_is(&["export", "-", &other]),
            ),
        ];
        let socket = env::var("D26").or_else(|_| env::var("DOCKER_HOST"));
        if let Ok(socket) = socket {
            let docker = format!("docker -H {socket}");
            let load = format!(
                "set -e; id=$({docker} load -q -i {plain} | sed 's/.*: //'); c=$({docker} create $id x); \
                 {docker} export -o {other} $c; {docker} rm $c; {docker} rmi -f $id"
            );
            let import = format!(
                "set -e; id=$({docker} import {flat}); {docker} save -o {other} $id; {docker} rmi -f $id"
            );
            pairs.push((
                as_is(&flatten),
                "sh",
                "docker load, create, export",
                quoted(&load),
            ));
            pairs.push((
                as_is(&["import", &flat, "-o", &new, "--force"]),
                "sh",
                "docker import, save",
                quoted(&import),
            ));
        }
        for (ours, program, name, theirs) in pairs {
            self.against(&ours, program, name, &theirs)?;
        }
        Ok(())
    }

    fn against(&self, ours: &[String], program: &str, name: &str, theirs: &[String]) -> Outcome {
        let command = format!("imgtar {}", ours[0]);
        if program != "sh" && !is_installed(program) {
            println!("| {command} | | {name} | not installed | |");
            return Ok(());
        }
        eprintln!("performance: {command} against {name}");
        let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
        let input = if program == "crane" {
            Some(&*self.plain)
        } else {
            None
        };
        let other = self.scratch.path().join("other");
        let clean = || -> Outcome {
            if other.is_dir() {
                fs::remove_dir_all(&other)?;
            } else if other.exists() {
                fs::remove_file(&other)?;
            }
            Ok(())
        };
        // Not every peer reads every archive.
        if let Err(error) = started(program, theirs, input) {
            clean()?;
            println!("| {command} | | {name} | failed | |");
            eprintln!("performance: {error}");
            return Ok(());
        }
        clean()?;
        let times = race(&mut [
            Contender {
                name: "imgtar",
                run: Box::new(|| run(IMGTAR, &ours, &self.directory)),
                after: Box::new(|| Ok(())),
            },
            Contender {
                name,
                run: Box::new(|| started(program, theirs, input)),
                after: Box::new(clean),
            },
        ])?;
        println!(
            "| {command} | {:.3} | {name} | {:.3} | {:.3} |",
            times[0].median().as_secs_f64(),
            times[1].median().as_secs_f64(),
            times[0].ratio(&times[1]).0
        );
        Ok(())
    }

    /// Ten times of one thing, and nothing more of the others.
    fn growth(&self) -> Outcome {
        let base = Plan {
            files: 20_000,
            layers: 10,
            replaced: 0,
            size: 400,
            empty: 0,
            on_top: false,
        };
        let grown = [
            (
                "entries, times 10",
                Plan {
                    files: base.files * 10,
                    size: base.size / 10,
                    ..base
                },
            ),
            (
                "layers, times 10",
                Plan {
                    layers: base.layers * 10,
                    ..base
                },
            ),
            (
                "bytes, times 10",
                Plan {
                    size: base.size * 10,
                    ..base
                },
            ),
        ];
        let small = many::image(&self.directory, base)?;
        for (what, plan) in grown {
            let large = many::image(&self.directory, plan)?;
            for command in ["images", "ls", "verify", "flatten"] {
                let args = |path: &Path| -> Result<Vec<String>, Box<dyn Error>> {
                    let mut args = vec![command.to_owned(), text(path)?];
                    if command == "flatten" {
                        args.extend(["-o".to_owned(), self.at("new.tar")?, "--force".to_owned()]);
                    }
                    Ok(args)
                };
                let [a, b] = [args(&small)?, args(&large)?];
                let [a, b] =
                    [&a, &b].map(|args| args.iter().map(String::as_str).collect::<Vec<_>>());
                let [a, b] = [self.row(what, &a, None)?, self.row(what, &b, None)?];
                let memory = match (a.kib, b.kib) {
                    (Some(a), Some(b)) => format!("{:.1}", megas(b) / megas(a)),
                    _ => String::new(),
                };
                println!(
                    "| {what} | {command} | {:.3} | {} | {:.3} | {} | {:.1} | {memory} |",
                    a.times.median().as_secs_f64(),
                    a.memory(),
                    b.times.median().as_secs_f64(),
                    b.memory(),
                    b.times.ratio(&a.times).0,
                );
            }
            fs::remove_file(large)?;
        }
        Ok(())
    }
}

/// What the parts of the work cost.
struct Costs {
    threads: usize,
    cp_flat: Times,
    cp_archive: Times,
    sha_flat: Times,
    sha_archive: Times,
    inflate: Times,
}

impl Costs {
    fn print(&self) {
        println!("| cost | seconds | processor s |");
        println!("|---|---|---|");
        for (what, times) in [
            ("`cp` of the flat tar", &self.cp_flat),
            ("`cp` of the archive", &self.cp_archive),
            ("SHA-256 of the flat tar, all cores", &self.sha_flat),
            ("SHA-256 of the archive, all cores", &self.sha_archive),
            ("inflating the gzip layers, all cores", &self.inflate),
        ] {
            println!(
                "| {what} | {:.3} | {:.2} |",
                times.median().as_secs_f64(),
                times.cpu.unwrap_or_default().as_secs_f64()
            );
        }
        println!(
            "\nThese rows compute one hash at a time on each of {} cores; where the processor supports it, imgtar hashes two\nlayers at once on each.",
            self.threads
        );
    }
}

impl Row {
    fn print(&self, threads: usize) {
        let (limit, ratio, parts) = match self.limit {
            Some(limit) => {
                let threads = u32::try_from(threads).unwrap_or(u32::MAX);
                let least = (limit.shared / threads).max(limit.alone).as_secs_f64();
                let ratio = self.times.median().as_secs_f64() / least;
                (format!("{least:.3}"), format!("{ratio:.2}"), limit.parts)
            }
            None => (String::new(), String::new(), "headers only"),
        };
        let before = self.before.as_ref().map_or_else(String::new, |times| {
            format!(" {:.3} |", times.median().as_secs_f64())
        });
        println!(
            "| {} |{before} {:.3} | {:.2} | {} | {limit} | {ratio} | {parts} |",
            self.what,
            self.times.median().as_secs_f64(),
            self.times.cpu.unwrap_or_default().as_secs_f64(),
            self.memory(),
        );
    }

    fn memory(&self) -> String {
        self.kib
            .map_or_else(String::new, |kib| format!("{:.0}", megas(kib)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "no digit beyond is printed")]
fn megas(kib: u64) -> f64 {
    kib as f64 * 1.024e-3
}

fn text(path: &Path) -> Result<String, Box<dyn Error>> {
    Ok(path.to_str().ok_or("the path is not UTF-8")?.to_owned())
}

/// Runs another program without its output.
fn started(program: &str, args: &[String], input: Option<&Path>) -> Outcome {
    let input = match input {
        Some(path) => Stdio::from(File::open(path)?),
        None => Stdio::null(),
    };
    let status = Command::new(program)
        .args(args)
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("{program} {}: {status}", args.join(" ")).into());
    }
    Ok(())
}

// --- the parts of the work ------------------------------------------------------------------------

/// Hashes a file in pieces that the threads take from one queue; the digests mean nothing.
fn hash(path: &Path, threads: usize) -> Outcome {
    let len = fs::metadata(path)?.len();
    let pieces: Vec<u64> = (0..len.div_ceil(PIECE)).map(|n| n * PIECE).collect();
    each(&pieces, threads, |from| {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(*from))?;
        let mut file = file.take(PIECE);
        let mut buf = vec![0; BUFFER];
        let mut hash = Sha256::new();
        loop {
            match file.read(&mut buf)? {
                0 => break,
                n => hash.update(&buf[..n]),
            }
        }
        std::hint::black_box(hash.finalize());
        Ok(())
    })
}

/// Where the gzip members of an archive stand, and how long they are.
fn gzip_members(path: &Path) -> Result<Vec<(u64, u64)>, Box<dyn Error>> {
    let mut archive = tar::Archive::new(File::open(path)?);
    let mut members = Vec::new();
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let mut magic = [0; 2];
        if entry.read(&mut magic)? == 2 && magic == [0x1f, 0x8b] {
            members.push((entry.raw_file_position(), entry.size()));
        }
    }
    members.sort_by_key(|(_, len)| std::cmp::Reverse(*len));
    Ok(members)
}

/// Inflates all members, the largest first, and looks at nothing.
fn inflate(path: &Path, members: &[(u64, u64)], threads: usize) -> Outcome {
    each(members, threads, |(at, len)| {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(*at))?;
        let file = io::BufReader::with_capacity(BUFFER, file.take(*len));
        let mut decoder = MultiGzDecoder::new(file);
        let mut buf = vec![0; BUFFER];
        while decoder.read(&mut buf)? > 0 {}
        Ok(())
    })
}

/// The same archive with gzip layers.
fn gzipped(plain: &Path, directory: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let path = directory.join("gzip.tar");
    let mut archive = tar::Archive::new(File::open(plain)?);
    let mut out = tar::Builder::new(io::BufWriter::new(File::create(&path)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let mut header = entry.header().clone();
        let name = entry.path()?.into_owned();
        let mut bytes = Vec::new();
        if name.ends_with("layer.tar") {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            io::copy(&mut entry, &mut encoder)?;
            bytes = encoder.finish()?;
        } else {
            entry.read_to_end(&mut bytes)?;
        }
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        out.append(&header, &*bytes)?;
    }
    out.into_inner()?.flush()?;
    Ok(path)
}
