//! Tests of the calls that the port's methods make, and of the handling of responses. Other tests use a
//! stateful fake of a whole forge.

// long: one test for each kind of GitHub response; the tests share helper functions.

use truing_core::finding::CodeLocation;
use truing_core::id::{AccountId, CommentId, FindingId, PrId, Sha, ThreadId, UnixMillis};
use truing_core::port::{AuthorAccount, ForgeRead as _, InlineDraft, PrState, PullRequest, PullRevision};
use truing_core::publish::{
    CommentProducer, CommentRights, CommentSubject, DesiredStatus, ForgeThread, ObservedComment, StatusState,
    ThreadState,
};

mod listing;
mod refusals;

use super::address::is_repository_name;
use super::comments::{REVIEW_BODY, REVIEW_BODY_ID};
use super::*;
use crate::forge_server::ForgeServer as _;
use crate::http::unavailable_error;
use crate::remote::CommitOptions;
use crate::remote::RemotePurpose;
use crate::testing::{
    CANARY, ManualClock, Request, ScriptedHttpReply, Server, open_gate_permit, test_timeouts,
};

const HEAD: &str = "1111111111111111111111111111111111111111";
const BASE: &str = "2222222222222222222222222222222222222222";
const ME: u64 = 42;

fn pr(number: u64) -> PrId {
    PrId { forge: "github".into(), repository: "1296269".into(), number }
}

fn keys() -> MarkerKeys {
    MarkerKeys::new(b"test key", &[])
}

pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(UnixMillis(1_795_161_600_000)))
}

pub(super) fn github(server: &Server) -> GitHub {
    let options = GitHubOptions {
        name: "github".into(),
        api_url: server.url(""),
        git_url: server.url(""),
        credentials: GitHubCredentials::Token(SecretString::new(CANARY)),
        previous_accounts: Vec::new(),
        command_accounts: Vec::new(),
        marker_keys: keys(),
        settle_delay: TimeSpan::seconds(30),
        commits: CommitOptions::default(),
    };
    GitHub::with_timeouts(options, test_timeouts(), clock()).unwrap()
}

fn pull(server: &Server) -> GitHubClient {
    github(server).client(&pr(7), "octo/demo", CommentProducer::Review).with_permit(&open_gate_permit())
}

fn ok(body: &Value) -> ScriptedHttpReply {
    ScriptedHttpReply::new(200, body.to_string())
}

fn me() -> ScriptedHttpReply {
    ok(&json!({ "id": ME, "login": "truing-bot" }))
}

fn finding(id: &str) -> CommentSubject {
    CommentSubject::Finding(FindingId::new(id))
}

fn marker(number: u64, producer: CommentProducer, item: &CommentSubject) -> String {
    keys().sign(&pr(number), producer, item)
}

fn lines(requests: &[Request]) -> Vec<&str> {
    requests.iter().map(|request| request.line.as_str()).collect()
}

fn draft(item: CommentSubject, start_line: u32, end_line: u32, side: DiffSide) -> InlineDraft {
    let place = CodeLocation { path: "src/a.py".into(), side, start_line, end_line };
    InlineDraft { location: place, item, body: "Mend it.".into() }
}

fn head() -> Sha {
    Sha::parse(HEAD).unwrap()
}

fn pull_json(state: &str, draft: bool, repository: u64) -> Value {
    json!({
        "state": state, "draft": draft, "html_url": "https://github.com/octo/demo/pull/7", "mergeable": null,
        "title": "Mend it", "body": null, "head": { "sha": HEAD, "ref": "mend", "repo": null }, "base": { "sha": BASE, "ref": "main", "repo": { "id": repository } },
        "user": { "login": "renovate[bot]", "id": 29_139_614, "type": "Bot" },
        "labels": [{ "id": 1, "name": "no-review", "default": false }, { "id": 2, "name": "Deps", "default": false }],
    })
}

fn pull_body(state: &str, draft: bool, repository: u64) -> ScriptedHttpReply {
    ok(&pull_json(state, draft, repository))
}

