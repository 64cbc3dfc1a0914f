//! Small states that all processes keep in common: texts that are swapped, and end by themselves.

use std::fmt;

use truing_core::id::{Millis, Span};
use truing_core::port::{Common, Kept, Present};

use super::{COMMON, Valkey};

/// The key of a state.
fn state(name: &str) -> String {
    format!("{COMMON}:{name}")
}

impl Common for Valkey {
    fn read<'a>(&'a self, name: &'a str) -> Kept<'a, Present> {
        Box::pin(async move {
            let (text, (seconds, micros)): (Option<String>, (i64, i64)) =
                self.ask_all(redis::pipe().get(state(name)).cmd("TIME")).await?;
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
            let mut call = self.scripts.common.prepare_invoke();
            call.key(state(name)).arg(expected.unwrap_or("")).arg(next.unwrap_or("")).arg(keep.0.max(1));
            Ok(self.call::<i64>(&call).await? == 1)
        })
    }
}

impl fmt::Debug for Valkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Valkey").field("name", &self.name).finish_non_exhaustive()
    }
}
