//! Tests of the checks before the first call of a model: a run or an audit that fails one of them costs
//! nothing.

use std::process::Command;

use serde_json::{Value, json};
use truing_fakes::model::ScriptedAnswer;
use truing_fakes::repo::CommitBuilder;

use crate::converge::pull::{Site, audit_review_headlines, two_loop_answers};
use crate::converge::scene::{BUG, Scene, clean_audit_answer};
use crate::converge::served::{NATIVE, report_comment};

/// A check that fails at the head of a scene or a site.
const RED: &str = "[verify]\ncheck = [[\"grep\", \"-q\", \"repaired\", \"total.py\"]]\n";

/// Returns the reason of a run that ended before the model had a request.
fn unpaid_reason(scene: &Scene) -> String {
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["exit"], &told["code"]), (3, &json!("error"), &json!("preflight")), "{told}");
    assert_eq!((&told["cost_micro_usd"], scene.request_count()), (&json!(0), 0), "{told}");
    told["reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_check_that_is_red_ends_a_run_and_an_audit_before_anything_is_paid() {
    let scene = Scene::new([clean_audit_answer()]).with_config(RED);
    let reason = "before anything was paid: checks: `grep -q repaired total.py` fails: exit code 1";
    assert_eq!(unpaid_reason(&scene), reason);
    let audit = scene.audit(&[]);
    assert_eq!((audit.exit, scene.request_count()), (3, 0), "{audit:?}");
    assert!(audit.err.contains("`grep -q repaired total.py` fails"), "{audit:?}");
    assert!(audit.err.contains("hint: see each check: `truing --config ../op.toml preflight`"), "{audit:?}");

    // The same branch is audited once the check passes.
    scene.place.write("total.py", format!("{BUG}# repaired\n"));
    scene.place.commit("repair");
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["code"], scene.request_count()), (0, &json!("clean"), 1), "{told}");
}

#[test]
fn check_that_is_configured_after_an_unpaid_run_is_tried_first() {
    let green = RED.replace("repaired", "def");
    let scene = Scene::new([ScriptedAnswer::status(400)]).with_config(&green);
    let (told, exit) = scene.json(&[]);
    assert_eq!(
        (exit, &told["code"], &told["cost_micro_usd"]),
        (3, &json!("infrastructure"), &json!(0)),
        "{told}"
    );
    let count = scene.request_count();
    let scene = scene.with_config(RED);
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["code"], scene.request_count()), (3, &json!("preflight"), count), "{told}");
}

#[test]
fn a_check_or_a_setup_that_hangs_ends_at_its_time_limit() {
    let hung = |key: &str| format!("[verify]\ntimeout = \"1s\"\n{key} = [[\"sleep\", \"1000\"]]\n");
    let reason = unpaid_reason(&Scene::new([]).with_config(&hung("check")));
    assert_eq!(reason, "before anything was paid: checks: `sleep 1000` fails: took too long");
    let with_setup = format!("{}check = [[\"true\"]]\n", hung("setup"));
    let reason = unpaid_reason(&Scene::new([]).with_config(&with_setup));
    assert_eq!(reason, "before anything was paid: set-up: `sleep 1000` fails: took too long");
}

#[test]
fn a_program_that_is_missing_ends_a_run_and_an_audit_before_anything_is_paid() {
    let scene = Scene::new([]).with_config("[converge]\ngate = [[\"no-such-linter\", \"--all\"]]\n");
    let reason = "before anything was paid: gate: `no-such-linter --all` cannot be started";
    assert_eq!(unpaid_reason(&scene), reason);
    let audit = scene.audit(&[]);
    assert_eq!((audit.exit, scene.request_count()), (3, 0), "{audit:?}");
}

#[test]
fn hooks_that_the_gate_does_not_run_are_named_with_the_line_that_adds_them() {
    let scene = Scene::new([clean_audit_answer()]);
    scene.place.write(".pre-commit-config.yaml", "repos: []\n");
    scene.place.commit("hooks");
    let (told, exit) = scene.json(&[]);
    let note = "the hooks of .pre-commit-config.yaml are not run on fixes; to run them: `converge.gate = \
                [\"pre-commit\"]`";
    assert_eq!((exit, &told["warnings"]), (0, &json!([note])), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_paid_or_posted_on_a_pull_request_whose_check_is_red() {
    let site = Site::new(RED, two_loop_answers()).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["code"]), (3, &json!("preflight")), "{told}");
    for command in [&["audit", "acme/shop#1"][..], &["watch", "acme"]] {
        let ran = site.run_command(site.other_command(command[0], &command[1..])).await;
        assert_eq!(ran.exit, 3, "{ran:?}");
    }
    let pull = site.pull_view().await;
    assert!(audit_review_headlines(&pull).is_empty() && pull.comments.is_empty(), "{pull:#?}");
    assert_eq!(site.model.request_log().len(), 0);

    let repair = CommitBuilder::new("Repair").write("total.py", format!("{BUG}# repaired\n"));
    site.repo.push("topic", repair).await.unwrap();
    let (told, _) = site.run_json(&[]).await;
    assert_ne!((&told["code"], &told["cost_micro_usd"]), (&json!("preflight"), &Value::from(0)), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_cannot_sign_is_named_before_anything_is_paid() {
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("key");
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "secret", "-f"]).arg(&key).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    for file in ["key", "key.pub"] {
        let mut site = Site::new("", two_loop_answers()).await;
        let key = keys.path().join(file).display().to_string();
        site.home = site.home.with_variable("TRUING_FORGE__GITHUB__SIGN__SSH_KEY__FILE", &key);
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!(
            (exit, &told["code"], site.model.request_log().len()),
            (3, &json!("preflight"), 0),
            "{told}"
        );
        let reason = told["reason"].as_str().unwrap();
        assert!(reason.contains("`sign.ssh_key` of the forge cannot sign a commit: "), "{reason}");
        let preflight = site.run_command(site.other_command("preflight", &["acme/shop#1"])).await;
        assert!(preflight.exit == 1 && preflight.out.contains("signature: `sign.ssh_key`"), "{preflight:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_a_request_with_the_reason_and_does_not_try_again() {
    let site = Site::new(&format!("{NATIVE}{RED}"), two_loop_answers()).await;
    let _server = site.serve();
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    let told = report_comment(&pull).unwrap();
    assert!(told.starts_with("## /converge: error\n"), "{told}");
    assert!(told.contains("`grep -q repaired total.py` fails: exit code 1"), "{told}");
    assert!(told.contains("To try it again, write `/converge`."), "{told}");
    assert_eq!(site.model.request_log().len(), 0);
}
