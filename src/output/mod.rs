//! Bytes out: tars written as Docker writes them.
//!
//! The same input gives the same bytes, whatever the number of threads: order, names, owners and times come only from
//! the image.

mod commit;
mod context;
mod copying;
mod delta;
mod entries;
mod error;
mod flatten;
mod graph;
mod header;
mod import;
mod layout;
mod parallel;
mod parallel_tar;
mod reconfigure;
mod squash;
mod tar;

pub(crate) use commit::forget_origin;
pub use commit::{CommitOptions, Committed, commit};
pub use context::{BuildContext, ContextTar, LayerParts, deletes_of_base, write_context};
pub use delta::DeltaLayer;
pub use error::WriteError;
pub use flatten::{
    FlattenOptions, Flattened, MergedImage, flatten, flatten_to_file, write_file, write_tree,
};
pub use graph::{
    ArchiveGraph, GraphChange, KeepWish, LayerStore, RenameError, ThinError, ThinPlan, Unfilled,
};
pub use header::{HeaderFields, encode_header};
pub use import::{IMPORT_MESSAGE, ImportOptions, Imported, import};
pub use layout::{
    ArchiveLayout, ArchiveOptions, ArchiveWarning, Detached, LayerCompression, LeftOutLayer,
    OutputImage, OutputLayer, RecodedLayers, WrittenArchive, WrittenImage, measure_graph,
    write_archive, write_archive_to_file, write_graph, write_graph_to_file,
};
pub use reconfigure::reconfigure;
pub use squash::{SquashOptions, Squashed, squash};
pub use tar::TarWriter;
