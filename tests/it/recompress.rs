//! `convert --compress`: the same images with their layers stored in another way.

use serde_json::Value;

use crate::support::Work;
use crate::support::{bytes, engines, imgtar, items, repository, text};

fn recompress(archive: &str, layout: &str, how: &[&str], to: &str) -> Value {
    let mut args = vec![
        "convert", archive, "--layout", layout, "-f", "-o", to, "--json",
    ];
    args.push("--compress");
    args.extend(how);
    imgtar(&args).exits(0).json()
}

fn ids(answer: &Value, key: &str) -> Vec<String> {
    items(&answer["images"])
        .iter()
        .map(|image| image[key].to_string())
        .collect()
}

/// Where nothing was compressed before, the way there and back ends where it began.
#[test]
fn there_and_back_again_is_the_same() {
    let work = Work::new();
    let (plain, small, back) = (work.path("a.tar"), work.path("b.tar"), work.path("c.tar"));
    recompress(&engines("docker20-multi.tar"), "oci", &["none"], &plain);
    for how in ["gzip", "zstd"] {
        recompress(&plain, "oci", &[how], &small);
        assert!(bytes(&small).len() < bytes(&plain).len());
        recompress(&small, "oci", &["none"], &back);
        assert!(bytes(&plain) == bytes(&back), "{how}");
    }
}

#[test]
fn a_damaged_layer_is_named_and_nothing_is_written() {
    let work = Work::new();
    for archive in ["layer-bit-flipped.tar", "layer-gzip-damaged.tar"] {
        let archive = repository(&format!("testdata/broken/{archive}"));
        if !std::path::Path::new(&archive).exists() {
            continue;
        }
        for how in ["gzip", "zstd", "none"] {
            let to = work.path(how);
            let args = [
                "convert",
                &archive,
                "--layout",
                "oci",
                "--compress",
                how,
                "-o",
                &to,
            ];
            let run = imgtar(&args).exits(3);
            assert!(run.err().contains("layer 1 of"), "{}", run.err());
            assert!(!std::path::Path::new(&to).exists());
        }
    }
}

/// Indexes follow their manifests; what names a digest in its own bytes is told of.
#[test]
fn indexes_and_attestations_follow() {
    let work = Work::new();
    let to = work.path("out.tar");
    let archive = engines("buildkit28-artifacts.tar");
    let answer = recompress(&archive, "oci", &["zstd"], &to);
    let (before, after) = (
        imgtar(&["inspect", &archive, "--json"]).exits(0).json(),
        imgtar(&["inspect", &to, "--json"]).exits(0).json(),
    );
    assert_eq!(ids(&before, "id"), ids(&after, "id"));
    let count = |answer: &Value| items(&answer["artifacts"]).len();
    assert_eq!(count(&before), count(&after));
    // What they are about is in the archive under its new digest, as the index says.
    let manifests: Vec<&str> = items(&answer["images"])
        .iter()
        .map(|image| text(&image["manifest"]))
        .collect();
    for artifact in items(&after["artifacts"]) {
        if let Some(subject) = artifact["subject"].as_str() {
            assert!(manifests.contains(&subject), "{artifact}");
        }
    }
    imgtar(&["verify", "-q", &to]).exits(0);
}

/// A blob of an attestation is not called a layer.
#[test]
fn a_damaged_attestation_is_called_one() {
    let work = Work::new();
    let mut damaged = bytes(&engines("buildkit28-artifacts.tar"));
    let text = b"in-toto.io/Statement";
    let at = damaged
        .windows(text.len())
        .position(|window| window == text)
        .expect("a statement");
    damaged[at] = b'I';
    let archive = work.put("damaged.tar", &damaged);
    let to = work.path("out.tar");
    let run = imgtar(&["convert", &archive, "--layout", "oci", "-o", &to]).exits(3);
    let said = run.err();
    assert!(
        said.contains("error: blob ") && said.contains(" of the attestation sha256:"),
        "{said}"
    );
    assert!(
        said.contains("does not match its digest: claimed"),
        "{said}"
    );
    assert!(!said.contains("layer"), "{said}");
    assert!(!std::path::Path::new(&to).exists());
}
