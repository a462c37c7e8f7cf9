//! An archive as it is given: a path or standard input, compressed or not.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::compression::MAGIC_LEN;
use super::file::label;
use super::{Compression, DirectoryLooks, ReadAt, Source, SourceError, sniff};
use crate::base::constants::BUFFER;
use crate::base::escape;
use crate::base::limits::Exceeded;
use crate::base::options::Options;
use crate::base::progress::{Progress, Task, steps};

/// An opened archive file: its plain bytes, and the compression around them.
#[derive(Clone, Debug)]
pub struct Input {
    source: Source,
    compression: Compression,
    stored_size: u64,
    /// The file as it is stored; the same as `source` if it is not compressed.
    stored: Source,
    trailing: bool,
}

impl Input {
    /// Opens `path`. A compressed file is decompressed once into an unnamed temporary file.
    ///
    /// # Errors
    ///
    /// [`SourceError`], as its variants say.
    pub fn open(path: &Path, options: &Options<'_>) -> Result<Self, SourceError> {
        let name = escape::path(path);
        let open = |source| SourceError::Open {
            path: label(&name),
            source,
        };
        let file = File::open(path).map_err(open)?;
        Self::from_file(file, name.clone(), options)
    }

    /// Takes bytes that the caller has, called `name` in messages. Only what is compressed is copied.
    ///
    /// # Errors
    ///
    /// [`SourceError`], as its variants say.
    pub fn from_reader(
        bytes: impl ReadAt + 'static,
        name: &str,
        options: &Options<'_>,
    ) -> Result<Self, SourceError> {
        let name = escape::path(Path::new(name));
        let len = bytes.size().map_err(|source| SourceError::Open {
            path: label(&name),
            source,
        })?;
        if len == 0 {
            return Err(SourceError::Empty { path: label(&name) });
        }
        let source = Source::given(Box::new(bytes), len, name, options);
        Self::decompressed(source, options.progress)
    }

    /// Takes plain bytes that this process has written itself.
    pub(crate) fn temporary(source: Source) -> Self {
        Self {
            compression: Compression::None,
            stored_size: source.len(),
            stored: source.clone(),
            trailing: false,
            source,
        }
    }

    /// Reads standard input: in place where it is a regular file, spooled once where it is a pipe.
    ///
    /// # Errors
    ///
    /// [`SourceError`], as its variants say.
    #[cfg(unix)]
    pub fn stdin(options: &Options<'_>) -> Result<Self, SourceError> {
        use std::os::fd::AsFd;
        let open = |source| SourceError::Open {
            path: label("-"),
            source,
        };
        let fd = io::stdin().as_fd().try_clone_to_owned().map_err(open)?;
        Self::from_file(File::from(fd), "-".into(), options)
    }

    /// Reads standard input, spooled once.
    ///
    /// # Errors
    ///
    /// [`SourceError`], as its variants say.
    #[cfg(not(unix))]
    pub fn stdin(options: &Options<'_>) -> Result<Self, SourceError> {
        let task = options.progress.begin(steps::READING_PIPE, None);
        let spooled = spool(io::stdin().lock(), "-", &*task)?;
        Self::from_file(spooled, "-".into(), options)
    }

    fn from_file(mut file: File, path: String, options: &Options<'_>) -> Result<Self, SourceError> {
        let progress = options.progress;
        let open = |source| SourceError::Open {
            path: label(&path),
            source,
        };
        let mut metadata = file.metadata().map_err(open)?;
        if metadata.is_dir() {
            return Err(SourceError::Directory {
                path: label(&path),
                looks: DirectoryLooks::of(Path::new(&path)),
            });
        }
        let mut base = 0;
        if metadata.is_file() {
            // Another process may have read a part of a shared standard input; the rest is ours.
            base = file.stream_position().map_err(open)?;
        } else {
            let task = progress.begin(steps::READING_PIPE, None);
            file = spool(file, &path, &*task)?;
            metadata = file.metadata().map_err(open)?;
        }
        let len = metadata.len().saturating_sub(base);
        if len == 0 {
            return Err(SourceError::Empty { path: label(&path) });
        }
        Self::decompressed(Source::new(file, base, len, path, options), progress)
    }

