//! Archives that are damaged or made to hurt: each ends with a message or can be browsed, on every screen.

use std::fs;

use crossterm::event::{Event, KeyCode};

use super::{Stage, archive};
use crate::cli::browse::model::Screen;

/// The directories of such archives.
const DIRECTORIES: [&str; 2] = ["broken", "hostile"];

/// How many images of an archive are looked into.
const IMAGES: usize = 2;

/// Whether to try one of many, by its number: all where `IMGTAR_FULL_SIZE` asks for that, else every twelfth.
fn in_turn(number: usize) -> bool {
    is_full_size() || number.is_multiple_of(12)
}

fn is_full_size() -> bool {
    std::env::var_os("IMGTAR_FULL_SIZE").is_some()
}

fn names(directory: &str) -> Vec<String> {
    // The crate as it is published has not all archives.
    let entries = fs::read_dir(archive(directory)).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("text"))
        .filter(|name| name.contains(".tar"))
        .map(|name| format!("{directory}/{name}"))
        .collect();
    names.sort();
    names
}

/// Leaves what lies on top, if anything does: the browser itself goes on.
fn close(stage: &mut Stage) {
    if stage.browser.popup.is_some() || stage.browser.prompt.is_some() {
        stage.key(KeyCode::Esc);
    }
}

/// Keys that go everywhere; the stage draws after each of them.
fn looks_around(stage: &mut Stage) {
    stage.press("GgjJk]]d");
    stage.key(KeyCode::Tab);
    stage.press("GgjlsG");
    stage.key(KeyCode::Enter);
    // `x` asks for a name, and nothing is written without one.
    for keys in ["", "bG", "vGv", "d w", "?G", "y*G", "x"] {
        stage.press(keys);
        close(stage);
    }
    stage.press("w");
    stage.key(KeyCode::Enter);
    close(stage);
    stage.press("/a");
    stage.key(KeyCode::Enter);
    stage.press("jGk");
    close(stage);
    for (width, height) in [(40, 10), (1, 1), (100, 24)] {
        stage.terminal.backend_mut().resize(width, height);
        stage.event(&Event::Resize(width, height));
        stage.press("jk");
    }
}

/// What became of an archive.
enum Outcome {
    Refused,
    Browsed,
}

/// Opens an archive and presses every key.
fn tried(name: &str) -> Outcome {
    let mut stage = Stage::new(name, (100, 24));
    if stage.has_left {
        let failure = stage.browser.failure.as_ref();
        let failure = failure.unwrap_or_else(|| panic!("{name} ends without a message"));
        assert!(!failure.to_string().is_empty(), "{name}");
        return Outcome::Refused;
    }
    let images = stage.browser.images.len();
    assert!(images > 0, "{name}");
    for number in 0..images.min(IMAGES) {
        if matches!(stage.browser.screen, Screen::Choosing(_)) {
            stage.press("g");
            (0..number).for_each(|_| stage.press("j"));
            stage.key(KeyCode::Enter);
        }
        looks_around(&mut stage);
        stage.press("i");
    }
    assert!(!stage.has_left, "{name}");
    Outcome::Browsed
}

/// Tries every other archive, from the first or the second on: together they take more than a minute, and tests run
/// side by side.
fn every_other(first: usize) {
    let names = DIRECTORIES.into_iter().flat_map(names).enumerate();
    let in_turn = names.filter(|(number, _)| in_turn(*number));
    let (mut refused, mut browsed) = (0, 0);
    for (_, name) in in_turn.skip(first).step_by(2) {
        match tried(&name) {
            Outcome::Refused => refused += 1,
            Outcome::Browsed => browsed += 1,
        }
    }
    if !archive("hostile").exists() {
        return;
    }
    let (least_refused, least_browsed) = if is_full_size() { (18, 44) } else { (1, 1) };
    assert!(refused >= least_refused, "{refused} archives are refused");
    assert!(
        browsed >= least_browsed,
        "{browsed} archives can be browsed"
    );
}

#[test]
fn archives_end_with_a_message_or_can_be_browsed() {
    every_other(0);
}

#[test]
fn the_other_archives_do_so_too() {
    every_other(1);
}
