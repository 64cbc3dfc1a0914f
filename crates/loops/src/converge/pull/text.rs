//! Renders the comments about a finding, and the answers to it. The texts of the model in these comments are
//! untrusted data.

use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeLogLine, FixerVerdict};
use truing_core::finding::{DefectCategory, Finding};
use truing_core::id::Sha;
use truing_core::{line, markdown};

use super::super::run_texts::{line_origin, short_sha};
use super::{FIX_REPORT_PREFIX, MAX_LINE_CHARS};

/// Renders the comment about a finding. The finding's texts come from a model and are data.
pub(super) fn render_comment(record: &ConvergeRecord, finding: &Finding) -> String {
    let raw = &finding.raw;
    let origin = line_origin(record, finding).map(|words| format!(" — {words}")).unwrap_or_default();
    format!(
        "**[{}] {}**\nCategory: {:?} ({}){origin}\n\n{}\n\n_From converge: audit of loop {}._",
        raw.severity.as_str(),
        markdown::render_title(&line::clean_line(&raw.title, MAX_LINE_CHARS)),
        raw.category,
        category_name(raw.category),
        markdown::sanitize_markdown(&raw.body),
        record.detail.state.audit_count,
    )
}

pub(super) fn render_finding_line(record: &ConvergeRecord, finding: &Finding) -> String {
    let raw = &finding.raw;
    let first = raw.body.lines().next().unwrap_or_default();
    let origin = line_origin(record, finding).map(|words| format!(" ({words})")).unwrap_or_default();
    format!(
        "**[{}] {}** — {}{origin} — {}",
        raw.severity.as_str(),
        markdown::render_title(&line::clean_line(&raw.title, MAX_LINE_CHARS)),
        finding_place(finding),
        markdown::escape_text(&line::clean_line(first, MAX_LINE_CHARS))
    )
}

pub(super) fn finding_place(finding: &Finding) -> String {
    let place = &finding.raw.location;
    format!("{}:{}", markdown::code_span(&place.path.to_string()), place.start_line)
}

/// Returns the answer to a finding in this loop, and `true` if the finding is fixed.
pub(super) fn render_answer(record: &ConvergeRecord, finding: &Finding) -> (String, bool) {
    let state = &record.detail.state;
    if let Some(words) = &state.hook_message {
        let last = line::clean_line(words.lines().last().unwrap_or_default(), MAX_LINE_CHARS);
        return (format!("Hook blocked the fix commit: {}", markdown::escape_text(&last)), false);
    }
    // The pushed commit with the fixes of these findings. `None` if this loop pushed no fix: in this case,
    // the last log line does not report a fix.
    let pushed = match state.log.last() {
        Some(ConvergeLogLine::Fix { commit, .. }) => commit.as_ref(),
        Some(
            ConvergeLogLine::Audit { .. }
            | ConvergeLogLine::Feedback { .. }
            | ConvergeLogLine::GateFix { .. }
            | ConvergeLogLine::HeadChange { .. },
        )
        | None => None,
    };
    match (state.fixer_verdicts.get(&finding.id), pushed) {
        (Some(FixerVerdict::Fixed), Some(commit)) => (fixed_text(commit), true),
        (Some(FixerVerdict::Declined(reason)), _) => {
            let reason = markdown::escape_text(&line::clean_line(reason, MAX_LINE_CHARS));
            (format!("Could not address this loop: {reason}"), false)
        }
        (Some(FixerVerdict::Fixed), None) => {
            ("Could not address this loop: nothing was changed".to_owned(), false)
        }
        (None, _) => {
            ("Could not address this loop: the fixer did not report on the finding".to_owned(), false)
        }
    }
}

pub(super) fn fixed_text(commit: &Sha) -> String {
    format!("{FIX_REPORT_PREFIX} in {}", short_sha(commit))
}

/// Describes a category in words.
fn category_name(category: DefectCategory) -> &'static str {
    match category {
        DefectCategory::A => "API contract verification",
        DefectCategory::B => "Selector, query and engine compatibility",
        DefectCategory::C => "Resource cleanup and lifecycle",
        DefectCategory::D => "Variable scoping, ordering, unbound references",
        DefectCategory::E => "Dead code",
        DefectCategory::F => "Silent failures",
        DefectCategory::G => "Off-by-one, bounds, integer overflow",
        DefectCategory::H => "Security boundaries",
        DefectCategory::I => "Concurrency hazards",
        DefectCategory::J => "Magic values, configuration drift, code rules",
    }
}
