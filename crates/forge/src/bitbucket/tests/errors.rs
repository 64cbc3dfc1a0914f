//! Tests of the error for each rejection. The bodies of the rejections are the same as from real servers.

use super::*;

/// Returns the errors of the Cloud client and the Data Center client if the server answers the read of a pull
/// request with this reply.
async fn both(reply: &ScriptedHttpReply) -> [ForgeError; 2] {
    let always = reply.clone().repeat_always();
    let server = Server::new([always]).await;
    let cloud = pull(&server).pull_request().await.unwrap_err();
    [cloud, pull_dc(&server).pull_request().await.unwrap_err()]
}

fn cloud_body(message: &str) -> String {
    json!({ "type": "error", "error": { "message": message, "fields": { "title": ["is required"] } } })
        .to_string()
}

fn center_body(name: &str) -> String {
    let name = format!("com.atlassian.bitbucket.{name}");
    json!({ "errors": [{ "context": null, "message": "You may not", "exceptionName": name }] }).to_string()
}

#[tokio::test]
async fn an_expired_token_and_a_missing_permission_are_told_apart() {
    for error in both(&ScriptedHttpReply::new(401, cloud_body("Token expired"))).await {
        assert!(matches!(error, ForgeError::Unauthorized { .. }), "{error}");
    }
    let expired = center_body("auth.IncorrectPasswordAuthenticationException");
    for error in both(&ScriptedHttpReply::new(401, expired)).await {
        assert!(matches!(error, ForgeError::Unauthorized { .. }), "{error}");
    }
    for error in both(&ScriptedHttpReply::new(401, center_body("AuthorisationException"))).await {
        assert!(
            matches!(&error, ForgeError::Forbidden { message, .. } if message.starts_with("You may not")),
            "{error}"
        );
    }
    for error in both(&ScriptedHttpReply::new(403, cloud_body("No scope"))).await {
        let told = matches!(&error, ForgeError::Forbidden { message, .. } if message.starts_with("No \
            scope; title: is required"));
        assert!(told, "{error}");
    }
}

#[tokio::test]
async fn every_other_refusal_is_what_it_says() {
    for error in both(&ScriptedHttpReply::new(404, center_body("NoSuchPullRequestException"))).await {
        assert!(matches!(error, ForgeError::NotFound { .. }), "{error}");
    }
    for error in both(&ScriptedHttpReply::new(409, center_body("pull.PullRequestOutOfDateException"))).await {
        assert!(matches!(error, ForgeError::Stale { .. }) && error.has_no_effect(), "{error}");
    }
    for status in [400, 413] {
        for error in both(&ScriptedHttpReply::new(status, cloud_body("Too long"))).await {
            assert!(matches!(error, ForgeError::Rejected { .. }), "{status} {error}");
        }
    }
    for status in [500, 502, 503, 555] {
        for error in both(&ScriptedHttpReply::new(status, "<html>gateway</html>")).await {
            assert!(
                matches!(error, ForgeError::Unavailable { .. }) && !error.has_no_effect(),
                "{status} {error}"
            );
        }
    }
}

#[tokio::test]
async fn a_limit_is_waited_for_as_long_as_it_asks_or_a_minute() {
    let asked = ScriptedHttpReply::new(429, cloud_body("Rate limit")).header("retry-after", "7");
    for error in both(&asked).await {
        assert!(
            matches!(error, ForgeError::RateLimited { wait, .. } if wait == TimeSpan::seconds(7)),
            "{error}"
        );
    }
    for error in both(&ScriptedHttpReply::new(429, "Rate limit for this resource has been exceeded")).await {
        assert!(
            matches!(error, ForgeError::RateLimited { wait, .. } if wait >= TimeSpan::seconds(60)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn what_is_no_json_and_what_leads_elsewhere_is_no_answer() {
    for body in ["<!DOCTYPE html><html>Log in</html>", r#"{"id": 7, "state": "OP"#, "[]", ""] {
        for error in both(&ScriptedHttpReply::new(200, body)).await {
            assert!(matches!(error, ForgeError::Unavailable { .. }), "{body}: {error}");
        }
    }
    for error in
        both(&ScriptedHttpReply::new(302, "").header("location", "https://elsewhere.example/x")).await
    {
        assert!(
            matches!(&error, ForgeError::Unavailable { message, .. } if message.contains("not followed")),
            "{error}"
        );
        assert!(!error.to_string().contains(CANARY));
    }
    for error in both(&ScriptedHttpReply::new(301, "").header("location", "/base/somewhere")).await {
        assert!(matches!(error, ForgeError::Moved { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_that_repeats_the_token_does_not_show_it() {
    use base64::Engine as _;
    let pair = base64::prelude::BASE64_STANDARD.encode(format!("me@example.com:{CANARY}"));
    let server =
        Server::new([ScriptedHttpReply::new(400, cloud_body(&format!("{CANARY} and {pair}")))]).await;
    let with = BitbucketOptions { email: Some("me@example.com".into()), ..options(&server) };
    let client = BitbucketCloud::with_timeouts(with, test_timeouts(), Arc::new(hand())).unwrap();
    let error = client.repository("acme/demo").await.unwrap_err().to_string();
    assert!(!error.contains(CANARY) && !error.contains(&pair), "{error}");
}

#[tokio::test]
async fn each_kind_has_its_own_hint() {
    use truing_core::port::ForgeKind;
    let error = ForgeError::Unauthorized { request: "x".into() };
    assert!(error.hint_at(ForgeKind::Bitbucket).contains("forge.NAME.email"));
    assert!(error.hint_at(ForgeKind::BitbucketDc).contains("HTTP access token"));
    let error = ForgeError::Forbidden { request: "x".into(), message: "y".into() };
    assert!(error.hint_at(ForgeKind::Bitbucket).contains("docs/bitbucket.md"));
    assert!(error.hint_at(ForgeKind::BitbucketDc).contains("docs/bitbucket-dc.md"));
    assert_eq!(
        ForgeError::NotFound { request: "x".into() }.hint_at(ForgeKind::Github),
        ForgeError::NotFound { request: "y".into() }.hint()
    );
}
