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

use truing_core::verification::{Checked, End, Ran, Verdict, Verification};
use truing_reader::redact::redact;

use crate::command::{self, Around, Bounds, Ended, NotRun, Printed, Written};
use crate::proxy::{Proxy, Reached};
use crate::sandbox::{Bound, Job, Level, Limits, PROXY, Room, Run, SandboxError, at_least};
use cache::{Entry, Held};
use usage::{Over, Usage};

pub use cache::{Cache, Retention, Scope};
pub use key::decides_set_up;
pub use registry::{Index, Registries, RegistryError};

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
pub struct Plan {
    /// The set-up's commands: each a program and its arguments, in order.
    pub setup: Vec<Vec<String>>,
    /// The checks.
    pub check: Vec<Vec<String>>,
    /// What the set-up may reach.
    pub registries: Registries,
    /// Folders with programs that commands may read and run, besides the system's.
    pub programs: Vec<PathBuf>,
    /// How long each command may take.
    pub time: Duration,
    /// Memory of all processes of a command together, in bytes.
    pub memory: u64,
    /// What a set-up, or the checks, may write, in bytes.
    pub disk: u64,
}

impl Default for Plan {
    /// Nothing, within 20 minutes, 4 GiB of memory and 10 of disk.
    fn default() -> Self {
        Self {
            setup: Vec::new(),
            check: Vec::new(),
            registries: Registries::default(),
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
        source: NotRun,
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
    plan: Plan,
    cache: Cache,
}

/// A set-up that was done, or found.
#[derive(Debug)]
pub struct SetUp {
    /// Its commands, up to the first that failed.
    pub commands: Vec<Ran>,
    /// What it reached, and tried to.
    pub reached: Vec<Reached>,
    /// Was it done before, by one that would leave the same?
    pub found: bool,
    /// What it left.
    left: Left,
}

/// Commands that were run on a copy of a tree.
#[derive(Debug)]
pub struct Worked {
    /// Up to the first that failed.
    pub commands: Vec<Ran>,
    /// What they reached, and tried to.
    pub reached: Vec<Reached>,
    /// Gone when this is dropped.
    held: Held,
}

impl Worked {
    /// The copy as they left it. Whatever is there may be anything: a link, or a file without end.
    pub fn tree(&self) -> PathBuf {
        self.held.path().join("tree")
    }
}

/// What one command had to say.
#[derive(Debug)]
pub struct Printout {
    /// How it ended.
    pub end: End,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// All that it printed on its standard output, as it is: secrets, too.
    pub output: String,
    /// The same of its standard error.
    pub errors: String,
}

/// What a set-up left.
#[derive(Clone, Debug)]
enum Left {
    /// Nothing, since there is nothing to set up.
    Nothing,
    /// Nothing that could be used: a command failed.
    Failed,
    /// This.
    Entry(Arc<Entry>),
}

impl SetUp {
    /// Can the checks be run?
    pub fn works(&self) -> bool {
        match self.left {
            Left::Nothing | Left::Entry(_) => true,
            Left::Failed => false,
        }
    }

    /// Did it leave a file of this path in the tree?
    pub fn has(&self, path: &Path) -> bool {
        match &self.left {
            Left::Nothing | Left::Failed => false,
            Left::Entry(entry) => entry.tree().join(path).symlink_metadata().is_ok(),
        }
    }
}

/// What is known of a tree.
#[derive(Debug)]
pub struct Verified {
    /// Its set-up.
    pub set_up: SetUp,
    /// Its checks; none, if they could not be run since the set-up failed.
    pub verification: Option<Verification>,
}

/// A tree that is set up, for checks to be run on.
#[derive(Debug)]
pub struct Bench {
    tree: PathBuf,
    held: Held,
}

impl Verifier {
    /// Runs this plan in the sandbox that the machine allows.
    ///
    /// # Errors
    /// [`SandboxError::TooWeak`] below [`Level::Full`], whatever is accepted elsewhere: without a network of its own a
    /// set-up could not be held to registries, nor a check to none.
    pub fn new(plan: Plan, cache: Cache, reached: Level) -> Result<Self, VerifyError> {
        at_least(Level::Full, reached)?;
        Ok(Self { plan, cache })
    }

    /// The same, whose commands may take so long.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        Self { plan: Plan { time, ..self.plan.clone() }, cache: self.cache.clone() }
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
        scope: &Scope,
        baseline: Option<&Verification>,
    ) -> Result<Verified, VerifyError> {
        let set_up = self.set_up(tree, scope).await?;
        if !set_up.works() {
            return Ok(Verified { set_up, verification: None });
        }
        let bench = self.bench(&set_up, tree).await?;
        let verification = Some(self.checks(&bench, baseline).await?);
        Ok(Verified { set_up, verification })
    }

    /// Sets `tree` up, or finds that it was done. The tree stays as it is.
    ///
    /// # Errors
    /// [`VerifyError`]; a command that fails is none: see [`SetUp::works`].
    #[truing_core::boxed_future]
    pub async fn set_up(&self, tree: &Path, scope: &Scope) -> Result<SetUp, VerifyError> {
        if self.plan.setup.is_empty() {
            return Ok(SetUp { commands: vec![], reached: vec![], found: false, left: Left::Nothing });
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
            return Ok(SetUp { commands, reached, found: true, left: Left::Entry(Arc::new(entry)) });
        }
        let Worked { commands, reached, held } = self.worked(&tree, &self.plan.setup).await?;
        if commands.last().is_none_or(|ran| !ran.end.is_success()) {
            return Ok(SetUp { commands, reached, found: false, left: Left::Failed });
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
        Ok(SetUp { commands, reached, found: false, left: Left::Entry(Arc::new(entry.await?)) })
    }

    /// Runs commands as a set-up's are, up to the first that fails, on a copy of `tree`, which stays as it is.
    ///
    /// # Errors
    /// [`VerifyError`]; a command that fails is none.
    #[truing_core::boxed_future]
    pub async fn worked(&self, tree: &Path, commands: &[Vec<String>]) -> Result<Worked, VerifyError> {
        let held = {
            let (this, tree) = (self.clone(), tree.to_owned());
            blocking("a folder to set up in cannot be made", move || this.copied(&tree)).await?
        };
        let proxy = Proxy::new(self.plan.registries.places.clone(), REGISTRIES);
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
        Ok(Worked { commands: ran, reached: proxy.reached(), held })
    }

    /// Lays out in `tree` what a set-up left. From now on the tree is the checks': they may change it.
    ///
    /// # Errors
    /// [`VerifyError::Folder`], also for a set-up that does not work.
    #[truing_core::boxed_future]
    pub async fn bench(&self, set_up: &SetUp, tree: &Path) -> Result<Bench, VerifyError> {
        let (this, left, tree) = (self.clone(), set_up.left.clone(), tree.to_owned());
        blocking("the tree cannot be made ready for the checks", move || {
            let held = this.room()?;
            match left {
                Left::Nothing => {}
                Left::Failed => return Err(io::Error::other("the set-up failed")),
                Left::Entry(entry) => {
                    copy::add(&entry.tree(), &tree, this.plan.disk)?;
                    copy::add(&entry.home(), &held.path().join("home"), this.plan.disk)?;
                }
            }
            Ok(Bench { tree, held })
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
        bench: &Bench,
        baseline: Option<&Verification>,
    ) -> Result<Verification, VerifyError> {
        let written = self.written(&bench.tree, bench.held.path()).await?;
        let room = (bench.held.path(), &written);
        let mut now = Verification::default();
        for argv in &self.plan.check {
            let ran = self.run(argv, &bench.tree, room, None).await?;
            now.checks.push(Checked { ran, again: None });
        }
        let verdicts = Verification::compare(baseline, &now);
        for (check, _) in
            now.checks.iter_mut().zip(verdicts).filter(|(_, verdict)| *verdict == Verdict::Again)
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
    pub async fn asked(&self, set_up: &SetUp, tree: &Path, argv: &[String]) -> Result<Printout, VerifyError> {
        let (this, left, tree) = (self.clone(), set_up.left.clone(), tree.to_owned());
        let copied = blocking("the tree cannot be copied", move || {
            let held = this.room()?;
            let copy = held.path().join("tree");
            std::fs::create_dir(&copy)?;
            copy::add(&tree, &copy, this.plan.disk)?;
            match left {
                Left::Nothing | Left::Failed => {}
                Left::Entry(entry) => {
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
        let text = |printed: &Printed| printed.text();
        Ok(match self.ended(argv, &at, (held.path(), &written), None, true).await? {
            Ok(ended) => Printout {
                end: end(&ended.end),
                ms: milliseconds(ended.took),
                output: text(&ended.out),
                errors: text(&ended.err),
            },
            Err(why) => Printout {
                end: End::NoProgram,
                ms: milliseconds(began.elapsed()),
                output: String::new(),
                errors: why,
            },
        })
    }

    /// A copy of the tree to set up, with a room beside it.
    fn copied(&self, tree: &Path) -> io::Result<Held> {
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

    fn room(&self) -> io::Result<Held> {
        let held = self.cache.hold()?;
        for name in ["home", "temporary"] {
            std::fs::create_dir(held.path().join(name))?;
        }
        Ok(held)
    }

    /// What commands may have written, all together, where they can.
    async fn written(&self, tree: &Path, room: &Path) -> Result<Written, VerifyError> {
        let folders = vec![tree.to_owned(), room.join("home"), room.join("temporary")];
        let looked = folders.clone();
        let before = blocking("the tree cannot be looked at", move || {
            Ok(looked.iter().fold(Usage::default(), |all, folder| all.and(usage::of(folder))))
        });
        let most = before.await?.and(Usage::of_bytes(self.plan.disk));
        Ok(Written { folders, most })
    }

    /// Runs one command; with a proxy, it finds the registries.
    async fn run(
        &self,
        argv: &[String],
        tree: &Path,
        room: (&Path, &Written),
        proxy: Option<&Proxy>,
    ) -> Result<Ran, VerifyError> {
        let began = std::time::Instant::now();
        Ok(match self.ended(argv, tree, room, proxy, false).await? {
            Ok(ended) => told(argv, &ended),
            Err(why) => Ran {
                argv: argv.to_vec(),
                end: End::NoProgram,
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
        (room, written): (&Path, &Written),
        proxy: Option<&Proxy>,
        whole: bool,
    ) -> Result<Result<Ended, String>, VerifyError> {
        let (home, temporary) = (room.join("home"), room.join("temporary"));
        let bounds = Bounds { time: self.plan.time, written: Some(written.clone()), whole };
        let words = argv.iter().map(OsString::from).collect();
        let mut job = Job::new(Level::Full, tree, Run::Program(words))?;
        (job.writable, job.sockets, job.inside) = (true, true, INSIDE.into());
        job.read.clone_from(&self.plan.programs);
        job.limits = Limits { memory: self.plan.memory, disk: self.plan.disk, ..Limits::default() };
        job.variables = match proxy {
            Some(_) => self.plan.registries.variables.clone(),
            None => OFFLINE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        job.room = Some(Room { home, temporary });
        let ended = match proxy {
            Some(proxy) => {
                let out = Printed::of(&bounds);
                let around = Around { variables: &PROXY, words: None, out };
                command::run_with(job, &bounds, around, |listener| proxy.clone().serve(listener)).await
            }
            None => command::run(job, &bounds).await,
        };
        match ended {
            Ok(ended) => Ok(Ok(ended)),
            Err(NotRun::NoProgram { why, .. }) => Ok(Err(why)),
            Err(source) => Err(VerifyError::NotRun { argv: argv.to_vec(), source }),
        }
    }
}

fn told(argv: &[String], ended: &Ended) -> Ran {
    let shown = |printed: &Printed| redact(&printed.text());
    let (output, errors) = (shown(&ended.out), shown(&ended.err));
    Ran { argv: argv.to_vec(), end: end(&ended.end), ms: milliseconds(ended.took), output, errors }
}

pub(crate) fn end(end: &command::End) -> End {
    match end {
        command::End::Exit(status) => match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code) => End::Exit { code },
            None => End::Killed,
        },
        command::End::Time => End::Time,
        command::End::Output => End::Output,
        command::End::Disk(Over::Limit) | command::End::Limit(Bound::Disk, _) => End::Disk,
        command::End::Limit(bound, _) => End::Limit { bound: *bound },
        command::End::Disk(Over::Full) => End::Full,
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
