//! Finds texts that must not be in the repository: paths of a developer's machine, unfinished code, and calls
//! that sleep.

use std::path::Path;

use anyhow::Result;

use super::code;
use super::report::CheckReport;
use crate::workspace::{self, TrackedFile};

/// Prefixes of paths or addresses on a developer's machine; no file may contain them. Each prefix has a
/// reason, and is written in two halves, because this file must not contain the prefix either.
const FORBIDDEN_PREFIXES: &[(&str, &str, &str)] = &[
    ("/wor", "k/", "a path of one machine"),
    ("/roo", "t/", "a path of one machine"),
    ("/User", "s/", "a path of one machine"),
    ("arti", "factory", "a registry of one machine"),
];

/// Settings of Cargo's registries on a developer's machine. Rust code may name them, because it reads the
/// settings of other projects.
const FORBIDDEN_SETTINGS: &[(&str, &str, &str)] =
    &[("sparse", "+http", "a registry of one machine"), ("replace", "-with", "a registry of one machine")];

/// Words that are forbidden in Rust code (comments and strings may mention them).
const FORBIDDEN_CODE_WORDS: &[(&str, &str)] = &[
    ("#[ignore", "a test that is not run: mend it or remove it"),
    ("todo!", "unfinished"),
    ("unimplemented!", "unfinished"),
    ("thread::sleep", "wait on a condition, or move the injected clock"),
];

/// The folder in which tests may be marked as ignored. These tests need the network, and only `cargo xtask
/// test --online` runs them.
const ONLINE_TESTS_FOLDER: &str = "/tests/it/online/";

/// Checks every tracked text file.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let files = workspace::tracked_files(root)?;
    let problems = files.iter().flat_map(find_forbidden_words).collect();
    Ok(CheckReport::Completed { summary: format!("{} files", files.len()), problems, warnings: Vec::new() })
}

/// Returns a problem for every line of a file that contains a forbidden prefix or word.
fn find_forbidden_words(file: &TrackedFile) -> Vec<String> {
    let mut problems = Vec::new();
    let settings = if file.path.ends_with(".rs") { &[] } else { FORBIDDEN_SETTINGS };
    for (number, line) in file.text.lines().enumerate() {
        for (one, two, why) in FORBIDDEN_PREFIXES.iter().chain(settings) {
            if contains_word_start(line, &format!("{one}{two}")) {
                problems.push(format!("{}:{}: {one}{two}: {why}", file.path, number + 1));
            }
        }
    }
    if file.path.ends_with(".rs") {
        for (number, line) in code::code_only(&file.text).lines().enumerate() {
            for (word, why) in FORBIDDEN_CODE_WORDS {
                let is_online = *word == "#[ignore" && file.path.contains(ONLINE_TESTS_FOLDER);
                if contains_word_start(line, word) && !is_online {
                    problems.push(format!("{}:{}: {word}: {why}", file.path, number + 1));
                }
            }
        }
    }
    problems
}

/// Returns true if `line` contains `word` at the beginning of a name or path.
fn contains_word_start(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|char| !char.is_alphanumeric() && !"_-.~}*/".contains(char))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> usize {
        find_forbidden_words(&TrackedFile { path: path.into(), text: text.into() }).len()
    }

    #[test]
    fn machine_paths_are_found_in_any_file() {
        let path = |before: &str| format!("one\ntwo {before}/wor{}/three", "k");
        for before in ["", "\"", "=", "file:"] {
            assert_eq!(problems("a.md", &path(before)), 1, "{before}");
        }
        // After each of these texts, the prefix is part of a longer path, an address or a pattern, and is
        // therefore permitted.
        for before in ["some", "https://host.example", "~", "${HOME}", "**"] {
            assert_eq!(problems("a.md", &path(before)), 0, "{before}");
        }
    }

    #[test]
    fn the_place_is_named() {
        let file = TrackedFile { path: "a.rs".into(), text: "\nfn a() { todo!() }".into() };
        assert_eq!(find_forbidden_words(&file), ["a.rs:2: todo!: unfinished"]);
    }

    #[test]
    fn unfinished_code_is_found_in_code_alone() {
        for code in ["#[ignore]", "#[ignore = \"slow\"]", "std::thread::sleep(d)", "{unimplemented!()}"] {
            assert_eq!(problems("a.rs", code), 1, "{code}");
            assert_eq!(problems("a.rs", &format!("// {code}")), 0, "{code}");
            assert_eq!(problems("a.md", code), 0, "{code}");
        }
        assert_eq!(problems("a.rs", "my_todo!()"), 0);
        assert_eq!(problems("crates/a/tests/it/online/b.rs", "#[ignore]"), 0);
        assert_eq!(problems("crates/a/tests/it/online/b.rs", "todo!()"), 1);
    }
}
