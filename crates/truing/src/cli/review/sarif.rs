//! Formats findings as SARIF 2.1.0 for code scanning. The output is valid against the standard's schema and
//! within GitHub's limits. GitHub's documentation lists these limits and the required properties under "SARIF
//! support for code scanning".
//!
//! * Regions are whole lines: without columns, a region ends at the end of its last line.
//! * The only fingerprint is Truing's own. GitHub's upload action computes `primaryLocationLineHash` from the
//!   file's content; a value computed from anything else would contradict it.
//! * A finding is a notification, and not a result with `suppressions`, if a comment in the code suppresses
//!   it or a person has dismissed it: GitHub does not read that property and would open an alert.
//! * The shown code is the finding's snippet, from which secrets were removed, and never the file.

// long: one document, in the order of its properties.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};
use truing_core::finding::{CodeLocation, DefectCategory, Finding, FindingStatus, Severity};
use truing_core::id::{Sha, UnixMillis};
use truing_core::outcome::{CoverageGap, ReviewCoverage, ReviewOutcomeKind, SkipReason, WalkthroughLine};
use truing_diff::RepoPath;
use truing_loops::local::LocalReviewOutcome;
use truing_reader::ListedRule;
use url::Url;

use super::json::try_format_instant;
use crate::cli::error::CliError;
use crate::cli::output::json_line;

/// Maximum number of results in a run. GitHub rejects a run with more results.
const MAX_RESULTS: usize = 25_000;
/// Maximum number of rules in a run. GitHub rejects a run with more rules.
const MAX_RULES: usize = 25_000;
/// Maximum total bytes of the paths, snippets and suggestions of all results. GitHub accepts 10 MB after
/// compression. The other fields of a result are repetitive, so they compress well.
const MAX_RESULT_TEXT_BYTES: usize = 6 << 20;
/// Maximum number of unread files that are named. Further files are only counted.
const MAX_LISTED_FILES: usize = 1_000;
/// Maximum total bytes of the paths of unread files.
const MAX_LISTED_PATHS_BYTES: usize = 1 << 20;
/// Maximum number of suppressed findings, and of dismissed findings, that are named. Further findings are
/// only counted.
const MAX_LISTED_OMITTED_FINDINGS: usize = 1_000;
/// Maximum characters of a description that GitHub shows.
const MAX_DESCRIPTION_CHARS: usize = 1_024;

/// URL of the schema that the log conforms to.
const SCHEMA_URL: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// Name of the base of relative paths.
const ROOT_URI_BASE_ID: &str = "%SRCROOT%";

/// One run of a command that checks code, for a SARIF log.
pub(in crate::cli) struct SarifReport<'a> {
    /// Name of the command. The name becomes the category of the upload at GitHub. Uploads of different
    /// categories do not replace each other.
    pub(in crate::cli) category: &'static str,
    /// Unique id of this run in its category.
    pub(in crate::cli) id: &'a str,
    /// Description of the folder to which paths are relative.
    pub(in crate::cli) root_description: &'static str,
    /// Rules that were used.
    pub(in crate::cli) rules: &'a [ListedRule<'a>],
    /// Open findings, worst first.
    pub(in crate::cli) findings: &'a [&'a Finding],
    /// Findings that comments in the code suppress, worst first.
    pub(in crate::cli) suppressed: &'a [Finding],
    /// Findings that people have dismissed, worst first.
    pub(in crate::cli) dismissed: &'a [Finding],
    /// Files that were reviewed, and those that were not.
    pub(in crate::cli) coverage: &'a ReviewCoverage,
    /// True if the review skipped no file that it should have read.
    pub(in crate::cli) is_complete: bool,
    /// Start and end of the run.
    pub(in crate::cli) start_and_end: Option<(UnixMillis, UnixMillis)>,
    /// Compared commits, for a review of a change.
    pub(in crate::cli) comparison: Option<SarifComparison<'a>>,
}

