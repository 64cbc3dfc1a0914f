//! Tests of Data Center's pull requests.

use serde_json::{Value, json};

use super::*;
use crate::forge::{FakeReviewVerdict, MergeState};

const PULLS: &str = "pull-requests";

#[tokio::test]
async fn a_change_of_a_pull_request_names_its_version_and_says_all_reviewers() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    site.shop.set_role("ann", "read").await.unwrap();
    site.shop.push("ours", CommitBuilder::new("Ours").write("o", "1")).await.unwrap();
    let new = json!({
        "title": "Ours", "description": "Why.", "draft": true, "fromRef": {"id": "refs/heads/ours"},
        "toRef": {"id": "refs/heads/main"}, "reviewers": [{"user": {"name": "ann"}}],
    });
    let made = site.done(201, "POST", PULLS, new.clone()).await;
    let own = format!("{PULLS}/{}", made["id"]);
    assert_eq!(
        (made["draft"].as_bool(), made["reviewers"][0]["user"]["name"].as_str()),
        (Some(true), Some("ann"))
    );
    let (status, second) = site.ask("POST", PULLS, new).await;
    assert_eq!((status, &second["errors"][0]["existingPullRequest"]["id"]), (409, &made["id"]), "{second}");
    let same =
        json!({"title": "x", "fromRef": {"id": "refs/heads/main"}, "toRef": {"id": "refs/heads/feature"}});
    assert_eq!(site.ask("POST", PULLS, same).await.0, 409, "nothing to merge");
    let version = made["version"].as_u64().unwrap();
    let (status, stale) = site.ask("PUT", &own, json!({"title": "x", "version": version + 1})).await;
    let error = &stale["errors"][0];
    assert_eq!((status, error["currentVersion"].as_u64()), (409, Some(version)));
    assert!(error["exceptionName"].as_str().unwrap().ends_with("PullRequestOutOfDateException"));
    assert_eq!(error["pullRequest"]["id"], made["id"]);
    let left_out = site.done(200, "PUT", &own, json!({"description": "Why.", "version": version})).await;
    assert_eq!(
        (left_out["reviewers"].clone(), left_out["title"].as_str(), left_out["draft"].as_bool()),
        (json!([]), Some("Ours"), Some(true)),
        "title and draft stay"
    );
    let version = left_out["version"].as_u64().unwrap();
    assert_eq!(site.ask("POST", &format!("{own}/decline?version={}", version + 5), Value::Null).await.0, 409);
    let declined = site.done(200, "POST", &format!("{own}/decline"), json!({"version": version})).await;
    assert_eq!(declined["state"], "DECLINED");
    let told: Vec<_> = site.forge.take_deliveries().into_iter().map(|delivery| delivery.event).collect();
    assert_eq!(told, ["pr:opened", "pr:reviewer:updated", "pr:reviewer:updated", "pr:declined"]);
    assert_eq!(site.forge.violations(), [""; 0]);
}

#[tokio::test]
async fn a_push_makes_the_version_another() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let before = site.get(&site.pull()).await["version"].as_u64().unwrap();
    site.shop.push("feature", CommitBuilder::new("x").write("x", "1")).await.unwrap();
    assert!(site.get(&site.pull()).await["version"].as_u64().unwrap() > before);
}

#[tokio::test]
async fn pull_requests_are_listed_by_branch_and_direction() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    site.shop.push("someone:feature", CommitBuilder::new("Fork").write("f", "1")).await.unwrap();
    site.shop.open_pull(NewPull::from_branch("someone:feature")).await.unwrap();
    let at = "at=refs/heads/feature";
    for (query, count) in [
        ("state=OPEN".to_owned(), 2),
        (format!("{at}&direction=OUTGOING&state=OPEN"), 1),
        (format!("{at}&state=OPEN"), 0),
        ("at=refs/heads/main".to_owned(), 2),
        (format!("{at}&direction=OUTGOING&state=ALL"), 1),
        ("state=MERGED".to_owned(), 0),
    ] {
        assert_eq!(site.get(&format!("{PULLS}?{query}")).await["size"], count, "{query}");
    }
    let fork = site.get(&format!("{PULLS}/2")).await;
    assert_eq!(
        fork["fromRef"]["repository"]["origin"]["id"].to_string(),
        site.shop.public_id().await.unwrap()
    );
    assert_eq!(site.get(&format!("{}/commits", site.pull())).await["size"], 1);
}

#[tokio::test]
async fn reviewers_are_added_and_give_verdicts_but_none_of_ours_approves() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let people = format!("{}/participants", site.pull());
    let add = |name: &str| json!({"user": {"name": name}, "role": "REVIEWER"});
    assert_eq!(site.ask("POST", &people, add("author")).await.0, 400, "the author");
    assert_eq!(site.ask("POST", &people, add("stranger")).await.0, 400);
    site.shop.set_role("ann", "read").await.unwrap();
    assert_eq!(site.done(200, "POST", &people, add("ann")).await["role"], "REVIEWER");
    let own = format!("{people}/{REVIEWER}");
    let head = site.shop.tip("feature").await.unwrap();
    let verdict = |status: &str, commit: &str| json!({"status": status, "lastReviewedCommit": commit});
    assert_eq!(site.ask("PUT", &own, verdict("NEEDS_WORK", &"1".repeat(40))).await.0, 409, "another head");
    assert_eq!(site.done(200, "PUT", &own, verdict("NEEDS_WORK", &head)).await["status"], "NEEDS_WORK");
    assert_eq!(
        site.ask("PUT", &format!("{people}/ann"), verdict("NEEDS_WORK", &head)).await.0,
        401,
        "not one's own"
    );
    assert_eq!(site.ask("PUT", &own, verdict("APPROVED", &head)).await.0, 401);
    assert_eq!(site.forge.violations().len(), 1);
    site.shop.review(1, "ann", FakeReviewVerdict::Approved, "").await.unwrap();
    let pull = site.get(&site.pull()).await;
    let seen: Vec<_> =
        pull["reviewers"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    assert_eq!(seen, ["APPROVED", "NEEDS_WORK"]);
    assert_eq!(site.ask("PUT", &own, verdict("UNAPPROVED", &"1".repeat(40))).await.0, 409, "another head");
    assert_eq!(site.done(200, "PUT", &own, verdict("UNAPPROVED", &head)).await["status"], "UNAPPROVED");
    site.shop.set_role(REVIEWER, "read").await.unwrap();
    assert_eq!(site.ask("POST", &people, add("ann")).await.0, 401, "only who may write");
}

#[tokio::test]
async fn a_merge_says_whether_it_conflicts_and_what_is_against_it() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let path = format!("{}/merge", site.pull());
    assert_eq!(site.get(&path).await["outcome"], "CLEAN");
    site.shop.push("main", CommitBuilder::new("Other").write("src/a.py", "other\n")).await.unwrap();
    let merge = site.get(&path).await;
    assert_eq!((merge["outcome"].as_str(), merge["conflicted"].as_bool()), (Some("CONFLICTED"), Some(true)));
    site.shop.set_merge_states(1, &[MergeState::Unknown, MergeState::Blocked]).await.unwrap();
    assert_eq!(site.get(&path).await["outcome"], "UNKNOWN");
    assert_eq!(site.get(&path).await["vetoes"].as_array().unwrap().len(), 1);
}
