//! Kinds of weakenings of tests and checks, with messages for the fixer. The subjects of findings determine
//! which protected parts a fix may change.

use truing_diff::RepoPath;

use truing_core::finding::RawFinding;
use truing_core::line::clean_line;

/// Maximum characters of a quoted name or line.
pub(super) const MAX_QUOTE_CHARS: usize = 120;

/// Kind of a weakening of tests or checks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WeakeningKind {
    /// A test file is deleted.
    DeletedTestFile,
    /// A test is deleted.
    DeletedTest,
    /// An assertion is removed or changed.
    ChangedAssertion,
    /// An assertion now always holds.
    AlwaysTrueAssertion,
    /// A value that a test used is removed.
    RemovedTestValue,
    /// Most of a test is removed.
    EmptiedTest,
    /// A second test of the same name replaces the first.
    ShadowedTest,
    /// Tests are newly skipped.
    SkippedTest,
    /// A test returns before its end, or suppresses its failure.
    UnreportedFailure,
    /// Tests end the program.
    ProgramExitInTest,
    /// A checker is silenced.
    SilencedChecker,
    /// A runner runs fewer tests, or a checker checks less.
    NarrowedRun,
    /// A test runner loads a new file.
    LoadedFile,
    /// A setting of a test runner changes.
    ChangedRunnerSetting,
    /// The process that runs the tests is modified.
    ModifiedTestProcess,
    /// Tested code is replaced for every test.
    ReplacedTestedCode,
    /// A name that tests use now has another meaning.
    ReboundName,
    /// Code detects that a test is running it.
    TestDetection,
    /// Code contains paths of test files.
    TestFileAccess,
    /// A custom equality is always true, or is true for more values than before.
    UniversalEquality,
    /// Code outside tests uses a test library.
    TestLibraryUse,
    /// Code outside tests ends the program, or changes how the program ends.
    ProgramExit,
    /// A name is assembled from pieces.
    AssembledName,
    /// A type has a custom comparison, or a substitute for its value in comparisons.
    CustomComparison,
    /// Code runs automatically at the start or the end of the program.
    AutomaticExecution,
    /// Code contains a value that is equal to no value, such as NaN.
    IncomparableValue,
    /// Code makes a decision that depends on a value that the tests use.
    TestValueDecision,
    /// Code treats an input from the fix's own tests as a special case, and returns the result that these
    /// tests expect.
    SpecialCasedInput,
    /// Code behaves differently after a fixed date.
    DateDependence,
    /// Code keeps state between calls.
    StateBetweenCalls,
    /// Code reads itself, or searches for files.
    SelfInspection,
    /// A file is too large to examine.
    TooLarge,
    /// The imports of a file exceed the word budget.
    UnresolvedImports,
}

impl WeakeningKind {
    /// Returns true if honest fixes often contain a weakening of this kind. Such a weakening is only
    /// reported.
    pub(super) fn is_report_only(self) -> bool {
        matches!(
            self,
            Self::AutomaticExecution
                | Self::IncomparableValue
                | Self::StateBetweenCalls
                | Self::SelfInspection
        )
    }

