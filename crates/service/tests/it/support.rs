//! Fixtures for the tests of several subjects.

pub(crate) mod change;
pub(crate) mod deliver;
pub(crate) mod folder;
pub(crate) mod home;
pub(crate) mod login;
pub(crate) mod points;
pub(crate) mod ports;
#[path = "../../../store/tests/it/postgres.rs"]
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod reader;
pub(crate) mod site;
#[path = "../../../store/tests/it/valkey.rs"]
pub(crate) mod valkey;
pub(crate) mod watch;

/// Timeout for an event that takes no time unless something hangs. The timeout is long enough for any
/// machine.
pub(crate) const HANGS: std::time::Duration = std::time::Duration::from_secs(300);
