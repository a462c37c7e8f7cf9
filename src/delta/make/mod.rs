//! Making a delta: the new file is walked from its beginning to its end, and each piece of it is described by what
//! the sources have.

use std::collections::HashMap;

use super::DeltaError;
use super::anatomy::{Anatomy, Inside, Part, PartLooks, decoded};
use super::description::{How, NewFile, NewImage, PartFacts};
use super::emit::{Emitter, SourcePlace};
use super::entries::{Keys, Walked};
use super::old::Old;
use super::patch::Effort;
use crate::base::constants::BUFFER;
use crate::base::jobs;
use crate::base::options::Options;
use crate::base::progress::{Progress, Silent, Task, steps};
use crate::source::remake::{self, FindOptions, Recipe, Remade};
use crate::source::{Compression, Slice, Span};

mod changed;
mod content;

/// How many different recipes a delta has at most; one archive rarely has more than two.
const RECIPES: usize = 256;

/// How many parts, and how many images, the description lists.
const LISTED: usize = 1000;

/// How large a blob that is not a layer has to be for a delta to need it, in bytes. Smaller ones are in one layout of an
/// archive and not in another, such as what Docker writes for readers from before 1.10, and they cost little.
const SMALLEST_BLOB: u64 = 16 << 10;

/// What is known of a delta before its streams are compressed.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) made: super::streams::MadeStreams,
    pub(super) new: NewFile,
    /// The parts of the old archives that it refers to.
    pub(super) used: Vec<u32>,
    pub(super) recipes: Vec<Recipe>,
    pub(super) parts: Vec<PartFacts>,
}

/// Writes the program that makes the new file of the old ones.
pub(super) fn program(
    old: &mut Old,
    new: &Anatomy,
    effort: Effort,
    options: &Options<'_>,
) -> Result<Program, DeltaError> {
    let total = new.input.stored_size();
    let task = options.progress.begin(steps::COMPARING, Some(total));
    let (described, made) = jobs::both(
        || describe(new),
        || {
            let mut maker = Maker {
                old,
                is_indexed: false,
                is_recompressed: false,
                effort,
                options,
                task: &*task,
                emit: Emitter::new(),
                used: Vec::new(),
                numbers: HashMap::new(),
                recipes: Vec::new(),
                parts: Vec::new(),
            };
            maker.whole(new)?;
            let made = maker.emit.finish()?;
            Ok::<_, DeltaError>((made, maker.used, maker.recipes, maker.parts))
        },
    );
    let (made, used, recipes, parts) = made?;
    Ok(Program {
        made,
        new: described?,
        used,
        recipes,
        parts,
    })
}

/// What the new file is, and its digest.
fn describe(new: &Anatomy) -> Result<NewFile, DeltaError> {
    let stored = new.input.stored();
    let images = new.images().map(|set| {
        let images = set.images.iter().take(LISTED).map(|image| NewImage {
            id: image.identity.to_string(),
            references: image.names.iter().map(ToString::to_string).collect(),
        });
        images.collect()
    });
    Ok(NewFile {
        name: stored.path().to_owned(),
        size: stored.len(),
        sha256: super::same::digest(&stored.whole())?,
        images: images.unwrap_or_default(),
        converted: None,
    })
}

struct Maker<'m> {
    old: &'m mut Old,
    is_indexed: bool,
    /// Whether everything goes through the recipe of the file as a whole.
    is_recompressed: bool,
    effort: Effort,
    options: &'m Options<'m>,
    task: &'m dyn Task,
    emit: Emitter,
    /// The number of the old part that each source of the delta is.
    used: Vec<u32>,
    /// And the other way round.
    numbers: HashMap<u32, u32>,
    recipes: Vec<Recipe>,
    parts: Vec<PartFacts>,
}

