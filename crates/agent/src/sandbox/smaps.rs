//! Parses a process's memory use from `/proc/PID/smaps` and its summary. The kernel divides each page among
//! the processes that map it.

/// Prefix of shared memory segments in `smaps`. The segments are not counted from `smaps`, but from the table
/// of segments in the job's namespace.
const SEGMENT_NAME_PREFIX: &str = "/SYSV";
/// Unit of the values, in bytes.
const KIB: u64 = 1 << 10;

/// The memory of one process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct MappedMemory {
    /// The process's share of mapped memory in bytes, without files. Files are left out, because they belong
    /// to the machine or are counted separately.
    pub(super) bytes: u64,
    /// True if the process maps shared memory without a name.
    pub(super) maps_unnamed_shared_memory: bool,
}

/// The sums of all mappings of a process in bytes. The kernel divides each page among the processes that map
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MappingSummary {
    /// Memory that belongs to no file, including swapped memory.
    pub(super) anonymous: u64,
    /// Shared memory, with or without a name.
    pub(super) shared: u64,
}

/// Parses a process's `smaps_rollup`. Returns `None` if the kernel does not report separate sums for memory
/// without a file and shared memory.
pub(super) fn parse_summary(text: &str) -> Option<MappingSummary> {
    let of = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(KIB)
    };
    let swapped = of("SwapPss:").unwrap_or(0);
    Some(MappingSummary { anonymous: of("Pss_Anon:")?.saturating_add(swapped), shared: of("Pss_Shmem:")? })
}

/// One mapping, as parsed from its lines in `smaps`; values in KiB.
#[derive(Default)]
struct MemoryMapping<'a> {
    device: u64,
    name: &'a str,
    resident: u64,
    share: u64,
    anonymous: u64,
    swapped: u64,
}

/// Adds up the mappings in a process's `smaps`. `unnamed_memory_device` is the device number of the kernel's
/// internal file system for shared memory without a name.
pub(super) fn sum_mappings(text: &str, unnamed_memory_device: Option<u64>) -> MappedMemory {
    let mut all = MappedMemory::default();
    let mut now = MemoryMapping::default();
    for line in text.lines() {
        match line.split_once(':') {
            // In a field, the first colon comes before the first blank. In the first line of a mapping, it
            // comes later, in the device number: `00400000-00452000 r-xp 00000000 08:02 173521 /bin/sh`.
            Some((name, value)) if !name.contains(' ') => now.set_field(name, value),
            _ => {
                all.add(&now, unnamed_memory_device);
                now = MemoryMapping::from_line(line);
            }
        }
    }
    all.add(&now, unnamed_memory_device);
    all
}

impl<'a> MemoryMapping<'a> {
    fn from_line(line: &'a str) -> Self {
        let mut words = line.splitn(6, ' ');
        let device = words.nth(3).and_then(parse_device).unwrap_or(0);
        let name = words.nth(1).unwrap_or_default().trim();
        Self { device, name, ..Self::default() }
    }

    fn set_field(&mut self, name: &str, value: &str) {
        let value = value.split_whitespace().next().and_then(|value| value.parse().ok());
        let place = match name {
            "Rss" => &mut self.resident,
            "Pss" => &mut self.share,
            "Anonymous" => &mut self.anonymous,
            "SwapPss" => &mut self.swapped,
            _ => return,
        };
        *place = value.unwrap_or(0);
    }

    /// Returns the process's share, in KiB, of the mapping's memory outside files.
    fn anonymous_kib(&self, unnamed_memory_device: Option<u64>) -> u64 {
        let share = match (self.device, self.is_unnamed_shared_memory(unnamed_memory_device)) {
            (_, true) if self.name.starts_with(SEGMENT_NAME_PREFIX) => return 0,
            (0, _) | (_, true) => self.share,
            // In a private mapping of a file, only the changed pages count. The process's share of these
            // pages is estimated from its share of the whole mapping.
            (_, false) => self.anonymous.saturating_mul(self.share).checked_div(self.resident).unwrap_or(0),
        };
        share.saturating_add(self.swapped)
    }

