//! `cargo xtask bench ingress`: sends webhooks at a fixed rate (open loop), alternately to `truing serve` and
//! to a peer service (`ingress/peer`). The peer service does the same work, and is built from Fastify, BullMQ
//! and Redis.
//!
//! Both services respond when the mark of the webhook is on the disk: SQLite with `synchronous = FULL`, Redis
//! with `appendfsync always`, PostgreSQL with its defaults. The figures of a service include all its
//! processes, also those of its store. Neither service has other work, because nothing becomes due before the
//! measurement ends.

mod load;
mod payload;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::meter::median;
use super::process::ChildUsage;
use crate::{say, workspace};
use load::{LoadResult, RequestLoad};
use server::{IngressService, RunningService};

/// Number of different pull requests in the webhooks.
const PULLS: usize = 500;
/// Time of the warm-up, which fills code and data caches before the measurement.
const WARM_UP: Duration = Duration::from_secs(2);
/// Factor between two successive rates in the search for the highest rate.
const RATE_STEP_FACTOR: f64 = 1.15;
/// A service sustains the intended rate if the ratio of the achieved rate to the intended rate is at least
/// this value. In addition, p99 must be at most `LONGEST_P99`.
const MIN_SUSTAINED_RATE_RATIO: f64 = 0.99;
const LONGEST_P99: Duration = Duration::from_millis(100);
/// The search for the highest rate ends at this rate.
const MAX_SEARCHED_RATE: f64 = 100_000.0;

/// The store in which `truing serve` keeps its slots and records.
#[derive(Clone, Copy, ValueEnum)]
enum IngressStore {
    /// One SQLite file
    Sqlite,
    /// Slots in Redis, records in PostgreSQL
    Valkey,
}

/// The promised limits of Truing's figures, as multiples of the peer's figures.
struct PeerRatioLimits {
    cpu: f64,
    p99: Option<f64>,
    memory: f64,
    highest_rate: f64,
}

impl IngressStore {
    fn promised_bounds(self) -> PeerRatioLimits {
        match self {
            Self::Sqlite => PeerRatioLimits { cpu: 0.3, p99: Some(0.5), memory: 0.25, highest_rate: 2.5 },
            Self::Valkey => PeerRatioLimits { cpu: 0.35, p99: None, memory: 0.25, highest_rate: 2.0 },
        }
    }
}

/// The measurement to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Webhooks a second
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// Duration of each measurement at the fixed rate, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Number of measurements of each service, alternately; the medians are used
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Number of connections that send webhooks
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long each step of the search for the highest rate takes, in seconds; 0: no search
    #[arg(long, default_value_t = 4)]
    step_seconds: u64,
    /// The store for the slots and records of our own server; `valkey` also requires Debian's package
    /// postgresql
    #[arg(long, value_enum, default_value_t = IngressStore::Sqlite)]
    store: IngressStore,
    /// Measure only our own server
    #[arg(long)]
    alone: bool,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The server program of Redis (from Debian's package redis-server) or of Valkey
    #[arg(long, value_name = "FILE", default_value = "redis-server")]
    redis: PathBuf,
}

