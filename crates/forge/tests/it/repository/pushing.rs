//! Tests of pushes of Truing's branches, which git sends to the forge.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use truing_core::commit::GitIdentity;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::{ForgeError, ForgeRead as _};
use truing_fakes::forge::{ForgeFaultKind, RepositoryAccess};
use truing_fakes::repo::CommitBuilder;
use truing_forge::ForgeServer as _;
use truing_forge::github::{AppKey, GitHubCredentials};
use truing_forge::remote::{CommitOptions, RemoteError, RemotePurpose};
use truing_git::{
    Git, GitError, GitOptions, Mirror, NewCommit, PushOutcome, PushRefusal, Remote, SecretString,
    UnpushedCommit,
};

use super::site::{BOT, RepositoryEffects, Site, TOKEN, github, github_with_commits, open, permit};

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
        self.commit_with_mode(name, 0o644).await
    }

    async fn commit_with_mode(&self, name: &str, mode: u32) -> UnpushedCommit {
        let clone = self.clone(name);
        std::fs::create_dir(&clone).unwrap();
        self.mirror.check_out_private_clone(&self.base, &[], &clone).await.unwrap();
        std::fs::write(clone.join("a.txt"), format!("{name}\n")).unwrap();
        std::fs::set_permissions(clone.join("a.txt"), PermissionsExt::from_mode(mode)).unwrap();
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
        one.push(&pusher.remote, "truing/x", None, &permit().await).await.unwrap(),
        PushOutcome::pushed(one.sha())
    );
    let pull = site.open("truing/x").await;
    assert_eq!(pull.head, *one.sha());
    let theirs = site.shop.push("truing/x", CommitBuilder::new("Theirs").write("t", "1")).await.unwrap();
    let theirs = Sha::parse(&theirs).unwrap();
    let moved = two.push(&pusher.remote, "truing/x", Some(one.sha()), &permit().await).await.unwrap();
    assert_eq!(moved, PushOutcome::BranchMoved { current_commit: Some(theirs.clone()) });
    assert_eq!(pusher.mirror.branch_tip("truing/x").await.unwrap(), Some(theirs.clone()));
    assert_eq!(
        two.push(&pusher.remote, "truing/x", Some(&theirs), &permit().await).await.unwrap(),
        PushOutcome::pushed(two.sha())
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
        let refused = made.push(&pusher.remote, branch, expected, &permit().await).await.unwrap();
        let PushOutcome::RemoteRefused { reason: PushRefusal::ProtectedBranch, message } = &refused else {
            panic!("{refused:?}")
        };
        assert!(message.contains(words), "{message}");
    }
    site.shop.set_access(RepositoryAccess::Archived).await.unwrap();
    let refused = made.push(&pusher.remote, "x", None, &permit().await).await.unwrap();
    assert!(
        matches!(&refused, PushOutcome::RemoteRefused { reason: PushRefusal::MissingPermission, .. }),
        "{refused:?}"
    );
    site.shop.set_access(RepositoryAccess::Unrestricted).await.unwrap();
    site.forge.revoke_token(super::site::TOKEN);
    let error = made.push(&pusher.remote, "x", None, &permit().await).await.unwrap_err();
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
        let first = made.push(&pusher.remote, branch, None, &permit().await).await;
        assert!(site.forge.has_no_faults());
        let tip = pusher.mirror.branch_tip(branch).await.unwrap();
        assert_eq!(tip.is_some(), branch == "b", "{first:?}");
        // A second push succeeds in both cases, although the client does not know whether the first push
        // succeeded.
        assert_eq!(
            made.push(&pusher.remote, branch, None, &permit().await).await.unwrap(),
            PushOutcome::pushed(made.sha()),
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
    let pushed = results.iter().filter(|result| matches!(result, PushOutcome::Pushed { .. }));
    assert_eq!(pushed.count(), 1, "{results:?}");
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
    assert_eq!(
        made.push(&pusher.remote, "x", None, &permit().await).await.unwrap(),
        PushOutcome::pushed(made.sha())
    );
    let pull = hub.open_pull(&super::site::draft("x")).await.unwrap();
    assert!(pull.has_own_author() && pull.topic.is_some());
    hub.close_pull(pull.number).await.unwrap();
}

