//! A fake forge with the repository `acme/shop`, and Truing's clients for this forge.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use truing_contract::ForgeContract;
use truing_core::effect::Effect;
use truing_core::finding::CodeLocation;
use truing_core::id::{CommentId, PrId, Sha, ThreadId, TimeSpan, Topic, UnixMillis};
use truing_core::port::{
    BranchPull, Clock, ConversationComment, EffectOutcome, ForgeError, ForgeWrite as _, GateHalt, HaltReason,
    OwnIssue, PostedReview, PullDraft, ReviewDraft, WriteGate, WritePermit,
};
use truing_core::publish::CommentProducer;
use truing_fakes::forge::{
    ApiExchange, ExchangeObserver, FakeForge, FakeForgeOptions, FakeRepo, ForgeFault, ForgeFaultKind,
    ForgeFlavour, NewPull,
};
use truing_fakes::repo::CommitBuilder;
use truing_forge::ForgeServer as _;
use truing_forge::any_forge_server::{AnyForgeServer, RepositoryClient};
use truing_forge::bitbucket::{BitbucketCloud, BitbucketDataCenter, BitbucketOptions};
use truing_forge::capability::{BITBUCKET_DC, ForgeCapability};
use truing_forge::github::{GitHub, GitHubCredentials, GitHubOptions};
use truing_forge::marker::MarkerKeys;
use truing_forge::remote::CommitOptions;
use truing_forge::{HttpTimeouts, SecretString};

/// Token of our account, whose login is [`BOT`].
pub(crate) const TOKEN: &str = "ghs_canary_hub";
/// Login of our account.
pub(crate) const BOT: &str = "truing[bot]";
/// Id of the review run that the clients are created for.
const RUN: &str = "run-1";

static GITHUB: LazyLock<ForgeContract> = LazyLock::new(|| ForgeContract::github().unwrap());
static CLOUD: LazyLock<Option<ForgeContract>> = LazyLock::new(|| ForgeContract::bitbucket_cloud().unwrap());
static DATA_CENTER: LazyLock<Option<ForgeContract>> =
    LazyLock::new(|| ForgeContract::bitbucket_data_center().unwrap());

/// Compares each request and response with the published API description of the forge. The checkout does not
/// contain the descriptions of Bitbucket Cloud and Bitbucket Data Center. A forge without a description is
/// not checked.
struct Published(ForgeFlavour);

impl ExchangeObserver for Published {
    fn observe_exchange(&self, exchange: &ApiExchange<'_>) -> Vec<String> {
        let ApiExchange { method, target, request, response: answer } = *exchange;
        let contract = match self.0 {
            ForgeFlavour::GitHub => Some(&*GITHUB),
            ForgeFlavour::Cloud => CLOUD.as_ref(),
            ForgeFlavour::DataCenter => DATA_CENTER.as_ref(),
        };
        let Some(contract) = contract else { return Vec::new() };
        let found = contract
            .check(&truing_contract::WireExchange { method, target, request_body: request, response: answer })
            .into_iter();
        // Bitbucket may reject a call with a body or status that the description does not contain. For such a
        // response, only the request is checked.
        let is_refused = answer.is_some_and(|(status, _)| status >= 300) && self.0 != ForgeFlavour::GitHub;
        let counts = |violation: &truing_contract::ContractViolation| {
            !is_refused || matches!(violation.part, truing_contract::ExchangePart::Request)
        };
        found.filter(counts).map(|violation| format!("unlike {:?}: {violation}", self.0)).collect()
    }
}

/// A gate that is always open.
#[derive(Debug)]
pub(crate) struct AlwaysOpenGate;

#[async_trait]
impl WriteGate for AlwaysOpenGate {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        Ok(())
    }
}

pub(crate) fn open() -> Arc<dyn WriteGate> {
    Arc::new(AlwaysOpenGate)
}

/// Returns the permit of an open gate.
pub(crate) async fn permit() -> Arc<WritePermit> {
    WritePermit::request_from(&open(), SystemTestClock.now()).await.unwrap()
}

