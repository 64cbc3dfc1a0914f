//! Tests of a fix after which findings remain open, and of hooks that still block.

use super::*;

#[test]
fn a_hook_may_block_each_fix_of_what_the_gate_says_once() {
    let mend = |seed| ConvergeEvent::GateFixFinished(Some(candidate(seed)));
    let (gate, blocked) =
        (|| ConvergeEvent::GateFinished(Some("style".into())), || ConvergeEvent::HookBlocked("E501".into()));
    let right = || ConvergeEvent::FixChecked(vec![]);
    let run = apply_events(new_run(ConvergeLimits::default()), [gate(), mend(2), right(), blocked()]);
    // The next fixer gets the gate's report and the hook's output.
    let run = apply_events(run, [gate()]);
    assert!(
        matches!(&run.next_action, ConvergeAction::Mend { output } if output.contains("style") && output.contains("E501"))
    );
    let run = apply_events(run, [mend(3), right(), ConvergeEvent::FixPushed]);
    let run = apply_events(run, [gate(), mend(4), right(), blocked(), gate()]);
    assert!(matches!(&run.next_action, ConvergeAction::Mend { .. }), "{:?}", run.next_action);
}

#[test]
fn small_findings_are_mended_once_and_then_left_if_they_do_not_block() {
    let limits = ConvergeLimits { min_blocking: Severity::P1, ..ConvergeLimits::default() };
    let p2 = |line| claim("src/a.py", line, DefectCategory::J, Severity::P2);
    let run = audit(new_run(limits), &[p2(3)]);
    assert_eq!(run.next_action, ConvergeAction::Fix { problems: vec![] });
    let done = audit(run_with_agreed_fix(run.clone(), 2), &[p2(8)]);
    assert_eq!((code(&done), done.audit_count), (Some(ConvergeExitCode::CleanButNotes), 2));
    let verdicts = verdict_for_all(&run, &FixerVerdict::Declined("taste".into()));
    let left = apply_events(
        run,
        [ConvergeEvent::FixFinished { verdicts, candidate: None }, ConvergeEvent::RepliesPosted],
    );
    assert_eq!(code(&left), Some(ConvergeExitCode::CleanButNotes));
    let run = audit(new_run(ConvergeLimits::default()), &[p2(3)]);
    let all = audit(run_with_agreed_fix(run, 2), &[p2(8)]);
    assert_eq!(all.next_action, ConvergeAction::Fix { problems: vec![] }, "by default everything blocks");
}

#[test]
fn what_was_declined_stays_open_though_nobody_finds_it_again() {
    let declines = |limits: ConvergeLimits, stands: bool| {
        let run = audit(new_run(limits), &[p1_finding(3), p1_finding(20)]);
        let mut verdicts = verdict_for_all(&run, &FixerVerdict::Fixed);
        let id = run.findings[1].id.clone();
        verdicts.insert(id.clone(), FixerVerdict::Declined("it is meant so".into()));
        let fix = ConvergeEvent::FixFinished { verdicts, candidate: Some(candidate(2)) };
        let run = apply_events(
            run,
            [
                fix,
                ConvergeEvent::FixChecked(vec![]),
                ConvergeEvent::FixPushed,
                ConvergeEvent::RepliesPosted,
                ConvergeEvent::GateFinished(None),
            ],
        );
        let standing = if stands { BTreeMap::from([(id, p1_finding(20).placed)]) } else { BTreeMap::new() };
        let answers = BTreeMap::from([(0, AuditorAnswer::Complete(vec![]))]);
        let (coverage, renames) = (ReviewCoverage::default(), FileRenames::default());
        apply_events(
            run,
            [
                ConvergeEvent::AuditFinished { answers, standing_findings: standing, coverage, renames },
                ConvergeEvent::FindingsPosted,
            ],
        )
    };
    let stuck = declines(ConvergeLimits::default(), true);
    assert_eq!(
        (code(&stuck), stuck.history.declined_findings().count()),
        (Some(ConvergeExitCode::Declined), 1)
    );
    let allowed = ConvergeLimits { allow_declined: true, ..ConvergeLimits::default() };
    assert_eq!(code(&declines(allowed, true)), Some(ConvergeExitCode::CleanButDeclined));
    assert_eq!(
        code(&declines(ConvergeLimits::default(), false)),
        Some(ConvergeExitCode::Clean),
        "its code is gone"
    );
}
