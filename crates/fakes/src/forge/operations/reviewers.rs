//! Adds reviews and reactions, and triggers bots.

use crate::forge::diff::FakeDiffSide;
use crate::forge::flavour::ForgeFlavour;
use crate::forge::operations::comments::CommentCommits;
use crate::forge::state::bots::{BotReview, BotStep, FakeBot};
use crate::forge::state::checks::FakeCheckRun;
use crate::forge::state::notes::FakeReaction;
use crate::forge::state::pulls::{FakeReviewVerdict, InlinePlace, StoredReview};
use crate::forge::state::{CommitStatus, ForgeInstance, StoredRepository};

/// Triggers the bots that react to this comment. Returns an error if the script of a bot is invalid.
pub(crate) fn trigger_bots(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    comment: u64,
) -> Result<(), String> {
    let trigger_comment = repo.conversation_comments(number).iter().find(|note| note.id == comment);
    let Some(trigger_comment) = trigger_comment.map(|note| note.body.trim().to_owned()) else {
        return Ok(());
    };
    if !repo.pulls.contains_key(&number) {
        return Ok(());
    }
    run_bots(
        forge,
        repo,
        number,
        |bot| bot.trigger_text.as_deref() == Some(trigger_comment.as_str()),
        Some(comment),
    )
}

/// Runs the next step of each selected bot.
pub(crate) fn run_bots(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    is_selected: impl Fn(&FakeBot) -> bool,
    comment: Option<u64>,
) -> Result<(), String> {
    let steps: Vec<(FakeBot, BotStep)> = repo
        .bots
        .iter_mut()
        .filter(|bot| is_selected(bot))
        .filter_map(|bot| Some((bot.clone(), bot.steps.pop_front()?)))
        .collect();
    for (bot, step) in steps {
        if let (true, Some(comment)) = (step.adds_eyes_reaction, comment) {
            add_reaction(forge, repo, number, comment, &bot.login, "eyes");
        }
        if let Some(review) = &step.review {
            let by = (bot.login.as_str(), bot.line_comment_author.as_deref().unwrap_or(&bot.login));
            post_review(forge, repo, number, by.0, by.1, None, review)?;
        }
        if let Some((name, conclusion)) = step.check {
            let sha = repo.pulls.get(&number).map(|pull| pull.head.clone()).unwrap_or_default();
            create_check_run(forge, repo, &sha, &bot.login, &name, conclusion);
        }
    }
    Ok(())
}

/// Reacts to a comment in a conversation.
pub(crate) fn add_reaction(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    comment: u64,
    actor: &str,
    content: &str,
) {
    forge.ensure_account(actor);
    let (id, at) = (forge.next_id(), forge.now());
    let note = repo.conversation_comments_mut(number).into_iter().flatten().find(|note| note.id == comment);
    let Some(note) = note else { return };
    if !note.reactions.iter().any(|known| known.account == actor && known.content == content) {
        note.reactions.push(FakeReaction {
            id,
            account: actor.to_owned(),
            content: content.to_owned(),
            created_at: at,
        });
    }
}

/// Posts a review on the given commit or the head, and returns the review's id. The author of the review may
/// differ from the author of its line comments.
pub(crate) fn post_review(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    reviewer: &str,
    line_comment_author: &str,
    commit: Option<&str>,
    review: &BotReview,
) -> Result<u64, String> {
    forge.ensure_account(reviewer);
    let spot = CommentCommits::from_pull(repo, number, commit)?;
    let (id, created) = (forge.next_id(), forge.now());
    let mut comments = Vec::new();
    for (path, line, body) in &review.comments {
        let place = InlinePlace { path: path.clone(), line: Some((FakeDiffSide::Right, *line)), start: None };
        let hunk = spot.find_commented_hunk(repo, number, &place)?;
        comments.push(spot.new_comment(forge.new_comment(line_comment_author, body), id, place, hunk));
    }
    let pull = repo.pulls.get_mut(&number).ok_or("there is no such pull request")?;
    pull.updated_at = created;
    pull.merge_conditions.requested_reviewers.retain(|login| login != reviewer);
    pull.inline_comments.extend(comments);
    let (author, body, state) = (reviewer.to_owned(), review.body.clone(), review.verdict);
    let commit = spot.commit().to_owned();
    let text = (forge.flavour != ForgeFlavour::GitHub && !body.is_empty()).then(|| body.clone());
    if forge.flavour.verdict_makes_reviewer()
        && state != FakeReviewVerdict::Commented
        && !pull.merge_conditions.reviewers.contains(&author)
    {
        pull.merge_conditions.reviewers.push(author.clone());
    }
    pull.reviews.push(StoredReview { id, author, body, state, commit, created_at: created });
    // Bitbucket has no reviews, so the text of the review is posted as a comment.
    if let Some(text) = text {
        let note = forge.new_comment(reviewer, &text);
        pull.conversation_comments.push(note);
    }
    Ok(id)
}

/// Creates a check run or, at Bitbucket, a status. A check without a conclusion is still running.
pub(crate) fn create_check_run(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    sha: &str,
    creator: &str,
    name: &str,
    conclusion: Option<String>,
) {
    forge.ensure_account(creator);
    if forge.flavour != ForgeFlavour::GitHub {
        return set_status(forge, repo, sha, creator, name, conclusion.as_deref());
    }
    let status = if conclusion.is_some() { "completed" } else { "in_progress" };
    let run = FakeCheckRun {
        id: forge.next_id(),
        sha: sha.to_owned(),
        name: name.to_owned(),
        external_id: None,
        status: status.to_owned(),
        conclusion,
        title: None,
        summary: None,
        annotations: Vec::new(),
        creator: creator.to_owned(),
        created_at: forge.now(),
        is_rerun_requested: false,
    };
    repo.checks.push(run);
}

/// Sets a status instead of a check run, because Bitbucket has no check runs.
fn set_status(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    sha: &str,
    creator: &str,
    name: &str,
    conclusion: Option<&str>,
) {
    let state = match conclusion {
        None => "pending",
        Some("success" | "neutral" | "skipped") => "success",
        Some("cancelled") => "error",
        Some(_) => "failure",
    };
    let (id, created) = (forge.next_id(), forge.now());
    repo.statuses.retain(|known| known.sha != sha || known.context != name);
    repo.statuses.push(CommitStatus {
        id,
        sha: sha.to_owned(),
        state: state.to_owned(),
        description: None,
        target_url: Some(format!("{}/builds/{id}", forge.base_url)),
        context: name.to_owned(),
        name: Some(name.to_owned()),
        refname: None,
        parent_key: None,
        creator: creator.to_owned(),
        created_at: created,
    });
}
