//! Tests diffs in logs, mails, merges and the output of other programs.

use proptest::prelude::*;
use proptest::sample::Index;
use truing_diff::{
    AnchorKind, DiffSide, FileContent, FileDiff, FileStatus, LineTracker, RepoPath, added_ranges, apply,
    find_anchor, matches_side, parse,
};

use crate::cases::{NEW, OLD};
use crate::repo::{Repo, check_hunk, check_lines, line_counts};

/// Text with lines of dashes. If these lines are removed, the diff contains lines that look like separators
/// in a mail.
const DASHES: &str = "a\n--\n- \nz\n";

/// A commit message that imitates a diff.
const MESSAGE: &str = "Say what changed\n\nIt is like this:\n\ndiff --git a/not b/not\n--- a/not\n+++ b/not\n\
                       @@ -1 +1 @@\n-not\n+this\n\ndiff --git is a command\n";

/// Creates a repository with four commits. The ends of the commits' diffs are hard to detect, because some
/// lines look like separators in a mail or lack a line feed.
fn history(message: &str) -> Repo {
    let repo = Repo::new();
    repo.write_file("a.txt", format!("{DASHES}{}", *OLD));
    repo.write_file("end", "1\n2");
    repo.commit("first");
    repo.write_file("a.txt", &*NEW);
    repo.write_file("end", "1\n2\n");
    repo.commit(message);
    repo.write_file("end", "1\n2\n3");
    repo.write_file("odd\tname", "1\n");
    repo.make_executable("a.txt");
    repo.commit(message);
    repo.write_file("b.dat", "\0\u{1}");
    repo.remove("end");
    repo.commit(message);
    repo
}

/// Returns the path and the numbers of added and deleted lines of each file, as `path added deleted`.
fn summary(diff: &[u8]) -> Vec<String> {
    let parsed = parse(diff);
    assert_eq!(parsed.error, None, "{}", String::from_utf8_lossy(diff));
    parsed.files.iter().flat_map(|file| &file.hunks).for_each(check_hunk);
    parsed
        .files
        .iter()
        .map(|file| format!("{} {} {}", file.path, file.added_lines, file.deleted_lines))
        .collect()
}

/// Returns git's counts for the files of the last three commits, as `path added deleted`.
fn expected(repo: &Repo) -> Vec<String> {
    let of = |commit: &str| {
        let from = format!("{commit}^");
        repo.numstat(&[&from, commit])
            .iter()
            .map(|count| format!("{} {} {}", count.path, count.added, count.deleted))
            .collect::<Vec<_>>()
    };
    ["HEAD~2", "HEAD~1", "HEAD"].into_iter().flat_map(of).collect()
}

#[test]
fn a_log_is_its_diffs() {
    let repo = history(MESSAGE);
    for options in
        [&[][..], &["--binary"], &["--stat"], &["--format=%H"], &["--format=- %an"], &["--oneline"]]
    {
        let log = repo.git(&[&["log", "-p", "-M", "--reverse", "HEAD~3..HEAD"], options].concat());
        assert_eq!(summary(&log), expected(&repo), "{options:?}");
    }
    let shown = repo.git(&["show", "HEAD~2"]);
    assert_eq!(summary(&shown), expected(&repo)[..2]);
    assert_eq!(summary(&repo.git(&["log"])), Vec::<String>::new());
}

#[test]
fn mails_are_their_diffs_whatever_their_messages_say() {
    let repo = history(MESSAGE);
    for options in [&[][..], &["--no-binary"], &["--stat=10"], &["--attach"]] {
        let mails = repo.git(&[&["format-patch", "--stdout", "HEAD~3"], options].concat());
        assert_eq!(summary(&mails), expected(&repo), "{options:?}");
    }
}

#[test]
fn mails_without_statistics_are_their_diffs() {
    let repo = history("plain\n");
    let mails = repo.git(&["format-patch", "--stdout", "--no-stat", "HEAD~3"]);
    assert_eq!(summary(&mails), expected(&repo));
}

