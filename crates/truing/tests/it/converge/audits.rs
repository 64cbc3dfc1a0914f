//! Tests of `truing audit` of a branch and of a pull request, and of runs that continue from its findings.

use serde_json::{Value, json};
use truing_fakes::forge::NewPull;
use truing_fakes::model::{ModelScript, ScriptedAnswer};
use truing_fakes::repo::CommitBuilder;

use crate::converge::place::Ran;
use crate::converge::pull::{Site, audit_review_headlines};
use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer,
};
use crate::converge::served::NATIVE;

fn parse_json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

#[test]
fn a_run_goes_on_from_what_an_audit_found_and_pays_for_no_second_one() {
    let fix = || {
        [
            edit("total.py", WRONG, RIGHT),
            fix_report_answer(&[(BUG_ID, None)]),
            clean_fix_answer(),
            clean_audit_answer(),
        ]
    };
    let scene = Scene::new([planted_bug_answer()]);
    let ran = scene.audit(&[]);
    assert_eq!((ran.exit, scene.request_count()), (1, 1), "{ran:?}");
    scene.set_answers(fix());
    let (run, exit) = scene.json(&[]);
    assert_eq!((exit, &run["exit"], &run["loops"]), (0, &json!("converged"), &json!(2)), "{run}");
    assert_eq!(run["audits"][0], json!({ "loop": 1, "P0": 0, "P1": 1, "P2": 0 }));

    // After a new commit, the result of the audit is not reused.
    let scene = Scene::new([planted_bug_answer()]);
    assert_eq!(scene.audit(&[]).exit, 1);
    scene.place.write("other.py", "x = 1\n");
    scene.place.commit("more");
    scene.set_answers([planted_bug_answer()].into_iter().chain(fix()));
    let (run, exit) = scene.json(&[]);
    assert_eq!((exit, &run["exit"], &run["loops"]), (0, &json!("converged"), &json!(2)), "{run}");
}

#[test]
fn a_branch_that_an_audit_found_clean_has_converged() {
    let scene = Scene::new([clean_audit_answer()]);
    assert_eq!(scene.audit(&[]).exit, 0);
    let (run, exit) = scene.json(&[]);
    assert_eq!((exit, &run["exit"], &run["code"]), (0, &json!("converged"), &json!("clean")), "{run}");
    assert_eq!(scene.request_count(), 1);

    // The audit did not run the gate, so the run has to do that, although the audit was clean.
    let scene =
        Scene::new([clean_audit_answer()]).with_config("[converge]\ngate = [[\"false\"]]\ngate_rounds = 1\n");
    assert_eq!(scene.audit(&[]).exit, 0);
    assert_ne!(scene.json(&[]).0["exit"], json!("converged"));
}

