//! Runs a program that inspects a tree and changes nothing: in the sandbox, without a network, with read-only
//! files. The program's time, memory and output are limited. The size of the build results that are kept for
//! later runs is limited as well.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use truing_core::verification::CommandEndReason;

use crate::command::{self, CommandError, CommandLimits, CommandResult, WriteLimit};
use crate::sandbox::{BUILD_FOLDER, JobCommand, SYSTEM_PATH, SandboxJob, SandboxLevel};
use crate::verify::usage::{self, DiskUsage};
use crate::verify::{CommandOutput, OFFLINE_VARIABLES, SANDBOX_TREE_PATH, to_command_end, to_milliseconds};

/// A program and the paths that it may read.
#[derive(Clone, Debug)]
pub struct ReadOnlyProgram {
    /// The file to start, and its arguments.
    pub argv: Vec<OsString>,
    /// The tree that the program inspects.
    pub tree: PathBuf,
    /// True if the sandbox mounts the tree at [`SANDBOX_TREE_PATH`] instead of its real path, which only
    /// [`SandboxLevel::Full`] can do.
    pub uses_fixed_tree_path: bool,
    /// Working folder, relative to the tree; empty for the tree's root.
    pub folder: PathBuf,
    /// Further folders and files that the program may read.
    pub readable_paths: BTreeSet<PathBuf>,
    /// The folders in which the program finds other programs, searched before the system's folders.
    pub path: Vec<PathBuf>,
    /// Further environment variables of the program.
    pub variables: Vec<(String, String)>,
    /// The folder with the build results of earlier runs, for programs that build (only at
    /// [`SandboxLevel::Full`]). Without this folder the program builds everything.
    pub build_folder: Option<BuildFolder>,
    pub level: SandboxLevel,
    /// Time limit of the program.
    pub time: Duration,
}

/// A folder with a program's build results, which later runs of the program use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildFolder {
    /// Path of the folder. The folder holds no more bytes than the sandbox lets a job write.
    pub folder: PathBuf,
    /// Names of environment variables; each variable is set to its own subfolder of this folder.
    pub variables: Vec<String>,
}

impl BuildFolder {
    /// Returns the number of bytes that a folder uses on disk. Links in the folder are not followed.
    pub fn disk_bytes(folder: &Path) -> u64 {
        usage::measure_folder(folder).bytes
    }
}

impl ReadOnlyProgram {
    /// Runs the program to its end. Dropping the future kills the program and every process that it started.
    ///
    /// # Errors
    /// [`CommandError`] if there is no sandbox for the program. A failure of the program itself is not an
    /// error.
    #[truing_core::boxed_future]
    pub async fn run(self) -> Result<CommandOutput, CommandError> {
        let Self {
            argv,
            tree,
            uses_fixed_tree_path: moves_tree,
            folder,
            readable_paths: read,
            path,
            variables,
            build_folder: builds,
            level,
            time,
        } = self;
        let began = std::time::Instant::now();
        let mut job = SandboxJob::new(level, &tree, JobCommand::Program(argv))?;
        job.working_folder = folder;
        if moves_tree {
            job.inner_tree = SANDBOX_TREE_PATH.into();
        }
        job.allows_sockets = true;
        job.readable_paths = outermost_folders(&read, &job.tree);
        job.variables =
            OFFLINE_VARIABLES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        job.variables.push(("PATH".to_owned(), search_path(&path)));
        job.variables.extend(variables);
        // This file is hidden from the program, because CI systems store tokens in it.
        job.hidden_files = vec![PathBuf::from(".git/config")];
        let mut written = None;
        if let Some(BuildFolder { folder, variables }) = builds.filter(|_| level == SandboxLevel::Full) {
            let own = variables.into_iter().map(|name| {
                let folder = format!("{BUILD_FOLDER}/{name}");
                (name, folder)
            });
            job.variables.extend(own);
            written = Some(WriteLimit {
                folders: vec![folder.clone()],
                limit: DiskUsage::with_max_bytes(job.limits.disk),
            });
            job.build_folder = Some(folder);
        }
        let tree_path = job.inner_tree().to_owned();
        let bounds = CommandLimits { time, write_limit: written, keeps_whole_output: true };
        Ok(match command::run(job, &bounds).await {
            Ok(CommandResult { outcome: ended, stdout, stderr, duration }) => CommandOutput {
                end_reason: to_command_end(&ended),
                duration_ms: to_milliseconds(duration),
                stdout: stdout.text(),
                stderr: stderr.text(),
                tree_path,
            },
            Err(CommandError::ProgramNotStarted { reason, .. }) => {
                let ms = to_milliseconds(began.elapsed());
                CommandOutput {
                    end_reason: CommandEndReason::NoProgram,
                    duration_ms: ms,
                    stdout: String::new(),
                    stderr: reason,
                    tree_path,
                }
            }
            Err(error) => return Err(error),
        })
    }
}

/// Returns a search path of these folders, followed by the system's folders.
fn search_path(folders: &[PathBuf]) -> String {
    let own = folders.iter().filter_map(|folder| folder.to_str()).filter(|folder| !folder.contains(':'));
    own.chain([SYSTEM_PATH]).collect::<Vec<_>>().join(":")
}

/// Removes folders that are inside another folder or inside the tree, so each folder is shown only once.
fn outermost_folders(read: &BTreeSet<PathBuf>, tree: &Path) -> Vec<PathBuf> {
    let is_inside = |path: &PathBuf| {
        path.starts_with(tree) || read.iter().any(|other| other != path && path.starts_with(other))
    };
    read.iter().filter(|path| !is_inside(path)).cloned().collect()
}
