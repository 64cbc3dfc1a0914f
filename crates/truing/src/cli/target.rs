//! Resolves the slot that the user names by a key, the URL of a pull request, `owner/name#7` or
//! `owner/name/7`. Also finds the acting user.

use std::path::Path;

use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::problem::ValueOrigin;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{OperatorStore as _, RunStore as _, SlotDescription, SlotStore as _, StoreError};
use truing_core::slot::{Slot, SlotCommand, SlotLimits, SlotState};
use truing_core::switch::{KillSwitches, RepositoryRef};
use truing_loops::slots::{SlotCommandError, apply_slot_command, end_orphaned_leases};
use truing_loops::text::format_instant;
use truing_store::{CommandLock, ServeLockError, Store, is_served};

use super::CommandContext;
use super::error::CliError;
use crate::wiring::store::{StoreLocation, open_file};

/// Opens the store, or returns none if the store does not exist. A command that only reads does not create a
/// database. Returns an error if the database file was deleted while a server uses it.
pub(super) async fn open_existing_store(
    config: &Config,
    environment: &Environment,
) -> Result<Option<Store>, CliError> {
    StoreLocation::from_config(config, environment)?.open_existing().await
}

/// Opens the store for a command whose result without a database is empty. If there is no database at the
/// default path, prints a warning and returns none.
///
/// # Errors
/// Returns exit 2 if the user configured the path and there is no database. The path is then wrong or the
/// database was never used, and an empty result would mislead the user. Returns exit 3 if the database cannot
/// be opened.
pub(super) async fn open_records_store(
    config: &Config,
    context: &CommandContext,
) -> Result<Option<Store>, CliError> {
    let place = StoreLocation::from_config(config, &context.environment)?;
    if let Some(store) = place.open_existing().await? {
        return Ok(Some(store));
    }
    let set = config
        .settings()
        .find(|(key, setting)| key == STORE_URL_KEY && setting.origin != ValueOrigin::Default);
    let Some((_, setting)) = set else {
        context.output.warn(format_args!(
            "there is no database at {place}: no command has used this database yet, or the database was \
                deleted"
        ));
        return Ok(None);
    };
    let folder = place.file_path().and_then(Path::parent);
    let is_absent = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let absent = match folder.filter(is_absent) {
        Some(folder) => format!("there is no folder {}", folder.display()),
        None => format!("there is no database at {place}"),
    };
    Err(CliError::usage("no_store", format!("{}: `{STORE_URL_KEY}`: {absent}", setting.origin)).hint(
        "set `store.url` to the database that the server uses; the first `truing serve` creates the \
            database and its folder",
    ))
}

/// Configuration key of the database.
const STORE_URL_KEY: &str = "store.url";

/// Copies the records of this slot's key to a new store for a dry run. The slot is not leased in the new
/// store.
pub(super) async fn dry_run_store(store: &Store, folder: &Path, key: &SlotKey) -> Result<Store, CliError> {
    let file = folder.join("dry-run.db");
    let no_copy = |error: &dyn std::fmt::Display| {
        CliError::failure("store", error.to_string())
            .hint("check that the folder for temporary files has free space")
    };
    let copy = open_file(&file)?;
    store.copy_key_to(&copy, key).await.map_err(|error| no_copy(&error))?;
    match apply_slot_command(&copy, key, SlotCommand::ServerRestarted, &SlotLimits::default()).await {
        Ok(_) | Err(SlotCommandError::SlotRefused(_)) => Ok(copy),
        Err(SlotCommandError::Store(error)) => Err(store_error(error)),
    }
}

/// Returns an error while the global kill switch or the kill switch of this repository is on.
pub(super) async fn check_kill_switches(store: &Store, repository: &RepositoryRef) -> Result<(), CliError> {
    let switches = store.kill_switches().await.map_err(store_error)?;
    let Some(switch) = switches.switch_for(repository) else { return Ok(()) };
    let engaged = switch.engaged;
    let reason = engaged.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let since = format_instant(engaged.since);
    Err(CliError::refusal(
        "killswitch_engaged",
        format!("{switch} is on since {since}, by {}{reason}", engaged.operator),
    )
    .hint(format!("to resume: `truing {}`", switch.off_command())))
}

