//! imgtar as an image that imgtar made: the lines of `docs/ci.md`, run as they stand there, and what engines make of it.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Docker, Podman, Work, finish, repository};

/// The commands of the block of `docs/ci.md` that has these words.
fn lines(words: &str) -> Vec<String> {
    let text = fs::read_to_string(repository("docs/ci.md")).expect("docs/ci.md");
    let block = text
        .split("```console\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .find(|(block, _)| block.contains(words));
    let (block, _) = block.unwrap_or_else(|| panic!("docs/ci.md has no block with `{words}`"));
    let commands = block.lines().filter_map(|line| line.strip_prefix("$ "));
    commands.map(str::to_owned).collect()
}

/// The archive that the documented lines write.
fn image(work: &Work) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_imgtar"));
    let directory = program.parent().expect("a directory").to_owned();
    let before = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([directory].into_iter().chain(env::split_paths(&before)));
    let mut shell = Command::new("sh");
    shell
        .args(["-euc", &lines("ENTRYPOINT").join("\n")])
        .current_dir(work.path("."))
        .env("PATH", path.expect("a path"));
    finish(shell);
    work.path("imgtar.tar")
}

/// It has to end with a verdict about itself.
#[track_caller]
fn verified(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    let good = "ok: 1 image, 1 layer, 0 errors, 0 warnings; every engine loads it";
    assert_eq!(last.trim(), good, "{said}");
}

#[test]
fn docker_runs_imgtar_on_itself() {
    let Some(docker) = Docker::d26() else {
        return;
    };
    let work = Work::new();
    let archive = image(&work);
    let commands = lines("docker load");
    assert_eq!(commands.len(), 2, "{commands:?}");
    let outputs: Vec<Output> = commands
        .iter()
        .map(|line| {
            let line = line.trim_end_matches(" < imgtar.tar");
            let arguments: Vec<&str> = line.split(' ').skip(1).collect();
            let mut command = docker.command(&arguments);
            command.stdin(File::open(&archive).expect("the archive"));
            command.output().expect("the client starts")
        })
        .collect();
    docker.try_run(&["rmi", "-f", "imgtar:local"]);
    for output in &outputs {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }
    verified(&outputs[1]);
}

#[test]
fn podman_runs_imgtar_on_itself() {
    let Some(podman) = Podman::with_overlay() else {
        return;
    };
    let work = Work::new();
    let archive = image(&work);
    podman.run(&["load", "-i", &podman.take(&archive)]);
    let mut command = podman.command(&[
        "run",
        "--rm",
        "-i",
        "--network",
        "none",
        "imgtar:local",
        "verify",
        "-",
    ]);
    command.stdin(File::open(&archive).expect("the archive"));
    verified(&finish(command));
}