pub(crate) struct SystemTestClock;

impl Clock for SystemTestClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        UnixMillis(i64::try_from(since.as_millis()).unwrap())
    }
}

pub(crate) struct Site {
    pub(crate) forge: FakeForge,
    pub(crate) shop: FakeRepo,
    pub(crate) server: AnyForgeServer,
    pub(crate) id: String,
    pub(crate) hub: RepositoryEffects,
}

impl Drop for Site {
    /// Checks that Truing performed no forbidden action, and sent no request that the real forge would
    /// reject.
    fn drop(&mut self) {
        let wrong = self.forge.violations();
        assert!(std::thread::panicking() || wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

impl Site {
    /// Builds a GitHub where our account may write.
    pub(crate) async fn new() -> Self {
        Self::of(ForgeFlavour::GitHub).await
    }

    /// Builds a forge of this kind where our account may write.
    pub(crate) async fn of(flavour: ForgeFlavour) -> Self {
        let options =
            FakeForgeOptions { observer: Some(Arc::new(Published(flavour))), ..FakeForgeOptions::default() };
        let forge = FakeForge::start_as(flavour, options).await.unwrap();
        forge.register_token(TOKEN, BOT);
        let shop = CommitBuilder::new("First").write("a.txt", "one\n");
        let shop = forge.create_repository("acme", "shop", shop).await.unwrap();
        shop.set_role(BOT, "write").await.unwrap();
        let server = server(&forge, TOKEN);
        let id = shop.public_id().await.unwrap();
        let hub = RepositoryEffects::new(&server, &id, &open());
        Self { forge, shop, server, id, hub }
    }

    /// Builds each kind of Bitbucket with the pull request of [`Site::with_pull`].
    pub(crate) async fn bitbuckets() -> [(Self, u64, RepositoryClient); 2] {
        [Self::with_pull_at(ForgeFlavour::Cloud).await, Self::with_pull_at(ForgeFlavour::DataCenter).await]
    }

    pub(crate) fn is_cloud(&self) -> bool {
        self.forge.flavour() == ForgeFlavour::Cloud
    }

    /// Returns the capabilities of the newest version of the forge, which is the version that the fake
    /// implements.
    pub(crate) fn row(&self) -> &'static ForgeCapability {
        match self.forge.flavour() {
            ForgeFlavour::GitHub | ForgeFlavour::Cloud => self.server.capability(),
            ForgeFlavour::DataCenter => &BITBUCKET_DC,
        }
    }

    /// Builds a GitHub with a branch of ours.
    pub(crate) async fn with_branch(branch: &str) -> Self {
        let site = Self::new().await;
        site.shop
            .push(branch, CommitBuilder::new("Follow").write("a.txt", "two\n").with_author(BOT))
            .await
            .unwrap();
        site
    }

    /// Builds a GitHub with a pull request of `author` from the branch `feature` that adds 40 lines in
    /// `a.txt`. Also returns the number of the pull request and a client for it.
    pub(crate) async fn with_pull() -> (Self, u64, RepositoryClient) {
        Self::with_pull_at(ForgeFlavour::GitHub).await
    }

    /// Builds a forge of this kind with the pull request of [`Site::with_pull`].
    pub(crate) async fn with_pull_at(flavour: ForgeFlavour) -> (Self, u64, RepositoryClient) {
        let site = Self::of(flavour).await;
        let lines: String = (1..=40).map(|n| format!("line {n}\n")).collect();
        site.shop.push("feature", CommitBuilder::new("Change").write("a.txt", lines)).await.unwrap();
        let number = site.shop.open_pull(NewPull::from_branch("feature")).await.unwrap();
        let conversation = site.conversation(number);
        (site, number, conversation)
    }

    pub(crate) fn conversation(&self, number: u64) -> RepositoryClient {
        let id = PrId { forge: "github".into(), repository: self.id.clone(), number };
        self.server.client(&id, "acme/shop", CommentProducer::Converge)
    }

    pub(crate) async fn open(&self, branch: &str) -> BranchPull {
        self.hub.open_pull(&draft(branch)).await.unwrap()
    }

    /// Makes the next call with this method and route fail with this fault.
    pub(crate) fn fault(&self, method: &str, route: &str, kind: ForgeFaultKind) {
        self.forge.add_fault(ForgeFault::on_call(method, route, kind));
    }
}

/// Returns a client of a forge with the token of an account.
pub(crate) fn server(forge: &FakeForge, token: &str) -> AnyForgeServer {
    let clock = Arc::new(SystemTestClock);
    let options = || bitbucket(forge, token);
    let server: AnyForgeServer = match forge.flavour() {
        ForgeFlavour::GitHub => github(forge, GitHubCredentials::Token(SecretString::new(token))),
        ForgeFlavour::Cloud => BitbucketCloud::with_timeouts(options(), patience(), clock).unwrap().into(),
        ForgeFlavour::DataCenter => {
            BitbucketDataCenter::with_timeouts(options(), patience(), clock).unwrap().into()
        }
    };
    server.with_review_id(RUN)
}

/// Returns a client of Cloud with an access token. With such a token, the client cannot query the account
/// that the token belongs to.
pub(crate) fn with_access_token(
    forge: &FakeForge,
    account: Option<String>,
    workspaces: &[&str],
) -> AnyForgeServer {
    let workspaces = workspaces.iter().map(|&name| name.to_owned()).collect();
    let options =
        BitbucketOptions { email: None, account_uuid: account, workspaces, ..bitbucket(forge, TOKEN) };
    let server: AnyForgeServer =
        BitbucketCloud::with_timeouts(options, patience(), Arc::new(SystemTestClock)).unwrap().into();
    server.with_review_id(RUN)
}

/// Returns the options for Bitbucket Cloud or Bitbucket Data Center.
fn bitbucket(forge: &FakeForge, token: &str) -> BitbucketOptions {
    let (root, is_cloud) = (forge.base_url(), forge.flavour() == ForgeFlavour::Cloud);
    let (api, git) = if is_cloud { ("/2.0", "") } else { ("", "/scm") };
    BitbucketOptions {
        name: "bitbucket".into(),
        api_url: format!("{root}{api}").parse().unwrap(),
        git_url: format!("{root}{git}").parse().unwrap(),
        token: SecretString::new(token),
        email: is_cloud.then(|| "truing@example.com".to_owned()),
        account_uuid: None,
        workspaces: Vec::new(),
        previous_accounts: Vec::new(),
        command_accounts: Vec::new(),
        marker_keys: MarkerKeys::new(b"key", &[])
            .with_marker_syntax(truing_forge::capability::MarkerSyntax::LinkReference),
        settle_delay: TimeSpan::seconds(30),
        commits: CommitOptions::default(),
    }
}

fn patience() -> HttpTimeouts {
    HttpTimeouts {
        connect: Duration::from_secs(120),
        read: Duration::from_secs(120),
        total: Duration::from_secs(120),
        retry_delay: Duration::ZERO,
    }
}

/// Returns a client of a GitHub.
pub(crate) fn github(forge: &FakeForge, credentials: GitHubCredentials) -> AnyForgeServer {
    github_with_commits(forge, credentials, CommitOptions::default())
}

/// Returns a client of a GitHub that gets commits in this way.
pub(crate) fn github_with_commits(
    forge: &FakeForge,
    credentials: GitHubCredentials,
    commits: CommitOptions,
) -> AnyForgeServer {
    let options = GitHubOptions {
        name: "github".into(),
        api_url: forge.base_url().parse().unwrap(),
        git_url: forge.base_url().parse().unwrap(),
        credentials,
        previous_accounts: Vec::new(),
        command_accounts: Vec::new(),
        marker_keys: MarkerKeys::new(b"key", &[]),
        settle_delay: TimeSpan::seconds(30),
        commits,
    };
    let server: AnyForgeServer =
        GitHub::with_timeouts(options, patience(), Arc::new(SystemTestClock)).unwrap().into();
    server.with_review_id(RUN)
}

pub(crate) fn topic(text: &str) -> Topic {
    Topic::new(text)
}

pub(crate) fn draft(branch: &str) -> PullDraft {
    PullDraft {
        topic: topic("sync/botocore"),
        branch: branch.into(),
        base: "main".into(),
        title: "Bump botocore".into(),
        body: "What it does.\r\n\r\n<!-- truing:1 forged -->".into(),
        draft: false,
    }
}

/// Asserts that a call was rejected, and that the error states that the call had no effect.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, ForgeError>) {
    assert!(
        matches!(&result, Err(error @ ForgeError::Rejected { .. }) if error.has_no_effect()),
        "{result:?}"
    );
}

/// A repository with the reads of the client, and with one method for each effect of sync.
pub(crate) struct RepositoryEffects {
    read: RepositoryClient,
    write: GatedClient,
}

/// A client that requests a permit from a gate before each effect.
pub(crate) struct GatedClient {
    pub(crate) client: RepositoryClient,
    pub(crate) gate: Arc<dyn WriteGate>,
}

impl GatedClient {
    async fn perform(&self, effect: &Effect) -> Result<EffectOutcome, ForgeError> {
        let permit = WritePermit::request_from(&self.gate, SystemTestClock.now()).await;
        let permit = permit.map_err(|reason| GateHalt::before_write(&effect.intent().description, reason))?;
        self.client.perform(effect, &permit).await
    }
}

impl Deref for RepositoryEffects {
    type Target = RepositoryClient;

