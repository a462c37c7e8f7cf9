//! `browse`: an image on the screen, layer by layer.
//!
//! What is shown is a value, the [`model::Browser`]. Keys, clicks and news change it (`update.rs`), and it is drawn
//! from nothing else (`view/`), so all of it is tested without a terminal. Whatever takes longer than a key may take
//! is asked of the background (`background.rs`), which sends news: the archive is opened there, layers are read and
//! merged, rows are put together (`rows.rs`), files are compared and written (`work.rs`). `terminal.rs` alone knows
//! a terminal, and gives it back whatever happens.
//!
//! Threats: names, build steps and contents of archives are escaped where they are drawn; of a file that is looked at
//! only the beginning is held ([`work::VIEWED`]). Everything else that is held is counted by the limits of the merge.

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
