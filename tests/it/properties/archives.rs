//! Whole archives: whatever their members are called, in whatever order they stand and however they
//! are linked, the images are the same; and no bit of a layer can change unnoticed.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use imgtar::archive::{Archive, Layout};
use imgtar::base::digest::Digest;
use imgtar::base::problem::{Code, Problem, Severity};
use imgtar::base::progress::Silent;
use imgtar::check::{Verification, verify};
use imgtar::image::{Identity, ImageSet};
use imgtar::source::Compression;
use imgtar::{Jobs, Options};
use proptest::collection::vec;
use proptest::prelude::*;

use super::compression::encode;
use super::craft::{END, Header, file};
use super::{config, file as temporary};

/// A layer: its content, and how the archive holds it.
#[derive(Clone, Debug)]
struct Layer {
    tar: Vec<u8>,
    compression: Compression,
    directory: String,
    /// How the name in `manifest.json` leads to the bytes.
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
enum Link {
    Symbolic,
    Absolute,
    Hard,
}

/// An archive, written in one of many ways.
#[derive(Clone, Debug)]
struct Plan {
    layers: Vec<Layer>,
    /// The layers of each image, by index.
    images: Vec<Vec<usize>>,
    config_directory: String,
    /// The order of the members, by a number for each.
    order: Vec<u32>,
    /// Before the names of members, and before the names in `manifest.json`.
    member_prefix: &'static str,
    manifest_prefix: &'static str,
}

fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar: Vec<u8> = files
        .iter()
        .flat_map(|(name, body)| file(name.as_bytes(), body))
        .collect();
    tar.extend(END);
    tar
}

/// A directory for members; parts of the layout's own names are among them.
fn directory() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-zA-Z0-9_. -]{1,12}"
            .prop_filter("has another spelling", |d| d != "." && d != "..")
            .prop_map(|d| d + "/"),
        "[0-9a-f]{64}/",
        Just("blobs/".to_owned()),
    ]
}

prop_compose! {
    fn layer()(
        files in vec(("[a-z]{1,10}", vec(any::<u8>(), 0..700)), 0..5),
        compression in prop_oneof![
            3 => Just(Compression::None),
            1 => Just(Compression::Gzip),
            1 => Just(Compression::Zstd),
        ],
        directory in directory(),
        links in vec(prop::sample::select(vec![Link::Symbolic, Link::Absolute, Link::Hard]), 0..4),
    ) -> Layer {
        Layer { tar: tar_of(&files), compression, directory, links }
    }
}

prop_compose! {
    fn plan()(layers in vec(layer(), 1..5))(
        images in vec(vec(0..layers.len(), 1..5), 1..4),
        layers in Just(layers),
        config_directory in directory(),
        order in vec(any::<u32>(), 64),
        member_prefix in prop::sample::select(vec!["", "./", "/", "x/../"]),
        manifest_prefix in prop::sample::select(vec!["", "./", "/"]),
    ) -> Plan {
        Plan { layers, images, config_directory, order, member_prefix, manifest_prefix }
    }
}

/// What has to be found.
struct Expected {
    ids: Vec<Digest>,
    diff_ids: Vec<Vec<Digest>>,
}

