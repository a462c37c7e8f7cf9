//! What a person may do to one archive: open it, verify it, merge and flatten every image.
//!
//! - Nothing panics, whatever the bytes are, also where the archive is compressed as a whole.
//! - Only the archive can be at fault: no error blames the system.
//! - What is flattened is a sound tar: as many entries as were said, each path once, no path that
//!   leaves the root or is longer than the limit, every hard link behind the file that it is one of.
//! - It is the same for any number of threads, and the same when it is flattened again.
//! - What passes `flatten` with its check passes it without.
//!
//! The limits are lower than a person's, so that nothing that is within them takes long.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;

use imgtar::base::progress::Silent;
use imgtar::image::Image;
use imgtar::output::{FlattenOptions, flatten};
use imgtar::tar::{Kind, Streamed, Walker};
use imgtar::{Class, Error, Jobs, Limit, Limits, Options};

/// How many images of one archive are flattened.
const IMAGES: usize = 4;

fn within() -> Options<'static> {
    Options {
        limits: limits(),
        ..Options::default()
    }
}

fn limits() -> Limits {
    Limits::default()
        .with(Limit::Expanded, 8 << 20)
        .with(Limit::Ratio, 1)
        .with(Limit::DecoderMemory, 8 << 20)
        .with(Limit::Entries, 20_000)
        .with(Limit::LinkSteps, 100_000)
        .with(Limit::Names, 8 << 20)
        .with(Limit::Layers, 1000)
}

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    File::write_all(file.as_file_mut(), bytes).expect("room for the input");
    let Some(archive) = sound(imgtar::open_damaged(file.path(), &within())) else {
        return;
    };
    let Some(set) = sound(archive.images().map_err(Error::from)) else {
        return;
    };
    let jobs = Jobs::new(NonZeroUsize::MIN);
    let verified = imgtar::check::verify(&archive, &set, jobs, &Silent);
    sound(verified.map_err(Error::from));
    for image in set.images.iter().take(IMAGES) {
        let (plain, checked) = (tar_of(image, false, 1), tar_of(image, true, 1));
        if checked.is_some() {
            assert_eq!(plain, checked, "the check changes what is written");
        }
        if let Some((tar, entries)) = plain {
            check(&tar, entries);
            let again = tar_of(image, false, 2).map(|(tar, _)| tar);
            assert!(
                again.as_ref() == Some(&tar),
                "two threads write something else"
            );
        }
    }
}

/// What came of it, if anything did; only the archive may be to blame if nothing did.
fn sound<T>(result: Result<T, Error>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_ne!(error.class(), Class::Environment, "{error:?}");
            None
        }
    }
}

fn tar_of(image: &Image, verify: bool, jobs: usize) -> Option<(Vec<u8>, u64)> {
    let options = FlattenOptions {
        verify,
        as_container: None,
        jobs: Jobs::new(NonZeroUsize::new(jobs)?),
    };
    let mut out = Vec::new();
    let flattened = flatten(image, &mut out, options, &Silent);
    let flattened = sound(flattened.map_err(Error::from))?;
    assert_eq!(flattened.bytes, out.len() as u64);
    Some((out, flattened.entries))
}

fn check(tar: &[u8], entries: u64) {
    let mut walker = Walker::new(Streamed::new(tar, &Limits::default()));
    let mut paths: HashSet<Vec<u8>> = HashSet::new();
    while let Some(entry) = walker.next_entry().expect("imgtar wrote it") {
        let path = entry.path.strip_suffix(b"/").unwrap_or(&entry.path);
        assert!(path.len() as u64 <= limits().of(Limit::Path), "{entry:?}");
        let inside = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
        assert!(path.split(|&b| b == b'/').all(inside), "{entry:?}");
        if entry.kind == Kind::Hardlink {
            assert!(paths.contains(&entry.link), "{entry:?}");
        }
        assert!(paths.insert(path.to_vec()), "{entry:?}");
    }
    assert!(walker.end_is_marked());
    assert_eq!(paths.len() as u64, entries);
}
