//! One image.

use imgtar::report::{HistoryStep, ReportImage, RunFacts};
use maud::{Markup, html};

use super::words::{arguments, count, grouped, more, shortened, size, time};
use super::{audit, layers, treemap, waste};

/// From how many characters on a command is folded.
const LONG_COMMAND: usize = 200;

/// How many names, steps, variables or labels stand on the page.
const NAMES: usize = 10;
const STEPS: usize = 1000;
const SETTINGS: usize = 500;

/// How much of one setting does, in characters.
const SETTING: usize = 4000;

/// How much of one command does, in characters.
const COMMAND: usize = 20_000;

/// How much of a folded command stands outside, in characters.
const FOLDED: usize = 140;

/// The part of the page about an image.
pub(super) fn section(number: usize, image: &ReportImage) -> Markup {
    let names = match image.facts.references.as_slice() {
        [] => "<none>".to_owned(),
        names => shown_names(names),
    };
    html! {
        section id={ "image-" (number) } {
            h2 { (names) }
            (facts(image))
            @if let Some(why) = &image.unread {
                p { span.tag.bad { "files unknown" } " Its layers cannot be applied: " (why) }
            }
            (layers::section(image))
            (treemap::section(number, image))
            (waste::section(image))
            (history(image))
            (audit::section(image))
        }
    }
}

fn shown_names(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(NAMES)
        .map(|name| shortened(name, 200))
        .collect();
    match names.len().checked_sub(NAMES + 1) {
        Some(more) => format!("{} and {} more", shown.join(", "), grouped(more as u64 + 1)),
        None => shown.join(", "),
    }
}

fn facts(image: &ReportImage) -> Markup {
    let of = &image.facts;
    html! {
        dl {
            dt { "Image ID" }
            dd { @match &of.id { Some(id) => code { (id) }, None => span.muted { "unknown: the config is missing" } } }
            @if let Some(id) = &of.containerd_id { dt { "ID in containerd stores" } dd { code { (id) } } }
            @if let Some(id) = &of.legacy_id { dt { "ID in the archive" } dd { code { (id) } } }
            @if let Some(platform) = &of.platform { dt { "Platform" } dd { (platform) } }
            @if let Some(created) = &of.created { dt { "Created" } dd { (time(created)) } }
            dt { "Size" }
            dd {
                @match of.size { Some(bytes) => (size(bytes)), None => span.muted { "unknown" } }
                ", " (count(image.layers.len(), "layer", "layers"))
                @if let Some(files) = &image.files {
                    ", " (count(usize::try_from(files.root.files).unwrap_or(usize::MAX), "file", "files"))
                }
            }
            @if let Some(run) = &image.run { (run_facts(run)) }
        }
        @if let Some(run) = &image.run { (settings(run)) }
    }
}

fn run_facts(run: &RunFacts) -> Markup {
    html! {
        @if let Some(words) = &run.entrypoint { dt { "Entrypoint" } dd { code { (shortened(&arguments(words), SETTING)) } } }
        @if let Some(words) = &run.cmd { dt { "Command" } dd { code { (shortened(&arguments(words), SETTING)) } } }
        dt { "User" }
        dd { @if run.user.is_empty() { "root" span.muted { " (no user is set)" } } @else { (shortened(&run.user, SETTING)) } }
        @if !run.working_dir.is_empty() { dt { "Directory" } dd { code { (shortened(&run.working_dir, SETTING)) } } }
        @if !run.exposed_ports.is_empty() { dt { "Ports" } dd { (shortened(&run.exposed_ports.join(", "), SETTING)) } }
        @if !run.volumes.is_empty() { dt { "Volumes" } dd { code { (shortened(&run.volumes.join(", "), SETTING)) } } }
        @if !run.stop_signal.is_empty() { dt { "Stop signal" } dd { (shortened(&run.stop_signal, SETTING)) } }
        @if let Some(words) = &run.healthcheck { dt { "Health check" } dd { code { (shortened(&arguments(words), SETTING)) } } }
        @if !run.author.is_empty() { dt { "Author" } dd { (shortened(&run.author, SETTING)) } }
        @if !run.comment.is_empty() { dt { "Comment" } dd { (shortened(&run.comment, SETTING)) } }
    }
}

/// What there may be a lot of.
fn settings(run: &RunFacts) -> Markup {
    html! {
        @if !run.env.is_empty() {
            details {
                summary { "Environment: " (count(run.env.len(), "variable", "variables")) }
                pre { code { @for line in run.env.iter().take(SETTINGS) { (shortened(line, SETTING)) "\n" } } }
            }
        }
        @if !run.labels.is_empty() {
            details {
                summary { (count(run.labels.len(), "label", "labels")) }
                dl { @for (key, value) in run.labels.iter().take(SETTINGS) { dt { code { (shortened(key, 200)) } } dd { (shortened(value, SETTING)) } } }
            }
        }
        @if !run.on_build.is_empty() {
            details {
                summary { "ONBUILD: " (count(run.on_build.len(), "instruction", "instructions")) }
                pre { code { @for line in run.on_build.iter().take(SETTINGS) { (shortened(line, SETTING)) "\n" } } }
            }
        }
    }
}

fn history(image: &ReportImage) -> Markup {
    html! {
        @if !image.history.is_empty() {
            h3 { "Build steps, oldest first" }
            ol.steps {
                @for step in image.history.iter().rev().take(STEPS) { (step_item(step)) }
            }
            (more(image.history.len(), STEPS, "steps", "history --no-trunc"))
        }
    }
}

fn step_item(step: &HistoryStep) -> Markup {
    html! {
        li {
            div.head {
                @match step.layer {
                    Some(layer) => span { (layers::swatch(layer)) "layer " (layer) },
                    None => span { "no layer" },
                }
                @if step.layer.is_some() {
                    @match step.size { Some(bytes) => (size(bytes)), None => span { "size unknown" } }
                }
                @if let Some(created) = &step.created { span { (time(created)) } }
                @if !step.author.is_empty() { span { (shortened(&step.author, 200)) } }
                @if !step.comment.is_empty() { span { (shortened(&step.comment, 500)) } }
            }
            (command(&step.created_by))
        }
    }
}

/// A command, folded if it is long.
fn command(text: &str) -> Markup {
    let is_long = text.len() > LONG_COMMAND || text.contains('\n');
    let line = text.lines().next().unwrap_or_default();
    html! {
        @if text.is_empty() {
            span.muted { "no command is recorded" }
        } @else if is_long {
            details {
                summary { code { (line.chars().take(FOLDED).collect::<String>()) " …" } }
                pre { code { (shortened(text, COMMAND)) } }
            }
        } @else {
            code { (text) }
        }
    }
}
