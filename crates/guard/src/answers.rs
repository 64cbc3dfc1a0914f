//! Answers that code has ready for its tests: values of theirs that it newly compares with or keeps in a table, patterns that
//! find their files, and fixed dates that change what it does.
//!
//! Honest fixes have such values, too, so people are told and the fix is not refused. Of a value that only tests of the fix
//! itself use, they are told if the code gives what those tests expect for it ([`own`]). What is tested in another spelling (a
//! value over several statements, a constant that is compared elsewhere) is not seen.

mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use globset::GlobBuilder;
use truing_diff::RepoPath;

use self::own::{FixTests, SpecialCase};
use super::scan::{is_word, occurrences, part};
use super::unit::literals;
use super::version::{FileRewrite, FileSide, FileVersion, MAX_BYTES, is_test_side};
use super::weakening::{FindingSubject, Weakening, WeakeningKind};
use truing_core::glob::is_bounded;
use truing_core::line::clean;

/// What the tests of a repository are, as far as it was looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RepositoryTests<'a> {
    /// All files of the commit before the fix.
    pub paths: &'a [RepoPath],
    /// Files of it in which [`sought`] texts stand.
    pub files: &'a [FileVersion<'a>],
}

/// Characters of a text that says enough to be one test's alone.
const LEAST_LETTERS: usize = 4;

/// Digits of a whole number that does.
const LEAST_DIGITS: usize = 4;

/// Texts that are looked for in the tests.
const MAX_SOUGHT: usize = 64;

/// Bytes of a file of data that is looked at.
const MAX_DATA: usize = 64 << 10;

/// Bytes of one of them.
const MAX_TEXT: usize = 200;

/// Words of a line that decides by a value.
const DECIDES: &[&str] = &[
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

/// Words of a line that looks for files.
const LOOKS: &[&str] = &["glob", "Glob", "walk", "Walk", "match", "Match", "readdir", "scandir", "list"];

/// What tells the time.
const CLOCKS: &[&str] = &[
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

/// Above this a number is taken for seconds since 1970, and a date of our days.
const LEAST_SECONDS: u64 = 1_000_000_000;

/// Years that a fixed date of our days has.
const YEARS: Range<u64> = 2000..2200;

/// What of a fix is to be looked for in the tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestSearch {
    /// Does it bring any value outside of tests? If not, [`answers`] finds nothing.
    pub has_news: bool,
    /// Values that it decides by, without their quotes, on one line each; at most 64.
    pub texts: Vec<String>,
}

/// What of this fix is to be looked for in the tests.
pub fn sought(rewrites: &[FileRewrite<'_>]) -> TestSearch {
    let rewrites = looked_at(rewrites);
    let values: Vec<CodeLiteral> = rewrites.iter().flat_map(news).collect();
    // As tests may have it, and as the fix spells it.
    let spelled = |value: &CodeLiteral| {
        let is_number = !value.text.contains(['"', '\'', '`']);
        [Some(bare(&value.text)), is_number.then(|| value.text.clone())]
    };
    let deciding = values.iter().filter(|value| value.is_deciding).flat_map(spelled).flatten();
    let texts: BTreeSet<String> = deciding
        .filter(|text| (1..=MAX_TEXT).contains(&text.len()) && !text.contains(['\n', '\0']))
        .collect();
    TestSearch { has_news: !values.is_empty(), texts: texts.into_iter().take(MAX_SOUGHT).collect() }
}

/// Those that are not too large to be looked at.
fn looked_at<'a>(rewrites: &[FileRewrite<'a>]) -> Vec<FileRewrite<'a>> {
    rewrites.iter().copied().filter(|rewrite| !rewrite.is_large()).collect()
}

