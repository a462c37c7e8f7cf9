//! The tree of `tree`, as `docker images --tree` drew it up to Docker 1.6.

use std::fmt::Write as _;

use imgtar::report::{TreeNode, units};

use super::layers::short;
use crate::cli::output::escaped;

/// Draws the roots one below the other. Without recursion: a stack may be thousands of layers high.
pub(crate) fn tree(roots: &[TreeNode], whole: bool) -> String {
    let mut text = String::new();
    let mut open: Vec<(String, &[TreeNode])> = vec![(String::new(), roots)];
    while let Some((prefix, nodes)) = open.pop() {
        let Some((node, rest)) = nodes.split_first() else {
            continue;
        };
        let (branch, below) = if rest.is_empty() {
            ("└─", "  ")
        } else {
            ("├─", "│ ")
        };
        _ = writeln!(text, "{prefix}{branch}{}", label(node, whole));
        let deeper = format!("{prefix}{below}");
        open.push((prefix, rest));
        open.push((deeper, &node.children));
    }
    text
}

fn label(node: &TreeNode, whole: bool) -> String {
    let size = |size: Option<u64>| size.map_or_else(|| "unknown".to_owned(), units::size_spaced);
    let id = match node.chain_id.as_deref().or(node.legacy_id.as_deref()) {
        Some(id) if whole => id,
        Some(id) => short(id),
        None => "<missing>",
    };
    let mut text = format!(
        "{} Size: {} Virtual Size: {}",
        escaped(id),
        size(node.size),
        size(node.virtual_size)
    );
    if !node.references.is_empty() {
        _ = write!(text, " Tags: {}", escaped(&node.references.join(", ")));
    } else if let Some(image) = node.images.first() {
        // An image without a name ends here; its ID is all there is to call it by.
        _ = write!(text, " Image: {}", if whole { image } else { short(image) });
    }
    text
}
