//! Tests that interrupt a review at each call of the service to the store, the forge and the reader. The ways
//! of interrupting are a crash before the call, a crash after it, and a lost response. After a crash, a new
//! process of the service continues. The final state of the pull request must be the same as without the
//! interruption.
//!
//! The part of a story before the interrupted review is played only once. Each interruption starts from a
//! copy of the records and of the forge's state. There is a separate test for each way of interrupting, so
//! the ways run in parallel.
//!
//! The store, git and the client, which sends HTTP requests to the fake forge, are real. Only the clock is
//! controlled: it moves directly to the next instant at which something is due. Every story is played with a
//! store in a file. One story is also played on Valkey and PostgreSQL, with one way of interrupting. `points`
//! selects the calls; `cargo xtask test --full` plays all stories at all calls, on a file and on the servers.

// long: all stories use one harness of crash points.

use crate::support::home::{self, Deployment, Home};
use crate::support::reader::ThreadedReader;
use crate::support::{change, deliver, folder, points, ports, watch};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use tempfile::TempDir;
use truing_core::id::{PrId, Sha, SlotKey, TimeSpan, Topic, UnixMillis};
use truing_core::lease_fairness::LeaseLimits;
use truing_core::outcome::ReviewOutcomeKind;
use truing_core::port::{
    Clock as _, EffectLog as _, EffectOwner, PullRevision, RecordStore, RunReference, RunStore as _,
    SlotStore as _, SweepStore as _,
};
use truing_core::publish::{CommentProducer, CommentSubject};
use truing_core::run::RunStage;
use truing_core::slot::{HoldReason, Slot, SlotCommand, SlotLimits, SlotState};
use truing_fakes::forge::{FakeDelivery, FakeForgeOptions, FakeRepo, FakeRepoSnapshot, NewPull, PullView};
use truing_forge::AnyForgeServer;
use truing_forge::marker::MarkerKeys;
use truing_git::{Git, GitOptions};
use truing_loops::checkout::OperatorRules;
use truing_loops::machine::new_run_id;
use truing_loops::slots::apply_slot_command;
use truing_service::comment_commands::CommandProcessor;
use truing_service::scheduler::Scheduler;
use truing_service::worker::run_step;
use truing_service::{ConfiguredForges, ServiceContext};
use truing_store::Store;

use crate::support::login::Login;
use change::{BOT, FIXED, FORTY, FOUND, NEW, ReviewPicture, STAY};
use deliver::hand_over;
use ports::{
    BreakableReader, Fault, FaultyForges, FaultyReader, FaultyStore, ForgeManner, Mode, Script,
    StillTestClock, WRITES,
};
use watch::Watched;

const FORGE: &str = "fake";
const SECRET: &str = "webhook secret";
const TOKEN: &str = "ghs_reviewer";
const SETTLE: TimeSpan = TimeSpan::seconds(30);
/// Maximum number of findings that get a separate comment.
const MAX_INLINE: usize = 30;
/// Maximum number of steps in which a pull request must come to rest.
const MAX_STEPS: usize = 60;

/// A forge with one repository, a clock, and the files of one service.
struct CrashTestForge {
    deployment: Deployment,
    forge: Watched,
    repo: FakeRepo,
    /// The base commit and the heads that all pull requests of these tests use. Only the first pull request
    /// has to fetch these commits.
    base: String,
    first: String,
    second: String,
    forty: String,
    clock: StillTestClock,
    server: AnyForgeServer,
    git: Git,
    reader: ThreadedReader,
    rules: OperatorRules,
    folder: TempDir,
}

/// The state right before the interrupted review of a story, from which each interruption starts.
struct Scene {
    story: CrashScenario,
    number: u64,
    key: SlotKey,
    /// The webhook delivery that triggers the interrupted review.
    delivery: FakeDelivery,
    /// The highest id of a status before the interrupted review.
    status: u64,
    /// A snapshot of the forge's repository.
    held: FakeRepoSnapshot,
    /// A copy of the records.
    records: PathBuf,
    at: UnixMillis,
}

