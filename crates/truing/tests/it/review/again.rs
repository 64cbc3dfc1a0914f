//! Tests of repeated local reviews of the same branch. A finding of a model stays open until the model has
//! quoted code that proves the fix.

use serde_json::{Value, json};
use truing_fakes::model::{AnswerCondition, ScriptedAnswer};

use crate::review::claude::find_claude;
use crate::review::model::{Scene, finding, report_answer};
use crate::review::place::field_of_findings;

/// Content of the only changed file: the first version, with the defect.
const SWALLOWS: &str =
    "def pay(x):\n    try:\n        charge(x)\n    except Exception:\n        return None\n";

fn scene() -> Scene {
    let scene = Scene::from_answers([]);
    std::fs::remove_file(scene.place.repo().join("b.py")).unwrap();
    scene.place.git(["checkout", "--quiet", "-b", "pay"]);
    scene.place.write("pay.py", SWALLOWS);
    scene
}

/// Runs a review with these model answers. Returns the exit code and the JSON output.
fn run_review(
    scene: &Scene,
    answers: impl IntoIterator<Item = ScriptedAnswer>,
    arguments: &[&str],
) -> (i32, Value) {
    scene.model.set_script(truing_fakes::model::ModelScript::from_answers(answers));
    let ran = scene.review(arguments);
    assert!(ran.exit < 2, "{}", ran.err);
    (ran.exit, ran.json())
}

fn silent_answer() -> ScriptedAnswer {
    report_answer(&[]).times(0)
}

/// Returns an answer of a model that gives this verdict on the only earlier finding.
fn verdict_answer(told: &Value, verdict: &Value) -> ScriptedAnswer {
    let mut verdict = verdict.clone();
    verdict["id"] = told["findings"][0]["id"].clone();
    ScriptedAnswer::tool("report", json!({ "findings": [], "verdicts": [verdict] })).usage(1000, 100)
}

fn fixed_verdict(line: u32, excerpt: &str) -> Value {
    json!({ "verdict": "fixed", "start_line": line, "end_line": line, "excerpt": excerpt })
}

#[test]
fn a_finding_that_a_silent_model_does_not_repeat_is_open_again_whatever_was_renamed() {
    let scene = scene();
    let (exit, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    assert_eq!((exit, &first["findings"][0]["status"]), (1, &json!("open")));
    let id = &first["findings"][0]["id"];
    let open = |text: &str, line: u32, unverified: Value| {
        scene.place.write("pay.py", text);
        let (exit, told) = run_review(&scene, [silent_answer()], &[]);
        let one = &told["findings"][0];
        assert_eq!(
            (exit, field_of_findings(&told, "id"), &one["status"]),
            (1, vec![id], &json!("open")),
            "{told:#}"
        );
        assert_eq!((&one["start_line"], &one["unverified"]), (&json!(line), &unverified), "{told:#}");
        told
    };
    // The file does not change.
    open(SWALLOWS, 4, Value::Null);
    // The lines of the finding are moved and reformatted.
    open(
        &format!("import os\n\n{}", SWALLOWS.replace("        return None", "            return None")),
        6,
        Value::Null,
    );
    // The lines of the finding are changed, but the defect is still there.
    let renamed = SWALLOWS.replace("except Exception:", "except Exception as error:");
    let told = open(&renamed, 4, json!("no_verdict"));
    // The verdict `fixed` is rejected if its quotation is missing, is not in the file, or is not a changed
    // line.
    for verdict in [
        json!({ "verdict": "fixed" }),
        fixed_verdict(4, "raise Refused from error"),
        fixed_verdict(1, "def pay(x):"),
    ] {
        let (exit, told) = run_review(&scene, [verdict_answer(&told, &verdict)], &[]);
        let one = &told["findings"][0];
        assert_eq!((exit, &one["unverified"]), (1, &json!("no_evidence")), "{told:#}");
    }
    // The finding also stays open in a review by rules alone, and in a review whose model is unreachable.
    let rules = scene.place.report(&[]);
    assert_eq!(
        (field_of_findings(&rules, "id"), &rules["findings"][0]["unverified"]),
        (vec![id], &json!("not_reviewed"))
    );
    // The text and Markdown output also say that the finding was not verified.
    for format in ["text", "markdown"] {
        let ran = scene.place.review(&["--format", format]);
        let folded = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.exit == 1 && folded.contains("not verified as still present"), "{}", ran.out);
    }
}

