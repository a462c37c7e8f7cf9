//! `images`: the images in an archive, as `docker images` lists them.

use std::collections::HashSet;
use std::io::{self, Write};

use imgtar::base::digest::ImageId;
use imgtar::base::escape;
use imgtar::document::Created;
use imgtar::image::{Image, ImageSet, Name, is_tag};
use imgtar::layer::Measures;
use imgtar::report::{EngineImages, Images, units};
use jiff::Timestamp;

use super::{Context, Exit, Failure, Loaded, exit_for};
use crate::cli::args::{ArchiveArg, Engine, EngineArg, ImageArg, JsonArg};
use crate::cli::error::note;
use crate::cli::output::{Output, Stop};
use crate::cli::render::{self, Row};

/// Said beside sizes of Docker's containerd store.
pub(super) const ESTIMATE: &str = "sizes on a disk are estimates: the containerd store counts the blocks of its file system, here those of ext4";

/// List the images in an archive
///
/// Prints one line for each name of each image, with the words and columns of `docker images`. The size is the one that
/// `docker image inspect` gives for the loaded image; to compute it, imgtar reads only the headers of uncompressed
/// layers. It hashes the layers of archives from before Docker 1.10, and prints the IDs that Docker gives such images.
/// Docker 29 prints another table, with other IDs and sizes; --engine docker29 prints exactly that table: in a pipe as
/// Docker writes it to a pipe, on a terminal with Docker's legend and colours and the columns that fit.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar images app.tar
  imgtar images --containerd app.tar
  imgtar images --engine docker29 --tree app.tar
  imgtar images --json app.tar.gz
  docker save app | imgtar images -")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    image: ImageArg,
    #[command(flatten)]
    json: JsonArg,

    /// Print whole IDs
    #[arg(long)]
    no_trunc: bool,

    /// Print IDs only, each once
    #[arg(short, long)]
    quiet: bool,

    /// Also print what engines with a containerd store call each image; with --quiet only that
    ///
    /// A Docker 29 that was not upgraded has such a store, and so have `ctr` and nerdctl. They call an image by its
    /// manifest. For an archive that is not an OCI image layout containerd makes a manifest; to compute it, imgtar
    /// hashes compressed layers. For uncompressed layers it relies on their diff IDs; where one of these is wrong,
    /// containerd uses the digest that `verify` prints.
    #[arg(long)]
    containerd: bool,

    #[command(flatten)]
    engine: EngineArg,

    #[command(flatten)]
    docker29: Docker29Args,
}

/// What is listed.
#[derive(Debug, clap::Args)]
struct Docker29Args {
    /// Also list the images that Docker hides: in Docker 29 those without a tag, in older versions those that other
    /// images were built on
    ///
    /// An archive from before Docker 1.10 has an image for every layer; later archives have only the images that are
    /// listed anyway.
    #[arg(short, long)]
    all: bool,

