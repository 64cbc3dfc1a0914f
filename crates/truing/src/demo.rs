//! The demonstration behind `truing demo`: a fake forge with real git repositories, a scripted model, this
//! service, and users who push too often. The demonstration uses only this machine and costs no money.
//!
//! [`ReviewDemo`] opens one pull request, shows the review by rules and model, and follows the pull request
//! until its last thread is resolved. With `--storm`, the model no longer reports a finding on a second pull
//! request. The comments on a third pull request are followed through five pushes, and a linter's finding on
//! a fourth through three pushes. Then many pull requests receive a storm of pushes, whose webhooks are lost,
//! repeated or out of order. At the end, comments and unreviewed commits are counted. [`sync`] and
//! [`converge`] demonstrate the other loops.

// long: one demonstration, what it does and what it counts.

pub mod converge;
mod demo_commits;
mod forge;
mod linter;
mod model;
pub mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use truing_config::environment::Environment;
use truing_config::problem::ConfigError;
use truing_config::{Config, ReviewModelRuntime};
use truing_core::code_digest::LinesKey;
use truing_core::id::{PrId, SlotKey, TimeSpan, UnixMillis};
use truing_core::lease_fairness::LeaseLimits;
use truing_core::port::{ForgeKind, SlotStore as _, SweepStore as _};
use truing_core::run::RunStage;
use truing_core::slot::SlotLimits;
use truing_fakes::forge::{
    CommitStatus, FakeError, FakeRepo, NewPull, PullView, UnreliableNetwork, WebhookTarget,
};
use truing_fakes::repo::CommitBuilder;
use truing_forge::webhook::HookSecret;
use truing_git::Git;
use truing_loops::checkout::OperatorRules;
use truing_loops::machine::SystemClock;
use truing_loops::reader::ChildProcessReader;
use truing_service::ingress::IngressSettings;
use truing_service::metrics::ServiceMetrics;
use truing_service::{ProcessRole, ReviewService, ServeError, ServiceContext, ServiceSettings};
use truing_store::Store;

use demo_commits::{
    cart_code, first_commit, fixed_commit, inserted_lines_commit, problem_commit, refund_code, storm_commit,
};
use forge::DemoForge;
pub(crate) use forge::github_pulls_url;
pub use model::DemoModelUsage;
use model::ScriptedModel;
use truing_service::ConfiguredForges;

/// Owner of the demonstration's repository.
const REPOSITORY_OWNER: &str = "wheel";
const REPOSITORY_NAME: &str = "spokes";
/// Name of the forge in the demonstrations of the other loops.
const FORGE_NAME: &str = "github";
const BOT_LOGIN: &str = "truing[bot]";
/// Token that only the fake forge accepts.
const FORGE_TOKEN: &str = "demo-token";
const WEBHOOK_SECRET: &str = "demo-webhook-secret";

/// Name of the operator's file.
const CONFIG_FILE_NAME: &str = "truing.toml";

/// Login of a user who may write to the repository.
pub const WRITER_LOGIN: &str = "ada";
/// Reply of the writer that dismisses one finding.
pub const DISMISSAL_REPLY: &str = "/dismiss a key of the tests";
/// Reply of the writer that dismisses the model's finding on the first pull request.
pub const MODEL_FINDING_DISMISSAL_REPLY: &str = "/dismiss one order at a time";

/// Title of the finding that the model reports and later drops.
const MODEL_FINDING_TITLE: &str = "One refunded order ends all refunds";
/// Number of findings on the pull request that the demonstration follows through five pushes.
pub const PLANTED_FINDING_COUNT: usize = 3;
/// Number of pull requests in the storm; each receives `PUSHES_PER_PULL` pushes.
const STORM_PULL_COUNT: usize = 20;
const PUSHES_PER_PULL: usize = 50;
/// Network faults during the storm: lost, repeated and delayed webhooks.
const STORM_NETWORK_FAULTS: UnreliableNetwork =
    UnreliableNetwork { seed: 7, lost_percent: 5, repeated_percent: 20, max_delay_positions: 8 };
