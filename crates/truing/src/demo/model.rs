//! The model of the demonstration. The demonstration sends requests to this model over HTTP, with the same
//! code as to a real model. The model answers according to a script.

use std::path::Path;

use serde::Serialize;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::layer::SourceFile;
use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelScript};
use truing_loops::agent::ModelAgent;
use truing_loops::reader::ChildProcessReader;
use truing_model::price::ModelPrices;
use truing_store::Store;

use super::{DemoError, demo_environment, setup_error};
use crate::wiring;

/// Script of the answers.
const MODEL_SCRIPT_TOML: &str = include_str!("script.toml");

/// Usage of the model, and the fictitious cost of this usage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DemoModelUsage {
    /// Number of the model's answers.
    pub model_calls: usize,
    /// Tokens of all prompts.
    pub model_tokens_in: u64,
    /// Tokens of all answers.
    pub model_tokens_out: u64,
    /// Cost of this usage at the real model of the same name, in micro-dollars.
    pub model_cost_micro_usd: MicroUsd,
}

/// The model, and the configuration that contains the model's address.
pub(super) struct ScriptedModel {
    model: FakeModel,
    pub(super) config: Config,
    environment: Environment,
}

impl ScriptedModel {
    /// Starts the model on a free port of this machine. `environment` selects the program that runs the
    /// conversation.
    pub(super) async fn start(environment: &Environment, folder: &Path) -> Result<Self, DemoError> {
        let model = FakeModel::start(ModelScript::parse(MODEL_SCRIPT_TOML).map_err(setup_error)?)
            .await
            .map_err(setup_error)?;
        // This is the configuration that a user with an API key writes, except for the address.
        let text = format!("[review]\nruntime = \"native\"\n[model]\nbase_url = \"{}\"\n", model.url());
        let operator = SourceFile { name: "the demonstration".into(), folder: folder.to_owned(), text };
        let environment = demo_environment(environment)
            .map_err(setup_error)?
            .with_variables([("ANTHROPIC_API_KEY", DEFAULT_API_KEY)], folder);
        let config = Config::resolve(&environment, Some(&operator), &[]).map_err(setup_error)?;
        Ok(Self { model, config, environment })
    }

    /// Returns the model for a service that reads files with `reader`.
    pub(super) fn agent(&self, ledger: Store, reader: ChildProcessReader) -> Result<ModelAgent, DemoError> {
        let agent = wiring::agent::configured_agent(
            &self.config,
            &self.environment,
            ledger,
            wiring::role::ModelRole::Reviewer,
        );
        Ok(ModelAgent { reader, ..agent.map_err(|error| setup_error(error.message))? })
    }

    /// Returns the usage so far.
    pub(super) fn usage(&self) -> Result<DemoModelUsage, DemoError> {
        DemoModelUsage::from_model(&self.model)
    }
}

impl DemoModelUsage {
    /// Returns the usage of this model so far.
    pub(super) fn from_model(model: &FakeModel) -> Result<Self, DemoError> {
        let prices = ModelPrices::builtin().map_err(setup_error)?;
        let bills = model.bills();
        let mut asked = Self {
            model_calls: bills.len(),
            model_tokens_in: 0,
            model_tokens_out: 0,
            model_cost_micro_usd: MicroUsd(0),
        };
        for bill in bills {
            let usage =
                TokenUsage { input: bill.usage.input, output: bill.usage.output, ..TokenUsage::default() };
            let cost = prices.find_price(&bill.model).map_or(0, |price| price.cost(&usage).0);
            asked.model_tokens_in = asked.model_tokens_in.saturating_add(usage.input);
            asked.model_tokens_out = asked.model_tokens_out.saturating_add(usage.output);
            asked.model_cost_micro_usd.0 = asked.model_cost_micro_usd.0.saturating_add(cost);
        }
        Ok(asked)
    }
}
