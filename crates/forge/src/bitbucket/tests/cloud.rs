//! Tests of Bitbucket Cloud: URLs, bodies, twelve-digit commit hashes, pages, threads and statuses.

// long: one test for each kind of Bitbucket Cloud response; the tests share helper functions.

use super::*;

const SHORT: &str = "111111111111";

fn user(uuid: &str) -> Value {
    json!({ "type": "user", "uuid": uuid, "nickname": "somebody", "display_name": "Some Body" })
}

fn me() -> ScriptedHttpReply {
    ok(&user(ME))
}

fn commit(hash: &str) -> ScriptedHttpReply {
    ok(&json!({ "type": "commit", "hash": hash }))
}

/// Returns the response with the newest commit of the pull request.
fn newest(hash: &str) -> ScriptedHttpReply {
    page(&json!([{ "type": "commit", "hash": hash }]), None)
}

fn body(state: &str, draft: bool, uuid: &str) -> Value {
    let end = |branch: &str, hash: &str| {
        let repository = json!({ "uuid": uuid, "full_name": "acme/demo" });
        json!({ "branch": { "name": branch }, "commit": { "hash": hash }, "repository": repository })
    };
    json!({
        "id": 7, "title": "Fix it", "description": "Why", "state": state, "draft": draft,
        "links": { "html": { "href": "https://bitbucket.org/acme/demo/pull-requests/7" } },
        "created_on": "2026-11-20T08:00:00.123456+00:00", "updated_on": "2026-11-20T09:00:00.000000+00:00",
        "author": user("{a}"), "source": end("fix", SHORT), "destination": end("main", &BASE[..12]),
        "reviewers": [user("{b}"), user("{c}")],
        "participants": [
            { "user": user("{b}"), "role": "REVIEWER", "approved": true, "state": "approved",
              "participated_on": "2026-11-20T08:30:00+00:00" },
            { "user": user("{d}"), "role": "PARTICIPANT", "approved": false, "state": null, "participated_on": null },
        ],
    })
}

fn page(values: &Value, next: Option<&str>) -> ScriptedHttpReply {
    ok(&json!({ "pagelen": 100, "values": values, "next": next }))
}

fn comment(id: u64, uuid: Option<&str>, text: &str) -> Value {
    json!({
        "id": id, "user": uuid.map(user), "content": { "raw": text }, "deleted": false,
        "created_on": "2026-11-20T08:00:00.000000+00:00", "updated_on": "2026-11-20T08:00:00.000000+00:00",
        "links": { "html": { "href": format!("https://bitbucket.org/acme/demo/pull-requests/7/_/diff#comment-{id}") } },
    })
}

fn marked(item: &CommentSubject, text: &str) -> String {
    format!("{text}\n\n{}", keys().sign(&pr(UUID), CommentProducer::Review, item))
}

#[tokio::test]
async fn a_pull_request_has_full_hashes_which_are_asked_for_once() {
    let first = [ok(&body("OPEN", false, UUID)), commit(BASE), newest(HEAD)];
    let server = Server::new(first.into_iter().chain([ok(&body("OPEN", true, UUID))])).await;
    let client = pull(&server);
    let read = client.pull_request().await.unwrap();
    assert_eq!((read.revision.head, read.revision.base.as_str()), (head(), BASE));
    assert_eq!(
        (read.state, read.name.as_str(), read.base_branch.as_str()),
        (PrState::Open, "acme/demo#7", "main")
    );
    let author = AuthorAccount { id: AccountId::new("{a}"), login: "somebody".into(), is_person: true };
    assert_eq!((read.author, read.labels), (Some(author), None));
    assert_eq!(client.pull_request().await.unwrap().state, PrState::Draft);
    assert_eq!(
        lines(&server.requests()),
        [
            "GET /base/repositories/acme/demo/pullrequests/7",
            "GET /base/repositories/acme/demo/commit/222222222222",
            "GET /base/repositories/acme/demo/pullrequests/7/commits?pagelen=1",
            "GET /base/repositories/acme/demo/pullrequests/7",
        ]
    );
}

