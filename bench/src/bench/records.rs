//! `cargo xtask bench records`: measures the response times of commands and of queries for due slots, on a
//! store of millions of records. Then measures the cost of moving a smaller store to the other engine and
//! back. The store contains the records that a service accumulates during the whole retention time. All slots
//! are due.

mod fill;
mod measured_store;
mod shapes;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use truing_core::id::UnixMillis;

use super::process::create_disk_folder;
use super::{meter, watch};
use crate::{say, workspace};
use fill::{DAYS, REPOSITORIES, StoreSize};
use measured_store::MeasuredStore;

/// Promised maximum duration of a command, in seconds.
const MAX_COMMAND_SECONDS: f64 = 1.0;
/// Promised maximum duration of a query for due slots, in milliseconds.
const MAX_DUE_QUERY_MS: f64 = 20.0;
/// Promised maximum memory of a process that moves a store, in MB.
const MAX_MOVE_MEMORY_MB: f64 = 200.0;
/// Number of queries for due slots.
const DUE_QUERY_COUNT: u32 = 300;

/// The engines that can be measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RecordsEngine {
    /// One SQLite file
    Sqlite,
    /// Slots in Redis, records in PostgreSQL
    Valkey,
}

/// The store to measure, its size, and the number of measurements.
#[derive(Args)]
pub(crate) struct Options {
    /// The store to measure; both by default
    #[arg(long, value_enum)]
    store: Option<RecordsEngine>,
    /// Number of records, i.e. of rows in all tables except the table of slots
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// Number of slots; all of them wait and are due
    #[arg(long, default_value_t = 100_000)]
    slots: u64,
    /// Number of records in the store that is moved from SQLite to the servers and back; 0: no move
    #[arg(long, default_value_t = 1_000_000)]
    moved: u64,
    /// Number of runs of each command; the median is used
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The server program of Redis (from Debian's package redis-server) or of Valkey
    #[arg(long, value_name = "FILE", default_value = "redis-server")]
    redis: PathBuf,
}

/// The folders and programs that the measurement uses, and the current time.
struct BenchPrograms<'a> {
    root: &'a Path,
    program: PathBuf,
    redis: &'a Path,
    now: UnixMillis,
}

/// Runs the measurement. Returns `false` if a figure misses its promised limit.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if options.rows == 0 || options.slots == 0 || options.repeats == 0 {
        bail!("--rows, --slots and --repeats must be at least 1");
    }
    let root = workspace::workspace_root()?;
    let program = match &options.program {
        Some(program) => program.canonicalize().with_context(|| format!("no {}", program.display()))?,
        None => super::program::build_truing(&root)?,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let tools =
        BenchPrograms { root: &root, program, redis: &options.redis, now: UnixMillis(i64::try_from(now)?) };
    say::print_line(&format!(
        "records of {REPOSITORIES} repositories and {DAYS} days, {} slots that are due, each command {} \
         times",
        options.slots, options.repeats
    ));
    let mut kept = true;
    for engine in [RecordsEngine::Sqlite, RecordsEngine::Valkey] {
        if options.store.is_none_or(|only| only == engine) {
            kept &= measure_engine(engine, options, &tools)?;
        }
    }
    if options.moved > 0 {
        kept &= measure_store_move(options, &tools)?;
    }
    Ok(kept)
}

/// Prints a figure and its promised limit. Returns true if the figure keeps to the limit.
fn print_figure(label: &str, value: f64, limit: f64, unit: &str, note: &str) -> bool {
    let kept = value < limit;
    let word = if kept { "ok" } else { "MISSED" };
    say::print_line(&format!(
        "{label:<34} {value:>9.2} {unit:<3} promised < {limit} {unit}: {word:<7} {note}"
    ));
    kept
}

