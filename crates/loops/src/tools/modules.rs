//! Modules of Node.js for linters: a user has installed them, and no commit holds them.

use std::path::{Path, PathBuf};

/// Their folder.
const MODULES: &str = "node_modules";

/// A link to them in a copy of a commit. Gone when it is dropped: others read the copy afterwards.
pub(super) struct Modules(PathBuf);

impl Modules {
    /// Makes it, if the user has modules in another folder than the tree, and the tree has none.
    pub(super) fn link(project: Option<&Path>, tree: &Path) -> Option<Self> {
        // It may be a link itself.
        let modules = project.filter(|project| *project != tree)?.join(MODULES).canonicalize().ok()?;
        let link = tree.join(MODULES);
        std::os::unix::fs::symlink(modules, &link).ok()?;
        Some(Self(link))
    }
}

impl Drop for Modules {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
