//! `squash`: whatever is merged, a container sees the same files.

use std::fs;
use std::path::Path;

use imgtar::base::progress::Silent;
use imgtar::image::Image;
use imgtar::output::{ArchiveLayout, ArchiveOptions, LayerCompression, SquashOptions, squash};

use crate::layouts::written_both_ways;
use imgtar::{Jobs, Options};
use serde_json::Value;

use crate::support::{
    Input, answer, archives, bytes, cases, engines, flattened, full_size, imgtar, imgtar_with,
    in_turn, items, program, repository, shared, shown, text, without_closing_lines,
};

const TIME: &str = "2026-01-02T03:04:05Z";

fn jobs() -> Jobs {
    Jobs::new(2.try_into().expect("not 0"))
}

/// The images of an archive; none if it holds none that can be read.
fn images(archive: &str) -> Vec<Image> {
    let Ok(opened) = imgtar::open(archive.as_ref(), &Options::default()) else {
        return Vec::new();
    };
    opened
        .images()
        .map_or_else(|_| Vec::new(), |set| set.images)
}

/// The codes of what `verify` finds.
fn problems(archive: &str) -> Vec<String> {
    let checked = imgtar(&["verify", "--json", archive]).json();
    let problems = items(&checked["archives"][0]["problems"]).iter();
    problems
        .map(|problem| text(&problem["code"]).to_owned())
        .collect()
}

/// Squashes every image of an archive from every layer up, and compares what is left with what was.
/// Returns how many squashed images there were.
#[track_caller]
fn squash_all(archive: &str, to: &Path) -> usize {
    let mut count = 0;
    let known = problems(archive);
    for image in images(archive) {
        let Ok((before, _)) = flattened(&image) else {
            continue;
        };
        for from in 0..image.layers.len() {
            let at = format!("{archive}: {} from {from}", image.display_name());
            let options = SquashOptions {
                from,
                created: TIME.parse().expect("a time"),
                names: None,
                drop_xattrs: &[],
                verify: true,
                jobs: jobs(),
            };
            let squashed = match squash(&image, options, &Silent) {
                Ok(squashed) => squashed,
                Err(why) => panic!("{at}: {why}"),
            };
            let options = ArchiveOptions {
                layout: ArchiveLayout::Docker,
                verify: true,
                compress: LayerCompression::Keep,
                jobs: jobs(),
            };
            let written = written_both_ways(&[squashed.image], options, to);
            let written = written.unwrap_or_else(|why| panic!("{at}: {why}"));
            let after = images(&shown(to)).remove(0);
            assert_eq!(after.identity.to_string(), written.images[0].id.to_string());
            let wanted = image.layers.len().min(from + 1);
            assert!(
                after.layers.len() == wanted || after.layers.len() == from && from > 0,
                "{at}"
            );
            // Layers below stay as they are stored.
            let ids = |image: &Image| -> Vec<_> {
                image.layers[..from]
                    .iter()
                    .map(|l| l.diff_id.clone())
                    .collect()
            };
            if image.layers.iter().all(|layer| layer.diff_id.is_some()) {
                assert_eq!(ids(&after), ids(&image), "{at}");
            }
            let (left, _) = flattened(&after)
                .unwrap_or_else(|why| panic!("{at}: it cannot be flattened: {why}"));
            assert!(left == before, "{at}: the files differ");
            let problems = problems(&shown(to));
            // What was wrong before may still be so, of a layer that stays or of the history.
            let mut new = problems.iter().filter(|code| !known.contains(code));
            assert_eq!(new.next(), None, "{at}");
            count += 1;
        }
    }
    count
}

/// Every archive that an engine wrote.
#[test]
fn engines_archives() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("out.tar");
    let mut count = 0;
    for (number, name) in archives(&repository("testdata/engines")).iter().enumerate() {
        if name != "docker20-export.tar" && in_turn(number) {
            count += squash_all(&engines(name), &to);
        }
    }
    assert!(count > if full_size() { 200 } else { 60 }, "only {count}");
    let Some(directory) = shared("archives") else {
        return;
    };
    for name in archives(&directory)
        .iter()
        .filter(|name| !name.contains("export"))
    {
        assert!(
            squash_all(&format!("{directory}/{name}"), &to) > 0,
            "{name}"
        );
    }
}

