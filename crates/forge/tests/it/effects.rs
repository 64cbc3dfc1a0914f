//! Tests of every kind of effect at every kind of forge, with every incident that may occur during the
//! effect. Each combination is a cell of a table in `truing_core::effect`, with one test and one expected
//! outcome. An effect that a forge cannot make is rejected before any call. `docs/reference/effects.md` is
//! generated from the table and names these tests.

// long: the tests for all combinations of effects and incidents, in one table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod calls;
mod comments;
mod doubles;
mod repository;
mod settling;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use truing_core::effect::{
    BranchPush, Effect, EffectIncident, EffectIncidentOutcome, EffectIntent, EffectKind, IntentPart,
};
use truing_core::finding::{CodeLocation, DiffSide};
use truing_core::id::{FencingToken, RunId, Sha, TimeSpan, UnixMillis};
use truing_core::port::{
    AuditMark, Clock as _, EffectEntry, EffectEntryState, EffectOwner, ForgeError, ForgeKind, ForgeRead as _,
    ForgeWrite as _, GateHalt, HaltReason, ReviewDraft, ReviewEvent, WriteGate,
};
use truing_core::publish::CommentProducer;
use truing_diff::RepoPath;
use truing_fakes::forge::{ErrorListFormat, ForgeFault, ForgeFaultKind, ForgeFlavour};
use truing_fakes::repo::CommitBuilder;
use truing_forge::RepositoryClient;
use truing_forge::capability::{self, ReviewPosting};
use truing_forge::effects::{EffectError, EffectExecutor};
use truing_forge::write_monitor::{EffectRecording, WriteMonitor};
use truing_git::{PushOutcome, UnpushedCommit};

use self::doubles::{ClosableGate, Log, ManualTestClock};
use crate::repository::pushing::Pusher;
use crate::repository::site::{Calls as _, Site, SystemTestClock, topic};

/// Settle delay of the forge.
const SETTLE: TimeSpan = TimeSpan::seconds(30);

/// The effect that is performed.
enum PerformedEffect {
    Effect(Effect),
    Push(Box<(Pusher, UnpushedCommit)>),
}

/// The objects for the test of one effect on a pull request or its repository.
struct Scene {
    site: Site,
    number: u64,
    /// Number of the object that an effect on the repository changes.
    own: u64,
    pull: RepositoryClient,
    log: Log,
    clock: ManualTestClock,
    gate: Arc<ClosableGate>,
    /// The same gate, as the type that effects require.
    asked: Arc<dyn WriteGate>,
    watch: WriteMonitor,
    what: PerformedEffect,
    /// Head before the effect.
    head: String,
}

const BRANCH: &str = "truing/fix";

impl Scene {
    /// Builds the scene at GitHub.
    async fn of(kind: EffectKind) -> Self {
        Self::at(ForgeFlavour::GitHub, kind).await
    }

