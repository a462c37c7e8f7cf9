//! `browse` in a real terminal: tmux runs the program, types keys and reads the screen. The screens of engines'
//! archives are kept in `testdata/browse`; `UPDATE_DOCS=1` writes them anew.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::hostile::{made, many};
use crate::support::measured;
use crate::support::{self, engines, imgtar, repository, shown, up_to_date};

/// How long a screen is waited for: a debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at.
const STEP: Duration = Duration::from_millis(30);

/// A terminal of its own, with a server of its own.
pub(crate) struct Tmux {
    pub(crate) directory: TempDir,
}

impl Tmux {
    /// A terminal in which a shell runs `script`; `$imgtar` is the program. `None` where there is no tmux.
    pub(crate) fn start(what: &str, (width, height): (u16, u16), script: &str) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            support::skip_engine(what, "there is no tmux");
            return None;
        }
        let tmux = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        let script = format!("{script}\necho \"exit $?\"\nsleep 1000");
        let (width, height) = (width.to_string(), height.to_string());
        tmux.run(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &width,
            "-y",
            &height,
            "sh",
            "-c",
            &script,
        ]);
        Some(tmux)
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-u")
            .arg("-S")
            .arg(self.directory.path().join("socket"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("imgtar", env!("CARGO_BIN_EXE_imgtar"))
            .env("LC_ALL", "C.UTF-8")
            .env("SHELL", "/bin/sh")
            .env_remove("TMUX")
            .env_remove("NO_COLOR")
            .output()
            .expect("tmux runs");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Types keys, as tmux calls them.
    pub(crate) fn keys(&self, keys: &[&str]) {
        for key in keys {
            self.run(&["send-keys", key]);
        }
    }

    pub(crate) fn screen(&self) -> String {
        self.run(&["capture-pane", "-p"])
    }

    /// Waits until the screen is as it should be, and stays like that.
    pub(crate) fn until(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                thread::sleep(STEP);
                if screen == self.screen() {
                    return screen;
                }
            }
            assert!(begun.elapsed() < PATIENCE, "no {what}:\n{screen}");
            thread::sleep(STEP);
        }
    }

    pub(crate) fn sees(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// The screen as soon as everything is read and `text` is there, compared with the one that is kept.
    fn keeps(&self, name: &str, text: &str) {
        let is_done = |screen: &str| {
            screen.contains(text) && !screen.contains(" …") && !screen.contains("reading")
        };
        let screen = self.until(text, is_done);
        let lines: Vec<&str> = screen.lines().map(str::trim_end).collect();
        let text = format!("{}\n", lines.join("\n").trim_end());
        up_to_date(&format!("testdata/browse/{name}.txt"), &text);
    }

    /// Whether a program has the whole screen.
    fn is_taken(&self) -> bool {
        self.run(&["display-message", "-p", "#{alternate_on}"])
            .trim()
            == "1"
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.run(&["kill-server"]);
    }
}

/// The script that browses an archive by its name alone, as it stands on the screen.
fn browse(archive: &str) -> String {
    let path = Path::new(archive);
    let name = path
        .file_name()
        .map(|name| shown(Path::new(name)))
        .expect("a name");
    format!("ln -s '{archive}' {name} && $imgtar browse {name}")
}

#[test]
fn an_image_of_docker() {
    let script = browse(&engines("docker26-one.tar"));
    let Some(tmux) = Tmux::start("browse", (110, 30), &script) else {
        return;
    };
    tmux.keeps("layers", "hidden later");
    tmux.keys(&["]", "Tab", "j", "j", "Enter"]);
    tmux.keeps("files", "os-release");
    tmux.keys(&["d"]);
    tmux.keeps("changes", "CHANGES of layer 1");
    tmux.keys(&["w"]);
    tmux.keeps("waste", "WASTE 4");
    tmux.keys(&["Enter", "b"]);
    tmux.keeps("blame", "BLAME var/lib/data");
    tmux.keys(&["q", "v", "v"]);
    tmux.keeps("hex", "00000000  30 31");
    tmux.keys(&["q", "?"]);
    tmux.keeps("help", "KEYS");
    tmux.keys(&["q", "d", "/", "os-", "Enter"]);
    tmux.keeps("filter", "/os-: 1 found");
    // A screen of another size is drawn anew: one side of it, without details.
    tmux.run(&["resize-window", "-x", "40", "-y", "10"]);
    tmux.keeps("small", "os-release");
    tmux.keys(&["Tab"]);
    tmux.keeps("small-layers", "LAYER");
    tmux.keys(&["q"]);
    tmux.sees("exit 0");
    assert!(!tmux.is_taken());
}

