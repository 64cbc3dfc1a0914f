//! Tests of reservations and spending by several processes, with owners that crash, invalid rows and clocks
//! that are set back.

use std::sync::Arc;

use truing_core::id::{RunId, UnixMillis};
use truing_core::ledger::{
    BudgetCaps, BudgetLevel, BudgetLevelKind, BudgetScope, BudgetUsage, CostBasis, ReservationId,
    ReservationOutcome, ReservationRequest, RunBudget, utc_day, utc_month,
};
use truing_core::money::MicroUsd;
use truing_core::port::{Ledger as _, OperatorStore as _};
use truing_store::Store;

use super::{Home, ManualWallClock, NOW, new_home, new_store};

const DAY: i64 = 24 * 60 * 60 * 1000;

fn level(kind: BudgetLevelKind, key: &str, period: &str, limit: u64) -> BudgetLevel {
    BudgetLevel { kind, key: key.into(), period: period.into(), limit: MicroUsd(limit) }
}

fn review(limit: u64) -> BudgetLevel {
    level(BudgetLevelKind::Review, "pr/github/1/7@abc", "", limit)
}

pub(crate) fn repo(limit: u64) -> BudgetLevel {
    level(BudgetLevelKind::RepoDay, "github/1", &utc_day(UnixMillis(NOW)), limit)
}

pub(crate) fn team(limit: u64) -> BudgetLevel {
    level(BudgetLevelKind::TeamMonth, "web", &utc_month(UnixMillis(NOW)), limit)
}

fn pull(limit: u64) -> BudgetLevel {
    level(BudgetLevelKind::Pull, "pr/github/1/7", "", limit)
}

pub(crate) fn budget_of_levels(levels: &[BudgetLevel]) -> RunBudget {
    RunBudget { run: RunId::new("run"), levels: levels.to_vec() }
}

/// Returns a request for a reservation whose owner counts as crashed after a minute.
pub(crate) fn reservation_request(least: u64, most: u64) -> ReservationRequest {
    ReservationRequest {
        min_amount: MicroUsd(least),
        max_amount: MicroUsd(most),
        expires: UnixMillis(NOW + 60_000),
    }
}

pub(crate) async fn reserve_granted(
    store: &Store,
    levels: &[BudgetLevel],
    request: ReservationRequest,
) -> (ReservationId, u64) {
    match store.reserve(&budget_of_levels(levels), &request).await.unwrap() {
        ReservationOutcome::Granted { id, amount } => (id, amount.0),
        ReservationOutcome::Refused { level, remaining_amount: left } => panic!("{level:?} has {left} left"),
    }
}

async fn reserve_refused(
    store: &Store,
    levels: &[BudgetLevel],
    request: ReservationRequest,
) -> (BudgetLevelKind, u64) {
    match store.reserve(&budget_of_levels(levels), &request).await.unwrap() {
        ReservationOutcome::Granted { amount, .. } => panic!("{amount} was granted"),
        ReservationOutcome::Refused { level, remaining_amount: left } => (level.kind, left.0),
    }
}

async fn spent_and_reserved(store: &Store, levels: &[BudgetLevel]) -> Vec<(u64, u64)> {
    let sums = |drawn: &BudgetUsage| (drawn.spent.0, drawn.reserved.0);
    store.budget_usage(levels).await.unwrap().iter().map(sums).collect()
}

async fn notice_texts(store: &Store) -> Vec<String> {
    store.pending_notices(99).await.unwrap().into_iter().map(|notice| notice.text).collect()
}

async fn open_at_time(home: &Home, at: i64) -> (Arc<ManualWallClock>, Store) {
    let hand = ManualWallClock::at(at);
    (hand.clone(), home.open_at(hand).await)
}

#[tokio::test]
async fn what_is_set_aside_counts_at_every_level_until_it_is_settled() {
    let (_home, store) = new_store().await;
    let all = [review(100), repo(1000), team(10_000)];
    let (first, amount) = reserve_granted(&store, &all, reservation_request(10, 60)).await;
    assert_eq!(amount, 60);
    let (second, amount) = reserve_granted(&store, &all, reservation_request(10, 60)).await;
    assert_eq!(amount, 40, "as much as the tightest level has");
    assert_eq!(spent_and_reserved(&store, &all).await, [(0, 100); 3]);
    assert_eq!(reserve_refused(&store, &all, reservation_request(1, 60)).await, (BudgetLevelKind::Review, 0));
    store.settle_reservation(first, MicroUsd(7), CostBasis::Metered).await.unwrap();
    store.settle_reservation(second, MicroUsd(5), CostBasis::Metered).await.unwrap();
    assert_eq!(spent_and_reserved(&store, &all).await, [(12, 0); 3]);
    assert_eq!(reserve_granted(&store, &all, reservation_request(10, 1000)).await.1, 88);
}

