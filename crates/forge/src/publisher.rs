//! The publisher: makes a pull request show what records say it should (design.md section 4).
//!
//! Observe, plan ([`truing_core::publish::plan`]), apply. Every creating call is announced by an intent first, so
//! a crash or a lost answer anywhere is mended by the next reconcile: what became visible is adopted, what did
//! not is made again, and nothing is shown twice.

use truing_core::finding::AnchorKind;
use truing_core::id::{CommentId, Millis, Sha};
use truing_core::port::{Clock, Forge, ForgeError, Gate, Ids, InlineDraft, Records, RunRef, StoreError};
use truing_core::publish::{Desired, Intent, Item, Plan, Producer, Step, plan};

mod bisect;

use crate::marker::{normal, strip};
use bisect::Bisection;

/// How often a reconcile starts over because the forge refused a place and a row was lowered: inline, file,
/// summary, and once more to see that all is well.
const MAX_ROUNDS: u32 = 4;

/// How a reconcile ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reconciled {
    /// The pull request shows what it should.
    Done,
    /// A comment may still become visible: reconcile again then.
    Settling {
        /// When.
        until: Millis,
    },
}

/// Why a reconcile stopped. Running it again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The records refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge refused or failed.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The head has moved on since the review: its comments have no place any more.
    #[error("the head has moved on")]
    Moved,
    /// The kill switch was turned on: nothing was written after that.
    #[error("the kill switch is on")]
    Halted,
}

/// One reconcile of one pull request for one producer.
pub struct Publisher<'a, R, F, C, I, G> {
    /// Where desired state and intents are.
    pub records: &'a R,
    /// The pull request.
    pub forge: &'a F,
    /// For the instants of intents.
    pub clock: &'a C,
    /// For the names of intents.
    pub ids: &'a I,
    /// The run whose token fences every write.
    pub run: &'a RunRef,
    /// Whose comments are touched.
    pub producer: Producer,
    /// The commit that new inline comments are placed on.
    pub head: &'a Sha,
    /// Asked before every call that writes to the forge.
    pub gate: &'a G,
}

/// What came of creating calls, the later the stronger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Created {
    /// Everything is known to be there.
    All,
    /// The forge did not name everything: some is found by its marker later.
    Some,
    /// The forge refused a place, and a row was lowered.
    Lowered,
}

