//! Claims of one image compared with each other, without reading a layer.

use super::super::model::{Image, LayerSource};
use super::Loader;
use crate::base::constants::DOCKER_LAYERS;
use crate::base::problem::{Code, Problem};
use crate::document::Platform;

pub(super) fn check(image: &Image, problems: &mut Vec<Problem>) {
    let position = image.position;
    let mut push = |problem: Problem| {
        let problem = problem.of_image(position);
        let problem = match &image.config {
            Some(config) if problem.member.is_none() => problem.in_member(&config.member),
            _ => problem,
        };
        problems.push(problem);
    };
    if image.layers.len() > DOCKER_LAYERS {
        let message = "the image has more layers than Docker with a graph driver loads (max depth exceeded); containerd, podman and skopeo have no limit";
        let problem = Problem::warning(Code::LayerLimit, message);
        push(problem.compared(format!("at most {DOCKER_LAYERS}"), image.layers.len()));
    }
    if image.is_legacy() {
        return;
    }
    let Some(view) = image.view() else { return };
    platform(image, &mut push);
    let layers = image.layers.len();
    match &view.rootfs {
        None => push(Problem::error(
            Code::ConfigInvalid,
            "the config has no rootfs, so nothing says what the layers should be; engines refuse it",
        )),
        Some(rootfs) => {
            if rootfs.kind != "layers" {
                let message = "the config's rootfs is of an unknown type, which must be refused";
                push(Problem::error(Code::ConfigInvalid, message).compared("layers", &rootfs.kind));
            }
            if rootfs.diff_ids.len() != layers {
                let message = "the manifest lists more or fewer layers than the config has diff IDs; engines refuse it";
                push(Problem::error(Code::LayerCountMismatch, message).compared(
                    format!("{} diff IDs", rootfs.diff_ids.len()),
                    format!("{layers} layers"),
                ));
            }
        }
    }
    let pairing = image.pairing();
    let claiming = pairing
        .steps
        .iter()
        .filter(|step| !step.entry.empty_layer)
        .count();
    let compared = |problem: Problem| {
        problem.compared(
            format!("{claiming} steps with a layer"),
            format!("{layers} layers"),
        )
    };
    if pairing.missing_layers > 0 {
        let message = "the history has more steps with a layer than there are layers; Docker refuses it (too many non-empty layers in History section)";
        push(compared(Problem::error(Code::HistoryMismatch, message)));
    }
    if pairing.unexplained_layers > 0 {
        let message = "the history has fewer steps with a layer than there are layers; `docker history` hides the rest";
        push(compared(Problem::warning(Code::HistoryMismatch, message)));
    }
}

/// The fields of a platform, each by its name.
fn fields(platform: &Platform) -> String {
    format!(
        "os `{}`, architecture `{}`, variant `{}`",
        platform.os, platform.architecture, platform.variant
    )
}

/// Engines pick an image by what the index says of it and run it by what its config says.
fn platform(image: &Image, push: &mut impl FnMut(Problem)) {
    let Some(view) = image.view() else { return };
    let own = &view.platform;
    let missing = match (own.os.is_empty(), own.architecture.is_empty()) {
        (false, false) => None,
        (true, false) => Some("operating system"),
        (false, true) => Some("architecture"),
        (true, true) => Some("operating system and architecture"),
    };
    if let Some(what) = missing {
        let message = format!("the config names no {what}: engines take the host's");
        push(Problem::warning(Code::PlatformMissing, message));
    }
    let listed = image.manifest.as_ref();
    let listed = listed.and_then(|manifest| manifest.descriptor.platform.as_ref());
    if let Some(listed) = listed
        && !listed.is_unknown()
        && missing.is_none()
        && (&listed.os, &listed.architecture) != (&own.os, &own.architecture)
    {
        let message = "the index lists the image for a platform other than the one in its config: engines pick it by the first and run it as the second";
        let problem = Problem::warning(Code::PlatformMismatch, message);
        if listed.to_string() == own.to_string() {
            // Joined with slashes the two look the same.
            push(problem.compared(fields(listed), fields(own)));
        } else {
            push(problem.compared(listed, own));
        }
    }
}

impl Loader<'_> {
    /// Reports missing layers. What was lost with the end of the archive has no problem of
    /// its own.
    pub(super) fn missing_layers(&mut self, image: &Image) {
        for layer in &image.layers {
            if layer.is_placeholder() {
                let message = "a foreign layer is left out, and an empty file stands in its place, which engines take for the layer and refuse: its content has to be fetched from where its descriptor says";
                let problem = Problem::error(Code::MemberMissing, message).of_layer(layer.index);
                self.problem(problem, &layer.member, image.position);
            }
            let LayerSource::Missing {
                why,
                urls,
                left_out: None,
            } = &layer.source
            else {
                continue;
            };
            let problem = if !urls.is_empty() {
                let message = format!(
                    "a foreign layer is left out, engines fetch it from {}",
                    urls.join(", ")
                );
                Problem::warning(Code::MemberMissing, message)
            } else if self.lose(&layer.member, why) {
                continue;
            } else {
                Problem::error(Code::MemberMissing, format!("a layer is missing: {why}"))
            };
            self.problem(problem.of_layer(layer.index), &layer.member, image.position);
        }
    }
}
