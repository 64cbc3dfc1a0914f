//! The invariants that must hold for every scenario whenever the service has no work left.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::finding::Finding;
use truing_core::port::RunStore as _;
use truing_fakes::forge::{CommentView, CommitStatus, PullView};
use truing_forge::capability::AnchorCommit;

use crate::conformance::change::{BOT, CONTEXT};
use crate::conformance::play::Stage;
use crate::conformance::site::secrets_of_tests;
use crate::conformance::tree::FindingPlace;

/// The parts of our review that a pull request shows.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct VisibleReview {
    /// Number of open findings with a comment on lines (`inline`), with a comment on a file (`files`), and
    /// only in the summary (`folded`).
    pub(crate) inline: usize,
    pub(crate) files: usize,
    pub(crate) folded: usize,
    /// Number of our comment threads that are resolved.
    pub(crate) resolved: usize,
}

/// Checks every invariant. Returns the visible parts of the review, or the violations.
pub(crate) async fn check(stage: &Stage) -> Result<VisibleReview, String> {
    let view = stage.view().await;
    let mut wrong = Vec::new();
    let shown = if stage.open {
        let findings = stage.store().findings(&stage.key().await).await.unwrap();
        found(stage, &findings, &mut wrong);
        let shown = shown(stage, &view, &findings, &mut wrong);
        status(&view, &findings, &mut wrong);
        shown
    } else {
        if view.comments != stage.before {
            wrong.push("a closed pull request was written to".into());
        }
        VisibleReview::default()
    };
    foreign(stage, &view, &mut wrong);
    secrets(stage, &view, &mut wrong).await;
    calls(stage, &view, stage.runs().await, &mut wrong);
    wrong.extend(stage.site.forge.violations());
    if wrong.is_empty() { Ok(shown) } else { Err(wrong.join("\n")) }
}

/// Checks that the open findings in the records are exactly the findings that the head adds to the base.
fn found(stage: &Stage, findings: &[Finding], wrong: &mut Vec<String>) {
    let expected = stage.head.found_beyond(&stage.base);
    let open: BTreeSet<FindingPlace> = findings.iter().filter(|finding| finding.is_open()).map(at).collect();
    if open != expected {
        let (lost, more) =
            (expected.difference(&open).collect::<Vec<_>>(), open.difference(&expected).collect::<Vec<_>>());
        wrong.push(format!("findings lost: {lost:?}, made up: {more:?}"));
    }
}

fn at(finding: &Finding) -> FindingPlace {
    let place = &finding.raw.location;
    (place.path.as_str().unwrap_or_default().to_owned(), place.start_line)
}

/// Checks that each open finding is shown exactly once: in a comment on its lines or file, or in the summary
/// if the limit of comments is reached. Also checks that the threads of fixed findings are resolved.
fn shown(stage: &Stage, view: &PullView, findings: &[Finding], wrong: &mut Vec<String>) -> VisibleReview {
    let ours: Vec<&CommentView> = view.comments.iter().filter(|comment| comment.author == BOT).collect();
    let summaries: Vec<_> =
        ours.iter().filter(|comment| comment.place.is_none() && !comment.deleted).collect();
    if summaries.len() != 1 {
        wrong.push(format!("{} summaries", summaries.len()));
    }
    let summary = summaries.first().map_or("", |comment| comment.body.as_str());
    // If the forge anchors comments to the current head, Truing deletes comments that it posted while a
    // commit was pushed, so these deletions are allowed.
    let is_taken_back = stage.is_amid && stage.forge.row.anchor_commit == AnchorCommit::Head;
    let deleted = |comment: &CommentView| comment.deleted && !stage.deleted.contains(&comment.id);
    for comment in ours.iter().filter(|comment| deleted(comment) && !is_taken_back) {
        wrong.push(format!("comment {} was posted and deleted again", comment.id));
    }
    let of = |finding: &Finding| {
        let mark = format!(" item={} ", finding.id.as_str());
        let about = ours.iter().filter(|comment| comment.place.is_some() && comment.body.contains(&mark));
        about.copied().collect::<Vec<&CommentView>>()
    };
    let mut shown = VisibleReview::default();
    let max_inline = stage.site.max_inline;
    let open = findings.iter().filter(|finding| finding.is_open()).count();
    for finding in findings {
        let (about, at) = (of(finding), at(finding));
        let there: Vec<_> = about.iter().filter(|comment| !comment.deleted).collect();
        let name = format!("{}:{} ({})", at.0, at.1, finding.id.as_str());
        shown.resolved += there.iter().filter(|comment| comment.resolved).count();
        if !finding.is_open() {
            if there.iter().any(|comment| !comment.resolved) {
                wrong.push(format!("{name} is fixed, and its thread is open"));
            }
            continue;
        }
        match there.as_slice() {
            [comment] => {
                let place = comment.place.as_ref();
                match (place.and_then(|place| place.line), comment.line) {
                    (None, _) => shown.files += 1,
                    (Some(_), Some(line))
                        if place.is_some_and(|place| place.path == at.0) && line != at.1 =>
                    {
                        wrong.push(format!("{name} has its comment on line {line}"));
                    }
                    (Some(_), _) => shown.inline += 1,
                }
                if comment.resolved != stage.resolved.contains(&comment.id) {
                    wrong.push(format!("{name}: resolved is {}", comment.resolved));
                }
            }
            [] if about.iter().any(|comment| stage.deleted.contains(&comment.id)) => {}
            [] if open > max_inline => {
                shown.folded += 1;
                let listed = summary.contains(&format!("{}`:{}", at.0, at.1)) || summary.contains(" more");
                if !listed {
                    wrong.push(format!("{name} is shown nowhere"));
                }
            }
            [] => wrong.push(format!("{name} has no comment")),
            several => wrong.push(format!("{name} has {} comments", several.len())),
        }
    }
    if open > max_inline && shown.inline + shown.files < max_inline {
        wrong.push(format!("{} comments, and {} folded", shown.inline + shown.files, shown.folded));
    }
    shown
}

