//! Tests of reviews by several concurrent specialists, including their cost in comparison with a single
//! reviewer. The tests generate docs/specialists.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use truing_fakes::model::{AnswerCondition, ModelFault, ModelScript, ScriptedAnswer};

use crate::review::claude::find_claude;
use crate::review::cli::parse_stable_result;
use crate::review::model::{Scene, report_answer};
use crate::review::place::{Ran, field_of_findings};

/// Name of each specialist, and the beginning of its part of the prompt.
const PARTS: [(&str, &str); 4] = [
    ("shipped:architecture-reviewer", "Look at how the change fits"),
    ("shipped:code-quality-reviewer", "Look for code that does not do what it says"),
    ("shipped:security-reviewer", "Look for holes"),
    ("shipped:test-coverage-reviewer", "Look at what the change makes the code do"),
];
/// Content of a changed file with four defects, each of another category.
const SHOP: &str = "def find(db, name):\n    return db.run(\"select * from items where name = '\" + name \
     + \"'\")\n\n\ndef charge_all(orders):\n    for order in \
     orders:\n        try:\n            order.charge()\n        except Exception:\n            pass\n\n\ndef \
     last_three(items):\n    return items[len(items) - 3:]\n\n\ndef total(order):\n    return \
     order.total_cents / 100\n";
const INTO_THE_QUERY: &str = "    return db.run(\"select * from items where name = '\" + name + \"'\")";

/// Returns a defect of the change as a finding in a model's report.
fn defect_json(line: u32, severity: &str, category: &str, (title, excerpt): (&str, &str)) -> Value {
    json!({ "path": "shop.py", "start_line": line, "end_line": line, "severity": severity, "category": category,
        "title": title, "body": "It gives the wrong answer.", "excerpt": excerpt })
}

fn query_defect() -> Value {
    defect_json(2, "P0", "H", ("A name becomes part of the query", INTO_THE_QUERY))
}

fn swallowed_error_defect(title: &str, severity: &str) -> Value {
    defect_json(9, severity, "F", (title, "        except Exception:"))
}

fn missing_item_defect() -> Value {
    let excerpt = "    return items[len(items) - 3:]";
    defect_json(14, "P1", "G", ("Of two items it returns one", excerpt))
}

fn cents_defect() -> Value {
    let excerpt = "    return order.total_cents / 100";
    defect_json(18, "P1", "A", ("Callers take whole cents", excerpt))
}

/// Returns the answer without a fixed usage. The fake model then computes the usage from the lengths of the
/// texts.
fn with_counted_usage(answer: ScriptedAnswer) -> ScriptedAnswer {
    ScriptedAnswer { usage: None, ..answer }
}

/// Returns the answer, restricted to requests whose first message contains this specialist's part of the
/// prompt.
fn answer_for_specialist(part: &str, answer: ScriptedAnswer) -> ScriptedAnswer {
    ScriptedAnswer {
        condition: AnswerCondition { first_message: vec![part.to_owned()], ..AnswerCondition::default() },
        ..answer
    }
}

/// Returns two answers for a specialist: a call that reads the file, and a report.
fn read_and_report_answers(part: &str, findings: &[Value]) -> [ScriptedAnswer; 2] {
    let read = ScriptedAnswer::tool("read", json!({ "path": "shop.py" }));
    [read, report_answer(findings)].map(|answer| answer_for_specialist(part, with_counted_usage(answer)))
}

fn scene(answers: impl IntoIterator<Item = ScriptedAnswer>, specialists: bool) -> Scene {
    let scene = Scene::new(ModelScript::from_answers(answers))
        .with_config(&format!("[review]\nspecialists = {specialists}\n"));
    scene.place.git(["remote", "add", "origin", "https://example.com/acme/shop.git"]);
    for file in ["pay.py", "b.py"] {
        std::fs::remove_file(scene.place.repo().join(file)).unwrap();
    }
    scene.place.write("shop.py", SHOP);
    scene
}

