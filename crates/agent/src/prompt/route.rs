//! Which two prompts a request begins with, by what it is for: who the model is, and what it is to look at.

use sha2::{Digest as _, Sha256};

use super::{DataFence, PromptError, PromptLibrary, PromptValues};

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PromptRoute {
    /// What cases of `truing prompts test` call it.
    pub name: &'static str,
    /// The prompt that says who the model is: its system prompt.
    pub system: &'static str,
    /// The prompt that says what it is to look at: its first message.
    pub task: &'static str,
    /// What it reports.
    pub report: ReportKind,
}

/// What a model reports in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportKind {
    /// Findings about a change: [`crate::schema::UncheckedFindings`].
    Findings,
    /// What it has done on a clone: [`crate::schema::work::WorkReport`].
    Work,
    /// What changed functions ask for: [`crate::schema::judged::JudgementReport`].
    Answers,
    /// Findings about a change, or why there are none: [`crate::schema::audit::AuditReport`].
    Audit,
    /// What it has mended on a clone: [`crate::schema::mended::FixReport`].
    Mended,
    /// What a change delivers: [`crate::schema::described::DescriptionReport`].
    Described,
}

/// A change is reviewed.
pub const REVIEW: PromptRoute = PromptRoute {
    name: "review",
    system: "review/system",
    task: "review/task",
    report: ReportKind::Findings,
};
/// A change is reviewed of which an earlier state was.
pub const REVIEW_AGAIN: PromptRoute = PromptRoute {
    name: "review/again",
    system: "review/system",
    task: "review/task-again",
    report: ReportKind::Findings,
};
/// The first messages in their places for one of several reviewers of a change.
pub const SPECIALIST_TASK: &str = "review/task-specialist";
/// The same, of a change of which an earlier state was reviewed.
pub const SPECIALIST_TASK_AGAIN: &str = "review/task-specialist-again";
/// Code is ported to a release.
pub const SYNC_BUMP: PromptRoute = PromptRoute {
    name: "sync/bump",
    system: "sync/system-bump",
    task: "sync/task",
    report: ReportKind::Work,
};
/// Functions that a release changed beside what is pinned are looked at.
pub const SYNC_CLASSIFY: PromptRoute = PromptRoute {
    name: "sync/classify",
    system: "sync/system-classify",
    task: "sync/task-classify",
    report: ReportKind::Answers,
};
/// A whole change is audited.
pub const CONVERGE_AUDIT: PromptRoute = PromptRoute {
    name: "converge/audit",
    system: "converge/system-audit",
    task: "converge/task-audit",
    report: ReportKind::Audit,
};
/// The first message in its place, of a change of which people have dismissed findings.
pub const AUDIT_TASK_DISMISSED: &str = "converge/task-audit-dismissed";
/// A fix is audited by itself before it is committed.
pub const CONVERGE_CHECK: PromptRoute = PromptRoute {
    name: "converge/check",
    system: "converge/system-audit",
    task: "converge/task-check",
    report: ReportKind::Audit,
};
/// What an audit found is mended.
pub const CONVERGE_FIX: PromptRoute = PromptRoute {
    name: "converge/fix",
    system: "converge/fixer",
    task: "converge/task-fix",
    report: ReportKind::Mended,
};
/// What a gate says is mended.
pub const CONVERGE_GATE: PromptRoute = PromptRoute {
    name: "converge/gate",
    system: "converge/fixer",
    task: "converge/task-gate",
    report: ReportKind::Mended,
};
/// What a change delivers is described.
pub const CONVERGE_DESCRIBE: PromptRoute = PromptRoute {
    name: "converge/describe",
    system: "converge/describer",
    task: "converge/task-describe",
    report: ReportKind::Described,
};

impl PromptRoute {
    /// Every one.
    pub const ALL: [Self; 9] = [
        REVIEW,
        REVIEW_AGAIN,
        SYNC_BUMP,
        SYNC_CLASSIFY,
        CONVERGE_AUDIT,
        CONVERGE_CHECK,
        CONVERGE_FIX,
        CONVERGE_GATE,
        CONVERGE_DESCRIBE,
    ];

    /// By its name.
    pub fn named(name: &str) -> Option<&'static Self> {
        const { &Self::ALL }.iter().find(|route| route.name == name)
    }
}

/// The beginning of a request, filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilledPrompts {
    /// The system prompt.
    pub system: String,
    /// The first message.
    pub task: String,
    /// Names both before their values: SHA-256, in hex.
    pub hash: String,
}

impl PromptLibrary {
    /// The beginning of a request, from these two prompts, each with its values.
    ///
    /// # Errors
    /// [`PromptError::Unknown`], [`PromptError::Wrong`], [`PromptError::Values`]
    pub fn filled(
        &self,
        (system, task): (&str, &str),
        (of_system, of_task): (&PromptValues, &PromptValues),
        fence: &DataFence,
    ) -> Result<FilledPrompts, PromptError> {
        let (frame, about) = (self.compose(system)?, self.compose(task)?);
        let mut hash = Sha256::new();
        for part in [frame.hash(), about.hash()] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Ok(FilledPrompts {
            system: frame.render(of_system, fence)?,
            task: about.render(of_task, fence)?,
            hash: hex::encode(hash.finalize()),
        })
    }
}
