//! Tests of `truing review --from`, which reports findings in another program's output on changed lines. Also
//! tests output for other programs.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::review::place::{Place, Ran, fake_key, field_of_findings};

/// Creates a repository in which a third line was added to `b.py`.
fn create_changed_repository() -> Place {
    let place = Place::new();
    place.write("b.py", "import os\nx = 1\n");
    place.commit("second");
    place.write("b.py", "import os\nx = 1\nl = 2\n");
    place
}

/// Runs a review with this tool output on standard input.
fn review_with_output(place: &Place, output: &str, arguments: &[&str]) -> Ran {
    let all = [&["review", "--quiet", "--from", "-"], arguments].concat();
    let mut command = place.command(&all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(output.as_bytes());
    Ran::from(child.wait_with_output().unwrap())
}

fn report_with_output(place: &Place, output: &str) -> Value {
    review_with_output(place, output, &["--format", "json"]).json()
}

/// Returns a finding as a line in reviewdog's format.
fn reviewdog_line(path: &str, line: u32, message: &str) -> String {
    let place = json!({ "path": path, "range": { "start": { "line": line } } });
    let source = json!({ "name": "lint" });
    json!({ "message": message, "location": place, "source": source, "code": { "value": "E741" } })
        .to_string()
        + "\n"
}

#[test]
fn a_linters_rule_is_off_or_of_another_severity_as_it_is_configured() {
    let place = create_changed_repository();
    let output = reviewdog_line("b.py", 3, "ambiguous");
    let of = |told: &Value| told["findings"][0]["severity"].clone();
    let before = of(&report_with_output(&place, &output));
    assert!(before.is_string() && before != json!("P0"), "{before}");
    place.write(".truing.toml", "rules.severity = { \"lint/E741\" = \"P0\" }\n");
    assert_eq!(of(&report_with_output(&place, &output)), json!("P0"));
    for (paths, severity) in [("b.*", json!("P0")), ("tests/**", before)] {
        let entry = format!("{{ paths = [\"{paths}\"], severity = \"P0\" }}");
        place.write(".truing.toml", format!("rules.severity = {{ \"lint/E741\" = {entry} }}\n"));
        assert_eq!(of(&report_with_output(&place, &output)), severity, "{paths}");
    }
    place.write(".truing.toml", "rules.off = [\"lint/E741\"]\n");
    let told = report_with_output(&place, &output);
    assert_eq!((of(&told), &told["tools"][0]["findings"]), (Value::Null, &json!(0)), "{told}");
    assert!(told["fixed"].as_array().is_none_or(Vec::is_empty), "{told}");
}

#[test]
fn only_what_touches_changed_lines_is_told_whatever_the_format() {
    let place = create_changed_repository();
    let root = place.repo();
    let root = root.display();
    let checkstyle = format!(
        "<?xml version=\"1.0\"?><checkstyle><file name=\"{root}/b.py\"><error line=\"3\" column=\"1\" \
         severity=\"error\" message=\"ambiguous\" source=\"E741\"/><error line=\"1\" severity=\"error\" \
         message=\"unused\" source=\"F401\"/></file></checkstyle>"
    );
    let result = |line: u32| {
        let place = json!({ "artifactLocation": { "uri": "b.py" }, "region": { "startLine": line } });
        let locations = json!([{ "physicalLocation": place }]);
        json!({ "ruleId": "E741", "message": { "text": "ambiguous" }, "locations": locations })
    };
    let driver = json!({ "driver": { "name": "lint" } });
    let run = json!({ "tool": driver, "results": [result(3), result(1)] });
    let sarif = json!({ "version": "2.1.0", "runs": [run] });
    let entry = |line: u32| {
        let place = json!({ "path": "b.py", "lines": { "begin": line } });
        let (print, name) = (line.to_string(), "E741");
        json!({ "description": "ambiguous", "check_name": name, "fingerprint": print, "severity": "major", "location": place })
    };
    let gitlab = json!([entry(3), entry(1)]);
    let rdjsonl = reviewdog_line("b.py", 3, "ambiguous") + &reviewdog_line("b.py", 1, "unused");
    for output in [checkstyle, sarif.to_string(), gitlab.to_string(), rdjsonl] {
        let told = report_with_output(&place, &output);
        assert_eq!(field_of_findings(&told, "start_line"), [3], "{output}: {told:#}");
        assert_eq!(field_of_findings(&told, "source"), ["tool"], "{output}");
        assert_eq!(field_of_findings(&told, "rule"), ["E741"], "{output}");
        assert_eq!(told["tools"][0]["elsewhere"], 1, "{output}");
        assert_eq!(told["outcome"]["kind"], "reviewed", "{output}");
    }
}

#[test]
fn an_output_of_no_known_form_is_refused_and_a_damaged_one_is_a_partial_review() {
    let place = create_changed_repository();
    let unknown = review_with_output(&place, "all is well\n", &[]);
    assert!(unknown.exit == 2 && unknown.err.contains("--format-in"), "{}", unknown.err);
    assert!(unknown.err.contains("sarif") && unknown.err.contains("the tool"), "{}", unknown.err);
    let named = review_with_output(&place, "", &["--format-in", "eslnt"]);
    assert!(named.exit == 2 && named.err.contains("nearest are eslint, "), "{}", named.err);
    assert!(!named.err.contains("sarif"), "three names, and not all: {}", named.err);

    let damaged = format!("{}{{\"message\":", reviewdog_line("b.py", 3, "ambiguous"));
    let ran = review_with_output(&place, &damaged, &["--format-in", "rdjsonl", "--format", "json"]);
    assert_eq!(ran.exit, 1, "{}", ran.err);
    let told = ran.json();
    assert_eq!(told["outcome"]["kind"], "partial", "{told:#}");
    assert!(told["outcome"]["reason"].as_str().unwrap().contains("lint"), "{told:#}");
    assert_eq!(field_of_findings(&told, "start_line"), [3], "what could be read counts");
}

#[test]
fn a_file_of_findings_that_is_not_there_is_no_diff() {
    let ran = create_changed_repository().review(&["--from", "nope.sarif"]);
    assert!(ran.exit == 2 && ran.err.contains("cannot read nope.sarif"), "{}", ran.err);
    assert!(
        ran.err.contains("findings that a linter printed") && !ran.err.contains("git diff"),
        "{}",
        ran.err
    );
}

#[test]
fn what_two_say_alike_is_one_finding_and_a_comment_in_the_code_suppresses_it() {
    let place = create_changed_repository();
    let twice = reviewdog_line("b.py", 3, "Ambiguous variable name: `l`")
        + &reviewdog_line("b.py", 3, "ambiguous variable name: 'l'");
    assert_eq!(field_of_findings(&report_with_output(&place, &twice), "start_line"), [3]);
    place.write("b.py", "import os\nx = 1\nl = 2  # truing: ignore[lint/E741] a length\n");
    let told = report_with_output(&place, &twice);
    assert_eq!(told["findings"], json!([]), "{told:#}");
    assert_eq!(told["suppressions"], Value::Null, "the comment is of use: {told:#}");
}

#[test]
fn a_secret_that_a_tool_quotes_is_not_shown() {
    let place = create_changed_repository();
    let key = fake_key();
    place.write("b.py", format!("import os\nx = 1\nk = \"{key}\"\n"));
    let output = reviewdog_line("b.py", 3, &format!("found {key}"));
    for format in ["text", "json", "sarif", "markdown", "rdjson", "github", "gitlab"] {
        let ran = review_with_output(&place, &output, &["--format", format]);
        assert!(!ran.out.contains(&key) && !ran.err.contains(&key), "{format}: {}", ran.out);
        assert!(ran.out.contains("b.py"), "{format}: {}", ran.out);
    }
}

#[test]
fn other_programs_read_the_answer_and_truing_does_so_itself() {
    let place = create_changed_repository();
    let output = reviewdog_line("b.py", 3, "100 % ambiguous");
    let github = review_with_output(&place, &output, &["--format", "github"]).out;
    assert!(github.starts_with("::warning file=b.py,line=3,endLine=3,title=P2%3A "), "{github}");
    for format in ["rdjson", "gitlab", "sarif"] {
        let told = review_with_output(&place, &output, &["--format", format]).out;
        let again = report_with_output(&place, &told);
        assert_eq!(field_of_findings(&again, "start_line"), [3], "{format}: {told}");
    }
}

#[test]
fn neither_a_message_nor_the_name_of_a_file_is_a_command_for_a_runner() {
    let place = create_changed_repository();
    // Both words are too long for the line before them, so they begin a line.
    let long = format!("::add-mask::{}", "x".repeat(60));
    place.write(&long, b"\0");
    place.write("##[group]b.bin", b"\0");
    let output = reviewdog_line("b.py", 3, &format!("{}\n{long} ##[add-mask]x", "word ".repeat(30)));
    for color in ["never", "always"] {
        let ran = review_with_output(&place, &output, &["--color", color]);
        let shown = anstream::adapter::strip_str(&ran.out).to_string();
        assert!(shown.lines().all(|line| !line.trim_start().starts_with("::")), "{shown}");
        assert!(!shown.contains("##[") && shown.contains("#\\#[group]b.bin"), "{shown}");
        assert!(shown.contains(":\\:add-mask::xxx"), "{shown}");
    }
}

#[test]
fn text_is_eighty_columns_wide_and_names_who_found_what() {
    let place = create_changed_repository();
    let ran = review_with_output(
        &place,
        &reviewdog_line("b.py", 3, &"a long explanation ".repeat(20)),
        &["--color", "never"],
    );
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
    assert!(ran.out.contains("lint/E741") && ran.out.contains("the output of lint"), "{}", ran.out);
}

#[test]
fn the_document_names_every_format() {
    let document = include_str!("../../../../../docs/tools.md");
    for format in truing_reader::output::OutputFormat::all_formats() {
        assert!(document.contains(&format!("`{}`", format.as_str())), "{}", format.as_str());
    }
}

#[test]
fn what_is_not_understood_or_has_no_file_makes_the_review_partial() {
    let place = create_changed_repository();
    for (format, output, reason) in [
        (
            "flake8",
            "Traceback (most recent call last):\nImportError: boom\n",
            "none of 2 lines could be parsed",
        ),
        ("yamllint", "b.py\n  3:1  error  ambiguous  (x)\n", "none of 2 lines could be parsed"),
        ("flake8", "/elsewhere/gone.py:3:1: E741 ambiguous\n", "1 result refers to no file of the tree"),
        ("flake8", "gone/b.py:3:1: E741 ambiguous\n", "1 result refers to no file of the tree: gone/b.py"),
    ] {
        let ran = review_with_output(&place, output, &["--format-in", format, "--format", "json"]);
        assert_eq!(ran.exit, 1, "{output}: {}", ran.err);
        let told = ran.json();
        assert_eq!(told["outcome"]["kind"], "partial", "{output}: {told:#}");
        assert!(told["outcome"]["reason"].as_str().unwrap().contains(reason), "{output}: {told:#}");
    }
    let ran = review_with_output(&place, "note: old\nb.py:3:1: E741 ambiguous\n", &["--format-in", "flake8"]);
    assert!(
        ran.out.contains("earlier findings of flake8 stay open: 1 line could not be parsed: `note: old`"),
        "{}",
        ran.out
    );
}

#[test]
fn an_option_is_of_the_output_before_it() {
    let place = create_changed_repository();
    let checkstyle = |root: &str, rule: &str| {
        let error = format!("<error line=\"3\" severity=\"warning\" message=\"words\" source=\"{rule}\"/>");
        format!("<checkstyle><file name=\"{root}/b.py\">{error}</file></checkstyle>")
    };
    let folder = place.home().to_owned();
    std::fs::write(folder.join("one.xml"), checkstyle("/one", "X1")).unwrap();
    std::fs::write(folder.join("two.xml"), checkstyle("/two/tree", "X2")).unwrap();
    let (one, two) = (folder.join("one.xml"), folder.join("two.xml"));
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let of = |arguments: &[&str]| {
        let all = [&["review", "--quiet", "--format", "json"], arguments].concat();
        Ran::from(place.command(&all).stdin(Stdio::null()).output().unwrap())
    };
    let ran = of(&["--from", one, "--tool", "first", "--root", "/one", "--from", two, "--tool", "second"]);
    let told = ran.json();
    let names: Vec<&Value> = told["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["first", "second"], "{told:#}");
    assert_eq!(field_of_findings(&told, "tool"), ["first", "second"], "{told:#}");
    assert!(told["tools"].as_array().unwrap().iter().all(|tool| tool["keeps_open"].is_null()), "{told:#}");

    let told = of(&["--from", one]).json();
    assert!(told["tools"][0]["keeps_open"].as_str().unwrap().contains("--tool NAME"), "{told:#}");
    for wrong in [
        &["--tool", "x", "--from", one, "--from", two][..],
        &["--from", one, "--tool", "x", "--tool", "y"],
        &["--from", one, "--root", "relative"],
        &["--from", one, "--folder", "../up"],
        &["--tool", "x"],
    ] {
        let ran = of(wrong);
        assert_eq!(ran.exit, 2, "{wrong:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn outputs_of_a_review_are_read_back_with_every_name() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let place = Place::new();
    let names: [&[u8]; 12] = [
        b"sp ace.py",
        b"qu\"ote.py",
        b"caf\xc3\xa9.py",
        b"caf\xe9.py",
        b"100%.py",
        b"%41.py",
        b"ha#sh.py",
        b"wh?y.py",
        b"new\nline.py",
        b"back\\slash.py",
        b"-dash.py",
        b"file:x.py",
    ];
    for name in names {
        place.write(OsStr::from_bytes(name), "f()\nbreakpoint()\n");
    }
    let own = place.review(&["--format", "json"]).json();
    let mut expected: Vec<String> =
        field_of_findings(&own, "path").iter().map(|path| path.to_string()).collect();
    expected.sort();
    assert_eq!(expected.len(), names.len(), "{own:#}");
    for format in ["gitlab", "rdjson", "sarif"] {
        let output = place.review(&["--format", format]).out;
        let told =
            review_with_output(&place, &output, &["--format", "json", "--tool", "other", "--no-record"])
                .json();
        let findings = told["findings"].as_array().unwrap().iter();
        let mut read: Vec<String> = findings
            .filter(|found| found["source"] == "tool")
            .map(|found| found["path"].to_string())
            .collect();
        read.sort();
        assert_eq!(read, expected, "{format}: {told:#}");
    }
    let github = place.review(&["--format", "github"]).out;
    for name in ["qu\"ote.py", "new%0Aline.py", "100%25.py", "file%3Ax.py", "back\\slash.py", "%2541.py"] {
        assert!(github.contains(&format!("file={name},line=2,")), "{name}: {github}");
    }
}
