//! The reader as a child process: repository bytes are parsed in a process that holds nothing worth taking.
//!
//! Each run starts its own children (`truing reader`, the same program). A child gets no environment and no open file
//! but its standard streams, confines itself to the tree that it is started for, and says how well; one that is
//! confined less than is accepted is told nothing. What it does instead of getting ready is a [`ReaderError::Failed`]:
//! a failed attempt of that run, and nothing to any other. What it does instead of reading a file well costs the review
//! that file (`files`).
//!
//! A model's tools have a child of their own, which lives as long as they are used (`tools`).

mod bounds;
mod files;
mod session;
mod tools;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use truing_config::READING_TIME;
use truing_core::port::{
    ChangedFile, ProofRequest, ReadReport, ReadRequest, Reader, ReaderError, ToolFindings, ToolRequest,
    UsedTools, UsedToolsRequest,
};
use truing_core::sandbox::Level;
use truing_core::sync::Sources;
use truing_diff::RepoPath;
use truing_reader::protocol::{
    Checked, Hello, MAX_ANSWER_BYTES, MAX_ASKED_BYTES, MAX_HELLO_BYTES, ProtocolError, ToolsRequest,
    checked_sources, decode, encode,
};
use truing_reader::sources::{
    Asked, FilesRequest, FormatRequest, Pins, Project, ProjectRequest, SourcesAnswer, SourcesError,
    SourcesRequest,
};
use truing_reader::{InProcess, Packs};

use self::bounds::Usage;
pub use self::bounds::{FILE_BYTES, FILE_MEMORY, FILE_TIME};
pub use self::files::MAX_LOST;
pub use self::tools::{CALL_TIME, MAX_CHILDREN, ReaderTools};

/// The time that one child may take to get ready, or to answer what is asked once.
const TIME: Duration = READING_TIME;

/// How much of what a child says on its error stream is kept: the last bytes.
const MAX_STDERR_BYTES: usize = 16 << 10;
/// How many characters of a child's own words an error repeats.
const MAX_WORDS_CHARS: usize = 500;

/// The running program, under a name that stays its own even when its file is replaced or removed.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// The embedded packs and those of a folder, if there is one.
///
/// # Errors
/// [`ReaderError::BadPack`] if a folder that is named is not there, or a rule in it is wrong.
pub fn packs_with(folder: Option<&Path>) -> Result<Packs, ReaderError> {
    match folder {
        None => Packs::embedded(),
        Some(folder) => Packs::with_folder(folder),
    }
}

/// Reads in child processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChildReader {
    program: Program,
    rules: Option<PathBuf>,
    time: Duration,
    /// How long all files of a request may be read.
    budget: Duration,
}

/// What is started, and what is asked of it.
#[derive(Clone, Debug)]
struct Program {
    path: PathBuf,
    /// The weakest sandbox that is accepted.
    weakest: Level,
}

