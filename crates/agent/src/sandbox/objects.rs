//! Lists the kinds of objects that the kernel holds for a process in addition to its resident memory, and the
//! sandbox's limit for each kind.
//!
//! `docs/reference/kernel-objects.md` is generated from `OBJECTS`. Each kind names the attempt in `check`
//! that tests its limit.

// long: one table of kernel objects, with the page that is generated from it.

use super::limits::{EVENT_QUEUE_BYTES, FILE_WATCH_BYTES, MAX_OPEN_FILES, MAX_PENDING_SIGNALS};
use super::machine_code::{ProgramStep, SyscallArgument, SyscallMethod, call_step};
use super::{EscapeProbe, JobLimits, open_files, watch};

/// A kind of kernel objects.
pub(super) struct KernelObject {
    pub(super) name: &'static str,
    pub(super) limit: ObjectLimit,
    /// The attempt that tries to exceed the memory limit with objects of this kind.
    pub(super) probe_name: &'static str,
}

/// The method by which the sandbox limits a kind of object.
pub(super) enum ObjectLimit {
    /// The filter refuses the system calls in this list, which create such objects.
    Denied(&'static str),
    /// The watcher counts the objects, and kills the job if they exceed the limit.
    Counted(&'static str),
    /// The number and size of the objects are limited. The first field describes the limits, and the second
    /// returns the maximum total in bytes.
    Bounded(&'static str, fn(&JobLimits) -> u64),
    /// No memory limit applies to the objects. The field is a description.
    Unlimited(&'static str),
}

const fn denied_object(name: &'static str, calls: &'static str, probe: &'static str) -> KernelObject {
    KernelObject { name, limit: ObjectLimit::Denied(calls), probe_name: probe }
}

const fn counted_object(name: &'static str, description: &'static str, probe: &'static str) -> KernelObject {
    KernelObject { name, limit: ObjectLimit::Counted(description), probe_name: probe }
}

const fn bounded_object(
    name: &'static str,
    description: &'static str,
    max_bytes: fn(&JobLimits) -> u64,
    probe: &'static str,
) -> KernelObject {
    KernelObject { name, limit: ObjectLimit::Bounded(description, max_bytes), probe_name: probe }
}

const fn unbounded_object(name: &'static str, description: &'static str) -> KernelObject {
    KernelObject { name, limit: ObjectLimit::Unlimited(description), probe_name: "" }
}

/// Bytes of kernel memory for a pending signal, and for a timer together with its signal.
const SIGNAL_BYTES: u64 = 512;
/// Bytes of kernel memory for a thread: its stack and its record.
const THREAD_BYTES: u64 = 32 << 10;
/// Maximum number of bytes of all filters of a thread. A thread has at most 32768 instructions, which the
/// kernel stores in original and in translated form.
const MAX_FILTER_BYTES: u64 = 1 << 20;
/// Maximum number of bytes of all files in flight through sockets. The kernel allows at most as many files in
/// flight as one process may open.
const MAX_IN_FLIGHT_BYTES: u64 = MAX_OPEN_FILES * open_files::OPEN_FILE_BYTES;

/// All known kinds of objects.
pub(super) const OBJECTS: &[KernelObject] = &[
    denied_object("System V semaphores", "`semget`", "semget"),
    denied_object("System V message queues", "`msgget`", "msgget"),
    counted_object("System V shared memory", "the segments' resident pages", "shmget"),
    denied_object("POSIX message queues", "`mq_open`", "mq_open"),
    denied_object("files in memory that have no name", "`memfd_create`, `memfd_secret`", "memfd"),
    counted_object(
        "files in memory, including deleted files that are still open",
        "the file system's bytes and files",
        "shared_folder",
    ),
    counted_object("directory entries in memory", "the file system's files", "empty_files"),
    denied_object(
        "extended attributes and access control lists of files",
        "`setxattr` and related calls",
        "setxattr",
    ),
    counted_object(
        "pipes, including enlarged pipes (`F_SETPIPE_SZ`)",
        "12 KiB for each pipe; in addition, the kernel allows 64 MiB for all pipes of one user together",
        "pipes",
    ),
    denied_object("memory pages passed to a pipe without a copy", "`vmsplice`", "vmsplice"),
    denied_object("memory pages passed to a socket without a copy", "`SO_ZEROCOPY`", "zero_copy"),
    bounded_object(
        "socket buffers",
        "1 MiB for each socket; a request for another size has no effect",
        |limits| watch::max_sockets(limits.memory) << 20,
        "socket_buffers",
    ),
    denied_object("sockets of other families, among them netlink", "`socket`, `socketpair`", "netlink"),
    bounded_object(
        "files in flight through sockets",
        "`RLIMIT_NOFILE`, for all processes together",
        |_| MAX_IN_FLIGHT_BYTES,
        "files_in_flight",
    ),
    counted_object(
        "open files: `eventfd`, `timerfd`, `signalfd`, `pidfd`, `epoll`, …",
        "1.5 KiB for each open file",
        "open_files",
    ),
    bounded_object(
        "queues of `inotify`",
        "`max_inotify_instances` of the namespace; a full queue uses 8 MiB",
        |limits| limits.max_event_queues() * EVENT_QUEUE_BYTES,
        "inotify_queues",
    ),
    bounded_object(
        "files that `inotify` watches",
        "`max_inotify_watches` of the namespace",
        |limits| limits.max_file_watches() * FILE_WATCH_BYTES,
        "inotify_watches",
    ),
    denied_object("`fanotify`", "`fanotify_init`", "fanotify"),
    denied_object("keys", "`add_key`, `request_key`, `keyctl`", "add_key"),
    bounded_object(
        "POSIX timers",
        "`RLIMIT_SIGPENDING`, for all processes together",
        |_| MAX_PENDING_SIGNALS * SIGNAL_BYTES,
        "timers",
    ),
    bounded_object(
        "pending signals",
        "`RLIMIT_SIGPENDING`, for all processes together",
        |_| MAX_PENDING_SIGNALS * SIGNAL_BYTES,
        "signals",
    ),
    denied_object("`io_uring`", "`io_uring_setup`", "io_uring"),
    denied_object("asynchronous input and output in the kernel (AIO)", "`io_setup`", "kernel_aio"),
    denied_object("`bpf`", "`bpf`", "bpf"),
    denied_object("`userfaultfd`", "`userfaultfd`", "userfaultfd"),
    denied_object("`perf` events", "`perf_event_open`", "perf"),
    denied_object(
        "namespaces and mounts",
        "`unshare`, `setns`, `clone` with `CLONE_NEWUSER`, `mount` and related calls",
        "unshare",
    ),
    denied_object(
        "huge pages, for which the machine reserves memory",
        "`mmap` with `MAP_HUGETLB`",
        "huge_pages",
    ),
    counted_object("page tables", "`VmPTE`", "page_tables"),
    denied_object("memory policies", "`mbind`", "mbind"),
    denied_object("private futex table of a process", "`prctl` with `PR_FUTEX_HASH`", "futex_table"),
    denied_object(
        "seccomp filters that an open listener file keeps in memory",
        "`seccomp` with `SECCOMP_FILTER_FLAG_NEW_LISTENER`",
        "filter_listener",
    ),
    bounded_object(
        "seccomp filters of threads",
        "32768 instructions (1 MiB) for each process",
        |limits| limits.processes * MAX_FILTER_BYTES,
        "processes",
    ),
    denied_object(
        "Landlock rules for ports",
        "`landlock_add_rule` with `LANDLOCK_RULE_NET_PORT`",
        "landlock_ports",
    ),
    bounded_object(
        "kernel stacks and records of threads",
        "the maximum number of processes",
        |limits| limits.processes * THREAD_BYTES,
        "fork_bomb",
    ),
    denied_object("terminals", "the sandbox at `full` has no `/dev/ptmx`", "terminals"),
    counted_object(
        "mappings",
        "the number of mappings, but only after the machine's kernel memory has grown by more than the \
        memory limit",
        "mappings",
    ),
    counted_object(
        "entries of `epoll`",
        "the number of entries, on the same condition as for mappings",
        "epoll",
    ),
    counted_object(
        "locks of files (`fcntl`)",
        "the number of locks on the whole machine, on the same condition as for mappings",
        "file_locks",
    ),
    counted_object(
        "open files of `/proc` that were read",
        "at most 16 MiB for each file, on the same condition as for mappings",
        "read_proc_files",
    ),
    unbounded_object(
        "Landlock rules for files, created by threads",
        "64 bytes for each file in each ruleset; an open ruleset counts as 16 MiB",
    ),
];

/// A program that tries to exceed the memory limit with one kind of object. `name` is the attempt's name, and
/// `size` is the size of one object in bytes.
pub(super) struct ObjectProgram {
    pub(super) name: &'static str,
    pub(super) steps: Vec<ProgramStep>,
    pub(super) object_bytes: u64,
}

/// Returns the attempts that need no machine code: name, probe, and size of one object in bytes.
pub(super) fn object_probes(limits: &JobLimits) -> [(&'static str, EscapeProbe, u64); 2] {
    [
        (
            "files_in_flight",
            EscapeProbe::FilesInFlight(MAX_OPEN_FILES + 2 * super::probe::FILES_PER_MESSAGE),
            open_files::OPEN_FILE_BYTES,
        ),
        ("inotify_watches", EscapeProbe::Watches(limits.max_file_watches() + 1), FILE_WATCH_BYTES),
    ]
}

/// An address without a mapping.
const SCRATCH_ADDRESS: u64 = 0x2000_0000;
/// The second half of the page at that address.
const SECOND_SCRATCH_ADDRESS: u64 = SCRATCH_ADDRESS + 0x800;
const PAGE: u64 = 4096;
/// Number of forks. Each fork doubles the number of processes that open files. The next constant is the
/// number of files that each process opens.
const FORKS: usize = 6;
const FILES_PER_PROCESS: u32 = 1000;
/// Number of additional descriptors of one file in a process. The next constant is the number of `epoll`
/// files that watch each of these descriptors.
const DUPLICATE_DESCRIPTORS: u32 = 900;
const EPOLL_FILES: u32 = 16;
/// Number of locks on each file; the next constant is the number of locked files in each process. Several
/// files are used, because adding a lock to a file takes longer if the file already has many locks.
const LOCKS: u32 = 500;
const LOCKED_FILES: u32 = 24;
/// Approximately half of the maximum number of mappings of a process.
const HALF_MAX_MAPPINGS: u32 = 32_000;
/// Measured kernel memory in bytes for a mapping; the next two constants are the measured memory for a lock
/// and for an `epoll` entry.
const MAPPING_BYTES: u64 = 190;
const LOCK_BYTES: u64 = 190;
const EPOLL_ENTRY_BYTES: u64 = 200;

/// Returns machine-code programs that each try to exceed the memory limit of a job with one kind of object.
pub(super) fn object_programs(limits: &JobLimits) -> Vec<ObjectProgram> {
    let page = call_step(9, &[SCRATCH_ADDRESS, PAGE, 3, 0x2 | 0x20 | 0x10, u64::MAX, 0]);
    let put = |at, word| ProgramStep::Put { address: at, word };
    let text = |at, text: [u8; 8]| put(at, u64::from_le_bytes(text));
    let no_new_rights = call_step(157, &[38, 1, 0, 0, 0]);
    // The filter has one instruction, which allows every call.
    let filter = [
        page,
        put(SCRATCH_ADDRESS, 1),
        put(SCRATCH_ADDRESS + 8, SECOND_SCRATCH_ADDRESS),
        put(SECOND_SCRATCH_ADDRESS, 0x7fff_0000_0000_0006),
        no_new_rights,
    ];
    let more = |max_count: u64| u32::try_from(max_count + 1).unwrap_or(u32::MAX);
    let one = |name, steps: &[ProgramStep]| ObjectProgram { name, steps: steps.to_vec(), object_bytes: 0 };
    let row = |name, before: &[ProgramStep], number, values: &[u64], times, size| {
        let values =
            [0, 1, 2, 3, 4, 5].map(|at| SyscallArgument::Number(values.get(at).copied().unwrap_or(0)));
        let steps = [before, &[ProgramStep::RepeatCall { number, values, times, counts: true }]].concat();
        ObjectProgram { name, steps, object_bytes: size }
    };
    let kept = |number, second, third| ProgramStep::Call {
        method: SyscallMethod::Syscall,
        number,
        values: [
            SyscallArgument::StoredResult(0),
            second,
            third,
            SyscallArgument::Number(0),
            SyscallArgument::Number(0),
            SyscallArgument::Number(0),
        ],
    };
    let (zero, number) = (SyscallArgument::Number(0), SyscallArgument::Number);
    // These steps block all signals, prepare signal data that marks the signal as sent by a program, and keep
    // the process's own id as the receiver.
    let blocked = [
        page,
        put(SCRATCH_ADDRESS, u64::MAX),
        call_step(14, &[0, SCRATCH_ADDRESS, 0, 8]),
        put(SECOND_SCRATCH_ADDRESS + 8, 0xffff_ffff),
        call_step(39, &[]),
        ProgramStep::StoreResult,
    ];
    let signals = ProgramStep::RepeatCall {
        number: 129,
        values: [
            SyscallArgument::StoredResult(0),
            number(34),
            number(SECOND_SCRATCH_ADDRESS),
            zero,
            zero,
            zero,
        ],
        times: more(MAX_PENDING_SIGNALS),
        counts: true,
    };
    let file = [
        page,
        text(SCRATCH_ADDRESS, *b"/tmp\0\0\0\0"),
        call_step(257, &[(-100_i64).cast_unsigned(), SCRATCH_ADDRESS, 0x41_0002, 0o600]),
        ProgramStep::StoreResult,
        text(SECOND_SCRATCH_ADDRESS, *b"user.a\0\0"),
    ];
    let attribute = ProgramStep::Call {
        method: SyscallMethod::Syscall,
        number: 190,
        values: [
            SyscallArgument::StoredResult(0),
            number(SECOND_SCRATCH_ADDRESS),
            number(SCRATCH_ADDRESS),
            number(4),
            zero,
            zero,
        ],
    };
    let rules = [
        page,
        put(SCRATCH_ADDRESS, 4),
        put(SCRATCH_ADDRESS + 8, 3),
        call_step(444, &[SCRATCH_ADDRESS, 16, 0]),
        ProgramStep::StoreResult,
        put(SECOND_SCRATCH_ADDRESS, 1),
        put(SECOND_SCRATCH_ADDRESS + 8, 1),
    ];
    let port = ProgramStep::Call {
        method: SyscallMethod::Syscall,
        number: 445,
        values: [
            SyscallArgument::StoredResult(0),
            number(2),
            number(SECOND_SCRATCH_ADDRESS),
            zero,
            zero,
            zero,
        ],
    };
    // Closes all files from number 3 on, so the next opened files get the numbers 3, 4 and so on.
    let from_three = call_step(436, &[3, u64::from(u32::MAX), 0]);
    // A pair of sockets, files 3 and 4. A write to a full socket fails instead of blocking.
    let pair = [
        from_three,
        page,
        call_step(53, &[1, 1 | 0x800, 0, SCRATCH_ADDRESS]),
        put(SECOND_SCRATCH_ADDRESS, 8 << 20),
        call_step(54, &[3, 1, 7, SECOND_SCRATCH_ADDRESS, 4]),
    ];
    let forks = [call_step(57, &[]); FORKS];
    // An `eventfd` file gets 900 more descriptors. Each descriptor adds an entry to each `epoll` file.
    let event = [from_three, page, call_step(290, &[0, 0])];
    let names = ProgramStep::RepeatCall {
        number: 33,
        values: [number(3), SyscallArgument::CounterValue { from: 100, step: 1 }, zero, zero, zero, zero],
        times: DUPLICATE_DESCRIPTORS,
        counts: false,
    };
    let polls = ProgramStep::RepeatCall { number: 291, values: [zero; 6], times: EPOLL_FILES, counts: false };
    let entries = (0..EPOLL_FILES).map(|poll| ProgramStep::RepeatCall {
        number: 233,
        values: [
            number(4 + u64::from(poll)),
            number(1),
            SyscallArgument::CounterValue { from: 100, step: 1 },
            number(SCRATCH_ADDRESS),
            zero,
            zero,
        ],
        times: DUPLICATE_DESCRIPTORS,
        counts: true,
    });
    let polled: Vec<ProgramStep> = forks
        .iter()
        .chain(&event)
        .copied()
        .chain([names, polls])
        .chain(entries)
        .chain([ProgramStep::Hold])
        .collect();
    // Every second page gets flags that differ from those of its neighbours. Each such page therefore splits
    // the mapping and adds two mappings.
    let apart = call_step(
        9,
        &[
            SCRATCH_ADDRESS << 12,
            u64::from(HALF_MAX_MAPPINGS) * 2 * PAGE,
            0,
            0x2 | 0x20 | 0x4000 | 0x10,
            u64::MAX,
            0,
        ],
    );
    let parts = ProgramStep::RepeatCall {
        number: 10,
        values: [
            SyscallArgument::CounterValue { from: SCRATCH_ADDRESS << 12, step: 2 * PAGE },
            number(PAGE),
            number(1),
            zero,
            zero,
            zero,
        ],
        times: HALF_MAX_MAPPINGS,
        counts: true,
    };
    // The locks to set: read locks on every second byte, each with its start and its length.
    let places = (0..LOCKS).map(u64::from);
    let places = places.flat_map(|lock| {
        [
            put(SCRATCH_ADDRESS + PAGE + lock * 32 + 8, lock * 2),
            put(SCRATCH_ADDRESS + PAGE + lock * 32 + 16, 1),
        ]
    });
    let room =
        call_step(9, &[SCRATCH_ADDRESS, PAGE + u64::from(LOCKS) * 32, 3, 0x2 | 0x20 | 0x10, u64::MAX, 0]);
    let unnamed = ProgramStep::RepeatCall {
        number: 257,
        values: [zero, number(SCRATCH_ADDRESS), number(0x41_0002), number(0o600), zero, zero],
        times: LOCKED_FILES,
        counts: false,
    };
    let locks = (0..LOCKED_FILES).map(|file| ProgramStep::RepeatCall {
        number: 72,
        values: [
            number(3 + u64::from(file)),
            number(6),
            SyscallArgument::CounterValue { from: SCRATCH_ADDRESS + PAGE, step: 32 },
            zero,
            zero,
            zero,
        ],
        times: LOCKS,
        counts: true,
    });
    let locked: Vec<ProgramStep> = [from_three, room, text(SCRATCH_ADDRESS, *b"/tmp\0\0\0\0")]
        .into_iter()
        .chain(places)
        .chain(forks)
        .chain([unnamed])
        .chain(locks)
        .chain([ProgramStep::Hold])
        .collect();
    let proc_file =
        [from_three, page, text(SCRATCH_ADDRESS, *b"/proc/se"), text(SCRATCH_ADDRESS + 8, *b"lf/maps\0")];
    let opened = ProgramStep::RepeatCall {
        number: 257,
        values: [zero, number(SCRATCH_ADDRESS), zero, zero, zero, zero],
        times: FILES_PER_PROCESS,
        counts: false,
    };
    let read = ProgramStep::RepeatCall {
        number: 0,
        values: [
            SyscallArgument::CounterValue { from: 3, step: 1 },
            number(SECOND_SCRATCH_ADDRESS),
            number(1),
            zero,
            zero,
            zero,
        ],
        times: FILES_PER_PROCESS,
        counts: true,
    };
    let read: Vec<ProgramStep> =
        forks.iter().take(5).chain(&proc_file).copied().chain([opened, read, ProgramStep::Hold]).collect();
    // The mapped range is so large that each touched address needs its own page table.
    let space = (limits.memory / PAGE) << 22;
    let sparse = [call_step(9, &[SCRATCH_ADDRESS << 12, space, 1, 0x2 | 0x20 | 0x4000 | 0x10, u64::MAX, 0])];
    // Each call lets the kernel read an empty set of signals from a different address, so no signal is
    // blocked.
    let touches = ProgramStep::RepeatCall {
        number: 14,
        values: [
            zero,
            SyscallArgument::CounterValue { from: SCRATCH_ADDRESS << 12, step: 2 << 20 },
            zero,
            number(8),
            zero,
            zero,
        ],
        times: more(limits.memory / PAGE),
        counts: true,
    };
    vec![
        one("semget", &[call_step(64, &[0, 32000, 0o1600]), ProgramStep::StoreResult, kept(66, zero, zero)]),
        one("msgget", &[call_step(68, &[0, 0o1600]), ProgramStep::StoreResult, kept(71, zero, zero)]),
        one(
            "mq_open",
            &[
                page,
                text(SCRATCH_ADDRESS, *b"truing\0\0"),
                call_step(240, &[SCRATCH_ADDRESS, 0o102, 0o600, 0]),
                call_step(241, &[SCRATCH_ADDRESS]),
            ],
        ),
        one("setxattr", &[&file[..], &[attribute]].concat()),
        row("socket_buffers", &pair, 1, &[3, SCRATCH_ADDRESS, PAGE], more((1 << 20) / PAGE), PAGE),
        one("netlink", &[call_step(41, &[16, 3, 0])]),
        ObjectProgram {
            name: "open_files",
            steps: [
                &forks[..],
                row("", &[], 290, &[0, 0], FILES_PER_PROCESS, 0).steps.as_slice(),
                &[ProgramStep::Hold],
            ]
            .concat(),
            object_bytes: open_files::OPEN_FILE_BYTES,
        },
        row("inotify_queues", &[], 294, &[0], more(limits.max_event_queues()), EVENT_QUEUE_BYTES),
        one("fanotify", &[call_step(300, &[0, 0])]),
        one(
            "add_key",
            &[
                page,
                text(SCRATCH_ADDRESS, *b"user\0\0\0\0"),
                call_step(
                    248,
                    &[SCRATCH_ADDRESS, SCRATCH_ADDRESS, SCRATCH_ADDRESS, 4, (-2_i64).cast_unsigned()],
                ),
            ],
        ),
        row("timers", &[page], 222, &[1, 0, SCRATCH_ADDRESS], more(MAX_PENDING_SIGNALS), SIGNAL_BYTES),
        ObjectProgram {
            name: "signals",
            steps: [&blocked[..], &[signals]].concat(),
            object_bytes: SIGNAL_BYTES,
        },
        one("io_uring", &[page, call_step(425, &[1, SCRATCH_ADDRESS])]),
        one(
            "bpf",
            &[
                page,
                put(SCRATCH_ADDRESS, 2 | 4 << 32),
                put(SCRATCH_ADDRESS + 8, 4 | 1 << 32),
                call_step(321, &[0, SCRATCH_ADDRESS, 16]),
            ],
        ),
        one("userfaultfd", &[call_step(323, &[1])]),
        one(
            "perf",
            &[
                page,
                put(SCRATCH_ADDRESS, 1 | 64 << 32),
                put(SCRATCH_ADDRESS + 8, 9),
                call_step(298, &[SCRATCH_ADDRESS, 0, u64::MAX, u64::MAX, 0]),
            ],
        ),
        one("unshare", &[call_step(272, &[0x1000_0000])]),
        one("huge_pages", &[call_step(9, &[0, 2 << 20, 3, 0x2 | 0x20 | 0x4_0000, u64::MAX, 0])]),
        ObjectProgram {
            name: "page_tables",
            steps: [&sparse[..], &[touches, ProgramStep::Hold]].concat(),
            object_bytes: PAGE,
        },
        ObjectProgram {
            name: "mappings",
            steps: [&forks[..4], &[apart, parts, ProgramStep::Hold]].concat(),
            object_bytes: 2 * MAPPING_BYTES,
        },
        ObjectProgram { name: "epoll", steps: polled, object_bytes: EPOLL_ENTRY_BYTES },
        ObjectProgram { name: "file_locks", steps: locked, object_bytes: LOCK_BYTES },
        ObjectProgram { name: "read_proc_files", steps: read, object_bytes: PAGE + 512 },
        one("mbind", &[page, call_step(237, &[SCRATCH_ADDRESS, PAGE, 0, 0, 0, 0])]),
        one("futex_table", &[call_step(157, &[78, 1, 1 << 10, 0, 0])]),
        one("filter_listener", &[&filter[..], &[call_step(317, &[1, 8, SCRATCH_ADDRESS])]].concat()),
        one("landlock_ports", &[&rules[..], &[port]].concat()),
        one(
            "terminals",
            &[
                page,
                text(SCRATCH_ADDRESS, *b"/dev/ptm"),
                put(SCRATCH_ADDRESS + 8, u64::from(b'x')),
                call_step(257, &[0, SCRATCH_ADDRESS, 2, 0]),
            ],
        ),
    ]
}

/// Returns the text of the reference page, with the totals for a job with these limits.
pub fn render_page(limits: &JobLimits) -> String {
    let mut page = format!(
        "# Objects of the kernel\n\n<!-- Generated from crates/agent/src/sandbox/objects.rs. To update \
        it: UPDATE_DOCS=1 cargo test -p truing-agent -->\n\nFor each process, the kernel also uses memory \
        that the process has not mapped. For each kind of object in this memory, the table shows the \
        limit in the sandbox. The last column names a test of `truing sandbox check`. \
        This test tries to exceed the memory limit with such objects. The totals apply to all processes \
        of a job together, with the default limits: {} MiB of memory and {} processes.\n\n| Kind | \
        Limited by | Largest total | Attempt |\n|---|---|---|---|\n",
        limits.memory >> 20,
        limits.processes
    );
    for KernelObject { name, limit, probe_name: probe } in OBJECTS {
        let (by, most) = match limit {
            ObjectLimit::Denied(calls) => (format!("denied: {calls}"), "none".to_owned()),
            ObjectLimit::Counted(what) => (format!("counted: {what}"), "the memory limit".to_owned()),
            ObjectLimit::Bounded(by, most) => {
                (format!("bounded: {by}"), format!("{} MiB", most(limits).div_ceil(1 << 20)))
            }
            ObjectLimit::Unlimited(known) => (format!("not limited: {known}"), "not bounded".to_owned()),
        };
        let probe = if probe.is_empty() { "none".to_owned() } else { format!("`{probe}`") };
        page += &format!("| {name} | {by} | {most} | {probe} |\n");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE_OF_OBJECTS: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/kernel-objects.md");

    #[test]
    fn the_page_of_kernel_objects_is_what_the_table_says() {
        let page = render_page(&JobLimits::default());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(PAGE_OF_OBJECTS, &page).unwrap();
        }
        let written = std::fs::read_to_string(PAGE_OF_OBJECTS).unwrap_or_default();
        assert!(written == page, "update it: UPDATE_DOCS=1 cargo test -p truing-agent");
    }

    #[test]
    fn every_kind_has_its_try_and_no_bound_is_beyond_the_limit() {
        let limits = JobLimits::default();
        let (programs, probes) = (object_programs(&limits), object_probes(&limits));
        let own: Vec<&str> =
            programs.iter().map(|program| program.name).chain(probes.map(|(name, _, _)| name)).collect();
        for KernelObject { name, limit, probe_name: probe } in OBJECTS {
            let in_check = include_str!("check.rs").contains(&format!("\"{probe}\""));
            match limit {
                ObjectLimit::Unlimited(_) => assert_eq!(*probe, "", "{name}"),
                ObjectLimit::Bounded(_, most) => assert!(most(&limits) <= limits.memory, "{name}"),
                ObjectLimit::Denied(_) | ObjectLimit::Counted(_) => {}
            }
            assert!(probe.is_empty() || in_check || own.contains(probe), "{name}: {probe}");
        }
        for name in own {
            assert!(OBJECTS.iter().any(|object| object.probe_name == name), "{name} is in no row");
        }
    }
}
