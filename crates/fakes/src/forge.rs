//! [`FakeForge`]: a forge on loopback, of one of the kinds of [`ForgeFlavour`]. `state` is what it holds, and
//! knows nothing above it; `operations` change it; `http` takes calls; `github` and `bitbucket` answer them
//! in their ways, and tell of changes in their form. `people` is what tests do, `view` what they see.
//! `shared` is what the server and its handles share, `diff` what a diff contains, `webhook` how deliveries
//! are sent, `fault` how it all misbehaves, `witness` who looks at each exchange.

mod bitbucket;
mod diff;
mod error;
mod fault;
mod flavour;
mod github;
mod http;
mod operations;
mod pages;
mod people;
mod refusal;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod view;
mod webhook;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use truing_core::id::UnixMillis;
use truing_core::port::Clock;

pub use diff::FakeDiffSide;
pub use error::FakeError;
pub use fault::{ForgeFault, ForgeFaultKind, ReasonForm};
pub use flavour::ForgeFlavour;
pub use github::{MAX_ANNOTATIONS, MAX_COMMENT, MAX_DESCRIPTION, MAX_TEXT};
pub use operations::pulls::NewPull;
pub use people::{FakeApp, FakeRepo, FakeRepoSnapshot};
pub use refusal::{PLACE_REFUSALS, PlaceRefusal, RefusedPlaces};
pub use state::access::RepositoryAccess;
pub use state::apps::TokenKind;
pub use state::bots::{BotReview, BotStep, FakeBot};
pub use state::checks::{FakeCheckRun, RerunButton};
pub use state::delivery::{DeliveryHook, FakeDelivery, MAX_QUEUED};
pub use state::merging::{MergeState, ReviewDecision};
pub use state::pulls::{FakeReviewVerdict, InlinePlace};
pub use state::reports::{CommitReport, ReportAnnotation};
pub use state::{CommitStatus, LoggedCall, MAX_LOGGED};
pub use view::{CommentView, IssueView, PullView, ReviewView};
pub use webhook::{DELIVERY_TIMEOUT, DeliveryChaos, sign_sha256};
pub use witness::{ApiExchange, ExchangeObserver};

use crate::server::serve;
use http::serve::{ForgeProtocol, router};
use refusal::RefusedFile;
use shared::FakeForgeShared;
use state::{DeliveryFn, FakeForgeState, ForgeInstance};

/// The version that a Data Center has unless a test says otherwise.
const VERSION: &str = "9.4.2";

/// How a forge begins.
#[derive(Clone)]
pub struct FakeForgeOptions {
    /// Its clock: the time in every object.
    pub clock: Arc<dyn Clock>,
    /// Does git over HTTP need a token, as for a private repository? A wrong one is always refused.
    pub private_git: bool,
    /// Who looks at every exchange of the API.
    pub witness: Option<Arc<dyn ExchangeObserver>>,
}

impl Default for FakeForgeOptions {
    fn default() -> Self {
        Self { clock: Arc::new(WallClock), private_git: true, witness: None }
    }
}

impl std::fmt::Debug for FakeForgeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeForgeOptions").field("private_git", &self.private_git).finish_non_exhaustive()
    }
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The server. It ends when this is dropped.
#[derive(Debug)]
pub struct FakeForge {
    shared: Arc<FakeForgeShared>,
    flavour: ForgeFlavour,
    base_url: String,
    client: reqwest::Client,
    tasks: [AbortHandle; 2],
}

impl Drop for FakeForge {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl FakeForge {
    /// Starts a GitHub on a free port of 127.0.0.1, inside the running tokio runtime.
    ///
    /// # Errors
    /// There is no port, or no folder for its repositories.
    pub async fn start(options: FakeForgeOptions) -> Result<Self, FakeError> {
        Self::start_as(ForgeFlavour::GitHub, options).await
    }

