//! Converts a change to findings: selects the files to read, runs the reader, and determines the location of
//! the comment for each finding.

// long: the steps from a change to its findings, in their order.

mod binary_files;
mod sections;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use globset::GlobSet;
use truing_core::code_digest::LinesKey;
use truing_core::finding::{RawFinding, Severity};
use truing_core::id::Sha;
use truing_core::identity::{FindingFacts, PlacedFinding};
use truing_core::increment::FileRenames;
use truing_core::instruction::PathInstructions;
use truing_core::line::format_count;
use truing_core::outcome::{CoverageGap, ReviewCoverage, SkipReason, ToolRunResult};
use truing_core::port::{ChangedFile, ReadRequest, ReaderError, RepositoryReader, ToolFindings, ToolOutput};
use truing_core::recheck::RecheckSummary;
use truing_core::suppression::{SuppressedFinding, UnusedSuppression, UnusedSuppressionReason};
use truing_core::tier::TierRules;
use truing_diff::{FileDiff, FileStatus, RepoPath, added_ranges, parse};

use truing_config::Config;
use truing_config::value::compile_globs;
use truing_git::CommitDiff;
use truing_reader::FileTree;
use truing_reader::output::known::KnownTool;
use truing_reader::output::tool_name;

use crate::command_failure::redact_known_credentials;
use crate::lfs;
use crate::severities::RuleSeverities;
use crate::tools::overlap::{self, ReportedFindings};
use crate::tools::suggestions;
use crate::tools::{BaseConfigFiles, ConfiguredLinters, LinterResults, ReviewLinters};
pub(super) use sections::{diff_sections, old_path, place_finding};

/// Maximum number of problems in a tool's output that are listed as reasons for the tool's failure.
const MAX_LISTED_PROBLEMS: usize = 3;
/// The line range that covers a whole file.
const ALL_LINES: (u32, u32) = (1, u32::MAX);

/// A change that will be reviewed.
#[derive(Clone, Debug)]
pub struct ReviewedChange {
    /// The commit that the head is compared with (the merge base of a pull request).
    pub base: Sha,
    /// The commit of the head; `None` for a state without a commit.
    pub head: Option<Sha>,
    /// Git's diff between the base and the head.
    pub diff: Vec<u8>,
    /// Files of the change whose lines are not in the diff, with the reasons.
    pub omitted_files: Vec<CoverageGap>,
    /// New files among [`Self::omitted_files`] whose complete content is in the reader's tree.
    pub large_new_files: Vec<RepoPath>,
    /// Changed files that are reviewed with their content in the index, even if the working tree has other
    /// content.
    pub index_content_paths: Vec<RepoPath>,
}

impl ReviewedChange {
    /// Creates the change between two commits.
    pub fn from_commit_diff(base: Sha, head: &Sha, commit_diff: CommitDiff) -> Self {
        let CommitDiff { diff, skipped_files: skipped } = commit_diff;
        Self {
            base,
            head: Some(head.clone()),
            diff,
            omitted_files: skipped,
            large_new_files: Vec::new(),
            index_content_paths: Vec::new(),
        }
    }

    /// Returns the text files that are too large for the diff and whose complete content the reader's tree
    /// does not contain.
    fn undiffed_paths(&self) -> BTreeSet<&RepoPath> {
        let large: BTreeSet<&RepoPath> = self.large_new_files.iter().collect();
        let gaps = self.omitted_files.iter().filter(|gap| gap.reason == SkipReason::TooLarge);
        gaps.map(|gap| &gap.path).filter(|path| !large.contains(path)).collect()
    }
}

