//! References: `[domain/]path[:tag][@digest]`.
//!
//! The grammar and the defaults are those of `distribution/reference`, which every engine uses.
//! Written by hand because the types matter more here than the few lines that are saved.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::base::digest::Digest;

/// The domain that is left out of familiar names.
const DEFAULT_DOMAIN: &str = "docker.io";
/// What Docker called it before.
const LEGACY_DOMAIN: &str = "index.docker.io";
/// The namespace that is left out of familiar names.
const OFFICIAL: &str = "library/";
/// How long a name may be, domain included, in characters.
const NAME_LIMIT: usize = 255;
/// How long a tag may be, in characters.
const TAG_LIMIT: usize = 128;

/// Names an image: repository, and tag or digest or both.
///
/// Kept normalised (`nginx` is `docker.io/library/nginx`) and shown in familiar form (`nginx`). No
/// tag is added where none was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a string is not a reference. The words are the engines'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// It breaks the grammar.
    #[error("invalid reference format: `{0}`")]
    Format(String),
    /// The repository has capital letters.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// The name is longer than 255 characters.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// It is 64 hex digits, which always mean an image ID.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Hex(String),
}

impl Reference {
    /// The registry: `docker.io` unless another was written.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository's path below the registry, `library/` included.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag as written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest as written.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The repository in familiar form, as `docker images` prints it; in full where the short form
    /// would be read as something else (`docker.io/a.b/c` is not `a.b/c`).
    pub fn familiar_repository(&self) -> String {
        let full = || format!("{}/{}", self.domain, self.path);
        if self.domain != DEFAULT_DOMAIN {
            return full();
        }
        let short = match self.path.strip_prefix(OFFICIAL) {
            Some(name) if !name.contains('/') => name,
            _ => &self.path,
        };
        match short.parse::<Self>() {
            Ok(read) if read.domain == self.domain && read.path == self.path => short.to_owned(),
            _ => full(),
        }
    }

    /// The same reference with `latest` if it had neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".into());
        }
        self
    }

    /// The same reference without a digest: what a new image can be called.
    #[must_use]
    pub fn without_digest(mut self) -> Self {
        self.digest = None;
        self
    }

    /// Joins a repository and a tag, as `repositories` files keep them apart.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] if the two together are not a reference.
    pub fn from_parts(repository: &str, tag: &str) -> Result<Self, ReferenceError> {
        format!("{repository}:{tag}").parse()
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::Hex(text.to_owned()));
        }
        let format = || ReferenceError::Format(text.to_owned());
        let (domain, remainder) = split_domain(text);
        let (name, digest) = match remainder.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|_| format())?)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match name.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        if path.chars().any(char::is_uppercase) {
            return Err(ReferenceError::Uppercase(path.to_owned()));
        }
        if !is_domain(&domain) || !path.split('/').all(is_path_component) || !tag.is_none_or(is_tag)
        {
            return Err(format());
        }
        if domain.len() + 1 + path.len() > NAME_LIMIT {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self {
            domain,
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// The first component is a domain if it is `localhost`, has a dot, a colon or a capital letter.
fn split_domain(text: &str) -> (String, String) {
    let (domain, remainder) = match text.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (
                if first == LEGACY_DOMAIN {
                    DEFAULT_DOMAIN
                } else {
                    first
                },
                rest,
            )
        }
        _ => (DEFAULT_DOMAIN, text),
    };
    if domain == DEFAULT_DOMAIN && !remainder.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL}{remainder}"));
    }
    (domain.to_owned(), remainder.to_owned())
}

/// Host name or bracketed IPv6 address, with an optional port.
fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let port_ok = port.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host_ok = match address {
        Some(v6) => !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(is_host_component),
    };
    port_ok && host_ok
}

fn is_host_component(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('-')
        && !part.ends_with('-')
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_path_component(part: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let mut i = 0;
    loop {
        let run = bytes[i..].iter().take_while(|b| alnum(**b)).count();
        if run == 0 {
            return false;
        }
        i += run;
        if i == bytes.len() {
            return true;
        }
        let separators = bytes[i..]
            .iter()
            .take_while(|b| matches!(b, b'.' | b'_' | b'-'))
            .count();
        let separator = &bytes[i..i + separators];
        let known = matches!(separator, b"." | b"_" | b"__")
            || (!separator.is_empty() && separator.iter().all(|b| *b == b'-'));
        if !known {
            return false;
        }
        i += separators;
    }
}

/// Whether it can be a tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
pub fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let first = tag.bytes().next().is_some_and(word);
    first && tag.len() <= TAG_LIMIT && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar_repository())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What an archive calls an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// A reference.
    Reference(Reference),
    /// A bare word, as tools that keep one image a layout write it (`latest`), or a name that
    /// breaks the grammar of references; kept as written.
    Bare(String),
}

