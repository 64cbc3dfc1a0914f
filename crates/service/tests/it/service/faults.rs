//! Tests with a forge that fails. Finally, each finding must be shown exactly once.

use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::slot::{LoopKind, SlotLimits};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};

use crate::service::change::FOUND;
use crate::service::health::get;
use crate::service::site::{Site, limits, until};
use crate::service::{REVIEWS, assert_first, assert_second, assert_second_alone, first_of, no_violations};

const PULL: &str = "/repos/{owner}/{repo}/pulls/{number}$";
const INLINE: &str = "/repos/{owner}/{repo}/pulls/{number}/comments$";
const SUMMARY: &str = "/repos/{owner}/{repo}/issues/{number}/comments$";
const STATUS: &str = "/repos/{owner}/{repo}/statuses/{sha}$";
const GIT: &str = "/{owner}/{repo}/info/refs";

/// Returns faults of the forge, except rate limits. A fault prevents the call or replaces the response of the
/// call.
fn misbehaviour() -> Vec<ForgeFaultKind> {
    vec![
        ForgeFaultKind::Status(401, None),
        ForgeFaultKind::Status(403, None),
        ForgeFaultKind::Status(404, None),
        ForgeFaultKind::Status(422, None),
        ForgeFaultKind::Status(500, None),
        ForgeFaultKind::Status(503, None),
        ForgeFaultKind::Html(200),
        ForgeFaultKind::Html(502),
        ForgeFaultKind::Redirect(301, "https://example.com/".into()),
        ForgeFaultKind::Truncated,
        ForgeFaultKind::DropConnection,
        ForgeFaultKind::LostResponse,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_review_ends_well_whatever_the_forge_does_at_one_call() {
    let site = Site::new().await;
    let service = site.serve().await;
    // For calls that are safe to repeat, each fault occurs three times, because the client repeats these
    // calls twice without a delay.
    let routes = [
        ("GET", "pulls/{}$", 3),
        ("GET", "issues/{}/comments$", 3),
        ("GET", "pulls/{}/comments$", 3),
        ("POST", "issues/{}/comments$", 1),
        ("POST", "pulls/{}/reviews$", 1),
        ("GET", "pulls/{}/reviews/", 3),
        ("POST", "statuses/{}$", 1),
    ];
    let mut pulls = Vec::new();
    for (method, route, times) in routes {
        for kind in misbehaviour() {
            let sets = route.starts_with("statuses");
            let opened = site.open(&format!("change-{}", pulls.len())).await;
            let of = if sets { &opened.first } else { &opened.number.to_string() };
            let path = format!("/repos/acme/shop/{}", route.replace("{}", of));
            site.forge.add_fault(ForgeFault::on_call(method, &path, kind.clone()).times(times));
            pulls.push((format!("{method} {route}: {kind:?}"), opened));
        }
    }
    site.deliver().await;
    service.rest(&site.clock).await;
    for (what, opened) in &pulls {
        assert_eq!(first_of(&site.picture(opened).await), Ok(()), "{what}");
        let key = site.key(opened.number).await;
        assert_eq!(service.published(&key).await, 1, "{what}: {:#?}", service.history(&key).await);
    }
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_review_ends_well_whatever_the_forge_does_at_one_call() {
    let site = Site::new().await;
    let service = site.serve_with(SlotLimits { max_attempts: 50, ..limits() }).await;
    let mut pulls = Vec::new();
    for name in ["one", "two", "three", "four", "five", "six"] {
        pulls.push(site.open(name).await);
    }
    site.deliver().await;
    service.rest(&site.clock).await;
    let routes = [
        ("PATCH", "/repos/acme/shop/issues/comments/", 3),
        ("PATCH", "/repos/acme/shop/pulls/comments/", 3),
        ("POST", "/graphql", 3),
        ("POST", REVIEWS, 1),
    ];
    for (method, path, times) in routes {
        // Faults with the status 404 are left out, because 404 means that a person deleted the comment, and
        // Truing does not post it again.
        let kinds = misbehaviour()
            .into_iter()
            .filter(|kind| *kind != ForgeFaultKind::Status(404, None) || method == "POST");
        for kind in kinds.filter(|kind| path != "/graphql" || *kind != ForgeFaultKind::Status(404, None)) {
            site.forge.add_fault(ForgeFault::on_call(method, path, kind).times(times));
        }
    }
    for pull in &mut pulls {
        site.push_second(pull).await;
    }
    site.deliver().await;
    service.rest(&site.clock).await;
    for pull in &pulls {
        assert_second(&site.picture(pull).await);
    }
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_for_and_counts_as_no_failure() {
    let site = Site::new().await;
    // With this limit, a single failure parks the pull request, so the test shows that a rate limit is not a
    // failure.
    let service = site.serve_with(SlotLimits { max_attempts: 1, ..limits() }).await;
    for (index, (method, path, kind)) in [
        ("GET", PULL, ForgeFaultKind::Status(429, None)),
        ("GET", SUMMARY, ForgeFaultKind::Status(429, Some(1))),
        ("POST", SUMMARY, ForgeFaultKind::SecondaryLimit(None)),
        ("POST", REVIEWS, ForgeFaultKind::SecondaryLimit(Some(1))),
        ("POST", REVIEWS, ForgeFaultKind::PrimaryLimit(30)),
        ("POST", STATUS, ForgeFaultKind::Status(429, None)),
    ]
    .into_iter()
    .enumerate()
    {
        site.forge.add_fault(ForgeFault::on_call(method, path, kind.clone()));
        let opened = site.open(&format!("change-{index}")).await;
        let key = site.key(opened.number).await;
        site.deliver().await;
        service.rest(&site.clock).await;
        assert_eq!(first_of(&site.picture(&opened).await), Ok(()), "{kind:?}");
        let history = service.history(&key).await;
        assert!(history.iter().any(|line| line == "continues later (rate_limit)"), "{kind:?}: {history:#?}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_whose_place_is_refused_go_to_the_file_or_the_summary() {
    let site = Site::new().await;
    let service = site.serve().await;
    let refused =
        |path, times| ForgeFault::on_call("POST", path, ForgeFaultKind::Status(422, None)).times(times);
    for (name, reviews, files, inline, on_files) in [
        ("one of the halves' halves", 4, 0, FOUND - 1, 1),
        ("and its file, too", 4, 1, FOUND - 1, 0),
        ("all of them", 1000, 0, 0, FOUND),
        ("all of them, and all files", 1000, 1000, 0, 0),
    ] {
        site.forge.clear_faults();
        site.forge.add_fault(refused(REVIEWS, reviews));
        site.forge.add_fault(refused(INLINE, files));
        let opened = site.open(&name.replace([' ', ',', '\''], "-")).await;
        site.deliver().await;
        service.rest(&site.clock).await;
        let picture = site.picture(&opened).await;
        let on_lines = picture.comments.iter().filter(|comment| comment.line.is_some()).count();
        assert_eq!(on_lines, inline, "{name}: {picture:#?}");
        assert_eq!(picture.comments.len() - on_lines, on_files, "{name}: {picture:#?}");
        let told = picture.summaries[0].matches("** (`core/").count();
        assert_eq!(picture.comments.len() + told, FOUND, "{name}: nothing is lost: {picture:#?}");
        assert_eq!((picture.summaries.len(), picture.deleted), (1, 0), "{name}: {picture:#?}");
    }
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_that_lists_do_not_show_yet_are_not_made_again() {
    let site = Site::new().await;
    let service = site.serve().await;
    site.forge.set_stale_list_reads(1);
    let mut opened = site.open("change").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_second(&site.picture(&opened).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_that_show_later_than_promised_are_made_twice_and_deleted_once() {
    let site = Site::new().await;
    let service = site.serve().await;
    site.forge.set_stale_list_reads(1);
    let opened = site.open("change").await;
    // The responses of these calls are lost, and the created comments are not yet in the forge's lists after
    // the settle delay.
    site.forge.add_fault(ForgeFault::on_call("POST", SUMMARY, ForgeFaultKind::LostResponse));
    site.forge.add_fault(ForgeFault::on_call("POST", REVIEWS, ForgeFaultKind::LostResponse));
    site.deliver().await;
    service.rest(&site.clock).await;
    let picture = site.picture(&opened).await;
    assert_eq!((picture.summaries.len(), picture.comments.len()), (1, FOUND), "{picture:#?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_the_forge_does_not_show_yet_is_reviewed_all_the_same() {
    let site = Site::settling(TimeSpan::seconds(60)).await;
    let service = site.serve().await;
    let mut reviewed = site.open("reviewed").await;
    site.deliver().await;
    service.rest(&site.clock).await;
    site.forge.set_stale_head_reads(1);
    site.push_second(&mut reviewed).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_second(&site.picture(&reviewed).await);

    // The forge returns the old head at the start of the review, and again at the end.
    let mut fresh = site.open("fresh").await;
    site.forge.set_stale_head_reads(2);
    site.push_second(&mut fresh).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_second(&site.picture(&fresh).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_head_that_is_gone_costs_one_more_look_and_no_more() {
    let site = Site::settling(TimeSpan::seconds(60)).await;
    let service = site.serve().await;
    let mut opened = site.open("change").await;
    let old = site.deliver().await;
    service.rest(&site.clock).await;
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    let key = site.key(opened.number).await;
    let before = service.history(&key).await.len();
    assert_eq!(site.forge.deliver(&old).await.unwrap(), 202);
    service.rest(&site.clock).await;
    assert_second(&site.picture(&opened).await);
    let after = service.history(&key).await.split_off(before);
    assert_eq!(after.iter().filter(|line| line.contains("leased")).count(), 2, "{after:#?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_too_often_is_parked_told_and_retried() {
    let site = Site::new().await;
    let service = site.serve_with(SlotLimits { max_attempts: 3, ..limits() }).await;
    // In the first two attempts, the API of the forge fails. In the third attempt, only the git server fails.
    site.forge.add_fault(ForgeFault::on_call("GET", PULL, ForgeFaultKind::Status(503, None)).times(6));
    site.forge.add_fault(ForgeFault::on_call("GET", GIT, ForgeFaultKind::Status(503, None)).times(1000));
    let opened = site.open("change").await;
    let key = site.key(opened.number).await;
    site.deliver().await;
    service.state(&key, "held (parked)").await;
    let picture = site.picture(&opened).await;
    let [summary] = picture.summaries.as_slice() else { panic!("{picture:#?}") };
    assert!(summary.contains("review temporarily unavailable"), "{summary}");
    assert!(summary.contains("the repository cannot be fetched or read"), "{summary}");
    let (state, description) = picture.status.unwrap();
    assert_eq!(state, "pending");
    assert!(description.starts_with("review temporarily unavailable"), "{description}");

    // The pull request is parked again, but the summary is not posted again.
    service.retry(&key).await;
    until("parked again", async || {
        let history = service.history(&key).await;
        history.iter().filter(|line| line.starts_with("parked after")).count() == 2
    })
    .await;
    assert_eq!(site.picture(&opened).await.summaries.len(), 1);

    site.forge.clear_faults();
    service.retry(&key).await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_computed_and_could_not_be_shown_is_shown_after_a_retry() {
    let site = Site::new().await;
    let service = site.serve_with(SlotLimits { max_attempts: 2, ..limits() }).await;
    site.forge.add_fault(ForgeFault::on_call("POST", REVIEWS, ForgeFaultKind::Status(403, None)).times(1000));
    let opened = site.open("change").await;
    let key = site.key(opened.number).await;
    site.deliver().await;
    service.state(&key, "held (parked)").await;
    let picture = site.picture(&opened).await;
    let [summary] = picture.summaries.as_slice() else { panic!("{picture:#?}") };
    assert!(summary.contains("review temporarily unavailable"), "{summary}");
    site.forge.clear_faults();
    service.retry(&key).await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_is_wholly_down_parks_and_the_next_push_brings_back() {
    let site = Site::new().await;
    let service = site.serve_with(SlotLimits { max_attempts: 2, ..limits() }).await;
    let mut opened = site.open("change").await;
    let key = site.key(opened.number).await;
    site.forge.add_fault(ForgeFault::on_call("", "/", ForgeFaultKind::DropConnection).times(100_000));
    site.deliver().await;
    service.state(&key, "held (parked)").await;
    // The store and the metrics show the failures and their number.
    let ended = service.store.run_ends_by_day(LoopKind::Review, UnixMillis(0)).await.unwrap();
    let told: Vec<_> = ended.iter().map(|row| (row.kind.as_str(), row.reason.as_str(), row.runs)).collect();
    assert_eq!(told, [("failed", "the forge sent an invalid answer", 2)]);
    let history = service.history(&key).await;
    assert!(history.iter().any(|line| line.contains("check forge.")), "{history:#?}");
    assert!(!history.iter().any(|line| line.contains("forge.NAME")), "{history:#?}");
    let metrics = get(&service.url, "/metrics").await;
    assert!(metrics.contains("truing_runs_total{loop=\"review\",outcome=\"failed\"} 2"), "{metrics}");
    site.forge.clear_faults();
    site.push_second(&mut opened).await;
    site.deliver().await;
    service.rest(&site.clock).await;
    assert_second_alone(&site.picture(&opened).await);
    service.stop().await;
}
