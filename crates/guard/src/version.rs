//! Analyses versions of files by language. Determines which files are tests, and which parts of a file are
//! tests.

use std::collections::BTreeSet;
use std::ops::Range;

use truing_diff::RepoPath;

use super::language::{
    ForbiddenWord, HELPER_FILE_PREFIXES, LANGUAGES, LanguageRules, TEST_FOLDERS, TEST_NAME_PARTS,
    TEST_STEM_SUFFIXES, WordSearchScope,
};
use super::runner_files;
use super::scan::{ScannedText, is_word_byte, occurrences, text_slice};
use super::unit::{TestUnit, find_test_units};

/// Maximum size in bytes of a file that is examined. The analysis of a file may need two hundred times as
/// much memory as the file.
pub(super) const MAX_EXAMINED_FILE_BYTES: usize = 1 << 20;

/// One version of a file.
#[derive(Clone, Copy, Debug)]
pub struct FileVersion<'a> {
    pub path: &'a RepoPath,
    pub bytes: &'a [u8],
}

/// A file that a fix changed, with its old and new version.
#[derive(Clone, Copy, Debug)]
pub struct FileChange<'a> {
    /// Old version; none for a new file.
    pub before: Option<FileVersion<'a>>,
    /// New version; none for a deleted file.
    pub after: Option<FileVersion<'a>>,
}

impl FileChange<'_> {
    pub(super) fn is_large(&self) -> bool {
        [self.before, self.after].into_iter().flatten().any(|side| side.bytes.len() > MAX_EXAMINED_FILE_BYTES)
    }
}

/// Returns true if this file can affect test results. Such files are test files, files that test runners
/// load, and copies of third-party code that tests may use.
pub fn can_affect_tests(path: &RepoPath) -> bool {
    let name = String::from_utf8_lossy(path.as_bytes());
    is_test_file(path) || runner_files::is_loaded_by_runner(&name) || runner_files::is_vendored(&name)
}

/// Returns true for a test file. The function examines only the folders and the name of the file. A
/// lower-case word that ends with `test`, such as `contest`, does not match.
pub fn is_test_file(path: &RepoPath) -> bool {
    let path = String::from_utf8_lossy(path.as_bytes());
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    if parts.any(|folder| TEST_FOLDERS.contains(&folder)) {
        return true;
    }
    match language_of(name) {
        Some(language) => {
            language.is_test_file_name(name)
                || HELPER_FILE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        }
        None => {
            let stem = name.split('.').next().unwrap_or_default();
            name.split(['.', '-', '_']).any(|part| TEST_NAME_PARTS.contains(&part))
                || TEST_STEM_SUFFIXES.iter().any(|ending| stem.len() > ending.len() && stem.ends_with(ending))
        }
    }
}

impl LanguageRules {
    /// Returns true if the name has a prefix or suffix of the language's test files. The function does not
    /// examine the folder.
    pub(super) fn is_test_file_name(&self, name: &str) -> bool {
        self.test_file_prefixes.iter().any(|prefix| name.starts_with(prefix))
            || self.test_file_suffixes.iter().any(|suffix| has_name_suffix(name, suffix))
    }
}

/// Returns true if the name ends with this suffix. A suffix that begins with a lower-case letter must be the
/// whole name, so `contest.py` is not a test.
fn has_name_suffix(name: &str, suffix: &str) -> bool {
    let Some(rest) = name.strip_suffix(suffix) else { return false };
    rest.is_empty() || !suffix.starts_with(|first: char| first.is_ascii_lowercase())
}

pub(super) fn language_of(name: &str) -> Option<&'static LanguageRules> {
    LANGUAGES.iter().find(|language| language.file_suffixes.iter().any(|ending| name.ends_with(ending)))
}

/// One version of a changed file.
pub(super) struct AnalyzedVersion {
    pub(super) text: String,
    pub(super) path: String,
    pub(super) is_test: bool,
    pub(super) is_loaded_by_runner: bool,
    pub(super) scanned_file: Option<ScannedFile>,
}

/// The analysed text of a file in a known language.
pub(super) struct ScannedFile {
    pub(super) language: &'static LanguageRules,
    pub(super) scanned_text: ScannedText,
    pub(super) units: Vec<TestUnit>,
}

impl AnalyzedVersion {
    pub(super) fn new(version: FileVersion<'_>) -> Self {
        let is_test = is_test_file(version.path);
        let text = String::from_utf8_lossy(version.bytes).into_owned();
        let path = String::from_utf8_lossy(version.path.as_bytes()).into_owned();
        let is_loaded = runner_files::is_loaded_by_runner(&path);
        let mut half =
            Self { text: String::new(), path, is_test, is_loaded_by_runner: is_loaded, scanned_file: None };
        half.set_text(text);
        half
    }

    /// Replaces the text and analyses it again.
    pub(super) fn set_text(&mut self, text: String) {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.scanned_file = language_of(name).map(|language| {
            let scanned = ScannedText::new(&text, language);
            let units = find_test_units(&scanned, language, self.is_test);
            ScannedFile { language, scanned_text: scanned, units }
        });
        self.text = text;
    }

