//! Modules of Node.js for linters: a user has installed them, and no commit holds them.

use std::path::{Path, PathBuf};

/// Their folder.
const MODULES: &str = "node_modules";

/// Links to them in a copy of a commit. Gone when they are dropped: others read the copy afterwards.
pub(super) struct ModuleLinks(Vec<PathBuf>);

impl ModuleLinks {
    /// Makes one in each of these folders where the user has modules in another folder than the tree, and the tree has none.
    pub(super) fn link<'a>(
        project: Option<&Path>,
        tree: &Path,
        folders: impl Iterator<Item = &'a str>,
    ) -> Self {
        let Some(project) = project.filter(|project| *project != tree) else { return Self(Vec::new()) };
        let link = |folder: &str| {
            // They may be a link themselves.
            let modules = project.join(folder).join(MODULES).canonicalize().ok()?;
            let link = tree.join(folder).join(MODULES);
            std::os::unix::fs::symlink(modules, &link).ok()?;
            Some(link)
        };
        Self(folders.filter_map(link).collect())
    }
}

impl Drop for ModuleLinks {
    fn drop(&mut self) {
        for link in &self.0 {
            let _ = std::fs::remove_file(link);
        }
    }
}
