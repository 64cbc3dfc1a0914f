//! The demonstration behind `truing demo`: a fake forge with real git repositories, a model that says what a script
//! says, this service, and people who push too often. Nothing of it leaves the machine, and nothing costs money.
//!
//! [`ReviewDemo`] opens one pull request, shows its review by rules and model, and follows it to its last resolved thread. With
//! `--storm` it lets the model forget a finding, follows the comments on another pull request through five pushes, and a linter's
//! finding through three, then lets a storm of pushes loose on many, with webhooks lost, repeated and out of order, and counts what
//! the pull requests show in the end. [`sync`] and [`converge`] are other stories.

// long: one demonstration, what it does and what it counts.

mod code;
pub mod converge;
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
use truing_config::{Config, ConfiguredRuntime};
use truing_core::code::LinesKey;
use truing_core::fair::LeaseLimits;
use truing_core::id::{PrId, SlotKey, TimeSpan, UnixMillis};
use truing_core::port::{ForgeKind, SlotStore as _, Watchlist as _};
use truing_core::run::RunStage;
use truing_core::slot::SlotLimits;
use truing_fakes::forge::{
    CommitStatus, DeliveryChaos, DeliveryHook, FakeError, FakeRepo, NewPull, PullView,
};
use truing_fakes::repo::CommitBuilder;
use truing_forge::webhook::HookSecret;
use truing_git::Git;
use truing_loops::checkout::OperatorRules;
use truing_loops::machine::SystemClock;
use truing_loops::reader::ChildReader;
use truing_service::ingress::IngressSettings;
use truing_service::metrics::ServiceMetrics;
use truing_service::{ProcessRole, ReviewService, ServeError, ServiceContext, ServicePace};
use truing_store::Store;

use code::{cart, explained, first_commit, planted, pushed, refunding, repaired};
use forge::DemoForge;
pub(crate) use forge::pulls_page;
pub use model::DemoModelUsage;
use model::ScriptedModel;
use truing_service::ConfiguredForges;

/// The names of everything that has to have one.
const OWNER: &str = "wheel";
const NAME: &str = "spokes";
/// The forge of the stories of the other loops.
const FORGE: &str = "github";
const LOGIN: &str = "truing[bot]";
/// For the fake forge only: nothing else is reachable with it.
const TOKEN: &str = "demo-token";
const WEBHOOK_SECRET: &str = "demo-webhook-secret";

/// The operator's file.
const CONFIG: &str = "truing.toml";

/// Somebody who may write to the repository.
pub const WRITER: &str = "ada";
/// What they say of one finding.
pub const DISMISSAL: &str = "/dismiss a key of the tests";
/// Their answer to the model's finding on the first pull request.
pub const INTENDED: &str = "/dismiss one order at a time";

/// What the model finds, and forgets.
const MODEL_FINDING: &str = "One refunded order ends all refunds";
/// Findings on the pull request that is followed through its pushes.
pub const PLANTED: usize = 3;
/// Pull requests in the storm, and pushes to each.
const PULLS: usize = 20;
const PUSHES: usize = 50;
/// What the network does to a hundred webhooks of the storm.
const CHAOS: DeliveryChaos = DeliveryChaos { seed: 7, lost: 5, twice: 20, late: 8 };
/// How long the storm may take to settle before the demonstration says that it did not.
const PATIENCE: Duration = Duration::from_secs(120);

/// How the demonstration's clockwork is set: everything the service does, in a hurry.
pub const TIMINGS: SlotLimits = SlotLimits {
    debounce: TimeSpan(150),
    max_wait: TimeSpan::seconds(1),
    quiet: TimeSpan::seconds(5),
    storm_max: TimeSpan::minutes(30),
    lease: TimeSpan::seconds(20),
    backoff: TimeSpan(200),
    backoff_max: TimeSpan::seconds(2),
    attempts: 5,
};
/// How long a comment without an answer may stay unseen on this forge.
pub const SETTLE: TimeSpan = TimeSpan(500);
const POLL: Duration = Duration::from_millis(50);

