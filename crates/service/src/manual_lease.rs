//! Leases a slot for a command that a person runs. A server may use the same store at the same time. The
//! command and the server lease the same slot, so they never work on one pull request at the same time. Their
//! fencing tokens are from one sequence.

use truing_core::id::{SlotKey, SlotVersion, UnixMillis};
use truing_core::port::RecordStore;
use truing_core::slot::{LoopKind, SlotCommand, SlotLimits, SlotRefusal, SlotState};
use truing_core::switch::RepositoryRef;
use truing_loops::slots::{SlotCommandError, apply_slot_command, apply_slot_commands};

use super::lease::{Lease, lease_from_slot};

/// Reasons why a slot cannot be leased.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another process or person holds the lease. The lease ends at this time if its holder does not renew
    /// the lease.
    #[error("another process holds the lease of this slot")]
    Leased(UnixMillis),
    /// Another loop owns the slot and is between two of its steps. The request of this call stays in the slot
    /// until the other loop ends.
    #[error("another loop is working on the job")]
    OwnedByOtherLoop,
    /// The kill switch of the server or of the repository is on.
    #[error("the kill switch is on")]
    KillSwitchOn,
    /// Reading or writing the store failed.
    #[error(transparent)]
    Step(#[from] SlotCommandError),
}

/// Leases the slot for a loop that a person requests. The lease is granted even if nothing changed since the
/// last run. No lease is granted while a kill switch is on for the repository, under its present or any
/// earlier name.
///
/// # Errors
/// [`LeaseError`]. After `LeaseError::Leased`, the slot contains no request of this call. The exception is a
/// new slot that a server leased first.
#[truing_core::boxed_future]
pub async fn lease_slot(
    store: &dyn RecordStore,
    key: &SlotKey,
    loop_kind: LoopKind,
    limits: &SlotLimits,
) -> Result<Lease, LeaseError> {
    let switches = store.kill_switches().await.map_err(SlotCommandError::Store)?;
    if switches.switch_for(&RepositoryRef::from_key(key)).is_some() {
        return Err(LeaseError::KillSwitchOn);
    }
    lease_slot_ignoring_switches(store, key, loop_kind, limits).await
}

/// Leases the slot as [`lease_slot`] does, but ignores the kill switches. The caller may use this lease only
/// to change records.
///
/// # Errors
/// The errors of [`lease_slot`].
#[truing_core::boxed_future]
pub async fn lease_slot_ignoring_switches(
    store: &dyn RecordStore,
    key: &SlotKey,
    loop_kind: LoopKind,
    limits: &SlotLimits,
) -> Result<Lease, LeaseError> {
    let slots = store.load_slots(std::slice::from_ref(key)).await.map_err(SlotCommandError::Store)?;
    if let Some(SlotState::Leased { deadline, .. }) = slots.first().map(|slot| &slot.state) {
        match apply_slot_command(store, key, SlotCommand::ExpireLease, limits).await {
            Ok(_) | Err(SlotCommandError::SlotRefused(SlotRefusal::NotApplicable)) => {}
            Err(SlotCommandError::SlotRefused(_)) => return Err(LeaseError::Leased(*deadline)),
            Err(error @ SlotCommandError::Store(_)) => return Err(error.into()),
        }
    }
    let is_new = slots.first().is_none_or(|slot| slot.version == SlotVersion::default());
    let leased = if is_new {
        // The request is stored first, because a new slot has no version yet. A lease needs the previous
        // version of its slot for fencing.
        apply_slot_command(store, key, SlotCommand::Request(loop_kind), limits).await?;
        apply_slot_command(store, key, SlotCommand::Lease, limits).await
    } else {
        // Both commands are applied in one transaction. Otherwise a server on this store could lease the slot
        // between the two commands.
        apply_slot_commands(store, key, SlotCommand::Request(loop_kind), &[SlotCommand::Lease], limits).await
    };
    let leased = match leased {
        Ok(leased) => leased,
        Err(SlotCommandError::SlotRefused(SlotRefusal::Leased(until))) => {
            return Err(LeaseError::Leased(until));
        }
        Err(SlotCommandError::SlotRefused(SlotRefusal::NotDue)) => {
            apply_slot_command(store, key, SlotCommand::Request(loop_kind), limits).await?;
            return Err(LeaseError::OwnedByOtherLoop);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(lease) = lease_from_slot(leased.slot, limits.max_attempts) else {
        return Err(LeaseError::OwnedByOtherLoop);
    };
    if lease.loop_kind != loop_kind {
        apply_slot_command(store, key, SlotCommand::HandBack(lease.token), limits).await?;
        return Err(LeaseError::OwnedByOtherLoop);
    }
    Ok(lease)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use truing_core::id::FencingToken;
    use truing_core::port::{RunStore as _, SlotDescription, SlotStore as _};
    use truing_core::slot::{Slot, StepOutcome};
    use truing_core::switch::SwitchRequest;
    use truing_loops::machine::SystemClock;
    use truing_store::Store;

    use super::*;

    #[tokio::test]
    async fn a_server_never_sees_what_a_person_asked_for_without_the_lease() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).unwrap();
        let (key, limits) = (SlotKey::new("pr/github/1/1"), SlotLimits::default());
        let slot = async || -> Slot { store.load_slots(std::slice::from_ref(&key)).await.unwrap().remove(0) };

        let first = lease_slot(&store, &key, LoopKind::Review, &limits).await.unwrap();
        let leased = slot().await.version;
        assert!(first.token > FencingToken(0), "a token of nothing fences nothing");
        let busy = lease_slot(&store, &key, LoopKind::Review, &limits).await.unwrap_err();
        assert!(matches!(busy, LeaseError::Leased(_)), "{busy:?}");
        assert_eq!(slot().await.version, leased, "nothing was marked");
        apply_slot_command(&store, &key, SlotCommand::Finish(first.token, StepOutcome::Done), &limits)
            .await
            .unwrap();
        let idle = slot().await.version;
        let second = lease_slot(&store, &key, LoopKind::Review, &limits).await.unwrap();
        assert_eq!(second.token, FencingToken(idle.0), "one commit asks and leases");
    }

    #[tokio::test]
    async fn a_repository_that_is_held_stays_so_when_it_is_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).unwrap();
        let (key, limits) = (SlotKey::new("pr/github/1/1"), SlotLimits::default());
        let called = |name: &str| {
            let url = format!("https://github.com/{name}/pull/1");
            [(key.clone(), SlotDescription { name: format!("{name}#1"), url, head: None })]
        };
        let on = SwitchRequest::TurnOn { reason: None, mode: None };
        store.turn_repository_switch("acme/shop", &on, "ada").await.unwrap();
        // The pull request becomes known after the switch was turned on, and its repository is renamed after
        // that.
        store.store_descriptions(&called("Acme/Shop")).await.unwrap();
        store.store_descriptions(&called("acme/store")).await.unwrap();
        let refused = lease_slot(&store, &key, LoopKind::Review, &limits).await;
        assert!(matches!(refused, Err(LeaseError::KillSwitchOn)), "{refused:?}");
        lease_slot(&store, &SlotKey::new("pr/github/2/1"), LoopKind::Review, &limits).await.unwrap();
        store.turn_repository_switch("acme/shop", &SwitchRequest::TurnOff, "ada").await.unwrap();
        lease_slot(&store, &key, LoopKind::Review, &limits).await.unwrap();
    }
}
