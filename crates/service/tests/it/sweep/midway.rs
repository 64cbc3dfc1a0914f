//! Tests that lose slots while a pull request's review is in some state. For each state and each kind of
//! loss, after two sweeps the head either counts as settled, or its slot has work. When all work is done,
//! each head that needs a review is reviewed. The tests run with a store in a file and with a store on
//! servers.

use std::path::PathBuf;
use std::process::Command as Program;
use std::sync::Arc;

use truing_core::id::{RunId, Sha, SlotKey, TimeSpan, UnixMillis};
use truing_core::outcome::{ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord, ReviewRuntime};
use truing_core::port::{
    ComputedReview, PullRevision, RunReference, RunStore as _, SlotStore as _, SweepStore as _,
};
use truing_core::publish::CommentProducer;
use truing_core::review_settlement::awaits_sweep;
use truing_core::slot::{LoopKind, SlotCommand, SlotState, StepOutcome, WaitReason};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};
use truing_loops::machine::new_run_id;
use truing_loops::slots::apply_slot_command;
use truing_service::ServiceSettings;

use crate::support::home::{Deployment, Home, copy};
use crate::support::valkey::SlotServer;
use crate::sweep::site::{Opened, Running, Site, limits, pace, settings, until};
use crate::sweep::{EVERY, FOUND, SweepStage, shown};

const DAY: TimeSpan = TimeSpan::minutes(24 * 60);

/// The state of a slot at the time of the loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SlotLossPoint {
    Debouncing,
    /// Waiting for the forge's rate limit.
    Waiting,
    Leased,
    /// Leased, while another head is pushed.
    Pushed,
    BackingOff,
    /// Backing off after a review that still has to be published.
    Computed,
    /// Waiting until the budget allows a run.
    Deferred,
    Parked,
    /// Idle, because the review of the head was published.
    Published,
    /// Idle, because an operator dropped the slot.
    Dropped,
}

impl SlotLossPoint {
    const ALL: [Self; 10] = [
        Self::Debouncing,
        Self::Waiting,
        Self::Leased,
        Self::Pushed,
        Self::BackingOff,
        Self::Computed,
        Self::Deferred,
        Self::Parked,
        Self::Published,
        Self::Dropped,
    ];

    fn has_work(self) -> bool {
        !matches!(self, Self::Published | Self::Dropped)
    }
}

/// The kinds of losses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SlotLossKind {
    /// All slots are lost; on servers, also the counter of fencing tokens.
    Flush,
    /// No slot is lost, but the service is restarted.
    Restart,
    /// The slots are replaced by a copy from before the runs began.
    OldCopy,
    /// The slots are replaced by a copy from after the runs began.
    CopyOfLeases,
}

/// A forge, and the location of a store that loses slots.
struct LossyStoreForge {
    site: Site,
    deployment: Deployment,
    home: Home,
    /// The numbers of the Valkey databases for the slots and for their copy.
    databases: (u32, u32),
}

impl LossyStoreForge {
    async fn new(deployment: Deployment) -> Self {
        let site = Site::new().await;
        let home = Home::new(deployment, site.database());
        let slots = match &home {
            Home::File(_) => 0,
            Home::Servers { slots, .. } => slots.rsplit_once('/').unwrap().1.parse().unwrap(),
        };
        Self { site, deployment, home, databases: (slots, SlotServer::new_database()) }
    }

    async fn sweep(&self) -> SweepStage {
        SweepStage::on(&self.site, self.home.open(Arc::new(self.site.clock.clone())).await)
    }

    /// Starts a service that also sweeps.
    async fn serve(&self) -> Running {
        let store = self.home.open(Arc::new(self.site.clock.clone())).await;
        let pace = ServiceSettings { sweep_interval: Some(EVERY), ..pace() };
        self.site.serve_paced(store.clone(), store, limits(), pace, settings()).await
    }

