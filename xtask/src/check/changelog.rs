//! Checks that `changelog.d` contains only fragments with the name and the form that the folder's README
//! requires.

use std::path::Path;

use anyhow::{Context, Result};

use super::report::CheckReport;

/// The kinds of change, as Keep a Changelog names them.
const CHANGE_KINDS: &[&str] = &["added", "changed", "fixed", "removed"];

/// Checks the fragments in `changelog.d`.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let folder = root.join("changelog.d");
    let mut fragments = 0;
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(&folder).context("cannot list changelog.d")? {
        let entry = entry.context("cannot list changelog.d")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        fragments += 1;
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        problems.extend(fragment_fault(&name, &text).map(|what| format!("changelog.d/{name}: {what}")));
    }
    problems.sort();
    Ok(CheckReport::Completed { summary: format!("{fragments} fragments"), problems, warnings: Vec::new() })
}

/// Returns the problem of a fragment, or none if the fragment is valid.
fn fragment_fault(name: &str, text: &str) -> Option<String> {
    let named = name
        .strip_suffix(".md")
        .and_then(|name| name.split_once('.'))
        .is_some_and(|(change, kind)| is_slug(change) && CHANGE_KINDS.contains(&kind));
    if !named {
        return Some(format!(
            "not named `<change>.<{}>.md`, the change in a-z, 0-9 and -",
            CHANGE_KINDS.join("|")
        ));
    }
    text.trim().is_empty().then(|| "it says nothing".to_owned())
}

fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_named_for_their_kind_and_say_something() {
        assert_eq!(fragment_fault("exact-once.added.md", "Findings are posted once.\n"), None);
        assert!(fragment_fault("exact-once.added.md", " \n").is_some());
        for name in [
            "exact-once.md",
            ".added.md",
            "exact-once.better.md",
            "Exact Once.added.md",
            "a.added.txt",
            "a.b.added.md",
        ] {
            assert!(fragment_fault(name, "Text.").is_some(), "{name}");
        }
    }
}
