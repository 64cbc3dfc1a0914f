//! The self-test: tries for real what must be impossible inside, against a playground made for it.

use std::ffi::OsString;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::Serialize;
use tempfile::TempDir;

use super::{HELPER_FAILED, Job, Level, Limits, Probe, Reading, Run, SandboxError, Stage, helper};

/// What a job of the self-test may use, so that more than that is quickly used.
const LIMITS: Limits = Limits { memory: 64 << 20, processes: 320, disk: 32 << 20 };
/// How much more a try goes for.
const TIMES: u64 = 2;
/// A program that every system has, and that does nothing.
const SUCCEEDS: &str = "/bin/true";
/// What the environment of a process holds that is none of the sandbox's business.
const CANARY: &str = "truing-canary-in-an-environment";

/// One try.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// What was tried.
    pub name: &'static str,
    /// Did it fail, as it must? None where it could not be tried.
    pub stopped: Option<bool>,
    /// Why it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Check {
    /// Did it get out?
    pub fn escaped(&self) -> bool {
        self.stopped == Some(false)
    }
}

/// Tries everything at a level; at one with fences, also from where a reader is.
///
/// # Errors
/// If the playground cannot be made, or the sandbox does not start.
pub fn check(level: Level) -> Result<Vec<Check>, SandboxError> {
    let playground = Playground::new()?;
    playground.escapes().into_iter().map(|escape| playground.tried(level, escape)).collect()
}

/// How it is known that a try worked.
#[derive(Clone, Copy)]
enum Seen {
    /// The command says so.
    End,
    /// A file is there.
    File,
    /// A datagram arrived.
    Datagram,
}

/// Who tries.
enum By {
    /// A command.
    Command(Run),
    /// A reader that was taken over.
    Reader(Probe),
}

/// A try.
struct Escape {
    name: &'static str,
    by: By,
    seen: Seen,
}

/// A tree with traps, and around it what must not be reached.
struct Playground {
    folder: TempDir,
    tree: PathBuf,
    /// Written only by an escape.
    mark: PathBuf,
    bystander: Bystander,
    tcp: TcpListener,
    udp: UdpSocket,
    abstract_name: String,
    _listeners: [UnixListener; 2],
}

