//! The sections of `diff`.

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use imgtar::base::escape;
use imgtar::base::limits::Limits;
use imgtar::report::{Diff, DiffAction, DiffField, DiffFile, DiffHead, DiffStep, units};

use super::diff_files::{details, shown};
use super::diff_layers::layers;
use super::diff_stat::{changes, stat};
use super::layers::short;
use crate::cli::locale::ellipsis;
use crate::cli::output::Stop;

const HEADING: Style = Style::new().bold();
const ADDED: Style = AnsiColor::Green.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const DELETED: Style = AnsiColor::Red.on_default();

/// How many characters of a value stand in one line with another one.
const SHORT: usize = 32;
/// How many characters of a value are shown if it is not asked for whole.
const VALUE: usize = 160;

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiffForm {
    /// All sections.
    Images,
    /// The lines of `docker diff`.
    Container,
    /// A line for each section.
    Stat,
    /// The paths of files alone.
    Names,
}

/// How it is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiffStyle {
    pub(crate) form: DiffForm,
    /// Whether values and build steps are printed whole.
    pub(crate) whole: bool,
    /// How wide the terminal is, in cells.
    pub(crate) width: Option<u16>,
}

/// Prints what differs. The last line says the result, but for the forms that are lists.
pub(crate) fn diff(
    out: &mut dyn Write,
    diff: &Diff<'_>,
    style: DiffStyle,
    limits: &Limits,
) -> Result<(), Stop> {
    let whole = style.whole;
    match style.form {
        DiffForm::Names => {
            for file in diff.files.iter() {
                writeln!(out, "{}", shown(&file.path.0))?;
            }
            return Ok(());
        }
        DiffForm::Container => {
            let listed = |file: &DiffFile| file.in_docker_diff != Some(false);
            for file in diff.files.iter().filter(listed) {
                let (letter, style) = letter(file.change);
                writeln!(
                    out,
                    "{style}{letter}{style:#} /{}",
                    escape::name(&file.path.0)
                )?;
            }
            return Ok(());
        }
        DiffForm::Stat => stat(out, diff)?,
        DiffForm::Images => {
            heads(out, diff)?;
            layers(out, &diff.layers, style, limits)?;
            config(out, &diff.config, whole)?;
            history(out, &diff.history, whole)?;
            files(out, diff)?;
            sizes(out, diff)?;
        }
    }
    result(out, diff)?;
    Ok(())
}

/// What both images are; that they are for different platforms first.
fn heads(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    platforms(out, diff)?;
    for (side, head) in [("old", &diff.old), ("new", &diff.new)] {
        writeln!(out, "{side}  {}", described(head))?;
    }
    Ok(())
}

/// Says that the images are for different platforms.
pub(super) fn platforms(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    if diff.new.id.is_none() || diff.old.platform == diff.new.platform {
        return Ok(());
    }
    let name = |head: &DiffHead| {
        let platform = head.platform.as_deref().unwrap_or("no platform");
        escape::text(platform).into_owned()
    };
    let (old, new) = (name(&diff.old), name(&diff.new));
    writeln!(
        out,
        "{CHANGED}different platforms: {old} and {new}{CHANGED:#}"
    )
}

fn described(head: &DiffHead) -> String {
    let mut parts = vec![head.archive.clone()];
    parts.extend(head.references.first().cloned());
    parts.extend(head.id.as_deref().map(|id| short(id).to_owned()));
    parts.extend(head.platform.clone());
    escape::text(&parts.join("  ")).into_owned()
}

pub(super) fn heading(out: &mut dyn Write, name: &str) -> io::Result<()> {
    writeln!(out, "\n{HEADING}{name}{HEADING:#}")
}

/// A letter for what happened, and its colour.
fn letter(action: DiffAction) -> (char, Style) {
    match action {
        DiffAction::Added => ('A', ADDED),
        DiffAction::Changed => ('C', CHANGED),
        DiffAction::Deleted => ('D', DELETED),
    }
}

/// A value as people write it: durations of health checks are stored in nanoseconds.
fn of_field<'t>(field: &DiffField, text: &'t str) -> Cow<'t, str> {
    const DURATIONS: [&str; 4] = ["Interval", "Timeout", "StartPeriod", "StartInterval"];
    let name = field.field.strip_prefix("Healthcheck.");
    let is_duration = name.is_some_and(|name| DURATIONS.contains(&name));
    match text.parse::<u64>() {
        Ok(nanoseconds) if is_duration => Cow::Owned(duration(nanoseconds)),
        _ => Cow::Borrowed(text),
    }
}

/// `1m30s`, as Dockerfiles have it.
fn duration(nanoseconds: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let (seconds, rest) = (nanoseconds / SECOND, nanoseconds % SECOND);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let parts = [
        (hours, "h"),
        (minutes, "m"),
        (seconds, "s"),
        (rest / 1_000_000, "ms"),
        (rest / 1_000 % 1_000, "us"),
        (rest % 1_000, "ns"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    parts.concat()
}

/// A value as it is printed; one that is empty would not be seen.
fn value(text: &str, whole: bool) -> Cow<'_, str> {
    if text.is_empty() {
        return Cow::Borrowed("\"\"");
    }
    let escaped = escape::text(text);
    if whole || escaped.chars().count() <= VALUE {
        return escaped;
    }
    let mut short: String = escaped.chars().take(VALUE - 1).collect();
    short.push_str(ellipsis());
    Cow::Owned(short)
}

fn config(out: &mut dyn Write, fields: &[DiffField], whole: bool) -> io::Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    heading(out, "Config")?;
    let is_shown = |field: &&DiffField| {
        whole || !field.of_build || ["created", "digest"].contains(&&*field.field)
    };
    for field in fields.iter().filter(is_shown) {
        let (letter, style) = letter(field.action());
        let name = escape::text(&field.field);
        write!(out, "{style}{letter}{style:#} {name}")?;
        match (&field.old, &field.new) {
            (Some(old), Some(new)) => {
                let (old, new) = (of_field(field, old), of_field(field, new));
                let (old, new) = (value(&old, whole), value(&new, whole));
                from_to(out, &old, &new)?;
            }
            // What a set has says all by its name.
            (Some(text), None) | (None, Some(text)) if text == "{}" => writeln!(out)?,
            (Some(text), None) | (None, Some(text)) => {
                writeln!(out, "  {}", value(&of_field(field, text), whole))?;
            }
            (None, None) => writeln!(out)?,
        }
    }
    let others = fields.iter().filter(|field| !is_shown(field)).count();
    if others > 0 {
        let others = units::count(others, "field", "fields");
        writeln!(
            out,
            "{CHANGED}C{CHANGED:#} {others} in which builders note how they built (--no-trunc lists them)"
        )?;
    }
    Ok(())
}

