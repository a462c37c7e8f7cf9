//! Errors of the library as exceptions of Python, with what they say in fields.

use std::error::Error as StdError;
use std::io;

use imgtar::archive::{ArchiveError, EarlyEnd};
use imgtar::base::escape;
use imgtar::image::SelectError;
use imgtar::layer::LayerError;
use imgtar::layer::digest::Mismatch;
use imgtar::output::WriteError;
use imgtar::source::SourceError;
use imgtar::tar::{TarError, TarFault};
use imgtar::tree::{FileFault, TreeError};
use imgtar::{Class, Error};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::cli;

/// Why something could not be done.
#[derive(Debug)]
pub(crate) struct Failure {
    what: What,
    /// The archive that it happened to.
    archive: Option<String>,
}

#[derive(Debug)]
enum What {
    Library(Box<Error>),
    Usage(String),
    Absent(String),
    Input(String),
    System { doing: String, error: io::Error },
}

/// What an error says beside its message.
#[derive(Debug, Default)]
struct Facts {
    member: Option<String>,
    layer: Option<usize>,
    offset: Option<u64>,
    claimed: Option<String>,
    computed: Option<String>,
    number: Option<i32>,
    is_stopped: bool,
}

impl Failure {
    fn new(what: What) -> Self {
        Self {
            what,
            archive: None,
        }
    }

    /// The caller asked for something that cannot be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(What::Usage(message.into()))
    }

    /// There is no such thing.
    pub(crate) fn absent(message: impl Into<String>) -> Self {
        Self::new(What::Absent(message.into()))
    }

    /// The archive cannot be used for that.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(What::Input(message.into()))
    }

    /// The system failed at something, such as `cannot write out.tar`.
    pub(crate) fn system(doing: impl Into<String>, error: io::Error) -> Self {
        let doing = doing.into();
        Self::new(What::System { doing, error })
    }

    /// It happened to this archive.
    pub(crate) fn of(self, archive: &str) -> Self {
        Self {
            archive: Some(archive.to_owned()),
            ..self
        }
    }

    /// The exception.
    pub(crate) fn into_py(self, py: Python<'_>) -> PyErr {
        self.try_into_py(py).unwrap_or_else(|error| error)
    }

    fn try_into_py(self, py: Python<'_>) -> PyResult<PyErr> {
        let mut facts = Facts::default();
        let mut hints = Vec::new();
        let (class, message) = match &self.what {
            What::Library(error) => {
                facts.of_error(error);
                facts.of_causes(&**error);
                hints = cli::hints(error);
                (class_of(error, &facts), with_causes(error))
            }
            What::Usage(message) => ("usage", message.clone()),
            What::Absent(message) => ("absent", message.clone()),
            What::Input(message) => ("input", message.clone()),
            What::System { doing, error } => {
                facts.number = error.raw_os_error();
                ("environment", format!("{doing}: {error}"))
            }
        };
        let fields = PyDict::new(py);
        fields.set_item("archive", &self.archive)?;
        fields.set_item("member", facts.member)?;
        fields.set_item("layer", facts.layer)?;
        fields.set_item("offset", facts.offset)?;
        fields.set_item("claimed", facts.claimed)?;
        fields.set_item("computed", facts.computed)?;
        let hint = (!hints.is_empty()).then(|| hints.join("\n"));
        fields.set_item("hint", hint)?;
        let make = py.import("imgtar._errors")?.getattr("_make")?;
        let arguments = (class, message, facts.number, self.archive, fields);
        Ok(PyErr::from_value(make.call1(arguments)?))
    }
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(What::Library(Box::new(error.into())))
    }
}

/// The name of the exception in `lib/imgtar/_errors.py`.
fn class_of(error: &Error, facts: &Facts) -> &'static str {
    let is_absent = matches!(
        error,
        Error::Select(SelectError::Unknown { .. } | SelectError::OutOfRange { .. })
            | Error::Tree(TreeError::File {
                fault: FileFault::Missing,
                ..
            })
    );
    match error.class() {
        _ if facts.is_stopped => "stopped",
        _ if is_absent => "absent",
        Class::Usage => "usage",
        Class::Input => "input",
        Class::Environment => "environment",
    }
}

/// The message with its causes, on one line.
fn with_causes(error: &Error) -> String {
    let mut message = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        next = cause.source();
    }
    message
}

