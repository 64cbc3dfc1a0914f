//! Tests the content of the commits that Truing makes. Also tests that Truing neither executes nor trusts
//! anything in the folder.

use std::path::PathBuf;

use truing_core::RepoPath;
use truing_core::commit::GitIdentity;
use truing_core::id::{Sha, UnixMillis};
use truing_git::{GitError, MergeOutcome, Mirror, NewCommit, PathStatus, Remote};

use crate::support::{Place, Repo, diff_text, open_permit};

fn identity(name: &str) -> GitIdentity {
    GitIdentity { name: name.into(), email: format!("{name}@example.com") }
}

fn new(message: &str) -> NewCommit {
    NewCommit {
        message: message.into(),
        author: identity("Writer"),
        committer: identity("Machine"),
        commit_time: UnixMillis(1_700_000_000_999),
    }
}

fn repo_path(text: &str) -> RepoPath {
    RepoPath::from_bytes(text.as_bytes())
}

/// Creates a mirror of this repository's `main`, and a private clone of it.
async fn mirror_and_clone(place: &Place, repo: &Repo) -> (Mirror, Sha, PathBuf) {
    let head = repo.sha("main");
    let mirror = place
        .git()
        .await
        .open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap())
        .await
        .unwrap();
    mirror.fetch(std::slice::from_ref(&head)).await.unwrap();
    let dest = place.path("clone");
    std::fs::create_dir(&dest).unwrap();
    mirror.check_out_private_clone(&head, &[], &dest).await.unwrap();
    (mirror, head, dest)
}

#[tokio::test]
async fn what_a_clone_was_checked_out_as_hides_nothing_that_was_written_since() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    repo.write("deep/b.txt", "b\n");
    repo.write("kept.txt", "kept\n");
    repo.write("run.sh", "run\n");
    repo.commit("second");
    let head = repo.sha("main");
    let mirror = place
        .git()
        .await
        .open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap())
        .await
        .unwrap();
    mirror.fetch(std::slice::from_ref(&head)).await.unwrap();
    let parent = repo.sha("main~1");
    let dest = place.path("clone");
    std::fs::create_dir(&dest).unwrap();
    let checked_out = mirror.check_out_private_clone(&head, &[], &dest).await.unwrap();

    let clone = Repo { root: dest.clone() };
    // The file's content changes, but its size and modification time do not.
    let before = std::fs::metadata(dest.join("a.txt")).unwrap();
    let was = std::fs::read_to_string(dest.join("a.txt")).unwrap();
    clone.write("a.txt", was.to_uppercase());
    std::fs::File::options()
        .write(true)
        .open(dest.join("a.txt"))
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
    std::fs::set_permissions(dest.join("run.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    std::fs::remove_dir_all(dest.join("deep")).unwrap();
    clone.write("new file", "n\n");
    // Changes to the clone's git folder have no effect on the commit.
    clone.run(["add", "--all"]);
    clone.run(["update-index", "--assume-unchanged", "a.txt"]);

    for parent in [&head, &parent] {
        let [read, known] = [
            mirror.stage_folder(parent, &dest, None).await.unwrap(),
            mirror.stage_clone(parent, &dest, &checked_out).await.unwrap(),
        ];
        assert_eq!(known.paths, read.paths);
        assert_eq!(known.diff().await.unwrap(), read.diff().await.unwrap());
        let [read, known] = [read.commit(&new("x")).await.unwrap(), known.commit(&new("x")).await.unwrap()];
        assert_eq!(known.sha(), read.sha());
    }
    let work = mirror.stage_clone(&head, &dest, &checked_out).await.unwrap();
    let expected = [
        (repo_path("a.txt"), PathStatus::Modified),
        (repo_path("deep/b.txt"), PathStatus::Deleted),
        (repo_path("new file"), PathStatus::Added),
        (repo_path("run.sh"), PathStatus::Modified),
    ];
    assert_eq!(work.paths, expected);
}

#[tokio::test]
async fn what_differs_is_committed_and_what_is_ignored_is_not() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    repo.write("deep/b.txt", "b\n");
    repo.write(".gitignore", "*.log\n");
    repo.commit("second");
    let (mirror, head, dest) = mirror_and_clone(&place, &repo).await;
    let clone = Repo { root: dest.clone() };
    clone.write("a.txt", "one\n2\n");
    clone.write("new file", "n\n");
    clone.write("noise.log", "x\n");
    std::fs::remove_dir_all(dest.join("deep")).unwrap();

    let staged = mirror.stage_folder(&head, &dest, None).await.unwrap();
    let expected = [
        (repo_path("a.txt"), PathStatus::Modified),
        (repo_path("deep/b.txt"), PathStatus::Deleted),
        (repo_path("new file"), PathStatus::Added),
    ];
    assert_eq!((staged.paths.as_slice(), staged.omitted_paths.len()), (expected.as_slice(), 0));
    assert!(diff_text(&staged.diff().await.unwrap()).contains("-two\n-three\n+2\n"));
    let made = staged.commit(&new("Follow\n\nBecause.\n\n")).await.unwrap();
    made.push(&Remote::from_local_path(&repo.root).unwrap(), "ours", None, &open_permit().await)
        .await
        .unwrap();
    let format = "--format=%an <%ae> %at|%cn <%ce> %ct|%P|%B";
    assert_eq!(
        repo.run(["show", "--no-patch", format, "ours"]),
        format!(
            "Writer <Writer@example.com> 1700000000|Machine <Machine@example.com> \
             1700000000|{head}|Follow\n\nBecause."
        )
    );
    assert_eq!(repo.run(["ls-tree", "-r", "--name-only", "ours"]), ".gitignore\na.txt\nnew file");

    // A second call creates the same commit. A call with a list of paths commits only these paths.
    let again = mirror.stage_folder(&head, &dest, None).await.unwrap();
    assert_eq!(again.commit(&new("Follow\n\nBecause.")).await.unwrap().sha(), made.sha());
    let some =
        mirror.stage_folder(&head, &dest, Some(&[repo_path("new file"), repo_path("absent")])).await.unwrap();
    assert_eq!(some.paths, [(repo_path("new file"), PathStatus::Added)]);
    assert_eq!(some.omitted_paths, [repo_path("a.txt"), repo_path("deep/b.txt")]);
    let made = some.commit(&new("Some")).await.unwrap();
    made.push(&Remote::from_local_path(&repo.root).unwrap(), "some", None, &open_permit().await)
        .await
        .unwrap();
    assert_eq!(repo.run(["diff", "--name-only", head.as_str(), "some"]), "new file");
}