/// Code of the error for a slot that is not recorded.
const UNKNOWN_SLOT_CODE: &str = "unknown_slot";

/// A slot with the description of its pull request.
pub(super) struct DescribedSlot {
    pub slot: Slot,
    /// Name, URL and head of the pull request, as the forge last reported them.
    pub description: Option<SlotDescription>,
}

impl DescribedSlot {
    /// Returns the repository that the slot belongs to.
    pub(super) fn repository(&self) -> RepositoryRef {
        let name = self.description.as_ref().and_then(|described| described.name.rsplit_once('#'));
        RepositoryRef::from_key(&self.slot.key).with_name(name.map_or("", |(name, _)| name))
    }

    /// Finds the slot by a key, or by the URL or the name of a pull request.
    ///
    /// # Errors
    /// Returns exit 2 if the slot is unknown.
    pub(super) async fn find(store: Option<&Store>, slot_reference: &str) -> Result<Self, CliError> {
        let unknown = || {
            let error = CliError::usage(UNKNOWN_SLOT_CODE, format!("no record of `{slot_reference}`"));
            if is_safe_pull_name(slot_reference) {
                return error.hint(
                    "no event and no run of this pull request is recorded: `truing queue list` shows the \
                        known entries",
                );
            }
            error.hint(
                "specify a pull request by its URL, OWNER/NAME#NUMBER or OWNER/NAME/NUMBER, or by a key of \
                    `truing queue list`",
            )
        };
        let store = store.ok_or_else(unknown)?;
        let key = match store.find_pull_key(slot_reference).await.map_err(store_error)? {
            Some(key) => key,
            None => SlotKey::new(slot_reference),
        };
        let slot = store
            .load_slots(std::slice::from_ref(&key))
            .await
            .map_err(store_error)?
            .pop()
            .ok_or_else(unknown)?;
        let described = store.descriptions(std::slice::from_ref(&key)).await.map_err(store_error)?;
        let described = described.into_iter().flatten().next();
        if slot.version.0 == 0 && described.is_none() {
            return Err(unknown());
        }
        Ok(Self { slot, description: described })
    }

    /// Finds the slot like [`Self::find`], for a command whose user may want a review. If the slot is
    /// unknown, the error also names the command that reviews the pull request.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(super) async fn find_or_suggest_review(
        store: Option<&Store>,
        slot_reference: &str,
    ) -> Result<Self, CliError> {
        let error = match Self::find(store, slot_reference).await {
            Err(error) if error.code == UNKNOWN_SLOT_CODE && is_safe_pull_name(slot_reference) => error,
            found => return found,
        };
        let switches = match store {
            Some(store) => store.kill_switches().await.map_err(store_error)?,
            None => KillSwitches::default(),
        };
        let name = slot_reference.rsplit_once(['#', '/']).map_or("", |(repository, _)| repository);
        let repository = RepositoryRef::from_key(&SlotKey::new(slot_reference)).with_name(name);
        Err(error.hint(if switches.switch_for(&repository).is_some() {
            "the kill switch is on, so nothing is recorded or reviewed: `truing kill status`".to_owned()
        } else {
            format!("`truing review --pr {slot_reference}` reviews it now")
        }))
    }

    /// Returns the name of the pull request, or the slot's key if the name is unknown.
    pub(super) fn name(&self) -> &str {
        self.description.as_ref().map_or(self.slot.key.as_str(), |described| &described.name)
    }
}

