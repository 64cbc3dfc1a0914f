//! The kinds of effects of a review: the state before each, the call that makes it, and the state after.

#![allow(clippy::wildcard_enum_match_arm, reason = "the other kinds are of other loops")]

use crate::repository::site::Calls as _;
use truing_core::effect::{Effect, Kind};
use truing_core::finding::Place;
use truing_core::id::{CommentId, FindingId, Sha};
use truing_core::port::{ForgeRead as _, InlineDraft, Performed};
use truing_core::publish::{Check, DesiredStatus, Item, StatusState};
use truing_fakes::forge::PullView;
use truing_forge::RepositoryClient;

fn item(id: &str) -> Item {
    Item::Finding(FindingId::new(id))
}

fn draft(id: &str, place: Place) -> InlineDraft {
    InlineDraft { place, item: item(id), body: format!("Finding {id}.") }
}

/// Makes one, as a run before did.
async fn made(open: &RepositoryClient, effect: &Effect) -> CommentId {
    let performed = open.make(effect).await.unwrap();
    let Performed::Comments(comments) = performed else { panic!("{performed:?}") };
    comments[0].1.clone()
}

/// One of this kind; comments are placed on this commit, so many of them in one call at most.
pub(super) async fn effect(
    kind: Kind,
    open: &RepositoryClient,
    (commit, place): (&Sha, impl Fn(u32) -> Place),
    batch: usize,
) -> Effect {
    let commit = commit.clone();
    let summary = Effect::Summary { body: "Two findings.".into() };
    match kind {
        Kind::Summary => summary,
        Kind::Findings => {
            let mut comments = vec![draft("a", place(3)), draft("b", place(5))];
            comments.truncate(batch);
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
            open.make(&Effect::Resolve { thread: thread.clone() }).await.unwrap();
            Effect::Reopen { thread }
        }
        Kind::Status => {
            let (state, description) = (StatusState::Failure, "2 findings".into());
            Effect::Status(DesiredStatus { sha: commit, state, description, check: Check::default() })
        }
        other => panic!("{other:?}"),
    }
}

/// So often this is there.
pub(super) fn count(kind: Kind, view: &PullView, batch: usize) -> usize {
    match kind {
        Kind::Summary => view.summaries().count(),
        Kind::Findings => view.inline().count().div_ceil(batch.min(2)),
        Kind::FileFinding => view.inline().count(),
        Kind::EditComment => view.summaries().filter(|comment| comment.body.starts_with("Anew.")).count(),
        Kind::DeleteDuplicate => usize::from(view.summaries().count() == 0),
        Kind::Reopen => view.inline().filter(|comment| !comment.resolved).count(),
        // Each call adds one to the history of the commit.
        Kind::Status => usize::from(view.statuses.values().flatten().count() > 0),
        other => panic!("{other:?}"),
    }
}
