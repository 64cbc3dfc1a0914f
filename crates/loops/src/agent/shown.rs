//! What a model is shown of a change, and which files it has looked at.
//!
//! Everything that comes from the repository or from people on its forge is data, between marks that it cannot contain.
//! The diffs of the changed files are shown as long as there is room, whole files at a time; the others are named, and
//! the model can look at them. What it was not shown and did not look at is not called reviewed.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};
use truing_agent::memory::LayeredMemory;
use truing_agent::native::{CallOutput, RunBrief, RunTools};
use truing_agent::prompt::route::FilledPrompts;
use truing_agent::prompt::{PromptError, PromptValues};
use truing_agent::schema::MAX_FINDINGS;
use truing_core::finding::RawFinding;
use truing_core::id::Sha;
use truing_core::line;
use truing_core::outcome::{ReviewCoverage, SkipReason, UnreviewedFile};
use truing_core::port::PullRequest;
use truing_diff::RepoPath;
use truing_model::messages::ToolDefinition;
use truing_reader::tools::{DIFF, TreeTool, diff};

use super::ModelAgent;
use super::task::{BuiltPrompt, fence};
use crate::reading::{ReadingOutcome, ReviewedChange};
use crate::telemetry;

/// What the names of repositories begin with that no forge has.
const LOCAL: &str = "local/";
/// How much of the change is shown at first, in bytes; about a quarter of a context.
const MAX_SHOWN_BYTES: usize = 160 << 10;
/// A file's change that is larger comes in parts: the model asks for them.
const WHOLE_BYTES: usize = 32 << 10;
const WHOLE_LINES: usize = 700;
/// How many files are named that are not shown, and findings that are known.
const MAX_NAMED: usize = 500;
/// Characters of a title, and of a name.
const MAX_LINE_CHARS: usize = 300;
/// Bytes of a description.
const MAX_DESCRIPTION_BYTES: usize = 8 << 10;

/// What people say of a change: data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChangeDescription {
    /// Its title.
    pub title: String,
    /// Its description.
    pub description: String,
    /// The branch it comes from.
    pub branch: String,
    /// The forge's name of its repository, `owner/name`.
    pub repository: Option<String>,
}

impl ChangeDescription {
    /// Of a pull request.
    pub fn of(pull: &PullRequest) -> Self {
        Self {
            title: pull.title.clone(),
            description: pull.description.clone(),
            branch: pull.branch.clone(),
            repository: pull.repository().map(str::to_owned),
        }
    }
}

/// What a review is of, for its prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReviewPromptInput<'a> {
    /// Its change.
    pub(super) change: &'a ReviewedChange,
    /// What the rules have read.
    pub(super) reading: &'a ReadingOutcome,
    /// What people say of it.
    pub(super) subject: &'a ChangeDescription,
    /// The repository, as the ledger knows it.
    pub(super) repository: &'a str,
    /// What is told of earlier reviews, if there were any.
    pub(super) again: Option<&'a EarlierReviewText>,
    /// What the repository and the operator tell besides, and a specialist's part, if the prompt tells them.
    pub(super) memory: Option<(&'a LayeredMemory, Option<&'a str>)>,
    /// What the change is to mend, if it is a fix.
    pub(super) findings: Option<&'a str>,
    /// What people have dismissed, if the prompt tells of it.
    pub(super) dismissed: Option<&'a str>,
}

/// What is told of earlier reviews of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct EarlierReviewText {
    /// The commit that was reviewed last.
    pub(super) last_head: String,
    /// What landed since.
    pub(super) landed: String,
    /// The findings that are open.
    pub(super) open: String,
}

/// As much of a change as there is room for. What nobody can read as text is named, too: a link that leads elsewhere, or a
/// program that has become executable, is part of the change.
pub(crate) struct DiffExcerpt {
    /// The changes of whole files.
    pub(crate) text: String,
    /// Names of files that are not in it.
    pub(crate) others: Vec<String>,
    /// The files that are.
    pub(super) seen: BTreeSet<RepoPath>,
}

