//! Every key of the help.

use std::collections::BTreeSet;
use std::io::Cursor;

use crossterm::event::{Event, KeyCode};
use imgtar::tree::LayerView;

use super::super::keys::KEYS;
use super::super::model::{Pane, Popup, Screen};
use super::Stage;
use crate::cli::files::Files;

/// Where the clicks of people go has its own test; keys are tried here, each by all of its names.
#[test]
fn every_key_of_the_help_does_what_it_says() {
    for help in &KEYS {
        try_key(help.keys);
    }
    let keys: BTreeSet<&str> = KEYS.iter().map(|help| help.keys).collect();
    assert_eq!(keys.len(), KEYS.len());
}

fn try_key(keys: &str) {
    let mut stage = Stage::one();
    match keys {
        "Tab" => {
            assert_eq!(stage.pane(), Pane::Layers);
            stage.key(KeyCode::Tab);
            assert_eq!(stage.pane(), Pane::Files);
            stage.key(KeyCode::BackTab);
            assert_eq!(stage.pane(), Pane::Layers);
        }
        "↑ ↓ j k" => {
            stage.press("jj");
            stage.key(KeyCode::Down);
            assert_eq!(stage.layer(), 3);
            stage.press("k");
            stage.key(KeyCode::Up);
            assert_eq!(stage.layer(), 1);
            stage.sees("FILES up to layer 1");
        }
        "← h" => {
            stage.go_to("etc/app");
            stage.press("l");
            stage.sees("▸ conf.d");
            stage.press("h");
            stage.sees_no("▸ conf.d");
            stage.key(KeyCode::Left);
            assert_eq!(stage.path(), "etc");
            stage.key(KeyCode::Left);
            assert_eq!(stage.pane(), Pane::Files);
            stage.press("h");
            assert_eq!(stage.pane(), Pane::Layers);
        }
        "→ l" => {
            stage.press("l");
            assert_eq!(stage.pane(), Pane::Files);
            stage.key(KeyCode::Right);
            stage.press("l");
            assert!(stage.path().starts_with("bin/"), "{}", stage.path());
        }
        other => try_distance(other, stage),
    }
}

/// The keys that go far.
fn try_distance(keys: &str, mut stage: Stage) {
    match keys {
        "g G Home End" => {
            stage.key(KeyCode::Tab);
            stage.press("G");
            assert_eq!(stage.path(), "var");
            stage.press("g");
            assert_eq!(stage.path(), "bin");
            stage.key(KeyCode::End);
            assert_eq!(stage.path(), "var");
            stage.key(KeyCode::Home);
            assert_eq!(stage.path(), "bin");
        }
        "PgUp PgDn" => {
            stage = Stage::new("engines/docker26-one.tar", (100, 13));
            stage.key(KeyCode::Tab);
            stage.key(KeyCode::PageDown);
            assert_eq!(stage.path(), "sys");
            stage.key(KeyCode::PageUp);
            assert_eq!(stage.path(), "bin");
            stage.control('d');
            assert_eq!(stage.path(), "mnt");
            stage.control('u');
            assert_eq!(stage.path(), "bin");
            stage.control('f');
            stage.control('b');
            assert_eq!(stage.path(), "bin");
        }
        "[ ]" => {
            stage.key(KeyCode::Tab);
            stage.press("]]");
            assert_eq!((stage.layer(), stage.pane()), (2, Pane::Files));
            stage.press("[");
            assert_eq!(stage.layer(), 1);
        }
        "Enter" => {
            stage.go_to("etc");
            stage.key(KeyCode::Enter);
            stage.sees("os-release");
            stage.go_to("etc/os-release");
            stage.key(KeyCode::Enter);
            stage.sees("NAME=");
        }
        "Space" => {
            stage.go_to("etc");
            stage.press(" ");
            stage.sees("os-release");
            stage.press(" ");
            stage.sees_no("os-release");
        }
        other => try_letter(other, stage),
    }
}

/// The keys that are letters and signs.
fn try_letter(keys: &str, mut stage: Stage) {
    match keys {
        "*" => {
            stage = Stage::new("engines/docker26-one.tar", (100, 60));
            stage.go_to("usr");
            stage.press("*");
            stage.sees("a-directory-with-a-long-name-3");
            stage.press("*");
            stage.sees_no("a-directory-with");
            stage.press(" ");
            stage.sees_no("a-directory-with-a-long-name-1");
        }
        "/" => try_filter(&mut stage),
        "d" => {
            stage.press("]d");
            assert_eq!(
                stage.browser.image().expect("one").files.view,
                LayerView::Changes
            );
            stage.sees("CHANGES of layer 1");
            stage.sees("D    700B");
            stage.sees_no("proc/");
            stage.press("d");
            stage.sees("FILES up to layer 1");
            stage.sees("proc/");
        }
        "s" => {
            stage.key(KeyCode::Tab);
            stage.press("s");
            stage.press("g");
            assert_eq!(stage.path(), "var");
            stage.sees("by size");
            stage.press("sg");
            assert_eq!(stage.path(), "bin");
        }
        other => try_answer(other, stage),
    }
}

