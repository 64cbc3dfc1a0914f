//! Checks that ARCHITECTURE.md and the comments of modules name only existing files, folders and modules.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use regex::Regex;

use super::report::CheckReport;
use crate::workspace::{self, TrackedFile};

/// The document that is checked.
const DOCUMENT_PATH: &str = "ARCHITECTURE.md";

/// Matches a module of a crate: `store::sqlite::lease`.
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static MODULE_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([a-z_]+)::([a-z_]+)((?:::\w+)*)$").unwrap());
/// Matches one name in parentheses, which is how the comment of a module names its parts: (`lease`).
#[expect(clippy::unwrap_used, reason = "the pattern is a constant, and a test compiles it")]
static PART_PATTERN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\(`([a-z_]+)`\)").unwrap());

/// Checks every path between backquotes of the document that begins with `crates/`, `docs/`, `xtask/` or a
/// crate's name. The document may leave out the folder `src` and the ending: `core/slot` in place of
/// `crates/core/src/slot.rs`. Also checks modules of crates (`core::slot`), in the document and in the
/// comments of modules.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let text = read_text(&root.join(DOCUMENT_PATH))?;
    let mut files = workspace::tracked_files(root)?;
    files.retain(|file| file.path.ends_with(".rs"));
    let mut checked_count = 0;
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for name in quoted_names(line) {
            let Some(exists) = path_exists(root, name).or_else(|| module_exists(root, name)) else {
                continue;
            };
            checked_count += 1;
            if !exists {
                problems.push(format!("{DOCUMENT_PATH}:{number}: `{name}` is not there"));
            }
        }
    }
    for file in &files {
        problems.extend(missing_parts(root, file, &files));
    }
    Ok(CheckReport::Completed {
        summary: format!("{checked_count} paths in {DOCUMENT_PATH}, and {} files", files.len()),
        problems,
        warnings: Vec::new(),
    })
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Returns the texts between backquotes that may be names of files or modules.
fn quoted_names(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|text| !text.contains(char::is_whitespace))
}

/// Returns true if a path exists; `None` if the text is no path in the repository.
fn path_exists(root: &Path, path: &str) -> Option<bool> {
    if ["crates/", "docs/", "xtask/"].iter().any(|folder| path.starts_with(folder)) {
        return Some(root.join(path).exists());
    }
    let (name, rest) = path.split_once('/')?;
    let folder = crate_folder(root, name)?;
    let is_name =
        |part: &str| part.chars().all(|letter| letter.is_ascii_lowercase() || "_/.".contains(letter));
    let places = [format!("src/{rest}"), format!("src/{rest}.rs"), rest.to_owned()];
    is_name(rest).then(|| places.iter().any(|place| root.join(&folder).join(place).exists()))
}

/// Returns true if a module of a crate exists; `None` if the text is no module of a crate. After the first
/// module, the text may name an item.
fn module_exists(root: &Path, path: &str) -> Option<bool> {
    let found = MODULE_PATTERN.captures(path)?;
    let name = found.get(1)?.as_str();
    let sources = root.join(crate_folder(root, name.strip_prefix("truing_").unwrap_or(name))?).join("src");
    let module = found.get(2)?.as_str();
    Some(sources.join(module).is_dir() || sources.join(format!("{module}.rs")).exists())
}

/// Returns the folder of a crate, relative to the root.
fn crate_folder(root: &Path, name: &str) -> Option<String> {
    let folder = format!("crates/{name}");
    (!name.is_empty() && root.join(&folder).is_dir()).then_some(folder)
}

/// Returns the names in the comment of a module that are neither modules nor words in the code of its crate.
fn missing_parts(root: &Path, file: &TrackedFile, files: &[TrackedFile]) -> Vec<String> {
    let is_comment = |line: &str| line.starts_with("//!");
    let comment: String =
        file.text.lines().filter(|line| is_comment(line)).map(|line| format!("{line}\n")).collect();
    let sources = file.path.split_once("/src/").map(|(folder, _)| format!("{folder}/src/"));
    let mut missing: Vec<&str> =
        quoted_names(&comment).filter(|name| module_exists(root, name) == Some(false)).collect();
    let parts: BTreeSet<&str> =
        PART_PATTERN.captures_iter(&comment).filter_map(|found| Some(found.get(1)?.as_str())).collect();
    if let Some(sources) = sources.filter(|_| !parts.is_empty()) {
        let own = || files.iter().filter(|other| other.path.starts_with(&sources));
        let is_module = |part: &str| {
            own().any(|other| {
                other.path.ends_with(&format!("/{part}.rs")) || other.path.contains(&format!("/{part}/"))
            })
        };
        let is_in_code = |part: &str| {
            let code = |other: &TrackedFile| {
                let mut lines = other.text.lines().filter(|line| !line.trim_start().starts_with("//"));
                lines.any(|line| {
                    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                        .any(|word| word == part)
                })
            };
            own().any(code)
        };
        missing.extend(parts.into_iter().filter(|part| !is_module(part) && !is_in_code(part)));
    }
    missing
        .into_iter()
        .map(|name| format!("{}: its comment names `{name}`, which is not there", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_modules_that_are_not_there() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("crates/core/src")).unwrap();
        std::fs::write(root.path().join("crates/core/src/slot.rs"), "").unwrap();
        for (name, expected) in [
            ("crates/core/src/slot.rs", Some(true)),
            ("core/slot.rs", Some(true)),
            ("core/src/slot.rs", Some(true)),
            ("crates/core/", Some(true)),
            ("core/slot", Some(true)),
            ("core::slot", Some(true)),
            ("core::slot::Slot", Some(true)),
            ("truing_core::slot::tests", Some(true)),
            ("core/gone", Some(false)),
            ("core/gone.rs", Some(false)),
            ("crates/gone", Some(false)),
            ("core::gone", Some(false)),
            ("core::gone::slot", Some(false)),
            ("a/b.rs", None),
            ("owner/name", None),
            ("std::slot", None),
            ("core", None),
        ] {
            let exists = path_exists(root.path(), name).or_else(|| module_exists(root.path(), name));
            assert_eq!(exists, expected, "{name}");
        }
    }

    #[test]
    fn names_parts_that_are_no_module_and_no_word_of_the_code() {
        let file = |path: &str, text: &str| TrackedFile { path: path.into(), text: text.into() };
        let files = [
            file(
                "crates/core/src/lib.rs",
                "//! Leases (`lease`), waits (`gone`), and (`word`).\nmod lease;\n",
            ),
            file("crates/core/src/lease.rs", "// gone\nlet word = 1;\n"),
            file("crates/store/src/gone.rs", ""),
        ];
        let missing = missing_parts(Path::new("/nonexistent"), &files[0], &files);
        assert_eq!(missing, ["crates/core/src/lib.rs: its comment names `gone`, which is not there"]);
    }
}