    async fn at(flavour: ForgeFlavour, kind: EffectKind) -> Self {
        let (site, number, open) = Site::with_pull_at(flavour).await;
        let head = site.shop.tip("feature").await.unwrap();
        let commit = Sha::parse(&head).unwrap();
        let place = |line: u32| CodeLocation {
            path: RepoPath::from_bytes("a.txt"),
            side: DiffSide::New,
            start_line: line,
            end_line: line,
        };
        let draft = ReviewDraft {
            mark: AuditMark {
                run: RunId::new("run-1"),
                audit: 1,
                clean: false,
                commit: commit.clone(),
                scope: None,
            },
            event: ReviewEvent::Comment,
            body: "## audit 1".into(),
            unplaced: vec!["Wrong".into()],
            findings: Vec::new(),
        };
        if matches!(kind, EffectKind::Reply | EffectKind::Resolve) {
            open.put_line_comment(&commit, &place(3), &topic("finding/1"), "Wrong.").await.unwrap();
        }
        let began = open.threads().await.unwrap().pop();
        let effect = match kind {
            EffectKind::Review => Effect::Review(draft),
            EffectKind::ReviewAsComment => Effect::ReviewAsComment(draft),
            EffectKind::Comment => Effect::Comment { topic: topic("report"), body: "Done.".into() },
            EffectKind::LineComment => {
                Effect::LineComment { commit, location: place(5), topic: topic("line"), body: "Hm.".into() }
            }
            EffectKind::Reply => {
                let first = began.unwrap().comments[0].id.clone();
                Effect::Reply { first_comment: first, topic: topic("answer"), body: "Fixed.".into() }
            }
            EffectKind::Resolve => Effect::Resolve { thread: began.unwrap().thread.unwrap().id },
            EffectKind::Trigger => Effect::Trigger { text: "bugbot run".into(), since: UnixMillis(0) },
            EffectKind::RequestReview => {
                site.shop.set_role("ann", "write").await.unwrap();
                // Cloud accepts only ids of accounts, not logins.
                let login = if site.is_cloud() { site.forge.account_id("ann") } else { "ann".into() };
                Effect::RequestReview { login }
            }
            EffectKind::UpdateBranch => {
                site.shop.push("main", CommitBuilder::new("More").write("b.txt", "b\n")).await.unwrap();
                Effect::UpdateBranch { head: commit }
            }
            EffectKind::MarkReady => {
                site.shop.set_draft(number, true).await.unwrap();
                Effect::MarkReady
            }
            EffectKind::Describe => {
                let read = open.pull_details().await.unwrap().body;
                Effect::Describe { read, body: "Anew.".into() }
            }
            EffectKind::Push => {
                let pusher = Pusher::new(&site).await;
                let made = pusher.commit("one").await;
                let what = PerformedEffect::Push(Box::new((pusher, made)));
                return Self::with(site, (number, 0), what, head);
            }
            EffectKind::OpenPull
            | EffectKind::EditPull
            | EffectKind::SetDraft
            | EffectKind::ClosePull
            | EffectKind::Label
            | EffectKind::OpenIssue
            | EffectKind::EditIssue
            | EffectKind::CloseIssue
            | EffectKind::NewComment
            | EffectKind::DeleteComment => {
                let (effect, own) = repository::effect(kind, &site, (&open, number)).await;
                return Self::with(site, (number, own), PerformedEffect::Effect(effect), head);
            }
            EffectKind::Summary
            | EffectKind::Findings
            | EffectKind::FileFinding
            | EffectKind::EditComment
            | EffectKind::DeleteDuplicate
            | EffectKind::Reopen
            | EffectKind::Status => {
                comments::effect(kind, &open, (&commit, place), site.row().max_comments_per_call).await
            }
        };
        Self::with(site, (number, 0), PerformedEffect::Effect(effect), head)
    }

    fn with(site: Site, (number, own): (u64, u64), what: PerformedEffect, head: String) -> Self {
        let gate: Arc<ClosableGate> = Arc::default();
        let pull = site.conversation(number);
        let (log, clock, watch) = (
            Log::default(),
            ManualTestClock(AtomicI64::new(SystemTestClock.now().0)),
            WriteMonitor::default(),
        );
        let asked = gate.clone() as Arc<dyn WriteGate>;
        Self { site, number, own, pull, log, clock, gate, asked, watch, what, head }
    }

    fn intended(&self) -> EffectIntent {
        match &self.what {
            PerformedEffect::Effect(effect) => effect.intent(),
            PerformedEffect::Push(push) => {
                let commit = push.1.sha().clone();
                BranchPush { branch: BRANCH.into(), commit, expected: None }.intent()
            }
        }
    }