    /// Starts a forge of this kind on a free port of 127.0.0.1, inside the running tokio runtime.
    ///
    /// # Errors
    /// There is no port, or no folder for its repositories.
    pub async fn start_as(flavour: ForgeFlavour, options: FakeForgeOptions) -> Result<Self, FakeError> {
        let (protocol, form): (&'static ForgeProtocol, DeliveryFn) = match flavour {
            ForgeFlavour::GitHub => (&github::PROTOCOL, github::delivery),
            ForgeFlavour::Cloud => (&bitbucket::cloud::PROTOCOL, bitbucket::cloud::delivery),
            ForgeFlavour::DataCenter => (&bitbucket::data_center::PROTOCOL, bitbucket::data_center::delivery),
        };
        let dir = tempfile::Builder::new().prefix("fake-forge-").tempdir()?;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let (outbox, deliveries) = channel(MAX_QUEUED);
        let world = ForgeInstance {
            flavour,
            version: VERSION.into(),
            base_url: base_url.clone(),
            clock: options.clock,
            accounts: BTreeMap::new(),
            closed_accounts: BTreeSet::new(),
            tokens: Default::default(),
            apps: Default::default(),
            private_git: options.private_git,
            next_id: 0,
            faults: Default::default(),
            refused_files: Vec::new(),
            stale_lists: 0,
            stale_heads: 0,
            hook: None,
            queued: Default::default(),
            outbox,
            breaker: Default::default(),
            events: 0,
            form,
            used: 0,
            limit: None,
            creations: None,
            spent: (0, 0),
            calls: BTreeMap::new(),
            log: Default::default(),
            violations: Vec::new(),
        };
        let shared = Arc::new(FakeForgeShared {
            state: Mutex::new(FakeForgeState { world, repos: BTreeMap::new(), moved: BTreeMap::new() }),
            witness: options.witness,
            held: watch::Sender::default(),
            dir,
        });
        let tasks = [
            tokio::spawn(serve(listener, router(&shared, protocol))).abort_handle(),
            tokio::spawn(deliver(Arc::clone(&shared), deliveries, client.clone())).abort_handle(),
        ];
        Ok(Self { shared, flavour, base_url, client, tasks })
    }

    /// Its kind.
    pub fn flavour(&self) -> ForgeFlavour {
        self.flavour
    }

    /// Lets a Data Center say that it has this version, as `8.9.0`, and behave so: drafts are from 8.18 on,
    /// comments on several lines from 9.3 on.
    pub fn version(&self, version: &str) {
        self.shared.lock().world.version = version.to_owned();
    }

    /// The id of an account as the forge shows it: `{uuid}` at Bitbucket Cloud, else digits. The account is
    /// made if there is none.
    pub fn account_id(&self, login: &str) -> String {
        let world = &mut self.shared.lock().world;
        world.account(login);
        self.flavour.account_id(world.accounts.get(login).copied().unwrap_or_default())
    }

    /// The server's address, without a slash at its end. GitHub's calls begin there, those of Bitbucket Cloud
    /// at `{base_url}/2.0`, those of a Data Center at `{base_url}/rest`; `{base_url}/{owner}/{repo}.git` is a
    /// repository's, at a Data Center `{base_url}/scm/{owner}/{repo}.git`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Makes a token known as somebody's. A login ending in `[bot]` is an app's; at Bitbucket Cloud it has
    /// the type of access tokens' accounts, at a Data Center that of services.
    pub fn token(&self, token: &str, login: &str) {
        let mut state = self.shared.lock();
        state.world.account(login);
        state.world.tokens.insert(token.to_owned(), login.to_owned());
    }

    /// Forgets a token: it answers 401 from now on.
    pub fn revoke(&self, token: &str) {
        self.shared.lock().world.tokens.remove(token);
    }

    // --------------------------------------------------------------------------------------- misbehaviour

    /// Adds a rule of misbehaviour.
    pub fn fault(&self, fault: ForgeFault) {
        self.shared.lock().world.faults.add(fault);
    }

    /// From now on refuses comments on places of the file with this path, in this way.
    pub fn refuse_places(&self, path: &str, places: RefusedPlaces, by: PlaceRefusal) {
        let file = RefusedFile { path: path.to_owned(), places, by };
        self.shared.lock().world.refused_files.push(file);
    }

    /// Has every rule of misbehaviour met all its calls?
    pub fn is_faultless(&self) -> bool {
        self.shared.lock().world.faults.is_empty()
    }

    /// Ends all rules of misbehaviour.
    pub fn clear_faults(&self) {
        self.shared.lock().world.faults.clear();
    }

    /// Ends when a call is held (see [`ForgeFaultKind::Held`]).
    pub async fn holds(&self) {
        // The sender lives as long as this.
        let _ = self.shared.held.subscribe().wait_for(|(held, released)| held > released).await;
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.shared.held.send_modify(|(held, released)| *released = *held);
    }

