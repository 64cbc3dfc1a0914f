//! Tests of webhook deliveries: the changes that cause a delivery, and the arrival of deliveries.

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::forge::{FakeDiffSide, FakeReviewVerdict, UnreliableNetwork, WebhookTarget, sign_sha256};

/// Starts a receiver of webhooks. Returns the receiver's address, and the channel with the received
/// deliveries.
async fn receiver() -> (String, Receiver<(HeaderMap, Bytes)>) {
    let (sender, arrived) = channel(100);
    let app = Router::new().route(
        "/hook",
        post(async move |headers: HeaderMap, body: Bytes| {
            sender.send((headers, body)).await.unwrap();
            "ok"
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, arrived)
}

fn payload(delivery: &crate::forge::FakeDelivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

#[tokio::test]
async fn names_editor_of_another_accounts_comment() {
    let stage = Stage::new().await;
    let shop = &stage.shop;
    shop.set_role("eve", "write").await.unwrap();
    shop.set_role("tri", "triage").await.unwrap();
    let talk = shop.comment(1, "ann", "Thanks.").await.unwrap();
    let line = shop.comment_on_line(1, "ann", "src/a.py", (FakeDiffSide::Right, 10), "Why?").await.unwrap();
    stage.forge.take_deliveries();
    for id in [talk, line] {
        shop.edit_comment_as(1, id, "tri", "Mine.").await.unwrap_err();
        shop.edit_comment_as(1, id, "eve", "/review").await.unwrap();
    }
    let events = stage.forge.take_deliveries();
    let events: Vec<_> = events.iter().map(|event| (event.action.as_str(), payload(event))).collect();
    for ((action, event), old) in events.iter().zip(["Thanks.", "Why?"]) {
        assert_eq!((*action, &event["sender"]["login"]), ("edited", &json!("eve")));
        assert_eq!(
            (&event["comment"]["user"]["login"], &event["comment"]["body"]),
            (&json!("ann"), &json!("/review"))
        );
        assert_eq!(event["changes"], json!({"body": {"from": old}}));
    }
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn moves_review_commits_to_merge_of_base() {
    let stage = Stage::new().await;
    let shop = &stage.shop;
    shop.set_role(BOT, "write").await.unwrap();
    shop.review(1, "ann", FakeReviewVerdict::Commented, "Fine.").await.unwrap();
    let review = async || stage.get(&format!("{PULLS}/1/reviews")).await[0].clone();
    let before = review().await;
    assert_eq!(before["commit_id"], json!(shop.tip("feature").await.unwrap()));
    // A push by a person does not move the commit.
    shop.push("feature", CommitBuilder::new("Two").write("new.py", "1\n")).await.unwrap();
    assert_eq!(review().await, before);
    shop.review(1, "ann", FakeReviewVerdict::Commented, "Fine, too.").await.unwrap();
    shop.push("main", CommitBuilder::new("Base").write("base.py", "1\n")).await.unwrap();
    let (status, body) = stage.ask("PUT", &format!("{PULLS}/1/update-branch"), json!({})).await;
    assert_eq!(status, 202, "{body}");
    let moved = stage.get(&format!("{PULLS}/1/reviews")).await[1].clone();
    assert_eq!(moved["commit_id"], json!(shop.tip("feature").await.unwrap()));
    assert_eq!(review().await, before);
}

#[tokio::test]
async fn every_change_makes_its_event_with_the_fields_that_receivers_need() {
    let stage = Stage::new().await;
    let shop = &stage.shop;
    let before = shop.tip("feature").await.unwrap();
    let after = shop.push("feature", CommitBuilder::new("Two").write("new.py", "1\n2\n")).await.unwrap();
    shop.set_draft(1, true).await.unwrap();
    shop.set_draft(1, false).await.unwrap();
    shop.push("release", CommitBuilder::new("Release").write("r", "1")).await.unwrap();
    shop.retarget(1, "release").await.unwrap();
    shop.retitle(1, "Better").await.unwrap();
    shop.close_pull(1).await.unwrap();
    shop.reopen_pull(1).await.unwrap();
    shop.merge_pull(1, "reader").await.unwrap();
    let all = stage.forge.take_deliveries();
    let actions: Vec<_> = all.iter().map(|delivery| delivery.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "opened",
            "synchronize",
            "converted_to_draft",
            "ready_for_review",
            "edited",
            "edited",
            "closed",
            "reopened",
            "closed"
        ]
    );
    for delivery in &all {
        let body = payload(delivery);
        assert!((12_000..40_000).contains(&delivery.body.len()), "{} bytes", delivery.body.len());
        assert_eq!(
            (body["number"].as_u64(), body["repository"]["full_name"].as_str()),
            (Some(1), Some("acme/shop"))
        );
        assert!(body["installation"]["id"].is_u64() && body["sender"]["type"] == "User");
    }
    let pushed = payload(&all[1]);
    assert_eq!(
        (pushed["before"].as_str(), pushed["after"].as_str()),
        (Some(before.as_str()), Some(after.as_str()))
    );
    let pull = &pushed["pull_request"];
    assert_eq!(
        (
            pull["changed_files"].as_u64(),
            pull["additions"].as_u64(),
            pull["deletions"].as_u64(),
            pull["commits"].as_u64()
        ),
        (Some(2), Some(4), Some(1), Some(2))
    );
    assert_eq!(
        (pull["head"]["sha"].as_str(), pull["base"]["ref"].as_str()),
        (Some(after.as_str()), Some("main"))
    );
    assert_eq!(payload(&all[4])["changes"]["base"]["ref"]["from"], "main");
    assert_eq!(payload(&all[5])["changes"]["title"]["from"], "Change feature");
    assert_eq!(
        (&payload(&all[6])["pull_request"]["merged"], &payload(&all[8])["pull_request"]["merged"]),
        (&json!(false), &json!(true))
    );
    assert!(stage.forge.take_deliveries().is_empty(), "taken");
}

#[tokio::test]
async fn forks_force_pushes_and_deleted_branches_are_told_as_github_does() {
    let stage = Stage::new().await;
    let shop = &stage.shop;
    let first = shop
        .push("someone:fix", CommitBuilder::new("Fix").with_author("someone").write("README.md", "# Shop!\n"))
        .await
        .unwrap();
    let number = shop
        .open_pull(NewPull { author: "someone".into(), ..NewPull::from_branch("someone:fix") })
        .await
        .unwrap();
    let pull = stage.get(&format!("{PULLS}/{number}")).await;
    let head = &pull["head"];
    assert_eq!((head["label"].as_str(), head["ref"].as_str()), (Some("someone:fix"), Some("fix")));
    assert_eq!(
        (head["repo"]["full_name"].as_str(), &head["repo"]["fork"]),
        (Some("someone/shop"), &json!(true))
    );
    shop.delete_fork("someone").await.unwrap();
    assert_eq!(stage.get(&format!("{PULLS}/{number}")).await["head"]["repo"], Value::Null);

    let main = shop.tip("main").await.unwrap();
    stage.forge.take_deliveries();
    let forced = shop
        .force_push("someone:fix", &main, CommitBuilder::new("Again").write("README.md", "# SHOP\n"))
        .await
        .unwrap();
    shop.reset_branch("someone:fix", &first).await.unwrap();
    shop.delete_branch("someone:fix").await.unwrap();
    let told: Vec<_> = stage
        .forge
        .take_deliveries()
        .iter()
        .map(|d| (d.action.clone(), payload(d)["after"].as_str().map(str::to_owned)))
        .collect();
    let expected = [("synchronize", Some(forced)), ("synchronize", Some(first)), ("closed", None)];
    assert_eq!(told, expected.map(|(action, after)| (action.to_owned(), after)));

    let moved = shop.push("main", CommitBuilder::new("Main").write("m", "1")).await.unwrap();
    assert_eq!(stage.get(&format!("{PULLS}/1")).await["base"]["sha"], moved, "the base follows its branch");
    assert!(stage.forge.take_deliveries().is_empty(), "and no event tells it");
}

#[tokio::test]
async fn deliveries_are_signed_and_arrive_as_the_network_likes() {
    let stage = Stage::new().await;
    let (url, mut arrived) = receiver().await;
    stage.forge.set_hook(WebhookTarget { url: url.clone(), secret: "s".into(), is_automatic: false });
    for n in 0..5 {
        stage.shop.push("feature", CommitBuilder::new("x").write("x", n.to_string())).await.unwrap();
    }
    let statuses = stage
        .forge
        .deliver_all(UnreliableNetwork {
            seed: 3,
            lost_percent: 30,
            repeated_percent: 30,
            max_delay_positions: 2,
        })
        .await
        .unwrap();
    assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == 200));
    for _ in &statuses {
        let (headers, body) = arrived.recv().await.unwrap();
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap();
        assert_eq!(header("x-hub-signature-256"), format!("sha256={}", sign_sha256("s", &body)));
        assert!(header("x-hub-signature").starts_with("sha1="));
        assert_eq!(
            (header("x-github-event"), header("user-agent")),
            ("pull_request", "GitHub-Hookshot/fake")
        );
    }
    stage.forge.set_hook(WebhookTarget { url, secret: "s".into(), is_automatic: true });
    stage.shop.push("feature", CommitBuilder::new("y").write("x", "auto")).await.unwrap();
    let (headers, body) = arrived.recv().await.unwrap();
    assert!(
        serde_json::from_slice::<Value>(&body).unwrap()["action"] == "synchronize"
            && headers.contains_key("x-github-delivery")
    );
    assert!(stage.forge.take_deliveries().is_empty());
}
