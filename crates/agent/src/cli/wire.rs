//! The Messages API in the dialect of the `claude` program: parses its requests and writes its responses.

use hyper::HeaderMap;
use hyper::header::{HeaderName, USER_AGENT};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use truing_core::ledger::TokenUsage;
use truing_model::messages::{KnownBlock, MessageBlock, MessageRole, ModelMessage, ProgramParts};

use super::invocation::MCP_SERVER_NAME;

/// Headers in which the program describes itself. Other headers belong to the connection or to the run's
/// token.
const PROGRAM_HEADERS: [&str; 3] = ["anthropic-beta", "anthropic-dangerous-direct-browser-access", "x-app"];
/// Prefixes of further headers in which the program describes itself.
const PROGRAM_HEADER_PREFIXES: [&str; 2] = ["x-claude-code-", "x-stainless-"];
/// Fields of the body that the run supplies.
const RUN_FIELDS: [&str; 3] = ["max_tokens", "stream", "tool_choice"];

/// The fields that Truing uses from the program's request. The run supplies all other fields of a model
/// request, and also the system prompt, unless a subscription pays for the request.
pub(super) struct CliRequest {
    pub(super) model: String,
    pub(super) messages: Vec<ModelMessage>,
    /// Names of the run's tools that the request lists.
    pub(super) tools: Vec<String>,
    /// True if the program requests a stream of events.
    pub(super) streams: bool,
    /// The parts that only the program can write.
    pub(super) template: ProgramTemplate,
}

/// The parts of the program's request that a request paid by a subscription contains.
#[derive(Clone, Debug)]
pub(super) struct ProgramTemplate {
    /// The program's own words about itself, and the run's system prompt.
    pub(super) system: Vec<MessageBlock>,
    pub(super) thinking: Option<Value>,
    pub(super) output_config: Option<Value>,
    /// Headers and further fields.
    pub(super) parts: ProgramParts,
}

#[derive(Deserialize)]
struct CliRequestBody {
    model: String,
    messages: Vec<CliMessage>,
    #[serde(default)]
    tools: Vec<NamedTool>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    system: Value,
    #[serde(default)]
    thinking: Option<Value>,
    #[serde(default)]
    output_config: Option<Value>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
struct CliMessage {
    role: MessageRole,
    content: Value,
}

#[derive(Deserialize)]
struct NamedTool {
    #[serde(default)]
    name: String,
}

/// Returns the run's first prompt in the program's input format.
pub(super) fn encode_task(task: &str) -> Vec<u8> {
    let words = json!({
        "type": "user",
        "message": {"role": "user", "content": [{"type": "text", "text": task}]},
        "parent_tool_use_id": null,
        "session_id": "",
    });
    format!("{words}\n").into_bytes()
}

/// Parses a model request with these headers.
///
/// # Errors
/// A description of the error in the request.
pub(super) fn read_request(body: &[u8], headers: &HeaderMap) -> Result<CliRequest, String> {
    let CliRequestBody { model, messages, tools, stream, system, thinking, output_config, mut fields } =
        truing_core::json::from_slice(body)
            .map_err(|error| format!("the body is not a request for a message: {error}"))?;
    for field in RUN_FIELDS {
        fields.remove(field);
    }
    let system = match system {
        Value::Null => Vec::new(),
        Value::String(text) => vec![MessageBlock::text(text)],
        blocks @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            truing_core::json::from_value(&blocks)
                .map_err(|error| format!("the system prompt is not a list of blocks: {error}"))?
        }
    };
    let parts = ProgramParts { headers: program_headers(headers), fields };
    let template = ProgramTemplate { system, thinking, output_config, parts };
    // System messages are dropped: they describe the program and its environment, which do not apply to the
    // model in this run.
    let message = messages.into_iter().filter(|message| message.role != MessageRole::System);
    let messages = message
        .map(|CliMessage { role, content }| ModelMessage { role, content: parse_blocks(content) })
        .collect();
    let tools = tools.into_iter().filter_map(|tool| own_tool_name(&tool.name).map(str::to_owned)).collect();
    Ok(CliRequest { model, messages, tools, streams: stream, template })
}

