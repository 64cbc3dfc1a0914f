//! Recognises rules and tests of secret scanners. Keys in such files are only examples.

use std::sync::LazyLock;

use regex::bytes::Regex;
use truing_diff::RepoPath;

use crate::part::RepositoryPart;

/// Minimum number of kinds of keys in a file that is searched for the words of scanners. Programs that use
/// keys contain fewer kinds of keys in one file.
const MIN_KEY_KINDS: usize = 4;
/// Minimum number of different words that identify a file with many kinds of keys as a file of a scanner.
const MIN_SCANNER_WORDS: usize = 2;

/// Fields by which rules are declared, each at the beginning of a line: `id = `, `"regex": `, `Keywords: `.
static RULE_FIELD_PATTERNS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        compile_pattern(r#"(?im)^[ \t{,-]*["']?(?:rule[_-]?id|id|detector[_-]?name)["']?[ \t]*(?:=|:=|:)"#),
        compile_pattern(r#"(?im)^[ \t{,-]*["']?reg_?exp?(?:es)?["']?[ \t]*(?:=|:=|:)"#),
        compile_pattern(r#"(?im)^[ \t{,-]*["']?(?:keywords?|entropy|secret_?group)["']?[ \t]*(?:=|:=|:)"#),
    ]
});

/// Words that occur in programs that search for secrets.
static SCANNER_WORD_PATTERNS: LazyLock<[Regex; 5]> = LazyLock::new(|| {
    [
        compile_pattern(r"(?i)\breg_?exp?(?:es)?\b"),
        compile_pattern(r"(?i)entropy"),
        compile_pattern(r"(?i)\bkeywords?\b"),
        compile_pattern(r"(?i)gitleaks|trufflehog|detect[_-]?secrets"),
        compile_pattern(
            r"(?i)secret[ _-]?(?:scan|detect)|(?:scan|detect)(?:ing|s)?[ _-](?:for[ _-])?secrets|keydetector",
        ),
    ]
});

/// Pattern for the name of a scanner. A test that contains such a name belongs to a scanner.
static SCANNER_MENTION_PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    // `gitleaks:allow` does not match, because this comment refers to a single key and not to the file.
    compile_pattern(concat!(
        r"(?i)(?:gitleaks|trufflehog)(?:[^:\w]|_\w|\z)|detect[_-]?secrets|secret[ _-]?(?:scan",
        r"|detect)|keydetector"
    ))
});

/// Pattern for a rule of a Rego policy that compares a value with a regular expression.
static REGO_REGEX_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| compile_pattern(r"\bregex\.(?:match|is_valid|find_n|find_all_string_submatch_n)\("));

/// Files at the root of a repository that name the project.
pub(crate) const MANIFESTS: [&str; 8] = [
    "go.mod",
    "Cargo.toml",
    "package.json",
    "pyproject.toml",
    "setup.cfg",
    "setup.py",
    ".pre-commit-hooks.yaml",
    ".pre-commit-hooks.yml",
];

/// Names of scanner projects.
const SCANNER_NAMES: &str = "gitleaks|trufflehog|detect[_-]secrets|\
    secrets?[_-](?:scan|detect)(?:ner|or|ion)?|keydetector|ripsecrets|noseyparker|ggshield";

/// Patterns for a manifest's line that gives the project one of these names. There are patterns for Go, for
/// formats with a field `name`, and for a project's hooks that other projects can use.
static PROJECT_NAME_PATTERNS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        compile_pattern(&format!(r"(?im)^module[ \t]+(?:\S*/)?(?:{SCANNER_NAMES})(?:/v\d+)?[ \t\r]*$")),
        compile_pattern(&format!(
            r#"(?im)^[ \t]*["']?name["']?[ \t]*[=:][ \t]*["']?(?:@[\w.-]+/)?(?:{SCANNER_NAMES})["',\s]"#
        )),
        compile_pattern(&format!(r#"(?im)^[ \t]*-[ \t]+id:[ \t]*["']?(?:{SCANNER_NAMES})["'\s]"#)),
    ]
});

/// Returns true if the manifest at this path names its project like a secret scanner.
pub(crate) fn declares_scanner(path: &str, text: &[u8]) -> bool {
    let [module, name, hook] = &*PROJECT_NAME_PATTERNS;
    match path {
        "go.mod" => module.is_match(text),
        hooks if hooks.starts_with(".pre-commit") => hook.is_match(text),
        _ => name.is_match(text),
    }
}