/// A finding in a file outside of the change stays open as long as there is a change.
#[test]
fn a_finding_in_a_file_that_the_change_does_not_touch_stays_open_too() {
    let scene = scene();
    scene.place.write("use.py", SWALLOWS);
    scene.place.git(["add", "use.py"]);
    scene.place.git(["commit", "--quiet", "--no-verify", "-m", "use"]);
    scene.place.write("pay.py", "def pay(x):\n    return x\n");
    let mut beside = finding();
    beside["path"] = json!("use.py");
    let (exit, first) = run_review(&scene, [report_answer(&[beside])], &["--base", "HEAD"]);
    assert_eq!((exit, field_of_findings(&first, "path")), (1, vec![&json!("use.py")]), "{first:#}");
    let there = json!({ "verdict": "still_there", "start_line": 4, "end_line": 5,
        "excerpt": "except Exception:\n        return None" });
    for answer in [silent_answer(), verdict_answer(&first, &there)] {
        let (exit, told) = run_review(&scene, [answer], &["--base", "HEAD"]);
        assert_eq!((exit, field_of_findings(&told, "id")), (1, field_of_findings(&first, "id")), "{told:#}");
    }
    // Without any change, there is nothing to review, so there is no finding.
    std::fs::remove_file(scene.place.repo().join("pay.py")).unwrap();
    assert_eq!(run_review(&scene, [silent_answer()], &["--base", "HEAD"]).0, 0);
}

#[test]
fn a_finding_is_fixed_by_the_lines_that_show_it_and_not_while_its_own_are_there() {
    let scene = scene();
    let (_, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    // The file has not changed, so the verdict `fixed` is rejected.
    let own = json!({ "verdict": "fixed", "start_line": 4, "end_line": 5,
        "excerpt": "except Exception:\n        return None" });
    let (exit, told) = run_review(&scene, [verdict_answer(&first, &own)], &[]);
    assert_eq!((exit, told["findings"].as_array().unwrap().len()), (1, 1), "{told:#}");
    // The lines have changed, and the model quotes the defect in them. The finding moves there and keeps its
    // id.
    let renamed = SWALLOWS.replace("except Exception:", "except Exception as error:");
    scene.place.write("pay.py", &renamed);
    let there = json!({ "verdict": "still_there", "start_line": 4, "end_line": 4,
        "excerpt": "except Exception as error:" });
    let (exit, told) = run_review(&scene, [verdict_answer(&first, &there)], &[]);
    let one = &told["findings"][0];
    assert_eq!((exit, &one["id"], &one["end_line"]), (1, &first["findings"][0]["id"], &json!(4)), "{told:#}");
    assert_eq!(one.get("unverified"), None);
    // The model quotes the changed line that fixes the defect.
    scene.place.write("pay.py", renamed.replace("Exception as error", "Refused").as_str());
    let (exit, told) =
        run_review(&scene, [verdict_answer(&first, &fixed_verdict(4, "    except Refused:"))], &[]);
    assert_eq!((exit, &told["findings"]), (0, &json!([])), "{told:#}");
    // The finding stays fixed until its lines are in the file again.
    assert_eq!(run_review(&scene, [silent_answer()], &[]).0, 0);
    scene.place.write("pay.py", &renamed);
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, field_of_findings(&told, "id")), (1, vec![&first["findings"][0]["id"]]), "{told:#}");
}

