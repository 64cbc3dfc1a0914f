//! Builds the file system that a command sees: programs and libraries of the system, the command's tree, and
//! empty private folders. No other path exists inside.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::{chdir, pivot_root};

use super::limits::max_files;
use super::{
    BUILD_FOLDER, HOME, JobFolders, READABLE_SYSTEM_PATHS, SandboxJob, SandboxLevel, TEMPORARY_FOLDER,
};

/// Path of the running program inside the sandbox, for jobs that run this program.
pub(super) const PROGRAM_PATH_IN_SANDBOX: &str = "/.truing";
/// Devices whose use has no effect on the machine.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];
/// Folder in which the new file system is built. The folder exists on every machine, and its content outside
/// the sandbox does not change.
const NEW_ROOT_FOLDER: &str = "/tmp";
/// Name of the command's user inside the sandbox.
pub(super) const USER: &str = "agent";
/// Files with the names of the user and the hosts, for a job with private folders.
pub(super) const USER_AND_HOST_FILES: &[(&str, &str)] = &[
    ("/etc/passwd", "agent:x:1000:1000::/home/agent:/bin/sh\n"),
    ("/etc/group", "agent:x:1000:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
];
/// Maximum size of the job's file system in memory, which contains all files outside the tree and the job's
/// private folders.
const MAX_FILE_SYSTEM_BYTES: u64 = 2 << 30;

/// Returns the home and temporary folder of a job.
pub(super) fn private_folders(job: &SandboxJob) -> (PathBuf, PathBuf) {
    match job.level {
        SandboxLevel::Full => (HOME.into(), TEMPORARY_FOLDER.into()),
        SandboxLevel::Landlock | SandboxLevel::None => match &job.persistent_folders {
            Some(JobFolders { home, temporary }) => (home.clone(), temporary.clone()),
            None => (job.private_folder.clone(), job.private_folder.clone()),
        },
    }
}

/// Builds the sandbox's file system, makes it the root, and detaches the machine's file system permanently.
pub(super) fn build_mounts(job: &SandboxJob) -> io::Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // The temporary root has two folders: one for the machine's file system, and one for the new file system.
    mount_file_system("tmpfs", Path::new(NEW_ROOT_FOLDER), "size=1m,mode=755")?;
    let workspace = Path::new(NEW_ROOT_FOLDER);
    std::fs::create_dir(workspace.join("old"))?;
    std::fs::create_dir(workspace.join("new"))?;
    pivot_root(workspace, workspace.join("old"))?;
    chdir("/")?;
    let space = MountRoots { old: Path::new("/old"), new: Path::new("/new") };
    let size = job.limits.disk.min(MAX_FILE_SYSTEM_BYTES);
    // The number of files is limited too, because even an empty file takes kernel memory.
    let files = max_files(size);
    mount_file_system("tmpfs", space.new, &format!("size={size},nr_inodes={files},mode=755"))?;
    space.mount_contents(job)?;
    // The new root is mounted over the old one, which is then detached.
    chdir(space.new)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}

fn mount_file_system(kind: &str, target: &Path, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount(kind, target, kind, flags, options.as_c_str())?)
}

/// The roots of the machine's file system and of the new file system, during the setup.
struct MountRoots {
    old: &'static Path,
    new: &'static Path,
}

impl MountRoots {
    fn mount_contents(&self, job: &SandboxJob) -> io::Result<()> {
        for path in READABLE_SYSTEM_PATHS {
            self.mount_path(Path::new(path), false)?;
        }
        for folder in [HOME, TEMPORARY_FOLDER, "/dev/shm"] {
            std::fs::create_dir_all(path_in_root(self.new, Path::new(folder)))?;
        }
        for device in DEVICES {
            self.bind(&Path::new("/dev").join(device))?;
        }
        for (link, target) in [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ] {
            std::os::unix::fs::symlink(target, self.new.join("dev").join(link))?;
        }
        self.mount_this_program()?;
        self.mount_proc(job)?;
        for folder in &job.readable_paths {
            self.mount_path(folder, false)?;
        }
        if let Some(room) = &job.persistent_folders {
            self.bind_as(&room.home, Path::new(HOME))?;
            self.bind_as(&room.temporary, Path::new(TEMPORARY_FOLDER))?;
            for (path, text) in USER_AND_HOST_FILES {
                let inside = path_in_root(self.new, Path::new(path));
                create_parent(&inside)?;
                std::fs::write(inside, text)?;
            }
        }
        if let Some(builds) = &job.build_folder {
            self.bind_as(builds, Path::new(BUILD_FOLDER))?;
        }
        self.mount_path_as(&job.tree, &job.inner_tree, job.writable)?;
        if job.writable && path_in_root(self.old, &job.tree).join(".git").exists() {
            self.mount_path_as(&job.tree.join(".git"), &job.inner_tree.join(".git"), false)?;
        }
        for file in &job.hidden_files {
            // A symbolic link is not hidden, because its target does not exist inside the sandbox.
            if path_in_root(self.old, &job.tree.join(file))
                .symlink_metadata()
                .is_ok_and(|found| found.is_file())
            {
                self.bind_as(Path::new("/dev/null"), &job.inner_tree.join(file))?;
            }
        }
        Ok(())
    }