#[tokio::test]
async fn nothing_of_the_folder_runs_or_is_believed() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    repo.write(".gitattributes", "*.txt filter=evil diff=evil\n*.crlf text eol=crlf\n");
    repo.write("line.crlf", "one\r\ntwo\r\n");
    repo.commit("attributes");
    let (mirror, head, dest) = mirror_and_clone(&place, &repo).await;
    let clone = Repo { root: dest.clone() };
    let trap = format!("touch {}; cat", place.path("trapped").display());
    for key in
        ["filter.evil.clean", "filter.evil.process", "diff.evil.textconv", "core.fsmonitor", "gpg.program"]
    {
        clone.run(["config", key, &trap]);
    }
    for (key, value) in [("commit.gpgSign", "true"), ("user.name", "Evil"), ("core.autocrlf", "input")] {
        clone.run(["config", key, value]);
    }
    for hook in ["pre-commit", "post-index-change", "commit-msg", "pre-push"] {
        std::fs::create_dir_all(dest.join(".git/hooks")).unwrap();
        let script = place.write_script(hook, &trap);
        std::fs::rename(script, dest.join(".git/hooks").join(hook)).unwrap();
    }
    std::fs::create_dir_all(dest.join(".git/info")).unwrap();
    std::fs::write(dest.join(".git/info/exclude"), "new.txt\n").unwrap();
    clone.write("new.txt", "n\n");

    let staged = mirror.stage_folder(&head, &dest, None).await.unwrap();
    // The commit converts line ends as the checkout did, so unmodified files do not differ.
    assert_eq!(staged.paths, [(repo_path("new.txt"), PathStatus::Added)]);
    let made = staged.commit(&new("x")).await.unwrap();
    made.push(&Remote::from_local_path(&repo.root).unwrap(), "ours", None, &open_permit().await)
        .await
        .unwrap();
    assert!(!place.path("trapped").exists());
    assert!(!repo.run(["cat-file", "commit", "ours"]).contains("gpgsig"));
}

