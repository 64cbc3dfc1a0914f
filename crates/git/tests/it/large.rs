//! Tests that git does not load a large file. The file is listed as skipped, and the rest of the change is
//! diffed.

use truing_core::outcome::{CoverageGap, SkipReason};
use truing_git::{CommitDiff, Git, GitLimits, GitOptions, LocalRepository};

use crate::support::{Place, Repo, diff_text};

const MIB: u64 = 1 << 20;

fn paths_and_reasons(skipped: &[CoverageGap]) -> Vec<(String, SkipReason)> {
    skipped.iter().map(|gap| (gap.path.to_string(), gap.reason)).collect()
}

fn too_large_entries(names: &[&str]) -> Vec<(String, SkipReason)> {
    names.iter().map(|name| ((*name).to_owned(), SkipReason::TooLarge)).collect()
}

/// Returns the lines that begin the sections of a diff.
fn section_headers(diff: &str) -> Vec<&str> {
    diff.lines().filter_map(|line| line.strip_prefix("diff --git a/")).collect()
}

async fn open_with_limits(place: &Place, repo: &Repo, limits: GitLimits) -> LocalRepository {
    let git = Git::new(GitOptions { limits, ..place.options() }).await.unwrap();
    git.open(&repo.root).await.unwrap()
}

/// Returns the diff of the last commit. Checks that the diffs of the index and of the working tree contain
/// the same change.
async fn last_commit_diff(place: &Place, repo: &Repo, limits: GitLimits) -> CommitDiff {
    let repository = open_with_limits(place, repo, limits).await;
    let (base, head) = (repo.sha("HEAD~1"), repo.sha("HEAD"));
    let found = repository.diff_with_omissions(&base, &head).await.unwrap();
    assert_eq!(repository.diff(&base, &head).await.unwrap(), found.diff);
    let staged = repository.snapshot_index(None).await.unwrap().diff(&base).await.unwrap();
    assert_eq!(
        (diff_text(&staged.diff), paths_and_reasons(&staged.skipped_files)),
        (diff_text(&found.diff), paths_and_reasons(&found.skipped_files))
    );
    let worktree = repository.worktree_diff(&base).await.unwrap();
    let new = found
        .skipped_files
        .iter()
        .filter(|gap| diff_text(&found.diff).contains(&format!("/dev/null and b/{} ", gap.path)));
    assert_eq!(
        worktree.large_new_files,
        new.map(|gap| gap.path.clone()).collect::<Vec<_>>(),
        "whole where they are"
    );
    assert_eq!(
        (diff_text(&worktree.diff), paths_and_reasons(&worktree.skipped_files)),
        (diff_text(&found.diff), paths_and_reasons(&found.skipped_files))
    );
    found
}

#[tokio::test]
async fn text_files_of_any_form_that_are_too_large_are_named_and_the_rest_is_diffed() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("a.py", "x = 1\n");
    repo.commit("base");
    repo.write("a.py", "x = 1\npassword = 'planted'\n");
    repo.write("text", "a line of a text that is long enough to be one of many\n".repeat(1_200_000));
    repo.write("line", "x".repeat(70_000_000));
    repo.write("lines", "ab\n".repeat(20_000_000));
    repo.commit("large");
    // To diff these files, git would need 800 MiB.
    let limits = GitLimits { memory_bytes: 32 * MIB, ..GitLimits::default() };
    let found = last_commit_diff(&place, &repo, limits).await;
    assert_eq!(paths_and_reasons(&found.skipped_files), too_large_entries(&["line", "lines", "text"]));
    let diff = diff_text(&found.diff);
    assert!(diff.contains("\n+password = 'planted'\n"), "{diff}");
    assert!(diff.contains("\nBinary files /dev/null and b/text differ\n"), "{diff}");
    assert_eq!(section_headers(&diff), ["a.py b/a.py", "line b/line", "lines b/lines", "text b/text"]);
}

