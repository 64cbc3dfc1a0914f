//! A fake of the state that several processes share. The state is in memory; in tests, several clients in one
//! process represent separate processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use truing_core::id::TimeSpan;
use truing_core::port::{Clock, SharedStateStore, StateSnapshot, StoreError};

/// Shared states in memory. The states do not expire.
#[derive(Clone)]
pub struct FakeSharedState {
    clock: Arc<dyn Clock>,
    entries: Arc<Mutex<SharedStateEntries>>,
}

#[derive(Default)]
struct SharedStateEntries {
    states: HashMap<String, String>,
    is_unreachable: bool,
    read_count: usize,
}

impl FakeSharedState {
    /// Returns an empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entries: Arc::default() }
    }

    /// Makes the store unreachable, or reachable again.
    pub fn set_unreachable(&self, is_unreachable: bool) {
        self.lock_entries().is_unreachable = is_unreachable;
    }

    /// Returns the names of the stored states, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.lock_entries().states.keys().cloned().collect();
        names.sort();
        names
    }

    /// Returns the number of reads.
    pub fn read_count(&self) -> usize {
        self.lock_entries().read_count
    }

    fn lock_entries(&self) -> MutexGuard<'_, SharedStateEntries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_snapshot(&self, name: &str) -> Result<StateSnapshot, StoreError> {
        let mut within = self.lock_entries();
        within.read_count += 1;
        within.check_available()?;
        Ok(StateSnapshot { text: within.states.get(name).cloned(), time: self.clock.now() })
    }

    fn compare_and_swap(
        &self,
        name: &str,
        expected: Option<&str>,
        next: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut within = self.lock_entries();
        within.check_available()?;
        if within.states.get(name).map(String::as_str) != expected {
            return Ok(false);
        }
        match next {
            Some(next) => within.states.insert(name.to_owned(), next.to_owned()),
            None => within.states.remove(name),
        };
        Ok(true)
    }
}

impl SharedStateEntries {
    fn check_available(&self) -> Result<(), StoreError> {
        if self.is_unreachable { Err(StoreError::Unavailable("it is gone".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl SharedStateStore for FakeSharedState {
    async fn read(&self, name: &str) -> Result<StateSnapshot, StoreError> {
        self.read_snapshot(name)
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&str>,
        next: Option<&str>,
        _: TimeSpan,
    ) -> Result<bool, StoreError> {
        self.compare_and_swap(name, expected, next)
    }
}

impl std::fmt::Debug for FakeSharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeSharedState").field("names", &self.names()).finish_non_exhaustive()
    }
}