/// Time after which the demonstration fails if the storm has not settled.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// Time limits of the service in the demonstration; they are short to finish quickly.
pub const DEMO_SLOT_LIMITS: SlotLimits = SlotLimits {
    debounce: TimeSpan(150),
    max_debounce: TimeSpan::seconds(1),
    storm_quiet_time: TimeSpan::seconds(5),
    max_storm_duration: TimeSpan::minutes(30),
    lease_duration: TimeSpan::seconds(20),
    initial_backoff: TimeSpan(200),
    backoff_max: TimeSpan::seconds(2),
    max_attempts: 5,
};
/// Maximum time, after a failed request, until the fake forge shows the posted comment.
pub const COMMENT_VISIBILITY_DELAY: TimeSpan = TimeSpan(500);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The result of the demonstration, printed by `truing demo --format json`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ReviewDemoReport {
    /// Number of pull requests with pushes.
    pub prs: usize,
    /// Number of pushes to these pull requests.
    pub pushes: usize,
    /// Number of reviews of these pull requests.
    pub reviews: usize,
    /// Number of findings shown on these pull requests, each as a comment on its line.
    pub findings: usize,
    /// Number of comments that repeat another comment.
    pub duplicates: usize,
    /// Number of pull requests whose last commit is not reviewed.
    pub unreviewed_heads: usize,
    /// Pull request that was followed from its first finding to its last resolved thread.
    pub followed: FollowedPull,
    /// Counts of the storm of pushes; none without `--storm`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormCounts>,
    /// Requests to the model and their fictitious cost, for all pull requests together.
    #[serde(flatten)]
    pub model: DemoModelUsage,
    /// Seconds from the start to the first review on the first pull request.
    pub seconds_to_first_review: f64,
}

impl ReviewDemoReport {
    /// Returns true if the counts meet the guarantees of the service.
    pub fn has_passed(&self) -> bool {
        self.duplicates == 0
            && self.unreviewed_heads == 0
            && self.followed.has_passed()
            && self.storm.as_ref().is_none_or(StormCounts::has_passed)
    }
}

/// The first pull request, from its first review to its last resolved thread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FollowedPull {
    /// Changes of the comments from each review to the next, including the effects of replies.
    pub steps: Vec<CommentChanges>,
    /// Number of comments on code lines at the end.
    pub comments: usize,
    /// Number of comments whose thread is not resolved.
    #[serde(rename = "open")]
    pub open_threads: usize,
    /// True if the last commit has a successful status.
    pub is_green: bool,
}

impl FollowedPull {
    /// Returns true if every finding has one comment and every thread is resolved.
    pub fn has_passed(&self) -> bool {
        let [opened, moved, fixed, dismissed] = self.steps.as_slice() else { return false };
        (opened.new, moved.moved, fixed.fixed, dismissed.dismissed) == (4, 3, 3, 1)
            && (self.comments, self.open_threads, self.is_green) == (4, 0, true)
    }
}

/// Counts of a storm of pushes on many pull requests, and of the findings on three other pull requests.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StormCounts {
    /// Number of webhooks that arrived, including repeated webhooks.
    pub deliveries: usize,
    /// Highest number of push storms on one pull request. Normally 1; more on a slow machine if a gap between
    /// two pushes exceeds the quiet time that ends a storm.
    pub storms_each: usize,
    /// Highest number of reviews of one pull request. The service guarantees at most two reviews per storm.
    pub most_reviews_of_one: usize,
    /// Counts of the comments on the pull request with `PLANTED_FINDING_COUNT` findings.
    pub lifecycle: LifecycleCounts,
    /// Counts of the comments on a linter's finding; none if this machine has no sandbox for a linter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linted: Option<LinterCounts>,
    /// Counts of the finding that the model dropped.
    pub forgotten: DroppedFindingCounts,
    /// Seconds from the first push of the storm until every last commit was reviewed.
    pub seconds_of_storm: f64,
}

impl StormCounts {
    /// Returns true if the counts meet the guarantees of the service.
    pub fn has_passed(&self) -> bool {
        self.most_reviews_of_one <= 2 * self.storms_each
            && self.lifecycle.has_passed()
            && self.forgotten.has_passed()
            && self.linted.as_ref().is_none_or(LinterCounts::has_passed)
    }
}

/// The results of the demonstrations before the storm.
pub struct ScenarioCounts {
    /// Counts of the comments on the pull request with `PLANTED_FINDING_COUNT` findings.
    pub lifecycle: LifecycleCounts,
    /// Counts of the finding that the model dropped.
    pub dropped_finding: DroppedFindingCounts,
    /// Counts of the comments on the linter's finding.
    pub linter_counts: Option<LinterCounts>,
}

/// Counts of a pull request with [`PLANTED_FINDING_COUNT`] findings through five pushes, read from the forge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LifecycleCounts {
    /// Changes of the comments from each review to the next, including the effects of replies.
    pub pushes: Vec<CommentChanges>,
    /// Number of comments on code lines at the end.
    pub comments: usize,
    /// Number of comments that repeat another comment.
    pub duplicates: usize,
}

