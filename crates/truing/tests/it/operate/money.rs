//! Tests of budgets for a server with a model, and for a command that publishes a review. The pull request
//! shows the effects of the budget, the turn limit, the kill switch, and a provider account without credit.

use std::sync::Arc;

use serde_json::json;
use truing_core::port::Ledger as _;
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelFault, ModelScript, ScriptedAnswer};
use truing_loops::machine::SystemClock;
use truing_store::Store;

use super::*;

const SUMMARY: &str = "/repos/{owner}/{repo}/issues/{number}/comments$";
const PAY: &str = "def pay(x):\n    try:\n        charge(x)\n    except Exception:\n        return None\n";

impl Site {
    /// Creates a site with a model, and with these lines at the end of the operator's configuration.
    pub(crate) async fn with_model(
        answers: impl IntoIterator<Item = ScriptedAnswer>,
        more: &str,
    ) -> (Self, FakeModel) {
        let (site, model) =
            (Self::new().await, FakeModel::start(ModelScript::from_answers(answers)).await.unwrap());
        let file = site.home.path().join("truing.toml");
        std::fs::write(site.home.path().join("model.key"), DEFAULT_API_KEY).unwrap();
        let config = std::fs::read_to_string(&file).unwrap();
        let model_keys = format!(
            "runtime = \"native\"\n[model]\nbase_url = \"{}\"\napi_key = {{ file = \"model.key\" }}\n",
            model.url()
        );
        std::fs::write(&file, format!("{config}{model_keys}{more}")).unwrap();
        (site, model)
    }

    /// Opens a pull request in which no rule reports a finding.
    pub(crate) async fn open_clean(&self, branch: &str) -> u64 {
        self.repo.push(branch, CommitBuilder::new("pay").write(format!("{branch}.py"), PAY)).await.unwrap();
        self.repo.open_pull(NewPull::from_branch(branch)).await.unwrap()
    }

    /// Waits until the head has a status. Returns the state of the status and the text of the summary.
    pub(crate) async fn wait_for_status(&self, number: u64) -> (String, String) {
        let view = self.wait_until(number, "told", |view| view.statuses.contains_key(&view.head)).await;
        let summary = view.conversation_comments().next().unwrap().body.clone();
        (view.statuses[&view.head].last().unwrap().state.clone(), summary)
    }

    /// Returns the repository's spent and reserved amounts of today in the ledger, in micro-dollars.
    pub(crate) async fn spent_today(&self) -> (u64, u64) {
        let ledger = Store::open(&database(self.home.path()), Arc::new(SystemClock)).unwrap();
        let drawn = ledger.current_usage().await.unwrap();
        let days = drawn.iter().filter(|drawn| drawn.level.kind.as_str() == "repo_day");
        days.fold((0, 0), |(spent, held), drawn| (spent + drawn.spent.0, held + drawn.reserved.0))
    }
}

pub(crate) fn report_answer() -> ScriptedAnswer {
    ScriptedAnswer::tool("report", json!({ "findings": [] })).usage(1000, 100)
}

fn read_answer(output: u64) -> ScriptedAnswer {
    ScriptedAnswer::tool("read", json!({ "path": "a.py" })).usage(1000, output)
}

/// Number of pushes to one pull request. The service reviews the head after each push.
const PUSHES: usize = 20;

