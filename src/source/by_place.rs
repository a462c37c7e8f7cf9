//! Stretches of bytes that several users share, each once.

use std::collections::HashMap;

use super::Slice;
use super::file::Place;

/// One thing for each stretch of bytes, in the order in which they came: layers and images share blobs,
/// and work on a blob is done once.
#[derive(Clone, Debug)]
pub(crate) struct ByPlace<T> {
    all: Vec<T>,
    numbers: HashMap<Place, usize>,
}

impl<T> ByPlace<T> {
    pub(crate) fn new() -> Self {
        Self {
            all: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// The number of what these bytes have, which is made if they are new.
    pub(crate) fn add(&mut self, bytes: &Slice, make: impl FnOnce() -> T) -> usize {
        *self.numbers.entry(bytes.place()).or_insert_with(|| {
            self.all.push(make());
            self.all.len() - 1
        })
    }

    /// The number of what these bytes have, if they are known.
    pub(crate) fn number(&self, bytes: &Slice) -> Option<usize> {
        self.numbers.get(&bytes.place()).copied()
    }

    /// What these bytes have.
    pub(crate) fn get(&self, bytes: &Slice) -> Option<&T> {
        self.number(bytes).map(|number| &self.all[number])
    }

    /// What bytes have that were given this number.
    pub(crate) fn at_mut(&mut self, number: usize) -> &mut T {
        &mut self.all[number]
    }

    /// All of them, by number.
    pub(crate) fn all(&self) -> &[T] {
        &self.all
    }

    /// All of them, by number, without their places.
    pub(crate) fn into_all(self) -> Vec<T> {
        self.all
    }

    /// The same bytes with something else each, made of what they have, in order.
    pub(crate) fn map<U>(self, each: impl FnMut(T) -> U) -> ByPlace<U> {
        ByPlace {
            all: self.all.into_iter().map(each).collect(),
            numbers: self.numbers,
        }
    }
}
