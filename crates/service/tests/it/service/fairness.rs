//! Tests how the scheduler distributes leases. One repository or owner does not delay the others, and a newly
//! marked pull request wakes the scheduler.

use std::collections::BTreeMap;
use std::time::Duration;

use truing_core::id::{SlotKey, TimeSpan};
use truing_core::lease_fairness::LeaseLimits;
use truing_core::port::{HaltPolicy, RecordStore, SlotDescription, SlotMark};
use truing_core::slot::{LoopKind, SlotLimits};
use truing_service::ServiceSettings;
use truing_service::lease::Lease;
use truing_service::scheduler::Scheduler;

use crate::service::assert_first;
use crate::service::site::{Site, limits, pace, settings};

/// Marks this number of pull requests of a repository for review.
async fn mark(store: &dyn RecordStore, owner: &str, repository: usize, pulls: usize) {
    let mark = |number: usize| SlotMark {
        key: SlotKey::new(format!("pr/fake/{repository}/{number}")),
        description: SlotDescription {
            name: format!("{owner}/r{repository}#{number}"),
            url: format!("https://example.com/{repository}/{number}"),
            head: None,
        },
        loop_kind: LoopKind::Review,
    };
    let marks: Vec<SlotMark> = (1..=pulls).map(mark).collect();
    store.mark_slots(&marks, &limits(), HaltPolicy::Refuse).await.unwrap();
}

/// Counts the leases of each repository.
fn by_repository(leases: &[Lease]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for lease in leases {
        *counts.entry(lease.key.repository_prefix()).or_default() += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_with_a_thousand_due_pull_requests_takes_turns_with_one_that_has_one() {
    let site = Site::new().await;
    let context = site.context(site.store(), site.forges(), limits());
    mark(&*context.store, "busy", 1, 1000).await;
    site.clock.skip(TimeSpan::seconds(1));
    mark(&*context.store, "calm", 2, 2).await;
    site.clock.skip(TimeSpan::seconds(60));
    let mut scheduler = Scheduler::new(LeaseLimits::new(3));
    let first = scheduler.lease_due_slots(&context).await.unwrap();
    assert_eq!(by_repository(&first), BTreeMap::from([("pr/fake/1/", 2), ("pr/fake/2/", 1)]));
    assert_eq!(scheduler.lease_due_slots(&context).await.unwrap(), [], "all places are taken");
    for lease in &first {
        scheduler.release_lease(lease.token);
    }
    site.clock.skip(TimeSpan::seconds(1));
    let second = scheduler.lease_due_slots(&context).await.unwrap();
    assert_eq!(by_repository(&second), BTreeMap::from([("pr/fake/1/", 2), ("pr/fake/2/", 1)]));
    assert!(second.iter().all(|lease| first.iter().all(|former| former.key != lease.key)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_with_hundreds_of_repositories_leaves_places_to_others() {
    let site = Site::new().await;
    let context = site.context(site.store(), site.forges(), limits());
    for repository in 10..400 {
        mark(&*context.store, "Large", repository, 1).await;
    }
    site.clock.skip(TimeSpan::seconds(1));
    mark(&*context.store, "small", 1, 3).await;
    site.clock.skip(TimeSpan::seconds(60));
    let mut scheduler = Scheduler::new(LeaseLimits { total: 4, per_owner: 2 });
    let leases = scheduler.lease_due_slots(&context).await.unwrap();
    let small = leases.iter().filter(|lease| lease.key.repository_prefix() == "pr/fake/1/").count();
    assert_eq!((leases.len(), small), (4, 2), "{leases:?}");
    scheduler.release_lease(
        leases.iter().find(|lease| lease.key.repository_prefix() == "pr/fake/1/").unwrap().token,
    );
    let next = scheduler.lease_due_slots(&context).await.unwrap();
    assert_eq!(by_repository(&next), BTreeMap::from([("pr/fake/1/", 1)]), "the large one has its two");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_between_two_looks_is_looked_at_then() {
    let site = Site::new().await;
    // The poll interval of the scheduler is longer than this test.
    let pace = ServiceSettings { poll_interval: Duration::from_secs(3600), ..pace() };
    let store = site.store();
    let limits = SlotLimits { storm_quiet_time: TimeSpan(100), ..limits() };
    let service = site.serve_paced(store.clone(), store, limits, pace, settings()).await;
    let opened = site.open("change").await;
    site.deliver().await;
    // The slots are forgotten before the next poll, because the end of the storm also wakes the scheduler.
    service.rest(&site.clock).await;
    assert_first(&site.picture(&opened).await);
    service.stop().await;
}
