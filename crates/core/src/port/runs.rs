//! Runs of every loop, what they found and want shown, and what people have said of it: what must not be lost (design.md
//! section 3).

use std::future::Future;

use serde::{Deserialize, Serialize};

use super::operations::Act;
use super::store_error::StoreError;
use crate::converge;
use crate::dismissal::Dismissal;
use crate::finding::{AnchorKind, Finding};
use crate::id::{CommentId, Key, Millis, RunId, Sha, Token};
use crate::outcome::{Outcome, ReviewRecord};
use crate::publish::{Desired, DesiredStatus, Item, Producer};
use crate::run::{Detail, RunRecord};
use crate::sync::job::Job;
use crate::sync::record;

/// The run that a write belongs to. The write is refused once a run of the same loop with a greater token has begun on the
/// key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunRef {
    /// The run.
    pub id: RunId,
    /// Its key.
    pub key: Key,
    /// Its fencing token.
    pub token: Token,
}

/// The head and base of a pull request at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revision {
    /// The newest commit of the pull request.
    pub head: Sha,
    /// The tip of the branch it goes to.
    pub base: Sha,
}

/// The answer of the records when a run begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Begun {
    /// The revision reviewed last (stage `published`), if any.
    pub reviewed: Option<Revision>,
    /// The revision computed last, published or not: what the recorded findings are of.
    pub known: Option<Revision>,
    /// The record of that review, if it is this very revision's.
    pub outcome: Option<ReviewRecord>,
    /// The newest run's outcome if it has stage `computed` for this very revision: only publishing is left.
    pub computed: Option<ReviewRecord>,
    /// The dismissals on this key. One that comes later is the next run's.
    pub dismissals: Vec<Dismissal>,
}

/// The findings of a run and the state it wants shown; written in one transaction, after which the run is `computed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Computed {
    /// Whose rows of desired state these are.
    pub producer: Producer,
    /// Every finding known for the key, replacing what was recorded.
    pub findings: Vec<Finding>,
    /// Every row of desired state of the producer; a row's known comment is kept by item.
    pub desired: Vec<Desired>,
    /// The head's status; none for local runs.
    pub status: Option<DesiredStatus>,
    /// The record of the run, before publishing.
    pub outcome: ReviewRecord,
}

/// A head that is left without a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftHead {
    /// The id of the run that leaves it.
    pub run: RunId,
    /// The key of the pull request.
    pub key: Key,
    /// Its head and base.
    pub revision: Revision,
}

/// The name of a key. Display only: decisions ask the forge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Described {
    /// `owner/name#7`.
    pub name: String,
    /// Its page.
    pub url: String,
    /// The head as last heard: shown, and used to suppress events that bring nothing new; never reviewed.
    pub head: Option<Sha>,
}

/// One line of history, for `truing why`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The instant.
    pub at: Millis,
    /// The slot's key.
    pub key: Key,
    /// The run, if it happened in one.
    pub run: Option<RunId>,
    /// The event, one line for people.
    pub what: String,
}

/// Runs, and what is remembered beside them. A write of a run is refused ([`StoreError::Fenced`]) once a run of the same
/// loop with a greater token has begun on its key; an effect, once one of any loop has.
pub trait Runs: Send + Sync {
    // ------------------------------------------------------------------------------------------ every loop

