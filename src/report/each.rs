//! Descriptions that are made when they are printed.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::image::Image;

/// Images of an answer, each described when it is its turn: ten thousand images may share one large
/// config, and their descriptions are never in memory together. A list in JSON.
pub struct Each<'a, T> {
    images: &'a [&'a Image],
    describe: Describe<'a, T>,
}

/// Describes an image, given its place in the list.
type Describe<'a, T> = Box<dyn Fn(usize, &Image) -> T + 'a>;

impl<'a, T> Each<'a, T> {
    /// `describe` is given an image and its place in `images`; it may be called several times.
    pub(super) fn new(images: &'a [&'a Image], describe: impl Fn(usize, &Image) -> T + 'a) -> Self {
        let describe = Box::new(describe);
        Self { images, describe }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The images that are described.
    pub fn images(&self) -> &'a [&'a Image] {
        self.images
    }

    /// The descriptions, made one at a time.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        let images = self.images.iter().enumerate();
        images.map(|(i, image)| (self.describe)(i, image))
    }
}

impl<T> fmt::Debug for Each<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").field("len", &self.len()).finish()
    }
}

impl<T: Serialize> Serialize for Each<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
