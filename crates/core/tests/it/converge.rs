//! Tests of single transitions of a converge run; `simulation` tests whole runs.

// long: the file has one test for each transition of the run, and the tests share helper functions.

mod forges;
mod others;
mod readiness;
mod remaining;
mod simulation;

use std::collections::{BTreeMap, BTreeSet};

use truing_core::code_digest::CodeDigests;
use truing_core::converge::{
    AuditorAnswer, AuditorFinding, ConvergeAction, ConvergeEvent, ConvergeExit, ConvergeExitCode,
    ConvergeExitKind, ConvergeLimits, ConvergeRun, FixCandidate, FixProblem, FixProblemKind, FixerVerdict,
    LineOrigin, UnexpectedEvent,
};
use truing_core::dismissal::Dismissal;
use truing_core::finding::{
    AnchorKind, CodeLocation, DefectCategory, DiffSide, Finding, FindingSource, FindingStatus, RawFinding,
    Severity,
};
use truing_core::id::{FindingId, Sha, UnixMillis};
use truing_core::identity::{FindingFacts, PlacedFinding};
use truing_core::increment::FileRenames;
use truing_core::outcome::ReviewCoverage;

fn sha(seed: u64) -> Sha {
    Sha::parse(&format!("{seed:040x}")).unwrap()
}

fn candidate(seed: u64) -> FixCandidate {
    FixCandidate { commit: sha(seed), tree: sha(seed + 1_000_000) }
}

fn claim(path: &str, line: u32, category: DefectCategory, severity: Severity) -> AuditorFinding {
    let place = CodeLocation { path: path.into(), side: DiffSide::New, start_line: line, end_line: line };
    let raw = RawFinding {
        location: place.clone(),
        severity,
        category,
        rule: format!("agent/{category:?}"),
        title: format!("defect at {path}:{line}"),
        body: "what breaks".to_owned(),
        snippet: format!("{path} {line}"),
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Agent,
        specialists: Vec::new(),
    };
    let placed = PlacedFinding {
        raw,
        anchor: AnchorKind::Inline,
        comment_location: place,
        old_path: None,
        sighting: FindingFacts::default(),
    };
    AuditorFinding { placed, origin: LineOrigin::Change }
}

fn p1_finding(line: u32) -> AuditorFinding {
    claim("src/a.py", line, DefectCategory::F, Severity::P1)
}

fn audited_event(answers: impl IntoIterator<Item = (u32, AuditorAnswer)>) -> ConvergeEvent {
    let answers = answers.into_iter().collect();
    let (standing, coverage, renames) = (BTreeMap::new(), ReviewCoverage::default(), FileRenames::default());
    ConvergeEvent::AuditFinished { answers, standing_findings: standing, coverage, renames }
}

fn complete_audit_event(claims: &[AuditorFinding]) -> ConvergeEvent {
    audited_event([(0, AuditorAnswer::Complete(claims.to_vec()))])
}

fn new_run(limits: ConvergeLimits) -> ConvergeRun {
    ConvergeRun::new(limits, sha(1), sha(1_000_001), None)
}

/// Applies these events to a run, and returns the run. The run must accept each event.
fn apply_events(mut run: ConvergeRun, events: impl IntoIterator<Item = ConvergeEvent>) -> ConvergeRun {
    for event in events {
        assert_eq!(run.exit, None, "before {event:?}");
        run.apply_event(event).unwrap();
        // A run that was serialized and read again is equal to the original.
        let kept = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<ConvergeRun>(&kept).unwrap(), run);
    }
    run
}

fn code(run: &ConvergeRun) -> Option<ConvergeExitCode> {
    run.exit.as_ref().map(|exit| exit.code)
}

/// Returns true if the run rejected an event because it was waiting for the end of the action `act`.
fn is_expected_step(unexpected: &UnexpectedEvent, act: &str) -> bool {
    unexpected.to_string().contains(&format!("expected the end of `{act}`"))
}

/// Returns a fixer's verdicts, with the same verdict for every finding of the run.
fn verdict_for_all(run: &ConvergeRun, word: &FixerVerdict) -> BTreeMap<FindingId, FixerVerdict> {
    run.findings.iter().map(|finding| (finding.id.clone(), word.clone())).collect()
}