impl Plan {
    fn build(&self) -> (Vec<u8>, Expected) {
        let mut members: Vec<Vec<u8>> = Vec::new();
        let mut names = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            names.push(self.add_layer(index, layer, &mut members));
        }
        let mut expected = Expected {
            ids: Vec::new(),
            diff_ids: Vec::new(),
        };
        let mut items = Vec::new();
        for (index, stack) in self.images.iter().enumerate() {
            let diff_ids: Vec<Digest> = stack
                .iter()
                .map(|&i| Digest::sha256_of(&self.layers[i].tar))
                .collect();
            let config = serde_json::json!({
                "os": "linux",
                "architecture": "amd64",
                "author": format!("image {index}"),
                "rootfs": {"type": "layers", "diff_ids": diff_ids.iter().map(ToString::to_string).collect::<Vec<_>>()},
                "history": stack.iter().map(|i| serde_json::json!({"created_by": format!("layer {i}")})).collect::<Vec<_>>(),
            })
            .to_string();
            let name = format!("{}config-{index}.json", self.config_directory);
            members.push(self.member(&name, config.as_bytes()));
            expected.ids.push(Digest::sha256_of(config.as_bytes()));
            expected.diff_ids.push(diff_ids);
            items.push(serde_json::json!({
                "Config": format!("{}{name}", self.manifest_prefix),
                "RepoTags": [format!("imgtar-properties/image:{index}")],
                "Layers": stack.iter().map(|&i| format!("{}{}", self.manifest_prefix, names[i])).collect::<Vec<_>>(),
            }));
        }
        let manifest = serde_json::Value::from(items).to_string();
        members.push(self.member("manifest.json", manifest.as_bytes()));
        let mut ordered: Vec<_> = members.iter().zip(self.order.iter().cycle()).collect();
        // A hard link is one to a member before it; no tar reader finds one behind.
        let is_hard = |member: &[u8]| member[156] == b'1';
        ordered.sort_by_key(|(member, order)| {
            (is_hard(member), if is_hard(member) { 0 } else { **order })
        });
        let mut bytes: Vec<u8> = ordered
            .into_iter()
            .flat_map(|(member, _)| member.clone())
            .collect();
        bytes.extend(END);
        (bytes, expected)
    }

    /// Adds the bytes of a layer and the links to them; returns the name to be used.
    fn add_layer(&self, index: usize, layer: &Layer, members: &mut Vec<Vec<u8>>) -> String {
        let mut name = format!("{}{index}-bytes/layer.tar", layer.directory);
        let bytes = name.clone();
        let mut is_relative = false;
        members.push(self.member(&name, &encode(layer.compression, &layer.tar)));
        for (number, link) in layer.links.iter().enumerate() {
            // Deeper at every step, so that relative targets have to climb.
            let linked = format!("{index}-link/{}layer.tar", "d/".repeat(number));
            let (kind, target) = match link {
                // A relative symbolic link of another name in another directory leads elsewhere.
                Link::Hard if is_relative => (b'1', bytes.clone()),
                Link::Hard => (b'1', name.clone()),
                Link::Absolute => (b'2', format!("/{name}")),
                Link::Symbolic => (b'2', format!("{}{name}", "../".repeat(number + 1))),
            };
            let path = format!("{}{linked}", self.member_prefix);
            members.push(
                Header::new(kind, path.as_bytes(), 0)
                    .link(target.as_bytes())
                    .sealed(),
            );
            is_relative = matches!(link, Link::Symbolic);
            name = linked;
        }
        name
    }

    fn member(&self, name: &str, body: &[u8]) -> Vec<u8> {
        file(format!("{}{name}", self.member_prefix).as_bytes(), body)
    }
}

struct Read {
    archive: Archive,
    set: ImageSet,
}

fn read(bytes: &[u8]) -> Read {
    let file = temporary(bytes);
    let archive = imgtar::open(file.path(), &Options::default()).expect("an archive");
    let set = archive.images().expect("images");
    Read { archive, set }
}

fn check(read: &Read) -> Verification {
    // More threads than layers: the answer may not depend on it.
    let jobs = Jobs::new(NonZeroUsize::new(3).expect("not zero"));
    verify(&read.archive, &read.set, jobs, &Silent).expect("the file is there")
}

fn errors(problems: &[Problem]) -> BTreeSet<&'static str> {
    problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| problem.code.name())
        .collect()
}