/// One process of the service.
struct Process {
    context: Arc<ServiceContext>,
    store: Store,
    /// True while the reader of the process fails.
    is_broken: Arc<AtomicBool>,
    script: Arc<Script>,
    /// True if the process executes commands in comments.
    obeys: bool,
}

/// The review that the fault interrupts, and the part of the story before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Review {
    /// The first review of a pull request.
    First,
    /// The review after a push.
    Second,
    /// The first review of a pull request with forty findings. Faults occur only at calls that write to the
    /// forge.
    Forty,
    /// A review whose reader fails until the last attempt, so the failure is reported on the pull request.
    /// After a retry, the review succeeds.
    GivenUp,
    /// The review after a person dismisses a finding of a reviewed pull request.
    Dismissed,
    /// A push to a pull request that gets only one review, so the new head is not reviewed.
    Once,
    /// A push to a pull request with a label that turns reviews off, so the new head is not reviewed.
    Off,
    /// A forced push back to the reviewed head, from a head that was not reviewed.
    Back,
}

impl Review {
    /// Returns true if the last head of the story is not reviewed.
    fn leaves(self) -> bool {
        matches!(self, Self::Once | Self::Off)
    }
}

#[derive(Clone, Copy, Debug)]
struct CrashScenario {
    manner: ForgeManner,
    review: Review,
}

/// The result of playing one story.
#[derive(Debug)]
struct ScenarioResult {
    /// The comments and the status that the pull request finally shows.
    picture: ReviewPicture,
    /// The calls of the process with the fault.
    calls: Vec<&'static str>,
    /// Number of reads by the reader in all processes of the story.
    reads: u32,
}

impl CrashTestForge {
    async fn new(deployment: Deployment) -> Self {
        let clock = StillTestClock::at(UnixMillis(1_790_000_000_000));
        let options = FakeForgeOptions { clock: Arc::new(clock.clone()), ..FakeForgeOptions::default() };
        let forge = Watched::start(options).await;
        forge.register_token(TOKEN, BOT);
        let repo = forge.create_repository("acme", "shop", change::base()).await.unwrap();
        let markers = MarkerKeys::new(b"a key of the tests", &[]);
        let login =
            Login { name: FORGE, token: TOKEN, markers, settle: SETTLE, command_accounts: Vec::new() };
        let server = forge.client(&login, Arc::new(clock.clone()));
        repo.set_role("ada", "write").await.unwrap();
        let base = repo.tip("main").await.unwrap();
        let first = repo.push("first", change::first()).await.unwrap();
        let second = repo.push("first", change::second()).await.unwrap();
        let forty = repo.push("forty", change::forty(0)).await.unwrap();
        Self {
            deployment,
            repo,
            base,
            first,
            second,
            forty,
            clock,
            server,
            git: Git::new(GitOptions::default()).await.unwrap(),
            reader: ThreadedReader::new().unwrap(),
            rules: change::rules(&["core"]),
            folder: folder::in_memory(),
            forge,
        }
    }

