//! The command `truing diff track`: finds where lines of one commit are in another.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use truing_core::id::Sha;
use truing_diff::{
    DiffSide, FileContent, FileDiff, FileStatus, LineTracker, MAX_TRACKED_BYTES, RepoPath, TrackedRange,
};
use truing_git::LocalRepository;

use super::compared::{ComparedCommits, malformed_diff_error};
use super::position::{POSITION_READER, check_lines};
use crate::cli::error::{CliError, CommandExit};
use crate::cli::{CommandContext, runtime};
use crate::wiring;

/// A line of the input.
#[derive(Deserialize)]
struct TrackRequest {
    /// Identifier that is returned unchanged.
    #[serde(default)]
    id: Value,
    path: RepoPath,
    /// Side of the position. This field is only validated and not used, because all positions are in the
    /// first commit.
    #[serde(default, rename = "side")]
    _side: Option<DiffSide>,
    start_line: u32,
    end_line: u32,
}

#[derive(Serialize)]
struct TrackJson<'a> {
    id: &'a Value,
    #[serde(flatten)]
    tracked: TrackedRange,
}

pub(super) fn run(
    from: &str,
    to: &str,
    path: &Path,
    context: &CommandContext,
) -> Result<CommandExit, CliError> {
    let runtime = runtime::start()?;
    let compared = runtime.block_on(ComparedCommits::open(from, to, path, context))?;
    let parsed = truing_diff::parse(&compared.diff);
    if let Some(error) = &parsed.error {
        return Err(malformed_diff_error("the output of `git diff`", error));
    }
    // All positions are read before the first answer, because they determine which files must be read.
    let mut error = None;
    let has_lines = |position: &TrackRequest| check_lines(position.start_line, position.end_line);
    let asked: Vec<TrackRequest> = POSITION_READER.read(has_lines, &mut error).collect();

    let wanted_old = asked.iter().map(|position| position.path.clone());
    let old: BTreeSet<RepoPath> = wanted_old.chain(parsed.files.iter().filter_map(old_path)).collect();
    let new: BTreeSet<RepoPath> = parsed
        .files
        .iter()
        .filter(|file| file.status != FileStatus::Deleted)
        .map(|file| file.path.clone())
        .collect();
    let (old, new) = runtime.block_on(async {
        let mut room = MAX_TRACKED_BYTES as u64;
        let old = CommitFiles::read(&compared.repository, &compared.old, old, &mut room).await?;
        Ok::<_, CliError>((
            old,
            CommitFiles::read(&compared.repository, &compared.new, new, &mut room).await?,
        ))
    })?;
    let (old, new) = (old.file_contents(), new.file_contents());
    let tracker = LineTracker::new(&parsed.files, &old, &new);
    let known = |path: &&RepoPath| asked.iter().any(|position| position.path == **path);
    for path in tracker.paths_tracked_by_hunks().filter(known) {
        context.output.warn(format_args!(
            "{path} is too large, or not a text file: only lines that kept their order are tracked"
        ));
    }
    context.output.print_json_lines(asked.iter().map(
        |TrackRequest { id, path, start_line, end_line, .. }| TrackJson {
            id,
            tracked: tracker.track(path, *start_line, *end_line),
        },
    ))?;
    error.map_or(Ok(CommandExit::Success), Err)
}

/// Returns the old name of a changed file.
fn old_path(file: &FileDiff<'_>) -> Option<RepoPath> {
    match file.status {
        FileStatus::Added => None,
        FileStatus::Renamed | FileStatus::Copied => file.old_path.clone(),
        FileStatus::Deleted | FileStatus::Modified | FileStatus::ModeChanged | FileStatus::BinaryModified => {
            Some(file.path.clone())
        }
    }
}

/// Contents of the files of one commit.
struct CommitFiles(Vec<(RepoPath, Option<Vec<u8>>)>);

impl CommitFiles {
    /// Reads those files of `paths` that exist in the commit. A file that the export omits, or that exceeds
    /// `remaining_bytes`, is included without content.
    ///
    /// `remaining_bytes` is the number of bytes that may still be kept in memory.
    async fn read(
        repository: &LocalRepository,
        commit: &Sha,
        paths: BTreeSet<RepoPath>,
        remaining_bytes: &mut u64,
    ) -> Result<Self, CliError> {
        if paths.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let failed = |error: std::io::Error| {
            CliError::failure("temporary_folder", format!("cannot use a temporary folder: {error}")).hint(
                "check that the folder for temporary files (TMPDIR) exists, is writable and has free space",
            )
        };
        let folder = truing_git::PrivateFolder::new().map_err(failed)?;
        let wanted: Vec<RepoPath> = paths.iter().cloned().collect();
        let exported =
            repository.export(commit, folder.path(), Some(&wanted)).await.map_err(wiring::git_error)?;
        let left_out: BTreeSet<RepoPath> = exported.omitted_files.into_iter().map(|file| file.path).collect();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            if left_out.contains(&path) {
                files.push((path, None));
                continue;
            }
            // A file that the commit does not contain was not exported. A path outside the folder is never
            // exported.
            let file = folder.path().join(OsStr::from_bytes(path.as_bytes()));
            if path.stays_within_folder() && file.is_file() {
                let size = file.metadata().map_err(failed)?.len();
                let fits = size <= *remaining_bytes;
                let content = if fits { Some(std::fs::read(&file).map_err(failed)?) } else { None };
                *remaining_bytes -= if fits { size } else { 0 };
                files.push((path, content));
            }
        }
        Ok(Self(files))
    }

    fn file_contents(&self) -> Vec<FileContent<'_>> {
        self.0.iter().map(|(path, content)| FileContent { path, content: content.as_deref() }).collect()
    }
}