#[tokio::test]
async fn an_author_that_is_no_persons_account_or_is_gone_is_read() {
    let machine = json!({ "type": "app_user", "uuid": "{b}", "display_name": "renovate" });
    for (author, expected) in [(machine, Some(("{b}", false))), (Value::Null, None)] {
        let mut body = body("OPEN", false, UUID);
        body["author"] = author;
        let server = Server::new([ok(&body), commit(BASE), newest(HEAD)]).await;
        let read = pull(&server).pull_request().await.unwrap().author;
        assert_eq!(read.as_ref().map(|author| (author.id.as_str(), author.is_person)), expected);
    }
}

#[tokio::test]
async fn a_head_that_begins_as_the_former_one_is_another_one() {
    let mut later = body("OPEN", false, UUID);
    later["updated_on"] = "2026-11-20T10:00:00.000000+00:00".into();
    let other = format!("{SHORT}{}", "f".repeat(28));
    let server =
        Server::new([ok(&body("OPEN", false, UUID)), commit(BASE), newest(HEAD), ok(&later), newest(&other)])
            .await;
    let client = pull(&server);
    assert_eq!(client.pull_request().await.unwrap().revision.head, head());
    assert_eq!(client.pull_request().await.unwrap().revision.head.as_str(), other);
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn another_commit_than_was_asked_for_is_not_believed() {
    let server = Server::new([ok(&body("OPEN", false, UUID)), commit(BASE), newest(BASE)]).await;
    let error = pull(&server).pull_request().await.unwrap_err();
    assert!(matches!(error, ForgeError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_fork_that_the_token_may_not_read_is_named_and_the_pull_request_is_not_taken_for_gone() {
    let mut from_fork = body("OPEN", false, UUID);
    from_fork["source"]["repository"] = json!({ "uuid": "{f}", "full_name": "guest/demo" });
    let missing = || ScriptedHttpReply::new(404, "{}");
    let server = Server::new([ok(&from_fork), commit(BASE), missing()]).await;
    let error = pull(&server).pull_request().await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ForgeError::Forbidden { .. }), "{said}");
    assert!(
        said.contains("from the fork guest/demo") && said.contains("the fork no longer exists, or"),
        "{said}"
    );
    from_fork["state"] = "DECLINED".into();
    let server = Server::new([ok(&from_fork), commit(BASE), missing(), missing()]).await;
    assert_eq!(pull(&server).pull_request().await.unwrap().state, PrState::Closed);
}

#[tokio::test]
async fn a_name_that_means_another_repository_by_now_is_not_found() {
    let server = Server::new([ok(&body("OPEN", false, "{x}")), commit(BASE), newest(HEAD)]).await;
    let error = pull(&server).pull_request().await.unwrap_err();
    assert!(
        matches!(&error, ForgeError::NotFound { request: what } if what.contains("a different repository")),
        "{error}"
    );
}

#[tokio::test]
async fn an_access_token_is_sent_as_bearer_and_an_api_token_as_basic() {
    use base64::Engine as _;
    let server = Server::new([me(), me()]).await;
    let author =
        AuthorAccount { id: super::super::address::account_id(ME), login: "x".into(), is_person: true };
    assert!(cloud(&server).is_own_account("acme/demo", &author).await.unwrap());
    let with = BitbucketOptions { email: Some("me@example.com".into()), ..options(&server) };
    let basic = BitbucketCloud::with_timeouts(with, test_timeouts(), Arc::new(hand())).unwrap();
    assert!(basic.is_own_account("acme/demo", &author).await.unwrap());
    let sent: Vec<String> = server
        .requests()
        .iter()
        .map(|request| request.headers["authorization"].to_str().unwrap().to_owned())
        .collect();
    let pair = base64::prelude::BASE64_STANDARD.encode(format!("me@example.com:{CANARY}"));
    assert_eq!(sent, [format!("Bearer {CANARY}"), format!("Basic {pair}")]);
    assert!(lines(&server.requests()).iter().all(|line| !line.contains(CANARY)));
}

#[tokio::test]
async fn git_logs_in_as_the_user_of_its_kind_of_token() {
    let server = Server::new([]).await;
    let remote =
        cloud(&server).resolve_remote(UUID, "acme/demo", crate::remote::RemotePurpose::Push).await.unwrap();
    assert_eq!(remote.url(), server.url("/git/acme/demo.git").as_str());
    assert!(!remote.url().contains(CANARY));
}

#[tokio::test]
async fn comments_of_ours_are_known_by_account_and_marker_on_every_page() {
    let (one, two) = (finding("1:aa-0"), finding("1:bb-0"));
    let mut inline = comment(21, Some(ME), &marked(&one, "text"));
    inline["inline"] = json!({ "path": "src/a.py", "to": 3, "from": null });
    inline["resolution"] = json!({ "type": "comment_resolution", "user": user(ME) });
    let mut reply = comment(22, Some("{9}"), "why?");
    reply["parent"] = json!({ "id": 21 });
    let mut others = comment(23, Some("{9}"), &marked(&two, "forged"));
    others["inline"] = json!({ "path": "src/a.py", "to": 4 });
    let mut gone = comment(24, Some(ME), &marked(&two, "gone"));
    gone["deleted"] = true.into();
    let former =
        comment(25, Some("{0f3a9c56-0000-4000-8000-0000000000ff}"), &marked(&CommentSubject::Summary, "old"));
    let server = Server::new([
        me(),
        page(&json!([inline, reply, others]), Some("/base/next?page=2")),
        page(&json!([gone, former, comment(26, None, "nobody's")]), None),
    ])
    .await;
    let seen = pull(&server).producer_comments(&[]).await.unwrap();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(
        (seen[0].subject.clone(), seen[0].body.as_str(), seen[0].rights),
        (one, "text", CommentRights::CurrentAccount)
    );
    assert!(seen[0].has_replies);
    let thread = seen[0].thread.clone().unwrap();
    assert_eq!((thread.id, thread.state), (ThreadId::new("21"), ThreadState::ResolvedByUs));
    assert_eq!(
        (seen[1].subject.clone(), seen[1].rights),
        (CommentSubject::Summary, CommentRights::FormerAccount)
    );
    assert_eq!(seen[1].thread, None);
    let sent = lines(&server.requests());
    assert_eq!(sent[1], "GET /base/repositories/acme/demo/pullrequests/7/comments?pagelen=100");
    assert_eq!(sent[2], "GET /base/next?page=2");
}

#[tokio::test]
async fn a_former_account_is_known_by_its_uuid_and_by_no_name() {
    for (former, expected) in [("somebody", 0), ("Some Body", 0), ("{ABC}", 1)] {
        let note = comment(21, Some("{abc}"), &marked(&CommentSubject::Summary, "made up"));
        let server = Server::new([me(), page(&json!([note]), None)]).await;
        let with = BitbucketOptions { previous_accounts: vec![former.into()], ..options(&server) };
        let cloud = BitbucketCloud::with_timeouts(with, test_timeouts(), Arc::new(hand())).unwrap();
        let client =
            cloud.client(&pr(UUID), "acme/demo", CommentProducer::Review).with_permit(&open_gate_permit());
        assert_eq!(client.producer_comments(&[]).await.unwrap().len(), expected, "{former}");
    }
}

#[tokio::test]
async fn a_known_comment_that_the_list_misses_is_asked_for() {
    let known = [(finding("1:aa-0"), CommentId::new("21")), (finding("1:bb-0"), CommentId::new("22"))];
    let edited = comment(21, Some(ME), "a person took the marker away");
    let server =
        Server::new([me(), page(&json!([]), None), ok(&edited), ScriptedHttpReply::new(404, "{}")]).await;
    let seen = pull(&server).producer_comments(&known).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].subject, seen[0].body.as_str()), (&known[0].0, "a person took the marker away"));
}

