//! What is remembered of runs of the converge loop.

use std::future::Future;

use super::StoreError;
use crate::converge::record::Record;
use crate::id::{Key, Millis, Token};

/// Runs that converge.
pub trait Converges: Send + Sync {
    /// The newest run on this, if there was one.
    fn last_converge(&self, key: &Key) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Remembers a run as it is, durably. Refused ([`StoreError::Fenced`]) once one with a greater token has written on the
    /// same key.
    fn keep_converge(
        &self,
        token: Token,
        record: &Record,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The runs that ended, or were last kept, since then, newest first.
    fn converge_records(
        &self,
        since: Millis,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;
}
