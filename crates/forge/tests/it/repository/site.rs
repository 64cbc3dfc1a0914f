//! A forge of some kind with the repository `acme/shop`, and our side of it.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use truing_contract::Contract;
use truing_core::effect::Effect;
use truing_core::finding::Place;
use truing_core::id::{CommentId, Millis, PrId, Sha, Span, ThreadId, Topic};
use truing_core::port::{
    BranchPull, Clock, ForgeError, ForgeWrite as _, Gate, Halt, HaltReason, OwnIssue, Performed, Permit,
    Posted, PullDraft, ReviewDraft, Said,
};
use truing_core::publish::Producer;
use truing_fakes::forge::{Exchange, FakeForge, Fault, FaultKind, Flavour, NewPull, Options, Repo, Witness};
use truing_fakes::repo::Commit;
use truing_forge::ForgeServer as _;
use truing_forge::bitbucket::{BitbucketCloud, BitbucketDataCenter, BitbucketOptions};
use truing_forge::capability::{BITBUCKET_DC, Capability};
use truing_forge::github::{Credentials, GitHub, GitHubOptions};
use truing_forge::marker::MarkerKeys;
use truing_forge::server::{RepositoryClient, Server};
use truing_forge::{Patience, Secret};

/// The token of [`BOT`].
pub(crate) const TOKEN: &str = "ghs_canary_hub";
/// Our account.
pub(crate) const BOT: &str = "truing[bot]";
/// The run that clients name.
const RUN: &str = "run-1";

static GITHUB: LazyLock<Contract> = LazyLock::new(|| Contract::github().unwrap());
static CLOUD: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::bitbucket_cloud().unwrap());
static DATA_CENTER: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::bitbucket_data_center().unwrap());

/// Compares every exchange with what is published of this kind of forge. Both Bitbuckets' documents are not part of the
/// checkout: without them nothing is compared there.
struct Published(Flavour);

impl Witness for Published {
    fn saw(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let Exchange { method, target, request, answer } = *exchange;
        let contract = match self.0 {
            Flavour::GitHub => Some(&*GITHUB),
            Flavour::Cloud => CLOUD.as_ref(),
            Flavour::DataCenter => DATA_CENTER.as_ref(),
        };
        let Some(contract) = contract else { return Vec::new() };
        let found =
            contract.check(&truing_contract::Exchange { method, target, request, answer }).into_iter();
        // What a Bitbucket refuses in a body or a status that is not described is right as it is: of those, only what we send
        // counts.
        let is_refused = answer.is_some_and(|(status, _)| status >= 300) && self.0 != Flavour::GitHub;
        let counts = |violation: &truing_contract::Violation| {
            !is_refused || matches!(violation.part, truing_contract::Part::Request)
        };
        found.filter(counts).map(|violation| format!("unlike {:?}: {violation}", self.0)).collect()
    }
}

/// A gate that is always open.
#[derive(Debug)]
pub(crate) struct Open;

#[async_trait]
impl Gate for Open {
    async fn ask(&self) -> Result<(), HaltReason> {
        Ok(())
    }
}

pub(crate) fn open() -> Arc<dyn Gate> {
    Arc::new(Open)
}

/// The permit of an open gate.
pub(crate) async fn permit() -> Arc<Permit> {
    Permit::ask(&open(), Wall.now()).await.unwrap()
}

pub(crate) struct Wall;

impl Clock for Wall {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Millis(i64::try_from(since.as_millis()).unwrap())
    }
}

pub(crate) struct Site {
    pub(crate) forge: FakeForge,
    pub(crate) shop: Repo,
    pub(crate) server: Server,
    pub(crate) id: String,
    pub(crate) hub: Ours,
}

