//! What the clients cannot do. A call that is not written down cannot be made by mistake, nor by a text that was
//! believed: this looks for its words in the source.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::path::{Path, PathBuf};

/// GitHub's words for approving, merging, changing code and branches, by REST and by GraphQL.
const ABSENT: &[&str] = &[
    // Reviews that decide.
    "\"APPROVE\"",
    "dismissals",
    "submitPullRequestReview",
    // Merging.
    "\"merge\"",
    "\"merges\"",
    "mergePullRequest",
    "closePullRequest",
    "enablePullRequestAutoMerge",
    "enqueuePullRequest",
    // Branches and files.
    "\"refs\"",
    "deleteRef",
    "updateRef",
    "createCommitOnBranch",
    "git push",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if !path.ends_with("tests.rs") && !path.ends_with("testing.rs") {
            found.push(path);
        }
    }
}

/// Of each file what comes before its tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("mod tests {").next().unwrap().to_owned()
}

#[test]
fn no_call_approves_merges_or_changes_code() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let text: String = all.iter().map(|path| code(path)).collect();
    for word in ABSENT {
        assert!(!text.contains(word), "the clients' source holds {word}");
    }
    // The search sees what is there.
    for word in ["\"COMMENT\"", "Method::PATCH", "resolveReviewThread", "\"statuses\""] {
        assert!(text.contains(word), "{word}");
    }
    // A review may ask for changes, in one place; nothing else decides.
    assert_eq!(text.matches("REQUEST_CHANGES").count(), 1, "what asks for changes");
    // `PUT` merges, changes files and dismisses: but in one place, where a base comes into a branch that wants it.
    let puts: Vec<_> = text.match_indices("Method::PUT").collect();
    let updates: Vec<_> = text.match_indices("\"update-branch\"").collect();
    let ([(put, _)], [(update, _)]) = (&puts[..], &updates[..]) else {
        panic!("what puts: {puts:?} {updates:?}")
    };
    assert!(update < put && !text[*update..*put].contains("fn "), "what puts is another call");
    // A pull request of ours and an issue of ours are closed, each in one place.
    assert_eq!(text.matches("\"state\": \"closed\"").count(), 2, "what closes");
    let mutations: Vec<&str> =
        text.split("mutation(").skip(1).filter_map(|rest| rest.split('{').nth(1)).map(str::trim).collect();
    let known = [
        "convertPullRequestToDraft",
        "markPullRequestReadyForReview",
        "resolveReviewThread",
        "unresolveReviewThread",
    ];
    for mutation in mutations {
        let name = mutation.split('(').next().unwrap();
        assert!(known.contains(&name), "a mutation that is not known here: {name}");
    }
}
