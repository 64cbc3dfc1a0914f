//! Tests of other reviewers' findings and other users' pushes during a run.

use std::collections::BTreeMap;

use truing_core::converge::{
    AuditorFinding, ConvergeAction, ConvergeEvent, ConvergeExit, ConvergeExitCode, ConvergeLimits,
    ConvergeLogLine, ConvergeRun, FixerVerdict,
};
use truing_core::finding::FindingStatus;
use truing_core::increment::FileRenames;

use super::{
    apply_events, audit, candidate, code, is_expected_step, new_run, p1_finding, run_with_agreed_fix, sha,
    verdict_for_all,
};

fn claims_event(claims: &[AuditorFinding]) -> ConvergeEvent {
    ConvergeEvent::FeedbackReceived { findings: claims.to_vec(), renames: FileRenames::default() }
}

/// Reports findings of other reviewers to a run and returns the run. The run may already have converged.
fn run_with_other_claims(mut run: ConvergeRun, claims: &[AuditorFinding]) -> ConvergeRun {
    run.apply_event(claims_event(claims)).unwrap();
    run
}

fn converged(limits: ConvergeLimits) -> ConvergeRun {
    let run = audit(new_run(limits), &[]);
    assert_eq!(code(&run), Some(ConvergeExitCode::Clean));
    run
}

fn decline_all(run: ConvergeRun) -> ConvergeRun {
    let verdicts = verdict_for_all(&run, &FixerVerdict::Declined("it is meant so".into()));
    apply_events(
        run,
        [ConvergeEvent::FixFinished { verdicts, candidate: None }, ConvergeEvent::RepliesPosted],
    )
}

#[test]
fn what_others_find_is_fixed_and_then_audited_as_ever() {
    let run = run_with_other_claims(converged(ConvergeLimits::default()), &[p1_finding(3), p1_finding(20)]);
    assert_eq!((&run.exit, &run.next_action), (&None, &ConvergeAction::Fix { problems: vec![] }));
    let lines: Vec<u32> = run.findings.iter().map(|found| found.raw.location.start_line).collect();
    assert_eq!((lines, run.audit_count, run.feedback_rounds), (vec![3, 20], 1, 1));
    assert_eq!(run.log.last(), Some(&ConvergeLogLine::Feedback { number: 1, counts: [0, 2, 0] }));
    let run = run_with_agreed_fix(run, 2);
    assert_eq!(
        (&run.next_action, &run.suspended_audit, run.commits.as_slice()),
        (&ConvergeAction::Gate, &None, &[sha(2)][..])
    );
    let run = audit(run, &[]);
    assert_eq!((code(&run), run.audit_count), (Some(ConvergeExitCode::Clean), 2));
}

#[test]
fn others_are_heard_before_the_first_audit_too_and_never_in_the_middle() {
    let run = decline_all(run_with_other_claims(new_run(ConvergeLimits::default()), &[p1_finding(3)]));
    assert_eq!(
        (&run.exit, &run.next_action, run.audit_count),
        (&None, &ConvergeAction::Gate, 0),
        "our own audit is still to come"
    );
    let mut busy = apply_events(run, [ConvergeEvent::GateFinished(None)]);
    assert!(!busy.accepts_feedback());
    assert!(is_expected_step(&busy.apply_event(claims_event(&[p1_finding(3)])).unwrap_err(), "audit"));
    let mut stuck = new_run(ConvergeLimits::default());
    stuck
        .apply_event(ConvergeEvent::RunEnded(ConvergeExit::new(ConvergeExitCode::Closed, "it was merged")))
        .unwrap();
    let before = stuck.clone();
    assert_eq!(
        (run_with_other_claims(stuck, &[p1_finding(3)]), run_with_other_claims(before.clone(), &[])),
        (before.clone(), before)
    );
}

#[test]
fn what_is_declined_leaves_the_head_as_it_was_and_counts_as_ever() {
    let run = decline_all(run_with_other_claims(converged(ConvergeLimits::default()), &[p1_finding(3)]));
    assert_eq!((code(&run), run.audit_count, run.findings.len()), (Some(ConvergeExitCode::Declined), 1, 0));
    let allowed = ConvergeLimits { allow_declined: true, ..ConvergeLimits::default() };
    let run = decline_all(run_with_other_claims(converged(allowed.clone()), &[p1_finding(3)]));
    assert_eq!(
        (code(&run), run.history.declined_findings().count()),
        (Some(ConvergeExitCode::CleanButDeclined), 1)
    );
    // The result is the same if an earlier run has cleared the head.
    let run = decline_all(run_with_other_claims(
        ConvergeRun::new(allowed, sha(1), sha(2), Some(&sha(1))),
        &[p1_finding(3)],
    ));
    assert_eq!(code(&run), Some(ConvergeExitCode::CleanButDeclined));
    assert!(run.exit.unwrap().reason.starts_with("an earlier run found no open finding"));
}

