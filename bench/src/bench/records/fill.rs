//! Generates the rows of a service that has run for the whole retention time, as SQL for both SQLite and
//! PostgreSQL. The rows are added in the order of their times, as in a real service. Related rows are
//! therefore as far apart as in a real store.

use anyhow::Result;
use truing_core::id::UnixMillis;
use truing_core::ledger::{utc_day, utc_month};

use super::shapes::{
    BASE_SHA_PLACEHOLDER, END_MS_PLACEHOLDER, FINDING_ID_PLACEHOLDER, HEAD_SHA_PLACEHOLDER, KEY_PLACEHOLDER,
    REVIEW_COST_MICRO_USD, REVIEW_DURATION_MS, RUN_ID_PLACEHOLDER, RowTexts, START_MS_PLACEHOLDER,
    build_row_texts,
};

/// Number of repositories among which the pull requests are distributed.
pub(super) const REPOSITORIES: u64 = 300;
/// Number of days over which the pull requests are distributed: the default of `retention.runs`.
pub(super) const DAYS: u64 = 90;
const DAY_MS: i64 = 86_400_000;
/// Number of reviews of each pull request. The next constants are the numbers of rows that each pull request
/// has in the other tables.
const REVIEWS_PER_PULL: u64 = 2;
const FINDINGS_PER_PULL: u64 = 3;
const EFFECTS_PER_PULL: u64 = 5;
const EVENTS_PER_PULL: u64 = 12;
/// Number of model calls in each review; the next constant is the number of budget levels to which each call
/// is charged.
const CALLS_PER_REVIEW: u64 = 3;
const LEVELS_PER_CALL: u64 = 3;
/// Number of pull requests for each row in the tables with few rows; the next constant is the number of pull
/// requests for each row in the table of comments.
const PULLS_PER_RARE_ROW: u64 = 20;
const PULLS_PER_COMMENT_ROW: u64 = 5;

/// Number of rows that each pull request has in all tables together. Tables with rows for only some pull
/// requests are not counted.
const ROWS_PER_PULL: u64 = REVIEWS_PER_PULL
    + FINDINGS_PER_PULL
    + (FINDINGS_PER_PULL + 1)
    + EFFECTS_PER_PULL
    + EVENTS_PER_PULL
    + REVIEWS_PER_PULL * CALLS_PER_REVIEW * (1 + LEVELS_PER_CALL)
    + REVIEWS_PER_PULL
    + 2;

/// The size of a store, as a number of pull requests, and the current time.
#[derive(Clone, Copy)]
pub(super) struct StoreSize {
    pub(super) pulls: u64,
    pub(super) now: UnixMillis,
}

impl StoreSize {
    /// Returns the size of a store with about this number of records.
    pub(super) fn from_row_count(rows: u64, now: UnixMillis) -> Self {
        Self { pulls: (rows / ROWS_PER_PULL).max(1), now }
    }

    fn start_millis(&self) -> i64 {
        self.now.0 - DAYS as i64 * DAY_MS
    }

    /// Returns the SQL expression for the time of a pull request.
    fn pull_time_sql(&self, pull: &str) -> String {
        let step = (DAYS as i64 * DAY_MS / self.pulls as i64).max(1);
        format!("({} + ({pull}) * {step})", self.start_millis())
    }

    /// Returns the SQL expression for the start time of a review. The second review of a pull request began
    /// an hour after the first.
    fn review_start_sql(&self, review: &str) -> String {
        format!(
            "({} + ({review}) % {REVIEWS_PER_PULL} * 3600000 + 15000)",
            self.pull_time_sql(&format!("({review}) / {REVIEWS_PER_PULL}"))
        )
    }

    fn day_starts(&self) -> Vec<UnixMillis> {
        (0..DAYS as i64).map(|number| UnixMillis(self.start_millis() + number * DAY_MS)).collect()
    }

    fn month_names(&self) -> Vec<String> {
        let mut months: Vec<String> = self.day_starts().into_iter().map(utc_month).collect();
        months.dedup();
        months
    }
}

/// Returns the SQL expression for the key of a pull request.
fn pull_key_sql(pull: &str) -> String {
    format!("'pr/github/' || (1000 + ({pull}) % {REPOSITORIES}) || '/' || (({pull}) / {REPOSITORIES} + 1)")
}

