//! `--change`: instructions onto a config.
//!
//! - Nothing panics, whatever the text is; nothing takes long or much memory.
//! - A config that was changed reads as what it was changed to.
//! - What is refused leaves the config as it was.
//! - Several values say what they say joined by newlines.

use imgtar::document::{Config, ConfigChanges, ConfigDraft, RunConfig};

/// Tries one input.
pub fn run(text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    let Ok(changes) = ConfigChanges::parse(&lines) else {
        assert!(ConfigChanges::parse(&[text]).is_err());
        return;
    };
    let before = RunConfig {
        env: vec!["PATH=/bin:/usr/bin".to_owned(), "EMPTY=".to_owned()],
        working_dir: "/srv".to_owned(),
        ..RunConfig::default()
    };
    let mut run = before.clone();
    if changes.apply(&mut run).is_err() {
        assert_eq!(run, before);
        return;
    }
    let mut joined = before;
    let whole = ConfigChanges::parse(&[text]).map(|changes| changes.apply(&mut joined));
    assert_eq!((whole, &joined), (Ok(Ok(())), &run));
    for config in ["{}", r#"{"config":{"Hostname":"","Env":null,"x":1}}"#] {
        let Ok(mut draft) = ConfigDraft::parse(config.as_bytes()) else {
            unreachable!("it is a config");
        };
        draft.set_run(run.clone());
        let read = Config::read(&draft.to_bytes()).map(|config| config.run);
        assert_eq!(read, Ok(run.clone()));
    }
}