/// Counts of the comments on a linter's finding, through three pushes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LinterCounts {
    /// Changes of the comments after each push.
    pub pushes: Vec<CommentChanges>,
    /// Number of comments on code lines at the end.
    pub comments: usize,
    /// Number of comments that repeat another comment.
    pub duplicates: usize,
}

impl LinterCounts {
    /// Returns true if the finding was posted once, moved and resolved.
    pub fn has_passed(&self) -> bool {
        let [opened, moved, fixed] = self.pushes.as_slice() else { return false };
        (opened.new, moved.moved, fixed.fixed) == (1, 1, 1) && (self.comments, self.duplicates) == (1, 0)
    }
}

/// Counts of a finding that the model no longer reports after the finding's lines were edited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct DroppedFindingCounts {
    /// Comments on the finding.
    pub comments: usize,
    /// Number of comments whose thread is open.
    #[serde(rename = "open")]
    pub open_threads: usize,
    /// True if the head has a successful status.
    pub is_green: bool,
}

impl DroppedFindingCounts {
    /// Returns true if the finding has one open comment and the head has no successful status.
    pub fn has_passed(&self) -> bool {
        (self.comments, self.open_threads, self.is_green) == (1, 1, false)
    }
}

/// Changes of the comments on code between two reviews.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CommentChanges {
    /// Number of new comments.
    pub new: usize,
    /// Number of open comments that moved to another line.
    pub moved: usize,
    /// Number of threads that were resolved because the finding is fixed.
    pub fixed: usize,
    /// Number of threads that were reopened.
    pub reopened: usize,
    /// Number of threads that were resolved because a user dismissed the finding.
    pub dismissed: usize,
}

impl CommentChanges {
    fn from_views(before: &PullView, after: &PullView) -> Self {
        let mut changes = Self::default();
        for comment in after.inline_comments().filter(|comment| comment.author == BOT_LOGIN) {
            let Some(was) = before.inline_comments().find(|was| was.id == comment.id) else {
                changes.new += 1;
                continue;
            };
            match (was.resolved, comment.resolved) {
                (true, false) => changes.reopened += 1,
                (false, true) if comment.body.contains("**Dismissed:**") => changes.dismissed += 1,
                (false, true) if comment.body.contains("**Fixed in") => changes.fixed += 1,
                (false, false) if was.line != comment.line && comment.line.is_some() => changes.moved += 1,
                (true | false, _) => {}
            }
        }
        changes
    }
}

impl LifecycleCounts {
    /// Returns true if each finding has exactly one comment, and the pushes moved, fixed, reopened and
    /// dismissed findings as expected.
    pub fn has_passed(&self) -> bool {
        let count = |count_of: fn(&CommentChanges) -> usize| self.pushes.iter().map(count_of).sum::<usize>();
        self.comments == PLANTED_FINDING_COUNT
            && self.duplicates == 0
            && count(|changes| changes.new) == PLANTED_FINDING_COUNT
            && count(|changes| changes.moved) >= PLANTED_FINDING_COUNT
            && (count(|changes| changes.fixed), count(|changes| changes.reopened)) == (1, 1)
            && count(|changes| changes.dismissed) == 1
    }
}

/// The reason that the demonstration stopped early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Error of the fake forge or its git.
    #[error("the demonstration's forge: {0}")]
    Forge(#[from] FakeError),
    /// The demonstration could not be set up.
    #[error("the demonstration cannot be set up: {0}")]
    SetUp(String),
    /// The demonstration exceeded its time limit.
    #[error("the demonstration did not finish within {} s; it was waiting for \
        {pending_work}", WAIT_TIMEOUT.as_secs())]
    TimedOut {
        /// Work for which the demonstration was waiting when the time limit passed.
        pending_work: String,
    },
}

/// Environment variables that select the runtime of the model's conversation, such as the `claude` program.
const RUNTIME_VARIABLES: [&str; 4] =
    ["RUNTIME_MODE", "TRUING_REVIEW__RUNTIME", "TRUING_REVIEW__CLAUDE", "TRUING_REVIEW__CLAUDE_VERSION"];

/// Returns the environment variables that a demonstration uses. These are `PATH` and, if the `claude` program
/// runs the model's conversation, the variables that select this program. The demonstration sets all other
/// values itself.
///
/// # Errors
/// Returns an error if the values of these variables are invalid.
pub fn demo_environment(environment: &Environment) -> Result<Environment, ConfigError> {
    let of = |names: &[&'static str]| -> Vec<(&'static str, OsString)> {
        names.iter().filter_map(|name| Some((*name, environment.get(name)?.to_owned()))).collect()
    };
    let here = environment.directory();
    let path = Environment::new(of(&["PATH"]), here);
    let all = path.clone().with_variables(of(&RUNTIME_VARIABLES), here);
    match Config::resolve(&all, None, &[])?.review.runtime {
        ReviewModelRuntime::ClaudeCli => Ok(all),
        ReviewModelRuntime::RulesOnly | ReviewModelRuntime::NativeToolLoop => Ok(path),
    }
}

