//! The limits of reading one file. The server and the kernel enforce these limits from outside the reading
//! process, so they do not depend on the parser.
//!
//! A crafted file can make a grammar use memory and time between two of its cancellation checks (ADR 0065).
//! The kernel therefore refuses memory requests beyond the file's limit, and the server kills a reader that
//! works on one file for too long.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use truing_agent::sandbox::READER_MEMORY_BYTES;
use truing_system::ProcessUsage;

/// Number of bytes of memory that reading a file may use in addition to the allowance by size
/// ([`MEMORY_PER_FILE_BYTE`]).
pub const FILE_BASE_MEMORY_BYTES: u64 = 64 << 20;
/// Number of bytes of memory that reading a file may use per byte of the file.
pub const MEMORY_PER_FILE_BYTE: u64 = 20;
/// Limit on the CPU time for reading one file. If the parser checks for cancellation, the reader stops by
/// itself at this limit.
pub const FILE_CPU_TIME_LIMIT: Duration = Duration::from_secs(2);
/// Limit on the elapsed time for reading one file. It is longer than the CPU time limit, because other
/// processes may use the processor.
pub(super) const FILE_ELAPSED_TIME_LIMIT: Duration = Duration::from_secs(20);

/// Limits a reader to its current memory plus the allowance for a file of this size. Returns true if the
/// kernel enforces the limit. Outside of Linux, a reader is limited only in time.
pub(super) fn limit_memory_for_file(usage: ProcessUsage, size: u64) -> bool {
    let Some(has) = usage.data_bytes() else { return false };
    let more = MEMORY_PER_FILE_BYTE.saturating_mul(size).saturating_add(FILE_BASE_MEMORY_BYTES);
    // The kernel does not permit a limit above the hard limit of the server process, which a child inherits.
    let most =
        getrlimit(Resource::Data).maximum.map_or(READER_MEMORY_BYTES, |own| own.min(READER_MEMORY_BYTES));
    truing_system::limit_data(usage.process(), has.saturating_add(more).min(most), most)
}
