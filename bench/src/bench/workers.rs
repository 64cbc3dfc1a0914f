//! `cargo xtask bench workers`: measures the number of reviews per minute with 1, 2, 4 and 8 worker
//! processes. One further process receives the webhooks. The slots are stored in Redis, and the records in
//! PostgreSQL. The forge and the model are fakes on this machine; the model answers after a delay. The table
//! shows the CPU time per review for each component, and the component that uses the most.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use tokio::runtime::Runtime;
use truing_fakes::forge::{
    FakeForge, FakeForgeOptions as ForgeOptions, FakeRepo, NewPull, PullView, UnreliableNetwork,
    WebhookTarget,
};
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelFault, ModelScript, ScriptedAnswer};
use truing_fakes::repo::CommitBuilder;

use super::process::{
    ChildProcess, create_disk_folder, free_port, http_get, process_cpu_seconds, wait_until_ready,
};
use super::stores;
use crate::{say, workspace};

const TOKEN: &str = "a token of the bench";
const SECRET: &str = "a secret of the bench";
/// The change in each pull request. The change causes no finding by the rules or by the fake model.
const CHANGE: &str = "def pay(x):\n    try:\n        charge(x)\n    except Exception:\n        return None\n";
/// The components whose CPU time is shown. The last component is this process with the git processes that it
/// starts; it contains both fakes.
const COMPONENTS: [&str; 5] = ["workers", "ingress", "redis", "postgres", "doubles"];
/// Maximum time in which all pull requests of one measurement must be reviewed.
const REVIEWS_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Minimum share of used processor time at which the processors count as saturated.
const MIN_SATURATED_CPU_SHARE: f64 = 0.85;
/// Promised limit of the share of slot writes that conflict with another process's write. The measured share
/// must be lower.
const MAX_CONFLICT_SHARE: f64 = 0.01;

/// The size of the measurement.
#[derive(Args)]
pub(crate) struct Options {
    /// Numbers of worker processes; there is one measurement for each number
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8")]
    workers: Vec<usize>,
    /// Number of pull requests in each measurement
    #[arg(long, default_value_t = 240)]
    pulls: usize,
    /// Number of repositories among which the pull requests are distributed
    #[arg(long, default_value_t = 8)]
    repositories: usize,
    /// Maximum number of leases that a worker holds at the same time
    #[arg(long, default_value_t = 4)]
    concurrency: usize,
    /// Time from a request to the model's response, in milliseconds
    #[arg(long, default_value_t = 200)]
    model_ms: u64,
    /// The optimized program to measure [default: built now]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// The server program of Redis (from Debian's package redis-server) or of Valkey
    #[arg(long, value_name = "FILE", default_value = "redis-server")]
    redis: PathBuf,
}

/// Runs the measurements. Returns `false` if the share of conflicting slot writes reaches its limit or is
/// unavailable.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let numbers = [options.pulls, options.repositories, options.concurrency, options.workers.len()];
    if numbers.contains(&0) || options.workers.contains(&0) {
        bail!("--workers, --pulls, --repositories and --concurrency must be at least 1");
    }
    let root = workspace::workspace_root()?;
    let program = match &options.program {
        Some(program) => program.canonicalize().with_context(|| format!("no {}", program.display()))?,
        None => super::program::build_truing(&root)?,
    };
    let processors = thread::available_parallelism().map_or(1.0, |number| number.get() as f64);
    say::print_line(&format!(
        "{} pull requests in {} repositories, {} leases a worker, {} ms an answer of the model, {processors} \
         processors",
        options.pulls, options.repositories, options.concurrency, options.model_ms
    ));
    let parts: String = COMPONENTS.iter().map(|part| format!(" {part:>9}")).collect();
    say::print_line(&format!("workers reviews/min  ratio{parts}   busy  conflicts"));
    let (mut first, mut last, mut kept) = (None, None, true);
    for workers in &options.workers {
        let row = measure_workers(options, &root, &program, *workers)?;
        let rate = options.pulls as f64 / row.duration.as_secs_f64() * 60.0;
        let ratio = rate / *first.get_or_insert(rate);
        let each: String =
            row.cpu.iter().map(|cpu| format!(" {:>9.1}", cpu * 1e3 / options.pulls as f64)).collect();
        let busy = row.cpu.iter().sum::<f64>() / row.duration.as_secs_f64() / processors;
        let conflicts =
            row.conflict_share.map_or("untold".to_owned(), |share| format!("{:.2} %", share * 100.0));
        say::print_line(&format!(
            "{workers:>7} {rate:>11.1} {ratio:>6.2}{each} {:>4.0} %  {conflicts:>9}",
            busy * 100.0
        ));
        kept &= row.conflict_share.is_some_and(|share| share < MAX_CONFLICT_SHARE);
        last = Some((*workers, row, busy));
    }
    say::print_line("parts: processor time a review, ms, with all processes that each has started");
    say::print_line("conflicts: writes of slots that found another version, of all that were tried");
    if let Some((workers, row, busy)) = last {
        say::print_line(&describe_bottleneck(workers, &row, busy));
        say::print_line(&row.cost.render_cost(options.pulls));
    }
    let word = if kept { "ok" } else { "MISSED" };
    say::print_line(&format!("conflicts: promised less than {:.0} %: {word}", MAX_CONFLICT_SHARE * 100.0));
    Ok(kept)
}

