//! Node.js modules for linters. Commits do not contain these modules, so a copy of a commit gets links to the
//! modules that the user has installed.

use std::path::{Path, PathBuf};

/// The folder in which npm and other package managers install modules.
const NODE_MODULES_FOLDER: &str = "node_modules";

/// Symbolic links to modules in a copy of a commit. The links are removed when this value is dropped, because
/// other code reads the copy afterwards.
pub(super) struct ModuleLinks(Vec<PathBuf>);

impl ModuleLinks {
    /// Creates a link to the modules in each of these folders. Folders without modules in the user's project,
    /// and folders that already have modules in the tree, are left out.
    pub(super) fn create_links<'a>(
        project: Option<&Path>,
        tree: &Path,
        folders: impl Iterator<Item = &'a str>,
    ) -> Self {
        let Some(project) = project.filter(|project| *project != tree) else { return Self(Vec::new()) };
        let link = |folder: &str| {
            // The folder of modules in the user's project may be a symbolic link, so the link points to its
            // real path.
            let modules = project.join(folder).join(NODE_MODULES_FOLDER).canonicalize().ok()?;
            let link = tree.join(folder).join(NODE_MODULES_FOLDER);
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