/// The configuration of the rules. It comes from the operator and the repository's default branch, never from
/// the change.
#[derive(Clone, Debug)]
pub struct ReviewScope {
    pub packs: Vec<String>,
    /// Rules whose findings are disabled, including rules of tools.
    pub disabled_rules: Vec<String>,
    /// Severities that replace those of a pack or a tool.
    pub severity: RuleSeverities,
    pub ignore_globs: GlobSet,
    /// The configured patterns that `ignore` was compiled from.
    pub ignore_patterns: Vec<String>,
    pub tools: ConfiguredLinters,
    /// The keys of the repository's own file that are not used because the operator does not permit them.
    pub denied_repository_keys: Vec<String>,
    /// True if the model also writes a walkthrough in a review.
    pub walkthrough: bool,
    /// The rules for the tier of a pull request.
    pub tiers: Arc<TierRules>,
    /// Instructions for a reviewing model, by path.
    pub instructions: Arc<PathInstructions>,
    /// Key for the digests of the lines that a snippet omits. The records contain these digests.
    pub lines_key: LinesKey,
}

impl ReviewScope {
    /// Creates the scope from the configuration.
    ///
    /// # Errors
    /// Fails if a pattern is not a glob.
    pub fn from_config(config: &Config, lines_key: LinesKey) -> Result<Self, globset::Error> {
        let (rules, tools) = (&config.rules, ConfiguredLinters::from_config(config));
        let walkthrough = config.review.walkthrough;
        let ignore = compile_globs(&rules.ignored_paths)?;
        let ignore_patterns = rules.ignored_paths.clone();
        let tiers = Arc::new(TierRules::new(config.review.tiers.clone())?);
        let instructions = Arc::new(PathInstructions::new(config.review.instructions.clone())?);
        let (packs, off, severity) = (
            rules.packs.clone(),
            rules.disabled_rules.clone(),
            RuleSeverities::new(&rules.severity_overrides)?,
        );
        Ok(Self {
            packs,
            disabled_rules: off,
            severity,
            ignore_globs: ignore,
            ignore_patterns,
            tools,
            denied_repository_keys: config.denied_repository_keys().to_vec(),
            walkthrough,
            tiers,
            instructions,
            lines_key,
        })
    }

    /// If a severity is configured for the finding's rule, sets this severity.
    pub fn apply_severity_override(&self, raw: &mut RawFinding) {
        raw.severity = self.configured_severity(raw).unwrap_or(raw.severity);
    }

    /// Returns the severity that is configured for the finding's rule, if there is one.
    fn configured_severity(&self, raw: &RawFinding) -> Option<Severity> {
        self.severity.severity_for(&raw.rule, as_path(&raw.location.path))
    }

    /// Returns the patterns of ignored files that match none of the given files.
    pub fn unused_ignore_patterns<'a>(&self, files: impl IntoIterator<Item = &'a RepoPath>) -> Vec<String> {
        let mut used = vec![false; self.ignore_patterns.len()];
        for file in files {
            for index in self.ignore_globs.matches(as_path(file)) {
                if let Some(used) = used.get_mut(index) {
                    *used = true;
                }
            }
        }
        let idle = self.ignore_patterns.iter().zip(used).filter(|(_, used)| !used);
        idle.map(|(pattern, _)| pattern.clone()).collect()
    }
}

/// The result of reading a change.
#[derive(Clone, Debug, Default)]
pub struct ReadingOutcome {
    /// Findings, each with the location of its comment.
    pub findings: Vec<PlacedFinding>,
    /// The files that were reviewed, and the files that were not reviewed.
    pub coverage: ReviewCoverage,
    /// The names that files had at the base.
    pub renames: FileRenames,
    /// The results of rechecking the findings of earlier reviews.
    pub recheck_summary: RecheckSummary,
    /// Findings of rules that a comment suppresses.
    pub suppressed: Vec<PlacedFinding>,
    /// Suppression comments on added lines that suppress no finding.
    pub unused_suppressions: Vec<UnusedSuppression>,
    pub tools: Vec<ToolRunResult>,
}

impl ReadingOutcome {
    /// Returns all findings, including suppressed ones.
    pub fn all_findings(&self) -> Vec<PlacedFinding> {
        self.findings.iter().chain(&self.suppressed).cloned().collect()
    }