/// What the demonstration saw: `truing demo --format json`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ReviewDemoReport {
    /// Pull requests that were pushed to.
    pub prs: usize,
    /// Pushes to them.
    pub pushes: usize,
    /// Reviews computed for them.
    pub reviews: usize,
    /// Findings shown on them, each on its line.
    pub findings: usize,
    /// Comments that say what another one says already.
    pub duplicates: usize,
    /// Pull requests whose last commit is not reviewed.
    pub unreviewed_heads: usize,
    /// The pull request that was followed from its first finding to its last resolved thread.
    pub followed: FollowedPull,
    /// The counts of a storm of pushes, with `--storm`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormCounts>,
    /// What the model was asked, and what that would have cost, all pull requests together.
    #[serde(flatten)]
    pub model: DemoModelUsage,
    /// From the start of everything to the first review on the first pull request.
    pub seconds_to_first_review: f64,
}

impl ReviewDemoReport {
    /// Did the service keep what it promises?
    pub fn holds(&self) -> bool {
        self.duplicates == 0
            && self.unreviewed_heads == 0
            && self.followed.holds()
            && self.storm.as_ref().is_none_or(StormCounts::holds)
    }
}

/// The first pull request, from its first review to its last resolved thread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FollowedPull {
    /// The changes with each push, and with what people said before it.
    pub steps: Vec<CommentChanges>,
    /// Comments on code in the end.
    pub comments: usize,
    /// Those whose thread is not resolved.
    pub open: usize,
    /// Is the last commit marked as good?
    pub is_green: bool,
}

impl FollowedPull {
    /// Has every finding one comment, and is every thread resolved?
    pub fn holds(&self) -> bool {
        let [opened, moved, fixed, dismissed] = self.steps.as_slice() else { return false };
        (opened.new, moved.moved, fixed.fixed, dismissed.dismissed) == (4, 3, 3, 1)
            && (self.comments, self.open, self.is_green) == (4, 0, true)
    }
}

/// A storm of pushes on many pull requests, and what became of the findings on three others.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StormCounts {
    /// Webhooks that arrived for them, repeated ones included.
    pub deliveries: usize,
    /// Storms of pushes that each of them went through: one, unless this machine is so slow that the pushes
    /// came further apart than a storm's quiet.
    pub storms_each: usize,
    /// The most reviews that one of them got: at most two a storm are promised.
    pub most_reviews_of_one: usize,
    /// What became of the comments on one pull request.
    pub lifecycle: LifecycleCounts,
    /// The comments on a linter's finding; none: this machine has no sandbox for a linter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linted: Option<LinterCounts>,
    /// What became of a finding that the model forgot.
    pub forgotten: DroppedFindingCounts,
    /// From the first push of the storm until every last commit was reviewed.
    pub seconds_of_storm: f64,
}

impl StormCounts {
    /// Did the service keep what it promises?
    pub fn holds(&self) -> bool {
        self.most_reviews_of_one <= 2 * self.storms_each
            && self.lifecycle.holds()
            && self.forgotten.holds()
            && self.linted.as_ref().is_none_or(LinterCounts::holds)
    }
}

/// The stories that come before a storm.
pub struct ScenarioCounts {
    /// What became of the comments on one pull request.
    pub lifecycle: LifecycleCounts,
    /// What became of a finding that the model forgot.
    pub forgotten: DroppedFindingCounts,
    /// The comments on a linter's finding.
    pub linted: Option<LinterCounts>,
}

/// What a pull request with [`PLANTED`] findings showed through five pushes, as the forge has it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LifecycleCounts {
    /// What each push, and what was said before it, changed.
    pub pushes: Vec<CommentChanges>,
    /// Comments on code in the end.
    pub comments: usize,
    /// Comments that say what another one says already.
    pub duplicates: usize,
}

