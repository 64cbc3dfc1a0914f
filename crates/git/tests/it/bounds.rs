//! Tests that the content of a repository can use only bounded time, memory and disk. Huge and endless files
//! are refused before git or Truing reads them.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use truing_git::{Git, GitError, GitLimits, GitOptions, WorktreeDiff};

use crate::support::{Place, Repo};

/// Time limit of a call. A call that waits for a writer of a pipe would exceed this limit.
const SOON: Duration = Duration::from_secs(120);

async fn worktree_diff(git: &Git, folder: &Path) -> Result<WorktreeDiff, GitError> {
    let work = async {
        let repository = git.open(folder).await?;
        let head = repository.head()?.clone();
        repository.worktree_diff(&head).await
    };
    tokio::time::timeout(SOON, work).await.expect("it waits")
}

async fn assert_special_file(git: &Git, folder: &Path, ending: &str) {
    let error = worktree_diff(git, folder).await.unwrap_err();
    assert!(matches!(&error, GitError::SpecialFile(named) if named.ends_with(ending)), "{ending}: {error}");
    assert!(error.is_wrong_input());
}

/// Creates a sparse file, which takes no space on disk.
fn create_sparse_file(path: &Path, bytes: u64) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::options().write(true).create(true).truncate(false).open(path).unwrap().set_len(bytes).unwrap();
}

fn create_pipe(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[tokio::test]
async fn a_huge_file_of_git_is_refused_before_it_is_copied_or_read() {
    let place = Place::new();
    let git = place.git().await;
    for (at, bytes) in [
        (".git/index", 5 << 30),
        (".git/sharedindex.1234", 5 << 30),
        (".git/packed-refs", 5 << 30),
        (".git/HEAD", 1 << 30),
        (".git/config", 1 << 30),
        (".git/shallow", 1 << 30),
        (".git/info/exclude", 1 << 30),
        (".git/refs/heads/other", 1 << 30),
        (".git/objects/info/alternates", 1 << 30),
    ] {
        let repo = place.create_repo(&at.replace('/', "-"));
        create_sparse_file(&repo.root.join(at), bytes);
        let error = worktree_diff(&git, &repo.root).await.unwrap_err();
        let GitError::HugeFile { path, bytes: found, .. } = &error else { panic!("{at}: {error}") };
        assert!(path.ends_with(at) && *found == bytes, "{at}: {error}");
        assert!(error.is_wrong_input(), "{at}");
    }
}

#[tokio::test]
async fn an_index_that_a_hook_names_is_bounded_too() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let repository = place.git().await.open(&repo.root).await.unwrap();
    create_sparse_file(&repo.root.join("other-index"), 5 << 30);
    let error = repository.snapshot_index(Some(Path::new("other-index"))).await.unwrap_err();
    assert!(matches!(&error, GitError::HugeFile { path, .. } if path.ends_with("other-index")), "{error}");
}

#[tokio::test]
async fn large_objects_and_large_files_of_other_programs_are_no_reason_to_refuse() {
    let place = Place::new();
    let repo = place.create_repo("r");
    create_sparse_file(&repo.root.join(".git/lfs/objects/ab/cd/abcd"), 5 << 30);
    create_sparse_file(&repo.root.join(".git/objects/pack/tmp_pack_x"), 5 << 30);
    worktree_diff(&place.git().await, &repo.root).await.unwrap();
}

#[tokio::test]
async fn a_pipe_that_git_would_read_in_the_working_tree_is_an_error_and_no_wait() {
    let place = Place::new();
    let git = place.git().await;
    for at in [
        ".gitignore",
        ".gitattributes",
        ".gitmodules",
        "sub/deeper/.gitignore",
        "sub/.gitattributes",
        "nested/.git/HEAD",
        "nested/.git/refs/heads/main",
    ] {
        let repo = place.create_repo(&at.replace('/', "-"));
        repo.write("sub/new.txt", "new\n");
        repo.write("sub/deeper/new.txt", "new\n");
        if at.starts_with("nested") {
            create_nested_repo(&repo);
            std::fs::remove_file(repo.root.join(at)).unwrap();
        }
        create_pipe(&repo.root.join(at));
        assert_special_file(&git, &repo.root, at).await;
    }
}

