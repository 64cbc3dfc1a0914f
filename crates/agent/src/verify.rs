//! A repository's own set-up and checks: commands that somebody who may configure the repository has named, run on a
//! private folder of its files.
//!
//! First the set-up, which may reach the listed registries through a proxy (`registry`) and nothing else; what
//! it leaves is kept (`cache`) under what decides it (`key`). Then the checks, each without network, on a copy (`copy`)
//! of that. Both run in the sandbox, without secrets, inside limits of time, output, memory and disk (`usage`). What
//! follows from the results is decided by `truing_core::verification`.

mod cache;
mod copy;
mod key;
mod registry;
pub(crate) mod usage;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use truing_core::verification::{CheckAttempts, CheckVerdict, CommandEnd, CommandRun, VerificationReport};
use truing_reader::redact::redact;

use crate::command::{
    self, CapturedOutput, CommandBounds, CommandError, CommandIo, FinishedCommand, WriteLimit,
};
use crate::proxy::{EgressProxy, HostAccess};
use crate::sandbox::{
    JobCommand, JobFolders, JobLimits, PROXY, SandboxError, SandboxJob, SandboxLevel, SandboxLimit, at_least,
};
use cache::{LockedFolder, SetupEntry};
use usage::{DiskOverrun, DiskUsage};

pub use cache::{CacheRetention, CacheScope, SetupCache};
pub use key::decides_set_up;
pub use registry::{RegistryAccess, RegistryError, RegistryIndex};

/// What the tree is called inside, always: environments of Python and builds of Rust remember where they were made.
pub const INSIDE: &str = "/work";
/// The key that lists what a set-up may reach.
pub const REGISTRIES: &str = "verify.registries";
/// What tools are told when there is no network, so that they do not wait for it.
pub(crate) const OFFLINE: &[(&str, &str)] = &[
    ("GOPROXY", "off"),
    ("GOTOOLCHAIN", "local"),
    ("CARGO_NET_OFFLINE", "true"),
    ("PIP_NO_INDEX", "1"),
    ("UV_OFFLINE", "1"),
    ("npm_config_offline", "true"),
];

/// What is run, and what it may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyPlan {
    /// The set-up's commands: each a program and its arguments, in order.
    pub setup: Vec<Vec<String>>,
    /// The checks.
    pub check: Vec<Vec<String>>,
    /// What the set-up may reach.
    pub registries: RegistryAccess,
    /// Folders with programs that commands may read and run, besides the system's.
    pub programs: Vec<PathBuf>,
    /// How long each command may take.
    pub time: Duration,
    /// Memory of all processes of a command together, in bytes.
    pub memory: u64,
    /// What a set-up, or the checks, may write, in bytes.
    pub disk: u64,
}

impl Default for VerifyPlan {
    /// Nothing, within 20 minutes, 4 GiB of memory and 10 of disk.
    fn default() -> Self {
        Self {
            setup: Vec::new(),
            check: Vec::new(),
            registries: RegistryAccess::default(),
            programs: Vec::new(),
            time: Duration::from_secs(20 * 60),
            memory: 4 << 30,
            disk: 10 << 30,
        }
    }
}

