//! Tests of calls at both kinds of Bitbucket that are not about a single pull request: repositories, open
//! pull requests, comments and permissions.

use truing_core::effect::Effect;
use truing_core::id::{AccountId, PrId, UnixMillis};
use truing_core::port::{AuthorAccount, CommentKind, ForgeError, ForgeRead as _, PullComment, TextWriter};
use truing_core::publish::{CommentProducer, CommentRights};
use truing_fakes::forge::{FakeDiffSide, ForgeFlavour, NewPull};
use truing_fakes::repo::CommitBuilder;
use truing_forge::listing::{CachedListing, RepositoryListing};
use truing_forge::{AnyForgeServer, ForgeServer as _};

use super::reading::{finding, make, tip};
use crate::repository::site::{BOT, Calls as _, Site, with_access_token};

fn author(site: &Site, login: &str) -> AuthorAccount {
    AuthorAccount { id: AccountId::new(site.forge.account_id(login)), login: login.into(), is_person: true }
}

#[tokio::test]
async fn repositories_are_found_by_name_and_by_id_and_listed() {
    for (site, ..) in Site::bitbuckets().await {
        let other = CommitBuilder::new("First").write("a.txt", "1\n");
        site.forge.create_repository("acme", "other", other).await.unwrap();
        let seen = site.server.repository("acme/shop").await.unwrap();
        assert_eq!(
            (seen.id.as_str(), seen.name.as_str(), seen.archived),
            (site.id.as_str(), "acme/shop", false)
        );
        assert_eq!(site.server.repository_by_id(&site.id).await.unwrap(), seen);
        let mut listed = RepositoryListing::default();
        let mut calls = 10;
        site.server.refresh_repositories(&mut listed, &mut calls).await.unwrap();
        // The list contains only repositories to which Truing may write.
        let names: Vec<_> = listed.items().map(|seen| seen.name.clone()).collect();
        assert_eq!(names, ["acme/shop"]);
        assert_eq!(10 - calls, if site.is_cloud() { 2 } else { 1 });
        let missing = site.server.repository("acme/none").await;
        assert!(matches!(missing, Err(ForgeError::NotFound { .. })), "{missing:?}");
        // After a rename, the repository is still found by its id.
        site.shop.rename("acme", "store").await.unwrap();
        assert_eq!(site.server.repository_by_id(&site.id).await.unwrap().name, "acme/store");
        let old = site.server.repository("acme/shop").await;
        assert!(matches!(old, Err(ForgeError::NotFound { .. } | ForgeError::Moved { .. })), "{old:?}");
    }
}

#[tokio::test]
async fn open_pull_requests_are_listed_page_by_page_with_drafts() {
    for (site, number, _) in Site::bitbuckets().await {
        for at in 0..55 {
            let branch = format!("b{at}");
            site.shop.push(&branch, CommitBuilder::new("x").write("x", branch.as_str())).await.unwrap();
            let new = NewPull { draft: at == 0, ..NewPull::from_branch(&branch) };
            site.shop.open_pull(new).await.unwrap();
        }
        let (mut listed, mut calls) = (CachedListing::default(), 100);
        let before = site.forge.request_log().len();
        site.server.refresh_open_pulls("acme/shop", &mut listed, &mut calls).await.unwrap();
        assert!(listed.is_complete());
        let sent = u64::try_from(site.forge.request_log().len() - before).unwrap();
        assert_eq!((listed.items().count(), 100 - calls), (56, sent));
        // The calls read two pages. At Cloud, the calls also read the full hash of each head.
        assert!(if site.is_cloud() { sent > 55 } else { sent == 2 }, "{sent}");
        let first = listed.items().find(|pull| pull.number == number).unwrap();
        assert_eq!(
            (first.revision.head.clone(), first.repository_id.clone()),
            (tip(&site).await, site.id.clone())
        );
        assert_eq!(listed.items().filter(|pull| pull.draft).count(), 1);
        // With one call left, the client reads only the first page.
        let (mut part, mut one) = (CachedListing::default(), 1);
        site.server.refresh_open_pulls("acme/shop", &mut part, &mut one).await.unwrap();
        assert_eq!((part.items().count(), part.is_complete(), one), (50, false, 0));
        let (lines, is_all) = site.server.list_open_pulls("acme/shop", 10).await.unwrap();
        assert_eq!((lines.len(), is_all), (10, false));
        let of = site.server.open_pulls_from_branch("acme/shop", "feature").await.unwrap();
        assert_eq!(of.iter().map(|pull| pull.number).collect::<Vec<_>>(), [number]);
        // No pull request is open from a branch with this name.
        assert_eq!(site.server.open_pulls_from_branch("acme/shop", "none").await.unwrap(), []);
    }
}

