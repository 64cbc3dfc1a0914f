//! Tests that the clients' source contains no forbidden calls, so neither a mistake nor a malicious text can
//! cause such a call. The tests search the source of each client for words that forbidden calls contain. The
//! tests also compare the writes in the source with a list of allowed writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests may fail them")]

use std::path::{Path, PathBuf};

/// Words in REST and GraphQL calls that approve, merge, or change code or branches. No client of a forge may
/// contain these words.
const ABSENT: &[&str] = &[
    // Verdicts in reviews of pull requests.
    "\"APPROVE\"",
    "dismissals",
    "submitPullRequestReview",
    // Merges of pull requests.
    "\"merges\"",
    "mergePullRequest",
    "closePullRequest",
    "enablePullRequestAutoMerge",
    "enqueuePullRequest",
    "auto-merge",
    // Changes of branches and files.
    "\"refs\"",
    "deleteRef",
    "updateRef",
    "git push",
    "\"src\"",
    "\"browse\"",
    "\"cherry-pick\"",
    "\"rebase\"",
    "apply-suggestion",
];

/// Words that the client of one forge must not contain, although the clients of other forges may contain
/// them.
const ABSENT_IN: &[(&str, &[&str])] = &[
    ("github", &["\"merge\"", "createCommitOnBranch"]),
    // Verdicts at both kinds of Bitbucket, and the ends of forbidden paths. Only the files `wire.rs`, which
    // parse responses, contain the word for approvals.
    (
        "bitbucket",
        &[
            "\"approve\"",
            "approve\"]",
            "\"APPROVED\"",
            "\"reopen\"",
            "\"review\"]",
            "\"patch\"",
            "\"branches\"",
        ],
    ),
];

/// Words for verdicts that only the files that parse responses may contain, and the mutation that only the
/// effect of a push may use.
const READ_ALONE: &[(&str, &[&str])] = &[
    ("\"APPROVED\"", &["wire.rs"]),
    ("\"approved\"", &["wire.rs"]),
    ("createCommitOnBranch", &["github/commits.rs"]),
];

/// Each write at Bitbucket: the source file, the expression that sends the write, and the number of times
/// that the file contains the expression. Every write must be in this list.
const WRITES: &[(&str, &str, usize)] = &[
    // Each tuple contains the file, the sending expression, and the number of uses.
    ("cloud/calls.rs", "ForgeRequest::create(", 3), // a comment, a pull request, declining
    ("cloud/calls.rs", "Method::PUT", 1),           // a comment's text
    ("cloud/calls.rs", "Method::POST", 2),          // resolving, requesting changes
    ("cloud/calls.rs", "Method::DELETE", 3), // a comment, reopening a thread, withdrawing our request for changes
    ("cloud/reviewers.rs", "Method::PUT", 1), // a pull request
    ("cloud/status.rs", "ForgeRequest::create(", 0),
    ("cloud/status.rs", "Method::PUT", 1),    // the report
    ("cloud/status.rs", "Method::POST", 2),   // its notes, the build status
    ("cloud/status.rs", "Method::DELETE", 1), // the earlier report
    ("data_center/calls.rs", "ForgeRequest::create(", 3),
    ("data_center/calls.rs", "Method::PUT", 4), // a comment's text, a thread, a pull request, our verdict
    ("data_center/calls.rs", "Method::POST", 1), // requesting a review
    ("data_center/calls.rs", "Method::DELETE", 1),
    ("data_center/status.rs", "ForgeRequest::create(", 1), // notes
    ("data_center/status.rs", "Method::PUT", 1),
    ("data_center/status.rs", "Method::POST", 1),
    ("data_center/status.rs", "Method::DELETE", 1),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                sources(&path, found);
            }
        } else if !path.ends_with("tests.rs") && !path.ends_with("testing.rs") {
            found.push(path);
        }
    }
}

/// Returns the part of a file before its tests.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.split("mod tests {").next().unwrap().to_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the code of one kind of forge: the files of its folder and the file next to that folder.
fn of_kind(kind: &str) -> Vec<(PathBuf, String)> {
    let mut all = vec![root().join(format!("{kind}.rs"))];
    sources(&root().join(kind), &mut all);
    all.into_iter().map(|path| (path.clone(), code(&path))).collect()
}

