//! Tests of reviews by a model. They use the real program with its gateway, ledger and parser of reports, and
//! a scripted model on the loopback interface.

use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};
use tokio::runtime::Runtime;
#[cfg(feature = "aws")]
use truing_fakes::model::{AWS_KEY_ID, AWS_REGION, AWS_WORKSPACE, aws_secret_key};
use truing_fakes::model::{
    DEFAULT_API_KEY, FakeModel, ModelFault, ModelScript, ScriptedAnswer, StreamPosition as At,
};
use truing_reader::mask::MASK;

use crate::review::adverse::{PROMPT, billed_micro_dollars, in_transit_charge, ledger_sums};
use crate::review::claude::find_claude;
use crate::review::cli::with_program;
use crate::review::place::{Place, Ran, STOPS, fake_key, field_of_findings};
use crate::review::quiet::wait_until_idle;

/// A scripted model, and a repository with an uncommitted change.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) model: FakeModel,
    runtime: &'static str,
    config: String,
    _runtime: Runtime,
}

/// Content of the changed file `pay.py`, whose code swallows an error. A rule reports a finding in another
/// file.
const SWALLOWS: &str =
    "def pay(x):\n    try:\n        charge(x)\n    except Exception:\n        return None\n";

impl Scene {
    pub(crate) fn new(script: ModelScript) -> Self {
        let runtime = Runtime::new().unwrap();
        let model = runtime.block_on(FakeModel::start(script)).unwrap();
        let place = Place::new();
        place.write("pay.py", SWALLOWS);
        place.write("b.py", STOPS);
        Self { place, model, runtime: "native", config: String::new(), _runtime: runtime }
    }

    pub(crate) fn from_answers(answers: impl IntoIterator<Item = ScriptedAnswer>) -> Self {
        Self::new(ModelScript::from_answers(answers))
    }

    /// Sets the lines that follow `[model]` in the operator's file.
    pub(crate) fn with_config(mut self, config: &str) -> Self {
        self.config = config.to_owned();
        self
    }

    pub(crate) fn with_runtime(mut self, runtime: &'static str) -> Self {
        self.runtime = runtime;
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut config = format!("[model]\nbase_url = \"{}\"\n", self.model.url());
        config.push_str(&self.config);
        std::fs::write(self.place.home().join("op.toml"), config).unwrap();
        let fixed = ["review", "--quiet", "--config", "../op.toml", "--runtime", self.runtime];
        let mut command = self.place.command(&[&fixed, arguments].concat());
        command.env("ANTHROPIC_API_KEY", DEFAULT_API_KEY);
        command
    }

    pub(crate) fn review(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(&[&["--format", "json"], arguments].concat()).output().unwrap())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.model.violations(), Vec::<String>::new());
        }
    }
}

pub(crate) fn finding() -> Value {
    json!({ "path": "pay.py", "start_line": 4, "end_line": 5, "severity": "P1", "category": "F",
        "title": "Swallows every error", "body": "A failed charge looks like success.",
        "excerpt": "except Exception:\n        return None" })
}

pub(crate) fn report_answer(findings: &[Value]) -> ScriptedAnswer {
    ScriptedAnswer::tool("report", json!({ "findings": findings })).usage(1000, 100)
}

pub(crate) fn read_answer(path: &str) -> ScriptedAnswer {
    ScriptedAnswer::tool("read", json!({ "path": path })).usage(1000, 100)
}

