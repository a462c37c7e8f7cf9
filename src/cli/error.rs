//! What went wrong, worded for people; the only place that gives advice.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io;

use anstyle::{AnsiColor, Style};
use imgtar::Error;
use imgtar::archive::{ArchiveError, Looks};
use imgtar::image::{LoadError, SelectError};
use imgtar::layer::LayerError;
use imgtar::limits::Exceeded;
use imgtar::metadata::MetadataError;
use imgtar::rebuild::RebuildError;
use imgtar::rootfs::RootfsError;
use imgtar::source::SourceError;
use imgtar::write::WriteError;

use super::exit::Exit;
use super::output::{Output, escaped};

/// How many details stand below a message, candidates among them; an archive may have ten thousand.
const DETAILS_SHOWN: usize = 100;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// A command that could not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    /// Lines of their own below the message, such as candidates.
    details: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            exit,
            message,
            causes: Vec::new(),
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// The command line cannot be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The archive lacks what was asked for.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Exit::Input, message)
    }

    /// The system failed.
    pub(crate) fn environment(message: impl Into<String>, cause: &io::Error) -> Self {
        let mut failure = Self::new(Exit::Environment, message);
        failure.causes.push(cause.to_string());
        failure
    }

    /// Adds a line below the message.
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Adds advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Prints it and says what to exit with.
    pub(crate) fn report(&self, output: Output) -> Exit {
        let mut text = String::new();
        line(&mut text, ERROR, "error", &self.message);
        for cause in &self.causes {
            _ = writeln!(text, "  caused by: {}", escaped(&cut(cause)));
        }
        for detail in self.details.iter().take(DETAILS_SHOWN) {
            _ = writeln!(text, "  {}", escaped(&cut(detail)));
        }
        if let Some(more) = self.details.len().checked_sub(DETAILS_SHOWN + 1) {
            _ = writeln!(text, "  … and {} more", more + 1);
        }
        for hint in &self.hints {
            line(&mut text, HINT, "hint", hint);
        }
        output.complain(&text);
        self.exit
    }
}

impl fmt::Display for Failure {
    /// The message and its causes on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes
            .iter()
            .try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// Says something that does not keep the command from answering.
pub(crate) fn warn(output: Output, message: &str) {
    let mut text = String::new();
    line(&mut text, WARNING, "warning", message);
    output.complain(&text);
}

fn line(text: &mut String, style: Style, label: &str, message: &str) {
    let message = cut(message);
    _ = writeln!(text, "{style}{label}:{style:#} {}", escaped(&message));
}

/// A message that a person can take in: an archive may hold a name of a megabyte, and its beginning and
/// end are enough to find it by.
fn cut(message: &str) -> Cow<'_, str> {
    const WHOLE: usize = 2000;
    const END: usize = 500;
    // Most messages are short in bytes already.
    if message.len() <= WHOLE || message.chars().count() <= WHOLE {
        return Cow::Borrowed(message);
    }
    let beginning = message.chars().take(WHOLE - END);
    let mut end: Vec<char> = message.chars().rev().take(END).collect();
    end.reverse();
    Cow::Owned(beginning.chain([' ', '…', ' ']).chain(end).collect())
}

/// An error's causes, each once; a cause that the message above already words is left out.
pub(crate) fn causes(error: &dyn StdError) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut above = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !above.contains(&text) {
            causes.push(text.clone());
        }
        above = text;
        next = cause.source();
    }
    causes
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let mut failure = Self::new(error.class().into(), error.to_string());
        failure.causes = causes(&error);
        let exceeded = Exceeded::behind(&error).map(|exceeded| exceeded.limit);
        let failure = advise(&error, failure);
        match exceeded {
            None => failure,
            Some(limit) => failure.hint(format!(
                "if you trust the archive, --limit {limit}=VALUE lets it have more"
            )),
        }
    }
}

const VERIFY: &str = "`imgtar verify` reports everything that is wrong with the archive";