#[tokio::test]
async fn a_comment_on_lines_says_where_by_the_side() {
    for (draft, expected) in [
        (draft(3, 3, DiffSide::New), json!({ "path": "src/a.py", "to": 3 })),
        (draft(3, 5, DiffSide::New), json!({ "path": "src/a.py", "to": 5, "start_to": 3 })),
        (draft(2, 4, DiffSide::Old), json!({ "path": "src/a.py", "from": 4, "start_from": 2 })),
    ] {
        let made = comment(31, Some(ME), "text");
        let server = Server::new([ScriptedHttpReply::new(201, made.to_string())]).await;
        let effect = Effect::Findings { commit: head(), comments: vec![draft] };
        let performed = pull(&server).perform(&effect, &open_gate_permit()).await.unwrap();
        assert_eq!(performed, EffectOutcome::Comments(vec![(finding("1:aa-0"), CommentId::new("31"))]));
        let [request] = &server.requests()[..] else { panic!("one call") };
        assert_eq!(request.line, "POST /base/repositories/acme/demo/pullrequests/7/comments");
        assert_eq!(request.json()["inline"], expected);
        assert_eq!(request.json()["content"]["raw"], marked(&finding("1:aa-0"), "Fix it."));
    }
}

#[tokio::test]
async fn a_comment_on_a_file_names_the_path_alone() {
    let server = Server::new([ScriptedHttpReply::new(201, comment(31, Some(ME), "text").to_string())]).await;
    let effect = Effect::FileFinding { commit: head(), comment: draft(3, 5, DiffSide::New) };
    pull(&server).perform(&effect, &open_gate_permit()).await.unwrap();
    assert_eq!(server.requests()[0].json()["inline"], json!({ "path": "src/a.py" }));
}

