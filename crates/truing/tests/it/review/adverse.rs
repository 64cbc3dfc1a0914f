//! Tests of failures during a review by a model. The real program runs with a provider, a reader or a disk
//! that fails. Each failure has exactly one expected outcome. Providers that demand a wait are tested with
//! the gateway.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Value, json};
use truing_core::ledger::TokenUsage;
use truing_core::port::{Clock, Ledger as _};
use truing_fakes::model::{
    AnswerBlock, DEFAULT_API_KEY, ModelFault, ModelScript, ScriptedAnswer, StreamPosition as At,
};
use truing_loops::machine::SystemClock;
use truing_model::price::ModelPrices;
use truing_store::Store;

use crate::review::claude::find_claude;
use crate::review::cli::with_program;
use crate::review::killed::descendants;
use crate::review::model::{Scene, finding, read_answer, report_answer};
use crate::review::otlp::{Receiver, span_attributes, spans_named};
use crate::review::place::{Ran, field_of_findings};

/// Maximum cost in micro-dollars of a prompt whose tokens the provider did not report: one token per three
/// bytes, at the highest rate.
pub(crate) const PROMPT: u64 = 24_000;
/// Number of tokens that are charged for a truncated answer in addition to the reported tokens. That many
/// tokens may have been lost on the way.
const UNDER_WAY: u64 = 300;
/// Maximum cost of a request in micro-dollars: the prompt, and an answer of 16,384 tokens.
const RESERVATION: u64 = 300_000;

/// Returns a call of this tool; `json` is the literal text of its input, which may be invalid.
fn literal_tool_call(name: &str, json: &str) -> AnswerBlock {
    AnswerBlock::ToolUse { name: name.into(), input: Value::Null, json: Some(json.into()) }
}

fn blocks_answer(blocks: Vec<AnswerBlock>) -> ScriptedAnswer {
    ScriptedAnswer { blocks, ..ScriptedAnswer::default() }.usage(1000, 100)
}

/// Returns the spent and reserved amounts of all repositories today, in micro-dollars.
pub(crate) fn ledger_sums(scene: &Scene) -> (u64, u64) {
    ledger_sums_at(scene, SystemClock)
}

/// Returns the spent and reserved amounts, in micro-dollars, at the time of this clock.
pub(crate) fn ledger_sums_at(scene: &Scene, clock: impl Clock + 'static) -> (u64, u64) {
    let ledger = Store::open(&scene.place.store(), Arc::new(clock)).unwrap();
    let drawn = tokio::runtime::Runtime::new().unwrap().block_on(ledger.current_usage()).unwrap();
    let days = drawn.iter().filter(|drawn| drawn.level.kind.as_str() == "repo_day");
    days.fold((0, 0), |(spent, held), drawn| (spent + drawn.spent.0, held + drawn.reserved.0))
}

/// Returns the sum of the provider's bills in micro-dollars.
pub(crate) fn billed_micro_dollars(scene: &Scene) -> u64 {
    let prices = ModelPrices::builtin().unwrap();
    let bills = scene.model.bills();
    let cost = bills.iter().map(|bill| {
        let truing_fakes::model::ScriptedUsage { input, output, cache_read, cache_write_5m, cache_write_1h } =
            bill.usage;
        let usage = TokenUsage { input, output, cache_read, cache_write_5m, cache_write_1h };
        prices.find_price(&bill.model).unwrap().cost(&usage).0
    });
    cost.sum()
}

/// Returns the amount in micro-dollars by which the charge exceeds the provider's bills. It is the price of
/// the tokens that may have been lost when an answer was truncated.
pub(crate) fn in_transit_charge(scene: &Scene) -> u64 {
    let prices = ModelPrices::builtin().unwrap();
    let costs = scene.model.bills().into_iter().filter(|bill| !bill.is_complete).map(|bill| {
        // At the start of its stream, an answer has already reported one token.
        let more = UNDER_WAY + 1 - bill.usage.output;
        prices.find_price(&bill.model).unwrap().cost(&TokenUsage { output: more, ..TokenUsage::default() }).0
    });
    costs.sum()
}