#[test]
fn nothing_is_fixed_that_nobody_would_audit() {
    let run = run_with_other_claims(
        converged(ConvergeLimits { max_audits: 1, ..ConvergeLimits::default() }),
        &[p1_finding(3)],
    );
    assert_eq!(
        (code(&run), run.findings.len(), run.commits.len()),
        (Some(ConvergeExitCode::CapReached), 1, 0)
    );
    assert!(run.exit.unwrap().reason.contains("others found 0 P0, 1 P1 and 0 P2"));
    // The number of rounds for other reviewers' findings is limited, even if no audit of the run follows.
    let mut run = new_run(ConvergeLimits { max_audits: 2, ..ConvergeLimits::default() });
    for seed in 2..4 {
        run = run_with_agreed_fix(
            run_with_other_claims(run, &[p1_finding(u32::try_from(seed * 30).unwrap())]),
            seed,
        );
        assert_eq!(code(&run), None);
    }
    assert_eq!(code(&run_with_other_claims(run, &[p1_finding(500)])), Some(ConvergeExitCode::CapReached));
}

#[test]
fn a_finding_of_others_that_always_comes_back_ends_the_run() {
    let mut run = new_run(ConvergeLimits::default());
    for seed in 2..5 {
        run = run_with_agreed_fix(run_with_other_claims(run, &[p1_finding(3)]), seed);
    }
    assert_eq!(code(&run_with_other_claims(run, &[p1_finding(3)])), Some(ConvergeExitCode::NotConverging));
}

#[test]
fn a_run_that_had_converged_begins_anew_when_others_push() {
    let moved = ConvergeEvent::HeadChanged { head: sha(9), tree: sha(10) };
    let mut run = converged(ConvergeLimits::default());
    run.apply_event(moved.clone()).unwrap();
    assert_eq!((&run.exit, &run.next_action, &run.head), (&None, &ConvergeAction::Gate, &sha(9)));
    assert_eq!(code(&audit(run, &[])), Some(ConvergeExitCode::Clean));
    // Another user pushes while findings of other reviewers are being fixed.
    let run =
        apply_events(run_with_other_claims(converged(ConvergeLimits::default()), &[p1_finding(3)]), [moved]);
    assert_eq!(
        (&run.next_action, &run.suspended_audit, &run.candidate),
        (&ConvergeAction::Gate, &None, &None)
    );
}

#[test]
fn the_base_that_the_forge_merges_for_us_is_nobody_elses_push() {
    let mut run = converged(ConvergeLimits { max_audits: 1, ..ConvergeLimits::default() });
    for seed in 2..5 {
        run.apply_event(ConvergeEvent::BaseMerged { head: sha(seed), tree: sha(100 + seed) }).unwrap();
        run = audit(run, &[]);
        assert_eq!((code(&run), run.foreign_heads), (Some(ConvergeExitCode::Clean), 0));
    }
    run.apply_event(ConvergeEvent::HeadChanged { head: sha(9), tree: sha(10) }).unwrap();
    assert_eq!((code(&audit(run.clone(), &[])), run.foreign_heads), (Some(ConvergeExitCode::Clean), 1));
}

#[test]
fn a_gate_that_was_mended_before_does_not_make_their_fix_another_one_of_that() {
    let gate = ConvergeEvent::GateFinished(Some("style".into()));
    let run = apply_events(
        new_run(ConvergeLimits::default()),
        [
            gate,
            ConvergeEvent::GateFixFinished(Some(candidate(2))),
            ConvergeEvent::FixChecked(vec![]),
            ConvergeEvent::FixPushed,
        ],
    );
    let run = run_with_agreed_fix(run_with_other_claims(run, &[p1_finding(3)]), 3);
    let fix = ConvergeLogLine::Fix { number: 0, commit: Some(sha(3)), fixed: 1, declined: 0 };
    assert_eq!((run.log.last(), run.history.declined_findings().count()), (Some(&fix), 0));
    let said: BTreeMap<_, _> =
        run.history.findings().iter().map(|known| (&known.id, &known.status)).collect();
    assert!(said.values().all(|status| **status == FindingStatus::Claimed), "{said:?}");
}
