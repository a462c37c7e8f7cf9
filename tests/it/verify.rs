//! What `verify` says of layers, of checksum files, and of what to know before running an image.

use crate::support::{self, forge};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{
    Input, Work, bytes, engines, imgtar, imgtar_with, items, program, repository, sha256, shown,
    text,
};
use serde_json::{Value, json};

/// A layer under construction.
struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(
        mut self,
        name: &str,
        kind: tar::EntryType,
        link: &str,
        mode: u32,
        body: &str,
    ) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(body.len() as u64);
        if kind.is_character_special() {
            header.set_device_major(0).expect("ustar");
            header.set_device_minor(0).expect("ustar");
        }
        header.set_cksum();
        self.0.append(&header, body.as_bytes()).expect("memory");
        self
    }

    fn file(self, name: &str) -> Self {
        self.entry(name, tar::EntryType::Regular, "", 0o644, "x")
    }

    fn directory(self, name: &str) -> Self {
        self.entry(name, tar::EntryType::Directory, "", 0o755, "")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Link, target, 0o644, "")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(name, tar::EntryType::Symlink, target, 0o777, "")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("memory")
    }
}

/// A docker archive of one image.
fn archive(layers: Vec<Layer>, config: &Value) -> Vec<u8> {
    let layers: Vec<Vec<u8>> = layers.into_iter().map(Layer::bytes).collect();
    let mut config = config.clone();
    let diff_ids: Vec<String> = layers.iter().map(|layer| sha256(layer)).collect();
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    config["os"] = json!("linux");
    config["architecture"] = json!("amd64");
    let config = config.to_string();
    let config_name = format!("{}.json", &sha256(config.as_bytes())["sha256:".len()..]);
    let names: Vec<String> = (0..layers.len()).map(|i| format!("{i}.tar")).collect();
    let manifest =
        json!([{"Config": config_name, "RepoTags": ["made:1"], "Layers": names}]).to_string();
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: &str, body: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, body).expect("memory");
    };
    for (name, layer) in names.iter().zip(&layers) {
        put(name, layer);
    }
    put(&config_name, config.as_bytes());
    put("manifest.json", manifest.as_bytes());
    tar.into_inner().expect("memory")
}

#[track_caller]
fn verify(archive: &[u8], more: &[&str]) -> Value {
    let args = [&["verify", "--json", "-"], more].concat();
    imgtar_with(&args, Input::Pipe(archive)).json()["archives"][0].clone()
}

