//! Compares anchors with the results of a simple search that visits every line. Also tests the special cases
//! of forges.

use std::collections::BTreeSet;

use proptest::prelude::*;
use truing_diff::{
    AnchorKind, CommentAnchor, DiffSide, FileDiff, InexactAnchorReason, LineKind, RepoPath, added_ranges,
    find_anchor, parse,
};

/// Builds a diff of the file `x` from marks: `+`, `-` and ` ` for lines, and `|` for a gap between hunks.
fn build_diff(marks: &[char]) -> String {
    let mut diff = String::from("diff --git a/x b/x\n--- a/x\n+++ b/x\n");
    let (mut old, mut new) = (1, 1);
    for hunk in marks.split(|mark| *mark == '|').filter(|hunk| !hunk.is_empty()) {
        let count = |but: char| hunk.iter().filter(|mark| **mark != but).count();
        let (old_lines, new_lines) = (count('+'), count('-'));
        let start = |line: usize, lines: usize| if lines == 0 { line - 1 } else { line };
        diff +=
            &format!("@@ -{},{old_lines} +{},{new_lines} @@\n", start(old, old_lines), start(new, new_lines));
        hunk.iter().for_each(|mark| diff += &format!("{mark}text\n"));
        (old, new) = (old + old_lines + 4, new + new_lines + 4);
    }
    diff
}

/// Returns the commentable lines of a side, one set per hunk, by visiting every line.
fn commentable_lines(file: &FileDiff<'_>, side: DiffSide) -> Vec<BTreeSet<u32>> {
    let of = |kind, old, new| match (side, kind) {
        (DiffSide::New, LineKind::Added | LineKind::Context) => new,
        (DiffSide::Old, LineKind::Deleted | LineKind::Context) => old,
        (DiffSide::New, LineKind::Deleted) | (DiffSide::Old, LineKind::Added) => None,
    };
    let hunk_lines = |hunk: &truing_diff::Hunk<'_>| {
        hunk.lines().filter_map(|line| of(line.kind, line.old_line, line.new_line)).collect()
    };
    file.hunks.iter().map(hunk_lines).collect()
}

proptest! {
    #[test]
    fn an_anchor_is_on_the_lines_a_forge_accepts(
        marks in prop::collection::vec(prop::sample::select(&['+', '-', ' ', '|'][..]), 0..30),
        old: bool,
        start in 1_u32..50,
        length in 0_u32..12,
    ) {
        let diff = build_diff(&marks);
        let parsed = parse(diff.as_bytes());
        let side = if old { DiffSide::Old } else { DiffSide::New };
        let end = start + length;
        let asked: BTreeSet<u32> = (start..=end).collect();
        let got = find_anchor(&parsed.files, &"x".into(), side, start, end);
        let hunks = parsed.files.first().map(|file| commentable_lines(file, side)).unwrap_or_default();
        let most = hunks.iter().map(|lines| lines.intersection(&asked).count()).max().unwrap_or(0);
        let expected = match (parsed.files.len(), most) {
            (0, _) => (AnchorKind::Summary, Some(InexactAnchorReason::FileNotInDiff)),
            (_, 0) => (AnchorKind::File, Some(InexactAnchorReason::LinesNotInDiff)),
            (_, all) if all == asked.len() => (AnchorKind::Inline, None),
            _ => (AnchorKind::Inline, Some(InexactAnchorReason::Clamped)),
        };
        prop_assert_eq!((got.kind, got.reason), expected);
        let place: BTreeSet<u32> = (got.start_line..=got.end_line).collect();
        if got.kind == AnchorKind::Inline {
            prop_assert_eq!(place.len(), most);
            prop_assert!(place.is_subset(&asked));
            prop_assert!(hunks.iter().any(|lines| place.is_subset(lines)));
        } else {
            prop_assert_eq!(place, asked);
        }
    }

    #[test]
    fn added_ranges_are_the_added_lines(
        marks in prop::collection::vec(prop::sample::select(&['+', '-', ' ', '|'][..]), 0..30),
    ) {
        let diff = build_diff(&marks);
        let parsed = parse(diff.as_bytes());
        for file in &parsed.files {
            let ranges = added_ranges(file);
            let all: Vec<u32> = ranges.iter().flat_map(|(first, last)| *first..=*last).collect();
            let lines = file.hunks.iter().flat_map(|hunk| hunk.lines());
            let added: Vec<u32> =
                lines.filter(|line| line.kind == LineKind::Added).filter_map(|line| line.new_line).collect();
            prop_assert_eq!(all, added);
            prop_assert!(ranges.windows(2).all(|two| two[0].1 + 1 < two[1].0));
        }
    }
}

