//! Runs a repository's own setup and checks on a private copy of the repository's files. An authorized person
//! has configured these commands.
//!
//! The setup runs first. The setup can connect only to the listed registries (`registry`), through a proxy.
//! The result of the setup is cached (`cache`) under a key that is computed from its inputs (`key`). Then the
//! checks run without network, on a copy (`copy`) of the tree and of this result. The setup and the checks
//! run in the sandbox, without secrets, within limits of time, output, memory and disk (`usage`).
//! `truing_core::verification` evaluates the results.

// long: set-ups, checks and single commands share one function that runs and measures a command.

mod cache;
pub(crate) mod copy;
mod key;
mod registry;
pub(crate) mod usage;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use truing_core::verification::{
    CheckAttempts, CheckVerdict, CommandEndReason, CommandRun, VerificationReport,
};
use truing_reader::redact::redact_secrets;

use crate::command::{
    self, CapturedOutput, CommandError, CommandIo, CommandLimits, CommandResult, WriteLimit,
};
use crate::proxy::{EgressProxy, HostAccess};
use crate::sandbox::{
    HOME, JobCommand, JobFolders, JobLimits, PROXY_VARIABLES, SandboxError, SandboxJob, SandboxLevel,
    SandboxLimit, TEMPORARY_FOLDER, require_level,
};
use cache::{LockedFolder, SetupCacheEntry, WorkPlace};
use usage::{DiskUsage, ExceededDiskLimit};

pub use cache::{CacheRetention, CacheScope, SetupCache};
pub use key::affects_setup;
pub use registry::{RegistryAccess, RegistryError, RegistryIndex};

/// Path of the tree inside a sandbox with its own file system. The path is equal in all runs, because Python
/// environments and Rust builds contain the path at which they were created. Without its own file system, the
/// tree of each run is moved to [`SetupCache`]'s work place, whose path is equal in all runs, too.
pub const SANDBOX_TREE_PATH: &str = "/work";
/// Folders that a sandbox with its own file system mounts over the machine's: the tree, and the private
/// folders of a run.
const MOUNTED_FOLDERS: [&str; 3] = [SANDBOX_TREE_PATH, HOME, TEMPORARY_FOLDER];

/// Returns the mount that hides this folder from commands in a sandbox with its own file system; `None` if
/// commands see the folder.
pub fn hiding_mount(folder: &Path) -> Option<&'static Path> {
    // At its own path, the sandbox contains a link as a link.
    let target = folder.is_symlink().then(|| folder.canonicalize().ok()).flatten();
    let is_hidden = |mount: &Path| {
        folder.starts_with(mount) || target.as_ref().is_some_and(|target| target.starts_with(mount))
    };
    MOUNTED_FOLDERS.into_iter().map(Path::new).find(|mount| is_hidden(mount))
}

/// Configuration key that lists the registries that a setup may reach.
pub const REGISTRIES_KEY: &str = "verify.registries";
/// Environment variables that switch tools to offline mode. Without these variables, the tools would try to
/// use the network and wait for a timeout.
pub(crate) const OFFLINE_VARIABLES: &[(&str, &str)] = &[
    ("GOPROXY", "off"),
    ("GOTOOLCHAIN", "local"),
    ("CARGO_NET_OFFLINE", "true"),
    ("PIP_NO_INDEX", "1"),
    ("UV_OFFLINE", "1"),
    ("npm_config_offline", "true"),
];

/// The commands to run, with their limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyPlan {
    /// Commands of the setup in order, each a program and its arguments.
    pub setup: Vec<Vec<String>>,
    /// Commands of the checks.
    pub check: Vec<Vec<String>>,
    /// Registries that the setup may reach.
    pub registries: RegistryAccess,
    /// Folders with programs that commands may read and run, in addition to the system's folders.
    pub program_folders: Vec<PathBuf>,
    /// Time limit of each command.
    pub command_time_limit: Duration,
    /// Maximum memory of all processes of one command together, in bytes.
    pub memory: u64,
    /// Maximum number of bytes that the setup may write; the checks have the same limit.
    pub disk: u64,
}

impl Default for VerifyPlan {
    /// Returns a plan without commands, with limits of 20 minutes, 4 GiB of memory and 10 GiB of disk.
    fn default() -> Self {
        Self {
            setup: Vec::new(),
            check: Vec::new(),
            registries: RegistryAccess::default(),
            program_folders: Vec::new(),
            command_time_limit: Duration::from_secs(20 * 60),
            memory: 4 << 30,
            disk: 10 << 30,
        }
    }
}

