//! Determines the part of a repository to which a path belongs, because code in tests, documentation or
//! examples is judged differently from the product.

use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::Deserialize;
use truing_core::finding::Severity;
use truing_diff::RepoPath;

/// A part of a repository that is not the product.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RepositoryPart {
    /// Tests, test data, and helpers for writing tests.
    Test,
    /// Data that tests run on. If a rule has no severity for fixtures, the rule's severity for tests applies.
    Fixture,
    /// Documentation, which is text for people.
    Document,
    /// Example programs that use the product.
    Example,
    /// Third-party code that the repository contains, and generated code.
    Foreign,
}

/// Severity of a rule's findings in a part of a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum PartSeverity {
    /// Severity in this part.
    Severity(Severity),
    /// The rule reports nothing in this part.
    Off(OffLiteral),
}

/// The literal `off` in a rule file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OffLiteral {
    /// Variant for the text `off`.
    Off,
}

/// Words that identify a part of the repository at any position in a name of the path: `test-ca/`,
/// `okhttp-testing-support/`, `UserTests.java`, `http_test.go`. Case is ignored.
const PART_NAME_WORDS: &[(RepositoryPart, &[&str])] = &[
    (
        RepositoryPart::Test,
        &[
            "test",
            "tests",
            "testing",
            "testdata",
            "testcase",
            "testcases",
            "testlib",
            "testutil",
            "testutils",
            "testsuite",
            "fixture",
            "fixtures",
            "mock",
            "mocks",
            "fake",
            "fakes",
            "stub",
            "stubs",
            "snapshot",
            "snapshots",
            "conftest",
            "e2e",
            "fuzz",
            "fuzzing",
            "bench",
            "benches",
            "benchmark",
            "benchmarks",
        ],
    ),
    (
        RepositoryPart::Example,
        &["example", "examples", "sample", "samples", "demo", "demos", "tutorial", "tutorials", "playground"],
    ),
];

/// Names of folders that contain test data. Such a folder counts only if the path also identifies a test.
const TEST_DATA_FOLDERS: &[&str] = &[
    "assets",
    "case",
    "cases",
    "corpus",
    "data",
    "expected",
    "fixture",
    "fixtures",
    "golden",
    "input",
    "inputs",
    "output",
    "outputs",
    "resources",
    "snapshots",
    "source",
    "target",
    "testdata",
];

/// English words that end with `test` but are not about tests. Other names that end with `test`, such as the
/// folder `httptest`, are about tests.
const NON_TEST_WORDS: &[&str] = &[
    "attest",
    "brightest",
    "contest",
    "cutest",
    "detest",
    "fastest",
    "fittest",
    "greatest",
    "latest",
    "lightest",
    "protest",
    "shortest",
    "smartest",
    "softest",
    "strictest",
    "tightest",
];

/// Names that identify a part of the repository only as the complete name of a folder.
const PART_FOLDERS: &[(RepositoryPart, &[&str])] = &[
    (RepositoryPart::Test, &["spec", "specs", "cypress", "golden", "cassettes"]),
    (RepositoryPart::Document, &["doc", "docs", "documentation", "website"]),
    (RepositoryPart::Foreign, &["vendor", "vendored", "node_modules", "third_party", "thirdparty", "dist"]),
];

/// Folders in which Yarn stores programs: Yarn itself and plugins.
const FOREIGN_FOLDERS: &[&str] = &[".yarn/releases", ".yarn/plugins", ".yarn/sdks"];
/// Files that Yarn generates.
const FOREIGN_FILES: &[&str] = &[".pnp.cjs", ".pnp.loader.mjs"];

/// Words that identify a test directly before the extension of a file name, as in `a.spec.ts`.
const TEST_FILE_INFIXES: &[&str] = &["spec", "cy"];

/// Extensions of files with text for people.
const DOCUMENT_EXTENSIONS: &[&str] = &["md", "mdx", "markdown", "rst", "adoc", "asciidoc"];

