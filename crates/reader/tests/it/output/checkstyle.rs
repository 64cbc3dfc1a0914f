//! Tests of Checkstyle's XML format.

use truing_reader::output::{
    ColumnUnit, DiagnosticLevel, DiagnosticRange, DiagnosticReport, OutputFormat, ProblemKind,
};

use super::{problems, render_diagnostics, report, report_at};

fn read(inner: &str) -> DiagnosticReport {
    report(
        OutputFormat::Checkstyle,
        &format!("<?xml version=\"1.0\"?>\n<checkstyle version=\"8\">{inner}</checkstyle>\n"),
    )
}

#[test]
fn an_error_is_a_diagnostic_of_the_file_around_it() {
    let report = read(
        r#"<file name="a.js"><error line="3" column="7" severity="error" message="&lt;x&gt; &amp; &quot;y&#34; &#x27;z&apos;" source="eslint.rules.no-undef"/></file>
           <file name="b.js"></file><file name="c/d.js"><error line="1" severity="info" message="n"></error></file>"#,
    );
    assert_eq!(render_diagnostics(&report), ["a.js:3: <x> & \"y\" 'z'", "c/d.js:1: n"]);
    let [one, two] = &report.diagnostics[..] else { panic!("{report:?}") };
    assert_eq!(
        (one.tool.as_str(), one.rule.as_deref(), one.level),
        ("checkstyle", Some("no-undef"), DiagnosticLevel::Error)
    );
    assert_eq!(one.range, DiagnosticRange::from_position(3, 7, ColumnUnit::CodePoint));
    assert_eq!(
        (two.rule.as_deref(), two.level, two.range),
        (None, DiagnosticLevel::Note, DiagnosticRange::from_lines(1, 1))
    );
}

#[test]
fn a_rule_of_checkstyle_itself_is_its_configured_name() {
    for (source, rule) in [
        ("com.puppycrawl.tools.checkstyle.checks.naming.ConstantNameCheck", "ConstantName"),
        ("com.puppycrawl.tools.checkstyle.Style/StringLiterals", "Style/StringLiterals"),
        ("govet", "govet"),
        ("PSR2.Classes.Brace", "PSR2.Classes.Brace"),
    ] {
        let report =
            read(&format!(r#"<file name="a"><error line="1" message="m" source="{source}"/></file>"#));
        assert_eq!(report.diagnostics[0].rule.as_deref(), Some(rule));
    }
}

#[test]
fn severities_are_levels_and_ignored_ones_are_none() {
    let error = |severity: &str| format!(r#"<error line="1" message="m" severity="{severity}"/>"#);
    let all = ["error", "warning", "info", "strange", "", "ignore"].map(error).concat();
    let report = read(&format!("<file name=\"a\">{all}</file>"));
    let levels: Vec<DiagnosticLevel> = report.diagnostics.iter().map(|found| found.level).collect();
    assert_eq!(
        levels,
        [
            DiagnosticLevel::Error,
            DiagnosticLevel::Warning,
            DiagnosticLevel::Note,
            DiagnosticLevel::Warning,
            DiagnosticLevel::Warning
        ]
    );
}

#[test]
fn errors_without_a_file_and_files_outside_are_named() {
    let report = report_at(
        OutputFormat::Checkstyle,
        "/home/ci/x",
        r#"<checkstyle><error line="1" message="m"/><file name="/home/ci/x/src/a.js"><error line="1" message="m"/></file>
           <file name="/etc/passwd"><error line="2" message="m"/></file><error line="3" message="m"/></checkstyle>"#,
    );
    assert_eq!((render_diagnostics(&report), report.left_out_count), (vec!["src/a.js:1: m".to_owned()], 3));
    assert_eq!(
        problems(&report),
        ["line 1: no path", "line 2: /etc/passwd is outside of the tree", "line 3: no path"]
    );
}

#[test]
fn a_crash_on_a_file_is_the_tools_own_problem() {
    let report =
        read("<file name=\"a.java\"><exception><![CDATA[java.lang.Boom: x\n at y]]></exception></file>");
    assert_eq!(problems(&report), ["checkstyle: a.java: java.lang.Boom: x"]);
    assert_eq!(report.problems[0].kind, ProblemKind::ToolFailed);
}

#[test]
fn no_entity_is_expanded_and_no_other_file_is_read() {
    let text = "<?xml version=\"1.0\"?>\n<!DOCTYPE checkstyle [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY \
         b \"&a;&a;&a;\">
        <!ENTITY file SYSTEM \"file:///etc/hostname\">]>
        <checkstyle><file name=\"a\"><error line=\"1\" message=\"&b; &file; & &#0; &#xD800; \
         &#x110000;\"/></file></checkstyle>";
    let report = report(OutputFormat::Checkstyle, text);
    assert_eq!(render_diagnostics(&report), ["a:1: &b; &file; & &#xD800; &#x110000;"]);
}

#[test]
fn what_comes_before_a_damaged_place_is_kept() {
    let report = report(
        OutputFormat::Checkstyle,
        r#"<checkstyle><file name="a"><error line="1" message="m"/><error line="2"#,
    );
    assert_eq!((report.diagnostics.len(), report.problems.len()), (1, 1));
    assert_eq!(report.problems[0].kind, ProblemKind::Unreadable);
    for text in ["", "x", "<html/>", "<a><b></a>"] {
        let report = super::report(OutputFormat::Checkstyle, text);
        assert_eq!((report.diagnostics.len(), report.problems.len()), (0, 1), "{text}");
    }
}
