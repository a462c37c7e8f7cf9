//! The page of `inspect`.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::Style;
use imgtar::base::escape;
use imgtar::base::limits::Limits;
use imgtar::document::{Config, Health};
use imgtar::image::ContainerdBasis;
use imgtar::report::{ArchiveHead, Inspect, InspectImage, findings, units};

use super::layers::{Form, table};
use super::marks::Page;
use super::problems::problems;
use crate::cli::output::Stop;

const HEAD: Style = Style::new().bold();
/// Where values begin, in cells.
const INDENT: usize = 14;

/// Writes a page about an archive and some of its images.
pub(crate) fn inspect(
    out: &mut dyn Write,
    report: &Inspect<'_>,
    now: jiff::Timestamp,
    look: Page,
    limits: &Limits,
) -> Result<(), Stop> {
    let mut page = InspectPage {
        out,
        now,
        table: Form {
            store_paths: false,
            page: look,
            limits,
        },
    };
    page.archive(
        &report.archive,
        report.images.len(),
        report.images_in_archive,
    )?;
    for (image, described) in report.images.images().iter().zip(report.images.iter()) {
        writeln!(page.out)?;
        page.image(&described, image.view())?;
    }
    page.others(report)?;
    if !report.problems.is_empty() {
        page.section("Problems (layers were not hashed; `imgtar verify` does that)")?;
        let found = findings(&report.problems, report.absent_manifests.as_ref());
        problems(page.out, &found, 0, look)?;
    }
    Ok(())
}

struct InspectPage<'o> {
    out: &'o mut dyn Write,
    now: jiff::Timestamp,
    table: Form<'o>,
}

