//! Tests of Truing's verdict on another account's pull request: a review sets the verdict, a later review
//! withdraws it, and no verdict approves.

use truing_core::port::ReviewEvent;
use truing_fakes::forge::{FakeReviewVerdict, ForgeFaultKind};
use truing_fakes::repo::CommitBuilder;

use crate::repository::reviewing::draft as draft_of;
use crate::repository::site::{BOT, Calls as _, Site};

/// Returns the accounts that request changes.
async fn against(site: &Site, number: u64) -> Vec<String> {
    let view = site.shop.pull(number).await.unwrap();
    let wanting = view.reviews.iter().filter(|review| review.verdict == FakeReviewVerdict::ChangesRequested);
    wanting.map(|review| review.author.clone()).collect()
}

/// Returns the route of the call that withdraws the verdict.
fn taking_back(site: &Site) -> (&'static str, &'static str) {
    if site.is_cloud() {
        ("DELETE", "/2.0/repositories/{owner}/{repo}/pullrequests/{number}/request-changes$")
    } else {
        ("PUT", "/rest/api/latest/projects/{owner}/repos/{repo}/pull-requests/{number}/participants/{slug}$")
    }
}

#[tokio::test]
async fn a_request_for_changes_is_taken_back_by_an_audit_that_finds_nothing() {
    for (site, number, open) in Site::bitbuckets().await {
        site.shop.review(number, "ann", FakeReviewVerdict::ChangesRequested, "Not so.").await.unwrap();
        let mut dirty = draft_of(&site, &[3]).await;
        dirty.event = ReviewEvent::RequestChanges;
        open.post_review(&dirty).await.unwrap();
        assert_eq!(against(&site, number).await, ["ann", BOT]);

        // A review that only comments, or a review of a previous head, does not change the verdict.
        let mut silent = draft_of(&site, &[]).await;
        silent.mark.audit = 2;
        open.post_review(&silent).await.unwrap();
        assert_eq!(against(&site, number).await, ["ann", BOT]);
        let mut former = draft_of(&site, &[]).await;
        (former.mark.audit, former.event) = (3, ReviewEvent::Withdraw);
        site.shop.push("feature", CommitBuilder::new("Fix").write("b.txt", "b\n")).await.unwrap();
        open.post_review(&former).await.unwrap();
        assert_eq!(against(&site, number).await, ["ann", BOT]);

        let mut clean = draft_of(&site, &[]).await;
        (clean.mark.audit, clean.event) = (4, ReviewEvent::Withdraw);
        let (method, route) = taking_back(&site);
        site.fault(method, route, ForgeFaultKind::LostResponse);
        let _ = open.post_review(&clean).await;
        let posted = open.post_review(&clean).await.unwrap();
        assert_eq!(against(&site, number).await, ["ann"]);
        assert!(site.forge.has_no_faults());

        // The client does not send a verdict again, and does not withdraw a verdict that does not exist.
        let before = site.forge.request_log().len();
        assert_eq!(open.post_review(&clean).await.unwrap(), posted);
        clean.mark.audit = 5;
        open.post_review(&clean).await.unwrap();
        let log = site.forge.request_log();
        let is_verdict = |path: &str| path.contains("/request-changes") || path.contains("/participants/");
        assert!(log[before..].iter().all(|call| !is_verdict(&call.path)), "{log:#?}");
        assert!(log.iter().all(|call| !call.path.ends_with("/approve")), "{log:#?}");
    }
}
