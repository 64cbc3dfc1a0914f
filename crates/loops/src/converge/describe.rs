//! Writes the description of a pull request after its run has ended. The description states what the change
//! does now, and not how the change developed. Text that people marked as their own must stay in the
//! description word for word. If the new description does not contain this text, the old description stays.
//!
//! If the description cannot be written, the run only records a warning. If the kill switch is on or the
//! lease is lost, the description is written later.

use std::sync::Arc;
use std::time::Instant;

use truing_agent::native::RunLimits;
use truing_agent::prompt::PromptValues;
use truing_agent::prompt::route::CONVERGE_DESCRIBE;
use truing_agent::schema::description::{DescriptionReport, MAX_DESCRIPTION_CHARS, handwritten_parts};
use truing_core::converge::{ConvergeExit, ConvergeStep};
use truing_core::effect::Effect;
use truing_core::line;
use truing_core::port::{EffectOutcome, ForgeRead as _, StoreError};
use truing_forge::effects::EffectError;
use truing_reader::protocol::ToolsRequest;
use truing_reader::redact::redact_secrets;

use super::ActError;
use super::audit::{AuditInput, LOOP_NAME};
use super::post_audit::PullRequestRunner;
use super::pull::{effect_error, forge_error};
use crate::agent::{DiffExcerpt, ModelSpend, ModelTask, ViewTrackingTools, invalid_report_reason};

/// The name that traces contain for the model that writes the description.
const AGENT_NAME: &str = "describer";
/// Maximum number of characters of a title and of a warning.
const MAX_LINE_CHARS: usize = 300;

impl PullRequestRunner<'_> {
    /// Describes the change, if this is configured and the head has not been described yet. If the gate of
    /// the kill switch forbids the write, returns the exit that stops the run.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: another process has taken over.
    #[truing_core::boxed_future]
    pub async fn describe_change(&mut self) -> Result<Option<ConvergeExit>, StoreError> {
        if !self.runner.config.update_description || !self.runner.record.is_description_due() {
            return Ok(None);
        }
        let (mut spent, began) = (ModelSpend::default(), Instant::now());
        let written = Box::pin(self.write_description(&mut spent)).await;
        self.runner.add_spend(&spent);
        self.runner.record_step_cost(ConvergeStep::Describe, began);
        match written {
            Ok(()) => {
                self.runner.record.detail.described = Some(self.runner.record.detail.state.head.clone());
            }
            Err(stop @ ActError::Halted(_)) => return self.runner.closed_gate_exit(&stop).map(Some),
            Err(reason) => {
                // If the model's answer is unusable, the next answer would probably be unusable, too. Another
                // answer would cost money, so there is no retry for this head.
                if matches!(reason, ActError::NoAnswer(_)) {
                    self.runner.record.detail.described = Some(self.runner.record.detail.state.head.clone());
                }
                let is_sure = !matches!(reason, ActError::Unanswered(_));
                let stays = if is_sure { "stays" } else { "may be" };
                let reason = line::clean_line(&redact_secrets(&reason.to_string()), MAX_LINE_CHARS);
                self.runner.record.warn(format!("the description {stays} unchanged: {reason}"));
            }
        }
        Ok(None)
    }

    async fn write_description(&mut self, spent: &mut ModelSpend) -> Result<(), ActError> {
        let client = self.workspace.forge;
        let now = client.pull_details().await.map_err(forge_error)?;
        let (base, head) =
            (self.runner.record.detail.base.clone(), self.runner.record.detail.state.head.clone());
        if now.head.sha != head {
            return Err(ActError::Model("the head of the branch has changed meanwhile".to_owned()));
        }
        let kept = handwritten_parts(&now.body);
        let audited = AuditInput::load(&mut self.runner, &base, &head).await?;
        let agent = &self.runner.agents.auditor;
        let diffs = DiffExcerpt::new(&audited.change, &audited.rule_results);
        let system = PromptValues::default()
            .with_value("max_turns", agent.limits.turns.to_string())
            .with_value("max_chars", MAX_DESCRIPTION_CHARS.to_string());
        let task = [
            ("repository", self.runner.repository.unwrap_or_default().to_owned()),
            ("head", head.as_str().to_owned()),
            ("base", base.as_str().to_owned()),
            ("title", line::clean_line(&now.title, MAX_LINE_CHARS)),
            ("description", now.body.clone()),
            ("kept", kept.join("\n\n")),
            ("diff", diffs.text),
            ("not_shown", diffs.omitted_files.join("\n")),
            ("checks", self.list_checks()),
        ];
        let route = CONVERGE_DESCRIBE;
        let prompt = agent.build_prompt(route.system_prompt_name, &system, route.task_prompt_name, &task)?;
        let request = ToolsRequest {
            tree: audited.exported_commit.path().to_owned(),
            readable_files: None,
            always: audited.rule_results.coverage.reviewed.clone(),
        };
        let tools = agent.reader.tools(request, audited.change.diff.as_slice());
        let looked = ViewTrackingTools::new(&tools, Default::default());
        let (budget, most) = self.runner.model_budget(agent);
        let limits =
            RunLimits { time: self.runner.config.audit_timeout, max_cost: Some(most), ..agent.limits };
        let task = ModelTask {
            budget,
            loop_and_agent_names: (LOOP_NAME, AGENT_NAME),
            prompt: &prompt,
            limits,
            gate: Arc::clone(self.runner.gate),
        };
        let judge = |described: &DescriptionReport| described.errors_text(&kept);
        let ran = agent.run_task(task, &looked, spent, judge).await?;
        if let Some(why) = invalid_report_reason(&ran.end, judge(&ran.report)) {
            return Err(ActError::NoAnswer(why));
        }
        // Text that looks like a secret is removed. If a part that people want to keep contains such text,
        // the old description is kept.
        let body = DescriptionReport { body: redact_secrets(&ran.report.body) };
        if let Some(why) = judge(&body) {
            return Err(ActError::NoAnswer(why));
        }
        let body = body.render(&kept);
        if body.encode_utf16().count() > client.max_body_length() {
            return Err(ActError::NoAnswer(
                "the new description is longer than the forge accepts".to_owned(),
            ));
        }
        self.workspace.ensure_open(&self.runner.record).await?;
        let describe = Effect::Describe { read: now.body, body };
        let mut made = self.workspace.effects.perform(&describe).await;
        // If the forge does not respond, the write is repeated here, because no later act of the run would
        // repeat it.
        if matches!(made, Err(EffectError::Unanswered { .. })) {
            made = self.workspace.effects.perform(&describe).await;
        }
        match made {
            Ok(EffectOutcome::Superseded) => {
                Err(ActError::NoAnswer("the description was changed meanwhile".to_owned()))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(effect_error(error)),
        }
    }

    /// Lists the checks that ran on the head commit, one per line.
    fn list_checks(&self) -> String {
        let Some((of, Some(verification))) = &self.runner.baseline else { return String::new() };
        if *of != self.runner.record.detail.state.head {
            return String::new();
        }
        let ran = verification.checks.iter().map(|checked| &checked.ran);
        ran.map(|ran| format!("{}: {}", ran.argv.join(" "), ran.end)).collect::<Vec<_>>().join("\n")
    }
}
