//! `truing report`: how runs ended, in totals and day by day; for programs, every outcome record too.

mod screen;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value, json};
use truing_core::id::Millis;
use truing_core::money::MicroUsd;
use truing_core::outcome::{Modelled, OutcomeKind, OutcomeRecord};
use truing_core::port::{Clock as _, Slots as _};
use truing_store::{Ended, EndedRun, Stage};

use super::error::{CliError, Exit};
use super::target::{existing_store, instant, store_error};
use super::{Context, Format, runtime};
use crate::config::value::milliseconds;
use crate::wiring::SystemClock;

/// A day, in milliseconds.
const DAY: i64 = 86_400_000;
/// Outcome records that are printed unless told otherwise.
const RECORDS: usize = 1000;

/// Tell how runs ended: totals and trends
///
/// Only runs that ended are told of. They are remembered for `retention.runs`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Since when: a length of time (7d, 24h), a day (2026-09-21) or an instant, in UTC
    #[arg(long, value_name = "D", default_value = "7d", value_parser = Since::parse)]
    since: Since,
    /// Only this loop
    #[arg(long = "loop", value_name = "L", value_enum)]
    of: Option<LoopFlag>,
    /// With --format json: so many of the last outcome records at most
    #[arg(long, value_name = "N", default_value_t = RECORDS)]
    limit: usize,
}

/// The loops that there are.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LoopFlag {
    /// Reviews, of the service and on this machine
    Review,
}

/// Since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Since {
    /// So many milliseconds ago.
    Ago(i64),
    /// Then.
    At(Millis),
}

impl Since {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(ago) = milliseconds(text) {
            let too_long = |_| format!("`{text}` is longer than time");
            return i64::try_from(ago).map(Self::Ago).map_err(too_long);
        }
        // An instant first: it begins like a day.
        let at = text.parse::<Timestamp>().ok().or_else(|| {
            let day = text.parse::<Date>().ok()?;
            Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        at.map(|at| Self::At(Millis(at.as_millisecond()))).ok_or_else(|| {
            format!("`{text}` is neither a length of time (7d, 24h) nor a day (2026-09-21) nor an instant")
        })
    }

    fn at(self, now: Millis) -> Millis {
        match self {
            Self::Ago(ago) => Millis(now.0.saturating_sub(ago)),
            Self::At(at) => at,
        }
    }
}

/// The answer for scripts: totals, trends, and `truing.outcome/1` records (cli.md, "Prompts, reports, health").
#[derive(Serialize)]
struct Answer {
    schema: &'static str,
    since: String,
    until: String,
    /// Of all runs in that time.
    totals: Totals,
    /// Of each UTC day with a run, oldest first.
    days: Vec<Day>,
    /// The last runs, newest first.
    outcomes: Vec<Value>,
    /// Is there more than these?
    truncated: bool,
}

/// How many runs ended how.
#[derive(Serialize, Clone, Default)]
struct Totals {
    runs: u64,
    kinds: Map<String, Value>,
    cost_micro_usd: u64,
    mean_ms: u64,
    reasons: Vec<Reason>,
}

#[derive(Serialize, Clone)]
struct Reason {
    kind: String,
    reason: String,
    runs: u64,
}

#[derive(Serialize)]
struct Day {
    day: String,
    runs: u64,
    kinds: Map<String, Value>,
    cost_micro_usd: u64,
    mean_ms: u64,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let config = context.config(&[])?;
    // There is one loop: whoever names it sees all.
    match args.of {
        Some(LoopFlag::Review) | None => {}
    }
    let is_json = context.output.format() == Format::Json;
    runtime::start()?.block_on(async {
        let store = existing_store(&config)?;
        let now = match &store {
            Some(store) => store.now().await.map_err(store_error)?,
            None => SystemClock.now(),
        };
        let since = args.since.at(now);
        let ended = match &store {
            Some(store) => store.ended_by_day(since).await.map_err(store_error)?,
            None => Vec::new(),
        };
        if !is_json {
            context.output.data(screen::screen(&ended, since, now))?;
            return Ok(Exit::Done);
        }
        let last = match &store {
            Some(store) => store.last_ended(since, args.limit).await.map_err(store_error)?,
            None => Vec::new(),
        };
        let totals = totals(&ended);
        context.output.json(&Answer {
            schema: "truing.report/1",
            since: instant(since),
            until: instant(now),
            truncated: totals.runs > last.len() as u64,
            days: days(&ended),
            totals,
            outcomes: last.iter().map(outcome).collect(),
        })?;
        Ok(Exit::Done)
    })
}

/// All five kinds, also those that did not happen: a script need not ask whether they are there.
fn kinds<'a>(ended: impl Iterator<Item = &'a Ended> + Clone) -> Map<String, Value> {
    let count = |kind: &str| ended.clone().filter(|row| row.kind == kind).map(|row| row.runs).sum::<u64>();
    OutcomeKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), count(kind.as_str()).into())).collect()
}

