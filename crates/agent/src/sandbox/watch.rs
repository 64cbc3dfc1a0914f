//! The watcher of a job: adds up what all its processes hold together, and says which bound they passed.
//!
//! The kernel's own limits count one process at a time, and not what processes share. The watcher runs outside, in the
//! process that ends the job. It reads what the kernel says of each process, of shared memory, and of the job's file
//! system in memory. It looks every [`PERIOD`]: between two looks a job can pass a bound by what it takes in that time.

mod kernel;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Dir, Mode, OFlags, openat};
use truing_core::sandbox::SandboxLimit;

use super::files::{self, FEW_PIPES};
use super::{SandboxJob, SandboxLevel, smaps};
use crate::verify::usage;

/// How often the watcher looks. One look at a few processes takes a tenth of a millisecond.
pub const PERIOD: Duration = Duration::from_millis(20);
/// The mark that the helper writes after each look, for a reader of its output.
pub(super) const LOOKED: u8 = b'L';
/// How often it looks at folders on a disk, at most.
const DISK_PERIOD: Duration = Duration::from_secs(1);
/// Looking at folders takes at most 1/20 of the time.
const DISK_PAUSE: u32 = 20;
/// What the kernel keeps of a file in memory beside its content, in bytes.
const INODE: u64 = 1 << 10;
/// The most that the buffers of one socket hold, in bytes: what the kernel allows to send and to receive.
const SOCKET: u64 = 1 << 20;
/// Sockets that a job may have however small its memory limit.
const FEW_SOCKETS: u64 = 256;
/// The processor time and the time that dividing shared pages may take in one look. A job that makes it longer, by very
/// many mappings, would not be watched meanwhile.
const EXACT: Duration = Duration::from_secs(1);
const EXACT_ON_BUSY_MACHINE: Duration = Duration::from_secs(5);
/// How much of what the kernel says of a process is read at once, in bytes.
const CHUNK: usize = 64 << 10;
/// What stands between the name of a bound and how much was seen.
const EXCEEDED: &str = " limit exceeded by all processes together: ";
/// The kernel tells memory in units of so many bytes.
const KIB: u64 = 1 << 10;

/// A bound that was passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ExceededBound {
    pub(super) bound: SandboxLimit,
    /// What was seen; bytes, or how many.
    pub(super) seen: u64,
    pub(super) limit: u64,
}

impl fmt::Display for ExceededBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |amount: u64| match self.bound {
            SandboxLimit::Memory | SandboxLimit::Disk => format!("{} MiB", amount.div_ceil(1 << 20)),
            SandboxLimit::Processes | SandboxLimit::Sockets => amount.to_string(),
        };
        write!(f, "{}{EXCEEDED}{} of {}", self.bound.as_str(), size(self.seen), size(self.limit))
    }
}

/// Which bound this line of the helper says was passed, and what it says of it.
pub(super) fn passed(line: &str) -> Option<(SandboxLimit, &str)> {
    let (bound, seen) = line.split_once(EXCEEDED)?;
    Some((SandboxLimit::named(bound)?, seen))
}

/// What a look at a job saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct JobUsage {
    memory: u64,
    processes: u64,
    sockets: u64,
}

/// The number of sockets that a job may have.
pub(super) fn most_sockets(memory: u64) -> u64 {
    memory.div_euclid(SOCKET).max(FEW_SOCKETS)
}

/// Watches the descendants of this process.
pub(super) struct JobWatcher {
    /// The machine's `/proc`. It stays what it is when this process gets another root.
    proc: OwnedFd,
    level: SandboxLevel,
    limits: super::JobLimits,
    /// The root file system before the job has its own.
    machine: u64,
    /// Where the kernel keeps shared memory that has no name in a file system.
    nameless: Option<u64>,
    /// Does the kernel sum up what a process has mapped by its kind? It does since Linux 5.4.
    sums_up: bool,
    /// Shared memory of the whole machine before the job, in bytes.
    shared_before: u64,
    /// The kernel's own memory of the whole machine, at the least since the job began; see [`JobWatcher::kernel_of_machine`].
    kernel_least: [u64; 2],
    /// Folders on a disk that are the job's alone.
    folders: Vec<PathBuf>,
    /// What they held before, in bytes.
    disk_before: u64,
    next_disk: Instant,
}

