//! Sends scripted answers in the format of Chat Completions. This code follows OpenAI's published description
//! of the API, independently of the client. The fake checks that a request meets all requirements of this
//! description.

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::events::{AnswerEvent, PreparedAnswer, object_or_empty, split_text, tool_call_id};
use super::script::{AnswerBlock, ScriptedUsage, StreamPosition};

/// Data of the last event in a stream.
pub(super) const STREAM_END: &str = "[DONE]";
/// Maximum length of a function's name.
const MAX_FUNCTION_NAME_CHARS: usize = 64;

/// Returns true if the path ends with `/chat/completions`. The first part of the path differs between
/// servers.
pub(super) fn is_chat_completions_path(path: &str) -> bool {
    path.ends_with("/chat/completions")
}

/// Returns the single credential of a request.
pub(super) fn request_credential(head: &Parts) -> Result<String, &'static str> {
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    if head.headers.contains_key("x-api-key") || head.headers.contains_key("anthropic-version") {
        return Err("a header of another service");
    }
    let bearer = text("authorization").map(|value| value.strip_prefix("Bearer ").unwrap_or_default());
    match (text("api-key"), bearer) {
        (Some(_), Some(_)) => Err("two credentials in one request"),
        (Some(key), None) | (None, Some(key)) => Ok(key.to_owned()),
        (None, None) => Err("no credential"),
    }
}

/// Converts the request to a request of the Messages API. Returns an error if the request is invalid.
pub(super) fn to_messages_request(body: &Value) -> Result<Value, String> {
    let wrong = |what: &str| Err(what.to_owned());
    if body["model"].as_str().is_none_or(str::is_empty) {
        return wrong("you must provide a model parameter");
    }
    for field in ["system", "max_tokens_to_sample", "thinking", "output_config", "anthropic_version"] {
        if body.get(field).is_some() {
            return Err(format!("Unrecognized request argument supplied: {field}"));
        }
    }
    if body["stream"] != true && body.get("stream_options").is_some() {
        return wrong("stream_options: only allowed when `stream` is enabled");
    }
    let limits = [&body["max_tokens"], &body["max_completion_tokens"]];
    let limit = match limits.map(Value::as_u64) {
        [Some(_), Some(_)] => return wrong("max_tokens and max_completion_tokens are set both"),
        [limit, other] => limit.or(other),
    };
    let Some(said) = body["messages"].as_array().filter(|said| !said.is_empty()) else {
        return wrong("[] is too short - 'messages'");
    };
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    let tools = tools.iter().map(convert_tool).collect::<Result<Vec<Value>, String>>()?;
    if tools.is_empty() && body.get("tool_choice").is_some() {
        return wrong("'tool_choice' is only allowed when 'tools' are specified");
    }
    let mut system = Vec::new();
    let mut messages: Vec<Value> = Vec::new();
    let mut open: Vec<String> = Vec::new();
    for (index, message) in said.iter().enumerate() {
        let at = |what: &str| Err(format!("messages.[{index}]: {what}"));
        let role = message["role"].as_str().unwrap_or_default();
        if role != "tool" && !open.is_empty() {
            return at(
                "an assistant message with 'tool_calls' must be followed by tool messages responding to each \
                 'tool_call_id'",
            );
        }
        let text = match &message["content"] {
            Value::String(text) => text.clone(),
            Value::Null if role == "assistant" => String::new(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return at("content: expected a string");
            }
        };
        let block = json!({"type": "text", "text": text});
        match role {
            "system" | "developer" if messages.is_empty() => system.push(block),
            "system" | "developer" => messages.push(json!({"role": "system", "content": [block]})),
            "user" => add_block(&mut messages, "user", block),
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap_or_default();
                let Some(place) = open.iter().position(|known| known == id) else {
                    return at("messages with role 'tool' must be a response to a preceding message with \
                         'tool_calls'");
                };
                open.remove(place);
                add_block(
                    &mut messages,
                    "user",
                    json!({"type": "tool_result", "tool_use_id": id, "content": text}),
                );
            }
            "assistant" => {
                let mut content = Vec::new();
                if !text.is_empty() {
                    content.push(block);
                }
                for call in message["tool_calls"].as_array().into_iter().flatten() {
                    let (id, function) = (&call["id"], &call["function"]);
                    let input = function["arguments"]
                        .as_str()
                        .and_then(|text| serde_json::from_str::<Value>(text).ok());
                    let (Some(id), Some(input), "function") =
                        (id.as_str(), input, call["type"].as_str().unwrap_or_default())
                    else {
                        return at(
                            "tool_calls: expected an id, the type 'function', and arguments in a string of \
                             JSON",
                        );
                    };
                    open.push(id.to_owned());
                    content.push(
                        json!({"type": "tool_use", "id": id, "name": function["name"], "input": input}),
                    );
                }
                if content.is_empty() {
                    return at("content: an assistant message needs content or tool_calls");
                }
                messages.push(json!({"role": "assistant", "content": content}));
            }
            _ => return at("role: expected one of 'system', 'user', 'assistant', 'tool', 'developer'"),
        }
    }
    let mut request = Map::from_iter([
        ("model".to_owned(), body["model"].clone()),
        ("max_tokens".to_owned(), json!(limit.unwrap_or(128_000))),
        ("messages".to_owned(), Value::Array(messages)),
        ("stream".to_owned(), body["stream"].clone()),
    ]);
    if !system.is_empty() {
        request.insert("system".to_owned(), Value::Array(system));
    }
    if !tools.is_empty() {
        request.insert("tools".to_owned(), Value::Array(tools));
        let choice = match &body["tool_choice"] {
            Value::String(word) if word == "required" => json!({"type": "any"}),
            Value::String(word) => json!({"type": word}),
            Value::Object(_) => json!({"type": "tool", "name": body["tool_choice"]["function"]["name"]}),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => json!({"type": "auto"}),
        };
        request.insert("tool_choice".to_owned(), choice);
    }
    Ok(Value::Object(request))
}

