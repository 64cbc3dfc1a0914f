//! Tests that git's diff of two texts changes the old text into the new text, and does not apply to other
//! texts.

use proptest::prelude::*;
use truing_diff::{DiffSide, FileDiff, apply, matches_side, parse, undo_nearest_changes};

use crate::repo::Repo;

/// Generates texts with few different lines, because such lines make diffs ambiguous. The last line may lack
/// its line feed.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(&["a", "b", "", "c\r", "-", "+", "\\", "@@ -1 +1 @@", "--- a/x"][..]);
    (prop::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, ended)| {
        let mut text = lines.join("\n").into_bytes();
        if ended && !lines.is_empty() {
            text.push(b'\n');
        }
        text
    })
}

/// Returns git's diff of each pair of different texts, with the given number of unchanged lines around each
/// change.
fn diff(pairs: &[(Vec<u8>, Vec<u8>)], context: u8) -> Vec<u8> {
    let repo = Repo::new();
    for (number, (old, new)) in pairs.iter().enumerate() {
        repo.write_file(format!("old/{number}"), old);
        repo.write_file(format!("new/{number}"), new);
    }
    repo.try_git(&["diff", "--no-index", "--no-renames", &format!("-U{context}"), "old", "new"]).0
}

/// Returns the index of the file's pair of texts. [`diff`] uses this index as the file's name.
fn number(file: &FileDiff<'_>) -> usize {
    file.path.as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn gits_diff_of_two_texts_makes_the_new_one_of_the_old_one(
        pairs in prop::collection::vec((text(), text()), 12..13),
        context in 0_u8..4,
    ) {
        let diff = diff(&pairs, context);
        let parsed = parse(&diff);
        prop_assert_eq!(&parsed.error, &None);
        prop_assert_eq!(parsed.files.len(), pairs.iter().filter(|(old, new)| old != new).count());
        for file in &parsed.files {
            let (old, new) = &pairs[number(file)];
            prop_assert_eq!(apply(file, old), Some(new.clone()));
            prop_assert_eq!(undo_nearest_changes(file, new, 1..=u32::MAX), Some(old.clone()), "all are as near");
            prop_assert!(matches_side(file, DiffSide::Old, old) && matches_side(file, DiffSide::New, new));
        }
    }

    #[test]
    fn what_is_applied_to_a_text_with_other_lines_behind_the_hunks_fits_the_new_side(
        old in text(), new in text(), more in text(),
    ) {
        prop_assume!(old != new && old.ends_with(b"\n") && new.ends_with(b"\n"));
        let patch = diffy::create_patch_bytes(&old, &new).to_bytes();
        let parsed = parse(&patch);
        prop_assert_eq!(parsed.files.len(), 1);
        let file = &parsed.files[0];
        let made = apply(file, &[&old[..], &more].concat());
        prop_assert_eq!(made.as_deref(), Some(&[&new[..], &more].concat()[..]));
        prop_assert!(matches_side(file, DiffSide::New, &made.unwrap()));
    }
}

fn parse_only_file(diff: &[u8]) -> FileDiff<'_> {
    let parsed = parse(diff);
    assert_eq!(parsed.error, None);
    parsed.files.into_iter().next().unwrap()
}

#[test]
fn every_line_must_be_what_and_where_the_diff_says() {
    let diff = b"--- a/x\n+++ b/x\n@@ -2,3 +2,3 @@\n two\n-three\n+3\n four\n";
    let file = parse_only_file(diff);
    assert_eq!(apply(&file, b"1\ntwo\nthree\nfour\n5").unwrap(), b"1\ntwo\n3\nfour\n5");
    for other in [
        &b""[..],
        b"1\n",
        b"1\ntwo\nthree\n",
        b"1\ntwo\nthree\nfour",
        b"two\nthree\nfour\n",
        b"0\n1\ntwo\nthree\nfour\n",
        b"1\ntwo\nthree \nfour\n",
        b"1\r\ntwo\r\nthree\r\nfour\r\n",
        b"1\ntwo\n3\nfour\n",
    ] {
        assert_eq!(apply(&file, other), None, "{:?}", String::from_utf8_lossy(other));
    }
    assert!(matches_side(&file, DiffSide::New, b"1\ntwo\n3\nfour\n"));
}

#[test]
fn the_end_of_the_last_line_counts() {
    let cut = b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n";
    let file = parse_only_file(cut);
    assert_eq!(apply(&file, b"a\n").unwrap(), b"b");
    assert_eq!(apply(&file, b"a"), None);
    assert_eq!(apply(&file, b"a\nmore\n"), None, "a line without an end is the last");
    assert!(matches_side(&file, DiffSide::New, b"b") && !matches_side(&file, DiffSide::New, b"b\n"));
}

/// In `"$(git diff)"`, a shell removes the line feed at the end of the output.
#[test]
fn a_line_feed_that_is_missing_at_the_end_of_the_diff_is_there_in_the_file() {
    let file = parse_only_file(b"--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n a\n+b");
    assert_eq!(apply(&file, b"a\n").unwrap(), b"a\nb\n");
}

#[test]
fn blanks_that_a_mail_cut_off_do_no_harm() {
    let file = parse_only_file(b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n\n-1\n+2\n\n");
    assert_eq!(apply(&file, b"\n1\n\n").unwrap(), b"\n2\n\n");
}

#[test]
fn a_merge_is_known_as_one() {
    let combined = b"diff --cc x\nindex 1,2..3\n--- a/x\n+++ b/x\n@@@ -1,1 -1,1 +1,1 @@@\n--a\n++b\n";
    assert!(parse_only_file(combined).is_combined);
    assert!(!parse_only_file(b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n").is_combined);
}
