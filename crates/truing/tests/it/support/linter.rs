//! Programs that stand for linters: scripts that print what those would.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Prints findings as ruff does, of lines `l = …` that neither a comment nor `ruff.toml` silences, and ends as ruff does. `$1` is `check`.
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

/// One finding of ruff's, on a line, in words of a shell that are put between double quotes.
pub(crate) fn says(message: &str, line: u32) -> String {
    format!(
        "printf '[{{\"code\":\"X1\",\"message\":\"%s\",\"filename\":\"%s/a.py\",\"location\":{{\"row\":{line},\"column\":1}},\
         \"end_location\":{{\"row\":{line},\"column\":2}},\"noqa_row\":{line},\"fix\":null}}]\\n' \"{message}\" \"$PWD\"\n"
    )
}

/// Installs a program in a folder below a home folder; the folder.
pub(crate) fn install(home: &Path, name: &str, text: &str) -> PathBuf {
    let folder = home.join("opt/bin");
    write_program(&folder.join(name), text);
    folder
}

/// Writes a file that can be run.
pub(crate) fn write_program(file: &Path, text: &str) {
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}