    fn decompressed(stored: Source, progress: &dyn Progress) -> Result<Self, SourceError> {
        let compression = sniff_source(&stored)?;
        let stored_size = stored.len();
        if compression == Compression::None {
            return Ok(Self {
                source: stored.clone(),
                compression,
                stored_size,
                stored,
                trailing: false,
            });
        }
        let task = progress.begin(steps::DECOMPRESSING_ARCHIVE, Some(stored_size));
        let (source, trailing) = decompress(&stored, compression, &*task)?;
        let inner = sniff_source(&source)?;
        if inner != Compression::None {
            return Err(SourceError::Nested {
                path: stored.label(),
                outer: compression,
                inner,
            });
        }
        Ok(Self {
            source,
            compression,
            stored_size,
            stored,
            trailing,
        })
    }

    /// The plain bytes of the archive. Offsets in messages count in these.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The compression around the whole archive.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The bytes of the file as it was given.
    pub fn stored(&self) -> &Source {
        &self.stored
    }

    /// Whether bytes that are not part of the outer gzip data follow it.
    pub fn has_trailing_data(&self) -> bool {
        self.trailing
    }

    /// The size of the file as it was given, in bytes.
    pub fn stored_size(&self) -> u64 {
        self.stored_size
    }
}

fn sniff_source(source: &Source) -> Result<Compression, SourceError> {
    let mut head = [0; MAGIC_LEN];
    let n = source.read_at(&mut head, 0)?;
    Ok(sniff(&head[..n]))
}

fn decompress(
    stored: &Source,
    compression: Compression,
    task: &dyn Task,
) -> Result<(Source, bool), SourceError> {
    let path = stored.path().to_owned();
    let reader = BufReader::with_capacity(BUFFER, stored.whole().reader());
    let mut decoder =
        stored
            .decode(compression, reader)
            .map_err(|source| SourceError::Decompress {
                path: label(&path),
                compression,
                offset: 0,
                source,
            })?;
    let mut file = spool_file(&path)?;
    let mut buf = vec![0; BUFFER];
    let mut len = 0;
    let mut told = 0;
    loop {
        let n = match decoder.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                if let Some(exceeded) = Exceeded::behind(&source) {
                    return Err(SourceError::Bomb {
                        path: label(&path),
                        compression,
                        stored: stored.len(),
                        exceeded: *exceeded,
                    });
                }
                let offset = decoder.get_ref().get_ref().position();
                return Err(SourceError::Decompress {
                    path: label(&path),
                    compression,
                    offset,
                    source,
                });
            }
        };
        file.write_all(&buf[..n])
            .map_err(|source| spool_failed(&path, source))?;
        len += n as u64;
        let position = decoder.get_ref().get_ref().position();
        task.advance(position - told);
        told = position;
    }
    if len == 0 {
        return Err(SourceError::Empty {
            path: format!("{} ({compression})", label(&path)),
        });
    }
    let trailing = decoder.has_trailing_data();
    Ok((stored.derived(file, len), trailing))
}

/// Copies everything that `reader` gives into an unnamed temporary file.
fn spool(mut reader: impl Read, path: &str, task: &dyn Task) -> Result<File, SourceError> {
    let mut file = spool_file(path)?;
    let mut buf = vec![0; BUFFER];
    let mut offset = 0;
    loop {
        let n = match reader.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(SourceError::Read {
                    path: label(path),
                    offset,
                    source,
                });
            }
        };
        file.write_all(&buf[..n])
            .map_err(|source| spool_failed(path, source))?;
        offset += n as u64;
        task.advance(n as u64);
    }
    file.seek(SeekFrom::Start(0))
        .map_err(|source| spool_failed(path, source))?;
    Ok(file)
}

fn spool_file(path: &str) -> Result<File, SourceError> {
    tempfile::tempfile().map_err(|source| spool_failed(path, source))
}

fn spool_failed(path: &str, source: io::Error) -> SourceError {
    SourceError::Spool {
        path: label(path),
        dir: std::env::temp_dir().display().to_string(),
        source,
    }
}
