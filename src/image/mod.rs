//! The image model: what an archive says its images are.
//!
//! [`Archive::images`](crate::Archive::images) turns an archive of any layout into [`Image`]s. Claims (digests,
//! sizes, counts) are kept beside what they are about and are not checked here, except where checking costs nothing:
//! configs and manifests are read anyway, so their digests are computed. A claim that is not true becomes a
//! [`crate::base::problem::Problem`] of the set; an archive with problems still loads.
//!
//! Raw JSON is never written back from a typed view: a config's bytes are its identity.
//!
//! Threats, and what is done about them:
//!
//! - *Descriptions that disagree*: `manifest.json` and `index.json` are both read, images that both
//!   describe are merged by their config, and what only one of them has is reported.
//! - *One document read as two things* (CVE-2021-41190): a blob is read as the type in its descriptor, and a document
//!   that also fits another type is refused.
//! - *Indexes in indexes*: nesting and the number of descriptors are limited.
//! - *Artifacts dressed as images*: signatures, attestations and everything else whose layers are not tars are
//!   [`Artifact`]s, never images.

mod containerd;
mod docker;
mod load;
mod model;
mod reference;
mod select;
mod upgrade;

pub use containerd::{ContainerdBasis, ContainerdName};
pub(crate) use containerd::{MadeManifest, oci_layout_version};
pub(crate) use docker::check_manifest_json;
pub use load::{LoadError, Unreadable};
pub(crate) use load::{blob_digest_in_name, names_of};
pub use model::{
    Absent, Artifact, ArtifactBlob, ConfigBlob, Identity, Image, ImageSet, Layer, LayerSource,
    LeftOut, Manifest, Thin,
};
pub(crate) use model::{Leads, Listed, RefusedTag, TagFault};
pub use reference::{Name, Reference, ReferenceError, is_tag};
pub(crate) use select::candidates;
pub use select::{Picked, SelectError, Selector, Unasked};
pub use upgrade::UpgradedIds;
pub(crate) use upgrade::Upgrader;
