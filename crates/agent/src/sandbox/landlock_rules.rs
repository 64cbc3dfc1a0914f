//! Landlock rules, which list the paths that a process may read, run and write. The rules also forbid the use
//! of network ports, signals to processes outside the sandbox, and abstract-socket connections to such
//! processes.

use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
    path_beneath_rules,
};

use super::{
    BUILD_FOLDER, PROGRAM_PATH_IN_SANDBOX, READABLE_SYSTEM_PATHS, ReadAccess, SandboxJob, SandboxLevel,
    mounts,
};

/// The newest Landlock version supported here; an older kernel enforces only the rules that it knows.
const NEWEST: ABI = ABI::V6;
/// The folder of git's data.
const GIT: &str = ".git";

/// Files of `/proc` that describe the machine and no process. Programs read them to choose their number of
/// threads and the size of their memory.
const READABLE_PROC_FILES: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
    "/proc/sys/vm/overcommit_memory",
];

/// Files of `/etc` that contain no secrets of a machine. Programs read them, and continue if a file does not
/// exist, but not if they are refused.
const READABLE_SETTINGS: [&str; 20] = [
    "/etc/bash.bashrc",
    "/etc/debian_version",
    "/etc/environment",
    "/etc/fonts",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/inputrc",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
    "/etc/locale.alias",
    "/etc/login.defs",
    "/etc/lsb-release",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/protocols",
    "/etc/redhat-release",
    "/etc/services",
    "/etc/shells",
    "/etc/timezone",
];

/// The later restrictions of Landlock that this kernel enforces. The filter of system calls covers the
/// missing ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LandlockSupport {
    /// True if Landlock restricts the truncation of files (Linux 6.2).
    pub(super) restricts_truncation: bool,
    /// True if Landlock restricts signals (Linux 6.12).
    pub(super) restricts_signals: bool,
}

/// Restricts this thread and its children. At `SandboxLevel::Full`, a kernel without Landlock is accepted,
/// because Landlock is only a second safeguard.
pub(super) fn apply_restrictions(job: &SandboxJob) -> io::Result<LandlockSupport> {
    let system = READABLE_SYSTEM_PATHS.iter().map(PathBuf::from);
    let mut read: Vec<PathBuf> = system.chain(job.readable_paths.iter().cloned()).collect();
    match job.level {
        SandboxLevel::Full => read.extend([PathBuf::from(PROGRAM_PATH_IN_SANDBOX), PathBuf::from("/proc")]),
        SandboxLevel::Landlock | SandboxLevel::None => {
            read.push(std::env::current_exe()?);
            read.extend(READABLE_PROC_FILES.iter().chain(&READABLE_SETTINGS).map(PathBuf::from));
            read.extend(job.moved_git.clone());
        }
    }
    if job.persistent_folders.is_some() {
        read.extend(mounts::USER_AND_HOST_FILES.iter().map(|(path, _)| PathBuf::from(path)));
    }
    let mut write = writable_folders(job);
    write.extend(["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"].map(PathBuf::from));
    if job.level == SandboxLevel::Full {
        // At other levels, `/dev/shm` is the machine's folder. It contains shared memory of other processes,
        // and the job's files would remain in it.
        write.push(PathBuf::from("/dev/shm"));
        write.extend(job.build_folder.iter().map(|_| PathBuf::from(BUILD_FOLDER)));
    }
    let mut listed = Vec::new();
    match (job.writable, job.level) {
        (true, _) => {}
        (false, SandboxLevel::Full) => read.push(job.inner_tree().to_owned()),
        (false, SandboxLevel::Landlock | SandboxLevel::None) => {
            let hidden: Vec<PathBuf> = job.hidden_files.iter().map(|file| job.tree.join(file)).collect();
            list_around_hidden(&job.tree, &hidden, &mut read, &mut listed)?;
        }
    }

    // Landlock restricts ports but not addresses. The job's sockets are restricted elsewhere: at
    // `SandboxLevel::Full` by the job's own network, and otherwise by the mediator.
    let ports = job.allows_sockets;
    let abi = job.landlock_version.map_or(NEWEST, |version| ABI::from(version).min(NEWEST));
    let mut places = vec![
        (read, AccessFs::from_read(abi)),
        (write, AccessFs::from_all(abi)),
        (listed, AccessFs::ReadDir.into()),
    ];
    if job.level == SandboxLevel::Full {
        // Programs list the folders above their project to find configuration. At this level these folders
        // contain only the mounts of the job.
        places.push((vec![PathBuf::from("/")], AccessFs::ReadDir.into()));
    }
    let status = apply_ruleset(abi, &places, ports).map_err(io::Error::other)?;
    if status.ruleset == RulesetStatus::NotEnforced && job.level == SandboxLevel::Landlock {
        return Err(io::Error::other("the kernel has no Landlock"));
    }
    let enforced = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi.min(abi),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => ABI::Unsupported,
    };
    Ok(LandlockSupport { restricts_truncation: enforced >= ABI::V3, restricts_signals: enforced >= ABI::V6 })
}

/// Returns the folders whose files a job may write.
pub(super) fn writable_folders(job: &SandboxJob) -> Vec<PathBuf> {
    let (home, temporary) = mounts::private_folders(job);
    let tree = job.writable.then(|| job.inner_tree().to_owned());
    [home, temporary].into_iter().chain(tree).collect()
}

/// Adds the paths below `folder` to `whole`, except the hidden files. Folders that contain a hidden file are
/// added to `listed`, because a rule for a folder also applies to all files below it.
fn list_around_hidden(
    folder: &Path,
    hidden: &[PathBuf],
    whole: &mut Vec<PathBuf>,
    listed: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let hides =
        |path: &Path| hidden.iter().any(|file| file != path && file.starts_with(path) && file.exists());
    if !hides(folder) {
        whole.push(folder.to_owned());
        return Ok(());
    }
    listed.push(folder.to_owned());
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A link is left out, because a rule for a link would grant access to its target.
        if entry.file_type().is_ok_and(|kind| kind.is_symlink()) || hidden.contains(&entry.path()) {
            continue;
        }
        list_around_hidden(&entry.path(), hidden, whole, listed)?;
    }
    Ok(())
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
    match apply_ruleset(NEWEST, &places, false).map_err(io::Error::other)?.ruleset {
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

/// Builds and applies rules that allow these accesses below these paths, with the restrictions of this
/// version of Landlock. If `ports` is true, all network ports are allowed; otherwise none.
fn apply_ruleset(
    abi: ABI,
    access_rules: &[(Vec<PathBuf>, BitFlags<AccessFs>)],
    ports: bool,
) -> Result<RestrictionStatus, landlock::RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?;
    if !ports && abi >= ABI::V4 {
        rules = rules.handle_access(AccessNet::from_all(abi))?;
    }
    if abi >= ABI::V6 {
        rules = rules.scope(Scope::from_all(abi))?;
    }
    let mut rules = rules.create()?;
    for (paths, access) in access_rules {
        rules = rules.add_rules(path_beneath_rules(paths, *access))?;
    }
    rules.restrict_self()
}
