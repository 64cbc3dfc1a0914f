//! Detects code that a fix adds only to give the results that tests expect. Such code compares its input with
//! values from the tests, or has these values in a table. It may also contain patterns that match test files,
//! or fixed dates on which its behaviour depends.
//!
//! Honest fixes can also contain such values. Therefore, a match is only reported, and the fix is not
//! refused. If only the fix's own tests use a value, the value is reported if the code returns the result
//! that these tests expect for it ([`special_cases`]). Other comparisons are not detected, for example if
//! several statements build the value, or if the value is a constant that is compared elsewhere.

mod special_cases;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use globset::GlobBuilder;
use truing_diff::RepoPath;

use self::special_cases::{FixTests, SpecialCase};
use super::scan::{is_word_byte, occurrences, text_slice};
use super::unit::literals;
use super::version::{AnalyzedVersion, FileChange, FileVersion, MAX_EXAMINED_FILE_BYTES, can_affect_tests};
use super::weakening::{FindingSubject, Weakening, WeakeningKind};
use truing_core::glob::check_bounds;
use truing_core::line::clean_line;

/// The files of a repository that are searched for the values of a fix.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepositoryFiles<'a> {
    /// All files of the commit before the fix.
    pub paths: &'a [RepoPath],
    /// Files of the commit before the fix that contain at least one of the texts from [`texts_to_search`].
    pub matching_files: &'a [FileVersion<'a>],
}

/// Minimum number of characters of a text that is specific enough to identify a test.
const MIN_DISTINCTIVE_CHARS: usize = 4;

/// Minimum number of digits of a whole number that is specific enough to identify a test.
const MIN_DISTINCTIVE_DIGITS: usize = 4;

/// Maximum number of texts that are searched for in the tests.
const MAX_SEARCH_TEXTS: usize = 64;

/// Maximum size of an examined data file in bytes.
const MAX_DATA_FILE_BYTES: usize = 64 << 10;

/// Maximum size of a text that is searched for, in bytes.
const MAX_SEARCH_TEXT_BYTES: usize = 200;

/// Substrings that mark a line as a decision that depends on a value.
const DECISION_MARKERS: &[&str] = &[
    "==",
    "!=",
    " in ",
    " in(",
    "case ",
    "=>",
    "match",
    "switch",
    "startswith(",
    "starts_with(",
    "startsWith(",
    "HasPrefix(",
    "endswith(",
    "ends_with(",
    "endsWith(",
    "HasSuffix(",
    "includes(",
    "contains(",
    "Contains(",
    "equals(",
    ".eq(",
    ".has(",
    ".get(",
];

/// Substrings that mark a line as a search for files.
const FILE_SEARCH_WORDS: &[&str] =
    &["glob", "Glob", "walk", "Walk", "match", "Match", "readdir", "scandir", "list"];

/// Calls that read the clock.
const CLOCK_CALLS: &[&str] = &[
    "time.time(",
    "time.time_ns(",
    "time.localtime(",
    "time.gmtime(",
    "datetime.now(",
    "datetime.utcnow(",
    "datetime.today(",
    "date.today(",
    "Date.now(",
    "new Date()",
    "time.Now(",
    "SystemTime::now(",
    "Utc::now(",
    "Local::now(",
    "Zoned::now(",
    "Timestamp::now(",
];

/// A larger number may be a present time in seconds since 1970.
const MIN_UNIX_SECONDS: u64 = 1_000_000_000;

/// Years that make a fixed date a date near the present.
const PRESENT_YEARS: Range<u64> = 2000..2200;

/// The texts that a fix adds and that must be searched in the tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestSearch {
    /// True if the fix adds at least one value outside tests. If false, [`find_hard_coded_answers`] finds
    /// nothing.
    pub has_new_values: bool,
    /// At most 64 values on which decisions of the code depend, without quotes and line ends.
    pub texts: Vec<String>,
}

