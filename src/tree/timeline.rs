//! All names of all layers as one tree, and what stands at each of them after each layer: for those who look at an
//! image layer by layer.
//!
//! A [`Fates`] has a record for every entry. Here the records are sorted by path, and the paths by directory, so
//! that what one layer did to one name is found without a walk over the others. Memory is bounded by the entries,
//! which the limits count: 24 bytes for each beside what a [`Fates`] takes.
//!
//! Long: half of it are its tests.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use super::fates::{Fate, FateRecord, Fates, HiddenBy};
use super::inode::{Body, Inode};
use super::nodes::{NodeId, ROOT, Tree};

/// What a layer does to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerChange {
    /// It was not there before.
    Added,
    /// Something was there before.
    Changed,
    /// It was deleted.
    Deleted,
}

/// Which of the names are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerView {
    /// What this layer adds, changes and deletes.
    Changes,
    /// What there is once this layer and all below it are applied, and what this layer deletes.
    UpTo,
}

/// The names of all layers, and what stands at each of them after each layer. A name is called by one number
/// however often it went and came again; the numbers are those of [`Fates::path`].
#[derive(Debug)]
pub struct Timeline {
    fates: Fates,
    /// By the numbers of names: the number that this name goes by here.
    place_of: Vec<u32>,
    /// By places: where their names begin in `children`. One more at the end.
    children_at: Vec<u32>,
    children: Vec<u32>,
    /// By places: where their records begin in `records`. One more at the end.
    records_at: Vec<u32>,
    records: Vec<u32>,
    /// By layers: where the records of their entries begin. One more at the end.
    layers: Vec<u32>,
    /// By layers: where the records that they hide begin in `hidden`. One more at the end.
    hidden_at: Vec<u32>,
    hidden: Vec<u32>,
}

/// How many bytes the regular files in each directory have, and which names a layer has to do with.
#[derive(Debug)]
pub struct LayerSizes {
    of: Vec<u64>,
    touched: BitSet,
}

/// A set of numbers below one that is known.
#[derive(Clone, Debug)]
struct BitSet(Vec<u64>);

impl BitSet {
    fn new(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn has(&self, number: usize) -> bool {
        self.0
            .get(number / 64)
            .is_some_and(|bits| bits & (1 << (number % 64)) != 0)
    }

    /// Whether it is new.
    fn add(&mut self, number: usize) -> bool {
        let is_new = !self.has(number);
        self.0[number / 64] |= 1 << (number % 64);
        is_new
    }
}

/// Sorts numbers into groups, whose order stays: where each group begins (and one more), and all of them.
fn grouped(
    groups: usize,
    items: impl Iterator<Item = (usize, u32)> + Clone,
) -> (Vec<u32>, Vec<u32>) {
    let mut at = vec![0_u32; groups + 1];
    for (group, _) in items.clone() {
        at[group + 1] += 1;
    }
    for group in 0..groups {
        at[group + 1] += at[group];
    }
    let mut list = vec![0_u32; at[groups] as usize];
    for (group, item) in items {
        list[at[group] as usize] = item;
        at[group] += 1;
    }
    // Each beginning has moved to the end of its group, which is the beginning of the next.
    at.copy_within(0..groups, 1);
    at[0] = 0;
    (at, list)
}

/// A number as it is stored: there are fewer names and records than it can count.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Timeline {
    /// Sorts the records of an image with so many layers.
    pub fn new(fates: Fates, layers: usize) -> Self {
        let tree = fates.tree();
        let names = tree.len() + 1;
        let place_of = places(tree);
        let is_place = |name: &usize| *name > 0 && place_of[*name] as usize == *name;
        let by_parent = (0..names).filter(is_place).map(|name| {
            let parent = tree.parent(NodeId::from_number(number(name)));
            (place_of[parent.index()] as usize, number(name))
        });
        let (children_at, mut children) = grouped(names, by_parent);
        let name_of = |place: &u32| tree.name(NodeId::from_number(*place));
        for directory in 0..names {
            let range = children_at[directory] as usize..children_at[directory + 1] as usize;
            let siblings = &mut children[range];
            if !siblings.is_sorted_by(|a, b| name_of(a) <= name_of(b)) {
                siblings.sort_unstable_by(|a, b| name_of(a).cmp(name_of(b)));
            }
        }
        let by_place = fates.iter().enumerate();
        let by_place =
            by_place.map(|(i, record)| (place_of[record.node.index()] as usize, number(i)));
        let (records_at, records) = grouped(names, by_place);
        let by_layer = fates.iter().enumerate();
        let by_layer = by_layer.map(|(i, record)| (record.layer as usize, number(i)));
        let layers = layers.max(
            by_layer
                .clone()
                .map(|(layer, _)| layer + 1)
                .max()
                .unwrap_or(0),
        );
        // They are in the order of the layers, so the groups are stretches of them.
        let (layers_at, _) = grouped(layers, by_layer);
        let gone = fates
            .iter()
            .enumerate()
            .filter_map(|(i, record)| match record.fate {
                Fate::Hidden { layer, .. } => Some((layer as usize, number(i))),
                Fate::Live => None,
            });
        let (hidden_at, hidden) = grouped(layers, gone);
        Self {
            place_of,
            children_at,
            children,
            records_at,
            records,
            layers: layers_at,
            hidden_at,
            hidden,
            fates,
        }
    }

