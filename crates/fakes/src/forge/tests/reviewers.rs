//! Tests of other reviewers, and of the checks and merge state of a pull request.

use serde_json::{Value, json};

use super::{BOT, PULLS, Stage};
use crate::forge::{BotReview, BotStep, FakeBot, FakeReviewVerdict, MergeState, ReviewDecision};

const ISSUE: &str = "/repos/acme/shop/issues/1";
const MERGE: &str = "query($owner: String!, $name: String!, $number: Int!) \
     { repository(owner: $owner, name: $name) \
    { pullRequest(number: $number) { headRefOid isDraft mergeable mergeStateStatus reviewDecision } } }";

async fn merge(stage: &Stage) -> Value {
    let variables = json!({"owner": "acme", "name": "shop", "number": 1});
    let (_, answer) = stage.ask("POST", "/graphql", json!({"query": MERGE, "variables": variables})).await;
    answer["data"]["repository"]["pullRequest"].clone()
}

#[tokio::test]
async fn a_bot_wakes_by_its_words_alone_and_takes_its_steps() {
    let stage = Stage::new().await;
    let review = BotReview {
        verdict: FakeReviewVerdict::Commented,
        body: "Found 1 potential issue.".into(),
        comments: vec![("src/a.py".into(), 10, "Here.".into())],
    };
    let steps = [
        BotStep { adds_eyes_reaction: true, check: Some(("Bugbot".into(), None)), ..BotStep::default() },
        BotStep::default(),
        BotStep { review: Some(review), ..BotStep::default() },
    ];
    let bot = FakeBot {
        login: "cursor[bot]".into(),
        line_comment_author: Some("Cursor".into()),
        trigger_text: Some("bugbot run".into()),
        steps: steps.into(),
    };
    stage.shop.add_bot(bot).await.unwrap();
    let say =
        async |body: &str| stage.ask("POST", &format!("{ISSUE}/comments"), json!({"body": body})).await.1;
    let eyes = async |comment: &Value| {
        let url = format!("/repos/acme/shop/issues/comments/{}/reactions?content=eyes", comment["id"]);
        stage.get(&url).await.as_array().unwrap().len()
    };
    assert_eq!(eyes(&say("Please bugbot run").await).await, 0);
    let first = say("bugbot run\n").await;
    assert_eq!(eyes(&first).await, 1);
    let head = stage.get(&format!("{PULLS}/1")).await["head"]["sha"].as_str().unwrap().to_owned();
    let checks = stage.get(&format!("/repos/acme/shop/commits/{head}/check-runs")).await;
    assert_eq!(
        (&checks["check_runs"][0]["name"], &checks["check_runs"][0]["status"]),
        (&json!("Bugbot"), &json!("in_progress"))
    );
    // A check is still running, so the merge state is not `CLEAN`.
    assert_eq!(merge(&stage).await["mergeStateStatus"], "UNSTABLE");

    say("bugbot run").await;
    assert_eq!(stage.get(&format!("{PULLS}/1/reviews")).await, json!([]));
    say("bugbot run").await;
    let reviews = stage.get(&format!("{PULLS}/1/reviews")).await;
    assert_eq!(
        (&reviews[0]["user"]["login"], &reviews[0]["commit_id"]),
        (&json!("cursor[bot]"), &json!(head))
    );
    let lines = stage.get(&format!("{PULLS}/1/comments")).await;
    assert_eq!((&lines[0]["user"]["login"], &lines[0]["line"]), (&json!("Cursor"), &json!(10)));
    assert_eq!(lines[0]["pull_request_review_id"], reviews[0]["id"]);
    // The bot has no more steps.
    say("bugbot run").await;
    assert_eq!(stage.get(&format!("{PULLS}/1/reviews")).await.as_array().unwrap().len(), 1);
    assert_eq!(stage.forge.violations(), [""; 0]);
}

