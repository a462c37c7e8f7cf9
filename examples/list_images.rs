//! Lists the images of an archive: `cargo run --example list_images -- app.tar`.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use imgtar::Options;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    run(&args, &mut io::stdout())
}

/// Takes the path of an archive.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let [path] = args else {
        return Err("usage: list_images ARCHIVE".into());
    };
    let archive = imgtar::open(Path::new(path), &Options::default())?;
    for image in &archive.images()?.images {
        let (id, name) = (image.identity.short(), image.display_name());
        let (platform, layers) = (&image.platform, image.layers.len());
        writeln!(out, "{id} {name} for {platform}, layers: {layers}")?;
    }
    Ok(())
}