impl Maker<'_> {
    /// The whole file.
    fn whole(&mut self, new: &Anatomy) -> Result<(), DeltaError> {
        let stored = new.input.stored().whole();
        let name = "the whole file".to_owned();
        if let Some(part) = self.old.equal_part(&stored)? {
            self.copied(name, part, &stored);
            return Ok(());
        }
        if new.input.compression() == Compression::None {
            return self.inside(new);
        }
        let content = (!new.input.has_trailing_data()).then(|| new.whole());
        let remade = match &content {
            Some(content) => self.recipe(&stored, content)?,
            None => None,
        };
        match remade {
            Some(remade) => {
                self.begin(remade)?;
                self.is_recompressed = true;
                self.inside(new)?;
                self.emit.finish_recipe();
                Ok(())
            }
            None => self.travels(name, How::Whole, &stored, new.whole().len()),
        }
    }

    /// What is in the file, once a compression around it is undone.
    fn inside(&mut self, new: &Anatomy) -> Result<(), DeltaError> {
        let whole = new.whole();
        match &new.inside {
            Inside::Archive(parts) => self.archive(&whole, parts),
            Inside::Tar => {
                let facts = self.content("the whole file".to_owned(), &whole)?;
                self.list(facts);
                Ok(())
            }
            Inside::Bytes => self.bytes(&whole),
        }
    }

    /// A file that is not a tar: compared with all of each old one that is not a tar either, or new.
    fn bytes(&mut self, whole: &Slice) -> Result<(), DeltaError> {
        let mut facts = PartFacts {
            name: "the whole file".to_owned(),
            size: whole.len(),
            expanded: whole.len(),
            ..PartFacts::default()
        };
        self.index()?;
        let all = Walked {
            header: 0,
            body: 0,
            size: whole.len(),
            keys: Keys::of_no_tar(),
        };
        self.batch(whole, &[all], &mut facts)?;
        self.list(facts);
        Ok(())
    }

    fn archive(&mut self, whole: &Slice, parts: &[Part]) -> Result<(), DeltaError> {
        let mut rest = PartFacts {
            name: "everything else".to_owned(),
            ..PartFacts::default()
        };
        let mut at = 0;
        for part in parts {
            let span = part.bytes.span();
            let begin = span.offset - whole.span().offset;
            if begin < at {
                // Two members share bytes: such an archive is written as it is.
                continue;
            }
            let header = whole.slice(Span {
                offset: at,
                len: begin - at,
            });
            rest.headers += header.len();
            self.part(&header, part, &mut rest)?;
            at = begin + span.len;
        }
        let tail = whole.slice(Span {
            offset: at,
            len: whole.len() - at,
        });
        rest.headers += tail.len();
        self.gap(&tail)?;
        rest.size += rest.headers;
        rest.expanded = rest.size;
        self.list(rest);
        Ok(())
    }

    /// A member of an archive and what is before it.
    fn part(
        &mut self,
        header: &Slice,
        part: &Part,
        rest: &mut PartFacts,
    ) -> Result<(), DeltaError> {
        let bytes = &part.bytes;
        let equal = match part.looks {
            PartLooks::Other if !part.is_named_by_digest || bytes.len() < SMALLEST_BLOB => None,
            _ => self.old.equal_part(bytes)?,
        };
        if let Some(equal) = equal {
            self.gap(header)?;
            self.copied(part.name.clone(), equal, bytes);
            self.task.advance(bytes.len());
            return Ok(());
        }
        match part.looks {
            PartLooks::Tar => {
                self.gap(header)?;
                let facts = self.content(part.name.clone(), bytes)?;
                self.list(facts);
            }
            PartLooks::Compressed(compression) => {
                self.gap(header)?;
                self.compressed(part, compression)?;
            }
            PartLooks::Other => {
                self.gap(header)?;
                rest.size += bytes.len();
                rest.new += bytes.len();
                rest.new_files += 1;
                self.emit.data(bytes)?;
                self.task.advance(bytes.len());
            }
        }
        Ok(())
    }

    /// Headers and padding of an archive: zeros first, as they follow a body.
    fn gap(&mut self, gap: &Slice) -> Result<(), DeltaError> {
        let mut buf = vec![0; BUFFER];
        let mut zeros = 0;
        while zeros < gap.len() {
            let n = gap.read_at(&mut buf, zeros)?;
            let run = buf[..n].iter().take_while(|byte| **byte == 0).count();
            zeros += run as u64;
            if run < n {
                break;
            }
        }
        self.emit.zeros(zeros);
        self.emit.data(&gap.slice(Span {
            offset: zeros,
            len: gap.len() - zeros,
        }))
    }

    /// All of a part of the new file is a part of an old one.
    fn copied(&mut self, name: String, part: u32, bytes: &Slice) {
        let source = self.source(part);
        self.emit
            .copy(SourcePlace { source, offset: 0 }, bytes.len());
        self.list(PartFacts {
            name,
            size: bytes.len(),
            expanded: bytes.len(),
            same: bytes.len(),
            how: How::Copied,
            ..PartFacts::default()
        });
    }

    /// The bytes travel as they are.
    fn travels(
        &mut self,
        name: String,
        how: How,
        bytes: &Slice,
        expanded: u64,
    ) -> Result<(), DeltaError> {
        self.emit.stored(bytes)?;
        self.task.advance(bytes.len());
        self.list(PartFacts {
            name,
            size: bytes.len(),
            expanded,
            new: bytes.len(),
            how,
            ..PartFacts::default()
        });
        Ok(())
    }

    /// Lists a part; those of an archive with very many are added up.
    fn list(&mut self, facts: PartFacts) {
        if self.parts.len() < LISTED {
            self.parts.push(facts);
        } else if let Some(last) = self.parts.last_mut() {
            "other parts".clone_into(&mut last.name);
            last.add(&facts);
        }
    }

    /// The number of an old part among the sources of the delta.
    fn source(&mut self, part: u32) -> u32 {
        let used = &mut self.used;
        *self.numbers.entry(part).or_insert_with(|| {
            used.push(part);
            u32::try_from(used.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn recipe(&self, stored: &Slice, content: &Slice) -> Result<Option<Remade>, DeltaError> {
        let how = FindOptions {
            jobs: self.options.jobs,
        };
        remake::find(stored, content, &how).map_err(DeltaError::Spool)
    }

    fn begin(&mut self, remade: Remade) -> Result<(), DeltaError> {
        // Those of one archive are usually all the same.
        let known = self.recipes.iter().rposition(|it| *it == remade.recipe);
        let at = known.unwrap_or_else(|| {
            self.recipes.push(remade.recipe);
            self.recipes.len() - 1
        });
        let at = u32::try_from(at).unwrap_or(u32::MAX);
        self.emit.begin(at, &remade.corrections)
    }

    /// A compressed layer that no source has: by its content if it can be compressed again.
    fn compressed(&mut self, part: &Part, compression: Compression) -> Result<(), DeltaError> {
        let stored = &part.bytes;
        let name = part.name.clone();
        let Some(content) = decoded(stored, compression, &*Silent.begin("", None))? else {
            return self.travels(name, How::Damaged, stored, 0);
        };
        let expanded = content.bytes.len();
        if self.is_recompressed {
            // Recipes are not nested: what is compressed twice is compressed again on the outside only.
            return self.travels(name, How::Whole, stored, expanded);
        }
        let Some(remade) = self.recipe(stored, &content.bytes)? else {
            return self.travels(name, How::Whole, stored, expanded);
        };
        let is_dear = remade.corrections.len() as u64 >= stored.len() / 2;
        if is_dear || self.recipes.len() >= RECIPES {
            return self.travels(name, How::Dearer, stored, expanded);
        }
        self.begin(remade)?;
        let facts = self.content(name, &content.bytes)?;
        self.emit.finish_recipe();
        self.list(PartFacts {
            size: stored.len(),
            how: How::Recompressed,
            ..facts
        });
        Ok(())
    }

    /// Indexes the old archives, once something has to be compared with what is in them.
    fn index(&mut self) -> Result<(), DeltaError> {
        if !self.is_indexed {
            self.old.index(self.options)?;
            self.is_indexed = true;
        }
        Ok(())
    }
}
