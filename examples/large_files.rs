//! Finds the largest files of an image: `cargo run --example large_files -- app.tar`.

use std::cmp::Reverse;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use imgtar::{Options, Tree};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    run(&args, &mut io::stdout())
}

/// Takes the path of an archive that holds one image.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let [path] = args else {
        return Err("usage: large_files ARCHIVE".into());
    };
    let options = Options::default();
    let images = imgtar::open(Path::new(path), &options)?.images()?;
    let tree = Tree::merge(images.only(None)?, &options)?;
    let files = tree
        .entries()
        .map(|(path, entry)| (entry.inode.size(), path));
    let mut files: Vec<(u64, Vec<u8>)> = files.collect();
    files.sort_by_key(|(size, _)| Reverse(*size));
    for (size, path) in files.iter().take(3) {
        writeln!(out, "{size:>8} {}", String::from_utf8_lossy(path))?;
    }
    Ok(())
}
