//! Tests that reads of an unchanged list do not count towards the rate limit, and tests of the permission to
//! give commands.

use serde_json::{Value, json};
use truing_core::id::AccountId;

use super::*;
use crate::github::GitHubOptions;
use crate::github::tests::{clock, github, options};
use crate::testing::{ScriptedHttpReply, Server, test_timeouts};

const HEAD: &str = "1111111111111111111111111111111111111111";
const BASE: &str = "2222222222222222222222222222222222222222";

fn ok(body: &Value) -> ScriptedHttpReply {
    ScriptedHttpReply::new(200, body.to_string())
}

fn lines(server: &Server) -> Vec<String> {
    server.requests().into_iter().map(|request| request.line).collect()
}

fn pull(number: u64) -> Value {
    json!({
        "number": number, "draft": false, "html_url": format!("https://x/octo/demo/pull/{number}"),
        "head": {"sha": HEAD, "repo": null},
        "base": {"sha": BASE, "repo": {"id": 7, "full_name": "octo/demo"}},
    })
}

fn numbers(list: &CachedListing<OpenPull>) -> Vec<u64> {
    list.items().map(|pull| pull.number).collect()
}

#[tokio::test]
async fn pages_that_have_not_changed_are_kept_and_cost_nothing() {
    let next =
        |page: u32| (format!("</repos/octo/demo/pulls?page={page}>; rel=\"next\""), format!("\"{page}\""));
    let page = |numbers: &[u64], link: Option<u32>, etag: &str| {
        let body: Vec<Value> = numbers.iter().copied().map(pull).collect();
        let reply = ok(&json!(body)).header("etag", etag);
        match link {
            Some(page) => reply.header("link", &next(page).0),
            None => reply,
        }
    };
    let server = Server::new([
        page(&[5, 4], Some(2), "\"a\""),
        page(&[3, 2], Some(3), "\"b\""),
        page(&[1], None, "\"c\""),
        ScriptedHttpReply::new(304, ""),
        ScriptedHttpReply::new(304, ""),
        ScriptedHttpReply::new(304, ""),
        // The list has become shorter; its last page is now the second page.
        ScriptedHttpReply::new(304, ""),
        page(&[3], None, "\"d\""),
    ])
    .await;
    let github = github(&server);
    let (mut list, mut calls) = (CachedListing::default(), 10);
    github.refresh_open_pulls("octo/demo", &mut list, &mut calls).await.unwrap();
    assert_eq!((numbers(&list), list.is_complete(), calls), (vec![5, 4, 3, 2, 1], true, 7));
    github.refresh_open_pulls("octo/demo", &mut list, &mut calls).await.unwrap();
    assert_eq!((numbers(&list), list.is_complete(), calls), (vec![5, 4, 3, 2, 1], true, 7));
    github.refresh_open_pulls("octo/demo", &mut list, &mut calls).await.unwrap();
    assert_eq!((numbers(&list), list.is_complete(), calls), (vec![5, 4, 3], true, 6));
    let requests = server.requests();
    assert_eq!(
        requests[0].line,
        "GET /repos/octo/demo/pulls?state=open&sort=updated&direction=desc&per_page=100"
    );
    assert_eq!(requests[0].headers.get("if-none-match"), None);
    let sent = |at: usize| requests[at].headers.get("if-none-match").unwrap().to_str().unwrap().to_owned();
    assert_eq!([3, 4, 5, 6, 7].map(sent), ["\"a\"", "\"b\"", "\"c\"", "\"a\"", "\"b\""]);
}

#[tokio::test]
async fn a_list_ends_where_the_calls_do_and_is_known_to_be_a_part() {
    let first = ok(&json!([pull(2)])).header("link", "</repos/octo/demo/pulls?page=2>; rel=\"next\"");
    let server = Server::new([first]).await;
    let (mut list, mut calls) = (CachedListing::default(), 1);
    github(&server).refresh_open_pulls("octo/demo", &mut list, &mut calls).await.unwrap();
    assert_eq!((numbers(&list), list.is_complete(), calls), (vec![2], false, 0));
    github(&server).refresh_open_pulls("octo/demo", &mut list, &mut calls).await.unwrap();
    assert_eq!(server.requests().len(), 1, "without a call left nothing is asked");
}

