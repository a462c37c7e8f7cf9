//! What every room may use: identifiers, limits, problems as data, jobs, progress, escaping.
//!
//! Nothing here knows what an archive is, and nothing here uses another room.

pub(crate) mod align;
pub mod constants;
pub mod digest;
pub mod escape;
pub(crate) mod jobs;
pub mod limits;
pub(crate) mod options;
pub mod problem;
pub mod progress;
pub(crate) mod stop;