#[test]
fn a_diff_with_windows_line_ends_is_read() {
    let repo = history("plain\n");
    let log = repo.git(&["log", "-p", "--binary", "--reverse", "HEAD~3..HEAD"]);
    let windows: Vec<u8> = log
        .iter()
        .flat_map(|byte| if *byte == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(byte) })
        .copied()
        .collect();
    assert_eq!(summary(&windows), expected(&repo));
    let parsed = parse(&windows);
    let mut hunks = parsed.files.iter().flat_map(|file| &file.hunks);
    assert!(hunks.all(|hunk| !hunk.heading.ends_with(b"\r")));
}

#[test]
fn hunks_go_on_after_a_missing_line_end() {
    let end = "\\ No newline at end of file\n";
    let hunks = format!("@@ -1 +1 @@\n-1\n{end}+2\n{end}@@ -9 +9 @@ f()\n-1\n{end}+2\n");
    // Text that follows the second hunk makes `diffy` return an error.
    for after in ["", "-- \n2.0\n"] {
        let diff = format!("diff --git a/x b/x\n--- a/x\n+++ b/x\n{hunks}{after}");
        assert_eq!(summary(diff.as_bytes()), ["x 2 2"]);
        assert_eq!(parse(diff.as_bytes()).files[0].hunks[1].heading, b"f()");
    }
}

#[test]
fn a_missing_side_tells_what_happened_without_a_mode() {
    let diff = b"diff --git a/x b/x\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+1\n\
        diff --git a/y b/y\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n";
    assert_eq!(summary(diff), ["x 1 0", "y 0 1"]);
    let statuses: Vec<_> = parse(diff).files.iter().map(|file| file.status).collect();
    assert_eq!(statuses, [FileStatus::Added, FileStatus::Deleted]);
}

/// Creates a merge of two branches that changed the same line. The merge contains a third version of the
/// line, and one commit follows.
fn merged() -> Repo {
    let repo = Repo::new();
    repo.write_file("a b.txt", &*OLD);
    repo.write_file("k.txt", "1\n");
    repo.write_file("end", "1\n2\n3\n4\n");
    repo.commit("base");
    repo.git(&["checkout", "-qb", "side"]);
    repo.write_file("a b.txt", OLD.replace("line 5\n", "-- a/side 5\n"));
    repo.write_file("end", "1\n2\nside\n4\n");
    repo.commit("side");
    repo.git(&["checkout", "-q", "main"]);
    repo.write_file("a b.txt", OLD.replace("line 5\n", "-- a/main 5\n"));
    repo.write_file("end", "1\n2\nmain\n4\n5\n");
    repo.commit("main");
    repo.try_git(&["merge", "-q", "side"]);
    repo.write_file("a b.txt", OLD.replace("line 5\n", "++ b/both 5\n\n"));
    repo.write_file("end", "1\n2\n");
    repo.write_file("é", "new\n");
    repo.make_executable("a b.txt");
    repo.commit("merge");
    repo.write_file("k.txt", "2\n");
    repo.commit("after");
    repo
}

#[test]
fn a_merge_is_what_it_changes_of_its_first_parent() {
    let repo = merged();
    for options in [
        &["--cc"][..],
        &["-c"],
        &["-c", "-U0"],
        &["-c", "-U99"],
        &["-c", "-W"],
        &["--cc", "--combined-all-paths", "-M"],
    ] {
        let log = repo.git(&[&["log", "-p", "-n2", "--format=%s"], options].concat());
        let parsed = parse(&log);
        assert_eq!(parsed.error, None, "{options:?}");
        let seen: Vec<_> = parsed.files.iter().map(|file| (file.path.to_string(), file.status)).collect();
        let expected = [
            ("k.txt", FileStatus::Modified),
            ("a b.txt", FileStatus::Modified),
            ("end", FileStatus::Modified),
            ("é", FileStatus::Added),
        ];
        assert_eq!(seen, expected.map(|(path, status)| (path.to_owned(), status)), "{options:?}");
        assert_eq!(parsed.files[1].new_mode, Some(0o100_755));
        assert_eq!(line_counts(&parsed.files[1..]), repo.numstat(&["HEAD~2", "HEAD~1"]), "{options:?}");
        for file in &parsed.files[1..] {
            check_lines(&repo, file, "HEAD~2", "HEAD~1");
            let blob = |commit: &str| repo.try_git(&["show", &format!("{commit}:{}", file.path)]).0;
            assert_eq!(apply(file, &blob("HEAD~2")), Some(blob("HEAD~1")), "{options:?}");
            let anchored = find_anchor(&parsed.files, &file.path, DiffSide::New, 1, 1);
            assert_eq!(anchored.kind, AnchorKind::File, "a forge shows a merge otherwise");
        }
    }
}

