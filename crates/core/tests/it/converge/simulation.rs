//! Simulates whole converge runs, with a thousand pairs of an auditor and a fixer. The kind of a pair
//! determines the behaviour of the auditor and the fixer. Each run must stay within every limit, and end with
//! the exit code that the kind requires.

#![expect(clippy::wildcard_enum_match_arm, reason = "most kinds of pairs do what is usual")]

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use truing_core::converge::{
    AuditorAnswer, ConvergeAction, ConvergeEvent, ConvergeExit, ConvergeExitCode, ConvergeExitKind,
    ConvergeLimits, ConvergeRun, FixCandidate, FixProblem, FixProblemKind, FixerVerdict,
};
use truing_core::finding::{DefectCategory, Finding, Severity};
use truing_core::id::Sha;

use super::{audited_event, claim, sha};

const PAIRS: u64 = 1_000;

/// The kinds of pairs. `ALL` lists the required exit code for each kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AgentPair {
    /// Each fix resolves the findings. A fix may add new findings, but each fix adds fewer than the previous
    /// fix.
    Converging,
    /// Fixes change files and resolve nothing.
    Plateauing,
    /// There are two findings; the fix of each finding causes the other finding again.
    Oscillating,
    /// Each audit reports a new finding.
    Endless,
    /// The fixer deletes the test that shows the defect.
    TestDeleting,
    /// The first fix deletes a test. The run reports the deletion to the fixer, and the next fix deletes no
    /// test.
    TestDeletingOnce,
    /// A check fails with every fix.
    BreakingChecks,
    /// No auditor ever answers.
    DeadAuditor,
    /// One auditor does not answer the first attempt of an audit.
    AuditorDiesOnce,
    /// No fixer ever gives a report.
    DeadFixer,
    /// The fixer returns no report on its first call, and a report on each later call.
    FixerDiesOnce,
    /// Text in the code instructs the fixer to write to a forbidden path. None of the fixer's changes is
    /// accepted.
    InjectedFixer,
    /// Text in the code instructs the auditor to report no findings. The auditor obeys, and the auditor's
    /// report is therefore invalid.
    InjectedAuditor,
    /// A hook blocks every commit.
    Hooked,
    /// The gate always blocks.
    Gated,
    /// The budget is used up in the middle of the run.
    Poor,
}

impl AgentPair {
    const ALL: [(Self, ConvergeExitCode); 16] = [
        (Self::Converging, ConvergeExitCode::Clean),
        (Self::Plateauing, ConvergeExitCode::NotConverging),
        (Self::Oscillating, ConvergeExitCode::Oscillation),
        (Self::Endless, ConvergeExitCode::CapReached),
        (Self::TestDeleting, ConvergeExitCode::Tests),
        (Self::TestDeletingOnce, ConvergeExitCode::Clean),
        (Self::BreakingChecks, ConvergeExitCode::Checks),
        (Self::DeadAuditor, ConvergeExitCode::Infrastructure),
        (Self::AuditorDiesOnce, ConvergeExitCode::Clean),
        (Self::DeadFixer, ConvergeExitCode::Infrastructure),
        (Self::FixerDiesOnce, ConvergeExitCode::Clean),
        (Self::InjectedFixer, ConvergeExitCode::NothingFixed),
        (Self::InjectedAuditor, ConvergeExitCode::Infrastructure),
        (Self::Hooked, ConvergeExitCode::Hook),
        (Self::Gated, ConvergeExitCode::Gate),
        (Self::Poor, ConvergeExitCode::Budget),
    ];
}

/// Generates numbers from a seed (SplitMix64).
pub(super) struct SeededGenerator(pub(super) u64);

impl SeededGenerator {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// The state of a repository: the defective lines, and a number that stands for all other content of the
/// files.
#[derive(Clone, Hash)]
struct World {
    defects: BTreeSet<u32>,
    rest: u64,
}

impl World {
    fn tree(&self) -> Sha {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        sha(hasher.finish())
    }

