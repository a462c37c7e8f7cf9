//! Compressed streams made again from what they expand to.
//!
//! A compressed layer that is kept next to its content costs its size a second time. Most streams need not be kept: the
//! program that compressed them gives the same bytes again, if it is known and does the same. [`find`] tries the
//! encoders that write layers and says which one made a stream; the answer, a [`Recipe`], has a few hundred bytes.
//! [`Remaker`] makes the stream again.
//!
//! Nothing is taken on trust. A recipe is only found if it has made every byte of the stream once, and whoever uses
//! one later verifies what comes out with a digest: another version of an encoder may give other bytes.
//!
//! Threats, and what is done about them (recipes and corrections come from files of other people):
//!
//! - *Memory*: every encoder needs a fixed amount, whatever the content. What the header of a gzip stream may take in a
//!   recipe has a limit (`gzip::MOST_HEADER`).
//! - *Output without content*: an encoder writes little more than it was given, and only when it is given something.
//! - *Encoders of later versions*: a recipe with a name or a level that is not known is an error when it is read.

mod engine;
mod go;
mod gzip;
mod klauspost;
mod recipe;
mod remaker;
mod search;
mod zlib;

#[cfg(test)]
mod tests;

pub use self::recipe::{Recipe, RecipeError};
pub use self::remaker::Remaker;
pub use self::search::{FindOptions, Remade, find};
