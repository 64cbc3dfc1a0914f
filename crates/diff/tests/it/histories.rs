//! Diffs among other text: logs, mails, merges, and what other programs print.

use truing_diff::{FileDiff, RepoPath, Status, parse};

use crate::cases::{NEW, OLD};
use crate::repo::{Repo, check_hunk};

/// Two lines of removed dashes, as a mail's end and middle look.
const DASHES: &str = "a\n--\n- \nz\n";

/// A message that tries to pass for a diff.
const MESSAGE: &str = "Say what changed\n\nIt is like this:\n\ndiff --git a/not b/not\n--- a/not\n+++ b/not\n\
                       @@ -1 +1 @@\n-not\n+this\n\ndiff --git is a command\n";

/// Three commits whose diffs are hard to find the end of.
fn history(message: &str) -> Repo {
    let repo = Repo::new();
    repo.put("a.txt", format!("{DASHES}{}", *OLD));
    repo.put("end", "1\n2");
    repo.commit("first");
    repo.put("a.txt", &*NEW);
    repo.put("end", "1\n2\n");
    repo.commit(message);
    repo.put("end", "1\n2\n3");
    repo.put("odd\tname", "1\n");
    repo.make_executable("a.txt");
    repo.commit(message);
    repo.put("b.dat", "\0\u{1}");
    repo.remove("end");
    repo.commit(message);
    repo
}

/// `path added deleted` of each file.
fn summary(diff: &[u8]) -> Vec<String> {
    let parsed = parse(diff);
    assert_eq!(parsed.error, None, "{}", String::from_utf8_lossy(diff));
    parsed.files.iter().flat_map(|file| &file.hunks).for_each(check_hunk);
    parsed.files.iter().map(|file| format!("{} {} {}", file.path, file.added, file.deleted)).collect()
}

/// The three later commits, one after the other.
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
    assert!(hunks.all(|hunk| !hunk.section.ends_with(b"\r")));
}

#[test]
fn hunks_go_on_after_a_missing_line_end() {
    let end = "\\ No newline at end of file\n";
    let hunks = format!("@@ -1 +1 @@\n-1\n{end}+2\n{end}@@ -9 +9 @@ f()\n-1\n{end}+2\n");
    // What follows the second makes `diffy` give up.
    for after in ["", "-- \n2.0\n"] {
        let diff = format!("diff --git a/x b/x\n--- a/x\n+++ b/x\n{hunks}{after}");
        assert_eq!(summary(diff.as_bytes()), ["x 2 2"]);
        assert_eq!(parse(diff.as_bytes()).files[0].hunks[1].section, b"f()");
    }
}

#[test]
fn a_missing_side_tells_what_happened_without_a_mode() {
    let diff = b"diff --git a/x b/x\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+1\n\
        diff --git a/y b/y\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n";
    assert_eq!(summary(diff), ["x 1 0", "y 0 1"]);
    let statuses: Vec<_> = parse(diff).files.iter().map(|file| file.status).collect();
    assert_eq!(statuses, [Status::Added, Status::Deleted]);
}

#[test]
fn a_merge_names_its_files_and_counts_nothing() {
    let repo = Repo::new();
    repo.put("a b.txt", &*OLD);
    repo.put("k.txt", "1\n");
    repo.commit("base");
    repo.git(&["checkout", "-qb", "side"]);
    repo.put("a b.txt", OLD.replace("line 5\n", "-- a/side 5\n"));
    repo.commit("side");
    repo.git(&["checkout", "-q", "main"]);
    repo.put("a b.txt", OLD.replace("line 5\n", "-- a/main 5\n"));
    repo.commit("main");
    repo.try_git(&["merge", "-q", "side"]);
    repo.put("a b.txt", OLD.replace("line 5\n", "++ b/both 5\n"));
    repo.put("é", "new\n");
    repo.make_executable("a b.txt");
    repo.commit("merge");
    repo.put("k.txt", "2\n");
    repo.commit("after");
    for options in [&["--cc"][..], &["-c"], &["--cc", "--combined-all-paths", "-M"]] {
        let log = repo.git(&[&["log", "-p", "-n2", "--format=%s"], options].concat());
        let parsed = parse(&log);
        assert_eq!(parsed.error, None);
        let seen: Vec<_> =
            parsed.files.iter().map(|file| (file.path.to_string(), file.status, file.hunks.len())).collect();
        let expected =
            [("k.txt", Status::Modified, 1), ("a b.txt", Status::Modified, 0), ("é", Status::Added, 0)];
        assert_eq!(
            seen,
            expected.map(|(path, status, hunks)| (path.to_owned(), status, hunks)),
            "{options:?}"
        );
        assert_eq!(parsed.files[1].new_mode, Some(0o100_755));
    }
}

#[test]
fn a_plain_unified_diff_is_read() {
    let diff = b"Index: x\n===\n--- x/one\t2026-01-01 00:00:00\n+++ y/one\t2026-01-02 00:00:00\n@@ -1 +1 @@\n-1\n+2\n\
        --- /dev/null\n+++ b/two\n@@ -0,0 +1 @@\n+1\n--- old.c\n+++ new.c\n@@ -1 +0,0 @@\n-1\n";
    let parsed = parse(diff);
    assert_eq!(parsed.error, None);
    let seen: Vec<_> = parsed.files.iter().map(|file| (file.path.to_string(), file.status)).collect();
    let expected = [("one", Status::Modified), ("two", Status::Added), ("new.c", Status::Renamed)];
    assert_eq!(seen, expected.map(|(path, status)| (path.to_owned(), status)));
    assert_eq!(parsed.files[2].old_path, Some(RepoPath::from("old.c")));
}

#[test]
fn two_files_compared_outside_a_repository_are_a_rename() {
    let repo = Repo::new();
    repo.put("d1/x", "1\n");
    repo.put("d2/x", "2\n");
    let (diff, _) = repo.try_git(&["diff", "--no-index", "d1/x", "d2/x"]);
    let [FileDiff { path, old_path, status, .. }] = &parse(&diff).files[..] else { panic!("one file") };
    assert_eq!((path, old_path), (&"d2/x".into(), &Some("d1/x".into())));
    assert_eq!(*status, Status::Renamed);
}

#[test]
fn blanks_cut_off_at_line_ends_do_no_harm() {
    let diff = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n\n-1\n+2\n\n";
    assert_eq!(summary(diff), ["x 1 1"]);
}
