//! Landlock rules, which list the paths that a process may read, run and write. The rules also forbid the use
//! of network ports, signals to processes outside the sandbox, and abstract-socket connections to such
//! processes.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

use super::{BUILD_FOLDER, PROGRAM_PATH_IN_SANDBOX, ReadAccess, SandboxJob, SandboxLevel, mounts};

/// The newest Landlock version supported here; an older kernel enforces only the rules that it knows.
const NEWEST: ABI = ABI::V6;
/// The folder of git's data.
const GIT: &str = ".git";

/// Restricts this process and its children. At `SandboxLevel::Full`, a kernel without Landlock is accepted,
/// because Landlock is only a second safeguard.
pub(super) fn apply_restrictions(job: &SandboxJob) -> io::Result<()> {
    let (home, temporary) = mounts::private_folders(job);
    let system = mounts::READABLE_SYSTEM_PATHS.iter().map(PathBuf::from);
    let mut read: Vec<PathBuf> = system.chain(job.readable_paths.iter().cloned()).collect();
    match job.level {
        SandboxLevel::Full => read.extend([PathBuf::from(PROGRAM_PATH_IN_SANDBOX), PathBuf::from("/proc")]),
        SandboxLevel::Landlock | SandboxLevel::None => read.push(std::env::current_exe()?),
    }
    if job.persistent_folders.is_some() {
        read.extend(mounts::USER_AND_HOST_FILES.iter().map(|(path, _)| PathBuf::from(path)));
    }
    let mut write = vec![home, temporary];
    write.extend(["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"].map(PathBuf::from));
    if job.level == SandboxLevel::Full {
        // At other levels, `/dev/shm` is the machine's folder. It contains shared memory of other processes,
        // and the job's files would remain in it.
        write.push(PathBuf::from("/dev/shm"));
        write.extend(job.build_folder.iter().map(|_| PathBuf::from(BUILD_FOLDER)));
    }
    if job.writable { &mut write } else { &mut read }.push(job.inner_tree().to_owned());

    // At this level, the job has its own network, so it may use all ports.
    let ports = job.level == SandboxLevel::Full && job.allows_sockets;
    let mut places = vec![(read, AccessFs::from_read(NEWEST)), (write, AccessFs::from_all(NEWEST))];
    if job.level == SandboxLevel::Full {
        // Programs list the folders above their project to find configuration. At this level these folders
        // contain only the mounts of the job.
        places.push((vec![PathBuf::from("/")], AccessFs::ReadDir.into()));
    }
    let status = apply_ruleset(&places, ports).map_err(io::Error::other)?;
    match (status, job.level) {
        (RulesetStatus::NotEnforced, SandboxLevel::Landlock) => {
            Err(io::Error::other("the kernel has no Landlock"))
        }
        (_, SandboxLevel::Full | SandboxLevel::Landlock | SandboxLevel::None) => Ok(()),
    }
}

/// Restricts a process that only reads. Such a process may not read git's folder, which may contain
/// passwords. The process may read only the subfolder `info` of git's folder, which contains ignore rules.
pub(super) fn apply_reader_restrictions(reading: &ReadAccess) -> io::Result<SandboxLevel> {
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    let (mut whole, mut listed) = (vec![], vec![]);
    for folder in [Some(&reading.tree), reading.rules.as_ref()].into_iter().flatten() {
        if folder.join(GIT).is_dir() {
            listed.push(folder.clone());
            whole.extend(list_outside_git(folder)?);
            whole.push(folder.join(GIT).join("info"));
        } else {
            whole.push(folder.clone());
        }
    }
    let places = [(whole, look), (listed, AccessFs::ReadDir.into())];
    match apply_ruleset(&places, false).map_err(io::Error::other)? {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(SandboxLevel::Landlock),
        RulesetStatus::NotEnforced => Ok(SandboxLevel::None),
    }
}

fn list_outside_git(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: Vec<_> = std::fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    // Links are left out, because a rule for a link would grant access to its target.
    let own = entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
    Ok(own.map(std::fs::DirEntry::path).filter(|path| !path.ends_with(GIT)).collect())
}

/// Builds and applies rules that allow these accesses below these paths. If `ports` is true, all network
/// ports are allowed; otherwise none.
fn apply_ruleset(
    access_rules: &[(Vec<PathBuf>, BitFlags<AccessFs>)],
    ports: bool,
) -> Result<RulesetStatus, landlock::RulesetError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?;
    let rules = if ports { rules } else { rules.handle_access(AccessNet::from_all(NEWEST))? };
    let mut rules = rules.scope(Scope::from_all(NEWEST))?.create()?;
    for (paths, access) in access_rules {
        rules = rules.add_rules(path_beneath_rules(paths, *access))?;
    }
    Ok(rules.restrict_self()?.ruleset)
}
