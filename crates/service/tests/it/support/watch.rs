//! Every exchange with the fake forge is compared with what its maker publishes; a difference fails the test, and so does a
//! write that names no run.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use truing_contract::{Contract, Part};
use truing_core::id::Span;
use truing_core::port::Clock;
use truing_fakes::forge::{Exchange, FakeForge, Flavour, Logged, Options, Witness};
use truing_forge::bitbucket::{BitbucketCloud, BitbucketDataCenter, BitbucketOptions};
use truing_forge::capability::Marker;
use truing_forge::github::{Credentials, GitHub, GitHubOptions};
use truing_forge::marker::MarkerKeys;
use truing_forge::{Patience, Secret, Server};

/// How the violations begin that are differences.
const UNLIKE: &str = "unlike what is published: ";
/// The end of the violations that are writes outside a run.
const UNNAMED: &str = " without X-Review-Id";

/// What GitHub publishes.
static GITHUB: LazyLock<Contract> = LazyLock::new(|| Contract::github().unwrap());
/// What Atlassian publishes of each Bitbucket; none where its documents are not there.
static CLOUD: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::bitbucket_cloud().unwrap());
static DATA_CENTER: LazyLock<Option<Contract>> = LazyLock::new(|| Contract::bitbucket_data_center().unwrap());

struct Published {
    flavour: Flavour,
    /// Somebody else who looks.
    also: Option<Arc<dyn Witness>>,
}

impl Published {
    fn differences(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let Exchange { method, target, request, answer } = *exchange;
        let contract = match self.flavour {
            Flavour::GitHub => Some(&*GITHUB),
            Flavour::Cloud => CLOUD.as_ref(),
            Flavour::DataCenter => DATA_CENTER.as_ref(),
        };
        let Some(contract) = contract else { return Vec::new() };
        let found = contract.check(&truing_contract::Exchange { method, target, request, answer });
        // Atlassian describes few of its refusals: of those only an answer's JSON counts.
        let is_refused = self.flavour != Flavour::GitHub && answer.is_some_and(|(status, _)| status >= 300);
        let is_json = answer.and_then(|(_, json)| json).is_some();
        let counts = |part: Part| match part {
            Part::Request | Part::Status(_) => !is_refused,
            Part::Answer(_) => !is_refused || is_json,
        };
        let found = found.into_iter().filter(|violation| counts(violation.part));
        found.map(|violation| format!("{UNLIKE}{violation}")).collect()
    }
}

impl Witness for Published {
    fn saw(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let others = self.also.iter().flat_map(|also| also.saw(exchange));
        self.differences(exchange).into_iter().chain(others).collect()
    }
}

/// The address of our account at Bitbucket Cloud, whose API token tests log in with.
const EMAIL: &str = "truing@example.com";

/// Who a client is, whatever the forge.
#[derive(Clone)]
pub(crate) struct Login {
    /// The `NAME` of `[forge.NAME]`.
    pub(crate) name: &'static str,
    pub(crate) token: &'static str,
    pub(crate) markers: MarkerKeys,
    pub(crate) settle: Span,
}

impl Login {
    /// The same for a GitHub at this address.
    pub(crate) fn github(&self, url: &str) -> GitHubOptions {
        GitHubOptions {
            name: self.name.into(),
            api_url: url.parse().unwrap(),
            git_url: url.parse().unwrap(),
            credentials: Credentials::Token(Secret::new(self.token)),
            accounts: Vec::new(),
            markers: self.markers.clone(),
            settle: self.settle,
        }
    }

    /// For a Bitbucket with its calls and its repositories at these addresses.
    fn bitbucket(&self, (api, git): (&str, &str), is_cloud: bool) -> BitbucketOptions {
        BitbucketOptions {
            name: self.name.into(),
            api_url: api.parse().unwrap(),
            git_url: git.parse().unwrap(),
            token: Secret::new(self.token),
            email: is_cloud.then(|| EMAIL.to_owned()),
            account: None,
            workspaces: Vec::new(),
            accounts: Vec::new(),
            markers: self.markers.clone().written_as(Marker::LinkReference),
            settle: self.settle,
        }
    }
}

