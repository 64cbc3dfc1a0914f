//! Lists the changed files that a local review did not read, and the files with too many findings.

use truing_config::REPOSITORY_FILE;
use truing_core::outcome::{CoverageGap, ReviewCoverage, SkipReason};
use truing_git::options::MAX_FILE_BYTES;

use crate::cli::review::text::visible_text;

/// Maximum number of unread files that are listed. Further files are only counted.
const MAX_LISTED_FILES: usize = 5;

/// Returns the lines that name the unread files and the files with too many findings.
pub(super) fn render_coverage_problems(coverage: &ReviewCoverage) -> Vec<String> {
    [render_unreviewed(coverage), render_files_over_limit(coverage), too_large_hint(&coverage.not_reviewed)]
        .into_iter()
        .flatten()
        .collect()
}

/// Lists files that were not reviewed. Files that should have been reviewed are listed first.
fn render_unreviewed(coverage: &ReviewCoverage) -> Option<String> {
    let (by_design, missing): (Vec<_>, Vec<_>) =
        coverage.unread_files().partition(|gap| gap.reason.is_by_design());
    let all = by_design.len() + missing.len();
    let listed: Vec<String> = missing
        .iter()
        .chain(&by_design)
        .take(MAX_LISTED_FILES)
        .map(|gap| {
            format!("{} ({})", visible_text(&gap.path.to_string()), gap.reason.as_str().replace('_', " "))
        })
        .collect();
    let more = all - listed.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!listed.is_empty()).then(|| format!("not reviewed: {}{more}", listed.join(", ")))
}

/// Lists files with more findings than the maximum for one file.
fn render_files_over_limit(coverage: &ReviewCoverage) -> Option<String> {
    let paths: Vec<String> =
        coverage.files_with_dropped_findings().map(|path| visible_text(&path.to_string())).collect();
    let (listed, more) = paths.split_at(paths.len().min(MAX_LISTED_FILES));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let listed = listed.join(", ");
    (!paths.is_empty()).then(|| {
        format!("only the worst findings are shown for files with too many findings: {listed}{more}")
    })
}

/// Returns a hint for files that are too large. Such files make a review incomplete, although no error
/// occurred.
fn too_large_hint(unreviewed_files: &[CoverageGap]) -> Option<String> {
    let is_too_much = |gap: &CoverageGap| matches!(gap.reason, SkipReason::TooLarge | SkipReason::TooComplex);
    unreviewed_files.iter().any(is_too_much).then(|| {
        format!(
            "a file is too large (over {} MiB) or too complex to parse: list the file under rules.ignore \
                in {REPOSITORY_FILE}, or accept a partial review: --allow-partial",
            MAX_FILE_BYTES >> 20
        )
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn coverage(gaps: &[CoverageGap]) -> ReviewCoverage {
        ReviewCoverage { not_reviewed: gaps.to_vec(), ..ReviewCoverage::default() }
    }

    #[test]
    fn a_file_with_more_findings_than_are_kept_counts_as_reviewed() {
        let cut = CoverageGap { path: "a.js".into(), reason: SkipReason::MoreFindings };
        assert_eq!(
            render_coverage_problems(&coverage(&[cut])),
            ["only the worst findings are shown for files with too many findings: a.js"]
        );
    }

    #[test]
    fn many_files_that_were_not_reviewed_are_counted_and_those_that_are_missing_come_first() {
        let mut all: Vec<CoverageGap> = (0..7)
            .map(|number| CoverageGap {
                path: format!("{number}.png").as_str().into(),
                reason: SkipReason::Binary,
            })
            .collect();
        all.push(CoverageGap { path: "z\n.txt".into(), reason: SkipReason::TooLarge });
        assert_snapshot!(render_unreviewed(&coverage(&all)).unwrap(),
            @r#"not reviewed: "z\n.txt" (too large), 0.png (binary), 1.png (binary), 2.png (binary), 3.png (binary) and 3 more"#);
        assert_eq!(render_unreviewed(&coverage(&[])), None);
    }
}
