//! Tests of the repository's `.truing.toml`: the file on the default branch also applies to pull requests.
//! Also tests that a dry run does nothing.

use serde_json::{Value, json};
use truing_fakes::model::ScriptedAnswer;
use truing_fakes::repo::CommitBuilder;

use crate::converge::pull::{Site, audit_review_headlines, two_loop_answers};
use crate::converge::scene::{BUG, BUG_ID, RIGHT, WRONG, edit, fix_report_answer, planted_bug_answer};

/// A check that passes with the planted bug and fails after the fix.
const CHECK: &str = "[verify]\ncheck = [[\"grep\", \"-q\", \"range(len(xs) - 1)\", \"total.py\"]]\n";

/// Creates a site whose repository configures this check.
async fn create_site_with_check(more: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Site {
    let site = Site::new(more, answers).await;
    site.repo.push("main", CommitBuilder::new("Check").write(".truing.toml", CHECK)).await.unwrap();
    // The file in the pull request's branch is ignored.
    let says = CommitBuilder::new("Say").write(".truing.toml", "[verify]\ncheck = [[\"true\"]]\n");
    site.repo.push("topic", says).await.unwrap();
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn its_checks_count_where_the_operator_lets_it_set_them() {
    assert!(BUG.contains("range(len(xs) - 1)"), "{BUG}");
    let once = "[converge]\nselfaudit_rounds = 1\n";
    let fixes = [planted_bug_answer(), edit("total.py", WRONG, RIGHT), fix_report_answer(&[(BUG_ID, None)])];
    let site = create_site_with_check(&format!("{once}[verify]\nfrom_repository = true\n"), fixes).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["code"]), (1, &json!("stuck"), &json!("checks")), "{told}");
    assert_eq!(told["commits"], json!([]));

    let site = create_site_with_check("", two_loop_answers()).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    let none = "`verify.check` is not set; only the audit and the gate check fixes";
    assert!(told["warnings"].as_array().unwrap().contains(&json!(none)), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_wrong_ends_it_before_anybody_is_asked() {
    let site = Site::new("", []).await;
    site.repo.push("main", CommitBuilder::new("Check").write(".truing.toml", "rule = 1\n")).await.unwrap();
    let target = format!("acme/shop#{}", site.number);
    let ran = site.run_converge(&[&target]).await;
    assert!(ran.exit == 2 && ran.err.contains("unknown key `rule`"), "{ran:?}");
    assert_eq!(site.model.request_log().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_there_is_and_does_nothing() {
    let site = Site::new("", two_loop_answers()).await;
    let before = site.pull_view().await;
    let (told, exit) = site.run_json(&["--dry-run"]).await;
    assert_eq!((exit, &told["exit"]), (0, &Value::Null), "{told}");
    assert_eq!(told["reason"], json!("a dry run: nothing was done"));
    assert_eq!((&told["pr"], &told["head"]), (&json!("acme/shop#1"), &json!(&before.head)));
    let after = site.pull_view().await;
    assert_eq!(
        (audit_review_headlines(&after), after.comments.len(), &after.head),
        (vec![], 0, &before.head)
    );
    assert_eq!((after.draft, site.model.request_log().len()), (true, 0));
    // The dry run has released its lock, so another run is possible.
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
}
