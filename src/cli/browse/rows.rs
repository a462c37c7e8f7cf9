//! The rows of the tree: which names are shown, in which order. Put together in the background, for directories may
//! have a million names; what a row says is found when it is drawn.

use std::sync::Arc;

use imgtar::report::PathPattern;
use imgtar::tree::{LayerSizes, LayerView, NodeId, Timeline};

/// Up to how many changes of a layer are shown without a directory being opened by hand.
const FEW: usize = 200;

/// Which rows are wanted.
#[derive(Clone, Debug)]
pub(crate) struct RowsQuery {
    pub(super) timeline: Arc<Timeline>,
    pub(super) layer: usize,
    pub(super) view: LayerView,
    pub(super) by_size: bool,
    pub(super) filter: String,
    pub(super) open: Arc<OpenDirectories>,
    pub(super) closed: Arc<OpenDirectories>,
    /// Those of this layer and this view, where they are known.
    pub(super) sizes: Option<Arc<LayerSizes>>,
    /// What the cursor should be on.
    pub(super) chosen: Option<NodeId>,
}

/// The rows.
#[derive(Clone, Debug)]
pub(crate) struct FileRows {
    pub(super) layer: usize,
    pub(super) view: LayerView,
    pub(super) filter: String,
    pub(super) sizes: Arc<LayerSizes>,
    pub(super) names: Vec<NodeId>,
    /// The row of what was chosen, or of the directory that it would be in.
    pub(super) at: usize,
    /// How many names the filter has found.
    pub(super) found: usize,
}

/// The directories that are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenDirectories(Vec<u64>);

impl OpenDirectories {
    pub(super) fn has(&self, place: NodeId) -> bool {
        let at = place.index();
        self.0
            .get(at / 64)
            .is_some_and(|bits| bits & (1 << (at % 64)) != 0)
    }

    /// Opens or closes a directory.
    pub(super) fn set(&mut self, place: NodeId, open: bool) {
        let at = place.index();
        if self.0.len() <= at / 64 {
            self.0.resize(at / 64 + 1, 0);
        }
        let bit = 1 << (at % 64);
        if open {
            self.0[at / 64] |= bit;
        } else {
            self.0[at / 64] &= !bit;
        }
    }
}

/// What names are compared with.
enum Needle {
    /// Text that they have, in any case where it has no capital letter.
    Text {
        text: Vec<u8>,
        any_case: bool,
    },
    Pattern(PathPattern),
}

impl Needle {
    fn of(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        if let Some(pattern) = PathPattern::of_glob_like(text) {
            return Some(Self::Pattern(pattern));
        }
        let any_case = !text.chars().any(char::is_uppercase);
        let text = text.trim_matches('/').as_bytes().to_vec();
        Some(Self::Text { text, any_case })
    }

    fn fits(&self, timeline: &Timeline, place: NodeId) -> bool {
        let has = |hay: &[u8], text: &[u8], any_case: bool| {
            hay.windows(text.len().max(1)).any(|part| {
                if any_case {
                    part.eq_ignore_ascii_case(text)
                } else {
                    part == text
                }
            })
        };
        match self {
            Self::Text { text, any_case } if text.contains(&b'/') => {
                has(&timeline.fates().path(place), text, *any_case)
            }
            Self::Text { text, any_case } => has(timeline.name(place), text, *any_case),
            Self::Pattern(pattern) => pattern.matches(&timeline.fates().path(place)),
        }
    }
}

impl RowsQuery {
    /// Puts the rows together.
    pub(super) fn answer(self) -> FileRows {
        let timeline = &*self.timeline;
        let sizes = self.sizes.clone();
        let sizes = sizes.unwrap_or_else(|| Arc::new(timeline.sizes(self.layer, self.view)));
        let needle = Needle::of(&self.filter);
        let found = needle.as_ref().map(|needle| self.found(needle, &sizes));
        let opens_itself = self.view == LayerView::Changes && sizes.touched() <= FEW;
        let mut names = Vec::new();
        // A directory's names wait here while one of them is shown, the next one last.
        let mut waiting: Vec<NodeId> = Vec::new();
        self.push_names(timeline.root(), &sizes, &mut waiting);
        while let Some(place) = waiting.pop() {
            let is_open = match &found {
                Some((on_the_way, _)) if !on_the_way.has(place) => continue,
                Some(_) => true,
                None if opens_itself => !self.closed.has(place),
                None => self.open.has(place),
            };
            names.push(place);
            if is_open {
                self.push_names(place, &sizes, &mut waiting);
            }
        }
        let mut at = self.row_of_chosen(&names);
        // What a filter finds is chosen, rather than a directory on the way to it.
        if let Some(needle) = &needle
            && names.get(at).copied() != self.chosen
        {
            let found = names.iter().position(|place| needle.fits(timeline, *place));
            at = found.unwrap_or(at);
        }
        FileRows {
            layer: self.layer,
            view: self.view,
            found: found.map_or(0, |(_, count)| count),
            filter: self.filter,
            sizes,
            names,
            at,
        }
    }

    fn is_shown(&self, place: NodeId, sizes: &LayerSizes) -> bool {
        match self.view {
            LayerView::Changes => sizes.is_touched(place),
            LayerView::UpTo => {
                sizes.is_touched(place) || self.timeline.at(place, self.layer).is_some()
            }
        }
    }

    /// Adds what is shown of a directory, the last name first.
    fn push_names(&self, directory: NodeId, sizes: &LayerSizes, waiting: &mut Vec<NodeId>) {
        let from = waiting.len();
        let names = self.timeline.children(directory);
        waiting.extend(names.rev().filter(|place| self.is_shown(*place, sizes)));
        if self.by_size {
            // Names of one size stay in their order.
            waiting[from..].reverse();
            waiting[from..].sort_by(|one, other| sizes.compare(*one, *other));
            waiting[from..].reverse();
        }
    }

    /// The names that the filter finds, with the directories on the way to them, and how many it finds.
    fn found(&self, needle: &Needle, sizes: &LayerSizes) -> (OpenDirectories, usize) {
        let timeline = &*self.timeline;
        let mut on_the_way = OpenDirectories::default();
        let mut count = 0;
        let mut open = vec![timeline.root()];
        while let Some(directory) = open.pop() {
            for place in timeline.children(directory) {
                if !self.is_shown(place, sizes) {
                    continue;
                }
                open.push(place);
                if needle.fits(timeline, place) {
                    count += 1;
                    let mut at = place;
                    while at != timeline.root() && !on_the_way.has(at) {
                        on_the_way.set(at, true);
                        at = timeline.parent(at);
                    }
                }
            }
        }
        (on_the_way, count)
    }

    fn row_of_chosen(&self, names: &[NodeId]) -> usize {
        let mut chosen = self.chosen;
        while let Some(place) = chosen {
            if let Some(at) = names.iter().position(|name| *name == place) {
                return at;
            }
            let parent = self.timeline.parent(place);
            chosen = (parent != place).then_some(parent);
        }
        0
    }
}