    /// Comments made from now on are left out of the first `calls` lists that should show them.
    pub fn stale_lists(&self, calls: u32) {
        self.shared.lock().world.stale_lists = calls;
    }

    /// After a push from now on, the first `reads` reads of the pull request show the former head.
    pub fn stale_heads(&self, reads: u32) {
        self.shared.lock().world.stale_heads = reads;
    }

    // ------------------------------------------------------------------------------------------- webhooks

    /// Sets where deliveries go, and whether at once.
    pub fn hook(&self, hook: DeliveryHook) {
        self.shared.lock().world.hook = Some(hook);
    }

    /// Takes the deliveries that wait, in the order of the changes.
    pub fn pending(&self) -> Vec<FakeDelivery> {
        self.shared.lock().world.queued.drain(..).collect()
    }

    /// Sends one delivery, for the first time or again; the answer's status, at Cloud that of the last
    /// attempt.
    ///
    /// # Errors
    /// [`FakeError::Refused`]: a Data Center leaves the hook out, because it has failed five times or more.
    pub async fn deliver(&self, delivery: &FakeDelivery) -> Result<u16, FakeError> {
        let hook = self.shared.lock().world.hook.clone();
        let hook = hook.ok_or_else(|| FakeError::Missing("hook".into()))?;
        send(&self.shared, &self.client, delivery, &hook).await
    }

    /// Tests the hook as a person does in a Data Center's settings; the answer's status.
    ///
    /// # Errors
    /// There is no hook, or the forge is another one.
    pub async fn ping(&self) -> Result<u16, FakeError> {
        if self.flavour != ForgeFlavour::DataCenter {
            return Err(FakeError::Refused("only a Data Center tests hooks".into()));
        }
        let serial = {
            let world = &mut self.shared.lock().world;
            world.events += 1;
            world.events
        };
        let payload = serde_json::json!({"test": true});
        let delivery = FakeDelivery::of_bitbucket(self.flavour, serial, webhook::PING, 0, &payload);
        self.deliver(&delivery).await
    }

    /// Sends what waits through a bad network; the statuses in the order of arrival.
    pub async fn deliver_all(&self, chaos: DeliveryChaos) -> Result<Vec<u16>, FakeError> {
        let mut statuses = Vec::new();
        for delivery in chaos.apply(self.pending()) {
            statuses.push(self.deliver(&delivery).await?);
        }
        Ok(statuses)
    }

    // ----------------------------------------------------------------------------------------- inspection

    /// How often each route was called, by `METHOD /route/{of}/the/{table}`; `METHOD unknown` for the others.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.lock().world.calls.clone()
    }

    /// What nobody of ours may do and somebody did: approvals, merges, pushes without the right to or to the
    /// default branch, others' comments, issues and pull requests, unknown calls.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().world.violations.clone()
    }

    /// The requests, oldest first; at most [`MAX_LOGGED`].
    pub fn log(&self) -> Vec<LoggedCall> {
        self.shared.lock().world.log.iter().cloned().collect()
    }
}

/// Sends automatic deliveries, one after another.
async fn deliver(
    shared: Arc<FakeForgeShared>,
    mut deliveries: Receiver<(FakeDelivery, DeliveryHook)>,
    client: reqwest::Client,
) {
    while let Some((delivery, hook)) = deliveries.recv().await {
        let _ = send(&shared, &client, &delivery, &hook).await;
    }
}

/// Sends one delivery, unless a Data Center leaves its hook out.
async fn send(
    shared: &FakeForgeShared,
    client: &reqwest::Client,
    delivery: &FakeDelivery,
    hook: &DeliveryHook,
) -> Result<u16, FakeError> {
    if delivery.flavour != ForgeFlavour::DataCenter {
        return Ok(delivery.send(client, hook).await?);
    }
    let leaves_out = {
        let world = &shared.lock().world;
        world.breaker.leaves_out(world.now())
    };
    if leaves_out {
        return Err(FakeError::Refused("the hook has failed too often, and is left out for a time".into()));
    }
    let sent = delivery.send(client, hook).await;
    let world = &mut shared.lock().world;
    let now = world.now();
    world.breaker.note(sent.as_ref().is_ok_and(|status| (200..300).contains(status)), now);
    Ok(sent?)
}