    /// Copies the slots, so that `lose` can restore them.
    async fn keep(&self, swept: &SweepStage) {
        match self.deployment {
            Deployment::File => {
                let _ = std::fs::remove_file(self.kept());
                let clock = Arc::new(self.site.clock.clone());
                copy(&swept.store, &self.kept(), clock).await;
            }
            Deployment::Servers => {
                let all = "for _, key in ipairs(redis.call('KEYS', '*')) do
                           redis.call('COPY', key, key, 'DB', ARGV[1], 'REPLACE') end";
                let (from, to) = self.databases;
                by_hand(from, &["EVAL", all, "0", &to.to_string()]);
            }
        }
    }

    /// Performs the loss while no process has the store open.
    fn lose(&self, loss: SlotLossKind) {
        let (slots, kept) = self.databases;
        match (loss, self.deployment) {
            (SlotLossKind::Restart, _) => {}
            (SlotLossKind::Flush, Deployment::File) => {
                let file = rusqlite::Connection::open(self.site.database()).unwrap();
                file.execute("DELETE FROM slot", []).unwrap();
            }
            (SlotLossKind::Flush, Deployment::Servers) => by_hand(slots, &["FLUSHDB"]),
            (SlotLossKind::OldCopy | SlotLossKind::CopyOfLeases, Deployment::File) => {
                let file = rusqlite::Connection::open(self.site.database()).unwrap();
                let kept = self.kept();
                file.execute("ATTACH ?1 AS kept", [kept.to_str().unwrap()]).unwrap();
                file.execute("DELETE FROM slot", []).unwrap();
                file.execute("INSERT INTO slot SELECT * FROM kept.slot", []).unwrap();
            }
            (SlotLossKind::OldCopy | SlotLossKind::CopyOfLeases, Deployment::Servers) => {
                by_hand(0, &["SWAPDB", &slots.to_string(), &kept.to_string()]);
            }
        }
    }

    fn kept(&self) -> PathBuf {
        self.site.database().with_file_name("kept.db")
    }

    /// Returns the head and base of the pull request at the forge.
    async fn revision(&self, opened: &Opened) -> PullRevision {
        let view = self.site.view(opened).await;
        PullRevision { head: Sha::try_from(view.head).unwrap(), base: Sha::try_from(view.base).unwrap() }
    }

    /// Returns true if `truing why` reports that the next sweep will mark the pull request.
    async fn awaits_sweep(&self, swept: &SweepStage, key: &SlotKey) -> bool {
        let (store, keys) = (&swept.store, std::slice::from_ref(key));
        let last = store.last_reviews(keys).await.unwrap().remove(0);
        let described = store.descriptions(keys).await.unwrap().remove(0).unwrap();
        awaits_sweep(&swept.slot(key).await, described.head.as_ref(), &last)
    }

    async fn is_settled(&self, swept: &SweepStage, opened: &Opened) -> bool {
        let key = self.site.key(opened.number).await;
        let last = swept.store.last_reviews(&[key]).await.unwrap().remove(0);
        last.last_settled == Some(self.revision(opened).await)
    }
}

/// Sends a command to the Valkey server with the slots.
fn by_hand(database: u32, arguments: &[&str]) {
    let port = SlotServer::shared_server().port.to_string();
    let mut client = Program::new("redis-cli");
    client.args(["-e", "-p", &port, "-n", &database.to_string()]).args(arguments);
    let ran = client.output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

fn outcome(kind: ReviewOutcomeKind) -> ReviewOutcome {
    ReviewOutcome {
        kind,
        reason: Some("it is tried here".into()),
        next_attempt_at: None,
        runtime: ReviewRuntime::Rules,
    }
}

/// A run of a worker, which a test performs step by step.
struct Work<'a> {
    swept: &'a SweepStage,
    run: RunReference,
    revision: PullRevision,
}

impl<'a> Work<'a> {
    /// Leases the slot at its due time, and begins a run.
    async fn begin(lossy: &LossyStoreForge, swept: &'a SweepStage, key: &SlotKey, opened: &Opened) -> Self {
        lossy.site.clock.skip(TimeSpan::seconds(1));
        let slot = apply_slot_command(&swept.store, key, SlotCommand::Lease, &limits()).await.unwrap().slot;
        let run = RunReference { id: new_run_id(), key: key.clone(), token: slot.token().unwrap() };
        let work = Self { swept, run, revision: lossy.revision(opened).await };
        let now = swept.store.now().await.unwrap();
        swept.store.begin_run(&work.run, &work.revision, now).await.unwrap();
        work
    }

