//! `thin`: an archive without the layers that its receiver has.

use std::collections::{BTreeMap, BTreeSet};

use crate::convert::LAYOUTS;
use crate::support::{
    Docker, Podman, Work, bytes, engines, forge, imgtar, items, member, number, repository, sha256,
    text, tool,
};

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

/// The whole archive in Docker's layout, as `merge` writes it.
fn whole(work: &Work, archive: &str) -> Vec<u8> {
    let to = work.path("whole.tar");
    imgtar(&["convert", archive, "--layout", "docker", "-f", "-o", &to]).exits(0);
    bytes(&to)
}

/// What `merge` makes of these archives.
fn merged(work: &Work, archives: &[&str]) -> Vec<u8> {
    let to = work.path("merged.tar");
    imgtar(&[&["merge"], archives, &["-f", "-o", &to]].concat()).exits(0);
    bytes(&to)
}

fn blocks(bytes: u64) -> u64 {
    bytes.next_multiple_of(512)
}

#[test]
fn it_holds_no_byte_of_what_the_base_has() {
    for name in ["docker20-multi.tar", "docker26-multi.tar"] {
        let work = Work::new();
        let (old, new) = two(&work, name);
        let thin = work.path("thin.tar");
        let run = imgtar(&["thin", &new, "--base", &old, "--json", "-o", &thin]).exits(0);
        let answer = run.json();
        let left_out = items(&answer["left_out"]);
        let mut sizes = BTreeMap::new();
        for layer in left_out {
            sizes.insert(text(&layer["diff_id"]), number(&layer["size"]));
        }
        let (thin, new) = (bytes(&thin), bytes(&new));
        let gone: u64 = sizes.values().map(|size| blocks(*size)).sum();
        // In their place: the listing, its annotation, and one block that either may fill.
        let listing = member(&work.path("thin.tar"), "imgtar-thin.json").len() as u64;
        let bound = new.len() as u64 - gone + 512 + blocks(listing) + 512;
        assert!(
            thin.len() as u64 <= bound,
            "{name}: {} > {bound}",
            thin.len()
        );
        let mut looked_for = BTreeSet::new();
        for layer in forge::layers(&bytes(&old)) {
            let diff_id = sha256(&layer);
            if sizes.contains_key(diff_id.as_str()) {
                looked_for.insert(diff_id.clone());
                let is_there = thin.windows(layer.len()).step_by(512).any(|at| at == layer);
                assert!(!is_there, "{name}: {diff_id}");
            }
        }
        assert_eq!(looked_for.len(), sizes.len(), "{name}");
    }
}

#[test]
fn thin_archives_can_be_made_thin_again_and_be_bases() {
    let work = Work::new();
    let (old, new) = two(&work, "docker26-multi.tar");
    let full = whole(&work, &new);
    let path = |name| work.path(name);
    let (thin, again, rest) = (path("thin.tar"), path("again.tar"), path("rest.tar"));
    imgtar(&["thin", &new, "--base", &old, "-o", &thin]).exits(0);
    // The same base again changes nothing.
    imgtar(&["thin", &thin, "--base", &old, "-o", &again]).exits(0);
    assert!(bytes(&again) == bytes(&thin));
    // A base that has the rest, and lacks what the archive lacks: both are needed then.
    let run = imgtar(&["thin", &thin, "--base", &thin, "-f", "-o", &again]).exits(0);
    let told = format!("imgtar merge {again} {thin} BASE -o FULL");
    assert!(run.err().contains(&told), "{}", run.err());
    assert!(merged(&work, &[&again, &thin, &old]) == full);
    imgtar(&["merge", &again, &thin, "-f", "-o", &rest]).exits(3);
    // A thin base.
    imgtar(&["thin", &new, "--base", &thin, "-o", &rest]).exits(0);
    assert!(merged(&work, &[&rest, &thin]) == full);
    assert!(merged(&work, &[&thin, &rest]) == full);
}

#[test]
fn a_chain_of_updates_is_put_together() {
    let work = Work::new();
    let (old, new) = two(&work, "docker26-multi.tar");
    let (rootfs, newest) = (work.path("rootfs.tar"), work.path("newest.tar"));
    imgtar(&["flatten", &old, "-o", &rootfs]).exits(0);
    let args = ["commit", &new, &rootfs, "-t", "app:3", "-o", &newest];
    imgtar(&args).exits(0);
    let (second, third) = (work.path("second.tar"), work.path("third.tar"));
    imgtar(&["thin", &new, "--base", &old, "-o", &second]).exits(0);
    imgtar(&["thin", &newest, "--base", &new, "-o", &third]).exits(0);
    let full = whole(&work, &newest);
    assert!(merged(&work, &[&third, &second, &old]) == full);
    imgtar(&["merge", &third, &second, "-f", "-o", &second]).exits(2);
    imgtar(&["merge", &third, &second, "-o", &work.path("x.tar")]).exits(3);
}

