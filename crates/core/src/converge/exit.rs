//! How a run of the converge loop ends: one of seven kinds, a code, and a sentence (cli.md, "Converge").

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvergeExit {
    /// Why, for programs.
    pub code: ConvergeExitCode,
    /// Why, for people.
    pub reason: String,
}

/// The kinds of ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConvergeExitKind {
    /// A fresh audit finds nothing.
    Converged,
    /// All audits are used up.
    CapReached,
    /// It does not get on.
    Stuck,
    /// It could not be done.
    Error,
    /// It was stopped from outside.
    Interrupted,
    /// It was not begun.
    Refused,
    /// The branch is clean, or would be, and something else holds it back.
    Blocked,
}

impl ConvergeExitKind {
    /// The word in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::CapReached => "cap-reached",
            Self::Stuck => "stuck",
            Self::Error => "error",
            Self::Interrupted => "interrupted",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
        }
    }
}

macro_rules! codes {
    ($($(#[$about:meta])* $name:ident = $text:literal, $kind:ident, $exit:literal;)*) => {
        /// Why a run ended.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum ConvergeExitCode {
            $($(#[$about])* #[serde(rename = $text)] $name,)*
        }

        impl ConvergeExitCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word in JSON and text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What kind of end it is.
            pub fn kind(self) -> ConvergeExitKind {
                match self { $(Self::$name => ConvergeExitKind::$kind,)* }
            }

            /// The exit code of a command for one run (cli.md, "Converge").
            pub fn exit_code(self) -> u8 {
                match self { $(Self::$name => $exit,)* }
            }
        }
    };
}

codes! {
    /// An audit found nothing.
    Clean = "clean", Converged, 0;
    /// An earlier run found this head clean.
    AlreadyClean = "already_clean", Converged, 0;
    /// Nothing but what was declined, and that is allowed.
    CleanButDeclined = "clean_but_declined", Converged, 0;
    /// Nothing that blocks.
    CleanButNotes = "clean_but_notes", Converged, 0;
    /// All audits are used up.
    CapReached = "max_audits", CapReached, 1;
    /// A fixer changed nothing.
    NothingFixed = "nothing_fixed", Stuck, 1;
    /// A hook of the repository blocks the fix.
    Hook = "hook", Stuck, 1;
    /// Looks at the fix go on finding something.
    SelfAudit = "selfaudit", Stuck, 1;
    /// A check goes on failing with the fix.
    Checks = "checks", Stuck, 1;
    /// Fixes go on deleting or weakening tests.
    Tests = "tests", Stuck, 1;
    /// One finding comes back after each fix.
    NotConverging = "not_converging", Stuck, 1;
    /// Fixes resolve nothing.
    Plateau = "plateau", Stuck, 1;
    /// A fix undoes another one.
    Oscillation = "oscillation", Stuck, 1;
    /// An audit found nothing, and declined findings stand.
    Declined = "declined", Stuck, 1;
    /// The gate goes on blocking.
    Gate = "gate", Error, 1;
    /// The gate, the set-up, the agents, git or the forge cannot work.
    Infrastructure = "infrastructure", Error, 3;
    /// The money of the run is used up.
    Budget = "budget", Error, 4;
    /// A signal, or the kill switch.
    Interrupted = "interrupted", Interrupted, 130;
    /// Switched off by `CLAUDE_REVIEWS_DISABLED` (R0).
    Disabled = "disabled", Refused, 4;
    /// Neither a pull request nor a change (R1).
    NoTarget = "no_target", Refused, 2;
    /// Changes that are not committed (R2).
    Uncommitted = "uncommitted", Refused, 2;
    /// No agent to audit or to fix (R3).
    NoAgent = "no_agent", Refused, 2;
    /// A run of this name is at work (R4).
    Leading = "leading", Refused, 4;
    /// A run is to be joined, and none is named (R5).
    NoTeam = "no_team", Refused, 2;
    /// Another run is at work on the same pull request or branch.
    AlreadyRunning = "already_running", Refused, 4;
    /// Policy does not let it begin: the kill switch, the permission of who asked.
    Policy = "policy", Refused, 4;
    /// Others go on pushing.
    HeadMoved = "head_moved", Blocked, 1;
    /// The pull request is closed or merged.
    Closed = "closed", Blocked, 1;
    /// A reviewer stays silent.
    ReviewerSilent = "reviewer_silent", Blocked, 1;
    /// A reviewer says that it found something and does not show where.
    InlineLag = "inline_lag", Blocked, 1;
    /// The forge says that it cannot be merged.
    Mergeability = "mergeability", Blocked, 1;
    /// Threads are open.
    Threads = "threads", Blocked, 1;
    /// The branch cannot be written.
    ReadOnly = "read_only", Blocked, 1;
}

impl ConvergeExitCode {
    /// Can the run go on from there?
    pub fn is_resumable(self) -> bool {
        matches!(self, Self::Budget | Self::Interrupted | Self::Infrastructure)
    }
}

impl ConvergeExit {
    /// An end.
    pub fn new(code: ConvergeExitCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// What kind of end it is.
    pub fn kind(&self) -> ConvergeExitKind {
        self.code.kind()
    }

    /// Did it end because a model gave no valid answer?
    pub fn is_of_models(&self) -> bool {
        self.code == ConvergeExitCode::Infrastructure
            && OF_MODELS.iter().any(|why| self.reason.starts_with(why))
    }
}

/// The beginning of the reasons where models gave no valid answer; what was wrong follows.
pub(super) const NO_AUDITOR: &str = "no auditor gave a valid answer";
pub(super) const NO_FIXER: &str = "no fixer finished";
const AN_AUDITOR: &str = "an auditor gave no valid answer";
/// All of them, and those of earlier versions.
const OF_MODELS: &[&str] =
    &[NO_AUDITOR, NO_FIXER, AN_AUDITOR, "no auditor gave a proper answer", "no fixer came to its end"];

/// The words on an audit in which some auditors gave no valid answer.
pub fn no_answer(silent: u32) -> String {
    match silent {
        1 => AN_AUDITOR.to_owned(),
        many => format!("{many} auditors gave no valid answer"),
    }
}
