//! Effects on a repository. For each effect, creates the required objects before the effect and counts the
//! results after the effect.

#![allow(clippy::wildcard_enum_match_arm, reason = "the other kinds are effects on one pull request")]

use truing_core::effect::{Effect, EffectKind};
use truing_core::port::{BranchPull, EffectOutcome, ForgeRead as _, OwnIssue};
use truing_fakes::forge::{CommentView, ForgeFaultKind};
use truing_fakes::repo::CommitBuilder;
use truing_forge::RepositoryClient;
use truing_forge::effects::EffectError;

use super::{SETTLE, Scene};
use crate::repository::site::{BOT, Calls as _, Site, draft, topic};

const OURS: &str = "ours";
const LABEL: &str = "truing";

/// Opens a pull request as Truing.
async fn pull(site: &Site, open: &RepositoryClient) -> BranchPull {
    site.shop.push(OURS, CommitBuilder::new("Follow").write("b.txt", "b\n").with_author(BOT)).await.unwrap();
    let performed = open.make(&Effect::OpenPull(draft(OURS))).await.unwrap();
    let EffectOutcome::Pull(pull) = performed else { panic!("{performed:?}") };
    *pull
}

fn question() -> Effect {
    let (title, body) = ("Which?".into(), "One or two.".into());
    Effect::OpenIssue { topic: topic("question"), title, body, label: LABEL.into() }
}

/// Opens an issue as Truing.
async fn issue(open: &RepositoryClient) -> OwnIssue {
    let performed = open.make(&question()).await.unwrap();
    let EffectOutcome::Issue(issue) = performed else { panic!("{performed:?}") };
    *issue
}

/// Returns the number of a conversation: of a new issue by Truing or, at a forge without issues, of the pull
/// request `somebodys`.
async fn conversation(site: &Site, open: &RepositoryClient, somebodys: u64) -> u64 {
    if site.row().issues { issue(open).await.number } else { somebodys }
}

/// Returns an effect of this kind, and the number of the object that it changes. `somebodys` is the number of
/// another account's pull request.
pub(super) async fn effect(
    kind: EffectKind,
    site: &Site,
    (open, somebodys): (&RepositoryClient, u64),
) -> (Effect, u64) {
    match kind {
        EffectKind::OpenPull => {
            site.shop
                .push(OURS, CommitBuilder::new("Follow").write("b.txt", "b\n").with_author(BOT))
                .await
                .unwrap();
            (Effect::OpenPull(draft(OURS)), 0)
        }
        EffectKind::EditPull => {
            let number = pull(site, open).await.number;
            let (title, body) = ("Anew".into(), "Anew.".into());
            (Effect::EditPull { number, topic: topic("sync/boto3"), title, body }, number)
        }
        EffectKind::SetDraft => {
            let number = pull(site, open).await.number;
            (Effect::SetDraft { number, draft: true }, number)
        }
        EffectKind::ClosePull => {
            let number = pull(site, open).await.number;
            (Effect::ClosePull { number }, number)
        }
        EffectKind::Label => (Effect::Label { number: somebodys, labels: vec!["new".into()] }, somebodys),
        EffectKind::OpenIssue => (question(), 0),
        EffectKind::EditIssue => {
            let number = conversation(site, open, somebodys).await;
            let (title, body) = ("Anew".into(), "Anew.".into());
            (Effect::EditIssue { number, topic: topic("question"), title, body }, number)
        }
        EffectKind::CloseIssue => {
            let number = conversation(site, open, somebodys).await;
            (Effect::CloseIssue { number }, number)
        }
        EffectKind::NewComment => {
            let number = conversation(site, open, somebodys).await;
            (Effect::NewComment { number, topic: topic("blocked"), body: "Because.".into() }, number)
        }
        EffectKind::DeleteComment => {
            let number = conversation(site, open, somebodys).await;
            let said = Effect::NewComment { number, topic: topic("blocked"), body: "Because.".into() };
            let comment = open.make(&said).await.unwrap().comment().unwrap().clone();
            (Effect::DeleteComment { number, comment }, number)
        }
        other => panic!("{other:?} is an effect on one pull request"),
    }
}

