//! Implements the `RepositoryReader` port in the calling process. The reader reads the changed files on a few
//! threads and reports findings. `RequestReader` reads the files of one request one by one. `RequestReader`
//! is used both in the calling process and in a reader process.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use truing_core::finding::{CodeLocation, RawFinding};
use truing_core::outcome::{CoverageGap, SkipReason};
use truing_core::port::{
    ChangedFile, DetectedTools, ReadReport, ReadRequest, ReaderError, ReplacementCheckRequest,
    RepositoryReader, ToolDetectionRequest, ToolFindings, ToolOutputRequest,
};
use truing_core::suppression::UnusedSuppressionReason;
use truing_diff::RepoPath;

use crate::engine::{DEFAULT_MAX_FILE_FINDINGS, RuleSet, companion_paths};
use crate::file::FileTree;
use crate::pack::{RuleCheck, RulePacks};
use crate::part::RepositoryPart;
use crate::proposals::validate_replacements;
use crate::protocol::MAX_SUPPRESSIONS;
use crate::rules::companion::ChangeContext;
use crate::rules::scanner::MANIFESTS;
use crate::stack::large_stack_builder;
use crate::syntax::{MAX_FILE_CPU_TIME, ParserPool};
use crate::tool_findings::tool_findings;
use crate::used_tools::find_used_tools;

/// Maximum number of reader threads. More threads would not be faster, because the disk and the memory limit
/// the speed.
const MAX_THREADS: usize = 8;
/// Number of files for each reader thread. With fewer files, fewer threads are started.
const FILES_PER_THREAD: usize = 8;

/// Maximum number of returned companion paths of changed files. A hostile change with files in deep folders
/// could cause very many such paths.
const MAX_COMPANION_PATHS: usize = 10_000;

/// A reader that runs in the calling process. Cloning the reader is cheap; each pattern is compiled at most
/// once for all clones.
#[derive(Clone, Debug)]
pub struct InProcessReader {
    packs: Arc<RulePacks>,
    max_findings: usize,
}

impl InProcessReader {
    /// Creates a reader with the embedded packs.
    ///
    /// # Errors
    ///
    /// [`ReaderError::BadPack`] if the data built into the binary is invalid.
    pub fn new() -> Result<Self, ReaderError> {
        Ok(Self::with_packs(RulePacks::load_embedded()?))
    }

    /// Creates a reader with these packs.
    pub fn with_packs(packs: RulePacks) -> Self {
        Self { packs: Arc::new(packs), max_findings: DEFAULT_MAX_FILE_FINDINGS }
    }

    /// Sets the maximum number of findings per file. The default is 100.
    #[must_use]
    pub fn with_max_findings(self, max_findings: usize) -> Self {
        Self { max_findings, ..self }
    }

    /// Returns the packs that this reader uses.
    pub fn packs(&self) -> &RulePacks {
        &self.packs
    }

    /// Returns the sorted names of the packs that a request may use.
    pub fn pack_names(&self) -> Vec<&str> {
        self.packs.pack_names()
    }

    /// Returns the paths of [`RepositoryReader::companion_paths`]. At most 10,000 paths are returned; further
    /// paths are left out.
    ///
    /// # Errors
    ///
    /// [`ReaderError::UnknownPack`] for a pack that does not exist.
    pub fn companion_paths_blocking(
        &self,
        packs: &[String],
        files: &[ChangedFile],
    ) -> Result<Vec<RepoPath>, ReaderError> {
        let rules = self.packs.select_rules(packs)?;
        let mut paths = BTreeSet::new();
        // The manifests show whether the project is a secret scanner. Secrets in a scanner's tests are not
        // reported.
        let has_tests = files.iter().any(|file| {
            matches!(
                RepositoryPart::from_path(&file.path),
                Some(RepositoryPart::Test | RepositoryPart::Fixture)
            )
        });
        if has_tests && rules.iter().any(|rule| matches!(rule.check, RuleCheck::Secret(_))) {
            paths.extend(MANIFESTS.map(RepoPath::from));
        }
        for file in files {
            paths.extend(companion_paths(&rules, &file.path));
            if paths.len() > MAX_COMPANION_PATHS {
                break;
            }
        }
        Ok(paths.into_iter().take(MAX_COMPANION_PATHS).collect())
    }

