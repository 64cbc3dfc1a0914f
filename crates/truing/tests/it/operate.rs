//! Tests of the service as an operator runs it. The tests use the real program with a configuration file,
//! real signals, a second process, and the commands that inspect the service.

mod again;
mod app;
mod bombs;
mod captured;
mod documents;
mod dry_run;
mod from;
mod gone;
mod keys;
mod kill;
mod large;
mod linters;
mod many;
mod mcp;
mod model;
mod money;
mod outside;
mod publish;
mod pull;
mod retract;
mod runtime;
mod status;
mod stopping;
mod tools;
mod traced;
mod visible;
mod workflow;

use crate::support::{claude, otlp, watch};

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use truing_fakes::forge::{FakeRepo, ForgeFault, ForgeFaultKind, NewPull, PullView, UnreliableNetwork};
use truing_fakes::repo::CommitBuilder;

use crate::support::home::{Home, Ran, Server};
use watch::Watched;

const TOKEN: &str = "operate-token-canary";
const SECRET: &str = "operate-secret-canary";
/// Maximum wait for a condition on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A home folder with a configuration, and the fake forge that the configuration names.
struct Site {
    home: Home,
    forge: Watched,
    repo: FakeRepo,
}

impl Site {
    async fn new() -> Self {
        Self::with_options(truing_fakes::forge::FakeForgeOptions::default()).await
    }

    /// Creates a site whose fake forge has these options.
    async fn with_options(options: truing_fakes::forge::FakeForgeOptions) -> Self {
        let forge = Watched::start(options).await;
        forge.register_token(TOKEN, "truing[bot]");
        let repo = forge
            .create_repository("o", "r", CommitBuilder::new("begin").write("a.py", "a = 1\n"))
            .await
            .unwrap();
        let url = forge.base_url();
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\npoll = \"50ms\"\n[forge.github]\napi_url \
             = \"{url}\"\ngit_url = \"{url}\"\nsettle = \"300ms\"\n[review]\nexisting = \"review\"\ndebounce \
             = \"100ms\"\nmax_wait = \"1s\"\nquiet = \"1s\"\nbackoff = \"200ms\"\nbackoff_max \
             = \"400ms\"\nattempts = 2\n"
        );
        let home = Home::with_config(&config)
            .with_variable("GITHUB_TOKEN", TOKEN)
            .with_variable("GITHUB_WEBHOOK_SECRET", SECRET);
        Self { home, forge, repo }
    }

    /// Restores the default: the service ignores pull requests that were open before the service first saw
    /// the repository.
    fn ignore_existing_pulls(self) -> Self {
        self.home.replace_in_config("existing = \"review\"\n", "");
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.home.command(arguments)
    }

    /// Returns a command whose process may open at most this number of files, and cannot raise this limit.
    fn command_with_files(&self, files: u32, arguments: &[&str]) -> Command {
        let command = self.command(arguments);
        let mut limited = Command::new("sh");
        limited.arg("-c").arg(format!("ulimit -n {files} && exec \"$0\" \"$@\""));
        limited.arg(command.get_program()).args(command.get_args()).env_clear();
        limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited.current_dir(self.home.path()).stdin(Stdio::null());
        limited
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.home.run(arguments)
    }

    /// Starts the service, and reads its address from the output.
    fn serve(&self) -> Server {
        self.serve_with(&["serve"])
    }

    fn serve_with(&self, arguments: &[&str]) -> Server {
        self.serve_by(&mut self.command(arguments))
    }

    /// Starts the service with this command.
    fn serve_by(&self, command: &mut Command) -> Server {
        self.home.serve_by(command, &self.forge, SECRET)
    }

    async fn open(&self, branch: &str) -> u64 {
        self.repo
            .push(branch, CommitBuilder::new("debug").write("a.py", "a = 1\nbreakpoint()\n"))
            .await
            .unwrap();
        self.repo.open_pull(NewPull::from_branch(branch)).await.unwrap()
    }

    async fn deliver(&self) -> Vec<u16> {
        self.forge.deliver_all(UnreliableNetwork::default()).await.unwrap()
    }

    async fn wait_until(&self, number: u64, label: &str, condition: impl Fn(&PullView) -> bool) -> PullView {
        let deadline = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        loop {
            look.tick().await;
            let view = self.repo.pull(number).await.unwrap();
            if condition(&view) {
                return view;
            }
            assert!(Instant::now() < deadline, "{label}: {view:#?}");
        }
    }

    /// Waits until `slots list` fulfils a condition.
    async fn wait_until_slots(&self, label: &str, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            let ran = self.run(&["slots", "list", "--format", "json"]);
            let slots: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
            if condition(&slots) {
                return slots;
            }
            assert!(Instant::now() < deadline, "{label}: {slots:#?}");
        }
    }
}

