//! Kills a run on a pull request before and after each write at the forge, and at each request to a model.
//! The test then starts the command again, and the result must equal the result of an undisturbed run.
//!
//! The records of a run change only between these points. Each kill therefore also tests a kill just before
//! or just after a record is written. (`crash` makes the write of a record fail.)

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use serde_json::json;
use tokio::sync::OnceCell;
use truing_fakes::forge::{
    ApiExchange, ExchangeObserver, FakeForgeOptions, ForgeFault, ForgeFaultKind, PullView,
};
use truing_fakes::model::{ModelScript, ScriptedAnswer};

use crate::converge::crash::answers_by_request;
use crate::converge::pull::{BOT, Site, audit_review_headlines};

const PUSH: &str = "/{owner}/{repo}/git-receive-pack";
/// Number of sites that are tested at the same time.
const AT_ONCE: usize = 4;

/// The points at which a run is killed.
#[derive(Clone, Debug)]
enum DeathPoint {
    /// At the n-th call of the forge's API that is not `GET`. The run is killed either before the forge
    /// executes the call, or before the forge responds.
    Call(u32, ForgeFaultKind),
    /// At the push of the fix, either before the forge executes the push or before it responds.
    Push(ForgeFaultKind),
    /// At the request to a model with this number.
    Asks(u64),
}

/// For each API call other than `GET`, true if the call changes something.
#[derive(Default)]
struct Writes(Mutex<Vec<bool>>);

impl ExchangeObserver for Writes {
    fn observe_exchange(&self, exchange: &ApiExchange<'_>) -> Vec<String> {
        if exchange.method != "GET" {
            let query = exchange.request.and_then(|body| body["query"].as_str());
            self.0.lock().unwrap().push(query.is_none_or(|query| query.contains("mutation")));
        }
        Vec::new()
    }
}

async fn site(options: FakeForgeOptions) -> Site {
    let site = Site::with_options(options, "", []).await;
    let answers = answers_by_request(&site.pull_view().await.head);
    site.model.set_script(ModelScript::from_answers(
        answers.into_iter().chain([ScriptedAnswer::for_describer("Adds up orders.")]),
    ));
    site
}

/// Returns the final state of the pull request as text, without values that differ between runs.
fn final_state(pull: &PullView, site: &Site) -> String {
    let inline: Vec<_> = pull
        .inline_comments()
        .map(|comment| {
            let first = comment.body.lines().next().unwrap_or_default().replace(&pull.head[..7], "HEAD");
            (first, comment.line, comment.in_reply_to.is_some(), comment.resolved)
        })
        .collect();
    let deleted = pull.comments.iter().filter(|comment| comment.deleted).count();
    let ours = pull.reviews.iter().filter(|review| review.author == BOT).count();
    format!(
        "{:#?} {ours} reviews, {inline:#?}, {} summaries, {deleted} deleted, draft: {}, {:?}, {:?}",
        audit_review_headlines(pull),
        pull.conversation_comments().count(),
        pull.draft,
        pull.body.lines().next(),
        site.forge.violations()
    )
}

/// Returns the final state of the pull request, and its commits.
pub(crate) async fn final_state_and_commits(site: &Site) -> (String, String) {
    let commits = site.git(&["log", "--format=%an %s", "main..topic"]).await;
    (final_state(&site.pull_view().await, site), commits)
}

