//! Line patterns by name.
//!
//! The units of columns were checked with each tool, for source lines with tabs and non-ASCII letters before
//! the location. These outputs are stored next to the tests.

use crate::output::diagnostic::DiagnosticLevel;
use crate::output::patterns::LinePattern;
use crate::output::range::ColumnUnit::{self, Byte, CodePoint, Utf16};

/// Expands to an expression for a path up to a colon. The colon after a drive letter is part of the path.
macro_rules! path {
    ($($rest:literal),+) => {
        concat!(r"^(?P<path>(?:[A-Za-z]:[\\/])?[^:\s][^:]*(?::cell_\d+)?)", $($rest),+)
    };
}

/// Creates a row that has only a name, a tool, expressions and a unit. All other fields have default values.
const fn line_pattern(
    name: &'static str,
    tool: &'static str,
    line_expressions: &'static [&'static str],
    unit: ColumnUnit,
) -> LinePattern {
    LinePattern {
        name,
        tool,
        line_expressions,
        failure_line_expression: "",
        summary_expressions: &[],
        excerpt_expressions: &[],
        unit,
        units_by_rule_prefix: &[],
        end_is_inclusive: false,
        default_level: DiagnosticLevel::Warning,
        has_level_in_rule: false,
        notes_are_context: false,
    }
}

/// GCC, Clang, clang-tidy, and tools that print the same format (`cppcheck --template=gcc`, `shellcheck -f
/// gcc`).
///
/// Clang and Cppcheck count bytes. GCC counts bytes with `-fdiagnostics-column-unit=byte`. Without this
/// option, GCC 11 and later count the columns of a terminal, in which tabs and wide characters take several
/// columns. ShellCheck counts characters. Lines with the line number 0 do not match, because Cppcheck prints
/// them for messages about its own run.
pub static GCC: LinePattern = LinePattern {
    failure_line_expression: concat!(
        r"^(?:fatal )?error: |:0:(?:0:)? .*\[(?:missingFile|syntaxError|internalError",
        r"|cppcheckError)\]$"
    ),
    summary_expressions: &[
        r"^In file included from ",
        concat!(
            r"^(?:.*: )?(?:In|At) (?:static |member |lambda |copy |move )*(?:function|constructor",
            r"|destructor|instantiation|substitution|top level|global scope|file scope).*:$"
        ),
        r"^\S.*: At (?:top level|global scope):$",
        r"^\d+ (?:warnings?|errors?)(?: and \d+ errors?)? generated\.$",
        r"^Suppressed \d+ warnings? ",
        r"^Use -header-filter=",
        r"^(?:cc1\w*|compilation terminated\.|ninja: |make(?:\[\d+\])?: )",
        r"^Checking .* \.\.\.$",
        r"^(?:nofile|\*|\S+):0:(?:0:)? ",
        r"^\d+/\d+ files checked ",
    ],
    excerpt_expressions: &[r"^\s"],
    units_by_rule_prefix: &[("SC", CodePoint)],
    notes_are_context: true,
    ..line_pattern(
        "gcc",
        "",
        &[path!(
            r":(?P<line>[1-9]\d*):(?:(?P<column>\d+):)? *(?P<level>fatal error|error|warning|note",
            r"|remark|style|performance|portability|information|info): +(?P<message>.*?)(?: +\[",
            r"(?P<rule>[^\[\]\s]+)\])?$"
        )],
        Byte,
    )
};

/// Lines `path:line:column: message` or `path:line: message` of any tool.
pub static UNIX: LinePattern =
    line_pattern("unix", "", &[path!(r":(?P<line>\d+):(?:(?P<column>\d+):)?\s*(?P<message>\S.*)$")], Byte);

/// The formatters `unix` of ESLint and of Stylelint. Stylelint's formatter prints the rule before the level.
pub static ESLINT_UNIX: LinePattern = LinePattern {
    summary_expressions: &[r"^(?P<total>\d+) problems?$"],
    ..line_pattern(
        "eslint-unix",
        "eslint",
        &[
            path!(
                r":(?P<line>\d+):(?P<column>\d+): (?P<message>.*) \((?P<rule>[^()\s]+)\) \[",
                r"(?P<level>error|warning)\]$"
            ),
            path!(
                r":(?P<line>\d+):(?P<column>\d+): (?P<message>.*?) \[(?P<level>Error|Warning)(?:/",
                r"(?P<rule>\S+))?\]$"
            ),
        ],
        Utf16,
    )
};

