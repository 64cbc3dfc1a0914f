//! Tests of faults at both kinds of Bitbucket, and of the resulting errors.

use truing_core::effect::Effect;
use truing_core::id::{PrId, TimeSpan};
use truing_core::port::{EffectOutcome, ForgeError, ForgeRead as _, ForgeWrite as _};
use truing_core::publish::{CheckContent, CommentProducer, CommentSubject, DesiredStatus, StatusState};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind, ForgeFlavour};
use truing_fakes::repo::CommitBuilder;
use truing_forge::{ForgeServer as _, RepositoryClient};

use super::reading::{make, tip};
use crate::repository::reviewing::draft as draft_of;
use crate::repository::site::{Calls as _, Site, TOKEN, server};

/// Returns the route of a pull request.
fn pull(site: &Site) -> &'static str {
    if site.is_cloud() {
        "/2.0/repositories/{owner}/{repo}/pullrequests/{number}$"
    } else {
        "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}$"
    }
}

fn comments(site: &Site) -> String {
    pull(site).replace('$', "/comments$")
}

#[tokio::test]
async fn a_refusal_of_a_read_is_what_it_says() {
    for (site, number, open) in Site::bitbuckets().await {
        let ask = async |kind: ForgeFaultKind, times: u32| {
            // A new client, which has not yet recorded a rate limit.
            let id = PrId { forge: "github".into(), repository: site.id.clone(), number };
            let fresh = server(&site.forge, TOKEN).client(&id, "acme/shop", CommentProducer::Converge);
            site.forge.add_fault(ForgeFault::on_call("GET", pull(&site), kind).times(times));
            let error = fresh.pull_request().await.unwrap_err();
            assert!(site.forge.has_no_faults(), "{error}");
            error
        };
        // If a valid token lacks the permission, Data Center responds with 401.
        for status in if site.is_cloud() { &[403][..] } else { &[403, 401][..] } {
            let denied = ask(ForgeFaultKind::Status(*status, None), 1).await;
            assert!(matches!(denied, ForgeError::Forbidden { .. }), "{denied}");
        }
        let missing = ask(ForgeFaultKind::Status(404, None), 1).await;
        assert!(matches!(missing, ForgeError::NotFound { .. }), "{missing}");
        let stale = ask(ForgeFaultKind::Status(409, None), 1).await;
        assert!(matches!(stale, ForgeError::Stale { .. }) && stale.has_no_effect(), "{stale}");
        for (kind, wait) in [
            (ForgeFaultKind::Status(429, Some(7)), Some(7)),
            (ForgeFaultKind::Status(429, None), None),
            (ForgeFaultKind::PrimaryLimit(120), (!site.is_cloud()).then_some(120)),
        ] {
            let limited = ask(kind.clone(), 1).await;
            let ForgeError::RateLimited { wait: told, .. } = &limited else { panic!("{kind:?}: {limited}") };
            match wait {
                Some(wait) => assert_eq!(*told, TimeSpan::seconds(wait), "{kind:?}"),
                None => assert!(*told >= TimeSpan::seconds(60), "{kind:?}: {told:?}"),
            }
        }
        for kind in
            [ForgeFaultKind::Status(500, None), ForgeFaultKind::Status(555, None), ForgeFaultKind::Truncated]
        {
            let error = ask(kind.clone(), 1).await;
            assert!(matches!(error, ForgeError::Unavailable { .. }), "{kind:?}: {error}");
        }
        for kind in
            [ForgeFaultKind::Html(502), ForgeFaultKind::Status(503, None), ForgeFaultKind::DropConnection]
        {
            let error = ask(kind.clone(), 3).await;
            assert!(matches!(error, ForgeError::Unavailable { .. }), "{kind:?}: {error}");
        }
        // An HTML page of a proxy does not count as a response of the forge.
        let html = ask(ForgeFaultKind::Html(200), 1).await;
        assert!(matches!(html, ForgeError::Unavailable { .. }), "{html}");
        let away = ask(ForgeFaultKind::Redirect(302, "http://evil.example/x".into()), 1).await;
        assert!(
            matches!(&away, ForgeError::Unavailable { message, .. } if message.contains("evil.example")),
            "{away}"
        );
        assert!(open.pull_request().await.is_ok());
    }
}

#[tokio::test]
async fn an_expired_token_and_a_missing_permission_are_told_apart() {
    for (site, _, open) in Site::bitbuckets().await {
        open.pull_request().await.unwrap();
        site.forge.revoke_token(TOKEN);
        let expired = open.pull_request().await.unwrap_err();
        assert!(matches!(expired, ForgeError::Unauthorized { .. }), "{expired}");
        assert!(!expired.to_string().contains(TOKEN));
    }
}

