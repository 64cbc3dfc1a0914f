//! Tests of runs with an event during each of their writes: the kill switch is turned on, or the lease is
//! lost. The write in progress is completed, but no further write is made. The state after the next run
//! equals that of an undisturbed run. If the switch is turned on in mode `finish`, the run continues to its
//! end.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;

use futures_util::StreamExt as _;
use regex::Regex;
use serde_json::Value;
use truing_core::slot::{SlotCommand, SlotLimits};
use truing_core::sync::job;
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};
use truing_fakes::model::{FakeModel, ModelScript};
use truing_fakes::repo::CommitBuilder;
use truing_loops::machine::SystemClock;
use truing_loops::slots::apply_slot_command;
use truing_store::Store;

use super::bump::{CHECK, Scene, report_answer, right_port_answers, write};
use super::site::{BOT, BRANCH, Ran, Site};

const PUSH: &str = "/{owner}/{repo}/git-receive-pack";
/// Number of sites that are tested at the same time.
const AT_ONCE: usize = 4;
/// Configuration of the job with an issue that reports the results of its runs.
const TRACKS: &str = "outcome.issue = true\nlabels = [\"upstream\"]";
const TRACKED: &str = "how it went";

/// The situation at the start of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Case {
    /// There is a release that the range should admit.
    Relax,
    /// There is a release about which the run must ask a question.
    Ask,
    /// There is another release about which the run must ask, and the question is already open.
    AskAgain,
    /// A user has answered the question.
    Answered,
    /// A user has committed to the pull request's branch.
    Blocked,
    /// The model writes an incomplete port.
    Save,
    /// The model completes a port that an earlier run saved as a draft.
    Finish,
}

/// The number of writes in each case.
const CASES: [(Case, usize); 7] = [
    (Case::Relax, 4),
    (Case::Ask, 2),
    (Case::AskAgain, 3),
    (Case::Answered, 6),
    (Case::Blocked, 2),
    (Case::Save, 3),
    (Case::Finish, 6),
];

/// The event that occurs during a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WriteEvent {
    Stop,
    /// The kill switch for this repository is turned on in mode `stop`.
    StopThere,
    Finish,
    Lost,
}

/// One write of a run: the n-th API call other than `GET`, or the n-th push.
#[derive(Clone, Copy, Debug)]
enum WritePoint {
    Call(u32),
    Push(u32),
}

/// A site, and its model if the case needs one.
struct Stage {
    site: Site,
    model: Option<FakeModel>,
}

impl Case {
    /// Creates a site in the state that precedes the run.
    async fn prepare_stage(self) -> Stage {
        let stage = match self {
            Self::Save | Self::Finish => {
                let Scene { site, model } =
                    Scene::new(&format!("mode = \"code\"\n{TRACKS}"), CHECK, vec![]).await;
                Stage { site, model: Some(model) }
            }
            Self::Relax | Self::Ask | Self::AskAgain | Self::Answered | Self::Blocked => {
                Stage { site: Site::with_config(TRACKS).await, model: None }
            }
        };
        let site = &stage.site;
        // The heartbeat is slow, so that the run detects the lost lease only at its next write.
        site.replace_in_config(
            "lease = \"20s\"\nheartbeat = \"200ms\"",
            "lease = \"60s\"\nheartbeat = \"10s\"",
        );
        match self {
            Self::Relax => site.publish_release("1.0.1"),
            Self::Ask => site.publish_release("1.0.3"),
            Self::AskAgain => {
                site.publish_release("1.0.3");
                site.run_job().await;
                site.publish_release("2.0.0");
            }
            Self::Answered => {
                site.publish_release("1.0.3");
                site.run_job().await;
                let questions = site.questions().await;
                let question = questions.iter().find(|issue| issue.title.contains("feedback")).unwrap();
                site.repo.comment(question.number, "ann", "relax").await.unwrap();
            }
            Self::Blocked => {
                site.publish_release("1.0.1");
                site.run_job().await;
                let mine = CommitBuilder::new("Mine").write("mine.txt", "mine\n").with_author("ann");
                site.repo.push(BRANCH, mine).await.unwrap();
                site.publish_release("1.0.4");
            }
            Self::Save => {}
            Self::Finish => {
                Self::Save.set_answers(&stage);
                stage.run().await;
            }
        }
        self.set_answers(&stage);
        stage
    }

    /// Sets the answers of the model for the next run of this case.
    fn set_answers(self, stage: &Stage) {
        let Some(model) = &stage.model else { return };
        match self {
            Self::Save => {
                let half = "# HALF\ndef pinned(a):\n    return a\n";
                model.set_script(ModelScript::from_answers([
                    write("ours/m.py", half),
                    report_answer(&["more"], &["pinned"]),
                ]));
            }
            Self::Finish => model.set_script(ModelScript::from_answers(right_port_answers())),
            Self::Relax | Self::Ask | Self::AskAgain | Self::Answered | Self::Blocked => {}
        }
    }
}