impl Drop for Site {
    /// Nothing that nobody of ours may do, and nothing that the forge would not understand.
    fn drop(&mut self) {
        let wrong = self.forge.violations();
        assert!(std::thread::panicking() || wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

impl Site {
    /// GitHub. Our account may write.
    pub(crate) async fn new() -> Self {
        Self::of(Flavour::GitHub).await
    }

    /// A forge of this kind. Our account may write.
    pub(crate) async fn of(flavour: Flavour) -> Self {
        let options = Options { witness: Some(Arc::new(Published(flavour))), ..Options::default() };
        let forge = FakeForge::start_as(flavour, options).await.unwrap();
        forge.token(TOKEN, BOT);
        let shop = Commit::new("First").write("a.txt", "one\n");
        let shop = forge.create_repository("acme", "shop", shop).await.unwrap();
        shop.permit(BOT, "write").await.unwrap();
        let server = server(&forge, TOKEN);
        let id = shop.shown_id().await.unwrap();
        let hub = Ours::new(&server, &id, &open());
        Self { forge, shop, server, id, hub }
    }

    /// Each kind of Bitbucket, with a pull request as [`Site::with_pull`] has it.
    pub(crate) async fn bitbuckets() -> [(Self, u64, RepositoryClient); 2] {
        [Self::with_pull_at(Flavour::Cloud).await, Self::with_pull_at(Flavour::DataCenter).await]
    }

    pub(crate) fn is_cloud(&self) -> bool {
        self.forge.flavour() == Flavour::Cloud
    }

    /// The row of the forge, whose newest version the fake is.
    pub(crate) fn row(&self) -> &'static Capability {
        match self.forge.flavour() {
            Flavour::GitHub | Flavour::Cloud => self.server.capability(),
            Flavour::DataCenter => &BITBUCKET_DC,
        }
    }

    /// The same with a branch of ours.
    pub(crate) async fn with_branch(branch: &str) -> Self {
        let site = Self::new().await;
        site.shop.push(branch, Commit::new("Follow").write("a.txt", "two\n").by(BOT)).await.unwrap();
        site
    }

    /// The same with a pull request of `author` that adds 40 lines in `a.txt`, as `feature`, and our side of it.
    pub(crate) async fn with_pull() -> (Self, u64, RepositoryClient) {
        Self::with_pull_at(Flavour::GitHub).await
    }

    /// The same at a forge of this kind.
    pub(crate) async fn with_pull_at(flavour: Flavour) -> (Self, u64, RepositoryClient) {
        let site = Self::of(flavour).await;
        let lines: String = (1..=40).map(|n| format!("line {n}\n")).collect();
        site.shop.push("feature", Commit::new("Change").write("a.txt", lines)).await.unwrap();
        let number = site.shop.open(NewPull::of("feature")).await.unwrap();
        let conversation = site.conversation(number);
        (site, number, conversation)
    }

    pub(crate) fn conversation(&self, number: u64) -> RepositoryClient {
        let id = PrId { forge: "github".into(), repository: self.id.clone(), number };
        self.server.client(&id, "acme/shop", Producer::Converge)
    }

    pub(crate) async fn open(&self, branch: &str) -> BranchPull {
        self.hub.open_pull(&draft(branch)).await.unwrap()
    }

    /// Lets the next such call go wrong.
    pub(crate) fn fault(&self, method: &str, route: &str, kind: FaultKind) {
        self.forge.fault(Fault::once(method, route, kind));
    }
}

/// A client of a forge with the token of an account.
pub(crate) fn server(forge: &FakeForge, token: &str) -> Server {
    let clock = Arc::new(Wall);
    let options = || bitbucket(forge, token);
    let server: Server = match forge.flavour() {
        Flavour::GitHub => github(forge, Credentials::Token(Secret::new(token))),
        Flavour::Cloud => BitbucketCloud::with_patience(options(), patience(), clock).unwrap().into(),
        Flavour::DataCenter => {
            BitbucketDataCenter::with_patience(options(), patience(), clock).unwrap().into()
        }
    };
    server.for_review(RUN)
}

/// A client of Cloud with an access token, which may not ask who it is.
pub(crate) fn with_access_token(forge: &FakeForge, account: Option<String>, workspaces: &[&str]) -> Server {
    let workspaces = workspaces.iter().map(|&name| name.to_owned()).collect();
    let options = BitbucketOptions { email: None, account, workspaces, ..bitbucket(forge, TOKEN) };
    let server: Server = BitbucketCloud::with_patience(options, patience(), Arc::new(Wall)).unwrap().into();
    server.for_review(RUN)
}

/// The options of either Bitbucket.
fn bitbucket(forge: &FakeForge, token: &str) -> BitbucketOptions {
    let (root, is_cloud) = (forge.base_url(), forge.flavour() == Flavour::Cloud);
    let (api, git) = if is_cloud { ("/2.0", "") } else { ("", "/scm") };
    BitbucketOptions {
        name: "bitbucket".into(),
        api_url: format!("{root}{api}").parse().unwrap(),
        git_url: format!("{root}{git}").parse().unwrap(),
        token: Secret::new(token),
        email: is_cloud.then(|| "truing@example.com".to_owned()),
        account: None,
        workspaces: Vec::new(),
        accounts: Vec::new(),
        markers: MarkerKeys::new(b"key", &[]).written_as(truing_forge::capability::Marker::LinkReference),
        settle: Span::seconds(30),
    }
}

fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(120),
        read: Duration::from_secs(120),
        total: Duration::from_secs(120),
        retry_delay: Duration::ZERO,
    }
}

