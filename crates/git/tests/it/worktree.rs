//! Tests the comparison of the working tree with a commit.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use sha2::Digest as _;
use truing_core::outcome::SkipReason;
use truing_git::{Git, GitOptions, WorktreeDiff};

use crate::support::{Place, Repo, changed_paths, diff_text, snapshot_folder};

async fn worktree_diff(place: &Place, repo: &Repo) -> WorktreeDiff {
    let repository = place.git().await.open(&repo.root).await.unwrap();
    repository.worktree_diff(&repo.sha("HEAD")).await.unwrap()
}

fn skipped_files(diff: &WorktreeDiff) -> Vec<(String, SkipReason)> {
    diff.skipped_files.iter().map(|skipped| (skipped.path.to_string(), skipped.reason)).collect()
}

#[tokio::test]
async fn every_change_is_seen_and_none_is_made() {
    let place = Place::new();
    let repo = place.create_repo("r");
    for name in ["gone", "staged-gone", "mode", "becomes-folder", "folder/x", "linked/x", "back", "same"] {
        repo.write(name, format!("{name}\nold\n"));
    }
    repo.write(".gitignore", "ignored\n");
    let base = repo.commit("base");
    repo.write("later", "later\n");
    repo.commit("a commit on top of the base");

    repo.write("a.txt", "one\n2\nthree\n");
    repo.write("staged", "staged\n");
    repo.run(["add", "staged"]);
    repo.write("staged", "staged, then changed\n");
    repo.run(["rm", "--quiet", "staged-gone"]);
    repo.run(["rm", "--quiet", "--cached", "back"]);
    std::fs::remove_file(repo.root.join("gone")).unwrap();
    let mut mode = std::fs::metadata(repo.root.join("mode")).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(repo.root.join("mode"), mode).unwrap();
    std::fs::remove_file(repo.root.join("becomes-folder")).unwrap();
    repo.write("becomes-folder/inner", "inner\n");
    std::fs::remove_dir_all(repo.root.join("folder")).unwrap();
    repo.write("folder", "now a file\n");
    std::fs::remove_dir_all(repo.root.join("linked")).unwrap();
    symlink("/etc", repo.root.join("linked")).unwrap();
    repo.write("untracked/é", "new\n");
    repo.write(std::ffi::OsStr::from_bytes(b"caf\xe9\n\"x"), "odd\n");
    repo.write("ignored", "ignored\n");
    repo.write("by-exclude", "ignored too\n");
    repo.write(".git/info/exclude", "by-exclude\n");
    repo.run(["add", "--intent-to-add", "untracked/é"]);

    let before = snapshot_folder(&repo.root);
    let repository = place.git().await.open(&repo.root).await.unwrap();
    let result = repository.worktree_diff(&base).await.unwrap();
    assert_eq!(
        changed_paths(&before, &snapshot_folder(&repo.root)),
        Vec::<std::path::PathBuf>::new(),
        "something in the repository was touched"
    );

    let diff = diff_text(&result.diff);
    let headers = diff.lines().filter(|line| line.starts_with("diff --git")).collect::<Vec<_>>();
    assert_eq!(
        headers,
        [
            "diff --git a/a.txt b/a.txt",
            "diff --git a/becomes-folder b/becomes-folder",
            "diff --git a/becomes-folder/inner b/becomes-folder/inner",
            "diff --git \"a/caf\\351\\n\\\"x\" \"b/caf\\351\\n\\\"x\"",
            "diff --git a/folder b/folder",
            "diff --git a/folder/x b/folder/x",
            "diff --git a/gone b/gone",
            "diff --git a/later b/later",
            "diff --git a/linked b/linked",
            "diff --git a/linked/x b/linked/x",
            "diff --git a/mode b/mode",
            "diff --git a/staged b/staged",
            "diff --git a/staged-gone b/staged-gone",
            "diff --git \"a/untracked/\\303\\251\" \"b/untracked/\\303\\251\"",
        ]
    );
    for part in
        ["-two\n+2\n", "+staged, then changed\n", "old mode 100644\nnew mode 100755", "+/etc\n", "+odd\n"]
    {
        assert!(diff.contains(part), "{part:?} is not in:\n{diff}");
    }
    assert_eq!(result.skipped_files, []);
}