impl Facts {
    /// Takes what the error itself says: one that is transparent is not among its own causes.
    fn of_error(&mut self, error: &Error) {
        match error {
            Error::Source(error) | Error::Write(WriteError::Read(error)) => self.of_source(error),
            Error::Archive(error) => self.of_archive(error),
            Error::Tree(error) | Error::Write(WriteError::Tree(error)) => self.of_tree(error),
            Error::Layer(error) => self.of_layer(error),
            Error::Write(WriteError::Mismatch(mismatch)) => self.of_mismatch(mismatch),
            Error::Write(WriteError::Layer { layer, source, .. }) => {
                self.layer = Some(*layer);
                self.of_layer(source);
            }
            _ => {}
        }
    }

    /// Takes what its causes say, the nearest first.
    fn of_causes(&mut self, error: &dyn StdError) {
        let mut next = error.source();
        while let Some(cause) = next {
            if let Some(error) = cause.downcast_ref::<TarError>() {
                self.of_tar(error);
            } else if let Some(error) = cause.downcast_ref::<SourceError>() {
                self.of_source(error);
            } else if let Some(error) = cause.downcast_ref::<TreeError>() {
                self.of_tree(error);
            } else if let Some(error) = cause.downcast_ref::<LayerError>() {
                self.of_layer(error);
            } else if let Some(error) = cause.downcast_ref::<ArchiveError>() {
                self.of_archive(error);
            } else if let Some(mismatch) = cause.downcast_ref::<Mismatch>() {
                self.of_mismatch(mismatch);
            } else if let Some(end) = cause.downcast_ref::<EarlyEnd>() {
                self.of_end(end);
            } else if let Some(error) = cause.downcast_ref::<io::Error>() {
                self.number = self.number.or(error.raw_os_error());
                // What a reader has wrapped is not among the causes.
                let inner = error.get_ref();
                if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<SourceError>()) {
                    self.of_source(error);
                }
            }
            next = cause.source();
        }
    }

    fn of_source(&mut self, error: &SourceError) {
        match error {
            SourceError::Open { source, .. } | SourceError::Spool { source, .. } => {
                self.number = self.number.or(source.raw_os_error());
            }
            SourceError::Read { offset, source, .. } => {
                self.number = self.number.or(source.raw_os_error());
                self.at(*offset);
            }
            SourceError::Shrank { offset, .. } | SourceError::Decompress { offset, .. } => {
                self.at(*offset);
            }
            SourceError::Stopped { .. } => self.is_stopped = true,
            SourceError::Directory { .. }
            | SourceError::Empty { .. }
            | SourceError::Nested { .. }
            | SourceError::Bomb { .. } => {}
        }
    }

    fn of_archive(&mut self, error: &ArchiveError) {
        match error {
            ArchiveError::NotTar { source, .. } | ArchiveError::Read { source, .. } => {
                self.of_tar(source);
            }
            ArchiveError::Damaged { end, .. } => self.of_end(end),
            ArchiveError::Foreign { .. }
            | ArchiveError::TooManyMembers { .. }
            | ArchiveError::NotAnImage { .. } => {}
        }
    }

    fn of_end(&mut self, end: &EarlyEnd) {
        self.at(end.offset());
        if let Some(error) = end.tar_error() {
            self.of_tar(error);
        }
    }

    fn of_tree(&mut self, error: &TreeError) {
        match error {
            TreeError::Entry {
                layer,
                path,
                offset,
                ..
            }
            | TreeError::Limit {
                layer,
                path,
                offset,
                ..
            } => {
                self.layer = Some(*layer);
                self.member = Some(escape::name(path).to_string());
                self.at(*offset);
            }
            TreeError::Layer { layer, source } => {
                self.layer = Some(*layer);
                self.of_layer(source);
            }
            TreeError::File { path, .. } | TreeError::Compare { path, .. } => {
                self.member = Some(escape::name(path).to_string());
            }
            _ => {}
        }
    }

    fn of_layer(&mut self, error: &LayerError) {
        match error {
            LayerError::Decode { offset, .. } => self.at(*offset),
            LayerError::Tar(error) => self.of_tar(error),
            _ => {}
        }
    }

    fn of_tar(&mut self, error: &TarError) {
        self.at(error.offset);
        match &error.fault {
            TarFault::Checksum { claimed, computed } => {
                self.claimed = Some(claimed.clone());
                self.computed = Some(computed.to_string());
            }
            TarFault::TruncatedBody { claimed, present } => {
                self.claimed = Some(claimed.to_string());
                self.computed = Some(present.to_string());
            }
            _ => {}
        }
    }

    fn of_mismatch(&mut self, mismatch: &Mismatch) {
        self.member = Some(mismatch.name.to_string());
        self.layer = Some(mismatch.name.layer);
        self.claimed = Some(mismatch.claimed.to_string());
        self.computed = Some(mismatch.computed.to_string());
    }

    /// The place that is nearest to the error counts.
    fn at(&mut self, offset: u64) {
        self.offset = self.offset.or(Some(offset));
    }
}
