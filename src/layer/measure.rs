//! How large a layer is.

use super::decoded::{Decoded, Told};
use super::{LayerError, LayerTar, Whiteout};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::{Progress, Task};
use crate::image::{Image, Layer};
use crate::source::{ByPlace, Compression, Slice};
use crate::tar::{Cursor, Entry, Kind, Positioned, Streamed, Walker};

/// By how much fewer bytes are read where only headers are wanted: a guess that files are large enough.
const HEADERS_ONLY: u64 = 64;

/// The sizes of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// The length of the uncompressed tar in bytes, everything behind its end included.
    pub tar_size: u64,
    /// How many entries it has, whiteouts included.
    pub entries: u64,
    /// The size that `docker history` shows for it, in bytes.
    ///
    /// Docker adds up what `lstat` says of the files in the layer's own directory (moby
    /// `daemon/internal/directory`, overlay2): regular files once an inode, so hard links count
    /// as nothing; symbolic links by the length of their target; directories, devices and whiteouts
    /// as nothing; sparse files by their logical size. Other drivers and containerd count differently.
    pub engine_size: u64,
}

impl Measure {
    fn take(&mut self, entry: &Entry) {
        if entry.kind == Kind::Global {
            return;
        }
        self.entries += 1;
        if Whiteout::of_path(&entry.path).is_some() {
            return;
        }
        let size = match entry.kind {
            Kind::File => entry.size,
            Kind::Symlink => entry.link.len() as u64,
            _ => 0,
        };
        self.engine_size = self.engine_size.saturating_add(size);
    }
}

/// Measures one layer: by its headers alone if it is uncompressed, else by decoding it once, which
/// is reported as `task`.
///
/// # Errors
///
/// [`LayerError`] if it cannot be read or is not a tar.
pub fn measure(
    slice: &Slice,
    compression: Compression,
    task: &dyn Task,
) -> Result<Measure, LayerError> {
    let len = slice.len();
    if compression == Compression::None {
        let mut walker = Walker::new(Positioned::new(slice.clone()));
        let measure =
            walk(&mut walker).map_err(|e| LayerError::from_walk(e, compression, 0, len))?;
        return Ok(Measure {
            tar_size: len,
            ..measure
        });
    }
    let decoded = Decoded::new(slice, compression, None, Told::Shared(task))?;
    let mut walker = Walker::new(Streamed::new(decoded, slice.source().limits()));
    let outcome = walk(&mut walker);
    let mut cursor = walker.into_cursor();
    let drained = if outcome.is_ok() {
        cursor.drain()
    } else {
        Ok(0)
    };
    let decoded = cursor.into_inner();
    let at = decoded.position();
    let measure = outcome.map_err(|e| LayerError::from_walk(e, compression, at, len))?;
    let tar_size = drained.map_err(|e| decoded.fault(e))?;
    Ok(Measure {
        tar_size,
        ..measure
    })
}

/// Shows every entry of a layer to `see`, in order, as it is stored; global headers are left out.
///
/// # Errors
///
/// [`LayerError`] if it is missing, cannot be read or is not a tar.
pub fn walk_layer(layer: &Layer, mut see: impl FnMut(&Entry)) -> Result<(), LayerError> {
    let (slice, compression) = layer.stored()?;
    let walked = if compression == Compression::None {
        see_all(Walker::new(Positioned::new(slice.clone())), &mut see)
    } else {
        let decoded = Decoded::new(slice, compression, None, Told::Nobody)?;
        let cursor = Streamed::new(decoded, slice.source().limits());
        see_all(Walker::new(cursor), &mut see)
    };
    walked.map_err(|e| LayerError::from_walk(e, compression, 0, slice.len()))
}

fn see_all<C: Cursor>(
    mut walker: Walker<C>,
    see: &mut impl FnMut(&Entry),
) -> Result<(), crate::tar::TarError> {
    while let Some(entry) = walker.next_entry()? {
        if entry.kind != Kind::Global {
            see(&entry);
        }
    }
    Ok(())
}