#[tokio::test]
async fn a_list_without_an_end_is_an_error() {
    for (site, _, open) in Site::bitbuckets().await {
        let path = if site.is_cloud() { comments(&site) } else { pull(&site).replace('$', "/activities") };
        site.forge.add_fault(ForgeFault::on_call("GET", &path, ForgeFaultKind::SelfLinkedPage));
        let circle = open.producer_comments(&[]).await.unwrap_err();
        assert!(matches!(circle, ForgeError::Unavailable { .. }), "{circle}");
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_and_so_is_one_of_413() {
    for (site, number, open) in Site::bitbuckets().await {
        let summary = Effect::Summary { body: "x".repeat(40_000) };
        let refused = open.make(&summary).await.unwrap_err();
        assert!(matches!(refused, ForgeError::Rejected { .. }), "{refused}");
        // The forge accepts a text of the maximum length that a plan may use, together with the text's
        // marker.
        make(&open, Effect::Summary { body: "x".repeat(open.publish_limits().max_body_length) }).await;
        assert_eq!(site.shop.pull(number).await.unwrap().conversation_comments().count(), 1);
        for kind in [ForgeFaultKind::Status(413, None), ForgeFaultKind::Html(413)] {
            site.forge.add_fault(ForgeFault::on_call("POST", &comments(&site), kind));
            let refused = open.make(&summary).await.unwrap_err();
            assert!(matches!(refused, ForgeError::Rejected { .. }), "{refused}");
        }
    }
}

#[tokio::test]
async fn what_may_be_done_is_not_sent_again_and_is_found_by_its_marker() {
    for (site, number, open) in Site::bitbuckets().await {
        let summary = Effect::Summary { body: "Done.".into() };
        for kind in
            [ForgeFaultKind::LostResponse, ForgeFaultKind::StatusAfterCall(503), ForgeFaultKind::Truncated]
        {
            site.forge.add_fault(ForgeFault::on_call("POST", &comments(&site), kind.clone()));
            let error = open.make(&summary).await.unwrap_err();
            assert!(!error.has_no_effect(), "{kind:?}: {error}");
            let there = site.shop.pull(number).await.unwrap().conversation_comments().count();
            assert_eq!(there, 1, "{kind:?}");
            let seen = open.producer_comments(&[]).await.unwrap().remove(0);
            assert!(
                seen.subject == CommentSubject::Summary
                    && open.find_effect(&summary).await.unwrap().is_some()
            );
            let (item, comment) = (CommentSubject::Summary, seen.id);
            make(&open, Effect::DeleteDuplicate { item, comment }).await;
        }
    }
}

#[tokio::test]
async fn what_was_changed_meanwhile_is_read_and_decided_again_at_data_center() {
    let [_, (site, number, open)] = Site::bitbuckets().await;
    make(&open, Effect::Summary { body: "One.".into() }).await;
    let seen = open.producer_comments(&[]).await.unwrap().remove(0);
    let edit = Effect::EditComment { item: CommentSubject::Summary, comment: seen.id, body: "Two.".into() };
    let comment = pull(&site).replace('$', "/comments/{id}$");
    // After one conflict, the call is retried successfully; a permanent conflict is returned as an error.
    site.forge.add_fault(ForgeFault::on_call("PUT", &comment, ForgeFaultKind::Status(409, None)));
    make(&open, edit.clone()).await;
    let text = site.shop.pull(number).await.unwrap().conversation_comments().next().unwrap().body.clone();
    assert!(text.starts_with("Two."), "{text}");
    site.forge.add_fault(ForgeFault::on_call("PUT", &comment, ForgeFaultKind::Status(409, None)).times(3));
    let Effect::EditComment { item, comment, .. } = edit else { panic!("it is an edit") };
    let again = Effect::EditComment { item, comment, body: "Three.".into() };
    let stale = open.make(&again).await.unwrap_err();
    assert!(matches!(stale, ForgeError::Stale { .. }) && site.forge.has_no_faults(), "{stale}");
    // The client does not overwrite a description that another account has changed.
    site.shop.set_description(number, "Theirs.").await.unwrap();
    let describe = Effect::Describe { read: "What it does.".into(), body: "Ours.".into() };
    make(&open, describe).await;
    assert_eq!(site.shop.pull(number).await.unwrap().body, "Theirs.");
}

#[tokio::test]
async fn an_old_data_center_is_asked_for_no_drafts_and_one_line() {
    for (version, drafts) in [("8.17.4", false), ("8.18.0", true), ("9.2.0", true), ("of today", false)] {
        let [_, (site, number, open)] = Site::bitbuckets().await;
        site.forge.set_version(version);
        site.shop.set_draft(number, true).await.unwrap();
        let ready = open.make(&Effect::MarkReady).await;
        assert_eq!(ready.is_ok(), drafts, "{version}: {ready:?}");
        let row = site.server.capability();
        assert_eq!(
            (row.drafts, row.commentable_lines),
            (drafts, truing_forge::capability::CommentableLines::OneLine),
            "{version}"
        );
        let mut finding = super::reading::finding("a", 4);
        finding.location.start_line = 2;
        let commit = tip(&site).await;
        make(&open, Effect::Findings { commit, comments: vec![finding] }).await;
        let view = site.shop.pull(number).await.unwrap();
        let place = view.inline_comments().next().unwrap().place.clone().unwrap();
        assert_eq!((place.line.map(|(_, line)| line), place.start), (Some(4), None), "{version}");
    }
}

#[tokio::test]
async fn a_data_center_that_is_too_old_is_refused_by_its_version_and_gets_nothing() {
    for (version, refused) in [
        (
            "6.10.17",
            Some("the server is Bitbucket 6.10, but 7.14 is the oldest version that Truing supports"),
        ),
        (
            "7.13.20",
            Some("the server is Bitbucket 7.13, but 7.14 is the oldest version that Truing supports"),
        ),
        ("7.14.0", None),
    ] {
        let [_, (site, number, open)] = Site::bitbuckets().await;
        site.forge.set_version(version);
        let (sha, state, description) = (tip(&site).await, StatusState::Success, "x".into());
        let status = DesiredStatus { sha, state, description, check: CheckContent::default() };
        let set = open.make(&Effect::Status(status)).await;
        // A plan starts with a read of the existing comments, so this read must fail at old versions, too.
        let read = open.threads().await;
        for error in [set.err(), read.err()] {
            let Some(words) = refused else {
                assert_eq!(error, None, "{version}");
                continue;
            };
            let is_named = |error: &ForgeError| {
                matches!(error, ForgeError::Rejected { .. }) && error.to_string().contains(words)
            };
            assert!(error.as_ref().is_some_and(is_named), "{version}: {error:?}");
        }
        let view = site.shop.pull(number).await.unwrap();
        let shown = (view.reports.len(), view.statuses.len());
        assert_eq!(shown, if refused.is_some() { (0, 0) } else { (1, 1) }, "{version}");
    }
}

/// Performs an effect, and pushes a commit while the request for the first comment is held.
async fn performed_amid_a_push(
    (site, open): (&Site, &RepositoryClient),
    effect: &Effect,
) -> Result<EffectOutcome, ForgeError> {
    site.fault("POST", &comments(site), ForgeFaultKind::HeldRequest);
    let push = async {
        site.forge.wait_for_held_request().await;
        site.shop.push("feature", CommitBuilder::new("Meanwhile").write("b.txt", "b\n")).await.unwrap();
        site.forge.release_held_requests();
    };
    tokio::join!(open.make(effect), push).0
}

#[tokio::test]
async fn a_comment_that_a_push_put_on_another_head_does_not_stay_at_cloud() {
    let (site, number, open) = Site::with_pull_at(ForgeFlavour::Cloud).await;
    let lines = || async {
        let shown = site.shop.pull(number).await.unwrap();
        shown.inline_comments().filter(|comment| !comment.deleted).count()
    };
    let draft = draft_of(&site, &[3]).await;
    let finding = &draft.findings[0];
    let comment = Effect::LineComment {
        commit: draft.mark.commit.clone(),
        location: finding.location.clone(),
        topic: finding.topic.clone(),
        body: finding.body.clone(),
    };
    let amid = performed_amid_a_push((&site, &open), &comment).await;
    assert!(matches!(amid, Err(ForgeError::Rejected { .. })), "{amid:?}");
    assert_eq!(lines().await, 0);
    // The client also rejects the comment if the head changed before the call.
    assert!(matches!(open.make(&comment).await, Err(ForgeError::Rejected { .. })));
    assert_eq!(lines().await, 0);

    // The text of the review contains the findings without a comment.
    let review = Effect::Review(draft_of(&site, &[3]).await);
    performed_amid_a_push((&site, &open), &review).await.unwrap();
    assert_eq!(lines().await, 0);
    let shown = site.shop.pull(number).await.unwrap();
    assert!(shown.conversation_comments().any(|said| said.body.contains("Wrong")), "{shown:#?}");
}
