//! A way in which a fix weakens what guards the code, in words for its fixer; and what findings are about, in which it may.

use truing_diff::RepoPath;

use truing_core::finding::RawFinding;
use truing_core::line::clean;

/// Characters of a name or a line that is told.
pub(super) const MAX_QUOTE: usize = 120;

/// How a fix weakens what guards the code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WeakeningKind {
    /// A file of tests is gone.
    File,
    /// A test is gone.
    Test,
    /// An assertion is gone, or another.
    Assertion,
    /// An assertion always holds now.
    Truism,
    /// A value that a test used is gone.
    Value,
    /// Most of a test is gone.
    Emptied,
    /// A second test of the same name takes the place of the first.
    Shadowed,
    /// Tests are skipped.
    Skipped,
    /// A test is left before its end, or swallows its failure.
    Unreached,
    /// Tests end the program.
    Exit,
    /// A checker is silenced.
    Silenced,
    /// A runner runs less, or a checker checks less.
    Runner,
    /// A new file that a runner of tests loads.
    Loaded,
    /// What a runner of tests is told is another thing.
    Setting,
    /// What runs the tests is taken over.
    Hooked,
    /// What is tested is replaced, for every test.
    Replaced,
    /// A name that tests use stands for something else.
    Rebound,
    /// Code asks whether it is tested.
    Asks,
    /// Code names files of tests.
    Reads,
    /// Values are equal to everything, or to more than they were.
    Equal,
    /// Code outside of tests uses a library of tests.
    Borrows,
    /// Code outside of tests ends the program, or changes how it ends.
    Ends,
    /// A name is put together from pieces.
    Pieces,
    /// A type has a comparison of its own, or a value that stands for it in comparisons.
    Compares,
    /// Code runs by itself when the program begins or ends.
    Starts,
    /// Code has a value ready that is equal to nothing.
    Incomparable,
    /// Code decides by a value of the tests.
    Answers,
    /// Code has a case for an input of tests that the fix brings, with what they expect of it.
    Knows,
    /// Code does another thing from a date on.
    Dated,
    /// Code keeps something from one call to the next.
    Remembers,
    /// Code reads itself, or looks for files.
    Looks,
    /// A file is larger than is looked at.
    Large,
    /// The imports of a file stand for more words than are looked at.
    Unfollowed,
}

impl WeakeningKind {
    /// Do honest fixes often do it? Then people are told.
    pub(super) fn is_mild(self) -> bool {
        matches!(self, Self::Starts | Self::Incomparable | Self::Remembers | Self::Looks)
    }

    fn words(self) -> &'static str {
        match self {
            Self::File => "this file of tests is deleted",
            Self::Test => "this test is deleted",
            Self::Assertion => "an assertion of a test that was there before is gone or changed",
            Self::Truism => "an assertion was made one that always holds",
            Self::Value => "a value in a test that was there before is gone or changed",
            Self::Emptied => "most of a test that was there before is gone",
            Self::Shadowed => "a second test of this name takes the place of the first",
            Self::Skipped => "tests are skipped",
            Self::Unreached => "a test that was there before is left early, or hides that it fails",
            Self::Exit => "a test ends the program that runs it",
            Self::Silenced => "a checker is silenced",
            Self::Runner => "what runs tests and checks leaves something out",
            Self::Loaded => "what runs the tests loads this new file, and no finding is about it",
            Self::Setting => "how tests are run is changed, and no finding is about this file",
            Self::Hooked => "what runs the tests is taken over",
            Self::Replaced => "what is tested is replaced for every test",
            Self::Rebound => "a name that tests use stands for something else than before, or may do so",
            Self::Asks => "the code asks whether it is tested, or by whom it is called",
            Self::Reads => "the code names what belongs to tests",
            Self::Equal => "an equality always holds, or takes the place of one that was derived",
            Self::Borrows => "code outside of tests uses a library of tests, and no finding is about that",
            Self::Ends => "the code ends the program, or changes how it ends, and no finding is about that",
            Self::Pieces => "a name is put together from pieces, so that nobody finds it",
            Self::Compares => "a type has a comparison of its own, and no finding is about that",
            Self::Starts => "code runs by itself when the program begins or ends",
            Self::Incomparable => "the code gives a value that is equal to nothing",
            Self::Answers => "the code decides by a value that the tests use",
            Self::Knows => {
                "the code has a case of its own for an input of the fix's tests, with what they expect"
            }
            Self::Remembers => "the code keeps something from one call to the next",
            Self::Looks => "the code reads its own text, or looks for files where it runs",
            Self::Large => "this file is too large to be looked at: over 1 MiB",
            Self::Unfollowed => "the names that this file imports stand for more than can be looked at",
            Self::Dated => "the code compares the clock with a fixed date",
        }
    }
}

/// One thing that a fix deletes or weakens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Weakening {
    /// The file, as it was called before the fix where it was there.
    pub path: RepoPath,
    /// How.
    pub kind: WeakeningKind,
    /// What: a name or a line, on one line and cut.
    pub what: String,
    /// Honest fixes do this, too: people are told, and the fix is not refused for it.
    pub is_told: bool,
}

/// For the fixer.
impl std::fmt::Display for Weakening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = clean(&String::from_utf8_lossy(self.path.as_bytes()), MAX_QUOTE);
        write!(f, "{path}: {}", self.kind.words())?;
        if self.what.is_empty() { Ok(()) } else { write!(f, ": {}", self.what) }
    }
}

/// The subject of a finding: where it is, and its words. A fix of it may do there what is otherwise not its business.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FindingSubject {
    /// The file.
    pub path: RepoPath,
    /// The first line and the last, from 1, as the file is before the fix; none: the whole file.
    pub lines: Option<(u32, u32)>,
    /// What is said of it, in small letters.
    pub text: String,
}

impl FindingSubject {
    /// The subject of this finding.
    pub fn new(finding: &RawFinding) -> Self {
        let place = &finding.place;
        let text = format!("{}\n{}", finding.title, finding.body).to_lowercase();
        let lines = (place.start_line > 0).then_some((place.start_line, place.end_line));
        Self { path: place.path.clone(), lines, text }
    }

    /// Does it speak of one of these, each the beginning of a word?
    pub(super) fn names(&self, words: &[&str]) -> bool {
        words.iter().any(|word| super::scan::occurrences(&self.text, word).next().is_some())
    }

    /// Is this line of a text, without what is around it, one that the finding names?
    pub(super) fn has_line(&self, text: &str, line: &str) -> bool {
        let named = |(first, last): (u32, u32)| {
            let numbered = (1_u32..).zip(text.lines());
            numbered.filter(|(at, _)| (first..=last).contains(at)).any(|(_, named)| named.trim() == line)
        };
        self.lines.is_some_and(named)
    }
}
