//! Wraps the store, the forge and the reader of a process, in order to inject a fault at one call. The calls
//! of the process to all three are counted together. The selected call crashes the process before or after it
//! is performed, or loses its response. A crashed process has no further effect: all of its later calls fail.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::RwLock;
use truing_core::converge::record::ConvergeRecord;
use truing_core::dismissal::Dismissal;
use truing_core::effect::Effect;
use truing_core::finding::{AnchorKind, Finding};
use truing_core::id::{
    CommentId, FencingToken, PrId, RunId, Sha, SlotKey, SlotVersion, TimeSpan, Topic, UnixMillis,
};
use truing_core::ledger::{
    BudgetLevel, BudgetUsage, CostBasis, ReservationId, ReservationOutcome, ReservationRequest, RunBudget,
};
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewOutcome, ReviewRecord};
use truing_core::port::{
    Actor, AppliedLabel, BranchPull, ChangedFile, Clock, CommitCheck, ComputedReview, ConversationComment,
    ConversationReply, DetectedTools, EffectEntry, EffectEntryChange, EffectLog, EffectOutcome, EffectOwner,
    ForgeError, ForgePull, ForgeRead, ForgeWrite, HaltPolicy, HistoryEvent, InlineDraft, KnownRepository,
    LeaseRefusal, Ledger, MarkOutcome, MergeSummary, NewNotice, OperatorAction, OperatorStore, OwnIssue,
    PendingNotice, PullActivity, PullDetails, PullRequest, PullReview, PullRevision, ReadReport, ReadRequest,
    ReaderError, ReplacementCheckRequest, RepositoryDetails, RepositoryReader, ReviewProgress, ReviewThread,
    RunReference, RunStart, RunStore, SkippedHead, SlotDescription, SlotMark, SlotStore, StoreCheckError,
    StoreError, SweepStore, ToolDetectionRequest, ToolFindings, ToolOutputRequest, UnavailableCause,
    UserRequest, UserRequestOutcome, VersionConflict, WritePermit,
};
use truing_core::publish::{
    CommentProducer, CommentSubject, DesiredComment, DesiredStatus, ObservedComment, PublishLimits,
};

use truing_core::slot::{Slot, SlotLimits};
use truing_core::switch::{KillSwitch, KillSwitches, SwitchRequest};
use truing_core::sync::job::JobState;
use truing_diff::RepoPath;
use truing_forge::AnyForgeServer;
use truing_service::{ConfiguredForges, ForgeClients};
use truing_store::Store;

use crate::support::reader::ThreadedReader;

/// A clock that stands still until it is moved. All clones share the same time.
#[derive(Clone, Debug)]
pub(crate) struct StillTestClock(Arc<AtomicI64>);

impl StillTestClock {
    pub(crate) fn at(now: UnixMillis) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Sets the clock to this instant, which may be in the past, because a test can restart from an earlier
    /// state.
    pub(crate) fn set(&self, instant: UnixMillis) {
        self.0.store(instant.0, Ordering::SeqCst);
    }

    /// Moves the clock forward to this instant. If the clock is already later, nothing changes.
    pub(crate) fn reach(&self, instant: UnixMillis) {
        self.0.fetch_max(instant.0, Ordering::SeqCst);
    }
}

impl Clock for StillTestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

// ---------------------------------------------------------------------------------------------- faults

/// The ways in which a call can fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// The process crashes before the call is performed.
    CrashBefore,
    /// The call is performed, and the process crashes before it gets the result.
    CrashAfter,
    /// The call is performed, and the process, which does not crash, gets an error instead of the result.
    AnswerLost,
}

/// The number of the call that fails, counted from 1, and how it fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    pub(crate) call: usize,
    pub(crate) mode: Mode,
}

/// The three fates of a call: performed, performed without a result for the caller, and not performed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallResultKind {
    Done,
    DoneUnheard,
    NotDone,
}

/// The calls that a process has made so far, and the fault for one of its calls.
#[derive(Default)]
pub(crate) struct Script {
    fault: Option<Fault>,
    dead: AtomicBool,
    /// While a test holds this lock for writing, all calls wait.
    pub(crate) passage: RwLock<()>,
    calls: Mutex<Vec<&'static str>>,
    /// Number of reads by the reader, which are the expensive part of a review.
    reads: AtomicU32,
    /// The index of a call before which an operator changes the kill switch, the operator's store, and the
    /// change.
    turn: Mutex<Option<(usize, Store, SwitchRequest)>>,
}

