//! The rows of Docker 29's table while they are collected.

use std::collections::{BTreeMap, HashMap};

use super::EngineImage;

/// Rows while they are collected, one for each ID.
#[derive(Default)]
pub(super) struct Rows {
    all: Vec<EngineImage>,
    /// Which row an ID has; none if it is not listed.
    of_id: HashMap<String, Option<usize>>,
    /// Which row has a name, and how often.
    names: BTreeMap<String, (usize, usize)>,
}

impl Rows {
    /// Adds names to the row of an ID. The first time that an ID comes up, `row` makes its row, or none if it
    /// is not to be listed. A name that another row has is taken from it: the last image in an archive
    /// keeps it.
    pub(super) fn add(
        &mut self,
        id: String,
        names: impl IntoIterator<Item = (String, usize)>,
        row: impl FnOnce(String) -> Option<EngineImage>,
    ) {
        let row = if let Some(known) = self.of_id.get(&id) {
            *known
        } else {
            let made = row(id.clone());
            let number = made.as_ref().map(|_| self.all.len());
            self.all.extend(made);
            self.of_id.insert(id, number);
            number
        };
        let Some(row) = row else { return };
        for (name, count) in names {
            self.names.insert(name, (row, count));
        }
    }

    /// All of them by name, with their names by bytes.
    pub(super) fn sorted(mut self) -> Vec<EngineImage> {
        for (name, (row, count)) in self.names {
            let names = &mut self.all[row].names;
            names.extend(std::iter::repeat_n(name, count));
        }
        // The sort is stable: images without a name stay in the archive's order.
        let key = |row: &EngineImage| (row.names.is_empty(), row.names.first().cloned());
        self.all.sort_by_cached_key(key);
        self.all
    }
}