/// Each condition inside layers is reported by its code, its layer and its path.
#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn conditions_inside_layers_are_told_for_what_they_are() {
    let base = || Layer::new().directory("d").file("d/a").symlink("s", "d");
    let table: Vec<(&str, &str, Vec<Layer>, usize, &str)> = vec![
        (
            "duplicate-path",
            "warning",
            vec![base().file("./d/a")],
            0,
            "./d/a",
        ),
        (
            "unsafe-path",
            "warning",
            vec![base().file("../../evil")],
            0,
            "../../evil",
        ),
        (
            "whiteout-invalid",
            "error",
            vec![base(), Layer::new().file("d/.wh.")],
            1,
            "d/.wh.",
        ),
        (
            "whiteout-invalid",
            "error",
            vec![base(), Layer::new().file("d/.wh...")],
            1,
            "d/.wh...",
        ),
        (
            "link-target-missing",
            "error",
            vec![base().link("l", "nope")],
            0,
            "l",
        ),
        (
            "link-target-missing",
            "error",
            vec![base().link("l", "d")],
            0,
            "l",
        ),
        (
            "link-to-lower",
            "warning",
            vec![base(), Layer::new().link("l", "d/a")],
            1,
            "l",
        ),
        (
            "entry-below-symlink",
            "warning",
            vec![base(), Layer::new().file("s/x")],
            1,
            "s/x",
        ),
        (
            "entry-below-symlink",
            "error",
            vec![
                Layer::new().symlink("s", "t").symlink("t", "s"),
                Layer::new().file("s/x"),
            ],
            1,
            "s/x",
        ),
        (
            "entry-below-file",
            "error",
            vec![base(), Layer::new().file("d/a/x")],
            1,
            "d/a/x",
        ),
        (
            "entry-type-unknown",
            "error",
            vec![base().entry("u", tar::EntryType::new(b'Z'), "", 0o644, "")],
            0,
            "u",
        ),
        (
            "entry-type-unknown",
            "error",
            vec![base().entry("u", tar::EntryType::new(b'7'), "", 0o644, "")],
            0,
            "u",
        ),
        (
            "device-zero",
            "warning",
            vec![base().entry("c", tar::EntryType::Char, "", 0o644, "")],
            0,
            "c",
        ),
        (
            "entry-invalid",
            "error",
            vec![base().symlink("e", "")],
            0,
            "e",
        ),
        (
            "whiteout-ambiguous",
            "warning",
            vec![base(), Layer::new().file("d/n").file("d/.wh.n")],
            1,
            "d/n",
        ),
        (
            "whiteout-ambiguous",
            "warning",
            vec![base(), Layer::new().file(".wh..wh..opq")],
            1,
            ".wh..wh..opq",
        ),
    ];
    for (code, severity, layers, layer, path) in table {
        let answer = verify(&archive(layers, &json!({})), &[]);
        let problems = items(&answer["problems"]);
        assert_eq!(problems.len(), 1, "{code}: {problems:?}");
        let problem = &problems[0];
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["severity"], severity, "{problem}");
        assert_eq!(problem["layer"], layer, "{problem}");
        assert_eq!(problem["path"], path, "{problem}");
        assert_eq!(problem["member"], format!("{layer}.tar"), "{problem}");
        assert_eq!(answer["ok"], severity == "warning");
    }
}

/// Layers as they should be have no problem.
#[test]
fn a_sound_image_has_no_problems() {
    let layers = vec![
        Layer::new()
            .directory("d")
            .file("d/a")
            .file("d/b")
            .symlink("s", "d")
            .link("l", "d/a"),
        Layer::new()
            .directory("d")
            .file("d/.wh.a")
            .file("d/c")
            .symlink("dangling", "/nowhere"),
        Layer::new(),
    ];
    let answer = verify(&archive(layers, &json!({})), &["--strict"]);
    assert_eq!(answer["problems"], json!([]), "{answer}");
    let loaders = answer["loaders"].as_array().expect("engines");
    assert!(loaders.len() > 8);
    for loader in loaders {
        assert_eq!(loader["verdict"], "loads", "{loader}");
        assert_eq!(loader["reason"], Value::Null);
    }
}

/// A thousand problems of one kind in one layer are one, with a count.
#[test]
fn problems_of_one_kind_are_counted() {
    let mut layer = Layer::new();
    for i in 0..1000 {
        layer = layer.link(&format!("l{i}"), "nope");
    }
    let made = archive(vec![layer], &json!({}));
    let answer = verify(&made, &[]);
    let problems = items(&answer["problems"]);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0]["count"], 1000);
    assert_eq!(problems[0]["path"], "l0");
    assert_eq!(problems[0]["more_paths"], json!(["l1", "l2", "l3"]));
    let run = imgtar_with(&["verify", "-"], Input::Pipe(&made)).exits(1);
    assert!(
        run.out().contains("path l0, l1, l2, l3 and 996 more"),
        "{run}"
    );
    assert!(run.out().contains("1000 errors"), "{run}");
}