    /// Adds the results of the rules on files of another tree.
    pub fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.suppressed.extend(other.suppressed);
        self.unused_suppressions.extend(other.unused_suppressions);
        self.renames.extend(&other.renames);
        let ReviewCoverage { reviewed, not_reviewed, without_linter } = other.coverage;
        if let Some(paths) = without_linter {
            self.coverage.without_linter.get_or_insert_default().extend(paths);
        }
        self.coverage.reviewed.extend(reviewed);
        self.coverage.not_reviewed.extend(not_reviewed);
        self.coverage.not_reviewed.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// Adds digests of the omitted lines to the findings whose snippets omit lines. The lines are read from
    /// the files below `tree`.
    pub fn add_line_digests(&mut self, tree: &Path, key: &LinesKey) {
        let all = || self.findings.iter().chain(&self.suppressed);
        if !all().any(|placed| placed.raw.has_truncated_snippet()) {
            return;
        }
        let tree = FileTree::open(tree).ok();
        let mut contents: BTreeMap<RepoPath, Option<Vec<u8>>> = BTreeMap::new();
        for placed in self
            .findings
            .iter_mut()
            .chain(&mut self.suppressed)
            .filter(|placed| placed.raw.has_truncated_snippet())
        {
            let path = placed.raw.location.path.clone();
            let bytes = |path: &RepoPath| tree.as_ref()?.read_bytes(path).ok();
            let content = contents.entry(path).or_insert_with_key(bytes);
            placed.raw = placed.raw.clone().with_lines_digest(content.as_deref(), key);
        }
    }
}

/// The reason why a change could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    /// The diff is not in git's format.
    #[error("git's diff cannot be read at byte {byte} (line {line}): {message}")]
    Diff {
        /// Offset in the diff.
        byte: usize,
        /// Line of the diff, from 1.
        line: usize,
        /// A description of the fault.
        message: String,
    },
    #[error(transparent)]
    Reader(#[from] ReaderError),
}

/// The files of a change that a reader should read, and the reason why each other file should not be read.
#[derive(Debug, Default)]
pub struct ReadingPlan<'a> {
    files: Vec<FileDiff<'a>>,
    to_read: Vec<ChangedFile>,
    coverage: ReviewCoverage,
    /// Placeholders in the reader's tree that have the size of the original file, but not its content.
    placeholder_files: BTreeSet<RepoPath>,
    /// Changed files that belong to another plan.
    other_plan_files: Vec<RepoPath>,
}

/// Divides the changed files into files to read and files to skip.
///
/// # Errors
/// [`ReadingError::Diff`] if the diff is damaged: an incomplete diff is not reviewed.
pub fn plan_reading<'a>(
    change: &'a ReviewedChange,
    scope: &ReviewScope,
) -> Result<ReadingPlan<'a>, ReadingError> {
    let files = parse_change(change)?;
    let is_wanted = |path: &RepoPath| !scope.ignore_globs.is_match(as_path(path));
    let mut coverage = ReviewCoverage {
        reviewed: vec![],
        not_reviewed: change.omitted_files.clone(),
        ..ReviewCoverage::default()
    };
    // A file that the configuration ignores is recorded as ignored, so it does not count as missing.
    for gap in coverage.not_reviewed.iter_mut().filter(|gap| !is_wanted(&gap.path)) {
        gap.reason = SkipReason::Ignored;
    }
    let mut to_read: Vec<ChangedFile> = Vec::new();
    let undiffed = change.undiffed_paths();
    for file in &files {
        match skip_reason(file, scope) {
            // The diff contains no lines of this file, and `not_reviewed` already lists the file.
            None if undiffed.contains(&file.path) => {}
            Some(reason) => coverage.not_reviewed.push(CoverageGap { path: file.path.clone(), reason }),
            None => to_read.push(ChangedFile {
                path: file.path.clone(),
                old_path: file.old_path.clone(),
                added_lines: relevant_lines(file),
                secrets_only: binary_files::has_unknown_changes(file),
            }),
        }
    }
    to_read.extend(change.large_new_files.iter().filter(|path| is_wanted(path)).map(|path| ChangedFile {
        path: path.clone(),
        old_path: None,
        added_lines: vec![ALL_LINES],
        secrets_only: false,
    }));
    // A change of a file's type has two sections with the same path. The file at the head must be read and
    // reported only once. A given diff may also have several sections for a file, if several commits changed
    // the file.
    to_read.sort_by(|a, b| a.path.cmp(&b.path));
    to_read.dedup_by(|a, b| a.path == b.path);
    let is_read = |path: &RepoPath| to_read.binary_search_by(|file| file.path.cmp(path)).is_ok();
    coverage.not_reviewed.retain(|gap| !is_read(&gap.path));
    coverage.not_reviewed.sort_by(|a, b| a.path.cmp(&b.path));
    coverage.not_reviewed.dedup_by(|a, b| a.path == b.path);
    Ok(ReadingPlan { files, to_read, coverage, ..ReadingPlan::default() })
}