#[tokio::test]
async fn a_review_is_asked_of_who_can_give_one() {
    let stage = Stage::new().await;
    let review =
        BotReview { verdict: FakeReviewVerdict::Commented, body: "Fine.".into(), comments: Vec::new() };
    let steps = [BotStep::default(), BotStep { review: Some(review), ..BotStep::default() }];
    let login = "copilot[bot]".to_owned();
    let bot = FakeBot {
        login: login.clone(),
        line_comment_author: Some("Copilot".into()),
        trigger_text: None,
        steps: steps.into(),
    };
    stage.shop.add_bot(bot).await.unwrap();
    stage.shop.set_role("ann", "read").await.unwrap();
    let ask = async |login: &str| {
        let body = json!({"reviewers": [login]});
        stage.ask("POST", &format!("{PULLS}/1/requested_reviewers"), body).await
    };
    let pending = |answer: &Value| {
        let all = answer["requested_reviewers"].as_array().unwrap().iter();
        all.map(|user| user["login"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ask("author").await.0, 422, "whose it is");
    assert_eq!(ask("nobody").await.0, 422);
    assert_eq!(ask("copilot").await.0, 201, "success, and nothing is done");
    assert_eq!(pending(&stage.get(&format!("{PULLS}/1")).await), [""; 0]);
    assert_eq!(pending(&ask("ann").await.1), ["ann"]);
    assert_eq!(pending(&ask(&login).await.1), ["ann", "copilot[bot]"]);
    assert_eq!(pending(&ask(&login).await.1), ["ann", "copilot[bot]"], "asked already");
    stage.shop.review(1, "ann", FakeReviewVerdict::ChangesRequested, "No.").await.unwrap();
    assert_eq!(pending(&stage.get(&format!("{PULLS}/1")).await), ["copilot[bot]"]);
}

#[tokio::test]
async fn what_a_merge_would_be_follows_from_how_things_are_unless_it_is_said() {
    let stage = Stage::new().await;
    let state = async || merge(&stage).await["mergeStateStatus"].as_str().unwrap().to_owned();
    let rest = async || stage.get(&format!("{PULLS}/1")).await["mergeable_state"].clone();
    assert_eq!((state().await, rest().await), ("CLEAN".into(), json!("clean")));
    let head = stage.shop.tip("feature").await.unwrap();
    stage.shop.set_status(&head, "ci", "failure", "ci[bot]").await.unwrap();
    assert_eq!(state().await, "UNSTABLE");
    stage.shop.set_status(&head, "ci", "success", "ci[bot]").await.unwrap();
    assert_eq!(state().await, "CLEAN");
    stage.shop.set_draft(1, true).await.unwrap();
    assert_eq!((state().await, rest().await), ("DRAFT".into(), json!("draft")));
    stage.shop.set_merge_states(1, &[MergeState::Unknown, MergeState::Dirty]).await.unwrap();
    stage.shop.set_review_decision(1, Some(ReviewDecision::ReviewRequired)).await.unwrap();
    let asked = [merge(&stage).await, merge(&stage).await, merge(&stage).await];
    assert_eq!(asked.clone().map(|of| of["mergeable"].clone()), ["UNKNOWN", "CONFLICTING", "CONFLICTING"]);
    assert_eq!(asked[0]["reviewDecision"], "REVIEW_REQUIRED");
}

#[tokio::test]
async fn who_may_write_changes_the_description_of_others_and_makes_it_ready() {
    let stage = Stage::new().await;
    let pull = format!("{PULLS}/1");
    stage.shop.set_role(BOT, "read").await.unwrap();
    assert_eq!(stage.ask("PATCH", &pull, json!({"body": "x"})).await.0, 403);
    assert_eq!(stage.forge.violations().len(), 1);
    stage.shop.set_role(BOT, "write").await.unwrap();
    assert_eq!(stage.ask("PATCH", &pull, json!({"body": "Anew."})).await.1["body"], "Anew.");
    assert_eq!(
        stage.ask("PATCH", &pull, json!({"title": "x", "body": "x"})).await.0,
        403,
        "its title is its author's"
    );
    stage.shop.set_draft(1, true).await.unwrap();
    let id = stage.get(&pull).await["node_id"].clone();
    let query = "mutation($id: ID!) { markPullRequestReadyForReview(input: {pullRequestId: $id}) { \
        pullRequest { isDraft } } }";
    let ready = json!({"query": query, "variables": {"id": id}});
    stage.ask("POST", "/graphql", ready.clone()).await;
    assert!(!stage.shop.pull(1).await.unwrap().draft);
    stage.shop.set_draft(1, true).await.unwrap();
    stage.shop.set_role(BOT, "triage").await.unwrap();
    stage.ask("POST", "/graphql", ready).await;
    assert!(stage.shop.pull(1).await.unwrap().draft);
}

#[tokio::test]
async fn labels_have_a_history_and_own_pull_requests_no_verdict() {
    let stage = Stage::new().await;
    for (on, by) in [(true, "ann"), (true, "eve"), (false, "eve"), (true, "eve")] {
        stage.shop.set_label(1, "converge", on, by).await.unwrap();
    }
    stage.shop.set_role(BOT, "write").await.unwrap();
    stage.ask("POST", &format!("{ISSUE}/labels"), json!({"labels": ["converge", "more"]})).await;
    let events = stage.get(&format!("{ISSUE}/events")).await;
    let seen: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|of| (of["event"].as_str().unwrap(), of["actor"]["login"].as_str().unwrap()))
        .collect();
    assert_eq!(seen, [("labeled", "ann"), ("unlabeled", "eve"), ("labeled", "eve"), ("labeled", BOT)]);

    let verdict = json!({"event": "REQUEST_CHANGES", "body": "No."});
    assert_eq!(
        stage.ask("POST", &format!("{PULLS}/1/reviews"), verdict.clone()).await.1["state"],
        "CHANGES_REQUESTED"
    );
    stage.forge.register_token("author", "author");
    let own = stage.client.post(format!("{}{PULLS}/1/reviews", stage.forge.base_url())).bearer_auth("author");
    let answer = own.header("user-agent", "x").json(&verdict).send().await.unwrap();
    assert_eq!(answer.status(), 422);
    assert!(answer.text().await.unwrap().contains("Can not request changes on your own pull request"));
}