#[test]
fn a_model_looks_around_and_its_findings_stand_beside_the_rules() {
    let scene = Scene::from_answers([read_answer("pay.py"), report_answer(&[finding()])]);
    let ran = scene.review(&[]);
    assert_eq!(ran.exit, 1, "{}", ran.err);
    let told = ran.json();
    assert_eq!(
        told["outcome"],
        json!({ "kind": "reviewed", "reason": null, "until": null, "runtime": "native" })
    );
    assert_eq!(field_of_findings(&told, "source"), ["rule", "agent"]);
    let agent = &told["findings"][1];
    assert_eq!(
        (&agent["path"], &agent["start_line"], &agent["end_line"]),
        (&json!("pay.py"), &json!(4), &json!(5))
    );
    assert_eq!((&agent["rule"], &agent["anchor"]), (&json!("agent/silent-failure"), &json!("inline")));
    assert_eq!(told["turns"], 2);
    // The requests to Sonnet 5.5 use 2,000 input tokens and 200 output tokens in total, so the cost is
    // positive.
    assert!(told["cost_micro_usd"].as_u64().unwrap() > 0);
    let log = scene.model.request_log();
    assert_eq!(log.len(), 2);
    let second = log[1].body.to_string();
    assert!(second.contains("charge(x)"), "the file was read: {second}");
    assert!(log[0].body.to_string().contains("pay.py"));
}

#[test]
fn the_text_says_who_reviewed_and_what_it_cost() {
    let scene = Scene::from_answers([report_answer(&[finding()])]);
    let ran = Ran::from(scene.command(&[]).output().unwrap());
    assert!(ran.out.contains("Swallows every error"), "{}", ran.out);
    assert!(ran.out.contains("rules and claude-sonnet-5-5: 1 turn, $0."), "{}", ran.out);
}

#[test]
fn what_the_model_says_of_files_that_are_not_so_is_dropped() {
    let mut outside = finding();
    outside["path"] = json!("../../etc/passwd");
    let mut made_up = finding();
    made_up["excerpt"] = json!("rm -rf /");
    let scene =
        Scene::from_answers([report_answer(&[outside, made_up, finding()]), report_answer(&[finding()])]);
    let told = scene.review(&[]).json();
    assert_eq!(field_of_findings(&told, "path"), ["b.py", "pay.py"]);
    assert_eq!(told["outcome"]["kind"], json!("reviewed"), "{told:#}");
}

/// If the model misquotes a letter of the line, Truing asks for the finding again instead of dropping it.
#[test]
fn a_finding_that_does_not_fit_is_asked_for_again_and_never_lost_in_silence() {
    let mut misquoted = finding();
    misquoted["excerpt"] = json!("except Exceptoin:");
    let scene =
        Scene::from_answers([report_answer(std::slice::from_ref(&misquoted)), report_answer(&[finding()])]);
    let told = scene.review(&[]).json();
    assert_eq!(
        (field_of_findings(&told, "path"), &told["turns"]),
        (vec![&json!("b.py"), &json!("pay.py")], &json!(2))
    );
    assert_eq!(told["outcome"]["kind"], json!("reviewed"), "{told:#}");
    let asked = scene.model.request_log()[1].body.to_string();
    assert!(asked.contains("the text of the lines differs from `excerpt`"), "{asked}");
    // In its second answer, the model repeats the wrong quotation or reports nothing. The finding has no
    // valid line, so the review is partial.
    for second in [
        report_answer(std::slice::from_ref(&misquoted)),
        report_answer(&[]),
        ScriptedAnswer::text("Done.").times(0),
    ] {
        let scene = Scene::from_answers([report_answer(std::slice::from_ref(&misquoted)), second]);
        scene.place.write("b.py", "x = 1\n");
        let ran = scene.review(&[]);
        let told = ran.json();
        assert_eq!((ran.exit, &told["outcome"]["kind"]), (1, &json!("partial")), "{told:#}");
        let reason = told["outcome"]["reason"].as_str().unwrap();
        assert!(reason.contains("1 finding could not be used"), "{reason}");
    }
}

#[test]
fn runaway_turns_end_at_the_limit_with_what_there_is() {
    let partial = |turns: u64, scene: &Scene| {
        let ran = scene.review(&[]);
        let told = ran.json();
        assert_eq!((ran.exit, &told["outcome"]["kind"]), (1, &json!("partial")), "{}", ran.err);
        assert!(told["outcome"]["reason"].as_str().unwrap().contains("turn limit"), "{told}");
        assert_eq!((&told["turns"], scene.model.request_log().len() as u64), (&json!(turns), turns));
        told
    };
    partial(25, &Scene::from_answers([read_answer("pay.py").times(0)]));
    let late = Scene::from_answers([read_answer("pay.py"), read_answer("b.py"), report_answer(&[finding()])])
        .with_config("[review]\nmax_turns = 3\n");
    assert_eq!(
        field_of_findings(&partial(3, &late), "source"),
        ["rule", "agent"],
        "what was found is not lost"
    );
}