/// What this fix has ready for the tests of the repository, to tell people.
pub fn answers(
    rewrites: &[FileRewrite<'_>],
    about: &BTreeSet<FindingSubject>,
    tests: &RepositoryTests<'_>,
) -> Vec<Weakening> {
    let rewrites = &looked_at(rewrites);
    let befores = rewrites.iter().filter_map(|rewrite| rewrite.before);
    let files = tests.files.iter().copied().filter(|file| file.bytes.len() <= MAX_BYTES);
    let of_tests = values_of(befores.chain(files));
    let own = FixTests::new(rewrites);
    let mut found = Vec::new();
    for rewrite in rewrites {
        let Some(path) = rewrite.after.map(|after| after.path) else { continue };
        for value in news(rewrite) {
            let text = &bare(&value.text);
            if about.iter().any(|subject| subject.text.contains(&text.to_lowercase())) {
                continue;
            }
            let kind = if value.is_dated {
                WeakeningKind::Dated
            } else if value.is_looked_for && finds_tests(text, tests.paths) {
                WeakeningKind::Reads
            } else if value.is_deciding && of_tests.contains(text) {
                WeakeningKind::Answers
            } else if value.special.as_ref().is_some_and(|special| own.expects(text, special)) {
                WeakeningKind::Knows
            } else {
                continue;
            };
            let told = Weakening { path: path.clone(), kind, what: value.line, is_told: true };
            if !found.contains(&told) {
                found.push(told);
            }
            if found.len() >= super::MAX_WEAKENINGS {
                return found;
            }
        }
    }
    found
}

/// A string or a number that a fix brings.
struct CodeLiteral {
    /// As it is written, with its quotes.
    text: String,
    /// The line that it stands in, as it is told: many values may stand in one that is long.
    line: String,
    /// Does the code decide by it, and does it say enough to be a test's?
    is_deciding: bool,
    /// Does the code look for files where it stands?
    is_looked_for: bool,
    /// Is it a date that is compared with the clock?
    is_dated: bool,
    /// The input that the code has a case for where it stands, and what it gives for that.
    special: Option<SpecialCase>,
}

/// Values of lines outside of tests that were not there before, in no line.
fn news(rewrite: &FileRewrite<'_>) -> Vec<CodeLiteral> {
    let Some(after) = rewrite.after.filter(|after| !is_test_side(after.path)).map(FileSide::new) else {
        return Vec::new();
    };
    let before = rewrite.before.map(FileSide::new);
    let were: BTreeSet<String> = before.iter().flat_map(values).map(|value| value.text).collect();
    values(&after).into_iter().filter(|value| !were.contains(&value.text)).collect()
}

/// All values outside of tests.
fn values(half: &FileSide) -> Vec<CodeLiteral> {
    let Some(scanned) = half.read.as_ref().map(|read| &read.scanned) else { return data(half) };
    let outside = half.outside();
    let strings = outside.iter().flat_map(|range| scanned.strings_in(range)).cloned();
    let numbers = outside.iter().flat_map(|range| numbers(&scanned.code, range));
    let value = |range: Range<usize>| {
        let line = scanned.line(scanned.line_of(range.start));
        let (code, said) = (part(&scanned.code, line.clone()), part(&scanned.bare, line.clone()));
        let before = part(&scanned.code, line.start..range.start).trim_end();
        let after = part(&scanned.code, range.end..line.end).trim_start();
        let text = part(&scanned.bare, range.clone());
        let is_key = after.starts_with(':') && !after.starts_with("::");
        let is_named =
            before.ends_with('=') && !["==", "!=", "<=", ">="].iter().any(|sign| before.ends_with(sign));
        let is_compared = DECIDES.iter().any(|word| code.contains(word));
        // A name with its value in a table is what tables are for.
        let is_case = !is_named
            && (is_compared
                || own::is_equality(code)
                || is_key && text.starts_with(|letter: char| letter.is_ascii_digit()));
        // Several values side by side are a list of what is let through.
        let decides = is_key
            || is_listed(before, after)
            || before.ends_with("return")
            || is_compared
            || (code.contains("):") && code.contains('{'));
        let is_clocked = CLOCKS.iter().any(|clock| occurrences(code, clock).next().is_some());
        CodeLiteral {
            is_deciding: decides && !is_named && (says_enough(text) || is_of_row(code, before)),
            special: is_case.then(|| SpecialCase::at(scanned, &range)).flatten(),
            is_looked_for: LOOKS.iter().any(|word| code.contains(word)),
            is_dated: is_clocked && is_date(text),
            line: clean(said.trim(), super::weakening::MAX_QUOTE),
            text: text.to_owned(),
        }
    };
    strings.chain(numbers).map(value).collect()
}

/// Words of a file of data: each may be an answer, for the code that reads it decides by them.
fn data(half: &FileSide) -> Vec<CodeLiteral> {
    let is_prose = [".md", ".rst", ".adoc"].iter().any(|ending| half.path.ends_with(ending));
    if is_prose || half.text.len() > MAX_DATA || half.text.contains('\0') {
        return Vec::new();
    }
    let words = |line: &str| -> Vec<CodeLiteral> {
        let value = |word: &str| CodeLiteral {
            text: format!("\"{word}\""),
            line: clean(line.trim(), super::weakening::MAX_QUOTE),
            is_deciding: says_enough(&format!("\"{word}\"")),
            is_looked_for: false,
            is_dated: false,
            special: None,
        };
        let words = line.split(['"', '\'', ',', ';', '=', '\t']).map(str::trim);
        words.filter(|word| !word.is_empty()).map(value).collect()
    };
    half.text.lines().flat_map(words).collect()
}

/// Where numbers stand in code.
fn numbers<'c>(code: &'c str, range: &Range<usize>) -> impl Iterator<Item = Range<usize>> + 'c {
    let bytes = code.as_bytes();
    let is_part = |byte: u8| is_word(byte) || byte == b'.';
    let mut at = range.start;
    let end = range.end.min(bytes.len());
    std::iter::from_fn(move || {
        while at < end {
            let start = at;
            let Some(first) = bytes.get(at) else { break };
            if !is_word(*first) {
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

/// Does a value stand between brackets and commas?
fn is_listed(before: &str, after: &str) -> bool {
    before.ends_with(['[', ',', '{', '(']) && after.starts_with([',', ']', '}'])
}

/// Is what follows compared with, in a line that compares several things with numbers?
fn is_of_row(code: &str, before: &str) -> bool {
    let is_number = |rest: &str| {
        rest.trim_start_matches(['=', ' ', '-']).starts_with(|letter: char| letter.is_ascii_digit())
    };
    let compared =
        code.match_indices("==").filter_map(|(at, _)| code.get(at..)).filter(|rest| is_number(rest));
    before.trim_end_matches([' ', '-']).ends_with("==") && compared.count() > 1
}

/// Is this value one that few tests have by chance?
fn says_enough(text: &str) -> bool {
    let inner = bare(text);
    if text.contains(['"', '\'', '`']) {
        return inner.chars().count() >= LEAST_LETTERS && inner.contains(char::is_alphanumeric);
    }
    let digits: String = inner.chars().filter(|letter| *letter != '_').collect();
    if digits.contains('.') {
        return digits.parse::<f64>().is_ok_and(|number| number > 1.0 && number.fract() > 0.0);
    }
    let is_round = |number: u64| number.is_power_of_two() || number.to_string().trim_end_matches('0') == "1";
    digits.len() >= LEAST_DIGITS && digits.parse::<u64>().is_ok_and(|number| !is_round(number))
}

fn is_date(text: &str) -> bool {
    let inner = bare(text);
    let year = inner.split(['-', '/', '.']).next().and_then(|year| year.parse::<u64>().ok());
    let number = inner.replace('_', "").parse::<u64>().ok();
    year.is_some_and(|year| YEARS.contains(&year)) || number.is_some_and(|number| number > LEAST_SECONDS)
}

/// Is this a pattern of paths that finds files of tests, and no others?
fn finds_tests(text: &str, paths: &[RepoPath]) -> bool {
    if !text.contains(['*', '?', '[']) || !text.contains(['/', '.']) || text.contains(' ') {
        return false;
    }
    if is_bounded(text).is_err() {
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
    is_test_side(first) && found.all(is_test_side)
}

/// The values that tests have in these files: all of a file of tests, and those of the tests in another; of two files with
/// one path, those of the first.
fn values_of<'v>(versions: impl Iterator<Item = FileVersion<'v>>) -> BTreeSet<String> {
    let mut halves: BTreeMap<&RepoPath, FileSide> = BTreeMap::new();
    for version in versions {
        halves.entry(version.path).or_insert_with(|| FileSide::new(version));
    }
    let mut found = BTreeSet::new();
    for (path, half) in &halves {
        let Some(read) = &half.read else {
            // Data of tests: each line and word of it may be one.
            if is_test_side(path) {
                let words = half.text.split(['"', '\'', ',', '\n', '\t']);
                found.extend(words.map(|word| word.trim().to_owned()));
            }
            continue;
        };
        let scanned = &read.scanned;
        let all: Vec<String> = if is_test_side(path) {
            literals(scanned, &(0..scanned.code.len()))
        } else {
            read.units.iter().flat_map(|unit| literals(scanned, &(unit.start..unit.end))).collect()
        };
        found.extend(all.iter().map(|value| bare(value)));
    }
    found
}

/// A string without its quotes and the letters before them; a number as people write it.
fn bare(text: &str) -> String {
    let Some(open) = text.find(['"', '\'', '`']) else { return number(text) };
    let quote = text.get(open..).and_then(|rest| rest.chars().next()).unwrap_or('"');
    text.get(open..)
        .unwrap_or_default()
        .trim_matches(quote)
        .trim_end_matches('#')
        .trim_end_matches(quote)
        .to_owned()
}

/// A number in decimal digits, whatever the spelling: `0x76C`, `2e3` and `1_900` are 1900, 2000 and 1900.
fn number(text: &str) -> String {
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