impl DiffExcerpt {
    /// Of the files that can be read.
    pub(crate) fn of(change: &ReviewedChange, reading: &ReadingOutcome) -> Self {
        let mut seen = BTreeSet::new();
        let (mut text, mut others) = (String::new(), Vec::new());
        for path in &reading.coverage.reviewed {
            let reply = diff(&change.diff, &json!({ "path": path.to_string() }));
            let is_whole = !reply.is_error
                && reply.text.len() < WHOLE_BYTES
                && reply.text.lines().count() < WHOLE_LINES
                && text.len() + reply.text.len() <= MAX_SHOWN_BYTES;
            if is_whole {
                text.push_str(&reply.text);
                text.push('\n');
                seen.insert(path.clone());
            } else {
                others.push(line::clean(&path.to_string(), MAX_LINE_CHARS));
            }
        }
        let unread = reading.coverage.unread().filter(|gap| gap.reason != SkipReason::Ignored);
        others.extend(unread.map(|UnreviewedFile { path, reason }| {
            let why = reason.as_str().replace('_', " ");
            format!("{} ({why})", line::clean(&path.to_string(), MAX_LINE_CHARS))
        }));
        let more = others.len().saturating_sub(MAX_NAMED);
        others.truncate(MAX_NAMED);
        others.extend((more > 0).then(|| format!("and {more} more: `{DIFF}` without a path names them")));
        Self { text, others, seen }
    }
}

/// A repository as a model may know it: of one that is known by its place on this machine, its folder's name alone.
fn named(repository: &str) -> String {
    let Some(place) = repository.strip_prefix(LOCAL) else { return repository.to_owned() };
    let is_elsewhere = place.contains("://") && !place.starts_with("file:");
    let name = if is_elsewhere { place } else { place.rsplit('/').next().unwrap_or_default() };
    format!("{LOCAL}{name}")
}

/// What a run begins with, and the files whose change is in it.
///
/// # Errors
/// [`PromptError`], if the operator's own prompts want something else.
pub(super) fn prompt(
    agent: &ModelAgent,
    names: (&str, &str),
    shown: ReviewPromptInput<'_>,
) -> Result<(BuiltPrompt, BTreeSet<RepoPath>), PromptError> {
    let ReviewPromptInput { change, reading, subject, repository, again, memory, findings, dismissed } =
        shown;
    let DiffExcerpt { text: diffs, others, seen } = DiffExcerpt::of(change, reading);
    let found = reading.found.iter().chain(&reading.suppressed).map(|placed| &placed.raw);
    let known: Vec<String> = found.take(MAX_NAMED).map(one_line).collect();
    let head = change.head.as_ref().map_or("working-tree", Sha::as_str);
    let end = subject.description.floor_char_boundary(MAX_DESCRIPTION_BYTES);
    let description = subject.description.get(..end).unwrap_or_default();
    let task = PromptValues::default()
        .with("repository", named(repository))
        .with("title", line::cut(subject.title.clone(), MAX_LINE_CHARS))
        .with("description", description)
        .with("branch", line::cut(subject.branch.clone(), MAX_LINE_CHARS))
        .with("head", head)
        .with("base", change.base.as_str())
        .with("diff", diffs)
        .with("not_shown", others.join("\n"))
        .with("known", known.join("\n"));
    let system = PromptValues::default()
        .with("max_turns", agent.limits.turns.to_string())
        .with("max_findings", MAX_FINDINGS.to_string());
    let (task, findings) = match findings {
        Some(findings) => (task.with("findings", findings), findings),
        None => (task, ""),
    };
    let (task, dismissed) = match dismissed {
        Some(dismissed) => (task.with("dismissed", dismissed), dismissed),
        None => (task, ""),
    };
    let (memory, part) = memory.unzip();
    let (skills, part) = (memory.map(LayeredMemory::listed).unwrap_or_default(), part.flatten());
    let task = match memory {
        Some(memory) => task
            .with("instructions", memory.operator_text.as_str())
            .with("memory", memory.text.as_str())
            .with("skills", skills.as_str()),
        None => task,
    };
    let task = match part {
        Some(part) => task.with("specialist", part),
        None => task,
    };
    let task = match again {
        Some(EarlierReviewText { last_head, landed, open }) => task
            .with("last_head", last_head.as_str())
            .with("landed", landed.as_str())
            .with("open_findings", open.as_str()),
        None => task,
    };
    let (memory, part) = (memory.map_or("", |memory| &memory.text), part.unwrap_or_default());
    let said =
        [subject.title.as_str(), description, &subject.branch, findings, dismissed, memory, &skills, part];
    let told = again.into_iter().flat_map(|again| [again.landed.as_bytes(), again.open.as_bytes()]);
    let data = std::iter::once(change.diff.as_slice()).chain(said.map(str::as_bytes)).chain(told);
    let fence = fence(data)?;
    let filled = agent.prompts.filled(names, (&system, &task), &fence)?;
    let FilledPrompts { system, task, hash } = filled;
    Ok((BuiltPrompt { brief: RunBrief { model: agent.model.clone(), system, task }, hash }, seen))
}

