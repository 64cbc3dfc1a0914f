//! The tables of the store, with one file for each subject. Their statements work on every engine. Each port
//! is implemented in the file of the table that it uses.

mod dismissals;
mod effects;
mod finding_statistics;
mod forget;
mod history;
mod insight;
mod ledger;
mod marks;
mod operator_tables;
mod report;
mod runs;
mod slots;
mod watchlist;

pub use self::effects::PostedFinding;
pub use self::finding_statistics::FindingCount;
pub use self::forget::RunDeletionCursor;
pub use self::history::RunEntry;
pub use self::insight::StoreStatistics;
pub use self::ledger::KeySpend;
pub(crate) use self::operator_tables::switch::read as kill_switch;
pub use self::report::RunEndCount;
pub(crate) use self::slots::{last_counter_value, read_slot_page, write_versioned_slots};