    /// What became of every entry.
    pub fn fates(&self) -> &Fates {
        &self.fates
    }

    /// The root, which is always there.
    pub fn root(&self) -> NodeId {
        ROOT
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers.len() - 1
    }

    /// How many names of all layers there are; their numbers are not greater than that.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether no layer has a name.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// How many numbers of names there may be: for tables that are as long as that.
    pub fn numbers(&self) -> usize {
        self.place_of.len()
    }

    /// A name, without the path before it; that of the root is empty.
    pub fn name(&self, place: NodeId) -> &[u8] {
        self.fates.tree().name(place)
    }

    /// The directory that a name is in; that of the root is the root.
    pub fn parent(&self, place: NodeId) -> NodeId {
        self.place(self.fates.tree().parent(place))
    }

    /// How many directories a name lies below the root's own.
    pub fn depth(&self, place: NodeId) -> usize {
        let (mut depth, mut at) = (0, place);
        while at != ROOT {
            at = self.parent(at);
            depth += 1;
        }
        depth
    }

    /// What a name of the tree, which may have gone and come again, is called here.
    pub fn place(&self, node: NodeId) -> NodeId {
        NodeId::from_number(self.place_of[node.index()])
    }

    /// The name at a path; `None` if no layer has one there. Symbolic links are not followed.
    pub fn find(&self, path: &[u8]) -> Option<NodeId> {
        let mut names = path.split(|&b| b == b'/').filter(|name| !name.is_empty());
        names.try_fold(ROOT, |directory, name| {
            let children = self.list(directory);
            let compare = |place: &u32| self.name(NodeId::from_number(*place)).cmp(name);
            let at = children.binary_search_by(compare).ok()?;
            Some(NodeId::from_number(children[at]))
        })
    }

    fn list(&self, directory: NodeId) -> &[u32] {
        let at = directory.index();
        &self.children[self.children_at[at] as usize..self.children_at[at + 1] as usize]
    }

    /// What any layer has in a directory, in the order of the bytes of the names.
    pub fn children(&self, directory: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + '_ {
        self.list(directory)
            .iter()
            .map(|place| NodeId::from_number(*place))
    }

    /// What stands at a name once the layers up to `layer` are applied.
    pub fn at(&self, place: NodeId, layer: usize) -> Option<FateRecord> {
        let at = place.index();
        let range = self.records_at[at] as usize..self.records_at[at + 1] as usize;
        let records = self.records[range].iter().rev();
        let records = records.filter_map(|record| self.fates.get(*record as usize));
        // The last of those that the layers have, if none of the layers hides it.
        let last = records
            .into_iter()
            .find(|record| record.layer as usize <= layer)?;
        match last.fate {
            Fate::Hidden { layer: by, .. } if by as usize <= layer => None,
            Fate::Hidden { .. } | Fate::Live => Some(last),
        }
    }

    /// What stood at a name before `layer` was applied.
    pub fn before(&self, place: NodeId, layer: usize) -> Option<FateRecord> {
        self.at(place, layer.checked_sub(1)?)
    }

    /// What a layer does to a name; nothing if it lists a directory as it was.
    pub fn change(&self, place: NodeId, layer: usize) -> Option<LayerChange> {
        let now = self.at(place, layer);
        if now.is_some_and(|now| (now.layer as usize) < layer) {
            return None;
        }
        let before = self.before(place, layer);
        match (before, now) {
            (None, Some(_)) => Some(LayerChange::Added),
            (Some(_), None) => Some(LayerChange::Deleted),
            (None, None) => None,
            (Some(before), Some(now)) => {
                let tree = self.fates.tree();
                let (before, now) = (tree.inode(before.inode), tree.inode(now.inode));
                (!is_same_directory(before, now)).then_some(LayerChange::Changed)
            }
        }
    }

    /// What is shown of a name: what stands there, or stood there if the layer deletes it. `None` if it is not part
    /// of the view. Directories on the way to a change are not part of [`LayerView::Changes`] by themselves.
    pub fn shown(
        &self,
        place: NodeId,
        layer: usize,
        view: LayerView,
    ) -> Option<(FateRecord, Option<LayerChange>)> {
        let change = self.change(place, layer);
        let record = match change {
            Some(LayerChange::Deleted) => self.before(place, layer)?,
            _ => self.at(place, layer)?,
        };
        (change.is_some() || view == LayerView::UpTo).then_some((record, change))
    }

