//! Progress in a real terminal, what Ctrl-C leaves, and the closing line.

use std::fs;

use crate::browse::Tmux;
use crate::support::{engines, imgtar, shown};

/// A shell that lives on when Ctrl-C ends what it has started, and an archive that comes through a slow pipe.
fn slowly(archive: &str, seconds: u32, rest: &str) -> String {
    format!(
        "trap : INT; (head -c 5000 '{archive}'; sleep {seconds}; tail -c +5001 '{archive}') | {rest}"
    )
}

#[test]
fn a_slow_pipe_has_a_line_that_goes() {
    let archive = engines("docker26-one.tar");
    let script = slowly(&archive, 2, "$imgtar flatten - -o out.tar");
    for width in [30, 80, 160] {
        let Some(tmux) = Tmux::start("progress", (width, 10), &script) else {
            return;
        };
        let screen = tmux.until("progress", |screen| screen.contains("[1/2] reading"));
        assert!(screen.contains("[1/2] reading the p"), "{screen}");
        assert_eq!(screen.trim().lines().count(), 1, "{screen}");
        let screen = tmux.sees("exit 0");
        assert!(!screen.contains("reading"), "{screen}");
        assert!(screen.starts_with("out.tar: "), "{screen}");
    }
}

#[test]
fn no_progress_means_none() {
    let archive = engines("docker26-one.tar");
    let script = slowly(&archive, 1, "$imgtar --no-progress flatten - -o out.tar -q");
    let Some(tmux) = Tmux::start("progress", (80, 10), &script) else {
        return;
    };
    let screen = tmux.sees("exit 0");
    assert_eq!(screen.trim(), "exit 0");
}

/// Ctrl-C takes the bar away, leaves nothing and says so.
#[test]
fn control_c_says_what_is_true() {
    let archive = engines("docker26-one.tar");
    for (command, said) in [
        (
            "$imgtar flatten - -o out.tar",
            "interrupted, nothing written",
        ),
        ("$imgtar images -", "interrupted"),
        (
            // What it compares with comes slowly, when the output is open already.
            "$imgtar commit '{archive}' - -o out.tar",
            "interrupted, nothing written to out.tar",
        ),
        (
            "sh -c \"echo old > out.tar; $imgtar commit '{archive}' - -f -o out.tar\"",
            "interrupted, nothing written; out.tar is as before",
        ),
        (
            "$imgtar commit '{archive}' - | cat > got",
            "interrupted: what went to standard output is incomplete",
        ),
    ] {
        let command = command.replace("{archive}", &archive);
        let Some(tmux) = Tmux::start("progress", (80, 10), &slowly(&archive, 600, &command)) else {
            return;
        };
        tmux.sees("reading the pipe");
        tmux.keys(&["C-c"]);
        let screen = tmux.sees("interrupted");
        let lines: Vec<&str> = screen.lines().map(str::trim_end).collect();
        assert!(
            lines
                .iter()
                .any(|line| line.trim_start_matches("^C") == said),
            "{said}: {screen}"
        );
        assert!(!screen.contains("reading"), "{screen}");
        let left = fs::read_dir(tmux.directory.path()).expect("a directory");
        let left: Vec<String> = left
            .map(|entry| shown(&entry.expect("an entry").path()))
            .filter(|name| name.contains(".part") || name.ends_with("out.tar"))
            .collect();
        assert_eq!(
            left.len(),
            usize::from(said.contains("as before")),
            "{left:?}"
        );
    }
}

/// Every command that writes says what it wrote, unless it is asked not to or its JSON says it.
#[test]
fn every_command_that_writes_says_what() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| shown(&directory.path().join(name));
    let archive = engines("docker26-one.tar");
    let (flat, metadata) = (at("flat.tar"), at("app.imgtar"));
    imgtar(&["flatten", &archive, "-o", &flat, "--metadata", &metadata]).exits(0);
    let merged = at("merged.tar");
    let other = engines("docker26-multi.tar");
    imgtar(&["merge", &archive, &other, "-o", &merged]).exits(0);
    let commands: [&[&str]; 13] = [
        &["flatten", &archive],
        &["rebuild", &flat, "--metadata", &metadata],
        &["import", &flat],
        &["commit", &archive, &flat],
        &["squash", &archive],
        &["convert", &archive, "--layout", "oci"],
        &["select", &archive],
        &["merge", &archive],
        &["thin", &merged, "--base", &archive],
        &["tag", &archive, "new:1"],
        &["config", &archive, "-c", "CMD [\"x\"]"],
        &["report", &archive],
        &["dockerfile", &archive],
    ];
    for (n, command) in commands.iter().enumerate() {
        let out = at(&format!("out-{n}"));
        let run = imgtar(&[command, &["-o", &out][..]].concat()).exits(0);
        let errors = run.err();
        let last = errors.lines().last().unwrap_or_default();
        let size = fs::metadata(&out).expect("it was written").len();
        let size = imgtar::report::units::size_spaced(size);
        assert!(last.starts_with(&format!("{out}: {size}, ")), "{run}");
        let run = imgtar(&[command, &["-q", "-f", "-o", &out][..]].concat()).exits(0);
        assert!(!run.err().contains(&format!("{out}: ")), "{run}");
    }
    for command in [
        &["select", &archive][..],
        &["tag", &archive, "new:1"],
        &["report", &archive],
    ] {
        let out = at("json");
        let run = imgtar(&[command, &["--json", "-f", "-o", &out][..]].concat()).exits(0);
        assert!(!run.err().contains(&format!("{out}: ")), "{run}");
    }
}