/// The comments on a linter's one finding, through three pushes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LinterCounts {
    /// The changes with each push.
    pub pushes: Vec<CommentChanges>,
    /// Comments on code in the end.
    pub comments: usize,
    /// Comments that say what another one says already.
    pub duplicates: usize,
}

impl LinterCounts {
    /// Was the finding posted once, and was it moved and resolved?
    pub fn holds(&self) -> bool {
        let [opened, moved, fixed] = self.pushes.as_slice() else { return false };
        (opened.new, moved.moved, fixed.fixed) == (1, 1, 1) && (self.comments, self.duplicates) == (1, 0)
    }
}

/// What a pull request shows of a finding whose lines were edited, and of which the model says nothing more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct DroppedFindingCounts {
    /// Comments on it.
    pub comments: usize,
    /// Those that are open.
    pub open: usize,
    /// Is the head marked as good?
    pub is_green: bool,
}

impl DroppedFindingCounts {
    /// Is it open, once, and nothing green?
    pub fn holds(&self) -> bool {
        (self.comments, self.open, self.is_green) == (1, 1, false)
    }
}

/// What changed of the comments on code from one review to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct CommentChanges {
    /// Comments that are new.
    pub new: usize,
    /// Open comments that are on another line now.
    pub moved: usize,
    /// Threads that were resolved because the finding is fixed.
    pub fixed: usize,
    /// Threads that are open again.
    pub reopened: usize,
    /// Threads that were resolved because somebody dismissed the finding.
    pub dismissed: usize,
}

