//! The hooks of somebody's clone: Truing runs none of them, and says so.

use std::os::unix::fs::PermissionsExt as _;

use super::LocalRepository;

/// The hooks that git runs around a commit and a push.
const AROUND_COMMITS: [&str; 4] = ["pre-commit", "prepare-commit-msg", "commit-msg", "pre-push"];

impl LocalRepository {
    /// The hooks of this clone that git would run when somebody commits and pushes, by name.
    pub fn hooks(&self) -> Vec<&'static str> {
        let common = self.layout.objects.parent().unwrap_or(&self.layout.git_dir);
        let folder = match &self.settings.hooks {
            // A relative one is below the working tree.
            Some(path) => self.layout.root.join(path),
            None => common.join("hooks"),
        };
        let is_run = |name: &&str| {
            let found = std::fs::metadata(folder.join(name));
            found.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        AROUND_COMMITS.into_iter().filter(is_run).collect()
    }
}
