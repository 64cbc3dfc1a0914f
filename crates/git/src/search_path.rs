//! Search path for programs: the folders of `PATH`, except those in a reviewed repository. The author of a
//! reviewed change therefore cannot choose the programs that run.
//!
//! Truing searches this path for every program that it starts by name on the host. Programs inside a sandbox
//! have their own `PATH`.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Part of the error message for a program that is not found.
pub const PROGRAM_NOT_FOUND_MESSAGE: &str = "not found in any folder of `PATH` (Truing ignores relative \
    folders, and folders inside the reviewed repository)";

/// The folders in which Truing searches for programs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
    /// Working trees in which no program is used.
    excluded_trees: Vec<PathBuf>,
}

impl SearchPath {
    /// Uses the folders of `PATH`, with two exceptions. Relative folders are omitted, because they depend on
    /// the current folder. Folders in a reviewed repository are omitted, even if `PATH` names them through a
    /// link. A repository is reviewed if one of its working trees contains one of the `reviewed_paths`.
    pub fn from_path_variable<'a>(path: &OsStr, reviewed_paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let mut excluded_trees: Vec<PathBuf> =
            reviewed_paths.into_iter().flat_map(repository_working_trees).collect();
        excluded_trees.sort();
        excluded_trees.dedup();
        let none = Self { folders: Vec::new(), excluded_trees };
        let named = std::env::split_paths(path).filter(|folder| folder.is_absolute());
        let folders = named.filter(|folder| !none.is_in_excluded_tree(folder)).collect();
        Self { folders, ..none }
    }

    /// Finds the program with this name; `None` if no folder contains it.
    pub fn find(&self, name: &Path) -> Option<PathBuf> {
        let is_one = |file: &PathBuf| {
            file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        };
        let named = self.folders.iter().map(|folder| folder.join(name));
        named.filter(is_one).find(|file| !self.is_in_excluded_tree(file))
    }

    /// Returns the working trees of the reviewed repositories.
    pub fn excluded_trees(&self) -> &[PathBuf] {
        &self.excluded_trees
    }

    /// Returns the value of `PATH` for child processes.
    pub fn path_variable(&self) -> OsString {
        // The folders were split from a `PATH`, so joining them cannot fail.
        std::env::join_paths(&self.folders).unwrap_or_default()
    }

    /// Returns true if the path, as written or after resolving links, is in one of the trees.
    fn is_in_excluded_tree(&self, path: &Path) -> bool {
        let real = path.canonicalize();
        let real = real.as_deref().unwrap_or(path);
        self.excluded_trees.iter().any(|tree| real.starts_with(tree) || path.starts_with(tree))
    }
}

/// Returns the working trees of the repository that contains a path: the main tree and the linked trees.
/// Empty if the path is in no repository.
fn repository_working_trees(path: &Path) -> Vec<PathBuf> {
    let Ok(here) = path.canonicalize() else { return Vec::new() };
    here.ancestors().find(|folder| folder.join(".git").exists()).map(working_trees).unwrap_or_default()
}

/// Returns all working trees of a repository, given one of them.
fn working_trees(tree: &Path) -> Vec<PathBuf> {
    // In a linked working tree, `.git` is a file with the text `gitdir: MAIN/.git/worktrees/NAME`.
    let dot_git = tree.join(".git");
    let named = read_small_file(&dot_git);
    let named = named.as_deref().and_then(|text| text.strip_prefix("gitdir:"));
    let own = named.map_or(dot_git, |named| tree.join(named.trim()));
    let linked_to = own.parent().filter(|folder| folder.ends_with("worktrees")).and_then(Path::parent);
    let shared = linked_to.map_or(own.clone(), Path::to_owned);
    let main = shared.parent().filter(|_| shared.ends_with(".git")).map(Path::to_owned);
    let entries = std::fs::read_dir(shared.join("worktrees")).into_iter().flatten().flatten();
    let linked = entries.filter_map(|entry| {
        let dot_git = read_small_file(&entry.path().join("gitdir"))?;
        Some(Path::new(dot_git.trim()).parent()?.to_owned())
    });
    let all = [tree.to_owned()].into_iter().chain(main).chain(linked);
    all.filter_map(|tree| tree.canonicalize().ok()).collect()
}

/// Reads the text of a small regular file. Other files, such as pipes or devices, are not read, because
/// reading them could block.
fn read_small_file(file: &Path) -> Option<String> {
    file.metadata().ok().filter(std::fs::Metadata::is_file)?;
    std::fs::read_to_string(file).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_of_the_repository_is_not_found_wherever_path_leads_to_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        for folder in ["main/.git/worktrees/one", "main/bin", "linked/bin", "links", "outside"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let gitdir = at("main/.git/worktrees/one");
        fs::write(at("linked/.git"), format!("gitdir: {}\n", gitdir.display())).unwrap();
        fs::write(gitdir.join("gitdir"), format!("{}\n", at("linked/.git").display())).unwrap();
        for program in ["main/bin/claude", "linked/bin/claude", "outside/claude"] {
            fs::write(at(program), "").unwrap();
            fs::set_permissions(at(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        // A link outside the repository that leads to a folder in the repository.
        symlink(at("main/bin"), at("tools")).unwrap();
        let of = |reviewed: &[&str], folders: &[&str]| {
            let path = std::env::join_paths(folders.iter().map(|folder| match *folder {
                "" | "." | "bin" => PathBuf::from(folder),
                named => at(named),
            }));
            let reviewed: Vec<PathBuf> = reviewed.iter().map(|name| at(name)).collect();
            SearchPath::from_path_variable(&path.unwrap(), reviewed.iter().map(PathBuf::as_path))
        };
        let found = |reviewed: &[&str], folders: &[&str]| {
            let file = of(reviewed, folders).find(Path::new("claude"));
            file.map(|file| file.strip_prefix(&root).unwrap().to_owned())
        };
        let ours = ["links", "main/bin", "linked/bin", "tools", "", ".", "bin"];
        for link in ["main/bin/claude", "linked/bin/claude"] {
            let _ = fs::remove_file(at("links/claude"));
            symlink(at(link), at("links/claude")).unwrap();
            // The reviewed path may be the current folder of the command, or a path that the command names
            // from outside the repository. The root folder is in no repository, even if the folder for
            // temporary files is in one.
            for reviewed in [["main", "/"], ["main/bin", "/"], ["/", "linked"]] {
                assert_eq!(found(&reviewed, &ours), None, "{reviewed:?}: {link}");
                let with_one = [&ours[..], &["outside"]].concat();
                assert_eq!(
                    found(&reviewed, &with_one),
                    Some("outside/claude".into()),
                    "{reviewed:?}: {link}"
                );
            }
        }
        let passed_on = of(&["/", "main"], &ours);
        assert_eq!(passed_on.path_variable(), at("links"), "what is started gets none of them");
        // A link to a program outside the repository is permitted. If the repository is not reviewed, `PATH`
        // may name a folder in it.
        let _ = fs::remove_file(at("links/claude"));
        symlink(at("outside/claude"), at("links/claude")).unwrap();
        assert_eq!(found(&["main"], &["links"]), Some("links/claude".into()));
        assert_eq!(found(&["/"], &["main/bin"]), Some("main/bin/claude".into()));
        // A file without execute permission is not a program.
        fs::set_permissions(at("outside/claude"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(found(&["main"], &["outside"]), None);
    }
}