#[tokio::test]
async fn a_clean_tree_has_no_diff() {
    let place = Place::new();
    let repo = place.create_repo("r");
    assert_eq!(worktree_diff(&place, &repo).await, WorktreeDiff::default());
}

#[tokio::test]
async fn a_change_within_the_clocks_tick_is_seen() {
    let place = Place::new();
    let repo = place.create_repo("r");
    // The changed file has the same size and time as in the index; only its content differs.
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let set = |path: &str| {
        std::fs::File::options().write(true).open(repo.root.join(path)).unwrap().set_modified(at)
    };
    set("a.txt").unwrap();
    repo.run(["config", "core.trustctime", "false"]);
    repo.run(["update-index", "--refresh"]);
    set(".git/index").unwrap();
    std::fs::write(repo.root.join("a.txt"), "one\nTWO\nthree\n").unwrap();
    set("a.txt").unwrap();
    assert!(diff_text(&worktree_diff(&place, &repo).await.diff).contains("+TWO"));
}

#[tokio::test]
async fn files_over_the_bound_are_named_and_not_diffed() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let large = "x\n".repeat(600);
    for name in ["large-same", "large-changed", "small-then-large", "staged-then-large", "large\n\"name"] {
        repo.write(name, if name.starts_with("large") { large.as_str() } else { "small\n" });
    }
    repo.commit("base");
    // Only the time of this file changes, as if the whole folder had been copied.
    let again = std::fs::File::options().write(true).open(repo.root.join("large-same")).unwrap();
    again.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    std::fs::File::options()
        .write(true)
        .open(repo.root.join("large\n\"name"))
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH)
        .unwrap();
    repo.write("large-changed", large.clone() + "more\n");
    repo.write("small-then-large", large.clone());
    repo.write("staged-then-large", "staged\n");
    repo.run(["add", "staged-then-large"]);
    repo.write("staged-then-large", large.clone());
    repo.write("new-large", large.clone());
    repo.write("new-small", "new\n");

    let mut options = place.options();
    options.limits.file_bytes = 1000;
    let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
    let result = repository.worktree_diff(&repo.sha("HEAD")).await.unwrap();
    let large = |name: &str| (name.to_owned(), SkipReason::TooLarge);
    let expected =
        [large("large-changed"), large("new-large"), large("small-then-large"), large("staged-then-large")];
    assert_eq!(skipped_files(&result), expected);
    assert_eq!(result.large_new_files, ["new-large".into()], "the others may be old");
    let diff = diff_text(&result.diff);
    assert_eq!(diff.matches("diff --git").count(), 1, "{diff}");
    assert!(diff.contains("+++ b/new-small"), "{diff}");
}

#[tokio::test]
async fn new_files_have_a_bound_together() {
    let place = Place::new();
    let repo = place.create_repo("r");
    for name in ["n1", "n2", "n3"] {
        repo.write(name, "x".repeat(400));
    }
    let mut options = place.options();
    options.limits.total_bytes = 1000;
    let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
    let result = repository.worktree_diff(&repo.sha("HEAD")).await.unwrap();
    assert_eq!(skipped_files(&result), [("n3".to_owned(), SkipReason::TooLarge)]);
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("pipe", "tracked\n");
    repo.write("not-a-repository/.git~", "x\n");
    repo.commit("base");
    std::fs::remove_file(repo.root.join("pipe")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(repo.root.join("pipe")).status().unwrap().success());
    repo.write("sub/.GIT/config", "x\n");
    let nested = place.create_repo("r/nested");
    nested.write("inner", "x\n");
    let result = worktree_diff(&place, &repo).await;
    assert_eq!(
        skipped_files(&result),
        [
            ("nested/".to_owned(), SkipReason::Submodule),
            ("pipe".to_owned(), SkipReason::Unreadable),
            ("sub/.GIT/config".to_owned(), SkipReason::Unreadable),
        ]
    );
    assert_eq!(diff_text(&result.diff), "");
}

