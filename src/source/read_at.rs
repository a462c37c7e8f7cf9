//! Bytes that the caller brings.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::file::positioned_read;

/// Bytes of a fixed number that any thread may read at any position: for an archive that is not a file
/// of this system and should not be copied into one. Implemented for files and for bytes in memory; a
/// program implements it for what it has, such as an object in a store that serves ranges.
///
/// ```
/// use std::io;
/// use imgtar::{Options, ReadAt};
///
/// /// An archive behind bytes of something else.
/// struct Behind { all: Vec<u8>, header: u64 }
///
/// impl ReadAt for Behind {
///     fn size(&self) -> io::Result<u64> {
///         Ok(self.all.len() as u64 - self.header)
///     }
///     fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
///         self.all.read_at(buf, self.header + offset)
///     }
/// }
///
/// let mut all = b"a header of 20 bytes".to_vec();
/// all.extend(std::fs::read("testdata/engines/docker26-one.tar")?);
/// let bytes = Behind { all, header: 20 };
/// let archive = imgtar::open_reader(bytes, "app.tar", &Options::default())?;
/// assert_eq!(archive.images()?.images.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ReadAt: Send + Sync {
    /// How many bytes there are. This is asked once, when the archive is opened; an end before that many
    /// bytes is an error later.
    ///
    /// # Errors
    ///
    /// Whatever error its implementation has.
    fn size(&self) -> io::Result<u64>;

    /// Reads into `buf` from `offset` bytes on, and returns how many bytes were read: possibly fewer than `buf`
    /// holds, and 0 only at the end.
    ///
    /// # Errors
    ///
    /// Whatever error its implementation has. [`io::ErrorKind::Interrupted`] means: call it again.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// A regular file, from its beginning, wherever it was read to.
impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        positioned_read(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let left = self.get(from..).unwrap_or_default();
        let n = left.len().min(buf.len());
        buf[..n].copy_from_slice(&left[..n]);
        Ok(n)
    }
}

/// Implements [`ReadAt`] for what leads to something that implements it.
macro_rules! passed_on {
    ($([$($parameter:tt)*] $type:ty, $what:ty;)*) => {$(
        impl<$($parameter)*> ReadAt for $type {
            fn size(&self) -> io::Result<u64> {
                <$what as ReadAt>::size(self)
            }

            fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
                <$what as ReadAt>::read_at(self, buf, offset)
            }
        }
    )*};
}

passed_on! {
    [const N: usize] [u8; N], [u8];
    [] Vec<u8>, [u8];
    [T: ReadAt + ?Sized] &T, T;
    [T: ReadAt + ?Sized] Box<T>, T;
    [T: ReadAt + ?Sized] Arc<T>, T;
}
