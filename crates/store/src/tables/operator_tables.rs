//! The tables for operators: the kill switches, the audit log and the notices. A change of a switch and its
//! entry in the audit log are one transaction.

pub(super) mod audit;
pub(super) mod notice;
pub(crate) mod switch;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{AuditEntry, NewNotice, OperatorAction, OperatorStore, PendingNotice, StoreError};
use truing_core::switch::{KillSwitch, KillSwitches, SwitchChange, SwitchRequest};

use super::forget::DELETE_BATCH_SIZE;
use crate::fault::StoreFault;
use crate::sql::SqlTransaction;
use crate::store::{Store, box_future};
use crate::valkey::ValkeyServer;

#[async_trait]
impl OperatorStore for Store {
    async fn kill_switches(&self) -> Result<KillSwitches, StoreError> {
        let Some(valkey) = self.valkey_server() else { return self.read(switch::read).await };
        // The records are read after the keys in Valkey, so the records are at least as recent. If a command
        // turns the switch between the two reads, the old value in Valkey therefore does not undo the
        // command's change.
        let mirror = box_future(|| valkey.switch_keys()).await?;
        let kept = self.read(switch::read).await?;
        let is_on = kept.global_switch.engagement().is_some();
        match mirror.manual_state() {
            // A person may turn the switch directly in Valkey. Such a change takes effect immediately, and is
            // recorded like any other change.
            Some(by_hand) if by_hand != is_on => {
                let reason = Some("set manually in Valkey".to_owned());
                let turn = if by_hand {
                    SwitchRequest::TurnOn { reason, mode: None }
                } else {
                    SwitchRequest::TurnOff
                };
                // The switch in the records is changed only if it still has the state that was read. If a
                // command changes the switch after that read, its change is therefore not undone.
                let (_, after) =
                    self.turn_global_switch(&turn, MANUAL_CHANGE_ACTOR, Some(kept.global_switch)).await?;
                box_future(|| valkey.set_switch_if_unchanged(&mirror, after.engagement().is_some())).await?;
                return Ok(KillSwitches { global_switch: after, ..kept });
            }
            Some(_) | None => {}
        }
        if !mirror.both_equal(is_on) {
            box_future(|| valkey.set_switch_if_unchanged(&mirror, is_on)).await?;
        }
        Ok(kept)
    }

    async fn turn_switch(
        &self,
        request: &SwitchRequest,
        operator: &str,
    ) -> Result<(KillSwitch, KillSwitch), StoreError> {
        if self.valkey_server().is_some()
            && let Err(error) = self.kill_switches().await
        {
            // If a person has turned the switch in Valkey, the person's change is recorded before the change
            // of this command. Otherwise another process could record the person's change later, and undo the
            // change of this command. This command also takes effect if the switch cannot be read.
            tracing::warn!(%error, "unknown whether the kill switch was set manually");
        }
        let turned = self.turn_global_switch(request, operator, None).await?;
        if let Some(valkey) = self.valkey_server() {
            box_future(|| valkey.set_switch(turned.1.engagement().is_some())).await?;
        }
        Ok(turned)
    }

    async fn sweep_request_time(&self) -> Result<Option<UnixMillis>, StoreError> {
        self.read(switch::sweep_request_time).await
    }

    async fn clear_sweep_request(&self, requested_at: UnixMillis) -> Result<(), StoreError> {
        self.write(move |connection| switch::clear_sweep_request(connection, requested_at)).await
    }

    async fn append_audit_log(&self, actions: &[OperatorAction]) -> Result<(), StoreError> {
        let (actions, clock) = (actions.to_vec(), Arc::clone(&self.0.clock));
        self.write(move |connection| audit::append(connection, &actions, clock.now())).await
    }

    async fn queue_notices(&self, notices: &[NewNotice]) -> Result<(), StoreError> {
        let (notices, clock) = (notices.to_vec(), Arc::clone(&self.0.clock));
        self.write(move |connection| notice::add(connection, &notices, clock.now())).await
    }

    async fn pending_notices(&self, limit: usize) -> Result<Vec<PendingNotice>, StoreError> {
        let Some(valkey) = self.valkey_server() else {
            return self.read(move |connection| notice::pending_notices(connection, limit)).await;
        };
        let candidates =
            self.read(|connection| notice::unsent_notices(connection, MAX_NOTICE_CANDIDATES)).await?;
        let mut tellable = box_future(|| self.sendable_notices(valkey, candidates)).await?;
        tellable.truncate(limit);
        Ok(tellable)
    }