/// The reason that the setup and the checks could not be run. A failed command is not an error.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The sandbox is unavailable or too weak.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A command could not be started or watched.
    #[error("{}: {source}", argv.join(" "))]
    NotRun {
        /// The command with its arguments.
        argv: Vec<String>,
        /// Reason of the failure.
        source: CommandError,
    },
    /// An operation on a folder failed.
    #[error("{operation}: {source}")]
    Folder {
        /// Description of the failed operation.
        operation: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
}

/// Runs the setup and the checks of a `VerifyPlan`.
#[derive(Clone, Debug)]
pub struct Verifier {
    plan: VerifyPlan,
    cache: SetupCache,
    sandbox_level: SandboxLevel,
}

/// The result of a setup, new or from the cache.
#[derive(Debug)]
pub struct SetupResult {
    /// Commands that were run; the last one may have failed.
    pub commands: Vec<CommandRun>,
    /// Hosts that the setup reached or tried to reach.
    pub contacted_hosts: Vec<HostAccess>,
    /// True if the result comes from the cache.
    pub is_cached: bool,
    /// The files that the setup has created.
    state: SetupState,
}

/// The result of commands that were run on a copy of a tree.
#[derive(Debug)]
pub struct ScratchRunResult {
    /// Commands that were run; the last one may have failed.
    pub commands: Vec<CommandRun>,
    /// Hosts that the commands reached or tried to reach.
    pub contacted_hosts: Vec<HostAccess>,
    /// The folder of the copy, which is deleted when this value is dropped.
    copy_folder: LockedFolder,
}

impl ScratchRunResult {
    /// Returns the path of the copy, in which the commands have run. The commands may have created any kind
    /// of file in the copy, for example links, or files that never end when they are read.
    pub fn tree(&self) -> PathBuf {
        self.copy_folder.path().join("tree")
    }
}

/// The result and output of one command.
#[derive(Debug)]
pub struct CommandOutput {
    pub end_reason: CommandEndReason,
    /// Duration of the command in milliseconds.
    pub duration_ms: u64,
    /// The whole standard output, unfiltered; it may contain secrets.
    pub stdout: String,
    /// The whole standard error, unfiltered.
    pub stderr: String,
    /// Path at which the command saw the tree.
    pub tree_path: PathBuf,
}

/// The files that a setup has created.
#[derive(Clone, Debug)]
enum SetupState {
    /// No files, because the plan has no setup.
    Nothing,
    /// No usable files, because a command failed.
    Failed,
    /// The files in this cache entry.
    Entry(Arc<SetupCacheEntry>),
}

impl SetupResult {
    /// Returns true if the checks can run.
    pub fn can_run_checks(&self) -> bool {
        match self.state {
            SetupState::Nothing | SetupState::Entry(_) => true,
            SetupState::Failed => false,
        }
    }

    /// Returns true if the setup has created a file at this path of the tree.
    pub fn has_file(&self, path: &Path) -> bool {
        self.tree().is_some_and(|tree| tree.join(path).symlink_metadata().is_ok())
    }

    /// Returns the folder with the files that the setup has created, if it has created files.
    pub fn tree(&self) -> Option<PathBuf> {
        if let SetupState::Entry(entry) = &self.state { Some(entry.tree()) } else { None }
    }
}

/// The results of the setup and the checks of a tree.
#[derive(Debug)]
pub struct VerifiedTree {
    /// Result of the setup.
    pub setup: SetupResult,
    /// Results of the checks; `None` if they could not run because the setup failed.
    pub verification: Option<VerificationReport>,
}

/// A tree that is set up, ready for checks.
#[derive(Debug)]
pub struct PreparedTree {
    tree: PathBuf,
    copy_folder: LockedFolder,
}

impl Verifier {
    /// Returns a verifier for this plan. `reached_level` is the sandbox level that the machine supports.
    ///
    /// # Errors
    /// [`SandboxError::TooWeak`] if the level is below [`SandboxLevel::MIN_FOR_FOREIGN_CODE`], even if the
    /// configuration accepts weaker levels elsewhere.
    pub fn new(
        plan: VerifyPlan,
        cache: SetupCache,
        reached_level: SandboxLevel,
    ) -> Result<Self, VerifyError> {
        let sandbox_level = require_level(SandboxLevel::MIN_FOR_FOREIGN_CODE, reached_level)?;
        Ok(Self { plan, cache, sandbox_level })
    }