/// Patience enough for a busy machine, and no pause before a call is tried again.
pub(crate) fn patience() -> Patience {
    Patience {
        connect: Duration::from_secs(30),
        read: Duration::from_secs(60),
        total: Duration::from_secs(120),
        retry_delay: Duration::from_millis(1),
    }
}

/// A forge whose exchanges are compared.
pub(crate) struct Watched(FakeForge);

impl Watched {
    pub(crate) async fn start(options: Options) -> Self {
        Self::start_as(Flavour::GitHub, options).await
    }

    /// The same of another kind.
    pub(crate) async fn start_as(flavour: Flavour, options: Options) -> Self {
        let published = Published { flavour, also: options.witness };
        let options = Options { witness: Some(Arc::new(published)), ..options };
        Self(FakeForge::start_as(flavour, options).await.unwrap())
    }

    /// A client of this forge.
    pub(crate) fn client(&self, login: &Login, clock: Arc<dyn Clock>) -> Server {
        let url = self.0.base_url();
        match self.0.flavour() {
            Flavour::GitHub => GitHub::with_patience(login.github(url), patience(), clock).unwrap().into(),
            Flavour::Cloud => {
                let options = login.bitbucket((&format!("{url}/2.0"), url), true);
                BitbucketCloud::with_patience(options, patience(), clock).unwrap().into()
            }
            Flavour::DataCenter => {
                let options = login.bitbucket((url, &format!("{url}/scm")), false);
                BitbucketDataCenter::with_patience(options, patience(), clock).unwrap().into()
            }
        }
    }

    /// Asserts that each call of the interface so far was one of a run, reads too.
    pub(crate) fn assert_named(&self) {
        let calls = self.0.log();
        let unnamed = calls.iter().filter(|call| call.review.is_none() && !call.path.contains(".git/"));
        assert_eq!(unnamed.collect::<Vec<_>>(), Vec::<&Logged>::new());
    }

    /// The `NAME` of `[forge.NAME]`.
    pub(crate) fn name(&self) -> &'static str {
        match self.0.flavour() {
            Flavour::GitHub => "github",
            Flavour::Cloud => "bitbucket",
            Flavour::DataCenter => "bitbucket-dc",
        }
    }

    /// What an operator writes to reach it, with no time to settle.
    pub(crate) fn operator(&self) -> String {
        let (name, url) = (self.name(), self.0.base_url());
        let (api, git, more) = match self.0.flavour() {
            Flavour::GitHub => ("", "", String::new()),
            Flavour::Cloud => ("/2.0", "", format!("email = \"{EMAIL}\"\n")),
            Flavour::DataCenter => ("", "/scm", String::new()),
        };
        format!("[forge.{name}]\napi_url = \"{url}{api}\"\ngit_url = \"{url}{git}\"\n{more}settle = \"0s\"\n")
    }

    /// The variables that the token and the secret of webhooks are taken from.
    pub(crate) fn variables(&self) -> [&'static str; 2] {
        match self.0.flavour() {
            Flavour::GitHub => ["GITHUB_TOKEN", "GITHUB_WEBHOOK_SECRET"],
            Flavour::Cloud | Flavour::DataCenter => ["BITBUCKET_TOKEN", "BITBUCKET_WEBHOOK_SECRET"],
        }
    }

    /// The permission that our account needs to find out who may write.
    pub(crate) fn permission(&self) -> &'static str {
        match self.0.flavour() {
            Flavour::GitHub | Flavour::DataCenter => "write",
            Flavour::Cloud => "admin",
        }
    }
}

impl Deref for Watched {
    type Target = FakeForge;

    fn deref(&self) -> &FakeForge {
        &self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut wrong = self.0.violations();
        wrong.retain(|violation| violation.starts_with(UNLIKE) || violation.ends_with(UNNAMED));
        wrong.dedup();
        assert!(std::thread::panicking() || wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
