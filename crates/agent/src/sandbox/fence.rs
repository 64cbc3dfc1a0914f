//! Landlock: which paths may be read, run and written; no ports; no signals and no abstract sockets across the fence.

use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Job, Level, PROGRAM_INSIDE, mounts};

/// The newest Landlock that this was written for; older kernels enforce what they know.
const NEWEST: ABI = ABI::V6;

/// Puts the fence up around this process and all that it starts. Inside namespaces it is a second one, and may be
/// missing.
pub(super) fn put_up(job: &Job) -> io::Result<()> {
    let (home, temporary) = mounts::private_folders(job);
    let system = mounts::SYSTEM.iter().map(PathBuf::from);
    let mut read: Vec<PathBuf> = system.chain(job.read.iter().cloned()).collect();
    match job.level {
        Level::Full => read.extend([PathBuf::from(PROGRAM_INSIDE), PathBuf::from("/proc")]),
        Level::Landlock | Level::None => read.push(std::env::current_exe()?),
    }
    let mut write = vec![home, temporary];
    write.extend(
        ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm"].map(PathBuf::from),
    );
    if job.writable { &mut write } else { &mut read }.push(job.tree.clone());

    // Namespaces have a network of their own, whose ports are free.
    let ports = job.level == Level::Full && job.sockets;
    let status = fence(&read, &write, ports).map_err(io::Error::other)?;
    match (status, job.level) {
        (RulesetStatus::NotEnforced, Level::Landlock) => Err(io::Error::other("the kernel has no Landlock")),
        (_, Level::Full | Level::Landlock | Level::None) => Ok(()),
    }
}

fn fence(read: &[PathBuf], write: &[PathBuf], ports: bool) -> Result<RulesetStatus, landlock::RulesetError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?;
    let rules = if ports { rules } else { rules.handle_access(AccessNet::from_all(NEWEST))? };
    let status = rules
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules(write, AccessFs::from_all(NEWEST)))?
        .restrict_self()?;
    Ok(status.ruleset)
}
