//! Known tools. [`KnownTool`] describes a tool: the signs that a repository uses it, the command that runs
//! it, and the severity of its diagnostics. The data file `tools.toml` lists the tools.

use crate::output::format::{NamedFormat, OutputContext};
use crate::output::json::reading::is_json_with_marks;
use crate::output::json::{cargo, go, javascript, python, ruby, search, secrets, shell, spelling, sql};
use crate::output::patterns::table;
use crate::output::report::DiagnosticReport;
use crate::output::{unformatted, unified_diff};

pub(crate) mod arguments;
pub mod commands;
pub mod exclude;
pub mod failure;
mod file_tags;
pub mod hooks;
pub(crate) mod ini;
pub mod pins;
pub(crate) mod script;
pub mod sign;
pub mod tool;
mod tool_table;
pub(crate) mod version;

pub use failure::FailureSearch;
pub use sign::{SignTarget, ToolSign};
pub use tool::{
    FILES_PLACEHOLDER, FetchedFolder, KnownTool, OutputStream, SIGN_PLACEHOLDER, SignOptions, SuggestedRun,
    ToolSeverities, UnreadExtent, UnreadRules, UnreadableText, fill_arguments, is_empty_without_findings,
};
pub use tool_table::{find_tool, known_tools, parse_tools};
pub use version::is_version;

/// Tools that search for secrets, as findings name them.
const SECRET_SCANNERS: &[&str] = &["gitleaks", "detect-secrets", "trufflehog"];

/// Creates the entry of a format whose lines are read by a pattern. Such a format is never recognised by
/// content, because the lines of different formats are too similar.
macro_rules! lines {
    ($name:literal, $tool:literal, $row:ident) => {
        NamedFormat {
            name: $name,
            tool: $tool,
            parse: |bytes: &[u8], input: &OutputContext<'_>| -> DiagnosticReport {
                table::$row.read(bytes, input)
            },
            matches: |_| false,
            is_line_based: true,
        }
    };
}

/// Creates the entry of a JSON format. The format is recognised by the first bracket of the output, and by
/// field names within the output's first bytes.
macro_rules! json {
    ($name:literal, $tool:literal, $read:path, $bracket:literal, [$($mark:literal),*]) => {
        NamedFormat { name: $name, tool: $tool, parse: $read,
            matches: |bytes| is_json_with_marks(bytes, $bracket, &[$($mark),*]), is_line_based: false }
    };
}

/// Formats that belong to one tool, sorted by name.
pub static NAMED_FORMATS: &[NamedFormat] = &[
    json!("ast-grep-json", "ast-grep", search::read_ast_grep, b'{', ["\"byteOffset\"", "\"metaVariables\""]),
    json!(
        "bandit-json",
        "bandit",
        python::read_bandit,
        b'{',
        ["\"errors\"", "\"generated_at\"", "\"metrics\""]
    ),
    json!("biome-json", "biome", javascript::read_biome, b'{', ["\"summary\"", "\"suggestedFixesSkipped\""]),
    json!("cargo-json", "clippy", cargo::read_cargo, b'{', ["\"reason\":", "\"package_id\":"]),
    json!(
        "detect-secrets-json",
        "detect-secrets",
        secrets::read_detect_secrets,
        b'{',
        ["\"plugins_used\"", "\"version\""]
    ),
    json!(
        "eslint-json",
        "eslint",
        javascript::read_eslint,
        b'[',
        ["\"filePath\"", "\"messages\"", "\"errorCount\""]
    ),
    json!("gitleaks-json", "gitleaks", secrets::read_gitleaks, b'[', ["\"RuleID\"", "\"Secret\""]),
    NamedFormat {
        name: "golangci-json",
        tool: "golangci-lint",
        parse: go::read_golangci,
        matches: go::is_golangci,
        is_line_based: false,
    },
    NamedFormat {
        name: "govet-json",
        tool: "go vet",
        parse: go::read_govet,
        matches: go::is_govet,
        is_line_based: false,
    },
    json!(
        "hadolint-json",
        "hadolint",
        shell::read_hadolint,
        b'[',
        ["\"code\":\"DL", "\"file\"", "\"level\""]
    ),
    json!("mypy-json", "mypy", python::read_mypy, b'{', ["{\"file\": ", "\"hint\": ", "\"code\": "]),
    json!(
        "oxlint-json",
        "oxlint",
        javascript::read_oxlint,
        b'{',
        ["\"diagnostics\"", "\"labels\"", "\"filename\""]
    ),
    json!(
        "pylint-json",
        "pylint",
        python::read_pylint,
        b'{',
        ["\"messages\"", "\"messageId\"", "\"symbol\""]
    ),
    json!("pyright-json", "pyright", python::read_pyright, b'{', ["\"generalDiagnostics\""]),
    json!("rubocop-json", "rubocop", ruby::read_rubocop, b'{', ["\"rubocop_version\"", "\"files\""]),
    json!("ruff-json", "ruff", python::read_ruff, b'[', ["\"noqa_row\"", "\"location\"", "\"filename\""]),
    json!("semgrep-json", "semgrep", search::read_semgrep, b'{', ["\"results\"", "\"check_id\""]),
    json!("shellcheck-json", "shellcheck", shell::read_shellcheck, b'{', ["\"comments\"", "\"endColumn\""]),
    json!("sqlfluff-json", "sqlfluff", sql::read_sqlfluff, b'[', ["\"filepath\"", "\"violations\""]),
    json!(
        "stylelint-json",
        "stylelint",
        javascript::read_stylelint,
        b'[',
        ["\"source\"", "\"invalidOptionWarnings\""]
    ),
    json!("typos-json", "typos", spelling::read_typos, b'{', ["\"type\":\"typo\"", "\"corrections\""]),
    NamedFormat {
        name: "diff",
        tool: "",
        parse: unified_diff::read,
        matches: unified_diff::is_unified_diff,
        is_line_based: false,
    },
    NamedFormat {
        name: "paths",
        tool: "",
        parse: unformatted::read_paths,
        matches: |_| false,
        is_line_based: false,
    },
    NamedFormat {
        name: "rustfmt",
        tool: "rustfmt",
        parse: unformatted::read_rustfmt,
        matches: unformatted::is_rustfmt,
        is_line_based: false,
    },
    lines!("actionlint", "actionlint", ACTIONLINT),
    lines!("codespell", "codespell", CODESPELL),
    lines!("eslint-compact", "eslint", ESLINT_COMPACT),
    lines!("eslint-unix", "eslint", ESLINT_UNIX),
    lines!("flake8", "flake8", FLAKE8),
    lines!("gcc", "", GCC),
    lines!("golangci", "golangci-lint", GOLANGCI),
    lines!("govet", "go vet", GOVET),
    lines!("hadolint", "hadolint", HADOLINT),
    lines!("markdownlint", "markdownlint", MARKDOWNLINT),
    lines!("msbuild", "msbuild", MSBUILD),
    lines!("mypy", "mypy", MYPY),
    lines!("php", "php", PHP),
    lines!("phpstan", "phpstan", PHPSTAN),
    lines!("pylint", "pylint", PYLINT),
    lines!("rubocop", "rubocop", RUBOCOP),
    lines!("ruff", "ruff", RUFF),
    lines!("tsc", "tsc", TSC),
    lines!("unix", "", UNIX),
    lines!("yamllint", "yamllint", YAMLLINT),
];

/// Returns true if the tool of this name, as findings name it, searches for secrets.
pub fn is_secret_scanner(name: &str) -> bool {
    SECRET_SCANNERS.contains(&name)
}

#[cfg(test)]
mod tests;
