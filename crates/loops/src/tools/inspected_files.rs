//! The names of files that are passed to a linter.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use truing_core::port::ChangedFile;
use truing_diff::RepoPath;
use truing_reader::output::known::FILES_PLACEHOLDER;

use super::select::SelectedLinter;

/// Maximum number of bytes of file names in one command line. Every system accepts at least 128 KiB for
/// arguments and environment together.
pub(super) const MAX_BATCH_NAMES_BYTES: usize = 100_000;

/// Returns the changed files that a tool inspects.
pub(super) fn inspected_files<'a>(tool: &SelectedLinter, files: &'a [ChangedFile]) -> Vec<&'a str> {
    files.iter().filter_map(|file| file.path.as_str()).filter(|path| tool.inspects(path)).collect()
}

/// Returns the files that cannot be passed to a tool because their names are not UTF-8. A tool's arguments
/// and output must be UTF-8.
pub(super) fn unlintable_files(tool: &SelectedLinter, files: &[ChangedFile]) -> Vec<RepoPath> {
    let paths = files.iter().map(|file| &file.path).filter(|path| path.as_str().is_none());
    let as_path = |path: &RepoPath| Path::new(std::ffi::OsStr::from_bytes(path.as_bytes())).to_owned();
    paths.filter(|path| tool.inspects_file_kind(&as_path(path))).cloned().collect()
}

/// Splits the files into batches whose names fit on one command line. A tool without file arguments gets a
/// single batch.
pub(super) fn split_batches<'a, 'b>(tool: &SelectedLinter, files: &'b [&'a str]) -> Vec<&'b [&'a str]> {
    if !tool.arguments.iter().any(|word| word == FILES_PLACEHOLDER) {
        return vec![files];
    }
    let (mut batches, mut rest) = (Vec::new(), files);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |file: &&&str| {
            bytes += file.len() + 1;
            bytes <= MAX_BATCH_NAMES_BYTES
        };
        let max_count = if tool.runs_on_single_files() { 1 } else { usize::MAX };
        let count = rest.iter().take_while(fits).count().clamp(1, max_count);
        let (batch, others) = rest.split_at(count);
        batches.push(batch);
        rest = others;
    }
    batches
}

/// Returns the first component of a path.
pub(super) fn first_component(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}
