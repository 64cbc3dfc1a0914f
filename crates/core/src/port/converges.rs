//! What is remembered of runs of the converge loop.

use std::future::Future;

use super::{Act, StoreError};
use crate::converge::record::Record;
use crate::dismissal::Dismissal;
use crate::id::{Key, Millis, RunId, Token};

/// Runs that converge.
pub trait Converges: Send + Sync {
    /// The newest run on this whose commits are known ([`Record::has_begun`]), if there was one.
    fn last_converge(&self, key: &Key) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// Remembers a run as it is, durably. Refused ([`StoreError::Fenced`]) once one with a greater token has written on the
    /// same key.
    fn keep_converge(
        &self,
        token: Token,
        record: &Record,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// One run, by its id.
    fn converge_run(&self, run: &RunId) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send;

    /// What people have dismissed on this key; also what they have taken back.
    fn dismissals(&self, key: &Key) -> impl Future<Output = Result<Vec<Dismissal>, StoreError>> + Send;

    /// Remembers what somebody said of findings, each on its key, in place of what was said of it before. `act`: for the
    /// audit log, written with it.
    fn dismiss(
        &self,
        said: &[(Key, Dismissal)],
        act: &Act,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The runs that ended, or were last kept, since then, newest first.
    fn converge_records(
        &self,
        since: Millis,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Record>, StoreError>> + Send;
}
