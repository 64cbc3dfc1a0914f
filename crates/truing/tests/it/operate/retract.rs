//! Tests of `truing retract`, which deletes comments after an incident: with and without a server, and while
//! the kill switch is on.

use super::*;

/// Opens two pull requests, lets a server review them, and stops the server. Returns the numbers of the pull
/// requests.
async fn create_two_reviewed(site: &Site) -> [u64; 2] {
    let server = site.serve();
    let numbers = [site.open("one").await, site.open("two").await];
    site.deliver().await;
    for number in numbers {
        site.wait_until(number, "reviewed", is_reviewed).await;
    }
    site.wait_until_slots("idle", |slots| slots.iter().all(|slot| slot["state"] == "idle")).await;
    server.signal("-TERM");
    server.wait_for_end();
    numbers
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_are_taken_back_while_the_kill_switch_stops_everything_else() {
    let site = Site::new().await;
    let [one, two] = create_two_reviewed(&site).await;
    site.repo.set_role("ada", "write").await.unwrap();
    let answered = site.repo.pull(two).await.unwrap().inline_comments().next().unwrap().id;
    site.repo.reply(two, "ada", answered, "Is that so?").await.unwrap();
    assert_eq!(site.run(&["kill", "on", "--mode", "stop"]).exit, 0);
    let shown =
        async || format!("{:?}", [site.repo.pull(one).await.unwrap(), site.repo.pull(two).await.unwrap()]);
    let before = shown().await;

    let tried = site.run(&["retract", "--since", "1h", "--dry-run"]);
    assert_eq!(tried.exit, 0, "{tried:?}");
    assert!(tried.out.contains("would retract 2 findings on 2 pull requests"), "{tried:?}");
    assert!(tried.out.contains("core/python-debugger") && tried.out.lines().all(|line| line.len() <= 80));
    assert_eq!(shown().await, before);

    let known = site.run(&["retract", "--since", "1h", "--rule", "core/focused-test", "--format", "json"]);
    assert_eq!((known.exit, json(&known)), (0, serde_json::json!([])), "{known:?}");
    for (flag, name, listed) in [
        ("--rule", "core/none*", "rules with comments since"),
        ("--repo", "o/other", "repositories with comments since"),
    ] {
        let unknown = site.run(&["retract", "--since", "1h", flag, name]);
        assert!(unknown.exit == 2 && unwrap_lines(&unknown.err).contains(listed), "{unknown:?}");
    }
    let report = || site.run(&["report", "--format", "json", "--since", "1d"]).out;
    let reported = |text: String| -> Value {
        let report: Value = serde_json::from_str(&text).unwrap();
        report["totals"].clone()
    };
    let posted = |text: String| -> [Value; 2] {
        let report: Value = serde_json::from_str(&text).unwrap();
        ["found", "posted"].map(|count| report["reviews"]["findings"][count].clone())
    };
    let totals = reported(report());
    assert!(totals.is_object(), "{}", report());
    assert_eq!(posted(report()), [2, 2], "{}", report());

    let done = site.run(&[
        "retract",
        "--since",
        "1h",
        "--rule",
        "core/*",
        "--reason",
        "a bad rule",
        "--format",
        "json",
    ]);
    assert_eq!(done.exit, 0, "{done:?}");
    let answers = json(&done);
    let deleted =
        |index: usize| (&answers[index]["pull_request"], answers[index]["deleted"].as_u64().unwrap());
    let counts: std::collections::BTreeMap<String, u64> =
        (0..2).map(|index| (deleted(index).0.as_str().unwrap().to_owned(), deleted(index).1)).collect();
    assert_eq!(counts, [(format!("o/r#{one}"), 1), (format!("o/r#{two}"), 0)].into(), "{answers:#}");

    let gone = site.repo.pull(one).await.unwrap();
    assert_eq!(gone.inline_comments().count(), 0, "{gone:#?}");
    let kept = site.repo.pull(two).await.unwrap();
    let comment = kept.inline_comments().find(|comment| comment.id == answered).unwrap();
    assert!(comment.resolved && comment.body.contains("a bad rule"), "{comment:#?}");
    for view in [&gone, &kept] {
        let summary = &view.conversation_comments().next().unwrap().body;
        assert!(summary.contains("nothing found") && summary.contains("1 finding dismissed"), "{summary}");
        assert_eq!(view.statuses[&view.head].last().unwrap().state, "success", "{view:#?}");
    }
    assert_eq!(reported(report()), totals, "a retraction is no run of its own");
    assert_eq!(posted(report()), [2, 1], "the comment that was taken back counts no more");
    let again = site.run(&["retract", "--since", "1h"]);
    assert!(
        unwrap_lines(&again.out).contains(
            "0 comments deleted; 1 kept because of replies (`--answered` also deletes these comments)"
        ),
        "{again:?}"
    );
    assert!(again.out.ends_with("retracted 1 finding on 1 pull request\n"), "{again:?}");
    let log = unwrap_lines(&site.run(&["log"]).out);
    assert!(log.contains("retract") && log.contains("a bad rule"), "{log}");

    // A server does not post the comments again, not even after the next push.
    assert_eq!(site.run(&["kill", "off"]).exit, 0);
    let server = site.serve();
    site.repo.push("one", CommitBuilder::new("more").write("b.py", "b = 1\n")).await.unwrap();
    site.deliver().await;
    let after = site
        .wait_until(one, "reviewed again", |view| {
            view.head != gone.head && view.statuses.contains_key(&view.head)
        })
        .await;
    assert_eq!(after.inline_comments().count(), 0, "{after:#?}");
    // The summary contains a command that undoes the retraction.
    let summary = after.conversation_comments().next().unwrap().body.clone();
    assert!(!summary.contains("answer its comment"), "{summary}");
    let id = summary.split("`/undismiss` and the finding's id: `").nth(1).unwrap().split('`').next().unwrap();
    site.repo.comment(one, "ada", &format!("/undismiss {id}")).await.unwrap();
    site.deliver().await;
    let again = site.wait_until(one, "it is back", |view| view.inline_comments().count() == 1).await;
    let comment = again.inline_comments().next().unwrap();
    assert!(!comment.resolved && comment.body.contains("Answer with `/dismiss`"), "{again:#?}");
    server.signal("-TERM");
    server.wait_for_end();
}

#[tokio::test(flavor = "multi_thread")]
async fn answered_comments_are_deleted_where_that_is_asked_for_and_a_head_that_moved_is_reviewed_later() {
    let site = Site::new().await;
    let [one, two] = create_two_reviewed(&site).await;
    site.repo.set_role("ada", "write").await.unwrap();
    let answered = site.repo.pull(two).await.unwrap().inline_comments().next().unwrap().id;
    site.repo.reply(two, "ada", answered, "Is that so?").await.unwrap();
    let code = "a = 1\nbreakpoint()\nb = 1\nbreakpoint()\n";
    let head = site.repo.push("one", CommitBuilder::new("more").write("a.py", code)).await.unwrap();

    let done = site.run(&["retract", "--since", "1d", "--answered"]);
    assert_eq!(done.exit, 0, "{done:?}");
    assert!(done.out.contains("retracted 2 findings on 2 pull requests"), "{done:?}");
    for number in [one, two] {
        let view = site.repo.pull(number).await.unwrap();
        let shown = view.inline_comments().filter(|comment| comment.author == "truing[bot]");
        assert_eq!(shown.count(), 0, "{view:#?}");
    }
    let moved = site.repo.pull(one).await.unwrap();
    assert!(!moved.statuses.contains_key(&head), "nothing was reviewed: {moved:#?}");

    // The finding on the second breakpoint was not retracted, so it is posted.
    let server = site.serve();
    let view = site.wait_until(one, "the new head", |view| view.statuses.contains_key(&head)).await;
    let shown: Vec<_> = view.inline_comments().map(|comment| comment.line).collect();
    assert_eq!(shown, [Some(4)], "{view:#?}");
    server.signal("-TERM");
    server.wait_for_end();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_nothing_is_taken_back() {
    let site = Site::new().await;
    let ran = site.run(&["retract", "--since", "1h"]);
    assert!(ran.exit == 0 && ran.err.contains("there is no database at"), "{ran:?}");
    assert!(!database(site.home.path()).exists());
    assert_eq!(site.run(&["retract"]).exit, 2, "a time must be given");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_done_is_done_by_the_next_call_and_a_finding_of_other_code_is_shown_again() {
    let site = Site::new().await;
    let [one, _] = create_two_reviewed(&site).await;
    site.forge.revoke_token(TOKEN);
    let first = site.run(&["retract", "--since", "1h", "--format", "json"]);
    assert_eq!(first.exit, 3, "{first:?}");
    assert!(
        json(&first).as_array().unwrap().iter().all(|answer| answer["not_done"].is_string()),
        "{first:?}"
    );
    assert_eq!(site.repo.pull(one).await.unwrap().inline_comments().count(), 1);
    site.forge.register_token(TOKEN, "truing[bot]");
    let second = site.run(&["retract", "--since", "1h"]);
    assert_eq!(second.exit, 0, "{second:?}");
    assert_eq!(site.repo.pull(one).await.unwrap().inline_comments().count(), 0);
    let third = site.run(&["retract", "--since", "1h"]);
    assert!(third.out.starts_with("nothing to retract"), "{third:?}");

    // The retraction does not apply to the changed line, so its finding is posted.
    site.repo
        .push("one", CommitBuilder::new("again").write("a.py", "a = 1\nbreakpoint()  # here\n"))
        .await
        .unwrap();
    let server = site.serve();
    let shown = site.wait_until(one, "another line", |view| view.inline_comments().count() == 1).await;
    assert_eq!(shown.inline_comments().next().unwrap().line, Some(2));
    server.signal("-TERM");
    server.wait_for_end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_and_what_is_due_stay_as_they_were() {
    let site = Site::new().await;
    let [one, two] = create_two_reviewed(&site).await;
    site.repo.set_role("ada", "write").await.unwrap();
    let server = site.serve();
    site.repo.comment(one, "ada", "/review pause").await.unwrap();
    site.deliver().await;
    site.wait_until_slots("paused", |slots| slots.iter().any(|slot| slot["why"] == "paused")).await;
    server.signal("-TERM");
    server.wait_for_end();
    let slots = || -> Vec<(String, String)> {
        let listed: Vec<Value> =
            serde_json::from_str(&site.run(&["queue", "list", "--format", "json"]).out).unwrap();
        listed.iter().map(|slot| (slot["name"].to_string(), slot["state"].to_string())).collect()
    };
    let before = slots();
    assert_eq!(site.run(&["retract", "--since", "1h"]).exit, 0);
    assert_eq!(slots(), before);
    for number in [one, two] {
        assert_eq!(site.repo.pull(number).await.unwrap().inline_comments().count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_of_somebody_who_dismissed_a_finding_stays() {
    let site = Site::new().await;
    let [one, _] = create_two_reviewed(&site).await;
    site.repo.set_role("ada", "write").await.unwrap();
    let comment = site.repo.pull(one).await.unwrap().inline_comments().next().unwrap().id;
    let server = site.serve();
    site.repo.reply(one, "ada", comment, "/dismiss meant so").await.unwrap();
    site.deliver().await;
    site.wait_until(one, "dismissed", |view| view.inline_comments().all(|comment| comment.resolved)).await;
    server.signal("-TERM");
    server.wait_for_end();
    let done = site.run(&["retract", "--since", "1h"]);
    assert!(done.out.ends_with("retracted 1 finding on 1 pull request\n"), "{done:?}");
    let kept = site.repo.pull(one).await.unwrap();
    let ours = kept.inline_comments().find(|ours| ours.id == comment).unwrap();
    assert!(ours.body.contains("meant so (ada)"), "{kept:#?}");
}