/// One process, as its `status` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct ProcessStatus {
    threads: u64,
    /// Memory that is not a file's, swapped or not, in bytes.
    own: u64,
    /// The tables of its pages, in bytes.
    tables: u64,
    /// Memory that it has mapped and may share, in bytes.
    shared: u64,
    /// Open files.
    files: u64,
}

impl ProcessStatus {
    /// The most that can be its own of what it has mapped, in bytes.
    fn in_full(&self) -> u64 {
        self.own.saturating_add(self.shared)
    }
}

/// What exact counting may still take in one look.
struct CountingBudget {
    began: Instant,
    processor: Duration,
}

impl CountingBudget {
    fn new() -> Self {
        Self { began: Instant::now(), processor: processor_time() }
    }

    fn is_spent(&self) -> bool {
        processor_time().saturating_sub(self.processor) > EXACT
            || self.began.elapsed() > EXACT_ON_BUSY_MACHINE
    }
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// What all processes have mapped, without files, each page divided among those that have it; in bytes.
#[derive(Default)]
struct MappedTotals {
    own: u64,
    /// Shared memory; some of it may be the job's file system's, or a segment.
    shared: u64,
}

impl JobWatcher {
    /// Begins to watch, before anything of the job is started.
    ///
    /// # Errors
    /// If there is no `/proc`.
    pub(super) fn new(job: &SandboxJob) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
        let folders = match job.level {
            SandboxLevel::Full => Vec::new(),
            SandboxLevel::Landlock | SandboxLevel::None => vec![job.private.clone()],
        };
        let mut watch = Self {
            proc,
            level: job.level,
            limits: job.limits,
            machine: device("/")?,
            nameless: nameless(),
            sums_up: false,
            shared_before: 0,
            kernel_least: [0; 2],
            disk_before: folders.iter().map(|folder| usage::of(folder).bytes).sum(),
            folders,
            next_disk: Instant::now() + DISK_PERIOD,
        };
        watch.sums_up = watch.read("self/smaps_rollup").is_some_and(|told| smaps::summary(&told).is_some());
        watch.shared_before = watch.shared_of_machine();
        watch.kernel_least = watch.kernel_of_machine().unwrap_or([u64::MAX; 2]);
        Ok(watch)
    }

    /// Looks once at everything that this process has started. Returns the first bound that is passed.
    pub(super) fn look(&mut self) -> Option<ExceededBound> {
        let look = self.seen();
        let bounds = [
            (SandboxLimit::Memory, look.memory, self.limits.memory),
            (SandboxLimit::Processes, look.processes, self.limits.processes),
            (SandboxLimit::Sockets, look.sockets, most_sockets(self.limits.memory)),
        ];
        let passed = bounds.into_iter().find(|(_, seen, limit)| seen > limit);
        passed.map(|(bound, seen, limit)| ExceededBound { bound, seen, limit }).or_else(|| self.disk())
    }