    /// The file of a record.
    pub fn inode(&self, record: &FateRecord) -> &Inode {
        self.fates.tree().inode(record.inode)
    }

    /// The names that a layer has entries for or deletes, some of them twice.
    fn touched(&self, layer: usize) -> impl Iterator<Item = NodeId> + '_ {
        let range = |at: &[u32]| -> Range<usize> {
            match (at.get(layer), at.get(layer + 1)) {
                (Some(from), Some(to)) => *from as usize..*to as usize,
                _ => 0..0,
            }
        };
        let own = range(&self.layers);
        let hidden = self.hidden[range(&self.hidden_at)]
            .iter()
            .map(|record| *record as usize);
        let records = own
            .chain(hidden)
            .filter_map(|record| self.fates.get(record));
        records.map(|record| self.place(record.node))
    }

    /// The sizes of directories in a view of a layer. Regular files count once, however many names they have. What
    /// is deleted counts in the directories that are deleted with it and nowhere else.
    pub fn sizes(&self, layer: usize, view: LayerView) -> LayerSizes {
        let mut sizes = LayerSizes {
            of: vec![0; self.numbers()],
            touched: BitSet::new(self.numbers()),
        };
        let mut seen = BitSet::new(self.fates.tree().inode_count());
        let mut known = BitSet::new(self.numbers());
        for place in self.touched(layer) {
            if !known.add(place.index()) {
                continue;
            }
            let Some((record, change)) = self.shown(place, layer, LayerView::Changes) else {
                continue;
            };
            let mut at = place;
            while at != ROOT && sizes.touched.add(at.index()) {
                at = self.parent(at);
            }
            sizes.touched.add(ROOT.index());
            let deleted = change == Some(LayerChange::Deleted);
            if deleted || view == LayerView::Changes {
                self.count(&mut sizes, &mut seen, place, &record, |above| {
                    !deleted || self.change(above, layer) == Some(LayerChange::Deleted)
                });
            }
        }
        if view == LayerView::UpTo {
            let mut open = vec![ROOT];
            while let Some(directory) = open.pop() {
                for place in self.children(directory) {
                    let Some(record) = self.at(place, layer) else {
                        continue;
                    };
                    self.count(&mut sizes, &mut seen, place, &record, |_| true);
                    if !self.list(place).is_empty() {
                        open.push(place);
                    }
                }
            }
        }
        sizes
    }

    /// Counts a file for itself and for the directories above it.
    fn count(
        &self,
        sizes: &mut LayerSizes,
        seen: &mut BitSet,
        place: NodeId,
        record: &FateRecord,
        counts_in: impl Fn(NodeId) -> bool,
    ) {
        let size = self.inode(record).size();
        if size == 0 {
            return;
        }
        sizes.of[place.index()] = size;
        if !seen.add(record.inode.index()) {
            return;
        }
        let mut at = place;
        while at != ROOT {
            at = self.parent(at);
            if !counts_in(at) {
                break;
            }
            let sum = &mut sizes.of[at.index()];
            *sum = sum.saturating_add(size);
        }
    }

    /// Who hides what stands at a name after `layer`, if anything does later, and how.
    pub fn hidden_later(record: &FateRecord) -> Option<(usize, HiddenBy)> {
        match record.fate {
            Fate::Hidden { layer, by } => Some((layer as usize, by)),
            Fate::Live => None,
        }
    }
}

impl LayerSizes {
    /// The bytes of a regular file, or of those in a directory.
    pub fn of(&self, place: NodeId) -> u64 {
        self.of.get(place.index()).copied().unwrap_or(0)
    }

    /// Whether the layer changes a name, or something below it.
    pub fn is_touched(&self, place: NodeId) -> bool {
        self.touched.has(place.index())
    }

    /// How many names the layer changes, with the directories on the way to them.
    pub fn touched(&self) -> usize {
        let counts = self.touched.0.iter().map(|bits| bits.count_ones() as usize);
        counts.sum()
    }

    /// Compares two names by their sizes, the largest first.
    pub fn compare(&self, one: NodeId, other: NodeId) -> Ordering {
        self.of(other).cmp(&self.of(one))
    }
}

/// Whether both are directories and nothing about them differs.
fn is_same_directory(one: &Inode, other: &Inode) -> bool {
    matches!((&one.body, &other.body), (Body::Directory, Body::Directory))
        && (one.mode, one.uid, one.gid) == (other.mode, other.uid, other.gid)
        && one.mtime() == other.mtime()
        && one.xattrs == other.xattrs
}

