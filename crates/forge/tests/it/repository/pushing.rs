//! Tests of pushes of Truing's branches, which git sends to the forge.

use std::path::PathBuf;

use truing_core::commit::GitIdentity;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::{ForgeError, ForgeRead as _};
use truing_fakes::forge::{ForgeFaultKind, RepositoryAccess};
use truing_fakes::repo::CommitBuilder;
use truing_forge::ForgeServer as _;
use truing_forge::github::{AppKey, GitHubCredentials};
use truing_forge::remote::{RemoteError, RemotePurpose};
use truing_git::{
    Git, GitError, GitOptions, Mirror, NewCommit, PushOutcome, PushRefusal, Remote, UnpushedCommit,
};

use super::site::{BOT, RepositoryEffects, Site, github, open, permit};

const PACK: &str = "/{owner}/{repo}/git-receive-pack";

/// A mirror repository with commits that a test pushes to the fake forge.
pub(crate) struct Pusher {
    folder: tempfile::TempDir,
    mirror: Mirror,
    pub(crate) remote: Remote,
    base: Sha,
}

impl Pusher {
    pub(crate) async fn new(site: &Site) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::new(GitOptions { temp_folder: folder.path().to_owned(), ..GitOptions::default() })
            .await
            .unwrap();
        let remote = site.server.resolve_remote(&site.id, "acme/shop", RemotePurpose::Push).await.unwrap();
        let mirror = git.open_mirror(&folder.path().join("mirror"), &remote).await.unwrap();
        let base = Sha::parse(&site.shop.tip("main").await.unwrap()).unwrap();
        mirror.fetch(std::slice::from_ref(&base)).await.unwrap();
        Self { folder, mirror, remote, base }
    }

    fn clone(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn commit(&self, name: &str) -> UnpushedCommit {
        let clone = self.clone(name);
        std::fs::create_dir(&clone).unwrap();
        self.mirror.check_out_private_clone(&self.base, &[], &clone).await.unwrap();
        std::fs::write(clone.join("a.txt"), format!("{name}\n")).unwrap();
        let author =
            GitIdentity { name: "Truing".into(), email: format!("1+{BOT}@users.noreply.example.com") };
        let new = NewCommit {
            message: name.into(),
            author: author.clone(),
            committer: author,
            commit_time: UnixMillis(1_800_000_000_000),
        };
        self.mirror.stage_folder(&self.base, &clone, None).await.unwrap().commit(&new).await.unwrap()
    }
}

#[tokio::test]
async fn a_pushed_branch_is_a_pull_request_of_ours_and_moves_it() {
    let site = Site::new().await;
    let pusher = Pusher::new(&site).await;
    let (one, two) = (pusher.commit("one").await, pusher.commit("two").await);
    assert_eq!(
        one.push(&pusher.remote, "truing/x", None, &*permit().await).await.unwrap(),
        PushOutcome::Pushed
    );
    let pull = site.open("truing/x").await;
    assert_eq!(pull.head, *one.sha());
    let theirs = site.shop.push("truing/x", CommitBuilder::new("Theirs").write("t", "1")).await.unwrap();
    let theirs = Sha::parse(&theirs).unwrap();
    let moved = two.push(&pusher.remote, "truing/x", Some(one.sha()), &*permit().await).await.unwrap();
    assert_eq!(moved, PushOutcome::BranchMoved { current_commit: Some(theirs.clone()) });
    assert_eq!(pusher.mirror.branch_tip("truing/x").await.unwrap(), Some(theirs.clone()));
    assert_eq!(
        two.push(&pusher.remote, "truing/x", Some(&theirs), &*permit().await).await.unwrap(),
        PushOutcome::Pushed
    );
    assert_eq!(site.hub.pulls_from_branch("truing/x").await.unwrap()[0].head, *two.sha());
    let activity = site.hub.activity(pull.number).await.unwrap();
    assert!(
        activity
            .commits
            .iter()
            .all(|commit| commit.author.as_ref().is_some_and(|author| author.is_own_account))
    );
}