#[test]
fn money_bounds_a_review_and_a_day() {
    // One cent is less than the maximum cost of any answer. Requests that only count the prompt's tokens are
    // free, so Truing still sends them.
    let poor = Scene::from_answers([report_answer(&[])]).with_config("[budget]\nreview_usd = 0.01\n");
    let ran = poor.review(&[]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["outcome"]["kind"]), (1, &json!("partial")), "{}", ran.err);
    assert!(told["outcome"]["reason"].as_str().unwrap().contains("budget"), "{told}");
    assert!(poor.model.request_log().iter().all(|request| request.path.ends_with("/count_tokens")));
    assert_eq!(field_of_findings(&told, "source"), ["rule"]);

    let broke = Scene::from_answers([report_answer(&[])]).with_config("[budget]\nrepo_day_usd = 0\n");
    let ran = broke.review(&[]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["outcome"]["kind"]), (4, &json!("deferred")), "{}", ran.err);
    assert!(told["outcome"]["until"].as_str().unwrap().ends_with("T00:00:00Z"), "{told}");
    assert_eq!(broke.model.request_log().len(), 0);

    // Several processes share one daily budget, because each process reserves and settles its costs in the
    // same database.
    let day = Scene::from_answers([report_answer(&[]).usage(8000, 900).times(0)])
        .with_config("[budget]\nrepo_day_usd = 0.30\n");
    let mut spent = 0;
    let mut deferred = false;
    for _ in 0..20 {
        let told = day.review(&[]).json();
        spent += told["cost_micro_usd"].as_u64().unwrap();
        if told["outcome"]["kind"] == "deferred" {
            deferred = true;
            break;
        }
    }
    assert!(deferred && spent <= 300_000, "{spent}");
}

#[test]
fn without_an_answer_the_rules_have_reviewed_and_it_says_so() {
    for status in [401, 403] {
        let scene = Scene::from_answers([ScriptedAnswer::status(status).times(0)]);
        let ran = scene.review(&[]);
        let told = ran.json();
        assert_eq!((ran.exit, &told["outcome"]["kind"]), (1, &json!("partial")), "{}", ran.err);
        assert!(told["outcome"]["reason"].as_str().unwrap().contains("minimal"), "{told}");
        assert_eq!(
            (field_of_findings(&told, "source"), scene.model.request_log().len()),
            (vec![&json!("rule")], 1)
        );
        assert!(!ran.out.contains(DEFAULT_API_KEY) && !ran.err.contains(DEFAULT_API_KEY));
    }
}

#[test]
fn prose_is_asked_about_once_and_is_never_green() {
    let scene = Scene::from_answers([ScriptedAnswer::text("All good!"), report_answer(&[])]);
    assert_eq!(scene.review(&[]).json()["outcome"]["kind"], "reviewed");
    let scene = Scene::from_answers([ScriptedAnswer::text("All good!").times(0)]);
    let told = scene.review(&[]).json();
    assert_eq!((&told["outcome"]["kind"], &told["turns"]), (&json!("partial"), &json!(2)));
    let scene = Scene::from_answers([ScriptedAnswer::text("x").with_stop_reason("novel_reason").times(0)]);
    assert_eq!(scene.review(&[]).json()["outcome"]["kind"], "partial");
}

