//! Small named states that all processes of a deployment share. Each state is stored as a text. A process
//! replaces a text only if the stored text still equals the text that the process has read. The store does
//! not parse the texts; pure functions compute the new states.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::id::{TimeSpan, UnixMillis};

/// Number of attempts to change one state before [`update_state`] returns an error. Fewer attempts suffice in
/// practice. For example, a state that limits calls to a forge reaches its limit after fewer changes.
const MOST_TRIES: u32 = 200;

/// The text of a shared state, and the time of reading by the store's clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateSnapshot {
    /// Text of the state; `None` if the state does not exist.
    pub text: Option<String>,
    /// Time of reading by the store's clock. All processes use this clock for the state.
    pub time: UnixMillis,
}

/// A store of states that all processes share. The loss of a state is harmless: the processes only have to
/// determine its value again.
#[async_trait]
pub trait SharedStateStore: Debug + Send + Sync {
    /// Returns the text of the state with this name.
    async fn read(&self, name: &str) -> Result<StateSnapshot, StoreError>;

    /// Replaces the state's text if the stored text still equals `expected`. The store may delete the new
    /// text after the time `keep`. Returns false if another process has changed the state.
    async fn swap(
        &self,
        name: &str,
        expected: Option<&str>,
        next: Option<&str>,
        keep: TimeSpan,
    ) -> Result<bool, StoreError>;
}

/// The outcome of a change to a shared state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateUpdate<S, T> {
    /// State after the change.
    pub state: S,
    /// Time of the change by the store's clock.
    pub time: UnixMillis,
    /// Value that `decide` returned.
    pub result: T,
}

/// Changes a state with `decide`. If another process changes the state at the same time, `decide` is called
/// again with the new state. If the stored text cannot be parsed, for example because another version wrote
/// it, the default state is used.
///
/// # Errors
/// [`StoreError`]: the store cannot be read or written, or `MOST_TRIES` attempts failed. Even after an error,
/// the state may have been changed.
pub async fn update_state<S, T>(
    store: &dyn SharedStateStore,
    name: &str,
    keep: TimeSpan,
    decide: impl Fn(&mut S, UnixMillis) -> T,
) -> Result<StateUpdate<S, T>, StoreError>
where
    S: Clone + Default + PartialEq + Serialize + DeserializeOwned,
{
    for _ in 0..MOST_TRIES {
        let StateSnapshot { text, time } = store.read(name).await?;
        let before: S = text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut state = before.clone();
        let result = decide(&mut state, time);
        if state == before {
            return Ok(StateUpdate { state, time, result });
        }
        let next = (state != S::default()).then(|| serde_json::to_string(&state)).transpose();
        let next =
            next.map_err(|error| StoreError::Unavailable(format!("{name} cannot be written: {error}")))?;
        if store.swap(name, text.as_deref(), next.as_deref(), keep).await? {
            return Ok(StateUpdate { state, time, result });
        }
    }
    let message = format!("other processes keep changing {name}: {MOST_TRIES} attempts failed");
    Err(StoreError::Unavailable(message))
}
