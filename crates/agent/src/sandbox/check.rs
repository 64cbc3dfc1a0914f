//! The self-test of the sandbox: attempts real escapes from a sandbox whose tree is a test folder. Each
//! escape must fail.

// long: the attempts to escape are one list, and share the resources outside that they try to reach.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::machine_code::{self, ProgramStep, SyscallArgument, SyscallMethod as Through, call_step};
use super::{
    EscapeCheck, EscapeProbe, HELPER_FAILED_EXIT_CODE, HelperStage, JobCommand, JobLimits, ReadAccess,
    SYSTEM_PATH, SandboxError, SandboxJob, SandboxLevel, exceeded_limit, helper_command, objects, watch,
};

/// Limits of a job in the self-test, low enough to be exceeded quickly.
const LIMITS: JobLimits = JobLimits { memory: 64 << 20, processes: 320, disk: 32 << 20 };
/// Factor by which an attempt tries to exceed a limit.
const EXCESS_FACTOR: u64 = 2;
/// Maximum number of files for a job with these limits; the next constant is the maximum number of sockets.
const MAX_FILES: u64 = 4096;
const MAX_SOCKETS: u64 = 256;
/// Total number of pipes, which together exceed the memory limit. The next constant is the number of pipes of
/// one process, which is below the limit of open files.
const TOTAL_PIPES: u64 = 7200;
const PIPES_PER_PROCESS: u64 = 900;
/// Number of the watcher's checks during which an attempt must hold its resources, regardless of the duration
/// of the checks.
const CHECKS_BEFORE_RELEASE: u32 = 10;
/// Timeout of an attempt. Without this timeout, if one of the attempt's processes exits early, the other
/// processes would hold their resources forever.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// Path of the temporary folder inside the sandbox.
const TEMPORARY_FOLDER: &str = "/tmp";
/// Attempts that use the system calls of other ABIs, which not every kernel supports.
const OTHER_ABI_ATTEMPTS: [&str; 2] = ["x32_calls", "i386_calls"];
/// Attempts that fail because of a process's resource limits, which apply at each level.
const RESOURCE_LIMIT_ATTEMPTS: [&str; 3] = ["signals", "timers", "files_in_flight"];
/// An address at which no memory is mapped.
const SCRATCH_ADDRESS: u64 = 0x2000_0000;
/// A program that every system has, and that does nothing.
const TRUE_PROGRAM: &str = "/bin/true";
/// A marker in the environment of a process outside the sandbox. A process inside must not be able to read
/// the marker.
const CANARY: &str = "truing-canary-in-an-environment";

/// Makes all attempts to escape at this level. Attempts by a reader start inside a confined reader process,
/// except at `SandboxLevel::None`.
///
/// # Errors
/// [`SandboxError`] if the test folder cannot be created, or the sandbox does not start.
pub fn check_escapes(level: SandboxLevel) -> Result<Vec<EscapeCheck>, SandboxError> {
    check_escapes_with_landlock(level, None)
}

/// Makes all attempts to escape at this level, as on a kernel with this version of Landlock. `None` stands
/// for the version of this machine.
///
/// # Errors
/// Returns the same errors as [`check_escapes`].
pub fn check_escapes_with_landlock(
    level: SandboxLevel,
    landlock_version: Option<i32>,
) -> Result<Vec<EscapeCheck>, SandboxError> {
    let playground = EscapeTestTree { landlock_version, ..EscapeTestTree::new()? };
    playground.all_attempts().into_iter().map(|escape| playground.try_escape(level, escape)).collect()
}

/// The evidence by which the check recognizes a successful attempt.
#[derive(Clone, Copy)]
enum EscapeEvidence {
    /// The command exits with 0.
    ExitSuccess,
    File,
    Datagram,
}

/// The process that makes an attempt.
enum EscapeActor {
    /// A command in the sandbox.
    Command(JobCommand),
    /// A process that only reads, and that an attacker controls through hostile input.
    Reader(EscapeProbe),
}

/// A machine-code program in the test folder.
struct MachineProgram {
    name: &'static str,
    steps: Vec<ProgramStep>,
    object_bytes: Option<u64>,
}

/// One attempt to escape.
struct EscapeAttempt {
    name: &'static str,
    actor: EscapeActor,
    evidence: EscapeEvidence,
    /// Number of the attempt's processes that hold their resources until the check releases the resources.
    holder_count: u32,
    /// Size in bytes of one kernel object, for attempts that try to exceed the memory limit with such
    /// objects. The size is 0 if no object is allowed.
    object_bytes: Option<u64>,
}

