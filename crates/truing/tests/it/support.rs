//! Helpers that several test modules share.

pub(crate) mod bomb;
#[path = "../../../guard/tests/it/cases.rs"]
pub(crate) mod cases;
pub(crate) mod claude;
pub(crate) mod home;
pub(crate) mod linter;
pub(crate) mod operator;
pub(crate) mod otlp;
pub(crate) mod package;
pub(crate) mod place;
#[path = "../../../store/tests/it/postgres.rs"]
pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod quiet;
pub(crate) mod readme;
pub(crate) mod steady;
pub(crate) mod terminal;
#[path = "../../../service/tests/it/support/reader.rs"]
pub(crate) mod threaded;
#[path = "../../../service/tests/it/support/watch.rs"]
pub(crate) mod watch;
pub(crate) mod workflow;
pub(crate) mod workspace;

/// Maximum wait for an event that should happen immediately. It is long enough for a slow machine.
pub(crate) const HANGS: std::time::Duration = std::time::Duration::from_secs(300);