/// Describes whether the processors were saturated in the measurement with this number of workers, and which
/// component used the most CPU time.
fn describe_bottleneck(workers: usize, row: &WorkersRow, cpu_share: f64) -> String {
    let all: f64 = row.cpu.iter().sum();
    let greatest = COMPONENTS.iter().zip(&row.cpu).max_by(|one, other| one.1.total_cmp(other.1));
    let (part, cpu) = greatest.map_or(("nothing", 0.0), |(part, cpu)| (*part, *cpu));
    let share = cpu / all * 100.0;
    if cpu_share < MIN_SATURATED_CPU_SHARE {
        return format!(
            "with {workers} workers the processors are not used up: runs wait for the model; of the time \
             that was used, {part} took the most ({share:.0} %)"
        );
    }
    format!("with {workers} workers the processors are used up: {part} takes the most ({share:.0} %)")
}

/// The resources that all reviews of a measurement used, except time.
#[derive(Default)]
struct ReviewsCost {
    /// Number of requests to the forge's API.
    api_requests: u64,
    /// Number of requests to the forge's API that create something.
    creations: u64,
    /// Number of requests that git sends to the forge.
    git_requests: u64,
    /// Number of rows that were added in PostgreSQL; the next field is the number of bytes.
    rows: u64,
    added_bytes: u64,
    /// Number of transactions in PostgreSQL; the next field is the number of rolled-back transactions.
    transactions: u64,
    rollbacks: u64,
}

impl ReviewsCost {
    fn render_cost(&self, reviews: usize) -> String {
        let each = |number: u64| number as f64 / reviews as f64;
        format!(
            "a review without findings: {:.1} calls of the forge, {:.1} of them create something; {:.1} \
             requests of git; {:.1} rows, {:.1} kB and {:.1} transactions in PostgreSQL, {:.1} % of them \
             tried again",
            each(self.api_requests),
            each(self.creations),
            each(self.git_requests),
            each(self.rows),
            each(self.added_bytes) / 1e3,
            each(self.transactions),
            self.rollbacks as f64 / self.transactions.max(1) as f64 * 100.0
        )
    }
}

/// One measurement, which becomes a row of the table.
struct WorkersRow {
    duration: Duration,
    /// CPU seconds of each component in [`COMPONENTS`].
    cpu: Vec<f64>,
    /// Share of slot writes that failed because the slot's version had changed; `None` if the share is
    /// unavailable.
    conflict_share: Option<f64>,
    cost: ReviewsCost,
}

