//! The storm test. Many pull requests receive repeated pushes. Webhooks are lost, repeated and delivered out
//! of order, and the server is often killed with SIGKILL. Afterwards, the last head of every pull request
//! must be reviewed, with at most two reviews for each storm of pushes. No comment may ever have been posted
//! twice, not even temporarily.
//!
//! A small storm runs with the other tests. `cargo xtask soak` runs a storm of the size in [`SIZE`].

mod away;
mod fleet;
mod moving;

use crate::support::home::{Home, Process};
use crate::support::watch;
use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use truing_core::id::{PrId, SlotKey};
use truing_core::run::RunStage;
use truing_fakes::forge::{
    FakeDelivery, FakeForgeOptions, FakeRepo, NewPull, PullView, UnreliableNetwork, WebhookTarget,
};
use truing_fakes::repo::CommitBuilder;
use truing_loops::machine::SystemClock;
use truing_store::{RunEntry, Store};

use watch::Watched;

/// Environment variable in the format `PULLS,PUSHES,KILLS`: the number of pull requests, of pushes to each,
/// and of kills. The full size is `500,200,50`.
const SIZE: &str = "TRUING_STORM";
const SMALL: Size = Size { pulls: 12, pushes: 15, kills: 6, quiet: Duration::from_secs(10) };
/// Number of pull requests per repository.
const PULLS_EACH: usize = 50;

const TOKEN: &str = "storm-token";
const SECRET: &str = "storm-secret";
const LOGIN: &str = "truing[bot]";
/// Network faults: the seed, the percentages of lost and repeated webhooks, and the maximum delay.
const CHAOS: UnreliableNetwork =
    UnreliableNetwork { seed: 11, lost_percent: 5, repeated_percent: 20, max_delay_positions: 8 };
/// Time without a webhook after which a storm has ended, for a storm whose size is set by [`SIZE`]. The value
/// is the default of the configuration. A round of pushes to all pull requests must take less time than this.
const QUIET: Duration = Duration::from_secs(60);
/// Maximum duration of a storm, after which the service starts a new one. The value is the default of the
/// configuration.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// Maximum wait for one step on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(20);
/// Number of webhooks that are sent at the same time.
const TOGETHER: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Size {
    pulls: usize,
    pushes: usize,
    kills: usize,
    /// Time without a webhook after which a storm has ended.
    quiet: Duration,
}

impl Size {
    fn from_environment() -> Self {
        let Ok(text) = std::env::var(SIZE) else { return SMALL };
        let numbers: Vec<usize> = text.split(',').map(|number| number.trim().parse().unwrap()).collect();
        let [pulls, pushes, kills] = numbers[..] else { panic!("{SIZE}=PULLS,PUSHES,KILLS, not {text}") };
        Self { pulls, pushes, kills, quiet: QUIET }
    }
}

/// A pull request, and the times at which its webhooks were accepted.
struct Pull {
    repo: FakeRepo,
    branch: String,
    number: u64,
    key: String,
    accepted: Vec<Instant>,
}

impl Pull {
    /// Creates the data of a pull request with this index, which is not opened yet.
    fn new(repo: &FakeRepo, at: usize) -> Self {
        Self { repo: repo.clone(), branch: format!("p{at}"), number: 0, key: String::new(), accepted: vec![] }
    }
}

/// Waits until the last head of every pull request is reviewed.
async fn wait_until_reviewed(pulls: &[Pull], log: impl Fn() -> String) {
    let deadline = Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(LOOK);
    for pull in pulls {
        while !is_reviewed(&pull.repo.pull(pull.number).await.unwrap()) {
            assert!(Instant::now() < deadline, "{} is never reviewed: {}", pull.key, log());
            look.tick().await;
        }
    }
}

/// A forge, and the home folder and port of a service that the test starts and kills.
struct Site {
    forge: Watched,
    home: Home,
    port: u16,
    /// Number of webhooks that the service has accepted.
    delivered: AtomicUsize,
}

