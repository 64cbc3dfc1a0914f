//! Runs cases with the same loop as a real run, and with the real tools on the files of the case. The model
//! is the configured model. Alternatively, it is a scripted model on this machine that uses the provider's
//! protocol.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use tempfile::TempDir;
use truing_agent::fixer::{FixerError, FixerTools, FixerWorkspace};
use truing_agent::native::{
    AgentRunEnd, AgentRunInput, AgentRunResult, ReportSchema, RunLimits, RunTools, ToolCallOutput,
};
use truing_agent::prompt::PromptLibrary;
use truing_agent::prompt::case::{PromptCase, ScriptedCall};
use truing_agent::prompt::route::{FilledPrompts, ReportKind};
use truing_agent::runtime::AgentRuntime;
use truing_agent::schema::audit::AuditReport;
use truing_agent::schema::description::DescriptionReport;
use truing_agent::schema::fix_report::FixReport;
use truing_agent::schema::judged::JudgementReport;
use truing_agent::schema::work::WorkReport;
use truing_agent::schema::{REPORT_TOOL, UncheckedFindings};
use truing_config::environment::Environment;
use truing_config::{Config, RulesConfig, SandboxConfig};
use truing_core::ledger::RunBudget;
use truing_core::money::MicroUsd;
use truing_core::policy::{AgentPolicy, PolicySet, ProfileName};
use truing_core::port::RecordStore;
use truing_core::switch::RepositoryRef;
use truing_fakes::model::{AnswerCondition, DEFAULT_API_KEY, FakeModel, ModelScript, ScriptedAnswer};
use truing_loops::machine::SystemClock;
use truing_loops::reader::{ChildProcessReader, ReaderTools};
use truing_loops::run_gate::{RunGate, SwitchReader};
use truing_model::gateway::{self, LanguageModel, ModelError, ModelGateway};
use truing_model::messages::{KnownBlock, MessageBlock, ModelRequest, ToolDefinition};
use truing_reader::protocol::ToolsRequest;
use truing_reader::redact::redact_secrets;
use truing_reader::tools::DIFF_TOOL_NAME;

use crate::cli::error::CliError;
use crate::wiring;

/// Maximum cost of one case in micro-dollars.
pub(super) const CASE_MONEY: MicroUsd = MicroUsd(500_000);

/// The model, the reader and the ledger that run a case.
pub(super) struct CaseRunner {
    gateway: ModelGateway,
    ledger: Arc<dyn RecordStore>,
    model: String,
    reader: ChildProcessReader,
    /// The scripted model, and the folder of its ledger. `None` if the configured model is used.
    script: Option<(FakeModel, TempDir)>,
}

/// The result of one case.
pub(super) struct CaseResult {
    pub(super) problems: Vec<String>,
    pub(super) turns: u32,
    pub(super) cost: MicroUsd,
}

impl CaseResult {
    pub(super) fn has_passed(&self) -> bool {
        self.problems.is_empty()
    }
}

impl CaseRunner {
    /// Returns a runner with a scripted model, for which no key and no configuration are needed.
    pub(super) async fn with_scripted_model() -> Result<Self, CliError> {
        let failed = |error: std::io::Error| {
            CliError::failure("stage", format!("the scripted model cannot be started: {error}"))
        };
        let folder = tempfile::tempdir().map_err(failed)?;
        let fake = FakeModel::start(ModelScript::default()).await.map_err(failed)?;
        let ledger = wiring::store::open_file(&folder.path().join("ledger.db"))?;
        let (gateway, model) = wiring::agent::scripted_gateway(fake.url(), DEFAULT_API_KEY, ledger.clone())?;
        // The reader needs no sandbox, because it reads only the files of cases.
        let sandbox = SandboxConfig { min_level: truing_agent::sandbox::SandboxLevel::None };
        let reader = wiring::child_process_reader(&RulesConfig::default(), &sandbox)?;
        let ledger = ledger.as_record_store();
        Ok(Self { gateway, ledger, model, reader, script: Some((fake, folder)) })
    }

    /// Returns a runner with the configured model. The cost of the model is recorded in the store.
    pub(super) async fn with_configured_model(
        config: &Config,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        // From this agent, only the gateway, ledger, model and reader are used. Its prompts are not used.
        let agent = wiring::agent::configured_agent(
            config,
            environment,
            wiring::open_store(config, environment).await?,
            wiring::role::ModelRole::Reviewer,
        )?;
        let (gateway, ledger, model, reader) = (agent.gateway, agent.ledger, agent.model, agent.reader);
        Ok(Self { gateway, ledger, model, reader, script: None })
    }