/// Continues a run after an audit: a fix of all findings passes all checks, is pushed, and is reported in the
/// replies.
fn run_with_agreed_fix(run: ConvergeRun, seed: u64) -> ConvergeRun {
    let verdicts = verdict_for_all(&run, &FixerVerdict::Fixed);
    let fix = ConvergeEvent::FixFinished { verdicts, candidate: Some(candidate(seed)) };
    apply_events(
        run,
        [fix, ConvergeEvent::FixChecked(vec![]), ConvergeEvent::FixPushed, ConvergeEvent::RepliesPosted],
    )
}

fn audit(run: ConvergeRun, claims: &[AuditorFinding]) -> ConvergeRun {
    let begun = apply_events(run, [ConvergeEvent::GateFinished(None)]);
    let ConvergeAction::Audit { auditors, .. } = &begun.next_action else {
        panic!("{:?}", begun.next_action)
    };
    let all: Vec<_> = auditors.iter().map(|at| (*at, AuditorAnswer::Complete(claims.to_vec()))).collect();
    let looked = apply_events(begun, [audited_event(all)]);
    let clears = looked.is_cleared_by_audit();
    let posted = apply_events(looked, [ConvergeEvent::FindingsPosted]);
    // If a review reports a head as clean, the run must have recorded the head as cleared, because later runs
    // trust the review.
    assert!(!clears || posted.cleared_head.as_ref() == Some(&posted.head), "{posted:?}");
    posted
}

#[test]
fn two_loops_converge() {
    let run = audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]);
    assert_eq!(run.next_action, ConvergeAction::Fix { problems: vec![] });
    let run = audit(run_with_agreed_fix(run, 2), &[]);
    assert_eq!(code(&run), Some(ConvergeExitCode::Clean));
    assert_eq!((run.audit_count, run.commits.as_slice(), run.head.clone()), (2, &[sha(2)][..], sha(2)));
    let log = serde_json::to_value(&run.log).unwrap();
    let fixed =
        serde_json::json!({ "line": "fix", "number": 1, "commit": sha(2), "fixed": 1, "declined": 0 });
    assert_eq!((log.as_array().unwrap().len(), &log[1]), (3, &fixed));
}

#[test]
fn a_head_that_was_clean_is_not_looked_at_again() {
    let clean = ConvergeRun::new(ConvergeLimits::default(), sha(1), sha(2), Some(&sha(1)));
    assert_eq!((code(&clean), clean.audit_count), (Some(ConvergeExitCode::AlreadyClean), 0));
    assert_eq!(code(&ConvergeRun::new(ConvergeLimits::default(), sha(1), sha(2), Some(&sha(3)))), None);
}

#[test]
fn an_audit_clears_a_head_if_all_answered_nothing_was_found_and_a_gate_was_there() {
    let gated = || apply_events(new_run(ConvergeLimits::default()), [ConvergeEvent::GateFinished(None)]);
    assert!(apply_events(gated(), [complete_audit_event(&[])]).is_cleared_by_audit());
    assert!(!apply_events(gated(), [complete_audit_event(&[p1_finding(3)])]).is_cleared_by_audit());
    let silent = ConvergeLimits {
        first_parallel_audit: 1,
        auditors: 2,
        max_agent_requests: 1,
        ..ConvergeLimits::default()
    };
    let silent =
        apply_events(new_run(silent), [ConvergeEvent::GateFinished(None), complete_audit_event(&[])]);
    assert!(silent.silent_auditors == 1 && !silent.is_cleared_by_audit());
    let alone = ConvergeRun::new_audit_only(ConvergeLimits::default(), (sha(1), sha(2)));
    assert!(!apply_events(alone, [complete_audit_event(&[])]).is_cleared_by_audit(), "no gate was asked");
}

#[test]
fn nothing_fixable_is_stuck_after_one_loop() {
    let run = audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]);
    let verdicts = verdict_for_all(&run, &FixerVerdict::Declined("it is meant so".into()));
    let run = apply_events(
        run,
        [ConvergeEvent::FixFinished { verdicts, candidate: None }, ConvergeEvent::RepliesPosted],
    );
    assert_eq!((code(&run), run.audit_count), (Some(ConvergeExitCode::NothingFixed), 1));
    assert_eq!(run.history.declined_findings().count(), 1);
}