/// The commits of a comparison.
pub(in crate::cli) struct SarifComparison<'a> {
    /// Commit to compare with.
    pub(in crate::cli) base: &'a Sha,
    /// Reviewed commit. `None` if a working tree, an index or a diff was reviewed.
    pub(in crate::cli) head: Option<&'a Sha>,
    /// URL from which the repository was cloned.
    pub(in crate::cli) remote_url: Option<&'a str>,
    /// Lines on what the change does and where to look first.
    pub(in crate::cli) walkthrough: &'a [WalkthroughLine],
}

/// Returns the run of a review.
pub(super) fn from_review<'a>(
    review: &'a LocalReviewOutcome,
    findings: &'a [&'a Finding],
    rules: &'a [ListedRule<'a>],
    remote_url: Option<&'a str>,
) -> SarifReport<'a> {
    let record = &review.record;
    SarifReport {
        category: "review",
        id: record.run.as_str(),
        root_description: "The root of the repository.",
        rules,
        findings,
        suppressed: &review.findings.suppressed,
        dismissed: &review.findings.dismissed,
        coverage: &record.detail.coverage,
        is_complete: matches!(
            record.detail.outcome.kind,
            ReviewOutcomeKind::Reviewed | ReviewOutcomeKind::Skipped
        ),
        start_and_end: Some((record.started_at, record.ended_at)),
        comparison: Some(SarifComparison {
            base: &record.detail.base,
            head: record.detail.head.as_ref(),
            remote_url,
            walkthrough: record.detail.walkthrough(),
        }),
    }
}

/// Returns the log on one line.
pub(in crate::cli) fn render_sarif(run: &SarifReport<'_>) -> Result<String, CliError> {
    let rules = run.rules.get(..MAX_RULES).unwrap_or(run.rules);
    let index: HashMap<&str, usize> = rules.iter().enumerate().map(|(at, rule)| (rule.name, at)).collect();
    let findings = truncate_findings(run.findings);
    let mut sarif_run = json!({
        "tool": { "driver": {
            "name": "Truing",
            "version": env!("CARGO_PKG_VERSION"),
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules.iter().map(rule_json).collect::<Vec<_>>(),
        } },
        "automationDetails": { "id": format!("truing/{}/{}", run.category, run.id) },
        "originalUriBaseIds": { ROOT_URI_BASE_ID: { "description": { "text": run.root_description } } },
        "invocations": [invocation_json(run, run.findings.len() - findings.len())],
        "redactionTokens": ["…"],
        "results": findings.iter().map(|finding| result_json(finding, &index)).collect::<Vec<_>>(),
    });
    if let (Some(change), Value::Object(sarif_run)) = (&run.comparison, &mut sarif_run) {
        let mut properties = json!({ "base": change.base, "head": change.head });
        if !change.walkthrough.is_empty() {
            properties["walkthrough"] = json!(change.walkthrough);
        }
        sarif_run.insert("properties".into(), properties);
        if let Some(uri) = change.remote_url.and_then(repository_uri) {
            let mut from = json!({ "repositoryUri": uri, "mappedTo": { "uriBaseId": ROOT_URI_BASE_ID } });
            if let Some(head) = change.head {
                from["revisionId"] = json!(head);
            }
            sarif_run.insert("versionControlProvenance".into(), json!([from]));
        }
    }
    let log = SarifDocument { schema: SCHEMA_URL, version: "2.1.0", runs: [sarif_run] };
    json_line(&log)
}

#[derive(Serialize)]
struct SarifDocument {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Value; 1],
}

/// Returns the first findings, at most as many as GitHub accepts.
fn truncate_findings<'a, 'b>(findings: &'a [&'b Finding]) -> &'a [&'b Finding] {
    let mut bytes = 0_usize;
    let fits = |finding: &&&Finding| {
        let raw = &finding.raw;
        let suggested = raw.suggestion.as_ref().map_or(0, |suggestion| suggestion.replacement.len());
        bytes = bytes.saturating_add(2 * raw.location.path.as_bytes().len() + raw.snippet.len() + suggested);
        bytes <= MAX_RESULT_TEXT_BYTES
    };
    let count = findings.iter().take(MAX_RESULTS).take_while(fits).count();
    findings.get(..count).unwrap_or(findings)
}