    /// Returns a copy with this time limit for each command.
    #[must_use]
    pub fn with_time_limit(&self, time: Duration) -> Self {
        Self { plan: VerifyPlan { command_time_limit: time, ..self.plan.clone() }, ..self.clone() }
    }

    /// Runs the setup of `tree`, and runs the checks if the setup succeeds. The checks may change `tree`, so
    /// the caller must pass a private copy and not use it afterwards. `baseline` contains the results of the
    /// same checks without the change, if these results are known.
    ///
    /// # Errors
    /// [`VerifyError`]; a failed setup or check is no error.
    #[truing_core::boxed_future]
    pub async fn verify_tree(
        &self,
        tree: &Path,
        scope: &CacheScope,
        baseline: Option<&VerificationReport>,
    ) -> Result<VerifiedTree, VerifyError> {
        let set_up = self.set_up(tree, scope).await?;
        if !set_up.can_run_checks() {
            return Ok(VerifiedTree { setup: set_up, verification: None });
        }
        let bench = self.prepare_tree(&set_up, tree).await?;
        let verification = Some(self.run_checks(&bench, baseline).await?);
        Ok(VerifiedTree { setup: set_up, verification })
    }

    /// Runs the setup on a copy of `tree`, or returns the cached result. `tree` itself is unchanged.
    ///
    /// # Errors
    /// [`VerifyError`]; a failed command is no error: see [`SetupResult::can_run_checks`].
    #[truing_core::boxed_future]
    pub async fn set_up(&self, tree: &Path, scope: &CacheScope) -> Result<SetupResult, VerifyError> {
        if self.plan.setup.is_empty() {
            return Ok(SetupResult {
                commands: vec![],
                contacted_hosts: vec![],
                is_cached: false,
                state: SetupState::Nothing,
            });
        }
        let (this, scope, tree) = (self.clone(), scope.clone(), tree.to_owned());
        let now = SystemTime::now();
        let looked = {
            let (this, scope, tree) = (this.clone(), scope.clone(), tree.clone());
            run_blocking("cannot read the tree", move || {
                let key = key::setup_key(&tree, &this.plan)?;
                let found = this.cache.find(&scope, &key, now);
                // The cache is cleaned only after the lookup, because the found entry is then locked and
                // cannot be removed.
                this.cache.clean(now);
                Ok((found, key))
            })
        };
        let (found, key) = looked.await?;
        if let Some(entry) = found {
            let about = entry.metadata();
            let (commands, contacted_hosts) = (about.commands.clone(), about.reached.clone());
            return Ok(SetupResult {
                commands,
                contacted_hosts,
                is_cached: true,
                state: SetupState::Entry(Arc::new(entry)),
            });
        }
        let ScratchRunResult { commands, contacted_hosts, copy_folder } =
            self.run_commands(&tree, &self.plan.setup).await?;
        if commands.last().is_none_or(|ran| !ran.end.is_success()) {
            return Ok(SetupResult {
                commands,
                contacted_hosts,
                is_cached: false,
                state: SetupState::Failed,
            });
        }
        let metadata = (commands.clone(), contacted_hosts.clone());
        let entry = run_blocking("cannot cache the results of the set-up", move || {
            let at = copy_folder.path();
            std::fs::remove_dir_all(at.join("temporary"))?;
            copy::remove_common_entries(&at.join("tree"), &tree)?;
            let entry = this.cache.store_entry(
                &scope,
                &key,
                copy_folder,
                metadata.0,
                metadata.1,
                SystemTime::now(),
            )?;
            this.cache.clean(now);
            Ok(entry)
        });
        Ok(SetupResult {
            commands,
            contacted_hosts,
            is_cached: false,
            state: SetupState::Entry(Arc::new(entry.await?)),
        })
    }

