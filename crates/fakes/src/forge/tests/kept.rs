//! Tests that a snapshot restores the state of a repository.

use serde_json::json;

use super::*;

#[tokio::test]
async fn what_was_kept_is_there_again_and_what_came_since_is_gone() {
    let stage = Stage::new().await;
    stage.inline(10).await;
    let view = async || format!("{:?}", stage.shop.pull(1).await.unwrap());
    let (before, tip) = (view().await, stage.shop.tip("feature").await.unwrap());
    let kept = stage.shop.take_snapshot().await.unwrap();

    let later = stage.inline(30).await;
    let comment = json!({"body": "Hm."});
    assert_eq!(stage.ask("POST", "/repos/acme/shop/issues/1/comments", comment).await.0, 201);
    let status = json!({"state": "success", "context": "c"});
    assert_eq!(stage.ask("POST", &format!("/repos/acme/shop/statuses/{tip}"), status).await.0, 201);
    stage.shop.push("feature", CommitBuilder::new("More").write("b", "b")).await.unwrap();
    stage.shop.push("other", CommitBuilder::new("Other").write("c", "c")).await.unwrap();
    stage.shop.open_pull(NewPull::from_branch("other")).await.unwrap();
    assert_ne!(view().await, before);

    stage.shop.restore_snapshot(&kept).await.unwrap();
    assert_eq!(view().await, before);
    assert_eq!(stage.shop.tip("feature").await.unwrap(), tip);
    assert_eq!(stage.get(&format!("{PULLS}/1")).await["head"]["sha"], tip);
    assert!(stage.shop.tip("other").await.is_err() && stage.shop.pull(2).await.is_err());
    assert!(stage.inline(30).await > later, "no id is given twice");
}
