//! Tests of `converge.auto_rebase`: if a branch lacks new commits of its base, the forge merges the base into
//! the branch, and Truing audits the new head.

use serde_json::json;
use truing_fakes::forge::MergeState;
use truing_fakes::repo::CommitBuilder;

use crate::converge::pull::Site;
use crate::converge::scene::clean_audit_answer;

const ALLOWED: &str = "[converge]\nauto_rebase = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_base_is_merged_into_it_by_the_forge_and_the_new_head_is_audited() {
    let site = Site::new(ALLOWED, [clean_audit_answer(), clean_audit_answer()]).await;
    let before = site.pull_view().await.head;
    let base = site.repo.push("main", CommitBuilder::new("Sell").write("sold.py", "x = 1\n")).await.unwrap();
    // Truing reads the merge state before and after its own audit.
    let states = [MergeState::Behind, MergeState::Behind, MergeState::Clean];
    site.repo.set_merge_states(site.number, &states).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    let head = site.pull_view().await.head;
    assert_ne!(head, before);
    assert_eq!((&told["head"], &told["base"]), (&json!(head), &json!(base)));
    assert_eq!(told["commits"], json!([]), "no fix was made");
    // The commits of the base are not part of the change.
    let about = format!("from {base} to {head}");
    let mut asked = site.model.request_log().into_iter().map(|request| request.body.to_string());
    let last = asked.rfind(|body| body.contains(&about)).unwrap();
    assert!(!last.contains("sold.py"), "{last}");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_merged_holds_it_back_in_the_forges_words() {
    let site = Site::new(ALLOWED, [clean_audit_answer()]).await;
    let head = site.pull_view().await.head;
    site.repo.push("main", CommitBuilder::new("Total").write("total.py", "total = sum\n")).await.unwrap();
    site.repo.set_merge_states(site.number, &[MergeState::Behind]).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!(
        (exit, &told["exit"], &told["code"]),
        (1, &json!("blocked"), &json!("mergeability")),
        "{told}"
    );
    assert!(told["reason"].as_str().unwrap().contains("merge conflict between base and head"), "{told}");
    assert_eq!(site.pull_view().await.head, head);
}
