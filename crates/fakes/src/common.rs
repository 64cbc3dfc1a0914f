//! States that processes keep in common, in memory: for tests in which several clients of one process stand for processes of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use truing_core::id::Span;
use truing_core::port::{Clock, Common, Present, StoreError};

/// States of a clock's time, which last until they are changed.
#[derive(Clone)]
pub struct InCommon {
    clock: Arc<dyn Clock>,
    within: Arc<Mutex<Within>>,
}

#[derive(Default)]
struct Within {
    texts: HashMap<String, String>,
    is_gone: bool,
    reads: usize,
}

impl InCommon {
    /// Nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, within: Arc::default() }
    }

    /// Lets it give no answers from now on, or answers again.
    pub fn set_gone(&self, is_gone: bool) {
        self.within().is_gone = is_gone;
    }

    /// The names of what is kept, in order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.within().texts.keys().cloned().collect();
        names.sort();
        names
    }

    /// Times that it was read.
    pub fn reads(&self) -> usize {
        self.within().reads
    }

    fn within(&self) -> MutexGuard<'_, Within> {
        self.within.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self, name: &str) -> Result<Present, StoreError> {
        let mut within = self.within();
        within.reads += 1;
        within.answers()?;
        Ok(Present { text: within.texts.get(name).cloned(), now: self.clock.now() })
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

impl Within {
    fn answers(&self) -> Result<(), StoreError> {
        if self.is_gone { Err(StoreError::Unavailable("it is gone".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Common for InCommon {
    async fn read(&self, name: &str) -> Result<Present, StoreError> {
        self.present(name)
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&str>,
        next: Option<&str>,
        _: Span,
    ) -> Result<bool, StoreError> {
        self.swapped(name, expected, next)
    }
}

impl std::fmt::Debug for InCommon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InCommon").field("names", &self.names()).finish_non_exhaustive()
    }
}