#[tokio::test]
async fn a_list_of_pull_requests_names_their_repository_by_id() {
    let server = Server::new([ok(&json!([pull(5)]))]).await;
    let mut list = CachedListing::default();
    github(&server).refresh_open_pulls("octo/demo", &mut list, &mut 9).await.unwrap();
    let expected = OpenPull {
        repository_id: "7".into(),
        repository_name: "octo/demo".into(),
        number: 5,
        url: "https://x/octo/demo/pull/5".into(),
        revision: PullRevision { head: Sha::parse(HEAD).unwrap(), base: Sha::parse(BASE).unwrap() },
        draft: false,
    };
    assert_eq!(list.items().collect::<Vec<_>>(), [&expected]);
}

#[tokio::test]
async fn each_kind_of_token_has_its_own_list_of_repositories() {
    let repositories = json!([
        {"id": 1, "full_name": "octo/one", "archived": true},
        {"id": 2, "full_name": "../two"},
        {"id": 3, "full_name": "octo/three"},
    ]);
    let installed = json!({"total_count": 3, "repositories": repositories});
    let seen =
        |id: &str, name: &str, archived| ForgeRepository { id: id.into(), name: name.into(), archived };
    let expected = [seen("1", "octo/one", true), seen("3", "octo/three", false)];
    let listed = async |replies: Vec<ScriptedHttpReply>| {
        let server = Server::new(replies).await;
        let mut list = RepositoryListing::default();
        github(&server).refresh_repositories(&mut list, &mut 9).await.unwrap();
        assert_eq!(list.items().cloned().collect::<Vec<_>>(), expected);
        lines(&server)
    };
    let me = ok(&json!({"id": 42, "login": "truing"}));
    assert_eq!(
        listed(vec![me, ok(&repositories)]).await,
        ["GET /user", "GET /user/repos?sort=pushed&per_page=100"]
    );
    // A token from GitHub Actions cannot read its own account.
    let forbidden =
        ScriptedHttpReply::new(403, json!({"message": "Resource not accessible by integration"}).to_string());
    let viewer = ok(&json!({"data": {"viewer": {"login": "github-actions[bot]"}}}));
    let bot = ok(&json!({"id": 41, "login": "github-actions[bot]"}));
    assert_eq!(
        listed(vec![forbidden, viewer, bot, ok(&installed)]).await,
        [
            "GET /user",
            "POST /graphql",
            "GET /users/github-actions[bot]",
            "GET /installation/repositories?per_page=100"
        ]
    );
}

fn comment(id: u64, page: &str) -> Value {
    json!({
        "id": id, "html_url": page, "body": "/review", "user": {"id": 4, "login": "ada", "type": "User"},
        "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:05Z",
    })
}

#[tokio::test]
async fn comments_are_those_on_pull_requests() {
    let mut ghost = comment(3, "https://x/octo/demo/pull/9#issuecomment-3");
    ghost["user"] = Value::Null;
    ghost["body"] = Value::Null;
    let list = json!([
        comment(1, "https://x/octo/demo/pull/7#issuecomment-1"),
        comment(2, "https://x/octo/demo/issues/8#issuecomment-2"),
        ghost,
    ]);
    let server = Server::new([ok(&list), ok(&json!([]))]).await;
    let mut found: [CachedListing<PullComment>; 2] = Default::default();
    let since = UnixMillis(1_795_162_200_999);
    github(&server).refresh_comments_since(("octo/demo", Some(7)), since, &mut found, &mut 9).await.unwrap();
    let found: Vec<_> = found.iter().flat_map(CachedListing::items).collect();
    let author = AuthorAccount { id: AccountId::new("4"), login: "ada".into(), is_person: true };
    assert_eq!(
        found[0],
        &PullComment {
            kind: CommentKind::Conversation,
            id: 1,
            first_comment: None,
            number: 7,
            url: "https://x/octo/demo/pull/7".into(),
            author: Some(author),
            body: "/review".into(),
            text_writer: TextWriter::Unknown,
            created: UnixMillis(1_795_168_800_000),
            updated: UnixMillis(1_795_168_805_000),
        }
    );
    assert_eq!((found.len(), found[1].number, &found[1].author), (2, 9, &None));
    let query = "sort=updated&direction=asc&since=2026-11-20T08%3A10%3A00Z&per_page=100";
    let lists = ["issues", "pulls"].map(|list| format!("GET /repos/octo/demo/{list}/comments?{query}"));
    assert_eq!(lines(&server), lists);
}