    pub(super) fn model(&self) -> &str {
        &self.model
    }

    /// Runs a case with these prompts.
    ///
    /// # Errors
    /// Returns exit 3 or 4 if the configured model cannot be asked.
    pub(super) async fn run_case(
        &self,
        case: &PromptCase,
        prompts: &PromptLibrary,
    ) -> Result<CaseResult, CliError> {
        let filled = match case.fill_prompts(prompts) {
            Ok(filled) => filled,
            Err(error) => {
                return Ok(CaseResult { problems: vec![error.to_string()], turns: 0, cost: MicroUsd(0) });
            }
        };
        if let Some((fake, _)) = &self.script {
            fake.set_script(case_script(case));
        }
        let folder = write_case_files(case).map_err(|error| {
            CliError::failure("stage", format!("the files of case `{}` cannot be made: {error}", case.name))
        })?;
        let tree = folder.path().to_owned();
        let request = ToolsRequest { tree: tree.clone(), readable_files: None, always: Vec::new() };
        let tools = self.reader.tools(request, Vec::new());
        match case.route.report {
            ReportKind::Findings => self.ask_model::<UncheckedFindings>(case, &filled, &tools).await,
            ReportKind::Judgements => self.ask_model::<JudgementReport>(case, &filled, &tools).await,
            ReportKind::Audit => self.ask_model::<AuditReport>(case, &filled, &tools).await,
            ReportKind::Description => self.ask_model::<DescriptionReport>(case, &filled, &tools).await,
            ReportKind::Work => {
                let workspace = FixerWorkspace::new(tree, self.builtin_policy(ProfileName::Sync)?);
                self.ask_model::<WorkReport>(case, &filled, &fixer_tools(tools, workspace)?).await
            }
            ReportKind::Fixes => {
                let workspace = FixerWorkspace::new(tree, self.builtin_policy(ProfileName::Fixer)?);
                self.ask_model::<FixReport>(case, &filled, &fixer_tools(tools, workspace)?).await
            }
        }
    }

    /// Returns a policy that is built in. The operator's files are not used, because cases test Truing's own
    /// prompts and tools.
    fn builtin_policy(&self, name: ProfileName) -> Result<Arc<AgentPolicy>, CliError> {
        let policies = PolicySet::load_shipped().map_err(|problems| {
            CliError::failure("policy", problems.first().map(ToString::to_string).unwrap_or_default())
        })?;
        Ok(Arc::clone(policies.policy_for(name)))
    }

    async fn ask_model<F: ReportSchema>(
        &self,
        case: &PromptCase,
        filled: &FilledPrompts,
        tools: &dyn RunTools,
    ) -> Result<CaseResult, CliError> {
        let budget = RunBudget::for_run(truing_loops::machine::new_run_id(), CASE_MONEY);
        let switches = SwitchReader::new(Arc::clone(&self.ledger), Arc::new(SystemClock));
        let gate = RunGate::for_run(&switches, RepositoryRef::default());
        let heard = RecordedCalls::default();
        let session = self.gateway.open_session(budget, [self.model.clone()], Arc::new(gate));
        let model = ObservedModel {
            validate: |input| F::parse_tool_input(input).map(drop),
            model: &session,
            recorded_calls: &heard,
        };
        let tools = ObservedTools { tools, recorded_calls: &heard };
        let brief = AgentRunInput {
            model: self.model.clone(),
            system_prompt: filled.system.clone(),
            review_text: filled.task.clone(),
        };
        let limits = RunLimits { max_cost: Some(CASE_MONEY), ..RunLimits::default() };
        let ran: AgentRunResult<F> =
            AgentRuntime::Native.run_with_report_check(&model, &tools, &brief, &limits, |_| None).await;
        if let (AgentRunEnd::ModelFailed(why), None) = (&ran.end, &self.script) {
            return Err(model_refusal_error(why));
        }
        let (calls, failed) = heard.into_calls();
        let mut problems = Vec::new();
        let missed = case.missing_calls(&calls);
        if !missed.is_empty() {
            problems
                .extend(case.missing_texts(filled).iter().map(|need| format!("the request lacks: {need}")));
            problems.extend(missed.iter().map(|call| format!("not called: {}", call.render())));
        }
        if !ran.end.is_complete() {
            problems.push(format!("the run did not finish: {}", redact_secrets(&ran.end.to_string())));
        }
        // A call of a real model may be invalid. If a call of a script is invalid, the case is wrong.
        if self.script.is_some() {
            problems.extend(failed);
        }
        Ok(CaseResult { problems, turns: ran.turns, cost: ran.cost })
    }
}