#[tokio::test]
async fn a_conflict_is_compared_as_it_lies_on_disk() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.run(["checkout", "--quiet", "-b", "other"]);
    repo.write("a.txt", "one\nother\nthree\n");
    repo.commit("other");
    repo.run(["checkout", "--quiet", "main"]);
    repo.write("a.txt", "one\nmine\nthree\n");
    repo.commit("mine");
    repo.run(["read-tree", "-m", "main~1", "main", "other"]);
    assert!(!repo.run(["ls-files", "--unmerged"]).is_empty());
    repo.write("a.txt", "one\n<<<<<<< mine\nthree\n");
    let diff = diff_text(&worktree_diff(&place, &repo).await.diff);
    assert_eq!(diff.matches("diff --git").count(), 1, "{diff}");
    assert!(diff.contains("+<<<<<<< mine"), "{diff}");
}

#[tokio::test]
async fn unusual_indexes_are_understood() {
    let place = Place::new();
    let git = place.git().await;
    for kind in ["split", "none", "sparse", "sparse-checkout", "untracked-cache", "version-4"] {
        let repo = place.create_repo(kind);
        repo.write("in/x", "x\n");
        repo.write("out/y", "y\n");
        repo.commit("base");
        match kind {
            "split" => drop(repo.run(["update-index", "--split-index"])),
            "none" => std::fs::remove_file(repo.root.join(".git/index")).unwrap(),
            "sparse" => {
                repo.run(["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
                assert!(!repo.root.join("out").exists());
            }
            "sparse-checkout" => {
                drop(repo.run(["sparse-checkout", "set", "--cone", "--no-sparse-index", "in"]));
            }
            "untracked-cache" => drop(repo.run(["update-index", "--force-untracked-cache"])),
            "version-4" => drop(repo.run(["update-index", "--index-version=4"])),
            other => panic!("{other}"),
        }
        repo.write("in/x", "changed\n");
        repo.write("new", "new\n");
        let before = snapshot_folder(&repo.root);
        let repository = git.open(&repo.root).await.unwrap();
        let result = repository.worktree_diff(&repo.sha("HEAD")).await.unwrap();
        let touched = changed_paths(&before, &snapshot_folder(&repo.root));
        // When git reads a sparse index, git may update the modification times of tree objects, but not the
        // content.
        let allowed = |path: &std::path::PathBuf| {
            kind == "sparse"
                && path.starts_with(repo.root.join(".git/objects"))
                && std::fs::read(path).unwrap() == before[path].0
        };
        assert!(touched.iter().all(allowed), "{kind}: {touched:?}");
        let diff = diff_text(&result.diff);
        let headers = diff.lines().filter(|line| line.starts_with("diff --git")).collect::<Vec<_>>();
        assert_eq!(headers, ["diff --git a/in/x b/in/x", "diff --git a/new b/new"], "{kind}");
    }
}

#[tokio::test]
async fn a_submodules_commit_is_a_change_and_its_files_are_not() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let inner = place.create_repo("inner");
    repo.run(["submodule", "--quiet", "add", inner.root.to_str().unwrap(), "sub"]);
    repo.commit("with a submodule");
    let sub = Repo { root: repo.root.join("sub") };
    sub.write("a.txt", "dirty\n");
    assert_eq!(worktree_diff(&place, &repo).await, WorktreeDiff::default());
    let commit = sub.commit("moved");
    let diff = diff_text(&worktree_diff(&place, &repo).await.diff);
    assert!(diff.contains(&format!("+Subproject commit {commit}\n")), "{diff}");
}

#[tokio::test]
async fn line_ends_are_compared_as_the_repository_stores_them() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write(".gitattributes", "*.bat text eol=crlf\n");
    repo.write("x.bat", "one\r\ntwo\r\n");
    repo.commit("base");
    repo.write("x.bat", "one\r\n2\r\n");
    let diff = diff_text(&worktree_diff(&place, &repo).await.diff);
    assert!(diff.contains(" one\n-two\n+2\n"), "{diff}");

    // Git does not convert a file that was committed with CRLF before `text=auto` was set.
    repo.write("old.txt", "one\r\ntwo\r\n");
    repo.commit("stored with CRLF");
    repo.write(".gitattributes", "* text=auto\n");
    repo.commit("attributes");
    repo.write("old.txt", "one\r\n2\r\n");
    let diff = diff_text(&worktree_diff(&place, &repo).await.diff);
    assert!(diff.contains(" one\r\n-two\r\n+2\r\n"), "{diff}");
}

