//! Watches a job: adds up the resources of all its processes, and reports a limit that the processes together
//! exceed.
//!
//! The kernel's own limits apply to one process at a time, and do not count shared resources. The watcher
//! runs outside the sandbox, in the process that kills the job. The watcher reads the kernel's data about
//! each process, about shared memory, and about the job's file system in memory. The watcher checks the job
//! every [`CHECK_INTERVAL`]. Between two checks, a job can exceed a limit by the amount that it allocates in
//! this time.

// long: the cheap and the exact count of the same resources must agree, and are read together.

mod kernel;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Dir, Mode, OFlags, openat};
use truing_core::sandbox::SandboxLimit;

use super::limits::max_files;
use super::open_files::{self, UNCOUNTED_PIPES};
use super::{HELPER_MESSAGE_PREFIX, LIMIT_EXCEEDED_EXIT_CODE, SandboxJob, SandboxLevel, smaps};
use crate::verify::usage::{self, DiskUsage};

/// The mark that the helper writes to its output after each check; the self-test reads it.
pub(super) const CHECK_DONE_MARK: u8 = b'L';
/// Minimum interval between two measurements of the folders on a disk.
const DISK_MEASUREMENT_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum ratio of the pause after a measurement of the folders to the duration of the measurement.
const DISK_MEASUREMENT_PAUSE_RATIO: u32 = 20;
/// Kernel memory in bytes for a file in the file system in memory, without its content.
const INODE_BYTES: u64 = 1 << 10;
/// Maximum number of bytes in the send and receive buffers of one socket.
const MAX_SOCKET_BUFFER_BYTES: u64 = 1 << 20;
/// Number of sockets that every job may have, even with a low memory limit.
const MIN_ALLOWED_SOCKETS: u64 = 256;
/// Maximum processor time of the exact memory count in one check; the next constant is the maximum wall-clock
/// time. Without these limits, a job with very many mappings could delay the next check for a long time.
const EXACT_COUNT_PROCESSOR_LIMIT: Duration = Duration::from_secs(1);
const EXACT_COUNT_TIME_LIMIT: Duration = Duration::from_secs(5);
/// Number of bytes that are read at once from a file of `/proc`.
const CHUNK_BYTES: usize = 64 << 10;
/// Separator between the name of a limit and the measured value.
const EXCEEDED_SEPARATOR: &str = " limit exceeded by all processes together: ";
/// Unit of the kernel's memory values, in bytes.
const KIB: u64 = 1 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ExceededLimit {
    pub(super) limit_kind: SandboxLimit,
    /// Measured value: bytes, or a number of processes or sockets.
    pub(super) measured: u64,
    pub(super) limit: u64,
}

impl fmt::Display for ExceededLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |amount: u64| match self.limit_kind {
            SandboxLimit::Memory | SandboxLimit::Disk => format!("{} MiB", amount.div_ceil(1 << 20)),
            SandboxLimit::Processes | SandboxLimit::Sockets => amount.to_string(),
        };
        write!(
            f,
            "{}{EXCEEDED_SEPARATOR}{} of {}",
            self.limit_kind.as_str(),
            size(self.measured),
            size(self.limit)
        )
    }
}

/// Returns the limit for which a job was killed, with the measured value (`130 MiB of 64 MiB`). Returns
/// `None` if the job was not killed for a limit. The limit and the value are read from the helper's exit code
/// and the end of its error stream. A program inside the sandbox can forge this report, but the forged report
/// affects only the program's own job.
pub fn exceeded_limit(code: Option<i32>, stderr: &[u8]) -> Option<(SandboxLimit, String)> {
    if code != Some(i32::from(LIMIT_EXCEEDED_EXIT_CODE)) {
        return None;
    }
    let errors = String::from_utf8_lossy(stderr);
    let (_, line) = errors.trim_end().rsplit_once(HELPER_MESSAGE_PREFIX)?;
    let (bound, seen) = parse_exceeded(line)?;
    Some((bound, seen.to_owned()))
}

