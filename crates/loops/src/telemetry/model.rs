//! Wraps a model and traces its calls, with their tokens and cost.

use async_trait::async_trait;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use serde_json::json;
use truing_core::money::MicroUsd;
use truing_model::gateway::{LanguageModel, ModelAnswer, ModelError};
use truing_model::messages::ModelRequest;

use super::step::{StepSpan, TextAttributeKeys, text_attributes, to_dollars};

const INPUT_ATTRIBUTE_KEYS: TextAttributeKeys = TextAttributeKeys {
    opentelemetry_key: "gen_ai.input.messages",
    langfuse_key: "langfuse.observation.input",
    digest_keys: ["truing.model.input.sha256", "truing.model.input.bytes"],
};
const OUTPUT_ATTRIBUTE_KEYS: TextAttributeKeys = TextAttributeKeys {
    opentelemetry_key: "gen_ai.output.messages",
    langfuse_key: "langfuse.observation.output",
    digest_keys: ["truing.model.output.sha256", "truing.model.output.bytes"],
};

/// A traced model. Each call, with all of its retries, is one span of the current trace.
pub struct TracedModel<'a>(pub Box<dyn LanguageModel + 'a>);

#[async_trait]
impl LanguageModel for TracedModel<'_> {
    async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let step = StepSpan::start(
            || format!("chat {}", request.model),
            SpanKind::Client,
            || request_attributes(request),
        );
        let before = self.0.cost().await;
        let result = self.0.request_answer(request).await;
        let after = self.0.cost().await;
        step.add_attributes(|| cost_attributes(MicroUsd(after.0.saturating_sub(before.0))));
        match &result {
            Ok(answer) => step.add_attributes(|| answer_attributes(answer)),
            Err(refused) => step.record_failure(error_kind(refused), &refused.to_string()),
        }
        result
    }

    async fn cost(&self) -> MicroUsd {
        self.0.cost().await
    }

    fn serves_only_program(&self) -> bool {
        self.0.serves_only_program()
    }
}

fn request_attributes(request: &ModelRequest) -> Vec<KeyValue> {
    let mut attributes = vec![
        KeyValue::new("gen_ai.operation.name", "chat"),
        KeyValue::new("gen_ai.provider.name", "anthropic"),
        KeyValue::new("gen_ai.request.model", request.model.clone()),
        KeyValue::new("gen_ai.request.max_tokens", i64::from(request.max_tokens)),
        KeyValue::new("gen_ai.request.stream", true),
        KeyValue::new("langfuse.observation.type", "generation"),
    ];
    // Only the last message is recorded, because the spans of earlier calls contain the earlier messages.
    let last_message = request.messages.last().and_then(|message| serde_json::to_string(message).ok());
    attributes.extend(text_attributes(INPUT_ATTRIBUTE_KEYS, &last_message.unwrap_or_default()));
    attributes
}

/// Returns the cost of a call with all retries.
fn cost_attributes(cost: MicroUsd) -> Vec<KeyValue> {
    let details = json!({ "total": to_dollars(cost) });
    vec![KeyValue::new("langfuse.observation.cost_details", details.to_string())]
}

fn answer_attributes(answer: &ModelAnswer) -> Vec<KeyValue> {
    let usage = &answer.usage;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    // OpenTelemetry's count of input tokens includes cached tokens, but the provider's count does not. The
    // cached tokens are therefore added.
    let input = usage.input.saturating_add(usage.cache_read).saturating_add(written);
    let stop = serde_json::to_value(answer.stop).ok().and_then(|stop| stop.as_str().map(str::to_owned));
    let reasons: Vec<StringValue> = stop.into_iter().map(StringValue::from).collect();
    // No token is included in two of these counts, so Langfuse can add them.
    let details = json!({
        "input": usage.input,
        "output": usage.output,
        "input_cached_tokens": usage.cache_read,
        "input_cache_creation_5m": usage.cache_write_5m,
        "input_cache_creation_1h": usage.cache_write_1h,
    });
    let mut attributes = vec![
        KeyValue::new("gen_ai.response.model", answer.model.clone()),
        KeyValue::new("gen_ai.response.finish_reasons", Value::Array(Array::String(reasons))),
        KeyValue::new("gen_ai.usage.input_tokens", number(input)),
        KeyValue::new("gen_ai.usage.output_tokens", number(usage.output)),
        KeyValue::new("gen_ai.usage.cache_read.input_tokens", number(usage.cache_read)),
        KeyValue::new("gen_ai.usage.cache_creation.input_tokens", number(written)),
        KeyValue::new("langfuse.observation.model.name", answer.model.clone()),
        KeyValue::new("langfuse.observation.usage_details", details.to_string()),
        KeyValue::new("truing.model.request_id", answer.request_id.clone()),
    ];
    let message_json = serde_json::to_string(&answer.message).unwrap_or_default();
    attributes.extend(text_attributes(OUTPUT_ATTRIBUTE_KEYS, &message_json));
    attributes
}

/// Returns the type of an error.
fn error_kind(error: &ModelError) -> &'static str {
    match error {
        ModelError::Budget { .. } => "budget",
        ModelError::Halted(_) => "kill_switch",
        ModelError::NotAllowed(_) => "not_allowed",
        ModelError::SpendCap { .. } => "spend_cap",
        ModelError::Unauthorized { .. } => "unauthorized",
        ModelError::InvalidRequest { .. } => "rejected",
        ModelError::TooLong { .. } => "too_long",
        ModelError::Unavailable { .. } => "unavailable",
        ModelError::Nonsense { .. } => "nonsense",
        ModelError::UsageLimit { .. } => "usage_limit",
        ModelError::Ledger(_) => "ledger",
        ModelError::Drift { .. } => "drift",
    }
}
