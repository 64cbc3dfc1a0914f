//! Files that say which tests are run and what is checked, as a table: what of them stays, and what they may not bring.

use std::collections::{BTreeMap, BTreeSet};

/// A file that says which tests are run and what is checked.
#[derive(Debug)]
pub(super) struct RunnerFile {
    /// How its name may begin; the rest is an ending.
    pub names: &'static [&'static str],
    /// Words whose lines have to stay; empty: every line has to.
    pub kept: &'static [&'static str],
    /// Words that no line may bring.
    pub refused: &'static [&'static str],
}

/// What leaves tests or checks out, in files of any runner.
const LEFT_OUT: &[&str] = &[
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

/// All files of runners that are known.
pub(super) const RUNNERS: &[RunnerFile] = &[
    RunnerFile {
        names: &[
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
        kept: &[],
        refused: LEFT_OUT,
    },
    RunnerFile {
        names: &[
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
        kept: &[
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
        refused: &[
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
    RunnerFile {
        names: &[
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
        kept: &[],
        refused: &[
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

/// Lists of packages, one on a line, that a file has after a fix.
pub(super) struct PackageLists<'l> {
    /// By each package the lists that have it.
    having: BTreeMap<&'l str, BTreeSet<usize>>,
}

impl<'l> PackageLists<'l> {
    pub(super) fn new(lines: &'l [String]) -> Self {
        let mut having: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (list, packages) in lines.iter().filter_map(|line| packages(line)).enumerate() {
            for package in packages {
                having.entry(package).or_default().insert(list);
            }
        }
        Self { having }
    }

    /// Is this line a list of packages that is there still, in other versions?
    pub(super) fn has_updated(&self, line: &str) -> bool {
        let packages = packages(line).unwrap_or_default();
        let having: Option<Vec<&BTreeSet<usize>>> = packages.iter().map(|one| self.having.get(one)).collect();
        let having = having.unwrap_or_default();
        let fewest = having.iter().min_by_key(|lists| lists.len());
        fewest.is_some_and(|few| few.iter().any(|list| having.iter().all(|lists| lists.contains(list))))
    }
}

/// The names that a line asks for, without versions: `dev = ["pytest>=8"]`, where nothing but such texts is in the
/// brackets.
fn packages(line: &str) -> Option<Vec<&str>> {
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
