//! Tests of many concurrent runs of a model. They measure the CPU time and memory of the server, and the time
//! from a stop until no process and no temporary file is left.
//!
//! With the other tests, there are only a few runs; `cargo xtask soak --only agents` tests fifty runs and
//! prints the numbers.

use std::fs;

use serde_json::json;
use truing_fakes::model::{ModelFault, ModelScript, ScriptedAnswer};

use super::large::{descendants, peak_memory};
use super::money::{count_requests, report_answer};
use super::stopping::{is_running, wait_until};
use super::*;

/// Environment variable with two numbers: runs, and tool calls per turn.
const SIZE: &str = "TRUING_AGENTS";
const SMALL: (usize, usize) = (3, 10);
/// Maximum number of turns of a run.
const TURNS: usize = 25;
/// Maximum memory of a reader process in bytes.
const MOST_OF_A_READER: u64 = 60_000_000;

fn run_size() -> (usize, usize) {
    std::env::var(SIZE).map_or(SMALL, |text| {
        let (runs, calls) = text.split_once(',').unwrap();
        (runs.parse().unwrap(), calls.parse().unwrap())
    })
}

const BUDGET: &str = "[budget]\nrepo_day_usd = 1000\n";

fn serve(site: &Site, runs: usize) -> Server {
    site.serve_by(site.command(&["serve"]).env("TRUING_SERVER__CONCURRENCY", runs.to_string()))
}

/// Returns an answer with this number of tool calls; each call reads a file.
fn read_calls_answer(calls: usize) -> ScriptedAnswer {
    let look = ScriptedAnswer::tool("read", json!({ "path": "a.py" }));
    let blocks = look.blocks.iter().cycle().take(calls).cloned().collect();
    ScriptedAnswer { blocks, ..look }.usage(1000, 100).times(0)
}

/// Returns the CPU time that a process has used, without its children, in milliseconds.
fn cpu_millis(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let rest = stat.rsplit_once(") ").unwrap().1;
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // The kernel counts 100 ticks per second on every Linux.
    ticks * 10
}

/// Returns the proportional set size of a process in bytes.
fn pss_bytes(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Returns true if the process is a reader. All other child processes are git.
fn is_reader_process(process: u32) -> bool {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(1) == Some(b"reader")
}

/// The resources that a server used for concurrent reviews.
#[derive(Default)]
struct UsedResources {
    /// CPU time of the server in milliseconds.
    cpu: u64,
    /// Maximum proportional set size of a reader in bytes.
    reader: u64,
    /// Maximum number of child processes at the same time.
    children: usize,
}

/// Opens this number of pull requests, waits until all are reviewed, and checks that each summary contains
/// these words. Returns the used resources.
async fn measure_reviews(
    site: &Site,
    server: &Server,
    (runs, name, words): (usize, &str, &str),
) -> UsedResources {
    let process = server.child.id();
    let mut numbers = Vec::new();
    for run in 0..runs {
        numbers.push(site.open_clean(&format!("{name}{run}")).await);
    }
    let before = cpu_millis(process);
    site.deliver().await;
    let all = async {
        for number in numbers {
            let (_, summary) = site.wait_for_status(number).await;
            assert!(summary.contains(words), "{summary}");
        }
    };
    let mut taken = UsedResources::default();
    let mut all = std::pin::pin!(all);
    let mut look = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            () = &mut all => break,
            _ = look.tick() => {
                let children = descendants(process);
                taken.children = taken.children.max(children.len());
                let readers = children.into_iter().filter(|child| is_reader_process(*child));
                taken.reader = taken.reader.max(readers.map(pss_bytes).max().unwrap_or(0));
            }
        }
    }
    taken.cpu = cpu_millis(process) - before;
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_side_by_side_take_little() {
    let (runs, calls) = run_size();
    let (site, model) = Site::with_model([report_answer().times(u32::try_from(runs).unwrap())], BUDGET).await;
    let server = serve(&site, runs);
    // With one turn per review, the result shows the cost of everything except the model's further turns.
    let short = measure_reviews(&site, &server, (runs, "short", "1 turn")).await;
    model.set_script(ModelScript::from_answers([read_calls_answer(calls)]));
    let began = Instant::now();
    let long = measure_reviews(&site, &server, (runs, "long", "turn limit")).await;
    let more = runs * (TURNS - 1);
    assert_eq!(count_requests(&model), runs + runs * TURNS);
    println!(
        "agents: {runs} runs of {TURNS} turns with {calls} calls of tools each, in {:.1} s: {:.2} ms of the \
         server's own time a turn; server {} MB at most, a reader {} MB, {} processes at once",
        began.elapsed().as_secs_f64(),
        long.cpu.saturating_sub(short.cpu) as f64 / more as f64,
        peak_memory(server.child.id()) / 1_000_000,
        long.reader / 1_000_000,
        long.children,
    );
    assert!(long.reader < MOST_OF_A_READER, "{} bytes", long.reader);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_stopped_runs() {
    let (runs, calls) = run_size();
    let slow =
        ScriptedAnswer { fault: Some(ModelFault::Slow { millis: 120_000 }), ..read_calls_answer(calls) };
    let (site, model) = Site::with_model([read_calls_answer(calls).times(runs as u32), slow], BUDGET).await;
    let server = serve(&site, runs);
    for run in 0..runs {
        site.open_clean(&format!("b{run}")).await;
    }
    site.deliver().await;
    let began = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while count_requests(&model) < 2 * runs {
        look.tick().await;
        assert!(began.elapsed() < PATIENCE, "{} requests", count_requests(&model));
    }
    let readers = descendants(server.child.id());
    assert!(!readers.is_empty(), "what the model looks at is read by somebody");
    server.signal("-TERM");
    server.wait_until_not_listening().await;
    let stopped = Instant::now();
    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    let ended = stopped.elapsed();
    assert_eq!(status.code(), Some(0), "{log}");
    wait_until("no reader is left", || !readers.iter().any(|reader| is_running(&reader.to_string()))).await;
    println!(
        "agents: {runs} runs were stopped: no socket and lease after {:.2} s, no process after {:.2} s",
        ended.as_secs_f64(),
        stopped.elapsed().as_secs_f64()
    );
    site.wait_until_slots("given back", |slots| slots.iter().all(|slot| slot["state"] == "waiting")).await;
    assert_eq!(site.spent_today().await.1, 0, "nothing stays set aside");
}