#[tokio::test]
async fn resolving_what_is_resolved_and_opening_what_is_open_is_done() {
    let thread = ThreadId::new("21");
    let conflict = ScriptedHttpReply::new(409, r#"{"type":"error","error":{"message":"already resolved"}}"#);
    let server = Server::new([conflict]).await;
    let resolved =
        pull(&server).perform(&Effect::Resolve { thread: thread.clone() }, &open_gate_permit()).await;
    assert_eq!(resolved, Ok(EffectOutcome::Applied));
    let server = Server::new([ScriptedHttpReply::new(404, "{}"), ok(&comment(21, Some(ME), "x"))]).await;
    let opened = pull(&server).perform(&Effect::Reopen { thread: thread.clone() }, &open_gate_permit()).await;
    assert_eq!(opened, Ok(EffectOutcome::Applied));
    assert_eq!(
        lines(&server.requests())[0],
        "DELETE /base/repositories/acme/demo/pullrequests/7/comments/21/resolve"
    );
    let server = Server::new([ScriptedHttpReply::new(404, "{}"), ScriptedHttpReply::new(404, "{}")]).await;
    let gone = pull(&server).perform(&Effect::Reopen { thread }, &open_gate_permit()).await;
    assert!(matches!(gone, Err(ForgeError::NotFound { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_change_of_a_pull_request_sends_all_of_it() {
    let before = [me(), ok(&body("OPEN", true, UUID)), commit(BASE), newest(HEAD)];
    let server = Server::new(before.into_iter().chain([ok(&body("OPEN", false, UUID))])).await;
    let ready = pull(&server).perform(&Effect::MarkReady, &open_gate_permit()).await;
    assert_eq!(ready, Ok(EffectOutcome::Applied));
    let request = server.requests().pop().unwrap();
    assert_eq!(request.line, "PUT /base/repositories/acme/demo/pullrequests/7");
    let expected = json!({
        "title": "Fix it", "description": "Why", "draft": false, "reviewers": [{ "uuid": "{b}" }, { "uuid": "{c}" }],
    });
    assert_eq!(request.json(), expected);
}

#[tokio::test]
async fn nobody_is_taken_for_gone_where_the_forge_does_not_even_show_us_as_a_member() {
    let refusal = json!({ "type": "error", "error": {
        "message": "reviewers: Malformed reviewers list", "fields": { "reviewers": ["Malformed reviewers \
             list"] },
    } });
    let missing = || ScriptedHttpReply::new(404, "{}");
    let asked = [ScriptedHttpReply::new(400, refusal.to_string()), missing(), missing(), missing()];
    let before = [me(), ok(&body("OPEN", true, UUID)), commit(BASE), newest(HEAD)];
    let server = Server::new(before.into_iter().chain(asked)).await;
    let refused = pull(&server).perform(&Effect::MarkReady, &open_gate_permit()).await.unwrap_err();
    let said = refused.to_string();
    assert!(matches!(refused, ForgeError::Rejected { .. }), "{said}");
    assert!(said.contains("Malformed reviewers list") && said.contains("docs/bitbucket.md"), "{said}");
    let sent = lines(&server.requests());
    assert_eq!(sent.iter().filter(|line| line.starts_with("PUT ")).count(), 1, "{sent:?}");
    let [members, ..] = &sent[5..] else { panic!("{sent:?}") };
    assert!(members.starts_with("GET /base/workspaces/acme/members/%7B0f3a9c56-"), "{members}");
    assert_eq!(sent[6..], ["GET /base/users/%7Bb%7D", "GET /base/users/%7Bc%7D"]);
}

#[tokio::test]
async fn a_review_is_asked_of_a_uuid_and_of_no_name() {
    let read = || [ok(&body("OPEN", false, UUID)), commit(BASE), newest(HEAD)];
    let ask = |login: &str| Effect::RequestReview { login: login.into() };
    // A reviewer's account name is rejected, even if the account is already a requested reviewer.
    let server = Server::new(read()).await;
    let refused = pull(&server).perform(&ask("somebody"), &open_gate_permit()).await.unwrap_err();
    assert!(matches!(refused, ForgeError::Rejected { .. }), "{refused}");
    assert!(lines(&server.requests()).iter().all(|line| line.starts_with("GET ")));
    let server = Server::new(read()).await;
    assert_eq!(pull(&server).perform(&ask("{c}"), &open_gate_permit()).await, Ok(EffectOutcome::Applied));
    assert_eq!(server.requests().len(), 3, "it is asked already");
}

#[tokio::test]
async fn a_description_that_somebody_else_changed_stays() {
    let server = Server::new([me(), ok(&body("OPEN", false, UUID)), commit(BASE), newest(HEAD)]).await;
    let effect = Effect::Describe { read: "What I read".into(), body: "Mine".into() };
    assert_eq!(pull(&server).perform(&effect, &open_gate_permit()).await, Ok(EffectOutcome::Superseded));
}

#[tokio::test]
async fn what_cloud_does_not_have_is_refused_before_any_call() {
    let server = Server::new([]).await;
    let client = pull(&server);
    let topic = Topic::new("t");
    let (title, text, label) = ("t".to_owned(), "b".to_owned(), "l".to_owned());
    for effect in [
        Effect::UpdateBranch { head: head() },
        Effect::Label { number: 7, labels: vec![label.clone()] },
        Effect::OpenIssue { topic: topic.clone(), title: title.clone(), body: text.clone(), label },
        Effect::EditIssue { number: 1, topic, title, body: text },
        Effect::CloseIssue { number: 1 },
    ] {
        let refused = client.perform(&effect, &open_gate_permit()).await.unwrap_err();
        assert!(matches!(refused, ForgeError::Rejected { .. }), "{refused}");
        assert_eq!(client.find_effect(&effect).await, Ok(None));
    }
    assert_eq!(client.labels().await, Ok(Vec::new()));
    assert_eq!(client.eye_reactions(&CommentId::new("1")).await, Ok(Vec::new()));
    assert_eq!(client.issues("l").await, Ok(Vec::new()));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_second_pull_request_of_a_branch_is_the_first() {
    let draft = PullDraft {
        topic: Topic::new("sync"),
        branch: "fix".into(),
        base: "main".into(),
        title: "T".into(),
        body: "B".into(),
        draft: false,
    };
    let refused =
        ScriptedHttpReply::new(400, r#"{"type":"error","error":{"message":"There is already one"}}"#);
    let server = Server::new([
        me(),
        page(&json!([]), None),
        refused,
        page(&json!([body("OPEN", false, UUID)]), None),
        newest(HEAD),
    ])
    .await;
    let client = cloud(&server)
        .client(&PrId { number: 0, ..pr(UUID) }, "acme/demo", CommentProducer::Sync)
        .with_permit(&open_gate_permit());
    let Ok(EffectOutcome::Pull(there)) = client.perform(&Effect::OpenPull(draft), &open_gate_permit()).await
    else {
        panic!("adopted")
    };
    assert_eq!((there.number, there.head), (7, head()));
    let sent = server.requests();
    let posted = sent.iter().find(|request| request.line.starts_with("POST")).unwrap().json();
    assert_eq!(posted["source"]["branch"]["name"], "fix");
    assert_eq!(posted["close_source_branch"], false);
}

#[tokio::test]
async fn a_status_is_a_report_and_then_a_build_status_of_this_pull_request() {
    let nothing = || ScriptedHttpReply::new(204, "");
    let server = Server::new([nothing(), ok(&json!({})), ok(&json!({}))]).await;
    let client = pull(&server);
    assert_eq!(
        client.perform(&Effect::Status(status()), &open_gate_permit()).await,
        Ok(EffectOutcome::Applied)
    );
    let sent = server.requests();
    let commit = format!("/base/repositories/acme/demo/commit/{HEAD}");
    assert_eq!(
        lines(&sent),
        [
            format!("DELETE {commit}/reports/truing-review-7"),
            format!("PUT {commit}/reports/truing-review-7"),
            format!("POST {commit}/statuses/build"),
        ]
    );
    let expected = json!({
        "key": "truing-review-7", "state": "FAILED", "name": "truing/review", "description": "2 findings \
            block",
        "url": server.url("/git/acme/demo/pull-requests/7").as_str(),
    });
    assert_eq!(sent[2].json(), expected);
    let there = json!({ "key": "truing-review-7", "state": "FAILED", "description": "2 findings block" });
    let server = Server::new([ok(&there), ScriptedHttpReply::new(404, "{}")]).await;
    let client = pull(&server);
    assert_eq!(client.find_effect(&Effect::Status(status())).await, Ok(Some(EffectOutcome::Applied)));
    assert_eq!(client.find_effect(&Effect::Status(status())).await, Ok(None));
}

#[tokio::test]
async fn conflicts_are_asked_for_where_the_forge_leads_to_on_this_host_alone() {
    let read = || [ok(&body("OPEN", false, UUID)), commit(BASE), newest(HEAD)];
    let to = |to: &str| ScriptedHttpReply::new(302, "").header("location", to);
    let here = "/base/repositories/acme/demo/file-conflicts/1..2";
    for (replies, expected) in [
        (vec![to(here), page(&json!([{ "path": "a" }]), None)], Some(true)),
        (vec![to(here), page(&json!([]), None)], Some(false)),
        (vec![to("/base/repositories/other/place/file-conflicts/1")], None),
        (vec![ScriptedHttpReply::new(403, "{}")], None),
    ] {
        let server = Server::new(read().into_iter().chain(replies)).await;
        assert_eq!(pull(&server).merge_state().await.unwrap().has_conflicts, expected);
    }
    let away = to("https://elsewhere.example/base/repositories/acme/demo/file-conflicts/1");
    let server = Server::new(read().into_iter().chain([away])).await;
    assert!(matches!(pull(&server).merge_state().await, Err(ForgeError::Unavailable { .. })));
}

#[tokio::test]
async fn the_next_page_is_followed_on_this_host_alone_and_not_in_a_circle() {
    let server = Server::new([me(), page(&json!([]), Some("https://elsewhere.example/2.0/x"))]).await;
    let error = pull(&server).producer_comments(&[]).await.unwrap_err();
    assert!(
        matches!(&error, ForgeError::Unavailable { message, .. } if message.contains("so Truing does not \
            request this page")),
        "{error}"
    );
    let same = page(&json!([]), Some("/base/repositories/acme/demo/pullrequests/7/comments?pagelen=100"));
    let server = Server::new([me(), same]).await;
    let error = pull(&server).producer_comments(&[]).await.unwrap_err();
    assert!(
        matches!(&error, ForgeError::Unavailable { message, .. } if message.contains("form a loop")),
        "{error}"
    );
}

#[tokio::test]
async fn open_pull_requests_are_listed_with_drafts_and_as_many_calls_as_there_are() {
    let listed = || page(&json!([body("OPEN", true, UUID)]), None);
    let more = page(&json!([]), Some("/base/more"));
    let server = Server::new([more, listed(), listed(), commit(BASE), newest(HEAD), listed()]).await;
    let (cloud, mut list) = (cloud(&server), CachedListing::default());
    // Each round has a different maximum number of calls. In round 1, no call remains for the second page; in
    // round 2, no call remains for the hashes. Round 3 has enough calls. In round 4, both hashes are already
    // known.
    let rounds = [(1, 0, false, 0), (2, 1, false, 0), (3, 0, true, 1), (1, 0, true, 1)];
    for (mut calls, left, is_complete, many) in rounds {
        cloud.refresh_open_pulls("acme/demo", &mut list, &mut calls).await.unwrap();
        assert_eq!((calls, list.is_complete(), list.items().count()), (left, is_complete, many));
    }
    let pulls: Vec<_> = list.items().collect();
    assert_eq!((pulls[0].number, pulls[0].draft, pulls[0].repository_id.as_str()), (7, true, UUID));
    assert!(
        lines(&server.requests())[0].contains("draft%3Dtrue+OR+draft%3Dfalse"),
        "{:?}",
        lines(&server.requests())
    );
}

#[tokio::test]
async fn a_fork_that_the_token_may_not_read_keeps_no_other_pull_request_out_of_a_list() {
    let mut from_fork = body("OPEN", false, UUID);
    from_fork["id"] = 8.into();
    from_fork["source"]["repository"] = json!({ "uuid": "{f}", "full_name": "guest/demo" });
    let missing = || ScriptedHttpReply::new(404, "{}");
    let listed = page(&json!([from_fork, body("OPEN", false, UUID)]), None);
    let server = Server::new([listed, commit(BASE), missing(), newest(HEAD)]).await;
    let (mut list, mut calls) = (CachedListing::default(), 9);
    cloud(&server).refresh_open_pulls("acme/demo", &mut list, &mut calls).await.unwrap();
    assert_eq!(list.items().map(|pull| pull.number).collect::<Vec<_>>(), [7]);
    assert!(!list.is_complete(), "the other is open, too");
}

#[tokio::test]
async fn comments_that_the_calls_did_not_suffice_for_are_read_the_next_time_and_the_others_not_again() {
    let changed = |number: u64| {
        let mut pull = body("OPEN", false, UUID);
        pull["id"] = number.into();
        pull["updated_on"] = "2026-11-20T07:00:00.000000+00:00".into();
        pull
    };
    let listed = || page(&json!([changed(7), changed(8)]), None);
    let said = |id: u64| page(&json!([comment(id, Some("{9}"), "/review")]), None);
    let server = Server::new([listed(), said(21), listed(), said(22), listed()]).await;
    let (cloud, mut lists): (_, [CachedListing<PullComment>; 2]) = (cloud(&server), Default::default());
    let rounds = [(2, vec![21], false), (2, vec![21, 22], true), (1, vec![21, 22], true)];
    for (mut calls, ids, is_complete) in rounds {
        cloud
            .refresh_comments_since(("acme/demo", None), UnixMillis(0), &mut lists, &mut calls)
            .await
            .unwrap();
        let seen: Vec<u64> = lists.iter().flat_map(CachedListing::items).map(|comment| comment.id).collect();
        assert_eq!((seen, lists[0].is_complete(), calls), (ids, is_complete, 0));
        assert!(!lists[0].is_in_order() && lists[1].is_complete(), "what is left out may be older");
    }
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn what_was_said_since_the_head_was_committed_is_of_the_head() {
    let head_of = json!([{
        "type": "commit", "hash": HEAD, "date": "2026-11-20T08:30:00+00:00",
        "author": { "raw": "Truing <truing@example.com>", "user": user(ME) },
    }]);
    let said = |id: u64, at: &str| {
        let mut note = comment(id, Some("{9}"), "Not so.");
        note["created_on"] = format!("2026-11-20T{at}+00:00").into();
        note["inline"] = json!({ "path": "src/a.py", "to": 3 });
        note
    };
    let notes =
        json!([said(21, "08:29:59.999999"), said(22, "08:30:00.000000"), comment(23, Some("{9}"), "Hm.")]);
    let read = [me(), ok(&body("OPEN", false, UUID)), commit(BASE), newest(HEAD)];
    let server = Server::new(read.into_iter().chain([page(&head_of, None), page(&notes, None)])).await;
    let activity = pull(&server).activity(7).await.unwrap();
    assert!(activity.commits[0].author.as_ref().is_some_and(|author| author.is_own_account));
    let on: Vec<_> = activity.comments.into_iter().map(|remark| (remark.id, remark.commit)).collect();
    let id = |id: &str| CommentId::new(id);
    assert_eq!(on, [(id("23"), None), (id("21"), None), (id("22"), Some(head()))]);
    // The approval and the head commit have the same time, so the approval counts for the head.
    assert_eq!(activity.reviews.into_iter().map(|review| review.commit).collect::<Vec<_>>(), [Some(head())]);
}

#[tokio::test]
async fn nobody_is_obeyed_where_the_token_may_not_ask() {
    let author =
        AuthorAccount { id: super::super::address::account_id("{9}"), login: "x".into(), is_person: true };
    let server = Server::new([ScriptedHttpReply::new(403, "{}")]).await;
    assert_eq!(cloud(&server).may_write("acme/demo", &author).await, Ok(false));
    let listed = json!([{ "permission": "write", "user": user("{9}") }, { "permission": "admin", "user": user("{8}") }]);
    let server = Server::new([page(&listed, None)]).await;
    assert_eq!(cloud(&server).may_write("acme/demo", &author).await, Ok(true));
    assert!(
        lines(&server.requests())[0]
            .starts_with("GET /base/workspaces/acme/permissions/repositories/demo?q=")
    );
    let read = json!([{ "permission": "read", "user": user("{9}") }]);
    let server = Server::new([page(&read, None)]).await;
    assert_eq!(cloud(&server).may_write("acme/demo", &author).await, Ok(false));
}

#[tokio::test]
async fn listed_account_commands_only_where_permissions_are_unreadable() {
    let read = json!([{ "permission": "read", "user": user("{9a}") }]);
    for (reply, id, may) in [
        (ScriptedHttpReply::new(403, "{}"), "{9a}", true),
        (ScriptedHttpReply::new(403, "{}"), "{8}", false),
        (page(&read, None), "{9a}", false),
        (page(&json!([]), None), "{9a}", false),
    ] {
        let shown = format!("{reply:?} {id}");
        let server = Server::new([reply]).await;
        let listed = vec![super::super::address::account_id("{9A}")];
        let with = BitbucketOptions { command_accounts: listed, ..options(&server) };
        let cloud = BitbucketCloud::with_timeouts(with, test_timeouts(), Arc::new(hand())).unwrap();
        let id = super::super::address::account_id(id);
        let author = AuthorAccount { id, login: "x".into(), is_person: true };
        assert_eq!(cloud.may_write("acme/demo", &author).await, Ok(may), "{shown}");
    }
}

#[tokio::test]
async fn a_comment_that_is_served_says_its_kind() {
    let mut inline = comment(21, Some("{9}"), "/review");
    inline["inline"] = json!({ "path": "a", "to": 1 });
    let server = Server::new([ok(&inline), page(&json!([inline]), None)]).await;
    let read = cloud(&server).comment(&pr(UUID), "acme/demo", CommentKind::Conversation, 21).await;
    let read = read.unwrap().unwrap();
    assert_eq!((read.kind, read.number, read.body.as_str()), (CommentKind::Diff, 7, "/review"));
    // For a reply to a reply, the server returns the thread's first comment as the parent.
    let answer = |id: u64, to: u64| {
        let mut answer = comment(id, Some("{9}"), "/dismiss it");
        answer["parent"] = json!({ "id": to });
        answer["inline"] = json!({ "path": "a", "to": 1 });
        answer
    };
    let all = json!([inline, answer(22, 21), answer(23, 22)]);
    let server = Server::new([ok(&answer(23, 22)), page(&all, None)]).await;
    let read = cloud(&server).comment(&pr(UUID), "acme/demo", CommentKind::Diff, 23).await;
    assert_eq!(read.unwrap().unwrap().first_comment, Some(CommentId::new("21")));
    let mut gone = inline.clone();
    gone["deleted"] = true.into();
    let server = Server::new([ok(&gone)]).await;
    let read = cloud(&server).comment(&pr(UUID), "acme/demo", CommentKind::Diff, 21).await;
    assert!(matches!(read, Err(ForgeError::NotFound { .. })), "{read:?}");
}

#[tokio::test]
async fn a_repository_is_found_by_its_uuid_whatever_its_workspace() {
    let body = json!({ "uuid": UUID, "full_name": "acme/renamed" });
    let server = Server::new([ok(&body), ok(&body)]).await;
    let seen = cloud(&server).repository_by_id(UUID).await.unwrap();
    assert_eq!((seen.id.as_str(), seen.name.as_str()), (UUID, "acme/renamed"));
    let moved = cloud(&server).repository("acme/demo").await;
    assert!(matches!(moved, Err(ForgeError::Moved { .. })), "{moved:?}");
    let line = &lines(&server.requests())[0];
    assert!(line.starts_with("GET /base/repositories/%7B%7D/%7B0f3a9c56-"), "{line}");
}