/// Maximum length of the path of a folder that contains test trees. The path of a socket has at most 107
/// bytes; 40 bytes are left for the path from this folder to a socket.
const MAX_SOCKET_FOLDER_BYTES: usize = 67;

/// A tree with trap files, and resources outside the tree that an attempt must not reach.
struct EscapeTestTree {
    folder: TempDir,
    tree: PathBuf,
    /// A file that exists only after a successful escape.
    marker: PathBuf,
    bystander: BystanderProcess,
    tcp: TcpListener,
    udp: UdpSocket,
    abstract_name: String,
    /// Newest version of Landlock that the attempts meet; `None` for all versions.
    landlock_version: Option<i32>,
    _listeners: [UnixListener; 3],
    _datagrams: UnixDatagram,
}

/// Another process of the same user, with a marker in its environment, that attempts try to reach.
struct BystanderProcess(Child);

impl Drop for BystanderProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the folder for test trees: the folder for temporary files or, if its path is too long for the
/// sockets in a test tree, `/tmp`.
fn socket_folder() -> io::Result<PathBuf> {
    let folder = std::env::temp_dir().canonicalize()?;
    let is_short = folder.as_os_str().len() <= MAX_SOCKET_FOLDER_BYTES;
    Ok(if is_short { folder } else { PathBuf::from("/tmp") })
}

