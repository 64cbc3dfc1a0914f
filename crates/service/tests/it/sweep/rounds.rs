//! Tests of repeated sweeps: the number of calls, the writes to the store, and the reasons for which sweeps
//! pause.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use truing_core::id::TimeSpan;
use truing_core::port::{OperatorStore as _, SweepStore as _};
use truing_core::switch::SwitchRequest;
use truing_fakes::forge::{ForgeFault, ForgeFaultKind, NewPull, RepositoryAccess};
use truing_fakes::repo::CommitBuilder;

use crate::sweep::site::{FORGE, Site};
use crate::sweep::{SweepStage, reviewed};

/// Counts the calls whose response was not `304 Not Modified`.
fn paid(site: &Site) -> usize {
    site.forge.request_log().iter().filter(|call| call.status != Some(304)).count()
}

/// Contains the log lines of the current thread while the guard from `listen` exists.
#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl CapturedLog {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        // With only one subscriber, a thread without a subscriber could be the first to reach a log line, and
        // would disable this line for all threads.
        static ANOTHER: OnceLock<tracing::Dispatch> = OnceLock::new();
        ANOTHER.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));
        let (told, max) = (self.clone(), tracing::Level::INFO);
        let subscriber = tracing_subscriber::fmt().with_max_level(max).with_ansi(false).without_time();
        tracing::subscriber::set_default(subscriber.with_writer(move || told.clone()).finish())
    }

    /// Returns the log lines since the previous call.
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_sweep_that_finds_nothing_new_writes_nothing_and_costs_nothing() {
    let site = Site::new().await;
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    site.open_as(NewPull { draft: true, ..NewPull::from_branch("draft") }).await;
    site.repo.comment(opened.number, "ada", "/review").await.unwrap();
    let mut swept = SweepStage::of(&site);
    swept.obey(&site).await;
    swept.obey(&site).await;
    let watcher = rusqlite_version(&site);
    let (before, cost) = (watcher(), paid(&site));
    for _ in 0..5 {
        swept.obey(&site).await;
    }
    assert_eq!(watcher(), before, "the file was not written to");
    assert_eq!(paid(&site), cost, "every answer was that nothing has changed");
    let period = swept.context.sweep_results.swept_repositories()[0].time_since_previous.unwrap();
    assert!((300_000..310_000).contains(&period.0), "{period:?}");
    // After a change, all these values differ.
    site.repo.push(&opened.branch, CommitBuilder::new("More").write("more.txt", "more")).await.unwrap();
    swept.round(&site).await;
    assert_ne!(watcher(), before);
    assert!(paid(&site) > cost);
}

