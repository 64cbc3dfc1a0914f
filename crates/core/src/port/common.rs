//! Small states that all processes of a deployment keep in common: each is a text with a name, changed by whoever still knows
//! its present form. The store decides nothing; what a state means, and what becomes of it, is said by pure functions.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::id::{TimeSpan, UnixMillis};

/// A state that others have changed so often in between is given up. One that bounds something, as the forge's limits do, is
/// changed less often than that before it is full.
const MOST_TRIES: u32 = 200;

/// The text of a state, and the store's instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateSnapshot {
    /// The text; none if there is none.
    pub text: Option<String>,
    /// The instant by which all processes reckon in it.
    pub now: UnixMillis,
}

/// States that all processes keep in common. Losing them is no harm but that each of them has to learn again.
#[async_trait]
pub trait SharedStateStore: Debug + Send + Sync {
    /// The state with this name.
    async fn read(&self, name: &str) -> Result<StateSnapshot, StoreError>;

    /// Changes it if it still has the expected text, and keeps it for so long. False: somebody else has changed it.
    async fn swap(
        &self,
        name: &str,
        expected: Option<&str>,
        next: Option<&str>,
        keep: TimeSpan,
    ) -> Result<bool, StoreError>;
}

/// The outcome of a change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateUpdate<S, T> {
    /// The state after it.
    pub state: S,
    /// The instant at which it was made.
    pub now: UnixMillis,
    /// The answer of who decided.
    pub came: T,
}

/// Changes a state as `decide` says, which is asked again where somebody else was faster. What cannot be read, as another
/// version has written it, counts as none.
///
/// # Errors
/// [`StoreError`]: nobody can tell what others have kept. It may have been changed.
pub async fn change<S, T>(
    common: &dyn SharedStateStore,
    name: &str,
    keep: TimeSpan,
    decide: impl Fn(&mut S, UnixMillis) -> T,
) -> Result<StateUpdate<S, T>, StoreError>
where
    S: Clone + Default + PartialEq + Serialize + DeserializeOwned,
{
    for _ in 0..MOST_TRIES {
        let StateSnapshot { text, now } = common.read(name).await?;
        let before: S = text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let mut state = before.clone();
        let came = decide(&mut state, now);
        if state == before {
            return Ok(StateUpdate { state, now, came });
        }
        let next = (state != S::default()).then(|| serde_json::to_string(&state)).transpose();
        let next =
            next.map_err(|error| StoreError::Unavailable(format!("{name} cannot be written: {error}")))?;
        if common.swap(name, text.as_deref(), next.as_deref(), keep).await? {
            return Ok(StateUpdate { state, now, came });
        }
    }
    let message = format!("{name} is changed by others again and again: {MOST_TRIES} tries had no effect");
    Err(StoreError::Unavailable(message))
}
