//! Constants of the agent runtimes, for use by the configuration.

/// Version of the `claude` program with which the `cli` runtime was tested. The program does not guarantee
/// stable flags, events or retries, so other versions may behave differently.
pub const CLI_VERSION: &str = "2.1.328";

/// Maximum size in bytes of the output of one tool call.
pub const MAX_OUTPUT_BYTES: usize = 128 << 10;
