//! Tests of the format of rule files, of its errors, and of the embedded rules.

use truing_diff::RepoPath;

use super::examples::run_example;
use super::rule::RuleExample;
use super::*;
use crate::engine::RuleSet;

const GOOD: &str = r#"id = "x"
kind = "secret"
severity = "P1"
category = "J"
title = "T"
body = "B"
keywords = ["key"]
pattern = 'key(\d+)'
valid = ["key"]
invalid = ["key1"]
"#;

fn error(text: &str) -> String {
    RulePacks::parse(&[("p/rules/x.toml", text)]).unwrap_err().to_string()
}

fn names(packs: &[&str]) -> Vec<String> {
    packs.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_embedded_rule_does_what_its_examples_say() {
    let packs = RulePacks::load_embedded().unwrap();
    assert_eq!(packs.pack_names(), ["aiobotocore", "code-rules", "code-rules-strict", "core"]);
    assert_eq!(packs.run_examples(&[]).unwrap().failure_messages, Vec::<String>::new());
}

#[test]
fn no_rule_file_holds_what_the_rules_find() {
    let packs = RulePacks::load_embedded().unwrap();
    let rules = packs.select_rules(&names(&["core"])).unwrap();
    let rules = RuleSet::new(rules).unwrap();
    for (file, text) in EMBEDDED_RULE_FILES {
        let example = RuleExample::from_text(&RepoPath::from_text(file), (*text).to_owned());
        assert!(!run_example(&rules, &example).unwrap().0, "{file}");
    }
}

#[test]
fn the_pages_of_packs_are_up_to_date() {
    let packs = RulePacks::load_embedded().unwrap();
    // This test does not generate two pages: the page of `aiobotocore` is written by hand, and the crate
    // `bench` generates the page of `core` with the verdicts.
    for pack in ["code-rules", "code-rules-strict"] {
        let page = packs.render_page(pack, &BTreeMap::new()).unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/rules/{pack}.md"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&file, &page).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(written, page, "update it: UPDATE_DOCS=1 cargo test -p truing-reader");
    }
}

#[test]
fn examples_that_fail_are_named() {
    let packs = RulePacks::parse(&[(
        "p/rules/x.toml",
        &GOOD.replace(
            r#"["key"]
invalid = ["key1"]"#,
            r#"["key1"]
invalid = ["key"]"#,
        ),
    )]);
    let failing = packs.unwrap().run_examples(&[]).unwrap().failure_messages;
    assert_eq!(
        failing,
        ["p/x finds something in valid example \"key1\"", "p/x finds nothing in invalid example \"key\"",]
    );
}

#[test]
fn a_wrong_file_is_named_with_line_and_reason() {
    let with = |line: &str| format!("{GOOD}{line}\n");
    let instead = |from: &str, to: &str| {
        assert!(GOOD.contains(from));
        GOOD.replace(from, to)
    };
    for (text, expected) in [
        (with("colour = 1"), "11:1: unknown field `colour`"),
        (with("enabled = 1"), "11:11: invalid type"),
        (with("= 1"), "11:1: "),
        (instead("severity = \"P1\"\n", ""), "1:1: missing field `severity`"),
        (instead("\"P1\"", "\"P9\""), "3:12: unknown variant `P9`"),
        (instead("\"x\"", "\"y\""), "1:6: rule `p/x`: id: "),
        (instead("\"T\"", "\"\"\"T\nU\"\"\""), "5:9: rule `p/x`: title: "),
        (instead("\"B\"", "\" \""), "6:8: rule `p/x`: body: "),
        (instead("[\"key\"]\np", "[\"ke\"]\np"), "7:12: rule `p/x`: keywords: "),
        (instead("[\"key\"]\np", "[]\np"), "7:12: rule `p/x`: keywords: "),
        (
            instead(r"key(\d+)", r"key(\d+"),
            "8:11: rule `p/x`: pattern: unclosed group (at line 1, column 4 of the pattern)",
        ),
        (instead(r"key(\d+)", r"key\pL"), "8:11: rule `p/x`: pattern: Unicode not allowed here (at"),
        (instead(r"key(\d+)", r"(key)*"), "8:11: rule `p/x`: pattern: the pattern matches empty text"),
        (instead("[\"key1\"]", "[]"), "10:11: rule `p/x`: invalid: "),
        (with("allow = ['a', 'b',\n '[']"), "12:2: rule `p/x`: allow: unclosed character class"),
        (with("paths = ['a{']"), "11:10: rule `p/x`: paths: "),
        (with("entropy = 3.0").replace("secret", "text"), "11:11: rule `p/x`: entropy: "),
    ] {
        let expected = format!("p/rules/x.toml:{expected}");
        assert!(error(&text).starts_with(&expected), "{expected}\n{}", error(&text));
    }
    for file in [
        "x.toml",
        "p/x.toml",
        "p/rules/x",
        "p/rules/x.json",
        "p/rules/a/x.toml",
        "p/rules/X.toml",
        "/rules/x.toml",
    ] {
        let error = RulePacks::parse(&[(file, GOOD)]).unwrap_err();
        assert_eq!(error, PackError::InvalidPath { file: file.to_owned() });
    }
}

const COMPANION: &str = r#"id = "x"
kind = "companion"
severity = "P2"
category = "J"
title = "T"
body = "B"
paths = ["**/a.toml"]
added = '^version'
companions = ["a.lock"]
valid = [
  { changed = { "s/a.toml" = "version\n", "a.lock" = "x\n" } },
  { changed = { "s/a.toml" = "name\n" }, unchanged = ["a.lock"] },
  { changed = { "a.toml" = "version\n" } },
]
invalid = [{ changed = { "s/a.toml" = "version\n" }, unchanged = ["a.lock"] }]
"#;

const SIZE: &str = r#"id = "x"
kind = "size"
severity = "P2"
category = "J"
title = "T"
body = "B"
max_bytes = 10
max_lines = 3
valid = [{ bytes = 10, lines = 3 }]
invalid = [{ bytes = 11 }, { bytes = 8, lines = 4 }]
"#;

#[test]
fn rules_of_companions_and_size_are_tested_on_changes() {
    for rule in [COMPANION, SIZE] {
        let packs = RulePacks::parse(&[("p/rules/x.toml", rule)]).unwrap();
        assert_eq!(packs.run_examples(&[]).unwrap().failure_messages, Vec::<String>::new());
    }
    for (rule, from, to, expected) in [
        (COMPANION, "[\"a.lock\"]\nvalid", "[]\nvalid", "9:14: rule `p/x`: companions: "),
        (COMPANION, "[\"a.lock\"]\nvalid", "[\"../a\"]\nvalid", "9:14: rule `p/x`: companions: "),
        (COMPANION, "'^version'", "'('", "8:9: rule `p/x`: added: unclosed group"),
        (COMPANION, "added = ", "pattern = ", "8:1: unknown field `pattern`"),
        (
            SIZE,
            "max_bytes = 10\nmax_lines = 3\n",
            "",
            "1:1: rule `p/x`: max_bytes: max_bytes or max_lines \
            is required",
        ),
        (SIZE, "\"size\"", "\"sise\"", "2:8: unknown variant `sise`"),
        (SIZE, "[{ bytes = 10, lines = 3 }]", "[\"x\"]", "9:10: "),
        (
            SIZE,
            "bytes = 10,",
            "bytes = 4_000_000_000,",
            "9:9: rule `p/x`: valid: an example may have at \
            most 33554432 ",
        ),
        (SIZE, "bytes = 11 }", "bytes = 11, lines = 33_554_433 }", "10:11: rule `p/x`: invalid: an example "),
        (SIZE, "[{ bytes = 11 }", &"[".repeat(101), "1:1: more than 100 brackets are open at once"),
    ] {
        assert!(rule.contains(from), "{from}");
        let error = error(&rule.replace(from, to));
        assert!(error.starts_with(&format!("p/rules/x.toml:{expected}")), "{expected}\n{error}");
    }
}

const SYNTAX: &str = "id: x
language: python
severity: error
message: T
note: B
rule:
  kind: call
metadata:
  truing:
    category: F
";

#[test]
fn a_wrong_syntax_rule_is_named_with_line_column_and_reason() {
    let instead = |from: &str, to: &str| {
        assert!(SYNTAX.contains(from));
        SYNTAX.replace(from, to)
    };
    for (text, expected) in [
        (
            instead("python", "cobol"),
            "2:11: the language `cobol` is not supported (supported languages: python, typescript,",
        ),
        // ast-grep supports this language, but its grammar is not built into the program.
        (
            instead("python", "kotlin"),
            "2:11: the language `kotlin` is not supported (supported languages: python,",
        ),
        (instead("    category: F", "    also: [go, ruby]"), "10:16: the language `ruby` is not supported"),
        (instead("id: x", "id: y"), "1:5: id: the id must be the file's name"),
        (instead("language: python\n", ""), "7:1: missing field `language`"),
        (instead("severity: error", "severity: fatal"), "3:11: unknown variant"),
        (instead("    category: F", "    colour: F"), "10:5: unknown field `colour`"),
        (instead("    category: F", "    category: Q"), "10:15: unknown variant"),
        (instead("note: B", "notes: B"), "5:1: unknown field `notes`"),
        (
            instead("kind: call", "kind: calll"),
            "7:9: the text is not a valid rule for python: Kind `calll` is invalid.",
        ),
        (instead("kind: call", "kind: [call"), "8:9: illegal placement"),
        (
            instead("kind: call", "regex: call"),
            "6:1: the text is not a valid rule for python: Rule must specify",
        ),
        (
            instead("kind: call", "kind: call\n  regex: '('"),
            "6:1: the text is not a valid rule for python: regex parse error",
        ),
        (
            instead("kind: call", "pattern: f($A)\nfix: g($B)"),
            "8:1: the text is not a valid rule for python: Undefined meta var",
        ),
        (instead("rule:\n", "files: ['a{']\nrule:\n"), "6:9: "),
        (
            instead("kind: call", "kind: call\n  matches: other"),
            "8:12: the text is not a valid rule for python: ",
        ),
        (String::new(), "1:1: "),
    ] {
        let error = RulePacks::parse(&[("p/rules/x.yml", text.as_str())]).unwrap_err().to_string();
        let expected = format!("p/rules/x.yml:{expected}");
        assert!(error.starts_with(&expected) && !error.contains('\n'), "{expected}\n{error}");
    }
}

#[test]
fn a_rule_whose_findings_a_review_would_drop_is_refused() {
    let title =
        "1:1: rule `p/x`: the title (`title` or `message`) must be one line without control characters";
    let body =
        "1:1: rule `p/x`: the text below the title (`body` or `note`) must not contain control characters";
    let long_title = format!("message: {}", "T".repeat(MAX_TITLE_BYTES + 1));
    let long_body = format!("body = '{}'", "B".repeat(MAX_RULE_FILE_BYTES));
    for (file, rule, from, to, expected) in [
        ("x.yml", SYNTAX, "message: T", "message: \"evil \\e[31m\"", title),
        ("x.yml", SYNTAX, "message: T", long_title.as_str(), title),
        ("x.yml", SYNTAX, "message: T", "message: \"one\\ntwo\"", "4:10: message: the title of a finding"),
        ("x.yml", SYNTAX, "note: B", "note: \"evil \\e[31m\"", body),
        ("x.toml", GOOD, "title = \"T\"", "title = \"evil \\u001b[31m\"", title),
        ("x.toml", GOOD, "body = \"B\"", "body = \"evil \\u001b[31m\"", body),
        ("x.toml", GOOD, "body = \"B\"", long_body.as_str(), " a rule file may have at most"),
    ] {
        assert!(rule.contains(from), "{from}");
        let path = format!("p/rules/{file}");
        let error = RulePacks::parse(&[(path.as_str(), rule.replace(from, to).as_str())]).unwrap_err();
        let expected = format!("{path}:{expected}");
        assert!(error.to_string().starts_with(&expected), "{expected}\n{error}");
    }
    let lines = SYNTAX.replace("note: B", "note: |\n  one\n\n  two");
    assert!(RulePacks::parse(&[("p/rules/x.yml", lines.as_str())]).is_ok());
}

#[test]
fn a_rule_as_ast_grep_has_it_needs_nothing_of_ours() {
    let rule = "language: Python\nrule:\n  pattern: f($A)\n";
    let packs = RulePacks::parse(&[("p/rules/no-f.yml", rule)]).unwrap();
    let rules = packs.select_rules(&names(&["p"])).unwrap();
    let told = (rules[0].title.as_str(), rules[0].severity, rules[0].category);
    assert_eq!(told, ("no-f", Severity::P2, DefectCategory::J));
    let off = format!("{rule}severity: 'off'\n");
    assert!(
        RulePacks::parse(&[("p/rules/no-f.yml", off.as_str())])
            .unwrap()
            .select_rules(&names(&["p"]))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn two_files_for_one_rule_are_an_error() {
    let error = RulePacks::parse(&[("p/rules/x.toml", GOOD), ("p/rules/x.yml", SYNTAX)]).unwrap_err();
    assert_eq!(error.to_string(), "p/rules/x.yml: another file already defines the rule `p/x`");
}

#[test]
fn a_rule_that_nests_as_deep_as_its_file_is_large_is_read_or_refused() {
    for (open, close) in [("(", ")"), ("[", "]"), ("-", ""), ("a+", ""), ("a.", ""), ("f(", ")")] {
        let count = (MAX_RULE_FILE_BYTES - 200) / (open.len() + close.len());
        let pattern = format!("{}a{}", open.repeat(count), close.repeat(count));
        let rule = format!("language: python\nrule:\n  pattern: '{pattern}'\n");
        assert!(rule.len() <= MAX_RULE_FILE_BYTES);
        let packs = RulePacks::parse(&[("p/rules/x.yml", rule.as_str())]);
        if let Ok(packs) = packs {
            packs.run_examples(&[]).unwrap();
        }
    }
    let long = format!("# {}\n", "x".repeat(MAX_RULE_FILE_BYTES));
    let error = RulePacks::parse(&[("p/rules/x.yml", long.as_str())]).unwrap_err().to_string();
    assert_eq!(error, "p/rules/x.yml: a rule file may have at most 16384 bytes");
}

#[test]
fn a_pattern_too_large_is_an_error_when_it_is_needed() {
    let large = GOOD.replace(r"key(\d+)", r"key(\d{1000}){1000}");
    let packs = RulePacks::parse(&[("p/rules/x.toml", &large)]).unwrap();
    let error = packs.run_examples(&[]).unwrap_err().to_string();
    assert!(error.starts_with("rule pack rule `p/x`: "), "{error}");
}

#[test]
fn packs_are_selected_by_name_and_disabled_rules_are_left_out() {
    let off = format!("{GOOD}enabled = false\n").replace("id = \"x\"", "id = \"off\"");
    let packs =
        RulePacks::parse(&[("b/rules/x.toml", GOOD), ("a/rules/off.toml", &off), ("a/rules/x.toml", GOOD)])
            .unwrap();
    let selected = |asked: &[&str]| {
        let rules = packs.select_rules(&names(asked));
        rules.map(|rules| rules.iter().map(|rule| rule.name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(selected(&["b", "a", "b"]).unwrap(), ["a/x", "b/x"]);
    assert_eq!(selected(&[]).unwrap(), Vec::<String>::new());
    let unknown = selected(&["a", "c"]).unwrap_err();
    assert_eq!(unknown, ReaderError::UnknownPack { name: "c".into(), known_packs: "a, b".into() });
}

#[test]
fn globs_decide_which_files_a_rule_looks_at() {
    let globs = format!("{GOOD}paths = ['**/*.py', 'bin/*']\nnot_paths = ['vendor/**']\n");
    let packs = RulePacks::parse(&[("p/rules/x.toml", &globs)]).unwrap();
    let rules = packs.select_rules(&names(&["p"])).unwrap();
    for (path, expected) in [
        ("a.py", true),
        ("a/b.py", true),
        ("bin/x", true),
        ("bin/a/x", false),
        ("a.pyc", false),
        ("vendor/a.py", false),
    ] {
        assert_eq!(rules[0].applies_to(&path.into()), expected, "{path}");
    }
}
