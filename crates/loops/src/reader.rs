//! Parses the bytes of repositories in child processes that hold no secrets.
//!
//! Each run starts its own children (`truing reader`, the same program). A child gets no environment and no
//! open file except its standard streams. A child confines itself to the tree that it is started for, and
//! reports the sandbox level that it reached. If this level is lower than the level that the operator
//! accepts, the child receives no request. If a child fails before it is ready, the run that started the
//! child gets [`ReaderError::Failed`]; other runs are not affected. If a child fails on a file, only the
//! review of that file is affected (`files`).
//!
//! The tools of a model use a separate child, which runs as long as the model may use the tools (`tools`).

mod bounds;
mod files;
mod reader_process;
mod session;
mod tools;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use truing_config::DEFAULT_READING_TIME_LIMIT;
use truing_core::port::{
    ChangedFile, DetectedTools, ReadReport, ReadRequest, ReaderError, ReplacementCheckRequest,
    RepositoryReader, ToolDetectionRequest, ToolFindings, ToolOutputRequest,
};
use truing_core::sandbox::SandboxLevel;
use truing_core::sync::ReleaseSources;
use truing_diff::RepoPath;
use truing_reader::protocol::{
    CheckedReport, MAX_SINGLE_REQUEST_BYTES, ToolsRequest, check_sources, encode_line,
};
use truing_reader::sources::{
    HashPins, OutputFormatRequest, ProjectFacts, ProjectRequest, ReleaseFilesRequest, ReleaseSourcesRequest,
    SourcesAnswer, SourcesError, SourcesQuery,
};
use truing_reader::{InProcessReader, RulePacks};

pub use self::bounds::{FILE_BASE_MEMORY_BYTES, FILE_CPU_TIME_LIMIT, MEMORY_PER_FILE_BYTE};
pub use self::files::MAX_FAILED_CHILDREN;
pub(crate) use self::reader_process::drain_to_tail;
use self::reader_process::{ChildError, ReaderProgram, failure_text, to_printable_line};
pub use self::tools::{CALL_TIMEOUT, MAX_PROCESSES_PER_RUN, ReaderTools};

/// Time limit for a child to become ready, and for a child to answer a single request.
const DEFAULT_TASK_TIME_LIMIT: Duration = DEFAULT_READING_TIME_LIMIT;

/// Returns the embedded rule packs and, if `folder` is given, the packs in this folder.
///
/// # Errors
/// [`ReaderError::BadPack`] if a given folder does not exist, or a rule in it is invalid.
pub fn load_packs(folder: Option<&Path>) -> Result<RulePacks, ReaderError> {
    match folder {
        None => RulePacks::load_embedded(),
        Some(folder) => RulePacks::with_folder(folder),
    }
}

/// A repository reader that parses in child processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ChildProcessReader {
    program: ReaderProgram,
    rules_folder: Option<PathBuf>,
    time_limit: Duration,
    /// Time limit for reading all files of a request.
    reading_time_limit: Duration,
}

impl ChildProcessReader {
    /// Creates a reader whose children run the current program.
    ///
    /// # Errors
    /// Fails if the system cannot return the program's path.
    pub fn from_current_program() -> std::io::Result<Self> {
        Ok(Self::new(truing_system::current_program()?))
    }

