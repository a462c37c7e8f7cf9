//! Answers as data: what the commands print, and the JSON that scripts rely on.
//!
//! Each report is built completely before anything is printed, and is printed by someone else. The
//! field names and their meaning are a contract, published as JSON Schema in `docs/json/`: fields
//! may be added, none is taken away or changes its meaning within one schema number. Sizes are
//! bytes, times RFC 3339, digests carry their algorithm, and a fact that is absent is `null`.

mod audit;
mod history;
mod images;
mod inspect;
mod layers;
mod ls;
mod text;
mod tree;
pub mod units;
mod verdict;
mod verify;

pub use audit::{AuditRow, ImageAudit};
pub use history::{History, HistoryImage, HistoryStep};
pub use images::{ArchiveHead, ImageFacts, ImageHead, Images};
pub use inspect::{Inspect, InspectAbsent, InspectArtifact, InspectImage};
pub use layers::{LayerRow, Layers, LayersImage};
pub use ls::{FileType, Ls, LsEntry};
pub use text::{Raw, Text};
pub use tree::{Tree, TreeBuilder, TreeNode};
pub use verdict::{Demands, Reason};
pub use verify::{
    ProblemRow, Verify, VerifyArchive, VerifyArtifact, VerifyBlob, VerifyImage, VerifyLayer,
    VerifyLoader, VerifyLoaders,
};
