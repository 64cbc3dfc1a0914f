//! Tests of a run on a pull request with an event during each of its writes: the kill switch is turned on, or
//! the lease is lost. The write in progress is completed, but no further write is made. After the run is
//! resumed, the final state equals that of an undisturbed run. If the switch is turned on in mode `finish`,
//! the run continues to its end.

use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use truing_core::id::SlotKey;
use truing_core::slot::{SlotCommand, SlotLimits};
use truing_fakes::forge::{ApiExchange, ExchangeObserver, FakeForgeOptions, ForgeFault, ForgeFaultKind};
use truing_fakes::model::{ModelScript, ScriptedAnswer};
use truing_loops::machine::SystemClock;
use truing_loops::slots::apply_slot_command;
use truing_store::Store;

use crate::converge::crash::answers_by_request;
use crate::converge::killed::final_state_and_commits;
use crate::converge::pull::Site;

const PUSH: &str = "/{owner}/{repo}/git-receive-pack";
/// Number of sites that are tested at the same time.
const AT_ONCE: usize = 4;
/// Flag with which the run requests a bot's review after each push.
const FLAG: &str = "--bugbot-retrigger";

/// A write of a run at the forge.
#[derive(Clone, Debug)]
enum Write {
    /// The n-th call of the forge's API that is not `GET`.
    Call(u32),
    /// The push of the fix.
    Push,
}

impl Write {
    /// Makes the forge perform the write immediately and delay its response until the test releases it.
    fn hold_response(&self, site: &Site) {
        site.forge.add_fault(match self {
            Self::Call(nth) => ForgeFault::nth_write(*nth, ForgeFaultKind::HeldResponse),
            Self::Push => ForgeFault::on_call("POST", PUSH, ForgeFaultKind::HeldResponse),
        });
    }
}

/// The event that happens during a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WriteEvent {
    Stop,
    /// The kill switch of the repository is turned on, in mode `stop`.
    StopThere,
    Finish,
    Lost,
}

/// For each API call other than `GET`, true if the call changes something.
#[derive(Default)]
struct Calls(Mutex<Vec<bool>>);

impl ExchangeObserver for Calls {
    fn observe_exchange(&self, exchange: &ApiExchange<'_>) -> Vec<String> {
        if exchange.method != "GET" {
            let query = exchange.request.and_then(|body| body["query"].as_str());
            self.0.lock().unwrap().push(query.is_none_or(|query| query.contains("mutation")));
        }
        Vec::new()
    }
}

/// A site, and the observer of its API calls.
struct Scene {
    site: Site,
    calls: Arc<Calls>,
}