#[tokio::test]
async fn a_pull_request_is_read_as_it_is_now() {
    let table =
        [("open", false, PrState::Open), ("open", true, PrState::Draft), ("closed", true, PrState::Closed)];
    for (state, draft, expected) in table {
        let server = Server::new([pull_body(state, draft, 1_296_269)]).await;
        let expected = PullRequest {
            revision: PullRevision { head: head(), base: Sha::parse(BASE).unwrap() },
            base_branch: "main".into(),
            state: expected,
            name: "octo/demo#7".into(),
            url: "https://github.com/octo/demo/pull/7".into(),
            title: "Mend it".into(),
            description: String::new(),
            author: Some(AuthorAccount {
                id: AccountId::new("29139614"),
                login: "renovate[bot]".into(),
                is_person: false,
            }),
            labels: Some(vec!["no-review".into(), "Deps".into()]),
            has_unique_logins: true,
            branch: "mend".into(),
            head_repository: None,
        };
        assert_eq!(pull(&server).pull_request().await, Ok(expected));
        assert_eq!(lines(&server.requests()), ["GET /repos/octo/demo/pulls/7"]);
    }
}

#[tokio::test]
async fn a_pull_request_is_read_without_an_account_and_without_labels() {
    let mut body = pull_json("open", false, 1_296_269);
    body["user"] = Value::Null;
    body["labels"] = json!([]);
    let server = Server::new([ok(&body)]).await;
    let read = pull(&server).pull_request().await.unwrap();
    assert_eq!((read.author, read.labels), (None, Some(Vec::new())));
}

#[tokio::test]
async fn a_name_that_means_another_repository_by_now_is_not_found() {
    let server = Server::new([pull_body("open", false, 1)]).await;
    let error = pull(&server).pull_request().await.unwrap_err();
    assert!(matches!(error, ForgeError::NotFound { .. }), "{error}");
    assert!(
        error.to_string().contains("the name octo/demo now belongs to a different repository"),
        "{error}"
    );
}

fn comment(id: u64, user: Option<u64>, body: &str) -> Value {
    let user = user.map(|id| json!({ "id": id }));
    json!({ "id": id, "user": user, "body": body, "created_at": "2026-11-20T08:00:00Z" })
}

fn threads(nodes: &Value, after: Option<&str>) -> ScriptedHttpReply {
    let info = json!({ "hasNextPage": after.is_some(), "endCursor": after });
    let threads = json!({ "pageInfo": info, "nodes": nodes });
    ok(
        &json!({ "data": { "viewer": { "login": "truing[bot]" }, "repository": { "pullRequest": { "reviewThreads": threads } } } }),
    )
}

fn thread(id: &str, resolved_by: Option<&str>, comment: &Value) -> Value {
    json!({
        "id": id, "isResolved": resolved_by.is_some(), "resolvedBy": resolved_by.map(|login| json!({ "login": login })),
        "comments": { "nodes": [{ "fullDatabaseId": comment }] },
    })
}

