//! The programs in `examples/`, and what they print.

use std::error::Error;
use std::io::Write;

use crate::support::imgtar;

/// Makes an example a module. `main` is what `cargo run --example` calls, here only `run` is.
macro_rules! examples {
    ($($name:ident $path:literal;)*) => {$(
        #[expect(dead_code, reason = "`main` is for `cargo run --example`")]
        #[path = $path]
        mod $name;
    )*};
}

examples! {
    flatten "../../examples/flatten.rs";
    large_files "../../examples/large_files.rs";
    layer_entries "../../examples/layer_entries.rs";
    list_images "../../examples/list_images.rs";
    print_file "../../examples/print_file.rs";
    to_oci "../../examples/to_oci.rs";
    verify "../../examples/verify.rs";
}

type Run = fn(&[String], &mut dyn Write) -> Result<(), Box<dyn Error>>;

/// What an example prints.
fn printed(run: Run, args: &[&str]) -> String {
    let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
    let mut out = Vec::new();
    run(&args, &mut out).expect("the example runs");
    String::from_utf8(out).expect("text")
}

#[test]
fn list_images_lists_the_images() {
    let archive = "testdata/engines/docker20-multi.tar";
    let printed = printed(list_images::run, &[archive]);
    // IDs are new whenever the test data is made.
    let lines = printed.lines().map(|line| line.split_once(' '));
    let (ids, rest): (Vec<&str>, Vec<&str>) = lines.map(|line| line.expect("an ID")).unzip();
    assert_eq!(
        rest,
        [
            "imgtar-testdata/app:1 for linux/amd64, layers: 9",
            "imgtar-testdata/app:2 for linux/amd64, layers: 10",
            "imgtar-testdata/classic:1 for linux/amd64, layers: 2",
            "imgtar-testdata/base:1 for linux/amd64, layers: 1",
        ]
    );
    let run = imgtar(&["images", "-q", archive]).succeeds();
    for id in ids {
        assert!(run.out().contains(id), "{id}");
    }
}

#[test]
fn print_file_prints_what_cat_prints() {
    let (archive, path) = ("testdata/engines/docker20-multi.tar", "etc/os-release");
    let image = "imgtar-testdata/app:1";
    let run = imgtar(&["cat", archive, "-i", image, path]).succeeds();
    let text = printed(print_file::run, &[archive, image, path]);
    assert_eq!(text, run.out());
    assert_eq!(text, "ID=imgtar\nNAME=\"imgtar test image\"\n");
}

#[test]
fn layer_entries_lists_a_layer_as_it_is_stored() {
    const WANTED: &str = "     0 0755 bin/
   440 0755 bin/one
     0 0755 etc/
     0 0755 etc/app/
     0 0755 etc/app/conf.d/
     0 0755 etc/app/conf.d/.wh..wh..opq
     6 0644 etc/app/conf.d/30-third.conf
     0 0755 opt/
     0 0600 opt/.wh.deleted
     0 0755 opt/file/
     0 0755 opt/file/.wh..wh..opq
     0 0755 opt/file/now/
     3 0644 opt/file/now/a-directory
     0 0600 opt/.wh.gone
     0 0755 srv/
     5 0600 srv/epoch
     0 0755 srv/four
     0 0755 var/
     0 0755 var/lib/
  2005 0644 var/lib/data
";
    let archive = "testdata/engines/docker20-one.tar";
    assert_eq!(printed(layer_entries::run, &[archive, "1"]), WANTED);
}

#[test]
fn verify_says_what_is_wrong() {
    assert_eq!(
        printed(verify::run, &["testdata/engines/docker20-one.tar"]),
        "testdata/engines/docker20-one.tar: ok\n"
    );
    assert_eq!(
        printed(verify::run, &["testdata/broken/layer-bit-flipped.tar"]),
        "diff-id-mismatch: the layer's content does not match its diff ID: it was changed, damaged or \
         swapped, and engines refuse to load it\n\
         testdata/broken/layer-bit-flipped.tar: not what it claims\n"
    );
    let cut = printed(
        verify::run,
        &["testdata/broken/truncated-after-manifest.tar"],
    );
    assert!(cut.starts_with("archive-truncated: "), "{cut}");
    assert!(
        cut.ends_with("truncated-after-manifest.tar: not what it claims\n"),
        "{cut}"
    );
}

#[test]
fn flatten_writes_what_the_program_writes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rootfs.tar");
    let path = path.to_str().expect("a path of text");
    let archive = "testdata/engines/docker20-one.tar";
    assert_eq!(
        printed(flatten::run, &[archive, "@0", path]),
        "61 entries, 61440 bytes\n"
    );
    let run = imgtar(&["flatten", archive]).succeeds();
    assert!(std::fs::read(path).expect("the tar") == run.stdout);
}

#[test]
fn to_oci_keeps_the_images() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("oci.tar");
    let path = path.to_str().expect("a path of text");
    let archive = "testdata/engines/docker20-multi.tar";
    let ids = printed(to_oci::run, &[archive, path]);
    assert_eq!(ids.lines().count(), 4);
    imgtar(&["verify", "--strict", path]).succeeds();
    for archive in [archive, path] {
        let run = imgtar(&["images", "--no-trunc", "-q", archive]).succeeds();
        for id in ids.lines() {
            assert!(run.out().contains(id), "{id}");
        }
    }
}

#[test]
fn large_files_are_the_largest() {
    assert_eq!(
        printed(large_files::run, &["testdata/engines/docker20-one.tar"]),
        "    2005 var/lib/data\n    1024 lib/libx.so.1.1\n     440 bin/one\n"
    );
}
