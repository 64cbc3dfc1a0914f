//! The system's files and folders: those that a job may read, and those that cannot be its tree.

use std::path::Path;

/// Path of the home folder inside the sandbox.
pub(crate) const HOME: &str = "/home/agent";
/// Path of the temporary folder inside the sandbox.
pub(crate) const TEMPORARY_FOLDER: &str = "/tmp";
/// Search path of the system's programs.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The system's files and folders that programs need. From the system's configuration, only the files for
/// libraries, alternative programs, the time zone and certificates are included.
pub(crate) const READABLE_SYSTEM_PATHS: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
];

/// Returns true if the folder is a system folder, contains one, or is inside a folder with the machine's
/// state or secrets.
pub(super) fn touches_system_folder(tree: &Path) -> bool {
    let known = ["/proc", "/sys", "/dev", "/etc", "/run", "/boot"].iter().chain(READABLE_SYSTEM_PATHS);
    // Folders below `/dev/shm` are allowed, because they contain users' files in memory.
    let is_in_memory = tree.starts_with("/dev/shm") && tree != Path::new("/dev/shm");
    known.map(Path::new).any(|system| system.starts_with(tree))
        || ["/proc", "/sys", "/dev", "/etc", "/boot"].iter().any(|system| tree.starts_with(system))
            && !is_in_memory
}