#[test]
fn a_merge_of_many_is_read() {
    let repo = Repo::new();
    repo.write_file("x", "1\n2\n3\n");
    repo.commit("base");
    let sides = ["one", "two", "three"];
    for side in sides {
        repo.git(&["checkout", "-qb", side, "main"]);
        repo.write_file(format!("{side}.txt"), "1\n");
        repo.commit(side);
    }
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&[&["merge", "-q"], &sides[..]].concat());
    repo.write_file("x", "1\n\n4\n");
    repo.git(&["commit", "-qa", "--amend", "-m", "all"]);
    let shown = repo.git(&["show", "--cc"]);
    let [file] = &parse(&shown).files[..] else { panic!("one file") };
    assert_eq!((file.added_lines, file.deleted_lines, file.hunks.len()), (2, 2, 1));
    check_lines(&repo, file, "HEAD^", "HEAD");
}

#[test]
fn a_conflict_in_the_working_tree_is_read() {
    let repo = merged();
    repo.git(&["checkout", "-q", "HEAD~2"]);
    repo.try_git(&["merge", "-q", "side"]);
    let diff = repo.git(&["diff"]);
    let ours = repo.git(&["diff", "--ours"]);
    let plain: Vec<_> = parse(&ours).files.iter().map(|file| (file.path.clone(), file.added_lines)).collect();
    let merge: Vec<_> = parse(&diff).files.iter().map(|file| (file.path.clone(), file.added_lines)).collect();
    assert_eq!((plain.len(), merge), (2, plain));
}

#[test]
fn a_merge_that_is_cut_short_or_miscounted_is_malformed() {
    let head = "diff --cc x\nindex 1,2..3\n--- a/x\n+++ b/x\n";
    for (hunk, line, what) in [
        (
            "@@@ -1,1 -1,1 +1,1 @@@\n- a\n -b\n",
            8,
            "x: the input ends inside a hunk: 0 and 0 old and 1 new lines",
        ),
        ("@@@ -1,1 -1,1 +1,1 @@@\n- a\n++c\n", 8, "x: the input ends inside a hunk: 0 and 1 old and 0 new"),
        ("@@@ -1,1 -1,1 +1,1 @@@\n- a\n- b\n", 7, "x: the lines of the hunk do not match its header"),
        ("@@@ -1,1 -1,1 +1,1 @@@\n+-a\n", 6, "x: 1 and 1 old and 1 new lines of the hunk are missing"),
        ("@@@ -1,1 -1,1 +1,1 @@@\nx\n", 6, "x: 1 and 1 old and 1 new lines of the hunk are missing"),
        ("@@@ -1,1 +1,1 @@@\n- a\n", 5, "x: a hunk header of a merge must read"),
        (
            "@@@ -1 -1 +1 @@@\n- a\n -b\n++c\n@@@ -1 -1 +1 @@@\n- a\n -b\n++c\n",
            9,
            "x: the hunk overlaps changes",
        ),
    ] {
        let diff = format!("{head}{hunk}");
        let error = parse(diff.as_bytes()).error.unwrap();
        assert!(error.message.starts_with(what), "{}", error.message);
        assert_eq!(error.line_number, line, "{hunk}");
    }
    let lost = parse(b"text\n@@@ -1 -1 +1 @@@\n- a\n").error.unwrap();
    assert_eq!((lost.line_number, lost.message.as_str()), (2, "no file header precedes this hunk"));
}