impl Pusher {
    /// Returns a pusher whose commits get to the forge in this way.
    async fn with_commits(site: &Site, commits: CommitOptions) -> Self {
        let credentials = GitHubCredentials::Token(SecretString::new(TOKEN));
        let server = github_with_commits(&site.forge, credentials, commits);
        let remote = server.resolve_remote(&site.id, "acme/shop", RemotePurpose::Push).await.unwrap();
        Self { remote, ..Self::new(site).await }
    }

    async fn by_api(site: &Site) -> Self {
        Self::with_commits(site, CommitOptions { uses_api: true, signing_key: None }).await
    }

    /// Pushes a commit to the branch `x`. Returns the commit that is then on the branch.
    async fn publish(&self, commit: &UnpushedCommit, expected: Option<&Sha>) -> Sha {
        let outcome = commit.push(&self.remote, "x", expected, &permit().await).await.unwrap();
        let PushOutcome::Pushed { commit, remark: None } = outcome else { panic!("{outcome:?}") };
        assert_eq!(self.mirror.branch_tip("x").await.unwrap().as_ref(), Some(&commit));
        commit
    }
}

/// Requires verified commits on the branches of these tests.
async fn require_signatures(site: &Site, branch: &str) {
    site.shop.add_rule(branch, "required_signatures").await.unwrap();
}

#[tokio::test]
async fn commits_that_the_api_creates_are_verified_and_a_repeated_push_finds_them() {
    let site = Site::new().await;
    let pusher = Pusher::by_api(&site).await;
    require_signatures(&site, "x").await;
    let one = pusher.commit("one").await;
    let two = pusher.commit("two").await;
    let first = pusher.publish(&one, None).await;
    assert_ne!(first, *one.sha());
    assert!(site.shop.is_verified(first.as_str()).await.unwrap());
    pusher.mirror.fetch(std::slice::from_ref(&first)).await.unwrap();
    let tree = pusher.mirror.tree_id(&first).await.unwrap();
    assert_eq!(Some(&tree), one.tree());
    let pull = site.open("x").await;
    assert_eq!(pusher.publish(&one, None).await, first);
    assert_eq!(pusher.publish(&one, Some(&pusher.base)).await, first);

    // The new commit is not a descendant of the first one. The pull request stays open meanwhile.
    let second = pusher.publish(&two, Some(&first)).await;
    assert!(site.shop.is_verified(second.as_str()).await.unwrap());
    assert_eq!(pusher.publish(&two, Some(&first)).await, second);
    let pulls = site.hub.pulls_from_branch("x").await.unwrap();
    assert!(pulls.len() == 1 && pulls[0].is_open() && pulls[0].number == pull.number, "{pulls:?}");
    assert_eq!(pulls[0].head, second);
    assert_eq!(site.shop.branches().await.unwrap(), ["main", "x"]);

    let moved = one.push(&pusher.remote, "x", Some(&first), &permit().await).await.unwrap();
    assert_eq!(moved, PushOutcome::BranchMoved { current_commit: Some(second) });
}

#[tokio::test]
async fn a_commit_of_the_api_whose_answer_is_lost_is_created_once() {
    let site = Site::new().await;
    let pusher = Pusher::by_api(&site).await;
    for fault in [ForgeFaultKind::LostResponse, ForgeFaultKind::Status(502, None)] {
        let name = format!("{fault:?}");
        let commit = pusher.commit(&name).await;
        let before = pusher.mirror.branch_tip("x").await.unwrap();
        site.fault("POST", "/graphql", fault);
        let _ = commit.push(&pusher.remote, "x", before.as_ref(), &permit().await).await;
        assert!(site.forge.has_no_faults());
        let created = pusher.publish(&commit, before.as_ref()).await;
        pusher.mirror.fetch(std::slice::from_ref(&created)).await.unwrap();
        let parent = pusher.mirror.merge_base(&created, &pusher.base).await.unwrap();
        assert_eq!(parent.as_ref(), Some(&pusher.base), "{name}");
        let tree = pusher.mirror.tree_id(&created).await.unwrap();
        assert_eq!(Some(&tree), commit.tree(), "{name}");
    }
    assert_eq!(site.shop.branches().await.unwrap(), ["main", "x"]);
}

