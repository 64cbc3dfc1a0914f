//! The real `claude` program, where `cargo xtask test` puts it.

use std::path::{Path, PathBuf};

/// Where it is; none: this machine does not have it, and what would be shown with it is passed over. `cargo xtask test`
/// says so.
pub(crate) fn claude() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join("target/tools/claude").join(truing_core::agent::CLI_VERSION).join("claude");
    program.canonicalize().ok()
}
