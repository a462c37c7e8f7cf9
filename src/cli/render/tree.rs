//! The tree of `tree`, as `docker images --tree` drew it up to Docker 1.6.

use std::fmt::Write as _;
use std::io::Write;

use imgtar::base::escape;
use imgtar::base::limits::{Limit, Limits};
use imgtar::report::{TreeNode, units};

use super::columns::too_wide;
use super::layers::short;
use super::marks::Page;
use crate::cli::output::Stop;

/// Draws the roots one below the other. Without recursion: a stack may be thousands of layers high.
///
/// Every layer is indented by one more step, so that what stands before high stacks is counted before it
/// is drawn.
pub(crate) fn tree(
    out: &mut dyn Write,
    roots: &[TreeNode],
    whole: bool,
    limits: &Limits,
) -> Result<(), Stop> {
    let mut indents: u64 = 0;
    each(roots, &mut |depth, _, _| {
        indents = indents.saturating_add(2 * depth as u64);
        Ok(())
    })?;
    limits
        .check(Limit::RepeatedText, indents)
        .map_err(|exceeded| too_wide(indents, exceeded))?;
    let page = Page::new(None, whole);
    let differ = platforms_differ(roots)?;
    let mut above = String::new();
    let mut ends = vec![0];
    each(roots, &mut |depth, node, last| {
        ends.truncate(depth + 1);
        above.truncate(ends.last().copied().unwrap_or(0));
        let branch = page.branch(last);
        writeln!(out, "{above}{branch}{}", label(node, whole, differ))?;
        above.push_str(page.stem(last));
        ends.push(above.len());
        Ok(())
    })
}

/// Goes through a tree from top to bottom: how deep a node lies, the node, and whether it is the last
/// of its siblings.
fn each<'n>(
    roots: &'n [TreeNode],
    see: &mut dyn FnMut(usize, &'n TreeNode, bool) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut open: Vec<&[TreeNode]> = vec![roots];
    while let Some(siblings) = open.last_mut() {
        let Some((node, rest)) = siblings.split_first() else {
            open.pop();
            continue;
        };
        *siblings = rest;
        let depth = open.len() - 1;
        see(depth, node, rest.is_empty())?;
        open.push(&node.children);
    }
    Ok(())
}

/// Whether the images are not all for the same platform.
fn platforms_differ(roots: &[TreeNode]) -> Result<bool, Stop> {
    let mut first: Option<&str> = None;
    let mut differ = false;
    each(roots, &mut |_, node, _| {
        for platform in &node.platforms {
            differ |= *first.get_or_insert(platform) != platform;
        }
        Ok(())
    })?;
    Ok(differ)
}

fn label(node: &TreeNode, whole: bool, platforms_differ: bool) -> String {
    let size = |size: Option<u64>| size.map_or_else(|| "unknown".to_owned(), units::size_spaced);
    let id = match node.chain_id.as_deref().or(node.legacy_id.as_deref()) {
        Some(id) if whole => id,
        Some(id) => short(id),
        None => "<missing>",
    };
    let mut text = format!(
        "{} Size: {} Virtual Size: {}",
        escape::text(id),
        size(node.size),
        size(node.virtual_size)
    );
    if !node.references.is_empty() {
        _ = write!(text, " Tags: {}", escape::text(&node.references.join(", ")));
    } else if let Some(image) = node.images.first() {
        // An image without a name ends here; its ID is all there is to call it by.
        let image = if whole { image } else { short(image) };
        _ = write!(text, " Image: {}", escape::text(image));
    }
    if platforms_differ && !node.platforms.is_empty() {
        let platforms = node.platforms.join(", ");
        _ = write!(text, " Platform: {}", escape::text(&platforms));
    }
    text
}