#[tokio::test]
async fn repositories_inside_are_left_out_and_modes_and_links_are_kept() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    let (mirror, head, dest) = mirror_and_clone(&place, &repo).await;
    let inner = Repo { root: dest.join("inner") };
    std::fs::create_dir(&inner.root).unwrap();
    inner.run(["init", "--quiet"]);
    inner.write("x", "x\n");
    inner.commit("inside");
    for unborn in ["begun", "deep/begun too"] {
        let unborn = Repo { root: dest.join(unborn) };
        std::fs::create_dir_all(&unborn.root).unwrap();
        unborn.run(["init", "--quiet"]);
        unborn.write("x", "x\n");
    }
    std::os::unix::fs::symlink("/etc/passwd", dest.join("link")).unwrap();
    std::fs::copy(place.write_script("tool", "true"), dest.join("tool")).unwrap();

    let staged = mirror.stage_folder(&head, &dest, None).await.unwrap();
    assert_eq!(
        staged.paths,
        [(repo_path("link"), PathStatus::Added), (repo_path("tool"), PathStatus::Added)]
    );
    assert_eq!(staged.omitted_paths, [repo_path("begun"), repo_path("deep/begun too"), repo_path("inner")]);
    let made = staged.commit(&new("x")).await.unwrap();
    made.push(&Remote::from_local_path(&repo.root).unwrap(), "ours", None, &open_permit().await)
        .await
        .unwrap();
    let modes = repo.list_modes(&["ours"]);
    assert_eq!(modes, "100644 a.txt\n120000 link\n100755 tool");
}

#[tokio::test]
async fn a_commit_that_git_would_not_make_is_an_error() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    let (mirror, head, dest) = mirror_and_clone(&place, &repo).await;
    let none = Sha::parse(&"1".repeat(40)).unwrap();
    assert!(matches!(mirror.stage_folder(&none, &dest, None).await, Err(GitError::CommandFailed { .. })));
    for wrong in [new("a\0b"), NewCommit { author: identity(""), ..new("x") }] {
        let staged = mirror.stage_folder(&head, &dest, None).await.unwrap();
        assert!(staged.paths.is_empty());
        let made = staged.commit(&wrong).await;
        assert!(matches!(made, Err(GitError::CommandFailed { call: "commit-tree", .. })), "{made:?}");
    }
}

#[tokio::test]
async fn a_file_of_a_commit_is_read_as_it_is_stored() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    repo.write("deep/*.txt", "star\r\n");
    std::os::unix::fs::symlink("a.txt", repo.root.join("link")).unwrap();
    repo.write("big", vec![b'x'; 100]);
    repo.commit("second");
    let mut options = place.options();
    options.limits.file_bytes = 50;
    let git = truing_git::Git::new(options).await.unwrap();
    let mirror =
        git.open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap()).await.unwrap();
    let head = repo.sha("HEAD");
    mirror.fetch(std::slice::from_ref(&head)).await.unwrap();
    let read = async |name: &str| mirror.read_file(&head, &repo_path(name)).await;
    assert_eq!(read("deep/*.txt").await.unwrap().as_deref(), Some(&b"star\r\n"[..]));
    for none in ["deep", "deep/a.txt", "link", "../a.txt", ".git/config", "--x", ""] {
        assert_eq!(read(none).await.unwrap(), None, "{none}");
    }
    assert!(matches!(read("big").await, Err(GitError::TooLarge { .. })));
    assert!(mirror.read_file(&Sha::parse(&"1".repeat(40)).unwrap(), &repo_path("a.txt")).await.is_err());
}