    async fn step(&self, command: SlotCommand) {
        apply_slot_command(&self.swept.store, &self.run.key, command, &limits()).await.unwrap();
    }

    async fn now(&self) -> UnixMillis {
        self.swept.store.now().await.unwrap()
    }

    async fn fail(&self) {
        let now = self.now().await;
        self.swept.store.mark_failed(&self.run, &outcome(ReviewOutcomeKind::Failed), now).await.unwrap();
        self.step(SlotCommand::Fail(self.run.token, None)).await;
    }

    async fn wait(&self, reason: WaitReason) {
        let at = self.now().await + DAY;
        self.step(SlotCommand::Finish(self.run.token, StepOutcome::DueAt(at, reason))).await;
    }

    fn record(&self, now: UnixMillis) -> ReviewRecord {
        let PullRevision { head, base } = self.revision.clone();
        let detail = ReviewDetail::new(Some(head), base, outcome(ReviewOutcomeKind::Reviewed));
        ReviewRecord::new(self.run.id.clone(), self.run.key.clone(), detail, now)
    }
}

/// Changes the slot and the run so that they are in the state `midway`.
async fn arrange(lossy: &LossyStoreForge, work: &Work<'_>, midway: SlotLossPoint, opened: &mut Opened) {
    let (store, now) = (&work.swept.store, work.now().await);
    match midway {
        SlotLossPoint::Debouncing | SlotLossPoint::Leased => {}
        SlotLossPoint::Waiting => work.wait(WaitReason::RateLimit).await,
        SlotLossPoint::Pushed => {
            lossy.site.push_second(opened).await;
            work.step(SlotCommand::Event(LoopKind::Review)).await;
        }
        SlotLossPoint::BackingOff => work.fail().await,
        SlotLossPoint::Computed => {
            let outcome = work.record(now);
            let (findings, desired) = (Vec::new(), Vec::new());
            let computed = ComputedReview {
                producer: CommentProducer::Review,
                findings,
                desired_comments: desired,
                status: None,
                record: outcome,
            };
            store.store_computed_review(&work.run, &computed).await.unwrap();
            work.fail().await;
        }
        SlotLossPoint::Deferred => {
            store.end_run(&work.run, &outcome(ReviewOutcomeKind::Deferred), now).await.unwrap();
            work.wait(WaitReason::Deferred).await;
        }
        SlotLossPoint::Parked => {
            work.fail().await;
            for _ in 1..limits().max_attempts {
                Work::begin(lossy, work.swept, &work.run.key, opened).await.fail().await;
            }
            assert_eq!(work.swept.state(&work.run.key).await, "held (parked)");
        }
        SlotLossPoint::Published => {
            store.mark_published(&work.run, &work.record(now).with_end_time(now)).await.unwrap();
            work.step(SlotCommand::Finish(work.run.token, StepOutcome::Done)).await;
        }
        SlotLossPoint::Dropped => {
            work.fail().await;
            work.step(SlotCommand::Drop).await;
            store
                .skip_head(&RunId::new(work.run.key.as_str()), &work.run.key, None, "dropped")
                .await
                .unwrap();
        }
    }
}

