//! The fleet test: several ingresses and workers share one store, in a real Redis server and a real
//! PostgreSQL server. During a storm of pushes, random processes are killed with SIGKILL and restarted. Redis
//! is also killed and restarted, and the PostgreSQL sessions are ended. All processes together must give the
//! same guarantees as a single process. During the storm, the kill switch is turned on twice: by a Redis
//! command and by `truing kill`.
//!
//! A small fleet runs with the other tests. `cargo xtask soak --only fleet` runs a fleet of the size in
//! [`SIZE`].

use std::process::Output;
use std::sync::Mutex;

use truing_core::port::SlotStore as _;

use super::*;
use crate::support::postgres;

/// Environment variable in the format `PULLS,INGRESSES,WORKERS,SECONDS`; the last value is the duration of
/// the pushes. The full size is `500,4,4,600`.
const SIZE: &str = "TRUING_FLEET";
/// Minimum and maximum time between two faults, in milliseconds.
const BETWEEN_FAULTS: (u64, u64) = (1_500, 4_500);
/// Time without a write at the forge after which the writes count as stopped.
const SILENT: Duration = Duration::from_secs(4);
/// Maximum time between the activation of the kill switch and the last write.
const STOPPED: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Debug)]
pub(super) struct FleetSize {
    pub(super) pulls: usize,
    pub(super) ingresses: usize,
    pub(super) workers: usize,
    pub(super) time: Duration,
    /// Time without a webhook after which a storm has ended.
    pub(super) quiet: Duration,
}

impl FleetSize {
    fn from_environment() -> Self {
        let small = Self {
            pulls: 6,
            ingresses: 2,
            workers: 2,
            time: Duration::from_secs(12),
            quiet: Duration::from_secs(20),
        };
        let Ok(text) = std::env::var(SIZE) else { return small };
        let numbers: Vec<usize> = text.split(',').map(|number| number.trim().parse().unwrap()).collect();
        let [pulls, ingresses, workers, seconds] = numbers[..] else {
            panic!("{SIZE}=PULLS,INGRESSES,WORKERS,SECONDS, not {text}")
        };
        Self { pulls, ingresses, workers, time: Duration::from_secs(seconds as u64), quiet: QUIET }
    }
}

/// A Redis server that the test kills and restarts. It keeps all data that it has acknowledged.
struct Redis {
    folder: TempDir,
    port: u16,
    child: Mutex<Child>,
}