    async fn finish_notice(&self, notice: i64) -> Result<(), StoreError> {
        let clock = Arc::clone(&self.0.clock);
        self.write(move |connection| notice::finish_notice(connection, notice, clock.now())).await
    }

    async fn delete_old_entries(&self, before: UnixMillis) -> Result<usize, StoreError> {
        self.write(move |connection| {
            Ok(audit::delete_old_entries(connection, before, DELETE_BATCH_SIZE)?
                + notice::delete_old_notices(connection, before, DELETE_BATCH_SIZE)?)
        })
        .await
    }
}

/// Writes the changed kill switches, an entry in the audit log, and a notice.
fn store_switches(
    connection: &SqlTransaction,
    before: &KillSwitches,
    switch_change: SwitchChange<KillSwitches>,
    now: UnixMillis,
) -> Result<KillSwitches, StoreFault> {
    switch::write(connection, before, &switch_change.switch, now)?;
    audit::append(connection, &[switch_change.action], now)?;
    notice::add(connection, &[switch_change.notice], now)?;
    Ok(switch_change.switch)
}

/// The actor in the audit log for a kill switch that was turned directly in Valkey.
const MANUAL_CHANGE_ACTOR: &str = "bot:killswitch:enabled";

/// Maximum number of unsent notices that are examined to find the sendable ones.
const MAX_NOTICE_CANDIDATES: usize = 1_024;

impl Store {
    /// Turns the global kill switch in the records. If `expected` is given, turns the switch only if its
    /// state in the records equals `expected`.
    async fn turn_global_switch(
        &self,
        request: &SwitchRequest,
        operator: &str,
        expected: Option<KillSwitch>,
    ) -> Result<(KillSwitch, KillSwitch), StoreError> {
        let (request, operator, clock) = (request.clone(), operator.to_owned(), Arc::clone(&self.0.clock));
        self.write(move |connection| {
            let (before, now) = (switch::read(connection)?, clock.now());
            if expected.as_ref().is_some_and(|expected| *expected != before.global_switch) {
                return Ok((before.global_switch.clone(), before.global_switch));
            }
            let Some(turned) = before.global_switch.apply_request(&request, &operator, now) else {
                return Ok((before.global_switch.clone(), before.global_switch));
            };
            let (after, switch_before) = (
                KillSwitches { global_switch: turned.switch.clone(), ..before.clone() },
                before.global_switch.clone(),
            );
            let turned = SwitchChange { switch: after, action: turned.action, notice: turned.notice };
            store_switches(connection, &before, turned, now).map(|after| (switch_before, after.global_switch))
        })
        .await
    }

    /// Turns the switch of the repository with this name, as [`OperatorStore::turn_switch`] turns the global
    /// switch. Returns the state of all switches before and after the change.
    ///
    /// # Errors
    /// [`StoreError`] if the switch cannot be written.
    #[truing_core::boxed_future]
    pub async fn turn_repository_switch(
        &self,
        name: &str,
        request: &SwitchRequest,
        operator: &str,
    ) -> Result<(KillSwitches, KillSwitches), StoreError> {
        let (name, request, operator, clock) =
            (name.to_owned(), request.clone(), operator.to_owned(), Arc::clone(&self.0.clock));
        self.write(move |connection| {
            let (before, now) = (switch::read(connection)?, clock.now());
            let repository = switch::find_repositories_by_name(connection, &name)?;
            match before.apply_repository_request(&repository, &request, &operator, now) {
                Some(turned) => {
                    let after = store_switches(connection, &before, turned, now)?;
                    Ok((before, after))
                }
                None => Ok((before.clone(), before)),
            }
        })
        .await
    }

    /// Returns the notices that may be sent now. A notice about a parked slot may be sent only after the slot
    /// is parked.
    async fn sendable_notices(
        &self,
        valkey: &ValkeyServer,
        candidates: Vec<(PendingNotice, Option<SlotKey>)>,
    ) -> Result<Vec<PendingNotice>, StoreError> {
        let parked: BTreeSet<SlotKey> =
            box_future(|| valkey.keys_in_state("held/parked")).await?.into_iter().collect();
        let may =
            |(_, key): &(PendingNotice, Option<SlotKey>)| key.as_ref().is_none_or(|key| parked.contains(key));
        Ok(candidates.into_iter().filter(may).map(|(notice, _)| notice).collect())
    }

    /// Returns the last entries of the audit log, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn audit_entries(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.read(move |connection| audit::last_entries(connection, limit)).await
    }
}