/// The report does not depend on the number of threads.
#[test]
fn threads_change_nothing() {
    for name in ["docker26-multi.tar", "docker20-multi.tar"] {
        let path = engines(name);
        let answers: Vec<String> = ["1", "2", "7"]
            .iter()
            .map(|jobs| {
                let args = [
                    "verify", "--json", "--audit", "--check", "-", "-j", jobs, &path,
                ];
                let line = format!("{}  {path}\n", &sha256(&bytes(&path))["sha256:".len()..]);
                imgtar_with(&args, Input::Pipe(line.as_bytes()))
                    .exits(0)
                    .out()
                    .to_owned()
            })
            .collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert!(answers[0].contains(&sha256(&bytes(&path))));
    }
}

// --- checksum files ---------------------------------------------------------------------------------

/// What `--checksum` writes is what `sha256sum` would write, and `--check` reads it back.
#[test]
fn checksum_files_are_written_and_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| shown(&directory.path().join(name));
    let (plain, odd) = (path("a b.tar"), path("back\\slash\nline.tar"));
    fs::copy(engines("tiny20.tar"), &plain).expect("room");
    fs::copy(engines("docker26-multi.tar"), &odd).expect("room");
    let sums = path("SUMS");
    imgtar(&["verify", "-q", &plain, &odd, "--checksum", &sums]).succeeds();
    let hex = |path: &str| sha256(&bytes(path))["sha256:".len()..].to_owned();
    let escaped = odd.replace('\\', "\\\\").replace('\n', "\\n");
    let wanted = format!("{}  {plain}\n\\{}  {escaped}\n", hex(&plain), hex(&odd));
    assert_eq!(String::from_utf8(bytes(&sums)).expect("UTF-8"), wanted);

    // It is not replaced unasked, and is not read wrong.
    imgtar(&["verify", "-q", &plain, "--checksum", &sums]).exits(2);
    assert_eq!(bytes(&sums), wanted.as_bytes());
    imgtar(&["verify", "-q", "--check", &sums]).succeeds();
    imgtar(&["verify", "-q", "--check", &sums, &odd]).succeeds();
    imgtar(&["verify", "-q", &plain, "-f", "--checksum", &sums]).succeeds();
    imgtar(&["verify", "-q", "--check", &sums, &odd]).exits(3);
    for line in [
        format!("{} *{plain}\n", hex(&plain)),
        format!("SHA256 ({plain}) = {}\n", hex(&plain)),
        format!("{}  a b.tar\n", hex(&plain)),
    ] {
        fs::write(&sums, &line).expect("room");
        imgtar(&["verify", "-q", "--check", &sums, &plain]).succeeds();
    }

    // One more byte behind the end changes nothing but the digest.
    let mut longer = bytes(&plain);
    longer.push(0);
    fs::write(&plain, longer).expect("room");
    let run = imgtar(&["verify", "--json", "--check", &sums, &plain]).exits(1);
    let answer = &run.json()["archives"][0];
    assert_eq!(answer["problems"][0]["code"], "checksum-mismatch");
    assert_eq!(answer["sha256"], sha256(&bytes(&plain)));
    assert_eq!(items(&answer["problems"]).len(), 1, "{run}");
}

/// Standard input is called `-`; a compressed archive is hashed as it is stored.
#[test]
fn standard_input_and_compressed_archives_are_hashed_as_they_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let sums = shown(&directory.path().join("SUMS"));
    let whole = zstd::encode_all(bytes(&engines("tiny20.tar")).as_slice(), 1).expect("memory");
    let run = imgtar_with(
        &["verify", "-q", "--checksum", &sums, "-"],
        Input::Pipe(&whole),
    );
    run.succeeds();
    let line = format!("{}  -\n", &sha256(&whole)["sha256:".len()..]);
    assert_eq!(String::from_utf8(bytes(&sums)).expect("UTF-8"), line);
}