/// With `-W`, a hunk begins at the line with the function's name. The hunk may therefore repeat lines from
/// the end of the previous hunk.
#[test]
fn hunks_that_show_the_same_unchanged_lines_are_read() {
    let repo = Repo::new();
    let (moved, list) = (
        "moved\n    # a\nother\n    # a\n",
        "list\n    # 0\n    # 1\n    # 2\n    # 3\n    # 4\n    # 5\n    # 6\n",
    );
    let (head, tail) = ("alpha\n    # a\nbeta\n    # b\n", "tail\n    # t\nend\n    # t\n");
    repo.write_file("list.txt", [head, moved, list, tail].concat());
    let from = repo.commit("before");
    repo.write_file("list.txt", [head, list, moved, tail].concat());
    let to = repo.commit("after");
    let diff = repo.git(&["diff", "-W", &from, &to]);
    let parsed = parse(&diff);
    assert_eq!(parsed.error, None, "{}", String::from_utf8_lossy(&diff));
    let [file] = &parsed.files[..] else { panic!("one file") };
    let [first, second] = &file.hunks[..] else { panic!("two hunks") };
    assert!(second.new_start < first.new_start + first.new_lines, "they are apart: {file:?}");
    assert_eq!(line_counts(&parsed.files), repo.numstat(&[&from, &to]));
    check_lines(&repo, file, &from, &to);
    assert_eq!(
        apply(file, [head, moved, list, tail].concat().as_bytes()),
        Some([head, list, moved, tail].concat().into())
    );
}

/// Generates a file of functions, with comments and other lines between the functions.
fn functions() -> impl Strategy<Value = String> {
    let line = prop::sample::select(
        &["def f():", "def g():", "    a = 1", "    b = 2", "", "# top", "    # in", "x"][..],
    );
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Two blocks of the file are exchanged, because such changes create neighbouring hunks.
    #[test]
    fn whole_functions_around_changes_are_read_as_git_counts_them(
        parts in prop::collection::vec(functions(), 2..6),
        swap: (Index, Index),
        context in 0..5_u32,
    ) {
        let repo = Repo::new();
        let before = parts.join("\n");
        repo.write_file("x.py", &before);
        let from = repo.commit("before");
        let mut parts = parts;
        let (one, other) = (swap.0.index(parts.len()), swap.1.index(parts.len()));
        parts.swap(one, other);
        let after = parts.join("\n");
        repo.write_file("x.py", &after);
        let to = repo.commit("after");
        let parsed = repo.git(&["diff", "-W", &format!("-U{context}"), &from, &to]);
        let parsed = parse(&parsed);
        prop_assert_eq!(&parsed.error, &None);
        for file in &parsed.files {
            check_lines(&repo, file, &from, &to);
            prop_assert_eq!(apply(file, before.as_bytes()), Some(after.clone().into_bytes()));
            let new = after.lines().collect::<Vec<_>>();
            for (first, last) in added_ranges(file) {
                let anchored = find_anchor(&parsed.files, &file.path, DiffSide::New, first, first);
                prop_assert_eq!((anchored.kind, anchored.start_line), (AnchorKind::Inline, first));
                prop_assert!(last as usize <= new.len());
            }
            let sources = [FileContent { path: &file.path, content: None }];
            let tracker = LineTracker::new(&parsed.files, &sources, &sources);
            for line in file.hunks.iter().flat_map(|hunk| hunk.lines()) {
                let Some(old) = line.old_line else { continue };
                prop_assert_eq!(tracker.track(&file.path, old, old).start_line, line.new_line, "line {}", old);
            }
        }
    }
}