/// For each changed file that still exists, returns the lines on which findings count, as ascending ranges.
///
/// # Errors
/// [`ReadingError::Diff`]
pub fn relevant_lines_by_file(
    change: &ReviewedChange,
) -> Result<BTreeMap<RepoPath, Vec<(u32, u32)>>, ReadingError> {
    let mut lines: BTreeMap<RepoPath, Vec<(u32, u32)>> = BTreeMap::new();
    for file in parse_change(change)?.iter().filter(|file| file.status != FileStatus::Deleted) {
        lines.entry(file.path.clone()).or_default().extend(relevant_lines(file));
    }
    for path in &change.large_new_files {
        lines.insert(path.clone(), vec![ALL_LINES]);
    }
    Ok(lines)
}

fn parse_change(change: &ReviewedChange) -> Result<Vec<FileDiff<'_>>, ReadingError> {
    let parsed = parse(&change.diff);
    match parsed.error {
        Some(error) => Err(ReadingError::Diff {
            byte: error.byte_offset,
            line: error.line_number,
            message: error.message,
        }),
        None => Ok(parsed.files),
    }
}

impl<'a> ReadingPlan<'a> {
    /// Returns the diff's sections of the files.
    pub fn files(&self) -> &[FileDiff<'a>] {
        &self.files
    }

    /// Moves the files with these paths to a separate plan, because they are read in another tree.
    pub fn split_off(&mut self, paths: &[RepoPath]) -> Self {
        let (to_read, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.to_read).into_iter().partition(|file| paths.contains(&file.path));
        let is_taken = |path: &RepoPath| to_read.iter().any(|file| file.path == *path);
        let (files, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.files).into_iter().partition(|file| is_taken(&file.path));
        let names = |files: &[ChangedFile]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        let gaps = self.coverage.not_reviewed.iter().map(|gap| gap.path.clone());
        let elsewhere = names(&rest).into_iter().chain(gaps).collect();
        self.other_plan_files.extend(names(&to_read));
        (self.to_read, self.files) = (rest, others);
        Self { files, to_read, other_plan_files: elsewhere, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.to_read.is_empty()
    }

    /// Returns the paths of the files that the reader needs in its tree: the changed files, and other files
    /// that rules read together with the changed files.
    ///
    /// # Errors
    /// [`ReadingError::Reader`]
    #[truing_core::boxed_future]
    pub async fn required_paths(
        &self,
        scope: &ReviewScope,
        reader: &dyn RepositoryReader,
    ) -> Result<Vec<RepoPath>, ReadingError> {
        let mut paths = reader.companion_paths(&scope.packs, &self.to_read).await?;
        paths.extend(self.to_read.iter().map(|file| file.path.clone()));
        Ok(paths)
    }

    /// Enables the rules to check the size of new files that are too large to be written below `tree`.
    /// `oversized_files` contains the path and the size in bytes of each file. For each of these files that
    /// git treats as binary, a sparse file of the same size is created. If the file system does not support
    /// sparse files, the size is not checked.
    pub fn add_oversized_files(&mut self, oversized_files: &[(RepoPath, u64)], tree: &Path) {
        for (path, bytes) in oversized_files.iter().filter(|(path, _)| path.is_safe_to_write()) {
            let is_wanted = self.to_read.binary_search_by(|file| file.path.cmp(path)).is_ok();
            // No sparse file is created for a text file, because the rules would report the lines of the
            // sparse file. If the type of a file changed, the last section in the diff describes the current
            // file.
            let listed = self.files.iter().rfind(|file| file.path == *path);
            let is_binary = is_wanted && listed.is_some_and(|file| file.is_binary);
            let file = tree.join(as_path(path));
            let made = is_binary
                && file.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok())
                && std::fs::File::create_new(&file).is_ok_and(|file| file.set_len(*bytes).is_ok());
            if made {
                self.placeholder_files.insert(path.clone());
            }
        }
    }

