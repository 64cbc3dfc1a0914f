//! Tests of a run that is interrupted while a model's answer arrives. The usage that the answer's stream has
//! reported is charged and recorded, and the run returns its lease. The next run completes the work.

use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};
use truing_core::ledger::TokenUsage;
use truing_fakes::model::{ModelFault, ModelScript, ScriptedAnswer, StreamPosition as At};
use truing_model::price::ModelPrices;

use super::bump::{Scene, parse_result, report_answer, right_port_answers};
use super::classify::two_verdicts_answer;
use super::quiet::wait_until_idle;
use super::site::Ran;

/// Number of tokens that are charged for a truncated answer in addition to the reported tokens. That many
/// tokens may have been lost on the way.
const UNDER_WAY: u64 = 300;
/// Number of prompt tokens that the stream reports.
const PROMPT: u64 = 4000;

/// Returns an answer whose stream reports the usage of the prompt and then stalls in the middle of the text.
fn stalling_answer() -> ScriptedAnswer {
    let stalls = ScriptedAnswer {
        fault: Some(ModelFault::Stall { after: At::Text }),
        ..ScriptedAnswer::text("Let me see.")
    };
    stalls.usage(PROMPT, 90)
}

impl Scene {
    /// Runs the job, and sends this signal when the command has read everything that the model sent before it
    /// stalled.
    async fn run_and_signal(&self, signal: &'static str) -> Ran {
        let mut command = self.site.command(&["sync", "run", "demo"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deadline = Instant::now() + crate::support::HANGS;
        while self.model.stalled_answer_count() == 0 {
            assert!(Instant::now() < deadline, "the model is not asked");
            tokio::task::yield_now().await;
        }
        let output = tokio::task::spawn_blocking(move || {
            wait_until_idle(child.id());
            let kill = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
            assert!(kill.unwrap().success());
            child.wait_with_output().unwrap()
        });
        Ran::from_output(&output.await.unwrap())
    }

    /// Returns the spent and the reserved amounts of all runs, in micro-dollars.
    async fn ledger_sums(&self) -> (u64, u64) {
        let rows = self.site.run(&["budget", "show"]).await.json;
        let runs = rows.as_array().unwrap().iter().filter(|row| row["level"] == "run");
        let sum = |of: &str| runs.clone().map(|row| row[of].as_u64().unwrap()).sum();
        (sum("spent_micro_usd"), sum("reserved_micro_usd"))
    }

    async fn reported_cost(&self) -> Value {
        self.site.run(&["report"]).await.json["totals"]["cost_micro_usd"].clone()
    }

    /// Returns the cost that must be charged for the answers that the provider bills. For each truncated
    /// answer, it includes the tokens that may have been lost on the way.
    fn billed_cost(&self) -> u64 {
        let prices = ModelPrices::builtin().unwrap();
        let costs = self.model.bills().into_iter().map(|bill| {
            let billed = bill.usage;
            let output = if bill.is_complete { billed.output } else { 1 + UNDER_WAY };
            let usage = TokenUsage {
                input: billed.input,
                output,
                cache_read: billed.cache_read,
                cache_write_5m: billed.cache_write_5m,
                cache_write_1h: billed.cache_write_1h,
            };
            prices.find_price(&bill.model).unwrap().cost(&usage).0
        });
        costs.sum()
    }

    /// Interrupts a run with this signal and then runs the job again, with `then` as the model's answers. The
    /// second run must have the result `end`.
    async fn interrupt_and_rerun(&self, signal: &'static str, then: Vec<ScriptedAnswer>, end: &str) {
        let ran = self.run_and_signal(signal).await;
        assert_eq!((ran.exit, &ran.json["error"]["code"]), (130, &json!("interrupted")), "{signal}: {ran:?}");
        let (spent, held) = self.ledger_sums().await;
        assert_eq!((spent, held), (self.billed_cost(), 0), "{signal}: what the stream has told, and no more");
        assert_eq!(self.reported_cost().await, json!(spent), "{signal}: it is told");
        assert!(self.site.pulls().await.is_empty() && self.site.questions().await.is_empty());

        // The interrupted run has returned its lease, and does not count as a failure.
        self.model.set_script(ModelScript::from_answers(then));
        let again = self.run().await;
        assert_eq!(parse_result(&again), (&json!(end), 0), "{signal}: {again:?}");
        let (all, held) = self.ledger_sums().await;
        assert_eq!((all, held), (self.billed_cost(), 0), "{signal}");
        assert_eq!(
            (&again.json["carried_micro_usd"], &again.json["cost_micro_usd"]),
            (&json!(spent), &json!(all)),
            "{signal}: {again:?}"
        );
        assert_eq!(self.reported_cost().await, json!(all), "{signal}: each sum once");
        let status = self.site.run(&["sync", "status", "demo"]).await.json;
        assert_eq!(
            (&status[0]["failures"], &status[0]["breaker"]),
            (&json!(0), &json!("closed")),
            "{status}"
        );
        assert_eq!(self.model.violations(), Vec::<String>::new());
    }
}

/// Interrupts a run with this signal while a model classifies changes.
async fn stop_while_classifying(signal: &'static str) {
    let scene = Scene::new("", "", vec![stalling_answer()]).await;
    scene.site.publish_release("1.0.5");
    scene.interrupt_and_rerun(signal, vec![two_verdicts_answer("no-port", "no-port")], "relaxed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_interrupted_while_a_model_looks_is_paid_by_what_was_shown_and_gone_on_with() {
    stop_while_classifying("-INT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_terminated_while_a_model_looks_is_paid_by_what_was_shown_and_gone_on_with() {
    stop_while_classifying("-TERM").await;
}

/// Interrupts a run with this signal while a model writes a port.
async fn stop_while_porting(signal: &'static str) {
    let paid = super::bump::write("ours/more.py", "more = 1\n").usage(2000, 70);
    let scene =
        Scene::new("mode = \"code\"", "", vec![paid, stalling_answer(), report_answer(&[], &[])]).await;
    scene.interrupt_and_rerun(signal, right_port_answers(), "bumped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_interrupted_while_a_model_writes_is_paid_by_what_was_shown_and_made_anew() {
    stop_while_porting("-INT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_terminated_while_a_model_writes_is_paid_by_what_was_shown_and_made_anew() {
    stop_while_porting("-TERM").await;
}