    /// Runs commands on a copy of `tree`, with the same network access as a setup. Stops at the first command
    /// that fails. `tree` itself is unchanged.
    ///
    /// # Errors
    /// [`VerifyError`]; a failed command is no error.
    #[truing_core::boxed_future]
    pub async fn run_commands(
        &self,
        tree: &Path,
        commands: &[Vec<String>],
    ) -> Result<ScratchRunResult, VerifyError> {
        let copy_folder = {
            let (this, tree) = (self.clone(), tree.to_owned());
            run_blocking("cannot create a folder for the set-up", move || this.copy_tree(&tree)).await?
        };
        let proxy = EgressProxy::new(self.plan.registries.allowed_hosts.clone(), REGISTRIES_KEY);
        let at = copy_folder.path().join("tree");
        let written = self.write_limit(&at, copy_folder.path()).await?;
        let mut ran = Vec::new();
        for argv in commands {
            ran.push(self.run(argv, &at, (copy_folder.path(), &written), Some(&proxy)).await?);
            if ran.last().is_none_or(|ran| !ran.end.is_success()) {
                break;
            }
        }
        let left = copy_folder.path().to_owned();
        run_blocking("cannot read the results of the commands", move || copy::make_accessible(&left)).await?;
        Ok(ScratchRunResult { commands: ran, contacted_hosts: proxy.host_accesses(), copy_folder })
    }

    /// Adds the files that a setup has created to `tree`. The checks may change `tree`, so the caller must
    /// not use it afterwards.
    ///
    /// # Errors
    /// [`VerifyError::Folder`] if files cannot be copied, or if the setup failed.
    #[truing_core::boxed_future]
    pub async fn prepare_tree(&self, set_up: &SetupResult, tree: &Path) -> Result<PreparedTree, VerifyError> {
        let (this, left, tree) = (self.clone(), set_up.state.clone(), tree.to_owned());
        run_blocking("cannot prepare the tree for the checks", move || {
            let copy_folder = this.create_scratch_folder()?;
            let tree = this.checked_tree(&tree, &copy_folder)?;
            match left {
                SetupState::Nothing => {}
                SetupState::Failed => return Err(io::Error::other("the set-up failed")),
                SetupState::Entry(entry) => {
                    copy::copy_missing(&entry.tree(), &tree, this.plan.disk)?;
                    copy::copy_missing(&entry.home(), &copy_folder.path().join("home"), this.plan.disk)?;
                }
            }
            Ok(PreparedTree { tree, copy_folder })
        })
        .await
    }

    /// Runs all checks. A check that fails, but did not fail in the baseline, is repeated once.
    ///
    /// # Errors
    /// [`VerifyError`]; a failed check is no error.
    #[truing_core::boxed_future]
    pub async fn run_checks(
        &self,
        prepared_tree: &PreparedTree,
        baseline: Option<&VerificationReport>,
    ) -> Result<VerificationReport, VerifyError> {
        let written = self.write_limit(&prepared_tree.tree, prepared_tree.copy_folder.path()).await?;
        let room = (prepared_tree.copy_folder.path(), &written);
        let mut now = VerificationReport::default();
        for argv in &self.plan.check {
            let ran = self.run(argv, &prepared_tree.tree, room, None).await?;
            now.checks.push(CheckAttempts { ran, retry: None });
        }
        let verdicts = VerificationReport::compare(baseline, &now);
        for (check, _) in
            now.checks.iter_mut().zip(verdicts).filter(|(_, verdict)| *verdict == CheckVerdict::NeedsRerun)
        {
            check.retry = Some(self.run(&check.ran.argv, &prepared_tree.tree, room, None).await?);
        }
        Ok(now)
    }

