//! Lists the hooks of a user's clone. Truing does not run these hooks, and reports their names to the user.

use std::os::unix::fs::PermissionsExt as _;

use super::LocalRepository;

/// Hooks that git runs around a commit and a push.
const COMMIT_AND_PUSH_HOOKS: [&str; 4] = ["pre-commit", "prepare-commit-msg", "commit-msg", "pre-push"];

impl LocalRepository {
    /// Returns the names of this clone's hooks that git would run for a commit or a push.
    pub fn hooks(&self) -> Vec<&'static str> {
        let common = self.layout.objects.parent().unwrap_or(&self.layout.git_dir);
        let folder = match &self.settings.hooks {
            // A relative path starts at the root of the working tree.
            Some(path) => self.layout.root.join(path),
            None => common.join("hooks"),
        };
        let is_run = |name: &&str| {
            let found = std::fs::metadata(folder.join(name));
            found.is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
        };
        COMMIT_AND_PUSH_HOOKS.into_iter().filter(is_run).collect()
    }
}