/// Returns the headers with which the program describes itself.
fn program_headers(headers: &HeaderMap) -> HeaderMap {
    let describes_program = |name: &HeaderName| {
        name == USER_AGENT
            || PROGRAM_HEADERS.contains(&name.as_str())
            || PROGRAM_HEADER_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
    };
    headers
        .iter()
        .filter(|(name, _)| describes_program(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Returns the name of a tool without the server's prefix, or none if the name does not have this prefix.
pub(super) fn own_tool_name(name: &str) -> Option<&str> {
    name.strip_prefix("mcp__")?.strip_prefix(MCP_SERVER_NAME)?.strip_prefix("__")
}

/// Returns the name under which the program knows a tool.
pub(super) fn mcp_tool_name(name: &str) -> String {
    format!("mcp__{MCP_SERVER_NAME}__{name}")
}

fn parse_blocks(content: Value) -> Vec<MessageBlock> {
    match content {
        Value::Array(blocks) => blocks.into_iter().map(parse_block).collect(),
        Value::String(text) => vec![MessageBlock::text(text)],
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            vec![MessageBlock::Other(other)]
        }
    }
}

/// Converts a block to the run's format. Removes the server's prefix from tool names and removes cache marks,
/// and converts text results to plain text.
fn parse_block(mut value: Value) -> MessageBlock {
    if let Value::Object(fields) = &mut value {
        fields.remove("cache_control");
        match fields.get("type").and_then(Value::as_str) {
            Some("tool_use") => {
                if let Some(name) =
                    fields.get("name").and_then(Value::as_str).and_then(own_tool_name).map(str::to_owned)
                {
                    fields.insert("name".to_owned(), name.into());
                }
            }
            Some("tool_result") => {
                if let Some(text) =
                    fields.get("content").and_then(Value::as_array).and_then(|all| join_text(all))
                {
                    fields.insert("content".to_owned(), text.into());
                }
            }
            Some(_) | None => {}
        }
    }
    match truing_core::json::from_value(&value) {
        Ok(block) => block,
        // Not reached: any value parses as a block.
        Err(_) => MessageBlock::text(""),
    }
}

/// Joins blocks to one text, or returns none if a block is not text.
fn join_text(blocks: &[Value]) -> Option<String> {
    let text = |block: &Value| match block.get("type").and_then(Value::as_str) {
        Some("text") => block.get("text").and_then(Value::as_str).map(str::to_owned),
        Some(_) | None => None,
    };
    blocks.iter().map(text).collect::<Option<Vec<_>>>().map(|parts| parts.join("\n"))
}

/// Writes a response for the program, as events or as one object. `id` is the identifier of the response.
pub(super) fn encode_answer(
    model_message: &ModelMessage,
    id: &str,
    model: &str,
    usage: &TokenUsage,
    streams: bool,
) -> Vec<u8> {
    let calls = |block: &MessageBlock| matches!(block, MessageBlock::Known(KnownBlock::ToolUse { .. }));
    let stop = if model_message.content.iter().any(calls) { "tool_use" } else { "end_turn" };
    let blocks: Vec<Value> = model_message.content.iter().map(encode_block).collect();
    let TokenUsage { input, output, cache_read, cache_write_5m, cache_write_1h } = usage;
    let usage = json!({
        "input_tokens": input,
        "output_tokens": output,
        "cache_read_input_tokens": cache_read,
        "cache_creation_input_tokens": cache_write_5m.saturating_add(*cache_write_1h),
        "cache_creation": {
            "ephemeral_5m_input_tokens": cache_write_5m,
            "ephemeral_1h_input_tokens": cache_write_1h,
        },
    });
    let message = |content: Value, stop: Value| {
        json!({"id": id, "type": "message", "role": "assistant", "model": model, "content": content,
               "stop_reason": stop, "stop_sequence": null, "usage": usage})
    };
    if !streams {
        return message(blocks.into(), stop.into()).to_string().into_bytes();
    }
    let mut events = SseBody::default();
    events.add("message_start", json!({"message": message(json!([]), Value::Null)}));
    for (index, block) in blocks.iter().enumerate() {
        let (empty, deltas) = split_block(block);
        events.add("content_block_start", json!({"index": index, "content_block": empty}));
        for delta in deltas {
            events.add("content_block_delta", json!({"index": index, "delta": delta}));
        }
        events.add("content_block_stop", json!({"index": index}));
    }
    events.add(
        "message_delta",
        json!({"delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": output}}),
    );
    events.add("message_stop", json!({}));
    events.0.into_bytes()
}

/// Writes a refusal, which the program does not retry.
pub(super) fn encode_refusal(reason: &str) -> Vec<u8> {
    json!({"type": "error", "error": {"type": "permission_error", "message": reason}})
        .to_string()
        .into_bytes()
}

fn encode_block(block: &MessageBlock) -> Value {
    match block {
        MessageBlock::Known(KnownBlock::ToolUse { id, name, input }) => {
            json!({"type": "tool_use", "id": id, "name": mcp_tool_name(name), "input": input})
        }
        MessageBlock::Known(KnownBlock::Text { text, .. }) => json!({"type": "text", "text": text}),
        MessageBlock::Known(KnownBlock::ToolResult { .. }) | MessageBlock::Other(_) => {
            serde_json::to_value(block).unwrap_or_default()
        }
    }
}

/// Splits a block into its empty start and the deltas that fill it.
fn split_block(block: &Value) -> (Value, Vec<Value>) {
    let mut empty: Map<String, Value> = block.as_object().cloned().unwrap_or_default();
    let mut take = |field: &str, nothing: Value| empty.insert(field.to_owned(), nothing).unwrap_or_default();
    let deltas = match block.get("type").and_then(Value::as_str) {
        Some("text") => vec![json!({"type": "text_delta", "text": take("text", "".into())})],
        Some("tool_use") => {
            let input = take("input", json!({}));
            vec![json!({"type": "input_json_delta", "partial_json": input.to_string()})]
        }
        Some("thinking") => vec![
            json!({"type": "thinking_delta", "thinking": take("thinking", "".into())}),
            json!({"type": "signature_delta", "signature": take("signature", "".into())}),
        ],
        Some(_) | None => Vec::new(),
    };
    (empty.into(), deltas)
}

/// A body of server-sent events.
#[derive(Default)]
struct SseBody(String);

impl SseBody {
    fn add(&mut self, kind: &str, mut data: Value) {
        if let Value::Object(fields) = &mut data {
            fields.insert("type".to_owned(), kind.into());
        }
        self.0.push_str(&format!("event: {kind}\ndata: {data}\n\n"));
    }
}
