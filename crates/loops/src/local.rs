//! The review loop of a local repository: the same steps as for a pull request, but without a slot and a
//! forge.
//!
//! [`LocalReviewRequest::run`] is the list of steps. The working tree is read in its own folder. A named
//! commit or the index is read from a private copy. Nothing in the repository changes. Findings and the
//! outcome are recorded in the user's own records, which also contain the ids and dismissals of earlier
//! findings. If recording fails, the review still succeeds, with a warning.

use futures_util::future::BoxFuture;
use opentelemetry::trace::FutureExt as _;
use truing_core::branch_name::is_branch_name;
use truing_core::finding::{Finding, FindingSource};
use truing_core::id::{RunId, Sha, SlotKey, UnixMillis};
use truing_core::outcome::{ReviewCoverage, ReviewDetail, ReviewRecord};
use truing_core::port::{Clock, PullRevision, RepositoryReader};
use truing_core::tier::Tier;
use truing_diff::RepoPath;
use truing_git::{ExportSummary, GitError, LocalRepository};

use super::agent::{
    self, AgentError, ChangeDescription, ContextSources, GatedModelAgent, ModelReviewOptions,
    ModelReviewRequest, ModelReviewRun, ReviewContext, ReviewTree,
};
use super::attempts::{AttemptRegistry, ReviewAttempt};
use super::compare::{BaseOrigin, ComparisonRequest, HeadSource};
use super::earlier_reviews::EarlierReviews;
use super::finding_storage::{
    BranchCommits, FindingStorage, FindingsByStatus, PriorFindings, RecordOpener, encode_name,
};
use super::head_comparison;
use super::ignores;
use super::patched_files;
use super::reading::{self, ReadingError, ReadingOutcome, ReviewScope, ReviewedChange};
use crate::budget::repository_name_from_url;
use crate::converge;
use crate::instructions::add_instructions;
use crate::machine::new_run_id;
use crate::telemetry;
use crate::tools::{BaseCommit, LinterSources, ReviewLinters};

/// Maximum length, in bytes, of a remote URL that identifies a repository.
const MAX_URL_BYTES: usize = 1024;

/// A local repository, and all other inputs of its review.
pub struct LocalReviewRequest<'a> {
    /// The repository under review.
    pub repository: &'a LocalRepository,
    /// The base commit as the user named it. If it is `None`, a base is selected as [`BaseOrigin`] describes.
    pub base: Option<&'a str>,
    /// The state that is reviewed.
    pub head: HeadSource<'a>,
    /// The head as the user named it, if the head is a commit.
    pub head_name: Option<&'a str>,
    /// The commit whose files instruct a model; `None` for the working tree.
    pub config_commit: Option<&'a Sha>,
    /// The files and rules to review.
    pub scope: &'a ReviewScope,
    /// The isolated processes that parse repository bytes.
    pub reader: &'a dyn RepositoryReader,
    /// Linters whose findings are part of the review.
    pub linter_sources: &'a LinterSources,
    /// The model that reviews in addition to the rules; none if only the rules review.
    pub model: Option<GatedModelAgent<'a>>,
    /// Registry that lists the review as long as it may call a model.
    pub attempts: &'a AttemptRegistry,
    /// Opens the records when the first result has to be recorded.
    pub record_opener: RecordOpener,
    pub clock: &'a dyn Clock,
}

/// The kind of the head that was reviewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeadKind {
    /// The head was [`HeadSource::WorkingTree`].
    WorkingTree,
    /// The head was [`HeadSource::Commit`].
    Commit,
    /// The head was [`HeadSource::Index`].
    Index,
    /// The head was [`HeadSource::Diff`].
    Diff,
}

impl From<HeadSource<'_>> for HeadKind {
    fn from(head: HeadSource<'_>) -> Self {
        match head {
            HeadSource::WorkingTree => Self::WorkingTree,
            HeadSource::Commit(_) => Self::Commit,
            HeadSource::Index(_) => Self::Index,
            HeadSource::Diff(_) => Self::Diff,
        }
    }
}

/// The outcome of a local review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalReviewOutcome {
    /// The record of the review, including its end.
    pub record: ReviewRecord,
    /// The kind of head that was reviewed.
    pub head_kind: HeadKind,
    /// The way in which the base was selected.
    pub base_origin: BaseOrigin,
    /// The findings, grouped by status.
    pub findings: FindingsByStatus,
    /// The reason why the results are not recorded, although they should be.
    pub unrecorded_reason: Option<String>,
}

