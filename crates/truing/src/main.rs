//! The binary: passes the process's arguments and environment to the library and returns its exit code.

use std::process::ExitCode;

/// First file descriptor after the three standard streams.
const FIRST_NON_STANDARD_FD: i32 = 3;

fn main() -> ExitCode {
    // Child processes must not inherit file descriptors that the parent process left open, because an open
    // file bypasses every sandbox.
    close_fds::set_fds_cloexec(FIRST_NON_STANDARD_FD, &[]);
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // A sandbox starts this program under another name as its helper. The helper must run before any thread
    // is started.
    if let Some(code) = truing_agent::sandbox::run_if_helper(&arguments) {
        return code;
    }
    truing::cli::main(arguments, truing_config::environment::Environment::read_process())
}
