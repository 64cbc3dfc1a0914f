//! Tests that the parser never panics, returns a consistent result for any input, and reports the line of
//! each error.

use std::sync::LazyLock;

use diffy::patch_set::{ParseOptions, PatchSet};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use truing_diff::{DiffSpanReader, FileDiff, LineKind, ParseError, ParsedDiff, parse};

use crate::cases::{NEW, OLD};
use crate::repo::{Repo, check_hunk};

/// Diffs that git produces for every kind of change.
static REAL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let repo = Repo::new();
    repo.write_file("a.txt", &*OLD);
    repo.write_file("moved", &*OLD);
    repo.write_file("run", "1\n");
    repo.write_file("gone\t", "1\n2");
    repo.write_file("b.dat", "\0one");
    repo.link("a", "link");
    let from = repo.commit("before");
    repo.write_file("a.txt", &*NEW);
    repo.rename("moved", "moved too");
    repo.make_executable("run");
    repo.remove("gone\t");
    repo.write_file("b.dat", "\0two");
    repo.write_file("é", "1");
    repo.write_file("empty", "");
    repo.remove("link");
    repo.write_file("link", "1\r\n");
    let to = repo.commit("after");
    let diff = ["diff", "-M", "--binary", &from, &to];
    let mut diffs = vec![repo.git(&diff), repo.git(&["diff", "-U0", &from, &to])];
    diffs.push(repo.git(&["format-patch", "--stdout", "-1"]));
    diffs.push(repo.git(&["log", "-p"]));
    repo.git(&["checkout", "-qb", "side", &from]);
    repo.write_file("a.txt", OLD.replace("line 5\n", "side\n"));
    repo.commit("side");
    repo.try_git(&["merge", "-q", "main"]);
    repo.write_file("a.txt", NEW.replace("line 7\n", "both\n"));
    repo.commit("both");
    diffs.push(repo.git(&["log", "-p", "-c"]));
    diffs
});

/// Returns the outlines of a diff, and the error if there is one. The diff is read in pieces of `piece`
/// bytes.
fn read_outlines(input: &[u8], piece: usize) -> (Vec<Value>, Option<ParseError>) {
    let mut outlines = DiffSpanReader::default();
    input.chunks(piece).for_each(|piece| outlines.push_bytes(piece));
    outlines.finish();
    let (mut files, mut error) = (Vec::new(), None);
    while let Some(file) = outlines.pop_file() {
        match file {
            Ok(file) => files.push(serde_json::to_value(&file).unwrap()),
            Err(wrong) => error = Some(wrong),
        }
    }
    (files, error)
}

/// Checks the conditions that the parsed diff must meet for any input.
fn check_invariants(input: &[u8]) -> ParsedDiff<'_> {
    let parsed = parse(input);
    for FileDiff { added_lines: added, deleted_lines: deleted, hunks, .. } in &parsed.files {
        hunks.iter().for_each(check_hunk);
        let lines = hunks.iter().flat_map(|hunk| hunk.lines());
        let (mut new, mut old) = (0, 0);
        lines.for_each(|line| {
            new += u32::from(line.old_line.is_none());
            old += u32::from(line.new_line.is_none());
        });
        assert_eq!((*added, *deleted), (new, old));
        for pair in hunks.windows(2) {
            // Lines that are in both hunks must be unchanged lines.
            let shared = (pair[0].old_start + pair[0].old_lines).saturating_sub(pair[1].old_start);
            assert_eq!((pair[0].new_start + pair[0].new_lines).saturating_sub(pair[1].new_start), shared);
            let mut last = pair[0].lines().collect::<Vec<_>>().into_iter().rev().take(shared as usize);
            assert!(last.all(|line| line.kind == LineKind::Context));
            let mut first = pair[1].lines().take(shared as usize);
            assert!(first.all(|line| line.kind == LineKind::Context));
        }
    }
    let outlines = read_outlines(input, input.len() % 7 + 1);
    let told = parsed.files.iter().map(|file| serde_json::to_value(file).unwrap()).collect::<Vec<_>>();
    assert_eq!(outlines, (told, parsed.error.clone()));
    if let Some(error) = &parsed.error {
        assert!(error.byte_offset <= input.len());
        assert_eq!(error.line_number, input[..error.byte_offset].split(|byte| *byte == b'\n').count());
    }
    parsed
}