#[test]
fn archives_of_other_engines() {
    for (name, first, text) in [
        ("podman-oci", "", "diff ID"),
        ("skopeo-oci-zstd", "", "diff ID"),
        ("v1", "@0", "@0"),
        ("docker26c-platforms", "linux/", "linux/"),
        ("docker20-multi", "@0", "@0"),
    ] {
        let script = browse(&engines(&format!("{name}.tar")));
        let Some(tmux) = Tmux::start("browse", (80, 24), &script) else {
            return;
        };
        tmux.sees(first);
        tmux.keeps(name, text);
        tmux.keys(&["q"]);
        tmux.sees("exit 0");
    }
}

#[test]
fn forty_columns_and_ten_lines_are_enough() {
    let script = browse(&engines("docker26-one.tar"));
    let Some(tmux) = Tmux::start("browse", (40, 10), &script) else {
        return;
    };
    tmux.keeps("narrow", "LAYER");
    tmux.keys(&["Enter", "G", "Enter", "j", "Enter", "j", "v"]);
    tmux.sees("0123456789");
    tmux.keys(&["q", "x", "C-u", "it", "Enter"]);
    tmux.sees("it: ");
    tmux.keys(&["q"]);
    tmux.sees("exit 0");
    let written = fs::read(tmux.directory.path().join("it")).expect("it was written");
    assert_eq!(written.len(), 2000);
}

#[test]
fn colour_is_left_out_where_it_is_not_wanted() {
    for (before, is_coloured) in [("", true), ("NO_COLOR=1", false)] {
        let archive = engines("docker26-one.tar");
        let script = format!("{before} $imgtar browse '{archive}'");
        let Some(tmux) = Tmux::start("browse", (80, 24), &script) else {
            return;
        };
        tmux.sees("diff ID");
        tmux.keys(&["]", "d"]);
        tmux.sees("D    700B");
        let screen = tmux.run(&["capture-pane", "-p", "-e"]);
        // The colours of the palette: `SGR 38;5;N`, or 30 to 37.
        let coloured = (0..8).any(|code| {
            screen.contains(&format!("38;5;{code}m")) || screen.contains(&format!("[3{code}m"))
        });
        assert_eq!(coloured, is_coloured, "{screen}");
        tmux.keys(&["q"]);
        tmux.sees("exit 0");
    }
}

#[test]
fn an_archive_that_was_cut_short_is_an_error_as_elsewhere() {
    let archive = repository("testdata/broken/truncated-in-body.tar");
    let script = format!("$imgtar browse '{archive}'");
    let Some(tmux) = Tmux::start("browse", (160, 24), &script) else {
        return;
    };
    let screen = tmux.sees("exit 3");
    assert!(screen.contains("error: "), "{screen}");
    assert!(screen.contains("hint: "), "{screen}");
    assert!(!tmux.is_taken());
}

#[test]
fn a_layer_that_cannot_be_read_leaves_those_below_it() {
    let archive = repository("testdata/broken/layer-gzip-damaged.tar");
    let script = browse(&archive);
    let Some(tmux) = Tmux::start("browse", (80, 24), &script) else {
        return;
    };
    tmux.sees("cannot be read");
    tmux.keys(&["q"]);
    let screen = tmux.sees("exit 3");
    assert!(screen.contains("error: layer "), "{screen}");
}

#[test]
fn the_terminal_is_given_back_on_signals_and_after_a_stop() {
    let archive = engines("docker26-one.tar");
    let script = format!(
        "stty -a > before; sh -c 'echo $$ > pid; exec $imgtar browse {archive}'; stty -a > after; cmp before after && echo same"
    );
    for signal in ["TERM", "HUP", "INT"] {
        let Some(tmux) = Tmux::start("browse", (80, 24), &script) else {
            return;
        };
        tmux.sees("diff ID");
        assert!(tmux.is_taken());
        let pid = fs::read_to_string(tmux.directory.path().join("pid")).expect("written first");
        let kill = Command::new("kill")
            .args(["-s", signal, pid.trim()])
            .status();
        assert!(kill.expect("kill runs").success());
        tmux.sees("same");
        assert!(!tmux.is_taken(), "{signal}");
    }
}