/// A dismissal ends when the lines of its finding change.
#[test]
fn a_dismissal_ends_with_the_lines_that_it_was_said_of() {
    let scene = scene();
    let (_, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    let id = first["findings"][0]["id"].as_str().unwrap();
    let dismiss = || {
        let dismissed = scene.place.command(&["dismiss", id, "--reason", "wanted here"]).output().unwrap();
        assert!(dismissed.status.success(), "{dismissed:?}");
    };
    dismiss();
    let seen = |text: &str, answer: ScriptedAnswer| {
        scene.place.write("pay.py", text);
        let (exit, told) = run_review(&scene, [answer], &[]);
        (exit, field_of_findings(&told, "id").into_iter().cloned().collect::<Vec<Value>>(), told)
    };
    // The dismissal still applies if the lines are moved or reindented.
    let moved =
        format!("import os\n\n{}", SWALLOWS.replace("        return None", "            return None"));
    let (exit, ids, told) = seen(&moved, silent_answer());
    assert_eq!((exit, ids), (0, vec![]), "{told:#}");
    // After a change of the lines, the finding is open again, and the model must give a verdict on it.
    let renamed = SWALLOWS.replace("except Exception:", "except Exception as error:");
    let (exit, ids, told) = seen(&renamed, silent_answer());
    assert_eq!((exit, ids), (1, vec![json!(id)]), "{told:#}");
    assert_eq!(told["findings"][0]["unverified"], "no_verdict");
    assert!(
        scene
            .model
            .request_log()
            .last()
            .unwrap()
            .body
            .to_string()
            .contains("has no entry for these open findings")
    );
    // Another review, with or without a model, also reports the finding.
    assert_eq!(seen(&renamed, silent_answer()).0, 1);
    assert_eq!(field_of_findings(&scene.place.report(&[]), "id"), [&json!(id)]);
    // The dismissal applies again if the original lines are back. The finding on the changed lines can also
    // be dismissed.
    assert_eq!(seen(SWALLOWS, silent_answer()).0, 0);
    assert_eq!(seen(&renamed, silent_answer()).0, 1);
    dismiss();
    assert_eq!(seen(&renamed, silent_answer()).0, 0);
    // If the lines are deleted, the dismissed finding needs no verdict.
    assert_eq!(seen("def pay(x):\n    charge(x)\n", silent_answer()).0, 0);
}

#[test]
fn a_dismissal_is_told_as_long_as_it_holds_and_open_again_once_it_is_taken_back() {
    let scene = scene();
    let (_, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    let id = first["findings"][0]["id"].as_str().unwrap();
    let dismiss = |more: &[&str]| {
        let dismissed = scene.place.command(&[&["dismiss", id], more].concat()).output().unwrap();
        assert!(dismissed.status.success(), "{dismissed:?}");
    };
    dismiss(&["--reason", "wanted here"]);
    for _ in 0..3 {
        let (exit, told) = run_review(&scene, [silent_answer()], &[]);
        assert_eq!((exit, &told["dismissed"][0]["id"]), (0, &json!(id)), "{told:#}");
        assert_eq!(field_of_findings(&told, "id"), Vec::<&Value>::new());
    }
    dismiss(&["--undo"]);
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, field_of_findings(&told, "id")), (1, vec![&json!(id)]), "{told:#}");
}

#[test]
fn a_model_is_told_what_is_open_and_a_verdict_that_is_missing_is_asked_for_once() {
    let scene = scene();
    let (_, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    let asked = |at: usize| scene.model.request_log()[at].body.to_string();
    assert!(!asked(0).contains("What was reviewed before"));
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    let log = scene.model.request_log();
    let last = log.last().unwrap().body.to_string();
    assert!(
        last.contains("What was reviewed before") && last.contains("its lines when it was last seen"),
        "{last}"
    );
    assert!(last.contains("or of a working tree at it") && last.contains("The diff since the last review:"));
    assert!(last.contains("`verdicts` has no entry for these open findings"), "{last}");
    // The model gave no verdict on the finding, but the review still counts as complete.
    assert_eq!((exit, &told["turns"], &told["outcome"]["kind"]), (1, &json!(2), &json!("reviewed")));
    // The model reports a new finding and omits the old one. When the missing verdict is requested, it
    // answers with prose. The new finding is kept.
    let mut second = finding();
    (second["start_line"], second["end_line"], second["title"]) =
        (json!(3), json!(3), json!("Charges twice"));
    (second["category"], second["excerpt"]) = (json!("I"), json!("charge(x)"));
    let (_, told) =
        run_review(&scene, [report_answer(&[second]), ScriptedAnswer::text("All is said.").times(0)], &[]);
    assert_eq!(
        (field_of_findings(&told, "category").len(), &told["outcome"]["kind"]),
        (2, &json!("reviewed")),
        "{told:#}"
    );
    assert!(field_of_findings(&told, "id").contains(&&first["findings"][0]["id"]));
}

#[test]
fn each_branch_and_the_index_have_findings_of_their_own() {
    let scene = scene();
    let (_, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    scene.place.commit("pay");
    assert_eq!(run_review(&scene, [silent_answer()], &[]).0, 1, "committed, it is as open");
    assert_eq!(run_review(&scene, [silent_answer()], &["--head", "HEAD"]).0, 1, "and as that commit");
    assert_eq!(run_review(&scene, [silent_answer()], &["--head", "pay"]).0, 1, "and by its branch's name");
    assert_eq!(
        run_review(&scene, [silent_answer()], &["--no-record"]).0,
        0,
        "without records nobody remembers"
    );
    let patch = scene.place.git(["diff", "main", "pay"]) + "\n";
    std::fs::write(scene.place.home().join("given.diff"), patch).unwrap();
    assert_eq!(
        run_review(&scene, [silent_answer()], &["--diff", "../given.diff"]).0,
        0,
        "a diff is of no branch"
    );
    // Another branch has a different file with the same name; the finding does not apply there.
    scene.place.git(["checkout", "--quiet", "-b", "other", "main"]);
    scene.place.write("pay.py", "def pay(x):\n    charge(x)\n");
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, &told["findings"]), (0, &json!([])), "{told:#}");
    scene.place.commit("other");
    // The file is deleted, so the change no longer contains it.
    scene.place.git(["checkout", "--quiet", "pay"]);
    scene.place.write("pay.py", "def paid(x):\n    pass\n");
    scene.place.git(["add", "--all"]);
    assert_eq!(
        run_review(&scene, [silent_answer()], &["--staged"]).0,
        0,
        "what is staged is another line of work"
    );
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, field_of_findings(&told, "id")), (1, vec![&first["findings"][0]["id"]]));
    scene.place.git(["rm", "--quiet", "--force", "pay.py"]);
    scene.place.write("new.py", "x = 1\n");
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!(
        (exit, &told["findings"][0]["unverified"]),
        (1, &json!("no_verdict")),
        "deleted is not fixed: {told:#}"
    );
    let (exit, told) = run_review(&scene, [verdict_answer(&first, &json!({ "verdict": "fixed" }))], &[]);
    assert_eq!((exit, &told["findings"]), (0, &json!([])), "unless somebody says so: {told:#}");
}

