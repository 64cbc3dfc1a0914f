//! Tests of reviews on Bitbucket Cloud and Data Center with the real program and a configuration file. They
//! cover a storm of two pushes, the kill switch, and a review from the command line. Behaviour that is the
//! same for all forges is tested with GitHub, in `operate`, `service` and `storm`.

mod gives;
mod refused;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use truing_core::id::{PrId, SlotKey};
use truing_core::port::SlotStore as _;
use truing_core::run::RunStage;
use truing_fakes::forge::{
    FakeForgeOptions, FakeRepo, ForgeFlavour, NewPull, PullView, UnreliableNetwork, WebhookTarget,
};
use truing_fakes::repo::CommitBuilder;
use truing_loops::machine::SystemClock;
use truing_store::Store;

use crate::support::home::{Home, Process, Ran, wait_until_or_show};
use crate::support::watch::Watched;

const TOKEN: &str = "bitbucket-token-canary";
const SECRET: &str = "bitbucket-secret-canary";
/// Content of `a.py` when a pull request is opened; the next constant is the content after the next push. The
/// first finding is still in the file, and the push adds a second finding.
const FIRST: &str = "a = 1\nbreakpoint()\n";
const SECOND: &str = "a = 1\nbreakpoint()\nb = 2\nimport pdb; pdb.set_trace()\n";

/// A home folder with a configuration, and the fake forge of one kind that the configuration names.
struct Site {
    home: Home,
    forge: Watched,
    repo: FakeRepo,
    /// The kind of the forge, which is also the forge's name in the configuration.
    kind: &'static str,
}

impl Site {
    async fn new(flavour: ForgeFlavour) -> Self {
        Self::with_key(flavour, "").await
    }

    /// Creates a site with an additional line in the forge's configuration.
    async fn with_key(flavour: ForgeFlavour, key: &str) -> Self {
        let forge = Watched::start_as(flavour, FakeForgeOptions::default()).await;
        forge.register_token(TOKEN, "truing[bot]");
        let first = CommitBuilder::new("begin").write("a.py", "a = 1\n");
        let repo = forge.create_repository("o", "r", first).await.unwrap();
        let kind = forge.forge_name();
        let config = format!(
            "[store]\nurl = \"sqlite:truing.db\"\n[server]\nlisten = \"127.0.0.1:0\"\npoll \
             = \"50ms\"\n{}[review]\nexisting = \"review\"\ndebounce = \"100ms\"\nmax_wait = \"1s\"\nquiet \
             = \"1s\"\nbackoff = \"200ms\"\nbackoff_max = \"400ms\"\nattempts = 2\n",
            forge.operator_config().replace("settle = \"0s\"", &format!("settle = \"300ms\"\n{key}")),
        );
        let home = Home::with_config(&config)
            .with_variable("BITBUCKET_TOKEN", TOKEN)
            .with_variable("BITBUCKET_WEBHOOK_SECRET", SECRET);
        Self { home, forge, repo, kind }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.home.command(arguments)
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let Ran { exit, out, err } = self.home.run(arguments);
        (exit, out, err)
    }

    /// Starts the service and points the forge's webhooks at it. The log is written to `serve.log`.
    async fn serve(&self) -> Process {
        let log = self.log_path();
        let stderr = File::create(&log).unwrap();
        let server = Process(self.command(&["serve"]).stdout(Stdio::null()).stderr(stderr).spawn().unwrap());
        let mut url = String::new();
        wait_until_or_show(
            "its address",
            || self.read_log(),
            async || {
                let text = std::fs::read_to_string(&log).unwrap();
                let told =
                    text.split_once("health and metrics: ").and_then(|(_, rest)| rest.split_once("/healthz"));
                url = told.map(|(url, _)| url.to_owned()).unwrap_or_default();
                !url.is_empty()
            },
        )
        .await;
        let url = format!("{url}/webhooks/{}", self.kind);
        self.forge.set_hook(WebhookTarget { url, secret: SECRET.into(), is_automatic: false });
        server
    }

    fn log_path(&self) -> PathBuf {
        self.home.path().join("serve.log")
    }

    fn read_log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    async fn deliver(&self) -> Vec<u16> {
        self.forge.deliver_all(UnreliableNetwork::default()).await.unwrap()
    }

