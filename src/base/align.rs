//! What two lists have in common, in order.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::ops::Range;

/// Pairs items of two lists that are equal, as places in `old` and `new`, both in ascending order: those at
/// the beginning and at the end, and between them the first of several equal ones with the first, the second
/// with the second, as many of these pairs as do not cross.
///
/// Takes time in proportion to the lists, but for a logarithm, where a longest common subsequence would take
/// their product: the lists come out of archives.
pub(crate) fn common<T: Eq + Hash>(old: &[T], new: &[T]) -> Vec<(usize, usize)> {
    let both = old.iter().zip(new);
    let front = both.take_while(|(old, new)| old == new).count();
    let rest = old[front..].iter().rev().zip(new[front..].iter().rev());
    let back = rest.take_while(|(old, new)| old == new).count();
    let (old_end, new_end) = (old.len() - back, new.len() - back);
    let mut pairs: Vec<(usize, usize)> = (0..front).map(|i| (i, i)).collect();
    pairs.extend(ascending(&crossing(
        &old[front..old_end],
        &new[front..new_end],
        front,
    )));
    pairs.extend((0..back).map(|i| (old_end + i, new_end + i)));
    pairs
}

/// What stands between pairs that ascend, in lists of these lengths: stretches of both lists, one of which may be
/// empty.
pub(crate) fn gaps(
    pairs: &[(usize, usize)],
    (old, new): (usize, usize),
) -> Vec<(Range<usize>, Range<usize>)> {
    let mut found = Vec::new();
    let mut begin = (0, 0);
    for &(i, j) in pairs.iter().chain([&(old, new)]) {
        if begin.0 < i || begin.1 < j {
            found.push((begin.0..i, begin.1..j));
        }
        begin = (i + 1, j + 1);
    }
    found
}

/// All pairs, in the order of `new`; both lists begin at `base`.
fn crossing<T: Eq + Hash>(old: &[T], new: &[T], base: usize) -> Vec<(usize, usize)> {
    let mut places: HashMap<&T, VecDeque<usize>> = HashMap::new();
    for (i, item) in old.iter().enumerate() {
        places.entry(item).or_default().push_back(i);
    }
    let pair = |(j, item): (usize, &T)| {
        let i = places.get_mut(item)?.pop_front()?;
        Some((base + i, base + j))
    };
    new.iter().enumerate().filter_map(pair).collect()
}

/// The longest part of a list of pairs, ascending by their second numbers, whose first numbers ascend too.
fn ascending(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // For each length, the pair that ends a part of that length with the smallest first number.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, (first, _)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].0 < *first);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut longest = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        longest.push(pairs[at]);
        next = before[at];
    }
    longest.reverse();
    longest
}

#[cfg(test)]
mod tests {
    use super::{common, gaps};

    fn shown(old: &str, new: &str) -> String {
        let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
        let pairs = common(&old, &new);
        assert!(pairs.iter().all(|(i, j)| old[*i] == new[*j]));
        assert!(pairs.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        pairs.iter().map(|(i, _)| old[*i]).collect()
    }

    #[test]
    fn what_is_common_keeps_its_order() {
        for (old, new, both) in [
            ("", "", ""),
            ("abc", "", ""),
            ("abc", "abc", "abc"),
            ("abcd", "abxd", "abd"),
            ("abc", "xabc", "abc"),
            ("aab", "ab", "ab"),
            ("abcdef", "abfcde", "abcde"),
            ("xyz", "abc", ""),
            // The first a with the first a, and so on: not the longest that there is, which is aba.
            ("abab", "baba", "aa"),
        ] {
            assert_eq!(shown(old, new), both, "{old} {new}");
        }
    }

    #[test]
    fn gaps_stand_between_pairs() {
        assert_eq!(
            gaps(&[(1, 0), (2, 1), (4, 5)], (5, 7)),
            [(0..1, 0..0), (3..4, 2..5), (5..5, 6..7)]
        );
        assert_eq!(gaps(&[], (0, 0)), []);
    }

    #[test]
    fn long_lists_take_no_time() {
        let old: Vec<u32> = (0..200_000).collect();
        let new: Vec<u32> = (0..200_000).rev().collect();
        assert_eq!(common(&old, &new).len(), 1);
        assert_eq!(common(&old, &old).len(), 200_000);
    }
}
