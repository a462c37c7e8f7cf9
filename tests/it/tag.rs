//! `tag` and `config`: other names and another config, with everything else as it was.

use std::fs;

use serde_json::Value;

use crate::support::{Docker, Work, engines, imgtar, items, text};

/// Every name that an archive has.
fn names(archive: &str) -> Vec<String> {
    let all = imgtar(&["images", "--json", archive]).exits(0).json();
    let images = items(&all["images"]).iter();
    images
        .flat_map(|image| items(&image["references"]))
        .map(|name| text(name).to_owned())
        .collect()
}

fn ids(archive: &str) -> Vec<String> {
    let all = imgtar(&["images", "--json", archive]).exits(0).json();
    let images = items(&all["images"]).iter();
    images.map(|image| text(&image["id"]).to_owned()).collect()
}

/// A name that is given and taken away again leaves the bytes as they were.
#[test]
fn a_name_comes_and_goes() {
    for (archive, layout) in [
        ("docker26-one.tar", "docker"),
        ("docker20-one.tar", "docker-legacy"),
        ("skopeo-oci.tar", "oci"),
        ("docker26c-one.tar", "docker"),
    ] {
        let work = Work::new();
        let [own, tagged, back] = ["own.tar", "tagged.tar", "back.tar"].map(|name| work.path(name));
        imgtar(&["convert", &engines(archive), "--layout", layout, "-o", &own]).exits(0);
        let answer = imgtar(&[
            "tag",
            &own,
            "example.com/new/name:7",
            "-o",
            &tagged,
            "--json",
        ]);
        let answer = answer.exits(0).json();
        assert_eq!(answer["schema"], "imgtar/tag/1");
        assert_eq!(ids(&tagged), ids(&own), "{archive}");
        let mut wanted = names(&own);
        wanted.push("example.com/new/name:7".to_owned());
        assert_eq!(names(&tagged), wanted, "{archive}");
        imgtar(&["verify", "-q", &tagged]).exits(0);
        imgtar(&[
            "tag",
            &tagged,
            "--remove",
            "example.com/new/name:7",
            "-o",
            &back,
        ])
        .exits(0);
        let bytes = |path: &str| fs::read(path).expect("an archive");
        assert!(bytes(&back) == bytes(&own), "{archive} is not what it was");
    }
}

/// Of several images the first argument says which; a name that another one has moves.
#[test]
fn names_move() {
    let archive = engines("docker26-multi.tar");
    let work = Work::new();
    let to = work.path("out.tar");
    let all = imgtar(&["images", &archive, "--json"]).exits(0).json();
    let [first, second] = [0, 1].map(|n| text(&all["images"][n]["references"][0]).to_owned());
    let run = imgtar(&["tag", &archive, &second, &first, "new:1", "-o", &to]).exits(0);
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(
        told.contains("warning: ") && told.contains(&first),
        "{told}"
    );
    let image = imgtar(&["images", &to, &first, "--json"]).exits(0).json();
    assert_eq!(image["images"][0]["id"], all["images"][1]["id"]);
    let of_second = items(&image["images"][0]["references"]);
    for name in [&first, &second, "new:1"] {
        assert!(of_second.iter().any(|known| text(known) == name), "{name}");
    }
    // Of several images one has to be named, and what is not there cannot be taken away.
    imgtar(&["tag", &archive, "new:1", "-o", &to, "-f"]).exits(2);
    imgtar(&["tag", &archive, "--remove", "nothing:1", "-o", &to, "-f"]).exits(3);
    imgtar(&["tag", &archive, &second, "Upper:1", "-o", &to, "-f"]).exits(2);
    imgtar(&["tag", &archive, "new:1", "-o", &archive, "-f"]).exits(2);
}

/// An index keeps its platforms, its digest and its attestations, whatever it is called.
#[test]
fn an_index_is_named_as_a_whole() {
    let archive = engines("buildkit28-artifacts.tar");
    let work = Work::new();
    let to = work.path("out.tar");
    imgtar(&["tag", &archive, "other:1", "--only", "-o", &to]).exits(0);
    let [before, after] =
        [&archive, &to].map(|path| imgtar(&["images", path, "--json"]).exits(0).json());
    assert_eq!(
        items(&after["images"]).len(),
        items(&before["images"]).len()
    );
    assert_eq!(
        after["images"][0]["containerd_id"],
        before["images"][0]["containerd_id"]
    );
    assert!(
        names(&to).iter().all(|name| name == "other:1"),
        "{:?}",
        names(&to)
    );
    imgtar(&["verify", "-q", &to]).exits(0);
}