    async fn open_pull_request(&self) -> u64 {
        self.repo.push("one", CommitBuilder::new("debug").write("a.py", FIRST)).await.unwrap();
        self.repo.open_pull(NewPull::from_branch("one")).await.unwrap()
    }

    async fn wait_until_reviewed(&self, number: u64, findings: usize) -> PullView {
        let mut last = None;
        wait_until_or_show(
            "it is reviewed",
            || format!("{}\n{:#?}", self.read_log(), self.forge.request_log().last()),
            async || {
                let view = self.repo.pull(number).await.unwrap();
                let is = view.statuses.contains_key(&view.head)
                    && view.conversation_comments().any(|comment| comment.body.contains(&view.head[..10]))
                    && view.inline_comments().count() == findings;
                last = Some(view);
                is
            },
        )
        .await;
        last.unwrap()
    }

    async fn key(&self, number: u64) -> SlotKey {
        let repository = self.repo.public_id().await.unwrap();
        PrId { forge: self.kind.into(), repository, number }.key()
    }

    fn database(&self) -> PathBuf {
        self.home.path().join("truing.db")
    }

    fn store(&self) -> Store {
        Store::open(&self.database(), Arc::new(SystemClock)).unwrap()
    }

    /// Returns the page of a pull request.
    fn page(&self, number: u64) -> String {
        let path = match self.forge.flavour() {
            ForgeFlavour::DataCenter => "projects/o/repos/r",
            ForgeFlavour::GitHub | ForgeFlavour::Cloud => "o/r",
        };
        let pulls = if self.forge.flavour() == ForgeFlavour::GitHub { "pull" } else { "pull-requests" };
        format!("{}/{path}/{pulls}/{number}", self.forge.base_url())
    }
}

/// Checks that no two comments by Truing are equal, and that no comment was deleted.
fn assert_comments_unique(view: &PullView) {
    let said: Vec<&str> = view.comments.iter().filter_map(|comment| comment.body.lines().last()).collect();
    assert!(said.iter().all(|line| line.starts_with("[//]: # (truing:1 ")), "{said:#?}");
    assert_eq!(said.iter().collect::<BTreeSet<_>>().len(), said.len(), "{said:#?}");
    assert!(view.comments.iter().all(|comment| !comment.deleted), "{view:#?}");
}

