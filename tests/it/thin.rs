//! `thin`: an archive without the layers that its receiver has.

use crate::convert::LAYOUTS;
use crate::support::{Docker, Work, bytes, engines, imgtar, items, number, repository, text};

/// Two versions of an application out of one archive.
fn two(work: &Work, name: &str) -> (String, String) {
    let archive = engines(name);
    let (old, new) = (work.path("old.tar"), work.path("new.tar"));
    for (image, to) in [
        ("imgtar-testdata/app:1", &old),
        ("imgtar-testdata/app:2", &new),
    ] {
        imgtar(&["select", &archive, image, "-o", to]).exits(0);
    }
    (old, new)
}

#[test]
fn merging_with_the_base_gives_the_archive_again() {
    for name in [
        "docker20-multi.tar",
        "docker26-multi.tar",
        "docker28c-multi.tar",
        "v1.tar",
    ] {
        let work = Work::new();
        let (old, new) = two(&work, name);
        let (thin, full, whole) = (
            work.path("thin.tar"),
            work.path("full.tar"),
            work.path("whole.tar"),
        );
        imgtar(&["thin", &new, "--base", &old, "-o", &thin]).exits(0);
        assert!(bytes(&thin).len() < bytes(&new).len(), "{name}");
        for layout in LAYOUTS {
            imgtar(&["merge", &thin, &old, "--layout", layout, "-f", "-o", &full]).exits(0);
            imgtar(&["convert", &new, "--layout", layout, "-f", "-o", &whole]).exits(0);
            assert!(bytes(&full) == bytes(&whole), "{name} {layout}");
        }
    }
}

#[test]
fn readers_say_what_is_left_out_and_the_rest_refuses() {
    let work = Work::new();
    let (old, new) = two(&work, "docker26-multi.tar");
    let thin = work.path("thin.tar");
    imgtar(&["thin", &new, "--base", &old, "-o", &thin]).exits(0);
    let answer = imgtar(&["verify", &thin, "--json"]).exits(0).json();
    let archive = &answer["archives"][0];
    let codes: Vec<&str> = items(&archive["problems"])
        .iter()
        .map(|p| text(&p["code"]))
        .collect();
    assert_eq!(codes, ["layers-left-out"]);
    for loader in items(&archive["loaders"]) {
        let classic = loader["store"] == "classic";
        assert_eq!(loader["verdict"] == "loads-with-base", classic, "{loader}");
    }
    let layers = imgtar(&["layers", &thin, "--json"]).exits(0).json();
    assert!(number(&layers["images"][0]["layers"][0]["left_out"]["size"]) > 0);
    for command in ["images", "inspect", "history", "tree"] {
        imgtar(&[command, &thin]).exits(0);
    }
    for command in ["ls", "waste"] {
        let run = imgtar(&[command, &thin]).exits(3);
        assert!(run.err().contains("imgtar-testdata/app:1"), "{}", run.err());
        assert!(
            run.err()
                .contains(&format!("imgtar merge {thin} BASE -o FULL")),
            "{}",
            run.err()
        );
    }
    let run = imgtar(&["merge", &thin, "-o", &work.path("x.tar")]).exits(3);
    assert!(run.err().contains("imgtar-testdata/app:1"), "{}", run.err());
}

#[test]
fn what_shares_nothing_is_damaged_or_lies_is_refused() {
    let work = Work::new();
    let (old, new) = two(&work, "docker26-multi.tar");
    let to = work.path("thin.tar");
    let other = engines("tiny26.tar");
    imgtar(&["thin", &new, "--base", &other, "-o", &to]).exits(3);
    imgtar(&["thin", &new, "--base", &old, "-f", "-o", &old]).exits(2);
    let damaged = repository("testdata/broken/layer-bit-flipped.tar");
    imgtar(&["thin", &damaged, "--base", &damaged, "-o", &to]).exits(3);
    assert!(!std::path::Path::new(&to).exists());
    imgtar(&["thin", &new, "--base", &new, "--dry-run"]).exits(0);
    imgtar(&["thin", &new, "--base", &old, "-o", &to]).exits(0);
    // A listing that is not the one that index.json names counts for nothing.
    let mut lying = bytes(&to);
    let at = lying
        .windows(10)
        .position(|w| w == b"\"bases\":[{")
        .expect("a listing");
    lying[at + 12] ^= 1;
    let lying = work.put("lying.tar", &lying);
    imgtar(&["verify", "-q", &lying]).exits(1);
}

/// No other test has these.
const NAMES: [&str; 2] = ["imgtar-thin/app:1", "imgtar-thin/app:2"];

#[test]
fn docker_loads_it_where_the_base_is() {
    let work = Work::new();
    let (old, new) = two(&work, "docker26-multi.tar");
    let (base, app) = (work.path("base.tar"), work.path("app.tar"));
    for (from, name, to) in [(&old, NAMES[0], &base), (&new, NAMES[1], &app)] {
        imgtar(&["tag", from, name, "--only", "-o", to]).exits(0);
    }
    let thin = work.path("thin.tar");
    let id = imgtar(&["thin", &app, "--base", &base, "-o", &thin]).exits(0);
    for docker in Docker::classic() {
        docker.run_on(&["load", "-q"], &base);
        docker.run_on(&["load", "-q"], &thin);
        let found = docker.ask(&["image", "inspect", "-f", "{{.Id}}", NAMES[1]]);
        let saved = work.put("saved.tar", &docker.run(&["save", NAMES[1]]));
        for name in NAMES {
            docker.try_run(&["rmi", "-f", name]);
        }
        assert_eq!(found.trim(), id.out().trim());
        // The store had what was left out.
        imgtar(&["verify", "-q", &saved]).exits(0);
        std::fs::remove_file(&saved).expect("the file is there");
    }
}
