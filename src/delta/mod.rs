//! Deltas: what old archives lack of a new one, and the new one again, byte for byte.
//!
//! A delta describes a file by what others have. Each file in a layer is one of three things: the same as an old one,
//! wherever that is; a patch of the old one that it most likely comes from; or new. Headers are differences from old
//! headers. What results from all files goes into a few streams, which are compressed as wholes.
//!
//! A layer that is compressed takes part if its compression can be repeated ([`crate::source::remake`]); else it
//! travels whole. What is made is always the new file as it was: its digest is compared at the end.
//!
//! `docs/delta.md` describes the format. Each file of this module that reads a delta says what a hostile one could try.

mod anatomy;
mod code;
mod description;
mod emit;
mod entries;
mod error;
mod file;
mod header;
mod make;
mod near;
mod old;
mod patch;
mod replay;
mod same;
mod sources;
mod streams;
mod write;

#[cfg(test)]
mod tests;

use std::io::Write;

pub use description::{
    Converted, DeltaDescription, How, Needed, NewFile, NewImage, PartFacts, StreamSize, Streams,
};
pub use error::DeltaError;
pub use file::DeltaFile;

use crate::base::jobs;
use crate::base::options::Options;
use crate::base::progress::steps;
use crate::source::Input;
use anatomy::Anatomy;
use old::Old;
use patch::Effort;
use same::digest;

/// How a delta is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct MakeOptions {
    /// Whether to search longer for a smaller delta.
    pub best: bool,
}

/// A delta that was made and is not written yet.
#[derive(Debug)]
pub struct Delta {
    description: DeltaDescription,
    made: streams::MadeStreams,
}

impl Delta {
    /// Finds out what `old` lacks of `new`.
    ///
    /// # Errors
    ///
    /// [`DeltaError`] if a file cannot be read, or asks for more than the limits allow, or if a temporary file cannot
    /// be written.
    pub fn make(
        old: &[Input],
        new: &Input,
        how: MakeOptions,
        options: &Options<'_>,
    ) -> Result<Self, DeltaError> {
        let labels: Vec<String> = old.iter().map(|old| old.source().label()).collect();
        let archives = old.iter().map(Anatomy::of);
        let archives: Vec<Anatomy> = archives.collect::<Result<_, _>>()?;
        let new = Anatomy::of(new)?;
        let mut old = Old::of(&archives);
        let effort = if how.best {
            Effort::BEST
        } else {
            Effort::DEFAULT
        };
        let program = make::program(&mut old, &new, effort, options)?;
        let mut sources = needed(&old, &program.used, options)?;
        for source in &mut sources {
            source.name = without_directory(&source.name, &labels);
        }
        let level = if how.best { BEST_LEVEL } else { LEVEL };
        let (made, streams) = program.made.compressed(level, options.jobs)?;
        let description = DeltaDescription {
            format: description::FORMAT.to_owned(),
            version: description::VERSION,
            requires: Vec::new(),
            new: NewFile {
                name: file_name(&program.new.name).to_owned(),
                ..program.new
            },
            sources,
            recipes: program.recipes,
            streams,
            parts: program.parts,
        };
        Ok(Self { description, made })
    }

    /// What it needs and makes, and how large it is.
    pub fn description(&self) -> &DeltaDescription {
        &self.description
    }

    /// Says that what it makes is not `given`, but has the same layers in another form.
    ///
    /// # Errors
    ///
    /// [`DeltaError::Source`] if `given` cannot be read.
    pub fn converted_from(mut self, given: &Input) -> Result<Self, DeltaError> {
        let stored = given.stored();
        self.description.new.converted = Some(Converted {
            size: stored.len(),
            sha256: digest(&stored.whole())?,
        });
        Ok(self)
    }

    /// Writes it. Returns how many bytes were written.
    ///
    /// # Errors
    ///
    /// [`DeltaError::Write`] if `out` fails, [`DeltaError::Spool`] if a temporary file cannot be read.
    pub fn write(self, out: &mut dyn Write) -> Result<u64, DeltaError> {
        write::write(&self.description, self.made, out)
    }
}

/// The levels of zstd that streams are compressed with.
const LEVEL: i32 = 9;
const BEST_LEVEL: i32 = 19;

/// The name of a file without the directories that it is in: those are nobody else's business, and the same files in
/// other places give the same delta.
fn file_name(path: &str) -> &str {
    let name = std::path::Path::new(path).file_name();
    name.and_then(std::ffi::OsStr::to_str).unwrap_or(path)
}

/// The name of a source without the directories of its archive, one of `labels`.
fn without_directory(name: &str, labels: &[String]) -> String {
    let ends = [", as it is", " as it is"].into_iter();
    let mut ends = ends.filter_map(|end| Some((name.strip_suffix(end)?, end)));
    let (name, end) = ends.next().unwrap_or((name, ""));
    let labels = labels.iter().filter(|label| name.ends_with(label.as_str()));
    let label = labels.max_by_key(|label| label.len());
    let shown = label.map_or(name, |label| file_name(label));
    let within = label.and_then(|label| name.strip_suffix(label.as_str()));
    format!("{}{shown}{end}", within.unwrap_or_default())
}

/// What the delta needs, with digests.
fn needed(old: &Old, used: &[u32], options: &Options<'_>) -> Result<Vec<Needed>, DeltaError> {
    let parts: Vec<&old::OldPart> = used.iter().map(|part| &old.parts[*part as usize]).collect();
    let cost = |part: &&old::OldPart| match part.sha256 {
        Some(_) => 0,
        None => part.bytes.len(),
    };
    let total = parts.iter().map(cost).sum();
    let task = options.progress.begin(steps::HASHING, Some(total));
    let digests = jobs::map(options.jobs, &parts, cost, |part| {
        if let Some(digest) = &part.sha256 {
            return Ok(digest.clone());
        }
        let digest = digest(&part.bytes);
        task.advance(part.bytes.len());
        digest
    });
    let needed = digests.into_iter().zip(parts).map(|(digest, part)| {
        Ok(Needed {
            name: part.name.clone(),
            size: part.bytes.len(),
            sha256: digest?,
        })
    });
    needed.collect()
}

/// Makes the new file of `delta` from `old` and writes it to `out`. All sources are found first, and their digests
/// verified, before anything is written.
///
/// # Errors
///
/// [`DeltaError`] if the delta is damaged, if a source is missing, or if what was made is not the file that the delta
/// describes: then everything that was written is worthless.
pub fn apply(
    old: &[Input],
    delta: &DeltaFile,
    out: &mut dyn Write,
    options: &Options<'_>,
) -> Result<(), DeltaError> {
    delta.check()?;
    let stored = old.iter().map(Input::stored_size);
    let stored = stored.fold(delta.size(), u64::saturating_add);
    let size = delta.description().new.size;
    if size > options.limits.expansion_of(stored) {
        return Err(DeltaError::TooMuch {
            path: delta.path(),
            source: options.limits.exceeded(crate::base::limits::Limit::Ratio),
        });
    }
    let sources = sources::find(delta, old, options)?;
    let task = options.progress.begin(steps::WRITING, Some(size));
    let computed = replay::replay(delta, &sources, out, options, &*task)?;
    let claimed = &delta.description().new.sha256;
    if computed != *claimed {
        return Err(DeltaError::Differs {
            path: delta.path(),
            claimed: claimed.clone(),
            computed,
        });
    }
    Ok(())
}
