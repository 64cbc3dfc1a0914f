//! The exit of a converge run: its kind (one of seven), a code, and a sentence for users.

use serde::{Deserialize, Serialize};

/// The exit of a converge run, which states why the run ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConvergeExit {
    /// Reason as a code for programs.
    pub code: ConvergeExitCode,
    /// Reason as a sentence for users.
    pub reason: String,
}

/// The kinds of exits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConvergeExitKind {
    /// A fresh audit found nothing.
    Converged,
    /// The limit of audits is reached.
    CapReached,
    /// The run makes no progress towards a clean head.
    Stuck,
    /// The run could not be carried out.
    Error,
    /// A user or the system stopped the run.
    Interrupted,
    /// The run was refused before it began.
    Refused,
    /// The findings do not prevent convergence, but something else does.
    Blocked,
}

impl ConvergeExitKind {
    /// Returns the name of the kind in JSON and in text output.
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
        /// The reason why a run ended.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub enum ConvergeExitCode {
            $($(#[$about])* #[serde(rename = $text)] $name,)*
        }

        impl ConvergeExitCode {
            /// All codes, in the order of their definition.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the name of the kind in JSON and in text output.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            pub fn kind(self) -> ConvergeExitKind {
                match self { $(Self::$name => ConvergeExitKind::$kind,)* }
            }

            /// Returns the exit code of a command for one run.
            pub fn exit_code(self) -> u8 {
                match self { $(Self::$name => $exit,)* }
            }
        }
    };
}

codes! {
    /// The audit found nothing.
    Clean = "clean", Converged, 0;
    /// An earlier run found this head clean.
    AlreadyClean = "already_clean", Converged, 0;
    /// The only remaining findings were declined, and the configuration allows declined findings.
    CleanButDeclined = "clean_but_declined", Converged, 0;
    /// The only remaining findings do not block.
    CleanButNotes = "clean_but_notes", Converged, 0;
    /// The limit of audits is reached.
    CapReached = "max_audits", CapReached, 1;
    /// The fixer changed nothing, although findings block.
    NothingFixed = "nothing_fixed", Stuck, 1;
    /// A hook of the repository blocks the fix.
    Hook = "hook", Stuck, 1;
    /// Repeated audits of the fix still find something.
    SelfAudit = "selfaudit", Stuck, 1;
    /// A check that passes without the fix fails with the fix.
    Checks = "checks", Stuck, 1;
    /// Fixes repeatedly delete or weaken tests.
    Tests = "tests", Stuck, 1;
    /// A finding is found again after each fix.
    NotConverging = "not_converging", Stuck, 1;
    /// Several consecutive fixes resolve no finding.
    Plateau = "plateau", Stuck, 1;
    /// A fix restores the files as they were before an earlier fix.
    Oscillation = "oscillation", Stuck, 1;
    /// The audit found nothing new, but declined findings remain.
    Declined = "declined", Stuck, 1;
    /// The gate still blocks after all permitted fixes.
    Gate = "gate", Error, 1;
    /// The gate, the setup, the agents, git or the forge does not work.
    Infrastructure = "infrastructure", Error, 3;
    /// A check before the first call of a model failed, so nothing was paid.
    Preflight = "preflight", Error, 3;
    /// The budget of the run is used up.
    Budget = "budget", Error, 4;
    /// A signal or the kill switch stopped the run.
    Interrupted = "interrupted", Interrupted, 130;
    /// The run is disabled by `CLAUDE_REVIEWS_DISABLED`.
    Disabled = "disabled", Refused, 4;
    /// There is neither a pull request nor a change.
    NoTarget = "no_target", Refused, 2;
    /// The work tree has uncommitted changes.
    Uncommitted = "uncommitted", Refused, 2;
    /// No agent for audits or fixes is available.
    NoAgent = "no_agent", Refused, 2;
    /// A run of this name is in progress.
    Leading = "leading", Refused, 4;
    /// The command requests to join an existing run, but does not name the run.
    NoTeam = "no_team", Refused, 2;
    /// Another run is in progress on the same pull request or branch.
    AlreadyRunning = "already_running", Refused, 4;
    /// Policy does not permit the run: the kill switch is on, or the requester lacks permission.
    Policy = "policy", Refused, 4;
    /// Others repeatedly push to the branch.
    HeadMoved = "head_moved", Blocked, 1;
    /// The pull request is closed or merged.
    Closed = "closed", Blocked, 1;
    /// A required reviewer does not respond.
    ReviewerSilent = "reviewer_silent", Blocked, 1;
    /// A reviewer reports findings, but has posted no comment on a line.
    InlineLag = "inline_lag", Blocked, 1;
    /// The forge reports that the pull request cannot be merged.
    Mergeability = "mergeability", Blocked, 1;
    /// Threads that must be resolved are still open.
    Threads = "threads", Blocked, 1;
    /// The branch is not writable.
    ReadOnly = "read_only", Blocked, 1;
}

impl ConvergeExitCode {
    /// Returns true if a run with this exit code can be resumed.
    pub fn is_resumable(self) -> bool {
        matches!(self, Self::Budget | Self::Interrupted | Self::Infrastructure)
    }
}

impl ConvergeExit {
    pub fn new(code: ConvergeExitCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    pub fn kind(&self) -> ConvergeExitKind {
        self.code.kind()
    }

    /// Returns true if the run ended because models gave no valid answer.
    pub fn is_model_failure(&self) -> bool {
        self.code == ConvergeExitCode::Infrastructure
            && MODEL_FAILURE_REASONS.iter().any(|reason| self.reason.starts_with(reason))
    }
}

/// Beginning of the reason if no auditor gave a valid answer; the details follow. The next two constants are
/// the beginnings for a fixer and for one of several auditors.
pub(super) const NO_AUDITOR_REASON: &str = "no auditor gave a valid answer";
pub(super) const NO_FIXER_REASON: &str = "no fixer finished";
const SILENT_AUDITOR_REASON: &str = "an auditor gave no valid answer";
/// The beginnings of all reasons that report missing answers of models, including reasons that earlier
/// versions stored.
const MODEL_FAILURE_REASONS: &[&str] = &[
    NO_AUDITOR_REASON,
    NO_FIXER_REASON,
    SILENT_AUDITOR_REASON,
    "no auditor gave a proper answer",
    "no fixer finished its work",
];

/// Returns the message that a number of auditors gave no valid answer.
pub fn missing_answers_text(silent_auditors: u32) -> String {
    match silent_auditors {
        1 => SILENT_AUDITOR_REASON.to_owned(),
        many => format!("{many} auditors gave no valid answer"),
    }
}