/// No checksum file is written of archives that are not in order, and none is left half written.
#[test]
fn a_bad_archive_gets_no_checksum() {
    let directory = tempfile::tempdir().expect("a directory");
    let sums = shown(&directory.path().join("SUMS"));
    let bad = repository("testdata/broken/layer-bit-flipped.tar");
    let run = imgtar(&[
        "verify",
        "-q",
        &engines("tiny20.tar"),
        &bad,
        "--checksum",
        &sums,
    ])
    .exits(1);
    assert!(run.err().contains("is not written"), "{run}");
    let left = fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(left, 0);
    assert!(!Path::new(&sums).exists());
}

/// What is not a checksum file is refused, with the line.
#[test]
fn what_is_no_checksum_file_is_refused() {
    for (content, wanted) in [
        (&b""[..], "holds no checksum"),
        (b"hello world\n", "line 1"),
        (&[0xff; 100][..], "line 1"),
    ] {
        let args = ["verify", "--check", "-", &engines("tiny20.tar")];
        let run = imgtar_with(&args, Input::Pipe(content)).exits(3);
        assert!(run.stdout.is_empty() && run.err().contains(wanted), "{run}");
    }
    imgtar(&["verify", "--check", "-", "-"]).exits(2);
    imgtar(&["verify", "--checksum", "-", &engines("tiny20.tar")]).exits(2);
    imgtar(&["verify", "--force", &engines("tiny20.tar")]).exits(2);
}

// --- audit ------------------------------------------------------------------------------------------

/// Everything that the audit looks for, in one image; and none of it in a quiet one.
#[test]
fn the_audit_finds_what_it_should() {
    let regular = tar::EntryType::Regular;
    let layer = Layer::new()
        .directory("etc")
        .entry(
            "etc/passwd",
            regular,
            "",
            0o644,
            "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n",
        )
        .entry("su", regular, "", 0o4755, "x")
        .entry("sg", regular, "", 0o2755, "x")
        .entry("open", regular, "", 0o666, "x")
        .entry("shared", tar::EntryType::Directory, "", 0o777, "")
        .entry("tmp", tar::EntryType::Directory, "", 0o1777, "")
        .entry("tmp/fine", regular, "", 0o666, "x")
        .entry("bell\u{7}", regular, "", 0o644, "x")
        .entry("null", tar::EntryType::Block, "", 0o660, "");
    let config = json!({
        "config": {
            "User": "nobody-knows",
            "Env": ["PATH=/bin", "DB_PASSWORD=geheim-123"],
            "Labels": {"com.example.token": "abcdefgh-ijk"},
        },
        "history": [{"created_by": "/bin/sh -c curl https://me:s3cr3t99@example.com/"}],
    });
    let made = archive(vec![layer], &config);
    let answer = verify(&made, &["--audit"]);
    let audit = &answer["audit"][0];
    let counts: BTreeMap<&str, u64> = audit["counts"]
        .as_object()
        .expect("an object")
        .iter()
        .map(|(kind, count)| (kind.as_str(), support::number(count)))
        .collect();
    let wanted = [
        ("control-name", 1),
        ("device", 1),
        ("missing-user", 1),
        ("secret", 3),
        ("setgid", 1),
        ("setuid", 1),
        ("world-writable", 2),
    ];
    assert_eq!(counts, wanted.into());
    let findings = items(&audit["findings"]);
    assert_eq!(findings.len(), 10);
    for secret in ["geheim", "abcdefgh", "s3cr3t"] {
        assert!(!audit.to_string().contains(secret), "{audit}");
    }
    let run = imgtar_with(&["verify", "--audit", "-"], Input::Pipe(&made)).exits(0);
    assert!(run.out().contains("bell\\x07"), "{run}");

    // Only what --fail-on names changes the exit code.
    for (kinds, code) in [("setuid", 1), ("root-user", 0), ("capability,device", 1)] {
        let args = ["verify", "-q", "--audit", "--fail-on", kinds, "-"];
        imgtar_with(&args, Input::Pipe(&made)).exits(code);
    }
    imgtar(&["verify", "--audit", "--fail-on", "nonsense", "-"]).exits(2);
    imgtar(&["verify", "--fail-on", "setuid", "-"]).exits(2);

    let quiet = archive(
        vec![Layer::new().directory("d")],
        &json!({"config": {"User": "33"}}),
    );
    let answer = verify(&quiet, &["--audit"]);
    assert_eq!(answer["audit"][0]["findings"], json!([]));
    assert_eq!(verify(&quiet, &[])["audit"], Value::Null);
}

