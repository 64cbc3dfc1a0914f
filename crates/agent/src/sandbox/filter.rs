//! seccomp filters, which refuse system calls inside the sandbox. The filters accept only calls of this
//! machine's own architecture.

// long: most lines are the lists of calls that the two filters refuse or accept, each with its reason.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use truing_seccomp::{NotificationListener, install_filter_with_listener};

use super::landlock_rules::LandlockSupport;
use super::{SandboxJob, SandboxLevel, mediator};

/// Calls that no build, test or check needs. With these calls, a process can watch or change other processes,
/// the kernel, or mounts.
const DENIED_CALLS: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_fanotify_init,
];

/// Calls that make the kernel hold memory that the watcher cannot count, because no process maps it and no
/// file system contains it.
const UNCOUNTED_MEMORY_CALLS: &[i64] = &[
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    // With this call, a pipe keeps pages that the process has unmapped. A part of a huge page keeps the whole
    // huge page of 2 MiB in memory.
    libc::SYS_vmsplice,
    // These calls set a memory policy for each page of a file in memory. The policy keeps using kernel memory
    // after the page is unmapped.
    libc::SYS_mbind,
    libc::SYS_set_mempolicy_home_node,
    // The number of asynchronous I/O events is limited for the whole machine, so a job could leave none for
    // other programs.
    libc::SYS_io_setup,
];
/// Calls that set an attribute of a file. An access list can take 64 KiB, which the file system in memory
/// does not count as used. Programs get the error that the file system supports no attributes.
const SET_ATTRIBUTE_CALLS: &[i64] =
    &[libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr, SETXATTRAT];
/// Calls with which a process uses shared memory, semaphores and queues of other processes of its user.
const SHARED_MEMORY_CALLS: &[i64] = &[
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_unlink,
    libc::SYS_process_mrelease,
];
/// Calls that watch files. The user's processes share a limit on the number of watches, so a job could leave
/// none for other programs.
const WATCH_CALLS: &[i64] = &[
    libc::SYS_inotify_init1,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_inotify_init,
];
/// Calls that change the owner of a file.
const OWNER_CALLS: &[i64] = &[
    libc::SYS_fchown,
    libc::SYS_fchownat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];
/// Calls that change the priority, the processors or the memory of a process, with the argument that names
/// the process. The number 0 stands for the calling process.
const OTHER_PROCESS_CALLS: &[(i64, u8)] = &[
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
];
/// Calls that remove an attribute of a file.
const REMOVE_ATTRIBUTE_CALLS: &[i64] =
    &[libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr, REMOVEXATTRAT];
/// Default limit of the kernel for the number of shared memory segments in a namespace.
const MAX_SHARED_SEGMENTS: u64 = 4096;

/// Applies the filters to this thread and to all processes that it starts. At `SandboxLevel::Landlock`,
/// returns the listener that receives the calls of the mediator.
pub(super) fn apply_job_filter(
    job: &SandboxJob,
    support: LandlockSupport,
) -> io::Result<Option<NotificationListener>> {
    let listener = match job.level {
        SandboxLevel::Landlock => {
            // This filter is the first one, because a later filter refuses listeners.
            let listener = listen_for_mediated_calls(job, support)?;
            deny_calls_beyond_job(support)?;
            Some(listener)
        }
        SandboxLevel::Full | SandboxLevel::None => None,
    };
    deny_uncounted_memory_calls(job)?;
    let mut denied: SeccompRules = DENIED_CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let namespace = seccomp_rule(vec![bits_condition(0, libc::CLONE_NEWUSER, libc::CLONE_NEWUSER)?])?;
    // This rule refuses to create a thread with its own table of open files, because the watcher counts only
    // one table for each process.
    let thread =
        seccomp_rule(vec![bits_condition(0, libc::CLONE_THREAD | libc::CLONE_FILES, libc::CLONE_THREAD)?])?;
    denied.insert(libc::SYS_clone, vec![namespace, thread]);
    // Rules for `ioctl` requests that insert input into a terminal.
    let typing = |call| seccomp_rule(vec![compare_condition(1, call, Op::Eq)?]);
    denied.insert(libc::SYS_ioctl, vec![typing(libc::TIOCSTI)?, typing(TIOCLINUX)?]);
    denied.insert(libc::SYS_socket, socket_rules(job)?);
    let other_family = compare_condition(0, u64::from(libc::AF_UNIX.unsigned_abs()), Op::Ne)?;
    // A datagram socket reaches any named socket with `sendto`, whose address a filter cannot read.
    let mut pairs = socket_type_rules(&[libc::SOCK_STREAM, libc::SOCK_SEQPACKET])?;
    pairs.push(seccomp_rule(vec![other_family])?);
    denied.insert(libc::SYS_socketpair, pairs);
    install_filter(denied, SeccompAction::Allow, errno_action(libc::EPERM))?;
    let attributes = SET_ATTRIBUTE_CALLS.iter().map(|call| (*call, Vec::new())).collect();
    install_filter(attributes, SeccompAction::Allow, errno_action(libc::EOPNOTSUPP))?;
    install_filter(unsupported_request_rules()?, SeccompAction::Allow, errno_action(libc::EINVAL))?;
    install_filter(buffer_size_rules()?, SeccompAction::Allow, SeccompAction::Errno(0))?;
    deny_clone3()?;
    Ok(listener)
}

