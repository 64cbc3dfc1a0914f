//! Compares the results of a repository's own checks before and after a change. Determines which failures
//! block the change.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sandbox::SandboxLimit;

/// The reason why a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum CommandEndReason {
    /// The command exited with this code. If a signal ended the command, the code is 128 plus the signal's
    /// number, as in shells.
    Exit { code: u8 },
    /// A process other than Truing killed the command, for example the kernel because memory was low.
    Killed,
    /// The command exceeded its time limit.
    Time,
    /// The command printed too much output.
    Output,
    /// The command wrote too much to disk.
    Disk,
    /// All processes of the command together exceeded another limit, such as the memory limit.
    Limit {
        /// Limit that was exceeded.
        bound: SandboxLimit,
    },
    /// The command was stopped because the disk is nearly full. Other programs may have filled the disk.
    #[serde(rename = "full")]
    DiskFull,
    /// The program is missing or not executable, so it cannot be started.
    NoProgram,
}

/// Offset that shells add to a signal's number.
const SIGNAL_EXIT_CODE_OFFSET: u8 = 128;

impl CommandEndReason {
    /// Returns true for exit code 0.
    pub fn is_success(self) -> bool {
        self == Self::Exit { code: 0 }
    }

    /// Returns the exit code; `None` if the command ended for another reason.
    pub fn exit_code(self) -> Option<u8> {
        match self {
            Self::Exit { code } => Some(code),
            Self::Killed
            | Self::Time
            | Self::Output
            | Self::Disk
            | Self::Limit { .. }
            | Self::DiskFull
            | Self::NoProgram => None,
        }
    }

    /// Returns the signal that killed the command; `None` if the exit code indicates no signal.
    pub fn signal(self) -> Option<u8> {
        self.exit_code()
            .and_then(|code| code.checked_sub(SIGNAL_EXIT_CODE_OFFSET))
            .filter(|signal| (1..=64).contains(signal))
    }
}

/// Renders the reason in a few words.
impl fmt::Display for CommandEndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.signal()) {
            (_, Some(signal)) => write!(f, "signal {signal}"),
            (Self::Exit { code }, None) => write!(f, "exit code {code}"),
            (Self::Killed, None) => f.write_str("killed by the operating system"),
            (Self::Time, None) => f.write_str("took too long"),
            (Self::Output, None) => f.write_str("printed too much"),
            (Self::Disk, None) => f.write_str("wrote too much"),
            (Self::Limit { bound }, None) => write!(f, "exceeded the {} limit", bound.as_str()),
            (Self::DiskFull, None) => f.write_str("the disk is nearly full"),
            (Self::NoProgram, None) => f.write_str("cannot be started"),
        }
    }
}

/// One execution of a command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CommandRun {
    /// Program and its arguments.
    pub argv: Vec<String>,
    pub end: CommandEndReason,
    /// Duration of the execution in milliseconds.
    pub ms: u64,
    /// Beginning and end of standard output. Text that looks like a secret is removed.
    pub output: String,
    /// Beginning and end of standard error. Text that looks like a secret is removed.
    pub errors: String,
}

/// One check, executed once or twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckAttempts {
    pub ran: CommandRun,
    /// Second execution. It exists only if the first execution failed and the check did not fail before the
    /// change.
    #[serde(rename = "again")]
    pub retry: Option<CommandRun>,
}

impl CheckAttempts {
    /// Returns true if at least one execution succeeded.
    pub fn passes(&self) -> bool {
        self.ran.end.is_success() || self.retry.as_ref().is_some_and(|again| again.end.is_success())
    }
}

/// Results of the checks for one state of a repository, in the order of the checks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct VerificationReport {
    pub checks: Vec<CheckAttempts>,
}

/// Verdict on a check: the comparison of its results before and after the change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    Passed,
    /// The check passes now, and failed before the change.
    Fixed,
    /// The check fails now, and also failed before the change.
    FailedBefore,
    /// The check failed once and then passed on identical files, so its failure does not count.
    Flaky,
    /// The check failed once, passed before the change, and must be executed a second time.
    #[serde(rename = "again")]
    NeedsRerun,
    /// The check failed twice, and passed before the change.
    Failed,
}

impl CheckVerdict {
    /// Returns true if the result blocks the change.
    pub fn blocks(self) -> bool {
        match self {
            Self::NeedsRerun | Self::Failed => true,
            Self::Passed | Self::Fixed | Self::FailedBefore | Self::Flaky => false,
        }
    }
}

impl VerificationReport {
    /// Returns the verdict on each check of `current`, in order. A check that is missing from the baseline
    /// counts as passed before the change. If one of two executions in the baseline passed, the check also
    /// counts as passed.
    pub fn compare(baseline: Option<&Self>, current: &Self) -> Vec<CheckVerdict> {
        let mut before: BTreeMap<&[String], Vec<bool>> = BTreeMap::new();
        // A command may occur several times. Each comparison takes the last stored result of a command, so
        // the results are stored in reverse order.
        for check in baseline.into_iter().flat_map(|baseline| &baseline.checks).rev() {
            before.entry(&check.ran.argv).or_default().push(check.passes());
        }
        let mut passed_before = |argv: &[String]| before.get_mut(argv).and_then(Vec::pop);
        current.checks.iter().map(|check| check_verdict(passed_before(&check.ran.argv), check)).collect()
    }
}