/// Returns the texts of this fix that are to be searched in the tests.
pub fn texts_to_search(changes: &[FileChange<'_>]) -> TestSearch {
    let rewrites = select_examined_files(changes);
    let values: Vec<CodeLiteral> = rewrites.iter().flat_map(new_literals).collect();
    // Returns the bare value and, for a number, also its spelling in the fix.
    let spelled = |value: &CodeLiteral| {
        let is_number = !value.text.contains(['"', '\'', '`']);
        [Some(normalize_literal(&value.text)), is_number.then(|| value.text.clone())]
    };
    let deciding = values.iter().filter(|value| value.affects_decision).flat_map(spelled).flatten();
    let texts: BTreeSet<String> = deciding
        .filter(|text| (1..=MAX_SEARCH_TEXT_BYTES).contains(&text.len()) && !text.contains(['\n', '\0']))
        .collect();
    TestSearch {
        has_new_values: !values.is_empty(),
        texts: texts.into_iter().take(MAX_SEARCH_TEXTS).collect(),
    }
}

/// Returns the files that are small enough to be examined.
fn select_examined_files<'a>(changes: &[FileChange<'a>]) -> Vec<FileChange<'a>> {
    changes.iter().copied().filter(|rewrite| !rewrite.is_large()).collect()
}

/// Finds special cases for tests in this fix. Returns them as weakenings that are reported but not refused.
pub fn find_hard_coded_answers(
    changes: &[FileChange<'_>],
    subjects: &BTreeSet<FindingSubject>,
    tests: &RepositoryFiles<'_>,
) -> Vec<Weakening> {
    let rewrites = &select_examined_files(changes);
    let befores = rewrites.iter().filter_map(|rewrite| rewrite.before);
    let files =
        tests.matching_files.iter().copied().filter(|file| file.bytes.len() <= MAX_EXAMINED_FILE_BYTES);
    let of_tests = test_values(befores.chain(files));
    let own = FixTests::new(rewrites);
    let mut found = Vec::new();
    for rewrite in rewrites {
        let Some(path) = rewrite.after.map(|after| after.path) else { continue };
        for value in new_literals(rewrite) {
            let text = &normalize_literal(&value.text);
            if subjects.iter().any(|subject| subject.text.contains(&text.to_lowercase())) {
                continue;
            }
            let kind = if value.is_clock_compared_date {
                WeakeningKind::DateDependence
            } else if value.is_on_file_search_line && is_test_file_pattern(text, tests.paths) {
                WeakeningKind::TestFileAccess
            } else if value.affects_decision && of_tests.contains(text) {
                WeakeningKind::TestValueDecision
            } else if value
                .special_case
                .as_ref()
                .is_some_and(|special| own.expects_special_case(text, special))
            {
                WeakeningKind::SpecialCasedInput
            } else {
                continue;
            };
            let weakening =
                Weakening { path: path.clone(), kind, quoted_text: value.line, is_report_only: true };
            if !found.contains(&weakening) {
                found.push(weakening);
            }
            if found.len() >= super::MAX_WEAKENINGS {
                return found;
            }
        }
    }
    found
}

/// A string or a number that a fix adds.
struct CodeLiteral {
    /// Source text with its quotes.
    text: String,
    /// Line that contains the value. The line is shortened for display, because a long line may contain many
    /// values.
    line: String,
    /// True if the code makes a decision based on this value, and the value is specific enough to identify a
    /// test.
    affects_decision: bool,
    /// True if the value is on a line that searches for files.
    is_on_file_search_line: bool,
    /// True if the value is a date that the code compares with the clock.
    is_clock_compared_date: bool,
    /// The special case that the code has for this value; `None` if there is none.
    special_case: Option<SpecialCase>,
}

/// Returns the values outside tests that the fix adds to the file.
fn new_literals(change: &FileChange<'_>) -> Vec<CodeLiteral> {
    let Some(after) = change.after.filter(|after| !can_affect_tests(after.path)).map(AnalyzedVersion::new)
    else {
        return Vec::new();
    };
    let before = change.before.map(AnalyzedVersion::new);
    let were: BTreeSet<String> = before.iter().flat_map(code_literals).map(|value| value.text).collect();
    code_literals(&after).into_iter().filter(|value| !were.contains(&value.text)).collect()
}

/// Returns all values of the file that are outside tests.
fn code_literals(version: &AnalyzedVersion) -> Vec<CodeLiteral> {
    let Some(scanned) = version.scanned_file.as_ref().map(|read| &read.scanned_text) else {
        return data_words(version);
    };
    let outside = version.ranges_outside_tests();
    let strings = outside.iter().flat_map(|range| scanned.strings_in(range)).cloned();
    let numbers = outside.iter().flat_map(|range| find_numbers(&scanned.code, range));
    let value = |range: Range<usize>| {
        let line = scanned.line_range(scanned.line_of(range.start));
        let (code, bare_text) =
            (text_slice(&scanned.code, line.clone()), text_slice(&scanned.code_with_strings, line.clone()));
        let before = text_slice(&scanned.code, line.start..range.start).trim_end();
        let after = text_slice(&scanned.code, range.end..line.end).trim_start();
        let text = text_slice(&scanned.code_with_strings, range.clone());
        let is_key = after.starts_with(':') && !after.starts_with("::");
        let is_named =
            before.ends_with('=') && !["==", "!=", "<=", ">="].iter().any(|sign| before.ends_with(sign));
        let is_compared = DECISION_MARKERS.iter().any(|word| code.contains(word));
        // A value that is assigned to a name is normal code and not a special case.
        let is_case = !is_named
            && (is_compared
                || special_cases::compares_lists(code)
                || is_key && text.starts_with(|letter: char| letter.is_ascii_digit()));
        // Values between brackets and commas may form a list of permitted values.
        let decides = is_key
            || is_list_item(before, after)
            || before.ends_with("return")
            || is_compared
            || (code.contains("):") && code.contains('{'));
        let is_clocked = CLOCK_CALLS.iter().any(|clock| occurrences(code, clock).next().is_some());
        CodeLiteral {
            affects_decision: decides
                && !is_named
                && (is_distinctive_value(text) || is_in_comparison_row(code, before)),
            special_case: is_case.then(|| SpecialCase::from_compared_value(scanned, &range)).flatten(),
            is_on_file_search_line: FILE_SEARCH_WORDS.iter().any(|word| code.contains(word)),
            is_clock_compared_date: is_clocked && is_date(text),
            line: clean_line(bare_text.trim(), super::weakening::MAX_QUOTE_CHARS),
            text: text.to_owned(),
        }
    };
    strings.chain(numbers).map(value).collect()
}

/// Returns the words of a data file. Each word may be a special answer, because the code that reads the file
/// may base decisions on the words.
fn data_words(version: &AnalyzedVersion) -> Vec<CodeLiteral> {
    let is_prose = [".md", ".rst", ".adoc"].iter().any(|ending| version.path.ends_with(ending));
    if is_prose || version.text.len() > MAX_DATA_FILE_BYTES || version.text.contains('\0') {
        return Vec::new();
    }
    let words = |line: &str| -> Vec<CodeLiteral> {
        let value = |word: &str| CodeLiteral {
            text: format!("\"{word}\""),
            line: clean_line(line.trim(), super::weakening::MAX_QUOTE_CHARS),
            affects_decision: is_distinctive_value(&format!("\"{word}\"")),
            is_on_file_search_line: false,
            is_clock_compared_date: false,
            special_case: None,
        };
        let words = line.split(['"', '\'', ',', ';', '=', '\t']).map(str::trim);
        words.filter(|word| !word.is_empty()).map(value).collect()
    };
    version.text.lines().flat_map(words).collect()
}

/// Finds the numbers in a range of code.
fn find_numbers<'c>(code: &'c str, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + 'c {
    let bytes = code.as_bytes();
    let is_part = |byte: u8| is_word_byte(byte) || byte == b'.';
    let mut at = range.start;
    let end = range.end.min(bytes.len());
    std::iter::from_fn(move || {
        while at < end {
            let start = at;
            let Some(first) = bytes.get(at) else { break };
            if !is_word_byte(*first) {
                at += 1;
                continue;
            }
            while bytes.get(at).is_some_and(|byte| is_part(*byte)) {
                at += 1;
            }
            let range = start..at;
            if first.is_ascii_digit() {
                return Some(range);
            }
        }
        None
    })
}