/// Lines that have a special meaning in a diff.
const LINES: [&str; 44] = [
    "diff --git a/x b/x",
    "diff --git \"a/\\303\\274\" \"b/\\303\\274\"",
    "diff --git x",
    "diff --cc x",
    "diff --combined \"x",
    "index 1111111..2222222 100644",
    "index 1,2..3",
    "old mode 100644",
    "new mode 100755",
    "new file mode 100644",
    "deleted file mode 1x",
    "rename from x",
    "rename to \"y\\t\"",
    "copy from x",
    "copy to z",
    "similarity index 90%",
    "--- a/x",
    "+++ b/x",
    "--- /dev/null",
    "+++ /dev/null",
    "--- \"a/x",
    "@@ -1 +1 @@",
    "@@ -1,2 +1,2 @@ f()",
    "@@ -4294967295,2 +1,2 @@",
    "@@ -18446744073709551615 +0 @@",
    "@@ -0,0 +0,0 @@",
    "@@@ -1 -1 +1 @@@",
    "@@@ -1,2 -1 +1,2 @@@ f()",
    "- x",
    " -x",
    "++x",
    "--x",
    "From 0123456789012345678901234567890123456789 Mon",
    "---",
    " x | 2 +-",
    "-x",
    "+x",
    " x",
    "",
    "\\ No newline at end of file",
    "Binary files a/x and b/x differ",
    "GIT binary patch",
    "literal 3",
    "KcmYe|VgLXEJpgS0",
];

proptest! {
    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        check_invariants(&bytes);
    }

    #[test]
    fn any_lines_of_a_diff(lines in prop::collection::vec(prop::sample::select(&LINES[..]), 0..24)) {
        check_invariants(lines.join("\n").as_bytes());
        check_invariants((lines.join("\n") + "\n").as_bytes());
    }

    #[test]
    fn real_diffs_cut_off(which: Index, at: Index) {
        let whole = which.get(&REAL);
        let end = at.index(whole.len() + 1);
        let (all, cut) = (check_invariants(whole), check_invariants(&whole[..end]));
        prop_assert_eq!(all.error, None);
        // Only the last file of the truncated diff may differ from the same file of the whole diff, because
        // the end of this file may be missing.
        prop_assert!(cut.files.len() <= all.files.len());
        let sure = cut.files.len().saturating_sub(1);
        prop_assert_eq!(&cut.files[..sure], &all.files[..sure]);
    }

    #[test]
    fn real_diffs_with_faults(which: Index, faults in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6)) {
        let mut diff = which.get(&REAL).clone();
        for (at, byte) in &faults {
            let at = at.index(diff.len());
            match byte % 3 {
                0 => diff[at] = *byte,
                1 => diff.insert(at, b'\n'),
                _ => {
                    diff.remove(at);
                }
            }
        }
        check_invariants(&diff);
    }

    #[test]
    fn real_diffs_without_some_lines(which: Index, drop in prop::collection::vec(any::<Index>(), 1..4)) {
        let diff = which.get(&REAL);
        let mut lines: Vec<&[u8]> = diff.split_inclusive(|byte| *byte == b'\n').collect();
        for at in drop {
            lines.remove(at.index(lines.len()));
        }
        check_invariants(&lines.concat());
    }
}

