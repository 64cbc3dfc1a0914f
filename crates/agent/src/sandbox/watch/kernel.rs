//! Estimates the memory of kernel objects whose number is known but whose size is not. The growth of the
//! machine's kernel memory shows whether these objects are large.

use std::collections::BTreeMap;
use std::io::Read as _;

use rustix::fs::{Mode, OFlags, openat, readlinkat};

use super::{CHUNK_BYTES, JobWatcher, ProcessStatus, kib_field, open_files};

/// Maximum number of bytes of kernel memory for a mapping; the next two constants are the maximum for a file
/// lock and for an `epoll` entry.
const MAX_MAPPING_BYTES: u64 = 512;
const MAX_LOCK_BYTES: u64 = 512;
const MAX_EPOLL_ENTRY_BYTES: u64 = 256;
/// Maximum number of bytes of kernel memory for an open file whose kind is not in `LARGE_FILES`.
const MAX_SMALL_FILE_BYTES: u64 = 64 << 10;
/// Kinds of open files that can hold much more kernel memory: the beginning of the file's name, and the
/// maximum number of bytes. A file of `/proc` keeps the data that was read. A socket may keep a whole page
/// for a single byte. A Landlock ruleset can contain a rule for every file.
const LARGE_FILES: [(&str, u64); 3] =
    [("/proc/", 16 << 20), ("socket:", 16 << 20), ("anon_inode:[landlock-ruleset]", 16 << 20)];
const EPOLL_FILE_NAME: &str = "anon_inode:[eventpoll]";

impl JobWatcher {
    /// Returns the maximum total size in bytes of those kernel objects of the job whose actual size is
    /// unknown. Stops counting once the total exceeds the memory limit.
    pub(super) fn object_memory(&self, processes: &BTreeMap<u32, ProcessStatus>) -> u64 {
        let limit = self.limits.memory;
        let mut all = self.count_lines("locks", limit / MAX_LOCK_BYTES).saturating_mul(MAX_LOCK_BYTES);
        for pid in processes.keys() {
            if all > limit {
                return all;
            }
            all = all.saturating_add(
                self.count_process_lines(*pid, "maps", limit / MAX_MAPPING_BYTES)
                    .saturating_mul(MAX_MAPPING_BYTES),
            );
            let open = self.read_open_files(*pid, open_files::descriptor_numbers).unwrap_or_default();
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
        let large = LARGE_FILES.iter().find(holds).map_or(MAX_SMALL_FILE_BYTES, |(_, bytes)| *bytes);
        if target == EPOLL_FILE_NAME {
            let file = format!("{pid}/fdinfo/{number}");
            large.saturating_add(
                self.count_lines(&file, self.limits.memory / MAX_EPOLL_ENTRY_BYTES)
                    .saturating_mul(MAX_EPOLL_ENTRY_BYTES),
            )
        } else {
            large
        }
    }

    /// Counts the lines of a process's file in `/proc`. If the first thread has exited, counts the lines in
    /// the files of the other threads, and returns the highest count.
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

    /// Counts the lines of a file. Stops soon after the count exceeds `max_lines`.
    fn count_lines(&self, path: &str, max_lines: u64) -> u64 {
        let Ok(file) = openat(&self.proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
            return 0;
        };
        let (mut file, mut chunk, mut lines) = (std::fs::File::from(file), vec![0; CHUNK_BYTES], 0_u64);
        while lines <= max_lines {
            let read = file.read(&mut chunk).unwrap_or(0);
            let Some(read) = chunk.get(..read).filter(|read| !read.is_empty()) else { break };
            let ends = read.split(|byte| *byte == b'\n').count().saturating_sub(1);
            lines = lines.saturating_add(ends as u64);
        }
        lines
    }

    /// Returns two sums, in bytes, of the machine's kernel memory that belongs to no process. The first sum
    /// contains only kernel objects. The second sum contains all memory outside processes, files and caches,
    /// for example also pages in flight through sockets. It also includes free pages that are reserved for
    /// each processor. These pages can hide a growth up to their own size.
    pub(super) fn machine_kernel_memory(&self) -> Option<[u64; 2]> {
        self.read_proc("meminfo").map(|meminfo| {
            let sum = |names: &[&str]| names.iter().map(|name| kib_field(&meminfo, name)).sum::<u64>();
            let others = ["MemFree:", "Buffers:", "Cached:", "AnonPages:", "SReclaimable:", "PageTables:"];
            let objects = sum(&["SUnreclaim:", "VmallocUsed:"]);
            [objects, kib_field(&meminfo, "MemTotal:").saturating_sub(sum(&others))]
        })
    }
}