/// Adds a block to the last message if this message has the same role; otherwise adds the block to a new
/// message.
fn add_block(messages: &mut Vec<Value>, role: &str, block: Value) {
    let last = messages.last_mut().filter(|message| message["role"] == role);
    match last.and_then(|message| message["content"].as_array_mut()) {
        Some(content) => content.push(block),
        None => messages.push(json!({"role": role, "content": [block]})),
    }
}

fn convert_tool(tool: &Value) -> Result<Value, String> {
    let function = &tool["function"];
    let name = function["name"].as_str().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if tool["type"] != "function"
        || name.is_empty()
        || name.len() > MAX_FUNCTION_NAME_CHARS
        || !name.bytes().all(is_plain)
    {
        return Err(format!("tools: invalid function '{name}'"));
    }
    if !function["parameters"].is_object() {
        return Err(format!("tools: the parameters of '{name}' are no schema"));
    }
    Ok(json!({"name": name, "description": function["description"], "input_schema": function["parameters"]}))
}

/// Returns an error response in the format of this API.
pub(super) fn error_response(status: u16, kind: &str, message: &str) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, axum::Json(error_json(status, kind, message))).into_response()
}

/// Returns the JSON of an error, for an error response or for an error in a stream.
pub(super) fn error_json(status: u16, kind: &str, message: &str) -> Value {
    let (usual, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        402 => ("billing_error", Some("billing_hard_limit_reached")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("model_not_found")),
        413 => ("invalid_request_error", Some("context_length_exceeded")),
        429 => ("requests", Some("rate_limit_exceeded")),
        500..=599 => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    let (kind, code) = if kind.is_empty() { (usual, code) } else { (kind, None) };
    json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// Returns the usage in the form that a provider without cache writes reports: written tokens count as input.
pub(super) fn uncached_usage(usage: ScriptedUsage) -> ScriptedUsage {
    let input = usage.input + usage.cache_write_5m + usage.cache_write_1h;
    ScriptedUsage { input, cache_write_5m: 0, cache_write_1h: 0, ..usage }
}

/// Returns the complete stream of an answer.
pub(super) fn answer_stream(answer: &PreparedAnswer) -> Vec<AnswerEvent> {
    let event = |choice: Value, position: Option<StreamPosition>, content: usize| AnswerEvent {
        data: chat_chunk(answer, &[choice]),
        position,
        content_bytes: content,
    };
    let mut events = vec![event(
        choice_delta(json!({"role": "assistant", "content": ""})),
        Some(StreamPosition::Start),
        0,
    )];
    let mut calls = 0;
    for (index, block) in answer.blocks.iter().enumerate() {
        match block {
            AnswerBlock::Text { text } => {
                events.extend(split_text(text).map(|piece| {
                    let size = piece.len();
                    event(choice_delta(json!({"content": piece})), Some(StreamPosition::Text), size)
                }));
            }
            AnswerBlock::Thinking { thinking, signature: _ } => {
                events.extend(split_text(thinking).map(|piece| {
                    let size = piece.len();
                    event(choice_delta(json!({"reasoning_content": piece})), None, size)
                }));
            }
            AnswerBlock::RedactedThinking { .. } => {}
            AnswerBlock::ToolUse { name, input, json } => {
                let function = json!({"name": name, "arguments": ""});
                let id = tool_call_id(answer, index);
                let call = json!({"index": calls, "id": id, "type": "function", "function": function});
                events.push(event(choice_delta(json!({"tool_calls": [call]})), None, 0));
                let written = json.clone().unwrap_or_else(|| object_or_empty(input).to_string());
                events.extend(split_text(&written).map(|piece| {
                    let size = piece.len();
                    let call = json!({"index": calls, "function": {"arguments": piece}});
                    event(choice_delta(json!({"tool_calls": [call]})), Some(StreamPosition::ToolJson), size)
                }));
                calls += 1;
            }
        }
        // The API does not mark the end of a block. The fake sends an empty chunk at the end of each block,
        // so scripts can place a fault after a block.
        events.push(event(choice_delta(json!({})), Some(StreamPosition::Block), 0));
    }
    let finish_reason = finish_reason(&answer.stop_reason);
    let end = json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": finish_reason});
    events.push(event(end, Some(StreamPosition::Stop), 0));
    let mut last = chat_chunk(answer, &[]);
    last["usage"] = usage_json(&answer.usage);
    events.push(AnswerEvent { data: last, position: None, content_bytes: 0 });
    events.push(AnswerEvent { data: STREAM_END.into(), position: None, content_bytes: 0 });
    events
}

/// Returns a chunk with text for an endless answer, without the answer's own id and model.
pub(super) fn text_chunk(text: &str) -> Value {
    json!({"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 0, "model": "m",
        "choices": [choice_delta(json!({"content": text}))]})
}

fn chat_chunk(answer: &PreparedAnswer, choices: &[Value]) -> Value {
    let id = format!("chatcmpl-{}", answer.id.trim_start_matches("msg_"));
    json!({"id": id, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": answer.model,
        "system_fingerprint": null, "choices": choices, "usage": null})
}

fn choice_delta(delta: Value) -> Value {
    json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": null})
}

fn usage_json(usage: &ScriptedUsage) -> Value {
    let prompt = usage.input + usage.cache_read;
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

fn finish_reason(stop_reason: &str) -> &str {
    match stop_reason {
        "end_turn" | "stop_sequence" => "stop",
        "tool_use" => "tool_calls",
        "max_tokens" => "length",
        "refusal" => "content_filter",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_the_api_refuses_is_refused() {
        let good = json!({"model": "m", "messages": [{"role": "user", "content": "q"}], "stream": true});
        assert_eq!(
            to_messages_request(&good).unwrap()["messages"],
            json!([{"role": "user", "content": [{"type": "text", "text": "q"}]}])
        );
        let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        let called = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        let answered = json!({"role": "tool", "tool_call_id": "c", "content": "r"});
        for (messages, is_good) in [
            (json!([called, answered]), true),
            (json!([called]), true),
            (json!([called, {"role": "user", "content": "q"}]), false),
            (json!([answered]), false),
            (json!([{"role": "assistant", "content": ""}]), false),
            (json!([{"role": "user", "content": [{"type": "tool_result"}]}]), false),
            (json!([]), false),
        ] {
            let body = json!({"model": "m", "messages": messages, "stream": true});
            assert_eq!(to_messages_request(&body).is_ok(), is_good, "{body}");
        }
        for (field, value) in [
            ("system", json!("s")),
            ("tool_choice", json!("auto")),
            ("tools", json!([{"name": "read", "input_schema": {}}])),
            ("stream", json!(false)),
        ] {
            let mut body =
                json!({"model": "m", "messages": good["messages"], "stream": true, "stream_options": {}});
            body[field] = value;
            assert!(to_messages_request(&body).is_err(), "{field}");
        }
    }
}
