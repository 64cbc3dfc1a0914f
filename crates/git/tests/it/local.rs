//! Tests that local repositories are found, and that names in a repository are resolved to commits.

use std::os::unix::ffi::OsStrExt;

use truing_core::commit::GitIdentity;
use truing_core::id::Sha;
use truing_git::{DefaultBaseSource, Git, GitError, GitOptions, NewCommit, Remote};

use crate::support::{Place, Repo, diff_text};

#[tokio::test]
async fn what_is_no_repository_is_told_apart() {
    let place = Place::new();
    let git = place.git().await;
    let repo = place.create_repo("r");
    repo.run(["clone", "--quiet", "--bare", ".", "../bare"]);
    place.create_empty_repo("unborn");

    let open = async |name: &str| git.open(&place.path(name)).await.unwrap_err();
    let errors = [
        ("nothing", open("nothing").await),
        ("a file", open("r/a.txt").await),
        ("below a file", open("r/a.txt/x").await),
        // The root folder is in no repository, even if the folder for temporary files is in one.
        ("plain", open("/").await),
        ("bare", open("bare").await),
        ("git folder", open("r/.git").await),
        ("unborn", open("unborn").await),
    ];
    for (name, error) in &errors {
        assert!(error.is_wrong_input() && !error.hint().is_empty(), "{name}: {error}");
    }
    assert!(matches!(errors[0].1, GitError::PathMissing(_)), "{}", errors[0].1);
    assert!(matches!(errors[1].1, GitError::NotADirectory(_)), "{}", errors[1].1);
    assert!(matches!(errors[2].1, GitError::NotADirectory(_)), "{}", errors[2].1);
    assert!(matches!(errors[3].1, GitError::NotARepository(_)), "{}", errors[3].1);
    assert!(matches!(errors[4].1, GitError::NoWorkTree(_)), "{}", errors[4].1);
    assert!(matches!(errors[5].1, GitError::NoWorkTree(_)), "{}", errors[5].1);
    assert!(matches!(errors[6].1, GitError::NoCommits(_)), "{}", errors[6].1);
}

#[tokio::test]
async fn a_commit_that_is_lost_is_not_one_that_was_never_made() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let head = repo.sha("HEAD");
    let (folder, name) = head.as_str().split_at(2);
    std::fs::remove_file(repo.root.join(".git/objects").join(folder).join(name)).unwrap();
    let repository = place.git().await.open_without_commits(&repo.root).await.unwrap();
    let index = repository.snapshot_index(None).await.unwrap();
    assert_eq!(repository.head_if_any(), Some(&head));
    assert!(index.diff(&head).await.is_err());
}

#[tokio::test]
async fn a_tree_that_git_cannot_read_is_not_tried_again() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let id = hex::decode(repo.run(["rev-parse", "HEAD:a.txt"])).unwrap();
    let create_commit = |tree: &str| repo.run(["commit-tree", "-p", "HEAD", "-m", "invalid", tree]);
    let store_tree = |entry: &[u8], id: &[u8]| {
        std::fs::write(place.path("tree"), [entry, id].concat()).unwrap();
        repo.run(["hash-object", "-t", "tree", "-w", "--literally", "../tree"])
    };
    let nameless = create_commit(&store_tree(b"100644 \0", &id));
    let repository = place.git().await.open(&repo.root).await.unwrap();
    let error = repository.list_files(&Sha::parse(&nameless).unwrap(), &[]).await.unwrap_err();
    assert!(error.to_string().contains("empty filename in tree entry"), "{error}");
    let hint = error.hint();
    assert!(hint.contains("review commits without this folder") && !hint.contains("again"), "{hint}");
    // Older versions of git have no limit on the depth, so only the message is tested.
    let message = "fatal: exceeded maximum allowed tree depth".to_owned();
    assert_eq!(GitError::CommandFailed { call: "diff", message }.hint(), hint);
}