#[tokio::test]
async fn new_comments_are_found_by_kind_and_each_by_its_number() {
    for (site, number, _) in Site::bitbuckets().await {
        let said = site.shop.comment(number, "ann", "@truing review").await.unwrap();
        let line =
            site.shop.comment_on_line(number, "ann", "a.txt", (FakeDiffSide::Right, 2), "Hm.").await.unwrap();
        let answer = site.shop.reply(number, "ann", line, "Yes.").await.unwrap();
        let (talk, diff) = (CommentKind::Conversation, CommentKind::Diff);
        // Reads the comments of all pull requests, or of one pull request.
        for (of, sent) in [(None, 2), (Some(number), 1)] {
            let (mut lists, mut calls): ([CachedListing<PullComment>; 2], _) = (Default::default(), 10);
            let of = ("acme/shop", of);
            site.server.refresh_comments_since(of, UnixMillis(0), &mut lists, &mut calls).await.unwrap();
            assert_eq!((lists.iter().all(CachedListing::is_complete), 10 - calls), (true, sent), "{of:?}");
            let comments = lists.iter().flat_map(CachedListing::items);
            let seen: Vec<_> =
                comments.map(|comment| (comment.id, comment.kind, comment.first_comment.is_some())).collect();
            assert_eq!(seen, [(said, talk, false), (line, diff, false), (answer, diff, true)]);
            // No comment is newer than the year 2100.
            let late = UnixMillis(4_102_444_800_000);
            site.server.refresh_comments_since(of, late, &mut lists, &mut calls).await.unwrap();
            assert_eq!(lists.iter().flat_map(CachedListing::items).count(), 0);
        }
        let id = PrId { forge: "github".into(), repository: site.id.clone(), number };
        let one =
            site.server.comment(&id, "acme/shop", CommentKind::Conversation, said).await.unwrap().unwrap();
        assert_eq!((one.body.as_str(), one.number), ("@truing review", number));
        assert_eq!(one.author, Some(author(&site, "ann")));
        site.shop.set_role("eve", "admin").await.unwrap();
        site.shop.edit_comment_as(number, said, "eve", "/converge").await.unwrap_err();
        site.shop.edit_comment_as(number, said, "ann", "/review").await.unwrap();
        let edited = site.server.comment(&id, "acme/shop", CommentKind::Conversation, said).await.unwrap();
        let edited = edited.map(|comment| (comment.body, comment.text_writer));
        assert_eq!(edited, Some(("/review".to_owned(), TextWriter::Author)));
        site.shop.delete_comment(number, said).await.unwrap();
        let gone = site.server.comment(&id, "acme/shop", CommentKind::Conversation, said).await;
        assert!(matches!(gone, Err(ForgeError::NotFound { .. })), "{gone:?}");
    }
}

#[tokio::test]
async fn who_may_write_is_asked_as_each_forge_tells_it() {
    for (site, ..) in Site::bitbuckets().await {
        site.shop.set_role("ann", "write").await.unwrap();
        // This account may only read. Its login is a prefix of the login of an account that may write.
        site.shop.set_role("an", "read").await.unwrap();
        let may =
            async |login: &str| site.server.may_write("acme/shop", &author(&site, login)).await.unwrap();
        // At Cloud, only administrators can read permissions.
        assert_eq!(may("ann").await, !site.is_cloud());
        site.shop.set_role(BOT, "admin").await.unwrap();
        assert!(may("ann").await && !may("an").await);
        site.shop.set_role("ann", "read").await.unwrap();
        assert!(!may("ann").await);
        assert!(site.server.is_own_account("acme/shop", &author(&site, BOT)).await.unwrap());
        assert!(!site.server.is_own_account("acme/shop", &author(&site, "ann")).await.unwrap());
        assert!(site.server.quota().is_none() && site.server.app_id_for_checks().is_none());
    }
}