    /// The cheap sum first, which counts shared memory once for each process that has it, and each open file as a full
    /// pipe. The exact one costs more, and is needed only when the first passes the limit.
    fn seen(&mut self) -> JobUsage {
        let processes = self.processes();
        let (file_system, segments) = (self.file_system(), self.segments());
        let sum = |of: fn(&ProcessStatus) -> u64| processes.values().map(of).sum::<u64>();
        let counted = file_system.saturating_add(segments);
        let hidden = self.shared_of_machine().saturating_sub(self.shared_before).saturating_sub(counted);
        let pipe = files::most_of_a_pipe(self.level);
        let files = sum(|process| process.files).saturating_mul(pipe);
        let cheap = sum(|process| process.tables + process.in_full()).saturating_add(counted);
        let memory = if cheap.saturating_add(files) <= self.limits.memory && hidden <= self.limits.memory {
            cheap.saturating_add(files)
        } else {
            let budget = CountingBudget::new();
            let mapped = self.exact(&processes, counted, hidden, &budget);
            let few = mapped.saturating_add(files) <= self.limits.memory;
            mapped.saturating_add(if few { files } else { self.files(&processes, pipe, &budget) })
        };
        // Objects of the kernel whose size it does not say: they are the job's if the machine has as much more of them
        // as the job may have memory, and if the job can have so much by what it is seen to have.
        let now = self.kernel_of_machine();
        let mut kernel = 0;
        for (least, now) in self.kernel_least.iter_mut().zip(now.into_iter().flatten()) {
            *least = now.min(*least);
            kernel = kernel.max(now - *least);
        }
        let memory = if kernel > self.limits.memory {
            memory.max(kernel.min(self.objects(&processes)))
        } else {
            memory
        };
        JobUsage { memory, processes: sum(|process| process.threads), sockets: self.sockets() }
    }

    /// What open files hold in memory: each pipe once, however many processes have it.
    fn files(&self, processes: &BTreeMap<u32, ProcessStatus>, pipe: u64, budget: &CountingBudget) -> u64 {
        let (mut pipes, mut others, mut unread) = (BTreeSet::new(), 0_u64, 0_u64);
        for (pid, process) in processes {
            let open = if budget.is_spent() { None } else { self.of_table(*pid, files::read) };
            match open {
                Some(open) => {
                    pipes.extend(open.pipes);
                    others = others.saturating_add(open.others);
                }
                None => unread = unread.saturating_add(process.files),
            }
        }
        let pipes = unread.saturating_add(pipes.len() as u64).saturating_sub(FEW_PIPES);
        pipes.saturating_mul(pipe).saturating_add(others.saturating_mul(files::OTHER))
    }

    /// Sums of whole processes first; mappings one by one only where that does not decide. What cannot be read within
    /// the budget is counted in full.
    fn exact(
        &self,
        processes: &BTreeMap<u32, ProcessStatus>,
        counted: u64,
        hidden: u64,
        budget: &CountingBudget,
    ) -> u64 {
        let limit = self.limits.memory;
        if !self.sums_up {
            return self.mappings(processes, counted, hidden, budget).0;
        }
        let mut all = MappedTotals::default();
        for (pid, process) in processes {
            let spent = budget.is_spent();
            if !spent && self.is_suspended(*pid, processes) {
                continue;
            }
            let told = if spent { None } else { self.alive(*pid, "smaps_rollup", None) };
            let told = told.and_then(|text| smaps::summary(&text));
            // What a process does not show is counted in full.
            let told = told.filter(|told| process.own == 0 || told.own > 0);
            let (own, shared) = told.map_or((process.own, process.shared), |told| (told.own, told.shared));
            all.own = all.own.saturating_add(own).saturating_add(process.tables);
            all.shared = all.shared.saturating_add(shared);
        }
        let most = all.own.saturating_add(all.shared).saturating_add(counted);
        let least = all.own.saturating_add(all.shared.max(counted));
        if hidden <= limit && (most <= limit || least > limit) {
            return if most <= limit { most } else { least };
        }
        match self.mappings(processes, counted, hidden, budget) {
            (exact, true) => exact,
            // It took too long: nobody is ended who may be within the limit, and nobody holds twice as much.
            (_, false) if hidden > limit => least.max(hidden),
            (_, false) => least,
        }
    }

    /// Mapping by mapping; and, whether everything was read within the budget.
    fn mappings(
        &self,
        processes: &BTreeMap<u32, ProcessStatus>,
        counted: u64,
        hidden: u64,
        budget: &CountingBudget,
    ) -> (u64, bool) {
        let (mut all, mut shares) = (counted, false);
        for (pid, process) in processes {
            let spent = budget.is_spent();
            if !spent && self.is_suspended(*pid, processes) {
                continue;
            }
            let told = if spent { None } else { self.alive(*pid, "smaps", Some(budget)) };
            let mapped = told.map(|text| smaps::sum(&text, self.nameless));
            // What a process does not show is counted in full.
            let mapped = mapped
                .filter(|mapped| process.own == 0 || mapped.bytes > 0)
                .unwrap_or(smaps::MappedMemory { bytes: process.in_full(), shares: process.shared > 0 });
            shares |= mapped.shares;
            all = all.saturating_add(mapped.bytes).saturating_add(process.tables);
        }
        // Shared memory that was filled and is mapped no more, but for a page, is in no process: only the machine's sum
        // has it. It is the job's if the job shares memory, and if it is more than the job could have elsewhere.
        let all = if shares && hidden > self.limits.memory { all.max(hidden) } else { all };
        (all, !budget.is_spent())
    }

