//! Tests the tools on real folders: their results and limits, and that they never show secrets.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use super::*;

const SECRET: &str = "outside-of-the-tree";

/// A folder with a tree of test files, and with a file outside the tree that must not be read.
struct Stage(TempDir);

impl Stage {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        fs::create_dir(stage.0.path().join("tree")).unwrap();
        fs::write(stage.0.path().join("secret"), SECRET).unwrap();
        for (path, content) in files {
            let path = stage.0.path().join("tree").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        stage
    }

    fn request(&self) -> ToolsRequest {
        ToolsRequest { tree: self.0.path().join("tree"), readable_files: None, always: vec![] }
    }

    fn call(&self, tool: TreeTool, input: Value) -> ToolReply {
        let reply = TreeToolbox::open(&self.request()).unwrap().call(tool, &input);
        assert!(reply.text.len() <= MAX_REPLY_BYTES, "{}", reply.text.len());
        reply
    }

    /// Returns the response to a valid call.
    fn call_valid(&self, tool: TreeTool, input: Value) -> String {
        let reply = self.call(tool, input);
        assert!(!reply.is_error, "{}", reply.text);
        reply.text
    }

    /// Returns the response to an invalid call.
    fn call_invalid(&self, tool: TreeTool, input: Value) -> String {
        let reply = self.call(tool, input);
        assert!(reply.is_error, "{}", reply.text);
        reply.text
    }
}

fn numbered_lines(count: usize) -> Vec<u8> {
    (1..=count).map(|number| format!("line {number}\n")).collect::<String>().into_bytes()
}

#[test]
fn lines_are_read_with_their_numbers_and_in_parts() {
    let stage = Stage::new(&[("src/a.py", &numbered_lines(2_000)), ("empty", b"")]);
    let part =
        stage.call_valid(TreeTool::Read, json!({"path": "./src/a.py", "start_line": 9, "end_line": 10}));
    assert_eq!(part, "src/a.py, lines 9 to 10 of 2000\n     9\tline 9\n    10\tline 10\n");
    let first = stage.call_valid(TreeTool::Read, json!({"path": "src/a.py"}));
    assert!(first.starts_with("src/a.py, lines 1 to 800 of 2000\n     1\tline 1\n"), "{first}");
    assert!(
        first.ends_with("[lines 801 to 2000 are not shown: call again with \"start_line\": 801]\n"),
        "{first}"
    );
    let last =
        stage.call_valid(TreeTool::Read, json!({"path": "src/a.py", "start_line": 1999, "end_line": 9999}));
    assert!(last.ends_with("  2000\tline 2000\n"), "{last}");
    assert_eq!(stage.call_valid(TreeTool::Read, json!({"path": "empty"})), "empty is empty");
    for (input, told) in [
        (json!({"path": "src/a.py", "start_line": 2001}), "has 2000 lines"),
        (json!({"path": "src/a.py", "start_line": 0}), "has 2000 lines"),
        (json!({"path": "src/a.py", "start_line": 3, "end_line": 2}), "`end_line` is before"),
        (json!({"path": "src/a.py", "column": usize::MAX}), "`column` must be between 1 and 5242880"),
        (json!({"path": "src"}), "is a folder: `list`"),
        (json!({"path": "a.py"}), "(there is: src/a.py)"),
        (json!({"file": "a.py"}), "unknown field `file`, expected one of `path`, `start_line`"),
        (json!({"path": "src/a.py", "start_line": "3"}), "expected u32"),
        (json!([]), "the input of `read` is wrong"),
        (json!(null), "the input of `read` is wrong"),
    ] {
        let refusal = stage.call_invalid(TreeTool::Read, input);
        assert!(refusal.contains(told), "{refusal}");
    }
}

#[test]
fn a_long_line_is_cut_and_its_rest_can_be_had() {
    let long = format!("{}END{}\n", "é".repeat(1_000), "x".repeat(1_500));
    let stage = Stage::new(&[("a.js", long.as_bytes())]);
    let first = stage.call_valid(TreeTool::Read, json!({"path": "a.js"}));
    assert!(first.contains("é [… 1503 more characters of this line]\n"), "{first}");
    assert!(
        first
            .ends_with("[some lines were cut: to show the rest of them, call again with \"column\": 1001]\n"),
        "{first}"
    );
    let rest = stage.call_valid(TreeTool::Read, json!({"path": "a.js", "column": 1001}));
    assert!(rest.contains("     1\tENDx") && rest.contains("\"column\": 2001"), "{rest}");
    let end = stage.call_valid(TreeTool::Read, json!({"path": "a.js", "column": 2001}));
    assert!(!end.contains("cut"), "{end}");
}

