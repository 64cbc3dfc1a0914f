//! A program that looks at a tree and changes nothing: in the sandbox, without a network, on files that it may only read.
//! It is bounded in time, in memory, in what it prints, and in what it leaves for its next run.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use truing_core::verification::CommandEnd;

use crate::command::{self, CommandBounds, CommandError, FinishedCommand, WriteLimit};
use crate::sandbox::{BUILDS, JobCommand, SYSTEM_PATH, SandboxJob, SandboxLevel};
use crate::verify::usage::{self, DiskUsage};
use crate::verify::{CommandOutput, INSIDE, OFFLINE, end, milliseconds};

/// A program and all that it may see.
#[derive(Clone, Debug)]
pub struct ReadOnlyProgram {
    /// The file to start, and its arguments.
    pub argv: Vec<OsString>,
    /// The tree that it looks at.
    pub tree: PathBuf,
    /// Does it find the tree at [`INSIDE`], wherever that is ([`SandboxLevel::Full`] alone)?
    pub moves_tree: bool,
    /// The folder of the tree that it begins in; empty: the tree.
    pub folder: PathBuf,
    /// Further folders and files that it may read.
    pub read: BTreeSet<PathBuf>,
    /// The folders in which it finds other programs, before those of the system.
    pub path: Vec<PathBuf>,
    /// Further variables that it finds.
    pub variables: Vec<(String, String)>,
    /// The folder that its earlier runs have filled, for programs that build ([`SandboxLevel::Full`] alone); none: it builds everything.
    pub builds: Option<BuildFolder>,
    /// The strength of the sandbox.
    pub level: SandboxLevel,
    /// The time that it may take.
    pub time: Duration,
}

/// A folder of what a program has built, which its next run may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildFolder {
    /// Its path. It holds no more than the sandbox lets a job write.
    pub folder: PathBuf,
    /// Variables of the program that each name a folder in it.
    pub variables: Vec<String>,
}

impl BuildFolder {
    /// The bytes that a folder holds on its disk. No link in it is followed.
    pub fn bytes(folder: &Path) -> u64 {
        usage::of(folder).bytes
    }
}

impl ReadOnlyProgram {
    /// Runs it to its end. Letting go of the future ends it, with everything that it has started.
    ///
    /// # Errors
    /// [`CommandError`], if there is no sandbox for it; however the program ends is none.
    #[truing_core::boxed_future]
    pub async fn run(self) -> Result<CommandOutput, CommandError> {
        let Self { argv, tree, moves_tree, folder, read, path, variables, builds, level, time } = self;
        let began = std::time::Instant::now();
        let mut job = SandboxJob::new(level, &tree, JobCommand::Program(argv))?;
        // Below `full` a program has no folders of its own: its home is one that is gone afterwards.
        let private = tempfile::tempdir()?;
        job.private = private.path().to_owned();
        job.folder = folder;
        if moves_tree {
            job.inside = INSIDE.into();
        }
        job.sockets = true;
        job.read = outermost(&read, &job.tree);
        job.variables =
            OFFLINE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        job.variables.push(("PATH".to_owned(), search_path(&path)));
        job.variables.extend(variables);
        // Checkouts of build machines keep tokens there.
        job.hidden = vec![PathBuf::from(".git/config")];
        let mut written = None;
        if let Some(BuildFolder { folder, variables }) = builds.filter(|_| level == SandboxLevel::Full) {
            let own = variables.into_iter().map(|name| {
                let folder = format!("{BUILDS}/{name}");
                (name, folder)
            });
            job.variables.extend(own);
            written = Some(WriteLimit {
                folders: vec![folder.clone()],
                most: DiskUsage::of_bytes(job.limits.disk),
            });
            job.builds = Some(folder);
        }
        let bounds = CommandBounds { time, written, whole: true };
        Ok(match command::run(job, &bounds).await {
            Ok(FinishedCommand { end: ended, out, err, took }) => CommandOutput {
                end: end(&ended),
                ms: milliseconds(took),
                output: out.text(),
                errors: err.text(),
            },
            Err(CommandError::NoProgram { why, .. }) => {
                let ms = milliseconds(began.elapsed());
                CommandOutput { end: CommandEnd::NoProgram, ms, output: String::new(), errors: why }
            }
            Err(error) => return Err(error),
        })
    }
}

/// A search path of these folders, and those of the system.
fn search_path(folders: &[PathBuf]) -> String {
    let own = folders.iter().filter_map(|folder| folder.to_str()).filter(|folder| !folder.contains(':'));
    own.chain([SYSTEM_PATH]).collect::<Vec<_>>().join(":")
}

/// Folders without those that are in another one, or in the tree: each is shown once.
fn outermost(read: &BTreeSet<PathBuf>, tree: &Path) -> Vec<PathBuf> {
    let is_inside = |path: &PathBuf| {
        path.starts_with(tree) || read.iter().any(|other| other != path && path.starts_with(other))
    };
    read.iter().filter(|path| !is_inside(path)).cloned().collect()
}