#[tokio::test]
async fn names_become_commits() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let first = repo.sha("HEAD");
    repo.run(["tag", "-a", "-m", "x", "v1"]);
    repo.write("b.txt", "b\n");
    let second = repo.commit("second");
    let repository = place.git().await.open(&repo.root).await.unwrap();

    for (name, commit) in [
        ("HEAD", &second),
        ("main", &second),
        ("v1", &first),
        ("HEAD~1", &first),
        (first.short_sha(), &first),
    ] {
        assert_eq!(repository.resolve_commit(name).await.unwrap(), *commit, "{name}");
    }
    assert_eq!(repository.head().unwrap(), &second);
    for bad in ["", "-h", "--output=x", "a\nb"] {
        assert!(
            matches!(repository.resolve_commit(bad).await.unwrap_err(), GitError::BadRevision(_)),
            "{bad:?}"
        );
    }
    for unknown in ["^HEAD", "^HEAD~1", "HEAD:a.txt", "main..v1", "main^{tree}:x", &"0".repeat(40), "a b"] {
        let error = repository.resolve_commit(unknown).await.unwrap_err();
        assert!(matches!(error, GitError::UnknownRevision { .. }), "{unknown}: {error}");
    }
    let typo = repository.resolve_commit("mian").await.unwrap_err();
    assert_eq!(
        (typo.to_string().as_str(), typo.hint().as_str()),
        ("there is no commit named `mian`", "did you mean `main`?")
    );
}

#[tokio::test]
async fn a_tag_cannot_take_the_name_of_a_branch() {
    let place = Place::new();
    let upstream = place.create_repo("upstream");
    let first = upstream.sha("HEAD");
    upstream.write("b.txt", "b\n");
    let second = upstream.commit("second");
    upstream.write("b.txt", "c\n");
    let evil = upstream.commit("third");
    for name in ["main", "origin/main", "v1"] {
        upstream.run(["tag", name, evil.as_str()]);
    }
    upstream.run(["reset", "--quiet", "--hard", second.as_str()]);
    upstream.run(["clone", "--quiet", ".", "../r"]);
    let repo = Repo { root: place.path("r") };
    assert_eq!(repo.sha("main"), evil, "git itself prefers the tag");

    let repository = place.git().await.open(&repo.root).await.unwrap();
    for (name, commit) in [
        ("main", &second),
        ("main~1", &first),
        ("main^", &first),
        ("origin/main", &second),
        ("origin", &second),
        ("refs/heads/main", &second),
        ("refs/tags/main", &evil),
        ("tags/main", &evil),
        ("v1", &evil),
        (evil.as_str(), &evil),
    ] {
        assert_eq!(repository.resolve_commit(name).await.unwrap(), *commit, "{name}");
    }
    let error = repository.resolve_commit("main~2").await.unwrap_err();
    assert!(matches!(error, GitError::UnknownRevision { .. }), "{error}");
}

#[tokio::test]
async fn the_branch_and_the_origin_are_known() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let git = place.git().await;
    let repository = git.open(&repo.root).await.unwrap();
    assert_eq!(repository.origin_url(), None);
    repo.run(["remote", "add", "origin", "https://user:canary@example.com/a/b.git"]);
    let repository = git.open(&repo.root).await.unwrap();
    assert_eq!(repository.origin_url().unwrap(), "https://example.com/a/b.git");
    // Git fetches from the first URL, and pushes to all of them.
    repo.run(["remote", "set-url", "--add", "origin", "https://mirror.example/a/b.git"]);
    repo.run(["remote", "add", "up.stream", "https://example.com/c/b.git"]);
    let repository = git.open(&repo.root).await.unwrap();
    assert_eq!(repository.origin_url().unwrap(), "https://example.com/a/b.git");
    let names: Vec<&str> = repository.remotes().iter().map(|remote| remote.name.as_str()).collect();
    assert_eq!(names, ["origin", "up.stream"]);

    repo.run(["checkout", "--quiet", "-b", "feature/x"]);
    assert_eq!(repository.current_branch().await.unwrap().unwrap(), "feature/x");
    repo.run(["checkout", "--quiet", "--detach"]);
    assert_eq!(repository.current_branch().await.unwrap(), None);
}

#[tokio::test]
async fn subfolders_worktrees_and_submodules_are_places_too() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let inner = place.create_repo("inner");
    repo.run(["submodule", "--quiet", "add", inner.root.to_str().unwrap(), "sub"]);
    repo.write("deep/er/x", "x\n");
    repo.commit("more");
    repo.run(["worktree", "add", "--quiet", "-b", "linked", "../linked"]);
    let linked = Repo { root: place.path("linked") };
    linked.write("a.txt", "one\ntwo\n");
    linked.commit("in the linked one");
    let git = place.git().await;

    let below = git.open(&repo.root.join("deep/er")).await.unwrap();
    assert_eq!(below.root(), repo.root);
    let worktree = git.open(&linked.root).await.unwrap();
    assert_eq!(
        (worktree.root(), worktree.current_branch().await.unwrap().as_deref()),
        (&*linked.root, Some("linked"))
    );
    let base = worktree.default_branch_base(&linked.sha("HEAD")).await.unwrap();
    assert_eq!(base.commit, repo.sha("main"));
    linked.write("new", "new\n");
    let diff = diff_text(&worktree.worktree_diff(&base.commit).await.unwrap().diff);
    assert!(diff.contains("-three") && diff.contains("+new"), "{diff}");

    let submodule = git.open(&repo.root.join("sub")).await.unwrap();
    assert_eq!(submodule.root(), repo.root.join("sub"));
    assert_eq!(submodule.head().unwrap(), &inner.sha("HEAD"));
    repo.write("sub/a.txt", "changed\n");
    let diff = submodule.worktree_diff(&inner.sha("HEAD")).await.unwrap().diff;
    assert!(diff_text(&diff).contains("+changed"));
}

