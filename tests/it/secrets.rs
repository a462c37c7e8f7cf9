//! Secrets in the layers and the config of images: found wherever they are, told what became of them, never shown.

use std::fs;

use base64::Engine as _;

use crate::support::forge::{self, Entry, Form};
use crate::support::{Docker, finish, imgtar, measured, repository, scaled, shown, text};

/// Values that no output may have. They are put together here: nobody who searches this repository finds them.
struct Secrets {
    github: String,
    key: String,
    login: String,
    url: String,
}

impl Secrets {
    fn new() -> Self {
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
        Self {
            github: format!("{}_{}", "ghp", "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dF3gH5"),
            key: format!(
                "-----BEGIN {0} KEY-----\n{line}\n{line}\n-----END {0} KEY-----\n",
                "PRIVATE"
            ),
            login: base64::engine::general_purpose::STANDARD.encode("bob:geheimes77"),
            url: format!("https://bob:{}@git.corp.net/", "geheimes88"),
        }
    }

    /// Asserts that none of them is in an output.
    fn are_not_in(&self, output: &str) {
        let bare = [
            &self.github[8..30],
            &self.login[4..],
            "geheimes",
            "MIIEvQIB",
            "hkiG9w0B",
        ];
        for secret in bare {
            assert!(!output.contains(secret), "{secret} in {output}");
        }
    }
}

fn made(form: Form, secrets: &Secrets) -> (tempfile::TempDir, String) {
    // On the seam of two pieces that are searched.
    let seam = [
        vec![b'.'; (256 << 10) - 10],
        format!("\n{}\n", secrets.github).into_bytes(),
        vec![0; 300_000],
    ]
    .concat();
    let config = format!(
        "{{\"auths\":{{\"r.io\":{{\"auth\":\"{}\"}}}}}}",
        secrets.login
    );
    let layers = [
        forge::layer(&[
            Entry::file("app/id_rsa", secrets.key.as_bytes()),
            Entry::file("app/seam", &seam),
            Entry::file("etc/url", secrets.url.as_bytes()),
            Entry::file("usr/share/doc/x/key.pem", secrets.key.as_bytes()),
        ]),
        forge::layer(&[
            Entry::file("app/.wh.id_rsa", b""),
            Entry::file("etc/url", b"nothing"),
            Entry::file("root/.docker/config.json", config.as_bytes()),
        ]),
    ];
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("made.tar");
    fs::write(&path, forge::archive(&layers, form)).expect("room");
    let path = shown(&path);
    (directory, path)
}

/// What `find --secrets --json` finds, in few words.
fn found(secrets: &Secrets, args: &[&str]) -> Vec<String> {
    let run = imgtar(&[&["find", "--secrets", "--json"], args].concat());
    secrets.are_not_in(run.out());
    let json = run.json();
    assert_eq!(json["schema"], "imgtar/find-secrets/1");
    let words = |row: &serde_json::Value| {
        let by = row["by_layer"]
            .as_u64()
            .map_or(String::new(), |layer| format!(" by {layer}"));
        let sample = if row["sample"] == true { " sample" } else { "" };
        format!(
            "{} {} {} {}{by}{sample}",
            row["layer"],
            text(&row["path"]),
            text(&row["kind"]),
            text(&row["state"])
        )
    };
    json["secrets"]
        .as_array()
        .expect("secrets")
        .iter()
        .map(words)
        .collect()
}

