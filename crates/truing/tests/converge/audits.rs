//! `truing audit` of a branch and of a pull request, and runs that go on from what it found.

use serde_json::{Value, json};
use truing_fakes::model::{Answer, Script};

use crate::place::Ran;
use crate::pull::{Site, loops_of};
use crate::scene::{BUG_ID, RIGHT, Scene, WRONG, clean, dirty, edit, fix_is_clean, mended};

fn told(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

#[test]
fn a_run_goes_on_from_what_an_audit_found_and_pays_for_no_second_one() {
    let fix = || [edit("total.py", WRONG, RIGHT), mended(&[(BUG_ID, None)]), fix_is_clean(), clean()];
    let scene = Scene::new([dirty()]);
    let ran = scene.audit(&[]);
    assert_eq!((ran.exit, scene.asked()), (1, 1), "{ran:?}");
    scene.play(fix());
    let (run, exit) = scene.json(&[]);
    assert_eq!((exit, &run["exit"], &run["loops"]), (0, &json!("converged"), &json!(2)), "{run}");
    assert_eq!(run["audits"][0], json!({ "loop": 1, "P0": 0, "P1": 1, "P2": 0 }));

    // What is on another commit was not audited.
    let scene = Scene::new([dirty()]);
    assert_eq!(scene.audit(&[]).exit, 1);
    scene.place.write("other.py", "x = 1\n");
    scene.place.commit("more");
    scene.play([dirty()].into_iter().chain(fix()));
    let (run, exit) = scene.json(&[]);
    assert_eq!((exit, &run["exit"], &run["loops"]), (0, &json!("converged"), &json!(2)), "{run}");
}

#[test]
fn a_branch_that_an_audit_found_clean_has_converged() {
    let scene = Scene::new([clean()]);
    assert_eq!(scene.audit(&[]).exit, 0);
    let (run, exit) = scene.json(&[]);
    assert_eq!((exit, &run["exit"], &run["code"]), (0, &json!("converged"), &json!("clean")), "{run}");
    assert_eq!(scene.asked(), 1);

    // The gate has not looked at it yet.
    let scene = Scene::new([clean()]).with("[converge]\ngate = [[\"false\"]]\ngate_rounds = 1\n");
    assert_eq!(scene.audit(&[]).exit, 0);
    assert_ne!(scene.json(&[]).0["exit"], json!("converged"));
}

#[test]
fn findings_below_the_least_severity_are_neither_shown_nor_fail_an_audit() {
    for (least, exit, many) in [("P0", 0, 0), ("P1", 1, 1), ("P2", 1, 1)] {
        let scene = Scene::new([dirty()]);
        let ran = scene.audit(&["--min-severity", least, "--format", "json"]);
        let told = told(&ran);
        assert_eq!((ran.exit, told["findings"].as_array().unwrap().len()), (exit, many), "{least}: {told}");
    }
    let ran = Scene::new([]).audit(&["--min-severity", "high"]);
    assert_eq!(ran.exit, 2, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_audited_by_its_name_without_a_word_there_and_a_run_goes_on_from_it() {
    let site = Site::new("", [dirty()]).await;
    let name = format!("acme/shop#{}", site.number);
    let ran = site.ran(site.other("audit", &["--format", "json", &name])).await;
    let audit = told(&ran);
    let pull = site.pull().await;
    assert_eq!((ran.exit, &audit["pr"], &audit["head"]), (1, &json!(name), &json!(pull.head)), "{ran:?}");
    assert_eq!(audit["counts"], json!({ "P0": 0, "P1": 1, "P2": 0 }));
    assert!(pull.reviews.is_empty() && pull.comments.is_empty() && pull.draft, "{pull:#?}");

    let described = Answer::describes("Adds up orders.");
    site.model.play(Script::of([
        described,
        edit("total.py", WRONG, RIGHT),
        mended(&[(BUG_ID, None)]),
        fix_is_clean(),
        clean(),
    ]));
    let (run, exit) = site.run(&[]).await;
    assert_eq!((exit, &run["exit"], &run["loops"]), (0, &json!("converged"), &json!(2)), "{run}");
    assert_eq!(
        loops_of(&site.pull().await),
        ["## converge: loop 1 audit: 0P0 / 1P1 / 0P2", "## converge: loop 2 audit: 0P0 / 0P1 / 0P2 → clean"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn preflight_asks_the_forge_of_a_pull_request_whether_it_can_be_worked_on() {
    let site = Site::new("", []).await;
    let name = format!("acme/shop#{}", site.number);
    let look = async || {
        let ran = site.ran(site.other("preflight", &["--format", "json", &name])).await;
        let checks = told(&ran)["checks"].as_array().unwrap().clone();
        let of =
            |name: &str| checks.iter().find(|check| check["name"] == name).map(|check| check["ok"].clone());
        (ran.exit, of("pull request"), of("push"), ran)
    };
    let (exit, open, push, ran) = look().await;
    assert_eq!((exit, open, push), (0, Some(json!(true)), Some(json!(true))), "{ran:?}");
    let before = site.pull().await;
    assert!(before.comments.is_empty() && before.reviews.is_empty(), "nothing is said there");

    site.repo.permit(crate::pull::BOT, "read").await.unwrap();
    let (exit, open, push, ran) = look().await;
    assert_eq!((exit, open, push), (1, Some(json!(true)), Some(json!(false))), "{ran:?}");
    assert!(ran.out.contains("may not push to topic"), "{ran:?}");

    site.repo.permit(crate::pull::BOT, "write").await.unwrap();
    site.repo.rule("topic", "required_signatures").await.unwrap();
    let (exit, .., ran) = look().await;
    assert!(
        exit == 1 && ran.out.contains("a ruleset may refuse pushes to topic: required_signatures"),
        "{ran:?}"
    );
    site.repo.protect("topic").await.unwrap();
    assert_eq!(look().await.0, 1);

    site.repo.close(site.number).await.unwrap();
    let (exit, open, _, ran) = look().await;
    assert_eq!((exit, open), (1, Some(json!(false))), "{ran:?}");

    let ran = site.ran(site.other("preflight", &["acme/shop#4711"])).await;
    assert!(ran.exit == 1 && ran.out.contains("fail forge: "), "{ran:?}");
}