/// Hands the calls of the mediator over to a listener.
fn listen_for_mediated_calls(job: &SandboxJob, support: LandlockSupport) -> io::Result<NotificationListener> {
    let sockets = if job.allows_sockets { mediator::SOCKET_CALLS } else { &[] };
    let signals = if support.restricts_signals { &[] } else { mediator::SIGNAL_CALLS };
    let calls = [mediator::ATTRIBUTE_CALLS, sockets, signals].concat();
    let rules = calls.into_iter().map(|call| (call, Vec::new())).collect();
    // The library has no action for listeners, so the program is made with another action.
    let program = build_program(rules, SeccompAction::Allow, SeccompAction::Trace(0))?;
    let trace = u32::from(SeccompAction::Trace(0));
    let program: Vec<_> = program
        .into_iter()
        .map(|step| libc::sock_filter {
            code: step.code,
            jt: step.jt,
            jf: step.jf,
            k: if u32::from(step.code) == libc::BPF_RET | libc::BPF_K && step.k == trace {
                libc::SECCOMP_RET_USER_NOTIF
            } else {
                step.k
            },
        })
        .collect();
    install_filter_with_listener(&program).map_err(|error| {
        io::Error::other(format!(
            "the system calls of the job cannot be watched ({error}): another sandbox around Truing watches \
             or forbids it"
        ))
    })
}

