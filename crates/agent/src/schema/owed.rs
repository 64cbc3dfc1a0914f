//! A model's verdicts on open findings of earlier reviews: it owes one on each. One that is missing is asked for once;
//! what it means for a finding, [`truing_core::recheck`] decides.

use serde::Deserialize;
use serde_json::{Value, json};
use truing_core::dismissal::short;
use truing_core::finding::Finding;
pub use truing_core::recheck::RecheckStatus;
use truing_core::recheck::RecheckVerdict;

use super::{MAX_CODE_BYTES, MAX_ITEMS};

/// Findings without a verdict that the model is told of.
const MAX_TOLD: usize = 50;

/// A verdict as a model says it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct ReportedVerdict {
    /// The finding's id, as it was shown.
    pub id: String,
    /// The word.
    pub verdict: RecheckStatus,
    /// The file of the lines that show it; none: the finding's own.
    #[serde(default)]
    pub path: Option<String>,
    /// The first of the lines that show it.
    #[serde(default)]
    pub start_line: Option<u32>,
    /// The last of them; none: the first one.
    #[serde(default)]
    pub end_line: Option<u32>,
    /// What they say, word by word.
    #[serde(default)]
    pub excerpt: String,
}

/// The form of a verdict.
pub(super) fn form() -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let line = |about: &str| json!({ "type": "integer", "minimum": 1, "description": about });
    json!({
        "type": "object",
        "properties": {
            "id": text("The finding's id, as you were shown it."),
            "verdict": { "type": "string", "enum": ["still_there", "fixed"],
                "description": "still_there: the defect is there, in whatever lines. fixed: these lines show that it is gone." },
            "path": text("The file of these lines, if it is another one than the finding's."),
            "start_line": line("The first of the lines that show it, in the file at the head: where the defect is now, what \
                stands in its place, or what came since and fixes it."),
            "end_line": line("The last line, if there is more than one."),
            "excerpt": text("The text of these lines, copied from the file. Only of a file that is deleted there is none."),
        },
        "required": ["id", "verdict"],
        "additionalProperties": false,
    })
}

/// The verdicts of a report; what has not the form says nothing.
pub(super) fn read(value: Option<&Value>) -> Vec<ReportedVerdict> {
    let said = value.and_then(Value::as_array).into_iter().flatten();
    said.filter_map(|one| ReportedVerdict::deserialize(one).ok())
        .filter(|said| said.excerpt.len() <= MAX_CODE_BYTES)
        .filter(|said| said.path.as_ref().is_none_or(|path| path.len() <= MAX_CODE_BYTES))
        .take(MAX_ITEMS)
        .collect()
}

/// Is this the finding that it means?
fn means(said: &ReportedVerdict, finding: &Finding) -> bool {
    let id = said.id.trim();
    id == finding.id.as_str() || id == short(&finding.id)
}

/// The verdicts on these findings.
pub fn verdicts<'a>(
    said: &[ReportedVerdict],
    owed: impl IntoIterator<Item = &'a Finding>,
) -> Vec<RecheckVerdict> {
    let of = |finding: &'a Finding| {
        said.iter().filter(|said| means(said, finding)).map(|said| RecheckVerdict {
            finding: finding.id.clone(),
            word: said.verdict,
            path: said.path.as_deref().map(str::trim).filter(|path| !path.is_empty()).map(Into::into),
            lines: said.start_line.map(|first| (first, said.end_line.unwrap_or(first))),
            excerpt: said.excerpt.clone(),
        })
    };
    owed.into_iter().flat_map(of).collect()
}

/// The verdicts that a report lacks, in words for the model.
pub fn missing<'a>(said: &[ReportedVerdict], owed: impl IntoIterator<Item = &'a Finding>) -> Option<String> {
    let unsaid: Vec<String> = owed
        .into_iter()
        .filter(|finding| !said.iter().any(|said| means(said, finding)))
        .take(MAX_TOLD)
        .map(|finding| short(&finding.id))
        .collect();
    (!unsaid.is_empty()).then(|| {
        format!(
            "`verdicts` says nothing of these open findings: {}. Call `report` again, with all your findings and one \
             verdict for each of them: `still_there` with its lines, or `fixed` with the lines that show it.",
            unsaid.join(", ")
        )
    })
}