#[test]
fn secrets_are_found_in_all_layers_and_masked() {
    let secrets = Secrets::new();
    for form in Form::ALL {
        let (_directory, archive) = made(form, &secrets);
        let all = [
            "0 app/id_rsa private-key deleted by 1",
            "0 app/seam github-token live",
            "0 etc/url url-password replaced by 1",
            "0 usr/share/doc/x/key.pem private-key live sample",
            "1 root/.docker/config.json docker-auth live",
        ];
        assert_eq!(found(&secrets, &[&archive]), all);
        for jobs in ["1", "2", "5"] {
            assert_eq!(found(&secrets, &[&archive, "-j", jobs]), all);
        }
        assert_eq!(found(&secrets, &[&archive, "--deleted"]), all[..1]);
        assert_eq!(found(&secrets, &[&archive, "--layer", "1"]), all[4..]);
        assert_eq!(found(&secrets, &[&archive, "/app/*"]), all[..2]);

        let find = imgtar(&["find", "--secrets", &archive]).exits(0);
        secrets.are_not_in(find.out());
        secrets.are_not_in(find.err());
        assert!(find.out().contains("deleted by 1"), "{}", find.out());
        assert!(!find.out().contains("usr/share/doc"), "{}", find.out());
        assert!(
            find.err()
                .contains("4 likely secrets, 2 of which lie in files that later layers hide"),
            "{}",
            find.err()
        );
        imgtar(&["find", "--secrets", &archive, "nothing"]).exits(1);

        let verify = imgtar(&["verify", "--audit", &archive]);
        secrets.are_not_in(verify.out());
        assert!(verify.out().contains("secret (4)"), "{}", verify.out());
        let fails = ["verify", "--audit", "--fail-on", "secret", &archive];
        imgtar(&fails).exits(1);
        let json = imgtar(&[&fails[..], &["--json"]].concat());
        secrets.are_not_in(json.out());
        let json: serde_json::Value = serde_json::from_str(json.out()).expect("JSON");
        let audit = &json["archives"][0]["audit"][0];
        assert_eq!(
            (&audit["samples"], &audit["counts"]["secret"]),
            (&1.into(), &4.into())
        );
    }
}

/// `verify --audit` finds in a layer while it verifies it what `find --secrets` finds, however it is stored.
#[test]
fn engine_made_archives_have_none() {
    for name in ["docker20-one.tar", "docker26-one.tar", "podman-oci.tar"] {
        let archive = repository(&format!("testdata/engines/{name}"));
        if fs::exists(&archive).expect("a file system") {
            let run = imgtar(&["find", "--secrets", &archive, "-i", "@0"]).exits(1);
            assert!(
                run.err().contains("nothing looks like a secret"),
                "{}",
                run.err()
            );
        }
    }
}

/// The user is found behind a link to a file that has another name, also in a compressed layer.
#[test]
fn a_table_of_users_may_be_a_link() {
    let mut link = Entry::new(b'2', b"etc/passwd");
    link.link = b"../srv/users".to_vec();
    let layer = forge::layer(&[
        link,
        Entry::file("srv/users", b"web:x:33:33::/:/bin/false\n"),
    ]);
    let directory = tempfile::tempdir().expect("a directory");
    let made = shown(&directory.path().join("made.tar"));
    fs::write(&made, forge::archive(&[layer], Form::Compressed)).expect("room");
    for (user, missing) in [("web", false), ("bob", true)] {
        let out = shown(&directory.path().join(format!("{user}.tar")));
        imgtar(&[
            "config",
            &made,
            "-o",
            &out,
            "--change",
            &format!("USER {user}"),
        ])
        .exits(0);
        let run = imgtar(&["verify", "--audit", &out]);
        assert_eq!(run.out().contains("missing-user"), missing, "{}", run.out());
    }
}

