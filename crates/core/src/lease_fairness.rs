//! Selects the slots to lease when more slots are due than the limits allow to lease. Repositories take fair
//! turns, and no owner (organisation) exceeds its limit. The selection is pure: the caller stores an
//! [`ActiveLeases`], and records the start and end of each lease in it.
//!
//! The next lease goes to the repository with the fewest leases. Of several such repositories, the repository
//! with the longest wait is first. The wait begins at the repository's oldest due time or its last turn,
//! whichever is later. Within a repository the oldest slot is first. A repository with a thousand due slots
//! therefore alternates with a repository that has a single slot. After a lease, a repository is placed
//! behind all repositories that already wait. No repository therefore waits forever.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::{FencingToken, UnixMillis};

/// Maximum numbers of concurrent leases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaseLimits {
    /// Limit for all leases together.
    pub total: usize,
    /// Limit for each owner. If the value is `total` or more, only the total limit applies.
    pub per_owner: usize,
}

impl LeaseLimits {
    /// Sets one total limit, without limits for owners.
    pub fn new(total: usize) -> Self {
        Self { total, per_owner: total }
    }

    /// Returns true if the limit for each owner is lower than the total limit.
    pub fn has_owner_limit(self) -> bool {
        self.per_owner < self.total
    }
}

/// A slot that may be leased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DueSlot<'a> {
    /// Repository of the slot ([`SlotKey::repository_prefix`](crate::id::SlotKey::repository_prefix)).
    pub repository: &'a str,
    /// Owner of the repository. If this is `None`, the owner is unknown, and no owner limit applies.
    pub owner: Option<&'a str>,
    /// Time since which the slot has been due.
    pub due_at: UnixMillis,
}

/// Repository and owner of a lease.
#[derive(Clone, Debug)]
struct LeaseOwner {
    repository: String,
    owner: Option<String>,
}

/// Active leases, and the time of each repository's last turn.
#[derive(Clone, Debug, Default)]
pub struct ActiveLeases {
    leases: BTreeMap<FencingToken, LeaseOwner>,
    repositories: BTreeMap<String, usize>,
    owners: BTreeMap<String, usize>,
    last_turns: BTreeMap<String, UnixMillis>,
}

impl ActiveLeases {
    /// Returns the number of active leases.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Returns true if there is no lease.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Records that a lease has begun.
    pub fn add_lease(&mut self, lease: FencingToken, repository: &str, owner: Option<&str>, now: UnixMillis) {
        let held = LeaseOwner { repository: repository.to_owned(), owner: owner.map(str::to_owned) };
        *self.repositories.entry(held.repository.clone()).or_default() += 1;
        if let Some(owner) = &held.owner {
            *self.owners.entry(owner.clone()).or_default() += 1;
        }
        self.leases.insert(lease, held);
        self.last_turns.insert(repository.to_owned(), now);
    }

    /// Records that a lease has ended.
    pub fn remove_lease(&mut self, lease: FencingToken) {
        let Some(LeaseOwner { repository, owner }) = self.leases.remove(&lease) else { return };
        decrement_count(&mut self.repositories, &repository);
        if let Some(owner) = owner {
            decrement_count(&mut self.owners, &owner);
        }
    }

    /// Drops turns that no longer affect the order, because every due slot became due after them. `oldest` is
    /// the earliest due time, or `None` if no slot is due.
    pub fn prune_turns(&mut self, oldest: Option<UnixMillis>) {
        self.last_turns.retain(|_, turn| oldest.is_some_and(|oldest| *turn > oldest));
    }
}

