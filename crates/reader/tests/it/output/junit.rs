//! JUnit's XML.

use truing_reader::output::{Format, Level, Report};

use super::{problems, report, report_at, told};

fn read(inner: &str) -> Report {
    report(Format::Junit, &format!("<testsuites>{inner}</testsuites>"))
}

#[test]
fn a_failure_is_where_its_test_is() {
    let report = read(
        r#"<testsuite name="s"><testcase classname="C" name="ok" file="a.php" line="2"/>
        <testcase classname="C" name="bad" file="a.php" line="7"><failure type="T" message="x &lt; y">trace
        `of` it</failure></testcase>
        <testcase name="worse" file="b.php"><error/></testcase><testcase name="s" file="c"><skipped message="x"/></testcase></testsuite>"#,
    );
    assert_eq!(told(&report), ["a.php:7: C.bad fails: x < y", "b.php:0: worse fails"]);
    let found = &report.diagnostics[0];
    assert_eq!(
        (found.tool.as_str(), found.rule.as_deref(), found.level),
        ("junit", Some("failure"), Level::Error)
    );
    assert_eq!(found.help.as_deref(), Some("```\ntrace\n        `of` it\n```"));
    assert_eq!(report.diagnostics[1].rule.as_deref(), Some("error"));
}

#[test]
fn a_place_in_the_text_counts_more_if_it_is_in_the_tests_own_file() {
    let text = "src/x.py:5: in f\n  g()\ntests/test_a.py:3: in helper\ntests/test_a.py:12: AssertionError";
    let case = |attributes: &str| {
        read(&format!(
            r#"<testsuite name="pytest"><testcase name="t" {attributes}><failure message="m">{text}</failure></testcase></testsuite>"#
        ))
    };
    assert_eq!(told(&case(r#"file="tests/test_a.py" line="9""#)), ["tests/test_a.py:12: t fails: m"]);
    // Pytest counts from 0.
    assert_eq!(told(&case(r#"file="tests/test_b.py" line="9""#)), ["tests/test_b.py:10: t fails: m"]);
    assert_eq!(told(&case("")), ["src/x.py:5: t fails: m"]);
}

#[test]
fn places_in_text_are_paths_with_lines_and_not_names_alone() {
    for (text, place) in [
        ("test_a.py:12: AssertionError", "test_a.py:12"),
        ("  File \"pkg/a b.py\", line 31, in f", "pkg/a b.py:31"),
        ("at Object.&lt;anonymous&gt; (src/a.test.js:9:3)", "src/a.test.js:9"),
        (r"panicked at crates\x\src\lib.rs:44:5", "crates/x/src/lib.rs:44"),
        ("ok 1\n    > pkg/x_test.go:8: got 1", "pkg/x_test.go:8"),
    ] {
        let report = read(&format!(
            "<testsuite><testcase name=\"t\"><failure>{text}</failure></testcase></testsuite>"
        ));
        let told = told(&report);
        assert!(told.len() == 1 && told[0].starts_with(&format!("{place}: t fails")), "{told:?}");
    }
    for text in [
        "at com.foo.BarTest.test(BarTest.java:42)",
        "expected 12:30",
        "https://x.example:80/a",
        "/etc/x.py:3: y",
    ] {
        let report = read(&format!(
            "<testsuite><testcase name=\"t\"><failure>{text}</failure></testcase></testsuite>"
        ));
        assert_eq!((told(&report).len(), problems(&report)), (0, vec!["t: no place of the tree"]), "{text}");
    }
}

#[test]
fn suites_within_suites_hand_down_their_file() {
    let report = report_at(
        Format::Junit,
        r"C:\ci",
        r#"<testsuites><testsuite file="C:\ci\spec\a.rb"><testsuite><testcase name="t"><failure message="m"/></testcase></testsuite>
        <testsuite file="spec/b.rb"><testcase name="u"><failure message="m" file="spec/c.rb" line="4"/></testcase></testsuite></testsuite>
        <testsuite><testcase name="v"><failure message="m"/></testcase></testsuite></testsuites>"#,
    );
    assert_eq!(told(&report), ["spec/a.rb:0: t fails: m", "spec/c.rb:4: u fails: m"]);
    assert_eq!(problems(&report), ["v: no place of the tree"]);
}

#[test]
fn what_is_no_report_is_one_problem() {
    for text in ["", "{}", "<html/>", "<testsuite><testcase>"] {
        assert_eq!(report(Format::Junit, text).problems.len(), 1, "{text}");
    }
}