fn measure_engine(engine: RecordsEngine, options: &Options, tools: &BenchPrograms<'_>) -> Result<bool> {
    let size = StoreSize::from_row_count(options.rows, tools.now);
    let data = create_disk_folder(tools.root)?;
    let begun = Instant::now();
    let served = match engine {
        RecordsEngine::Sqlite => {
            MeasuredStore::create_file_store(tools, data.path(), Some(&size), options.slots)?
        }
        RecordsEngine::Valkey => MeasuredStore::start_server_store(tools, data.path(), &size, options.slots)?,
    };
    let counts = served.table_counts()?;
    let rows: u64 = counts.iter().map(|(_, rows)| rows).sum();
    let bytes = served.disk_bytes()? as f64;
    let tables: Vec<String> = counts.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
    say::print_line(&format!(
        "\n{}: {rows} records, made in {:.0} s",
        served.name(),
        begun.elapsed().as_secs_f64()
    ));
    say::print_line(&format!("  {}", tables.join(", ")));
    say::print_line(&format!(
        "  {:.1} GB on the disk: {:.0} bytes a record, {:.1} KB a pull request",
        bytes / 1e9,
        bytes / rows as f64,
        bytes / 1e3 / size.pulls as f64
    ));

    let mut kept = true;
    // These pull requests are of different ages; the first one always has a slot.
    let names: Vec<String> =
        (0..options.repeats as u64).map(|at| fill::pull_name(at * 7919 % size.pulls)).collect();
    let list = vec![vec!["queue", "list"]; options.repeats];
    let reason = names.iter().map(|name| vec!["why", name.as_str()]).collect();
    let report = vec![vec!["report", "--since", "30d"]; options.repeats];
    for (label, runs) in
        [("truing queue list", list), ("truing why", reason), ("truing report --since 30d", report)]
    {
        let times = runs
            .iter()
            .map(|arguments| Ok(meter::measure_run(&mut served.command(arguments))?.elapsed_seconds));
        let times: Vec<f64> = times.collect::<Result<_>>()?;
        let worst = times.iter().copied().fold(0.0, f64::max);
        kept &=
            print_figure(label, meter::median(times), MAX_COMMAND_SECONDS, "s", &format!("worst {worst:.2}"));
    }
    let due = measure_due_queries(&served, tools)?;
    let more = format!("p50 {:.2}, {} slots of {} due", due.p50, due.slots, options.slots);
    Ok(print_figure("due, p99", due.p99, MAX_DUE_QUERY_MS, "ms", &more) && kept)
}

/// The output of the store's own benchmark of queries for due slots.
#[derive(Deserialize)]
struct DueQueryLatency {
    slots: u64,
    p50: f64,
    p99: f64,
}

/// Measures queries for due slots with the store's own benchmark, which runs all queries in one process.
fn measure_due_queries(store: &MeasuredStore, tools: &BenchPrograms<'_>) -> Result<DueQueryLatency> {
    let mut bench = workspace::cargo_command(tools.root);
    bench.args(["bench", "--locked", "--quiet", "--package", "truing-store", "--bench", "due", "--"]);
    bench.arg(DUE_QUERY_COUNT.to_string()).args(store.addresses()).current_dir(tools.root);
    let bench_output = workspace::command_output(&mut bench)?;
    serde_json::from_str(bench_output.trim()).with_context(|| format!("no figures in {bench_output}"))
}

/// Moves a SQLite store to Redis and PostgreSQL and back, and measures the memory of both moves.
fn measure_store_move(options: &Options, tools: &BenchPrograms<'_>) -> Result<bool> {
    let size = StoreSize::from_row_count(options.moved, tools.now);
    let data = create_disk_folder(tools.root)?;
    let from = MeasuredStore::create_file_store(tools, data.path(), Some(&size), options.slots)?;
    let rows: u64 = from.table_counts()?.iter().map(|(_, rows)| rows).sum();
    let to = MeasuredStore::start_empty_servers(tools, data.path())?;
    say::print_line(&format!("\nmoving {rows} records and {} slots", options.slots));
    let back = format!("sqlite:{}", data.path().join("back.db").display());
    let mut kept = true;
    for (label, source, target) in
        [("from SQLite to the servers", from.url(), to.url()), ("from the servers to SQLite", to.url(), back)]
    {
        let begun = Instant::now();
        let seen = watch::run_and_measure(
            &mut to.command(&["store", "migrate", "--from", &source, "--to", &target]),
        )?;
        let took = begun.elapsed().as_secs_f64();
        if !seen.status.success() {
            bail!("{label}: `truing store migrate` failed ({})", seen.status);
        }
        let more = format!("in {took:.1} s, {:.0} records a second", rows as f64 / took);
        kept &= print_figure(label, seen.own_bytes as f64 / 1024.0 / 1024.0, MAX_MOVE_MEMORY_MB, "MB", &more);
    }
    Ok(kept)
}

/// Runs a command with this text as its standard input. The command's output is discarded.
fn run_with_input(command: &mut Command, text: &str) -> Result<()> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let mut input = child.stdin.take().context("there is no standard input")?;
    let written = input.write_all(text.as_bytes());
    drop(input);
    let status = child.wait()?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    written.context("the statements were not read")
}