impl Scene {
    async fn new() -> Self {
        let calls = Arc::new(Calls::default());
        let options = FakeForgeOptions { observer: Some(calls.clone()), ..FakeForgeOptions::default() };
        let site = Site::with_options(options, "", []).await;
        // The heartbeat interval is so long that only the check before a write can detect that the lease is
        // lost.
        let file = site.home.path().join("truing.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        let slow =
            config.replace("lease = \"20s\"\nheartbeat = \"200ms\"", "lease = \"60s\"\nheartbeat = \"10s\"");
        assert_ne!(slow, config);
        std::fs::write(&file, slow).unwrap();
        let answers = answers_by_request(&site.pull_view().await.head);
        site.model.set_script(ModelScript::from_answers(
            answers.into_iter().chain([ScriptedAnswer::for_describer("Adds up orders.")]),
        ));
        Self { site, calls }
    }

    /// Returns the writes that the run has made so far, in order.
    fn list_writes(&self) -> Vec<Write> {
        let calls = self.calls.0.lock().unwrap();
        let mut known = (1..).zip(calls.iter());
        let mut writes = Vec::new();
        for call in self.site.forge.request_log() {
            if call.path.ends_with("git-receive-pack") && call.method == "POST" {
                writes.push(Write::Push);
            } else if call.method != "GET" && !call.path.contains("/git-upload-pack") {
                // The observer also sees a call whose response the forge still holds.
                let (nth, writes_it) = known.next().unwrap();
                writes.extend(writes_it.then_some(Write::Call(nth)));
            }
        }
        writes
    }

    async fn turn_switch(&self, arguments: &[&str]) {
        let ran = self.site.run_command(self.site.other_command("kill", arguments)).await;
        assert_eq!(ran.exit, 0, "{ran:?}");
    }

    /// Takes the lease away, as a restart of the server does.
    async fn lose_lease(&self) {
        let store = Store::open(&self.database(), Arc::new(SystemClock)).unwrap();
        let key = self.key().await;
        apply_slot_command(&store, &key, SlotCommand::ServerRestarted, &SlotLimits::default()).await.unwrap();
    }

    fn database(&self) -> std::path::PathBuf {
        self.site.home.path().join(".local/state/truing/truing.db")
    }

    async fn key(&self) -> SlotKey {
        SlotKey::new(format!("pr/github/{}/{}", self.site.repo.id().await.unwrap(), self.site.number))
    }

    /// Starts a run, with the event during this write, or before the first write if `at_write` is `None`.
    /// Returns the output of the run.
    async fn run_with_event(&self, at_write: Option<&Write>, event: WriteEvent) -> Output {
        match at_write {
            Some(write) => write.hold_response(&self.site),
            None => {
                self.site
                    .forge
                    .add_fault(ForgeFault::on_call("GET", "/repos", ForgeFaultKind::HeldResponse).nth(4));
            }
        }
        let target = format!("acme/shop#{}", self.site.number);
        let arguments = ["--format", "json", &target, FLAG];
        let mut command = tokio::process::Command::from(self.site.command(&arguments));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = std::pin::pin!(child.wait_with_output());
        tokio::select! {
            () = self.site.forge.wait_for_held_request() => {}
            ended = &mut output => panic!("it never came to {at_write:?}: {ended:?}"),
        }
        match event {
            WriteEvent::Stop => self.turn_switch(&["on", "--mode", "stop"]).await,
            WriteEvent::StopThere => self.turn_switch(&["on", "--mode", "stop", "--repo", "Acme/shop"]).await,
            WriteEvent::Finish => self.turn_switch(&["on"]).await,
            WriteEvent::Lost => self.lose_lease().await,
        }
        self.site.forge.release_held_requests();
        output.await.unwrap()
    }
}

/// Performs a run with this event, and resumes it if it stops. Returns a description of the error, or `None`
/// if everything is as expected.
async fn event_run_errors(
    (nth, many): (usize, usize),
    at_write: Option<&Write>,
    event: WriteEvent,
    expected: &(String, String),
) -> Option<String> {
    let scene = Scene::new().await;
    let output = scene.run_with_event(at_write, event).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let (exit, made) = (output.status.code(), scene.list_writes().len());
    let reason = told["reason"].as_str().unwrap_or_default();
    let said = || format!("{exit:?} {reason} {}", String::from_utf8_lossy(&output.stderr));
    // After the last write, the event has no effect, because no write follows.
    if event == WriteEvent::Finish || nth == many {
        let ended = final_state_and_commits(&scene.site).await;
        return (exit != Some(0) || ended != *expected).then(|| format!("{} {ended:?}", said()));
    }
    if made != nth {
        return Some(format!("{made} writes: {}", said()));
    }
    let is_told = match event {
        WriteEvent::Stop | WriteEvent::StopThere => {
            exit == Some(130) && told["exit"] == "interrupted" && reason.starts_with("the kill switch is on")
        }
        WriteEvent::Lost => exit == Some(4) && reason.contains("another process took over the run"),
        WriteEvent::Finish => true,
    };
    if !is_told {
        return Some(said());
    }
    match event {
        WriteEvent::Stop => scene.turn_switch(&["off"]).await,
        WriteEvent::StopThere => scene.turn_switch(&["off", "--repo", "acme/shop"]).await,
        WriteEvent::Finish | WriteEvent::Lost => {}
    }
    let (told, exit) = scene.site.run_json(&[FLAG]).await;
    if (exit, &told["exit"]) != (0, &json!("converged")) {
        return Some(format!("the second run ended with {exit}: {told}"));
    }
    let ended = final_state_and_commits(&scene.site).await;
    (ended != *expected).then(|| format!("there is {ended:?}"))
}

/// The result of an undisturbed run.
struct UndisturbedResult {
    /// Final state of the pull request and its commits.
    ended: (String, String),
    /// All writes of the run, in order.
    writes: Vec<Write>,
}

/// Returns the result of the undisturbed run, which all tests of the process share.
async fn undisturbed_run() -> &'static UndisturbedResult {
    static CLEAN: OnceCell<UndisturbedResult> = OnceCell::const_new();
    CLEAN
        .get_or_init(|| async {
            let clean = Scene::new().await;
            let (told, exit) = clean.site.run_json(&[FLAG]).await;
            assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
            UndisturbedResult {
                ended: final_state_and_commits(&clean.site).await,
                writes: clean.list_writes(),
            }
        })
        .await
}

/// Tests the event at the writes with these numbers, counted from 1. The number 0 stands for the time before
/// the first write.
async fn test_event_at_writes(event: WriteEvent, writes: std::ops::RangeInclusive<usize>) {
    let UndisturbedResult { ended, writes: all } = undisturbed_run().await;
    let many = all.len();
    // The eight writes are two reviews, a push, a comment to the bot, a reply, a resolved thread, the end of
    // the draft state, and the description.
    assert_eq!(many, 8);
    let at = [None].into_iter().chain(all.iter().map(Some)).enumerate();
    let at = at.filter(|(nth, _)| writes.contains(nth));
    let all = futures_util::stream::iter(at)
        .map(|(nth, at)| async move {
            let told = format!("{nth} of {many}, {at:?}");
            event_run_errors((nth, many), at, event, ended).await.map(|wrong| format!("{told}: {wrong}"))
        })
        .buffer_unordered(AT_ONCE);
    let wrong: Vec<String> = all.filter_map(std::future::ready).collect().await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_at_one_of_its_first_writes_no_other_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(WriteEvent::Stop, 0..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_at_one_of_its_last_writes_no_other_is_made_and_off_lets_it_go_on() {
    test_event_at_writes(WriteEvent::Stop, 4..=8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_stop_of_its_repository_at_one_of_its_first_writes_no_other_is_made() {
    test_event_at_writes(WriteEvent::StopThere, 0..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_finish_at_one_of_its_first_writes_a_run_in_flight_completes() {
    test_event_at_writes(WriteEvent::Finish, 0..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_finish_at_one_of_its_last_writes_a_run_in_flight_completes() {
    test_event_at_writes(WriteEvent::Finish, 4..=8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_lease_at_one_of_its_first_writes_a_run_makes_no_other() {
    test_event_at_writes(WriteEvent::Lost, 0..=3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_lease_at_one_of_its_last_writes_a_run_makes_no_other() {
    test_event_at_writes(WriteEvent::Lost, 4..=8).await;
}