/// A diff that contains changes without lines, and a file that gets the previous name of another file.
const FILES: &str = "\
diff --git a/old.rs b/new.rs
similarity index 90%
rename from old.rs
rename to new.rs
--- a/old.rs
+++ b/new.rs
@@ -10,3 +10,4 @@
 a
-b
+c
+d
 e
@@ -30 +31 @@
-f
+g
diff --git a/new.rs b/third.rs
similarity index 100%
rename from new.rs
rename to third.rs
diff --git a/gone b/gone
deleted file mode 100644
--- a/gone
+++ /dev/null
@@ -1,2 +0,0 @@
-1
-2
diff --git a/link b/link
deleted file mode 100644
--- a/link
+++ /dev/null
@@ -1,2 +0,0 @@
-1
-2
diff --git a/link b/link
new file mode 120000
--- /dev/null
+++ b/link
@@ -0,0 +1 @@
+target
\\ No newline at end of file
diff --git a/from b/copy
similarity index 90%
copy from from
copy to copy
--- a/from
+++ b/copy
@@ -1 +1 @@
-1
+2
diff --git a/bin b/bin
index 1..2 100644
Binary files a/bin and b/bin differ
";

fn anchor_at(path: &str, side: DiffSide, start: u32, end: u32) -> CommentAnchor {
    let parsed = parse(FILES.as_bytes());
    assert_eq!(parsed.error, None);
    find_anchor(&parsed.files, &path.into(), side, start, end)
}

#[test]
fn names_are_those_of_the_side() {
    use AnchorKind::{File, Inline, Summary};
    use DiffSide::{New, Old};
    for (path, side, line, kind, found) in [
        ("new.rs", New, 11, Inline, "new.rs"),
        ("old.rs", Old, 11, Inline, "new.rs"),
        // The file that was named `new.rs` before the change is named `third.rs` after it.
        ("new.rs", Old, 11, File, "third.rs"),
        ("third.rs", New, 1, File, "third.rs"),
        ("old.rs", New, 11, Summary, "old.rs"),
        ("gone", Old, 2, Inline, "gone"),
        ("gone", New, 2, File, "gone"),
        ("link", Old, 2, Inline, "link"),
        ("link", New, 1, Inline, "link"),
        ("link", New, 2, File, "link"),
        ("copy", New, 1, Inline, "copy"),
        ("copy", Old, 1, Inline, "copy"),
        ("from", Old, 1, Summary, "from"),
        ("bin", New, 1, File, "bin"),
        ("none", New, 1, Summary, "none"),
    ] {
        let got = anchor_at(path, side, line, line);
        assert_eq!((got.kind, &got.path), (kind, &RepoPath::from(found)), "{path} {side:?}");
    }
}

#[test]
fn a_range_is_cut_to_the_hunk_that_has_most_of_it() {
    let lines = |start, end| {
        let got = anchor_at("new.rs", DiffSide::New, start, end);
        (got.kind, got.start_line, got.end_line, got.reason)
    };
    let cut = Some(InexactAnchorReason::Clamped);
    assert_eq!(lines(10, 13), (AnchorKind::Inline, 10, 13, None));
    assert_eq!(lines(1, 11), (AnchorKind::Inline, 10, 11, cut));
    assert_eq!(lines(13, 40), (AnchorKind::Inline, 13, 13, cut));
    assert_eq!(lines(1, 99), (AnchorKind::Inline, 10, 13, cut));
    assert_eq!(lines(14, 30), (AnchorKind::File, 14, 30, Some(InexactAnchorReason::LinesNotInDiff)));
    assert_eq!(lines(0, 11), (AnchorKind::File, 0, 11, Some(InexactAnchorReason::EmptyRange)));
    assert_eq!(lines(11, 10), (AnchorKind::File, 11, 10, Some(InexactAnchorReason::EmptyRange)));
    assert_eq!(lines(12, u32::MAX), (AnchorKind::Inline, 12, 13, cut));
    assert_eq!(anchor_at("bin", DiffSide::New, 1, 1).reason, Some(InexactAnchorReason::NoLines));
}

#[test]
fn json_is_that_of_the_command_line() {
    assert_eq!(
        serde_json::to_value(anchor_at("old.rs", DiffSide::Old, 1, 10)).unwrap(),
        serde_json::json!({
            "anchor": "inline", "path": "new.rs", "side": "old", "start_line": 10, "end_line": 10,
            "reason": "clamped",
        })
    );
}
