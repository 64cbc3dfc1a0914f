//! [`FakeForge`]: a forge on loopback, of a kind in [`ForgeFlavour`]. `state` contains the forge's data and
//! depends on no other module; `operations` changes the data. `http` receives requests; `github` and
//! `bitbucket` answer requests and create webhooks, each in the forge's format. `user_actions` contains the
//! actions that tests perform as users; `view` contains the functions with which tests read the data.
//! `shared` contains the data that the server and its handles share; `diff` creates diffs. `webhook` delivers
//! events, `fault` simulates faults, and `witness` observes each exchange.

mod bitbucket;
mod diff;
mod error;
mod fault;
mod flavour;
mod github;
mod http;
mod operations;
mod refusal;
mod shared;
mod state;
#[cfg(test)]
mod tests;
mod user_actions;
mod view;
mod web_pages;
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
pub use fault::{ErrorListFormat, ForgeFault, ForgeFaultKind};
pub use flavour::ForgeFlavour;
pub use github::{MAX_ANNOTATIONS, MAX_COMMENT_CHARS, MAX_OUTPUT_CHARS, MAX_STATUS_DESCRIPTION_CHARS};
pub use operations::pulls::NewPull;
pub use refusal::{CommentPlaceRefusal, PLACE_REFUSALS, RefusedPlaces};
pub use state::access::RepositoryAccess;
pub use state::apps::TokenKind;
pub use state::bots::{BotReview, BotStep, FakeBot};
pub use state::checks::{FakeCheckRun, RerunButton};
pub use state::delivery::{FakeDelivery, MAX_QUEUED_DELIVERIES, WebhookTarget};
pub use state::merging::{MergeState, ReviewDecision};
pub use state::pulls::{FakeReviewVerdict, InlinePlace};
pub use state::reports::{CommitReport, ReportAnnotation};
pub use state::{CommitStatus, LoggedCall, MAX_LOGGED_CALLS};
pub use user_actions::{FakeApp, FakeRepo, FakeRepoSnapshot};
pub use view::{CommentView, IssueView, PullView, ReviewView};
pub use webhook::{DELIVERY_TIMEOUT, UnreliableNetwork, sign_sha256};
pub use witness::{ApiExchange, ExchangeObserver};

use crate::server::serve_connections;
use http::serve::{ForgeProtocol, forge_router};
use refusal::RefusedFile;
use shared::FakeForgeSharedState;
use state::{DeliveryFn, FakeForgeState, ForgeInstance};

/// Default version of a Bitbucket Data Center.
const DEFAULT_DATA_CENTER_VERSION: &str = "9.4.2";

/// The initial options of a forge.
#[derive(Clone)]
pub struct FakeForgeOptions {
    /// Clock of the forge, which determines the times in the forge's objects.
    pub clock: Arc<dyn Clock>,
    /// True if git over HTTP requires a token, as for a private repository. An invalid token is always
    /// rejected.
    pub requires_git_token: bool,
    /// Observer of every API request and response.
    pub observer: Option<Arc<dyn ExchangeObserver>>,
}

impl Default for FakeForgeOptions {
    fn default() -> Self {
        Self { clock: Arc::new(WallClock), requires_git_token: true, observer: None }
    }
}

impl std::fmt::Debug for FakeForgeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeForgeOptions")
            .field("private_git", &self.requires_git_token)
            .finish_non_exhaustive()
    }
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The server. The server stops when this value is dropped.
#[derive(Debug)]
pub struct FakeForge {
    shared: Arc<FakeForgeSharedState>,
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
    /// Starts a fake GitHub on a free port of 127.0.0.1, inside the running tokio runtime.
    ///
    /// # Errors
    /// Returns an error if no port is free, or if the folder for the repositories cannot be created.
    pub async fn start(options: FakeForgeOptions) -> Result<Self, FakeError> {
        Self::start_as(ForgeFlavour::GitHub, options).await
    }

