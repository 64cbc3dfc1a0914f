//! Builds the body of a request for the Messages API, and its variants for other services.

use bytes::Bytes;
#[cfg(feature = "aws")]
use serde::Deserialize;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::messages::{MessageBlock, ModelMessage, ModelRequest, ToolDefinition};

/// The body of a request to `/v1/messages`.
#[derive(Serialize)]
struct MessagesBody<'a> {
    /// Model of the request; `None` if the address contains the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    /// Version of the API; `None` if a header contains the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    anthropic_version: Option<&'static str>,
    /// The limit and the streaming of the response; `None` if the request only counts tokens.
    #[serde(flatten)]
    answer: Option<AnswerOptions>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    system: &'a [MessageBlock],
    messages: &'a [ModelMessage],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tools: &'a [ToolDefinition],
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<&'a Value>,
    /// Fields that the program of the request has added.
    #[serde(flatten)]
    program_fields: Option<&'a Map<String, Value>>,
}

/// A field of a request that a model may reject.
#[cfg(feature = "aws")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OptionalField {
    Thinking,
    OutputConfig,
}

#[cfg(feature = "aws")]
impl OptionalField {
    /// Returns the field's name in a request.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Thinking => "thinking",
            Self::OutputConfig => "output_config",
        }
    }
}

#[derive(Serialize)]
struct AnswerOptions {
    max_tokens: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

/// Returns a request body. With `max_tokens`, the body requests a streamed response of at most that many
/// tokens. Without `max_tokens`, it requests a token count.
pub(super) fn messages_body(
    request: &ModelRequest,
    max_tokens: Option<u32>,
) -> Result<Bytes, serde_json::Error> {
    let answer = max_tokens.map(|max_tokens| AnswerOptions { max_tokens, stream: true });
    let program_fields = request.program.as_ref().map(|program| &program.fields);
    encode_body(&MessagesBody { model: Some(&request.model), answer, program_fields, ..build_body(request) })
}

/// Returns the body of a request to Amazon Bedrock, without the fields in `omitted_fields`. The model and the
/// request for a stream are in the address and not in the body.
#[cfg(feature = "aws")]
pub(super) fn body_without_model(
    request: &ModelRequest,
    version: &'static str,
    max_tokens: u32,
    omitted_fields: &[OptionalField],
) -> Result<Bytes, serde_json::Error> {
    let whole = build_body(request);
    let answer = Some(AnswerOptions { max_tokens, stream: false });
    let thinking = whole.thinking.filter(|_| !omitted_fields.contains(&OptionalField::Thinking));
    let output_config =
        whole.output_config.filter(|_| !omitted_fields.contains(&OptionalField::OutputConfig));
    encode_body(&MessagesBody { anthropic_version: Some(version), answer, thinking, output_config, ..whole })
}

/// Returns the fields of a request that all variants of the body share.
fn build_body(request: &ModelRequest) -> MessagesBody<'_> {
    // The pattern names every field. If a new field is not handled, the compiler reports an error.
    let ModelRequest {
        model: _,
        max_tokens: _,
        system,
        messages,
        tools,
        tool_choice,
        thinking,
        output_config,
        program: _,
    } = request;
    MessagesBody {
        model: None,
        anthropic_version: None,
        answer: None,
        system,
        messages,
        tools,
        tool_choice: tool_choice.as_ref(),
        thinking: thinking.as_ref(),
        output_config: output_config.as_ref(),
        program_fields: None,
    }
}

fn encode_body(body: &MessagesBody<'_>) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(body).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::messages::MessageRole;

    #[test]
    fn it_is_the_request_with_the_limit_that_is_paid_for() {
        let request = ModelRequest {
            model: "m".into(),
            max_tokens: 9000,
            system: vec![MessageBlock::text("s")],
            messages: vec![ModelMessage { role: MessageRole::User, content: vec![MessageBlock::text("q")] }],
            tools: vec![ToolDefinition {
                name: "t".into(),
                description: "d".into(),
                input_schema: json!({"type": "object"}),
                cache_control: Some(json!({"type": "ephemeral"})),
            }],
            tool_choice: Some(json!({"type": "auto"})),
            thinking: Some(json!({"type": "adaptive"})),
            output_config: Some(json!({"effort": "low"})),
            program: None,
        };
        let mut expected = serde_json::to_value(&request).unwrap();
        expected["max_tokens"] = json!(2000);
        expected["stream"] = json!(true);
        let sent: Value = serde_json::from_slice(&messages_body(&request, Some(2000)).unwrap()).unwrap();
        assert_eq!(sent, expected);

        let expected = expected.as_object_mut().unwrap();
        expected.remove("max_tokens");
        expected.remove("stream");
        let sent: Value = serde_json::from_slice(&messages_body(&request, None).unwrap()).unwrap();
        assert_eq!(sent, Value::Object(expected.clone()));
    }
}
