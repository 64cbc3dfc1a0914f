//! The binary: hands the process's arguments and environment to the library and returns its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    truing::cli::main(std::env::args_os().collect(), truing::environment::Environment::of_process())
}
