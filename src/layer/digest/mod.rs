//! What layers' bytes are: digests of bytes that are read once, and what is proven by them.
//!
//! Code that needs a digest makes a `Request`, which says where the bytes are, which digests to compute
//! and what else to do with the bytes on the way. The answer is a [`Proof`], or why the bytes could not
//! be read to their end: then nothing is proven. What a digest claims is compared in one place, and bytes
//! that are not what is claimed are a [`Mismatch`]. `Claims` verifies many of them at once, each stretch
//! of bytes read once.
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