#[test]
fn there_is_no_audit_beyond_the_cap_and_no_fix_that_nobody_audits() {
    let mut run = new_run(ConvergeLimits::default());
    for number in 1..=10 {
        let expected = if number < 4 { 1 } else { 3 };
        let gated = apply_events(run.clone(), [ConvergeEvent::GateFinished(None)]);
        assert!(
            matches!(&gated.next_action, ConvergeAction::Audit { auditors, .. } if auditors.len() == expected),
            "{number}"
        );
        run = audit(run, &[p1_finding(number * 10), p1_finding(number * 10 + 5)]);
        if number < 10 {
            run = run_with_agreed_fix(run, u64::from(number) + 1);
        }
    }
    assert_eq!((code(&run), run.audit_count, run.commits.len()), (Some(ConvergeExitCode::CapReached), 10, 9));
    assert!(run.exit.unwrap().reason.contains("0 P0, 2 P1 and 0 P2"));

    let last = ConvergeLimits { max_audits: 1, fixes_last_audit: true, ..ConvergeLimits::default() };
    let run = run_with_agreed_fix(audit(new_run(last), &[p1_finding(3)]), 2);
    assert_eq!((code(&run), run.commits.len()), (Some(ConvergeExitCode::CapReached), 1));
}

#[test]
fn the_gate_is_mended_so_often_and_no_more() {
    let dirty = || ConvergeEvent::GateFinished(Some("a.py:1: magic".into()));
    let run = apply_events(
        new_run(ConvergeLimits::default()),
        [
            dirty(),
            ConvergeEvent::GateFixFinished(Some(candidate(2))),
            ConvergeEvent::FixChecked(vec![]),
            ConvergeEvent::FixPushed,
        ],
    );
    assert_eq!((&run.next_action, run.commits.len(), run.audit_count), (&ConvergeAction::Gate, 1, 0));
    let run = audit(run, &[]);
    assert_eq!(code(&run), Some(ConvergeExitCode::Clean));

    let mut run = new_run(ConvergeLimits::default());
    for _ in 0..5 {
        run = apply_events(run, [dirty(), ConvergeEvent::GateFixFinished(None)]);
    }
    let run = apply_events(run, [dirty()]);
    assert_eq!((code(&run), run.audit_count), (Some(ConvergeExitCode::Gate), 0));
}

#[test]
fn a_fix_of_what_the_gate_says_is_looked_at_before_it_is_pushed() {
    let problem = FixProblem { kind: FixProblemKind::Test, text: "test_total() is gone".into() };
    let gate = || ConvergeEvent::GateFinished(Some("a.py:1: magic".into()));
    let wrong = || {
        [ConvergeEvent::GateFixFinished(Some(candidate(2))), ConvergeEvent::FixChecked(vec![problem.clone()])]
    };
    let mut run = apply_events(new_run(ConvergeLimits::default()), [gate()]);
    run = apply_events(run, wrong());
    assert_eq!((&run.next_action, &run.candidate), (&ConvergeAction::Gate, &None));
    run = apply_events(run, [gate()]);
    let ConvergeAction::Mend { output } = &run.next_action else { panic!("{:?}", run.next_action) };
    assert!(output.starts_with("a.py:1: magic") && output.contains("test_total() is gone"), "{output}");
    for _ in 1..5 {
        run = apply_events(apply_events(run, wrong()), [gate()]);
    }
    assert_eq!((code(&run), run.commits.len()), (Some(ConvergeExitCode::Gate), 0));
    assert!(run.exit.unwrap().reason.ends_with("discarded: test_total() is gone"));
}

