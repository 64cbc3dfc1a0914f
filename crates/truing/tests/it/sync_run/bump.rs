//! Tests of ports that a model writes: complete ports, incomplete ports that are kept in a draft, and changes
//! that never become a pull request.

use crate::support::home::wait_until;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Instant;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use truing_fakes::forge::{ForgeFault as TheirFault, ForgeFaultKind, PullView};
use truing_fakes::model::{FakeModel, ModelFault, ModelScript, ScriptedAnswer};
use truing_fakes::repo::CommitBuilder;

use super::AT_ONCE;
use super::site::{BRANCH, Ran, Site};

pub(super) const PORT: &str = "def pinned(a):\n    return a + 1\n";
/// A check that succeeds on the base and fails on a half-finished port.
pub(super) const CHECK: &str = "[verify]\ncheck = [[\"sh\", \"-c\", \"! grep -q HALF ours/m.py\"]]\n";
/// SHA-1 digest of [`PORT`]. [`PORT`] is also the text of the pinned definition in release 1.0.4.
const NEW: &str = "9fd90f3cd1e6e9b8e458fb4785fd83b8634c2d3d";

pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) model: FakeModel,
}

impl Scene {
    pub(crate) async fn new(job: &str, more: &str, answers: Vec<ScriptedAnswer>) -> Self {
        let model = FakeModel::start(ModelScript::from_answers(answers)).await.unwrap();
        let site =
            Site::with_config(&format!("{job}\n[model]\nbase_url = \"{}\"\n{more}", model.url())).await;
        site.publish_release("1.0.4");
        Self { site, model }
    }

    /// Creates a scene whose job allows a model to write code.
    async fn with_coding_job(more: &str, answers: Vec<ScriptedAnswer>) -> Self {
        Self::new("mode = \"code\"", more, answers).await
    }

    pub(crate) async fn run(&self) -> Ran {
        self.site.run(&["sync", "run", "demo"]).await
    }

    /// Returns the pull requests with a complete port, and the pull requests with an incomplete one.
    pub(crate) async fn pulls_and_drafts(&self) -> (Vec<PullView>, Vec<PullView>) {
        let all = self.site.pulls().await.into_iter().map(|(_, pull)| pull);
        all.partition(|pull| !pull.title.ends_with("(in progress)"))
    }
}

pub(super) fn write(path: &str, content: &str) -> ScriptedAnswer {
    ScriptedAnswer::tool("write", json!({ "path": path, "content": content }))
}

pub(super) fn report_answer(completed: &[&str], remaining: &[&str]) -> ScriptedAnswer {
    let said = json!({ "summary": "Ports pinned.", "completed": completed, "remaining": remaining });
    ScriptedAnswer::tool("report", said)
}

pub(crate) fn right_port_answers() -> Vec<ScriptedAnswer> {
    vec![write("ours/m.py", PORT), report_answer(&["pinned"], &[])]
}

