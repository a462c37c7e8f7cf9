//! Checks an archive and says what is wrong with it: `cargo run --example verify -- app.tar`.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use imgtar::Options;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    run(&args, &mut io::stdout())
}

/// Takes the path of an archive, which may be damaged.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let [path] = args else {
        return Err("usage: verify ARCHIVE".into());
    };
    let options = Options::default();
    let contents = imgtar::open_damaged(Path::new(path), &options)?;
    let result = imgtar::verify(&contents, &contents.images()?, &options)?;
    for problem in &result.problems {
        writeln!(out, "{}: {}", problem.code, problem.message)?;
    }
    let answer = if result.is_ok(false) {
        "ok"
    } else {
        "not what it claims"
    };
    writeln!(out, "{path}: {answer}")?;
    Ok(())
}
