//! Tests of the hooks in `contrib/hooks` in real commits and pushes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::review::place::{Place, Ran, fake_key};

/// Creates a repository with the hooks of `contrib/hooks`, and a bare remote that already has `main`.
fn place() -> Place {
    let place = Place::new();
    place.git(["init", "--quiet", "--bare", "--initial-branch=main", "../remote.git"]);
    place.git(["remote", "add", "origin", "../remote.git"]);
    place.git(["push", "--quiet", "origin", "main"]);
    place.git(["remote", "set-head", "origin", "main"]);
    for hook in ["pre-commit", "pre-push"] {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/hooks").join(hook);
        std::fs::copy(script, place.repo().join(".git/hooks").join(hook)).unwrap();
    }
    place
}

/// Runs git in the repository, without this machine's git configuration. If `truing` is true, `PATH` contains
/// the built `truing` program, otherwise no `truing`.
fn run_git_with_path(place: &Place, arguments: &[&str], truing: bool) -> Ran {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_truing"));
    let path = std::env::var_os("PATH").unwrap();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.retain(|folder| !folder.join("truing").exists());
    if truing {
        folders.insert(0, program.parent().unwrap().to_owned());
    }
    let mut git = Command::new("git");
    git.args(["-c", "user.name=somebody", "-c", "user.email=s@example.org"]).args(arguments);
    git.current_dir(place.repo()).env_clear().env("PATH", std::env::join_paths(folders).unwrap());
    git.env("HOME", place.home()).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = git.output().unwrap();
    Ran {
        exit: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn git(place: &Place, arguments: &[&str]) -> Ran {
    run_git_with_path(place, arguments, true)
}

/// Returns the id of the commit to which a branch of the remote points.
fn remote_commit(place: &Place, branch: &str) -> String {
    place.git(["ls-remote", "origin", &format!("refs/heads/{branch}")]).split('\t').next().unwrap().to_owned()
}

const QUIET: &[&str] = &["push", "--quiet", "origin"];

#[test]
fn a_commit_is_made_quietly_or_not_at_all() {
    let place = place();
    place.write("b.py", "import os\n");
    place.git(["add", "--all"]);
    // The hook ignores unstaged changes, because they are not part of the commit.
    place.write("b.py", "breakpoint()\n");
    let clean = git(&place, &["commit", "--quiet", "-m", "clean"]);
    assert_eq!((clean.exit, clean.out.as_str(), clean.err.as_str()), (0, "", ""));

    place.write("c.py", format!("KEY = '{}'\n", fake_key()));
    place.git(["add", "c.py"]);
    let before = place.git(["rev-parse", "HEAD"]);
    let stopped = git(&place, &["commit", "--quiet", "-m", "a key"]);
    assert_eq!((stopped.exit, place.git(["rev-parse", "HEAD"])), (1, before));
    assert!(
        stopped.err.contains("P0[core/aws-access-key-id]") && !stopped.err.contains(&fake_key()),
        "{}",
        stopped.err
    );
    assert!(!stopped.err.contains("core/python-debugger"), "{}", stopped.err);
    assert!(
        stopped.err.ends_with("skip this hook: git commit --no-verify\n")
            || stopped.err.contains("--no-verify")
    );
    // For `git commit -a` and for `git commit` with paths, git uses a separate index file. Git passes the
    // path of this index file to the hook.
    let all = git(&place, &["commit", "--quiet", "-m", "a file", "--", "b.py"]);
    assert!(all.exit == 1 && all.err.contains("core/python-debugger"), "{}", all.err);
    assert!(!all.err.contains("core/aws-access-key-id"), "{}", all.err);
}

#[test]
fn a_first_commit_is_reviewed_too() {
    let place = Place::empty();
    place.git(["init", "--quiet", "--initial-branch=main"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib/hooks/pre-commit");
    std::fs::copy(script, place.repo().join(".git/hooks/pre-commit")).unwrap();
    place.write("b.py", "breakpoint()\n");
    place.git(["add", "--all"]);
    let stopped = git(&place, &["commit", "--quiet", "-m", "first"]);
    assert!(stopped.exit == 1 && stopped.err.contains("core/python-debugger"), "{}", stopped.err);
}

#[test]
fn a_push_is_quiet_and_what_blocks_stays_here() {
    let place = place();
    place.git(["checkout", "--quiet", "-b", "topic"]);
    place.write("b.py", "import os\n");
    place.commit_unchecked("clean");
    let clean = git(&place, &[QUIET, &["topic"]].concat());
    assert_eq!((clean.exit, clean.out.as_str(), clean.err.as_str()), (0, "", ""));
    let pushed = remote_commit(&place, "topic");

    place.write("c.md", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> topic\n");
    place.commit_unchecked("a conflict");
    let stopped = git(&place, &[QUIET, &["topic"]].concat());
    assert_ne!(stopped.exit, 0);
    assert_eq!(remote_commit(&place, "topic"), pushed);
    assert!(stopped.err.contains("P0[core/conflict-marker]"), "{}", stopped.err);
    assert!(
        stopped.err.contains("pre-push: refs/heads/topic is not pushed to refs/heads/topic\n"),
        "{}",
        stopped.err
    );

    // Commits that the remote already has are not reviewed again. The hook also reviews a pushed branch that
    // is not checked out.
    place.git(["push", "--quiet", "--no-verify", "origin", "topic"]);
    place.write("d.py", "import sys\n");
    place.commit_unchecked("clean again");
    place.git(["checkout", "--quiet", "main"]);
    let after = git(&place, &[QUIET, &["topic"]].concat());
    assert_eq!((after.exit, after.err.as_str()), (0, ""));
}

#[test]
fn several_refs_are_each_reviewed_and_a_deletion_and_a_tag_of_no_commit_are_not() {
    let place = place();
    place.git(["push", "--quiet", "--no-verify", "origin", "main:refs/heads/old"]);
    place.git(["tag", "blob", "HEAD:a.py"]);
    for (branch, text) in [("one", "import os\n"), ("two", "breakpoint()\n")] {
        place.git(["checkout", "--quiet", "-b", branch, "main"]);
        place.write("b.py", text);
        place.commit_unchecked(branch);
    }
    let gone = git(&place, &[QUIET, &["--delete", "old"]].concat());
    assert_eq!((gone.exit, gone.err.as_str(), remote_commit(&place, "old").as_str()), (0, "", ""));
    let tag = git(&place, &[QUIET, &["refs/tags/blob"]].concat());
    assert_eq!((tag.exit, tag.err.as_str()), (0, ""));
    let stopped = git(&place, &[QUIET, &["one", "two"]].concat());
    assert!(stopped.exit != 0 && stopped.err.contains("pre-push: refs/heads/two is not"), "{}", stopped.err);
    assert!(!stopped.err.contains("refs/heads/one is not"), "{}", stopped.err);
    assert_eq!(remote_commit(&place, "one"), "", "git pushes all or nothing");
}

#[test]
fn without_the_program_nothing_passes_and_the_way_past_is_told() {
    let place = place();
    place.write("b.py", "import os\n");
    place.git(["add", "--all"]);
    let commit = run_git_with_path(&place, &["commit", "--quiet", "-m", "x"], false);
    assert!(commit.exit == 1 && commit.err.contains("cannot run 'truing'"), "{}", commit.err);
    assert!(commit.err.contains("git commit --no-verify"), "{}", commit.err);
    place.commit_unchecked("x");
    let push = run_git_with_path(&place, &["push", "--quiet", "origin", "main"], false);
    assert!(push.exit != 0 && push.err.contains("git push --no-verify"), "{}", push.err);
}

/// Creates a commit with a defect, and after it a commit without a defect, so the branch's last commit has
/// none.
fn commit_hidden_defect(place: &Place) {
    place.write("s.py", format!("KEY = '{}'\n", fake_key()));
    place.commit_unchecked("a key");
    place.write("b.txt", "ok\n");
    place.commit_unchecked("ok");
}

#[test]
fn a_first_push_is_reviewed_as_a_whole() {
    let place = place();
    place.git(["init", "--quiet", "--bare", "--initial-branch=main", "../new.git"]);
    place.git(["remote", "set-url", "origin", "../new.git"]);
    place.git(["update-ref", "-d", "refs/remotes/origin/main"]);
    place.git(["symbolic-ref", "-d", "refs/remotes/origin/HEAD"]);
    commit_hidden_defect(&place);
    let stopped = git(&place, &[QUIET, &["main"]].concat());
    assert_ne!(stopped.exit, 0, "{}", stopped.err);
    assert!(stopped.err.contains("P0[core/aws-access-key-id]"), "{}", stopped.err);
    assert_eq!(remote_commit(&place, "main"), "");
    // For a remote that is given by its path, git has no remote-tracking branches. The hook therefore reviews
    // all commits.
    let stopped = git(&place, &["push", "--quiet", "../new.git", "main"]);
    assert!(stopped.exit != 0 && stopped.err.contains("core/aws-access-key-id"), "{}", stopped.err);
}

#[test]
fn the_hook_of_the_framework_reviews_a_first_push_as_a_whole() {
    let hooks = include_str!("../../../../../.pre-commit-hooks.yaml");
    let entry = hooks.split("entry: >-\n").nth(1).unwrap().split("  language:").next().unwrap();
    let entry = entry.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let place = Place::new();
    commit_hidden_defect(&place);
    let program = Path::new(env!("CARGO_BIN_EXE_truing")).parent().unwrap().display();
    let run = |variables: &[(&str, &str)]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &entry]).current_dir(place.repo()).env_clear().env("HOME", place.home());
        shell.env("PATH", format!("{program}:{}", std::env::var("PATH").unwrap()));
        let output = shell.envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    // The pre-commit framework passes no range to the hook if the remote has none of the branch's commits.
    let (exit, said) = run(&[("PRE_COMMIT_LOCAL_BRANCH", "refs/heads/main")]);
    assert!(exit == Some(1) && said.contains("core/aws-access-key-id"), "{said}");
    let range = [("PRE_COMMIT_FROM_REF", "main~1"), ("PRE_COMMIT_TO_REF", "main")];
    assert_eq!(run(&range).0, Some(0));
}

#[test]
fn a_new_branch_is_compared_with_what_the_remote_has_whatever_its_name() {
    let place = place();
    place.git(["remote", "rename", "origin", "upstream"]);
    place.write("old.py", "breakpoint()\n");
    place.commit_unchecked("an old fault");
    place.git(["push", "--quiet", "--no-verify", "upstream", "main"]);
    commit_hidden_defect(&place);
    let stopped = git(&place, &["push", "--quiet", "upstream", "main:topic"]);
    assert!(stopped.exit != 0 && stopped.err.contains("core/aws-access-key-id"), "{}", stopped.err);
    assert!(!stopped.err.contains("core/python-debugger"), "it already exists: {}", stopped.err);
}

#[test]
fn a_branch_that_was_rebased_is_compared_with_what_it_now_stands_on() {
    let place = place();
    place.git(["checkout", "--quiet", "-b", "topic"]);
    place.write("b.py", "import sys\n");
    place.commit_unchecked("topic");
    place.git(["push", "--quiet", "--no-verify", "origin", "topic"]);
    place.git(["checkout", "--quiet", "main"]);
    place.write("old.py", "breakpoint()\n");
    place.commit_unchecked("an old fault");
    place.git(["push", "--quiet", "--no-verify", "origin", "main"]);
    place.git(["-c", "core.hooksPath=/dev/null", "rebase", "--quiet", "main", "topic"]);
    let pushed = git(&place, &[QUIET, &["--force", "topic"]].concat());
    assert_eq!((pushed.exit, pushed.err.as_str()), (0, ""));
}

#[test]
fn a_branch_that_shares_no_history_is_compared_with_nothing() {
    let place = place();
    place.git(["checkout", "--quiet", "--orphan", "pages"]);
    place.commit_unchecked("pages");
    let pushed = git(&place, &[QUIET, &["pages"]].concat());
    assert_eq!((pushed.exit, pushed.err.as_str()), (0, ""));
    place.git(["checkout", "--quiet", "--orphan", "more"]);
    commit_hidden_defect(&place);
    let stopped = git(&place, &[QUIET, &["more"]].concat());
    assert!(stopped.exit != 0 && stopped.err.contains("core/aws-access-key-id"), "{}", stopped.err);
}

#[test]
fn what_the_remote_has_is_not_reviewed_and_one_tip_only_once() {
    let place = place();
    let (program, calls) = (place.home().join("counted"), place.home().join("calls"));
    let script = format!(
        "#!/bin/sh\necho called >> '{}'\nexec '{}' \"$@\"\n",
        calls.display(),
        env!("CARGO_BIN_EXE_truing")
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let hook = place.repo().join(".git/hooks/pre-push");
    let text = std::fs::read_to_string(&hook).unwrap();
    std::fs::write(&hook, text.replace("${TRUING:-truing}", &program.display().to_string())).unwrap();
    let count = || std::fs::read_to_string(&calls).unwrap_or_default().lines().count();

    place.git(["tag", "v1"]);
    place.git(["tag", "--annotate", "--message=2", "v2"]);
    let tags = git(&place, &[QUIET, &["v1", "v2", "main:copy"]].concat());
    assert_eq!((tags.exit, tags.err.as_str(), count()), (0, "", 0));

    place.write("b.py", "import os\n");
    place.commit_unchecked("more");
    place.git(["tag", "--annotate", "--message=3", "v3"]);
    let several = git(&place, &[QUIET, &["main", "main:copy", "v3"]].concat());
    assert_eq!((several.exit, several.err.as_str(), count()), (0, "", 1));

    place.write("c.py", "breakpoint()\n");
    place.commit_unchecked("a fault");
    let stopped = git(&place, &[QUIET, &["main", "main:copy"]].concat());
    assert_eq!((count(), stopped.err.matches("core/python-debugger").count()), (2, 1), "{}", stopped.err);
    for there in ["main", "copy"] {
        let line = format!("pre-push: refs/heads/main is not pushed to refs/heads/{there}\n");
        assert!(stopped.err.contains(&line), "{}", stopped.err);
    }
}
