//! Lists what one layer of an image adds and removes: `cargo run --example layer_entries -- app.tar 1`.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use imgtar::Options;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    run(&args, &mut io::stdout())
}

/// Takes the path of an archive that holds one image, and the index of a layer, base first.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let [path, index] = args else {
        return Err("usage: layer_entries ARCHIVE LAYER".into());
    };
    let options = Options::default();
    let images = imgtar::open(Path::new(path), &options)?.images()?;
    let layers = &images.only(None)?.layers;
    let layer = layers.get(index.parse::<usize>()?).ok_or("no such layer")?;
    for entry in layer.open(&options)?.entries() {
        let entry = entry?;
        let (size, mode) = (entry.size, entry.mode & 0o7777);
        let path = String::from_utf8_lossy(&entry.path);
        writeln!(out, "{size:>6} {mode:04o} {path}")?;
    }
    Ok(())
}
