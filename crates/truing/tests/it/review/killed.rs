//! Tests that a review leaves no processes and no files if a signal kills its `claude` program or the
//! `truing` process.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::Clock;
use truing_fakes::model::{ModelFault, ModelScript, ScriptedAnswer};
use truing_loops::machine::SystemClock;

use crate::review::adverse::ledger_sums_at;
use crate::review::claude::find_claude;
use crate::review::cli::with_program;
use crate::review::model::{Scene, finding, read_answer, report_answer};
use crate::review::place::{Ran, field_of_findings};

/// Maximum wait for an expected event.
const SOON: Duration = crate::support::HANGS;

/// Creates a scene with the `claude` program and a separate folder for temporary files.
fn scene(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Option<Scene> {
    let scene =
        with_program(Scene::new(ModelScript::from_answers(answers)), &find_claude()?.display().to_string());
    std::fs::create_dir(scene.place.home().join("tmp")).unwrap();
    Some(scene)
}

fn start_review(scene: &Scene) -> Child {
    let mut command = scene.command(&["--format", "json"]);
    command.env("TMPDIR", scene.place.home().join("tmp"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A clock that is one day ahead of the system's clock. By then, the reservation of a process that was killed
/// during a request has expired and counts as spent.
struct NextDayClock;

impl Clock for NextDayClock {
    fn now(&self) -> UnixMillis {
        SystemClock.now() + TimeSpan::seconds(24 * 60 * 60)
    }
}

/// Waits until the condition is true.
fn wait_until(label: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "{label}");
        std::thread::yield_now();
    }
}

/// Returns the ids of all direct and indirect child processes of this process, with the paths of their
/// executables.
pub(crate) fn descendants(root_process: u32) -> Vec<(i32, String)> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent = |number: i32| {
        let status = std::fs::read_to_string(format!("/proc/{number}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<i32>().ok())
    };
    let parents: Vec<(i32, i32)> = numbers.filter_map(|number| Some((number, parent(number)?))).collect();
    let mut known = BTreeSet::from([i32::try_from(root_process).unwrap()]);
    while let Some((number, _)) =
        parents.iter().find(|(number, parent)| known.contains(parent) && !known.contains(number))
    {
        known.insert(*number);
    }
    let program = |number: &i32| std::fs::read_link(format!("/proc/{number}/exe")).unwrap_or_default();
    let named = |number: &i32| (*number, program(number).display().to_string());
    known.iter().filter(|number| i32::try_from(root_process) != Ok(**number)).map(named).collect()
}

fn is_process_alive(number: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

/// A signal ends the `claude` program after its second request and before the response.
#[test]
fn a_program_that_is_ended_leaves_a_review_by_the_rules() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let slow = ScriptedAnswer { fault: Some(ModelFault::Slow { millis: 3000 }), ..read_answer("pay.py") };
        let Some(scene) = scene([read_answer("pay.py"), slow, report_answer(&[finding()])]) else { return };
        let child = start_review(&scene);
        wait_until("no second request came", || scene.model.request_log().len() == 2);
        let programs = descendants(child.id());
        let is_program = |(_, program): &&(i32, String)| program.ends_with("/claude");
        let claude: Vec<_> = programs.iter().filter(is_program).collect();
        assert_eq!(claude.len(), 1, "{programs:?}");
        kill_process(Pid::from_raw(claude[0].0).unwrap(), signal).unwrap();
        let ran = Ran::from(child.wait_with_output().unwrap());
        let told = ran.json();
        let reason = told["outcome"]["reason"].as_str().unwrap_or_default();
        assert_eq!((ran.exit, &told["outcome"]["kind"]), (1, &json!("partial")), "{signal:?}: {}", ran.err);
        assert!(reason.contains("claude ended"), "{signal:?}: {reason}");
        assert_eq!(field_of_findings(&told, "source"), ["rule"], "{signal:?}");
        assert_nothing_runs(&programs);
        assert_nothing_left(&scene, &format!("{signal:?}"));
    }
}

/// The `truing` process of a review is killed, each time at another moment of the run. The environment
/// variable `KILLS` sets the number of kills; the default is four.
#[test]
fn of_a_review_that_is_killed_nothing_is_left() {
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(4);
    for number in 0..kills {
        let slow = |answer: ScriptedAnswer| ScriptedAnswer {
            fault: Some(ModelFault::Slow { millis: 150 }),
            ..answer
        };
        let answers = [read_answer("pay.py"), slow(read_answer("b.py")), slow(report_answer(&[finding()]))];
        // If the killed review ended before the kill, it has recorded a finding. The model of the next review
        // then needs one more answer, with a verdict on this finding.
        let asked_again = report_answer(&[finding()]);
        let all = answers.clone().into_iter().chain(answers).chain([asked_again]);
        let Some(scene) = scene(all) else { return };
        let mut child = start_review(&scene);
        // The moments are spread over the first 1.5 seconds of the run, in mixed order.
        let moment = Duration::from_millis(u64::from(number * 617 % 1500_u32));
        let (_never, waits) = mpsc::channel::<()>();
        let _ = waits.recv_timeout(moment);
        let programs = descendants(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_nothing_runs(&programs);
        // The next review removes the files that the killed review left.
        let again = Ran::from(start_review(&scene).wait_with_output().unwrap());
        assert!(again.json()["outcome"]["kind"].is_string(), "{number}: {}", again.err);
        assert_nothing_left(&scene, &number.to_string());
    }
}

fn assert_nothing_runs(programs: &[(i32, String)]) {
    wait_until("a process is left", || !programs.iter().any(|(number, _)| is_process_alive(*number)));
}

fn assert_nothing_left(scene: &Scene, when: &str) {
    let files = std::fs::read_dir(scene.place.home().join("tmp")).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    assert!(files.is_empty(), "{when}: {files:?}");
    ledger_sums_at(scene, NextDayClock);
    let (spent, held) = ledger_sums_at(scene, SystemClock);
    assert_eq!(held, 0, "{when}");
    assert!(spent > 0 || scene.model.bills().is_empty(), "{when}");
}
