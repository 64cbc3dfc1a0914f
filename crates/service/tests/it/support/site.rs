//! A forge with one repository, and the service that reviews its pull requests. HTTP and git are real, the
//! clock runs, and limits are short.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use truing_core::id::{AccountId, PrId, SlotKey, TimeSpan, UnixMillis};
use truing_core::lease_fairness::LeaseLimits;
use truing_core::port::{Clock, RecordStore, SlotStore as _};
use truing_core::run::RunStage;
use truing_core::slot::{Slot, SlotCommand, SlotLimits, SlotState};
use truing_fakes::forge::{
    FakeApp, FakeDelivery, FakeForgeOptions, FakeRepo, ForgeFlavour, NewPull, PullView, UnreliableNetwork,
    WebhookTarget,
};
use truing_fakes::repo::CommitBuilder;
use truing_forge::AnyForgeServer;
use truing_forge::github::{AppKey, GitHub, GitHubCredentials, GitHubOptions};
use truing_forge::marker::MarkerKeys;
use truing_forge::webhook::HookSecret;
use truing_git::{Git, GitOptions};
use truing_loops::machine::SystemClock;
use truing_loops::slots::apply_slot_command;
use truing_service::ingress::IngressSettings;
use truing_service::{
    ConfiguredForges, ForgeClients, ProcessRole, ReviewService, ServeError, ServiceContext, ServiceSettings,
};
use truing_store::Store;

use crate::support::change::{self, BOT, ReviewPicture};
use crate::support::folder::in_memory;
use crate::support::login::{Login, patience};
use crate::support::reader::ThreadedReader;
use crate::support::watch::Watched;

/// The name of the forge: `NAME` in `[forge.NAME]`.
pub(crate) const FORGE: &str = "fake";
/// The secret that signs webhooks in tests.
pub(crate) const SECRET: &str = "webhook secret";
pub(crate) const TOKEN: &str = "ghs_reviewer";
/// The key that signs markers.
pub(crate) const KEY: &[u8] = b"a key of the tests";
/// Maximum wait for a condition, which is long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);
/// If the next due time is later than this, the test moves the clock instead of waiting.
const WORTH_A_SKIP: TimeSpan = TimeSpan::seconds(2);

/// A clock that adds the time by which a test has moved it to the system time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShiftedClock(Arc<AtomicI64>);

impl ShiftedClock {
    pub(crate) fn skip(&self, span: TimeSpan) {
        self.0.fetch_add(span.0, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> UnixMillis {
        SystemClock.now() + TimeSpan(self.0.load(Ordering::SeqCst))
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tick.tick().await;
    }
}

/// Limits with which a complete review takes less than a second.
pub(crate) fn limits() -> SlotLimits {
    SlotLimits {
        debounce: TimeSpan(50),
        max_debounce: TimeSpan(200),
        storm_quiet_time: TimeSpan(300),
        max_storm_duration: TimeSpan::seconds(30),
        lease_duration: TimeSpan::seconds(20),
        initial_backoff: TimeSpan(50),
        backoff_max: TimeSpan(200),
        max_attempts: 5,
    }
}

/// Returns the default settings of a service in tests.
pub(crate) fn pace() -> ServiceSettings {
    ServiceSettings {
        role: ProcessRole::All,
        lease_limits: LeaseLimits::new(4),
        poll_interval: Duration::from_millis(10),
        heartbeat_interval: Duration::from_millis(500),
        sweep_interval: None,
    }
}

/// Returns the texts that must not occur in any log, error or comment. They are both keys and the token, also
/// in the encodings that git sends to GitHub and Bitbucket.
pub(crate) fn secrets_of_tests() -> impl Iterator<Item = &'static str> {
    let key = std::str::from_utf8(KEY).unwrap();
    let sent = [
        "eC1hY2Nlc3MtdG9rZW46Z2hzX3Jldmlld2Vy",
        "eC1iaXRidWNrZXQtYXBpLXRva2VuLWF1dGg6Z2hzX3Jldmlld2Vy",
        "dHJ1aW5nQGV4YW1wbGUuY29tOmdoc19yZXZpZXdlcg==",
    ];
    [TOKEN, SECRET, key].into_iter().chain(sent)
}

/// Returns the default settings for webhooks in tests.
pub(crate) fn settings() -> IngressSettings {
    IngressSettings::new(BTreeMap::from([(FORGE.to_owned(), HookSecret::new(SECRET.as_bytes()))]))
}

/// A forge, and the files of a service for it.
pub(crate) struct Site {
    pub(crate) forge: Arc<Watched>,
    pub(crate) repo: FakeRepo,
    pub(crate) clock: ShiftedClock,
    /// Maximum number of findings that get a separate comment.
    pub(crate) max_inline: usize,
    base: String,
    login: Login,
    server: AnyForgeServer,
    git: Git,
    reader: ThreadedReader,
    folder: TempDir,
}

/// A pull request, with the ids of its first and second head.
pub(crate) struct Opened {
    pub(crate) number: u64,
    pub(crate) branch: String,
    pub(crate) first: String,
    pub(crate) second: Option<String>,
}

/// A service that is running.
pub(crate) struct Running {
    /// Base URL of the service; the forge's webhooks are sent to `{url}/webhooks/{forge}`.
    pub(crate) url: String,
    pub(crate) store: Store,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::settling(TimeSpan(300)).await
    }

