//! Tests with repositories that are renamed, transferred, recreated and deleted. The id identifies a
//! repository; the name is only displayed.

use truing_core::id::{PrId, TimeSpan};
use truing_core::port::{RunReference, RunStore as _, SlotDescription, SweepStore as _};
use truing_core::slot::{LoopKind, SlotCommand};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind, NewPull};
use truing_fakes::repo::CommitBuilder;
use truing_loops::machine::new_run_id;
use truing_loops::step_stop_reason::StepStopReason;
use truing_service::{manual_lease, worker};

use crate::sweep::site::{FORGE, Site, limits};
use crate::sweep::{FOUND, SweepStage, change, reviewed, second, shown};

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_repository_is_swept_reviewed_and_called_by_its_new_name() {
    let mut site = Site::new().await;
    let (service, mut opened) = reviewed(&site).await;
    service.stop().await;
    let key = site.key(opened.number).await;
    let mut swept = SweepStage::of(&site);
    swept.look().await;
    site.repo = site.repo.rename("mega", "store").await.unwrap();
    site.push_second(&mut opened).await;
    swept.round(&site).await;
    assert_eq!(swept.state(&key).await, "waiting (debounce)");
    let described = swept.store.descriptions(std::slice::from_ref(&key)).await.unwrap().remove(0).unwrap();
    assert_eq!(described.name, "mega/store#1");
    let service = site.serve().await;
    service.rest(&site.clock).await;
    assert_eq!(shown(&site, &opened).await, second());
    service.stop().await;
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_finds_a_repository_by_its_id_when_the_name_leads_elsewhere() {
    let mut site = Site::new().await;
    let (service, mut opened) = reviewed(&site).await;
    let key = site.key(opened.number).await;
    site.push_second(&mut opened).await;
    let told_before = site.forge.take_deliveries().remove(0);
    let old = site.repo.clone();
    site.repo = site.repo.rename("mega", "store").await.unwrap();
    // Another owner creates a repository with the old name, and opens a pull request with the same number
    // there.
    let other = site.forge.create_repository("acme", "shop", change::base()).await.unwrap();
    other.push("feature", CommitBuilder::new("Other").write("other.py", "breakpoint()\n")).await.unwrap();
    other.open_pull(NewPull::from_branch("feature")).await.unwrap();
    site.forge.take_deliveries();
    assert_eq!(site.forge.deliver(&told_before).await.unwrap(), 202);
    service.rest(&site.clock).await;
    assert_eq!(shown(&site, &opened).await, second());
    assert_eq!(old.pull(1).await.unwrap().comments, [], "nothing is said on the other one's pull request");
    let history = service.history(&key).await;
    assert!(history.iter().any(|line| line == "acme/shop was renamed to mega/store"), "{history:#?}");
    assert!(!history.iter().any(|line| line.starts_with("failed")), "{history:#?}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_does_not_answer_is_not_taken_for_one_that_refuses_access() {
    let site = Site::new().await;
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    let key = site.key(opened.number).await;
    let context = SweepStage::of(&site).context;
    site.repo.rename("mega", "store").await.unwrap();
    site.forge.add_fault(
        ForgeFault::on_call("GET", "/repositories/{id}", ForgeFaultKind::Status(502, None)).times(99),
    );
    let lease = manual_lease::lease_slot(&*context.store, &key, LoopKind::Review, &limits()).await.unwrap();
    let run = RunReference { id: new_run_id(), key, token: lease.token };
    let ended = worker::run_step(&context, &lease, &run).await.unwrap();
    let expected = "the forge sent an invalid answer";
    assert!(
        matches!(ended, Err(StepStopReason::StepFailed { failure_class, .. }) if failure_class == expected),
        "{ended:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_recreated_under_the_old_name_is_another_one() {
    let mut site = Site::new().await;
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    let old_key = site.key(opened.number).await;
    site.repo.delete().await.unwrap();
    site.repo = site.forge.create_repository("acme", "shop", change::base()).await.unwrap();
    let fresh = site.open("change").await;
    assert_eq!(fresh.number, opened.number);
    let service = site.serve_sweeping(crate::sweep::EVERY).await;
    let new_key = site.key(fresh.number).await;
    assert_ne!(new_key, old_key);
    crate::sweep::site::until("the new one is reviewed", async || service.published(&new_key).await == 1)
        .await;
    assert_eq!(shown(&site, &fresh).await, ("FIRST".to_owned(), FOUND));
    assert_eq!(service.published(&old_key).await, 1, "the old one's review is its own");
    service.rest(&site.clock).await;
    service.stop().await;
}

#[tokio::test]
async fn a_repository_that_is_gone_is_remembered_as_such_and_asked_for_seldom() {
    let site = Site::new().await;
    let (service, _) = reviewed(&site).await;
    service.stop().await;
    let mut swept = SweepStage::of(&site);
    swept.look().await;
    site.repo.delete().await.unwrap();
    swept.round(&site).await;
    let known = swept.store.repositories(FORGE).await.unwrap();
    assert!(known[0].missing_since.is_some(), "{known:?}");
    swept.round(&site).await;
    assert_eq!(swept.context.sweep_results.swept_repositories(), [], "nobody waits for it to be swept");
    let asked = || site.forge.call_counts().get("GET /repositories/{id}").copied().unwrap_or_default();
    assert_eq!(asked(), 1);
    for _ in 0..(24 * 12 - 2) {
        swept.round(&site).await;
    }
    assert_eq!(asked(), 1, "a day later");
    swept.round(&site).await;
    swept.round(&site).await;
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a_repository_that_is_not_listed_any_more_is_swept_until_it_is_gone() {
    let site = Site::new().await;
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    let mut swept = SweepStage::of(&site);
    swept.look().await;
    site.repo.set_listed(false).await.unwrap();
    site.repo.push(&opened.branch, CommitBuilder::new("More").write("more.txt", "more")).await.unwrap();
    swept.round(&site).await;
    assert_eq!(swept.state(&site.key(opened.number).await).await, "waiting (debounce)");
    // The repository gets another name and is still missing in lists. The sweep finds it by the id.
    let store = site.repo.rename("mega", "store").await.unwrap();
    swept.round(&site).await;
    let known = swept.store.repositories(FORGE).await.unwrap();
    assert_eq!((known.len(), known[0].name.as_str()), (1, store.full_name()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_from_a_fork_is_reviewed_though_the_fork_is_gone() {
    let site = Site::new().await;
    site.repo.push("eve:patch", change::first()).await.unwrap();
    let number = site
        .repo
        .open_pull(NewPull { author: "eve".into(), ..NewPull::from_branch("eve:patch") })
        .await
        .unwrap();
    site.repo.delete_fork("eve").await.unwrap();
    let service = site.serve_sweeping(crate::sweep::EVERY).await;
    let key = site.key(number).await;
    crate::sweep::site::until("it is reviewed", async || service.published(&key).await == 1).await;
    assert_eq!(site.repo.pull(number).await.unwrap().inline_comments().count(), FOUND);
    service.rest(&site.clock).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_of_a_repository_that_is_gone_parks_and_says_so() {
    let site = Site::new().await;
    let service = site.serve().await;
    let key = PrId { forge: FORGE.into(), repository: "77".into(), number: 1 }.key();
    let described = SlotDescription { name: "acme/gone#1".into(), url: "https://x/1".into(), head: None };
    service.store.store_descriptions(&[(key.clone(), described)]).await.unwrap();
    truing_loops::slots::apply_slot_command(
        &service.store,
        &key,
        SlotCommand::Event(LoopKind::Review),
        &limits(),
    )
    .await
    .unwrap();
    service
        .come_to("it is parked", &site.clock, |slots| {
            slots.iter().any(|slot| slot.state.to_string() == "held (parked)")
        })
        .await;
    let history = service.history(&key).await;
    assert!(
        history.iter().any(|line| line.contains("acme/gone#1: reading the pull request: not found")),
        "{history:#?}"
    );
    site.clock.skip(TimeSpan::minutes(5));
    service.stop().await;
}