/// Returns the answers for the four specialists, two of whom report the same defect.
fn four_specialist_answers() -> impl Iterator<Item = ScriptedAnswer> {
    let [architecture, quality, security, tests] = PARTS.map(|(_, part)| part);
    let all = [
        read_and_report_answers(architecture, &[cents_defect()]),
        read_and_report_answers(quality, &[swallowed_error_defect("Every error is swallowed", "P1")]),
        read_and_report_answers(security, &[query_defect()]),
        read_and_report_answers(
            tests,
            &[missing_item_defect(), swallowed_error_defect("Every error is swallowed in the loop", "P2")],
        ),
    ];
    all.into_iter().flatten()
}

/// Returns a numeric field of the result.
fn result_number(result: &Value, field: &str) -> u64 {
    result[field].as_u64().unwrap()
}

fn result_dollars(result: &Value) -> String {
    let micro = result_number(result, "cost_micro_usd");
    format!("${}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

#[test]
fn four_look_side_by_side_and_what_two_find_is_one_finding() {
    let scene = scene(four_specialist_answers(), true);
    let ran = scene.review(&["--no-record"]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["outcome"]["kind"]), (1, &json!("reviewed")), "{}", ran.err);
    assert_eq!(field_of_findings(&told, "severity"), ["P0", "P1", "P1", "P1"]);
    let names = PARTS.map(|(name, _)| json!(name));
    let specialists = told["specialists"].as_array().unwrap();
    assert_eq!(specialists.iter().map(|one| one["name"].clone()).collect::<Vec<_>>(), names);
    let found: Vec<u64> = specialists.iter().map(|one| result_number(one, "found")).collect();
    assert_eq!((found.as_slice(), result_number(&told, "turns")), (&[1, 1, 1, 2][..], 8));
    let sum: u64 = specialists.iter().map(|one| result_number(one, "cost_micro_usd")).sum();
    assert_eq!(sum, result_number(&told, "cost_micro_usd"));
    // Each specialist receives its own part of the prompt and no part of another specialist.
    for call in scene.model.request_log() {
        let asked = call.body["messages"][0].to_string();
        assert_eq!(PARTS.iter().filter(|(_, part)| asked.contains(part)).count(), 1);
    }
}

#[test]
fn report_counts_finding_of_two_specialists_for_both() {
    let scene = scene(four_specialist_answers(), true);
    assert_eq!(scene.review(&[]).exit, 1);
    let report = Ran::from(scene.place.command(&["report", "--format", "json"]).output().unwrap()).json();
    let findings = &report["local_reviews"]["findings"];
    assert_eq!(findings["found"], 4);
    let counts: BTreeMap<&str, u64> = findings["by_specialist"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["id"].as_str().unwrap(), row["open"].as_u64().unwrap()))
        .collect();
    let [architecture, quality, security, tests] = PARTS.map(|(name, _)| name);
    assert_eq!(counts, BTreeMap::from([(architecture, 1), (quality, 1), (security, 1), (tests, 2)]));
}

#[test]
fn four_programs_side_by_side_come_to_the_same() {
    let Some(program) = find_claude() else { return };
    let config = format!("[review]\nspecialists = true\nclaude = {:?}\n", program.display().to_string());
    let [native, cli] = ["native", "cli"].map(|runtime| {
        let ran = scene(four_specialist_answers(), true)
            .with_config(&config)
            .with_runtime(runtime)
            .review(&["--no-record"]);
        let outcome = &ran.json()["outcome"];
        assert_eq!(
            (&outcome["kind"], &outcome["runtime"]),
            (&json!("reviewed"), &json!(runtime)),
            "{}",
            ran.err
        );
        parse_stable_result(&ran)
    });
    assert_eq!(cli, native);
}

#[test]
fn one_that_dies_makes_the_review_partial_and_keeps_what_the_others_found() {
    let [_, quality, security, tests] = PARTS.map(|(_, part)| part);
    let (error, message, headers) = (String::new(), "no".to_owned(), BTreeMap::new());
    let fault = Some(ModelFault::Status { status: 400, error, message, headers });
    let dead = ScriptedAnswer { fault, times: 0, ..ScriptedAnswer::default() };
    let rest = [
        read_and_report_answers(quality, &[swallowed_error_defect("Every error is swallowed", "P1")]),
        read_and_report_answers(security, &[query_defect()]),
        read_and_report_answers(tests, &[missing_item_defect()]),
    ];
    let answers = rest.into_iter().flatten().chain([answer_for_specialist(PARTS[0].1, dead)]);
    let scene = scene(answers, true);
    let ran = scene.review(&["--no-record"]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["outcome"]["kind"]), (1, &json!("partial")), "{}", ran.err);
    let reason = told["outcome"]["reason"].as_str().unwrap();
    assert!(reason.starts_with("shipped:architecture-reviewer: "), "{reason}");
    assert_eq!(field_of_findings(&told, "severity"), ["P0", "P1", "P1"]);
    assert!(told["specialists"][0]["partial"].is_string() && told["specialists"][1]["partial"].is_null());
}

