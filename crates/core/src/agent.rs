//! Bounds and versions of the runtimes of agents that a configuration has to know.

/// The version of the `claude` program that its runtime was measured with. Another one may behave otherwise: flags,
/// events and retries of the program are not promised.
pub const CLI_VERSION: &str = "2.1.328";

/// Bytes of one call's output.
pub const MAX_OUTPUT_BYTES: usize = 128 << 10;