fn walk<C: Cursor>(walker: &mut Walker<C>) -> Result<Measure, crate::tar::TarError> {
    let mut measure = Measure::default();
    while let Some(entry) = walker.next_entry()? {
        measure.take(&entry);
    }
    Ok(measure)
}

/// Gives each blob the result that was found for it, in the same order.
///
/// # Errors
///
/// The first one that is the operating system's.
pub(crate) fn by_blob<B, T>(
    blobs: ByPlace<B>,
    mut results: Vec<Result<T, LayerError>>,
) -> Result<ByPlace<Result<T, LayerError>>, LayerError> {
    let environment = |result: &Result<T, LayerError>| {
        let error = result.as_ref().err();
        error.is_some_and(LayerError::is_environment)
    };
    if let Some(failed) = results.iter().position(environment) {
        results.swap_remove(failed)?;
    }
    let mut results = results.into_iter();
    Ok(blobs.map(|_| results.next().expect("there are as many results as blobs")))
}

/// The measures of all layers of some images; layers that share a blob are measured once.
#[derive(Debug)]
pub struct Measures(ByPlace<Result<Measure, LayerError>>);

impl Default for Measures {
    fn default() -> Self {
        Self(ByPlace::new())
    }
}

impl Measures {
    /// Measures the layers of `images`, several at once.
    ///
    /// # Errors
    ///
    /// [`LayerError::Read`] if the operating system fails. A layer that is missing or damaged is not
    /// an error here: [`Self::of`] says so.
    pub fn take<'i>(
        images: impl IntoIterator<Item = &'i Image>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, LayerError> {
        Self::take_opened(images, |_| None, jobs, progress)
    }

    /// The same, where `opened` gives the uncompressed tars of layers that are at hand: only headers are read of
    /// those.
    ///
    /// # Errors
    ///
    /// As [`Self::take`].
    pub fn take_opened<'i, 't>(
        images: impl IntoIterator<Item = &'i Image>,
        opened: impl Fn(&Layer) -> Option<&'t LayerTar>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, LayerError>
    where
        'i: 't,
    {
        let mut blobs: ByPlace<(&'t Slice, Compression)> = ByPlace::new();
        for layer in images.into_iter().flat_map(|image| &image.layers) {
            if let Some(stored) = layer.present() {
                let tar = opened(layer).map(|tar| (tar.bytes(), Compression::None));
                blobs.add(stored.0, || tar.unwrap_or(stored));
            }
        }
        // What is decoded takes time, and is what a bar shows. Of the others only headers are read: nobody
        // knows how many there are, but the largest should not be the last.
        let decoded = |blob: &(&Slice, Compression)| match blob {
            (_, Compression::None) => 0,
            (slice, _) => slice.len(),
        };
        let cost = |blob: &(&Slice, Compression)| match blob {
            (slice, Compression::None) => slice.len() / HEADERS_ONLY,
            (slice, _) => slice.len(),
        };
        let total: u64 = blobs.all().iter().map(decoded).sum();
        let task = progress.begin("reading layers", Some(total));
        let measured = jobs::map(jobs, blobs.all(), cost, |(slice, compression)| {
            measure(slice, *compression, &*task)
        });
        by_blob(blobs, measured).map(Self)
    }

    /// The measure of `layer`; `None` if it is missing, damaged or was not among the images.
    pub fn of(&self, layer: &Layer) -> Option<&Measure> {
        self.0.get(layer.present()?.0)?.as_ref().ok()
    }

    /// Why `layer` could not be measured, if it was tried and failed.
    pub fn fault(&self, layer: &Layer) -> Option<&LayerError> {
        self.0.get(layer.present()?.0)?.as_ref().err()
    }

    /// The size of an image as `docker image inspect` counts it: the sum over its layers. `None` if
    /// a layer could not be measured.
    pub fn image_size(&self, image: &Image) -> Option<u64> {
        self.size_of(&image.layers)
    }

    /// The same of some layers.
    pub fn size_of<'l>(&self, layers: impl IntoIterator<Item = &'l Layer>) -> Option<u64> {
        layers.into_iter().try_fold(0_u64, |sum, layer| {
            Some(sum.saturating_add(self.of(layer)?.engine_size))
        })
    }
}
