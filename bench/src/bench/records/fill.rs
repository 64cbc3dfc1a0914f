//! Rows of a service that has run for as long as runs are kept, in SQL that SQLite and PostgreSQL understand alike. They are
//! added in the order of time, as a service adds them, so that what is asked for lies as far apart as it does there.

use anyhow::Result;
use truing_core::id::UnixMillis;
use truing_core::ledger::{day, month};

use super::shapes::{BASE, BEGAN, COST, ENDED, FINDING, HEAD, KEY, RUN, RowTexts, TOOK_MS, shapes};

/// Repositories that the pull requests are spread over.
pub(super) const REPOSITORIES: u64 = 300;
/// Days that they are spread over: the default of `retention.runs`.
pub(super) const DAYS: u64 = 90;
const DAY_MS: i64 = 86_400_000;
/// Rows of each pull request, in tables that have some of every one.
const REVIEWS: u64 = 2;
const FINDINGS: u64 = 3;
const EFFECTS: u64 = 5;
const EVENTS: u64 = 12;
/// Calls of models in each review, and levels that each call draws on.
const CALLS: u64 = 3;
const LEVELS: u64 = 3;
/// Pull requests for each row of tables that have some of a few.
const FEW: u64 = 20;
const COMMENTED: u64 = 5;

/// The rows of a pull request, without those of a few.
const ROWS: u64 =
    REVIEWS + FINDINGS + (FINDINGS + 1) + EFFECTS + EVENTS + REVIEWS * CALLS * (1 + LEVELS) + REVIEWS + 2;

/// The size of a store.
#[derive(Clone, Copy)]
pub(super) struct StoreSize {
    pub(super) pulls: u64,
    pub(super) now: UnixMillis,
}

impl StoreSize {
    /// So many records in all, nearly.
    pub(super) fn of_rows(rows: u64, now: UnixMillis) -> Self {
        Self { pulls: (rows / ROWS).max(1), now }
    }

    fn start(&self) -> i64 {
        self.now.0 - DAYS as i64 * DAY_MS
    }

    /// The instant of a pull request.
    fn at(&self, pull: &str) -> String {
        let step = (DAYS as i64 * DAY_MS / self.pulls as i64).max(1);
        format!("({} + ({pull}) * {step})", self.start())
    }

    /// The beginning of a review: the second one comes an hour after the first.
    fn began(&self, review: &str) -> String {
        format!(
            "({} + ({review}) % {REVIEWS} * 3600000 + 15000)",
            self.at(&format!("({review}) / {REVIEWS}"))
        )
    }

    fn days(&self) -> Vec<UnixMillis> {
        (0..DAYS as i64).map(|number| UnixMillis(self.start() + number * DAY_MS)).collect()
    }

    fn months(&self) -> Vec<String> {
        let mut months: Vec<String> = self.days().into_iter().map(month).collect();
        months.dedup();
        months
    }
}

/// The key of a pull request.
fn key(pull: &str) -> String {
    format!("'pr/github/' || (1000 + ({pull}) % {REPOSITORIES}) || '/' || (({pull}) / {REPOSITORIES} + 1)")
}

fn repository(pull: &str) -> String {
    format!("'acme/service-' || (1000 + ({pull}) % {REPOSITORIES})")
}

/// The name of a pull request, in SQL.
fn name(pull: &str) -> String {
    format!("{} || '#' || (({pull}) / {REPOSITORIES} + 1)", repository(pull))
}

/// The same of one that is known.
pub(super) fn name_of(pull: u64) -> String {
    format!("acme/service-{}#{}", 1000 + pull % REPOSITORIES, pull / REPOSITORIES + 1)
}

/// A commit of its own for each number.
fn sha(number: &str) -> String {
    format!("(1000000000000000 + {number}) || '0a1b2c3d4e5f60718293a4b5'")
}

/// The id of a run; its digits grow with time, as those of the program do.
fn run(number: &str) -> String {
    format!("'019ac3d2-5e4f-7a1b-8c0d-' || (100000000000 + {number})")
}

