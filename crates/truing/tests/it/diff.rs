//! Tests of `truing diff` with the real program on real repositories.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A repository, whose folder is also the home folder and the current folder of commands.
struct Repo(TempDir);

/// The exit code and the output of a command.
#[derive(Debug)]
struct Ran {
    exit: i32,
    out: String,
    err: String,
}

impl Ran {
    /// Parses the output, which has one JSON object per line.
    fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Repo {
    fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path());
        command.current_dir(self.path());
        command
    }

    fn git(&self, args: &[&str]) -> Vec<u8> {
        let author = ["GIT_AUTHOR", "GIT_COMMITTER"]
            .iter()
            .flat_map(|who| [(format!("{who}_NAME"), "t"), (format!("{who}_EMAIL"), "t@example.test")]);
        let output = self.command("git").args(args).envs(author).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
        output.stdout
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), content).unwrap();
    }

    fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", "x"]);
        String::from_utf8(self.git(&["rev-parse", "HEAD"])).unwrap().trim().to_owned()
    }

    /// Runs `truing diff` with these arguments, and with this text on standard input.
    fn diff(&self, args: &[&str], input: impl AsRef<[u8]>) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_truing"));
        command.arg("diff").args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The write may fail, because a program that rejects its arguments does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_ref());
        let output = child.wait_with_output().unwrap();
        Ran {
            exit: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Creates two commits. The second one moves a function to another file, renames that file, and changes other
/// lines.
fn create_two_commits() -> (Repo, String, String) {
    let repo = Repo::new();
    let part = "def moved(self):\n    first_of_it()\n    return self\n";
    let rest = (1..=40).map(|at| format!("rest {at}\n")).collect::<String>();
    repo.write("a.py", format!("{part}{rest}"));
    repo.write("b.py", rest.replace("rest", "other"));
    repo.write("same.py", "1\n2\n");
    repo.write("gone.py", "gone\n");
    let from = repo.commit();
    repo.write("a.py", rest.replace("rest 20\n", "new\nrest 20 edited\n"));
    fs::rename(repo.path().join("b.py"), repo.path().join("c.py")).unwrap();
    let indented = part.replace("def", "    def").replace("\n   ", "\n       ");
    repo.write("c.py", format!("class C:\n{indented}{}", rest.replace("rest", "other")));
    fs::remove_file(repo.path().join("gone.py")).unwrap();
    let to = repo.commit();
    (repo, from, to)
}

#[test]
fn a_diff_is_one_object_a_file() {
    let (repo, from, to) = create_two_commits();
    let diff = repo.git(&["diff", "-M", "-U0", &from, &to]);
    let ran = repo.diff(&["parse"], &diff);
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    let hunk = |old_start, old_lines, new_start, new_lines| json!({"old_start": old_start, "old_lines": old_lines, "new_start": new_start, "new_lines": new_lines});
    assert_eq!(
        ran.json_lines(),
        [
            json!({"path": "a.py", "old_path": null, "status": "modified", "added": 2, "deleted": 4,
                   "hunks": [hunk(1, 3, 0, 0), hunk(23, 1, 20, 2)]}),
            json!({"path": "c.py", "old_path": "b.py", "status": "renamed", "added": 4, "deleted": 0,
                   "hunks": [hunk(0, 0, 1, 4)]}),
            json!({"path": "gone.py", "old_path": null, "status": "deleted", "added": 0, "deleted": 1,
                   "hunks": [hunk(1, 1, 0, 0)]}),
        ]
    );
    repo.write("x.diff", &diff);
    assert_eq!(repo.diff(&["parse", "x.diff"], "").out, ran.out);
    assert_eq!(repo.diff(&["parse", "-"], &diff).out, ran.out);
    assert_eq!(repo.diff(&["parse"], "").json_lines(), Vec::<Value>::new());
}

#[test]
fn paths_are_text_where_they_can_be() {
    let diff = b"diff --git \"a/t\\ta\\\"b\\\\c\" \"b/t\\ta\\\"b\\\\c\"\nold mode 100644\nnew mode 100755\n\
        diff --git \"a/f\\377\" \"b/f\\377\"\nold mode 100644\nnew mode 100755\n";
    let paths: Vec<_> =
        Repo::new().diff(&["parse"], diff).json_lines().iter().map(|file| file["path"].clone()).collect();
    assert_eq!(paths, ["t\ta\"b\\c", r#""f\377""#]);
}

#[test]
fn malformed_input_is_exit_2_after_the_files_before_it() {
    let good = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n";
    let repo = Repo::new();
    let input = format!("{good}diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1,2 @@\n-1\n");
    let ran = repo.diff(&["parse"], &input);
    assert_eq!((ran.exit, ran.json_lines().len()), (2, 1));
    let where_and_what = format!("line 12 (byte {}): y: the input ends inside a hunk", input.len());
    let expected = format!("error: standard input: the diff is malformed at {where_and_what}");
    assert!(ran.err.starts_with(&expected), "{}", ran.err);
    assert!(ran.err.contains("\nhint: "));
    let ran = repo.diff(&["parse", "--format", "json"], format!("{good}\n@@ -1 +1 @@\n"));
    assert_eq!((ran.exit, ran.json_lines()[1]["error"]["code"].as_str()), (2, Some("malformed_diff")));
}

#[test]
fn what_is_no_diff_is_exit_2_and_nothing_is_an_empty_diff() {
    let repo = Repo::new();
    for (input, place) in [
        ("<html>\nSign in\n", "line 1 (byte 0)"),
        ("\n{\"message\":\"Not Found\"}\n", "line 2 (byte 1)"),
        ("prose\n@@ -1,x +1 @@\n-1\n", "line 2 (byte 6)"),
    ] {
        let ran = repo.diff(&["parse"], input);
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{input}");
        assert!(ran.err.contains(place) && ran.err.contains("\nhint: "), "{}", ran.err);
    }
    repo.write("a", "1\n");
    repo.commit();
    repo.git(&["commit", "-q", "--allow-empty", "-m", "nothing"]);
    let shown = repo.git(&["show"]);
    assert!(!shown.is_empty());
    for input in [&shown[..], b"", b"\n"] {
        let ran = repo.diff(&["parse"], input);
        assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let repo = Repo::new();
    for (file, why) in [("none.diff", "No such file"), (".", "is a directory")] {
        let ran = repo.diff(&["parse", file], "");
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""));
        assert!(ran.err.starts_with(&format!("error: cannot read {file}: ")), "{}", ran.err);
        assert!(ran.err.contains(why), "{}", ran.err);
    }
}

#[test]
fn a_reader_that_stops_is_no_error() {
    let repo = Repo::new();
    let file = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n";
    repo.write("x.diff", file.repeat(20_000));
    let mut command = repo.command(env!("CARGO_BIN_EXE_truing"));
    let mut child = command.args(["diff", "parse", "x.diff"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn positions_are_anchored() {
    let (repo, base, head) = create_two_commits();
    let asked = [
        (
            json!({"id": "a", "path": "a.py", "side": "new", "start_line": 20, "end_line": 21}),
            "inline",
            "a.py",
            Value::Null,
        ),
        (
            json!({"id": 7, "path": "a.py", "side": "old", "start_line": 3, "end_line": 9}),
            "inline",
            "a.py",
            json!("clamped"),
        ),
        (
            json!({"id": "b", "path": "b.py", "side": "old", "start_line": 1, "end_line": 1}),
            "inline",
            "c.py",
            Value::Null,
        ),
        (
            json!({"id": "c", "path": "a.py", "side": "new", "start_line": 33, "end_line": 33}),
            "file",
            "a.py",
            json!("lines_not_in_diff"),
        ),
        (
            json!({"id": "d", "path": "same.py", "side": "new", "start_line": 1, "end_line": 1, "more": []}),
            "summary",
            "same.py",
            json!("file_not_in_diff"),
        ),
    ];
    let input: String = asked.iter().map(|(position, ..)| format!("{position}\n")).collect();
    let ran = repo.diff(&["anchor", "--base", &base, "--head", &head], &input);
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    let answers = ran.json_lines();
    assert_eq!(answers.len(), asked.len());
    for ((position, anchor, path, reason), answer) in asked.iter().zip(&answers) {
        assert_eq!((&answer["id"], &answer["side"]), (&position["id"], &position["side"]));
        assert_eq!(
            (&answer["anchor"], &answer["path"], &answer["reason"]),
            (&json!(anchor), &json!(path), reason)
        );
    }
    assert_eq!(
        answers[1],
        json!({"id": 7, "anchor": "inline", "path": "a.py", "side": "old", "start_line": 3, "end_line": 6, "reason": "clamped"})
    );
}

#[test]
fn lines_are_tracked() {
    let (repo, from, to) = create_two_commits();
    let asked = [
        ("a.py", 1, 3, json!({"status": "moved", "path": "c.py", "start_line": 2, "end_line": 4})),
        ("a.py", 4, 5, json!({"status": "moved", "path": "a.py", "start_line": 1, "end_line": 2})),
        ("a.py", 23, 23, json!({"status": "edited", "path": "a.py", "start_line": 21, "end_line": 21})),
        ("b.py", 40, 40, json!({"status": "moved", "path": "c.py", "start_line": 44, "end_line": 44})),
        ("same.py", 1, 2, json!({"status": "unmoved", "path": "same.py", "start_line": 1, "end_line": 2})),
        ("gone.py", 1, 1, json!({"status": "deleted", "path": null, "start_line": null, "end_line": null})),
        ("never.py", 1, 1, json!({"status": "deleted", "path": null, "start_line": null, "end_line": null})),
    ];
    let line = |path: &str, start: i32, end: i32| {
        json!({"id": path, "path": path, "side": "new", "start_line": start, "end_line": end}).to_string()
            + "\n"
    };
    let input: String = asked.iter().map(|(path, start, end, _)| line(path, *start, *end)).collect();
    let folder = repo.path().to_str().unwrap();
    let ran = repo.diff(&["track", "--from", &from, "--to", &to, folder], &input);
    assert_eq!((ran.exit, ran.err.as_str()), (0, ""));
    assert_eq!(ran.json_lines().len(), asked.len());
    for ((path, _, _, expected), mut answer) in asked.into_iter().zip(ran.json_lines()) {
        assert_eq!(answer.as_object_mut().unwrap().remove("id"), Some(json!(path)));
        assert_eq!(answer, expected);
    }
    let back = repo.diff(&["track", "--from", &to, "--to", &from], line("c.py", 2, 4)).json_lines();
    assert_eq!((&back[0]["path"], &back[0]["start_line"]), (&json!("a.py"), &json!(1)));
}

#[test]
fn a_file_that_is_not_read_is_tracked_by_the_diff_with_a_warning() {
    let repo = Repo::new();
    let big: String = (0..450_000).map(|at| format!("line {at}\n")).collect();
    repo.write("big", &big);
    repo.commit();
    repo.write("big", format!("first\n{big}"));
    repo.commit();
    let position = r#"{"id":"1","path":"big","side":"new","start_line":400000,"end_line":400001}"#;
    let ran = repo.diff(&["track", "--from", "HEAD~1", "--to", "HEAD"], position);
    assert_eq!(
        ran.json_lines(),
        [json!({"id": "1", "status": "moved", "path": "big", "start_line": 400_001, "end_line": 400_002})]
    );
    assert!(ran.err.starts_with("warning: big is too large"), "{}", ran.err);
}

#[test]
fn a_bad_line_is_exit_2_after_the_answers_before_it() {
    let (repo, from, to) = create_two_commits();
    let good = r#"{"id":"1","path":"a.py","side":"new","start_line":1,"end_line":1}"#;
    for (what, range) in [("anchor", ["--base", "--head"]), ("track", ["--from", "--to"])] {
        for (bad, why) in [
            (&b"{\"id\":"[..], "EOF while parsing a value"),
            (
                b"{\"id\":\"2\",\"path\":\"a\",\"side\":\"left\",\"start_line\":1,\"end_line\":1}",
                "unknown variant `left`",
            ),
            (
                b"{\"id\":\"2\",\"path\":\"a\",\"side\":\"new\",\"start_line\":-1,\"end_line\":1}",
                "invalid value",
            ),
            (b"{\"id\":\"2\",\"side\":\"new\",\"start_line\":1,\"end_line\":1}", "missing field `path`"),
            (b"\"\xff\"", "invalid"),
            (b"[]", "invalid length"),
        ] {
            let input = [good.as_bytes(), b"\n\n", bad, b"\n", good.as_bytes()].concat();
            let ran = repo.diff(&[what, range[0], &from, range[1], &to], input);
            assert_eq!((ran.exit, ran.json_lines().len()), (2, 1), "{ran:?}");
            assert!(ran.err.starts_with("error: line 3 of standard input: "), "{}", ran.err);
            assert!(ran.err.contains(why), "{}", ran.err);
        }
    }
}

#[test]
fn a_range_without_lines_is_a_bad_line_in_the_same_words() {
    let (repo, from, to) = create_two_commits();
    for (start, end) in [(3, 2), (0, 0), (0, 4)] {
        let position =
            json!({"id": 1, "path": "a.py", "side": "new", "start_line": start, "end_line": end}).to_string();
        let anchored = repo.diff(&["anchor", "--base", &from, "--head", &to], &position);
        let tracked = repo.diff(&["track", "--from", &from, "--to", &to], &position);
        assert_eq!((anchored.exit, anchored.out.as_str()), (2, ""), "{start} {end}");
        assert!(
            anchored
                .err
                .starts_with("error: line 1 of standard input: line numbers start at 1, and end_line"),
            "{}",
            anchored.err
        );
        assert_eq!((tracked.exit, tracked.out, tracked.err), (2, String::new(), anchored.err));
    }
}

/// The name of the file is passed in two forms. The first one is the output of `diff parse`; the second one
/// has a lone surrogate for each invalid byte. Python produces the second form when it decodes text with
/// `surrogateescape`.
#[test]
fn a_name_that_is_not_utf8_goes_from_parse_to_anchor_and_track() {
    use std::os::unix::ffi::OsStrExt as _;
    let repo = Repo::new();
    let name = std::ffi::OsStr::from_bytes(b"f\xff\xe9.txt");
    fs::write(repo.path().join(name), "1\n").unwrap();
    let from = repo.commit();
    fs::write(repo.path().join(name), "1\n2\n").unwrap();
    let to = repo.commit();
    let parsed = repo.diff(&["parse"], repo.git(&["diff", &from, &to])).json_lines();
    let told = parsed[0]["path"].clone();
    assert_eq!(told, json!(r#""f\377\351.txt""#));
    for path in [told.to_string(), r#""f\udcff\udce9.txt""#.to_owned()] {
        let position =
            |line: u32| format!(r#"{{"path":{path},"side":"new","start_line":{line},"end_line":{line}}}"#);
        let anchored = repo.diff(&["anchor", "--base", &from, "--head", &to], position(2)).json_lines();
        assert_eq!((&anchored[0]["anchor"], &anchored[0]["path"]), (&json!("inline"), &told), "{path}");
        let tracked = repo.diff(&["track", "--from", &from, "--to", &to], position(1)).json_lines();
        assert_eq!((&tracked[0]["status"], &tracked[0]["path"]), (&json!("unmoved"), &told), "{path}");
    }
}

#[test]
fn a_commit_that_is_not_there_is_named() {
    let (repo, ..) = create_two_commits();
    for args in [["anchor", "--base", "nope", "--head", "HEAD"], ["track", "--from", "HEAD", "--to", "nope"]]
    {
        let ran = repo.diff(&args, "");
        assert_eq!(ran.exit, 2);
        assert!(ran.err.starts_with("error: there is no commit named `nope`"), "{}", ran.err);
    }
    let ran = repo.diff(&["anchor", "--base", "HEAD", "--head", "HEAD", "no/such"], "");
    assert_eq!(ran.exit, 2);
}

#[test]
fn a_merge_is_told_with_its_hunks() {
    let diff =
        "diff --cc x\nindex 1,2..3\n--- a/x\n+++ b/x\n@@@ -1,2 -1,2 +1,2 @@@ f()\n  a\n- b\n -c\n++d\n";
    let ran = Repo::new().diff(&["parse"], diff);
    let hunk = json!({"old_start": 1, "old_lines": 2, "new_start": 1, "new_lines": 2});
    let file = json!({"path": "x", "old_path": null, "status": "modified", "added": 1, "deleted": 1, "hunks": [hunk]});
    assert_eq!((ran.exit, ran.json_lines()), (0, vec![file]));
    let ran = Repo::new().diff(&["parse"], diff.strip_suffix("++d\n").unwrap());
    assert_eq!((ran.exit, ran.json_lines().len()), (2, 0));
    assert!(ran.err.contains("at line 9 (byte 80): x: the input ends inside a hunk"), "{}", ran.err);
}

/// Returns the peak memory of a process in bytes.
#[cfg(target_os = "linux")]
fn peak_memory(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() << 10
}

/// The input is a file with many hunks and a line of 16 MiB, and then many small files. It is larger than the
/// memory that the program may use.
#[cfg(target_os = "linux")]
#[test]
fn a_diff_is_read_as_it_comes() {
    const HALF: usize = 48 << 20;
    let text = "some text of a line that is as long as lines mostly are".repeat(4);
    let hunk = |at: usize| format!("@@ -{at},3 +{at},3 @@ f()\n {text}\n-{text}\n+{text}!\n {text}\n");
    let repo = Repo::new();
    let mut child = repo.command(env!("CARGO_BIN_EXE_truing"));
    child
        .args(["diff", "parse"])
        .stdin(Stdio::piped())
        .stdout(fs::File::create(repo.path().join("out")).unwrap());
    let mut child = child.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let hunks = HALF / hunk(1).len();
    stdin.write_all(b"diff --git a/big b/big\n--- a/big\n+++ b/big\n").unwrap();
    (0..hunks).for_each(|at| stdin.write_all(hunk(at * 9 + 1).as_bytes()).unwrap());
    let long = "x".repeat(16 << 20);
    write!(stdin, "@@ -{0},0 +{1} @@\n+{long}\n", hunks * 9, hunks * 9 + 1).unwrap();
    let file = |at: usize| format!("diff --git a/{at} b/{at}\n--- a/{at}\n+++ b/{at}\n{}", hunk(1));
    let files = HALF / file(0).len();
    (0..files).for_each(|at| stdin.write_all(file(at).as_bytes()).unwrap());
    let held = peak_memory(child.id());
    drop(stdin);
    assert!(child.wait().unwrap().success());
    assert!(held < HALF, "{held} bytes");
    let out = fs::read_to_string(repo.path().join("out")).unwrap();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), files + 1);
    assert_eq!(
        (lines[0]["added"].as_u64(), lines[0]["deleted"].as_u64()),
        (Some(hunks as u64 + 1), Some(hunks as u64))
    );
}
