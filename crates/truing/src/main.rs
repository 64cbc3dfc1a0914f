//! The binary: hands the process's arguments and environment to the library and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    // The helper of a sandbox is this program under another name; it needs a process with one thread.
    if let Some(code) = truing_agent::sandbox::entered(&arguments) {
        return code;
    }
    truing::cli::main(arguments, truing::environment::Environment::of_process())
}
