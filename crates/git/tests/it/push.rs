//! Tests that a push updates one branch, only from the expected commit, and never without a permit. Also
//! tests which processes and files can read the credentials.

use std::path::PathBuf;
use std::sync::Arc;

use truing_core::commit::GitIdentity;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::HaltReason;
use truing_git::{
    Git, GitError, Mirror, NewCommit, PushOutcome, PushRefusal, Remote, SecretString, UnpushedCommit,
};

use crate::process::{is_running, wait_until};
use crate::support::{LockableGate, Place, Repo, open_permit, permit_for};

/// A remote with `main`, and the mirror that pushes to it.
struct Setting {
    place: Place,
    repo: Repo,
    mirror: Mirror,
    remote: Remote,
    base: Sha,
    clone: PathBuf,
}

impl Setting {
    async fn new() -> Self {
        let place = Place::new();
        let git = place.git().await;
        Self::with(place, git).await
    }

    async fn with(place: Place, git: Git) -> Self {
        let work = place.create_repo("work");
        let root = place.path("remote.git");
        work.run(["clone", "--quiet", "--bare", ".", root.to_str().unwrap()]);
        let repo = Repo { root };
        let (remote, base) = (Remote::from_local_path(&repo.root).unwrap(), repo.sha("main"));
        let mirror = git.open_mirror(&place.path("m"), &remote).await.unwrap();
        mirror.fetch(std::slice::from_ref(&base)).await.unwrap();
        let clone = place.path("clone");
        std::fs::create_dir(&clone).unwrap();
        mirror.check_out_private_clone(&base, &[], &clone).await.unwrap();
        Self { place, repo, mirror, remote, base, clone }
    }

    /// Creates a commit on `main`.
    async fn create_commit(&self, content: &str) -> UnpushedCommit {
        std::fs::write(self.clone.join("a.txt"), content).unwrap();
        let who = GitIdentity { name: "T".into(), email: "t@example.com".into() };
        let new = NewCommit {
            message: content.into(),
            author: who.clone(),
            committer: who,
            commit_time: UnixMillis(1_700_000_000_000),
        };
        self.mirror.stage_folder(&self.base, &self.clone, None).await.unwrap().commit(&new).await.unwrap()
    }

    async fn push_commit(
        &self,
        commit: &UnpushedCommit,
        branch: &str,
        expected: Option<&Sha>,
    ) -> Result<PushOutcome, GitError> {
        commit.push(&self.remote, branch, expected, &open_permit().await).await
    }

