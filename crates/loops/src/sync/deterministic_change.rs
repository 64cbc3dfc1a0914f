//! The part of a change that needs no model. The module writes the range and the digests (`change`), and the
//! version and the changelog (`release_note`). The project's own command then updates the lock files. This
//! command runs in the sandbox, on a copy of the files. If the command changes a file that is not a lock
//! file, the whole change is rejected.

use std::path::Path;

use globset::GlobSet;
use tokio::task::spawn_blocking;
use truing_agent::proxy::HostAccess;
use truing_agent::verify::{REGISTRIES_KEY, ScratchRunResult, Verifier, VerifyError};
use truing_config::sync::{JobConfig, placeholders};
use truing_config::value;
use truing_core::RepoPath;
use truing_core::id::Sha;
use truing_core::verification::{CommandEndReason, CommandRun};
use truing_git::{GitError, Mirror, PathStatus};

use super::ReleaseDecision;
use super::change::{self, ChangeError};
use super::release_note::{ReleaseNoteError, ReleaseNoteWriter};
use crate::files::{FileContentChange, RejectedFile, read_changes, summarise_paths, write_changes};

/// For a failed lock command: the number of output lines that are reported, and the maximum number of
/// characters of each line.
const OUTPUT_LIMITS: (usize, usize) = (10, 300);

/// The reason why the change cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DeterministicChangeError {
    /// The range or the digests cannot be written.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The version or the changelog cannot be written.
    #[error(transparent)]
    ReleaseNote(#[from] ReleaseNoteError),
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The sandbox cannot be used.
    #[error("cannot run the lock command: {0}")]
    Sandbox(#[from] VerifyError),
    /// No sandbox is available for the lock commands.
    #[error("cannot run the lock command: no sandbox is available")]
    NoSandbox,
    /// A glob of the job is invalid.
    #[error("`relax.lock_files` of the job is invalid: {0}")]
    Globs(#[from] globset::Error),
    /// A lock command failed.
    #[error("the lock command `{command}` failed: {end}{command_output}")]
    LockCommandFailed {
        command: String,
        /// The way in which the command ended.
        end: CommandEndReason,
        /// The last lines that the command printed, and the hosts that it could not reach.
        command_output: String,
    },
    /// The command changed files that are not lock files.
    #[error(
        "the lock command changed files that it must not change: {0}; `relax.lock_files` lists the permitted \
         files"
    )]
    ForbiddenPaths(String),
    /// A file that cannot be read or written.
    #[error("the change is refused: {0}")]
    File(#[from] RejectedFile),
}

/// Makes the part of a change that needs no model.
#[derive(Debug)]
pub(super) struct DeterministicChange<'a> {
    pub(super) job: &'a JobConfig,
    pub(super) release_decision: &'a ReleaseDecision,
    pub(super) mirror: &'a Mirror,
    /// The day of the change, such as `2026-11-21`.
    pub(super) date: String,
    /// Runs the lock commands. None if the job has no lock commands.
    pub(super) lock_command_runner: Option<&'a Verifier>,
}