    /// Show the platforms of each image, as Docker 29 does with --tree
    #[arg(long)]
    tree: bool,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        if self.engine.engine != Engine::Docker26 {
            return self.as_docker29(&loaded, context);
        }
        if self.docker29.tree {
            return Err(Failure::usage("--tree belongs to Docker 29's table")
                .hint("add --engine docker29, or docker29-classic for Docker's own store"));
        }
        let picked = loaded.pick(
            &self.image,
            (!self.quiet).then_some(context.output),
            context,
        )?;
        context.upgrade(&loaded.set, &picked)?;
        if self.json.json || self.containerd {
            context.hash_members(&loaded.set, &picked)?;
        }
        if self.quiet && !self.json.json {
            context.warn_of_problems(&loaded);
            context
                .output
                .answer(|out| self.ids(out, &loaded.set, &picked))?;
            return Ok(exit_for(&picked));
        }
        let measures = context.measure(&picked)?;
        context.warn_of_layers(&picked, &measures);
        context.warn_of_problems(&loaded);
        context.output.answer(|out| {
            if self.json.json {
                return render::json(
                    out,
                    &Images::new(&loaded.archive, &loaded.set, &picked, &measures),
                );
            }
            let now = Timestamp::now();
            render::table(out, &context.limits, |row| {
                self.rows(row, &loaded.set, &picked, &measures, now)
            })
        })?;
        Ok(exit_for(&picked))
    }

    /// The table of Docker 29.
    fn as_docker29(&self, loaded: &Loaded, context: &Context) -> Result<Exit, Failure> {
        if self.quiet || self.no_trunc || self.containerd {
            return Err(Failure::usage(
                "the table of Docker 29 has no --quiet, --no-trunc or --containerd",
            )
            .hint("leave out --engine, as Docker 29 goes back to its old table for these"));
        }
        let picked = loaded.pick(&self.image, None, context)?;
        let classic = self.engine.engine == Engine::Docker29Classic;
        loaded.require_store(classic)?;
        let mut images = EngineImages::new(&loaded.archive, &loaded.set, &picked);
        let mut images = if classic {
            let measures = context.measure(&picked)?;
            context.warn_of_layers(&picked, &measures);
            images.classic(&measures)
        } else {
            context.hash_members(&loaded.set, &picked)?;
            images.measure(context.jobs, &context.progress)?;
            context.warn_of_faults(&picked, |layer| images.fault(layer));
            images.containerd()
        };
        context.warn_of_problems(loaded);
        let listed = images.len();
        images.retain(|image| self.docker29.all || !image.names.is_empty());
        if images.len() < listed {
            let hidden = units::count(listed - images.len(), "image", "images");
            note(
                context.output,
                &format!("{hidden} without a tag not shown; --all shows all"),
            );
        }
        if !classic {
            note(context.output, ESTIMATE);
        }
        let (limits, tree) = (&context.limits, self.docker29.tree);
        let terminal = Output::width();
        context.output.styled_answer(|out| {
            if tree {
                render::docker29::tree(out, &images, terminal, limits)
            } else {
                render::docker29::list(out, &images, terminal, limits)
            }
        })?;
        Ok(exit_for(&picked))
    }

    fn id(&self, image: &Image) -> String {
        let identity = image.loaded_identity();
        if self.no_trunc {
            identity.to_string()
        } else {
            identity.short().to_owned()
        }
    }

    fn shown(&self, id: &ImageId) -> String {
        if self.no_trunc {
            id.to_string()
        } else {
            id.short().to_owned()
        }
    }

    /// What images from before Docker 1.10 were built on, if that is asked for and is not listed itself; each
    /// with an image that was built on it, and its place among that one's layers.
    fn parents<'i>(
        &self,
        images: &'i [&'i Image],
    ) -> impl Iterator<Item = (ImageId, (&'i Image, usize))> {
        let all = images.iter().filter(|_| self.docker29.all);
        let own = |image: &&Image| image.upgraded_ids().map(|ids| ids.id.clone());
        let mut listed: HashSet<ImageId> = images.iter().filter_map(own).collect();
        let parents = all.flat_map(|image| {
            let parents = image.upgraded_ids().map_or(&[][..], |ids| &ids.parents);
            // The nearest first.
            let places = (0..parents.len()).rev();
            let place = |(id, place): (&ImageId, usize)| (id.clone(), (*image, place));
            parents.iter().zip(places).map(place).collect::<Vec<_>>()
        });
        parents.filter(move |(id, _)| listed.insert(id.clone()))
    }

    /// What a containerd store calls an image.
    fn containerd_id(&self, set: &ImageSet, image: &Image) -> String {
        match set.containerd_name(image) {
            Some(name) if self.no_trunc => name.id.to_string(),
            Some(name) => name.id.short().to_owned(),
            None => "<unknown>".to_owned(),
        }
    }

    fn ids(&self, out: &mut dyn Write, set: &ImageSet, images: &[&Image]) -> Result<(), Stop> {
        let mut printed = HashSet::new();
        for image in images {
            let id = if self.containerd {
                self.containerd_id(set, image)
            } else {
                self.id(image)
            };
            let line = escape::text(&id).into_owned();
            if printed.insert(line.clone()) {
                writeln!(out, "{line}")?;
            }
        }
        for (id, _) in self.parents(images).filter(|_| !self.containerd) {
            let line = self.shown(&id);
            if printed.insert(line.clone()) {
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }

    fn rows(
        &self,
        row: Row<'_>,
        set: &ImageSet,
        images: &[&Image],
        measures: &Measures,
        now: Timestamp,
    ) -> io::Result<()> {
        let mut columns = vec!["REPOSITORY", "TAG", "IMAGE ID"];
        columns.extend(self.containerd.then_some("CONTAINERD ID"));
        columns.extend(["CREATED", "SIZE"]);
        row(&columns)?;
        for image in images {
            let mut ids = vec![self.id(image)];
            if self.containerd {
                ids.push(self.containerd_id(set, image));
            }
            let created = image.view().map_or_else(
                || "N/A".to_owned(),
                |view| ago(view.created.as_ref().map(Created::timestamp), now),
            );
            let size = measures
                .image_size(image)
                .map_or_else(|| "N/A".into(), units::size);
            let mut named = |repository: &str, tag: &str| {
                let (repository, tag) = (escape::text(repository), escape::text(tag));
                let mut cells: Vec<&str> = vec![&repository, &tag];
                let ids: Vec<_> = ids.iter().map(|id| escape::text(id)).collect();
                cells.extend(ids.iter().map(|id| &**id));
                cells.extend([&*created, &*size]);
                row(&cells)
            };
            if image.names.is_empty() {
                named("<none>", "<none>")?;
            }
            for name in &image.names {
                match name {
                    Name::Reference(reference) => named(
                        &reference.familiar_repository(),
                        reference.tag().unwrap_or("<none>"),
                    )?,
                    Name::Bare(tag) if is_tag(tag) => named("<none>", tag)?,
                    // A name that no engine takes.
                    Name::Bare(name) => named(name, "<none>")?,
                }
            }
        }
        for (id, (image, place)) in self.parents(images) {
            let created = image.view().and_then(|view| view.history.get(place));
            let created = created.and_then(|step| step.created.as_ref());
            let created = ago(created.map(Created::timestamp), now);
            let below = image.layers.iter().take(place + 1);
            let size = measures.size_of(below);
            let size = size.map_or_else(|| "N/A".into(), units::size);
            let id = self.shown(&id);
            let mut cells = vec!["<none>", "<none>", &id];
            cells.extend(self.containerd.then_some("<unknown>"));
            cells.extend([&*created, &*size]);
            row(&cells)?;
        }
        Ok(())
    }
}

/// The zero of Go's `time.Time`, the beginning of the year 1: Docker shows no age for it.
const GO_ZERO: i64 = -62_135_596_800;
/// The longest Go `time.Duration` in whole seconds: Docker shows an older image as 292 years old.
const LONGEST: i64 = i64::MAX / 1_000_000_000;

/// The age of an image in the words of `docker images` (docker/cli `formatter/image.go`): an image
/// dated 1970 or 1980, as many builders date theirs, is that many years old. `docker history` has
/// another rule. A config without a time counts as 1970, as Docker 26.1 counts it.
fn ago(created: Option<Timestamp>, now: Timestamp) -> String {
    let seconds = created.map_or(0, Timestamp::as_second);
    if seconds == GO_ZERO {
        return "N/A".to_owned();
    }
    let age = now.as_second().saturating_sub(seconds).min(LONGEST);
    format!("{} ago", units::age(age))
}

#[cfg(test)]
mod tests {
    use super::ago;

    /// What `docker images` of 20.10 and 26.1 printed in November 2026.
    #[test]
    fn old_images_have_an_age() {
        let now = "2026-11-27T12:00:00Z".parse().expect("a time");
        for (created, want) in [
            ("1970-01-01T00:00:00Z", "56 years ago"),
            ("1970-01-01T00:00:01Z", "56 years ago"),
            ("1980-01-01T00:00:01Z", "46 years ago"),
            ("1981-06-01T00:00:00Z", "45 years ago"),
            ("2000-01-01T00:00:00Z", "26 years ago"),
            ("1600-01-01T00:00:00Z", "292 years ago"),
            ("0001-01-01T00:00:00Z", "N/A"),
            ("9000-01-01T00:00:00Z", "Less than a second ago"),
        ] {
            let time = created.parse().expect("a time");
            assert_eq!(ago(Some(time), now), want, "{created}");
        }
        assert_eq!(ago(None, now), "56 years ago");
    }
}