impl EscapeTestTree {
    fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir_in(socket_folder()?)?;
        let at = folder.path().canonicalize()?;
        let (tree, marker) = (at.join("tree"), at.join("mark"));
        std::fs::create_dir_all(tree.join(".git/hooks"))?;
        std::fs::write(at.join("secret"), "secret")?;
        std::fs::write(tree.join("file"), "text")?;
        symlink(at.join("secret"), tree.join("link"))?;
        let trap = format!("#!/bin/sh\ntouch '{}'\n", marker.display());
        for script in ["trap.sh", ".git/hooks/pre-commit"] {
            std::fs::write(tree.join(script), &trap)?;
            std::fs::set_permissions(tree.join(script), PermissionsExt::from_mode(0o755))?;
        }
        for MachineProgram { name, steps, .. } in machine_programs() {
            std::fs::write(tree.join(name), machine_code::build_program(&steps))?;
            std::fs::set_permissions(tree.join(name), PermissionsExt::from_mode(0o755))?;
        }
        create_repository(&tree)?;
        let bystander = helper_command(&HelperStage::Probe(EscapeProbe::Wait))?
            .env_clear()
            .env("SECRET", CANARY)
            .stdin(Stdio::piped())
            .spawn()?;
        let abstract_name = format!("truing-sandbox-check-{}", std::process::id());
        let listeners = [
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name)?)?,
            UnixListener::bind(at.join("socket"))?,
            UnixListener::bind(tree.join("socket"))?,
        ];
        let datagrams = UnixDatagram::bind(at.join("datagram"))?;
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        udp.set_nonblocking(true)?;
        let (tcp, bystander) = (TcpListener::bind("127.0.0.1:0")?, BystanderProcess(bystander));
        Ok(Self {
            folder,
            tree,
            marker,
            bystander,
            tcp,
            udp,
            abstract_name,
            landlock_version: None,
            _listeners: listeners,
            _datagrams: datagrams,
        })
    }

    fn all_attempts(&self) -> Vec<EscapeAttempt> {
        let probe = |name, probe| Some(attempt_for_probe(name, probe));
        let marked = |name, words: &[&str]| {
            let argv = words.iter().map(OsString::from).collect();
            Some(EscapeAttempt {
                name,
                actor: EscapeActor::Command(JobCommand::Program(argv)),
                evidence: EscapeEvidence::File,
                holder_count: 0,
                object_bytes: None,
            })
        };
        let outside = |name: &str| self.marker.with_file_name(name);
        let pid = i32::try_from(self.bystander.0.id()).unwrap_or_default();
        let output = format!("--output={}", self.marker.display());
        let trap = self.tree.join("trap.sh").display().to_string();
        // The attempts remove the sandbox's git settings from the environment, because the protection must
        // not depend on these settings.
        let git = ["env", "-u", "GIT_CONFIG_COUNT", "git"];
        let with_git = |words: &[&'static str]| [&git[..], words].concat();
        let udp = self.udp.local_addr().ok().map(|address| EscapeAttempt {
            name: "udp",
            actor: EscapeActor::Command(JobCommand::Probe(EscapeProbe::Udp(address))),
            evidence: EscapeEvidence::Datagram,
            holder_count: 0,
            object_bytes: None,
        });
        let all = [
            probe("parent_folder", EscapeProbe::Read("../secret".into())),
            probe("absolute_path", EscapeProbe::Read(outside("secret"))),
            probe("symbolic_link", EscapeProbe::Read("link".into())),
            Some(EscapeAttempt {
                name: "write_outside",
                actor: EscapeActor::Command(JobCommand::Probe(EscapeProbe::Write(self.marker.clone()))),
                evidence: EscapeEvidence::File,
                holder_count: 0,
                object_bytes: None,
            }),
            probe("environment_of_others", EscapeProbe::FindInEnvironment(CANARY.to_owned())),
            marked("git_output", &["git", "diff", "--no-index", &output, "trap.sh", "/dev/null"]),
            marked("git_hook", &with_git(&["hook", "run", "pre-commit"])),
            marked("git_fsmonitor", &with_git(&["status"])),
            marked("rg_preprocessor", &["rg", "--pre", &trap, "x", "."]),
            self.tcp.local_addr().ok().and_then(|address| probe("tcp", EscapeProbe::Tcp(address))),
            self.tcp
                .local_addr()
                .ok()
                .and_then(|address| probe("tcp_fast_open", EscapeProbe::TcpFastOpen(address))),
            udp,
            probe("abstract_socket", EscapeProbe::AbstractSocket(self.abstract_name.clone())),
            probe("unix_socket", EscapeProbe::Socket(outside("socket"))),
            probe("tree_socket", EscapeProbe::Socket(self.tree.join("socket"))),
            probe("datagram_pair", EscapeProbe::DatagramPair(outside("datagram"))),
            probe("signal", EscapeProbe::Signal(pid)),
            probe("priority", EscapeProbe::LowerPriority(pid)),
            probe("trace", EscapeProbe::OpenProcessMemory(pid)),
            probe("mode_outside", EscapeProbe::ChangeMode(outside("secret"))),
            probe("mode_through_link", EscapeProbe::ChangeMode("link".into())),
            probe("times_outside", EscapeProbe::ChangeTimes(outside("secret"))),
            probe("truncate_on_open", EscapeProbe::TruncateOnOpen(self.tree.join("file"))),
            probe(
                "fork_bomb",
                EscapeProbe::Hold(Box::new(EscapeProbe::Threads(LIMITS.processes * EXCESS_FACTOR))),
            ),
            probe("memory", EscapeProbe::Memory(LIMITS.memory * EXCESS_FACTOR)),
            probe("disk", EscapeProbe::Disk(LIMITS.disk * EXCESS_FACTOR)),
        ];
        let all = all.into_iter().flatten().chain(usage_attempts());
        all.chain(self.machine_code_attempts()).chain(self.reader_attempts(pid)).collect()
    }

    /// Returns the attempts that are machine-code programs. The list is empty if this machine is not x86-64.
    fn machine_code_attempts(&self) -> impl Iterator<Item = EscapeAttempt> {
        let programs = if cfg!(target_arch = "x86_64") { machine_programs() } else { Vec::new() };
        programs.into_iter().map(|MachineProgram { name, steps, object_bytes: object }| {
            let argv = vec![OsString::from(self.tree.join(name))];
            let holders = machine_code::count_holder_processes(&steps);
            EscapeAttempt {
                name,
                actor: EscapeActor::Command(JobCommand::Program(argv)),
                evidence: EscapeEvidence::ExitSuccess,
                holder_count: holders,
                object_bytes: object,
            }
        })
    }

    /// Returns the attempts that must fail from inside a reader, even if hostile input controls the reader. A
    /// reader has fewer permissions than a command: it may not start, write or change anything, and the
    /// kernel follows no links for it.
    fn reader_attempts(&self, pid: i32) -> Vec<EscapeAttempt> {
        let probe = |name, probe| {
            Some(EscapeAttempt {
                name,
                actor: EscapeActor::Reader(probe),
                evidence: EscapeEvidence::ExitSuccess,
                holder_count: 0,
                object_bytes: None,
            })
        };
        let (outside, inside) =
            (|name: &str| self.marker.with_file_name(name), |name: &str| self.tree.join(name));
        let program = || PathBuf::from(TRUE_PROGRAM);
        let udp = self.udp.local_addr().ok().map(|address| EscapeAttempt {
            name: "reader_udp",
            actor: EscapeActor::Reader(EscapeProbe::Udp(address)),
            evidence: EscapeEvidence::Datagram,
            holder_count: 0,
            object_bytes: None,
        });
        let all = [
            probe("reader_parent_folder", EscapeProbe::Read(inside("../secret"))),
            probe("reader_absolute_path", EscapeProbe::Read(outside("secret"))),
            probe("reader_symbolic_link", EscapeProbe::Read(inside("link"))),
            probe("reader_environment", EscapeProbe::Read("/proc/self/environ".into())),
            probe("reader_environment_of_others", EscapeProbe::FindInEnvironment(CANARY.to_owned())),
            probe("reader_git_folder", EscapeProbe::Read(inside(".git/config"))),
            probe("reader_write_inside", EscapeProbe::Write(inside("written"))),
            Some(EscapeAttempt {
                name: "reader_write_outside",
                actor: EscapeActor::Reader(EscapeProbe::Write(self.marker.clone())),
                evidence: EscapeEvidence::File,
                holder_count: 0,
                object_bytes: None,
            }),
            probe("reader_mode", EscapeProbe::ChangeMode(inside("file"))),
            probe("reader_start", EscapeProbe::Start(program())),
            probe("reader_become", EscapeProbe::Exec(program())),
            self.tcp.local_addr().ok().and_then(|address| probe("reader_tcp", EscapeProbe::Tcp(address))),
            udp,
            probe("reader_abstract_socket", EscapeProbe::AbstractSocket(self.abstract_name.clone())),
            probe("reader_unix_socket", EscapeProbe::Socket(outside("socket"))),
            probe("reader_tree_socket", EscapeProbe::Socket(self.tree.join("socket"))),
            probe("reader_signal", EscapeProbe::Signal(pid)),
            probe("reader_trace", EscapeProbe::OpenProcessMemory(pid)),
            probe("reader_memory", EscapeProbe::Memory(LIMITS.memory * EXCESS_FACTOR)),
            probe("reader_memfd", EscapeProbe::MemoryFile(LIMITS.memory * EXCESS_FACTOR)),
            probe("reader_sockets", EscapeProbe::Sockets(1)),
        ];
        all.into_iter().flatten().collect()
    }

    /// Returns the command that starts the process that makes an attempt.
    fn command(
        &self,
        level: SandboxLevel,
        actor: EscapeActor,
        private: &Path,
    ) -> Result<Command, SandboxError> {
        match (actor, level) {
            (EscapeActor::Command(run), _) => {
                let mut job = SandboxJob::new(level, &self.tree, run)?;
                // Without a sandbox, the default limits apply, so each attempt must succeed. This success
                // shows that the attempt is real.
                let limits = if level == SandboxLevel::None { JobLimits::default() } else { LIMITS };
                // Sockets are allowed, because the attempts test whether a socket can reach anything outside
                // the sandbox.
                (job.limits, job.private_folder, job.allows_sockets) = (limits, private.to_owned(), true);
                job.landlock_version = self.landlock_version;
                job.reports_checks = true;
                Ok(job.command()?)
            }
            (EscapeActor::Reader(probe), SandboxLevel::Full | SandboxLevel::Landlock) => {
                let reading =
                    ReadAccess { memory: LIMITS.memory, ..ReadAccess::new(self.tree.clone(), None) };
                Ok(helper_command(&HelperStage::Reading { reading, probe })?)
            }
            (EscapeActor::Reader(probe), SandboxLevel::None) => {
                Ok(helper_command(&HelperStage::Probe(probe))?)
            }
        }
    }

    /// Makes one attempt, and returns its result.
    fn try_escape(&self, level: SandboxLevel, escape: EscapeAttempt) -> Result<EscapeCheck, SandboxError> {
        let name = escape.name;
        if let EscapeActor::Command(run) = &escape.actor
            && let Some(program) = missing_program(run)
        {
            let note = Some(format!("{program} is not installed"));
            return Ok(EscapeCheck { name, is_blocked: None, note, held_bytes: None, limit: None });
        }
        let limit = escape.object_bytes.map(|_| LIMITS.memory);
        let is_program = escape.object_bytes.is_some()
            && matches!(escape.actor, EscapeActor::Command(JobCommand::Program(_)));
        let folder = tempfile::tempdir_in(self.folder.path())?;
        let private = folder.path().canonicalize()?;
        let is_limit = RESOURCE_LIMIT_ATTEMPTS.contains(&name);
        let has_control = is_program && !is_limit || OTHER_ABI_ATTEMPTS.contains(&name);
        let note = if has_control && !self.succeeds_without_sandbox(name, &private)? {
            Some("not possible on this machine even without a sandbox")
        } else if is_limit && level == SandboxLevel::None {
            Some("the kernel limits this resource even without a sandbox")
        } else {
            None
        };
        if let Some(note) = note {
            return Ok(EscapeCheck {
                name,
                is_blocked: None,
                note: Some(note.to_owned()),
                held_bytes: None,
                limit,
            });
        }
        let mut command = self.command(level, escape.actor, &private)?;
        let talks = escape.holder_count > 0 || escape.object_bytes.is_some();
        let end = || if talks { Stdio::piped() } else { Stdio::null() };
        command.env_clear().stdin(end()).stdout(end()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut made = 0;
        if let Some((input, output)) = child.stdin.take().zip(child.stdout.take()) {
            made = watch_attempt(escape.holder_count, input, output)?;
        }
        let ended = child.wait_with_output()?;
        if ended.status.code() == Some(i32::from(HELPER_FAILED_EXIT_CODE)) {
            let error_text = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
            return Err(SandboxError::Start(io::Error::other(error_text)));
        }
        let escaped = match escape.evidence {
            EscapeEvidence::ExitSuccess => ended.status.success(),
            EscapeEvidence::File => self.marker.exists(),
            EscapeEvidence::Datagram => self.udp.recv(&mut [0; 8]).is_ok(),
        };
        if self.marker.exists() {
            std::fs::remove_file(&self.marker)?;
        }
        let note = exceeded_limit(ended.status.code(), &ended.stderr);
        let note = note.map(|(bound, seen)| format!("{}: {seen}", bound.as_str()));
        // A killed attempt may not have reported its number of objects. The held bytes are then unknown, but
        // the note contains the measured use.
        let says = note.is_none() || made > 0;
        let held = escape.object_bytes.filter(|_| says).map(|size| size.saturating_mul(made));
        Ok(EscapeCheck { name, is_blocked: Some(!escaped), note, held_bytes: held, limit })
    }

    /// Returns true if the attempt's program succeeds without a sandbox. Returns only after all processes of
    /// the program have exited, because the attempt needs the resources that they hold.
    fn succeeds_without_sandbox(&self, name: &str, private: &Path) -> Result<bool, SandboxError> {
        let run = JobCommand::Program(vec![OsString::from(self.tree.join(name))]);
        let mut command = self.command(SandboxLevel::None, EscapeActor::Command(run), private)?;
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.status()?.success())
    }
}