impl<R: Records, F: Forge, C: Clock, I: Ids, G: Gate> Publisher<'_, R, F, C, I, G> {
    /// Makes the pull request show what it should, then sets the head's status.
    ///
    /// # Errors
    /// [`PublishError`]; whatever was done stays done, and the next reconcile goes on from there.
    pub async fn reconcile(&self) -> Result<Reconciled, PublishError> {
        for _ in 0..MAX_ROUNDS {
            let (mut rows, status) = self.records.desired(&self.run.key, self.producer).await?;
            // As they are posted, so that they compare equal with what is read back.
            rows.iter_mut().for_each(|row| row.body = normal(&strip(&row.body)));
            let unanswered = self.records.unanswered(&self.run.key, self.producer).await?;
            let known = rows.iter().filter_map(|row| Some((row.item.clone(), row.comment.clone()?)));
            let observed = self.forge.comments(self.producer, &known.collect::<Vec<_>>()).await?;
            let steps = match plan(&rows, &observed, &unanswered, &self.forge.bounds(), self.clock.now()) {
                Plan::Settling { until } => return Ok(Reconciled::Settling { until }),
                Plan::Steps(steps) => steps,
            };
            let mut lowered = false;
            let mut unseen = false;
            for step in steps {
                match self.apply(&rows, step).await? {
                    Created::All => {}
                    Created::Some => unseen = true,
                    Created::Lowered => lowered = true,
                }
            }
            if unseen {
                return Ok(Reconciled::Settling { until: self.clock.now() + self.forge.settle() });
            }
            if lowered {
                continue;
            }
            if let Some(status) = status {
                self.may_write().await?;
                self.forge.set_status(&status).await?;
                self.records.status_set(self.run, &status).await?;
            }
            return Ok(Reconciled::Done);
        }
        Err(PublishError::Forge(ForgeError::Rejected {
            what: "placing comments".into(),
            message: "the forge refuses every place, also the summary".into(),
        }))
    }

    async fn apply(&self, rows: &[Desired], step: Step) -> Result<Created, PublishError> {
        match step {
            Step::Withdraw { intent } => {
                self.records.withdraw(self.run, self.producer, &intent, &[]).await?;
            }
            Step::Adopt { item, comment } => {
                self.records.shown(self.run, self.producer, &[(item, comment)]).await?;
            }
            Step::DeleteDuplicate { comment, item } => {
                self.may_write().await?;
                ignore_gone(self.forge.delete(&item, &comment).await)?;
            }
            Step::Update { comment, item, body } => {
                self.may_write().await?;
                ignore_gone(self.forge.update(self.producer, &item, &comment, &body).await)?;
            }
            Step::Settle { thread, resolved, .. } => {
                self.may_write().await?;
                ignore_gone(self.forge.resolve(&thread, resolved).await)?;
            }
            Step::CreateSummary { body } => {
                let intent = self.intend(vec![Item::Summary]).await?;
                let created = self.forge.create_summary(self.producer, &body).await;
                return self
                    .answered(intent, created.map(|comment| vec![(Item::Summary, comment)]), None)
                    .await;
            }
            Step::CreateReview { items } => return self.create_review(rows, items).await,
            Step::CreateFileComment { item } => {
                let Some(draft) = self.draft(rows, &item) else { return Ok(Created::All) };
                let intent = self.intend(vec![item.clone()]).await?;
                let created = self.forge.create_file_comment(self.producer, self.head, &draft).await;
                let created = created.map(|comment| vec![(item, comment)]);
                return self.answered(intent, created, Some(AnchorKind::Summary)).await;
            }
        }
        Ok(Created::All)
    }

    /// Posts inline comments in one call; if the forge refuses them, in halves, until the refused one is alone
    /// and goes to its file instead.
    async fn create_review(&self, rows: &[Desired], items: Vec<Item>) -> Result<Created, PublishError> {
        let mut bisection = Bisection::new(items);
        let mut outcome = Created::All;
        while let Some(batch) = bisection.next() {
            let drafts: Vec<InlineDraft> =
                batch.items.iter().filter_map(|item| self.draft(rows, item)).collect();
            let intent = self.intend(batch.items.clone()).await?;
            let created = self.forge.create_review(self.producer, self.head, &drafts).await;
            if bisection.answered(&batch, matches!(created, Err(ForgeError::Rejected { .. }))) {
                self.records.withdraw(self.run, self.producer, &intent.id, &[]).await?;
                self.same_head().await?;
                continue;
            }
            match self.answered(intent, created, Some(AnchorKind::File)).await? {
                Created::All => {}
                Created::Some => outcome = outcome.max(Created::Some),
                Created::Lowered => outcome = Created::Lowered,
            }
        }
        Ok(outcome)
    }

    /// What a row's comment would be; none for a row without a place.
    fn draft(&self, rows: &[Desired], item: &Item) -> Option<InlineDraft> {
        let row = rows.iter().find(|row| row.item == *item)?;
        let (_, place) = row.place.clone()?;
        Some(InlineDraft { place, item: item.clone(), body: row.new_body(&self.forge.bounds()) })
    }

    /// A place that is refused because its commit is gone says nothing about the next one.
    async fn same_head(&self) -> Result<(), PublishError> {
        let head = self.forge.pull_request().await?.revision.head;
        if head == *self.head { Ok(()) } else { Err(PublishError::Moved) }
    }

    /// Announces a creating call that is made at once.
    async fn intend(&self, items: Vec<Item>) -> Result<Intent, PublishError> {
        self.pass().await?;
        let intent = Intent { id: self.ids.intent(), items, created: self.clock.now() };
        self.records.intend(self.run, self.producer, &intent).await?;
        Ok(intent)
    }

    /// Passes the gate, unless a newer run has begun: a call that creates nothing is announced by no intent, which
    /// would be refused then.
    async fn may_write(&self) -> Result<(), PublishError> {
        self.pass().await?;
        Ok(self.records.holds(self.run).await?)
    }

    /// Passes the gate, or stops: what was done and announced stays as it is.
    async fn pass(&self) -> Result<(), PublishError> {
        if self.gate.is_open().await { Ok(()) } else { Err(PublishError::Halted) }
    }

    /// Records what a creating call answered. Refused for its content: the row goes to `lower`, if there is a
    /// lower place. Surely undone: the intent is withdrawn. Anything else: the intent stays.
    async fn answered(
        &self,
        intent: Intent,
        created: Result<Vec<(Item, CommentId)>, ForgeError>,
        lower: Option<AnchorKind>,
    ) -> Result<Created, PublishError> {
        match created {
            Ok(shown) => {
                let all = intent.items.iter().all(|item| shown.iter().any(|(shown, _)| shown == item));
                self.records.shown(self.run, self.producer, &shown).await?;
                Ok(if all { Created::All } else { Created::Some })
            }
            Err(error @ ForgeError::Rejected { .. }) => {
                let Some(kind) = lower else {
                    self.records.withdraw(self.run, self.producer, &intent.id, &[]).await?;
                    return Err(error.into());
                };
                if let Err(moved) = self.same_head().await {
                    self.records.withdraw(self.run, self.producer, &intent.id, &[]).await?;
                    return Err(moved);
                }
                let lowered: Vec<(Item, AnchorKind)> =
                    intent.items.iter().map(|item| (item.clone(), kind)).collect();
                self.records.withdraw(self.run, self.producer, &intent.id, &lowered).await?;
                Ok(Created::Lowered)
            }
            Err(error) => {
                if error.surely_undone() {
                    self.records.withdraw(self.run, self.producer, &intent.id, &[]).await?;
                }
                Err(error.into())
            }
        }
    }
}

/// A comment that a person deleted needs no more care.
fn ignore_gone(done: Result<(), ForgeError>) -> Result<(), ForgeError> {
    match done {
        Err(ForgeError::NotFound { .. }) => Ok(()),
        Ok(()) | Err(_) => done,
    }
}