/// The formatters `compact` of ESLint and of Stylelint.
pub static ESLINT_COMPACT: LinePattern = LinePattern {
    summary_expressions: &[r"^(?P<total>\d+) problems?$"],
    ..line_pattern(
        "eslint-compact",
        "eslint",
        &[concat!(
            r"^(?P<path>\S.*?): line (?P<line>\d+), col (?P<column>\d+), (?P<level>(?i:error",
            r"|warning)) - (?P<message>.*?)(?: \((?P<rule>[^()\s]+)\))?$"
        )],
        Utf16,
    )
};

/// Messages of the TypeScript compiler, with or without `--pretty`. Indented lines after a message explain
/// that message.
pub static TSC: LinePattern = LinePattern {
    summary_expressions: &[
        r"^(?P<none>Found 0 errors)\b",
        r"^Found (?P<total>\d+) errors?\b",
        r"^Errors  Files$",
        r"^\[?\d+:\d+:\d+",
        // It cannot write into the tree, and does not need to.
        r"^error TS5033: Could not write file '.*\.tsbuildinfo': ",
    ],
    excerpt_expressions: &[r"^\s", r"^\d+ "],
    // Every number except 5033.
    failure_line_expression: r"^error TS(?:[0-46-9]\d*|5(?:[1-9]\d*|0(?:[0-24-9]\d*|3[0-24-9]\d*))): ",
    default_level: DiagnosticLevel::Error,
    ..line_pattern(
        "tsc",
        "tsc",
        &[
            concat!(
                r"^(?P<path>\S.*?)\((?P<line>\d+),(?P<column>\d+)\): (?P<level>error|warning|message) ",
                r"(?P<rule>TS\d+): (?P<message>.*)$"
            ),
            path!(
                r":(?P<line>\d+):(?P<column>\d+) - (?P<level>error|warning|message) (?P<rule>TS\d+): ",
                r"(?P<message>.*)$"
            ),
        ],
        Utf16,
    )
};

/// MSBuild and the .NET compilers. The project's name is removed from the end of a message. The end of a
/// location is ignored, because these tools count it in different ways.
pub static MSBUILD: LinePattern = LinePattern {
    summary_expressions: &[
        r"^Build (?:started|succeeded|FAILED)\b",
        r"^(?:MSBuild version|Microsoft|Copyright|Time Elapsed|Restore complete) ?",
        r"^.* -> .*$",
    ],
    excerpt_expressions: &[r"^\s"],
    failure_line_expression: r"^\s*(?:MSBUILD|CSC)\s*: (?:fatal )?error ",
    ..line_pattern(
        "msbuild",
        "msbuild",
        &[concat!(
            r"^\s*(?:\d+>)?(?P<path>[^\s(][^()]*?)\((?P<line>\d+)(?:-\d+)?(?:,(?P<column>\d+)",
            r"(?:-\d+)?(?:,\d+,\d+)?)?\)\s*: (?:[A-Za-z]+ )?(?P<level>fatal error|error|warning",
            r"|info|message) (?P<rule>[A-Za-z]+\d+)\s*: (?P<message>.*?)(?: \[[^\[\]]+\])?$"
        )],
        Utf16,
    )
};

/// Flake8's default format. The checks of Flake8 itself count characters. Checks based on the syntax tree
/// (Pyflakes and most plugins) use the columns of the tree, which are bytes.
pub static FLAKE8: LinePattern = LinePattern {
    summary_expressions: &[r"^(?P<total>\d+)$", r"^\d+ +[A-Z]{1,4}\d{1,5} "],
    units_by_rule_prefix: &[("E", CodePoint), ("W", CodePoint)],
    ..line_pattern(
        "flake8",
        "flake8",
        &[path!(r":(?P<line>\d+):(?P<column>\d+): (?P<rule>[A-Z]{1,4}\d{1,5}) (?P<message>.*)$")],
        Byte,
    )
};

