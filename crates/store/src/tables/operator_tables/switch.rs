//! The row that contains the kill switches.

use std::collections::{BTreeMap, BTreeSet};

use crate::sql::SqlTransaction;
use truing_core::id::{PrId, SlotKey, UnixMillis};
use truing_core::switch::{KillSwitch, KillSwitches, RepositoryRef, RepositorySwitch};

use crate::fault::{StoreFault, from_json, to_json};

/// Reads all switches. A kill switch may be turned on for a name before any repository with that name is
/// known. Each switch therefore also covers the repositories that now have its name.
pub(crate) fn read(connection: &SqlTransaction) -> Result<KillSwitches, StoreFault> {
    let (all, repositories): (String, String) = connection
        .sql("SELECT body, repositories FROM switch")
        .single_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let unreadable = || "the kill switch".to_owned();
    let (all, repositories) = (from_json(&all, unreadable)?, from_json(&repositories, unreadable)?);
    let mut switches = KillSwitches { global_switch: all, repositories };
    for switch in &mut switches.repositories {
        switch.repository.keys.extend(known_key_prefixes(connection, &switch.repository.name)?);
    }
    Ok(switches)
}

/// Finds the repositories with this name, and returns their key prefixes. On each forge, these are the
/// repositories that the sweep has listed, and the repository of the newest description with that name.
pub(super) fn find_repositories_by_name(
    connection: &SqlTransaction,
    name: &str,
) -> Result<RepositoryRef, StoreFault> {
    let named = RepositoryRef::from_name(name);
    let mut keys = known_key_prefixes(connection, &named.name)?;
    let heard = connection.sql(connection.dialect().choose(
        "SELECT key FROM described WHERE name > ?1 AND name < ?2 ORDER BY id",
        "SELECT key FROM described WHERE lower(name) > lower(?1) AND lower(name) < lower(?2) ORDER BY id",
    ));
    let heard = heard.query((format!("{}#", named.name), format!("{}$", named.name)), |row| {
        Ok(SlotKey::new(row.text(0)))
    })?;
    let mut last = BTreeMap::new();
    for key in heard {
        let key = key?;
        if let Some(id) = PrId::from_key(&key) {
            last.insert(id.forge, RepositoryRef::from_key(&key).keys);
        }
    }
    keys.extend(last.into_values().flatten());
    Ok(RepositoryRef { keys, ..named })
}

/// Adds newly seen repositories to the kill switches of their names. A switch then still covers a repository
/// after the repository is renamed.
pub(crate) fn add_repositories_to_switches<'a>(
    connection: &SqlTransaction,
    repositories: impl Iterator<Item = (&'a str, RepositoryRef)>,
) -> Result<(), StoreFault> {
    let before: String =
        connection.sql("SELECT repositories FROM switch").single_row((), |row| row.get(0))?;
    let mut switches: Vec<RepositorySwitch> = from_json(&before, || "the kill switch".to_owned())?;
    if switches.is_empty() {
        return Ok(());
    }
    let mut is_new = false;
    for (name, repository) in repositories {
        let name = name.to_lowercase();
        for switch in switches.iter_mut().filter(|switch| switch.repository.name.to_lowercase() == name) {
            for key in &repository.keys {
                is_new |= switch.repository.keys.insert(key.clone());
            }
        }
    }
    if is_new {
        // If a kill switch was turned since the switches were read, nothing is written. The repository is
        // then added at its next event.
        connection
            .sql("UPDATE switch SET repositories = ?1 WHERE repositories = ?2")
            .execute((to_json(&switches)?, before))?;
    }
    Ok(())
}

/// Returns the key prefixes of the repositories with this name. These are repositories that the sweep has
/// listed, and the repository of the newest description with that name.
fn known_key_prefixes(connection: &SqlTransaction, name: &str) -> Result<BTreeSet<String>, StoreFault> {
    // In SQLite, comparisons of these columns already ignore case, because the tables define it.
    let dialect = connection.dialect();
    let swept = dialect.choose(
        "SELECT forge, id FROM repository WHERE name = ?1",
        "SELECT forge, id FROM repository WHERE lower(name) = lower(?1)",
    );
    let swept = connection.sql(swept);
    let swept = swept.query([name], |row| Ok(RepositoryRef::from_id(row.text(0), row.text(1)).keys))?;
    let mut keys: BTreeSet<String> =
        swept.collect::<Result<Vec<_>, StoreFault>>()?.into_iter().flatten().collect();
    // In ASCII, `$` is the next character after `#`. The range therefore contains every name that begins with
    // the repository's name and `#`.
    let heard = dialect.choose(
        "SELECT key FROM described WHERE name > ?1 AND name < ?2 ORDER BY id DESC LIMIT 1",
        "SELECT key FROM described WHERE lower(name) > lower(?1) AND lower(name) < lower(?2) ORDER BY id \
         DESC LIMIT 1",
    );
    let heard: Option<String> =
        connection.sql(heard).first_row((format!("{name}#"), format!("{name}$")), |row| row.get(0))?;
    keys.extend(heard.into_iter().flat_map(|key| RepositoryRef::from_key(&SlotKey::new(key)).keys));
    Ok(keys)
}

/// Writes the switches. If a switch was turned off, requests a sweep to find the changes of refused webhooks.
pub(super) fn write(
    connection: &SqlTransaction,
    before: &KillSwitches,
    after: &KillSwitches,
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let is_off = |switch: &KillSwitch| switch.engagement().is_none();
    let fewer = after.repositories.len() < before.repositories.len();
    let sweep = (fewer || is_off(&after.global_switch) && !is_off(&before.global_switch)).then_some(now.0);
    connection
        .sql("UPDATE switch SET body = ?1, repositories = ?2, sweep = coalesce(?3, sweep)")
        .execute((to_json(&after.global_switch)?, to_json(&after.repositories)?, sweep))?;
    Ok(())
}

/// Returns the time at which a sweep was requested.
pub(super) fn sweep_request_time(connection: &SqlTransaction) -> Result<Option<UnixMillis>, StoreFault> {
    let wanted: Option<i64> = connection.sql("SELECT sweep FROM switch").single_row((), |row| row.get(0))?;
    Ok(wanted.map(UnixMillis))
}

/// Clears the request for a sweep if it was made at this time or earlier.
pub(super) fn clear_sweep_request(
    connection: &SqlTransaction,
    request_time: UnixMillis,
) -> Result<(), StoreFault> {
    connection.sql("UPDATE switch SET sweep = NULL WHERE sweep <= ?1").execute([request_time.0])?;
    Ok(())
}
