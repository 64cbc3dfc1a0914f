//! Checks that only the listed files refer to a specific kind of forge, such as GitHub. The crates that
//! depend on `forge` use `Server` and `RepositoryClient`, which cover every kind of forge (ADR 78). Only code
//! that creates clients from a configuration may use the types of a specific kind.

use std::path::Path;

use anyhow::Result;

use super::code;
use super::report::CheckReport;
use crate::workspace::{self, TrackedFile};

/// The crates whose files may not name a specific kind of forge.
const FORGE_NEUTRAL_CRATES: &[&str] = &["config", "loops", "service", "truing"];

/// The folder of each kind in crate `forge`, and the prefix of its types' names.
const FORGE_KINDS: &[(&str, &str)] = &[("github", "GitHub"), ("bitbucket", "Bitbucket")];

/// The files that may name a kind of forge, with the reasons.
const ALLOWED_FILES: &[(&str, &str)] = &[
    ("crates/truing/src/wiring/forges.rs", "makes clients of a configuration"),
    ("crates/truing/src/demo/forge.rs", "makes the client of the demonstration"),
    ("crates/truing/src/cli/demo.rs", "lists the kinds that a person chooses among"),
    ("crates/config/src/defaults.rs", "has the addresses and variables of each kind"),
    ("crates/config/src/generate/starter_forge.rs", "writes the section of each kind"),
    ("crates/truing/src/cli/init.rs", "names the variables of each kind"),
    ("crates/truing/src/cli/review/target/origin.rs", "finds the kind of the server in an address"),
    ("crates/config/src/login.rs", "refuses a login that the kind does not have"),
];

/// Checks every source file in the crates of `FORGE_NEUTRAL_CRATES`, except tests.
pub(crate) fn check(root: &Path) -> Result<CheckReport> {
    let files = workspace::tracked_files(root)?;
    let (at, problems) = find_forbidden_uses(&files);
    Ok(CheckReport::Completed { summary: format!("{at} files"), problems, warnings: Vec::new() })
}

/// Returns the number of checked files, and a problem for each file that uses a kind of forge without
/// permission.
fn find_forbidden_uses(files: &[TrackedFile]) -> (usize, Vec<String>) {
    let sources: Vec<&TrackedFile> = files.iter().filter(|file| is_source_file(&file.path)).collect();
    let is_known = |file: &&&TrackedFile| ALLOWED_FILES.iter().any(|(known, _)| *known == file.path);
    let others = sources.iter().filter(|file| !is_known(file));
    let problems = others.flat_map(|file| {
        let code = code::code_only(&file.text);
        named_forge_kinds(&code).into_iter().map(|word| {
            format!("{}: names {word}: name `truing_forge::Server` or `RepositoryClient`", file.path)
        })
    });
    (sources.len(), problems.collect())
}

fn is_source_file(path: &str) -> bool {
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    let is_above = |name: &&str| path.starts_with(&format!("crates/{name}/src/"));
    path.ends_with(".rs") && !is_test && FORGE_NEUTRAL_CRATES.iter().any(is_above)
}

/// Returns the folders and types of a specific kind of forge that the code names, each once.
fn named_forge_kinds(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    let is_name = |char: char| char.is_alphanumeric() || char == '_';
    for (at, word) in split_words(code, is_name) {
        let rest = code.get(at + word.len()..).unwrap_or_default();
        let is_kinds = |(folder, types): &(&str, &str)| {
            word.starts_with(types) || (word == *folder && rest.trim_start().starts_with("::"))
        };
        if FORGE_KINDS.iter().any(is_kinds) && !named.iter().any(|known| known == word) {
            named.push(word.to_owned());
        }
    }
    named
}

/// Returns each word with its position.
fn split_words(code: &str, is_name: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = (usize, &str)> {
    code.split(move |char| !is_name(char)).scan(0, |next, word| {
        let at = *next;
        // After a word, the next character is a separator, which may have several bytes.
        let after = code.get(at + word.len()..).and_then(|rest| rest.chars().next());
        *next = at + word.len() + after.map_or(0, char::len_utf8);
        Some((at, word))
    })
}

#[test]
fn a_kind_is_named_where_clients_are_made_and_nowhere_else() {
    let file = |path: &str, text: &str| TrackedFile { path: path.into(), text: text.into() };
    let files = [
        file("crates/loops/src/sync/new.rs", "use truing_forge::github::Listing;"),
        file("crates/service/src/new.rs", "use truing_forge::{github::{GitHub as One}, marker};"),
        file(
            "crates/service/src/told.rs",
            "// GitHub, of truing_forge::github.\nlet github = \"GitHub\"; a.github(b);",
        ),
        file("crates/service/src/every.rs", "let a = ü; match server { Server::GitHub(_) => {} }"),
        file("crates/service/src/sweep/tests.rs", "use truing_forge::github::GitHub;"),
        file("crates/service/tests/it/crash.rs", "use truing_forge::github::GitHub;"),
        file("crates/truing/src/wiring/forges.rs", "use truing_forge::github::GitHub;"),
        file("crates/service/src/cloud.rs", "let server: truing_forge::bitbucket::BitbucketCloud = it;"),
        file("crates/forge/src/any_forge_server.rs", "use crate::github::GitHub;"),
    ];
    let (looked, problems) = find_forbidden_uses(&files);
    assert_eq!(looked, 6);
    let told: Vec<&str> = problems.iter().map(|told| told.split(": name `").next().unwrap_or(told)).collect();
    let expected = [
        "crates/loops/src/sync/new.rs: names github",
        "crates/service/src/new.rs: names github",
        "crates/service/src/new.rs: names GitHub",
        "crates/service/src/every.rs: names GitHub",
        "crates/service/src/cloud.rs: names bitbucket",
        "crates/service/src/cloud.rs: names BitbucketCloud",
    ];
    assert_eq!(told, expected);
}