impl Script {
    pub(crate) fn new(fault: Option<Fault>) -> Arc<Self> {
        Arc::new(Self { fault, ..Self::default() })
    }

    /// Changes the kill switch as an operator before the call with the index `call`.
    #[allow(dead_code, reason = "not every test with these ports is about the switch")]
    pub(crate) fn turn_before(&self, call: usize, operator: Store, turn: SwitchRequest) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = Some((call, operator, turn));
    }

    async fn turned(&self) {
        let due = {
            let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            turn.take_if(|(call, ..)| *call == self.calls().len())
        };
        if let Some((_, operator, turn)) = due {
            operator.turn_switch(&turn, "ada").await.unwrap();
        }
    }

    /// Returns the names of the calls so far.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets whether all later calls fail, as in a crashed process.
    pub(crate) fn set_dead(&self, dead: bool) {
        self.dead.store(dead, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub(crate) fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }

    fn fate(&self, name: &'static str) -> CallResultKind {
        if self.is_dead() {
            return CallResultKind::NotDone;
        }
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(name);
        let Some(fault) = self.fault.filter(|fault| fault.call == calls.len()) else {
            return CallResultKind::Done;
        };
        match fault.mode {
            Mode::AnswerLost => CallResultKind::DoneUnheard,
            Mode::CrashBefore | Mode::CrashAfter => {
                self.set_dead(true);
                if fault.mode == Mode::CrashBefore {
                    CallResultKind::NotDone
                } else {
                    CallResultKind::DoneUnheard
                }
            }
        }
    }

    /// Performs one call, with the fault if the fault is for this call. A call that fails returns the error
    /// `lost`.
    async fn call<T, E>(
        &self,
        name: &'static str,
        lost: fn() -> E,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        // A call that does not hold `passage` yet waits as long as a test has locked it. All other calls are
        // already counted.
        let passing = self.passage.read().await;
        self.turned().await;
        let fate = self.fate(name);
        drop(passing);
        match fate {
            CallResultKind::Done => work.await,
            CallResultKind::DoneUnheard => {
                let _ = work.await;
                Err(lost())
            }
            CallResultKind::NotDone => Err(lost()),
        }
    }
}

/// Implements a port for a wrapper that passes each call through the script to `inner`.
macro_rules! through {
    ($port:ident for $double:ty, $lost:expr, $error:ty;
     $($name:ident($($arg:ident: $type:ty),*) -> $ok:ty;)* $({ $($rest:tt)* })?) => {
        #[async_trait]
        impl $port for $double {
            $(async fn $name(&self, $($arg: $type),*) -> Result<$ok, $error> {
                self.script.call(stringify!($name), $lost, self.inner.$name($($arg),*)).await
            })*
            $($($rest)*)?
        }
    };
}

// ---------------------------------------------------------------------------------------------- store

/// The real store; each call passes through the script.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    pub(crate) inner: Store,
    pub(crate) script: Arc<Script>,
}

fn no_store() -> StoreError {
    StoreError::Unavailable("the call to the store went wrong on purpose".into())
}

through! { SlotStore for FaultyStore, no_store, StoreError;
    now() -> UnixMillis;
    due_slots(now: UnixMillis, limit: usize) -> Vec<Slot>;
    next_due(from: UnixMillis) -> Option<UnixMillis>;
    load_slots(keys: &[SlotKey]) -> Vec<Slot>;
    orphaned_slots() -> Vec<Slot>;
    commit_slots(changes: &[(SlotVersion, Slot)]) -> Vec<Result<SlotVersion, VersionConflict>>;
    grant_leases(leases: &[(SlotVersion, Slot)]) -> Vec<Result<SlotVersion, LeaseRefusal>>;
    mark_slots(marks: &[SlotMark], limits: &SlotLimits, halted: HaltPolicy) -> MarkOutcome;
    raise_version(version: SlotVersion) -> ();
    {
        async fn check_operations(&self) -> Result<(), StoreCheckError> {
            let lost = || StoreCheckError::new("call on purpose", no_store());
            self.script.call("check_operations", lost, self.inner.check_operations()).await
        }
    }
}

