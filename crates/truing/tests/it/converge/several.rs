//! Tests of one command for several pull requests. The runs are concurrent and independent of each other.

use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use truing_fakes::forge::NewPull;
use truing_fakes::model::{
    KnownBug, ModelFault, ModelScript, ScriptedAnswer, ScriptedFix, ScriptedToolCall, StreamPosition as At,
};
use truing_fakes::repo::CommitBuilder;

use crate::converge::adverse::bug_and_fix_answers;
use crate::converge::place::Ran;
use crate::converge::pull::{BOT, Site, audit_review_headlines};
use crate::converge::scene::{BUG, RIGHT, WRONG};

/// Creates a site with the pull request that has the planted bug, and with this number of further pull
/// requests without the bug.
async fn site(others: u64, answers: impl IntoIterator<Item = ScriptedAnswer>) -> (Site, Vec<String>) {
    let site = Site::new("", answers).await;
    for other in 1..=others {
        let branch = format!("other-{other}");
        let commit = CommitBuilder::new("Add a word").write(format!("word_{other}.py"), "WORD = 1\n");
        site.repo.push(&branch, commit).await.unwrap();
        site.repo.open_pull(NewPull::from_branch(&branch)).await.unwrap();
    }
    let names = (site.number..=site.number + others).map(|number| format!("acme/shop#{number}")).collect();
    (site, names)
}

/// Parses the output of a command, which has one JSON value per line.
fn json_lines(ran: &Ran) -> Vec<Value> {
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{ran:?}"))).collect()
}

