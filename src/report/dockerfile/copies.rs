//! `COPY` and `ADD`: histories have hashes, patterns and paths in them, layers have names.

use super::files::LayerFiles;
use crate::document::dockerfile::write;

/// How many sources are named.
const SOURCES: usize = 8;

/// A `COPY` or `ADD` that can be written, and what it lacks.
#[derive(Clone, Debug)]
pub(super) struct CopyText {
    pub(super) text: String,
    pub(super) lossy: Vec<String>,
}

/// What a history says of a `COPY` or `ADD`.
struct Recorded {
    flags: Vec<String>,
    sources: Vec<String>,
    to: String,
}

/// The instruction that copies what a layer holds; `None` if it cannot be told. Relative paths begin at
/// `workdir`.
pub(super) fn copied(
    name: &str,
    text: &str,
    workdir: &str,
    files: &LayerFiles,
) -> Option<CopyText> {
    let mut recorded = Recorded::read(text)?;
    let mut lossy = Vec::new();
    recorded.flags.retain(|flag| {
        let from = flag.strip_prefix("--from=");
        if let Some(from) = from {
            lossy.push(format!(
                "the files come from the build stage or image `{from}`, which is not here"
            ));
        }
        from.is_none()
    });
    let Recorded { flags, sources, to } = recorded;
    let hashed = sources.len() == 1 && is_hash(&sources[0]);
    let sources = if hashed {
        let names = names(&sources[0], &to, workdir, files);
        if name == "ADD" && files.count > 1 && sources[0].starts_with("file:") {
            return None;
        }
        lossy.push("the history has a hash instead of names: these are the layer's".to_owned());
        names
    } else if sources.iter().any(|source| source.starts_with("<<")) {
        lossy.push(
            "the content was in the Dockerfile: it is what the layer's file holds".to_owned(),
        );
        names("multi:", &to, workdir, files)
    } else {
        if sources.iter().any(|source| source.starts_with('/')) {
            lossy.push(
                "histories do not tell whether it was copied from another build stage".to_owned(),
            );
        }
        sources
    };
    let text = write::copy(name, &flags, &sources, &to)?;
    Some(CopyText { text, lossy })
}

impl Recorded {
    fn read(text: &str) -> Option<Self> {
        let mut flags = Vec::new();
        let mut rest = text.trim();
        while rest.starts_with("--") {
            let (flag, behind) = rest.split_once(' ')?;
            flags.push(flag.to_owned());
            rest = behind.trim_start();
        }
        if let Ok(mut words) = serde_json::from_str::<Vec<String>>(rest) {
            let to = words.pop().filter(|_| !words.is_empty())?;
            return Some(Self {
                flags,
                sources: words,
                to,
            });
        }
        // `file:… in /to`
        if let Some((source, to)) = rest.split_once(" in ")
            && is_hash(source)
        {
            return Some(Self {
                flags,
                sources: vec![source.to_owned()],
                to: to.trim().to_owned(),
            });
        }
        let mut words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
        let to = words.pop().filter(|_| !words.is_empty())?;
        Some(Self {
            flags,
            sources: words,
            to,
        })
    }
}

/// Whether the classic builder or Buildah recorded a hash of what was copied.
fn is_hash(source: &str) -> bool {
    let kinds = ["file:", "dir:", "multi:", "tarsum.", "archive:"];
    kinds.iter().any(|kind| source.starts_with(kind))
}

/// What sources a layer must have been copied from, by the names that it has at `to`.
fn names(kind: &str, to: &str, workdir: &str, files: &LayerFiles) -> Vec<String> {
    let all = || vec![".".to_owned()];
    let place = if to.starts_with('/') {
        to.to_owned()
    } else {
        format!("{workdir}/{to}")
    };
    let parts = |path: &str| -> Vec<String> {
        let parts = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".");
        parts.map(str::to_owned).collect()
    };
    let place = parts(&place);
    if kind.starts_with("dir:") {
        return place
            .last()
            .map_or_else(all, |name| vec![pattern(name) + "/"]);
    }
    if files.count > files.files.len() as u64 {
        return all();
    }
    let mut names: Vec<String> = Vec::new();
    for path in &files.files {
        let Ok(path) = std::str::from_utf8(path) else {
            return all();
        };
        let path = parts(path);
        // The file itself, or what lies directly in the directory.
        let name = match path.strip_prefix(&place[..]) {
            Some([]) => path.last(),
            Some([name, ..]) => Some(name),
            None => None,
        };
        if let Some(name) = name.map(|name| pattern(name))
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    if names.is_empty() || names.len() > SOURCES {
        return all();
    }
    names
}

/// A name that is no pattern, in a place where patterns may stand.
fn pattern(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '[' | '*' | '?' => {
                out.push('[');
                out.push(c);
                out.push(']');
            }
            c => out.push(c),
        }
    }
    out
}
