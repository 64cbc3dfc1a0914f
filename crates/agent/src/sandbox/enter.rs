//! The helper that runs a command in the sandbox. The outer stage makes the namespaces and watches the job;
//! the inner stage starts the command.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getppid, kill_process, pidfd_open, set_child_subreaper,
    set_parent_process_death_signal, wait, waitpid,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

use truing_seccomp::NotificationListener;

use super::git_folder::MovedGitFolder;
use super::job::CHECK_INTERVAL;
use super::mediator::CallMediator;
use super::processes::{children_of, is_running};
use super::{
    HelperStage, JobCommand, LIMIT_EXCEEDED_EXIT_CODE, NOT_STARTED_EXIT_CODE, PROGRAM_PATH_IN_SANDBOX,
    SYSTEM_PATH, SandboxJob, SandboxLevel, THIS_PROGRAM, filter, helper_command, landlock_rules, listening,
    loopback, mounts, print_error, watch,
};

/// User id of the command inside the sandbox. Outside the sandbox, this id corresponds to the user who
/// started the helper.
const SANDBOX_USER_ID: u32 = 1000;
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

/// Prefix of the names of jobs' folders, and the name of the private folder in such a folder.
const PRIVATE_FOLDER_PREFIX: &str = "truing-job-";
const PRIVATE_FOLDER_NAME: &str = "private";

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
    let relocated = match job.level {
        SandboxLevel::Full => None,
        SandboxLevel::Landlock | SandboxLevel::None => Some(RelocatedJob::prepare(job)?),
    };
    let exit_code = watch_job(relocated.as_ref().map_or(job, |relocated| &relocated.job), &watched);
    let cleaned = relocated.as_ref().map_or(Ok(()), RelocatedJob::clean_up);
    exit_code.and_then(|exit_code| cleaned.map(|()| exit_code))
}

/// Starts the inner stage, and watches the job until it ends, exceeds a limit, or the parent exits.
fn watch_job(job: &SandboxJob, watched: &OwnedFd) -> io::Result<u8> {
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
    let mut both = [PollFd::new(&ended, PollFlags::IN), PollFd::new(watched, PollFlags::IN)];
    let mut passed = None;
    let mut took = Duration::ZERO;
    loop {
        // The pause is at least as long as the last check. The checks therefore take at most half of the
        // time, even with very many processes.
        let pause = Timespec::try_from(took.max(CHECK_INTERVAL)).map_err(io::Error::other)?;
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
        if job.level != SandboxLevel::Full {
            // The guard in the inner helper stays until the last process of the job has been killed, in case
            // this process is killed meanwhile.
            kill_children_of(inside);
        }
        child.kill()?;
    }
    let ended = exit_code(child.wait()?);
    kill_orphans();
    let Some(passed) = passed.or_else(|| watch.check_disk()) else { return Ok(ended) };
    print_error(&io::Error::other(passed.to_string()));
    Ok(LIMIT_EXCEEDED_EXIT_CODE)
}

/// A job without its own file system, with its private folder and with git's folder outside of its tree.
struct RelocatedJob {
    job: SandboxJob,
    /// Folder that contains the job's private folder.
    outer_folder: PathBuf,
    moved_git: Option<MovedGitFolder>,
}

