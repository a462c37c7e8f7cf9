//! What `convert` writes of every archive that engines made, in every layout, loads into every engine with the IDs
//! that imgtar printed.

use std::collections::BTreeSet;
use std::process;

use serde_json::Value;

use crate::load::Skopeo;
use crate::support::{
    Ctr, Docker, Podman, Run, Work, archives, full_size, imgtar, items, repository, sha256, shared,
    text,
};

/// One archive that was written.
struct Carried {
    /// Which, for messages.
    what: String,
    path: String,
    layout: &'static str,
    answer: Value,
    /// The archive that it was made of.
    source: String,
    /// It goes when this does.
    _work: Work,
}

/// What an engine takes.
struct Takes {
    layouts: &'static [&'static str],
    zstd: bool,
    /// All platforms of an OCI image layout, where all are there.
    all_platforms: bool,
}

impl Carried {
    /// The IDs of its images.
    fn ids(&self, key: &str) -> BTreeSet<String> {
        let images = items(&self.answer["images"]).iter();
        images.map(|image| text(&image[key]).to_owned()).collect()
    }
}

/// Every archive of engines as every layout that an engine takes, with its layers as they are; every third also with
/// layers compressed with gzip, with zstd or not at all, in turns. Without `IMGTAR_FULL_SIZE` every fifth.
fn each(takes: &Takes, see: &mut dyn FnMut(&Carried)) {
    let roots = [Some(repository("testdata/engines")), shared("archives")];
    let (mut number, mut seen) = (0, 0);
    for root in roots.into_iter().flatten() {
        for name in archives(&root) {
            // Flat tars lie beside the archives.
            if name.contains("export") {
                continue;
            }
            for layout in takes.layouts {
                number += 1;
                if !full_size() && number % 5 != 0 {
                    continue;
                }
                let other = ["gzip", "zstd", "none"][number / 3 % 3];
                let is_third = number % 3 == 0 || !full_size();
                let compressions: &[&str] = if is_third {
                    &["keep", other]
                } else {
                    &["keep"]
                };
                let possible = compressions.iter().filter(|compress| {
                    **compress != "zstd" || takes.zstd && *layout != "docker-legacy"
                });
                for compress in possible {
                    let work = Work::new();
                    let path = work.path("out.tar");
                    let archive = format!("{root}/{name}");
                    let Some(answer) = converted(takes, &archive, layout, compress, &path) else {
                        continue;
                    };
                    seen += 1;
                    see(&Carried {
                        what: format!("{name} as {layout}, {compress}"),
                        source: archive,
                        path,
                        layout,
                        answer,
                        _work: work,
                    });
                }
            }
        }
    }
    assert!(seen > 15, "{seen} archives");
}

/// Converts an archive; `None` where it has nothing for the platform of this machine.
fn converted(
    takes: &Takes,
    archive: &str,
    layout: &str,
    compress: &str,
    to: &str,
) -> Option<Value> {
    let convert = |platform: &[&str]| -> Run {
        let args = [
            "convert",
            archive,
            "--layout",
            layout,
            "--compress",
            compress,
            "-f",
            "-o",
            to,
            "--json",
        ];
        imgtar(&[&args, platform].concat())
    };
    let run = convert(&[]);
    if run.code == 0 && layout == "oci" {
        let loads = ["verify", "-q", "--loads", "ctr-all-platforms", to];
        if takes.all_platforms && imgtar(&loads).code == 0 {
            return Some(run.json());
        }
    } else if run.code == 0 {
        return Some(run.json());
    }
    let run = convert(&["--platform", "linux/amd64"]);
    (run.code == 0).then(|| run.json())
}

fn loads_into(docker: Option<Docker>, takes: &Takes, key: &str) {
    let Some(docker) = docker else { return };
    each(takes, &mut |carried| {
        docker.run_on(&["load", "-q"], &carried.path);
        let ids = carried.ids(key);
        for id in &ids {
            let printed = docker.run(&["image", "inspect", id]);
            let inspected: Value = serde_json::from_slice(&printed).expect("JSON");
            assert_eq!(text(&inspected[0]["Id"]), *id, "{}", carried.what);
        }
        for id in &ids {
            docker.forget(id);
        }
    });
}

#[test]
fn docker_20_loads_all_that_is_carried() {
    let takes = Takes {
        layouts: &["docker", "docker-legacy"],
        zstd: false,
        all_platforms: false,
    };
    loads_into(Docker::d20(), &takes, "id");
}

#[test]
fn docker_26_loads_all_that_is_carried() {
    let takes = Takes {
        layouts: &["docker", "docker-legacy"],
        zstd: true,
        all_platforms: false,
    };
    loads_into(Docker::d26(), &takes, "id");
}

#[test]
fn docker_28_loads_all_that_is_carried() {
    let takes = Takes {
        layouts: &["docker", "docker-legacy"],
        zstd: true,
        all_platforms: false,
    };
    loads_into(Docker::d28(), &takes, "id");
}

const CONTAINERD: Takes = Takes {
    layouts: &["docker", "docker-legacy", "oci"],
    zstd: true,
    all_platforms: true,
};

