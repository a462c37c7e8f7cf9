//! Secrets: what looks like a private key, a token or a password in the files of all layers, those that later
//! layers delete or replace included, and in the config.
//!
//! A deleted file still ships with the image, so each layer is searched separately, and each finding says what became
//! of the file. No secret leaves this module in full: it is masked where it is found. `docs/secrets.md` says what is
//! found, what is not, and why.
//!
//! Threats: all bytes are the archive's. A file is searched in linear time (`rules`) and fixed memory (`scan`),
//! findings are counted against fixed numbers, and names are escaped by those who print them.

mod config;
mod kind;
mod layers;
mod mask;
mod rules;
#[cfg(test)]
mod rules_test;
mod scan;
mod table;
mod values;

use std::collections::HashMap;

use crate::base::options::Options;
use crate::image::Image;
use crate::tree::{Body, Fate, Fates};

pub use super::audit::AuditError;
pub use config::{ConfigPlace, ConfigSecret, in_config};
pub use kind::SecretKind;
pub(crate) use layers::ScannedLayers;
pub use mask::{mask_arguments, mask_text, mask_value};
pub(crate) use scan::{ContentScan, LayerSecrets, TABLE_LIMIT};

/// A secret in a file of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSecret {
    /// What it looks like.
    pub kind: SecretKind,
    /// The file, without a slash at either end.
    pub path: Vec<u8>,
    /// The index of the layer that has it, base first.
    pub layer: usize,
    /// Where it begins in the file, in bytes; in what is stored of a sparse one.
    pub offset: u64,
    /// The part of it that may be shown.
    pub masked: String,
    /// What became of the file; none if no engine makes a file of it, or the layers cannot be applied.
    pub fate: Option<Fate>,
    /// Whether the file belongs to the documentation or the tests of a package, where keys are public.
    pub is_sample: bool,
}

/// What was found in the files of an image.
#[derive(Clone, Debug, Default)]
pub struct ImageSecrets {
    /// By layer, base first, and by place in it.
    pub files: Vec<FoundSecret>,
    /// How many were found in the files of single layers that are not kept, because those have too many.
    pub dropped: usize,
}

impl ImageSecrets {
    /// Searches the files of all layers of `image`. Each stored layer is read once.
    ///
    /// # Errors
    ///
    /// [`AuditError`] if a layer is missing or damaged, cannot be applied or cannot be read.
    pub fn of(image: &Image, options: &Options<'_>) -> Result<(Self, Fates), AuditError> {
        let scanned = ScannedLayers::read(image, options)?;
        let fates = Fates::of_outlines(&scanned.outlines)?;
        Ok((Self::join(&scanned, Some(&fates)), fates))
    }

    /// Puts together what was found in the layers and what became of their files.
    pub(crate) fn join(scanned: &ScannedLayers, fates: Option<&Fates>) -> Self {
        let became = fates
            .map(|fates| became(scanned, fates))
            .unwrap_or_default();
        let mut files = Vec::new();
        let mut dropped = 0;
        for (layer, found) in scanned.secrets.iter().enumerate() {
            dropped += found.dropped;
            for (offset, file) in &found.files {
                let known = became.get(&(layer, *offset));
                let written = || {
                    crate::tree::LayerPath::new(&file.path)
                        .components()
                        .join(&b'/')
                };
                let path = known.map_or_else(written, |(path, _)| path.clone());
                let is_sample = is_sample(&path);
                files.extend(file.secrets.iter().map(|secret| FoundSecret {
                    kind: secret.kind,
                    path: path.clone(),
                    layer,
                    offset: secret.offset,
                    masked: secret.masked.clone(),
                    fate: known.map(|(_, fate)| *fate),
                    is_sample,
                }));
            }
        }
        Self { files, dropped }
    }
}

/// Files by their layer and by where their content begins in it: their paths and what became of them.
type Became = HashMap<(usize, u64), (Vec<u8>, Fate)>;

/// What became of the files in which something was found. A file with several names is live if one of them is.
fn became(scanned: &ScannedLayers, fates: &Fates) -> Became {
    let mut became = Became::new();
    for record in fates.iter() {
        let Body::File { layer, offset, .. } = fates.tree().inode(record.inode).body else {
            continue;
        };
        let layer = layer as usize;
        let found = scanned.secrets.get(layer);
        if !found.is_some_and(|found| found.files.contains_key(&offset)) {
            continue;
        }
        let path = || fates.path(record.node);
        let known = became.entry((layer, offset));
        let known = known.or_insert_with(|| (path(), record.fate));
        if known.1 != Fate::Live && record.fate == Fate::Live {
            *known = (path(), Fate::Live);
        }
    }
    became
}

/// Whether a file belongs to the documentation or the tests of a package, which anybody can download.
fn is_sample(path: &[u8]) -> bool {
    const DOCUMENTATION: [&[u8]; 5] = [
        b"usr/share/doc/",
        b"usr/share/man/",
        b"usr/share/info/",
        b"usr/share/gtk-doc/",
        b"usr/share/help/",
    ];
    const PACKAGES: [&[u8]; 9] = [
        b"site-packages",
        b"dist-packages",
        b"node_modules",
        b"gems",
        b"mod",
        b"registry",
        b"perl5",
        b"python3",
        b"vendor",
    ];
    const PARTS: [&[u8]; 14] = [
        b"test",
        b"tests",
        b"testing",
        b"testdata",
        b"test-data",
        b"test_data",
        b"fixtures",
        b"__tests__",
        b"spec",
        b"example",
        b"examples",
        b"doc",
        b"docs",
        b"demo",
    ];
    if DOCUMENTATION.iter().any(|start| path.starts_with(start)) {
        return true;
    }
    // Debian makes it on installation, to have something that does not pretend to be secret.
    if path == b"etc/ssl/private/ssl-cert-snakeoil.key" {
        return true;
    }
    let parts = || path.split(|&b| b == b'/');
    let is_of_package = path.starts_with(b"usr/lib/")
        || path.starts_with(b"usr/share/")
        || path.starts_with(b"usr/local/lib/")
        || parts().any(|part| PACKAGES.contains(&part));
    let is_public = |part: &[u8]| {
        PARTS.contains(&part) || part.ends_with(b".dist-info") || part.ends_with(b".egg-info")
    };
    is_of_package && parts().any(is_public)
}