impl RepositoryPart {
    /// Returns the part that a file belongs to; `None` is the product.
    pub(crate) fn from_path(path: &RepoPath) -> Option<Self> {
        let path = String::from_utf8_lossy(path.as_bytes());
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let folder = |part: Self| {
            let names = PART_FOLDERS.iter().find(|(of, _)| *of == part).map_or(&[][..], |(_, names)| names);
            folders.split('/').any(|folder| names.contains(&folder.trim_matches('_')))
        };
        let is_of_tests = |folder: &str| folder.ends_with("test") && !NON_TEST_WORDS.contains(&folder);
        let word = |part: Self, text: &str| {
            let known =
                PART_NAME_WORDS.iter().find(|(of, _)| *of == part).map_or(&[][..], |(_, words)| words);
            path_words(text).iter().any(|word| known.contains(&word.as_str()))
        };
        let is_below = |folder: &&str| {
            let below = folders.rsplit_once(*folder);
            below.is_some_and(|(above, below)| {
                (above.is_empty() || above.ends_with('/')) && (below.is_empty() || below.starts_with('/'))
            })
        };
        let is_yarns = FOREIGN_FOLDERS.iter().any(is_below) || FOREIGN_FILES.contains(&name);
        if folder(Self::Foreign) || is_yarns || name.ends_with(".min.js") {
            return Some(Self::Foreign);
        }
        let infix = stem.rsplit_once('.').map_or("", |(_, infix)| infix);
        let is_test = folder(Self::Test)
            || word(Self::Test, &path)
            || folders.split('/').any(is_of_tests)
            || TEST_FILE_INFIXES.contains(&infix);
        if is_test {
            let is_data =
                folders.split('/').any(|folder| TEST_DATA_FOLDERS.contains(&folder.trim_matches('_')));
            return Some(if is_data { Self::Fixture } else { Self::Test });
        }
        if word(Self::Example, &path) {
            return Some(Self::Example);
        }
        let is_document = DOCUMENT_EXTENSIONS.iter().any(|document| ending.eq_ignore_ascii_case(document));
        (is_document || folder(Self::Document)).then_some(Self::Document)
    }
}

/// Extensions of script files. A script that contains tests imports the code that it tests.
const JAVASCRIPT_EXTENSIONS: &[&str] = &["js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts"];
/// Words that identify a script as a test directly before the extension of its name.
const TEST_SCRIPT_INFIXES: &[&str] = &["spec", "test", "cy", "e2e"];

/// Pattern for an import or an export in a script.
static IMPORT_EXPORT_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, which the tests of this file compile")]
    Regex::new(r"(?m)^[ \t]*(?:import|export)\b|\b(?:require|import|importScripts)[ \t]*\(")
        .expect("the pattern")
});

impl RepositoryPart {
    /// Returns the part to which a file with this path and text belongs. `None` means the product. A script
    /// in a test folder counts as test data if it has no imports and its name does not identify a test. Such
    /// a script is usually the input of a formatter or parser.
    pub(crate) fn from_text(path: &RepoPath, text: &[u8]) -> Option<Self> {
        let part = Self::from_path(path);
        let path = String::from_utf8_lossy(path.as_bytes());
        let (stem, ending) = path.rsplit_once('.').unwrap_or((&path, ""));
        let is_named = stem.rsplit_once('.').is_some_and(|(_, infix)| TEST_SCRIPT_INFIXES.contains(&infix))
            || stem.split('/').any(|folder| folder == "__tests__");
        let may_be_data = part == Some(Self::Test) && JAVASCRIPT_EXTENSIONS.contains(&ending) && !is_named;
        if may_be_data && !IMPORT_EXPORT_PATTERN.is_match(text) { Some(Self::Fixture) } else { part }
    }
}

