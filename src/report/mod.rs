//! Answers as data: what the commands print, and the JSON that scripts rely on.
//!
//! A report does not print itself. Parts that may be large are made while they are printed, one image or one file at
//! a time, so that a whole answer is never in memory. The field names and their meaning are a contract, published as
//! JSON Schema in `docs/json/`: within one schema number, fields may be added, but none is removed and none changes
//! its meaning. Sizes are bytes, times RFC 3339, digests carry their algorithm, and a fact that is absent is `null`.

mod archive_report;
mod audit;
mod blame;
mod by_size;
mod delta;
mod diff;
mod diff_rows;
mod dive;
mod dockerfile;
mod each;
mod engine_images;
mod engine_lines;
mod engine_rows;
mod file_map;
mod find;
mod findings;
mod hidden;
mod history;
mod images;
mod inspect;
mod layers;
mod listing;
mod ls;
mod pattern;
mod problem_row;
mod rescue;
mod run_facts;
mod secrets;
mod sizes;
mod step;
mod text;
mod tree;
pub mod units;
mod verdict;
mod verify;
mod verify_loaders;
mod waste;
mod waste_rules;
mod written;

pub use archive_report::{ArchiveReport, ReportImage, ReportLayer, ReportWaste};
pub use audit::{AuditRow, ImageAudit};
pub use blame::{Blame, BlameAction, BlamePath, BlameStep};
pub use by_size::BySize;
pub use delta::{
    DeltaConverted, DeltaCosts, DeltaImage, DeltaNew, DeltaPart, DeltaRecipe, DeltaReport,
    DeltaSource, DeltaStream, DeltaStreams,
};
pub use diff::{Diff, DiffFiles, DiffHead, DiffIgnored, DiffSizes};
pub use diff_rows::{
    DiffAction, DiffField, DiffFile, DiffFileFacts, DiffLayer, DiffLayerEntries, DiffRelation,
    DiffStep,
};
pub use dive::DiveFigures;
pub use dockerfile::{
    ContextLayer, DockerfileInstruction, DockerfileOptions, DockerfileReport, DockerfileSource,
    KnownBase,
};
pub use each::Each;
pub use engine_images::{EngineImage, EngineImages, EnginePlatform};
pub use engine_lines::EngineLine;
pub use file_map::{FileMap, FileMapKind, FileMapNode};
pub use find::{Find, FindEntry, FindQuery, FindState, HowHidden, SizeBound};
pub use findings::{AbsentManifests, ProblemFinding, findings};
pub use hidden::{HiddenBytes, measure_layers};
pub use history::{History, HistoryImage, HistoryStep};
pub use images::{ArchiveHead, ImageFacts, ImageHead, Images, ThinFacts};
pub use inspect::{Inspect, InspectAbsent, InspectArtifact, InspectImage};
pub use layers::{LayerRow, Layers, LayersImage, LeftOutFacts};
pub use listing::{LayerListing, Listing, ListingPlace, See, TreeListing};
pub use ls::{FileType, Ls, LsEntry};
pub use pattern::{PathPattern, PatternError};
pub use problem_row::ProblemRow;
pub use rescue::{
    RescueHead, RescueImage, RescueLayer, RescueMade, RescueMadeLayer, RescueReport, RescueStore,
    RescueVerdict,
};
pub use run_facts::RunFacts;
pub use secrets::{FindSecrets, SecretPlace, SecretRow, SecretsQuery};
pub use step::step;
pub use text::{Raw, Text};
pub use tree::{ImageTree, TreeBuilder, TreeNode};
pub use verdict::{Demands, Reason};
pub use verify::{
    Verify, VerifyArchive, VerifyArtifact, VerifyBlob, VerifyDelta, VerifyImage, VerifyLayer,
};
pub use verify_loaders::{VerifyFate, VerifyLoader, VerifyMend};
pub use waste::{WasteGroup, WasteKind, WasteLayer, WastePath, WasteReport};
pub use waste_rules::{WasteRule, WasteVerdict};
pub use written::{BaseImage, Written, WrittenFacts, WrittenHead, WrittenLayers, WrittenLeftOut};