    fn answer(&self) -> AuditorAnswer {
        AuditorAnswer::Complete(
            self.defects
                .iter()
                .map(|line| claim("src/a.py", *line, DefectCategory::F, Severity::P1))
                .collect(),
        )
    }
}

struct SimulatedRun {
    run: ConvergeRun,
    asked: u64,
    steps: u32,
}

fn play(pair: AgentPair, seed: u64) -> SimulatedRun {
    let mut dice = SeededGenerator(seed);
    let limits = ConvergeLimits {
        max_audits: 6 + u32::try_from(dice.roll(6)).unwrap(),
        first_parallel_audit: 1 + u32::try_from(dice.roll(5)).unwrap(),
        ..ConvergeLimits::default()
    };
    let new_line = |dice: &mut SeededGenerator| 100 * (1 + u32::try_from(dice.roll(100_000)).unwrap());
    let many = 1 + dice.roll(4);
    let mut world =
        World { defects: (0..many).map(|_| new_line(&mut dice)).collect(), rest: dice.roll(1 << 40) };
    if pair == AgentPair::Oscillating {
        world.defects = BTreeSet::from([100]);
    }
    let mut offered = world.clone();
    let mut run = ConvergeRun::new(limits, sha(seed), world.tree(), None);
    let (mut asked, mut steps, mut commits) = (0, 0, 0);
    let (mut tests_deleted, mut has_died) = (false, false);
    let poor_at = 1 + u32::try_from(dice.roll(6)).unwrap();
    while run.exit.is_none() {
        steps += 1;
        assert!(steps < 1_000, "{pair:?} {seed} does not end: {:?}", run.log);
        // Restores the run from its stored state, as a new process does after the old process was killed.
        if dice.roll(3) == 0 {
            run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
        }
        let event = match run.next_action.clone() {
            _ if pair == AgentPair::Poor && steps == poor_at => {
                ConvergeEvent::RunEnded(ConvergeExit::new(ConvergeExitCode::Budget, "used up"))
            }
            ConvergeAction::Gate if pair == AgentPair::Gated => {
                ConvergeEvent::GateFinished(Some("magic number".into()))
            }
            ConvergeAction::Gate => ConvergeEvent::GateFinished(
                (dice.roll(8) == 0 && run.gate_fix_count < 3).then(|| "style".into()),
            ),
            ConvergeAction::Mend { .. } if dice.roll(2) == 0 => ConvergeEvent::GateFixFinished(None),
            ConvergeAction::Mend { .. } => {
                offered = World { rest: dice.roll(1 << 40), ..world.clone() };
                tests_deleted = dice.roll(4) == 0;
                commits += 1;
                ConvergeEvent::GateFixFinished(Some(FixCandidate {
                    commit: sha(1 << 50 | commits),
                    tree: offered.tree(),
                }))
            }
            ConvergeAction::Audit { auditors, attempt } => {
                asked += u64::try_from(auditors.len()).unwrap();
                let last = auditors.iter().next_back().copied();
                audited_event(auditors.into_iter().map(|at| {
                    let answer = match pair {
                        AgentPair::DeadAuditor => AuditorAnswer::NoAnswer("it died".into()),
                        AgentPair::InjectedAuditor => {
                            AuditorAnswer::NoAnswer("categories A to J are missing".into())
                        }
                        AgentPair::AuditorDiesOnce if attempt == 1 && Some(at) == last => {
                            AuditorAnswer::NoAnswer("it died".into())
                        }
                        _ => world.answer(),
                    };
                    (at, answer)
                }))
            }
            ConvergeAction::Post => ConvergeEvent::FindingsPosted,
            ConvergeAction::Fix { .. } if pair == AgentPair::DeadFixer => {
                ConvergeEvent::FixerSilent("it died".into())
            }
            ConvergeAction::Fix { .. }
                if pair == AgentPair::FixerDiesOnce && !std::mem::replace(&mut has_died, true) =>
            {
                ConvergeEvent::FixerSilent("it died".into())
            }
            ConvergeAction::Fix { problems } => {
                let says = |word: FixerVerdict| {
                    run.findings.iter().map(|found| (found.id.clone(), word.clone())).collect()
                };
                offered = world.clone();
                let verdicts = match pair {
                    AgentPair::InjectedFixer => BTreeMap::new(),
                    _ => says(FixerVerdict::Fixed),
                };
                match pair {
                    AgentPair::InjectedFixer => {}
                    AgentPair::Plateauing => offered.rest = dice.roll(1 << 40),
                    AgentPair::Oscillating => {
                        offered.defects =
                            BTreeSet::from([if world.defects.contains(&100) { 900 } else { 100 }]);
                    }
                    AgentPair::Endless => offered.defects = BTreeSet::from([new_line(&mut dice)]),
                    _ => {
                        let left = u64::try_from(offered.defects.len()).unwrap().saturating_sub(1).min(2);
                        offered.defects = (0..dice.roll(left + 1)).map(|_| new_line(&mut dice)).collect();
                        offered.rest = dice.roll(1 << 40);
                    }
                }
                tests_deleted = pair == AgentPair::TestDeleting
                    || pair == AgentPair::TestDeletingOnce && problems.is_empty();
                commits += 1;
                let candidate = FixCandidate { commit: sha(1 << 50 | commits), tree: offered.tree() };
                let changed = candidate.tree != world.tree();
                ConvergeEvent::FixFinished { verdicts, candidate: changed.then_some(candidate) }
            }
            ConvergeAction::Check => {
                let kind = match pair {
                    _ if tests_deleted => Some(FixProblemKind::Test),
                    AgentPair::BreakingChecks => Some(FixProblemKind::Check),
                    _ => None,
                };
                ConvergeEvent::FixChecked(
                    kind.map(|kind| FixProblem { kind, text: "x".into() }).into_iter().collect(),
                )
            }
            ConvergeAction::Publish if pair == AgentPair::Hooked => ConvergeEvent::HookBlocked("E501".into()),
            ConvergeAction::Publish => {
                assert!(!tests_deleted, "{pair:?} {seed} pushes a fix that deletes a test");
                world = offered.clone();
                ConvergeEvent::FixPushed
            }
            ConvergeAction::Reply => ConvergeEvent::RepliesPosted,
        };
        run.apply_event(event).unwrap();
    }
    SimulatedRun { run, asked, steps }
}

#[test]
fn a_thousand_pairs_end_as_they_must_and_within_their_limits() {
    let (mut told, mut most) = (BTreeMap::new(), 0);
    for seed in 0..PAIRS {
        let (pair, expected) = AgentPair::ALL[usize::try_from(seed).unwrap() % AgentPair::ALL.len()];
        let SimulatedRun { run, asked, steps } = play(pair, seed);
        let code = run.exit.as_ref().unwrap().code;
        assert_eq!(code, expected, "{pair:?}, seed {seed}: {:?}\n{:?}", run.exit, run.log);
        assert!(run.audit_count <= run.limits.max_audits, "{pair:?}, seed {seed}");
        let auditors = u64::from(run.audit_count) * u64::from(run.limits.auditors);
        assert!(
            asked <= auditors * u64::from(run.limits.max_agent_requests),
            "{pair:?}, seed {seed}: {asked}"
        );
        if code.kind() == ConvergeExitKind::Converged {
            assert!(run.findings.is_empty() && run.silent_auditors == 0, "{pair:?}, seed {seed}");
        }
        if code == ConvergeExitCode::Oscillation {
            assert!(
                !run.findings.is_empty() && run.findings.iter().all(Finding::is_open),
                "{pair:?}, seed {seed}"
            );
        }
        *told.entry(code.as_str()).or_insert(0) += 1;
        most = most.max(steps);
    }
    println!("{PAIRS} pairs: {told:?}; {most} acts at most");
}