#[tokio::test]
async fn a_protected_branch_is_told_to_administrators() {
    for (site, ..) in Site::bitbuckets().await {
        let hidden = site.server.branch_protection("acme/shop", "main").await;
        assert!(matches!(hidden, Err(ForgeError::Forbidden { .. })), "{hidden:?}");
        site.shop.set_role(BOT, "admin").await.unwrap();
        assert!(site.server.branch_protection("acme/shop", "main").await.unwrap().is_protected);
        assert!(!site.server.branch_protection("acme/shop", "feature").await.unwrap().is_protected);
    }
}

#[tokio::test]
async fn an_access_token_of_cloud_is_told_who_it_is_and_where_its_repositories_are() {
    let site = Site::of(ForgeFlavour::Cloud).await;
    site.shop.push("feature", CommitBuilder::new("Change").write("a.txt", "one\ntwo\n")).await.unwrap();
    let number = site.shop.open_pull(NewPull::from_branch("feature")).await.unwrap();
    let id = PrId { forge: "bitbucket".into(), repository: site.id.clone(), number };
    let open_of = |server: &AnyForgeServer| server.client(&id, "acme/shop", CommentProducer::Review);

    // An access token may read neither its account nor its workspaces. The account and the workspaces must be
    // configured. If they are missing, the errors name the configuration keys.
    let unknown = with_access_token(&site.forge, None, &[]);
    let refused = open_of(&unknown).producer_comments(&[]).await.unwrap_err().to_string();
    assert!(refused.contains("set forge.bitbucket.account to its UUID"), "{refused}");
    let refused = unknown
        .refresh_repositories(&mut RepositoryListing::default(), &mut 10)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("set forge.bitbucket.repositories to `WORKSPACE/*`"), "{refused}");

    let account = site.forge.account_id(BOT);
    let told = with_access_token(&site.forge, Some(account.to_uppercase()), &["acme"]);
    let mut listed = RepositoryListing::default();
    told.refresh_repositories(&mut listed, &mut 10).await.unwrap();
    assert_eq!(listed.items().map(|seen| seen.name.as_str()).collect::<Vec<_>>(), ["acme/shop"]);
    let client = open_of(&told);
    let head = client.pull_request().await.unwrap().revision.head;
    make(&client, Effect::Findings { commit: head.clone(), comments: vec![finding("a", 2)] }).await;
    let ours = client.producer_comments(&[]).await.unwrap();
    assert_eq!((ours.len(), ours[0].rights), (1, CommentRights::CurrentAccount));
    // If the configured account is not the token's account, a comment by the token's account does not count
    // as Truing's comment, even with Truing's marker.
    let other = with_access_token(&site.forge, Some(site.forge.account_id("ada")), &["acme"]);
    assert_eq!(open_of(&other).producer_comments(&[]).await.unwrap(), []);
    // If the token belongs to another account than configured, the author of the first comment reveals the
    // mismatch. The comment is deleted, and nothing more is written.
    let client = open_of(&other);
    let effect = |id: &str| Effect::Findings { commit: head.clone(), comments: vec![finding(id, 2)] };
    let refused = client.make(&effect("b")).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("account to {account}")), "{refused}");
    let shown = || async { site.shop.pull(number).await.unwrap() };
    assert_eq!(shown().await.inline_comments().filter(|comment| !comment.deleted).count(), 1);
    let before = site.forge.request_log().len();
    assert!(matches!(client.producer_comments(&[]).await, Err(ForgeError::Forbidden { .. })));
    assert_eq!(site.forge.request_log().len(), before);
    // The token may not read the permissions of accounts, so no account may give commands.
    assert_eq!(told.may_write("acme/shop", &author(&site, "ada")).await, Ok(false));
    let asked =
        |path: &str| site.forge.request_log().iter().filter(|call| call.path.starts_with(path)).count();
    assert_eq!(asked("/2.0/user"), 2, "each question was asked once, by the one that was told nothing");
}
