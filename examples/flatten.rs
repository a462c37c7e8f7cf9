//! Writes an image as one rootfs tar: `cargo run --example flatten -- app.tar app:1.2 rootfs.tar`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use imgtar::Options;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    run(&args, &mut io::stdout())
}

/// Takes the path of an archive, an image of it, and a path that no file has yet.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let [archive, image, rootfs] = args else {
        return Err("usage: flatten ARCHIVE IMAGE ROOTFS.tar".into());
    };
    let options = Options::default();
    let images = imgtar::open(Path::new(archive), &options)?.images()?;
    let image = images.select(&image.parse()?, None)?;
    let mut file = BufWriter::new(File::create_new(rootfs)?);
    let written = imgtar::flatten(image, &mut file, &options)?;
    file.flush()?;
    writeln!(out, "{} entries, {} bytes", written.entries, written.bytes)?;
    Ok(())
}
