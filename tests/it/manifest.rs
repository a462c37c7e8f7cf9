//! What `Cargo.toml` promises.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{read, repository};

/// The dependencies that are not of the tests alone: names and what is said of them.
fn dependencies(manifest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            let table = line.trim_end_matches(']');
            inside = table.ends_with("dependencies") && !table.ends_with("dev-dependencies");
        } else if let Some((name, rest)) = line.split_once(" = ").filter(|_| inside) {
            found.insert(name.to_owned(), rest.to_owned());
        }
    }
    assert!(
        found.len() > 20,
        "the dependencies are written in another way"
    );
    found
}

/// What a feature turns on.
fn feature(manifest: &str, name: &str) -> BTreeSet<String> {
    let features = manifest.split_once("\n[features]\n").expect("features").1;
    let list = features
        .split_once(&format!("{name} = ["))
        .unwrap_or_else(|| panic!("no feature {name}"))
        .1;
    let list = list.split_once(']').expect("the end of the list").0;
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The rows of the tables of `docs/dependencies.md` under this heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let page = read(&repository("docs/dependencies.md"));
    let section = page
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"))
        .1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|row| row.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect()
}

/// Who uses the library without its feature `cli` gets none of the crates of the program.
#[test]
fn the_crates_of_the_program_come_with_the_feature_cli_alone() {
    let manifest = read(&repository("Cargo.toml"));
    let dependencies = dependencies(&manifest);
    let program = documented("In the program only");
    let turned_on: BTreeSet<String> = feature(&manifest, "cli")
        .iter()
        .map(|name| name.trim_start_matches("dep:").to_owned())
        .collect();
    assert_eq!(turned_on, program);
    for name in &program {
        let said = &dependencies[name];
        assert!(said.contains("optional = true"), "{name} = {said}");
    }
    assert_eq!(
        feature(&manifest, "default")
            .into_iter()
            .collect::<Vec<_>>(),
        ["cli"]
    );
    let optional = dependencies
        .iter()
        .filter(|(_, said)| said.contains("optional = true"));
    let optional: BTreeSet<&str> = optional.map(|(name, _)| name.as_str()).collect();
    let mut expected: BTreeSet<&str> = program.iter().map(String::as_str).collect();
    expected.insert("schemars");
    assert_eq!(optional, expected);
}

/// The program is not built without the feature that brings what it needs.
#[test]
fn the_program_requires_its_feature() {
    let manifest = read(&repository("Cargo.toml"));
    let program = manifest.split_once("[[bin]]").expect("a program").1;
    let program = program.split("\n[").next().unwrap_or_default();
    assert!(
        program.contains("required-features = [\"cli\"]"),
        "{program}"
    );
}