impl CommentChanges {
    fn of(before: &PullView, after: &PullView) -> Self {
        let mut changes = Self::default();
        for comment in after.inline().filter(|comment| comment.author == LOGIN) {
            let Some(was) = before.inline().find(|was| was.id == comment.id) else {
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
    /// Has every finding one comment, through all that happened to it?
    pub fn holds(&self) -> bool {
        let count = |of: fn(&CommentChanges) -> usize| self.pushes.iter().map(of).sum::<usize>();
        self.comments == PLANTED
            && self.duplicates == 0
            && count(|changes| changes.new) == PLANTED
            && count(|changes| changes.moved) >= PLANTED
            && (count(|changes| changes.fixed), count(|changes| changes.reopened)) == (1, 1)
            && count(|changes| changes.dismissed) == 1
    }
}

/// Why the demonstration broke off.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The fake forge or its git.
    #[error("the demonstration's forge: {0}")]
    Forge(#[from] FakeError),
    /// Something of ours could not be set up.
    #[error("the demonstration cannot be set up: {0}")]
    SetUp(String),
    /// It took too long.
    #[error("the demonstration did not settle within {} s: {waiting}", PATIENCE.as_secs())]
    Unsettled {
        /// What was still to do.
        waiting: String,
    },
}

/// Variables by which somebody says what holds a model's conversation.
const RUNTIME: [&str; 4] =
    ["RUNTIME_MODE", "TRUING_REVIEW__RUNTIME", "TRUING_REVIEW__CLAUDE", "TRUING_REVIEW__CLAUDE_VERSION"];

/// What a demonstration takes from whoever starts it: where programs are, and what holds the model's conversation, if that
/// is the `claude` program. All else is its own.
///
/// # Errors
/// What these variables say cannot be used.
pub fn taken(environment: &Environment) -> Result<Environment, ConfigError> {
    let of = |names: &[&'static str]| -> Vec<(&'static str, OsString)> {
        names.iter().filter_map(|name| Some((*name, environment.get(name)?.to_owned()))).collect()
    };
    let here = environment.directory();
    let path = Environment::new(of(&["PATH"]), here);
    let all = path.clone().with(of(&RUNTIME), here);
    match Config::resolve(&all, None, &[])?.review.runtime {
        ConfiguredRuntime::Cli => Ok(all),
        ConfiguredRuntime::Rules | ConfiguredRuntime::Native => Ok(path),
    }
}

fn set_up(error: impl std::fmt::Display) -> DemoError {
    DemoError::SetUp(error.to_string())
}

/// The first pull request, as its first review shows it.
pub struct FirstReview {
    /// Its number.
    pub number: u64,
    /// The pull request as the forge shows it.
    pub view: PullView,
    /// Seconds since the start of everything.
    pub seconds: f64,
}

/// A running demonstration.
pub struct ReviewDemo {
    forge: DemoForge,
    model: ScriptedModel,
    repo: FakeRepo,
    store: Store,
    /// The id of its repository, as the forge shows it.
    repository: String,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
    began: Instant,
    folder: tempfile::TempDir,
    has_linter: bool,
}

impl ReviewDemo {
    /// Starts a forge of this kind, a model and the service on free ports of this machine; the service reads with `reader`.
    /// Of `environment` it is what is [`taken`] that counts.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn start(
        kind: ForgeKind,
        git: Git,
        environment: &Environment,
        reader: ChildReader,
    ) -> Result<Self, DemoError> {
        let began = Instant::now();
        let folder = tempfile::tempdir().map_err(set_up)?;
        let forge = DemoForge::start(kind).await?;
        let repo = forge.fake.create_repository(OWNER, NAME, first_commit()).await?;
        let repository = repo.shown_id().await?;
        let store = Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).map_err(set_up)?;
        let model = ScriptedModel::start(environment, folder.path()).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(set_up)?;
        let address = listener.local_addr().map_err(set_up)?;
        std::fs::write(folder.path().join(CONFIG), forge.operator(folder.path(), address)).map_err(set_up)?;
        std::fs::write(folder.path().join("token"), TOKEN).map_err(set_up)?;
        let server = forge.client(folder.path(), SETTLE)?;
        forge.admit(&server, &repo).await?;
        let servers = ConfiguredForges(BTreeMap::from([(forge.name().to_owned(), server)]));
        let context = context((servers, &model), git, store.clone(), reader, folder.path())?;
        let has_linter = context.toolbox.running.is_some();
        forge.fake.hook(DeliveryHook {
            url: format!("http://{address}/webhooks/{}", forge.name()),
            secret: WEBHOOK_SECRET.into(),
            automatic: false,
        });
        let (stop, stopped) = oneshot::channel();
        let service = ReviewService {
            context: Arc::new(context),
            pace: ServicePace {
                role: ProcessRole::All,
                places: LeaseLimits::of(4),
                poll: POLL,
                heartbeat: Duration::from_secs(5),
                sweep: None,
            },
            ingress: IngressSettings::new(BTreeMap::from([(
                forge.name().to_owned(),
                HookSecret::new(WEBHOOK_SECRET.as_bytes()),
            )])),
            metrics: None,
        };
        let serving =
            tokio::spawn(service.run(listener, async move { drop(stopped.await) }, std::future::pending()));
        Ok(Self { forge, model, repo, store, repository, address, stop, serving, began, folder, has_linter })
    }

    /// The page of the pull requests, and the address of the service, for `--stay`.
    pub fn addresses(&self) -> (String, String) {
        (self.forge.page(), format!("http://{}", self.address))
    }

    /// The operator's file with which the commands show more, as long as this lives.
    pub fn config(&self) -> std::path::PathBuf {
        self.folder.path().join(CONFIG)
    }

    /// What the model was asked until now.
    ///
    /// # Errors
    /// [`DemoError::SetUp`]
    pub fn asked(&self) -> Result<DemoModelUsage, DemoError> {
        self.model.asked()
    }

    /// Opens one pull request with planted problems and waits for its review.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn first_review(&self) -> Result<FirstReview, DemoError> {
        self.repo.push("payments", planted()).await?;
        let number = self.repo.open(NewPull::of("payments")).await?;
        self.deliver(DeliveryChaos::default()).await?;
        let view = self.until_reviewed(number).await?;
        Ok(FirstReview { number, view, seconds: self.began.elapsed().as_secs_f64() })
    }

