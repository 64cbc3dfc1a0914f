//! Tests of `truing sandbox`. Each escape is attempted in the sandbox and, as a control, outside of it.
//! Further tests run commands in a sandbox and check that no process remains afterwards.

#![cfg(target_os = "linux")]
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::workspace::has_namespaces;

const TRUING: &str = env!("CARGO_BIN_EXE_truing");
/// Maximum wait for an event that is expected immediately.
const SOON: Duration = crate::support::HANGS;

fn truing_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(TRUING);
    command.args(arguments).env_clear().env("HOME", folder).env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.env("SECRET", "canary").current_dir(folder).stdin(Stdio::null());
    command
}

fn run_truing(folder: &Path, arguments: &[&str]) -> Output {
    truing_command(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Returns the exit code, the sandbox level, and for each performed check its name and whether the sandbox
/// stopped the attempt.
fn parse_check_results(output: &Output) -> (Option<i32>, String, Vec<(String, bool)>) {
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let tried = answer["checks"].as_array().unwrap().iter().filter(|check| !check["stopped"].is_null());
    let checks =
        tried.map(|check| (check["name"].as_str().unwrap().to_owned(), check["stopped"].as_bool().unwrap()));
    (output.status.code(), answer["level"].as_str().unwrap().to_owned(), checks.collect())
}

#[test]
fn every_escape_is_stopped() {
    if !has_namespaces() {
        return;
    }
    let here = folder();
    let (exit, level, checks) =
        parse_check_results(&run_truing(here.path(), &["sandbox", "check", "--format", "json"]));
    assert_eq!((exit, level.as_str()), (Some(0), "full"));
    assert!(checks.len() >= 40, "{checks:?}");
    assert!(checks.iter().all(|(_, stopped)| *stopped), "{checks:?}");
}

#[test]
fn without_namespaces_every_escape_is_stopped_and_everything_runs() {
    let here = folder();
    let check = ["sandbox", "check", "--level", "landlock", "--format", "json"];
    let output = run_truing(here.path(), &check);
    let (exit, level, checks) = parse_check_results(&output);
    assert_eq!((exit, level.as_str()), (Some(0), "landlock"), "{checks:?}");
    assert!(checks.iter().all(|(_, stopped)| *stopped), "{checks:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        answer["properties"],
        serde_json::json!(["no_network", "own_files", "no_other_process", "bounded"])
    );
    assert!(answer["runs"].as_array().unwrap().contains(&"converge".into()), "{answer}");
}

/// As a control, each attempted escape must succeed outside of a sandbox.
#[test]
fn without_a_sandbox_every_escape_works() {
    let here = folder();
    let output = run_truing(here.path(), &["sandbox", "check", "--level", "none", "--format", "json"]);
    let (exit, _, checks) = parse_check_results(&output);
    assert_eq!(exit, Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["properties"], serde_json::json!([]));
    assert_eq!(answer["runs"], serde_json::json!(["review", "sync without ports"]));
    let stopped: Vec<_> = checks.iter().filter(|(_, stopped)| *stopped).collect();
    assert!(stopped.is_empty(), "{stopped:?}");
}

#[test]
fn a_command_inside_reads_the_folder_and_its_exit_code_is_passed_on() {
    let here = folder();
    std::fs::write(here.path().join("file"), "text\n").unwrap();
    let script = "cat file; echo said >&2; touch new 2>/dev/null; touch $HOME/a $TMPDIR/b && exit 7";
    let output = run_truing(here.path(), &["sandbox", "run", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("text\n", "said\n"));
    assert!(!here.path().join("new").exists());
}

#[test]
fn the_text_of_a_check_fits_a_terminal_and_says_who_counts_memory() {
    let here = folder();
    let output = run_truing(here.path(), &["sandbox", "check"]);
    let told = text(&output.stdout);
    assert!(told.contains("memory of all processes: measured by the watcher"), "{told}");
    assert!(told.lines().all(|line| line.len() <= 80), "{told}");
}

#[test]
fn a_command_that_uses_too_much_is_3_and_the_bound_is_named() {
    let here = folder();
    // A script prints the sandbox's message without a memory limit. `truing sandbox check` tests the actual
    // limit.
    let says = "truing sandbox: memory limit exceeded by all processes together: 2 MiB of 1 MiB";
    let script = format!("echo said; echo '{says}' >&2; exit 137");
    let output = run_truing(here.path(), &["sandbox", "run", "--", "sh", "-c", &script]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "said\n"), "{output:?}");
    assert!(text(&output.stderr).contains("exceeded the memory limit of the sandbox (2 MiB of 1 MiB)"));
    // If a program was killed for a reason other than the memory limit, the command returns that program's
    // exit code.
    let output = run_truing(here.path(), &["sandbox", "run", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(output.status.code(), Some(137), "{output:?}");
}

#[test]
fn what_cannot_be_a_tree_cannot_be_read_either() {
    let here = folder();
    std::fs::write(here.path().join("a"), "").unwrap();
    for system in ["/", "/etc", "/etc/passwd", "/etc/ssl", "/proc", "/proc/self", "/usr", "/dev", "a"] {
        let output = run_truing(here.path(), &["sandbox", "run", "--read", system, "--", "true"]);
        assert_eq!(output.status.code(), Some(2), "{system}: {output:?}");
        assert!(text(&output.stderr).contains("--read"), "{output:?}");
    }
    let inside = run_truing(here.path(), &["sandbox", "run", "--read", ".", "--", "true"]);
    assert_eq!(inside.status.code(), Some(0), "{inside:?}");
}

/// The program `script` provides the terminal. Without `script`, the test is skipped.
#[test]
fn a_command_has_no_terminal_and_still_reads_what_is_typed() {
    let here = folder();
    let look = "for n in 0 1 2; do test -t $n && echo terminal $n; done; (exec </dev/tty) 2>/dev/null && \
                echo has one; read word; echo heard $word";
    let run = format!("'{TRUING}' sandbox run -- sh -c '{look}'");
    let mut command = Command::new("script");
    command.args(["-qec", &run, "/dev/null"]).env_clear().env("HOME", here.path());
    command.env("PATH", "/usr/bin:/bin").current_dir(here.path());
    let Ok(mut child) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else { return };
    child.stdin.take().unwrap().write_all(b"canary\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let told = text(&output.stdout);
    assert!(told.contains("heard canary"), "{output:?}");
    assert!(!told.contains("terminal") && !told.contains("has one"), "{output:?}");
}

#[test]
fn what_the_caller_has_left_open_does_not_come_inside() {
    let here = folder();
    std::fs::write(here.path().join("outside"), "canary").unwrap();
    let look = format!(
        "exec 7<outside 8>>written; exec '{TRUING}' sandbox run -- sh -c 'ls /proc/self/fd; cat <&7; echo x \
         >&8'"
    );
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &look]).env_clear().env("HOME", here.path()).env("PATH", "/usr/bin:/bin");
    let output = command.current_dir(here.path()).stdin(Stdio::null()).output().unwrap();
    let told = text(&output.stdout);
    // Descriptor 3 is the folder that `ls` itself opens. Without namespaces, a command cannot list the folder.
    assert_eq!(told, if has_namespaces() { "0\n1\n2\n3\n" } else { "" }, "{output:?}");
    assert_eq!(std::fs::read(here.path().join("written")).unwrap(), b"");
}

#[test]
fn a_command_inside_finds_nothing_of_the_environment_and_of_the_machine() {
    let here = folder();
    let output = run_truing(here.path(), &["sandbox", "run", "--", "env"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!text(&output.stdout).contains("canary"), "{output:?}");
    // Without namespaces, a path outside exists, but cannot be read.
    let look = if has_namespaces() { "ls" } else { "cat" };
    let paths = ["/etc/passwd", "/etc/shadow", "/root", "/proc/1/root/etc/passwd", "/sys/kernel"];
    let program = has_namespaces().then_some(TRUING);
    for path in paths.into_iter().chain(program) {
        let output = run_truing(here.path(), &["sandbox", "run", "--", look, path]);
        assert_ne!(output.status.code(), Some(0), "{path}: {output:?}");
    }
}

#[test]
fn a_program_that_is_not_there_is_127_and_the_system_is_no_tree() {
    let here = folder();
    assert_eq!(
        run_truing(here.path(), &["sandbox", "run", "--", "no-such-program"]).status.code(),
        Some(127)
    );
    assert_eq!(run_truing(here.path(), &["sandbox", "run"]).status.code(), Some(2));
    for system in ["/", "/usr", "/etc", "/proc"] {
        let output = run_truing(Path::new(system), &["sandbox", "run", "--", "true"]);
        assert_eq!(output.status.code(), Some(2), "{system}: {output:?}");
    }
}

/// In a sandbox, a second sandbox of the same level cannot be created. The command refuses to use a weaker
/// level, unless a parameter names this level.
#[test]
fn a_weaker_sandbox_is_refused_unless_it_is_accepted_by_name() {
    if !has_namespaces() {
        return;
    }
    let here = folder();
    let program = Path::new(TRUING);
    let read = program.parent().unwrap().to_str().unwrap();
    let within = |words: &[&str]| {
        run_truing(here.path(), &[&["sandbox", "run", "--read", read, "--"], words].concat())
    };
    let refused = within(&["truing", "sandbox", "run", "--", "true"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(text(&refused.stderr).contains("`none`, but at least `landlock` is required"), "{refused:?}");
    let accepted = within(&["env", "TRUING_SANDBOX__LEVEL=none", "truing", "sandbox", "run", "--", "true"]);
    assert_eq!(accepted.status.code(), Some(0), "{accepted:?}");
}

/// Returns the number of processes whose command line contains this word.
fn count_processes_with(word: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())).count()
}

fn wait_until(label: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "{label}");
        std::thread::yield_now();
    }
}

/// Shell command that starts a child process in a new session, without a connection to its parent.
const LINGERS: &str = "setsid sleep \"$0\" & echo started; sleep \"$0\"";

#[test]
fn what_takes_too_long_ends_with_everything_it_started() {
    let here = folder();
    let word = format!("8{:08}", std::process::id());
    // On a busy machine, the timeout may kill the command before its child process has started. The test then
    // repeats the run with a longer timeout.
    for seconds in [1, 2, 4, 8, 16] {
        let time = format!("{seconds}s");
        let output = run_truing(
            here.path(),
            &["sandbox", "run", "--timeout", &time, "--", "sh", "-c", LINGERS, &word],
        );
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        wait_until("something is left", || count_processes_with(&word) == 0);
        if text(&output.stdout) == "started\n" {
            return;
        }
    }
    panic!("it never began");
}

#[test]
fn a_killed_command_line_leaves_nothing() {
    let here = folder();
    let word = format!("9{:08}", std::process::id());
    let mut command = truing_command(here.path(), &["sandbox", "run", "--", "sh", "-c", LINGERS, &word]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    assert!(count_processes_with(&word) > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("something is left", || count_processes_with(&word) == 0);
}