/// Creates a new repository in a folder of the given repository.
fn create_nested_repo(repo: &Repo) {
    repo.write("nested/file.txt", "new\n");
    repo.run(["init", "--quiet", "--initial-branch=main", "nested"]);
    let inner = Repo { root: repo.root.join("nested") };
    inner.commit("inner");
}

#[tokio::test]
async fn links_in_the_working_tree_are_not_followed() {
    let place = Place::new();
    let repo = place.create_repo("r");
    create_pipe(&place.path("outside/.gitignore"));
    std::os::unix::fs::symlink(place.path("outside"), repo.root.join("folder")).unwrap();
    std::os::unix::fs::symlink(place.path("outside/.gitignore"), repo.root.join(".gitattributes")).unwrap();
    std::os::unix::fs::symlink(&repo.root, repo.root.join("circle")).unwrap();
    // A pipe that git does not open is not an error: the pipe is skipped and listed.
    create_pipe(&repo.root.join("pipe"));
    worktree_diff(&place.git().await, &repo.root).await.unwrap();
}

#[tokio::test]
async fn a_pipe_or_a_device_that_the_configuration_includes_is_an_error_and_no_wait() {
    let place = Place::new();
    let git = place.git().await;
    let config = |name: &str, text: &str| {
        let repo = place.create_repo(name);
        let own = std::fs::read_to_string(repo.root.join(".git/config")).unwrap();
        repo.write(".git/config", format!("{own}{text}"));
        repo
    };
    let outside = place.path("outside");
    create_pipe(&outside);

    let repo = config("absolute", &format!("[include]\n\tpath = {}\n", outside.display()));
    assert_special_file(&git, &repo.root, "outside").await;
    let repo = config("relative", "[InClude]\n\tPATH = \"../../outside\"\n");
    assert_special_file(&git, &repo.root, "outside").await;
    let repo = config("condition", "[includeIf \"gitdir:**\"]\n\tpath = ../../outside\n");
    assert_special_file(&git, &repo.root, "outside").await;
    let repo = config("device", "[include]\n\tpath = /dev/zero\n");
    assert_special_file(&git, &repo.root, "/dev/zero").await;
    let repo = config("again", "[include]\n\tpath = more\n");
    repo.write(".git/more", "[include]\n\tpath = ../../outside\n");
    assert_special_file(&git, &repo.root, "outside").await;
    let repo = config("worktree", "[extensions]\n\tworktreeConfig = true\n");
    repo.write(".git/config.worktree", "[include]\n\tpath = ../../outside\n");
    assert_special_file(&git, &repo.root, "outside").await;

    // The included file may be missing, empty or plain, or the file itself if the condition of the include is
    // false.
    for (name, text) in [
        ("missing", "[include]\n\tpath = nowhere\n\tpath = ~/nowhere\n"),
        ("null", "[include]\n\tpath = /dev/null\n"),
        ("plain", "[include]\n\tpath = description\n"),
        ("circle", "[includeIf \"gitdir:/nowhere/\"]\n\tpath = config\n"),
    ] {
        let repo = config(name, text);
        repo.write(".git/description", "[core]\n\teol = lf\n");
        worktree_diff(&git, &repo.root).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// To determine the similarity of two files, git loads both, even if they are large.
#[tokio::test]
async fn git_has_no_more_memory_than_it_may_have() {
    let place = Place::new();
    let repo = place.create_repo("r");
    create_sparse_file(&repo.root.join("old.bin"), 100 << 20);
    let base = repo.commit("old");
    std::fs::rename(repo.root.join("old.bin"), repo.root.join("new.bin")).unwrap();
    create_sparse_file(&repo.root.join("new.bin"), 101 << 20);
    let head = repo.commit("new");
    let limits = GitLimits { memory_bytes: 64 << 20, file_bytes: 1 << 30, ..GitLimits::default() };
    let git = Git::new(GitOptions { limits, ..place.options() }).await.unwrap();
    let error = git.open(&repo.root).await.unwrap().diff(&base, &head).await.unwrap_err();
    assert!(matches!(&error, GitError::OutOfMemory { call: "diff", mib: 64, .. }), "{error}");
    assert!(!error.is_wrong_input() && !error.is_temporary());
}
