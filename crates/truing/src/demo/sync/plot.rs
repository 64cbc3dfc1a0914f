//! What happens in the story of [`super`]: the releases of a package that is made up, the project that follows it, what
//! people do, and what each run is to come to.

use serde_json::json;
use truing_core::sync::record::SyncOutcome::{self, Asked, Breaker, Bumped, Failed, LeftOut, Relaxed, Saved};
use truing_fakes::model::ScriptedAnswer;

/// The package, which is the job's name too, and the file of it that the project repeats.
pub(super) const PACKAGE: &str = "rim";
pub(super) const THEIRS: &str = "rim/spin.py";
pub(super) const OURS: &str = "spokes/spin.py";
/// The project's own check: whatever the wheel does is awaited.
pub(super) const CHECK: &str = "if grep -nE '(turn|read|zero)\\(' spokes/spin.py | grep -v await\nthen echo 'not awaited' && exit 1\nfi\n";
pub(super) const MANIFEST: [&str; 2] = ["rim.spin:true_up", "rim.spin:measure"];
/// Answers that the model may give in one port.
pub(super) const TURNS: u32 = 3;

/// A part of the story.
pub(super) struct DemoSection {
    pub(super) title: &'static str,
    /// What the newest release holds, if there is one now.
    pub(super) release: Option<(&'static str, &'static str)>,
    pub(super) acts: &'static [DemoStep],
}

/// What is done.
#[derive(Clone, Copy)]
pub(super) enum DemoStep {
    /// The job is run, and comes to this.
    Run(SyncOutcome),
    /// The same, by a scheduler: nobody waits for it.
    Scheduled(SyncOutcome),
    /// A person merges the pull request.
    Merge,
    /// A person answers the question.
    Answer(&'static str),
    /// From now on the model does this.
    Model(PortShare),
    /// The operator lets the job port code without asking.
    PortUnasked,
    /// Nobody may push to the job's branch, or everybody again.
    Protect,
    Unprotect,
}

impl DemoStep {
    /// If it is a run: did a scheduler begin it, and what is it to come to?
    pub(super) fn run(self) -> Option<(bool, SyncOutcome)> {
        match self {
            Self::Run(result) => Some((false, result)),
            Self::Scheduled(result) => Some((true, result)),
            Self::Merge
            | Self::Answer(_)
            | Self::Model(_)
            | Self::PortUnasked
            | Self::Protect
            | Self::Unprotect => None,
        }
    }
}

/// What the model does in one port.
#[derive(Clone, Copy)]
pub(super) enum PortShare {
    Whole,
    /// It looks at things until its turns are used up.
    Half,
    Rest,
}

pub(super) const FIRST: (&str, &str) = ("1.0.0", FIRST_CODE);

/// Where a model can port code.
pub(super) const PORTED: &[DemoSection] = &[
    RELAX,
    DemoSection {
        title: "rim 1.1.0: what is pinned takes a limit. This job only widens ranges",
        release: Some(LIMIT),
        acts: &[
            DemoStep::Run(Asked),
            DemoStep::Answer("bump"),
            DemoStep::Model(PortShare::Whole),
            DemoStep::Run(Bumped),
            DemoStep::Merge,
        ],
    },
    DemoSection {
        title: "rim 1.2.0: two definitions change. The job may port unasked now, in 3 turns",
        release: Some(("1.2.0", ZERO_CODE)),
        acts: &[
            DemoStep::PortUnasked,
            DemoStep::Model(PortShare::Half),
            DemoStep::Run(Saved),
            DemoStep::Model(PortShare::Rest),
            DemoStep::Run(Bumped),
            DemoStep::Merge,
        ],
    },
    DemoSection {
        title: "rim 1.2.1: comments again, and somebody protects the job's branch",
        release: Some(("1.2.1", ZERO_AGAIN)),
        acts: FAILING,
    },
    FREED,
];

/// Where there is no sandbox that a model could work in.
pub(super) const UNPORTED: &[DemoSection] = &[
    RELAX,
    DemoSection {
        title: "rim 1.1.0: what is pinned takes a limit",
        release: Some(LIMIT),
        acts: &[DemoStep::Run(Asked), DemoStep::Answer("skip"), DemoStep::Run(LeftOut)],
    },
    DemoSection {
        title: "rim 1.1.1: the limit is gone again, and somebody protects the job's branch",
        release: Some(("1.1.1", FIRST_CODE)),
        acts: FAILING,
    },
    FREED,
];

const RELAX: DemoSection = DemoSection {
    title: "rim 1.0.1: other comments, the same code",
    release: Some(("1.0.1", FIRST_AGAIN)),
    acts: &[DemoStep::Run(Relaxed), DemoStep::Merge],
};
const FAILING: &[DemoStep] = &[
    DemoStep::Protect,
    DemoStep::Run(Failed),
    DemoStep::Run(Failed),
    DemoStep::Run(Failed),
    DemoStep::Scheduled(Breaker),
];
const FREED: DemoSection = DemoSection {
    title: "the branch is free again, and a person says so",
    release: None,
    acts: &[DemoStep::Unprotect, DemoStep::Answer("try again"), DemoStep::Run(Relaxed)],
};

const LIMIT: (&str, &str) = ("1.1.0", LIMIT_CODE);
const FIRST_CODE: &str = "\
def true_up(wheel, turns):
    for spoke in wheel.spokes:
        spoke.turn(turns)


def measure(wheel):
    return wheel.gauge.read()
";
const FIRST_AGAIN: &str = "\
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
const ZERO_AGAIN: &str = "\
def true_up(wheel, turns, limit):
    for spoke in wheel.spokes:
        # A broken one has no tension.
        if not spoke.broken:
            spoke.turn(min(turns, limit))


def measure(wheel):
    wheel.gauge.zero()
    return wheel.gauge.read()
";

/// The project's counterpart of a release.
pub(super) fn counterpart(of: &str) -> String {
    of.replace("def ", "async def ")
        .replace("        spoke.turn", "        await spoke.turn")
        .replace("return wheel", "return await wheel")
        .replace("    wheel.gauge", "    await wheel.gauge")
}

/// What the model says, answer by answer.
pub(super) fn answers(work: PortShare) -> Vec<ScriptedAnswer> {
    let write = |content: String| ScriptedAnswer::tool("write", json!({ "path": OURS, "content": content }));
    let report = |summary: &str, completed: &[&str], remaining: &[&str]| {
        let said = json!({ "summary": summary, "completed": completed, "remaining": remaining });
        ScriptedAnswer::tool("report", said)
    };
    match work {
        PortShare::Whole => vec![
            write(counterpart(LIMIT_CODE)),
            report(
                "`true_up` takes the limit, and turns each spoke by that much at most.",
                &["true_up"],
                &[],
            ),
        ],
        PortShare::Half => vec![
            // What is new in `measure` is not awaited.
            write(counterpart(ZERO_CODE).replace("await wheel.gauge.zero", "wheel.gauge.zero")),
            ScriptedAnswer::tool("read", json!({ "path": OURS })),
            report("`true_up` passes over broken spokes.", &["true_up"], &["measure: await the gauge"]),
        ],
        PortShare::Rest => vec![
            write(counterpart(ZERO_CODE)),
            report("`measure` awaits the gauge.", &["true_up", "measure"], &[]),
        ],
    }
}
