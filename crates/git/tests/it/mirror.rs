//! Tests of mirrors: they are created completely or not at all, fetch exact commits, and can be shared by
//! processes.

use std::path::Path;
use std::time::Duration;

use truing_core::id::Sha;
use truing_git::{Git, GitError, GitOptions, Remote, SecretString};

use crate::support::{Place, Repo, diff_text};

fn absent_sha() -> Sha {
    Sha::parse(&"12".repeat(20)).unwrap()
}

/// Creates an upstream repository with `main` and a branch, which both have a new commit after their common
/// commit.
fn create_upstream(place: &Place) -> (Repo, Sha, Sha, Sha) {
    let repo = place.create_repo("upstream");
    let left = repo.sha("HEAD");
    repo.run(["checkout", "--quiet", "-b", "feature"]);
    repo.write("a.txt", "one\n2\nthree\n");
    let head = repo.commit("on feature");
    repo.run(["checkout", "--quiet", "main"]);
    repo.write("c.txt", "c\n");
    let base = repo.commit("on main");
    (repo, left, head, base)
}

#[tokio::test]
async fn exact_commits_are_fetched_with_their_history() {
    let place = Place::new();
    let (repo, left, head, base) = create_upstream(&place);
    // Without the branch, no branch or tag contains the head, as after a forced push.
    repo.run(["branch", "-D", "--quiet", "feature"]);
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let mirror = place.git().await.open_mirror(&place.path("mirrors/m"), &remote).await.unwrap();
    mirror.fetch(&[head.clone(), base.clone(), head.clone()]).await.unwrap();

    assert_eq!(mirror.merge_base(&head, &base).await.unwrap(), Some(left.clone()));
    assert!(diff_text(&mirror.diff(&left, &head).await.unwrap()).contains("-two\n+2\n"));
    let exported = mirror.export(&head, &place.path("out"), None).await.unwrap();
    assert_eq!(exported.file_count, 1);
    // The mirror has refs for the fetched commits and no other refs.
    let bare = Repo { root: mirror.dir().to_owned() };
    let mut kept = [format!("refs/truing/{base}"), format!("refs/truing/{head}")];
    kept.sort();
    assert_eq!(bare.run(["for-each-ref", "--format=%(refname)"]), kept.join("\n"));
    assert!(!bare.root.join("FETCH_HEAD").exists());
}

#[tokio::test]
async fn what_a_fetch_brings_appears_at_once_and_does_not_pile_up() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let mirror = place.git().await.open_mirror(&place.path("m"), &remote).await.unwrap();
    let bare = Repo { root: mirror.dir().to_owned() };
    let first = repo.sha("HEAD");
    mirror.fetch(std::slice::from_ref(&first)).await.unwrap();
    // Simulates many commits that were fetched earlier.
    for old in 0..700 {
        bare.write(format!("refs/truing/{old:040x}"), format!("{first}\n"));
    }
    let mut most = 0;
    for turn in 0..60 {
        repo.write("a.txt", format!("{turn}\n"));
        let head = repo.commit("on main");
        mirror.fetch(&[head]).await.unwrap();
        let counted = bare.run(["count-objects", "-v"]);
        let count = |name: &str| {
            let line = counted.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse::<usize>().unwrap()
        };
        // A loose object is not allowed, because git could store a commit before the trees and files that the
        // commit requires.
        assert_eq!(count("count:"), 0);
        most = most.max(count("packs:"));
    }
    assert_eq!(most, 50);
    let loose = std::fs::read_dir(bare.root.join("refs/truing")).unwrap().count();
    assert!(loose < 15, "{loose} refs are files of their own");
    let refs = bare.run(["for-each-ref", "refs/truing"]).lines().count();
    assert!((500..600).contains(&refs), "{refs} refs are kept");
    let exported = mirror.export(&first, &place.path("out"), None).await.unwrap();
    assert_eq!(exported.file_count, 1);
    bare.run(["fsck", "--full", "--strict"]);
}