/// Joins the words of a text with single spaces, which removes line breaks and indentation.
fn unwrap_lines(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_reviewed(view: &PullView) -> bool {
    // A GitHub App sets a check run instead of a status.
    let told = view.statuses.contains_key(&view.head) || view.checks.iter().any(|run| run.sha == view.head);
    told && view.conversation_comments().count() == 1 && view.inline_comments().count() == 1
}

fn database(home: &Path) -> std::path::PathBuf {
    home.join(".local/state/truing/truing.db")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_leads_to_a_review_and_the_commands_tell_of_it() {
    let site = Site::new().await;
    let server = site.serve();
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    let view = site.wait_until(number, "reviewed", is_reviewed).await;
    assert_eq!(view.statuses[&view.head].last().unwrap().state, "failure", "a P1 finding blocks");

    let url = format!("{}/o/r/pull/{number}", site.forge.base_url());
    site.wait_until_slots("served", |slots| slots.iter().all(|slot| slot["state"] != "leased")).await;
    let id = site.repo.id().await.unwrap();
    let key = format!("pr/github/{id}/{number}");
    for target in [url.as_str(), "o/r#1", "o/r/1", &key] {
        let reason = site.run(&["why", target]);
        assert_eq!(reason.exit, 0, "{reason:?}");
        assert!(reason.out.contains("reviewed at") && reason.out.contains("leased"), "{}", reason.out);
        // Every command that accepts a pull request accepts it in each of these forms.
        let review = site.run(&["review", "--pr", target]);
        assert!(review.exit == 1 && review.out.contains("(o/r#1)"), "{target}: {review:?}");
        let converge = site.run(&["converge", "--dry-run", target]);
        assert!(
            !converge.err.contains("bad_target") && !converge.err.contains("there is no such folder"),
            "{converge:?}"
        );
    }
    let reason: Value = serde_json::from_str(&site.run(&["why", "o/r#1", "--format", "json"]).out).unwrap();
    assert_eq!(reason["last_outcome"]["outcome"]["kind"], "reviewed");

    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    assert_eq!(status.code(), Some(0), "{log}");
    for secret in [TOKEN, SECRET] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_and_named_and_a_killed_one_leaves_no_lock() {
    let site = Site::new().await;
    let first = site.serve();
    let second = site.run(&["serve"]);
    assert_eq!(second.exit, 4, "{second:?}");
    assert!(second.err.contains(&first.child.id().to_string()), "{}", second.err);

    // The server is killed before it has reviewed the pull request. Another server with the same database
    // does the review.
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    first.signal("-KILL");
    first.wait_for_end();
    let again = site.serve();
    let view = site.wait_until(number, "reviewed after the kill", is_reviewed).await;
    assert_eq!(view.inline_comments().count(), 1);
    again.signal("-INT");
    assert_eq!(again.wait_for_end().0.code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_idle_connections_takes_no_runs_files() {
    const FILES: u32 = 128;
    let site = Site::new().await;
    let server = site.serve_by(&mut site.command_with_files(FILES, &["serve"]));
    let host = server.url.strip_prefix("http://").unwrap();
    let idle: Vec<_> = (0..2 * FILES).map(|_| std::net::TcpStream::connect(host).unwrap()).collect();
    let number = site.open("one").await;
    // The server gets no webhook. Turning the kill switch on and off makes it sweep.
    for turn in ["on", "off"] {
        assert_eq!(site.run(&["kill", turn]).exit, 0);
    }
    site.wait_until(number, "reviewed", is_reviewed).await;
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_slot_says_so_and_an_operator_brings_it_back() {
    let site = Site::new().await;
    let _server = site.serve();
    site.forge.revoke_token(TOKEN);
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    let slots =
        site.wait_until_slots("parked", |slots| slots.iter().any(|slot| slot["why"] == "parked")).await;
    let slot = &slots[0];
    assert_eq!(
        (&slot["state"], &slot["name"], &slot["attempts"]),
        (&"held".into(), &"o/r#1".into(), &2.into())
    );
    let reason = site.run(&["why", "o/r#1"]);
    assert!(unwrap_lines(&reason.out).contains("does not accept the token"), "{}", reason.out);
    assert!(reason.out.lines().all(|line| line.chars().count() <= 80), "{}", reason.out);
    assert!(reason.out.contains("truing --config truing.toml queue retry pr/github/"), "{}", reason.out);
    let report = site.run(&["report"]).out;
    assert!(
        report.starts_with("2 reviews ended from ") && report.contains("\n  failed           2  "),
        "{report}"
    );
    let report: Value = serde_json::from_str(&site.run(&["report", "--format", "json"]).out).unwrap();
    assert_eq!((&report["totals"]["runs"], &report["totals"]["kinds"]["failed"]), (&2.into(), &2.into()));

    site.forge.register_token(TOKEN, "truing[bot]");
    assert_eq!(site.run(&["slots", "retry", slot["key"].as_str().unwrap()]).exit, 0);
    site.wait_until(number, "reviewed after the retry", is_reviewed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_could_only_not_be_published_is_shown_after_the_retry() {
    let site = Site::new().await;
    let server = site.serve();
    let refused = ForgeFaultKind::Status(403, None);
    site.forge
        .add_fault(ForgeFault::on_call("POST", "/repos/{owner}/{repo}/statuses/{sha}", refused).times(1000));
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until_slots("parked", |slots| slots.iter().any(|slot| slot["why"] == "parked")).await;
    status::wait_for_status(&site, &server, 0, "parked: 1 entry of the queue; ").await;
    let said = site.repo.pull(number).await.unwrap();
    assert!(
        said.conversation_comments().any(|comment| comment.body.contains("temporarily unavailable")),
        "{said:#?}"
    );

    site.forge.clear_faults();
    assert_eq!(site.run(&["slots", "retry", "o/r#1"]).exit, 0);
    let view = site.wait_until(number, "reviewed", is_reviewed).await;
    assert!(view.conversation_comments().all(|comment| comment.body.contains("1 finding")), "{view:#?}");
    assert_eq!(view.statuses[&view.head].last().unwrap().state, "failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_slot_is_forgotten_and_the_next_event_makes_it_anew() {
    let site = Site::new().await;
    let _server = site.serve();
    site.forge.revoke_token(TOKEN);
    let number = site.open("one").await;
    site.deliver().await;
    site.wait_until_slots("parked", |slots| slots.iter().any(|slot| slot["why"] == "parked")).await;
    assert_eq!(site.run(&["slots", "drop", "o/r#1"]).exit, 0);
    site.wait_until_slots("gone", <[Value]>::is_empty).await;
    site.forge.register_token(TOKEN, "truing[bot]");
    site.repo.push("one", CommitBuilder::new("more").write("b.py", "b = 1\n")).await.unwrap();
    site.deliver().await;
    site.wait_until(number, "reviewed", is_reviewed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_head_is_recorded_as_skipped_so_that_no_sweep_takes_it_up() {
    let site = Site::new().await;
    let _server = site.serve();
    let refused = ForgeFaultKind::Status(403, None);
    site.forge
        .add_fault(ForgeFault::on_call("POST", "/repos/{owner}/{repo}/statuses/{sha}", refused).times(1000));
    site.open("one").await;
    site.deliver().await;
    site.wait_until_slots("parked", |slots| slots.iter().any(|slot| slot["why"] == "parked")).await;
    assert_eq!(site.run(&["slots", "drop", "o/r#1"]).exit, 0);
    let reason: Value = serde_json::from_str(&site.run(&["why", "o/r#1", "--format", "json"]).out).unwrap();
    let outcome = &reason["last_outcome"]["outcome"];
    assert_eq!((&outcome["kind"], &outcome["reason"]), (&"skipped".into(), &"dropped by an operator".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_unknown_pull_request_a_review_is_suggested_but_not_to_whoever_drops_it() {
    let site = Site::new().await;
    let commands: [(&[&str], bool); 4] = [
        (&["why", "o/r#99"], true),
        (&["queue", "show", "o/r#99"], true),
        (&["queue", "retry", "o/r#99"], true),
        (&["queue", "drop", "o/r#99"], false),
    ];
    for (command, suggests) in commands {
        let ran = site.run(command);
        assert_eq!(ran.exit, 2, "{ran:?}");
        let told = unwrap_lines(&ran.err);
        assert!(told.contains("no record of `o/r#99`"), "{told}");
        assert_eq!(told.contains("reviews it now"), suggests, "{command:?} {told}");
    }
    assert_eq!(site.run(&["kill", "on", "--reason", "an incident"]).exit, 0);
    let errors = unwrap_lines(&site.run(&["why", "o/r#99"]).err);
    assert!(errors.contains("the kill switch is on") && !errors.contains("reviews it now"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_has_is_not_dropped_and_the_log_says_so_in_words() {
    let site = Site::new().await;
    let _server = site.serve();
    site.forge.add_fault(ForgeFault::on_call(
        "GET",
        "/repos/{owner}/{repo}/pulls/{number}",
        ForgeFaultKind::HeldRequest,
    ));
    site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until_slots("leased", |slots| slots.iter().any(|slot| slot["state"] == "leased")).await;
    let refused = site.run(&["queue", "drop", "o/r/1"]);
    assert_eq!(refused.exit, 4, "{refused:?}");
    assert!(
        refused.err.contains("error: o/r#1: a worker is processing the slot (lease until 20"),
        "{refused:?}"
    );
    let log = unwrap_lines(&site.run(&["log"]).out);
    assert!(log.contains("queue drop refused") && log.contains("(a worker is processing the slot)"), "{log}");
    assert!(!log.contains("Millis"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_before_anything_is_served() {
    let site = Site::new().await;
    let without = |name: &str| Ran::from(site.command(&["serve"]).env_remove(name).output().unwrap());
    for name in ["GITHUB_TOKEN", "GITHUB_WEBHOOK_SECRET"] {
        let ran = without(name);
        assert_eq!(ran.exit, 2, "{ran:?}");
        assert!(ran.err.contains(name) && ran.err.contains("hint:"), "{}", ran.err);
    }
    std::fs::write(site.home.path().join("empty.toml"), "").unwrap();
    let none = Ran::from(site.command(&["serve", "--config", "empty.toml"]).output().unwrap());
    assert_eq!((none.exit, none.err.contains("[forge.github]")), (2, true), "{none:?}");
    let config = std::fs::read_to_string(site.home.path().join("truing.toml")).unwrap();
    std::fs::write(site.home.path().join("pack.toml"), config + "[rules]\npacks = [\"cor\"]\n").unwrap();
    let pack = Ran::from(site.command(&["serve", "--config", "pack.toml"]).output().unwrap());
    assert_eq!((pack.exit, pack.err.contains("did you mean `core`?")), (2, true), "{pack:?}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let busy = site.run(&["serve", "--listen", &address]);
    assert_eq!((busy.exit, busy.err.contains(&address)), (3, true), "{busy:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_makes_nothing_and_an_unknown_target_is_named() {
    let site = Site::new().await;
    assert_eq!(site.run(&["slots", "list"]).exit, 0);
    assert_eq!(site.run(&["slots", "list", "--format", "json"]).out, "[]\n");
    for arguments in
        [["why", "o/r#9"].as_slice(), &["slots", "show", "pr/github/1/9"], &["slots", "retry", "x"]]
    {
        let ran = site.run(arguments);
        assert_eq!(ran.exit, 2, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("no record of"), "{}", ran.err);
    }
    assert!(!database(site.home.path()).exists(), "no database was made");
    std::fs::create_dir_all(database(site.home.path()).parent().unwrap()).unwrap();
    std::fs::write(database(site.home.path()), "this is no database, but it is long enough to look at")
        .unwrap();
    let broken = site.run(&["slots", "list"]);
    assert_eq!((broken.exit, broken.err.contains("truing.db")), (3, true), "{broken:?}");
}
