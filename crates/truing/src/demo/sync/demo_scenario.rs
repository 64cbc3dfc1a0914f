//! Defines the events of [`super`]: the releases of a fictitious package, the code of the project that
//! follows the package, the actions of people, and the expected result of each run.

use serde_json::json;
use truing_core::sync::record::SyncOutcome::{
    self, CircuitOpen, CodePorted, DraftSaved, Failed, QuestionAsked, RangeWidened, SkippedByUser,
};
use truing_fakes::model::ScriptedAnswer;

/// Name of the package and of the job. The two constants below are the path of a file in the package, and the
/// path of the project's copy of this file.
pub(super) const PACKAGE_NAME: &str = "rim";
pub(super) const PACKAGE_FILE: &str = "rim/spin.py";
pub(super) const PROJECT_FILE: &str = "spokes/spin.py";
/// Check of the project: each call of the wheel must be awaited.
pub(super) const CHECK_SCRIPT: &str = "if grep -nE '(turn|read|zero)\\(' spokes/spin.py | grep -v \
    await\nthen echo \
     'not awaited' && exit 1\nfi\n";
pub(super) const PINNED_DEFINITIONS: [&str; 2] = ["rim.spin:true_up", "rim.spin:measure"];
/// Maximum number of the model's answers in one port.
pub(super) const MAX_PORT_TURNS: u32 = 3;

/// A section of the demonstration.
pub(super) struct DemoSection {
    pub(super) title: &'static str,
    /// Version and content of the new release, if there is one.
    pub(super) release: Option<(&'static str, &'static str)>,
    pub(super) steps: &'static [DemoStep],
}

