//! Image configs.
//!
//! - Nothing panics, whatever the bytes are.
//! - What is read as a config is JSON for another parser too, bytes that are no UTF-8 replaced.
//! - Times and diff IDs are kept as they were written, and parse again to the same.

use imgtar::base::digest::Digest;
use imgtar::document::{Config, Created};

/// Tries one input.
pub fn run(bytes: &[u8]) {
    let Ok(config) = Config::read(bytes) else {
        return;
    };
    let text = String::from_utf8_lossy(bytes);
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    let steps = config
        .history
        .iter()
        .filter_map(|step| step.created.as_ref());
    for created in config.created.iter().chain(steps) {
        let again: Created = created.as_str().parse().expect("it was parsed before");
        assert_eq!(again, *created);
    }
    for diff_id in config.diff_ids() {
        let again: Digest = diff_id.to_string().parse().expect("it was parsed before");
        assert_eq!(again, *diff_id.digest());
    }
}
