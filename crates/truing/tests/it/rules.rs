//! Tests of `truing rules`: lists, findings in whole files, and errors for invalid rules.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::place::{Place, Ran};

/// Runs `truing` in a folder, without the configuration of this machine's user.
fn run_truing(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_truing"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .output()
        .unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_pack_that_is_not_there_is_named_with_what_to_do_also_where_no_file_is_checked() {
    let empty = folder(&[]);
    for (arguments, wrong, hint) in [
        (
            &["rules", "check", ".", "--pack", "nope"][..],
            "there is no rule pack `nope`",
            "`truing rules list`",
        ),
        (&["rules", "check", ".", "--pack", "cor"], "there is no rule pack `cor`", "did you mean `core`?"),
        (&["rules", "test", "nope"], "there is no rule pack `nope`", "`truing rules list`"),
        (&["rules", "test", "./nope"], "there is no folder `./nope`", "`truing rules list`"),
    ] {
        let output = run_truing(empty.path(), arguments);
        let told = stderr_text(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(wrong) && told.contains(hint), "{arguments:?}: {told}");
    }
}

fn stderr_text(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Returns each finding as `path:line rule`.
fn finding_lines(output: &Output) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let one =
        |line: &Value| format!("{}:{} {}", text(&line["path"]), line["start_line"], text(&line["rule"]));
    json_lines(output).iter().map(one).collect()
}

const SWALLOWED: &str = "try:\n    f()\nexcept:\n    pass\n";

const HOUSE_RULE: &str = "id: no-eval
language: python
severity: error
message: eval runs whatever it is given
rule:
  pattern: eval($A)
metadata:
  truing:
    valid: ['f(1)']
    invalid: ['eval(x)']
";

#[test]
fn every_rule_is_listed_with_its_kind_and_severity() {
    let here = folder(&[]);
    let rules = json_lines(&run_truing(here.path(), &["rules", "list", "--format", "json"]));
    let marker = rules.iter().find(|rule| rule["rule"] == "core/conflict-marker").unwrap();
    assert_eq!((&marker["kind"], &marker["severity"]), (&"text".into(), &"P0".into()));
    let text = run_truing(here.path(), &["rules", "list"]);
    assert_eq!(text.status.code(), Some(0));
    let text = String::from_utf8(text.stdout).unwrap();
    // Programs read whole lines, as in `truing rules list | grep secret`.
    let line = "core/python-bare-except-pass  P1 F  syntax (python)  Every exception is swallowed\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(text.lines().count(), rules.len(), "{text}");
}

#[test]
fn whole_files_are_told_in_every_format_and_to_a_file() {
    let here = folder(&[("a b.py", SWALLOWED), ("b.rs", "fn f() {\n    dbg!(1);\n}\n"), ("c.bin", "\0")]);
    let there = folder(&[]);
    let out = there.path().join("out");
    let check = |arguments: &[&str]| run_truing(here.path(), &[&["rules", "check", "."], arguments].concat());
    let sarif = check(&["--format", "sarif"]);
    assert_eq!(sarif.status.code(), Some(1));
    let run = json_lines(&sarif)[0]["runs"][0].clone();
    assert_eq!(run["automationDetails"]["id"], "truing/rules-check/");
    let uris: Vec<&Value> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        .collect();
    assert_eq!(uris, ["a%20b.py", "b.rs"], "worst first");
    let markdown = String::from_utf8(check(&["--format", "markdown"]).stdout).unwrap();
    assert!(markdown.starts_with("## Truing: 2 findings (2 P1)\n\n2 files checked, 1 not.\n\n### P1: "));
    for format in ["text", "json", "sarif", "markdown"] {
        let printed = check(&["--format", format]).stdout;
        let to_file = check(&["--format", format, "--output", out.to_str().unwrap()]);
        assert_eq!((to_file.status.code(), to_file.stdout.as_slice()), (Some(1), &b""[..]), "{format}");
        assert_eq!(fs::read(&out).unwrap(), printed, "{format}");
    }
}

#[test]
fn whole_files_are_checked_and_the_fields_are_those_of_a_review() {
    let here = folder(&[("a.py", SWALLOWED), ("sub/b.rs", "fn f() {\n    dbg!(1);\n}\n"), ("c.bin", "\0")]);
    let output = run_truing(here.path(), &["rules", "check", ".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr_text(&output));
    assert_eq!(finding_lines(&output), ["a.py:3 core/python-bare-except-pass", "sub/b.rs:2 core/rust-dbg"]);
    let keys: Vec<String> = json_lines(&output)[0].as_object().unwrap().keys().cloned().collect();
    let mut expected = vec![
        "id",
        "fingerprint",
        "path",
        "old_path",
        "side",
        "start_line",
        "end_line",
        "severity",
        "category",
        "rule",
        "title",
        "body",
        "suggestion",
        "anchor",
        "source",
        "status",
    ];
    expected.sort_unstable();
    let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, expected);

    let text = run_truing(here.path(), &["rules", "check", "a.py"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("except:") && text.ends_with("1 finding: 1 file checked\n"), "{text}");
}

#[test]
fn only_findings_of_p0_and_p1_and_unread_files_fail_a_check() {
    let here = folder(&[("a.go", "package a\n\nfunc f() {\n\tjson.Unmarshal(b, &v)\n}\n")]);
    let checked = run_truing(here.path(), &["rules", "check", ".", "--format", "json"]);
    assert_eq!(finding_lines(&checked), ["a.go:4 core/go-unchecked-error"]);
    assert_eq!(checked.status.code(), Some(0));
    fs::write(here.path().join("large.txt"), vec![b'a'; 6 * 1024 * 1024]).unwrap();
    let output = run_truing(here.path(), &["rules", "check", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr_text(&output).contains("large.txt: not checked: too large"), "{}", stderr_text(&output));
}

/// Returns a private key in PEM format whose body looks random enough for the rule.
fn fake_private_key() -> String {
    let line =
        |number: u32| format!("{number:02}ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\n");
    let (begin, end) = (concat!("-----BEGIN PRIV", "ATE KEY-----"), concat!("-----END PRIV", "ATE KEY-----"));
    format!("{begin}\n{}{end}\n", (0..8).map(line).collect::<String>())
}

#[test]
fn keys_are_found_but_in_tests_documents_and_examples_and_beside_their_certificate() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let key = fake_private_key();
    let paths = [
        "id_rsa",
        "src/keys/server.pem",
        "deploy/tls/server.key",
        "tests/server.key",
        "crypto/testdata/a.go",
        "docs/tls.md",
        "examples/client.key",
        "suite/keys/own.pem",
    ];
    let mut files: Vec<(&str, &str)> = paths.iter().map(|path| (*path, key.as_str())).collect();
    files.extend([("deploy/tls/server.crt", certificate), ("suite/keys/own.crt", certificate)]);
    let here = folder(&files);
    let output = run_truing(here.path(), &["rules", "check", ".", "--format", "json"]);
    let expected = ["deploy/tls/server.key:1", "id_rsa:1", "src/keys/server.pem:1"];
    assert_eq!(finding_lines(&output), expected.map(|place| format!("{place} core/private-key")));
}

#[test]
fn markers_of_a_merge_are_found_where_git_left_them_and_not_where_they_are_shown() {
    let markers = "<<<<<<< HEAD\na = 1\n=======\na = 2\n>>>>>>> topic\n";
    let (fenced, text) =
        (format!("# Merging\n\n```text\n{markers}```\n"), format!("x = \"\"\"\n{markers}\"\"\"\n"));
    let block = "<<<<<<< SEARCH\na = 1\n=======\na = 2\n>>>>>>> REPLACE\n";
    let here = folder(&[
        ("a.py", markers),
        ("README.md", markers),
        ("tests/test_a.py", markers),
        ("docs/merging.md", &fenced),
        ("b.py", &text),
        ("prompt.txt", block),
        ("tests/data/merged.py", markers),
    ]);
    let output = run_truing(here.path(), &["rules", "check", ".", "--format", "json"]);
    let expected = ["README.md:1", "a.py:1", "tests/test_a.py:1"];
    assert_eq!(finding_lines(&output), expected.map(|place| format!("{place} core/conflict-marker")));
}

#[test]
fn a_debugging_aid_is_as_bad_as_the_part_that_it_stands_in() {
    let here = folder(&[
        (
            "src/a.rs",
            "fn f() {\n    dbg!(1);\n}\n\n#[cfg(test)]\nmod tests \
             {\n    fn g() {\n        dbg!(2);\n    }\n}\n",
        ),
        ("tests/b.rs", "fn f() {\n    dbg!(1);\n}\n"),
        ("a.py", "f()\nbreakpoint()\n"),
        ("tests/test_b.py", "f()\nbreakpoint()\n"),
        ("tests/data/c.py", "f()\nbreakpoint()\n"),
        ("d.py", "TEXT = \"\"\"\nbreakpoint()\n\"\"\"\n"),
    ]);
    let output = run_truing(here.path(), &["rules", "check", ".", "--format", "json"]);
    let told: Vec<String> = json_lines(&output)
        .iter()
        .map(|line| format!("{} {}:{}", line["severity"], line["path"], line["start_line"]).replace('"', ""))
        .collect();
    assert_eq!(told, ["P1 a.py:2", "P1 src/a.rs:2", "P2 tests/test_b.py:2"]);
}

#[test]
fn what_git_ignores_and_what_the_configuration_ignores_is_left_out() {
    let here = folder(&[
        (".git/HEAD", "ref: refs/heads/main\n"),
        (".git/a.py", SWALLOWED),
        (".gitignore", "built/\n"),
        (".truing.toml", "[rules]\nignore = [\"vendor/**\"]\n"),
        ("built/a.py", SWALLOWED),
        ("vendor/a.py", SWALLOWED),
        (".hidden/a.py", SWALLOWED),
    ]);
    let output = run_truing(here.path(), &["rules", "check", ".", "--format", "json"]);
    assert_eq!(finding_lines(&output), [".hidden/a.py:3 core/python-bare-except-pass"]);
}

#[test]
fn files_elsewhere_are_shown_with_their_whole_path() {
    let here = folder(&[]);
    let there = folder(&[("a.py", SWALLOWED)]);
    let path = there.path().canonicalize().unwrap();
    let output = run_truing(here.path(), &["rules", "check", path.to_str().unwrap(), "--format", "json"]);
    assert_eq!(finding_lines(&output), [format!("{}/a.py:3 core/python-bare-except-pass", path.display())]);
    let missing = run_truing(here.path(), &["rules", "check", "nowhere"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr_text(&missing).contains("nowhere: "), "{}", stderr_text(&missing));
}

#[test]
fn an_operator_s_folder_adds_packs() {
    let here = folder(&[
        ("packs/house/rules/no-eval.yml", HOUSE_RULE),
        ("packs/notes/README.md", "no pack"),
        ("truing.toml", "[rules]\ndir = \"packs\"\npacks = [\"house\"]\n"),
        ("a.py", "eval(x)\n"),
    ]);
    let with =
        |arguments: &[&str]| run_truing(here.path(), &[&["--config", "truing.toml"], arguments].concat());
    let output = with(&["rules", "check", "a.py", "--format", "json"]);
    assert_eq!(finding_lines(&output), ["a.py:1 house/no-eval"], "{}", stderr_text(&output));
    assert_eq!(
        finding_lines(&with(&["rules", "check", "a.py", "--pack", "core", "--format", "json"])),
        Vec::<String>::new()
    );
    let tested = with(&["rules", "test", "house"]);
    assert_eq!(
        String::from_utf8(tested.stdout).unwrap(),
        "1 rule, 2 examples: all with the expected result\n"
    );

    let told = with(&["rules", "test", "house", "--format", "json"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["untested"], serde_json::json!([]));

    // A rule without examples counts as untested, so the command fails.
    let untried = HOUSE_RULE
        .replace("no-eval", "untried")
        .replace("    valid: ['f(1)']\n    invalid: ['eval(x)']\n", "");
    fs::write(here.path().join("packs/house/rules/untried.yml"), untried).unwrap();
    let tested = with(&["rules", "test", "house"]);
    let expected = "house/untried has no example: nothing shows what the rule finds\n\
                    2 rules, 2 examples: 1 rule without an example\n";
    assert_eq!(
        (tested.status.code(), String::from_utf8(tested.stdout).unwrap().as_str()),
        (Some(1), expected)
    );

    fs::remove_dir_all(here.path().join("packs")).unwrap();
    let gone = with(&["rules", "list"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(stderr_text(&gone).contains("/packs: "), "{}", stderr_text(&gone));
}

#[test]
fn rules_are_tested_by_name_or_folder() {
    let wrong = HOUSE_RULE.replace("'f(1)'", "'eval(1)'");
    let here = folder(&[("house/rules/no-eval.yml", &wrong)]);
    let output = run_truing(here.path(), &["rules", "test", "./house", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        json_lines(&output)[0]["failing"][0],
        "house/no-eval finds something in valid example \"eval(1)\""
    );

    assert_eq!(run_truing(here.path(), &["rules", "test"]).status.code(), Some(0));
    let unknown = run_truing(here.path(), &["rules", "test", "house"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr_text(&unknown).contains("no rule pack `house`"), "{}", stderr_text(&unknown));
}

#[test]
fn a_wrong_rule_is_wrong_use_with_file_line_and_column() {
    for (from, to, expected) in [
        ("python", "cobol", "house/rules/no-eval.yml:2:11: the language `cobol` is not supported"),
        (
            "pattern: eval($A)",
            "kind: cal",
            "house/rules/no-eval.yml:6:9: the text is not a valid rule for python: Kind `cal`",
        ),
    ] {
        let here = folder(&[("house/rules/no-eval.yml", &HOUSE_RULE.replace(from, to))]);
        let output = run_truing(here.path(), &["rules", "test", "./house"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr_text(&output).contains(expected), "{}", stderr_text(&output));
    }
}

#[test]
fn what_is_no_plain_file_is_named_and_the_rest_is_checked() {
    let folder = folder(&[("a.py", SWALLOWED)]);
    let made = Command::new("mkfifo").arg(folder.path().join("fifo")).status().unwrap();
    assert!(made.success());
    let ran = run_truing(folder.path(), &["rules", "check", "a.py", "fifo", "/dev/zero", "--format", "json"]);
    assert_eq!(ran.status.code(), Some(1));
    assert_eq!(finding_lines(&ran), ["a.py:3 core/python-bare-except-pass"]);
    let plain = "not checked: it is not a regular file";
    assert_eq!(stderr_text(&ran), format!("warning: fifo: {plain}\nwarning: /dev/zero: {plain}\n"));
    // `rules check` skips files in a folder that are not regular files, as git does.
    let ran = run_truing(folder.path(), &["rules", "check", ".", "--format", "json"]);
    assert_eq!((finding_lines(&ran).len(), stderr_text(&ran).as_str()), (1, ""));
    let gone = run_truing(folder.path(), &["rules", "check", "a.py", "gone"]);
    assert_eq!((gone.status.code(), gone.stdout.is_empty()), (Some(2), true));
    assert!(stderr_text(&gone).starts_with("error: gone: "), "{}", stderr_text(&gone));
}

#[test]
fn a_pack_that_is_not_known_is_told_with_the_nearest_one() {
    let folder = folder(&[("a.py", SWALLOWED)]);
    for (name, hint) in [("croe", "did you mean `core`?"), ("aiobotcore", "did you mean `aiobotocore`?")] {
        let ran = run_truing(folder.path(), &["rules", "check", ".", "--pack", name]);
        assert_eq!(ran.status.code(), Some(2));
        assert!(stderr_text(&ran).contains(hint), "{}", stderr_text(&ran));
    }
    assert!(
        !stderr_text(&run_truing(folder.path(), &["rules", "check", ".", "--pack", "zzz"]))
            .contains("did you mean")
    );
}

const LANGUAGES: [&str; 7] = ["python", "typescript", "tsx", "javascript", "rust", "go", "java"];

#[test]
fn a_new_rule_passes_its_tests_in_every_language_and_finds_its_example_in_a_review() {
    let place = Place::new();
    let ran = |arguments: &[&str]| Ran::from(place.command(arguments).output().unwrap());
    for language in LANGUAGES {
        let name = format!("ours/no-{language}");
        let made = ran(&["rules", "new", &name, "--dir", "../packs", "--language", language]);
        let path = format!("../packs/ours/rules/no-{language}.yml\n");
        assert_eq!((made.exit, made.out), (0, path), "{}", made.err);
    }
    let tested = ran(&["rules", "test", "../packs/ours"]);
    assert_eq!(
        (tested.exit, tested.out.as_str()),
        (0, "7 rules, 28 examples: all with the expected result\n")
    );

    fs::write(place.home().join("op.toml"), "[rules]\ndir = \"packs\"\npacks = [\"core\", \"ours\"]\n")
        .unwrap();
    place.write("b.py", "import ast\npoint = eval(text)\nother = ast.literal_eval(text)\n");
    place.write("c.go", "package a\n\nfunc f() {\n\tos.Exit(1)\n}\n");
    let report = place.report(&["--config", "../op.toml"]);
    let told: Vec<String> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| format!("{} {}:{}", found["rule"], found["path"], found["start_line"]).replace('"', ""))
        .collect();
    assert_eq!(told, ["ours/no-python b.py:2", "ours/no-go c.go:4"]);
}

#[test]
fn a_new_rule_goes_to_the_configured_folder_and_the_next_steps_are_told() {
    let here = folder(&[("truing.toml", "[rules]\ndir = \"packs\"\n")]);
    let path = here.path().canonicalize().unwrap();
    let with =
        |arguments: &[&str]| run_truing(here.path(), &[&["--config", "truing.toml"], arguments].concat());
    let made = with(&["rules", "new", "no-eval", "--format", "json"]);
    let file = path.join("packs/house/rules/no-eval.yml");
    assert_eq!(made.status.code(), Some(0), "{}", stderr_text(&made));
    assert_eq!(json_lines(&made)[0]["rule"], "house/no-eval");
    assert_eq!(Path::new(json_lines(&made)[0]["path"].as_str().unwrap()).canonicalize().unwrap(), file);
    let steps = "to test the rule: `truing --config truing.toml rules test house`\nto use the rule, add \
        these lines to truing.toml:\n  [rules]\n  packs = [\"core\", \"house\"]\nto try it: `truing \
        --config truing.toml rules check . --pack house`\n";
    assert_eq!(stderr_text(&made), steps);
    let tested = with(&["rules", "test", "house"]);
    assert_eq!(
        String::from_utf8(tested.stdout).unwrap(),
        "1 rule, 4 examples: all with the expected result\n"
    );

    // For a pack in another folder, the suggested command contains the pack's path with shell quotes.
    let made = run_truing(here.path(), &["rules", "new", "a/b", "--dir", "my packs"]);
    assert_eq!(String::from_utf8(made.stdout.clone()).unwrap(), "my packs/a/rules/b.yml\n");
    let told = stderr_text(&made);
    assert!(told.contains("`truing rules test 'my packs/a'`\n"), "{told}");
    let dir = format!("\n  [rules]\n  dir = \"{}/my packs\"\n  packs = [\"core\", \"a\"]\n", path.display());
    assert!(told.contains(&dir), "{told}");
    let instead = stderr_text(&with(&["rules", "new", "a/c", "--dir", "my packs"]));
    let other = format!("/my packs\" # instead of {}/packs\n", path.display());
    assert!(instead.contains(&other), "{instead}");
}

#[test]
fn a_new_rule_replaces_no_file_and_no_rule_and_a_wrong_name_makes_nothing() {
    let here = folder(&[
        ("packs/house/rules/no-eval.yml", HOUSE_RULE),
        ("packs/house/rules/own.toml", ""),
        ("blocked/house", ""),
    ]);
    let before = fs::read_dir(here.path()).unwrap().count();
    for (name, dir, exit, wrong, hint) in [
        (
            "no-eval",
            "packs",
            2,
            "packs/house/rules/no-eval.yml already exists and was not changed",
            "another",
        ),
        ("own", "packs", 2, "packs/house/rules/own.toml already exists", "another name"),
        ("core/rust-dbg", "packs", 2, "there is already a built-in rule `core/rust-dbg`", "rules show core/"),
        ("no_eval", "new", 2, "`no_eval` cannot be a rule's name", "did you mean `no-eval`?"),
        ("../a", "new", 2, "`..` cannot be a pack's name", "lower-case letters, digits and `-`"),
        ("2/a", "new", 2, "`2` cannot be a pack's name", "a pack's name begins with a letter"),
        ("a/../../b", "new", 2, "`../../b` cannot be a rule's name", "did you mean `a/b`?"),
        ("a", "blocked", 3, "cannot write blocked/house/rules/a.yml: ", "--dir FOLDER"),
    ] {
        let ran = run_truing(here.path(), &["rules", "new", name, "--dir", dir]);
        let told = stderr_text(&ran);
        assert_eq!((ran.status.code(), ran.stdout.is_empty()), (Some(exit), true), "{name}: {told}");
        assert!(told.contains(wrong) && told.contains(hint), "{name}: {told}");
    }
    let nowhere = run_truing(here.path(), &["rules", "new", "a"]);
    let told = stderr_text(&nowhere);
    assert_eq!(nowhere.status.code(), Some(2), "{told}");
    assert!(
        told.contains("`rules.dir` is not set in ") && told.contains("new house/a --dir packs`"),
        "{told}"
    );
    let cobol = run_truing(here.path(), &["rules", "new", "a", "--dir", "packs", "--language", "cobol"]);
    assert_eq!(cobol.status.code(), Some(2));
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), before);
    assert_eq!(fs::read_to_string(here.path().join("packs/house/rules/no-eval.yml")).unwrap(), HOUSE_RULE);
}

#[test]
fn a_rule_is_explained_or_its_file_shown_by_its_whole_name_or_by_its_own() {
    let here = folder(&[
        ("packs/house/rules/no-eval.yml", HOUSE_RULE),
        ("packs/other/rules/no-eval.yml", HOUSE_RULE),
        ("packs/other/rules/alone.yml", &HOUSE_RULE.replace("no-eval", "alone")),
        ("truing.toml", "[rules]\ndir = \"packs\"\n"),
    ]);
    let show = |arguments: &[&str]| {
        run_truing(here.path(), &[&["--config", "truing.toml", "rules", "show"], arguments].concat())
    };
    let shown = |arguments: &[&str]| String::from_utf8(show(arguments).stdout).unwrap();
    let text = shown(&["house/no-eval"]);
    let head = "house/no-eval  P1 J  syntax (python)\n  eval runs whatever it is given\n\n\
                Bad:\n    eval(x)\n\nGood:\n    f(1)\n\nFix:\n  Manual: ";
    assert!(text.starts_with(head) && !text.contains("pattern:"), "{text}");
    assert!(text.contains("\n  truing: ignore[house/no-eval] the reason\n"), "{text}");
    assert!(text.contains("/packs/house/rules/no-eval.yml\n  1 example without a finding, 1 with"), "{text}");
    assert_eq!(shown(&["house/no-eval", "--source"]), HOUSE_RULE);

    let own = json_lines(&show(&["alone", "--format", "json"]))[0].clone();
    assert_eq!((&own["rule"], &own["built_in"]), (&"other/alone".into(), &false.into()));
    assert_eq!(
        (&own["valid"], &own["invalid"], &own["languages"][0]),
        (&1.into(), &1.into(), &"python".into())
    );
    let built_in = json_lines(&show(&["rust-dbg", "--format", "json"]))[0].clone();
    assert_eq!((&built_in["rule"], &built_in["built_in"]), (&"core/rust-dbg".into(), &true.into()));
    assert!(built_in["text"].as_str().unwrap().contains("dbg!"), "{built_in}");

    for (name, wrong, hint) in [
        ("no-eval", "2 packs have a rule `no-eval`", "house/no-eval, other/no-eval"),
        ("house/no-eva", "there is no rule `house/no-eva`", "did you mean `house/no-eval`?"),
        ("alon", "there is no rule `alon`", "did you mean `alone`?"),
        ("core", "there is no rule `core`", "`core` is a pack"),
        ("a/b/c", "there is no rule `a/b/c`", "rules list"),
        ("zzzzzzzzzz", "there is no rule `zzzzzzzzzz`", "rules list` shows the rules"),
    ] {
        let ran = show(&[name]);
        let told = stderr_text(&ran);
        assert_eq!((ran.status.code(), ran.stdout.is_empty()), (Some(2), true), "{name}: {told}");
        assert!(told.contains(wrong) && told.contains(hint), "{name}: {told}");
    }
}

#[test]
fn every_rule_is_explained_within_80_columns_and_its_fix_is_named() {
    let here = folder(&[]);
    let rules = json_lines(&run_truing(here.path(), &["rules", "list", "--format", "json"]));
    let names = rules.iter().map(|rule| rule["rule"].as_str().unwrap());
    // The texts of all rules on secrets have the same structure, so the test skips these rules.
    let names = names.filter(|name| !name.ends_with("-token") && !name.ends_with("-key"));
    let mut fixed = 0;
    for name in names {
        let text = String::from_utf8(run_truing(here.path(), &["rules", "show", name]).stdout).unwrap();
        assert!(text.contains("\nWhy it matters:\n  ") && text.contains("\nFix:\n  "), "{text}");
        let prose = text.lines().filter(|line| !line.starts_with("    "));
        assert_eq!(prose.filter(|line| line.chars().count() > 80).collect::<Vec<_>>(), [""; 0], "{name}");
        fixed += usize::from(text.contains("`truing review --fix` applies the fix"));
    }
    assert!(fixed > 3, "{fixed}");
    let text = String::from_utf8(run_truing(here.path(), &["rules", "show", "rust-dbg"]).stdout).unwrap();
    let code = "\nBad:\n    fn f() {\n        let a = dbg!(b + 1);\n    }\n\nGood:\n    fn f() \
         {\n        let a = b + 1;\n";
    assert!(text.contains(code), "{text}");
}

#[test]
fn the_guide_s_example_is_the_file_that_a_new_rule_begins_as() {
    let here = folder(&[]);
    assert_eq!(
        run_truing(here.path(), &["rules", "new", "no-eval", "--dir", "packs"]).status.code(),
        Some(0)
    );
    let made = fs::read_to_string(here.path().join("packs/house/rules/no-eval.yml")).unwrap();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules/writing.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, after) = guide.split_once("```yaml\n").unwrap();
    let (shown, _) = after.split_once("```\n").unwrap();
    assert_eq!(shown, made);
}
