//! Copies all data of one store to another, page by page. A page and the progress are written in one
//! transaction. A repeated copy therefore continues after the last written page. Slots in Valkey are written
//! before the progress. If the copy is interrupted between these two writes, the slots are written a second
//! time.

use std::sync::Arc;

use truing_core::port::{OperatorStore as _, SlotStore as _, StoreError};

use crate::fault::StoreFault;
use crate::sql::{SqlTransaction, SqlValue};
use crate::store::{Store, box_future};
use crate::tables::{kill_switch, last_counter_value, write_versioned_slots};

use super::compare::{self, unfit_value_error};
use super::endpoints::{SourceLock, TargetLock, is_postgres, share_storage, valkey_server_name};
use super::fault::TransferError;
use super::page;
use super::progress::{self, CopyProgress, StorePart};
use super::row::{self, NulPolicy};
use super::slots;
use super::table_comparison::TableComparison;
use super::table_list::{self, TABLES, TableSchema};

/// A page that was copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopiedPage {
    /// Name of the page's table. The name `slot` also means the slots in Valkey.
    pub table: &'static str,
    /// Number of copied rows of this table, including rows that an interrupted process copied before.
    pub copied_rows: u64,
}

/// The result of copying a page: the new progress, the number of copied rows of the table, and the size of
/// the next page.
struct CopyStep {
    next_progress: CopyProgress,
    copied_rows: u64,
    next_page_rows: usize,
}

/// The state of a target before the copy.
enum CopyTargetState {
    /// The copy continues from this progress.
    Unfinished(CopyProgress),
    /// The target is already a complete copy. The process that completed the copy was interrupted before it
    /// reported the result.
    Complete(Vec<TableComparison>),
}

/// The two stores of a copy.
struct StoreCopy<'a> {
    from: &'a Store,
    to: &'a Store,
    nul_policy: NulPolicy,
}

/// Copies all data, compares both stores, and deletes the row with the progress.
pub(super) async fn copy_all(
    from: &Store,
    to: &Store,
    nul_policy: NulPolicy,
    mut on_page: impl FnMut(CopiedPage) + Send,
) -> Result<Vec<TableComparison>, TransferError> {
    if share_storage(from, to) {
        return Err(TransferError::SameStore(from.name()));
    }
    let _still = SourceLock::acquire(from)?;
    let _right = TargetLock::acquire(to).await?;
    let copy = StoreCopy { from, to, nul_policy };
    let mut progress = match copy.start_transfer().await? {
        CopyTargetState::Unfinished(progress) => progress,
        CopyTargetState::Complete(compared) => return Ok(compared),
    };
    let mut limit = page::FIRST_PAGE_ROWS;
    loop {
        let Some(part) = StorePart::from_name(&progress.part_name) else {
            return Err(TransferError::OtherVersion { target: to.name(), part: progress.part_name });
        };
        let step = match part {
            StorePart::Slots => copy.copy_slot_page(&progress).await?,
            StorePart::Table(table) => copy.copy_table_page(table, &progress, limit).await?,
            StorePart::End => return copy.finish().await,
        };
        let Some(step) = step else {
            // After this process had read the progress, the last write of an interrupted process was
            // completed.
            progress = copy.current_progress().await?;
            continue;
        };
        on_page(CopiedPage { table: part.name(), copied_rows: step.copied_rows });
        limit = if step.next_progress.part_name == progress.part_name {
            step.next_page_rows
        } else {
            page::FIRST_PAGE_ROWS
        };
        progress = step.next_progress;
    }
}

