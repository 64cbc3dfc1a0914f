//! Attempts to escape from the sandbox. With ordinary calls of the standard library, each attempt does one
//! thing that must fail inside the sandbox. Outside a sandbox, each attempt succeeds.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, inotify, open, utimensat};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    sendto, socket_with,
};
use rustix::process::{Pid, Signal, kill_process, setpriority_process};

use super::{EscapeProbe, machine_code};

/// Timeout of a connection. A connection within one machine normally succeeds or is refused immediately, but
/// on a busy machine the process may wait long for the processor.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Size of a page in bytes, which is the least memory that a pipe with data takes.
const PAGE: usize = 4096;
/// Stack size of an idle thread in bytes.
const IDLE_STACK_BYTES: usize = 64 << 10;
/// Number of files among which the written bytes are divided. No file therefore exceeds the size limit of a
/// single file.
const FILLED_FILES: u64 = 8;
/// The lowest priority of a process.
const LOWEST_PRIORITY: i32 = 19;
/// Number of files in one message, somewhat below the kernel's maximum.
pub(super) const FILES_PER_MESSAGE: u64 = 250;

impl EscapeProbe {
    /// Makes the attempt. Returns the exit code.
    pub(super) fn run_to_exit_code(&self) -> u8 {
        u8::from(self.run().is_err())
    }

    /// Returns the number of processes that hold resources of the attempt at the same time.
    pub(super) fn holder_processes(&self) -> u32 {
        if let Self::ChildProcesses(count, probe) = self {
            return u32::try_from(*count).unwrap_or(u32::MAX).saturating_mul(probe.holder_processes());
        }
        u32::from(matches!(self, Self::Hold(_)))
    }

    fn run(&self) -> io::Result<()> {
        let mut held = AttemptResources::default();
        self.attempt(&mut held)?;
        // If a process of the attempt fails, dropping `AttemptResources` kills the remaining processes.
        for process in &mut held.child_processes {
            if !process.wait()?.success() {
                return Err(io::Error::other("a process failed"));
            }
        }
        Ok(())
    }

    fn attempt(&self, resources: &mut AttemptResources) -> io::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Wait => io::stdin().read_to_end(&mut Vec::new()).map(drop),
            Self::Read(path) => std::fs::read(path).map(drop),
            Self::Write(path) => std::fs::write(path, "written"),
            Self::ChangeMode(path) => std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)),
            Self::ChangeTimes(path) => {
                let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
                let times = Timestamps { last_access: now, last_modification: now };
                Ok(utimensat(CWD, path, &times, AtFlags::empty())?)
            }
            Self::TruncateOnOpen(path) => {
                // The two modes in which Landlock does not take the file for written.
                let modes = [OFlags::RDONLY, OFlags::from_bits_retain(libc::O_ACCMODE.unsigned_abs())];
                let open_in = |mode| open(path, mode | OFlags::TRUNC | OFlags::CLOEXEC, Mode::empty());
                if modes.into_iter().any(|mode| open_in(mode).is_ok()) {
                    return Ok(());
                }
                Err(io::Error::other("the file cannot be truncated"))
            }
            Self::LowerPriority(pid) => {
                let pid = Pid::from_raw(*pid).ok_or_else(|| io::Error::other("no process"))?;
                Ok(setpriority_process(Some(pid), LOWEST_PRIORITY)?)
            }
            Self::Start(program) => match Command::new(program).status()?.success() {
                true => Ok(()),
                false => Err(io::Error::other("it failed")),
            },
            Self::Exec(program) => Err(Command::new(program).exec()),
            Self::FindInEnvironment(canary) => find_canary(canary),
            Self::Tcp(address) => TcpStream::connect_timeout(address, CONNECT_TIMEOUT).map(drop),
            Self::TcpFastOpen(address) => {
                let socket =
                    socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
                let fast_open = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.unsigned_abs());
                Ok(sendto(&socket, b"sent", fast_open, address).map(drop)?)
            }
            Self::Udp(address) => UdpSocket::bind("127.0.0.1:0")?.send_to(b"sent", address).map(drop),
            Self::AbstractSocket(name) => {
                let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
                UnixStream::connect_addr(&address).map(drop)
            }
            Self::Socket(path) => UnixStream::connect(path).map(drop),
            Self::DatagramPair(path) => UnixDatagram::pair()?.0.send_to(b"sent", path).map(drop),
            Self::Signal(pid) => {
                let pid = Pid::from_raw(*pid).ok_or_else(|| io::Error::other("no process"))?;
                Ok(kill_process(pid, Signal::CONT)?)
            }
            Self::OpenProcessMemory(pid) => std::fs::File::open(format!("/proc/{pid}/mem")).map(drop),
            Self::Threads(count) => start_threads(*count, &mut resources.stop_senders),
            Self::Memory(bytes) => fill_memory(*bytes).map(|used| resources.memory.push(used)),
            Self::Disk(bytes) => fill_disk(&std::env::temp_dir(), *bytes),
            Self::Files(count) => {
                let folder = std::env::temp_dir();
                (0..*count).try_for_each(|number| std::fs::write(folder.join(format!("empty-{number}")), ""))
            }
            Self::MemoryFile(bytes) => {
                let file = rustix::fs::memfd_create("filled", rustix::fs::MemfdFlags::CLOEXEC)?;
                resources.fill(std::fs::File::from(file), *bytes)
            }
            Self::UnlinkedFiles(folder, bytes) => (0..FILLED_FILES).try_for_each(|number| {
                let folder = if folder.as_os_str().is_empty() { &std::env::temp_dir() } else { folder };
                let path = folder.join(format!("truing-{}-{number}", std::process::id()));
                let file = std::fs::File::create_new(&path)?;
                std::fs::remove_file(path)?;
                resources.fill(file, bytes / FILLED_FILES)
            }),
            Self::Sockets(pairs) => {
                (0..*pairs).try_for_each(|_| UnixStream::pair().map(|pair| resources.sockets.push(pair)))
            }
            Self::Pipes(count) => (0..*count).try_for_each(|_| {
                // The writing end is dropped, but the pipe keeps its data for the reading end.
                let (reads, mut writes) = io::pipe()?;
                writes.write_all(&[1; PAGE])?;
                resources.pipes.push(reads);
                Ok(())
            }),
            Self::FilesInFlight(count) => {
                create_objects(*count, FILES_PER_MESSAGE, |_| send_files(resources))
            }
            Self::Watches(count) => {
                let queue = inotify::init(inotify::CreateFlags::CLOEXEC)?;
                let folder = std::env::temp_dir();
                let watched = create_objects(*count, 1, |number| {
                    let path = folder.join(format!("watched-{number}"));
                    std::fs::write(&path, "")?;
                    inotify::add_watch(&queue, &path, inotify::WatchFlags::MODIFY)?;
                    Ok(())
                });
                drop(queue);
                watched
            }
            Self::ChildProcesses(count, probe) => (0..*count).try_for_each(|_| {
                resources
                    .child_processes
                    .push(super::helper_command(&super::HelperStage::Probe((**probe).clone()))?.spawn()?);
                Ok(())
            }),
            Self::Hold(probe) => {
                probe.attempt(resources)?;
                let mut output = io::stdout();
                output.write_all(&[machine_code::HOLDING_MARK])?;
                output.flush()?;
                io::stdin().read_to_end(&mut Vec::new()).map(drop)
            }
            Self::Both(one, other) => {
                one.attempt(resources)?;
                other.attempt(resources)
            }
        }
    }
}