fn convert_diffy_line<'a>(line: &diffy::Line<'a, [u8]>) -> (LineKind, &'a [u8]) {
    let (kind, text) = match *line {
        diffy::Line::Context(text) => (LineKind::Context, text),
        diffy::Line::Delete(text) => (LineKind::Deleted, text),
        diffy::Line::Insert(text) => (LineKind::Added, text),
    };
    (kind, text.strip_suffix(b"\n").unwrap_or(text))
}

#[test]
fn diffy_reads_the_same_lines() {
    let mut compared = 0;
    // `diffy` does not parse merges.
    for diff in REAL.iter().filter(|diff| !parse(diff).files.iter().any(|file| file.is_combined)) {
        let parsed = check_invariants(diff);
        let git = ParseOptions::gitdiff();
        for (ours, theirs) in parsed.files.iter().zip(PatchSet::parse_bytes(diff, git)) {
            let theirs = theirs.unwrap();
            let theirs = theirs.patch().as_text().map_or(&[][..], |patch| patch.hunks());
            assert_eq!(ours.hunks.len(), theirs.len(), "{}", ours.path);
            for (ours, theirs) in ours.hunks.iter().zip(theirs) {
                let theirs: Vec<_> = theirs.lines().iter().map(convert_diffy_line).collect();
                assert_eq!(ours.lines().map(|line| (line.kind, line.text)).collect::<Vec<_>>(), theirs);
                compared += theirs.len();
            }
        }
    }
    assert!(compared > 100);
}

/// Returns the error's message and line, and the number of files before the error.
fn parse_error(input: &str) -> (String, usize, usize) {
    let parsed = check_invariants(input.as_bytes());
    let error = parsed.error.unwrap_or_else(|| panic!("no error: {input}"));
    (error.message, error.line_number, parsed.files.len())
}

#[test]
fn errors_say_what_and_where() {
    let file = "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n";
    for (bad, line, what) in [
        ("@@ -3,2 +3,2 @@\n 1\n", 10, "y: the input ends inside a hunk: 1 old and 1 new lines are missing"),
        ("@@ -3,2 +3,2 @@\n 1\nx\n", 10, "y: 1 old and 1 new lines of the hunk are missing"),
        ("@@ -3 +3,2 @@\n-1\n-2\n", 10, "y: the lines of the hunk do not match its header"),
        ("@@ -3 @@\n-1\n", 8, "y: a hunk header must read"),
        ("@@ -3,2 +3,0 @@\n-1\n-2\n@@ -4 +4 @@\n-1\n+2\n", 11, "y: the hunk overlaps changes"),
        ("@@ -0 +1 @@\n-1\n+2\n", 8, "y: the hunk has lines before line 1"),
        ("@@ -4294967295,2 +1,0 @@\n-1\n-2\n", 8, "y: the hunk is beyond line 4294967295"),
        ("", 8, "y: a hunk should follow"),
    ] {
        let diff = format!("{file}diff --git a/y b/y\n--- a/y\n+++ b/y\n{bad}");
        let (message, at, files) = parse_error(&diff);
        assert!(message.starts_with(what), "{message}");
        // The expected line number counts the seven lines of the previous file, but not the three header
        // lines of this file.
        assert_eq!((at, files), (line + 3, 1), "{bad}");
    }
    for (bad, line, what) in [
        ("\n@@ -1 +1 @@\n-1\n+2\n", 1, "no file header precedes this hunk"),
        ("text\n@@ -3,x +1 @@\n", 1, "no file header precedes this hunk"),
        ("text\n@@ -1 +1 @@\n", 1, "no file header precedes this hunk"),
        ("diff --git a/y b/z\nnew mode 100644\n", 0, "the header does not determine"),
        ("diff --git a/y b", 0, "the input ends inside the header"),
        (
            "diff --git a/y b/z\nrename from y\n",
            0,
            "the header has only one of the two file names (old and new)",
        ),
        ("diff --git a/y b/y\nold mode rw\n", 1, "the mode is not an octal number"),
        ("diff --git a/y b/y\n--- \"a/y\n", 1, "the name of the file is not quoted"),
        ("diff --git a/y b/y\n--- a/y\n@@ -1 +1 @@\n", 2, "a `+++` line should follow"),
        ("diff --git a/y b/y\nGIT binary patch\nx\n", 2, "a `literal` or `delta` line should follow"),
        (
            "diff --git a/y b/y\nGIT binary patch\nliteral 1\nIcmZQ",
            3,
            "the line is not valid content of a git binary patch",
        ),
        (
            "diff --git a/y b/y\nGIT binary patch\nliteral 1\nA12345\n\ndelta 1\n",
            6,
            "the input ends inside a binary",
        ),
        ("diff --git a/y b/y\nGIT binary patch\nliteral 1\n", 3, "the input ends inside a binary patch"),
    ] {
        let (message, at, files) = parse_error(&format!("{file}{bad}"));
        assert!(message.starts_with(what), "{message}");
        assert_eq!((at, files), (line + 8, 1), "{bad}");
    }
    let shown = check_invariants(b"@@ -1 +1 @@\n").error.unwrap().to_string();
    assert_eq!(shown, "the diff is malformed at line 1 (byte 0): no file header precedes this hunk");
}

