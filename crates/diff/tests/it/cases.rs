//! Tests difficult cases one by one. The parsed `git diff` must match the counts of `git diff --numstat -z`,
//! and the parsed lines must match the lines of the files.

use std::sync::LazyLock;

use truing_diff::{FileDiff, FileStatus, RepoPath, parse};

use crate::repo::{Count, Repo, check_lines, line_counts};

pub(crate) static OLD: LazyLock<String> =
    LazyLock::new(|| (1..=40).map(|number| format!("line {number}\n")).collect());
/// The text of `OLD` with three changes, which a diff shows in two hunks.
pub(crate) static NEW: LazyLock<String> =
    LazyLock::new(|| OLD.replace("line 20\n", "line twenty\nmore\n").replace("line 35\n", ""));

/// Commits both states of a case. Compares the parsed diff between the two commits with git's counts, and
/// returns the diff.
fn diff_states(before: impl Fn(&Repo), after: impl Fn(&Repo), options: &[&str]) -> Vec<u8> {
    let repo = Repo::new();
    before(&repo);
    let from = repo.commit("before");
    after(&repo);
    let to = repo.commit("after");
    compare(&repo, &from, &to, options)
}

fn compare(repo: &Repo, from: &str, to: &str, options: &[&str]) -> Vec<u8> {
    let args = [options, &[from, to]].concat();
    let diff = repo.git(&[&["diff", "-M"], &args[..]].concat());
    let parsed = parse(&diff);
    assert_eq!(parsed.error, None, "{}", String::from_utf8_lossy(&diff));
    assert_eq!(line_counts(&parsed.files), repo.numstat(&args), "{}", String::from_utf8_lossy(&diff));
    for file in parsed.files.iter().filter(|file| !file.is_submodule() && !file.hunks.is_empty()).take(20) {
        let (from, to) = if options.contains(&"-R") { (to, from) } else { (from, to) };
        check_lines(repo, file, from, to);
    }
    diff
}

/// Compares two states of one file, as [`diff_states`] does.
fn diff_edit(
    path: impl AsRef<[u8]>,
    old: impl AsRef<[u8]>,
    new: impl AsRef<[u8]>,
    options: &[&str],
) -> Vec<u8> {
    diff_states(|repo| repo.write_file(&path, &old), |repo| repo.write_file(&path, &new), options)
}

/// Returns the files of a diff, which must be valid.
fn parse_valid_files(diff: &[u8]) -> Vec<FileDiff<'_>> {
    let parsed = parse(diff);
    assert_eq!(parsed.error, None);
    parsed.files
}

fn statuses(diff: &[u8]) -> Vec<FileStatus> {
    parse_valid_files(diff).iter().map(|file| file.status).collect()
}

#[test]
fn an_edit_has_its_hunks() {
    let diff = diff_edit("a.txt", &*OLD, &*NEW, &[]);
    let [file] = &parse_valid_files(&diff)[..] else { panic!("one file") };
    assert_eq!(
        (file.status, file.added_lines, file.deleted_lines, file.hunks.len()),
        (FileStatus::Modified, 2, 2, 2)
    );
    assert_eq!((file.old_mode, file.new_mode), (Some(0o100_644), Some(0o100_644)));
    assert_eq!(file.hunks[0].heading, b"line 16");
    diff_edit("a.txt", &*OLD, &*NEW, &["-U0"]);
    diff_edit("a.txt", &*OLD, &*NEW, &["-U100"]);
    diff_edit("a.txt", &*OLD, &*NEW, &["-W"]);
    diff_edit("a.txt", &*OLD, &*NEW, &["-R"]);
}