    /// Records files that the reader should read but that are not in its tree, with the reasons. Other
    /// missing files are not recorded.
    pub fn add_unreviewed_files(&mut self, mut missing: Vec<CoverageGap>) {
        missing.retain(|gap| !self.placeholder_files.contains(&gap.path));
        let missed =
            |gap: &CoverageGap| self.to_read.binary_search_by(|file| file.path.cmp(&gap.path)).is_ok();
        missing.retain(missed);
        // A changed binary file over the size limit is not searched for secrets. As no other rule would check
        // the file either, its reason stays the one that git gives.
        for gap in missing.iter_mut().filter(|gap| gap.reason == SkipReason::TooLarge) {
            let index = self.to_read.binary_search_by(|file| file.path.cmp(&gap.path));
            if index.is_ok_and(|index| self.to_read.get(index).is_some_and(|file| file.secrets_only)) {
                gap.reason = SkipReason::Binary;
            }
        }
        let gone: BTreeSet<&RepoPath> = missing.iter().map(|gap| &gap.path).collect();
        self.to_read.retain(|file| !gone.contains(&file.path));
        self.coverage.not_reviewed.extend(missing);
    }

    /// Runs the reader on the files below `tree`, with the linters at the same time. Then parses the output
    /// of the linters, and determines the location of the comment for each finding.
    ///
    /// # Errors
    /// [`ReadingError::Reader`]
    pub fn read(
        self,
        tree: PathBuf,
        scope: &'a ReviewScope,
        reader: &'a dyn RepositoryReader,
        linters: Option<ReviewLinters<'a>>,
    ) -> BoxFuture<'a, Result<ReadingOutcome, ReadingError>> {
        Box::pin(async move {
            let Self { mut files, to_read, mut coverage, placeholder_files: _, other_plan_files: elsewhere } =
                self;
            files.sort_by(|a, b| a.path.cmp(&b.path));
            let gaps = coverage.not_reviewed.iter().map(|gap| gap.path.clone());
            let also_changed = elsewhere.into_iter().chain(gaps).collect();
            let (packs, off) = (scope.packs.clone(), scope.disabled_rules.clone());
            let request = ReadRequest { tree, files: to_read, also_changed, packs, disabled_rules: off };
            let of_diff = files.iter().flat_map(|file| [Some(&file.path), file.old_path.as_ref()]).flatten();
            let touched = of_diff.chain(request.files.iter().map(|file| &file.path));
            let touched: Vec<RepoPath> = touched.cloned().collect();
            // Linters do not read files that are searched only for secrets: all lines of such a file count as
            // changed, so a linter's finding could be about old content.
            let lintable: Vec<ChangedFile> =
                request.files.iter().filter(|file| !file.secrets_only).cloned().collect();
            let look = async {
                match linters {
                    Some(tooling) => {
                        let files = (lintable.as_slice(), touched.as_slice());
                        tooling.collect_outputs(&request.tree, files.0, files.1, &scope.tools, reader).await
                    }
                    None => Ok(LinterResults::default()),
                }
            };
            let (
                report,
                LinterResults {
                    outputs,
                    skipped_linters: skipped,
                    programs,
                    inspected_files,
                    unlinted_files: unlinted,
                    base_files,
                    run_folders: _folders,
                },
            ) = tokio::try_join!(reader.read(&request), look)?;
            coverage.reviewed = report.reviewed;
            coverage.not_reviewed.extend(report.not_reviewed);
            binary_files::mark_binary_source(&mut coverage.not_reviewed, &files, &request.tree);
            if let Some(tooling) = &linters {
                binary_files::mark_former_text_files(&mut coverage.not_reviewed, &files, tooling.base).await;
            }
            let cut: Vec<RepoPath> = coverage.files_with_dropped_findings().cloned().collect();
            coverage.reviewed.extend(cut);
            coverage.reviewed.sort();
            coverage.not_reviewed.sort_by(|a, b| a.path.cmp(&b.path));
            let place = |mut raw: RawFinding| {
                scope.apply_severity_override(&mut raw);
                // The reader's paths are untrusted, so findings on files that are not in the request are
                // dropped.
                let index = request.files.binary_search_by(|file| file.path.cmp(&raw.location.path)).ok()?;
                let old_path = request.files.get(index)?.old_path.clone();
                Some(place_finding(&files, raw, old_path))
            };
            let mut found: Vec<PlacedFinding> =
                report.findings.into_iter().map(redact_known_credentials).filter_map(place).collect();
            let suppressed =
                report.suppressed.into_iter().filter_map(|SuppressedFinding { finding, reason }| {
                    let placed = place(redact_known_credentials(finding))?;
                    let sighting = FindingFacts { suppressed: Some(reason), ..FindingFacts::default() };
                    Some(PlacedFinding { sighting, ..placed })
                });
            let suppressed = suppressed.collect();
            let mut renames = FileRenames::default();
            renames.add_diff(&files);
            let (mut tools, mut told_before) = (Vec::new(), ReportedFindings::default());
            let mut suggested_linters = BTreeSet::new();
            for mut printed in outputs {
                let version_note = printed.version_note.take();
                if printed.is_suggested() {
                    suggested_linters.insert(tool_name(&printed.output.tool));
                }
                // A linter that failed may have printed findings before the failure, so its output is read
                // unless it is empty.
                let is_silent =
                    printed.output.failure_reason.is_some() && printed.output.text.trim().is_empty();
                let (tool_findings, output) = if is_silent {
                    (ToolFindings::default(), printed.output)
                } else {
                    printed.read_findings(&request.tree, &lintable, reader).await?
                };
                add_runs(&mut tools, &tool_findings, &output, &request.disabled_rules);
                let own_name = tool_name(&output.tool);
                if let Some(run) = tools.iter_mut().find(|run| run.name == own_name) {
                    run.version_note = run.version_note.take().or(version_note);
                }
                told_before.begin_output();
                let is_off = |raw: &RawFinding| request.disabled_rules.contains(&raw.rule);
                let findings = tool_findings
                    .findings
                    .into_iter()
                    .filter(|raw| !is_off(raw) && told_before.record_if_new(raw));
                found.extend(findings.filter_map(place));
            }
            told_before.add_duplicate_rules(&mut found);
            BaseConfigFiles::record_in_runs(base_files, &mut tools);
            let looked = tools.iter().filter(|run: &&ToolRunResult| {
                run.failure_reason.is_none() && run.keeps_open.is_none() && run.skip_reason.is_none()
            });
            let looked: BTreeSet<String> = looked.map(|run| run.name.clone()).collect();
            for (name, paths) in unlinted {
                match tools.iter_mut().find(|run| run.name == name) {
                    Some(run) => run.unlinted = paths,
                    None => tools.push(ToolRunResult { name, unlinted: paths, ..ToolRunResult::default() }),
                }
            }
            tools.extend(skipped);
            let used_linters = linters.is_some_and(|linters| linters.linter_sources.needs_tree(&scope.tools));
            coverage.without_linter =
                used_linters.then(|| files_without_linter(&coverage.reviewed, &tools, &inspected_files));
            overlap::remove_repeated_suggestions(&mut found, &suggested_linters);
            let has_configured_severity = |raw: &RawFinding| scope.configured_severity(raw).is_some();
            let left_to_linters = overlap::remove_replaced_findings(&mut found, has_configured_severity);
            let rules = report.rules.into_iter().collect();
            let off = request.disabled_rules.iter().cloned().collect();
            let mut rechecked = RecheckSummary {
                applied_rules: rules,
                disabled_rules: off,
                rules_replaced_by_linters: left_to_linters,
                tools: looked,
                ..RecheckSummary::default()
            };
            // The reader that runs the rules does not know the rule ids of tools. The reader may therefore
            // report a suppression of such a rule as unknown; this report is ignored.
            let is_of_a_tool = |rule: &str| {
                rule.split_once('/').is_some_and(|(name, _)| tools.iter().any(|tool| tool.name == name))
            };
            let mut suppressions = report.suppressions;
            suppressions.retain(|idle| {
                idle.problem != UnusedSuppressionReason::UnknownRule || !is_of_a_tool(&idle.rule)
            });
            if let Some(tooling) = linters {
                let head = (request.tree.as_path(), &programs);
                let changes = (files.as_slice(), head);
                rechecked.base_fingerprints = tooling
                    .remove_base_findings(&mut found, &mut tools, changes.0, changes.1, &scope.tools, reader)
                    .await?;
            }
            let is_suggestion =
                |raw: &RawFinding| raw.tool().is_some_and(|tool| suggested_linters.contains(tool));
            suggestions::limit_suggestions(&mut found, &mut tools, is_suggestion);
            Ok(ReadingOutcome {
                findings: found,
                coverage,
                renames,
                recheck_summary: rechecked,
                suppressed,
                unused_suppressions: suppressions,
                tools,
            })
        })
    }
}

