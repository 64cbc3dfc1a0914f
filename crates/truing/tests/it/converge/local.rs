//! Tests of runs on a branch of a local repository: the ways in which they end, and their results.

// long: one test for each way in which a local run ends; all tests share their helpers.

use std::time::Instant;

use serde_json::{Value, json};
use truing_fakes::model::{
    KnownBug, ModelFault, PromptRole, ScriptedAnswer, ScriptedBehaviour, ScriptedFix,
    ScriptedToolCall as FixCall, StreamPosition as At,
};

use crate::converge::place::Ran;
use crate::converge::scene::{
    BUG, BUG_ID, RIGHT, Scene, WRONG, absence_answer, audit_answer, clean_audit_answer, clean_fix_answer,
    edit, fix_report_answer, planted_bug_answer, write,
};

/// Returns the model's answers for a run that converges in two loops.
fn two_loop_answers() -> [ScriptedAnswer; 5] {
    [
        planted_bug_answer(),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]
}

fn run_end(answer: &(Value, i32)) -> (&str, &str, i32) {
    let (json, exit) = answer;
    (json["exit"].as_str().unwrap(), json["code"].as_str().unwrap(), *exit)
}

#[test]
fn a_planted_bug_is_mended_and_a_fresh_audit_finds_nothing() {
    let scene = Scene::new(two_loop_answers());
    let (before, head) = (scene.place.git(["status", "--porcelain"]), scene.place.git(["rev-parse", "HEAD"]));
    let ran = scene.run(&[]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(scene.model.violations(), Vec::<String>::new());
    insta::assert_snapshot!(scene.normalize_output(&ran));
    // The run does not change the checked-out branch. The fix is on another branch, which can be merged.
    assert_eq!(scene.place.git(["status", "--porcelain"]), before);
    assert_eq!(scene.place.git(["rev-parse", "topic"]), head);
    let branch = scene.branch().unwrap();
    scene.place.git(["merge", "--quiet", "--ff-only", &branch]);
    let text = std::fs::read_to_string(scene.place.repo().join("total.py")).unwrap();
    assert_eq!(text, BUG.replace(WRONG, RIGHT));
    assert_eq!(
        scene.place.git(["log", "-1", "--format=%an %s"]),
        "truing fix(review): count the last element"
    );

    // After the merge, the branch is already clean, so another run sends no request.
    let again = scene.json(&[]);
    assert_eq!((run_end(&again), &again.0["loops"]), (("converged", "already_clean", 0), &json!(0)));
    assert_eq!(scene.request_count(), 5);
}

#[test]
fn a_run_that_has_converged_is_told_again_and_not_paid_again() {
    let scene = Scene::new(two_loop_answers());
    let (first, exit) = scene.json(&[]);
    assert_eq!((exit, &first["loops"], &first["remaining"]), (0, &json!(2), &json!([])), "{first}");
    assert_eq!(
        first["audits"],
        json!([{ "loop": 1, "P0": 0, "P1": 1, "P2": 0 }, { "loop": 2, "P0": 0, "P1": 0, "P2": 0 }])
    );
    assert_eq!(first["commits"].as_array().unwrap().len(), 1);
    assert!(first["cost_micro_usd"].as_u64().unwrap() > 0);
    let paid = first["cost_micro_usd"].clone();
    assert_eq!(first["paid_now_micro_usd"], paid, "{first}");
    let expected = Value::Object(
        first
            .as_object()
            .unwrap()
            .clone()
            .into_iter()
            .chain([("paid_now_micro_usd".into(), json!(0))])
            .collect(),
    );
    assert_eq!(scene.json(&[]), (expected, 0));
    let text = scene.run(&[]).out;
    assert!(text.contains("\nPaid in this call: $0.00; the rest in earlier calls\n"), "{text}");
    assert_eq!(scene.request_count(), 5);
}

#[test]
fn a_clean_branch_needs_one_audit() {
    let scene = Scene::new([clean_audit_answer()]);
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("converged", "clean", 0));
    assert_eq!((&answer.0["loops"], &answer.0["commits"]), (&json!(1), &json!([])));
    assert_eq!((scene.branch(), scene.request_count()), (None, 1));
    let check = "[verify]\ncheck = [[\"false\"]]\n";
    let scene = Scene::new([clean_audit_answer()]).with_config(check).without_preflight();
    let unchecked = "`verify.check` was not run on this head; its result is unknown";
    assert_eq!(scene.json(&[]).0["warnings"], json!([unchecked]));
    let scene = Scene::new([clean_audit_answer()]).with_config("[verify]\ncheck = [[\"true\"]]\n");
    assert_eq!(scene.json(&[]).0["warnings"], json!([]), "the preflight ran it");
}

