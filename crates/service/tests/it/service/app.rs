//! Tests of the service as a GitHub App. The forge enforces that each token is for one repository and valid
//! for one hour.

use std::time::Duration;

use truing_core::id::TimeSpan;
use truing_core::slot::SlotLimits;
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};

use crate::service::site::{Site, limits};
use crate::service::{REVIEWS, assert_first, assert_second_with, no_violations};

/// Returns limits with which a single failure parks the pull request.
fn once() -> SlotLimits {
    SlotLimits { max_attempts: 1, ..limits() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_reviews_with_tokens_for_the_one_repository() {
    let mut site = Site::new().await;
    let (app, _) = site.log_in_as_app("truing");
    let service = site.serve_with(once()).await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_second_with(&site.picture(&opened).await, 0);

    let tokens = site.forge.issued_tokens();
    assert_eq!(tokens.len(), 1, "one for all calls and for git");
    let bot = format!("{}[bot]", app.slug);
    let log = site.forge.request_log();
    assert!(log.iter().all(|call| call.login.as_deref() == Some(bot.as_str())), "{log:#?}");
    no_violations(&site);

    // The stored files contain neither the key nor a token.
    service.stop().await;
    let mut kept = std::fs::read(site.database()).unwrap();
    kept.extend(std::fs::read(site.database().with_extension("db-wal")).unwrap_or_default());
    let shown = format!("{:?}", site.view(&opened).await);
    let secret = app.private_key.lines().nth(3).unwrap();
    for secret in [secret, tokens[0].as_str()] {
        assert!(!kept.windows(secret.len()).any(|part| part == secret.as_bytes()));
        assert!(!shown.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_in_mid_run_is_replaced_and_nothing_fails() {
    let mut site = Site::new().await;
    site.log_in_as_app("truing");
    let service = site.serve_with(once()).await;
    let mut pulls = Vec::new();
    for (index, (method, route)) in [
        ("GET", "/repos/{owner}/{repo}/pulls/{number}$"),
        ("GET", "/repos/{owner}/{repo}/issues/{number}/comments$"),
        ("POST", "/repos/{owner}/{repo}/issues/{number}/comments$"),
        ("POST", REVIEWS),
        ("POST", "/repos/{owner}/{repo}/check-runs$"),
    ]
    .into_iter()
    .enumerate()
    {
        let opened = site.open(&format!("change-{index}")).await;
        site.forge.add_fault(ForgeFault::on_call(method, route, ForgeFaultKind::Status(401, None)));
        site.deliver().await;
        service.rest(&site.clock).await;
        site.forge.clear_faults();
        pulls.push(opened);
    }
    // All tokens are expired now. After each skip of the clock, the newer tokens are expired, too.
    site.forge.expire_tokens();
    for pull in &mut pulls {
        site.push_second(pull).await;
        site.clock.skip(TimeSpan::minutes(61));
        site.deliver().await;
        service.rest(&site.clock).await;
    }
    for pull in &pulls {
        assert_second_with(&site.picture(pull).await, 0);
        let key = site.key(pull.number).await;
        let history = service.history(&key).await;
        assert!(!history.iter().any(|what| what.contains("failed")), "{history:#?}");
    }
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_sweeps_what_it_is_installed_for_and_finds_what_was_renamed() {
    let mut site = Site::new().await;
    site.log_in_as_app("truing");
    let first = site.open("first").await;
    let service = site.serve_sweeping(Duration::from_millis(50)).await;
    // The forge does not send the delivery, so the sweep has to find the pull request.
    let key = site.key(first.number).await;
    crate::service::site::until("the sweep finds it", async || service.published(&key).await == 1).await;
    assert_first(&site.picture(&first).await);
    service.stop().await;

    let service = site.serve_with(once()).await;
    let mut first = first;
    site.push_second(&mut first).await;
    let deliveries = site.forge.take_deliveries();
    site.repo.rename("acme", "store").await.unwrap();
    for delivery in &deliveries {
        site.forge.deliver(delivery).await.unwrap();
    }
    service.rest(&site.clock).await;
    assert_eq!(service.published(&key).await, 2, "{:#?}", service.history(&key).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_app_may_not_is_told_by_why_with_what_it_needs() {
    let mut site = Site::new().await;
    let (_, installation) = site.log_in_as_app("truing");
    site.forge.revoke_permission(installation, "pull_requests");
    let service = site.serve_with(once()).await;
    let opened = site.open("change").await;
    site.deliver().await;
    let key = site.key(opened.number).await;
    service.state(&key, "held (parked)").await;
    let history = service.history(&key).await.join("\n");
    let told = "acme/shop: getting a token as GitHub App: the token has no permission for this request \
        (403): the App lacks the permission `pull_requests: write`";
    assert!(history.contains(told), "{history}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_former_account_wrote_is_ours_and_is_not_said_again() {
    let mut site = Site::new().await;
    let service = site.serve_with(once()).await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    service.stop().await;

    site.log_in_as_app("truing-acme");
    // The service also loses its records, so only the markers in comments remain.
    site.forget();
    let service = site.serve_with(once()).await;
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let view = site.view(&opened).await;
    let by = |login: &str| view.inline_comments().filter(|comment| comment.author == login).count();
    assert_eq!(
        (by("truing[bot]"), by("truing-acme[bot]")),
        (crate::service::change::FOUND, crate::service::change::NEW)
    );
    let summaries: Vec<&str> = view.conversation_comments().map(|comment| comment.author.as_str()).collect();
    assert_eq!(summaries, ["truing[bot]", "truing-acme[bot]"], "the old one could never be rewritten");
    no_violations(&site);
    service.stop().await;
}

/// Returns faults of the forge, each with the text that people see, and with true if the review succeeds
/// later without a retry by a person.
fn answers() -> Vec<(ForgeFaultKind, &'static str, bool)> {
    let elsewhere = "https://elsewhere.example/repos".to_owned();
    vec![
        (ForgeFaultKind::Status(401, None), "does not accept the token (401) (hint: make a new token", false),
        (
            ForgeFaultKind::Status(403, None),
            "has no permission for this request (403): Forbidden (hint: give the token permission",
            false,
        ),
        (
            ForgeFaultKind::SecondaryLimit(None),
            "rate limited for 60 s (hint: Truing continues automatically after this time",
            true,
        ),
        (ForgeFaultKind::SecondaryLimit(Some(7)), "rate limited for 7 s", true),
        (ForgeFaultKind::PrimaryLimit(30), "rate limited for ", true),
        (ForgeFaultKind::Status(429, None), "rate limited for 60 s", true),
        (ForgeFaultKind::Status(429, Some(9)), "rate limited for 9 s", true),
        (ForgeFaultKind::Status(404, None), "not found, or hidden from this token (404) (hint: check", false),
        (ForgeFaultKind::Status(410, None), "not found, or hidden from this token (404)", false),
        (
            ForgeFaultKind::Status(422, None),
            "refused: Unprocessable Entity (hint: see the forge's message",
            false,
        ),
        (
            ForgeFaultKind::Status(500, None),
            "status 500: Internal Server Error (hint: if this persists",
            false,
        ),
        (ForgeFaultKind::Status(503, None), "status 503: Service Unavailable (hint: if this persists", false),
        (
            ForgeFaultKind::Html(200),
            "HTML instead of JSON (does a proxy answer, or is api_url wrong?) (hint: ",
            false,
        ),
        (ForgeFaultKind::Html(502), "status 502: the forge gives no reason (hint: ", false),
        (ForgeFaultKind::Truncated, "the answer's JSON is cut off (hint: ", false),
        (
            ForgeFaultKind::Redirect(301, elsewhere.clone()),
            "redirects to https://elsewhere.example: redirects",
            false,
        ),
        (
            ForgeFaultKind::Redirect(307, elsewhere),
            "redirects to https://elsewhere.example: redirects",
            false,
        ),
        (
            ForgeFaultKind::Redirect(301, "/repositories/1".into()),
            "the resource has another address now",
            false,
        ),
        (ForgeFaultKind::DropConnection, "the connection broke before the answer was complete", false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_answer_has_its_words_its_end_and_a_hint_and_no_secret() {
    let mut site = Site::new().await;
    let (app, _) = site.log_in_as_app("truing");
    let service = site.serve_with(once()).await;
    let mut told = String::new();
    for (index, (kind, words, comes)) in answers().into_iter().enumerate() {
        let opened = site.open(&format!("change-{index}")).await;
        let key = site.key(opened.number).await;
        let path = format!("/repos/acme/shop/pulls/{}$", opened.number);
        let times = if comes { 1 } else { 99 };
        site.forge.add_fault(ForgeFault::on_call("GET", &path, kind.clone()).times(times));
        site.deliver().await;
        if comes {
            service.rest(&site.clock).await;
            assert_first(&site.picture(&opened).await);
        } else {
            service.state(&key, "held (parked)").await;
            let picture = site.picture(&opened).await;
            assert_eq!((picture.status, picture.comments.len()), (None, 0), "{kind:?}: never green");
            site.forge.clear_faults();
            service.retry(&key).await;
            service.rest(&site.clock).await;
            assert_first(&site.picture(&opened).await);
        }
        let history = service.history(&key).await.join("\n");
        assert!(history.contains(words), "{kind:?}: {history}");
        told += &history;
        told += &format!("{:?}", site.view(&opened).await);
    }
    let tokens = site.forge.issued_tokens();
    assert!(!tokens.is_empty());
    let key = app.private_key.lines().nth(3).unwrap().to_owned();
    for secret in tokens.iter().chain([&key]).map(String::as_str).chain([crate::service::SECRET]) {
        assert!(!told.contains(secret), "{told}");
    }
    service.stop().await;
}