    fn deref(&self) -> &RepositoryClient {
        &self.read
    }
}

impl RepositoryEffects {
    pub(crate) fn new(server: &AnyForgeServer, id: &str, gate: &Arc<dyn WriteGate>) -> Self {
        let place = PrId { forge: "github".into(), repository: id.to_owned(), number: 0 };
        let read = server.client(&place, "acme/shop", CommentProducer::Sync);
        Self { write: GatedClient { client: read.clone(), gate: gate.clone() }, read }
    }

    pub(crate) async fn open_pull(&self, draft: &PullDraft) -> Result<BranchPull, ForgeError> {
        let performed = self.write.perform(&Effect::OpenPull(draft.clone())).await?;
        let EffectOutcome::Pull(pull) = performed else { panic!("{performed:?} is no pull request") };
        Ok(*pull)
    }

    pub(crate) async fn edit_pull(
        &self,
        number: u64,
        topic: &Topic,
        title: &str,
        body: &str,
    ) -> Result<(), ForgeError> {
        let (topic, title, body) = (topic.clone(), title.to_owned(), body.to_owned());
        self.write.perform(&Effect::EditPull { number, topic, title, body }).await.map(drop)
    }

    pub(crate) async fn set_draft(&self, number: u64, draft: bool) -> Result<(), ForgeError> {
        self.write.perform(&Effect::SetDraft { number, draft }).await.map(drop)
    }

