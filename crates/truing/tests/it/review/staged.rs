//! Tests of `truing review --staged`, which reviews the content of the next commit. The tests run it directly
//! and in git hooks.

use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::review::place::{Place, Ran, STOPS, field_of_findings};

/// Returns the paths of the findings in a review of the index.
fn staged_finding_paths(place: &Place) -> Vec<String> {
    finding_paths(&place.report(&["--staged"]))
}

fn finding_paths(report: &Value) -> Vec<String> {
    field_of_findings(report, "path").iter().map(|path| path.as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_staged_is_read_and_not_what_the_working_tree_has() {
    let place = Place::new();
    place.write("staged.py", STOPS);
    place.write("mended.py", "import re\n");
    place.git(["add", "--all"]);
    place.write("staged.py", "import os\n");
    place.write("mended.py", STOPS);
    place.write("new.py", STOPS);
    place.write("a.py", STOPS);
    assert_eq!(staged_finding_paths(&place), ["staged.py"]);
    place.git(["rm", "--quiet", "--force", "staged.py"]);
    let report = place.report(&["--staged"]);
    assert_eq!(report["coverage"]["reviewed"], json!(["mended.py"]));
    assert_eq!((&report["base"], &report["head"]), (&json!(place.git(["rev-parse", "HEAD"])), &Value::Null));
}

#[test]
fn the_text_says_what_was_compared() {
    let place = Place::new();
    place.write("b.py", "import re\n");
    place.git(["add", "b.py"]);
    assert_snapshot!(place.review(&["--staged"]).normalized_text(), @"
    no findings: 1 file reviewed, in 0.10 s
    reviewed the index against 0123456789 (HEAD)
    rules only: no model was called
    ");
}

#[test]
fn nothing_staged_is_skipped() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let ran = place.review(&["--staged"]);
    assert_eq!(ran.exit, 0, "{}", ran.out);
    assert_snapshot!(ran.normalized_text(), @"
    nothing to review: no changed files
    reviewed the index against 0123456789 (HEAD)
    rules only: no model was called
    ");
}

#[test]
fn before_the_first_commit_everything_staged_is_new() {
    let place = Place::empty();
    place.git(["init", "--quiet", "--initial-branch=main"]);
    assert_eq!(place.review(&["--staged"]).exit, 0, "no index yet");
    place.write("b.py", STOPS);
    place.write("c.py", STOPS);
    place.git(["add", "b.py"]);
    assert_eq!(staged_finding_paths(&place), ["b.py"]);
    let said = place.review(&["--staged"]).out;
    assert!(said.contains("reviewed the index against nothing (there is no commit yet)\n"), "{said}");
}

#[test]
fn a_named_base_is_where_the_branch_left_it() {
    let place = Place::new();
    let left = place.git(["rev-parse", "HEAD"]);
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("mine.py", STOPS);
    place.commit("mine");
    place.git(["checkout", "--quiet", "main"]);
    place.write("theirs.py", STOPS);
    place.commit("theirs");
    place.git(["checkout", "--quiet", "feature"]);
    place.write("staged.py", STOPS);
    place.git(["add", "staged.py"]);
    let report = place.report(&["--staged", "--base", "main"]);
    assert_eq!(
        (&report["base"], finding_paths(&report)),
        (&json!(left), vec!["mine.py".into(), "staged.py".into()])
    );
    let said = place.review(&["--staged", "--base", "main"]).out;
    assert!(said.contains(&format!("reviewed the index against {} (merge base with main)\n", &left[..10])));
}

#[test]
fn files_in_conflict_are_told_and_the_rest_is_reviewed() {
    let place = Place::new();
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("a.py", "import re\n");
    place.commit("mine");
    place.git(["checkout", "--quiet", "main"]);
    place.write("a.py", "import sys\n");
    place.commit("theirs");
    let merged = truing_fakes::repo::git_command(&place.repo())
        .args(["-c", "user.name=s", "-c", "user.email=s@example.org", "merge", "--quiet", "feature"])
        .output()
        .unwrap();
    assert!(!merged.status.success());
    place.write("b.py", STOPS);
    place.git(["add", "b.py"]);
    let report = place.report(&["--staged"]);
    assert_eq!(report["coverage"]["not_reviewed"], json!([{ "path": "a.py", "reason": "unmerged" }]));
    assert_eq!(
        (&report["outcome"]["kind"], finding_paths(&report)),
        (&json!("partial"), vec!["b.py".into()])
    );
}

#[test]
fn what_a_commit_would_not_take_or_is_no_text_is_left_out() {
    let place = Place::new();
    place.write("intended.py", STOPS);
    place.git(["add", "--intent-to-add", "intended.py"]);
    std::os::unix::fs::symlink("a.py", place.repo().join("link.py")).unwrap();
    place.git(["init", "--quiet", "sub"]);
    place.git_in(&place.repo().join("sub"), ["commit", "--quiet", "--allow-empty", "--message", "x"]);
    place.git(["-c", "advice.addEmbeddedRepo=false", "add", "sub", "link.py"]);
    let expected =
        json!([{ "path": "link.py", "reason": "symlink" }, { "path": "sub", "reason": "submodule" }]);
    let report = place.report(&["--staged"]);
    assert_eq!(report["coverage"], json!({ "reviewed": [], "not_reviewed": expected }));
}

#[test]
fn indexes_of_every_kind_are_read_and_none_is_changed() {
    let place = Place::new();
    place.write("in/x.py", "import os\n");
    place.write("out/y.py", "import os\n");
    place.commit("folders");
    place.write("in/x.py", STOPS);
    place.git(["add", "in/x.py"]);
    let unchanged = || {
        let before = place.read_all_files();
        assert_eq!(staged_finding_paths(&place), ["in/x.py"]);
        before == place.read_all_files()
    };
    assert!(unchanged());
    place.git(["update-index", "--split-index"]);
    place.write("in/z.py", "import os\n");
    place.git(["add", "in/z.py"]);
    assert!(unchanged());
    place.git(["update-index", "--no-split-index"]);
    for version in ["2", "3", "4"] {
        place.git(["update-index", "--index-version", version]);
        assert!(unchanged());
    }
    place.git(["sparse-checkout", "set", "--sparse-index", "in"]);
    assert_eq!(staged_finding_paths(&place), ["in/x.py"]);
    std::fs::write(place.repo().join(".git/index"), "DIRCrubbish").unwrap();
    let ran = place.review(&["--staged"]);
    assert!(ran.exit == 3 && ran.err.starts_with("error: git "), "{} {}", ran.exit, ran.err);
}

/// Git treats a missing index as empty, so the next commit would delete every file.
#[test]
fn without_an_index_everything_is_removed() {
    let place = Place::new();
    std::fs::remove_file(place.repo().join(".git/index")).unwrap();
    let report = place.report(&["--staged"]);
    assert_eq!(report["coverage"]["not_reviewed"], json!([{ "path": "a.py", "reason": "deleted" }]));
}

#[test]
fn ids_are_those_of_other_reviews_and_last() {
    let place = Place::new();
    place.write("b.py", "breakpoint()\nbreakpoint()\n");
    place.git(["add", "b.py"]);
    let of_tree = place.report(&[]);
    let report = place.report(&["--staged"]);
    let [_, second] = field_of_findings(&report, "id")[..] else { panic!("{report}") };
    assert_eq!(field_of_findings(&of_tree, "id"), field_of_findings(&report, "id"));
    place.write("b.py", "import os\nbreakpoint()\n");
    place.git(["add", "b.py"]);
    assert_eq!(
        field_of_findings(&place.report(&["--staged"]), "id"),
        [second],
        "only records know that it is the second"
    );
    let other = Place::new();
    other.write("b.py", STOPS);
    other.git(["add", "b.py"]);
    other.report(&["--staged", "--no-record"]);
    assert!(!other.store().exists());
}

#[test]
fn it_is_one_head_of_several() {
    let place = Place::new();
    let ran = place.review(&["--staged", "--head", "HEAD"]);
    assert_eq!((ran.exit, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("--staged") && ran.err.contains("--head"), "{}", ran.err);
}

#[test]
fn the_repositorys_own_file_is_the_working_trees_and_the_text_says_so() {
    let place = Place::new();
    place.write(".truing.toml", "[rules]\nignore = [\"b.py\"]\n");
    place.write("b.py", STOPS);
    place.git(["add", "b.py"]);
    let ran = place.review(&["--staged"]);
    assert!(
        ran.exit == 0 && ran.out.contains("configured by .truing.toml from the working tree\n"),
        "{}",
        ran.out
    );
}

// ---------------------------------------------------------------------------------------------- hooks

/// Installs a hook that runs a review and writes its JSON output to `hook.json` in the home folder.
fn hook(place: &Place, name: &str, arguments: &str) {
    let hooks = place.repo().join(".git/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    let source = place.home().join("hook.source");
    let script = format!(
        "#!/bin/sh\n'{}' review --quiet --format json {arguments} >'{}'\n",
        env!("CARGO_BIN_EXE_truing"),
        place.home().join("hook.json").display(),
    );
    // A separate `install` process writes the hook. If the test wrote it, a child process of another test
    // could inherit the open file, and the kernel would refuse to execute the hook.
    std::fs::write(&source, script).unwrap();
    assert!(
        Command::new("install").arg("-m755").arg(&source).arg(hooks.join(name)).status().unwrap().success()
    );
}

/// Runs git with its hooks. Returns the exit code, and the paths of the findings in the hook's review.
fn commit_with_hooks(place: &Place, folder: &Path, arguments: &[&str]) -> (i32, Vec<String>) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=s", "-c", "user.email=s@example.org"]).args(arguments).current_dir(folder);
    git.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", place.home());
    let ran = Ran::from(git.env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap());
    let said = std::fs::read_to_string(place.home().join("hook.json")).unwrap_or_default();
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said} {}", ran.err));
    (ran.exit, finding_paths(&report))
}

#[test]
fn a_pre_commit_hook_sees_what_each_kind_of_commit_takes() {
    let place = Place::new();
    place.write("deep/x.py", "import os\n");
    place.commit("second");
    hook(&place, "pre-commit", "--staged");
    let linked = place.home().join("linked");
    place.git(["worktree", "add", "--quiet", "-b", "linked", "../linked"]);
    let head = |folder: &Path| place.git_in(folder, ["rev-parse", "HEAD"]);
    for root in [place.repo(), linked] {
        let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
        let before = head(&root);
        let stops = |folder: &Path, arguments: &[&str], found: &[&str]| {
            let expected = (1, found.iter().map(|path| (*path).to_owned()).collect());
            assert_eq!(commit_with_hooks(&place, folder, arguments), expected, "{root:?} {arguments:?}");
        };
        write("a.py", STOPS);
        write("deep/x.py", STOPS);
        place.git_in(&root, ["add", "a.py"]);
        write("a.py", "import os\n");
        stops(&root, &["commit", "-m", "staged"], &["a.py"]);
        write("a.py", STOPS);
        stops(&root, &["commit", "-a", "-m", "all"], &["a.py", "deep/x.py"]);
        stops(&root, &["commit", "-m", "only", "--only", "deep/x.py"], &["deep/x.py"]);
        stops(&root, &["commit", "-m", "include", "--include", "deep/x.py"], &["a.py", "deep/x.py"]);
        stops(&root.join("deep"), &["commit", "-m", "below", "x.py"], &["deep/x.py"]);
        stops(&root.join("deep"), &["commit", "-a", "-m", "below"], &["a.py", "deep/x.py"]);
        stops(&root, &["commit", "--amend", "-m", "staged"], &["a.py"]);
        assert_eq!(head(&root), before);
        write("deep/x.py", "import re\n");
        assert_eq!(commit_with_hooks(&place, &root, &["commit", "-m", "only", "deep/x.py"]), (0, vec![]));
        assert_ne!(head(&root), before);
    }
}

#[test]
fn a_pre_commit_hook_stops_the_first_commit() {
    let place = Place::empty();
    place.git(["init", "--quiet", "--initial-branch=main"]);
    hook(&place, "pre-commit", "--staged");
    place.write("b.py", STOPS);
    place.git(["add", "b.py"]);
    assert_eq!(
        commit_with_hooks(&place, &place.repo(), &["commit", "-m", "first"]),
        (1, vec!["b.py".into()])
    );
    place.write("b.py", "import os\n");
    assert_eq!(commit_with_hooks(&place, &place.repo(), &["commit", "-a", "-m", "first"]), (0, vec![]));
}

#[test]
fn a_pre_push_hook_reviews_what_is_committed() {
    let place = Place::new();
    place.git(["init", "--quiet", "--bare", "../origin.git"]);
    place.git(["remote", "add", "origin", "../origin.git"]);
    place.git(["push", "--quiet", "origin", "main"]);
    hook(&place, "pre-push", "--head HEAD");
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("b.py", STOPS);
    place.commit("mine");
    place.write("c.py", STOPS);
    let (exit, found) = commit_with_hooks(&place, &place.repo(), &["push", "--quiet", "origin", "feature"]);
    assert_eq!((exit, found), (1, vec!["b.py".into()]));
    place.write("b.py", "import os\n");
    place.git(["commit", "--quiet", "--all", "--message", "mended"]);
    assert_eq!(
        commit_with_hooks(&place, &place.repo(), &["push", "--quiet", "origin", "feature"]),
        (0, vec![])
    );
}