#[test]
fn what_nobody_can_mend_ends_stuck_and_is_named() {
    let scene =
        Scene::new([planted_bug_answer(), fix_report_answer(&[(BUG_ID, Some("the callers rely on it"))])]);
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("stuck", "nothing_fixed", 1));
    let declined = &answer.0["declined"];
    assert_eq!(
        (&declined[0]["path"], &declined[0]["start_line"]),
        (&json!("total.py"), &json!(3)),
        "{declined}"
    );
    assert_eq!((&answer.0["remaining"], &answer.0["commits"]), (&json!([]), &json!([])));
    let text = scene.run(&[]);
    assert_eq!(text.exit, 3, "the script has ended: {text:?}");
}

#[test]
fn after_the_last_audit_nothing_is_mended_that_nobody_would_audit() {
    let scene = Scene::new([planted_bug_answer()]);
    let answer = scene.json(&["--max-audits", "1"]);
    assert_eq!(run_end(&answer), ("cap-reached", "max_audits", 1));
    assert_eq!((answer.0["remaining"].as_array().unwrap().len(), scene.request_count()), (1, 1));

    let ran = Scene::new([planted_bug_answer()]).run(&["--max-audits", "1"]);
    let next = "\nTo continue:\n  truing --config ../op.toml converge --max-audits 2\n";
    assert!(ran.out.contains(next), "{ran:?}");
    let fixed = Scene::new(two_loop_answers()).with_config("[converge]\nfinal_fix = true\n");
    let ran = fixed.run(&["--max-audits", "1"]);
    let branch = fixed.branch().unwrap();
    let id = branch.strip_prefix("truing/run/").unwrap();
    let next = format!(
        "\nTo continue:\n  git switch -c fixes-{} {branch}\n  truing --config ../op.toml converge\n",
        &id[..8]
    );
    assert!(ran.out.contains(&next), "{ran:?}");
}

#[test]
fn several_auditors_look_side_by_side_and_what_they_say_is_one_list() {
    let other = json!({ "path": "total.py", "start_line": 5, "severity": "P0", "category": "A",
        "title": "The sum has no type", "body": "It returns an integer for floats.", "excerpt": "    \
            return s",
        "fix": "the type is told", "validation": "mypy" });
    let scene = Scene::new([planted_bug_answer(), audit_answer(&[other], "A"), clean_audit_answer()])
        .with_config("[converge]\nparallel_from = 1\nauditors = 3\nmax_audits = 1\n");
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("cap-reached", "max_audits", 1));
    assert_eq!(answer.0["audits"], json!([{ "loop": 1, "P0": 1, "P1": 1, "P2": 0 }]));
    assert_eq!(scene.request_count(), 3);
}

#[test]
fn an_auditor_that_gives_no_answer_is_asked_again_and_never_counts_as_clean() {
    // The model answers with prose twice, also after the request for a report. This counts as no answer.
    let prose = || ScriptedAnswer::text("Looks good to me.").usage(100, 10).times(2);
    let scene = Scene::new([prose(), prose()]);
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("error", "infrastructure", 3));
    let reason = answer.0["reason"].as_str().unwrap();
    assert!(reason.starts_with("no auditor gave a valid answer: "), "{reason}");
    assert_eq!(scene.request_count(), 4);

    // For a category without evidence, the run sends one more request.
    let scene = Scene::new([absence_answer("ABCDEFGHI"), clean_audit_answer()]);
    assert_eq!(run_end(&scene.json(&[])), ("converged", "clean", 0));
    let told = scene.model.request_log()[1].body.to_string();
    assert!(
        told.contains("report a finding or an absence with valid evidence for each of these categories: J"),
        "{told}"
    );

    // One of three auditors gives no valid answer. The loop then does not count as clean.
    let scene = Scene::new([clean_audit_answer().times(2), prose().times(4)])
        .with_config("[converge]\nparallel_from = 1\nmax_audits = 1\n");
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("cap-reached", "max_audits", 1), "{answer:?}");
}

