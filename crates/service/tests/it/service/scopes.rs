//! Tests of reviews with a Bitbucket token that lacks a scope or a permission. The review is either complete,
//! or parked with the name of the missing scope. It does not repeat rejected calls.

use truing_core::id::TimeSpan;
use truing_core::slot::SlotLimits;
use truing_fakes::forge::{ForgeFlavour, TokenKind};

use crate::service::assert_first;
use crate::service::change::BOT;
use crate::service::site::{Site, TOKEN, limits};

/// The scopes that `docs/bitbucket.md` lists for an API token that does not push branches.
const SCOPES: &[&str] = &[
    "read:user:bitbucket",
    "read:workspace:bitbucket",
    "read:repository:bitbucket",
    "read:pullrequest:bitbucket",
    "write:pullrequest:bitbucket",
];

/// Reviews a pull request with a token that has only these scopes. If `stopped` is given, the review must be
/// parked, and its history must contain these words.
async fn assert_review(flavour: ForgeFlavour, kind: TokenKind, held: &[&str], stopped: Option<&str>) {
    let site = Site::of(flavour, TimeSpan(300)).await;
    site.forge.revoke_token(TOKEN);
    let held: Vec<(&str, &str)> = held.iter().map(|name| (*name, "")).collect();
    site.forge.register_limited_token(TOKEN, kind, BOT, "acme", &held);
    let service = site.serve_with(SlotLimits { max_attempts: 1, ..limits() }).await;
    let opened = site.open("change").await;
    site.deliver().await;
    let key = site.key(opened.number).await;
    if let Some(words) = stopped {
        service.state(&key, "held (parked)").await;
        let history = service.history(&key).await.join("\n");
        assert!(history.contains(words), "{held:?}: {history}");
    } else {
        service.rest(&site.clock).await;
        assert_first(&site.picture(&opened).await);
    }
    let log = site.forge.request_log();
    let refused = log.iter().filter(|call| matches!(call.status, Some(401 | 403))).count();
    // If the review fails, reporting the failure on the pull request causes a few more rejected calls.
    let most = if stopped.is_some() { 4 } else { 1 };
    assert!(refused <= most, "{held:?}: {refused} refused calls: {log:#?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_each_scope_of_an_api_token_a_review_is_whole_or_stops_and_names_it() {
    for (without, is_needed) in [
        ("", false),
        ("read:user:bitbucket", true),
        ("read:workspace:bitbucket", false),
        ("read:repository:bitbucket", true),
        ("read:pullrequest:bitbucket", true),
        ("write:pullrequest:bitbucket", false),
    ] {
        let held: Vec<&str> = SCOPES.iter().copied().filter(|scope| *scope != without).collect();
        let words = format!("the call requires the scopes {without}");
        assert_review(ForgeFlavour::Cloud, TokenKind::ApiToken, &held, is_needed.then_some(&words)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_each_permission_of_a_data_center_a_review_is_whole_and_without_it_stops_and_names_it() {
    for (held, stopped) in [
        (&["REPO_WRITE"] as &[_], None),
        (&["REPO_READ"], None),
        (&[], Some("the call requires the permission REPO_READ")),
    ] {
        assert_review(ForgeFlavour::DataCenter, TokenKind::HttpAccessToken, held, stopped).await;
    }
}
