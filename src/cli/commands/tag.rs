//! `tag`: other names for an image.

use imgtar::Image;
use imgtar::image::{Reference, SelectError, Selector};
use imgtar::output::{ArchiveGraph, ArchiveLayout, RenameError};

use super::{Context, Exit, Failure, Loaded};
use crate::cli::archive_output::{self, CarryOutputArg};
use crate::cli::args::{ArchiveArg, OneImageArg};
use crate::cli::carried::Carried;

/// Add names to an image, or remove names
///
/// Everything else is copied as it is, without being verified: `verify` does that. IDs do not change. A name that
/// another image of the archive has moves to this one. Names are written so that every engine gives the image
/// that name: in manifest.json, and in index.json in full and as a tag.
///
/// If there are several arguments and the first is an image of the archive, it is the image that gets the names;
/// otherwise all arguments are new names for the only image.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar tag app.tar registry.example.com/app:1.2 -o tagged.tar
  imgtar tag all.tar app:1.2 app:latest -o all-tagged.tar
  imgtar tag app.tar --remove app:old -o app-new.tar
  imgtar tag app.tar app:2 --only -o renamed.tar")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    /// The new names; if the archive holds several images, first the one that gets them
    #[arg(value_name = "REF", required_unless_present = "remove")]
    names: Vec<String>,

    /// Which image gets the names; then everything after ARCHIVE is a name
    #[arg(short, long, value_name = "IMAGE", value_parser = clap::value_parser!(Selector))]
    image: Option<Selector>,

    /// Remove this name from the image that has it; can be given several times
    #[arg(long, value_name = "REF", value_parser = archive_output::tag)]
    remove: Vec<Reference>,

    /// Remove all other names of the image
    #[arg(long, requires = "names")]
    only: bool,

    #[command(flatten)]
    output: CarryOutputArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        loaded.require_images()?;
        loaded.require_one_description()?;
        let (image, names) = match &self.names[..] {
            names if self.image.is_some() => {
                loaded.know_ids(self.image.as_ref(), context)?;
                let images = loaded.set.pick_all(self.image.as_ref(), None)?;
                let image = one_root(&images, self.image.clone(), &loaded, context)?;
                (Some(image), names)
            }
            [first, rest @ ..] if !rest.is_empty() => match first.parse::<Selector>() {
                Ok(selector) => {
                    loaded.know_ids(Some(&selector), context)?;
                    match loaded.set.pick_all(Some(&selector), None) {
                        Ok(images) => (
                            Some(one_root(&images, Some(selector), &loaded, context)?),
                            rest,
                        ),
                        Err(SelectError::Unknown { .. }) => (None, &self.names[..]),
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(_) => (None, &self.names[..]),
            },
            names => (None, names),
        };
        let names: Vec<Reference> = names
            .iter()
            .map(|text| {
                archive_output::tag(text).map_err(|why| {
                    Failure::usage(format!("`{text}` cannot be a name: {why}"))
                        .hint("write NAME, NAME:TAG or HOST/NAME:TAG, in lower case")
                })
            })
            .collect::<Result<_, _>>()?;
        let names = archive_output::names(&names);
        let remove = archive_output::names(&self.remove);
        let image = match image {
            Some(image) => Some(image),
            None if names.is_empty() => None,
            None => {
                let images: Vec<&Image> = loaded.set.images.iter().collect();
                let one = one_root(&images, None, &loaded, context);
                Some(one.map_err(|failure| {
                    let path = loaded.archive.path();
                    failure.hint(format!(
                        "the image comes before its new names, as in: imgtar tag {path} @0 {} -o FILE",
                        self.names[0]
                    ))
                })?)
            }
        };
        let layout = ArchiveLayout::of(loaded.set.layout);
        let destination = self.output.open(layout, context)?;
        let (graph, mut changes) = ArchiveGraph::of(&loaded.archive, &loaded.set)?;
        let mut graph = graph
            .remove_names(&remove)
            .map_err(|error| refused(&error, loaded.archive.path()))?;
        if let Some(image) = image {
            let (renamed, more) = graph.add_names(image, &names, self.only);
            graph = renamed;
            changes.extend(more);
        }
        let carried = Carried {
            verify: false,
            ..Carried::new("tag", layout, vec![&loaded.set], &changes)
        };
        carried.write(&graph, destination, &self.output, context)
    }
}

/// One of these images, if all platforms of one index have its names together; otherwise the only one.
fn one_root<'l>(
    images: &[&'l Image],
    selector: Option<Selector>,
    loaded: &'l Loaded,
    context: &Context,
) -> Result<&'l Image, Failure> {
    let index = |image: &Image| image.manifest.as_ref().and_then(|m| m.index.clone());
    let first = images.first().and_then(|image| index(image));
    if first.is_some() && images.iter().all(|image| index(image) == first) {
        return Ok(images[0]);
    }
    let arg = OneImageArg::new(selector, None);
    loaded.pick_to_write(&arg, context)
}

/// What cannot be done with the archive of this path, and what to do instead.
pub(super) fn refused(error: &RenameError, path: &str) -> Failure {
    let hint = match error {
        RenameError::SeveralPlatforms(_) => format!(
            "write one to an archive of its own, and change that: imgtar select {path} --platform PLATFORM -o ONE"
        ),
        _ => format!("`imgtar images {path}` lists the names that there are"),
    };
    Failure::input(error.to_string()).hint(hint)
}