    /// Creates a site with a GitHub that has this settle delay.
    pub(crate) async fn settling(settle: TimeSpan) -> Self {
        Self::of(ForgeFlavour::GitHub, settle).await
    }

    /// Creates a site with a forge of this kind and this settle delay.
    pub(crate) async fn of(flavour: ForgeFlavour, settle: TimeSpan) -> Self {
        let clock = ShiftedClock::default();
        let options = FakeForgeOptions { clock: Arc::new(clock.clone()), ..FakeForgeOptions::default() };
        let forge = Arc::new(Watched::start_as(flavour, options).await);
        forge.register_token(TOKEN, BOT);
        let repo = forge.create_repository("acme", "shop", change::base()).await.unwrap();
        let login = Login {
            name: FORGE,
            token: TOKEN,
            markers: MarkerKeys::new(KEY, &[]),
            settle,
            command_accounts: Vec::new(),
        };
        Self {
            base: repo.tip("main").await.unwrap(),
            server: forge.client(&login, Arc::new(clock.clone())),
            clock,
            max_inline: 30,
            login,
            git: Git::new(GitOptions::default()).await.unwrap(),
            reader: ThreadedReader::new().unwrap(),
            folder: in_memory(),
            forge,
            repo,
        }
    }

    /// Sets the keys with which services that start later sign markers.
    pub(crate) fn sign_with(&mut self, markers: MarkerKeys) {
        self.login.markers = markers;
        self.server = self.forge.client(&self.login, Arc::new(self.clock.clone()));
    }

    /// Lists the accounts whose commands count, in services that start later, while the token may not read
    /// who has write access.
    pub(crate) fn list_command_accounts(&mut self, logins: &[&str]) {
        self.login.command_accounts =
            logins.iter().map(|login| AccountId::new(self.forge.account_id(login))).collect();
        self.server = self.forge.client(&self.login, Arc::new(self.clock.clone()));
    }

    /// Makes services that start later log in as a GitHub App, which is installed for all repositories of
    /// `acme`. Revokes the token, whose account then counts as a former account of the service. Returns the
    /// App and the installation.
    pub(crate) fn log_in_as_app(&mut self, slug: &str) -> (FakeApp, u64) {
        self.forge.revoke_token(TOKEN);
        let app = self.forge.register_app(slug).unwrap();
        let installation = self.forge.install(&app, "acme");
        let key = AppKey::from_pem(&app.private_key).unwrap();
        let options = GitHubOptions {
            previous_accounts: vec![BOT.into()],
            credentials: GitHubCredentials::App { id: app.id, key },
            ..self.login.github(self.forge.base_url())
        };
        let clock = Arc::new(self.clock.clone());
        self.server = GitHub::with_timeouts(options, patience(), clock).unwrap().into();
        (app, installation)
    }

    /// Deletes the store's files. No service may be running.
    pub(crate) fn forget(&self) {
        for file in self.records() {
            std::fs::remove_file(file).unwrap();
        }
    }

    /// Copies the store's files. No service may be running.
    pub(crate) fn back_up(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for file in self.records() {
            std::fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
        }
        copy
    }

