//! The small files of a data root: JSON, and single values.

use std::cell::Cell;

use serde::de::DeserializeOwned;

use super::files::{FileNode, RootFiles};
use crate::base::limits::Limit;

/// Reads small files, as many as the limits allow.
#[derive(Debug)]
pub(crate) struct Documents<'f> {
    pub(crate) files: &'f RootFiles,
    /// How many bytes were read.
    read: Cell<u64>,
}

/// How long a file with a single value may be.
const VALUE: u64 = 4096;

impl<'f> Documents<'f> {
    pub(crate) fn new(files: &'f RootFiles) -> Self {
        Self {
            files,
            read: Cell::new(0),
        }
    }

    /// The bytes of a small file.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(crate) fn bytes(&self, file: FileNode) -> Result<Vec<u8>, String> {
        let path = || String::from_utf8_lossy(&self.files.path(file)).into_owned();
        let linked = self.files.linked(file);
        let Some(slice) = linked.and_then(|file| self.files.plain(file)) else {
            return Err(format!("{} is not a regular file in the tar", path()));
        };
        let limits = self.files.source().limits();
        let total = self.read.get().saturating_add(slice.len());
        let within = limits.check(Limit::Json, slice.len());
        within
            .and_then(|()| limits.check(Limit::JsonTotal, total))
            .map_err(|exceeded| format!("{} is too large: {exceeded}", path()))?;
        self.read.set(total);
        slice
            .read_all()
            .map_err(|error| format!("{} cannot be read: {error}", path()))
    }

    /// A JSON document.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for people.
    pub(crate) fn json<T: DeserializeOwned>(&self, file: FileNode) -> Result<T, String> {
        let bytes = self.bytes(file)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let path = String::from_utf8_lossy(&self.files.path(file)).into_owned();
            format!("{path} is invalid: {error}")
        })
    }

    /// The text of a file that holds a single value.
    pub(crate) fn value(&self, file: FileNode) -> Option<String> {
        if self.files.size(file) > VALUE {
            return None;
        }
        let text = String::from_utf8(self.bytes(file).ok()?).ok()?;
        Some(text.trim().to_owned())
    }

    /// The value of the file that has this name in a directory.
    pub(crate) fn value_in(&self, directory: FileNode, name: &str) -> Option<String> {
        self.value(self.files.child(directory, name.as_bytes())?)
    }
}