/// Returns the cost of all runs according to `truing report`.
pub(crate) fn reported_cost(scene: &Scene) -> u64 {
    let ran = Ran::from(scene.place.command(&["report", "--format", "json"]).output().unwrap());
    ran.json()["totals"]["cost_micro_usd"].as_u64().unwrap_or_else(|| panic!("{} {}", ran.out, ran.err))
}

/// Number of reviews that are tested at the same time.
const AT_ONCE: usize = 3;

/// A test case: name of the failure, answers of the model, expected outcome, a word of its reason, number of
/// requests, and true if the model's finding is kept.
type Row = (&'static str, Vec<ScriptedAnswer>, &'static str, &'static str, usize, bool);

#[test]
fn each_misbehaviour_of_a_model_has_one_outcome_and_its_money() {
    test_each_misbehaviour(|scene| scene);
}

/// The retries of the `claude` program itself are not tested, because the script contains only the answers
/// for one run. The program retries up to ten times, also with another model.
#[test]
fn each_misbehaviour_comes_to_the_same_with_the_program_in_between() {
    let Some(program) = find_claude() else { return };
    test_each_misbehaviour(|scene| with_program(scene, &program.display().to_string()));
}

fn test_each_misbehaviour(runs: impl Fn(Scene) -> Scene + Sync) {
    let stops = |reason: &str| ScriptedAnswer::text("x").usage(1000, 100).with_stop_reason(reason).times(0);
    let many = |name: &str, count: usize| vec![literal_tool_call(name, "{}"); count];
    let off_schema = [r#"{"path": 7}"#, r#"{"paht": "a.py"}"#, "[]", r#"{"path": "a.py", "start_line": -1}"#];
    let off_schema = off_schema.map(|json| literal_tool_call("read", json)).to_vec();
    let wrong_report = || blocks_answer(vec![literal_tool_call("report", r#"{"found": []}"#)]);
    let huge = ScriptedAnswer { repeat: 10 << 20, ..ScriptedAnswer::text("x") };
    let off_switch = BTreeMap::from([("x-should-retry".to_owned(), "false".to_owned())]);
    let busy =
        ModelFault::Status { status: 429, error: String::new(), message: String::new(), headers: off_switch };
    let fails = |status: u16| vec![ScriptedAnswer::status(status).times(0)];
    let recovers = |fault: ScriptedAnswer| vec![fault, report_answer(&[finding()])];
    let after =
        |fault: ModelFault| ScriptedAnswer { fault: Some(fault), ..ScriptedAnswer::text("Let me see.") };
    let overloaded =
        ModelFault::Error { after: At::Block, error: "overloaded_error".into(), message: "later".into() };
    let rows: [Row; 30] = [
        ("400", fails(400), "partial", "minimal", 1, false),
        ("402", fails(402), "partial", "minimal", 1, false),
        ("403", fails(403), "partial", "minimal", 1, false),
        ("413", fails(413), "partial", "", 1, false),
        ("422", fails(422), "partial", "minimal", 1, false),
        (
            "429 with the off switch",
            vec![ScriptedAnswer::fault(busy).times(0)],
            "partial",
            "minimal",
            1,
            false,
        ),
        ("500 once", recovers(ScriptedAnswer::status(500)), "reviewed", "", 2, true),
        ("529 once", recovers(ScriptedAnswer::status(529)), "reviewed", "", 2, true),
        ("a reset", recovers(ScriptedAnswer::fault(ModelFault::Reset)), "reviewed", "", 2, true),
        ("a cut stream", recovers(after(ModelFault::Truncated { after: At::Text })), "reviewed", "", 2, true),
        (
            "three cut streams",
            vec![
                after(ModelFault::Truncated { after: At::Text }).usage(4000, 90).times(3),
                report_answer(&[finding()]),
            ],
            "reviewed",
            "",
            4,
            true,
        ),
        (
            "an unknown stop",
            vec![ScriptedAnswer::text("x").usage(1000, 100).with_stop_reason("lunch").times(0)],
            "partial",
            "minimal",
            1,
            false,
        ),
        ("an error in the stream", recovers(after(overloaded)), "reviewed", "", 2, true),
        (
            "a pause",
            vec![
                ScriptedAnswer::text("Wait.").usage(1000, 10).with_stop_reason("pause_turn"),
                report_answer(&[finding()]),
            ],
            "reviewed",
            "",
            2,
            true,
        ),
        (
            "bad JSON",
            vec![ScriptedAnswer::fault(ModelFault::BadJson { after: At::Start }).times(0)],
            "partial",
            "minimal",
            2,
            false,
        ),
        (
            "an empty 200",
            vec![ScriptedAnswer::fault(ModelFault::EmptyBody).times(0)],
            "partial",
            "minimal",
            1,
            false,
        ),
        ("a page", vec![ScriptedAnswer::fault(ModelFault::Html).times(0)], "partial", "minimal", 1, false),
        ("no model of that name", vec![ScriptedAnswer::status(404).times(0)], "partial", "minimal", 1, false),
        ("a refusal", vec![read_answer("pay.py"), stops("refusal")], "partial", "refusal", 2, false),
        ("max_tokens", vec![stops("max_tokens")], "partial", "max_tokens", 3, false),
        (
            "more than was asked for",
            vec![read_answer("pay.py"), ScriptedAnswer::text("much").with_overrun(40_000)],
            "partial",
            "40000 tokens for an answer of at most",
            2,
            false,
        ),
        ("a full context", vec![stops("model_context_window_exceeded")], "partial", "context", 1, false),
        (
            "arguments off schema",
            vec![blocks_answer(off_schema), report_answer(&[finding()])],
            "reviewed",
            "",
            2,
            true,
        ),
        (
            "a call cut short",
            vec![blocks_answer(vec![literal_tool_call("read", r#"{"pa"#)]), report_answer(&[])],
            "reviewed",
            "",
            2,
            false,
        ),
        ("a report off schema", vec![wrong_report(), report_answer(&[finding()])], "reviewed", "", 2, true),
        ("reports off schema", vec![wrong_report().times(0)], "partial", "not a report", 2, false),
        ("10 MB of words", vec![huge.times(0)], "partial", "budget", 1, false),
        (
            "calls without end",
            vec![blocks_answer(many("list", 40)).times(0)],
            "partial",
            "tool limit",
            17,
            false,
        ),
        ("a denied tool", vec![blocks_answer(many("bash", 25)).times(0)], "partial", "tool limit", 3, false),
        (
            "an interrupted report",
            vec![
                ScriptedAnswer::tool("report", json!({ "findings": [finding()], "more": true }))
                    .usage(1000, 100),
                ScriptedAnswer::status(401).times(0),
            ],
            "partial",
            "no access to the provider",
            2,
            true,
        ),
    ];
    let rows = Mutex::new(rows.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let receiver = Receiver::start();
                while let Some(row) = { rows.lock().unwrap().next() } {
                    test_misbehaviour(row, &runs, &receiver);
                }
            });
        }
    });
}

/// Reviews with a model that fails in this way, and checks the outcome and the costs. The traces are sent to
/// this receiver.
fn test_misbehaviour(row: Row, runs: &impl Fn(Scene) -> Scene, receiver: &Receiver) {
    let (what, answers, kind, word, requests, is_kept) = row;
    let scene = runs(Scene::from_answers(answers));
    let mut command = scene.command(&["--format", "json"]);
    let ran = Ran::from(command.env("TRUING_TELEMETRY__OTLP_ENDPOINT", &receiver.url).output().unwrap());
    let told = ran.json();
    let reason = told["outcome"]["reason"].as_str().unwrap_or_default();
    assert_eq!((ran.exit, told["outcome"]["kind"].as_str()), (1, Some(kind)), "{what}: {reason} {}", ran.err);
    assert!(reason.contains(word), "{what}: {reason}");
    let turns = scene.model.request_log().iter().filter(|request| request.path == "/v1/messages").count();
    assert_eq!(turns, requests, "{what}: {reason}");
    let sources: &[&str] = if is_kept { &["rule", "agent"] } else { &["rule"] };
    assert_eq!(field_of_findings(&told, "source"), sources, "{what}");
    let (spent, held) = ledger_sums(&scene);
    assert_eq!(held, 0, "{what}: nothing stays set aside");
    // All recorded costs are equal, and at least as high as the provider's bills.
    let spans = receiver.spans();
    let dollars: f64 = span_attributes(spans_named(&spans, "pr-review")[0])["cost_usd"].parse().unwrap();
    let chats = spans_named(&spans, "chat claude-sonnet-5-5").into_iter().map(|span| {
        let details: Value =
            serde_json::from_str(&span_attributes(span)["langfuse.observation.cost_details"]).unwrap();
        details["total"].as_f64().unwrap()
    });
    let sums = [(dollars * 1e6).round(), (chats.sum::<f64>() * 1e6).round()];
    assert_eq!(told["cost_micro_usd"], spent, "{what}");
    assert_eq!((reported_cost(&scene), sums), (spent, [spent as f64; 2]), "{what}");
    let billed = billed_micro_dollars(&scene);
    // If an answer was not read to its end, only an upper bound of its cost is known.
    let unread = requests as u64 - told["turns"].as_u64().unwrap();
    let most = billed + unread * RESERVATION;
    assert!((billed..=most).contains(&spent), "{what}: {spent} of {billed} and at most {most}");
}

#[test]
fn a_reader_that_is_killed_in_a_models_run_is_replaced_and_the_review_is_not_whole() {
    let scene =
        Scene::from_answers([read_answer("pay.py"), read_answer("pay.py"), report_answer(&[finding()])]);
    scene.model.stall_request(2);
    let mut command = scene.command(&["--format", "json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + crate::support::HANGS;
    while scene.model.request_log().len() < 2 {
        assert!(Instant::now() < deadline, "no request came");
        std::thread::yield_now();
    }
    let readers = children(child.id());
    assert_eq!(readers.len(), 1, "one reader serves all calls");
    rustix::process::kill_process(readers[0], rustix::process::Signal::KILL).unwrap();
    scene.model.resume();
    let ran = Ran::from(child.wait_with_output().unwrap());
    let told = ran.json();
    let reason = told["outcome"]["reason"].as_str().unwrap_or_default();
    assert_eq!(told["outcome"]["kind"], "partial", "{told}");
    assert!(reason.contains("reader: 1 attempt to read files failed"), "{reason}");
    assert_eq!(field_of_findings(&told, "source"), ["rule", "agent"], "what it found stands");
}

/// Returns the reader processes that the program has started for the model's tools.
fn children(parent: u32) -> Vec<rustix::process::Pid> {
    let line = |number: i32| std::fs::read_to_string(format!("/proc/{number}/cmdline")).unwrap_or_default();
    let readers = descendants(parent).into_iter().filter(|(number, _)| line(*number).contains("--tools"));
    readers.filter_map(|(number, _)| rustix::process::Pid::from_raw(number)).collect()
}

#[test]
fn a_disk_that_is_full_spends_nothing_and_says_so() {
    let scene = Scene::new(ModelScript::from_answers([read_answer("pay.py"), report_answer(&[])]));
    // The first review creates the database. In the second review, no file may grow.
    assert_eq!(scene.place.review(&[]).exit, 1);
    let size = std::fs::metadata(scene.place.store()).unwrap().len();
    let command = scene.command(&["--format", "json"]);
    let mut full = std::process::Command::new("sh");
    full.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", size.div_ceil(512).min(1)));
    full.arg(command.get_program()).args(command.get_args()).env_clear();
    full.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    full.current_dir(scene.place.repo()).stdin(Stdio::null());
    let ran = Ran::from(full.output().unwrap());
    assert!(ran.exit == 3 && ran.err.contains("truing.db"), "{} {} {}", ran.exit, ran.out, ran.err);
    assert_eq!(scene.model.request_log().len(), 0, "nothing is asked that cannot be accounted");
    assert!(!ran.err.contains(DEFAULT_API_KEY));
    assert_eq!(scene.review(&[]).json()["outcome"]["kind"], "reviewed", "with room again all is well");
}