#[test]
fn who_does_not_answer_is_asked_once_more_and_is_never_clean() {
    let silent = || audited_event([(0, AuditorAnswer::NoAnswer("it died".into()))]);
    let run = apply_events(new_run(ConvergeLimits::default()), [ConvergeEvent::GateFinished(None), silent()]);
    assert!(matches!(&run.next_action, ConvergeAction::Audit { attempt: 2, .. }));
    let answered = apply_events(run.clone(), [complete_audit_event(&[]), ConvergeEvent::FindingsPosted]);
    assert_eq!((code(&answered), answered.audit_count), (Some(ConvergeExitCode::Clean), 1));
    let dead = apply_events(run.clone(), [silent()]);
    assert_eq!(
        (code(&dead), dead.exit.unwrap().reason.contains("it died")),
        (Some(ConvergeExitCode::Infrastructure), true)
    );
    // An audit without any auditor's answer is not clean either.
    assert_eq!(code(&apply_events(run, [audited_event([])])), Some(ConvergeExitCode::Infrastructure));
}

#[test]
fn a_loop_with_a_silent_auditor_goes_on_but_does_not_converge() {
    let limits = ConvergeLimits { first_parallel_audit: 1, max_audits: 2, ..ConvergeLimits::default() };
    let some = || {
        audited_event([
            (0, AuditorAnswer::Complete(vec![])),
            (1, AuditorAnswer::NoAnswer("no JSON".into())),
            (2, AuditorAnswer::Complete(vec![])),
        ])
    };
    let run = apply_events(new_run(limits), [ConvergeEvent::GateFinished(None), some()]);
    assert!(
        matches!(&run.next_action, ConvergeAction::Audit { auditors, attempt: 2 } if *auditors == BTreeSet::from([1]))
    );
    let run = apply_events(
        run,
        [audited_event([(1, AuditorAnswer::NoAnswer("no JSON".into()))]), ConvergeEvent::FindingsPosted],
    );
    assert_eq!((&run.next_action, run.silent_auditors), (&ConvergeAction::Gate, 1));
    let again = apply_events(
        run,
        [
            ConvergeEvent::GateFinished(None),
            some(),
            audited_event([(1, AuditorAnswer::Complete(vec![]))]),
            ConvergeEvent::FindingsPosted,
        ],
    );
    assert_eq!((code(&again), again.audit_count), (Some(ConvergeExitCode::Clean), 2));
}

#[test]
fn who_was_not_asked_is_not_heard() {
    let run = apply_events(new_run(ConvergeLimits::default()), [ConvergeEvent::GateFinished(None)]);
    let run = apply_events(
        run,
        [
            audited_event([
                (0, AuditorAnswer::Complete(vec![])),
                (7, AuditorAnswer::Complete(vec![p1_finding(1)])),
            ]),
            ConvergeEvent::FindingsPosted,
        ],
    );
    assert_eq!(code(&run), Some(ConvergeExitCode::Clean));
}

#[test]
fn a_fix_is_looked_at_until_nothing_is_wrong_with_it() {
    let run = audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]);
    let problem = |kind| vec![FixProblem { kind, text: "it says so\nat length".into() }];
    let fix =
        |seed| ConvergeEvent::FixFinished { verdicts: BTreeMap::new(), candidate: Some(candidate(seed)) };
    for (kind, expected) in [
        (FixProblemKind::Finding, ConvergeExitCode::SelfAudit),
        (FixProblemKind::Gate, ConvergeExitCode::SelfAudit),
        (FixProblemKind::Check, ConvergeExitCode::Checks),
        (FixProblemKind::Test, ConvergeExitCode::Tests),
    ] {
        let once = apply_events(run.clone(), [fix(2), ConvergeEvent::FixChecked(problem(kind))]);
        assert_eq!(once.next_action, ConvergeAction::Fix { problems: problem(kind) });
        assert_eq!(once.candidate.is_none(), kind == FixProblemKind::Test, "{kind:?}");
        let good =
            apply_events(once.clone(), [fix(3), ConvergeEvent::FixChecked(vec![]), ConvergeEvent::FixPushed]);
        assert_eq!((good.commits, good.audit_count), (vec![sha(3)], 1));
        let twice = apply_events(once, [fix(3), ConvergeEvent::FixChecked(problem(kind)), fix(4)]);
        let thrice = apply_events(twice, [ConvergeEvent::FixChecked(problem(kind))]);
        assert_eq!((code(&thrice), thrice.commits.len()), (Some(expected), 0));
    }
    // The same fix again has the same problems, so it is rejected without another check.
    let same = apply_events(run, [fix(2), ConvergeEvent::FixChecked(problem(FixProblemKind::Check)), fix(2)]);
    assert_eq!(code(&same), Some(ConvergeExitCode::Checks));
}