through! { RunStore for FaultyStore, no_store, StoreError;
    begin_run(run: &RunReference, revision: &PullRevision, now: UnixMillis) -> RunStart;
    findings_revision(key: &SlotKey) -> Option<PullRevision>;
    skip_heads(heads: &[SkippedHead], reason: &str) -> ();
    findings(key: &SlotKey) -> Vec<Finding>;
    store_computed_review(run: &RunReference, computed: &ComputedReview) -> ();
    store_summary_and_status(run: &RunReference, producer: CommentProducer, summary: &str, status: &DesiredStatus) -> ();
    desired_state(key: &SlotKey, producer: CommentProducer) -> (Vec<DesiredComment>, Option<DesiredStatus>);
    store_comments(run: &RunReference, producer: CommentProducer, comments: &[(CommentSubject, CommentId)]) -> ();
    remove_comments(run: &RunReference, producer: CommentProducer, items: &[CommentSubject]) -> ();
    replace_anchors(run: &RunReference, producer: CommentProducer, rows: &[(CommentSubject, AnchorKind)]) -> ();
    mark_status_set(run: &RunReference, status: &DesiredStatus) -> ();
    mark_published(run: &RunReference, outcome: &ReviewRecord) -> ();
    end_run(run: &RunReference, outcome: &ReviewOutcome, now: UnixMillis) -> ();
    mark_failed(run: &RunReference, outcome: &ReviewOutcome, now: UnixMillis) -> ();
    mark_interrupted(run: &RunReference, now: UnixMillis) -> ();
    append_history(events: &[HistoryEvent]) -> ();
    store_descriptions(described: &[(SlotKey, SlotDescription)]) -> ();
    descriptions(keys: &[SlotKey]) -> Vec<Option<SlotDescription>>;
    fresh_token() -> FencingToken;
    dismissals(key: &SlotKey) -> Vec<Dismissal>;
    store_dismissals(said: &[(SlotKey, Dismissal)], act: &OperatorAction) -> ();
    last_converge(key: &SlotKey) -> Option<ConvergeRecord>;
    store_converge_record(token: FencingToken, record: &ConvergeRecord) -> ();
    converge_run(run: &RunId) -> Option<ConvergeRecord>;
    begin_job_run(run: &RunReference) -> JobState;
    store_job(run: &RunReference, job: &JobState) -> ();
    end_job_run(run: &RunReference, job: &JobState, record: &truing_core::sync::record::SyncRecord) -> ();
    take_over_review(key: &SlotKey, token: FencingToken, now: UnixMillis) -> Option<RunId>;
    replace_computed_review(run: &RunReference, computed: &ComputedReview) -> ();
    jobs() -> Vec<(SlotKey, JobState)>;
    job_records(job: &SlotKey, limit: usize) -> Vec<truing_core::sync::record::SyncRecord>;
}

through! { EffectLog for FaultyStore, no_store, StoreError;
    entries(writer: &EffectOwner, topics: &[Topic]) -> Vec<Option<EffectEntry>>;
    open_entries(writer: &EffectOwner) -> Vec<(Topic, EffectEntry)>;
    compare_and_set_entries(writer: &EffectOwner, changes: &[EffectEntryChange]) -> bool;
}

through! { Ledger for FaultyStore, no_store, StoreError;
    reserve(purse: &RunBudget, ask: &ReservationRequest) -> ReservationOutcome;
    settle_reservation(id: ReservationId, cost: MicroUsd, known: CostBasis) -> MicroUsd;
    budget_usage(levels: &[BudgetLevel]) -> Vec<BudgetUsage>;
    current_usage() -> Vec<BudgetUsage>;
}

through! { OperatorStore for FaultyStore, no_store, StoreError;
    kill_switches() -> KillSwitches;
    turn_switch(turn: &SwitchRequest, by: &str) -> (KillSwitch, KillSwitch);
    sweep_request_time() -> Option<UnixMillis>;
    clear_sweep_request(wanted: UnixMillis) -> ();
    append_audit_log(acts: &[OperatorAction]) -> ();
    queue_notices(notices: &[NewNotice]) -> ();
    pending_notices(limit: usize) -> Vec<PendingNotice>;
    finish_notice(notice: i64) -> ();
    delete_old_entries(before: UnixMillis) -> usize;
}

