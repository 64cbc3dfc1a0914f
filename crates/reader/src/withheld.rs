//! Removes a fix from a finding if the fix must not be shown as a suggestion. The reason becomes the last
//! paragraph of the finding's body.

use truing_core::finding::{FindingSource, RawFinding};

use crate::bounds::MAX_BODY_BYTES;

/// Reason why the fix of a tool or a rule is not shown as a suggestion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WithheldFix {
    /// The tool calls the fix unsafe, or never applies the fix by default.
    Unsafe,
    /// The output does not state which fixes are safe.
    UnknownSafety,
    /// The fix would add syntax errors to the file, or change the syntax of the surrounding code.
    FailedValidation,
    /// The lines of a rule's fix contain a secret.
    Secret,
}

impl WithheldFix {
    const OF_TOOLS: [Self; 3] = [Self::Unsafe, Self::UnknownSafety, Self::FailedValidation];
    const OF_RULES: [Self; 1] = [Self::Secret];

    /// Parses the reason in the last paragraph of the finding's body. Returns `None` if the paragraph
    /// contains no reason.
    pub fn from_finding(raw: &RawFinding) -> Option<Self> {
        let is_it = |reason: &Self| raw.body.ends_with(reason.render_paragraph());
        let reasons: &[Self] = match raw.source {
            FindingSource::Tool => &Self::OF_TOOLS,
            FindingSource::Rule => &Self::OF_RULES,
            FindingSource::Agent => &[],
        };
        if raw.suggestion.is_none() { reasons.iter().copied().find(is_it) } else { None }
    }

    /// Returns the reason as text for people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unsafe => "the tool does not mark the fix as safe",
            Self::UnknownSafety => "the tool's output does not say whether the fix is safe",
            Self::FailedValidation => {
                "with the fix, the file would not parse, or the surrounding code would change"
            }
            Self::Secret => "the line contains a secret",
        }
    }

    fn render_paragraph(self) -> &'static str {
        match self {
            Self::Unsafe => "The tool offers a fix, but does not mark the fix as safe.",
            Self::UnknownSafety => {
                "The tool offers a fix, but the tool's output does not say whether the fix is safe."
            }
            Self::FailedValidation => {
                "The tool offers a fix, but Truing could not prove that the fix leaves the \
                surrounding code unchanged."
            }
            Self::Secret => "Truing has a fix, but does not show it, because the line contains a secret.",
        }
    }

    /// Removes the suggestion from a finding. Appends the reason to the finding's body if the body has room.
    pub(crate) fn withhold_suggestion(self, mut raw: RawFinding) -> RawFinding {
        raw.suggestion = None;
        let paragraph = self.render_paragraph();
        if raw.body.len() + paragraph.len() + 2 <= MAX_BODY_BYTES && !raw.body.ends_with(paragraph) {
            if !raw.body.is_empty() {
                raw.body.push_str("\n\n");
            }
            raw.body.push_str(paragraph);
        }
        raw
    }
}
