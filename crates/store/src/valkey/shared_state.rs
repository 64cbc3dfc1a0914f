//! Short texts that all processes of a deployment share. Each text expires, and is changed by
//! compare-and-swap.

use std::fmt;

use async_trait::async_trait;
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::{SharedStateStore, StateSnapshot, StoreError};

use super::{SHARED_STATE_KEY_PREFIX, ValkeyServer};

/// Returns the key of a state.
fn state_key(name: &str) -> String {
    format!("{SHARED_STATE_KEY_PREFIX}:{name}")
}

#[async_trait]
impl SharedStateStore for ValkeyServer {
    async fn read(&self, name: &str) -> Result<StateSnapshot, StoreError> {
        let (text, (seconds, micros)): (Option<String>, (i64, i64)) =
            self.query_pipeline(redis::pipe().get(state_key(name)).cmd("TIME")).await?;
        Ok(StateSnapshot {
            text,
            time: UnixMillis(seconds.saturating_mul(1000).saturating_add(micros / 1000)),
        })
    }

    async fn swap(
        &self,
        name: &str,
        expected: Option<&str>,
        new_text: Option<&str>,
        retention: TimeSpan,
    ) -> Result<bool, StoreError> {
        let mut call = self.scripts.swap_shared_text.prepare_invoke();
        call.key(state_key(name))
            .arg(expected.unwrap_or(""))
            .arg(new_text.unwrap_or(""))
            .arg(retention.0.max(1));
        Ok(self.invoke_script::<i64>(&call).await? == 1)
    }
}

impl fmt::Debug for ValkeyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Valkey").field("name", &self.name).finish_non_exhaustive()
    }
}
