//! A whole archive, as the commands read it.
//!
//! - Nothing panics, whatever the bytes are.
//! - Every member lies inside the archive, and every layer is a stretch of it.
//! - A name that is looked up leads to a file of the archive or to an error, never further.
//! - Only the archive can be at fault: no error blames the system.
//! - `verify` says what `load` said, and more.
//!
//! An archive that is compressed as a whole would be spooled to a temporary file of up to 16 GiB;
//! such inputs are left to the target `compression`.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;

use imgtar::archive::MemberKind;
use imgtar::base::progress::Silent;
use imgtar::layer::Measures;
use imgtar::report::{History, Images, Inspect, Layers, TreeBuilder, measure_layers};
use imgtar::source::{Compression, sniff};
use imgtar::{Class, Jobs, Options};

/// Tries one input.
pub fn run(bytes: &[u8]) {
    if sniff(bytes) != Compression::None {
        return;
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    File::write_all(file.as_file_mut(), bytes).expect("room for the input");
    let archive = match imgtar::open_damaged(file.path(), &Options::default()) {
        Ok(archive) => archive,
        Err(error) => {
            assert_ne!(error.class(), Class::Environment, "{error:?}");
            return;
        }
    };
    let len = bytes.len() as u64;
    for member in archive.members() {
        assert!(member.offset < len, "{member:?}");
        if let MemberKind::File(span) = &member.kind {
            assert!(span.offset <= len, "{member:?}");
        }
        if let Ok((_, slice)) = archive.find(member.name.as_bytes()) {
            let span = slice.span();
            assert!(span.offset + span.len <= len, "{member:?}");
        }
    }
    let set = match archive.images() {
        Ok(set) => set,
        Err(error) => {
            let error = imgtar::Error::from(error);
            assert_ne!(error.class(), Class::Environment, "{error:?}");
            return;
        }
    };
    // One thread: a fuzzer wants to see the same thing every time.
    let jobs = Jobs::new(NonZeroUsize::MIN);
    let measures = Measures::take(&set.images, jobs, &Silent).expect("no fault of the system");
    let picked: Vec<_> = set.images.iter().collect();
    // Descriptions are made when they are asked for.
    Images::new(&archive, &set, &picked, &measures)
        .images
        .iter()
        .for_each(drop);
    let options = Options {
        jobs,
        ..Options::default()
    };
    let (sizes, hidden) = measure_layers(&picked, &options).expect("no fault of the system");
    Inspect::new(&archive, &set, &picked, (&sizes, &hidden))
        .images
        .iter()
        .for_each(drop);
    History::new(&set, &picked, &measures)
        .images
        .iter()
        .for_each(drop);
    Layers::new(&picked, (&measures, &hidden), &[], None)
        .images
        .iter()
        .for_each(drop);
    let mut tree = TreeBuilder::default();
    for image in &set.images {
        tree.add(&set, image, &measures);
    }
    drop(tree.build());
    let result =
        imgtar::check::verify(&archive, &set, jobs, &Silent).expect("no fault of the system");
    assert_eq!(result.images.len(), set.images.len());
    assert!(result.problems.len() >= set.problems.len());
}
