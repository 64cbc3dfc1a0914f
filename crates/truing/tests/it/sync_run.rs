//! Tests of `truing sync run` with a forge and a package index: the results for releases, obstacles, and the
//! guarantee of at most one pull request and one question.

mod bitbucket;
mod bump;
mod classify;
mod counted;
mod dry;
mod news;
mod recipe;
mod runtimes;
mod site;
mod stopped;
mod switched;
mod target;
mod traced;
mod verify;
mod wording;
mod workflow;

use crate::support::home::wait_until;
use crate::support::{claude, otlp, package, quiet, steady, watch};

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};
use truing_fakes::registry::definition_digest;
use truing_fakes::repo::CommitBuilder;

use package::PINNED;
use site::{BOT, BRANCH, Site};

/// Number of sites that are tested at the same time.
const AT_ONCE: usize = 3;

fn expected_result(name: &str, exit: i32) -> (String, i32) {
    (name.to_owned(), exit)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_changes_nothing_widens_the_range_in_one_pull_request() {
    let site = Site::new().await;
    assert_eq!(site.run_job().await, expected_result("up_to_date", 0));
    site.publish_release("1.0.1");
    let dry = site.run(&["sync", "run", "demo", "--dry-run"]).await;
    assert_eq!((dry.exit, &dry.json["result"]), (0, &json!("rehearsed")), "{dry:?}");
    assert!(
        dry.json["exit_reason"].as_str().unwrap().contains("+    'demo >= 0.9, < 1.0.2',  # pinned"),
        "{dry:?}"
    );
    assert!(site.pulls().await.is_empty() && site.repo.tip(BRANCH).await.is_err());

    let ran = site.run(&["sync", "run", "demo", "--record", "out.json"]).await;
    assert_eq!((ran.exit, &ran.json["result"]), (0, &json!("relaxed")), "{ran:?}");
    assert_eq!(site.read_record("out.json"), ran.json);
    assert_eq!(ran.json["update_type"], "relax");
    assert_eq!(ran.json["highest_step"]["id"], "publish");
    assert_eq!(ran.json["pr"]["kind"], "final");
    let pulls = site.pulls().await;
    let [(number, pull)] = pulls.as_slice() else { panic!("{pulls:?}") };
    assert_eq!((pull.title.as_str(), pull.open, pull.draft), ("Admit demo up to 1.0.1", true, false));
    assert!(ran.json["pr"]["url"].as_str().unwrap().ends_with(&format!("/pull/{number}")));
    assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.2"));
    assert_eq!(site.commits_ahead(BRANCH).await, "1");

    site.forge.assert_calls_in_runs();

    let summary = site.read_ci_summary();
    let (tried, relaxed) = (summary.find("## demo: rehearsed\n"), summary.find("## demo: relaxed\n"));
    assert!(tried.is_some() && tried < relaxed && summary.contains("| publish |"), "{summary}");

    let before = site.forge.request_log().len();
    assert_eq!(site.run_job().await, expected_result("covered", 0));
    assert!(
        site.forge
            .request_log()
            .iter()
            .skip(before)
            .all(|call| call.method == "GET" || call.path.contains("git-upload"))
    );
    let told = site.run(&["sync", "status", "demo"]).await;
    assert_eq!(
        told.json[0]["outcomes"].as_array().unwrap().len(),
        3,
        "a dry run is not remembered: {told:?}"
    );
    assert_eq!(told.json[0]["breaker"], "closed");
    let reason = site.run(&["why", "sync/demo"]).await;
    assert!(reason.json.to_string().contains("the range is widened to"), "{reason:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_never_comes_to_its_repository_is_remembered() {
    let site = Site::new().await;
    site.replace_in_config("acme/ours", "acme/nowhere");
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert!(ran.exit != 0 && ran.err.contains("acme/nowhere"), "{ran:?}");
    let told = site.run(&["sync", "status", "demo"]).await;
    let outcome = &told.json[0]["outcomes"][0];
    assert_eq!((&outcome["result"], &told.json[0]["streak"]), (&json!("failed"), &json!(0)), "{told:?}");
    assert!(outcome["exit_reason"].as_str().unwrap().contains("acme/nowhere"), "{told:?}");
    // The failed run has returned its lease, so the next run can start immediately.
    site.replace_in_config("acme/nowhere", "acme/ours");
    assert_eq!(site.run_job().await, expected_result("up_to_date", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_s_own_hash_test_gets_the_digest_of_what_only_looks_different() {
    let site = Site::with_config("manifest = \"tests/test_patches.py\"\n").await;
    let test = |digests: &str| {
        format!("from demo.m import pinned\n\nD = {{\n    pinned: {{{digests}}},  # why\n}}\n")
    };
    let (old, new) = (definition_digest(PINNED), definition_digest("def pinned(a):\n    return (a)\n"));
    let own = CommitBuilder::new("Pin").write("tests/test_patches.py", test(&format!("'{old}'")));
    site.repo.push("main", own).await.unwrap();
    site.publish_release("1.0.2");
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    assert_eq!(site.file(BRANCH, "tests/test_patches.py").await, test(&format!("'{old}', '{new}'")));
    assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pull_request_follows_the_releases_until_people_work_on_it() {
    let site = Site::new().await;
    site.publish_release("1.0.1");
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    // The main branch gets a new commit, and 1.0.2 changes only the text of the pinned definition.
    site.repo.push("main", CommitBuilder::new("Else").write("b.txt", "b\n")).await.unwrap();
    site.publish_release("1.0.2");
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    let pulls = site.pulls().await;
    assert_eq!(pulls.len(), 1, "the same one");
    assert_eq!(pulls[0].1.title, "Admit demo up to 1.0.2");
    assert_eq!(site.commits_ahead(BRANCH).await, "1", "on the main branch as it is now");
    let pinned = site.file(BRANCH, "upstream.json").await;
    assert_eq!(pinned.matches('"').count(), 6, "a digest more: {pinned}");

    // A user has committed to the pull request's branch. Truing adds its new changes and keeps the user's
    // commit.
    site.repo
        .push(BRANCH, CommitBuilder::new("Mine").write("mine.txt", "mine\n").with_author("ann"))
        .await
        .unwrap();
    site.repo.push("main", CommitBuilder::new("More").write("c.txt", "c\n")).await.unwrap();
    site.publish_release("1.0.2");
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    assert_eq!(site.file(BRANCH, "mine.txt").await, "mine\n");

    // This release needs a port. Since a user has committed to the branch, the job only waits, and comments
    // once on the pull request.
    site.publish_release("1.0.4");
    for _ in 0..2 {
        assert_eq!(site.run_job().await, expected_result("blocked", 1));
    }
    let pull = &site.pulls().await[0].1;
    let said: Vec<_> = pull.conversation_comments().filter(|comment| comment.author == BOT).collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].body.contains("1.0.4") && said[0].body.contains("person committed"), "{said:?}");
    assert_eq!(site.file(BRANCH, "mine.txt").await, "mine\n");

    // After the pull request is merged, the job has no work left.
    let number = site.pulls().await[0].0;
    site.publish_release("1.0.2");
    site.repo.merge_pull(number, "ann").await.unwrap();
    let ended = site.run_job().await;
    assert!(["covered", "up_to_date"].contains(&ended.0.as_str()), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_committed_stays_also_under_a_commit_of_ours() {
    let site = Site::new().await;
    site.publish_release("1.0.1");
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    site.repo
        .push(BRANCH, CommitBuilder::new("Mine").write("mine.txt", "mine\n").with_author("ann"))
        .await
        .unwrap();
    site.publish_release("1.0.2");
    assert_eq!(site.run_job().await, expected_result("relaxed", 0), "in place");
    assert_eq!(site.commits_ahead(BRANCH).await, "3");
    site.repo.push("main", CommitBuilder::new("Else").write("b.txt", "b\n")).await.unwrap();
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    assert_eq!(
        (site.file(BRANCH, "mine.txt").await.as_str(), site.commits_ahead(BRANCH).await.as_str()),
        ("mine\n", "3")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_cannot_tell_is_asked_once_and_only_people_who_may_write_answer() {
    let site = Site::new().await;
    site.publish_release("1.0.3");
    for _ in 0..2 {
        assert_eq!(site.run_job().await, expected_result("asked", 1));
    }
    let questions = site.questions().await;
    let [question] = questions.as_slice() else { panic!("{questions:?}") };
    assert_eq!(question.title, "demo sync: feedback needed for 1.0.3");
    assert!(
        question.open && question.body.contains("other") && question.body.contains("`relax`"),
        "{question:?}"
    );
    assert_eq!(question.comments.len(), 0);
    for (who, says) in [("eve", "relax"), (BOT, "relax"), ("ann", "let me think")] {
        site.repo.comment(question.number, who, says).await.unwrap();
        assert_eq!(site.run_job().await, expected_result("asked", 1), "{who}: {says}");
    }
    site.repo.comment(question.number, "ann", "Relax: we do not use it").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    let after = site.questions().await;
    assert_eq!((after.len(), after[0].open), (1, false), "it is answered");
    let pulls = site.pulls().await;
    assert!(pulls[0].1.body.contains("ann decided"), "{}", pulls[0].1.body);
    assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.4"));

    // For a major release, the job asks a question in exactly one open issue.
    site.publish_release("2.0.0");
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    assert_eq!(site.questions().await.iter().filter(|issue| issue.open).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_people_close_without_a_word_is_not_asked_again_until_something_changes() {
    let site = Site::new().await;
    site.publish_release("1.0.3");
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    let first = site.questions().await.remove(0).number;
    site.repo.set_issue_open(first, false, "ann").await.unwrap();
    for _ in 0..2 {
        let ran = site.run(&["sync", "run", "demo"]).await;
        assert_eq!((&ran.json["result"], &ran.json["question"]), (&json!("asked"), &json!(null)), "{ran:?}");
        assert_eq!(site.questions().await.len(), 1, "not now");
    }
    // If a user reopens the issue, it is the current question again. If the manifest changes after the issue
    // was closed, the job asks a new question.
    site.repo.set_issue_open(first, true, "ann").await.unwrap();
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert!(ran.json["question"].is_string() && site.questions().await.len() == 1, "{ran:?}");
    site.repo.set_issue_open(first, false, "ann").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    let manifest = site.file("main", "upstream.json").await;
    site.repo
        .push("main", CommitBuilder::new("Else").write("upstream.json", format!("{manifest}\n")))
        .await
        .unwrap();
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    let open: Vec<_> = site.questions().await.into_iter().filter(|issue| issue.open).collect();
    assert_eq!(open.len(), 1);
    // An answer in a closed issue also counts.
    site.repo.set_issue_open(open[0].number, false, "ann").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    site.repo.comment(open[0].number, "ann", "relax").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    assert_eq!(site.questions().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_needs_code_is_asked_about() {
    let site = Site::new().await;
    site.publish_release("1.0.4");
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    let question = site.questions().await.remove(0);
    assert!(question.body.contains("demo.m:pinned"), "{}", question.body);
    site.repo.delete_issue(question.number).await.unwrap();
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    assert_eq!(site.questions().await.iter().filter(|issue| issue.open).count(), 1, "asked again");
    // This release needs a port, so the answer `relax` is not valid. The answer `skip` is valid.
    let again = site.questions().await.into_iter().find(|issue| issue.open).unwrap().number;
    site.repo.comment(again, "ann", "relax").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    site.repo.comment(again, "ann", "skip").await.unwrap();
    for _ in 0..2 {
        assert_eq!(site.run_job().await, expected_result("left_out", 0));
    }
    assert!(site.pulls().await.is_empty() && site.questions().await.iter().all(|issue| !issue.open));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_failures_open_the_breaker_and_an_answer_lets_one_run_try() {
    let site = Site::new().await;
    site.publish_release("1.0.1");
    site.repo.protect(BRANCH).await.unwrap();
    for _ in 0..3 {
        assert_eq!(site.run_job().await, expected_result("failed", 3));
    }
    let questions = site.questions().await;
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].body.matches("cannot push").count(), 3, "{}", questions[0].body);
    let before = site.forge.request_log().len();
    assert_eq!(site.run_job().await, expected_result("breaker", 4));
    assert!(site.forge.request_log().len() - before < 12, "it is cheap");
    let scheduled = site.run(&["sync", "run", "demo", "--scheduled"]).await;
    assert_eq!((scheduled.exit, &scheduled.json["result"]), (0, &json!("breaker")), "{scheduled:?}");
    let list = site.run(&["breaker", "list"]).await;
    assert_eq!(
        (&list.json[0]["key"], &list.json[0]["state"]),
        (&json!("sync/demo"), &json!("open")),
        "{list:?}"
    );

    let number = questions[0].number;
    site.repo.set_issue_open(number, false, "ann").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("breaker", 4));
    assert_eq!(site.questions().await.len(), 1, "closed without a word, it stays so");
    site.repo.set_issue_open(number, true, "ann").await.unwrap();
    site.repo.comment(number, "eve", "try again").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("breaker", 4));
    site.repo.comment(number, "ann", "try again").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("failed", 3), "one run tries");
    assert_eq!(site.run_job().await, expected_result("breaker", 4), "and no more");
    assert_eq!(site.questions().await.len(), 1);

    assert_eq!(site.run(&["breaker", "reset", "demo"]).await.exit, 0);
    assert_eq!(site.run_job().await, expected_result("failed", 3));
    let unknown = site.run(&["breaker", "show", "none"]).await;
    assert_eq!(unknown.exit, 2, "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_even_begin_is_not_tried_for_ever() {
    let site = Site::new().await;
    site.publish_release("1.0.1");
    let manifest = site.file("main", "upstream.json").await;
    site.repo.push("main", CommitBuilder::new("Broken").write("upstream.json", "{")).await.unwrap();
    for _ in 0..5 {
        assert_eq!(site.run_job().await, expected_result("failed", 3));
    }
    assert_eq!(site.run_job().await, expected_result("breaker", 4));
    let questions = site.questions().await;
    assert_eq!((questions.len(), questions[0].body.matches("not known").count()), (1, 5), "{questions:?}");
    // The manifest is valid again, but the job waits until a user answers the question.
    site.repo.push("main", CommitBuilder::new("Mended").write("upstream.json", manifest)).await.unwrap();
    assert_eq!(site.run_job().await, expected_result("breaker", 4));
    site.repo.comment(questions[0].number, "ann", "mended").await.unwrap();
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    assert!(site.questions().await.iter().all(|issue| !issue.open));
}

/// Runs the job with a failure or a kill at its n-th write, and then runs it again. There must be exactly one
/// pull request or one question, with the same content as after an undisturbed run.
async fn assert_same_end(release: &str, has_question: bool, nth: u64, kind: ForgeFaultKind) {
    let site = Site::new().await;
    site.publish_release(release);
    site.forge.add_fault(ForgeFault::nth_write(u32::try_from(nth).unwrap(), kind.clone()));
    if matches!(kind, ForgeFaultKind::Delay(_)) {
        site.kill_at_write(nth).await;
    } else {
        site.run(&["sync", "run", "demo"]).await;
    }
    site.forge.clear_faults();
    let ended = site.run_when_free().await;
    let (pulls, questions) = (site.pulls().await, site.questions().await);
    let open = questions.iter().filter(|issue| issue.open).count();
    if has_question {
        assert_eq!((ended, pulls.len(), open), (expected_result("asked", 1), 0, 1), "{nth} {kind:?}");
        assert_eq!(questions.len(), 1, "{nth} {kind:?}");
    } else {
        assert!(["relaxed", "covered"].contains(&ended.0.as_str()), "{nth} {kind:?}: {ended:?}");
        assert_eq!((pulls.len(), open), (1, 0), "{nth} {kind:?}");
        assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.2"));
    }
}

/// For each write of the run, tests a failed request, a lost response, and a kill during the write.
async fn test_each_write_failure(release: &str, has_question: bool, least: u64) {
    let writes = {
        let site = Site::new().await;
        site.publish_release(release);
        site.run_job().await;
        site.write_count()
    };
    assert!(writes >= least, "{writes}");
    let late = ForgeFaultKind::Delay(Duration::from_secs(300));
    let kinds = [ForgeFaultKind::LostResponse, ForgeFaultKind::Status(503, None), late];
    let all = (1..=writes).flat_map(|nth| kinds.clone().map(|kind| (nth, kind)));
    futures_util::stream::iter(all)
        .for_each_concurrent(AT_ONCE, |(nth, kind)| assert_same_end(release, has_question, nth, kind))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_write_fails_the_next_run_ends_with_one_pull_request() {
    test_each_write_failure("1.0.1", false, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_write_fails_the_next_run_ends_with_one_question() {
    test_each_write_failure("1.0.3", true, 1).await;
}

const ISSUES: &str = "/repos/acme/ours/issues";

#[tokio::test(flavor = "multi_thread")]
async fn a_question_whose_answer_was_lost_is_closed_when_nothing_is_to_be_asked() {
    let site = Site::new().await;
    site.publish_release("1.0.3");
    site.forge.add_fault(ForgeFault::on_call("POST", ISSUES, ForgeFaultKind::LostResponse));
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert!(ran.json["exit_reason"].as_str().unwrap().contains("could not ask a person"), "{ran:?}");
    site.forge.clear_faults();
    site.publish_release("1.0.1");
    for end in ["relaxed", "covered"] {
        assert_eq!(site.run_job().await, expected_result(end, 0));
        let questions = site.questions().await;
        let [question] = questions.as_slice() else { panic!("{questions:?}") };
        assert!(!question.open && question.comments.len() == 1, "{question:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_may_still_show_is_waited_for_and_not_asked_twice() {
    let site = Site::new().await;
    site.replace_in_config("settle = \"0s\"", "settle = \"10m\"");
    site.replace_in_config("[sync.demo]", "[sync.demo]\ncron = \"0 0 1 1 *\"");
    site.publish_release("1.0.3");
    site.forge.add_fault(ForgeFault::on_call("POST", ISSUES, ForgeFaultKind::Status(503, None)));
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert!(ran.json["exit_reason"].as_str().unwrap().contains("could not ask a person"), "{ran:?}");
    site.forge.clear_faults();
    for _ in 0..2 {
        let ran = site.run(&["sync", "run", "demo"]).await;
        assert!(
            ran.json["exit_reason"]
                .as_str()
                .unwrap()
                .contains("waiting until the forge shows an earlier write"),
            "{ran:?}"
        );
        assert!(site.questions().await.is_empty());
        let slots = site.run(&["slots", "list"]).await;
        assert_eq!(slots.json[0]["why"], "settling", "{slots:?}");
    }
    site.replace_in_config("settle = \"10m\"", "settle = \"0s\"");
    assert_eq!(site.run_job().await, expected_result("asked", 1));
    assert_eq!(site.questions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_repository_tracks_as_a_link_is_neither_read_nor_written() {
    let outside = tempfile::tempdir().unwrap();
    for name in ["upstream.json", "pyproject.toml"] {
        let site = Site::new().await;
        site.publish_release("1.0.2");
        let target = outside.path().join(name);
        std::fs::write(&target, site.file("main", name).await).unwrap();
        let before = std::fs::read(&target).unwrap();
        let link = CommitBuilder::new("A link").write_symlink(name, target.to_str().unwrap());
        site.repo.push("main", link).await.unwrap();
        let ran = site.run(&["sync", "run", "demo"]).await;
        assert_eq!((ran.exit, &ran.json["result"]), (3, &json!("failed")), "{name}: {ran:?}");
        assert!(ran.json["exit_reason"].as_str().unwrap().contains("not a regular file"), "{ran:?}");
        assert_eq!(std::fs::read(&target).unwrap(), before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_are_one() {
    let site = Site::new().await;
    site.publish_release("1.0.1");
    let (first, second) =
        tokio::join!(site.run(&["sync", "run", "demo"]), site.run(&["sync", "run", "demo"]));
    let mut exits = [first.exit, second.exit];
    exits.sort_unstable();
    assert!(exits == [0, 4] || exits == [0, 0], "{first:?} {second:?}");
    assert_eq!(site.pulls().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let site = Site::new().await;
    let unknown = site.run(&["sync", "run", "dmeo", "--record", "out.json"]).await;
    assert_eq!(site.read_record("out.json")["result"], "failed");
    assert_eq!((unknown.exit, unknown.err.contains("demo")), (2, true), "{unknown:?}");
    site.publish_release("1.0.1");
    assert_eq!(site.run(&["kill", "on"]).await.exit, 0);
    let held = site.run(&["sync", "run", "demo", "--record", "out.json"]).await;
    let record = site.read_record("out.json");
    assert_eq!(
        (&record["schema"], &record["kind"]),
        (&json!("truing.outcome/1"), &json!("deferred")),
        "{record}"
    );
    assert!(record["exit_reason"].as_str().unwrap().contains("kill switch"), "{record}");
    assert_eq!((held.exit, held.err.contains("kill switch")), (4, true), "{held:?}");
    assert_eq!(site.run(&["kill", "off"]).await.exit, 0);
    // A user has pushed a branch with the name of the job's branch. Truing must not change this branch.
    site.repo
        .push(BRANCH, CommitBuilder::new("Mine").write("mine.txt", "mine\n").with_author("ann"))
        .await
        .unwrap();
    let tip = site.repo.tip(BRANCH).await.unwrap();
    site.repo.open_pull(truing_fakes::forge::NewPull::from_branch(BRANCH)).await.unwrap();
    let foreign = site.run(&["sync", "run", "demo"]).await;
    assert_eq!((foreign.exit, &foreign.json["result"]), (3, &json!("failed")), "{foreign:?}");
    assert!(foreign.json["exit_reason"].as_str().unwrap().contains("not belong to this job"), "{foreign:?}");
    assert_eq!(site.repo.tip(BRANCH).await.unwrap(), tip);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_runs_jobs_at_their_times_and_takes_over_what_nobody_finished() {
    let site = Site::new().await;
    site.publish_release("1.0.1");
    // The pattern has six fields, so the first field is for seconds. It matches every second.
    site.replace_in_config("[sync.demo]", "[sync.demo]\ncron = \"* * * * * *\"");
    let status = site.run(&["sync", "status"]).await;
    assert!(status.json[0]["next"].is_string(), "{status:?}");
    let mut server = site.serve();
    wait_until("a pull request", async || !site.pulls().await.is_empty()).await;
    wait_until("two runs", async || {
        let told = site.run(&["sync", "status"]).await;
        told.json[0]["outcomes"].as_array().is_some_and(|all| all.len() >= 2)
    })
    .await;
    // While the kill switch is on, no run starts.
    assert_eq!(site.run(&["kill", "on"]).await.exit, 0);
    stop(&mut server);
    assert_eq!(site.pulls().await.len(), 1);
    // The slot may be due if a scheduled time came just before the switch was turned on. However, no run may
    // hold a lease.
    let slots = site.run(&["slots", "list"]).await.json;
    let is_leased = |slot: &Value| slot["state"] == "leased";
    assert!(!slots.as_array().unwrap().iter().any(is_leased), "its lease is given back: {slots}");
    assert_eq!(site.run(&["kill", "off"]).await.exit, 0);

    // The next server continues the killed run without waiting for a scheduled time.
    site.replace_in_config("* * * * * *", "0 0 1 1 *");
    site.publish_release("1.0.2");
    site.forge.add_fault(ForgeFault::nth_write(1, ForgeFaultKind::Delay(Duration::from_secs(300))));
    let before = site.write_count();
    site.kill_at_write(before + 1).await;
    site.forge.clear_faults();
    let mut server = site.serve();
    wait_until("it was taken over", async || site.pulls().await[0].1.title == "Admit demo up to 1.0.2").await;
    stop(&mut server);
    assert_eq!(site.pulls().await.len(), 1);

    site.replace_in_config("repo = \"acme/ours\"", "");
    let wrong = site.run(&["serve", "--role", "worker", "--listen", "127.0.0.1:0"]).await;
    assert_eq!((wrong.exit, wrong.err.contains("sync.demo.repo")), (2, true), "{wrong:?}");
    let mut was = "0 0 1 1 *".to_owned();
    for (is, what) in [("now and then", "cron pattern"), ("0 0 31 2 *", "that matches some time")] {
        site.replace_in_config(&was, is);
        let wrong = site.run(&["sync", "status"]).await;
        assert_eq!((wrong.exit, wrong.err.contains(what)), (2, true), "{wrong:?}");
        is.clone_into(&mut was);
    }
    for (key, value, what) in [("repo", "ours", "`owner/name`"), ("branch", "a..b", "a branch's name")] {
        let name = format!("TRUING_SYNC__DEMO__{}", key.to_uppercase());
        let mut command = site.command(&["sync", "status"]);
        let wrong = command.env(name, value).env("TRUING_SYNC__DEMO__CRON", "0 0 1 1 *").output().unwrap();
        let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert!(wrong.status.code() == Some(2) && told.contains(what), "{told}");
    }
}

/// Stops a server with SIGTERM, and checks that it exits with code 0.
fn stop(server: &mut std::process::Child) {
    let pid = server.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_issue_tells_of_the_last_runs_if_it_is_wanted() {
    let site = Site::with_config("outcome.issue = true\n").await;
    site.publish_release("1.0.1");
    site.forge.add_fault(ForgeFault::on_call("POST", ISSUES, ForgeFaultKind::LostResponse));
    assert_eq!(site.run_job().await, expected_result("relaxed", 0));
    site.forge.clear_faults();
    assert_eq!(site.run(&["sync", "run", "demo", "--dry-run"]).await.exit, 0);
    for _ in 0..2 {
        assert_eq!(site.run_job().await, expected_result("covered", 0));
    }
    let issues = site.questions().await;
    let [issue] = issues.as_slice() else { panic!("{issues:?}") };
    assert_eq!(issue.body.matches("| covered |").count(), 2, "{}", issue.body);
    assert!(
        issue.body.contains("of 1 runs with work to do, 1 did the work or asked a person"),
        "{}",
        issue.body
    );
    assert_eq!((issue.comments.len(), issue.title.as_str()), (0, "demo sync: results of the last runs"));

    site.repo.lock_issue(issue.number).await.unwrap();
    assert_eq!(site.run_job().await, expected_result("covered", 0));
    assert_eq!(site.questions().await[0].body.matches("| covered |").count(), 3);
    // If a user has deleted the issue with the results, Truing does not create a new one, and the run still
    // succeeds.
    site.repo.delete_issue(issue.number).await.unwrap();
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!((ran.exit, &ran.json["result"]), (0, &json!("covered")), "{ran:?}");
    assert!(
        ran.json["exit_reason"].as_str().unwrap().contains("was deleted, and Truing does not open it again"),
        "{ran:?}"
    );
    assert_eq!(site.questions().await.len(), 0);
}