#[tokio::test]
async fn other_peoples_repositories_can_be_read() {
    let place = Place::new();
    let repo = place.create_repo("r");
    // With this test variable, git assumes that another user owns every folder.
    let real = "GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec git \"$@\"";
    let options = GitOptions { program: place.write_script("other-owner", real), ..place.options() };
    let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
    repo.write("a.txt", "changed\n");
    let diff = repository.worktree_diff(&repo.sha("HEAD")).await.unwrap().diff;
    assert!(diff_text(&diff).contains("+changed"));
}

#[tokio::test]
async fn the_base_is_where_head_left_the_default_branch() {
    let place = Place::new();
    let upstream = place.create_repo("upstream");
    let left = upstream.sha("HEAD");
    upstream.run(["branch", "trunk"]);
    upstream.run(["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    upstream.run(["clone", "--quiet", ".", "../r"]);
    let repo = Repo { root: place.path("r") };
    let git = place.git().await;
    let base = async || {
        let repository = git.open(&repo.root).await.unwrap();
        let base = repository.default_branch_base(&repo.sha("HEAD")).await?;
        Ok::<_, GitError>((base.commit, base.source))
    };
    let from = |name: &str| DefaultBaseSource::MergeBase(name.to_owned());

    // If HEAD is the tip of the default branch, the base is HEAD itself.
    assert_eq!(base().await.unwrap(), (left.clone(), from("origin/trunk")));
    repo.run(["checkout", "--quiet", "-b", "feature"]);
    repo.write("b.txt", "b\n");
    repo.commit("mine");
    assert_eq!(base().await.unwrap(), (left.clone(), from("origin/trunk")));
    // Without `origin/HEAD`, the default branch is the first that exists of origin/main, origin/master, main,
    // master.
    repo.run(["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/gone"]);
    assert_eq!(base().await.unwrap().1, from("origin/main"));
    repo.run(["update-ref", "refs/remotes/origin/master", left.as_str()]);
    repo.run(["update-ref", "-d", "refs/remotes/origin/main"]);
    assert_eq!(base().await.unwrap().1, from("origin/master"));
    repo.run(["update-ref", "-d", "refs/remotes/origin/master"]);
    repo.run(["branch", "main", left.as_str()]);
    repo.run(["branch", "master", left.as_str()]);
    assert_eq!(base().await.unwrap().1, from("main"));
    repo.run(["branch", "-D", "--quiet", "main"]);
    assert_eq!(base().await.unwrap(), (left, from("master")));
    repo.run(["branch", "-D", "--quiet", "master"]);
    assert!(matches!(base().await.unwrap_err(), GitError::NoDefaultBranch));
    repo.run(["checkout", "--quiet", "--orphan", "main"]);
    repo.commit("unrelated");
    repo.run(["checkout", "--quiet", "feature"]);
    assert!(matches!(base().await.unwrap_err(), GitError::NoCommonAncestor { .. }));
}

#[tokio::test]
async fn the_last_commit_is_compared_with_its_parent_or_with_nothing() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let git = place.git().await;
    let repository = git.open(&repo.root).await.unwrap();
    let base = repository.parent_base(&repo.sha("HEAD")).await.unwrap();
    assert_eq!(base.source, DefaultBaseSource::EmptyTree);
    assert_eq!(base.commit.as_str(), repo.run(["hash-object", "-t", "tree", "/dev/null"]));
    let diff = diff_text(&repository.diff(&base.commit, &repo.sha("HEAD")).await.unwrap());
    assert!(diff.contains("new file mode 100644") && diff.contains("+three"), "{diff}");

    let first = repo.sha("HEAD");
    repo.write("b.txt", "b\n");
    // A line of the commit message that looks like a header is not parsed as a header.
    repo.commit("x\n\nparent 0000000000000000000000000000000000000000");
    let base = repository.parent_base(&repo.sha("HEAD")).await.unwrap();
    assert_eq!((base.commit, base.source), (first.clone(), DefaultBaseSource::Parent));
    // The default-branch base is also found for a commit that is not checked out.
    assert_eq!(repository.parent_base(&first).await.unwrap().source, DefaultBaseSource::EmptyTree);
    let base = repository.default_branch_base(&first).await.unwrap();
    assert_eq!((base.commit, base.source), (first, DefaultBaseSource::MergeBase("main".to_owned())));
}

#[tokio::test]
async fn a_shallow_clone_says_what_to_fetch() {
    let place = Place::new();
    let upstream = place.create_repo("upstream");
    upstream.run(["checkout", "--quiet", "-b", "feature"]);
    upstream.write("b.txt", "b\n");
    upstream.commit("on feature");
    upstream.run(["checkout", "--quiet", "main"]);
    upstream.write("c.txt", "c\n");
    upstream.commit("on main");
    let url = format!("file://{}", upstream.root.display());
    upstream.run(["clone", "--quiet", "--depth=1", "--no-single-branch", "--branch=feature", &url, "../r"]);
    let repo = Repo { root: place.path("r") };
    let git = place.git().await;
    let repository = git.open(&repo.root).await.unwrap();
    assert!(repository.is_shallow());

    let head = repo.sha("HEAD");
    let error = repository.default_branch_base(&head).await.unwrap_err();
    assert_eq!(error.hint(), "run `git fetch --unshallow origin`");
    assert!(matches!(error, GitError::MissingHistory { .. }) && !error.is_wrong_input());
    let error = repository.parent_base(&head).await.unwrap_err();
    assert_eq!(error.hint(), "run `git fetch --deepen=1 origin`");

    // After the suggested fetch command, both calls succeed.
    repo.run(["fetch", "--quiet", "--deepen=1", "origin"]);
    let repository = git.open(&repo.root).await.unwrap();
    assert_eq!(repository.parent_base(&head).await.unwrap().source, DefaultBaseSource::Parent);
    let base = repository.default_branch_base(&head).await.unwrap();
    assert_eq!(base.commit, upstream.sha("main~1"));
}

#[tokio::test]
async fn a_diff_is_gits_own_whatever_the_repository_configures() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let base = repo.sha("HEAD");
    repo.run(["mv", "a.txt", "b.txt"]);
    repo.write("b.txt", "one\ntwo\nfour\n");
    repo.write(std::ffi::OsStr::from_bytes(b"caf\xe9.py"), "x\n");
    let head = repo.commit("rename");
    for (key, value) in [
        ("diff.noprefix", "true"),
        ("diff.renames", "false"),
        ("diff.context", "0"),
        ("color.ui", "always"),
        ("diff.mnemonicPrefix", "true"),
        ("core.quotePath", "false"),
        ("diff.orderFile", "a.txt"),
    ] {
        repo.run(["config", key, value]);
    }
    let repository = place.git().await.open(&repo.root).await.unwrap();
    let diff = diff_text(&repository.diff(&base, &head).await.unwrap());
    assert!(diff.contains("rename from a.txt\nrename to b.txt\n"), "{diff}");
    assert!(
        diff.contains("--- a/a.txt\n+++ b/b.txt\n@@ -1,3 +1,3 @@\n one\n two\n-three\n+four\n"),
        "{diff}"
    );
    assert!(diff.contains("+++ \"b/caf\\351.py\""), "{diff}");
    assert!(diff_text(&repository.diff(&head, &head).await.unwrap()).is_empty());
}