    /// Restores the store's files from a copy. No service may be running.
    pub(crate) fn restore(&self, copy: &TempDir) {
        self.forget();
        for file in std::fs::read_dir(copy.path()).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), self.folder.path().join(file.file_name())).unwrap();
        }
    }

    /// Returns the existing files of the store.
    fn records(&self) -> Vec<PathBuf> {
        let database = self.database().into_os_string().into_string().unwrap();
        let names = ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{database}{end}")));
        names.into_iter().filter(|file| file.exists()).collect()
    }

    /// Returns the database file of the store.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("truing.db")
    }

    /// Starts a service with the limits of [`limits`], and makes the forge send its webhooks to the service.
    pub(crate) async fn serve(&self) -> Running {
        self.serve_with(limits()).await
    }

    pub(crate) async fn serve_with(&self, limits: SlotLimits) -> Running {
        let store = self.store();
        self.serve_from(store.clone(), store, limits).await
    }

    /// Starts a service that sweeps at this interval.
    pub(crate) async fn serve_sweeping(&self, every: Duration) -> Running {
        let store = self.store();
        self.serve_paced(
            store.clone(),
            store,
            limits(),
            ServiceSettings { sweep_interval: Some(every), ..pace() },
            settings(),
        )
        .await
    }

    /// Starts a service with these webhook settings.
    pub(crate) async fn serve_as(&self, settings: IngressSettings, limits: SlotLimits) -> Running {
        let store = self.store();
        self.serve_paced(store.clone(), store, limits, pace(), settings).await
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.database(), Arc::new(self.clock.clone())).unwrap()
    }

    /// Starts a service on `store`, which is `inner` or wraps it.
    pub(crate) async fn serve_from(
        &self,
        store: impl RecordStore + 'static,
        inner: Store,
        limits: SlotLimits,
    ) -> Running {
        self.serve_paced(store, inner, limits, pace(), settings()).await
    }

    /// Starts a service with these settings.
    pub(crate) async fn serve_paced(
        &self,
        store: impl RecordStore + 'static,
        inner: Store,
        limits: SlotLimits,
        pace: ServiceSettings,
        ingress: IngressSettings,
    ) -> Running {
        self.serve_context(self.context(store, self.forges(), limits), inner, pace, ingress).await
    }

    /// Starts a service with this context, whose store is `inner` or wraps it.
    pub(crate) async fn serve_context(
        &self,
        context: ServiceContext,
        inner: Store,
        settings: ServiceSettings,
        ingress: IngressSettings,
    ) -> Running {
        let service = ReviewService { context: Arc::new(context), settings, ingress, metrics: None };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hook = format!("{url}/webhooks/{FORGE}");
        self.forge.set_hook(WebhookTarget { url: hook, secret: SECRET.into(), is_automatic: false });
        let (stop, stopped) = oneshot::channel();
        let task =
            tokio::spawn(service.run(listener, async move { drop(stopped.await) }, std::future::pending()));
        Running { url, store: inner, stop, task }
    }

    /// Returns the service's clients for the forge.
    pub(crate) fn forges(&self) -> ConfiguredForges {
        ConfiguredForges(BTreeMap::from([(FORGE.to_owned(), self.server.clone())]))
    }

    /// Returns a context for a service or a worker.
    pub(crate) fn context(
        &self,
        store: impl RecordStore + 'static,
        forges: impl ForgeClients + 'static,
        limits: SlotLimits,
    ) -> ServiceContext {
        let store: Arc<dyn RecordStore> = Arc::new(store);
        ServiceContext {
            switches: truing_loops::run_gate::SwitchReader::new(
                Arc::clone(&store),
                Arc::new(self.clock.clone()),
            ),
            store,
            forges: Box::new(forges),
            reader: Box::new(self.reader.clone()),
            clock: Arc::new(self.clock.clone()),
            git: self.git.clone(),
            mirrors_folder: self.folder.path().join("mirrors"),
            slot_limits: limits,
            repository_filter: truing_service::repository_filter::RepositoryFilter::default(),
            rules: change::rules(&["aiobotocore", "core"]),
            max_inline_comments: self.max_inline,
            agent: None,
            converge_setup: Err("it is not tried here".to_owned()),
            held_slots: truing_service::kill_switch::HeldSlots::default(),
            write_monitor: truing_loops::telemetry::WRITE_MONITOR.clone(),
            sweep_results: truing_service::sweep::SweepResults::default(),
            metrics: truing_service::metrics::ServiceMetrics::new().unwrap(),
            scheduler_waker: truing_service::scheduler_waker::SchedulerWaker::default(),
            linter_sources: truing_loops::tools::LinterSources::default(),
            duty_lease_expiry: truing_service::duty_lease::DutyLeaseExpiry::default(),
            max_step_time: truing_service::worker::MAX_STEP_TIME,
        }
    }

    /// Opens a pull request with twelve findings.
    pub(crate) async fn open(&self, branch: &str) -> Opened {
        self.open_as(NewPull::from_branch(branch)).await
    }

    pub(crate) async fn open_as(&self, new: NewPull) -> Opened {
        let branch = new.head.clone();
        let first = self.repo.push(&branch, own(change::first(), &branch)).await.unwrap();
        let number = self.repo.open_pull(new).await.unwrap();
        Opened { number, branch, first, second: None }
    }

    /// Pushes a commit that fixes some findings of a pull request and adds others.
    pub(crate) async fn push_second(&self, opened: &mut Opened) {
        let commit = own(change::second(), &opened.branch);
        opened.second = Some(self.repo.push(&opened.branch, commit).await.unwrap());
    }

    /// Sends the pending deliveries to the service; all of them must be accepted. Returns the last one.
    pub(crate) async fn deliver(&self) -> FakeDelivery {
        let deliveries = self.forge.take_deliveries();
        for delivery in &deliveries {
            assert_eq!(self.forge.deliver(delivery).await.unwrap(), 202);
        }
        deliveries.last().unwrap().clone()
    }

    /// Sends the pending deliveries over an unreliable network. The service must accept every delivery that
    /// arrives.
    pub(crate) async fn deliver_through(&self, chaos: UnreliableNetwork) {
        for status in self.forge.deliver_all(chaos).await.unwrap() {
            assert_eq!(status, 202);
        }
    }

    pub(crate) async fn view(&self, opened: &Opened) -> PullView {
        self.repo.pull(opened.number).await.unwrap()
    }

    /// Returns the visible parts of our review on the pull request.
    pub(crate) async fn picture(&self, opened: &Opened) -> ReviewPicture {
        let mut names = vec![(&self.base, "BASE"), (&opened.first, "FIRST")];
        names.extend(opened.second.as_ref().map(|second| (second, "SECOND")));
        ReviewPicture::of(&self.view(opened).await, &names, 0)
    }

    pub(crate) async fn key(&self, number: u64) -> SlotKey {
        let repository = self.repo.public_id().await.unwrap();
        PrId { forge: FORGE.into(), repository, number }.key()
    }
}