fn measure_workers(options: &Options, root: &Path, program: &Path, workers: usize) -> Result<WorkersRow> {
    let runtime = Runtime::new().context("no threads can be had")?;
    let doubles = runtime.block_on(TestDoubles::start(options))?;
    let data = create_disk_folder(root)?;
    let servers = stores::start_servers(&options.redis, data.path())?;
    let config = data.path().join("truing.toml");
    fs::write(&config, doubles.config(&servers, options)).context("cannot write the configuration")?;

    let roles = std::iter::once("ingress").chain(std::iter::repeat_n("worker", workers));
    let (mut processes, mut ports) = (Vec::new(), Vec::new());
    for (number, role) in roles.enumerate() {
        let port = free_port()?;
        // Each process has its own home folder, and therefore its own repository mirrors, as on separate
        // machines.
        let home = data.path().join(format!("{role}-{number}"));
        fs::create_dir(&home)?;
        let part = if role == "ingress" { "ingress" } else { "workers" };
        let (name, value) = servers.marker_key_variable;
        let mut command = Command::new(program);
        command
            .args(["--quiet", "serve", "--role", role, "--listen", &format!("127.0.0.1:{port}"), "--config"])
            .arg(&config)
            .env("HOME", &home)
            .env("TRUING_STORE__FOLDER", &home)
            .env("GITHUB_WEBHOOK_SECRET", SECRET)
            .env("GITHUB_TOKEN", TOKEN)
            .env("ANTHROPIC_API_KEY", DEFAULT_API_KEY)
            .env(name, value);
        let mut process = ChildProcess::start(part, &mut command)?;
        wait_until_ready(&mut process, port)?;
        processes.push(process);
        ports.push(port);
    }
    processes.extend(servers.processes);
    let records = servers.records_address;
    let ingress = ports.first().context("there is no process")?;
    let url = format!("http://127.0.0.1:{ingress}/webhooks/github");
    doubles.forge.set_hook(WebhookTarget { url, secret: SECRET.to_owned(), is_automatic: false });

    let at_first = stores::read_database_stats(&records)?;
    let (before, began) = (cpu_seconds_by_component(&processes)?, Instant::now());
    let statuses = runtime.block_on(doubles.forge.deliver_all(UnreliableNetwork::default()))?;
    if let Some(status) = statuses.iter().find(|status| **status != 202) {
        bail!("a webhook was answered {status}");
    }
    for (repo, number) in &doubles.pulls {
        while !is_reviewed(&runtime.block_on(repo.pull(*number))?)? {
            processes.iter_mut().try_for_each(ChildProcess::check_running)?;
            if began.elapsed() > REVIEWS_TIMEOUT {
                bail!("{}#{number} has no review after {} s", repo.full_name(), REVIEWS_TIMEOUT.as_secs());
            }
            thread::park_timeout(Duration::from_millis(50));
        }
    }
    let duration = began.elapsed();
    let after = cpu_seconds_by_component(&processes)?;
    let cpu = before.iter().zip(&after).map(|(before, after)| after - before).collect();
    let at_last = stores::read_database_stats(&records)?;
    let (git, calls): (Vec<_>, Vec<_>) =
        doubles.forge.call_counts().into_iter().partition(|(route, _)| is_git_route(route));
    let sum = |calls: &[(String, u64)]| calls.iter().map(|(_, count)| count).sum();
    let creations: Vec<_> = calls.iter().filter(|(route, _)| route.starts_with("POST")).cloned().collect();
    let (calls, creations, git) = (sum(&calls), sum(&creations), sum(&git));
    let (rows, bytes) = (at_last.rows - at_first.rows, at_last.bytes - at_first.bytes);
    let rollbacks = at_last.rollbacks - at_first.rollbacks;
    let transactions = at_last.commits - at_first.commits + rollbacks;
    let cost = ReviewsCost {
        api_requests: calls,
        creations,
        git_requests: git,
        rows,
        added_bytes: bytes,
        transactions,
        rollbacks,
    };
    Ok(WorkersRow { duration, cpu, conflict_share: slot_conflict_share(&ports), cost })
}

/// Returns true if git sends the requests of this route.
fn is_git_route(route: &str) -> bool {
    route.contains("/info/refs") || route.contains("/git-")
}

/// Returns true if the head commit has a status. Returns an error if this status is not success, because the
/// review has then failed.
fn is_reviewed(view: &PullView) -> Result<bool> {
    let Some(status) = view.statuses.get(&view.head).and_then(|statuses| statuses.last()) else {
        return Ok(false);
    };
    if status.state != "success" {
        bail!("a review ended as {}: {}", status.state, status.description.as_deref().unwrap_or("no words"));
    }
    Ok(true)
}

/// Returns the CPU seconds that each component in [`COMPONENTS`] has used so far.
fn cpu_seconds_by_component(processes: &[ChildProcess]) -> Result<Vec<f64>> {
    let of = |part: &str| -> Result<f64> {
        let of_part = processes.iter().filter(|process| process.label() == part);
        of_part.map(|process| Ok(process.usage()?.cpu_seconds)).sum()
    };
    let mut used: Vec<f64> = COMPONENTS.iter().map(|part| of(part)).collect::<Result<_>>()?;
    // The last component is this process. Its CPU time includes child processes that have exited, but no
    // running ones, because those belong to the other components.
    if let Some(doubles) = used.last_mut() {
        *doubles = process_cpu_seconds("self")?;
    }
    Ok(used)
}

