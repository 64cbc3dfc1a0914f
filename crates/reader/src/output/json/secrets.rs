//! JSON of Gitleaks and detect-secrets. Diagnostics contain neither a secret nor a digest of a secret.

use serde::Deserialize;

use crate::output::diagnostic::DiagnosticLevel;
use crate::output::entries::{BoundedFields, BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::range::DiagnosticRange;
use crate::output::report::{DiagnosticReport, ProblemKind};

/// Maximum number of files that are read from a report. The same maximum applies to the secrets of each file.
const MAX_LIST_ENTRIES: usize = 20_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GitleaksFinding {
    #[serde(rename = "RuleID")]
    rule_id: String,
    description: Option<String>,
    start_line: WholeNumber,
    file: String,
    #[serde(default)]
    commit: String,
    #[serde(default)]
    secret: String,
    #[serde(default, rename = "Match")]
    matched: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// Reads a JSON report of Gitleaks. Only the line number of a finding is used, because Gitleaks reports
/// inexact columns. After the first line of a file, columns are too large by one, and the end may be on the
/// following line. Findings in commits are left out, because their line numbers refer to the commit.
/// `gitleaks dir` reports findings in the tree itself. The fingerprint of a finding is not used, because it
/// may include a commit.
pub(crate) fn read_gitleaks(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("gitleaks", context);
    let text = reading.extract_document(bytes);
    reading.for_each_array_entry(&text, "finding", |reading, entry: GitleaksFinding| {
        if !entry.commit.is_empty() {
            let commit: String = entry.commit.chars().take(12).collect();
            let text = format!("{}: {} in commit {commit}, not in the tree", entry.file, entry.rule_id);
            return reading.collector.add_skipped_entry(ProblemKind::NoFile, &text);
        }
        let tells = |text: &str| {
            [&entry.secret, &entry.matched].iter().any(|s| !s.is_empty() && text.contains(s.as_str()))
        };
        let description = entry.description.filter(|text| !text.trim().is_empty() && !tells(text));
        let message = description.unwrap_or_else(|| "A secret is in the file.".to_owned());
        let line = entry.start_line.to_line_or_column();
        let Some(mut diagnostic) =
            reading.build_diagnostic(&entry.file, DiagnosticRange::from_lines(line, line), &message)
        else {
            return;
        };
        diagnostic.level = DiagnosticLevel::Error;
        diagnostic.tags = entry.tags.into_iter().filter(|tag| !tells(tag)).collect();
        diagnostic.tags.push("security".to_owned());
        diagnostic.rule = Some(entry.rule_id);
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

#[derive(Deserialize)]
struct DetectSecretsDocument {
    results: BoundedFields<BoundedList<DetectSecretsEntry, MAX_LIST_ENTRIES>, MAX_LIST_ENTRIES>,
}

#[derive(Deserialize)]
struct DetectSecretsEntry {
    #[serde(rename = "type")]
    kind: String,
    line_number: Option<WholeNumber>,
    #[serde(default)]
    is_verified: bool,
    /// Decision of the person who audited the baseline.
    is_secret: Option<bool>,
}

/// Reads the output of `detect-secrets scan`, which is a baseline, and of `detect-secrets-hook --json`.
/// Without findings, `detect-secrets-hook` prints nothing. Digests of secrets are not read, because a short
/// secret can be guessed from its digest.
pub(crate) fn read_detect_secrets(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("detect-secrets", context);
    let text = reading.extract_document(bytes);
    if text.trim().is_empty() {
        return reading.finish();
    }
    let Some(document) = reading.parse_object::<DetectSecretsDocument>(&text) else {
        return reading.finish();
    };
    for (path, found) in document.results.0 {
        for entry in found.0 {
            let Some(entry) = entry else {
                reading.add_malformed_entry(&format!("{path}: an entry is malformed"));
                continue;
            };
            let line = entry.line_number.map_or(0, WholeNumber::to_line_or_column);
            let message = format!("Possible secret: {}", entry.kind);
            let Some(mut diagnostic) =
                reading.build_diagnostic(&path, DiagnosticRange::from_lines(line, line), &message)
            else {
                continue;
            };
            diagnostic.level =
                if entry.is_verified { DiagnosticLevel::Error } else { DiagnosticLevel::Warning };
            diagnostic.is_suppressed = entry.is_secret == Some(false);
            diagnostic.tags.push("security".to_owned());
            diagnostic.rule = Some(entry.kind);
            reading.collector.push(diagnostic);
        }
    }
    reading.finish()
}
