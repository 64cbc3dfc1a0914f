//! Deletes old rows: audit entries, notices, ended runs, history, served comments, and slots of pull requests
//! that were closed long ago. Rows are deleted in small batches with pauses, so other writers do not have to
//! wait long.

use std::convert::Infallible;
use std::time::Duration;

use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{OperatorStore as _, SlotStore as _, StoreError};
use truing_store::Store;

use super::comment_commands;
use super::duty_lease::DutyLeaseExpiry;

/// Time between two rounds.
const ROUND_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Interval at which a process without the duty lease checks whether it now holds this lease.
const LEASE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Pause between two batches, in which other writers can write.
const BATCH_PAUSE: Duration = Duration::from_millis(100);

/// The time for which each kind of row is kept.
#[derive(Clone, Copy, Debug)]
pub struct RetentionPeriods {
    /// Retention of ended runs and history.
    pub runs: TimeSpan,
    /// Retention of the audit log and of sent notices.
    pub audit_log: TimeSpan,
}

/// Deletes rows older than `retention`. The future never completes. The caller drops the future to stop it.
#[truing_core::boxed_future]
pub async fn run(store: &Store, retention: RetentionPeriods, duty_lease: &DutyLeaseExpiry) -> Infallible {
    let mut tick = tokio::time::interval(ROUND_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        while !duty_lease.is_held() {
            tokio::time::sleep(LEASE_CHECK_INTERVAL).await;
        }
        match delete_expired(store, retention, BATCH_PAUSE).await {
            Ok(gone) if gone == DeletedCounts::default() => {}
            Ok(DeletedCounts {
                audit_entries: acts,
                runs,
                effects,
                events,
                comments,
                cost_rows: money,
                slots,
            }) => {
                tracing::info!(
                    acts,
                    runs,
                    effects,
                    events,
                    comments,
                    money,
                    slots,
                    "deleted expired records"
                );
            }
            Err(error) => tracing::error!(%error, "could not delete expired records"),
        }
    }
}

/// Numbers of deleted rows, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeletedCounts {
    /// Audit entries, and notices that were sent.
    pub audit_entries: usize,
    /// Runs that have ended.
    pub runs: usize,
    /// Intended effects, and their results.
    pub effects: usize,
    /// Lines of the history.
    pub events: usize,
    /// Comments that were served.
    pub comments: usize,
    /// Records of model calls, and sums of past budget periods.
    pub cost_rows: usize,
    /// Slots of closed pull requests.
    pub slots: usize,
}

/// Deletes everything older than `retention`, with a pause after each batch.
///
/// # Errors
/// [`StoreError`]. Rows that were deleted before the error are not restored.
#[truing_core::boxed_future]
pub async fn delete_expired(
    store: &Store,
    retention: RetentionPeriods,
    pause: Duration,
) -> Result<DeletedCounts, StoreError> {
    let now = store.now().await?;
    let ago = |span: TimeSpan| UnixMillis(now.0.saturating_sub(span.0));
    let before = ago(retention.runs);
    let acts = delete_in_batches(pause, || store.delete_old_entries(ago(retention.audit_log))).await?;
    let (mut runs, mut mark) = (0, None);
    loop {
        let (some, next) = store.delete_old_reviews(before, mark).await?;
        runs += some;
        if next.is_none() {
            break;
        }
        mark = next;
        tokio::time::sleep(pause).await;
    }
    runs += delete_in_batches(pause, || store.delete_old_loop_runs(before)).await?;
    let effects = delete_in_batches(pause, || store.delete_old_effects(before)).await?;
    let events = delete_in_batches(pause, || store.delete_old_events(before)).await?;
    let comments = delete_in_batches(pause, || {
        store.delete_served_comments(ago(comment_commands::SERVED_COMMENT_RETENTION))
    })
    .await?;
    let cost_rows = delete_in_batches(pause, || store.delete_old_reservations(before)).await?;
    let slots = delete_in_batches(pause, || store.delete_closed_slots()).await?;
    Ok(DeletedCounts { audit_entries: acts, runs, effects, events, comments, cost_rows, slots })
}