    fn effects(&self) -> EffectExecutor<'_> {
        let key = truing_core::id::SlotKey::new("pr/github/1/1");
        let writer = EffectOwner { key, producer: CommentProducer::Converge, token: Some(FencingToken(3)) };
        EffectExecutor {
            forge: &self.pull,
            log: &self.log,
            gate: &self.asked,
            clock: &self.clock,
            owner: writer,
            monitor: &self.watch,
        }
    }

    async fn perform(&self) -> Result<(), EffectError> {
        let effects = self.effects();
        match &self.what {
            PerformedEffect::Effect(effect) => {
                let made = effects.perform(effect).await?;
                self.log.shown(&made).map_err(EffectError::Store)
            }
            PerformedEffect::Push(push) => match effects.push(&push.1, &push.0.remote, BRANCH, None).await? {
                PushOutcome::Pushed { .. } => Ok(()),
                PushOutcome::RemoteRefused { message, .. } => {
                    Err(EffectError::Refused(ForgeError::Rejected { request: "push".into(), message }))
                }
                PushOutcome::Halted(why) => Err(EffectError::Halted(GateHalt::before_write("push", why))),
                moved @ PushOutcome::BranchMoved { .. } => panic!("{moved:?}"),
            },
        }
    }

    fn pass(&self, time: TimeSpan) {
        self.clock.0.fetch_add(time.0, Ordering::SeqCst);
    }

    /// Adds this fault to the call that performs this kind of effect. The faults `Status` and `Invalid` occur
    /// once; other faults also affect all retries.
    fn fault(&self, kind: EffectKind, fault: ForgeFaultKind) {
        let (method, path, sent) = calls::call(self.site.forge.flavour(), kind);
        let is_once = matches!(fault, ForgeFaultKind::ValidationError(_) | ForgeFaultKind::Status(..));
        let times = if is_once { 1 } else { sent };
        self.site.forge.add_fault(ForgeFault::on_call(method, &path, fault).times(times));
    }

    /// Returns the number of existing results of this kind of effect.
    async fn count(&self, kind: EffectKind) -> usize {
        let view = self.site.shop.pull(self.number).await.unwrap();
        match kind {
            EffectKind::Review if self.site.row().review_posting == ReviewPosting::Comment => {
                view.conversation_comments().count()
            }
            EffectKind::Review => {
                view.reviews.iter().filter(|review| review.body.starts_with("## audit")).count()
            }
            EffectKind::ReviewAsComment | EffectKind::Comment | EffectKind::Trigger => {
                view.conversation_comments().count()
            }
            EffectKind::LineComment => view.inline_comments().count(),
            EffectKind::Reply => view.inline_comments().count() - 1,
            EffectKind::Resolve => usize::from(view.inline_comments().any(|comment| comment.resolved)),
            EffectKind::RequestReview => {
                let now = self.site.conversation(self.number).pull_details().await.unwrap();
                now.requested_reviewers.iter().filter(|asked| asked.login == "ann").count()
            }
            EffectKind::UpdateBranch => {
                let now = self.site.conversation(self.number).pull_details().await.unwrap();
                usize::from(now.head.sha.as_str() != self.head)
            }
            EffectKind::MarkReady => usize::from(!view.draft),
            EffectKind::Describe => usize::from(view.body == "Anew."),
            EffectKind::Push => usize::from(self.site.shop.tip(BRANCH).await.is_ok()),
            EffectKind::OpenPull
            | EffectKind::EditPull
            | EffectKind::SetDraft
            | EffectKind::ClosePull
            | EffectKind::Label
            | EffectKind::OpenIssue
            | EffectKind::EditIssue
            | EffectKind::CloseIssue
            | EffectKind::NewComment
            | EffectKind::DeleteComment => repository::count(kind, &self.site, self.own).await,
            EffectKind::Summary
            | EffectKind::Findings
            | EffectKind::FileFinding
            | EffectKind::EditComment
            | EffectKind::DeleteDuplicate
            | EffectKind::Reopen
            | EffectKind::Status => comments::count(kind, &view, self.site.row().max_comments_per_call),
        }
    }

    /// Returns the number of API calls that wrote. GraphQL calls are not counted, because [`Self::count`]
    /// counts the results of these calls.
    fn writes(&self) -> usize {
        let log = self.site.forge.request_log();
        let is_write = |method: &str, path: &str| {
            method != "GET" && path != "/graphql" && !path.contains("/git-upload-pack")
        };
        log.iter().filter(|call| is_write(&call.method, &call.path)).count()
    }

    /// Performs the effect again as a loop does, after the time that the error states.
    async fn performed_later(&self, kind: EffectKind) {
        if kind.settle_time(SETTLE) > TimeSpan(0) {
            let early = self.perform().await.unwrap_err();
            let EffectError::Settling { until, .. } = early else { panic!("{early:?}") };
            self.pass(until - self.clock.now());
        }
        match (self.perform().await, &self.what) {
            // The next plan reads the comment from the forge and records it as the result.
            (Err(EffectError::Settling { .. }), PerformedEffect::Effect(effect))
                if kind.is_observed_by_plan() =>
            {
                let seen = self.pull.find_effect(effect).await.unwrap().unwrap();
                self.log.shown(&seen).unwrap();
            }
            (performed, _) => performed.unwrap(),
        }
    }
}