    /// Mounts the file of the running program. If an upgrade has replaced the file since the program started,
    /// copies the file that is running instead.
    fn mount_this_program(&self) -> io::Result<()> {
        let (running, inside) =
            (self.old.join("proc/self/exe"), path_in_root(self.new, Path::new(PROGRAM_PATH_IN_SANDBOX)));
        let named = path_in_root(self.old, &std::fs::read_link(&running)?);
        let same = |one: Metadata, other: Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
        if !named.metadata().is_ok_and(|file| running.metadata().is_ok_and(|running| same(file, running))) {
            return std::fs::copy(running, inside).map(drop);
        }
        std::fs::write(&inside, "")?;
        mount_bind_recursive(named, &inside)?;
        remount_read_only(&inside)
    }

    /// Mounts a `/proc` that shows only the processes inside. The mount is read-only, because the kernel
    /// would otherwise allow a command that root started to change the machine's settings. Some containers
    /// forbid this mount, and `/proc` is then empty.
    fn mount_proc(&self, job: &SandboxJob) -> io::Result<()> {
        let proc = self.new.join("proc");
        std::fs::create_dir(&proc)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        if mount("proc", &proc, "proc", flags, None).is_ok() {
            job.limits.apply_to_namespace(&proc);
            mount_remount(&proc, flags | MountFlags::RDONLY | MountFlags::BIND, "")?;
        }
        Ok(())
    }

    /// Mounts a file or folder of the machine at its own path, if it exists.
    fn mount_path(&self, path: &Path, writable: bool) -> io::Result<()> {
        self.mount_path_as(path, path, writable)
    }

    /// Mounts a file or folder at another path, if it exists.
    fn mount_path_as(&self, path: &Path, name: &Path, writable: bool) -> io::Result<()> {
        let outside = path_in_root(self.old, path);
        let Ok(found) = outside.symlink_metadata() else { return Ok(()) };
        let inside = path_in_root(self.new, name);
        if found.is_symlink() {
            // A link that already exists is kept, because an earlier mount of a folder may contain it.
            if inside.symlink_metadata().is_ok() {
                return Ok(());
            }
            create_parent(&inside)?;
            return std::os::unix::fs::symlink(std::fs::read_link(outside)?, inside);
        }
        self.bind_as(path, name)?;
        if writable { Ok(()) } else { remount_read_only(&inside) }
    }

    fn bind(&self, path: &Path) -> io::Result<()> {
        self.bind_as(path, path)
    }

    fn bind_as(&self, path: &Path, name: &Path) -> io::Result<()> {
        let (outside, inside) = (path_in_root(self.old, path), path_in_root(self.new, name));
        if !inside.exists() {
            create_parent(&inside)?;
            if outside.is_dir() { std::fs::create_dir(&inside)? } else { std::fs::write(&inside, "")? }
        }
        Ok(mount_bind_recursive(outside, inside)?)
    }
}

/// Converts an absolute path to a path below another root.
fn path_in_root(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)
}

/// Makes a mount read-only. The call must repeat the mount's existing flags.
fn remount_read_only(path: &Path) -> io::Result<()> {
    let mut flags = MountFlags::RDONLY | MountFlags::BIND | MountFlags::NOSUID;
    let has = statvfs(path)?.f_flag;
    if has.contains(StatVfsMountFlags::NODEV) {
        flags |= MountFlags::NODEV;
    }
    if has.contains(StatVfsMountFlags::NOEXEC) {
        flags |= MountFlags::NOEXEC;
    }
    Ok(mount_remount(path, flags, "")?)
}
