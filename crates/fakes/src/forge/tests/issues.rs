//! Tests of issues, and of the calls with which loops open and change pull requests.

use super::*;
use crate::forge::FakeReviewVerdict;

const ISSUES: &str = "/repos/acme/shop/issues";

#[tokio::test]
async fn issues_are_opened_found_by_label_answered_and_closed() {
    let stage = Stage::new().await;
    stage.shop.set_role(BOT, "triage").await.unwrap();
    let new = json!({"title": "Which?", "body": "One or two.", "labels": ["question"]});
    let (status, made) = stage.ask("POST", ISSUES, new).await;
    assert_eq!((status, made["number"].as_u64()), (201, Some(2)), "numbers are those of pull requests too");
    stage.shop.open_issue("ann", "Mine", "x", "question").await.unwrap();
    stage.shop.open_issue("ann", "Other", "x", "bug").await.unwrap();
    let listed = |query: &str| {
        let path = format!("{ISSUES}?{query}");
        let stage = &stage;
        async move {
            let list = stage.get(&path).await;
            list.as_array().unwrap().iter().map(|issue| issue["number"].as_u64().unwrap()).collect::<Vec<_>>()
        }
    };
    assert_eq!(listed("labels=question&state=all").await, [3, 2]);
    assert_eq!(listed("state=open").await, [4, 3, 2, 1], "a pull request is an issue too");
    let own = format!("{ISSUES}/2");
    let (status, _) = stage.ask("PATCH", &own, json!({"title": "Which one?", "body": "Three."})).await;
    assert_eq!(status, 200);
    let (_, closed) = stage.ask("PATCH", &own, json!({"state": "closed", "state_reason": "completed"})).await;
    assert_eq!((closed["state"].as_str(), closed["title"].as_str()), (Some("closed"), Some("Which one?")));
    assert_eq!(listed("labels=question").await, [3]);
    assert_eq!(stage.get(&own).await["state_reason"], "completed");

    stage.shop.comment(2, "ann", "Two.").await.unwrap();
    let comments = format!("{own}/comments");
    let (status, ours) = stage.ask("POST", &comments, json!({"body": "Thanks."})).await;
    assert_eq!(status, 201);
    assert!(ours["html_url"].as_str().unwrap().contains("/issues/2#"));
    assert_eq!(stage.get(&comments).await.as_array().unwrap().len(), 2);
    let comment = format!("{ISSUES}/comments/{}", ours["id"]);
    assert_eq!(stage.ask("PATCH", &comment, json!({"body": "Thank you."})).await.0, 200);
    assert_eq!(stage.ask("DELETE", &comment, Value::Null).await.0, 204);
    stage.shop.lock_issue(2).await.unwrap();
    assert_eq!(stage.ask("POST", &comments, json!({"body": "x"})).await.0, 403);
    assert_eq!(stage.forge.violations(), [""; 0]);
    let view = stage.shop.issue(2).await.unwrap();
    assert_eq!((view.open, view.locked, view.comments.len()), (false, true, 2));

    assert_eq!(stage.ask("PATCH", &format!("{ISSUES}/3"), json!({"state": "closed"})).await.0, 403);
    assert_eq!(stage.forge.violations().len(), 1, "another's issue");
    stage.shop.delete_issue(2).await.unwrap();
    assert_eq!(stage.ask("GET", &own, Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_pull_request_is_opened_once_a_branch_and_changed_by_who_opened_it() {
    let stage = Stage::new().await;
    stage.shop.push("ours", CommitBuilder::new("Ours").write("o", "1")).await.unwrap();
    let new = |head: &str, base: &str| json!({"title": "t", "head": head, "base": base, "body": "b"});
    let (status, made) = stage.ask("POST", PULLS, new("ours", "main")).await;
    assert_eq!((status, made["user"]["login"].as_str()), (201, Some(BOT)));
    for (head, base, words) in [
        ("acme:ours", "main", "A pull request already exists for acme:ours."),
        ("none", "main", ""),
        ("ours", "none", ""),
        ("main", "main", "No commits between main and main"),
    ] {
        let (status, refused) = stage.ask("POST", PULLS, new(head, base)).await;
        assert_eq!((status, refused["errors"][0]["message"].as_str()), (422, Some(words)), "{refused}");
    }
    let from = stage.get(&format!("{PULLS}?head=acme:ours&state=all")).await;
    assert_eq!(from.as_array().unwrap().len(), 1);

    let own = format!("{PULLS}/{}", made["number"]);
    let (_, edited) = stage.ask("PATCH", &own, json!({"title": "u", "body": "c"})).await;
    assert_eq!((edited["title"].as_str(), edited["body"].as_str()), (Some("u"), Some("c")));
    for (name, draft) in [("convertPullRequestToDraft", true), ("markPullRequestReadyForReview", false)] {
        let query = format!(
            "mutation($id: ID!) {{ {name}(input: {{pullRequestId: $id}}) {{ pullRequest {{ isDraft }} }} }}"
        );
        let (_, done) = stage
            .ask("POST", "/graphql", json!({"query": query, "variables": {"id": made["node_id"]}}))
            .await;
        assert_eq!(done["data"][name]["pullRequest"]["isDraft"], draft, "{done}");
        assert_eq!(stage.get(&own).await["draft"], draft);
    }
    stage.shop.set_role(BOT, "write").await.unwrap();
    let labels = format!("{ISSUES}/{}/labels", made["number"]);
    assert_eq!(stage.ask("POST", &labels, json!({"labels": ["sync"]})).await.0, 200);
    assert_eq!(stage.get(&own).await["labels"][0]["name"], "sync");
    assert_eq!(stage.ask("PATCH", &own, json!({"state": "closed"})).await.1["state"], "closed");
    let events: Vec<_> = stage.forge.take_deliveries().into_iter().map(|told| told.action).collect();
    assert_eq!(
        events[1..],
        ["opened", "edited", "converted_to_draft", "ready_for_review", "closed"].map(str::to_owned)
    );
    assert_eq!(stage.forge.violations(), [""; 0]);
    assert_eq!(stage.ask("PATCH", &format!("{PULLS}/1"), json!({"state": "closed"})).await.0, 403);
    assert_eq!(stage.forge.violations().len(), 1, "another's pull request");
}

#[tokio::test]
async fn what_people_did_is_listed() {
    let stage = Stage::new().await;
    stage.forge.register_token("t", "ann");
    stage.shop.push("feature", CommitBuilder::new("More").write("m", "1").with_author("ann")).await.unwrap();
    for state in
        [FakeReviewVerdict::Commented, FakeReviewVerdict::ChangesRequested, FakeReviewVerdict::Approved]
    {
        stage.shop.review(1, "ann", state, "Hm.").await.unwrap();
    }
    let commits = stage.get(&format!("{PULLS}/1/commits")).await;
    let of = |at: usize| (commits[at]["commit"]["message"].as_str(), commits[at]["author"]["login"].as_str());
    assert_eq!((of(0), of(1)), ((Some("Change"), Some("author")), (Some("More"), Some("ann"))));
    let reviews = stage.get(&format!("{PULLS}/1/reviews")).await;
    let states: Vec<_> =
        reviews.as_array().unwrap().iter().map(|review| review["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["COMMENTED", "CHANGES_REQUESTED", "APPROVED"]);
}