fn setup_error(error: impl std::fmt::Display) -> DemoError {
    DemoError::SetUp(error.to_string())
}

/// The first pull request after its first review.
pub struct FirstReview {
    /// Number of the pull request.
    pub number: u64,
    /// Pull request as the forge shows it.
    pub view: PullView,
    /// Seconds since the start of the demonstration.
    pub seconds_since_start: f64,
}

/// A demonstration that is running.
pub struct ReviewDemo {
    forge: DemoForge,
    model: ScriptedModel,
    repo: FakeRepo,
    store: Store,
    /// Id of the repository at the forge.
    repository_id: String,
    service_address: std::net::SocketAddr,
    stop_sender: oneshot::Sender<()>,
    service_task: JoinHandle<Result<(), ServeError>>,
    started_at: Instant,
    folder: tempfile::TempDir,
    has_linter: bool,
}

impl ReviewDemo {
    /// Starts a forge of this kind, a model and the service on free ports of this machine. The service reads
    /// files with `reader`. Uses only the variables of `environment` that [`demo_environment`] returns.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if a part cannot be started.
    pub async fn start(
        kind: ForgeKind,
        git: Git,
        environment: &Environment,
        reader: ChildProcessReader,
    ) -> Result<Self, DemoError> {
        let started_at = Instant::now();
        let folder = tempfile::tempdir().map_err(setup_error)?;
        let forge = DemoForge::start(kind).await?;
        let repo = forge.fake.create_repository(REPOSITORY_OWNER, REPOSITORY_NAME, first_commit()).await?;
        let repository = repo.public_id().await?;
        let store =
            Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).map_err(setup_error)?;
        let model = ScriptedModel::start(environment, folder.path()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(setup_error)?;
        let address = listener.local_addr().map_err(setup_error)?;
        std::fs::write(folder.path().join(CONFIG_FILE_NAME), forge.operator_config(folder.path(), address))
            .map_err(setup_error)?;
        std::fs::write(folder.path().join("token"), FORGE_TOKEN).map_err(setup_error)?;
        let server = forge.client(folder.path(), COMMENT_VISIBILITY_DELAY)?;
        forge.grant_permission_lookup(&server, &repo).await?;
        let servers = ConfiguredForges(BTreeMap::from([(forge.name().to_owned(), server)]));
        let context = build_context(servers, &model, git, store.clone(), reader, folder.path())?;
        let has_linter = context.linter_sources.runner.is_some();
        forge.fake.set_hook(WebhookTarget {
            url: format!("http://{address}/webhooks/{}", forge.name()),
            secret: WEBHOOK_SECRET.into(),
            is_automatic: false,
        });
        let (stop, stopped) = oneshot::channel();
        let service = ReviewService {
            context: Arc::new(context),
            settings: ServiceSettings {
                role: ProcessRole::All,
                lease_limits: LeaseLimits::new(4),
                poll_interval: POLL_INTERVAL,
                heartbeat_interval: Duration::from_secs(5),
                sweep_interval: None,
            },
            ingress: IngressSettings::new(BTreeMap::from([(
                forge.name().to_owned(),
                HookSecret::new(WEBHOOK_SECRET.as_bytes()),
            )])),
            metrics: None,
        };
        let serving =
            tokio::spawn(service.run(listener, async move { drop(stopped.await) }, std::future::pending()));
        Ok(Self {
            forge,
            model,
            repo,
            store,
            repository_id: repository,
            service_address: address,
            stop_sender: stop,
            service_task: serving,
            started_at,
            folder,
            has_linter,
        })
    }

    /// Returns the URL of the pull requests' page and the address of the service, which `--stay` prints.
    pub fn page_and_service_urls(&self) -> (String, String) {
        (self.forge.pulls_url(), format!("http://{}", self.service_address))
    }

    /// Returns the path of the operator's file for further commands. The file is deleted when this value is
    /// dropped.
    pub fn config_path(&self) -> std::path::PathBuf {
        self.folder.path().join(CONFIG_FILE_NAME)
    }

    /// Returns the model's usage so far.
    ///
    /// # Errors
    /// Returns [`DemoError::SetUp`] if the built-in prices are invalid.
    pub fn model_usage(&self) -> Result<DemoModelUsage, DemoError> {
        self.model.usage()
    }

