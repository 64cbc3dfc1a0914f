//! The only place that prints: results to standard output, complaints to standard error.

use std::io::Write;

/// One line of the result. A closed pipe is no reason to fail: the exit code still tells.
pub fn line(text: &str) {
    bytes(format!("{text}\n").as_bytes());
}

/// Output of a child process, passed on as it came.
pub fn bytes(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// One line about what went wrong.
pub fn problem(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// The exit code of a command: 0 if all is well, 1 if something is not, or if it failed, which is printed.
pub fn exit_code(result: anyhow::Result<bool>) -> std::process::ExitCode {
    match result {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => {
            problem(&format!("error: {error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}
