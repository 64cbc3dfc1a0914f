//! Compares two commits in the mirror: the current head, and the head of the last review with recorded
//! findings. The comparison is used in the summary, to recognise findings in renamed files, and to detect
//! findings that are no longer part of the change. The comparison is optional: unknown parts are omitted, and
//! a review does not fail if the comparison fails.

use std::collections::BTreeSet;

use truing_core::finding::Finding;
use truing_core::id::Sha;
use truing_core::increment::{
    BranchHistory, FileRenames, FindingTally, ReviewIncrement, mark_out_of_scope, new_lines,
};
use truing_core::line;
use truing_core::port::PullRevision;
use truing_diff::{RepoPath, parse};
use truing_git::{GitError, Mirror};
use truing_reader::tools::render_file_diff;

use super::earlier_reviews::EarlierReviews;
use super::reading::ReviewedChange;
use super::text::format_count;

/// Maximum number of commits in a model's prompt. The next constants limit files and line ranges.
const MAX_COMMITS: usize = 10;
const MAX_FILES: usize = 200;
const MAX_RANGES: usize = 30;
/// Maximum number of characters of a path.
const MAX_PATH_CHARS: usize = 300;
/// Maximum size of the diff since the last review in a prompt, in bytes.
const MAX_LATER_DIFF_BYTES: usize = 64 << 10;

/// The comparison of the last reviewed head with the current head.
#[derive(Debug)]
pub struct HeadComparison {
    /// The commits and lines that were added after the last reviewed head. None if both heads are the same.
    pub increment: Option<ReviewIncrement>,
    /// Git's diff from the last reviewed head to the current head.
    diff: Vec<u8>,
    /// The diff as text for a model.
    later_diff_text: String,
    /// The names that files had at the last reviewed head.
    pub renames: FileRenames,
}

impl HeadComparison {
    /// Marks as out of scope the findings that were not fixed but whose lines are no longer part of the
    /// change.
    pub fn mark_out_of_scope(
        &self,
        gone_findings: &mut [Finding],
        known_findings: &[Finding],
        change: &ReviewedChange,
    ) {
        mark_out_of_scope(
            gone_findings,
            known_findings,
            &parse(&change.diff).files,
            &parse(&self.diff).files,
        );
    }
}

/// Renders for a model the diff since the last review, of the files that are part of the change. The text
/// names the files that it leaves out.
pub(crate) fn render_later_diff(change: &ReviewedChange, diff_since_review: &[u8]) -> String {
    let whole = parse(&change.diff);
    let changed_paths: BTreeSet<&RepoPath> =
        whole.files.iter().flat_map(|file| std::iter::once(&file.path).chain(&file.old_path)).collect();
    let mut text = String::new();
    let mut omitted_files = Vec::new();
    for file in &parse(diff_since_review).files {
        let is_part = changed_paths.contains(&file.path)
            || file.old_path.as_ref().is_some_and(|old_path| changed_paths.contains(old_path));
        let room = MAX_LATER_DIFF_BYTES - text.len();
        // Rendering takes time, because it masks secrets, so only files that may fit are rendered.
        let shown = (is_part && room > 0).then(|| render_file_diff(file) + "\n");
        match shown.filter(|shown| shown.len() <= room) {
            Some(shown) => text.push_str(&shown),
            None => omitted_files.push(line::clean_line(&file.path.to_string(), MAX_PATH_CHARS)),
        }
    }
    if text.is_empty() && omitted_files.is_empty() {
        return String::new();
    }
    let mut rendered = format!("\n\nThe diff since the last review:\n{text}");
    if !omitted_files.is_empty() {
        let more = omitted_files.len().saturating_sub(MAX_FILES);
        omitted_files.truncate(MAX_FILES);
        omitted_files.extend((more > 0).then(|| format_count(more, "more file")));
        let list = omitted_files.join(", ");
        rendered.push_str(&format!("\nNot shown (too large, or not part of the change): {list}"));
    }
    rendered
}