    /// Starts a process whose state comes only from the store.
    async fn start(&self, story: CrashScenario, fault: Option<Fault>, home: &Home) -> Process {
        let script = Script::new(fault);
        let inner = home.open(Arc::new(self.clock.clone())).await;
        let forges = ConfiguredForges(BTreeMap::from([(FORGE.to_owned(), self.server.clone())]));
        let given_up = story.review == Review::GivenUp;
        let limits = SlotLimits::default();
        let is_broken = Arc::new(AtomicBool::new(given_up));
        let reader = BreakableReader { inner: self.reader.clone(), broken: Arc::clone(&is_broken) };
        let store: Arc<dyn RecordStore> =
            Arc::new(FaultyStore { inner: inner.clone(), script: script.clone() });
        let context = ServiceContext {
            switches: truing_loops::run_gate::SwitchReader::new(store.clone(), Arc::new(self.clock.clone())),
            store,
            forges: Box::new(FaultyForges {
                inner: forges,
                script: script.clone(),
                manner: story.manner,
                clock: self.clock.clone(),
            }),
            reader: Box::new(FaultyReader { inner: reader, script: script.clone() }),
            clock: Arc::new(self.clock.clone()),
            git: self.git.clone(),
            mirrors_folder: self.folder.path().join("mirrors"),
            slot_limits: SlotLimits {
                max_attempts: if given_up { 1 } else { limits.max_attempts },
                ..limits
            },
            repository_filter: truing_service::repository_filter::RepositoryFilter::default(),
            rules: self.rules.clone(),
            max_inline_comments: MAX_INLINE,
            agent: None,
            converge_setup: Err("it is not tried here".to_owned()),
            held_slots: truing_service::kill_switch::HeldSlots::default(),
            write_monitor: truing_loops::telemetry::WRITE_MONITOR.clone(),
            sweep_results: truing_service::sweep::SweepResults::default(),
            metrics: truing_service::metrics::ServiceMetrics::new().unwrap(),
            scheduler_waker: truing_service::scheduler_waker::SchedulerWaker::default(),
            linter_sources: truing_loops::tools::LinterSources::default(),
            duty_lease_expiry: truing_service::duty_lease::DutyLeaseExpiry::default(),
            max_step_time: truing_service::worker::MAX_STEP_TIME,
        };
        Process {
            context: Arc::new(context),
            store: inner,
            is_broken,
            script,
            obeys: story.review == Review::Dismissed,
        }
    }

    /// Returns the newest webhook delivery of the forge.
    fn delivery(&self) -> FakeDelivery {
        self.forge.take_deliveries().pop().unwrap()
    }

    /// Plays the part before the interrupted review.
    async fn set(&self, story: CrashScenario) -> Scene {
        let (branch, records) = ("change", self.folder.path().join("begin.db"));
        let head = if story.review == Review::Forty { &self.forty } else { &self.first };
        self.repo.reset_branch(branch, head).await.unwrap();
        let number = self.repo.open_pull(NewPull::from_branch(branch)).await.unwrap();
        let before = Home::new(self.deployment, self.folder.path().join("before.db"));
        let process = self
            .start(CrashScenario { manner: ForgeManner::Prompt, review: Review::First }, None, &before)
            .await;
        if !matches!(story.review, Review::First | Review::Forty | Review::GivenUp) {
            let opened = self.delivery();
            if matches!(story.review, Review::Once | Review::Back) {
                self.repo.set_label(number, change::ONCE, true, "ada").await.unwrap();
            }
            process.deliver(&opened).await;
            process.run(&self.clock).await.unwrap();
        }
        if story.review == Review::Off {
            self.repo.set_label(number, change::OFF, true, "ada").await.unwrap();
        }
        if story.review == Review::Back {
            self.repo.reset_branch(branch, &self.second).await.unwrap();
            process.deliver(&self.delivery()).await;
            process.run(&self.clock).await.unwrap();
            self.repo.reset_branch(branch, &self.first).await.unwrap();
        }
        if story.review == Review::Second || story.review.leaves() {
            self.repo.reset_branch(branch, &self.second).await.unwrap();
        }
        if story.review == Review::Dismissed {
            let view = self.repo.pull(number).await.unwrap();
            let first = view.inline_comments().find(|comment| comment.author == BOT).unwrap().id;
            self.repo.reply(number, "ada", first, "/dismiss as agreed").await.unwrap();
        }
        home::copy(&process.store, &records, Arc::new(self.clock.clone())).await;
        let statuses = self.repo.pull(number).await.unwrap().statuses;
        Scene {
            story,
            number,
            key: self.key(number).await,
            delivery: self.delivery(),
            // In this story, the status of the earlier review of the same head counts, too.
            status: match story.review {
                Review::Back => 0,
                Review::First
                | Review::Second
                | Review::Forty
                | Review::GivenUp
                | Review::Dismissed
                | Review::Once
                | Review::Off => statuses.values().flatten().map(|status| status.id).max().unwrap_or(0),
            },
            held: self.repo.take_snapshot().await.unwrap(),
            records,
            at: self.clock.now(),
        }
    }