/// Returns a function that queries the version of the store's file. The version changes if another connection
/// writes.
fn rusqlite_version(site: &Site) -> impl Fn() -> i64 {
    let watcher = rusqlite::Connection::open(site.database()).unwrap();
    move || watcher.query_row("PRAGMA data_version", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_clock_that_is_set_back_stops_no_sweep() {
    let site = Site::new().await;
    let mut swept = SweepStage::of(&site);
    let day = TimeSpan::minutes(24 * 60);
    site.clock.skip(day);
    swept.look().await;
    // The pause after an outage must also end although the clock is set back.
    site.forge
        .add_fault(ForgeFault::on_call("GET", "/user/repos", ForgeFaultKind::Status(500, None)).times(9));
    swept.round(&site).await;
    site.forge.clear_faults();
    site.clock.skip(TimeSpan(-day.0));
    let opened = site.open("change").await;
    swept.round(&site).await;
    assert_eq!(swept.state(&site.key(opened.number).await).await, "waiting (debounce)");
}

#[tokio::test]
async fn a_round_that_is_too_dear_takes_longer_and_reaches_everybody() {
    let site = Site::new().await;
    for number in 0..12 {
        let name = format!("shop-{number}");
        site.forge.create_repository("acme", &name, CommitBuilder::new("Begin")).await.unwrap();
    }
    let mut swept = SweepStage::of(&site);
    site.forge.set_rate_limit(100);
    let mut spent = Vec::new();
    let mut rounds = 0;
    while swept.context.sweep_results.swept_repositories().len() < 13 {
        let before = paid(&site);
        // Twelve sweeps take an hour of the forge's clock.
        for _ in 0..12 {
            swept.round(&site).await;
        }
        spent.push(paid(&site) - before);
        rounds += 1;
        assert!(rounds < 10, "never done: {spent:?}");
    }
    // The twelve sweeps may take calls from two windows of the rate limit.
    assert!(spent.iter().all(|calls| *calls <= 20) && spent.len() >= 2, "{spent:?}");
    let refused = site.forge.request_log().iter().filter(|call| call.status == Some(403)).count();
    assert_eq!(refused, 0, "the limit was never met");
}

#[tokio::test]
async fn reviews_that_are_short_of_calls_are_left_all_of_them() {
    let site = Site::new().await;
    let mut swept = SweepStage::of(&site);
    site.forge.set_rate_limit(100);
    swept.look().await;
    // Another client with the same token uses most of the calls.
    for _ in 0..88 {
        truing_forge::ForgeServer::repository(&site.forges().0[FORGE], "acme/shop").await.unwrap();
    }
    let used = paid(&site);
    site.repo.push("change", CommitBuilder::new("More").write("more.txt", "more")).await.unwrap();
    swept.round(&site).await;
    assert_eq!(paid(&site), used, "of a hundred calls nine are left, and they are not the sweep's");
}

#[tokio::test]
async fn a_repository_that_fails_does_not_stop_the_others() {
    let told = CapturedLog::default();
    let _listening = told.listen();
    let site = Site::new().await;
    let mut others = Vec::new();
    for name in ["bad", "broken", "blocked", "old", "good"] {
        let repo = site.forge.create_repository("acme", name, crate::sweep::change::base()).await.unwrap();
        repo.push("feature", CommitBuilder::new("Change").write("a.txt", "a")).await.unwrap();
        repo.open_pull(NewPull::from_branch("feature")).await.unwrap();
        others.push(repo);
    }
    others[0].set_access(RepositoryAccess::Forbidden).await.unwrap();
    let path = "/repos/acme/broken/pulls";
    site.forge.add_fault(ForgeFault::on_call("GET", path, ForgeFaultKind::Html(200)).times(9999));
    others[2].set_access(RepositoryAccess::Blocked).await.unwrap();
    others[3].set_access(RepositoryAccess::Archived).await.unwrap();
    let mut swept = SweepStage::of(&site);
    for _ in 0..4 {
        swept.round(&site).await;
    }
    let known: Vec<String> =
        swept.store.list_slots().await.unwrap().into_iter().map(|slot| slot.key.to_string()).collect();
    assert_eq!(known, [format!("pr/{FORGE}/{}/1", others[4].id().await.unwrap())], "the good one's");
    let lines = told.take();
    let count = |words: &str| lines.iter().filter(|line| line.contains(words)).count();
    assert_eq!(count("acme/bad"), 1, "a change of state is told once: {lines:#?}");
    assert_eq!(count("could not sweep a repository"), 3, "{lines:#?}");
    assert_eq!(count("could not sweep the forge"), 0, "{lines:#?}");

    others[0].set_access(RepositoryAccess::Unrestricted).await.unwrap();
    swept.round(&site).await;
    assert_eq!(swept.store.list_slots().await.unwrap().len(), 2);
    let lines = told.take();
    assert!(lines.iter().any(|line| line.contains("can be swept again")), "{lines:#?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_left_out_and_all_others_are_swept() {
    let site = Site::new().await;
    let (damaged, whole) = (site.open("damaged").await, site.open("whole").await);
    let other = site.forge.create_repository("acme", "other", crate::sweep::change::base()).await.unwrap();
    other.push("feature", CommitBuilder::new("Change").write("a.txt", "a")).await.unwrap();
    other.open_pull(NewPull::from_branch("feature")).await.unwrap();
    let mut swept = SweepStage::of(&site);
    let damaged = site.key(damaged.number).await;
    rusqlite::Connection::open(site.database())
        .unwrap()
        .execute(
            "INSERT INTO slot (key, version, wakes_at, body) VALUES (?1, 1, NULL, '{}')",
            [damaged.as_str()],
        )
        .unwrap();
    let store = swept.store.clone();
    store.turn_switch(&SwitchRequest::TurnOn { reason: None, mode: None }, "ada").await.unwrap();
    store.turn_switch(&SwitchRequest::TurnOff, "ada").await.unwrap();
    swept.look().await;
    let known: Vec<String> =
        store.list_slots().await.unwrap().into_iter().map(|slot| slot.key.to_string()).collect();
    let others = format!("pr/{FORGE}/{}/1", other.id().await.unwrap());
    assert_eq!(known, [site.key(whole.number).await.to_string(), others]);
    assert_eq!(store.collect_statistics().await.unwrap().unreadable_slots, 1, "it is named");
    assert_eq!(store.sweep_request_time().await.unwrap(), None, "the sweep came to its end");
    assert_eq!(swept.context.sweep_results.swept_repositories().len(), 2);

    store.delete_unreadable_slot(&damaged).await.unwrap();
    swept.round(&site).await;
    assert_eq!(swept.state(&damaged).await, "waiting (debounce)");
}

#[tokio::test]
async fn a_repository_without_issues_is_read_on_from_where_it_was_read_to() {
    let site = Site::new().await;
    site.repo.set_role("ada", "write").await.unwrap();
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    let first = site.view(&opened).await.inline_comments().next().unwrap().id;
    let path = "/repos/{owner}/{repo}/issues/comments$";
    site.forge.add_fault(ForgeFault::on_call("GET", path, ForgeFaultKind::Status(404, None)).times(999));
    let mut swept = SweepStage::of(&site);
    swept.look().await;
    site.clock.skip(TimeSpan::minutes(60));
    site.repo.reply(opened.number, "ada", first, "/review").await.unwrap();
    let before = swept.store.repositories(FORGE).await.unwrap()[0].cursor;
    swept.obey(&site).await;
    let cursor = swept.store.repositories(FORGE).await.unwrap()[0].cursor;
    assert!(cursor - before >= TimeSpan::minutes(59), "{before:?} {cursor:?}");
    assert_eq!(swept.state(&site.key(opened.number).await).await, "waiting (debounce)");
}

#[tokio::test]
async fn a_forge_that_is_down_for_an_hour_is_asked_seldom_and_told_of_once() {
    let told = CapturedLog::default();
    let _listening = told.listen();
    let site = Site::new().await;
    let opened = site.open("change").await;
    let mut swept = SweepStage::of(&site);
    swept.look().await;
    site.repo.push(&opened.branch, CommitBuilder::new("More").write("more.txt", "more")).await.unwrap();
    told.take();
    site.forge.add_fault(ForgeFault::on_call("GET", "/", ForgeFaultKind::Status(502, None)).times(9999));
    let before = site.forge.request_log().len();
    for _ in 0..3600 / 2 {
        site.clock.skip(TimeSpan::seconds(2));
        swept.look().await;
    }
    let calls = site.forge.request_log().len() - before;
    assert!((3..=60).contains(&calls), "{calls} calls in an hour");
    let lines = told.take();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("could not sweep the forge"), "{lines:#?}");
    site.forge.clear_faults();
    for _ in 0..300 {
        site.clock.skip(TimeSpan::seconds(2));
        swept.look().await;
    }
    let lines = told.take();
    assert_eq!(lines.iter().filter(|line| line.contains("can be swept again")).count(), 1, "{lines:#?}");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let site = Site::new().await;
    site.open("change").await;
    let mut swept = SweepStage::of(&site);
    let path = "/repos/{owner}/{repo}/pulls$";
    site.forge.add_fault(ForgeFault::on_call("GET", path, ForgeFaultKind::SecondaryLimit(Some(600))));
    swept.look().await;
    let asked = site.forge.request_log().len();
    swept.round(&site).await;
    assert_eq!(site.forge.request_log().len(), asked, "five minutes later it still waits");
    swept.round(&site).await;
    assert_eq!(swept.store.list_slots().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_that_may_not_list_sweeps_what_webhooks_tell_of() {
    let site = Site::new().await;
    let (service, opened) = reviewed(&site).await;
    service.stop().await;
    site.forge
        .add_fault(ForgeFault::on_call("GET", "/installation", ForgeFaultKind::Status(403, None)).times(999));
    let mut swept = SweepStage::of(&site);
    swept.look().await;
    site.repo.push(&opened.branch, CommitBuilder::new("More").write("more.txt", "more")).await.unwrap();
    swept.round(&site).await;
    assert_eq!(swept.state(&site.key(opened.number).await).await, "waiting (debounce)");
    let known = swept.store.repositories(FORGE).await.unwrap();
    assert_eq!(known.len(), 1);
}