#[test]
fn an_auditor_goes_on_without_an_mcp_server_that_fails_and_people_are_told() {
    let scene = Scene::new([clean_audit_answer()])
        .with_config("[mcp.docs]\ncommand = [\"/no/such/server\"]\ntools = [\"search\"]\n");
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("converged", "clean", 0), "{answer:?}");
    let warnings = answer.0["warnings"].to_string();
    let told = "continued without an MCP server: docs: its connection closed before a session began";
    assert!(warnings.contains(told), "{warnings}");
}

#[test]
fn a_fix_that_deletes_a_test_is_thrown_away_and_made_again() {
    let test = "from total import total\n\ndef test_total():\n    assert total([1, 2]) == 3\n";
    let scene = Scene::new([
        planted_bug_answer(),
        edit("test_total.py", "    assert total([1, 2]) == 3\n", "    pass\n"),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]);
    scene.place.write("test_total.py", test);
    scene.place.commit("test totals");
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("converged", "clean", 0), "{answer:?}");
    let branch = scene.branch().unwrap();
    assert_eq!(scene.place.git(["show", &format!("{branch}:test_total.py")]), test.trim_end());
    assert_eq!(answer.0["commits"].as_array().unwrap().len(), 1);
}

#[test]
fn a_check_that_fails_with_the_fix_alone_is_told_to_the_next_fixer() {
    let wrong = "    for i in range(len(xs) + 1):\n";
    let scene = Scene::new([
        planted_bug_answer(),
        edit("total.py", WRONG, wrong),
        fix_report_answer(&[(BUG_ID, None)]),
        edit("total.py", wrong, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ])
    .with_config(
        "[verify]\ncheck = [[\"sh\", \"-c\", \"! grep -q 'xs. + 1' total.py || \
         { echo out of range; exit 1; }\"]]\n",
    );
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("converged", "clean", 0), "{answer:?}");
    let told = scene.model.request_log()[3].body.to_string();
    assert!(told.contains("this check fails with the fix") && told.contains("out of range"), "{told}");
}

#[test]
fn a_run_says_where_checks_cannot_be_relied_on() {
    let warned = |check: &str| {
        let scene = Scene::new(two_loop_answers()).with_config(check).without_preflight();
        let answer = scene.json(&[]);
        assert_eq!(run_end(&answer), ("converged", "clean", 0), "{answer:?}");
        answer.0["warnings"].to_string()
    };
    let told = warned("[verify]\ncheck = [[\"false\"], [\"true\"]]\n");
    assert!(
        told.starts_with("[\"a check fails before any fix (false), so") && told.ends_with("something\"]"),
        "{told}"
    );
    assert_eq!(warned("[verify]\ncheck = [[\"true\"]]\n"), "[]");
    assert!(warned("").starts_with("[\"`verify.check` is not set; "));
}

#[test]
fn a_fix_of_what_the_gate_says_is_not_pushed_if_a_check_fails_with_it() {
    let gate = "! grep -n 'xs. - 1' total.py | sed 's/^/total.py:/' | grep .";
    let check = "! grep -q 'xs. + 1' total.py || { echo out of range; exit 1; }";
    let wrong = "    for i in range(len(xs) + 1):\n";
    let scene = Scene::new([
        edit("total.py", WRONG, wrong),
        fix_report_answer(&[]),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[]),
        clean_audit_answer(),
    ])
    .with_config(&format!(
        "[converge]\ngate = [[\"sh\", \"-c\", \"{gate}\"]]\n[verify]\ncheck = \
         [[\"sh\", \"-c\", \"{check}\"]]\n"
    ));
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("converged", "clean", 0), "{answer:?}");
    assert_eq!(answer.0["commits"].as_array().unwrap().len(), 1, "the wrong one was pushed");
    let told = scene.model.request_log()[2].body.to_string();
    assert!(told.contains("thrown away") && told.contains("out of range"), "{told}");
}

