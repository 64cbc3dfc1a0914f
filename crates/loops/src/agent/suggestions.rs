//! The parts of a model's review besides findings: replacements of lines, and a walkthrough of the change. A
//! replacement is verified at each head before a comment offers it.

use std::collections::BTreeSet;
use std::path::Path;

use truing_agent::schema::{self, ReportedWalkthroughLine};
use truing_core::finding::{AnchorKind, DiffSide, FindingSource, RawFinding};
use truing_core::identity::PlacedFinding;
use truing_core::markdown;
use truing_core::outcome::{ReviewCoverage, WalkthroughLine};
use truing_core::port::{ReplacementCheckRequest, ReplacementProposal, RepositoryReader};
use truing_diff::RepoPath;
use truing_reader::FileTree;
use truing_reader::redact::FileSecrets;

/// Verifies the replacements that models propose, including those of earlier reviews. If verification fails,
/// the replacement becomes text in the finding's body. Verification fails if the diff does not show the
/// lines, if forges cannot apply the replacement, or if the replacement changes other lines. If the reader
/// fails, all replacements become text.
pub(super) async fn check_suggestions(
    tree: &Path,
    reader: &dyn RepositoryReader,
    findings: &mut [PlacedFinding],
) {
    let (mut asked, mut proposals) = (Vec::new(), Vec::new());
    for (at, placed) in findings.iter().enumerate().filter(|(_, placed)| is_suggestion_publishable(placed)) {
        if let Some(proposal) = ReplacementProposal::from_finding(&placed.raw) {
            asked.push(at);
            proposals.push(proposal);
        }
    }
    let proven = if proposals.is_empty() {
        Vec::new()
    } else {
        let request = ReplacementCheckRequest { tree: tree.to_owned(), proposals };
        reader.verify_replacements(&request).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not verify the replacements that a model proposed; the \
                replacements are shown as text");
            Vec::new()
        })
    };
    let proven: BTreeSet<usize> =
        asked.into_iter().zip(proven).filter(|(_, is_proven)| *is_proven).map(|(at, _)| at).collect();
    for (_, placed) in findings.iter_mut().enumerate().filter(|(at, _)| !proven.contains(at)) {
        if let RawFinding { source: FindingSource::Agent, suggestion: Some(proposed), .. } = &placed.raw {
            let shown = schema::truncate_replacement(&proposed.replacement);
            placed.raw = placed.raw.clone().with_unproven_suggestion(&shown);
        }
    }
}

/// True if a comment on exactly the replaced lines can contain the model's replacement as a suggestion that
/// forges can apply.
fn is_suggestion_publishable(placed: &PlacedFinding) -> bool {
    let PlacedFinding { raw, anchor, comment_location: at, .. } = placed;
    let is_placed = *anchor == AnchorKind::Inline && *at == raw.location && at.side == DiffSide::New;
    let is_of_a_form = |proposed: &str| markdown::suggestion_block(proposed).is_some();
    raw.source == FindingSource::Agent
        && is_placed
        && raw.suggestion.as_ref().is_some_and(|proposed| is_of_a_form(&proposed.replacement))
}

/// Returns the lines of all reviewers' walkthroughs, in the order of the reviewers. Only lines about files of
/// the change are returned. Secrets are removed from the lines.
pub(super) fn collect_walkthrough<'a>(
    reported: impl Iterator<Item = &'a ReportedWalkthroughLine>,
    tree: &Path,
    coverage: &ReviewCoverage,
) -> Vec<WalkthroughLine> {
    let reported: Vec<ReportedWalkthroughLine> = reported.cloned().collect();
    let left = coverage.not_reviewed.iter().map(|gap| &gap.path);
    let changed: BTreeSet<&RepoPath> = coverage.reviewed.iter().chain(left).collect();
    let lines = schema::walkthrough::walkthrough_lines(&reported, |path| changed.contains(path));
    let files = if lines.is_empty() { None } else { FileTree::open(tree).ok() };
    let quoted = |path: &RepoPath| files.as_ref()?.read_text(path).map(|text| FileSecrets::from_text(&text));
    let hidden = |line: WalkthroughLine| {
        let text = quoted(&line.path).unwrap_or_default().hide_secrets(&line.text);
        WalkthroughLine { text, ..line }
    };
    lines.into_iter().map(hidden).collect()
}