#[tokio::test]
async fn the_default_branch_is_asked_of_the_remote_each_time() {
    let place = Place::new();
    let (repo, _, head, base) = create_upstream(&place);
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let mirror = place.git().await.open_mirror(&place.path("m"), &remote).await.unwrap();
    assert_eq!(mirror.default_tip().await.unwrap(), Some(base));
    repo.run(["checkout", "--quiet", "feature"]);
    assert_eq!(mirror.default_tip().await.unwrap(), Some(head));
    let empty = Remote::from_local_path(&place.create_empty_repo("empty").root).unwrap();
    let mirror = place.git().await.open_mirror(&place.path("n"), &empty).await.unwrap();
    assert_eq!(mirror.default_tip().await.unwrap(), None);
    std::fs::remove_dir_all(&repo.root).unwrap();
    let gone = place.git().await.open_mirror(&place.path("m"), &remote).await.unwrap().default_tip().await;
    assert!(matches!(gone, Err(GitError::RemoteMissing { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_branch_is_the_one_of_exactly_that_name() {
    let place = Place::new();
    let (repo, left, head, base) = create_upstream(&place);
    // The name of this branch ends with the requested ref, so git's pattern matching would also return this
    // branch.
    repo.run(["branch", "a/refs/heads/feature", left.as_str()]);
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let mirror = place.git().await.open_mirror(&place.path("m"), &remote).await.unwrap();
    assert_eq!(mirror.branch_tip("feature").await.unwrap(), Some(head));
    assert_eq!(mirror.branch_tip("main").await.unwrap(), Some(base));
    for none in ["featur", "heads/feature", "*", "--upload-pack=x", ""] {
        assert_eq!(mirror.branch_tip(none).await.unwrap(), None, "{none}");
    }
}

#[tokio::test]
async fn what_is_here_is_not_asked_for_again() {
    let place = Place::new();
    let (repo, left, head, base) = create_upstream(&place);
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let mirror = place.git().await.open_mirror(&place.path("m"), &remote).await.unwrap();
    mirror.fetch(&[head.clone(), base.clone()]).await.unwrap();
    std::fs::remove_dir_all(&repo.root).unwrap();
    mirror.fetch(&[head, base, left]).await.unwrap();
    let error = mirror.fetch(&[absent_sha()]).await.unwrap_err();
    assert!(!error.is_wrong_input(), "{error}");
}

#[tokio::test]
async fn histories_that_never_meet_have_no_merge_base() {
    let place = Place::new();
    let (repo, _, head, _) = create_upstream(&place);
    repo.run(["checkout", "--quiet", "--orphan", "other"]);
    let other = repo.commit("unrelated");
    let mirror = place
        .git()
        .await
        .open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap())
        .await
        .unwrap();
    mirror.fetch(&[head.clone(), other.clone()]).await.unwrap();
    assert_eq!(mirror.merge_base(&head, &other).await.unwrap(), None);
    assert!(matches!(
        mirror.merge_base(&head, &absent_sha()).await.unwrap_err(),
        GitError::CommandFailed { .. }
    ));
}

#[tokio::test]
async fn a_commit_or_a_repository_that_is_gone_is_said_so() {
    let place = Place::new();
    let (repo, _, head, _) = create_upstream(&place);
    let git = place.git().await;
    let mirror =
        git.open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap()).await.unwrap();
    let error = mirror.fetch(&[head, absent_sha()]).await.unwrap_err();
    assert!(matches!(&error, GitError::CommitGone { sha: Some(sha), .. } if *sha == absent_sha()), "{error}");
    let nowhere = Remote::from_local_path(&place.path("nowhere")).unwrap();
    let error =
        git.open_mirror(&place.path("n"), &nowhere).await.unwrap().fetch(&[absent_sha()]).await.unwrap_err();
    assert!(matches!(error, GitError::RemoteMissing { .. }), "{error}");
}

#[tokio::test]
async fn a_half_made_mirror_is_made_anew() {
    let place = Place::new();
    let (repo, _, head, _) = create_upstream(&place);
    let git = place.git().await;
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let dir = place.path("m");
    let works = async || {
        git.open_mirror(&dir, &remote).await.unwrap().fetch(std::slice::from_ref(&head)).await.unwrap();
    };

    // Simulates a process that was killed before it moved the new mirror to the final path.
    std::fs::create_dir_all(place.path("m.new/objects")).unwrap();
    works().await;
    assert!(!place.path("m.new").exists());
    // Simulates an operator who created an empty folder for the mirror.
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::create_dir(&dir).unwrap();
    works().await;
    // Simulates the loss of parts of the mirror, for example after a power failure.
    for part in ["HEAD", "objects", "refs"] {
        let path = dir.join(part);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap();
        } else {
            std::fs::write(&path, "").unwrap();
        }
        works().await;
    }
    // An intact mirror is kept.
    let kept = dir.join("objects/info/kept");
    std::fs::write(&kept, "").unwrap();
    works().await;
    assert!(kept.exists());
}

#[tokio::test]
async fn what_a_killed_fetch_leaves_does_not_stop_the_next() {
    let place = Place::new();
    let (repo, _, head, _) = create_upstream(&place);
    let mirror = place
        .git()
        .await
        .open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap())
        .await
        .unwrap();
    std::fs::create_dir_all(mirror.dir().join("refs/truing")).unwrap();
    let leftovers = [
        format!("refs/truing/{head}.lock"),
        "packed-refs.lock".into(),
        "config.lock".into(),
        "objects/pack/tmp_pack_x".into(),
    ];
    for leftover in &leftovers {
        std::fs::write(mirror.dir().join(leftover), "").unwrap();
    }
    mirror.fetch(&[head]).await.unwrap();
    for leftover in &leftovers {
        assert!(!mirror.dir().join(leftover).exists(), "{leftover}");
    }
}

#[tokio::test]
async fn a_folder_with_something_else_is_left_alone() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let git = place.git().await;
    for dir in [repo.root.clone(), repo.root.join(".git"), repo.root.join("a.txt")] {
        let error = git.open_mirror(&dir, &remote).await.unwrap_err();
        assert!(matches!(error, GitError::NotAMirror(_)) && error.is_wrong_input(), "{error}");
    }
    assert_eq!(repo.run(["status", "--porcelain", "a.txt"]), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_share_a_mirror() {
    let place = Place::new();
    let (repo, left, head, base) = create_upstream(&place);
    let remote = Remote::from_local_path(&repo.root).unwrap();
    let git = place.git().await;
    let runs = (0..8).map(|number| {
        let (git, remote, dir) = (git.clone(), remote.clone(), place.path("m"));
        let (left, head, base) = (left.clone(), head.clone(), base.clone());
        tokio::spawn(async move {
            let mirror = git.open_mirror(&dir, &remote).await.unwrap();
            let wanted = if number % 2 == 0 {
                vec![head.clone(), base.clone()]
            } else {
                vec![base.clone(), head.clone()]
            };
            mirror.fetch(&wanted).await.unwrap();
            assert_eq!(mirror.merge_base(&head, &base).await.unwrap(), Some(left));
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
    let bare = Repo { root: place.path("m") };
    let counted = bare.run(["count-objects", "-v"]);
    assert!(counted.contains("packs: 1\n"), "one of them has fetched: {counted}");
}

#[tokio::test]
async fn a_mirror_in_use_is_waited_for_only_so_long() {
    let place = Place::new();
    let remote = Remote::from_local_path(&place.path("nowhere")).unwrap();
    place.git().await.open_mirror(&place.path("m"), &remote).await.unwrap();
    let mut options = place.options();
    options.limits.network_timeout = Duration::from_millis(50);
    let git = Git::new(options).await.unwrap();
    let other = std::fs::File::open(place.path("m.lock")).unwrap();
    rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let error = git.open_mirror(&place.path("m"), &remote).await.unwrap_err();
    assert!(matches!(error, GitError::MirrorBusy { .. }), "{error}");
    rustix::fs::flock(&other, rustix::fs::FlockOperation::Unlock).unwrap();
}

/// Returns a git program that records each fetch's arguments, environment and configuration, prints the
/// secret, and then fails.
fn recording_git(place: &Place, notes: &Path) -> GitOptions {
    let notes = notes.display();
    let text = format!(
        "if [ \"$1\" = fetch ]; then\n\
         env > {notes}.env; echo \"$@\" > {notes}.args; cat \"$GIT_CONFIG_GLOBAL\" > {notes}.config\n\
         stat -c %a \"$GIT_CONFIG_GLOBAL\" > {notes}.mode; echo \"$GIT_CONFIG_GLOBAL\" > {notes}.name\n\
         cat \"$GIT_CONFIG_GLOBAL\" >&2; echo 'fatal: Authentication failed' >&2; exit 128\n\
         fi\nexec git \"$@\""
    );
    GitOptions { program: place.write_script("listening", &text), ..place.options() }
}

#[tokio::test]
async fn the_secret_reaches_git_by_a_private_file_alone() {
    let place = Place::new();
    let notes = place.path("notes");
    let git = Git::new(recording_git(&place, &notes)).await.unwrap();
    let remote =
        Remote::new("https://example.com/a/b.git", Some(SecretString::new("Basic canary-secret"))).unwrap();
    let mirror = git.open_mirror(&place.path("m"), &remote).await.unwrap();
    let error = mirror.fetch(&[absent_sha()]).await.unwrap_err();

    let note = |kind: &str| std::fs::read_to_string(notes.with_extension(kind)).unwrap();
    assert!(
        note("config").contains(
            "[http \"https://example.com/\"]\n\textraHeader = \"Authorization: Basic canary-secret\""
        )
    );
    assert_eq!(note("mode").trim(), "600");
    assert!(!Path::new(note("name").trim()).exists(), "the file outlives the fetch");
    assert!(!note("env").contains("canary") && !note("args").contains("canary"));
    assert!(note("env").contains("GIT_ALLOW_PROTOCOL=https\n"));
    assert!(
        matches!(&error, GitError::Unauthorized { message, .. } if !message.contains("canary")),
        "{error}"
    );
    assert!(!format!("{error:?} {error} {} {mirror:?}", error.hint()).contains("canary"));
    for (path, (content, _)) in crate::support::snapshot_folder(&place.path("m")) {
        assert!(!diff_text(&content).contains("canary"), "{path:?}");
    }
}
