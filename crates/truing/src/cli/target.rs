//! Which slot a person means: a key, a pull request's page, `owner/name#7` or `owner/name/7`; and who acts.

use std::path::Path;

use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::problem::ValueOrigin;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{OperatorStore as _, RunStore as _, SlotDescription, SlotStore as _, StoreError};
use truing_core::slot::{Slot, SlotCommand, SlotLimits, SlotState};
use truing_core::switch::RepositoryRef;
use truing_loops::slots::{StepError, end_orphans, step};
use truing_loops::text::instant;
use truing_store::{CommandLock, ServeLockError, Store, is_served};

use super::CommandContext;
use super::error::CliError;
use crate::wiring::store::{StoreLocation, open_file};

/// The store, unless nothing has ever been stored: looking does not make a database. One that was deleted under a server is
/// refused.
pub(super) async fn existing_store(
    config: &Config,
    environment: &Environment,
) -> Result<Option<Store>, CliError> {
    StoreLocation::of(config, environment)?.existing().await
}

/// Says that there is no database, where an answer of nothing is made of that: the name may be wrong.
pub(super) fn tell_absent(
    store: Option<&Store>,
    config: &Config,
    context: &CommandContext,
) -> Result<(), CliError> {
    if store.is_none() {
        let place = StoreLocation::of(config, &context.environment)?;
        context
            .output
            .warn(format!("there is no database at {place}: nothing has run with it yet, or it was deleted"));
    }
    Ok(())
}

/// The same for what is asked of the records alone. Where somebody has named a file in a folder that is not there, the
/// name is wrong, or nothing has run with it: an answer of nothing would look like peace.
pub(super) async fn existing_records(
    config: &Config,
    environment: &Environment,
) -> Result<Option<Store>, CliError> {
    let place = StoreLocation::of(config, environment)?;
    let folder = place.file().and_then(Path::parent);
    let is_absent = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let set =
        config.settings().find(|(key, setting)| key == STORE_URL && setting.origin != ValueOrigin::Default);
    if let (Some(folder), Some((_, setting))) = (folder.filter(is_absent), set) {
        let text = format!("{}: `{STORE_URL}`: there is no folder {}", setting.origin, folder.display());
        return Err(CliError::usage("no_store", text)
            .hint("name the database that the server uses; the first `truing serve` makes its folder"));
    }
    place.existing().await
}

/// The key that names the database.
const STORE_URL: &str = "store.url";

/// A copy of what is recorded of this key, in which nobody is at work on it: for what is only tried.
pub(super) async fn dry_run_store(store: &Store, folder: &Path, key: &SlotKey) -> Result<Store, CliError> {
    let file = folder.join("dry-run.db");
    let no_copy = |error: &dyn std::fmt::Display| {
        CliError::failed("store", error.to_string()).hint("see that the folder for temporary files has room")
    };
    let copy = open_file(&file)?;
    store.copy_key_to(&copy, key).await.map_err(|error| no_copy(&error))?;
    match step(&copy, key, SlotCommand::Restarted, &SlotLimits::default()).await {
        Ok(_) | Err(StepError::Refused(_)) => Ok(copy),
        Err(StepError::Store(error)) => Err(store_error(error)),
    }
}

/// Refuses while the kill switch is on, or that of this repository.
pub(super) async fn switched_on(store: &Store, repository: &RepositoryRef) -> Result<(), CliError> {
    let switches = store.switch().await.map_err(store_error)?;
    let Some(switch) = switches.at(repository) else { return Ok(()) };
    let engaged = switch.engaged;
    let reason = engaged.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let since = instant(engaged.since);
    Err(CliError::refused(
        "killswitch_engaged",
        format!("{switch} is on since {since}, by {}{reason}", engaged.by),
    )
    .hint(format!("to resume: `truing {}`", switch.off())))
}

/// One slot with what people call it.
pub(super) struct DescribedSlot {
    /// The slot.
    pub slot: Slot,
    /// Its name, page and head, as last heard.
    pub described: Option<SlotDescription>,
}

impl DescribedSlot {
    /// The repository that it belongs to.
    pub(super) fn repository(&self) -> RepositoryRef {
        let name = self.described.as_ref().and_then(|described| described.name.rsplit_once('#'));
        RepositoryRef::of_key(&self.slot.key).called(name.map_or("", |(name, _)| name))
    }