/// The reason why a review failed.
#[derive(Debug, thiserror::Error)]
pub enum LocalReviewError {
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The change could not be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// The model's part of the review failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// No temporary folder could be created for the files of the commit.
    #[error("cannot create a temporary folder: {0}")]
    TemporaryFolder(#[from] std::io::Error),
}

impl LocalReviewRequest<'_> {
    /// Reviews the difference between base and head.
    ///
    /// # Errors
    /// [`LocalReviewError`]
    #[truing_core::boxed_future]
    pub async fn run(&self) -> Result<LocalReviewOutcome, LocalReviewError> {
        let started = self.clock.now();
        let checked_out = self.repository.head_if_any();
        let key = repository_key(self.repository);
        let comparing = ComparisonRequest { repository: self.repository, base: self.base, head: self.head };
        let (change, against) = comparing.compare(checked_out).await?;
        let run = new_run_id();
        let name = self.repository.origin_url().and_then(repository_name_from_url);
        let trace = telemetry::start_review_trace(&run, &key, name.as_deref(), None);
        let reviewed =
            self.review(run, key, change, against, checked_out, started).with_context(trace.clone());
        let reviewed = reviewed.await;
        if let Err(error) = &reviewed {
            telemetry::record_failure(&trace, &error.to_string());
        }
        reviewed
    }

    /// Reviews a change with the given run id.
    async fn review(
        &self,
        run: RunId,
        key: SlotKey,
        change: ReviewedChange,
        base_origin: BaseOrigin,
        checked_out_commit: Option<&Sha>,
        started_at: UnixMillis,
    ) -> Result<LocalReviewOutcome, LocalReviewError> {
        // A state without a commit has no commit id, so the run is recorded under the id of the commit that
        // is checked out.
        let filed =
            change.head.clone().or_else(|| checked_out_commit.cloned()).unwrap_or(change.base.clone());
        telemetry::record_head(filed.as_str());
        let name = self.line_of_work(checked_out_commit).await?;
        let branch = match &name {
            Some(name) => line_of_work_branch(name).to_owned(),
            None => converge::local::checked_out_branch(self.repository).await?,
        };
        let branch = branch_key(self.repository, &branch);
        let line = match name {
            Some(name) => {
                let commits = match change.head.as_ref().or(checked_out_commit) {
                    // If the base is a tree and not a commit, there are no commits to list.
                    Some(head) => self.repository.commits_since(&change.base, head).await.unwrap_or_default(),
                    None => Vec::new(),
                };
                Some(BranchCommits { name, commits: commits.into_iter().collect() })
            }
            None => None,
        };
        // If a known finding of a rule is not found again, it is not marked as fixed here. The finding may be
        // on another branch or outside the compared files.
        let memory = FindingStorage {
            record_opener: self.record_opener.clone(),
            service_key: None,
            fixed_in_commit: None,
            branch_commits: line.as_ref(),
            branch_key: Some(&branch),
            clock: self.clock,
        };
        let (earlier, unknown_reason) = match &line {
            Some(line) => {
                let recalled = memory.load_prior_findings(&key).await;
                let PriorFindings { findings, mut other_branch_findings, unknown_reason, revision: _ } =
                    recalled;
                // If a rule or a linter reported a finding at this commit, but the commit lacks the finding's
                // lines, these lines were in the working tree. This review cannot determine whether the
                // finding is fixed there.
                if let HeadSource::Commit(head) = self.head {
                    let is_seen_here = |finding: &&Finding| {
                        finding.raw.source != FindingSource::Agent
                            && finding.is_open()
                            && finding.seen_on.iter().any(|on| on.line == line.name && on.commit == *head)
                    };
                    let seen = findings.iter().filter(is_seen_here);
                    other_branch_findings.extend(seen.map(|finding| finding.id.clone()));
                }
                let earlier = earlier_reviews(findings, &line.name);
                let later_changes = match &earlier.last_reviewed_head {
                    Some(last) if self.model.is_some() => self.describe_later_changes(&change, last).await,
                    Some(_) | None => UNKNOWN_LATER_CHANGES.to_owned(),
                };
                (EarlierReviews { other_branch_findings, later_changes, ..earlier }, unknown_reason)
            }
            None => Default::default(),
        };
        let asking = match &self.model {
            Some(model) => {
                let name = self.repository.origin_url().and_then(repository_name_from_url);
                let budgets = &model.agent.budgets;
                let budget =
                    budgets.review_budget(run.clone(), &key, filed.as_str(), name.as_deref(), started_at);
                let recalled = self.load_memory(&model.agent.sources).await?;
                let recalled = add_instructions(recalled, self.scope, name.as_deref(), &change);
                let revision = PullRevision { head: filed.clone(), base: change.base.clone() };
                let (run, key) = (run.clone(), key.clone());
                let runtime = model.agent.review_runtime();
                self.attempts.register_attempt(ReviewAttempt { run, key, revision, started_at, runtime });
                let description = (ChangeDescription::default(), recalled);
                let form = ModelReviewOptions {
                    has_walkthrough: self.scope.walkthrough,
                    has_specialists: self.scope.tiers.default_tier() == Tier::Deep,
                };
                Some(model.review_request(budget, description.0, description.1, form, started_at))
            }
            None => None,
        };
        let (reading, part) = self.read_and_review(&change, asking, &earlier).await?;
        let found = reading.all_findings();
        let ReadingOutcome {
            coverage,
            renames,
            recheck_summary: rechecked,
            unused_suppressions: suppressions,
            tools,
            ..
        } = reading;
        let outcome = agent::review_outcome(&coverage, part.as_ref()).with_tool_results(&tools);
        let outcome = outcome.with_findings_read_error(unknown_reason.as_deref());
        let detail = ReviewDetail {
            unused_ignore_patterns: self.unused_ignore_patterns(&coverage).await,
            coverage,
            unused_suppressions: suppressions,
            tools,
            ..ReviewDetail::new(change.head.clone(), change.base.clone(), outcome)
        };
        let begun = ReviewRecord {
            versions: super::program_versions(),
            ..ReviewRecord::new(run, key, detail, started_at)
        };
        let mut record =
            ReviewRecord { ended_at: self.clock.now(), ..begun }.with_model_review(agent::model_review(part));
        telemetry::record_review(&record);
        let found = (found.as_slice(), &renames, &rechecked);
        let (kept, unrecorded) = memory.record_findings(found, &mut record, &filed).await;
        self.attempts.remove_attempt(&record.run);
        Ok(LocalReviewOutcome {
            record,
            head_kind: self.head.into(),
            base_origin,
            findings: kept,
            unrecorded_reason: unrecorded,
        })
    }