#[test]
fn a_hook_that_blocks_is_told_to_one_more_fixer() {
    let run = audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]);
    let fix =
        |seed| ConvergeEvent::FixFinished { verdicts: BTreeMap::new(), candidate: Some(candidate(seed)) };
    let blocked = || ConvergeEvent::HookBlocked("lint\nE501 too long".into());
    let run = apply_events(run, [fix(2), ConvergeEvent::FixChecked(vec![]), blocked()]);
    assert!(
        matches!(&run.next_action, ConvergeAction::Fix { problems } if problems[0].kind == FixProblemKind::Hook)
    );
    let run = apply_events(run, [fix(3), ConvergeEvent::FixChecked(vec![]), blocked()]);
    assert_eq!((&run.next_action, run.hook_message.is_some()), (&ConvergeAction::Reply, true));
    let run = apply_events(run, [ConvergeEvent::RepliesPosted]);
    assert_eq!((code(&run), run.commits.len()), (Some(ConvergeExitCode::Hook), 0));
    assert!(run.exit.unwrap().reason.contains("E501"));
}

#[test]
fn a_fix_is_the_same_by_its_files_and_a_hook_may_take_it_the_second_time() {
    let run = audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]);
    let fix = |commit| {
        let candidate = FixCandidate { commit: sha(commit), tree: sha(2) };
        ConvergeEvent::FixFinished { verdicts: BTreeMap::new(), candidate: Some(candidate) }
    };
    let check = vec![FixProblem { kind: FixProblemKind::Check, text: "red".into() }];
    let same = apply_events(run.clone(), [fix(3), ConvergeEvent::FixChecked(check), fix(4)]);
    assert_eq!(code(&same), Some(ConvergeExitCode::Checks), "committed a second later it is still the same");
    let blocked = apply_events(
        run,
        [fix(3), ConvergeEvent::FixChecked(vec![]), ConvergeEvent::HookBlocked("E501".into()), fix(3)],
    );
    assert_eq!((&blocked.next_action, code(&blocked)), (&ConvergeAction::Check, None));
    let run = apply_events(blocked, [ConvergeEvent::FixChecked(vec![]), ConvergeEvent::FixPushed]);
    assert_eq!(run.commits.len(), 1);
}

#[test]
fn what_others_push_is_audited_anew_and_a_few_times_without_cost() {
    let limits = ConvergeLimits { max_audits: 1, ..ConvergeLimits::default() };
    let moved = |seed| ConvergeEvent::HeadChanged { head: sha(seed), tree: sha(seed) };
    let run = audit(new_run(limits), &[]);
    assert_eq!(code(&run), Some(ConvergeExitCode::Clean));
    let limits = ConvergeLimits { max_audits: 2, ..ConvergeLimits::default() };
    let run = audit(new_run(limits.clone()), &[p1_finding(3)]);
    let run = apply_events(run, [moved(9)]);
    assert_eq!((&run.next_action, &run.head, &run.candidate), (&ConvergeAction::Gate, &sha(9), &None));
    let run = run_with_agreed_fix(audit(run, &[p1_finding(4)]), 3);
    let run = audit(run, &[]);
    assert_eq!((code(&run), run.audit_count), (Some(ConvergeExitCode::Clean), 3));
    let run =
        apply_events(audit(new_run(limits), &[p1_finding(3)]), [moved(9), moved(10), moved(11), moved(12)]);
    assert_eq!(
        (code(&run), &run.next_action),
        (None, &ConvergeAction::Gate),
        "who goes on pushing ends nothing"
    );
    // Up to three audits that follow pushes of other users do not count towards the limit.
    let mut run = run;
    for (seed, line) in [(13, 4), (14, 5), (15, 6)] {
        run = apply_events(audit(run, &[p1_finding(line)]), [moved(seed)]);
    }
    let run = audit(run, &[p1_finding(7)]);
    assert_eq!((code(&run), run.audit_count), (Some(ConvergeExitCode::CapReached), 5));
}