#[tokio::test]
async fn only_who_may_write_may_command_whatever_the_name() {
    let told = |permission: &str, id: u64| ok(&json!({"permission": permission, "user": {"id": id}}));
    for (reply, may) in [
        (told("admin", 4), true),
        (told("write", 4), true),
        (told("read", 4), false),
        (told("none", 4), false),
        (told("maintain", 4), false), // GitHub never returns this: it has `write` and the role
        (told("admin", 5), false),    // another account has the name now
        (ok(&json!({"permission": "admin", "user": null})), false),
        (ScriptedHttpReply::new(404, ""), false),
    ] {
        let shown = format!("{reply:?}");
        let server = Server::new([reply]).await;
        let author = AuthorAccount { id: AccountId::new("4"), login: "ada".into(), is_person: true };
        assert_eq!(github(&server).may_write("octo/demo", &author).await, Ok(may), "{shown}");
        assert_eq!(lines(&server), ["GET /repos/octo/demo/collaborators/ada/permission"]);
    }
    let server = Server::new([ScriptedHttpReply::new(403, "")]).await;
    let author = AuthorAccount { id: AccountId::new("4"), login: "a/../b".into(), is_person: true };
    assert!(github(&server).may_write("octo/demo", &author).await.is_err(), "no answer is no permission");
    assert_eq!(lines(&server), ["GET /repos/octo/demo/collaborators/a%2F..%2Fb/permission"]);
}

#[tokio::test]
async fn listed_account_commands_only_where_permissions_are_unreadable() {
    let told = |permission: &str| ok(&json!({"permission": permission, "user": {"id": 4}}));
    for (reply, id, may) in [
        (ScriptedHttpReply::new(403, "{}"), "4", true),
        (ScriptedHttpReply::new(403, "{}"), "5", false), // Ada's name was taken by another account.
        (ScriptedHttpReply::new(404, "{}"), "4", false),
        (told("read"), "4", false),
    ] {
        let shown = format!("{reply:?} {id}");
        let server = Server::new([reply]).await;
        let url = server.url("");
        let with = GitHubOptions {
            command_accounts: vec![AccountId::new("4")],
            ..options(url.as_str(), url.as_str())
        };
        let github = GitHub::with_timeouts(with, test_timeouts(), clock()).unwrap();
        let author = AuthorAccount { id: AccountId::new(id), login: "ada".into(), is_person: true };
        assert_eq!(github.may_write("octo/demo", &author).await, Ok(may), "{shown}");
    }
}

#[tokio::test]
async fn a_repository_is_found_by_its_id_when_its_name_leads_elsewhere() {
    let moved = ScriptedHttpReply::new(301, "").header("location", "/repositories/7");
    let server = Server::new([moved, ok(&json!({"id": 7, "full_name": "octo/new"}))]).await;
    let github = github(&server);
    assert!(matches!(github.repository("octo/old").await, Err(ForgeError::Moved { .. })));
    assert_eq!(github.repository_by_id("7").await.unwrap().name, "octo/new");
    assert_eq!(lines(&server), ["GET /repos/octo/old", "GET /repositories/7"]);
    assert!(github.repository("../user").await.is_err());
    assert_eq!(server.requests().len(), 2, "a name that is none is not asked for");
}

#[tokio::test]
async fn our_own_account_is_known_by_its_id() {
    let server = Server::new([ok(&json!({"id": 42, "login": "truing"}))]).await;
    let github = github(&server);
    let by = |id: &str| AuthorAccount { id: AccountId::new(id), login: "ada".into(), is_person: true };
    assert_eq!(github.is_own_account("octo/demo", &by("42")).await, Ok(true));
    assert_eq!(github.is_own_account("octo/demo", &by("43")).await, Ok(false));
}
