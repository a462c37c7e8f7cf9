//! `browse`: an image on the screen, layer by layer.
//!
//! The state is a value, the [`model::Browser`]. Keys, clicks and messages from threads change it (`update/`), and
//! the screen is drawn from nothing else (`view/`), so all of it is tested without a terminal. Work that would delay
//! the answer to a key is done in the background (`background.rs`), which sends messages: the archive is opened
//! there, layers are read and merged, rows are put together (`rows.rs`), files are compared and written (`work.rs`).
//! Only `terminal.rs` knows the terminal, and it restores the terminal whatever happens.
//!
//! Threats: names, build steps and contents of archives are escaped where they are drawn; of a file that is viewed,
//! only the beginning is held ([`work::VIEWED`]). Everything else that is held counts against the limits of the
//! merge.

mod background;
mod keys;
mod list;
mod model;
mod rows;
mod terminal;
mod update;
mod view;
mod work;

#[cfg(test)]
mod tests;

pub(crate) use terminal::{BrowseWish, run};
