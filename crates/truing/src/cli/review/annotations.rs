//! Formats findings for other tools: reviewdog's rdjson, the annotations of GitHub Actions, and GitLab's code
//! quality report.
//!
//! * rdjson: `proto/rdf/reviewdog.proto` of reviewdog. A range without columns consists of whole lines and
//!   includes the last one.
//! * GitHub: "Workflow commands for GitHub Actions", with the escapes of the runner's own toolkit.
//! * GitLab: "Code Quality", report format.

use std::fmt::Write as _;

use serde_json::{Value, json};
use truing_core::finding::{Finding, Severity};

use crate::cli::error::CliError;
use crate::cli::output::json_line;

/// Returns the object `DiagnosticResult` on one line.
pub(super) fn render_rdjson(findings: &[&Finding]) -> Result<String, CliError> {
    let diagnostics: Vec<Value> = findings.iter().map(|finding| diagnostic_json(finding)).collect();
    json_line(&json!({ "source": { "name": "truing" }, "diagnostics": diagnostics }))
}

fn diagnostic_json(finding: &Finding) -> Value {
    let raw = &finding.raw;
    let lines =
        json!({ "start": { "line": raw.location.start_line }, "end": { "line": raw.location.end_line } });
    let severity = match raw.severity {
        Severity::P0 | Severity::P1 => "ERROR",
        Severity::P2 => "WARNING",
    };
    let mut diagnostic = json!({
        "message": finding_message(finding),
        "location": { "path": raw.location.path, "range": &lines },
        "severity": severity,
        "code": { "value": raw.rule },
    });
    if let (Some(suggestion), Value::Object(diagnostic)) = (&raw.suggestion, &mut diagnostic) {
        let fix = json!({ "range": lines, "text": suggestion.replacement });
        diagnostic.insert("suggestions".into(), json!([fix]));
    }
    diagnostic
}

/// Returns one workflow command per finding, each on one line.
pub(super) fn render_github(findings: &[&Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let raw = &finding.raw;
        let level = match raw.severity {
            Severity::P0 | Severity::P1 => "error",
            Severity::P2 => "warning",
        };
        let title = format!("{}: {} ({})", raw.severity.as_str(), raw.title, raw.rule);
        // GitHub compares the path with the paths in the change, so the path must not be quoted.
        let name = String::from_utf8_lossy(raw.location.path.as_bytes());
        let (file, title) = (escape_property(&name), escape_property(&title));
        let (first, last) = (raw.location.start_line, raw.location.end_line);
        let body = escape_data(&finding_message(finding));
        let _ = writeln!(text, "::{level} file={file},line={first},endLine={last},title={title}::{body}");
    }
    text
}

/// Returns GitLab's code quality report on one line.
pub(super) fn render_gitlab(findings: &[&Finding]) -> Result<String, CliError> {
    let entry = |finding: &&Finding| {
        let raw = &finding.raw;
        let severity = match raw.severity {
            Severity::P0 => "blocker",
            Severity::P1 => "major",
            Severity::P2 => "minor",
        };
        json!({
            "description": raw.title,
            "check_name": raw.rule,
            // The fingerprint must be unique, because GitLab merges findings with equal fingerprints.
            "fingerprint": finding.id,
            "severity": severity,
            "location": {
                "path": raw.location.path,
                "lines": { "begin": raw.location.start_line, "end": raw.location.end_line },
            },
        })
    };
    json_line(&findings.iter().map(entry).collect::<Vec<_>>())
}

/// Returns the title and the body of a finding.
fn finding_message(finding: &Finding) -> String {
    let raw = &finding.raw;
    if raw.body.is_empty() { raw.title.clone() } else { format!("{}\n\n{}", raw.title, raw.body) }
}

/// Escapes the text after a workflow command.
fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a workflow command's property.
fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use truing_core::finding::SuggestedFix;

    use super::super::sample_finding::sample_finding;
    use super::*;

    #[test]
    fn each_form_has_place_severity_rule_and_words() {
        let mut found = sample_finding("1:a-1", "a,b:c.py", 3);
        found.raw.suggestion = Some(SuggestedFix { replacement: "x = 1".into() });
        found.raw.title = "100 % sure".into();
        let told: Value = serde_json::from_str(&render_rdjson(&[&found]).unwrap()).unwrap();
        let told = &told["diagnostics"][0];
        assert_eq!(told["location"]["range"], json!({ "start": { "line": 3 }, "end": { "line": 3 } }));
        assert_eq!(told["severity"], "ERROR");
        assert_eq!(told["code"]["value"], "core/x");
        assert_eq!(told["suggestions"][0]["text"], "x = 1");

        let told: Value = serde_json::from_str(&render_gitlab(&[&found]).unwrap()).unwrap();
        assert_eq!(told[0]["location"]["path"], "a,b:c.py");
        assert_eq!((&told[0]["severity"], &told[0]["fingerprint"]), (&json!("major"), &json!("1:a-1")));

        assert_eq!(
            render_github(&[&found]),
            "::error file=a%2Cb%3Ac.py,line=3,endLine=3,title=P1%3A 100 %25 sure (core/x)::100 %25 \
             sure%0A%0ASay what happened.\n"
        );
    }

    #[test]
    fn github_gets_the_name_of_a_file_as_it_is() {
        for (name, expected) in [
            ("qu\"ote.py", "qu\"ote.py"),
            ("back\\slash.py", "back\\slash.py"),
            ("sp ace é.py", "sp ace é.py"),
            ("new\r\nline.py", "new%0D%0Aline.py"),
            ("100%.py", "100%25.py"),
            ("a:b,c.py", "a%3Ab%2Cc.py"),
            ("-x#y?.py", "-x#y?.py"),
        ] {
            let told = render_github(&[&sample_finding("1:a-1", name, 3)]);
            assert!(told.starts_with(&format!("::error file={expected},line=3,")), "{told}");
        }
    }

    #[test]
    fn text_of_a_finding_begins_no_command_of_its_own() {
        let mut found = sample_finding("1:a-1", "a\n::set-env name=X::y", 3);
        found.raw.body = "a\n::error::b".into();
        assert_eq!(render_github(&[&found]).lines().count(), 1);
    }

    #[test]
    fn nothing_found_is_still_valid() {
        assert_eq!(render_github(&[]), "");
        assert_eq!(render_gitlab(&[]).unwrap(), "[]\n");
        let told: Value = serde_json::from_str(&render_rdjson(&[]).unwrap()).unwrap();
        assert_eq!(told["diagnostics"], json!([]));
    }
}
