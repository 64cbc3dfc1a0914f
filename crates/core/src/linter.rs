//! Names of linters and output formats, as users write them in a configuration. The modules that parse linter
//! outputs define the meaning of these names.

/// Formats of diagnostics: first the generic formats, then the formats of single tools.
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
    "typos-json",
    "diff",
    "paths",
    "rustfmt",
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

/// Names of known linters.
pub const LINTERS: &[&str] = &[
    "actionlint",
    "ast-grep",
    "bandit",
    "basedpyright",
    "biome",
    "biome-format",
    "black",
    "clang-tidy",
    "clippy",
    "codespell",
    "cppcheck",
    "detect-secrets",
    "eslint",
    "flake8",
    "gitleaks",
    "go vet",
    "gofmt",
    "golangci-lint",
    "hadolint",
    "isort",
    "ktlint",
    "markdownlint-cli2",
    "mypy",
    "oxlint",
    "phpcs",
    "phpstan",
    "prettier",
    "pylint",
    "pyright",
    "rubocop",
    "ruff",
    "ruff-format",
    "rustfmt",
    "semgrep",
    "shellcheck",
    "shfmt",
    "sqlfluff",
    "stylelint",
    "swiftlint",
    "tflint",
    "tsc",
    "typos",
    "yamllint",
    "zizmor",
];

/// Additional names of known linters that occur in outputs.
pub const ALIASES: &[&str] = &["Semgrep OSS", "Semgrep PRO"];

/// Returns the output format with this name, compared case-insensitively.
pub fn linter_output_format(name: &str) -> Option<&'static str> {
    FORMATS.iter().find(|format| format.eq_ignore_ascii_case(name.trim())).copied()
}

/// Returns true for the name or alias of a known linter, case-insensitively.
pub fn is_known(name: &str) -> bool {
    LINTERS.iter().chain(ALIASES).any(|known| known.eq_ignore_ascii_case(name.trim()))
}