/// A finding is not fixed if its file leaves the change and comes back later.
#[test]
fn what_is_put_aside_and_taken_up_again_is_open_again_and_owed() {
    let scene = scene();
    let (before, renamed) = (
        "def pay(x):\n    return None\n",
        SWALLOWS.replace("except Exception:", "except Exception as error:"),
    );
    scene.place.write("pay.py", before);
    scene.place.git(["add", "pay.py"]);
    scene.place.git(["commit", "--quiet", "--no-verify", "--message", "before"]);
    scene.place.git(["branch", "--quiet", "--force", "main"]);
    scene.place.write("pay.py", SWALLOWS);
    scene.place.write("new.py", "x = 1\n");
    let (_, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    for text in [SWALLOWS, &renamed] {
        scene.place.write("pay.py", text);
        assert_eq!(run_review(&scene, [silent_answer()], &[]).0, 1);
        scene.place.write("pay.py", before);
        assert_eq!(run_review(&scene, [silent_answer()], &[]).0, 0);
        scene.place.write("pay.py", text);
        let (exit, told) = run_review(&scene, [silent_answer()], &[]);
        assert_eq!(
            (exit, field_of_findings(&told, "id")),
            (1, vec![&first["findings"][0]["id"]]),
            "{told:#}"
        );
        let last = scene.model.request_log().last().unwrap().body.to_string();
        assert!(last.contains("`verdicts` has no entry for these open findings"), "{last}");
    }
}

#[test]
fn a_branch_that_is_named_anew_or_left_keeps_its_findings_where_their_lines_are() {
    let scene = scene();
    let (_, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    let id = vec![&first["findings"][0]["id"]];
    scene.place.commit("pay");
    assert_eq!(run_review(&scene, [silent_answer()], &[]).0, 1);
    for command in [
        &["branch", "--quiet", "--move", "pay", "paid"][..],
        &["checkout", "--quiet", "--detach"],
        &["checkout", "--quiet", "-b", "stacked"],
    ] {
        scene.place.git(command);
        let (exit, told) = run_review(&scene, [silent_answer()], &[]);
        assert_eq!((exit, field_of_findings(&told, "id")), (1, id.clone()), "{command:?}: {told:#}");
    }
    // In another working tree of the repository, the review also reports the finding.
    scene.place.git(["checkout", "--quiet", "--detach"]);
    scene.place.git(["worktree", "add", "--quiet", "../linked", "stacked"]);
    scene.model.set_script(truing_fakes::model::ModelScript::from_answers([silent_answer()]));
    let ran = scene.review(&["../linked"]);
    assert_eq!((ran.exit, field_of_findings(&ran.json(), "id")), (1, id.clone()), "{}", ran.err);
    scene.place.git(["worktree", "remove", "--force", "../linked"]);
    scene.place.git(["checkout", "--quiet", "stacked"]);
    // An earlier review reported the finding on this branch, so it stays open until the model says that it is
    // fixed.
    scene.place.write("pay.py", "def pay(x):\n    charge(x)\n");
    assert_eq!(run_review(&scene, [silent_answer()], &[]).0, 1);
    // On a branch that was never reviewed, only findings in its own code count.
    scene.place.git(["checkout", "--quiet", "--force", "-b", "fixed", "paid"]);
    scene.place.write("pay.py", "def pay(x):\n    charge(x)\n");
    assert_eq!(run_review(&scene, [silent_answer()], &[]).0, 0);
}

#[test]
fn the_program_in_between_changes_nothing() {
    let Some(program) = find_claude() else { return };
    let config = format!("[review]\nclaude = {:?}\n", program.display().to_string());
    let scene = scene().with_config(&config).with_runtime("cli");
    let (_, first) = run_review(&scene, [report_answer(&[finding()])], &[]);
    scene.place.write("pay.py", SWALLOWS.replace("Exception:", "Exception as error:").as_str());
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, &told["findings"][0]["unverified"]), (1, &json!("no_verdict")), "{told:#}");
    scene.place.write("pay.py", SWALLOWS.replace("Exception:", "Refused:").as_str());
    let (exit, told) =
        run_review(&scene, [verdict_answer(&first, &fixed_verdict(4, "    except Refused:"))], &[]);
    assert_eq!((exit, &told["findings"]), (0, &json!([])), "{told:#}");
}

