//! Two stores compared, part by part: the rows of both in the order of their keys, counted and compared in the same form.

use std::collections::VecDeque;

use crate::sql::{Field, Kind, Row, Value};
use crate::store::Store;

use super::compared::Compared;
use super::fault::TransferError;
use super::list::Table;
use super::place::is_postgres;
use super::progress::Part;
use super::row::{self, Misfit};
use super::{page, slots};

/// Compares part by part, as long as they are alike; none if one is not.
pub(super) async fn all_alike(one: &Store, other: &Store) -> Result<Option<Vec<Compared>>, TransferError> {
    let mut compared = Vec::new();
    for part in Part::all() {
        let next = compare(part, one, other).await?;
        if !next.is_alike() {
            return Ok(None);
        }
        compared.push(next);
    }
    Ok(Some(compared))
}

/// Compares every part.
pub(super) async fn all(one: &Store, other: &Store) -> Result<Vec<Compared>, TransferError> {
    let mut compared = Vec::new();
    for part in Part::all() {
        compared.push(compare(part, one, other).await?);
    }
    Ok(compared)
}

async fn compare(part: Part, one: &Store, other: &Store) -> Result<Compared, TransferError> {
    // As PostgreSQL holds texts, where one of the two is there.
    let replace = is_postgres(one) || is_postgres(other);
    let (mut left, mut right) = (Rows::new(one, part, replace), Rows::new(other, part, replace));
    let (mut rows, mut first) = ((0, 0), None);
    loop {
        let pair = (left.next().await?, right.next().await?);
        if pair == (None, None) {
            break;
        }
        rows.0 += u64::from(pair.0.is_some());
        rows.1 += u64::from(pair.1.is_some());
        if first.is_none() && pair.0 != pair.1 {
            first = Some(lesser(part, pair.0.as_ref(), pair.1.as_ref()));
        }
    }
    Ok(Compared { table: part.name(), rows, first })
}

/// Of two rows that differ the one that comes first, in words.
fn lesser(part: Part, one: Option<&Row>, other: Option<&Row>) -> String {
    let (fields, count): (&[Field], usize) = match part {
        Part::Slots => (&[SLOT_KEY], 1),
        Part::Table(table) => (table.key(), table.key),
        Part::End => (&[], 0),
    };
    let key = |row: &Row| row.0.iter().take(count).cloned().collect::<Vec<_>>();
    let key = match (one.map(key), other.map(key)) {
        (Some(one), Some(other)) => {
            if is_before(&other, &one) {
                other
            } else {
                one
            }
        }
        (Some(key), None) | (None, Some(key)) => key,
        (None, None) => Vec::new(),
    };
    row::condition(fields, &key)
}

/// The key of a slot.
const SLOT_KEY: Field = Field { name: "key", kind: Kind::Text };

/// Keys of one table, in its order.
fn is_before(one: &[Value], other: &[Value]) -> bool {
    let differ = one.iter().zip(other).find(|(one, other)| one != other);
    match differ {
        Some((Value::Integer(one), Value::Integer(other))) => one < other,
        Some((Value::Text(one), Value::Text(other))) => one < other,
        Some(_) | None => false,
    }
}

/// The rows of a part of a store, one after the other.
struct Rows<'a> {
    store: &'a Store,
    part: Part,
    replace: bool,
    limit: usize,
    read: VecDeque<Row>,
    after: Option<Vec<Value>>,
    is_last: bool,
}

impl<'a> Rows<'a> {
    fn new(store: &'a Store, part: Part, replace: bool) -> Self {
        let limit = page::FIRST;
        Self { store, part, replace, limit, read: VecDeque::new(), after: None, is_last: false }
    }

    async fn next(&mut self) -> Result<Option<Row>, TransferError> {
        while self.read.is_empty() && !self.is_last {
            match self.part {
                Part::Slots => self.read_slots().await?,
                Part::Table(table) => self.read_table(table).await?,
                Part::End => self.is_last = true,
            }
        }
        Ok(self.read.pop_front())
    }

    async fn read_slots(&mut self) -> Result<(), TransferError> {
        let after = match self.after.as_deref() {
            Some([Value::Text(name)]) => Some(name.clone()),
            Some(_) | None => None,
        };
        let page = slots::page(self.store, after, page::SLOTS).await?;
        self.is_last = page.is_last;
        self.after = page.reached.map(|name| vec![Value::Text(name)]);
        for slot in &page.slots {
            self.read.push_back(slots::row(self.store, slot)?);
        }
        Ok(())
    }

    async fn read_table(&mut self, table: &'static Table) -> Result<(), TransferError> {
        let (after, limit) = (self.after.take(), self.limit);
        let read = self.store.read(move |connection| table.page(connection, after.as_deref(), limit));
        let rows = read.await?;
        self.is_last = table.key == 0 || rows.len() < limit;
        self.limit = page::next(limit, &rows);
        // As it is there: the engine goes on from it.
        self.after = rows.last().map(|row| table.key_of(row).to_vec());
        for mut row in rows {
            if let Some(misfit) = row::misfit(table, &row, None) {
                return Err(unfit(self.store, table, &row, misfit));
            }
            if self.replace {
                row::replace_zeros(&mut row);
            }
            self.read.push_back(row);
        }
        Ok(())
    }
}

/// The error that names a row with a value that cannot be carried over.
pub(super) fn unfit(store: &Store, table: &'static Table, row: &Row, misfit: Misfit) -> TransferError {
    let Misfit { column, why, advice } = misfit;
    let row = row::condition(table.key(), table.key_of(row));
    TransferError::Unfit { store: store.name(), table: table.name, column, why, row, advice }
}
