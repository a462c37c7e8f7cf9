//! Members that are there twice, where an image is read from one of them.
//!
//! Readers disagree which of two members counts, so every command says so, not `verify` alone. Little
//! is read for it: `verify` compares what is large to its end, and what no image leads to.

use std::collections::HashMap;

use super::super::model::ImageSet;
use super::{LoadError, Loader};
use crate::archive::{MemberName, duplicate};

/// How much of two layers is compared, in bytes: their digests tell which of them is meant.
const LAYER_LIMIT: u64 = 1 << 20;

/// How much is compared in all, in bytes.
const TOTAL_LIMIT: u64 = 64 << 20;

/// What a member is for an image.
#[derive(Clone, Copy)]
enum Role {
    /// It says what the image is.
    Description,
    /// It is the layer of this index, of the image at this position.
    Layer(usize, usize),
}

impl Loader<'_> {
    pub(super) fn duplicates(&mut self, set: &ImageSet) -> Result<(), LoadError> {
        if self.archive.duplicates().next().is_none() {
            return Ok(());
        }
        let roles = self.roles(set);
        let mut left = TOTAL_LIMIT;
        let mut told = HashMap::new();
        for (hidden, counts) in self.archive.duplicates() {
            let Some(role) = roles.get(&counts.name).copied() else {
                continue;
            };
            let most = match role {
                Role::Description => TOTAL_LIMIT,
                Role::Layer(..) => LAYER_LIMIT,
            };
            let limit = left.min(most);
            let problem = duplicate(self.archive, hidden, counts, limit)?;
            left -= limit.min(hidden.len());
            let Some(problem) = problem else { continue };
            // Of many members of one name the first two that differ are reported, and how many there are.
            let key = (&counts.name, problem.severity);
            if let Some(&first) = told.get(&key) {
                let first: &mut crate::base::problem::Problem = &mut self.problems[first];
                first.count += 1;
                continue;
            }
            told.insert(key, self.problems.len());
            self.problems.push(match role {
                Role::Description => problem,
                Role::Layer(image, layer) => problem.of_image(image).of_layer(layer),
            });
        }
        Ok(())
    }

    /// What the members are for, by the names they are looked up by and those that links lead to.
    fn roles(&self, set: &ImageSet) -> HashMap<MemberName, Role> {
        let mut roles = HashMap::new();
        let mut add = |name: &[u8], role: Role| {
            roles.insert(MemberName::new(name), role);
            if let Ok((member, _)) = self.archive.find(name) {
                roles.insert(member.name.clone(), role);
            }
        };
        for blob in set.artifacts.iter().flat_map(|artifact| &artifact.blobs) {
            add(&blob.member, Role::Description);
        }
        for image in &set.images {
            for layer in &image.layers {
                add(&layer.member, Role::Layer(image.position, layer.index));
            }
        }
        for image in &set.images {
            if let Some(config) = &image.config {
                add(&config.member, Role::Description);
            }
            if let Some(manifest) = &image.manifest {
                let digests = [Some(&manifest.descriptor.digest), manifest.index.as_ref()];
                for digest in digests.into_iter().flatten() {
                    add(&super::index::blob_member(digest), Role::Description);
                }
            }
        }
        for name in ["manifest.json", "index.json", "oci-layout", "repositories"] {
            add(name.as_bytes(), Role::Description);
        }
        roles
    }
}
