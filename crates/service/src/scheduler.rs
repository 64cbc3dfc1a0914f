//! The scheduler ends expired leases, removes finished slots, and leases due slots. The choice of slots is
//! fair between repositories ([`truing_core::lease_fairness`]).

use std::collections::BTreeMap;
use std::time::Duration;

use truing_core::id::{FencingToken, PrId, SlotKey, SlotVersion, UnixMillis};
use truing_core::lease_fairness::{ActiveLeases, DueSlot, LeaseLimits, choose_slots};
use truing_core::port::{HistoryEvent, RecordStore, StoreError};
use truing_core::slot::{Slot, SlotCommand, SlotHistoryEntry, SlotState, SlotTransition};
use truing_core::switch::{KillSwitches, RepositoryRef};
use truing_core::sync::job;
use truing_core::worker_group::WorkerGroup;

use super::context::ServiceContext;
use super::lease::{Lease, lease_from_slot};
use super::notify;
use super::scheduler_waker::MIN_WAKE_DELAY;

/// Number of slots that are read at a time. The oldest slot of each repository is read before the second
/// oldest slot of any repository.
const INITIAL_BATCH_SLOTS: usize = 256;
/// Factor by which the number of slots to read grows if too few of the read slots may be leased. For example,
/// the read slots may all belong to an owner whose lease limit is reached.
const BATCH_GROWTH_FACTOR: usize = 4;
/// Maximum number of slots that are read. Further slots are newer. Newer slots are leased after older slots.
const MAX_BATCH_SLOTS: usize = 16_384;

/// The lease limits of this process, its active leases, and the time of its last read of the due slots.
#[derive(Debug)]
pub struct Scheduler {
    lease_limits: LeaseLimits,
    active_leases: ActiveLeases,
    /// Slots that were due before this time have been read.
    slots_read_until: UnixMillis,
}

impl Scheduler {
    /// Makes a scheduler without active leases.
    pub fn new(lease_limits: LeaseLimits) -> Self {
        Self { lease_limits, active_leases: ActiveLeases::default(), slots_read_until: UnixMillis(i64::MIN) }
    }

    /// Removes the lease of a worker that has ended, so that another lease can be granted.
    pub fn release_lease(&mut self, lease_token: FencingToken) {
        self.active_leases.remove_lease(lease_token);
    }

    /// Returns the time until the due slots should be read again, at most `poll_interval`. The next read
    /// should be when another slot becomes due.
    #[truing_core::boxed_future]
    pub async fn time_until_next(&self, context: &ServiceContext, poll_interval: Duration) -> Duration {
        let until_due = async {
            let next = context.store.next_due(self.slots_read_until).await?;
            Ok::<_, StoreError>((next, context.store.now().await?))
        };
        match until_due.await {
            Ok((Some(at), now)) => {
                let wait = u64::try_from((at - now).0).unwrap_or(0);
                Duration::from_millis(wait).max(MIN_WAKE_DELAY).min(poll_interval)
            }
            // The error is not reported here, because the next read of the due slots reports it.
            Ok((None, _)) | Err(_) => poll_interval,
        }
    }

