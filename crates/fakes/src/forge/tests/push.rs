//! Tests of real git pushes to the forge.

use std::path::Path;

use super::app::{self, login};
use super::git::{git, good, with_token};
use super::*;

/// Clones the repository and adds a commit on `main` that exists only in the clone.
async fn clone(stage: &Stage, dir: &Path) -> String {
    good(dir, &["clone", "-q", &with_token(stage.shop.clone_url()), "shop"]).await;
    commit(&dir.join("shop"), "ours").await
}

async fn commit(clone: &Path, content: &str) -> String {
    std::fs::write(clone.join("ours.txt"), content).unwrap();
    good(clone, &["add", "ours.txt"]).await;
    let who = ["-c", "user.name=T", "-c", "user.email=1+truing[bot]@users.noreply.example"];
    good(clone, &[&who[..], &["commit", "-q", "-m", content]].concat()).await;
    good(clone, &["rev-parse", "HEAD"]).await
}

#[tokio::test]
async fn who_may_write_pushes_branches_and_their_pull_requests_move() {
    let stage = Stage::new().await;
    stage.shop.set_role(BOT, "write").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let one = clone(&stage, dir.path()).await;
    let clone = dir.path().join("shop");
    for version in ["0", "1", "2"] {
        let protocol = format!("protocol.version={version}");
        let branch = format!("HEAD:refs/heads/ours-{version}");
        good(&clone, &["-c", &protocol, "push", "-q", "origin", &branch]).await;
        assert_eq!(stage.shop.tip(&format!("ours-{version}")).await.unwrap(), one);
    }
    let new = json!({"title": "Ours", "head": "acme:ours-2", "base": "main", "body": "b", "draft": true});
    let (status, made) = stage.ask("POST", PULLS, new).await;
    assert_eq!(
        (status, made["draft"].as_bool(), made["head"]["sha"].as_str()),
        (201, Some(true), Some(&*one))
    );
    stage.forge.take_deliveries();

    let two = commit(&clone, "again").await;
    good(&clone, &["push", "-q", "origin", "HEAD:refs/heads/ours-2"]).await;
    let number = made["number"].as_u64().unwrap();
    assert_eq!(stage.shop.pull(number).await.unwrap().head, two);
    let told: Vec<_> =
        stage.forge.take_deliveries().into_iter().map(|told| (told.pull_number, told.action)).collect();
    assert_eq!(told, [(number, "synchronize".to_owned())]);
    let ref_of_pull = good(&clone, &["ls-remote", "origin", &format!("refs/pull/{number}/head")]).await;
    assert!(ref_of_pull.starts_with(&two), "{ref_of_pull}");
    // Another person has pushed to the branch. A push that does not contain this person's commit is rejected.
    let theirs = stage
        .shop
        .push("ours-2", CommitBuilder::new("Theirs").write("t", "1").with_author("ann"))
        .await
        .unwrap();
    commit(&clone, "late").await;
    assert!(!git(&clone, &["push", "-q", "origin", "HEAD:refs/heads/ours-2"]).await.status.success());
    assert_eq!(stage.shop.tip("ours-2").await.unwrap(), theirs);

    let commits = stage.get(&format!("{PULLS}/{number}/commits")).await;
    let by: Vec<_> =
        commits.as_array().unwrap().iter().map(|commit| commit["author"]["login"].as_str()).collect();
    assert_eq!(by, [Some(BOT), Some(BOT), Some("ann")]);
    assert_eq!(stage.forge.violations(), [""; 0]);
}

#[tokio::test]
async fn the_default_branch_and_protected_ones_are_refused_in_githubs_words() {
    let stage = Stage::new().await;
    stage.shop.set_role(BOT, "admin").await.unwrap();
    stage.shop.protect("release").await.unwrap();
    let main = stage.shop.tip("main").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    clone(&stage, dir.path()).await;
    let clone = dir.path().join("shop");
    for (to, words, violations) in [
        ("HEAD:refs/heads/release", "protected branch hook declined", 0),
        ("HEAD:refs/heads/main", "protected branch hook declined", 1),
        ("HEAD:refs/tags/v1", "deny updating a hidden ref", 2),
        (":refs/heads/feature", "deletion prohibited", 3),
    ] {
        let pushed = git(&clone, &["push", "origin", to]).await;
        let said = String::from_utf8_lossy(&pushed.stderr).into_owned();
        assert!(!pushed.status.success() && said.contains(words), "{to}: {said}");
        assert!(!to.contains("release") || said.contains("remote: error: GH006"), "{said}");
        assert_eq!(stage.forge.violations().len(), violations, "{to}");
    }
    assert_eq!(stage.shop.tip("main").await.unwrap(), main);
    assert!(stage.shop.tip("release").await.is_err() && stage.shop.tip("feature").await.is_ok());
}

#[tokio::test]
async fn an_installation_needs_contents_write_and_an_archive_takes_nothing() {
    let stage = Stage::new().await;
    let app = stage.forge.register_app("pusher").unwrap();
    let installation = stage.forge.install(&app, "acme");
    let dir = tempfile::tempdir().unwrap();
    clone(&stage, dir.path()).await;
    let clone = dir.path().join("shop");
    stage.forge.grant(installation, "contents", "write");
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({"iss": app.id, "iat": now - 60, "exp": now + 300});
    for (level, pushed) in [("read", false), ("write", true)] {
        let path = format!("/app/installations/{installation}/access_tokens");
        let permissions = json!({"permissions": {"contents": level}});
        let (_, minted) =
            app::ask(&stage.forge, &login(&app, "RS256", &claims), "POST", &path, permissions).await;
        let token = minted["token"].as_str().unwrap();
        let url = stage.shop.clone_url().replace("http://", &format!("http://x-access-token:{token}@"));
        let done = git(&clone, &["push", "-q", &url, &format!("HEAD:refs/heads/{level}")]).await;
        assert_eq!(done.status.success(), pushed, "{level}");
    }
    assert_eq!(stage.forge.violations().len(), 1);
    stage.shop.set_role(BOT, "write").await.unwrap();
    stage.shop.set_access(crate::forge::RepositoryAccess::Archived).await.unwrap();
    let done = git(&clone, &["push", "-q", "origin", "HEAD:refs/heads/x"]).await;
    assert!(String::from_utf8_lossy(&done.stderr).contains("error: 403"));
    assert_eq!(stage.forge.violations().len(), 1);
}