#[tokio::test]
async fn line_ends_that_were_stored_stay_wherever_a_conversion_comes_from() {
    let place = Place::new();
    let by_setting: fn(&Repo) = |repo| drop(repo.run(["config", "core.autocrlf", "input"]));
    let by_ignored_file: fn(&Repo) = |repo| {
        repo.write(".gitignore", ".gitattributes\n");
        repo.write("sub/.gitattributes", "* text=auto\n");
    };
    for (name, ask) in [("setting", by_setting), ("ignored", by_ignored_file)] {
        let repo = place.create_repo(name);
        repo.write("sub/old.txt", "one\r\ntwo\r\n");
        repo.commit("stored with CRLF");
        ask(&repo);
        repo.write("sub/old.txt", "one\r\n2\r\n");
        let diff = diff_text(&worktree_diff(&place, &repo).await.diff);
        assert!(diff.contains(" one\r\n-two\r\n+2\r\n"), "{name}: {diff}");
    }
}

/// Sets git's configuration in each of the files and variables that git reads.
#[tokio::test]
async fn what_the_users_git_ignores_is_not_new_wherever_that_is_configured() {
    let place = Place::new();
    let home = place.path("home");
    std::fs::create_dir_all(home.join("xdg/git")).unwrap();
    let configuration = format!("[core]\n\texcludesFile = {}\n", place.path("excludes").display());
    std::fs::write(place.path("excludes"), "secret\n").unwrap();
    std::fs::write(place.path("named"), &configuration).unwrap();
    std::fs::write(place.path("empty"), "").unwrap();
    let include = format!("[include]\n\tpath = {}\n", place.path("named").display());
    let conditional = format!("[includeIf \"gitdir:**\"]\n\tpath = {}\n", place.path("named").display());
    let (named, empty) = (place.path("named"), place.path("empty"));
    let here = |name: &str, text: &str| std::fs::write(home.join(name), text).unwrap();
    let clear = || {
        here(".gitconfig", "");
        here("xdg/git/config", "");
        here("xdg/git/ignore", "");
    };
    type Case<'a> = (&'a str, Box<dyn Fn(&Repo) + 'a>, Vec<(&'a str, std::ffi::OsString)>);
    let in_home: &dyn Fn(&str) = &|text| here(".gitconfig", text);
    let relative = |repo: &Repo| {
        repo.run(["config", "core.excludesFile", ".git/own-list"]);
        repo.write(".git/own-list", "secret\n");
    };
    let cases: Vec<Case<'_>> = vec![
        ("user", Box::new(|_| in_home(&configuration)), vec![]),
        ("tilde", Box::new(|_| in_home("[core]\n\texcludesfile = ~/list\n")), vec![]),
        ("include", Box::new(|_| in_home(&include)), vec![]),
        ("conditional", Box::new(|_| in_home(&conditional)), vec![]),
        ("xdg", Box::new(|_| here("xdg/git/config", &configuration)), vec![]),
        ("default", Box::new(|_| here("xdg/git/ignore", "secret\n")), vec![]),
        ("system", Box::new(|_| {}), vec![("GIT_CONFIG_SYSTEM", named.clone().into())]),
        ("global", Box::new(|_| {}), vec![("GIT_CONFIG_GLOBAL", named.clone().into())]),
        (
            "repository",
            Box::new(|repo| drop(repo.run(["config", "include.path", named.to_str().unwrap()]))),
            vec![],
        ),
        ("relative", Box::new(relative), vec![]),
        (
            "variables",
            Box::new(|_| {}),
            vec![
                ("GIT_CONFIG_COUNT", "1".into()),
                ("GIT_CONFIG_KEY_0", "core.excludesFile".into()),
                ("GIT_CONFIG_VALUE_0", place.path("excludes").into()),
            ],
        ),
    ];
    for (name, configure, variables) in cases {
        clear();
        here("list", "secret\n");
        let repo = place.create_repo(name);
        repo.write("secret", "canary\n");
        repo.write("new", "seen\n");
        configure(&repo);
        let mut user_variables = vec![
            ("HOME".to_owned(), home.clone().into()),
            ("XDG_CONFIG_HOME".to_owned(), home.join("xdg").into()),
            ("GIT_CONFIG_SYSTEM".to_owned(), empty.clone().into()),
        ];
        user_variables.extend(variables.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let options = GitOptions {
            excludes_file: Some(home.join("xdg/git/ignore")),
            config_variables: user_variables,
            ..place.options()
        };
        let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
        let diff = diff_text(&repository.worktree_diff(&repo.sha("HEAD")).await.unwrap().diff);
        assert!(diff.contains("b/new") && !diff.contains("canary"), "{name}: {diff}");
        let new: Vec<String> =
            repository.untracked_files().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(new, ["new"], "{name}");
    }
}

