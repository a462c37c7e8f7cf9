//! `find --secrets`: what looks like a secret in an image.

use serde::Serialize;

use super::find::{FindState, HowHidden, became};
use super::pattern::PathPattern;
use super::text::Text;
use crate::check::secrets::{ConfigPlace, FoundSecret, ImageSecrets, SecretKind, in_config};
use crate::image::Image;
use crate::tree::{Fate, HiddenBy};

/// Which secrets are wanted.
#[derive(Clone, Debug, Default)]
pub struct SecretsQuery {
    /// At least one of these has to match the path of the file; all files if there are none.
    pub patterns: Vec<PathPattern>,
    /// The layer that has to have the file, base first.
    pub layer: Option<usize>,
    /// Only files that a later layer deleted.
    pub deleted: bool,
}

impl SecretsQuery {
    /// Whether it asks for files alone.
    fn is_about_files(&self) -> bool {
        !self.patterns.is_empty() || self.layer.is_some() || self.deleted
    }

    fn wants(&self, secret: &FoundSecret) -> bool {
        let is_deleted =
            matches!(secret.fate, Some(Fate::Hidden { by, .. }) if by != HiddenBy::Entry);
        let matches = |pattern: &PathPattern| pattern.matches(&secret.path);
        self.layer.is_none_or(|layer| layer == secret.layer)
            && (is_deleted || !self.deleted)
            && (self.patterns.is_empty() || self.patterns.iter().any(matches))
    }
}

/// The answer of `find --secrets`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FindSecrets {
    /// `imgtar/find-secrets/1`
    pub schema: &'static str,
    /// The secrets: those of the config, then those of files, layer by layer, base first. No value is given in full.
    pub secrets: Vec<SecretRow>,
    /// How many more there are in layers that have too many to list.
    pub dropped: usize,
}

/// Where something that looks like a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SecretPlace {
    /// In a file of a layer.
    File,
    /// In an environment variable.
    Env,
    /// In a label.
    Label,
    /// In `CMD`, `ENTRYPOINT`, `HEALTHCHECK` or `SHELL`.
    Command,
    /// In an `ONBUILD` instruction.
    OnBuild,
    /// In the author or the comment of the image.
    Text,
    /// In a build step or its build arguments.
    History,
}

/// Something that looks like a secret.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SecretRow {
    /// What kind of secret.
    pub kind: SecretKind,
    /// Where it is.
    pub place: SecretPlace,
    /// The name of the variable, the label or the command.
    pub name: Option<String>,
    /// The file, without a slash at either end.
    pub path: Option<Text>,
    /// The index of the layer that has the file, base first.
    pub layer: Option<usize>,
    /// Where it begins in the file, in bytes.
    pub offset: Option<u64>,
    /// The build step that has it or made the layer, as an index into the history, oldest first.
    pub step: Option<usize>,
    /// What became of the file; `null` if no engine makes a file from it.
    pub state: Option<FindState>,
    /// The layer that replaced or deleted the file.
    pub by_layer: Option<usize>,
    /// What replaced or deleted the file.
    pub by: Option<HowHidden>,
    /// The build step that made the layer which replaced or deleted the file.
    pub by_step: Option<usize>,
    /// Why it is taken for a secret, for people.
    pub detail: String,
    /// The part of it that may be shown.
    pub masked: String,
    /// Whether the file belongs to the documentation or the tests of a package, where keys are public.
    pub sample: bool,
}

impl FindSecrets {
    /// Describes the secrets of an image that a query asks for.
    pub fn new(image: &Image, found: &ImageSecrets, query: &SecretsQuery) -> Self {
        let mut secrets = Vec::new();
        if !query.is_about_files() {
            secrets.extend(in_config(image).into_iter().map(|secret| {
                let (place, name, step) = match secret.place {
                    ConfigPlace::Env(name) => (SecretPlace::Env, Some(name), None),
                    ConfigPlace::Label(key) => (SecretPlace::Label, Some(key), None),
                    ConfigPlace::Command(name) => {
                        (SecretPlace::Command, Some(name.to_owned()), None)
                    }
                    ConfigPlace::OnBuild(number) => {
                        (SecretPlace::OnBuild, Some(number.to_string()), None)
                    }
                    ConfigPlace::Text(name) => (SecretPlace::Text, Some(name.to_owned()), None),
                    ConfigPlace::Step(step) => (SecretPlace::History, None, Some(step)),
                };
                SecretRow {
                    kind: SecretKind::ConfigSecret,
                    place,
                    name,
                    path: None,
                    layer: None,
                    offset: None,
                    step,
                    state: None,
                    by_layer: None,
                    by: None,
                    by_step: None,
                    detail: secret.why,
                    masked: secret.masked,
                    sample: false,
                }
            }));
        }
        let pairing = image.pairing();
        let step_of = |layer: usize| {
            let mut steps = pairing.steps.iter();
            steps.position(|step| step.layer == Some(layer))
        };
        let wanted = found.files.iter().filter(|secret| query.wants(secret));
        secrets.extend(wanted.map(|secret| {
            let became = secret.fate.map(became);
            let by_layer = became.and_then(|(_, layer, _)| layer);
            SecretRow {
                kind: secret.kind,
                place: SecretPlace::File,
                name: None,
                path: Some(Text(secret.path.clone())),
                layer: Some(secret.layer),
                offset: Some(secret.offset),
                step: step_of(secret.layer),
                state: became.map(|(state, _, _)| state),
                by_layer,
                by: became.and_then(|(_, _, by)| by),
                by_step: by_layer.and_then(step_of),
                detail: secret.kind.text().to_owned(),
                masked: secret.masked.clone(),
                sample: secret.is_sample,
            }
        }));
        Self {
            schema: "imgtar/find-secrets/1",
            secrets,
            dropped: found.dropped,
        }
    }
}