#[test]
fn of_several_reviewers_one_has_to_show_it_and_none_may_object() {
    test_several_findings("native", "");
    let Some(program) = find_claude() else { return };
    test_several_findings("cli", &format!("claude = {:?}\n", program.display().to_string()));
}

/// Runs the test with this runtime, and with these lines in the section `[review]` of the operator's
/// configuration.
fn test_several_findings(runtime: &'static str, config: &str) {
    let begun = || {
        let scene =
            scene().with_config(&format!("[review]\nspecialists = true\n{config}")).with_runtime(runtime);
        scene.place.git(["remote", "add", "origin", "https://example.com/acme/shop.git"]);
        let (_, first) = run_review(&scene, [report_answer(&[finding()]).times(0)], &[]);
        scene.place.write("pay.py", SWALLOWS.replace("Exception:", "Refused:").as_str());
        (scene, first)
    };
    let security = |answer: ScriptedAnswer| ScriptedAnswer {
        condition: AnswerCondition {
            first_message: vec!["Look for holes".to_owned()],
            ..AnswerCondition::default()
        },
        ..answer
    };
    let shown = fixed_verdict(4, "    except Refused:");
    let there =
        json!({ "verdict": "still_there", "start_line": 4, "end_line": 4, "excerpt": "except Refused:" });
    // Without a verdict, the finding stays open.
    let (scene, first) = begun();
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    let one = &told["findings"][0];
    assert_eq!(
        (exit, field_of_findings(&told, "id"), &one["unverified"]),
        (1, vec![&first["findings"][0]["id"]], &json!("no_verdict")),
        "{runtime}: {told:#}"
    );
    assert_eq!(told["outcome"]["runtime"], json!(runtime), "{told:#}");
    let (scene, first) = begun();
    let (exit, told) = run_review(
        &scene,
        [security(verdict_answer(&first, &there)), verdict_answer(&first, &shown).times(0)],
        &[],
    );
    assert_eq!(
        (exit, told["findings"].as_array().unwrap().len()),
        (1, 1),
        "{runtime}: one objects: {told:#}"
    );
    let (scene, first) = begun();
    let (exit, told) = run_review(&scene, [security(verdict_answer(&first, &shown)), silent_answer()], &[]);
    assert_eq!((exit, &told["findings"]), (0, &json!([])), "{runtime}: one shows it: {told:#}");
}

/// A file with a call whose amount is not checked; the next constant is the file with the called function. A
/// check in either file would fix the finding.
const CHARGES: &str =
    "def pay(order):\n    total = order.total\n    charge(order, total)\n    return total\n";