// -------------------------------------------------------------------------------- rules, results

fn rule_json(rule: &ListedRule<'_>) -> Value {
    let body = if rule.body.trim().is_empty() { rule.title } else { rule.body.trim() };
    // The precision of every listed rule is high. Rules with many false positives are disabled, and only
    // enabled rules are listed.
    let mut properties = json!({ "tags": [category_tag(rule.category)], "precision": "high" });
    match rule.category {
        // Because of the score, GitHub shows the finding as a security alert.
        DefectCategory::H => properties["security-severity"] = json!(security_score(rule.severity)),
        DefectCategory::A
        | DefectCategory::B
        | DefectCategory::C
        | DefectCategory::D
        | DefectCategory::E
        | DefectCategory::F
        | DefectCategory::G
        | DefectCategory::I
        | DefectCategory::J => properties["problem.severity"] = json!(sarif_level(rule.severity)),
    }
    json!({
        "id": rule.name,
        "shortDescription": { "text": shorten_text(rule.title) },
        "fullDescription": { "text": shorten_text(body) },
        "help": { "text": body, "markdown": body },
        "defaultConfiguration": { "level": sarif_level(rule.severity) },
        "properties": properties,
    })
}

fn result_json(finding: &Finding, rule_indexes: &HashMap<&str, usize>) -> Value {
    let raw = &finding.raw;
    let mut sarif_result = json!({
        "ruleId": raw.rule,
        "level": sarif_level(raw.severity),
        "message": { "text": message_text(&raw.title, &raw.body) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": artifact_json(&raw.location.path),
            "region": region_json(&raw.location, &raw.snippet),
        } }],
        "partialFingerprints": { "truing/v1": finding.fingerprint },
        "fingerprints": { "truing/id/v1": finding.id },
        "properties": { "severity": raw.severity, "category": raw.category },
    });
    if let Some(rule_indexes) = rule_indexes.get(raw.rule.as_str()) {
        sarif_result["ruleIndex"] = json!(rule_indexes);
    }
    if let Some(suggestion) = &raw.suggestion {
        sarif_result["fixes"] = json!([{
            "description": { "text": "The replacement of the lines." },
            "artifactChanges": [{
                "artifactLocation": artifact_json(&raw.location.path),
                "replacements": [replacement_json(&raw.location, &suggestion.replacement)],
            }],
        }]);
    }
    sarif_result
}

/// Returns the replacement of a finding's lines. An empty text deletes these lines, including their line
/// endings.
fn replacement_json(location: &CodeLocation, text: &str) -> Value {
    let (first, last) = (location.start_line, location.end_line);
    if text.is_empty() {
        let next = last.saturating_add(1);
        return json!({
            "deletedRegion": { "startLine": first, "startColumn": 1, "endLine": next, "endColumn": 1 },
        });
    }
    json!({
        "deletedRegion": { "startLine": first, "endLine": last },
        "insertedContent": { "text": text },
    })
}

/// Formats a message. GitHub shows only the first sentence if there is little room.
fn message_text(title: &str, body: &str) -> String {
    let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = if title.ends_with(['.', '!', '?']) { "" } else { "." };
    shorten_text(format!("{title}{end} {body}").trim_end())
}

fn sarif_level(severity: Severity) -> &'static str {
    match severity {
        Severity::P0 | Severity::P1 => "error",
        Severity::P2 => "warning",
    }
}

/// Returns a score in GitHub's scale: critical above 9.0, high from 7.0, medium from 4.0.
fn security_score(severity: Severity) -> &'static str {
    match severity {
        Severity::P0 => "9.5",
        Severity::P1 => "8.0",
        Severity::P2 => "5.0",
    }
}

/// Returns the category of a defect as a tag by which users can filter.
fn category_tag(category: DefectCategory) -> &'static str {
    match category {
        DefectCategory::A => "api-contract",
        DefectCategory::B => "compatibility",
        DefectCategory::C => "resources",
        DefectCategory::D => "scoping",
        DefectCategory::E => "dead-code",
        DefectCategory::F => "silent-failure",
        DefectCategory::G => "bounds",
        DefectCategory::H => "security",
        DefectCategory::I => "concurrency",
        DefectCategory::J => "maintainability",
    }
}