/// Git prints such a diff for two changed functions. Both hunks show the unchanged lines between the
/// functions.
#[test]
fn lines_that_two_hunks_show_are_applied_once() {
    let diff = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,4 +1,5 @@\n a\n+new\n b\n c\n d\n@@ -3,4 +4,3 \
        @@ c\n c\n d\n-e\n f\n";
    let parsed = parse(diff);
    assert_eq!(parsed.error, None);
    let file = &parsed.files[0];
    assert_eq!((file.added_lines, file.deleted_lines), (1, 1));
    assert_eq!(apply(file, b"a\nb\nc\nd\ne\nf\ng\n").unwrap(), b"a\nnew\nb\nc\nd\nf\ng\n");
    assert!(matches_side(file, DiffSide::New, b"a\nnew\nb\nc\nd\nf\ng\n"));
    assert_eq!(added_ranges(file), [(2, 2)]);
    let anchored = find_anchor(&parsed.files, &file.path, DiffSide::New, 3, 6);
    assert_eq!((anchored.start_line, anchored.end_line), (3, 5));
    let other = String::from_utf8_lossy(diff).replace(" c\n c\n", " c\n C\n");
    let other = parse(other.as_bytes());
    assert_eq!(apply(&other.files[0], b"a\nb\nc\nd\ne\nf\ng\n"), None, "the hunks differ in what they share");
    let later = |text: &str| parse(text.as_bytes()).error.map(|error| (error.line_number, error.message));
    let text = String::from_utf8_lossy(diff);
    let changed = text.replace("@@ c\n c\n d\n-e", "@@ c\n c\n-d\n e");
    assert_eq!(
        later(&changed),
        Some((12, "x: this hunk changes the line, but the previous hunk shows it unchanged".to_owned()))
    );
    let uneven = later(&text.replace("+4,3 @@", "+5,3 @@")).unwrap();
    let before = later(&text.replace("@@ -3,4 +4,3 @@", "@@ -1,4 +2,3 @@")).unwrap();
    for (line, message) in [uneven, before] {
        assert!(
            line == 10 && message.starts_with("x: the hunk overlaps changes of the previous hunk"),
            "{message}"
        );
    }
}

#[test]
fn a_plain_unified_diff_is_read() {
    let diff = b"Index: x\n===\n--- x/one\t2026-01-01 00:00:00\n+++ y/one\t2026-01-02 00:00:00\n@@ -1 +1 \
        @@\n-1\n+2\n--- /dev/null\n+++ b/two\n@@ -0,0 +1 @@\n+1\n--- old.c\n+++ new.c\n@@ -1 +0,0 @@\n-1\n";
    let parsed = parse(diff);
    assert_eq!(parsed.error, None);
    let seen: Vec<_> = parsed.files.iter().map(|file| (file.path.to_string(), file.status)).collect();
    let expected =
        [("one", FileStatus::Modified), ("two", FileStatus::Added), ("new.c", FileStatus::Renamed)];
    assert_eq!(seen, expected.map(|(path, status)| (path.to_owned(), status)));
    assert_eq!(parsed.files[2].old_path, Some(RepoPath::from("old.c")));
}

#[test]
fn two_files_compared_outside_a_repository_are_a_rename() {
    let repo = Repo::new();
    repo.write_file("d1/x", "1\n");
    repo.write_file("d2/x", "2\n");
    let (diff, _) = repo.try_git(&["diff", "--no-index", "d1/x", "d2/x"]);
    let [FileDiff { path, old_path, status, .. }] = &parse(&diff).files[..] else { panic!("one file") };
    assert_eq!((path, old_path), (&"d2/x".into(), &Some("d1/x".into())));
    assert_eq!(*status, FileStatus::Renamed);
}

#[test]
fn blanks_cut_off_at_line_ends_do_no_harm() {
    let diff = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n\n-1\n+2\n\n";
    assert_eq!(summary(diff), ["x 1 1"]);
}