#[tokio::test]
async fn a_head_cannot_hide_its_changes_by_attributes() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let base = repo.sha("HEAD");
    repo.write(".gitattributes", "* -diff binary export-ignore\n");
    repo.write(".git/info/attributes", "* -diff binary\n");
    repo.write("a.txt", "changed\n");
    let head = repo.commit("hide");
    let repository = place.git().await.open(&repo.root).await.unwrap();
    assert!(diff_text(&repository.diff(&base, &head).await.unwrap()).contains("+changed"));
    assert!(diff_text(&repository.worktree_diff(&base).await.unwrap().diff).contains("+changed"));
}

#[tokio::test]
async fn a_diff_has_a_bound() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let base = repo.sha("HEAD");
    repo.write("b.txt", "x\n".repeat(3000));
    let head = repo.commit("long");
    let mut options = place.options();
    options.limits.diff_bytes = 5000;
    let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
    for diff in
        [repository.diff(&base, &head).await.unwrap(), repository.worktree_diff(&base).await.unwrap().diff]
    {
        assert!(
            diff_text(&diff).ends_with("\nBinary files /dev/null and b/b.txt differ\n"),
            "{}",
            diff_text(&diff)
        );
    }
}

#[tokio::test]
async fn sha256_repositories_work() {
    let place = Place::new();
    let repo = Repo { root: place.path("r") };
    std::fs::create_dir(&repo.root).unwrap();
    repo.run(["init", "--quiet", "--object-format=sha256", "--initial-branch=main"]);
    repo.write("a.txt", "one\n");
    let head = repo.commit("first");
    let repository = place.git().await.open(&repo.root).await.unwrap();
    assert_eq!(repository.resolve_commit("main").await.unwrap(), head);
    let base = repository.parent_base(&repo.sha("HEAD")).await.unwrap();
    assert_eq!(base.commit, Sha::parse(&repo.run(["hash-object", "-t", "tree", "/dev/null"])).unwrap());
    repo.write("a.txt", "two\n");
    std::fs::remove_file(repo.root.join("a.txt")).unwrap();
    repo.write("b.txt", "two\n");
    let diff = diff_text(&repository.worktree_diff(&base.commit).await.unwrap().diff);
    assert!(diff.contains("+two") && !diff.contains("+one"), "{diff}");
    // Mirrors reject SHA-256 ids, because commits of a forge never have such ids.
    let git = place.git().await;
    let mirror = git
        .open_mirror(&place.path("mirror.git"), &Remote::from_local_path(&repo.root).unwrap())
        .await
        .unwrap();
    let error = mirror.fetch(&[head]).await.unwrap_err();
    assert!(matches!(error, GitError::Sha256 { .. }), "{error}");
}

