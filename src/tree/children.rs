//! The names in directories, in order and in little room.
//!
//! A tree of two million names is not more than an archive may ask for, so a name may cost few bytes:
//! a directory with one name costs nothing, one with a few names 24 bytes, and a larger one little more
//! than four bytes for each.

use std::cmp::Ordering;
use std::slice;

use super::nodes::NodeId;

/// How many names stand in one place of a list, at the most: what an insertion has to move.
const CHUNK: usize = 256;
/// How many names need no room of their own.
const FEW: usize = 5;

/// Where a directory keeps its names: nowhere, as the only one, or in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Children(u32);

/// From here on a number is that of a list; below it is that of the only child. The root is not a
/// child, so 0 can mean that there is none.
const LISTS: u32 = 1 << 31;

enum Form {
    None,
    One(NodeId),
    List(usize),
}

impl Children {
    pub(super) const NONE: Self = Self(0);

    fn form(self) -> Form {
        match self.0 {
            0 => Form::None,
            one if one < LISTS => Form::One(NodeId::from_number(one)),
            list => Form::List((list - LISTS) as usize),
        }
    }
}

#[derive(Clone, Debug)]
enum List {
    Few(u8, [NodeId; FEW]),
    Many(Vec<Vec<NodeId>>),
}

/// All lists of a tree. The caller that looks for a name compares it with that of a child.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    lists: Vec<List>,
    /// Lists that are free again.
    free: Vec<u32>,
}

impl Lists {
    /// The children in order.
    pub(super) fn iter(&self, children: Children) -> Iter<'_> {
        match children.form() {
            Form::None => Iter::One(None),
            Form::One(one) => Iter::One(Some(one)),
            Form::List(at) => match &self.lists[at] {
                List::Few(len, ids) => Iter::Few(ids[..usize::from(*len)].iter()),
                List::Many(chunks) => Iter::Many(chunks.iter(), [].iter()),
            },
        }
    }

    /// How many children there are.
    pub(super) fn len(&self, children: Children) -> usize {
        match children.form() {
            Form::None => 0,
            Form::One(_) => 1,
            Form::List(at) => match &self.lists[at] {
                List::Few(len, _) => usize::from(*len),
                List::Many(chunks) => chunks.iter().map(Vec::len).sum(),
            },
        }
    }

    /// The child that compares as equal.
    pub(super) fn find(
        &self,
        children: Children,
        compare: impl Fn(NodeId) -> Ordering,
    ) -> Option<NodeId> {
        match children.form() {
            Form::None => None,
            Form::One(one) => compare(one).is_eq().then_some(one),
            Form::List(at) => match &self.lists[at] {
                List::Few(len, ids) => {
                    let ids = &ids[..usize::from(*len)];
                    ids.iter().copied().find(|id| compare(*id).is_eq())
                }
                List::Many(chunks) => {
                    let (chunk, at) = place(chunks, &compare).ok()?;
                    Some(chunks[chunk][at])
                }
            },
        }
    }

    /// Adds a child that is not there yet; how it compares with others is asked.
    pub(super) fn insert(
        &mut self,
        children: Children,
        child: NodeId,
        compare: impl Fn(NodeId) -> Ordering,
    ) -> Children {
        let at = match children.form() {
            Form::None => return Children(child.number()),
            Form::One(one) => {
                let mut ids = [child; FEW];
                let later = usize::from(compare(one).is_gt());
                ids[later] = one;
                if later == 0 {
                    ids[1] = child;
                }
                return self.add(List::Few(2, ids));
            }
            Form::List(at) => at,
        };
        let list = &mut self.lists[at];
        match list {
            List::Few(len, ids) => {
                let used = usize::from(*len);
                let before = ids[..used].partition_point(|id| compare(*id).is_lt());
                if used < FEW {
                    ids.copy_within(before..used, before + 1);
                    ids[before] = child;
                    *len += 1;
                } else {
                    let mut chunk = Vec::with_capacity(2 * FEW);
                    chunk.extend_from_slice(ids);
                    chunk.insert(before, child);
                    *list = List::Many(vec![chunk]);
                }
            }
            List::Many(chunks) => insert_into(chunks, child, &compare),
        }
        children
    }

    /// Takes the child out that compares as equal.
    pub(super) fn remove(
        &mut self,
        children: Children,
        compare: impl Fn(NodeId) -> Ordering,
    ) -> (Children, Option<NodeId>) {
        let at = match children.form() {
            Form::One(one) if compare(one).is_eq() => return (Children::NONE, Some(one)),
            Form::None | Form::One(_) => return (children, None),
            Form::List(at) => at,
        };
        let removed = match &mut self.lists[at] {
            List::Few(len, ids) => {
                let used = usize::from(*len);
                let found = ids[..used].iter().position(|id| compare(*id).is_eq());
                found.map(|found| {
                    let id = ids[found];
                    ids.copy_within(found + 1..used, found);
                    *len -= 1;
                    id
                })
            }
            List::Many(chunks) => place(chunks, &compare).ok().map(|(chunk, at)| {
                let id = chunks[chunk].remove(at);
                if chunks[chunk].is_empty() {
                    chunks.remove(chunk);
                }
                id
            }),
        };
        (children, removed)
    }

    /// Gives back what the children of a directory took.
    pub(super) fn clear(&mut self, children: Children) {
        if let Form::List(at) = children.form() {
            self.lists[at] = List::Few(0, [NodeId::from_number(0); FEW]);
            self.free.push(children.0);
        }
    }

    fn add(&mut self, list: List) -> Children {
        if let Some(free) = self.free.pop() {
            let children = Children(free);
            if let Form::List(at) = children.form() {
                self.lists[at] = list;
            }
            return children;
        }
        // There are fewer lists than names, and fewer names than half of all numbers.
        let number = u32::try_from(self.lists.len()).unwrap_or(LISTS - 1);
        self.lists.push(list);
        Children(LISTS + number)
    }
}