impl Name {
    /// How many bytes of text it holds, without a digest.
    pub(crate) fn text_len(&self) -> usize {
        match self {
            Self::Reference(reference) => {
                let tag = reference.tag.as_ref().map_or(0, String::len);
                reference.domain.len() + reference.path.len() + tag
            }
            Self::Bare(text) => text.len(),
        }
    }

    /// Reads an annotation of an OCI index: `org.opencontainers.image.ref.name` may hold a whole
    /// reference or only a tag, and one word without `:`, `/` or `@` is taken for a tag.
    pub fn from_annotation(text: &str) -> Self {
        let whole = text.contains([':', '/', '@']);
        match text.parse() {
            Ok(reference) if whole => Self::Reference(reference),
            _ => Self::Bare(text.to_owned()),
        }
    }

    /// The reference, unless it is a bare word.
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Reference(reference) => Some(reference),
            Self::Bare(_) => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => reference.fmt(f),
            Self::Bare(text) => f.write_str(text),
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_references_and_their_familiar_form() {
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let table = [
            ("nginx", "docker.io", "library/nginx", "nginx"),
            ("nginx:1.12", "docker.io", "library/nginx", "nginx:1.12"),
            ("library/nginx", "docker.io", "library/nginx", "nginx"),
            ("docker.io/nginx", "docker.io", "library/nginx", "nginx"),
            (
                "index.docker.io/nginx:x",
                "docker.io",
                "library/nginx",
                "nginx:x",
            ),
            ("team/app", "docker.io", "team/app", "team/app"),
            ("a/b/c:T_x.9-", "docker.io", "a/b/c", "a/b/c:T_x.9-"),
            ("localhost/app", "localhost", "app", "localhost/app"),
            (
                "localhost:5000/app:1",
                "localhost:5000",
                "app",
                "localhost:5000/app:1",
            ),
            (
                "registry.example.com:5000/team/q:r",
                "registry.example.com:5000",
                "team/q",
                "registry.example.com:5000/team/q:r",
            ),
            ("[::1]:5000/app", "[::1]:5000", "app", "[::1]:5000/app"),
            ("HOST/app", "HOST", "app", "HOST/app"),
            (
                "f/a__b.c---d_e",
                "docker.io",
                "f/a__b.c---d_e",
                "f/a__b.c---d_e",
            ),
            ("library/a/b", "docker.io", "library/a/b", "library/a/b"),
        ];
        for (text, domain, path, familiar) in table {
            let reference: Reference = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(
                (reference.domain(), reference.path()),
                (domain, path),
                "{text}"
            );
            assert_eq!(reference.to_string(), familiar, "{text}");
        }
        let both: Reference = format!("a:b@{digest}").parse().expect("tag and digest");
        assert_eq!(both.to_string(), format!("a:b@{digest}"));
    }

    #[test]
    fn invalid_references() {
        let long_name = "a/".repeat(128) + "a";
        let long_tag = format!("a:{}", "t".repeat(129));
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let table = [
            "",
            ":tag",
            "a:",
            "a:-x",
            "a:.x",
            "A",
            "a/B:1",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a___b",
            "a..b",
            "-a",
            "a-",
            "a@sha256:abc",
            "a@",
            "a:b:c",
            "ex ample.com/a",
            "host:port/a",
            "-h.com/a",
            "\u{e9}",
            long_name.as_str(),
            long_tag.as_str(),
            hex,
        ];
        for text in table {
            assert!(
                text.parse::<Reference>().is_err(),
                "`{text}` was taken for a reference"
            );
        }
    }

    #[test]
    fn one_word_in_an_annotation_is_a_tag() {
        assert_eq!(Name::from_annotation("latest"), Name::Bare("latest".into()));
        assert_eq!(Name::from_annotation("quirks:1").to_string(), "quirks:1");
        assert!(
            Name::from_annotation("docker.io/library/x:1")
                .reference()
                .is_some()
        );
        assert!(
            Name::from_annotation("_cosign:sha256-x.sig")
                .reference()
                .is_none()
        );
    }
}
