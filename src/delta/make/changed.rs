//! Files that changed: each is compared with the old one that it most likely comes from, in blocks of limited size.

use std::sync::{Mutex, PoisonError};

use super::Maker;
use crate::base::jobs;
use crate::delta::DeltaError;
use crate::delta::description::PartFacts;
use crate::delta::emit::{NewBody, NewHeader};
use crate::delta::entries::Walked;
use crate::delta::old::OldEntry;
use crate::delta::patch::{self, Effort, PatchStep};
use crate::source::{Slice, SourceError, Span};

/// The smallest file that is compared with another, in bytes: a step takes about as many.
const SMALLEST: u64 = 16;

/// How much of a new file is compared at a time, in bytes.
const NEW_BLOCK: u64 = 64 << 20;

/// How much of an old file that is compared with.
const OLD_WINDOW: u64 = 128 << 20;

/// From how many old bytes on only one thread compares at a time: its tables take four bytes for each.
const LARGE: u64 = 16 << 20;

/// A file that resembles an old one.
#[derive(Debug)]
pub(super) struct Patch {
    /// The old entry.
    pub(super) partner: u32,
    /// Its steps, if they are known already: those of a large file are made while they are written.
    steps: Option<Steps>,
}

/// How a block is made.
#[derive(Debug)]
struct Steps {
    list: Vec<PatchStep>,
    /// Where the window of old bytes begins in the old file.
    window: u64,
    differences: Vec<u8>,
    data: Vec<u8>,
}

/// A block of a new file and the old file.
struct Block {
    new: Slice,
    old: Slice,
    /// Where the block begins in the new file, whose size this is.
    at: u64,
    size: u64,
}

impl Block {
    /// The part of the old file that is in the same place, as far as sizes tell.
    fn window(&self) -> Span {
        let old = self.old.len();
        let len = old.min(OLD_WINDOW);
        let scaled = u128::from(self.at) * u128::from(old) / u128::from(self.size.max(1));
        let middle = u64::try_from(scaled).unwrap_or(old);
        let before = (OLD_WINDOW - NEW_BLOCK) / 2;
        Span {
            offset: middle.saturating_sub(before).min(old - len),
            len,
        }
    }

    fn steps(&self, effort: Effort) -> Result<Steps, DeltaError> {
        let window = self.window();
        let old = self.old.slice(window).read_all()?;
        let new = self.new.read_all()?;
        let steps = patch::steps(&old, &new, effort);
        let (mut differences, mut data) = (Vec::new(), Vec::new());
        let mut at = 0;
        for step in &steps {
            let pairs = new[at..at + step.add].iter().zip(&old[step.old..]);
            differences.extend(pairs.map(|(new, old)| new.wrapping_sub(*old)));
            at += step.add;
            data.extend_from_slice(&new[at..at + step.insert]);
            at += step.insert;
        }
        Ok(Steps {
            list: steps,
            window: window.offset,
            differences,
            data,
        })
    }
}

impl Maker<'_> {
    /// For each entry of a batch that no source has: what it resembles.
    pub(super) fn patches(
        &self,
        tar: &Slice,
        batch: &[Walked],
        equal: &[Option<u32>],
    ) -> Result<Vec<Option<Patch>>, DeltaError> {
        let partners = batch.iter().zip(equal).map(|(walked, equal)| {
            let is_changed = equal.is_none() && walked.size >= SMALLEST;
            if !is_changed {
                return Ok(None);
            }
            let new = super::content::body_of(tar, walked);
            self.old.partner(walked.keys, &new)
        });
        let partners: Vec<Option<u32>> = partners.collect::<Result<_, SourceError>>()?;
        let blocks = batch.iter().zip(&partners).map(|(walked, partner)| {
            let partner = partner.filter(|_| walked.size <= NEW_BLOCK)?;
            Some(Block {
                new: super::content::body_of(tar, walked),
                old: self.old.body(&self.old.entries[partner as usize]),
                at: 0,
                size: walked.size,
            })
        });
        let blocks: Vec<Option<Block>> = blocks.collect();
        let mut steps = Vec::with_capacity(blocks.len());
        let wanted: Vec<&Block> = blocks.iter().flatten().collect();
        let mut made = self.compare(&wanted)?.into_iter();
        for block in &blocks {
            steps.push(block.as_ref().and_then(|_| made.next()));
        }
        let patches = partners.into_iter().zip(steps);
        Ok(patches
            .map(|(partner, steps)| partner.map(|partner| Patch { partner, steps }))
            .collect())
    }

    fn compare(&self, blocks: &[&Block]) -> Result<Vec<Steps>, DeltaError> {
        let alone = Mutex::new(());
        let cost = |block: &&Block| block.new.len() + block.old.len().min(OLD_WINDOW);
        let made = jobs::map(self.options.jobs, blocks, cost, |block| {
            let is_large = block.old.len() > LARGE;
            let alone = is_large.then(|| alone.lock().unwrap_or_else(PoisonError::into_inner));
            let steps = block.steps(self.effort);
            drop(alone);
            steps
        });
        made.into_iter().collect()
    }

    /// Writes an entry whose body resembles an old one.
    pub(super) fn changed(
        &mut self,
        header: &NewHeader<'_>,
        new: &Slice,
        patch: Patch,
        padded: bool,
        facts: &mut PartFacts,
    ) -> Result<(), DeltaError> {
        facts.changed += new.len();
        facts.changed_files += 1;
        let partner = self.old.entries[patch.partner as usize];
        let at = self.place_of(patch.partner);
        let body = NewBody::Like {
            at,
            old: partner.size,
            size: new.len(),
        };
        self.emit.entry(header, &body, padded)?;
        let mut expected = 0;
        match patch.steps {
            Some(steps) => self.write(&steps, &mut expected),
            None => self.blocks(new, &partner, &mut expected),
        }
    }

    /// A file that is too large to be compared at once.
    fn blocks(
        &mut self,
        new: &Slice,
        partner: &OldEntry,
        expected: &mut u64,
    ) -> Result<(), DeltaError> {
        let mut at = 0;
        while at < new.len() {
            let span = Span {
                offset: at,
                len: NEW_BLOCK,
            };
            let block = Block {
                new: new.slice(span),
                old: self.old.body(partner),
                at,
                size: new.len(),
            };
            for steps in self.compare(&[&block])? {
                self.write(&steps, expected)?;
            }
            at += block.new.len();
        }
        Ok(())
    }

    fn write(&mut self, steps: &Steps, expected: &mut u64) -> Result<(), DeltaError> {
        for step in &steps.list {
            let old = steps.window + step.old as u64;
            self.emit
                .step(old.wrapping_sub(*expected).cast_signed(), step)?;
            *expected = old + step.add as u64;
        }
        self.emit.made.differences.put(&steps.differences)?;
        self.emit.made.data.put(&steps.data)
    }
}
