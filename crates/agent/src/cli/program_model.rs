//! The model of a run whose conversation the `claude` program holds. If a subscription pays for the model,
//! each request goes out as the program's own request: with the program's headers, system prompt and further
//! fields, and with the tools under the program's names. Anthropic sells subscriptions for this program only.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use truing_core::money::MicroUsd;
use truing_model::gateway::{LanguageModel, ModelAnswer, ModelError};
use truing_model::messages::{KnownBlock, MessageBlock, ModelMessage, ModelRequest, ToolDefinition};

use super::wire::{self, ProgramTemplate};

/// A model that completes a run's requests with the parts of the program's last request.
pub(super) struct ProgramModel<'a> {
    model: &'a dyn LanguageModel,
    /// The parts of the program's last request.
    template: Mutex<Option<ProgramTemplate>>,
}

impl<'a> ProgramModel<'a> {
    pub(super) fn new(model: &'a dyn LanguageModel) -> Self {
        Self { model, template: Mutex::default() }
    }

    /// Sets the parts that further requests contain.
    pub(super) fn set_template(&self, template: ProgramTemplate) {
        *self.template.lock().unwrap_or_else(PoisonError::into_inner) = Some(template);
    }

    fn template(&self) -> Option<ProgramTemplate> {
        self.template.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl LanguageModel for ProgramModel<'_> {
    async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
        let Some(template) = self.template().filter(|_| self.serves_only_program()) else {
            return self.model.request_answer(request).await;
        };
        let answer = self.model.request_answer(&program_request(request, template)).await?;
        let message = map_tool_names(answer.message, |name| wire::own_tool_name(name).map(str::to_owned));
        Ok(ModelAnswer { message, ..answer })
    }

    async fn cost(&self) -> MicroUsd {
        self.model.cost().await
    }

    fn serves_only_program(&self) -> bool {
        self.model.serves_only_program()
    }
}

/// Returns the request of a run as a request of the program.
fn program_request(request: &ModelRequest, template: ProgramTemplate) -> ModelRequest {
    let ProgramTemplate { system, thinking, output_config, parts } = template;
    let prefixed = |name: &str| Some(wire::mcp_tool_name(name));
    let messages = request.messages.iter().map(|message| map_tool_names(message.clone(), prefixed));
    let tools = request
        .tools
        .iter()
        .map(|tool| ToolDefinition { name: wire::mcp_tool_name(&tool.name), ..tool.clone() });
    ModelRequest {
        system,
        messages: messages.collect(),
        tools: tools.collect(),
        thinking,
        output_config,
        program: Some(Box::new(parts)),
        ..request.clone()
    }
}