    /// Plays a story from the interrupted review to the end, with or without a fault.
    async fn play(&self, scene: &Scene, fault: Option<Fault>) -> Result<ScenarioResult, String> {
        let Scene { story, number, key, status: before, .. } = scene;
        // Each repetition has a separate file, because the process of the previous repetition may still have
        // its file open.
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let file = folder.path().join("truing.db");
        let home = Home::of_copy(self.deployment, file, &scene.records).await;
        self.repo.restore_snapshot(&scene.held).await.unwrap();
        self.clock.set(scene.at);

        let (process, calls, reads) = self.interrupted(scene, fault, &home).await?;
        if let Some(fault) = fault
            && calls.len() < fault.call
        {
            return Err(format!("the fault never came: the process ended after {} calls", calls.len()));
        }
        if story.review == Review::GivenUp {
            let lives_on = fault.is_some_and(|fault| fault.mode == Mode::AnswerLost);
            self.check_told(*number, *before, !lives_on).await?;
            process.is_broken.store(false, Ordering::SeqCst);
            apply_slot_command(
                &*process.context.store,
                key,
                SlotCommand::Retry,
                &process.context.slot_limits,
            )
            .await
            .unwrap();
            process.run(&self.clock).await?;
        }
        let reads = reads + process.script.reads();
        let view = self.repo.pull(*number).await.unwrap();
        self.check_records(*story, &process.store, key, &view).await?;
        Ok(ScenarioResult { picture: self.picture(&view, *before), calls, reads })
    }

    /// Plays the interrupted review until no work is left. Returns the process that finished the work, the
    /// calls of the process with the fault, and the number of reads before the crash.
    async fn interrupted(
        &self,
        scene: &Scene,
        fault: Option<Fault>,
        home: &Home,
    ) -> Result<(Process, Vec<&'static str>, u32), String> {
        let Scene { story, delivery, .. } = scene;
        let mut process = self.start(*story, fault, home).await;
        let mut accepted = process.deliver(delivery).await == StatusCode::ACCEPTED;
        if !accepted && !process.script.is_dead() {
            accepted = process.deliver(delivery).await == StatusCode::ACCEPTED;
        }
        process.run(&self.clock).await?;
        let calls = process.script.calls();
        let mut reads = 0;
        if process.script.is_dead() {
            reads = process.script.reads();
            drop(process);
            process = self.start(*story, None, home).await;
            process.context.end_all_orphaned_leases().await.unwrap();
            if !accepted {
                // The forge, a person or the sweep sends the delivery again, because it was not accepted with
                // status 202.
                process.deliver(delivery).await;
            }
            process.run(&self.clock).await?;
        }
        Ok((process, calls, reads))
    }

    async fn key(&self, number: u64) -> SlotKey {
        let repository = self.repo.id().await.unwrap().to_string();
        PrId { forge: FORGE.into(), repository, number }.key()
    }

    fn picture(&self, view: &PullView, before: u64) -> ReviewPicture {
        let names =
            [(&self.base, "BASE"), (&self.first, "FIRST"), (&self.second, "SECOND"), (&self.forty, "FORTY")];
        ReviewPicture::of(view, &names, before)
    }

