//! Writes all images of an archive as an OCI image layout: `cargo run --example to_oci -- app.tar oci.tar`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use imgtar::{ArchiveLayout, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    run(&args, &mut io::stdout())
}

/// Takes the path of an archive, and a path that no file has yet.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let [from, to] = args else {
        return Err("usage: to_oci ARCHIVE OCI.tar".into());
    };
    let options = Options::default();
    let images = imgtar::open(Path::new(from), &options)?.images()?;
    let mut file = BufWriter::new(File::create_new(to)?);
    let layout = ArchiveLayout::Oci;
    let written = imgtar::write_archive(&images.images, layout, &mut file, &options)?;
    file.flush()?;
    for image in &written.images {
        writeln!(out, "{}", image.id)?;
    }
    Ok(())
}