#[tokio::test]
async fn each_way_to_change_a_large_file_stays_that_way() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let large = |letter: &str| letter.repeat(1500);
    repo.write("changed", large("a"));
    repo.write("gone", large("b"));
    repo.write("moved", large("c"));
    repo.write("shrunk", large("d"));
    repo.write("grown", "e");
    repo.write("mode", large("f"));
    repo.write("folder/x", "1\n");
    repo.write("file", large("g"));
    repo.write("binary", large("\0"));
    repo.write("became-binary", large("j"));
    repo.commit("base");
    repo.write("changed", large("A"));
    repo.run(["rm", "--quiet", "gone", "file", "folder/x"]);
    repo.run(["mv", "moved", "moved-away"]);
    repo.write("shrunk", "d");
    repo.write("grown", large("e"));
    repo.run(["update-index", "--chmod=+x", "mode"]);
    std::fs::set_permissions(repo.root.join("mode"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    repo.write("folder", large("h"));
    repo.write("file/x.py", "y = 1\n");
    repo.write("binary", large("\0\x01"));
    repo.write("became-binary", large("\0\x03"));
    repo.write("new-binary", large("\0\x02"));
    repo.write("new-text", large("i"));
    repo.commit("head");
    let repository =
        open_with_limits(&place, &repo, GitLimits { file_bytes: 1000, ..GitLimits::default() }).await;
    let (base, head) = (repo.sha("HEAD~1"), repo.sha("HEAD"));
    let found = repository.diff_with_omissions(&base, &head).await.unwrap();
    assert_eq!(
        paths_and_reasons(&found.skipped_files),
        too_large_entries(&["became-binary", "changed", "folder", "grown", "new-text", "shrunk"])
    );
    let diff = diff_text(&found.diff);
    for part in [
        "\nBinary files a/changed and b/changed differ\n",
        "\nBinary files a/gone and /dev/null differ\n",
        "\nsimilarity index 100%\nrename from moved\nrename to moved-away\n",
        "\nBinary files a/shrunk and b/shrunk differ\n",
        "\nBinary files a/grown and b/grown differ\n",
        "diff --git a/mode b/mode\nold mode 100644\nnew mode 100755\n",
        "\nBinary files /dev/null and b/folder differ\n",
        "\n--- a/folder/x\n+++ /dev/null\n",
        "\nBinary files a/file and /dev/null differ\n",
        "\n+++ b/file/x.py\n@@ -0,0 +1 @@\n+y = 1\n",
        "\nBinary files a/binary and b/binary differ\n",
        "\nBinary files /dev/null and b/new-binary differ\n",
    ] {
        assert!(diff.contains(part), "{part}\n{diff}");
    }
}

/// To determine the similarity of two files, git loads both.
#[tokio::test]
async fn two_large_files_are_not_compared_to_find_a_rename() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let file = |name| std::fs::File::create(repo.root.join(name)).unwrap();
    file("old.bin").set_len(100 * MIB).unwrap();
    repo.commit("old");
    std::fs::remove_file(repo.root.join("old.bin")).unwrap();
    file("new.bin").set_len(101 * MIB).unwrap();
    repo.commit("new");
    let repository =
        open_with_limits(&place, &repo, GitLimits { memory_bytes: 32 * MIB, ..GitLimits::default() }).await;
    let found = repository.diff_with_omissions(&repo.sha("HEAD~1"), &repo.sha("HEAD")).await.unwrap();
    let diff = diff_text(&found.diff);
    assert_eq!(section_headers(&diff), ["new.bin b/new.bin", "old.bin b/old.bin"]);
    assert_eq!(paths_and_reasons(&found.skipped_files), [], "it is binary");
}