#[test]
fn a_fixer_that_comes_to_no_report_is_asked_once_more_and_then_the_run_can_go_on_later() {
    let silent = || ConvergeEvent::FixerSilent("the provider is not available".into());
    let run = apply_events(audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]), [silent()]);
    assert_eq!((code(&run), &run.next_action), (None, &ConvergeAction::Fix { problems: vec![] }));
    let clean = audit(run_with_agreed_fix(run.clone(), 2), &[]);
    assert_eq!(code(&clean), Some(ConvergeExitCode::Clean));
    let mut run = apply_events(run, [silent()]);
    assert_eq!((code(&run), run.commits.len()), (Some(ConvergeExitCode::Infrastructure), 0));
    assert!(run.exit.as_ref().unwrap().reason.ends_with("the provider is not available"));
    run.resume();
    assert_eq!(
        code(&audit(run_with_agreed_fix(apply_events(run, [silent()]), 2), &[])),
        Some(ConvergeExitCode::Clean)
    );
    // A fixer that repairs gate failures and sends no report is also started once more.
    let gated = apply_events(
        new_run(ConvergeLimits::default()),
        [ConvergeEvent::GateFinished(Some("style".into())), silent()],
    );
    assert!(matches!(&gated.next_action, ConvergeAction::Mend { .. }), "{:?}", gated.next_action);
    assert_eq!(code(&apply_events(gated, [silent()])), Some(ConvergeExitCode::Infrastructure));
}

#[test]
fn what_does_not_block_leaves_nothing_stuck() {
    let limits = ConvergeLimits { min_blocking: Severity::P1, ..ConvergeLimits::default() };
    let run = audit(new_run(limits), &[claim("src/a.py", 3, DefectCategory::J, Severity::P2)]);
    let fix =
        |seed| ConvergeEvent::FixFinished { verdicts: BTreeMap::new(), candidate: Some(candidate(seed)) };
    let red =
        || ConvergeEvent::FixChecked(vec![FixProblem { kind: FixProblemKind::Check, text: "red".into() }]);
    let checked = apply_events(run.clone(), [fix(2), red(), fix(3), red(), fix(4), red()]);
    assert_eq!((&checked.next_action, checked.fixer_verdicts.len()), (&ConvergeAction::Reply, 1));
    assert_eq!(
        code(&apply_events(checked, [ConvergeEvent::RepliesPosted])),
        Some(ConvergeExitCode::CleanButNotes)
    );
    let blocked = || ConvergeEvent::HookBlocked("E501".into());
    let hooked = apply_events(
        run,
        [
            fix(2),
            ConvergeEvent::FixChecked(vec![]),
            blocked(),
            fix(3),
            ConvergeEvent::FixChecked(vec![]),
            blocked(),
        ],
    );
    let hooked = apply_events(hooked, [ConvergeEvent::RepliesPosted]);
    assert_eq!((code(&hooked), hooked.commits.len()), (Some(ConvergeExitCode::CleanButNotes), 0));
}

#[test]
fn audits_of_other_people_s_pushes_are_no_fixes_that_resolve_nothing() {
    let mut run = new_run(ConvergeLimits::default());
    for seed in 9..12 {
        run = apply_events(
            audit(run, &[p1_finding(3)]),
            [ConvergeEvent::HeadChanged { head: sha(seed), tree: sha(seed) }],
        );
    }
    let run = audit(run, &[p1_finding(3)]);
    assert_eq!((code(&run), &run.next_action), (None, &ConvergeAction::Fix { problems: vec![] }));
}

#[test]
fn what_was_said_of_a_fix_goes_with_it() {
    let run = audit(new_run(ConvergeLimits::default()), &[p1_finding(3), p1_finding(20)]);
    let [first, second] = [0, 1].map(|at| run.findings[at].id.clone());
    let says = |id: &FindingId, seed| {
        let verdicts = BTreeMap::from([(id.clone(), FixerVerdict::Fixed)]);
        ConvergeEvent::FixFinished { verdicts, candidate: Some(candidate(seed)) }
    };
    let problem = vec![FixProblem { kind: FixProblemKind::Test, text: "gone".into() }];
    let run = apply_events(
        run,
        [
            says(&first, 2),
            ConvergeEvent::FixChecked(problem),
            says(&second, 3),
            ConvergeEvent::FixChecked(vec![]),
        ],
    );
    let run = apply_events(run, [ConvergeEvent::FixPushed]);
    let status = |id| run.history.findings().iter().find(|found| found.id == id).unwrap().status.clone();
    assert!(matches!(status(first), FindingStatus::Declined(_)));
    assert_eq!(status(second), FindingStatus::Claimed);
}