impl RelocatedJob {
    fn prepare(job: &SandboxJob) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PRIVATE_FOLDER_PREFIX).tempdir_in(&job.private_folder);
        let outer_folder = folder.and_then(|folder| folder.keep().canonicalize()).map_err(|error| {
            io::Error::other(format!(
                "cannot make a temporary folder in {}: {error}; TMPDIR can name another folder",
                job.private_folder.display()
            ))
        })?;
        let mut relocated = Self { job: job.clone(), outer_folder, moved_git: None };
        relocated.job.private_folder = relocated.outer_folder.join(PRIVATE_FOLDER_NAME);
        std::fs::create_dir(&relocated.job.private_folder)?;
        if job.writable {
            relocated.moved_git = MovedGitFolder::move_out(&job.tree, &relocated.outer_folder)?;
            relocated.job.moved_git = relocated.moved_git.as_ref().map(|moved| moved.path().to_owned());
        }
        Ok(relocated)
    }

    /// Returns the job that another process has prepared.
    fn find(job: &SandboxJob) -> io::Result<Self> {
        let outer_folder = job.private_folder.parent().unwrap_or(&job.private_folder).to_owned();
        let moved_git = match &job.moved_git {
            Some(moved) => Some(MovedGitFolder::find(&job.tree, moved.clone())?),
            None => None,
        };
        Ok(Self { job: job.clone(), outer_folder, moved_git })
    }

    /// Returns git's folder to the tree, and removes the private folder. May be called again.
    fn clean_up(&self) -> io::Result<()> {
        let restored = self.moved_git.as_ref().map_or(Ok(()), MovedGitFolder::restore);
        if restored.is_ok() {
            remove_folder(&self.outer_folder);
        }
        restored
    }
}