    /// Runs one command on a private copy of `tree`, under the same conditions as a check, so without
    /// network. If the setup succeeded, the copy also contains the files that the setup created.
    ///
    /// # Errors
    /// [`VerifyError`]; a failed command is no error.
    #[truing_core::boxed_future]
    pub async fn run_on_copy(
        &self,
        set_up: &SetupResult,
        tree: &Path,
        argv: &[String],
    ) -> Result<CommandOutput, VerifyError> {
        let (this, left, tree) = (self.clone(), set_up.state.clone(), tree.to_owned());
        let copied = run_blocking("the tree cannot be copied", move || {
            let held = this.create_scratch_folder()?;
            let copy = held.path().join("tree");
            std::fs::create_dir(&copy)?;
            copy::copy_missing(&tree, &copy, this.plan.disk)?;
            match left {
                SetupState::Nothing | SetupState::Failed => {}
                SetupState::Entry(entry) => {
                    copy::copy_missing(&entry.tree(), &copy, this.plan.disk)?;
                    copy::copy_missing(&entry.home(), &held.path().join("home"), this.plan.disk)?;
                }
            }
            Ok(held)
        });
        let held = copied.await?;
        let at = held.path().join("tree");
        let written = self.write_limit(&at, held.path()).await?;
        let began = std::time::Instant::now();
        let text = |captured_output: &CapturedOutput| captured_output.text();
        let tree_path = self.tree_path();
        Ok(match self.run_sandboxed_command(argv, &at, held.path(), &written, None, true).await? {
            Ok(ended) => CommandOutput {
                end_reason: to_command_end(&ended.outcome),
                duration_ms: to_milliseconds(ended.duration),
                stdout: text(&ended.stdout),
                stderr: text(&ended.stderr),
                tree_path,
            },
            Err(why) => CommandOutput {
                end_reason: CommandEndReason::NoProgram,
                duration_ms: to_milliseconds(began.elapsed()),
                stdout: String::new(),
                stderr: why,
                tree_path,
            },
        })
    }

    /// Returns the path at which commands see the tree.
    fn tree_path(&self) -> PathBuf {
        match self.sandbox_level {
            SandboxLevel::Full => SANDBOX_TREE_PATH.into(),
            SandboxLevel::Landlock | SandboxLevel::None => self.cache.work_place().join("tree"),
        }
    }

    /// Returns the tree that the checks use: the tree itself or, without namespaces, a copy that can be moved
    /// to the work place.
    fn checked_tree(&self, tree: &Path, scratch_folder: &LockedFolder) -> io::Result<PathBuf> {
        if self.sandbox_level == SandboxLevel::Full {
            return Ok(tree.to_owned());
        }
        let copy = scratch_folder.path().join("tree");
        std::fs::create_dir(&copy)?;
        copy::copy_missing(tree, &copy, self.plan.disk)?;
        Ok(copy)
    }