/// An image whose layers cannot be applied is audited by its config, and says so.
#[test]
fn the_audit_says_what_it_could_not_look_at() {
    let made = archive(vec![Layer::new().link("l", "nope")], &json!({}));
    let answer = verify(&made, &["--audit"]);
    let audit = &answer["audit"][0];
    assert!(text(&audit["unread"]).contains("hard link"), "{audit}");
    assert_eq!(audit["counts"], json!({"root-user": 1}));
    let args = ["verify", "--audit", "--fail-on", "setuid", "-"];
    imgtar_with(&args, Input::Pipe(&made)).exits(1);
}

/// What makes the exit code 1 is said: in the last line, with `-q` too, and in JSON.
#[test]
fn the_verdict_says_what_failed() {
    let setuid = engines("docker26-one.tar");
    let disagreeing = repository("testdata/broken/repositories-disagree.tar");
    let flipped = repository("testdata/broken/layer-bit-flipped.tar");
    let directory = tempfile::tempdir().expect("a directory");
    let sums = shown(&directory.path().join("sums"));
    fs::write(&sums, format!("{:064}  docker26-one.tar\n", 0)).expect("room");
    let audit = ["--audit", "--fail-on", "secret,setuid,missing-user"];
    let cases: [(&str, &[&str], &[&str]); 7] = [
        (&setuid, &[], &[]),
        (&setuid, &["--audit"], &[]),
        (&setuid, &audit, &["audit: setuid"]),
        (&setuid, &["--check", &sums], &["error: checksum-mismatch"]),
        (&disagreeing, &[], &[]),
        (
            &disagreeing,
            &["--strict"],
            &["strict: descriptions-disagree"],
        ),
        (&flipped, &["--strict"], &["error: diff-id-mismatch"]),
    ];
    for (archive, options, failed) in cases {
        let args = [&["verify", archive], options].concat();
        let code = i32::from(!failed.is_empty());
        let json = imgtar(&[&*args, &["--json"]].concat()).exits(code).json();
        let report = &json["archives"][0];
        assert_eq!(report["failed"], json!(failed), "{args:?}");
        assert_eq!(report["ok"], json!(failed.is_empty()), "{args:?}");
        let quiet = [&*args, &["-q"]].concat();
        for args in [&args, &quiet] {
            let run = imgtar(args).exits(code);
            let last = run.out().lines().last().unwrap_or_default();
            if last.is_empty() && failed.is_empty() {
                continue;
            }
            // The last line is the verdict and its reason, and JSON has it too.
            assert_eq!(last.trim_start(), text(&report["summary"]), "{run}");
            assert_eq!(last.trim_start(), text(&json["summary"]), "{run}");
            for reason in failed {
                let words = match reason.split_once(": ").expect("a reason") {
                    ("error", code) => code.to_owned(),
                    ("strict", code) => format!("{code} (--strict)"),
                    (_, kind) => format!("{kind} (--fail-on)"),
                };
                assert!(last.starts_with(&format!("  FAILED: {words}; ")), "{run}");
            }
            if failed.is_empty() {
                assert!(!run.out().contains("FAILED"), "{run}");
            }
        }
    }
    // Engines are named with the versions that do not load it; in JSON by what was asked for.
    let v1 = repository("testdata/broken/v1-plain.tar");
    let args = ["verify", "--loads", "docker,kind", &v1];
    let run = imgtar(&args).exits(1);
    assert!(
        run.out().contains("  FAILED: not loaded by Docker 29.7 (overlay2 store), Docker 26.1 and 29.7 (containerd store) (--loads docker), not loaded by ctr 1.7 and 2.1 --all-platforms (--loads kind); 1 image, "),
        "{run}"
    );
    let json = imgtar(&[&args[..], &["--json"]].concat()).exits(1).json();
    let failed = &json["archives"][0]["failed"];
    assert_eq!(*failed, json!(["loads: docker", "loads: kind"]));
    // Of several archives, those that failed are counted, and with -q alone shown.
    let sound = engines("tiny20.tar");
    let args = [&["verify", &sound, &setuid], &audit[..]].concat();
    let run = imgtar(&args).exits(1);
    assert_eq!(
        run.out().lines().last(),
        Some("FAILED: 1 of 2 archives: setuid (--fail-on)"),
        "{run}"
    );
    let run = imgtar(&[&*args, &["-q"]].concat()).exits(1);
    assert!(
        !run.out().contains(&sound) && run.out().contains(&setuid),
        "{run}"
    );
}