/// Returns the kind of the fake forge.
fn forge_of(flavour: ForgeFlavour) -> ForgeKind {
    match flavour {
        ForgeFlavour::GitHub => ForgeKind::Github,
        ForgeFlavour::Cloud => ForgeKind::Bitbucket,
        ForgeFlavour::DataCenter => ForgeKind::BitbucketDc,
    }
}

/// Checks that an effect that the forge cannot make is rejected in every case: no intent is recorded, and no
/// call is made.
async fn refused(scene: &mut Scene, case: EffectIncident, reason: &str) {
    let parts = scene.intended().parts;
    let calls = scene.site.forge.request_log().len();
    let made = EffectRecording::default();
    match case {
        EffectIncident::KillSwitchOn => scene.gate.0.store(true, Ordering::SeqCst),
        EffectIncident::LeaseLost => scene.log.is_fenced.store(true, Ordering::SeqCst),
        EffectIncident::DryRun => {
            scene.watch = WriteMonitor { dry_run: true, recording: Some(made.clone()), begin_span: None }
        }
        EffectIncident::KilledAfterCall => scene.log.dies.store(true, Ordering::SeqCst),
        EffectIncident::ForgeRefused
        | EffectIncident::ResponseLostAfterEffect
        | EffectIncident::ResponseLostWithoutEffect
        | EffectIncident::KilledBeforeCall => {}
    }
    let error = scene.perform().await.unwrap_err();
    let is_typed = matches!(
        &error,
        EffectError::Refused(refused @ ForgeError::Rejected { message, .. })
            if refused.has_no_effect() && message.ends_with(reason)
    );
    assert!(is_typed, "{error:?}");
    // A direct call of the client is rejected, too.
    let PerformedEffect::Effect(effect) = &scene.what else { panic!("every forge is pushed to") };
    let refused = scene.pull.make(effect).await.unwrap_err();
    assert!(
        matches!(&refused, ForgeError::Rejected { message, .. } if message.ends_with(reason)),
        "{refused:?}"
    );
    assert_eq!(scene.pull.find_effect(effect).await, Ok(None));
    assert_eq!(scene.site.forge.request_log().len(), calls, "no call is made");
    assert!(scene.log.entries_of(&parts).is_empty() && made.list().is_empty(), "nothing is announced");
}

