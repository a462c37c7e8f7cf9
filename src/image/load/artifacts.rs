//! Manifests of something other than an image: attestations, signatures and what else is kept with them.

use super::super::model::{Artifact, ArtifactBlob};
use super::super::reference::Name;
use super::index::blob_member;
use super::{LoadError, Loader, Unreadable};
use crate::archive::LookupError;
use crate::base::problem::{Code, Problem};
use crate::document::descriptor::{Descriptor, ManifestDocument, REFERENCE_TYPE};

/// The value of [`REFERENCE_TYPE`] on attestations.
const ATTESTATION: &str = "attestation-manifest";
/// The manifest that an attestation is about.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

impl Loader<'_> {
    pub(super) fn artifact(
        &mut self,
        kind: String,
        descriptor: Descriptor,
        manifest: ManifestDocument,
        names: Vec<Name>,
    ) -> Result<Artifact, LoadError> {
        let subject = manifest.subject.or_else(|| {
            descriptor
                .annotation(REFERENCE_DIGEST)
                .and_then(|text| text.parse().ok())
        });
        let diff_ids = self.artifact_diff_ids(&manifest.config)?;
        let mut blobs = Vec::new();
        for blob in std::iter::once(manifest.config).chain(manifest.layers) {
            let member = blob_member(&blob.digest);
            let slice = match self.archive.find(&member) {
                Ok((_, slice)) => {
                    self.check_size(&blob, slice.len(), &member, None);
                    Some(slice)
                }
                Err(why) => {
                    if !self.lose(&member, &why) {
                        let digest = &descriptor.digest;
                        let message = match why {
                            LookupError::Absent { .. } => {
                                format!("a blob of the artifact {digest} is not in the archive")
                            }
                            why => format!("a blob of the artifact {digest} cannot be read: {why}"),
                        };
                        let problem = Problem::error(Code::MemberMissing, message);
                        self.problems.push(problem.in_member(&member));
                    }
                    None
                }
            };
            blobs.push(ArtifactBlob {
                descriptor: blob,
                member,
                slice,
            });
        }
        Ok(Artifact {
            kind,
            descriptor,
            names,
            subject,
            blobs,
            diff_ids,
        })
    }

    /// Signatures by cosign carry a config with diff IDs; they are claims like others.
    fn artifact_diff_ids(
        &mut self,
        config: &Descriptor,
    ) -> Result<Vec<crate::base::digest::DiffId>, LoadError> {
        if !config.media_type.is_config() {
            return Ok(Vec::new());
        }
        let member = blob_member(&config.digest);
        let why = match self.document(&member)? {
            Ok(document) => match crate::document::Config::read(&document.bytes) {
                Ok(config) => return Ok(config.diff_ids().to_vec()),
                Err(why) => why,
            },
            // Its absence is reported with the other blobs.
            Err(Unreadable::Lookup(_)) => return Ok(Vec::new()),
            Err(Unreadable::Json(why)) => why,
        };
        let message = format!(
            "the config of an artifact cannot be read, so its diff IDs are not checked: {why}"
        );
        let problem = Problem::warning(Code::ConfigInvalid, message);
        self.problems.push(problem.in_member(&member));
        Ok(Vec::new())
    }
}

/// What a manifest is if it is not an image.
///
/// An image has an image config and layers that are tars. Anything else is named by what gives it
/// away: the annotation of attestations, the artifact type, the config's or a layer's media type.
pub(super) fn artifact_kind(
    descriptor: &Descriptor,
    manifest: &ManifestDocument,
) -> Option<String> {
    if descriptor.annotation(REFERENCE_TYPE) == Some(ATTESTATION) {
        return Some("attestation".to_owned());
    }
    let named = || {
        descriptor
            .artifact_type
            .clone()
            .or_else(|| manifest.artifact_type.clone())
    };
    let config = &manifest.config.media_type;
    if !config.is_config() && !config.as_str().is_empty() {
        return Some(named().unwrap_or_else(|| config.as_str().to_owned()));
    }
    let odd = manifest
        .layers
        .iter()
        .map(|layer| &layer.media_type)
        .find(|media_type| !media_type.is_layer() && !media_type.as_str().is_empty());
    odd.map(|media_type| named().unwrap_or_else(|| media_type.as_str().to_owned()))
}
