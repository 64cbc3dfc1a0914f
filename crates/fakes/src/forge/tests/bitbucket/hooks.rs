//! Tests of the webhook deliveries of both kinds of Bitbucket: names, headers, signatures, attempts, and
//! events without a delivery.

use std::sync::atomic::{AtomicU16, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::forge::{FakeError, WebhookTarget, sign_sha256};

/// Starts a receiver of webhooks that answers with a status. Returns the receiver's address, and the channel
/// with the received deliveries.
async fn receiver(status: &'static AtomicU16) -> (String, Receiver<(HeaderMap, Bytes)>) {
    let (sender, arrived) = channel(100);
    let app = Router::new().route(
        "/hook",
        post(async move |headers: HeaderMap, body: Bytes| {
            sender.send((headers, body)).await.unwrap();
            StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap()
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, arrived)
}

#[tokio::test]
async fn cloud_sends_again_after_5xx_and_not_after_4xx() {
    static STATUS: AtomicU16 = AtomicU16::new(200);
    let site = Site::new(ForgeFlavour::Cloud).await;
    let (url, mut arrived) = receiver(&STATUS).await;
    site.forge.set_hook(WebhookTarget { url, secret: "s".into(), is_automatic: false });
    site.shop.push("feature", CommitBuilder::new("x").write("x", "1")).await.unwrap();
    let delivery = site.forge.take_deliveries().pop().unwrap();
    for (status, attempts) in [(200, 1), (503, 3), (404, 1)] {
        STATUS.store(status, Ordering::SeqCst);
        assert_eq!(site.forge.deliver(&delivery).await.unwrap(), status);
        for attempt in 1..=attempts {
            let (headers, body) = arrived.try_recv().unwrap();
            let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
            assert_eq!(header("x-event-key"), "pullrequest:push");
            assert_eq!(
                (header("x-request-uuid"), header("x-attempt-number")),
                (delivery.id.clone(), attempt.to_string())
            );
            assert_eq!(header("x-hub-signature"), format!("sha256={}", sign_sha256("s", &body)));
            assert!(headers.contains_key("x-hook-uuid") && !headers.contains_key("x-hub-signature-256"));
        }
        assert!(arrived.try_recv().is_err(), "{status}");
    }
    let body: Value = serde_json::from_slice(&delivery.body).unwrap();
    let hash = body["pullrequest"]["source"]["commit"]["hash"].as_str().unwrap();
    assert_eq!(
        (hash.len(), body["repository"]["uuid"].as_str()),
        (12, Some(&*site.shop.public_id().await.unwrap()))
    );
}

#[tokio::test]
async fn cloud_does_not_send_what_is_too_large() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    // A delivery contains the pull request's description several times. A description of 100 KiB therefore
    // exceeds Cloud's limit for the size of a delivery.
    site.shop.set_description(1, &"x".repeat(100 * 1024)).await.unwrap();
    site.shop.comment(1, "ann", "Hm.").await.unwrap();
    assert!(site.forge.take_deliveries().is_empty());
    site.shop.set_description(1, "short").await.unwrap();
    site.shop.comment(1, "ann", "Hm.").await.unwrap();
    assert_eq!(site.forge.take_deliveries().len(), 1);
}

#[tokio::test]
async fn data_center_leaves_a_hook_out_that_fails_and_tests_it_without_a_signature() {
    static STATUS: AtomicU16 = AtomicU16::new(503);
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let (url, mut arrived) = receiver(&STATUS).await;
    site.forge.set_hook(WebhookTarget { url, secret: "s".into(), is_automatic: false });
    site.shop.comment(1, "ann", "Hm.").await.unwrap();
    let delivery = site.forge.take_deliveries().pop().unwrap();
    for _ in 0..5 {
        assert_eq!(site.forge.deliver(&delivery).await.unwrap(), 503, "once each");
    }
    assert!(matches!(site.forge.deliver(&delivery).await, Err(FakeError::Refused(_))));
    for _ in 0..5 {
        let (headers, body) = arrived.try_recv().unwrap();
        assert_eq!(headers["x-event-key"], "pr:comment:added");
        assert_eq!(headers["x-request-id"], delivery.id.as_str());
        assert_eq!(headers["x-hub-signature"], format!("sha256={}", sign_sha256("s", &body)).as_str());
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (body["eventKey"].as_str(), body["comment"]["text"].as_str()),
            (Some("pr:comment:added"), Some("Hm."))
        );
        assert!(body["date"].as_str().unwrap().ends_with("+0000"));
        assert_eq!(body["pullRequest"]["fromRef"]["latestCommit"].as_str().unwrap().len(), 40);
    }
    assert!(arrived.try_recv().is_err());

    STATUS.store(200, Ordering::SeqCst);
    let other = Site::new(ForgeFlavour::DataCenter).await;
    let (url, mut arrived) = receiver(&STATUS).await;
    other.forge.set_hook(WebhookTarget { url, secret: "s".into(), is_automatic: false });
    assert_eq!(other.forge.ping().await.unwrap(), 200);
    let (headers, _) = arrived.try_recv().unwrap();
    assert_eq!(
        (headers["x-event-key"].to_str().unwrap(), headers.get("x-hub-signature")),
        ("diagnostics:ping", None)
    );
}