/// Returns the comments of a conversation, including deleted ones.
async fn said(site: &Site, number: u64) -> Vec<CommentView> {
    if site.row().issues {
        site.shop.issue(number).await.unwrap().comments
    } else {
        site.shop.pull(number).await.unwrap().comments
    }
}

/// Returns the number of existing results of this kind of effect.
pub(super) async fn count(kind: EffectKind, site: &Site, number: u64) -> usize {
    match kind {
        EffectKind::OpenPull => site.hub.pulls_from_branch(OURS).await.unwrap().len(),
        EffectKind::EditPull => {
            let view = site.shop.pull(number).await.unwrap();
            usize::from(view.title == "Anew" && view.body.starts_with("Anew."))
        }
        EffectKind::SetDraft => usize::from(site.shop.pull(number).await.unwrap().draft),
        EffectKind::ClosePull => usize::from(!site.shop.pull(number).await.unwrap().open),
        EffectKind::Label => site.shop.pull(number).await.unwrap().labels.len(),
        EffectKind::OpenIssue => site.shop.issues().await.unwrap().len(),
        EffectKind::EditIssue => {
            let view = site.shop.issue(number).await.unwrap();
            usize::from(view.title == "Anew" && view.body.starts_with("Anew."))
        }
        EffectKind::CloseIssue => usize::from(!site.shop.issue(number).await.unwrap().open),
        EffectKind::NewComment => said(site, number).await.len(),
        EffectKind::DeleteComment => {
            let comments = said(site, number).await;
            comments.iter().filter(|comment| comment.deleted).count()
        }
        other => panic!("{other:?} is an effect on one pull request"),
    }
}

#[tokio::test]
async fn what_was_begun_is_looked_for_and_not_made() {
    for (fault, there) in [(ForgeFaultKind::LostResponse, true), (ForgeFaultKind::DropConnection, false)] {
        let scene = Scene::of(EffectKind::OpenIssue).await;
        let effects = scene.effects();
        assert_eq!(effects.recover_unfinished_effect(&question()).await.unwrap(), None, "nothing was begun");
        scene.fault(EffectKind::OpenIssue, fault);
        scene.perform().await.unwrap_err();
        let early = effects.recover_unfinished_effect(&question()).await.unwrap_err();
        assert!(matches!(early, EffectError::Settling { .. }), "{early:?}");
        scene.pass(SETTLE);
        let found = effects.recover_unfinished_effect(&question()).await.unwrap();
        assert_eq!(matches!(found, Some(EffectOutcome::Issue(_))), there, "{found:?}");
        assert_eq!(effects.recover_unfinished_effect(&question()).await.unwrap(), None, "its end is known");
        assert_eq!(scene.count(EffectKind::OpenIssue).await, usize::from(there));
    }
}

#[tokio::test]
async fn what_was_opened_just_now_is_waited_for_while_lists_do_not_show_it() {
    let scene = Scene::of(EffectKind::OpenIssue).await;
    let effects = scene.effects();
    let EffectOutcome::Issue(issue) = effects.perform(&question()).await.unwrap() else { panic!("no issue") };
    assert_eq!(effects.perform(&question()).await.unwrap(), EffectOutcome::Issue(issue.clone()));
    // After a person has closed the issue, the list does not contain the issue. The client cannot distinguish
    // this list from a list that does not yet contain a new issue.
    scene.site.shop.set_issue_open(issue.number, false, "ann").await.unwrap();
    let early = effects.perform(&question()).await.unwrap_err();
    assert!(matches!(early, EffectError::Settling { .. }), "{early:?}");
    scene.pass(SETTLE);
    let again = effects.perform(&question()).await.unwrap();
    assert!(matches!(&again, EffectOutcome::Issue(other) if other.number != issue.number), "{again:?}");
}