/// Returns free ports outside of the system's range of ephemeral ports. The system does not assign such a
/// port to another program while the service is down.
fn stable_free_ports(count: usize) -> Vec<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(u16::MAX);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let given: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    let below = given.min(NEXT.load(Ordering::SeqCst));
    let free = (10_000..below).rev().filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports: Vec<u16> = free.take(count).collect();
    assert_eq!(ports.len(), count, "ports that nobody uses");
    NEXT.fetch_min(ports[count - 1], Ordering::SeqCst);
    ports
}

impl Site {
    async fn new(quiet: Duration) -> Self {
        let forge = Watched::start(FakeForgeOptions::default()).await;
        forge.register_token(TOKEN, LOGIN);
        let url = forge.base_url();
        // The lease is short, so that a restarted service soon takes over the work. The maximum number of
        // attempts is high, because each kill uses up an attempt.
        let config = format!(
            "[store]\nurl = \"sqlite:truing.db\"\n[server]\npoll = \"50ms\"\nlease = \"5s\"\nheartbeat \
             = \"500ms\"\n[forge.github]\napi_url = \"{url}\"\ngit_url = \"{url}\"\nsettle \
             = \"500ms\"\n[review]\nexisting = \"review\"\ndebounce = \"150ms\"\nmax_wait = \"1s\"\nquiet \
             = \"{}s\"\nbackoff = \"200ms\"\nbackoff_max = \"1s\"\nattempts = 100\n",
            quiet.as_secs()
        );
        let home = Home::with_config(&config)
            .with_variable("GITHUB_TOKEN", TOKEN)
            .with_variable("GITHUB_WEBHOOK_SECRET", SECRET);
        let port = stable_free_ports(1)[0];
        let url = format!("http://127.0.0.1:{port}/webhooks/github");
        forge.set_hook(WebhookTarget { url, secret: SECRET.into(), is_automatic: false });
        Self { forge, home, port, delivered: AtomicUsize::new(0) }
    }

    fn database(&self) -> PathBuf {
        self.home.path().join("truing.db")
    }