impl DeterministicChange<'_> {
    /// Makes the change in `folder`, a clone of `commit` in which no command has run yet. Returns the written
    /// files.
    ///
    /// # Errors
    /// [`DeterministicChangeError`]. Files that were already written stay in the folder.
    pub(super) async fn apply(
        &self,
        commit: &Sha,
        folder: &Path,
    ) -> Result<Vec<FileContentChange>, DeterministicChangeError> {
        let (at, job, decided) = (folder.to_owned(), self.job.clone(), self.release_decision.clone());
        let made = spawn_blocking(move || change::apply_change(&at, &job, &decided)).await;
        let mut written =
            made.map_err(|error| RejectedFile::from_folder_error(folder, std::io::Error::from(error)))??;
        let Self { job, release_decision: decided, mirror, date, .. } = self;
        let note = ReleaseNoteWriter { job, release_decision: decided, mirror, date }.write(folder).await?;
        // The project's version may be in the same file as the range. If so, only the last content of the
        // file is kept, which contains both changes.
        written.retain(|one| note.iter().all(|later| later.path != one.path));
        written.extend(note);
        written.extend(self.update_lock_files(commit, folder, &written).await?);
        Ok(written)
    }

    /// Runs the project's own commands that update its lock files.
    async fn update_lock_files(
        &self,
        commit: &Sha,
        folder: &Path,
        written_files: &[FileContentChange],
    ) -> Result<Vec<FileContentChange>, DeterministicChangeError> {
        if self.job.lock_commands.is_empty() {
            return Ok(Vec::new());
        }
        let locker = self.lock_command_runner.ok_or(DeterministicChangeError::NoSandbox)?;
        let worked = locker.run_commands(folder, &self.commands()).await?;
        if let Some(failed) = worked.commands.iter().find(|ran| !ran.end.is_success()) {
            return Err(command_error(failed, &worked.contacted_hosts));
        }
        let locked = self.changed_lock_files(commit, &worked, written_files).await?;
        write_changes(folder, &locked).await?;
        Ok(locked)
    }

    /// Returns the lock commands with the package names and the version of the release filled in. If a word
    /// contains the placeholder for all packages, it is repeated for each package.
    fn commands(&self) -> Vec<Vec<String>> {
        let JobConfig { package, companions, .. } = self.job;
        let version = self.release_decision.to.to_string();
        let of = |name: &str, one: &str| match name {
            placeholders::PACKAGE => package.clone(),
            placeholders::VERSION => version.clone(),
            _ => one.to_owned(),
        };
        let words = |word: &truing_core::template::TextTemplate| -> Vec<String> {
            let each = if word.has_variable(placeholders::PACKAGES) { companions.as_slice() } else { &[] };
            let names = std::iter::once(package).chain(each);
            names.map(|one| word.fill_with(|name| of(name, one))).collect()
        };
        self.job.lock_commands.iter().map(|command| command.iter().flat_map(words).collect()).collect()
    }

    /// Returns the lock files as the commands wrote them; returns an error if the commands changed another
    /// file.
    async fn changed_lock_files(
        &self,
        commit: &Sha,
        run: &ScratchRunResult,
        written_files: &[FileContentChange],
    ) -> Result<Vec<FileContentChange>, DeterministicChangeError> {
        let globs: GlobSet = value::compile_globs(&self.job.lock_files)?;
        let staged = self.mirror.stage_folder(commit, &run.tree(), None).await?;
        let own = |path: &RepoPath| written_files.iter().any(|change| change.path == *path);
        let is_lock = |path: &RepoPath| path.as_str().is_some_and(|path| globs.is_match(path));
        let may = |(path, edited): &(RepoPath, PathStatus)| {
            own(path) || (is_lock(path) && *edited != PathStatus::Deleted)
        };
        let refused = staged.paths.iter().filter(|found| !may(found)).map(|(path, _)| path);
        let mut refused: Vec<&RepoPath> = refused.chain(&staged.omitted_paths).collect();
        // The commands must not change the files that this run wrote before.
        let ours = written_files.iter().map(|change| (change.path.clone(), PathStatus::Modified)).collect();
        let kept = read_changes(&run.tree(), ours).await?;
        let changed = written_files.iter().zip(&kept).filter(|(ours, kept)| ours != kept);
        refused.extend(changed.map(|(ours, _)| &ours.path));
        if !refused.is_empty() {
            return Err(DeterministicChangeError::ForbiddenPaths(summarise_paths(&refused)));
        }
        let locks = staged.paths.into_iter().filter(|(path, _)| !own(path)).collect();
        Ok(read_changes(&run.tree(), locks).await?)
    }
}

/// Builds the error for a failed command. It contains the way in which the command ended, its last output
/// lines, and the hosts that it could not reach.
fn command_error(run: &CommandRun, host_accesses: &[HostAccess]) -> DeterministicChangeError {
    let text = if run.errors.trim().is_empty() { &run.output } else { &run.errors };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let (count, length) = OUTPUT_LIMITS;
    let mut command_output = String::new();
    for line in lines.iter().skip(lines.len().saturating_sub(count)) {
        command_output += "\n";
        command_output.extend(line.chars().filter(|c| !c.is_control()).take(length));
    }
    if run.end == CommandEndReason::NoProgram {
        command_output += " (searched the system's folders and the folders in `verify.programs`)";
    }
    for HostAccess { host, port, refusal: refused, .. } in host_accesses {
        if let Some(why) = refused {
            command_output +=
                &format!("\nthe command requested {host}:{port}, which {}", why.to_message(REGISTRIES_KEY));
        }
    }
    DeterministicChangeError::LockCommandFailed { command: run.argv.join(" "), end: run.end, command_output }
}
