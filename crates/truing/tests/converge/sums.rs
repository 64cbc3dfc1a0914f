//! The cost of runs and audits, and their ends, are the same in the ledger, in `truing why` and in `truing report`.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use truing_fakes::model::{Answer, FakeModel, Fault, Place as At, Script};

use crate::adverse::{BOT_FIRST, bugbot};
use crate::place::Ran;
use crate::pull::Site;
use crate::scene::{BUG_ID, RIGHT, Scene, WRONG, clean, dirty, edit, fix_is_clean, mended};

fn of(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

/// The money that the ledger holds to be spent, and still set aside, by reviews and by runs.
fn ledger(rows: &Value) -> (u64, u64) {
    let rows = rows.as_array().unwrap().iter();
    let own = rows.filter(|row| ["review", "run"].contains(&row["level"].as_str().unwrap()));
    let sum = |of: &str| own.clone().map(|row| row[of].as_u64().unwrap()).sum();
    (sum("spent_micro_usd"), sum("reserved_micro_usd"))
}

/// An answer that stops in its middle.
fn stalls() -> Answer {
    let stalls = Answer { fault: Some(Fault::Stall { after: At::Text }), ..Answer::text("Let me see.") };
    stalls.usage(1000, 100)
}

fn began(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for so many bills.
fn billed(model: &FakeModel, bills: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while model.bills().len() < bills {
        assert!(Instant::now() < deadline, "no request came");
        std::thread::yield_now();
    }
}

fn interrupted(child: Child) -> Ran {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    Ran::from(child.wait_with_output().unwrap())
}

impl Site {
    async fn said(&self, name: &str, arguments: &[&str]) -> Ran {
        self.ran(self.other(name, arguments)).await
    }

    async fn ledger(&self) -> (u64, u64) {
        ledger(&of(&self.said("budget", &["show", "--format", "json"]).await))
    }

    async fn explained(&self) -> Value {
        of(&self.said("why", &["--format", "json", &format!("acme/shop#{}", self.number)]).await)
    }

    async fn report(&self) -> Value {
        of(&self.said("report", &["--format", "json"]).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_what_a_run_and_an_audit_cost_and_how_each_loop_ended() {
    let fixes = [edit("total.py", WRONG, RIGHT), mended(&[(BUG_ID, None)]), fix_is_clean(), clean()];
    let site = Site::new("", [dirty()].into_iter().chain(fixes)).await;
    let (told, exit) = site.run(&[]).await;
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
    let (spent, held) = site.ledger().await;
    let why = site.explained().await;
    assert_eq!((&why["cost_micro_usd"], held), (&json!(spent), 0), "{why}");
    assert!(spent > 0);
    let last = &why["last_outcomes"][0];
    assert_eq!((&last["loop"], &last["result"]), (&json!("converge"), &json!("converged")), "{why}");
    assert_eq!(last["cost_micro_usd"], json!(spent));
    let text = site.said("why", &[&format!("acme/shop#{}", site.number)]).await.out;
    assert!(text.contains("converge: converged at ") && !text.contains("$0.00 for this head"), "{text}");
    assert_eq!(site.report().await["totals"]["cost_micro_usd"], json!(spent));

    // A person stops an audit.
    site.model.play(Script::of([stalls()]));
    let bills = site.model.bills().len();
    let child = began(site.other("audit", &["--format", "json", &format!("acme/shop#{}", site.number)]));
    billed(&site.model, bills + 1);
    let ran = tokio::task::spawn_blocking(move || interrupted(child)).await.unwrap();
    assert_eq!(ran.exit, 130, "{ran:?}");
    let (all, held) = site.ledger().await;
    assert!(all > spent && held == 0, "{all} {spent}");
    assert_eq!(of(&ran)["cost_micro_usd"], json!(all - spent), "{ran:?}");
    assert_eq!(site.explained().await["cost_micro_usd"], json!(all));
    assert_eq!(site.report().await["totals"]["cost_micro_usd"], json!(all));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_stopped_while_it_waits_for_others_is_not_told_as_converged() {
    let more = BOT_FIRST.replace("\"bugbot\", \"internal\"", "\"internal\", \"bugbot\"").replace("2s", "60s");
    let site = Site::new(&more, [clean()]).await;
    site.repo.add_bot(bugbot([])).await.unwrap();
    let child = began(site.command(&["--format", "json", &format!("acme/shop#{}", site.number)]));
    let deadline = Instant::now() + Duration::from_secs(120);
    while !site.pull().await.summaries().any(|comment| comment.body.trim() == "bugbot run") {
        assert!(Instant::now() < deadline, "nobody was asked");
    }
    let ran = tokio::task::spawn_blocking(move || interrupted(child)).await.unwrap();
    assert_eq!((ran.exit, &of(&ran)["exit"]), (130, &json!("interrupted")), "{ran:?}");
    let report = site.report().await;
    let outcome = &report["outcomes"][0];
    assert_eq!(
        (&outcome["kind"], &outcome["result"]),
        (&json!("deferred"), &json!("interrupted")),
        "{outcome}"
    );
    assert_eq!(outcome["exit_reason"], of(&ran)["reason"], "{outcome}");
    assert_eq!(site.explained().await["last_outcomes"][0]["result"], json!("interrupted"));
}

impl Scene {
    fn said(&self, name: &str, arguments: &[&str]) -> Ran {
        Ran::from(self.other(name, arguments).output().unwrap())
    }

    fn ledger(&self) -> (u64, u64) {
        ledger(&of(&self.said("budget", &["show", "--format", "json"])))
    }
}

#[test]
fn an_audit_that_was_interrupted_is_a_run_with_its_cost() {
    let scene = Scene::new([stalls()]);
    let child = began(scene.other("audit", &["--format", "json"]));
    billed(&scene.model, 1);
    let ran = interrupted(child);
    assert_eq!(ran.exit, 130, "{ran:?}");
    let (spent, held) = scene.ledger();
    assert!(spent > 0 && held == 0, "{spent} {held}");
    assert_eq!(of(&ran)["cost_micro_usd"], json!(spent), "{ran:?}");
    let report = of(&scene.said("report", &["--format", "json"]));
    assert_eq!(report["totals"]["cost_micro_usd"], json!(spent), "{report}");
    let outcome = &report["outcomes"][0];
    assert_eq!(
        (&outcome["result"], &outcome["kind"], &outcome["highest_step"]["id"]),
        (&json!("interrupted"), &json!("deferred"), &json!("audit")),
        "{outcome}"
    );
}

#[test]
fn an_audit_is_reported_as_an_audit() {
    for (answer, result) in [(dirty(), "found 1"), (clean(), "clean")] {
        let scene = Scene::new([answer]);
        scene.audit(&[]);
        let report = of(&scene.said("report", &["--format", "json"]));
        let outcome = &report["outcomes"][0];
        assert_eq!(
            (&outcome["result"], &outcome["kind"], &outcome["highest_step"]["id"]),
            (&json!(result), &json!("done"), &json!("audit")),
            "{outcome}"
        );
        let text = scene.said("report", &[]).out;
        assert!(
            text.contains(&format!("\nResults\n  {result}{} 1", if result == "clean" { "" } else { ":" })),
            "{text}"
        );
        assert!(!text.contains("converged"), "{text}");
    }
}

#[test]
fn a_damaged_row_of_a_run_stops_no_audit() {
    let scene = Scene::new([clean(), clean(), clean()]);
    assert_eq!(scene.audit(&[]).exit, 0);
    assert_eq!(scene.run(&[]).exit, 0);
    let file = rusqlite::Connection::open(scene.place.store()).unwrap();
    file.execute("UPDATE converge SET body = '{broken'", []).unwrap();
    let ran = scene.audit(&[]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.err.contains("the record of run ") && ran.err.contains("is left out"), "{ran:?}");
}