    /// Installs a hook in the remote repository.
    fn install_hook(&self, name: &str, text: &str) {
        let hooks = self.repo.root.join("hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        std::fs::rename(self.place.write_script(name, text), hooks.join(name)).unwrap();
    }

    fn list_refs(&self) -> String {
        self.repo.run(["for-each-ref", "--format=%(refname) %(objectname)"])
    }
}

#[tokio::test]
async fn a_branch_is_made_replaced_and_left_alone_when_it_has_moved() {
    let it = Setting::new().await;
    let (one, two) = (it.create_commit("one").await, it.create_commit("two").await);
    assert_eq!(it.push_commit(&one, "truing/x", None).await.unwrap(), PushOutcome::pushed(one.sha()));
    assert_eq!(it.repo.sha("refs/heads/truing/x"), *one.sha());
    // The first push may have succeeded although its response was lost. A repeated push therefore succeeds if
    // the branch is already at the new commit.
    assert_eq!(it.push_commit(&one, "truing/x", None).await.unwrap(), PushOutcome::pushed(one.sha()));
    // The branch exists, but not at the expected commit.
    let moved = PushOutcome::BranchMoved { current_commit: Some(one.sha().clone()) };
    assert_eq!(it.push_commit(&two, "truing/x", None).await.unwrap(), moved);
    assert_eq!(it.push_commit(&two, "truing/x", Some(&it.base)).await.unwrap(), moved);
    assert_eq!(it.repo.sha("refs/heads/truing/x"), *one.sha());
    // The new commit is not a descendant of the old commit. The push replaces the old commit, because the
    // caller expects that commit.
    assert_eq!(
        it.push_commit(&two, "truing/x", Some(one.sha())).await.unwrap(),
        PushOutcome::pushed(two.sha())
    );
    assert_eq!(it.repo.sha("refs/heads/truing/x"), *two.sha());
    // Simulates another account that deletes the branch.
    it.repo.run(["update-ref", "-d", "refs/heads/truing/x"]);
    assert_eq!(
        it.push_commit(&one, "truing/x", Some(two.sha())).await.unwrap(),
        PushOutcome::BranchMoved { current_commit: None }
    );
    assert_eq!(it.list_refs(), format!("refs/heads/main {}", it.base));
}

#[tokio::test]
async fn the_default_branch_and_what_is_no_branch_are_never_pushed_to() {
    let it = Setting::new().await;
    let made = it.create_commit("one").await;
    for expected in [Some(&it.base), None] {
        let refused = it.push_commit(&made, "main", expected).await.unwrap();
        assert!(
            matches!(&refused, PushOutcome::RemoteRefused { reason: PushRefusal::ProtectedBranch, message } if message.contains("default"))
        );
    }
    for bad in ["refs/heads/main", "HEAD", "--mirror", "", "a:main", "a b", "refs/tags/v1"] {
        let error = it.push_commit(&made, bad, None).await.unwrap_err();
        assert!(matches!(&error, GitError::BadBranch(_)) && error.is_wrong_input(), "{bad}: {error}");
    }
    assert_eq!(it.list_refs(), format!("refs/heads/main {}", it.base));
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let it = Setting::new().await;
    let made = it.create_commit("one").await;
    for (words, why) in [
        ("error: GH006: Protected branch update failed for refs/heads/x.", PushRefusal::ProtectedBranch),
        (
            "refusing to allow a token to update a workflow without `workflow` scope",
            PushRefusal::MissingPermission,
        ),
        ("the fields are not in season", PushRefusal::HookOrUnknown),
    ] {
        it.install_hook("pre-receive", &format!("echo '{words}' >&2; exit 1"));
        let refused = it.push_commit(&made, "x", None).await.unwrap();
        let PushOutcome::RemoteRefused { reason: found, message } = refused else { panic!("{refused:?}") };
        assert_eq!(found, why, "{message}");
        assert!(message.contains(words) && message.contains("pre-receive hook declined"), "{message}");
    }
    assert_eq!(it.list_refs(), format!("refs/heads/main {}", it.base));
}

#[tokio::test]
async fn a_branch_that_moves_during_the_push_is_not_overwritten() {
    let it = Setting::new().await;
    let (one, two) = (it.create_commit("one").await, it.create_commit("two").await);
    assert_eq!(it.push_commit(&one, "x", None).await.unwrap(), PushOutcome::pushed(one.sha()));
    // The pre-receive hook moves the branch after git has compared the branch with the expected commit, but
    // before git locks the ref.
    it.install_hook(
        "pre-receive",
        &format!("unset GIT_QUARANTINE_PATH; git update-ref refs/heads/x {}", it.base),
    );
    let moved = it.push_commit(&two, "x", Some(one.sha())).await.unwrap();
    assert_eq!(moved, PushOutcome::BranchMoved { current_commit: Some(it.base.clone()) });
    assert_eq!(it.repo.sha("refs/heads/x"), it.base);
}

#[tokio::test]
async fn a_branch_that_moves_between_our_look_and_the_push_is_not_overwritten() {
    let place = Place::new();
    let remote = place.path("remote.git");
    let text = format!(
        "if [ \"$1\" = push ] && [ -e {0}.theirs ]; then\n\
         env -i PATH=\"$PATH\" git -C {0} update-ref refs/heads/x \"$(cat {0}.theirs)\"\nfi\nexec git \"$@\"",
        remote.display()
    );
    let program = place.write_script("slow-git", &text);
    let git = Git::new(truing_git::GitOptions { program, ..place.options() }).await.unwrap();
    let it = Setting::with(place, git).await;
    let (one, two) = (it.create_commit("one").await, it.create_commit("two").await);
    assert_eq!(it.push_commit(&one, "x", None).await.unwrap(), PushOutcome::pushed(one.sha()));
    std::fs::write(it.place.path("remote.git.theirs"), it.base.as_str()).unwrap();
    let moved = it.push_commit(&two, "x", Some(one.sha())).await.unwrap();
    assert_eq!(moved, PushOutcome::BranchMoved { current_commit: Some(it.base.clone()) });
    assert_eq!(it.repo.sha("refs/heads/x"), it.base);
}

#[tokio::test]
async fn of_two_at_once_one_is_done() {
    let it = Setting::new().await;
    let (one, two) = (it.create_commit("one").await, it.create_commit("two").await);
    let (first, second) = tokio::join!(it.push_commit(&one, "x", None), it.push_commit(&two, "x", None));
    let (first, second) = (first.unwrap(), second.unwrap());
    let done =
        [&first, &second].iter().filter(|outcome| matches!(outcome, PushOutcome::Pushed { .. })).count();
    assert_eq!(done, 1, "{first:?} {second:?}");
    let there = if matches!(first, PushOutcome::Pushed { .. }) { one.sha() } else { two.sha() };
    assert_eq!(it.repo.sha("refs/heads/x"), *there);
    let other = if matches!(first, PushOutcome::Pushed { .. }) { second } else { first };
    assert_eq!(other, PushOutcome::BranchMoved { current_commit: Some(there.clone()) });
}

#[tokio::test]
async fn a_hook_that_hangs_ends_with_the_push() {
    let it = Setting::new().await;
    let made = it.create_commit("one").await;
    let pid = it.place.path("pid");
    it.install_hook(
        "pre-receive",
        &format!("echo $$ > {0}.part; mv {0}.part {0}; exec sleep 1000", pid.display()),
    );
    let too_late = async {
        wait_until("the hook has begun", || pid.exists()).await;
        tokio::time::pause();
        tokio::time::advance(truing_git::options::NETWORK_TIMEOUT).await;
    };
    let (pushed, ()) = tokio::join!(it.push_commit(&made, "x", None), too_late);
    tokio::time::resume();
    let error = pushed.unwrap_err();
    assert!(matches!(error, GitError::TimedOut { call: "push", .. }), "{error}");
    let pid = std::fs::read_to_string(&pid).unwrap();
    wait_until("the hook is gone", || !is_running(pid.trim())).await;
    assert_eq!(it.list_refs(), format!("refs/heads/main {}", it.base));
}

#[tokio::test]
async fn a_remote_that_is_gone_is_said_so() {
    let it = Setting::new().await;
    let made = it.create_commit("one").await;
    std::fs::remove_dir_all(&it.repo.root).unwrap();
    let error = it.push_commit(&made, "x", None).await.unwrap_err();
    assert!(matches!(error, GitError::RemoteMissing { .. }), "{error}");
}

#[tokio::test]
async fn a_credential_is_in_a_private_file_and_nowhere_else() {
    let place = Place::new();
    let seen = place.path("seen");
    // The script records the arguments, the environment and the file mode, which other processes can see. It
    // also counts the lines of the configuration file that contain the secret.
    let text = format!(
        "case \"$1\" in push|ls-remote)\n\
         {{ echo \"argv: $*\"; env; stat -c 'mode: %a' \"$GIT_CONFIG_GLOBAL\"; }} >> {0}\n\
         grep -c canary \"$GIT_CONFIG_GLOBAL\" >> {0}.held;;\nesac\n\
         case \"$*\" in ls-remote*127.0.0.1*) exit 0;; esac\nexec git \"$@\"",
        seen.display()
    );
    let program = place.write_script("watched-git", &text);
    let git = Git::new(truing_git::GitOptions { program, ..place.options() }).await.unwrap();
    let it = Setting::with(place, git).await;
    let made = it.create_commit("one").await;
    // The fake git reports that the remote has no refs. The push then fails, because no server listens at the
    // remote's address.
    let secret = SecretString::new("Basic canary-123456");
    let remote = Remote::new("http://127.0.0.1:9/x.git", Some(secret)).unwrap();
    let error = made.push(&remote, "x", None, &open_permit().await).await.unwrap_err();
    assert!(!format!("{error} {error:?} {made:?}").contains("canary"), "{error:?}");

    let seen_text = std::fs::read_to_string(&seen).unwrap();
    for call in ["argv: ls-remote", "argv: push", "mode: 600"] {
        assert!(seen_text.contains(call), "{call}: {seen_text}");
    }
    assert!(!seen_text.contains("canary"), "{seen_text}");
    assert!(std::fs::read_to_string(it.place.path("seen.held")).unwrap().starts_with("1\n1\n"));
    // After the push, no file in the private folder contains the secret.
    let mut folders = vec![it.place.path("private")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = std::fs::read(&path).unwrap();
                assert!(!content.windows(6).any(|part| part == b"canary"), "{path:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_gate_that_is_shut_lets_nothing_be_pushed() {
    let it = Setting::new().await;
    let one = it.create_commit("1\n").await;
    let door = Arc::<LockableGate>::default();
    let permit = permit_for(&door).await;
    door.shut();
    let refused = one.push(&it.remote, "truing/x", None, &permit).await.unwrap();
    assert_eq!(refused, PushOutcome::Halted(HaltReason::KillSwitch));
    assert_eq!(it.mirror.branch_tip("truing/x").await.unwrap(), None);
    // If the branch is already at the commit, nothing is written, so the gate is not checked.
    assert_eq!(it.push_commit(&one, "truing/x", None).await.unwrap(), PushOutcome::pushed(one.sha()));
    assert_eq!(
        one.push(&it.remote, "truing/x", None, &permit).await.unwrap(),
        PushOutcome::pushed(one.sha())
    );
}
