//! Effects of a review. For each effect, creates the required objects before the effect and counts the
//! results after the effect.

#![allow(clippy::wildcard_enum_match_arm, reason = "the other kinds are of other loops")]

use crate::repository::site::Calls as _;
use truing_core::effect::{Effect, EffectKind};
use truing_core::finding::CodeLocation;
use truing_core::id::{CommentId, FindingId, Sha};
use truing_core::port::{EffectOutcome, ForgeRead as _, InlineDraft};
use truing_core::publish::{CheckContent, CommentSubject, DesiredStatus, StatusState};
use truing_fakes::forge::PullView;
use truing_forge::RepositoryClient;

fn item(id: &str) -> CommentSubject {
    CommentSubject::Finding(FindingId::new(id))
}

fn draft(id: &str, place: CodeLocation) -> InlineDraft {
    InlineDraft { location: place, item: item(id), body: format!("Finding {id}.") }
}

/// Creates a comment, as an earlier run would have done.
async fn made(open: &RepositoryClient, effect: &Effect) -> CommentId {
    let performed = open.make(effect).await.unwrap();
    let EffectOutcome::Comments(comments) = performed else { panic!("{performed:?}") };
    comments[0].1.clone()
}

/// Returns an effect of this kind. Comments are posted on this commit, at most `batch` comments in one call.
pub(super) async fn effect(
    kind: EffectKind,
    open: &RepositoryClient,
    (commit, place): (&Sha, impl Fn(u32) -> CodeLocation),
    batch: usize,
) -> Effect {
    let commit = commit.clone();
    let summary = Effect::Summary { body: "Two findings.".into() };
    match kind {
        EffectKind::Summary => summary,
        EffectKind::Findings => {
            let mut comments = vec![draft("a", place(3)), draft("b", place(5))];
            comments.truncate(batch);
            Effect::Findings { commit, comments }
        }
        EffectKind::FileFinding => Effect::FileFinding { commit, comment: draft("a", place(3)) },
        EffectKind::EditComment => {
            let comment = made(open, &summary).await;
            Effect::EditComment { item: CommentSubject::Summary, comment, body: "Anew.".into() }
        }
        EffectKind::DeleteDuplicate => {
            Effect::DeleteDuplicate { item: CommentSubject::Summary, comment: made(open, &summary).await }
        }
        EffectKind::Reopen => {
            made(open, &Effect::FileFinding { commit, comment: draft("a", place(3)) }).await;
            let thread = open.threads().await.unwrap().remove(0).thread.unwrap().id;
            open.make(&Effect::Resolve { thread: thread.clone() }).await.unwrap();
            Effect::Reopen { thread }
        }
        EffectKind::Status => {
            let (state, description) = (StatusState::Failure, "2 findings".into());
            Effect::Status(DesiredStatus { sha: commit, state, description, check: CheckContent::default() })
        }
        other => panic!("{other:?}"),
    }
}

/// Returns the number of existing results of this kind of effect.
pub(super) fn count(kind: EffectKind, view: &PullView, batch: usize) -> usize {
    match kind {
        EffectKind::Summary => view.conversation_comments().count(),
        EffectKind::Findings => view.inline_comments().count().div_ceil(batch.min(2)),
        EffectKind::FileFinding => view.inline_comments().count(),
        EffectKind::EditComment => {
            view.conversation_comments().filter(|comment| comment.body.starts_with("Anew.")).count()
        }
        EffectKind::DeleteDuplicate => usize::from(view.conversation_comments().count() == 0),
        EffectKind::Reopen => view.inline_comments().filter(|comment| !comment.resolved).count(),
        // Each call adds a status to the commit's history, so any number of statuses counts as one result.
        EffectKind::Status => usize::from(view.statuses.values().flatten().count() > 0),
        other => panic!("{other:?}"),
    }
}