fn joined(kind: &str) -> String {
    of_kind(kind).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn no_call_approves_merges_or_changes_code() {
    let mut all = Vec::new();
    sources(&root(), &mut all);
    let text: String = all.iter().map(|path| code(path)).collect();
    for word in ABSENT {
        assert!(!text.contains(word), "the clients' source holds {word}");
    }
    for (kind, words) in ABSENT_IN {
        for (path, text) in of_kind(kind) {
            for word in *words {
                let read = READ_ALONE
                    .iter()
                    .any(|(known, files)| known == word && files.iter().any(|file| path.ends_with(file)));
                assert!(read || !text.contains(word), "{} holds {word}", path.display());
            }
        }
    }
}

#[test]
fn github_asks_for_changes_and_puts_in_one_place_each() {
    let text = joined("github");
    // The search works: it finds words that the source contains.
    for word in ["\"COMMENT\"", "Method::PATCH", "resolveReviewThread", "\"statuses\""] {
        assert!(text.contains(word), "{word}");
    }
    // The source contains only one request for changes, and no other verdict.
    assert_eq!(text.matches("REQUEST_CHANGES").count(), 1, "what asks for changes");
    // At GitHub, `PUT` requests merge pull requests, change files and dismiss reviews. The source contains
    // only one `PUT`, which merges a base into a branch on request.
    let puts: Vec<_> = text.match_indices("Method::PUT").collect();
    let updates: Vec<_> = text.match_indices("\"update-branch\"").collect();
    let ([(put, _)], [(update, _)]) = (&puts[..], &updates[..]) else {
        panic!("what puts: {puts:?} {updates:?}")
    };
    assert!(update < put && !text[*update..*put].contains("fn "), "what puts is another call");
    // The source closes only two kinds of objects: Truing's own pull requests and Truing's own issues.
    assert_eq!(text.matches("\"state\": \"closed\"").count(), 2, "what closes");
    let mutations: Vec<&str> =
        text.split("mutation(").skip(1).filter_map(|rest| rest.split('{').nth(1)).map(str::trim).collect();
    let known = [
        "convertPullRequestToDraft",
        "createCommitOnBranch",
        "markPullRequestReadyForReview",
        "resolveReviewThread",
        "unresolveReviewThread",
    ];
    for mutation in mutations {
        let name = mutation.split('(').next().unwrap();
        assert!(known.contains(&name), "a mutation that is not known here: {name}");
    }
}

#[test]
fn whatever_writes_at_a_bitbucket_is_in_the_list() {
    let writing = [
        "ForgeRequest::create(",
        "ForgeRequest::append(",
        "Method::PUT",
        "Method::POST",
        "Method::DELETE",
        "Method::PATCH",
    ];
    for (path, text) in of_kind("bitbucket") {
        for sends in writing {
            let known = WRITES.iter().find(|(file, one, _)| path.ends_with(file) && *one == sends);
            let allowed = known.map_or(0, |(.., count)| *count);
            assert_eq!(text.matches(sends).count(), allowed, "{} in {}", sends, path.display());
        }
    }
}

#[test]
fn a_merge_is_read_at_data_center_and_never_sent() {
    let places: Vec<(PathBuf, String)> =
        of_kind("bitbucket").into_iter().filter(|(_, text)| text.contains("\"merge\"")).collect();
    let [(path, text)] = &places[..] else { panic!("{places:?}") };
    assert!(path.ends_with("data_center/calls.rs"), "{}", path.display());
    assert_eq!(text.matches("\"merge\"").count(), 1);
    // The next call after this path in the source is a read.
    let after = text.split("\"merge\"").nth(1).unwrap();
    let next = after.find("self.get(").unwrap();
    assert!(
        !after[..next].contains("fn ") && !after[..next].contains("ForgeRequest::"),
        "the address is read"
    );
}

#[test]
fn the_verdicts_at_data_center_are_these() {
    let text = joined("bitbucket");
    let verdict = text.split("enum ParticipantStatus {").nth(1).unwrap().split('}').next().unwrap();
    let values = verdict.lines().map(str::trim).filter(|line| line.ends_with(',')).collect::<Vec<_>>();
    assert_eq!(values, ["NeedsWork,", "Unapproved,"]);
    assert_eq!(text.matches("\"status\": verdict").count(), 1, "what decides");
    for verdict in ["ParticipantStatus::NeedsWork", "ParticipantStatus::Unapproved"] {
        assert_eq!(text.matches(verdict).count(), 1, "{verdict}");
    }
    assert_eq!(text.matches("\"request-changes\"").count(), 1, "what decides at Cloud");
    assert_eq!(text.matches("\"participants\"").count(), 2, "asking for a review, and the verdict");
}