#[tokio::test]
async fn only_our_own_comments_with_a_marker_for_here_are_observed() {
    let summary =
        |number, producer| format!("Hello\r\n\r\n{}\r\n", marker(number, producer, &CommentSubject::Summary));
    let (one, two) = (finding("1:aa-0"), finding("1:bb-0"));
    let inline = |item: &CommentSubject| format!("text\n\n{}", marker(7, CommentProducer::Review, item));
    let mut reply = comment(23, Some(9), "why?");
    reply["in_reply_to_id"] = 21.into();
    let mut own_reply = comment(24, Some(ME), &inline(&one));
    own_reply["in_reply_to_id"] = 21.into();
    let issue = json!([
        comment(11, Some(9), &summary(7, CommentProducer::Review)),
        comment(12, None, &summary(7, CommentProducer::Review)),
        comment(13, Some(ME), &summary(8, CommentProducer::Review)),
        comment(14, Some(ME), &summary(7, CommentProducer::Converge)),
        comment(15, Some(ME), "no marker"),
    ]);
    let more = json!([
        comment(16, Some(ME), &summary(7, CommentProducer::Review)),
        { "id": 17, "user": { "id": ME }, "body": null, "created_at": "" },
    ]);
    let lost = MarkerKeys::new(b"a key that is lost", &[]);
    let unknown = format!("old\n\n{}", lost.sign(&pr(7), CommentProducer::Review, &finding("1:cc-0")));
    let review = json!([
        comment(21, Some(ME), &inline(&one)),
        comment(22, Some(ME), &inline(&two)),
        comment(25, Some(9), &inline(&two)),
        comment(26, Some(ME), &unknown),
        comment(27, Some(9), &unknown),
        reply,
        own_reply,
    ]);
    let nobody = json!({
        "id": "T4", "isResolved": true, "resolvedBy": null, "comments": { "nodes": [{ "fullDatabaseId": 26 }] },
    });
    let first = json!([thread("T1", None, &json!(99)), thread("T2", Some("truing"), &json!("21")), nobody]);
    let server = Server::new([
        me(),
        ok(&issue).header("link", r#"</repos/octo/demo/issues/7/comments?page=2>; rel="next""#),
        ok(&more),
        ok(&review),
        threads(&first, Some("c1")),
        threads(&json!([thread("T3", Some("ada"), &json!(22))]), None),
    ])
    .await;

    let observed = pull(&server).producer_comments(&[]).await.unwrap();

    let created = UnixMillis(1_795_161_600_000);
    let expected = |id: &str, item, body: &str, thread: Option<(&str, ThreadState)>, has_replies| {
        let thread = thread.map(|(id, state)| ForgeThread { id: ThreadId::new(id), state });
        let (id, body) = (CommentId::new(id), body.to_owned());
        ObservedComment {
            id,
            subject: item,
            body,
            line: None,
            thread,
            has_replies,
            created,
            rights: CommentRights::CurrentAccount,
        }
    };
    let (by_us, by_others) = (ThreadState::ResolvedByUs, ThreadState::ResolvedByOthers);
    let unknown = expected("review:26", finding("1:cc-0"), "old", Some(("T4", by_others)), false);
    assert_eq!(
        observed,
        [
            expected("issue:16", CommentSubject::Summary, "Hello", None, false),
            expected("review:21", one, "text", Some(("T2", by_us)), true),
            expected("review:22", two, "text", Some(("T3", by_others)), false),
            ObservedComment { rights: CommentRights::UnknownKey, ..unknown },
        ]
    );
    let requests = server.requests();
    let lines = lines(&requests);
    let expected = [
        "GET /user",
        "GET /repos/octo/demo/issues/7/comments?per_page=100",
        "GET /repos/octo/demo/issues/7/comments?page=2",
        "GET /repos/octo/demo/pulls/7/comments?per_page=100",
        "POST /graphql",
        "POST /graphql",
    ];
    assert_eq!(lines, expected);
    let variables = json!({ "owner": "octo", "name": "demo", "number": 7, "after": "c1" });
    assert_eq!(requests[5].json()["variables"], variables);
}

#[tokio::test]
async fn what_records_know_is_ours_whatever_its_text_and_asked_for_if_it_is_not_listed() {
    let known = [1, 2, 3, 4].map(|n| (finding(&format!("1:{n}-0")), CommentId::new(format!("review:{n}"))));
    let listed = json!([comment(1, Some(ME), "edited by somebody\r\n"), comment(2, Some(9), "not ours")]);
    // The marker of the third comment is signed with an unknown key.
    let former =
        MarkerKeys::new(b"a key that was lost", &[]).sign(&pr(7), CommentProducer::Review, &known[2].0);
    let marked = format!("text\n\n{former}");
    let server = Server::new([
        me(),
        ok(&json!([])),
        ok(&listed),
        ok(&comment(3, Some(ME), &marked)),
        ScriptedHttpReply::new(404, "{}"),
        threads(&json!([thread("T1", None, &json!(1))]), None),
    ])
    .await;

    let observed = pull(&server).producer_comments(&known).await.unwrap();

    let seen: Vec<_> = observed
        .iter()
        .map(|seen| {
            (
                &seen.subject,
                seen.body.as_str(),
                seen.thread.is_some(),
                seen.rights == CommentRights::CurrentAccount,
            )
        })
        .collect();
    assert_eq!(seen, [(&known[0].0, "edited by somebody", true, true), (&known[2].0, "text", false, true)]);
    let requests = server.requests();
    let asked = &lines(&requests)[3..5];
    assert_eq!(asked, ["GET /repos/octo/demo/pulls/comments/3", "GET /repos/octo/demo/pulls/comments/4"]);
}

#[tokio::test]
async fn a_review_is_one_call_and_its_comments_are_known_by_their_markers() {
    let (one, two) = (finding("1:aa-0"), finding("1:bb-0"));
    let marked = |item: &CommentSubject| format!("Mend it.\n\n{}", marker(7, CommentProducer::Review, item));
    let made = json!([comment(31, Some(ME), &marked(&one)), comment(32, Some(ME), "changed by a bot")]);
    let server = Server::new([ok(&json!({ "id": 5, "state": "COMMENTED" })), ok(&made)]).await;
    let drafts = [draft(one.clone(), 3, 3, DiffSide::New), draft(two.clone(), 3, 5, DiffSide::Old)];

    let known = pull(&server).create_review(&head(), &drafts).await.unwrap();

    assert_eq!(known, [(one.clone(), CommentId::new("review:31"))]);
    let requests = server.requests();
    let expected = [
        "POST /repos/octo/demo/pulls/7/reviews",
        "GET /repos/octo/demo/pulls/7/reviews/5/comments?per_page=100",
    ];
    assert_eq!(lines(&requests), expected);
    let body_marker = marker(7, CommentProducer::Review, &CommentSubject::from_word(REVIEW_BODY_ID));
    let expected = json!({
        "commit_id": HEAD,
        "event": "COMMENT",
        "body": format!("{REVIEW_BODY}\n\n{body_marker}"),
        "comments": [
            { "path": "src/a.py", "line": 3, "side": "RIGHT", "body": marked(&one) },
            {
                "path": "src/a.py", "line": 5, "side": "LEFT", "start_line": 3, "start_side": "LEFT",
                "body": marked(&two),
            },
        ],
    });
    assert_eq!(requests[0].json(), expected);
}

#[tokio::test]
async fn a_review_that_was_made_is_made_even_if_its_comments_cannot_be_listed() {
    let made = ok(&json!({ "id": 5 }));
    for listing in [ScriptedHttpReply::new(500, ""), ScriptedHttpReply::new(404, ""), ok(&json!({}))] {
        let server = Server::new([made.clone(), listing]).await;
        let drafts = [draft(CommentSubject::Summary, 3, 3, DiffSide::New)];
        assert_eq!(pull(&server).create_review(&head(), &drafts).await, Ok(vec![]));
    }
}

#[tokio::test]
async fn creating_calls_are_sent_once_whatever_comes_back() {
    for reply in [
        ScriptedHttpReply::new(502, ""),
        ScriptedHttpReply::hang_up(),
        ScriptedHttpReply::new(200, "<html>"),
        ok(&json!({})),
    ] {
        let server = Server::new([reply.repeat_always()]).await;
        let (pull, one) = (pull(&server), draft(finding("1:aa-0"), 3, 3, DiffSide::New));
        let errors = [
            pull.create_review(&head(), std::slice::from_ref(&one)).await.unwrap_err(),
            pull.create_file_comment(&head(), &one).await.unwrap_err(),
            pull.create_summary("x").await.unwrap_err(),
        ];
        assert!(errors.iter().all(|error| !error.has_no_effect()), "{errors:?}");
        assert_eq!(server.requests().len(), errors.len());
    }
}

#[tokio::test]
async fn a_review_without_comments_is_not_posted() {
    let server = Server::new([]).await;
    assert_eq!(pull(&server).create_review(&head(), &[]).await, Ok(vec![]));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_path_that_cannot_be_named_is_refused_before_the_call() {
    let server = Server::new([]).await;
    let mut bad = draft(finding("1:aa-0"), 3, 3, DiffSide::New);
    bad.location.path = RepoPath::from_bytes(*b"\xff");
    let (pull, bad) = (pull(&server), [bad]);
    let errors = [
        pull.create_review(&head(), &bad).await.unwrap_err(),
        pull.create_file_comment(&head(), &bad[0]).await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| matches!(error, ForgeError::Rejected { .. })), "{errors:?}");
}

#[tokio::test]
async fn a_file_comment_has_no_line_and_a_summary_no_place() {
    let item = finding("1:aa-0");
    let server = Server::new([
        ScriptedHttpReply::new(201, r#"{"id":61}"#),
        ScriptedHttpReply::new(201, r#"{"id":62}"#),
    ])
    .await;
    let pull = pull(&server);
    let one = draft(item.clone(), 3, 5, DiffSide::New);
    assert_eq!(pull.create_file_comment(&head(), &one).await, Ok(CommentId::new("review:61")));
    let forged = "<!-- truing:1 x -->";
    let by_hand =
        github(&server).client(&pr(7), "octo/demo", CommentProducer::Mcp).with_permit(&open_gate_permit());
    assert_eq!(by_hand.create_summary(forged).await, Ok(CommentId::new("issue:62")));

    let requests = server.requests();
    assert_eq!(
        lines(&requests),
        ["POST /repos/octo/demo/pulls/7/comments", "POST /repos/octo/demo/issues/7/comments"]
    );
    let body = format!("Mend it.\n\n{}", marker(7, CommentProducer::Review, &item));
    let expected = json!({ "commit_id": HEAD, "path": "src/a.py", "subject_type": "file", "body": body });
    assert_eq!(requests[0].json(), expected);
    let body =
        format!("&lt;!-- truing:1 x -->\n\n{}", marker(7, CommentProducer::Mcp, &CommentSubject::Summary));
    assert_eq!(requests[1].json(), json!({ "body": body }));
}

#[tokio::test]
async fn comments_are_rewritten_and_deleted_by_their_kind() {
    let item = finding("1:aa-0");
    let server = Server::new([
        ok(&json!({})),
        ScriptedHttpReply::new(204, ""),
        ScriptedHttpReply::new(404, r#"{"message":"Not Found"}"#),
        ScriptedHttpReply::new(204, ""),
        ScriptedHttpReply::new(404, ""),
        ScriptedHttpReply::new(403, ""),
    ])
    .await;
    let pull = pull(&server);
    let (issue, review) = (CommentId::new("issue:1"), CommentId::new("review:2"));
    assert_eq!(pull.update_comment(&CommentSubject::Summary, &issue, "new").await, Ok(()));
    assert_eq!(pull.update_comment(&item, &review, "new").await, Ok(()));
    let gone = pull.update_comment(&item, &review, "new").await;
    assert!(matches!(gone, Err(ForgeError::NotFound { .. })), "{gone:?}");
    assert_eq!(pull.delete_comment(&review).await, Ok(()));
    assert_eq!(pull.delete_comment(&issue).await, Ok(()), "gone is what was asked for");
    assert!(pull.delete_comment(&issue).await.is_err());
    assert!(matches!(pull.delete_comment(&CommentId::new("7")).await, Err(ForgeError::Rejected { .. })));

    let requests = server.requests();
    let expected = [
        "PATCH /repos/octo/demo/issues/comments/1",
        "PATCH /repos/octo/demo/pulls/comments/2",
        "PATCH /repos/octo/demo/pulls/comments/2",
        "DELETE /repos/octo/demo/pulls/comments/2",
        "DELETE /repos/octo/demo/issues/comments/1",
        "DELETE /repos/octo/demo/issues/comments/1",
    ];
    assert_eq!(lines(&requests), expected);
    let body = format!("new\n\n{}", marker(7, CommentProducer::Review, &item));
    assert_eq!(requests[1].json(), json!({ "body": body }));
}

fn changed(id: &str, resolved: bool) -> ScriptedHttpReply {
    let field = if resolved { "resolveReviewThread" } else { "unresolveReviewThread" };
    ok(&json!({ "data": { field: { "thread": { "id": id, "isResolved": resolved } } } }))
}

#[tokio::test]
async fn a_thread_is_changed_by_its_id_in_one_call() {
    let server = Server::new([changed("T2", true), changed("T1", false)]).await;
    let pull = pull(&server);
    assert_eq!(pull.set_resolved(&ThreadId::new("T2"), true).await, Ok(()));
    assert_eq!(pull.set_resolved(&ThreadId::new("T1"), false).await, Ok(()));

    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for (at, mutation, thread) in [(0, " resolveReviewThread(", "T2"), (1, " unresolveReviewThread(", "T1")] {
        let body = requests[at].json();
        assert!(body["query"].as_str().unwrap().contains(mutation), "{body}");
        assert_eq!(body["variables"], json!({ "thread": thread }));
    }
}

#[tokio::test]
async fn a_success_that_changed_nothing_is_no_success() {
    for answer in [
        changed("T2", false),
        changed("T1", true),
        ok(&json!({ "data": { "resolveReviewThread": { "thread": null } } })),
        ok(&json!({ "data": { "resolveReviewThread": null } })),
        ok(&json!({ "data": null })),
        ok(&json!({})),
    ] {
        let server = Server::new([answer]).await;
        let error = pull(&server).set_resolved(&ThreadId::new("T2"), true).await.unwrap_err();
        assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
    }
}

#[tokio::test]
async fn errors_of_graphql_have_the_meaning_of_their_type() {
    let what = || "octo/demo#7: resolving the thread T2".to_owned();
    let message = || "no [token]".to_owned();
    let table = [
        ("NOT_FOUND", ForgeError::NotFound { request: what() }),
        ("FORBIDDEN", ForgeError::Forbidden { request: what(), message: message() }),
        ("RATE_LIMITED", ForgeError::RateLimited { request: what(), wait: TimeSpan::seconds(60) }),
        ("UNPROCESSABLE", ForgeError::Rejected { request: what(), message: message() }),
        ("SOMETHING_NEW", unavailable_error(&what(), &message())),
    ];
    for (kind, expected) in table {
        let errors = json!([{ "type": kind, "message": format!("no\n{CANARY}") }]);
        let server = Server::new([ok(&json!({ "data": null, "errors": errors }))]).await;
        assert_eq!(pull(&server).set_resolved(&ThreadId::new("T2"), true).await, Err(expected), "{kind}");
    }
    let untyped = ok(&json!({ "data": null, "errors": [{ "message": "Something went wrong" }] }));
    let server = Server::new([untyped]).await;
    let result = pull(&server).set_resolved(&ThreadId::new("T2"), true).await;
    assert_eq!(result, Err(unavailable_error(&what(), "Something went wrong")));
}

#[tokio::test]
async fn thread_pages_that_go_round_end_in_an_error() {
    let ours = format!("x\n\n{}", marker(7, CommentProducer::Review, &finding("1:aa-0")));
    let review = json!([comment(21, Some(ME), &ours)]);
    let round = threads(&json!([]), Some("same")).repeat_always();
    let server = Server::new([me(), ok(&json!([])), ok(&review), round]).await;
    let error = pull(&server).producer_comments(&[]).await.unwrap_err();
    assert!(error.to_string().contains("form a loop"), "{error}");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_status_fits_and_names_its_context() {
    let server = Server::new([ScriptedHttpReply::new(201, "{}")]).await;
    let (state, check) = (StatusState::Pending, Default::default());
    let status = DesiredStatus { sha: head(), state, description: "é".repeat(200), check };
    assert_eq!(pull(&server).set_status(&status).await, Ok(()));
    let request = server.requests().remove(0);
    assert_eq!(request.line, format!("POST /repos/octo/demo/statuses/{HEAD}"));
    let description = format!("{}…", "é".repeat(139));
    let expected = json!({ "state": "pending", "context": "truing/review", "description": description });
    assert_eq!(request.json(), expected);
}

#[tokio::test]
async fn a_repository_name_cannot_lead_elsewhere() {
    let server = Server::new([]).await;
    for bad in [
        "",
        "octo",
        "octo/",
        "/demo",
        "octo/..",
        "../demo",
        "octo/demo/../x",
        "octo/de?mo",
        "octo/de mo",
        "o#/x",
    ] {
        assert!(!is_repository_name(bad), "{bad}");
        let pull =
            github(&server).client(&pr(7), bad, CommentProducer::Review).with_permit(&open_gate_permit());
        assert!(matches!(pull.pull_request().await, Err(ForgeError::Rejected { .. })), "{bad}");
    }
    assert!(server.requests().is_empty());
    for good in ["octo/demo", "o-c.t_o/.github", "1/-"] {
        assert!(is_repository_name(good), "{good}");
    }
}

pub(super) fn options(api: &str, git: &str) -> GitHubOptions {
    GitHubOptions {
        name: "work".into(),
        api_url: Url::parse(api).unwrap(),
        git_url: Url::parse(git).unwrap(),
        credentials: GitHubCredentials::Token(SecretString::new(CANARY)),
        previous_accounts: Vec::new(),
        command_accounts: Vec::new(),
        marker_keys: keys(),
        settle_delay: TimeSpan::seconds(30),
        commits: CommitOptions::default(),
    }
}

#[tokio::test]
async fn git_is_reached_beside_the_api_and_nothing_shows_the_token() {
    let options = options("https://git.example.com/api/v3/", "https://git.example.com/");
    let github = GitHub::new(options, clock()).unwrap();
    let remote = github.resolve_remote(&pr(7).repository, "octo/demo", RemotePurpose::Fetch).await.unwrap();
    assert_eq!(remote.url(), "https://git.example.com/octo/demo.git");
    let basic = BASE64_STANDARD.encode(format!("x-access-token:{CANARY}"));
    let shown = format!(
        "{github:?} {:?} {remote:?}",
        github.client(&pr(7), "octo/demo", CommentProducer::Review).with_permit(&open_gate_permit())
    );
    assert!(!shown.contains(CANARY) && !shown.contains(&basic), "{shown}");
    let url = append_segments(&github.inner.options.api_url, ["repos", "o"]);
    assert_eq!(url.as_str(), "https://git.example.com/api/v3/repos/o");
}

#[test]
fn addresses_that_requests_cannot_go_to_are_refused_without_their_credentials() {
    let good = "https://x.example";
    for bad in
        ["ftp://x.example", "data:text/plain,x", "https://u:canary-8f14e45f@x.example", "https://u@x.example"]
    {
        for options in [options(bad, good), options(good, bad)] {
            let error = GitHub::new(options, clock()).unwrap_err();
            assert!(error.to_string().starts_with("forge.work: "), "{error}");
            assert!(!format!("{error} {error:?}").contains(CANARY), "{error:?}");
        }
    }
}

#[tokio::test]
async fn of_a_repository_alone_no_pull_request_is_read() {
    let server = Server::new([]).await;
    let alone =
        github(&server).client(&pr(0), "octo/demo", CommentProducer::Sync).with_permit(&open_gate_permit());
    let refused = [
        alone.pull_request().await.map(drop),
        alone.pull_details().await.map(drop),
        alone.merge_state().await.map(drop),
        alone.labels().await.map(drop),
        alone.reviews().await.map(drop),
        alone.threads().await.map(drop),
        alone.producer_comments(&[]).await.map(drop),
        alone.matching_comments("x").await.map(drop),
        alone.eye_reactions(&CommentId::new("issue:1")).await.map(drop),
        alone.comment_subject(&[], &CommentId::new("review:1")).await.map(drop),
        alone.comment_topic(&CommentId::new("review:1")).await.map(drop),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(ForgeError::Rejected { .. })), "{refused:?}");
    }
    assert_eq!(server.requests().len(), 0);
}