/// The tests may run as root, who can open every folder. So the git of this test only prints the warning.
#[tokio::test]
async fn a_folder_that_git_cannot_open_is_a_gap() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("new", "seen\n");
    let warning = "warning: could not open directory 'h/': Permission denied";
    let script = format!("if [ \"$1\" = ls-files ]; then echo \"{warning}\" >&2; fi; exec git \"$@\"");
    let program = place.write_script("warning", &script);
    let git = Git::new(GitOptions { program, ..place.options() }).await.unwrap();
    let repository = git.open(&repo.root).await.unwrap();
    let result = repository.worktree_diff(&repo.sha("HEAD")).await.unwrap();
    assert!(diff_text(&result.diff).contains("+seen"));
    assert_eq!(skipped_files(&result), [("h".to_owned(), SkipReason::Unreadable)]);
}

// On other systems, no test can create the folder: paths are limited to 1,024 bytes.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_with_too_long_a_path_is_a_gap() {
    let place = Place::new();
    let repo = place.create_repo("r");
    // No call of the system accepts the whole path, so one half is moved below the other.
    let half = ["d".repeat(100).as_str(); 30].join("/");
    for top in ["outer", "inner"] {
        std::fs::create_dir_all(repo.root.join(top).join(&half)).unwrap();
    }
    repo.write(format!("inner/{half}/x.py"), "breakpoint()\n");
    let place_of_inner = repo.root.join("outer").join(&half).join("inner");
    std::fs::rename(repo.root.join("inner"), place_of_inner).unwrap();
    assert_eq!(
        skipped_files(&worktree_diff(&place, &repo).await),
        [("outer".to_owned(), SkipReason::Unreadable)]
    );
}

#[tokio::test]
async fn an_empty_name_of_the_ignore_file_switches_the_usual_one_off() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("new", "seen\n");
    std::fs::write(place.path("usual"), "new\n").unwrap();
    std::fs::write(place.path("configuration"), "[core]\n\texcludesFile =\n").unwrap();
    let user_variables = vec![("GIT_CONFIG_GLOBAL".to_owned(), place.path("configuration").into())];
    let options = GitOptions {
        excludes_file: Some(place.path("usual")),
        config_variables: user_variables,
        ..place.options()
    };
    let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
    assert_eq!(repository.untracked_files().await.unwrap().len(), 1);
}

#[tokio::test]
async fn line_ends_that_the_users_git_converts_are_no_change_and_programs_of_the_user_are_not_run() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("a.txt", "one\ntwo\n");
    let base = repo.commit("base");
    repo.write("a.txt", "one\r\n2\r\n");
    let trace = place.path("ran");
    let text_of = format!(
        "[core]\n\tautocrlf = true\n\tfsmonitor = \"touch {0}\"\n\teditor = \"touch \
         {0}\"\n[diff]\n\texternal = \"touch {0}\"\n",
        trace.display()
    );
    std::fs::write(place.path("configuration"), text_of).unwrap();
    let variable = ("GIT_CONFIG_GLOBAL".to_owned(), place.path("configuration").into());
    let options = GitOptions { config_variables: vec![variable], ..place.options() };
    let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
    let diff = diff_text(&repository.worktree_diff(&base).await.unwrap().diff);
    assert!(diff.contains(" one\n-two\n+2\n"), "{diff}");
    assert!(!trace.exists(), "a program was run");
}