#[test]
fn nothing_outside_of_the_tree_and_nothing_of_git_is_seen_by_any_tool() {
    let files: &[(&str, &[u8])] = &[
        ("a.py", b"def inside(): pass\n"),
        (".git/config", b"def inside(): 'of git'\n"),
        ("sub/.GIT/x.py", b"def inside(): 'of git'\n"),
        ("sub/b.py", b"x = 1\n"),
    ];
    let stage = Stage::new(files);
    let tree = stage.request().tree;
    symlink("../secret", tree.join("link")).unwrap();
    symlink("..", tree.join("up")).unwrap();
    symlink("a.py", tree.join("alias.py")).unwrap();
    for path in [
        "../secret",
        "/etc/passwd",
        "sub/../../secret",
        "a.py/../../secret",
        ".git/config",
        "sub/.GIT/x.py",
        "link",
        "up/secret",
        "alias.py",
        "a\u{0}.py",
        "/",
        "..",
    ] {
        for tool in [TreeTool::Read, TreeTool::List] {
            let refusal = stage.call_invalid(tool, json!({ "path": path }));
            assert!(!refusal.contains(SECRET) && !refusal.contains("of git"), "{path}: {refusal}");
        }
        stage.call_invalid(TreeTool::Grep, json!({"pattern": ".", "path": path}));
        stage.call_invalid(TreeTool::Symbol, json!({"name": "inside", "path": path}));
    }
    assert_eq!(
        stage.call_valid(TreeTool::List, json!({})),
        "The root has 2 entries\na.py  (19 bytes)\nsub/  (1 file)\n"
    );
    assert_eq!(
        stage.call_valid(TreeTool::Glob, json!({"pattern": "**"})),
        "2 files match `**`\na.py\nsub/b.py\n"
    );
    let found = stage.call_valid(TreeTool::Grep, json!({"pattern": "git|outside|inside"}));
    assert_eq!(found, "1 match for `git|outside|inside`\na.py\n     1: def inside(): pass\n");
    let defined = stage.call_valid(TreeTool::Symbol, json!({"name": "inside"}));
    assert!(defined.starts_with("1 definition of `inside`\na.py:1-1 (function definition)\n"), "{defined}");
}

#[test]
fn of_a_working_tree_the_files_that_are_named_and_those_that_changed_are_shown_alone() {
    let files: &[(&str, &[u8])] = &[
        (".gitignore", b".env\nbuild/\n"),
        (".env", b"KEY=1"),
        ("build/a.js", b"1"),
        ("build/kept.js", b"1"),
        ("a.js", b"1"),
    ];
    let stage = Stage::new(files);
    let only = [".gitignore", "a.js", "gone.js", "../outside.js", ".git/config"];
    let request = ToolsRequest {
        readable_files: Some(only.map(Into::into).to_vec()),
        always: vec!["build/kept.js".into()],
        ..stage.request()
    };
    let mut hidden = TreeToolbox::open(&request).unwrap();
    let all = hidden.call(TreeTool::Glob, &json!({"pattern": "*"}));
    assert_eq!(all.text, "3 files match `*`\n.gitignore\na.js\nbuild/kept.js\n");
    assert!(hidden.call(TreeTool::Read, &json!({"path": ".env"})).is_error);
    assert!(
        stage.call_valid(TreeTool::Read, json!({"path": ".env"})).contains("KEY"),
        "a commit's file is shown"
    );
}

#[test]
fn binary_and_huge_files_are_told_as_such() {
    let huge = vec![b'x'; 6 << 20];
    let stage = Stage::new(&[("a.png", b"PNG\0\x01"), ("huge.txt", &huge), ("utf16", b"\xFF\xFEh\0i\0")]);
    let refusal = stage.call_invalid(TreeTool::Read, json!({"path": "a.png"}));
    assert_eq!(refusal, "`a.png` cannot be read: it is binary");
    let refusal = stage.call_invalid(TreeTool::Read, json!({"path": "huge.txt"}));
    assert_eq!(refusal, "`huge.txt` cannot be read: it is larger than 5 MiB");
    assert!(stage.call_valid(TreeTool::Read, json!({"path": "utf16"})).ends_with("     1\thi\n"));
    let found = stage.call_valid(TreeTool::Grep, json!({"pattern": "h"}));
    assert_eq!(
        found,
        "1 match for `h`; files not searched because they are binary or too large: 2\nutf16\n     1: hi\n"
    );
}