    /// Reads the due slots once, and grants leases up to the limits. Grants no leases while the global kill
    /// switch is on. Grants no leases in a repository while the repository's own kill switch is on. Slots
    /// without a lease stay due.
    ///
    /// # Errors
    /// [`StoreError`]. Changes that were committed before the error stay committed.
    #[truing_core::boxed_future]
    pub async fn lease_due_slots(&mut self, context: &ServiceContext) -> Result<Vec<Lease>, StoreError> {
        let store = &*context.store;
        let now = store.now().await?;
        let switches = context.kill_switches().await;
        let places = if switches.global_switch.engagement().is_some() {
            LeaseLimits::new(0)
        } else {
            self.lease_limits
        };
        // Held slots that are already recorded must not use up the batch. The batch is enlarged by the number
        // of these slots, so that it also contains other held slots.
        let is_on = switches.engaged_switches().next().is_some();
        let batch =
            if is_on { INITIAL_BATCH_SLOTS + context.held_slots.count() } else { INITIAL_BATCH_SLOTS };
        let workers = store.announce_worker(self.lease_limits.total > 0).await?;
        let LeaseSelection { due, chosen_slots: leased, oldest_due_at: oldest } =
            self.pick(context, &switches, places, batch, &workers, now).await?;
        if is_on {
            context.record_held_slots(&switches, &due).await?;
        }
        self.active_leases.prune_turns(oldest);
        let mut decided: Vec<(Slot, SlotTransition, Option<&str>)> = Vec::new();
        for (index, slot) in due.into_iter().enumerate() {
            let chosen = leased.get(&index);
            let command = match &slot.state {
                SlotState::Waiting { .. } if chosen.is_none() => continue,
                SlotState::Waiting { .. } => SlotCommand::Lease,
                SlotState::Leased { .. } | SlotState::Idle if !may_change_slot(&workers, &slot, now) => {
                    continue;
                }
                SlotState::Leased { .. } => SlotCommand::ExpireLease,
                SlotState::Idle => SlotCommand::RemoveEndedStorm,
                SlotState::Held { .. } => continue,
            };
            // If the slot's state no longer permits the command, the slot is skipped until the next read.
            let Ok(decision) = slot.apply_command(command, &context.slot_limits, now) else { continue };
            if let Some(SlotHistoryEntry::Parked(attempts)) = decision.note {
                notify::queue_parked_notice(store, &slot.key, attempts, now).await;
            }
            decided.push((slot, decision, chosen.and_then(|who| who.owner.as_deref())));
        }
        let (granted, others): (Vec<_>, Vec<_>) =
            decided.into_iter().partition(|(_, after, _)| after.slot.token().is_some());
        let changes = |decided: &[(Slot, SlotTransition, Option<&str>)]| -> Vec<(SlotVersion, Slot)> {
            decided.iter().map(|(before, after, _)| (before.version, after.slot.clone())).collect()
        };
        let mut committed: Vec<bool> = Vec::new();
        if !others.is_empty() {
            committed.extend(store.commit_slots(&changes(&others)).await?.iter().map(Result::is_ok));
        }
        if !granted.is_empty() {
            // The kill switch may have been turned on after it was read, so `grant_leases` checks the switch
            // again.
            committed.extend(store.grant_leases(&changes(&granted)).await?.iter().map(Result::is_ok));
        }
        self.slots_read_until = now;
        let (mut leases, mut notes) = (Vec::new(), Vec::new());
        for ((_, decision, owner), committed) in others.into_iter().chain(granted).zip(committed) {
            if !committed {
                continue; // the slot changed in between: the next look reads it again
            }
            let SlotTransition { slot, note } = decision;
            notes.extend(note.map(|note| HistoryEvent {
                at: now,
                key: slot.key.clone(),
                run: None,
                description: note.to_string(),
            }));
            if let Some(lease) = lease_from_slot(slot, context.slot_limits.max_attempts) {
                self.active_leases.add_lease(lease.token, lease.key.repository_prefix(), owner, now);
                leases.push(lease);
            }
        }
        // The leases are granted even if the history cannot be written.
        if !notes.is_empty()
            && let Err(error) = store.append_history(&notes).await
        {
            tracing::warn!(%error, "steps are missing from the history");
        }
        Ok(leases)
    }