/// Runs the measurement. Returns `false` if a figure misses its promised limit.
pub(crate) fn run(options: &Options) -> Result<bool> {
    if options.rate == 0 || options.seconds == 0 || options.repeats == 0 || options.connections == 0 {
        bail!("--rate, --seconds, --repeats and --connections must be at least 1");
    }
    let root = workspace::workspace_root()?;
    let program = match &options.program {
        Some(program) => program.canonicalize().with_context(|| format!("no {}", program.display()))?,
        None => super::program::build_truing(&root)?,
    };
    let mut kinds =
        vec![IngressService::Truing { program, store: options.store, redis: options.redis.clone() }];
    if !options.alone {
        kinds.push(IngressService::Peer {
            redis: options.redis.clone(),
            folder: server::install_peer(&root)?,
        });
    }
    let payloads = payload::signed_payloads(&root, PULLS)?;
    say::print_line(&format!(
        "{} payloads of about {} bytes, {} connections, {} webhooks/s for {} s, {} times by turns",
        payloads.len(),
        payloads.first().map_or(0, payload::RequestPayload::len),
        options.connections,
        options.rate,
        options.seconds,
        options.repeats,
    ));
    let load = RequestLoad { payloads: &payloads, connections: options.connections };

    let mut fixed: Vec<Vec<IngressFigures>> = kinds.iter().map(|_| Vec::new()).collect();
    let mut highest: Vec<Vec<f64>> = kinds.iter().map(|_| Vec::new()).collect();
    for round in 1..=options.repeats {
        for (at, kind) in kinds.iter().enumerate() {
            let figures =
                measure_at_rate(kind, &load, f64::from(options.rate), Duration::from_secs(options.seconds))?;
            say::print_line(&format!("{round} {:<6} {}", kind.name(), figures.render_figures()));
            fixed[at].push(figures);
        }
    }
    if options.step_seconds > 0 {
        for round in 1..=options.repeats.min(3) {
            for (at, kind) in kinds.iter().enumerate() {
                let rate = find_highest_rate(kind, &load, f64::from(options.rate), options.step_seconds)?;
                say::print_line(&format!("{round} {:<6} sustains {rate:.0} webhooks/s", kind.name()));
                highest[at].push(rate);
            }
        }
    }
    Ok(print_report(&kinds, &fixed, &highest, &options.store.promised_bounds()))
}

