//! A model's verdicts on open findings of earlier reviews. The model must return a verdict for each finding.
//! If verdicts are missing, Truing requests them with one message. [`truing_core::recheck`] decides the
//! effect of the verdicts.

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::dismissal::short_id;
use truing_core::finding::Finding;
pub use truing_core::recheck::RecheckStatus;
use truing_core::recheck::RecheckVerdict;

use super::{MAX_CODE_BYTES, MAX_REPORTED_ITEMS};

/// Maximum number of findings without a verdict that one message to the model lists.
const MAX_LISTED_FINDINGS: usize = 50;

/// A verdict as the model reports it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ReportedVerdict {
    /// The finding's full or short id, as the model wrote it.
    #[serde(rename = "id")]
    pub finding_id: String,
    #[serde(rename = "verdict")]
    pub status: RecheckStatus,
    /// File of the lines that support the verdict. Without a path, the finding's file is used.
    #[serde(default)]
    pub path: Option<String>,
    /// First of the lines that support the verdict.
    #[serde(default)]
    pub start_line: Option<u32>,
    /// Last of the lines that support the verdict. Without this line, the first line is used.
    #[serde(default)]
    pub end_line: Option<u32>,
    /// Literal text of the lines that support the verdict.
    #[serde(default)]
    pub excerpt: String,
}

/// Returns the schema of a verdict.
pub(super) fn verdict_schema() -> Value {
    let text = |field_description: &str| json!({ "type": "string", "description": field_description });
    let line = |text: &str| json!({ "type": "integer", "minimum": 1, "description": text });
    json!({
        "type": "object",
        "properties": {
            "id": text("The finding's id, as you were shown it."),
            "verdict": { "type": "string", "enum": ["still_there", "fixed"],
                "description": "still_there: the defect still exists, on any lines. fixed: these lines \
                    show that it no longer exists." },
            "path": text("The file that contains these lines, if it is not the finding's file."),
            "start_line": line("The first of the lines that prove the verdict, in the file at the head: \
                the lines of the defect, the lines that replace it, or new lines that fix it."),
            "end_line": line("The last line, if there is more than one."),
            "excerpt": text("The text of these lines, copied from the file. If the file is deleted, there \
                is no text."),
        },
        "required": ["id", "verdict"],
        "additionalProperties": false,
    })
}

/// Parses the verdicts of a report, and ignores invalid verdicts.
pub(super) fn read_verdicts(value: Option<&Value>) -> Vec<ReportedVerdict> {
    let entries = value.and_then(Value::as_array).into_iter().flatten();
    entries
        .filter_map(|one| truing_core::json::from_value::<ReportedVerdict>(one).ok())
        .filter(|entry| entry.excerpt.len() <= MAX_CODE_BYTES)
        .filter(|entry| entry.path.as_ref().is_none_or(|path| path.len() <= MAX_CODE_BYTES))
        .take(MAX_REPORTED_ITEMS)
        .collect()
}

/// Returns true if the verdict's id identifies this finding.
fn matches_finding(verdict: &ReportedVerdict, finding: &Finding) -> bool {
    let id = verdict.finding_id.trim();
    id == finding.id.as_str() || id == short_id(&finding.id)
}

/// Converts the verdicts on these open findings, and ignores all other verdicts.
pub fn to_recheck_verdicts<'a>(
    verdicts: &[ReportedVerdict],
    open_findings: impl IntoIterator<Item = &'a Finding>,
) -> Vec<RecheckVerdict> {
    let of = |finding: &'a Finding| {
        verdicts.iter().filter(|verdict| matches_finding(verdict, finding)).map(|verdict| RecheckVerdict {
            finding: finding.id.clone(),
            status: verdict.status,
            path: verdict.path.as_deref().map(str::trim).filter(|path| !path.is_empty()).map(Into::into),
            lines: verdict.start_line.map(|first| (first, verdict.end_line.unwrap_or(first))),
            excerpt: verdict.excerpt.clone(),
        })
    };
    open_findings.into_iter().flat_map(of).collect()
}

/// Returns a message to the model. The message lists the open findings that have no verdict. Returns `None`
/// if every open finding has a verdict.
pub fn missing_verdicts_message<'a>(
    verdicts: &[ReportedVerdict],
    open_findings: impl IntoIterator<Item = &'a Finding>,
) -> Option<String> {
    let unsaid: Vec<String> = open_findings
        .into_iter()
        .filter(|finding| !verdicts.iter().any(|verdict| matches_finding(verdict, finding)))
        .take(MAX_LISTED_FINDINGS)
        .map(|finding| short_id(&finding.id))
        .collect();
    (!unsaid.is_empty()).then(|| {
        format!(
            "`verdicts` has no entry for these open findings: {}. Call `report` again, with all your \
            findings and one verdict for each of them: `still_there` with its lines, or `fixed` with the \
            lines that show it.",
            unsaid.join(", ")
        )
    })
}
