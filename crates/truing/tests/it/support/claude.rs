//! Finds the real `claude` program in the folder in which `cargo xtask test` installs it.

use std::path::{Path, PathBuf};

/// Returns the path of the program, or `None` if the program is not installed. In that case, the tests that
/// need the program are skipped, and `cargo xtask test` reports this.
pub(crate) fn find_claude() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join("target/tools/claude").join(truing_core::agent::CLI_VERSION).join("claude");
    program.canonicalize().ok()
}