    pub(crate) async fn close_pull(&self, number: u64) -> Result<(), ForgeError> {
        self.write.perform(&Effect::ClosePull { number }).await.map(drop)
    }

    pub(crate) async fn add_labels(&self, number: u64, labels: &[String]) -> Result<(), ForgeError> {
        self.write.perform(&Effect::Label { number, labels: labels.to_vec() }).await.map(drop)
    }

    pub(crate) async fn open_issue(
        &self,
        topic: &Topic,
        title: &str,
        body: &str,
        label: &str,
    ) -> Result<OwnIssue, ForgeError> {
        let (topic, title, body, label) =
            (topic.clone(), title.to_owned(), body.to_owned(), label.to_owned());
        let performed = self.write.perform(&Effect::OpenIssue { topic, title, body, label }).await?;
        let EffectOutcome::Issue(issue) = performed else { panic!("{performed:?} is no issue") };
        Ok(*issue)
    }

    pub(crate) async fn edit_issue(
        &self,
        number: u64,
        topic: &Topic,
        title: &str,
        body: &str,
    ) -> Result<(), ForgeError> {
        let (topic, title, body) = (topic.clone(), title.to_owned(), body.to_owned());
        self.write.perform(&Effect::EditIssue { number, topic, title, body }).await.map(drop)
    }

