//! A second push to a pull request whose model forgets what it found: the finding stays open, here and at the forge.

use serde_json::json;
use truing_fakes::model::{Answer, FakeModel, KEY, Script};

use super::*;

const FIRST: &str =
    "def pay(order):\n    try:\n        charge(order)\n    except Exception:\n        return None\n";

fn report(findings: Value, verdicts: Value) -> Answer {
    Answer::tool("report", json!({ "findings": findings, "verdicts": verdicts })).usage(1000, 100)
}

fn finding() -> Value {
    json!([{ "path": "pay.py", "start_line": 4, "end_line": 4, "severity": "P1", "category": "F",
        "title": "Swallows every error", "body": "A failed charge looks like success.",
        "excerpt": "except Exception:" }])
}

struct Reviewed {
    exit: i32,
    told: Value,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_forgets_after_a_push_stays_open_on_its_one_comment() {
    let site = Site::new().await;
    let push =
        async |text: &str| site.repo.push("pay", Commit::new("pay").write("pay.py", text)).await.unwrap();
    push(FIRST).await;
    let number = site.repo.open(NewPull::of("pay")).await.unwrap();
    let model = FakeModel::start(Script::of([])).await.unwrap();
    let page = site.page(number);
    let review = |answer: Answer, more: &[&str]| {
        model.play(Script::of([answer.times(0)]));
        let fixed = ["review", "--pr", &page, "--runtime", "native", "--format", "json"];
        let mut command = site.command(&[&fixed, more].concat());
        command.env("TRUING_MODEL__BASE_URL", model.url()).env("ANTHROPIC_API_KEY", KEY);
        let ran = Ran::of(command.output().unwrap());
        assert!(ran.exit < 2, "{ran:?}");
        Reviewed { exit: ran.exit, told: serde_json::from_str(&ran.out).unwrap() }
    };
    let view = async || site.repo.pull(number).await.unwrap();
    let first = review(report(finding(), json!([])), &["--publish"]);
    let id = first.told["findings"][0]["id"].clone();
    let comment = view().await.inline().next().unwrap().id;

    // A variable is renamed in that line, and the model says nothing.
    let renamed = FIRST.replace("Exception:", "Exception as error:");
    let second = push(&renamed).await;
    for more in [&[][..], &["--publish"][..]] {
        let again = review(report(json!([]), json!([])), more);
        let one = &again.told["findings"][0];
        assert_eq!(
            (again.exit, &one["id"], &one["unverified"]),
            (1, &id, &json!("no_verdict")),
            "{}",
            again.told
        );
    }
    let shown = view().await;
    let ours: Vec<_> = shown.inline().collect();
    assert_eq!((ours.len(), ours[0].id, ours[0].resolved), (1, comment, false), "{shown:#?}");
    assert!(ours[0].body.contains("nobody has verified that it is still there"), "{}", ours[0].body);
    assert!(
        shown.statuses[&second].iter().all(|status| format!("{status:?}").contains("ailure")),
        "{shown:#?}"
    );
    let asked = model.log().last().unwrap().body.to_string();
    assert!(asked.contains("What was reviewed before") && asked.contains("1 new commit"), "{asked}");
    assert!(asked.contains("Lines that are new:"), "{asked}");

    // After a rewrite it is told so.
    let base = site.repo.tip("main").await.unwrap();
    site.repo.force_push("pay", &base, Commit::new("pay").write("pay.py", renamed.as_str())).await.unwrap();
    review(report(json!([]), json!([])), &["--publish"]);
    let asked = model.log().last().unwrap().body.to_string();
    assert!(asked.contains("The branch was rewritten since"), "{asked}");

    // Fixed where that is shown.
    push(&FIRST.replace("Exception:", "Refused:")).await;
    let shown = json!([{ "id": id, "verdict": "fixed", "start_line": 4, "excerpt": "except Refused:" }]);
    for more in [&[][..], &["--publish"][..]] {
        let fixed = review(report(json!([]), shown.clone()), more);
        assert_eq!((fixed.exit, &fixed.told["findings"]), (0, &json!([])), "{}", fixed.told);
    }
    let last = view().await;
    let ours: Vec<_> = last.inline().collect();
    assert_eq!((ours.len(), ours[0].id, ours[0].resolved), (1, comment, true), "{last:#?}");
    assert!(ours[0].body.contains("**Fixed in"), "{}", ours[0].body);
}