fn shorten_text(text: &str) -> String {
    if text.chars().count() <= MAX_DESCRIPTION_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_DESCRIPTION_CHARS - 1).chain(['…']).collect()
}

// -------------------------------------------------------------------------------- places

fn region_json(location: &CodeLocation, snippet: &str) -> Value {
    json!({
        "startLine": location.start_line,
        "endLine": location.end_line,
        "snippet": { "text": snippet },
    })
}

/// Returns the location of a file relative to the root. For an absolute path, returns a `file:` URI.
fn artifact_json(path: &RepoPath) -> Value {
    match path.as_bytes().starts_with(b"/") {
        true => json!({ "uri": format!("file://{}", encode_path(path)) }),
        false => json!({ "uri": encode_path(path), "uriBaseId": ROOT_URI_BASE_ID }),
    }
}

/// Encodes the path's bytes for a URI. Bytes that RFC 3986 allows in a segment are kept. Other bytes become
/// `%` and two hexadecimal digits. A `:` is encoded as well, because the text before a `:` could be
/// interpreted as a scheme.
fn encode_path(path: &RepoPath) -> String {
    path.as_bytes().iter().fold(String::new(), |mut uri, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => {
                uri.push(char::from(*byte));
            }
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b'@' => {
                uri.push(char::from(*byte));
            }
            other => {
                let _ = write!(uri, "%{other:02X}");
            }
        }
        uri
    })
}

/// Converts a git remote to a URI: the short form `user@host:path` becomes `ssh://user@host/path`. Returns
/// `None` if the remote is a folder on this machine.
fn repository_uri(remote: &str) -> Option<String> {
    let short = || {
        let (host, path) = remote.split_once(':')?;
        (!host.contains('/') && !path.starts_with("//"))
            .then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
    };
    let uri = Url::parse(&short().unwrap_or_else(|| remote.to_owned())).ok()?;
    (uri.has_host() && uri.scheme() != "file").then(|| uri.into())
}

// -------------------------------------------------------------------------------- how it went

fn invocation_json(run: &SarifReport<'_>, omitted_result_count: usize) -> Value {
    let mut invocation = json!({
        "executionSuccessful": run.is_complete,
        "toolExecutionNotifications": notifications_json(run, omitted_result_count),
    });
    if let Some((began, ended)) = run.start_and_end {
        invocation["startTimeUtc"] = json!(try_format_instant(began));
        invocation["endTimeUtc"] = json!(try_format_instant(ended));
    }
    invocation
}

/// Returns notifications about files that were not reviewed, and about findings that are not among the
/// results.
fn notifications_json(run: &SarifReport<'_>, omitted_result_count: usize) -> Vec<Value> {
    let coverage = run.coverage;
    let (by_design, missing): (Vec<_>, Vec<_>) =
        coverage.not_reviewed.iter().partition(|gap| gap.reason.is_by_design());
    let notification = |level: &str, text: String| json!({ "level": level, "message": { "text": text } });
    let mut all: Vec<Value> = Vec::new();
    if omitted_result_count > 0 {
        all.push(notification(
            "error",
            format!(
                "{omitted_result_count} more results are left out: the run has reached its maximum size."
            ),
        ));
    }
    let mut bytes = 0_usize;
    let fits = |gap: &&&CoverageGap| {
        bytes = bytes.saturating_add(gap.path.as_bytes().len());
        bytes <= MAX_LISTED_PATHS_BYTES
    };
    let named: Vec<Value> = missing
        .iter()
        .chain(&by_design)
        .take(MAX_LISTED_FILES)
        .take_while(fits)
        .map(|gap| unreviewed_notification(gap))
        .collect();
    let more = coverage.not_reviewed.len() - named.len();
    all.extend(named);
    if more > 0 {
        all.push(notification("note", format!("{more} more files were not reviewed.")));
    }
    let kinds = [
        (run.suppressed, "are suppressed by comments in the code"),
        (run.dismissed, "were dismissed by a person and are left out"),
    ];
    for (findings, why) in kinds {
        all.extend(
            findings.iter().take(MAX_LISTED_OMITTED_FINDINGS).filter_map(omitted_finding_notification),
        );
        if let Some(more @ 1..) = findings.len().checked_sub(MAX_LISTED_OMITTED_FINDINGS) {
            all.push(notification("note", format!("{more} more findings {why}.")));
        }
    }
    all
}