const BANK: &str = "def charge(order, amount):\n    send(order, amount)\n";

/// Reviews these two files with a model that reports the missing check. Returns the scene and the output.
fn review_missing_check() -> (Scene, Value) {
    let scene = scene();
    scene.place.write("pay.py", CHARGES);
    scene.place.write("bank.py", BANK);
    let finding = json!({ "path": "pay.py", "start_line": 3, "end_line": 3, "severity": "P1", "category": "H",
        "title": "Nobody checks the amount", "body": "A negative total pays the customer.",
        "excerpt": "charge(order, total)" });
    let (exit, first) = run_review(&scene, [report_answer(&[finding])], &[]);
    assert_eq!((exit, &first["fixed"]), (1, &Value::Null), "{first:#}");
    (scene, first)
}

#[test]
fn a_fix_that_leaves_the_lines_alone_is_shown_by_what_is_new() {
    let (scene, first) = review_missing_check();
    let id = &first["findings"][0]["id"];
    let open = |verdict: Value| {
        let (exit, told) = run_review(&scene, [verdict_answer(&first, &verdict)], &[]);
        assert_eq!(
            (exit, field_of_findings(&told, "id"), &told["fixed"]),
            (1, vec![id], &Value::Null),
            "{told:#}"
        );
    };
    // The files have not changed, so no quotation proves a fix.
    open(fixed_verdict(2, "    total = order.total"));
    open(json!({ "verdict": "fixed", "path": "bank.py", "start_line": 2, "excerpt": "send(order, amount)" }));
    // The quoted lines are a comment, reformatted code, and unrelated new code. None of them proves a fix.
    let formatted = "def pay(order):\n    # the amount is \
         checked\n    total  =  order.total\n    charge(\n        order,\n        total,\n    )\n    return \
         total\n";
    scene.place.write("pay.py", formatted);
    scene
        .place
        .write("bank.py", format!("{BANK}\n\ndef refund(order):\n    checked = order.total\n").as_str());
    open(fixed_verdict(2, "# the amount is checked"));
    open(json!({ "verdict": "fixed", "start_line": 3, "end_line": 5, "excerpt": "total  =  \
            order.total\ncharge(\norder," }));
    open(
        json!({ "verdict": "fixed", "path": "bank.py", "start_line": 6, "excerpt": "checked = order.total" }),
    );

    // The change adds a check before the call. Without a verdict of the model, the finding stays open.
    let guarded = CHARGES.replace("    charge", "    if total < 0:\n        raise Refused\n    charge");
    scene.place.write("pay.py", &guarded);
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, field_of_findings(&told, "id")), (1, vec![id]), "{told:#}");
    let (exit, told) =
        run_review(&scene, [verdict_answer(&first, &fixed_verdict(3, "    if total < 0:"))], &[]);
    let evidence = json!({ "path": "pay.py", "start_line": 3, "end_line": 3, "text": "    if total < 0:" });
    assert_eq!((exit, &told["findings"]), (0, &json!([])), "{told:#}");
    let one = &told["fixed"][0];
    assert_eq!((&one["id"], &one["status"], &one["evidence"]), (id, &json!("fixed"), &evidence), "{told:#}");
    // The fix is reported only once. If the check is removed later, the finding is open again.
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, &told["fixed"]), (0, &Value::Null), "{told:#}");
    scene.place.write("pay.py", CHARGES);
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, field_of_findings(&told, "id")), (1, vec![id]), "{told:#}");
}