/// Parses an error line of the helper. Returns the exceeded limit, and the measured value as text.
fn parse_exceeded(line: &str) -> Option<(SandboxLimit, &str)> {
    let (bound, seen) = line.split_once(EXCEEDED_SEPARATOR)?;
    Some((SandboxLimit::from_name(bound)?, seen))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct JobUsage {
    memory: u64,
    processes: u64,
    sockets: u64,
    /// Bytes on the disk of open files without a name.
    nameless_bytes: u64,
}

/// The open files of all processes of a job together.
struct OpenFileTotals {
    sockets: u64,
    nameless_bytes: u64,
}

/// Returns the number of sockets that a job may have.
pub(super) fn max_sockets(memory: u64) -> u64 {
    memory.div_euclid(MAX_SOCKET_BUFFER_BYTES).max(MIN_ALLOWED_SOCKETS)
}

/// Watches the descendants of this process.
pub(super) struct JobWatcher {
    /// The machine's `/proc`. The open folder stays valid after this process has changed its root.
    proc: OwnedFd,
    level: SandboxLevel,
    limits: super::JobLimits,
    /// The device number of the machine's root file system, read before the job gets its own root.
    root_device: u64,
    /// The device number of the kernel's file system for shared memory without a name.
    unnamed_memory_device: Option<u64>,
    /// True if the kernel reports separate sums for each kind of mapped memory, as Linux does since 5.4.
    has_memory_summaries: bool,
    /// Shared memory of the whole machine before the job started, in bytes.
    initial_shared_bytes: u64,
    /// Lowest measured values of the kernel memory that belongs to no process, since the job began; see
    /// [`JobWatcher::machine_kernel_memory`].
    min_kernel_memory: [u64; 2],
    /// Folders on a disk that only the job uses.
    folders: Vec<PathBuf>,
    /// True if the disk of the folders was nearly full before the job started.
    was_disk_full: bool,
    next_disk: Instant,
}

/// One process, as parsed from its `status`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct ProcessStatus {
    threads: u64,
    /// Memory that belongs to no file, in bytes, including swapped memory.
    anonymous: u64,
    page_table_bytes: u64,
    /// Mapped memory that other processes may share, in bytes.
    shared: u64,
    files: u64,
}

impl ProcessStatus {
    /// Returns the upper bound of the process's own memory in bytes: all mapped memory, as if no other
    /// process shared it.
    fn max_own_memory(&self) -> u64 {
        self.anonymous.saturating_add(self.shared)
    }
}

/// Limits the time of the exact memory count in one check.
struct CountingBudget {
    started_at: Instant,
    processor: Duration,
}

impl CountingBudget {
    fn new() -> Self {
        Self { started_at: Instant::now(), processor: processor_time() }
    }

    fn is_spent(&self) -> bool {
        processor_time().saturating_sub(self.processor) > EXACT_COUNT_PROCESSOR_LIMIT
            || self.started_at.elapsed() > EXACT_COUNT_TIME_LIMIT
    }
}

fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// The memory, without files, that all processes of a job map, in bytes. A shared page is divided among the
/// processes that map it.
#[derive(Default)]
struct MappedMemoryTotals {
    anonymous: u64,
    /// Shared memory. A part of this memory may also be counted in the job's file system or in a segment.
    shared: u64,
}