#[test]
fn the_program_stops_and_goes_on_as_shells_have_it() {
    if Command::new("bash").arg("--version").output().is_err() {
        support::skip_engine("Ctrl-Z in browse", "there is no bash");
        return;
    }
    let archive = engines("docker26-one.tar");
    let script =
        format!("bash -mc '\"$imgtar\" browse {archive}; echo \"it stops\"; sleep 1; fg; exit $?'");
    let Some(tmux) = Tmux::start("browse", (80, 24), &script) else {
        return;
    };
    tmux.sees("diff ID");
    tmux.keys(&["Tab", "G", "C-z"]);
    tmux.until("shell", |screen| screen.contains("it stops"));
    assert!(!tmux.is_taken());
    tmux.until("browser", |screen| {
        screen.contains("LAYER") && !screen.contains("it stops")
    });
    assert!(tmux.is_taken());
    tmux.keys(&["g", "q"]);
    tmux.sees("exit 0");
    assert!(!tmux.is_taken());
}

/// How much memory a browser may take for so many entries, in kilobytes.
fn may_take(entries: usize) -> u64 {
    (60 << 10) + (200 * entries as u64).div_ceil(1024)
}

/// The memory that a process has taken at most, in kilobytes.
fn peak(tmux: &Tmux) -> u64 {
    let pid = fs::read_to_string(tmux.directory.path().join("pid")).expect("written first");
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    number.expect("a number").trim().parse().expect("a number")
}

#[test]
fn a_million_entries_take_little_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let entries = support::scaled(1_000_000);
    let layer = many(entries, |i| format!("d{}/f{i}", i / 1000));
    let archive = made(directory.path(), &[layer]);
    let script = format!("sh -c 'echo $$ > pid; exec $imgtar browse {archive}'");
    let Some(tmux) = Tmux::start("browse", (100, 30), &script) else {
        return;
    };
    tmux.sees("d0/");
    // Everything is opened, filtered, sorted; the end of the list is looked at.
    tmux.keys(&["Tab", "*", "G", "s", "g", "/", "f", "9", "9", "Enter"]);
    tmux.sees(" found");
    tmux.keys(&["Escape", "w"]);
    tmux.sees("WASTE");
    let (peak, most) = (peak(&tmux), may_take(entries));
    assert!(peak <= most, "{peak} kB of {most} kB");
    tmux.keys(&["q", "q"]);
    tmux.sees("exit 0");
}

#[test]
fn archives_made_to_hurt_stay_within_the_memory_of_other_commands() {
    // Of those that can be browsed at all; the others are refused as by every command.
    let names = [
        "hard-links-many",
        "opaque-many",
        "paths-deep",
        "whiteouts-many",
        "xattrs-growing",
        "links-deepen",
    ];
    for (number, name) in names.into_iter().enumerate() {
        if !support::in_turn(number) {
            continue;
        }
        let archive = repository(&format!("testdata/hostile/{name}.tar.zst"));
        let script = format!("sh -c 'echo $$ > pid; exec $imgtar browse {archive}'");
        let Some(tmux) = Tmux::start("browse", (100, 30), &script) else {
            return;
        };
        tmux.until(name, |screen| {
            screen.contains("LAYER") && !screen.contains("reading") && !screen.contains(" …")
        });
        tmux.keys(&["Tab", "*", "G", "w"]);
        tmux.sees("WASTE");
        let peak = peak(&tmux);
        assert!(peak <= measured::MEMORY, "{name}: {peak} kB");
        tmux.keys(&["q", "q"]);
        tmux.sees("exit ");
    }
}

#[test]
fn an_archive_can_come_from_a_pipe() {
    let archive = engines("docker26-one.tar");
    let script = format!("cat '{archive}' | $imgtar browse -");
    let Some(tmux) = Tmux::start("browse", (80, 24), &script) else {
        return;
    };
    tmux.sees("diff ID");
    tmux.keys(&["Tab", "G"]);
    tmux.sees("var");
    tmux.keys(&["q"]);
    tmux.sees("exit 0");
}

#[test]
fn without_a_terminal_other_commands_are_named() {
    let run = imgtar(&["browse", &engines("docker26-one.tar")]).exits(2);
    assert!(run.stdout.is_empty());
    let errors = run.err();
    assert!(errors.contains("not a terminal"), "{errors}");
    assert!(errors.contains("imgtar ls --tree"), "{errors}");
}
