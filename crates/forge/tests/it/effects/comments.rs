//! The kinds of effects of a review: the state before each, the call that makes it, and the state after.

#![allow(clippy::wildcard_enum_match_arm, reason = "the other kinds are of other loops")]

use truing_core::effect::{Effect, Kind};
use truing_core::finding::Place;
use truing_core::id::{CommentId, FindingId, Sha};
use truing_core::port::{ForgeRead as _, ForgeWrite as _, InlineDraft, Performed};
use truing_core::publish::{Check, DesiredStatus, Item, StatusState};
use truing_fakes::forge::PullView;
use truing_forge::github::GitHubClient;

use super::{ISSUES, PULL, SENT};

fn item(id: &str) -> Item {
    Item::Finding(FindingId::new(id))
}

fn draft(id: &str, place: Place) -> InlineDraft {
    InlineDraft { place, item: item(id), body: format!("Finding {id}.") }
}

/// Makes one, as a run before did.
async fn made(open: &GitHubClient, effect: &Effect) -> CommentId {
    let performed = open.perform(effect).await.unwrap();
    let Performed::Comments(comments) = performed else { panic!("{performed:?}") };
    comments[0].1.clone()
}

/// One of this kind; comments are placed on this commit.
pub(super) async fn effect(
    kind: Kind,
    open: &GitHubClient,
    (commit, place): (&Sha, impl Fn(u32) -> Place),
) -> Effect {
    let commit = commit.clone();
    let summary = Effect::Summary { body: "Two findings.".into() };
    match kind {
        Kind::Summary => summary,
        Kind::Findings => {
            let comments = vec![draft("a", place(3)), draft("b", place(5))];
            Effect::Findings { commit, comments }
        }
        Kind::FileFinding => Effect::FileFinding { commit, comment: draft("a", place(3)) },
        Kind::EditComment => {
            let comment = made(open, &summary).await;
            Effect::EditComment { item: Item::Summary, comment, body: "Anew.".into() }
        }
        Kind::DeleteDuplicate => {
            Effect::DeleteDuplicate { item: Item::Summary, comment: made(open, &summary).await }
        }
        Kind::Reopen => {
            made(open, &Effect::FileFinding { commit, comment: draft("a", place(3)) }).await;
            let thread = open.threads().await.unwrap().remove(0).thread.unwrap().id;
            open.perform(&Effect::Resolve { thread: thread.clone() }).await.unwrap();
            Effect::Reopen { thread }
        }
        Kind::Status => {
            let (state, description) = (StatusState::Failure, "2 findings".into());
            Effect::Status(DesiredStatus { sha: commit, state, description, check: Check::default() })
        }
        other => panic!("{other:?}"),
    }
}

/// The call that makes it, and how often that is sent where no answer comes.
pub(super) fn call(kind: Kind) -> (&'static str, String, u32) {
    match kind {
        Kind::Summary => ("POST", ISSUES.to_owned(), 1),
        Kind::Findings => ("POST", format!("{PULL}/reviews"), 1),
        Kind::FileFinding => ("POST", format!("{PULL}/comments$"), 1),
        Kind::EditComment => ("PATCH", "/repos/{owner}/{repo}/issues/comments/{id}".to_owned(), SENT),
        Kind::DeleteDuplicate => ("DELETE", "/repos/{owner}/{repo}/issues/comments/{id}".to_owned(), SENT),
        Kind::Reopen => ("POST", "/graphql".to_owned(), SENT),
        Kind::Status => ("POST", "/repos/{owner}/{repo}/statuses/{sha}".to_owned(), 1),
        other => panic!("{other:?}"),
    }
}

/// So often this is there.
pub(super) fn count(kind: Kind, view: &PullView) -> usize {
    match kind {
        Kind::Summary => view.summaries().count(),
        Kind::Findings => view.inline().count().div_ceil(2),
        Kind::FileFinding => view.inline().count(),
        Kind::EditComment => view.summaries().filter(|comment| comment.body.starts_with("Anew.")).count(),
        Kind::DeleteDuplicate => usize::from(view.summaries().count() == 0),
        Kind::Reopen => view.inline().filter(|comment| !comment.resolved).count(),
        // Each call adds one to the history of the commit.
        Kind::Status => usize::from(view.statuses.values().flatten().count() > 0),
        other => panic!("{other:?}"),
    }
}
