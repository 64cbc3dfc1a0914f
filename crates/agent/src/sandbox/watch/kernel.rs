//! Kernel objects of known number but unknown size. The growth of the machine's kernel memory shows their
//! size.

use std::collections::BTreeMap;
use std::io::Read as _;

use rustix::fs::{Mode, OFlags, openat, readlinkat};

use super::{CHUNK, JobWatcher, ProcessStatus, kib_field, open_files};

/// Maximum number of bytes that the kernel keeps for a mapping, a file lock, and an `epoll` entry.
const MAPPING: u64 = 512;
const LOCK: u64 = 512;
const POLLED: u64 = 256;
/// Maximum number of bytes of an open file of unknown kind.
const SMALL_FILE: u64 = 64 << 10;
/// Open files that can hold far more memory than others, by the beginning of their names. Data read from a
/// process stays in memory, a socket keeps whole pages for single bytes, and a ruleset can have a rule for
/// every file.
const LARGE_FILES: [(&str, u64); 3] =
    [("/proc/", 16 << 20), ("socket:", 16 << 20), ("anon_inode:[landlock-ruleset]", 16 << 20)];
const EVENT_POLL: &str = "anon_inode:[eventpoll]";

impl JobWatcher {
    /// Returns the maximum number of bytes of all objects of known number but unknown size. Stops counting
    /// once the sum exceeds the limit.
    pub(super) fn object_memory(&self, processes: &BTreeMap<u32, ProcessStatus>) -> u64 {
        let limit = self.limits.memory;
        let mut all = self.count_lines("locks", limit / LOCK).saturating_mul(LOCK);
        for pid in processes.keys() {
            if all > limit {
                return all;
            }
            all = all.saturating_add(
                self.count_process_lines(*pid, "maps", limit / MAPPING).saturating_mul(MAPPING),
            );
            let open = self.read_open_files(*pid, open_files::file_numbers).unwrap_or_default();
            for number in open {
                if all > limit {
                    return all;
                }
                all = all.saturating_add(self.max_file_memory(*pid, &number));
            }
        }
        all
    }

    /// Returns the maximum number of bytes that one open file of a process can hold.
    fn max_file_memory(&self, pid: u32, number: &str) -> u64 {
        let Ok(target) = readlinkat(&self.proc, format!("{pid}/fd/{number}"), Vec::new()) else { return 0 };
        let target = target.to_string_lossy();
        let holds = |(begin, _): &&(&str, u64)| target.starts_with(begin);
        let large = LARGE_FILES.iter().find(holds).map_or(SMALL_FILE, |(_, bytes)| *bytes);
        if target == EVENT_POLL {
            let file = format!("{pid}/fdinfo/{number}");
            large.saturating_add(self.count_lines(&file, self.limits.memory / POLLED).saturating_mul(POLLED))
        } else {
            large
        }
    }

    /// Counts the lines of a file of a process, read through a thread that has not ended.
    fn count_process_lines(&self, pid: u32, file: &str, max_lines: u64) -> u64 {
        let first = self.count_lines(&format!("{pid}/{file}"), max_lines);
        if first > 0 {
            return first;
        }
        let threads = self.threads(pid).into_iter();
        threads
            .map(|thread| self.count_lines(&format!("{pid}/task/{thread}/{file}"), max_lines))
            .max()
            .unwrap_or(0)
    }

    /// Counts the lines of a file, up to just above `most`.
    fn count_lines(&self, path: &str, max_lines: u64) -> u64 {
        let Ok(file) = openat(&self.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
            return 0;
        };
        let (mut file, mut chunk, mut lines) = (std::fs::File::from(file), vec![0; CHUNK], 0_u64);
        while lines <= max_lines {
            let read = file.read(&mut chunk).unwrap_or(0);
            let Some(read) = chunk.get(..read).filter(|read| !read.is_empty()) else { break };
            let ends = read.split(|byte| *byte == b'\n').count().saturating_sub(1);
            lines = lines.saturating_add(ends as u64);
        }
        lines
    }

    /// Returns the machine's own kernel memory in bytes, as two sums. The first sum contains only kernel
    /// objects. The second sum contains all memory outside processes, files and caches, such as pages in
    /// flight through sockets. The second sum also includes free pages that processors hold back, and can
    /// therefore miss growth of that size.
    pub(super) fn machine_kernel_memory(&self) -> Option<[u64; 2]> {
        self.read_proc("meminfo").map(|meminfo| {
            let sum = |names: &[&str]| names.iter().map(|name| kib_field(&meminfo, name)).sum::<u64>();
            let others = ["MemFree:", "Buffers:", "Cached:", "AnonPages:", "SReclaimable:", "PageTables:"];
            let objects = sum(&["SUnreclaim:", "VmallocUsed:"]);
            [objects, kib_field(&meminfo, "MemTotal:").saturating_sub(sum(&others))]
        })
    }
}