/// Checks that the newest status of the head matches the open findings.
fn status(view: &PullView, findings: &[Finding], wrong: &mut Vec<String>) {
    let expected = if findings.iter().any(Finding::is_open) { "failure" } else { "success" };
    let mut ours = view.statuses.get(&view.head).into_iter().flatten();
    // If a status has a name, the forge shows the name instead of the key.
    let is_ours = |status: &&CommitStatus| status.name.as_deref().unwrap_or(&status.context) == CONTEXT;
    let newest = ours.rfind(is_ours).map(|status| status.state.as_str());
    if newest != Some(expected) {
        wrong.push(format!("the head's status is {newest:?}, not {expected}"));
    }
}

/// Checks that no comment and no history entry contains a secret.
async fn secrets(stage: &Stage, view: &PullView, wrong: &mut Vec<String>) {
    let shown = format!("{view:?} {:?}", stage.history().await);
    for secret in secrets_of_tests().filter(|secret| shown.contains(secret)) {
        wrong.push(format!("`{secret}` is shown"));
    }
}

/// Checks that no comment of another account was changed.
fn foreign(stage: &Stage, view: &PullView, wrong: &mut Vec<String>) {
    // The resolved flag of a reply is not compared, because Truing may resolve the thread with a person's
    // reply.
    let plain = |comment: &CommentView| {
        (comment.body.clone(), comment.deleted, comment.resolved && comment.in_reply_to.is_none())
    };
    let now: BTreeMap<u64, _> = view.comments.iter().map(|comment| (comment.id, plain(comment))).collect();
    for comment in stage.before.iter().filter(|comment| comment.author != BOT) {
        if now.get(&comment.id) != Some(&plain(comment)) {
            wrong.push(format!("a comment of {} was changed", comment.author));
        }
    }
}

/// Checks that the service made at most the allowed number of calls, unless faults were injected. A run reads
/// the pull request twice, reads the lists of comments, summaries and threads page by page, and sets the
/// status. Each batch of new comments takes one call that posts the batch, and one call that reads it back.
/// Each changed comment takes one call that rewrites the comment, and one call that resolves the thread.
fn calls(stage: &Stage, view: &PullView, runs: usize, wrong: &mut Vec<String>) {
    if stage.faulty {
        return;
    }
    let before: BTreeMap<u64, &CommentView> =
        stage.before.iter().map(|comment| (comment.id, comment)).collect();
    let ours = || view.comments.iter().filter(|comment| comment.author == BOT);
    let created = ours().filter(|comment| !before.contains_key(&comment.id));
    let (files, lines): (Vec<_>, Vec<_>) =
        created.filter_map(|comment| comment.place.as_ref()).partition(|place| place.line.is_none());
    let changed = ours().filter(|comment| before.get(&comment.id).is_some_and(|old| old != comment)).count();
    let runs = runs - stage.runs_before;
    let lists = 3 * view.comments.len().div_ceil(stage.forge.row.max_page_size).max(1);
    // The allowed number includes one additional run, because the service may lease the slot once more and
    // find nothing to do.
    let allowed = (runs + 1) * (3 + lists + 2)
        + 2 * lines.len().div_ceil(stage.forge.row.max_comments_per_call)
        + files.len()
        + 1
        + 2 * changed;
    let made = stage.calls() - stage.calls_before;
    if made > allowed as u64 {
        wrong.push(format!(
            "{made} calls in {runs} runs, and {allowed} should do: {:#?}",
            stage.site.forge.call_counts()
        ));
    }
}
