//! What is written in one line: references, digests, platforms, selectors.
//!
//! - Nothing panics, whatever the text is.
//! - A reference is shown in a form that parses to the same reference. Two exceptions, which the
//!   engines' own familiar form has too: `docker.io/a.b/c` is shown as `a.b/c`, which is the
//!   repository `c` of the registry `a.b`; and `docker.io/library/` and 64 hex digits is shown as an
//!   ID.
//! - A digest is shown as it was written.

use imgtar::base::digest::Digest;
use imgtar::document::Platform;
use imgtar::image::{Name, Reference, Selector};

/// Tries one input.
pub fn run(text: &str) {
    if let Ok(reference) = text.parse::<Reference>() {
        check(&reference);
        check(&reference.clone().or_latest());
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
        assert!(digest.encoded().starts_with(digest.short()));
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse(), Ok(platform));
    }
    drop(text.parse::<Selector>());
    // A name is shown as it was written, or as the reference that it is.
    let name = Name::from_annotation(text);
    match name.reference() {
        Some(reference) => assert_eq!(text.parse(), Ok(reference.clone())),
        None => assert_eq!(name.to_string(), text),
    }
}

fn check(reference: &Reference) {
    let shown = reference.to_string();
    let again = shown.parse::<Reference>();
    assert_eq!(again.as_ref(), Ok(reference), "{shown}");
}