#[tokio::test]
async fn settling_again_changes_nothing_and_what_was_metered_replaces_an_estimate() {
    let (_home, store) = new_store().await;
    let all = [review(1000), repo(1000)];
    for order in [
        [(40, CostBasis::Metered), (40, CostBasis::Metered), (90, CostBasis::Estimated)],
        [(100, CostBasis::Estimated), (40, CostBasis::Metered), (100, CostBasis::Estimated)],
        [(100, CostBasis::Estimated), (100, CostBasis::Estimated), (40, CostBasis::Metered)],
    ] {
        let before = spent_and_reserved(&store, &all).await[0].0;
        let (id, _) = reserve_granted(&store, &all, reservation_request(1, 100)).await;
        for (cost, known) in order {
            store.settle_reservation(id, MicroUsd(cost), known).await.unwrap();
        }
        assert_eq!(spent_and_reserved(&store, &all).await, [(before + 40, 0); 2], "{order:?}");
    }
    let error =
        store.settle_reservation(ReservationId(99), MicroUsd(1), CostBasis::Metered).await.unwrap_err();
    assert!(error.to_string().contains("no reservation 99"), "{error}");
}

#[tokio::test]
async fn what_a_dead_owner_had_set_aside_counts_in_full_whatever_is_asked_next() {
    let home = new_home();
    let (hand, store) = open_at_time(&home, NOW).await;
    let all = [review(100)];
    let (id, _) = reserve_granted(&store, &all, reservation_request(1, 70)).await;
    hand.set(NOW + 59_999);
    assert_eq!(spent_and_reserved(&store, &all).await, [(0, 70)]);
    hand.set(NOW + 60_000);
    assert_eq!(
        reserve_refused(&store, &all, reservation_request(31, 70)).await,
        (BudgetLevelKind::Review, 30)
    );
    assert_eq!(spent_and_reserved(&store, &all).await, [(70, 0)]);
    assert_eq!(home.rows("SELECT known FROM reservation"), ["estimated"]);
    // The owner had not crashed, but was slow. Its late settlement replaces the estimate.
    store.settle_reservation(id, MicroUsd(20), CostBasis::Metered).await.unwrap();
    assert_eq!(spent_and_reserved(&store, &all).await, [(20, 0)]);
}

#[tokio::test]
async fn a_killed_process_leaves_its_reservations_to_the_next() {
    let home = new_home();
    reserve_granted(&home.open().await, &[review(100)], reservation_request(1, 70)).await;
    let (_, next) = open_at_time(&home, NOW + 60_000).await;
    assert_eq!(spent_and_reserved(&next, &[review(100)]).await, [(70, 0)]);
}