/// Words in paths of files that are used in a running system.
const RUNTIME_PATH_WORDS: &[&str] = &[
    "ansible",
    "conf",
    "config",
    "deploy",
    "deployment",
    "env",
    "etc",
    "helm",
    "infra",
    "infrastructure",
    "k8s",
    "kubernetes",
    "live",
    "nginx",
    "ops",
    "prod",
    "production",
    "secret",
    "secrets",
    "staging",
    "terraform",
];

/// Returns true if a word of the path suggests that the file is used in a running system.
pub(crate) fn is_runtime_path(path: &RepoPath) -> bool {
    let path = String::from_utf8_lossy(path.as_bytes());
    path_words(&path).iter().any(|word| RUNTIME_PATH_WORDS.contains(&word.as_str()))
}

/// Returns the words of a path in lower case: `src/HttpTest_a.go` gives `src`, `http`, `test`, `a`, `go`.
fn path_words(path: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for letter in path.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
        after_lower = letter.is_lowercase() || letter.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_among_tests_that_brings_in_nothing_is_what_a_tool_is_run_on() {
        for (path, text, expected) in [
            ("tests/format/a.js", "it.only('a', () => {})\n", Some(RepositoryPart::Fixture)),
            (
                "tests/format/a.js",
                "const { it } = require('mocha')\nit.only('a', () => {})\n",
                Some(RepositoryPart::Test),
            ),
            ("tests/a.ts", "import x from '../x'\n", Some(RepositoryPart::Test)),
            ("tests/a.test.js", "it.only('a', () => {})\n", Some(RepositoryPart::Test)),
            ("tests/__tests__/a.js", "it.only('a', () => {})\n", Some(RepositoryPart::Test)),
            ("tests/a.py", "x = 1\n", Some(RepositoryPart::Test)),
            ("src/a.js", "x = 1\n", None),
        ] {
            assert_eq!(RepositoryPart::from_text(&path.into(), text.as_bytes()), expected, "{path}: {text}");
        }
    }

    #[test]
    fn use_is_told_by_words_of_the_path() {
        for (path, expected) in [
            ("deploy/server.key", true),
            ("a/prod-tls.pem", true),
            ("bogo/keys/key.pem", false),
            ("src/confuse.rs", false),
        ] {
            assert_eq!(is_runtime_path(&path.into()), expected, "{path}");
        }
    }

    #[test]
    fn a_part_is_told_by_words_of_the_path() {
        use RepositoryPart::{Document, Example, Fixture, Foreign, Test};
        for (path, expected) in [
            ("src/a.rs", None),
            ("src/latest.rs", None),
            ("src/contest/attestation.go", None),
            ("src/inspector.ts", None),
            ("deploy/server.key", None),
            ("tests/a.rs", Some(Test)),
            ("test-ca/rsa/end.key", Some(Test)),
            ("crypto/ssh/testdata/keys.go", Some(Fixture)),
            ("tests/data/cases/a.py", Some(Fixture)),
            ("src/test/resources/a.key", Some(Fixture)),
            ("src/data/a.py", None),
            ("caddytest/a.key", Some(Test)),
            ("latest/a.key", None),
            ("a/b_test.go", Some(Test)),
            ("a/test_b.py", Some(Test)),
            ("conftest.py", Some(Test)),
            ("src/a.test.ts", Some(Test)),
            ("src/a.spec.ts", Some(Test)),
            ("src/__tests__/a.ts", Some(Test)),
            ("a/UserTests.java", Some(Test)),
            ("okhttp-testing-support/src/a.kt", Some(Test)),
            ("docs/a.png", Some(Document)),
            ("README.md", Some(Document)),
            ("examples/server.key", Some(Example)),
            ("web/vendor/a.js", Some(Foreign)),
            ("a.min.js", Some(Foreign)),
        ] {
            assert_eq!(RepositoryPart::from_path(&path.into()), expected, "{path}");
        }
    }
}
