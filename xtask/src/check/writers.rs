//! Checks that only permitted files write to a forge. Only a file that names the trait `ForgeWrite` can call
//! its methods. Every write must pass through `forge::effects` (ADR 75, 76); any other file that names the
//! trait could bypass `forge::effects`.

use std::path::Path;

use anyhow::Result;

use super::code;
use super::report::CheckReport;
use crate::workspace::{self, TrackedFile};

/// The trait for writes to a forge.
const FORGE_WRITE_TRAIT: &str = "ForgeWrite";

/// The files that may name the trait, with the reasons.
const ALLOWED_FILES: &[(&str, &str)] = &[
    ("crates/core/src/port.rs", "lists the ports"),
    ("crates/core/src/port/effects.rs", "defines it"),
    ("crates/core/src/port/combined_ports.rs", "joins it with the side that reads"),
    ("crates/forge/src/effects.rs", "is the path"),
    ("crates/forge/src/forge_server.rs", "says that a server's clients have it"),
    ("crates/forge/src/any_forge_server.rs", "hands it on to the client of the kind"),
    ("crates/forge/src/publisher.rs", "hands it to the path"),
    ("crates/forge/src/github/client/effects.rs", "implements it"),
    ("crates/forge/src/bitbucket/client/effects.rs", "implements it"),
    ("crates/forge/src/bitbucket/tests.rs", "tries the client of a recorded forge"),
    ("crates/forge/src/github/tests/refusals.rs", "tries what a client says of refused writes"),
    ("crates/loops/src/review.rs", "hands it to the publisher"),
    ("crates/service/src/lib.rs", "says that a service's pull requests have it"),
];

/// Checks every source file that is not a test.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let files = workspace::tracked_files(root)?;
    let (at, problems) = find_writers(&files);
    Ok(CheckReport::Completed {
        summary: format!("{at} files name {FORGE_WRITE_TRAIT}"),
        problems,
        warnings: Vec::new(),
    })
}

/// Returns the number of files that name the trait, and a problem for each file that names the trait without
/// permission.
fn find_writers(files: &[TrackedFile]) -> (usize, Vec<String>) {
    let is_source = |file: &&TrackedFile| file.path.starts_with("crates/") && file.path.contains("/src/");
    let named =
        files.iter().filter(is_source).filter(|file| code::code_only(&file.text).contains(FORGE_WRITE_TRAIT));
    let named: Vec<&str> = named.map(|file| file.path.as_str()).collect();
    let is_known = |path: &str| ALLOWED_FILES.iter().any(|(known, _)| *known == path);
    let problems = named.iter().filter(|path| !is_known(path));
    let problems = problems
        .map(|path| format!("{path}: names {FORGE_WRITE_TRAIT}: perform an effect by `forge::effects`"));
    (named.len(), problems.collect())
}

#[test]
fn a_file_that_names_it_anew_is_told_and_one_that_talks_about_it_is_not() {
    let file = |path: &str, text: &str| TrackedFile { path: path.into(), text: text.into() };
    let files = [
        file("crates/loops/src/sync/new.rs", "use truing_core::port::ForgeWrite as _;"),
        file("crates/loops/src/sync/old.rs", "// Not by ForgeWrite."),
        file("crates/forge/src/effects.rs", "use truing_core::port::ForgeWrite;"),
        file("crates/forge/tests/it/effects.rs", "use truing_core::port::ForgeWrite as _;"),
    ];
    let (named, problems) = find_writers(&files);
    assert_eq!(named, 2);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("crates/loops/src/sync/new.rs"), "{problems:?}");
}