#[test]
fn text_that_is_no_diff_is_an_error_at_its_first_line() {
    for (input, byte, line) in [
        ("<!DOCTYPE html>\n<title>Sign in</title>\n", 0, 1),
        ("{\"message\":\"Not Found\"}", 0, 1),
        ("\n  \nfatal: bad revision\n", 4, 3),
        ("\x1b[1mdiff --git a/x b/x\x1b[m\n", 0, 1),
        ("* commit 0123456789012345678901234567890123456789\n| diff --git a/x b/x\n", 0, 1),
        ("--- a/x\n+++ b/x\n", 0, 1),
        ("commit to it\n", 0, 1),
        ("diff --git is what git prints\n", 0, 1),
    ] {
        let parsed = check_invariants(input.as_bytes());
        let error = parsed.error.unwrap_or_else(|| panic!("no error: {input}"));
        assert_eq!((error.byte_offset, error.line_number, parsed.files.len()), (byte, line, 0), "{input}");
        assert!(error.message.starts_with("this is not a unified diff"), "{input}");
    }
    let header = check_invariants(b"text\n--- a/x\n+++ b/x\n@@ -1,y +1 @@\n-1\n+2\n").error.unwrap();
    assert_eq!((header.byte_offset, header.line_number), (21, 4));
}

#[test]
fn an_empty_diff_and_commits_without_one_are_no_error() {
    for input in [
        "",
        "\n \r\n\t",
        "commit 0123456789012345678901234567890123456789 (HEAD -> main)\nAuthor: a\n\n    x\n",
        "tag v1\n\ncommit 0123abc\r\nMerge: 1 2\r\n",
        "From 0123456789012345678901234567890123456789 Mon\nSubject: [PATCH 0/3] x\n\nwhy\n",
        "* Unmerged path x\n",
    ] {
        assert_eq!(check_invariants(input.as_bytes()), ParsedDiff { files: vec![], error: None }, "{input}");
    }
}

#[test]
fn a_line_of_any_length_is_read_in_pieces() {
    let long = "x".repeat(3 << 20);
    let diff =
        format!("{long}\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@ f\n-{long}\n+{long}\n+2\n");
    let (files, error) = read_outlines(diff.as_bytes(), 1 << 16);
    assert_eq!((files[0]["added"].as_u64(), files[0]["deleted"].as_u64(), error), (Some(2), Some(1), None));
    let (files, error) = read_outlines(format!("{diff}diff --git a/{long} b/{long}\n").as_bytes(), 1 << 16);
    let error = error.unwrap();
    assert_eq!((files.len(), error.line_number, error.byte_offset), (1, 9, diff.len()));
    assert_eq!(error.message, "the line is too long for the header of a file");
}
