//! The cost of reviews that did not come to their end, or are not recorded: the ledger and `truing report` say the
//! same.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use truing_fakes::model::{Answer, Fault, Place as At};

use crate::adverse::{money, reported};
use crate::model::{Scene, finding, read, report};
use crate::place::Ran;

/// A review that a person interrupts in the middle of its second answer.
fn interrupted(scene: &Scene, arguments: &[&str]) -> Ran {
    let mut command = scene.command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while scene.model.bills().len() < 2 {
        assert!(Instant::now() < deadline, "no request came");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    Ran::from(child.wait_with_output().unwrap())
}

fn scene() -> Scene {
    let stalls = Answer { fault: Some(Fault::Stall { after: At::Text }), ..Answer::text("Let me see.") };
    Scene::of([read("pay.py"), stalls.usage(1000, 100), report(&[])])
}

fn outcomes(scene: &Scene) -> Value {
    let ran = Ran::from(scene.place.command(&["report", "--format", "json"]).output().unwrap());
    ran.json()
}

#[test]
fn a_review_that_was_interrupted_is_a_run_with_its_cost() {
    let scene = scene();
    let ran = interrupted(&scene, &["--format", "json"]);
    let (spent, held) = money(&scene);
    assert!(ran.exit == 130 && spent > 0 && held == 0, "{ran:?}");
    assert_eq!(ran.json()["cost_micro_usd"], json!(spent), "{ran:?}");
    assert_eq!(ran.json()["error"]["code"], "interrupted");
    assert!(ran.err.contains("it has cost $"), "{}", ran.err);
    assert_eq!(reported(&scene), spent);
    let told = outcomes(&scene);
    let outcome = &told["outcomes"][0];
    assert_eq!(
        (&outcome["kind"], &outcome["result"], &outcome["cost_micro_usd"]),
        (&json!("deferred"), &json!("interrupted"), &json!(spent)),
        "{told}"
    );
    // The next one tells its own cost.
    assert_eq!(scene.review(&[]).json()["outcome"]["kind"], "reviewed");
    assert_eq!(reported(&scene), money(&scene).0);
    assert_eq!(outcomes(&scene)["totals"]["runs"], json!(2));
}

#[test]
fn what_reviews_cost_that_were_not_recorded_is_told() {
    let scene = scene();
    let ran = interrupted(&scene, &["--no-record"]);
    assert_eq!(ran.exit, 130, "{ran:?}");
    let first = money(&scene).0;
    assert_eq!(reported(&scene), first);
    assert_eq!(scene.review(&["--no-record"]).json()["outcome"]["kind"], "reviewed");
    let spent = money(&scene).0;
    assert!(spent > first);
    let told = outcomes(&scene);
    let totals = &told["totals"];
    assert_eq!(
        (&totals["cost_micro_usd"], &totals["unrecorded_micro_usd"], &totals["runs"]),
        (&json!(spent), &json!(spent), &json!(0)),
        "{told}"
    );
    let text = Ran::from(scene.place.command(&["report"]).output().unwrap()).out;
    assert!(text.contains(" of it by runs that were not recorded"), "{text}");
    // A review that is recorded is none of them.
    let scene = Scene::of([report(&[finding()])]);
    scene.review(&[]);
    assert_eq!(outcomes(&scene)["totals"]["unrecorded_micro_usd"], json!(0));
    let text = Ran::from(scene.place.command(&["report"]).output().unwrap()).out;
    assert!(!text.contains("not recorded"), "{text}");
}
