//! Tests of the real sandbox: each escape is attempted inside the sandbox and, for comparison, outside. Other
//! tests cover the levels `full` and `landlock`, and check that no process of a command remains.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of tests may fail them, and say what it saw"
)]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use tempfile::TempDir;
use truing_agent::sandbox::{
    EscapeCheck, EscapeProbe, HELPER_FAILED_EXIT_CODE, JobCommand, LIMIT_EXCEEDED_EXIT_CODE,
    NOT_STARTED_EXIT_CODE, SandboxError, SandboxJob, SandboxLevel, SandboxLimit, check_escapes,
    check_escapes_with_landlock, detect_level, exceeded_limit, require_level,
};

use crate::support::{Test, has_namespaces, until, with_word};

/// Minimum number of attempts that must be stopped.
const MOST_TRIES: usize = 40;
/// Argument with which this program runs itself as another user, to make all attempts. No test's name
/// contains the argument, so the argument cannot be confused with a test filter.
pub(crate) const TRIES: &str = "/tries";
/// Id of a user who owns no files.
const NOBODY: u32 = 65534;
/// Argument with which this program runs itself inside a sandbox.
pub(crate) const NESTED: &str = "/nested";

/// Returns all tests of this file. The tests that make all attempts run alone, because they use much of the
/// machine and measure its resources.
pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("every_escape_is_stopped", every_escape_is_stopped).needs(has_namespaces).alone(),
        Test::new("every_escape_of_an_ordinary_user_is_stopped", every_escape_of_an_ordinary_user_is_stopped)
            .needs(has_namespaces)
            .needs(is_root)
            .alone(),
        Test::new("without_namespaces_every_escape_is_stopped", without_namespaces_every_escape_is_stopped)
            .alone(),
        Test::new("on_older_kernels_every_escape_is_stopped", on_older_kernels_every_escape_is_stopped)
            .alone(),
        Test::new("without_a_sandbox_every_escape_works", without_a_sandbox_every_escape_works).alone(),
        Test::new(
            "a_command_reads_its_tree_and_its_end_is_told",
            a_command_reads_its_tree_and_its_end_is_told,
        ),
        Test::new("what_passes_a_bound_ends_and_says_which", what_passes_a_bound_ends_and_says_which),
        Test::new("a_terminal_is_not_taken_for_a_stream", a_terminal_is_not_taken_for_a_stream)
            .needs(has_terminals),
        Test::new(
            "a_tree_that_may_be_written_keeps_its_git_folder",
            a_tree_that_may_be_written_keeps_its_git_folder,
        )
        .needs(has_namespaces),
        Test::new(
            "a_command_finds_nothing_of_the_environment_and_the_machine",
            a_command_finds_nothing_of_the_environment_and_the_machine,
        ),
        Test::new("a_command_has_a_network_of_its_own", a_command_has_a_network_of_its_own)
            .needs(has_namespaces),
        Test::new("the_system_is_no_tree", the_system_is_no_tree),
        Test::new(
            "a_weaker_sandbox_is_refused_unless_it_is_accepted",
            a_weaker_sandbox_is_refused_unless_it_is_accepted,
        )
        .needs(has_namespaces),
        Test::new("a_killed_helper_leaves_nothing", a_killed_helper_leaves_nothing),
        Test::new("a_job_reaches_its_own_servers_alone", a_job_reaches_its_own_servers_alone),
        Test::new("a_job_changes_the_permissions_of_its_files", a_job_changes_the_permissions_of_its_files),
        Test::new(
            "a_job_signals_its_own_processes_on_older_kernels",
            a_job_signals_its_own_processes_on_older_kernels,
        ),
        Test::new("a_hidden_file_cannot_be_read", a_hidden_file_cannot_be_read),
    ]
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Opens a new terminal; returns `None` on a machine without terminals.
fn terminal() -> Option<std::fs::File> {
    std::fs::File::options().read(true).write(true).open("/dev/ptmx").ok()
}

