//! A request as it is sent.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::messages::{Block, Message, Request, Tool};

/// A request of `/v1/messages`, without copying what is said in it.
#[derive(Serialize)]
struct Wire<'a> {
    model: &'a str,
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

#[derive(Serialize)]
struct Wanted {
    max_tokens: u32,
    stream: bool,
}

/// The body that asks for an answer of at most `max_tokens`, streamed.
pub(super) fn answer(request: &Request, max_tokens: u32) -> Result<Bytes, serde_json::Error> {
    bytes(request, Some(Wanted { max_tokens, stream: true }))
}

/// The body that asks for the number of tokens.
pub(super) fn count(request: &Request) -> Result<Bytes, serde_json::Error> {
    bytes(request, None)
}

fn bytes(request: &Request, answer: Option<Wanted>) -> Result<Bytes, serde_json::Error> {
    // Every field is named, so that a new one cannot be forgotten.
    let Request { model, max_tokens: _, system, messages, tools, tool_choice, thinking, output_config } =
        request;
    let wire = Wire {
        model,
        answer,
        system,
        messages,
        tools,
        tool_choice: tool_choice.as_ref(),
        thinking: thinking.as_ref(),
        output_config: output_config.as_ref(),
    };
    serde_json::to_vec(&wire).map(Bytes::from)
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
        let sent: Value = serde_json::from_slice(&answer(&request, 2000).unwrap()).unwrap();
        assert_eq!(sent, expected);

        let expected = expected.as_object_mut().unwrap();
        expected.remove("max_tokens");
        expected.remove("stream");
        let sent: Value = serde_json::from_slice(&count(&request).unwrap()).unwrap();
        assert_eq!(sent, Value::Object(expected.clone()));
    }
}