    /// Does a thread of this process wait in `vfork`, while a child uses its memory? Then the child is counted alone.
    fn is_suspended(&self, pid: u32, processes: &BTreeMap<u32, ProcessStatus>) -> bool {
        let sizes = |pid| self.alive(pid, "status", None).map(|text| sizes(&text));
        let mut lent = self.threads(pid).into_iter().flat_map(|thread| {
            let children = self.read(&format!("{pid}/task/{thread}/children")).unwrap_or_default();
            numbers(&children).into_iter().map(move |child| (thread, child))
        });
        lent.any(|(thread, child)| {
            processes.contains_key(&child)
                && sizes(child).is_some_and(|of_child| sizes(pid) == Some(of_child))
                && self.read(&format!("{pid}/task/{thread}/status")).is_some_and(|text| is_blocked(&text))
        })
    }

    /// All descendants of this process.
    fn processes(&self) -> BTreeMap<u32, ProcessStatus> {
        let mut all = BTreeMap::new();
        let mut next = self.children(std::process::id());
        while let Some(pid) = next.pop() {
            // It may have ended since.
            let Some(status) = self.alive(pid, "status", None) else { continue };
            let files = self.of_table(pid, files::count).unwrap_or(0);
            if all.insert(pid, ProcessStatus { files, ..process(&status) }).is_none() {
                next.extend(self.children(pid));
            }
        }
        all
    }

    /// Children of all threads of a process.
    fn children(&self, pid: u32) -> Vec<u32> {
        let threads = self.threads(pid);
        let files = threads.iter().filter_map(|thread| self.read(&format!("{pid}/task/{thread}/children")));
        files.flat_map(|file| numbers(&file)).collect()
    }