impl StoreCopy<'_> {
    /// Returns the progress from which to continue. If the target is already a finished copy, returns the
    /// comparison. The target is changed only if it is new or contains a part of this source.
    async fn start_transfer(&self) -> Result<CopyTargetState, TransferError> {
        check_schema(self.from).await?;
        check_schema(self.to).await?;
        if let Some(half) = self.from.read(progress::find).await? {
            return Err(TransferError::UnfinishedSource {
                source_name: self.from.name(),
                original_source: half.source,
            });
        }
        if self.to.read(progress::find).await?.is_none()
            && let Some(valkey) = self.to.valkey_server()
            && let Some(held) = box_future(|| valkey.existing_content()).await?
        {
            return self.check_finished_copy(held).await;
        }
        let first = CopyProgress::new(self.from.name(), valkey_server_name(self.to));
        let ours = first.clone();
        let begun = self.to.write(move |connection| progress::start_transfer(connection, &first)).await?;
        let target = self.to.name();
        let found = match begun {
            Ok(found) => found,
            Err(held) => return self.check_finished_copy(held).await,
        };
        if found.source != ours.source {
            let (source_name, found) = (ours.source, found.source);
            return Err(TransferError::OtherSource { target, source_name, found_source: found });
        }
        if found.slot_server_name != ours.slot_server_name {
            return Err(TransferError::OtherSlotServer { target, found_slots: found.slot_server_name });
        }
        // If a person turned the kill switch directly in Valkey and no process has read it since, this call
        // records the change. The change is then copied with the records.
        box_future(|| self.from.kill_switches()).await?;
        Ok(CopyTargetState::Unfinished(found))
    }

    /// Checks that the target is a complete copy of this source. The caller knows that the target is neither
    /// new nor an unfinished copy. If the target is not a complete copy, the error names the target's
    /// content.
    async fn check_finished_copy(&self, content: String) -> Result<CopyTargetState, TransferError> {
        match compare::compare_until_difference(self.from, self.to).await {
            Ok(Some(compared)) => Ok(CopyTargetState::Complete(compared)),
            // A complete copy contains no unreadable row, so the target is not a copy of this source.
            Ok(None) | Err(TransferError::UnreadableSlot { .. } | TransferError::UnfitValue { .. }) => {
                Err(TransferError::NotNew { target: self.to.name(), existing_rows: content })
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the present progress.
    async fn current_progress(&self) -> Result<CopyProgress, TransferError> {
        let found = self.to.read(progress::find).await?;
        found.ok_or_else(|| TransferError::ChangedByOtherProcess { target: self.to.name() })
    }

    /// Copies a page of slots. Returns `None` if another process has advanced the copy since `progress` was
    /// read.
    async fn copy_slot_page(&self, progress: &CopyProgress) -> Result<Option<CopyStep>, TransferError> {
        let after = match progress_read_error(self.to, progress.last_copied_key())?.as_deref() {
            Some([SqlValue::Text(name)]) => Some(name.clone()),
            Some(_) | None => None,
        };
        let page = slots::load_slot_page(self.from, after, page::SLOTS_PER_PAGE).await?;
        let reached = page.last_name.map(|name| vec![SqlValue::Text(name)]);
        let count = page.slots.len();
        let next = progress.after_page(StorePart::Slots, count, reached.as_deref(), page.is_last);
        let next = progress_read_error(self.to, next)?;
        let (was, will, slots) = (progress.clone(), next.clone(), page.slots);
        let is_ours = match self.to.valkey_server() {
            Some(valkey) => {
                if self.current_progress().await? != was {
                    return Ok(None);
                }
                box_future(|| valkey.restore_slots(&slots)).await?;
                self.to.write(move |connection| progress::advance(connection, &was, &will)).await?
            }
            None => {
                let work = move |connection: &SqlTransaction| {
                    if !progress::advance(connection, &was, &will)? {
                        return Ok(false);
                    }
                    write_versioned_slots(connection, &slots).map(|()| true)
                };
                self.to.write(work).await?
            }
        };
        let rows = progress.copied_rows.saturating_add(count as u64);
        Ok(is_ours.then_some(CopyStep {
            next_progress: next,
            copied_rows: rows,
            next_page_rows: page::FIRST_PAGE_ROWS,
        }))
    }

    /// Copies a page of a table. Returns `None` if another process has advanced the copy since `progress` was
    /// read. If the target refuses a page, smaller pages are tried, until the refused page contains only one
    /// row.
    async fn copy_table_page(
        &self,
        table: &'static TableSchema,
        progress: &CopyProgress,
        limit: usize,
    ) -> Result<Option<CopyStep>, TransferError> {
        let mut limit = limit;
        loop {
            match self.try_copy_page(table, progress, limit).await? {
                Ok(step) => return Ok(step),
                Err((_, error)) if limit > 1 => {
                    tracing::debug!(table = table.name, limit, %error, "a page is retried in smaller pages");
                    limit = limit.div_ceil(32);
                }
                Err((row, error)) => {
                    // If the target is unreachable, every row seems to be refused. In that case, this call
                    // returns the connection error instead.
                    self.current_progress().await?;
                    let (target, table) = (self.to.name(), table.name);
                    return Err(TransferError::RowRefused { target, table, row, error });
                }
            }
        }
    }

    /// Tries once to copy a page. The inner error contains the target's refusal and the key of the page's
    /// first row.
    async fn try_copy_page(
        &self,
        table: &'static TableSchema,
        progress: &CopyProgress,
        limit: usize,
    ) -> Result<Result<Option<CopyStep>, (String, StoreError)>, TransferError> {
        let after = progress_read_error(self.to, progress.last_copied_key())?;
        let read = self.from.read(move |connection| table.read_page(connection, after.as_deref(), limit));
        let rows = read.await?;
        let zeros = is_postgres(self.to).then_some(self.nul_policy);
        for row in &rows {
            if let Some(misfit) = row::find_unfit_value(table, row, zeros) {
                return Err(unfit_value_error(self.from, table, row, misfit));
            }
        }
        let is_last = table.key_len == 0 || rows.len() < limit;
        let reached = rows.last().map(|row| table.row_key(row));
        let next = progress_read_error(
            self.to,
            progress.after_page(StorePart::Table(table), rows.len(), reached, is_last),
        )?;
        let copied = progress.copied_rows.saturating_add(rows.len() as u64);
        let step = CopyStep {
            next_progress: next.clone(),
            copied_rows: copied,
            next_page_rows: page::next_page_limit(limit, &rows),
        };
        let (was, rows) = (progress.clone(), Arc::new(rows));
        let written = Arc::clone(&rows);
        let work = move |connection: &SqlTransaction| {
            if !progress::advance(connection, &was, &next)? {
                return Ok(false);
            }
            table.write(connection, &written).map(|()| true)
        };
        match self.to.write(work).await {
            Ok(is_ours) => Ok(Ok(is_ours.then_some(step))),
            Err(error) => match rows.first() {
                Some(row) => Ok(Err((row::key_condition(table.key(), table.row_key(row)), error))),
                None => Err(error.into()),
            },
        }
    }

    /// Transfers the counters and the kill switch, compares both stores, and deletes the row with the
    /// progress.
    async fn finish(&self) -> Result<Vec<TableComparison>, TransferError> {
        let numbered = || TABLES.iter().filter(|table| table.has_generated_key);
        let numbers: Vec<u64> = self
            .from
            .read(move |connection| numbered().map(|table| table.last_generated_number(connection)).collect())
            .await?;
        self.to
            .write(move |connection| {
                for (table, number) in numbered().zip(&numbers) {
                    table.raise_next_number(
                        connection,
                        table.last_generated_number(connection)?.max(*number),
                    )?;
                }
                Ok(())
            })
            .await?;
        let given = match self.from.valkey_server() {
            Some(valkey) => box_future(|| valkey.last_slot_version()).await?,
            None => self.from.read(last_counter_value).await?,
        };
        // If the counter of the source was reset, the counter may be less than tokens in the records.
        let known = self.to.read(table_list::greatest_recorded_token).await?;
        self.to.raise_version(given.max(known)).await?;
        let compared = compare::compare_all(self.from, self.to).await?;
        if let Some(difference) = compared.iter().find(|compared| !compared.is_equal()) {
            let difference = Box::new(difference.clone());
            let (source_name, target) = (self.from.name(), self.to.name());
            return Err(TransferError::Difference { source_name, target, difference });
        }
        if let Some(valkey) = self.to.valkey_server() {
            let is_on = self.to.read(kill_switch).await?.global_switch.engagement().is_some();
            let mirror = box_future(|| valkey.switch_keys()).await?;
            // If a person has turned on the switch directly in the target's Valkey during the copy, the
            // switch stays on. The first process that reads the switch then records the change.
            if is_on || mirror.manual_state() != Some(true) {
                box_future(|| valkey.set_switch(is_on)).await?;
            }
        }
        if self.to.write(progress::finish_transfer).await? {
            return Ok(compared);
        }
        // The row with the progress has changed, perhaps because another process has completed the copy.
        let whole = compare::compare_until_difference(self.from, self.to).await?;
        whole.ok_or_else(|| TransferError::ChangedByOtherProcess { target: self.to.name() })
    }
}

/// Checks that the store has exactly the tables and columns that this version transfers.
pub(super) async fn check_schema(store: &Store) -> Result<(), TransferError> {
    match store.read(table_list::find_schema_mismatch).await? {
        Some(column) => Err(TransferError::SchemaMismatch { store: store.name(), column }),
        None => Ok(()),
    }
}

/// Converts a fault in the row with the progress to an error that names the store.
fn progress_read_error<T>(store: &Store, result: Result<T, StoreFault>) -> Result<T, TransferError> {
    result.map_err(|fault| StoreError::Corrupt(format!("{}: {fault}", store.name())).into())
}
