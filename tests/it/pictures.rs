//! The pictures of the README are what the program prints on a terminal.
//!
//! `docs/pictures/make.sh` draws them anew: it runs these tests with `UPDATE_DOCS=1`. That is needed after a change of
//! the output, and after the test data was remade, since its digests and times are in the pictures.

use std::env;
use std::process::{Command, Stdio};

use anstyle_svg::Term;

use crate::support::{skip, up_to_date};

/// How wide the terminal is, in cells.
const WIDTH: usize = 100;

/// The pictures, and what is typed for each.
const PICTURES: [(&str, &str); 5] = [
    ("verify", "verify testdata/broken/layer-bit-flipped.tar"),
    (
        "layers",
        "layers testdata/engines/docker20-multi.tar imgtar-testdata/app:1",
    ),
    (
        "ls",
        "ls testdata/engines/docker26-one.tar --tree bin etc lib opt",
    ),
    ("waste", "waste testdata/engines/docker20-one.tar"),
    (
        "diff",
        "diff testdata/engines/docker20-multi.tar --old-image imgtar-testdata/base:1 --new-image imgtar-testdata/classic:1",
    ),
];

/// What a command prints on a terminal, colours included; `None` if there is no program that makes a terminal.
fn on_a_terminal(typed: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_imgtar");
    let line = format!("stty cols {WIDTH} rows 50; exec '{program}' --no-progress {typed}");
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .envs([
            ("TZ", "UTC"),
            ("LC_ALL", "C.UTF-8"),
            ("TERM", "xterm-256color"),
            ("SHELL", "/bin/sh"),
        ])
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR")
        .env_remove("LS_COLORS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    // Open to the end: its end would be typed too.
    let stdin = child.stdin.take();
    let output = child.wait_with_output().expect("script ends");
    drop(stdin);
    let text = String::from_utf8(output.stdout).expect("what imgtar prints is UTF-8");
    Some(text.replace('\r', ""))
}

#[test]
fn the_pictures_are_up_to_date() {
    if !cfg!(target_os = "linux") {
        return skip("the pictures", "only util-linux's `script` is known here");
    }
    let mut coloured = 0;
    for (name, typed) in PICTURES {
        let Some(text) = on_a_terminal(typed) else {
            return skip("the pictures", "there is no `script`");
        };
        assert!(!text.contains("error:"), "{typed}: {text}");
        let shown = format!("\u{1b}[1m$ imgtar {typed}\u{1b}[0m\n{}", text.trim_end());
        coloured += usize::from(text.contains('\u{1b}'));
        let mut svg = Term::new()
            .palette(anstyle_svg::WIN10_CONSOLE)
            .render_svg(&shown);
        if !svg.ends_with('\n') {
            svg.push('\n');
        }
        up_to_date(&format!("docs/pictures/{name}.svg"), &svg);
    }
    assert!(coloured >= 3, "{coloured} pictures have colours");
}
