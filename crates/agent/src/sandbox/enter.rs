//! The helper that runs a command in the sandbox. The outer stage makes the namespaces and watches the job;
//! the inner stage starts the command.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getppid, kill_process, pidfd_open, set_child_subreaper,
    set_parent_process_death_signal, wait,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

use super::{
    HelperStage, JobCommand, LIMIT_EXCEEDED_EXIT_CODE, NOT_STARTED_EXIT_CODE, PROGRAM_PATH_IN_SANDBOX,
    SandboxJob, SandboxLevel, THIS_PROGRAM, filter, helper_command, landlock_rules, listening, loopback,
    mounts, watch,
};

/// User id of the command inside the sandbox. Outside the sandbox, this id corresponds to the user who
/// started the helper.
const SANDBOX_USER_ID: u32 = 1000;
/// Search path of the system's programs.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Environment variables that prevent tools from writing into a read-only tree and from running programs that
/// the tree configures.
const READ_ONLY_VARIABLES: &[(&str, &str)] = &[
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("GIT_CONFIG_COUNT", "2"),
    ("GIT_CONFIG_KEY_0", "core.fsmonitor"),
    ("GIT_CONFIG_VALUE_0", "false"),
    ("GIT_CONFIG_KEY_1", "core.hooksPath"),
    ("GIT_CONFIG_VALUE_1", "/dev/null"),
];
/// The number that a shell adds to a signal's number to form the exit code of a killed program.
const SIGNAL_EXIT_CODE_BASE: i32 = 128;
/// Capabilities that the inner stage needs to set up the sandbox; they are dropped before the command starts.
const SETUP_CAPABILITIES: [CapabilitySet; 4] = [
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::SETPCAP,
    CapabilitySet::NET_ADMIN,
    // This capability is needed to set the resource limits of the namespaces.
    CapabilitySet::SYS_RESOURCE,
];

/// The kernel file whose value decides how early the kernel kills a process when memory runs out, and the
/// highest value.
const OOM_SCORE_SETTING: (&str, &str) = ("/proc/self/oom_score_adj", "1000");

/// Runs the outer stage: makes the namespaces, starts the first process inside, and waits until this process
/// or the parent exits. Kills the job when it exceeds a limit, and reports the limit.
pub(super) fn run_outer_helper(job: &SandboxJob, parent_pid: i32) -> io::Result<u8> {
    let watched = Pid::from_raw(parent_pid).filter(|parent| getppid() == Some(*parent));
    let Some(watched) = watched else {
        return Err(io::Error::other("the parent process of the sandbox helper has exited"));
    };
    let watched = pidfd_open(watched, PidfdFlags::empty())?;
    refuse_terminal()?;
    let mut watch = watch::JobWatcher::new(job)?;
    match job.level {
        SandboxLevel::Full => {
            unshare_namespaces()?;
        }
        // Orphaned processes of the command become children of this process, which kills them at the end.
        SandboxLevel::Landlock | SandboxLevel::None => set_child_subreaper(Some(rustix::process::getpid()))?,
    }
    let watcher_pid = rustix::process::getpid().as_raw_nonzero().get();
    let mut child = helper_command(&HelperStage::InnerHelper { job: job.clone(), watcher_pid })?.spawn()?;
    let inside = pid_of(&child)?;
    let ended = pidfd_open(inside, PidfdFlags::empty())?;
    let mut both = [PollFd::new(&ended, PollFlags::IN), PollFd::new(&watched, PollFlags::IN)];
    let mut passed = None;
    let mut took = Duration::ZERO;
    loop {
        // The pause is at least as long as the last check. The checks therefore take at most half of the
        // time, even with very many processes.
        let pause = Timespec::try_from(took.max(watch::CHECK_INTERVAL)).map_err(io::Error::other)?;
        if poll(&mut both, Some(&pause))? != 0 {
            break;
        }
        let began = Instant::now();
        passed = watch.check_limits();
        if passed.is_some() {
            break;
        }
        took = began.elapsed();
        if job.reports_checks {
            // A write error is ignored, because the self-test stops reading when it has finished.
            let _ = io::stdout().write_all(&[watch::CHECK_DONE_MARK]).and_then(|()| io::stdout().flush());
        }
    }
    if both.first().is_none_or(|ended| ended.revents().is_empty()) {
        child.kill()?;
    }
    let ended = exit_code(child.wait()?);
    kill_orphans()?;
    let Some(passed) = passed.or_else(|| watch.check_disk()) else { return Ok(ended) };
    print_error(&io::Error::other(passed.to_string()));
    Ok(LIMIT_EXCEEDED_EXIT_CODE)
}

