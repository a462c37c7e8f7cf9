//! `select`: some images of an archive.

use std::process;

use crate::support::Work;
use crate::support::{Ctr, engines, imgtar, items, text};

#[test]
fn images_are_selected_by_name_id_and_position() {
    let archive = engines("docker26-multi.tar");
    let all = imgtar(&["images", &archive, "--json"]).exits(0).json();
    let second = &items(&all["images"])[1];
    let id = text(&second["id"]);
    let containerd = text(&second["containerd_id"]);
    let name = text(&second["references"][0]);
    let mut written: Vec<Vec<u8>> = Vec::new();
    for wanted in ["@1", id, &id[7..15], containerd, name] {
        let work = Work::new();
        let to = work.path("out.tar");
        let run = imgtar(&["select", &archive, wanted, "-o", &to, "--json"]);
        let answer = run.exits(0).json();
        assert_eq!(items(&answer["images"]).len(), 1, "{wanted}");
        assert_eq!(text(&answer["images"][0]["id"]), id);
        assert_eq!(text(&answer["images"][0]["containerd_id"]), containerd);
        written.push(std::fs::read(&to).expect("an archive"));
    }
    assert!(written.windows(2).all(|pair| pair[0] == pair[1]));
}

/// A smaller index while more than one manifest is left of it; what is kept keeps its digest.
#[test]
fn platforms_come_out_of_an_index_with_their_attestations() {
    let archive = engines("buildkit28-artifacts.tar");
    let work = Work::new();
    let to = work.path("out.tar");
    let args = [
        "select",
        &archive,
        "--platform",
        "linux/amd64",
        "--platform",
        "arm64",
        "-o",
        &to,
    ];
    imgtar(&args).exits(0);
    let before = imgtar(&["inspect", &archive, "--json"]).exits(0).json();
    let after = imgtar(&["inspect", &to, "--json"]).exits(0).json();
    assert_eq!(items(&after["images"]).len(), 2);
    assert_eq!(items(&after["artifacts"]).len(), 2);
    assert!(
        items(&after["artifacts"])
            .iter()
            .all(|one| items(&before["artifacts"]).contains(one))
    );
    assert_ne!(
        after["images"][0]["containerd_id"],
        before["images"][0]["containerd_id"]
    );
    imgtar(&["verify", "-q", &to]).exits(0);
}

#[test]
fn what_is_not_there_is_an_error() {
    let archive = engines("docker26-one.tar");
    let work = Work::new();
    let to = work.path("out.tar");
    imgtar(&["select", &archive, "nothing:1", "-o", &to]).exits(3);
    imgtar(&["select", &archive, "--platform", "s390x", "-o", &to]).exits(3);
    assert!(!std::path::Path::new(&to).exists());
}

/// The archive that `ctr` refuses because platforms are named in it that were never saved is taken.
#[test]
fn present_repairs_what_ctr_refuses() {
    let archive = engines("docker28c-pulled.tar");
    let work = Work::new();
    let to = work.path("out.tar");
    let answer = imgtar(&["select", &archive, "--present", "-o", &to, "--json"]);
    let answer = answer.exits(0).json();
    let id = text(&answer["images"][0]["containerd_id"]);
    let verdict = imgtar(&["verify", &to, "--loads", "ctr"]);
    verdict.exits(0);
    let namespace = format!("imgtar-select-{}", process::id());
    let Some(ctr) = Ctr::find(&namespace) else {
        return;
    };
    let file = std::fs::File::open(&archive).expect("an archive");
    let mut refused = ctr.command(&["images", "import", "--all-platforms", "-"]);
    let refused = refused.stdin(file).output().expect("ctr runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("not found"), "{said}");
    ctr.import(&["--all-platforms"], &to);
    let listed = ctr.ask(&["images", "ls"]);
    assert!(listed.contains(id), "{listed}");
    for name in ctr.ask(&["images", "ls", "-q"]).lines() {
        ctr.ask(&["images", "rm", "--sync", name]);
    }
}