/// Why nothing is known of the checks.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A command could not be run at all.
    #[error("{}: {source}", argv.join(" "))]
    NotRun {
        /// Which.
        argv: Vec<String>,
        /// Why not.
        source: CommandError,
    },
    /// A folder.
    #[error("{doing}: {source}")]
    Folder {
        /// What could not be done.
        doing: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

/// Runs plans.
#[derive(Clone, Debug)]
pub struct Verifier {
    plan: VerifyPlan,
    cache: SetupCache,
}

/// A set-up that was done, or found.
#[derive(Debug)]
pub struct SetupResult {
    /// Its commands, up to the first that failed.
    pub commands: Vec<CommandRun>,
    /// What it reached, and tried to.
    pub reached: Vec<HostAccess>,
    /// Was it done before, by one that would leave the same?
    pub found: bool,
    /// What it left.
    left: SetupState,
}

/// Commands that were run on a copy of a tree.
#[derive(Debug)]
pub struct ScratchRun {
    /// Up to the first that failed.
    pub commands: Vec<CommandRun>,
    /// What they reached, and tried to.
    pub reached: Vec<HostAccess>,
    /// Gone when this is dropped.
    held: LockedFolder,
}

impl ScratchRun {
    /// The copy as they left it. Whatever is there may be anything: a link, or a file without end.
    pub fn tree(&self) -> PathBuf {
        self.held.path().join("tree")
    }
}

/// What one command had to say.
#[derive(Debug)]
pub struct CommandOutput {
    /// How it ended.
    pub end: CommandEnd,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// All that it printed on its standard output, as it is: secrets, too.
    pub output: String,
    /// The same of its standard error.
    pub errors: String,
}

/// What a set-up left.
#[derive(Clone, Debug)]
enum SetupState {
    /// Nothing, since there is nothing to set up.
    Nothing,
    /// Nothing that could be used: a command failed.
    Failed,
    /// This.
    Entry(Arc<SetupEntry>),
}

impl SetupResult {
    /// Can the checks be run?
    pub fn works(&self) -> bool {
        match self.left {
            SetupState::Nothing | SetupState::Entry(_) => true,
            SetupState::Failed => false,
        }
    }

    /// Did it leave a file of this path in the tree?
    pub fn has(&self, path: &Path) -> bool {
        match &self.left {
            SetupState::Nothing | SetupState::Failed => false,
            SetupState::Entry(entry) => entry.tree().join(path).symlink_metadata().is_ok(),
        }
    }
}

/// What is known of a tree.
#[derive(Debug)]
pub struct VerifiedTree {
    /// Its set-up.
    pub set_up: SetupResult,
    /// Its checks; none, if they could not be run since the set-up failed.
    pub verification: Option<VerificationReport>,
}

/// A tree that is set up, for checks to be run on.
#[derive(Debug)]
pub struct PreparedTree {
    tree: PathBuf,
    held: LockedFolder,
}

impl Verifier {
    /// Runs this plan in the sandbox that the machine allows.
    ///
    /// # Errors
    /// [`SandboxError::TooWeak`] below [`SandboxLevel::Full`], whatever is accepted elsewhere: without a network of its own a
    /// set-up could not be held to registries, nor a check to none.
    pub fn new(plan: VerifyPlan, cache: SetupCache, reached: SandboxLevel) -> Result<Self, VerifyError> {
        at_least(SandboxLevel::Full, reached)?;
        Ok(Self { plan, cache })
    }

    /// The same, whose commands may take so long.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        Self { plan: VerifyPlan { time, ..self.plan.clone() }, cache: self.cache.clone() }
    }

    /// All of it: sets `tree` up, and runs the checks if that works. From now on the tree is theirs: a private copy.
    /// `baseline` is what they said of the state before, if that is known.
    ///
    /// # Errors
    /// [`VerifyError`]; neither a set-up nor a check that fails is one.
    #[truing_core::boxed_future]
    pub async fn verified(
        &self,
        tree: &Path,
        scope: &CacheScope,
        baseline: Option<&VerificationReport>,
    ) -> Result<VerifiedTree, VerifyError> {
        let set_up = self.set_up(tree, scope).await?;
        if !set_up.works() {
            return Ok(VerifiedTree { set_up, verification: None });
        }
        let bench = self.bench(&set_up, tree).await?;
        let verification = Some(self.checks(&bench, baseline).await?);
        Ok(VerifiedTree { set_up, verification })
    }

    /// Sets `tree` up, or finds that it was done. The tree stays as it is.
    ///
    /// # Errors
    /// [`VerifyError`]; a command that fails is none: see [`SetupResult::works`].
    #[truing_core::boxed_future]
    pub async fn set_up(&self, tree: &Path, scope: &CacheScope) -> Result<SetupResult, VerifyError> {
        if self.plan.setup.is_empty() {
            return Ok(SetupResult {
                commands: vec![],
                reached: vec![],
                found: false,
                left: SetupState::Nothing,
            });
        }
        let (this, scope, tree) = (self.clone(), scope.clone(), tree.to_owned());
        let now = SystemTime::now();
        let looked = {
            let (this, scope, tree) = (this.clone(), scope.clone(), tree.clone());
            blocking("the tree cannot be looked at", move || {
                let key = key::of(&tree, &this.plan)?;
                let found = this.cache.find(&scope, &key, now);
                // What is found is in use, and stays.
                this.cache.clean(now);
                Ok((found, key))
            })
        };
        let (found, key) = looked.await?;
        if let Some(entry) = found {
            let about = entry.about();
            let (commands, reached) = (about.commands.clone(), about.reached.clone());
            return Ok(SetupResult {
                commands,
                reached,
                found: true,
                left: SetupState::Entry(Arc::new(entry)),
            });
        }
        let ScratchRun { commands, reached, held } = self.worked(&tree, &self.plan.setup).await?;
        if commands.last().is_none_or(|ran| !ran.end.is_success()) {
            return Ok(SetupResult { commands, reached, found: false, left: SetupState::Failed });
        }
        let told = (commands.clone(), reached.clone());
        let entry = blocking("what the set-up left cannot be kept", move || {
            let at = held.path();
            std::fs::remove_dir_all(at.join("temporary"))?;
            copy::keep_new(&at.join("tree"), &tree)?;
            let entry = this.cache.keep(&scope, &key, held, told.0, told.1, SystemTime::now())?;
            this.cache.clean(now);
            Ok(entry)
        });
        Ok(SetupResult { commands, reached, found: false, left: SetupState::Entry(Arc::new(entry.await?)) })
    }

    /// Runs commands as a set-up's are, up to the first that fails, on a copy of `tree`, which stays as it is.
    ///
    /// # Errors
    /// [`VerifyError`]; a command that fails is none.
    #[truing_core::boxed_future]
    pub async fn worked(&self, tree: &Path, commands: &[Vec<String>]) -> Result<ScratchRun, VerifyError> {
        let held = {
            let (this, tree) = (self.clone(), tree.to_owned());
            blocking("a folder to set up in cannot be made", move || this.copied(&tree)).await?
        };
        let proxy = EgressProxy::new(self.plan.registries.places.clone(), REGISTRIES);
        let at = held.path().join("tree");
        let written = self.written(&at, held.path()).await?;
        let mut ran = Vec::new();
        for argv in commands {
            ran.push(self.run(argv, &at, (held.path(), &written), Some(&proxy)).await?);
            if ran.last().is_none_or(|ran| !ran.end.is_success()) {
                break;
            }
        }
        let left = held.path().to_owned();
        blocking("what the commands left cannot be read", move || copy::open_up(&left)).await?;
        Ok(ScratchRun { commands: ran, reached: proxy.reached(), held })
    }

    /// Lays out in `tree` what a set-up left. From now on the tree is the checks': they may change it.
    ///
    /// # Errors
    /// [`VerifyError::Folder`], also for a set-up that does not work.
    #[truing_core::boxed_future]
    pub async fn bench(&self, set_up: &SetupResult, tree: &Path) -> Result<PreparedTree, VerifyError> {
        let (this, left, tree) = (self.clone(), set_up.left.clone(), tree.to_owned());
        blocking("the tree cannot be made ready for the checks", move || {
            let held = this.room()?;
            match left {
                SetupState::Nothing => {}
                SetupState::Failed => return Err(io::Error::other("the set-up failed")),
                SetupState::Entry(entry) => {
                    copy::add(&entry.tree(), &tree, this.plan.disk)?;
                    copy::add(&entry.home(), &held.path().join("home"), this.plan.disk)?;
                }
            }
            Ok(PreparedTree { tree, held })
        })
        .await
    }

    /// Runs all checks. What fails, and did not in the baseline, is tried once more.
    ///
    /// # Errors
    /// [`VerifyError`]; a check that fails is none.
    #[truing_core::boxed_future]
    pub async fn checks(
        &self,
        bench: &PreparedTree,
        baseline: Option<&VerificationReport>,
    ) -> Result<VerificationReport, VerifyError> {
        let written = self.written(&bench.tree, bench.held.path()).await?;
        let room = (bench.held.path(), &written);
        let mut now = VerificationReport::default();
        for argv in &self.plan.check {
            let ran = self.run(argv, &bench.tree, room, None).await?;
            now.checks.push(CheckAttempts { ran, again: None });
        }
        let verdicts = VerificationReport::compare(baseline, &now);
        for (check, _) in
            now.checks.iter_mut().zip(verdicts).filter(|(_, verdict)| *verdict == CheckVerdict::Again)
        {
            check.again = Some(self.run(&check.ran.argv, &bench.tree, room, None).await?);
        }
        Ok(now)
    }

    /// Runs one command as a check is run, on a copy of its own of `tree` and of what the set-up left, if that works.
    ///
    /// # Errors
    /// [`VerifyError`]; however the command ends is none.
    #[truing_core::boxed_future]
    pub async fn asked(
        &self,
        set_up: &SetupResult,
        tree: &Path,
        argv: &[String],
    ) -> Result<CommandOutput, VerifyError> {
        let (this, left, tree) = (self.clone(), set_up.left.clone(), tree.to_owned());
        let copied = blocking("the tree cannot be copied", move || {
            let held = this.room()?;
            let copy = held.path().join("tree");
            std::fs::create_dir(&copy)?;
            copy::add(&tree, &copy, this.plan.disk)?;
            match left {
                SetupState::Nothing | SetupState::Failed => {}
                SetupState::Entry(entry) => {
                    copy::add(&entry.tree(), &copy, this.plan.disk)?;
                    copy::add(&entry.home(), &held.path().join("home"), this.plan.disk)?;
                }
            }
            Ok(held)
        });
        let held = copied.await?;
        let at = held.path().join("tree");
        let written = self.written(&at, held.path()).await?;
        let began = std::time::Instant::now();
        let text = |printed: &CapturedOutput| printed.text();
        Ok(match self.ended(argv, &at, (held.path(), &written), None, true).await? {
            Ok(ended) => CommandOutput {
                end: end(&ended.end),
                ms: milliseconds(ended.took),
                output: text(&ended.out),
                errors: text(&ended.err),
            },
            Err(why) => CommandOutput {
                end: CommandEnd::NoProgram,
                ms: milliseconds(began.elapsed()),
                output: String::new(),
                errors: why,
            },
        })
    }

    /// A copy of the tree to set up, with a room beside it.
    fn copied(&self, tree: &Path) -> io::Result<LockedFolder> {
        let held = self.room()?;
        std::fs::create_dir(held.path().join("tree"))?;
        copy::add(tree, &held.path().join("tree"), self.plan.disk)?;
        for (name, text) in &self.plan.registries.files {
            let path = held.path().join("home").join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(held.path()))?;
            std::fs::write(path, text)?;
        }
        Ok(held)
    }

    fn room(&self) -> io::Result<LockedFolder> {
        let held = self.cache.hold()?;
        for name in ["home", "temporary"] {
            std::fs::create_dir(held.path().join(name))?;
        }
        Ok(held)
    }

    /// What commands may have written, all together, where they can.
    async fn written(&self, tree: &Path, room: &Path) -> Result<WriteLimit, VerifyError> {
        let folders = vec![tree.to_owned(), room.join("home"), room.join("temporary")];
        let looked = folders.clone();
        let before = blocking("the tree cannot be looked at", move || {
            Ok(looked.iter().fold(DiskUsage::default(), |all, folder| all.and(usage::of(folder))))
        });
        let most = before.await?.and(DiskUsage::of_bytes(self.plan.disk));
        Ok(WriteLimit { folders, most })
    }

    /// Runs one command; with a proxy, it finds the registries.
    async fn run(
        &self,
        argv: &[String],
        tree: &Path,
        room: (&Path, &WriteLimit),
        proxy: Option<&EgressProxy>,
    ) -> Result<CommandRun, VerifyError> {
        let began = std::time::Instant::now();
        Ok(match self.ended(argv, tree, room, proxy, false).await? {
            Ok(ended) => told(argv, &ended),
            Err(why) => CommandRun {
                argv: argv.to_vec(),
                end: CommandEnd::NoProgram,
                ms: milliseconds(began.elapsed()),
                output: String::new(),
                errors: why,
            },
        })
    }

    /// How one command ended, or why there is no such program.
    async fn ended(
        &self,
        argv: &[String],
        tree: &Path,
        (room, written): (&Path, &WriteLimit),
        proxy: Option<&EgressProxy>,
        whole: bool,
    ) -> Result<Result<FinishedCommand, String>, VerifyError> {
        let (home, temporary) = (room.join("home"), room.join("temporary"));
        let bounds = CommandBounds { time: self.plan.time, written: Some(written.clone()), whole };
        let words = argv.iter().map(OsString::from).collect();
        let mut job = SandboxJob::new(SandboxLevel::Full, tree, JobCommand::Program(words))?;
        (job.writable, job.sockets, job.inside) = (true, true, INSIDE.into());
        job.read.clone_from(&self.plan.programs);
        job.limits = JobLimits { memory: self.plan.memory, disk: self.plan.disk, ..JobLimits::default() };
        job.variables = match proxy {
            Some(_) => self.plan.registries.variables.clone(),
            None => OFFLINE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        job.room = Some(JobFolders { home, temporary });
        let ended = match proxy {
            Some(proxy) => {
                let out = CapturedOutput::of(&bounds);
                let around = CommandIo { variables: &PROXY, words: None, out };
                command::run_with(job, &bounds, around, |listener| proxy.clone().serve(listener)).await
            }
            None => command::run(job, &bounds).await,
        };
        match ended {
            Ok(ended) => Ok(Ok(ended)),
            Err(CommandError::NoProgram { why, .. }) => Ok(Err(why)),
            Err(source) => Err(VerifyError::NotRun { argv: argv.to_vec(), source }),
        }
    }
}

fn told(argv: &[String], ended: &FinishedCommand) -> CommandRun {
    let shown = |printed: &CapturedOutput| redact(&printed.text());
    let (output, errors) = (shown(&ended.out), shown(&ended.err));
    CommandRun { argv: argv.to_vec(), end: end(&ended.end), ms: milliseconds(ended.took), output, errors }
}

pub(crate) fn end(end: &command::ProcessEnd) -> CommandEnd {
    match end {
        command::ProcessEnd::Exit(status) => match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code) => CommandEnd::Exit { code },
            None => CommandEnd::Killed,
        },
        command::ProcessEnd::Time => CommandEnd::Time,
        command::ProcessEnd::Output => CommandEnd::Output,
        command::ProcessEnd::Disk(DiskOverrun::Limit) | command::ProcessEnd::Limit(SandboxLimit::Disk, _) => {
            CommandEnd::Disk
        }
        command::ProcessEnd::Limit(bound, _) => CommandEnd::Limit { bound: *bound },
        command::ProcessEnd::Disk(DiskOverrun::Full) => CommandEnd::Full,
    }
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Work on files, where it holds nobody else up.
async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, VerifyError> {
    let failed = |source| VerifyError::Folder { doing, source };
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(error.into()))?.map_err(failed)
}
