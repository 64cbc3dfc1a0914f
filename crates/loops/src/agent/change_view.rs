//! Builds the view of a change that a model receives, and tracks which files the model has read.
//!
//! All content from the repository, and all text that people write at its forge, is untrusted data. The
//! prompt encloses this data in marks that the data cannot contain. The prompt contains the diffs of whole
//! files until a size limit is reached. For the other files, the prompt contains only the names, and the
//! model can read these files with tools. A file counts as reviewed only if the model saw or read it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};
use truing_agent::memory::LayeredMemory;
use truing_agent::native::{AgentRunInput, RunTools, ToolCallOutput};
use truing_agent::prompt::route::FilledPrompts;
use truing_agent::prompt::{PromptError, PromptValues};
use truing_agent::schema::MAX_FINDINGS;
use truing_core::finding::RawFinding;
use truing_core::id::Sha;
use truing_core::line;
use truing_core::outcome::{CoverageGap, ReviewCoverage, SkipReason};
use truing_core::port::PullRequest;
use truing_diff::RepoPath;
use truing_model::messages::ToolDefinition;
use truing_reader::tools::{DIFF_TOOL_NAME, TreeTool, answer_diff_call};

use super::ModelAgent;
use super::task::{BuiltPrompt, data_boundary};
use crate::reading::{ReadingOutcome, ReviewedChange};
use crate::telemetry;

/// Prefix of the names of repositories without a forge.
const LOCAL_REPOSITORY_PREFIX: &str = "local/";
/// Maximum size of the change in the first prompt, in bytes: about a quarter of a model's context.
const MAX_SHOWN_BYTES: usize = 160 << 10;
/// If the change of one file is larger than this number of bytes, the prompt does not show it. The model must
/// request such a change in parts.
const MAX_FILE_DIFF_BYTES: usize = 32 << 10;
const MAX_FILE_DIFF_LINES: usize = 700;
/// Maximum number of files that the prompt names without a diff. The same maximum applies to the known
/// findings in the prompt.
const MAX_LISTED_ENTRIES: usize = 500;
/// Maximum number of characters of a title and of a name.
const MAX_LINE_CHARS: usize = 300;
/// Maximum number of bytes of a description.
const MAX_DESCRIPTION_BYTES: usize = 8 << 10;

/// The author's description of a change, which is untrusted data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChangeDescription {
    /// Title of the pull request.
    pub title: String,
    /// Text of the pull request.
    pub description: String,
    /// The branch that contains the change.
    pub branch: String,
    /// The name of the repository at the forge, `owner/name`.
    pub repository: Option<String>,
}

impl ChangeDescription {
    /// Creates the description of a pull request.
    pub fn from_pull_request(pull: &PullRequest) -> Self {
        Self {
            title: pull.title.clone(),
            description: pull.description.clone(),
            branch: pull.branch.clone(),
            repository: pull.repository_name().map(str::to_owned),
        }
    }
}

/// The content of a review's prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReviewPromptInput<'a> {
    /// The change under review.
    pub(super) change: &'a ReviewedChange,
    /// The result of the rules.
    pub(super) rule_results: &'a ReadingOutcome,
    /// The author's description of the change.
    pub(super) change_description: &'a ChangeDescription,
    /// The key of the repository in the ledger.
    pub(super) repository: &'a str,
    /// The text about earlier reviews, if there were any.
    pub(super) earlier_reviews: Option<&'a EarlierReviewText>,
    /// The context from the repository and the operator, and the text of a specialist, if the prompt contains
    /// them.
    pub(super) memory: Option<(&'a LayeredMemory, Option<&'a str>)>,
    /// The findings that the change has to fix, if the change is a fix.
    pub(super) findings: Option<&'a str>,
    /// The dismissed findings, if the prompt contains them.
    pub(super) dismissed_findings: Option<&'a str>,
}

/// The text about earlier reviews of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EarlierReviewText {
    /// The commit that was reviewed last.
    pub(super) last_head: String,
    /// The commits and lines that were added after the last review.
    pub(super) later_changes: String,
    /// The findings that are open.
    pub(super) open_findings: String,
}

/// The diffs that fit into the prompt's size limit, and the names of all other files. Files without readable
/// text are also named, because a changed symbolic link is part of the change.
pub(crate) struct DiffExcerpt {
    /// The diffs of the shown files; each diff is complete.
    pub(crate) text: String,
    /// Names of files whose changes `text` does not contain.
    pub(crate) omitted_files: Vec<String>,
    /// The files whose change `text` shows.
    pub(super) shown_paths: BTreeSet<RepoPath>,
}

