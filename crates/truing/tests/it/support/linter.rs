//! Provides scripts that replace linters and print output in their format.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Fake Ruff, a script that prints findings in Ruff's format and returns Ruff's exit codes. It reports each
/// line `l = …`, unless a `noqa` comment or `ruff.toml` disables the rule. Its first argument must be
/// `check`.
pub(crate) const RUFF: &str = r#"#!/bin/sh
[ "$1" = check ] || exit 9
exec awk '
BEGIN {
    printf "["
    while ((getline line < "ruff.toml") > 0) if (line ~ /E741|exclude/) quiet = 1
}
FILENAME ~ /^-/ { nextfile }
/^ *l = / && !/noqa/ && !quiet {
    if (count++) printf ","
    printf "{\"code\":\"E741\",\"message\":\"Ambiguous variable name: `l`\",\"filename\":\"%s/%s\",", ENVIRON["PWD"], FILENAME
    printf "\"location\":{\"row\":%d,\"column\":1},\"end_location\":{\"row\":%d,\"column\":2},", FNR, FNR
    printf "\"noqa_row\":%d,\"fix\":null,\"url\":\"https://docs.astral.sh/ruff/rules/x\"}", FNR
}
END { print "]"; exit count > 0 }
' $(for word; do case "$word" in *.py) echo "$word" ;; esac; done)
"#;

/// Returns a shell command that prints one finding in Ruff's format on this line of `a.py`. The shell expands
/// variables in `message`.
pub(crate) fn ruff_finding_command(message: &str, line: u32) -> String {
    format!(
        "printf \
            '[{{\"code\":\"X1\",\"message\":\"%s\",\"filename\":\"%s/a.py\",\"location\":{{\"row\":{line},\"column\":1}},\"end_location\":{{\"row\":{line},\"column\":2}},\"noqa_row\":{line},\"fix\":null}}]\\n' \"{message}\" \"$PWD\"\n"
    )
}

/// Installs a program with this name in `opt/bin` below the home folder. Returns the path of `opt/bin`.
pub(crate) fn install(home: &Path, name: &str, text: &str) -> PathBuf {
    let folder = home.join("opt/bin");
    write_program(&folder.join(name), text);
    folder
}

/// Writes an executable file, and creates its folder if necessary.
pub(crate) fn write_program(file: &Path, text: &str) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}