/// Another process of the same user, with something in its environment.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Playground {
    fn new() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path().canonicalize()?;
        let (tree, mark) = (at.join("tree"), at.join("mark"));
        std::fs::create_dir_all(tree.join(".git/hooks"))?;
        std::fs::write(at.join("secret"), "secret")?;
        std::fs::write(tree.join("file"), "text")?;
        symlink(at.join("secret"), tree.join("link"))?;
        let trap = format!("#!/bin/sh\ntouch '{}'\n", mark.display());
        for script in ["trap.sh", ".git/hooks/pre-commit"] {
            std::fs::write(tree.join(script), &trap)?;
            std::fs::set_permissions(tree.join(script), PermissionsExt::from_mode(0o755))?;
        }
        make_repository(&tree)?;
        let bystander = helper(&Stage::Probe(Probe::Wait))?
            .env_clear()
            .env("SECRET", CANARY)
            .stdin(Stdio::piped())
            .spawn()?;
        let abstract_name = format!("truing-sandbox-check-{}", std::process::id());
        let listeners = [
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(&abstract_name)?)?,
            UnixListener::bind(at.join("socket"))?,
        ];
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        udp.set_nonblocking(true)?;
        let (tcp, bystander) = (TcpListener::bind("127.0.0.1:0")?, Bystander(bystander));
        Ok(Self { folder, tree, mark, bystander, tcp, udp, abstract_name, _listeners: listeners })
    }

    fn escapes(&self) -> Vec<Escape> {
        let probe = |name, probe| Some(Escape { name, by: By::Command(Run::Probe(probe)), seen: Seen::End });
        let marked = |name, words: &[&str]| {
            let argv = words.iter().map(OsString::from).collect();
            Some(Escape { name, by: By::Command(Run::Program(argv)), seen: Seen::File })
        };
        let outside = |name: &str| self.mark.with_file_name(name);
        let pid = i32::try_from(self.bystander.0.id()).unwrap_or_default();
        let output = format!("--output={}", self.mark.display());
        let trap = self.tree.join("trap.sh").display().to_string();
        // What the sandbox sets for git in the environment is taken away: it must not depend on that.
        let git = ["env", "-u", "GIT_CONFIG_COUNT", "git"];
        let with_git = |words: &[&'static str]| [&git[..], words].concat();
        let udp = self.udp.local_addr().ok().map(|address| Escape {
            name: "udp",
            by: By::Command(Run::Probe(Probe::Udp(address))),
            seen: Seen::Datagram,
        });
        let all = [
            probe("parent_folder", Probe::Read("../secret".into())),
            probe("absolute_path", Probe::Read(outside("secret"))),
            probe("symbolic_link", Probe::Read("link".into())),
            Some(Escape {
                name: "write_outside",
                by: By::Command(Run::Probe(Probe::Write(self.mark.clone()))),
                seen: Seen::File,
            }),
            probe("environment_of_others", Probe::Environment(CANARY.to_owned())),
            marked("git_output", &["git", "diff", "--no-index", &output, "trap.sh", "/dev/null"]),
            marked("git_hook", &with_git(&["hook", "run", "pre-commit"])),
            marked("git_fsmonitor", &with_git(&["status"])),
            marked("rg_preprocessor", &["rg", "--pre", &trap, "x", "."]),
            self.tcp.local_addr().ok().and_then(|address| probe("tcp", Probe::Tcp(address))),
            udp,
            probe("abstract_socket", Probe::Abstract(self.abstract_name.clone())),
            probe("unix_socket", Probe::Socket(outside("socket"))),
            probe("signal", Probe::Signal(pid)),
            probe("trace", Probe::Trace(pid)),
            probe("fork_bomb", Probe::Threads(LIMITS.processes * TIMES)),
            probe("memory", Probe::Memory(LIMITS.memory * TIMES)),
            probe("disk", Probe::Disk(LIMITS.disk * TIMES)),
        ];
        all.into_iter().flatten().chain(self.escapes_of_readers(pid)).collect()
    }

    /// What a reader must not be able to do, whatever it has read. It has no links followed by the kernel for it, and
    /// less than a command may do: it starts, writes and changes nothing at all.
    fn escapes_of_readers(&self, pid: i32) -> Vec<Escape> {
        let probe = |name, probe| Some(Escape { name, by: By::Reader(probe), seen: Seen::End });
        let (outside, inside) =
            (|name: &str| self.mark.with_file_name(name), |name: &str| self.tree.join(name));
        let program = || PathBuf::from(SUCCEEDS);
        let udp = self.udp.local_addr().ok().map(|address| Escape {
            name: "reader_udp",
            by: By::Reader(Probe::Udp(address)),
            seen: Seen::Datagram,
        });
        let all = [
            probe("reader_parent_folder", Probe::Read(inside("../secret"))),
            probe("reader_absolute_path", Probe::Read(outside("secret"))),
            probe("reader_symbolic_link", Probe::Read(inside("link"))),
            probe("reader_environment", Probe::Read("/proc/self/environ".into())),
            probe("reader_environment_of_others", Probe::Environment(CANARY.to_owned())),
            probe("reader_git_folder", Probe::Read(inside(".git/config"))),
            probe("reader_write_inside", Probe::Write(inside("written"))),
            Some(Escape {
                name: "reader_write_outside",
                by: By::Reader(Probe::Write(self.mark.clone())),
                seen: Seen::File,
            }),
            probe("reader_mode", Probe::Mode(inside("file"))),
            probe("reader_start", Probe::Start(program())),
            probe("reader_become", Probe::Become(program())),
            self.tcp.local_addr().ok().and_then(|address| probe("reader_tcp", Probe::Tcp(address))),
            udp,
            probe("reader_abstract_socket", Probe::Abstract(self.abstract_name.clone())),
            probe("reader_unix_socket", Probe::Socket(outside("socket"))),
            probe("reader_signal", Probe::Signal(pid)),
            probe("reader_trace", Probe::Trace(pid)),
            probe("reader_memory", Probe::Memory(LIMITS.memory * TIMES)),
        ];
        all.into_iter().flatten().collect()
    }

    /// The process that makes a try.
    fn command(&self, level: Level, by: By, private: &Path) -> Result<Command, SandboxError> {
        match (by, level) {
            (By::Command(run), _) => {
                let mut job = Job::new(level, &self.tree, run)?;
                // With sockets: what stops them is what is tried, not that there are none.
                (job.limits, job.private, job.sockets) = (LIMITS, private.to_owned(), true);
                Ok(job.command()?)
            }
            (By::Reader(probe), Level::Full | Level::Landlock) => {
                let reading = Reading { memory: LIMITS.memory, ..Reading::new(self.tree.clone(), None) };
                Ok(helper(&Stage::Reading { reading, probe })?)
            }
            (By::Reader(probe), Level::None) => Ok(helper(&Stage::Probe(probe))?),
        }
    }

    /// Tries one, and says whether it was stopped.
    fn tried(&self, level: Level, escape: Escape) -> Result<Check, SandboxError> {
        let name = escape.name;
        if let By::Command(run) = &escape.by
            && let Some(program) = missing(run)
        {
            let note = Some(format!("{program} is not installed"));
            return Ok(Check { name, stopped: None, note });
        }
        let private = tempfile::tempdir_in(self.folder.path())?;
        let mut command = self.command(level, escape.by, &private.path().canonicalize()?)?;
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let ended = command.output()?;
        if ended.status.code() == Some(i32::from(HELPER_FAILED)) {
            let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
            return Err(SandboxError::Start(io::Error::other(said)));
        }
        let escaped = match escape.seen {
            Seen::End => ended.status.success(),
            Seen::File => self.mark.exists(),
            Seen::Datagram => self.udp.recv(&mut [0; 8]).is_ok(),
        };
        if self.mark.exists() {
            std::fs::remove_file(&self.mark)?;
        }
        Ok(Check { name, stopped: Some(!escaped), note: None })
    }
}

/// A repository by hand: with git or without, and with nobody's configuration.
fn make_repository(tree: &Path) -> io::Result<()> {
    for folder in ["objects", "refs/heads"] {
        std::fs::create_dir_all(tree.join(".git").join(folder))?;
    }
    std::fs::write(tree.join(".git/HEAD"), "ref: refs/heads/main\n")?;
    let config = "[core]\nrepositoryformatversion = 0\nfsmonitor = ./trap.sh\n";
    std::fs::write(tree.join(".git/config"), config)
}

/// The program that a command is, or runs, if there is none of that name.
fn missing(run: &Run) -> Option<String> {
    let Run::Program(argv) = run else { return None };
    let wanted = ["git", "rg"].into_iter().find(|name| argv.iter().any(|word| word == name))?;
    let found = Command::new(wanted).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_err().then(|| wanted.to_owned())
}