    /// Describes for a model the changes since the commit of the last review. The last review may have been
    /// of a working tree at this commit.
    async fn describe_later_changes(&self, change: &ReviewedChange, last_reviewed_head: &Sha) -> String {
        let comparing = ComparisonRequest { repository: self.repository, base: None, head: self.head };
        match comparing.change_since(last_reviewed_head.clone()).await {
            Ok(since) => {
                let diff = head_comparison::render_later_diff(change, &since.diff);
                let diff_text =
                    if diff.is_empty() { " Nothing has changed since this commit." } else { &diff };
                format!(
                    "The last review was of commit {}, or of a working tree at it: lines that are new since \
                     the commit may have been reviewed.{diff_text}",
                    last_reviewed_head.short_sha()
                )
            }
            // The commit may no longer exist.
            Err(_) => UNKNOWN_LATER_CHANGES.to_owned(),
        }
    }

    /// Returns the patterns of `rules.ignore` that match no file of the reviewed state.
    async fn unused_ignore_patterns(&self, coverage: &ReviewCoverage) -> Vec<String> {
        let list = async {
            match self.head {
                HeadSource::Commit(head) => {
                    let files = self.repository.list_files(head, &[]).await?;
                    Ok::<Vec<RepoPath>, GitError>(files.into_iter().map(|file| file.path).collect())
                }
                HeadSource::WorkingTree | HeadSource::Index(_) | HeadSource::Diff(_) => {
                    self.repository.worktree_files().await
                }
            }
        };
        ignores::unused_patterns(self.scope, coverage, list).await
    }

    /// Returns the repository's context for a model.
    async fn load_memory(&self, sources: &ContextSources) -> Result<ReviewContext, GitError> {
        match self.config_commit {
            Some(commit) => {
                let memory = sources.read_commit(self.repository, Some(commit)).await?;
                Ok(ReviewContext { memory, repository_source: format!("commit {}", commit.short_sha()) })
            }
            None => {
                let memory = sources.read_working_tree(self.repository.root());
                Ok(ReviewContext { memory, repository_source: "the working tree".to_owned() })
            }
        }
    }

