//! What several rooms use, once.

/// How many bytes are read, hashed, decoded or copied at a time: so many that a system call costs little
/// in comparison, and few enough that they stay in the cache of a core.
pub const BUFFER: usize = 256 << 10;

/// What begins the name of a whiteout (image-spec `layer.md#whiteouts`).
pub const WHITEOUT: &[u8] = b".wh.";

/// The name of the entry that hides everything that lower layers have in its directory.
pub const OPAQUE: &[u8] = b".wh..wh..opq";

/// What begins the names of what aufs kept for itself, directly below the root of a layer.
pub(crate) const AUFS: &[u8] = b".wh..wh.";

/// How many layers Docker's graph-driver store can stack (moby `layer/layer_store.go`).
pub const DOCKER_LAYERS: usize = 125;

/// The first member of a delta, by which one is recognised.
pub(crate) const DELTA_DESCRIPTION: &str = "imgtar-delta.json";
