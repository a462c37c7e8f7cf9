//! Prints a file of an image: `cargo run --example print_file -- app.tar app:1.2 etc/os-release`.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use imgtar::{Options, Tree};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    run(&args, &mut io::stdout())
}

/// Takes the path of an archive, an image of it, and a path in that.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let [archive, image, path] = args else {
        return Err("usage: print_file ARCHIVE IMAGE PATH".into());
    };
    let options = Options::default();
    let images = imgtar::open(Path::new(archive), &options)?.images()?;
    let image = images.select(&image.parse()?, None)?;
    let tree = Tree::merge(image, &options)?;
    io::copy(&mut tree.file(path)?, out)?;
    Ok(())
}
