//! Tests of real git against both Bitbuckets.

use std::path::Path;

use super::super::git::{git, good};
use super::*;

/// Returns the URL with a user name and a token in it.
fn with_login(url: &str, user: &str) -> String {
    url.replace("http://", &format!("http://{user}:{TOKEN}@"))
}

async fn commit(clone: &Path) -> String {
    std::fs::write(clone.join("ours.txt"), "ours").unwrap();
    good(clone, &["add", "ours.txt"]).await;
    let who = ["-c", "user.name=truing", "-c", "user.email=truing@example.invalid"];
    good(clone, &[&who[..], &["commit", "-q", "-m", "Ours"]].concat()).await;
    good(clone, &["rev-parse", "HEAD"]).await
}

#[tokio::test]
async fn cloud_takes_the_users_that_tokens_have_and_shows_no_refs_of_pull_requests() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let dir = tempfile::tempdir().unwrap();
    let url = site.shop.clone_url();
    for (user, works) in
        [("x-token-auth", true), ("x-bitbucket-api-token-auth", true), ("truing", false), ("x", false)]
    {
        let refs = git(dir.path(), &["ls-remote", &with_login(url, user)]).await;
        assert_eq!(refs.status.success(), works, "{user}");
        assert!(!String::from_utf8_lossy(&refs.stdout).contains("refs/pull"));
    }
    assert!(!git(dir.path(), &["ls-remote", url]).await.status.success(), "without a login");
    let head = site.shop.tip("feature").await.unwrap();
    good(dir.path(), &["clone", "-q", &with_login(url, "x-token-auth"), "shop"]).await;
    good(&dir.path().join("shop"), &["fetch", "-q", "origin", &head]).await;
}

#[tokio::test]
async fn what_was_pushed_to_a_fork_of_cloud_is_at_its_address_alone_until_a_branch_has_it() {
    let site = Site::new(ForgeFlavour::Cloud).await;
    let commit = site.shop.push("someone:fix", CommitBuilder::new("Fix").write("f", "1")).await.unwrap();
    site.shop.open_pull(NewPull::from_branch("someone:fix")).await.unwrap();
    let url = with_login(site.shop.clone_url(), "x-token-auth");
    let (fork, other) = (url.replace("/acme/", "/someone/"), url.replace("/acme/", "/else/"));
    site.shop.push("else:fix", CommitBuilder::new("Other").write("g", "1")).await.unwrap();
    for version in ["0", "1", "2"] {
        let dir = tempfile::tempdir().unwrap();
        let protocol = format!("protocol.version={version}");
        good(dir.path(), &["-c", &protocol, "clone", "-q", &url, "shop"]).await;
        let clone = dir.path().join("shop");
        for elsewhere in [&url, &other] {
            let refused = git(&clone, &["-c", &protocol, "fetch", "-q", elsewhere, &commit]).await;
            let said = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(!refused.status.success() && said.contains("not our ref"), "{version}: {said}");
        }
        good(&clone, &["-c", &protocol, "fetch", "-q", &fork, &commit]).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let refs = good(dir.path(), &["ls-remote", &fork]).await;
    assert!(refs.contains(&format!("{commit}\trefs/forks/someone/fix")) && !refs.contains("else"), "{refs}");
    site.shop.reset_branch("feature", &commit).await.unwrap();
    good(dir.path(), &["clone", "-q", &url, "shop"]).await;
    good(&dir.path().join("shop"), &["cat-file", "-e", &commit]).await;

    site.shop.hide_fork("else").await.unwrap();
    site.shop.delete_fork("someone").await.unwrap();
    for gone in [&fork, &other] {
        let refused = git(dir.path(), &["ls-remote", gone]).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("not found"), "{said}");
    }
}

#[tokio::test]
async fn data_center_takes_bearer_and_has_a_ref_for_each_pull_request() {
    let site = Site::new(ForgeFlavour::DataCenter).await;
    let dir = tempfile::tempdir().unwrap();
    let bearer = format!("http.extraHeader=Authorization: Bearer {TOKEN}");
    let url = site.shop.clone_url();
    assert!(url.ends_with("/scm/acme/shop.git"), "{url}");
    let refs = good(dir.path(), &["-c", &bearer, "ls-remote", url]).await;
    let head = site.shop.tip("feature").await.unwrap();
    assert!(refs.contains(&format!("{head}\trefs/pull-requests/1/from")), "{refs}");
    assert!(git(dir.path(), &["ls-remote", &with_login(url, REVIEWER)]).await.status.success());
    assert!(!git(dir.path(), &["ls-remote", &with_login(url, "x-token-auth")]).await.status.success());
}

#[tokio::test]
async fn a_push_moves_the_pull_request_and_protected_branches_refuse_it() {
    for site in Site::both().await {
        site.shop.protect("release").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let user = if site.is_cloud() { "x-token-auth" } else { REVIEWER };
        let url = with_login(site.shop.clone_url(), user);
        good(dir.path(), &["clone", "-q", "-b", "feature", &url, "shop"]).await;
        let clone = dir.path().join("shop");
        let ours = commit(&clone).await;
        good(&clone, &["push", "-q", "origin", "HEAD:refs/heads/feature"]).await;
        assert_eq!(site.shop.pull(1).await.unwrap().head, ours);
        let told: Vec<_> = site.forge.take_deliveries().into_iter().map(|delivery| delivery.event).collect();
        assert_eq!(told, [if site.is_cloud() { "pullrequest:push" } else { "pr:from_ref_updated" }]);
        let refused = git(&clone, &["push", "origin", "HEAD:refs/heads/release"]).await;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("pre-receive hook declined") && !said.contains("GH006"), "{said}");
        assert_eq!(site.forge.violations(), [""; 0]);
        site.shop.set_role(REVIEWER, "read").await.unwrap();
        assert!(!git(&clone, &["push", "-q", "origin", "HEAD:refs/heads/other"]).await.status.success());
        assert_eq!(site.forge.violations().len(), 1);
    }
}