#[test]
fn a_key_alone_spends_nothing_and_a_missing_one_is_named() {
    let scene = Scene::from_answers([]);
    let rules = scene
        .place
        .command(&["review", "--quiet", "--format", "json"])
        .env("ANTHROPIC_API_KEY", DEFAULT_API_KEY)
        .env("ANTHROPIC_BASE_URL", "not a url")
        .output()
        .unwrap();
    assert_eq!(Ran::from(rules).json()["outcome"]["runtime"], "rules");
    assert_eq!(scene.model.request_log().len(), 0);

    let refused = |change: &dyn Fn(&mut std::process::Command), words: &str| {
        let mut command = scene.command(&[]);
        change(&mut command);
        let ran = Ran::from(command.output().unwrap());
        assert!(ran.exit == 2 && ran.err.contains(words), "{words}: {} {}", ran.exit, ran.err);
    };
    refused(&|command| _ = command.env_remove("ANTHROPIC_API_KEY"), "ANTHROPIC_API_KEY");
    refused(&|command| _ = command.env("TRUING_MODEL__NAME", "nobodys-model"), "nobodys-model");
    refused(&|command| _ = command.env("TRUING_MODEL__BASE_URL", "http://example.org"), "base_url");
    refused(&|command| _ = command.env("ANTHROPIC_BASE_URL", "http://example.org"), "base_url");
    let both = |command: &mut std::process::Command| {
        command.env("CLAUDE_CODE_USE_BEDROCK", "1").env("CLAUDE_CODE_USE_ANTHROPIC_AWS", "1");
    };
    refused(&both, "both set");
    assert_eq!(scene.model.request_log().len(), 0);
}

/// Creates a command with AWS credentials in its environment and without an Anthropic API key.
#[cfg(feature = "aws")]
fn command_with_aws_key(scene: &Scene) -> std::process::Command {
    let mut command = scene.command(&["--format", "json"]);
    command.env_remove("ANTHROPIC_API_KEY").env("CLAUDE_CODE_USE_ANTHROPIC_AWS", "1");
    command.env("AWS_REGION", AWS_REGION).env("ANTHROPIC_AWS_WORKSPACE_ID", AWS_WORKSPACE);
    command.env("AWS_ACCESS_KEY_ID", AWS_KEY_ID).env("AWS_SECRET_ACCESS_KEY", aws_secret_key());
    command
}

#[cfg(feature = "aws")]
#[test]
fn on_aws_each_try_is_signed_and_no_key_is_sent() {
    let scene = Scene::from_answers([ScriptedAnswer::status(529), report_answer(&[finding()])]);
    let ran = Ran::from(command_with_aws_key(&scene).env("AWS_SESSION_TOKEN", "a-token").output().unwrap());
    assert_eq!(ran.json()["outcome"]["kind"], "reviewed", "{}", ran.err);
    let log = scene.model.request_log();
    assert!(log.len() >= 2, "the first try is refused");
    for request in &log {
        let shown = format!("{request:?}");
        assert!(!shown.contains(&aws_secret_key()) && !shown.contains("x-api-key"), "{shown}");
    }
}

#[cfg(feature = "aws")]
#[test]
fn a_key_of_aws_that_is_missing_or_wrong_is_told() {
    let scene = Scene::from_answers([]);
    for name in ["AWS_REGION", "ANTHROPIC_AWS_WORKSPACE_ID", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let ran = Ran::from(command_with_aws_key(&scene).env_remove(name).output().unwrap());
        assert!(ran.exit == 2 && ran.err.contains(name), "{name}: {} {}", ran.exit, ran.err);
    }
    assert_eq!(scene.model.request_log().len(), 0);
    let ran = Ran::from(
        command_with_aws_key(&scene).env("AWS_SECRET_ACCESS_KEY", "another-canary").output().unwrap(),
    );
    assert!(ran.exit != 0 && !ran.err.contains("canary"), "{} {}", ran.exit, ran.err);
    assert_eq!(scene.model.request_log().len(), 1, "a wrong key is tried once");
}

#[test]
fn the_variables_of_others_choose_runtime_and_place() {
    let scene = Scene::from_answers([report_answer(&[])]);
    let mut command = scene.place.command(&["review", "--quiet", "--format", "json"]);
    command
        .env("RUNTIME_MODE", "sdk")
        .env("ANTHROPIC_API_KEY", DEFAULT_API_KEY)
        .env("ANTHROPIC_BASE_URL", scene.model.url());
    let told = Ran::from(command.output().unwrap()).json();
    assert_eq!((&told["outcome"]["runtime"], &told["turns"]), (&json!("native"), &json!(1)));
}

