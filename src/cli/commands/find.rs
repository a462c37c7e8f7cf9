//! `find`: entries of all layers.

use imgtar::check::secrets::ImageSecrets;
use imgtar::image::Image;
use imgtar::report::{
    FileType, Find, FindQuery, FindSecrets, FindState, PathPattern, SecretRow, SecretsQuery,
    SizeBound, units,
};
use imgtar::tree::Fates;

use super::{Context, Exit, Failure, Loaded};
use crate::cli::args::{ArchiveArg, ImageOptionArg, JsonArg};
use crate::cli::error::note;
use crate::cli::render;

/// Find entries in all layers, including those that later layers replaced or deleted
///
/// Prints one row for each entry whose path matches one of the patterns: the layer, what became of the
/// entry, its size and its path. Deleted files still ship with the image: `cat --layer N` prints them.
/// Reads headers only. Exits with 1 if nothing matches.
///
/// With --secrets it reads the files and the config instead, and prints what looks like a private key, a token or a
/// password, masked. `docs/secrets.md` says what it looks for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar find app.tar '*.pem' '*.key'
  imgtar find app.tar '/etc/**/*.conf' --layer 3
  imgtar find app.tar '*' --deleted --size +10MB
  imgtar find app.tar --regex '(^|/)\\.git/'
  imgtar find app.tar --secrets
  imgtar find app.tar --secrets --deleted

A pattern without a slash is compared with the last name of a path, one with a slash with the whole
path. * and ? do not match a slash, ** does.")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,

    /// What paths have to match: globs, or regular expressions with --regex
    #[arg(value_name = "PATTERN", required_unless_present = "secrets")]
    patterns: Vec<String>,

    #[command(flatten)]
    image: ImageOptionArg,

    #[command(flatten)]
    json: JsonArg,

    /// Find what looks like a secret: in the files of all layers, in environment, labels and history
    ///
    /// PATTERNs, --layer and --deleted then say which files to look at; the config is searched in any case.
    #[arg(long, conflicts_with_all = ["types", "size"])]
    secrets: bool,

    /// Read the patterns as regular expressions, which match anywhere in a path
    #[arg(long)]
    regex: bool,

    /// Find only these types: file, dir, symlink, hardlink, char, block, fifo, or their first letters
    #[arg(
        long = "type",
        value_name = "TYPES",
        value_delimiter = ',',
        value_parser = file_type
    )]
    types: Vec<FileType>,

    /// Find only files of a size: +10MB for more, -4KiB for less, 1000 for exactly that many bytes
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = clap::value_parser!(SizeBound))]
    size: Option<SizeBound>,

    /// Find only entries of one layer; 0 is the base layer
    #[arg(long, value_name = "N")]
    layer: Option<usize>,

    /// Find only what a later layer deleted
    #[arg(long)]
    deleted: bool,
}