#[tokio::test]
async fn what_the_forge_refuses_is_told_with_its_reason() {
    let site = Site::new().await;
    let pusher = Pusher::new(&site).await;
    let made = pusher.commit("one").await;
    site.shop.protect("release").await.unwrap();
    // The client rejects a push to the default branch without sending it.
    for (branch, words) in [("release", "GH006"), ("main", "default branch")] {
        let expected = (branch == "main").then_some(&pusher.base);
        let refused = made.push(&pusher.remote, branch, expected, &*permit().await).await.unwrap();
        let PushOutcome::RemoteRefused { reason: PushRefusal::ProtectedBranch, message } = &refused else {
            panic!("{refused:?}")
        };
        assert!(message.contains(words), "{message}");
    }
    site.shop.set_access(RepositoryAccess::Archived).await.unwrap();
    let refused = made.push(&pusher.remote, "x", None, &*permit().await).await.unwrap();
    assert!(
        matches!(&refused, PushOutcome::RemoteRefused { reason: PushRefusal::MissingPermission, .. }),
        "{refused:?}"
    );
    site.shop.set_access(RepositoryAccess::Unrestricted).await.unwrap();
    site.forge.revoke_token(super::site::TOKEN);
    let error = made.push(&pusher.remote, "x", None, &*permit().await).await.unwrap_err();
    assert!(
        matches!(error, GitError::Unauthorized { .. }) && !error.to_string().contains("canary"),
        "{error}"
    );
}

#[tokio::test]
async fn a_push_without_an_answer_is_found_by_asking() {
    let site = Site::new().await;
    let pusher = Pusher::new(&site).await;
    let made = pusher.commit("one").await;
    // The first fault prevents the push; with the second fault, the response is lost after the push.
    for (branch, kind) in [("a", ForgeFaultKind::Status(502, None)), ("b", ForgeFaultKind::LostResponse)] {
        site.fault("POST", PACK, kind);
        let first = made.push(&pusher.remote, branch, None, &*permit().await).await;
        assert!(site.forge.has_no_faults());
        let tip = pusher.mirror.branch_tip(branch).await.unwrap();
        assert_eq!(tip.is_some(), branch == "b", "{first:?}");
        // A second push succeeds in both cases, although the client does not know whether the first push
        // succeeded.
        assert_eq!(
            made.push(&pusher.remote, branch, None, &*permit().await).await.unwrap(),
            PushOutcome::Pushed,
            "{branch}"
        );
    }
}

#[tokio::test]
async fn of_two_at_once_one_is_done() {
    let site = Site::new().await;
    let pusher = Pusher::new(&site).await;
    let (one, two) = (pusher.commit("one").await, pusher.commit("two").await);
    let permit = permit().await;
    let (first, second) = tokio::join!(
        one.push(&pusher.remote, "x", None, &permit),
        two.push(&pusher.remote, "x", None, &permit)
    );
    let results = [first.unwrap(), second.unwrap()];
    let there = Sha::parse(&site.shop.tip("x").await.unwrap()).unwrap();
    assert_eq!(results.iter().filter(|result| **result == PushOutcome::Pushed).count(), 1, "{results:?}");
    assert!(results.contains(&PushOutcome::BranchMoved { current_commit: Some(there) }), "{results:?}");
}

#[tokio::test]
async fn an_apps_token_pushes_and_does_nothing_else() {
    let site = Site::new().await;
    let app = site.forge.register_app("pusher").unwrap();
    let installation = site.forge.install(&app, "acme");
    let key = AppKey::from_pem(&app.private_key).unwrap();
    let as_app = github(&site.forge, GitHubCredentials::App { id: app.id, key });
    let hub = RepositoryEffects::new(&as_app, &site.id, &open());
    let push = async || hub.repository().await.unwrap().write_access.can_push;

    // The installation has only the permissions that reviews require.
    assert_eq!(push().await, Some(false));
    let error = as_app.resolve_remote(&site.id, "acme/shop", RemotePurpose::Push).await.unwrap_err();
    assert!(
        matches!(&error, RemoteError::Forge(ForgeError::Forbidden { message, .. }) if message.contains("contents: write"))
    );
    site.forge.grant(installation, "contents", "write");
    assert_eq!(push().await, Some(true));

    let mut pusher = Pusher::new(&site).await;
    pusher.remote = as_app.resolve_remote(&site.id, "acme/shop", RemotePurpose::Push).await.unwrap();
    let made = pusher.commit("one").await;
    assert_eq!(made.push(&pusher.remote, "x", None, &*permit().await).await.unwrap(), PushOutcome::Pushed);
    let pull = hub.open_pull(&super::site::draft("x")).await.unwrap();
    assert!(pull.has_own_author() && pull.topic.is_some());
    hub.close_pull(pull.number).await.unwrap();
}
