//! What is known of the line under the cursor.

use imgtar::base::escape;
use imgtar::report::{LsEntry, units};
use imgtar::source::Compression;
use imgtar::tree::{Body, Fate, HiddenBy, LayerChange, NodeId};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use unicode_width::UnicodeWidthChar;

use super::{Theme, line_of, name_of, put, step, tail};
use crate::cli::browse::model::{ImageScreen, Pane};
use crate::cli::{render, wrap};

pub(super) fn draw(image: &ImageScreen, theme: Theme, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let (heading, lines) = match (image.side, image.chosen()) {
        (Pane::Files, Some(chosen)) => file(image, chosen),
        _ => layer(image),
    };
    let heading = tail(&heading, usize::from(area.width));
    put(
        buffer,
        area,
        0,
        &Line::styled(heading, theme.heading(false)),
    );
    let mut at = 1;
    for text in lines {
        for part in wrapped(&text, usize::from(area.width)) {
            put(buffer, area, at, &Line::raw(part));
            at += 1;
        }
    }
}

/// A text in lines of so many cells; a word that is longer than a line goes on in the next.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for line in wrap::lines(text, width) {
        let mut rest = line;
        loop {
            let mut cells = 0;
            let cut = rest.char_indices().find(|(at, letter)| {
                cells += UnicodeWidthChar::width(*letter).unwrap_or(0);
                cells > width && *at > 0
            });
            let Some((cut, _)) = cut else { break };
            let (begin, end) = rest.split_at(cut);
            lines.push(begin.to_owned());
            rest = end;
        }
        lines.push(rest.to_owned());
    }
    lines
}

fn layer(image: &ImageScreen) -> (String, Vec<String>) {
    let number = image.layer();
    let Some(layer) = image.image.layers.get(number) else {
        return (String::new(), Vec::new());
    };
    let mut facts = Vec::new();
    match layer.present() {
        Some((slice, compression)) => {
            let stored = units::size_spaced(slice.len());
            facts.push(match compression {
                Compression::None => format!("stored {stored}, not compressed"),
                other => format!("stored {stored}, {other}"),
            });
        }
        None => facts.push("not in the archive".to_owned()),
    }
    if let Some(measure) = image.measures.get(number).copied().flatten() {
        facts.push(format!("tar {}", units::size_spaced(measure.tar_size)));
        let entries = usize::try_from(measure.entries).unwrap_or(usize::MAX);
        facts.push(units::count(entries, "entry", "entries"));
    }
    if let Some(waste) = image.waste.get(number) {
        facts.push(format!("{} hidden later", units::size_spaced(waste.wasted)));
        facts.push(format!("hides {}", units::size_spaced(waste.hides)));
    }
    let mut lines = vec![facts.join(", ")];
    let step = step(image, number);
    lines.push(if step.is_empty() {
        "no build step is known".to_owned()
    } else {
        step
    });
    if let Some(diff_id) = &layer.diff_id {
        lines.push(format!("diff ID {}", line_of(&diff_id.to_string())));
    }
    if let Some(digest) = &layer.digest {
        lines.push(format!("blob {}", line_of(&digest.to_string())));
    }
    if let Some(media_type) = &layer.media_type {
        lines.push(line_of(&media_type.to_string()));
    }
    (format!("Layer {number}"), lines)
}

fn file(image: &ImageScreen, chosen: NodeId) -> (String, Vec<String>) {
    let (Some(timeline), Some(rows)) = (&image.files.timeline, &image.files.rows) else {
        return (String::new(), Vec::new());
    };
    let path = timeline.fates().path(chosen);
    let heading = name_of_whole(&path);
    let Some((record, change)) = image.shown(chosen) else {
        return (heading, Vec::new());
    };
    let inode = timeline.inode(&record);
    let entry = LsEntry::of_inode(&path, inode, None, record.layer as usize);
    let time = entry.mtime.map_or_else(
        || "time outside the calendar".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    );
    let size = units::size_spaced(rows.sizes.of(chosen));
    let mode = render::mode(&entry);
    let mut lines = vec![format!(
        "{mode}  {}:{}  {size}  {time}",
        entry.uid, entry.gid
    )];
    let from = record.layer as usize;
    let maker = made(image, from);
    let verb = match change {
        Some(LayerChange::Added) => "added by",
        Some(LayerChange::Changed) => "changed by",
        Some(LayerChange::Deleted) => "was from",
        None if record.is_entry => "from",
        None => "has no entry; created for its content by",
    };
    lines.push(format!("{verb} layer {from}{maker}"));
    lines.push(match record.fate {
        Fate::Live => "part of the final image".to_owned(),
        Fate::Hidden { layer, by } => {
            let after = timeline.at(chosen, layer as usize);
            let is_directory = |record| matches!(timeline.inode(record).body, Body::Directory);
            let how = match by {
                HiddenBy::Entry
                    if after.as_ref().is_some_and(is_directory) && is_directory(&record) =>
                {
                    "listed again by"
                }
                HiddenBy::Entry => "replaced by",
                HiddenBy::Whiteout => "deleted by",
                HiddenBy::Opaque => "deleted with its whole directory by",
                HiddenBy::Parent => "deleted because its directory was replaced in",
            };
            format!("{how} layer {layer}{}", made(image, layer as usize))
        }
    });
    if let Some(target) = &entry.target {
        lines.push(format!("points to {}", name_of(&target.0)));
    }
    if let Some(link) = record.link {
        let to = name_of_whole(&timeline.fates().path(link));
        lines.push(format!("another name of {to}"));
    }
    if let Some((major, minor)) = entry.device {
        lines.push(format!("device {major}, {minor}"));
    }
    if !inode.xattrs.is_empty() {
        let names = inode
            .xattrs
            .as_slice()
            .iter()
            .map(|(name, _)| name_of(name));
        lines.push(format!(
            "extended attributes: {}",
            names.collect::<Vec<_>>().join(", ")
        ));
    }
    (heading, lines)
}

/// The build step of a layer, behind its number.
fn made(image: &ImageScreen, layer: usize) -> String {
    let step = step(image, layer);
    if step.is_empty() {
        step
    } else {
        format!(": {step}")
    }
}

fn name_of_whole(path: &[u8]) -> String {
    escape::name(path).to_string()
}