    pub(super) fn test_units(&self) -> impl Iterator<Item = (&ScannedFile, &TestUnit)> {
        self.scanned_file.iter().flat_map(|read| read.units.iter().map(move |unit| (read, unit)))
    }

    /// Returns the ranges of the file that are outside its tests.
    pub(super) fn ranges_outside_tests(&self) -> Vec<Range<usize>> {
        let Some(read) = &self.scanned_file else { return Vec::new() };
        let (mut ranges, mut at) = (Vec::new(), 0);
        for unit in &read.units {
            ranges.push(at..unit.start);
            at = unit.end;
        }
        ranges.push(at..read.scanned_text.code.len());
        ranges
    }

    /// Returns true if a line occurs in new tests and nowhere else in the file.
    pub(super) fn is_in_new_test(&self, line: &str, existing_test_names: &BTreeSet<&str>) -> bool {
        let Some(read) = &self.scanned_file else { return false };
        let has = |range: Range<usize>| {
            occurrences(text_slice(&read.scanned_text.code, range), line).next().is_some()
        };
        let (old, new): (Vec<&TestUnit>, Vec<&TestUnit>) =
            read.units.iter().partition(|unit| existing_test_names.contains(unit.name.as_str()));
        new.into_iter().any(|unit| has(unit.start..unit.end))
            && !old.into_iter().any(|unit| has(unit.start..unit.end))
            && !self.ranges_outside_tests().into_iter().any(has)
    }

    /// Returns the lines that contain one of the forbidden words.
    pub(super) fn forbidden_word_lines(
        &self,
        forbidden_word: &ForbiddenWord,
        existing_test_names: &BTreeSet<&str>,
    ) -> Vec<String> {
        let Some(read) = &self.scanned_file else { return Vec::new() };
        let scanned = &read.scanned_text;
        let whole = std::slice::from_ref(&(0..scanned.code.len())).to_vec();
        let of_units = |is_wanted: &dyn Fn(&TestUnit) -> bool| {
            read.units.iter().filter(|unit| is_wanted(unit)).map(|unit| unit.start..unit.end).collect()
        };
        let (text, ranges) = match forbidden_word.scope {
            WordSearchScope::Comment => (&scanned.comments, whole),
            WordSearchScope::Code => (&scanned.code, whole),
            WordSearchScope::Tests if self.is_test => (&scanned.code, whole),
            WordSearchScope::Tests => (&scanned.code, of_units(&|_| true)),
            WordSearchScope::TopLevel => (&scanned.code, if self.is_test { whole } else { Vec::new() }),
            WordSearchScope::OutsideTests if self.is_test => (&scanned.code_with_strings, Vec::new()),
            WordSearchScope::OutsideTests => (&scanned.code_with_strings, self.ranges_outside_tests()),
            WordSearchScope::ExistingTests | WordSearchScope::ExistingTestStatement => {
                (&scanned.code, of_units(&|unit| existing_test_names.contains(unit.name.as_str())))
            }
        };
        let mut found = Vec::new();
        for range in ranges {
            let line = |number: usize| {
                let line = scanned.line_range(number);
                text_slice(text, line.start.max(range.start)..line.end.min(range.end))
            };
            // All words are searched for in one pass over the range, because most texts contain few forbidden
            // words.
            let mut lines: Vec<usize> = Vec::new();
            for words in forbidden_word.preceding_words {
                if forbidden_word.scope == WordSearchScope::TopLevel && words.is_empty() {
                    let all = scanned.line_of(range.start)..=scanned.line_of(range.end);
                    lines.extend(all.filter(|number| is_rebinding(line(*number))));
                    continue;
                }
                let hits = occurrences(text_slice(text, range.clone()), words);
                let mut hits: Vec<usize> = hits.map(|at| scanned.line_of(range.start + at)).collect();
                hits.dedup();
                match forbidden_word.scope {
                    WordSearchScope::ExistingTestStatement => {
                        hits.retain(|number| line(*number).trim() == *words);
                    }
                    WordSearchScope::TopLevel => hits.retain(|number| line(*number).starts_with(words)),
                    WordSearchScope::Comment
                    | WordSearchScope::Code
                    | WordSearchScope::Tests
                    | WordSearchScope::ExistingTests
                    | WordSearchScope::OutsideTests => {}
                }
                lines.extend(hits);
            }
            lines.sort_unstable();
            lines.dedup();
            found.extend(lines.into_iter().map(|number| line(number).trim().to_owned()));
        }
        found
    }
}

/// Returns true if a line assigns to a dotted name, such as `shop.total = fake`.
fn is_rebinding(line: &str) -> bool {
    let Some((target, rest)) = line.split_once('=') else { return false };
    let target = target.trim_end();
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(is_word_byte);
    !rest.starts_with('=') && target.contains('.') && target.split('.').all(is_name)
}
