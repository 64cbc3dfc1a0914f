//! Lists the kinds of requests. Each request begins with two prompts: the system prompt and the first
//! message.

use sha2::{Digest as _, Sha256};

use super::{DataBoundary, PromptError, PromptLibrary, PromptValues};

/// The prompts and the report of one kind of request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PromptRoute {
    /// Name of the route in the cases of `truing prompts test`.
    pub name: &'static str,
    /// Name of the system prompt, which defines the model's role.
    pub system_prompt_name: &'static str,
    /// Name of the prompt for the first message, which contains the text to examine.
    pub task_prompt_name: &'static str,
    /// Kind of the final report.
    pub report: ReportKind,
}

/// The kind of report that a model submits at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportKind {
    /// Findings about a change: [`crate::schema::UncheckedFindings`].
    Findings,
    /// Report of the work done on a clone: [`crate::schema::work::WorkReport`].
    Work,
    /// Judgements of changed functions: [`crate::schema::judged::JudgementReport`].
    Judgements,
    /// Findings about a change, or evidence that there are none: [`crate::schema::audit::AuditReport`].
    Audit,
    /// Report of the fixes made on a clone: [`crate::schema::fix_report::FixReport`].
    Fixes,
    /// Description of a change: [`crate::schema::description::DescriptionReport`].
    Description,
}

/// Review of a change.
pub const REVIEW: PromptRoute = PromptRoute {
    name: "review",
    system_prompt_name: "review/system",
    task_prompt_name: "review/task",
    report: ReportKind::Findings,
};
/// Repeated review of a change after the change was updated.
pub const REVIEW_AGAIN: PromptRoute = PromptRoute {
    name: "review/again",
    system_prompt_name: "review/system",
    task_prompt_name: "review/task-again",
    report: ReportKind::Findings,
};
/// First message for one of several reviewers of a change. It replaces the first message of [`REVIEW`].
pub const SPECIALIST_TASK: &str = "review/task-specialist";
/// First message for one of several reviewers of a change that was already reviewed in an earlier state. It
/// replaces the first message of [`REVIEW_AGAIN`].
pub const SPECIALIST_TASK_AGAIN: &str = "review/task-specialist-again";
/// Adaptation of a project's code to a new release of the package that the project follows.
pub const SYNC_BUMP: PromptRoute = PromptRoute {
    name: "sync/bump",
    system_prompt_name: "sync/system-bump",
    task_prompt_name: "sync/task",
    report: ReportKind::Work,
};
/// Check of functions that a release changed and that are not pinned.
pub const SYNC_CLASSIFY: PromptRoute = PromptRoute {
    name: "sync/classify",
    system_prompt_name: "sync/system-classify",
    task_prompt_name: "sync/task-classify",
    report: ReportKind::Judgements,
};
/// Audit of a whole change.
pub const CONVERGE_AUDIT: PromptRoute = PromptRoute {
    name: "converge/audit",
    system_prompt_name: "converge/system-audit",
    task_prompt_name: "converge/task-audit",
    report: ReportKind::Audit,
};
/// First message of an audit for which dismissed findings exist. It replaces the first message of
/// [`CONVERGE_AUDIT`].
pub const AUDIT_TASK_WITH_DISMISSALS: &str = "converge/task-audit-dismissed";
/// Audit of a single fix before it is committed.
pub const CONVERGE_CHECK: PromptRoute = PromptRoute {
    name: "converge/check",
    system_prompt_name: "converge/system-audit",
    task_prompt_name: "converge/task-check",
    report: ReportKind::Audit,
};
/// Fix of an audit's findings.
pub const CONVERGE_FIX: PromptRoute = PromptRoute {
    name: "converge/fix",
    system_prompt_name: "converge/fixer",
    task_prompt_name: "converge/task-fix",
    report: ReportKind::Fixes,
};
/// Fix of a failed gate.
pub const CONVERGE_GATE: PromptRoute = PromptRoute {
    name: "converge/gate",
    system_prompt_name: "converge/fixer",
    task_prompt_name: "converge/task-gate",
    report: ReportKind::Fixes,
};
/// Description of a change.
pub const CONVERGE_DESCRIBE: PromptRoute = PromptRoute {
    name: "converge/describe",
    system_prompt_name: "converge/describer",
    task_prompt_name: "converge/task-describe",
    report: ReportKind::Description,
};

impl PromptRoute {
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

    /// Returns the route of this name.
    pub fn find_by_name(name: &str) -> Option<&'static Self> {
        const { &Self::ALL }.iter().find(|route| route.name == name)
    }
}

/// The filled prompts that a request begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilledPrompts {
    pub system: String,
    /// Text of the first message.
    pub task: String,
    /// SHA-256 of both prompts before their values are inserted, in hexadecimal.
    pub hash: String,
}

impl PromptLibrary {
    /// Fills in the system prompt and the first message, each with its own values.
    ///
    /// # Errors
    /// [`PromptError::Unknown`], [`PromptError::Invalid`], [`PromptError::Values`]
    pub fn fill_prompts(
        &self,
        system: &str,
        task: &str,
        system_values: &PromptValues,
        task_values: &PromptValues,
        boundary: &DataBoundary,
    ) -> Result<FilledPrompts, PromptError> {
        let (frame, about) = (self.compose(system)?, self.compose(task)?);
        let mut hash = Sha256::new();
        for part in [frame.hash(), about.hash()] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Ok(FilledPrompts {
            system: frame.render(system_values, boundary)?,
            task: about.render(task_values, boundary)?,
            hash: hex::encode(hash.finalize()),
        })
    }
}
