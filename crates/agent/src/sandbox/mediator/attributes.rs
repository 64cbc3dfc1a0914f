//! Changes the permissions and times of a job's files.
//!
//! The mediator opens the file as the job names it, without access to its content. The kernel then names the
//! path of the open file, and the change is made through the same open file.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps, chmod, fstat, open, openat, utimensat,
};
use rustix::io::Errno;
use truing_seccomp::SuspendedCall;

use super::{CallMediator, low_bits};

/// System calls that change a file's permissions or times.
pub(in crate::sandbox) const ATTRIBUTE_CALLS: &[i64] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_utimensat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];
/// Maximum number of bytes of a path, with the terminating zero.
const MAX_PATH_BYTES: usize = 4096;
/// Number of bytes that are read at once. A read does not go beyond the end of a page, because the next page
/// may not be mapped.
const PAGE_BYTES: u64 = 4096;
/// The permissions that a job may give. A job without namespaces must not make programs that run as another
/// user or group.
const PERMISSION_BITS: u32 = 0o1777;
/// Number of nanoseconds in a microsecond.
const NANOSECONDS_PER_MICROSECOND: i64 = 1000;

/// The file that a call names.
enum NamedFile {
    Descriptor(u64),
    Path {
        /// Descriptor of the folder of a relative path.
        folder: u64,
        /// Address of the path.
        pointer: u64,
        follows_link: bool,
    },
}

impl NamedFile {
    fn in_working_folder(pointer: u64) -> Self {
        Self::Path { folder: i64::from(libc::AT_FDCWD).cast_unsigned(), pointer, follows_link: true }
    }
}

/// The form of the times in the memory of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TimeForm {
    /// Two times, each seconds and nanoseconds.
    Nanoseconds,
    /// Two times, each seconds and microseconds.
    Microseconds,
    /// Two numbers of seconds.
    Seconds,
}