#[tokio::test]
async fn every_call_may_run_on_another_thread() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let (git, root, out) = (place.git().await, repo.root.clone(), place.path("out"));
    let run = tokio::spawn(async move {
        let repository = git.open(&root).await?;
        let head = repository.head()?.clone();
        repository.default_branch_base(&head).await?;
        repository.parent_base(&head).await?;
        repository.resolve_commit("main").await?;
        repository.worktree_diff(&head).await?;
        repository.export(&head, &out, None).await
    });
    assert_eq!(run.await.unwrap().unwrap().file_count, 1);
}

/// Counts the calls of git, because starting git often takes longer than the work that git does.
#[tokio::test]
async fn a_working_tree_s_diff_takes_no_more_calls_than_it_needs() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("a.txt", "one\nchanged\n");
    repo.write("new.txt", "new\n");
    let log = place.path("log");
    let program = place.write_script("counted", &format!("echo $1 >> {}; exec git \"$@\"", log.display()));
    let git = Git::new(GitOptions { program, ..place.options() }).await.unwrap();
    let repository = git.open(&repo.root).await.unwrap();
    let head = repository.head().unwrap().clone();
    let base = repository.default_branch_base(&head).await.unwrap();
    let diff = diff_text(&repository.worktree_diff(&base.commit).await.unwrap().diff);
    assert!(diff.contains("+changed") && diff.contains("+new"), "{diff}");
    let calls = std::fs::read_to_string(log).unwrap();
    let mut calls = calls.lines().collect::<Vec<_>>();
    calls.sort_unstable();
    // The merge base is not queried, because HEAD is the tip of the default branch. Truing determines the
    // changed files and their sizes before git loads these files.
    assert_eq!(
        calls,
        [
            "--version",
            "cat-file",
            "config",
            "diff",
            "diff",
            "diff-files",
            "for-each-ref",
            "ls-files",
            "rev-parse",
            "update-index"
        ]
    );
}

/// Sets a new modification time on every file, as a copy of the clone would. Git must not store unchanged
/// files as new objects.
#[tokio::test]
async fn files_that_were_only_touched_are_not_written_again() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let names = (0..60).map(|number| format!("{number}.txt")).collect::<Vec<_>>();
    names.iter().for_each(|name| repo.write(name, name));
    repo.commit("many");
    names.iter().for_each(|name| {
        let file = std::fs::File::options().write(true).open(repo.root.join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    });
    // Counts the temporary objects that the diff wrote, before the diff deletes them.
    let count = place.path("count");
    let loose = "find \"$GIT_OBJECT_DIRECTORY\" -type f ! -path '*/pack/*' ! -path '*/info/*' | wc -l";
    let text = format!("[ \"$1\" = diff ] && {loose} > {}\nexec git \"$@\"", count.display());
    let git = Git::new(GitOptions { program: place.write_script("counting", &text), ..place.options() })
        .await
        .unwrap();
    let repository = git.open(&repo.root).await.unwrap();
    assert!(repository.worktree_diff(&repo.sha("HEAD")).await.unwrap().diff.is_empty());
    assert_eq!(std::fs::read_to_string(count).unwrap().trim(), "0");
}