#[test]
fn findings_below_the_least_severity_are_neither_shown_nor_fail_an_audit() {
    for (least, exit, many) in [("P0", 0, 0), ("P1", 1, 1), ("P2", 1, 1)] {
        let scene = Scene::new([planted_bug_answer()]);
        let ran = scene.audit(&["--min-severity", least, "--format", "json"]);
        let told = parse_json(&ran);
        assert_eq!((ran.exit, told["findings"].as_array().unwrap().len()), (exit, many), "{least}: {told}");
        // The minimum severity affects only the list of findings; the counts include all findings.
        assert_eq!((&told["counts"]["P1"], &told["not_shown"]), (&json!(1), &json!(1 - many)), "{told}");
    }
    let ran = Scene::new([planted_bug_answer()]).audit(&["--min-severity", "P0"]);
    assert!(ran.out.starts_with("0 P0 / 1 P1 / 0 P2 — 9 categories cleared\n"), "{}", ran.out);
    assert!(ran.out.contains("not shown: 1 finding below P0 (--min-severity)"), "{}", ran.out);
    let ran = Scene::new([]).audit(&["--min-severity", "high"]);
    assert_eq!(ran.exit, 2, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_audited_by_its_name_without_a_word_there_and_a_run_goes_on_from_it() {
    let site = Site::new("", [planted_bug_answer()]).await;
    let name = format!("acme/shop#{}", site.number);
    let ran = site.run_command(site.other_command("audit", &["--format", "json", &name])).await;
    let audit = parse_json(&ran);
    let pull = site.pull_view().await;
    assert_eq!((ran.exit, &audit["pr"], &audit["head"]), (1, &json!(name), &json!(pull.head)), "{ran:?}");
    assert_eq!(audit["counts"], json!({ "P0": 0, "P1": 1, "P2": 0 }));
    assert!(pull.reviews.is_empty() && pull.comments.is_empty() && pull.draft, "{pull:#?}");

    let described = ScriptedAnswer::for_describer("Adds up orders.");
    site.model.set_script(ModelScript::from_answers([
        described,
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]));
    let (run, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &run["exit"], &run["loops"]), (0, &json!("converged"), &json!(2)), "{run}");
    assert_eq!(
        audit_review_headlines(&site.pull_view().await),
        ["## converge: loop 1 audit: 0P0 / 1P1 / 0P2", "## converge: loop 2 audit: 0P0 / 0P1 / 0P2 → clean"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_asks_the_forge_of_a_pull_request_whether_it_can_be_worked_on() {
    let site = Site::new("", []).await;
    let name = format!("acme/shop#{}", site.number);
    let look = async || {
        let ran = site.run_command(site.other_command("preflight", &["--format", "json", &name])).await;
        let checks = parse_json(&ran)["checks"].as_array().unwrap().clone();
        let of =
            |name: &str| checks.iter().find(|check| check["name"] == name).map(|check| check["ok"].clone());
        (ran.exit, of("pull request"), of("push"), ran)
    };
    let (exit, open, push, ran) = look().await;
    assert_eq!((exit, open, push), (0, Some(json!(true)), Some(json!(true))), "{ran:?}");
    let before = site.pull_view().await;
    assert!(before.comments.is_empty() && before.reviews.is_empty(), "nothing is said there");

    site.repo.set_role(crate::converge::pull::BOT, "read").await.unwrap();
    let (exit, open, push, ran) = look().await;
    assert_eq!((exit, open, push), (1, Some(json!(true)), Some(json!(false))), "{ran:?}");
    assert!(ran.out.contains("may not push to topic"), "{ran:?}");

    site.repo.set_role(crate::converge::pull::BOT, "write").await.unwrap();
    site.repo.add_rule("topic", "required_signatures").await.unwrap();
    let (exit, .., ran) = look().await;
    assert!(
        exit == 1 && ran.out.contains("a ruleset may refuse pushes to topic: required_signatures"),
        "{ran:?}"
    );
    site.repo.protect("topic").await.unwrap();
    assert_eq!(look().await.0, 1);

    site.repo.close_pull(site.number).await.unwrap();
    let (exit, open, _, ran) = look().await;
    assert_eq!((exit, open), (1, Some(json!(false))), "{ran:?}");

    let ran = site.run_command(site.other_command("preflight", &["acme/shop#4711"])).await;
    assert!(ran.exit == 1 && ran.out.contains("fail forge: "), "{ran:?}");
}

/// Runs the preflight of the pull request. Returns the results of the checks, the exit code, and the output.
async fn preflight(site: &Site) -> (Vec<(String, bool, String)>, i32, Ran) {
    let name = format!("acme/shop#{}", site.number);
    let ran = site.run_command(site.other_command("preflight", &["--format", "json", &name])).await;
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let checks = parse_json(&ran)["checks"].as_array().unwrap().clone();
    let said = checks.iter().map(|check| {
        let what = format!("{} {}", text(check, "text"), text(check, "hint"));
        (text(check, "name"), check["ok"] == json!(true), what)
    });
    (said.collect(), ran.exit, ran)
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_says_that_a_fork_cannot_be_written_whose_author_does_not_allow_it() {
    let mut site = Site::new("", []).await;
    let change = CommitBuilder::new("Fix").write("fork.py", "x = 1\n");
    site.repo.push("someone:fix", change).await.unwrap();
    site.number = site.repo.open_pull(NewPull::from_branch("someone:fix")).await.unwrap();
    site.repo.set_maintainer_can_modify(site.number, true).await.unwrap();
    let (said, exit, ran) = preflight(&site).await;
    assert!(exit == 0 && said.iter().any(|(name, ok, _)| name == "push" && *ok), "{ran:?}");

    site.repo.set_maintainer_can_modify(site.number, false).await.unwrap();
    let (said, exit, ran) = preflight(&site).await;
    let push = said.iter().find(|(name, ..)| name == "push").unwrap();
    assert!(exit == 1 && !push.1, "{ran:?}");
    assert!(
        push.2.starts_with("fix is in a fork that is not writable")
            && push.2.contains("allow edits by maintainers"),
        "{ran:?}"
    );

    // All other checks succeed.
    assert!(said.iter().all(|(name, ok, _)| *ok || name == "push"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_runs_the_gate_and_the_checks_on_the_head_of_a_pull_request() {
    let config = "[converge]\ngate = [[\"sh\", \"-c\", \"exit 0\"], [\"no-such-linter\"]]\n\
                  [verify]\ncheck = [[\"grep\", \"-q\", \"def total\", \"total.py\"]]\n";
    let site = Site::new(config, []).await;
    let (said, exit, ran) = preflight(&site).await;
    let of = |name: &str| -> Vec<bool> {
        said.iter().filter(|(known, ..)| known == name).map(|(_, ok, _)| *ok).collect()
    };
    assert_eq!((exit, of("gate"), of("checks")), (1, vec![true, false], vec![true]), "{ran:?}");

    site.repo
        .push("topic", CommitBuilder::new("Rename").write("total.py", "def sum_of(xs):\n"))
        .await
        .unwrap();
    let (said, exit, ran) = preflight(&site).await;
    let failed =
        said.iter().any(|(name, ok, text)| name == "checks" && !ok && text.contains("fails before any fix"));
    assert!(exit == 1 && failed, "{ran:?}");
    let pull = site.pull_view().await;
    assert!(pull.comments.is_empty() && pull.reviews.is_empty(), "{pull:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_that_is_dismissed_by_somebody_who_may_is_none_to_an_audit_of_the_pull_request() {
    let site = Site::new(NATIVE, []).await;
    let name = format!("acme/shop#{}", site.number);
    let audit = async || {
        site.model.set_script(ModelScript::from_answers([planted_bug_answer()]));
        let before = site.model.request_log().len();
        let ran = site.run_command(site.other_command("audit", &["--format", "json", &name])).await;
        assert_eq!(site.model.request_log().len(), before + 1, "it looks itself: {ran:?}");
        (ran.exit, parse_json(&ran))
    };
    let (exit, first) = audit().await;
    assert_eq!((exit, &first["counts"]["P1"], &first["dismissed"]), (1, &json!(1), &json!([])), "{first}");

    let _server = site.serve();
    let word = format!("/dismiss {BUG_ID} the callers rely on it");
    site.comment_as("eve", &word).await;
    let (exit, still) = audit().await;
    assert_eq!((exit, &still["counts"]["P1"], &still["dismissed"]), (1, &json!(1), &json!([])), "{still}");

    site.comment_as("ann", &word).await;
    site.wait_until_why("by ann@github: the callers rely on it").await;
    let (exit, last) = audit().await;
    assert_eq!((exit, &last["counts"]["P1"], &last["findings"]), (0, &json!(0), &json!([])), "{last}");
    let dismissed = &last["dismissed"][0];
    assert_eq!((&dismissed["id"], &last["absences"].as_array().is_some()), (&json!(BUG_ID), &true), "{last}");
    assert!(dismissed["why"].as_str().unwrap().ends_with("the callers rely on it (ann)"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_over_is_not_audited() {
    for is_merged in [false, true] {
        let site = Site::new("", [planted_bug_answer()]).await;
        let name = format!("acme/shop#{}", site.number);
        let word = if is_merged {
            site.repo.merge_pull(site.number, "ann").await.unwrap();
            "merged"
        } else {
            site.repo.close_pull(site.number).await.unwrap();
            "closed"
        };
        let ran = site.run_command(site.other_command("audit", &["--format", "json", &name])).await;
        // The exit code is neither 1, which means findings, nor 0, which means a clean result.
        assert_eq!((ran.exit, site.model.request_log().len()), (2, 0), "{ran:?}");
        let told = parse_json(&ran);
        assert_eq!((&told["ok"], &told["error"]["code"]), (&json!(false), &json!("closed")), "{told}");
        let ran = site.run_command(site.other_command("audit", &[&name])).await;
        assert!(ran.exit == 2 && ran.out.starts_with("no audit: "), "{ran:?}");
        assert!(ran.out.contains(&format!("is {word}")), "{ran:?}");
        assert!(ran.err.contains("hint: specify an open pull request"), "{ran:?}");
    }
}

#[test]
fn an_audit_that_looks_at_no_code_is_not_clean() {
    let scene = Scene::new([clean_audit_answer()]);
    scene.place.write(".truing.toml", "[rules]\nignore = [\"total.py\"]\n");
    scene.place.commit("leave it out");
    let ran = scene.audit(&[]);
    assert_eq!((ran.exit, scene.request_count()), (3, 0), "{ran:?}");
    assert!(ran.err.contains("no code was audited: `rules.ignore` excludes total.py"), "{ran:?}");
}

#[test]
fn a_wrong_answer_of_a_model_is_named_and_not_what_is_in_order() {
    let scene = Scene::new(
        [ScriptedAnswer::text("I stop here."), ScriptedAnswer::text("I stop here.")].map(|one| one.times(0)),
    );
    let ran = scene.audit(&[]);
    assert!(ran.exit == 3 && !ran.err.contains("preflight"), "{ran:?}");
    assert!(ran.err.contains("hint: run the command again, or set another model"), "{ran:?}");
}