impl CallMediator {
    /// Changes permissions or times, if the job may write the file.
    pub(super) fn change_attributes(&self, call: &SuspendedCall) -> Result<i64, Errno> {
        let [first, second, third, fourth, ..] = call.arguments;
        let follows_link = low_bits(fourth) & libc::AT_SYMLINK_NOFOLLOW == 0;
        match call.number {
            libc::SYS_fchmod => self.change_mode(call, &NamedFile::Descriptor(first), second),
            libc::SYS_fchmodat => {
                let file = NamedFile::Path { folder: first, pointer: second, follows_link: true };
                self.change_mode(call, &file, third)
            }
            libc::SYS_fchmodat2 => {
                let file = NamedFile::Path { folder: first, pointer: second, follows_link };
                self.change_mode(call, &file, third)
            }
            libc::SYS_utimensat => {
                let file = match second {
                    0 => NamedFile::Descriptor(first),
                    pointer => NamedFile::Path { folder: first, pointer, follows_link },
                };
                self.change_times(call, &file, third, TimeForm::Nanoseconds)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod => self.change_mode(call, &NamedFile::in_working_folder(first), second),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_utime => {
                self.change_times(call, &NamedFile::in_working_folder(first), second, TimeForm::Seconds)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_utimes => {
                self.change_times(call, &NamedFile::in_working_folder(first), second, TimeForm::Microseconds)
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_futimesat => {
                let file = NamedFile::Path { folder: first, pointer: second, follows_link: true };
                self.change_times(call, &file, third, TimeForm::Microseconds)
            }
            _ => Err(Errno::NOSYS),
        }
    }

    fn change_mode(&self, call: &SuspendedCall, file: &NamedFile, mode: u64) -> Result<i64, Errno> {
        let file = self.open_writable_file(call, file)?;
        let mode = low_bits(mode).unsigned_abs() & PERMISSION_BITS;
        chmod(descriptor_path(&file), Mode::from_raw_mode(mode))?;
        Ok(0)
    }

    fn change_times(
        &self,
        call: &SuspendedCall,
        file: &NamedFile,
        pointer: u64,
        form: TimeForm,
    ) -> Result<i64, Errno> {
        let times = self.read_times(call, pointer, form)?;
        let file = self.open_writable_file(call, file)?;
        // The kernel has no path that names an open link itself. The time of a link means nothing to
        // programs.
        if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Symlink {
            return Ok(0);
        }
        utimensat(CWD, descriptor_path(&file), &times, AtFlags::empty())?;
        Ok(0)
    }

    /// Opens the file without access to its content.
    ///
    /// # Errors
    /// `EPERM` if the job may not write the file.
    fn open_writable_file(&self, call: &SuspendedCall, file: &NamedFile) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let process = PathBuf::from(format!("/proc/{}", call.thread_id));
        let opened = match file {
            NamedFile::Descriptor(number) => {
                let path = process.join(format!("fd/{}", low_bits(*number)));
                open(path, flags, Mode::empty()).map_err(|_| Errno::BADF)?
            }
            NamedFile::Path { folder, pointer, follows_link } => {
                let path = own_process_path(self.read_path(call, *pointer)?, &process);
                let flags = if *follows_link { flags } else { flags | OFlags::NOFOLLOW };
                let folder = match low_bits(*folder) {
                    libc::AT_FDCWD => process.join("cwd"),
                    number => process.join(format!("fd/{number}")),
                };
                if path.is_absolute() {
                    open(&path, flags, Mode::empty())?
                } else {
                    openat(
                        open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?,
                        &path,
                        flags,
                        Mode::empty(),
                    )?
                }
            }
        };
        let path = std::fs::read_link(descriptor_path(&opened)).map_err(|_| Errno::PERM)?;
        let is_writable = self.writable_folders.iter().any(|folder| path.starts_with(folder));
        if is_writable && self.listener.is_suspended(call) { Ok(opened) } else { Err(Errno::PERM) }
    }

    /// Reads a path that ends with a zero byte.
    fn read_path(&self, call: &SuspendedCall, pointer: u64) -> Result<PathBuf, Errno> {
        let memory = self.open_memory(call)?;
        let mut path: Vec<u8> = Vec::new();
        while path.len() < MAX_PATH_BYTES {
            let start = pointer.checked_add(path.len() as u64).ok_or(Errno::FAULT)?;
            let mut page = vec![0; usize::try_from(PAGE_BYTES - start % PAGE_BYTES).unwrap_or(1)];
            let count = memory.read_at(&mut page, start).map_err(|_| Errno::FAULT)?;
            let read = page.get(..count).filter(|read| !read.is_empty()).ok_or(Errno::FAULT)?;
            if let Some(end) = read.iter().position(|byte| *byte == 0) {
                path.extend(read.iter().take(end));
                return if path.is_empty() {
                    Err(Errno::NOENT)
                } else {
                    Ok(std::ffi::OsString::from_vec(path).into())
                };
            }
            path.extend(read);
        }
        Err(Errno::NAMETOOLONG)
    }

    /// Reads the time of the last access and the time of the last change. A null pointer stands for now.
    fn read_times(&self, call: &SuspendedCall, pointer: u64, form: TimeForm) -> Result<Timestamps, Errno> {
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        if pointer == 0 {
            return Ok(Timestamps { last_access: now, last_modification: now });
        }
        let mut numbers = [0_i64; 4];
        let count = if form == TimeForm::Seconds { 2 } else { 4 };
        let memory = self.open_memory(call)?;
        for (index, number) in numbers.iter_mut().take(count).enumerate() {
            let mut bytes = [0; 8];
            let start = pointer.checked_add(index as u64 * 8).ok_or(Errno::FAULT)?;
            memory.read_exact_at(&mut bytes, start).map_err(|_| Errno::FAULT)?;
            *number = i64::from_ne_bytes(bytes);
        }
        let [first, second, third, fourth] = numbers;
        let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let microseconds = |number: i64| number.checked_mul(NANOSECONDS_PER_MICROSECOND).ok_or(Errno::INVAL);
        let [last_access, last_modification] = match form {
            TimeForm::Nanoseconds => [time(first, second), time(third, fourth)],
            TimeForm::Microseconds => {
                [time(first, microseconds(second)?), time(third, microseconds(fourth)?)]
            }
            TimeForm::Seconds => [time(first, 0), time(second, 0)],
        };
        Ok(Timestamps { last_access, last_modification })
    }
}

/// Returns the path that names an open file of this process.
fn descriptor_path(file: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Replaces the folder of the calling process in a path, because the same path names another folder in this
/// process.
fn own_process_path(path: PathBuf, process: &Path) -> PathBuf {
    for own in ["/proc/self", "/proc/thread-self", "/dev/fd"] {
        if let Ok(rest) = path.strip_prefix(own) {
            return if own == "/dev/fd" { process.join("fd").join(rest) } else { process.join(rest) };
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_own_process_names_the_calling_process() {
        let process = Path::new("/proc/7");
        let changed = |path: &str| own_process_path(path.into(), process);
        assert_eq!(changed("/proc/self/fd/3"), Path::new("/proc/7/fd/3"));
        assert_eq!(changed("/dev/fd/3"), Path::new("/proc/7/fd/3"));
        assert_eq!(changed("/proc/selfish"), Path::new("/proc/selfish"));
        assert_eq!(changed("file"), Path::new("file"));
    }
}
