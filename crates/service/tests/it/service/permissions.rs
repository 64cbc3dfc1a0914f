//! Tests of reviews with a login that lacks a permission. The review either works without the permission and
//! reports this in the summary, or is parked with the name of the permission. The service does not repeat
//! rejected calls without end.

use truing_core::id::TimeSpan;
use truing_core::slot::SlotLimits;
use truing_fakes::forge::TokenKind;
use truing_fakes::repo::CommitBuilder;

use crate::service::change::{BOT, FIXED, FOUND, NEW, STAY};
use crate::service::site::{Site, TOKEN, limits};
use crate::service::{assert_first, assert_second, assert_second_with, no_violations};

/// Returns limits with which a single failure parks the pull request.
fn once() -> SlotLimits {
    SlotLimits { max_attempts: 1, ..limits() }
}

/// Counts the notes in a summary that name the permission for resolving threads.
fn says_why_open(summary: &str) -> usize {
    summary.matches("GitHub requires the permission `contents: write`").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_threads_may_not_be_resolved_comments_say_fixed_and_the_summary_says_why_once() {
    let mut site = Site::new().await;
    let (_, installation) = site.log_in_as_app("truing");
    let service = site.serve_with(once()).await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let picture = site.picture(&opened).await;
    assert_second_with(&picture, 0);
    assert_eq!(says_why_open(&picture.summaries[0]), 1, "{picture:#?}");
    let mints = "POST /app/installations/{id}/access_tokens";
    assert_eq!(site.forge.call_counts().get(mints), Some(&1), "no token is asked for that cannot be had");

    // After the permission is granted, the service resolves the threads of findings that are fixed later.
    site.forge.grant(installation, "contents", "write");
    site.clock.skip(TimeSpan::minutes(61));
    site.repo
        .push(
            &opened.branch,
            CommitBuilder::new("Mend more").write("src/fresh.py", "def fresh():\n    pass\n"),
        )
        .await
        .unwrap();
    site.deliver().await;
    service.rest(&site.clock).await;
    let picture = site.picture(&opened).await;
    let resolved = picture.comments.iter().filter(|comment| comment.resolved).count();
    assert_eq!((resolved, picture.open()), (NEW, STAY + FIXED), "{picture:#?}");
    assert_eq!(says_why_open(&picture.summaries[0]), 0, "{picture:#?}");
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_may_write_contents_resolves_what_is_fixed() {
    let mut site = Site::new().await;
    let (_, installation) = site.log_in_as_app("truing");
    site.forge.grant(installation, "contents", "write");
    let service = site.serve_with(once()).await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let picture = site.picture(&opened).await;
    assert_second(&picture);
    assert_eq!(says_why_open(&picture.summaries[0]), 0);
    no_violations(&site);
    service.stop().await;
}

/// The permissions that `docs/github.md` lists, with the names of GitHub's API.
const ASKED: &[(&str, &str)] = &[
    ("contents", "read"),
    ("issues", "write"),
    ("metadata", "read"),
    ("pull_requests", "write"),
    ("statuses", "write"),
];

/// Limits the service's token to all permissions of `ASKED` except one.
fn limit(site: &Site, kind: TokenKind, without: &str) {
    let held: Vec<(&str, &str)> = ASKED.iter().copied().filter(|(name, _)| *name != without).collect();
    site.forge.register_limited_token(TOKEN, kind, BOT, "acme", &held);
}

/// The result of a review without one permission.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum MissingPermissionResult {
    /// The review is the same as with the permission.
    Whole,
    /// The review is complete except for the commit's status, and the summary reports that there is none.
    NoStatus,
    /// The review is parked, and the history contains this text, which names the permission.
    Stopped(&'static str),
}

/// Reviews two heads of a pull request without one permission. Checks the result and the number of rejected
/// calls.
async fn assert_without(site: Site, what: &str, expected: MissingPermissionResult) {
    let service = site.serve_with(once()).await;
    let mut opened = site.open("change").await;
    site.deliver().await;
    let key = site.key(opened.number).await;
    if let MissingPermissionResult::Stopped(named) = expected {
        service.state(&key, "held (parked)").await;
        let history = service.history(&key).await.join("\n");
        assert!(history.contains(named), "{what}: {history}");
    } else {
        service.rest(&site.clock).await;
        site.push_second(&mut opened).await;
        site.deliver().await;
        service.rest(&site.clock).await;
        let picture = site.picture(&opened).await;
        assert_eq!(
            (picture.comments.len(), picture.open()),
            (FOUND + NEW, FOUND + NEW),
            "{what}: {picture:#?}"
        );
        let [summary] = picture.summaries.as_slice() else { panic!("{what}: {:#?}", picture.summaries) };
        assert_eq!(says_why_open(summary), 1, "{what}: {summary}");
        let has_status = expected == MissingPermissionResult::Whole;
        assert_eq!(
            summary.matches("The commit shows no status").count(),
            usize::from(!has_status),
            "{what}: {summary}"
        );
        let told = format!("{} findings", STAY + NEW);
        assert_eq!(picture.status, has_status.then(|| ("failure".to_owned(), told)), "{what}");
        assert_eq!(service.published(&key).await, 2, "{what}");
    }
    let log = site.forge.request_log();
    let refused = log.iter().filter(|call| call.status == Some(403)).count();
    // If the review fails, reporting the failure on the pull request causes a few more rejected calls.
    let most = if matches!(expected, MissingPermissionResult::Stopped(_)) { 4 } else { 1 };
    assert!(refused <= most, "{what}: {refused} refused calls: {log:#?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_each_permission_of_an_app_a_review_is_degraded_and_says_so_or_stops_and_names_it() {
    for (name, expected) in [
        ("checks", MissingPermissionResult::Whole),
        ("contents", MissingPermissionResult::Stopped("the App lacks the permission `contents: read`")),
        ("issues", MissingPermissionResult::Whole),
        ("metadata", MissingPermissionResult::Stopped("the App lacks the permission `metadata: read`")),
        (
            "pull_requests",
            MissingPermissionResult::Stopped("the App lacks the permission `pull_requests: write`"),
        ),
        ("statuses", MissingPermissionResult::Whole),
    ] {
        let mut site = Site::new().await;
        let (_, installation) = site.log_in_as_app("truing");
        site.forge.revoke_permission(installation, name);
        assert_without(site, name, expected).await;
    }
    let mut site = Site::new().await;
    let (_, installation) = site.log_in_as_app("truing");
    site.forge.revoke_permission(installation, "checks");
    site.forge.revoke_permission(installation, "statuses");
    assert_without(site, "checks and statuses", MissingPermissionResult::NoStatus).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_each_permission_of_a_token_a_review_is_degraded_and_says_so_or_stops_and_names_it() {
    for (name, expected) in [
        ("", MissingPermissionResult::Whole),
        ("contents", MissingPermissionResult::Stopped("may read the repository's contents")),
        ("issues", MissingPermissionResult::Whole),
        (
            "pull_requests",
            MissingPermissionResult::Stopped("the call requires the permission pull_requests=read"),
        ),
        ("statuses", MissingPermissionResult::NoStatus),
    ] {
        let site = Site::new().await;
        site.forge.revoke_token(TOKEN);
        limit(&site, TokenKind::FineGrained, name);
        assert_without(site, name, expected).await;
    }
}
