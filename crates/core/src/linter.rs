//! Names of linters and of the formats in which they print, as a configuration writes them. What they stand for is known
//! where outputs are read.

/// Formats of diagnostics: those of any tool, then those of one.
pub const FORMATS: &[&str] = &[
    "sarif",
    "rdjson",
    "rdjsonl",
    "checkstyle",
    "gitlab",
    "junit",
    "ast-grep-json",
    "bandit-json",
    "biome-json",
    "cargo-json",
    "detect-secrets-json",
    "eslint-json",
    "gitleaks-json",
    "golangci-json",
    "govet-json",
    "hadolint-json",
    "mypy-json",
    "oxlint-json",
    "pylint-json",
    "pyright-json",
    "rubocop-json",
    "ruff-json",
    "semgrep-json",
    "shellcheck-json",
    "sqlfluff-json",
    "stylelint-json",
    "actionlint",
    "codespell",
    "eslint-compact",
    "eslint-unix",
    "flake8",
    "gcc",
    "golangci",
    "govet",
    "hadolint",
    "markdownlint",
    "msbuild",
    "mypy",
    "php",
    "phpstan",
    "pylint",
    "rubocop",
    "ruff",
    "tsc",
    "unix",
    "yamllint",
];

/// Linters that are known, by name.
pub const LINTERS: &[&str] = &[
    "actionlint",
    "ast-grep",
    "bandit",
    "basedpyright",
    "biome",
    "clang-tidy",
    "clippy",
    "codespell",
    "cppcheck",
    "detect-secrets",
    "eslint",
    "flake8",
    "gitleaks",
    "go vet",
    "golangci-lint",
    "hadolint",
    "ktlint",
    "markdownlint-cli2",
    "mypy",
    "oxlint",
    "phpcs",
    "phpstan",
    "pylint",
    "pyright",
    "rubocop",
    "ruff",
    "semgrep",
    "shellcheck",
    "sqlfluff",
    "stylelint",
    "swiftlint",
    "tflint",
    "tsc",
    "yamllint",
    "zizmor",
];

/// Other names by which outputs call them.
pub const ALIASES: &[&str] = &["Semgrep OSS", "Semgrep PRO"];

/// The format of this name; letters in upper case count as those in lower case.
pub fn format_named(name: &str) -> Option<&'static str> {
    FORMATS.iter().find(|format| format.eq_ignore_ascii_case(name.trim())).copied()
}

/// True if a linter of this name is known: in letters of any case, also by a name that its outputs have for it.
pub fn is_known(name: &str) -> bool {
    LINTERS.iter().chain(ALIASES).any(|known| known.eq_ignore_ascii_case(name.trim()))
}