#[test]
fn a_finding_that_always_comes_back_ends_the_run() {
    let mut run = new_run(ConvergeLimits::default());
    for seed in 2..5 {
        // Each audit also reports a new finding, so each round resolves at least one finding.
        run = run_with_agreed_fix(
            audit(run, &[p1_finding(3), p1_finding(50 + u32::try_from(seed).unwrap() * 10)]),
            seed,
        );
    }
    let run = audit(run, &[p1_finding(3), p1_finding(500)]);
    assert_eq!((code(&run), run.audit_count), (Some(ConvergeExitCode::NotConverging), 4));
    assert!(run.exit.unwrap().reason.contains("src/a.py:3"));
}

#[test]
fn fixes_that_resolve_nothing_end_the_run() {
    let mut run = new_run(ConvergeLimits::default());
    for seed in 2..5 {
        run = audit(run, &[p1_finding(3), p1_finding(20)]);
        // The fixer gives no verdicts, so the findings do not count as fixed.
        let fix = ConvergeEvent::FixFinished { verdicts: BTreeMap::new(), candidate: Some(candidate(seed)) };
        run = apply_events(
            run,
            [fix, ConvergeEvent::FixChecked(vec![]), ConvergeEvent::FixPushed, ConvergeEvent::RepliesPosted],
        );
    }
    let run = audit(run, &[p1_finding(3), p1_finding(20), p1_finding(40)]);
    assert_eq!((code(&run), run.audit_count), (Some(ConvergeExitCode::Plateau), 4));
}

#[test]
fn what_was_declined_may_stand_whether_or_not_something_else_was_fixed() {
    let allowed = ConvergeLimits { allow_declined: true, ..ConvergeLimits::default() };
    let run = audit(new_run(allowed), &[p1_finding(3)]);
    let verdicts = verdict_for_all(&run, &FixerVerdict::Declined("it is meant so".into()));
    let run = apply_events(
        run,
        [ConvergeEvent::FixFinished { verdicts, candidate: None }, ConvergeEvent::RepliesPosted],
    );
    assert_eq!(
        (code(&run), run.history.declined_findings().count()),
        (Some(ConvergeExitCode::CleanButDeclined), 1)
    );
    assert_eq!(run.cleared_head, None, "nobody has found the head clean");
    assert!(run.exit.unwrap().reason.ends_with("; 1 was declined"));
}

#[test]
fn what_people_dismissed_is_nobodys_work_until_its_code_changes() {
    let first = audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]);
    let said = Dismissal::new(&first.findings[0], "it is meant so", "ada", UnixMillis(5));
    // The dismissal applies both to the run that reported the finding and to a new run.
    for mut run in [first.clone(), new_run(ConvergeLimits::default())] {
        run.exit = None;
        run.next_action = ConvergeAction::Gate;
        run.dismissals = vec![said.clone()];
        let run = audit(run, &[p1_finding(3)]);
        assert_eq!((code(&run), run.findings.len()), (Some(ConvergeExitCode::Clean), 0), "{:?}", run.exit);
        assert_eq!(run.history.dismissed_findings().count(), 1);
        // Another finding in the same audit is still reported.
        let mut run = ConvergeRun { exit: None, next_action: ConvergeAction::Gate, ..run };
        run.dismissals = vec![said.clone()];
        let run = audit(run, &[p1_finding(3), p1_finding(20)]);
        assert_eq!(run.findings.len(), 1);
    }
    let mut back = new_run(ConvergeLimits::default());
    back.dismissals = vec![Dismissal::from_withdrawal(&first.findings[0], "ada", UnixMillis(6))];
    assert_eq!(audit(back, &[p1_finding(3)]).findings.len(), 1);
}

