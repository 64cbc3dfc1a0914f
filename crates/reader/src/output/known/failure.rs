//! Recognises messages by which a program says that it crashed, or that it could not check everything.

/// Texts by which the runtimes of Python, Rust, Go, Java, Node.js and C report that a program crashed. A
/// linter may have printed findings before, with the exit code for findings.
const CRASH_MARKS: [&str; 12] = [
    TRACEBACK_MARK,
    "INTERNAL ERROR",
    "internal error occurred",
    "Stack dump:",
    "panicked at",
    "goroutine 1 [",
    "Exception in thread",
    "StackOverflowError",
    "Maximum call stack size exceeded",
    "FATAL ERROR: ",
    "Segmentation fault",
    "overflowed its stack",
];
/// The line above the frames of a Python exception. The line below the frames names the exception.
const TRACEBACK_MARK: &str = "Traceback (most recent call last)";

/// Searches lines for the reason of a failure.
#[derive(Clone, Debug, Default)]
pub struct FailureSearch {
    /// Texts of the tool, in addition to the texts of runtimes.
    failure_texts: &'static [String],
    /// True in the frames of a Python exception, which is named below them.
    is_in_traceback: bool,
}

impl FailureSearch {
    /// Creates a search for the texts of runtimes and for `failure_texts`.
    pub fn new(failure_texts: &'static [String]) -> Self {
        Self { failure_texts, is_in_traceback: false }
    }

    /// Passes the next line. Returns true if the line is the reason of a failure.
    pub fn is_reason(&mut self, line: &str) -> bool {
        if self.is_in_traceback {
            self.is_in_traceback = line.is_empty() || line.starts_with([' ', '\t']);
            return !self.is_in_traceback;
        }
        self.is_in_traceback = line.contains(TRACEBACK_MARK);
        let mut marks = CRASH_MARKS.iter().copied().chain(self.failure_texts.iter().map(String::as_str));
        !self.is_in_traceback && marks.any(|mark| line.contains(mark))
    }

    /// Returns the first line of a message that is the reason of a failure. If the message ends within the
    /// frames of a Python exception, returns its last line.
    pub fn find_reason(mut self, message: &str) -> Option<&str> {
        let reason = message.lines().find(|line| self.is_reason(line));
        reason.or_else(|| message.lines().next_back().filter(|_| self.is_in_traceback)).map(str::trim)
    }

    /// Returns true if the lines so far end within the frames of a Python exception.
    pub fn ends_in_traceback(&self) -> bool {
        self.is_in_traceback
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_python_exception_is_its_last_line() {
        let find = |message: &'static str| FailureSearch::default().find_reason(message);
        let message =
            "x\nTraceback (most recent call last):\n  File \"a\"\n    f()\nOSError: [Errno 13] b\nmore";
        assert_eq!(find(message), Some("OSError: [Errno 13] b"));
        assert_eq!(find("Traceback (most recent call last):\n  File \"a\""), Some("File \"a\""));
        assert_eq!(find("thread 'main' panicked at a.rs:1\nb"), Some("thread 'main' panicked at a.rs:1"));
        assert_eq!(find("all is well"), None);
    }
}
