//! Tests of JUnit's XML format.

use truing_diff::RepoPath;
use truing_reader::output::{self, DiagnosticLevel, DiagnosticReport, OutputContext, OutputFormat};

use super::{problems, render_diagnostics, report, report_at};

fn read(inner: &str) -> DiagnosticReport {
    report(OutputFormat::Junit, &format!("<testsuites>{inner}</testsuites>"))
}

#[test]
fn a_failure_is_where_its_test_is() {
    let report = read(
        r#"<testsuite name="s"><testcase classname="C" name="ok" file="a.php" line="2"/>
        <testcase classname="C" name="bad" file="a.php" line="7"><failure type="T" message="x &lt; y">trace
        `of` it</failure></testcase>
        <testcase name="worse" file="b.php"><error/></testcase><testcase name="s" file="c"><skipped message="x"/></testcase></testsuite>"#,
    );
    assert_eq!(render_diagnostics(&report), ["a.php:7: C.bad fails: x < y", "b.php:0: worse fails"]);
    let found = &report.diagnostics[0];
    assert_eq!(
        (found.tool.as_str(), found.rule.as_deref(), found.level),
        ("junit", Some("failure"), DiagnosticLevel::Error)
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
    assert_eq!(
        render_diagnostics(&case(r#"file="tests/test_a.py" line="9""#)),
        ["tests/test_a.py:12: t fails: m"]
    );
    // The line numbers in pytest's reports start at 0.
    assert_eq!(
        render_diagnostics(&case(r#"file="tests/test_b.py" line="9""#)),
        ["tests/test_b.py:10: t fails: m"]
    );
    assert_eq!(render_diagnostics(&case("")), ["src/x.py:5: t fails: m"]);
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
        let told = render_diagnostics(&report);
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
        assert_eq!(
            (render_diagnostics(&report).len(), problems(&report)),
            (0, vec!["t: no location in the tree"]),
            "{text}"
        );
    }
}

#[test]
fn suites_within_suites_hand_down_their_file() {
    let report = report_at(
        OutputFormat::Junit,
        r"C:\ci",
        r#"<testsuites><testsuite file="C:\ci\spec\a.rb"><testsuite><testcase name="t"><failure message="m"/></testcase></testsuite>
        <testsuite file="spec/b.rb"><testcase name="u"><failure message="m" file="spec/c.rb" line="4"/></testcase></testsuite></testsuite>
        <testsuite><testcase name="v"><failure message="m"/></testcase></testsuite></testsuites>"#,
    );
    assert_eq!(render_diagnostics(&report), ["spec/a.rb:0: t fails: m", "spec/c.rb:4: u fails: m"]);
    assert_eq!(problems(&report), ["v: no location in the tree"]);
}

#[test]
fn what_is_no_report_is_one_problem() {
    for text in ["", "{}", "<html/>", "<testsuite><testcase>"] {
        assert_eq!(report(OutputFormat::Junit, text).problems.len(), 1, "{text}");
    }
}

/// Reads a report of a run in `/build/t`. The tree contains `files`.
fn read_with(files: &[&str], text: &str) -> DiagnosticReport {
    let files: Vec<RepoPath> = files.iter().copied().map(RepoPath::from_text).collect();
    let roots = ["/build/t".to_owned()];
    output::read_output(
        OutputFormat::Junit,
        text.as_bytes(),
        &OutputContext { roots: &roots, files: &files, ..OutputContext::default() },
    )
}

#[test]
fn what_linters_print_has_its_file_in_the_suite_and_its_line_in_the_text() {
    // These outputs are examples of the formats of ruff 0.15, rumdl 0.2, ESLint 8, Biome 2 and textlint 15.
    let ruff = r#"<testsuites name="ruff"><testsuite name="/build/t/src/a.py" package="org.ruff"><testcase name="org.ruff.F401"
        classname="/build/t/src/a" line="1" column="8"><properties><property name="severity" value="error"/></properties>
        <failure message="`os` imported but unused">line 1, col 8, `os` imported but unused</failure></testcase></testsuite></testsuites>"#;
    let rumdl = r#"<testsuites name="rumdl"><testsuite name="src/R.md"><testcase name="Lint src/R.md" classname="rumdl">
        <failure type="MD022" message="Expected 1 blank line">Expected 1 blank line at line 1, column 1</failure>
        <failure type="MD018" message="No space">No space at line 2, column 2</failure></testcase></testsuite></testsuites>"#;
    let eslint = r#"<testsuites><testsuite package="org.eslint" name="/build/t/src/a.js"><testcase name="org.eslint.eqeqeq"
        classname="/build/t/src/a"><failure message="Expected '==='."><![CDATA[line 2, col 7, Error - Expected '==='. (eqeqeq)]]>
        </failure></testcase></testsuite></testsuites>"#;
    let biome = r#"<testsuites name="Biome"><testsuite name="src/a.js" package="org.biome"><testcase
        name="org.biome.lint.suspicious.noDebugger" line="2" column="15"><failure message="A debugger.">line 2, col 15, A debugger.
        </failure></testcase></testsuite></testsuites>"#;
    let textlint = r#"<testsuites><testsuite package="org.eslint" name="/build/t/src/R.md"><testcase name="org.eslint.no-todo">
        <failure message="Found TODO"><![CDATA[line 4, col 1, Error - Found TODO (no-todo)]]></failure></testcase></testsuite></testsuites>"#;
    for (text, places, tool, rule) in [
        (ruff, &["src/a.py:1: `os` imported but unused"][..], "ruff", "F401"),
        (rumdl, &["src/R.md:1: Expected 1 blank line", "src/R.md:2: No space"], "junit", "MD022"),
        // The package `org.eslint` does not identify the tool, because other tools also use this package
        // name.
        (eslint, &["src/a.js:2: Expected '==='."], "junit", "eqeqeq"),
        (biome, &["src/a.js:2: A debugger."], "biome", "lint.suspicious.noDebugger"),
        (textlint, &["src/R.md:4: Found TODO"], "junit", "no-todo"),
    ] {
        let report = read_with(&[], text);
        assert_eq!(
            (render_diagnostics(&report).as_slice(), problems(&report).len()),
            (places.map_owned().as_slice(), 0),
            "{text}"
        );
        assert_eq!(
            (report.diagnostics[0].tool.as_str(), report.diagnostics[0].rule.as_deref()),
            (tool, Some(rule))
        );
    }
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn a_name_without_its_folder_is_the_file_of_the_class_and_never_another_one() {
    let java = |class: &str| {
        format!(
            "<testsuite name=\"{class}\"><testcase name=\"t\" classname=\"{class}\"><failure \
             message=\"expected: 1\" type=\"AssertionError\">java.lang.AssertionError: expected: 1\n\tat \
             org.junit.Assert.fail(Assert.java:89)\n\tat com.acme.Helper.check(Helper.java:7)\n\tat \
             {class}.t(CartTest.java:4)\n</failure></testcase></testsuite>"
        )
    };
    let files = [
        "CartTest.java",
        "shop/src/test/java/com/acme/CartTest.java",
        "shop/src/main/java/com/acme/Helper.java",
    ];
    let report = read_with(&files, &java("com.acme.CartTest"));
    assert_eq!(
        render_diagnostics(&report),
        ["shop/src/test/java/com/acme/CartTest.java:4: com.acme.CartTest.t fails: expected: 1"]
    );
    let report = read_with(&files, &java("com.acme.CartTest$Inner"));
    assert_eq!(report.diagnostics[0].path, RepoPath::from_text(files[1]));
    // The class is in several modules, so the file of the stack frame is ambiguous.
    let two = ["a/com/acme/CartTest.java", "b/com/acme/CartTest.java", "CartTest.java"];
    assert_eq!(problems(&read_with(&two, &java("com.acme.CartTest"))).len(), 1);

    let go = "<testsuites><testsuite name=\"example.com/shop/pkg/cart\"><testcase \
         classname=\"example.com/shop/pkg/cart\" name=\"TestAdd\"><failure message=\"Failed\" \
         type=\"\">    main_test.go:4: got 1\n</failure></testcase></testsuite></testsuites>";
    let report = read_with(&["main_test.go", "pkg/cart/main_test.go"], go);
    assert_eq!(
        render_diagnostics(&report),
        ["pkg/cart/main_test.go:4: example.com/shop/pkg/cart.TestAdd fails: Failed"]
    );
    let report = read_with(&["main_test.go", "pkg/other/main_test.go"], go);
    assert_eq!(problems(&report), ["example.com/shop/pkg/cart.TestAdd: no location in the tree"]);
}