impl DiffExcerpt {
    /// Builds the excerpt from the files that were read.
    pub(crate) fn new(change: &ReviewedChange, reading: &ReadingOutcome) -> Self {
        let mut shown_paths = BTreeSet::new();
        let (mut text, mut omitted_files) = (String::new(), Vec::new());
        for path in &reading.coverage.reviewed {
            let reply = answer_diff_call(&change.diff, &json!({ "path": path.to_string() }));
            let is_whole = !reply.is_error
                && reply.text.len() < MAX_FILE_DIFF_BYTES
                && reply.text.lines().count() < MAX_FILE_DIFF_LINES
                && text.len() + reply.text.len() <= MAX_SHOWN_BYTES;
            if is_whole {
                text.push_str(&reply.text);
                text.push('\n');
                shown_paths.insert(path.clone());
            } else {
                omitted_files.push(line::clean_line(&path.to_string(), MAX_LINE_CHARS));
            }
        }
        let unread = reading.coverage.unread_files().filter(|gap| gap.reason != SkipReason::Ignored);
        omitted_files.extend(unread.map(|CoverageGap { path, reason }| {
            let why = reason.as_str().replace('_', " ");
            format!("{} ({why})", line::clean_line(&path.to_string(), MAX_LINE_CHARS))
        }));
        let more = omitted_files.len().saturating_sub(MAX_LISTED_ENTRIES);
        omitted_files.truncate(MAX_LISTED_ENTRIES);
        omitted_files.extend(
            (more > 0).then(|| format!("and {more} more: `{DIFF_TOOL_NAME}` without a path names them")),
        );
        Self { text, omitted_files, shown_paths }
    }
}

/// Returns the name of a repository as the model sees it. If a path on this machine identifies the
/// repository, only the name of its folder is returned.
fn hide_local_repository_path(repository: &str) -> String {
    let Some(place) = repository.strip_prefix(LOCAL_REPOSITORY_PREFIX) else { return repository.to_owned() };
    let is_elsewhere = place.contains("://") && !place.starts_with("file:");
    let name = if is_elsewhere { place } else { place.rsplit('/').next().unwrap_or_default() };
    format!("{LOCAL_REPOSITORY_PREFIX}{name}")
}

/// Builds the first prompt of a run. Also returns the files whose change the prompt contains.
///
/// # Errors
/// [`PromptError`], if the operator's own prompts require other values.
pub(super) fn build_first_prompt(
    agent: &ModelAgent,
    prompt_names: (&str, &str),
    input: ReviewPromptInput<'_>,
) -> Result<(BuiltPrompt, BTreeSet<RepoPath>), PromptError> {
    let ReviewPromptInput {
        change,
        rule_results,
        change_description: subject,
        repository,
        earlier_reviews,
        memory,
        findings,
        dismissed_findings: dismissed,
    } = input;
    let DiffExcerpt { text: diffs, omitted_files, shown_paths } = DiffExcerpt::new(change, rule_results);
    let found = rule_results.findings.iter().chain(&rule_results.suppressed).map(|placed| &placed.raw);
    let known: Vec<String> = found.take(MAX_LISTED_ENTRIES).map(render_finding_line).collect();
    let head = change.head.as_ref().map_or("working-tree", Sha::as_str);
    let end = subject.description.floor_char_boundary(MAX_DESCRIPTION_BYTES);
    let description = subject.description.get(..end).unwrap_or_default();
    let task = PromptValues::default()
        .with_value("repository", hide_local_repository_path(repository))
        .with_value("title", line::truncate_text(subject.title.clone(), MAX_LINE_CHARS))
        .with_value("description", description)
        .with_value("branch", line::truncate_text(subject.branch.clone(), MAX_LINE_CHARS))
        .with_value("head", head)
        .with_value("base", change.base.as_str())
        .with_value("diff", diffs)
        .with_value("not_shown", omitted_files.join("\n"))
        .with_value("known", known.join("\n"));
    let system = PromptValues::default()
        .with_value("max_turns", agent.limits.turns.to_string())
        .with_value("max_findings", MAX_FINDINGS.to_string());
    let (task, findings) = match findings {
        Some(findings) => (task.with_value("findings", findings), findings),
        None => (task, ""),
    };
    let (task, dismissed) = match dismissed {
        Some(dismissed) => (task.with_value("dismissed", dismissed), dismissed),
        None => (task, ""),
    };
    let (memory, part) = memory.unzip();
    let (skills, part) = (memory.map(LayeredMemory::render_skill_list).unwrap_or_default(), part.flatten());
    let task = match memory {
        Some(memory) => task
            .with_value("instructions", memory.operator_text.as_str())
            .with_value("memory", memory.memory_text.as_str())
            .with_value("skills", skills.as_str()),
        None => task,
    };
    let task = match part {
        Some(part) => task.with_value("specialist", part),
        None => task,
    };
    let task = match earlier_reviews {
        Some(EarlierReviewText { last_head, later_changes, open_findings: open }) => task
            .with_value("last_head", last_head.as_str())
            .with_value("landed", later_changes.as_str())
            .with_value("open_findings", open.as_str()),
        None => task,
    };
    let (memory, part) = (memory.map_or("", |memory| &memory.memory_text), part.unwrap_or_default());
    let texts =
        [subject.title.as_str(), description, &subject.branch, findings, dismissed, memory, &skills, part];
    let earlier_texts = earlier_reviews.into_iter().flat_map(|earlier_reviews| {
        [earlier_reviews.later_changes.as_bytes(), earlier_reviews.open_findings.as_bytes()]
    });
    let data = std::iter::once(change.diff.as_slice()).chain(texts.map(str::as_bytes)).chain(earlier_texts);
    let fence = data_boundary(data)?;
    let filled = agent.prompts.fill_prompts(prompt_names.0, prompt_names.1, &system, &task, &fence)?;
    let FilledPrompts { system, task, hash } = filled;
    Ok((
        BuiltPrompt {
            run_input: AgentRunInput { model: agent.model.clone(), system_prompt: system, review_text: task },
            prompt_hash: hash,
        },
        shown_paths,
    ))
}