/// Every crafted case that has a right result.
#[test]
fn crafted_cases() {
    let directory = cases();
    let scratch = tempfile::tempdir().expect("a directory");
    let to = scratch.path().join("out.tar");
    let mut count = 0;
    for (number, name) in archives(directory).into_iter().enumerate() {
        if !in_turn(number) {
            continue;
        }
        let archive = format!("{directory}/{name}");
        let path = Path::new(&archive);
        if path.extension().is_some_and(|e| e == "tar") && path.with_extension("tsv").is_file() {
            count += squash_all(&archive, &to);
        }
    }
    assert!(count > if full_size() { 300 } else { 60 }, "only {count}");
}

/// Every image of the corpus whose layers can be applied.
#[test]
fn corpus() {
    let Some(directory) = shared("corpus") else {
        return;
    };
    let scratch = tempfile::tempdir().expect("a directory");
    let to = scratch.path().join("out.tar");
    let mut count = 0;
    for name in archives(&directory) {
        let archive = format!("{directory}/{name}");
        if imgtar::open(archive.as_ref(), &Options::default()).is_ok() {
            count += squash_all(&archive, &to);
        }
    }
    assert!(count > 100, "only {count}");
}

// --- the command ----------------------------------------------------------------------------------

/// The only image of an archive, as `inspect` tells it.
fn inspected(archive: &str) -> Value {
    answer(&["inspect", "--json", archive])["images"][0].clone()
}

/// The config is what it was, but for its layers, its time and one step of the history more; merged
/// steps stay as steps without a layer.
#[test]
fn config_and_history_are_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = shown(&directory.path().join("out.tar"));
    let from = engines("docker26-one.tar");
    let squash = ["squash", &from, "--from", "2", "--created", TIME, "-o", &to];
    let id = imgtar(&squash).writes_an_image().out().trim().to_owned();
    let (before, after) = (inspected(&from), inspected(&to));
    assert_eq!(after["id"], id);
    assert_eq!(after["references"], before["references"]);
    assert_eq!(items(&after["layers"]).len(), 3);

    let (mut old, mut new) = (before["config"].clone(), after["config"].clone());
    let history = |config: &mut Value| items(&config["history"].take()).to_vec();
    let (steps, mut new_steps) = (history(&mut old), history(&mut new));
    for field in ["created", "rootfs"] {
        assert_ne!(old[field].take(), new[field].take(), "{field}");
    }
    assert_eq!(old, new);
    let added = new_steps.pop().expect("a step");
    assert_eq!(added["created"], TIME);
    assert_eq!(added["created_by"], "imgtar squash --from 2");
    let comment = format!("layers 2 to 8 of {}", text(&before["id"]));
    assert_eq!(added["comment"], comment);
    assert_eq!(added["empty_layer"], Value::Null);
    let mut layer = 0;
    for (mut old, new) in steps.into_iter().zip(new_steps) {
        if old["empty_layer"] != true {
            if layer >= 2 {
                old["empty_layer"] = true.into();
            }
            layer += 1;
        }
        assert_eq!(old, new);
    }
    assert_eq!(layer, 9);
}

/// The time is what `--created` says, else `SOURCE_DATE_EPOCH`; with either the same input gives the
/// same bytes, whatever the number of threads.
#[test]
fn output_depends_on_the_input_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| shown(&directory.path().join(name));
    let from = engines("skopeo-oci.tar");
    for (name, jobs) in [("one", "1"), ("four", "4")] {
        imgtar(&[
            "squash",
            &from,
            "-j",
            jobs,
            "--created",
            TIME,
            "-o",
            &file(name),
        ])
        .writes_an_image();
    }
    assert!(bytes(&file("one")) == bytes(&file("four")));
    let out = program()
        .args(["squash", &from, "-o", &file("epoch")])
        .env("SOURCE_DATE_EPOCH", "1767323045")
        .output()
        .expect("imgtar starts");
    assert!(out.status.success());
    assert!(bytes(&file("one")) == bytes(&file("epoch")));
}