/// An engine builds an image: a key is copied and replaced by the next step, a build argument stays in the history.
#[test]
fn an_engine_made_image_keeps_what_was_copied_and_given() {
    let Some(docker) = Docker::d20() else { return };
    let secrets = Secrets::new();
    let tag = "imgtar-secrets:1";
    let dockerfile = format!(
        "FROM scratch\nARG DEPLOY_TOKEN={0}\nENV DB_PASSWORD=geheimes99\nLABEL api.key=geheimes66\nCOPY id_rsa /app/id_rsa\nCOPY empty /app/id_rsa\n",
        secrets.github
    );
    let context = forge::layer(&[
        Entry::file("Dockerfile", dockerfile.as_bytes()),
        Entry::file("id_rsa", secrets.key.as_bytes()),
        Entry::file("empty", b"nothing"),
    ]);
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| shown(&directory.path().join(name));
    fs::write(file("context.tar"), context).expect("room");
    let mut build = docker.command(&["build", "-q", "--no-cache", "-t", tag, "-"]);
    build
        .env("DOCKER_BUILDKIT", "0")
        .stdin(fs::File::open(file("context.tar")).expect("it was just written"));
    finish(build);
    let archive = file("saved.tar");
    docker.run(&["save", "-o", &archive, tag]);
    docker.try_run(&["rmi", "-f", tag]);
    let run = imgtar(&["find", "--secrets", &archive]).exits(0);
    secrets.are_not_in(run.out());
    for words in [
        "environment variable DB_PASSWORD",
        "label api.key",
        "the build step or its arguments",
        "app/id_rsa: private key (PKCS #8, ***)",
    ] {
        assert!(run.out().contains(words), "{words} not in {}", run.out());
    }
    assert!(run.out().contains("replaced by 1"), "{}", run.out());
    let json = imgtar(&["find", "--secrets", "--json", &archive]).json();
    let rows = json["secrets"].as_array().expect("secrets");
    let key = rows
        .iter()
        .find(|row| row["kind"] == "private-key")
        .expect("the key");
    let steps = (
        key["step"].as_u64().expect("a step"),
        key["by_step"].as_u64().expect("a step"),
    );
    assert_eq!(
        steps.0 + 1,
        steps.1,
        "the step after the one that copied it"
    );
}

/// What is made to take long: one line without an end, and texts that begin rule after rule.
#[test]
fn no_text_makes_the_search_slow() {
    let mut entries = Vec::new();
    for (name, text) in [
        ("line", "a"),
        ("jwt", "eyJhbGciOi"),
        ("urls", "a://a:b"),
        ("options", "--password="),
        ("keys", "-----BEGIN PRIVATE KEY-----\n"),
        ("keys2", "-----BEGIN RSA PRIVATE KEY-----\nA-A: a\n"),
        ("putty", "PuTTY-User-Key-File-2: ssh-rsa\r\n"),
        ("logins", "\"auth\":\"AAAAAAAA"),
        ("root/.netrc", "password "),
    ] {
        let bytes = text.repeat(scaled(1 << 20) / text.len());
        entries.push(Entry::file(name, bytes.as_bytes()));
    }
    let layer = forge::layer(&entries);
    for form in [Form::Hybrid, Form::Compressed] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = shown(&directory.path().join("made.tar"));
        fs::write(&path, forge::archive(std::slice::from_ref(&layer), form)).expect("room");
        measured::run(&["find", &path, "--secrets"]).check();
        measured::run(&["verify", &path, "--audit"]).check();
    }
}

/// More secrets than are kept are counted, and a file with many is not searched further.
#[test]
fn many_secrets_take_no_more_memory() {
    let secrets = Secrets::new();
    let line = format!("{}\n", secrets.github).repeat(1000);
    let entries: Vec<Entry> = (0..700)
        .map(|i| Entry::file(&format!("f{i}"), line.as_bytes()))
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let path = shown(&directory.path().join("made.tar"));
    fs::write(
        &path,
        forge::archive(&[forge::layer(&entries)], Form::Hybrid),
    )
    .expect("room");
    let json = imgtar(&["find", "--secrets", "--json", &path]).json();
    let listed = json["secrets"].as_array().expect("secrets").len();
    assert_eq!(listed, 10_000);
    assert_eq!(json["dropped"], 700 * 16 - 10_000);
    let run = imgtar(&["find", "--secrets", &path]).exits(0);
    assert!(
        run.err()
            .contains("11200 likely secrets, 1200 of which are not listed"),
        "{}",
        run.err()
    );
}