impl Stage {
    async fn run(&self) -> Ran {
        self.site.run(&["sync", "run", "demo"]).await
    }
}

/// Returns the writes in the forge's request log in their order, without the first `since` requests.
fn list_writes(stage: &Stage, since: usize) -> Vec<WritePoint> {
    let (mut calls, mut pushes) = (0, 0);
    let mut writes = Vec::new();
    for call in stage.site.forge.request_log().into_iter().skip(since).filter(|call| call.method != "GET") {
        if call.path.ends_with("/git-receive-pack") {
            pushes += 1;
            writes.push(WritePoint::Push(pushes));
        } else if !call.path.ends_with("/git-upload-pack") {
            // `ForgeFault::nth_write` counts GraphQL queries too.
            calls += 1;
            if call.is_write {
                writes.push(WritePoint::Call(calls));
            }
        }
    }
    writes
}

/// Returns the final state of the site as text, without values that differ between runs.
async fn final_state(stage: &Stage) -> String {
    let site = &stage.site;
    let mut text = String::new();
    for (number, pull) in site.pulls().await {
        let said =
            pull.conversation_comments().map(|comment| (&comment.author, &comment.body)).collect::<Vec<_>>();
        let (open, draft) = (pull.open, pull.draft);
        let _ = writeln!(text, "#{number} {} {open} {draft} {:?}", pull.title, pull.labels);
        let _ = writeln!(text, "{}\n{said:#?}", pull.body);
    }
    for issue in site.questions().await {
        let is_tracked = !issue.title.contains("feedback");
        let body = if is_tracked { TRACKED } else { &issue.body };
        let said = issue.comments.iter().filter(|comment| !comment.deleted && comment.author == BOT);
        let said = said.map(|comment| &comment.body).collect::<Vec<_>>();
        let _ = writeln!(text, "#{} {} {}\n{body}\n{said:#?}", issue.number, issue.title, issue.open);
    }
    for branch in [BRANCH.to_owned(), format!("{BRANCH}-wip")] {
        if site.repo.tip(&branch).await.is_ok() {
            let _ = writeln!(text, "{branch}: {} ahead", site.commits_ahead(&branch).await);
            text += &site.file(&branch, "pyproject.toml").await;
        }
    }
    // The run after the event gives another reason in this text than an undisturbed run.
    let varies =
        Regex::new(r"is no longer needed: .*|<!-- truing:\S+ [^>]*-->|127.0.0.1:\d+|\b[0-9a-f]{7,40}\b")
            .unwrap();
    varies.replace_all(&text, "…").into_owned()
}

async fn turn_switch(stage: &Stage, arguments: &[&str]) {
    let ran = stage.site.run(&[&["kill"], arguments].concat()).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
}

/// Takes the lease away from the run, as a restart of the server does.
async fn lose_lease(stage: &Stage) {
    let file: PathBuf = stage.site.home().join(".local/state/truing/truing.db");
    let store = Store::open(&file, Arc::new(SystemClock)).unwrap();
    apply_slot_command(&store, &job::job_key("demo"), SlotCommand::ServerRestarted, &SlotLimits::default())
        .await
        .unwrap();
}

/// Performs a run in which the event occurs during the write `at_write`. If `at_write` is `None`, the event
/// occurs before the first write.
async fn run_with_event(stage: &Stage, at_write: Option<WritePoint>, event: WriteEvent) -> Output {
    let forge = &stage.site.forge;
    forge.add_fault(match at_write {
        Some(WritePoint::Call(nth)) => ForgeFault::nth_write(nth, ForgeFaultKind::HeldResponse),
        Some(WritePoint::Push(nth)) => {
            ForgeFault::on_call("POST", PUSH, ForgeFaultKind::HeldResponse).nth(nth)
        }
        None => ForgeFault::on_call("GET", "/repos", ForgeFaultKind::HeldResponse).nth(2),
    });
    let mut command = tokio::process::Command::from(stage.site.command(&["sync", "run", "demo"]));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut output = std::pin::pin!(child.wait_with_output());
    tokio::select! {
        () = forge.wait_for_held_request() => {}
        ended = &mut output => panic!("it never came to {at_write:?}: {ended:?}"),
    }
    match event {
        WriteEvent::Stop => turn_switch(stage, &["on", "--mode", "stop"]).await,
        WriteEvent::StopThere => turn_switch(stage, &["on", "--mode", "stop", "--repo", "Acme/ours"]).await,
        WriteEvent::Finish => turn_switch(stage, &["on"]).await,
        WriteEvent::Lost => lose_lease(stage).await,
    }
    forge.release_held_requests();
    output.await.unwrap()
}