impl Redis {
    fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), stable_free_ports(1)[0]);
        let child = Mutex::new(Self::spawn_server(&folder, port));
        let redis = Self { folder, port, child };
        redis.wait();
        redis
    }

    fn spawn_server(folder: &TempDir, port: u16) -> Child {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command.args(["--port", &port.to_string(), "--dir"]).arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("tests need Redis: run `cargo xtask test`")
    }

    fn restart(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        *child = Self::spawn_server(&self.folder, self.port);
    }

    fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !String::from_utf8_lossy(&self.run_redis_cli(&["PING"]).stdout).contains("PONG") {
            assert!(Instant::now() < deadline, "Redis does not answer");
        }
    }

    /// Runs a command of `redis-cli`, as an operator would.
    fn run_redis_cli(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(arguments).output().unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A forge, the servers of the store, and the Truing processes.
pub(super) struct Fleet {
    forge: Watched,
    home: Home,
    redis: Redis,
    database: String,
    records: &'static postgres::Server,
    /// Ports of the ingresses, and ports of the workers.
    ports: (Vec<u16>, Vec<u16>),
    processes: Mutex<Vec<Process>>,
    client: reqwest::Client,
    sent: AtomicUsize,
}

impl Fleet {
    /// Creates a fleet and starts all its Truing processes.
    async fn new(size: FleetSize) -> Self {
        let fleet = Self::without_processes(size).await;
        for at in 0..size.ingresses + size.workers {
            let process = fleet.start_indexed_process(at);
            fleet.processes.lock().unwrap().push(process);
        }
        fleet
    }

    /// Creates a fleet without Truing processes.
    pub(super) async fn without_processes(size: FleetSize) -> Self {
        let forge = Watched::start(FakeForgeOptions::default()).await;
        forge.register_token(TOKEN, LOGIN);
        let (redis, records) = (Redis::start(), postgres::Server::shared_server());
        let database = records.new_database();
        let url = forge.base_url();
        let config = format!(
            "[store]\nurl = \"valkey://127.0.0.1:{}/0\"\nrecords = \"{}\"\nfolder \
             = \"state\"\n[server]\npoll = \"100ms\"\nlease = \"5s\"\nheartbeat = \"500ms\"\nsweep \
             = \"30s\"\n[forge.github]\napi_url = \"{url}\"\ngit_url = \"{url}\"\nsettle \
             = \"500ms\"\nmarker_key = {{ env = \"MARKER_KEY\" }}\n[review]\nexisting = \"review\"\ndebounce \
             = \"150ms\"\nmax_wait = \"1s\"\nquiet = \"{}s\"\nbackoff = \"200ms\"\nbackoff_max \
             = \"1s\"\nattempts = 100\n",
            redis.port,
            records.url(&database),
            size.quiet.as_secs()
        );
        let home = Home::empty()
            .with_variable("PATH", std::env::var_os("PATH").unwrap())
            .with_variable("GITHUB_TOKEN", TOKEN)
            .with_variable("GITHUB_WEBHOOK_SECRET", SECRET)
            .with_variable("MARKER_KEY", "a key of all processes");
        home.write("truing.toml", config);
        let mut ports = stable_free_ports(size.ingresses + size.workers);
        let workers = ports.split_off(size.ingresses);
        Self {
            forge,
            home,
            redis,
            database,
            records,
            ports: (ports, workers),
            processes: Mutex::default(),
            client: reqwest::Client::builder().timeout(crate::support::HANGS).build().unwrap(),
            sent: AtomicUsize::new(0),
        }
    }

    pub(super) fn forge(&self) -> &Watched {
        &self.forge
    }

    /// Returns the port of the first ingress.
    pub(super) fn ingress_port(&self) -> u16 {
        self.ports.0[0]
    }

    /// Returns the port of the worker with this index.
    pub(super) fn worker_port(&self, index: usize) -> u16 {
        self.ports.1[index]
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Returns the port of the Redis server.
    pub(super) fn redis_port(&self) -> u16 {
        self.redis.port
    }

    /// Returns the URL of the database with the records.
    pub(super) fn records_url(&self) -> String {
        self.records.url(&self.database)
    }

    /// Returns the URLs of the slots and the records as one argument for `truing store`.
    pub(super) fn urls(&self) -> String {
        format!("valkey://127.0.0.1:{}/0,{}", self.redis.port, self.records_url())
    }

    /// Opens the store in this test's own process.
    pub(super) async fn store(&self) -> Store {
        let slots = format!("valkey://127.0.0.1:{}/0", self.redis.port);
        Store::connect(&slots, &self.records_url(), None).await.unwrap()
    }

    /// Writes a configuration file with this name, with a changed copy of the fleet's configuration.
    pub(super) fn write_config(&self, name: &str, change: impl FnOnce(String) -> String) {
        self.home.write(name, change(self.home.config()));
    }

    /// Returns a `truing` command that uses this configuration file.
    pub(super) fn command(&self, config: &str) -> Command {
        let mut command = self.home.command(&["--config", config, "--quiet"]);
        command.stdout(Stdio::null());
        command
    }

    /// Starts the ingress or worker with this index.
    fn start_indexed_process(&self, index: usize) -> Process {
        let (ingresses, workers) = &self.ports;
        let (role, port) = match ingresses.get(index) {
            Some(port) => ("ingress", *port),
            None => ("worker", workers[index - ingresses.len()]),
        };
        self.start("truing.toml", role, port)
    }

    /// Starts a process with this configuration file and role, on this port.
    pub(super) fn start(&self, config: &str, role: &str, port: u16) -> Process {
        self.start_with(config, role, port, &[])
    }

    /// Starts a process with additional environment variables.
    pub(super) fn start_with(
        &self,
        config: &str,
        role: &str,
        port: u16,
        variables: &[(&str, &str)],
    ) -> Process {
        let log = self.home.path().join(format!("{role}-{port}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = self.command(config);
        command.args(["serve", "--role", role, "--listen", &format!("127.0.0.1:{port}")]);
        command.envs(variables.iter().copied());
        Process(command.stderr(log).spawn().unwrap())
    }

    /// Kills the process with this index and starts it again.
    fn kill(&self, index: usize) {
        let mut processes = self.processes.lock().unwrap();
        let _ = processes[index].0.kill();
        let _ = processes[index].0.wait();
        processes[index] = self.start_indexed_process(index);
    }

    /// Restarts the processes that exited because a server of the store was unreachable at their start.
    fn restart_ended_processes(&self) {
        for (at, process) in self.processes.lock().unwrap().iter_mut().enumerate() {
            if process.0.try_wait().unwrap().is_some() {
                *process = self.start_indexed_process(at);
            }
        }
    }

    /// Ends all PostgreSQL sessions of the service, as a restart of the server does.
    fn end_database_sessions(&self) {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}'",
            self.database
        );
        self.records.psql("postgres", &[&sql]);
    }

    /// Sends a webhook to one ingress after another until one accepts it.
    pub(super) async fn deliver_until_accepted(&self, delivery: &FakeDelivery) {
        let deadline = Instant::now() + PATIENCE;
        let mut again = tokio::time::interval(LOOK);
        loop {
            let (ingresses, _) = &self.ports;
            let port = ingresses[self.sent.fetch_add(1, Ordering::Relaxed) % ingresses.len()];
            let url = format!("http://127.0.0.1:{port}/webhooks/github");
            let hook = WebhookTarget { url, secret: SECRET.into(), is_automatic: false };
            match delivery.send(&self.client, &hook).await {
                Ok(202) => return,
                // The kill switch is on, the store is unreachable, or this ingress is down.
                Ok(503) | Err(_) => {}
                Ok(status) => panic!("delivery {} got {status}", delivery.id),
            }
            assert!(Instant::now() < deadline, "no webhook is taken: {}", self.log());
            again.tick().await;
        }
    }

    /// Checks that an ingress refuses the webhook of the last push in `deliveries`, because the kill switch
    /// is on. It sends no other webhook: those webhooks result from earlier writes and start no work, so they
    /// may be accepted.
    async fn assert_push_refused(&self, deliveries: &[FakeDelivery]) {
        let push = deliveries.iter().rfind(|delivery| delivery.action == "synchronize");
        let delivery = push.unwrap_or_else(|| panic!("no webhook of a push among {deliveries:?}"));
        let url = format!("http://127.0.0.1:{}/webhooks/github", self.ingress_port());
        let hook = WebhookTarget { url, secret: SECRET.into(), is_automatic: false };
        let deadline = Instant::now() + PATIENCE;
        let mut again = tokio::time::interval(LOOK);
        loop {
            match delivery.send(&self.client, &hook).await {
                Ok(503) => return,
                // The ingress at this port was just killed.
                Err(_) => assert!(Instant::now() < deadline, "nobody listens: {}", self.log()),
                Ok(status) => panic!("the switch is on, and a webhook got {status}: {delivery:?}"),
            }
            again.tick().await;
        }
    }

    /// Returns the number of requests that changed the forge.
    fn write_count(&self) -> u64 {
        let calls = self.forge.call_counts();
        let writes =
            calls.iter().filter(|(route, _)| !route.starts_with("GET") && !route.contains("graphql"));
        writes.map(|(_, count)| count).sum()
    }

    /// Waits until no write has occurred for [`SILENT`]. Returns the time from the call of this function to
    /// the last write.
    async fn time_until_last_write(&self) -> Duration {
        let began = Instant::now();
        let (mut writes, mut last) = (self.write_count(), began);
        let mut look = tokio::time::interval(LOOK);
        while last.elapsed() < SILENT {
            look.tick().await;
            let now = self.write_count();
            if now > writes {
                (writes, last) = (now, Instant::now());
            }
        }
        last - began
    }

    /// Returns the last part of each process's log.
    pub(super) fn log(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.home.path()).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "log") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                all +=
                    &format!("{}:\n{}\n", path.display(), lines[lines.len().saturating_sub(15)..].join("\n"));
            }
        }
        all
    }
}