/// A finding in few words.
fn one_line(raw: &RawFinding) -> String {
    let (path, line) = (raw.place.path.to_string(), raw.place.start_line);
    format!("{}:{line}: {}", line::clean(&path, MAX_LINE_CHARS), line::clean(&raw.title, MAX_LINE_CHARS))
}

/// Tools, and which files a model has looked at with them.
pub(crate) struct ViewTrackingTools<'a> {
    tools: &'a dyn RunTools,
    seen: Mutex<BTreeSet<RepoPath>>,
}

impl<'a> ViewTrackingTools<'a> {
    /// `shown`: what it has seen before.
    pub(crate) fn new(tools: &'a dyn RunTools, shown: BTreeSet<RepoPath>) -> Self {
        Self { tools, seen: Mutex::new(shown) }
    }

    /// Which changed files the model has not seen.
    pub(crate) fn unseen(&self, coverage: &ReviewCoverage) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = coverage.reviewed.iter().filter(|path| !seen.contains(path));
        unseen.map(|path| line::clean(&path.to_string(), MAX_LINE_CHARS)).take(MAX_NAMED).collect()
    }

    /// The files whose change it has seen.
    pub(super) fn seen(&self) -> BTreeSet<RepoPath> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is not among these is not reviewed.
pub(super) fn leave_out(seen: &BTreeSet<RepoPath>, coverage: &mut ReviewCoverage) {
    let unseen = coverage.reviewed.extract_if(.., |path| !seen.contains(path));
    let unseen = unseen.map(|path| UnreviewedFile { path, reason: SkipReason::NotShown });
    coverage.not_reviewed.extend(unseen);
    coverage.not_reviewed.sort_by(|a, b| a.path.cmp(&b.path));
}

#[async_trait]
impl RunTools for ViewTrackingTools<'_> {
    fn offered(&self) -> Vec<ToolDefinition> {
        self.tools.offered()
    }

    async fn call(&self, name: &str, input: &Value) -> CallOutput {
        let step = telemetry::tool(name, input);
        let output = self.tools.call(name, input).await;
        step.answered(&output.text, output.is_error);
        drop(step);
        let looks = name == DIFF || name == TreeTool::Read.name();
        if let (true, false, Some(path)) = (looks, output.is_error, input.get("path").and_then(Value::as_str))
        {
            let path = RepoPath::from_bytes(path.as_bytes());
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
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
            left_out: Vec::new(),
            large: Vec::new(),
            unseen: Vec::new(),
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
        let gap = |(path, reason): (&str, SkipReason)| UnreviewedFile {
            path: RepoPath::from_bytes(path.as_bytes()),
            reason,
        };
        let not_reviewed = reasons.into_iter().map(gap).collect();
        let coverage = ReviewCoverage { reviewed: Vec::new(), not_reviewed };
        let reading = ReadingOutcome { coverage, ..ReadingOutcome::default() };
        let DiffExcerpt { others, seen, .. } = DiffExcerpt::of(&change, &reading);
        let told = reasons
            .into_iter()
            .take(6)
            .map(|(path, reason)| format!("{path} ({})", reason.as_str().replace('_', " ")));
        assert_eq!(others, told.collect::<Vec<_>>());
        assert!(seen.is_empty());
    }
}