through! { SweepStore for FaultyStore, no_store, StoreError;
    repositories(forge: &str) -> Vec<KnownRepository>;
    store_repositories(repositories: &[KnownRepository]) -> ();
    finish_onboarding(repository: &KnownRepository) -> ();
    last_reviews(keys: &[SlotKey]) -> Vec<ReviewProgress>;
    repository_slots(forge: &str, repository: &str) -> Vec<Slot>;
    pulls_reviewed_at(forge: &str, repository: &str, head: &Sha) -> Vec<PrId>;
    store_requests(told: &[UserRequest], of: &KnownRepository, until: Option<UnixMillis>) -> ();
    unserved_requests(forge: &str, limit: usize) -> Vec<UserRequest>;
    mark_request_served(told: &UserRequest, obeyed: Option<&UserRequestOutcome>) -> Result<(), VersionConflict>;
}

// ---------------------------------------------------------------------------------------------- forge

/// The behaviour of a forge without a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ForgeManner {
    /// The forge shows new comments immediately.
    Prompt,
    /// No list contains a new comment during the time [`LAG`] after its creation. `LAG` is shorter than the
    /// settle delay, within which a forge must show new comments.
    Lagging,
    /// The forge never responds to a read of the pull request.
    Silent,
    /// The forge rejects inline comments on [`REFUSED`]. For the second of these lines, the forge also
    /// rejects a comment on the file.
    Fussy,
}

/// Time for which a lagging forge hides new comments.
pub(crate) const LAG: TimeSpan = TimeSpan::seconds(20);
/// The file and lines that a fussy forge refuses.
pub(crate) const REFUSED: (&str, [u32; 2]) = ("src/lib.rs", [3, 5]);

/// The real clients; each call passes through the script.
pub(crate) struct FaultyForges {
    pub(crate) inner: ConfiguredForges,
    pub(crate) script: Arc<Script>,
    pub(crate) manner: ForgeManner,
    pub(crate) clock: StillTestClock,
}

impl ForgeClients for FaultyForges {
    fn pull_client(
        &self,
        run: &RunId,
        id: &PrId,
        repo: &str,
        producer: CommentProducer,
    ) -> Option<Box<dyn ForgePull>> {
        let inner = self.inner.pull_client(run, id, repo, producer)?;
        let inner = MannerPull { inner, manner: self.manner, clock: self.clock.clone() };
        Some(Box::new(FaultyPull { inner, script: self.script.clone() }))
    }

    fn servers(&self) -> &BTreeMap<String, AnyForgeServer> {
        self.inner.servers()
    }
}

/// The client of one pull request, whose calls pass through the script.
pub(crate) struct FaultyPull {
    inner: MannerPull,
    script: Arc<Script>,
}

/// The names of effects that people can see on the pull request.
pub(crate) const WRITES: [&str; 7] =
    ["summary", "findings", "file_finding", "edit_comment", "resolve", "delete_duplicate", "status"];

fn no_forge() -> ForgeError {
    let message = "the call to the forge went wrong on purpose".into();
    ForgeError::Unavailable { request: "a call".into(), message, cause: UnavailableCause::InvalidAnswer }
}

through! { ForgeRead for FaultyPull, no_forge, ForgeError;
    pull_request() -> PullRequest;
    pull_details() -> PullDetails;
    merge_state() -> MergeSummary;
    checks(commit: &Sha) -> Vec<CommitCheck>;
    labels() -> Vec<AppliedLabel>;
    reviews() -> Vec<PullReview>;
    threads() -> Vec<ReviewThread>;
    producer_comments(known: &[(CommentSubject, CommentId)]) -> Vec<ObservedComment>;
    comment_subject(known: &[(CommentSubject, CommentId)], comment: &CommentId) -> Option<CommentSubject>;
    comment_topic(comment: &CommentId) -> Option<Topic>;
    matching_comments(text: &str) -> Vec<ConversationComment>;
    eye_reactions(comment: &CommentId) -> Vec<Actor>;
    repository() -> RepositoryDetails;
    pulls_from_branch(branch: &str) -> Vec<BranchPull>;
    activity(number: u64) -> PullActivity;
    issues(label: &str) -> Vec<OwnIssue>;
    replies(number: u64, since: Option<&CommentId>) -> Vec<ConversationReply>;
    {
        fn publish_limits(&self) -> PublishLimits {
            self.inner.inner.publish_limits()
        }
    }
}

#[async_trait]
impl ForgeWrite for FaultyPull {
    async fn perform(&self, effect: &Effect, permit: &Arc<WritePermit>) -> Result<EffectOutcome, ForgeError> {
        self.script.call(effect.kind().as_str(), no_forge, self.inner.perform(effect, permit)).await
    }