/// Refuses calls with which a job without namespaces could reach other processes or files of its user, and
/// which Landlock does not restrict on this kernel.
fn deny_calls_beyond_job(support: LandlockSupport) -> io::Result<()> {
    let absent = SHARED_MEMORY_CALLS.iter().chain(WATCH_CALLS).map(|call| (*call, Vec::new())).collect();
    install_filter(absent, SeccompAction::Allow, errno_action(libc::ENOSYS))?;
    // Programs that unpack archives as root set the owner of each file. They continue if the call succeeds.
    let owners = OWNER_CALLS.iter().map(|call| (*call, Vec::new())).collect();
    install_filter(owners, SeccompAction::Allow, SeccompAction::Errno(0))?;
    let mut denied: SeccompRules = BTreeMap::new();
    for (call, argument) in OTHER_PROCESS_CALLS {
        let other = compare_condition(*argument, 0, Op::Ne)?;
        denied.entry(*call).or_default().push(seccomp_rule(vec![other])?);
    }
    // A process may name itself, but neither its group nor all processes of its user.
    for (call, process) in [(libc::SYS_setpriority, 0), (libc::SYS_ioprio_set, 1)] {
        let group = compare_condition(0, process, Op::Ne)?;
        denied.entry(call).or_default().push(seccomp_rule(vec![group])?);
    }
    let sets_limit = SeccompCondition::new(2, Len::Qword, Op::Ne, 0).map_err(io::Error::other)?;
    let other = compare_condition(0, 0, Op::Ne)?;
    denied.insert(libc::SYS_prlimit64, vec![seccomp_rule(vec![other, sets_limit])?]);
    // These requests change a file that the process may only read.
    let attribute = |request| seccomp_rule(vec![compare_condition(1, request, Op::Eq)?]);
    let changes = FILE_REQUEST_TYPES.map(|kind| {
        seccomp_rule(vec![bits_condition(1, WRITE_REQUEST_MASK, WRITE_REQUEST | i32::from(kind) << 8)?])
    });
    denied.insert(libc::SYS_ioctl, changes.into_iter().collect::<io::Result<_>>()?);
    for call in REMOVE_ATTRIBUTE_CALLS {
        denied.insert(*call, Vec::new());
    }
    // A connection that begins with data is made without `connect`.
    for (call, argument) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        let fast_open = bits_condition(argument, libc::MSG_FASTOPEN, libc::MSG_FASTOPEN)?;
        denied.insert(call, vec![seccomp_rule(vec![fast_open])?]);
    }
    if !support.restricts_signals {
        for call in [libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
            denied.insert(call, Vec::new());
        }
        // Programs then use `kill`.
        let newer = BTreeMap::from([(libc::SYS_pidfd_send_signal, Vec::new())]);
        install_filter(newer, SeccompAction::Allow, errno_action(libc::ENOSYS))?;
        // The owner of a descriptor receives a signal when data arrives.
        let owner = |request: i32| {
            seccomp_rule(vec![compare_condition(1, u64::from(request.unsigned_abs()), Op::Eq)?])
        };
        denied.insert(libc::SYS_fcntl, vec![owner(libc::F_SETOWN)?, owner(F_SETOWN_EX)?]);
        denied.entry(libc::SYS_ioctl).or_default().extend([attribute(FIOSETOWN)?, attribute(SIOCSPGRP)?]);
    }
    if !support.restricts_truncation {
        denied.insert(libc::SYS_truncate, Vec::new());
        // Landlock restricts the modes that write. Two modes remain: reading, and no access at all.
        let truncates = |argument| {
            let mask = libc::O_ACCMODE | libc::O_TRUNC;
            let modes = [libc::O_RDONLY, libc::O_ACCMODE].map(|mode| mode | libc::O_TRUNC);
            let rules = modes.map(|flags| seccomp_rule(vec![bits_condition(argument, mask, flags)?]));
            rules.into_iter().collect::<io::Result<Vec<_>>>()
        };
        denied.insert(libc::SYS_openat, truncates(2)?);
        #[cfg(target_arch = "x86_64")]
        denied.insert(libc::SYS_open, truncates(1)?);
        // The flags of this call are in memory. Programs then use `openat`.
        let unreadable = BTreeMap::from([(libc::SYS_openat2, Vec::new())]);
        install_filter(unreadable, SeccompAction::Allow, errno_action(libc::ENOSYS))?;
    }
    install_filter(denied, SeccompAction::Allow, errno_action(libc::EPERM))
}

/// Refuses calls that make the kernel hold memory that the watcher cannot count.
fn deny_uncounted_memory_calls(job: &SandboxJob) -> io::Result<()> {
    let mut absent: SeccompRules = UNCOUNTED_MEMORY_CALLS.iter().map(|call| (*call, Vec::new())).collect();
    let shared = match job.level {
        // The limit on the size of a segment ensures that the maximum number of segments fits into the job's
        // memory limit.
        SandboxLevel::Full => {
            vec![seccomp_rule(vec![greater_condition(1, job.limits.memory / MAX_SHARED_SEGMENTS)?])?]
        }
        // All segments are refused at these levels, because the machine's namespace would contain a segment
        // even after the end of the job.
        SandboxLevel::Landlock | SandboxLevel::None => Vec::new(),
    };
    absent.insert(libc::SYS_shmget, shared);
    // A job may not use huge pages, because the machine reserves them for other programs.
    absent.insert(
        libc::SYS_mmap,
        vec![seccomp_rule(vec![bits_condition(3, libc::MAP_HUGETLB, libc::MAP_HUGETLB)?])?],
    );
    // This flag is refused, because it also gives a thread its own table of open files.
    absent.insert(
        libc::SYS_close_range,
        vec![seccomp_rule(vec![bits_condition(2, CLOSE_RANGE_UNSHARE, CLOSE_RANGE_UNSHARE)?])?],
    );
    // Zero-copy transmission is refused, because a connection keeps the transmitted pages after the process
    // has unmapped them.
    let without_copy =
        vec![compare_condition(1, SOL_SOCKET, Op::Eq)?, compare_condition(2, SO_ZEROCOPY, Op::Eq)?];
    absent.insert(libc::SYS_setsockopt, vec![seccomp_rule(without_copy)?]);
    install_filter(absent, SeccompAction::Allow, errno_action(libc::ENOSYS))
}