/// The ID goes to standard output, or to standard error where the archive takes that.
#[test]
fn the_image_id_is_printed() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = shown(&directory.path().join("out.tar"));
    let from = engines("docker20-one.tar");
    let created = ["--created", TIME];
    let squash = [&["squash", &from, "-o", &to][..], &created].concat();
    let filed = imgtar(&squash).writes_an_image();
    let archive = bytes(&from);
    let piped = imgtar_with(
        &[&["squash", "-"][..], &created].concat(),
        Input::Pipe(&archive),
    )
    .exits(0);
    let told = without_closing_lines(filed.err());
    assert_eq!(piped.err(), [filed.out(), told].concat());
    let written = inspected(&to);
    assert_eq!(filed.containerd_id(), written["containerd_id"].as_str());
    assert!(piped.stdout == bytes(&to));
    assert_eq!(filed.out(), format!("{}\n", text(&inspected(&to)["id"])));
}

#[test]
fn tags_replace_the_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = shown(&directory.path().join("out.tar"));
    let from = engines("docker20-one.tar");
    let tags = ["-t", "example.com/a/b:1", "-t", "c", "-t", "c:latest"];
    for layout in ["docker", "docker-legacy", "oci"] {
        let squash = ["squash", &from, "-f", "-o", &to, "--layout", layout];
        imgtar(&[&squash[..], &tags].concat()).writes_an_image();
        let references = &inspected(&to)["references"];
        assert_eq!(
            *references,
            serde_json::json!(["example.com/a/b:1", "c:latest"]),
            "{layout}"
        );
    }
    for (tag, why) in [
        ("a/B:1", "must be lowercase"),
        ("a:-", "invalid reference format"),
        (
            "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "refusing to create a tag with a digest reference",
        ),
        (
            "sha256:1",
            "refusing to create an ambiguous tag using digest algorithm as name",
        ),
    ] {
        let run = imgtar(&["squash", &from, "-o", &to, "-t", tag]).exits(2);
        assert!(run.err().contains(why), "{run}");
    }
}

/// One layer needs no merging, and a layer that is not there cannot be merged.
#[test]
fn nothing_to_merge() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = shown(&directory.path().join("out.tar"));
    let from = engines("docker26-one.tar");
    let run = imgtar(&["squash", &from, "--from", "8", "-o", &to]).exits(0);
    assert!(run.err().contains("there is nothing to merge"), "{run}");
    assert_eq!(inspected(&to)["id"], inspected(&from)["id"]);
    fs::remove_file(&to).expect("it was there");
    let run = imgtar(&["squash", &from, "--from", "9", "-o", &to]).exits(3);
    assert!(
        run.err().contains("has no layer 9, its layers are 0 to 8"),
        "{run}"
    );
    assert!(!Path::new(&to).exists());
}

/// A layer that is not what the config says is neither merged nor carried along.
#[test]
fn wrong_layers_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (bad, to) = (
        shown(&directory.path().join("bad.tar")),
        shown(&directory.path().join("out.tar")),
    );
    let from = engines("docker26-one.tar");
    let layers = inspected(&from)["layers"].clone();
    for (layer, squash_from) in [(0, "0"), (0, "3"), (6, "3"), (2, "2")] {
        let mut archive = bytes(&from);
        let member = text(&layers[layer]["member"]);
        let header = archive
            .windows(member.len())
            .position(|window| window == member.as_bytes())
            .expect("the member's header");
        // The owner's number in the first header of the layer, and the checksum to go with it.
        let block = &mut archive[header + 512..header + 1024];
        assert_eq!(&block[257..262], b"ustar");
        block[114] += 1;
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum::<u32>()
            - block[148..156].iter().map(|&b| u32::from(b)).sum::<u32>()
            + 8 * 32;
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        fs::write(&bad, archive).expect("room");
        let run = imgtar(&["squash", &bad, "--from", squash_from, "-o", &to]).exits(3);
        let claimed = text(&layers[layer]["diff_id"]);
        assert!(run.err().contains(&format!("layer {layer} of")), "{run}");
        assert!(run.err().contains(claimed), "{run}");
        assert!(run.stdout.is_empty(), "{run}");
        assert!(!Path::new(&to).exists());
        imgtar(&[
            "squash",
            &bad,
            "--from",
            squash_from,
            "-o",
            &to,
            "--no-verify",
        ])
        .exits(0);
        fs::remove_file(&to).expect("it was written");
    }
}
