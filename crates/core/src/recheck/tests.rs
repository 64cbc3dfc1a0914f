//! What becomes of findings that nobody met again.

use super::*;
use crate::finding::{AnchorKind, Category, Severity};
use crate::id::Fingerprint;

fn of_a_rule(rule: &str) -> Finding {
    let place = Place { path: "a.py".into(), side: Side::New, start_line: 1, end_line: 1 };
    let raw = RawFinding {
        place: place.clone(),
        severity: Severity::P1,
        category: Category::F,
        rule: rule.into(),
        title: "t".into(),
        body: "b".into(),
        snippet: "x".into(),
        suggestion: None,
        source: Source::Rule,
    };
    Finding {
        id: FindingId::new(rule.to_owned()),
        fingerprint: Fingerprint::new("1:00".to_owned()),
        raw,
        old_path: None,
        anchor: AnchorKind::Inline,
        at: place,
        status: FindingStatus::Open,
        around: None,
        unverified: None,
        seen_on: Vec::new(),
        evidence: None,
    }
}

#[test]
fn a_finding_of_a_rule_that_did_not_look_is_not_called_fixed() {
    let known = [of_a_rule("core/used"), of_a_rule("core/off")];
    let head = Sha::parse(&"a".repeat(40)).unwrap();
    let settled = |rules: &[&str]| {
        let mut gone = known.clone();
        gone.iter_mut().for_each(|finding| finding.status = FindingStatus::Fixed(head.clone()));
        let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
        Rechecked { rules, ..Rechecked::default() }.settle(&mut gone, &known, &head);
        gone.map(|finding| finding.status)
    };
    let fixed = FindingStatus::Fixed(head.clone());
    assert_eq!(settled(&["core/used"]), [fixed.clone(), FindingStatus::Outside]);
    // A reader that does not say what looked.
    assert_eq!(settled(&[]), [fixed.clone(), fixed]);
}
