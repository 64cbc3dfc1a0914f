//! Marks slots in batches. Each delivery queues its mark and waits; one task writes all queued marks in one
//! transaction. Under load the batches grow, because further marks queue up while the current batch is being
//! written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use truing_core::id::SlotKey;
use truing_core::port::{HaltPolicy, MarkOutcome, SlotMark, StoreError};

use super::context::ServiceContext;

/// Largest number of waiting marks. If more marks arrive, the forge receives an error, after which it should
/// retry.
const MAX_QUEUED_MARKS: usize = 1024;
/// Largest number of marks in one transaction. A larger batch would delay the acknowledgement of its first
/// mark.
const MAX_BATCH_MARKS: usize = 256;
/// Minimum time between the starts of two batches, if the first of them has several marks. During this delay,
/// more marks arrive for the next transaction. Every transaction, even a small one, takes as long as the
/// writing of many marks. After a batch with a single mark, there is no delay. Timers round up to whole
/// milliseconds, so the delay may be twice as long.
const MIN_BATCH_INTERVAL: Duration = Duration::from_millis(1);
/// Timeout of one mark. GitHub waits only 10 s for the response to a delivery.
const MARK_TIMEOUT: Duration = Duration::from_secs(9);

/// Reasons why a slot was not marked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MarkError {
    /// The kill switch of the server or of the repository is on.
    #[error("the kill switch is on: `truing kill status` shows which one, and how to turn it off")]
    KillSwitch,
    /// Too many marks are waiting.
    #[error("{MAX_QUEUED_MARKS} deliveries are waiting for the store already")]
    QueueFull,
    /// The store has not answered in time. The slot may still be marked later. A late mark causes no harm.
    #[error("the store has not answered within {} s", MARK_TIMEOUT.as_secs())]
    StoreTimeout,
    /// Reading or writing the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a batch of marks to the store.
#[async_trait]
pub trait BatchMarker: Send + Sync + 'static {
    /// Marks all slots of the batch; after an error, no slot is marked. The marks are durable when the method
    /// returns. Returns the keys of the slots that are not marked because a kill switch is on.
    async fn mark(&self, batch: &[SlotMark], halt_policy: HaltPolicy)
    -> Result<BTreeSet<SlotKey>, MarkError>;
}

#[async_trait]
impl BatchMarker for ServiceContext {
    async fn mark(
        &self,
        batch: &[SlotMark],
        halt_policy: HaltPolicy,
    ) -> Result<BTreeSet<SlotKey>, MarkError> {
        let refused = match self.store.mark_slots(batch, &self.slot_limits, halt_policy).await? {
            MarkOutcome::AllStored => BTreeSet::new(),
            MarkOutcome::BlockedByKillSwitch(refused) => refused,
        };
        if batch.iter().any(|slot_mark| !refused.contains(&slot_mark.key)) {
            self.scheduler_waker.notify();
        }
        Ok(refused)
    }
}

/// The queue of the marking task. The task ends when all clones of the queue are dropped.
#[derive(Clone, Debug)]
pub struct MarkQueue(mpsc::Sender<PendingMark>);

/// A mark, and the channel for its result.
#[derive(Debug)]
struct PendingMark {
    slot_mark: SlotMark,
    halt_policy: HaltPolicy,
    answer: oneshot::Sender<Result<(), MarkError>>,
}

impl MarkQueue {
    /// Starts the marking task.
    pub fn start<M: BatchMarker>(marker: Arc<M>) -> Self {
        let (sender, waiting) = mpsc::channel(MAX_QUEUED_MARKS);
        tokio::spawn(run(marker, waiting));
        Self(sender)
    }

    /// Queues a mark and waits until the mark is durable. `halt_policy` determines whether the mark is
    /// refused while the kill switch is on.
    ///
    /// # Errors
    /// [`MarkError`] if the slot is not marked.
    #[truing_core::boxed_future]
    pub async fn mark(&self, slot_mark: SlotMark, halt_policy: HaltPolicy) -> Result<(), MarkError> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(PendingMark { slot_mark, halt_policy, answer }).map_err(|_| MarkError::QueueFull)?;
        match tokio::time::timeout(MARK_TIMEOUT, answered).await {
            Ok(Ok(marked)) => marked,
            Ok(Err(_)) | Err(_) => Err(MarkError::StoreTimeout),
        }
    }
}

async fn run<M: BatchMarker>(marker: Arc<M>, mut pending_marks: mpsc::Receiver<PendingMark>) {
    let mut batch = Vec::with_capacity(MAX_BATCH_MARKS);
    while pending_marks.recv_many(&mut batch, MAX_BATCH_MARKS).await > 0 {
        let (begun, taken) = (Instant::now(), batch.len());
        // Marks whose caller no longer waits are dropped. The forge already counts these deliveries as
        // failed.
        batch.retain(|waiting| !waiting.answer.is_closed());
        let (refused, marked): (Vec<_>, Vec<_>) =
            batch.drain(..).partition(|waiting| waiting.halt_policy == HaltPolicy::Refuse);
        mark_batch(&*marker, refused, HaltPolicy::Refuse).await;
        mark_batch(&*marker, marked, HaltPolicy::Mark).await;
        if taken > 1 && pending_marks.len() < MAX_BATCH_MARKS {
            tokio::time::sleep_until(begun + MIN_BATCH_INTERVAL).await;
        }
    }
}