    /// Starts a forge of this kind on a free port of 127.0.0.1, inside the running tokio runtime.
    ///
    /// # Errors
    /// Returns an error if no port is free, or if the folder for the repositories cannot be created.
    pub async fn start_as(flavour: ForgeFlavour, options: FakeForgeOptions) -> Result<Self, FakeError> {
        let (protocol, form): (&'static ForgeProtocol, DeliveryFn) = match flavour {
            ForgeFlavour::GitHub => (&github::PROTOCOL, github::build_delivery),
            ForgeFlavour::Cloud => (&bitbucket::cloud::PROTOCOL, bitbucket::cloud::build_delivery),
            ForgeFlavour::DataCenter => {
                (&bitbucket::data_center::PROTOCOL, bitbucket::data_center::build_delivery)
            }
        };
        let dir = tempfile::Builder::new().prefix("fake-forge-").tempdir()?;
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let client = reqwest::Client::builder().no_proxy().build()?;
        let (outbox, deliveries) = channel(MAX_QUEUED_DELIVERIES);
        let world = ForgeInstance {
            flavour,
            version: DEFAULT_DATA_CENTER_VERSION.into(),
            base_url: base_url.clone(),
            clock: options.clock,
            accounts: BTreeMap::new(),
            closed_accounts: BTreeSet::new(),
            tokens: Default::default(),
            apps: Default::default(),
            private_git: options.requires_git_token,
            next_id: 0,
            faults: Default::default(),
            refused_files: Vec::new(),
            stale_list_reads: 0,
            stale_head_reads: 0,
            webhook: None,
            queued_deliveries: Default::default(),
            outbox,
            breaker: Default::default(),
            delivery_count: 0,
            create_delivery: form,
            request_count: 0,
            primary_rate_limit: None,
            secondary_rate_limit: None,
            hour_and_call_count: (0, 0),
            call_counts: BTreeMap::new(),
            log: Default::default(),
            violations: Vec::new(),
        };
        let shared = Arc::new(FakeForgeSharedState {
            state: Mutex::new(FakeForgeState {
                forge: world,
                repos: BTreeMap::new(),
                renamed_repositories: BTreeMap::new(),
            }),
            observer: options.observer,
            hold_counts: watch::Sender::default(),
            dir,
        });
        let tasks = [
            tokio::spawn(serve_connections(listener, forge_router(&shared, protocol))).abort_handle(),
            tokio::spawn(send_deliveries(Arc::clone(&shared), deliveries, client.clone())).abort_handle(),
        ];
        Ok(Self { shared, flavour, base_url, client, tasks })
    }

    pub fn flavour(&self) -> ForgeFlavour {
        self.flavour
    }

    /// Sets the version of a Data Center, such as `8.9.0`. The version determines the features: drafts exist
    /// since 8.18, comments on several lines since 9.3.
    pub fn set_version(&self, version: &str) {
        self.shared.lock().forge.version = version.to_owned();
    }

    /// Returns the id of an account as the forge shows it: `{uuid}` at Bitbucket Cloud, otherwise digits.
    /// Creates the account if it does not exist.
    pub fn account_id(&self, login: &str) -> String {
        let world = &mut self.shared.lock().forge;
        world.ensure_account(login);
        self.flavour.account_id(world.accounts.get(login).copied().unwrap_or_default())
    }

    /// Returns the address of the server, without a slash at its end. GitHub's API is at this address, the
    /// API of Bitbucket Cloud at `{base_url}/2.0`, and the API of a Data Center at `{base_url}/rest`. The
    /// clone address is `{base_url}/{owner}/{repo}.git`; for a Data Center,
    /// `{base_url}/scm/{owner}/{repo}.git`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Registers a token of an account. A login that ends in `[bot]` belongs to an app. At Bitbucket Cloud,
    /// the account of an app has the account type of an access token; at a Data Center, the type of a
    /// service.
    pub fn register_token(&self, token: &str, login: &str) {
        let mut state = self.shared.lock();
        state.forge.ensure_account(login);
        state.forge.tokens.insert(token.to_owned(), login.to_owned());
    }

    /// Revokes a token: from now on, the forge answers requests with this token with status 401.
    pub fn revoke_token(&self, token: &str) {
        self.shared.lock().forge.tokens.remove(token);
    }

    // --------------------------------------------------------------------------------------- misbehaviour

    /// Adds a rule for a fault.
    pub fn add_fault(&self, fault: ForgeFault) {
        self.shared.lock().forge.faults.add(fault);
    }

    /// From now on, rejects comments on these lines of the file, in the way that `refusal` defines.
    pub fn refuse_comment_places(&self, path: &str, places: RefusedPlaces, refusal: CommentPlaceRefusal) {
        let file = RefusedFile { path: path.to_owned(), places, refusal };
        self.shared.lock().forge.refused_files.push(file);
    }

    /// Returns true if no fault rule is left. A rule is removed after it was applied to the number of
    /// requests that it defines.
    pub fn has_no_faults(&self) -> bool {
        self.shared.lock().forge.faults.is_empty()
    }

    /// Removes all fault rules.
    pub fn clear_faults(&self) {
        self.shared.lock().forge.faults.clear();
    }

    /// Waits until the forge holds a request (see [`ForgeFaultKind::HeldRequest`]).
    pub async fn wait_for_held_request(&self) {
        // Waiting cannot fail, because the sender exists as long as this forge.
        let _ = self.shared.hold_counts.subscribe().wait_for(|(held, released)| held > released).await;
    }

    /// Answers the held requests.
    pub fn release_held_requests(&self) {
        self.shared.hold_counts.send_modify(|(held, released)| *released = *held);
    }