/// Returns rules for requests that older kernels do not support. The filter refuses these requests with the
/// same error as an older kernel.
fn unsupported_request_rules() -> io::Result<SeccompRules> {
    Ok(BTreeMap::from([
        // This request creates a lock table for the process. A single table can take gigabytes of kernel
        // memory.
        (libc::SYS_prctl, vec![seccomp_rule(vec![compare_condition(0, PR_FUTEX_HASH, Op::Eq)?])?]),
        // A listener is refused, because it is an open file that keeps a thread's filters in memory even
        // after the thread has exited.
        (libc::SYS_seccomp, vec![seccomp_rule(vec![bits_condition(1, NEW_LISTENER, NEW_LISTENER)?])?]),
        // Rules for ports are refused, because they take kernel memory: one set of rules can contain 65536
        // port rules.
        (
            libc::SYS_landlock_add_rule,
            vec![seccomp_rule(vec![compare_condition(1, LANDLOCK_RULE_NET_PORT, Op::Eq)?])?],
        ),
    ]))
}

/// Returns rules for requests that change a socket's buffer size. The filter reports success but changes
/// nothing, as the kernel does for a size above its own maximum. The watcher limits only the number of
/// sockets, so the size of each socket must be limited as well. The kernel's maximum may be too high for this
/// purpose: an operator may have set 8 MiB or more.
fn buffer_size_rules() -> io::Result<SeccompRules> {
    let of = |option: i32| {
        seccomp_rule(vec![
            compare_condition(1, SOL_SOCKET, Op::Eq)?,
            compare_condition(2, u64::from(option.unsigned_abs()), Op::Eq)?,
        ])
    };
    let options = [libc::SO_SNDBUF, libc::SO_RCVBUF, libc::SO_SNDBUFFORCE, libc::SO_RCVBUFFORCE];
    let rules = options.into_iter().map(of).collect::<io::Result<_>>()?;
    Ok(BTreeMap::from([(libc::SYS_setsockopt, rules)]))
}

/// Refuses `clone3`, because a filter cannot read its flags, which are in memory. Programs then use `clone`
/// instead.
fn deny_clone3() -> io::Result<()> {
    install_filter(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        errno_action(libc::ENOSYS),
    )
}

/// All calls that a process needs to read files, use threads, and use its open streams.
const READER_CALLS: &[i64] = &[
    // Calls on open files and folders.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_ppoll,
    libc::SYS_getcwd,
    // Calls that manage memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // Threads of this process.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // This list allows the call, because `deny_clone3` already refuses it with an error, and programs then
    // use `clone`.
    libc::SYS_clone3,
    // Time, identity and random numbers.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    // The call sets the signal that the process receives when its parent exits, and the names of threads.
    libc::SYS_prctl,
];