    /// Creates a reader whose children run `program` with the command line of `truing reader`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let program =
            ReaderProgram { path: program.into(), min_sandbox: SandboxLevel::MAX_REQUIRED_READER_LEVEL };
        Self {
            program,
            rules_folder: None,
            time_limit: DEFAULT_TASK_TIME_LIMIT,
            reading_time_limit: DEFAULT_READING_TIME_LIMIT,
        }
    }

    /// Also accepts children whose sandbox level is lower, down to `weakest`. The required level never
    /// exceeds the level that a reader can reach.
    #[must_use]
    pub fn with_min_sandbox(mut self, weakest: SandboxLevel) -> Self {
        self.program.min_sandbox = weakest.min(SandboxLevel::MAX_REQUIRED_READER_LEVEL);
        self
    }

    /// Adds the rule packs in a folder.
    #[must_use]
    pub fn with_rules(self, rules: Option<PathBuf>) -> Self {
        Self { rules_folder: rules, ..self }
    }

    /// Replaces the time limit for one task of a child.
    #[must_use]
    pub fn with_task_time_limit(self, time: Duration) -> Self {
        Self { time_limit: time, ..self }
    }

    /// Replaces [`DEFAULT_READING_TIME_LIMIT`] as the time limit for all files of a request. Files that are
    /// not read in time are omitted.
    #[must_use]
    pub fn with_reading_time_limit(self, reading_time_limit: Duration) -> Self {
        Self { reading_time_limit, ..self }
    }

    /// Creates the tools that read a tree and a change (in git's format) in child processes of the same
    /// program.
    pub fn tools(&self, request: ToolsRequest, change: impl Into<Arc<[u8]>>) -> ReaderTools {
        ReaderTools::new(self.program.clone(), request, change.into())
    }

    /// Reads the content of a release's archive in a child that can open only the archive's folder.
    ///
    /// # Errors
    /// [`SourcesError`]; any failure of the child is [`SourcesError::ReaderFailed`].
    #[truing_core::boxed_future]
    pub async fn read_release_sources(
        &self,
        request: &ReleaseSourcesRequest,
    ) -> Result<ReleaseSources, SourcesError> {
        match self.query_child(&SourcesQuery::Release(request.clone())).await? {
            SourcesAnswer::Release(sources) => Ok(sources),
            SourcesAnswer::Pins(_)
            | SourcesAnswer::Project(_)
            | SourcesAnswer::Files(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Format(_)
            | SourcesAnswer::Proofs(_) => Err(unexpected_answer_error()),
        }
    }

    /// Reads the pins in the Python hash test of a project. The child that reads them can open only the
    /// test's folder.
    ///
    /// # Errors
    /// As [`Self::read_release_sources`].
    #[truing_core::boxed_future]
    pub async fn read_pinned_test_hashes(&self, test: &Path) -> Result<HashPins, SourcesError> {
        match self.query_child(&SourcesQuery::Pins(test.to_owned())).await? {
            SourcesAnswer::Pins(pins) => Ok(pins),
            SourcesAnswer::Release(_)
            | SourcesAnswer::Project(_)
            | SourcesAnswer::Files(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Format(_)
            | SourcesAnswer::Proofs(_) => Err(unexpected_answer_error()),
        }
    }

    /// Reads where a project uses the packages that it follows. The child for this task can open only the
    /// project.
    ///
    /// # Errors
    /// As [`Self::read_release_sources`].
    #[truing_core::boxed_future]
    pub async fn read_package_uses(&self, request: ProjectRequest) -> Result<ProjectFacts, SourcesError> {
        match self.query_child(&SourcesQuery::Project(request)).await? {
            SourcesAnswer::Project(project) => Ok(project),
            SourcesAnswer::Release(_)
            | SourcesAnswer::Pins(_)
            | SourcesAnswer::Files(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Format(_)
            | SourcesAnswer::Proofs(_) => Err(unexpected_answer_error()),
        }
    }

    /// Reads files of a release as text. The child that reads them can open only the release's archive.
    ///
    /// # Errors
    /// As [`Self::read_release_sources`].
    #[truing_core::boxed_future]
    pub async fn read_release_files(
        &self,
        request: &ReleaseFilesRequest,
    ) -> Result<BTreeMap<String, String>, SourcesError> {
        match self.query_child(&SourcesQuery::Files(request.clone())).await? {
            SourcesAnswer::Files(files) => Ok(files),
            SourcesAnswer::Release(_)
            | SourcesAnswer::Pins(_)
            | SourcesAnswer::Project(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Format(_)
            | SourcesAnswer::Proofs(_) => Err(unexpected_answer_error()),
        }
    }

    /// Detects the format of a tool's output. The child for this task can open only `folder`. Returns the
    /// name of the format, or `None` if it is unknown.
    ///
    /// # Errors
    /// As [`Self::read_release_sources`].
    #[truing_core::boxed_future]
    pub async fn detect_tool_output_format(
        &self,
        folder: &Path,
        text: &str,
    ) -> Result<Option<String>, SourcesError> {
        let request = OutputFormatRequest { folder: folder.to_owned(), text: text.to_owned() };
        match self.query_child(&SourcesQuery::Format(request)).await? {
            SourcesAnswer::Format(name) => Ok(name),
            SourcesAnswer::Release(_)
            | SourcesAnswer::Pins(_)
            | SourcesAnswer::Project(_)
            | SourcesAnswer::Files(_)
            | SourcesAnswer::Tool(_)
            | SourcesAnswer::UsedTools(_)
            | SourcesAnswer::Proofs(_) => Err(unexpected_answer_error()),
        }
    }

    async fn query_child(&self, query: &SourcesQuery) -> Result<SourcesAnswer, SourcesError> {
        let mut error_output = Vec::new();
        match self.exchange_query(query, &mut error_output).await {
            Ok(answer) => answer,
            Err(error) => Err(SourcesError::ReaderFailed(failure_text(&error, &error_output))),
        }
    }

    async fn exchange_query(
        &self,
        query: &SourcesQuery,
        error_output: &mut Vec<u8>,
    ) -> Result<Result<SourcesAnswer, SourcesError>, ChildError> {
        let line = encode_line("the request", query, MAX_SINGLE_REQUEST_BYTES)?;
        let running = self.program.start(query.folder(), [OsStr::new("--sources")].into_iter())?;
        // For pins, the child parses a single file, so the limits for one file in a review apply.
        let file = match query {
            SourcesQuery::Pins(test) => std::fs::metadata(test).ok().map(|test| test.len()),
            SourcesQuery::Release(_)
            | SourcesQuery::Project(_)
            | SourcesQuery::Files(_)
            | SourcesQuery::Tool(_)
            | SourcesQuery::UsedTools(_)
            | SourcesQuery::Format(_)
            | SourcesQuery::Proofs(_) => None,
        };
        let talked = running.exchange(&line, file, self.program.min_sandbox, error_output);
        let answer: Result<SourcesAnswer, SourcesError> = tokio::time::timeout(self.time_limit, talked)
            .await
            .unwrap_or(Err(ChildError::TimedOut(self.time_limit)))?;
        Ok(match answer {
            Ok(sources_answer) => Ok(check_sources(query, sources_answer)?),
            Err(error) => Err(SourcesError::ReaderFailed(to_printable_line(&error.to_string()))),
        })
    }
}

#[async_trait]
impl RepositoryReader for ChildProcessReader {
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        let CheckedReport { report, dropped_count: dropped } = files::read_files(self, request).await?;
        if dropped > 0 {
            tracing::warn!(dropped, "the reader reported findings that cannot be used");
        }
        Ok(report)
    }

    async fn tool_findings(&self, request: &ToolOutputRequest) -> Result<ToolFindings, ReaderError> {
        match self.query_child(&SourcesQuery::Tool(Box::new(request.clone()))).await {
            Ok(SourcesAnswer::Tool(found)) => Ok(found),
            Ok(
                SourcesAnswer::Release(_)
                | SourcesAnswer::Pins(_)
                | SourcesAnswer::Project(_)
                | SourcesAnswer::Files(_)
                | SourcesAnswer::UsedTools(_)
                | SourcesAnswer::Format(_)
                | SourcesAnswer::Proofs(_),
            ) => Err(ReaderError::Failed(unexpected_answer_error().to_string())),
            Err(error) => Err(ReaderError::Failed(error.to_string())),
        }
    }

    async fn verify_replacements(&self, request: &ReplacementCheckRequest) -> Result<Vec<bool>, ReaderError> {
        match self.query_child(&SourcesQuery::Proofs(request.clone())).await {
            Ok(SourcesAnswer::Proofs(proven)) => Ok(proven),
            Ok(
                SourcesAnswer::Release(_)
                | SourcesAnswer::Pins(_)
                | SourcesAnswer::Project(_)
                | SourcesAnswer::Files(_)
                | SourcesAnswer::Tool(_)
                | SourcesAnswer::UsedTools(_)
                | SourcesAnswer::Format(_),
            ) => Err(ReaderError::Failed(unexpected_answer_error().to_string())),
            Err(error) => Err(ReaderError::Failed(error.to_string())),
        }
    }

    async fn detect_tools(&self, request: &ToolDetectionRequest) -> Result<DetectedTools, ReaderError> {
        match self.query_child(&SourcesQuery::UsedTools(request.clone())).await {
            Ok(SourcesAnswer::UsedTools(used)) => Ok(used),
            Ok(
                SourcesAnswer::Release(_)
                | SourcesAnswer::Pins(_)
                | SourcesAnswer::Project(_)
                | SourcesAnswer::Files(_)
                | SourcesAnswer::Tool(_)
                | SourcesAnswer::Format(_)
                | SourcesAnswer::Proofs(_),
            ) => Err(ReaderError::Failed(unexpected_answer_error().to_string())),
            Err(error) => Err(ReaderError::Failed(error.to_string())),
        }
    }

    /// This method starts no child process: it only compares paths with the patterns of the packs, and opens
    /// no file of the repository.
    async fn companion_paths(
        &self,
        packs: &[String],
        files: &[ChangedFile],
    ) -> Result<Vec<RepoPath>, ReaderError> {
        let (rules, packs, files) = (self.rules_folder.clone(), packs.to_owned(), files.to_owned());
        let work = move || {
            InProcessReader::with_packs(load_packs(rules.as_deref())?)
                .companion_paths_blocking(&packs, &files)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|stopped| Err(ReaderError::Failed(stopped.to_string())))
    }
}

fn unexpected_answer_error() -> SourcesError {
    SourcesError::ReaderFailed("its process sent an answer to another request".to_owned())
}