#[tokio::test]
async fn folders_may_have_any_name() {
    let place = Place::new();
    let git = place.git().await;
    for name in ["two\nlines", "ends in one\n", "--truing-next", "a\n--b\n"] {
        let repo = place.create_repo(name);
        repo.write("a.txt", "changed\n");
        let repository = git.open(&repo.root).await.unwrap();
        assert_eq!(repository.root(), repo.root, "{name:?}");
        let diff = repository.worktree_diff(&repo.sha("HEAD")).await.unwrap().diff;
        assert!(diff_text(&diff).contains("+changed"), "{name:?}");
    }
    // The folder's name contains the separator that Truing expects between paths in git's output, so opening
    // the repository is an error.
    let repo = place.create_repo("a\n--truing-next\nb");
    let error = git.open(&repo.root).await.unwrap_err();
    assert!(matches!(error, GitError::UnknownOutput { call: "rev-parse", .. }), "{error}");
}

#[tokio::test]
async fn a_branch_gets_what_is_new_and_nothing_that_the_repository_has() {
    let place = Place::new();
    let repo = place.create_repo("r");
    for number in 0..20 {
        repo.write(format!("f{number}"), format!("{number}\n"));
    }
    let head = repo.commit("many");
    repo.run(["repack", "-a", "-d", "--quiet"]);
    let packed = || {
        let told = repo.run(["count-objects", "-v"]);
        let many = told.lines().find_map(|line| line.strip_prefix("in-pack: ")).unwrap();
        many.parse::<usize>().unwrap()
    };
    let before = packed();
    let git = place.git().await;
    let repository = git.open(&repo.root).await.unwrap();
    let mirror =
        git.open_mirror(&place.path("m"), &Remote::from_local_path(&repo.root).unwrap()).await.unwrap();
    mirror.fetch(std::slice::from_ref(&head)).await.unwrap();
    let alone = Repo { root: place.path("alone") };
    std::fs::create_dir(&alone.root).unwrap();
    alone.write("f1", "changed\n");
    let f1 = truing_core::RepoPath::from_bytes(b"f1");
    let staged = mirror.stage_changed_files(&head, &alone.root, &[f1], &[]).await.unwrap();
    let who = GitIdentity { name: "we".into(), email: "we@example.com".into() };
    let at = truing_core::id::UnixMillis(1_700_000_000_000);
    let new = NewCommit { message: "fix".into(), author: who.clone(), committer: who, commit_time: at };
    let made = staged.commit(&new).await.unwrap();
    mirror.store_commit(&made).await.unwrap();

    let branch = "truing/run/1";
    assert_eq!(repository.branch_write_error(branch, &head).await.unwrap(), None);
    assert_eq!(repository.branch_tip(branch).await.unwrap(), None);
    let taken = repository.import_commit(&mirror, &head, made.sha(), branch, None).await;
    assert!(taken.unwrap() && repository.branch_tip(branch).await.unwrap().as_ref() == Some(made.sha()));
    // The import adds three objects: a commit, a tree and a file.
    assert_eq!(packed(), before + 3);
    repo.run(["fsck", "--full", "--strict"]);
    assert_eq!(repository.branch_write_error(branch, &head).await.unwrap(), None);
    assert_eq!(repository.branch_tip(branch).await.unwrap().as_ref(), Some(made.sha()));

    // The parent of the commit is missing in this repository, so the branch is not created.
    let other = place.create_repo("other");
    let far = git.open(&other.root).await.unwrap();
    assert!(far.import_commit(&mirror, &head, made.sha(), branch, None).await.is_err());
    assert_eq!(far.branch_tip(branch).await.unwrap(), None);
    // The existing branch `truing/run` prevents a branch `truing/run/1`.
    other.run(["branch", "truing/run"]);
    let reason = far.branch_write_error(branch, &other.sha("HEAD")).await.unwrap().unwrap();
    assert!(reason.contains("refs/heads/truing/run"), "{reason}");
}