    /// Finds what `text` means.
    ///
    /// # Errors
    /// Exit 2 if nothing is known of it.
    pub(super) async fn find(store: Option<&Store>, text: &str) -> Result<Self, CliError> {
        let unknown = || {
            let error = CliError::usage("unknown_slot", format!("nothing is known about `{text}`"));
            if is_name(text) {
                return error
                    .hint("no event told of it and nothing was run on it: `truing queue list` shows what is known")
                    .hint(format!("`truing review --pr {text}` reviews it now"));
            }
            error.hint(
                "name a pull request by its URL, OWNER/NAME#NUMBER or OWNER/NAME/NUMBER, or by a key of `truing queue list`",
            )
        };
        let store = store.ok_or_else(unknown)?;
        let key = match store.key_of(text).await.map_err(store_error)? {
            Some(key) => key,
            None => SlotKey::new(text),
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

/// Is it how people name a pull request, and safe to paste?
fn is_name(text: &str) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/:#.-_~%".contains(c));
    let ends = text.rsplit(['/', '#']).next().is_some_and(|end| end.parse::<u64>().is_ok());
    // A number alone says no repository.
    is_plain && ends && text.contains('/') && !text.starts_with("pr/")
}

/// The right of a command to lease slots. What a process held that has died is free before, at once: no server would end
/// its leases, and nobody waits until they expire.
///
/// # Errors
/// A lock file or the store cannot be used.
pub(super) async fn at_work(store: &Store, limits: &SlotLimits) -> Result<Option<CommandLock>, CliError> {
    let told = |error: ServeLockError| CliError::failed("lock", error.to_string());
    // A store of many processes has no such lock: a lease ends by itself.
    let Some(path) = store.path() else { return Ok(None) };
    if !is_served(path).map_err(told)? {
        end_orphans(store, limits).await.map_err(store_error)?;
    }
    // It may wait for another command of this process that looks for leases of the dead: not on a thread of the runtime.
    let path = path.to_path_buf();
    let taken = tokio::task::spawn_blocking(move || CommandLock::take(&path)).await;
    taken.map_err(|stopped| CliError::failed("lock", stopped.to_string()))?.map(Some).map_err(told)
}

/// The acting person, for the audit log: the user's name as `LOGNAME` or `USER` has it, else as the system's list of
/// accounts does, else the number of the account.
pub(super) fn actor(environment: &Environment) -> String {
    let names = ["LOGNAME", "USER"].into_iter().filter_map(|name| environment.get(name)?.to_str());
    let named = names.map(str::trim).find(|name| !name.is_empty()).map(str::to_owned);
    named.unwrap_or_else(|| {
        let uid = rustix::process::getuid().as_raw();
        let accounts = std::fs::read_to_string(ACCOUNTS).unwrap_or_default();
        account(&accounts, uid).map_or_else(|| format!("uid {uid}"), str::to_owned)
    })
}

/// The system's list of accounts.
const ACCOUNTS: &str = "/etc/passwd";

/// The name of an account: the first field of the line whose third one is its number.
fn account(accounts: &str, uid: u32) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

/// A store that fails.
pub(super) fn store_error(error: StoreError) -> CliError {
    CliError::failed("store", error.to_string())
}

/// The state's word, why, and until when.
pub(super) fn state(slot: &Slot) -> (&'static str, Option<&'static str>, Option<UnixMillis>) {
    match &slot.state {
        SlotState::Idle => ("idle", None, None),
        SlotState::Waiting { at, why } => ("waiting", Some(why.as_str()), Some(*at)),
        SlotState::Leased { deadline, of, .. } => ("leased", Some(of.as_str()), Some(*deadline)),
        SlotState::Held { why } => ("held", Some(why.as_str()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_a_pull_request_is_to_be_reviewed() {
        for text in ["https://github.com/a/b/pull/7", "a/b#7", "a/b/7", "http://127.0.0.1:9922/o/n/pull/7"] {
            assert!(is_name(text), "{text}");
        }
        for text in ["7", "#7", "pr/github/1/7", "a/b", "x", "a b#7", "$(x)/7", "https://github.com/a/b"] {
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn an_account_is_called_by_its_name() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n# a comment\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!((account(accounts, 0), account(accounts, 1000)), (Some("root"), Some("ada")));
        assert_eq!((account(accounts, 7), account("", 0)), (None, None));
    }
}
