//! All integration tests, one binary: it is linked once, and its parts share what they need.
//!
//! One file per subject. [`support`] runs the program, finds test data and engines, builds archives
//! (`forge`), reads tars independently of imgtar (`listing`) and measures what a run takes (`measured`).
#![allow(
    clippy::disallowed_methods,
    reason = "the rules are about what a user gets; tests start programs and make files"
)]

mod accept;
mod answers;
mod architecture;
mod broken;
mod browse;
mod build_script;
mod carry_loads;
mod change;
mod cli;
mod commit;
mod completions;
mod compressed;
mod containerd;
mod convert;
mod corpus;
mod damage;
mod delta;
mod delta_engines;
mod delta_faults;
mod deltas;
mod demands;
mod diff;
mod docker29;
mod dockerfile;
mod docs;
mod engines;
mod examples;
mod export;
mod face;
mod fates;
mod faults;
mod foreign;
mod fuzz_corpus;
mod graphs;
mod hostile;
mod hostile_metadata;
mod import;
mod layers;
mod layouts;
mod load;
mod loaders;
mod manifest;
mod merge;
mod model;
mod only;
mod oracle;
mod outputs;
mod own_image;
mod pictures;
mod platforms;
mod progress;
mod properties;
mod rebuild;
mod recompress;
mod release;
mod report;
mod rescue;
mod rescue_containers;
mod rescue_damage;
mod rescue_stores;
mod secrets;
mod select;
mod squash;
mod strays;
mod support;
mod tag;
mod thin;
mod today;
mod v1;
mod verify;
mod waste;
mod whole;
mod work;
mod xattrs;