#[test]
fn every_prefix_that_can_be_told_is_taken_off() {
    let deep = "src/x/a.txt";
    for options in [
        &["--no-prefix"][..],
        &["--src-prefix=i/", "--dst-prefix=w/"],
        &["--src-prefix=src://", "--dst-prefix=dst://"],
        &["--src-prefix=before/", "--dst-prefix=after/"],
        &["--src-prefix=old/tree/", "--dst-prefix=new/"],
    ] {
        let all = |repo: &Repo| {
            repo.write_file(deep, &*NEW);
            repo.remove("gone");
            repo.write_file("fresh", "1\n");
            repo.write_file("none here", "");
            repo.make_executable("b/b run");
            repo.write_file("bin/ary", "\0x");
        };
        let old = |repo: &Repo| {
            repo.write_file(deep, &*OLD);
            repo.write_file("gone", "1\n2\n");
            repo.write_file("b/b run", "3\n");
            repo.write_file("bin/ary", "\0y");
        };
        diff_states(old, all, options);
    }
    // These paths begin with a folder that looks like a prefix. The parser can recognise the real prefix only
    // because it is one of git's known prefixes.
    diff_edit("a/a/a", &*OLD, &*NEW, &[]);
    diff_edit("b/a", &*OLD, &*NEW, &["--no-prefix"]);
}

#[test]
fn new_and_deleted_files() {
    let none = |_: &Repo| ();
    let text = |repo: &Repo| repo.write_file("n", "one\ntwo\n");
    let empty = |repo: &Repo| repo.write_file("n", "");
    let remove = |repo: &Repo| repo.remove("n");
    for with in [&text as &dyn Fn(&Repo), &empty] {
        let added = diff_states(none, with, &[]);
        assert_eq!(statuses(&added), [FileStatus::Added]);
        assert_eq!(parse_valid_files(&added)[0].new_mode, Some(0o100_644));
        let deleted = diff_states(with, remove, &[]);
        assert_eq!(statuses(&deleted), [FileStatus::Deleted]);
        assert_eq!(
            (parse_valid_files(&deleted)[0].old_mode, parse_valid_files(&deleted)[0].new_mode),
            (Some(0o100_644), None)
        );
    }
}

#[test]
fn renames_and_copies() {
    for to in ["b.txt", "b with space.txt", "é\t.txt", "d\"q\\.txt"] {
        let old = |repo: &Repo| repo.write_file("a.txt", &*OLD);
        let pure = diff_states(old, |repo| repo.rename("a.txt", to), &[]);
        assert_eq!(statuses(&pure), [FileStatus::Renamed]);
        let edited = |repo: &Repo| {
            repo.rename("a.txt", to);
            repo.write_file(to, &*NEW);
        };
        let edited = diff_states(old, edited, &[]);
        assert_eq!(parse_valid_files(&edited)[0].old_path, Some(RepoPath::from("a.txt")));
        let copied = |repo: &Repo| {
            repo.write_file("a.txt", format!("{}tail\n", *OLD));
            repo.write_file(to, &*NEW);
        };
        let copied = diff_states(old, copied, &["-C"]);
        assert!(statuses(&copied).contains(&FileStatus::Copied));
    }
    let both = |repo: &Repo| {
        repo.rename("a.txt", "b.txt");
        repo.make_executable("b.txt");
    };
    assert_eq!(
        statuses(&diff_states(|repo| repo.write_file("a.txt", &*OLD), both, &[])),
        [FileStatus::Renamed]
    );
}