/// Two values in one line if they are short, else in two lines of their own.
fn from_to(out: &mut dyn Write, old: &str, new: &str) -> io::Result<()> {
    let is_short = |text: &str| text.chars().count() <= SHORT && !text.contains('\n');
    if is_short(old) && is_short(new) {
        return writeln!(out, "  {old} -> {new}");
    }
    writeln!(out)?;
    writeln!(out, "    {DELETED}- {old}{DELETED:#}")?;
    writeln!(out, "    {ADDED}+ {new}{ADDED:#}")
}

fn history(out: &mut dyn Write, steps: &[DiffStep], whole: bool) -> io::Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    heading(out, "History")?;
    let is_time = |step: &&DiffStep| step.what == ["created"];
    for step in steps.iter().filter(|step| !is_time(step)) {
        let (letter, style) = letter(step.change);
        let number = step.new.or(step.old).unwrap_or(0) + 1;
        write!(out, "{style}{letter}{style:#} step {number}")?;
        let text = |step: &Option<String>| {
            let step = step.as_deref().unwrap_or_default();
            match step {
                "" => "-".to_owned(),
                step if whole => escape::text(step).into_owned(),
                step => cut(step, VALUE),
            }
        };
        let (old, new) = (text(&step.created_by_old), text(&step.created_by_new));
        match step.change {
            DiffAction::Added => writeln!(out, "  {new}")?,
            DiffAction::Deleted => writeln!(out, "  {old}")?,
            DiffAction::Changed if step.what.contains(&"created_by") => {
                writeln!(out)?;
                writeln!(out, "    {DELETED}- {old}{DELETED:#}")?;
                writeln!(out, "    {ADDED}+ {new}{ADDED:#}")?;
            }
            DiffAction::Changed => writeln!(out, "  {new} ({})", step.what.join(", "))?,
        }
    }
    let times = steps.iter().filter(is_time).count();
    if times > 0 {
        let steps = units::count(times, "step differs", "steps differ");
        writeln!(out, "{CHANGED}C{CHANGED:#} {steps} only in time")?;
    }
    Ok(())
}

fn files(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    if diff.files.is_empty() {
        return Ok(());
    }
    heading(out, "Files")?;
    for file in diff.files.iter() {
        let (letter, style) = letter(file.change);
        write!(out, "{style}{letter}{style:#} {}", shown(&file.path.0))?;
        let details = details(&file);
        if details.is_empty() {
            writeln!(out)?;
        } else {
            writeln!(out, "  ({details})")?;
        }
    }
    Ok(())
}

/// Text in one line that is not too long.
pub(super) fn cut(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = escape::text(&line);
    if line.chars().count() <= most {
        return line.into_owned();
    }
    let mut short: String = line.chars().take(most - 1).collect();
    short.push_str(ellipsis());
    short
}

fn sizes(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    let (old, new) = (diff.old.layers_size, diff.new.layers_size);
    if diff.sizes.count() == 0 && old == new {
        return Ok(());
    }
    heading(out, "Sizes")?;
    size_line(out, diff)?;
    if diff.sizes.count() > 0 {
        writeln!(out, "files   {}", changes(&diff.sizes))?;
    }
    Ok(())
}

/// How many bytes the archives store.
fn size_line(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    let (old, new) = (diff.old.layers_size, diff.new.layers_size);
    if old == new {
        return writeln!(out, "layers  {} stored", units::size(new));
    }
    let sign = if old > new { '-' } else { '+' };
    let by = units::size(old.abs_diff(new));
    let (old, new) = (units::size(old), units::size(new));
    writeln!(out, "layers  {old} -> {new} stored ({sign}{by})")
}

/// The last line.
fn result(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    if diff.same {
        let is_one = diff.old.id == diff.new.id && diff.old.id.is_some();
        let words = if is_one {
            "the same image"
        } else {
            "no difference"
        };
        return writeln!(out, "\n{ADDED}{words}{ADDED:#}");
    }
    let mut words = Vec::new();
    if diff.layers_that_differ > 0 {
        words.push(units::count(diff.layers_that_differ, "layer", "layers"));
    }
    if !diff.config.is_empty() {
        words.push(units::count(
            diff.config.len(),
            "field of the config",
            "fields of the config",
        ));
    }
    if !diff.history.is_empty() {
        words.push(units::count(
            diff.history.len(),
            "build step",
            "build steps",
        ));
    }
    let files = usize::try_from(diff.sizes.count()).unwrap_or(usize::MAX);
    if files > 0 {
        words.push(units::count(files, "file", "files"));
    }
    writeln!(out, "\n{DELETED}different:{DELETED:#} {}", words.join(", "))
}