    /// Makes new comments appear late: a comment that is created from now on is missing in the first `calls`
    /// lists that should contain the comment.
    pub fn set_stale_list_reads(&self, calls: u32) {
        self.shared.lock().forge.stale_list_reads = calls;
    }

    /// From now on, after each push, the first `reads` reads of the pull request return the previous head.
    pub fn set_stale_head_reads(&self, reads: u32) {
        self.shared.lock().forge.stale_head_reads = reads;
    }

    // ------------------------------------------------------------------------------------------- webhooks

    /// Sets the webhook: its address, and the mode of delivery (immediate, or only when a test requests it).
    pub fn set_hook(&self, hook: WebhookTarget) {
        self.shared.lock().forge.webhook = Some(hook);
    }

    /// Removes the queued deliveries from the queue and returns the deliveries in the order of the events.
    pub fn take_deliveries(&self) -> Vec<FakeDelivery> {
        self.shared.lock().forge.queued_deliveries.drain(..).collect()
    }

    /// Sends one delivery, for the first time or again. Returns the status of the response. Bitbucket Cloud
    /// retries a delivery; the returned status is the status of the last attempt.
    ///
    /// # Errors
    /// Returns [`FakeError::Refused`] if a Data Center skips the webhook, because the webhook has failed five
    /// times or more.
    pub async fn deliver(&self, delivery: &FakeDelivery) -> Result<u16, FakeError> {
        let hook = self.shared.lock().forge.webhook.clone();
        let hook = hook.ok_or_else(|| FakeError::Missing("hook".into()))?;
        send_delivery(&self.shared, &self.client, delivery, &hook).await
    }

    /// Sends the test delivery of the webhook, as a Data Center's settings page does. Returns the status of
    /// the response.
    ///
    /// # Errors
    /// Returns an error if there is no webhook, or if the forge is not a Data Center.
    pub async fn ping(&self) -> Result<u16, FakeError> {
        if self.flavour != ForgeFlavour::DataCenter {
            return Err(FakeError::Refused("only a Data Center tests hooks".into()));
        }
        let serial = {
            let world = &mut self.shared.lock().forge;
            world.delivery_count += 1;
            world.delivery_count
        };
        let payload = serde_json::json!({"test": true});
        let delivery =
            FakeDelivery::from_bitbucket_event(self.flavour, serial, webhook::PING_EVENT, 0, &payload);
        self.deliver(&delivery).await
    }

    /// Sends the queued deliveries through an unreliable network. Returns the statuses in the order of
    /// arrival.
    pub async fn deliver_all(&self, network: UnreliableNetwork) -> Result<Vec<u16>, FakeError> {
        let mut statuses = Vec::new();
        for delivery in network.apply(self.take_deliveries()) {
            statuses.push(self.deliver(&delivery).await?);
        }
        Ok(statuses)
    }

    // ----------------------------------------------------------------------------------------- inspection

    /// Returns the number of requests per route, such as `METHOD /route/{of}/the/{table}`. Requests to
    /// unknown routes are counted as `METHOD unknown`.
    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        self.shared.lock().forge.call_counts.clone()
    }

    /// Returns the forbidden actions of Truing: approvals, merges, pushes without permission or to the
    /// default branch, changes of other users' comments, issues and pull requests, and unknown requests.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().forge.violations.clone()
    }

    /// Returns the requests, oldest first; at most [`MAX_LOGGED_CALLS`].
    pub fn request_log(&self) -> Vec<LoggedCall> {
        self.shared.lock().forge.log.iter().cloned().collect()
    }
}

/// Sends the deliveries that it receives from the channel `deliveries`, one after another.
async fn send_deliveries(
    shared: Arc<FakeForgeSharedState>,
    mut deliveries: Receiver<(FakeDelivery, WebhookTarget)>,
    client: reqwest::Client,
) {
    while let Some((delivery, hook)) = deliveries.recv().await {
        let _ = send_delivery(&shared, &client, &delivery, &hook).await;
    }
}

/// Sends one delivery, unless a Data Center skips the webhook.
async fn send_delivery(
    shared: &FakeForgeSharedState,
    client: &reqwest::Client,
    delivery: &FakeDelivery,
    hook: &WebhookTarget,
) -> Result<u16, FakeError> {
    if delivery.flavour != ForgeFlavour::DataCenter {
        return Ok(delivery.send(client, hook).await?);
    }
    let leaves_out = {
        let world = &shared.lock().forge;
        world.breaker.is_skipping(world.now())
    };
    if leaves_out {
        return Err(FakeError::Refused("the hook has failed too often, and is left out for a time".into()));
    }
    let sent = delivery.send(client, hook).await;
    let world = &mut shared.lock().forge;
    let now = world.now();
    world.breaker.record_delivery(sent.as_ref().is_ok_and(|status| (200..300).contains(status)), now);
    Ok(sent?)
}