#[test]
fn what_one_of_them_has_not_seen_is_not_reviewed() {
    let long = "x = 1\n".repeat(1_000);
    let [architecture, quality, security, tests] = PARTS.map(|(_, part)| part);
    let sees = |part: &str| {
        answer_for_specialist(
            part,
            with_counted_usage(ScriptedAnswer::tool("diff", json!({ "path": "long.py" }))),
        )
    };
    let answers = [architecture, quality, security]
        .into_iter()
        .flat_map(|part| [sees(part), answer_for_specialist(part, report_answer(&[]))]);
    let scene = scene(answers.chain(read_and_report_answers(tests, &[])), true);
    scene.place.write("long.py", long);
    let told = scene.review(&["--no-record"]).json();
    assert_eq!(told["outcome"]["kind"], "partial", "{told}");
    assert_eq!(told["coverage"]["not_reviewed"][0]["path"], "long.py", "{told}");
}

#[test]
fn a_repositorys_own_specialist_looks_too_and_a_money_limit_is_for_all_together() {
    let mine = "Look at money alone.";
    let scene =
        scene(four_specialist_answers().chain(read_and_report_answers(mine, &[cents_defect()])), true);
    let scene = scene.with_config("[review]\nspecialists = true\n[budget]\nreview_usd = 0.05\n");
    let text = format!("---\nname: money\ndescription: Money\nmodel: other\n---\n{mine}\n");
    scene.place.write(".claude/agents/money.md", text);
    let told = scene.review(&["--no-record"]).json();
    assert_eq!(told["memory"]["own"], "1 specialist from the working tree");
    assert_eq!(told["specialists"][4]["name"], "repo:money");
    assert!(result_number(&told, "cost_micro_usd") <= 50_000, "{told}");
}

#[test]
fn none_sets_aside_what_the_others_need() {
    // The prompt is long: at the maximum price, one request could cost a third of the whole budget. Its
    // actual cost is far lower.
    let scene = scene(four_specialist_answers(), true);
    for number in 0..6 {
        scene.place.write(format!("long{number}.py"), "# nothing that anybody would run\n".repeat(600));
    }
    let told = scene.review(&["--no-record"]).json();
    assert!(
        told["specialists"].as_array().unwrap().iter().all(|one| result_number(one, "turns") == 2),
        "{told}"
    );
}

#[test]
fn the_comparison_in_the_documentation_is_what_runs_come_to() {
    let one = [swallowed_error_defect("Every error is swallowed", "P1"), query_defect()];
    let one =
        scene(read_and_report_answers("Review the change", &one), false).review(&["--no-record"]).json();
    let four = scene(four_specialist_answers(), true).review(&["--no-record"]).json();
    let count = |told: &Value| told["findings"].as_array().unwrap().len();
    let mut table = String::from("| Who | Findings | Turns | Cost |\n|---|---|---|---|\n");
    let mut row = |who: &str, findings: String, told: &Value| {
        let _ = writeln!(
            table,
            "| {who} | {findings} | {} | {} |",
            result_number(told, "turns"),
            result_dollars(told)
        );
    };
    row("one reviewer", count(&one).to_string(), &one);
    for specialist in four["specialists"].as_array().unwrap() {
        let name = specialist["name"].as_str().unwrap();
        row(&format!("`{name}`"), result_number(specialist, "found").to_string(), specialist);
    }
    row("the four together", format!("{}, of {} reported", count(&four), 5), &four);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/specialists.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- table -->\n", "<!-- /table -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (written, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(
            written, table,
            "update it: UPDATE_DOCS=1 cargo test -p truing --test it review::specialists"
        );
    }
    // The documentation page states a ratio of more than 3.
    assert!(result_number(&four, "cost_micro_usd") > 3 * result_number(&one, "cost_micro_usd"));
}
