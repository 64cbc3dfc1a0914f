//! Selects which of several processes leases a slot. All processes see the same due slots at the same time.
//! If each of them tried to lease every slot, most attempts would fail. Each slot therefore has one preferred
//! process, by rendezvous hashing (Thaler and Ravishankar 1998). When a process joins or leaves, only the
//! slots with this process as preferred process are reassigned. After a grace period, any idle process may
//! lease an unleased slot.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::id::{SlotKey, TimeSpan, UnixMillis};

/// Time that a slot must be overdue before any worker may lease it. After this time, the preferred worker is
/// probably busy or gone.
pub const PREFERRED_WORKER_GRACE: TimeSpan = TimeSpan::seconds(1);

/// The processes that lease slots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorkerGroup {
    /// Name of the calling process.
    pub own_name: String,
    /// Names of all processes; empty if only one process uses the store.
    pub all_names: BTreeSet<String>,
}

impl WorkerGroup {
    /// Returns true if the calling process is the preferred process of this slot.
    pub fn is_preferred_worker(&self, key: &SlotKey) -> bool {
        let first = self.all_names.iter().max_by_key(|name| (weight(name, key), name.as_str()));
        first.is_none_or(|name| *name == self.own_name)
    }

    /// Returns true if the calling process may lease this slot. `due` is the slot's due time.
    pub fn may_take(&self, key: &SlotKey, due: UnixMillis, now: UnixMillis) -> bool {
        now - due >= PREFERRED_WORKER_GRACE || self.is_preferred_worker(key)
    }
}

fn weight(name: &str, key: &SlotKey) -> u64 {
    let hash = Sha256::new().chain_update(name).chain_update([0]).chain_update(key.as_str()).finalize();
    u64::from_be_bytes(std::array::from_fn(|at| hash[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker_group(own: &str, all: &[&str]) -> WorkerGroup {
        WorkerGroup { own_name: own.to_owned(), all_names: all.iter().map(|&name| name.to_owned()).collect() }
    }

    fn keys() -> impl Iterator<Item = SlotKey> {
        (0..1000).map(|number| SlotKey::new(format!("pr/github/1/{number}")))
    }

    #[test]
    fn each_slot_has_one_process_and_each_process_its_part() {
        let all = ["a", "b", "c", "d"];
        for key in keys() {
            assert_eq!(
                all.iter().filter(|own| worker_group(own, &all).is_preferred_worker(&key)).count(),
                1,
                "{key}"
            );
        }
        for own in all {
            let part = keys().filter(|key| worker_group(own, &all).is_preferred_worker(key)).count();
            assert!((150..350).contains(&part), "{own}: {part}");
        }
    }

    #[test]
    fn every_version_gives_a_slot_to_the_same_process() {
        assert_eq!(weight("a", &SlotKey::new("pr/github/1/1")), 8_609_727_975_975_595_060);
    }

    #[test]
    fn a_process_that_goes_leaves_the_others_what_they_had() {
        for key in keys().filter(|key| worker_group("a", &["a", "b", "c"]).is_preferred_worker(key)) {
            assert!(worker_group("a", &["b", "a"]).is_preferred_worker(&key), "{key}");
        }
    }

    #[test]
    fn a_process_that_is_alone_has_all_and_what_is_left_is_for_everybody() {
        assert!(keys().all(|key| WorkerGroup::default().is_preferred_worker(&key)
            && worker_group("a", &["a"]).is_preferred_worker(&key)));
        let key = keys().find(|key| !worker_group("a", &["a", "b"]).is_preferred_worker(key)).unwrap();
        let workers = worker_group("a", &["a", "b"]);
        assert!(!workers.may_take(&key, UnixMillis(1_000), UnixMillis(1_999)));
        assert!(workers.may_take(&key, UnixMillis(1_000), UnixMillis(2_000)));
    }
}
