//! Detects changes after which tests exist but check nothing. Such tests are in a file that no runner
//! searches or in a module that is not compiled, or they compare with values that equal everything.

use std::collections::BTreeSet;

use super::count::missing_items;
use super::file::FileVersionPair;
use super::unit::without_blanks;
use super::version::{AnalyzedVersion, language_of};
use super::weakening::{Weakening, WeakeningKind};

/// Attribute of a test module in Rust.
const FOR_TESTS: &str = "#[cfg(test)]";

/// Names of operating systems and processors. If a Go file's name ends with one of them, Go compiles the file
/// only for that target.
const PLATFORMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "386",
    "amd64",
    "arm",
    "arm64",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mipsle",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390x",
    "wasm",
];

/// Finds tests that moved from a file that runners discover to a file that runners do not discover.
pub(super) fn find_undiscovered_moves(files: &[FileVersionPair<'_>], weakenings: &mut Vec<Weakening>) {
    let of = |half: &AnalyzedVersion| -> BTreeSet<String> {
        half.test_units().map(|(_, unit)| unit.name.clone()).collect()
    };
    for file in files {
        let Some(before) = file.before.as_ref().filter(|before| is_discovered_by_runners(&before.path))
        else {
            continue;
        };
        let stays = file.after.as_ref().is_some_and(|after| is_discovered_by_runners(&after.path));
        if stays {
            continue;
        }
        let tests = of(before);
        let halves = files.iter().filter_map(|file| file.after.as_ref());
        let hidden = halves.filter(|after| !is_discovered_by_runners(&after.path)).flat_map(of);
        let lost = hidden.filter(|name| tests.contains(name));
        weakenings.extend(lost.map(|name| file.new_weakening(WeakeningKind::DeletedTest, &name)));
    }
}

/// Returns true if test runners search the file at this path for tests on every system.
fn is_discovered_by_runners(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some(language) = language_of(name) else { return false };
    // In Rust, the runner finds tests through module declarations, not by the file's name.
    if language.file_suffixes.contains(&".rs") || path.split('/').any(|folder| folder == "__tests__") {
        return true;
    }
    if !language.is_test_file_name(name) {
        return false;
    }
    let is_go = language.file_suffixes.contains(&".go");
    // Go's tools ignore these files and folders.
    let is_passed_over = |part: &str| part == "testdata" || part.starts_with(['_', '.']);
    if is_go && path.split('/').any(is_passed_over) {
        return false;
    }
    let last = name.strip_suffix("_test.go").and_then(|stem| stem.rsplit_once('_')).map(|(_, last)| last);
    !(is_go && last.is_some_and(|last| PLATFORMS.contains(&last)))
}

/// Finds test modules in Rust that are no longer declared.
pub(super) fn find_undeclared_modules(files: &[FileVersionPair<'_>], weakenings: &mut Vec<Weakening>) {
    for file in files {
        let (Some(before), Some(after)) = (&file.before, &file.after) else { continue };
        let (before, after) = (test_module_declarations(before), test_module_declarations(after));
        weakenings.extend(
            missing_items(&before, &after)
                .into_iter()
                .map(|name| file.new_weakening(WeakeningKind::DeletedTest, name)),
        );
    }
}

/// Returns the `mod NAME` declarations that follow `#[cfg(test)]`.
fn test_module_declarations(side: &AnalyzedVersion) -> Vec<String> {
    let Some(read) = side.scanned_file.as_ref().filter(|read| read.language.file_suffixes.contains(&".rs"))
    else {
        return Vec::new();
    };
    let is_declaration = |line: &&str| !line.is_empty() && !line.starts_with("#[");
    // The lines are visited from the last to the first, so the declaration below each line is known.
    let (mut lines, mut below) = (Vec::new(), None);
    for line in read.scanned_text.code.lines().rev() {
        let rests = line.match_indices(FOR_TESTS).filter_map(|(at, _)| line.get(at + FOR_TESTS.len()..));
        lines.extend(rests.filter_map(|rest| Some(rest.trim()).filter(is_declaration).or(below)));
        below = Some(line.trim()).filter(is_declaration).or(below);
    }
    let modules = lines.into_iter().filter_map(|line| {
        let declared = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        let name = declared.strip_prefix("mod ")?.split([';', '{', ' ']).next()?;
        Some(format!("mod {name}"))
    });
    modules.collect()
}

/// File ending, start of a comparison function, and a function body that always returns true. All blanks
/// except line ends are removed from the code.
const COMPARES: &[(&str, &str, &str)] = &[
    (".py", "def__eq__(", ":\nreturnTrue\n"),
    (".rs", "fneq(", "{\ntrue\n}"),
    (".rs", "fneq(", "{true}"),
    (".go", ")Equal(", "{\nreturntrue\n}"),
    (".go", ")Equal(", "{returntrue}"),
    (".ts", "equals(", "{\nreturntrue;\n}"),
    (".js", "equals(", "{\nreturntrue;\n}"),
];

/// Maximum length of a function's head, in characters.
const MAX_HEAD: usize = 200;

/// For each file ending: code that defines a custom equality, and code that marks a derived equality, which
/// the custom one may replace.
const OWN: &[(&str, &[&str], &[&str])] = &[
    (".py", &["def __eq__("], &["@dataclass", "@dataclasses.dataclass", "@attr", "NamedTuple"]),
    (".rs", &["PartialEq for "], &["PartialEq,", "PartialEq)"]),
    (".js", &["asymmetricMatch"], &[]),
    (".cjs", &["asymmetricMatch"], &[]),
    (".mjs", &["asymmetricMatch"], &[]),
    (".ts", &["asymmetricMatch"], &[]),
];

/// Finds an equality function that a fix makes always true, or a custom equality that a fix adds in place of
/// a derived one.
pub(super) fn find_weakened_equality(file: &FileVersionPair<'_>, weakenings: &mut Vec<Weakening>) {
    let (before, after) = (
        file.before.as_ref().map(count_always_true_comparisons),
        file.after.as_ref().map(count_always_true_comparisons),
    );
    let is_hollow = after.unwrap_or_default() > before.unwrap_or_default();
    let is_own = file.after.as_ref().is_some_and(|after| adds_custom_equality(file.before.as_ref(), after));
    if is_hollow || is_own {
        weakenings.push(file.new_weakening(WeakeningKind::UniversalEquality, ""));
    }
}

fn adds_custom_equality(before: Option<&AnalyzedVersion>, after: &AnalyzedVersion) -> bool {
    let counted = |half: &AnalyzedVersion, words: &[&str]| {
        let code = half.scanned_file.as_ref().map_or("", |read| read.scanned_text.code.as_str());
        words.iter().map(|words| code.matches(words).count()).sum::<usize>()
    };
    OWN.iter().filter(|(ending, ..)| after.path.ends_with(ending)).any(|(ending, own, derived)| {
        let was = before.map_or(0, |before| counted(before, own));
        if counted(after, own) <= was {
            return false;
        }
        match (before, derived.is_empty()) {
            (_, true) => true,
            (None, false) => false,
            // In Rust, the fix must remove the derived equality. In Python, the decorator may remain, because
            // a custom `__eq__` replaces the method that the decorator would generate.
            (Some(before), false) if *ending == ".rs" => counted(after, derived) < counted(before, derived),
            (Some(before), false) => counted(before, derived) > 0,
        }
    })
}

/// Folder and file names that indicate tests if they are one part of a path with several parts.
const TESTS: &[&str] = &["test", "tests", "testdata", "fixtures", "spec", "specs"];
/// Folder names that indicate tests both as the whole path and as a part of a path.
const TESTS_ALONE: &[&str] =
    &["tests", "testdata", "__tests__", "__fixtures__", "__snapshots__", "__mocks__"];

/// Finds paths of test files that a fix adds to strings outside tests.
pub(super) fn find_test_file_references(file: &FileVersionPair<'_>, weakenings: &mut Vec<Weakening>) {
    let names = |half: &Option<AnalyzedVersion>| half.as_ref().map(test_path_strings).unwrap_or_default();
    let (before, after) = (names(&file.before), names(&file.after));
    let brought = missing_items(&after, &before);
    weakenings
        .extend(brought.into_iter().map(|name| file.new_weakening(WeakeningKind::TestFileAccess, name)));
}

fn test_path_strings(side: &AnalyzedVersion) -> Vec<String> {
    let Some(read) = side.scanned_file.as_ref().filter(|_| !side.is_test && !side.is_loaded_by_runner) else {
        return Vec::new();
    };
    let outside = side.ranges_outside_tests();
    let strings = outside.iter().flat_map(|range| read.scanned_text.strings_in(range));
    let texts = strings.filter_map(|string| read.scanned_text.code_with_strings.get(string.clone()));
    let is_of_tests = |text: &&str| {
        let bare =
            text.trim_matches(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '/' | '_' | '.'));
        let parts: Vec<&str> = bare.split(['/', '\\']).collect();
        let is_path = parts.len() > 1 && !bare.contains(['*', ' ']) && !bare.contains("://");
        TESTS_ALONE.contains(&bare)
            || (is_path && parts.iter().any(|part| TESTS.contains(part) || TESTS_ALONE.contains(part)))
    };
    texts.filter(is_of_tests).map(str::to_owned).collect()
}

/// Returns the number of comparison functions that always return true.
fn count_always_true_comparisons(side: &AnalyzedVersion) -> usize {
    let Some(read) = &side.scanned_file else { return 0 };
    let lines: Vec<String> =
        read.scanned_text.code.lines().map(without_blanks).filter(|line| !line.is_empty()).collect();
    let code = format!("{}\n", lines.join("\n"));
    let hits = COMPARES.iter().filter(|(ending, ..)| side.path.ends_with(ending)).map(|(_, begin, end)| {
        let heads = code.match_indices(begin).filter_map(|(at, _)| code.get(at + begin.len()..));
        let is_hollow = |rest: &&str| {
            let close = if *begin == "def__eq__(" { ":\n" } else { "{" };
            let head = rest.get(..rest.floor_char_boundary(MAX_HEAD + close.len() - 1)).unwrap_or(rest);
            let body = head.find(close).and_then(|at| rest.get(at..));
            body.is_some_and(|body| body.starts_with(end))
        };
        heads.filter(is_hollow).count()
    });
    hits.sum()
}
