//! Digests of bytes that are read once, and what they prove about layers.
//!
//! Code that needs a digest makes a `Request`, which says where the bytes are, which digests to compute and what else
//! to do with the bytes as they pass. The answer is a [`Proof`], or the reason why the bytes could not be read to
//! their end: then nothing is proven. Claims are compared in one place, and bytes that are not as claimed are a
//! [`Mismatch`]. `Claims` verifies many of them at once and reads each range of bytes once.
//!
//! Two streams are hashed at a time on each core (`lanes.rs`); no other module depends on that.

mod claims;
mod lanes;
mod proof;
mod reading;
mod request;

pub(crate) use claims::{Claim, ClaimError, Claims, VERIFYING};
pub(crate) use proof::Prover;
pub use proof::{Claimed, LayerName, Mismatch, Proof, StoredPart, Wanted};
pub(crate) use reading::first_set_byte;
pub use reading::{Digests, LayerReading, TarState};
pub(crate) use request::{Alongside, Nothing, Outcome, Request, Work, prove, run};