#[tokio::test]
async fn what_the_api_cannot_create_is_pushed_and_said_and_its_refusals_have_their_reason() {
    let site = Site::new().await;
    let pusher = Pusher::by_api(&site).await;
    let executable = pusher.commit_with_mode("executable", 0o755).await;
    let outcome = executable.push(&pusher.remote, "y", None, &permit().await).await.unwrap();
    let PushOutcome::Pushed { commit, remark: Some(remark) } = outcome else { panic!("{outcome:?}") };
    assert_eq!(commit, *executable.sha());
    assert!(remark.contains("a.txt is executable"), "{remark}");
    assert!(!site.shop.is_verified(commit.as_str()).await.unwrap());

    require_signatures(&site, "z").await;
    let executable = pusher.commit_with_mode("another", 0o755).await;
    let refused = executable.push(&pusher.remote, "z", None, &permit().await).await.unwrap();
    let PushOutcome::RemoteRefused { reason: PushRefusal::ProtectedBranch, message } = &refused else {
        panic!("{refused:?}")
    };
    assert!(message.contains("verified signatures"), "{message}");
    assert_eq!(pusher.mirror.branch_tip("z").await.unwrap(), None);

    let plain = pusher.commit("plain").await;
    site.shop.reset_branch("x", pusher.base.as_str()).await.unwrap();
    site.shop.decline_next_push("the file is too large").await.unwrap();
    let refused = plain.push(&pusher.remote, "x", Some(&pusher.base), &permit().await).await.unwrap();
    let PushOutcome::RemoteRefused { reason: PushRefusal::HookOrUnknown, message } = &refused else {
        panic!("{refused:?}")
    };
    assert!(message.contains("the file is too large"), "{message}");
    assert_eq!(pusher.mirror.branch_tip("x").await.unwrap().as_ref(), Some(&pusher.base));
}

#[tokio::test]
async fn refused_commit_of_api_leaves_no_branch() {
    let site = Site::new().await;
    let pusher = Pusher::by_api(&site).await;
    let first = pusher.publish(&pusher.commit("one").await, None).await;
    let branches = site.shop.branches().await.unwrap();
    // The API refuses a commit on a new branch, and a commit that replaces another one.
    for (branch, expected_tip) in [("new", None), ("x", Some(&first))] {
        let commit = pusher.commit(&format!("refused on {branch}")).await;
        site.fault("POST", "/graphql", ForgeFaultKind::Status(403, None));
        let refused = commit.push(&pusher.remote, branch, expected_tip, &permit().await).await.unwrap();
        assert!(matches!(refused, PushOutcome::RemoteRefused { .. }), "{refused:?}");
        assert_eq!(site.shop.branches().await.unwrap(), branches, "{branch}");
    }
    assert_eq!(pusher.mirror.branch_tip("x").await.unwrap(), Some(first));
}

#[tokio::test]
async fn pushed_commits_are_signed_with_the_key_and_a_repeated_push_finds_them() {
    let keys = tempfile::tempdir().unwrap();
    let file = keys.path().join("key");
    let key_status =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&file).status();
    if !key_status.is_ok_and(|status| status.success()) {
        return;
    }
    let site = Site::new().await;
    require_signatures(&site, "x").await;
    let key = std::fs::read_to_string(&file).unwrap();
    let options = CommitOptions { uses_api: false, signing_key: Some(SecretString::new(&key)) };
    let pusher = Pusher::with_commits(&site, options).await;
    let commit = pusher.commit("one").await;
    let refused = commit.push(&pusher.remote, "x", None, &permit().await).await.unwrap();
    assert!(matches!(refused, PushOutcome::RemoteRefused { .. }), "{refused:?}");

    let public_key = std::fs::read_to_string(keys.path().join("key.pub")).unwrap();
    site.shop.register_signing_key(&public_key).await.unwrap();
    let signed = pusher.publish(&commit, None).await;
    assert!(signed != *commit.sha() && site.shop.is_verified(signed.as_str()).await.unwrap());
    assert_eq!(pusher.publish(&commit, None).await, signed);
    let debug_text = format!("{:?}", pusher.remote);
    assert!(!debug_text.contains("OPENSSH"), "{debug_text}");
}