/// What `--audit` says of a user whom `/etc/passwd` or `/etc/group` should know, whatever these are.
#[test]
fn the_audit_looks_up_the_user_or_says_why_not() {
    let regular = tar::EntryType::Regular;
    let passwd = |layer: Layer, body: &str| layer.entry("etc/passwd", regular, "", 0o644, body);
    let audit = |layer: Layer, user: &str| {
        let made = archive(vec![layer], &json!({"config": {"User": user}}));
        verify(&made, &["--audit"])["audit"][0].clone()
    };
    let found = |audit: &Value, kind: &str| audit["counts"][kind] == json!(1);
    let etc = || Layer::new().directory("etc");
    let web = "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n";

    // Read: there, not there, no number (which is 0 to the engines), a group.
    assert_eq!(audit(passwd(etc(), web), "web")["findings"], json!([]));
    assert!(found(&audit(passwd(etc(), web), "me"), "missing-user"));
    assert!(found(&audit(etc(), "web"), "missing-user"));
    let odd = passwd(etc(), "web:x:many:33::/:/bin/sh\n");
    assert!(found(&audit(odd, "web"), "root-user"));
    assert!(found(&audit(passwd(etc(), web), "+0"), "root-user"));
    let grouped = |user: &str| {
        let layer = passwd(etc(), web).entry("etc/group", regular, "", 0o644, "staff:x:50:\n");
        audit(layer, user)
    };
    assert_eq!(grouped("web:staff")["findings"], json!([]));
    assert_eq!(grouped("33:50")["findings"], json!([]));
    let missing = grouped("web:wheel");
    assert!(found(&missing, "missing-user"), "{missing}");
    assert!(
        missing.to_string().contains("the group `wheel`"),
        "{missing}"
    );

    // Not examined, and said to be that; nothing is claimed of the user.
    let large = format!("{web}{}", "#\n".repeat(3 << 20));
    let odd = [
        (passwd(etc(), &large), "at most 4194304 are read"),
        (etc().directory("etc/passwd"), "a directory"),
        (etc().symlink("etc/passwd", "passwd"), "loop"),
        (
            etc().entry("etc/passwd", tar::EntryType::Fifo, "", 0o644, ""),
            "a named pipe",
        ),
    ];
    for (layer, why) in odd {
        let made = archive(vec![layer], &json!({"config": {"User": "web"}}));
        let audit = verify(&made, &["--audit"])["audit"][0].clone();
        assert!(!found(&audit, "missing-user"), "{audit}");
        let unexamined = items(&audit["unexamined"]);
        assert_eq!(unexamined.len(), 1, "{audit}");
        assert_eq!(unexamined[0]["path"], "etc/passwd");
        assert!(text(&unexamined[0]["why"]).contains(why), "{audit}");
        let run = imgtar_with(&["verify", "--audit", "-"], Input::Pipe(&made)).exits(0);
        assert!(run.out().contains("not examined: /etc/passwd: "), "{run}");
        assert!(!run.out().contains("nothing found"), "{run}");
        for (kinds, code) in [("missing-user", 1), ("root-user", 1), ("setuid", 0)] {
            let args = ["verify", "-q", "--audit", "--fail-on", kinds, "-"];
            imgtar_with(&args, Input::Pipe(&made)).exits(code);
        }
    }
}

