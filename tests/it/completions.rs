//! Completion in a real bash, and manual pages as `man` shows them.

use std::fs;
use std::process::Command;

use crate::browse::Tmux;
use crate::support::{imgtar, shown, skip_engine};

#[test]
fn bash_completes_files_options_and_values() {
    if Command::new("bash").arg("--version").output().is_err() {
        skip_engine("completions", "there is no bash");
        return;
    }
    let script = "$imgtar completions bash > c.sh; : > 'an archive.tar'; mkdir directory; \
                  printf '%s\n' 'source ./c.sh' 'PS1=\"> \"' > rc; bash --rcfile rc -i";
    let Some(tmux) = Tmux::start("completions", (100, 24), script) else {
        return;
    };
    tmux.until("a prompt", |screen| screen.trim() == ">");
    for (typed, completed) in [
        ("imgtar images an", "imgtar images an\\ archive.tar"),
        ("imgtar flatten dir", "imgtar flatten directory/"),
        (
            "imgtar -j 2 verify an",
            "imgtar -j 2 verify an\\ archive.tar",
        ),
        ("imgtar flatten x -o dir", "imgtar flatten x -o directory/"),
        ("imgtar merge x an", "imgtar merge x an\\ archive.tar"),
        ("imgtar export an", "imgtar export an\\ archive.tar"),
        ("imgtar flatten --keep", "imgtar flatten --keep-blobs"),
        (
            "imgtar convert x --layout docker-l",
            "--layout docker-legacy",
        ),
        ("imgtar flat", "imgtar flatten"),
        ("imgtar completions f", "imgtar completions fish"),
    ] {
        tmux.keys(&["C-u", "C-l", typed, "Tab"]);
        tmux.sees(completed);
    }
    // Without a word the files are listed, not the options.
    tmux.keys(&["C-u", "C-l", "imgtar images ", "Tab", "Tab"]);
    let screen = tmux.sees("an archive.tar");
    assert!(
        screen.contains("directory/") && !screen.contains("--help"),
        "{screen}"
    );
}

#[test]
fn manual_pages_can_be_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = shown(directory.path());
    imgtar(&["man", &path]).exits(0);
    let names = fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(names, 32);
    if Command::new("man").arg("--version").output().is_err() {
        skip_engine("manual pages", "there is no man");
        return;
    }
    let page = Command::new("man")
        .args(["-l", &format!("{path}/imgtar-flatten.1")])
        .env("MANWIDTH", "80")
        .env("MANPAGER", "cat")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .expect("man runs");
    let page = String::from_utf8_lossy(&page.stdout);
    for text in [
        "imgtar-flatten(1)",
        "imgtar manual",
        "imgtar flatten [OPTIONS] <ARCHIVE> [IMAGE]",
        "zstd: As zstd compresses, on all cores",
        "EXAMPLES",
        "imgtar flatten app.tar -o rootfs.tar",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
}