async fn nothing_is_lost(deployment: Deployment, loss: SlotLossKind) {
    let lossy = LossyStoreForge::new(deployment).await;
    let site = &lossy.site;
    let mut pulls = Vec::new();
    for midway in SlotLossPoint::ALL {
        let opened = site.open(&format!("{midway:?}").to_lowercase()).await;
        pulls.push((midway, site.key(opened.number).await, opened));
    }
    let mut swept = lossy.sweep().await;
    swept.look().await;
    if loss == SlotLossKind::OldCopy {
        lossy.keep(&swept).await;
    }
    let mut works = Vec::new();
    for (midway, key, opened) in &pulls {
        if *midway != SlotLossPoint::Debouncing {
            works.push(Work::begin(&lossy, &swept, key, opened).await);
        }
    }
    if loss == SlotLossKind::CopyOfLeases {
        lossy.keep(&swept).await;
    }
    for (midway, key, opened) in &mut pulls {
        if let Some(work) = works.iter().find(|work| work.run.key == *key) {
            arrange(&lossy, work, *midway, opened).await;
        }
    }
    drop(works);
    assert!(!site.forge.take_deliveries().is_empty(), "no webhook arrives");
    drop(swept);
    lossy.lose(loss);

    let mut swept = lossy.sweep().await;
    for (midway, key, opened) in &pulls {
        let said = lossy.awaits_sweep(&swept, key).await;
        let (slot, settled) = (swept.slot(key).await, lossy.is_settled(&swept, opened).await);
        let is_lost = slot.state == SlotState::Idle && !settled;
        assert_eq!(said, is_lost, "{loss:?}: {midway:?} is said to be idle, or is not lost: {slot:?}");
    }
    swept.round(site).await;
    swept.round(site).await;
    let is_kept = matches!(loss, SlotLossKind::Flush | SlotLossKind::Restart);
    for (midway, key, opened) in &pulls {
        let (slot, settled) = (swept.slot(key).await, lossy.is_settled(&swept, opened).await);
        let has_work = slot.state != SlotState::Idle;
        assert!(settled || has_work, "{loss:?}: {midway:?} is lost: {slot:?}");
        if is_kept {
            assert_eq!((has_work, settled), (midway.has_work(), !midway.has_work()), "{loss:?}: {midway:?}");
        }
    }
    drop(swept);

    // A service does the remaining work. It must not review a head again that was published or dropped.
    let service = lossy.serve().await;
    let is_parked = |state: &SlotState| state.to_string() == "held (parked)";
    let what = "all that is not parked is done";
    service.come_to(what, &site.clock, |slots| slots.iter().all(|slot| is_parked(&slot.state))).await;
    service.stop().await;
    let swept = lossy.sweep().await;
    for (midway, key, opened) in &pulls {
        let (settled, slot) = (lossy.is_settled(&swept, opened).await, swept.slot(key).await);
        let stays = *midway == SlotLossPoint::Parked && loss == SlotLossKind::Restart;
        assert_eq!((settled, is_parked(&slot.state)), (!stays, stays), "{loss:?}: {midway:?}: {slot:?}");
        if *midway == SlotLossPoint::Published || (is_kept && *midway == SlotLossPoint::Dropped) {
            assert_eq!(shown(site, opened).await.0, "nothing", "{loss:?}: {midway:?} needs no review");
        }
    }
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_head_is_lost_with_all_slots_of_valkey() {
    nothing_is_lost(Deployment::Servers, SlotLossKind::Flush).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_head_is_lost_with_all_slots_of_a_file() {
    nothing_is_lost(Deployment::File, SlotLossKind::Flush).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_head_is_lost_when_a_service_begins_again() {
    for deployment in [Deployment::Servers, Deployment::File] {
        nothing_is_lost(deployment, SlotLossKind::Restart).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_head_is_lost_when_slots_come_back_from_an_old_copy() {
    for deployment in [Deployment::Servers, Deployment::File] {
        for loss in [SlotLossKind::OldCopy, SlotLossKind::CopyOfLeases] {
            nothing_is_lost(deployment, loss).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_under_review_when_valkey_is_emptied_is_reviewed() {
    let lossy = LossyStoreForge::new(Deployment::Servers).await;
    let site = &lossy.site;
    let held = ForgeFault::on_call("GET", "/repos/acme/shop/issues/1/comments", ForgeFaultKind::HeldRequest);
    site.forge.add_fault(held.times(999));
    let service = lossy.serve().await;
    let opened = site.open("change").await;
    let key = site.key(opened.number).await;
    site.deliver().await;
    until("a run has begun", async || {
        let last = service.store.last_reviews(std::slice::from_ref(&key)).await.unwrap();
        last[0].last_attempted.is_some() && service.is_leased(&key).await
    })
    .await;
    by_hand(lossy.databases.0, &["FLUSHDB"]);
    site.forge.clear_faults();
    site.clock.skip(TimeSpan::minutes(5));
    until("it is reviewed", async || shown(site, &opened).await == ("FIRST".to_owned(), FOUND)).await;
    service.rest(&site.clock).await;
    service.stop().await;
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}