    /// Renames a variable in the lines of the model's finding on another pull request. The model says no more of it. What
    /// became of the finding.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn forgotten(&self) -> Result<DroppedFindingCounts, DemoError> {
        let (repo, branch) = (&self.repo, "refunds");
        repo.permit(WRITER, "write").await?;
        let push = async |refunded: &str| {
            repo.push(branch, CommitBuilder::new("Refund").write("pay.py", refunding(refunded))).await
        };
        push("refunded").await?;
        let number = repo.open(NewPull::of(branch)).await?;
        self.deliver(DeliveryChaos::default()).await?;
        self.until_reviewed(number).await?;
        push("is_refunded").await?;
        let view = self.asked_for(number).await?;
        let shown = view.inline().filter(|comment| comment.body.contains(MODEL_FINDING));
        let comments: Vec<_> = shown.collect();
        let is_open = |status: &CommitStatus| status.state != "success";
        Ok(DroppedFindingCounts {
            comments: comments.len(),
            open: comments.iter().filter(|comment| !comment.resolved).count(),
            is_green: !view.statuses.get(&view.head).is_some_and(|all| all.iter().all(is_open)),
        })
    }

    /// Follows one pull request through five pushes: lines move, a finding is fixed and comes back, another one is
    /// dismissed, the branch is rebased. Somebody asks for each review, so that nobody has to wait for a storm's end.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn lifecycle(&self) -> Result<LifecycleCounts, DemoError> {
        let (repo, branch) = (&self.repo, "cart");
        repo.permit(WRITER, "write").await?;
        let commit = |title: &str, text: String| CommitBuilder::new(title).write("cart.py", text);
        repo.push(branch, commit("Add a cart", cart(""))).await?;
        let number = repo.open(NewPull::of(branch)).await?;
        self.deliver(DeliveryChaos::default()).await?;
        let first = self.until_reviewed(number).await?;
        let mut views = vec![PullView { comments: Vec::new(), ..first.clone() }, first];
        let moved = cart("import pdb\n\nfrom shop import charge\n\n\n");
        for text in [moved.clone(), moved.replace("    breakpoint()\n", ""), moved.clone()] {
            repo.push(branch, commit("Go on", text)).await?;
            views.push(self.asked_for(number).await?);
        }
        let secret =
            |view: &PullView| view.inline().find(|comment| comment.body.starts_with("**P0")).cloned();
        if let Some(secret) = views.last().and_then(secret) {
            repo.reply(number, WRITER, secret.id, DISMISSAL).await?;
            self.until_served().await?;
        }
        let base = repo.push("main", CommitBuilder::new("Meanwhile").write("CHANGES.md", "More.\n")).await?;
        let rebased = commit("Add a cart", format!("\"\"\"What a cart costs.\"\"\"\n\n{moved}"));
        repo.force_push(branch, &base, rebased).await?;
        views.push(self.asked_for(number).await?);
        let Some(last) = views.last() else { return Err(set_up("no review")) };
        Ok(LifecycleCounts {
            pushes: views.windows(2).map(|pair| CommentChanges::of(&pair[0], &pair[1])).collect(),
            comments: last.inline().filter(|comment| comment.author == LOGIN).count(),
            duplicates: duplicates(last),
        })
    }

    /// Follows a pull request with a finding of a linter through three pushes: opened, lines on top, fixed. None, where this
    /// machine has no sandbox.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn linted(&self) -> Result<Option<LinterCounts>, DemoError> {
        if !self.has_linter {
            return Ok(None);
        }
        let (repo, branch) = (&self.repo, "report");
        repo.permit(WRITER, "write").await?;
        let push = async |text: &str| {
            repo.push(branch, CommitBuilder::new("Report").write(linter::FILE, text)).await
        };
        push("def report():\n    return 1  # TODO round\n").await?;
        let number = repo.open(NewPull::of(branch)).await?;
        self.deliver(DeliveryChaos::default()).await?;
        let first = self.until_reviewed(number).await?;
        let mut views = vec![PullView { comments: Vec::new(), ..first.clone() }, first];
        for text in [
            "# Sums.\n\n\ndef report():\n    return 1  # TODO round\n",
            "# Sums.\n\n\ndef report():\n    return round(1)\n",
        ] {
            push(text).await?;
            views.push(self.asked_for(number).await?);
        }
        let Some(last) = views.last() else { return Err(set_up("no review")) };
        Ok(Some(LinterCounts {
            pushes: views.windows(2).map(|pair| CommentChanges::of(&pair[0], &pair[1])).collect(),
            comments: last.inline().filter(|comment| comment.author == LOGIN).count(),
            duplicates: duplicates(last),
        }))
    }

    /// Asks for a review of what was pushed, and waits for it.
    async fn asked_for(&self, number: u64) -> Result<PullView, DemoError> {
        self.repo.comment(number, WRITER, "/review").await?;
        self.until_served().await?;
        self.until_reviewed(number).await
    }

    /// Lets the forge tell of everything, and waits until commands of comments are served.
    async fn until_served(&self) -> Result<(), DemoError> {
        self.deliver(DeliveryChaos::default()).await?;
        let deadline = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(POLL);
        while !self.store.unserved(self.forge.name(), 1).await.map_err(set_up)?.is_empty() {
            if Instant::now() > deadline {
                return Err(DemoError::Unsettled { waiting: "a command in a comment".into() });
            }
            look.tick().await;
        }
        Ok(())
    }

    /// Follows the first pull request to its last resolved thread: its lines move, what the rules found is fixed, and somebody
    /// dismisses what the model found. `report` is called with each step.
    ///
    /// # Errors
    /// [`DemoError`], also of `report`
    pub async fn follow(
        &self,
        FirstReview { number, view: first, seconds }: FirstReview,
        mut report: impl FnMut(&CommentChanges) -> Result<(), DemoError>,
    ) -> Result<ReviewDemoReport, DemoError> {
        let repo = &self.repo;
        repo.permit(WRITER, "write").await?;
        let mut views = vec![PullView { comments: Vec::new(), ..first.clone() }, first];
        let mut steps = Vec::new();
        let mut step = |views: &[PullView]| -> Result<(), DemoError> {
            let [.., before, after] = views else { return Ok(()) };
            let changes = CommentChanges::of(before, after);
            report(&changes)?;
            steps.push(changes);
            Ok(())
        };
        step(&views)?;
        for commit in [explained(), repaired()] {
            repo.push("payments", commit).await?;
            views.push(self.asked_for(number).await?);
            step(&views)?;
        }
        let of_model = |view: &PullView| view.inline().find(|one| one.body.contains(MODEL_FINDING)).cloned();
        if let Some(comment) = views.last().and_then(of_model) {
            repo.reply(number, WRITER, comment.id, INTENDED).await?;
            self.repo.comment(number, WRITER, "/review").await?;
            self.until_served().await?;
            let is_done = |view: &PullView| is_good(view) && view.inline().all(|comment| comment.resolved);
            views.push(self.until(number, is_done).await?);
            step(&views)?;
        }
        let Some(last) = views.last() else { return Err(set_up("no review")) };
        let comments: Vec<_> = last.inline().filter(|comment| comment.author == LOGIN).collect();
        Ok(ReviewDemoReport {
            prs: 1,
            pushes: 3,
            reviews: self.reviews(number).await?,
            findings: comments.len(),
            duplicates: duplicates(last),
            unreviewed_heads: usize::from(!is_reviewed(last)),
            followed: FollowedPull {
                steps,
                comments: comments.len(),
                open: comments.iter().filter(|comment| !comment.resolved).count(),
                is_green: is_good(last),
            },
            storm: None,
            model: self.asked()?,
            seconds_to_first_review: (seconds * 1000.0).round() / 1000.0,
        })
    }

    /// Lets the storm loose and waits until every pull request's last commit is reviewed. `tell` is called after
    /// each round of pushes. The counts are added to those of `report`.
    ///
    /// # Errors
    /// [`DemoError`]
    pub async fn storm(
        &self,
        report: ReviewDemoReport,
        before_storm: ScenarioCounts,
        tell: impl Fn(usize),
    ) -> Result<ReviewDemoReport, DemoError> {
        let began = Instant::now();
        let mut numbers = Vec::new();
        let mut deliveries = 0;
        let mut storms_each = 1;
        let mut delivering = began;
        for round in 0..PUSHES {
            for pull in 0..PULLS {
                let branch = format!("storm-{pull}");
                self.repo.push(&branch, pushed(pull, round)).await?;
                if round == 0 {
                    numbers.push(self.repo.open(NewPull::of(&branch)).await?);
                }
            }
            // The last word of a storm must arrive: lost webhooks are the sweep's to make up for.
            let lost = if round + 1 == PUSHES { 0 } else { CHAOS.lost };
            let seed = CHAOS.seed + round as u64;
            let before = std::mem::replace(&mut delivering, Instant::now());
            deliveries += self.deliver(DeliveryChaos { seed, lost, ..CHAOS }).await?;
            // From the first webhook of the round before to the last of this one: no gap was longer.
            if round > 0 && before.elapsed().as_millis() >= u128::from(TIMINGS.quiet.0.unsigned_abs()) {
                storms_each += 1;
            }
            tell(round + 1);
        }
        let mut views = Vec::new();
        for number in &numbers {
            views.push(self.until_reviewed(*number).await?);
        }
        let seconds = began.elapsed().as_secs_f64();
        self.until_quiet().await?;
        let mut reviews = Vec::new();
        for number in &numbers {
            reviews.push(self.reviews(*number).await?);
        }
        // Looked at again when all is quiet: nothing may be said twice later either.
        views.clear();
        for number in &numbers {
            views.push(self.repo.pull(*number).await?);
        }
        let ScenarioCounts { lifecycle, forgotten, linted } = before_storm;
        let found = |view: &PullView| ours(view).filter(|body| is_inline(view, body)).count();
        Ok(ReviewDemoReport {
            prs: report.prs + PULLS,
            pushes: report.pushes + PULLS * PUSHES,
            reviews: report.reviews + reviews.iter().sum::<usize>(),
            findings: report.findings + views.iter().map(found).sum::<usize>(),
            duplicates: report.duplicates + views.iter().map(duplicates).sum::<usize>(),
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
            model: self.asked()?,
            ..report
        })
    }

    /// Stops the service.
    ///
    /// # Errors
    /// [`DemoError::SetUp`] if it had failed.
    pub async fn stop(self) -> Result<(), DemoError> {
        drop(self.stop);
        match self.serving.await {
            Ok(served) => served.map_err(set_up),
            Err(error) => Err(set_up(error)),
        }
    }

    async fn deliver(&self, chaos: DeliveryChaos) -> Result<usize, DemoError> {
        Ok(self.forge.fake.deliver_all(chaos).await?.len())
    }

    async fn until_reviewed(&self, number: u64) -> Result<PullView, DemoError> {
        self.until(number, is_reviewed).await
    }

    /// Waits until the pull request shows what is wanted.
    async fn until(&self, number: u64, holds: impl Fn(&PullView) -> bool) -> Result<PullView, DemoError> {
        let deadline = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(POLL);
        loop {
            look.tick().await;
            let view = self.repo.pull(number).await?;
            if holds(&view) {
                return Ok(view);
            }
            if Instant::now() > deadline {
                return Err(DemoError::Unsettled { waiting: format!("pull request {number}") });
            }
        }
    }

    /// Waits until no slot is left: every storm has ended and nothing is to be done.
    async fn until_quiet(&self) -> Result<(), DemoError> {
        let deadline = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(POLL);
        loop {
            look.tick().await;
            let waiting = self.store.due(UnixMillis(i64::MAX), usize::MAX).await.map_err(set_up)?;
            if waiting.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let waiting = waiting.iter().map(|slot| slot.key.as_str()).collect::<Vec<_>>().join(", ");
                return Err(DemoError::Unsettled { waiting });
            }
        }
    }

    /// How many reviews were computed for a pull request.
    async fn reviews(&self, number: u64) -> Result<usize, DemoError> {
        let id = PrId { forge: self.forge.name().into(), repository: self.repository.clone(), number };
        let key: SlotKey = id.key();
        let runs = self.store.runs(&key, usize::MAX).await.map_err(set_up)?;
        let computed = |stage: &RunStage| matches!(stage, RunStage::Computed | RunStage::Published);
        Ok(runs.iter().filter(|run| computed(&run.stage)).count())
    }
}

