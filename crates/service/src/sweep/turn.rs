//! Does the turn of one repository: finds the repository, lists its open pull requests and new comments, and
//! marks the changes that no webhook reported.

use std::collections::{BTreeSet, HashMap};

use truing_core::id::{PrId, SlotKey, TimeSpan, UnixMillis};
use truing_core::port::{
    ForgeError, HaltPolicy, KnownRepository, MarkOutcome, OpenPull, PrState, PullComment, PullRevision,
    RecordStore, RequestOrigin, ReviewProgress, SkippedHead, SlotDescription, SlotMark, StoreError,
    UserRequest,
};
use truing_core::publish::CommentProducer;
use truing_core::review_settlement::DROP_REASON;
use truing_core::slot::{HoldReason, LoopKind, Slot, SlotState};
use truing_forge::listing::CachedListing;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_loops::machine::new_run_id;

use super::{RepositorySnapshot, SweepError, SweepTask};
use crate::comment_commands::UserCommand;
use crate::context::ServiceContext;

/// Each turn also reads the comments of this last part of the time that earlier turns have read. The forge's
/// list may have lacked the newest comments at that time.
const COMMENT_REREAD_OVERLAP: TimeSpan = TimeSpan::minutes(2);
/// Truing assumes that an earlier list contained every comment of at least this age.
const MAX_LISTING_DELAY: TimeSpan = TimeSpan::minutes(24 * 60);
/// Largest number of marks in one transaction.
const MAX_MARKS_PER_TRANSACTION: usize = 256;

/// Reason recorded for a skipped head. The pull request of this head was already open at the server's first
/// contact with the repository.
const FIRST_CONTACT_SKIP_REASON: &str = "the pull request was already open at Truing's first contact with \
    the \
    repository: it is not reviewed until it changes or a review is requested";

impl RepositorySnapshot {
    /// Sweeps the repository with at most `remaining_calls` requests, and subtracts the number of sent
    /// requests from `remaining_calls`. The requests that look up the repository are sent even if
    /// `remaining_calls` is too small.
    ///
    /// # Errors
    /// [`SweepError`]. Marks that were made before the error are kept.
    pub(super) async fn sweep_repository(
        &mut self,
        context: &ServiceContext,
        server: &AnyForgeServer,
        task: &mut SweepTask,
        remaining_calls: &mut u64,
    ) -> Result<(), SweepError> {
        if !self.resolve_repository(context, server, task, remaining_calls).await? {
            return Ok(());
        }
        let repository = &task.repository;
        server.refresh_open_pulls(&repository.name, &mut self.pulls, remaining_calls).await?;
        if !repository.onboarded && !self.finish_onboarding(context, repository).await? {
            return Ok(());
        }
        self.mark_pulls(context, repository, remaining_calls).await?;
        self.store_commands(context, server, repository, remaining_calls).await
    }