/// Returns true if the value is an element between brackets or commas.
fn is_list_item(before: &str, after: &str) -> bool {
    before.ends_with(['[', ',', '{', '(']) && after.starts_with([',', ']', '}'])
}

/// Returns true if the value after `before` is compared with `==`, and the line compares several numbers with
/// `==`.
fn is_in_comparison_row(code: &str, before: &str) -> bool {
    let is_number = |rest: &str| {
        rest.trim_start_matches(['=', ' ', '-']).starts_with(|letter: char| letter.is_ascii_digit())
    };
    let compared =
        code.match_indices("==").filter_map(|(at, _)| code.get(at..)).filter(|rest| is_number(rest));
    before.trim_end_matches([' ', '-']).ends_with("==") && compared.count() > 1
}

/// Returns true if the value is so specific that tests are unlikely to contain it by chance.
fn is_distinctive_value(text: &str) -> bool {
    let inner = normalize_literal(text);
    if text.contains(['"', '\'', '`']) {
        return inner.chars().count() >= MIN_DISTINCTIVE_CHARS && inner.contains(char::is_alphanumeric);
    }
    let digits: String = inner.chars().filter(|letter| *letter != '_').collect();
    if digits.contains('.') {
        return digits.parse::<f64>().is_ok_and(|number| number > 1.0 && number.fract() > 0.0);
    }
    let is_round = |number: u64| number.is_power_of_two() || number.to_string().trim_end_matches('0') == "1";
    digits.len() >= MIN_DISTINCTIVE_DIGITS && digits.parse::<u64>().is_ok_and(|number| !is_round(number))
}