#[test]
fn a_gate_that_could_read_nothing_is_not_clean() {
    let scene = Scene::new([]);
    scene.place.write("total.py", "x = 1\n".repeat(2 << 20));
    scene.place.commit("count much more");
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("error", "infrastructure", 3), "{answer:?}");
    let reason = answer.0["reason"].as_str().unwrap();
    assert!(reason.starts_with("code rules gate could not run: ") && reason.contains("total.py"), "{reason}");
    assert_eq!(scene.request_count(), 0);
}

#[test]
fn a_gate_that_goes_on_blocking_ends_the_run_and_one_that_cannot_run_asks_nobody() {
    let gate = |script: &str| format!("[converge]\ngate = [[\"sh\", \"-c\", \"{script}\"]]\n");
    let idle = ScriptedAnswer::from_behaviour(ScriptedBehaviour::Fix { mends: vec![] })
        .for_role(PromptRole::Gate)
        .times(0);
    let scene = Scene::new([idle]).with_config(&gate("echo total.py:3: no; exit 1"));
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("error", "gate", 1), "{answer:?}");
    assert_eq!((&answer.0["loops"], scene.request_count()), (&json!(0), 5), "as often as is configured");

    let scene = Scene::new([]).with_config(&gate("echo no linter >&2; exit 2"));
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("error", "infrastructure", 3), "{answer:?}");
    let reason = answer.0["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("code rules gate could not run: ") && reason.contains("no linter"),
        "{reason}"
    );
    assert_eq!(scene.request_count(), 0);
}

#[test]
fn there_are_ten_audits_three_at_a_time_from_the_fourth_and_what_remains_is_counted() {
    let bad = |n: u32| format!("x{n} = {n} - 1");
    let bugs: Vec<KnownBug> =
        (1..=11).map(|n| KnownBug::new("many.py", &bad(n), &format!("Bug {n} is there"))).collect();
    let audits = ScriptedAnswer::from_behaviour(ScriptedBehaviour::Audit { bugs, silent: vec![] })
        .for_role(PromptRole::Audit)
        .times(0);
    let checks = ScriptedAnswer::from_behaviour(ScriptedBehaviour::Audit { bugs: vec![], silent: vec![] })
        .for_role(PromptRole::Check)
        .times(0);
    // Each of the ten fixers fixes one finding.
    let fixers = (1..=10).map(|n| {
        let calls = vec![FixCall::edit("many.py", &bad(n), &format!("x{n} = {n}"))];
        let mend = ScriptedFix { title: Some(format!("Bug {n} is there")), calls, declined: None };
        ScriptedAnswer::from_behaviour(ScriptedBehaviour::Fix { mends: vec![mend] })
            .for_role(PromptRole::Fix)
            .times(3)
    });
    let scene =
        Scene::new([audits, checks].into_iter().chain(fixers)).with_config("[budget]\nconverge_usd = 100\n");
    let text: String = (1..=11).map(|n| bad(n) + "\n\n\n\n\n\n\n\n").collect();
    scene.place.write("many.py", text);
    scene.place.commit("add many");
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("cap-reached", "max_audits", 1), "{answer:?}");
    let audits = answer.0["audits"].as_array().unwrap();
    let counts: Vec<u64> = audits.iter().map(|audit| audit["P1"].as_u64().unwrap()).collect();
    assert_eq!(counts, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
    let reason = answer.0["reason"].as_str().unwrap();
    assert_eq!(reason, "10 audits were made, and the last one found 0 P0, 2 P1 and 0 P2");
    // The two findings that the last fixer did not mention count as declined.
    assert_eq!(answer.0["declined"].as_array().unwrap().len(), 2);
    let fresh = scene.model.request_log().into_iter().filter(|asked| {
        let first = asked.body["messages"].as_array().map_or(0, Vec::len) == 1;
        let text = asked.body["messages"].to_string();
        first && text.contains("Review the change from") && !text.contains("# A fix")
    });
    assert_eq!(fresh.count(), 3 + 7 * 3, "auditors that began");
    assert_eq!(scene.model.violations(), Vec::<String>::new());
}