    /// Records of a loop's runs that were written since then, newest first, of one key or of all; a run that converges may
    /// still go on. Unreadable ones are left out and logged.
    fn records<D: Detail>(
        &self,
        of: Option<&Key>,
        since: Millis,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<RunRecord<D>>, StoreError>> + Send;

    /// Adds history. Never refused for a token: what a fenced-out run still had to say is history too.
    fn note(&self, events: &[Event]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Remembers what people call these keys, replacing what was known. A description without a head keeps the
    /// head that was heard before.
    fn describe(&self, described: &[(Key, Described)])
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Leaves heads as they are, where no run was about their pull requests, for this reason; in one transaction.
    fn leave(&self, heads: &[LeftHead], reason: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The names of these keys, in order; none for a key that was never described.
    fn described(
        &self,
        keys: &[Key],
    ) -> impl Future<Output = Result<Vec<Option<Described>>, StoreError>> + Send;

    /// A token greater than every one given or accepted so far, for runs whose key has no slot (local runs).
    fn fresh_token(&self) -> impl Future<Output = Result<Token, StoreError>> + Send;

    /// The dismissals on this key, those included that were taken back.
    fn dismissals(&self, key: &Key) -> impl Future<Output = Result<Vec<Dismissal>, StoreError>> + Send;

    /// Remembers what somebody said of findings, each on its key, in place of what was said of it before. `act`: for the
    /// audit log, written with it.
    fn dismiss(
        &self,
        said: &[(Key, Dismissal)],
        act: &Act,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    // ------------------------------------------------------------------------------------------ reviews

    /// Begins a run (stage `prepared`). Refused ([`StoreError::Fenced`]) unless its token is greater than the
    /// key's last; the same run again (an answer was lost) is accepted.
    fn begin(
        &self,
        run: &RunRef,
        revision: &Revision,
        now: Millis,
    ) -> impl Future<Output = Result<Begun, StoreError>> + Send;

    /// The revision that the recorded findings are of, if there is one.
    fn known(&self, key: &Key) -> impl Future<Output = Result<Option<Revision>, StoreError>> + Send;

    /// Every finding recorded for the key.
    fn findings(&self, key: &Key) -> impl Future<Output = Result<Vec<Finding>, StoreError>> + Send;

    /// Writes what was computed, in one transaction; the run is `computed`. Repeating it changes nothing.
    fn computed(
        &self,
        run: &RunRef,
        computed: &Computed,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes the newest review of the key that has computed something over under a token, as the run that it is. Its id; none: there is no such review. Refused ([`StoreError::Fenced`]) unless the token is greater
    /// than the key's last.
    fn reopen(
        &self,
        key: &Key,
        token: Token,
        now: Millis,
    ) -> impl Future<Output = Result<Option<RunId>, StoreError>> + Send;

    /// Writes what is to be shown of a review that was computed before, which is the same run still: how it ended stays.
    /// Repeating it changes nothing.
    fn restated(
        &self,
        run: &RunRef,
        computed: &Computed,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets a run that could not compute anything say so: writes this summary's text and the status, and leaves
    /// findings, other rows and the run's stage as they are. Repeating it changes nothing.
    fn announce(
        &self,
        run: &RunRef,
        producer: Producer,
        summary: &str,
        status: &DesiredStatus,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The producer's desired rows and the status still to be set (none: set already).
    fn desired(
        &self,
        key: &Key,
        producer: Producer,
    ) -> impl Future<Output = Result<(Vec<Desired>, Option<DesiredStatus>), StoreError>> + Send;

    /// The items' comments are now known: remembers them, and ends the effects on these items that are open.
    fn shown(
        &self,
        run: &RunRef,
        producer: Producer,
        comments: &[(Item, CommentId)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The comments on these items are deleted: forgets them, and that they were made. If an item is wanted again, it gets a new
    /// comment.
    fn deleted(
        &self,
        run: &RunRef,
        producer: Producer,
        items: &[Item],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The forge refuses the places of these rows: they get others.
    fn lower(
        &self,
        run: &RunRef,
        producer: Producer,
        rows: &[(Item, AnchorKind)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The status was set at the forge.
    fn status_set(
        &self,
        run: &RunRef,
        status: &DesiredStatus,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The run is `published`: its revision counts as reviewed and its outcome is final. Repeating it changes
    /// nothing.
    fn published(
        &self,
        run: &RunRef,
        outcome: &ReviewRecord,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The run ended without publishing (`failed`, `deferred`, nothing to do): its outcome, for `why`.
    fn ended(
        &self,
        run: &RunRef,
        outcome: &Outcome,
        now: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The attempt has failed, whether or not it came as far as to begin: its outcome, and what it has cost. What was
    /// computed before stays to be published by the next run. Refused ([`StoreError::Fenced`]) if a newer run has begun.
    fn failed(
        &self,
        run: &RunRef,
        outcome: &Outcome,
        now: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The attempt was told to stop: if it has cost anything that no run tells yet, it is deferred for that reason. Nothing
    /// happens if it has not begun, or a newer run has.
    fn interrupted(&self, run: &RunRef, now: Millis) -> impl Future<Output = Result<(), StoreError>> + Send;

    // ------------------------------------------------------------------------------------------ converge

    /// The newest run on this whose commits are known ([`converge::record::Record::has_begun`]), if there was one.
    fn last_converge(
        &self,
        key: &Key,
    ) -> impl Future<Output = Result<Option<converge::record::Record>, StoreError>> + Send;

    /// Remembers a run as it is, durably.
    fn keep_converge(
        &self,
        token: Token,
        record: &converge::record::Record,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// One run, by its id.
    fn converge_run(
        &self,
        run: &RunId,
    ) -> impl Future<Output = Result<Option<converge::record::Record>, StoreError>> + Send;

    // ------------------------------------------------------------------------------------------ sync

    /// Begins a run, and gives what is remembered of its job. Refused unless its token is greater than the last; the
    /// same run again is accepted.
    fn begin_job(&self, run: &RunRef) -> impl Future<Output = Result<Job, StoreError>> + Send;

    /// Remembers this of the run's job, durably.
    fn keep_job(&self, run: &RunRef, job: &Job) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the run: remembers this of its job, with the record, in one transaction. Repeating it changes nothing.
    fn end_job(
        &self,
        run: &RunRef,
        job: &Job,
        record: &record::Record,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Every job that ever ran, by its key.
    fn jobs(&self) -> impl Future<Output = Result<Vec<(Key, Job)>, StoreError>> + Send;
}