/// Waits until all processes of an attempt hold their resources and the watcher has checked them, or until
/// the attempt has ended. Then releases the resources. Returns the number of objects that the processes
/// report.
fn watch_attempt(holder_count: u32, input: ChildStdin, mut output: ChildStdout) -> io::Result<u64> {
    let (begun, mut holding, mut looks, mut mark) = (Instant::now(), 0, 0, [0]);
    let mut made = 0_u64;
    while looks < CHECKS_BEFORE_RELEASE && begun.elapsed() < ATTEMPT_TIMEOUT && output.read(&mut mark)? > 0 {
        match mark {
            [machine_code::HOLDING_MARK] => holding += 1,
            [machine_code::OBJECT_COUNT_MARK] => {
                let mut count = [0; 8];
                output.read_exact(&mut count)?;
                made = made.saturating_add(u64::from_le_bytes(count));
            }
            // An attempt that holds no resources ends by itself.
            [watch::CHECK_DONE_MARK] if holder_count > 0 && holding >= holder_count => looks += 1,
            _ => {}
        }
    }
    drop(input);
    Ok(made)
}

/// Returns an attempt that runs this probe as a command in the sandbox. The attempt has succeeded if the
/// command exits with 0.
fn attempt_for_probe(name: &'static str, probe: EscapeProbe) -> EscapeAttempt {
    let holders = probe.holder_processes();
    EscapeAttempt {
        name,
        actor: EscapeActor::Command(JobCommand::Probe(probe)),
        evidence: EscapeEvidence::ExitSuccess,
        holder_count: holders,
        object_bytes: None,
    }
}

