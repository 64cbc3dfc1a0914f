//! Limits and versions of the agent runtimes, for use by the configuration.

/// Version of the `claude` program with which Truing's runtime for it was tested. Other versions may behave
/// differently: the program guarantees no stable flags, events or retries.
pub const CLI_VERSION: &str = "2.1.328";

/// Limit in bytes of the output of one call.
pub const MAX_OUTPUT_BYTES: usize = 128 << 10;