#[test]
fn of_a_commit_only_its_tree_is_visible() {
    let scene = Scene::from_answers([
        read_answer("secret.env"),
        read_answer(".git/config"),
        ScriptedAnswer::tool("grep", json!({ "pattern": "TOPSECRET" })),
        report_answer(&[]),
    ]);
    scene.place.write(".gitignore", "secret.env\n");
    scene.place.commit("change");
    scene.place.write("secret.env", "TOPSECRET=1\n");
    scene.place.write("later.txt", "TOPSECRET\n");
    let told = scene.review(&["--head", "HEAD", "--base", "HEAD~1"]).json();
    assert_eq!(told["turns"], 4);
    let log = scene.model.request_log();
    let answered = |at: usize| log[at].body["messages"].as_array().unwrap().last().unwrap().to_string();
    assert!(answered(1).contains("\"is_error\":true") && answered(2).contains("\"is_error\":true"));
    let bodies: String = log.iter().map(|request| request.body.to_string()).collect();
    assert!(!bodies.contains("TOPSECRET=1") && !bodies.contains("later.txt"), "{bodies}");
}

#[test]
fn files_that_the_model_did_not_see_are_not_called_reviewed() {
    let scene = Scene::from_answers([report_answer(&[])]);
    for n in 0..9 {
        scene.place.write(format!("big{n}.txt"), "a line of text that is long enough to count\n".repeat(600));
    }
    let told = scene.review(&[]).json();
    assert_eq!(told["outcome"]["kind"], "partial", "{}", told["outcome"]);
    let gaps = told["coverage"]["not_reviewed"].as_array().unwrap();
    assert!(!gaps.is_empty() && gaps.iter().all(|gap| gap["reason"] == "not_shown"), "{gaps:?}");
}

#[test]
fn an_interrupted_review_ends_without_its_answer_and_can_be_run_again() {
    let slow = "[[answer]]\nfault = { kind = \"stall\", after = \"start\" }\ntext = \"hm\"\n\
        [[answer]]\nblocks = [{ type = \"tool_use\", name = \"report\", input = { findings = [] } }]\n";
    let scene = Scene::new(ModelScript::parse(slow).unwrap());
    let mut command = scene.command(&["--format", "json"]);
    let child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + crate::support::HANGS;
    while scene.model.request_log().is_empty() {
        assert!(Instant::now() < deadline, "no request came");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // The interrupted command must exit, although the response of the model never ends.
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.exit, 130, "{}", ran.err);
    assert_eq!(scene.review(&[]).json()["outcome"]["kind"], "reviewed");
}

/// A user interrupts six reviews in a row, each in the middle of an answer. The interruptions do not exhaust
/// the budget of the head commit. Each answer is charged for the usage that its stream has reported.
fn assert_interrupted_review_costs(place: At, runs: impl Fn(Scene) -> Scene + Sync) {
    let interrupted = |signal: rustix::process::Signal| {
        let stalls = ScriptedAnswer {
            fault: Some(ModelFault::Stall { after: place }),
            ..ScriptedAnswer::text("Let me see.")
        };
        let scene = runs(Scene::from_answers([stalls.usage(1000, 100).times(6), report_answer(&[])]));
        let mut before = 0;
        for times in 1..=6 {
            let mut command = scene.command(&["--format", "json"]);
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let deadline = Instant::now() + crate::support::HANGS;
            while scene.model.stalled_answer_count() < times {
                assert!(Instant::now() < deadline, "no request came");
                std::thread::yield_now();
            }
            wait_until_idle(child.id());
            let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            rustix::process::kill_process(pid, signal).unwrap();
            let ran = Ran::from(child.wait_with_output().unwrap());
            assert_eq!(ran.exit, 130, "{}", ran.err);
            let (spent, held) = ledger_sums(&scene);
            assert_eq!(held, 0, "{signal:?} {place:?}: what was set aside is settled");
            if place == At::Headers {
                // The exact number of prompt tokens is unknown. The charge therefore assumes the maximum
                // number of tokens for the prompt's text, at the highest rate.
                assert!((1..PROMPT).contains(&(spent - before)), "{signal:?}: {}", spent - before);
            } else {
                assert_eq!(
                    spent,
                    billed_micro_dollars(&scene) + in_transit_charge(&scene),
                    "{signal:?} {place:?}"
                );
            }
            before = spent;
        }
        assert_eq!(scene.review(&[]).json()["outcome"]["kind"], "reviewed", "{signal:?} {place:?}");
    };
    let interrupted = &interrupted;
    std::thread::scope(|scope| {
        for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
            scope.spawn(move || interrupted(signal));
        }
    });
}