/// A sparse `/etc/passwd` is read as a container would read it.
#[test]
fn the_audit_reads_a_sparse_table_of_users() {
    let body = "web:x:33:33::/:/bin/sh\n";
    let hole = 1024;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.as_mut_bytes()[..10].copy_from_slice(b"etc/passwd");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(body.len() as u64);
    let gnu = header.as_gnu_mut().expect("GNU");
    let octal = |field: &mut [u8], n: usize| {
        let digits = format!("{n:0width$o}", width = field.len() - 1);
        field[..digits.len()].copy_from_slice(digits.as_bytes());
    };
    octal(&mut gnu.sparse[0].offset, hole);
    octal(&mut gnu.sparse[0].numbytes, body.len());
    octal(&mut gnu.realsize, hole + body.len());
    header.set_cksum();
    let mut layer = Layer::new().directory("etc");
    // A line break ends the hole's zeros, which are a line of their own.
    let body = format!("\n{}", &body[..body.len() - 1]);
    layer.0.append(&header, body.as_bytes()).expect("memory");
    for (user, missing) in [("web", false), ("me", true)] {
        let made = archive(
            vec![Layer(tar::Builder::new(layer.0.get_ref().clone()))],
            &json!({"config": {"User": user}}),
        );
        let audit = verify(&made, &["--audit"])["audit"][0].clone();
        assert_eq!(audit["unexamined"], json!([]), "{audit}");
        let found = audit["counts"]["missing-user"] == json!(1);
        assert_eq!(found, missing, "{audit}");
    }
}

/// Whether this processor has the instructions by which two streams are hashed at once.
fn hashes_in_pairs() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("sha")
        && std::arch::is_x86_feature_detected!("ssse3")
        && std::arch::is_x86_feature_detected!("sse4.1");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A thread hashes two layers at once. Of whatever lengths they are, each has its own digest.
#[test]
fn layers_that_are_hashed_together_have_their_own_digests() {
    if !hashes_in_pairs() {
        support::skip(
            "the hashing of two streams at once",
            "this processor has no SHA instructions; streams are hashed one after the other",
        );
    }
    let lengths = [
        0, 1, 63, 64, 65, 511, 70_000, 262_143, 262_145, 1_000_000, 3_000_001,
    ];
    let layers: Vec<Vec<u8>> = lengths
        .into_iter()
        .enumerate()
        .map(|(i, len)| {
            let body = vec![u8::try_from(i).expect("a few"); len];
            let mut layer = forge::layer(&[forge::Entry::file(&format!("{i}"), &body)]);
            // What follows the end of a tar is hashed too, and need not fill a block.
            layer.resize(layer.len() + len % 64, 0);
            layer
        })
        .collect();
    let made = forge::archive(&layers, forge::Form::Legacy);
    let work = Work::new();
    let made = work.put("made.tar", &made);
    for jobs in ["1", "2"] {
        let output = program()
            .args(["verify", "--json", "-j", jobs, &made])
            // A debug build is asked for it.
            .env("IMGTAR_TEST_PAIRS", "1")
            .output()
            .expect("imgtar starts");
        let report: Value = serde_json::from_slice(&output.stdout).expect("an answer");
        let rows = items(&report["archives"][0]["images"][0]["layers"]).to_vec();
        assert_eq!(rows.len(), layers.len());
        for (row, layer) in rows.iter().zip(&layers) {
            assert_eq!(text(&row["computed"]), sha256(layer));
        }
    }
}
