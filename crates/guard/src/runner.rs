//! Table of files that determine which tests and checks run: the lines to keep, and the words that must not
//! be added.

use std::collections::{BTreeMap, BTreeSet};

/// A file that determines which tests and checks run.
#[derive(Debug)]
pub(super) struct TestControlFile {
    /// Prefixes of the names of the files. A prefix may be the whole name.
    pub name_prefixes: &'static [&'static str],
    /// A line that contains one of these words must remain. If the list is empty, every line must remain.
    pub required_words: &'static [&'static str],
    /// Words that an added line must not contain.
    pub forbidden_words: &'static [&'static str],
}

/// Words that exclude tests or checks, in files of any runner.
const EXCLUSION_WORDS: &[&str] = &[
    "--deselect",
    "norecursedirs",
    "PathIgnorePatterns",
    "passWithNoTests",
    "testExclude",
    "exclude",
    "--no-cov",
    "--exit-zero",
    "|| true",
    "not ",
    "skip",
    "ignore",
    "-p no:",
    "test = false",
    "allowedFailures",
    "maxfail",
];

/// All known files that determine which tests and checks run.
pub(super) const TEST_CONTROL_FILES: &[TestControlFile] = &[
    TestControlFile {
        name_prefixes: &[
            "pytest.ini",
            ".pytest.ini",
            "jest.config.",
            "vitest.config.",
            "vitest.workspace.",
            "playwright.config.",
            "karma.conf.",
            "cypress.config.",
            ".mocharc",
            ".rspec",
            ".coveragerc",
            "nextest.toml",
            "ava.config.",
            "phpunit.xml",
            "junit-platform.properties",
        ],
        required_words: &[],
        forbidden_words: EXCLUSION_WORDS,
    },
    TestControlFile {
        name_prefixes: &[
            "pyproject.toml",
            "setup.cfg",
            "tox.ini",
            "noxfile.py",
            "setup.py",
            "package.json",
            "Cargo.toml",
            "build.gradle",
            "pom.xml",
            "Rakefile",
            "Makefile",
            "justfile",
            "Justfile",
            "Taskfile",
            "taskfile",
        ],
        required_words: &[
            "testpaths",
            "python_files",
            "python_functions",
            "python_classes",
            "addopts",
            "filterwarnings",
            "xfail_strict",
            "fail_under",
            "fail-under",
            "pytest",
            "unittest",
            "\"test",
            "testMatch",
            "testRegex",
            "coverageThreshold",
            "useJUnitPlatform",
            "surefire",
            "failsafe",
            "[[test]]",
            "test:",
            "check:",
            "strict",
        ],
        forbidden_words: &[
            "--ignore",
            "--deselect",
            "collect_ignore",
            "norecursedirs",
            "testFailureIgnore",
            "test.failure.ignore",
            "skipTests",
            "maven.test.skip",
            "<testSourceDirectory",
            "Test.java</exclude>",
            "Tests.java</exclude>",
            "IT.java</exclude>",
            "Test*</exclude>",
            "PathIgnorePatterns",
            "passWithNoTests",
            "--exit-zero",
            "|| true",
            "ignore_errors",
            "ignore_error: true",
            "test = false",
            "ignoreFailures",
            "testFailureIgnore",
            "skipTests",
            "-p no:",
            "per-file-ignores",
            "extend-ignore",
            "omit",
            "pytest11",
        ],
    },
    TestControlFile {
        name_prefixes: &[
            ".eslintrc",
            "eslint.config.",
            "tsconfig.json",
            "biome.json",
            "mypy.ini",
            ".flake8",
            "ruff.toml",
            ".ruff.toml",
            ".pylintrc",
            "clippy.toml",
            ".golangci.",
            ".rubocop.",
            "pyrightconfig.json",
            "checkstyle.xml",
        ],
        required_words: &[],
        forbidden_words: &[
            "ignore",
            "exclude",
            "disable",
            "off",
            "skip",
            "allow",
            "false",
            "\"paths\"",
            "\"baseUrl\"",
            "\"rootDirs\"",
        ],
    },
];

/// The lists of packages in a file after a fix. Each list is on one line.
pub(super) struct PackageLists<'l> {
    /// Indices of the lists that contain each package.
    lists_by_package: BTreeMap<&'l str, BTreeSet<usize>>,
}

impl<'l> PackageLists<'l> {
    pub(super) fn new(lines: &'l [String]) -> Self {
        let mut lists_by_package: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (list, packages) in lines.iter().filter_map(|line| parse_required_packages(line)).enumerate() {
            for package in packages {
                lists_by_package.entry(package).or_default().insert(list);
            }
        }
        Self { lists_by_package }
    }

    /// Returns true if this line is a list of packages, and one list in the fixed file contains all these
    /// packages. The versions may differ.
    pub(super) fn has_changed_version(&self, line: &str) -> bool {
        let packages = parse_required_packages(line).unwrap_or_default();
        let having: Option<Vec<&BTreeSet<usize>>> =
            packages.iter().map(|one| self.lists_by_package.get(one)).collect();
        let having = having.unwrap_or_default();
        let fewest = having.iter().min_by_key(|lists| lists.len());
        fewest.is_some_and(|few| few.iter().any(|list| having.iter().all(|lists| lists.contains(list))))
    }
}

/// Returns the packages that a line such as `dev = ["pytest>=8"]` requires, without versions. The brackets
/// must contain only strings; otherwise, returns `None`.
fn parse_required_packages(line: &str) -> Option<Vec<&str>> {
    let (_, list) = line.split_once('=')?;
    let list = list.trim().strip_prefix('[')?.strip_suffix(']')?;
    let package =
        |text: &&str| text.starts_with(['"', '\'']) && text.ends_with(['"', '\'']) && text.len() > 2;
    let all: Vec<&str> = list.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
    let is_version = |letter: char| matches!(letter, '<' | '>' | '=' | '~' | '!' | ' ' | ';');
    all.iter().all(package).then(|| {
        let named = all.iter().map(|text| text.trim_matches(['"', '\'']));
        named.filter_map(|text| text.split(is_version).next()).collect()
    })
}