#[test]
fn six_reviews_interrupted_before_they_are_answered_do_not_use_up_the_money_of_a_head() {
    assert_interrupted_review_costs(At::Headers, |scene| scene);
}

#[test]
fn six_reviews_interrupted_at_the_start_of_an_answer_do_not_use_up_the_money_of_a_head() {
    assert_interrupted_review_costs(At::Start, |scene| scene);
}

#[test]
fn six_reviews_interrupted_in_the_text_of_an_answer_do_not_use_up_the_money_of_a_head() {
    assert_interrupted_review_costs(At::Text, |scene| scene);
}

#[test]
fn six_interrupted_reviews_do_not_use_it_up_with_the_program_in_between_either() {
    let Some(program) = find_claude() else { return };
    for place in [At::Headers, At::Start, At::Text] {
        assert_interrupted_review_costs(place, |scene| with_program(scene, &program.display().to_string()));
    }
}

#[test]
fn a_secret_that_a_model_quotes_is_in_no_output_and_no_record() {
    let key = fake_key();
    let value = ["wJalrXUtnFEMIK7MDE", "NGbPxRfiCYzQ8v2pLk4sT0"].concat();
    let mut told = finding();
    told["title"] = json!(format!("Swallows {key}"));
    told["body"] = json!(format!("`{key}` and `{value}` are lost with the error."));
    let mut quoting = told.clone();
    (quoting["path"], quoting["start_line"], quoting["end_line"]) = (json!("keys.py"), json!(1), json!(2));
    let file = format!("KEY = \"{key}\"\naws_secret_access_key = \"{value}\"\n");
    quoting["excerpt"] = json!(file.replace(&key, MASK).replace(&value, MASK));
    let denied = ScriptedAnswer::tool(&key, json!({}));
    let scene = Scene::from_answers([denied, report_answer(&[told, quoting])]);
    scene.place.write("keys.py", &file);
    let ran = scene.review(&["--verbose"]);
    let found = ran.json();
    assert_eq!(
        field_of_findings(&found, "rule").iter().filter(|rule| **rule == "agent/silent-failure").count(),
        2
    );
    let body = &found["findings"].as_array().unwrap().iter().find(|one| one["path"] == "keys.py").unwrap();
    assert!(found.to_string().contains("`AKIA…`"), "{body}");
    assert!(found.to_string().contains("`wJal…` are lost"), "in the file its name tells what it is: {found}");
    let mut all = format!("{}{}", ran.out, ran.err);
    for format in ["text", "sarif", "markdown"] {
        let said = || ScriptedAnswer::tool("report", json!({ "findings": [] }));
        scene.model.set_script(ModelScript::from_answers([said().times(0)]));
        let ran = Ran::from(scene.command(&["--format", format]).output().unwrap());
        all += &(ran.out + &ran.err);
    }
    for file in std::fs::read_dir(scene.place.store().parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            all += &String::from_utf8_lossy(&std::fs::read(path).unwrap());
        }
    }
    assert!(all.contains("Swallows AKIA…"), "{all}");
    let at = all.find(&key).map(|at| String::from_utf8_lossy(&all.as_bytes()[at.saturating_sub(200)..at]));
    assert_eq!(at, None, "the key is told");
    // The value does not look like a credential. Truing redacts it only because of the file that contains it.
    assert!(!body.to_string().contains(&value), "{body}");
}
