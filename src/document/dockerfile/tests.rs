use super::*;

fn run(changes: &[&str]) -> Result<RunConfig, ChangeError> {
    let mut run = RunConfig::default();
    ConfigChanges::parse(changes)?.apply(&mut run)?;
    Ok(run)
}

#[test]
fn no_change_changes_nothing() {
    assert!(ConfigChanges::parse::<&str>(&[]).is_ok_and(|changes| changes.is_empty()));
    assert_eq!(run(&[]), Ok(RunConfig::default()));
}

#[test]
fn errors_say_where() {
    for (changes, at, shown) in [
        (
            &["FOO"][..],
            (1, 1),
            "change 1: FOO is not a valid change command",
        ),
        (
            &["CMD a\n\nUSER"][..],
            (1, 3),
            "change 1, line 3: USER requires exactly one argument",
        ),
        (
            &["CMD a", "ENV b"][..],
            (2, 1),
            "change 2: ENV must have two arguments",
        ),
        (
            &["CMD a", "USER b\nSTOPSIGNAL x"][..],
            (2, 2),
            "change 2, line 2: invalid signal: x",
        ),
        (
            &["CMD a\\", "b", "STOPSIGNAL 0"][..],
            (3, 1),
            "change 3: invalid signal: 0",
        ),
        (
            &["RUN a", "# b\n\n"][..],
            (1, 1),
            "change 1: RUN is not a valid change command",
        ),
        (&["", ""][..], (1, 1), "change 1: file with no instructions"),
    ] {
        let error = run(changes).expect_err(shown);
        assert_eq!((error.change(), error.line()), at, "{changes:?}");
        assert_eq!(error.to_string(), shown);
    }
}

#[test]
fn a_refused_change_leaves_all_as_it_was() {
    let mut run = RunConfig {
        env: vec!["A=1".into()],
        ..RunConfig::default()
    };
    let before = run.clone();
    let changes = ConfigChanges::parse(&["ENV A=2", "STOPSIGNAL x"]).expect("parses");
    assert!(changes.apply(&mut run).is_err());
    assert_eq!(run, before);
}

#[test]
fn changes_see_the_config_they_change() {
    let mut run = RunConfig {
        env: vec!["A=1".into(), "B=x".into(), "A=2".into()],
        cmd: Some(vec!["old".into()]),
        shell: Some(vec!["bash".into(), "-c".into()]),
        working_dir: "/w".into(),
        labels: vec![("a".into(), "1".into()), ("z".into(), "1".into())],
        exposed_ports: vec!["80/tcp".into()],
        on_build: vec!["RUN a".into()],
        ..RunConfig::default()
    };
    let changes = [
        "ENV C=$A",
        "ENTRYPOINT run it",
        "WORKDIR x",
        "LABEL m=2 a=3",
        "EXPOSE 9",
        "ONBUILD RUN b",
        "ENV A=3",
    ];
    let changes = ConfigChanges::parse(&changes).expect("parses");
    changes.apply(&mut run).expect("applies");
    assert_eq!(run.env, ["A=3", "B=x", "A=2", "C=2"]);
    assert_eq!(run.cmd, None);
    assert_eq!(
        run.entrypoint.as_deref().unwrap_or_default(),
        ["bash", "-c", "run it"]
    );
    assert_eq!(run.working_dir, "/w/x");
    let labels: Vec<_> = run
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(labels, [("a", "3"), ("m", "2"), ("z", "1")]);
    assert_eq!(run.exposed_ports, ["80/tcp", "9/tcp"]);
    assert_eq!(run.on_build, ["RUN a", "RUN b"]);
}

/// Docker 26.1 itself breaks off the connection here.
#[test]
fn an_empty_pattern_matches_nothing() {
    let config = run(&["ENV a=xy", "ENV b=${a#} c=${a%} d=${a##} e=${a%%}"]).expect("applies");
    assert_eq!(config.env, ["a=xy", "b=xy", "c=xy", "d=xy", "e=xy"]);
}

#[test]
fn what_grows_without_end_is_refused() {
    let deep = format!("ENV a={}x{}", "${b:-".repeat(5_000), "}".repeat(5_000));
    let error = run(&[&deep]).expect_err("too deep");
    assert!(
        error
            .words()
            .ends_with("more than 100 substitutions in each other")
    );
    let mut doubling = vec!["ENV a=0123456789abcdef"];
    doubling.extend(["ENV a=$a$a"; 64]);
    let error = run(&doubling).expect_err("too much");
    assert!(
        error
            .words()
            .ends_with("variables expand to more than 16 MiB")
    );
    let long = format!("ENV a={}", "x".repeat(60_000));
    let error = run(&[&long, "ENV b=${a//?/$a}"]).expect_err("too much");
    assert!(
        error
            .words()
            .ends_with("variables expand to more than 16 MiB")
    );
    let nested = format!("{}RUN x", "ONBUILD ".repeat(8_000));
    assert!(run(&[&nested]).is_err());
    let stars = format!("ENV b=${{a##{}y}}", "*".repeat(2_000));
    assert!(run(&[&long, &stars]).is_ok());
}

#[test]
fn lines_have_a_longest_length() {
    let of = |length: usize| format!("CMD {}", "x".repeat(length - 4));
    assert!(run(&[&of(65_535)]).is_ok());
    assert!(run(&[&of(65_535), "USER a"]).is_ok());
    let error = run(&["USER a", &of(65_536)]).expect_err("too long");
    assert_eq!(
        error.words(),
        "dockerfile line greater than max allowed size of 65535"
    );
    assert_eq!((error.change(), error.line()), (2, 1));
    let error = run(&[&of(65_536)]).expect_err("too long");
    assert_eq!(error.words(), "file with no instructions");
}

#[test]
fn what_was_hardly_meant_is_told() {
    let changes = [
        "CMD [\"a\" \"b\"]",
        "ENTRYPOINT [\"a\"] b",
        "CMD [\"a\"] ",
        "HEALTHCHECK CMD ['x']\nvolume [/a]",
        "USER [x]",
    ];
    let changes = ConfigChanges::parse(&changes).expect("parses");
    let doubts: Vec<String> = changes.doubts().iter().map(ToString::to_string).collect();
    let no_array = "begins like a JSON array but is not one, so it is taken as plain text";
    assert_eq!(
        doubts,
        [
            format!("change 1: CMD {no_array}"),
            "change 2: ENTRYPOINT has something after its JSON array, which is ignored".into(),
            format!("change 4, line 1: HEALTHCHECK {no_array}"),
            format!("change 4, line 2: VOLUME {no_array}"),
        ]
    );
}
