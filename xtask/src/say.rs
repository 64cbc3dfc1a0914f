//! Prints all output of the program: results to standard output, problems to standard error.

use std::io::Write;

/// Prints one line of the result. If standard output is closed, the line is dropped; the exit code still
/// reports success or failure.
pub fn print_line(text: &str) {
    print_bytes(format!("{text}\n").as_bytes());
}

/// Forwards the output of a child process unchanged.
pub fn print_bytes(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// Prints one line about a problem.
pub fn print_problem(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Returns the exit code of a command: 0 for success, 1 for problems or an error, which is printed.
pub fn exit_code(result: anyhow::Result<bool>) -> std::process::ExitCode {
    match result {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => {
            print_problem(&format!("error: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}