/// The keys that put something on top, and those that leave.
fn try_answer(keys: &str, mut stage: Stage) {
    match keys {
        "w" => {
            stage.press("w");
            stage.sees("WASTE 4.53kB of 8.77kB");
            stage.press("j");
            stage.key(KeyCode::Enter);
            assert_eq!(stage.path(), "lib/libx.so.1.0");
            assert_eq!((stage.layer(), stage.pane()), (0, Pane::Files));
            stage.sees("deleted by layer 7");
        }
        "b" => {
            stage.go_to("var/lib/data");
            stage.press("b");
            stage.sees("changed: content, size, time");
            stage.press("j");
            stage.key(KeyCode::Enter);
            assert_eq!(
                (stage.layer(), stage.path()),
                (1, "var/lib/data".to_owned())
            );
        }
        "v" => try_view(&mut stage),
        "x" => try_extraction(&mut stage),
        "y" => {
            stage.press("y");
            stage.go_to("etc/os-release");
            stage.press("y");
            assert!(stage.copied[0].starts_with("sha256:"));
            assert_eq!(stage.copied[1], "etc/os-release");
            stage.sees("copied: etc/os-release");
        }
        "i" => {
            stage.press("i");
            stage.sees("no other image");
            let mut stage = Stage::new("engines/docker20-multi.tar", (80, 24));
            assert!(matches!(stage.browser.screen, Screen::Choosing(_)));
            stage.press("j");
            stage.key(KeyCode::Enter);
            stage.sees("LAYER");
            stage.press("i");
            assert!(matches!(&stage.browser.screen, Screen::Choosing(cursor) if cursor.at == 1));
            stage.key(KeyCode::Enter);
            stage.sees("FILES up to layer 0");
        }
        "?" => {
            stage.press("?");
            stage.sees("KEYS");
            stage.press("q");
            assert!(stage.browser.popup.is_none() && !stage.has_left);
        }
        "q" => {
            stage.press("?");
            stage.key(KeyCode::Esc);
            assert!(!stage.has_left);
            stage.press("q");
            assert!(stage.has_left);
            let mut stage = Stage::one();
            stage.control('c');
            assert!(stage.has_left);
        }
        other => panic!("{other} is not tried"),
    }
}

fn try_filter(stage: &mut Stage) {
    stage.press("/OS-");
    stage.sees("nothing matches the filter");
    stage.key(KeyCode::Esc);
    stage.press("/os-");
    stage.sees("/os-: 1 found");
    stage.sees("os-release");
    stage.sees_no("proc/");
    stage.key(KeyCode::Backspace);
    stage.key(KeyCode::Enter);
    stage.sees("/os: 1 found");
    stage.press("/");
    stage.control('u');
    stage.press("etc/*.conf");
    stage.sees("0 found");
    stage.key(KeyCode::Esc);
    stage.sees("/os: 1 found");
    stage.press("G");
    stage.key(KeyCode::Esc);
    assert_eq!(stage.path(), "etc/os-release");
    stage.sees("proc/");
}

fn try_view(stage: &mut Stage) {
    stage.press("v");
    stage.sees("this key is for files");
    stage.key(KeyCode::Tab);
    stage.press("v");
    stage.sees("a directory");
    stage.go_to("etc/os-release");
    stage.press("v");
    stage.sees("NAME=");
    stage.press("v");
    stage.sees("00000000  ");
    stage.key(KeyCode::Tab);
    stage.press("l");
    stage.sees_no("00000000");
    stage.press("hjkgGq");
    assert!(stage.browser.popup.is_none());
    stage.go_to("usr/lib64");
    stage.press("v");
    stage.sees("a symbolic link to");
}

fn try_extraction(stage: &mut Stage) {
    let directory = tempfile::tempdir().expect("a directory");
    stage.go_to("etc/os-release");
    stage.press("x");
    stage.sees("write the file to: os-release");
    stage.key(KeyCode::Esc);
    stage.sees("nothing was written");
    let write = |stage: &mut Stage, name: &str| {
        let to = directory.path().join(name);
        stage.press("x");
        stage.control('u');
        stage.event(&Event::Paste(to.display().to_string()));
        stage.key(KeyCode::Enter);
        to
    };
    let file = write(stage, "file");
    stage.sees("written");
    let text = std::fs::read_to_string(&file).expect("it was written");
    assert!(text.contains("NAME="));
    // Nothing is written over.
    write(stage, "file");
    assert!(
        matches!(&stage.browser.popup, Some(Popup::Failure(lines)) if lines[0].contains("already exists"))
    );
    stage.key(KeyCode::Esc);
    // A directory as it was before a layer deleted it.
    stage.press("]");
    stage.go_to("opt/gone");
    stage.sees("was from layer 0");
    let tar = write(stage, "gone.tar");
    let tar = Files::default()
        .bytes(&tar, 1 << 20)
        .expect("it can be read");
    let mut tar = tar::Archive::new(Cursor::new(tar.expect("it was written")));
    let entries = tar.entries().expect("a tar");
    let names = entries.map(|entry| {
        entry
            .expect("one")
            .path()
            .expect("one")
            .display()
            .to_string()
    });
    let names: Vec<String> = names.collect();
    assert_eq!(
        names,
        [
            "opt/",
            "opt/gone/",
            "opt/gone/a",
            "opt/gone/below/",
            "opt/gone/below/b"
        ]
    );
}
