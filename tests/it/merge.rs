//! `merge`: several archives as one.

use crate::convert::LAYOUTS;
use crate::support::Work;
use crate::support::{bytes, engines, imgtar, items, number, text};

/// What is taken apart and put together again is the canonical rewrite of it.
#[test]
fn the_parts_of_an_archive_make_the_archive() {
    for name in [
        "docker20-multi.tar",
        "docker26-multi.tar",
        "docker28c-multi.tar",
        "podman58-multi.tar",
        "v1.tar",
    ] {
        let archive = engines(name);
        let all = imgtar(&["images", &archive, "--json"]).exits(0).json();
        let work = Work::new();
        let mut parts = Vec::new();
        for position in 0..items(&all["images"]).len() {
            let part = work.path(&format!("part{position}.tar"));
            imgtar(&["select", &archive, &format!("@{position}"), "-o", &part]).exits(0);
            parts.push(part);
        }
        for layout in LAYOUTS {
            let (merged, whole) = (work.path("merged.tar"), work.path("whole.tar"));
            let mut args = vec!["merge", "--layout", layout, "-f", "-o", &merged];
            args.extend(parts.iter().map(String::as_str));
            imgtar(&args).exits(0);
            imgtar(&["convert", &archive, "--layout", layout, "-f", "-o", &whole]).exits(0);
            assert!(bytes(&merged) == bytes(&whole), "{name} {layout}");
        }
    }
}

#[test]
fn the_last_archive_has_a_name_that_two_have() {
    let work = Work::new();
    let to = work.path("out.tar");
    let (first, second) = (engines("docker26-one.tar"), engines("v1.tar"));
    let run = imgtar(&["merge", &first, &second, "-o", &to]).exits(0);
    assert!(run.err().contains("imgtar-testdata/app:1"), "{}", run.err());
    let images = imgtar(&["images", &to, "--json"]).exits(0).json();
    assert!(items(&images["images"][0]["references"]).is_empty());
    assert_eq!(
        text(&images["images"][1]["references"][0]),
        "imgtar-testdata/app:1"
    );
    imgtar(&["verify", "-q", &to]).exits(0);
}

#[test]
fn a_dry_run_says_what_is_stored_twice_and_writes_nothing() {
    let archive = engines("docker26-one.tar");
    let answer = imgtar(&["merge", &archive, &archive, "--dry-run", "--json"]);
    let answer = answer.exits(0).json();
    assert_eq!(items(&answer["images"]).len(), 1);
    assert!(answer["archive"]["bytes"].is_null());
    assert!(number(&answer["archive"]["stored_twice"]) > 0);
}

#[test]
fn no_input_is_written_over() {
    let work = Work::new();
    let (one, two) = (
        engines("docker26-one.tar"),
        work.put("two.tar", &bytes(&engines("skopeo-oci.tar"))),
    );
    let link = work.path("link.tar");
    std::fs::hard_link(&two, &link).expect("a link");
    for to in [&two, &link] {
        imgtar(&["merge", &one, &two, "-f", "-o", to]).exits(2);
    }
    assert_eq!(bytes(&two), bytes(&engines("skopeo-oci.tar")));
}