/// Returns the number of requests for a message; requests that count tokens are excluded.
pub(crate) fn count_requests(model: &FakeModel) -> usize {
    model.request_log().iter().filter(|request| request.path == "/v1/messages").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn runaway_turns_and_runaway_money_end_in_a_partial_review_that_is_posted() {
    let (site, model) = Site::with_model([read_answer(100).times(0)], "").await;
    let _server = site.serve();
    let number = site.open_clean("one").await;
    site.deliver().await;
    let (state, summary) = site.wait_for_status(number).await;
    assert_eq!((state.as_str(), count_requests(&model)), ("pending", 25), "{summary}");
    assert!(summary.contains("review incomplete") && summary.contains("turn limit"), "{summary}");

    // A turn costs a quarter of a dollar. The run ends before a call could exceed the limit of two dollars.
    let before = site.spent_today().await.0;
    model.set_script(ModelScript::from_answers([read_answer(16_000).times(0)]));
    let number = site.open_clean("two").await;
    site.deliver().await;
    let (state, summary) = site.wait_for_status(number).await;
    let (after, held) = site.spent_today().await;
    assert!(summary.contains("review incomplete") && summary.contains("budget"), "{summary}");
    assert_eq!((state.as_str(), held), ("pending", 0));
    assert!((1_000_000..=2_000_000).contains(&(after - before)), "{}", after - before);
    assert_eq!(model.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repositorys_day_holds_for_reviews_side_by_side_and_those_after_it_wait() {
    let more = "[budget]\nrepo_day_usd = 0.6\n";
    let (site, model) = Site::with_model([read_answer(8_000).times(0)], more).await;
    let server = site.serve();
    let mut numbers = Vec::new();
    for branch in ["one", "two", "three", "four"] {
        numbers.push(site.open_clean(branch).await);
    }
    site.deliver().await;
    for number in &numbers {
        let (state, summary) = site.wait_for_status(*number).await;
        assert_eq!(state, "pending", "nothing that was not reviewed is green: {summary}");
        assert!(["budget", "Budget"].iter().any(|word| summary.contains(word)), "{summary}");
    }
    let late = site.open_clean("late").await;
    let asked = count_requests(&model);
    site.deliver().await;
    let (state, summary) = site.wait_for_status(late).await;
    assert_eq!(state, "pending");
    assert!(summary.contains("review incomplete") && summary.contains("daily budget hit"), "{summary}");
    assert!(summary.contains("rules only until the next day (UTC) begins"), "{summary}");
    assert_eq!(count_requests(&model), asked, "nothing was asked for it");
    let slots = site
        .wait_until_slots("deferred", |slots| {
            let mut late = slots.iter().filter(|slot| slot["name"] == format!("o/r#{late}"));
            late.any(|slot| slot["why"] == "deferred" && slot["state"] != "leased")
        })
        .await;
    assert!(slots.iter().all(|slot| slot["attempts"] == 0), "waiting is no failure: {slots:#?}");
    let (spent, held) = site.spent_today().await;
    assert!(spent <= 600_000 && held == 0, "{spent} spent, {held} set aside");
    let url = format!("{}/metrics", server.url);
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let metrics = client.get(url).send().await.unwrap().text().await.unwrap();
    let ratio = metrics
        .lines()
        .find(|line| line.starts_with("truing_budget_spent_ratio{") && line.contains("repo_day"));
    let ratio: f64 = ratio.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(ratio > 0.5 && ratio <= 1.0, "{ratio}");
    // The review command with `--publish` is deferred for the same reason.
    let by_hand = site.run(&["review", "--pr", &format!("o/r#{late}"), "--publish"]);
    assert_eq!((by_hand.exit, count_requests(&model)), (4, asked), "{by_hand:?}");
    assert!(by_hand.err.contains("deferred"), "{by_hand:?}");
    assert_eq!(site.repo.pull(late).await.unwrap().conversation_comments().count(), 1, "updated in place");

    // With a larger budget, a model reviews the pull request that only rules have reviewed so far.
    drop(server);
    model.set_script(ModelScript::from_answers([read_answer(100), report_answer()]));
    let _server = site.serve_by(site.command(&["serve"]).env("TRUING_BUDGET__REPO_DAY_USD", "50"));
    assert_eq!(site.run(&["queue", "retry", &format!("o/r#{late}")]).exit, 0);
    let is_green = |view: &PullView| view.statuses[&view.head].last().unwrap().state == "success";
    site.wait_until(late, "a model has reviewed it", is_green).await;
    assert_eq!(count_requests(&model), asked + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_pushes_costs_no_more_than_the_pull_request_may_and_the_rules_review_each() {
    let answers = [report_answer().usage(1000, 8_000).times(0)];
    let (site, model) = Site::with_model(answers, "[budget]\npr_usd = 0.4\nmonth_usd = 4\n").await;
    let mut server = site.serve();
    let number = site.open_clean("one").await;
    // For each push, the total number of requests afterwards, and true if the budget allowed only a review by
    // rules.
    let mut asked = Vec::new();
    let only = "budget: rules only, because the amount left in `budget.pr_usd` ($0.40 for all runs of a \
        pull request) is too small for one request";
    for push in 0..PUSHES {
        if push == PUSHES / 2 {
            drop(server);
            server = site.serve();
        }
        site.deliver().await;
        let (state, told) = site.wait_for_status(number).await;
        let told = told.replace('\\', "");
        let incomplete = told.contains("`budget.pr_usd`");
        assert_eq!(state, if incomplete { "pending" } else { "success" }, "{push}: {told}");
        asked.push((count_requests(&model), told.contains(only)));
        let text = format!("{PAY}\n\ndef pay_{push}(x):\n    return charge(x + {push})\n");
        site.repo.push("one", CommitBuilder::new("more").write("one.py", text)).await.unwrap();
    }
    let reviewed = asked.iter().take_while(|(_, refused)| !refused).count();
    let last = asked[reviewed - 1].0;
    assert!((3..PUSHES / 2).contains(&reviewed), "{asked:?}");
    assert!(asked[reviewed..].iter().all(|each| *each == (last, true)), "{asked:?}");
    let (spent, held) = site.spent_today().await;
    assert!((200_000..=400_000).contains(&spent) && held == 0, "{spent} spent, {held} set aside");
    let shown = site.run(&["budget", "show"]).out;
    assert!(shown.contains("pr o/r#1") && shown.contains("budget.month_usd"), "{shown}");
    let reason = unwrap_lines(&site.run(&["why", &format!("o/r#{number}")]).out);
    assert!(reason.contains("all work on this pull request: $0."), "{reason}");

    // The budget of another pull request is not affected.
    let other = site.open_clean("other").await;
    site.deliver().await;
    assert_eq!(site.wait_for_status(other).await.0, "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_soft_limit_one_comment_asks_and_models_go_on_when_a_writer_allows_it() {
    let more = "[budget]\npr_ask_usd = 0.3\npr_usd = 0.7\n";
    let (site, model) = Site::with_model([report_answer().usage(1000, 8_000).times(0)], more).await;
    let mut server = site.serve();
    let number = site.open_clean("one").await;
    site.repo.set_role("ada", "write").await.unwrap();
    let questions = |view: &PullView| {
        view.comments
            .iter()
            .filter(|comment| comment.body.contains("more money for this pull request?"))
            .count()
    };
    let mut push = 0;
    let mut push_until = async |wanted: &str| {
        let first = push;
        loop {
            site.deliver().await;
            let told = site.wait_for_status(number).await.1.replace('\\', "");
            if told.contains(wanted) {
                return push - first;
            }
            push += 1;
            assert!(push < PUSHES, "{wanted}: {told}");
            let text = format!("{PAY}\n\ndef pay_{push}(x):\n    return charge(x + {push})\n");
            site.repo.push("one", CommitBuilder::new("more").write("one.py", text)).await.unwrap();
        }
    };
    let waits = "`budget.pr_ask_usd` ($0.30 ";
    push_until(waits).await;
    site.wait_until(number, "the question", |view| questions(view) == 1).await;
    // A further push, a restart of the server, and an answer of a user without write permission have no
    // effect.
    let before = count_requests(&model);
    drop(server);
    server = site.serve();
    site.repo.push("one", CommitBuilder::new("more").write("two.py", PAY)).await.unwrap();
    push_until(waits).await;
    assert_eq!((count_requests(&model), questions(&site.repo.pull(number).await.unwrap())), (before, 1));

    // There are three `/spend` comments, but only the second one is accepted. The author of the first one has
    // no write permission. The third one is redundant, because models may already spend again.
    for author in ["eve", "ada", "ada"] {
        site.repo.comment(number, author, "/spend").await.unwrap();
    }
    site.deliver().await;
    let is_green = |view: &PullView| view.statuses[&view.head].last().unwrap().state == "success";
    site.wait_until(number, "a model has reviewed it", is_green).await;
    assert!(count_requests(&model) > before);
    let reason = unwrap_lines(&site.run(&["why", &format!("o/r#{number}")]).out);
    assert!(
        reason.contains("this pull request, unless `/spend` allows more: $0.")
            && reason.contains(" of $0.60 spent"),
        "{reason}"
    );
    assert!(reason.contains("`/spend` by ada@github was not run: models may still spend"), "{reason}");
    assert!(!reason.contains("eve@"), "{reason}");
    // At the next limit, the service asks again. A `/spend` comment cannot raise the hard limit
    // `budget.pr_usd`.
    push_until("`budget.pr_ask_usd` ($0.60 ").await;
    site.wait_until(number, "the second question", |view| questions(view) == 2).await;
    site.repo.comment(number, "ada", "/spend").await.unwrap();
    push_until("`budget.pr_usd` ($0.70 ").await;
    let (spent, held) = site.spent_today().await;
    assert!((600_000..=700_000).contains(&spent) && held == 0, "{spent} spent, {held} set aside");
    assert_eq!(questions(&site.repo.pull(number).await.unwrap()), 2);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_was_paid_for_is_not_paid_for_again_when_the_forge_comes_back() {
    let (site, model) =
        Site::with_model([read_answer(100), report_answer(), read_answer(100).times(0)], "").await;
    let server = site.serve();
    let refused = ForgeFaultKind::Status(503, None);
    site.forge.add_fault(ForgeFault::on_call("POST", SUMMARY, refused).times(1000));
    let number = site.open_clean("one").await;
    site.deliver().await;
    let tries = || {
        let calls = site.forge.call_counts();
        calls.get("POST /repos/{owner}/{repo}/issues/{number}/comments").copied().unwrap_or_default()
    };
    site.wait_until(number, "tried again", |_| tries() >= 3).await;
    let paid = (count_requests(&model), site.spent_today().await);
    assert_eq!(paid.0, 2);
    site.forge.clear_faults();
    let view = site.wait_until(number, "told", |view| {
        view.statuses.get(&view.head).is_some_and(|all| all.last().unwrap().state == "success")
    });
    let view = view.await;
    assert_eq!(view.conversation_comments().count(), 1);
    assert!(view.conversation_comments().all(|summary| summary.body.contains("2 turns")), "{view:#?}");
    assert_eq!((count_requests(&model), site.spent_today().await), paid);

    // The response to the command's own write is lost. When the command is repeated, it does not pay for the
    // review again.
    drop(server);
    model.set_script(ModelScript::from_answers([read_answer(100), report_answer()]));
    site.forge.add_fault(ForgeFault::on_call("POST", SUMMARY, ForgeFaultKind::LostResponse));
    site.open_clean("two").await;
    let target = ["review", "--pr", "o/r#2", "--publish"];
    let lost = site.run(&target);
    assert_eq!(lost.exit, 3, "{lost:?}");
    assert_eq!(count_requests(&model), 4);
    let again = site.run(&target);
    assert_eq!((again.exit, count_requests(&model)), (0, 4), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_between_two_turns_stops_the_run_or_lets_it_finish() {
    let (site, model) = Site::with_model([read_answer(100), report_answer()], "").await;
    let _server = site.serve();
    model.stall_request(1);
    let asked = async |count: usize| {
        let deadline = Instant::now() + PATIENCE;
        while count_requests(&model) < count {
            assert!(Instant::now() < deadline, "no request {count}");
            tokio::task::yield_now().await;
        }
    };
    let number = site.open_clean("one").await;
    site.deliver().await;
    asked(1).await;
    assert_eq!(site.run(&["kill", "on", "--mode", "finish"]).exit, 0);
    model.resume();
    let (state, summary) = site.wait_for_status(number).await;
    assert_eq!((state.as_str(), count_requests(&model)), ("success", 2), "{summary}");
    assert_eq!(site.run(&["kill", "off"]).exit, 0);

    model.set_script(ModelScript::from_answers([read_answer(100), report_answer().times(0)]));
    model.stall_request(3);
    let number = site.open_clean("two").await;
    site.deliver().await;
    asked(3).await;
    assert_eq!(site.run(&["kill", "on", "--mode", "stop"]).exit, 0);
    model.resume();
    site.wait_until_slots("given back", |slots| {
        slots
            .iter()
            .any(|slot| slot["name"] == "o/r#2" && slot["state"] == "waiting" && slot["attempts"] == 0)
    })
    .await;
    assert_eq!(count_requests(&model), 3, "the turn in flight was the last");
    let view = site.repo.pull(number).await.unwrap();
    assert!(view.comments.is_empty() && !view.statuses.contains_key(&view.head), "{view:#?}");
    assert_eq!(site.spent_today().await.1, 0, "nothing stays set aside");
    assert_eq!(site.run(&["kill", "off"]).exit, 0);
    assert_eq!(site.wait_for_status(number).await.0, "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_wants_no_more_is_left_alone_and_the_rules_review() {
    let says = |status, error: &str, wait: &str| {
        let headers = [("retry-after", wait)].into_iter().filter(|(_, wait)| !wait.is_empty());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        ScriptedAnswer::fault(ModelFault::Status {
            status,
            error: error.to_owned(),
            message: String::new(),
            headers,
        })
    };
    for (status, error, wait) in
        [(402, "", ""), (403, "spend_limit_error", ""), (429, "billing_error", ""), (429, "", "61")]
    {
        let (site, model) = Site::with_model([says(status, error, wait).times(0)], "").await;
        let _server = site.serve();
        for branch in ["one", "two"] {
            let number = site.open(branch).await;
            site.deliver().await;
            let view = site.wait_until(number, "reviewed", is_reviewed).await;
            let summary = &view.conversation_comments().next().unwrap().body;
            assert!(
                summary.contains("review incomplete") && summary.contains("minimal: rules only"),
                "{status}: {summary}"
            );
            assert_eq!(
                view.statuses[&view.head].last().unwrap().state,
                "failure",
                "what the rules found blocks"
            );
        }
        assert_eq!(count_requests(&model), 1, "{status} {error}: the circuit is open");
        assert_eq!(site.spent_today().await, (0, 0));
    }
    let (site, model) = Site::with_model([says(429, "", "0"), report_answer()], "").await;
    let _server = site.serve();
    let number = site.open_clean("one").await;
    site.deliver().await;
    let (state, summary) = site.wait_for_status(number).await;
    assert_eq!(
        (state.as_str(), count_requests(&model)),
        ("success", 2),
        "an ordinary 429 is tried again: {summary}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_review_costs_is_told_once_however_often_it_is_published_again() {
    let (site, model) = Site::with_model([report_answer().times(0)], "").await;
    site.repo.set_role("ann", "write").await.unwrap();
    let server = site.serve();
    let number = site.open("one").await;
    site.deliver().await;
    let state = |view: &PullView| view.statuses.get(&view.head)?.last().map(|status| status.state.clone());
    let view = site.wait_until(number, "reviewed", |view| state(view).as_deref() == Some("failure")).await;
    // The status is set before the cost is recorded, so the test waits until the lease is released.
    site.wait_until_slots("at rest", |slots| slots.iter().all(|slot| slot["state"] != "leased")).await;
    let (paid, asked) = (site.spent_today().await.0, count_requests(&model));
    assert!(paid > 0 && asked > 0);
    let reported = || {
        let ran = site.run(&["report", "--format", "json"]);
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        told["totals"]["cost_micro_usd"].as_u64().unwrap()
    };
    assert_eq!(reported(), paid);

    // A dismissal makes the service publish the known findings again, as does its withdrawal. Neither costs
    // anything.
    let first = view.inline_comments().next().unwrap().id;
    for (word, wanted) in [("/dismiss it is for a demo", "success"), ("/undismiss", "failure")] {
        site.repo.reply(number, "ann", first, word).await.unwrap();
        site.deliver().await;
        site.wait_until(number, word, |view| state(view).as_deref() == Some(wanted)).await;
        site.wait_until_slots("at rest", |slots| slots.iter().all(|slot| slot["state"] != "leased")).await;
        assert_eq!(
            (site.spent_today().await, reported(), count_requests(&model)),
            ((paid, 0), paid, asked),
            "{word}"
        );
    }
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
}

/// Returns the cost of reviews in micro-dollars from three sources: the ledger, `truing why` for this head,
/// and the report on all runs.
fn reported_sums(site: &Site) -> [u64; 3] {
    let of = |arguments: &[&str]| -> Value {
        let ran = site.run(&[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
    };
    let rows = of(&["budget", "show"]);
    let reviews = rows.as_array().unwrap().iter().filter(|row| row["level"] == "review");
    let spent = reviews.map(|row| row["spent_micro_usd"].as_u64().unwrap()).sum();
    let reason = of(&["why", "o/r#1"])["cost_micro_usd"].as_u64().unwrap();
    [spent, reason, of(&["report"])["totals"]["cost_micro_usd"].as_u64().unwrap()]
}

async fn wait_for_bills(model: &FakeModel, bills: usize) {
    let deadline = Instant::now() + PATIENCE;
    while model.bills().len() < bills {
        assert!(Instant::now() < deadline, "no request came");
        tokio::task::yield_now().await;
    }
}

fn stalling_answer() -> ScriptedAnswer {
    let fault = Some(ModelFault::Stall { after: truing_fakes::model::StreamPosition::Text });
    ScriptedAnswer { fault, ..ScriptedAnswer::text("Let me see.") }.usage(1000, 100)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_is_stopped_is_told_with_what_it_cost_by_hand_and_served() {
    let (site, model) = Site::with_model(
        [read_answer(100), stalling_answer(), read_answer(100), stalling_answer(), report_answer()],
        "",
    )
    .await;
    let number = site.open_clean("one").await;
    let target = ["review", "--pr", "o/r#1", "--publish", "--format", "json"];
    let child = site.command(&target).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_bills(&model, 2).await;
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let ran = Ran::from(tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap());
    assert_eq!(ran.exit, 130, "{ran:?}");
    let sums = reported_sums(&site);
    assert!(sums[0] > 0 && sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    let error: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(error["cost_micro_usd"], json!(sums[0]), "{ran:?}");
    // Without a server, the review is not continued automatically.
    let reason = site.run(&["why", "o/r#1"]);
    assert!(!reason.out.contains("more pushes may follow"), "{}", reason.out);
    assert!(unwrap_lines(&reason.out).contains("no server is running"), "{}", reason.out);

    // A server makes another attempt, and is stopped during it.
    let server = site.serve();
    wait_for_bills(&model, 4).await;
    server.signal("-TERM");
    server.wait_until_not_listening().await;
    server.signal("-TERM");
    assert_eq!(server.wait_for_end().0.code(), Some(0));
    let after = reported_sums(&site);
    assert!(after[0] > sums[0] && after.iter().all(|sum| *sum == after[0]), "{after:?}");

    let _server = site.serve();
    assert_eq!(site.wait_for_status(number).await.0, "success");
    site.wait_until_slots("served", |slots| slots.iter().all(|slot| slot["state"] == "idle")).await;
    let last = reported_sums(&site);
    assert!(last[0] > after[0] && last.iter().all(|sum| *sum == last[0]), "{last:?}");
}