#[test]
fn a_fix_in_what_the_lines_call_or_in_their_order_is_shown_by_that() {
    let (scene, first) = review_missing_check();
    let id = &first["findings"][0]["id"];
    scene.place.write(
        "bank.py",
        BANK.replace("    send", "    if amount < 0:\n        raise Refused\n    send").as_str(),
    );
    let shown =
        json!({ "verdict": "fixed", "path": "bank.py", "start_line": 2, "excerpt": "    if amount < 0:" });
    let (exit, told) = run_review(&scene, [verdict_answer(&first, &shown)], &[]);
    assert_eq!((exit, &told["fixed"][0]["evidence"]["path"]), (0, &json!("bank.py")), "{told:#}");
    // If the fix in the called function is removed, the finding is open again.
    scene.place.write("bank.py", BANK);
    assert_eq!(run_review(&scene, [silent_answer()], &[]).0, 1, "what fixed it is gone");
    // The two lines are in a different order now. The model must quote both of them to prove the fix.
    let moved = "def pay(order):\n    total = order.total\n    return total\n    charge(order, total)\n";
    scene.place.write("pay.py", moved);
    let one = fixed_verdict(4, "    charge(order, total)");
    let (exit, told) = run_review(&scene, [verdict_answer(&first, &one)], &[]);
    assert_eq!((exit, field_of_findings(&told, "id")), (1, vec![id]), "one line shows no order: {told:#}");
    let both = json!({ "id": id, "verdict": "fixed", "start_line": 3, "end_line": 4,
        "excerpt": "    return total\n    charge(order, total)" });
    scene.model.set_script(truing_fakes::model::ModelScript::from_answers([ScriptedAnswer::tool(
        "report",
        json!({ "findings": [], "verdicts": [both] }),
    )
    .usage(1000, 100)]));
    let ran = crate::review::place::Ran::from(scene.command(&["--format", "text"]).output().unwrap());
    let folded = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        ran.exit == 0 && folded.contains("fixed: P1 Nobody checks the amount (pay.py:4), shown by pay.py:3"),
        "{ran:?}"
    );
}

#[test]
fn a_function_that_is_moved_to_another_file_and_fixed_there_is_fixed_by_its_new_lines() {
    let scene = scene();
    let others =
        |name: &str| format!("def {name}(order):\n    log({name:?}, order)\n    return order.{name}\n\n\n");
    let beside = format!("{}{}", others("first"), others("second"));
    scene.place.write("pay.py", format!("{beside}{SWALLOWS}\n\n{}", others("last")).as_str());
    let mut there = finding();
    (there["start_line"], there["end_line"]) = (json!(14), json!(15));
    let (_, first) = run_review(&scene, [report_answer(&[there])], &[]);
    assert_eq!(field_of_findings(&first, "path"), [&json!("pay.py")], "{first:#}");
    scene.place.write("pay.py", format!("{beside}{}", others("last")).as_str());
    let moved = SWALLOWS.replace("Exception:\n        return None", "Refused:\n        raise Unpaid");
    scene.place.write("bank.py", format!("import sys\n\n\n{moved}").as_str());
    let shown = |line: u32, excerpt: &str| json!({ "verdict": "fixed", "path": "bank.py", "start_line": line, "excerpt": excerpt });
    // The quoted line is new, but not part of the moved function, so it does not prove a fix.
    let (exit, told) = run_review(&scene, [verdict_answer(&first, &shown(1, "import sys"))], &[]);
    assert_eq!((exit, &told["findings"][0]["unverified"]), (1, &json!("no_evidence")), "{told:#}");
    let (exit, told) = run_review(&scene, [verdict_answer(&first, &shown(7, "    except Refused:"))], &[]);
    assert_eq!((exit, &told["fixed"][0]["evidence"]["path"]), (0, &json!("bank.py")), "{told:#}");
    // If the fix in the moved function is removed, the finding is open again.
    scene
        .place
        .write("bank.py", format!("import sys\n\n\n{}", moved.replace("Refused", "Exception")).as_str());
    let (exit, told) = run_review(&scene, [silent_answer()], &[]);
    assert_eq!((exit, field_of_findings(&told, "id")), (1, field_of_findings(&first, "id")), "{told:#}");
}

#[test]
fn what_a_comment_suppresses_is_counted_apart() {
    let scene = scene();
    scene.place.write("pay.py", "breakpoint()\n");
    let first = scene.place.report(&[]);
    let id = &first["findings"][0]["id"];
    scene.place.write("pay.py", "# truing: ignore[core/python-debugger] started by hand\nbreakpoint()\n");
    let told = scene.place.report(&[]);
    let one = &told["suppressed"][0];
    assert_eq!((&told["findings"], &told["fixed"]), (&json!([]), &Value::Null), "{told:#}");
    assert_eq!(
        (&one["id"], &one["status"], &one["reason"], &one["start_line"]),
        (id, &json!("suppressed"), &json!("started by hand"), &json!(2)),
        "{told:#}"
    );
    let ran = scene.place.review(&["--format", "text"]);
    assert!(
        ran.exit == 0 && ran.out.contains("1 finding suppressed by a comment in the code"),
        "{}",
        ran.out
    );
}
