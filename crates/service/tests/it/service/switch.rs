//! Tests of the kill switch, which another process turns on while the service works. While the switch is on,
//! no run starts, and active runs finish or stop. After the switch is turned off, all work continues.

use std::sync::Arc;

use truing_core::id::{RunId, SlotKey, TimeSpan};
use truing_core::lease_fairness::LeaseLimits;
use truing_core::port::{OperatorStore as _, RunReference, RunStore as _, SlotDescription, SlotStore as _};
use truing_core::slot::{LoopKind, SlotCommand, SlotLimits};
use truing_core::switch::{HaltMode, KillSwitch, SwitchRequest};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};
use truing_loops::slots::apply_slot_command;
use truing_service::scheduler::Scheduler;
use truing_service::worker::run_step;
use truing_store::Store;

use crate::service::ports::{FaultyForges, FaultyStore, ForgeManner, Script, StillTestClock, WRITES};
use crate::service::site::{Running, Site, limits, until};
use crate::service::{REVIEWS, assert_first, no_violations};

fn on(mode: HaltMode) -> SwitchRequest {
    SwitchRequest::TurnOn { reason: Some("a storm".into()), mode: Some(mode) }
}

/// Opens the service's database as another process would.
fn operator(site: &Site) -> Store {
    Store::open(&site.database(), Arc::new(site.clock.clone())).unwrap()
}

/// Returns the entries about the switch in the history of the pull request.
async fn told(service: &Running, key: &SlotKey) -> Vec<String> {
    let mut history = service.history(key).await;
    history.retain(|line| line.starts_with("KillSwitchEngaged"));
    history
}

