//! Tests of GitHub responses that the fake forge never sends: unusual lists, and responses without
//! information.

use serde_json::{Value, json};
use truing_core::id::PrId;
use truing_core::port::{ForgeError, ForgeRead as _, PullState};
use truing_core::publish::CommentProducer;

use super::*;
use crate::forge_server::ForgeServer as _;
use crate::github::tests::github;
use crate::testing::{ScriptedHttpReply as Answer, Server, open_gate_permit};

const SHA: &str = "1111111111111111111111111111111111111111";
const ME: u64 = 42;

fn ok(body: &Value) -> Answer {
    Answer::new(200, body.to_string())
}

fn me() -> Answer {
    ok(&json!({ "id": ME, "login": "truing-bot", "type": "User" }))
}

fn client(server: &Server) -> GitHubClient {
    let place = PrId { forge: "github".into(), repository: "1296269".into(), number: 0 };
    github(server).client(&place, "octo/demo", CommentProducer::Sync).with_permit(&open_gate_permit())
}

/// Returns a pull request by Truing from a branch of this repository.
fn pull(number: u64, repository: &Value, server: &Server) -> Value {
    let place = PrId { forge: "github".into(), repository: "1296269".into(), number: 0 };
    let marker = client(server).marker_keys().sign_topic(&place, CommentProducer::Sync, &Topic::new("t"));
    json!({
        "number": number, "node_id": "PR_x", "html_url": "u", "title": "t", "body": format!("b\n\n{marker}"),
        "state": "open", "draft": false, "merged_at": null, "created_at": "2026-11-21T00:00:00Z",
        "labels": [],
        "user": { "id": ME, "login": "truing-bot", "type": "User" },
        "head": { "sha": SHA, "ref": "truing/x", "repo": repository },
        "base": { "sha": SHA, "ref": "main", "repo": { "id": 1_296_269 } },
    })
}

#[tokio::test]
async fn only_branches_of_this_very_repository_count() {
    let server = Server::new([]).await;
    let bodies = [
        pull(3, &json!({ "id": 7 }), &server),
        pull(2, &Value::Null, &server),
        pull(1, &json!({ "id": 1_296_269 }), &server),
    ];
    let server = Server::new([me(), ok(&json!(bodies))]).await;
    let found = client(&server).pulls_from_branch("truing/x").await.unwrap();
    assert_eq!(
        found.iter().map(|pull| (pull.number, pull.state)).collect::<Vec<_>>(),
        [(1, PullState::Open)]
    );
    let asked = "GET \
        /repos/octo/demo/pulls?state=all&head=octo%3Atruing%2Fx&sort=created&direction=desc&per_page=100";
    assert!(server.requests()[1].line.starts_with(asked), "{:?}", server.requests()[1].line);
}

#[tokio::test]
async fn success_that_changed_nothing_is_no_success() {
    let server = Server::new([]).await;
    let ours = pull(1, &json!({ "id": 1_296_269 }), &server);
    for data in [
        json!({ "convertPullRequestToDraft": { "pullRequest": { "isDraft": false } } }),
        json!({ "convertPullRequestToDraft": { "pullRequest": null } }),
        json!({ "convertPullRequestToDraft": null }),
    ] {
        let server = Server::new([me(), ok(&ours), ok(&json!({ "data": data }))]).await;
        let error = client(&server).set_draft_state(1, true).await.unwrap_err();
        assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
    }
    // The response lacks the text of the issue, but the issue may still exist.
    let issue = json!({
        "number": 5, "html_url": "u", "title": "t", "body": null, "state": "open", "locked": false,
        "created_at": "2026-11-21T00:00:00Z", "user": { "id": ME, "login": "truing-bot" },
    });
    let server = Server::new([me(), ok(&json!([])), Answer::new(201, issue.to_string())]).await;
    let error = client(&server).create_issue(&Topic::new("t"), "t", "b", "l").await.unwrap_err();
    assert!(!error.has_no_effect(), "{error}");
}

#[tokio::test]
async fn commits_of_nobody_and_reviews_of_a_new_kind() {
    let commit = |author: Value| json!({ "sha": SHA, "author": author, "commit": { "author": null, "committer": null } });
    let commits = json!([commit(Value::Null), commit(json!({})), commit(json!({ "id": 1, "login": "ann" }))]);
    let empty = || ok(&json!([]));
    let server = Server::new([me(), ok(&commits), empty(), empty(), empty()]).await;
    let seen = client(&server).activity(1).await.unwrap().commits;
    let logins: Vec<_> =
        seen.iter().map(|commit| commit.author.as_ref().map(|by| by.login.as_str())).collect();
    assert_eq!(logins, [None, None, Some("ann")]);

    let review = json!([{ "id": 1, "state": "PONDERED", "user": null, "commit_id": null }]);
    let server = Server::new([me(), empty(), ok(&review)]).await;
    let error = client(&server).activity(1).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn an_installations_token_is_told_nothing_of_pushing() {
    let repository = json!({
        "full_name": "octo/demo", "default_branch": "trunk", "permissions": { "push": false },
    });
    let refused = Answer::new(403, r#"{"message": "Resource not accessible by integration"}"#);
    let viewer = ok(&json!({ "data": { "viewer": { "login": "truing" } } }));
    let server = Server::new([ok(&repository), refused, viewer, me()]).await;
    let found = client(&server).repository().await.unwrap();
    assert_eq!((found.default_branch.as_str(), found.write_access.can_push), ("trunk", None));
}
