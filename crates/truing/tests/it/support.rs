//! What several subjects of the tests share.

pub(crate) mod bomb;
pub(crate) mod cases;
pub(crate) mod change;
pub(crate) mod claude;
pub(crate) mod deliver;
pub(crate) mod folder;
pub(crate) mod home;
pub(crate) mod linter;
pub(crate) mod otlp;
pub(crate) mod package;
pub(crate) mod place;
pub(crate) mod points;
pub(crate) mod ports;
#[path = "../../../store/tests/it/postgres.rs"]
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod quiet;
pub(crate) mod readme;
pub(crate) mod site;
pub(crate) mod steady;
pub(crate) mod terminal;
#[path = "../../../store/tests/it/valkey.rs"]
pub(crate) mod valkey;
pub(crate) mod watch;

/// How long a test waits for what happens at once, unless it hangs: so long that no machine is too slow for it.
pub(crate) const HANGS: std::time::Duration = std::time::Duration::from_secs(300);
