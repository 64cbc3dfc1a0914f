//! Finds the members of a Cargo workspace. Each member lists its required packages in its own `Cargo.toml`.

use std::path::Path;

use globset::Glob;
use truing_upstream::project_requirement::{self, WorkspaceMembers};

/// Maximum number of folders that are searched for members.
const MAX_SEARCHED_FOLDERS: usize = 1000;

/// Returns the paths of the `Cargo.toml` files of the workspace's members, relative to the project and
/// sorted.
pub(super) fn member_files(project: &Path) -> Vec<String> {
    let WorkspaceMembers { members, exclude } =
        project_requirement::read_workspace_members(&project.join(MANIFEST_FILE_NAME));
    let mut folders: Vec<String> =
        members.iter().flat_map(|member| matching_folders(project, member)).collect();
    let exclude: Vec<String> = exclude.iter().map(|other| normalize_path(other)).collect();
    let is_below = |folder: &str, other: &str| {
        folder.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    folders.retain(|folder| !exclude.iter().any(|other| is_below(folder, other)));
    folders.sort();
    folders.dedup();
    let files = folders.into_iter().map(|folder| format!("{folder}/{MANIFEST_FILE_NAME}"));
    files.filter(|file| project.join(file).is_file()).collect()
}

/// Removes empty and `.` components from a path.
fn normalize_path(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// Name of a crate's manifest.
const MANIFEST_FILE_NAME: &str = "Cargo.toml";

/// Returns the folders in the project that match a pattern.
fn matching_folders(project: &Path, pattern: &str) -> Vec<String> {
    let parts = pattern.split('/').filter(|part| !matches!(*part, "" | "."));
    let mut found = vec![String::new()];
    for part in parts {
        // A member outside the project folder belongs to another project.
        if part == ".." || pattern.starts_with('/') {
            return Vec::new();
        }
        let below = |folder: &String, name: &str| match folder.as_str() {
            "" => name.to_owned(),
            folder => format!("{folder}/{name}"),
        };
        if !part.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|folder| *folder = below(folder, part));
            continue;
        }
        let Ok(glob) = Glob::new(part) else { return Vec::new() };
        let glob = glob.compile_matcher();
        let inside = |folder: &String| {
            let names = std::fs::read_dir(project.join(folder)).into_iter().flatten().flatten();
            let names = names.filter_map(|entry| entry.file_name().into_string().ok());
            names.filter(|name| glob.is_match(name)).map(|name| below(folder, &name)).collect::<Vec<_>>()
        };
        found = found.iter().flat_map(inside).take(MAX_SEARCHED_FOLDERS).collect();
    }
    found.retain(|folder| !folder.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_their_names_and_patterns() {
        let project = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = project.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert!(member_files(project.path()).is_empty());
        let members = "[workspace]\nmembers = \
             [\"crates/*\", \"./tool/\", \"../out\", \"crates/a\", \"crates/c/below\"]\nexclude = \
             [\"./crates/c/\"]\n";
        write("Cargo.toml", members);
        for folder in ["crates/a", "crates/b", "crates/c", "crates/c/below", "tool", "other"] {
            write(&format!("{folder}/Cargo.toml"), "");
        }
        write("crates/notes/README.md", "");
        assert_eq!(
            member_files(project.path()),
            ["crates/a/Cargo.toml", "crates/b/Cargo.toml", "tool/Cargo.toml"]
        );
    }
}
