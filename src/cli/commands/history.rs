//! `history`: build steps, as `docker history` prints them.

use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::base::limits::Limits;
use imgtar::image::Image;
use imgtar::report::{Each, EngineImages, History, HistoryImage, HistoryStep, units};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::images::ESTIMATE;
use super::{Context, Exit, Failure, Loaded, exit_for};
use crate::cli::args::{ArchiveArg, Engine, EngineArg, ImageArg, JsonArg};
use crate::cli::error::{note, warn};
use crate::cli::output::{Output, Stop};
use crate::cli::render::{self, Row};

/// How wide CREATED BY is when it is cut, in cells.
const CREATED_BY_WIDTH: usize = 45;
/// Docker shows no age for anything older: such times are made up.
const OLDEST: i64 = 946_684_800;

/// Show how images were built
///
/// Prints the build steps, newest first, exactly as `docker history` prints them for the loaded image: with the same
/// words, widths, truncation, rounding and sizes. Docker with the containerd store counts sizes differently; --engine
/// docker29 estimates them. Control characters are escaped, except line breaks and tabs, which Docker prints too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  imgtar history app.tar
  imgtar history app.tar app:1.2 --no-trunc
  imgtar history app.tar --human=false")]
pub(crate) struct Args {
    #[command(flatten)]
    archive: ArchiveArg,
    #[command(flatten)]
    image: ImageArg,
    #[command(flatten)]
    json: JsonArg,

    /// Print whole IDs and commands; on a terminal with each command on lines of its own
    #[arg(long)]
    no_trunc: bool,

    /// Print IDs only
    #[arg(short, long)]
    quiet: bool,

    /// Print sizes and ages for people, or bytes and local times
    #[arg(short = 'H', long, value_name = "BOOL", default_value_t = true, default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    human: bool,

    #[command(flatten)]
    engine: EngineArg,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let loaded = context.load(&self.archive)?;
        let picked = loaded.pick(&self.image, Some(context.output), context)?;
        match self.engine.engine {
            Engine::Docker26 => {}
            Engine::Docker29Classic => loaded.require_store(true)?,
            Engine::Docker29 => {
                loaded.require_store(false)?;
                context.hash_members(&loaded.set, &picked)?;
                let mut images = EngineImages::new(&loaded.archive, &loaded.set, &picked);
                images.measure(context.jobs, &context.progress)?;
                context.warn_of_faults(&picked, |layer| images.fault(layer));
                note(context.output, ESTIMATE);
                let report = History::in_containerd_store(&loaded.set, &images, &picked);
                return self.print(&report, &loaded, &picked, context);
            }
        }
        let measures = context.measure(&picked)?;
        context.upgrade(&loaded.set, &picked)?;
        context.warn_of_layers(&picked, &measures);
        let report = History::new(&loaded.set, &picked, &measures);
        self.print(&report, &loaded, &picked, context)
    }

    fn print(
        &self,
        report: &History<'_>,
        loaded: &Loaded,
        picked: &[&Image],
        context: &Context,
    ) -> Result<Exit, Failure> {
        context.warn_of_problems(loaded);
        for image in picked {
            let hidden = image.pairing().unexplained_layers;
            if hidden > 0 {
                let layers = units::count(hidden, "layer has", "layers have");
                warn(
                    context.output,
                    &format!(
                        "{layers} no history in {}: Docker does not show such layers",
                        image.display_name()
                    ),
                );
            }
        }
        context.output.answer(|out| {
            if self.json.json {
                render::json(out, report)
            } else {
                self.text(out, &report.images, &context.limits)
            }
        })?;
        Ok(exit_for(picked))
    }

    fn text(
        &self,
        out: &mut dyn Write,
        images: &Each<'_, HistoryImage>,
        limits: &Limits,
    ) -> Result<(), Stop> {
        let mut platforms = images.images().iter().map(|image| &image.platform);
        let first = platforms.next();
        let differ = platforms.any(|platform| Some(platform) != first);
        for (i, image) in images.iter().enumerate() {
            if images.len() > 1 && !self.quiet {
                let names = if image.references.is_empty() {
                    "<none>".into()
                } else {
                    image.references.join(", ")
                };
                out.write_all(if i > 0 { b"\n" } else { b"" })?;
                let id = image.id.as_deref().unwrap_or("<unknown>");
                write!(out, "{} {}", escape::text(&names), escape::text(id))?;
                if differ {
                    let platform = images.images()[i].platform.to_string();
                    write!(out, " {}", escape::text(&platform))?;
                }
                writeln!(out)?;
            }
            if self.quiet {
                for step in &image.history {
                    writeln!(out, "{}", self.id(step))?;
                }
            } else {
                let (now, zone) = (Timestamp::now(), TimeZone::system());
                if self.no_trunc && Output::width().is_some() {
                    self.blocks(out, &image.history, now, &zone)?;
                    continue;
                }
                render::table(out, limits, |row| {
                    self.rows(row, &image.history, now, &zone)
                })?;
            }
        }
        Ok(())
    }

    fn id(&self, step: &HistoryStep) -> String {
        match &step.id {
            None => "<missing>".to_owned(),
            Some(id) if self.no_trunc => escape::text(id).into_owned(),
            Some(id) => {
                let encoded = id
                    .split_once(':')
                    .map_or(id.as_str(), |(_, encoded)| encoded);
                escape::text(encoded.get(..12).unwrap_or(encoded)).into_owned()
            }
        }
    }

    fn rows(
        &self,
        row: Row<'_>,
        steps: &[HistoryStep],
        now: Timestamp,
        zone: &TimeZone,
    ) -> io::Result<()> {
        let created = if self.human { "CREATED" } else { "CREATED AT" };
        row(&["IMAGE", created, "CREATED BY", "SIZE", "COMMENT"])?;
        for step in steps {
            let (created, size) = self.created_and_size(step, now, zone);
            row(&[
                &self.id(step),
                &created,
                &self.created_by(step),
                &size,
                &escape::text_but(&step.comment, "\n\t"),
            ])?;
        }
        Ok(())
    }

    /// The same for a terminal, where a table with whole commands cannot be read: a line for each step, and its
    /// command below it. Nothing is padded.
    fn blocks(
        &self,
        out: &mut dyn Write,
        steps: &[HistoryStep],
        now: Timestamp,
        zone: &TimeZone,
    ) -> io::Result<()> {
        for step in steps {
            let (created, size) = self.created_and_size(step, now, zone);
            write!(out, "{}  {created}  {size}", self.id(step))?;
            if !step.comment.is_empty() {
                write!(out, "  {}", escape::text(&step.comment))?;
            }
            writeln!(out)?;
            for line in self.created_by(step).lines() {
                writeln!(out, "    {line}")?;
            }
        }
        Ok(())
    }

    fn created_and_size(
        &self,
        step: &HistoryStep,
        now: Timestamp,
        zone: &TimeZone,
    ) -> (String, String) {
        let created = match step.timestamp {
            Some(time) if self.human => ago(time, now),
            Some(time) => local(time, zone),
            // A step without a time has second 0 in Docker's answer.
            None if self.human => "N/A".to_owned(),
            None => local(Timestamp::UNIX_EPOCH, zone),
        };
        let size = match step.size {
            None => "N/A".to_owned(),
            Some(size) if self.human => units::size(size),
            Some(size) => size.to_string(),
        };
        (created, size)
    }

    fn created_by(&self, step: &HistoryStep) -> String {
        let text = step.created_by.replace('\t', " ");
        let text = escape::text_but(&text, "\n");
        if self.no_trunc {
            text.into_owned()
        } else {
            ellipsis(&text, CREATED_BY_WIDTH)
        }
    }
}