/// Formats a finding on one line.
fn render_finding_line(raw: &RawFinding) -> String {
    let (path, line) = (raw.location.path.to_string(), raw.location.start_line);
    format!(
        "{}:{line}: {}",
        line::clean_line(&path, MAX_LINE_CHARS),
        line::clean_line(&raw.title, MAX_LINE_CHARS)
    )
}

/// Wraps the tools of a model and records which files the model has read.
pub(crate) struct ViewTrackingTools<'a> {
    tools: &'a dyn RunTools,
    viewed_paths: Mutex<BTreeSet<RepoPath>>,
}

impl<'a> ViewTrackingTools<'a> {
    /// Creates the tools. `shown_paths` contains the files whose change the prompt shows.
    pub(crate) fn new(tools: &'a dyn RunTools, shown_paths: BTreeSet<RepoPath>) -> Self {
        Self { tools, viewed_paths: Mutex::new(shown_paths) }
    }

    /// Returns the changed files that the model has neither seen in the prompt nor read.
    pub(crate) fn unseen_files(&self, coverage: &ReviewCoverage) -> Vec<String> {
        let seen = self.viewed_paths.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = coverage.reviewed.iter().filter(|path| !seen.contains(path));
        unseen
            .map(|path| line::clean_line(&path.to_string(), MAX_LINE_CHARS))
            .take(MAX_LISTED_ENTRIES)
            .collect()
    }

    /// Returns the files whose change the model has seen.
    pub(super) fn seen_files(&self) -> BTreeSet<RepoPath> {
        self.viewed_paths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Marks the files that are not in `viewed_paths` as not reviewed.
pub(super) fn mark_unseen_files(viewed_paths: &BTreeSet<RepoPath>, coverage: &mut ReviewCoverage) {
    let unseen = coverage.reviewed.extract_if(.., |path| !viewed_paths.contains(path));
    let unseen = unseen.map(|path| CoverageGap { path, reason: SkipReason::NotShown });
    coverage.not_reviewed.extend(unseen);
    coverage.not_reviewed.sort_by(|a, b| a.path.cmp(&b.path));
}

#[async_trait]
impl RunTools for ViewTrackingTools<'_> {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        self.tools.tool_definitions()
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        let step = telemetry::start_tool_span(name, input);
        let output = self.tools.call(name, input).await;
        step.record_output(&output.text, output.is_error);
        drop(step);
        let looks = name == DIFF_TOOL_NAME || name == TreeTool::Read.name();
        if let (true, false, Some(path)) = (looks, output.is_error, input.get("path").and_then(Value::as_str))
        {
            let path = RepoPath::from_bytes(path.as_bytes());
            self.viewed_paths.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_whose_text_is_not_shown_are_named_with_the_reason_but_those_that_nobody_wants() {
        let base = Sha::parse(&"1".repeat(40)).unwrap();
        let change = ReviewedChange {
            base,
            head: None,
            diff: Vec::new(),
            omitted_files: Vec::new(),
            large_new_files: Vec::new(),
            index_content_paths: Vec::new(),
        };
        let reasons = [
            ("logo.png", SkipReason::Binary),
            ("latest", SkipReason::Symlink),
            ("vendor/lib", SkipReason::Submodule),
            ("run.sh", SkipReason::Unchanged),
            ("gone.py", SkipReason::Deleted),
            ("big.sql", SkipReason::TooLarge),
            ("ours.lock", SkipReason::Ignored),
        ];
        let gap = |(path, reason): (&str, SkipReason)| CoverageGap {
            path: RepoPath::from_bytes(path.as_bytes()),
            reason,
        };
        let not_reviewed = reasons.into_iter().map(gap).collect();
        let coverage = ReviewCoverage { reviewed: Vec::new(), not_reviewed, ..ReviewCoverage::default() };
        let reading = ReadingOutcome { coverage, ..ReadingOutcome::default() };
        let DiffExcerpt { omitted_files, shown_paths, .. } = DiffExcerpt::new(&change, &reading);
        let told = reasons
            .into_iter()
            .take(6)
            .map(|(path, reason)| format!("{path} ({})", reason.as_str().replace('_', " ")));
        assert_eq!(omitted_files, told.collect::<Vec<_>>());
        assert!(shown_paths.is_empty());
    }
}