#[tokio::test]
async fn processes_that_share_the_store_do_not_pass_a_limit_together() {
    let home = new_home();
    let stores = [home.open().await, home.open().await, home.open().await];
    let calls = (0..60).map(|call| {
        let store = stores[call % 3].clone();
        tokio::spawn(async move {
            let asked = store
                .reserve(&budget_of_levels(&[review(1000), repo(100)]), &reservation_request(3, 3))
                .await
                .unwrap();
            matches!(asked, ReservationOutcome::Granted { .. })
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut granted = 0;
    for call in calls {
        granted += u64::from(call.await.unwrap());
    }
    assert_eq!(granted, 33);
    assert_eq!(spent_and_reserved(&stores[0], &[repo(100)]).await, [(0, 99)]);
}

/// Returns the budgets of the review and of the converge run of one head. The budgets of all heads have the
/// level of the pull request in common.
fn budgets_of_head(head: u32, now: i64) -> [RunBudget; 2] {
    let scope =
        BudgetScope { key: "pr/github/1/7".into(), head: format!("{head}"), repository: "github/1".into() };
    let huge = MicroUsd(1_000_000);
    let caps =
        BudgetCaps { review: huge, repo_day: huge, pull: Some(MicroUsd(1000)), ..BudgetCaps::default() };
    let (run, now) = (|of: &str| RunId::new(format!("{of} {head}")), UnixMillis(now));
    [
        RunBudget::for_review(run("review"), &scope, &caps, now),
        RunBudget::for_converge(run("converge"), huge, &scope, &caps, now),
    ]
}

#[tokio::test]
async fn a_hundred_heads_in_seven_days_cost_no_more_than_their_pull_request_may() {
    let home = new_home();
    let (hand, store) = open_at_time(&home, NOW).await;
    let (mut spent, mut refusals) = (0, 0);
    for head in 0..100 {
        let now = NOW + i64::from(head) * 7 * DAY / 100;
        hand.set(now);
        for purse in budgets_of_head(head, now) {
            let ask = ReservationRequest { expires: UnixMillis(now + 60_000), ..reservation_request(3, 40) };
            match store.reserve(&purse, &ask).await.unwrap() {
                ReservationOutcome::Granted { id, amount } => {
                    // For every fourth head, the owner never settles the call. The whole reservation of such
                    // a call then counts as spent.
                    let cost = if head % 4 == 0 { amount.0 } else { amount.0.min(17) };
                    spent += cost;
                    if head % 4 > 0 {
                        store.settle_reservation(id, MicroUsd(cost), CostBasis::Metered).await.unwrap();
                    }
                }
                ReservationOutcome::Refused { level, remaining_amount: left } => {
                    refusals += 1;
                    assert_eq!((level, left < MicroUsd(3)), (pull(1000), true));
                }
            }
        }
        // The deletion of old levels must not delete the level of the pull request.
        store.delete_old_reservations(UnixMillis(now - DAY)).await.unwrap();
    }
    hand.set(NOW + 8 * DAY);
    assert_eq!(spent_and_reserved(&store, &[pull(1000)]).await, [(spent, 0)]);
    assert!((998..=1000).contains(&spent) && refusals > 100, "{spent} spent, {refusals} refusals");
}

#[tokio::test]
async fn reviews_and_runs_side_by_side_do_not_pass_what_their_pull_request_may_cost() {
    let home = new_home();
    let stores = [home.open().await, home.open().await, home.open().await];
    let calls = (0..80).map(|call| {
        let store = stores[call as usize % 3].clone();
        tokio::spawn(async move {
            let [review, converge] = budgets_of_head(call / 2, NOW);
            let budget = if call % 2 == 0 { review } else { converge };
            let asked = store.reserve(&budget, &reservation_request(30, 30)).await.unwrap();
            matches!(asked, ReservationOutcome::Granted { .. })
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut granted = 0;
    for call in calls {
        granted += u64::from(call.await.unwrap());
    }
    assert_eq!(granted, 33);
    assert_eq!(spent_and_reserved(&stores[0], &[pull(1000)]).await, [(0, 990)]);
}

#[tokio::test]
async fn what_a_pull_request_has_cost_is_kept_longer_than_what_its_heads_have() {
    let home = new_home();
    let (hand, store) = open_at_time(&home, NOW).await;
    let all = [review(100), pull(100)];
    let (id, _) = reserve_granted(&store, &all, reservation_request(1, 5)).await;
    store.settle_reservation(id, MicroUsd(5), CostBasis::Metered).await.unwrap();
    hand.set(NOW + 400 * DAY);
    while store.delete_old_reservations(UnixMillis(NOW + 300 * DAY)).await.unwrap() > 0 {}
    assert_eq!(spent_and_reserved(&store, &all).await, [(0, 0), (5, 0)]);
    hand.set(NOW + 400 * DAY + 1);
    assert_eq!(store.delete_old_reservations(UnixMillis(NOW + 300 * DAY)).await.unwrap(), 1);
    assert_eq!(spent_and_reserved(&store, &all).await, [(0, 0); 2]);
}

#[tokio::test]
async fn the_limit_that_is_asked_with_counts_be_it_below_what_is_spent_or_nothing() {
    let (_home, store) = new_store().await;
    let (id, _) = reserve_granted(&store, &[repo(100)], reservation_request(1, 50)).await;
    store.settle_reservation(id, MicroUsd(50), CostBasis::Metered).await.unwrap();
    for limit in [30, 50, 0] {
        assert_eq!(
            reserve_refused(&store, &[repo(limit)], reservation_request(1, 10)).await,
            (BudgetLevelKind::RepoDay, 0),
            "{limit}"
        );
    }
    assert_eq!(reserve_granted(&store, &[repo(55)], reservation_request(1, 10)).await.1, 5);
    assert_eq!(store.current_usage().await.unwrap()[0].level, repo(55));
    // A reservation of zero is granted even if the limit is zero.
    assert_eq!(reserve_granted(&store, &[repo(0)], reservation_request(0, 0)).await.1, 0);
}

#[tokio::test]
async fn a_purse_without_levels_is_an_error_and_one_named_twice_counts_once() {
    let (_home, store) = new_store().await;
    let error = store.reserve(&budget_of_levels(&[]), &reservation_request(0, 0)).await.unwrap_err();
    assert!(error.to_string().contains("its cost would be unlimited"), "{error}");
    reserve_granted(&store, &[repo(100), repo(100)], reservation_request(1, 40)).await;
    assert_eq!(spent_and_reserved(&store, &[repo(100)]).await, [(0, 40)]);
}

#[tokio::test]
async fn midnight_between_reserve_and_settle_leaves_the_money_in_its_day() {
    let home = new_home();
    let (hand, store) = open_at_time(&home, NOW).await;
    let late = ReservationRequest { expires: UnixMillis(NOW + 2 * DAY), ..reservation_request(1, 50) };
    let (id, _) = reserve_granted(&store, &[repo(100), team(100)], late).await;
    hand.set(NOW + DAY);
    store.settle_reservation(id, MicroUsd(30), CostBasis::Metered).await.unwrap();
    let next = level(BudgetLevelKind::RepoDay, "github/1", &utc_day(UnixMillis(NOW + DAY)), 100);
    assert_eq!(spent_and_reserved(&store, &[repo(100), next, team(100)]).await, [(30, 0), (0, 0), (30, 0)]);
    let shown: Vec<BudgetLevel> =
        store.current_usage().await.unwrap().into_iter().map(|drawn| drawn.level).collect();
    assert_eq!(shown, [team(100)], "yesterday is over");
}

#[tokio::test]
async fn a_clock_that_is_set_back_releases_nothing() {
    let home = new_home();
    let (hand, store) = open_at_time(&home, NOW).await;
    let (id, _) = reserve_granted(&store, &[repo(100)], reservation_request(1, 50)).await;
    hand.set(NOW - DAY);
    assert_eq!(spent_and_reserved(&store, &[repo(100)]).await, [(0, 50)]);
    assert_eq!(
        reserve_refused(&store, &[repo(100)], reservation_request(51, 60)).await,
        (BudgetLevelKind::RepoDay, 50)
    );
    store.settle_reservation(id, MicroUsd(30), CostBasis::Metered).await.unwrap();
    assert_eq!(spent_and_reserved(&store, &[repo(100)]).await, [(30, 0)]);
}

#[tokio::test]
async fn people_are_told_once_a_period_at_each_threshold() {
    let (_home, store) = new_store().await;
    let spend = async |cost: u64| {
        let (id, _) =
            reserve_granted(&store, &[review(1000), repo(1000), team(100)], reservation_request(1, cost))
                .await;
        store.settle_reservation(id, MicroUsd(cost), CostBasis::Metered).await.unwrap();
    };
    spend(49).await;
    assert!(notice_texts(&store).await.is_empty());
    spend(1).await;
    spend(9).await;
    spend(21).await;
    spend(20).await;
    let whose = format!("The budget of the team web in {} (UTC)", utc_month(UnixMillis(NOW)));
    let told = ["has reached 50 %: $0.00005", "has reached 80 %: $0.00008", "is used up: $0.0001"];
    assert_eq!(
        notice_texts(&store).await,
        told.map(|part| format!(
            "{whose} {part} of $0.0001 are spent. `truing budget show` shows all budgets."
        ))
    );
    // The next period has a separate spending, so it starts with the full limit.
    let next = level(BudgetLevelKind::TeamMonth, "web", "2031-01", 100);
    let (id, _) = reserve_granted(&store, &[next], reservation_request(1, 60)).await;
    store.settle_reservation(id, MicroUsd(60), CostBasis::Metered).await.unwrap();
    assert_eq!(notice_texts(&store).await.len(), 4);
}

#[tokio::test]
async fn a_level_that_refuses_is_told_as_used_up_unless_calls_in_flight_may_give_some_back() {
    let (_home, store) = new_store().await;
    let (id, _) = reserve_granted(&store, &[repo(100)], reservation_request(1, 95)).await;
    reserve_refused(&store, &[repo(100)], reservation_request(10, 10)).await;
    assert!(notice_texts(&store).await.is_empty());
    store.settle_reservation(id, MicroUsd(95), CostBasis::Metered).await.unwrap();
    reserve_refused(&store, &[repo(100)], reservation_request(10, 10)).await;
    let texts = notice_texts(&store).await;
    assert!(texts.len() == 2 && texts[0].contains("80 %") && texts[1].contains("is used up"), "{texts:?}");
}

#[tokio::test]
async fn sums_that_no_file_holds_are_bounded() {
    let (_home, store) = new_store().await;
    let huge = repo(u64::MAX);
    let (id, amount) =
        reserve_granted(&store, std::slice::from_ref(&huge), reservation_request(1, u64::MAX)).await;
    assert_eq!(amount, u64::MAX);
    store.settle_reservation(id, MicroUsd(u64::MAX), CostBasis::Metered).await.unwrap();
    assert_eq!(spent_and_reserved(&store, &[huge]).await, [(i64::MAX as u64, 0)]);
}

#[tokio::test]
async fn money_is_forgotten_when_it_is_old_and_its_period_is_over() {
    let home = new_home();
    let (hand, store) = open_at_time(&home, NOW).await;
    let everything = level(BudgetLevelKind::Month, "all", &utc_month(UnixMillis(NOW)), 100);
    let all = [review(100), repo(100), team(100), everything];
    let (id, _) = reserve_granted(&store, &all, reservation_request(1, 5)).await;
    let open = ReservationRequest { expires: UnixMillis(NOW + 90 * DAY), ..reservation_request(1, 5) };
    let (in_flight, _) =
        reserve_granted(&store, &[level(BudgetLevelKind::RepoDay, "github/2", "1970-01-12", 9)], open).await;
    store.settle_reservation(id, MicroUsd(5), CostBasis::Metered).await.unwrap();
    let forget = async |before: i64| {
        let mut gone = 0;
        loop {
            match store.delete_old_reservations(UnixMillis(before)).await.unwrap() {
                0 => return gone,
                some => gone += some,
            }
        }
    };
    assert_eq!(forget(NOW + 60_000).await, 0, "it has just been drawn on");
    hand.set(NOW + 2 * DAY);
    assert_eq!(forget(NOW).await, 0, "it is not old enough");
    // The levels of the review and of the day and the reservation of the call are deleted; the levels of the
    // months are kept.
    assert_eq!(forget(NOW + DAY).await, 3);
    assert_eq!(spent_and_reserved(&store, &all).await, [(0, 0), (0, 0), (5, 0), (5, 0)]);
    hand.set(NOW + 40 * DAY);
    assert_eq!(forget(NOW + 30 * DAY).await, 2);
    assert_eq!(spent_and_reserved(&store, &all).await, [(0, 0); 4]);
    store.settle_reservation(in_flight, MicroUsd(1), CostBasis::Metered).await.unwrap();
}

#[tokio::test]
async fn the_census_tells_the_greatest_part_that_is_spent_now() {
    let (_home, store) = new_store().await;
    assert!(store.collect_statistics().await.unwrap().used_budget_permille.is_empty());
    for (all, cost) in [
        (vec![repo(100), team(1000)], 30),
        (vec![level(BudgetLevelKind::RepoDay, "github/2", &utc_day(UnixMillis(NOW)), 100)], 85),
        (vec![level(BudgetLevelKind::RepoDay, "github/3", "1970-01-01", 100)], 99),
        (vec![repo(0)], 0),
    ] {
        let (id, _) = reserve_granted(&store, &all, reservation_request(cost, cost)).await;
        store.settle_reservation(id, MicroUsd(cost), CostBasis::Metered).await.unwrap();
    }
    let budgets = store.collect_statistics().await.unwrap().used_budget_permille;
    assert_eq!(budgets, [(BudgetLevelKind::RepoDay, 850), (BudgetLevelKind::TeamMonth, 30)]);
}