async fn cell(flavour: ForgeFlavour, kind: EffectKind, case: EffectIncident) {
    let mut scene = Scene::at(flavour, kind).await;
    let end = case.outcome_for(kind, forge_of(flavour));
    if let EffectIncidentOutcome::Unsupported(why) = end {
        return refused(&mut scene, case, why).await;
    }
    let parts = scene.intended().parts;
    let (writes, before) = (scene.writes(), scene.count(kind).await);
    assert_eq!(before, 0);
    match case {
        EffectIncident::KillSwitchOn => {
            scene.gate.0.store(true, Ordering::SeqCst);
            let error = scene.perform().await.unwrap_err();
            assert!(
                matches!(&error, EffectError::Halted(halt) if halt.reason == HaltReason::KillSwitch),
                "{error:?}"
            );
        }
        EffectIncident::LeaseLost => {
            scene.log.is_fenced.store(true, Ordering::SeqCst);
            let error = scene.perform().await.unwrap_err();
            let last = FencingToken(9);
            assert!(
                matches!(&error, EffectError::Halted(halt) if halt.superseding_token() == Some(last)),
                "{error:?}"
            );
        }
        EffectIncident::ForgeRefused => {
            let refusal = if kind == EffectKind::Push {
                ForgeFaultKind::Status(403, None)
            } else {
                ForgeFaultKind::ValidationError(ErrorListFormat::Objects)
            };
            scene.fault(kind, refusal);
            let ended = scene.perform().await;
            match kind.fallback() {
                Some(_) => ended.unwrap(),
                None => {
                    let error = ended.unwrap_err();
                    assert!(matches!(error, EffectError::Refused(_)), "{error:?}");
                }
            }
            assert!(scene.log.entries_of(&parts).is_empty(), "nothing is open");
        }
        EffectIncident::ResponseLostAfterEffect | EffectIncident::ResponseLostWithoutEffect => {
            let is_done = case == EffectIncident::ResponseLostAfterEffect;
            let fault = match (is_done, kind) {
                (true, _) => ForgeFaultKind::LostResponse,
                // The fault is an error status, because git itself repeats a push if the connection is
                // closed.
                (false, EffectKind::Push) => ForgeFaultKind::Status(502, None),
                (false, _) => ForgeFaultKind::DropConnection,
            };
            scene.fault(kind, fault);
            let error = scene.perform().await.unwrap_err();
            let is_lost =
                matches!(error, EffectError::Unanswered { is_last: false, .. } | EffectError::Git(_));
            assert!(is_lost && scene.site.forge.has_no_faults(), "{error:?}");
            assert_eq!(scene.count(kind).await, usize::from(is_done));
            scene.performed_later(kind).await;
        }
        EffectIncident::KilledBeforeCall => {
            let at = scene.clock.now();
            for IntentPart { topic, content_digest: content } in parts.clone() {
                scene.log.put(
                    &topic,
                    EffectEntry {
                        content_digest: content,
                        last_event_at: at,
                        state: EffectEntryState::Open { lost_responses: 0 },
                    },
                );
            }
            scene.performed_later(kind).await;
        }
        EffectIncident::KilledAfterCall => {
            scene.log.dies.store(true, Ordering::SeqCst);
            let error = scene.perform().await.unwrap_err();
            assert!(matches!(error, EffectError::Store(_)), "{error:?}");
            assert_eq!(scene.count(kind).await, 1);
            let made = scene.writes();
            scene.log.dies.store(false, Ordering::SeqCst);
            scene.performed_later(kind).await;
            assert_eq!(scene.writes(), made, "it is adopted");
        }
        EffectIncident::DryRun => {
            let made = EffectRecording::default();
            scene.watch = WriteMonitor { dry_run: true, recording: Some(made.clone()), begin_span: None };
            scene.perform().await.unwrap();
            let listed: Vec<EffectKind> = made.list().iter().map(Effect::kind).collect();
            let expected = if kind == EffectKind::Push { vec![] } else { vec![kind] };
            assert_eq!(listed, expected);
        }
    }
    match end {
        EffectIncidentOutcome::Unsupported(why) => panic!("it is refused: {why}"),
        EffectIncidentOutcome::Withheld => {
            assert_eq!((scene.count(kind).await, scene.writes()), (0, writes), "nothing was written");
            assert!(scene.log.entries_of(&parts).is_empty());
        }
        EffectIncidentOutcome::RefusalReported => assert_eq!(scene.count(kind).await, 0),
        EffectIncidentOutcome::Simulated => {
            assert_eq!((scene.count(kind).await, scene.writes()), (0, writes), "nothing was written");
        }
        EffectIncidentOutcome::Fallback(other) => {
            assert_eq!(scene.count(other).await, 1);
            // At a forge without review objects, reviews are comments. Both kinds of effect then count the
            // same comment, so the other count is not checked.
            if scene.site.row().review_posting == ReviewPosting::ReviewObject {
                assert_eq!(scene.count(kind).await, 0);
            }
        }
        EffectIncidentOutcome::ExactlyOnce => {
            assert_eq!(scene.count(kind).await, 1);
            let done = scene.log.entries_of(&parts);
            let is_done = |entry: &EffectEntry| matches!(entry.state, EffectEntryState::Done { .. });
            assert!(done.len() == parts.len() && done.iter().all(is_done), "{done:?}");
            // Performing the effect again changes nothing.
            for _ in 0..2 {
                // A merge of the base is skipped, because a second merge, at the new head, is a different
                // effect. An effect whose results a plan reads from the forge is skipped, because the plan
                // would not perform this effect again.
                if kind != EffectKind::UpdateBranch && !kind.is_observed_by_plan() {
                    scene.perform().await.unwrap();
                }
                scene.pass(SETTLE);
            }
            assert_eq!(scene.count(kind).await, 1);
        }
    }
}

