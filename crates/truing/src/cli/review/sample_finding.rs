//! Provides a sample finding for the tests of printed reviews.

use truing_core::code_digest::CodeDigests;
use truing_core::finding::{
    AnchorKind, CodeLocation, DefectCategory, DiffSide, Finding, FindingSource, FindingStatus, RawFinding,
    Severity, fingerprint,
};
use truing_core::id::FindingId;

/// Returns an open finding on one line.
pub(super) fn sample_finding(id: &str, path: &str, line: u32) -> Finding {
    let place = CodeLocation { path: path.into(), side: DiffSide::New, start_line: line, end_line: line };
    Finding {
        id: FindingId::new(id),
        fingerprint: fingerprint("core/x", &path.into(), id),
        raw: RawFinding {
            location: place.clone(),
            severity: Severity::P1,
            category: DefectCategory::F,
            rule: "core/x".into(),
            title: "Swallowed error".into(),
            body: "Say what happened.".into(),
            snippet: id.into(),
            code: CodeDigests::default(),
            suggestion: None,
            source: FindingSource::Rule,
            specialists: Vec::new(),
        },
        old_path: None,
        anchor: AnchorKind::Inline,
        comment_location: place,
        status: FindingStatus::Open,
        surrounding_lines: None,
        unverified: None,
        seen_on: Vec::new(),
        evidence: None,
    }
}