/// Where the child is that compares as equal, or would be.
fn place(
    chunks: &[Vec<NodeId>],
    compare: &impl Fn(NodeId) -> Ordering,
) -> Result<(usize, usize), (usize, usize)> {
    // No chunk is empty.
    let after = chunks.partition_point(|chunk| compare(chunk[0]).is_le());
    let chunk = after.saturating_sub(1);
    let Some(ids) = chunks.get(chunk) else {
        return Err((0, 0));
    };
    let found = ids.binary_search_by(|id| compare(*id));
    found.map(|at| (chunk, at)).map_err(|at| (chunk, at))
}

fn insert_into(
    chunks: &mut Vec<Vec<NodeId>>,
    child: NodeId,
    compare: &impl Fn(NodeId) -> Ordering,
) {
    let (Ok((chunk, at)) | Err((chunk, at))) = place(chunks, compare);
    let Some(ids) = chunks.get_mut(chunk) else {
        chunks.push(vec![child]);
        return;
    };
    if ids.len() < CHUNK {
        ids.insert(at, child);
        return;
    }
    // Names mostly come in order: then a full chunk stays full.
    if at == CHUNK {
        chunks.insert(chunk + 1, vec![child]);
        return;
    }
    let mut upper = ids.split_off(CHUNK / 2);
    match at.checked_sub(CHUNK / 2) {
        Some(at) => upper.insert(at, child),
        None => ids.insert(at, child),
    }
    chunks.insert(chunk + 1, upper);
}

/// The children of a directory in order.
#[derive(Clone, Debug)]
pub(super) enum Iter<'t> {
    One(Option<NodeId>),
    Few(slice::Iter<'t, NodeId>),
    Many(slice::Iter<'t, Vec<NodeId>>, slice::Iter<'t, NodeId>),
}

impl Default for Iter<'_> {
    fn default() -> Self {
        Self::One(None)
    }
}

impl Iter<'_> {
    /// Whether no child is left.
    pub(super) fn is_at_end(&self) -> bool {
        match self {
            Self::One(one) => one.is_none(),
            Self::Few(ids) => ids.len() == 0,
            // No chunk is empty.
            Self::Many(chunks, ids) => ids.len() == 0 && chunks.len() == 0,
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        match self {
            Self::One(one) => one.take(),
            Self::Few(ids) => ids.next().copied(),
            Self::Many(chunks, ids) => loop {
                if let Some(id) = ids.next() {
                    return Some(*id);
                }
                *ids = chunks.next()?.iter();
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn children_are_those_of_a_sorted_set() {
        // The name of a child is its number.
        let mut state = 1_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        for (most, step) in [(4, 3), (9, 20), (3000, 1), (3000, 20_000)] {
            let mut lists = Lists::default();
            let mut children = Children::NONE;
            let mut model = BTreeSet::new();
            for round in 0..20_000_u32 {
                // In order at first, then at random.
                let number = if round < step { round } else { random() } % most + 1;
                let compare = |id: NodeId| id.number().cmp(&number);
                let child = NodeId::from_number(number);
                if random() % 3 == 0 {
                    let (after, removed) = lists.remove(children, compare);
                    children = after;
                    assert_eq!(removed.is_some(), model.remove(&number));
                } else if model.insert(number) {
                    assert_eq!(lists.find(children, compare), None);
                    children = lists.insert(children, child, compare);
                }
                let found = model.contains(&number).then_some(child);
                assert_eq!(lists.find(children, compare), found);
                if random() % 4000 == 0 {
                    lists.clear(children);
                    children = Children::NONE;
                    model.clear();
                }
                if round % 97 == 0 {
                    assert_eq!(lists.len(children), model.len());
                    let all: Vec<u32> = lists.iter(children).map(NodeId::number).collect();
                    assert!(all.iter().eq(model.iter()), "{all:?}");
                }
            }
        }
    }
}