fn advise(error: &Error, failure: Failure) -> Failure {
    match error {
        Error::Source(error) | Error::Load(LoadError::Source(error)) => {
            advise_source(error, failure)
        }
        Error::Archive(error) | Error::Load(LoadError::Archive(error)) => {
            advise_archive(error, failure)
        }
        Error::Load(LoadError::Description { .. }) => failure.hint(VERIFY),
        Error::Select(error) => advise_select(error, failure),
        Error::Layer(LayerError::Limit(_)) => failure,
        Error::Layer(error) if !error.is_environment() => failure.hint(VERIFY),
        Error::Write(WriteError::Change(error)) if error.words().ends_with("is not a valid change command") => {
            failure.hint("CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR can change a config")
        }
        Error::Rootfs(error) | Error::Write(WriteError::Rootfs(error)) => {
            advise_rootfs(error, failure)
        }
        Error::Write(error) => advise_write(error, failure),
        Error::Metadata(error) => advise_metadata(error, failure),
        Error::Rebuild(error) => advise_rebuild(error, failure),
        _ => failure,
    }
}

fn advise_write(error: &WriteError, failure: Failure) -> Failure {
    match error {
        WriteError::Digest { .. } => failure.hint(
            "the layer was changed or damaged, and the new archive would say that it was not; `imgtar verify` says what else is",
        ),
        WriteError::Layer { source, .. } if !source.is_environment() => failure.hint(VERIFY),
        WriteError::Spool { .. } => {
            failure.hint("set TMPDIR to a directory with room for the new layer, uncompressed")
        }
        _ => failure,
    }
}

fn advise_metadata(error: &MetadataError, failure: Failure) -> Failure {
    match error {
        MetadataError::NotMetadata { .. } => {
            failure.hint("`imgtar flatten app.tar -o rootfs.tar --metadata FILE` writes metadata")
        }
        MetadataError::Version { .. } | MetadataError::Unknown { .. } => {
            failure.hint("it was written by another version of imgtar; docs/metadata.md describes the form of this one")
        }
        MetadataError::Source(error) => advise_source(error, failure),
        MetadataError::Missing { .. } | MetadataError::Member { .. } => {
            failure.hint("the file was damaged or changed; compare its checksum with the sender's, or flatten the archive again")
        }
        _ => failure,
    }
}

fn advise_rebuild(error: &RebuildError, mut failure: Failure) -> Failure {
    match error {
        RebuildError::Metadata(error) => advise_metadata(error, failure),
        RebuildError::Source(error) => advise_source(error, failure),
        RebuildError::Changed { changes, count, .. } => {
            let more = changes.iter().skip(1).map(ToString::to_string);
            failure.details.extend(more);
            let named = changes.len() as u64;
            if *count > named {
                failure.details.push(format!("and {} more", count - named));
            }
            failure.hint("give the flat tar as `flatten` wrote it, with the metadata that was written beside it; --accept-changes makes one more layer of what was changed")
        }
        RebuildError::Lost { bodies, count, .. } => {
            let more = bodies.iter().skip(1).map(ToString::to_string);
            failure.details.extend(more);
            let named = bodies.len() as u64;
            if *count > named {
                failure.details.push(format!("and {} more", count - named));
            }
            failure.hint("metadata has no copy of what the flat tar holds; `imgtar commit ARCHIVE ROOTFS.tar` makes the same layer from the original archive alone")
        }
        RebuildError::SpoolArchive(_) => {
            failure.hint("set TMPDIR to a directory with room for the archive")
        }
        RebuildError::Layer(WriteError::Rootfs(error)) => advise_rootfs(error, failure),
        RebuildError::Layer(error) => advise_write(error, failure),
        RebuildError::Flat { .. } => {
            failure.hint("the flat tar comes first: imgtar rebuild ROOTFS.tar --metadata FILE")
        }
        RebuildError::Expansion { .. } => {
            failure.hint("no archive that was flattened comes to this; do not trust the file")
        }
        RebuildError::Spool(_) => {
            failure.hint("set TMPDIR to a directory with room for the compressed layers")
        }
        RebuildError::DiffId { .. } => {
            failure.hint("the metadata was damaged or changed; flatten the archive again")
        }
        _ => failure,
    }
}

