//! Reports as text, one file for each form. All of it is written as it is made.

mod audit;
mod blame;
mod columns;
mod diff;
mod diff_files;
mod diff_layers;
mod diff_stat;
pub(crate) mod docker29;
mod dockerfile;
mod find;
mod inspect;
mod json;
mod layers;
mod loaders;
mod ls;
mod patch;
mod problems;
mod secrets;
mod tree;
mod verify;
mod waste;

pub(crate) use blame::blame;
pub(crate) use columns::{Row, table};
pub(crate) use diff::{DiffForm, DiffStyle, diff};
pub(crate) use dockerfile::dockerfile;
pub(crate) use find::FindRows;
pub(crate) use inspect::inspect;
pub(crate) use json::{json, verbatim_json};
pub(crate) use layers::{Form, LayerColumns, layers};
pub(crate) use ls::{drawn, long, merged_names, names};
pub(crate) use patch::{PatchFile, patch};
pub(crate) use secrets::secrets;
pub(crate) use tree::tree;
pub(crate) use verify::verify;
pub(crate) use waste::{WasteForm, waste};
