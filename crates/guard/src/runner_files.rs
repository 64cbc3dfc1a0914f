//! Recognises files that a test runner, its compiler or its interpreter loads in addition to the tests:
//! set-up files, plugins, mocks and configuration. The module checks only the names and folders of the files.

const RUNNER_FILE_NAMES: &[&str] = &[
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

/// Prefixes of the names of files that runners load.
const RUNNER_FILE_PREFIXES: &[&str] = &[
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

/// Suffixes of the names of files that runners load.
const RUNNER_FILE_SUFFIXES: &[&str] = &[".pth"];

/// Folders from which a runner or interpreter can load any file by its name.
const LOADABLE_FOLDERS: &[&str] = &["__mocks__", "node_modules", "site-packages"];

/// The folder that contains cargo's configuration, and the names of the configuration files.
const CARGO_CONFIG_FILES: (&str, [&str; 2]) = (".cargo", ["config", "config.toml"]);

/// The folder for vendored modules, and parts of the paths that assertion libraries have in this folder.
const VENDORED_ASSERTION_LIBRARIES: (&str, &[&str]) =
    ("vendor", &["testify", "gomega", "ginkgo", "gomock", "go-cmp", "gotest.tools", "check.v1"]);

/// Python modules that tests import. A file with such a name at the root, or one folder below the root,
/// replaces the module.
const PYTHON_TEST_MODULES: &[&str] =
    &["pytest", "_pytest", "unittest", "mock", "hypothesis", "pluggy", "doctest", "nose", "tox", "nox"];

/// Folders that are usually on the interpreter's search path, in addition to the root.
const PYTHON_PATH_FOLDERS: &[&str] = &["src", "lib", "python", "test", "tests"];

/// Modules of Python's standard library that tests and their runner import.
const STANDARD_LIBRARY_MODULES: &[&str] = &[
    "abc",
    "argparse",
    "array",
    "ast",
    "asyncio",
    "base64",
    "bisect",
    "builtins",
    "calendar",
    "cmath",
    "code",
    "codecs",
    "collections",
    "contextlib",
    "contextvars",
    "copy",
    "csv",
    "ctypes",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "dis",
    "enum",
    "errno",
    "faulthandler",
    "filecmp",
    "fnmatch",
    "fractions",
    "functools",
    "gc",
    "getpass",
    "glob",
    "gzip",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "http",
    "importlib",
    "inspect",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "linecache",
    "locale",
    "logging",
    "math",
    "numbers",
    "operator",
    "os",
    "pathlib",
    "pickle",
    "platform",
    "pprint",
    "random",
    "re",
    "secrets",
    "shlex",
    "shutil",
    "signal",
    "site",
    "socket",
    "sqlite3",
    "ssl",
    "statistics",
    "string",
    "struct",
    "subprocess",
    "sys",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "timeit",
    "tomllib",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "urllib",
    "uuid",
    "warnings",
    "weakref",
    "xml",
    "zipfile",
    "zlib",
    "zoneinfo",
];

/// Names of folders with copies of third-party code.
const VENDOR_FOLDERS: &[&str] = &["vendor", "third_party", "node_modules", "site-packages"];

/// Returns true for a module of Python's standard library.
pub(super) fn is_standard_module(name: &str) -> bool {
    STANDARD_LIBRARY_MODULES.contains(&name)
}

/// Returns true for a file in a folder with third-party code.
pub(super) fn is_vendored(path: &str) -> bool {
    path.rsplit('/').skip(1).any(|folder| VENDOR_FOLDERS.contains(&folder))
}

/// Returns true if the test runner loads a file with this path.
pub(super) fn is_loaded_by_runner(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let Some((name, folders)) = parts.split_last() else { return false };
    RUNNER_FILE_NAMES.contains(name)
        || RUNNER_FILE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || RUNNER_FILE_SUFFIXES.iter().any(|ending| name.ends_with(ending))
        || folders.iter().any(|folder| LOADABLE_FOLDERS.contains(folder))
        || (folders.last() == Some(&CARGO_CONFIG_FILES.0) && CARGO_CONFIG_FILES.1.contains(name))
        || (folders.contains(&VENDORED_ASSERTION_LIBRARIES.0)
            && VENDORED_ASSERTION_LIBRARIES.1.iter().any(|asserts| path.contains(asserts)))
        || shadows_python_module(&parts)
}

/// Returns true for a file that replaces a Python module, such as `pytest.py` or `unittest/__init__.py`, at
/// the root or one folder below it.
fn shadows_python_module(components: &[&str]) -> bool {
    let (folder, module) = match components {
        [module, "__init__.py"] => (None, Some(*module)),
        [folder, module, "__init__.py"] => (Some(*folder), Some(*module)),
        [file] => (None, file.strip_suffix(".py")),
        [folder, file] => (Some(*folder), file.strip_suffix(".py")),
        _ => (None, None),
    };
    let is_on_path = folder.is_none_or(|folder| PYTHON_PATH_FOLDERS.contains(&folder));
    module.is_some_and(|module| {
        PYTHON_TEST_MODULES.contains(&module) || is_on_path && STANDARD_LIBRARY_MODULES.contains(&module)
    })
}
