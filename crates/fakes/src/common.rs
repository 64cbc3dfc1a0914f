//! State that processes share, in memory: for tests in which several clients of one process stand for
//! separate processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use truing_core::id::TimeSpan;
use truing_core::port::{Clock, SharedStateStore, StateSnapshot, StoreError};

/// Shared states with the time of a clock. They last until they are changed.
#[derive(Clone)]
pub struct FakeSharedState {
    clock: Arc<dyn Clock>,
    within: Arc<Mutex<SharedTexts>>,
}

#[derive(Default)]
struct SharedTexts {
    texts: HashMap<String, String>,
    is_gone: bool,
    reads: usize,
}

impl FakeSharedState {
    /// Returns an empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, within: Arc::default() }
    }

    /// Makes the store unreachable, or reachable again.
    pub fn set_gone(&self, is_gone: bool) {
        self.within().is_gone = is_gone;
    }

    /// Returns the names of the stored states, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.within().texts.keys().cloned().collect();
        names.sort();
        names
    }

    /// Returns the number of reads.
    pub fn reads(&self) -> usize {
        self.within().reads
    }

    fn within(&self) -> MutexGuard<'_, SharedTexts> {
        self.within.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self, name: &str) -> Result<StateSnapshot, StoreError> {
        let mut within = self.within();
        within.reads += 1;
        within.answers()?;
        Ok(StateSnapshot { text: within.texts.get(name).cloned(), now: self.clock.now() })
    }

    fn swapped(&self, name: &str, expected: Option<&str>, next: Option<&str>) -> Result<bool, StoreError> {
        let mut within = self.within();
        within.answers()?;
        if within.texts.get(name).map(String::as_str) != expected {
            return Ok(false);
        }
        match next {
            Some(next) => within.texts.insert(name.to_owned(), next.to_owned()),
            None => within.texts.remove(name),
        };
        Ok(true)
    }
}

impl SharedTexts {
    fn answers(&self) -> Result<(), StoreError> {
        if self.is_gone { Err(StoreError::Unavailable("it is gone".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl SharedStateStore for FakeSharedState {
    async fn read(&self, name: &str) -> Result<StateSnapshot, StoreError> {
        self.present(name)
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&str>,
        next: Option<&str>,
        _: TimeSpan,
    ) -> Result<bool, StoreError> {
        self.swapped(name, expected, next)
    }
}

impl std::fmt::Debug for FakeSharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeSharedState").field("names", &self.names()).finish_non_exhaustive()
    }
}
