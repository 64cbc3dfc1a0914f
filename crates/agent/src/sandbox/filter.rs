//! seccomp: which calls of the kernel do not exist inside.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

use super::{Job, Level};

/// Calls that no build, test or check needs: they watch or change other processes, the kernel, or what is mounted.
const NEVER: &[i64] = &[
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

/// Puts the filter up for this process and all that it starts.
pub(super) fn put_up(job: &Job) -> io::Result<()> {
    let mut denied: Rules = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    denied.insert(libc::SYS_clone, vec![rule(vec![flag(0, libc::CLONE_NEWUSER)?])?]);
    // Typing into somebody's terminal.
    let typing = |call| rule(vec![equal(1, call, Op::Eq)?]);
    denied.insert(libc::SYS_ioctl, vec![typing(libc::TIOCSTI)?, typing(TIOCLINUX)?]);
    denied.insert(libc::SYS_socket, sockets(job)?);
    apply(denied, libc::EPERM)?;
    // Its flags are in memory, where a filter cannot look: programs fall back to `clone`.
    apply(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// `ioctl` of virtual consoles; not in `libc`.
const TIOCLINUX: u64 = 0x541c;

/// Which sockets are refused. No rules: all.
fn sockets(job: &Job) -> io::Result<Vec<SeccompRule>> {
    let allowed: &[i32] = match (job.sockets, job.level) {
        // Landlock has no word on sockets that are files.
        (false, _) | (true, Level::Landlock | Level::None) => return Ok(Vec::new()),
        // Its own network has nobody else in it.
        (true, Level::Full) => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6],
    };
    let others = allowed.iter().map(|family| equal(0, u64::from(family.unsigned_abs()), Op::Ne));
    Ok(vec![rule(others.collect::<io::Result<_>>()?)?])
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn equal(argument: u8, value: u64, op: Op) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, Len::Dword, op, value).map_err(io::Error::other)
}

fn flag(argument: u8, flag: i32) -> io::Result<SeccompCondition> {
    let flag = u64::from(flag.unsigned_abs());
    SeccompCondition::new(argument, Len::Qword, Op::MaskedEq(flag), flag).map_err(io::Error::other)
}

fn apply(rules: Rules, error: i32) -> io::Result<()> {
    let machine = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let answer = SeccompAction::Errno(error.unsigned_abs());
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, answer, machine).map_err(io::Error::other)?;
    let program: seccompiler::BpfProgram = filter.try_into().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}