pub(super) fn parse_result(ran: &Ran) -> (&Value, i32) {
    (&ran.json["result"], ran.exit)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_whole_becomes_one_pull_request_with_range_and_digests() {
    let scene = Scene::with_coding_job(CHECK, right_port_answers()).await;
    let dry = scene.site.run(&["sync", "run", "demo", "--dry-run"]).await;
    assert_eq!(parse_result(&dry), (&json!("rehearsed"), 0), "{dry:?}");
    assert_eq!(scene.model.request_log().len(), 0, "no forge was asked");

    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("bumped"), 0), "{ran:?}");
    assert_eq!((&ran.json["update_type"], &ran.json["pr"]["kind"]), (&json!("bump"), &json!("final")));
    let site = &scene.site;
    assert_eq!(site.file(BRANCH, "ours/m.py").await, PORT);
    assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 1.0.4, < 1.0.5"));
    assert_eq!(
        site.file(BRANCH, "upstream.json").await,
        format!("{{\n  \"demo.m:pinned\": [\"{NEW}\"]\n}}\n")
    );
    assert_eq!(site.commits_ahead(BRANCH).await, "1");
    let (pulls, drafts) = scene.pulls_and_drafts().await;
    let [pull] = pulls.as_slice() else { panic!("{pulls:?}") };
    assert_eq!((pull.title.as_str(), pull.draft, drafts.len()), ("Follow demo to 1.0.4", false, 0));
    assert!(
        pull.body.contains("Ports pinned.") && pull.body.contains("checks (1) have no new failures"),
        "{}",
        pull.body
    );

    // The record's step `change` contains the usage of the model.
    let step = ran.json["steps"].as_array().unwrap().iter().find(|step| step["id"] == "change").unwrap();
    assert!(step["turns"] == 2 && step["tokens"].as_u64() > Some(0), "{step}");
    assert_eq!(step["cost_micro_usd"], ran.json["cost_micro_usd"]);
    assert!(ran.json["cost_micro_usd"].as_u64() > Some(0) && ran.json["model"].is_string());
    assert_eq!(ran.json["prompt_hash"].as_str().unwrap().len(), 64);
    let asked = scene.model.request_log()[0].body.to_string();
    assert!(asked.contains("+    return a + 1") && asked.contains("ours/**"), "{asked}");

    // A new commit on the base branch does not invalidate the port, so the model is not asked again.
    site.repo.push("main", CommitBuilder::new("Else").write("b.txt", "b\n")).await.unwrap();
    let asked = scene.model.request_log().len();
    assert_eq!(parse_result(&scene.run().await).0, "covered");
    assert_eq!(scene.model.request_log().len(), asked);
    assert_eq!(scene.model.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_ports_at_the_times_of_the_job() {
    let scene = Scene::with_coding_job(CHECK, right_port_answers()).await;
    scene.site.replace_in_config("mode = \"code\"", "mode = \"code\"\ncron = \"* * * * * *\"");
    let mut server = scene.site.serve();
    let is_there =
        async || scene.pulls_and_drafts().await.0.iter().any(|pull| pull.title == "Follow demo to 1.0.4");
    wait_until("the port is there", is_there).await;
    super::stop(&mut server);
    let (pulls, drafts) = scene.pulls_and_drafts().await;
    assert_eq!(
        (pulls.len(), drafts.len(), scene.site.file(BRANCH, "ours/m.py").await),
        (1, 0, PORT.to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_not_finished_is_kept_in_a_draft_and_finished_before_anything_newer() {
    let half = vec![
        write("ours/m.py", "# HALF\ndef pinned(a):\n    return a\n"),
        write("ours/more.py", "more = 1\n"),
        report_answer(&["more"], &["pinned"]),
    ];
    let scene = Scene::with_coding_job(CHECK, half).await;
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("saved"), 1), "{ran:?}");
    assert_eq!(ran.json["pr"]["kind"], "wip");
    let (pulls, drafts) = scene.pulls_and_drafts().await;
    assert_eq!((pulls.len(), drafts.len(), drafts[0].draft), (0, 1, true));
    let body = &drafts[0].body;
    assert!(["1.0.4", "more", "pinned", "grep"].iter().all(|word| body.contains(word)), "{body}");
    assert!(scene.site.repo.tip(BRANCH).await.is_err());

    // A run without progress fails, and the draft stays open.
    scene.model.set_script(ModelScript::from_answers([report_answer(&["more"], &["pinned"])]));
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("failed"), 3), "{ran:?}");
    assert!(ran.json["exit_reason"].as_str().unwrap().contains("has made no progress"), "{ran:?}");

    // The base branch gets a new commit, and a newer release is published. The run still completes the port
    // to 1.0.4.
    scene.site.repo.push("main", CommitBuilder::new("Else").write("b.txt", "b\n")).await.unwrap();
    scene.site.publish_release("2.0.0");
    scene.model.set_script(ModelScript::from_answers(right_port_answers()));
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("bumped"), 0), "{ran:?}");
    assert_eq!(ran.json["to"], "1.0.4");
    let asked = scene.model.request_log().last().unwrap().body.to_string();
    assert!(asked.contains("Not done:"), "it is told what is left: {asked}");
    for (path, content) in [("ours/m.py", PORT), ("ours/more.py", "more = 1\n"), ("b.txt", "b\n")] {
        assert_eq!(scene.site.file(BRANCH, path).await, content);
    }
    let (pulls, drafts) = scene.pulls_and_drafts().await;
    assert_eq!((pulls.len(), drafts.len(), drafts[0].open), (1, 1, false));
    let page = ran.json["pr"]["url"].as_str().unwrap();
    assert!(drafts[0].body.contains(page.rsplit('/').next().unwrap()), "{}", drafts[0].body);
    assert!(drafts[0].body.starts_with("Finished in http://"), "{}", drafts[0].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_a_port_may_not_change_are_denied_and_a_change_of_them_is_refused() {
    let outside =
        ["pyproject.toml", "upstream.json", "README.md", "ours/uv.lock", ".github/workflows/ci.yml"];
    let mut answers: Vec<ScriptedAnswer> = outside.iter().map(|path| write(path, "x\n")).collect();
    answers.push(report_answer(&["pinned"], &[]));
    let programs = tempfile::tempdir().unwrap();
    let pytest = programs.path().join("pytest");
    std::fs::write(&pytest, "#!/bin/sh\necho 1 > README.md\n").unwrap();
    std::fs::set_permissions(&pytest, std::fs::Permissions::from_mode(0o755)).unwrap();
    let more = format!("[verify]\nprograms = [\"{}\"]\n", programs.path().display());
    let scene = Scene::with_coding_job(&more, answers).await;
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("failed"), 3), "{ran:?}");
    assert!(ran.json["exit_reason"].as_str().unwrap().contains("changed no relevant file"), "{ran:?}");
    let denied = scene.model.request_log().last().unwrap().body.to_string().matches("denied:").count();
    assert_eq!(denied, outside.len());

    // If a command changes a file that it must not change, the run detects the change after the command has
    // ended.
    let mut answers = vec![ScriptedAnswer::tool("run", json!({ "argv": ["pytest"] }))];
    answers.extend(right_port_answers());
    scene.model.set_script(ModelScript::from_answers(answers));
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("failed"), 3), "{ran:?}");
    assert!(ran.json["exit_reason"].as_str().unwrap().contains("must not change: README.md"), "{ran:?}");
    assert!(scene.site.pulls().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_while_the_model_works_is_made_up_for_by_the_next() {
    let stalled =
        ScriptedAnswer { fault: Some(ModelFault::Slow { millis: 60_000 }), ..write("ours/m.py", PORT) };
    let paid = write("ours/more.py", "more = 1\n").usage(100_000, 100);
    let scene = Scene::with_coding_job("", vec![paid, stalled]).await;
    let mut child = scene
        .site
        .command(&["sync", "run", "demo"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + crate::support::HANGS;
    while scene.model.request_log().iter().filter(|request| request.path == "/v1/messages").count() < 2 {
        assert!(Instant::now() < deadline, "the model is not asked");
        tokio::task::yield_now().await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    scene.model.set_script(ModelScript::from_answers(right_port_answers()));
    assert_eq!(scene.site.run_when_free().await, ("bumped".to_owned(), 0));
    // The reported cost includes the cost of the killed run.
    let told = &scene.site.run(&["sync", "status", "demo"]).await.json[0]["outcomes"][0];
    let (carried, all) =
        (told["carried_micro_usd"].as_u64().unwrap(), told["cost_micro_usd"].as_u64().unwrap());
    assert!(carried >= 100_000 && all > carried, "{told}");
    let report = scene.site.run(&["report"]).await.json;
    assert_eq!(report["totals"]["cost_micro_usd"], all, "{report}");
    let (pulls, drafts) = scene.pulls_and_drafts().await;
    assert_eq!((pulls.len(), drafts.len()), (1, 0));
    assert!(pulls[0].body.contains("the project's tests were not run"), "{}", pulls[0].body);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_is_used_up_ends_in_a_draft_and_never_in_a_final_pull_request() {
    // Each answer costs about a third of the run's budget, so the model must report after the second one.
    let dear = |answer: ScriptedAnswer| answer.usage(100_000, 100);
    let answers = vec![
        dear(write("ours/m.py", PORT)),
        dear(write("ours/n.py", "n = 1\n")),
        dear(report_answer(&["pinned"], &[])).times(0),
    ];
    let scene = Scene::with_coding_job("[budget]\nsync_usd = 0.75\n", answers).await;
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("saved"), 1), "{ran:?}");
    assert!(ran.json["exit_reason"].as_str().unwrap().contains("does not cover a request"), "{ran:?}");
    assert!(ran.json["cost_micro_usd"].as_u64() > Some(0));
    let (pulls, drafts) = scene.pulls_and_drafts().await;
    assert_eq!((pulls.len(), drafts.len()), (0, 1));

    let scene = Scene::with_coding_job("[budget]\nsync_usd = 0.000001\n", right_port_answers()).await;
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("held"), 4), "{ran:?}");
    assert!(scene.site.pulls().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_only_relaxes_ports_when_a_person_rules_so() {
    let scene = Scene::new("", "", right_port_answers()).await;
    assert_eq!(scene.site.run_job().await, ("asked".to_owned(), 1));
    assert_eq!(scene.model.request_log().len(), 0);
    let question = scene.site.questions().await.remove(0);
    scene.site.repo.comment(question.number, "eve", "bump").await.unwrap();
    assert_eq!(scene.site.run_job().await, ("asked".to_owned(), 1));
    scene.site.repo.comment(question.number, "ann", "Bump, please").await.unwrap();
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("bumped"), 0), "{ran:?}");
    assert!(!scene.site.questions().await[0].open, "it is answered");
}

/// Loses the response to the n-th write of a run that completes a port. Checks that after the next run, one
/// pull request is open and the draft is closed. Returns false if the run has fewer than n writes.
async fn lose_write_response(nth: u32, commits: &str) -> bool {
    let half = vec![write("ours/more.py", "more = 1\n"), report_answer(&["more"], &["pinned"])];
    let scene = Scene::with_coding_job("", half).await;
    scene.site.replace_in_config("[forge.github]\n", &format!("[forge.github]\ncommits = \"{commits}\"\n"));
    assert_eq!(parse_result(&scene.run().await), (&json!("saved"), 1));
    scene.model.set_script(ModelScript::from_answers(right_port_answers()));
    scene.site.forge.add_fault(TheirFault::nth_write(nth, ForgeFaultKind::LostResponse));
    scene.run().await;
    let is_lost = scene.site.forge.has_no_faults();
    scene.site.forge.clear_faults();
    scene.model.set_script(ModelScript::from_answers(right_port_answers()));
    let ended = scene.site.run_when_free().await;
    assert!(["bumped", "covered"].contains(&ended.0.as_str()), "{nth}: {ended:?}");
    let (pulls, drafts) = scene.pulls_and_drafts().await;
    assert_eq!((pulls.len(), drafts.len()), (1, 1), "{nth}");
    assert!(pulls[0].open && !drafts[0].open, "{nth}: {drafts:?}");
    assert_eq!(scene.site.repo.is_verified(&pulls[0].head).await.unwrap(), commits == "api", "{nth}");
    is_lost
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_write_fails_while_a_port_is_finished_the_next_run_ends_the_same() {
    let lost = count_lost_writes("push").await;
    assert!(lost >= 3, "{lost}: a pull request, and the draft's end");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_write_fails_the_commits_of_the_forge_are_created_once() {
    let lost = count_lost_writes("api").await;
    assert!(lost >= 4, "{lost}: a commit, a pull request, and the draft's end");
}

/// Loses the response to each write of a run in turn. Returns the number of writes.
async fn count_lost_writes(commits: &str) -> usize {
    // Some values of n are tested at the same time, until n exceeds the number of writes.
    futures_util::stream::iter(1..)
        .map(|nth| lose_write_response(nth, commits))
        .buffered(AT_ONCE)
        .take_while(|is_lost| std::future::ready(*is_lost))
        .count()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_leaves_to_people_is_asked_once_and_their_answer_reaches_the_next_run() {
    let said = json!({
        "summary": "s", "completed": ["more"], "remaining": [], "questions": ["A flag, or a second function? \
             <b>"],
    });
    let answers = vec![write("ours/more.py", "more = 1\n"), ScriptedAnswer::tool("report", said)];
    let scene = Scene::with_coding_job("", answers).await;
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("saved"), 1), "{ran:?}");
    let question = scene.site.questions().await.remove(0);
    let draft = ran.json["pr"]["url"].as_str().unwrap();
    assert!(
        question.body.contains("A flag, or a second function?") && question.body.contains(draft),
        "{question:?}"
    );
    assert!(
        !question.body.contains("<b>") && ran.json["question"].as_str().unwrap().contains("/issues/"),
        "{ran:?}"
    );

    // The model gets no request until a user with write permission has answered the question. If a user
    // deletes the issue with the question, Truing asks it again.
    let asked = scene.model.request_log().len();
    scene.site.repo.comment(question.number, "eve", "A flag").await.unwrap();
    assert_eq!(parse_result(&scene.run().await), (&json!("asked"), 1));
    scene.site.repo.delete_issue(question.number).await.unwrap();
    assert_eq!(parse_result(&scene.run().await), (&json!("asked"), 1));
    assert_eq!(scene.model.request_log().len(), asked);
    let open: Vec<_> = scene.site.questions().await.into_iter().filter(|issue| issue.open).collect();
    assert_eq!(open.len(), 1);

    scene.site.repo.comment(open[0].number, "ann", "Take the second function.").await.unwrap();
    scene.model.set_script(ModelScript::from_answers(right_port_answers()));
    assert_eq!(parse_result(&scene.run().await), (&json!("bumped"), 0));
    let told = scene.model.request_log()[asked].body.to_string();
    assert!(told.contains("ann:\\nTake the second function."), "{told}");
    assert!(!told.contains("A flag\\n") && scene.site.questions().await.iter().all(|issue| !issue.open));
}
