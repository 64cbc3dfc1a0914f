//! Which slot a person means: a key, a pull request's page, or `owner/name#7`.

use std::path::Path;

use jiff::Timestamp;
use truing_core::id::{Key, Millis};
use truing_core::port::{Described, Operations as _, Records as _, Slots as _, StoreError};
use truing_core::slot::{Command, Limits, Slot, State};
use truing_store::Sqlite;

use super::error::CliError;
use crate::config::Config;
use crate::environment::Environment;
use crate::slots::{StepError, step};
use crate::wiring;

/// The store, unless nothing has ever been stored: looking does not make a database.
pub(super) fn existing_store(config: &Config) -> Result<Option<Sqlite>, CliError> {
    let path: &Path = config.store.database()?;
    if path.exists() { wiring::open_store(path).map(Some) } else { Ok(None) }
}

/// A copy of the records, in which nobody is at work on this key: for what is only tried.
pub(super) async fn rehearsal(store: &Sqlite, folder: &Path, key: &Key) -> Result<Sqlite, CliError> {
    let file = folder.join("rehearsal.db");
    store.backup(&file).await.map_err(|error| {
        CliError::failed("store", error.to_string()).hint("see that the folder for temporary files has room")
    })?;
    let copy = wiring::open_store(&file)?;
    match step(&copy, key, Command::Restarted, &Limits::default()).await {
        Ok(_) | Err(StepError::Refused(_)) => Ok(copy),
        Err(StepError::Store(error)) => Err(store_error(error)),
    }
}

/// Refuses while the kill switch is on.
pub(super) async fn switched_on(store: &Sqlite) -> Result<(), CliError> {
    let switch = store.switch().await.map_err(store_error)?;
    let Some(engaged) = switch.engaged() else { return Ok(()) };
    let reason = engaged.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let since = instant(engaged.since);
    Err(CliError::refused(
        "killswitch_engaged",
        format!("the kill switch is on since {since}, by {}{reason}", engaged.by),
    )
    .hint("when it may go on: `truing kill off`"))
}

/// One slot with what people call it.
pub(super) struct Target {
    /// The slot.
    pub slot: Slot,
    /// Its name, page and head, as last heard.
    pub described: Option<Described>,
}

impl Target {
    /// Finds what `text` means.
    ///
    /// # Errors
    /// Exit 2 if nothing is known of it.
    pub(super) async fn find(store: Option<&Sqlite>, text: &str) -> Result<Self, CliError> {
        let unknown = || {
            CliError::usage("unknown_slot", format!("nothing is known about `{text}`")).hint(
                "`truing slots list` shows what is; give a key, a pull request's URL or owner/name#number",
            )
        };
        let store = store.ok_or_else(unknown)?;
        let key = match store.key_of(text).await.map_err(store_error)? {
            Some(key) => key,
            None => Key::new(text),
        };
        let slot =
            store.load(std::slice::from_ref(&key)).await.map_err(store_error)?.pop().ok_or_else(unknown)?;
        let described = store.described(std::slice::from_ref(&key)).await.map_err(store_error)?;
        let described = described.into_iter().flatten().next();
        if slot.version.0 == 0 && described.is_none() {
            return Err(unknown());
        }
        Ok(Self { slot, described })
    }

    /// What people call it; the key if it has no name.
    pub(super) fn name(&self) -> &str {
        self.described.as_ref().map_or(self.slot.key.as_str(), |described| &described.name)
    }
}

/// Who is acting, for the audit log: the user's name as the operating system's `LOGNAME` or `USER` has it, else the
/// number of the account.
pub(super) fn actor(environment: &Environment) -> String {
    let names = ["LOGNAME", "USER"].into_iter().filter_map(|name| environment.get(name)?.to_str());
    let named = names.map(str::trim).find(|name| !name.is_empty()).map(str::to_owned);
    named.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// A store that fails.
pub(super) fn store_error(error: StoreError) -> CliError {
    CliError::failed("store", error.to_string())
}

/// An instant as RFC 3339 in UTC, to the second.
pub(super) fn instant(at: Millis) -> String {
    let seconds = at.0.div_euclid(1000);
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// The state's word, why, and until when.
pub(super) fn state(slot: &Slot) -> (&'static str, Option<&'static str>, Option<Millis>) {
    match &slot.state {
        State::Idle => ("idle", None, None),
        State::Waiting { at, why } => ("waiting", Some(why.as_str()), Some(*at)),
        State::Leased { deadline, of, .. } => ("leased", Some(of.as_str()), Some(*deadline)),
        State::Held { why } => ("held", Some(why.as_str()), None),
    }
}
