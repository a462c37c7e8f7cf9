//! `diff` in a line for each kind of difference.

use std::io::{self, Write};

use imgtar::report::{Diff, DiffAction, DiffField, DiffRelation, DiffSizes, units};

use super::diff::platforms;

/// How many files differ, and their bytes; empty if there are none.
pub(super) fn changes(sizes: &DiffSizes) -> String {
    let mut words = Vec::new();
    if sizes.added > 0 {
        words.push(format!(
            "{} added ({})",
            sizes.added,
            units::size(sizes.added_bytes)
        ));
    }
    if sizes.changed > 0 {
        let (old, new) = (sizes.changed_bytes_old, sizes.changed_bytes_new);
        let (old, new) = (units::size(old), units::size(new));
        words.push(if old == new {
            format!("{} changed ({new})", sizes.changed)
        } else {
            format!("{} changed ({old} -> {new})", sizes.changed)
        });
    }
    if sizes.deleted > 0 {
        words.push(format!(
            "{} deleted ({})",
            sizes.deleted,
            units::size(sizes.deleted_bytes)
        ));
    }
    words.join(", ")
}

/// A line for each section.
pub(super) fn stat(out: &mut dyn Write, diff: &Diff<'_>) -> io::Result<()> {
    platforms(out, diff)?;
    if diff.new.id.is_some() {
        let count = |relation: DiffRelation| {
            let layers = diff.layers.iter();
            layers.filter(|layer| layer.relation == relation).count()
        };
        let relations = [
            (DiffRelation::Same, "shared"),
            (DiffRelation::Recompressed, "recompressed"),
            (DiffRelation::Times, "with other times"),
            (DiffRelation::Order, "in another order or form"),
            (DiffRelation::Different, "different"),
            (DiffRelation::Added, "added"),
            (DiffRelation::Removed, "removed"),
        ];
        let words = relations.map(|(relation, word)| (count(relation), word));
        let words = words.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = words.map(|(n, word)| format!("{n} {word}")).collect();
        let words = if words.is_empty() {
            "none".to_owned()
        } else {
            words.join(", ")
        };
        writeln!(out, "layers   {words}")?;
        writeln!(
            out,
            "config   {}",
            counted(diff.config.iter().map(DiffField::action))
        )?;
        writeln!(
            out,
            "history  {}",
            counted(diff.history.iter().map(|step| step.change))
        )?;
    }
    let files = changes(&diff.sizes);
    let files = if files.is_empty() {
        "no difference"
    } else {
        &files
    };
    writeln!(out, "files    {files}")?;
    if diff.new.id.is_some() {
        let (old, new) = (diff.old.layers_size, diff.new.layers_size);
        writeln!(
            out,
            "sizes    {} -> {} stored",
            units::size(old),
            units::size(new)
        )?;
    }
    Ok(())
}

fn counted(actions: impl Iterator<Item = DiffAction>) -> String {
    let actions: Vec<DiffAction> = actions.collect();
    let count = |wanted| actions.iter().filter(|action| **action == wanted).count();
    let words = [
        (count(DiffAction::Added), "added"),
        (count(DiffAction::Changed), "changed"),
        (count(DiffAction::Deleted), "deleted"),
    ];
    let words = words.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = words.map(|(n, word)| format!("{n} {word}")).collect();
    if words.is_empty() {
        "no difference".to_owned()
    } else {
        words.join(", ")
    }
}
