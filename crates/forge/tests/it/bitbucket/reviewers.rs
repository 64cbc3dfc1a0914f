//! Tests with a reviewer who has left the workspace of Bitbucket Cloud. The pull request can still be
//! changed, and all other requested reviewers are kept.

use truing_core::id::PrId;
use truing_core::port::ForgeError;
use truing_core::publish::CommentProducer;
use truing_fakes::forge::ForgeFlavour;
use truing_forge::{ForgeServer as _, RepositoryClient};

use crate::repository::site::{BOT, Calls as _, Site, refused, with_access_token};

/// Opens a draft with ann and bob as requested reviewers.
async fn asked() -> (Site, u64, RepositoryClient) {
    let (site, number, pull) = Site::with_pull_at(ForgeFlavour::Cloud).await;
    for login in ["ann", "bob"] {
        site.shop.set_role(login, "write").await.unwrap();
        pull.request_review(&site.forge.account_id(login)).await.unwrap();
    }
    site.shop.set_draft(number, true).await.unwrap();
    (site, number, pull)
}

async fn reviewers(site: &Site, number: u64) -> Vec<String> {
    site.shop.pull(number).await.unwrap().reviewers
}

#[tokio::test]
async fn a_reviewer_who_has_left_is_left_out_and_the_others_stay() {
    for is_closed in [false, true] {
        let (site, number, pull) = asked().await;
        assert_eq!(reviewers(&site, number).await, ["ann", "bob"]);
        if is_closed {
            site.forge.close_account("bob");
        } else {
            site.shop.set_role("bob", "none").await.unwrap();
        }
        pull.mark_ready().await.unwrap();
        let view = site.shop.pull(number).await.unwrap();
        assert!(!view.draft, "closed: {is_closed}");
        assert_eq!(view.reviewers, ["ann"], "closed: {is_closed}");
        // The client looks up accounts only after a rejection, so an accepted call needs no lookup.
        let before = site.forge.request_log().len();
        pull.describe("What it does.", "It adds lines.").await.unwrap();
        let log = site.forge.request_log();
        assert!(log[before..].iter().all(|call| !call.path.contains("/members/")), "{log:#?}");
        assert_eq!(site.shop.pull(number).await.unwrap().body, "It adds lines.");
        assert_eq!(reviewers(&site, number).await, ["ann"]);
    }
}

#[tokio::test]
async fn where_the_token_may_not_ask_who_has_left_no_reviewer_is_lost() {
    let (site, number, _) = asked().await;
    site.shop.set_role("bob", "none").await.unwrap();
    let told = with_access_token(&site.forge, Some(site.forge.account_id(BOT)), &["acme"]);
    let id = PrId { forge: "bitbucket".into(), repository: site.id.clone(), number };
    let pull = told.client(&id, "acme/shop", CommentProducer::Converge);
    let error = pull.mark_ready().await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ForgeError::Rejected { .. }) && error.has_no_effect(), "{said}");
    assert!(said.contains("bob is not a member") && said.contains("docs/bitbucket.md"), "{said}");
    let view = site.shop.pull(number).await.unwrap();
    assert!(view.draft);
    assert_eq!(view.reviewers, ["ann", "bob"]);
}

#[tokio::test]
async fn whoever_cannot_be_asked_for_a_review_costs_nobody_theirs() {
    let (site, number, pull) = asked().await;
    refused(pull.request_review(&site.forge.account_id("stranger")).await);
    assert_eq!(reviewers(&site, number).await, ["ann", "bob"]);
    // All reviewers are also kept if one of them has left the workspace.
    site.shop.set_role("bob", "none").await.unwrap();
    refused(pull.request_review(&site.forge.account_id("stranger")).await);
    assert_eq!(reviewers(&site, number).await, ["ann", "bob"]);
    site.shop.set_role("cid", "write").await.unwrap();
    pull.request_review(&site.forge.account_id("cid")).await.unwrap();
    assert_eq!(reviewers(&site, number).await, ["ann", "cid"]);
}