fn decrement_count(counts: &mut BTreeMap<String, usize>, key: &str) {
    if let Entry::Occupied(mut count) = counts.entry(key.to_owned()) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// Selects the due slots to lease now, and returns their indexes in the order of selection.
pub fn choose_slots(
    due: &[DueSlot<'_>],
    active_leases: &ActiveLeases,
    limits: LeaseLimits,
    now: UnixMillis,
) -> Vec<usize> {
    let mut queues: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, slot) in due.iter().enumerate() {
        queues.entry(slot.repository).or_default().push(index);
    }
    // Order of repositories: number of leases, start of the wait, due time of the oldest slot.
    let mut order: BTreeSet<(usize, UnixMillis, UnixMillis, &str)> = BTreeSet::new();
    let mut queues: BTreeMap<&str, VecDeque<usize>> = queues
        .into_iter()
        .map(|(repository, mut queue)| {
            queue.sort_by_key(|index| due.get(*index).map(|slot| slot.due_at));
            (repository, queue.into())
        })
        .collect();
    let first = |queue: &VecDeque<usize>| Some(due.get(*queue.front()?)?.due_at);
    for (repository, queue) in &queues {
        let Some(at) = first(queue) else { continue };
        let turn = active_leases.last_turns.get(*repository).copied();
        let leases = active_leases.repositories.get(*repository).copied().unwrap_or(0);
        order.insert((leases, turn.map_or(at, |turn| turn.max(at)), at, repository));
    }
    let mut owners: BTreeMap<&str, usize> =
        active_leases.owners.iter().map(|(owner, count)| (owner.as_str(), *count)).collect();
    let free = limits.total.saturating_sub(active_leases.len());
    let mut chosen = Vec::new();
    while chosen.len() < free
        && let Some((leases, since, _, repository)) = order.pop_first()
    {
        let Some(queue) = queues.get_mut(repository) else { continue };
        let Some(index) = queue.pop_front() else { continue };
        let owner = due.get(index).and_then(|slot| slot.owner);
        let has_room =
            owner.is_none_or(|owner| owners.get(owner).is_none_or(|count| *count < limits.per_owner));
        let (leases, since) = if has_room {
            chosen.push(index);
            if let Some(owner) = owner {
                *owners.entry(owner).or_default() += 1;
            }
            (leases + 1, now)
        } else {
            (leases, since) // its next slot may have another owner: repositories change hands
        };
        if let Some(at) = first(queue) {
            order.insert((leases, since, at, repository));
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::SlotKey;

    fn key(repository: usize, number: usize) -> SlotKey {
        SlotKey::new(format!("pr/github/{repository}/{number:06}")) // sorts as text, too
    }

    /// Returns the chosen slots; each input is (key, owner, due since).
    fn chosen_keys(
        slots: &[(SlotKey, &str, i64)],
        busy: &ActiveLeases,
        places: LeaseLimits,
        now: i64,
    ) -> Vec<SlotKey> {
        let due: Vec<DueSlot<'_>> = slots
            .iter()
            .map(|(key, owner, at)| DueSlot {
                repository: key.repository_prefix(),
                owner: Some(owner),
                due_at: UnixMillis(*at),
            })
            .collect();
        let chosen = choose_slots(&due, busy, places, UnixMillis(now));
        chosen.into_iter().map(|index| slots[index].0.clone()).collect()
    }

    #[test]
    fn repositories_take_turns_and_the_oldest_of_each_comes_first() {
        let slots = [
            (key(1, 2), "a", 20),
            (key(1, 1), "a", 10),
            (key(1, 3), "a", 30),
            (key(2, 1), "a", 40),
            (key(3, 1), "b", 50),
        ];
        let of = |places| chosen_keys(&slots, &ActiveLeases::default(), LeaseLimits::new(places), 100);
        assert_eq!(of(4), [key(1, 1), key(2, 1), key(3, 1), key(1, 2)]);
        assert_eq!(of(9).len(), 5);
        assert_eq!(of(0), []);
    }

    #[test]
    fn with_one_place_the_repository_that_had_its_turn_goes_behind_those_that_wait() {
        let slots = [(key(1, 2), "a", 10), (key(2, 1), "a", 40)];
        let mut busy = ActiveLeases::default();
        busy.add_lease(FencingToken(1), key(1, 1).repository_prefix(), Some("a"), UnixMillis(50));
        assert_eq!(chosen_keys(&slots, &busy, LeaseLimits::new(1), 60), [], "the place is taken");
        busy.remove_lease(FencingToken(1));
        assert_eq!(chosen_keys(&slots, &busy, LeaseLimits::new(1), 60), [key(2, 1)]);
        busy.prune_turns(Some(UnixMillis(10)));
        assert_eq!(chosen_keys(&slots, &busy, LeaseLimits::new(1), 60), [key(2, 1)], "it still matters");
        busy.prune_turns(None);
        assert_eq!(chosen_keys(&slots, &busy, LeaseLimits::new(1), 60), [key(1, 2)]);
    }

    #[test]
    fn an_owner_gets_no_more_than_its_places_and_others_get_the_rest() {
        let slots = [
            (key(1, 1), "big", 1),
            (key(2, 1), "big", 2),
            (key(3, 1), "big", 3),
            (key(3, 2), "small", 9),
            (key(4, 1), "small", 10),
        ];
        let places = LeaseLimits { total: 4, per_owner: 2 };
        let mut busy = ActiveLeases::default();
        busy.add_lease(FencingToken(1), key(9, 1).repository_prefix(), Some("big"), UnixMillis(0));
        assert_eq!(chosen_keys(&slots, &busy, places, 20), [key(1, 1), key(3, 2), key(4, 1)]);
        busy.remove_lease(FencingToken(1));
        assert_eq!(chosen_keys(&slots, &busy, places, 20), [key(1, 1), key(2, 1), key(3, 2), key(4, 1)]);
        assert!(busy.is_empty() && busy.owners.is_empty() && busy.repositories.is_empty());
    }

    /// Simulates slots that fall due and leases that begin and end, and checks that every slot's wait is
    /// within its bound.
    struct LeaseSimulation {
        limits: LeaseLimits,
        active_leases: ActiveLeases,
        /// Due slots, each with its due time and the number of slots that were already due in its repository.
        due: BTreeMap<SlotKey, (i64, usize)>,
        /// Active leases with their end times.
        running: BTreeMap<FencingToken, i64>,
        slot_count: usize,
        granted: u64,
    }

    /// Duration of the longest lease, in ticks.
    const LONGEST: i64 = 4;
    const REPOSITORIES: usize = 6;

    impl LeaseSimulation {
        fn owner(key: &SlotKey) -> &'static str {
            let id: usize = key.repository_prefix().split('/').nth(2).unwrap().parse().unwrap();
            ["a", "b", "c"][id % 3]
        }

        fn add_due_slots(&mut self, repository: usize, count: usize, now: i64) {
            for _ in 0..count {
                self.slot_count += 1;
                let new = key(repository, self.slot_count);
                let before =
                    self.due.keys().filter(|key| key.repository_prefix() == new.repository_prefix()).count();
                self.due.insert(new, (now, before));
            }
        }

        fn lease_due_slots(&mut self, now: i64, lasts: &mut impl FnMut() -> i64) {
            let over: Vec<FencingToken> =
                self.running.iter().filter(|(_, end)| **end <= now).map(|(lease, _)| *lease).collect();
            for lease in over {
                self.running.remove(&lease);
                self.active_leases.remove_lease(lease);
            }
            self.active_leases.prune_turns(self.due.values().map(|(at, _)| UnixMillis(*at)).min());
            let slots: Vec<_> =
                self.due.iter().map(|(key, (at, _))| (key.clone(), Self::owner(key), *at)).collect();
            for key in chosen_keys(&slots, &self.active_leases, self.limits, now) {
                let (at, before) = self.due.remove(&key).unwrap();
                // A slot waits for the earlier slots of its repository. Each of these waits lasts at most one
                // lease of every other repository and the leases of its own repository.
                let bound = (before as i64 + 1) * (REPOSITORIES as i64 + 2) * LONGEST;
                assert!(now - at <= bound, "{key} waited {} ticks, not {bound}", now - at);
                self.granted += 1;
                let lease = FencingToken(self.granted);
                self.active_leases.add_lease(
                    lease,
                    key.repository_prefix(),
                    Some(Self::owner(&key)),
                    UnixMillis(now),
                );
                self.running.insert(lease, now + lasts().clamp(1, LONGEST));
            }
            assert!(self.active_leases.len() <= self.limits.total);
            assert!(self.active_leases.owners.values().all(|count| *count <= self.limits.per_owner));
            assert_eq!(self.active_leases.len(), self.running.len());
            let blocked = |key: &SlotKey| {
                self.active_leases
                    .owners
                    .get(Self::owner(key))
                    .is_some_and(|count| *count >= self.limits.per_owner)
            };
            assert!(
                self.active_leases.len() == self.limits.total || self.due.keys().all(blocked),
                "a place is left free while a slot could take it"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Covers any number of slots in one repository, and slots that become due during the simulation.
        #[test]
        fn no_slot_waits_longer_than_its_own_repository_makes_it(
            all in 1..5usize,
            per_owner in 1..5usize,
            backlog in 0..60usize,
            arrivals in prop::collection::vec((0..REPOSITORIES, 0..4usize), 0..60),
            lasts in prop::collection::vec(1..=LONGEST, 1..20),
        ) {
            let limits = LeaseLimits { total: all, per_owner: per_owner.min(all) };
            let (active_leases, due, running) = (ActiveLeases::default(), BTreeMap::new(), BTreeMap::new());
            let mut world = LeaseSimulation { limits, active_leases, due, running, slot_count: 0, granted: 0 };
            let mut lasts = lasts.into_iter().cycle();
            let mut lasts = move || lasts.next().unwrap();
            world.add_due_slots(0, backlog, 0);
            let mut now = 0;
            for (repository, count) in arrivals {
                now += 1;
                world.add_due_slots(repository, count, now);
                world.lease_due_slots(now, &mut lasts);
            }
            while !world.due.is_empty() {
                now += 1;
                world.lease_due_slots(now, &mut lasts);
            }
        }
    }
}
