//! Rows of operators: the switch, the audit log, notices. A change of the switch and its line in the audit log
//! are one transaction.

pub(super) mod audit;
pub(super) mod notice;
pub(super) mod switch;

use std::sync::Arc;

use truing_core::id::Millis;
use truing_core::port::{Act, Audited, NewNotice, Notice, Operations, StoreError};
use truing_core::switch::{Switch, Turn};

use super::forget::BATCH;
use crate::store::Store;

impl Operations for Store {
    async fn switch(&self) -> Result<Switch, StoreError> {
        self.read(switch::read).await
    }

    async fn turn(&self, turn: &Turn, by: &str) -> Result<(Switch, Switch), StoreError> {
        let (turn, by, clock) = (turn.clone(), by.to_owned(), Arc::clone(&self.0.clock));
        self.write(move |connection| {
            let (before, now) = (switch::read(connection)?, clock.now());
            let Some(turned) = before.turn(&turn, &by, now) else { return Ok((before.clone(), before)) };
            switch::write(connection, &turned.switch, now)?;
            audit::append(connection, &[turned.act], now)?;
            notice::add(connection, &[turned.notice], now)?;
            Ok((before, turned.switch))
        })
        .await
    }

    async fn sweep_wanted(&self) -> Result<Option<Millis>, StoreError> {
        self.read(switch::sweep_wanted).await
    }

    async fn swept(&self, wanted: Millis) -> Result<(), StoreError> {
        self.write(move |connection| switch::swept(connection, wanted)).await
    }

    async fn audit(&self, acts: &[Act]) -> Result<(), StoreError> {
        let (acts, clock) = (acts.to_vec(), Arc::clone(&self.0.clock));
        self.write(move |connection| audit::append(connection, &acts, clock.now())).await
    }

    async fn notify(&self, notices: &[NewNotice]) -> Result<(), StoreError> {
        let (notices, clock) = (notices.to_vec(), Arc::clone(&self.0.clock));
        self.write(move |connection| notice::add(connection, &notices, clock.now())).await
    }

    async fn untold(&self, limit: usize) -> Result<Vec<Notice>, StoreError> {
        self.read(move |connection| notice::untold(connection, limit)).await
    }

    async fn told(&self, notice: i64) -> Result<(), StoreError> {
        let clock = Arc::clone(&self.0.clock);
        self.write(move |connection| notice::told(connection, notice, clock.now())).await
    }

    async fn forget(&self, before: Millis) -> Result<usize, StoreError> {
        self.write(move |connection| {
            Ok(audit::forget(connection, before, BATCH)? + notice::forget(connection, before, BATCH)?)
        })
        .await
    }
}

impl Store {
    /// The last acts of the audit log, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn audited(&self, limit: usize) -> Result<Vec<Audited>, StoreError> {
        self.read(move |connection| audit::last(connection, limit)).await
    }
}
