//! Tests that the sweep finds changes that were made while no service was running.

use truing_core::id::RunId;
use truing_core::port::OperatorStore as _;
use truing_core::review_settlement::DROP_REASON;
use truing_core::switch::SwitchRequest;
use truing_fakes::forge::NewPull;

use crate::sweep::change;
use crate::sweep::site::{Opened, Running, Site};
use crate::sweep::{EVERY, FOUND, SweepStage, reviewed, second, shown};

/// Discards the forge's pending deliveries.
fn lose(site: &Site) {
    assert!(!site.forge.take_deliveries().is_empty(), "something happened");
}

/// Discards the pending deliveries, and starts a service without sweeps. Checks with `missed` that this
/// service does not notice the changes. Then starts a service with sweeps and returns it.
async fn come_back(site: &Site, missed: impl AsyncFn(&Running)) -> Running {
    lose(site);
    let deaf = site.serve().await;
    deaf.rest_as_it_is().await;
    missed(&deaf).await;
    deaf.stop().await;
    site.serve_sweeping(EVERY).await
}

async fn until_shown(site: &Site, opened: &Opened, wanted: (String, usize)) {
    crate::sweep::site::until(&format!("{wanted:?} is shown"), async || shown(site, opened).await == wanted)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_and_new_pull_requests_while_the_server_was_down() {
    let site = Site::new().await;
    let (service, mut opened) = reviewed(&site).await;
    service.stop().await;
    site.push_second(&mut opened).await;
    let new = site.open("new").await;
    let service = come_back(&site, async |_| {
        assert_eq!(shown(&site, &opened).await.0, "FIRST");
        assert_eq!(shown(&site, &new).await.0, "nothing");
    })
    .await;
    until_shown(&site, &opened, second()).await;
    until_shown(&site, &new, ("FIRST".into(), FOUND)).await;
    service.rest(&site.clock).await;
    assert_eq!(service.published(&site.key(opened.number).await).await, 2, "once each");
    service.stop().await;
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_became_ready_and_one_that_was_closed() {
    let site = Site::new().await;
    let service = site.serve().await;
    let ready = site.open_as(NewPull { draft: true, ..NewPull::from_branch("ready") }).await;
    let closed = site.open_as(NewPull { draft: true, ..NewPull::from_branch("closed") }).await;
    let still = site.open_as(NewPull { draft: true, ..NewPull::from_branch("still") }).await;
    site.deliver().await;
    for pull in [&ready, &closed, &still] {
        service.state(&site.key(pull.number).await, "held (draft)").await;
    }
    service.stop().await;
    site.repo.set_draft(ready.number, false).await.unwrap();
    site.repo.close_pull(closed.number).await.unwrap();
    let service = come_back(&site, async |service| {
        for pull in [&ready, &closed] {
            service.state(&site.key(pull.number).await, "held (draft)").await;
        }
    })
    .await;
    until_shown(&site, &ready, ("FIRST".into(), FOUND)).await;
    service.state(&site.key(closed.number).await, "held (cancelled)").await;
    service.state(&site.key(still.number).await, "held (draft)").await;

    // The pull request is reopened, and the delivery is lost.
    site.repo.reopen_pull(closed.number).await.unwrap();
    site.repo.set_draft(closed.number, false).await.unwrap();
    lose(&site);
    site.clock.skip(truing_core::id::TimeSpan::minutes(5));
    until_shown(&site, &closed, ("FIRST".into(), FOUND)).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_base() {
    let site = Site::new().await;
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    let other = truing_fakes::repo::CommitBuilder::new("Part of it").write("src/lib.rs", change::LIB);
    site.repo.push("other", other).await.unwrap();
    site.repo.retarget(opened.number, "other").await.unwrap();
    let key = site.key(opened.number).await;
    let service = come_back(&site, async |service| assert_eq!(service.published(&key).await, 1)).await;
    crate::sweep::site::until("it is reviewed again", async || service.published(&key).await == 2).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_while_the_server_was_down() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    // An earlier sweep has recorded the repository, so later sweeps do not treat it as new.
    SweepStage::of(&site).look().await;
    site.clock.skip(truing_core::id::TimeSpan::minutes(24 * 60));
    site.repo.comment(opened.number, "ada", "/review\nI have restarted the server.").await.unwrap();
    let key = site.key(opened.number).await;
    let service = come_back(&site, async |service| assert_eq!(service.published(&key).await, 1)).await;
    crate::sweep::site::until("it is reviewed again", async || service.published(&key).await == 2).await;
    service.rest(&site.clock).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_slot_wakes_for_a_new_head_and_sleeps_on_for_the_old_one() {
    let site = Site::new().await;
    let (service, mut opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    let refused = truing_fakes::forge::ForgeFaultKind::Status(403, None);
    site.forge.add_fault(
        truing_fakes::forge::ForgeFault::on_call("GET", "/repos/acme/shop/issues/1/comments", refused)
            .times(999),
    );
    site.push_second(&mut opened).await;
    site.deliver().await;
    service
        .come_to("it is parked", &site.clock, |slots| {
            slots.iter().any(|slot| slot.state.to_string() == "held (parked)")
        })
        .await;
    service.stop().await;
    site.forge.clear_faults();
    let mut swept = SweepStage::of(&site);
    for _ in 0..3 {
        swept.round(&site).await;
        assert_eq!(swept.state(&key).await, "held (parked)", "its head was tried often enough");
    }
    site.repo.push(&opened.branch, change::second().write("more.txt", "more")).await.unwrap();
    lose(&site);
    assert_eq!(swept.state(&key).await, "held (parked)");
    swept.round(&site).await;
    assert_eq!(swept.state(&key).await, "waiting (debounce)");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_parked_slots_that_are_not_listed_any_more_a_restart_wakes_only_that_of_a_closed_pull_request() {
    let site = Site::new().await;
    let service = site.serve().await;
    let (closed, hidden) = (site.open("closed").await, site.open("hidden").await);
    let absent = |path: String| {
        let absent = truing_fakes::forge::ForgeFaultKind::Status(404, None);
        site.forge.add_fault(truing_fakes::forge::ForgeFault::on_call("GET", &path, absent).times(999));
    };
    absent("/repos/acme/shop/pulls/".to_owned());
    site.deliver().await;
    service
        .come_to("both are parked", &site.clock, |slots| {
            slots.iter().filter(|slot| slot.state.to_string() == "held (parked)").count() == 2
        })
        .await;
    service.stop().await;
    site.forge.clear_faults();
    for pull in [&closed, &hidden] {
        site.repo.close_pull(pull.number).await.unwrap();
    }
    absent(format!("/repos/acme/shop/pulls/{}$", hidden.number));
    let (closed, hidden) = (site.key(closed.number).await, site.key(hidden.number).await);
    for start in ["first", "second"] {
        let mut swept = SweepStage::of(&site);
        swept.look().await;
        swept.round(&site).await;
        let states = [swept.state(&closed).await, swept.state(&hidden).await];
        assert_eq!(states, ["waiting (debounce)", "held (parked)"], "{start}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_of_a_head_that_was_never_read_holds_until_the_next_push() {
    let site = Site::new().await;
    let opened = site.open("change").await;
    let key = site.key(opened.number).await;
    let mut swept = SweepStage::of(&site);
    swept.look().await;
    assert_eq!(swept.state(&key).await, "waiting (debounce)");
    truing_loops::slots::apply_slot_command(
        &swept.store,
        &key,
        truing_core::slot::SlotCommand::Drop,
        &swept.context.slot_limits,
    )
    .await
    .unwrap();
    swept.store.skip_head(&RunId::new("dropped"), &key, None, DROP_REASON).await.unwrap();
    for _ in 0..3 {
        swept.round(&site).await;
        assert_eq!(swept.state(&key).await, "idle");
    }
    site.repo.push(&opened.branch, change::second().write("more.txt", "more")).await.unwrap();
    swept.round(&site).await;
    assert_eq!(swept.state(&key).await, "waiting (debounce)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlasts_the_sweep_and_forgets_nothing() {
    let site = Site::new().await;
    let (service, mut opened) = reviewed(&site).await;
    service.stop().await;
    let key = site.key(opened.number).await;
    let mut swept = SweepStage::of(&site);
    truing_loops::slots::apply_slot_command(
        &swept.store,
        &key,
        truing_core::slot::SlotCommand::Pause,
        &swept.context.slot_limits,
    )
    .await
    .unwrap();
    swept.round(&site).await;
    assert_eq!(swept.slot(&key).await.pending.review, None, "nothing new");
    site.push_second(&mut opened).await;
    lose(&site);
    swept.round(&site).await;
    let slot = swept.slot(&key).await;
    assert_eq!((slot.state.to_string().as_str(), slot.pending.review.is_some()), ("held (paused)", true));
    swept.round(&site).await;
    assert_eq!(swept.slot(&key).await, slot, "one mark is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_kill_switch_goes_off_a_sweep_runs_at_once() {
    let site = Site::new().await;
    let (service, mut opened) = reviewed(&site).await;
    service.stop().await;
    let key = site.key(opened.number).await;
    let mut swept = SweepStage::of(&site);
    swept.look().await;
    let store = swept.store.clone();
    store.turn_switch(&SwitchRequest::TurnOn { reason: None, mode: None }, "ada").await.unwrap();
    site.push_second(&mut opened).await;
    lose(&site);
    let calls = site.forge.call_counts();
    swept.round(&site).await;
    assert_eq!(site.forge.call_counts(), calls, "while it is on nothing is asked");
    store.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    assert_eq!(swept.state(&key).await, "idle");
    swept.look().await;
    assert_eq!(swept.state(&key).await, "waiting (debounce)", "not a period later");
    assert_eq!(store.sweep_request_time().await.unwrap(), None);
}
