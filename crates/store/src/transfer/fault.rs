//! Errors of a transfer or a comparison. Each message names the next step.

use truing_core::port::StoreError;

use super::table_comparison::TableComparison;

/// Reason why a store was not copied or not compared.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Source and target are the same store.
    #[error("{0} cannot be copied to itself; specify another store after --to")]
    SameStore(String),
    /// The target is not new, and is not a copy of this source.
    #[error(
        "{target} is not new: it holds {existing_rows}. Nothing was changed; specify an empty store after \
            --to"
    )]
    NotNew {
        /// Name of the target.
        target: String,
        /// The data that the target holds.
        existing_rows: String,
    },
    /// The target contains an unfinished copy of another store.
    #[error(
        "{target} contains a partial copy of {found_source}, not of {source_name}. Nothing was changed; \
        specify {found_source} after --from, or an empty store after --to"
    )]
    OtherSource {
        /// Name of the target.
        target: String,
        /// The source in this call.
        source_name: String,
        /// The store from which the target was partly filled.
        found_source: String,
    },
    /// The slots of the partly filled target are on another Valkey server.
    #[error("the copy in {target} was begun with its slots in {found_slots}; specify that server after --to")]
    OtherSlotServer {
        /// Name of the target.
        target: String,
        /// The server that keeps the slots.
        found_slots: String,
    },
    /// The copy was begun by a version of Truing that has other tables.
    #[error(
        "the copy in {target} was begun by another version of truing, which copied table {part}; continue \
            with that version, or empty the target and start over"
    )]
    OtherVersion {
        /// Name of the target.
        target: String,
        /// The table that was copied.
        part: String,
    },
    /// The source is itself an unfinished copy.
    #[error(
        "{source_name} holds only an unfinished copy of {original_source}; first run `truing store \
            migrate` from {original_source} again"
    )]
    UnfinishedSource {
        /// Name of the source.
        source_name: String,
        /// The store that was being copied to the source.
        original_source: String,
    },
    /// Another process serves or copies one of the stores.
    #[error(
        "another process serves or copies {store}{process}; wait until that process is done, or stop \
        that process"
    )]
    StoreBusy {
        /// Name of the store.
        store: String,
        /// Description of that process.
        process: String,
    },
    /// A command is leasing slots of the source.
    #[error(
        "a command is running on {source_name}; wait until that command is done, then run this command \
        again"
    )]
    CommandRunning {
        /// Name of the source.
        source_name: String,
    },
    /// A lock of a file cannot be taken.
    #[error(transparent)]
    Lock(#[from] crate::lock::ServeLockError),
    /// The tables or columns of a store differ from those of this version.
    #[error(
        "the tables of {store} do not match this version of truing (column {column}); use the version that \
            created the tables"
    )]
    SchemaMismatch {
        /// Name of the store.
        store: String,
        /// The first column that is unknown to this version or missing in the store.
        column: String,
    },
    /// The target cannot store a value of the source.
    #[error(
        "{store}, table {table}: column {column} {reason} in the row where {row}; {advice}, and run this \
            command again"
    )]
    UnfitValue {
        /// Name of the source.
        store: String,
        /// Name of the table.
        table: &'static str,
        /// Name of the column.
        column: &'static str,
        /// The problem with the value.
        reason: &'static str,
        /// The row, as a condition of SQL.
        row: String,
        /// The next step for the operator.
        advice: &'static str,
    },
    /// A slot cannot be read.
    #[error(
        "{store}: cannot copy slot {key}: {reason}; delete the slot with `truing queue drop {key}`, \
            and run this command again"
    )]
    UnreadableSlot {
        /// Name of the source.
        store: String,
        /// Key of the slot.
        key: String,
        /// The problem with the slot.
        reason: String,
    },
    /// The target refuses a row.
    #[error(
        "{target} rejects the row of table {table} where {row}: {error}. Correct the row in the source, \
            and run this command again"
    )]
    RowRefused {
        /// Name of the target.
        target: String,
        /// Name of the table.
        table: &'static str,
        /// The row, as a condition of SQL.
        row: String,
        /// The error of the target.
        error: StoreError,
    },
    /// Another process has completed the copy or emptied the target during this copy.
    #[error(
        "another process has finished the copy or emptied {target} meanwhile; compare the stores with \
            `truing store check`"
    )]
    ChangedByOtherProcess {
        /// Name of the target.
        target: String,
    },
    /// The copy differs from the source.
    #[error("table {} of {target} differs from that of {source_name}: {difference}. One of the stores was \
        changed; empty the target and start over", difference.table)]
    Difference {
        /// Name of the source.
        source_name: String,
        /// Name of the target.
        target: String,
        /// The first table that differs.
        difference: Box<TableComparison>,
    },
}
