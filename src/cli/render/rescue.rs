//! What `rescue` lists.

use std::fmt::Write as _;
use std::io::Write;

use imgtar::base::escape;
use imgtar::base::limits::Limits;
use imgtar::report::{RescueImage, RescueReport, RescueStore, RescueVerdict, units};
use jiff::Timestamp;

use super::columns::table;
use super::diff::cut;
use crate::cli::output::Stop;

/// How many characters of what a container runs are printed.
const COMMAND: usize = 20;

/// How many reasons are printed for one image.
const REASONS: usize = 4;

/// A table for each store, what does not come back and why, and a line that says how much does.
pub(crate) fn rescue(
    out: &mut dyn Write,
    report: &RescueReport,
    now: Timestamp,
    limits: &Limits,
) -> Result<(), Stop> {
    for store in &report.stores {
        writeln!(out, "{}", heading(store))?;
        if store.images.is_empty() {
            writeln!(out, "no images")?;
        } else {
            images(out, store, now, limits)?;
        }
        for image in store.images.iter().filter(|image| !image.is_whole()) {
            let (name, reasons) = reasons(image);
            for reason in reasons {
                writeln!(out, "{}: {}", escape::text(&name), escape::text(&reason))?;
            }
        }
        writeln!(out)?;
    }
    containers(out, report, limits)?;
    volumes(out, report, limits)?;
    writeln!(out, "{}", summary(report))?;
    Ok(())
}

fn containers(out: &mut dyn Write, report: &RescueReport, limits: &Limits) -> Result<(), Stop> {
    if report.containers.is_empty() {
        return Ok(());
    }
    table(out, limits, |row| {
        row(&["CONTAINER", "STATE", "COMMAND", "CHANGES", "NAME", "IMAGE"])?;
        for container in &report.containers {
            let id = container.id.get(..12).unwrap_or(&container.id);
            let size = container.size.map_or_else(|| "N/A".to_owned(), units::size);
            let image = match container.image_name.as_str() {
                "" => &container.image,
                name => name,
            };
            row(&[
                &escape::text(id),
                &escape::text(container.state.as_deref().unwrap_or("N/A")),
                &command(&container.command),
                &size,
                &escape::text(&container.name),
                &escape::text(image),
            ])?;
        }
        Ok(())
    })?;
    for container in &report.containers {
        let name = escape::text(&container.name);
        if let Some(fault) = &container.fault {
            writeln!(out, "{name}: {}", escape::text(fault))?;
        } else if container.image_missing {
            let image = escape::text(&container.image);
            writeln!(
                out,
                "{name}: its image {image} is not in the tar; its files come back all the same, with --flatten"
            )?;
        }
    }
    writeln!(out)?;
    Ok(())
}

/// The beginning of what a container runs, as `docker ps` shows it.
fn command(words: &[String]) -> String {
    if words.is_empty() {
        return "N/A".to_owned();
    }
    let mut text = String::new();
    for word in words {
        text.push_str(word);
        text.push(' ');
        if text.len() > 8 * COMMAND {
            break;
        }
    }
    cut(text.trim_end(), COMMAND)
}

fn volumes(out: &mut dyn Write, report: &RescueReport, limits: &Limits) -> Result<(), Stop> {
    if report.volumes.is_empty() {
        return Ok(());
    }
    table(out, limits, |row| {
        row(&["SIZE", "ENTRIES", "VOLUME"])?;
        for volume in &report.volumes {
            let entries = volume.entries.to_string();
            row(&[
                &units::size(volume.size),
                &entries,
                &escape::text(&volume.name),
            ])?;
        }
        Ok(())
    })?;
    writeln!(out)?;
    Ok(())
}

/// Whose store it is, and where.
fn heading(store: &RescueStore) -> String {
    let whose = match store.engine {
        "docker" => "Docker, its own store",
        "docker-graph" => "Docker before 1.10",
        "docker-containerd" => "Docker, containerd store",
        "containerd" => "containerd",
        "containers-storage" => "podman, buildah or CRI-O",
        other => other,
    };
    let driver = match store.engine {
        "docker-containerd" | "containerd" if store.driver.is_empty() => String::new(),
        "docker-containerd" | "containerd" => format!(", namespace {}", store.driver),
        _ => format!(", {}", store.driver),
    };
    let mut heading = format!("{whose}{}", escape::text(&driver));
    if !store.path.0.is_empty() {
        _ = write!(heading, ", in {}", escape::name(&store.path.0));
    }
    heading
}

