//! What you should know about an image before running it: privileges in its files, secrets in its config, the user
//! that it runs as.
//!
//! Nothing here is a fault of the archive, and nothing is proof: a setuid file can be intended, and a string that
//! looks like a token need not be one. Files are judged by their headers in the merged tree; their contents are
//! searched for [secrets](super::secrets) in all layers, and `/etc/passwd` and `/etc/group` are read.
//!
//! Threats: everything found is text from the archive, so it is kept as bytes and escaped where it is printed; values
//! that look like secrets are masked where they are found. All findings are counted, and at most [`KEPT`] of each
//! kind are kept.

mod capability;
mod user;

use std::fmt;

use serde::Serialize;

use super::secrets::{ImageSecrets, ScannedLayers, SecretKind, in_config};
use crate::base::options::Options;
use crate::image::Image;
use crate::layer::LayerError;
use crate::source::SourceError;
use crate::tree::{Body, Fate, Fates, HiddenBy, Tree, TreeError};

pub use capability::Capabilities;

/// How many findings of a kind are kept for an image; the rest is counted.
pub const KEPT: usize = 100;

/// The attribute that holds a file's capabilities.
const CAPABILITY: &[u8] = b"security.capability";

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kind of finding. The names are part of the JSON contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[non_exhaustive]
        pub enum AuditKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl AuditKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in messages, arguments and JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// A file that runs with the rights of its owner.
    Setuid = "setuid",
    /// A file that runs with the rights of its group.
    Setgid = "setgid",
    /// A file that gives capabilities to the process that runs it.
    Capability = "capability",
    /// A block or character device.
    Device = "device",
    /// A file that anybody may write to, or a directory in which anybody may replace the files of others.
    WorldWritable = "world-writable",
    /// A name with control characters.
    ControlName = "control-name",
    /// Something that looks like a password, key or token.
    Secret = "secret",
    /// Processes run as root unless something else sets their user.
    RootUser = "root-user",
    /// The user that processes should run as is not in the image.
    MissingUser = "missing-user",
}

impl fmt::Display for AuditKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub kind: AuditKind,
    /// The file, below the root, if the finding is about one.
    pub path: Option<Vec<u8>>,
    /// The layer that supplied the file.
    pub layer: Option<usize>,
    /// What was found, for people; secrets are masked.
    pub detail: String,
    /// What kind of secret, where it is one in a file, and what became of the file.
    pub secret: Option<(SecretKind, Option<Fate>)>,
}

impl Finding {
    /// Something about the image as a whole.
    fn of_image(kind: AuditKind, detail: String) -> Self {
        Self {
            kind,
            path: None,
            layer: None,
            detail,
            secret: None,
        }
    }
}

/// A file that was not looked at, although an answer depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unexamined {
    /// The file, below the root.
    pub path: Vec<u8>,
    /// What is not known because of that, and why.
    pub why: String,
}

/// What was found in one image.
#[derive(Debug)]
pub struct Audit {
    /// The findings, by kind and path; at most [`KEPT`] of a kind.
    pub findings: Vec<Finding>,
    /// How many there are of each kind; kinds without findings are left out.
    pub counts: Vec<(AuditKind, usize)>,
    /// Why the files could not be looked at, if so.
    pub unread: Option<TreeError>,
    /// Single files that were not looked at although an answer depends on them.
    pub unexamined: Vec<Unexamined>,
    /// How many secrets are in the documentation and the tests of packages, where they are public: they are not
    /// findings.
    pub samples: usize,
}

/// Why an image cannot be audited: the operating system failed.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// While the layers were applied.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// While a layer was read again.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// While a file was read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Audit {
    /// Looks at an image. If its layers cannot be applied, what its config says is looked at all the
    /// same, and [`Self::unread`] says why the rest is not.
    ///
    /// # Errors
    ///
    /// [`AuditError`] if the operating system fails.
    pub fn of(image: &Image, options: &Options<'_>) -> Result<Self, AuditError> {
        let scanned = match ScannedLayers::read(image, options) {
            Ok(scanned) => Ok(scanned),
            Err(AuditError::Tree(error)) if !error.is_environment() => Err(error),
            Err(error) => return Err(error),
        };
        Self::of_scanned(image, scanned, options)
    }

    /// Looks at an image whose layers were read; or could not be, and why.
    pub(super) fn of_scanned(
        image: &Image,
        scanned: Result<ScannedLayers, TreeError>,
        options: &Options<'_>,
    ) -> Result<Self, AuditError> {
        let mut collected = Collected::default();
        let mut unread = None;
        let merged = scanned.map(|scanned| {
            let fates = Fates::of_outlines(&scanned.outlines);
            (scanned, fates)
        });
        let mut secrets = ImageSecrets::default();
        match &merged {
            Ok((scanned, Ok(fates))) => {
                files(fates.tree(), &mut collected);
                let users = user::UserFiles {
                    image,
                    tree: fates.tree(),
                    outlines: &scanned.outlines,
                    options,
                };
                user::check(image, Some(&users), &mut collected)?;
                secrets = ImageSecrets::join(scanned, Some(fates));
            }
            Ok((scanned, Err(_))) => {
                user::check(image, None, &mut collected)?;
                secrets = ImageSecrets::join(scanned, None);
            }
            Err(_) => user::check(image, None, &mut collected)?,
        }
        match merged {
            Ok((_, Ok(_))) => {}
            Ok((_, Err(error))) | Err(error) if error.is_environment() => return Err(error.into()),
            Ok((_, Err(error))) | Err(error) => unread = Some(error),
        }
        let samples = add_secrets(image, secrets, &mut collected);
        Ok(Self {
            samples,
            ..collected.finish(unread)
        })
    }
}

