//! Files that a runner of tests, its compiler or its interpreter loads besides the tests: set-up, plugins, stand-ins and
//! configuration. By their names and folders alone.

/// Whole names.
const NAMES: &[&str] = &[
    // Python
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "sitecustomize.py",
    "usercustomize.py",
    "noxfile.py",
    ".coveragerc",
    // JavaScript
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pnpmfile.cjs",
    "bunfig.toml",
    ".taprc",
    ".swcrc",
    ".env.test",
    // Go
    "go.work",
    // Rust
    "build.rs",
    "nextest.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    // Others
    ".rspec",
    "phpunit.xml",
    "junit-platform.properties",
];

/// Beginnings of names.
const PREFIXES: &[&str] = &[
    "jest.",
    "jest-",
    "vitest.",
    "vite.config.",
    "playwright.config.",
    "karma.conf.",
    "cypress.config.",
    "ava.config.",
    "web-test-runner.config.",
    "wallaby.",
    ".mocharc",
    ".babelrc",
    "babel.config.",
    "setupTests.",
    "setup-tests.",
    "setupJest.",
    "setup-jest.",
    "test-setup.",
    "testSetup.",
];

/// Endings of names.
const ENDINGS: &[&str] = &[".pth"];

/// Folders in which every file is loaded by its name.
const FOLDERS: &[&str] = &["__mocks__", "node_modules", "site-packages"];

/// The folder of cargo's configuration, and its files.
const CARGO: (&str, [&str; 2]) = (".cargo", ["config", "config.toml"]);

/// The folder of copies of other modules, and parts of paths in it that assert.
const VENDORED: (&str, &[&str]) =
    ("vendor", &["testify", "gomega", "ginkgo", "gomock", "go-cmp", "gotest.tools", "check.v1"]);

/// Modules of Python that tests import: a file of such a name at the root, or in a folder there, is taken for them.
const MODULES: &[&str] =
    &["pytest", "_pytest", "unittest", "mock", "hypothesis", "pluggy", "doctest", "nose", "tox", "nox"];

/// Is a file with this path loaded by what runs tests?
pub(super) fn is_loaded(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let Some((name, folders)) = parts.split_last() else { return false };
    NAMES.contains(name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || folders.iter().any(|folder| FOLDERS.contains(folder))
        || (folders.last() == Some(&CARGO.0) && CARGO.1.contains(name))
        || (folders.contains(&VENDORED.0) && VENDORED.1.iter().any(|asserts| path.contains(asserts)))
        || is_taken_for_module(&parts)
}

/// `pytest.py` or `unittest/__init__.py`, at the root or one folder below.
fn is_taken_for_module(parts: &[&str]) -> bool {
    let module = match parts {
        [module, "__init__.py"] | [_, module, "__init__.py"] => Some(*module),
        [file] | [_, file] => file.strip_suffix(".py"),
        _ => None,
    };
    module.is_some_and(|module| MODULES.contains(&module))
}