#[cfg(test)]
mod tests {
    use truing_core::finding::{CodeLocation, DefectCategory, Severity, SuggestedFix};
    use truing_core::identity::FindingFacts;
    use truing_core::outcome::{CoverageGap, SkipReason};
    use truing_reader::InProcessReader;

    use super::*;
    use truing_core::code_digest::CodeDigests;

    const TEXT: &str = "def f(a):\n    if a:\n        return 1\n    return 2\n";

    fn placed_finding(line: u32, replacement: &str) -> PlacedFinding {
        let place =
            CodeLocation { path: "a.py".into(), side: DiffSide::New, start_line: line, end_line: line };
        let raw = RawFinding {
            location: place.clone(),
            severity: Severity::P1,
            category: DefectCategory::F,
            rule: "agent/silent-failure".into(),
            title: "It is wrong".into(),
            body: "Say why.".into(),
            snippet: TEXT.lines().nth(line as usize - 1).unwrap_or_default().into(),
            code: CodeDigests::default(),
            suggestion: Some(SuggestedFix { replacement: replacement.into() }),
            source: FindingSource::Agent,
            specialists: Vec::new(),
        };
        PlacedFinding {
            raw,
            anchor: AnchorKind::Inline,
            comment_location: place,
            old_path: None,
            sighting: FindingFacts::default(),
        }
    }

    async fn checked_finding(mut placed: PlacedFinding) -> RawFinding {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.py"), TEXT).unwrap();
        check_suggestions(folder.path(), &InProcessReader::new().unwrap(), std::slice::from_mut(&mut placed))
            .await;
        placed.raw
    }

    #[tokio::test]
    async fn a_proven_replacement_stays_and_another_one_is_text() {
        let raw = checked_finding(placed_finding(3, "        return 3")).await;
        assert_eq!(raw.suggestion, Some(SuggestedFix { replacement: "        return 3".into() }));
        assert_eq!(raw.body, "Say why.");
        let raw = checked_finding(placed_finding(3, "    return 3")).await;
        assert_eq!(raw.suggestion, None);
        let text =
            "Say why.\n\nProposed replacement, which Truing has not verified:\n\n```\n    return 3\n```";
        assert_eq!((raw.body.as_str(), raw.body_without_suggestion()), (text, "Say why."));
    }

    #[tokio::test]
    async fn what_no_comment_could_offer_is_text_though_it_fits() {
        let off = |change: &dyn Fn(&mut PlacedFinding)| {
            let mut placed = placed_finding(3, "        return 3");
            change(&mut placed);
            placed
        };
        for placed in [
            off(&|placed| placed.anchor = AnchorKind::File),
            off(&|placed| placed.anchor = AnchorKind::Summary),
            off(&|placed| placed.comment_location.start_line = 2),
            placed_finding(3, "        return 3  # <!-- truing:1 summary -->"),
            placed_finding(3, "        return '''\n/approve\n'''"),
        ] {
            let raw = checked_finding(placed).await;
            assert_eq!(raw.suggestion, None, "{raw:?}");
            assert!(raw.body.contains("which Truing has not verified"), "{raw:?}");
        }
    }

    #[tokio::test]
    async fn without_a_reader_nothing_is_proven_and_rules_are_not_asked_again() {
        let mut found = [placed_finding(3, "        return 3"), placed_finding(4, "    return 3")];
        found[1].raw.source = FindingSource::Rule;
        check_suggestions(Path::new("/nowhere"), &InProcessReader::new().unwrap(), &mut found).await;
        assert_eq!(found.map(|placed| placed.raw.suggestion.is_some()), [false, true]);
    }

    #[test]
    fn a_walkthrough_is_of_files_of_the_change_and_quotes_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let key = ["AKIA", "73U55XTPLPFT7V4S"].concat();
        std::fs::write(folder.path().join("a.py"), format!("KEY = \"{key}\"\n")).unwrap();
        let said = [("a.py", format!("Sets {key}.")), ("gone.py", "Removed.".into()), ("c.py", "?".into())];
        let said = said.map(|(path, text)| ReportedWalkthroughLine { path: path.into(), text });
        let gone = CoverageGap { path: "gone.py".into(), reason: SkipReason::Deleted };
        let coverage = ReviewCoverage {
            reviewed: vec!["a.py".into()],
            not_reviewed: vec![gone],
            ..ReviewCoverage::default()
        };
        let lines = collect_walkthrough(said.iter(), folder.path(), &coverage);
        let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(lines, ["Sets AKIA….", "Removed."]);
    }
}