/// Deletes in batches, with a pause after each batch, until no row is left to delete. Returns the number of
/// deleted rows.
async fn delete_in_batches<F>(pause: Duration, delete_batch: impl Fn() -> F) -> Result<usize, StoreError>
where
    F: Future<Output = Result<usize, StoreError>>,
{
    let mut gone = 0;
    loop {
        match delete_batch().await? {
            0 => return Ok(gone),
            some => gone += some,
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use truing_core::id::{FencingToken, PrId, RunId, Sha, SlotKey, SlotVersion, Topic};
    use truing_core::ledger::{BudgetLevel, BudgetLevelKind, ReservationRequest, RunBudget};
    use truing_core::money::MicroUsd;
    use truing_core::outcome::{ReviewOutcome, ReviewOutcomeKind, ReviewRuntime};
    use truing_core::port::{
        Clock, CommentKind, EffectEntry, EffectEntryChange, EffectEntryState, EffectLog as _, EffectOwner,
        HistoryEvent, KnownRepository, Ledger as _, OperatorAction, PullRevision, RequestOrigin,
        RunReference, RunStore as _, SweepStore as _, UserRequest,
    };
    use truing_core::publish::CommentProducer;
    use truing_core::slot::{HoldReason, Slot, SlotState};

    use super::*;

    /// A clock that always returns 1,000 seconds after the Unix epoch.
    struct FixedClock;

    impl Clock for FixedClock {
        fn now(&self) -> UnixMillis {
            UnixMillis(1_000_000)
        }
    }

    #[tokio::test]
    async fn a_round_forgets_all_that_is_old_however_much_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("truing.db"), Arc::new(FixedClock)).unwrap();
        let sha = |digit: &str| Sha::parse(&digit.repeat(40)).unwrap();
        let revision = PullRevision { head: sha("a"), base: sha("b") };
        let outcome = ReviewOutcome {
            kind: ReviewOutcomeKind::Failed,
            reason: None,
            next_attempt_at: None,
            runtime: ReviewRuntime::Rules,
        };
        let key = |pull: u64| SlotKey::new(format!("pr/github/1/{pull}"));
        for token in 1..=600 {
            let run = RunReference {
                id: RunId::new(format!("r{token}")),
                key: key(token % 3),
                token: FencingToken(token),
            };
            store.begin_run(&run, &revision, UnixMillis(10)).await.unwrap();
            store.end_run(&run, &outcome, UnixMillis(10)).await.unwrap();
        }
        let event = |pull: u64, at: i64| HistoryEvent {
            at: UnixMillis(at),
            key: key(pull),
            run: None,
            description: format!("event {at}"),
        };
        let old: Vec<HistoryEvent> =
            (0..3).flat_map(|pull| (0..190).map(move |at| event(pull, at))).collect();
        store.append_history(&old).await.unwrap();
        store.append_history(&[event(1, 999_000)]).await.unwrap();
        let closed = |pull| {
            let state = SlotState::Held { reason: HoldReason::Cancelled };
            (SlotVersion(0), Slot { state, ..Slot::new(key(pull)) })
        };
        store.commit_slots(&[closed(0), closed(1)]).await.unwrap();

        let (told_long_ago, told_lately) =
            (UnixMillis(-comment_commands::SERVED_COMMENT_RETENTION.0), UnixMillis(0));
        let told = |comment: u64, at: UnixMillis| {
            let pr = PrId { forge: "github".into(), repository: "1".into(), number: 7 };
            let origin = RequestOrigin::Comment { kind: CommentKind::Conversation, id: comment };
            UserRequest { pr, origin, noticed_at: at }
        };
        let (id, name) = ("1".into(), "o/r".into());
        let of = KnownRepository {
            forge: "github".into(),
            id,
            name,
            cursor: UnixMillis(0),
            missing_since: None,
            onboarded: true,
        };
        let comments = [told(1, told_long_ago), told(2, told_long_ago), told(3, told_lately)];
        store.store_requests(&comments, &of, None).await.unwrap();
        for served in [&comments[0], &comments[2]] {
            store.mark_request_served(served, None).await.unwrap().unwrap();
        }

        let level = |period: &str| BudgetLevel {
            kind: BudgetLevelKind::RepoDay,
            key: "github/1".into(),
            period: period.into(),
            limit: MicroUsd(9),
        };
        // A past model call without a reported cost, because its owner exited.
        let budget = RunBudget { run: RunId::new("r"), levels: vec![level("1969-12-31")] };
        let ask =
            ReservationRequest { min_amount: MicroUsd(1), max_amount: MicroUsd(1), expires: UnixMillis(20) };
        store.reserve(&budget, &ask).await.unwrap();

        let writer = EffectOwner { key: key(1), producer: CommentProducer::Converge, token: None };
        for (topic, at) in [("old", UnixMillis(10)), ("new", UnixMillis(999_000))] {
            let new = Some(EffectEntry {
                content_digest: String::new(),
                last_event_at: at,
                state: EffectEntryState::Open { lost_responses: 0 },
            });
            let change = EffectEntryChange { topic: Topic::new(topic), expected_entry: None, new_entry: new };
            assert!(store.compare_and_set_entries(&writer, &[change]).await.unwrap());
        }

        let keep = RetentionPeriods { runs: TimeSpan::seconds(100), audit_log: TimeSpan::seconds(2000) };
        store.append_audit_log(&[OperatorAction::new("ada", "retry", "pr/github/1/1", "")]).await.unwrap();
        let gone = delete_expired(&store, keep, Duration::ZERO).await.unwrap();
        assert_eq!(
            gone,
            DeletedCounts {
                audit_entries: 0,
                runs: 597,
                effects: 1,
                events: 570,
                comments: 1,
                cost_rows: 1,
                slots: 1
            }
        );
        assert_eq!(
            store.unserved_requests("github", 9).await.unwrap(),
            [comments[1].clone()],
            "it is to be served"
        );
        store.store_requests(&[comments[2].clone()], &of, None).await.unwrap();
        assert_eq!(
            store.unserved_requests("github", 9).await.unwrap().len(),
            1,
            "what was served lately is remembered"
        );
        // Each kind of row has its own period. With a period of -1, even an audit entry of the present moment
        // is expired.
        let keep = RetentionPeriods { audit_log: TimeSpan(-1), ..keep };
        let gone = delete_expired(&store, keep, Duration::ZERO).await.unwrap();
        assert_eq!(gone, DeletedCounts { audit_entries: 1, ..DeletedCounts::default() });
        assert!(store.audit_entries(9).await.unwrap().is_empty());
        assert_eq!(store.list_slots().await.unwrap()[0].key, key(1), "it was spoken of lately");
    }
}