/// Returns true if the text has the form of a pull request's name and is safe to paste.
fn is_safe_pull_name(text: &str) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/:#.-_~%".contains(c));
    let ends = text.rsplit(['/', '#']).next().is_some_and(|end| end.parse::<u64>().is_ok());
    // A bare number is not accepted, because it names no repository.
    is_plain && ends && text.contains('/') && !text.starts_with("pr/")
}

/// Acquires the lock that allows a command to lease slots. If no server runs, first ends the leases of exited
/// processes, because these leases would block their slots until they expire.
///
/// # Errors
/// Returns an error if a lock file or the store cannot be used.
pub(super) async fn acquire_command_lock(
    store: &Store,
    limits: &SlotLimits,
) -> Result<Option<CommandLock>, CliError> {
    let to_cli_error = |error: ServeLockError| CliError::failure("lock", error.to_string());
    // A store on a database server has no command lock. In such a store, a lease of an exited process remains
    // until it expires.
    let Some(path) = store.path() else { return Ok(None) };
    if !is_served(path).map_err(to_cli_error)? {
        end_orphaned_leases(store, limits).await.map_err(store_error)?;
    }
    // Acquiring the lock may block while another command reclaims leases, so a blocking thread is used.
    let path = path.to_path_buf();
    let taken = tokio::task::spawn_blocking(move || CommandLock::acquire(&path)).await;
    taken.map_err(|stopped| CliError::failure("lock", stopped.to_string()))?.map(Some).map_err(to_cli_error)
}

/// Returns the acting person for the audit log: the name in `LOGNAME` or `USER`, else the name of the
/// account, else the number of the account.
pub(super) fn actor_name(environment: &Environment) -> String {
    let names = ["LOGNAME", "USER"].into_iter().filter_map(|name| environment.get(name)?.to_str());
    let named = names.map(str::trim).find(|name| !name.is_empty()).map(str::to_owned);
    named.unwrap_or_else(|| {
        let uid = rustix::process::getuid().as_raw();
        let accounts = std::fs::read_to_string(ACCOUNTS_FILE_PATH).unwrap_or_default();
        account_name(&accounts, uid).map_or_else(|| format!("uid {uid}"), str::to_owned)
    })
}

/// Path of the system's list of accounts.
const ACCOUNTS_FILE_PATH: &str = "/etc/passwd";

/// Returns the name of an account. The name is the first field of the line whose third field is the account's
/// number.
fn account_name(accounts: &str, uid: u32) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

/// Returns the error for a store that failed.
pub(super) fn store_error(error: StoreError) -> CliError {
    CliError::failure("store", error.to_string())
}

/// Returns a slot's state, the reason for the state, and the time when the state ends.
pub(super) fn slot_state(slot: &Slot) -> (&'static str, Option<&'static str>, Option<UnixMillis>) {
    match &slot.state {
        SlotState::Idle => ("idle", None, None),
        SlotState::Waiting { due_at: at, reason: why } => ("waiting", Some(why.as_str()), Some(*at)),
        SlotState::Leased { deadline, loop_kind: of, .. } => ("leased", Some(of.as_str()), Some(*deadline)),
        SlotState::Held { reason: why } => ("held", Some(why.as_str()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_names_a_pull_request_is_to_be_reviewed() {
        for text in ["https://github.com/a/b/pull/7", "a/b#7", "a/b/7", "http://127.0.0.1:9922/o/n/pull/7"] {
            assert!(is_safe_pull_name(text), "{text}");
        }
        for text in ["7", "#7", "pr/github/1/7", "a/b", "x", "a b#7", "$(x)/7", "https://github.com/a/b"] {
            assert!(!is_safe_pull_name(text), "{text}");
        }
    }

    #[test]
    fn an_account_is_called_by_its_name() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n# a comment\nada:x:1000:1000::/home/ada:/bin/sh\n";
        assert_eq!((account_name(accounts, 0), account_name(accounts, 1000)), (Some("root"), Some("ada")));
        assert_eq!((account_name(accounts, 7), account_name("", 0)), (None, None));
    }
}