/// Renames the tools that a message calls. A tool for which `new_name` returns `None` keeps its name.
fn map_tool_names(message: ModelMessage, new_name: impl Fn(&str) -> Option<String>) -> ModelMessage {
    let rename = |block: MessageBlock| match block {
        MessageBlock::Known(KnownBlock::ToolUse { id, name, input }) => {
            let name = new_name(&name).unwrap_or(name);
            MessageBlock::Known(KnownBlock::ToolUse { id, name, input })
        }
        MessageBlock::Known(KnownBlock::Text { .. } | KnownBlock::ToolResult { .. })
        | MessageBlock::Other(_) => block,
    };
    ModelMessage { role: message.role, content: message.content.into_iter().map(rename).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use truing_core::ledger::TokenUsage;
    use truing_model::messages::{MessageRole, StopReason};

    use super::*;

    /// A model that answers with a tool call, and keeps the last request.
    struct CallingModel {
        serves_only_program: bool,
        request: Mutex<Option<ModelRequest>>,
    }

    #[async_trait]
    impl LanguageModel for CallingModel {
        async fn request_answer(&self, request: &ModelRequest) -> Result<ModelAnswer, ModelError> {
            *self.request.lock().unwrap() = Some(request.clone());
            let name = request.tools.first().unwrap().name.clone();
            Ok(ModelAnswer {
                message: tool_call(MessageRole::Assistant, &name),
                stop: StopReason::ToolUse,
                usage: TokenUsage::default(),
                cost: MicroUsd(1),
                model: "m".to_owned(),
                served_by: None,
                request_id: String::new(),
            })
        }

        async fn cost(&self) -> MicroUsd {
            MicroUsd(1)
        }

        fn serves_only_program(&self) -> bool {
            self.serves_only_program
        }
    }

    fn tool_call(role: MessageRole, name: &str) -> ModelMessage {
        let call = KnownBlock::ToolUse { id: "1".to_owned(), name: name.to_owned(), input: json!({}) };
        ModelMessage { role, content: vec![MessageBlock::Known(call)] }
    }

    fn request() -> ModelRequest {
        let tool = ToolDefinition {
            name: "read".to_owned(),
            description: String::new(),
            input_schema: json!({"type": "object"}),
            cache_control: None,
        };
        ModelRequest {
            model: "m".to_owned(),
            max_tokens: 1000,
            system: vec![MessageBlock::text("placeholder")],
            messages: vec![tool_call(MessageRole::Assistant, "read")],
            tools: vec![tool],
            tool_choice: None,
            thinking: None,
            output_config: None,
            program: None,
        }
    }

    /// Sends the program's request through a model, and returns the name of the tool in the answer and the
    /// request that the provider received.
    async fn send(serves_only_program: bool) -> (String, ModelRequest) {
        let model = CallingModel { serves_only_program, request: Mutex::default() };
        let program = ProgramModel::new(&model);
        let body = json!({
            "model": "m",
            "system": [{"type": "text", "text": "You are claude."}, {"type": "text", "text": "Review."}],
            "messages": [{"role": "user", "content": "x"}],
            "thinking": {"type": "adaptive"},
            "metadata": {"user_id": "u"},
            "max_tokens": 128_000,
            "stream": true,
        });
        let mut headers = hyper::HeaderMap::new();
        for (name, value) in [
            ("user-agent", "claude-cli/2.1.328 (external, sdk-cli)"),
            ("anthropic-beta", "claude-code-20250219"),
            ("x-claude-code-session-id", "s"),
            ("authorization", "Bearer run-token"),
            ("x-api-key", "run-token"),
            ("host", "127.0.0.1"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let asked = wire::read_request(body.to_string().as_bytes(), &headers).unwrap();
        program.set_template(asked.template);
        let answer = program.request_answer(&request()).await.unwrap();
        let Some(MessageBlock::Known(KnownBlock::ToolUse { name, .. })) = answer.message.content.first()
        else {
            panic!("{answer:?}")
        };
        (name.clone(), model.request.lock().unwrap().take().unwrap())
    }

    #[tokio::test]
    async fn subscription_gets_request_of_program() {
        let (answered_tool, sent) = send(true).await;
        assert_eq!(answered_tool, "read");
        assert_eq!(sent.tools.first().unwrap().name, "mcp__truing__read");
        assert_eq!(sent.messages, [tool_call(MessageRole::Assistant, "mcp__truing__read")]);
        assert_eq!(sent.system, ["You are claude.", "Review."].map(MessageBlock::text));
        assert_eq!((sent.thinking, sent.max_tokens), (Some(json!({"type": "adaptive"})), 1000));
        let parts = sent.program.unwrap();
        assert_eq!(serde_json::Value::Object(parts.fields), json!({"metadata": {"user_id": "u"}}));
        let names: Vec<_> = parts.headers.keys().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(names, ["user-agent", "anthropic-beta", "x-claude-code-session-id"]);
    }

    #[tokio::test]
    async fn key_gets_request_of_run() {
        let (answered_tool, sent) = send(false).await;
        assert_eq!((answered_tool.as_str(), sent), ("read", request()));
    }
}
