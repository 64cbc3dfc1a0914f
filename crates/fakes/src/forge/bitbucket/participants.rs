//! Lists the participants of a pull request and changes their verdicts.

use crate::forge::state::event::PullChange;
use crate::forge::state::pulls::{FakeReviewVerdict, StoredPull, StoredReview};
use crate::forge::state::{ForgeInstance, StoredRepository};
use crate::repo::FakeGitError;

/// A participant of a pull request.
pub(super) struct PullParticipant {
    pub(super) login: String,
    pub(super) is_reviewer: bool,
    pub(super) verdict: Option<FakeReviewVerdict>,
    /// Commit that the verdict is about.
    pub(super) reviewed_commit: Option<String>,
    /// Time of the last verdict or comment, in seconds since 1970.
    pub(super) last_activity_at: Option<i64>,
    /// Time of the last comment, in seconds since 1970.
    pub(super) last_comment_at: Option<i64>,
}

/// Returns the reviewers, followed by the other accounts that have given a verdict or commented. The author
/// is left out.
pub(super) fn list_participants(pull: &StoredPull) -> Vec<PullParticipant> {
    let mut logins: Vec<&str> = pull.merge_conditions.reviewers.iter().map(String::as_str).collect();
    let notes = || {
        pull.conversation_comments.iter().chain(pull.inline_comments.iter().map(|comment| &comment.comment))
    };
    let judges = pull.reviews.iter().filter(|review| review.state != FakeReviewVerdict::Commented);
    let others = judges.map(|review| review.author.as_str()).chain(notes().map(|note| note.author.as_str()));
    for login in others {
        if login != pull.author && !logins.contains(&login) {
            logins.push(login);
        }
    }
    let participant = |login: &str| {
        let judged = last_verdict(pull, login);
        let last_comment_at =
            notes().filter(|note| note.author == login && !note.deleted).map(|note| note.created_at).max();
        PullParticipant {
            login: login.to_owned(),
            is_reviewer: pull.merge_conditions.reviewers.iter().any(|reviewer| reviewer == login),
            verdict: judged.map(|review| review.state),
            reviewed_commit: judged.map(|review| review.commit.clone()),
            last_activity_at: judged.map(|review| review.created_at).or(last_comment_at),
            last_comment_at,
        }
    };
    logins.into_iter().map(participant).collect()
}

/// Returns the last verdict of an account.
fn last_verdict<'a>(pull: &'a StoredPull, login: &str) -> Option<&'a StoredReview> {
    pull.reviews
        .iter()
        .rev()
        .find(|review| review.author == login && review.state != FakeReviewVerdict::Commented)
}

/// Sets the account's verdict on the head to "changes requested". At a Data Center, the account becomes a
/// reviewer.
pub(super) fn request_changes(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    actor: &str,
) -> Result<(), FakeGitError> {
    let (id, created) = (forge.next_id(), forge.now());
    let Some(pull) = repo.pulls.get_mut(&number) else { return Ok(()) };
    pull.reviews.retain(|review| review.author != actor || review.state == FakeReviewVerdict::Commented);
    let (author, commit, state) = (actor.to_owned(), pull.head.clone(), FakeReviewVerdict::ChangesRequested);
    pull.reviews.push(StoredReview { id, author, body: String::new(), state, commit, created_at: created });
    if !pull.merge_conditions.reviewers.iter().any(|known| known == actor)
        && repo.flavour.verdict_makes_reviewer()
    {
        pull.merge_conditions.reviewers.push(actor.to_owned());
    }
    forge.record_change(repo, number, actor, PullChange::ChangesRequested)
}

/// Withdraws the account's own verdict. At a Data Center, the account remains a reviewer.
pub(super) fn withdraw_verdict(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    number: u64,
    actor: &str,
) -> Result<(), FakeGitError> {
    let Some(pull) = repo.pulls.get_mut(&number) else { return Ok(()) };
    pull.reviews.retain(|review| review.author != actor || review.state == FakeReviewVerdict::Commented);
    forge.record_change(repo, number, actor, PullChange::ChangesRequestWithdrawn)
}
