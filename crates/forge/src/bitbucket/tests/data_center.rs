//! Tests of Bitbucket Data Center: URLs below a server's context path, versions, anchors, pages and statuses.

use super::*;

fn user(id: u64) -> Value {
    json!({ "id": id, "name": format!("user{id}"), "slug": format!("user{id}"), "type": "NORMAL" })
}

/// Returns the responses about Truing's account.
fn me(version: &str) -> [ScriptedHttpReply; 2] {
    [ok(&json!({ "version": version })).header("x-ausername", "user42"), ok(&user(ME_DC))]
}

fn body(version: u64, description: &str, repository: u64) -> Value {
    let end = |branch: &str, hash: &str| {
        let of = json!({ "id": repository, "slug": "demo", "project": { "key": "ACME" } });
        json!({ "id": format!("refs/heads/{branch}"), "displayId": branch, "latestCommit": hash, "repository": of })
    };
    json!({
        "id": 7, "version": version, "title": "Fix it", "description": description, "state": "OPEN", "draft": false,
        "createdDate": 1_795_161_000_000_i64, "updatedDate": 1_795_161_500_000_i64,
        "author": { "user": user(ME_DC) }, "fromRef": end("fix", HEAD), "toRef": end("main", BASE),
        "reviewers": [{ "user": user(5), "status": "NEEDS_WORK", "lastReviewedCommit": HEAD },
                      { "user": user(6), "status": "UNAPPROVED" }],
        "participants": [],
    })
}

fn pull_body(version: u64) -> ScriptedHttpReply {
    ok(&body(version, "Why", 101))
}

fn page(values: &Value, next: Option<u64>) -> ScriptedHttpReply {
    ok(
        &json!({ "size": 1, "limit": 50, "isLastPage": next.is_none(), "values": values, "nextPageStart": next }),
    )
}

fn comment(id: u64, version: u64, by: u64, text: &str) -> Value {
    json!({
        "id": id, "version": version, "text": text, "author": user(by), "state": "OPEN", "threadResolved": false,
        "createdDate": 1_795_161_100_000_i64, "updatedDate": 1_795_161_100_000_i64, "comments": [],
    })
}

fn commented(comment: &Value, anchor: Option<Value>) -> Value {
    json!({ "id": 1, "action": "COMMENTED", "commentAction": "ADDED", "comment": comment, "commentAnchor": anchor })
}

fn marked(item: &CommentSubject, text: &str) -> String {
    format!("{text}\n\n{}", keys().sign(&pr("101"), CommentProducer::Review, item))
}

fn stale() -> ScriptedHttpReply {
    let error = json!({ "context": null, "message": "You are attempting to modify it based on out-of-date \
         information.",
                        "exceptionName": "com.atlassian.bitbucket.comment.CommentOutOfDateException" });
    ScriptedHttpReply::new(409, json!({ "errors": [error] }).to_string())
}

#[tokio::test]
async fn a_pull_request_is_read_below_the_servers_own_path() {
    let server = Server::new([pull_body(3)]).await;
    let read = pull_dc(&server).pull_request().await.unwrap();
    assert_eq!((read.revision.head, read.revision.base.as_str()), (head(), BASE));
    let author = AuthorAccount { id: AccountId::new("42"), login: "user42".into(), is_person: true };
    assert_eq!((read.author, read.labels), (Some(author), None));
    assert_eq!(read.url, server.url("/base/projects/ACME/repos/demo/pull-requests/7").as_str());
    assert_eq!(
        lines(&server.requests()),
        ["GET /base/rest/api/latest/projects/ACME/repos/demo/pull-requests/7"]
    );
}

