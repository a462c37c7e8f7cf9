//! What engines make of an archive, and the commands that help where they refuse it.

use serde::Serialize;

use super::images::id;
use crate::archive::Layout;
use crate::base::constants::DOCKER_LAYERS;
use crate::check::{Loader, LoaderStore, LoaderTarget, Loaders, Refusal, Verdict, Verification};
use crate::image::{Image, ImageSet};

/// How one engine would handle an archive.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyLoader {
    /// Who is asked.
    #[serde(skip)]
    pub target: LoaderTarget,
    /// `docker`, `ctr`, `podman` or `skopeo`.
    pub engine: &'static str,
    /// Where it keeps images: `classic` or `containerd` for Docker, `overlay` or `vfs` for podman.
    pub store: Option<&'static str>,
    /// The version whose behaviour is predicted.
    pub version: &'static str,
    /// The options that it is started with.
    pub options: Option<&'static str>,
    /// `loads`; `loads-with-base` if it succeeds on hosts that have the layers that a thin archive leaves out, and
    /// fails elsewhere for the `reason`; `loads-broken` if it succeeds but an image cannot be run; `refuses`;
    /// `makes-nothing` if it succeeds but there is no image; `unknown` if predicting it would take more than a limit
    /// allows.
    pub verdict: &'static str,
    /// The reason, if it does not simply load.
    pub reason: Option<String>,
    /// Whether `reason` quotes the engine itself, with `…` for parts that do not depend on the archive, such as the
    /// name of a temporary directory. Otherwise it is in imgtar's words.
    pub quoted: bool,
    /// What becomes of each image, in the order of the archive's images.
    pub images: Vec<VerifyFate>,
}

/// What becomes of one image in an engine.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VerifyFate {
    /// The image ID: the digest of its config.
    pub id: Option<String>,
    /// Whether it is there afterwards, and can be run.
    pub loaded: bool,
    /// Its name there.
    pub name: Option<String>,
    /// Why it is not there, or a remark about its name.
    pub reason: Option<String>,
}

impl VerifyLoader {
    fn new(loader: &Loader, set: Option<&ImageSet>) -> Self {
        let images = set.map_or(&[][..], |set| &set.images);
        let text = |why: &Refusal| why.text().to_owned();
        let fates = images
            .iter()
            .zip(&loader.images)
            .map(|(image, fate)| VerifyFate {
                id: id(image),
                loaded: fate.loaded,
                name: fate.name.clone(),
                reason: fate.reason.as_ref().map(text),
            });
        Self {
            target: loader.target,
            engine: loader.target.engine.name(),
            store: loader.target.store.map(LoaderStore::name),
            version: loader.target.version,
            options: loader.target.options,
            verdict: loader.verdict.name(),
            reason: loader.verdict.reason().map(text),
            quoted: matches!(loader.verdict.reason(), Some(Refusal::Says(_))),
            images: fates.collect(),
        }
    }

    pub(super) fn all(loaders: &Loaders, set: Option<&ImageSet>) -> Vec<Self> {
        loaders
            .iter()
            .map(|loader| Self::new(loader, set))
            .collect()
    }
}

/// A command that makes an archive for an engine that refuses this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum VerifyMend {
    /// `imgtar convert ARCHIVE --layout docker`: Docker's own store does not read OCI image layouts.
    Convert,
    /// `imgtar merge ARCHIVE BASE`: all stores except Docker's own need all layers.
    Merge,
    /// `imgtar select ARCHIVE --present`: `ctr images import --all-platforms` needs all platforms that are named.
    Select,
}

impl VerifyMend {
    /// What helps; nothing where an error is in the way.
    pub(super) fn all(set: &ImageSet, result: &Verification) -> Vec<Self> {
        if !result.is_ok(false) || set.images.is_empty() {
            return Vec::new();
        }
        if set.thin.is_some() {
            return vec![Self::Merge];
        }
        let refuses = |is_it: &dyn Fn(&LoaderTarget) -> bool| {
            let mut loaders = result.loaders.iter();
            loaders.any(|loader| {
                is_it(&loader.target) && matches!(loader.verdict, Verdict::Refuses(_))
            })
        };
        let mut mends = Vec::new();
        // Another platform than Linux or too many layers are refused in any layout.
        let is_for_linux =
            |image: &Image| image.platform.os == "linux" && image.layers.len() <= DOCKER_LAYERS;
        if set.layout == Layout::Oci
            && set.images.iter().all(is_for_linux)
            && refuses(&|target| target.store == Some(LoaderStore::Classic))
        {
            mends.push(Self::Convert);
        }
        if !set.absent.is_empty() && refuses(&|target| target.options.is_some()) {
            mends.push(Self::Select);
        }
        mends
    }
}