    /// Opens one pull request with planted problems and waits for its review.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the forge fails or the review takes too long.
    pub async fn run_first_review(&self) -> Result<FirstReview, DemoError> {
        self.repo.push("payments", problem_commit()).await?;
        let number = self.repo.open_pull(NewPull::from_branch("payments")).await?;
        self.deliver_webhooks(UnreliableNetwork::default()).await?;
        let view = self.wait_until_reviewed(number).await?;
        Ok(FirstReview { number, view, seconds_since_start: self.started_at.elapsed().as_secs_f64() })
    }

    /// Opens another pull request with a finding of the model, then pushes a renamed variable in the
    /// finding's lines. The model then no longer reports the finding. Returns the counts of the finding.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the forge fails or the review takes too long.
    pub async fn run_dropped_finding_scenario(&self) -> Result<DroppedFindingCounts, DemoError> {
        let (repo, branch) = (&self.repo, "refunds");
        repo.set_role(WRITER_LOGIN, "write").await?;
        let push = async |refunded: &str| {
            repo.push(branch, CommitBuilder::new("Refund").write("pay.py", refund_code(refunded))).await
        };
        push("refunded").await?;
        let number = repo.open_pull(NewPull::from_branch(branch)).await?;
        self.deliver_webhooks(UnreliableNetwork::default()).await?;
        self.wait_until_reviewed(number).await?;
        push("is_refunded").await?;
        let view = self.request_review(number).await?;
        let shown = view.inline_comments().filter(|comment| comment.body.contains(MODEL_FINDING_TITLE));
        let comments: Vec<_> = shown.collect();
        let is_open = |status: &CommitStatus| status.state != "success";
        Ok(DroppedFindingCounts {
            comments: comments.len(),
            open_threads: comments.iter().filter(|comment| !comment.resolved).count(),
            is_green: !view.statuses.get(&view.head).is_some_and(|all| all.iter().all(is_open)),
        })
    }

    /// Follows one pull request through five pushes: lines move, a finding is fixed and returns, another
    /// finding is dismissed, and the branch is rebased. After each push, a comment requests the review,
    /// because a review without a request would wait for the end of the storm.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the forge fails or a review takes too long.
    pub async fn run_lifecycle_scenario(&self) -> Result<LifecycleCounts, DemoError> {
        let (repo, branch) = (&self.repo, "cart");
        repo.set_role(WRITER_LOGIN, "write").await?;
        let commit = |title: &str, text: String| CommitBuilder::new(title).write("cart.py", text);
        repo.push(branch, commit("Add a cart", cart_code(""))).await?;
        let number = repo.open_pull(NewPull::from_branch(branch)).await?;
        self.deliver_webhooks(UnreliableNetwork::default()).await?;
        let first = self.wait_until_reviewed(number).await?;
        let mut views = vec![PullView { comments: Vec::new(), ..first.clone() }, first];
        let moved = cart_code("import pdb\n\nfrom shop import charge\n\n\n");
        for text in [moved.clone(), moved.replace("    breakpoint()\n", ""), moved.clone()] {
            repo.push(branch, commit("Go on", text)).await?;
            views.push(self.request_review(number).await?);
        }
        let secret = |view: &PullView| {
            view.inline_comments().find(|comment| comment.body.starts_with("**P0")).cloned()
        };
        if let Some(secret) = views.last().and_then(secret) {
            repo.reply(number, WRITER_LOGIN, secret.id, DISMISSAL_REPLY).await?;
            self.deliver_and_wait().await?;
        }
        let base = repo.push("main", CommitBuilder::new("Meanwhile").write("CHANGES.md", "More.\n")).await?;
        let rebased = commit("Add a cart", format!("\"\"\"What a cart costs.\"\"\"\n\n{moved}"));
        repo.force_push(branch, &base, rebased).await?;
        views.push(self.request_review(number).await?);
        let Some(last) = views.last() else { return Err(setup_error("no review")) };
        Ok(LifecycleCounts {
            pushes: views.windows(2).map(|pair| CommentChanges::from_views(&pair[0], &pair[1])).collect(),
            comments: last.inline_comments().filter(|comment| comment.author == BOT_LOGIN).count(),
            duplicates: count_duplicates(last),
        })
    }