#[test]
fn several_bases_give_it_back_together() {
    let work = Work::new();
    let (old, new) = two(&work, "docker26-multi.tar");
    let full = whole(&work, &new);
    let (base, thin) = (work.path("base.tar"), work.path("thin.tar"));
    let archive = engines("docker26-multi.tar");
    imgtar(&["select", &archive, "imgtar-testdata/base:1", "-o", &base]).exits(0);
    let other = engines("tiny26.tar");
    let bases = ["--base", &base, "--base", &other, "--base", &old];
    let run = imgtar(&[&["thin", &new, "-o", &thin], &bases[..]].concat()).exits(0);
    // One that is of no use is not named.
    let useless = format!("warning: {other} holds none of the layers");
    assert!(run.err().contains(&useless), "{}", run.err());
    let told = crate::support::without_closing_lines(run.err());
    let line = told.lines().last().expect("a line").to_owned();
    let command = line.split_once("imgtar merge ").expect("a command").1;
    let paths: Vec<&str> = command
        .split(' ')
        .take_while(|word| *word != "-o")
        .collect();
    assert!(
        paths.contains(&old.as_str()) && !paths.contains(&other.as_str()),
        "{line}"
    );
    assert!(merged(&work, &paths) == full);
}

#[test]
fn other_bases_are_refused_or_give_the_same_image() {
    let work = Work::new();
    let (old, new) = two(&work, "docker26-multi.tar");
    let (thin, to) = (work.path("thin.tar"), work.path("to.tar"));
    imgtar(&["thin", &new, "--base", &old, "-o", &thin]).exits(0);
    let wrong = engines("tiny26.tar");
    let run = imgtar(&["merge", &thin, &wrong, "-o", &to]).exits(3);
    assert!(run.err().contains("imgtar-testdata/app:1"), "{}", run.err());
    let told = format!("imgtar merge {thin} {wrong} BASE -o FULL");
    assert!(run.err().contains(&told), "{}", run.err());
    let id = |path: &str| {
        let answer = imgtar(&["images", path, "--json"]).exits(0).json();
        text(&answer["images"][0]["id"]).to_owned()
    };
    for compress in ["gzip", "zstd"] {
        let base = work.path("compressed.tar");
        let args = [
            "convert",
            &old,
            "--layout",
            "oci",
            "--compress",
            compress,
            "-f",
            "-o",
            &base,
        ];
        imgtar(&args).exits(0);
        let run = imgtar(&["merge", &thin, &base, "-f", "-o", &to]).exits(0);
        let told = run.err().matches("compressed differently").count();
        assert_eq!(told, 1, "{}", run.err());
        assert_eq!(id(&to), id(&new));
        imgtar(&["verify", "-q", &to]).exits(0);
        // And as a base: layers are known by what is in them.
        imgtar(&["thin", &new, "--base", &base, "-f", "-o", &to]).exits(0);
        assert!(bytes(&to) == bytes(&thin), "{compress}");
    }
}

/// What engines that need all layers do with it is what `verify` says.
#[test]
fn other_engines_refuse_it_as_predicted() {
    let work = Work::new();
    let (old, new) = two(&work, "docker26-multi.tar");
    let thin = work.path("thin.tar");
    imgtar(&["thin", &new, "--base", &old, "-o", &thin]).exits(0);
    let answer = imgtar(&["verify", &thin, "--json"]).exits(0).json();
    let reason = |engine: &str| {
        let loaders = items(&answer["archives"][0]["loaders"]);
        let loader = loaders.iter().find(|loader| loader["engine"] == engine);
        let loader = loader.expect("an engine");
        assert_eq!(loader["verdict"], "refuses", "{loader}");
        let reason = text(&loader["reason"]).trim_matches('…').to_owned();
        reason.trim_end_matches(" in the tarball").to_owned()
    };
    if let Some(podman) = Podman::with_vfs() {
        let base = podman.take(&old);
        podman.run(&["load", "-q", "-i", &base]);
        let path = podman.take(&thin);
        let ended = podman.command(&["load", "-q", "-i", &path]).output();
        let ended = ended.expect("podman starts");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        podman.run(&["rmi", "-f", "imgtar-testdata/app:1"]);
        assert!(!ended.status.success(), "{said}");
        assert!(said.contains(&reason("podman")), "{said}");
    }
    if let Some(skopeo) = tool("skopeo") {
        let to = format!("dir:{}", work.path("dir"));
        let ended = std::process::Command::new(skopeo)
            .args([
                "copy",
                "--insecure-policy",
                &format!("docker-archive:{thin}"),
                &to,
            ])
            .output()
            .expect("skopeo starts");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{said}");
        assert!(said.contains(&reason("skopeo")), "{said}");
    }
}