#[tokio::test]
async fn comments_are_in_what_was_done_page_by_page() {
    let one = finding("1:aa-0");
    let mut inline = comment(21, 0, ME_DC, &marked(&one, "text"));
    inline["comments"] = json!([comment(22, 0, 9, "why?")]);
    let anchor =
        json!({ "path": { "components": ["src", "a.py"] }, "line": 3, "toHash": HEAD, "orphaned": false });
    let mut pending = comment(24, 0, ME_DC, &marked(&one, "a draft"));
    pending["state"] = "PENDING".into();
    let mut deleted = commented(&comment(25, 0, ME_DC, &marked(&CommentSubject::Summary, "gone")), None);
    deleted["commentAction"] = "DELETED".into();
    let first = json!([
        { "id": 9, "action": "OF_TOMORROW", "something": { "deep": [1] } }, deleted, commented(&pending, None),
        commented(&comment(23, 0, 9, &marked(&CommentSubject::Summary, "forged")), None),
    ]);
    let second = json!([commented(&inline, Some(anchor)), { "id": 1, "action": "OPENED" }]);
    let [who, account] = me("9.3.2");
    let replies = [who, account, page(&first, Some(50)), page(&second, None)];
    let server = Server::new(replies).await;
    let seen = pull_dc(&server).producer_comments(&[]).await.unwrap();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!((&seen[0].subject, seen[0].body.as_str(), seen[0].has_replies), (&one, "text", true));
    assert_eq!(seen[0].thread.as_ref().map(|thread| thread.state), Some(ThreadState::Open));
    let sent = lines(&server.requests());
    assert_eq!(sent[0], "GET /base/rest/api/latest/application-properties");
    assert_eq!(sent[1], "GET /base/rest/api/latest/users/user42");
    assert!(
        sent[2].ends_with("/activities?start=0&limit=100") && sent[3].ends_with("?start=50&limit=100"),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_former_account_is_known_by_its_number_or_its_name() {
    for (former, expected) in [("9", 1), ("USER9", 1), ("user8", 0), ("8", 0)] {
        let notes = json!([commented(&comment(21, 0, 9, &marked(&CommentSubject::Summary, "old")), None)]);
        let server = Server::new(me("9.3.2").into_iter().chain([page(&notes, None)])).await;
        let with = BitbucketOptions { previous_accounts: vec![former.into()], ..options(&server) };
        let center = BitbucketDataCenter::with_timeouts(with, test_timeouts(), Arc::new(hand())).unwrap();
        let client =
            center.client(&pr("101"), "ACME/demo", CommentProducer::Review).with_permit(&open_gate_permit());
        assert_eq!(client.producer_comments(&[]).await.unwrap().len(), expected, "{former}");
    }
}

#[tokio::test]
async fn a_new_comment_is_found_whatever_the_date_of_its_pull_request_and_in_an_old_thread_too() {
    // Both times are after the date of the pull request itself.
    let (since, later) = (UnixMillis(1_795_161_550_000), 1_795_161_580_000_i64);
    let new = |id: u64, text: &str| {
        let mut comment = comment(id, 0, 9, text);
        comment["createdDate"] = later.into();
        comment["updatedDate"] = later.into();
        comment
    };
    let mut first = comment(21, 0, 9, "Why?");
    first["comments"] = json!([new(22, "/dismiss it is right")]);
    let anchor = json!({ "path": "src/a.py", "line": 3, "toHash": HEAD });
    let done = json!([commented(&new(23, "/review"), None), commented(&first, Some(anchor))]);
    let listed = page(&json!([body(3, "Why", 101)]), None);
    let server = Server::new([listed, page(&done, None), page(&done, None)]).await;
    let center = center(&server);
    for (number, sent) in [(None, 2), (Some(7), 1)] {
        let (mut lists, mut calls): ([CachedListing<PullComment>; 2], _) = (Default::default(), 9);
        center.refresh_comments_since(("ACME/demo", number), since, &mut lists, &mut calls).await.unwrap();
        let comments = lists.iter().flat_map(CachedListing::items);
        let seen: Vec<_> = comments.map(|comment| (comment.id, comment.number, comment.kind)).collect();
        assert_eq!(seen, [(22, 7, CommentKind::Diff), (23, 7, CommentKind::Conversation)]);
        assert_eq!((lists.iter().all(CachedListing::is_complete), 9 - calls), (true, sent));
    }
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn pages_that_do_not_go_on_end_in_an_error() {
    let [who, account] = me("9.3.2");
    let server = Server::new([who, account, page(&json!([]), Some(0))]).await;
    let error = pull_dc(&server).producer_comments(&[]).await.unwrap_err();
    assert!(
        matches!(&error, ForgeError::Unavailable { message, .. } if message.contains("form a loop")),
        "{error}"
    );
}

fn diff() -> ScriptedHttpReply {
    let line =
        |source: u32, destination: u32| json!({ "source": source, "destination": destination, "line": "x" });
    let segments = json!([
        { "type": "CONTEXT", "lines": [line(1, 1), line(2, 2)] },
        { "type": "ADDED", "lines": [line(3, 3), line(3, 4), line(3, 5)] },
    ]);
    ok(&json!({ "fromHash": BASE, "toHash": HEAD, "diffs": [{ "hunks": [{ "segments": segments }] }] }))
}

#[tokio::test]
async fn a_comment_on_several_lines_has_the_names_of_9_3_and_before_is_on_the_last() {
    for (version, is_long) in [("9.3.0", true), ("9.2.7", false)] {
        let made = ScriptedHttpReply::new(201, comment(31, 0, ME_DC, "x").to_string());
        let [who, account] = me(version);
        let server = Server::new([who, account, page(&json!([]), None), diff(), made]).await;
        let client = pull_dc(&server);
        client.producer_comments(&[]).await.unwrap();
        let effect = Effect::Findings { commit: head(), comments: vec![draft(2, 4, DiffSide::New)] };
        assert!(client.perform(&effect, &open_gate_permit()).await.is_ok());
        let sent = server.requests();
        assert!(sent[3].line.contains("/pull-requests/7/diff?withComments=false"), "{}", sent[3].line);
        let anchor = &sent[4].json()["anchor"];
        assert_eq!(
            (&anchor["line"], &anchor["lineType"], &anchor["fileType"]),
            (&json!(4), &json!("ADDED"), &json!("TO"))
        );
        assert_eq!((&anchor["fromHash"], &anchor["toHash"]), (&json!(BASE), &json!(HEAD)));
        assert_eq!(anchor["diffType"], "EFFECTIVE");
        let marker = json!({ "startLine": 2, "startLineType": "CONTEXT" });
        assert_eq!(anchor.get("multilineMarker"), is_long.then_some(&marker));
        let span = json!({ "dstSpanStart": 2, "dstSpanEnd": 4 });
        assert_eq!(anchor.get("multilineSpan"), is_long.then_some(&span));
        assert_eq!(client.publish_limits().offers_suggestions, is_long);
    }
}

#[tokio::test]
async fn a_place_at_another_head_or_outside_the_diff_is_refused_before_it_is_posted() {
    let other = Sha::parse(BASE).unwrap();
    for (commit, draft) in [(other, draft(3, 3, DiffSide::New)), (head(), draft(90, 90, DiffSide::New))] {
        let server = Server::new([diff()]).await;
        let effect = Effect::Findings { commit, comments: vec![draft] };
        let refused = pull_dc(&server).perform(&effect, &open_gate_permit()).await;
        assert!(matches!(refused, Err(ForgeError::Rejected { .. })), "{refused:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_old_version_of_a_comment_is_read_again_and_another_text_is_decided_anew() {
    let effect = Effect::EditComment {
        item: CommentSubject::Summary,
        comment: CommentId::new("21"),
        body: "new".into(),
    };
    let text = |version, text: &str| ok(&comment(21, version, ME_DC, text));
    let server = Server::new([text(1, "old"), stale(), text(2, "old"), text(3, "new")]).await;
    assert_eq!(pull_dc(&server).perform(&effect, &open_gate_permit()).await, Ok(EffectOutcome::Applied));
    let versions: Vec<Value> = server
        .requests()
        .iter()
        .filter(|sent| !sent.body.is_empty())
        .map(|sent| sent.json()["version"].clone())
        .collect();
    assert_eq!(versions, [1, 2]);
    let server = Server::new([text(1, "old"), stale(), text(2, "a person's")]).await;
    let error = pull_dc(&server).perform(&effect, &open_gate_permit()).await.unwrap_err();
    assert!(matches!(error, ForgeError::Stale { .. }) && error.has_no_effect(), "{error}");
}

#[tokio::test]
async fn a_comment_with_answers_is_not_deleted() {
    let gone = Effect::DeleteDuplicate { item: CommentSubject::Summary, comment: CommentId::new("21") };
    let there = || ok(&comment(21, 1, ME_DC, "x"));
    let server = Server::new([there(), stale(), there(), stale(), there(), stale()]).await;
    let refused = pull_dc(&server).perform(&gone, &open_gate_permit()).await;
    assert!(matches!(refused, Err(ForgeError::Rejected { .. })), "{refused:?}");
    let server = Server::new([there(), ScriptedHttpReply::new(204, "")]).await;
    assert_eq!(pull_dc(&server).perform(&gone, &open_gate_permit()).await, Ok(EffectOutcome::Applied));
    assert!(lines(&server.requests())[1].ends_with("/comments/21?version=1"));
}

#[tokio::test]
async fn a_thread_is_resolved_by_its_own_field_and_the_answer_is_read() {
    let thread = ThreadId::new("21");
    let mut resolved = comment(21, 2, ME_DC, "x");
    resolved["threadResolved"] = true.into();
    let server = Server::new([ok(&comment(21, 1, 9, "x")), ok(&resolved)]).await;
    let effect = Effect::Resolve { thread };
    assert_eq!(pull_dc(&server).perform(&effect, &open_gate_permit()).await, Ok(EffectOutcome::Applied));
    assert_eq!(server.requests()[1].json(), json!({ "threadResolved": true, "version": 1 }));
    let server = Server::new([ok(&comment(21, 1, 9, "x")), ok(&comment(21, 2, 9, "x"))]).await;
    let ignored = pull_dc(&server).perform(&effect, &open_gate_permit()).await;
    assert!(matches!(ignored, Err(ForgeError::Unavailable { .. })), "{ignored:?}");
    let server = Server::new([ok(&resolved)]).await;
    assert_eq!(
        pull_dc(&server).perform(&effect, &open_gate_permit()).await,
        Ok(EffectOutcome::Applied),
        "it is so already"
    );
}

#[tokio::test]
async fn a_description_is_written_with_its_version_and_superseded_by_a_persons() {
    let effect = Effect::Describe { read: "Why".into(), body: "Because".into() };
    let [who, account] = me("9.3.2");
    let server = Server::new([who, account, pull_body(3), stale(), ok(&body(4, "A person's", 101))]).await;
    assert_eq!(pull_dc(&server).perform(&effect, &open_gate_permit()).await, Ok(EffectOutcome::Superseded));
    let put = server.requests()[3].json();
    assert_eq!((&put["version"], &put["description"]), (&json!(3), &json!("Because")));
    assert_eq!(put["reviewers"], json!([{ "user": { "name": "user5" } }, { "user": { "name": "user6" } }]));
}

#[tokio::test]
async fn a_server_without_drafts_is_asked_for_none() {
    let [who, account] = me("8.17.1");
    let server = Server::new([who, account]).await;
    let refused = pull_dc(&server).perform(&Effect::MarkReady, &open_gate_permit()).await.unwrap_err();
    assert!(
        matches!(&refused, ForgeError::Rejected { message, .. } if message.contains("has no drafts")),
        "{refused}"
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_401_for_a_token_that_the_server_knows_is_a_missing_permission() {
    let denied = || {
        ScriptedHttpReply::new(401, r#"{"errors":[{"context":null,"message":"no","exceptionName":null}]}"#)
    };
    let version = || ok(&json!({ "version": "9.3.2" }));
    let known = version().header("x-ausername", "truing");
    for (told, is_known) in [(known, true), (version(), false), (denied(), false)] {
        let server = Server::new([denied(), told]).await;
        let error = pull_dc(&server).pull_request().await.unwrap_err();
        let expected = if is_known {
            matches!(error, ForgeError::Forbidden { .. })
        } else {
            matches!(error, ForgeError::Unauthorized { .. })
        };
        assert!(expected, "{error}");
        assert_eq!(server.requests().len(), 2);
    }
}

#[tokio::test]
async fn who_is_not_logged_in_has_no_account() {
    let server = Server::new([ok(&json!({ "version": "9.3.2" }))]).await;
    let error = pull_dc(&server).producer_comments(&[]).await.unwrap_err();
    assert!(matches!(error, ForgeError::Unauthorized { .. }), "{error}");
}

#[tokio::test]
async fn changes_are_wanted_by_the_one_verdict_that_there_is() {
    let mark = truing_core::port::AuditMark {
        run: truing_core::id::RunId::new("r"),
        audit: 1,
        clean: false,
        commit: head(),
        scope: None,
    };
    let review = truing_core::port::ReviewDraft {
        mark,
        event: truing_core::port::ReviewEvent::RequestChanges,
        body: "## audit 1".into(),
        unplaced: Vec::new(),
        findings: Vec::new(),
    };
    let mut others = body(1, "Why", 101);
    others["author"] = json!({ "user": user(9) });
    let [who, account] = me("9.3.2");
    let posted = ScriptedHttpReply::new(201, comment(31, 0, ME_DC, "x").to_string());
    let replies = [who, account, page(&json!([]), None), ok(&others), ok(&json!({})), posted];
    let server = Server::new(replies).await;
    let client = center(&server)
        .client(&pr("101"), "ACME/demo", CommentProducer::Converge)
        .with_permit(&open_gate_permit());
    assert!(matches!(
        client.perform(&Effect::Review(review.clone()), &open_gate_permit()).await,
        Ok(EffectOutcome::Review(_))
    ));
    let sent = server.requests();
    assert!(
        sent[4].line.ends_with(
            "PUT /base/rest/api/latest/projects/ACME/repos/demo/pull-requests/7/participants/user42"
        )
    );
    assert_eq!(sent[4].json(), json!({ "status": "NEEDS_WORK", "lastReviewedCommit": HEAD }));
    // On Truing's own pull request, the review is posted as a comment, without a verdict.
    let [who, account] = me("9.3.2");
    let posted = ScriptedHttpReply::new(201, comment(31, 0, ME_DC, "x").to_string());
    let server = Server::new([who, account, page(&json!([]), None), pull_body(1), posted]).await;
    let client = center(&server)
        .client(&pr("101"), "ACME/demo", CommentProducer::Converge)
        .with_permit(&open_gate_permit());
    assert!(client.perform(&Effect::Review(review), &open_gate_permit()).await.is_ok());
    assert!(server.requests().iter().all(|sent| !sent.line.contains("participants")));
}

#[tokio::test]
async fn an_audit_that_finds_nothing_takes_our_own_verdict_back_of_this_head_alone() {
    let clean = |commit: &str| truing_core::port::ReviewDraft {
        mark: truing_core::port::AuditMark {
            run: truing_core::id::RunId::new("r"),
            audit: 2,
            clean: true,
            commit: Sha::parse(commit).unwrap(),
            scope: None,
        },
        event: truing_core::port::ReviewEvent::Withdraw,
        body: "## audit 2".into(),
        unplaced: Vec::new(),
        findings: Vec::new(),
    };
    let status = |of: u64, status: &str| json!([{ "user": user(of), "status": status }]);
    for (reviewers, commit, is_taken_back) in [
        (status(ME_DC, "NEEDS_WORK"), HEAD, true),
        (status(ME_DC, "NEEDS_WORK"), BASE, false),
        (status(ME_DC, "UNAPPROVED"), HEAD, false),
        (status(5, "NEEDS_WORK"), HEAD, false),
    ] {
        let mut others = body(1, "Why", 101);
        (others["author"], others["reviewers"]) = (json!({ "user": user(9) }), reviewers);
        let [who, account] = me("9.3.2");
        let posted = ScriptedHttpReply::new(201, comment(31, 0, ME_DC, "x").to_string());
        let judged = is_taken_back.then(|| ok(&json!({})));
        let replies = [who, account, page(&json!([]), None), ok(&others)];
        let server = Server::new(replies.into_iter().chain(judged).chain([posted])).await;
        let client = center(&server)
            .client(&pr("101"), "ACME/demo", CommentProducer::Converge)
            .with_permit(&open_gate_permit());
        assert!(client.perform(&Effect::Review(clean(commit)), &open_gate_permit()).await.is_ok());
        let sent = server.requests();
        let verdicts: Vec<Value> =
            sent.iter().filter(|one| one.line.contains("/participants/")).map(Request::json).collect();
        let expected = is_taken_back.then(|| json!({ "status": "UNAPPROVED", "lastReviewedCommit": HEAD }));
        assert_eq!(verdicts, Vec::from_iter(expected), "{:?}", lines(&sent));
    }
}

#[tokio::test]
async fn a_status_is_a_report_without_old_notes_and_then_a_build_status() {
    let nothing = || ScriptedHttpReply::new(204, "");
    let [who, account] = me("9.3.2");
    let replies = [who, account, page(&json!([]), None), ok(&json!({})), nothing(), nothing()];
    let server = Server::new(replies).await;
    assert_eq!(
        pull_dc(&server).perform(&Effect::Status(status()), &open_gate_permit()).await,
        Ok(EffectOutcome::Applied)
    );
    let (commits, insights) = (
        format!("/base/rest/api/latest/projects/ACME/repos/demo/commits/{HEAD}"),
        format!("/base/rest/insights/latest/projects/ACME/repos/demo/commits/{HEAD}"),
    );
    assert_eq!(
        lines(&server.requests())[2..],
        [
            format!("GET /base/rest/build-status/latest/commits/{HEAD}?start=0&limit=100"),
            format!("PUT {insights}/reports/truing-review"),
            format!("DELETE {insights}/reports/truing-review/annotations"),
            format!("POST {commits}/builds"),
        ]
    );
    let build = server.requests()[5].json();
    assert_eq!((&build["key"], &build["state"]), (&json!("truing-review-7"), &json!("FAILED")));
    assert_eq!(build["parent"], "truing-review", "the settings of a repository require it by this");
    assert_eq!(build["url"], server.url("/base/projects/ACME/repos/demo/pull-requests/7").as_str());
}

#[tokio::test]
async fn an_opened_pull_request_that_is_there_already_is_adopted() {
    let draft = PullDraft {
        topic: Topic::new("sync"),
        branch: "fix".into(),
        base: "main".into(),
        title: "T".into(),
        body: "B".into(),
        draft: false,
    };
    let [who, account] = me("9.3.2");
    let refused = ScriptedHttpReply::new(
        409,
        json!({ "errors": [{ "message": "Only one", "existingPullRequest": body(1, "Why", 101) }] })
            .to_string(),
    );
    let replies = [who, account, page(&json!([]), None), refused, page(&json!([body(1, "Why", 101)]), None)];
    let server = Server::new(replies).await;
    let client = center(&server)
        .client(&PrId { number: 0, ..pr("101") }, "ACME/demo", CommentProducer::Sync)
        .with_permit(&open_gate_permit());
    let Ok(EffectOutcome::Pull(there)) = client.perform(&Effect::OpenPull(draft), &open_gate_permit()).await
    else {
        panic!("adopted")
    };
    assert_eq!(there.number, 7);
    assert!(lines(&server.requests())[2].contains("state=ALL&direction=OUTGOING&at=refs%2Fheads%2Ffix"));
}

#[tokio::test]
async fn a_repository_is_found_by_its_number_where_it_was_last_or_page_by_page() {
    let repository =
        |id: u64, slug: &str| json!({ "id": id, "slug": slug, "name": slug, "project": { "key": "ACME" } });
    let first = page(&json!([repository(1, "one")]), Some(25));
    let second = page(&json!([repository(101, "demo")]), None);
    let replies =
        [first, second, ok(&repository(101, "demo")), ok(&repository(5, "demo")), page(&json!([]), None)];
    let server = Server::new(replies).await;
    let client = center(&server);
    assert_eq!(client.repository_by_id("101").await.unwrap().name, "ACME/demo");
    assert_eq!(client.repository_by_id("101").await.unwrap().name, "ACME/demo");
    let gone = client.repository_by_id("101").await;
    assert!(matches!(gone, Err(ForgeError::NotFound { .. })), "another has its name by now: {gone:?}");
    assert_eq!(lines(&server.requests())[2], "GET /base/rest/api/latest/projects/ACME/repos/demo");
}

#[tokio::test]
async fn only_the_account_with_this_number_may_write() {
    let author =
        AuthorAccount { id: super::super::address::account_id(9), login: "user9".into(), is_person: true };
    let server = Server::new([page(&json!([user(91)]), None), page(&json!([user(9)]), None)]).await;
    let client = center(&server);
    assert_eq!(client.may_write("ACME/demo", &author).await, Ok(false));
    assert_eq!(client.may_write("ACME/demo", &author).await, Ok(true));
    let line = &lines(&server.requests())[0];
    assert!(line.contains("filter=user9&permission.1=REPO_WRITE&permission.1.projectKey=ACME"), "{line}");
}
