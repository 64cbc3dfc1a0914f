//! Tests of the kill switch as operators use it: from another process, with and without a server, and under
//! load.

use std::process::Output;

use super::*;
use crate::support::home::wait_until;

impl Site {
    fn run_as(&self, name: &str, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).env("LOGNAME", name).output().unwrap())
    }

    fn status(&self) -> Value {
        let ran = self.run(&["kill", "status", "--format", "json"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    /// Returns the audit log, newest first, as `actor: action detail`.
    fn read_audit_log(&self) -> Vec<String> {
        let lines: Value = serde_json::from_str(&self.run(&["log", "--format", "json"]).out).unwrap();
        let word = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let told = |line: &Value| {
            format!("{}: {} {}", word(line, "actor"), word(line, "action"), word(line, "detail"))
        };
        lines.as_array().unwrap().iter().map(told).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_cannot_be_turned_the_other_way_to_stop_is_told() {
    let site = Site::new().await;
    std::fs::create_dir_all(database(site.home.path()).parent().unwrap()).unwrap();
    std::fs::write(database(site.home.path()), "this is no database, but it is long enough to look at")
        .unwrap();
    let ran = site.run(&["kill", "on"]);
    assert_eq!(
        (ran.exit, ran.err.contains("hint: until the switch can be turned on, stop the service itself")),
        (3, true),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_turned_without_a_server_and_without_a_database() {
    let site = Site::new().await;
    let off = serde_json::json!({
        "enabled": false, "since": null, "by": null, "reason": null, "mode": null, "repos": []
    });
    assert_eq!(site.status(), off);
    assert_eq!(site.run(&["kill", "off"]).out, "The kill switch is off.\n");
    assert_eq!(site.run(&["log"]).out, "no manual changes are recorded\n");
    assert!(!database(site.home.path()).exists(), "looking makes no database");

    let on = site.run_as("ada", &["kill", "on", "--reason", "a \u{1b}[31mstorm\n", "--mode", "stop"]);
    assert_eq!(on.exit, 0, "{on:?}");
    assert!(on.out.contains("by ada") && on.out.contains("reason    a [31mstorm"), "{}", on.out);
    assert!(on.out.lines().all(|line| line.len() <= 80), "{}", on.out);
    let first = site.status();
    assert_eq!(
        (&first["enabled"], &first["by"], &first["reason"], &first["mode"]),
        (&true.into(), &"ada".into(), &"a [31mstorm".into(), &"stop".into())
    );

    // The second call changes the reason, but not the time, the person and the mode.
    assert_eq!(site.run_as("bob", &["kill", "on", "--reason", "two storms"]).exit, 0);
    let second = site.status();
    assert_eq!(
        (&second["since"], &second["by"], &second["mode"]),
        (&first["since"], &first["by"], &first["mode"])
    );
    assert_eq!(second["reason"], "two storms");
    for _ in 0..2 {
        assert_eq!(site.run_as("bob", &["kill", "off"]).exit, 0);
    }
    assert_eq!(site.status(), off);
    assert_eq!(
        site.read_audit_log(),
        ["bob: kill off ", "bob: kill on mode stop: two storms", "ada: kill on mode stop: a [31mstorm"]
    );
    let long = "the reviewer repeats itself on every pull request ".repeat(4);
    let told = site.run_as("ada", &["kill", "on", "--reason", &long]).out + &site.run(&["log"]).out;
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_variable_the_name_of_the_account_is_written_down_and_bad_arguments_change_nothing() {
    let site = Site::new().await;
    for wrong in [
        ["kill", "on", "--mode", "now"].as_slice(),
        &["kill"],
        &["kill", "maybe"],
        &["kill", "on", "--repo", "shop"],
    ] {
        assert_eq!(site.run(wrong).exit, 2, "{wrong:?}");
    }
    assert!(!database(site.home.path()).exists());
    let nameless = site.command(&["kill", "on"]).env_remove("LOGNAME").env_remove("USER").output().unwrap();
    let name = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let name = name.trim();
    assert!(Ran::from(nameless).out.contains(&format!("by {name}")));
    assert_eq!(site.run_as(" ", &["kill", "off"]).exit, 0);
    assert!(site.read_audit_log()[0].starts_with(&format!("{name}: ")), "{:?}", site.read_audit_log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_waits_through_a_kill_minus_nine_and_goes_on_at_off() {
    let site = Site::new().await;
    let server = site.serve();
    site.forge.revoke_token(TOKEN);
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until_slots("parked", |slots| slots.iter().any(|slot| slot["why"] == "parked")).await;
    site.forge.register_token(TOKEN, "truing[bot]");

    assert_eq!(site.run_as("ada", &["kill", "on", "--reason", "a storm"]).exit, 0);
    let retry = site.run_as("bob", &["slots", "retry", "o/r#1"]);
    assert_eq!(retry.exit, 0, "{retry:?}");
    assert!(
        retry.err.contains("the kill switch is on")
            && retry.err.contains("truing --config truing.toml kill off"),
        "{}",
        retry.err
    );
    assert_eq!(site.read_audit_log()[0], "bob: queue retry o/r#1");
    let held = |reason: &Ran| {
        unwrap_lines(&reason.out).contains("KillSwitchEngaged: held back (mode finish, by ada: a storm)")
    };
    let told = async |site: &Site| {
        let deadline = Instant::now() + PATIENCE;
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            let reason = site.run(&["why", "o/r#1"]);
            if held(&reason) {
                return reason;
            }
            assert!(Instant::now() < deadline, "{}", reason.out);
        }
    };
    let reason = told(&site).await;
    assert!(reason.out.contains("unblock   truing --config truing.toml kill off"), "{}", reason.out);
    let reason: Value = serde_json::from_str(&site.run(&["why", "o/r#1", "--format", "json"]).out).unwrap();
    assert_eq!((&reason["kill_switch"]["enabled"], &reason["state"]), (&true.into(), &"waiting".into()));

    server.signal("-KILL");
    server.wait_for_end();
    let server = site.serve();
    assert_eq!(site.status()["enabled"], true, "it outlives the server");
    told(&site).await;
    assert!(
        site.repo
            .pull(number)
            .await
            .unwrap()
            .conversation_comments()
            .next()
            .is_none_or(|said| said.body.contains("unavailable"))
    );
    assert_eq!(site.run_as("ada", &["kill", "off"]).exit, 0);
    site.wait_until(number, "reviewed after off", is_reviewed).await;
    server.signal("-TERM");
    let (_, log) = server.wait_for_end();
    let engaged = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let engaged: Vec<Value> = engaged.filter(|line| line.to_string().contains("KillSwitchEngaged")).collect();
    assert_eq!(engaged.len(), 1, "once a held-back run: {engaged:#?}");
    assert!(engaged[0].to_string().contains("review_id"), "{engaged:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_turned_while_the_server_is_under_load() {
    let site = Site::new().await;
    let server = site.serve();
    let mut numbers = Vec::new();
    for index in 0..12 {
        numbers.push(site.open(&format!("branch-{index}")).await);
    }
    let turns: Vec<(&str, Output)> = std::thread::scope(|scope| {
        let commands = scope.spawn(|| {
            let turns = ["on", "off"].into_iter().cycle().take(10);
            turns.map(|turn| (turn, site.command(&["kill", turn]).output().unwrap())).collect()
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for status in site.forge.deliver_all(UnreliableNetwork::default()).await.unwrap() {
                    assert!([202, 503].contains(&status), "{status}");
                }
            });
        });
        commands.join().unwrap()
    });
    for (turn, output) in turns {
        let ran = Ran::from(output);
        assert_eq!(ran.exit, 0, "{turn}: {ran:?}");
    }
    assert_eq!(site.status()["enabled"], false);
    // The forge does not repeat the rejected webhooks. A later push to each branch causes new ones.
    for index in 0..12 {
        site.repo
            .push(&format!("branch-{index}"), CommitBuilder::new("more").write("c.py", "c = 1\n"))
            .await
            .unwrap();
    }
    site.deliver().await;
    for number in numbers {
        site.wait_until(number, "reviewed", is_reviewed).await;
    }
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_of_a_repository_holds_it_alone_until_it_is_off() {
    let site = Site::new().await;
    let begin = CommitBuilder::new("begin").write("a.py", "a = 1\n");
    let other = site.forge.create_repository("o", "other", begin).await.unwrap();
    let server = site.serve();
    // The server does not know the repository yet. The name is in another case, which forges ignore.
    let on = site.run_as("ada", &["kill", "on", "--repo", "O/R", "--reason", "a migration"]);
    assert_eq!(on.exit, 0, "{on:?}");
    for told in [
        "The kill switch is off.",
        "The kill switch of O/R is on, since",
        "reason    a migration",
        "unblock   truing --config truing.toml kill off --repo O/R",
    ] {
        assert!(on.out.contains(told), "{told}: {}", on.out);
    }
    let status = site.status();
    assert_eq!((&status["enabled"], &status["mode"]), (&false.into(), &Value::Null));
    let shown = unwrap_lines(&site.run(&["kill", "status"]).out);
    assert!(shown.contains(&format!("Its store: {}", database(site.home.path()).display())), "{shown}");
    let [its] = status["repos"].as_array().unwrap().as_slice() else { panic!("{status}") };
    assert_eq!(
        (&its["name"], &its["by"], &its["reason"]),
        (&"O/R".into(), &"ada".into(), &"a migration".into())
    );

    let number = site.open("one").await;
    other.push("one", CommitBuilder::new("debug").write("a.py", "a = 1\nbreakpoint()\n")).await.unwrap();
    let its = other.open_pull(NewPull::from_branch("one")).await.unwrap();
    let mut answers = site.deliver().await;
    answers.sort_unstable();
    assert_eq!(answers, [202, 503], "only the delivery of the other one is taken");
    let reviewed = async || is_reviewed(&other.pull(its).await.unwrap());
    wait_until("the other one is reviewed", reviewed).await;
    let by_hand = site.run(&["review", "--pr", "o/r#1", "--publish"]);
    assert_eq!(by_hand.exit, 4, "{by_hand:?}");
    let told = unwrap_lines(&by_hand.err);
    assert!(told.contains("the kill switch of O/R is on since"), "{told}");
    assert!(told.contains("truing --config truing.toml kill off --repo O/R"), "{told}");
    assert_eq!(site.run(&["review", "--pr", "o/other#1"]).exit, 1, "it has a finding");

    // Turning off the global switch does not affect the switch of a repository.
    let off = site.run_as("ada", &["kill", "off"]);
    assert!(off.err.contains("the switches of these repositories stay on: O/R"), "{off:?}");
    let not_on = site.run_as("ada", &["kill", "off", "--repo", "o/other"]);
    assert_eq!((not_on.exit, not_on.err.contains("the kill switch of o/other was not on")), (0, true));
    assert!(
        not_on.out.starts_with("The kill switch of o/other is off. These kill switches stay on:\n"),
        "{not_on:?}"
    );
    assert!(not_on.out.contains("The kill switch of O/R is on, since"), "{not_on:?}");
    let view = site.repo.pull(number).await.unwrap();
    assert!(view.statuses.is_empty() && view.conversation_comments().count() == 0, "{view:#?}");

    let off = site.run_as("bob", &["kill", "off", "--repo", "o/r"]);
    assert_eq!(
        (off.exit, off.out.as_str()),
        (0, "The kill switch of o/r is off, and no other kill switch is on.\n")
    );
    site.wait_until(number, "found by the sweep at its end", is_reviewed).await;
    assert_eq!(site.status()["repos"], serde_json::json!([]));
    assert_eq!(site.read_audit_log(), ["bob: kill off ", "ada: kill on mode finish: a migration"]);
    let mistyped = site.run_as("ada", &["kill", "on", "--repo", "o/othr"]);
    assert_eq!(mistyped.exit, 0, "{mistyped:?}");
    let told = unwrap_lines(&mistyped.err);
    assert!(told.contains("warning: no record of o/othr; known repositories: o/other, o/r"), "{told}");
    assert_eq!(site.status()["repos"][0]["name"], "o/othr", "it is on all the same");
    assert!(!site.run_as("ada", &["kill", "on", "--repo", "O/Other"]).err.contains("warning"));
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_where_the_switch_of_the_repository_is_on_says_so_and_how_to_go_on() {
    let site = Site::new().await;
    let server = site.serve();
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    site.wait_until(number, "reviewed", is_reviewed).await;
    site.wait_until_slots("served", |slots| slots.iter().all(|slot| slot["state"] != "leased")).await;
    assert_eq!(site.run_as("ada", &["kill", "on", "--repo", "o/r", "--reason", "a migration"]).exit, 0);
    site.repo.push("one", CommitBuilder::new("more").write("c.py", "c = 1\n")).await.unwrap();
    assert_eq!(site.deliver().await, [503]);
    let retry = site.run_as("bob", &["slots", "retry", "o/r#1"]);
    assert!(unwrap_lines(&retry.err).contains("the kill switch of o/r is on"), "{retry:?}");
    let event = "KillSwitchEngaged: held back by the kill switch of o/r until someone runs `truing kill \
        off --repo o/r` (mode finish, by ada: a migration)";
    let is_told = async || unwrap_lines(&site.run(&["why", "o/r#1"]).out).contains(event);
    wait_until("it is told", is_told).await;
    let reason = site.run(&["why", "o/r#1"]).out;
    assert!(reason.contains("unblock   truing --config truing.toml kill off --repo o/r"), "{reason}");
    assert!(unwrap_lines(&reason).contains("the kill switch of o/r is on, since"), "{reason}");
    assert_eq!(site.run_as("ada", &["kill", "off", "--repo", "o/r"]).exit, 0);
    let again = |slots: &[Value]| slots.iter().all(|slot| slot["state"] == "idle" || slot["state"] == "held");
    site.wait_until_slots("it goes on", again).await;
    let view = site.repo.pull(number).await.unwrap();
    assert!(view.statuses.contains_key(&view.head), "{view:#?}");
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
}

/// Starts a receiver of chat webhooks. Returns its URL, and a channel with the received texts.
async fn start_chat_receiver() -> (String, tokio::sync::mpsc::Receiver<String>) {
    let (tell, texts) = tokio::sync::mpsc::channel(64);
    let take = move |axum::Json(body): axum::Json<Value>| {
        tell.try_send(body["text"].as_str().unwrap().to_owned()).unwrap();
        std::future::ready(())
    };
    let routes = axum::Router::new().route("/services/hook-canary", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/services/hook-canary", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, routes).into_future());
    (url, texts)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_people_on_call_are_told_and_the_webhooks_url_is_shown_nowhere() {
    let site = Site::new().await;
    let (url, mut texts) = start_chat_receiver().await;
    let file = site.home.path().join("truing.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{config}[notify]\nwebhook = \"{url}\"\n")).unwrap();
    let shown = site.run(&["config", "show"]).out;
    assert!(shown.contains("notify.webhook = \"http://127.0.0.1:") && !shown.contains("canary"), "{shown}");

    // The switch is turned on while no server runs. The next server sends the notice.
    assert_eq!(site.run_as("ada", &["kill", "on", "--reason", "a storm"]).exit, 0);
    let server = site.serve();
    let mut next = async || tokio::time::timeout(PATIENCE, texts.recv()).await.unwrap().unwrap();
    assert!(next().await.starts_with("Truing: The kill switch is on, set by ada (mode finish: a storm)"));
    assert_eq!(site.run_as("bob", &["kill", "off"]).exit, 0);
    assert!(next().await.starts_with("Truing: The kill switch is off, set by bob"));
    site.forge.revoke_token(TOKEN);
    site.open("one").await;
    assert_eq!(site.deliver().await, [202]);
    let parked = next().await;
    assert!(parked.starts_with("Truing: o/r#1 is parked after 2 failed attempts."), "{parked}");
    site.wait_until_slots("parked", |slots| slots.iter().any(|slot| slot["why"] == "parked")).await;

    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("told: ") && !log.contains("canary"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_cannot_be_used_is_told_before_anything_is_served() {
    let site = Site::new().await;
    for (name, value) in [
        ("TRUING_NOTIFY__WEBHOOK", "http://example.org/canary"),
        ("TRUING_NOTIFY__WEBHOOK__ENV", "NOT_SET"),
        ("TRUING_NOTIFY__SMTP", "smtps://mail.example.org"),
        ("TRUING_NOTIFY__SMTP", "smtps://me@mail.example.org?to=a@b.test"),
    ] {
        let ran = Ran::from(site.command(&["serve"]).env(name, value).output().unwrap());
        assert_eq!(ran.exit, 2, "{name}={value}: {ran:?}");
        assert!(
            ran.err.contains("notify.") && ran.err.contains("hint:") && !ran.err.contains("canary"),
            "{}",
            ran.err
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_refused_while_it_is_on_and_the_service_stays_well() {
    let site = Site::new().await;
    let server = site.serve();
    assert_eq!(site.run(&["kill", "on"]).exit, 0);
    let number = site.open("one").await;
    assert_eq!(site.deliver().await, [503]);
    assert_eq!(site.run(&["slots", "list", "--format", "json"]).out, "[]\n");
    assert_eq!(site.run(&["kill", "off"]).exit, 0);
    site.repo.push("one", CommitBuilder::new("more").write("c.py", "c = 1\n")).await.unwrap();
    assert_eq!(site.deliver().await, [202]);
    site.wait_until(number, "reviewed", is_reviewed).await;
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
}
