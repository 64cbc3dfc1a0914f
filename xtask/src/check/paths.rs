//! Checks that ARCHITECTURE.md names only existing files and folders.

use std::path::Path;

use anyhow::{Context, Result};

use super::report::CheckReport;

/// The document that is checked.
const DOCUMENT_PATH: &str = "ARCHITECTURE.md";

/// Checks every path between backquotes that begins with `crates/`, `docs/` or `xtask/`. Also checks paths
/// that end in `.rs` and begin with a crate's name. The document may leave out the folder `src`:
/// `core/slot.rs` instead of `core/src/slot.rs`.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let text = read_text(&root.join(DOCUMENT_PATH))?;
    let mut looked = 0;
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for path in quoted_paths(line) {
            let Some(places) = candidate_paths(root, path) else { continue };
            looked += 1;
            if !places.iter().any(|place| root.join(place).exists()) {
                problems.push(format!("{DOCUMENT_PATH}:{}: `{path}` is not there", number + 1));
            }
        }
    }
    Ok(CheckReport::Completed {
        summary: format!("{looked} paths in {DOCUMENT_PATH}"),
        problems,
        warnings: Vec::new(),
    })
}

fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Returns the texts between backquotes that look like paths.
fn quoted_paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains('/') && !text.contains(char::is_whitespace))
}

/// Returns the paths at which the file may be, relative to the root; `None` if the path is not checked.
fn candidate_paths(root: &Path, path: &str) -> Option<Vec<String>> {
    if ["crates/", "docs/", "xtask/"].iter().any(|folder| path.starts_with(folder)) {
        return Some(vec![path.to_owned()]);
    }
    let (first, rest) = path.split_once('/')?;
    if !path.ends_with(".rs") || !root.join("crates").join(first).is_dir() {
        return None;
    }
    Some(vec![format!("crates/{path}"), format!("crates/{first}/src/{rest}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_is_named_with_its_line() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("crates/core/src")).unwrap();
        std::fs::write(root.path().join("crates/core/src/slot.rs"), "").unwrap();
        let text = "`crates/core/src/slot.rs`, `core/slot.rs`, `core/src/slot.rs`, `crates/core/`\n\
                    `core/gone.rs`, a/b.rs, `crates/gone` and `owner/name`, `other/slot.rs`, `git log a/b`\n";
        std::fs::write(root.path().join(DOCUMENT_PATH), text).unwrap();
        let CheckReport::Completed { summary, problems, .. } = check(root.path()).unwrap() else {
            panic!("it can run")
        };
        assert_eq!(summary, "6 paths in ARCHITECTURE.md");
        assert_eq!(
            problems,
            [
                "ARCHITECTURE.md:2: `core/gone.rs` is not there",
                "ARCHITECTURE.md:2: `crates/gone` is not there"
            ]
        );
    }
}