/// Reads a type by its name or the letter that `find -type` has for it.
fn file_type(text: &str) -> Result<FileType, String> {
    Ok(match text {
        "file" | "f" => FileType::File,
        "dir" | "d" => FileType::Dir,
        "symlink" | "l" | "s" => FileType::Symlink,
        "hardlink" | "h" => FileType::Hardlink,
        "char" | "c" => FileType::Char,
        "block" | "b" => FileType::Block,
        "fifo" | "p" => FileType::Fifo,
        _ => {
            return Err(
                "the types are file, dir, symlink, hardlink, char, block and fifo".to_owned(),
            );
        }
    })
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let query = self.query()?;
        let loaded = context.load(&self.archive)?;
        let image = loaded.pick_to_read(&self.image.one(), context)?;
        if let Some(index) = self.layer {
            super::ls::layer(image, index)?;
        }
        if self.secrets {
            return self.secrets(query, &loaded, image, context);
        }
        let fates = Fates::merge_names(image, &context.options())?;
        let found = Find::new(&fates, &query);
        context.warn_of_image(&loaded, image);
        let (mut all, mut hidden) = (0_usize, 0_usize);
        let layers = image.layers.len();
        context.output.answer(|out| {
            if self.json.json {
                let printed = render::json(out, &found);
                all = found.described();
                return printed;
            }
            let mut rows = render::FindRows::new(out, layers);
            for entry in found.entries() {
                all += 1;
                // A directory that a later layer lists again keeps what is in it.
                let is_lost = entry.state != FindState::Live && entry.kind != FileType::Dir;
                hidden += usize::from(is_lost);
                rows.row(&entry)?;
            }
            Ok(())
        })?;
        if all == 0 {
            let what = if self.patterns.len() == 1 {
                format!("no entry of any layer matches `{}`", self.patterns[0])
            } else {
                "no entry of any layer matches any of the patterns".to_owned()
            };
            note(context.output, &what);
            return Ok(Exit::No);
        }
        if hidden > 0 {
            let path = loaded.archive.path();
            let hidden = units::count(
                hidden,
                "of these entries is hidden by a later layer",
                "of these entries are hidden by later layers",
            );
            let message =
                format!("{hidden}; `imgtar cat --layer N {path} PATH` prints such a file");
            note(context.output, &message);
        }
        Ok(Exit::Done)
    }

    fn secrets(
        &self,
        query: FindQuery,
        loaded: &Loaded,
        image: &Image,
        context: &Context,
    ) -> Result<Exit, Failure> {
        let (found, _) = ImageSecrets::of(image, &context.options())?;
        let query = SecretsQuery {
            patterns: query.patterns,
            layer: query.layer,
            deleted: query.deleted,
        };
        let report = FindSecrets::new(image, &found, &query);
        context.warn_of_image(loaded, image);
        // Keys of tests are listed for programs; people would stop reading.
        let shown = || report.secrets.iter().filter(|row| !row.sample);
        context.output.answer(|out| {
            if self.json.json {
                return render::json(out, &report);
            }
            Ok(render::secrets(out, image.layers.len(), shown())?)
        })?;
        let samples = report.secrets.len() - shown().count();
        let samples = match samples {
            0 => String::new(),
            n => format!(
                "; {n} in the documentation and tests of packages {} not shown, --json lists them",
                if n == 1 { "is" } else { "are" }
            ),
        };
        let all = shown().count() + report.dropped;
        if all == 0 {
            let message = format!("nothing looks like a secret{samples}");
            note(context.output, &message);
            return Ok(Exit::No);
        }
        let count = units::count(all, "likely secret", "likely secrets");
        let dropped = match report.dropped {
            0 => String::new(),
            n => format!(", {n} of which are not listed"),
        };
        let is_hidden = |row: &&SecretRow| row.state.is_some_and(|state| state != FindState::Live);
        let how = match (shown().filter(is_hidden).count(), loaded.archive.path()) {
            (0, _) if shown().all(|row| row.path.is_none()) => String::new(),
            (0, path) => format!("; `imgtar cat {path} PATH` prints a file"),
            (hidden, path) => {
                let lies = if hidden == 1 { "lies" } else { "lie" };
                format!(
                    ", {hidden} of which {lies} in files that later layers hide; `imgtar cat --layer N {path} PATH` prints such a file"
                )
            }
        };
        note(context.output, &format!("{count}{dropped}{how}{samples}"));
        Ok(Exit::Done)
    }

    fn query(&self) -> Result<FindQuery, Failure> {
        let read = |text: &String| {
            let pattern = if self.regex {
                PathPattern::regex(text)
            } else {
                PathPattern::glob(text)
            };
            pattern.map_err(|error| {
                let kind = if self.regex {
                    "a regular expression"
                } else {
                    "a glob"
                };
                let failure = Failure::usage(format!("`{text}` is not {kind}: {error}"));
                if self.regex {
                    failure.hint("without --regex patterns are globs, such as '*.pem'")
                } else {
                    failure.hint("a backslash before a special character takes it as it is; --regex reads regular expressions")
                }
            })
        };
        Ok(FindQuery {
            patterns: self.patterns.iter().map(read).collect::<Result<_, _>>()?,
            types: self.types.clone(),
            size: self.size,
            layer: self.layer,
            deleted: self.deleted,
        })
    }
}