async fn test_storm(flavour: ForgeFlavour) {
    let site = Site::new(flavour).await;
    let _server = site.serve().await;
    let number = site.open_pull_request().await;
    assert_eq!(site.deliver().await, [202]);
    let second = site.repo.push("one", CommitBuilder::new("more").write("a.py", SECOND)).await.unwrap();
    assert!(site.deliver().await.iter().all(|status| *status == 202));
    let view = site.wait_until_reviewed(number, 2).await;
    let store = site.store();
    wait_until_or_show(
        "the storm is over",
        || site.read_log(),
        async || store.list_slots().await.unwrap().is_empty(),
    )
    .await;
    let runs = store.review_entries(&site.key(number).await, 100).await.unwrap();
    let computed =
        runs.iter().filter(|run| matches!(run.stage, RunStage::Computed | RunStage::Published)).count();
    assert!((1..=2).contains(&computed), "{runs:#?}");
    let after = site.repo.pull(number).await.unwrap();
    assert_eq!((&after.head, after.comments.len()), (&second, view.comments.len()));
    assert_comments_unique(&after);
    assert_eq!(
        (after.conversation_comments().count(), after.inline_comments().count()),
        (1, 2),
        "{after:#?}"
    );
    assert_eq!(after.statuses[&after.head].last().unwrap().state, "failure", "a P1 finding blocks");
    assert!(after.reports.iter().any(|report| report.sha == after.head), "{:#?}", after.reports);
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_two_pushes_to_cloud_is_reviewed_at_its_settled_head() {
    test_storm(ForgeFlavour::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_two_pushes_to_a_data_center_is_reviewed_at_its_settled_head() {
    test_storm(ForgeFlavour::DataCenter).await;
}

/// Data Center disables a webhook after five rejected deliveries. While the kill switch is on, the server
/// therefore accepts the deliveries, and the slot stays due.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_kill_switch_is_on_a_data_center_is_answered_and_its_slot_stays_due() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let _server = site.serve().await;
    assert_eq!(site.run(&["kill", "on", "--reason", "a storm"]).0, 0);
    let number = site.open_pull_request().await;
    for at in 0..6 {
        let text = format!("{FIRST}# {at}\n");
        site.repo.push("one", CommitBuilder::new("more").write("a.py", text)).await.unwrap();
    }
    site.repo.comment(number, "ada", "/review").await.unwrap();
    assert!(site.deliver().await.iter().all(|status| *status == 202), "{}", site.read_log());
    let (store, key) = (site.store(), site.key(number).await);
    wait_until_or_show(
        "it is held back",
        || site.read_log(),
        async || {
            let events = store.events(&key, 20).await.unwrap();
            events.iter().any(|event| event.description.starts_with("KillSwitchEngaged: held back"))
        },
    )
    .await;
    let slot = store.load_slots(std::slice::from_ref(&key)).await.unwrap().remove(0);
    assert!(slot.token().is_none() && slot.wake_time().is_some(), "{slot:?}");
    assert!(store.review_entries(&key, 9).await.unwrap().is_empty(), "nothing was begun");

    assert_eq!(site.run(&["kill", "off"]).0, 0);
    site.wait_until_reviewed(number, 1).await;
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

/// After a response of 503, Bitbucket Cloud sends the delivery up to two more times, and never disables the
/// webhook. While the kill switch is on, the server therefore rejects the deliveries, as for GitHub. When the
/// switch is turned off, the sweep finds the change of the rejected delivery. The sweep covers the
/// repositories in which Truing has write permission.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_kill_switch_is_on_cloud_is_refused_and_the_sweep_at_its_end_finds_the_pull_request() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    site.repo.set_role("truing[bot]", "write").await.unwrap();
    let _server = site.serve().await;
    assert_eq!(site.run(&["kill", "on"]).0, 0);
    let number = site.open_pull_request().await;
    assert_eq!(site.deliver().await, [503]);
    assert_eq!(site.run(&["kill", "off"]).0, 0);
    assert_comments_unique(&site.wait_until_reviewed(number, 1).await);
}

/// After a rejected delivery, Data Center may pause the webhook for several hours. If the store fails, the
/// server therefore accepts a delivery of Data Center, and the next sweep finds the change. Bitbucket Cloud
/// sends a rejected delivery again. If that delivery is lost, the sweep finds the change, too.
#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_data_center_is_not_refused_and_the_sweep_finds_the_pull_request() {
    for (flavour, status) in [(ForgeFlavour::DataCenter, 202), (ForgeFlavour::Cloud, 503)] {
        let site = Site::new(flavour).await;
        site.repo.set_role("truing[bot]", "write").await.unwrap();
        let _server = site.serve().await;
        let (database, aside) = (site.database(), site.database().with_extension("aside"));
        std::fs::rename(&database, &aside).unwrap();
        let number = site.open_pull_request().await;
        assert_eq!(site.deliver().await, [status], "{}", site.read_log());
        std::fs::rename(&aside, &database).unwrap();
        // Turning the kill switch off starts a sweep.
        assert_eq!((site.run(&["kill", "on"]).0, site.run(&["kill", "off"]).0), (0, 0));
        assert_comments_unique(&site.wait_until_reviewed(number, 1).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_kill_switch_is_on_a_forge_is_answered_as_its_operator_says() {
    for (flavour, word, status) in
        [(ForgeFlavour::Cloud, "mark", 202), (ForgeFlavour::DataCenter, "refuse", 503)]
    {
        let site = Site::with_key(flavour, &format!("halted = \"{word}\"")).await;
        site.repo.set_role("truing[bot]", "write").await.unwrap();
        let _server = site.serve().await;
        assert_eq!(site.run(&["kill", "on"]).0, 0);
        let number = site.open_pull_request().await;
        assert_eq!(site.deliver().await, [status], "{word}: {}", site.read_log());
        let (store, key) = (site.store(), site.key(number).await);
        let slot = store.load_slots(std::slice::from_ref(&key)).await.unwrap().remove(0);
        assert_eq!(slot.wake_time().is_some(), status == 202, "{word}: {slot:?}");
        assert!(store.review_entries(&key, 9).await.unwrap().is_empty(), "{word}: nothing was begun");
        assert_eq!(site.run(&["kill", "off"]).0, 0);
        assert_comments_unique(&site.wait_until_reviewed(number, 1).await);
    }
}

/// On Bitbucket Cloud, a repository does not contain the commits of its forks, so Truing must fetch them from
/// the fork.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_from_a_fork_at_cloud_is_reviewed_by_the_commits_of_the_fork() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let _server = site.serve().await;
    site.repo.push("guest:one", CommitBuilder::new("debug").write("a.py", FIRST)).await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("guest:one")).await.unwrap();
    assert_eq!(site.deliver().await, [202]);
    assert_comments_unique(&site.wait_until_reviewed(number, 1).await);
    site.repo.push("guest:one", CommitBuilder::new("more").write("a.py", SECOND)).await.unwrap();
    assert!(site.deliver().await.iter().all(|status| *status == 202));
    assert_comments_unique(&site.wait_until_reviewed(number, 2).await);
    let is_of_fork = |path: &str| path.starts_with("/guest/r.git/git-upload-pack");
    assert!(
        site.forge.request_log().iter().any(|logged| is_of_fork(&logged.path)),
        "{:#?}",
        site.forge.request_log()
    );
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_at_cloud_that_the_token_may_not_read_is_named() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let _server = site.serve().await;
    site.repo.push("guest:one", CommitBuilder::new("debug").write("a.py", FIRST)).await.unwrap();
    site.repo.hide_fork("guest").await.unwrap();
    let number = site.repo.open_pull(NewPull::from_branch("guest:one")).await.unwrap();
    assert_eq!(site.deliver().await, [202]);
    let (what, hint) = (
        "only the fork guest/r has the commits of the pull request, and the fork cannot be read",
        "give the token read access to the fork",
    );
    let (store, key) = (site.store(), site.key(number).await);
    wait_until_or_show(
        "it fails",
        || site.read_log(),
        async || {
            let events = store.events(&key, 20).await.unwrap();
            events.iter().any(|event| event.description.contains(what) && event.description.contains(hint))
        },
    )
    .await;
    assert_eq!(site.repo.pull(number).await.unwrap().inline_comments().count(), 0);

    let (exit, _, err) = site.run(&["review", "--pr", &site.page(number), "--no-record"]);
    let err = err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(exit == 3 && err.contains(what) && err.contains(hint), "{exit} {err}");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

async fn test_manual_review(flavour: ForgeFlavour) {
    let site = Site::new(flavour).await;
    let number = site.open_pull_request().await;
    let page = site.page(number);
    let (exit, out, err) = site.run(&["review", "--pr", &page, "--no-record", "--format", "json"]);
    assert_eq!(exit, 1, "{out}{err}");
    let review: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(review["findings"].as_array().unwrap().len(), 1, "{review:#}");
    let view = site.repo.pull(number).await.unwrap();
    assert!(view.comments.is_empty() && view.statuses.is_empty(), "nobody is told: {view:#?}");

    let (exit, out, err) = site.run(&["review", "--pr", &format!("{page}/overview"), "--publish"]);
    assert_eq!(exit, 1, "{out}{err}");
    let view = site.repo.pull(number).await.unwrap();
    assert_comments_unique(&view);
    assert_eq!((view.conversation_comments().count(), view.inline_comments().count()), (1, 1), "{view:#?}");
    for target in [page.as_str(), "o/r#1", site.key(number).await.as_str()] {
        let (exit, out, err) = site.run(&["review", "--pr", target, "--publish"]);
        assert!(
            exit == 1 && out.ends_with("nothing to publish: o/r#1 already shows this review\n"),
            "{out}{err}"
        );
    }
    assert_eq!(site.repo.pull(number).await.unwrap().comments, view.comments, "nothing is said again");
    assert_eq!(site.run(&["why", "o/r#1"]).0, 0);
    assert_eq!(site.forge.violations(), Vec::<String>::new());

    site.forge.revoke_token(TOKEN);
    let (exit, _, err) = site.run(&["review", "--pr", &page]);
    let hint = match flavour {
        ForgeFlavour::Cloud => format!("an API token needs forge.{}.email", site.kind),
        ForgeFlavour::GitHub | ForgeFlavour::DataCenter => "make a new HTTP access token".to_owned(),
    };
    let err = err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(exit == 3 && err.contains(&hint), "{exit} {err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_cloud_is_reviewed_from_the_command_line_and_published_once() {
    test_manual_review(ForgeFlavour::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_data_center_is_reviewed_from_the_command_line_and_published_once() {
    test_manual_review(ForgeFlavour::DataCenter).await;
}
