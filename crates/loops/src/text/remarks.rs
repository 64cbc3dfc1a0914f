//! Remarks on a review: sentences about the model and the linters. They are not findings.

use std::collections::BTreeMap;

use truing_core::line::{clean_line, format_count};
use truing_core::outcome::{ModelMemory, ReviewCoverage, ReviewRecord};

use super::MAX_TOOL_NAME_CHARS;

/// Maximum number of denied tools that are listed.
const MAX_LISTED_DENIED_TOOLS: usize = 10;
/// Maximum number of files in a remark about files that Truing cannot pass to a linter. Further files are
/// only counted.
const MAX_LISTED_UNLINTED_FILES: usize = 10;
/// Maximum number of kinds of files in a remark about files that no linter checked.
const MAX_LISTED_FILE_KINDS: usize = 8;
/// Maximum number of characters of a listed path.
const MAX_PATH_CHARS: usize = 200;

/// Returns the remarks on a review. Remarks about the model list the repository's instructions that the model
/// read, ignored memory and skills, and denied tool calls. Remarks about linters list linters that did not
/// run, that skipped files, that ran in another version than the repository pins, or that used the
/// configuration of the base.
pub fn collect_remarks(record: &ReviewRecord) -> Vec<String> {
    let memory = record.detail.model_review.as_ref().and_then(|modelled| modelled.memory.as_ref());
    let memory = memory.into_iter().flat_map(|ModelMemory { repository_content: own, notes, .. }| {
        let own = own.iter().map(|own| format!("the model received the repository's {own}"));
        own.chain(notes.iter().cloned())
    });
    let skipped = record.detail.tools.iter().filter_map(|tool| {
        let name = clean_line(&tool.name, MAX_TOOL_NAME_CHARS);
        Some(format!("{name} did not run: {}", tool.skip_reason.as_ref()?))
    });
    let versions = record.detail.tools.iter().filter_map(|tool| tool.version_note.clone());
    let kept_open = record.detail.tools.iter().filter_map(|tool| {
        let (name, reason) = (clean_line(&tool.name, MAX_TOOL_NAME_CHARS), tool.keeps_open.as_ref()?);
        // Findings of a failed linter also stay open, but the review's outcome already contains the reason.
        tool.failure_reason.is_none().then(|| format!("earlier findings of {name} stay open: {reason}"))
    });
    let unlinted = record.detail.tools.iter().filter(|tool| !tool.unlinted.is_empty()).map(|tool| {
        let name = clean_line(&tool.name, MAX_TOOL_NAME_CHARS);
        let paths = tool
            .unlinted
            .iter()
            .take(MAX_LISTED_UNLINTED_FILES)
            .map(|path| clean_line(&path.to_string(), MAX_PATH_CHARS));
        let paths = paths.collect::<Vec<_>>().join(", ");
        let files = format_count(tool.unlinted.len(), "file");
        format!("{name} did not check {files} with names that are not UTF-8: {paths}")
    });
    let of_base = record.detail.tools.iter().filter(|tool| !tool.base_configuration.is_empty()).map(|tool| {
        let (name, paths) = (clean_line(&tool.name, MAX_TOOL_NAME_CHARS), &tool.base_configuration);
        let named = paths
            .iter()
            .take(MAX_LISTED_UNLINTED_FILES)
            .map(|path| clean_line(&path.to_string(), MAX_PATH_CHARS));
        let named = named.collect::<Vec<_>>().join(", ");
        format!("{name} ran with the configuration of the base, because this change modifies {named}")
    });
    let outdated = (record.detail.outdated_dismissals > 0).then(|| {
        let dismissals = format_count(record.detail.outdated_dismissals as usize, "earlier dismissal");
        format!(
            "in lines where a secret may have changed, {dismissals} can no longer be applied: check these \
            lines again"
        )
    });
    memory
        .chain(denied_calls_remark(record))
        .chain(unchecked_files_remark(&record.detail.coverage))
        .chain(skipped)
        .chain(versions)
        .chain(of_base)
        .chain(kept_open)
        .chain(unlinted)
        .chain(outdated)
        .collect()
}

/// Counts the files that no linter checked, by the endings of their names. `None` if linters checked all
/// files, or if the review used no linters.
fn unchecked_files_remark(coverage: &ReviewCoverage) -> Option<String> {
    let unchecked = coverage.without_linter.as_ref().filter(|paths| !paths.is_empty())?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for path in unchecked {
        let text = path.to_string();
        let name = text.rsplit('/').next().unwrap_or_default();
        let kind = match name.rsplit_once('.') {
            Some((_, ending)) => format!("*.{ending}"),
            None => name.to_owned(),
        };
        *counts.entry(clean_line(&kind, MAX_PATH_CHARS)).or_default() += 1;
    }
    let mut kinds: Vec<(usize, String)> = counts.into_iter().map(|(kind, count)| (count, kind)).collect();
    kinds.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let left_out = kinds.len().saturating_sub(MAX_LISTED_FILE_KINDS);
    let mut listed: Vec<String> = kinds
        .into_iter()
        .take(MAX_LISTED_FILE_KINDS)
        .map(|(count, kind)| if count == 1 { kind } else { format!("{kind} ({count})") })
        .collect();
    listed.extend((left_out > 0).then(|| format!("{left_out} more kinds")));
    let files = format_count(coverage.reviewed.len(), "file");
    Some(format!("no linter checked {} of {files}: {}", unchecked.len(), listed.join(", ")))
}

/// Counts the model's denied tool calls in one sentence, by tool.
fn denied_calls_remark(record: &ReviewRecord) -> Option<String> {
    let denials = &record.detail.model_review.as_ref()?.denials;
    let all: u32 = denials.values().fold(0, |sum, count| sum.saturating_add(*count));
    let named = denials
        .iter()
        .take(MAX_LISTED_DENIED_TOOLS)
        .map(|(name, count)| format!("{} ({count})", clean_line(name, MAX_TOOL_NAME_CHARS)));
    let mut named: Vec<String> = named.collect();
    named.extend(
        (denials.len() > MAX_LISTED_DENIED_TOOLS)
            .then(|| format!("{} more", denials.len() - MAX_LISTED_DENIED_TOOLS)),
    );
    let calls = format_count(all as usize, "call");
    (all > 0).then(|| format!("the model was denied {calls} of tools: {}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use truing_core::id::{RunId, Sha, SlotKey, UnixMillis};
    use truing_core::outcome::{ModelReviewDetail, ReviewCoverage, ReviewDetail, ReviewOutcome};

    use super::*;

    #[test]
    fn denied_calls_are_named_by_tool_and_bounded() {
        let sha = Sha::parse(&"a".repeat(40)).unwrap();
        let remark = |denials: &[(&str, u32)]| {
            let mut detail = ReviewDetail::new(
                Some(sha.clone()),
                sha.clone(),
                ReviewOutcome::from_rules_coverage(&ReviewCoverage::default()),
            );
            let denials = denials.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            detail.model_review = Some(ModelReviewDetail { denials, ..ModelReviewDetail::default() });
            collect_remarks(&ReviewRecord::new(RunId::new("r"), SlotKey::new("k"), detail, UnixMillis(0)))
        };
        assert_eq!(remark(&[]), [""; 0]);
        assert_eq!(
            remark(&[("bash", 3), ("run", 1)]),
            ["the model was denied 4 calls of tools: bash (3), run (1)"]
        );
        let names: Vec<String> = (10..22).map(|number| format!("t{number}")).collect();
        let many: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        assert!(remark(&many)[0].ends_with("t19 (1), 2 more"), "{:?}", remark(&many));
    }
}