    /// Returns the name of the line of work that the review's findings belong to. A line of work is a
    /// checked-out branch, the index on a branch, or a single commit that is not the tip of a named branch. A
    /// given diff has no line of work, so `None` is returned.
    async fn line_of_work(&self, checked_out_commit: Option<&Sha>) -> Result<Option<String>, GitError> {
        let here = async || -> Result<String, GitError> {
            Ok(match (self.repository.current_branch().await?, checked_out_commit) {
                (Some(branch), _) => format!("branch {branch}"),
                (None, Some(commit)) => format!("commit {commit}"),
                (None, None) => "no branch".to_owned(),
            })
        };
        Ok(match self.head {
            HeadSource::WorkingTree => Some(here().await?),
            HeadSource::Index(_) => Some(format!("index of {}", here().await?)),
            HeadSource::Diff(_) => None,
            HeadSource::Commit(commit) if checked_out_commit == Some(commit) => Some(here().await?),
            HeadSource::Commit(commit) => {
                let named = self.head_name.filter(|name| is_branch_name(name));
                let tip = match named {
                    Some(name) => self.repository.branch_tip(name).await?,
                    None => None,
                };
                match (named, tip) {
                    (Some(name), Some(tip)) if tip == *commit => Some(format!("branch {name}")),
                    _ => Some(format!("commit {commit}")),
                }
            }
        })
    }

    /// Runs the reader on the changed files, in the working tree or in a temporary folder.
    async fn read_and_review(
        &self,
        change: &ReviewedChange,
        model_request: Option<ModelReviewRequest<'_>>,
        earlier: &EarlierReviews,
    ) -> Result<(ReadingOutcome, Option<ModelReviewRun>), LocalReviewError> {
        let mut plan = reading::plan_reading(change, self.scope)?;
        let project = Some(self.repository.root());
        let base = BaseCommit::Repository(self.repository, &change.base);
        let tooling = ReviewLinters {
            linter_sources: self.linter_sources,
            project_programs_folder: project,
            trust: None,
            base,
        };
        if let HeadSource::WorkingTree = self.head {
            let tree = self.repository.root();
            let unseen = plan.split_off(&change.index_content_paths);
            let reading = plan.read(tree.to_owned(), self.scope, self.reader, Some(tooling));
            let mut reading = reading.await?;
            if !unseen.is_empty() {
                reading.add(read_index(unseen, self.repository, self.scope, self.reader).await?);
            }
            let files = match model_request {
                Some(_) => self.repository.worktree_files().await?,
                None => Vec::new(),
            };
            let place = ReviewTree { tree, visible_paths: Some(&files) };
            let part =
                agent::run_model_review(model_request, change, place, self.reader, earlier, &mut reading)
                    .await?;
            reading.add_line_digests(tree, &self.scope.lines_key);
            return Ok((reading, part));
        }
        let mut paths = plan.required_paths(self.scope, self.reader).await?;
        paths.extend(earlier.recheck_paths());
        // All files are exported if a model or a linter runs: both may read every file, and a linter's output
        // may name any file.
        let is_all = model_request.is_some() || self.linter_sources.needs_tree(&self.scope.tools);
        let only = if is_all { None } else { Some(paths.as_slice()) };
        let (folder, exported) = match (self.head, only) {
            (HeadSource::Commit(head), None) => self.repository.export_all(head).await?,
            (of, only) => {
                let folder = truing_git::PrivateFolder::new()?;
                let exported = match of {
                    HeadSource::WorkingTree => ExportSummary::default(),
                    HeadSource::Commit(head) => self.repository.export(head, folder.path(), only).await?,
                    HeadSource::Index(index) => index.export(folder.path(), only).await?,
                    HeadSource::Diff(_) => {
                        let index = truing_git::PrivateFolder::new()?;
                        let unseen = self.repository.unchecked_tracked_files().await?;
                        let named =
                            plan.files().iter().flat_map(|file| [Some(&file.path), file.old_path.as_ref()]);
                        let unseen: Vec<RepoPath> = named
                            .flatten()
                            .chain(&paths)
                            .filter(|path| unseen.contains(*path))
                            .cloned()
                            .collect();
                        if !unseen.is_empty() {
                            self.repository
                                .snapshot_index(None)
                                .await?
                                .export(index.path(), Some(&unseen))
                                .await?;
                        }
                        let source = patched_files::DiffSourceFolders {
                            root: self.repository.root(),
                            index: index.path(),
                        };
                        let left_out =
                            patched_files::write_patched_files(plan.files(), &paths, source, folder.path())
                                .await?;
                        ExportSummary { omitted_files: left_out, ..ExportSummary::default() }
                    }
                };
                (folder, exported)
            }
        };
        let ExportSummary { omitted_files: left_out, oversized_files: too_large, .. } = exported;
        plan.add_oversized_files(&too_large, folder.path());
        plan.add_unreviewed_files(left_out);
        let tree = folder.path().to_owned();
        let mut reading = plan.read(tree, self.scope, self.reader, Some(tooling)).await?;
        let place = ReviewTree { tree: folder.path(), visible_paths: None };
        let part =
            agent::run_model_review(model_request, change, place, self.reader, earlier, &mut reading).await?;
        reading.add_line_digests(folder.path(), &self.scope.lines_key);
        Ok((reading, part))
    }
}