fn mean(ms: u64, runs: u64) -> u64 {
    ms.checked_div(runs).unwrap_or(0)
}

fn totals(ended: &[Ended]) -> Totals {
    let sum = |of: fn(&Ended) -> u64| ended.iter().map(of).sum::<u64>();
    let runs = sum(|row| row.runs);
    Totals {
        runs,
        kinds: kinds(ended.iter()),
        cost_micro_usd: sum(|row| row.cost),
        mean_ms: mean(sum(|row| row.ms), runs),
        reasons: reasons(ended),
    }
}

/// Reasons, the most frequent first.
fn reasons(ended: &[Ended]) -> Vec<Reason> {
    let mut by_words = std::collections::BTreeMap::<(&str, &str), u64>::new();
    for row in ended.iter().filter(|row| !row.reason.is_empty()) {
        *by_words.entry((&row.kind, &row.reason)).or_default() += row.runs;
    }
    let mut reasons: Vec<Reason> = by_words
        .into_iter()
        .map(|((kind, reason), runs)| Reason { kind: kind.to_owned(), reason: reason.to_owned(), runs })
        .collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.runs));
    reasons
}

fn days(ended: &[Ended]) -> Vec<Day> {
    ended
        .chunk_by(|a, b| a.day == b.day)
        .map(|rows| {
            let Totals { runs, kinds, cost_micro_usd, mean_ms, .. } = totals(rows);
            let day = rows.first().map_or_else(String::new, |row| date(row.day));
            Day { day, runs, kinds, cost_micro_usd, mean_ms }
        })
        .collect()
}

/// A UTC day, in days since 1970, as people write it.
fn date(day: i64) -> String {
    instant(Millis(day.saturating_mul(DAY))).chars().take(10).collect()
}

/// A run as `truing.outcome/1`.
///
/// A review by rules has no prompt and calls no model; its whole work is one step, a model's part another. What it was
/// of, beside the key:
/// `review_id`, `name`, `url`, `head`, `base`, `open`.
fn outcome(run: &EndedRun) -> Value {
    let record = &run.record;
    let ms = record.ended.0.saturating_sub(record.started.0).max(0);
    let (name, url) = run.described.clone().unzip();
    let title = match run.stage {
        Stage::Prepared | Stage::Ended => "head and base are known",
        Stage::Computed => "findings are recorded",
        Stage::Published => "the review is shown",
    };
    json!({
        "schema": "truing.outcome/1",
        "loop": "review",
        "key": record.key,
        "kind": record.outcome.kind,
        "result": null,
        "exit_reason": record.outcome.reason,
        "update_type": null,
        "highest_step": {"id": step(run.stage), "title": title},
        "steps": steps(record, ms),
        "pr": null,
        "model": record.modelled.as_ref().map(|modelled| &modelled.model),
        "prompt_hash": record.modelled.as_ref().map(|modelled| &modelled.prompt_hash),
        "versions": record.versions,
        "evidence": null,
        "started": instant(record.started),
        "ended": instant(record.ended),
        "review_id": record.run,
        "runtime": record.outcome.runtime,
        "name": name,
        "url": url,
        "head": record.head,
        "base": record.base,
        "open": record.open.iter().map(|(severity, count)| json!({"severity": severity, "count": count})).collect::<Vec<_>>(),
        "not_reviewed": record.coverage.not_reviewed.len(),
        "turns": record.turns,
        "cost_micro_usd": record.cost_micro_usd,
        "tokens": record.modelled.as_ref().map(|modelled| modelled.tokens),
        "permission_denials": record.modelled.as_ref().map(|modelled| &modelled.denials),
        "dropped": record.modelled.as_ref().map(|modelled| &modelled.dropped),
    })
}

/// What a run did, and what each part took. `ms`: all of it.
fn steps(record: &OutcomeRecord, ms: i64) -> Vec<Value> {
    let step = |id: &str, turns: u32, tokens: u64, cost: MicroUsd, ms: i64| json!({ "id": id, "turns": turns, "tokens": tokens, "cost_micro_usd": cost, "ms": ms });
    let Some(Modelled { tokens, ms: own, .. }) = &record.modelled else {
        return vec![step("review", record.turns, 0, record.cost_micro_usd, ms)];
    };
    let own = i64::try_from(*own).unwrap_or(i64::MAX);
    vec![
        step("review", 0, 0, MicroUsd(0), ms.saturating_sub(own).max(0)),
        step("agent", record.turns, tokens.all(), record.cost_micro_usd, own),
    ]
}

/// The highest step that a run came to.
fn step(stage: Stage) -> &'static str {
    match stage {
        Stage::Prepared | Stage::Ended => "prepared",
        Stage::Computed => "computed",
        Stage::Published => "published",
    }
}

#[cfg(test)]
mod tests;