    async fn find_effect(&self, effect: &Effect) -> Result<Option<EffectOutcome>, ForgeError> {
        self.script.call("find_effect", no_forge, self.inner.find_effect(effect)).await
    }

    fn visibility_delay(&self) -> TimeSpan {
        self.inner.inner.visibility_delay()
    }
}

/// A client of one pull request with a behaviour. Calls that the behaviour does not affect are passed on
/// unchanged.
struct MannerPull {
    inner: Box<dyn ForgePull>,
    manner: ForgeManner,
    clock: StillTestClock,
}

impl Deref for MannerPull {
    type Target = dyn ForgePull;

    fn deref(&self) -> &(dyn ForgePull + 'static) {
        &*self.inner
    }
}

impl MannerPull {
    fn refuses(&self, draft: &InlineDraft, lines: &[u32]) -> bool {
        let place = &draft.location;
        self.manner == ForgeManner::Fussy
            && place.path.as_str() == Some(REFUSED.0)
            && lines.contains(&place.end_line)
    }

    async fn pull_request(&self) -> Result<PullRequest, ForgeError> {
        if self.manner == ForgeManner::Silent {
            return std::future::pending().await;
        }
        self.inner.pull_request().await
    }

    async fn producer_comments(
        &self,
        known: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError> {
        let mut seen = self.inner.producer_comments(known).await?;
        if self.manner == ForgeManner::Lagging {
            seen.retain(|comment| comment.created + LAG <= self.clock.now());
        }
        Ok(seen)
    }

    async fn perform(&self, effect: &Effect, permit: &Arc<WritePermit>) -> Result<EffectOutcome, ForgeError> {
        let is_refused = if let Effect::Findings { comments, .. } = effect {
            comments.iter().any(|one| self.refuses(one, &REFUSED.1))
        } else if let Effect::FileFinding { comment, .. } = effect {
            self.refuses(comment, &REFUSED.1[1..])
        } else {
            false
        };
        if is_refused {
            return Err(refused());
        }
        let made = self.inner.perform(effect, permit).await?;
        let is_named = self.manner != ForgeManner::Lagging || !matches!(effect, Effect::Findings { .. });
        Ok(if is_named { made } else { EffectOutcome::Comments(Vec::new()) })
    }

    async fn find_effect(&self, effect: &Effect) -> Result<Option<EffectOutcome>, ForgeError> {
        self.inner.find_effect(effect).await
    }
}

fn refused() -> ForgeError {
    ForgeError::Rejected { request: "a comment".into(), message: "line must be part of the diff".into() }
}

// ---------------------------------------------------------------------------------------------- reader

/// The real reader; each read passes through the script.
pub(crate) struct FaultyReader {
    pub(crate) inner: BreakableReader,
    pub(crate) script: Arc<Script>,
}

/// The real reader; it fails while `broken` is true.
pub(crate) struct BreakableReader {
    pub(crate) inner: ThreadedReader,
    pub(crate) broken: Arc<AtomicBool>,
}

impl BreakableReader {
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(ReaderError::Failed("out of order".into()));
        }
        self.inner.read(request).await
    }
}

fn no_reader() -> ReaderError {
    ReaderError::Failed("the call to the reader went wrong on purpose".into())
}

#[async_trait]
impl RepositoryReader for FaultyReader {
    async fn read(&self, request: &ReadRequest) -> Result<ReadReport, ReaderError> {
        let counted = async {
            let report = self.inner.read(request).await;
            self.script.reads.fetch_add(u32::from(report.is_ok()), Ordering::SeqCst);
            report
        };
        self.script.call("read", no_reader, counted).await
    }

    async fn tool_findings(&self, request: &ToolOutputRequest) -> Result<ToolFindings, ReaderError> {
        self.inner.inner.tool_findings(request).await
    }

    async fn verify_replacements(&self, request: &ReplacementCheckRequest) -> Result<Vec<bool>, ReaderError> {
        self.inner.inner.verify_replacements(request).await
    }

    async fn detect_tools(&self, request: &ToolDetectionRequest) -> Result<DetectedTools, ReaderError> {
        self.inner.inner.detect_tools(request).await
    }

    async fn companion_paths(
        &self,
        packs: &[String],
        files: &[ChangedFile],
    ) -> Result<Vec<RepoPath>, ReaderError> {
        self.inner.inner.companion_paths(packs, files).await
    }
}
