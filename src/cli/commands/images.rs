//! `images`: the images in an archive, as `docker images` lists them.

use imgtar::image::{Image, Name};
use imgtar::layer::Measures;
use imgtar::report::{Images, units};

use super::{Context, Exit, Failure, exit_for};
use crate::cli::args::{ArchiveArg, ImageArg, JsonArg};
use crate::cli::output::escaped;
use crate::cli::render::{self, Columns};

/// List the images in an archive
///
/// One line for each name of each image, with the words and columns of `docker images`. The size is
/// the one that `docker image inspect` gives for the loaded image. Uncompressed layers are not read
/// for it, only their headers are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar images app.tar
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
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let picked = loaded.pick(&self.image, (!self.quiet).then_some(context.output))?;
        let answer = if self.json.json {
            let measures = context.measure(&picked)?;
            context.warn_of_layers(&picked, &measures);
            render::json(&Images::new(
                &loaded.archive,
                &loaded.set,
                &picked,
                &measures,
            ))
        } else if self.quiet {
            self.ids(&picked)
        } else {
            let measures = context.measure(&picked)?;
            context.warn_of_layers(&picked, &measures);
            self.table(&picked, &measures)
        };
        context.warn_of_problems(&loaded);
        context.output.answer(&answer)?;
        Ok(exit_for(&picked))
    }

    fn id(&self, image: &Image) -> String {
        if self.no_trunc {
            image.identity.to_string()
        } else {
            image.identity.short().to_owned()
        }
    }

    fn ids(&self, images: &[&Image]) -> String {
        let mut ids: Vec<String> = images.iter().map(|image| self.id(image) + "\n").collect();
        ids.dedup();
        ids.concat()
    }

    fn table(&self, images: &[&Image], measures: &Measures) -> String {
        let now = jiff::Timestamp::now();
        let mut columns = Columns::default();
        columns.row(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
        for image in images {
            let id = self.id(image);
            let created = image.view().and_then(|view| view.created.as_ref());
            let created =
                created.map_or_else(|| "N/A".into(), |c| super::history::ago(c.timestamp(), now));
            let size = measures
                .image_size(image)
                .map_or_else(|| "N/A".into(), units::size);
            let mut row = |repository: &str, tag: &str| {
                columns.row(&[
                    &escaped(repository),
                    &escaped(tag),
                    &escaped(&id),
                    &created,
                    &size,
                ]);
            };
            if image.names.is_empty() {
                row("<none>", "<none>");
            }
            for name in &image.names {
                match name {
                    Name::Reference(reference) => {
                        row(
                            &reference.familiar_repository(),
                            reference.tag().unwrap_or("<none>"),
                        );
                    }
                    Name::Bare(tag) => row("<none>", tag),
                }
            }
        }
        columns.render()
    }
}