    /// Follows a pull request with a linter's finding through three pushes: the finding is opened, moved by
    /// lines inserted above it, and fixed. Returns none if this machine has no sandbox for a linter.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the forge fails or a review takes too long.
    pub async fn run_linter_scenario(&self) -> Result<Option<LinterCounts>, DemoError> {
        if !self.has_linter {
            return Ok(None);
        }
        let (repo, branch) = (&self.repo, "report");
        repo.set_role(WRITER_LOGIN, "write").await?;
        let push = async |text: &str| {
            repo.push(branch, CommitBuilder::new("Report").write(linter::LINTED_FILE_NAME, text)).await
        };
        push("def report():\n    return 1  # TODO round\n").await?;
        let number = repo.open_pull(NewPull::from_branch(branch)).await?;
        self.deliver_webhooks(UnreliableNetwork::default()).await?;
        let first = self.wait_until_reviewed(number).await?;
        let mut views = vec![PullView { comments: Vec::new(), ..first.clone() }, first];
        for text in [
            "# Sums.\n\n\ndef report():\n    return 1  # TODO round\n",
            "# Sums.\n\n\ndef report():\n    return round(1)\n",
        ] {
            push(text).await?;
            views.push(self.request_review(number).await?);
        }
        let Some(last) = views.last() else { return Err(setup_error("no review")) };
        Ok(Some(LinterCounts {
            pushes: views.windows(2).map(|pair| CommentChanges::from_views(&pair[0], &pair[1])).collect(),
            comments: last.inline_comments().filter(|comment| comment.author == BOT_LOGIN).count(),
            duplicates: count_duplicates(last),
        }))
    }

    /// Requests a review of the pushed commit and waits until the commit is reviewed.
    async fn request_review(&self, number: u64) -> Result<PullView, DemoError> {
        self.repo.comment(number, WRITER_LOGIN, "/review").await?;
        self.deliver_and_wait().await?;
        self.wait_until_reviewed(number).await
    }

    /// Delivers all webhooks and waits until the service has handled the commands in comments.
    async fn deliver_and_wait(&self) -> Result<(), DemoError> {
        self.deliver_webhooks(UnreliableNetwork::default()).await?;
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let mut look = tokio::time::interval(POLL_INTERVAL);
        while !self.store.unserved_requests(self.forge.name(), 1).await.map_err(setup_error)?.is_empty() {
            if Instant::now() > deadline {
                return Err(DemoError::TimedOut { pending_work: "a command in a comment".into() });
            }
            look.tick().await;
        }
        Ok(())
    }

    /// Follows the first pull request until its last thread is resolved: code lines move, the rules' findings
    /// are fixed, and a user dismisses the model's finding. `report` is called with each step.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the forge fails, a review takes too long, or `report` returns an error.
    pub async fn follow_first_pull(
        &self,
        FirstReview { number, view: first, seconds_since_start: seconds }: FirstReview,
        mut report: impl FnMut(&CommentChanges) -> Result<(), DemoError>,
    ) -> Result<ReviewDemoReport, DemoError> {
        let repo = &self.repo;
        repo.set_role(WRITER_LOGIN, "write").await?;
        let mut views = vec![PullView { comments: Vec::new(), ..first.clone() }, first];
        let mut steps = Vec::new();
        let mut step = |views: &[PullView]| -> Result<(), DemoError> {
            let [.., before, after] = views else { return Ok(()) };
            let changes = CommentChanges::from_views(before, after);
            report(&changes)?;
            steps.push(changes);
            Ok(())
        };
        step(&views)?;
        for commit in [inserted_lines_commit(), fixed_commit()] {
            repo.push("payments", commit).await?;
            views.push(self.request_review(number).await?);
            step(&views)?;
        }
        let of_model = |view: &PullView| {
            view.inline_comments().find(|one| one.body.contains(MODEL_FINDING_TITLE)).cloned()
        };
        if let Some(comment) = views.last().and_then(of_model) {
            repo.reply(number, WRITER_LOGIN, comment.id, MODEL_FINDING_DISMISSAL_REPLY).await?;
            self.repo.comment(number, WRITER_LOGIN, "/review").await?;
            self.deliver_and_wait().await?;
            let is_done = |view: &PullView| {
                has_success_status(view) && view.inline_comments().all(|comment| comment.resolved)
            };
            views.push(self.wait_until(number, is_done).await?);
            step(&views)?;
        }
        let Some(last) = views.last() else { return Err(setup_error("no review")) };
        let comments: Vec<_> = last.inline_comments().filter(|comment| comment.author == BOT_LOGIN).collect();
        Ok(ReviewDemoReport {
            prs: 1,
            pushes: 3,
            reviews: self.count_reviews(number).await?,
            findings: comments.len(),
            duplicates: count_duplicates(last),
            unreviewed_heads: usize::from(!is_reviewed(last)),
            followed: FollowedPull {
                steps,
                comments: comments.len(),
                open_threads: comments.iter().filter(|comment| !comment.resolved).count(),
                is_green: has_success_status(last),
            },
            storm: None,
            model: self.model_usage()?,
            seconds_to_first_review: (seconds * 1000.0).round() / 1000.0,
        })
    }

