//! The row of the kill switch.

use crate::sql::Connection;
use truing_core::id::Millis;
use truing_core::switch::Switch;

use crate::fault::{Fault, from_json, to_json};

/// The switch.
pub(crate) fn read(connection: &Connection) -> Result<Switch, Fault> {
    let body: String = connection.sql("SELECT body FROM switch").only((), |row| row.get(0))?;
    from_json(&body, || "the kill switch cannot be read".to_owned())
}

/// Sets the switch. At off a sweep is wanted: meanwhile webhooks were refused.
pub(super) fn write(connection: &Connection, switch: &Switch, now: Millis) -> Result<(), Fault> {
    let sweep = match switch {
        Switch::Off => Some(now.0),
        Switch::On(_) => None,
    };
    connection
        .sql("UPDATE switch SET body = ?1, sweep = coalesce(?2, sweep)")
        .execute((to_json(switch)?, sweep))?;
    Ok(())
}

/// Since when a sweep is wanted.
pub(super) fn sweep_wanted(connection: &Connection) -> Result<Option<Millis>, Fault> {
    let wanted: Option<i64> = connection.sql("SELECT sweep FROM switch").only((), |row| row.get(0))?;
    Ok(wanted.map(Millis))
}

/// The sweep that was wanted since then is done.
pub(super) fn swept(connection: &Connection, wanted: Millis) -> Result<(), Fault> {
    connection.sql("UPDATE switch SET sweep = NULL WHERE sweep <= ?1").execute([wanted.0])?;
    Ok(())
}