/// Numbers of faults so far.
#[derive(Default)]
struct Faults {
    kills: AtomicUsize,
    restarts: AtomicUsize,
    cuts: AtomicUsize,
}

/// Injects faults until `done` is true: it mostly kills random processes, and in between restarts Redis or
/// ends the PostgreSQL sessions.
async fn inject_faults(fleet: &Fleet, done: &AtomicBool, faults: &Faults) {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let processes = fleet.ports.0.len() + fleet.ports.1.len();
    let mut number = 0;
    while !done.load(Ordering::Relaxed) {
        let until = Instant::now()
            + Duration::from_millis(BETWEEN_FAULTS.0 + next(BETWEEN_FAULTS.1 - BETWEEN_FAULTS.0));
        let mut look = tokio::time::interval(LOOK * 5);
        while Instant::now() < until && !done.load(Ordering::Relaxed) {
            look.tick().await;
            fleet.restart_ended_processes();
        }
        number += 1;
        match number % 8 {
            2 => {
                fleet.redis.restart();
                faults.restarts.fetch_add(1, Ordering::Relaxed);
            }
            4 => {
                fleet.end_database_sessions();
                faults.cuts.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                fleet.kill(usize::try_from(next(processes as u64)).unwrap());
                faults.kills.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Pushes to every pull request once and sends the webhooks. On average, `lost_percent` of a hundred webhooks
/// are not sent.
pub(super) async fn push_round(fleet: &Arc<Fleet>, pulls: &mut [Pull], (number, lost_percent): (usize, u64)) {
    for (at, pull) in pulls.iter_mut().enumerate() {
        pull.repo.push(&pull.branch, push_commit(at, number)).await.unwrap();
        if pull.number == 0 {
            pull.number = pull.repo.open_pull(NewPull::from_branch(&pull.branch)).await.unwrap();
            let repository = pull.repo.id().await.unwrap().to_string();
            let id = PrId { forge: "github".into(), repository, number: pull.number };
            pull.key = id.key().as_str().to_owned();
        }
    }
    let chaos = UnreliableNetwork { seed: CHAOS.seed + number as u64, lost_percent, ..CHAOS };
    for together in chaos.apply(fleet.forge.take_deliveries()).chunks(TOGETHER) {
        let mut sent = tokio::task::JoinSet::new();
        for delivery in together.iter().cloned() {
            let fleet = fleet.clone();
            sent.spawn(async move {
                fleet.deliver_until_accepted(&delivery).await;
                let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
                (format!("pr/github/{}/{}", body["repository"]["id"], delivery.pull_number), Instant::now())
            });
        }
        while let Some(accepted) = sent.join_next().await {
            let (key, at) = accepted.unwrap();
            pulls.iter_mut().filter(|pull| pull.key == key).for_each(|pull| pull.accepted.push(at));
        }
    }
}

/// Turns the kill switch on twice, first with a Redis command and then with `truing kill`. Returns the longer
/// of the two times until the last write. While the switch is on, the webhook of a new push is refused. It is
/// sent again after the switch was turned off.
async fn stop_with_switch(fleet: &Fleet, pull: &mut Pull) -> Duration {
    fleet.redis.wait();
    // The command is repeated, because its reply may be lost if Redis has just restarted. A second `SET` with
    // the same value changes nothing.
    let set = (0..9).map(|_| fleet.redis.run_redis_cli(&["SET", "bot:killswitch:enabled", "true"]));
    assert!(set.into_iter().any(|set| set.status.success()), "the switch cannot be set");
    pull.repo.push(&pull.branch, push_commit(0, 1_000)).await.unwrap();
    let by_hand = fleet.time_until_last_write().await;
    assert!(by_hand < STOPPED, "{by_hand:?} from SET to the last write");
    let mut deliveries = fleet.forge.take_deliveries();
    fleet.assert_push_refused(&deliveries).await;
    fleet.redis.run_redis_cli(&["SET", "bot:killswitch:enabled", "false"]);
    let turned = fleet.command("truing.toml").args(["kill", "on", "--reason", "a drill"]).output().unwrap();
    assert!(turned.status.success(), "{}", String::from_utf8_lossy(&turned.stderr));
    pull.repo.push(&pull.branch, push_commit(0, 1_001)).await.unwrap();
    let by_command = fleet.time_until_last_write().await;
    assert!(by_command < STOPPED, "{by_command:?} from `kill on` to the last write");
    let second = fleet.forge.take_deliveries();
    fleet.assert_push_refused(&second).await;
    deliveries.extend(second);
    let turned = fleet.command("truing.toml").args(["kill", "off"]).output().unwrap();
    assert!(turned.status.success(), "{}", String::from_utf8_lossy(&turned.stderr));
    for delivery in &deliveries {
        fleet.deliver_until_accepted(delivery).await;
        pull.accepted.push(Instant::now());
    }
    by_hand.max(by_command)
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_are_killed_one_after_another_lose_nothing_and_say_nothing_twice() {
    let size = FleetSize::from_environment();
    let began = Instant::now();
    let fleet = Arc::new(Fleet::new(size).await);
    let mut pulls = Vec::new();
    for at in 0..size.pulls {
        let name = format!("r{}", at / PULLS_EACH);
        if at % PULLS_EACH == 0 {
            let first = CommitBuilder::new("Begin").write("README.md", "# storm\n");
            fleet.forge.create_repository("acme", &name, first).await.unwrap();
        }
        let repo = fleet.forge.repo_handle("acme", &name);
        pulls.push(Pull::new(&repo, at));
    }
    let (done, faults) = (Arc::new(AtomicBool::new(false)), Arc::new(Faults::default()));
    let injecting = {
        let (fleet, done, faults) = (fleet.clone(), done.clone(), faults.clone());
        tokio::spawn(async move { inject_faults(&fleet, &done, &faults).await })
    };
    let mut rounds = 0;
    let mut silence = None;
    while rounds < 2 || began.elapsed() < size.time {
        push_round(&fleet, &mut pulls, (rounds, CHAOS.lost_percent)).await;
        rounds += 1;
        if silence.is_none() && began.elapsed() > size.time / 2 {
            silence = Some(stop_with_switch(&fleet, &mut pulls[0]).await);
        }
    }
    // The webhooks of the last push are all delivered, because the service would detect a lost one only in
    // its next sweep.
    push_round(&fleet, &mut pulls, (rounds, 0)).await;
    let pushed = began.elapsed();
    let deadline = Instant::now() + PATIENCE;
    wait_until_reviewed(&pulls, || fleet.log()).await;
    done.store(true, Ordering::Relaxed);
    injecting.await.unwrap();
    fleet.redis.wait();
    let store = fleet.store().await;
    let mut look = tokio::time::interval(LOOK * 5);
    loop {
        let slots = store.list_slots().await.unwrap();
        if slots.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{slots:?} {}", fleet.log());
        look.tick().await;
    }
    assert!(store.announce_worker(false).await.unwrap().all_names.len() >= size.workers);
    let Sums { reviews, findings, webhooks, storms } = assert_storm_results(&pulls, &store, size.quiet).await;
    assert_eq!(fleet.forge.violations(), Vec::<String>::new());
    fleet.processes.lock().unwrap().clear();
    let count = |what: &AtomicUsize| what.load(Ordering::Relaxed);
    assert!(
        [&faults.kills, &faults.restarts, &faults.cuts].iter().all(|of| count(of) > 0),
        "a fault is missing"
    );
    println!(
        "fleet: {} + {} processes, {} pull requests x {} pushes, {webhooks} webhooks, {storms} storms, {} \
         kills, {} restarts of Redis, {} cuts of PostgreSQL: {reviews} reviews, {findings} findings, 0 lost, \
         0 duplicates; the last write {:.1} s after the kill switch; {:.0} s of pushes, {:.0} s in all",
        size.ingresses,
        size.workers,
        size.pulls,
        rounds + 1,
        count(&faults.kills),
        count(&faults.restarts),
        count(&faults.cuts),
        silence.unwrap_or_default().as_secs_f64(),
        pushed.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
}