fn config_of(archive: &str) -> Value {
    let all = imgtar(&["inspect", archive, "--json"]).exits(0).json();
    all["images"][0]["config"].clone()
}

#[test]
fn a_config_changes_and_the_rest_stays() {
    for archive in [
        "docker26-one.tar",
        "docker20-one.tar",
        "skopeo-oci.tar",
        "podman-oci.tar",
    ] {
        let archive = engines(archive);
        let work = Work::new();
        let [to, back] = ["out.tar", "back.tar"].map(|name| work.path(name));
        let change = [
            "-c",
            "ENV NEW=1",
            "-c",
            "CMD [\"/x\"]",
            "-c",
            "LABEL made=here",
        ];
        let run = imgtar(&[&["config", &archive, "-o", &to, "--json"], &change[..]].concat());
        let answer = run.exits(0).json();
        assert_eq!(answer["schema"], "imgtar/config/1");
        assert_eq!(vec![text(&answer["images"][0]["id"]).to_owned()], ids(&to));
        assert_ne!(ids(&to), ids(&archive));
        let (old, new) = (config_of(&archive), config_of(&to));
        for same in ["rootfs", "history", "created", "architecture", "os"] {
            assert_eq!(new[same], old[same], "{archive}: {same}");
        }
        assert!(
            items(&new["config"]["Env"]).contains(&"NEW=1".into()),
            "{new}"
        );
        assert_eq!(new["config"]["Cmd"], serde_json::json!(["/x"]));
        assert_eq!(new["config"]["Labels"]["made"], "here");
        assert_eq!(names(&to), names(&archive));
        imgtar(&["verify", "-q", &to]).exits(0);
        // What was put in can be taken out; what is not there is told.
        let unset = [
            "--unset",
            "env=NEW",
            "--unset",
            "label=made",
            "--unset",
            "port=9",
        ];
        let run = imgtar(&[&["config", &to, "-o", &back], &unset[..]].concat()).exits(0);
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(told.contains("port=9"), "{told}");
        let back = config_of(&back);
        assert_eq!(back["config"]["Env"], old["config"]["Env"]);
    }
}

#[test]
fn configs_of_several_platforms_are_not_changed_at_once() {
    let archive = engines("buildkit28-artifacts.tar");
    let work = Work::new();
    let to = work.path("out.tar");
    let change = ["config", &archive, "-c", "USER x", "-o", &to];
    imgtar(&change).exits(2);
    imgtar(&[&change[..], &["--platform", "linux/amd64"]].concat()).exits(3);
    let one = engines("docker26-one.tar");
    imgtar(&["config", &one, "-c", "NONSENSE x", "-o", &to]).exits(2);
    imgtar(&["config", &one, "--unset", "nonsense", "-o", &to]).exits(2);
    imgtar(&["config", &one, "-o", &to]).exits(2);
    assert!(!std::path::Path::new(&to).exists());
}

/// Engines load what is written and show the ID and the name that imgtar printed.
#[test]
fn engines_take_the_names_and_the_configs() {
    for docker in [
        Docker::d20(),
        Docker::d26(),
        Docker::d26c(),
        Docker::d28(),
        Docker::d28c(),
    ]
    .into_iter()
    .flatten()
    {
        for archive in ["docker26-one.tar", "docker20-one.tar", "docker26c-one.tar"] {
            let work = Work::new();
            let [tagged, to] = ["tagged.tar", "out.tar"].map(|name| work.path(name));
            let name = "imgtar-tag-test/name:1";
            imgtar(&["tag", &engines(archive), name, "--only", "-o", &tagged]).exits(0);
            let run = imgtar(&["config", &tagged, "-c", "USER nobody", "-o", &to, "--json"]);
            let answer = run.exits(0).json();
            docker.run_on(&["load", "-q"], &to);
            let shown = docker.ask(&["image", "inspect", "-f", "{{.Id}} {{.Config.User}}", name]);
            let id = shown.split(' ').next().unwrap_or_default().to_owned();
            docker.forget(&id);
            let image = &answer["images"][0];
            let known = [text(&image["id"]), text(&image["containerd_id"])];
            assert!(known.contains(&id.as_str()), "{archive}: {shown}");
            assert!(shown.trim().ends_with(" nobody"), "{shown}");
        }
    }
}
