//! Tools `list` and `glob`: `list` shows the entries of a folder, and `glob` finds files by a pattern.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use truing_diff::RepoPath;

use super::ToolCallError;
use super::index::{FileIndex, PathKind};
use super::page::{ReplyPage, visible_text};
use crate::file::FileTree;

/// Largest number of entries in one response.
const MAX_ENTRIES: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListInput {
    path: Option<String>,
    skip: Option<usize>,
}

pub(super) fn list_folder(
    tree: &FileTree,
    index: &FileIndex,
    input: ListInput,
) -> Result<String, ToolCallError> {
    let folder = FileIndex::parse_path(input.path.as_deref())?;
    let files = match index.path_kind(&folder) {
        Some(PathKind::Folder) => index.files_below(&folder),
        Some(PathKind::File) => {
            let size = tree.size(&folder).unwrap_or_default();
            return Ok(format!("{} is a file of {size} bytes", visible_text(&folder.to_string())));
        }
        None => return Err(ToolCallError::NoSuchFileOrFolder(folder)),
    };

    let depth = if folder.as_bytes().is_empty() { 0 } else { folder.as_bytes().len() + 1 };
    let mut page = ReplyPage::new(input.skip, MAX_ENTRIES);
    for (name, entry) in folder_entries(files, depth) {
        let name = visible_text(&RepoPath::from_bytes(name).to_string());
        page.add_item(|| match entry {
            FolderEntry::File(path) => format!("{name}  ({} bytes)\n", tree.size(path).unwrap_or_default()),
            FolderEntry::Folder(count) => format!("{name}/  ({})\n", format_count(count, "file")),
        });
    }
    let (shown, count) = (visible_text(&folder.to_string()), page.item_count());
    let place = if depth == 0 { "The root".to_owned() } else { format!("{shown}/") };
    page.finish(
        &format!("{place} has {}{}", format_count(count, "entry"), index.truncation_note()),
        "entries",
    )
}

/// Entry of a folder.
enum FolderEntry<'a> {
    File(&'a RepoPath),
    /// Folder, with the number of files below it.
    Folder(usize),
}

/// Returns the entries of a folder. `prefix_bytes` is the length of the folder's path within each file's
/// path, including the last `/`.
fn folder_entries(files: &[RepoPath], prefix_bytes: usize) -> BTreeMap<&[u8], FolderEntry<'_>> {
    let mut entries = BTreeMap::new();
    for file in files {
        let below = file.as_bytes().get(prefix_bytes..).unwrap_or_default();
        match below.iter().position(|byte| *byte == b'/') {
            None => drop(entries.insert(below, FolderEntry::File(file))),
            Some(end) => {
                let name = below.get(..end).unwrap_or_default();
                match entries.entry(name).or_insert(FolderEntry::Folder(0)) {
                    FolderEntry::Folder(count) => *count += 1,
                    FolderEntry::File(_) => {}
                }
            }
        }
    }
    entries
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GlobInput {
    pattern: String,
    skip: Option<usize>,
}

pub(super) fn glob_files(index: &FileIndex, input: GlobInput) -> Result<String, ToolCallError> {
    let matcher = compile_pattern(&input.pattern)?;
    let mut page = ReplyPage::new(input.skip, MAX_ENTRIES);
    for file in index.files_below(&RepoPath::default()).iter().filter(|file| matcher.matches(file)) {
        page.add_item(|| format!("{}\n", visible_text(&file.to_string())));
    }
    let pattern = visible_text(&input.pattern);
    match page.item_count() {
        0 => Ok(format!("No file matches `{pattern}`{}", index.truncation_note())),
        count => page.finish(
            &format!("{} match `{pattern}`{}", format_count(count, "file"), index.truncation_note()),
            "files",
        ),
    }
}

/// Pattern of paths. A pattern without `/` matches names in any folder.
pub(super) struct PathPattern {
    glob: GlobMatcher,
    matches_name_only: bool,
}

impl PathPattern {
    pub(super) fn matches(&self, path: &RepoPath) -> bool {
        let bytes = path.as_bytes();
        let name = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        self.glob.is_match(OsStr::from_bytes(if self.matches_name_only { name } else { bytes }))
    }
}

pub(super) fn compile_pattern(pattern: &str) -> Result<PathPattern, ToolCallError> {
    let hint = "Use `*` within a name, `**` across folders, `{a,b}` for either, as in `src/**/*.{ts,tsx}`";
    truing_core::glob::check_bounds(pattern)
        .map_err(|reason| ToolCallError::InvalidPattern { reason, hint })?;
    let built = GlobBuilder::new(pattern).literal_separator(true).build();
    let glob =
        built.map_err(|error| ToolCallError::InvalidPattern { reason: error.kind().to_string(), hint })?;
    Ok(PathPattern { glob: glob.compile_matcher(), matches_name_only: !pattern.contains('/') })
}

pub(super) use truing_core::line::format_count;