/// Adds a file that contains the name of the branch. The commits of each pull request therefore have
/// different ids.
fn own(commit: CommitBuilder, branch: &str) -> CommitBuilder {
    commit.write("note.txt", branch)
}

impl Running {
    pub(crate) async fn slot(&self, key: &SlotKey) -> Slot {
        self.store.load_slots(std::slice::from_ref(key)).await.unwrap().remove(0)
    }

    /// Waits until the service has done all work and forgotten all slots. Moves the clock if the next due
    /// time is far away.
    pub(crate) async fn rest(&self, clock: &ShiftedClock) {
        self.come_to("all slots are forgotten", clock, |slots| slots.is_empty()).await;
    }

    /// Waits until no slot has a due time or a lease. Slots that only a person can wake may remain.
    pub(crate) async fn rest_as_it_is(&self) {
        until("nothing is due", async || {
            self.store.list_slots().await.unwrap().iter().all(|slot| slot.wake_time().is_none())
        })
        .await;
    }

    /// Waits until `wanted` returns true for all slots together.
    pub(crate) async fn come_to(&self, what: &str, clock: &ShiftedClock, wanted: impl Fn(&[Slot]) -> bool) {
        let told = std::cell::RefCell::new(Vec::new());
        let reached = until(what, async || {
            let slots = self.store.list_slots().await.unwrap();
            let reached = wanted(&slots);
            let leased = slots.iter().any(|slot| slot.token().is_some());
            let next = slots.iter().filter_map(Slot::wake_time).min();
            let late = next.map(|at| at - clock.now()).filter(|wait| *wait > WORTH_A_SKIP);
            if let (false, false, Some(wait)) = (reached, leased, late) {
                clock.skip(wait);
            }
            told.replace(slots);
            reached
        });
        if tokio::time::timeout(PATIENCE.mul_f32(0.9), reached).await.is_err() {
            let mut text = String::new();
            for slot in told.take() {
                text.push_str(&format!("{slot:?}\n{:#?}\n", self.history(&slot.key).await));
            }
            panic!("waited in vain: {what}\n{text}");
        }
    }

    /// Waits until the slot is in the state with this name.
    pub(crate) async fn state(&self, key: &SlotKey, state: &str) {
        until(state, async || self.slot(key).await.state.to_string() == state).await;
    }

    /// Retries a slot, as an operator would.
    pub(crate) async fn retry(&self, key: &SlotKey) {
        apply_slot_command(&self.store, key, SlotCommand::Retry, &limits()).await.unwrap();
    }

    /// Counts the runs of a pull request that were published.
    pub(crate) async fn published(&self, key: &SlotKey) -> usize {
        let runs = self.store.review_entries(key, 1000).await.unwrap();
        runs.iter().filter(|run| run.stage == RunStage::Published).count()
    }

    /// Returns the descriptions of all events in the pull request's history, oldest first.
    pub(crate) async fn history(&self, key: &SlotKey) -> Vec<String> {
        let mut events = self.store.events(key, 200).await.unwrap();
        events.reverse();
        events.into_iter().map(|event| event.description).collect()
    }

    /// Returns true if a worker has a lease on the slot.
    pub(crate) async fn is_leased(&self, key: &SlotKey) -> bool {
        matches!(self.slot(key).await.state, SlotState::Leased { .. })
    }

    /// Stops the service as SIGTERM would. The service must stop without an error.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.unwrap().unwrap();
    }

    /// Kills the service, as SIGKILL would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}