    /// Looks up the repository's present name, and stores it. Returns false if the repository must not be
    /// swept.
    async fn resolve_repository(
        &mut self,
        context: &ServiceContext,
        server: &AnyForgeServer,
        task: &mut SweepTask,
        remaining_calls: &mut u64,
    ) -> Result<bool, SweepError> {
        let id = task.repository.id.clone();
        let found = match &task.list_entry {
            Some(seen) => Ok(seen.clone()),
            None => {
                *remaining_calls = remaining_calls.saturating_sub(1);
                match server.repository(&task.repository.name).await {
                    Ok(seen) if seen.id == id => Ok(seen),
                    // The repository has another name now. No repository has the old name, the old name
                    // redirects, or another repository has it.
                    Ok(_) | Err(ForgeError::NotFound { .. } | ForgeError::Moved { .. }) => {
                        *remaining_calls = remaining_calls.saturating_sub(1);
                        server.repository_by_id(&id).await
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let repository = &mut task.repository;
        let now = context.clock.now();
        let seen = match found {
            Ok(seen) => seen,
            Err(ForgeError::NotFound { .. }) => {
                if repository.missing_since.is_none() {
                    tracing::info!(repository = %repository.name, "the repository no longer exists, or \
                        the token cannot read it");
                }
                repository.missing_since = repository.missing_since.or(Some(now));
                *self = Self { missing_checked_at: Some(now), ..Self::default() };
                context.store.store_repositories(std::slice::from_ref(repository)).await?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        if seen.name != repository.name {
            tracing::info!(from = %repository.name, to = %seen.name, "the repository was renamed or \
                 transferred");
        }
        (repository.name, repository.missing_since, self.missing_checked_at) = (seen.name, None, None);
        context.store.store_repositories(std::slice::from_ref(repository)).await?;
        // An archived repository is skipped because it accepts no comments. The repository may have been
        // renamed to a name that the filter does not admit.
        Ok(!seen.archived && context.repository_filter.admits_repository(&repository.forge, &repository.name))
    }

    /// Completes the first contact with a repository. If existing pull requests are to be skipped, records
    /// their heads as skipped. A pull request with a slot is not skipped, because an event has already named
    /// it. Returns false if the list of open pull requests is not complete yet.
    async fn finish_onboarding(
        &self,
        context: &ServiceContext,
        repository: &KnownRepository,
    ) -> Result<bool, SweepError> {
        if !context.repository_filter.skips_existing_pulls() {
            context.store.finish_onboarding(repository).await?;
            return Ok(true);
        }
        if !self.pulls.is_complete() {
            return Ok(false);
        }
        let open: Vec<&OpenPull> = self.pulls.items().collect();
        let keys: Vec<SlotKey> = open.iter().map(|pull| pull_slot_key(repository, pull.number)).collect();
        let slots = context.store.load_slots(&keys).await?;
        let is_new = |slot: &Slot| slot.version.0 == 0;
        let (mut left, mut described) = (Vec::new(), Vec::new());
        for (pull, slot) in open.iter().zip(slots).filter(|(_, slot)| is_new(slot)) {
            let (name, revision) = (format!("{}#{}", repository.name, pull.number), pull.revision.clone());
            let head = Some(revision.head.clone());
            described.push((slot.key.clone(), SlotDescription { name, url: pull.url.clone(), head }));
            left.push(SkippedHead { run: new_run_id(), key: slot.key, revision });
        }
        context.store.store_descriptions(&described).await?;
        context.store.skip_heads(&left, FIRST_CONTACT_SKIP_REASON).await?;
        context.store.finish_onboarding(repository).await?;
        tracing::info!(
            repository = %repository.name,
            "first contact: {} open pull requests, {} of them are not reviewed until they change or a \
                review is requested",
            open.len(),
            left.len()
        );
        Ok(true)
    }

    /// Marks open pull requests whose present state was not reviewed. If an operator dropped a pull request
    /// before its head was known, records its present head as skipped instead.
    ///
    /// Also marks held slots whose pull request is no longer open. A parked slot is marked only if the forge
    /// shows that its pull request is closed. A pull request that the forge hides would otherwise fail again
    /// after each start of the service.
    async fn mark_pulls(
        &mut self,
        context: &ServiceContext,
        repository: &KnownRepository,
        remaining_calls: &mut u64,
    ) -> Result<(), SweepError> {
        let (store, Self { pulls, woken_slots, .. }) = (&*context.store, self);
        if let Some(other) = pulls.items().find(|pull| pull.repository_id != repository.id) {
            let request =
                format!("{}: the name now belongs to repository {}", repository.name, other.repository_id);
            return Err(ForgeError::Moved { request }.into());
        }
        let open: Vec<(SlotKey, &OpenPull)> =
            pulls.items().map(|pull| (pull_slot_key(repository, pull.number), pull)).collect();
        let keys: Vec<SlotKey> = open.iter().map(|(key, _)| key.clone()).collect();
        let (mut marks, mut dropped) = (Vec::new(), Vec::new());
        for ((key, pull), known) in open.into_iter().zip(load_known_pulls(store, &keys).await?) {
            // A slot with an unreadable row is skipped until an operator deletes the row.
            let Some((slot, reviews)) = known else { continue };
            if slot.state == SlotState::Idle && reviews.is_dropped_without_head() {
                dropped.push(SkippedHead { run: new_run_id(), key, revision: pull.revision.clone() });
                continue;
            }
            let rouse = pull_mark_action(&slot, pull, &reviews);
            if rouse == SlotMarkAction::OncePerRevision
                && !record_woken_slot(woken_slots, &key, Some(&pull.revision))
            {
                continue;
            }
            if rouse != SlotMarkAction::NoMark {
                let name = format!("{}#{}", repository.name, pull.number);
                let head = Some(pull.revision.head.clone());
                marks.push(slot_mark(key, SlotDescription { name, url: pull.url.clone(), head }));
            }
        }
        if pulls.is_complete() {
            let resting = store.repository_slots(&repository.forge, &repository.id).await?;
            let unlisted =
                resting.into_iter().filter(|slot| is_waiting_for_event(slot) && !keys.contains(&slot.key));
            let (unlisted, states): (Vec<SlotKey>, Vec<SlotState>) =
                unlisted.map(|slot| (slot.key, slot.state)).unzip();
            woken_slots.retain(|key, _| keys.contains(key) || unlisted.contains(key));
            let described = store.descriptions(&unlisted).await?;
            for ((key, state), described) in unlisted.iter().zip(states).zip(described) {
                let Some(described) = described else { continue };
                if woken_slots.get(key) == Some(&None) {
                    continue;
                }
                let is_closed = if state == (SlotState::Held { reason: HoldReason::Parked }) {
                    is_pull_closed(context, repository, key, remaining_calls).await
                } else {
                    Some(true)
                };
                // If the forge has not answered, it is asked again at the next turn.
                let Some(is_closed) = is_closed else { continue };
                record_woken_slot(woken_slots, key, None);
                if is_closed {
                    marks.push(slot_mark(key.clone(), SlotDescription { head: None, ..described }));
                }
            }
        }
        for batch in marks.chunks(MAX_MARKS_PER_TRANSACTION) {
            let marked = store.mark_slots(batch, &context.slot_limits, HaltPolicy::Refuse).await;
            if marked != Ok(MarkOutcome::AllStored) {
                woken_slots.clear(); // a later sweep marks them again
            }
            let refused = match marked? {
                MarkOutcome::AllStored => BTreeSet::new(),
                // The switch was turned on during the sweep.
                MarkOutcome::BlockedByKillSwitch(refused) => refused,
            };
            for mark in batch.iter().filter(|mark| !refused.contains(&mark.key)) {
                tracing::info!(key = %mark.key, "{} marked by the sweep", mark.description.name);
            }
        }
        if !dropped.is_empty() {
            store.skip_heads(&dropped, DROP_REASON).await?;
        }
        Ok(())
    }

    /// Records the comments with commands that were written since the last turn.
    async fn store_commands(
        &mut self,
        context: &ServiceContext,
        server: &AnyForgeServer,
        repository: &KnownRepository,
        remaining_calls: &mut u64,
    ) -> Result<(), SweepError> {
        let since = UnixMillis(repository.cursor.0.saturating_sub(COMMENT_REREAD_OVERLAP.0));
        let of = (repository.name.as_str(), None);
        server.refresh_comments_since(of, since, &mut self.comments, remaining_calls).await?;
        let mut requests = Vec::new();
        let at = context.store.now().await?;
        for comment in self.comments.iter().flat_map(CachedListing::items) {
            // An older comment with a later edit is ignored, because the comment was processed when it was
            // new. An unedited older comment is recorded again, because the last list may have lacked it.
            // Only comments of the last day are recorded again, because the records of served comments are
            // deleted some time later.
            let late = comment.created >= since && comment.updated == comment.created;
            let late = late && at - comment.created < MAX_LISTING_DELAY;
            let new = comment.created > repository.cursor || late;
            let new = new && UserCommand::parse(&comment.body).is_some();
            let by_person = comment.author.as_ref().is_some_and(|author| author.is_person);
            if new && by_person {
                let pr = pull_request_id(repository, comment.number);
                let origin = RequestOrigin::Comment { kind: comment.kind, id: comment.id };
                requests.push(UserRequest { pr, origin, noticed_at: at });
            }
        }
        let until = comments_read_until(&self.comments);
        if until.is_some_and(|until| until > repository.cursor) || !requests.is_empty() {
            context.store.store_requests(&requests, repository, until).await?;
        }
        Ok(())
    }
}

/// Asks the forge whether a pull request that it no longer lists is closed. Returns false if the forge does
/// not show the pull request. Returns `None` if the forge does not answer, or if no request may be sent.
async fn is_pull_closed(
    context: &ServiceContext,
    repository: &KnownRepository,
    key: &SlotKey,
    remaining_calls: &mut u64,
) -> Option<bool> {
    let id = PrId::from_key(key)?;
    let client = context.forges.pull_client(&new_run_id(), &id, &repository.name, CommentProducer::Review)?;
    *remaining_calls = remaining_calls.checked_sub(1)?;
    match client.pull_request().await {
        Ok(pull) => Some(pull.state == PrState::Closed),
        Err(ForgeError::NotFound { .. } | ForgeError::Moved { .. }) => Some(false),
        Err(error) => {
            tracing::debug!(%key, %error, "the forge does not show a parked pull request");
            None
        }
    }
}

/// A pull request in the store: its slot, and the progress of its reviews.
pub(super) type KnownPullRequest = (Slot, ReviewProgress);

/// Reads the state of each pull request, in the order of `keys`. A pull request with an unreadable row is
/// `None`, and does not affect the other pull requests.
pub(super) async fn load_known_pulls(
    store: &dyn RecordStore,
    keys: &[SlotKey],
) -> Result<Vec<Option<KnownPullRequest>>, StoreError> {
    match read_known_pulls(store, keys).await {
        Ok(known) => return Ok(known.into_iter().map(Some).collect()),
        Err(StoreError::Corrupt(_)) => {}
        Err(error @ (StoreError::Unavailable(_) | StoreError::Fenced { .. })) => return Err(error),
    }
    let mut each = Vec::with_capacity(keys.len());
    for key in keys {
        match read_known_pulls(store, std::slice::from_ref(key)).await {
            Ok(known) => each.extend(known.into_iter().map(Some)),
            Err(StoreError::Corrupt(why)) => {
                tracing::debug!(%key, why, "skipped by the sweep");
                each.push(None);
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::Fenced { .. })) => return Err(error),
        }
    }
    Ok(each)
}

/// Returns the state of a pull request without any record.
pub(super) fn unrecorded_pull(key: SlotKey) -> KnownPullRequest {
    (Slot::new(key), ReviewProgress::default())
}

async fn read_known_pulls(
    store: &dyn RecordStore,
    keys: &[SlotKey],
) -> Result<Vec<KnownPullRequest>, StoreError> {
    // Slots are read before reviews. A run records its revision before its slot becomes idle, so an idle slot
    // implies a recorded revision.
    let (slots, reviews) = (store.load_slots(keys).await?, store.last_reviews(keys).await?);
    Ok(slots.into_iter().zip(reviews).collect())
}

/// Returns the time up to which all comments have been read. This is the time of the newest change if all
/// lists are complete. If a list is incomplete, the result is at most the time of that list's last comment.
fn comments_read_until(lists: &[CachedListing<PullComment>]) -> Option<UnixMillis> {
    let newest = |list: &CachedListing<PullComment>| list.items().map(|comment| comment.updated).max();
    let reached = |list: &CachedListing<PullComment>| if list.is_in_order() { newest(list) } else { None };
    let cut = lists.iter().filter(|list| !list.is_complete()).map(reached).min();
    // If an incomplete list is empty or unsorted, there is no such time.
    cut.unwrap_or_else(|| lists.iter().filter_map(newest).max())
}

/// Action for a slot, according to the forge's list of pull requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotMarkAction {
    /// The slot is to be marked.
    Mark,
    /// The slot is parked, so it is marked only once for each revision.
    OncePerRevision,
    /// The slot is not marked: its revision was reviewed, a step is due, or the slot must stay held.
    NoMark,
}

/// Records that a held slot is marked for `revision`. `None` means that the pull request is no longer listed.
/// Returns false if the slot was last marked for the same revision.
fn record_woken_slot(
    woken_slots: &mut HashMap<SlotKey, Option<PullRevision>>,
    key: &SlotKey,
    revision: Option<&PullRevision>,
) -> bool {
    let before = woken_slots.insert(key.clone(), revision.cloned());
    before != Some(revision.cloned())
}

/// Decides whether to mark the slot of an open pull request. An idle slot without a settled revision has lost
/// its work, so the slot is marked again. A parked slot is marked only for a revision that no run has
/// attempted. An operator's drop before the head was known applies to this head, so the slot is not marked.
pub(super) fn pull_mark_action(slot: &Slot, pull: &OpenPull, reviews: &ReviewProgress) -> SlotMarkAction {
    let is_unsettled = match &reviews.last_settled {
        Some(_) if reviews.is_dropped_without_head() => false,
        Some(left) if reviews.is_skipped => left.head != pull.revision.head,
        settled => settled.as_ref() != Some(&pull.revision),
    };
    let is_new = reviews.last_attempted.as_ref() != Some(&pull.revision);
    match slot.state {
        SlotState::Waiting { .. } | SlotState::Leased { .. } => SlotMarkAction::NoMark,
        SlotState::Idle if is_unsettled => SlotMarkAction::Mark,
        SlotState::Held { reason: HoldReason::Parked } if is_new => SlotMarkAction::OncePerRevision,
        // A paused slot keeps an event until reviews are resumed. A further event has no effect, so the slot
        // is marked only if it has no event.
        SlotState::Held { reason: HoldReason::Paused }
            if is_unsettled && !pull.draft && slot.pending.review.is_none() =>
        {
            SlotMarkAction::Mark
        }
        SlotState::Held { reason: HoldReason::Draft } if !pull.draft => SlotMarkAction::Mark,
        // The pull request is open again.
        SlotState::Held { reason: HoldReason::Cancelled } => SlotMarkAction::Mark,
        SlotState::Idle
        | SlotState::Held { reason: HoldReason::Parked | HoldReason::Paused | HoldReason::Draft } => {
            SlotMarkAction::NoMark
        }
    }
}

/// Returns true if the slot is parked, or is held as a draft. Such a slot is marked after its pull request is
/// closed, because only an event changes its state. The run then records that the pull request is closed.
fn is_waiting_for_event(slot: &Slot) -> bool {
    match slot.state {
        SlotState::Held { reason: HoldReason::Parked | HoldReason::Draft } => true,
        // A pause that a person requested stays even if the pull request is closed. The pull request may be
        // reopened.
        SlotState::Held { reason: HoldReason::Paused | HoldReason::Cancelled }
        | SlotState::Idle
        | SlotState::Waiting { .. }
        | SlotState::Leased { .. } => false,
    }
}

/// Returns the slot key of a pull request; `repository_id` is the id of its repository.
pub(super) fn slot_key(forge: &str, repository_id: &str, number: u64) -> SlotKey {
    PrId { forge: forge.to_owned(), repository: repository_id.to_owned(), number }.key()
}

fn pull_request_id(repository: &KnownRepository, number: u64) -> PrId {
    PrId { forge: repository.forge.clone(), repository: repository.id.clone(), number }
}

fn pull_slot_key(repository: &KnownRepository, number: u64) -> SlotKey {
    pull_request_id(repository, number).key()
}

fn slot_mark(key: SlotKey, description: SlotDescription) -> SlotMark {
    SlotMark { key, description, loop_kind: LoopKind::Review }
}