/// Refuses terminals as standard streams. Through a terminal, a command could read the user's input, and
/// write output that appears to come from another program.
fn refuse_terminal() -> io::Result<()> {
    if io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal() {
        return Err(io::Error::other(
            "the standard streams of the sandbox helper include a terminal; use pipes or files instead",
        ));
    }
    Ok(())
}

/// Kills orphaned processes of a command that became children of this process. At `SandboxLevel::Full` there
/// are none, because the kernel kills all processes of the namespace when its first process exits.
fn kill_orphans() -> io::Result<()> {
    loop {
        let left = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        let left: Vec<Pid> =
            left.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect();
        if left.is_empty() {
            return Ok(());
        }
        for pid in left {
            // The error is ignored, because the process may have just exited.
            let _ = kill_process(pid, Signal::KILL);
            wait(WaitOptions::empty())?;
        }
    }
}

/// Moves this process out of the machine's namespaces and into new ones. The process namespace is an
/// exception: only the children of this process enter the new one.
fn unshare_namespaces() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let all = UnshareFlags::NEWUSER
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    // The function is deprecated because of a flag that gives each thread its own table of open files. This
    // call does not use the flag.
    #[expect(
        deprecated,
        reason = "the call does not use the flag that makes the function unsafe (FILES), and the process \
            has only one thread"
    )]
    rustix::thread::unshare(all)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{SANDBOX_USER_ID} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{SANDBOX_USER_ID} {group} 1"))?;
    // The capabilities are also made ambient. Otherwise, a user other than root would lose them when the
    // helper starts the next stage.
    let rights = SETUP_CAPABILITIES.into_iter().fold(CapabilitySet::empty(), CapabilitySet::union);
    set_capabilities(None, CapabilitySets { effective: rights, permitted: rights, inheritable: rights })?;
    for right in SETUP_CAPABILITIES {
        configure_capability_in_ambient_set(right, true)?;
    }
    Ok(())
}

/// Runs the inner stage: builds the file system that the command sees, drops all capabilities, and runs the
/// command.
pub(super) fn run_inner_helper(job: &SandboxJob, outer_pid: i32) -> io::Result<u8> {
    // This setting must be made first. If the outer process is killed, the kernel then also kills this
    // process, and thereby all other processes inside the sandbox.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if outer_parent_pid()? != outer_pid {
        return Err(io::Error::other("the parent process of the sandbox helper has exited"));
    }
    let (file, most) = OOM_SCORE_SETTING;
    // The error is ignored, because in a nested sandbox the outer sandbox has already set the value, and it
    // cannot be set again.
    let _ = std::fs::write(file, most);
    let port = match job.level {
        SandboxLevel::Full => {
            // A new session has no controlling terminal, not even that of the helper's caller. At other
            // levels no session is created, because the command would leave the process group that the caller
            // kills.
            rustix::process::setsid()?;
            mounts::build_mounts(job)?;
            loopback::enable_loopback()?;
            let port =
                if job.address_variables.is_empty() { None } else { Some(listening::hand_over_socket()?) };
            job.limits.apply()?;
            drop_capabilities(CapabilitySet::empty())?;
            port
        }
        SandboxLevel::Landlock | SandboxLevel::None => {
            job.limits.apply()?;
            None
        }
    };
    rustix::process::chdir(job.inner_tree().join(&job.working_folder))?;
    set_no_new_privs(true)?;
    match job.level {
        SandboxLevel::Full | SandboxLevel::Landlock => {
            landlock_rules::apply_restrictions(job)?;
            filter::apply_job_filter(job)?;
        }
        SandboxLevel::None => {}
    }
    run_job(job, port)
}

/// Returns the parent's process id outside the new namespace. Inside the namespace, the parent's process id
/// is always 0.
fn outer_parent_pid() -> io::Result<i32> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
    parent.ok_or_else(|| io::Error::other("/proc/self/status does not show the parent process"))
}