/// Returns the pull request and the end of the run from each line of the output.
fn target_ends(ran: &Ran) -> Vec<(Value, Value)> {
    json_lines(ran).into_iter().map(|line| (line["pr"].clone(), line["exit"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_side_by_side_and_a_signal_ends_them_all_and_each_can_be_gone_on_with() {
    // No request of an auditor gets a response. All auditors still send a request, which proves that no run
    // waits for another one.
    let (site, names) =
        site(2, [ScriptedAnswer::fault(ModelFault::Stall { after: At::Headers }).times(0)]).await;
    let mut command = site.command(&["--format", "json", &names[2], &names[0], &names[1], &names[0]]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while site.model.request_log().len() < 3 {
        assert!(began.elapsed() < crate::support::HANGS, "not all are at work");
        tokio::task::yield_now().await;
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let ran = tokio::task::spawn_blocking(|| Ran::from(child.wait_with_output().unwrap())).await.unwrap();
    let interrupted = |name: &String| (json!(name), json!("interrupted"));
    let expected: Vec<_> = [&names[2], &names[0], &names[1]].map(interrupted).into();
    assert_eq!((ran.exit, target_ends(&ran)), (130, expected), "{ran:?}");

    // Each interrupted run has released its lease. The next command resumes the runs one after the other.
    let runs: Vec<Value> = json_lines(&ran).iter().map(|line| line["run"].clone()).collect();
    let title = "The last element is left out";
    let mend = ScriptedFix {
        title: Some(title.into()),
        calls: vec![ScriptedToolCall::edit("total.py", WRONG, RIGHT)],
        declined: None,
    };
    let bug = KnownBug::new("total.py", WRONG.trim(), title);
    site.model.set_script(ModelScript::from_answers(
        ScriptedAnswer::for_auditors([bug]).into_iter().chain([ScriptedAnswer::for_fixer([mend])]),
    ));
    let asked = site.model.request_log().len();
    let ran = site.run_converge(&["--format", "json", "--serial", &names[2], &names[0], &names[1]]).await;
    let again = json_lines(&ran);
    assert_eq!(again.iter().map(|line| line["run"].clone()).collect::<Vec<_>>(), runs, "{ran:?}");
    assert!(again.iter().all(|line| line["exit"] == "converged"), "{ran:?}");
    assert_eq!((ran.exit, &again[1]["loops"]), (0, &json!(2)), "{ran:?}");
    let said: Vec<&str> = ran.err.lines().filter(|line| line.contains("Loop ")).collect();
    let first_of = |name: &str| said.iter().position(|line| line.starts_with(&format!("{name}: "))).unwrap();
    assert!(
        first_of(&names[2]) < first_of(&names[0]) && first_of(&names[0]) < first_of(&names[1]),
        "{said:?}"
    );
    let files = site.model.request_log().split_off(asked).into_iter().map(|request| {
        let text = request.body.to_string();
        ["word_2.py", "total.py", "word_1.py"].iter().position(|file| text.contains(file)).unwrap()
    });
    assert!(files.is_sorted(), "one was begun before another had ended");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_worked_on_keeps_no_other_waiting_and_the_highest_exit_code_is_told() {
    let (site, names) = site(1, ScriptedAnswer::for_auditors([])).await;
    let ran = site.run_converge(&["--format", "json", "/nonesuch", &names[1], "acme/shop#99"]).await;
    let told = json_lines(&ran);
    assert_eq!((ran.exit, told.len()), (3, 3), "{ran:?}");
    let reason = "`/nonesuch`: there is no such folder";
    assert_eq!(
        (&told[0]["pr"], &told[0]["exit"], &told[0]["reason"]),
        (&json!("/nonesuch"), &json!("refused"), &json!(reason))
    );
    assert_eq!((&told[1]["pr"], &told[1]["exit"]), (&json!(names[1]), &json!("converged")), "{ran:?}");
    assert_eq!(
        (&told[2]["pr"], &told[2]["exit"], &told[2]["code"]),
        (&json!("acme/shop#99"), &json!("error"), &json!("infrastructure"))
    );
    // The text output has the name of each target above its result.
    let ran = site.run_converge(&[&names[1], "./nonesuch"]).await;
    assert_eq!(ran.exit, 2, "{ran:?}");
    assert!(ran.out.starts_with(&format!("{}\nconverge: converged\n", names[1])), "{ran:?}");
    assert!(ran.err.contains("error: `./nonesuch`: there is no such folder\nhint: "), "{ran:?}");
    // At the end, the output has one line for each target.
    let last: Vec<&str> = ran.out.lines().rev().take(2).collect();
    assert_eq!(last[0], "./nonesuch: refused ($0.00): `./nonesuch`: there is no such folder");
    assert!(last[1].starts_with(&format!("{}: converged ($", names[1])), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_repositories_have_pull_requests_of_the_same_number_and_neither_is_the_other() {
    let site = Site::new("", bug_and_fix_answers()).await;
    let begin = CommitBuilder::new("Begin").write("a.py", "");
    let other = site.forge.create_repository("acme", "mill", begin).await.unwrap();
    other.set_role(BOT, "write").await.unwrap();
    other.push("topic", CommitBuilder::new("Add totals").write("total.py", BUG)).await.unwrap();
    let number = other.open_pull(NewPull { draft: true, ..NewPull::from_branch("topic") }).await.unwrap();
    assert_eq!(number, site.number);
    let (first, second) = (format!("acme/shop#{number}"), format!("acme/mill#{number}"));
    let ran = site.run_converge(&["--format", "json", &first, &second]).await;
    let told = json_lines(&ran);
    assert_eq!((ran.exit, told.len()), (0, 2), "{ran:?}");
    assert_ne!(told[0]["run"], told[1]["run"]);
    for (line, pull) in told.iter().zip([site.pull_view().await, other.pull(number).await.unwrap()]) {
        assert_eq!((&line["exit"], &line["loops"]), (&json!("converged"), &json!(2)), "{ran:?}");
        assert_eq!(
            (line["commits"].as_array().unwrap().len(), audit_review_headlines(&pull).len()),
            (1, 2),
            "{line}"
        );
        assert_eq!((&line["commits"][0], pull.draft), (&json!(pull.head), false));
    }
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

/// Maximum memory of the command for twenty pull requests, in kilobytes.
const MOST_KILOBYTES: u64 = 300_000;

/// Returns the peak memory of a process in kilobytes, or `None` if the process has exited.
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "the figure is the test's result")]
async fn twenty_at_once_take_less_memory_than_is_promised() {
    let (site, names) = site(19, bug_and_fix_answers()).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut command = tokio::process::Command::from(site.command(&[&["--format", "json"], &*names].concat()));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let process = child.id().unwrap();
    // Twenty results exceed the buffer of a pipe, so the test reads them while the command runs.
    let mut out = child.stdout.take().unwrap();
    let told = tokio::spawn(async move {
        let mut told = String::new();
        out.read_to_string(&mut told).await.unwrap();
        told
    });
    // The test reads the peak memory after each line on standard error; the last line is printed shortly
    // before the exit.
    let (mut said, mut most) = (BufReader::new(child.stderr.take().unwrap()).lines(), 0);
    while let Some(_line) = said.next_line().await.unwrap() {
        most = peak_memory(process).unwrap_or(0).max(most);
    }
    let (status, told) = (child.wait().await.unwrap(), told.await.unwrap());
    assert_eq!(status.code(), Some(0), "{told}");
    assert_eq!(told.matches("\"exit\":\"converged\"").count(), 20, "{told}");
    println!("20 pull requests at once: {most} kB at most (VmHWM)");
    assert!((1..MOST_KILOBYTES).contains(&most), "{most} kB");
}
