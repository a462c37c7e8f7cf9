//! Tells the program in the module its version and commit, for `imgtar --version`, as the program's own build does.

use std::env;
use std::path::Path;

#[path = "../build.rs"]
#[allow(dead_code, reason = "its main is for the program's own build")]
mod program;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let directory = Path::new("..");
    for path in program::watched(directory) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let epoch = env::var("SOURCE_DATE_EPOCH").ok();
    let shown = match program::built_from(directory, epoch.as_deref()) {
        Some(built_from) => format!("{version} ({built_from})"),
        None => version,
    };
    println!("cargo::rustc-env=IMGTAR_VERSION={shown}");
}
