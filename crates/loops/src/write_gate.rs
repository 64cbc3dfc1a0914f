//! What converge, sync and the tools for agents ask right before each single write: the kill switches, and whether the
//! lease is still theirs. (A served review has a gate of its own, `truing_service::switch`; a newer run is looked for where
//! an effect is announced.)

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use truing_core::id::{Key, Token};
use truing_core::port::{Gate, RecordStore, StoreError, Withheld};
use truing_core::slot::State;
use truing_core::switch::RepositoryRef;

/// The gate of whoever writes by this store. Nothing is cached; a store that cannot be read closes it.
#[derive(Clone)]
pub struct StoreGate {
    store: Arc<dyn RecordStore>,
    /// The repository that is written to.
    repository: RepositoryRef,
    who: Who,
}

impl fmt::Debug for StoreGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreGate").field("who", &self.who).finish_non_exhaustive()
    }
}

/// Who writes.
#[derive(Clone, Debug)]
enum Who {
    /// A run under this lease: one in flight completes, unless a switch stops runs.
    Run(Key, Token),
    /// Nobody's run: nothing is in flight that could be completed.
    Caller,
}

impl StoreGate {
    /// The gate of a run that holds this lease.
    pub fn of_run(
        store: &Arc<dyn RecordStore>,
        repository: RepositoryRef,
        key: &Key,
        token: Token,
    ) -> Arc<dyn Gate> {
        Arc::new(Self { store: store.clone(), repository, who: Who::Run(key.clone(), token) })
    }

    /// The gate of a caller whose every write begins something.
    pub fn of_caller(store: &Arc<dyn RecordStore>, repository: RepositoryRef) -> Arc<dyn Gate> {
        Arc::new(Self { store: store.clone(), repository, who: Who::Caller })
    }

    async fn open(&self) -> Result<(), Withheld> {
        let switches = self.store.switch().await.map_err(unread)?;
        let (key, token) = match &self.who {
            Who::Caller if switches.at(&self.repository).is_some() => return Err(Withheld::Halted),
            Who::Caller => return Ok(()),
            Who::Run(..) if switches.stop_runs(&self.repository) => return Err(Withheld::Halted),
            Who::Run(key, token) => (key, *token),
        };
        let slots = self.store.load(std::slice::from_ref(key)).await.map_err(unread)?;
        let Some(slot) = slots.first() else { return Err(Withheld::Lost { last: token }) };
        match slot.state {
            State::Leased { token: now, .. } if now == token => Ok(()),
            State::Leased { token: now, .. } => Err(Withheld::Lost { last: now }),
            State::Idle | State::Waiting { .. } | State::Held { .. } => {
                Err(Withheld::Lost { last: Token(slot.version.0) })
            }
        }
    }
}

/// What cannot be asked is not open.
fn unread(error: StoreError) -> Withheld {
    tracing::warn!(%error, "whether a write may be made cannot be read from the store");
    Withheld::Unread
}

#[async_trait]
impl Gate for StoreGate {
    async fn ask(&self) -> Result<(), Withheld> {
        self.open().await
    }
}