fn compile_pattern(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "constants, which the tests of this file compile")]
    Regex::new(pattern).expect("a pattern of files about secrets")
}

/// Returns true if a file with this many kinds of keys belongs to a secret scanner. One of the following four
/// conditions is sufficient. The file declares rules with an id, a regular expression, and keywords or an
/// entropy. The file is a Rego policy with a regular expression. The file is a test that contains the name of
/// a scanner. The file contains many kinds of keys, and words about the search for keys.
pub(crate) fn is_scanner_file(
    path: &RepoPath,
    part: Option<RepositoryPart>,
    text: &[u8],
    key_kind_count: usize,
) -> bool {
    let is_test = matches!(part, Some(RepositoryPart::Test | RepositoryPart::Fixture));
    RULE_FIELD_PATTERNS.iter().all(|field| field.is_match(text))
        || (path.as_bytes().ends_with(b".rego") && REGO_REGEX_PATTERN.is_match(text))
        || (is_test && SCANNER_MENTION_PATTERN.is_match(text))
        || (key_kind_count >= MIN_KEY_KINDS
            && SCANNER_WORD_PATTERNS.iter().filter(|word| word.is_match(text)).count() >= MIN_SCANNER_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_is_known_by_the_name_of_its_project() {
        for (path, text, expected) in [
            ("go.mod", "module github.com/zricethezav/gitleaks/v8\n\ngo 1.24\n", true),
            ("go.mod", "module github.com/trufflesecurity/trufflehog/v3\r\n", true),
            ("go.mod", "module example.com/shop\n\nrequire github.com/zricethezav/gitleaks/v8 v8.1\n", false),
            ("setup.py", "setup(\n    name='detect_secrets',\n    packages=[],\n)\n", true),
            ("setup.py", "setup(\n    name='shop',\n    install_requires=['detect-secrets'],\n)\n", false),
            ("pyproject.toml", "[project]\nname = \"detect-secrets\"\n", true),
            ("package.json", "{\n  \"name\": \"@acme/secret-scanner\",\n}\n", true),
            (
                "package.json",
                "{\n  \"name\": \"shop\",\n  \"scripts\": { \"scan\": \"gitleaks\" }\n}\n",
                false,
            ),
            (".pre-commit-hooks.yaml", "- id: gitleaks\n  name: Detect hardcoded secrets\n", true),
            (".pre-commit-hooks.yaml", "- id: format\n", false),
        ] {
            assert_eq!(declares_scanner(path, text.as_bytes()), expected, "{path}: {text}");
        }
    }

    #[test]
    fn a_scanner_s_files_are_told_by_what_they_declare_or_name() {
        let toml = "[[rules]]\nid = \"x\"\nregex = '''x[0-9]+'''\nkeywords = [\"x\"]\n";
        let go = "r := config.Rule{\n\tRuleID:   \"x\",\n\tRegex: f(),\n\tKeywords: []string{},\n}\n";
        let json = "{\n  \"id\": \"x\",\n  \"regex\": \"x\",\n  \"entropy\": 3\n}\n";
        let rego = "deny[msg] {\n  regex.match(`AKIA`, input.key)\n}\n";
        let plain = "import re\nid = 1\npattern = re.compile('x')\nkeywords = ['a']\nKEY = 'x'\n";
        let test = "from detect_secrets.plugins.aws import AWSKeyDetector\n";
        let words = "# keywords and regex\n";
        for (path, text, kinds, expected) in [
            ("a.toml", toml, 1, true),
            ("cmd/rules/x.go", go, 1, true),
            ("a.json", json, 1, true),
            ("a.rego", rego, 1, true),
            ("a.rego", "deny { input.key == \"x\" }\n", 1, false),
            ("src/a.py", plain, 1, false),
            ("tests/a_test.py", test, 1, true),
            ("src/a.py", test, 1, false),
            ("tests/a_test.py", "key = 'x'\n", 1, false),
            ("tests/a_test.py", "key = 'x'  # gitleaks:allow\nother = 'y'\n", 1, false),
            ("src/a.py", words, 4, true),
            ("src/a.py", words, 3, false),
            (".env", "A=1\nB=2\n", 9, false),
        ] {
            let path = RepoPath::from(path);
            let found = is_scanner_file(&path, RepositoryPart::from_path(&path), text.as_bytes(), kinds);
            assert_eq!(found, expected, "{path}: {text}");
        }
    }
}
