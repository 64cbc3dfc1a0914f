//! Tests of real git against the forge.

use std::io::Write;
use std::path::Path;
use std::process::Output;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::forge::{ForgeFault, ForgeFaultKind};
use crate::repo::git_environment;

pub(super) async fn git(dir: &Path, args: &[&str]) -> Output {
    let mut command = tokio::process::Command::new("git");
    command.current_dir(dir).env_clear().envs(git_environment(dir)).args(args).output().await.unwrap()
}

pub(super) async fn good(dir: &Path, args: &[&str]) -> String {
    let output = git(dir, args).await;
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(super) fn with_token(url: &str) -> String {
    url.replace("http://", &format!("http://x-access-token:{TOKEN}@"))
}

#[tokio::test]
async fn a_clone_and_a_fetch_by_commit_id_work_in_every_protocol() {
    let stage = Stage::new().await;
    let url = with_token(stage.shop.clone_url());
    let main = stage.shop.tip("main").await.unwrap();
    let lost = stage.shop.tip("feature").await.unwrap();
    let fork = stage.shop.push("someone:fix", CommitBuilder::new("Fix").write("f", "1")).await.unwrap();
    let number = stage.shop.open_pull(NewPull::from_branch("someone:fix")).await.unwrap();
    stage.shop.force_push("feature", &main, CommitBuilder::new("Forced").write("z", "1")).await.unwrap();
    for version in ["0", "1", "2"] {
        let dir = tempfile::tempdir().unwrap();
        let protocol = format!("protocol.version={version}");
        good(dir.path(), &["-c", &protocol, "clone", "-q", &url, "shop"]).await;
        let clone = dir.path().join("shop");
        assert_eq!(good(&clone, &["rev-parse", "HEAD"]).await, main);
        // A client can fetch a head that a force push replaced, a commit of a fork, and the ref of a pull
        // request.
        for what in [lost.as_str(), fork.as_str(), &format!("refs/pull/{number}/head")] {
            good(&clone, &["-c", &protocol, "fetch", "-q", "--depth=1", &url, what]).await;
        }
        assert_eq!(good(&clone, &["rev-parse", "FETCH_HEAD"]).await, fork);
        let unknown = git(&clone, &["-c", &protocol, "fetch", "-q", &url, &"1".repeat(40)]).await;
        assert!(!unknown.status.success());
        let refs = good(&clone, &["-c", &protocol, "ls-remote", &url]).await;
        assert!(refs.contains("refs/pull/1/head") && !refs.contains("refs/forks"), "{refs}");
    }
    assert_eq!(stage.forge.violations(), [""; 0]);
}

#[tokio::test]
async fn git_needs_a_known_token_and_cannot_push() {
    let stage = Stage::new().await;
    let dir = tempfile::tempdir().unwrap();
    for url in [stage.shop.clone_url().to_owned(), with_token(stage.shop.clone_url()).replace(TOKEN, "wrong")]
    {
        assert!(!git(dir.path(), &["ls-remote", &url]).await.status.success(), "{url}");
    }
    let bearer = format!("http.extraHeader=Authorization: Bearer {TOKEN}");
    good(dir.path(), &["-c", &bearer, "clone", "-q", stage.shop.clone_url(), "shop"]).await;
    let clone = dir.path().join("shop");
    let push = git(&clone, &["-c", &bearer, "push", "origin", "HEAD:refs/heads/stolen"]).await;
    assert!(!push.status.success());
    assert_eq!(stage.forge.violations().len(), 1, "{:?}", stage.forge.violations());
    assert!(stage.shop.tip("stolen").await.is_err());

    let public =
        FakeForge::start(FakeForgeOptions { requires_git_token: false, ..FakeForgeOptions::default() })
            .await
            .unwrap();
    let repo =
        public.create_repository("acme", "open", CommitBuilder::new("x").write("x", "1")).await.unwrap();
    good(dir.path(), &["ls-remote", repo.clone_url()]).await;
}

#[tokio::test]
async fn requests_may_be_gzipped() {
    let stage = Stage::new().await;
    let command = b"0014command=ls-refs\n00010000";
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    zip.write_all(command).unwrap();
    for (coding, body) in [("identity", command.to_vec()), ("gzip", zip.finish().unwrap())] {
        let url = format!("{}/git-upload-pack", stage.shop.clone_url());
        let request = stage.client.post(url).bearer_auth(TOKEN).header("user-agent", "git/2");
        let request =
            request.header("git-protocol", "version=2").header("content-encoding", coding).body(body);
        let answer = request.send().await.unwrap().text().await.unwrap();
        assert!(answer.contains("refs/heads/main"), "{coding}: {answer}");
    }
}

#[tokio::test]
async fn faults_reach_git_too() {
    let stage = Stage::new().await;
    let url = with_token(stage.shop.clone_url());
    let dir = tempfile::tempdir().unwrap();
    // The fault is an error status instead of a dropped connection, because git retries a request if a reused
    // connection fails.
    stage.forge.add_fault(ForgeFault::on_call(
        "POST",
        "/{owner}/{repo}/git-upload-pack",
        ForgeFaultKind::Status(503, None),
    ));
    assert!(!git(dir.path(), &["clone", "-q", &url, "shop"]).await.status.success());
    good(dir.path(), &["clone", "-q", &url, "shop"]).await;
}

#[tokio::test]
async fn the_server_ends_when_it_is_dropped() {
    let stage = Stage::new().await;
    let url = format!("{}/user", stage.forge.base_url());
    stage.get("/user").await;
    let client = stage.client.clone();
    drop(stage);
    assert!(client.get(&url).send().await.is_err());
}
