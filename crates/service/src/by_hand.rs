//! A lease for a person who waits for it, on the store that a server may be serving: the same slot, the same token,
//! so that the two never work on one pull request at once.

use truing_core::id::{Key, Millis, Version};
use truing_core::port::RecordStore;
use truing_core::slot::{Command, Limits, Loop, Refused, State};
use truing_core::switch::RepositoryRef;
use truing_loops::slots::{StepError, step, steps};

use super::lease::{Lease, lease_of};

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum NotLeased {
    /// Somebody else has one, until then unless it is renewed.
    #[error("somebody else is at work on it")]
    Busy(Millis),
    /// Another loop is in the middle of something, and this one waits for it.
    #[error("another loop is at work on it")]
    Owned,
    /// The kill switch is on, or that of its repository.
    #[error("the kill switch is on")]
    SwitchedOff,
    /// The store failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Leases the slot for a loop that a person asks for: now, and even if nothing changed; not while a kill switch holds its
/// repository, whatever that is called now.
///
/// # Errors
/// [`NotLeased`]; if it is `Busy`, nothing was marked, unless the slot was new and a server was faster.
#[truing_core::boxed_future]
pub async fn lease(
    store: &dyn RecordStore,
    key: &Key,
    of: Loop,
    limits: &Limits,
) -> Result<Lease, NotLeased> {
    let switches = store.switch().await.map_err(StepError::Store)?;
    if switches.at(&RepositoryRef::of_key(key)).is_some() {
        return Err(NotLeased::SwitchedOff);
    }
    lease_record(store, key, of, limits).await
}

/// The same, whatever the kill switches say: for a change of records alone.
///
/// # Errors
/// As those of [`lease`].
#[truing_core::boxed_future]
pub async fn lease_record(
    store: &dyn RecordStore,
    key: &Key,
    of: Loop,
    limits: &Limits,
) -> Result<Lease, NotLeased> {
    let slots = store.load(std::slice::from_ref(key)).await.map_err(StepError::Store)?;
    if let Some(State::Leased { deadline, .. }) = slots.first().map(|slot| &slot.state) {
        match step(store, key, Command::Expire, limits).await {
            Ok(_) | Err(StepError::Refused(Refused::Nothing)) => {}
            Err(StepError::Refused(_)) => return Err(NotLeased::Busy(*deadline)),
            Err(error @ StepError::Store(_)) => return Err(error.into()),
        }
    }
    let is_new = slots.first().is_none_or(|slot| slot.version == Version::default());
    let leased = if is_new {
        // A lease is fenced by the version before it, and a new slot has none.
        step(store, key, Command::Request(of), limits).await?;
        step(store, key, Command::Lease, limits).await
    } else {
        // In one commit: a server that serves from this store would lease what is only asked for.
        steps(store, key, Command::Request(of), &[Command::Lease], limits).await
    };
    let leased = match leased {
        Ok(leased) => leased,
        Err(StepError::Refused(Refused::Leased(until))) => return Err(NotLeased::Busy(until)),
        Err(StepError::Refused(Refused::NotDue)) => {
            step(store, key, Command::Request(of), limits).await?;
            return Err(NotLeased::Owned);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(lease) = lease_of(leased.slot, limits.attempts) else { return Err(NotLeased::Owned) };
    if lease.of != of {
        step(store, key, Command::HandBack(lease.token), limits).await?;
        return Err(NotLeased::Owned);
    }
    Ok(lease)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use truing_core::id::Token;
    use truing_core::port::{Described, Runs as _, Slots as _};
    use truing_core::slot::{Slot, Then};
    use truing_core::switch::Turn;
    use truing_loops::machine::SystemClock;
    use truing_store::Store;

    use super::*;

    #[tokio::test]
    async fn a_server_never_sees_what_a_person_asked_for_without_the_lease() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).unwrap();
        let (key, limits) = (Key::new("pr/github/1/1"), Limits::default());
        let slot = async || -> Slot { store.load(std::slice::from_ref(&key)).await.unwrap().remove(0) };

        let first = lease(&store, &key, Loop::Review, &limits).await.unwrap();
        let leased = slot().await.version;
        assert!(first.token > Token(0), "a token of nothing fences nothing");
        let busy = lease(&store, &key, Loop::Review, &limits).await.unwrap_err();
        assert!(matches!(busy, NotLeased::Busy(_)), "{busy:?}");
        assert_eq!(slot().await.version, leased, "nothing was marked");
        step(&store, &key, Command::Finish(first.token, Then::Idle), &limits).await.unwrap();
        let idle = slot().await.version;
        let second = lease(&store, &key, Loop::Review, &limits).await.unwrap();
        assert_eq!(second.token, Token(idle.0), "one commit asks and leases");
    }

    #[tokio::test]
    async fn a_repository_that_is_held_stays_so_when_it_is_renamed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).unwrap();
        let (key, limits) = (Key::new("pr/github/1/1"), Limits::default());
        let called = |name: &str| {
            let url = format!("https://github.com/{name}/pull/1");
            [(key.clone(), Described { name: format!("{name}#1"), url, head: None })]
        };
        let on = Turn::On { reason: None, mode: None };
        store.turn_at("acme/shop", &on, "ada").await.unwrap();
        // Heard of after the switch was turned, and renamed then.
        store.describe(&called("Acme/Shop")).await.unwrap();
        store.describe(&called("acme/store")).await.unwrap();
        let refused = lease(&store, &key, Loop::Review, &limits).await;
        assert!(matches!(refused, Err(NotLeased::SwitchedOff)), "{refused:?}");
        lease(&store, &Key::new("pr/github/2/1"), Loop::Review, &limits).await.unwrap();
        store.turn_at("acme/shop", &Turn::Off, "ada").await.unwrap();
        lease(&store, &key, Loop::Review, &limits).await.unwrap();
    }
}
