//! A directory for the files of one test.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::shown;

/// A directory that goes with the value.
pub struct Work(TempDir);

impl Work {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub fn directory(&self) -> &Path {
        self.0.path()
    }

    /// What a file in it is called.
    pub fn path(&self, name: &str) -> String {
        shown(&self.directory().join(name))
    }

    /// Writes a file, and the directories above it.
    pub fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().expect("a directory")).expect("room");
        fs::write(&path, bytes).expect("room for a file");
        path
    }
}