/// By the numbers of names: the number that stands for all names with the same path. That is the one in the merged
/// tree, or where none is there the first.
fn places(tree: &Tree) -> Vec<u32> {
    let names = tree.len() + 1;
    let mut place_of: Vec<u32> = Vec::with_capacity(names);
    place_of.push(ROOT.number());
    // Only names that went have to be looked up.
    let mut gone: HashMap<(u32, &[u8]), u32> = HashMap::new();
    for name in 1..names {
        let node = NodeId::from_number(number(name));
        // A directory has its number before what is in it.
        let parent = tree.parent(node);
        let directory = place_of[parent.index()];
        let live = tree.child(NodeId::from_number(directory), tree.name(node));
        let place = match live {
            Some(live) => live.number(),
            None => *gone
                .entry((directory, tree.name(node)))
                .or_insert(node.number()),
        };
        place_of.push(place);
    }
    place_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::LayerTar;
    use crate::source::{Input, Slice};

    fn layer(entries: &[(&str, &str)]) -> LayerTar {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_gnu();
            let is_directory = path.ends_with('/');
            header.set_entry_type(if is_directory {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            builder
                .append_data(&mut header, path, content.as_bytes())
                .expect("in memory");
        }
        let bytes = builder.into_inner().expect("in memory");
        let options = crate::Options::default();
        let input = Input::from_reader(bytes, "layer", &options).expect("in memory");
        let slice: Slice = input.source().whole();
        LayerTar::plain(slice)
    }

    fn timeline(layers: &[&[(&str, &str)]]) -> Timeline {
        let tars: Vec<LayerTar> = layers.iter().map(|entries| layer(entries)).collect();
        Timeline::new(Fates::of_layers(&tars).expect("layers"), tars.len())
    }

    /// Everything that a view shows, as lines.
    fn drawn(timeline: &Timeline, layer: usize, view: LayerView) -> Vec<String> {
        let sizes = timeline.sizes(layer, view);
        let mut lines = Vec::new();
        let mut open = vec![timeline.root()];
        while let Some(place) = open.pop() {
            open.extend(timeline.children(place).rev());
            let Some((_, change)) = timeline.shown(place, layer, view) else {
                continue;
            };
            if place == timeline.root() {
                continue;
            }
            let letter = match change {
                Some(LayerChange::Added) => 'A',
                Some(LayerChange::Changed) => 'C',
                Some(LayerChange::Deleted) => 'D',
                None if sizes.is_touched(place) => '*',
                None => ' ',
            };
            let path = String::from_utf8_lossy(&timeline.fates().path(place)).into_owned();
            lines.push(format!("{letter} {path} {}", sizes.of(place)));
        }
        lines
    }

    #[test]
    fn each_layer_is_seen_as_it_was() {
        let timeline = timeline(&[
            &[
                ("a/", ""),
                ("a/one", "1"),
                ("a/two", "22"),
                ("b/", ""),
                ("b/x", "xyz"),
            ],
            &[
                ("a/", ""),
                ("a/one", "1234"),
                ("a/.wh.two", ""),
                (".wh.b", ""),
            ],
            &[("b/", ""), ("b/x", "again"), ("b/y", "")],
        ]);
        let seen = |layer, view| drawn(&timeline, layer, view);
        let base = ["A a 3", "A a/one 1", "A a/two 2", "A b 3", "A b/x 3"];
        assert_eq!(seen(0, LayerView::Changes), base);
        assert_eq!(seen(0, LayerView::UpTo), base);
        assert_eq!(
            seen(1, LayerView::Changes),
            ["C a/one 4", "D a/two 2", "D b 3", "D b/x 3"]
        );
        assert_eq!(
            seen(1, LayerView::UpTo),
            ["* a 4", "C a/one 4", "D a/two 2", "D b 3", "D b/x 3"]
        );
        assert_eq!(seen(2, LayerView::Changes), ["A b 5", "A b/x 5", "A b/y 0"]);
        assert_eq!(
            seen(2, LayerView::UpTo),
            ["  a 4", "  a/one 4", "A b 5", "A b/x 5", "A b/y 0"]
        );
        assert_eq!(timeline.len(), 6);
        assert_eq!(timeline.find(b"/b/y").map(|y| timeline.depth(y)), Some(2));
        assert_eq!(timeline.find(b"b/z"), None);
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_deletes_what_was_in_it() {
        let timeline = timeline(&[&[("d/", ""), ("d/f", "12")], &[("d", "file")]]);
        assert_eq!(drawn(&timeline, 1, LayerView::UpTo), ["C d 4", "D d/f 2"]);
    }

    #[test]
    fn an_image_without_layers_is_empty() {
        let timeline = timeline(&[]);
        assert!(timeline.is_empty());
        assert_eq!(timeline.layers(), 0);
        assert!(drawn(&timeline, 0, LayerView::UpTo).is_empty());
    }
}
