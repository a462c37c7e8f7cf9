//! How containers of an image run, as its config says.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check::secrets::{mask_arguments, mask_text, mask_value};
use crate::document::Config;

/// What the config says about containers of the image; whatever looks like a secret is masked. Settings that are not
/// set are empty or `null`.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunFacts {
    /// The user and group that processes run as.
    pub user: String,
    /// The working directory.
    pub working_dir: String,
    /// The beginning of the command line.
    pub entrypoint: Option<Vec<String>>,
    /// The rest, unless you ask for another one.
    pub cmd: Option<Vec<String>>,
    /// The environment, `NAME=VALUE` each.
    pub env: Vec<String>,
    /// Ports that containers listen on.
    pub exposed_ports: Vec<String>,
    /// Paths that are volumes.
    pub volumes: Vec<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that stops containers.
    pub stop_signal: String,
    /// The command that tells whether a container is healthy.
    pub healthcheck: Option<Vec<String>>,
    /// Instructions for builds on top of the image.
    pub on_build: Vec<String>,
    /// Who made the image.
    pub author: String,
    /// A remark.
    pub comment: String,
}

impl RunFacts {
    pub(super) fn new(config: &Config) -> Self {
        let run = &config.run;
        let label = |(key, value): &(String, String)| (key.clone(), mask_value(key, value));
        let words = |words: &Option<Vec<String>>| words.as_deref().map(mask_arguments);
        Self {
            user: run.user.clone(),
            working_dir: run.working_dir.clone(),
            entrypoint: words(&run.entrypoint),
            cmd: words(&run.cmd),
            env: run
                .env
                .iter()
                .map(|variable| mask_variable(variable))
                .collect(),
            exposed_ports: run.exposed_ports.clone(),
            volumes: run.volumes.clone(),
            labels: run.labels.iter().map(label).collect(),
            stop_signal: run.stop_signal.clone(),
            healthcheck: run
                .healthcheck
                .as_ref()
                .map(|health| mask_arguments(&health.test)),
            on_build: run.on_build.iter().map(|text| mask_text(text)).collect(),
            author: mask_text(&config.author),
            comment: mask_text(&config.comment),
        }
    }
}

/// `NAME=VALUE` with the value masked if it looks like a secret.
fn mask_variable(variable: &str) -> String {
    match variable.split_once('=') {
        Some((name, value)) => format!("{name}={}", mask_value(name, value)),
        None => variable.to_owned(),
    }
}