    /// Checks a pull request on which the service gave up its review. A summary must report the failure at
    /// most once, or exactly once if `surely` is true.
    async fn check_told(&self, number: u64, before: u64, surely: bool) -> Result<(), String> {
        let picture = self.picture(&self.repo.pull(number).await.unwrap(), before);
        let told = picture.summaries.len() == 1
            && picture.summaries[0].contains("review temporarily unavailable")
            && picture.status.as_ref().is_some_and(|(state, _)| state == "pending");
        let right = told || (!surely && picture.summaries.len() <= 1);
        let right = right && picture.comments.is_empty() && picture.deleted == 0;
        if right { Ok(()) } else { Err(format!("given up, and shown is {picture:#?}")) }
    }

    /// Checks the final records, which must not depend on the fault.
    async fn check_records(
        &self,
        story: CrashScenario,
        store: &Store,
        key: &SlotKey,
        view: &PullView,
    ) -> Result<(), String> {
        let sha = |text: &str| Sha::parse(text).unwrap();
        let is_left = story.review.leaves();
        let head = if is_left { &self.first } else { &view.head };
        let revision = PullRevision { head: sha(head), base: sha(&view.base) };
        let last = store.last_review_record(key).await.unwrap().map(|last| last.detail);
        let is_last_left = last.as_ref().is_some_and(|last| {
            last.head.as_ref() == Some(&sha(&view.head)) && last.outcome.kind == ReviewOutcomeKind::Skipped
        });
        let runs = store.review_entries(key, 100).await.unwrap();
        let reviewed = runs.iter().find(|run| run.stage == RunStage::Published);
        let violations = self.forge.violations();
        let writer = EffectOwner { key: key.clone(), producer: CommentProducer::Review, token: None };
        let is_item = |topic: &Topic| CommentSubject::from_topic(topic).is_some();
        let problem = if reviewed.map(|run| &run.revision) != Some(&revision) {
            format!("reviewed is {reviewed:?}, not {revision:?}")
        } else if is_left != is_last_left {
            format!("the newest run ended as {last:?}")
        } else if store.open_entries(&writer).await.unwrap().iter().any(|(topic, _)| is_item(topic)) {
            "a comment is pending".to_owned()
        } else if store.desired_state(key, CommentProducer::Review).await.unwrap().1.is_some() {
            "the status is still to be set".to_owned()
        } else if store.load_slots(std::slice::from_ref(key)).await.unwrap() != [Slot::new(key.clone())] {
            "the slot is not forgotten".to_owned()
        } else if !violations.is_empty() {
            violations.join(", ")
        } else {
            return Ok(());
        };
        Err(problem)
    }
}

impl Process {
    /// Sends a delivery to the routes of the service.
    async fn deliver(&self, delivery: &FakeDelivery) -> StatusCode {
        hand_over(&self.context, (FORGE, SECRET), delivery).await
    }

    /// Does all due work and moves the clock to the next due time. Ends when only parked slots or no slots
    /// are left, or when the process has crashed.
    async fn run(&self, clock: &StillTestClock) -> Result<(), String> {
        for _ in 0..MAX_STEPS {
            if self.obeys {
                // A command that could not be executed is retried in the next iteration.
                let _ = CommandProcessor::default().process_requests(&self.context).await;
            }
            let unheard = self.obeys && !self.store.unserved_requests(FORGE, 1).await.unwrap().is_empty();
            let leases =
                Scheduler::new(LeaseLimits::new(1)).lease_due_slots(&self.context).await.unwrap_or_default();
            let idle = leases.is_empty();
            for lease in leases {
                let run = RunReference { id: new_run_id(), key: lease.key.clone(), token: lease.token };
                // If the result of a step could not be recorded, the next lease repeats the step.
                let _ = run_step(&self.context, &lease, &run).await;
            }
            if self.script.is_dead() {
                return Ok(());
            }
            let slots = self.store.list_slots().await.unwrap();
            match slots.iter().filter_map(|slot| slot.wake_time()).min() {
                _ if unheard => {}
                None if slots
                    .iter()
                    .all(|slot| slot.state == SlotState::Held { reason: HoldReason::Parked }) =>
                {
                    return Ok(());
                }
                None => return Err(format!("stuck: {slots:?}")),
                Some(_) if !idle => {}
                Some(at) => clock.reach(at),
            }
        }
        Err(format!("not at rest after {MAX_STEPS} steps, at {:?}", clock.now()))
    }
}