/// Returns tools that can change the files of the case, but cannot run commands.
fn fixer_tools(tools: ReaderTools, workspace: FixerWorkspace) -> Result<FixerTools, CliError> {
    FixerTools::without_commands(Box::new(tools), workspace)
        .map_err(|error: FixerError| CliError::failure("stage", error.to_string()))
}

/// Returns the script of a case. The script gives the right answer if the request contains all texts in the
/// case. Otherwise it gives the wrong answer.
fn case_script(case: &PromptCase) -> ModelScript {
    let when = AnswerCondition {
        system: case.system.required_texts.clone(),
        first_message: case.task.required_texts.clone(),
        ..AnswerCondition::default()
    };
    let answer = |call: &ScriptedCall| ScriptedAnswer::tool(&call.tool, call.input_object());
    let right = case.correct_calls.iter().map(|call| answer(call).with_condition(when.clone()));
    ModelScript::from_answers(right.chain(case.wrong_calls.iter().map(answer)))
}

/// Writes the case's files into a temporary folder.
fn write_case_files(case: &PromptCase) -> std::io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    for (path, text) in &case.files {
        let path = folder.path().join(path);
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(folder)
}

/// Returns the error for a configured model that could not be asked.
fn model_refusal_error(error: &ModelError) -> CliError {
    let message = format!("the model cannot be called: {}", redact_secrets(&error.to_string()));
    match error {
        ModelError::Halted(reason) => CliError::refusal("kill_switch", message).hint(reason.hint()),
        ModelError::Budget { .. } | ModelError::SpendCap { .. } => CliError::refusal("budget", message),
        ModelError::NotAllowed(_)
        | ModelError::Unauthorized { .. }
        | ModelError::InvalidRequest { .. }
        | ModelError::TooLong { .. }
        | ModelError::Unavailable { .. }
        | ModelError::Nonsense { .. }
        | ModelError::UsageLimit { .. }
        | ModelError::Ledger(_)
        | ModelError::Drift { .. } => CliError::failure("model", message),
    }
}

/// The tool calls of one run: the successful calls, and messages about calls that failed.
#[derive(Default)]
struct RecordedCalls(Mutex<(Vec<ScriptedCall>, Vec<String>)>);

impl RecordedCalls {
    fn add(&self, name: &str, input: &Value, failure: Option<&str>) {
        let call = ScriptedCall { tool: name.to_owned(), input: input.clone() };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            None => all.0.push(call),
            Some(why) => all.1.push(format!("a call failed: {}: {why}", call.render())),
        }
    }

    fn into_calls(self) -> (Vec<ScriptedCall>, Vec<String>) {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model whose reports are recorded.
struct ObservedModel<'a> {
    model: &'a dyn LanguageModel,
    /// Returns the problem of an invalid report as an error.
    validate: fn(&Value) -> Result<(), String>,
    recorded_calls: &'a RecordedCalls,
}

#[async_trait]
impl LanguageModel for ObservedModel<'_> {
    async fn request_answer(&self, request: &ModelRequest) -> Result<gateway::ModelAnswer, ModelError> {
        let answer = self.model.request_answer(request).await?;
        for block in &answer.message.content {
            if let MessageBlock::Known(KnownBlock::ToolUse { name, input, .. }) = block
                && name == REPORT_TOOL
            {
                self.recorded_calls.add(name, input, (self.validate)(input).err().as_deref());
            }
        }
        Ok(answer)
    }

    async fn cost(&self) -> MicroUsd {
        self.model.cost().await
    }
}

/// Tools whose calls are recorded. The diff tool is not among them, because a case has no change.
struct ObservedTools<'a> {
    tools: &'a dyn RunTools,
    recorded_calls: &'a RecordedCalls,
}

#[async_trait]
impl RunTools for ObservedTools<'_> {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        self.tools.tool_definitions().into_iter().filter(|tool| tool.name != DIFF_TOOL_NAME).collect()
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        let output = self.tools.call(name, input).await;
        self.recorded_calls.add(name, input, output.is_error.then_some(output.text.as_str()));
        output
    }
}