/// Returns attempts that try to exceed the limits of a job with ordinary system calls, mostly with several
/// processes.
fn usage_attempts() -> impl Iterator<Item = EscapeAttempt> {
    let hold = |probe| EscapeProbe::Hold(Box::new(probe));
    let half = LIMITS.memory / EXCESS_FACTOR;
    let all = [
        (
            "memory_many_processes",
            EscapeProbe::ChildProcesses(2 * EXCESS_FACTOR, Box::new(hold(EscapeProbe::Memory(half)))),
        ),
        ("memory_and_files", {
            let files = EscapeProbe::UnlinkedFiles(TEMPORARY_FOLDER.into(), LIMITS.disk * 3 / 4);
            hold(EscapeProbe::Both(Box::new(files), Box::new(EscapeProbe::Memory(LIMITS.memory * 3 / 4))))
        }),
        ("memfd", hold(EscapeProbe::MemoryFile(LIMITS.memory * EXCESS_FACTOR))),
        ("shared_folder", hold(EscapeProbe::UnlinkedFiles("/dev/shm".into(), LIMITS.disk * EXCESS_FACTOR))),
        ("empty_files", EscapeProbe::Files(MAX_FILES * EXCESS_FACTOR)),
        ("nameless_files", hold(EscapeProbe::UnlinkedFiles(PathBuf::new(), LIMITS.disk * EXCESS_FACTOR))),
        ("sockets", hold(EscapeProbe::Sockets(MAX_SOCKETS * EXCESS_FACTOR / 2))),
        (
            "pipes",
            EscapeProbe::ChildProcesses(
                TOTAL_PIPES / PIPES_PER_PROCESS,
                Box::new(hold(EscapeProbe::Pipes(PIPES_PER_PROCESS))),
            ),
        ),
    ];
    let objects = objects::object_probes(&LIMITS).into_iter();
    let objects = objects.map(|(name, probe, size)| EscapeAttempt {
        object_bytes: Some(size),
        ..attempt_for_probe(name, probe)
    });
    all.into_iter().map(|(name, probe)| attempt_for_probe(name, probe)).chain(objects)
}