#[test]
fn modes_and_types() {
    for path in ["x.sh", "x b/y", "q\tq"] {
        let mode = diff_states(|repo| repo.write_file(path, &*OLD), |repo| repo.make_executable(path), &[]);
        let [file] = &parse_valid_files(&mode)[..] else { panic!("one file") };
        assert_eq!(file.status, FileStatus::ModeChanged);
        assert_eq!((file.old_mode, file.new_mode), (Some(0o100_644), Some(0o100_755)));
    }
    let edit = |repo: &Repo| {
        repo.write_file("x.sh", &*NEW);
        repo.make_executable("x.sh");
    };
    assert_eq!(
        statuses(&diff_states(|repo| repo.write_file("x.sh", &*OLD), edit, &[])),
        [FileStatus::Modified]
    );

    let relink = |repo: &Repo| {
        repo.remove("l");
        repo.link("b", "l");
    };
    let link = diff_states(|repo| repo.link("a", "l"), relink, &[]);
    assert!(parse_valid_files(&link)[0].is_symlink());
    let changed_type = diff_states(|repo| repo.write_file("l", &*OLD), relink, &[]);
    assert_eq!(statuses(&changed_type), [FileStatus::Deleted, FileStatus::Added]);
    assert_eq!(
        parse_valid_files(&changed_type).iter().map(FileDiff::is_symlink).collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn binary_files() {
    let old: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let new: Vec<u8> = old.iter().map(|byte| 255 - byte).collect();
    for options in [&[][..], &["--binary"]] {
        for path in ["b.dat", "b b/b b.dat", "q\"q"] {
            let changed = diff_edit(path, &old, &new, options);
            assert_eq!(statuses(&changed), [FileStatus::BinaryModified]);
            assert!(parse_valid_files(&changed)[0].is_binary);
        }
        let added = diff_states(|_| (), |repo| repo.write_file("b.dat", &old), options);
        assert_eq!(statuses(&added), [FileStatus::Added]);
        assert!(parse_valid_files(&added)[0].is_binary);
        let between = |content: &str, binary: &[u8]| {
            let (content, binary) = (content.to_owned(), binary.to_owned());
            move |repo: &Repo| {
                repo.write_file("a.txt", &content);
                repo.write_file("b.dat", &binary);
                repo.write_file("z.txt", &content);
            }
        };
        let mixed = diff_states(between(&OLD, &old), between(&NEW, &new), options);
        assert_eq!(
            statuses(&mixed),
            [FileStatus::Modified, FileStatus::BinaryModified, FileStatus::Modified]
        );
        let renamed = |repo: &Repo| {
            repo.rename("b.dat", "c.dat");
            repo.write_file("c.dat", [&old[..], b"more"].concat());
        };
        assert_eq!(
            statuses(&diff_states(|repo| repo.write_file("b.dat", &old), renamed, options)),
            [FileStatus::Renamed]
        );
    }
}

#[test]
fn line_ends() {
    for (old, new) in [
        (&b"x\ny"[..], &b"x\ny\n"[..]),
        (b"x\ny\n", b"x\ny"),
        (b"x\ny", b"x\nz"),
        (b"x", b"y"),
        (b"x\ny", b"x2\ny"),
        (b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nc\r\n"),
        (b"a\r\nb\r\n", b"a\nb\n"),
        (b"a\rb\nc\n", b"a\rB\rC\nc\n"),
        (b"a\n\x0c\nb\n", b"a\n\x0c\x0cx\nB\n"),
        (b"a\n\x0b\x1c\x1d\x1e\nb\n", b"a\nx\x0by\x1cz\x1d\x1e\nB\n"),
        ("a\u{2028}b\nc\u{85}d\n".as_bytes(), "a\u{2028}B\u{2029}\nc\u{85}D\n".as_bytes()),
        (b"caf\xe9\nx\n", b"caf\xe8\ny\n"),
        (b"\n\n\nx\n\n\n", b"\n\n\ny\n\n\n"),
    ] {
        diff_edit("a", old, new, &[]);
        diff_edit("a", old, new, &["-U0"]);
    }
    let diff = diff_edit("a", "a\r\n", "a\n", &[]);
    let texts: Vec<_> = parse_valid_files(&diff)[0].hunks[0].lines().map(|line| line.text.to_vec()).collect();
    assert_eq!(texts, [&b"a\r"[..], b"a"]);
}

#[test]
fn lines_that_look_like_headers() {
    let (old, new) = (&*OLD, &*NEW);
    diff_edit("a.sql", format!("-- drop\n++ y\nx\n{old}"), format!("++ plus\nx\n{new}"), &[]);
    let git = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n";
    diff_edit("a.md", format!("{git}{old}"), format!("@@ -9,9 +9,9 @@\n--- a/y\n+++ b/y\n{new}"), &[]);
    diff_edit("a.md", format!("{git}{old}"), new, &["-U0"]);
    diff_edit("m.md", "a\n-- b/evil.txt\nz\n", "a\n++ b/evil.txt\nz\n", &["-U0"]);
    diff_edit("a.c", format!("int f() @@ odd\n{{\n{old}}}\n"), format!("int f() @@ odd\n{{\n{new}}}\n"), &[]);
    diff_edit("s", "x\n\\ No newline at end of file\n", "\\ No newline at end of file\n", &[]);
}

#[test]
fn odd_paths() {
    let paths: [&[u8]; 14] = [
        b"dir with space/a b.txt",
        "é/ü.txt".as_bytes(),
        b"t\ta\"b\\c.txt",
        b"n\nl.txt",
        b"r\rl.txt",
        b"x b/x b/y.txt",
        b"f\xff.txt",
        b"dev/null",
        b"a ",
        b" a",
        b"b/b",
        b"x\x7f",
        b"rename from x",
        b"@@ -1 +1 @@",
    ];
    let put = |content: &'static str| {
        move |repo: &Repo| paths.iter().for_each(|path| repo.write_file(path, content))
    };
    let remove = |repo: &Repo| paths.iter().for_each(|path| repo.remove(path));
    for options in [&[][..], &["--no-prefix"]] {
        diff_states(put(&OLD), put(&NEW), options);
        diff_states(|_| (), put(""), options);
        diff_states(put(""), remove, options);
    }
}

#[test]
fn large_diffs() {
    diff_edit("m.js", "x".repeat(200_000), "y".repeat(200_000), &[]);
    let many = |content: &'static str| {
        move |repo: &Repo| (0..400).for_each(|number| repo.write_file(format!("d/{number}.txt"), content))
    };
    assert_eq!(parse_valid_files(&diff_states(many("a\n"), many("b\n"), &[])).len(), 400);
}

#[test]
fn submodules() {
    let repo = Repo::new();
    let commits = ["1", "2"].map(|digit| format!("160000,{},sub", digit.repeat(40)));
    repo.write_file("a.txt", &*OLD);
    repo.git(&["add", "a.txt"]);
    let mut heads = vec![repo.commit_index("none")];
    for commit in &commits {
        repo.git(&["update-index", "--add", "--cacheinfo", commit]);
        heads.push(repo.commit_index("next"));
    }
    for (from, to, status) in [
        (&heads[0], &heads[1], FileStatus::Added),
        (&heads[1], &heads[2], FileStatus::Modified),
        (&heads[2], &heads[0], FileStatus::Deleted),
    ] {
        let diff = compare(&repo, from, to, &[]);
        assert_eq!(statuses(&diff), [status]);
        assert!(parse_valid_files(&diff)[0].is_submodule());
    }
}

#[test]
fn json_is_that_of_the_command_line() {
    let diff = diff_edit("a.txt", "1\n2\n", "1\n3\n4\n", &[]);
    assert_eq!(
        serde_json::to_value(parse_valid_files(&diff)).unwrap(),
        serde_json::json!([{
            "path": "a.txt", "old_path": null, "status": "modified", "added": 2, "deleted": 1,
            "hunks": [{"old_start": 1, "old_lines": 2, "new_start": 1, "new_lines": 3}],
        }])
    );
}

#[test]
fn counts_of_the_two_halves_of_a_type_change_are_one() {
    let repo = Repo::new();
    repo.write_file("l", "1\n2\n");
    let from = repo.commit("file");
    repo.remove("l");
    repo.link("x", "l");
    let to = repo.commit("link");
    let expected = Count { path: "l".into(), old_path: None, added: 1, deleted: 2 };
    assert_eq!(repo.numstat(&[&from, &to]), [expected]);
}
