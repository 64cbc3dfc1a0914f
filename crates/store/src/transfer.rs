//! Transfers a store: copies all data of one store to another store, between any engines, and compares two
//! stores.
//!
//! Both engines have the same tables, so a list of columns is enough to copy a table (`transfer/list.rs`).
//! Its rows are copied in the order of the key, a page at a time. A row in the target records the progress
//! (`transfer/progress.rs`). While this row exists, the target is not opened for normal use. At the end, both
//! stores are read completely and compared. Only then is the row deleted.

mod compare;
mod compared;
mod copy;
mod endpoints;
mod fault;
mod list;
mod page;
mod progress;
mod row;
mod single_key;
mod slots;

pub use self::compared::TableComparison;
pub use self::copy::CopiedPage;
pub use self::fault::TransferError;
pub use self::row::NulPolicy;

use truing_core::id::SlotKey;

use crate::store::{Store, box_future};

impl Store {
    /// Copies everything to `to`, which was opened by [`Store::open_for_transfer`] or
    /// [`Store::connect_for_transfer`]. The target must be new, or contain a part of this store. In the
    /// second case, the copy continues after that part. If the target already contains the whole store,
    /// nothing is copied. During the copy, no process may serve either store or lease its slots; locks
    /// enforce this for files. This store does not change, except that a kill switch that was set by hand at
    /// Valkey is recorded. The callback runs after each page. Returns the final comparison of each table,
    /// which has no differences.
    ///
    /// # Errors
    /// [`TransferError`]. After an error, a target that was already changed is not opened for normal use. The
    /// same call then continues the copy.
    pub async fn copy_to(
        &self,
        to: &Self,
        zeros: NulPolicy,
        on_page: impl FnMut(CopiedPage) + Send,
    ) -> Result<Vec<TableComparison>, TransferError> {
        box_future(|| copy::copy_all(self, to, zeros, on_page)).await
    }

    /// Copies the data of one key to a file that has no data of that key, for a dry run. Other processes may
    /// use both stores during the copy.
    ///
    /// # Errors
    /// [`TransferError`] if this store cannot be read, or the file cannot be written.
    #[truing_core::boxed_future]
    pub async fn copy_key_to(&self, to: &Self, key: &SlotKey) -> Result<(), TransferError> {
        box_future(|| single_key::copy_key(self, to, key)).await
    }

    /// Compares two stores table by table. Rows are compared in the order of their keys, and slots in the
    /// order of their names. The counters and the copies of the kill switch in Valkey are not compared. No
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