macro_rules! cases {
    ($flavour:ident, $kind:ident) => {
        use super::*;

        #[tokio::test]
        async fn gate_closed() {
            cell(ForgeFlavour::$flavour, EffectKind::$kind, EffectIncident::KillSwitchOn).await;
        }
        #[tokio::test]
        async fn lease_lost() {
            cell(ForgeFlavour::$flavour, EffectKind::$kind, EffectIncident::LeaseLost).await;
        }
        #[tokio::test]
        async fn refused() {
            cell(ForgeFlavour::$flavour, EffectKind::$kind, EffectIncident::ForgeRefused).await;
        }
        #[tokio::test]
        async fn answer_lost_done() {
            cell(ForgeFlavour::$flavour, EffectKind::$kind, EffectIncident::ResponseLostAfterEffect).await;
        }
        #[tokio::test]
        async fn answer_lost_undone() {
            cell(ForgeFlavour::$flavour, EffectKind::$kind, EffectIncident::ResponseLostWithoutEffect).await;
        }
        #[tokio::test]
        async fn killed_before() {
            cell(ForgeFlavour::$flavour, EffectKind::$kind, EffectIncident::KilledBeforeCall).await;
        }
        #[tokio::test]
        async fn killed_after() {
            cell(ForgeFlavour::$flavour, EffectKind::$kind, EffectIncident::KilledAfterCall).await;
        }
        #[tokio::test]
        async fn dry_run() {
            cell(ForgeFlavour::$flavour, EffectKind::$kind, EffectIncident::DryRun).await;
        }
    };
}

macro_rules! table {
    ($($kind:ident: $name:ident,)*) => {
        $(mod $name {
            use super::*;

            mod github { cases!(GitHub, $kind); }
            mod bitbucket { cases!(Cloud, $kind); }
            mod bitbucket_dc { cases!(DataCenter, $kind); }
        })*

        #[test]
        fn every_kind_and_every_case_has_its_cell() {
            let kinds = [$((EffectKind::$kind, stringify!($name)),)*];
            assert_eq!(kinds, EffectKind::ALL.map(|kind| (kind, kind.as_str())));
            let cases = EffectIncident::ALL.map(EffectIncident::as_str);
            let tests = [
                "gate_closed", "lease_lost", "refused", "answer_lost_done", "answer_lost_undone", "killed_before",
                "killed_after", "dry_run",
            ];
            assert_eq!(cases, tests);
        }
    };
}

table! {
    Review: review,
    ReviewAsComment: review_as_comment,
    Comment: comment,
    LineComment: line_comment,
    Reply: reply,
    Resolve: resolve,
    Trigger: trigger,
    RequestReview: request_review,
    UpdateBranch: update_branch,
    MarkReady: mark_ready,
    Describe: describe,
    OpenPull: open_pull,
    EditPull: edit_pull,
    SetDraft: set_draft,
    ClosePull: close_pull,
    Label: label,
    OpenIssue: open_issue,
    EditIssue: edit_issue,
    CloseIssue: close_issue,
    NewComment: new_comment,
    DeleteComment: delete_comment,
    Summary: summary,
    Findings: findings,
    FileFinding: file_finding,
    EditComment: edit_comment,
    DeleteDuplicate: delete_duplicate,
    Reopen: reopen,
    Status: status,
    Push: push,
}

#[test]
fn what_a_forge_cannot_do_is_what_its_rows_say() {
    for row in capability::CAPABILITY_TABLE {
        for kind in EffectKind::ALL {
            #[expect(clippy::wildcard_enum_match_arm, reason = "all others are everywhere")]
            let can = match kind {
                EffectKind::Label => row.labels,
                EffectKind::OpenIssue | EffectKind::EditIssue | EffectKind::CloseIssue => row.issues,
                EffectKind::UpdateBranch => row.can_update_branch,
                _ => true,
            };
            assert_eq!(
                kind.unsupported_reason_at(row.kind).is_none(),
                can,
                "{}: {}",
                row.name,
                kind.as_str()
            );
        }
    }
}

#[tokio::test]
async fn a_review_without_an_answer_twice_becomes_a_comment() {
    let scene = Scene::of(EffectKind::Review).await;
    for _ in 0..2 {
        scene.fault(EffectKind::Review, ForgeFaultKind::DropConnection);
        let error = scene.perform().await.unwrap_err();
        assert!(matches!(error, EffectError::Unanswered { is_last: false, .. }), "{error:?}");
        scene.pass(SETTLE);
    }
    for is_last in [false, true] {
        scene.fault(EffectKind::ReviewAsComment, ForgeFaultKind::DropConnection);
        let error = scene.perform().await.unwrap_err();
        assert!(
            matches!(error, EffectError::Unanswered { is_last: last, .. } if last == is_last),
            "{error:?}"
        );
        scene.pass(SETTLE);
    }
    scene.perform().await.unwrap();
    assert_eq!(
        (scene.count(EffectKind::Review).await, scene.count(EffectKind::ReviewAsComment).await),
        (0, 1)
    );
}