#[test]
fn what_cannot_be_seen_is_written_as_an_escape() {
    let hidden = "a\u{1b}[31m\u{202e}b\u{e0041}\r\n";
    let stage = Stage::new(&[("a.py", hidden.as_bytes()), ("\u{202e}x.py", b"")]);
    let shown = "a\\u{1b}[31m\\u{202e}b\\u{e0041}\n";
    assert!(stage.call_valid(TreeTool::Read, json!({"path": "a.py"})).ends_with(shown));
    assert!(stage.call_valid(TreeTool::Grep, json!({"pattern": "a"})).ends_with(shown));
    assert!(stage.call_valid(TreeTool::List, json!({})).contains("\\u{202e}x.py  (0 bytes)"));
    let change = format!("--- a/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n+{hidden}");
    assert!(answer_diff_call(change.as_bytes(), &json!({})).text.ends_with(shown));
}

#[test]
fn lists_come_in_pages() {
    let names: Vec<String> = (0..1_200).map(|number| format!("d/{number:04}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    let stage = Stage::new(&files);
    let mut seen = Vec::new();
    let mut skip = 0;
    loop {
        let page = stage.call_valid(TreeTool::Glob, json!({"pattern": "d/*", "skip": skip}));
        assert!(page.starts_with("1200 files match `d/*`\n"), "{page}");
        seen.extend(page.lines().filter(|line| line.starts_with("d/")).map(str::to_owned));
        match page.lines().last().unwrap().split_once("\"skip\": ") {
            Some((_, next)) => skip = next.trim_end_matches(']').parse().unwrap(),
            None => break,
        }
    }
    assert_eq!(seen, names);
    let page = stage.call_valid(TreeTool::List, json!({"path": "d/", "skip": 1_199}));
    assert_eq!(page, "d/ has 1200 entries\n1199.txt  (1 bytes)\n");
    let refusal = stage.call_invalid(TreeTool::List, json!({"path": "d", "skip": 1_200}));
    assert_eq!(refusal, "`skip` is 1200, but the answer has only 1200 entries");
}

#[test]
fn matches_come_with_context_and_in_pages() {
    let stage = Stage::new(&[("a.txt", &numbered_lines(500)), ("b/c.rs", b"no\nyes\r\nno\n")]);
    let found =
        stage.call_valid(TreeTool::Grep, json!({"pattern": "YES$", "ignore_case": true, "context": 1}));
    assert_eq!(found, "1 match for `YES$`\nb/c.rs\n     1- no\n     2: yes\n     3- no\n");
    let first = stage.call_valid(TreeTool::Grep, json!({"pattern": "line", "path": "a.txt"}));
    assert!(first.starts_with("At least 201 matches for `line`\na.txt\n     1: line 1\n"), "{first}");
    assert!(first.ends_with("matches 1 to 200 are shown, there are more: call again with \"skip\": 200]\n"));
    let third = stage.call_valid(TreeTool::Grep, json!({"pattern": "line", "skip": 400, "context": 1}));
    assert!(third.starts_with("500 matches for `line`\na.txt\n"), "{third}");
    assert!(third.contains("   401: line 401\n") && third.ends_with("   500: line 500\n"), "{third}");
    assert!(!third.contains("line 399"), "{third}");
    let globbed = stage.call_valid(TreeTool::Grep, json!({"pattern": "n", "glob": "*.rs"}));
    assert_eq!(globbed, "2 matches for `n`\nb/c.rs\n     1: no\n     3: no\n");
    let literal = stage.call_valid(TreeTool::Grep, json!({"pattern": "line 1(", "literal": true}));
    assert_eq!(literal, "No line matches `line 1(`");
    for (input, told) in [
        (json!({"pattern": "("}), "\"literal\": true"),
        (json!({"pattern": "(?=x)"}), "look-around"),
        (json!({"pattern": "\\w{1000}{1000}"}), "cannot be used"),
        (json!({"pattern": "(".repeat(400) + &")".repeat(400)}), "cannot be used"),
        (json!({"pattern": "x".repeat(1_001)}), "too long"),
        (json!({"pattern": "a\nb"}), "cannot be used"),
        (json!({"pattern": "x", "context": 11}), "`context` must be between 0 and 10"),
        (json!({"pattern": "x", "glob": "{a"}), "as in `src/**/*.{ts,tsx}`"),
        (json!({"pattern": "x", "path": "nowhere"}), "no file or folder `nowhere`"),
    ] {
        let refusal = stage.call_invalid(TreeTool::Grep, input);
        assert!(refusal.contains(told), "{refusal}");
    }
}

#[test]
fn a_call_ends_in_time_and_tells_what_it_did_not_look_at() {
    let stage = Stage::new(&[("a.py", b"def f(): pass\n"), ("b.py", b"def f(): pass\n")]);
    let mut toolbox = TreeToolbox::open(&stage.request()).unwrap();
    toolbox.time_limit = Duration::ZERO;
    let found = toolbox.call(TreeTool::Grep, &json!({"pattern": "f"}));
    assert!(
        found.text.contains(
            "files not searched to the end because the time limit was reached: 2 (narrow the search"
        ),
        "{}",
        found.text
    );
    let found = toolbox.call(TreeTool::Symbol, &json!({"name": "f"}));
    assert!(
        found.text.contains("not searched, because the time limit was reached: 2 files"),
        "{}",
        found.text
    );
}

#[test]
fn a_definition_is_found_in_every_language() {
    let stage = Stage::new(&[
        ("a.py", b"parse = 1\nclass A:\n    def parse(self):\n        parse = 2\n        return 3\n"),
        ("b.ts", b"interface parse { }\nconst parse = () => { const parse = 1; };\nclass C { parse() {} }\n"),
        ("c.rs", b"fn f() { parse(); }\npub fn parse() {\n    let parse = 1;\n}\nenum E { parse }\n"),
        ("d.go", b"package d\nfunc (t T) parse() {}\ntype parse struct{}\nvar a, parse = 1, 2\n"),
        ("E.java", b"class E {\n  int parse;\n  void parse() { int parse; }\n}\n"),
        ("f.js", b"function* parse() {}\nparse();\n"),
        ("g.tsx", b"export function parse() { return <a/>; }\n"),
        ("h.txt", b"def parse(): pass\n"),
    ]);
    let found = stage.call_valid(TreeTool::Symbol, json!({"name": "parse"}));
    let places: Vec<&str> = found.lines().filter(|line| !line.starts_with(' ')).skip(1).collect();
    assert_eq!(
        places,
        [
            "E.java:2-2 (variable declarator)",
            "E.java:3-3 (method declaration)",
            "a.py:1-1 (assignment)",
            "a.py:3-5 (function definition)",
            "b.ts:1-1 (interface declaration)",
            "b.ts:2-2 (variable declarator)",
            "b.ts:3-3 (method definition)",
            "c.rs:2-4 (function item)",
            "c.rs:5-5 (enum variant)",
            "d.go:2-2 (method declaration)",
            "d.go:3-3 (type spec)",
            "d.go:4-4 (var spec)",
            "f.js:1-1 (generator function declaration)",
            "g.tsx:1-1 (function declaration)",
        ]
    );
    assert!(found.contains("     2\tpub fn parse() {\n     3\t    let parse = 1;\n     4\t}\n"), "{found}");
    let one = stage.call_valid(TreeTool::Symbol, json!({"name": "parse", "path": "c.rs", "skip": 1}));
    assert_eq!(one, "2 definitions of `parse`\nc.rs:5-5 (enum variant)\n     5\tenum E { parse }\n");
    let none = stage.call_valid(TreeTool::Symbol, json!({"name": "nothing"}));
    assert!(none.contains("python, typescript") && none.contains("`grep` searches files"), "{none}");
    for wrong in ["", "A.parse", "parse(", "a b"] {
        assert!(stage.call_invalid(TreeTool::Symbol, json!({ "name": wrong })).contains("bare name"));
    }
}

const CHANGE: &[u8] = b"diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -10,3 +10,3 @@ def f():\n \
    one\n-two\n+zwei\n three\ndiff --git a/old.bin b/new/b.bin\nsimilarity index 90%\n\
    rename from old.bin\nrename to new/b.bin\nBinary files a/old.bin and b/new/b.bin differ\n";

#[test]
fn the_change_is_shown_with_the_numbers_of_both_sides() {
    let all = answer_diff_call(CHANGE, &json!({}));
    assert!(!all.is_error);
    assert_eq!(
        all.text,
        "The change touches 2 files: +1 -1\n  a.py (modified, +1 -1)\n  \
         new/b.bin (renamed from old.bin, binary, +0 -0)\n\na.py (modified, +1 -1)\n\
         @@ -10,3 +10,3 @@ def f():\n    10     10  one\n    11        -two\n           11 +zwei\n    \
         12     12  three\n\nnew/b.bin (renamed from old.bin, binary, +0 -0)\n"
    );
    let one = answer_diff_call(CHANGE, &json!({"path": "old.bin"})).text;
    assert_eq!(one, "The change touches 1 file: +0 -0\n\nnew/b.bin (renamed from old.bin, binary, +0 -0)\n");
    let rest = answer_diff_call(CHANGE, &json!({"path": "a.py", "skip": 5})).text;
    assert_eq!(rest, "The change touches 1 file: +1 -1\n    12     12  three\n");
    assert_eq!(answer_diff_call(b"", &json!({})).text, "The change is empty");
    for (input, told) in [
        (json!({"path": "b.py"}), "does not touch `b.py`"),
        (json!({"path": "../a.py"}), "is not a valid path in this tree"),
        (json!({"paths": []}), "unknown field"),
    ] {
        let refusal = answer_diff_call(CHANGE, &input);
        assert!(refusal.is_error && refusal.text.contains(told), "{}", refusal.text);
    }
}

/// Returns a private key of several lines, and a key of one line.
fn secrets() -> (String, String) {
    let line = ["MIIEpAIBAAKCAQEA7Q8zvT4mKx9Lw2", "PqRs6YhUjN3dFgB5cXeZ1aO0iV8kQyTtWn\n"].concat();
    let pem =
        ["-----BEGIN RSA PRIVATE", " KEY-----\n", &line.repeat(6), "-----END RSA PRIVATE", " KEY-----\n"];
    (pem.concat(), ["AKIA", "73U55XTPLPFT7V4S"].concat())
}

#[test]
fn no_page_shows_a_secret_and_no_pattern_finds_one() {
    let (pem, key) = secrets();
    let text = format!("def deploy():\n    key = \"{key}\"\n{pem}end\n");
    let stage = Stage::new(&[("conf.py", text.as_bytes())]);
    let all = stage.call_valid(TreeTool::Read, json!({"path": "conf.py"}));
    assert!(all.contains("     2\t    key = \"[secret cut]\"\n"), "{all}");
    assert!(all.ends_with("    11\tend\n"), "{all}");
    let part = stage.call_valid(TreeTool::Read, json!({"path": "conf.py", "start_line": 5, "end_line": 6}));
    assert!(part.ends_with("     5\t[secret cut]\n     6\t[secret cut]\n"), "{part}");
    let column = stage
        .call_valid(TreeTool::Read, json!({"path": "conf.py", "start_line": 2, "end_line": 2, "column": 18}));
    assert!(!column.contains("5XTPLPFT"), "{column}");
    for pattern in ["AKIA7", "MIIEpA", "[A-Z0-9]{20}"] {
        let found = stage.call_valid(TreeTool::Grep, json!({"pattern": pattern}));
        assert!(found.starts_with("No line matches"), "{found}");
    }
    let beside = stage.call_valid(TreeTool::Grep, json!({"pattern": "key ="}));
    assert!(beside.contains("key = \"[secret cut]\""), "{beside}");
    let symbol = stage.call_valid(TreeTool::Symbol, json!({"name": "deploy"}));
    assert!(symbol.contains("def deploy") && !symbol.contains("AKIA"), "{symbol}");
}

#[test]
fn a_change_shows_no_secret_on_any_side() {
    let (pem, key) = secrets();
    let lines: Vec<&str> = pem.lines().collect();
    let other = "MIIEpAIBAAKCAQEA0000000000000000PqRs6YhUjN3dFgB5cXeZ1aO0iV8kQyTtWn";
    // In the first case, one line of a key is replaced. In the second case, the key is added. In the third
    // case, the key is deleted.
    for (old, new, body) in [
        (
            8,
            8,
            [
                &[
                    " ".to_owned() + lines[0],
                    " ".to_owned() + lines[1],
                    "-".to_owned() + lines[2],
                    "+".to_owned() + other,
                ][..],
                &lines[3..].iter().map(|line| format!(" {line}")).collect::<Vec<_>>(),
            ]
            .concat(),
        ),
        (0, 8, lines.iter().map(|line| format!("+{line}")).collect()),
        (8, 0, lines.iter().map(|line| format!("-{line}")).collect()),
    ] {
        let change = format!(
            "diff --git a/k b/k\n--- a/k\n+++ b/k\n@@ -1,{old} +1,{new} @@ key = {key}\n{}\n",
            body.join("\n")
        );
        let shown = answer_diff_call(change.as_bytes(), &json!({}));
        assert!(!shown.is_error, "{}", shown.text);
        assert!(!shown.text.contains("AKCAQEA") && !shown.text.contains(&key), "{}", shown.text);
        assert!(shown.text.contains("[secret cut]"), "{}", shown.text);
        assert_eq!(shown.text.lines().count(), 4 + body.len(), "{}", shown.text);
    }
}

#[test]
fn a_large_change_comes_in_pages() {
    let lines: String = (0..3_000).map(|number| format!("+{number} {}\n", "x".repeat(600))).collect();
    let change = format!("diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -0,0 +1,3000 @@\n{lines}");
    let first = answer_diff_call(change.as_bytes(), &json!({})).text;
    assert!(first.len() <= MAX_REPLY_BYTES && first.contains(" more characters of this line]\n"));
    let (_, next) = first.lines().last().unwrap().split_once("\"skip\": ").unwrap();
    let next: usize = next.trim_end_matches(']').parse().unwrap();
    let second = answer_diff_call(change.as_bytes(), &json!({ "skip": next })).text;
    assert!(second.lines().nth(1).unwrap().contains(&format!(" +{} ", next - 2)), "{second}");
}

#[test]
fn the_first_thing_of_a_page_is_shown_however_long_it_is() {
    let long = "\u{202e}".repeat(300) + "match\n";
    let stage = Stage::new(&[("a", long.repeat(30).as_bytes())]);
    let found = stage.call_valid(TreeTool::Grep, json!({"pattern": "match", "context": 10}));
    assert!(found.contains("a\n") && found.len() < MAX_REPLY_BYTES);
    let class = format!("class A:\n{}", format!("    x = '{}'\n", "\u{202e}".repeat(900)).repeat(30));
    let stage = Stage::new(&[("a.py", class.as_bytes())]);
    let found = stage.call_valid(TreeTool::Symbol, json!({"name": "A"}));
    assert!(found.ends_with("[… cut: too long to be shown]\n"), "{}", found.len());
}

#[test]
fn every_tool_takes_what_its_schema_offers_and_nothing_else() {
    let stage = Stage::new(&[("a.py", b"def f(): pass\n")]);
    let offered = tool_descriptions();
    assert_eq!(
        offered.iter().map(|tool| tool.name).collect::<Vec<_>>(),
        ["read", "list", "glob", "grep", "symbol", "diff"]
    );
    for tool in offered {
        assert_eq!(tool.input_schema["additionalProperties"], json!(false));
        let mut input = serde_json::Map::new();
        for (name, schema) in tool.input_schema["properties"].as_object().unwrap() {
            let value = match (name.as_str(), schema["type"].as_str().unwrap()) {
                ("path", _) => json!("a.py"),
                ("pattern" | "name", _) => json!("f"),
                ("glob", _) => json!("*"),
                ("skip", _) => json!(0),
                (_, "boolean") => json!(false),
                (_, "integer") => json!(1),
                other => panic!("{other:?}"),
            };
            input.insert(name.clone(), value);
        }
        let call = |input: &serde_json::Map<String, Value>| {
            let input = Value::Object(input.clone());
            match TreeTool::from_name(tool.name) {
                Some(tool) => stage.call(tool, input),
                None => answer_diff_call(b"--- a/a.py\n+++ b/a.py\n@@ -0,0 +1 @@\n+x\n", &input),
            }
        };
        let reply = call(&input);
        assert!(!reply.is_error, "{}: {}", tool.name, reply.text);
        for required in tool.input_schema["required"].as_array().unwrap() {
            let mut without = input.clone();
            without.remove(required.as_str().unwrap());
            assert!(call(&without).is_error, "{} without {required}", tool.name);
        }
        input.insert("other".into(), json!(1));
        assert!(call(&input).text.contains("unknown field `other`"), "{}", tool.name);
    }
}

#[test]
fn a_pattern_that_is_long_or_compiles_to_much_is_refused() {
    let stage = Stage::new(&[("a", b"x\n")]);
    stage.call_valid(TreeTool::Grep, json!({"pattern": "x".repeat(1000)}));
    let long = stage.call_invalid(TreeTool::Grep, json!({"pattern": "x".repeat(1001)}));
    assert!(long.contains("1001") && long.contains("1000"), "{long}");
    let much = stage.call_invalid(TreeTool::Grep, json!({"pattern": r"(\w{200}){200}"}));
    assert!(much.contains("size limit"), "{much}");
}