/// Plays a story once for each of its calls, each time with an interruption at that call. Without a fault,
/// the story must have at least `least` calls.
async fn interrupt_everywhere(deployment: Deployment, story: CrashScenario, mode: Mode, least: usize) {
    let lane = CrashTestForge::new(deployment).await;
    let scene = lane.set(story).await;
    let clean = lane.play(&scene, None).await.unwrap();
    check_clean(story, &clean.picture);
    let again = lane.play(&scene, None).await.unwrap();
    assert_eq!(again.calls, clean.calls, "the same story makes the same calls");
    assert_eq!(again.picture, clean.picture, "and ends the same");

    // The reader may run twice only if the fault occurs before its result is recorded.
    let call = |name: &str| clean.calls.iter().position(|call| *call == name);
    let unrecorded = call("read").zip(call("store_computed_review"));
    let mut wrong = Vec::new();
    let writes_only = story.review == Review::Forty;
    let calls = clean.calls.iter().copied().enumerate();
    let (indices, names): (Vec<usize>, Vec<&str>) =
        calls.filter(|(_, name)| !writes_only || WRITES.contains(name)).unzip();
    assert!(names.len() >= least, "the enumeration has shrunk to {} points", names.len());
    let played =
        points::to_play(&format!("crash: {deployment:?} {story:?} {mode:?}"), &names, 2 * mode as usize);
    for &point in &played {
        let (index, name) = (indices[point], names[point]);
        let fault = Fault { call: index + 1, mode };
        let most =
            1 + u32::from(unrecorded.is_some_and(|(read, recorded)| (read..=recorded).contains(&index)));
        let at = format!("{mode:?} at call {} of {} (`{name}`)", index + 1, clean.calls.len());
        match lane.play(&scene, Some(fault)).await {
            Ok(played) if played.reads > most => wrong.push(format!("{at}: read {} times", played.reads)),
            Ok(played) if played.picture == clean.picture => {}
            Ok(played) => wrong.push(format!("{at}: shown is {:#?}", played.picture)),
            Err(problem) => wrong.push(format!("{at}: {problem}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} points end wrong:\n{}", wrong.len(), played.len(), wrong.join("\n"));
}

/// Checks the result of the story without a fault in detail, because the test compares all other results with
/// this one.
fn check_clean(story: CrashScenario, picture: &ReviewPicture) {
    let [summary] = picture.summaries.as_slice() else { panic!("{:?}", picture.summaries) };
    let (head, open, fixed) = match story.review {
        Review::First | Review::GivenUp | Review::Once | Review::Off | Review::Back => ("FIRST", FOUND, 0),
        Review::Second => ("SECOND", STAY + NEW, FIXED),
        Review::Dismissed => ("FIRST", FOUND - 1, 0),
        Review::Forty => ("FORTY", FORTY, 0),
    };
    let dismissed = usize::from(story.review == Review::Dismissed);
    assert!(summary.contains(&format!("Reviewed commit `{head}` against `BASE`.")), "{summary}");
    assert!(summary.contains(&format!("## Truing: {open} findings")), "{summary}");
    let told = summary.contains("### Findings without a comment of their own");
    let folded = open.saturating_sub(MAX_INLINE);
    assert_eq!(told, story.manner == ForgeManner::Fussy || folded > 0, "{summary}");
    let unplaced = folded + usize::from(story.manner == ForgeManner::Fussy);
    let list = summary.split("### Findings without a comment of their own").nth(1).unwrap_or_default();
    assert_eq!(list.matches("\n- **P").count(), unplaced, "{summary}");
    assert_eq!(picture.open(), open - unplaced, "{picture:#?}");
    assert_eq!(picture.comments.len(), open - unplaced + fixed + dismissed, "{picture:#?}");
    let said = |word: &str| picture.comments.iter().filter(|comment| comment.body.contains(word)).count();
    assert_eq!(said("**Fixed in `SECOND`.**"), fixed, "{picture:#?}");
    assert_eq!(said("**Dismissed:** as agreed (ada)"), dismissed, "{picture:#?}");
    assert_eq!(picture.deleted, 0, "{picture:#?}");
    assert_eq!(
        summary.contains("The pull request has moved on to `SECOND`"),
        story.review.leaves(),
        "{summary}"
    );
    let status = match story.review {
        Review::Once => ("pending", "not reviewed (once)".to_owned()),
        Review::Off => ("pending", "not reviewed: label no-review".to_owned()),
        Review::First
        | Review::Second
        | Review::Forty
        | Review::GivenUp
        | Review::Dismissed
        | Review::Back => ("failure", format!("{open} findings")),
    };
    assert_eq!(picture.status, Some((status.0.to_owned(), status.1)));
}

/// Defines the tests of each story. The parameters of a story are a behaviour of the forge, the interrupted
/// review, and the minimum number of calls.
macro_rules! stories {
    ($($name:ident: $manner:ident, $review:ident, $least:literal;)*) => {
        $(
            mod $name {
                use super::{Deployment, ForgeManner, Mode, Review, CrashScenario, interrupt_everywhere};

                pub(super) const STORY: CrashScenario = CrashScenario { manner: ForgeManner::$manner, review: Review::$review };
                pub(super) const LEAST: usize = $least;

                #[tokio::test]
                async fn before_it_is_done() {
                    interrupt_everywhere(Deployment::File, STORY, Mode::CrashBefore, LEAST).await;
                }

                #[tokio::test]
                async fn after_it_is_done() {
                    interrupt_everywhere(Deployment::File, STORY, Mode::CrashAfter, LEAST).await;
                }

                #[tokio::test]
                async fn and_every_lost_answer() {
                    interrupt_everywhere(Deployment::File, STORY, Mode::AnswerLost, LEAST).await;
                }
            }
        )*

        /// Plays one story on Valkey and PostgreSQL, with one way of interrupting. In a full run, plays all
        /// stories with all ways of interrupting.
        #[tokio::test]
        async fn stories_survive_crashes_on_servers() {
            let all = [$(($name::STORY, $name::LEAST)),*];
            if !points::is_full() {
                let (story, least) = all[0];
                return interrupt_everywhere(Deployment::Servers, story, Mode::CrashAfter, least).await;
            }
            for (story, least) in all {
                for mode in [Mode::CrashBefore, Mode::CrashAfter, Mode::AnswerLost] {
                    interrupt_everywhere(Deployment::Servers, story, mode, least).await;
                }
            }
        }
    };
}

stories! {
    a_first_review_survives_every_crash: Prompt, First, 55;
    a_first_review_survives_every_crash_where_comments_show_late: Lagging, First, 88;
    a_first_review_survives_every_crash_where_places_are_refused: Fussy, First, 115;
    a_second_review_survives_every_crash: Prompt, Second, 78;
    a_second_review_survives_every_crash_where_comments_show_late: Lagging, Second, 100;
    forty_findings_survive_a_crash_and_a_lost_answer_at_every_write: Fussy, Forty, 18;
    giving_up_survives_every_crash: Prompt, GivenUp, 42;
    a_dismissal_survives_every_crash: Prompt, Dismissed, 60;
    a_head_after_the_one_review_survives_every_crash: Prompt, Once, 49;
    a_head_without_a_review_by_label_survives_every_crash: Prompt, Off, 49;
    a_push_back_to_the_reviewed_head_survives_every_crash: Prompt, Back, 46;
}