/// Pylint's formats `parseable`, which has no columns, and `text`, whose columns are bytes from 0.
pub static PYLINT: LinePattern = LinePattern {
    summary_expressions: &[r"^\*{5,} Module ", r"^-{3,}$", r"^Your code has been rated at "],
    has_level_in_rule: true,
    ..line_pattern(
        "pylint",
        "pylint",
        &[
            path!(
                r":(?P<line>\d+): \[(?P<rule>[A-Z]\d{4,5})(?:\((?P<title>[a-z0-9-]+)\))?,[^\]]*\] ",
                r"(?P<message>.*)$"
            ),
            path!(
                r":(?P<line>\d+):(?P<column0>\d+): (?P<rule>[A-Z]\d{4,5}): (?P<message>.*?)(?: \(",
                r"(?P<title>[a-z0-9-]+)\))?$"
            ),
        ],
        Byte,
    )
};

/// Mypy, with or without `--show-column-numbers` and `--show-error-end`; the end is inclusive. Columns are
/// bytes. (Mypy 2.4 with its own parser reports columns that are too small after letters beyond ASCII.)
pub static MYPY: LinePattern = LinePattern {
    summary_expressions: &[
        r"^Found (?P<total>\d+) errors? in \d+ files?",
        r"^(?P<none>Success: no issues found)",
    ],
    excerpt_expressions: &[r"^\s"],
    end_is_inclusive: true,
    failure_line_expression: r"^mypy: ",
    notes_are_context: true,
    ..line_pattern(
        "mypy",
        "mypy",
        &[path!(
            r":(?P<line>\d+):(?:(?P<column>\d+):(?:(?P<end_line>\d+):(?P<end_column>\d+):)?)? ",
            r"(?P<level>error|warning|note): (?P<message>.*?)(?:  \[(?P<rule>[a-z0-9-]+)\])?$"
        )],
        Byte,
    )
};

/// `go vet` and `go build`, in bytes.
pub static GOVET: LinePattern = LinePattern {
    summary_expressions: &[r"^# \S", r"^exit status \d+$"],
    excerpt_expressions: &[r"^\s"],
    ..line_pattern(
        "govet",
        "go vet",
        &[concat!(
            r"^(?:vet: )?(?P<path>(?:[A-Za-z]:[\\/])?[^:\s][^:]*\.go):(?P<line>\d+):(?:",
            r"(?P<column>\d+):)? (?P<message>.*)$"
        )],
        Byte,
    )
};

/// golangci-lint's format `text` (`line-number` in version 1), in bytes.
pub static GOLANGCI: LinePattern = LinePattern {
    summary_expressions: &[r"^(?P<total>\d+) issues?[.:]", r"^\* [\w-]+: \d+$", r"^level=(?:warning|info) "],
    failure_line_expression: r"^(?:level=error|Error: )",
    ..line_pattern(
        "golangci",
        "golangci-lint",
        &[path!(r":(?P<line>\d+):(?:(?P<column>\d+):)? (?P<message>.*) \((?P<rule>[a-z][a-z0-9_-]*)\)$")],
        Byte,
    )
};

/// actionlint's default format, in bytes.
pub static ACTIONLINT: LinePattern = LinePattern {
    summary_expressions: &[],
    excerpt_expressions: &[r"^\s+\|", r"^\s*\d+ \|"],
    default_level: DiagnosticLevel::Error,
    ..line_pattern(
        "actionlint",
        "actionlint",
        &[path!(r":(?P<line>\d+):(?P<column>\d+): (?P<message>.*) \[(?P<rule>[a-z][a-z0-9_-]*)\]$")],
        Byte,
    )
};

/// yamllint's format `parsable`, in characters.
pub static YAMLLINT: LinePattern = line_pattern(
    "yamllint",
    "yamllint",
    &[path!(
        r":(?P<line>\d+):(?P<column>\d+): \[(?P<level>error|warning)\] (?P<message>.*?)(?: \(",
        r"(?P<rule>[a-z-]+)\))?$"
    )],
    CodePoint,
);

/// RuboCop's formatter `emacs`, in characters.
pub static RUBOCOP: LinePattern = LinePattern {
    summary_expressions: &[
        r"^(?P<none>\d+ files? inspected, no offenses) ",
        r"^\d+ files? inspected, (?P<total>\d+) offenses? ",
        r"^Inspecting \d+ files?$",
    ],
    ..line_pattern(
        "rubocop",
        "rubocop",
        &[path!(
            r":(?P<line>\d+):(?P<column>\d+): (?P<level>[IRCWEF]): (?:\[(?:Correctable|Corrected",
            r"|Todo)\] )?(?P<rule>[A-Z]\w*(?:/\w+)+): (?P<message>.*)$"
        )],
        CodePoint,
    )
};

