//! Lists the tables and columns of a store's records, and compares this list with the actual tables. If
//! tables are filled in the order of the list, no row refers to a missing row. An unlisted table or column
//! would not be copied, so the copy stops with an error.

use std::collections::BTreeSet;

use truing_core::id::SlotVersion;

use crate::fault::StoreFault;
use crate::sql::{
    ColumnKind, SqlDialect, SqlRow, SqlTransaction, SqlValue, TableColumn, column_names, placeholders,
};

use super::row::TOKEN_COLUMN;

/// The schema of a table.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct TableSchema {
    pub(super) name: &'static str,
    /// The number of columns in the key, which are the first columns. If the number is 0, the table always
    /// has exactly one row.
    pub(super) key_len: usize,
    /// True if the engine generates numbers for the key.
    pub(super) has_generated_key: bool,
    pub(super) columns: &'static [TableColumn],
}

const fn int(name: &'static str) -> TableColumn {
    TableColumn { name, kind: ColumnKind::Integer }
}

const fn text(name: &'static str) -> TableColumn {
    TableColumn { name, kind: ColumnKind::Text }
}

const fn table(name: &'static str, key_len: usize, fields: &'static [TableColumn]) -> TableSchema {
    TableSchema { name, key_len, has_generated_key: false, columns: fields }
}

const fn numbered_table(name: &'static str, fields: &'static [TableColumn]) -> TableSchema {
    TableSchema { name, key_len: 1, has_generated_key: true, columns: fields }
}

/// Every table of the records. A table that refers to another table is listed after that table.
pub(super) static TABLES: [TableSchema; 19] = [
    numbered_table(
        "run",
        &[
            int("rowid"),
            text("key"),
            text("loop"),
            int("token"),
            text("id"),
            text("stage"),
            text("head"),
            text("base"),
            int("began"),
            int("kept"),
            int("ended"),
            text("kind"),
            text("reason"),
            int("cost"),
            text("computed"),
            text("record"),
        ],
    ),
    table("finding", 2, &[text("key"), text("id"), int("position"), text("body")]),
    table(
        "desired",
        3,
        &[
            text("key"),
            text("producer"),
            text("item"),
            int("position"),
            text("body"),
            text("lowered"),
            text("comment"),
        ],
    ),
    table("status", 1, &[text("key"), text("body"), int("done")]),
    table(
        "effect",
        3,
        &[
            text("key"),
            text("producer"),
            text("topic"),
            int("token"),
            text("content"),
            int("at"),
            int("lost"),
            text("comment"),
        ],
    ),
    numbered_table("described", &[int("id"), text("key"), text("name"), text("url"), text("head")]),
    numbered_table("event", &[int("id"), text("key"), int("at"), text("run"), text("what")]),
    table("switch", 0, &[text("body"), int("sweep"), text("repositories")]),
    numbered_table(
        "audit",
        &[int("id"), int("at"), text("actor"), text("action"), text("target"), text("detail")],
    ),
    numbered_table(
        "notice",
        &[int("id"), text("kind"), text("key"), text("period"), text("text"), int("created"), int("sent")],
    ),
    table(
        "repository",
        2,
        &[text("forge"), text("id"), text("name"), int("cursor"), int("gone"), int("onboarded")],
    ),
    table(
        "comment_seen",
        4,
        &[
            text("forge"),
            text("repository"),
            text("kind"),
            int("id"),
            int("number"),
            int("at"),
            int("served"),
        ],
    ),
    table(
        "check_pressed",
        4,
        &[text("forge"), text("repository"), int("number"), text("account"), text("login"), int("at")],
    ),
    table("label_set", 4, &[text("forge"), text("repository"), int("number"), text("name"), int("at")]),
    table("dismissal", 2, &[text("key"), text("finding"), int("version"), text("body")]),
    numbered_table(
        "level",
        &[
            int("id"),
            text("kind"),
            text("key"),
            text("period"),
            int("cap"),
            int("spent"),
            int("reserved"),
            int("touched"),
            int("allowed"),
        ],
    ),
    numbered_table(
        "reservation",
        &[int("id"), text("run"), int("amount"), int("expires"), int("cost"), text("known")],
    ),
    table("draw", 2, &[int("reservation"), int("level")]),
    table("job", 1, &[text("key"), int("token"), text("run"), text("body")]),
];

/// Columns that are not in the list: columns that only one engine has, and the columns of the table
/// `transfer`. The counter of `store` is transferred separately. The time in `store` is not transferred,
/// because the target's clock sets it.
const SQLITE_UNLISTED_COLUMNS: &str = "switch.only store.only store.counter store.now slot.key \
    slot.version slot.wakes_at \
     slot.body slot.shown transfer.source transfer.slots transfer.part transfer.reached transfer.copied";
const POSTGRES_UNLISTED_COLUMNS: &str = "schema_version.version \
    schema_version.min_program_version transfer.source transfer.slots transfer.part transfer.reached \
    transfer.copied";