/// The figures of one run at a fixed rate.
struct IngressFigures {
    /// CPU time of all processes, in µs per webhook.
    cpu: f64,
    /// CPU time of each process, in µs per webhook, with the name of the process.
    cpu_micros_by_process: Vec<(&'static str, f64)>,
    p50: f64,
    p99: f64,
    /// Peak resident memory of all processes, MB.
    memory: f64,
    failed: usize,
}

impl IngressFigures {
    fn render_figures(&self) -> String {
        let parts: Vec<String> =
            self.cpu_micros_by_process.iter().map(|(part, cpu)| format!("{part} {cpu:.0}")).collect();
        format!(
            "CPU {:.1} µs a webhook ({}), p50 {:.2} ms, p99 {:.2} ms, memory {:.1} MB, {} failed",
            self.cpu,
            parts.join(", "),
            self.p50,
            self.p99,
            self.memory,
            self.failed
        )
    }
}

fn measure_at_rate(
    kind: &IngressService,
    load: &RequestLoad<'_>,
    rate: f64,
    time: Duration,
) -> Result<IngressFigures> {
    let server = RunningService::start(kind)?;
    load.run(server.port(), rate, WARM_UP)?;
    let before = server.process_usages()?;
    let measured = load.run(server.port(), rate, time)?;
    let after = server.process_usages()?;
    server.stop()?;
    Ok(compute_figures(&measured, &before, &after))
}

fn compute_figures(
    load_result: &LoadResult,
    before: &[(&'static str, ChildUsage)],
    after: &[(&'static str, ChildUsage)],
) -> IngressFigures {
    let millis = |quantile: f64| load_result.latency(quantile).as_secs_f64() * 1e3;
    let each = |(before, after): (&(_, ChildUsage), &(&'static str, ChildUsage))| {
        (
            after.0,
            (after.1.cpu_seconds - before.1.cpu_seconds) * 1e6 / load_result.response_count().max(1) as f64,
        )
    };
    let parts: Vec<(&'static str, f64)> = before.iter().zip(after).map(each).collect();
    IngressFigures {
        cpu: parts.iter().map(|(_, cpu)| cpu).sum(),
        cpu_micros_by_process: parts,
        p50: millis(0.5),
        p99: millis(0.99),
        memory: after.iter().map(|(_, used)| used.peak_memory_mb).sum(),
        failed: load_result.failed,
    }
}

/// Starts a fresh server and raises the rate in steps. Returns the highest rate that the server sustains.
fn find_highest_rate(
    kind: &IngressService,
    load: &RequestLoad<'_>,
    start_rate: f64,
    seconds: u64,
) -> Result<f64> {
    let server = RunningService::start(kind)?;
    load.run(server.port(), start_rate, WARM_UP)?;
    let (mut rate, mut best) = (start_rate, 0.0);
    while rate < MAX_SEARCHED_RATE {
        let measured = load.run(server.port(), rate, Duration::from_secs(seconds))?;
        let p99 = measured.latency(0.99);
        let achieved = measured.responses_per_second();
        if measured.failed > 0 || achieved < rate * MIN_SUSTAINED_RATE_RATIO || p99 > LONGEST_P99 {
            say::print_line(&format!(
                "  {:<6} not {rate:.0}/s: {achieved:.0}/s, p99 {:.1} ms, {} failed",
                kind.name(),
                p99.as_secs_f64() * 1e3,
                measured.failed
            ));
            break;
        }
        best = rate;
        rate *= RATE_STEP_FACTOR;
    }
    server.stop()?;
    Ok(best)
}

/// Prints medians and ratios. Returns `false` if a figure misses its promised limit, or if a request failed.
fn print_report(
    kinds: &[IngressService],
    fixed_rate_figures: &[Vec<IngressFigures>],
    highest_rates: &[Vec<f64>],
    promises: &PeerRatioLimits,
) -> bool {
    let of = |at: usize, part: fn(&IngressFigures) -> f64| {
        median(fixed_rate_figures[at].iter().map(part).collect())
    };
    for (at, kind) in kinds.iter().enumerate() {
        let rate = median(highest_rates[at].clone());
        let sustained = if rate.is_nan() { String::new() } else { format!(", sustains {rate:.0}/s") };
        say::print_line(&format!(
            "{:<6} medians: CPU {:.1} µs, p50 {:.2} ms, p99 {:.2} ms, memory {:.1} MB{sustained}",
            kind.name(),
            of(at, |figures| figures.cpu),
            of(at, |figures| figures.p50),
            of(at, |figures| figures.p99),
            of(at, |figures| figures.memory),
        ));
    }
    let mut kept = fixed_rate_figures.iter().flatten().all(|figures| figures.failed == 0);
    if kinds.len() < 2 {
        return kept;
    }
    let ratio = |part: fn(&IngressFigures) -> f64| of(0, part) / of(1, part);
    let rates = median(highest_rates[0].clone()) / median(highest_rates[1].clone());
    for (what, ratio, promised, at_most) in [
        ("CPU", ratio(|figures| figures.cpu), Some(promises.cpu), true),
        ("p99", ratio(|figures| figures.p99), promises.p99, true),
        ("memory", ratio(|figures| figures.memory), Some(promises.memory), true),
        ("highest rate", rates, Some(promises.highest_rate), false),
    ] {
        if ratio.is_nan() && highest_rates.iter().all(Vec::is_empty) {
            continue; // the search was not requested
        }
        if !ratio.is_finite() {
            // If the machine does not sustain the first rate, no usable ratio exists.
            say::print_line(&format!("{what}: not measured, the machine is too busy"));
            kept = false;
            continue;
        }
        let Some(promised) = promised else {
            say::print_line(&format!("{what}: {ratio:.2} times the peer's, nothing promised"));
            continue;
        };
        let holds = if at_most { ratio <= promised } else { ratio >= promised };
        kept &= holds;
        let (bound, word) =
            (if at_most { "at most" } else { "at least" }, if holds { "ok" } else { "MISSED" });
        say::print_line(&format!(
            "{what}: {ratio:.2} times the peer's, promised {bound} {promised:.2}: {word}"
        ));
    }
    kept
}