#[test]
fn fixes_that_undo_each_other_end_the_run() {
    let run = run_with_agreed_fix(audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]), 2);
    let run = audit(run, &[p1_finding(20)]);
    // The fix is a new commit with the files of the initial head.
    let back = FixCandidate { commit: sha(3), tree: sha(1_000_001) };
    let fix = ConvergeEvent::FixFinished {
        verdicts: verdict_for_all(&run, &FixerVerdict::Fixed),
        candidate: Some(back),
    };
    let before = run.head.clone();
    let run = apply_events(run, [fix]);
    assert_eq!(
        (code(&run), run.audit_count),
        (Some(ConvergeExitCode::Oscillation), 2),
        "without a third audit"
    );
    assert_eq!((&run.head, &run.candidate), (&before, &None), "what is known to be wrong is not pushed");
    assert!(run.findings.len() == 1 && run.findings.iter().all(Finding::is_open), "what was found stands");

    let mut run = new_run(ConvergeLimits::default());
    for (seed, line) in [(2, 3), (3, 20), (4, 3)] {
        run = run_with_agreed_fix(audit(run, &[p1_finding(line)]), seed);
    }
    let run = audit(run, &[p1_finding(20)]);
    assert_eq!(
        (code(&run), run.audit_count),
        (Some(ConvergeExitCode::Oscillation), 4),
        "other files, the same findings in turns"
    );
}

#[test]
fn a_run_without_money_goes_on_where_it_was() {
    let run = audit(new_run(ConvergeLimits::default()), &[p1_finding(3)]);
    let mut run = apply_events(
        run,
        [ConvergeEvent::RunEnded(ConvergeExit::new(ConvergeExitCode::Budget, "10 USD are used up"))],
    );
    let before = run.clone();
    run.apply_event(ConvergeEvent::RepliesPosted).unwrap();
    assert_eq!(run, before, "nothing happens to a run that has ended");
    run.resume();
    let run = audit(run_with_agreed_fix(run, 2), &[]);
    assert_eq!((code(&run), run.audit_count), (Some(ConvergeExitCode::Clean), 2));
    let mut stuck = new_run(ConvergeLimits::default());
    stuck
        .apply_event(ConvergeEvent::RunEnded(ConvergeExit::new(ConvergeExitCode::Closed, "it was merged")))
        .unwrap();
    stuck.resume();
    assert_eq!(code(&stuck), Some(ConvergeExitCode::Closed));
}

#[test]
fn what_does_not_follow_is_refused_and_changes_nothing() {
    let mut run = new_run(ConvergeLimits::default());
    for event in [
        ConvergeEvent::FindingsPosted,
        ConvergeEvent::FixPushed,
        ConvergeEvent::RepliesPosted,
        ConvergeEvent::FixChecked(vec![]),
        ConvergeEvent::GateFixFinished(None),
        complete_audit_event(&[]),
    ] {
        assert!(is_expected_step(&run.apply_event(event).unwrap_err(), "gate"));
    }
    assert_eq!(run, new_run(ConvergeLimits::default()));
}

#[test]
fn codes_are_named_once_and_have_the_exit_codes_of_the_contract() {
    let names: BTreeSet<_> = ConvergeExitCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), ConvergeExitCode::ALL.len());
    for code in ConvergeExitCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        let expected = match code.kind() {
            ConvergeExitKind::Converged => 0,
            ConvergeExitKind::CapReached | ConvergeExitKind::Stuck | ConvergeExitKind::Blocked => 1,
            ConvergeExitKind::Error | ConvergeExitKind::Refused => continue,
            ConvergeExitKind::Interrupted => 130,
        };
        assert_eq!(code.exit_code(), expected, "{code:?}");
    }
    for (code, expected) in [
        (ConvergeExitCode::Gate, 1),
        (ConvergeExitCode::Infrastructure, 3),
        (ConvergeExitCode::Budget, 4),
        (ConvergeExitCode::NoTarget, 2),
        (ConvergeExitCode::Uncommitted, 2),
        (ConvergeExitCode::NoAgent, 2),
        (ConvergeExitCode::NoTeam, 2),
        (ConvergeExitCode::Disabled, 4),
        (ConvergeExitCode::Leading, 4),
        (ConvergeExitCode::AlreadyRunning, 4),
    ] {
        assert_eq!(code.exit_code(), expected, "{code:?}");
    }
}