fn finding(number: &str) -> String {
    format!("'f' || (100000000 + {number})")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text with other words in place of its marks.
fn marked(text: &str, marks: &[(&str, &str)]) -> String {
    marks
        .iter()
        .filter(|(mark, _)| text.contains(mark))
        .fold(quoted(text), |sql, (mark, with)| format!("replace({sql}, '{mark}', CAST({with} AS TEXT))"))
}

/// The numbers from 0 on, as many as are told; as long ones, or PostgreSQL multiplies short ones.
fn series(count: u64) -> String {
    format!("generate_series(CAST(0 AS BIGINT), {}) AS value", count as i64 - 1)
}

/// A statement that adds so many rows.
fn insert(table: &str, columns: &str, (count, row): (u64, &str)) -> String {
    format!("INSERT INTO {table} ({columns}) SELECT {row} FROM {}", series(count))
}

/// The statements that add all records.
pub(super) fn records(size: &StoreSize) -> Result<String> {
    let shapes = shapes()?;
    let all = [runs(size, &shapes), shown(size, &shapes), heard(size, &shapes), money(size)].concat();
    Ok(all.iter().map(|insert| format!("{insert};\n")).collect())
}

fn runs(size: &StoreSize, shapes: &RowTexts) -> Vec<String> {
    let columns =
        "key, loop, token, id, stage, head, base, began, kept, ended, kind, reason, cost, computed, record";
    let (key_of, began, id) = (key("value / 2"), size.began("value"), run("value"));
    let (began_text, ended) = (BEGAN.to_string(), format!("({began} + {TOOK_MS})"));
    let (ended_text, head) = (ENDED.to_string(), sha("value"));
    let base = sha("value / 2 % 1000");
    let marks = [
        (RUN, id.as_str()),
        (KEY, &key_of),
        (HEAD, &head),
        (BASE, &base),
        (&began_text, &began),
        (&ended_text, &ended),
    ];
    let record = marked(&shapes.review, &marks);
    let review = format!(
        "{key_of}, 'review', value + 1, {id}, 'published', {head}, {base}, {began}, {ended}, {ended}, 'reviewed', NULL, \
         {COST}, {record}, {record}"
    );

    let pull = format!("(value * {FEW})");
    let (key_of, at, id) = (key(&pull), size.at(&pull), run("900000000 + value"));
    let record = marked(&shapes.converge, &[(RUN, &id), (KEY, &key_of), (&ended_text, &at)]);
    let none = quoted(&"0".repeat(40));
    let (kind, reason) = (quoted(&shapes.converge_kind), quoted(&shapes.converge_reason));
    let converge = format!(
        "{key_of}, 'converge', {pull} + 1, {id}, 'ended', {none}, {none}, {at}, {at}, {at}, {kind}, {reason}, 0, NULL, {record}"
    );
    vec![
        insert("run", columns, (size.pulls * REVIEWS, &review)),
        insert("run", columns, (size.pulls / FEW, &converge)),
    ]
}

/// Findings, what pull requests should show and do show.
fn shown(size: &StoreSize, shapes: &RowTexts) -> Vec<String> {
    let of_pull = format!("value / {FINDINGS}");
    let id = finding("value");
    let body = marked(&shapes.finding, &[(FINDING, &id)]);
    let findings = format!("{}, {id}, value % {FINDINGS}, {body}", key(&of_pull));

    // The summary, then the findings.
    let items = FINDINGS + 1;
    let (pull, at) = (format!("value / {items}"), format!("value % {items}"));
    let id = finding(&format!("({pull}) * {FINDINGS} + {at} - 1"));
    let (summary, line) = (marked(&shapes.summary, &[]), marked(&shapes.line, &[(FINDING, &id)]));
    let desired = format!(
        "{}, 'review', CASE WHEN {at} = 0 THEN 'summary' ELSE {id} END, {at}, CASE WHEN {at} = 0 THEN {summary} ELSE {line} END, \
         NULL, CAST(3000000000 + value AS TEXT)",
        key(&pull)
    );

    let status = marked(&shapes.status, &[(HEAD, &sha(&format!("value * {REVIEWS} + 1")))]);
    let status = format!("{}, {status}, 1", key("value"));

    // The status, then the items.
    let (pull, at) = (format!("value / {EFFECTS}"), format!("value % {EFFECTS}"));
    let id = finding(&format!("({pull}) * {FINDINGS} + {at} - 2"));
    let effect = format!(
        "{}, 'review', CASE {at} WHEN 0 THEN 'status' WHEN 1 THEN 'item/summary' ELSE 'item/' || {id} END, \
         ({pull}) * {REVIEWS} + 2, {} || '0a1b2c3d4e5f60718293a4b5', {}, NULL, CAST(3000000000 + value AS TEXT)",
        key(&pull),
        sha("value"),
        size.at(&pull)
    );

    let url = format!(
        "'https://github.example.com/' || {} || '/pull/' || (value / {REPOSITORIES} + 1)",
        repository("value")
    );
    let described =
        format!("{}, {}, {url}, {}", key("value"), name("value"), sha(&format!("value * {REVIEWS} + 1")));
    vec![
        insert("finding", "key, id, position, body", (size.pulls * FINDINGS, &findings)),
        insert(
            "desired",
            "key, producer, item, position, body, lowered, comment",
            (size.pulls * items, &desired),
        ),
        insert("status", "key, body, done", (size.pulls, &status)),
        insert(
            "effect",
            "key, producer, topic, token, content, at, lost, comment",
            (size.pulls * EFFECTS, &effect),
        ),
        insert("described", "key, name, url, head", (size.pulls, &described)),
    ]
}

/// History, and the little of what people do.
fn heard(size: &StoreSize, shapes: &RowTexts) -> Vec<String> {
    let (pull, at) = (format!("value / {EVENTS}"), format!("value % {EVENTS}"));
    let review = format!("({pull}) * {REVIEWS} + {at} / 6");
    let event = format!(
        "{}, {} + {at} % 6 * 1000, CASE WHEN {at} % 6 < 2 THEN '' ELSE {} END, CASE {at} % 6 \
         WHEN 0 THEN 'webhook: pull request synchronized at ' || {} WHEN 1 THEN 'due for a review after the debounce' \
         WHEN 2 THEN 'leased: review of ' || {} WHEN 3 THEN 'computed: 3 findings, 2 of them block, $0.041' \
         WHEN 4 THEN 'published: 1 review with 3 comments, 1 summary, status failure' ELSE 'finished: reviewed in 62 s' END",
        key(&pull),
        size.began(&review),
        run(&review),
        sha(&review),
        sha(&review)
    );
    let repository_row =
        format!("'github', CAST(1000 + value AS TEXT), {}, {}, NULL", repository("value"), size.now.0);
    let commented = format!("value * {COMMENTED}");
    let comment = format!(
        "'github', CAST(1000 + ({commented}) % {REPOSITORIES} AS TEXT), 'conversation', 3000000000 + value, \
         ({commented}) / {REPOSITORIES} + 1, {}, 1",
        size.at(&commented)
    );
    let few = format!("value * {FEW}");
    let id = finding(&format!("{few} * {FINDINGS}"));
    let at = size.at(&few);
    let body = marked(&shapes.dismissal, &[(FINDING, &id), (&ENDED.to_string(), &at)]);
    let dismissal = format!("{}, {id}, value + 1, {body}", key(&few));
    let audit = format!("{at}, 'ada', 'dismiss', {}, 'wanted here: the caller has the lock'", name(&few));
    let notice = format!(
        "'parked', {}, CAST({at} AS TEXT), {} || ' is parked after 5 attempts: the forge gave no answer', {at}, {at} + 1000",
        key(&few),
        name(&few)
    );
    let some = size.pulls / FEW;
    vec![
        insert("event", "key, at, run, what", (size.pulls * EVENTS, &event)),
        insert("repository", "forge, id, name, cursor, gone", (REPOSITORIES, &repository_row)),
        insert(
            "comment_seen",
            "forge, repository, kind, id, number, at, served",
            (size.pulls / COMMENTED, &comment),
        ),
        insert("dismissal", "key, finding, version, body", (some, &dismissal)),
        insert("audit", "at, actor, action, target, detail", (some, &audit)),
        insert("notice", "kind, key, period, text, created, sent", (some, &notice)),
    ]
}

/// Levels, which get their numbers in this order from 1 on, and what was drawn on them.
fn money(size: &StoreSize) -> Vec<String> {
    let (reviews, calls) = (size.pulls * REVIEWS, size.pulls * REVIEWS * CALLS);
    let columns = "kind, key, period, cap, spent, reserved, touched";
    let review = format!(
        "'review', {} || '@' || {}, '', 2000000, {COST}, 0, {}",
        key(&format!("value / {REVIEWS}")),
        sha("value"),
        size.began("value")
    );
    let days = size.days();
    let listed: Vec<String> =
        days.iter().enumerate().map(|(at, now)| format!("({at}, '{}', {})", day(*now), now.0)).collect();
    let of_day = format!(
        "INSERT INTO level ({columns}) SELECT 'repo_day', {}, day.column2, 20000000, 400000, 0, day.column3 \
         FROM (VALUES {}) AS day, {} ORDER BY day.column1, value",
        repository("value"),
        listed.join(", "),
        series(REPOSITORIES)
    );
    let months = size.months();
    let listed: Vec<String> = months
        .iter()
        .map(|month| {
            format!("('team_month', 'platform', '{month}', 9000000000, 1000000000, 0, {})", size.now.0)
        })
        .collect();
    let of_month = format!("INSERT INTO level ({columns}) VALUES {}", listed.join(", "));

    let paid = format!("value / {CALLS}");
    let reservation =
        format!("{}, 120000, {} + 600000, {}, 'metered'", run(&paid), size.began(&paid), COST / CALLS);
    // The day and the month of a call are those of its pull request, nearly.
    let pull = format!("value / {}", REVIEWS * CALLS);
    let per_day = (size.pulls / DAYS).max(1);
    let per_month = (size.pulls / months.len() as u64).max(1);
    let first_day = reviews + 1;
    let first_month = first_day + DAYS * REPOSITORIES;
    let part = |of: u64, count: u64| {
        format!("CASE WHEN {pull} / {of} < {count} THEN {pull} / {of} ELSE {} END", count - 1)
    };
    let draw = |level: String| insert("draw", "reservation, level", (calls, &format!("value + 1, {level}")));
    vec![
        insert("level", columns, (reviews, &review)),
        of_day,
        of_month,
        insert("reservation", "run, amount, expires, cost, known", (calls, &reservation)),
        draw(format!("{paid} + 1")),
        draw(format!("{first_day} + ({}) * {REPOSITORIES} + {pull} % {REPOSITORIES}", part(per_day, DAYS))),
        draw(format!("{first_month} + {}", part(per_month, months.len() as u64))),
    ]
}

/// The statements that add slots, which are due, to a SQLite file. Those of servers are made of them.
pub(super) fn slots(count: u64, now: UnixMillis) -> Result<String> {
    let at = format!("({} + value * 10)", now.0 - 3_600_000);
    let key_of = key("value");
    let body = marked(&shapes()?.slot, &[(KEY, &key_of), (&BEGAN.to_string(), &at)]);
    // The instants that follow from the first stay as they are: nothing here reads them.
    let row = format!("{key_of}, value + 1, {at}, {body}, 'waiting/debounce'");
    let insert = insert("slot", "key, version, wakes_at, body, shown", (count, &row));
    // No token and no version is given again.
    let raise = "UPDATE store SET counter = max(counter, (SELECT coalesce(max(token), 0) FROM run), (SELECT max(version) FROM slot))";
    Ok(format!("{insert};\n{raise};\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_pull_request_are_as_many_as_are_counted() {
        let size = StoreSize::of_rows(54_000, UnixMillis(1_790_000_000_000));
        assert_eq!(size.pulls, 54_000 / ROWS);
        let sum: u64 = records(&size).unwrap().lines().filter_map(counted).sum();
        let counted = size.pulls * ROWS;
        // A few rows come from tables that have some of a few, and from days.
        assert!(sum >= counted && sum < counted + counted / 50, "{sum} {counted}");
    }

    fn counted(insert: &str) -> Option<u64> {
        let (_, rest) = insert.rsplit_once("generate_series(CAST(0 AS BIGINT), ")?;
        Some(rest.split(')').next()?.parse::<u64>().ok()? + 1)
    }

    #[test]
    fn marks_are_replaced_by_what_each_row_has() {
        assert_eq!(
            marked("it's @RUN", &[(RUN, "value"), (KEY, "1")]),
            "replace('it''s @RUN', '@RUN', CAST(value AS TEXT))"
        );
    }
}
