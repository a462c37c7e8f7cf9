//! How large a layer is.

use std::collections::HashMap;
use std::io::BufReader;

use super::{LayerError, Whiteout};
use crate::base::jobs::{self, Jobs};
use crate::base::progress::{Progress, Task, Watched};
use crate::image::{Image, Layer, LayerSource};
use crate::source::{Compression, Slice, Span};
use crate::tar::{Cursor, Entry, Kind, Positioned, Streamed, Walker};

/// How many compressed bytes are read at a time.
const READ_BUFFER: usize = 128 * 1024;

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
    /// nothing; symbolic links by the length of their target; directories, devices and whiteouts
    /// nothing; sparse files by their logical size. Other drivers and containerd count differently.
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

/// Measures one layer: by its headers alone if it is uncompressed, else by decoding it once, of which
/// `task` hears.
///
/// # Errors
///
/// [`LayerError`] if it cannot be read or is no tar.
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
    let reader = BufReader::with_capacity(READ_BUFFER, Watched::new(slice.reader(), task));
    let decoder = slice
        .decode(compression, reader)
        .map_err(LayerError::Read)?;
    let mut walker = Walker::new(Streamed::new(decoder, slice.source().limits()));
    let outcome = walk(&mut walker);
    let mut cursor = walker.into_cursor();
    let drained = if outcome.is_ok() {
        cursor.drain()
    } else {
        Ok(0)
    };
    let offset = cursor.into_inner().get_ref().get_ref().get_ref().position();
    let measure = outcome.map_err(|e| LayerError::from_walk(e, compression, offset, len))?;
    let tar_size = drained.map_err(|e| LayerError::from_read(e, compression, offset, len))?;
    Ok(Measure {
        tar_size,
        ..measure
    })
}

/// Shows every entry of a layer to `see`, in order, as it is stored; global headers are left out.
///
/// # Errors
///
/// [`LayerError`] if it is missing, cannot be read or is no tar.
pub fn walk_layer(layer: &Layer, mut see: impl FnMut(&Entry)) -> Result<(), LayerError> {
    let (slice, compression) = match &layer.source {
        LayerSource::Present { slice, compression } => (slice, *compression),
        LayerSource::Missing { why, .. } => return Err(LayerError::Missing(why.clone())),
    };
    let walked = if compression == Compression::None {
        see_all(Walker::new(Positioned::new(slice.clone())), &mut see)
    } else {
        let reader = BufReader::with_capacity(READ_BUFFER, slice.reader());
        let decoder = slice
            .decode(compression, reader)
            .map_err(LayerError::Read)?;
        see_all(
            Walker::new(Streamed::new(decoder, slice.source().limits())),
            &mut see,
        )
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

/// The measures of all layers of some images; layers that share a blob are measured once.
#[derive(Debug, Default)]
pub struct Measures(HashMap<Span, Result<Measure, LayerError>>);

impl Measures {
    /// Measures the layers of `images`, several at once.
    ///
    /// # Errors
    ///
    /// [`LayerError::Read`] if the operating system fails. A layer that is missing or damaged is no
    /// error here: [`Self::of`] says so.
    pub fn take<'i>(
        images: impl IntoIterator<Item = &'i Image>,
        jobs: Jobs,
        progress: &dyn Progress,
    ) -> Result<Self, LayerError> {
        let mut blobs: Vec<(&Slice, Compression)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for layer in images.into_iter().flat_map(|image| &image.layers) {
            if let Some((slice, compression)) = layer.present()
                && seen.insert(slice.span())
            {
                blobs.push((slice, compression));
            }
        }
        // Only what has to be decoded takes time.
        let cost = |blob: &(&Slice, Compression)| match blob {
            (_, Compression::None) => 0,
            (slice, _) => slice.len(),
        };
        let total: u64 = blobs.iter().map(cost).sum();
        let task = progress.begin("reading compressed layers", Some(total));
        let measured = jobs::map(jobs, &blobs, cost, |(slice, compression)| {
            measure(slice, *compression, &*task)
        });
        let mut by_span = HashMap::with_capacity(blobs.len());
        for ((slice, _), result) in blobs.into_iter().zip(measured) {
            match result {
                Err(error) if error.is_environment() => return Err(error),
                result => drop(by_span.insert(slice.span(), result)),
            }
        }
        Ok(Self(by_span))
    }

    /// The measure of `layer`; `None` if it is missing, damaged or was not among the images.
    pub fn of(&self, layer: &Layer) -> Option<&Measure> {
        self.0.get(&layer.span()?)?.as_ref().ok()
    }

    /// Why `layer` could not be measured, if it was tried and failed.
    pub fn fault(&self, layer: &Layer) -> Option<&LayerError> {
        match &layer.source {
            LayerSource::Present { slice, .. } => self.0.get(&slice.span())?.as_ref().err(),
            LayerSource::Missing { .. } => None,
        }
    }

    /// The size of an image as `docker image inspect` counts it: the sum over its layers. `None` if
    /// a layer could not be measured.
    pub fn image_size(&self, image: &Image) -> Option<u64> {
        image.layers.iter().try_fold(0_u64, |sum, layer| {
            Some(sum.saturating_add(self.of(layer)?.engine_size))
        })
    }
}