/// codespell's lines: a line number, a misspelling, and proposed corrections.
pub static CODESPELL: LinePattern = LinePattern {
    summary_expressions: &[r"^Used config files:$", r"^ +\d+: "],
    default_level: DiagnosticLevel::Note,
    ..line_pattern(
        "codespell",
        "codespell",
        &[path!(r":(?P<line>\d+): (?P<message>\S+ ==> \S.*)$")],
        CodePoint,
    )
};

/// PHPStan's format `raw`, without columns. The output contains the rule's name only with `-v`.
pub static PHPSTAN: LinePattern = LinePattern {
    summary_expressions: &[r"^Note: Using configuration file "],
    failure_line_expression: r"^\?:\?:",
    default_level: DiagnosticLevel::Error,
    ..line_pattern(
        "phpstan",
        "phpstan",
        &[path!(r":(?P<line>\d+):(?P<message>.*?)(?: \[identifier=(?P<rule>[A-Za-z0-9.]+)\])?$")],
        CodePoint,
    )
};

/// markdownlint-cli and markdownlint-cli2, which print the level since version 0.19.
pub static MARKDOWNLINT: LinePattern = LinePattern {
    summary_expressions: &[
        r"^markdownlint-cli2 v",
        r"^(?:Finding|Linting|Found): ",
        r"^(?P<none>Summary: 0 (?:error|issue)\(s\))",
        r"^Summary: (?P<total>\d+) (?:error|issue)\(s\)",
    ],
    ..line_pattern(
        "markdownlint",
        "markdownlint",
        &[path!(
            r":(?P<line>\d+)(?::(?P<column>\d+))? (?:(?P<level>error|warning) )?(?P<rule>[A-Za-z]+\d+)",
            r"(?:/(?P<title>[\w/-]+))? (?P<message>.*)$"
        )],
        Utf16,
    )
};

/// hadolint's format `tty`, which has no columns.
pub static HADOLINT: LinePattern = line_pattern(
    "hadolint",
    "hadolint",
    &[path!(r":(?P<line>\d+) (?P<rule>(?:DL|SC)\d+) (?P<level>error|warning|info|style): (?P<message>.*)$")],
    CodePoint,
);

/// `php -l`, which reports only line numbers and stops at the first error in a file. If PHP displays errors
/// and also logs them, each error is printed twice. The line with the prefix `PHP ` comes from the log.
pub static PHP: LinePattern = LinePattern {
    summary_expressions: &[r"^(?P<none>No syntax errors detected in )", r"^Errors parsing "],
    ..line_pattern(
        "php",
        "php",
        &[concat!(
            r"^(?:PHP )?(?P<level>Parse error|Fatal error|Warning|Deprecated|Notice): +",
            r"(?P<message>.*) in (?P<path>\S.*) on line (?P<line>\d+)$"
        )],
        CodePoint,
    )
};

/// Ruff's format `concise`, in characters.
pub static RUFF: LinePattern = LinePattern {
    summary_expressions: &[
        r"^(?P<none>All checks passed!)",
        r"^Found (?P<total>\d+) errors?",
        r"^\[\*\] \d+ ",
        r"^No fixes available ",
    ],
    ..line_pattern(
        "ruff",
        "ruff",
        &[path!(
            r":(?P<line>\d+):(?P<column>\d+): (?P<rule>[A-Z]{1,6}\d{3,4}|invalid-syntax):? ",
            r"(?:\[\*\] )?(?P<message>.*)$"
        )],
        CodePoint,
    )
};

pub static LINE_PATTERNS: &[&LinePattern] = &[
    &GCC,
    &UNIX,
    &ESLINT_UNIX,
    &ESLINT_COMPACT,
    &TSC,
    &MSBUILD,
    &FLAKE8,
    &PYLINT,
    &MYPY,
    &GOVET,
    &GOLANGCI,
    &ACTIONLINT,
    &YAMLLINT,
    &RUBOCOP,
    &CODESPELL,
    &PHPSTAN,
    &MARKDOWNLINT,
    &HADOLINT,
    &PHP,
    &RUFF,
];