/// Describes for a model the commits and lines that were added since the last review, with their diff. If
/// there is no comparison, the text asks the model to treat the whole change as new.
pub fn describe_new_commits(comparison: Option<&HeadComparison>) -> String {
    let Some(HeadComparison { increment, later_diff_text, .. }) = comparison else {
        return "Unknown: the last reviewed commit no longer exists. Treat the whole change as new."
            .to_owned();
    };
    let Some(ReviewIncrement { history, lines, .. }) = increment else {
        return "Nothing: it is the same commit.".to_owned();
    };
    let names = |commits: &[Sha]| {
        let mut names: Vec<&str> = commits.iter().take(MAX_COMMITS).map(Sha::short_sha).collect();
        names.extend((commits.len() > MAX_COMMITS).then_some("…"));
        if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
    };
    let commits = |commits: &[Sha], adjective: &str| {
        format!("{}{}", format_count(commits.len(), &format!("{adjective} commit")), names(commits))
    };
    let mut description = match history {
        Some(BranchHistory::Grown { new_commits: new }) => format!("{}.", commits(new, "new")),
        Some(BranchHistory::Rewritten {
            new_commits: new,
            changed_commits: changed,
            unchanged_count: same,
            removed_count: gone,
        }) => format!(
            "The branch was rewritten since (rebased, amended or reset): {}, {}, {same} as before, {gone} \
             gone.",
            commits(new, "new"),
            commits(changed, "changed"),
        ),
        None => "There are too many commits to list.".to_owned(),
    };
    description.push_str(if lines.is_empty() {
        " No line of the change is new."
    } else {
        " Lines that are new:"
    });
    for (path, ranges) in lines.iter().take(MAX_FILES) {
        let range = |(first, last): &(u32, u32)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let mut shown: Vec<String> = ranges.iter().take(MAX_RANGES).map(range).collect();
        shown.extend((ranges.len() > MAX_RANGES).then(|| "…".to_owned()));
        let path = line::clean_line(&path.to_string(), MAX_PATH_CHARS);
        description.push_str(&format!("\n{path}: {}", shown.join(", ")));
    }
    if lines.len() > MAX_FILES {
        description.push_str(&format!("\nand in {}", format_count(lines.len() - MAX_FILES, "more file")));
    }
    description.push_str(later_diff_text);
    description
}

/// Builds the results of earlier reviews; `previous_revision` is the revision of the last review.
pub fn earlier_reviews(
    known_findings: Vec<Finding>,
    previous_revision: Option<&PullRevision>,
    comparison: Option<&HeadComparison>,
) -> EarlierReviews {
    EarlierReviews {
        known_findings,
        last_reviewed_head: previous_revision.map(|before| before.head.clone()),
        later_changes: describe_new_commits(comparison),
        renames: comparison.map(|comparison| comparison.renames.clone()).unwrap_or_default(),
        ..EarlierReviews::default()
    }
}

/// Compares the head with the revision that the known findings belong to. None if there is no such revision,
/// or if its commits no longer exist.
#[truing_core::boxed_future]
pub async fn compare_with_previous(
    mirror: &Mirror,
    change: &ReviewedChange,
    head: &Sha,
    previous_revision: Option<&PullRevision>,
) -> Option<HeadComparison> {
    let before = previous_revision?;
    if before.head == *head {
        return Some(HeadComparison {
            increment: None,
            diff: Vec::new(),
            later_diff_text: String::new(),
            renames: FileRenames::default(),
        });
    }
    match compare_commits(mirror, change, head, before).await {
        Ok(compared) => compared,
        Err(error) => {
            tracing::warn!(%error, since = %before.head, "cannot compare with the last review");
            None
        }
    }
}

async fn compare_commits(
    mirror: &Mirror,
    change: &ReviewedChange,
    head: &Sha,
    previous_revision: &PullRevision,
) -> Result<Option<HeadComparison>, GitError> {
    // A new mirror contains only the commits that were requested, so the commits of the previous review may
    // be missing.
    if !(mirror.has_commit(&previous_revision.head).await?
        && mirror.has_commit(&previous_revision.base).await?)
    {
        return Ok(None);
    }
    let diff = mirror.diff(&previous_revision.head, head).await?;
    let (whole, part) = (parse(&change.diff), parse(&diff));
    let mut renames = FileRenames::default();
    renames.add_diff(&part.files);
    let lines = new_lines(&whole.files, &part.files);
    let left = mirror
        .merge_base(&previous_revision.base, &previous_revision.head)
        .await?
        .unwrap_or_else(|| previous_revision.base.clone());
    let history = mirror
        .branch_history((&left, &previous_revision.head), (&change.base, head))
        .await
        .unwrap_or_else(|error| {
            tracing::warn!(%error, since = %previous_revision.head, "cannot list the commits since the \
                last review");
            None
        });
    let (since, findings) = (previous_revision.head.clone(), FindingTally::default());
    let increment = Some(ReviewIncrement { last_reviewed_head: since, history, lines, findings });
    let later_diff_text = render_later_diff(change, &diff);
    Ok(Some(HeadComparison { increment, diff, later_diff_text, renames }))
}
