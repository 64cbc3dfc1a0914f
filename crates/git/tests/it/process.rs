//! Tests how Truing starts git as a child process, limits the process and ends it.

use std::path::Path;
use std::time::{Duration, Instant};

use truing_git::{Git, GitError, GitOptions};

use crate::support::Place;

/// Maximum wait for a condition; after that time, the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// Returns options with a fake git. The program answers the version check, and runs the script `text` for
/// other calls.
fn fake_git(place: &Place, text: &str) -> GitOptions {
    let text = format!("if [ \"$1\" = --version ]; then echo git version 2.47.0; exit; fi\n{text}");
    GitOptions { program: place.write_script("fake-git", &text), ..place.options() }
}

/// Returns true if the process is running. A zombie does not count as running.
pub(crate) fn is_running(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).is_some_and(|state| state != 'Z')
}

pub(crate) async fn wait_until(condition_name: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {condition_name}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns a fake git that starts a child, writes the child's id to a file, and hangs. Also returns the path
/// of this file.
fn hanging_git(place: &Place) -> (GitOptions, std::path::PathBuf) {
    let pid = place.path("pid");
    let text = format!("sleep 1000 & echo $! > {0}.part; mv {0}.part {0}; wait", pid.display());
    (fake_git(place, &text), pid)
}

#[tokio::test]
async fn a_call_that_hangs_is_ended_with_all_it_started() {
    let place = Place::new();
    let (options, pid) = hanging_git(&place);
    let git = Git::new(options).await.unwrap();
    let folder = place.path("");
    let call = tokio::spawn(async move { git.open(&folder).await.map(drop) });
    wait_until("the grandchild has begun", || pid.exists()).await;
    tokio::time::pause();
    tokio::time::advance(truing_git::options::LOCAL_TIMEOUT).await;
    let error = call.await.unwrap().unwrap_err();
    tokio::time::resume();
    assert!(matches!(error, GitError::TimedOut { call: "rev-parse", .. }), "{error}");
    assert!(!error.is_wrong_input());
    let pid = std::fs::read_to_string(pid).unwrap();
    wait_until("the grandchild is gone", || !is_running(pid.trim())).await;
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_ended_with_all_it_started() {
    let place = Place::new();
    let (options, pid) = hanging_git(&place);
    let git = Git::new(options).await.unwrap();
    let folder = place.path("");
    let call = tokio::spawn(async move { git.open(&folder).await.map(drop) });
    wait_until("the grandchild has begun", || pid.exists()).await;
    let pid = std::fs::read_to_string(pid).unwrap();
    assert!(is_running(pid.trim()));
    call.abort();
    wait_until("the grandchild is gone", || !is_running(pid.trim())).await;
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let place = Place::new();
    let git = Git::new(fake_git(&place, "exec yes")).await.unwrap();
    let error = git.open(&place.path("")).await.unwrap_err();
    assert!(matches!(error, GitError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn words_without_end_neither_block_nor_fill_memory() {
    let place = Place::new();
    let text = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo fatal: enough >&2; exit 128";
    let git = Git::new(fake_git(&place, text)).await.unwrap();
    let GitError::CommandFailed { message, .. } = git.open(&place.path("")).await.unwrap_err() else {
        panic!()
    };
    assert!(message.len() <= truing_git::options::MAX_MESSAGE_CHARS, "{}", message.len());
}

#[tokio::test]
async fn the_environment_is_made_from_nothing() {
    let place = Place::new();
    let seen = place.path("seen");
    let mut options = fake_git(&place, &format!("env > {}; exit 128", seen.display()));
    let mut path = std::ffi::OsString::from(".:relative::");
    path.push(options.search_path.path_variable());
    options.search_path = truing_git::SearchPath::from_path_variable(&path, []);
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some(), "this test shows that nothing is inherited");
    let git = Git::new(options).await.unwrap();
    git.open(&place.path("")).await.unwrap_err();

    let seen = std::fs::read_to_string(seen).unwrap();
    for line in seen.lines() {
        let (name, value) = line.split_once('=').unwrap();
        let known = name.starts_with("GIT_") || matches!(name, "PATH" | "HOME" | "LC_ALL" | "SSH_ASKPASS")
            // Variables that the shell itself sets.
            || matches!(name, "PWD" | "_" | "SHLVL" | "OLDPWD");
        assert!(known, "{line}");
        match name {
            "PATH" => assert!(value.split(':').all(|folder| Path::new(folder).is_absolute()), "{value}"),
            "HOME" => assert_eq!(std::fs::read_dir(value).unwrap().count(), 0, "{value}"),
            "GIT_ALLOW_PROTOCOL" => assert_eq!(value, "none"),
            "GIT_CONFIG_GLOBAL" | "GIT_CONFIG_SYSTEM" => assert_eq!(value, "/dev/null"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_program_that_is_missing_old_or_silent_is_named() {
    let place = Place::new();
    let with = |program: std::path::PathBuf| GitOptions { program, ..place.options() };

    let missing = Git::new(with("no-such-git".into())).await.unwrap_err();
    assert!(matches!(&missing, GitError::NoGit { .. }) && missing.to_string().contains("no-such-git"));
    let old = Git::new(with(place.write_script("old", "echo git version 2.33.9"))).await.unwrap_err();
    assert_eq!(
        old.to_string(),
        "git is too old: `git --version` prints `git version 2.33.9`, but Truing requires 2.34 or newer"
    );
    assert!(old.hint().contains("2.34") && !old.is_wrong_input());
    let other = Git::new(with(place.write_script("other", "echo hello"))).await.unwrap_err();
    assert!(matches!(other, GitError::TooOld { .. }), "{other}");
    let mut silent = with(place.write_script("silent", "exec sleep 1000"));
    silent.limits.local_timeout = Duration::from_millis(100);
    assert!(matches!(Git::new(silent).await.unwrap_err(), GitError::TimedOut { .. }));
}