/// Writes a batch of marks that all have the same halt policy, and sends the results.
async fn mark_batch<M: BatchMarker>(marker: &M, pending_marks: Vec<PendingMark>, halt_policy: HaltPolicy) {
    if pending_marks.is_empty() {
        return;
    }
    let (marks, answers): (Vec<_>, Vec<_>) =
        pending_marks.into_iter().map(|waiting| (waiting.slot_mark, waiting.answer)).unzip();
    let marked = marker.mark(&marks, halt_policy).await;
    let unreadable = matches!(marked, Err(MarkError::Store(StoreError::Corrupt(_))));
    for (mark, answer) in marks.into_iter().zip(answers) {
        // If the batch failed because of an unreadable row, each slot is marked separately. Only the mark of
        // the unreadable slot then fails.
        let own = if unreadable {
            marker.mark(std::slice::from_ref(&mark), halt_policy).await
        } else {
            marked.clone()
        };
        let is_free = |refused_keys: BTreeSet<SlotKey>| !refused_keys.contains(&mark.key);
        let own =
            own.and_then(|refused_keys| is_free(refused_keys).then_some(()).ok_or(MarkError::KillSwitch));
        let _ = answer.send(own);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::sync::Semaphore;
    use truing_core::port::SlotDescription;
    use truing_core::slot::LoopKind;

    use super::*;

    /// Test marker that waits for a permit before each batch, and records the batches.
    struct Gate {
        permits: Semaphore,
        /// True while the simulated kill switch is on.
        engaged: bool,
        batches: Mutex<Vec<Vec<String>>>,
    }

    impl Gate {
        fn closed() -> Arc<Self> {
            Arc::new(Self { permits: Semaphore::new(0), engaged: false, batches: Mutex::default() })
        }
    }

    #[async_trait]
    impl BatchMarker for Gate {
        async fn mark(&self, batch: &[SlotMark], halted: HaltPolicy) -> Result<BTreeSet<SlotKey>, MarkError> {
            self.permits.acquire().await.unwrap().forget();
            let keys: Vec<String> = batch.iter().map(|slot_mark| slot_mark.key.to_string()).collect();
            self.batches.lock().unwrap().push(keys.clone());
            if halted == HaltPolicy::Refuse && self.engaged {
                let held = batch.iter().map(|slot_mark| slot_mark.key.clone());
                return Ok(held.filter(|key| key.as_str() != "free").collect());
            }
            if keys.iter().any(|key| key == "bad") {
                return Err(StoreError::Corrupt("bad".into()).into());
            }
            Ok(BTreeSet::new())
        }
    }

    fn mark(key: &str) -> SlotMark {
        let described =
            SlotDescription { name: "a/b#1".into(), url: "https://example.com/".into(), head: None };
        SlotMark { key: SlotKey::new(key), description: described, loop_kind: LoopKind::Review }
    }

    #[tokio::test]
    async fn what_waits_is_marked_together_and_answered_when_it_is_done() {
        let gate = Gate::closed();
        let marks = MarkQueue::start(gate.clone());
        let mut first = Box::pin(marks.mark(mark("a"), HaltPolicy::Refuse));
        assert!(futures_poll(&mut first).await.is_none(), "not durable yet");
        let rest = async {
            tokio::join!(marks.mark(mark("b"), HaltPolicy::Refuse), marks.mark(mark("c"), HaltPolicy::Refuse))
        };
        let opened = async {
            tokio::task::yield_now().await;
            gate.permits.add_permits(2);
        };
        let (one, two, ()) = tokio::join!(first, rest, opened);
        assert_eq!((one, two), (Ok(()), (Ok(()), Ok(()))));
        assert_eq!(*gate.batches.lock().unwrap(), [vec!["a"], vec!["b", "c"]]);
    }

    /// Polls a future once, and returns its output if it is ready.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = tokio::task::yield_now() => None,
        }
    }

    #[tokio::test]
    async fn while_the_kill_switch_is_on_marks_of_one_batch_have_each_their_own_fate() {
        let gate = Arc::new(Gate { permits: Semaphore::new(9), engaged: true, batches: Mutex::default() });
        let marks = MarkQueue::start(gate.clone());
        let of = |key, halted| marks.mark(mark(key), halted);
        let (one, two, three) = tokio::join!(
            of("a", HaltPolicy::Refuse),
            of("b", HaltPolicy::Mark),
            of("free", HaltPolicy::Refuse)
        );
        assert_eq!((one, two, three), (Err(MarkError::KillSwitch), Ok(()), Ok(())));
        assert_eq!(*gate.batches.lock().unwrap(), [vec!["a", "free"], vec!["b"]]);
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_read_fails_alone() {
        let gate = Gate::closed();
        let marks = MarkQueue::start(gate.clone());
        gate.permits.add_permits(9);
        let (good, bad, other) = tokio::join!(
            marks.mark(mark("a"), HaltPolicy::Refuse),
            marks.mark(mark("bad"), HaltPolicy::Refuse),
            marks.mark(mark("b"), HaltPolicy::Refuse)
        );
        assert_eq!((good, other), (Ok(()), Ok(())));
        assert_eq!(bad, Err(StoreError::Corrupt("bad".into()).into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_hangs_fills_the_queue_and_lets_nobody_wait_for_ever() {
        let gate = Gate::closed();
        let marks = MarkQueue::start(gate.clone());
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..MAX_QUEUED_MARKS + MAX_BATCH_MARKS + 1 {
            let marks = marks.clone();
            waiting.spawn(async move { marks.mark(mark(&number.to_string()), HaltPolicy::Refuse).await });
        }
        let answers = waiting.join_all().await;
        let full = answers.iter().filter(|answer| **answer == Err(MarkError::QueueFull)).count();
        assert!((1..=MAX_BATCH_MARKS + 1).contains(&full), "{full}");
        assert_eq!(
            answers.len() - full,
            answers.iter().filter(|a| **a == Err(MarkError::StoreTimeout)).count()
        );
    }
}