fn is_date(text: &str) -> bool {
    let inner = normalize_literal(text);
    let year = inner.split(['-', '/', '.']).next().and_then(|year| year.parse::<u64>().ok());
    let number = inner.replace('_', "").parse::<u64>().ok();
    year.is_some_and(|year| PRESENT_YEARS.contains(&year))
        || number.is_some_and(|number| number > MIN_UNIX_SECONDS)
}

/// Returns true if this is a path pattern that matches only test files.
fn is_test_file_pattern(text: &str, paths: &[RepoPath]) -> bool {
    if !text.contains(['*', '?', '[']) || !text.contains(['/', '.']) || text.contains(' ') {
        return false;
    }
    if check_bounds(text).is_err() {
        return false;
    }
    let Ok(glob) = GlobBuilder::new(text).literal_separator(true).build() else { return false };
    let matcher = glob.compile_matcher();
    let name = |path: &RepoPath| String::from_utf8_lossy(path.as_bytes()).into_owned();
    let mut found = paths.iter().filter(|path| {
        let name = name(path);
        let ends = std::iter::once(name.as_str())
            .chain(name.match_indices('/').filter_map(|(at, _)| name.get(at + 1..)));
        ends.into_iter().any(|end| matcher.is_match(end))
    });
    let Some(first) = found.next() else { return false };
    can_affect_tests(first) && found.all(can_affect_tests)
}

/// Returns the values that tests in these files use. In a test file, all values count; in any other file,
/// only the values inside tests count. If two files have the same path, the first file is used.
fn test_values<'v>(versions: impl Iterator<Item = FileVersion<'v>>) -> BTreeSet<String> {
    let mut halves: BTreeMap<&RepoPath, AnalyzedVersion> = BTreeMap::new();
    for version in versions {
        halves.entry(version.path).or_insert_with(|| AnalyzedVersion::new(version));
    }
    let mut found = BTreeSet::new();
    for (path, half) in &halves {
        let Some(read) = &half.scanned_file else {
            // In a data file for tests, each word counts as a value.
            if can_affect_tests(path) {
                let words = half.text.split(['"', '\'', ',', '\n', '\t']);
                found.extend(words.map(|word| word.trim().to_owned()));
            }
            continue;
        };
        let scanned = &read.scanned_text;
        let all: Vec<String> = if can_affect_tests(path) {
            literals(scanned, &(0..scanned.code.len()))
        } else {
            read.units.iter().flat_map(|unit| literals(scanned, &(unit.start..unit.end))).collect()
        };
        found.extend(all.iter().map(|value| normalize_literal(value)));
    }
    found
}

/// Returns a string without its quotes and prefix letters, or a number in decimal form.
fn normalize_literal(text: &str) -> String {
    let Some(open) = text.find(['"', '\'', '`']) else { return to_decimal(text) };
    let quote = text.get(open..).and_then(|rest| rest.chars().next()).unwrap_or('"');
    text.get(open..)
        .unwrap_or_default()
        .trim_matches(quote)
        .trim_end_matches('#')
        .trim_end_matches(quote)
        .to_owned()
}

/// Converts a number to decimal digits: `0x76C`, `2e3` and `1_900` are 1900, 2000 and 1900.
fn to_decimal(text: &str) -> String {
    let plain = text.replace('_', "").to_ascii_lowercase();
    let of_base = |prefix: &str, base| {
        plain.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, base).ok())
    };
    let whole = of_base("0x", 16).or_else(|| of_base("0b", 2)).or_else(|| of_base("0o", 8));
    match whole {
        Some(whole) => whole.to_string(),
        None if plain.contains('e') => {
            plain.parse::<f64>().map_or_else(|_| plain.clone(), |number| number.to_string())
        }
        None => plain,
    }
}