/// Returns the share of slot writes that failed because the slot's version had changed, from the metrics of
/// all processes. Returns `None` if the metrics of a process are missing.
fn slot_conflict_share(ports: &[u16]) -> Option<f64> {
    let (mut tried, mut conflicts) = (0.0, 0.0);
    for port in ports {
        let metrics = http_get(*port, "/metrics")?;
        tried += sum_counter(&metrics, "truing_slot_commits_total")?;
        conflicts += sum_counter(&metrics, "truing_slot_conflicts_total")?;
    }
    Some(conflicts / f64::max(tried, 1.0))
}

/// Returns the sum of all values of a counter in Prometheus metrics. Returns `None` if the counter has no
/// value.
fn sum_counter(metrics: &str, name: &str) -> Option<f64> {
    let rest = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let lines = rest.filter(|rest| rest.starts_with([' ', '{']));
    let values = lines.filter_map(|line| line.split_whitespace().last()?.parse::<f64>().ok());
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

/// The fake forge with its pull requests, and the fake model.
struct TestDoubles {
    forge: FakeForge,
    model: FakeModel,
    pulls: Vec<(FakeRepo, u64)>,
}

impl TestDoubles {
    async fn start(options: &Options) -> Result<Self> {
        let forge = FakeForge::start(ForgeOptions::default()).await?;
        forge.register_token(TOKEN, "truing[bot]");
        let report = ScriptedAnswer::tool("report", json!({ "findings": [] })).usage(1000, 100).times(0);
        let slow = ScriptedAnswer { fault: Some(ModelFault::Slow { millis: options.model_ms }), ..report };
        let model =
            FakeModel::start(ModelScript::from_answers([slow])).await.context("the model cannot start")?;
        let mut repos = Vec::new();
        for number in 0..options.repositories {
            let begin = CommitBuilder::new("begin").write("a.py", "a = 1\n");
            repos.push(forge.create_repository("bench", &format!("r{number}"), begin).await?);
        }
        let mut pulls = Vec::new();
        for (at, repo) in repos.iter().cycle().take(options.pulls).enumerate() {
            let branch = format!("b{at}");
            repo.push(&branch, CommitBuilder::new("pay").write(format!("{branch}.py"), CHANGE)).await?;
            pulls.push((repo.clone(), repo.open_pull(NewPull::from_branch(&branch)).await?));
        }
        Ok(Self { forge, model, pulls })
    }

    /// Returns a configuration that uses the fakes and these servers. Background work, such as a sweep, is
    /// disabled.
    fn config(&self, servers: &stores::StoreServers, options: &Options) -> String {
        let (forge, model) = (self.forge.base_url(), self.model.url());
        let (store, marker_key, concurrency) =
            (&servers.store_section, servers.marker_key_line, options.concurrency);
        format!(
            "{store}[server]\nconcurrency = {concurrency}\npoll = \"250ms\"\nsweep = \"1h\"\nrate_limit = 0\n\
             [forge.github]\napi_url = \"{forge}\"\ngit_url = \"{forge}\"\n{marker_key}\
             [review]\nruntime = \"native\"\ndebounce = \"100ms\"\nmax_wait = \"1s\"\n\
             [model]\nbase_url = \"{model}\"\n[budget]\nrepo_day_usd = 1000\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_the_sum_of_its_own_lines() {
        let text = "# TYPE a_total counter\na_total 2\na_total{x=\"y z\"} 3\na_totals 7\nb_total 0\n";
        assert_eq!(sum_counter(text, "a_total"), Some(5.0));
        assert_eq!(sum_counter(text, "b_total"), Some(0.0));
        assert_eq!(sum_counter(text, "c_total"), None);
    }

    #[test]
    fn the_cost_is_told_a_review() {
        let (calls, creations, git) = (30, 5, 2);
        let cost = ReviewsCost {
            api_requests: calls,
            creations,
            git_requests: git,
            rows: 100,
            added_bytes: 20_000,
            transactions: 50,
            rollbacks: 1,
        };
        assert_eq!(
            cost.render_cost(10),
            "a review without findings: 3.0 calls of the forge, 0.5 of them create something; 0.2 requests \
             of git; 10.0 rows, 2.0 kB and 5.0 transactions in PostgreSQL, 2.0 % of them tried again"
        );
    }

    #[test]
    fn the_part_that_uses_most_is_named() {
        let row = WorkersRow {
            duration: Duration::from_secs(1),
            cpu: vec![0.1, 0.0, 0.2, 0.7, 0.0],
            conflict_share: None,
            cost: ReviewsCost::default(),
        };
        assert!(describe_bottleneck(4, &row, 0.99).contains("used up: postgres takes the most (70 %)"));
        assert!(describe_bottleneck(4, &row, 0.5).contains("wait for the model"));
    }
}