/// Why a child gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
enum ChildError {
    #[error("{} cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: std::io::Error },
    #[error("cannot talk to its process: {0}")]
    Streams(#[from] std::io::Error),
    #[error("its process ended before it had answered ({0})")]
    Ended(ExitStatus),
    #[error("reading it takes more memory than a file of its size may")]
    Bound,
    #[error("its process answered and then failed ({0})")]
    FailedLater(ExitStatus),
    #[error("its process did not answer within {} s and was killed", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("its process does not do as it should: {0}")]
    Protocol(#[from] ProtocolError),
}

impl ChildReader {
    /// A reader whose children are this very program.
    ///
    /// # Errors
    /// If the system cannot tell which program this is.
    pub fn of_this_program() -> std::io::Result<Self> {
        let stable = Path::new(THIS_PROGRAM);
        Ok(Self::new(if stable.exists() { stable.to_owned() } else { std::env::current_exe()? }))
    }

    /// A reader whose children are `program`, which is started as `truing reader`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program = Program { path: program.into(), weakest: Level::OF_READERS };
        Self { program, rules: None, time: TIME, budget: READING_TIME }
    }

    /// Accepts children that are confined less, if the operator accepts that of sandboxes. More is never asked for than
    /// a reader can have.
    #[must_use]
    pub fn accepting(mut self, weakest: Level) -> Self {
        self.program.weakest = weakest.min(Level::OF_READERS);
        self
    }

    /// With further rule packs from a folder.
    #[must_use]
    pub fn with_rules(self, rules: Option<PathBuf>) -> Self {
        Self { rules, ..self }
    }

    /// With another time limit for what a child is to do.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// With another time than [`READING_TIME`] for the files of a request. Those whose turn does not come in it are left out.
    #[must_use]
    pub fn reading_for(self, budget: Duration) -> Self {
        Self { budget, ..self }
    }

    /// Tools for looking at a tree and at the change, as git printed it, in children of the same program.
    pub fn tools(&self, request: ToolsRequest, change: impl Into<Arc<[u8]>>) -> ReaderTools {
        ReaderTools::new(self.program.clone(), request, change.into())
    }

    /// What a release's archive holds, read by a child that can open the archive's folder alone.
    ///
    /// # Errors
    /// [`SourcesError`]; whatever a child does instead of answering well is [`SourcesError::Failed`].
    pub async fn sources(&self, request: &SourcesRequest) -> Result<Sources, SourcesError> {
        match self.told(&Asked::Release(request.clone())).await? {
            SourcesAnswer::Release(sources) => Ok(sources),
            SourcesAnswer::Pins(_)
            | SourcesAnswer::Project(_)
            | SourcesAnswer::Files(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Format(_)
            | SourcesAnswer::Proofs(_) => Err(other_answer()),
        }
    }

    /// What a project's Python hash test pins, read by a child that can open the test's folder alone.
    ///
    /// # Errors
    /// As [`Self::sources`].
    pub async fn pins(&self, test: &Path) -> Result<Pins, SourcesError> {
        match self.told(&Asked::Pins(test.to_owned())).await? {
            SourcesAnswer::Pins(pins) => Ok(pins),
            SourcesAnswer::Release(_)
            | SourcesAnswer::Project(_)
            | SourcesAnswer::Files(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Format(_)
            | SourcesAnswer::Proofs(_) => Err(other_answer()),
        }
    }

    /// What a project takes from the packages that it follows, read by a child that can open the project alone.
    ///
    /// # Errors
    /// As [`Self::sources`].
    pub async fn project(&self, request: ProjectRequest) -> Result<Project, SourcesError> {
        match self.told(&Asked::Project(request)).await? {
            SourcesAnswer::Project(project) => Ok(project),
            SourcesAnswer::Release(_)
            | SourcesAnswer::Pins(_)
            | SourcesAnswer::Files(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Format(_)
            | SourcesAnswer::Proofs(_) => Err(other_answer()),
        }
    }

    /// Files of a release as text, read by a child that can open its archive alone.
    ///
    /// # Errors
    /// As [`Self::sources`].
    pub async fn files(&self, request: &FilesRequest) -> Result<BTreeMap<String, String>, SourcesError> {
        match self.told(&Asked::Files(request.clone())).await? {
            SourcesAnswer::Files(files) => Ok(files),
            SourcesAnswer::Release(_)
            | SourcesAnswer::Pins(_)
            | SourcesAnswer::Project(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Format(_)
            | SourcesAnswer::Proofs(_) => Err(other_answer()),
        }
    }

    /// The name of the format of a tool's output, if it is recognised, by a child that can open `folder` alone.
    ///
    /// # Errors
    /// As [`Self::sources`].
    pub async fn format(&self, folder: &Path, text: &str) -> Result<Option<String>, SourcesError> {
        let request = FormatRequest { folder: folder.to_owned(), text: text.to_owned() };
        match self.told(&Asked::Format(request)).await? {
            SourcesAnswer::Format(name) => Ok(name),
            SourcesAnswer::Release(_)
            | SourcesAnswer::Pins(_)
            | SourcesAnswer::Project(_)
            | SourcesAnswer::Files(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Proofs(_) => Err(other_answer()),
        }
    }

    async fn told(&self, asked: &Asked) -> Result<SourcesAnswer, SourcesError> {
        let mut said = Vec::new();
        match self.ask_for_sources(asked, &mut said).await {
            Ok(answer) => answer,
            Err(error) => Err(SourcesError::Failed(told(&error, &said))),
        }
    }

    async fn ask_for_sources(
        &self,
        asked: &Asked,
        said: &mut Vec<u8>,
    ) -> Result<Result<SourcesAnswer, SourcesError>, ChildError> {
        let line = encode("the request", asked, MAX_ASKED_BYTES)?;
        let running = self.program.start(asked.folder(), [OsStr::new("--sources")].into_iter())?;
        // One file is parsed: it may cost no more than a file of a review.
        let file = match asked {
            Asked::Pins(test) => std::fs::metadata(test).ok().map(|test| test.len()),
            Asked::Release(_)
            | Asked::Project(_)
            | Asked::Files(_)
            | Asked::Tool(_)
            | Asked::UsedTools(_)
            | Asked::Format(_)
            | Asked::Proofs(_) => None,
        };
        let talked = running.converse(&line, file, self.program.weakest, said);
        let answer: Result<SourcesAnswer, SourcesError> =
            tokio::time::timeout(self.time, talked).await.unwrap_or(Err(ChildError::TimedOut(self.time)))?;
        Ok(match answer {
            Ok(told) => Ok(checked_sources(asked, told)?),
            Err(error) => Err(SourcesError::Failed(plain(&error.to_string()))),
        })
    }
}

#[async_trait]
impl Reader for ChildReader {
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        let Checked { report, dropped } = files::read(self, request).await?;
        if dropped > 0 {
            tracing::warn!(dropped, "the reader reported findings that cannot be used");
        }
        Ok(report)
    }

    async fn tool_findings(&self, request: &ToolRequest) -> Result<ToolFindings, ReaderError> {
        match self.told(&Asked::Tool(Box::new(request.clone()))).await {
            Ok(SourcesAnswer::Tool(found)) => Ok(found),
            Ok(
                SourcesAnswer::Release(_)
                | SourcesAnswer::Pins(_)
                | SourcesAnswer::Project(_)
                | SourcesAnswer::Files(_)
                | SourcesAnswer::UsedTools(_)
                | SourcesAnswer::Format(_)
                | SourcesAnswer::Proofs(_),
            ) => Err(ReaderError::Failed(other_answer().to_string())),
            Err(error) => Err(ReaderError::Failed(error.to_string())),
        }
    }

    async fn prove(&self, request: &ProofRequest) -> Result<Vec<bool>, ReaderError> {
        match self.told(&Asked::Proofs(request.clone())).await {
            Ok(SourcesAnswer::Proofs(proven)) => Ok(proven),
            Ok(
                SourcesAnswer::Release(_)
                | SourcesAnswer::Pins(_)
                | SourcesAnswer::Project(_)
                | SourcesAnswer::Files(_)
                | SourcesAnswer::Tool(_)
                | SourcesAnswer::UsedTools(_)
                | SourcesAnswer::Format(_),
            ) => Err(ReaderError::Failed(other_answer().to_string())),
            Err(error) => Err(ReaderError::Failed(error.to_string())),
        }
    }

    async fn used_tools(&self, request: &UsedToolsRequest) -> Result<UsedTools, ReaderError> {
        match self.told(&Asked::UsedTools(request.clone())).await {
            Ok(SourcesAnswer::UsedTools(used)) => Ok(used),
            Ok(
                SourcesAnswer::Release(_)
                | SourcesAnswer::Pins(_)
                | SourcesAnswer::Project(_)
                | SourcesAnswer::Files(_)
                | SourcesAnswer::Tool(_)
                | SourcesAnswer::Format(_)
                | SourcesAnswer::Proofs(_),
            ) => Err(ReaderError::Failed(other_answer().to_string())),
            Err(error) => Err(ReaderError::Failed(error.to_string())),
        }
    }

    /// Asks no child: paths are matched with patterns of the packs, and nothing of the repository is opened.
    async fn companions(
        &self,
        packs: &[String],
        files: &[ChangedFile],
    ) -> Result<Vec<RepoPath>, ReaderError> {
        let (rules, packs, files) = (self.rules.clone(), packs.to_owned(), files.to_owned());
        let work = move || InProcess::with_packs(packs_with(rules.as_deref())?).companions_of(&packs, &files);
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|stopped| Err(ReaderError::Failed(stopped.to_string())))
    }
}

/// A child's own error, fit to be shown.
fn cleaned(error: ReaderError) -> ReaderError {
    match error {
        ReaderError::UnknownPack { name, known } => {
            ReaderError::UnknownPack { name: plain(&name), known: plain(&known) }
        }
        ReaderError::BadPack(what) => ReaderError::BadPack(plain(&what)),
        ReaderError::Failed(what) => ReaderError::Failed(plain(&what)),
    }
}

/// What went wrong, with a child's last words.
fn told(error: &ChildError, said: &[u8]) -> String {
    let (what, words) = (plain(&error.to_string()), plain(&String::from_utf8_lossy(said)));
    if words.is_empty() { what } else { format!("{what}; it said: {words}") }
}

/// Words as one line for people: no control characters, not long.
fn plain(words: &str) -> String {
    let lines = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    lines.chars().filter(|letter| !letter.is_control()).take(MAX_WORDS_CHARS).collect()
}

/// A child and its process group, which die with this value unless the child has ended by itself.
#[derive(Debug)]
struct Running {
    child: Child,
    /// None once it has been waited for: the id may then belong to another.
    group: Option<Pid>,
}

impl Program {
    fn start<'a>(
        &self,
        tree: &Path,
        arguments: impl Iterator<Item = &'a OsStr>,
    ) -> Result<Running, ChildError> {
        let mut command = Command::new(&self.path);
        command.arg0("truing").arg("reader").arg("--tree").arg(tree).args(arguments).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let child =
            command.spawn().map_err(|source| ChildError::Start { program: self.path.clone(), source })?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Running { child, group })
    }
}

impl Running {
    /// Asks and listens until the child has ended. It is only waited for when its streams have ended: until then
    /// it exists, if only as a zombie, and its id is safe to kill by.
    ///
    /// If it parses one file, `file` is the size of that: it may use no more memory than such a file may cost.
    async fn converse<Answer: DeserializeOwned>(
        mut self,
        request: &[u8],
        file: Option<u64>,
        weakest: Level,
        said: &mut Vec<u8>,
    ) -> Result<Answer, ChildError> {
        let (stdin, stdout) = (self.child.stdin.take(), self.child.stdout.take());
        let stderr = self.child.stderr.take();
        let bound = || {
            if let (Some(process), Some(size)) = (self.group, file) {
                allow_for(Usage::of(process), size);
            }
        };
        let talk = async {
            let heard = talk(stdin, stdout, request, weakest, bound).await;
            if heard.is_err() {
                self.kill(); // it may have more to say, without end
            }
            heard
        };
        let (heard, ()) = tokio::join!(talk, keep_last(stderr, said));
        let status = self.child.wait().await?;
        self.group = None;
        match heard? {
            None if file.is_some() && is_of_a_bound(status) => Err(ChildError::Bound),
            None => Err(ChildError::Ended(status)),
            Some(_) if !status.success() => Err(ChildError::FailedLater(status)),
            Some(line) => Ok(decode("its answer", &line, MAX_ANSWER_BYTES)?),
        }
    }

    fn kill(&self) {
        if let Some(group) = self.group {
            // It may have ended just now; then there is nothing to do.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Holds a reader to the memory that a file of this size may cost.
fn allow_for(usage: Usage, size: u64) {
    if !usage.allow_for(size) {
        tracing::debug!("the kernel holds this reader to no more than what all readers may use");
    }
}

/// Did the kernel refuse a child more memory, or a larger stack? Programs abort then.
fn is_of_a_bound(status: ExitStatus) -> bool {
    status.signal().is_some_and(|signal| [Signal::ABORT, Signal::SEGV].iter().any(|it| it.as_raw() == signal))
}

/// Makes sure that a child is one to talk to.
fn accept(hello: Hello, weakest: Level) -> Result<(), ChildError> {
    if hello.sandbox < Level::OF_READERS {
        let sandbox = hello.sandbox.as_str();
        tracing::warn!(
            sandbox,
            "the kernel confines no reader to its files: one that was taken over could read others"
        );
    }
    Ok(hello.is_ours(weakest)?)
}

/// Hears the hello, bounds the child, sends the request, and returns the line that answers; none if the output ended before.
async fn talk(
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    request: &[u8],
    weakest: Level,
    bound: impl FnOnce(),
) -> Result<Option<Vec<u8>>, ChildError> {
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else { return Ok(None) };
    let mut stdout = BufReader::new(stdout);
    let Some(hello) = line(&mut stdout, MAX_HELLO_BYTES).await? else { return Ok(None) };
    accept(decode("its hello", &hello, MAX_HELLO_BYTES)?, weakest)?;
    bound();

    // A child that stops listening says by its answer, or by its end, why.
    let feed = async { drop(stdin.write_all(request).await) };
    let mut answer = Vec::new();
    let mut bounded = stdout.take(MAX_ANSWER_BYTES as u64 + 1);
    let ((), read) = tokio::join!(feed, bounded.read_to_end(&mut answer));
    read?;
    // The input stays open until here: its end would tell the child that nobody listens.
    drop(stdin);
    if answer.len() > MAX_ANSWER_BYTES {
        let (what, bytes) = ("its answer", answer.len());
        return Err(ProtocolError::TooLong { what, bytes, most: MAX_ANSWER_BYTES }.into());
    }
    Ok(answer.ends_with(b"\n").then_some(answer))
}

/// The next line, or so much of it that it is seen to be too long; none if the output ended before.
async fn line(stdout: &mut BufReader<ChildStdout>, most: usize) -> Result<Option<Vec<u8>>, ChildError> {
    let mut line = Vec::new();
    stdout.take(most as u64 + 1).read_until(b'\n', &mut line).await?;
    Ok((line.len() > most || line.ends_with(b"\n")).then_some(line))
}

/// Drains the error stream and keeps its end: what was fatal is said last.
async fn keep_last(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut part = vec![0; MAX_STDERR_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut part).await {
        kept.extend_from_slice(part.get(..count).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(MAX_STDERR_BYTES));
    }
}

fn other_answer() -> SourcesError {
    SourcesError::Failed("its process answered another question".to_owned())
}