/// Removes a folder, even if the job has taken the permissions for folders in it from its owner.
fn remove_folder(folder: &Path) {
    let removed = crate::verify::copy::make_accessible(folder).and_then(|()| std::fs::remove_dir_all(folder));
    if removed.is_err() {
        // A path can be longer than the kernel accepts. These programs go down one folder at a time.
        for words in [&["chmod", "-R", "u+rwX"][..], &["rm", "-rf"]] {
            let mut command = Command::new("/usr/bin/env");
            command.env("PATH", SYSTEM_PATH).args(words).arg("--").arg(folder);
            let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

/// Kills the job's processes and cleans up if the outer helper is killed. Without namespaces, the kernel does
/// not end the job's processes together with the helper.
struct JobGuard {
    /// Locked while the guard cleans up, so the helper does not exit meanwhile.
    cleanup_lock: Arc<Mutex<()>>,
}

impl JobGuard {
    /// Starts the guard, in a thread without the restrictions of the job.
    fn start(relocated: RelocatedJob, outer_helper: OwnedFd) -> io::Result<Self> {
        // Orphaned processes of the command become children of this process.
        set_child_subreaper(Some(rustix::process::getpid()))?;
        let guard = Self { cleanup_lock: Arc::new(Mutex::new(())) };
        let cleanup_lock = Arc::clone(&guard.cleanup_lock);
        std::thread::Builder::new().spawn(move || {
            let mut exit = [PollFd::new(&outer_helper, PollFlags::IN)];
            while poll(&mut exit, None).is_err() {}
            let _cleanup = cleanup_lock.lock();
            kill_orphans();
            // The error is ignored, because no process is left that could report it.
            let _ = relocated.clean_up();
        })?;
        Ok(guard)
    }

    /// Waits until the guard has finished, if it is cleaning up. Afterwards, it does not begin any more.
    fn finish(&self) {
        std::mem::forget(self.cleanup_lock.lock());
    }
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

/// Kills all processes that are children of another process, and those that become children when their
/// parents exit. Processes that have exited count as gone, because their parent may be stopped.
fn kill_children_of(parent: Pid) {
    loop {
        let mut running = children_of(parent);
        running.retain(|process| is_running(*process));
        if running.is_empty() {
            return;
        }
        for process in running {
            // The error is ignored, because the process may have just exited.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Kills all processes that are children of this process, and those that become children when their parents
/// exit. At `SandboxLevel::Full` there are none, because the kernel kills all processes of the namespace when
/// its first process exits.
fn kill_orphans() {
    loop {
        let children = children_of(rustix::process::getpid());
        if children.is_empty() {
            return;
        }
        for pid in children {
            // The errors are ignored, because the process may have just exited, and another thread may have
            // collected its exit status.
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
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
    // This must be done first. If the outer process is killed, all other processes are then killed, too: at
    // `SandboxLevel::Full` by the kernel, together with this process; otherwise by the guard.
    let outer_helper = match job.level {
        SandboxLevel::Full => {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            None
        }
        SandboxLevel::Landlock | SandboxLevel::None => {
            let outer = Pid::from_raw(outer_pid).ok_or_else(|| io::Error::other("no outer helper"))?;
            Some(pidfd_open(outer, PidfdFlags::empty())?)
        }
    };
    if outer_parent_pid()? != outer_pid {
        return Err(io::Error::other("the parent process of the sandbox helper has exited"));
    }
    if job.level == SandboxLevel::Landlock {
        // The guard and the mediator need no capabilities either.
        drop_capabilities(CapabilitySet::empty())?;
    }
    let guard = match outer_helper {
        Some(outer_helper) => Some(JobGuard::start(RelocatedJob::find(job)?, outer_helper)?),
        None => None,
    };
    let (file, most) = OOM_SCORE_SETTING;
    // The error is ignored, because in a nested sandbox the outer sandbox has already set the value, and it
    // cannot be set again.
    let _ = std::fs::write(file, most);
    // A new session has no controlling terminal, not even that of the helper's caller.
    rustix::process::setsid()?;
    if job.level == SandboxLevel::Full {
        mounts::build_mounts(job)?;
        loopback::enable_loopback()?;
    }
    let server = if job.address_variables.is_empty() { None } else { Some(listening::hand_over_socket()?) };
    job.limits.apply()?;
    if job.level == SandboxLevel::Full {
        drop_capabilities(CapabilitySet::empty())?;
    }
    rustix::process::chdir(job.inner_tree().join(&job.working_folder))?;
    let port = server.map(|socket| socket.port);
    let started = match job.level {
        SandboxLevel::Full | SandboxLevel::None => start_restricted(job, port)?,
        // Only the thread that starts the command is restricted, and it ends. Otherwise, this process would
        // be in the same domain as the job, and the job could stop it with a signal.
        SandboxLevel::Landlock => {
            std::thread::scope(|scope| scope.spawn(|| start_restricted(job, port)).join())
                .map_err(|_| io::Error::other("the thread that starts the command panicked"))??
        }
    };
    if let Some(listener) = started.listener {
        let folders = landlock_rules::writable_folders(job);
        let mediator = CallMediator::new(listener, folders, server.map(|socket| socket.inode));
        std::thread::Builder::new().spawn(move || mediator.run())?;
    }
    let exit_code = wait_for_command(started.command);
    if let Some(guard) = &guard {
        guard.finish();
        if outer_parent_pid()? != outer_pid {
            // The outer helper was killed while the command ended.
            kill_orphans();
            RelocatedJob::find(job)?.clean_up()?;
        }
    }
    exit_code
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

/// A command that was started, or the reason why it could not be started.
struct StartedCommand {
    command: io::Result<Child>,
    /// Receives the calls of the mediator.
    listener: Option<NotificationListener>,
}

/// Restricts this thread permanently, and starts the command with the same restrictions.
fn start_restricted(job: &SandboxJob, port: Option<u16>) -> io::Result<StartedCommand> {
    set_no_new_privs(true)?;
    let listener = match job.level {
        SandboxLevel::Full | SandboxLevel::Landlock => {
            let support = landlock_rules::apply_restrictions(job)?;
            filter::apply_job_filter(job, support)?
        }
        SandboxLevel::None => None,
    };
    Ok(StartedCommand { command: build_command(job, port)?.spawn(), listener })
}

/// Waits until the command exits. Meanwhile, also collects the exit statuses of orphaned processes. Processes
/// that still run afterwards are killed: at `SandboxLevel::Full` by the kernel when this process exits, and
/// otherwise by the outer helper.
fn wait_for_command(command: io::Result<Child>) -> io::Result<u8> {
    let child = match command {
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
        // The program `claude` uses this folder instead of `TMPDIR`.
        ("CLAUDE_CODE_TMPDIR", temporary.into()),
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