/// Returns the reviewed files that no linter checked. A linter whose output the caller supplied is judged by
/// the table of tools. If that does not list it, it may have checked every file.
fn files_without_linter(
    reviewed: &[RepoPath],
    tools: &[ToolRunResult],
    inspected_files: &BTreeMap<String, BTreeSet<RepoPath>>,
) -> Vec<RepoPath> {
    let mut unchecked: BTreeSet<&RepoPath> = reviewed.iter().collect();
    let has_run = |tool: &&ToolRunResult| tool.skip_reason.is_none() && tool.failure_reason.is_none();
    for tool in tools.iter().filter(has_run) {
        let known_tool = overlap::find_known_tool(&tool.name);
        if known_tool.is_some_and(KnownTool::is_of_any_language) {
            continue;
        }
        match (inspected_files.get(&tool.name), known_tool) {
            (Some(paths), _) => unchecked.retain(|path| !paths.contains(*path)),
            (None, Some(known_tool)) => {
                let globs = known_tool.path_globs();
                let inspects = |path: &str| globs.iter().any(|glob| glob.is_match(path));
                unchecked.retain(|path| !path.as_str().is_some_and(inspects));
            }
            (None, None) => unchecked.clear(),
        }
    }
    unchecked.into_iter().cloned().collect()
}

