//! Tests of a running service's metrics, health checks, log, reports and backups. Also runs the commands in
//! the runbooks literally.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::*;

/// Sends a `GET` of a path, and returns the status and the body.
pub(crate) fn http_get(url: &str, path: &str) -> (u16, String) {
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), format!("{head}\n\n{body}"))
}

impl Server {
    /// Waits until the metrics contain this line, and returns all metrics.
    async fn wait_for_metric(&self, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            let (status, text) = http_get(&self.url, "/metrics");
            assert_eq!(status, 200);
            if text.lines().any(|told| told == line) {
                return text;
            }
            assert!(Instant::now() < deadline, "{line} is not in\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_happened() {
    let site = Site::new().await;
    let server = site.serve();
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until(number, "reviewed", is_reviewed).await;
    // The service updates this metric after all others, so the test waits for its value.
    let text = server.wait_for_metric("truing_run_seconds_count 1").await;
    assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");
    for line in [
        "truing_runs_total{loop=\"review\",outcome=\"reviewed\"} 1",
        "truing_webhooks_total{result=\"accepted\"} 1",
        "truing_webhook_seconds_count 1",
        "truing_store_up 1",
        "truing_kill_switch_on 0",
        "truing_store_write_failures_total 0",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
    }
    // If the run took longer than the quiet time, the slot is due for a moment, until the scheduler has
    // handled it.
    server.wait_for_metric("truing_oldest_due_seconds 0").await;
    let figure = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    };
    assert!(figure("truing_store_commit_seconds_count") >= 5.0);
    assert!(figure("truing_run_seconds_sum") > 0.0);
    assert!(
        figure("truing_forge_calls_left{forge=\"github\"}")
            < figure("truing_forge_calls_limit{forge=\"github\"}")
    );
    assert!(figure("process_resident_memory_bytes") > 1e6 && figure("process_cpu_seconds_total") > 0.0);
    assert!(figure("truing_scheduler_age_seconds") < 30.0);

    assert_eq!(site.run(&["kill", "on"]).exit, 0);
    server.wait_for_metric("truing_kill_switch_on 1").await;
    assert_eq!(http_get(&server.url, "/healthz").0, 200);
    assert_eq!(http_get(&server.url, "/readyz").0, 200);
}

/// The webhooks' address is public, so the operator may configure a different address for metrics.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_an_address_of_their_own_if_one_is_configured() {
    let site = Site::new().await;
    let mut command = site.command(&["serve", "--listen", "0.0.0.0:0"]);
    command.env("TRUING_SERVER__METRICS_LISTEN", "127.0.0.1:0").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut server = Server::from_child(child);
    let mut said = |what: &str| {
        let line = lines.by_ref().find_map(|line| line.split_once(what).map(|(_, rest)| rest.to_owned()));
        line.unwrap_or_else(|| panic!("no {what}"))
    };
    let (health, metrics) = (said("health: "), said("metrics: "));
    assert!(said("warning: ").starts_with("0.0.0.0:"), "the main address is reached from elsewhere");
    server.url = health;
    let main = server.url.replace("0.0.0.0", "127.0.0.1");
    assert_eq!((http_get(&main, "/healthz").0, http_get(&main, "/metrics").0), (200, 404));
    let (status, text) = http_get(&metrics, "/metrics");
    assert!(status == 200 && text.contains("truing_store_up 1"), "{text}");
    for path in ["/healthz", "/readyz", "/webhooks/github"] {
        assert_eq!(http_get(&metrics, path).0, 404, "{path}");
    }
    server.signal("-TERM");
    let drained = lines.count();
    assert!(server.child.wait().unwrap().success(), "{drained}");