/// Drops all capabilities permanently, except those in `kept_capabilities`, which the process keeps if it has
/// them.
pub(super) fn drop_capabilities(kept_capabilities: CapabilitySet) -> io::Result<()> {
    for right in CapabilitySet::all().iter() {
        // The error is ignored: the kernel may not know the capability, and a process without privileges
        // cannot remove any.
        let _ = remove_capability_from_bounding_set(right);
    }
    clear_ambient_capability_set()?;
    let (has, none) = (capabilities(None)?, CapabilitySet::empty());
    let (effective, permitted) = (has.effective & kept_capabilities, has.permitted & kept_capabilities);
    Ok(set_capabilities(None, CapabilitySets { effective, permitted, inheritable: none })?)
}

/// Runs the command, and waits until it exits. Meanwhile, also collects the exit statuses of orphaned
/// processes. Processes that still run afterwards are killed when this process exits.
fn run_job(job: &SandboxJob, port: Option<u16>) -> io::Result<u8> {
    let started = build_command(job, port)?.spawn();
    let child = match started {
        Ok(child) => child,
        Err(error) => {
            print_error(&error);
            return Ok(NOT_STARTED_EXIT_CODE);
        }
    };
    let main = pid_of(&child)?;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == main => {
                return Ok(exit_code(ExitStatus::from_raw(status.as_raw())));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn build_command(job: &SandboxJob, port: Option<u16>) -> io::Result<Command> {
    let own = match job.level {
        SandboxLevel::Full => PROGRAM_PATH_IN_SANDBOX,
        SandboxLevel::Landlock | SandboxLevel::None => THIS_PROGRAM,
    };
    let mut command = match &job.job_command {
        JobCommand::Program(argv) => command_from_argv(argv)?,
        JobCommand::ThisProgram(arguments) => {
            let mut command = Command::new(own);
            command.arg0("truing").args(arguments);
            command
        }
        JobCommand::Probe(probe) => {
            let mut command = Command::new(own);
            command.arg0(super::HELPER_NAME).args(HelperStage::Probe(probe.clone()).to_arguments()?);
            command
        }
    };
    let (home, temporary) = mounts::private_folders(job);
    command.env_clear().envs(command_environment(job, &home, &temporary));
    if job.persistent_folders.is_some() {
        command.env("USER", mounts::USER).env("LOGNAME", mounts::USER);
    }
    let values = job.variables.iter().filter_map(|(name, _)| Some((name, std::env::var_os(name)?)));
    command.envs(values);
    if let Some(port) = port {
        let address = format!("http://127.0.0.1:{port}");
        command.envs(job.address_variables.iter().map(|name| (name, &address)));
    }
    if !job.address_variables.is_empty() && !job.has_input_stream {
        // The command must not inherit the helper's standard input, because this stream is the channel over
        // which the helper sends the socket to its caller.
        command.stdin(Stdio::null());
    }
    Ok(command)
}

fn command_from_argv(argv: &[OsString]) -> io::Result<Command> {
    let (program, arguments) = argv.split_first().ok_or_else(|| io::Error::other("no command is given"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

/// Returns the environment variables that every command gets.
fn command_environment(job: &SandboxJob, home: &Path, temporary: &Path) -> Vec<(&'static str, OsString)> {
    let mut path = OsString::new();
    for folder in job.readable_paths.iter().flat_map(|folder| [folder.join("bin"), folder.clone()]) {
        path.push(folder);
        path.push(":");
    }
    if job.persistent_folders.is_some() {
        path.push(home.join(".local/bin"));
        path.push(":");
    }
    path.push(SYSTEM_PATH);
    let mut all: Vec<(&str, OsString)> = vec![
        ("PATH", path),
        ("HOME", home.into()),
        ("TMPDIR", temporary.into()),
        ("LANG", "C.UTF-8".into()),
        ("GIT_CONFIG_NOSYSTEM", "1".into()),
    ];
    // A command with private folders gets none of the following variables, because its build results must
    // stay in the tree for later commands.
    if job.persistent_folders.is_none() {
        // Builds must write to a temporary folder, because the tree may be read-only.
        all.push(("CARGO_TARGET_DIR", temporary.join("target").into()));
        all.extend(READ_ONLY_VARIABLES.iter().map(|(name, value)| (*name, value.into())));
    }
    all
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::other("a child process has no process id"))
}

/// Returns the exit code that a shell would report.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNAL_EXIT_CODE_BASE + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Prints an error with the helper's prefix, because the helper has no other channel to report errors.
pub(super) fn print_error(error: &io::Error) {
    let _ = writeln!(io::stderr(), "{}{error}", super::HELPER_MESSAGE_PREFIX);
}