    pub(crate) async fn close_issue(&self, number: u64) -> Result<(), ForgeError> {
        self.write.perform(&Effect::CloseIssue { number }).await.map(drop)
    }

    pub(crate) async fn comment(
        &self,
        number: u64,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let (topic, body) = (topic.clone(), body.to_owned());
        self.write.perform(&Effect::NewComment { number, topic, body }).await.map(comment)
    }

    pub(crate) async fn delete_comment(&self, number: u64, comment: &CommentId) -> Result<(), ForgeError> {
        self.write.perform(&Effect::DeleteComment { number, comment: comment.clone() }).await.map(drop)
    }
}

fn review(performed: EffectOutcome) -> PostedReview {
    let EffectOutcome::Review(posted) = performed else { panic!("{performed:?} is no review") };
    posted
}

fn comment(performed: EffectOutcome) -> CommentId {
    performed.comment().unwrap().clone()
}

/// One method per effect on a pull request, for tests that need only a client.
pub(crate) trait Calls {
    async fn make(&self, effect: &Effect) -> Result<EffectOutcome, ForgeError>;

    async fn post_review(&self, draft: &ReviewDraft) -> Result<PostedReview, ForgeError> {
        self.make(&Effect::Review(draft.clone())).await.map(review)
    }

    async fn post_as_comment(&self, draft: &ReviewDraft) -> Result<PostedReview, ForgeError> {
        self.make(&Effect::ReviewAsComment(draft.clone())).await.map(review)
    }

    async fn reply(&self, first: &CommentId, topic: &Topic, body: &str) -> Result<CommentId, ForgeError> {
        let (first, topic, body) = (first.clone(), topic.clone(), body.to_owned());
        self.make(&Effect::Reply { first_comment: first, topic, body }).await.map(comment)
    }

    async fn resolve(&self, thread: &ThreadId) -> Result<(), ForgeError> {
        self.make(&Effect::Resolve { thread: thread.clone() }).await.map(drop)
    }

    async fn put_comment(&self, topic: &Topic, body: &str) -> Result<CommentId, ForgeError> {
        self.make(&Effect::Comment { topic: topic.clone(), body: body.to_owned() }).await.map(comment)
    }

    async fn put_line_comment(
        &self,
        commit: &Sha,
        place: &CodeLocation,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let (commit, place) = (commit.clone(), place.clone());
        let (topic, body) = (topic.clone(), body.to_owned());
        self.make(&Effect::LineComment { commit, location: place, topic, body }).await.map(comment)
    }

    async fn update_branch(&self, head: &Sha) -> Result<(), ForgeError> {
        self.make(&Effect::UpdateBranch { head: head.clone() }).await.map(drop)
    }

    async fn trigger(&self, text: &str, since: UnixMillis) -> Result<ConversationComment, ForgeError> {
        let performed = self.make(&Effect::Trigger { text: text.to_owned(), since }).await?;
        let EffectOutcome::ConversationComment(said) = performed else {
            panic!("{performed:?} was not said")
        };
        Ok(said)
    }

    async fn request_review(&self, login: &str) -> Result<(), ForgeError> {
        self.make(&Effect::RequestReview { login: login.to_owned() }).await.map(drop)
    }

    async fn mark_ready(&self) -> Result<(), ForgeError> {
        self.make(&Effect::MarkReady).await.map(drop)
    }

    async fn describe(&self, read: &str, body: &str) -> Result<EffectOutcome, ForgeError> {
        self.make(&Effect::Describe { read: read.to_owned(), body: body.to_owned() }).await
    }
}

impl Calls for GatedClient {
    async fn make(&self, effect: &Effect) -> Result<EffectOutcome, ForgeError> {
        self.perform(effect).await
    }
}

impl Calls for RepositoryClient {
    async fn make(&self, effect: &Effect) -> Result<EffectOutcome, ForgeError> {
        GatedClient { client: self.clone(), gate: open() }.perform(effect).await
    }
}