    // The two addresses must not be equal.
    let mut command = site.command(&["serve", "--listen", "127.0.0.1:1"]);
    let same = Ran::from(command.env("TRUING_SERVER__METRICS_LISTEN", "127.0.0.1:1").output().unwrap());
    assert!(same.exit == 2 && same.err.contains("server.metrics_listen"), "{same:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_written_is_not_ready() {
    let site = Site::new().await;
    let server = site.serve();
    let url = server.url.as_str();
    assert_eq!(http_get(url, "/readyz").0, 200);
    let other = rusqlite::Connection::open(database(site.home.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let deadline = Instant::now() + PATIENCE;
    while http_get(url, "/readyz").0 != 503 {
        assert!(Instant::now() < deadline, "a store that another keeps locked is ready");
    }
    // The metrics can still be read.
    let (status, text) = http_get(url, "/metrics");
    assert!(status == 200 && text.contains("truing_store_up 1"), "{text}");
    drop(other);
    while http_get(url, "/readyz").0 != 200 {
        assert!(Instant::now() < deadline, "it does not come back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_finds_the_whole_story_of_a_run() {
    let site = Site::new().await;
    let server = site.serve_with(&["serve", "--verbose"]);
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until(number, "reviewed", is_reviewed).await;
    server.wait_for_metric("truing_run_seconds_count 1").await;
    server.signal("-TERM");
    let (_, log) = server.wait_for_end();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let leased = lines.iter().find(|line| line["message"] == "leased").unwrap();
    let (id, key) = (leased["review_id"].as_str().unwrap(), leased["key"].as_str().unwrap());
    assert!(key.starts_with("pr/github/"), "{leased}");
    let told = |line: &&Value| line["review_id"] == id;
    let story: Vec<&str> = lines.iter().filter(told).map(|line| line["message"].as_str().unwrap()).collect();
    let steps = [
        "leased",
        "the pull request was read from the forge",
        "fetched",
        "computed",
        "published",
        "the lease has ended",
    ];
    let mut at = story.iter();
    for step in steps {
        assert!(at.any(|line| line.starts_with(step)), "{step} is not where it should be in {story:#?}");
    }
    assert!(lines.iter().filter(told).all(|line| line["key"] == key), "{log}");
    let delivery = lines.iter().position(|line| line["message"] == "delivery accepted" && line["key"] == key);
    let first = lines.iter().position(|line| line["review_id"] == id);
    assert!(delivery.unwrap() < first.unwrap(), "the delivery comes first:\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_tells_of_a_review_and_of_none() {
    let site = Site::new().await;
    let empty = site.run(&["report", "--format", "json"]);
    assert_eq!(empty.exit, 0, "{empty:?}");
    let none: Value = serde_json::from_str(&empty.out).unwrap();
    assert_eq!((&none["totals"]["runs"], &none["outcomes"]), (&0.into(), &Value::Array(vec![])));
    let server = site.serve();
    let number = site.open("one").await;
    site.deliver().await;
    site.wait_until(number, "reviewed", is_reviewed).await;
    server.wait_for_metric("truing_run_seconds_count 1").await;

    let ran = site.run(&["report", "--since", "1h", "--loop", "review", "--format", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["totals"]["kinds"]["reviewed"], 1);
    assert_eq!(report["days"][0]["runs"], 1);
    let outcome = &report["outcomes"][0];
    assert_eq!((&outcome["schema"], &outcome["loop"]), (&"truing.outcome/1".into(), &"review".into()));
    assert_eq!((&outcome["name"], &outcome["highest_step"]["id"]), (&"o/r#1".into(), &"published".into()));
    let text = site.run(&["report"]);
    assert!(text.exit == 0 && text.out.contains("1 review ended from"), "{text:?}");
    assert!(text.out.lines().all(|line| line.chars().count() <= 80), "{}", text.out);
    assert!(!text.out.contains("jobs"), "there are none:\n{}", text.out);
    for format in ["csv", "markdown", "html"] {
        let ran = site.run(&["report", "--format", format]);
        assert!(ran.exit == 0 && ran.out.contains("o/r"), "{ran:?}");
    }
    for (arguments, exit) in
        [(["--since", "yesterday"], 2), (["--loop", "nonesuch"], 2), (["--format", "sarif"], 2)]
    {
        let ran = site.run(&[&["report"], arguments.as_slice()].concat());
        assert_eq!(ran.exit, exit, "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_restored_goes_on_and_posts_nothing_twice() {
    let site = Site::new().await;
    let server = site.serve();
    let number = site.open("one").await;
    site.deliver().await;
    let ran = site.run(&["backup", "copy.db"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(
        ran.out.contains("keep this key with the copy: ") && ran.out.contains("marker.key"),
        "{}",
        ran.out
    );
    let again = site.run(&["backup", "copy.db"]);
    assert!(again.exit == 2 && again.err.contains("Truing does not overwrite it"), "{again:?}");
    site.wait_until(number, "reviewed", is_reviewed).await;
    server.signal("-TERM");
    server.wait_for_end();

    // The backup was made before the review was posted, so the restored records do not contain the comments.
    let database = database(site.home.path());
    for name in ["truing.db-wal", "truing.db-shm"] {
        let _ = std::fs::remove_file(database.with_file_name(name));
    }
    std::fs::rename(site.home.path().join("copy.db"), &database).unwrap();
    let _server = site.serve();
    site.repo.push("one", CommitBuilder::new("more").write("a.py", "a = 1\n\nbreakpoint()\n")).await.unwrap();
    site.deliver().await;
    let view = site.wait_until(number, "reviewed again", is_reviewed).await;
    assert_eq!((view.conversation_comments().count(), view.inline_comments().count()), (1, 1), "{view:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_cannot_be_read_is_shown_with_what_to_do_and_stops_nobody() {
    let site = Site::new().await;
    let server = site.serve();
    let damage = |key: &str| {
        let connection = rusqlite::Connection::open(database(site.home.path())).unwrap();
        connection
            .execute("INSERT INTO slot (key, version, wakes_at, body) VALUES (?1, 1, 0, '{}')", [key])
            .unwrap();
    };
    damage("pr/github/1/99");
    server.wait_for_metric("truing_slots_unreadable 1").await;
    super::status::wait_for_status(&site, &server, 1, "unreadable: 1 entry of the queue; ").await;
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until(number, "reviewed", is_reviewed).await;

    let list = site.run(&["slots", "list"]);
    assert!(list.out.contains("pr/github/1/99: unreadable"), "{list:?}");
    assert!(list.err.contains("`truing --config truing.toml queue drop pr/github/1/99`"), "{list:?}");
    let dropped = site.run(&["slots", "drop", "pr/github/1/99"]);
    assert_eq!(dropped.exit, 0, "{dropped:?}");
    assert!(!site.run(&["slots", "list"]).out.contains("unreadable"));
    server.wait_for_metric("truing_slots_unreadable 0").await;
    let log = unwrap_lines(&site.run(&["log"]).out);
    assert!(log.contains("queue drop pr/github/1/99 (slot pr/github/1/99 cannot be read"), "{log}");
}

/// Returns the commands in the console blocks of a page.
fn page_commands(page: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if inside => commands.extend(line.strip_prefix("$ ").map(str::to_owned)),
            _ => {}
        }
    }
    commands
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_every_runbook_work_as_written() {
    let site = Site::new().await;
    let server = site.serve();
    site.open("one").await;
    site.deliver().await;
    let host = server.url.as_str();
    let bin = site.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_truing"), bin.join("truing")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let has_curl = Command::new("curl").arg("--version").output().is_ok();

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbooks");
    let mut pages: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let mut ran = 0;
    for page in &pages {
        // Before each runbook, the service must be idle and the kill switch off.
        assert_eq!(site.run(&["kill", "off"]).exit, 0);
        site.wait_until_slots("at rest", <[Value]>::is_empty).await;
        for command in page_commands(&std::fs::read_to_string(page).unwrap()) {
            if command.starts_with("curl") && !has_curl {
                eprintln!("skipped: curl cannot be started: {command}");
                continue;
            }
            let here = command.replace("owner/name#7", "o/r#1").replace("http://127.0.0.1:8080", host);
            let told = site.command(&[]);
            let output = Command::new("sh")
                .args(["-euc", &here])
                .env_clear()
                .envs(told.get_envs().filter_map(|(name, value)| Some((name, value?))))
                .env("PATH", &path)
                .env("TRUING_CONFIG", "truing.toml")
                .current_dir(site.home.path())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let ended = Ran::from(output);
            assert_eq!(ended.exit, 0, "{}: {command}\n{ended:?}", page.display());
            ran += 1;
        }
    }
    assert!(ran > 40, "{ran} commands of {} pages", pages.len());
}
