//! Node.js modules for linters. A user installs the modules, and commits do not contain them.

use std::path::{Path, PathBuf};

/// The folder of the modules.
const MODULES: &str = "node_modules";

/// Symbolic links to modules in a copy of a commit. They are removed when dropped, because others read the
/// copy afterwards.
pub(super) struct ModuleLinks(Vec<PathBuf>);

impl ModuleLinks {
    /// Creates a link in each of these folders, if the user has modules outside of the tree and the tree has
    /// none.
    pub(super) fn create_links<'a>(
        project: Option<&Path>,
        tree: &Path,
        folders: impl Iterator<Item = &'a str>,
    ) -> Self {
        let Some(project) = project.filter(|project| *project != tree) else { return Self(Vec::new()) };
        let link = |folder: &str| {
            // The folder of modules may be a symbolic link itself.
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