#[test]
fn files_that_a_fix_may_not_change_stay_as_they_are() {
    let scene = Scene::new([
        planted_bug_answer(),
        write(".github/workflows/ci.yml", "on: push\n"),
        edit("a.py", "import os\n", ""),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]);
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("converged", "clean", 0), "{answer:?}");
    let branch = scene.branch().unwrap();
    assert_eq!(scene.place.git(["diff", "--name-only", "topic", &branch]), "total.py");
    let log = scene.model.request_log();
    for (at, path) in [(2, ".github/workflows/ci.yml"), (3, "a.py")] {
        let told = log[at].body.to_string();
        assert!(told.contains(&format!("denied: `{path}`")), "{told}");
    }
    assert_eq!(answer.0["denied"], 2);
}

#[test]
fn money_that_is_used_up_ends_the_run_and_more_lets_it_go_on() {
    let mut scene = Scene::new([planted_bug_answer()]).with_config("[budget]\nconverge_usd = 0.005\n");
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("error", "budget", 4), "{answer:?}");
    let run = answer.0["run"].clone();
    assert_eq!(answer.0["loops"], 0, "an audit that cannot be paid for is not done");

    scene = scene.with_config("[budget]\nconverge_usd = 5\n");
    scene.set_answers(two_loop_answers().into_iter().skip(scene.request_count()));
    let answer = scene.json(&[]);
    assert_eq!((run_end(&answer), &answer.0["run"]), (("converged", "clean", 0), &run), "{answer:?}");
}

