//! Transfers a store: copies all data from one store to another, and compares the two stores. Source and
//! target may use different engines.
//!
//! A table is copied by a list of its columns (`transfer/table_list.rs`), because all engines have the same
//! tables. The rows of a table are copied in the order of their keys, page by page. The progress is recorded
//! in a row of the target (`transfer/progress.rs`). While this row exists, the target cannot be opened for
//! normal use. At the end, both stores are read completely and compared. The row is deleted only if both
//! stores are equal.

mod compare;
mod copy;
mod endpoints;
mod fault;
mod page;
mod progress;
mod row;
mod single_key;
mod slots;
mod table_comparison;
mod table_list;

pub use self::copy::CopiedPage;
pub use self::fault::TransferError;
pub use self::row::NulPolicy;
pub use self::table_comparison::TableComparison;

use truing_core::id::SlotKey;

use crate::store::{Store, box_future};

impl Store {
    /// Copies the whole store to `to`, which was opened by [`Store::open_for_transfer`] or
    /// [`Store::connect_for_transfer`]. The target must be new, or contain an unfinished or finished copy of
    /// this store. An unfinished copy is continued. If the copy is finished, nothing is copied. During the
    /// copy, no process may serve either store or lease slots in it. For SQLite files, locks enforce this.
    /// The source is not changed, with one exception: a kill switch that was turned directly in Valkey is
    /// recorded. The callback runs after each page. Returns the final comparison of each table, without any
    /// difference.
    ///
    /// # Errors
    /// [`TransferError`]. After an error, a partly filled target cannot be opened for normal use. A repeated
    /// call continues the copy.
    pub async fn copy_to(
        &self,
        to: &Self,
        nul_policy: NulPolicy,
        on_page: impl FnMut(CopiedPage) + Send,
    ) -> Result<Vec<TableComparison>, TransferError> {
        box_future(|| copy::copy_all(self, to, nul_policy, on_page)).await
    }

    /// Copies the data of one key, for a dry run, to an SQLite file that contains no data of that key. Other
    /// processes may use both stores during the copy.
    ///
    /// # Errors
    /// [`TransferError`] if this store cannot be read, or the file cannot be written.
    #[truing_core::boxed_future]
    pub async fn copy_key_to(&self, to: &Self, key: &SlotKey) -> Result<(), TransferError> {
        box_future(|| single_key::copy_key(self, to, key)).await
    }

    /// Compares two stores table by table. Rows are compared in the order of their keys, and slots in the
    /// order of their names. The counters, and the copies of the kill switch in Valkey, are not compared. No
    /// process may write to either store during the comparison.
    ///
    /// # Errors
    /// [`TransferError`] if one of the stores cannot be read. A difference is no error.
    #[truing_core::boxed_future]
    pub async fn compare(&self, other: &Self) -> Result<Vec<TableComparison>, TransferError> {
        box_future(|| copy::check_schema(self)).await?;
        box_future(|| copy::check_schema(other)).await?;
        box_future(|| compare::compare_all(self, other)).await
    }
}