    fn is_unnamed_shared_memory(&self, unnamed_memory_device: Option<u64>) -> bool {
        unnamed_memory_device == Some(self.device)
    }
}

impl MappedMemory {
    fn add(&mut self, mapping: &MemoryMapping<'_>, unnamed_memory_device: Option<u64>) {
        self.bytes =
            self.bytes.saturating_add(mapping.anonymous_kib(unnamed_memory_device).saturating_mul(KIB));
        self.maps_unnamed_shared_memory |= mapping.is_unnamed_shared_memory(unnamed_memory_device);
    }
}

/// Converts a device from the notation of `smaps` (`08:02`) to the number that the kernel uses elsewhere.
fn parse_device(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some(rustix::fs::makedev(number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the `smaps` lines of a mapping that two processes share equally.
    fn mapping(first: &str, resident: u64, anonymous: u64) -> String {
        let share = resident / 2;
        format!(
            "{first}\nSize: 99 kB\nRss: {resident} kB\nPss: {share} kB\nPss_Dirty: 7 kB\nAnonymous: \
             {anonymous} kB\nSwapPss: 1 kB\nVmFlags: rd ex\n"
        )
    }

    #[test]
    fn a_sum_is_told_by_kind_or_not_at_all() {
        let text = "5600-7ffc ---p 00000000 00:00 0 [rollup]\nRss: 99 kB\nPss: 80 kB\nPss_Anon: 30 kB\n\
                    Pss_File: 40 kB\nPss_Shmem: 10 kB\nSwap: 8 kB\nSwapPss: 2 kB\n";
        assert_eq!(parse_summary(text), Some(MappingSummary { anonymous: 32 * KIB, shared: 10 * KIB }));
        assert_eq!(parse_summary(&text.replace("Pss_", "Other_")), None);
        assert_eq!(parse_summary(&text.replace("30 kB", "99999999999999999999 kB")), None);
    }

    #[test]
    fn each_kind_of_mapping_is_counted_once() {
        let heap = mapping("559a0-559b0 rw-p 00000000 00:00 0      [heap]", 100, 100);
        let nameless = mapping("7f00-7f10 rw-s 00000000 00:01 1025     /dev/zero (deleted)", 60, 0);
        let segment = mapping("7f00-7f10 rw-s 00000000 00:01 3     /SYSV00000000 (deleted)", 60, 0);
        // The name that the kernel shows for shared memory without a file name is irrelevant.
        let named = mapping("7f00-7f10 rw-s 00000000 00:01 1026     [anon_shmem:/SYSV]", 60, 0);
        let library = mapping("7f00-7f10 r-xp 00000000 08:02 17     /usr/lib/a: b.so", 40, 20);
        let temporary = mapping("7f00-7f10 rw-s 00000000 00:2a 17     /tmp/x", 40, 0);
        let of = |text: &str| sum_mappings(text, parse_device("00:01"));
        let held = |kib: u64| MappedMemory { bytes: kib * KIB, maps_unnamed_shared_memory: false };
        assert_eq!(of(""), held(0));
        assert_eq!(of(&heap), held(51));
        assert_eq!(of(&nameless), MappedMemory { maps_unnamed_shared_memory: true, ..held(31) });
        assert_eq!(of(&named), MappedMemory { maps_unnamed_shared_memory: true, ..held(31) });
        assert_eq!(of(&segment), MappedMemory { maps_unnamed_shared_memory: true, ..held(0) });
        assert_eq!(of(&library), held(11));
        assert_eq!(of(&temporary), held(1));
        let all = [heap, nameless, segment, library, temporary].concat();
        assert_eq!(of(&all), MappedMemory { maps_unnamed_shared_memory: true, ..held(94) });
    }
}