/// Makes a slot that is due, as a webhook would.
async fn marked(site: &Site, store: &Store, number: u64) -> SlotKey {
    let key = site.key(number).await;
    let name = format!("acme/shop#{number}");
    let described = SlotDescription { name, url: format!("https://example.com/{number}"), head: None };
    store.store_descriptions(&[(key.clone(), described)]).await.unwrap();
    let limits = SlotLimits { debounce: TimeSpan(0), ..limits() };
    apply_slot_command(store, &key, SlotCommand::Event(LoopKind::Review), &limits).await.unwrap();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_while_it_is_on_and_everything_due_goes_on_at_off() {
    let site = Site::new().await;
    let operator = operator(&site);
    operator.turn_switch(&on(HaltMode::Finish), "ada").await.unwrap();
    let service = site.serve().await;
    let (one, two) = (site.open("one").await, site.open("two").await);
    let keys = [marked(&site, &operator, one.number).await, marked(&site, &operator, two.number).await];
    for key in &keys {
        until("it is told", async || told(&service, key).await.len() == 1).await;
        let slot = service.slot(key).await;
        assert_eq!((slot.state.to_string().as_str(), slot.attempts), ("waiting (debounce)", 0));
    }
    let said = told(&service, &keys[0]).await;
    assert_eq!(said, ["KillSwitchEngaged: held back (mode finish, by ada: a storm)"]);
    // The service crashes and restarts while the switch is on.
    service.kill().await;
    let service = site.serve().await;
    until("it is told again", async || told(&service, &keys[0]).await.len() == 2).await;
    assert!(service.store.review_entries(&keys[0], 9).await.unwrap().is_empty(), "nothing was begun");
    let calls = site.forge.call_counts();
    assert!(!calls.keys().any(|call| call.contains("/pulls")), "the forge was not asked: {calls:?}");

    operator.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    service.rest(&site.clock).await;
    for opened in [&one, &two] {
        assert_first(&site.picture(opened).await);
    }
    assert!(operator.sweep_request_time().await.unwrap().is_some());
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_flight_completes_in_mode_finish() {
    let site = Site::new().await;
    let service = site.serve().await;
    site.forge.add_fault(ForgeFault::on_call("POST", REVIEWS, ForgeFaultKind::HeldResponse));
    let opened = site.open("change").await;
    site.deliver().await;
    site.forge.wait_for_held_request().await;
    operator(&site).turn_switch(&on(HaltMode::Finish), "ada").await.unwrap();
    site.forge.release_held_requests();
    let key = site.key(opened.number).await;
    until("it is published", async || service.published(&key).await == 1).await;
    assert_first(&site.picture(&opened).await);
    assert_eq!(told(&service, &key).await, Vec::<String>::new(), "nothing was held back");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_flight_stops_before_its_next_write_in_mode_stop() {
    let site = Site::new().await;
    // With this limit, a single failure parks the pull request, so the test shows that the stop is not a
    // failure.
    let service = site.serve_with(SlotLimits { max_attempts: 1, ..limits() }).await;
    site.forge.add_fault(ForgeFault::on_call("POST", REVIEWS, ForgeFaultKind::HeldResponse));
    let opened = site.open("change").await;
    site.deliver().await;
    site.forge.wait_for_held_request().await;
    let operator = operator(&site);
    operator.turn_switch(&on(HaltMode::Stop), "ada").await.unwrap();
    site.forge.release_held_requests();
    let key = site.key(opened.number).await;
    until("it is stopped", async || !told(&service, &key).await.is_empty()).await;
    until("the lease is given back", async || !service.is_leased(&key).await).await;
    let picture = site.picture(&opened).await;
    assert_eq!(picture.status, None, "nothing was written after the call in flight: {picture:#?}");
    assert_eq!(service.slot(&key).await.attempts, 0);
    assert_eq!(told(&service, &key).await, ["KillSwitchEngaged: stopped (mode stop, by ada: a storm)"]);

    operator.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_flight_stops_where_the_switch_of_its_repository_says_so() {
    let site = Site::new().await;
    let service = site.serve().await;
    site.forge.add_fault(ForgeFault::on_call("POST", REVIEWS, ForgeFaultKind::HeldResponse));
    let opened = site.open("change").await;
    site.deliver().await;
    site.forge.wait_for_held_request().await;
    let operator = operator(&site);
    operator.turn_repository_switch("acme/other", &on(HaltMode::Stop), "ada").await.unwrap();
    operator.turn_repository_switch("acme/shop", &on(HaltMode::Stop), "ada").await.unwrap();
    site.forge.release_held_requests();
    let key = site.key(opened.number).await;
    until("it is stopped", async || !told(&service, &key).await.is_empty()).await;
    until("the lease is given back", async || !service.is_leased(&key).await).await;
    assert_eq!(site.picture(&opened).await.status, None, "nothing was written after the call in flight");
    let said = "KillSwitchEngaged: stopped by the kill switch of acme/shop until someone runs `truing \
        kill off --repo acme/shop` (mode stop, by ada: a storm)";
    assert_eq!(told(&service, &key).await, [said]);

    // The switch of `acme/shop` is off now; the switch of another repository stays on.
    operator.turn_repository_switch("acme/shop", &SwitchRequest::TurnOff, "ada").await.unwrap();
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    no_violations(&site);
    service.stop().await;
}

/// For each call of a process to the store or the forge, sets the switch to stop before that call. After the
/// process reads the switch again, the process must not write to the forge. It must give back the lease, and
/// must not count the attempt as failed. The review completes after the switch is off.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_was_read_nothing_is_written_wherever_it_comes() {
    let site = Site::new().await;
    let operator = operator(&site);
    let whole = site.open("whole").await;
    let clean = turned_at(&site, whole.number, None).await;
    assert_first(&site.picture(&whole).await);
    let mut stopped = Vec::new();
    for call in 0..clean.len() {
        let opened = site.open(&format!("change-{call}")).await;
        let calls = turned_at(&site, opened.number, Some(call)).await;
        let read = (call..calls.len()).find(|at| calls[*at] == "kill_switches");
        let Some(read) = read else {
            // In this round, the process did not read the switch after the call, or it got no lease. The test
            // drops the slot, so the next rounds do not lease it.
            let key = site.key(opened.number).await;
            apply_slot_command(&operator, &key, SlotCommand::Drop, &limits()).await.unwrap();
            continue;
        };
        let written = calls[read..].iter().find(|call| WRITES.contains(call));
        assert_eq!(written, None, "stopped before call {call}: {calls:?}");
        let key = site.key(opened.number).await;
        let slot = operator.load_slots(std::slice::from_ref(&key)).await.unwrap().remove(0);
        assert_eq!((slot.state.to_string().as_str(), slot.attempts), ("waiting (debounce)", 0), "{calls:?}");
        // The test drops the slot, so the next rounds do not lease it.
        apply_slot_command(&operator, &key, SlotCommand::Drop, &limits()).await.unwrap();
        stopped.push(opened);
    }
    assert!(stopped.len() > 20, "only {} of {} calls: {clean:?}", stopped.len(), clean.len());

    operator.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    for opened in &stopped {
        marked(&site, &operator, opened.number).await;
    }
    let service = site.serve().await;
    service.rest(&site.clock).await;
    for opened in &stopped {
        assert_first(&site.picture(opened).await);
    }
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_turned_while_the_scheduler_looks_lets_nothing_begin() {
    let site = Site::new().await;
    let operator = operator(&site);
    let opened = site.open("change").await;
    marked(&site, &operator, opened.number).await;
    let look = async |turned: Option<usize>| {
        let script = Script::new(None);
        if let Some(call) = turned {
            script.turn_before(call, operator.clone(), on(HaltMode::Finish));
        }
        let store = FaultyStore { inner: operator.clone(), script: script.clone() };
        let context = site.context(store, site.forges(), limits());
        let leases = Scheduler::new(LeaseLimits::new(1)).lease_due_slots(&context).await.unwrap();
        (leases.len(), script.calls())
    };
    for call in 0.. {
        let (leases, calls) = look(Some(call)).await;
        assert_eq!(leases, 0, "turned before call {call}: {calls:?}");
        operator.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
        if calls.get(call) == Some(&"grant_leases") {
            break;
        }
    }
    assert_eq!(look(None).await.0, 1);
}

/// Reviews a pull request in a separate context. If `call` is given, sets the switch to stop before the call
/// with this index. Returns the names of the calls that the context made.
async fn turned_at(site: &Site, number: u64, call: Option<usize>) -> Vec<&'static str> {
    let inner = operator(site);
    inner.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    let key = marked(site, &inner, number).await;
    let script = Script::new(None);
    if let Some(call) = call {
        script.turn_before(call, inner.clone(), on(HaltMode::Stop));
    }
    let forges = FaultyForges {
        inner: site.forges(),
        script: script.clone(),
        manner: ForgeManner::Prompt,
        clock: StillTestClock::at(truing_core::port::Clock::now(&site.clock)),
    };
    let store = FaultyStore { inner, script: script.clone() };
    let context = site.context(store, forges, limits());
    for lease in Scheduler::new(LeaseLimits::new(1)).lease_due_slots(&context).await.unwrap() {
        let run =
            RunReference { id: RunId::new(format!("run-{number}")), key: key.clone(), token: lease.token };
        drop(run_step(&context, &lease, &run).await.unwrap());
    }
    script.calls()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_was_never_read_counts_as_on_and_one_that_was_stays_as_it_was() {
    let site = Site::new().await;
    let inner = operator(&site);
    let script = Script::new(None);
    let store = FaultyStore { inner, script: script.clone() };
    let context = site.context(store, site.forges(), limits());
    script.set_dead(true);
    assert!(context.kill_switches().await.global_switch.engagement().is_some());
    script.set_dead(false);
    assert_eq!(context.kill_switches().await.global_switch, KillSwitch::Off);
    script.set_dead(true);
    assert_eq!(context.kill_switches().await.global_switch, KillSwitch::Off, "for thirty seconds");
}