/// Runs the rules on the files that git does not read from the working tree: their content in the index is
/// reviewed ([`ReviewedChange::index_content_paths`]). Linters and models do not see this content.
///
/// # Errors
/// [`LocalReviewError`]
pub fn read_index<'a>(
    mut plan: reading::ReadingPlan<'a>,
    repository: &'a LocalRepository,
    scope: &'a ReviewScope,
    reader: &'a dyn RepositoryReader,
) -> BoxFuture<'a, Result<ReadingOutcome, LocalReviewError>> {
    Box::pin(async move {
        let paths = plan.required_paths(scope, reader).await?;
        let folder = truing_git::PrivateFolder::new()?;
        let index = repository.snapshot_index(None).await?;
        let ExportSummary { omitted_files: left_out, oversized_files: too_large, .. } =
            index.export(folder.path(), Some(&paths)).await?;
        plan.add_oversized_files(&too_large, folder.path());
        plan.add_unreviewed_files(left_out);
        let mut reading = plan.read(folder.path().to_owned(), scope, reader, None).await?;
        reading.add_line_digests(folder.path(), &scope.lines_key);
        Ok(reading)
    })
}

/// Returns the key that identifies a repository in records. The key is the URL that the repository was cloned
/// from, which all clones and worktrees of one person share. If there is no usable URL, the key contains the
/// path of the repository's main working tree.
pub fn repository_key(repository: &LocalRepository) -> SlotKey {
    let remote = repository.origin_url();
    let name = remote.filter(|url| url.len() <= MAX_URL_BYTES && is_absolute(url));
    let name =
        name.map_or_else(|| repository.main_worktree_root().as_os_str().as_encoded_bytes(), str::as_bytes);
    SlotKey::new(format!("local/{}", encode_name(name).trim_start_matches('/')))
}

/// Returns the key under which people's verdicts on findings of a branch are recorded;
/// [`converge::local::checked_out_branch`] returns the branch name.
pub fn branch_key(repository: &LocalRepository, branch: &str) -> SlotKey {
    SlotKey::new(format!("{}@{}", repository_key(repository), encode_name(branch.as_bytes())))
}

/// Returns the name of the branch in the name of a line of work, in the form of
/// [`converge::local::checked_out_branch`].
fn line_of_work_branch(line_of_work: &str) -> &str {
    let line = line_of_work.strip_prefix("index of ").unwrap_or(line_of_work);
    line.strip_prefix("branch ").unwrap_or(converge::local::DETACHED_HEAD_NAME)
}

/// Text for a model if the state that was last reviewed is unknown.
const UNKNOWN_LATER_CHANGES: &str = "A comparison is impossible: the last reviewed state is unknown. \
     Compare with the lines of the open findings.";

/// Returns the results of earlier reviews of a line of work, without the changes since then.
fn earlier_reviews(known_findings: Vec<Finding>, line_of_work: &str) -> EarlierReviews {
    let of_a_model = known_findings.iter().filter(|finding| finding.raw.source == FindingSource::Agent);
    let mut seen = of_a_model.flat_map(|finding| &finding.seen_on).filter(|on| on.line == line_of_work);
    let head = seen.next_back().map(|on| on.commit.clone());
    EarlierReviews { known_findings, last_reviewed_head: head, ..EarlierReviews::default() }
}

/// True if the URL of a remote is absolute. A relative URL such as `../upstream` names a different repository
/// in each folder.
fn is_absolute(url: &str) -> bool {
    url.starts_with('/') || url.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_that_mean_the_same_everywhere_name_a_repository() {
        for url in ["https://h/x", "git@h:x", "/srv/x.git", "file:///srv/x"] {
            assert!(is_absolute(url), "{url}");
        }
        for url in ["../x", "x.git", "", "."] {
            assert!(!is_absolute(url), "{url}");
        }
    }
}
