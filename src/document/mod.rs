//! JSON documents: configs, descriptors, media types, platforms, and how they are edited.
//!
//! Nothing here knows an archive: a document is bytes that came from somewhere. The reader mirrors Go's
//! (keys in any case, the last one wins, `null` is absent), because that decides what an engine sees.
//! Documents are edited as text, so that unknown fields survive.

mod config;
mod config_diff;
pub(crate) mod descriptor;
pub(crate) mod dockerfile;
mod edit;
pub(crate) mod go_json;
mod go_scan;
mod go_time;
mod history;
pub(crate) mod index_text;
pub(crate) mod json;
mod json_object;
pub(crate) mod manifest_text;
pub(crate) mod media_type;
mod platform;
pub(crate) mod thin;
mod unset;
pub(crate) mod v1;

pub use config::{Config, Created, Health, HistoryEntry, RootFs, RunConfig};
pub use config_diff::{
    ConfigField, HistoryChange, HistoryField, config_difference, history_difference,
};
pub use descriptor::Descriptor;
pub(crate) use descriptor::InlineData;
pub use dockerfile::{ChangeDoubt, ChangeError, ConfigChanges, RefusedChange};
pub use edit::ConfigDraft;
pub use history::{BuildStep, Pairing};
pub(crate) use json::count_values;
pub use json::{JsonEncoding, JsonError};
pub use media_type::MediaType;
pub use platform::{Fit, Platform, PlatformError, WantedPlatform};
pub use thin::ThinBase;
pub use unset::{Unset, UnsetError};
pub(crate) use v1::is_v1_json;