fn check_verdict(passed_before: Option<bool>, current: &CheckAttempts) -> CheckVerdict {
    match (current.ran.end.is_success(), passed_before, &current.retry) {
        (true, Some(false), _) => CheckVerdict::Fixed,
        (true, Some(true) | None, _) => CheckVerdict::Passed,
        (false, Some(false), _) => CheckVerdict::FailedBefore,
        (false, Some(true) | None, None) => CheckVerdict::NeedsRerun,
        (false, Some(true) | None, Some(again)) if again.end.is_success() => CheckVerdict::Flaky,
        (false, Some(true) | None, Some(_)) => CheckVerdict::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command_run(name: &str, end: CommandEndReason) -> CommandRun {
        CommandRun { argv: vec![name.to_owned()], end, ms: 1, output: String::new(), errors: String::new() }
    }

    /// Builds checks from the exit codes of their executions.
    fn report_from_exit_codes(checks: &[(&str, &[u8])]) -> VerificationReport {
        let checked = |(name, codes): &(&str, &[u8])| {
            let mut tries =
                codes.iter().map(|code| command_run(name, CommandEndReason::Exit { code: *code }));
            CheckAttempts { ran: tries.next().unwrap(), retry: tries.next() }
        };
        VerificationReport { checks: checks.iter().map(checked).collect() }
    }

    #[test]
    fn only_what_newly_fails_twice_counts() {
        use CheckVerdict::{Failed, FailedBefore, Fixed, Flaky, NeedsRerun, Passed};
        let before = report_from_exit_codes(&[("good", &[0]), ("bad", &[1, 1]), ("shaky", &[1, 0])]);
        for (now, with, without) in [
            (report_from_exit_codes(&[("good", &[0])]), Passed, Passed),
            (report_from_exit_codes(&[("good", &[1])]), NeedsRerun, NeedsRerun),
            (report_from_exit_codes(&[("good", &[1, 2])]), Failed, Failed),
            (report_from_exit_codes(&[("good", &[1, 0])]), Flaky, Flaky),
            (report_from_exit_codes(&[("bad", &[0])]), Fixed, Passed),
            (report_from_exit_codes(&[("bad", &[3])]), FailedBefore, NeedsRerun),
            // The check `shaky` was flaky before the change. It counts as passed, so two failures now are
            // reported.
            (report_from_exit_codes(&[("shaky", &[1, 1])]), Failed, Failed),
            (report_from_exit_codes(&[("new", &[1, 1])]), Failed, Failed),
        ] {
            assert_eq!(VerificationReport::compare(Some(&before), &now), [with], "{now:?}");
            assert_eq!(VerificationReport::compare(None, &now), [without], "{now:?}");
        }
        let blocking: Vec<_> =
            [Passed, Fixed, FailedBefore, Flaky, NeedsRerun, Failed].map(CheckVerdict::blocks).into();
        assert_eq!(blocking, [false, false, false, false, true, true]);
    }

    #[test]
    fn the_same_command_twice_is_two_checks() {
        let before = report_from_exit_codes(&[("build", &[0]), ("test", &[1, 1]), ("build", &[1, 1])]);
        let now =
            report_from_exit_codes(&[("build", &[1]), ("test", &[1]), ("build", &[1]), ("build", &[1])]);
        let expected = [
            CheckVerdict::NeedsRerun,
            CheckVerdict::FailedBefore,
            CheckVerdict::FailedBefore,
            CheckVerdict::NeedsRerun,
        ];
        assert_eq!(VerificationReport::compare(Some(&before), &now), expected);
    }

    #[test]
    fn whatever_is_no_exit_with_0_is_a_failure() {
        for end in [
            CommandEndReason::Killed,
            CommandEndReason::Time,
            CommandEndReason::Output,
            CommandEndReason::Disk,
            CommandEndReason::Limit { bound: SandboxLimit::Memory },
            CommandEndReason::DiskFull,
            CommandEndReason::NoProgram,
            CommandEndReason::Exit { code: 137 },
        ] {
            let now = VerificationReport {
                checks: vec![CheckAttempts { ran: command_run("x", end), retry: None }],
            };
            assert_eq!(VerificationReport::compare(None, &now), [CheckVerdict::NeedsRerun], "{end:?}");
        }
        assert_eq!(CommandEndReason::Exit { code: 137 }.signal(), Some(9));
        assert_eq!(
            (CommandEndReason::Exit { code: 128 }.signal(), CommandEndReason::Exit { code: 1 }.signal()),
            (None, None)
        );
        assert_eq!(CommandEndReason::Exit { code: 255 }.signal(), None);
    }
}