    /// Runs the storm and waits until every pull request's last commit is reviewed. `report_round` is called
    /// after each round of pushes. Returns `report` with the counts of the storm added.
    ///
    /// # Errors
    /// Returns a [`DemoError`] if the forge fails or a review takes too long.
    pub async fn run_storm(
        &self,
        report: ReviewDemoReport,
        before_storm: ScenarioCounts,
        report_round: impl Fn(usize),
    ) -> Result<ReviewDemoReport, DemoError> {
        let began = Instant::now();
        let mut numbers = Vec::new();
        let mut deliveries = 0;
        let mut storms_each = 1;
        let mut delivering = began;
        for round in 0..PUSHES_PER_PULL {
            for pull in 0..STORM_PULL_COUNT {
                let branch = format!("storm-{pull}");
                self.repo.push(&branch, storm_commit(pull, round)).await?;
                if round == 0 {
                    numbers.push(self.repo.open_pull(NewPull::from_branch(&branch)).await?);
                }
            }
            // In the last round, no webhooks are lost. A last commit whose webhook is lost would be reviewed
            // only after the next sweep.
            let lost_percent =
                if round + 1 == PUSHES_PER_PULL { 0 } else { STORM_NETWORK_FAULTS.lost_percent };
            let seed = STORM_NETWORK_FAULTS.seed + round as u64;
            let before = std::mem::replace(&mut delivering, Instant::now());
            deliveries += self
                .deliver_webhooks(UnreliableNetwork { seed, lost_percent, ..STORM_NETWORK_FAULTS })
                .await?;
            // The gap between two webhooks of a pull request is at most the time from the previous round's
            // first webhook to this round's last webhook.
            if round > 0
                && before.elapsed().as_millis()
                    >= u128::from(DEMO_SLOT_LIMITS.storm_quiet_time.0.unsigned_abs())
            {
                storms_each += 1;
            }
            report_round(round + 1);
        }
        let mut views = Vec::new();
        for number in &numbers {
            views.push(self.wait_until_reviewed(*number).await?);
        }
        let seconds = began.elapsed().as_secs_f64();
        self.wait_until_idle().await?;
        let mut reviews = Vec::new();
        for number in &numbers {
            reviews.push(self.count_reviews(*number).await?);
        }
        // No slot is due now. The pull requests are read again, so duplicate comments that were posted after
        // the first read are counted, too.
        views.clear();
        for number in &numbers {
            views.push(self.repo.pull(*number).await?);
        }
        let ScenarioCounts { lifecycle, dropped_finding: forgotten, linter_counts: linted } = before_storm;
        let found = |view: &PullView| own_comments(view).filter(|body| is_inline_comment(view, body)).count();
        Ok(ReviewDemoReport {
            prs: report.prs + STORM_PULL_COUNT,
            pushes: report.pushes + STORM_PULL_COUNT * PUSHES_PER_PULL,
            reviews: report.reviews + reviews.iter().sum::<usize>(),
            findings: report.findings + views.iter().map(found).sum::<usize>(),
            duplicates: report.duplicates + views.iter().map(count_duplicates).sum::<usize>(),
            unreviewed_heads: report.unreviewed_heads
                + views.iter().filter(|view| !is_reviewed(view)).count(),
            storm: Some(StormCounts {
                deliveries,
                storms_each,
                most_reviews_of_one: reviews.iter().copied().max().unwrap_or(0),
                lifecycle,
                linted,
                forgotten,
                seconds_of_storm: (seconds * 1000.0).round() / 1000.0,
            }),
            model: self.model_usage()?,
            ..report
        })
    }

    /// Stops the service.
    ///
    /// # Errors
    /// Returns [`DemoError::SetUp`] if the service had failed.
    pub async fn stop(self) -> Result<(), DemoError> {
        drop(self.stop_sender);
        match self.service_task.await {
            Ok(served) => served.map_err(setup_error),
            Err(error) => Err(setup_error(error)),
        }
    }

    async fn deliver_webhooks(&self, network_faults: UnreliableNetwork) -> Result<usize, DemoError> {
        Ok(self.forge.fake.deliver_all(network_faults).await?.len())
    }

    async fn wait_until_reviewed(&self, number: u64) -> Result<PullView, DemoError> {
        self.wait_until(number, is_reviewed).await
    }

