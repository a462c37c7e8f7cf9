//! Which image an image was built from.

use super::steps::SHELL;
use super::{DockerfileInstruction, DockerfileOptions, DockerfileSource};
use crate::document::dockerfile::created_by::CreatedBy;
use crate::image::Image;

/// The label and the annotation that name the base image (OCI image-spec `annotations.md`).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// How long nothing happens between two builds at least, in seconds.
const PAUSE: i64 = 3600;

/// An image that another was built from for certain: its layers are the lowest ones of it.
#[derive(Clone, Copy, Debug)]
pub struct KnownBase<'b> {
    /// The image.
    pub image: &'b Image,
    /// How many steps of the other image's history are its own.
    pub(super) steps: usize,
}

impl<'b> KnownBase<'b> {
    /// The one of `candidates` with the most layers whose diff IDs are the lowest ones of `image`; `None` if it was
    /// built from none of them. An image without layers is no base.
    pub fn of(image: &Image, candidates: impl IntoIterator<Item = &'b Image>) -> Option<Self> {
        let is_base = |base: &&Image| {
            let count = base.layers.len();
            // One chain ID stands for all diff IDs below it.
            count > 0
                && base.identity != image.identity
                && image
                    .layers
                    .get(count - 1)
                    .is_some_and(|layer| layer.chain_id.is_some())
                && base.chain_id() == image.layers[count - 1].chain_id.as_ref()
        };
        let mut found: Option<&Image> = None;
        for base in candidates.into_iter().filter(is_base) {
            if found.is_none_or(|found| better(base, found)) {
                found = Some(base);
            }
        }
        found.map(|base| Self {
            image: base,
            steps: shared_steps(image, base),
        })
    }

    /// What `FROM` calls it: its first name, else its ID.
    pub fn reference(&self) -> String {
        match self.image.names.first() {
            Some(name) => name.to_string(),
            None => self.image.loaded_identity().to_string(),
        }
    }
}

/// Whether a base is the better one: with more layers, or with more steps in its history, or with a name.
fn better(base: &Image, than: &Image) -> bool {
    let key = |image: &Image| {
        let steps = image.view().map_or(0, |config| config.history.len());
        (image.layers.len(), steps, !image.names.is_empty())
    };
    key(base) > key(than)
}

/// How many steps of `image` are those of `base`: the same ones, or all up to the base's last layer.
fn shared_steps(image: &Image, base: &Image) -> usize {
    let (own, theirs) = (image.pairing(), base.pairing());
    let pairs = own.steps.iter().zip(&theirs.steps);
    let same = pairs.take_while(|(a, b)| a.entry == b.entry).count();
    if same == theirs.steps.len() && same > 0 {
        return same;
    }
    let layers = base.layers.len();
    let last = own
        .steps
        .iter()
        .rposition(|step| step.layer.is_some_and(|layer| layer < layers));
    last.map_or(0, |last| last + 1)
}

/// What an image says about its base.
#[derive(Clone, Debug)]
struct NamedBase {
    /// What `FROM` calls it.
    reference: String,
}

impl NamedBase {
    /// The base that annotations or labels name.
    fn of(image: &Image) -> Option<Self> {
        let annotations = image
            .manifest
            .as_ref()
            .map_or(&[][..], |manifest| &manifest.annotations);
        let labels = image.view().map_or(&[][..], |config| &config.run.labels);
        let get = |wanted: &str| {
            let mut all = annotations.iter().chain(labels);
            all.find(|(key, _)| key == wanted)
                .map(|(_, value)| value.as_str())
        };
        let name = get(BASE_NAME).filter(|name| is_reference(name))?;
        let digest = get(BASE_DIGEST).filter(|digest| is_reference(digest) && !name.contains('@'));
        Some(Self {
            reference: match digest {
                Some(digest) => format!("{name}@{digest}"),
                None => name.to_owned(),
            },
        })
    }
}

/// Whether a text can stand behind `FROM`.
fn is_reference(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    !text.is_empty() && text.chars().all(known)
}

/// After how many steps of its history the build of `image` itself seems to begin: the last place where a
/// command is set and something else follows, or where time passed. `None` if nothing looks like that.
fn boundary(image: &Image) -> Option<usize> {
    let steps = image.pairing().steps;
    let ends = |at: usize| {
        let what = CreatedBy::read(steps[at].entry, SHELL);
        matches!(what, CreatedBy::Instruction("CMD" | "ENTRYPOINT", _))
    };
    let time = |at: usize| Some(steps[at].entry.created.as_ref()?.timestamp().as_second());
    let paused = |at: usize| {
        let (before, now) = (time(at - 1)?, time(at)?);
        // Times from before 1980 are made up.
        (before > 315_532_800 && now.checked_sub(before)? >= PAUSE).then_some(())
    };
    let begins = |at: &usize| ends(at - 1) && !ends(*at) || paused(*at).is_some();
    (1..steps.len()).rev().find(begins)
}

/// Where the Dockerfile begins.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) from: DockerfileInstruction,
    /// How many steps and layers lie before it.
    pub(super) steps: usize,
    pub(super) layers: usize,
    /// Where another image's build seems to begin.
    pub(super) guess: Option<usize>,
}

/// What `FROM` says.
pub(super) fn begin(image: &Image, options: DockerfileOptions<'_>) -> Begin {
    let mut from = DockerfileInstruction::new("FROM", DockerfileSource::History);
    let scratch = Some("FROM scratch".to_owned());
    let guess = boundary(image);
    if let Some(base) = options.base {
        let layers = base.image.layers.len();
        from.text = Some(format!("FROM {}", base.reference()));
        from.source = DockerfileSource::Base;
        from.notes.push(match layers {
            1 => "certain: the lowest layer is that of this image".to_owned(),
            _ => format!("certain: the {layers} lowest layers are those of this image"),
        });
        if base
            .image
            .view()
            .is_some_and(|config| !config.run.on_build.is_empty())
        {
            let what = "the base has ONBUILD triggers, which run again here";
            from.lossy.push(what.to_owned());
        }
        return Begin {
            from,
            steps: base.steps,
            layers,
            guess: None,
        };
    }
    let named = NamedBase::of(image);
    if let Some(named) = named {
        let reference = &named.reference;
        if let Some(steps) = guess.filter(|_| !options.context) {
            let pairing = image.pairing();
            let layers = pairing.steps[..steps]
                .iter()
                .filter_map(|step| step.layer)
                .max();
            let layers = layers.map_or(0, |last| last + 1);
            from.text = Some(format!("FROM {reference}"));
            from.source = DockerfileSource::Annotation;
            from.lossy.push(format!(
                "the image names its base; that the {layers} lowest layers are the base's is a guess, which --base would make certain"
            ));
            return Begin {
                from,
                steps,
                layers,
                guess: None,
            };
        }
        from.notes.push(format!(
            "the image says that its base is {reference}; --base ARCHIVE with that image makes it FROM"
        ));
    }
    from.text = scratch;
    let first = image
        .pairing()
        .steps
        .first()
        .map(|step| CreatedBy::read(step.entry, SHELL));
    if !matches!(first, Some(CreatedBy::Instruction("ADD" | "COPY", _))) {
        from.source = DockerfileSource::Guess;
    }
    Begin {
        from,
        steps: 0,
        layers: 0,
        guess,
    }
}
