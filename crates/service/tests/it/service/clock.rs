//! Tests that set the clock back or forward while slots wait or run. Finally, each pull request has exactly
//! one review.

use truing_core::id::TimeSpan;
use truing_core::port::{Clock as _, SlotStore as _};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};

use crate::service::site::{Site, until};
use crate::service::{REVIEWS, assert_first, no_violations};

const HOUR: TimeSpan = TimeSpan::minutes(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_while_the_clock_is_set_back_is_late_until_something_happens() {
    let site = Site::new().await;
    let opened = site.open("change").await;
    let service = site.serve().await;
    site.clock.skip(HOUR);
    // The slot's due time is computed before the clock is set back.
    service.slot(&site.key(opened.number).await).await;
    let delivery = site.deliver().await;
    site.clock.skip(TimeSpan(-HOUR.0));
    let key = site.key(opened.number).await;
    // The forge repeats the delivery, as the sweep would. The slot then gets a due time that the corrected
    // clock determines.
    assert_eq!(site.forge.deliver(&delivery).await.unwrap(), 202);
    until("it is due soon, or done", async || {
        let wakes = service.slot(&key).await.wake_time();
        wakes.is_none_or(|at| at - site.clock.now() < TimeSpan::minutes(2))
    })
    .await;
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unseen_head_is_waited_for_once_though_the_clock_is_set_back() {
    let site = Site::new().await;
    let mut opened = site.open("change").await;
    let service = site.serve().await;
    let late = site.deliver().await;
    service.rest(&site.clock).await;
    site.clock.skip(HOUR);
    // With this delivery, the store records a time that is an hour ahead.
    assert_eq!(site.forge.deliver(&late).await.unwrap(), 202);
    service.rest(&site.clock).await;
    site.push_second(&mut opened).await;
    site.forge.take_deliveries();
    site.clock.skip(TimeSpan(-HOUR.0));
    // The wall clock was set back by an hour, so the store's clock is now a minute ahead of the wall clock.
    // The next write reads the stored time. That time is an hour ahead of the wall clock, so the store's
    // clock is again limited to at most a minute ahead of the wall clock.
    service.store.now().await.unwrap();
    site.clock.skip(TimeSpan::seconds(10));
    assert_eq!(site.forge.deliver(&late).await.unwrap(), 202);
    until("its slot is forgotten", async || service.store.list_slots().await.unwrap().is_empty()).await;
    let key = site.key(opened.number).await;
    let leases = service.history(&key).await.iter().filter(|line| line.contains("leased")).count();
    assert!(leases <= 6, "one for each event, and a look or two at what is not there: {leases}");
    no_violations(&site);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_loses_its_lease_to_a_clock_set_forward_posts_nothing_twice() {
    let site = Site::new().await;
    let service = site.serve().await;
    site.forge.add_fault(ForgeFault::on_call("POST", REVIEWS, ForgeFaultKind::HeldResponse));
    let opened = site.open("change").await;
    site.deliver().await;
    site.forge.wait_for_held_request().await;
    site.clock.skip(TimeSpan(24 * HOUR.0));
    // The forge responds after the run has lost its lease.
    let key = site.key(opened.number).await;
    let leases = async || service.history(&key).await.iter().filter(|line| line.contains("leased")).count();
    until("its slot is leased again", async || leases().await > 1).await;
    site.forge.release_held_requests();
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    no_violations(&site);
    service.stop().await;
}
