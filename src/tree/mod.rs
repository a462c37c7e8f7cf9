//! The merged tree: what a container of an image would see.
//!
//! Layers are applied bottom up, as the OCI image specification says (`layer.md#applying-changesets`);
//! `docs/layers.md` numbers the rules, and the code cites them as L1, L2 and so on. Where engines disagree, the
//! specification decides, and a [`Warning`] says which engine would show something else.
//!
//! A tree holds names and inodes, not bytes: hard links are several names of one inode, so replacing
//! or removing one name never touches its siblings. Bodies stay where they are, in the archive or in
//! the spool of a compressed layer, and an inode knows where.
//!
//! Threats, and what is done about them:
//!
//! - *Names and links that lead out of the root*: they stay inside it and are never followed outside (L8, L9).
//! - *Symbolic links in circles*: at most [`LINK_LIMIT`] are followed for one path (L10).
//! - *A file as a directory*, *a hard link to nothing*, *a whiteout of nothing* (`.wh.`): refused.
//! - *Attributes that affect overlay file systems* (`trusted.overlay.*`): dropped (L16).
//! - *Memory and time*: a fixed amount for each entry; entries, headers, paths, attributes and the names that are
//!   looked up are counted ([`crate::base::limits`]); the part that a path has in common with the path before it is
//!   not looked up again; names are at most 255 bytes long, warnings are counted and only the first of each kind is
//!   kept.

mod apply;
mod aspect;
mod attributes;
mod budget;
mod build;
mod children;
mod compare;
mod content;
mod diff;
mod disk_blocks;
mod duplicates;
mod engine_files;
mod entries;
mod error;
mod export;
mod fates;
mod files;
mod inode;
mod layer_paths;
mod lookup;
mod lost;
mod new_inode;
mod nodes;
mod only;
mod pair_walk;
mod path;
mod resolve;
mod spelled;
mod stray;
mod survey;
mod timeline;
mod trail;
mod walk;
mod warning;
mod waste;
mod xattrs;

pub use aspect::{Aspect, Aspects};
pub(crate) use compare::NodePaths;
pub use compare::{
    CompareError, Comparison, FileChange, FileChanges, LayerDifference, LayerPair, LayerRelation,
    Side,
};
pub(crate) use content::ContentStretch;
pub use content::{FileBody, FileReader};
pub use diff::{Change, ChangeKind, DeltaChanges, TreeDelta, difference};
pub use disk_blocks::DiskBlocks;
pub use duplicates::DuplicateFile;
pub use engine_files::Additions;
pub(crate) use entries::LayerHeaders;
pub use error::{FileFault, TreeError, TreeFault};
pub use fates::{Fate, FateRecord, Fates, HiddenBy};
pub use inode::{Body, Inode, InodeId, Xattr, Xattrs};
pub use nodes::{NodeId, Tree};
pub use path::LayerPath;
pub(crate) use path::is_reserved;
pub use resolve::LINK_LIMIT;
pub use survey::{RefusedEntries, Survey, survey};
pub use timeline::{LayerChange, LayerSizes, LayerView, Timeline};
pub use walk::{Walk, WalkEntry};
pub use warning::{Warning, WarningKind};
pub use waste::{HiddenFile, LayerWaste, Waste, WasteCause};
pub use xattrs::{RefusedXattr, RefusedXattrs, XattrPattern};
