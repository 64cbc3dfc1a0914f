//! Tests the status of a known finding that the current review does not report.

mod simulation;
mod unchanged;

use std::collections::BTreeSet;

use truing_core::RepoPath;
use truing_core::code_digest::CodeDigests;
use truing_core::finding::{
    AnchorKind, CodeLocation, DefectCategory, DiffSide, Finding, FindingSource, FindingStatus, RawFinding,
    Severity, SuggestedFix,
};
use truing_core::id::{FindingId, Fingerprint, Sha};
use truing_core::identity::{FindingFacts, PlacedFinding};
use truing_core::increment::FileRenames;
use truing_core::recheck::{AddedLines, HeadView, RecheckSummary, recheck};

fn rule_finding(rule: &str) -> Finding {
    let place = CodeLocation { path: "a.py".into(), side: DiffSide::New, start_line: 1, end_line: 1 };
    let raw = RawFinding {
        location: place.clone(),
        severity: Severity::P1,
        category: DefectCategory::F,
        rule: rule.into(),
        title: "t".into(),
        body: "b".into(),
        snippet: "x".into(),
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Rule,
        specialists: Vec::new(),
    };
    Finding {
        id: FindingId::new(rule.to_owned()),
        fingerprint: Fingerprint::new("1:00".to_owned()),
        raw,
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

#[test]
fn a_finding_of_a_tool_that_the_base_has_by_now_is_not_called_fixed() {
    let mut known = [rule_finding("ruff/E741"), rule_finding("ruff/F401")];
    for (finding, print) in known.iter_mut().zip(["1:01", "1:02"]) {
        finding.raw.source = FindingSource::Tool;
        finding.fingerprint = Fingerprint::new(print.to_owned());
    }
    let head = Sha::parse(&"a".repeat(40)).unwrap();
    let settled = |tools: &[&str]| {
        let mut gone = known.clone();
        gone.iter_mut().for_each(|finding| finding.status = FindingStatus::Fixed(head.clone()));
        let tools = tools.iter().map(|tool| (*tool).to_owned()).collect();
        let old = [Fingerprint::new("1:01".to_owned())].into();
        RecheckSummary { tools, base_fingerprints: old, ..RecheckSummary::default() }
            .update_statuses(&mut gone, &known, &head);
        gone.map(|finding| finding.status)
    };
    assert_eq!(settled(&["ruff"]), [FindingStatus::OutOfScope, FindingStatus::Fixed(head.clone())]);
    assert_eq!(settled(&[]), [FindingStatus::Open, FindingStatus::Open]);
}

#[test]
fn a_finding_of_a_tool_is_not_called_fixed_where_its_lines_are_as_they_were() {
    let at = |line| CodeLocation { start_line: line, end_line: line, ..rule_finding("").raw.location };
    let known = |snippet: &str| {
        let mut finding = rule_finding("ruff/F401");
        (finding.raw.source, finding.raw.snippet) = (FindingSource::Tool, snippet.to_owned());
        finding
    };
    let place = |raw: RawFinding| PlacedFinding {
        comment_location: raw.location.clone(),
        raw,
        anchor: AnchorKind::Inline,
        old_path: None,
        sighting: FindingFacts::default(),
    };
    for (text, reported, expected) in [
        ("import os\nprint()\n", None, true),
        ("import os  # noqa: F401\nprint()\n", None, true),
        ("import sys\nprint()\n", None, false),
        ("print()\n", None, false),
        // One of two equal lines was removed; the review reports the finding on the other line.
        ("print()\nimport os\n", Some(2), false),
    ] {
        let known = [known("import os")];
        let path = known[0].raw.location.path.clone();
        let (paths, renames) = ([path.clone()], FileRenames::default());
        let added = [(path, vec![(1, u32::MAX)])].into();
        let head =
            HeadView::new(|_: &RepoPath| Some(text.to_owned()), &paths, added, BTreeSet::new(), &renames);
        let raw = |line| RawFinding { location: at(line), ..known[0].raw.clone() };
        let mut found: Vec<PlacedFinding> = reported.map(raw).map(place).into_iter().collect();
        let rechecked = recheck(&known, &mut found, &[], &head, place);
        assert_eq!(rechecked.unreported.contains(&known[0].id), expected, "{text}");

        let head = Sha::parse(&"a".repeat(40)).unwrap();
        let mut gone = known.clone();
        gone[0].status = FindingStatus::Fixed(head.clone());
        RecheckSummary { tools: ["ruff".to_owned()].into(), ..rechecked }
            .update_statuses(&mut gone, &known, &head);
        assert_eq!(gone[0].status == FindingStatus::OutOfScope, expected, "{text}");
    }
}

#[test]
fn a_finding_of_a_rule_that_did_not_look_is_not_called_fixed() {
    let known = [rule_finding("core/used"), rule_finding("core/off")];
    let head = Sha::parse(&"a".repeat(40)).unwrap();
    let settled = |rules: &[&str]| {
        let mut gone = known.clone();
        gone.iter_mut().for_each(|finding| finding.status = FindingStatus::Fixed(head.clone()));
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        RecheckSummary { applied_rules: rules, ..RecheckSummary::default() }
            .update_statuses(&mut gone, &known, &head);
        gone.map(|finding| finding.status)
    };
    let fixed = FindingStatus::Fixed(head.clone());
    assert_eq!(settled(&["core/used"]), [fixed.clone(), FindingStatus::OutOfScope]);
    // Without a list of the rules that ran, an unreported finding counts as fixed.
    assert_eq!(settled(&[]), [fixed.clone(), fixed]);
}

#[test]
fn a_finding_of_a_rule_that_is_off_leaves_the_review_and_is_not_called_fixed() {
    let mut known = [
        rule_finding("core/off"),
        rule_finding("core/used"),
        rule_finding("ruff/E501"),
        rule_finding("ruff/F401"),
    ];
    known[2].raw.source = FindingSource::Tool;
    known[3].raw.source = FindingSource::Tool;
    let head = Sha::parse(&"a".repeat(40)).unwrap();
    let fixed = FindingStatus::Fixed(head.clone());
    let off: BTreeSet<String> = ["core/off", "ruff/E501"].map(str::to_owned).into();
    for (rules, tools, of_others) in
        [(vec!["core/used"], vec!["ruff"], &fixed), (vec![], vec![], &known[3].status)]
    {
        let mut gone = known.clone();
        gone.iter_mut().for_each(|finding| finding.status = fixed.clone());
        let rules = rules.into_iter().map(str::to_owned).collect();
        let tools = tools.into_iter().map(str::to_owned).collect();
        RecheckSummary {
            applied_rules: rules,
            tools,
            disabled_rules: off.clone(),
            ..RecheckSummary::default()
        }
        .update_statuses(&mut gone, &known, &head);
        let expected =
            [FindingStatus::OutOfScope, fixed.clone(), FindingStatus::OutOfScope, of_others.clone()];
        assert_eq!(gone.map(|finding| finding.status), expected);
    }
    // A finding that is not open keeps its status.
    let mut known = [rule_finding("ruff/E501")];
    known[0].raw.source = FindingSource::Tool;
    known[0].status = FindingStatus::Fixed(head.clone());
    let mut gone = known.clone();
    RecheckSummary { disabled_rules: off, ..RecheckSummary::default() }
        .update_statuses(&mut gone, &known, &head);
    assert_eq!(gone[0].status, fixed);
}

#[test]
fn a_finding_that_is_left_to_a_linter_is_not_called_fixed_and_one_of_another_file_is() {
    let mut known = [rule_finding("core/left"), rule_finding("core/left"), rule_finding("core/other")];
    known[1].raw.location.path = "elsewhere.py".into();
    let head = Sha::parse(&"a".repeat(40)).unwrap();
    let mut gone = known.clone();
    gone.iter_mut().for_each(|finding| finding.status = FindingStatus::Fixed(head.clone()));
    let left_to_linters = [("core/left".to_owned(), known[0].raw.location.path.clone())].into();
    RecheckSummary { rules_replaced_by_linters: left_to_linters, ..RecheckSummary::default() }
        .update_statuses(&mut gone, &known, &head);
    let fixed = FindingStatus::Fixed(head);
    assert_eq!(gone.map(|finding| finding.status), [FindingStatus::OutOfScope, fixed.clone(), fixed]);
}

const BEFORE: &str = "def head():
    return 1


def one():
    return 2


def refund(orders):
    total = 0
    for order in orders:
        if order.refunded:
            return total
        total += order.amount
    return total
";

/// Returns the lines to which a finding without a verdict has moved in a new text of its file. In the old
/// text, the finding is on lines 12 and 13.
fn followed_lines(before: &str, text: &str) -> (u32, u32) {
    let raw = finding_with_replacement(before, text);
    (raw.location.start_line, raw.location.end_line)
}

/// Returns the finding of `followed_lines` after the move, with a proposed replacement of the finding's
/// lines.
fn finding_with_replacement(before: &str, text: &str) -> RawFinding {
    let (paths, renames) = ([RepoPath::from("pay.py")], FileRenames::default());
    let lines = (12, 13);
    let mut finding = rule_finding("agent/f");
    finding.raw.source = FindingSource::Agent;
    finding.raw.snippet = "        if order.refunded:\n            return total".into();
    finding.raw.suggestion = Some(SuggestedFix { replacement: "        break".into() });
    finding.raw.location =
        CodeLocation { path: paths[0].clone(), side: DiffSide::New, start_line: lines.0, end_line: lines.1 };
    let added: AddedLines = [(paths[0].clone(), vec![(7, u32::MAX)])].into();
    let head = |text: &str| {
        let text = text.to_owned();
        HeadView::new(
            move |_: &RepoPath| Some(text.clone()),
            &paths,
            added.clone(),
            BTreeSet::new(),
            &renames,
        )
    };
    finding.surrounding_lines = head(before).lines_around(&paths[0], lines, &finding.raw.snippet);
    let place = |raw: RawFinding| PlacedFinding {
        comment_location: raw.location.clone(),
        raw,
        anchor: AnchorKind::Inline,
        old_path: None,
        sighting: FindingFacts::default(),
    };
    let mut found = Vec::new();
    recheck(&[finding], &mut found, &[], &head(text), place);
    assert_eq!(found.len(), 1, "{text}");
    found.remove(0).raw
}

#[test]
fn a_replacement_goes_with_its_lines_and_not_with_those_that_took_their_place() {
    let moved = BEFORE.replace("def refund", "import os\n\n\ndef refund");
    for (text, stays) in [
        (BEFORE.to_owned(), true),
        (moved, true),
        (BEFORE.replace("        if order.refunded:\n", "        if order.refunded is True:\n"), false),
        (BEFORE.replace("        if order.refunded:\n", ""), false),
    ] {
        assert_eq!(finding_with_replacement(BEFORE, &text).suggestion.is_some(), stays, "{text}");
    }
}

#[test]
fn a_finding_is_shown_at_its_own_lines_where_those_beside_it_changed_with_them() {
    let shown = |text: &str| followed_lines(BEFORE, text);
    assert_eq!(shown(BEFORE), (12, 13));
    let renamed = BEFORE.replace("order", "one_order").replace("one_orders", "orders");
    assert_eq!(shown(&renamed), (12, 13), "one line is as it was, those above and below are not");
    // In this text, the last line of the file differs from the second line of the finding.
    let before = BEFORE.replace("    return total\n", "    return round(total)\n");
    let before = before.replace("        return round(total)", "        return total");
    let other = before.replace("order", "one").replace("ones", "orders").replace("return total", "break");
    assert_eq!(followed_lines(&before, &other), (12, 13), "no line is as it was, and as many are there");
    let moved = renamed.replace("def refund", "import os\n\n\ndef refund");
    assert_eq!(shown(&moved), (15, 16), "it has moved, too");
    let longer = renamed.replace("        if one_", "        log(one_order)\n        if one_");
    assert_eq!(shown(&longer), (13, 14), "a line came above the one that is as it was");
    let gone = BEFORE.replace("        if order.refunded:\n", "");
    assert_eq!(shown(&gone), (12, 12), "its first line is gone");
    let wider = BEFORE.replace("            return total\n", "            log(order)\n            break\n");
    assert_eq!(shown(&wider), (12, 13), "its second line is two: as many are shown as it had");
}