    /// Does the same as [`RepositoryReader::read`], but blocks the calling thread. Equal requests for equal
    /// trees return equal reports.
    ///
    /// # Errors
    ///
    /// [`ReaderError::UnknownPack`] for a pack that does not exist, [`ReaderError::Failed`] if the tree
    /// cannot be opened, [`ReaderError::BadPack`] for a pattern over the size limit. A file that cannot be
    /// read causes no error; the report lists this file.
    pub fn read_blocking(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        let one = RequestReader::new(self, request)?;
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = request.files.len().div_ceil(FILES_PER_THREAD).min(cores).clamp(1, MAX_THREADS);
        let queue = FileQueue {
            files: files_largest_first(request, &one.tree, threads),
            next_index: AtomicUsize::new(0),
        };
        let share = || run_reader_thread(request, &one, &queue);
        let mut report = ReadReport { rules: one.rules.rule_names(), ..ReadReport::default() };
        thread::scope(|scope| {
            let started: Result<Vec<_>, _> =
                (0..threads).map(|_| large_stack_builder().spawn_scoped(scope, share)).collect();
            let started =
                started.map_err(|error| ReaderError::Failed(format!("no thread can be started: {error}")))?;
            for running in started {
                let part = running.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                merge_report(&mut report, part);
            }
            Ok::<(), ReaderError>(())
        })?;
        report.findings.sort_by(|a, b| finding_sort_key(a).cmp(&finding_sort_key(b)));
        report.reviewed.sort();
        report.not_reviewed.sort_by(|a, b| a.path.cmp(&b.path));
        report.suppressed.sort_by(|a, b| finding_sort_key(&a.finding).cmp(&finding_sort_key(&b.finding)));
        report.suppressions.sort();
        Ok(report)
    }
}

/// Reads files of a request, one at a time.
pub(crate) struct RequestReader<'a> {
    packs: &'a RulePacks,
    rules: RuleSet<'a>,
    tree: FileTree,
}

impl<'a> RequestReader<'a> {
    /// Compiles the rules and opens the tree.
    pub(crate) fn new(reader: &'a InProcessReader, request: &ReadRequest) -> Result<Self, ReaderError> {
        let mut rules = reader.packs.select_rules(&request.packs)?;
        rules.retain(|rule| !request.disabled_rules.contains(&rule.name));
        let rules = RuleSet::new(rules)?.with_max_findings(reader.max_findings);
        Ok(Self { packs: &reader.packs, rules, tree: FileTree::open(&request.tree)? })
    }

    pub(crate) fn rule_names(&self) -> Vec<String> {
        self.rules.rule_names()
    }

    /// Returns the context of the change that a request is about.
    pub(crate) fn change_context<'b>(&'b self, request: &'b ReadRequest) -> ChangeContext<'b> {
        ChangeContext::from_request(request, &self.tree)
    }