    /// Reads the due slots, and chooses the slots to lease.
    async fn pick(
        &self,
        context: &ServiceContext,
        switches: &KillSwitches,
        lease_limits: LeaseLimits,
        mut batch: usize,
        workers: &WorkerGroup,
        now: UnixMillis,
    ) -> Result<LeaseSelection, StoreError> {
        let free = lease_limits.total.saturating_sub(self.active_leases.len());
        loop {
            let due = context.store.due_slots(now, batch).await?;
            let is_held = |slot: &Slot| switches.switch_for(&RepositoryRef::from_key(&slot.key)).is_some();
            let waiting: Vec<(usize, LeaseCandidate)> = due
                .iter()
                .enumerate()
                .filter_map(|(index, slot)| match slot.state {
                    // Slots of jobs are leased by the calendar, not by the scheduler.
                    SlotState::Waiting { due_at: at, .. }
                        if job::job_from_key(&slot.key).is_none() && !is_held(slot) =>
                    {
                        Some((index, LeaseCandidate { key: slot.key.clone(), due_at: at, owner: None }))
                    }
                    SlotState::Waiting { .. }
                    | SlotState::Leased { .. }
                    | SlotState::Idle
                    | SlotState::Held { .. } => None,
                })
                .collect();
            let waiting = if free > 0 && lease_limits.has_owner_limit() {
                with_owners(&*context.store, waiting).await?
            } else {
                waiting
            };
            // The first pass chooses only slots whose preferred worker is this process. If leases are free
            // after this pass, the second pass also chooses slots that their preferred workers have not
            // leased in time.
            let chosen = [true, false].into_iter().find_map(|only_own| {
                let is_for_us = |candidate: &LeaseCandidate| match only_own {
                    true => workers.is_preferred_worker(&candidate.key),
                    false => workers.may_take(&candidate.key, candidate.due_at, now),
                };
                let ours: Vec<usize> = (0..waiting.len())
                    .filter(|at| waiting.get(*at).is_some_and(|(_, candidate)| is_for_us(candidate)))
                    .collect();
                let candidates: Vec<DueSlot<'_>> = ours
                    .iter()
                    .filter_map(|at| waiting.get(*at))
                    .map(|(_, candidate)| candidate.due_slot())
                    .collect();
                let chosen: Vec<usize> = choose_slots(&candidates, &self.active_leases, lease_limits, now)
                    .into_iter()
                    .filter_map(|index| ours.get(index).copied())
                    .collect();
                (!only_own || chosen.len() == free).then_some(chosen)
            });
            let chosen = chosen.unwrap_or_default();
            let seen_all = due.len() < batch;
            if chosen.len() == free || seen_all || batch >= MAX_BATCH_SLOTS {
                let leased = chosen.into_iter().filter_map(|index| waiting.get(index).cloned()).collect();
                // Due slots are sorted by rank, and slots of equal rank are sorted by age, so the first due
                // slot is the oldest.
                let oldest = due.first().and_then(Slot::wake_time);
                return Ok(LeaseSelection { due, chosen_slots: leased, oldest_due_at: oldest });
            }
            batch = (batch * BATCH_GROWTH_FACTOR).min(MAX_BATCH_SLOTS);
        }
    }
}

/// Returns true if this process may end the lease of this slot, or remove the slot.
fn may_change_slot(workers: &WorkerGroup, slot: &Slot, now: UnixMillis) -> bool {
    workers.may_take(&slot.key, slot.wake_time().unwrap_or(now), now)
}

/// The result of one read of the due slots.
struct LeaseSelection {
    /// Slots that need a step.
    due: Vec<Slot>,
    /// The slots to lease, by their index in `due`.
    chosen_slots: BTreeMap<usize, LeaseCandidate>,
    /// Time at which the oldest slot became due.
    oldest_due_at: Option<UnixMillis>,
}

/// A slot that may be leased.
#[derive(Clone, Debug)]
struct LeaseCandidate {
    key: SlotKey,
    due_at: UnixMillis,
    /// Owner as `{forge}/{owner}`, if the operator configured lease limits for owners.
    owner: Option<String>,
}

impl LeaseCandidate {
    fn due_slot(&self) -> DueSlot<'_> {
        DueSlot {
            repository: self.key.repository_prefix(),
            owner: self.owner.as_deref(),
            due_at: self.due_at,
        }
    }
}

/// Adds the owner of each slot, which consists of the forge and the first part of the repository's name.
async fn with_owners(
    store: &dyn RecordStore,
    waiting: Vec<(usize, LeaseCandidate)>,
) -> Result<Vec<(usize, LeaseCandidate)>, StoreError> {
    let keys: Vec<SlotKey> = waiting.iter().map(|(_, who)| who.key.clone()).collect();
    let described = store.descriptions(&keys).await?;
    let named = waiting.into_iter().zip(described).map(|((index, who), described)| {
        let owner = described.and_then(|described| owner_of(&who.key, &described.name));
        (index, LeaseCandidate { owner, ..who })
    });
    Ok(named.collect())
}

fn owner_of(key: &SlotKey, name: &str) -> Option<String> {
    let (owner, _) = name.split_once('/')?;
    Some(format!("{}/{}", PrId::from_key(key)?.forge, owner.to_ascii_lowercase()))
}