fn images(
    out: &mut dyn Write,
    store: &RescueStore,
    now: Timestamp,
    limits: &Limits,
) -> Result<(), Stop> {
    table(out, limits, |row| {
        row(&[
            "IMAGE ID",
            "CREATED",
            "SIZE",
            "LAYERS",
            "COMES BACK",
            "NAME",
        ])?;
        for image in &store.images {
            let created = image.created.as_deref().and_then(|text| text.parse().ok());
            let created = created.map_or_else(
                || "N/A".to_owned(),
                |created: Timestamp| {
                    let age = now.as_second().saturating_sub(created.as_second());
                    format!("{} ago", units::age(age))
                },
            );
            let size = image.size.map_or_else(|| "N/A".to_owned(), units::size);
            let layers = match image.layers.len() {
                0 if image.verdict == RescueVerdict::Nothing => "N/A".to_owned(),
                n => n.to_string(),
            };
            let id = short(image);
            let mut named = |name: &str| {
                let name = escape::text(name);
                row(&[&id, &created, &size, &layers, verdict(image), &name])
            };
            if image.references.is_empty() {
                let digest = image.digests.first();
                named(digest.map_or("<none>", |digest| digest))?;
            }
            for name in &image.references {
                named(name)?;
            }
        }
        Ok(())
    })
}

fn short(image: &RescueImage) -> String {
    let id = image.id.as_deref().unwrap_or("<unknown>");
    let hex = id.split_once(':').map_or(id, |(_, hex)| hex);
    escape::text(hex.get(..12).unwrap_or(hex)).into_owned()
}

fn verdict(image: &RescueImage) -> &'static str {
    match image.verdict {
        RescueVerdict::Exact => "exact",
        RescueVerdict::ExpectedExact => "expected exact",
        RescueVerdict::Partial => "in part",
        RescueVerdict::ConfigOnly => "config only",
        RescueVerdict::Nothing => "no",
    }
}

/// The name of an image that does not come back, and why not.
pub(crate) fn reasons(image: &RescueImage) -> (String, Vec<String>) {
    let name = image.references.first().cloned();
    let name = name.unwrap_or_else(|| short(image));
    let mut all: Vec<String> = image.config_fault.iter().cloned().collect();
    for layer in image.layers.iter().filter(|layer| !layer.why.is_empty()) {
        let mut why = layer.why[0].clone();
        if layer.files > 1 {
            let more = usize::try_from(layer.files - 1).unwrap_or(usize::MAX);
            why = format!(
                "{why}, and {}",
                units::count(more, "more file", "more files")
            );
        }
        all.push(format!("layer {}: {why}", layer.index));
    }
    if all.len() > REASONS {
        let more = units::count(all.len() - REASONS, "more layer", "more layers");
        all.truncate(REASONS);
        all.push(format!("and {more}; --json lists them all"));
    }
    (name, all)
}

/// How many images come back.
fn summary(report: &RescueReport) -> String {
    let all = report.images().count();
    let whole = report.images().filter(|image| image.is_whole()).count();
    let proven = report
        .images()
        .filter(|image| image.verdict == RescueVerdict::Exact)
        .count();
    let images = units::count(all, "image", "images");
    let mut rest = Vec::new();
    if !report.containers.is_empty() {
        rest.push(units::count(
            report.containers.len(),
            "container",
            "containers",
        ));
    }
    if !report.volumes.is_empty() {
        rest.push(units::count(report.volumes.len(), "volume", "volumes"));
    }
    let rest = match rest[..] {
        [] => String::new(),
        _ => format!("; {}", rest.join(" and ")),
    };
    let how = if proven == whole && proven > 0 {
        "byte for byte"
    } else {
        "byte for byte, if their files were not changed"
    };
    let images = match whole {
        _ if all == 0 => "no images".to_owned(),
        0 => format!("{images}, none of which comes back whole"),
        whole if whole == all && all == 1 => format!("1 image, which comes back {how}"),
        whole if whole == all => format!("{images}, all of which come back {how}"),
        whole => format!("{images}, {whole} of which come back {how}"),
    };
    format!("{images}{rest}")
}