    fn description(self) -> &'static str {
        match self {
            Self::DeletedTestFile => "this test file is deleted",
            Self::DeletedTest => "this test is deleted",
            Self::ChangedAssertion => "an assertion of an existing test was removed or changed",
            Self::AlwaysTrueAssertion => "an assertion was changed so that it always passes",
            Self::RemovedTestValue => "a value in an existing test was removed or changed",
            Self::EmptiedTest => "most of an existing test was removed",
            Self::ShadowedTest => "a second test with this name replaces the first test",
            Self::SkippedTest => "tests are skipped",
            Self::UnreportedFailure => "an existing test returns early, or hides its failure",
            Self::ProgramExitInTest => "a test ends the program that runs it",
            Self::SilencedChecker => "a checker is silenced",
            Self::NarrowedRun => "fewer tests are run, or a checker checks less",
            Self::LoadedFile => "the test runner loads this new file, and no finding is about the file",
            Self::ChangedRunnerSetting => {
                "this file changes how tests are run, and no finding is about the file"
            }
            Self::ModifiedTestProcess => "the process that runs the tests is modified",
            Self::ReplacedTestedCode => "the code under test is replaced for every test",
            Self::ReboundName => "a name that tests use now has, or may have, another meaning",
            Self::TestDetection => "the code checks whether a test runs it, or which code calls it",
            Self::TestFileAccess => "the code refers to files of the tests",
            Self::UniversalEquality => "a custom equality is always true, or replaces a derived equality",
            Self::TestLibraryUse => {
                "code outside the tests uses a test library, and no finding is about this use"
            }
            Self::ProgramExit => {
                "the code ends the program, or changes how the program ends, and no finding is about this \
                code"
            }
            Self::AssembledName => "a name is assembled from pieces, so a search does not find the name",
            Self::CustomComparison => {
                "a type has a custom comparison, and no finding is about this comparison"
            }
            Self::AutomaticExecution => "code runs automatically when the program begins or ends",
            Self::IncomparableValue => {
                "the code contains a value that is not equal to any value, such as NaN"
            }
            Self::TestValueDecision => "the code makes a decision that depends on a value that the tests use",
            Self::SpecialCasedInput => {
                "the code treats an input of the fix's own tests as a special case, and returns the \
                result that these tests expect"
            }
            Self::StateBetweenCalls => "the code keeps state between calls",
            Self::SelfInspection => "the code reads its own source text, or searches folders for files",
            Self::TooLarge => "this file is too large to check: over 1 MiB",
            Self::UnresolvedImports => {
                "the imports of this file expand to more names than Truing can \
                check"
            }
            Self::DateDependence => "the code compares the clock with a fixed date",
        }
    }
}

/// One way in which a fix deletes or weakens a test or a check.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Weakening {
    /// Path of the file before the fix, or its new path if it is a new file.
    pub path: RepoPath,
    pub kind: WeakeningKind,
    /// Name or line that is weakened, shortened to one line for display.
    pub quoted_text: String,
    /// True if honest fixes often contain such a change. The weakening is then only reported, and the fix is
    /// not refused.
    pub is_report_only: bool,
}

/// Renders a message for the fixer.
impl std::fmt::Display for Weakening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = clean_line(&String::from_utf8_lossy(self.path.as_bytes()), MAX_QUOTE_CHARS);
        write!(f, "{path}: {}", self.kind.description())?;
        if self.quoted_text.is_empty() { Ok(()) } else { write!(f, ": {}", self.quoted_text) }
    }
}

/// Subject of a finding: its location and its text. A fix for the finding may change code at this location,
/// even if the code is otherwise protected.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FindingSubject {
    pub path: RepoPath,
    /// First and last line of the finding, from 1, in the file before the fix; `None` if the finding is about
    /// the whole file.
    pub lines: Option<(u32, u32)>,
    /// Text of the finding in lower case.
    pub text: String,
}

impl FindingSubject {
    /// Returns the subject of this finding.
    pub fn new(finding: &RawFinding) -> Self {
        let place = &finding.location;
        let text = format!("{}\n{}", finding.title, finding.body).to_lowercase();
        let lines = (place.start_line > 0).then_some((place.start_line, place.end_line));
        Self { path: place.path.clone(), lines, text }
    }

    /// Returns true if the finding's text contains one of `words` at the start of a word.
    pub(super) fn mentions_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| super::scan::occurrences(&self.text, word).next().is_some())
    }

    /// Returns true if one of the finding's lines in `file_text` equals this line; surrounding white space is
    /// ignored.
    pub(super) fn has_line(&self, file_text: &str, line: &str) -> bool {
        let named = |(first, last): (u32, u32)| {
            let numbered = (1_u32..).zip(file_text.lines());
            numbered.filter(|(at, _)| (first..=last).contains(at)).any(|(_, named)| named.trim() == line)
        };
        self.lines.is_some_and(named)
    }
}
