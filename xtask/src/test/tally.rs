//! Reads the output of libtest. Counts passed, failed and ignored tests, and collects the durations of tests.

/// The results of the tests so far.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct TestTally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// The names of the tests that failed.
    pub(crate) failures: Vec<String>,
    /// Duration of each test in seconds, if its program reports it.
    times: Vec<(f64, String)>,
    /// True if the current test program has printed its number of tests but no result yet.
    running: bool,
    /// Number of failures in all programs before the current one.
    failed_before: u64,
}

impl TestTally {
    /// Processes one line of the output.
    pub(crate) fn read_line(&mut self, line: &str) {
        let line = line.trim_end();
        if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            self.record_aborted_run("an example");
            self.running = true;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.running = false;
            self.passed += parse_count(counts, "passed");
            self.failed += parse_count(counts, "failed");
            self.skipped += parse_count(counts, "ignored");
        } else if let Some((name, end)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            let (end, time) = end.split_once(" <").unwrap_or((end, ""));
            if end == "FAILED" {
                self.failures.push(name.trim_end().to_owned());
            }
            let time = time.strip_suffix("s>").and_then(|seconds| seconds.parse().ok());
            self.times.extend(time.map(|seconds| (seconds, name.trim_end().to_owned())));
        }
    }

    /// Ends the count of one program. `passed` is true if the program succeeded. A program that did not
    /// succeed counts as at least one failure.
    pub(crate) fn finish_program(&mut self, program: &str, passed: bool) {
        self.record_aborted_run(program);
        if !passed && self.failed == self.failed_before {
            self.record_failure(format!("{program} (see above)"));
        }
        self.failed_before = self.failed;
    }

    /// Counts one failure if the test run stopped without a result because of a crash or an abort.
    fn record_aborted_run(&mut self, program: &str) {
        if std::mem::take(&mut self.running) {
            self.record_failure(format!("{program} ended without a result (see above)"));
        }
    }

    /// Counts a failure other than a failed test.
    pub(crate) fn record_failure(&mut self, description: String) {
        self.failed += 1;
        self.failures.push(description);
    }

    /// Returns the names and durations (in seconds) of the slowest tests.
    pub(crate) fn slowest(&mut self, count: usize) -> &[(f64, String)] {
        self.times.sort_by(|one, other| other.0.total_cmp(&one.0));
        self.times.get(..count.min(self.times.len())).unwrap_or_default()
    }
}

impl std::fmt::Display for TestTally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Returns the number before `label` in `ok. 3 passed; 0 failed; 1 ignored; …`; 0 if it is missing.
fn parse_count(counts: &str, label: &str) -> u64 {
    counts
        .split([';', '.'])
        .filter_map(|part| part.trim().strip_suffix(label))
        .find_map(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the results of programs. Each tuple contains a program's output, and true if the program
    /// succeeded.
    fn tally(programs: &[(&str, bool)]) -> TestTally {
        let mut tally = TestTally::default();
        for (output, passed) in programs {
            output.lines().for_each(|line| tally.read_line(line));
            tally.finish_program("core it", *passed);
        }
        tally
    }

    #[test]
    fn the_results_of_all_programs_are_added() {
        let tally = tally(&[
            (
                "running 3 tests\ntest a ... ok\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; \
                 4 filtered out; finished in 0.00s\n",
                true,
            ),
            (
                "running 1 test\ntest b::c ... FAILED <0.100s>\ntest result: FAILED. 0 passed; 1 failed; 0 \
                 ignored; 0 measured; 0 filtered out; finished in 0.10s\n",
                false,
            ),
        ]);
        assert_eq!(tally.to_string(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(tally.failures, ["b::c"]);
    }

    #[test]
    fn a_program_that_dies_before_its_result_is_a_failure() {
        let died = ("running 3 tests\ntest a ... ok\n", false);
        let fine = ("running 1 test\ntest result: ok. 1 passed; 0 failed; 0 ignored\n", true);
        for programs in [[died, fine], [fine, died]] {
            let tally = tally(&programs);
            assert_eq!(tally.to_string(), "1 passed, 1 failed, 0 skipped");
            assert_eq!(tally.failures, ["core it ended without a result (see above)"]);
        }
        // All examples of the documentation run in one program. In this output, the first example stopped
        // without a result.
        let tally = tally(&[("running 1 test\nrunning 1 test\ntest result: ok. 1 passed; 0 failed\n", true)]);
        assert_eq!(tally.to_string(), "1 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_program_that_fails_without_a_word_is_a_failure() {
        let told = tally(&[("", false), ("", true)]);
        assert_eq!(told.to_string(), "0 passed, 1 failed, 0 skipped");
        assert_eq!(told.failures, ["core it (see above)"]);
    }

    #[test]
    fn the_slowest_tests_are_those_that_took_longest() {
        let mut tally = tally(&[(
            "test a ... ok <1.500s>\ntest b - should panic ... ok <12.000s>\ntest c ... ok <0.001s>\n\
             test d ... ignored\ntest e ... ok\n",
            true,
        )]);
        let expected = [(12.0, "b - should panic".to_owned()), (1.5, "a".to_owned())];
        assert_eq!(tally.slowest(2), expected);
        assert_eq!(tally.slowest(9).len(), 3);
    }
}