/// Adds the findings of an output to the results of the tools in this output. A tool whose findings are
/// incomplete counts as failed.
fn add_runs(
    runs: &mut Vec<ToolRunResult>,
    tool_findings: &ToolFindings,
    output: &ToolOutput,
    disabled_rules: &[String],
) {
    let (first, more) =
        tool_findings.problems.split_at(tool_findings.problems.len().min(MAX_LISTED_PROBLEMS));
    let failed = match (first, more.len()) {
        ([], _) => None,
        (first, 0) => Some(first.join("; ")),
        (first, more) => Some(format!("{}; and {}", first.join("; "), format_count(more, "more problem"))),
    };
    // If the program that ran the tool reports a failure, its reason takes precedence over the problems in
    // the tool's output.
    let is_empty = tool_findings.findings.is_empty()
        && tool_findings.outside_count == 0
        && tool_findings.suppressed == 0;
    let unnamed = output.unnamed.clone().filter(|_| is_empty);
    let failed = output.failure_reason.clone().or(unnamed).or(failed);
    let mut names = tool_findings.tools.clone();
    if names.is_empty() {
        names.insert(tool_name(&output.tool));
    }
    let counts =
        |raw: &&RawFinding, name: &str| raw.tool() == Some(name) && !disabled_rules.contains(&raw.rule);
    let of = |name: &String| tool_findings.findings.iter().filter(|raw| counts(raw, name)).count();
    for (at, name) in names.iter().enumerate() {
        let findings = u32::try_from(of(name)).unwrap_or(u32::MAX);
        // The output has only one total count for all of its tools, so this count is added to the first tool.
        let elsewhere = if at == 0 { tool_findings.outside_count } else { 0 };
        let before = runs.iter_mut().find(|run| run.name == *name);
        // A tool that examined a file in one of several runs was not skipped.
        let skip_reason = tool_findings
            .skip_reason
            .clone()
            .filter(|_| before.as_ref().is_none_or(|run| run.skip_reason.is_some()));
        let run = match before {
            Some(run) => run,
            None => {
                runs.push(ToolRunResult { name: name.clone(), ..ToolRunResult::default() });
                let Some(run) = runs.last_mut() else { return };
                run
            }
        };
        run.findings = run.findings.saturating_add(findings);
        run.outside_count = run.outside_count.saturating_add(elsewhere);
        run.failure_reason = run.failure_reason.take().or_else(|| failed.clone());
        run.keeps_open = run.keeps_open.take().or_else(|| tool_findings.keeps_open.clone());
        run.skip_reason = skip_reason.clone();
    }
}