    /// Starts the service and appends its log to `serve.log`.
    fn serve(&self) -> Process {
        let log = File::options().create(true).append(true).open(self.home.file("serve.log")).unwrap();
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.home.command(&["--quiet", "serve", "--listen", &listen]);
        Process(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Sends a webhook repeatedly until the service accepts it, as a user does with GitHub's "redeliver"
    /// button. GitHub itself sends each webhook only once, and a killed service cannot receive it.
    async fn deliver_until_accepted(&self, delivery: &FakeDelivery) {
        let deadline = Instant::now() + PATIENCE;
        let mut again = tokio::time::interval(LOOK);
        loop {
            match self.forge.deliver(delivery).await {
                Ok(202) => break,
                // The service is down, or was killed before its response.
                Err(_) => {}
                Ok(status) => panic!("delivery {} got {status}", delivery.id),
            }
            assert!(Instant::now() < deadline, "no webhook is taken: {}", self.log());
            again.tick().await;
        }
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of requests that the forge has received.
    fn calls(&self) -> u64 {
        self.forge.call_counts().values().sum()
    }

    /// Returns the last part of the service's log.
    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.home.path().join("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// Kills and restarts the service `kills` times, each time after a random number of requests to the forge.
/// The kills are spread over the first two thirds of the `expected` webhooks. If `settled` becomes true, the
/// remaining kills follow without a wait.
async fn kill_repeatedly(site: &Site, kills: usize, expected: usize, settled: &AtomicBool) -> Process {
    let mut server = site.serve();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for kill in 0..kills {
        let webhooks = expected * (kill + 1) / kills.max(1) * 2 / 3;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let calls = site.calls() + 3 + (random >> 33) % 40;
        let mut look = tokio::time::interval(Duration::from_millis(5));
        loop {
            look.tick().await;
            let delivered = site.delivered.load(Ordering::Relaxed);
            let enough =
                delivered >= webhooks && (site.calls() >= calls || delivered >= webhooks + expected / 50);
            if enough || settled.load(Ordering::Relaxed) {
                break;
            }
        }
        drop(server);
        server = site.serve();
    }
    server
}

/// Pushes to every pull request in each of `pushes` rounds, and sends the webhooks of each round.
async fn run_storm(site: &Arc<Site>, pulls: &mut [Pull], pushes: usize) {
    for round in 0..pushes {
        let commits =
            pulls.iter().enumerate().map(|(at, pull)| (pull.branch.clone(), push_commit(at, round)));
        let commits: Vec<_> = commits.collect();
        for (of_one, commits) in pulls.chunks_mut(PULLS_EACH).zip(commits.chunks(PULLS_EACH)) {
            if round > 0 {
                of_one[0].repo.push_all(commits.to_vec()).await.unwrap();
                continue;
            }
            for (pull, (_, commit)) in of_one.iter_mut().zip(commits) {
                pull.repo.push(&pull.branch, commit.clone()).await.unwrap();
                pull.number = pull.repo.open_pull(NewPull::from_branch(&pull.branch)).await.unwrap();
                let repository = pull.repo.id().await.unwrap().to_string();
                let id = PrId { forge: "github".into(), repository, number: pull.number };
                pull.key = id.key().as_str().to_owned();
            }
        }
        // The webhooks of the last round are all delivered, because the service would detect a lost one only
        // in its next sweep.
        let lost_percent = if round + 1 == pushes { 0 } else { CHAOS.lost_percent };
        let deliveries = (UnreliableNetwork { seed: CHAOS.seed + round as u64, lost_percent, ..CHAOS })
            .apply(site.forge.take_deliveries());
        for together in deliveries.chunks(TOGETHER) {
            let mut sent = tokio::task::JoinSet::new();
            for delivery in together.iter().cloned() {
                let site = site.clone();
                sent.spawn(async move {
                    site.deliver_until_accepted(&delivery).await;
                    let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
                    (
                        format!("pr/github/{}/{}", body["repository"]["id"], delivery.pull_number),
                        Instant::now(),
                    )
                });
            }
            while let Some(accepted) = sent.join_next().await {
                let (key, at) = accepted.unwrap();
                let of = pulls.iter_mut().filter(|pull| pull.key == key);
                of.for_each(|pull| pull.accepted.push(at));
            }
        }
    }
}

/// Returns the maximum number of storms that the service can have counted for a pull request. The times are
/// those at which its webhooks were accepted.
fn count_storms(accepted: &[Instant], quiet: Duration) -> usize {
    // The service may measure a longer gap than the test, so the test already counts 80 % of the quiet time
    // as the end of a storm.
    let long = quiet.mul_f32(0.8);
    let mut storms = 1;
    let mut began = accepted[0];
    for pair in accepted.windows(2) {
        if pair[1] - pair[0] >= long || pair[1] - began >= LONGEST {
            storms += 1;
            began = pair[1];
        }
    }
    storms
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_under_kill_9_loses_nothing_and_says_nothing_twice() {
    let size = Size::from_environment();
    let began = Instant::now();
    let site = Arc::new(Site::new(size.quiet).await);
    let mut pulls = Vec::new();
    for at in 0..size.pulls {
        let name = format!("r{}", at / PULLS_EACH);
        if at % PULLS_EACH == 0 {
            let first = CommitBuilder::new("Begin").write("README.md", "# storm\n");
            site.forge.create_repository("acme", &name, first).await.unwrap();
        }
        let repo = site.forge.repo_handle("acme", &name);
        pulls.push(Pull::new(&repo, at));
    }
    let settled = Arc::new(AtomicBool::new(false));
    let expected = size.pulls * size.pushes;
    let killer = {
        let (site, settled) = (site.clone(), settled.clone());
        tokio::spawn(async move { kill_repeatedly(&site, size.kills, expected, &settled).await })
    };
    run_storm(&site, &mut pulls, size.pushes).await;
    let pushed = began.elapsed();

    // The last head of every pull request is reviewed, and the store contains no slot any more.
    let deadline = Instant::now() + PATIENCE;
    wait_until_reviewed(&pulls, || site.log()).await;
    settled.store(true, Ordering::Relaxed);
    let server = killer.await.unwrap();
    let store = Store::open(&site.database(), Arc::new(SystemClock)).unwrap();
    let mut look = tokio::time::interval(LOOK * 5);
    loop {
        let slots = store.list_slots().await.unwrap();
        if slots.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{slots:?} {}", site.log());
        look.tick().await;
    }

    let Sums { reviews, findings, webhooks, storms } = assert_storm_results(&pulls, &store, size.quiet).await;
    assert_eq!(site.forge.violations(), Vec::<String>::new());
    drop(server);
    println!(
        "storm: {} pull requests x {} pushes, {webhooks} webhooks, {storms} storms, {} kills: {reviews} \
         reviews, {findings} findings, 0 duplicates, every head reviewed; {:.0} s of pushes, {:.0} s in all",
        size.pulls,
        size.pushes,
        size.kills,
        pushed.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
}

/// Sums over all pull requests.
#[derive(Default)]
struct Sums {
    reviews: usize,
    findings: usize,
    webhooks: usize,
    storms: usize,
}

/// Checks that every last head is reviewed, that no comment was posted twice, and that no storm had more than
/// two reviews. Returns the sums for the test's output.
async fn assert_storm_results(pulls: &[Pull], store: &Store, quiet: Duration) -> Sums {
    let mut sums = Sums::default();
    for pull in pulls {
        let view = pull.repo.pull(pull.number).await.unwrap();
        assert!(is_reviewed(&view), "{}", pull.key);
        let said: Vec<&str> = truing_comments(&view).collect();
        let told: BTreeSet<&str> = said.iter().filter_map(|body| body.lines().last()).collect();
        assert_eq!(told.len(), said.len(), "{} was told something twice: {said:#?}", pull.key);
        assert!(!view.comments.iter().any(|comment| comment.deleted), "{}", pull.key);
        let runs = store.review_entries(&SlotKey::new(pull.key.clone()), usize::MAX).await.unwrap();
        let computed = count_computed_reviews(&runs);
        let storms = count_storms(&pull.accepted, quiet);
        assert!(computed <= 2 * storms, "{}: {computed} reviews in {storms} storms: {runs:#?}", pull.key);
        sums.reviews += computed;
        sums.storms += storms;
        sums.findings += view.inline_comments().count();
        sums.webhooks += pull.accepted.len();
    }
    sums
}

/// Returns the number of reviews that these runs computed; the newest run is first. If the previous run left
/// an unpublished result for the same commits, a run publishes that result and computes no review.
fn count_computed_reviews(runs: &[RunEntry]) -> usize {
    let is_computed = |run: &RunEntry| matches!(run.stage, RunStage::Computed | RunStage::Published);
    let before = runs.iter().skip(1).map(Some).chain([None]);
    let is_taken_over = |run: &RunEntry, before: Option<&RunEntry>| {
        let same = |before: &RunEntry| before.stage == RunStage::Computed && before.revision == run.revision;
        before.is_some_and(same)
    };
    runs.iter().zip(before).filter(|(run, before)| is_computed(run) && !is_taken_over(run, *before)).count()
}

/// Returns true if the last commit has a status and the summary comment names this commit.
fn is_reviewed(view: &PullView) -> bool {
    view.statuses.get(&view.head).is_some_and(|statuses| !statuses.is_empty())
        && view.conversation_comments().any(|comment| comment.body.contains(&view.head[..10]))
}

/// Returns the texts of all comments that Truing posted.
fn truing_comments(view: &PullView) -> impl Iterator<Item = &str> {
    view.comments.iter().filter(|comment| comment.author == LOGIN).map(|comment| comment.body.as_str())
}

/// Returns the commit for push number `round` to a pull request. Each push adds a line to a file, and some
/// pushes add a line with a problem.
fn push_commit(pull: usize, round: usize) -> CommitBuilder {
    let mut text = String::new();
    for line in 0..=round {
        text += &format!("step_{line} = {line}\n");
        if line % 25 == 10 {
            text += "breakpoint()\n";
        }
    }
    CommitBuilder::new(format!("Push {round}")).write(format!("pull_{pull}.py"), text)
}