fn context(
    (servers, model): (ConfiguredForges, &ScriptedModel),
    git: Git,
    store: Store,
    reader: ChildReader,
    folder: &Path,
) -> Result<ServiceContext, DemoError> {
    let metrics = ServiceMetrics::new().map_err(set_up)?;
    metrics.watch(&store);
    let agent = Some(model.agent(store.clone(), reader.clone())?);
    let (config, toolbox) = linter::with_linter(&model.config, folder).map_err(set_up)?;
    Ok(ServiceContext {
        converging: Err("the demo converges by its own command".to_owned()),
        switches: truing_loops::run_gate::SwitchReader::new(store.as_record_store(), Arc::new(SystemClock)),
        store: store.as_record_store(),
        forges: Box::new(servers),
        reader: Box::new(reader),
        clock: Arc::new(SystemClock),
        git,
        mirrors: folder.join("mirrors"),
        limits: TIMINGS,
        repositories: truing_service::repositories::RepositoryFilter::default(),
        rules: OperatorRules::new(config, LinesKey::default()).map_err(set_up)?,
        max_inline: 30,
        agent,
        held: truing_service::switch::HeldSlots::default(),
        watch: truing_loops::telemetry::WRITES.clone(),
        swept: truing_service::sweep::SweepResults::default(),
        metrics,
        wake: truing_service::wake::SchedulerWaker::default(),
        toolbox,
        sole: truing_service::sole::SoleDutyLease::default(),
        step_time: truing_service::worker::STEP_TIME,
    })
}

/// Is the last commit marked as reviewed?
fn is_reviewed(view: &PullView) -> bool {
    view.statuses.get(&view.head).is_some_and(|statuses| !statuses.is_empty())
        && view.summaries().any(|comment| view.head.get(..10).is_some_and(|head| comment.body.contains(head)))
}

/// Is the last commit marked as good?
fn is_good(view: &PullView) -> bool {
    let last = view.statuses.get(&view.head).and_then(|statuses| statuses.last());
    last.is_some_and(|status| status.state == "success")
}

/// The texts of our comments that are there.
fn ours(view: &PullView) -> impl Iterator<Item = &str> {
    view.comments
        .iter()
        .filter(|comment| comment.author == LOGIN && !comment.deleted)
        .map(|comment| comment.body.as_str())
}

fn is_inline(view: &PullView, body: &str) -> bool {
    view.inline().any(|comment| comment.body == body)
}

/// Comments with a marker that another one has: each is signed for one thing on one pull request.
fn duplicates(view: &PullView) -> usize {
    let markers: Vec<&str> = ours(view).filter_map(|body| body.lines().last()).collect();
    markers.len() - markers.iter().collect::<BTreeSet<_>>().len()
}
