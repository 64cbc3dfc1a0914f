//! Small states that all processes keep in common: texts that are swapped, and end by themselves.

use std::fmt;

use truing_core::id::{Millis, Span};
use truing_core::port::{Common, Kept, Present};

use super::Valkey;

impl Valkey {
    /// The key of a state.
    fn state(&self, name: &str) -> String {
        format!("{}:{name}", self.names.common)
    }
}

impl Common for Valkey {
    fn read<'a>(&'a self, name: &'a str) -> Kept<'a, Present> {
        Box::pin(async move {
            let mut connection = self.primary().await?;
            let (text, (seconds, micros)): (Option<String>, (i64, i64)) = redis::pipe()
                .get(self.state(name))
                .cmd("TIME")
                .query_async(&mut connection)
                .await
                .map_err(|error| self.told(&error))?;
            Ok(Present { text, now: Millis(seconds.saturating_mul(1000).saturating_add(micros / 1000)) })
        })
    }

    fn swap<'a>(
        &'a self,
        name: &'a str,
        expected: Option<&'a str>,
        next: Option<&'a str>,
        keep: Span,
    ) -> Kept<'a, bool> {
        Box::pin(async move {
            let mut connection = self.primary().await?;
            let mut call = self.scripts.common.prepare_invoke();
            call.key(self.state(name)).arg(expected.unwrap_or("")).arg(next.unwrap_or("")).arg(keep.0.max(1));
            let swapped: i64 = call.invoke_async(&mut connection).await.map_err(|error| self.told(&error))?;
            Ok(swapped == 1)
        })
    }
}

impl fmt::Debug for Valkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Valkey").field("name", &self.name).finish_non_exhaustive()
    }
}