#[tokio::test]
async fn the_users_ignore_file_counts_if_it_is_given() {
    let place = Place::new();
    let repo = place.create_repo("r");
    repo.write("scratch", "x\n");
    repo.write("kept", "x\n");
    // The repository's own `.git/info/exclude` overrides the user's file.
    repo.write(".git/info/exclude", "!kept\n");
    std::fs::write(place.path("excludes"), "scratch\nkept\n").unwrap();
    let options = GitOptions { excludes_file: Some(place.path("excludes")), ..place.options() };
    let repository = Git::new(options).await.unwrap().open(&repo.root).await.unwrap();
    let diff = diff_text(&repository.worktree_diff(&repo.sha("HEAD")).await.unwrap().diff);
    assert!(diff.contains("b/kept") && !diff.contains("scratch"), "{diff}");
}

#[tokio::test]
async fn what_git_does_not_look_for_in_the_working_tree_is_the_indexs() {
    let place = Place::new();
    for how in ["sparse", "flags"] {
        let repo = place.create_repo(how);
        for name in ["in/a", "out/a", "out/b"] {
            repo.write(name, "one\n");
        }
        let base = repo.commit("base");
        repo.write("out/a", "one\ntwo\n");
        repo.write("in/a", "one\ntwo\n");
        repo.commit("both");
        if how == "sparse" {
            repo.run(["sparse-checkout", "set", "--cone", "in"]);
        } else {
            repo.run(["update-index", "--skip-worktree", "out/a"]);
            repo.run(["update-index", "--assume-unchanged", "out/b"]);
            repo.write("out/a", "edited\n");
            std::fs::remove_file(repo.root.join("out/b")).unwrap();
        }
        assert_eq!(repo.run(["status", "--short"]), "", "{how}");

        let repository = place.git().await.open(&repo.root).await.unwrap();
        let clean = repository.worktree_diff(&repo.sha("HEAD")).await.unwrap();
        assert_eq!(clean, WorktreeDiff::default(), "{how}");
        let changed = repository.worktree_diff(&base).await.unwrap();
        let (unseen, diff) = (&changed.changed_unchecked_paths, diff_text(&changed.diff));
        assert_eq!(unseen.iter().map(ToString::to_string).collect::<Vec<_>>(), ["out/a"], "{how}");
        assert!(diff.contains("+++ b/out/a\n@@ -1 +1,2 @@\n one\n+two\n"), "{how}: {diff}");
        let (index, dest) =
            (repository.snapshot_index(None).await.unwrap(), place.path(&format!("{how}-out")));
        index.export(&dest, Some(unseen)).await.unwrap();
        assert_eq!(std::fs::read_to_string(dest.join("out/a")).unwrap(), "one\ntwo\n", "{how}");
    }
}

/// Returns the pointer that Git LFS stores in place of this content.
fn lfs_pointer(content: &[u8]) -> String {
    let (oid, size) = (hex::encode(sha2::Sha256::digest(content)), content.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n")
}

#[tokio::test]
async fn a_file_of_git_lfs_is_compared_with_its_pointer() {
    let place = Place::new();
    let repo = place.create_repo("r");
    let large = vec![7; 5 << 20];
    repo.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    for (name, content) in [("touched.bin", large.as_slice()), ("edited.bin", b"old"), ("pointer.bin", b"x")]
    {
        repo.write(name, lfs_pointer(content));
    }
    repo.write("plain.dat", lfs_pointer(b"old"));
    let base = repo.commit("base");
    repo.write("touched.bin", &large);
    repo.write("edited.bin", "new");
    repo.write("pointer.bin", lfs_pointer(b"y"));
    repo.write("plain.dat", "old");

    let result = worktree_diff(&place, &repo).await;
    assert_eq!(skipped_files(&result), [("edited.bin".to_owned(), SkipReason::Lfs)]);
    let diff = diff_text(&result.diff);
    assert!(!diff.contains("touched.bin") && !diff.contains("edited.bin"), "{diff}");
    assert!(diff.contains("+++ b/pointer.bin"), "a content that was not fetched has its pointer: {diff}");
    assert!(diff.contains("+++ b/plain.dat"), "the attributes do not give it to Git LFS: {diff}");
    assert_eq!(repo.sha("HEAD"), base);
}