    fn threads(&self, pid: u32) -> Vec<u32> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = openat(&self.proc, format!("{pid}/task"), flags, Mode::empty()) else {
            return vec![];
        };
        let Ok(entries) = Dir::new(folder) else { return vec![] };
        let names = entries.flatten().filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok());
        names.collect()
    }

    /// A file of a process, as a thread of it sees it that has not ended: the first may have, and then it shows no
    /// memory.
    fn alive(&self, pid: u32, file: &str, within: Option<&CountingBudget>) -> Option<String> {
        let first = self.read_within(&format!("{pid}/{file}"), within);
        let shows =
            |text: &String| if file == "status" { text.contains("\nVmRSS:") } else { !text.is_empty() };
        if first.as_ref().is_some_and(shows) {
            return first;
        }
        let others = self.threads(pid).into_iter().filter(|thread| *thread != pid);
        let mut others =
            others.filter_map(|thread| self.read_within(&format!("{pid}/task/{thread}/{file}"), within));
        others.find(shows).or(first)
    }

    /// What is told of the open files of a process. All its threads have the same, but one that has ended has none.
    fn of_table<T>(&self, pid: u32, told: fn(&OwnedFd, &str) -> Option<T>) -> Option<T> {
        told(&self.proc, &format!("{pid}/fd")).or_else(|| {
            let mut threads = self.threads(pid).into_iter();
            threads.find_map(|thread| told(&self.proc, &format!("{pid}/task/{thread}/fd")))
        })
    }

    /// What the job's own file system holds, which is memory: home and temporary folders, and shared memory by name.
    fn file_system(&self) -> u64 {
        if self.level != SandboxLevel::Full || device("/").ok() == Some(self.machine) {
            return 0;
        }
        let Ok(held) = rustix::fs::statvfs("/") else { return 0 };
        let blocks = held.f_blocks.saturating_sub(held.f_bfree).saturating_mul(held.f_frsize);
        blocks.saturating_add(held.f_files.saturating_sub(held.f_ffree).saturating_mul(INODE))
    }

    /// Segments of shared memory in the job's own namespace.
    fn segments(&self) -> u64 {
        match self.level {
            SandboxLevel::Full => self.read("sysvipc/shm").map_or(0, |table| segments(&table)),
            // The filter has none there.
            SandboxLevel::Landlock | SandboxLevel::None => 0,
        }
    }

    /// Sockets in the job's own network.
    fn sockets(&self) -> u64 {
        let told = match self.level {
            SandboxLevel::Full => self.read("self/net/sockstat"),
            SandboxLevel::Landlock | SandboxLevel::None => None,
        };
        told.and_then(|told| told.strip_prefix("sockets: used ")?.lines().next()?.trim().parse().ok())
            .unwrap_or(0)
    }

    fn shared_of_machine(&self) -> u64 {
        self.read("meminfo").map_or(0, |told| kib(&told, "Shmem:"))
    }

    fn disk(&mut self) -> Option<ExceededBound> {
        let began = Instant::now();
        if began < self.next_disk {
            return None;
        }
        let passed = self.written();
        self.next_disk = Instant::now() + DISK_PERIOD.max(began.elapsed() * DISK_PAUSE);
        passed
    }

    /// Has more been written than may be? To be asked at the end, too: a job may be faster than the watcher.
    pub(super) fn written(&self) -> Option<ExceededBound> {
        let holds: u64 = self.folders.iter().map(|folder| usage::of(folder).bytes).sum();
        let seen = holds.saturating_sub(self.disk_before);
        (seen > self.limits.disk).then_some(ExceededBound {
            bound: SandboxLimit::Disk,
            seen,
            limit: self.limits.disk,
        })
    }

    fn read(&self, path: &str) -> Option<String> {
        self.read_within(path, None)
    }

    /// None also if it takes longer than the budget has.
    fn read_within(&self, path: &str, budget: Option<&CountingBudget>) -> Option<String> {
        let file = openat(&self.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let (mut file, mut text) = (std::fs::File::from(file), Vec::new());
        while (&mut file).take(CHUNK as u64).read_to_end(&mut text).ok()? > 0 {
            if budget.is_some_and(CountingBudget::is_spent) {
                return None;
            }
        }
        // Names of processes and files are any bytes.
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

/// The file system of a path.
fn device(path: &str) -> io::Result<u64> {
    Ok(rustix::fs::stat(Path::new(path))?.st_dev)
}

/// The file system of shared memory without a name, as a piece of it says. A kernel without it has none to count.
fn nameless() -> Option<u64> {
    let piece = rustix::fs::memfd_create("truing", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
    Some(rustix::fs::fstat(piece).ok()?.st_dev)
}

fn process(status: &str) -> ProcessStatus {
    ProcessStatus {
        threads: field(status, "Threads:").unwrap_or(1),
        own: kib(status, "RssAnon:").saturating_add(kib(status, "VmSwap:")),
        tables: kib(status, "VmPTE:"),
        shared: kib(status, "RssShmem:"),
        files: 0,
    }
}

/// What is equal of two processes that have one memory.
fn sizes(status: &str) -> [u64; 3] {
    ["VmPeak:", "VmSize:", "VmData:"].map(|name| kib(status, name))
}

/// Does it wait in a call that cannot be interrupted? Whoever calls `vfork` does.
fn is_blocked(status: &str) -> bool {
    status.lines().any(|line| line.starts_with("State:\tD"))
}

/// The `rss` and `swap` columns of all segments.
fn segments(table: &str) -> u64 {
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let columns = ["rss", "swap"].map(|name| names.iter().position(|column| *column == name));
    let of_line = |line: &str| {
        let values: Vec<&str> = line.split_whitespace().collect();
        let value = |column: &Option<usize>| values.get((*column)?)?.parse::<u64>().ok();
        columns.iter().filter_map(value).sum::<u64>()
    };
    lines.map(of_line).sum()
}

/// A value of `/proc` in KiB, in bytes.
fn kib(text: &str, name: &str) -> u64 {
    field(text, name).unwrap_or(0).saturating_mul(KIB)
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::{EscapeProbe, JobCommand, JobLimits};

    const MIB: u64 = 1 << 20;

    /// A watcher, and this process as one that may have more in common with others than the limit.
    fn watched(folder: &Path) -> (JobWatcher, BTreeMap<u32, ProcessStatus>) {
        let mut job =
            SandboxJob::new(SandboxLevel::None, folder, JobCommand::Probe(EscapeProbe::Nothing)).unwrap();
        job.private = folder.to_owned();
        job.limits = JobLimits { memory: 4096 * MIB, ..JobLimits::default() };
        let process =
            ProcessStatus { threads: 1, own: 3000 * MIB, tables: MIB, shared: 2000 * MIB, files: 1_000_000 };
        (JobWatcher::new(&job).unwrap(), BTreeMap::from([(std::process::id(), process)]))
    }

    fn spent() -> CountingBudget {
        CountingBudget {
            began: Instant::now().checked_sub(EXACT_ON_BUSY_MACHINE * 2).unwrap(),
            ..CountingBudget::new()
        }
    }

    #[test]
    fn what_is_not_read_in_time_counts_in_full() {
        let folder = tempfile::tempdir().unwrap();
        let (watch, processes) = watched(folder.path());
        assert!(watch.sums_up);
        let exact = watch.exact(&processes, 5 * MIB, 0, &CountingBudget::new());
        assert!((6 * MIB..1000 * MIB).contains(&exact), "{exact}");
        assert_eq!(watch.exact(&processes, 5 * MIB, 0, &spent()), 5001 * MIB);
        let pipe = files::most_of_a_pipe(SandboxLevel::Full);
        assert_eq!(watch.files(&processes, pipe, &spent()), (1_000_000 - FEW_PIPES) * pipe);
    }

    /// The file system's files may be among what is mapped, or not. Without time to look, the job has the doubt for it.
    #[test]
    fn who_may_be_within_the_limit_is_not_ended_for_want_of_time() {
        let folder = tempfile::tempdir().unwrap();
        let (mut watch, mut processes) = watched(folder.path());
        watch.limits.memory = 5500 * MIB;
        let counted = 1500 * MIB;
        assert_eq!(watch.exact(&processes, counted, 0, &spent()), 5001 * MIB);
        // What grew beside it in the machine's memory is taken for its own then.
        assert_eq!(watch.exact(&processes, counted, 6000 * MIB, &spent()), 6000 * MIB);
        if let Some(process) = processes.get_mut(&std::process::id()) {
            process.own = 4000 * MIB;
        }
        assert_eq!(watch.exact(&processes, counted, 0, &spent()), 6001 * MIB);
    }

    /// Two processes with the same pipes have them once.
    #[test]
    fn pipes_are_counted_once_and_a_few_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (watch, mut processes) = watched(folder.path());
        let pipe = files::most_of_a_pipe(SandboxLevel::Full);
        let before = watch.files(&processes, pipe, &CountingBudget::new());
        assert!(before < FEW_PIPES * pipe, "{before}");
        let pipes: Vec<_> = (0..FEW_PIPES + 20).map(|_| std::io::pipe().unwrap()).collect();
        let this = std::process::id();
        assert!(watch.of_table(this, files::count).unwrap() > 2 * FEW_PIPES);
        let one = watch.files(&processes, pipe, &CountingBudget::new());
        assert!((20 * pipe..100 * pipe).contains(&one), "{one}");
        // A thread has the same files as its process.
        let thread = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        assert_ne!(thread, this);
        processes.insert(thread, ProcessStatus::default());
        let both = watch.files(&processes, pipe, &CountingBudget::new());
        assert!(both < one + 20 * pipe, "{one} {both}");
        drop(pipes);
    }
}
