//! Tests that stop or kill the service and start it again. No work may be lost or done twice, and an
//! interruption does not count as a failure.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use truing_core::id::TimeSpan;
use truing_core::lease_fairness::LeaseLimits;
use truing_core::port::{Clock as _, RunStore as _, SlotDescription, SlotStore as _};
use truing_core::slot::{LoopKind, Slot, SlotCommand, SlotLimits};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};
use truing_loops::slots::apply_slot_command;
use truing_service::scheduler::Scheduler;
use truing_service::worker::drive_lease;
use truing_store::Store;

use crate::service::change::FOUND;
use crate::service::ports::{FaultyForges, FaultyStore, ForgeManner, Script, StillTestClock};
use crate::service::site::{Opened, Running, Site, limits, until};
use crate::service::{REVIEWS, assert_first, no_violations};

/// Starts a service and waits until it sends the review to the forge, which holds the response back.
async fn in_the_middle(site: &Site) -> (Running, Opened) {
    let service = site.serve().await;
    site.forge.add_fault(ForgeFault::on_call("POST", REVIEWS, ForgeFaultKind::HeldResponse));
    let opened = site.open("change").await;
    site.deliver().await;
    site.forge.wait_for_held_request().await;
    assert!(service.is_leased(&site.key(opened.number).await).await);
    (service, opened)
}

/// Checks that the review is on the pull request, and that no attempt failed.
async fn ended_well(site: &Site, service: &Running, opened: &Opened) {
    service.rest(&site.clock).await;
    assert_first(&site.picture(opened).await);
    let history = service.history(&site.key(opened.number).await).await;
    assert!(!history.iter().any(|line| line.contains("failed")), "{history:#?}");
    no_violations(site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_stopped_finishes_what_it_has_begun() {
    let site = Site::new().await;
    let (service, opened) = in_the_middle(&site).await;
    let late = site.open("late").await;
    let (url, delivery) = (service.url.clone(), site.forge.take_deliveries().remove(0));
    // The service is told to stop first, and the forge responds afterwards.
    tokio::join!(biased; service.stop(), async { site.forge.release_held_requests() });
    assert_eq!(site.picture(&opened).await.comments.len(), FOUND, "the review was not cut off");
    assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err(), "nobody listens");

    let service = site.serve().await;
    assert_eq!(site.forge.deliver(&delivery).await.unwrap(), 202);
    ended_well(&site, &service, &opened).await;
    assert_first(&site.picture(&late).await);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_killed_goes_on_where_it_was() {
    let site = Site::new().await;
    let (service, opened) = in_the_middle(&site).await;
    service.kill().await;
    let service = site.serve().await;
    ended_well(&site, &service, &opened).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_finishes_its_request_does_not_keep_the_service_from_stopping() {
    let site = Site::new().await;
    let service = site.serve().await;
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let mut slow = TcpStream::connect(address).await.unwrap();
    let signature = "0".repeat(64);
    let head = format!(
        "POST /webhooks/fake HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: sha256={signature}\r\n\
         content-length: 10\r\nexpect: 100-continue\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "it waits for the body");
    tokio::time::timeout(crate::support::HANGS, service.stop()).await.expect("it waits for the client");
}

/// Lets a worker run a step whose call to the forge gets no response, until the worker gives up. The worker
/// gives up because of `because`: either the service is stopped (`told`), or the store fails and acknowledges
/// no heartbeat (`dead`). Returns the slot afterwards.
async fn worked_in_vain(because: &str) -> Slot {
    let site = Site::new().await;
    let inner = Store::open(&site.database(), Arc::new(site.clock.clone())).unwrap();
    let script = Script::new(None);
    let forges = FaultyForges {
        inner: site.forges(),
        script: script.clone(),
        manner: ForgeManner::Silent,
        clock: StillTestClock::at(site.clock.now()),
    };
    let store = FaultyStore { inner: inner.clone(), script: script.clone() };
    // Only the case of a failed store needs a lease that expires during the test.
    let lease = if because == "dead" { TimeSpan::seconds(6) } else { limits().lease_duration };
    let context =
        site.context(store, forges, SlotLimits { debounce: TimeSpan(0), lease_duration: lease, ..limits() });
    let key = site.key(1).await;
    let described =
        SlotDescription { name: "acme/shop#1".into(), url: "https://example.com/1".into(), head: None };
    inner.store_descriptions(&[(key.clone(), described)]).await.unwrap();
    apply_slot_command(&inner, &key, SlotCommand::Event(LoopKind::Review), &context.slot_limits)
        .await
        .unwrap();
    let lease = Scheduler::new(LeaseLimits::new(1)).lease_due_slots(&context).await.unwrap().remove(0);
    let (tell, told) = tokio::sync::watch::channel(false);
    tokio::join!(drive_lease(&context, lease, Duration::from_millis(20), told), async {
        let asked = async || script.calls().contains(&"pull_request");
        until("the pull request was read from the forge", asked).await;
        match because {
            "told" => drop(tell.send_replace(true)),
            "dead" => script.set_dead(true),
            other => panic!("{other}"),
        }
    });
    inner.load_slots(&[key]).await.unwrap().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_outlasts_the_time_for_stopping_is_given_back() {
    let slot = worked_in_vain("told").await;
    assert_eq!(slot.state.to_string(), "waiting (debounce)");
    assert_eq!(slot.attempts, 0, "nothing has failed");
    assert!(slot.pending.for_loop(LoopKind::Review).is_some(), "and nothing is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_heartbeats_are_not_acknowledged_stops_by_itself() {
    let slot = worked_in_vain("dead").await;
    assert_eq!(slot.state.to_string(), "leased (review)", "it is the next one's to take when it has expired");
}