#[test]
fn a_merge_that_is_made_again_is_one_file() {
    let repo = Repo::new();
    repo.write_file("a.txt", &*OLD);
    let base = repo.commit("base");
    repo.write_file("a.txt", OLD.replace("line 5\n", "main\n"));
    repo.commit("main");
    repo.git(&["checkout", "-qb", "side", &base]);
    repo.write_file("a.txt", OLD.replace("line 5\n", "side\n"));
    repo.commit("side");
    repo.try_git(&["merge", "-q", "main"]);
    repo.write_file("a.txt", OLD.replace("line 5\n", "both\n"));
    repo.commit("both");
    let diff = repo.git(&["show", "--remerge-diff", "HEAD"]);
    assert!(diff.windows(8).any(|text| text == b"remerge "), "{}", String::from_utf8_lossy(&diff));
    let parsed = parse(&diff);
    assert_eq!(parsed.error, None);
    let told: Vec<_> = parsed.files.iter().map(|file| (file.path.to_string(), file.hunks.len())).collect();
    assert_eq!(told, [("a.txt".to_owned(), 1)], "{}", String::from_utf8_lossy(&diff));
    // If the merge commit does not change a conflicted file further, git prints only a header for the file.
    let note = b"diff --git a/a.txt b/a.txt\nremerge CONFLICT (modify/delete): a.txt deleted in 1 and \
        modified in 2.\n";
    assert_eq!((parse(note).error, parse(note).files.len()), (None, 1));
}

#[test]
fn a_submodule_that_is_shown_as_a_log_is_no_diff() {
    let file = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
    for line in [
        "Submodule sub 1234567..89abcde:",
        "Submodule a b/sub 1234567...89abcde (rewind):",
        "Submodule sub 0000000...89abcde (new submodule)",
        "Submodule sub contains modified content",
    ] {
        for diff in [format!("{line}\n  > subject\n{file}"), format!("{file}{line}\n  > subject\n")] {
            let error = parse(diff.as_bytes()).error.unwrap_or_else(|| panic!("{diff}"));
            assert!(error.message.contains("--submodule=short"), "{error}");
        }
    }
    for line in ["Submodule support is here.", "Submodule a..b: why", "    Submodule sub 1234567..89abcde:"] {
        assert_eq!(parse(format!("{line}\n{file}").as_bytes()).error, None, "{line}");
    }
}

#[test]
fn an_input_that_ends_inside_a_header_is_malformed() {
    let ends = "the input ends inside the header of a file";
    for (header, what) in [
        ("index 92dfa21..4efa976 100644\n", ends),
        ("index 92dfa21..4efa976 100644", ends),
        ("index 92dfa21..4e", ends),
        ("index 92df", ends),
        ("similarity index 9", ends),
        ("similarity index 90%\n", ends),
        ("dissimilarity index 90%\n", ends),
        ("new file mode 100644\nindex 0000000..4efa976\n", ends),
        ("old mode 100644\n", "a `new mode` line should follow"),
        ("similarity index 90%\nrename from x\n", "one of the two file names"),
        ("index 92dfa21..4efa976 100644\n--- a/x\n+++ b/", "a hunk should follow"),
    ] {
        let diff = format!("diff --git a/x b/x\n{header}");
        let parsed = parse(diff.as_bytes());
        let error = parsed.error.unwrap_or_else(|| panic!("{diff}"));
        assert!(error.message.contains(what) && !error.message.starts_with(':'), "{diff}: {error}");
    }
    let merge = "diff --cc x\nindex 92dfa21,4efa976..1234567\n";
    assert_eq!(parse(merge.as_bytes()).error.unwrap().message, ends);
    for header in [
        "old mode 100644\nnew mode 100755\n",
        "old mode 100644\nnew mode 100755\nindex 1c99002..31c9055\n",
        "new file mode 100644\nindex 0000000..e69de29\n",
        "new file mode 100644\nindex 0000000000..e69de29bb2\n",
        "new file mode 100644\n",
        "deleted file mode 100644\nindex e69de29..0000000\n",
        "deleted file mode 100644\nindex 92dfa21..0000000\n",
        "similarity index 100%\nrename from x\nrename to y\n",
        "similarity index 53%\nrename from x\nrename to y\nindex e8823e1..167a967 100644\n",
        "index 92dfa21..4efa976 100644\nBinary files a/x and b/x differ\n",
    ] {
        let diff = format!("diff --git a/x b/x\n{header}");
        let parsed = parse(diff.as_bytes());
        assert_eq!((parsed.error, parsed.files.len()), (None, 1), "{diff}");
    }
}