impl JobWatcher {
    /// Returns a watcher. Must be called before any process of the job exists.
    ///
    /// # Errors
    /// An I/O error if there is no `/proc`.
    pub(super) fn new(job: &SandboxJob) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
        let folders = match job.level {
            SandboxLevel::Full => Vec::new(),
            SandboxLevel::Landlock | SandboxLevel::None => vec![job.private_folder.clone()],
        };
        let mut watch = Self {
            proc,
            level: job.level,
            limits: job.limits,
            root_device: path_device("/")?,
            unnamed_memory_device: shared_memory_device(),
            has_memory_summaries: false,
            initial_shared_bytes: 0,
            min_kernel_memory: [0; 2],
            was_disk_full: folders.iter().any(|folder| usage::is_full(folder).unwrap_or(false)),
            folders,
            next_disk: Instant::now() + DISK_MEASUREMENT_INTERVAL,
        };
        watch.has_memory_summaries = watch
            .read_proc("self/smaps_rollup")
            .is_some_and(|summary| smaps::parse_summary(&summary).is_some());
        watch.initial_shared_bytes = watch.machine_shared_memory();
        watch.min_kernel_memory = watch.machine_kernel_memory().unwrap_or([u64::MAX; 2]);
        Ok(watch)
    }

    /// Checks all descendants of this process once. Returns the first limit that the job exceeds.
    pub(super) fn check_limits(&mut self) -> Option<ExceededLimit> {
        let look = self.measure_usage();
        let bounds = [
            (SandboxLimit::Memory, look.memory, self.limits.memory),
            (SandboxLimit::Processes, look.processes, self.limits.processes),
            (SandboxLimit::Sockets, look.sockets, max_sockets(self.limits.memory)),
            (SandboxLimit::Disk, look.nameless_bytes, self.limits.disk),
        ];
        let passed = bounds.into_iter().find(|(_, measured, limit)| measured > limit);
        passed
            .map(|(bound, measured, limit)| ExceededLimit { limit_kind: bound, measured, limit })
            .or_else(|| self.poll_disk())
    }

    /// Computes a cheap sum first. The cheap sum is never too low, because it counts shared memory once for
    /// each process, and each open file as a full pipe. The exact sum takes longer, and is computed only if
    /// the cheap sum exceeds the limit.
    fn measure_usage(&mut self) -> JobUsage {
        let processes = self.descendants();
        let (file_system, segments) = (self.file_system_memory(), self.segment_memory());
        let sum = |measure: fn(&ProcessStatus) -> u64| processes.values().map(measure).sum::<u64>();
        let counted = file_system.saturating_add(segments);
        let hidden =
            self.machine_shared_memory().saturating_sub(self.initial_shared_bytes).saturating_sub(counted);
        let pipe = open_files::max_pipe_bytes(self.level);
        let files = sum(|process| process.files).saturating_mul(pipe);
        let cheap =
            sum(|process| process.page_table_bytes + process.max_own_memory()).saturating_add(counted);
        let memory = if cheap.saturating_add(files) <= self.limits.memory && hidden <= self.limits.memory {
            cheap.saturating_add(files)
        } else {
            let budget = CountingBudget::new();
            let mapped = self.exact_memory(&processes, counted, hidden, &budget);
            let few = mapped.saturating_add(files) <= self.limits.memory;
            mapped.saturating_add(if few { files } else { self.open_file_memory(&processes, pipe, &budget) })
        };
        // The kernel does not report the sizes of some objects. If the machine's kernel memory grows by more
        // than the memory limit, the growth counts as the job's memory, but only up to the size that the
        // job's visible objects can have.
        let now = self.machine_kernel_memory();
        let mut kernel = 0;
        for (least, now) in self.min_kernel_memory.iter_mut().zip(now.into_iter().flatten()) {
            *least = now.min(*least);
            kernel = kernel.max(now - *least);
        }
        let memory = if kernel > self.limits.memory {
            memory.max(kernel.min(self.object_memory(&processes)))
        } else {
            memory
        };
        let OpenFileTotals { sockets, nameless_bytes } = self.measure_open_files(&processes);
        JobUsage { memory, processes: sum(|process| process.threads), sockets, nameless_bytes }
    }

    /// Returns the memory of open files. Each pipe counts once, even if several processes have the pipe open.
    fn open_file_memory(
        &self,
        processes: &BTreeMap<u32, ProcessStatus>,
        pipe_bytes: u64,
        budget: &CountingBudget,
    ) -> u64 {
        let (mut pipes, mut others, mut unread) = (BTreeSet::new(), 0_u64, 0_u64);
        for (pid, process) in processes {
            let open = if budget.is_spent() {
                None
            } else {
                self.read_open_files(*pid, open_files::read_open_files)
            };
            match open {
                Some(open) => {
                    pipes.extend(open.pipes);
                    others = others.saturating_add(open.other_files);
                }
                None => unread = unread.saturating_add(process.files),
            }
        }
        let pipes = unread.saturating_add(pipes.len() as u64).saturating_sub(UNCOUNTED_PIPES);
        pipes.saturating_mul(pipe_bytes).saturating_add(others.saturating_mul(open_files::OPEN_FILE_BYTES))
    }

    /// Computes the exact memory from the kernel's sums for each process. If these sums do not show whether
    /// the limit is exceeded, also reads single mappings. If a process cannot be read within the time budget,
    /// all its memory counts as its own.
    fn exact_memory(
        &self,
        processes: &BTreeMap<u32, ProcessStatus>,
        counted_bytes: u64,
        unaccounted_bytes: u64,
        budget: &CountingBudget,
    ) -> u64 {
        let limit = self.limits.memory;
        if !self.has_memory_summaries {
            return self.mapping_memory(processes, counted_bytes, unaccounted_bytes, budget).0;
        }
        let mut all = MappedMemoryTotals::default();
        for (pid, process) in processes {
            let spent = budget.is_spent();
            if !spent && self.waits_in_vfork(*pid, processes) {
                continue;
            }
            let rollup = if spent { None } else { self.read_process_file(*pid, "smaps_rollup", None) };
            let rollup = rollup.and_then(|text| smaps::parse_summary(&text));
            // If the exact data shows none of the memory in the process's `status`, the values of `status`
            // are used instead.
            let rollup = rollup.filter(|rollup| process.anonymous == 0 || rollup.anonymous > 0);
            let (own, shared) = rollup
                .map_or((process.anonymous, process.shared), |rollup| (rollup.anonymous, rollup.shared));
            all.anonymous = all.anonymous.saturating_add(own).saturating_add(process.page_table_bytes);
            all.shared = all.shared.saturating_add(shared);
        }
        let most = all.anonymous.saturating_add(all.shared).saturating_add(counted_bytes);
        let least = all.anonymous.saturating_add(all.shared.max(counted_bytes));
        if unaccounted_bytes <= limit && (most <= limit || least > limit) {
            return if most <= limit { most } else { least };
        }
        match self.mapping_memory(processes, counted_bytes, unaccounted_bytes, budget) {
            (exact, true) => exact,
            // The count exceeded its time budget, so a lower bound is returned. A job that may be within the
            // limit is therefore not killed, but a job can never use more than twice the limit.
            (_, false) if unaccounted_bytes > limit => least.max(unaccounted_bytes),
            (_, false) => least,
        }
    }

    /// Counts the memory of each mapping. Also returns true if all mappings were read within the time budget.
    fn mapping_memory(
        &self,
        processes: &BTreeMap<u32, ProcessStatus>,
        counted_bytes: u64,
        unaccounted_bytes: u64,
        budget: &CountingBudget,
    ) -> (u64, bool) {
        let (mut all, mut shares) = (counted_bytes, false);
        for (pid, process) in processes {
            let spent = budget.is_spent();
            if !spent && self.waits_in_vfork(*pid, processes) {
                continue;
            }
            let smaps_text = if spent { None } else { self.read_process_file(*pid, "smaps", Some(budget)) };
            let mapped = smaps_text.map(|text| smaps::sum_mappings(&text, self.unnamed_memory_device));
            // If the exact data shows none of the memory in the process's `status`, the values of `status`
            // are used instead.
            let mapped = mapped.filter(|mapped| process.anonymous == 0 || mapped.bytes > 0).unwrap_or(
                smaps::MappedMemory {
                    bytes: process.max_own_memory(),
                    maps_unnamed_shared_memory: process.shared > 0,
                },
            );
            shares |= mapped.maps_unnamed_shared_memory;
            all = all.saturating_add(mapped.bytes).saturating_add(process.page_table_bytes);
        }
        // A process can fill shared memory and then unmap all its pages except one. Only the shared memory of
        // the whole machine shows such memory. If the job shares memory, and the growth of the machine's
        // shared memory exceeds the memory limit, the growth therefore counts as the job's memory.
        let all =
            if shares && unaccounted_bytes > self.limits.memory { all.max(unaccounted_bytes) } else { all };
        (all, !budget.is_spent())
    }

    /// Returns true if a thread of this process waits in `vfork` while a child uses its memory. Both
    /// processes then use the same memory, so only the child is counted.
    fn waits_in_vfork(&self, pid: u32, processes: &BTreeMap<u32, ProcessStatus>) -> bool {
        let sizes = |pid| self.read_process_file(pid, "status", None).map(|text| memory_sizes(&text));
        let mut lent = self.threads(pid).into_iter().flat_map(|thread| {
            let children = self.read_proc(&format!("{pid}/task/{thread}/children")).unwrap_or_default();
            parse_numbers(&children).into_iter().map(move |child| (thread, child))
        });
        lent.any(|(thread, child)| {
            processes.contains_key(&child)
                && sizes(child).is_some_and(|of_child| sizes(pid) == Some(of_child))
                && self
                    .read_proc(&format!("{pid}/task/{thread}/status"))
                    .is_some_and(|text| is_uninterruptible(&text))
        })
    }

    fn descendants(&self) -> BTreeMap<u32, ProcessStatus> {
        let mut all = BTreeMap::new();
        let mut next = self.children(std::process::id());
        while let Some(pid) = next.pop() {
            // The process may have exited since it was listed.
            let Some(status) = self.read_process_file(pid, "status", None) else { continue };
            let files = self.read_open_files(pid, open_files::count_files).unwrap_or(0);
            if all.insert(pid, ProcessStatus { files, ..parse_process(&status) }).is_none() {
                next.extend(self.children(pid));
            }
        }
        all
    }

    fn children(&self, pid: u32) -> Vec<u32> {
        let threads = self.threads(pid);
        let files =
            threads.iter().filter_map(|thread| self.read_proc(&format!("{pid}/task/{thread}/children")));
        files.flat_map(|file| parse_numbers(&file)).collect()
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

    /// Reads a file of a process in `/proc`. If the first thread has exited, reads the file of another
    /// thread, because an exited thread shows no memory.
    fn read_process_file(&self, pid: u32, file: &str, budget: Option<&CountingBudget>) -> Option<String> {
        let first = self.read_proc_within_budget(&format!("{pid}/{file}"), budget);
        let shows =
            |text: &String| if file == "status" { text.contains("\nVmRSS:") } else { !text.is_empty() };
        if first.as_ref().is_some_and(shows) {
            return first;
        }
        let others = self.threads(pid).into_iter().filter(|thread| *thread != pid);
        let mut others = others.filter_map(|thread| {
            self.read_proc_within_budget(&format!("{pid}/task/{thread}/{file}"), budget)
        });
        others.find(shows).or(first)
    }

    /// Reads the open files of a process through a thread that has not exited. All running threads of a
    /// process have the same open files; an exited thread has none.
    fn read_open_files<T>(&self, pid: u32, parse_entry: fn(&OwnedFd, &str) -> Option<T>) -> Option<T> {
        parse_entry(&self.proc, &format!("{pid}/fd")).or_else(|| {
            let mut threads = self.threads(pid).into_iter();
            threads.find_map(|thread| parse_entry(&self.proc, &format!("{pid}/task/{thread}/fd")))
        })
    }

    /// Returns the memory used by the job's own file system in memory. It contains the home and temporary
    /// folders, and shared memory with a name.
    fn file_system_memory(&self) -> u64 {
        if self.level != SandboxLevel::Full || path_device("/").ok() == Some(self.root_device) {
            return 0;
        }
        let Ok(held) = rustix::fs::statvfs("/") else { return 0 };
        let blocks = held.f_blocks.saturating_sub(held.f_bfree).saturating_mul(held.f_frsize);
        blocks.saturating_add(held.f_files.saturating_sub(held.f_ffree).saturating_mul(INODE_BYTES))
    }

    /// Returns the bytes of the shared memory segments in the job's own namespace.
    fn segment_memory(&self) -> u64 {
        match self.level {
            SandboxLevel::Full => self.read_proc("sysvipc/shm").map_or(0, |table| sum_segments(&table)),
            // The filter refuses segments at these levels.
            SandboxLevel::Landlock | SandboxLevel::None => 0,
        }
    }

    /// Returns the number of sockets in the job's own network namespace.
    fn count_sockets(&self) -> u64 {
        self.read_proc("self/net/sockstat")
            .and_then(|table| table.strip_prefix("sockets: used ")?.lines().next()?.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Measures the sockets and the files without a name that the processes have open. With namespaces, the
    /// job has its own network, which counts its sockets, and its own file system, which counts its files.
    fn measure_open_files(&self, processes: &BTreeMap<u32, ProcessStatus>) -> OpenFileTotals {
        if self.level == SandboxLevel::Full {
            return OpenFileTotals { sockets: self.count_sockets(), nameless_bytes: 0 };
        }
        let mut sockets = BTreeSet::new();
        let mut nameless_files = BTreeMap::new();
        for pid in processes.keys() {
            if let Some(open) = self.read_open_files(*pid, open_files::read_open_files) {
                sockets.extend(open.sockets);
                nameless_files.extend(open.nameless_files);
            }
        }
        OpenFileTotals { sockets: sockets.len() as u64, nameless_bytes: nameless_files.into_values().sum() }
    }

    fn machine_shared_memory(&self) -> u64 {
        self.read_proc("meminfo").map_or(0, |meminfo| kib_field(&meminfo, "Shmem:"))
    }

    fn poll_disk(&mut self) -> Option<ExceededLimit> {
        let began = Instant::now();
        if began < self.next_disk {
            return None;
        }
        let passed = self.check_disk();
        self.next_disk =
            Instant::now() + DISK_MEASUREMENT_INTERVAL.max(began.elapsed() * DISK_MEASUREMENT_PAUSE_RATIO);
        passed
    }

    /// Returns the exceeded limit if the job has written more bytes than allowed. The helper also calls this
    /// after the job has ended, because a job may end between two checks.
    pub(super) fn check_disk(&self) -> Option<ExceededLimit> {
        let held = self.measure_folders();
        let limit = self.limits.disk;
        let is_within_limit = held.bytes <= limit && held.files <= max_files(limit);
        // Too many small files are reported as if each file had its share of the limit.
        let share = limit.div_euclid(max_files(limit));
        let is_disk_full =
            !self.was_disk_full && self.folders.iter().any(|folder| usage::is_full(folder).unwrap_or(false));
        let measured = held.bytes.max(held.files.saturating_mul(share));
        (!is_within_limit || is_disk_full).then_some(ExceededLimit {
            limit_kind: SandboxLimit::Disk,
            measured,
            limit,
        })
    }

    /// Returns the usage of the folders on a disk that only the job uses.
    fn measure_folders(&self) -> DiskUsage {
        self.folders.iter().fold(DiskUsage::default(), |sum, folder| sum.plus(usage::measure_folder(folder)))
    }

    fn read_proc(&self, path: &str) -> Option<String> {
        self.read_proc_within_budget(path, None)
    }

    /// Reads a file of `/proc`. Returns `None` if the file cannot be read, or if reading takes longer than
    /// the budget allows.
    fn read_proc_within_budget(&self, path: &str, budget: Option<&CountingBudget>) -> Option<String> {
        let file = openat(&self.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let (mut file, mut text) = (std::fs::File::from(file), Vec::new());
        while (&mut file).take(CHUNK_BYTES as u64).read_to_end(&mut text).ok()? > 0 {
            if budget.is_some_and(CountingBudget::is_spent) {
                return None;
            }
        }
        // Invalid UTF-8 is replaced, because names of processes and files in the text may be any bytes.
        Some(String::from_utf8_lossy(&text).into_owned())
    }
}

fn path_device(path: &str) -> io::Result<u64> {
    Ok(rustix::fs::stat(Path::new(path))?.st_dev)
}

/// Returns the device number of the kernel's file system for shared memory without a name, read from a
/// temporary file in this file system. Returns `None` if the kernel has no such file system and therefore no
/// such memory.
fn shared_memory_device() -> Option<u64> {
    let piece = rustix::fs::memfd_create("truing", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
    Some(rustix::fs::fstat(piece).ok()?.st_dev)
}

fn parse_process(status: &str) -> ProcessStatus {
    ProcessStatus {
        threads: status_field(status, "Threads:").unwrap_or(1),
        anonymous: kib_field(status, "RssAnon:").saturating_add(kib_field(status, "VmSwap:")),
        page_table_bytes: kib_field(status, "VmPTE:"),
        shared: kib_field(status, "RssShmem:"),
        files: 0,
    }
}

/// Returns three sizes from a process's `status`. Two processes that use the same memory have the same sizes.
fn memory_sizes(status: &str) -> [u64; 3] {
    ["VmPeak:", "VmSize:", "VmData:"].map(|name| kib_field(status, name))
}

/// Returns true if the thread waits in a call that cannot be interrupted, as a caller of `vfork` does.
fn is_uninterruptible(status: &str) -> bool {
    status.lines().any(|line| line.starts_with("State:\tD"))
}

/// Returns the sum of the `rss` and `swap` columns over all segments.
fn sum_segments(table: &str) -> u64 {
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

/// Returns the value of a field of a `/proc` file, in bytes; the file contains it in KiB.
fn kib_field(text: &str, name: &str) -> u64 {
    status_field(text, name).unwrap_or(0).saturating_mul(KIB)
}

fn status_field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn parse_numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
