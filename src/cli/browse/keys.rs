//! The keys: one table, which the help on the screen shows.

/// What a key does, and where.
#[derive(Debug)]
pub(crate) struct KeyHelp {
    /// The keys, by the names that people use.
    pub(crate) keys: &'static str,
    /// What they do.
    pub(crate) does: &'static str,
}

const fn key(keys: &'static str, does: &'static str) -> KeyHelp {
    KeyHelp { keys, does }
}

/// All of them, in the order in which they are shown.
pub(crate) const KEYS: [KeyHelp; 21] = [
    key("Tab", "switch between layers and files"),
    key("↑ ↓ j k", "go up and down"),
    key("← h", "close the directory, or go to its parent"),
    key("→ l", "open the directory"),
    key("g G Home End", "go to the first or the last line"),
    key(
        "PgUp PgDn",
        "go up or down a screen; Ctrl-U and Ctrl-D half a screen",
    ),
    key("[ ]", "go to the layer below or above"),
    key("Enter", "open or close the directory, view the file"),
    key("Space", "open or close the directory"),
    key("*", "open everything below, or close it"),
    key(
        "/",
        "show only names that contain this text, or match this pattern",
    ),
    key(
        "d",
        "show only what the layer changes, or everything up to it",
    ),
    key("s", "sort by size, or by name"),
    key(
        "w",
        "show what is stored but never seen; Enter goes to the layer",
    ),
    key("b", "show what each layer did to the path"),
    key("v", "view the file, as text or in hex"),
    key("x", "write the file, or the directory as a tar"),
    key("y", "copy the path"),
    key("i", "choose another image"),
    key("?", "this help"),
    key("q", "quit; Esc and q first close an open window"),
];