proptest! {
    #![proptest_config(config(384))]

    #[test]
    fn images_do_not_depend_on_how_members_are_written(plan in plan()) {
        let (bytes, expected) = plan.build();
        let read = read(&bytes);
        prop_assert_eq!(read.set.layout, Layout::Docker);
        let ids: Vec<String> = expected.ids.iter().map(ToString::to_string).collect();
        let found: Vec<String> = read.set.images.iter().map(|image| image.identity.to_string()).collect();
        prop_assert_eq!(found, ids);
        for (image, diff_ids) in read.set.images.iter().zip(&expected.diff_ids) {
            prop_assert!(matches!(image.identity, Identity::Config(_)));
            let found: Vec<&Digest> = image.layers.iter().filter_map(|layer| Some(layer.diff_id.as_ref()?.digest())).collect();
            prop_assert_eq!(found, diff_ids.iter().collect::<Vec<_>>());
            prop_assert!(image.layers.iter().all(|layer| layer.present().is_some()));
        }
        let result = check(&read);
        // Layers are made of names at random, and one may come twice.
        let told = result.problems.iter().find(|problem| problem.code != Code::DuplicatePath);
        prop_assert!(told.is_none(), "{told:?}");
        let computed = result.images.iter().flat_map(|image| &image.layers);
        prop_assert!(computed.into_iter().all(|layer| layer.ok && layer.computed == layer.diff_id));
    }

    #[test]
    fn no_bit_of_a_layer_changes_unnoticed(
        plan in plan(),
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut plan = plan;
        for layer in &mut plan.layers {
            layer.compression = Compression::None;
        }
        let (mut bytes, _) = plan.build();
        let sound = read(&bytes);
        let layers: Vec<_> = sound.set.images.iter().flat_map(|image| &image.layers).collect();
        let span = layers[which.index(layers.len())].span().expect("it is there");
        let at = span.offset + at.index(usize::try_from(span.len).expect("a short layer")) as u64;
        bytes[usize::try_from(at).expect("a short archive")] ^= 1 << bit;

        let changed = read(&bytes);
        let result = check(&changed);
        prop_assert!(!result.is_ok(false));
        // Every use of the layer is reported, and no other.
        for (image, checked) in changed.set.images.iter().zip(&result.images) {
            for (layer, checked) in image.layers.iter().zip(&checked.layers) {
                let hit = layer.span() == Some(span);
                prop_assert_eq!(checked.ok, !hit);
                let told = result.problems.iter().any(|problem| {
                    problem.code == Code::DiffIdMismatch
                        && (problem.image, problem.layer) == (Some(image.position), Some(layer.index))
                });
                prop_assert_eq!(told, hit);
            }
        }
    }

    #[test]
    fn a_compressed_layer_is_what_its_content_is(
        plan in plan(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut plan = plan;
        plan.images = vec![vec![0]];
        plan.layers.truncate(1);
        if plan.layers[0].compression == Compression::None {
            plan.layers[0].compression = Compression::Gzip;
        }
        let (mut bytes, expected) = plan.build();
        let span = read(&bytes).set.images[0].layers[0].span().expect("it is there");
        let at = span.offset + at.index(usize::try_from(span.len).expect("a short layer")) as u64;
        bytes[usize::try_from(at).expect("a short archive")] ^= 1 << bit;
        let changed = read(&bytes);
        let result = check(&changed);
        let layer = &result.images[0].layers[0];
        let same = layer.computed.as_ref().is_some_and(|id| *id.digest() == expected.diff_ids[0][0]);
        // The time in a gzip header, say, is no content.
        prop_assert_eq!(layer.ok, same);
        if !same {
            let errors = errors(&result.problems);
            let known = ["diff-id-mismatch", "layer-corrupt", "layer-truncated"];
            prop_assert!(known.iter().any(|code| errors.contains(code)), "{:?}", errors);
        }
    }

    #[test]
    fn an_archive_that_is_cut_off_is_never_sound(plan in plan(), cut in any::<prop::sample::Index>()) {
        let (bytes, expected) = plan.build();
        let cut = cut.index(bytes.len());
        prop_assume!(cut > 0);
        let file = temporary(&bytes[..cut]);
        // What commands other than verify work with is whole.
        if let Ok(archive) = imgtar::open(file.path(), &Options::default()) && let Ok(set) = archive.images() {
            prop_assert_eq!(set.images.len(), expected.ids.len());
            let mut layers = set.images.iter().flat_map(|image| &image.layers);
            prop_assert!(layers.all(|layer| layer.present().is_some()));
        }
        let Ok(contents) = imgtar::open_damaged(file.path(), &Options::default()) else { return Ok(()) };
        let Ok(set) = contents.images() else { return Ok(()) };
        let jobs = Jobs::new(NonZeroUsize::MIN);
        let result = verify(&contents, &set, jobs, &Silent).expect("no fault of the system");
        // Between two members, a cut shows only in what is missing; and it is one error.
        if result.is_ok(false) {
            prop_assert_eq!(set.images.len(), expected.ids.len());
            prop_assert!(result.images.iter().flat_map(|image| &image.layers).all(|layer| layer.ok));
        } else {
            prop_assert_eq!(errors(&result.problems), BTreeSet::from(["archive-truncated"]));
        }
    }
}