fn repository_sql(pull: &str) -> String {
    format!("'acme/service-' || (1000 + ({pull}) % {REPOSITORIES})")
}

/// Returns the SQL expression for the name of a pull request.
fn pull_name_sql(pull: &str) -> String {
    format!("{} || '#' || (({pull}) / {REPOSITORIES} + 1)", repository_sql(pull))
}

/// Returns the name of the pull request with this number.
pub(super) fn pull_name(pull: u64) -> String {
    format!("acme/service-{}#{}", 1000 + pull % REPOSITORIES, pull / REPOSITORIES + 1)
}

/// Returns the SQL expression for a commit id. Different numbers have different ids.
fn sha_sql(number: &str) -> String {
    format!("(1000000000000000 + {number}) || '0a1b2c3d4e5f60718293a4b5'")
}

/// Returns the SQL expression for the id of a run. A higher number has a greater id, as in the program.
fn run_id_sql(number: &str) -> String {
    format!("'019ac3d2-5e4f-7a1b-8c0d-' || (100000000000 + {number})")
}

fn finding_id_sql(number: &str) -> String {
    format!("'f' || (100000000 + {number})")
}

fn quote_sql(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the SQL expression for a text in which the value of an expression replaces each mark.
fn replace_marks_sql(text: &str, marks: &[(&str, &str)]) -> String {
    marks
        .iter()
        .filter(|(mark, _)| text.contains(mark))
        .fold(quote_sql(text), |sql, (mark, with)| format!("replace({sql}, '{mark}', CAST({with} AS TEXT))"))
}

/// Returns the SQL source of the numbers from 0 to `count - 1`, as the column `value`. The numbers are 64-bit
/// integers, because PostgreSQL would otherwise compute with 32-bit integers, whose range is too small.
fn series_sql(count: u64) -> String {
    format!("generate_series(CAST(0 AS BIGINT), {}) AS value", count as i64 - 1)
}

/// Returns a statement that adds `count` rows to a table.
fn insert_sql(table: &str, columns: &str, count: u64, row: &str) -> String {
    format!("INSERT INTO {table} ({columns}) SELECT {row} FROM {}", series_sql(count))
}

/// Returns the statements that add all records.
pub(super) fn fill_statements(size: &StoreSize) -> Result<String> {
    let shapes = build_row_texts()?;
    let all = [
        run_rows_sql(size, &shapes),
        published_rows_sql(size, &shapes),
        history_rows_sql(size, &shapes),
        budget_rows_sql(size),
    ]
    .concat();
    Ok(all.iter().map(|insert| format!("{insert};\n")).collect())
}

fn run_rows_sql(size: &StoreSize, row_texts: &RowTexts) -> Vec<String> {
    let columns =
        "key, loop, token, id, stage, head, base, began, kept, ended, kind, reason, cost, computed, record";
    let (key_of, began, id) =
        (pull_key_sql("value / 2"), size.review_start_sql("value"), run_id_sql("value"));
    let (began_text, ended) = (START_MS_PLACEHOLDER.to_string(), format!("({began} + {REVIEW_DURATION_MS})"));
    let (ended_text, head) = (END_MS_PLACEHOLDER.to_string(), sha_sql("value"));
    let base = sha_sql("value / 2 % 1000");
    let marks = [
        (RUN_ID_PLACEHOLDER, id.as_str()),
        (KEY_PLACEHOLDER, &key_of),
        (HEAD_SHA_PLACEHOLDER, &head),
        (BASE_SHA_PLACEHOLDER, &base),
        (&began_text, &began),
        (&ended_text, &ended),
    ];
    let record = replace_marks_sql(&row_texts.review, &marks);
    let review = format!(
        "{key_of}, 'review', value + 1, {id}, 'published', {head}, {base}, {began}, {ended}, {ended}, \
         'reviewed', NULL, {REVIEW_COST_MICRO_USD}, {record}, {record}"
    );

    let pull = format!("(value * {PULLS_PER_RARE_ROW})");
    let (key_of, at, id) = (pull_key_sql(&pull), size.pull_time_sql(&pull), run_id_sql("900000000 + value"));
    let record = replace_marks_sql(
        &row_texts.converge,
        &[(RUN_ID_PLACEHOLDER, &id), (KEY_PLACEHOLDER, &key_of), (&ended_text, &at)],
    );
    let none = quote_sql(&"0".repeat(40));
    let (kind, reason) = (quote_sql(&row_texts.converge_kind), quote_sql(&row_texts.converge_reason));
    let converge = format!(
        "{key_of}, 'converge', {pull} + 1, {id}, 'ended', {none}, {none}, {at}, {at}, {at}, {kind}, \
         {reason}, 0, NULL, {record}"
    );
    vec![
        insert_sql("run", columns, size.pulls * REVIEWS_PER_PULL, &review),
        insert_sql("run", columns, size.pulls / PULLS_PER_RARE_ROW, &converge),
    ]
}

/// Returns the statements that add the findings of pull requests, the comments to publish for them, and the
/// published comments.
fn published_rows_sql(size: &StoreSize, row_texts: &RowTexts) -> Vec<String> {
    let of_pull = format!("value / {FINDINGS_PER_PULL}");
    let id = finding_id_sql("value");
    let body = replace_marks_sql(&row_texts.finding, &[(FINDING_ID_PLACEHOLDER, &id)]);
    let findings = format!("{}, {id}, value % {FINDINGS_PER_PULL}, {body}", pull_key_sql(&of_pull));

    // The first item of a pull request is its summary, and the other items are its findings.
    let items = FINDINGS_PER_PULL + 1;
    let (pull, at) = (format!("value / {items}"), format!("value % {items}"));
    let id = finding_id_sql(&format!("({pull}) * {FINDINGS_PER_PULL} + {at} - 1"));
    let (summary, line) = (
        replace_marks_sql(&row_texts.summary, &[]),
        replace_marks_sql(&row_texts.inline_comment, &[(FINDING_ID_PLACEHOLDER, &id)]),
    );
    let desired = format!(
        "{}, 'review', CASE WHEN {at} = 0 THEN 'summary' ELSE {id} END, {at}, CASE WHEN {at} = 0 THEN \
         {summary} ELSE {line} END, NULL, CAST(3000000000 + value AS TEXT)",
        pull_key_sql(&pull)
    );

    let status = replace_marks_sql(
        &row_texts.status,
        &[(HEAD_SHA_PLACEHOLDER, &sha_sql(&format!("value * {REVIEWS_PER_PULL} + 1")))],
    );
    let status = format!("{}, {status}, 1", pull_key_sql("value"));

    // The first effect of a pull request is its status, and the other effects are its items.
    let (pull, at) = (format!("value / {EFFECTS_PER_PULL}"), format!("value % {EFFECTS_PER_PULL}"));
    let id = finding_id_sql(&format!("({pull}) * {FINDINGS_PER_PULL} + {at} - 2"));
    let effect = format!(
        "{}, 'review', CASE {at} WHEN 0 THEN 'status' WHEN 1 THEN 'item/summary' ELSE 'item/' || {id} END, \
         ({pull}) * {REVIEWS_PER_PULL} + 2, {} || '0a1b2c3d4e5f60718293a4b5', {}, NULL, CAST(3000000000 + \
         value AS \
         TEXT)",
        pull_key_sql(&pull),
        sha_sql("value"),
        size.pull_time_sql(&pull)
    );

    let url = format!(
        "'https://github.example.com/' || {} || '/pull/' || (value / {REPOSITORIES} + 1)",
        repository_sql("value")
    );
    let described = format!(
        "{}, {}, {url}, {}",
        pull_key_sql("value"),
        pull_name_sql("value"),
        sha_sql(&format!("value * {REVIEWS_PER_PULL} + 1"))
    );
    vec![
        insert_sql("finding", "key, id, position, body", size.pulls * FINDINGS_PER_PULL, &findings),
        insert_sql(
            "desired",
            "key, producer, item, position, body, lowered, comment",
            size.pulls * items,
            &desired,
        ),
        insert_sql("status", "key, body, done", size.pulls, &status),
        insert_sql(
            "effect",
            "key, producer, topic, token, content, at, lost, comment",
            size.pulls * EFFECTS_PER_PULL,
            &effect,
        ),
        insert_sql("described", "key, name, url, head", size.pulls, &described),
    ]
}

/// Returns the statements that add the events of all pull requests, and records such as comments and
/// dismissals for some of them.
fn history_rows_sql(size: &StoreSize, row_texts: &RowTexts) -> Vec<String> {
    let (pull, at) = (format!("value / {EVENTS_PER_PULL}"), format!("value % {EVENTS_PER_PULL}"));
    let review = format!("({pull}) * {REVIEWS_PER_PULL} + {at} / 6");
    let event = format!(
        "{}, {} + {at} % 6 * 1000, CASE WHEN {at} % 6 < 2 THEN '' ELSE {} END, CASE {at} % 6 WHEN 0 THEN \
         'webhook: pull request synchronized at ' || {} WHEN 1 THEN 'due for a review after the debounce' \
         WHEN 2 THEN 'leased: review of ' || {} WHEN 3 THEN 'computed: 3 findings, 2 of them block, $0.041' \
         WHEN 4 THEN 'published: 1 review with 3 comments, 1 summary, status failure' ELSE 'finished: \
         reviewed in 62 s' END",
        pull_key_sql(&pull),
        size.review_start_sql(&review),
        run_id_sql(&review),
        sha_sql(&review),
        sha_sql(&review)
    );
    let repository_row =
        format!("'github', CAST(1000 + value AS TEXT), {}, {}, NULL", repository_sql("value"), size.now.0);
    let commented = format!("value * {PULLS_PER_COMMENT_ROW}");
    let comment = format!(
        "'github', CAST(1000 + ({commented}) % {REPOSITORIES} AS TEXT), 'conversation', 3000000000 + value, \
         ({commented}) / {REPOSITORIES} + 1, {}, 1",
        size.pull_time_sql(&commented)
    );
    let few = format!("value * {PULLS_PER_RARE_ROW}");
    let id = finding_id_sql(&format!("{few} * {FINDINGS_PER_PULL}"));
    let at = size.pull_time_sql(&few);
    let body = replace_marks_sql(
        &row_texts.dismissal,
        &[(FINDING_ID_PLACEHOLDER, &id), (&END_MS_PLACEHOLDER.to_string(), &at)],
    );
    let dismissal = format!("{}, {id}, value + 1, {body}", pull_key_sql(&few));
    let audit =
        format!("{at}, 'ada', 'dismiss', {}, 'wanted here: the caller has the lock'", pull_name_sql(&few));
    let notice = format!(
        "'parked', {}, CAST({at} AS TEXT), {} || ' is parked after 5 attempts: the forge gave no answer', \
         {at}, {at} + 1000",
        pull_key_sql(&few),
        pull_name_sql(&few)
    );
    let some = size.pulls / PULLS_PER_RARE_ROW;
    vec![
        insert_sql("event", "key, at, run, what", size.pulls * EVENTS_PER_PULL, &event),
        insert_sql("repository", "forge, id, name, cursor, gone", REPOSITORIES, &repository_row),
        insert_sql(
            "comment_seen",
            "forge, repository, kind, id, number, at, served",
            size.pulls / PULLS_PER_COMMENT_ROW,
            &comment,
        ),
        insert_sql("dismissal", "key, finding, version, body", some, &dismissal),
        insert_sql("audit", "at, actor, action, target, detail", some, &audit),
        insert_sql("notice", "kind, key, period, text, created, sent", some, &notice),
    ]
}

/// Returns the statements that add the budget levels and the charges on them. The database numbers the levels
/// from 1 on, in the order of these statements.
fn budget_rows_sql(size: &StoreSize) -> Vec<String> {
    let (reviews, calls) = (size.pulls * REVIEWS_PER_PULL, size.pulls * REVIEWS_PER_PULL * CALLS_PER_REVIEW);
    let columns = "kind, key, period, cap, spent, reserved, touched";
    let review = format!(
        "'review', {} || '@' || {}, '', 2000000, {REVIEW_COST_MICRO_USD}, 0, {}",
        pull_key_sql(&format!("value / {REVIEWS_PER_PULL}")),
        sha_sql("value"),
        size.review_start_sql("value")
    );
    let days = size.day_starts();
    let listed: Vec<String> =
        days.iter().enumerate().map(|(at, now)| format!("({at}, '{}', {})", utc_day(*now), now.0)).collect();
    let of_day = format!(
        "INSERT INTO level ({columns}) SELECT 'repo_day', {}, day.column2, 20000000, 400000, 0, day.column3 \
         FROM (VALUES {}) AS day, {} ORDER BY day.column1, value",
        repository_sql("value"),
        listed.join(", "),
        series_sql(REPOSITORIES)
    );
    let months = size.month_names();
    let listed: Vec<String> = months
        .iter()
        .map(|month| {
            format!("('team_month', 'platform', '{month}', 9000000000, 1000000000, 0, {})", size.now.0)
        })
        .collect();
    let of_month = format!("INSERT INTO level ({columns}) VALUES {}", listed.join(", "));

    let paid = format!("value / {CALLS_PER_REVIEW}");
    let reservation = format!(
        "{}, 120000, {} + 600000, {}, 'metered'",
        run_id_sql(&paid),
        size.review_start_sql(&paid),
        REVIEW_COST_MICRO_USD / CALLS_PER_REVIEW
    );
    // A call is charged to approximately the day and the month in which its pull request was created.
    let pull = format!("value / {}", REVIEWS_PER_PULL * CALLS_PER_REVIEW);
    let per_day = (size.pulls / DAYS).max(1);
    let per_month = (size.pulls / months.len() as u64).max(1);
    let first_day = reviews + 1;
    let first_month = first_day + DAYS * REPOSITORIES;
    let part = |of: u64, count: u64| {
        format!("CASE WHEN {pull} / {of} < {count} THEN {pull} / {of} ELSE {} END", count - 1)
    };
    let draw =
        |level: String| insert_sql("draw", "reservation, level", calls, &format!("value + 1, {level}"));
    vec![
        insert_sql("level", columns, reviews, &review),
        of_day,
        of_month,
        insert_sql("reservation", "run, amount, expires, cost, known", calls, &reservation),
        draw(format!("{paid} + 1")),
        draw(format!("{first_day} + ({}) * {REPOSITORIES} + {pull} % {REPOSITORIES}", part(per_day, DAYS))),
        draw(format!("{first_month} + {}", part(per_month, months.len() as u64))),
    ]
}

/// Returns the statements that add due slots to a SQLite file. A store on servers gets its slots as copies
/// from such a file.
pub(super) fn slot_statements(count: u64, now: UnixMillis) -> Result<String> {
    let at = format!("({} + value * 10)", now.0 - 3_600_000);
    let key_of = pull_key_sql("value");
    let body = replace_marks_sql(
        &build_row_texts()?.slot,
        &[(KEY_PLACEHOLDER, &key_of), (&START_MS_PLACEHOLDER.to_string(), &at)],
    );
    // The later times in the body of each slot are equal in all rows, because the measurement does not read
    // them.
    let row = format!("{key_of}, value + 1, {at}, {body}, 'waiting/debounce'");
    let insert = insert_sql("slot", "key, version, wakes_at, body, shown", count, &row);
    // Raises the counter to the highest token and version in the added rows, so the store never issues one of
    // them again.
    let raise = "UPDATE store SET counter = max(counter, (SELECT coalesce(max(token), 0) FROM run), (SELECT \
         max(version) FROM slot))";
    Ok(format!("{insert};\n{raise};\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_pull_request_are_as_many_as_are_counted() {
        let size = StoreSize::from_row_count(54_000, UnixMillis(1_790_000_000_000));
        assert_eq!(size.pulls, 54_000 / ROWS_PER_PULL);
        let sum: u64 = fill_statements(&size).unwrap().lines().filter_map(count_rows).sum();
        let counted = size.pulls * ROWS_PER_PULL;
        // The sum also contains a few rows of tables that have rows for only some pull requests.
        assert!(sum >= counted && sum < counted + counted / 50, "{sum} {counted}");
    }

    fn count_rows(insert: &str) -> Option<u64> {
        let (_, rest) = insert.rsplit_once("generate_series(CAST(0 AS BIGINT), ")?;
        Some(rest.split(')').next()?.parse::<u64>().ok()? + 1)
    }

    #[test]
    fn marks_are_replaced_by_what_each_row_has() {
        assert_eq!(
            replace_marks_sql("it's @RUN", &[(RUN_ID_PLACEHOLDER, "value"), (KEY_PLACEHOLDER, "1")]),
            "replace('it''s @RUN', '@RUN', CAST(value AS TEXT))"
        );
    }
}
