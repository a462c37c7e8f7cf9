//! The layers of a Docker image whose config is gone: a container keeps the chain ID of the top one
//! (`layerdb/mounts/<container>/parent`), and each layer its diff ID and the chain ID below it (moby
//! `layer/filestore.go`).

use std::collections::HashSet;
use std::str::FromStr;

use super::classic::LayerPlace;
use super::docker::place;
use super::documents::Documents;
use super::files::FileNode;
use crate::base::digest::{ChainId, DiffId, Digest};
use crate::base::limits::Limit;

/// The layers below a chain ID and the one that it names, base first, each with the place where it is.
///
/// # Errors
///
/// Why they are not known, for people: a part is missing, or what layers say of each other is not true.
pub(crate) fn layers(
    documents: &Documents<'_>,
    docker: FileNode,
    driver: &str,
    top: &str,
) -> Result<Vec<(DiffId, LayerPlace)>, String> {
    let files = documents.files;
    let limits = files.source().limits();
    let base = format!("image/{driver}/layerdb/sha256");
    let all = files.below(docker, &base);
    let mut found: Vec<DiffId> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    let mut next = Some(top.to_owned());
    while let Some(chain) = next {
        let hex = chain.strip_prefix("sha256:").unwrap_or(&chain);
        let layer = all.and_then(|all| files.child(all, hex.as_bytes()));
        let layer = layer.ok_or_else(|| format!("{base}/{hex} is not in the tar"))?;
        let diff = documents.value_in(layer, "diff");
        let diff = diff.and_then(|text| Digest::from_str(&text).ok());
        let diff = diff
            .ok_or_else(|| format!("{base}/{hex}/diff is not in the tar, or is not a diff ID"))?;
        found.push(DiffId::from(diff));
        limits
            .check_count(Limit::Layers, found.len())
            .map_err(|exceeded| format!("its image has too many layers: {exceeded}"))?;
        next = documents.value_in(layer, "parent");
        if !known.insert(chain) {
            return Err(format!("{base}: the parents of its layers form a loop"));
        }
    }
    found.reverse();
    let chain = ChainId::of_layers(&found);
    let computed = chain.last().map(ToString::to_string);
    if computed.as_deref() != Some(top) {
        return Err(format!(
            "{base}: the layers below {top} have the chain ID {}",
            computed.unwrap_or_default()
        ));
    }
    let places = found.into_iter().zip(&chain).map(|(diff_id, chain)| {
        let place = place(documents, docker, driver, all, chain, &diff_id);
        (diff_id, place)
    });
    Ok(places.collect())
}