#[test]
fn a_run_that_was_killed_or_interrupted_goes_on_where_it_was() {
    for signal in ["-KILL", "-INT"] {
        // The fixer's request gets no answer, so the run hangs.
        let scene = Scene::new([
            planted_bug_answer(),
            ScriptedAnswer::fault(ModelFault::Stall { after: At::Headers }),
        ]);
        let child = scene
            .command(&["--format", "json", "--team", "t"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while scene.request_count() < 2 {
            assert!(began.elapsed() < crate::support::HANGS, "the fixer is not asked");
            std::thread::yield_now();
        }
        let second = scene.json(&[]);
        assert_eq!(run_end(&second), ("refused", "already_running", 4));
        let led = scene.json(&["--team", "t", "--lifecycle", "owned"]);
        let line = "Already leading team t; rerun with BUGTEAM_TEAM_LIFECYCLE=attach BUGTEAM_TEAM_NAME=t";
        assert_eq!((run_end(&led), &led.0["reason"]), (("refused", "leading", 4), &json!(line)));
        for how in ["attach", "auto"] {
            // The run may join the team; it is refused only because another run is active on the branch.
            let joined = scene.json(&["--team", "t", "--lifecycle", how]);
            assert_eq!(run_end(&joined), ("refused", "already_running", 4));
        }
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let mut run = None;
        if signal == "-INT" {
            let told: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!((output.status.code(), &told["exit"]), (Some(130), &json!("interrupted")));
            run = Some(told["run"].clone());
            let refused = second.0["reason"].as_str().unwrap();
            assert_eq!(refused, format!("already running: {}", told["run"].as_str().unwrap()));
        }
        scene.set_answers(two_loop_answers().into_iter().skip(1));
        let answer = scene.json(&[]);
        assert_eq!(
            (run_end(&answer), &answer.0["loops"]),
            (("converged", "clean", 0), &json!(2)),
            "{answer:?}"
        );
        assert!(run.is_none_or(|run| run == answer.0["run"]));
        assert_eq!(answer.0["commits"].as_array().unwrap().len(), 1);
    }
}

/// Returns the spent and reserved amounts of all runs in the ledger, in micro-dollars.
fn run_ledger(scene: &Scene) -> (u64, u64) {
    let ran = Ran::from(scene.other_command("budget", &["show", "--format", "json"]).output().unwrap());
    let levels = ran.json();
    let runs = levels.as_array().unwrap().iter().filter(|level| level["level"] == "run");
    runs.fold((0, 0), |(spent, held), level| {
        let sum = |name: &str| level[name].as_u64().unwrap();
        (spent + sum("spent_micro_usd"), held + sum("reserved_micro_usd"))
    })
}

fn reported_cost(scene: &Scene) -> Value {
    let ran = Ran::from(scene.other_command("report", &["--format", "json"]).output().unwrap());
    ran.json()["totals"]["cost_micro_usd"].take()
}

#[test]
fn what_a_run_costs_is_what_the_ledger_has_settled() {
    // The first two responses are truncated at different positions; all other responses are complete.
    let torn = |after| ScriptedAnswer {
        fault: Some(ModelFault::Truncated { after }),
        ..ScriptedAnswer::text("Let me see.")
    };
    let wrong = [torn(At::Text).usage(4000, 90), torn(At::Block).usage(4000, 90)];
    let scene = Scene::new(wrong.into_iter().chain(two_loop_answers()));
    let answer = scene.json(&[]);
    assert_eq!(run_end(&answer), ("converged", "clean", 0), "{answer:?}");
    let (spent, held) = run_ledger(&scene);
    assert!(spent > 2 * 4000 * 2, "{spent}");
    assert_eq!((&answer.0["cost_micro_usd"], held, reported_cost(&scene)), (&json!(spent), 0, json!(spent)));

    // A run is interrupted during a response, and then resumed.
    let scene = Scene::new([
        planted_bug_answer(),
        ScriptedAnswer { fault: Some(ModelFault::Stall { after: At::Text }), ..ScriptedAnswer::text("So.") },
    ]);
    let child = scene.command(&["--format", "json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while scene.model.bills().len() < 2 {
        assert!(began.elapsed() < crate::support::HANGS, "the fixer is not asked");
        std::thread::yield_now();
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let told: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let (spent, held) = run_ledger(&scene);
    assert_eq!((&told["exit"], held), (&json!("interrupted"), 0));
    assert_eq!((&told["cost_micro_usd"], reported_cost(&scene)), (&json!(spent), json!(spent)));
    scene.set_answers(two_loop_answers().into_iter().skip(1));
    let answer = scene.json(&[]);
    let (all, _) = run_ledger(&scene);
    assert_eq!((run_end(&answer), all > spent), (("converged", "clean", 0), true), "{answer:?}");
    assert_eq!((&answer.0["cost_micro_usd"], reported_cost(&scene)), (&json!(all), json!(all)));
}

#[test]
fn what_is_refused_is_said_in_one_line_and_nothing_is_touched() {
    let refused =
        |scene: &Scene, change: &dyn Fn(&mut std::process::Command), line: &str, code: &str, exit| {
            let before = scene.place.read_all_files();
            let mut command = scene.command(&["--format", "json"]);
            change(&mut command);
            let ran = Ran::from(command.output().unwrap());
            assert_eq!(ran.exit, exit, "{ran:?}");
            assert!(ran.err.starts_with(&format!("error: {line}\n")), "{ran:?}");
            let told = ran.json();
            assert_eq!(
                (&told["exit"], &told["code"], &told["reason"]),
                (&json!("refused"), &json!(code), &json!(line))
            );
            assert_eq!(told["error"]["message"], json!(line));
            assert_eq!((scene.request_count(), scene.branch()), (0, None));
            assert!(scene.place.read_all_files() == before, "files were changed");
        };
    let nothing = |_: &mut std::process::Command| {};
    let scene = Scene::new([]);
    let off = |command: &mut std::process::Command| {
        command.env("CLAUDE_REVIEWS_DISABLED", "copilot, BugTeam ");
    };
    refused(&scene, &off, "converge is disabled via CLAUDE_REVIEWS_DISABLED", "disabled", 4);
    let keyless = |command: &mut std::process::Command| {
        command.env_remove("ANTHROPIC_API_KEY");
    };
    let line = "the auditor has no model: model.api_key: variable ANTHROPIC_API_KEY is not set (required)";
    refused(&scene, &keyless, line, "no_agent", 2);
    let alone = |command: &mut std::process::Command| {
        command.env("BUGTEAM_TEAM_LIFECYCLE", " Attach ");
    };
    let line = "BUGTEAM_TEAM_LIFECYCLE=attach requires BUGTEAM_TEAM_NAME to name an existing team.";
    refused(&scene, &alone, line, "no_team", 2);
    let nobody = |command: &mut std::process::Command| {
        command.args(["--lifecycle", "attach", "--team", "t"]);
    };
    refused(&scene, &nobody, line, "no_team", 2);
    scene.place.write("new.py", "x = 1\n");
    let line = "Uncommitted changes detected. Stash, commit, or revert them first.";
    refused(&scene, &nothing, line, "uncommitted", 2);
    std::fs::remove_file(scene.place.repo().join("new.py")).unwrap();
    scene.place.git(["checkout", "--quiet", "main"]);
    refused(&scene, &nothing, "No PR or upstream diff: there is nothing to work on.", "no_target", 2);
}

#[test]
fn an_audit_alone_changes_nothing() {
    let scene = Scene::new([planted_bug_answer(), clean_audit_answer()]);
    let before = scene.place.read_all_files();
    let ran = scene.audit(&[]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    insta::assert_snapshot!(scene.normalize_output(&ran));
    let ran = scene.audit(&["--format", "json"]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["ok"], &told["findings"]), (0, &json!(true), &json!([])), "{ran:?}");
    assert!(scene.place.read_all_files() == before, "files were changed");
    assert_eq!(
        (scene.json(&[]).0["loops"].clone(), scene.request_count()),
        (json!(1), 2),
        "the last one is taken up"
    );
}

#[test]
fn a_fix_that_nobody_could_look_at_is_refused() {
    let right = BUG.replace(WRONG, RIGHT);
    let scene = Scene::new([
        planted_bug_answer(),
        write("total.py", &format!("{right}\0")),
        fix_report_answer(&[(BUG_ID, None)]),
        write("total.py", &right),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]);
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
    let asked = format!("{:?}", scene.model.request_log());
    assert!(asked.contains("turns `total.py` into binary data"), "the next fixer is told");
    assert_eq!(told["commits"].as_array().map(Vec::len), Some(1), "{told}");
}

#[test]
fn what_was_not_audited_is_said() {
    let scene = Scene::new([clean_audit_answer()]);
    scene.place.write("data.bin", "a\0b");
    scene.place.commit("add data");
    let (told, exit) = scene.json(&[]);
    assert_eq!(exit, 0, "{told}");
    let warnings = told["warnings"].as_array().unwrap();
    assert!(warnings.contains(&json!("not audited: data.bin (binary)")), "{told}");
}

#[test]
fn what_was_clean_by_one_gate_is_looked_at_anew_by_another() {
    let scene = Scene::new([clean_audit_answer()]);
    assert_eq!(scene.run(&[]).exit, 0);
    let again = scene.run(&[]);
    assert_eq!((again.exit, scene.request_count()), (0, 1), "{again:?}");
    let scene = scene.with_config("[converge]\ngate = [[\"false\"]]\ngate_rounds = 1\n");
    // The new gate fails, so the run starts a fixer. The scripted model has no answer for it.
    let (told, _) = scene.json(&[]);
    assert_ne!(told["exit"], json!("converged"), "{told}");
    assert!(scene.request_count() > 1, "{told}");
}

#[test]
fn a_branch_that_cannot_be_written_is_told_before_a_model_is_asked() {
    let scene = Scene::new([clean_audit_answer()]);
    scene.place.git(["branch", "truing/run"]);
    let ran = scene.run(&[]);
    assert_eq!((ran.exit, scene.request_count()), (3, 0), "{ran:?}");
    assert!(
        ran.err.contains("error: cannot create branch truing/run/") && ran.err.contains("`git branch -m "),
        "{ran:?}"
    );
    // An audit needs no branch, so it succeeds.
    assert_eq!(scene.audit(&[]).exit, 0);
}

#[test]
fn an_audit_without_an_answer_says_so_as_every_error_is_said() {
    let prose = || ScriptedAnswer::text("Looks good to me.").usage(100, 10).times(4);
    let ran = Scene::new([prose()]).audit(&[]);
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert!(ran.err.contains("error: no auditor gave a valid answer: "), "{ran:?}");
    assert!(ran.err.contains("hint: run the command again, or set another model"), "{ran:?}");
    let ran = Scene::new([prose()]).audit(&["--format", "json"]);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.exit, &answer["ok"], &answer["error"]["code"]),
        (3, &json!(false), &json!("infrastructure"))
    );
    assert_eq!(answer["error"]["message"], answer["reason"]);
}
