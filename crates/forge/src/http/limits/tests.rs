//! Tests of the rate limits: the calls that have to wait, the duration of the wait, and the owner of the
//! limit.

use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use truing_fakes::common::FakeSharedState;
use url::Url;

use super::*;
use crate::testing::ManualClock;

/// Start of the tests: 2026-11-20T08:00:00Z.
const NOW: UnixMillis = UnixMillis(1_795_161_600_000);

fn limits(api: &str) -> (RateLimits, ManualClock) {
    let clock = ManualClock::new(NOW);
    (
        RateLimits::new(
            crate::github::http_dialect(&Url::parse(api).unwrap()).creation_limits,
            Arc::new(clock.clone()),
        ),
        clock,
    )
}

fn url(path: &str) -> Url {
    Url::parse(&format!("https://api.github.com{path}")).unwrap()
}

fn read() -> ForgeRequest {
    ForgeRequest::get("reading x", url("/x"))
}

fn create() -> ForgeRequest {
    ForgeRequest::create("making x", url("/x"), Value::Null)
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    list.iter().map(pair).collect()
}

/// Returns the time that a call has to wait; `None` if the call may be sent now.
async fn wait(limits: &RateLimits, payer: RateLimitOwner, call: &ForgeRequest) -> Option<TimeSpan> {
    match limits.admit(payer, call).await {
        Ok(_) => None,
        Err(ForgeError::RateLimited { wait, request }) => {
            assert_eq!(request, call.purpose);
            Some(wait)
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_spent_primary_limit_is_not_tried_until_its_window_ends() {
    let (limits, clock) = limits("https://api.github.com");
    let (one, other) = (RateLimitOwner::Installation(1), RateLimitOwner::Installation(2));
    // The window ends in ten minutes. The forge's clock, which defines the window, is an hour ahead of the
    // client's clock.
    let spent = [
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1795165800"),
        ("date", "Fri, 20 Nov 2026 09:00:00 GMT"),
    ];
    limits.record_headers(one, &headers(&spent)).await;
    assert_eq!(wait(&limits, one, &read()).await, Some(TimeSpan::minutes(10)));
    assert_eq!(wait(&limits, other, &read()).await, None, "each installation has its own");
    let graphql = ForgeRequest::get("asking x", url("/graphql"));
    assert_eq!(wait(&limits, one, &graphql).await, None, "GraphQL is counted apart");
    let of_graphql = [spent.as_slice(), &[("x-ratelimit-resource", "graphql")]].concat();
    limits.record_headers(other, &headers(&of_graphql)).await;
    assert_eq!(wait(&limits, other, &graphql).await, Some(TimeSpan::minutes(10)));
    assert_eq!(wait(&limits, other, &read()).await, None);
    clock.pass(TimeSpan::minutes(10));
    assert_eq!(wait(&limits, one, &read()).await, None);
}

#[tokio::test]
async fn whoever_has_the_fewest_calls_left_is_shown() {
    let (limits, clock) = limits("https://api.github.com");
    assert_eq!(limits.quota(), None);
    for (installation, left, reset) in
        [(1, "70", "1795165200"), (2, "4", "1795161660"), (3, "900", "1795165200")]
    {
        let told =
            [("x-ratelimit-limit", "5000"), ("x-ratelimit-remaining", left), ("x-ratelimit-reset", reset)];
        limits.record_headers(RateLimitOwner::Installation(installation), &headers(&told)).await;
    }
    let left = || limits.quota().map(|quota| quota.remaining);
    assert_eq!(left(), Some(4));
    clock.pass(TimeSpan::minutes(1));
    assert_eq!(left(), Some(70), "a window that is over says nothing of the next one");
    clock.pass(TimeSpan::minutes(60));
    assert_eq!(left(), Some(4), "still the last that was told");
}

#[tokio::test]
async fn a_secondary_limit_stops_all_calls_of_its_payer_and_the_wait_grows_until_one_goes_well() {
    let (limits, clock) = limits("https://api.github.com");
    let (one, other) = (RateLimitOwner::Installation(3), RateLimitOwner::Installation(4));
    assert_eq!(
        limits.record_secondary_limit(one, SecondaryLimit::WithWait, TimeSpan::seconds(17)).await,
        TimeSpan::seconds(17)
    );
    assert_eq!(wait(&limits, one, &read()).await, Some(TimeSpan::seconds(17)));
    assert_eq!(wait(&limits, one, &create()).await, Some(TimeSpan::seconds(17)));
    assert_eq!(wait(&limits, other, &create()).await, None, "each installation has its own");
    clock.pass(TimeSpan::seconds(17));
    assert_eq!(wait(&limits, one, &read()).await, None);

    let mut waits = Vec::new();
    for _ in 0..8 {
        // Two simultaneous calls that exceed the limit count as one hit.
        let hit = limits.record_secondary_limit(one, SecondaryLimit::WithoutWait, DEFAULT_WAIT).await;
        assert_eq!(limits.record_secondary_limit(one, SecondaryLimit::WithoutWait, DEFAULT_WAIT).await, hit);
        limits.record_success(one).await; // a third call, sent earlier
        waits.push(hit.0 / 60_000);
        clock.pass(hit);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    limits.record_success(one).await;
    assert_eq!(
        limits.record_secondary_limit(one, SecondaryLimit::WithoutWait, DEFAULT_WAIT).await,
        TimeSpan::minutes(1)
    );
    // If the client's clock is set back by a day, the wait is not extended by a day.
    clock.pass(TimeSpan::minutes(-24 * 60));
    assert_eq!(wait(&limits, one, &read()).await, None);
}

#[tokio::test]
async fn what_is_created_keeps_within_what_githubs_own_service_allows() {
    let (limits, clock) = limits("https://api.github.com");
    for _ in 0..80 {
        assert_eq!(wait(&limits, RateLimitOwner::Token, &create()).await, None);
    }
    clock.pass(TimeSpan::seconds(20));
    assert_eq!(wait(&limits, RateLimitOwner::Token, &create()).await, Some(TimeSpan::seconds(40)));
    assert_eq!(wait(&limits, RateLimitOwner::Token, &read()).await, None, "reading is another matter");
    clock.pass(TimeSpan::seconds(40));
    let mut made = 80;
    while made < 500 {
        match wait(&limits, RateLimitOwner::Token, &create()).await {
            None => made += 1,
            Some(time) => clock.pass(time),
        }
    }
    let left = NOW + TimeSpan::minutes(60) - clock.now();
    assert_eq!(
        wait(&limits, RateLimitOwner::Token, &create()).await,
        Some(left),
        "the first ones leave the hour"
    );
    clock.pass(left);
    assert_eq!(wait(&limits, RateLimitOwner::Token, &create()).await, None);
}

#[tokio::test]
async fn a_call_that_is_not_sent_counts_as_none_created() {
    let (limits, clock) = limits("https://api.octo.ghe.com");
    limits
        .record_secondary_limit(RateLimitOwner::Token, SecondaryLimit::WithWait, TimeSpan::seconds(10))
        .await;
    for _ in 0..500 {
        assert!(wait(&limits, RateLimitOwner::Token, &create()).await.is_some());
    }
    clock.pass(TimeSpan::seconds(10));
    for _ in 0..80 {
        assert_eq!(wait(&limits, RateLimitOwner::Token, &create()).await, None);
    }
    assert!(wait(&limits, RateLimitOwner::Token, &create()).await.is_some());
}

#[tokio::test]
async fn other_servers_limit_by_themselves() {
    for api in ["https://git.example.com/api/v3", "http://127.0.0.1:9", "https://github.com.example"] {
        let (limits, _) = limits(api);
        for _ in 0..600 {
            assert_eq!(wait(&limits, RateLimitOwner::Token, &create()).await, None, "{api}");
        }
    }
}

#[tokio::test]
async fn no_more_calls_are_under_way_than_there_are_places() {
    let (limits, _) = limits("https://api.github.com");
    let mut places = Vec::new();
    for _ in 0..MAX_CONCURRENT_CALLS {
        places.push(limits.admit(RateLimitOwner::Token, &read()).await.unwrap());
    }
    let next = read();
    let mut next = std::pin::pin!(limits.admit(RateLimitOwner::Token, &next));
    tokio::select! {
        biased;
        _ = &mut next => panic!("one too many"),
        () = std::future::ready(()) => {}
    }
    // While a call waits for a free slot, another call hits a limit. The waiting call is then rejected.
    limits
        .record_secondary_limit(RateLimitOwner::Token, SecondaryLimit::WithWait, TimeSpan::seconds(5))
        .await;
    places.pop();
    assert!(matches!(next.await, Err(ForgeError::RateLimited { .. })));
}

/// Returns the rate limits of two processes with one login, the shared state, and the clocks of the
/// processes. The clock of the shared state is an hour ahead of these clocks.
fn two() -> (RateLimits, RateLimits, FakeSharedState, [ManualClock; 2]) {
    let (ours, theirs) = (ManualClock::new(NOW), ManualClock::new(NOW + TimeSpan::minutes(60)));
    let common = FakeSharedState::new(Arc::new(theirs.clone()));
    let process = || {
        let creations = crate::github::http_dialect(&url("")).creation_limits;
        let limits = RateLimits::new(creations, Arc::new(ours.clone()));
        limits.with_shared_limits(Arc::new(common.clone()), "limits:here".to_owned())
    };
    (process(), process(), common, [ours, theirs])
}

fn pass(clocks: &[ManualClock; 2], time: TimeSpan) {
    clocks.iter().for_each(|clock| clock.pass(time));
}

#[tokio::test]
async fn processes_create_together_what_one_may_and_while_they_know_nothing_of_each_other_each_as_much() {
    let (one, other, common, clocks) = two();
    for of in 0..80 {
        let limits = if of % 2 == 0 { &one } else { &other };
        assert_eq!(wait(limits, RateLimitOwner::Token, &create()).await, None);
    }
    pass(&clocks, TimeSpan::seconds(20));
    for limits in [&one, &other] {
        assert_eq!(wait(limits, RateLimitOwner::Token, &create()).await, Some(TimeSpan::seconds(40)));
        assert_eq!(wait(limits, RateLimitOwner::Token, &read()).await, None, "reading is another matter");
        assert_eq!(wait(limits, RateLimitOwner::Installation(1), &create()).await, None, "each has its own");
    }
    common.set_unreachable(true);
    // Each process has counted only its own 40 creations, without the creations that had to wait. Each
    // process may therefore create 40 more comments.
    for _ in 0..40 {
        assert_eq!(wait(&one, RateLimitOwner::Token, &create()).await, None);
    }
    assert_eq!(wait(&one, RateLimitOwner::Token, &create()).await, Some(TimeSpan::seconds(40)));
    pass(&clocks, TimeSpan::seconds(40));
    common.set_unreachable(false);
    assert_eq!(wait(&other, RateLimitOwner::Token, &create()).await, None);
}

#[tokio::test]
async fn a_secondary_limit_that_one_process_met_stops_the_others_for_the_same_time() {
    let (one, other, common, clocks) = two();
    one.record_secondary_limit(RateLimitOwner::Token, SecondaryLimit::WithWait, TimeSpan::seconds(90)).await;
    assert_eq!(wait(&other, RateLimitOwner::Token, &read()).await, Some(TimeSpan::seconds(90)));
    assert_eq!(wait(&other, RateLimitOwner::Token, &create()).await, Some(TimeSpan::seconds(90)));
    // A second hit with a shorter wait does not shorten the wait.
    other.record_secondary_limit(RateLimitOwner::Token, SecondaryLimit::WithWait, TimeSpan::seconds(5)).await;
    assert_eq!(wait(&one, RateLimitOwner::Token, &read()).await, Some(TimeSpan::seconds(90)));
    // The other process has already read the limit, so this process no longer needs the shared state.
    common.set_unreachable(true);
    pass(&clocks, TimeSpan::seconds(30));
    assert_eq!(wait(&other, RateLimitOwner::Token, &read()).await, Some(TimeSpan::seconds(60)));
    pass(&clocks, TimeSpan::seconds(60));
    assert_eq!(wait(&other, RateLimitOwner::Token, &read()).await, None);
}

#[tokio::test]
async fn the_wait_grows_with_the_strikes_of_all_until_a_call_of_any_goes_well() {
    let (one, other, common, clocks) = two();
    for (limits, minutes) in [(&one, 1), (&other, 2), (&one, 4)] {
        let hit = limits
            .record_secondary_limit(RateLimitOwner::Token, SecondaryLimit::WithoutWait, DEFAULT_WAIT)
            .await;
        assert_eq!(hit, TimeSpan::minutes(minutes));
        pass(&clocks, hit);
    }
    assert_eq!(wait(&other, RateLimitOwner::Token, &read()).await, None);
    other.record_success(RateLimitOwner::Token).await;
    assert_eq!(
        one.record_secondary_limit(RateLimitOwner::Token, SecondaryLimit::WithoutWait, DEFAULT_WAIT).await,
        TimeSpan::minutes(1)
    );
    assert_eq!(common.names(), ["limits:here"]);
}

#[tokio::test]
async fn a_primary_limit_that_one_process_has_seen_used_up_is_not_tried_by_the_others() {
    let (one, other, ..) = two();
    let told = [
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1795162200"),
        ("date", "Fri, 20 Nov 2026 08:00:00 GMT"),
    ];
    one.record_headers(RateLimitOwner::Installation(1), &headers(&told)).await;
    assert_eq!(wait(&other, RateLimitOwner::Installation(1), &read()).await, Some(TimeSpan::minutes(10)));
    let graphql = ForgeRequest::get("asking x", url("/graphql"));
    assert_eq!(wait(&other, RateLimitOwner::Installation(1), &graphql).await, None);
    assert_eq!(wait(&other, RateLimitOwner::Installation(2), &read()).await, None);
}

#[tokio::test]
async fn whoever_only_reads_asks_the_others_once_a_second_and_whoever_creates_each_time() {
    let (one, _, common, clocks) = two();
    for _ in 0..9 {
        wait(&one, RateLimitOwner::Token, &read()).await;
    }
    assert_eq!(common.read_count(), 1);
    pass(&clocks, TimeSpan::seconds(1));
    wait(&one, RateLimitOwner::Token, &read()).await;
    assert_eq!(common.read_count(), 2);
    for _ in 0..3 {
        wait(&one, RateLimitOwner::Token, &create()).await;
    }
    assert_eq!(common.read_count(), 5);
}