/// One step of a section.
#[derive(Clone, Copy)]
pub(super) enum DemoStep {
    /// The job runs, with this expected result.
    Run(SyncOutcome),
    /// A scheduler runs the job, with this expected result.
    ScheduledRun(SyncOutcome),
    /// A person merges the pull request.
    MergePull,
    /// A person answers the question.
    AnswerQuestion(&'static str),
    /// From this step on, the model completes this share of a port.
    SetModelShare(PortShare),
    /// The operator allows the job to port code without asking people first.
    AllowPorting,
    /// Pushes to the job's branch are forbidden until `UnprotectBranch`.
    ProtectBranch,
    UnprotectBranch,
}

impl DemoStep {
    /// For a run, returns whether a scheduler starts the run, and the expected result. For any other step,
    /// returns none.
    pub(super) fn expected_run(self) -> Option<(bool, SyncOutcome)> {
        match self {
            Self::Run(result) => Some((false, result)),
            Self::ScheduledRun(result) => Some((true, result)),
            Self::MergePull
            | Self::AnswerQuestion(_)
            | Self::SetModelShare(_)
            | Self::AllowPorting
            | Self::ProtectBranch
            | Self::UnprotectBranch => None,
        }
    }
}

/// The part of a port that the model completes.
#[derive(Clone, Copy)]
pub(super) enum PortShare {
    Whole,
    /// The model reads files until its turns are used up.
    Half,
    Remainder,
}

pub(super) const FIRST_RELEASE: (&str, &str) = ("1.0.0", FIRST_CODE);

/// Sections for a machine whose sandbox is strong enough for a model that ports code.
pub(super) const PORTING_SECTIONS: &[DemoSection] = &[
    RANGE_WIDENING_SECTION,
    DemoSection {
        title: "rim 1.1.0: a pinned function takes a limit. This job may only widen ranges",
        release: Some(LIMIT_RELEASE),
        steps: &[
            DemoStep::Run(QuestionAsked),
            DemoStep::AnswerQuestion("bump"),
            DemoStep::SetModelShare(PortShare::Whole),
            DemoStep::Run(CodePorted),
            DemoStep::MergePull,
        ],
    },
    DemoSection {
        title: "rim 1.2.0: two definitions change. The job may now port code without a question, in 3 turns",
        release: Some(("1.2.0", ZERO_CODE)),
        steps: &[
            DemoStep::AllowPorting,
            DemoStep::SetModelShare(PortShare::Half),
            DemoStep::Run(DraftSaved),
            DemoStep::SetModelShare(PortShare::Remainder),
            DemoStep::Run(CodePorted),
            DemoStep::MergePull,
        ],
    },
    DemoSection {
        title: "rim 1.2.1: only comments change, and a person protects the job's branch",
        release: Some(("1.2.1", ZERO_COMMENT_CODE)),
        steps: FAILING_RUN_STEPS,
    },
    UNPROTECTED_BRANCH_SECTION,
];

/// Sections for a machine whose sandbox is too weak for a model that ports code.
pub(super) const NON_PORTING_SECTIONS: &[DemoSection] = &[
    RANGE_WIDENING_SECTION,
    DemoSection {
        title: "rim 1.1.0: a pinned function takes a limit",
        release: Some(LIMIT_RELEASE),
        steps: &[
            DemoStep::Run(QuestionAsked),
            DemoStep::AnswerQuestion("skip"),
            DemoStep::Run(SkippedByUser),
        ],
    },
    DemoSection {
        title: "rim 1.1.1: the limit is removed again, and a person protects the job's branch",
        release: Some(("1.1.1", FIRST_CODE)),
        steps: FAILING_RUN_STEPS,
    },
    UNPROTECTED_BRANCH_SECTION,
];

const RANGE_WIDENING_SECTION: DemoSection = DemoSection {
    title: "rim 1.0.1: other comments, the same code",
    release: Some(("1.0.1", COMMENT_CHANGE_CODE)),
    steps: &[DemoStep::Run(RangeWidened), DemoStep::MergePull],
};
const FAILING_RUN_STEPS: &[DemoStep] = &[
    DemoStep::ProtectBranch,
    DemoStep::Run(Failed),
    DemoStep::Run(Failed),
    DemoStep::Run(Failed),
    DemoStep::ScheduledRun(CircuitOpen),
];
const UNPROTECTED_BRANCH_SECTION: DemoSection = DemoSection {
    title: "the branch is no longer protected, and a person reports that",
    release: None,
    steps: &[DemoStep::UnprotectBranch, DemoStep::AnswerQuestion("try again"), DemoStep::Run(RangeWidened)],
};

const LIMIT_RELEASE: (&str, &str) = ("1.1.0", LIMIT_CODE);
const FIRST_CODE: &str = "\
def true_up(wheel, turns):
    for spoke in wheel.spokes:
        spoke.turn(turns)


def measure(wheel):
    return wheel.gauge.read()
";
const COMMENT_CHANGE_CODE: &str = "\
def true_up(wheel, turns):
    # A quarter of a turn is much.
    for spoke in wheel.spokes:
        spoke.turn(turns)


def measure(wheel):
    return wheel.gauge.read()
";
const LIMIT_CODE: &str = "\
def true_up(wheel, turns, limit):
    for spoke in wheel.spokes:
        spoke.turn(min(turns, limit))


def measure(wheel):
    return wheel.gauge.read()
";
const ZERO_CODE: &str = "\
def true_up(wheel, turns, limit):
    for spoke in wheel.spokes:
        if not spoke.broken:
            spoke.turn(min(turns, limit))


def measure(wheel):
    wheel.gauge.zero()
    return wheel.gauge.read()
";
const ZERO_COMMENT_CODE: &str = "\
def true_up(wheel, turns, limit):
    for spoke in wheel.spokes:
        # A broken one has no tension.
        if not spoke.broken:
            spoke.turn(min(turns, limit))


def measure(wheel):
    wheel.gauge.zero()
    return wheel.gauge.read()
";

/// Returns the project's adapted copy of a release's code.
pub(super) fn project_code(release_code: &str) -> String {
    release_code
        .replace("def ", "async def ")
        .replace("        spoke.turn", "        await spoke.turn")
        .replace("return wheel", "return await wheel")
        .replace("    wheel.gauge", "    await wheel.gauge")
}

/// Returns the model's answers in order.
pub(super) fn scripted_answers(port_share: PortShare) -> Vec<ScriptedAnswer> {
    let write =
        |content: String| ScriptedAnswer::tool("write", json!({ "path": PROJECT_FILE, "content": content }));
    let report = |summary: &str, completed: &[&str], remaining: &[&str]| {
        let said = json!({ "summary": summary, "completed": completed, "remaining": remaining });
        ScriptedAnswer::tool("report", said)
    };
    match port_share {
        PortShare::Whole => vec![
            write(project_code(LIMIT_CODE)),
            report(
                "`true_up` accepts the limit, and turns each spoke by at most this amount.",
                &["true_up"],
                &[],
            ),
        ],
        PortShare::Half => vec![
            // The new call in `measure` is not awaited.
            write(project_code(ZERO_CODE).replace("await wheel.gauge.zero", "wheel.gauge.zero")),
            ScriptedAnswer::tool("read", json!({ "path": PROJECT_FILE })),
            report("`true_up` skips broken spokes.", &["true_up"], &["measure: await the gauge"]),
        ],
        PortShare::Remainder => vec![
            write(project_code(ZERO_CODE)),
            report("`measure` awaits the gauge.", &["true_up", "measure"], &[]),
        ],
    }
}