#[tokio::test]
async fn of_files_that_lie_alone_line_ends_and_modes_are_as_the_commit_has_them_and_nothing_else_changes() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    repo.write(".gitattributes", "*.crlf text eol=crlf\n");
    repo.write("line.crlf", "one\r\ntwo\r\n");
    repo.write("deep/goes", "x\n");
    std::fs::copy(place.write_script("tool", "true"), repo.root.join("tool")).unwrap();
    repo.commit("second");
    let (mirror, head, _) = mirror_and_clone(&place, &repo).await;
    let alone = Repo { root: place.path("alone") };
    std::fs::create_dir(&alone.root).unwrap();
    alone.write("line.crlf", "one\r\n2\r\n");
    alone.write("tool", "#!/bin/sh\nfalse\n");
    alone.write("deep", "a file now\n");
    alone.write("stray.txt", "nobody asked for it\n");
    let (there, gone) =
        ([repo_path("line.crlf"), repo_path("tool"), repo_path("deep")], [repo_path("deep/goes")]);
    let staged = mirror.stage_changed_files(&head, &alone.root, &there, &gone).await.unwrap();
    assert_eq!(staged.omitted_paths, []);
    let made = staged.commit(&new("x")).await.unwrap();
    let tree = made.tree().unwrap().clone();
    mirror.store_commit(&made).await.unwrap();
    let sha = made.sha().clone();
    drop(made);
    // The mirror now contains all objects of the commit.
    assert_eq!(mirror.tree_id(&sha).await.unwrap(), tree);
    mirror
        .unpushed_commit(&sha)
        .push(&Remote::from_local_path(&repo.root).unwrap(), "ours", None, &open_permit().await)
        .await
        .unwrap();
    assert_eq!(repo.run(["show", "ours:line.crlf"]), "one\n2");
    assert_eq!(
        repo.list_modes(&["-r", "ours"]),
        "100644 .gitattributes\n100644 a.txt\n100644 deep\n100644 line.crlf\n100755 tool"
    );
    // Truing refuses to add a file at the path of a folder that still contains files of the commit.
    let (there, gone) = ([repo_path("deep")], []);
    assert!(mirror.stage_changed_files(&head, &alone.root, &there, &gone).await.is_err());
}

#[tokio::test]
async fn two_commits_are_merged_by_their_content_or_the_files_that_stand_in_the_way_are_told() {
    let place = Place::new();
    let repo = place.create_repo("upstream");
    let begin = repo.sha("main");
    repo.write("ours.txt", "ours\n");
    // The attributes name a merge driver that does not exist.
    repo.write(".gitattributes", "* merge=stranger\n");
    repo.commit("ours");
    let ours = repo.sha("main");
    let side = |name: &str, file: &str| {
        repo.run(["checkout", "--quiet", "-b", name, begin.as_str()]);
        repo.write(file, "theirs\n");
        repo.commit(name);
        repo.sha(name)
    };
    let (theirs, wrong) = (side("theirs", "theirs.txt"), side("wrong", "ours.txt"));
    let mirror = place
        .git()
        .await
        .open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap())
        .await
        .unwrap();
    mirror.fetch(&[ours.clone(), theirs.clone(), wrong.clone()]).await.unwrap();

    let merged = mirror.merge(&theirs, &ours, &new("Merge")).await;
    if let Err(error @ GitError::TooOldToMerge { .. }) = &merged {
        assert!(error.to_string().contains("2.38 is needed"), "{error}");
        return;
    }
    let MergeOutcome::Merged(commit) = merged.unwrap() else { panic!("nothing stands in the way") };
    mirror.store_commit(&commit).await.unwrap();
    let listed = mirror.list_files(commit.sha(), &[]).await.unwrap();
    let names: Vec<_> = listed.iter().map(|file| file.path.to_string()).collect();
    assert!(["ours.txt", "theirs.txt"].iter().all(|name| names.iter().any(|one| one == name)), "{names:?}");
    assert_eq!(mirror.merge_base(commit.sha(), &ours).await.unwrap(), Some(ours.clone()));
    assert_eq!(mirror.merge_base(commit.sha(), &theirs).await.unwrap(), Some(theirs));

    let MergeOutcome::Conflicts(files) = mirror.merge(&wrong, &ours, &new("Merge")).await.unwrap() else {
        panic!("both have made the file")
    };
    assert_eq!(files, [repo_path("ours.txt")]);
}