/// Kills a run at this point, runs it again, and returns the final state.
async fn kill_and_rerun(death: &DeathPoint) -> Result<(String, String), String> {
    let site = site(FakeForgeOptions::default()).await;
    match death {
        DeathPoint::Call(nth, kind) => site.forge.add_fault(ForgeFault::nth_write(*nth, kind.clone())),
        DeathPoint::Push(kind) => site.forge.add_fault(ForgeFault::on_call("POST", PUSH, kind.clone())),
        DeathPoint::Asks(nth) => site.model.stall_request(*nth),
    }
    let target = format!("acme/shop#{}", site.number);
    let mut command = tokio::process::Command::from(site.command(&["--format", "json", &target]));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    tokio::select! {
        () = site.forge.wait_for_held_request() => {}
        () = site.model.wait_until_stalled() => {}
        ended = child.wait() => return Err(format!("it never came there: {ended:?}")),
    }
    child.kill().await.unwrap();
    // The second run starts immediately, and does not wait until the lease of the first run expires.
    let (told, exit) = site.run_json(&[]).await;
    if (exit, &told["exit"]) != (0, &json!("converged")) {
        return Err(format!("the second run ended with {exit}: {told}"));
    }
    Ok(final_state_and_commits(&site).await)
}

/// The result of an undisturbed run.
struct UndisturbedRun {
    /// Final state of the pull request and its commits.
    ended: (String, String),
    /// The numbers of the API calls that change something, counted among all calls other than `GET`.
    writes: Vec<u32>,
    /// Number of requests to a model.
    asks: u64,
}

/// Returns the result of the undisturbed run, which all tests of the process share.
async fn undisturbed_run() -> &'static UndisturbedRun {
    static CLEAN: OnceCell<UndisturbedRun> = OnceCell::const_new();
    CLEAN
        .get_or_init(|| async {
            let writes = Arc::new(Writes::default());
            let clean =
                site(FakeForgeOptions { observer: Some(writes.clone()), ..FakeForgeOptions::default() })
                    .await;
            let (told, exit) = clean.run_json(&[]).await;
            assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
            let ended = final_state_and_commits(&clean).await;
            assert_eq!(ended.1.lines().count(), 2, "{ended:?}");
            let all = writes.0.lock().unwrap();
            let writes = (1..).zip(all.iter()).filter(|(_, writes)| **writes).map(|(nth, _)| nth).collect();
            UndisturbedRun { ended, writes, asks: clean.model.request_log().len() as u64 }
        })
        .await
}

/// Checks that a run that is killed at each of these points, and then started again, leads to the final state
/// of an undisturbed run.
async fn assert_all_recover(deaths: Vec<DeathPoint>, least: usize) {
    assert!(deaths.len() >= least, "the enumeration has shrunk to {deaths:?}");
    let expected = &undisturbed_run().await.ended;
    let all = futures_util::stream::iter(deaths)
        .map(|death| async move { (kill_and_rerun(&death).await, death) })
        .buffer_unordered(AT_ONCE);
    let wrong: Vec<String> = all
        .filter_map(async |(ended, death)| match ended {
            Ok(ended) if ended == *expected => None,
            Ok((shown, commits)) => Some(format!("{death:?}: {shown}\n{commits}")),
            Err(why) => Some(format!("{death:?}: {why}")),
        })
        .collect()
        .await;
    assert!(wrong.is_empty(), "expected is {expected:?}, and:\n{}", wrong.join("\n"));
}

/// Kills a run at the push and at each API call that changes something: two reviews, a reply, a resolved
/// thread, the end of the draft, and the description.
async fn test_each_write_death(kind: ForgeFaultKind) {
    let writes = undisturbed_run().await.writes.iter();
    let calls = writes.map(|nth| DeathPoint::Call(*nth, kind.clone()));
    assert_all_recover(calls.chain([DeathPoint::Push(kind.clone())]).collect(), 7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_is_killed_before_a_write_it_goes_on_and_nothing_is_there_twice() {
    test_each_write_death(ForgeFaultKind::HeldRequest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_is_killed_after_a_write_it_goes_on_and_nothing_is_there_twice() {
    test_each_write_death(ForgeFaultKind::HeldResponse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_is_killed_while_it_asks_a_model_it_goes_on_and_nothing_is_there_twice() {
    let deaths = (1..=undisturbed_run().await.asks).map(DeathPoint::Asks).collect();
    assert_all_recover(deaths, 6).await;
}