/// Older variants of the calls in `READER_CALLS`, which some libraries use.
#[cfg(target_arch = "x86_64")]
const LEGACY_READER_CALLS: &[i64] = &[
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_getdents,
    libc::SYS_time,
    libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY_READER_CALLS: &[i64] = &[];

/// Flags that open a file for writing, create it, or truncate it.
const WRITE_OPEN_FLAGS: i32 = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;

/// Applies the filter to a process that only reads. The filter refuses every call that is not listed. The
/// process therefore cannot start programs or processes, open sockets, write files, or change permissions or
/// attributes.
pub(super) fn apply_reader_filter() -> io::Result<()> {
    let listed = READER_CALLS.iter().chain(LEGACY_READER_CALLS);
    let mut allowed: SeccompRules = listed.map(|call| (*call, Vec::new())).collect();
    let no =
        |argument, mask| Ok::<_, io::Error>(vec![seccomp_rule(vec![bits_condition(argument, mask, 0)?])?]);
    allowed.insert(libc::SYS_openat, no(2, WRITE_OPEN_FLAGS)?);
    #[cfg(target_arch = "x86_64")]
    allowed.insert(libc::SYS_open, no(1, WRITE_OPEN_FLAGS)?);
    // Executable mappings are refused. Shared memory is also refused, because the process's memory limit does
    // not count it.
    let private = vec![
        bits_condition(2, libc::PROT_EXEC, 0)?,
        bits_condition(3, libc::MAP_SHARED | libc::MAP_HUGETLB, 0)?,
    ];
    allowed.insert(libc::SYS_mmap, vec![seccomp_rule(private)?]);
    allowed.insert(libc::SYS_mprotect, no(2, libc::PROT_EXEC)?);
    allowed.insert(
        libc::SYS_clone,
        vec![seccomp_rule(vec![bits_condition(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?])?],
    );
    let own = |argument, id: u64| {
        Ok::<_, io::Error>(vec![seccomp_rule(vec![compare_condition(argument, id, Op::Eq)?])?])
    };
    let this = u64::from(std::process::id());
    allowed.insert(libc::SYS_kill, own(0, this)?);
    allowed.insert(libc::SYS_tgkill, own(0, this)?);
    // A process may query its own limits, and test whether its streams are terminals.
    allowed.insert(
        libc::SYS_prlimit64,
        vec![seccomp_rule(vec![compare_condition(0, 0, Op::Eq)?, null_condition(2)?])?],
    );
    allowed.insert(libc::SYS_ioctl, own(1, libc::TCGETS)?);
    // The filter for `clone3` is added first, because the next filter also refuses the call that adds
    // filters.
    deny_clone3()?;
    install_filter(allowed, errno_action(libc::EPERM), SeccompAction::Allow)
}

type SeccompRules = BTreeMap<i64, Vec<SeccompRule>>;

/// The call that sets an attribute of a file below a folder; missing in `libc`. Its number is the same on
/// all architectures.
const SETXATTRAT: i64 = 463;
/// The call that removes an attribute of a file below a folder; missing in `libc`.
const REMOVEXATTRAT: i64 = 466;
/// Types of the requests of `ioctl` with which file systems change a file's flags, version or verity. The
/// next constants are the bits of a request that contain its type and its direction, and the direction of
/// requests that pass data to the kernel.
const FILE_REQUEST_TYPES: [u8; 3] = *b"Xfv";
const WRITE_REQUEST_MASK: i32 = 0x4000_ff00;
const WRITE_REQUEST: i32 = 0x4000_0000;
/// The first number of a system call that this filter does not know. Later calls may do what the filter
/// refuses for earlier ones, such as `file_setattr`. Programs then use the earlier calls.
const FIRST_UNKNOWN_CALL: u32 = 468;
/// Requests that set the process or group that receives a descriptor's signals; missing in `libc`.
const F_SETOWN_EX: i32 = 15;
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;
/// Bits of a socket's type that are not flags.
const SOCKET_TYPE_MASK: i32 = 0xf;
/// The request of `prctl` that creates a lock table; missing in `libc`.
const PR_FUTEX_HASH: u64 = 78;
/// Flag of `seccomp` that creates a listener.
const NEW_LISTENER: i32 = 1 << 3;
/// Type of Landlock rules for ports.
const LANDLOCK_RULE_NET_PORT: u64 = 2;
/// Flag of `close_range` that gives a thread its own table of open files.
const CLOSE_RANGE_UNSHARE: i32 = 2;
/// Level of a socket option, as a number for a filter; the next constant is the option's name.
const SOL_SOCKET: u64 = libc::SOL_SOCKET.unsigned_abs() as u64;
const SO_ZEROCOPY: u64 = libc::SO_ZEROCOPY.unsigned_abs() as u64;
/// Request of `ioctl` for virtual consoles; missing in `libc`.
const TIOCLINUX: u64 = 0x541c;

/// Returns rules that match the sockets to refuse. An empty list refuses all sockets.
fn socket_rules(job: &SandboxJob) -> io::Result<Vec<SeccompRule>> {
    let allowed: &[i32] = match (job.allows_sockets, job.level) {
        (false, _) | (true, SandboxLevel::None) => return Ok(Vec::new()),
        // The mediator performs the calls of TCP sockets. Unix sockets are refused, because Landlock does not
        // restrict connections to socket files.
        (true, SandboxLevel::Landlock) => &[libc::AF_INET, libc::AF_INET6],
        // The job's own network contains no other process. Unix sockets are allowed only with a writable
        // tree, which is a copy that no other process uses. In any other tree, a process outside the sandbox
        // may listen on a socket file. A read-only mount does not prevent connections to this file.
        // `socketpair` is always allowed, because its sockets have no name.
        (true, SandboxLevel::Full) if job.writable => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6],
        (true, SandboxLevel::Full) => &[libc::AF_INET, libc::AF_INET6],
    };
    let others = allowed.iter().map(|family| compare_condition(0, u64::from(family.unsigned_abs()), Op::Ne));
    let mut rules = vec![seccomp_rule(others.collect::<io::Result<_>>()?)?];
    if job.level == SandboxLevel::Landlock {
        rules.extend(socket_type_rules(&[libc::SOCK_STREAM])?);
        let protocols = [0, u64::from(libc::IPPROTO_TCP.unsigned_abs())];
        let others = protocols.map(|protocol| compare_condition(2, protocol, Op::Ne));
        rules.push(seccomp_rule(others.into_iter().collect::<io::Result<_>>()?)?);
    }
    Ok(rules)
}

/// Returns rules that match a socket of another type than these.
fn socket_type_rules(allowed_types: &[i32]) -> io::Result<Vec<SeccompRule>> {
    let others = (0..=SOCKET_TYPE_MASK).filter(|kind| !allowed_types.contains(kind));
    others.map(|kind| seccomp_rule(vec![bits_condition(1, SOCKET_TYPE_MASK, kind)?])).collect()
}

fn seccomp_rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

/// Matches a null pointer.
fn null_condition(argument: u8) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, Len::Qword, Op::Eq, 0).map_err(io::Error::other)
}

