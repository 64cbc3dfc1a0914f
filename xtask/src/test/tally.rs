//! Counts tests by reading what libtest prints.

/// What came of the tests so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// The names of the tests that failed.
    pub(crate) failures: Vec<String>,
    /// A test program said what it will run and has not said yet how that went.
    running: bool,
}

impl Tally {
    /// Takes in one line of the output.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim_end();
        if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            self.end_of_program();
            self.running = true;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.running = false;
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.skipped += count(counts, "ignored");
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
    }

    /// Ends the count. `success`: whether cargo thinks that all is well; if not, at least one failure is counted.
    pub(crate) fn end(&mut self, success: bool) {
        self.end_of_program();
        if !success && self.failed == 0 {
            self.failed = 1;
            self.failures.push("the tests could not be built or started (see above)".to_owned());
        }
    }

    /// A program that stopped without a result (a crash, an abort) is one failure.
    fn end_of_program(&mut self) {
        if std::mem::take(&mut self.running) {
            self.failed += 1;
            self.failures.push("a test program ended without a result (see above)".to_owned());
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; 1 ignored; …`; 0 if it is not there.
fn count(counts: &str, what: &str) -> u64 {
    counts
        .split([';', '.'])
        .filter_map(|part| part.trim().strip_suffix(what))
        .find_map(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str, success: bool) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        tally.end(success);
        tally
    }

    #[test]
    fn the_results_of_all_programs_are_added() {
        let tally = tally(
            "running 3 tests\n\
             test a ... ok\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s\n\
             \n\
             running 1 test\n\
             test b::c ... FAILED\n\
             test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n",
            false,
        );
        assert_eq!(tally.to_string(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(tally.failures, ["b::c"]);
    }

    #[test]
    fn a_program_that_dies_before_its_result_is_a_failure() {
        let died = "running 3 tests\ntest a ... ok\n";
        let fine = "running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";
        assert_eq!(tally(&format!("{died}{fine}"), false).to_string(), "1 passed, 1 failed, 0 skipped");
        assert_eq!(tally(&format!("{fine}{died}"), false).to_string(), "1 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn tests_that_do_not_build_are_a_failure() {
        assert_eq!(tally("", false).to_string(), "0 passed, 1 failed, 0 skipped");
        assert_eq!(tally("", true).to_string(), "0 passed, 0 failed, 0 skipped");
    }
}