impl InspectPage<'_> {
    fn section(&mut self, title: &str) -> io::Result<()> {
        writeln!(self.out, "\n{HEAD}{title}{HEAD:#}")
    }

    /// A name and its value, wrapped on a terminal at spaces.
    fn field(&mut self, name: &str, value: &str) -> io::Result<()> {
        let value = escape::text(value);
        write!(self.out, "{HEAD}{name:<INDENT$}{HEAD:#}")?;
        (self.table.page).wrapped(self.out, &value, INDENT, INDENT)
    }

    /// A field that is left out if there is nothing to say.
    fn optional(&mut self, name: &str, value: &str) -> io::Result<()> {
        if value.is_empty() {
            return Ok(());
        }
        self.field(name, value)
    }

    /// One name and several values, one a line.
    fn list(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> io::Result<()> {
        let mut label = name;
        for value in values {
            self.field(label, value.as_ref())?;
            label = "";
        }
        Ok(())
    }

    fn archive(&mut self, archive: &ArchiveHead, shown: usize, images: usize) -> io::Result<()> {
        self.field("Archive", &archive.path)?;
        self.field("Layout", archive.layout.describe())?;
        let size = both_sizes(archive.size);
        let compression = match archive.compression.name() {
            "none" => "not compressed".to_owned(),
            name => format!("compressed as a whole with {name}"),
        };
        self.field("Size", &format!("{size}, {compression}"))?;
        let shown = if shown == images {
            String::new()
        } else {
            format!(", {shown} shown")
        };
        self.field("Images", &format!("{images}{shown}"))
    }

    fn image(&mut self, image: &InspectImage, config: Option<&Config>) -> Result<(), Stop> {
        let facts = &image.facts;
        if facts.references.is_empty() {
            self.field("Image", "<none>")?;
        }
        self.list("Image", &facts.references)?;
        self.field("ID", facts.id.as_deref().unwrap_or("<unknown>"))?;
        let older = facts.id_before_docker_25.as_deref();
        self.optional(
            "",
            &older.map_or_else(String::new, |id| format!("{id} in Docker 1.10 to 24")),
        )?;
        let legacy_id = facts.legacy_id.as_ref();
        let legacy_id = legacy_id.filter(|id| facts.id.as_ref() != Some(id));
        self.optional("Legacy ID", legacy_id.map_or("", String::as_str))?;
        self.containerd_id(image)?;
        self.optional(
            "Manifest",
            image.manifest_digest.as_deref().unwrap_or_default(),
        )?;
        self.optional("Index", image.index_digest.as_deref().unwrap_or_default())?;
        self.field("Platform", facts.platform.as_deref().unwrap_or("<unknown>"))?;
        if let Some(config) = config {
            self.made(config)?;
        }
        let size = facts.size.map_or_else(|| "<unknown>".into(), both_sizes);
        self.field(
            "Size",
            &format!(
                "{size} in {}",
                units::count(image.layers.len(), "layer", "layers")
            ),
        )?;
        match config {
            Some(config) => self.run_config(config)?,
            None => self.field("Config", "<missing or unreadable>")?,
        }
        self.list(
            "Annotations",
            image
                .annotations
                .iter()
                .map(|(key, value)| format!("{key}={value}")),
        )?;
        if !image.layers.is_empty() {
            writeln!(self.out)?;
            table(self.out, &image.layers, self.table)?;
        }
        let empty = image.history.iter().filter(|step| step.empty_layer).count();
        let steps = units::count(image.history.len(), "step", "steps");
        writeln!(self.out)?;
        self.field(
            "History",
            &format!("{steps}, {empty} without a layer (`imgtar history` shows them)"),
        )?;
        Ok(())
    }

    /// What a containerd store calls the image, and what could change that.
    fn containerd_id(&mut self, image: &InspectImage) -> io::Result<()> {
        let Some(id) = &image.facts.containerd_id else {
            return Ok(());
        };
        self.field("Containerd ID", id)?;
        if image.containerd_id_basis == Some(ContainerdBasis::Claimed) {
            self.field(
                "",
                "taken from claimed diff IDs; `imgtar verify` computes it",
            )?;
        }
        if image.containerd_id_depends_on_store {
            self.field(
                "",
                "differs in a store that already holds one of its layers compressed",
            )?;
        }
        Ok(())
    }

    fn made(&mut self, config: &Config) -> io::Result<()> {
        if let Some(created) = &config.created {
            let ago = units::age(self.now.as_second() - created.timestamp().as_second());
            self.field("Created", &format!("{} ({ago} ago)", created.as_str()))?;
        }
        self.optional("Author", &config.author)?;
        self.optional("Comment", &config.comment)?;
        if !config.docker_version.is_empty() {
            self.field("Made by", &format!("Docker {}", config.docker_version))?;
        }
        Ok(())
    }

    fn run_config(&mut self, config: &Config) -> io::Result<()> {
        let run = &config.run;
        if let Some(entrypoint) = &run.entrypoint {
            self.field("Entrypoint", &words(entrypoint))?;
        }
        if let Some(cmd) = &run.cmd {
            self.field("Cmd", &words(cmd))?;
        }
        self.optional(
            "Shell",
            &run.shell.as_deref().map(words).unwrap_or_default(),
        )?;
        self.list("Env", run.env.iter())?;
        self.list("Ports", run.exposed_ports.iter())?;
        self.list("Volumes", run.volumes.iter())?;
        self.optional("User", &run.user)?;
        self.optional("Workdir", &run.working_dir)?;
        self.optional("Stop signal", &run.stop_signal)?;
        if let Some(health) = &run.healthcheck {
            self.field("Healthcheck", &healthcheck(health))?;
        }
        self.list("On build", run.on_build.iter())?;
        self.list(
            "Labels",
            run.labels
                .iter()
                .map(|(key, value)| format!("{key}={value}")),
        )
    }

    fn others(&mut self, report: &Inspect<'_>) -> io::Result<()> {
        if !report.artifacts.is_empty() {
            self.section("Artifacts (no images)")?;
            for artifact in &report.artifacts {
                let names = artifact.references.join(", ");
                let subject = artifact
                    .subject
                    .as_ref()
                    .map_or_else(String::new, |subject| format!(" about {subject}"));
                let line = format!("{} {} {names}{subject}", artifact.kind, artifact.digest);
                writeln!(self.out, "{}", escape::text(line.trim_end()))?;
            }
        }
        if !report.absent.is_empty() {
            self.section("Named by an index, not in the archive")?;
            for absent in &report.absent {
                let platform = absent.platform.as_deref().unwrap_or("<unknown platform>");
                let line = format!(
                    "{platform} {} {}",
                    absent.digest,
                    absent.references.join(", ")
                );
                writeln!(self.out, "{}", escape::text(line.trim_end()))?;
            }
        }
        Ok(())
    }
}

fn both_sizes(bytes: u64) -> String {
    format!("{} ({bytes} bytes)", units::size(bytes))
}

/// Words as the JSON array that a Dockerfile would hold.
fn words(words: &[String]) -> String {
    serde_json::to_string(words).unwrap_or_default()
}

fn healthcheck(health: &Health) -> String {
    let mut text = words(&health.test);
    let seconds = |name: &str, nanoseconds: i64| match nanoseconds {
        0 => String::new(),
        n if n % 1_000_000_000 == 0 => format!(" {name} {}s", n / 1_000_000_000),
        n => format!(" {name} {}ms", n / 1_000_000),
    };
    text.push_str(&seconds("every", health.interval));
    text.push_str(&seconds("timeout", health.timeout));
    text.push_str(&seconds("start period", health.start_period));
    text.push_str(&seconds("start interval", health.start_interval));
    if health.retries != 0 {
        _ = write!(text, " retries {}", health.retries);
    }
    text
}