/// Adds what looks like a secret, in the config and then in files. Returns how many are samples.
fn add_secrets(image: &Image, secrets: ImageSecrets, found: &mut Collected) -> usize {
    for secret in in_config(image) {
        found.add(Finding::of_image(AuditKind::Secret, secret.to_string()));
    }
    let mut samples = 0;
    for secret in secrets.files {
        if secret.is_sample {
            samples += 1;
            continue;
        }
        let became = match secret.fate {
            Some(Fate::Hidden { layer, by }) => {
                let what = if by == HiddenBy::Entry {
                    "replaced"
                } else {
                    "deleted"
                };
                format!(", in a file that layer {layer} {what}")
            }
            Some(Fate::Live) | None => String::new(),
        };
        found.add(Finding {
            kind: AuditKind::Secret,
            detail: format!("{} ({}){became}", secret.kind.text(), secret.masked),
            path: Some(secret.path),
            layer: Some(secret.layer),
            secret: Some((secret.kind, secret.fate)),
        });
    }
    found.count(AuditKind::Secret, secrets.dropped);
    samples
}

#[derive(Default)]
struct Collected {
    findings: Vec<Finding>,
    counts: std::collections::BTreeMap<AuditKind, usize>,
    unexamined: Vec<Unexamined>,
}

impl Collected {
    fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.kind).or_default();
        *count += 1;
        if *count <= KEPT {
            self.findings.push(finding);
        }
    }

    /// Counts findings that are not kept.
    fn count(&mut self, kind: AuditKind, more: usize) {
        if more > 0 {
            *self.counts.entry(kind).or_default() += more;
        }
    }

    /// Notes that a file was not looked at, so that something is not known.
    fn unexamined(&mut self, path: &str, unknown: &str, why: &str) {
        self.unexamined.push(Unexamined {
            path: path.as_bytes().to_vec(),
            why: format!("{unknown} is not known: {why}"),
        });
    }

    fn finish(mut self, unread: Option<TreeError>) -> Audit {
        self.findings
            .sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
        Audit {
            findings: self.findings,
            counts: self.counts.into_iter().collect(),
            unread,
            unexamined: self.unexamined,
            samples: 0,
        }
    }
}

fn files(tree: &Tree, found: &mut Collected) {
    let mut walk = tree.walk(tree.root());
    while let Some((entry, path)) = walk.next_entry() {
        let inode = entry.inode;
        let layer = tree.layer_of(entry.node);
        let mut add = |kind: AuditKind, detail: String| {
            found.add(Finding {
                kind,
                path: Some(path.to_vec()),
                layer: Some(layer),
                detail,
                secret: None,
            });
        };
        let owner = || format!("mode {:04o}, owner {}:{}", inode.mode, inode.uid, inode.gid);
        let is_file = matches!(inode.body, Body::File { .. });
        if is_file && inode.mode & 0o4000 != 0 {
            add(AuditKind::Setuid, owner());
        }
        // Without the group's execute bit it once meant mandatory locking, and nothing today.
        if is_file && inode.mode & 0o2010 == 0o2010 {
            add(AuditKind::Setgid, owner());
        }
        match inode.body {
            Body::Char(major, minor) => {
                add(
                    AuditKind::Device,
                    format!("character device {major}:{minor}, {}", owner()),
                );
            }
            Body::Block(major, minor) => {
                add(
                    AuditKind::Device,
                    format!("block device {major}:{minor}, {}", owner()),
                );
            }
            _ => {}
        }
        if inode.mode & 0o002 != 0 && is_unsafe_to_share(&inode.body, inode.mode, path) {
            add(AuditKind::WorldWritable, owner());
        }
        let xattrs = inode.xattrs.as_slice().iter();
        for (_, value) in xattrs.filter(|(name, _)| **name == *CAPABILITY) {
            let detail = match Capabilities::read(value) {
                Some(capabilities) => capabilities.to_string(),
                None => "a capability set that cannot be read".to_owned(),
            };
            add(AuditKind::Capability, detail);
        }
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        if has_control(name) {
            add(
                AuditKind::ControlName,
                "its name has control characters".to_owned(),
            );
        }
    }
}

/// Whether it matters that anybody may write: not for links and devices, not in a directory with the
/// sticky bit, not for what is in `/tmp`.
fn is_unsafe_to_share(body: &Body, mode: u16, path: &[u8]) -> bool {
    let temporary = [&b"tmp"[..], b"var/tmp", b"dev/shm"]
        .iter()
        .any(|directory| {
            path.strip_prefix(*directory)
                .is_some_and(|rest| rest.starts_with(b"/"))
        });
    match body {
        Body::Directory => mode & 0o1000 == 0 && !temporary,
        Body::File { .. } => !temporary,
        _ => false,
    }
}

/// C0, DEL, and C1 where the name is UTF-8.
fn has_control(name: &[u8]) -> bool {
    match std::str::from_utf8(name) {
        Ok(text) => text.chars().any(char::is_control),
        Err(_) => name.iter().any(u8::is_ascii_control),
    }
}
