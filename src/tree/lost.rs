//! Layers that lack some of their entries.

use super::entries::{LayerEntries, LayerHeaders, Missing};
use super::error::TreeError;
use super::nodes::Tree;
use crate::base::limits::Limits;

impl Tree {
    /// Applies layers that lack some of their entries, told by the layer's index and where the entry's
    /// headers begin, and says which hard links then lead to nothing or to a directory.
    ///
    /// # Errors
    ///
    /// As [`Self::merge`].
    pub(crate) fn dangling_links<L: LayerHeaders>(
        layers: impl IntoIterator<Item = L>,
        limits: &Limits,
        lost: impl Fn(usize, u64) -> bool,
    ) -> Result<Vec<(usize, u64)>, TreeError> {
        let mut tree = Self::empty(*limits);
        let mut missing = Missing {
            lost: Some(&lost),
            dangling: Vec::new(),
        };
        for (layer, headers) in layers.into_iter().enumerate() {
            tree.apply_layer(layer, &LayerEntries::Read(&headers), &mut missing, |_| {})?;
        }
        Ok(missing.dangling)
    }
}