    /// Waits until the pull request fulfils the condition.
    async fn wait_until(
        &self,
        number: u64,
        condition: impl Fn(&PullView) -> bool,
    ) -> Result<PullView, DemoError> {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let mut look = tokio::time::interval(POLL_INTERVAL);
        loop {
            look.tick().await;
            let view = self.repo.pull(number).await?;
            if condition(&view) {
                return Ok(view);
            }
            if Instant::now() > deadline {
                return Err(DemoError::TimedOut { pending_work: format!("pull request {number}") });
            }
        }
    }

    /// Waits until no slot is due: every storm has ended, and no work is left.
    async fn wait_until_idle(&self) -> Result<(), DemoError> {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let mut look = tokio::time::interval(POLL_INTERVAL);
        loop {
            look.tick().await;
            let waiting =
                self.store.due_slots(UnixMillis(i64::MAX), usize::MAX).await.map_err(setup_error)?;
            if waiting.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let waiting = waiting.iter().map(|slot| slot.key.as_str()).collect::<Vec<_>>().join(", ");
                return Err(DemoError::TimedOut { pending_work: waiting });
            }
        }
    }

    /// Returns the number of reviews that were computed for a pull request.
    async fn count_reviews(&self, number: u64) -> Result<usize, DemoError> {
        let id = PrId { forge: self.forge.name().into(), repository: self.repository_id.clone(), number };
        let key: SlotKey = id.key();
        let runs = self.store.review_entries(&key, usize::MAX).await.map_err(setup_error)?;
        let computed = |stage: &RunStage| matches!(stage, RunStage::Computed | RunStage::Published);
        Ok(runs.iter().filter(|run| computed(&run.stage)).count())
    }
}

fn build_context(
    forges: ConfiguredForges,
    model: &ScriptedModel,
    git: Git,
    store: Store,
    reader: ChildProcessReader,
    folder: &Path,
) -> Result<ServiceContext, DemoError> {
    let metrics = ServiceMetrics::new().map_err(setup_error)?;
    metrics.attach_store(&store);
    let agent = Some(model.agent(store.clone(), reader.clone())?);
    let (config, toolbox) = linter::install_linter(&model.config, folder).map_err(setup_error)?;
    Ok(ServiceContext {
        converge_setup: Err("this demo does not converge: use `truing demo converge`".to_owned()),
        switches: truing_loops::run_gate::SwitchReader::new(store.as_record_store(), Arc::new(SystemClock)),
        store: store.as_record_store(),
        forges: Box::new(forges),
        reader: Box::new(reader),
        clock: Arc::new(SystemClock),
        git,
        mirrors_folder: folder.join("mirrors"),
        slot_limits: DEMO_SLOT_LIMITS,
        repository_filter: truing_service::repository_filter::RepositoryFilter::default(),
        rules: OperatorRules::new(config, LinesKey::default()).map_err(setup_error)?,
        max_inline_comments: 30,
        agent,
        held_slots: truing_service::kill_switch::HeldSlots::default(),
        write_monitor: truing_loops::telemetry::WRITE_MONITOR.clone(),
        sweep_results: truing_service::sweep::SweepResults::default(),
        metrics,
        scheduler_waker: truing_service::scheduler_waker::SchedulerWaker::default(),
        linter_sources: toolbox,
        duty_lease_expiry: truing_service::duty_lease::DutyLeaseExpiry::default(),
        max_step_time: truing_service::worker::MAX_STEP_TIME,
    })
}

/// Returns true if the last commit has a status and the summary names the commit.
fn is_reviewed(view: &PullView) -> bool {
    view.statuses.get(&view.head).is_some_and(|statuses| !statuses.is_empty())
        && view
            .conversation_comments()
            .any(|comment| view.head.get(..10).is_some_and(|head| comment.body.contains(head)))
}

/// Returns true if the last status of the last commit is a success.
fn has_success_status(view: &PullView) -> bool {
    let last = view.statuses.get(&view.head).and_then(|statuses| statuses.last());
    last.is_some_and(|status| status.state == "success")
}

/// Returns the texts of Truing's comments that are not deleted.
fn own_comments(view: &PullView) -> impl Iterator<Item = &str> {
    view.comments
        .iter()
        .filter(|comment| comment.author == BOT_LOGIN && !comment.deleted)
        .map(|comment| comment.body.as_str())
}

fn is_inline_comment(view: &PullView, body: &str) -> bool {
    view.inline_comments().any(|comment| comment.body == body)
}

/// Returns the number of comments whose marker already occurs in another comment. A marker identifies one
/// finding or one summary of the pull request.
fn count_duplicates(view: &PullView) -> usize {
    let markers: Vec<&str> = own_comments(view).filter_map(|body| body.lines().last()).collect();
    markers.len() - markers.iter().collect::<BTreeSet<_>>().len()
}