/// Returns the machine-code programs, which make system calls by number.
fn machine_programs() -> Vec<MachineProgram> {
    let (bytes, piece, page) = (LIMITS.memory * EXCESS_FACTOR, 2_u64 << 20, 4096);
    let (anonymous, private, shared) = (0x20_u64, 0x2, 0x1);
    // A call that maps memory as readable, writable and populated immediately.
    let map = |bytes, how| call_step(9, &[0, bytes, 3, how | anonymous | 0x8000, u64::MAX, 0]);
    let given = |number, values: [SyscallArgument; 3]| {
        let [one, two, three] = values;
        let none = SyscallArgument::Number(0);
        ProgramStep::Call { method: Through::Syscall, number, values: [one, two, three, none, none, none] }
    };
    let (kept, number) = (SyscallArgument::StoredResult, SyscallArgument::Number);
    let hidden = [
        map(piece, shared),
        ProgramStep::StoreResult,
        // Each shared mapping is unmapped except for one page, but the kernel keeps all its pages in memory.
        given(11, [kept(page), number(piece - page), number(0)]),
    ];
    let pieces = usize::try_from(bytes / piece).unwrap_or_default();
    // When the main thread exits, the kernel no longer shows the process's memory use. The numbers in the
    // call are the flags for creating a thread.
    let thread = [call_step(56, &[0x10f00 | 0x40000, 0, 0, 0, 0]), ProgramStep::ExitUnlessChild];
    // Two processes each use three quarters of the memory limit. The kernel's limit does not prevent this,
    // because it applies to each process alone.
    let twice = [call_step(57, &[]), map(LIMITS.memory * 3 / 4, private), ProgramStep::Hold];
    let of_thread = [
        &thread[..],
        &[call_step(57, &[])],
        &thread,
        &[map(LIMITS.memory * 3 / 4, private), ProgramStep::Hold],
    ];
    let segment = [
        call_step(29, &[0, bytes, 0o1600]),
        ProgramStep::StoreResult,
        given(30, [kept(0), number(SCRATCH_ADDRESS), number(0)]),
        // The segment is removed when this process exits.
        given(31, [kept(0), number(0), number(0)]),
        ProgramStep::Fill { address: SCRATCH_ADDRESS, bytes },
        ProgramStep::Hold,
    ];
    // Maps a page at a fixed address. The call for a pipe writes the pipe's descriptors (3 and 4) into this
    // page.
    let page_at = [call_step(9, &[SCRATCH_ADDRESS, page, 3, private | anonymous | 0x10, u64::MAX, 0])];
    let pipe = [&page_at[..], &[call_step(293, &[SCRATCH_ADDRESS, 0])]].concat();
    // Turns off the socket option for zero-copy transmission. Outside the sandbox, the call succeeds wherever
    // the kernel supports the option.
    let copies = ProgramStep::Call {
        method: Through::Syscall,
        number: 54,
        values: [kept(0), number(1), number(60), number(SCRATCH_ADDRESS), number(4), number(0)],
    };
    let path = ProgramStep::Put { address: SCRATCH_ADDRESS, word: u64::from_le_bytes(*b"file\0\0\0\0") };
    let written =
        |name, steps: &[&[ProgramStep]]| MachineProgram { name, steps: steps.concat(), object_bytes: None };
    let other =
        |by, number| ProgramStep::Call { method: by, number, values: [SyscallArgument::Number(0); 6] };
    let objects = objects::object_programs(&LIMITS).into_iter();
    let objects = objects.map(|program| MachineProgram {
        name: program.name,
        steps: program.steps,
        object_bytes: Some(program.object_bytes),
    });
    let others = vec![
        written("memory_forked", &[&twice]),
        written("memory_without_main_thread", &of_thread),
        written("shared_memory", &[&[map(bytes, shared), ProgramStep::Hold]]),
        written("shared_memory_unmapped", &[&hidden.repeat(pieces), &[ProgramStep::Hold]]),
        written(
            "shared_memory_dropped",
            &[&[
                map(bytes, shared),
                ProgramStep::StoreResult,
                given(28, [kept(0), number(bytes), number(4)]),
                ProgramStep::Hold,
            ]],
        ),
        written("shmget", &[&segment]),
        written("vmsplice", &[&pipe, &[call_step(278, &[4, SCRATCH_ADDRESS, 0, 0])]]),
        written("kernel_aio", &[&page_at, &[call_step(206, &[1, SCRATCH_ADDRESS])]]),
        written("zero_copy", &[&[call_step(41, &[2, 1, 0]), ProgramStep::StoreResult], &page_at, &[copies]]),
        // Attempts that give a thread its own table of open files: when the thread is created, or later.
        written("files_of_threads", &[&[call_step(56, &[0x10b00 | 0x40000, 0, 0, 0, 0])]]),
        written("files_unshared", &[&[call_step(436, &[200, 201, 2])]]),
        written("processes", &[&[ProgramStep::Processes(640), ProgramStep::Hold]]),
        written("truncate", &[&page_at, &[path], &[call_step(76, &[SCRATCH_ADDRESS, 0])]]),
        written("x32_calls", &[&[other(Through::Syscall, 0x4000_0000 | 39)]]),
        written("i386_calls", &[&[other(Through::Interrupt, 20)]]),
    ];
    others.into_iter().chain(objects).collect()
}

/// Creates a git repository by writing its files, so neither git nor a git configuration is needed.
fn create_repository(tree: &Path) -> io::Result<()> {
    for folder in ["objects", "refs/heads"] {
        std::fs::create_dir_all(tree.join(".git").join(folder))?;
    }
    std::fs::write(tree.join(".git/HEAD"), "ref: refs/heads/main\n")?;
    let config = "[core]\nrepositoryformatversion = 0\nfsmonitor = ./trap.sh\n";
    std::fs::write(tree.join(".git/config"), config)
}

/// Returns the program that a command requires, if this program is not installed.
fn missing_program(run: &JobCommand) -> Option<String> {
    let JobCommand::Program(argv) = run else { return None };
    let wanted = ["git", "rg"].into_iter().find(|name| argv.iter().any(|word| word == name))?;
    // The program is searched for but not started, because no sandbox would confine it here.
    let is_there = SYSTEM_PATH.split(':').any(|folder| Path::new(folder).join(wanted).is_file());
    (!is_there).then(|| wanted.to_owned())
}