/// An age in words; none for times that cannot be real.
fn ago(time: Timestamp, now: Timestamp) -> String {
    if time.as_second() <= OLDEST {
        return "N/A".to_owned();
    }
    format!("{} ago", units::age(now.as_second() - time.as_second()))
}

/// RFC 3339 in the local zone, whole seconds.
fn local(time: Timestamp, zone: &TimeZone) -> String {
    // Docker passes whole seconds around, cut towards the past.
    let seconds = Timestamp::from_second(
        time.as_nanosecond()
            .div_euclid(1_000_000_000)
            .try_into()
            .unwrap_or(0),
    );
    let zoned = seconds.unwrap_or(time).to_zoned(zone.clone());
    let offset = zoned.offset().seconds();
    let text = zoned.strftime("%Y-%m-%dT%H:%M:%S");
    if offset == 0 {
        format!("{text}Z")
    } else {
        format!("{text}{}", zoned.strftime("%:z"))
    }
}

/// Cuts `text` to `max` cells with `…` at the end (docker/cli `formatter.Ellipsis`). East Asian wide
/// characters take two cells, all others one.
fn ellipsis(text: &str, max: usize) -> String {
    let cells = |c: char| {
        if unicode_width::UnicodeWidthChar::width(c) == Some(2) {
            2
        } else {
            1
        }
    };
    if text.chars().map(cells).sum::<usize>() <= max {
        return text.to_owned();
    }
    let mut used = 0;
    let mut cut = String::new();
    for c in text.chars() {
        used += cells(c);
        if used > max - 1 {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_cells() {
        assert_eq!(ellipsis(&"a".repeat(45), 45), "a".repeat(45));
        assert_eq!(ellipsis(&"a".repeat(46), 45), "a".repeat(44) + "…");
        assert_eq!(ellipsis(&"漢".repeat(22), 45), "漢".repeat(22));
        assert_eq!(ellipsis(&"漢".repeat(23), 45), "漢".repeat(22) + "…");
    }

    #[test]
    fn times_are_cut_to_seconds_and_carry_their_zone() {
        let time: Timestamp = "2026-11-21T12:05:01.999Z".parse().expect("a time");
        assert_eq!(local(time, &TimeZone::UTC), "2026-11-21T12:05:01Z");
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        assert_eq!(local(time, &zone), "2026-11-21T09:05:01-03:00");
        let zero: Timestamp = "0001-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(local(zero, &TimeZone::UTC), "0001-01-01T00:00:00Z");
        assert_eq!(ago(zero, time), "N/A");
    }
}