/// A client of a GitHub.
pub(crate) fn github(forge: &FakeForge, credentials: Credentials) -> Server {
    let options = GitHubOptions {
        name: "github".into(),
        api_url: forge.base_url().parse().unwrap(),
        git_url: forge.base_url().parse().unwrap(),
        credentials,
        accounts: Vec::new(),
        markers: MarkerKeys::new(b"key", &[]),
        settle: Span::seconds(30),
    };
    let server: Server = GitHub::with_patience(options, patience(), Arc::new(Wall)).unwrap().into();
    server.for_review(RUN)
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

/// That a call was refused, and surely did nothing.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, ForgeError>) {
    assert!(
        matches!(&result, Err(error @ ForgeError::Rejected { .. }) if error.surely_undone()),
        "{result:?}"
    );
}

/// The repository as sync has it: what is read there, and each effect on it as a call.
pub(crate) struct Ours {
    read: RepositoryClient,
    write: GatedClient,
}

/// A client whose effects are made by the permit of a gate.
pub(crate) struct GatedClient {
    pub(crate) client: RepositoryClient,
    pub(crate) gate: Arc<dyn Gate>,
}

impl GatedClient {
    async fn perform(&self, effect: &Effect) -> Result<Performed, ForgeError> {
        let permit = Permit::ask(&self.gate, Wall.now()).await;
        let permit = permit.map_err(|reason| Halt::before(&effect.intended().what, reason))?;
        self.client.perform(effect, &permit).await
    }
}

impl Deref for Ours {
    type Target = RepositoryClient;

    fn deref(&self) -> &RepositoryClient {
        &self.read
    }
}

impl Ours {
    pub(crate) fn new(server: &Server, id: &str, gate: &Arc<dyn Gate>) -> Self {
        let place = PrId { forge: "github".into(), repository: id.to_owned(), number: 0 };
        let read = server.client(&place, "acme/shop", Producer::Sync);
        Self { write: GatedClient { client: read.clone(), gate: gate.clone() }, read }
    }

    pub(crate) async fn open_pull(&self, draft: &PullDraft) -> Result<BranchPull, ForgeError> {
        let performed = self.write.perform(&Effect::OpenPull(draft.clone())).await?;
        let Performed::Pull(pull) = performed else { panic!("{performed:?} is no pull request") };
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
        let Performed::Issue(issue) = performed else { panic!("{performed:?} is no issue") };
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

fn review(performed: Performed) -> Posted {
    let Performed::Review(posted) = performed else { panic!("{performed:?} is no review") };
    posted
}

fn comment(performed: Performed) -> CommentId {
    performed.comment().unwrap().clone()
}

/// Each effect as a call, for tests of the client alone.
pub(crate) trait Calls {
    async fn make(&self, effect: &Effect) -> Result<Performed, ForgeError>;

    async fn post_review(&self, draft: &ReviewDraft) -> Result<Posted, ForgeError> {
        self.make(&Effect::Review(draft.clone())).await.map(review)
    }

    async fn post_as_comment(&self, draft: &ReviewDraft) -> Result<Posted, ForgeError> {
        self.make(&Effect::ReviewAsComment(draft.clone())).await.map(review)
    }

    async fn reply(&self, first: &CommentId, topic: &Topic, body: &str) -> Result<CommentId, ForgeError> {
        let (first, topic, body) = (first.clone(), topic.clone(), body.to_owned());
        self.make(&Effect::Reply { first, topic, body }).await.map(comment)
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
        place: &Place,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let (commit, place) = (commit.clone(), place.clone());
        let (topic, body) = (topic.clone(), body.to_owned());
        self.make(&Effect::LineComment { commit, place, topic, body }).await.map(comment)
    }

    async fn update_branch(&self, head: &Sha) -> Result<(), ForgeError> {
        self.make(&Effect::UpdateBranch { head: head.clone() }).await.map(drop)
    }

    async fn trigger(&self, text: &str, since: Millis) -> Result<Said, ForgeError> {
        let performed = self.make(&Effect::Trigger { text: text.to_owned(), since }).await?;
        let Performed::Said(said) = performed else { panic!("{performed:?} was not said") };
        Ok(said)
    }

    async fn request_review(&self, login: &str) -> Result<(), ForgeError> {
        self.make(&Effect::RequestReview { login: login.to_owned() }).await.map(drop)
    }

    async fn mark_ready(&self) -> Result<(), ForgeError> {
        self.make(&Effect::MarkReady).await.map(drop)
    }

    async fn describe(&self, read: &str, body: &str) -> Result<Performed, ForgeError> {
        self.make(&Effect::Describe { read: read.to_owned(), body: body.to_owned() }).await
    }
}

impl Calls for GatedClient {
    async fn make(&self, effect: &Effect) -> Result<Performed, ForgeError> {
        self.perform(effect).await
    }
}

impl Calls for RepositoryClient {
    async fn make(&self, effect: &Effect) -> Result<Performed, ForgeError> {
        GatedClient { client: self.clone(), gate: open() }.perform(effect).await
    }
}
