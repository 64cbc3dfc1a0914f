//! Bounds and versions of the agent runtimes that a configuration refers to.

/// Version of the `claude` program against which its runtime was measured. Other versions may behave
/// differently: the program guarantees no stable flags, events or retries.
pub const CLI_VERSION: &str = "2.1.328";

/// Limit in bytes of the output of one call.
pub const MAX_OUTPUT_BYTES: usize = 128 << 10;