/// Returns a notification with the reason of a suppressed or dismissed finding. Returns `None` for any other
/// finding.
fn omitted_finding_notification(finding: &Finding) -> Option<Value> {
    let raw = &finding.raw;
    let (kind, by, reason) = match &finding.status {
        FindingStatus::Suppressed(reason) => ("suppressed", "Suppressed by a comment in the code", reason),
        FindingStatus::Dismissed(reason) => ("dismissed", "Dismissed by a person", reason),
        FindingStatus::Open
        | FindingStatus::Claimed
        | FindingStatus::Fixed(_)
        | FindingStatus::OutOfScope
        | FindingStatus::Declined(_) => return None,
    };
    let text = format!("{by}: {} ({}): {reason}", raw.title, raw.rule);
    Some(json!({
        "descriptor": { "id": kind },
        "level": "note",
        "message": { "text": shorten_text(&text) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": artifact_json(&raw.location.path),
            "region": { "startLine": raw.location.start_line, "endLine": raw.location.end_line },
        } }],
    }))
}

fn unreviewed_notification(file: &CoverageGap) -> Value {
    let why = file.reason.as_str();
    let message = if file.reason == SkipReason::MoreFindings {
        "The file has more findings than the limit for one file: only the worst are shown.".to_owned()
    } else {
        format!("Not reviewed: {}.", why.replace('_', " "))
    };
    json!({
        "descriptor": { "id": format!("not-reviewed/{why}") },
        "level": if file.reason.is_by_design() { "note" } else { "error" },
        "message": { "text": message },
        "locations": [{ "physicalLocation": { "artifactLocation": artifact_json(&file.path) } }],
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use truing_core::finding::SuggestedFix;

    use super::*;
    use crate::cli::review::sample_finding::sample_finding;

    /// Maximum bytes of a compressed file that GitHub accepts.
    const MAX_UPLOAD_BYTES: usize = 10_000_000;

    fn sample_rule<'a>(category: DefectCategory, severity: Severity, body: &'a str) -> ListedRule<'a> {
        let (rule, title) = ("core/x", "Swallowed error");
        ListedRule {
            name: rule,
            kind: "text",
            severity,
            category,
            languages: vec![],
            enabled: true,
            title,
            body,
        }
    }

    fn render_log(
        findings: &[Finding],
        rules: &[ListedRule<'_>],
        coverage: &ReviewCoverage,
    ) -> (String, Value) {
        let findings: Vec<&Finding> = findings.iter().collect();
        let text = render_sarif(&SarifReport {
            category: "review",
            id: "1",
            root_description: "The root.",
            rules,
            findings: &findings,
            suppressed: &[],
            dismissed: &[],
            coverage,
            is_complete: true,
            start_and_end: None,
            comparison: None,
        })
        .unwrap();
        let log: Value = serde_json::from_str(&text).unwrap();
        (text, log["runs"][0].clone())
    }

    fn compressed_len(text: &str) -> usize {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap().len()
    }

    /// Returns a text of `bytes` bytes that can hardly be compressed.
    fn incompressible_text(seed: u64, bytes: usize) -> String {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut letter = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'!' + u8::try_from(state % 94).unwrap())
        };
        (0..bytes).map(|_| letter()).collect()
    }

    #[test]
    fn more_results_than_github_takes_are_left_out_and_counted() {
        let many: Vec<Finding> = (1..=25_010).map(|line| sample_finding("1:aa-1", "a.py", line)).collect();
        let rules = [sample_rule(DefectCategory::F, Severity::P1, "Say what happened.")];
        let (text, run) = render_log(&many, &rules, &ReviewCoverage::default());
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 25_000);
        assert_eq!(results[24_999]["locations"][0]["physicalLocation"]["region"]["startLine"], 25_000);
        let told = &run["invocations"][0]["toolExecutionNotifications"][0];
        assert_eq!(
            (told["level"].as_str(), told["message"]["text"].as_str()),
            (Some("error"), Some("10 more results are left out: the run has reached its maximum size."),)
        );
        assert!(compressed_len(&text) < MAX_UPLOAD_BYTES);
    }

    #[test]
    fn a_file_is_never_larger_than_github_takes() {
        let many: Vec<Finding> = (1..=2_500)
            .map(|line| {
                let mut one = sample_finding("1:aa-1", &incompressible_text(u64::from(line), 200), line);
                one.raw.snippet = incompressible_text(u64::from(line) + 5_000, 3_200);
                one
            })
            .collect();
        let coverage = ReviewCoverage {
            reviewed: vec![],
            not_reviewed: (0..1_500)
                .map(|seed| CoverageGap {
                    path: incompressible_text(seed, 4_000).as_str().into(),
                    reason: SkipReason::Binary,
                })
                .collect(),
            ..ReviewCoverage::default()
        };
        let (text, run) = render_log(&many, &[], &coverage);
        let size = compressed_len(&text);
        assert!(size < MAX_UPLOAD_BYTES, "{size}");
        let left = 2_500 - run["results"].as_array().unwrap().len();
        let told =
            run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"].as_str().unwrap();
        assert!(left > 0 && told.starts_with(&format!("{left} more results")), "{told}");
    }

    #[test]
    fn a_suggestion_replaces_whole_lines_or_takes_them_away() {
        let mut one = sample_finding("1:aa-1", "a b.py", 3);
        one.raw.location.end_line = 4;
        let deleted = json!({ "startLine": 3, "startColumn": 1, "endLine": 5, "endColumn": 1 });
        assert_eq!(replacement_json(&one.raw.location, ""), json!({ "deletedRegion": deleted }));
        one.raw.suggestion = Some(SuggestedFix { replacement: "x\n  y".into() });
        let (_, run) = render_log(&[one], &[], &ReviewCoverage::default());
        let change = &run["results"][0]["fixes"][0]["artifactChanges"][0];
        assert_eq!(
            change,
            &json!({
                "artifactLocation": { "uri": "a%20b.py", "uriBaseId": "%SRCROOT%" },
                "replacements": [{
                    "deletedRegion": { "startLine": 3, "endLine": 4 },
                    "insertedContent": { "text": "x\n  y" },
                }],
            })
        );
    }

    #[test]
    fn only_rules_of_security_have_a_score() {
        let properties =
            |category, severity| rule_json(&sample_rule(category, severity, "x"))["properties"].clone();
        for (severity, score, level) in
            [(Severity::P0, "9.5", "error"), (Severity::P1, "8.0", "error"), (Severity::P2, "5.0", "warning")]
        {
            assert_eq!(
                properties(DefectCategory::H, severity),
                json!({ "tags": ["security"], "precision": "high", "security-severity": score })
            );
            assert_eq!(
                properties(DefectCategory::I, severity),
                json!({ "tags": ["concurrency"], "precision": "high", "problem.severity": level })
            );
        }
    }

    #[test]
    fn long_and_missing_descriptions_are_ones_that_github_shows() {
        let long = "é".repeat(2_000);
        let told = rule_json(&sample_rule(DefectCategory::F, Severity::P1, &long));
        assert_eq!(told["fullDescription"]["text"].as_str().unwrap().chars().count(), 1_024);
        assert_eq!(told["help"]["text"], long);
        let told = rule_json(&sample_rule(DefectCategory::F, Severity::P1, " "));
        assert_eq!(told["help"]["text"], "Swallowed error");
        assert_eq!(message_text("Swallowed error", "a\nb"), "Swallowed error. a b");
        assert_eq!(message_text("Why?", ""), "Why?");
    }

    #[test]
    fn a_file_outside_of_the_root_has_an_absolute_uri() {
        assert_eq!(artifact_json(&"/srv/a b.py".into()), json!({ "uri": "file:///srv/a%20b.py" }));
    }
}