/// Returns the lines of a changed file on which findings count. For a file that git treats as binary, such as
/// a file in UTF-16, git reports no lines. Findings on all lines of such a file count.
fn relevant_lines(file: &FileDiff<'_>) -> Vec<(u32, u32)> {
    if file.is_binary { vec![ALL_LINES] } else { added_ranges(file) }
}

fn as_path(path: &RepoPath) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

/// Returns the reason why a changed file is skipped; `None` if it is not skipped.
fn skip_reason(file: &FileDiff<'_>, scope: &ReviewScope) -> Option<SkipReason> {
    let by_status = match file.status {
        FileStatus::Deleted => Some(SkipReason::Deleted),
        FileStatus::ModeChanged => Some(SkipReason::Unchanged),
        FileStatus::Renamed | FileStatus::Copied if file.hunks.is_empty() && !file.is_binary => {
            Some(SkipReason::Unchanged)
        }
        FileStatus::Added
        | FileStatus::Modified
        | FileStatus::BinaryModified
        | FileStatus::Renamed
        | FileStatus::Copied => None,
    };
    if scope.ignore_globs.is_match(as_path(&file.path)) {
        Some(SkipReason::Ignored)
    } else if file.is_combined && file.status != FileStatus::Deleted {
        // Only a given diff can be a merge diff. Such a diff cannot be applied, because its lines do not come
        // from two versions alone.
        Some(SkipReason::DoesNotApply)
    } else if file.is_submodule() {
        Some(SkipReason::Submodule)
    } else if file.is_binary && file.status == FileStatus::Deleted {
        Some(SkipReason::Binary)
    } else if lfs::is_pointer(file) {
        Some(SkipReason::Lfs)
    } else if file.is_symlink() && file.status != FileStatus::Deleted {
        Some(SkipReason::Symlink)
    } else {
        by_status
    }
}