#[tokio::test]
async fn of_many_files_the_largest_are_left_out_until_the_rest_fits() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let lines = |count: usize| "0123456\n".repeat(count);
    repo.write("changed", lines(900));
    repo.commit("base");
    repo.write("changed", lines(900) + "one more\n");
    for (name, count) in [("a", 10), ("b", 200), ("c", 400), ("d", 500), ("e", 20)] {
        repo.write(name, lines(count));
    }
    repo.commit("head");
    let found = last_commit_diff(&place, &repo, GitLimits { diff_bytes: 6000, ..GitLimits::default() }).await;
    assert_eq!(paths_and_reasons(&found.skipped_files), too_large_entries(&["c", "changed", "d"]));
    let diff = diff_text(&found.diff);
    assert_eq!(diff.matches("\n@@ ").count(), 3, "{diff}");
    assert_eq!(section_headers(&diff).len(), 6, "{diff}");
    // A large file is not skipped if the diff is within the limit, because the change of a large file may be
    // small.
    let found =
        last_commit_diff(&place, &repo, GitLimits { diff_bytes: 20_000, ..GitLimits::default() }).await;
    assert!(found.skipped_files.is_empty() && diff_text(&found.diff).contains("+one more\n"));
}

#[tokio::test]
async fn lines_of_deleted_files_are_left_out_before_those_of_any_other() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let lines = |count: usize| "0123456\n".repeat(count);
    for number in 0..20 {
        repo.write(format!("gone/{number}"), lines(100));
    }
    repo.write("changed", lines(300));
    repo.commit("base");
    std::fs::remove_dir_all(repo.root.join("gone")).unwrap();
    repo.write("changed", lines(300) + "one more\n");
    repo.write("new", lines(200));
    repo.commit("head");
    let found = last_commit_diff(&place, &repo, GitLimits { diff_bytes: 8000, ..GitLimits::default() }).await;
    let diff = diff_text(&found.diff);
    assert!(found.skipped_files.is_empty(), "{:?}", found.skipped_files);
    assert!(diff.contains("+one more\n") && diff.contains("+++ b/new\n"), "{diff}");
    assert_eq!(diff.matches("\ndeleted file mode ").count(), 20, "each deleted file is named");
}

#[tokio::test]
async fn paths_that_no_index_has_are_named_beside_a_large_file() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let blob = repo.run(["hash-object", "-w", "a.txt"]);
    repo.write("large", "x".repeat(2000));
    let large = repo.run(["hash-object", "-w", "large"]);
    let inner = place.path("inner");
    std::fs::write(&inner, format!("100644 blob {blob}\tconfig\n")).unwrap();
    let tree = |text: String| {
        let input = place.path("tree");
        std::fs::write(&input, text).unwrap();
        let script = format!("git mktree < '{}'", input.display());
        repo.run(["-c", &format!("alias.made=!{script}"), "made"])
    };
    let git_folder = tree(format!("100644 blob {blob}\tconfig\n"));
    let made = tree(format!(
        "040000 tree {git_folder}\t.git\n120000 blob {blob}\t.gitmodules\n100644 blob {blob}\tb.txt\n100644 \
         blob {large}\tlarge\n"
    ));
    let head = repo.run(["commit-tree", "-m", "head", "-p", "HEAD", &made]);
    let head = truing_core::id::Sha::parse(&head).unwrap();
    let repository =
        open_with_limits(&place, &repo, GitLimits { file_bytes: 1000, ..GitLimits::default() }).await;
    let found = repository.diff_with_omissions(&repo.sha("HEAD"), &head).await.unwrap();
    let expected = [
        (".git/config".to_owned(), SkipReason::Unreadable),
        (".gitmodules".to_owned(), SkipReason::Unreadable),
        ("large".to_owned(), SkipReason::TooLarge),
    ];
    assert_eq!(paths_and_reasons(&found.skipped_files), expected);
    assert!(diff_text(&found.diff).contains(" b/b.txt\n"));
}

#[tokio::test]
async fn names_alone_can_be_too_many() {
    let place = Place::new();
    let repo = place.create_repo("r");
    for number in 0..20 {
        repo.write(format!("empty-{number}"), "");
    }
    repo.commit("head");
    let repository =
        open_with_limits(&place, &repo, GitLimits { diff_bytes: 500, ..GitLimits::default() }).await;
    let error = repository.diff_with_omissions(&repo.sha("HEAD~1"), &repo.sha("HEAD")).await.unwrap_err();
    assert!(matches!(error, truing_git::GitError::TooLarge { call: "diff", limit: 500 }), "{error}");
}
