//! Lists the files of the working tree, and the folders that git could not open.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;

use truing_core::RepoPath;

use super::worktree::ScratchIndex;
use crate::GitError;
use crate::isolated_git_dir::unknown_output_error;

/// Beginning of git's warning about a folder that it cannot open. The path of the folder follows.
const UNREADABLE_FOLDER_WARNING: &[u8] = b"warning: could not open directory '";

/// Text between the path of the folder and the reason of the system.
const END_OF_PATH: &[u8] = b"': ";

/// The paths that git lists for a working tree.
#[derive(Default)]
pub(super) struct WorktreeListing {
    pub(super) tracked: Vec<RepoPath>,
    /// Tracked paths that git does not check in the working tree.
    pub(super) unchecked_paths: HashSet<RepoPath>,
    /// Paths that are neither tracked nor ignored.
    pub(super) untracked: Vec<RepoPath>,
    /// Folders whose untracked paths are unknown, because git could not open the folders.
    pub(super) unreadable_folders: Vec<RepoPath>,
}

impl ScratchIndex {
    /// Returns tracked paths, and untracked paths that are not ignored. A nested repository is one path that
    /// ends in `/`.
    pub(super) async fn list_paths(&self) -> Result<WorktreeListing, GitError> {
        let flags = ["-v", "--cached", "--others", "-z", "--exclude-per-directory=.gitignore"];
        let mut call = self.worktree_command("ls-files").args(flags);
        // A later list overrides an earlier list, so the repository's own list comes after the user's list.
        let own = self.repository.layout.info_exclude.clone();
        let named =
            self.repository.settings.excludes_file.as_ref().map(|path| self.repository.root().join(path));
        let user = named.or_else(|| self.repository.git.options().excludes_file.clone());
        for list in user.into_iter().chain([own]) {
            // A list that cannot be read is skipped, as in git.
            if !list.is_file() || std::fs::File::open(&list).is_err() {
                continue;
            }
            let mut argument = OsStr::new("--exclude-from=").to_owned();
            argument.push(list);
            call = call.arg(argument);
        }
        let finished = call.max_output(self.max_listing_bytes()).run().await?;
        let unreadable_folders = parse_unreadable_folders(&finished.stderr_tail);
        let listed = finished.into_success_output("ls-files")?;
        let mut listing = WorktreeListing { unreadable_folders, ..WorktreeListing::default() };
        for line in listed.split(|byte| *byte == 0) {
            let (letter, path) = match line {
                [letter, b' ', path @ ..] => (letter, RepoPath::from_bytes(path)),
                [] => continue,
                _ => return Err(unknown_output_error("ls-files", line)),
            };
            match letter {
                b'?' => listing.untracked.push(path),
                // The letter `S` marks `skip-worktree`, and a lower-case letter marks `assume-unchanged`.
                b'S' | b'a'..=b'z' => {
                    listing.unchecked_paths.insert(path.clone());
                    listing.tracked.push(path);
                }
                _ => listing.tracked.push(path),
            }
        }
        Ok(listing)
    }
}

/// Returns the folders in git's warnings, in path order.
fn parse_unreadable_folders(stderr: &[u8]) -> Vec<RepoPath> {
    let folders = stderr.split(|byte| *byte == b'\n').filter_map(|line| {
        let named = line.strip_prefix(UNREADABLE_FOLDER_WARNING)?;
        let end = named.windows(END_OF_PATH.len()).rposition(|part| part == END_OF_PATH);
        let folder = match end.and_then(|end| named.get(..end)) {
            Some(folder) => folder.strip_suffix(b"/").unwrap_or(folder),
            // Git cuts a long warning, so only the beginning of the path is certain.
            None => named.split(|byte| *byte == b'/').next()?,
        };
        Some(RepoPath::from_bytes(folder))
    });
    folders.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_from_git_s_warnings() {
        let long = "d".repeat(100) + "/";
        let stderr = format!(
            "warning: could not open directory 'h/': Permission denied\n\
             warning: could not open directory 'a/it': é/': Permission denied\n\
             warning: could not open directory 'deep/{}\n\
             warning: could not open directory 'h/': Permission denied\n\
             warning: something else about 'x/': Permission denied\n",
            long.repeat(40)
        );
        let folders = parse_unreadable_folders(stderr.as_bytes());
        let folders = folders.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(folders, ["a/it': é", "deep", "h"]);
        assert_eq!(parse_unreadable_folders(b""), Vec::new());
    }
}