    /// Creates a copy of the tree for a setup, with private home and temporary folders in the same parent
    /// folder.
    fn copy_tree(&self, tree: &Path) -> io::Result<LockedFolder> {
        let held = self.create_scratch_folder()?;
        std::fs::create_dir(held.path().join("tree"))?;
        copy::copy_missing(tree, &held.path().join("tree"), self.plan.disk)?;
        for (name, text) in &self.plan.registries.files {
            let path = held.path().join("home").join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(held.path()))?;
            std::fs::write(path, text)?;
        }
        Ok(held)
    }

    fn create_scratch_folder(&self) -> io::Result<LockedFolder> {
        let held = self.cache.create_locked_folder()?;
        for name in ["home", "temporary"] {
            std::fs::create_dir(held.path().join(name))?;
        }
        Ok(held)
    }

    /// Returns a limit for the total size of all folders to which the commands can write: the current size
    /// plus the plan's disk limit.
    async fn write_limit(&self, tree: &Path, scratch_folder: &Path) -> Result<WriteLimit, VerifyError> {
        let folders = vec![tree.to_owned(), scratch_folder.join("home"), scratch_folder.join("temporary")];
        let looked = folders.clone();
        let before = run_blocking("cannot read the tree", move || {
            Ok(looked
                .iter()
                .fold(DiskUsage::default(), |all, folder| all.plus(usage::measure_folder(folder))))
        });
        let limit = before.await?.plus(DiskUsage::with_max_bytes(self.plan.disk));
        Ok(WriteLimit { folders, limit })
    }

    /// Runs one command. With a `proxy`, the command can connect to the registries; without one, it has no
    /// network.
    async fn run(
        &self,
        argv: &[String],
        tree: &Path,
        limited_folder: (&Path, &WriteLimit),
        proxy: Option<&EgressProxy>,
    ) -> Result<CommandRun, VerifyError> {
        let began = std::time::Instant::now();
        let (folder, limits) = limited_folder;
        Ok(match self.run_sandboxed_command(argv, tree, folder, limits, proxy, false).await? {
            Ok(ended) => to_command_run(argv, &ended),
            Err(why) => CommandRun {
                argv: argv.to_vec(),
                end: CommandEndReason::NoProgram,
                ms: to_milliseconds(began.elapsed()),
                output: String::new(),
                errors: why,
            },
        })
    }

    /// Runs one command. Returns the command's result, or a description of the error if the program was not
    /// found.
    async fn run_sandboxed_command(
        &self,
        argv: &[String],
        tree: &Path,
        scratch_folder: &Path,
        write_limit: &WriteLimit,
        proxy: Option<&EgressProxy>,
        keeps_whole_output: bool,
    ) -> Result<Result<CommandResult, String>, VerifyError> {
        let work_place = match self.sandbox_level {
            SandboxLevel::Full => None,
            SandboxLevel::Landlock | SandboxLevel::None => {
                let cache = self.cache.clone();
                let scratch_folder = scratch_folder.to_owned();
                let take = move || cache.move_to_work_place(&scratch_folder);
                Some(run_blocking("cannot move the tree to the work place", take).await?)
            }
        };
        let folder = work_place.as_ref().map_or(scratch_folder, WorkPlace::path);
        let tree = if work_place.is_some() { folder.join("tree") } else { tree.to_owned() };
        let home = folder.join("home");
        let temporary = folder.join("temporary");
        let folders = vec![tree.clone(), home.clone(), temporary.clone()];
        let bounds = CommandLimits {
            time: self.plan.command_time_limit,
            write_limit: Some(WriteLimit { folders, limit: write_limit.limit }),
            keeps_whole_output,
        };
        let words = argv.iter().map(OsString::from).collect();
        let mut job = SandboxJob::new(self.sandbox_level, &tree, JobCommand::Program(words))?;
        (job.writable, job.allows_sockets, job.inner_tree) = (true, true, SANDBOX_TREE_PATH.into());
        job.readable_paths.clone_from(&self.plan.program_folders);
        job.limits = JobLimits { memory: self.plan.memory, disk: self.plan.disk, ..JobLimits::default() };
        job.variables = match proxy {
            Some(_) => self.plan.registries.environment.clone(),
            None => OFFLINE_VARIABLES.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        };
        job.persistent_folders = Some(JobFolders { home, temporary });
        let ended = match proxy {
            Some(proxy) => {
                let output = CapturedOutput::new(&bounds);
                let around = CommandIo { address_variables: &PROXY_VARIABLES, input: None, output };
                command::run_with_server(job, &bounds, around, |listener| proxy.clone().serve(listener)).await
            }
            None => command::run(job, &bounds).await,
        };
        match ended {
            Ok(ended) => Ok(Ok(ended)),
            Err(CommandError::ProgramNotStarted { reason, .. }) => Ok(Err(reason)),
            Err(source) => Err(VerifyError::NotRun { argv: argv.to_vec(), source }),
        }
    }
}

fn to_command_run(argv: &[String], result: &CommandResult) -> CommandRun {
    let shown = |captured_output: &CapturedOutput| redact_secrets(&captured_output.text());
    let (output, errors) = (shown(&result.stdout), shown(&result.stderr));
    CommandRun {
        argv: argv.to_vec(),
        end: to_command_end(&result.outcome),
        ms: to_milliseconds(result.duration),
        output,
        errors,
    }
}

pub(crate) fn to_command_end(end: &command::ProcessOutcome) -> CommandEndReason {
    match end {
        command::ProcessOutcome::Exit(status) => match status.code().and_then(|code| u8::try_from(code).ok())
        {
            Some(code) => CommandEndReason::Exit { code },
            None => CommandEndReason::Killed,
        },
        command::ProcessOutcome::TimeLimitExceeded => CommandEndReason::Time,
        command::ProcessOutcome::OutputLimitExceeded => CommandEndReason::Output,
        command::ProcessOutcome::DiskLimitExceeded(ExceededDiskLimit::FolderLimit)
        | command::ProcessOutcome::SandboxLimitExceeded(SandboxLimit::Disk, _) => CommandEndReason::Disk,
        command::ProcessOutcome::SandboxLimitExceeded(bound, _) => CommandEndReason::Limit { bound: *bound },
        command::ProcessOutcome::DiskLimitExceeded(ExceededDiskLimit::DiskFull) => CommandEndReason::DiskFull,
    }
}

pub(crate) fn to_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Runs file operations on a thread for blocking work.
async fn run_blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, VerifyError> {
    let failed = |source| VerifyError::Folder { operation: doing, source };
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(error.into()))?.map_err(failed)
}
