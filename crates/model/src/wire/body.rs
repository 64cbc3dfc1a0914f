//! A request as it is sent: the body of the Messages API, and what others make of it.

use bytes::Bytes;
#[cfg(feature = "aws")]
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::messages::{Block, Message, Request, Tool};

/// A request of `/v1/messages`, without copying what is said in it.
#[derive(Serialize)]
struct Body<'a> {
    /// None: the address names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    /// None: a header names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    anthropic_version: Option<&'static str>,
    /// None: the tokens are only counted.
    #[serde(flatten)]
    answer: Option<Wanted>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    system: &'a [Block],
    messages: &'a [Message],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tools: &'a [Tool],
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<&'a Value>,
}

/// A field of a request that a model may not take.
#[cfg(feature = "aws")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    Thinking,
    OutputConfig,
}

#[cfg(feature = "aws")]
impl Field {
    /// Its name in a request.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Thinking => "thinking",
            Self::OutputConfig => "output_config",
        }
    }
}

#[derive(Serialize)]
struct Wanted {
    max_tokens: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

/// The body of the Messages API that asks for an answer of at most `max_tokens`, streamed; none: for the number of tokens.
pub(super) fn messages(request: &Request, max_tokens: Option<u32>) -> Result<Bytes, serde_json::Error> {
    let answer = max_tokens.map(|max_tokens| Wanted { max_tokens, stream: true });
    bytes(&Body { model: Some(&request.model), answer, ..body(request) })
}

/// The body of a call whose address names the model and that is streamed, without some fields: Amazon Bedrock's.
#[cfg(feature = "aws")]
pub(super) fn unnamed(
    request: &Request,
    version: &'static str,
    max_tokens: u32,
    without: &[Field],
) -> Result<Bytes, serde_json::Error> {
    let whole = body(request);
    let answer = Some(Wanted { max_tokens, stream: false });
    let thinking = whole.thinking.filter(|_| !without.contains(&Field::Thinking));
    let output_config = whole.output_config.filter(|_| !without.contains(&Field::OutputConfig));
    bytes(&Body { anthropic_version: Some(version), answer, thinking, output_config, ..whole })
}

/// The texts of all messages, without their authors.
fn body(request: &Request) -> Body<'_> {
    // Every field is named, so that a new one cannot be forgotten.
    let Request { model: _, max_tokens: _, system, messages, tools, tool_choice, thinking, output_config } =
        request;
    Body {
        model: None,
        anthropic_version: None,
        answer: None,
        system,
        messages,
        tools,
        tool_choice: tool_choice.as_ref(),
        thinking: thinking.as_ref(),
        output_config: output_config.as_ref(),
    }
}

fn bytes(body: &Body<'_>) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(body).map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::messages::Role;

    #[test]
    fn it_is_the_request_with_the_limit_that_is_paid_for() {
        let request = Request {
            model: "m".into(),
            max_tokens: 9000,
            system: vec![Block::text("s")],
            messages: vec![Message { role: Role::User, content: vec![Block::text("q")] }],
            tools: vec![Tool {
                name: "t".into(),
                description: "d".into(),
                input_schema: json!({"type": "object"}),
                cache_control: Some(json!({"type": "ephemeral"})),
            }],
            tool_choice: Some(json!({"type": "auto"})),
            thinking: Some(json!({"type": "adaptive"})),
            output_config: Some(json!({"effort": "low"})),
        };
        let mut expected = serde_json::to_value(&request).unwrap();
        expected["max_tokens"] = json!(2000);
        expected["stream"] = json!(true);
        let sent: Value = serde_json::from_slice(&messages(&request, Some(2000)).unwrap()).unwrap();
        assert_eq!(sent, expected);

        let expected = expected.as_object_mut().unwrap();
        expected.remove("max_tokens");
        expected.remove("stream");
        let sent: Value = serde_json::from_slice(&messages(&request, None).unwrap()).unwrap();
        assert_eq!(sent, Value::Object(expected.clone()));
    }
}
