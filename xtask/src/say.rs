//! The only place that prints: results to standard output, complaints to standard error.

use std::io::Write;

/// One line of the result. A closed pipe is no reason to fail: the exit code still tells.
pub(crate) fn line(text: &str) {
    bytes(format!("{text}\n").as_bytes());
}

/// Output of a child process, passed on as it came.
pub(crate) fn bytes(text: &[u8]) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

/// One line about what went wrong.
pub(crate) fn problem(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