fn has_terminals() -> bool {
    terminal().is_some()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn job(tree: &Path, run: JobCommand) -> SandboxJob {
    let mut job = SandboxJob::new(detect_level(folder().path()), tree, run).unwrap();
    job.private_folder = tree.to_owned();
    job
}

fn shell(script: &str) -> JobCommand {
    JobCommand::Program(["sh", "-c", script].map(OsString::from).to_vec())
}

fn output(job: &SandboxJob) -> Output {
    job.command().unwrap().stdin(Stdio::null()).output().unwrap()
}

/// Returns the names of the attempts that were stopped or, if `stopped` is false, of those that succeeded.
fn names(checks: &[EscapeCheck], stopped: bool) -> Vec<&str> {
    checks.iter().filter(|check| check.is_blocked == Some(stopped)).map(|check| check.name).collect()
}

fn every_escape_is_stopped() {
    assert_eq!(detect_level(folder().path()), SandboxLevel::Full);
    assert_eq!(all_tries(), ExitCode::SUCCESS);
}

/// Makes all attempts as a user other than root, because some kernel limits do not apply to root.
fn every_escape_of_an_ordinary_user_is_stopped() {
    let mut command = Command::new("/proc/self/exe");
    command.arg(TRIES).uid(NOBODY).gid(NOBODY).current_dir("/").env("TMPDIR", "/tmp");
    assert!(command.status().unwrap().success());
}

/// Makes all attempts at the strongest level, and prints the result of each.
pub(crate) fn all_tries() -> ExitCode {
    let checks = check_escapes(SandboxLevel::Full).unwrap();
    for EscapeCheck { name, is_blocked: stopped, note, held_bytes: held, limit } in &checks {
        let held = held.zip(*limit).map(|(held, limit)| format!("held {held} of {limit}"));
        println!("  {stopped:?} {name} {} {}", note.as_deref().unwrap_or_default(), held.unwrap_or_default());
    }
    let (stopped, escaped) = (names(&checks, true).len(), names(&checks, false));
    println!("  user {}: {stopped} stopped, {escaped:?} not", rustix::process::geteuid().as_raw());
    if escaped.is_empty() && stopped >= MOST_TRIES { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn without_namespaces_every_escape_is_stopped() {
    let checks = check_escapes(SandboxLevel::Landlock).unwrap();
    assert_eq!(names(&checks, false), [""; 0]);
    assert!(names(&checks, true).len() >= MOST_TRIES, "{checks:?}");
}

/// Versions 1 and 4 of Landlock lack restrictions that the filter and the mediator then enforce.
fn on_older_kernels_every_escape_is_stopped() {
    for version in [1, 4] {
        let checks = check_escapes_with_landlock(SandboxLevel::Landlock, Some(version)).unwrap();
        assert_eq!(names(&checks, false), [""; 0], "{version}");
        assert!(names(&checks, true).len() >= MOST_TRIES, "{checks:?}");
    }
}

/// For comparison: outside a sandbox, all attempts succeed.
fn without_a_sandbox_every_escape_works() {
    let checks = check_escapes(SandboxLevel::None).unwrap();
    assert_eq!(names(&checks, true), [""; 0]);
}

fn a_command_reads_its_tree_and_its_end_is_told() {
    let here = folder();
    std::fs::write(here.path().join("file"), "text\n").unwrap();
    let script = "cat file; echo said >&2; touch new 2>/dev/null; touch $HOME/a $TMPDIR/b && exit 7";
    let ended = output(&job(here.path(), shell(script)));
    assert_eq!(ended.status.code(), Some(7), "{ended:?}");
    assert_eq!((ended.stdout.as_slice(), ended.stderr.as_slice()), (&b"text\n"[..], &b"said\n"[..]));
    assert!(detect_level(folder().path()) != SandboxLevel::Full || !here.path().join("new").exists());
    assert_eq!(output(&job(here.path(), shell("kill -9 $$"))).status.code(), Some(128 + 9));
    let missing = JobCommand::Program(vec!["no-such-program".into()]);
    assert_eq!(output(&job(here.path(), missing)).status.code(), Some(i32::from(NOT_STARTED_EXIT_CODE)));
}

/// A command that exceeds a limit is stopped, and the exceeded limit is reported. This also applies at levels
/// without namespaces, and after the command has printed text.
fn what_passes_a_bound_ends_and_says_which() {
    let here = folder();
    let sleeps = ["sleep 1000"; 6].join(" | ");
    let script = format!("echo said >&2; head -c 40M /dev/zero > \"$TMPDIR/a\"; {sleeps}");
    let ended = |level: SandboxLevel, bound: SandboxLimit| {
        let mut job = job(here.path(), shell(&script));
        job.level = level;
        match bound {
            SandboxLimit::Memory => job.limits.memory = 32 << 20,
            // The helper's own processes count until the command starts, which takes long on a busy machine.
            SandboxLimit::Processes => job.limits.processes = 4,
            SandboxLimit::Disk => job.limits.disk = 30 << 20,
            SandboxLimit::Sockets => {}
        }
        let ended = output(&job);
        assert_eq!(
            ended.status.code(),
            Some(i32::from(LIMIT_EXCEEDED_EXIT_CODE)),
            "{level:?} {bound:?}: {ended:?}"
        );
        assert!(ended.stderr.starts_with(b"said\n"), "{ended:?}");
        exceeded_limit(ended.status.code(), &ended.stderr).map(|(bound, _)| bound)
    };
    if has_namespaces() {
        assert_eq!(ended(SandboxLevel::Full, SandboxLimit::Memory), Some(SandboxLimit::Memory));
    }
    assert_eq!(ended(SandboxLevel::Landlock, SandboxLimit::Processes), Some(SandboxLimit::Processes));
    assert_eq!(ended(SandboxLevel::None, SandboxLimit::Processes), Some(SandboxLimit::Processes));
    // The command writes several files, because the kernel itself stops a write to a single file at a size
    // limit.
    let many = "echo said >&2; for n in 1 2 3; do head -c 20M /dev/zero > \"$TMPDIR/$n\"; done; sleep 60";
    let mut job = job(here.path(), shell(many));
    (job.level, job.limits.disk) = (SandboxLevel::Landlock, 30 << 20);
    let ended = output(&job);
    assert_eq!(
        exceeded_limit(ended.status.code(), &ended.stderr).map(|(bound, _)| bound),
        Some(SandboxLimit::Disk),
        "{ended:?}"
    );
    // A limit counts as exceeded only if the job has the exit code of a killed job and its last line reports
    // the limit.
    let line = b"truing sandbox: memory limit exceeded by all processes together: 2 of 1\n";
    assert_eq!(exceeded_limit(Some(1), line), None);
    assert_eq!(exceeded_limit(Some(137), b"memory limit exceeded"), None);
}

fn a_terminal_is_not_taken_for_a_stream() {
    let terminal = terminal().unwrap();
    let here = folder();
    let mut command = job(here.path(), shell("true")).command().unwrap();
    let refused = command.stdin(terminal).output().unwrap();
    assert_eq!(refused.status.code(), Some(i32::from(HELPER_FAILED_EXIT_CODE)), "{refused:?}");
    assert!(
        String::from_utf8_lossy(&refused.stderr)
            .contains("the standard streams of the sandbox helper include a terminal"),
        "{refused:?}"
    );
}

fn a_tree_that_may_be_written_keeps_its_git_folder() {
    let here = folder();
    std::fs::create_dir(here.path().join(".git")).unwrap();
    let mut job = job(here.path(), shell("touch new; touch .git/config; mv .git gone"));
    job.writable = true;
    assert_ne!(output(&job).status.code(), Some(0));
    assert!(here.path().join("new").exists());
    assert!(here.path().join(".git").exists() && !here.path().join(".git/config").exists());
}

fn a_command_finds_nothing_of_the_environment_and_the_machine() {
    let here = folder();
    let mut command = job(here.path(), shell("env; cat /proc/self/environ")).command().unwrap();
    let ended = command.env("SECRET", "canary").output().unwrap();
    assert!(!String::from_utf8_lossy(&ended.stdout).contains("canary"), "{ended:?}");
    let mut told = job(here.path(), shell("env"));
    told.variables = vec![("TOLD".into(), "canary".into())];
    let command = told.command().unwrap();
    assert!(!format!("{:?}", command.get_args().collect::<Vec<_>>()).contains("canary"));
    assert!(String::from_utf8_lossy(&output(&told).stdout).contains("TOLD=canary\n"));
    for path in ["/etc/passwd", "/etc/shadow", "/etc/hosts", "/proc/1/root/etc/passwd", "/sys/kernel/notes"] {
        let ended = output(&job(here.path(), shell(&format!("cat {path}"))));
        assert_ne!(ended.status.code(), Some(0), "{path}: {ended:?}");
        assert_ne!(ended.status.code(), Some(i32::from(HELPER_FAILED_EXIT_CODE)), "{path}: {ended:?}");
    }
}

/// A command's network has only the loopback interface.
fn a_command_has_a_network_of_its_own() {
    let here = folder();
    let mut job = job(here.path(), shell("cat /sys/class/net/lo/flags /proc/net/dev; cat /proc/net/route"));
    job.allows_sockets = true;
    let ended = output(&job);
    let devices = String::from_utf8_lossy(&ended.stdout).into_owned();
    let others: Vec<&str> =
        devices.lines().filter(|line| line.contains(':') && !line.contains("lo:")).collect();
    assert!(devices.contains("lo:") && others.is_empty(), "{ended:?}");
}

fn the_system_is_no_tree() {
    for system in ["/", "/usr", "/etc", "/proc", "/proc/self", "/dev", "/nowhere"] {
        let refused =
            SandboxJob::new(SandboxLevel::Full, Path::new(system), JobCommand::Probe(EscapeProbe::Nothing));
        assert!(matches!(refused, Err(SandboxError::Tree { .. })), "{system}");
    }
}

/// Inside a sandbox, a program cannot create a second sandbox for foreign code. For this test, this program runs
/// itself inside a sandbox.
fn a_weaker_sandbox_is_refused_unless_it_is_accepted() {
    let here = folder();
    let ended = output(&job(here.path(), JobCommand::ThisProgram(vec![NESTED.into()])));
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

pub(crate) fn nested() -> ExitCode {
    let level = detect_level(folder().path());
    let as_told = matches!(
        require_level(SandboxLevel::MIN_FOR_FOREIGN_CODE, level),
        Err(SandboxError::TooWeak {
            actual_level: SandboxLevel::None,
            required_level: SandboxLevel::MIN_FOR_FOREIGN_CODE
        })
    );
    let accepted = require_level(SandboxLevel::None, level).is_ok_and(|level| level == SandboxLevel::None);
    if as_told && accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A server that listens on all addresses is reached on the loopback address, by processes of the job.
fn a_job_reaches_its_own_servers_alone() {
    let here = folder();
    let script = "import socket\n\
        server = socket.socket(); server.bind(('', 0)); server.listen()\n\
        own = server.getsockname()\n\
        client = socket.create_connection(('127.0.0.1', own[1])); client.sendall(b'own')\n\
        print(server.accept()[0].recv(3).decode(), own[0])\n\
        client.setblocking(False)\n\
        free = socket.socket(); free.bind(('127.0.0.1', 0)); port = free.getsockname()[1]; free.close()\n\
        again = socket.socket(); again.bind(('127.0.0.1', port)); again.listen()\n\
        unbound = socket.socket(); unbound.listen(); print(unbound.getsockname()[0])\n\
        if socket.has_dualstack_ipv6():\n    \
            both = socket.create_server(('', 0), family=socket.AF_INET6, dualstack_ipv6=True)\n    \
            for host in ['127.0.0.1', '::1']: socket.create_connection((host, both.getsockname()[1])).close()\n\
        for place in [('127.0.0.1', OUTSIDE), ('192.0.2.1', 80)]:\n    \
            try: socket.create_connection(place); print('reached')\n    \
            except OSError as error: print(type(error).__name__)\n";
    let outside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let script = script.replace("OUTSIDE", &outside.local_addr().unwrap().port().to_string());
    std::fs::write(here.path().join("script.py"), script).unwrap();
    let mut job = job(here.path(), JobCommand::Program(vec!["python3".into(), "script.py".into()]));
    job.level = SandboxLevel::Landlock;
    job.allows_sockets = true;
    let ended = output(&job);
    assert_eq!(
        String::from_utf8_lossy(&ended.stdout),
        "own 127.0.0.1\n127.0.0.1\nConnectionRefusedError\nOSError\n",
        "{ended:?}"
    );
    job.allows_sockets = false;
    assert!(String::from_utf8_lossy(&output(&job).stderr).contains("PermissionError"));
}

fn a_job_changes_the_permissions_of_its_files() {
    let here = folder();
    let outside = folder();
    std::fs::write(outside.path().join("file"), "").unwrap();
    let before = outside.path().join("file").metadata().unwrap();
    let script = format!(
        "touch file -d 2001-01-01 && chmod 4741 file && ln -s {0} link && cp -p file $TMPDIR/copy || exit 9\n\
         chmod 777 {0} && exit 1\nchmod 777 link && exit 2\ntouch {0} && exit 3\nchmod 600 /proc/self/fd/1\n\
         chown 0 file",
        outside.path().join("file").display()
    );
    let mut job = job(here.path(), shell(&script));
    (job.level, job.writable) = (SandboxLevel::Landlock, true);
    let ended = output(&job);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let changed = here.path().join("file").metadata().unwrap();
    assert_eq!((changed.mode() & 0o7777, changed.mtime()), (0o741, 978_307_200));
    let after = outside.path().join("file").metadata().unwrap();
    assert_eq!((after.mode(), after.mtime_nsec()), (before.mode(), before.mtime_nsec()));
}

/// Version 1 of Landlock does not restrict signals.
fn a_job_signals_its_own_processes_on_older_kernels() {
    let here = folder();
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let script = format!(
        "sleep 1000 & kill $! && wait $!; [ $? = 143 ] || exit 1\n\
         kill {} 2>/dev/null && exit 2\nkill -STOP $PPID 2>/dev/null && exit 3\nkill -TERM -1 2>/dev/null; kill $$; sleep 1000",
        other.id()
    );
    for version in [1, 6] {
        let mut job = job(here.path(), shell(&script));
        (job.level, job.landlock_version) = (SandboxLevel::Landlock, Some(version));
        let ended = output(&job);
        assert_eq!(ended.status.code(), Some(128 + 15), "{version}: {ended:?}");
    }
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
}

fn a_hidden_file_cannot_be_read() {
    let here = folder();
    std::fs::create_dir(here.path().join("folder")).unwrap();
    std::fs::write(here.path().join("folder/hidden"), "secret").unwrap();
    std::fs::write(here.path().join("folder/shown"), "shown").unwrap();
    std::fs::write(here.path().join("shown"), "also").unwrap();
    let mut job = job(here.path(), shell("ls folder; cat folder/shown shown; cat folder/hidden"));
    job.hidden_files = vec!["folder/hidden".into(), "no-such-file".into()];
    let ended = output(&job);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "hidden\nshown\nshownalso", "{ended:?}");
}

/// If the helper is killed, all processes of the command are killed, too, even processes in another session
/// or without a parent.
fn a_killed_helper_leaves_nothing() {
    for level in [SandboxLevel::Full, SandboxLevel::Landlock] {
        if level == SandboxLevel::Landlock || has_namespaces() {
            kill_helper(level);
        }
    }
}

fn kill_helper(level: SandboxLevel) {
    let here = folder();
    let word = format!("9{:08}", std::process::id());
    let script = format!("setsid sleep {word} & echo started; sleep {word}");
    let mut job = job(here.path(), shell(&script));
    job.level = level;
    let mut command = job.command().unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "started\n");
    until("nothing was started", || with_word(&word) > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    until("something is left", || with_word(&word) == 0);
    until("a folder is left", || std::fs::read_dir(here.path()).unwrap().next().is_none());
}