fn advise_rootfs(error: &RootfsError, failure: Failure) -> Failure {
    match error {
        RootfsError::DiffId { .. } => failure.hint(
            "the layer was changed or damaged; `imgtar verify` says what else is, --no-verify flattens it all the same",
        ),
        RootfsError::Entry { .. } => failure
            .hint("no engine can apply this layer either; `imgtar ls --layer` shows its entries"),
        RootfsError::NotRootfs { .. } | RootfsError::Flat(_) => failure.hint(
            "`docker export` writes the tar of a container's files, `imgtar flatten` that of an image's",
        ),
        RootfsError::Image { .. } => failure
            .hint("`imgtar verify` reports everything that is wrong with the archive; --no-verify flattens what is there"),
        RootfsError::Layer {
            source: LayerError::Limit(_),
            ..
        } => failure,
        RootfsError::Layer { source, .. } if !source.is_environment() => {
            failure.hint("`imgtar verify` reports everything that is wrong with the archive")
        }
        _ => failure,
    }
}

fn advise_source(error: &SourceError, failure: Failure) -> Failure {
    match error {
        SourceError::Directory { path } => failure.hint(format!(
            "an OCI image layout that is a directory can be packed first: tar -C {path} -cf layout.tar ."
        )),
        SourceError::Open { path, source } if source.kind() == io::ErrorKind::NotFound && looks_like_reference(path) => {
            failure.hint(format!(
                "imgtar reads files, not registries or engines; an engine writes one with: docker save -o app.tar {path}"
            ))
        }
        SourceError::Empty { .. } => failure.hint("was the command that should have written it successful?"),
        SourceError::Decompress { .. } => {
            failure.hint("the file is damaged or was cut short on its way; compare its checksum with the sender's")
        }
        SourceError::Spool { .. } => failure.hint("set TMPDIR to a directory with room for the uncompressed archive"),
        SourceError::Nested { inner, .. } => {
            failure.hint(format!("undo the outer compression first; {inner} inside is then read as it is"))
        }
        _ => failure,
    }
}

/// `nginx:1.12` is no path that anybody wrote by mistake.
fn looks_like_reference(path: &str) -> bool {
    !path.starts_with(['.', '/'])
        && path.contains(':')
        && path.parse::<imgtar::image::Reference>().is_ok()
}

fn advise_archive(error: &ArchiveError, failure: Failure) -> Failure {
    match error {
        ArchiveError::NotTar { .. } => {
            failure.hint("an image archive is what `docker save`, `podman save` or `skopeo copy` writes")
        }
        ArchiveError::Damaged { .. } => {
            failure.hint("`imgtar verify` reports what is left of it; copy or save the archive again")
        }
        ArchiveError::NotAnImage { looks, path } => match looks {
            Looks::Rootfs => failure.hint(format!(
                "a root file system has no image to look at; `imgtar import {path} -o image.tar` makes one of it, `tar -tvf {path}` lists it"
            )),
            Looks::Layer => failure.hint("give the whole archive that the layer comes from"),
            Looks::Wrapped { directory } => failure.hint(format!(
                "pack its content instead: tar -xf {path} && tar -C {directory} -cf image.tar ."
            )),
            Looks::OciWithoutIndex | Looks::BlobsAlone => {
                failure.hint("a part of the archive is missing; save the image again")
            }
            Looks::Nothing | Looks::Other { .. } => {
                failure.hint("an image archive is what `docker save`, `podman save` or `skopeo copy` writes")
            }
        },
        _ => failure,
    }
}

fn advise_select(error: &SelectError, mut failure: Failure) -> Failure {
    let hint = match error {
        SelectError::Unknown { candidates, .. } | SelectError::Several { candidates } => {
            failure.details.extend(candidates.iter().cloned());
            "name one of these, by reference, ID or position"
        }
        SelectError::Ambiguous { candidates, .. } => {
            failure.details.extend(candidates.iter().cloned());
            "write more of the ID, or pick one with --platform or by position"
        }
        SelectError::NoPlatform { candidates, .. } => {
            failure.details.extend(candidates.iter().cloned());
            "pick one of these with --platform, or leave the option out to see all"
        }
        _ => return failure,
    };
    failure.hint(hint)
}