/// The resources that an attempt holds until it ends.
#[derive(Default)]
struct AttemptResources {
    memory: Vec<Vec<u8>>,
    stop_senders: Vec<mpsc::Sender<()>>,
    files: Vec<std::fs::File>,
    sockets: Vec<(UnixStream, UnixStream)>,
    pipes: Vec<io::PipeReader>,
    child_processes: Vec<Child>,
}

impl AttemptResources {
    fn fill(&mut self, mut file: std::fs::File, bytes: u64) -> io::Result<()> {
        let chunk = vec![1; CHUNK_BYTES];
        for _ in 0..bytes / CHUNK_BYTES as u64 {
            file.write_all(&chunk)?;
        }
        self.files.push(file);
        Ok(())
    }
}

impl Drop for AttemptResources {
    fn drop(&mut self) {
        for process in &mut self.child_processes {
            // The error is ignored, because the process may already have exited.
            let _ = process.kill().and_then(|()| process.wait());
        }
    }
}

/// Calls `make`, which creates `at_once` objects, until `count` objects exist or a call fails. Writes the
/// number of created objects to the output.
fn create_objects(count: u64, at_once: u64, mut make: impl FnMut(u64) -> io::Result<()>) -> io::Result<()> {
    let mut made = 0;
    let mut end = Ok(());
    while made < count && end.is_ok() {
        end = make(made);
        made += if end.is_ok() { at_once } else { 0 };
    }
    let mut output = io::stdout();
    output.write_all(&[&[machine_code::OBJECT_COUNT_MARK][..], &made.to_le_bytes()].concat())?;
    output.flush()?;
    end
}

/// Sends one message with `FILES_PER_MESSAGE` files, which are never received.
fn send_files(resources: &mut AttemptResources) -> io::Result<()> {
    let (from, to) = UnixStream::pair()?;
    {
        let files = [from.as_fd(); FILES_PER_MESSAGE as usize];
        let mut space =
            vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_PER_MESSAGE as usize))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        message.push(SendAncillaryMessage::ScmRights(&files));
        sendmsg(&from, &[IoSlice::new(b"x")], &mut message, SendFlags::empty())?;
    }
    resources.sockets.push((from, to));
    Ok(())
}

fn find_canary(canary: &str) -> io::Result<()> {
    for process in std::fs::read_dir("/proc")? {
        let environment = std::fs::read(process?.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(canary) {
            return Ok(());
        }
    }
    Err(io::Error::other("no process has the searched value in its environment"))
}

/// Starts threads. Each thread waits until a channel is closed. Dropping the resources closes the channels.
fn start_threads(count: u64, stop_senders: &mut Vec<mpsc::Sender<()>>) -> io::Result<()> {
    for _ in 0..count {
        let (end, waits) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new().stack_size(IDLE_STACK_BYTES);
        thread.spawn(move || waits.recv())?;
        stop_senders.push(end);
    }
    Ok(())
}

fn fill_memory(bytes: u64) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
    let mut used: Vec<u8> = Vec::new();
    used.try_reserve_exact(bytes).map_err(io::Error::other)?;
    used.resize(bytes, 1);
    match used.last() {
        Some(1) => Ok(used),
        Some(_) | None => Err(io::Error::other("the memory does not contain the written value")),
    }
}

fn fill_disk(folder: &Path, bytes: u64) -> io::Result<()> {
    let chunk = vec![1; CHUNK_BYTES];
    for number in 0..FILLED_FILES {
        let mut file = std::fs::File::create(folder.join(format!("filled-{number}")))?;
        for _ in 0..bytes / FILLED_FILES / CHUNK_BYTES as u64 {
            file.write_all(&chunk)?;
        }
    }
    Ok(())
}