fn compare_condition(argument: u8, value: u64, op: Op) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, Len::Dword, op, value).map_err(io::Error::other)
}

/// Matches if the bits of `mask` in an argument equal those in `value`.
fn bits_condition(argument: u8, mask: i32, value: i32) -> io::Result<SeccompCondition> {
    let [mask, value] = [mask, value].map(|bits| u64::from(bits.unsigned_abs()));
    SeccompCondition::new(argument, Len::Qword, Op::MaskedEq(mask), value).map_err(io::Error::other)
}

/// Matches an argument above this value.
fn greater_condition(argument: u8, than: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, Len::Qword, Op::Gt, than).map_err(io::Error::other)
}

fn errno_action(error: i32) -> SeccompAction {
    SeccompAction::Errno(error.unsigned_abs())
}

fn install_filter(
    rules: SeccompRules,
    mismatch_action: SeccompAction,
    match_action: SeccompAction,
) -> io::Result<()> {
    apply_filter(&build_program(rules, mismatch_action, match_action)?).map_err(io::Error::other)
}

fn build_program(
    rules: SeccompRules,
    mismatch_action: SeccompAction,
    match_action: SeccompAction,
) -> io::Result<BpfProgram> {
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    // The generated filter kills a process that makes calls with the numbers of another architecture.
    let filter =
        SeccompFilter::new(rules, mismatch_action, match_action, machine).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    Ok([unknown_call_prelude(), program].concat())
}

/// Returns the instructions at the start of a filter, which refuse unknown calls. On x86-64, these include
/// the x32 calls, a second set of most system calls, whose numbers are far higher.
fn unknown_call_prelude() -> BpfProgram {
    let step = |code: u32, jt, jf, k| seccompiler::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt,
        jf,
        k,
    };
    vec![
        // The first word of a filter's input is the number of the system call.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, FIRST_UNKNOWN_CALL),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ]
}