/// The writes, the exit code and the final state of an undisturbed run.
struct UndisturbedSyncRun {
    writes: Vec<WritePoint>,
    exit: i32,
    picture: String,
}

/// Performs a run with this event, and another run after it. Returns a description of the first error, or
/// `None`.
async fn event_run_errors(
    case: Case,
    (nth, at): (usize, Option<WritePoint>),
    event: WriteEvent,
    clean: &UndisturbedSyncRun,
) -> Option<String> {
    let stage = case.prepare_stage().await;
    let since = stage.site.forge.request_log().len();
    let output = run_with_event(&stage, at, event).await;
    let (exit, made) = (output.status.code(), list_writes(&stage, since).len());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let reason = told["exit_reason"].as_str().unwrap_or_default();
    let said = || format!("{exit:?} {} {reason} {}", told["result"], String::from_utf8_lossy(&output.stderr));
    let differs =
        |shown: String| (shown != clean.picture).then(|| format!("expected {}, is {shown}", clean.picture));
    // In mode `finish` and after the last write, the event has no effect on the run.
    if event == WriteEvent::Finish || nth == clean.writes.len() {
        let wrong = (exit != Some(clean.exit)).then(said);
        return wrong.or(differs(final_state(&stage).await));
    }
    if made != nth {
        return Some(format!("{made} writes: {}", said()));
    }
    let is_told = match event {
        WriteEvent::Stop | WriteEvent::StopThere => {
            told["result"] == "held" && reason.contains("the kill switch is on")
        }
        WriteEvent::Lost | WriteEvent::Finish => {
            String::from_utf8_lossy(&output.stderr).contains("has taken over the run")
        }
    };
    if exit != Some(4) || !is_told {
        return Some(said());
    }
    match event {
        WriteEvent::Stop => turn_switch(&stage, &["off"]).await,
        WriteEvent::StopThere => {
            let held = stage.run().await;
            if held.exit != 4 || !held.err.contains("the kill switch of Acme/ours is on") {
                return Some(format!("a run begins: {held:?}"));
            }
            turn_switch(&stage, &["off", "--repo", "acme/ours"]).await;
        }
        WriteEvent::Finish | WriteEvent::Lost => {}
    }
    case.set_answers(&stage);
    let ran = stage.run().await;
    // The run had already saved the port before the event. The next run makes no progress beyond it, and
    // therefore fails.
    let is_kept = case == Case::Save && nth > 1;
    let exit = if is_kept { 3 } else { clean.exit };
    let wrong = (ran.exit != exit).then(|| format!("the second run: {ran:?}"));
    wrong.or(differs(final_state(&stage).await))
}

/// Tests the event before the first write and at each write of a case.
async fn test_event_at_writes(case: Case, event: WriteEvent) {
    let many = CASES.iter().find(|(known, _)| *known == case).unwrap().1;
    let stage = case.prepare_stage().await;
    let since = stage.site.forge.request_log().len();
    let exit = stage.run().await.exit;
    let clean =
        &UndisturbedSyncRun { writes: list_writes(&stage, since), exit, picture: final_state(&stage).await };
    assert_eq!(clean.writes.len(), many, "{case:?}: {:?}", clean.writes);
    let at = [None].into_iter().chain(clean.writes.iter().copied().map(Some)).enumerate();
    let wrong: Vec<String> = futures_util::stream::iter(at)
        .map(|at| async move {
            event_run_errors(case, at, event, clean).await.map(|wrong| format!("{case:?}, {at:?}: {wrong}"))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_a_run_that_admits_a_release_no_write_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(Case::Relax, WriteEvent::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_its_repository_a_run_makes_no_write_and_none_begins_until_it_is_off() {
    test_event_at_writes(Case::Relax, WriteEvent::StopThere).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_a_run_that_asks_no_write_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(Case::Ask, WriteEvent::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_a_run_that_asks_again_no_write_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(Case::AskAgain, WriteEvent::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_a_run_that_follows_an_answer_no_write_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(Case::Answered, WriteEvent::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_a_run_that_leaves_a_pull_request_to_people_no_write_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(Case::Blocked, WriteEvent::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_a_run_that_keeps_a_port_no_write_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(Case::Save, WriteEvent::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_a_run_that_finishes_a_port_no_write_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(Case::Finish, WriteEvent::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_finish_a_run_in_flight_completes() {
    test_event_at_writes(Case::Answered, WriteEvent::Finish).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_lease_a_run_makes_no_write() {
    test_event_at_writes(Case::Answered, WriteEvent::Lost).await;
}
