//! The command `truing config check --live`: asks each configured model for one word. The check finds an
//! invalid address, key, role, name or price before a run fails because of it.

use serde::Serialize;
use serde_json::json;
use truing_config::Config;
use truing_config::model::ModelConfig;
use truing_config::problem::ValueOrigin;
use truing_core::ledger::RunBudget;
use truing_core::money::MicroUsd;
use truing_core::switch::RepositoryRef;
use truing_loops::machine::new_run_id;
use truing_model::gateway::LanguageModel as _;
use truing_model::messages::{MessageBlock, MessageRole, ModelMessage, ModelRequest, ToolDefinition};
use truing_store::Store;

use crate::cli::CommandContext;
use crate::cli::columns::fold_line;
use crate::cli::error::{CliError, CommandExit};
use crate::cli::runtime;
use crate::cli::target::check_kill_switches;
use crate::wiring;
use crate::wiring::role::ModelRole;

/// Maximum cost of one question in micro-dollars.
const MAX_QUESTION_COST: MicroUsd = MicroUsd(50_000);
/// Maximum number of tokens in an answer. The number is large, because some models think before they answer.
const MAX_ANSWER_TOKENS: u32 = 1024;
/// Question that is sent to each model.
const QUESTION: &str = "Answer with the one word: yes";

/// Result of the check of one model.
#[derive(Serialize)]
struct ModelCheck {
    section: String,
    provider: &'static str,
    model: String,
    ok: bool,
    /// Name of the model that answered, according to the provider's response.
    answered_by: Option<String>,
    cost_micro_usd: u64,
    reason: Option<String>,
}

/// Asks every configured model one question.
///
/// # Errors
/// Returns exit 3 if the store cannot be opened, and exit 4 while the kill switch is on.
pub(super) fn check_models(config: &Config, context: &CommandContext) -> Result<CommandExit, CliError> {
    let first = Some(&config.model).filter(|_| config.models.is_empty() || has_model_settings(config));
    let models: Vec<ModelConfig> = first
        .into_iter()
        .chain(config.models.values())
        .map(|model| ModelConfig { fallback: None, ..model.clone() })
        .collect();
    let (count, most) = (models.len(), MAX_QUESTION_COST);
    let them = if count == 1 { "one model is".to_owned() } else { format!("{count} models are") };
    let rows = runtime::start()?.block_on(async {
        let ledger = wiring::open_store(config, &context.environment).await?;
        check_kill_switches(&ledger, &RepositoryRef::default()).await?;
        context
            .output
            .print_note(format_args!("{them} asked for one word; each answer costs {most} at most"));
        let mut rows = Vec::new();
        for model in models {
            rows.push(ask_model(&config.with_model(model), &ledger, context).await);
        }
        Ok::<_, CliError>(rows)
    })?;
    context.output.print_answer(&rows, || rows.iter().map(render_model_check).collect::<String>())?;
    Ok(if rows.iter().all(|row| row.ok) { CommandExit::Success } else { CommandExit::NegativeAnswer })
}

/// Returns true if a key of `[model]` is configured.
fn has_model_settings(config: &Config) -> bool {
    let is_of_it = |path: &str| path.strip_prefix("model.").is_some_and(|key| !key.contains('.'));
    config.settings().any(|(path, setting)| is_of_it(&path) && setting.origin != ValueOrigin::Default)
}

/// Asks the model of `[model]`. Like the requests of reviews, the request includes a tool. This detects a
/// server that does not support tool calls.
async fn ask_model(config: &Config, store: &Store, context: &CommandContext) -> ModelCheck {
    let ModelConfig { section, provider, name, .. } = &config.model;
    let row = ModelCheck {
        section: section.clone(),
        provider: provider.as_str(),
        model: name.clone(),
        ok: false,
        answered_by: None,
        cost_micro_usd: 0,
        reason: None,
    };
    let agent = match wiring::agent::configured_agent(
        config,
        &context.environment,
        store.clone(),
        ModelRole::AvailabilityChecker,
    ) {
        Ok(agent) => agent,
        Err(error) => {
            let words = [error.message].into_iter().chain(error.hints).collect::<Vec<_>>();
            return ModelCheck { reason: Some(words.join("; ")), ..row };
        }
    };
    let request = ModelRequest {
        model: name.clone(),
        max_tokens: MAX_ANSWER_TOKENS,
        system: Vec::new(),
        messages: vec![ModelMessage { role: MessageRole::User, content: vec![MessageBlock::text(QUESTION)] }],
        tools: vec![ToolDefinition {
            name: "report".to_owned(),
            description: "Reports a problem. There is no problem now.".to_owned(),
            input_schema: json!({"type": "object", "properties": {}}),
            cache_control: None,
        }],
        tool_choice: None,
        thinking: None,
        output_config: None,
        program: None,
    };
    let budget = RunBudget::for_run(new_run_id(), MAX_QUESTION_COST);
    let gate = wiring::agent::gate_for_run(&agent, RepositoryRef::default());
    match agent.gateway.open_session(budget, [name.clone()], gate).request_answer(&request).await {
        Ok(answer) => {
            ModelCheck { ok: true, answered_by: Some(answer.model), cost_micro_usd: answer.cost.0, ..row }
        }
        Err(refused) => ModelCheck { reason: Some(refused.to_string()), ..row },
    }
}

/// Formats the result for one model as a line of text.
fn render_model_check(row: &ModelCheck) -> String {
    let ModelCheck { section, provider, model, answered_by, cost_micro_usd, reason, .. } = row;
    let name = format!("[{section}] {model} by {provider}: ");
    let cost = MicroUsd(*cost_micro_usd);
    let words = match (answered_by, reason) {
        (_, Some(reason)) => reason.clone(),
        (Some(by), None) if by != model && !by.is_empty() => format!("{by} has answered; cost: {cost}"),
        (_, None) => format!("the model has answered; cost: {cost}"),
    };
    fold_line(&name, &words) + "\n"
}