/// Returns the first column that is unlisted, or that is listed but missing, as `table.column`. Returns none
/// if all columns match.
pub(super) fn find_schema_mismatch(connection: &SqlTransaction) -> Result<Option<String>, StoreFault> {
    let dialect = connection.dialect();
    let sql = dialect.choose(
        "SELECT of.name || '.' || its.name FROM sqlite_schema AS of, pragma_table_info(of.name) AS its
         WHERE of.type = 'table' AND of.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        "SELECT CAST(table_name || '.' || column_name AS TEXT) FROM information_schema.columns
         WHERE table_schema = 'truing'",
    );
    let found: BTreeSet<String> =
        connection.sql(sql).query((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut listed: BTreeSet<String> = dialect
        .choose(SQLITE_UNLISTED_COLUMNS, POSTGRES_UNLISTED_COLUMNS)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    for table in &TABLES {
        listed.extend(table.columns.iter().map(|field| format!("{}.{}", table.name, field.name)));
    }
    if dialect == SqlDialect::Sqlite {
        // In SQLite, this column exists without a declaration, so the query does not find it.
        listed.remove("run.rowid");
    }
    Ok(found.symmetric_difference(&listed).next().cloned())
}

impl TableSchema {
    /// Returns up to `limit` rows after the given key, in the order of the key.
    pub(super) fn read_page(
        &self,
        connection: &SqlTransaction,
        after: Option<&[SqlValue]>,
        limit: usize,
    ) -> Result<Vec<SqlRow>, StoreFault> {
        let key = column_names(self.key());
        let (mut rows, mut order) = (String::new(), String::new());
        if self.key_len > 0 {
            order = format!("ORDER BY {key} LIMIT ?1");
        }
        if after.is_some() {
            rows = format!("WHERE ({key}) > ({})", placeholders(2, self.key_len));
        }
        let sql = format!("SELECT {} FROM {} {rows} {order}", column_names(self.columns), self.name);
        let mut values = Vec::new();
        if self.key_len > 0 {
            values.push(SqlValue::from(limit));
            values.extend(after.unwrap_or_default().iter().cloned());
        }
        connection.sql(&sql).query(values, |row| Ok(row.clone()))?.collect()
    }

    /// Inserts rows. If the table always has exactly one row, updates that row instead.
    pub(super) fn write(&self, connection: &SqlTransaction, rows: &[SqlRow]) -> Result<(), StoreFault> {
        if self.key_len > 0 {
            return connection.insert(self.name, self.columns, rows);
        }
        let set: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, field)| format!("{} = ?{}", field.name, at + 1))
            .collect();
        let sql = format!("UPDATE {} SET {}", self.name, set.join(", "));
        for row in rows {
            connection.sql(&sql).execute(row.0.clone())?;
        }
        Ok(())
    }

    /// Returns true if the table contains data, apart from the row that a new store has.
    pub(super) fn has_data(&self, connection: &SqlTransaction) -> Result<bool, StoreFault> {
        let rows = if self.key_len > 0 { "" } else { "WHERE body <> '\"off\"' OR sweep IS NOT NULL" };
        connection.sql(&format!("SELECT 1 FROM {} {rows} LIMIT 1", self.name)).exists(())
    }

    /// Returns the columns of the table's key.
    pub(super) fn key(&self) -> &'static [TableColumn] {
        self.columns.get(..self.key_len).unwrap_or_default()
    }

    /// Returns the key of a row.
    pub(super) fn row_key<'a>(&self, row: &'a SqlRow) -> &'a [SqlValue] {
        row.0.get(..self.key_len).unwrap_or_default()
    }

    /// Returns the greatest number that the engine has generated for the table's key, or 0 if there is none.
    pub(super) fn last_generated_number(&self, connection: &SqlTransaction) -> Result<u64, StoreFault> {
        let (table, key) = (self.name, column_names(self.key()));
        let sql = match connection.dialect() {
            SqlDialect::Sqlite => format!(
                "SELECT max((SELECT coalesce(max({key}), 0) FROM {table}),
                            coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0))"
            ),
            SqlDialect::Postgres => format!(
                "SELECT greatest((SELECT coalesce(max({key}), 0) FROM {table}),
                                 coalesce(pg_sequence_last_value({}), 0))",
                self.sequence_sql()
            ),
        };
        connection.sql(&sql).single_row((), |row| row.get(0))
    }

    /// Ensures that the next number that the engine generates is greater than `number`. SQLite stores the
    /// last generated number only for `reservation`, whose numbers are never reused. For other tables, SQLite
    /// continues from the greatest existing number.
    pub(super) fn raise_next_number(
        &self,
        connection: &SqlTransaction,
        number: u64,
    ) -> Result<(), StoreFault> {
        if number == 0 {
            return Ok(());
        }
        match connection.dialect() {
            SqlDialect::Sqlite if self.name == "reservation" => {
                let known = "SELECT 1 FROM sqlite_sequence WHERE name = ?1";
                let sql = if connection.sql(known).exists([self.name])? {
                    "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1"
                } else {
                    "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)"
                };
                connection.sql(sql).execute((self.name, number)).map(drop)
            }
            SqlDialect::Sqlite => Ok(()),
            SqlDialect::Postgres => {
                let sql = format!("SELECT setval({}, ?1)", self.sequence_sql());
                connection.sql(&sql).single_row([number], |_| Ok(()))
            }
        }
    }

    /// Returns an SQL expression that names the table's sequence in PostgreSQL.
    fn sequence_sql(&self) -> String {
        format!("CAST(pg_get_serial_sequence('{}', '{}') AS REGCLASS)", self.name, column_names(self.key()))
    }
}

/// Returns the greatest token in the records.
pub(super) fn greatest_recorded_token(connection: &SqlTransaction) -> Result<SlotVersion, StoreFault> {
    let has_token = |table: &&TableSchema| table.columns.iter().any(|field| field.name == TOKEN_COLUMN);
    let mut greatest = 0;
    for table in TABLES.iter().filter(has_token) {
        let sql = format!("SELECT coalesce(max(token), 0) FROM {}", table.name);
        greatest = greatest.max(connection.sql(&sql).single_row((), |row| row.get(0))?);
    }
    Ok(SlotVersion(greatest))
}