    /// Returns the report on one file. The report lists the file exactly once, either as reviewed or as
    /// skipped. `parse_time_limit` limits the time for parsing the file. If `parse_time_limit` is zero, rules
    /// that need a syntax tree are not applied.
    pub(crate) fn read_file(
        &self,
        file: &ChangedFile,
        change: &ChangeContext<'_>,
        parsers: &mut ParserPool,
        parse_time_limit: Duration,
    ) -> Result<ReadReport, ReaderError> {
        parsers.begin_file(parse_time_limit);
        let mut report = ReadReport::default();
        let skipped = match self.tree.read(&file.path) {
            Ok(content) => {
                let examined = self.rules.check_file(file, &content, change, parsers)?;
                report.findings = examined.findings;
                report.suppressed = examined.suppressed_findings;
                report.suppressions = examined.unused_suppressions;
                // If `incomplete` is set, findings may be missing, so the file must not count as reviewed.
                examined.incomplete_reason
            }
            Err(reason @ (SkipReason::TooLarge | SkipReason::Binary)) => {
                let size = self.tree.size(&file.path).unwrap_or_default();
                report.findings = self.rules.oversized_findings(file, size);
                Some(reason)
            }
            Err(reason) => Some(reason),
        };
        match skipped {
            None => report.reviewed.push(file.path.clone()),
            Some(reason) => report.not_reviewed.push(CoverageGap { path: file.path.clone(), reason }),
        }
        report.suppressions.truncate(MAX_SUPPRESSIONS);
        if report.suppressions.iter().any(|idle| idle.problem == UnusedSuppressionReason::UnknownRule) {
            // If the rule of a comment exists but does not run, because the rule or its pack is disabled, the
            // comment is not reported as a comment for an unknown rule.
            let listed = self.packs.list_rules()?;
            let is_one = |name: &str| listed.iter().any(|listed| listed.name == name);
            report
                .suppressions
                .retain(|idle| idle.problem != UnusedSuppressionReason::UnknownRule || !is_one(&idle.rule));
        }
        Ok(report)
    }
}

/// Adds the results of a partial report to `report`.
fn merge_report(report: &mut ReadReport, partial_report: ReadReport) {
    report.findings.extend(partial_report.findings);
    report.reviewed.extend(partial_report.reviewed);
    report.not_reviewed.extend(partial_report.not_reviewed);
    report.suppressed.extend(partial_report.suppressed);
    report.suppressions.extend(partial_report.suppressions);
}

/// Returns the key by which findings are sorted.
fn finding_sort_key(finding: &RawFinding) -> (&CodeLocation, &str) {
    (&finding.location, &finding.rule)
}

/// The files of a request, from which each thread takes the next file.
struct FileQueue<'a> {
    files: Vec<&'a ChangedFile>,
    next_index: AtomicUsize,
}

/// Returns the files of a request. With several threads, the largest files come first. Otherwise, other
/// threads might be idle while the last thread reads a large file.
fn files_largest_first<'a>(
    request: &'a ReadRequest,
    tree: &FileTree,
    threads: usize,
) -> Vec<&'a ChangedFile> {
    let mut files: Vec<&ChangedFile> = request.files.iter().collect();
    if threads > 1 {
        files.sort_by_cached_key(|file| Reverse(tree.size(&file.path)));
    }
    files
}

/// Runs one reader thread, which takes and reads the next file until the queue is empty.
fn run_reader_thread(
    request: &ReadRequest,
    reader: &RequestReader<'_>,
    queue: &FileQueue<'_>,
) -> Result<ReadReport, ReaderError> {
    let change = reader.change_context(request);
    let mut report = ReadReport::default();
    let mut parsers = ParserPool::default();
    while let Some(file) = queue.files.get(queue.next_index.fetch_add(1, Ordering::Relaxed)) {
        merge_report(&mut report, reader.read_file(file, &change, &mut parsers, MAX_FILE_CPU_TIME)?);
    }
    Ok(report)
}

#[async_trait]
impl RepositoryReader for InProcessReader {
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        self.read_blocking(request)
    }

    async fn tool_findings(&self, request: &ToolOutputRequest) -> Result<ToolFindings, ReaderError> {
        tool_findings(request)
    }

    async fn verify_replacements(&self, request: &ReplacementCheckRequest) -> Result<Vec<bool>, ReaderError> {
        validate_replacements(request)
    }

    async fn detect_tools(&self, request: &ToolDetectionRequest) -> Result<DetectedTools, ReaderError> {
        find_used_tools(request)
    }

    async fn companion_paths(
        &self,
        packs: &[String],
        files: &[ChangedFile],
    ) -> Result<Vec<RepoPath>, ReaderError> {
        self.companion_paths_blocking(packs, files)
    }
}