#[test]
fn docker_26_with_containerd_loads_all_that_is_carried() {
    loads_into(Docker::d26c(), &CONTAINERD, "containerd_id");
}

#[test]
fn docker_28_with_containerd_loads_all_that_is_carried() {
    loads_into(Docker::d28c(), &CONTAINERD, "containerd_id");
}

#[test]
fn ctr_imports_all_that_is_carried() {
    let namespace = format!("imgtar-carry-{}", process::id());
    let Some(ctr) = Ctr::find(&namespace) else {
        return;
    };
    each(&CONTAINERD, &mut |carried| {
        ctr.import(&["--all-platforms"], &carried.path);
        let listed = ctr.ask(&["images", "ls"]);
        for image in items(&carried.answer["images"]) {
            let is_named = !items(&image["references"]).is_empty();
            let id = text(&image["containerd_id"]);
            assert!(
                !is_named || listed.contains(id),
                "{}: {id} is not in {listed}",
                carried.what
            );
        }
        for name in ctr.ask(&["images", "ls", "-q"]).lines() {
            ctr.ask(&["images", "rm", "--sync", name]);
        }
    });
}

/// What podman and skopeo call the images of an archive: of an OCI image layout with several, those that have names,
/// since releases before 1.20 cannot ask for another one.
fn sources<'c>(carried: &'c Carried, path: &str) -> Vec<(String, &'c Value)> {
    let images = items(&carried.answer["images"]);
    let several = images.len() > 1;
    let source = |(number, image): (usize, &'c Value)| {
        let source = match (carried.layout, several) {
            ("oci", false) => format!("oci-archive:{path}"),
            ("oci", true) => format!(
                "oci-archive:{path}:{}",
                text(items(&image["references"]).first()?)
            ),
            (_, false) => format!("docker-archive:{path}"),
            (_, true) => format!("docker-archive:{path}:@{number}"),
        };
        Some((source, image))
    };
    images.iter().enumerate().filter_map(source).collect()
}

/// An archive of BuildKit's whose manifest has a media type that skopeo 1.9 does not know, and 1.22 does:
/// `application/vnd.docker.image.rootfs.diff.tar.zstd`.
const ZSTD_IN_A_DOCKER_MANIFEST: &str = "buildkit28-docker-zstd.tar";

const LIBRARY: Takes = Takes {
    layouts: &["docker", "docker-legacy", "oci"],
    zstd: true,
    all_platforms: false,
};

#[test]
fn podman_loads_all_that_is_carried() {
    let Some(podman) = Podman::with_overlay() else {
        return;
    };
    each(&LIBRARY, &mut |carried| {
        let inside = podman.take(&carried.path);
        let mut ids = carried.ids("id");
        if carried.layout == "oci" && ids.len() > 1 {
            // `podman load` takes no OCI archive of several images; `podman pull` takes them one by one.
            let sources = sources(carried, &inside);
            for (source, _) in &sources {
                podman.run(&["pull", "-q", source]);
            }
            ids = sources
                .iter()
                .map(|(_, image)| text(&image["id"]).to_owned())
                .collect();
        } else {
            podman.run(&["load", "-q", "-i", &inside]);
        }
        let printed = podman.run(&["images", "-a", "-q", "--no-trunc"]);
        let printed = String::from_utf8(printed).expect("IDs");
        let loaded: BTreeSet<String> = printed.lines().map(ToOwned::to_owned).collect();
        assert_eq!(loaded, ids, "{}", carried.what);
        podman.run(&["rmi", "-a", "-f"]);
    });
}

#[test]
fn skopeo_reads_all_that_is_carried() {
    let Some(skopeo) = Skopeo::of_this_machine() else {
        return;
    };
    each(&LIBRARY, &mut |carried| {
        if carried.source.ends_with(ZSTD_IN_A_DOCKER_MANIFEST) && carried.layout == "oci" {
            // As its maker wrote it, it is not read either, and what keeps its manifest is not.
            let source = format!("oci-archive:{}", skopeo.take(&carried.source));
            skopeo.refuses(&["inspect", "--config", "--raw", &source]);
            let source = format!("oci-archive:{}", skopeo.take(&carried.path));
            let inspect = ["inspect", "--config", "--raw", &source];
            if carried.what.ends_with("keep") {
                skopeo.refuses(&inspect);
            } else {
                skopeo.run(&inspect);
            }
            return;
        }
        let path = skopeo.take(&carried.path);
        for (source, image) in sources(carried, &path) {
            let config = skopeo.run(&["inspect", "--config", "--raw", &source]);
            assert_eq!(sha256(&config), text(&image["id"]), "{}", carried.what);
            if carried.layout == "docker-legacy" && items(&carried.answer["images"]).len() > 1 {
                // skopeo 1.9 takes the size of a link for that of the layer, in Docker's own archives too.
                continue;
            }
            let to = skopeo.copy_to("dir");
            skopeo.run(&["copy", "-q", "--insecure-policy", &source, &to]);
        }
    });
}
